/* SPDX-License-Identifier: ISC */
/* What print.c and print_source.c share. */
#ifndef POSTERN_CONF_PRINT_H
#define POSTERN_CONF_PRINT_H

#include "conf/conf.h"

/* "config", "macros" and so on. False when the name is none of these words; otherwise *done_r is the result. */
bool conf_print_word(const struct conf *conf, struct slice name, unsigned flags, struct buf *out, bool *done_r,
		     struct error *error);
bool conf_print_macro(const struct conf *conf, struct slice name, unsigned flags, struct buf *out, struct error *error);

#endif

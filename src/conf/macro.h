/* SPDX-License-Identifier: ISC */
/*
 * Macros of a configuration (Exim's manual, chapter 6, sections 4 to 7): definition, redefinition, replacement in physical
 * lines. A macro is replaced wherever its name stands, also within a longer word; for that reason a name that contains the
 * name of a macro defined before it is refused.
 */
#ifndef POSTERN_CONF_MACRO_H
#define POSTERN_CONF_MACRO_H

#include "conf/source.h"

enum { CONF_MACROS_MAX = 2000 };

/*
 * The form "NAME = text" or "NAME == text": NAME begins with an upper-case letter and consists of letters, digits and
 * underscores. Returns the length of the text up to and including the equals signs, 0 when the line is something else.
 */
size_t conf_macro_definition(struct slice line, struct slice *name_r, bool *again_r);

/* Takes a definition of the file: new, again ("=="), or ignored because the command line gave one. False with *error. */
bool conf_macro_define(struct conf_source *source, struct slice name, struct slice value, bool again, struct error *error);

/*
 * Writes `line` to `out` (emptied first) with all macros replaced from byte `from` on; what is before is copied. `scratch` is
 * used between. *count_r: how many replacements; *last_r: index + 1 of the macro replaced last, or 0. False: too long.
 */
bool conf_macro_replace(const struct conf_source *source, struct slice line, size_t from, struct buf *out,
			struct buf *scratch, size_t *count_r, uint32_t *last_r);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * Conversion of the character sets that mail uses into one target, through iconv. The C library reads a converter from a file when
 * it is opened, which a sandboxed role cannot do: so all of them are opened at once, before the walls go up.
 *
 * One struct charset_set a role; not for several threads at a time.
 */
#ifndef POSTERN_MAIL_CHARSET_H
#define POSTERN_MAIL_CHARSET_H

#include "base/arena.h"

struct charset_set;

/* Converters into `target` ("UTF-8"). Sets that this system cannot convert are left out. NULL when it does not know `target`. */
struct charset_set *charset_open_all(struct slice target);
/* Clears the pointer; NULL is allowed. */
void charset_close_all(struct charset_set **set);
/* The name of the target; "UTF-8" for NULL. */
struct slice charset_target(const struct charset_set *set);

/*
 * Converts. Bytes that mean nothing in their character set become "?". Text in the target's own set is given back as it is. False
 * when that set is not known: *out_r is not touched. NULL knows UTF-8 alone.
 */
bool charset_convert(struct charset_set *set, struct slice charset, struct slice text, struct arena *arena, struct slice *out_r);

#endif

/* SPDX-License-Identifier: ISC */
/* UTF-8 as RFC 3629 §4 defines it: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef POSTERN_MAIL_UTF8_H
#define POSTERN_MAIL_UTF8_H

#include "base/slice.h"

/* Length of the valid character at the start of `s` (1 to 4 bytes), or 0 when there is none. */
size_t mail_utf8_char(struct slice s);
/* Whether all of it is valid UTF-8. */
bool mail_utf8_valid(struct slice s);

#endif

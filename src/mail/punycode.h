/* SPDX-License-Identifier: ISC */
/* Punycode (RFC 3492): a text in Unicode as letters, digits and hyphens. Without the "xn--" that marks a label. */
#ifndef POSTERN_MAIL_PUNYCODE_H
#define POSTERN_MAIL_PUNYCODE_H

#include "base/arena.h"

enum { MAIL_PUNYCODE_MAX = 512 }; /* bytes of the text, and of the code: its work grows with the square */

/* False when `text` is not UTF-8, or too long. */
bool mail_punycode_encode(struct slice text, struct arena *arena, struct slice *out_r);
/* False when it is no code for a text in Unicode, or too long. */
bool mail_punycode_decode(struct slice code, struct arena *arena, struct slice *out_r);

#endif

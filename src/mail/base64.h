/* SPDX-License-Identifier: ISC */
/* Base64 (RFC 4648 §4). */
#ifndef POSTERN_MAIL_BASE64_H
#define POSTERN_MAIL_BASE64_H

#include "base/arena.h"

/* On one line, padded. The copy is followed by a NUL. */
struct slice mail_base64_encode(struct slice bytes, struct arena *arena);
/* White space anywhere is skipped; padding is wanted, and nothing but white space after it. False when it is not base64. */
bool mail_base64_decode(struct slice text, struct arena *arena, struct slice *bytes_r);

#endif

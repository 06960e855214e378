/* SPDX-License-Identifier: ISC */
/* The little of JSON (RFC 8259) that commands write. Functions return false when the buffer is full. */
#ifndef POSTERN_CLI_JSON_H
#define POSTERN_CLI_JSON_H

#include "base/buf.h"

/* A string with its quotes. Bytes that are no UTF-8 become U+FFFD. */
bool json_string(struct buf *out, struct slice text);
/* "name": with the colon. The name is a constant of letters. */
bool json_name(struct buf *out, const char *name);

#endif

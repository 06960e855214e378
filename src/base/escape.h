/* SPDX-License-Identifier: ISC */
/*
 * Backslash escapes, and texts in double quotes that hold them, as Exim's configuration, its lookup files and its rules have them
 * (Exim's manual, chapter 6 §17, chapter 11 §1): \b \f \n \r \t \v, one to three octal digits, \x with one or two hexadecimal ones; any
 * other byte behind a backslash stands for itself.
 */
#ifndef POSTERN_BASE_ESCAPE_H
#define POSTERN_BASE_ESCAPE_H

#include "base/arena.h"

/* Up to `most` digits of the base (8 or 16) at *at, which moves behind them. False, with 0, when there is none. */
bool escape_number(struct slice text, size_t *at, unsigned base, size_t most, unsigned *value_r);
/*
 * What the escape stands for whose backslash is before *at, which is less than text.len and moves behind the escape: a byte; above
 * 255 for octal digits that are no byte, of which Exim takes the lower eight bits; 0 for \x without digits.
 */
unsigned escape_take(struct slice text, size_t *at);

/*
 * The text in double quotes with which `text` begins, its escapes replaced, in `arena`; *len_r is how much of `text` it takes, with its
 * quotes. False when the closing quote is missing: it goes on to the end then. It may hold NUL bytes.
 */
bool escape_unquote(struct slice text, struct arena *arena, struct slice *out_r, size_t *len_r);
/* Where byte `index` of a text stands in its written form `raw`, which begins with a double quote or is the text itself. */
size_t escape_offset(struct slice raw, size_t index);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * Header lines as expansions see them: $h_name:, $bh_, $rh_, $lh_ (Exim's manual, chapter 11 §5).
 */
#ifndef POSTERN_EXPAND_HEADER_H
#define POSTERN_EXPAND_HEADER_H

#include "base/arena.h"
#include "expand/expand.h"

struct charset_set;

enum { EXPAND_HEADER_MAX = 64 * 1024 }; /* bytes of all lines of one name together; what is longer is cut */

/*
 * All header lines of that name (without the colon, case ignored) in `headers`, put together as `kind` wants: raw lines as they
 * stand; or without white space around them and empty ones left out, joined by newlines (after a comma where the header holds addresses),
 * decoded (RFC 2047); or as a list. CRLF becomes LF. False when there is no such line. `charsets` is what EXPAND_HEADER
 * decodes with.
 */
bool expand_header(struct slice headers, struct slice name, enum expand_header kind, struct charset_set *charsets, struct arena *arena,
		   struct slice *value_r);

#endif

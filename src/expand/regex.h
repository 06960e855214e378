/* SPDX-License-Identifier: ISC */
/*
 * Regular expressions (PCRE2, pcre2pattern(3)), compiled once, matched with limits: a pattern that backtracks without end is
 * an error after a bounded number of steps, never a hanging server. No just-in-time compiler: a sandboxed role has no memory
 * that is both writable and executable.
 *
 * A regex lies in the arena that compiled it. The memory that a match works with is shared by all expressions of one
 * struct regex_scratch; a match never waits, so tasks of one thread can share it.
 */
#ifndef POSTERN_EXPAND_REGEX_H
#define POSTERN_EXPAND_REGEX_H

#include "base/arena.h"
#include "base/error.h"

enum { REGEX_CAPTURES_MAX = 21, REGEX_PATTERN_MAX = 64 * 1024 };

struct regex;
struct regex_scratch;

struct regex_scratch *regex_scratch_new(void);
/* After the last expression that was compiled with it. Clears the pointer; NULL is allowed. */
void regex_scratch_free(struct regex_scratch **scratch);

/* On failure *column_r (may be NULL) is the byte of the pattern, from 1. UTF-8 mode only where the pattern asks for it: "(*UTF)". */
bool regex_compile(struct arena *arena, struct regex_scratch *scratch, struct slice pattern, bool caseless,
		   const struct regex **regex_r, struct error *error, size_t *column_r);

enum regex_result { REGEX_NO, REGEX_YES, REGEX_LIMIT }; /* LIMIT: *error says which limit; treat as failure */

struct regex_match {
	struct slice captures[REGEX_CAPTURES_MAX]; /* [0]: the whole match; slices of the subject; data NULL when not set */
	size_t count;                              /* 1 and the groups up to the last one that matched */
};

/* `match_r` may be NULL. */
enum regex_result regex_match(const struct regex *regex, struct slice subject, struct regex_match *match_r, struct error *error);
/* From `offset` on (for repeated replacement); an empty match at the offset is allowed only if `allow_empty`. */
enum regex_result regex_match_from(const struct regex *regex, struct slice subject, size_t offset, bool allow_empty,
				   struct regex_match *match_r, struct error *error);

#endif

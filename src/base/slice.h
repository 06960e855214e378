/* SPDX-License-Identifier: ISC */
/*
 * Slices: a pointer and a length, over bytes that somebody else owns. A slice never owns memory and need not end in NUL;
 * it is valid for as long as the bytes below it are (an arena, a buffer that is not appended to, a string constant).
 * All comparisons without case are of ASCII letters only, as mail protocols define them (RFC 5321 §2.4).
 */
#ifndef POSTERN_BASE_SLICE_H
#define POSTERN_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct slice {
	const char *data; /* may be NULL when len is 0 */
	size_t len;       /* in bytes */
};

/* A slice of a string constant. */
#define SLICE(text) ((struct slice){ "" text "", sizeof(text) - 1 })
/* For printf's "%.*s": expands to the two arguments. Lengths are cut at INT_MAX. */
#define SLICE_ARG(s) ((s).len > INT32_MAX ? INT32_MAX : (int)(s).len), ((s).data ? (s).data : "")

/* The whole of a NUL-ended string; NULL gives the empty slice. */
struct slice slice_of(const char *text);
struct slice slice_make(const void *data, size_t len);

bool slice_equal(struct slice a, struct slice b);
bool slice_equal_nocase(struct slice a, struct slice b);
/* Order of bytes, shorter first when one is the start of the other: negative, 0, positive. */
int slice_compare(struct slice a, struct slice b);
int slice_compare_nocase(struct slice a, struct slice b);
bool slice_starts(struct slice s, struct slice prefix);
bool slice_starts_nocase(struct slice s, struct slice prefix);
bool slice_ends_nocase(struct slice s, struct slice suffix);

/* Index of the first such byte, or s.len when there is none. */
size_t slice_find(struct slice s, char byte);
size_t slice_find_last(struct slice s, char byte);
/* From index `from` (cut to s.len) to the end; and the first `n` bytes (cut likewise). */
struct slice slice_from(struct slice s, size_t from);
struct slice slice_first(struct slice s, size_t n);
/* Without leading and trailing spaces, tabs, CR and LF. */
struct slice slice_trim(struct slice s);
/* Cuts *rest at the first `byte`: the part before it is returned, *rest becomes what follows it (empty when there was none). */
struct slice slice_cut(struct slice *rest, char byte);

/* Decimal digits only, the whole slice, at least one digit, at most `max`. False leaves *value_r untouched. */
bool slice_parse_u64(struct slice s, uint64_t max, uint64_t *value_r);
/* Digits of a base up to 16, in either case, likewise; and hexadecimal ones. */
bool slice_parse_base(struct slice s, unsigned base, uint64_t max, uint64_t *value_r);
bool slice_parse_hex(struct slice s, uint64_t max, uint64_t *value_r);
/* A size with an optional suffix K, M or G (powers of 1024), as Exim's integer options take it. */
bool slice_parse_size(struct slice s, uint64_t max, uint64_t *value_r);

/* Copies into `out` with a NUL at the end; false when it would not fit or the slice holds a NUL. */
bool slice_to_cstr(struct slice s, char *out, size_t size);

/* Edit distance with case ignored, for "did you mean"; lengths over 64 count as far away (SIZE_MAX). */
size_t slice_edit_distance(struct slice a, struct slice b);

static inline char ascii_lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c; }
static inline char ascii_upper(char c) { return c >= 'a' && c <= 'z' ? (char)(c - 32) : c; }
/* 0 to 15 for a hexadecimal digit, more for anything else. */
static inline unsigned ascii_digit_value(char c)
{
	char lower = ascii_lower(c);
	return c >= '0' && c <= '9' ? (unsigned)(c - '0') : lower >= 'a' && lower <= 'f' ? (unsigned)(lower - 'a') + 10 : 16;
}
static inline bool ascii_is_digit(char c) { return c >= '0' && c <= '9'; }
static inline bool ascii_is_alpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
static inline bool ascii_is_alnum(char c) { return ascii_is_digit(c) || ascii_is_alpha(c); }
static inline bool ascii_is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
static inline bool ascii_is_print(char c) { return c >= 32 && c < 127; }

#endif

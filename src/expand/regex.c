/* SPDX-License-Identifier: ISC */
/* PCRE2 with memory from arenas and with limits; see regex.h. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "expand/regex.h"

#include "base/fatal.h"

#include <pcre2.h>

/*
 * A pattern that backtracks as far as this takes some tens of milliseconds; patterns as people write them take a few hundred steps.
 * The nesting bounds the compiler's recursion, which happens on a task's stack.
 */
enum { MATCH_LIMIT = 1000000, HEAP_LIMIT_KIB = 16 * 1024, NESTING_LIMIT = 100 };

struct regex_scratch {
	pcre2_match_context *context;
	pcre2_match_data *data;
};

struct regex {
	pcre2_code *code;
	struct regex_scratch *scratch;
};

static void *take(PCRE2_SIZE size, void *arena)
{
	return arena_alloc(arena, size);
}

/* What lies in an arena goes with it. */
static void leave(void *memory, void *arena)
{
	(void)memory;
	(void)arena;
}

struct regex_scratch *regex_scratch_new(void)
{
	struct regex_scratch *scratch = xcalloc(1, sizeof *scratch);
	scratch->context = pcre2_match_context_create(NULL);
	scratch->data = pcre2_match_data_create(REGEX_CAPTURES_MAX, NULL);
	if (!scratch->context || !scratch->data)
		fatal("out of memory for regular expressions");
	pcre2_set_match_limit(scratch->context, MATCH_LIMIT);
	pcre2_set_heap_limit(scratch->context, HEAP_LIMIT_KIB);
	return scratch;
}

void regex_scratch_free(struct regex_scratch **scratch)
{
	if (!*scratch)
		return;
	pcre2_match_data_free((*scratch)->data);
	pcre2_match_context_free((*scratch)->context);
	free(*scratch);
	*scratch = NULL;
}

static bool compile_error(struct slice pattern, int code, PCRE2_SIZE offset, struct error *error, size_t *column_r)
{
	PCRE2_UCHAR reason[160];
	pcre2_get_error_message(code, reason, sizeof reason);
	if (column_r)
		*column_r = offset < pattern.len ? offset + 1 : pattern.len + 1;
	return error_set(error, ERROR_USAGE, "regular expression error in \"%.*s\"%s: %s at byte %zu",
			 SLICE_ARG(slice_first(pattern, 120)), pattern.len > 120 ? "..." : "", (const char *)reason,
			 (size_t)offset + 1);
}

bool regex_compile(struct arena *arena, struct regex_scratch *scratch, struct slice pattern, bool caseless,
		   const struct regex **regex_r, struct error *error, size_t *column_r)
{
	if (pattern.len > REGEX_PATTERN_MAX) {
		if (column_r)
			*column_r = 1;
		return error_set(error, ERROR_USAGE, "a regular expression of %zu bytes is too long; %d is the most", pattern.len,
				 REGEX_PATTERN_MAX);
	}
	pcre2_general_context *general = pcre2_general_context_create(take, leave, arena);
	pcre2_compile_context *context = pcre2_compile_context_create(general);
	pcre2_set_parens_nest_limit(context, NESTING_LIMIT);
	int code;
	PCRE2_SIZE offset;
	/* Matching raw bytes: \C would break a character in the middle under (*UTF) and is of no use otherwise. */
	uint32_t options = PCRE2_NEVER_BACKSLASH_C | (caseless ? PCRE2_CASELESS : 0);
	pcre2_code *compiled = pcre2_compile((PCRE2_SPTR)(pattern.data ? pattern.data : ""), pattern.len, options, &code, &offset, context);
	if (!compiled)
		return compile_error(pattern, code, offset, error, column_r);
	struct regex *regex = arena_new(arena, struct regex);
	*regex = (struct regex){ compiled, scratch };
	*regex_r = regex;
	return true;
}

static enum regex_result match_error(int code, struct error *error)
{
	PCRE2_UCHAR reason[160];
	if (code == PCRE2_ERROR_MATCHLIMIT || code == PCRE2_ERROR_HEAPLIMIT || code == PCRE2_ERROR_DEPTHLIMIT) {
		error_set(error, ERROR_PERMANENT, "a regular expression was given up: it tries too many ways to match this text");
		return REGEX_LIMIT;
	}
	pcre2_get_error_message(code, reason, sizeof reason);
	error_set(error, ERROR_PERMANENT, "a regular expression could not be matched: %s", (const char *)reason);
	return REGEX_LIMIT;
}

static void take_captures(const struct regex *regex, struct slice subject, int count, struct regex_match *match)
{
	const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(regex->scratch->data);
	match->count = count > 0 ? (size_t)count : REGEX_CAPTURES_MAX; /* 0: there were more than fit */
	for (size_t i = 0; i < match->count; i++) {
		size_t start = ends[2 * i], end = ends[2 * i + 1];
		/* \K in a lookahead can put the end before the start. */
		bool set = start != PCRE2_UNSET && start <= end;
		match->captures[i] = set ? slice_make(subject.data + start, end - start) : (struct slice){ 0 };
	}
}

static enum regex_result match(const struct regex *regex, struct slice subject, size_t offset, uint32_t options,
			       struct regex_match *match_r, struct error *error)
{
	if (!subject.data)
		subject = SLICE("");
	int count = pcre2_match(regex->code, (PCRE2_SPTR)subject.data, subject.len, offset, options, regex->scratch->data,
				regex->scratch->context);
	if (count == PCRE2_ERROR_NOMATCH)
		return REGEX_NO;
	if (count < 0)
		return match_error(count, error);
	if (match_r)
		take_captures(regex, subject, count, match_r);
	return REGEX_YES;
}

enum regex_result regex_match(const struct regex *regex, struct slice subject, struct regex_match *match_r, struct error *error)
{
	return match(regex, subject, 0, 0, match_r, error);
}

enum regex_result regex_match_from(const struct regex *regex, struct slice subject, size_t offset, bool allow_empty,
				   struct regex_match *match_r, struct error *error)
{
	ensure(offset <= subject.len);
	return match(regex, subject, offset, allow_empty ? 0 : PCRE2_NOTEMPTY_ATSTART, match_r, error);
}

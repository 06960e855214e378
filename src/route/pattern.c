/* SPDX-License-Identifier: ISC */
#include "route/pattern.h"

#include "expand/regex.h"

struct address_pattern {
	const struct list *list;   /* NULL: a regular expression */
	const struct regex *regex;
	bool negated;              /* of a regular expression, "!" before it */
	bool wild_local_part, wild_domain; /* an asterisk begins it, */
	size_t fixed_local_part, fixed_domain; /* and this many bytes follow */
};

/* The one place where lists are matched for rules. */
static enum expand_result match_addresses(const struct list *list, const struct pattern_subject *subject,
					  const struct expand_context *context, struct arena *arena, bool *yes_r,
					  struct error *error)
{
	struct list_subject probe = { .local_part = subject->local_part, .domain = subject->domain };
	struct list_match match;
	enum expand_result result = list_match(list, &probe, context, arena, &match, error);
	if (result == EXPAND_OK)
		*yes_r = match.yes;
	return result;
}

/* The text of the pattern as it is when the configuration is loaded. */
static bool expand_text(struct arena *arena, struct slice text, const struct pattern_scope *scope, struct slice *text_r,
			struct error *error)
{
	const struct expand_program *program;
	struct expand_value value;
	size_t column;
	if (!expand_compile(arena, text, EXPAND_PLACE_LOAD, scope->language, &program, error, &column))
		return error_context(error, "character %zu of the pattern", column);
	if (expand_constant(program, text_r))
		return true;
	if (!scope->lists->constants)
		return error_set(error, ERROR_USAGE, "the pattern must be constant here");
	switch (expand_run(program, scope->lists->constants, arena, &value, error)) {
	case EXPAND_OK: break;
	case EXPAND_FORCED_FAIL: return error_set(error, ERROR_USAGE, "the pattern was made to fail by its own text");
	default: return false;
	}
	*text_r = value.text;
	return true;
}

static void find_asterisks(struct address_pattern *pattern, struct slice text)
{
	size_t at = slice_find_last(text, '@');
	struct slice local_part = at < text.len ? slice_first(text, at) : (struct slice){ 0 };
	struct slice domain = at < text.len ? slice_from(text, at + 1) : text;
	pattern->wild_local_part = local_part.len && local_part.data[0] == '*';
	pattern->fixed_local_part = pattern->wild_local_part ? local_part.len - 1 : 0;
	pattern->wild_domain = domain.len && domain.data[0] == '*';
	pattern->fixed_domain = pattern->wild_domain ? domain.len - 1 : 0;
}

static bool compile_list(struct arena *arena, struct slice text, const struct pattern_scope *scope, const struct list **list_r,
			 struct error *error)
{
	return list_compile(arena, LIST_ADDRESS, text, scope->lists, list_r, error);
}

static bool compile_regex(struct arena *arena, struct slice text, const struct pattern_scope *scope,
			  struct address_pattern *pattern, struct error *error)
{
	size_t column = 0;
	if (!scope->language || !scope->language->scratch)
		return error_set(error, ERROR_USAGE, "regular expressions are not available here");
	if (regex_compile(arena, scope->language->scratch, text, false, &pattern->regex, error, &column))
		return true;
	return error_context(error, "the regular expression \"%.*s\", character %zu", SLICE_ARG(slice_first(text, 100)), column);
}

bool pattern_compile(struct arena *arena, struct slice text, enum pattern_case local_parts, const struct pattern_scope *scope,
		     const struct address_pattern **pattern_r, struct error *error)
{
	struct address_pattern *pattern = arena_new(arena, struct address_pattern);
	*pattern_r = pattern;
	if (!expand_text(arena, text, scope, &text, error))
		return false;
	struct slice bare = text;
	while (bare.len && (bare.data[0] == '!' || ascii_is_space(bare.data[0]))) {
		pattern->negated = pattern->negated || bare.data[0] == '!';
		bare = slice_from(bare, 1);
	}
	if (!bare.len)
		return error_set(error, ERROR_USAGE, "the pattern is empty");
	if (bare.data[0] == '^')
		return compile_regex(arena, bare, scope, pattern, error);
	/* A list of one: it is expanded already, and a newline, which it cannot hold, separates. */
	if (slice_find(text, '\n') < text.len || memmem(text.data, text.len, "\\N", 2))
		return error_set(error, ERROR_USAGE, "the pattern holds a line end or \\N after its expansion");
	const char *flag = local_parts == PATTERN_CASEFUL ? "+caseful\n" : "";
	text = arena_printf(arena, "\\N<\n%s%.*s\\N", flag, SLICE_ARG(text));
	if (!pattern->negated)
		find_asterisks(pattern, bare);
	return compile_list(arena, text, scope, &pattern->list, error);
}

bool pattern_compile_list(struct arena *arena, struct slice text, const struct pattern_scope *scope,
			  const struct address_pattern **pattern_r, struct error *error)
{
	struct address_pattern *pattern = arena_new(arena, struct address_pattern);
	*pattern_r = pattern;
	return compile_list(arena, text, scope, &pattern->list, error);
}

bool pattern_is_regex(const struct address_pattern *pattern)
{
	return pattern->regex != NULL;
}

static enum expand_result match_regex(const struct address_pattern *pattern, const struct pattern_subject *subject, bool *yes_r,
				      struct expand_value *numbers, struct error *error)
{
	struct regex_match match;
	enum regex_result result = regex_match(pattern->regex, subject->whole, &match, error);
	if (result == REGEX_LIMIT)
		return EXPAND_FAIL;
	*yes_r = (result == REGEX_YES) != pattern->negated;
	for (size_t i = 1; numbers && result == REGEX_YES && i < match.count && i < EXPAND_NUMBERS; i++)
		numbers[i] = (struct expand_value){ slice_make(match.captures[i].data, match.captures[i].len), subject->tainted };
	return EXPAND_OK;
}

/* What the asterisks stand for, in the next free numbers; domains match in lower case, and that is what is given. */
static void take_asterisks(const struct address_pattern *pattern, const struct pattern_subject *subject, struct arena *arena,
			   struct expand_value *numbers)
{
	size_t next = 1;
	if (pattern->wild_local_part && subject->local_part.len >= pattern->fixed_local_part)
		numbers[next++] = (struct expand_value){
			slice_first(subject->local_part, subject->local_part.len - pattern->fixed_local_part), subject->tainted };
	if (pattern->wild_domain && subject->domain.len >= pattern->fixed_domain)
		numbers[next] = (struct expand_value){
			arena_copy_lower(arena, slice_first(subject->domain, subject->domain.len - pattern->fixed_domain)),
			subject->tainted };
}

enum expand_result pattern_match(const struct address_pattern *pattern, const struct pattern_subject *subject,
				 const struct expand_context *context, struct arena *arena, bool *yes_r,
				 struct expand_value *numbers, struct error *error)
{
	enum expand_result result;
	for (size_t i = 0; numbers && i < EXPAND_NUMBERS; i++)
		numbers[i] = (struct expand_value){ 0 };
	*yes_r = false;
	if (pattern->regex)
		result = match_regex(pattern, subject, yes_r, numbers, error);
	else
		result = match_addresses(pattern->list, subject, context, arena, yes_r, error);
	if (result != EXPAND_OK || !*yes_r || !numbers)
		return result;
	numbers[0] = (struct expand_value){ subject->whole, subject->tainted };
	if (!pattern->regex)
		take_asterisks(pattern, subject, arena, numbers);
	return EXPAND_OK;
}

/* SPDX-License-Identifier: ISC */
/* Regular expressions in an evaluation: ${if match and ${sg. */
#include "expand/evaluation.h"

enum expand_result expand_run_regex(struct expand_evaluation *run, const struct regex *constant, struct slice pattern,
				    const struct regex **regex_r)
{
	*regex_r = constant;
	if (constant)
		return EXPAND_OK;
	if (run->regex && slice_equal(pattern, run->pattern)) {
		*regex_r = run->regex;
		return EXPAND_OK;
	}
	const struct expand_language *language = run->context->language;
	if (!language || !language->scratch)
		return expand_run_fail(run, "regular expressions cannot be used here");
	if (!regex_compile(run->arena, language->scratch, pattern, false, regex_r, run->error, NULL)) {
		run->error->kind = ERROR_PERMANENT;
		return EXPAND_FAIL;
	}
	run->regex = *regex_r;
	run->pattern = arena_copy(run->arena, pattern);
	return EXPAND_OK;
}

static void keep_numbers(struct expand_evaluation *run, const struct regex_match *match, bool tainted)
{
	struct expand_value *numbers = arena_array(run->arena, match->count, sizeof *numbers);
	for (size_t i = 0; i < match->count; i++)
		numbers[i] = (struct expand_value){ match->captures[i], tainted };
	run->numbers = (struct expand_numbers){ numbers, match->count };
}

/* A leaf: struct regex_match is large. */
__attribute__((noinline)) enum expand_result expand_run_match(struct expand_evaluation *run, const struct regex *regex,
							       struct expand_value subject, bool *yes_r)
{
	struct regex_match match;
	enum regex_result result = regex_match(regex, subject.text, &match, run->error);
	if (result == REGEX_LIMIT)
		return EXPAND_FAIL;
	*yes_r = result == REGEX_YES;
	if (!*yes_r)
		return EXPAND_OK;
	keep_numbers(run, &match, subject.tainted);
	return EXPAND_OK;
}

/* A text that is being put together, from slices that live long enough. */
struct pieces {
	struct piece {
		struct slice text;
		struct piece *next;
	} *first, **tail;
	size_t len;
	bool tainted;
};

static enum expand_result add_piece(struct expand_evaluation *run, struct pieces *pieces, struct expand_value value)
{
	struct piece *piece = arena_new(run->arena, struct piece);
	piece->text = value.text;
	*pieces->tail = piece;
	pieces->tail = &piece->next;
	pieces->len += value.text.len;
	pieces->tainted |= value.tainted;
	if (pieces->len > run->max_output)
		return expand_run_fail(run, "the result of the expansion is longer than %zu bytes", run->max_output);
	return EXPAND_OK;
}

/* One match and its replacement, which is an expansion string of its own ("\$1"): *at moves to the end of the match. */
static __attribute__((noinline)) enum expand_result next_match(struct expand_evaluation *run, const struct regex *regex,
								struct expand_value subject, size_t *at, bool *allow_empty, bool *found_r,
								struct expand_value *before_r)
{
	struct regex_match match;
	enum regex_result result = regex_match_from(regex, subject.text, *at, *allow_empty, &match, run->error);
	if (result == REGEX_LIMIT)
		return EXPAND_FAIL;
	*found_r = result == REGEX_YES;
	if (!*found_r)
		return EXPAND_OK;
	keep_numbers(run, &match, subject.tainted);
	/* \K can put the start of the match before where the search began. */
	size_t start = match.captures[0].data ? (size_t)(match.captures[0].data - subject.text.data) : *at;
	size_t end = start + match.captures[0].len;
	*before_r = (struct expand_value){ slice_first(slice_from(subject.text, *at), start > *at ? start - *at : 0), subject.tainted };
	/* After an empty match the next one must not be empty at the same place. */
	*allow_empty = match.captures[0].len > 0;
	*at = end > *at ? end : *at;
	return EXPAND_OK;
}

static enum expand_result join(struct expand_evaluation *run, const struct pieces *pieces, struct expand_value *value_r)
{
	char *out = arena_alloc(run->arena, pieces->len + 1);
	size_t at = 0;
	for (const struct piece *piece = pieces->first; piece; piece = piece->next) {
		if (piece->text.len)
			memcpy(out + at, piece->text.data, piece->text.len);
		at += piece->text.len;
	}
	*value_r = (struct expand_value){ slice_make(out, at), pieces->tainted };
	return EXPAND_OK;
}

static enum expand_result replace(struct expand_evaluation *run, const struct regex *regex, struct expand_value subject,
				  const struct expand_sequence *replacement, struct expand_value *value_r)
{
	struct pieces pieces = { .tainted = subject.tainted };
	struct expand_value before, with;
	size_t at = 0;
	bool found = true, allow_empty = true;
	enum expand_result result = EXPAND_OK;
	pieces.tail = &pieces.first;
	while (result == EXPAND_OK && at <= subject.text.len) {
		result = expand_run_step(run);
		if (result == EXPAND_OK)
			result = next_match(run, regex, subject, &at, &allow_empty, &found, &before);
		if (result != EXPAND_OK || !found)
			break;
		result = add_piece(run, &pieces, before);
		if (result == EXPAND_OK)
			result = expand_run_sequence(run, replacement, &with);
		if (result == EXPAND_OK)
			result = add_piece(run, &pieces, with);
	}
	if (result == EXPAND_OK)
		result = add_piece(run, &pieces, (struct expand_value){ slice_from(subject.text, at), subject.tainted });
	return result == EXPAND_OK ? join(run, &pieces, value_r) : result;
}

/* The replacement was expanded with everything else; what it then holds is expanded once more for each match. */
enum expand_result expand_item_sg(struct expand_evaluation *run, const struct expand_item *item, struct expand_value *value_r)
{
	struct expand_value *arguments;
	const struct regex *regex;
	const struct expand_program *replacement;
	enum expand_result result = expand_run_arguments(run, item->arguments, item->count, &arguments);
	if (result == EXPAND_OK)
		result = expand_run_regex(run, item->regex, arguments[1].text, &regex);
	if (result != EXPAND_OK)
		return result;
	replacement = item->replacement;
	if (!replacement)
		result = expand_run_compile(run, arguments[2], &replacement);
	if (result != EXPAND_OK)
		return result;
	struct expand_numbers numbers = run->numbers;
	result = replace(run, regex, arguments[0], &replacement->body, value_r);
	run->numbers = numbers;
	return result;
}

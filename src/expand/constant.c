/* SPDX-License-Identifier: ISC */
/* What can be said of a program without running it, and its results as other things than text. */
#include "expand/compiler.h"

bool expand_constant(const struct expand_program *program, struct slice *text_r)
{
	return expand_sequence_constant(&program->body, text_r);
}

struct slice expand_constant_prefix(const struct expand_program *program)
{
	return expand_sequence_prefix(&program->body);
}

bool expand_uses(const struct expand_program *program, enum expand_variable variable)
{
	return program->variables[variable / 64] >> variable % 64 & 1;
}

void expand_clean_error(struct error *error)
{
	for (char *c = error->text; *c; c++)
		if ((unsigned char)*c < 32 || *c == 127)
			*c = '?';
}

static bool is_word_of(struct slice text, const char *const words[], size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (slice_equal_nocase(text, slice_of(words[i])))
			return true;
	return false;
}

/* Digits, perhaps after a minus: *value_r tells whether they are other than zero. */
static bool is_integer(struct slice text, bool *value_r)
{
	if (text.len && text.data[0] == '-')
		text = slice_from(text, 1);
	*value_r = false;
	for (size_t i = 0; i < text.len; i++) {
		if (!ascii_is_digit(text.data[i]))
			return false;
		*value_r |= text.data[i] != '0';
	}
	return text.len > 0;
}

bool expand_to_bool(struct slice text, bool lax, bool *value_r, struct error *error)
{
	static const char *const no[] = { "false", "no" }, *const yes[] = { "true", "yes" };
	struct slice word = slice_trim(text);
	if (lax) {
		*value_r = word.len > 0 && !is_word_of(word, no, 2) && !slice_equal(word, SLICE("0"));
		return true;
	}
	if (is_integer(word, value_r))
		return true;
	*value_r = is_word_of(word, yes, 2);
	if (*value_r || word.len == 0 || is_word_of(word, no, 2))
		return true;
	return error_set(error, ERROR_PERMANENT, "unrecognised boolean value \"%.*s\"", SLICE_ARG(slice_first(word, 100)));
}

static bool scale(char suffix, int64_t *number)
{
	static const struct {
		char letter;
		int64_t factor;
	} factors[] = { { 'k', 1 << 10 }, { 'm', 1 << 20 }, { 'g', 1 << 30 } };
	for (size_t i = 0; i < sizeof factors / sizeof *factors; i++)
		if (suffix == factors[i].letter)
			return !__builtin_mul_overflow(*number, factors[i].factor, number);
	return true;
}

bool expand_to_number(struct slice text, int64_t *number_r, struct error *error)
{
	struct slice rest = slice_trim(text);
	bool negative = rest.len && rest.data[0] == '-', fits = true;
	int64_t number = 0;
	size_t at = rest.len && (negative || rest.data[0] == '+') ? 1 : 0, start = at;
	for (; at < rest.len && ascii_is_digit(rest.data[at]); at++)
		fits = fits && !__builtin_mul_overflow(number, 10, &number) &&
		       !(negative ? __builtin_sub_overflow(number, rest.data[at] - '0', &number) :
				    __builtin_add_overflow(number, rest.data[at] - '0', &number));
	text = slice_first(text, 100);
	if (at == start && rest.len)
		return error_set(error, ERROR_PERMANENT, "integer expected but \"%.*s\" found", SLICE_ARG(text));
	if (at < rest.len && strchr("kmgKMG", rest.data[at]))
		fits = fits && scale(ascii_lower(rest.data[at++]), &number);
	if (at != rest.len)
		return error_set(error, ERROR_PERMANENT, "invalid integer \"%.*s\"", SLICE_ARG(text));
	if (!fits)
		return error_set(error, ERROR_PERMANENT, "absolute value of integer \"%.*s\" is too large (overflow)", SLICE_ARG(text));
	*number_r = number;
	return true;
}

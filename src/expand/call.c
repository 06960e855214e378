/* SPDX-License-Identifier: ISC */
/* What the functions of operators and items share: results, errors and numbers; see functions.h. */
#include "expand/functions.h"

enum expand_result expand_fail(struct expand_call *call, const char *format, ...)
{
	char text[sizeof(call->error->text)];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	for (char *c = text; *c; c++) /* an error is one line, whatever was in the text that it quotes */
		if ((unsigned char)*c < 32 || *c == 127)
			*c = '?';
	error_set(call->error, ERROR_PERMANENT, "%s", text);
	return EXPAND_FAIL;
}

struct slice expand_call_text(const struct expand_call *call)
{
	return call->argument_count > 0 ? call->arguments[call->argument_count - 1].text : SLICE("");
}

enum expand_result expand_call_give(struct expand_call *call, struct slice out)
{
	call->out.text = out;
	return EXPAND_OK;
}

enum expand_result expand_call_give_clear(struct expand_call *call, struct slice out)
{
	call->out.tainted = false;
	return expand_call_give(call, out);
}

enum expand_result expand_call_give_number(struct expand_call *call, int64_t number)
{
	return expand_call_give_clear(call, arena_printf(call->arena, "%jd", (intmax_t)number));
}

static bool parse_number(struct slice text, bool *negative_r, int64_t *number_r)
{
	while (text.len > 0 && (ascii_is_space(*text.data) || *text.data == '\v' || *text.data == '\f'))
		text = slice_from(text, 1);
	*negative_r = text.len > 0 && *text.data == '-';
	if (text.len > 0 && (*text.data == '-' || *text.data == '+')) {
		text = slice_from(text, 1);
		if (text.len == 0)
			return false;
	}
	int64_t number = 0;
	for (size_t i = 0; i < text.len; i++) {
		if (!ascii_is_digit(text.data[i]))
			return false;
		if (number < INT64_MAX / 100) /* further digits only make it larger */
			number = number * 10 + (text.data[i] - '0');
	}
	*number_r = *negative_r ? -number : number;
	return true;
}

bool expand_call_number(struct expand_call *call, struct slice text, bool may_be_negative, int64_t *number_r)
{
	bool negative;
	bool good = parse_number(text, &negative, number_r);
	if (good && (may_be_negative || !negative))
		return true;
	expand_fail(call, "\"%.*s\" is not a %snumber (in \"%s\" expansion)", SLICE_ARG(slice_first(text, 100)),
		    may_be_negative ? "" : "positive ", call->name);
	return false;
}

bool expand_call_numbers(struct expand_call *call, bool negative, int64_t *first_r, int64_t *second_r)
{
	struct slice numbers[2] = { 0 };
	size_t count = call->modifier_count;
	for (size_t i = 0; i < count; i++) {
		if (i > 1 || (i == 1 && call->modifiers[i].len == 0)) {
			expand_fail(call, "non-digit after underscore in \"%s_...\"", call->name);
			return false;
		}
		numbers[i] = call->modifiers[i];
	}
	if (call->argument_count > 1) {
		count = call->argument_count - 1;
		for (size_t i = 0; i < count && i < 2; i++)
			numbers[i] = call->arguments[i].text;
	}
	if (count == 0) {
		expand_fail(call, "missing values after %s", call->name);
		return false;
	}
	*second_r = -1;
	return expand_call_number(call, numbers[0], negative, first_r) &&
	       (count < 2 || expand_call_number(call, numbers[1], false, second_r));
}

/* SPDX-License-Identifier: ISC */
/* Operators on numbers: other bases, arithmetic, time intervals, chance. */
#include "expand/functions.h"

#include "base/interval.h"
#include "expand/eval.h"

#include <openssl/rand.h>

static const char base32_digits[] = "abcdefghijklmnopqrstuvwxyz234567";
static const char base62_digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/* Digits of `number`, at least `least` of them, with zeros in front. */
static struct slice to_base(struct arena *arena, uint64_t number, const char *digits, unsigned base, size_t least)
{
	char text[64];
	size_t at = sizeof(text);
	while (number > 0 || sizeof(text) - at < least) {
		text[--at] = digits[number % base];
		number /= base;
	}
	return arena_copy(arena, slice_make(text + at, sizeof(text) - at));
}

static enum expand_result give_in_base(struct expand_call *call, const char *digits, unsigned base, size_t least)
{
	struct slice text = expand_call_text(call);
	uint64_t number = 0;
	if (text.len > 0 && !slice_parse_u64(text, UINT64_MAX, &number))
		return expand_fail(call, "argument for %s operator is \"%.*s\", which is not a decimal number", call->name,
				   SLICE_ARG(slice_first(text, 100)));
	return expand_call_give_clear(call, to_base(call->arena, number, digits, base, least));
}

static enum expand_result give_from_base(struct expand_call *call, const char *digits, unsigned base)
{
	struct slice text = expand_call_text(call);
	uint64_t number = 0;
	for (size_t i = 0; i < text.len; i++) {
		const char *digit = text.data[i] ? strchr(digits, text.data[i]) : NULL;
		if (!digit)
			return expand_fail(call, "argument for %s operator is \"%.*s\", which is not a base %u number",
					   call->name, SLICE_ARG(slice_first(text, 100)), base);
		if (__builtin_mul_overflow(number, (uint64_t)base, &number) ||
		    __builtin_add_overflow(number, (uint64_t)(digit - digits), &number))
			return expand_fail(call, "argument for %s operator is \"%.*s\", which is too large", call->name,
					   SLICE_ARG(slice_first(text, 100)));
	}
	return expand_call_give_clear(call, arena_printf(call->arena, "%ju", (uintmax_t)number));
}

enum expand_result operator_base32(struct expand_call *call) { return give_in_base(call, base32_digits, 32, 0); }
enum expand_result operator_base32d(struct expand_call *call) { return give_from_base(call, base32_digits, 32); }
enum expand_result operator_base62(struct expand_call *call) { return give_in_base(call, base62_digits, 62, 6); }
enum expand_result operator_base62d(struct expand_call *call) { return give_from_base(call, base62_digits, 62); }

static enum expand_result give_value(struct expand_call *call, bool decimal)
{
	int64_t value;
	struct error error;
	if (!expand_eval(expand_call_text(call), decimal, &value, &error))
		return expand_fail(call, "%s", error.text);
	return expand_call_give_number(call, value);
}

enum expand_result operator_eval(struct expand_call *call) { return give_value(call, false); }
enum expand_result operator_eval10(struct expand_call *call) { return give_value(call, true); }

enum expand_result operator_time_eval(struct expand_call *call)
{
	/* 31 bits, as Exim's intervals have. */
	const struct interval_rule rule = { .max = INT32_MAX };
	struct slice text = expand_call_text(call);
	int64_t seconds;
	if (!interval_parse(text, &rule, &seconds))
		return expand_fail(call, "string \"%.*s\" is not an Exim time interval in \"%s\" operator",
				   SLICE_ARG(slice_first(text, 100)), call->name);
	return expand_call_give_number(call, seconds);
}

enum expand_result operator_time_interval(struct expand_call *call)
{
	struct slice text = expand_call_text(call);
	uint64_t seconds = 0;
	if (text.len > 0 && !slice_parse_u64(text, INT64_MAX, &seconds))
		return expand_fail(call, "string \"%.*s\" is not a positive number in \"%s\" operator",
				   SLICE_ARG(slice_first(text, 100)), call->name);
	char out[32];
	return expand_call_give_clear(call, arena_copy(call->arena, slice_make(out, interval_format((int64_t)seconds, out, sizeof out))));
}

/* Evenly from 0 to limit - 1: numbers in the last, incomplete, round of the generator's range are drawn again. */
static bool draw(uint64_t limit, uint64_t *number_r)
{
	uint64_t usable = UINT64_MAX - UINT64_MAX % limit;
	do {
		if (RAND_bytes((unsigned char *)number_r, sizeof(*number_r)) != 1)
			return false;
	} while (*number_r >= usable);
	*number_r %= limit;
	return true;
}

enum expand_result operator_randint(struct expand_call *call)
{
	struct slice text = expand_call_text(call);
	uint64_t limit, number = 0;
	bool negative = text.len > 1 && text.data[0] == '-' && ascii_is_digit(text.data[1]);
	if (!slice_parse_size(text, INT64_MAX, &limit))
		return expand_fail(call, "%sinteger expected but \"%.*s\" found", negative ? "non-negative " : "",
				   SLICE_ARG(slice_first(text, 100)));
	if (limit > 1 && !draw(limit, &number))
		return expand_fail(call, "no random numbers are to be had");
	return expand_call_give_number(call, (int64_t)number);
}

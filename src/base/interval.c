/* SPDX-License-Identifier: ISC */
#include "base/interval.h"

#include "base/fatal.h"

#include <stdio.h>

static const struct {
	char letter;
	int64_t seconds;
} units[] = { { 'w', 7 * 24 * 3600 }, { 'd', 24 * 3600 }, { 'h', 3600 }, { 'm', 60 }, { 's', 1 } };

enum { UNITS = sizeof units / sizeof *units, SECONDS = UNITS - 1, TEXT_MAX = 32 };

/* The unit that is next, if one is there or need not be; UNITS otherwise. */
static size_t take_unit(struct slice *text, const struct interval_rule *rule)
{
	if (!text->len || !ascii_is_alpha(text->data[0]))
		return rule->bare ? SECONDS : UNITS;
	char letter = rule->any_case ? ascii_lower(text->data[0]) : text->data[0];
	size_t unit = 0;
	while (unit < UNITS && units[unit].letter != letter)
		unit++;
	*text = slice_from(*text, 1);
	return unit;
}

bool interval_take(struct slice *text, const struct interval_rule *rule, int64_t *seconds_r)
{
	struct slice rest = *text;
	int64_t total = 0;
	size_t least = 0;
	do {
		size_t digits = 0;
		uint64_t number;
		while (digits < rest.len && ascii_is_digit(rest.data[digits]))
			digits++;
		if (!slice_parse_u64(slice_first(rest, digits), rule->number_max ? rule->number_max : UINT64_MAX, &number))
			return false;
		rest = slice_from(rest, digits);
		size_t unit = take_unit(&rest, rule);
		if (unit == UNITS || unit < least || number > (uint64_t)(rule->max - total) / (uint64_t)units[unit].seconds)
			return false;
		total += (int64_t)number * units[unit].seconds;
		least = rule->falling ? unit + 1 : 0;
	} while (rest.len && ascii_is_digit(rest.data[0]));
	*text = rest;
	*seconds_r = total;
	return true;
}

bool interval_parse(struct slice text, const struct interval_rule *rule, int64_t *seconds_r)
{
	int64_t seconds;
	if (!interval_take(&text, rule, &seconds) || text.len)
		return false;
	*seconds_r = seconds;
	return true;
}

size_t interval_format(int64_t seconds, char *out, size_t size)
{
	size_t len = 0;
	ensure(size >= TEXT_MAX);
	if (seconds <= 0)
		return (size_t)snprintf(out, size, "0s");
	for (size_t i = 0; i < UNITS; seconds %= units[i++].seconds)
		if (seconds >= units[i].seconds)
			len += (size_t)snprintf(out + len, size - len, "%lld%c", (long long)(seconds / units[i].seconds), units[i].letter);
	return len;
}

/* SPDX-License-Identifier: ISC */
#include "conf/value.h"

#include "base/escape.h"
#include "base/interval.h"

#include <stdio.h>

bool conf_value_unquote(struct arena *arena, struct slice text, struct slice *out_r, struct error *error)
{
	if (!text.len || text.data[0] != '"') {
		*out_r = text;
		return true;
	}
	size_t len;
	if (!escape_unquote(text, arena, out_r, &len))
		return error_set(error, ERROR_USAGE, "expected a double quote at the end of the string that begins with one");
	if (slice_find(*out_r, '\0') < out_r->len)
		return error_set(error, ERROR_USAGE, "a string cannot hold a NUL byte");
	if (slice_trim(slice_from(text, len)).len)
		return error_set(error, ERROR_USAGE, "expected nothing behind the closing double quote");
	return true;
}

bool conf_value_bool(struct slice text, bool *out_r, struct error *error)
{
	bool yes = slice_equal_nocase(text, SLICE("yes")) || slice_equal_nocase(text, SLICE("true"));
	if (!yes && !slice_equal_nocase(text, SLICE("no")) && !slice_equal_nocase(text, SLICE("false")))
		return error_set(error, ERROR_USAGE, "expected yes, no, true or false");
	*out_r = yes;
	return true;
}

bool conf_value_integer(struct slice text, int64_t *out_r, struct error *error)
{
	struct slice s = text;
	uint64_t value = 0, unit = 1;
	bool negative = s.len && s.data[0] == '-';
	if (negative)
		s = slice_from(s, 1);
	if (s.len) {
		char last = ascii_upper(s.data[s.len - 1]);
		unit = last == 'K' ? 1 << 10 : last == 'M' ? 1 << 20 : last == 'G' ? 1 << 30 : 1;
	}
	if (unit > 1)
		s.len--;
	unsigned base = 10;
	if (slice_starts_nocase(s, SLICE("0x"))) {
		base = 16;
		s = slice_from(s, 2);
	} else if (s.len > 1 && s.data[0] == '0') {
		base = 8;
	}
	if (!slice_parse_base(s, base, UINT64_MAX, &value))
		return error_set(error, ERROR_USAGE,
				 "expected a number, such as 100, 50M or 0x1f; K, M and G stand for 1024, 1024*1024 "
				 "and 1024*1024*1024");
	if (__builtin_mul_overflow(value, unit, &value) || value > INT64_MAX)
		return error_set(error, ERROR_USAGE, "the number is too large");
	*out_r = negative ? -(int64_t)value : (int64_t)value;
	return true;
}

bool conf_value_octal(struct slice text, unsigned *out_r, struct error *error)
{
	uint64_t value;
	if (!slice_parse_base(text, 8, 07777, &value))
		return error_set(error, ERROR_USAGE, "expected an octal number up to 7777, such as 0700");
	*out_r = (unsigned)value;
	return true;
}

bool conf_value_time(struct slice text, int64_t *seconds_r, struct error *error)
{
	const struct interval_rule rule = { .any_case = true, .max = INT64_C(100) * 366 * 86400 };
	return interval_parse(text, &rule, seconds_r) ||
	       error_set(error, ERROR_USAGE, "expected a time, such as 30s, 5m, 1h30m or 2d (s, m, h, d, w), at most 100 years");
}

/* An item of the list, its doubled separators made single. *at moves past the separator that ended it. */
static struct slice next_item(struct arena *arena, struct slice text, size_t *at, char separator)
{
	bool doubles = (unsigned char)separator >= 32 && separator != 127;
	size_t end = *at, from = *at, len = 0;
	while (end < text.len &&
	       (text.data[end] != separator || (doubles && end + 1 < text.len && text.data[end + 1] == separator)))
		end += text.data[end] == separator ? 2 : 1;
	char *out = arena_alloc(arena, end - from + 1);
	for (size_t i = from; i < end; i += text.data[i] == separator ? 2 : 1)
		out[len++] = text.data[i];
	*at = end + 1;
	return slice_trim(slice_make(out, len));
}

struct conf_strings conf_value_strings(struct arena *arena, struct slice text)
{
	char separator = ':';
	text = slice_trim(text);
	if (text.len >= 2 && text.data[0] == '<' && !ascii_is_alnum(text.data[1]) && text.data[1] != ' ') {
		separator = text.data[1];
		text = slice_from(text, 2);
	}
	size_t room = 1, count = 0;
	for (size_t i = 0; i < text.len; i++)
		room += text.data[i] == separator;
	struct slice *items = arena_array(arena, room, sizeof *items);
	for (size_t at = 0; at < text.len;) {
		size_t before = at;
		struct slice item = next_item(arena, text, &at, separator);
		bool last = at > text.len;
		/* An empty item at the end is none: trailing separators and blanks are ignored. */
		if (!item.len && (last || !slice_trim(slice_from(text, before)).len))
			break;
		items[count++] = item;
	}
	return (struct conf_strings){ items, count };
}

size_t conf_format_integer(int64_t value, char *out, size_t size)
{
	static const struct { int shift; char letter; } units[] = { { 30, 'G' }, { 20, 'M' }, { 10, 'K' } };
	for (size_t i = 0; value && i < sizeof units / sizeof *units; i++)
		if (value % (INT64_C(1) << units[i].shift) == 0)
			return (size_t)snprintf(out, size, "%lld%c", (long long)(value / (INT64_C(1) << units[i].shift)),
						units[i].letter);
	return (size_t)snprintf(out, size, "%lld", (long long)value);
}

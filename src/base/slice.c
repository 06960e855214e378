/* SPDX-License-Identifier: ISC */
#include "base/slice.h"

#include <string.h>

struct slice slice_of(const char *text)
{
	return (struct slice){ text, text ? strlen(text) : 0 };
}

struct slice slice_make(const void *data, size_t len)
{
	return (struct slice){ data, len };
}

bool slice_equal(struct slice a, struct slice b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

int slice_compare(struct slice a, struct slice b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int order = n ? memcmp(a.data, b.data, n) : 0;
	if (order)
		return order;
	return a.len < b.len ? -1 : a.len > b.len;
}

int slice_compare_nocase(struct slice a, struct slice b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	for (size_t i = 0; i < n; i++) {
		unsigned char x = (unsigned char)ascii_lower(a.data[i]), y = (unsigned char)ascii_lower(b.data[i]);
		if (x != y)
			return x < y ? -1 : 1;
	}
	return a.len < b.len ? -1 : a.len > b.len;
}

bool slice_equal_nocase(struct slice a, struct slice b)
{
	return a.len == b.len && slice_compare_nocase(a, b) == 0;
}

bool slice_starts(struct slice s, struct slice prefix)
{
	return s.len >= prefix.len && slice_equal(slice_first(s, prefix.len), prefix);
}

bool slice_starts_nocase(struct slice s, struct slice prefix)
{
	return s.len >= prefix.len && slice_equal_nocase(slice_first(s, prefix.len), prefix);
}

bool slice_ends_nocase(struct slice s, struct slice suffix)
{
	return s.len >= suffix.len && slice_equal_nocase(slice_from(s, s.len - suffix.len), suffix);
}

size_t slice_find(struct slice s, char byte)
{
	const char *at = s.len ? memchr(s.data, byte, s.len) : NULL;
	return at ? (size_t)(at - s.data) : s.len;
}

size_t slice_find_last(struct slice s, char byte)
{
	const char *at = s.len ? memrchr(s.data, byte, s.len) : NULL;
	return at ? (size_t)(at - s.data) : s.len;
}

struct slice slice_from(struct slice s, size_t from)
{
	if (from > s.len)
		from = s.len;
	return (struct slice){ s.len ? s.data + from : s.data, s.len - from };
}

struct slice slice_first(struct slice s, size_t n)
{
	return (struct slice){ s.data, n < s.len ? n : s.len };
}

struct slice slice_trim(struct slice s)
{
	while (s.len && ascii_is_space(s.data[0]))
		s = slice_from(s, 1);
	while (s.len && ascii_is_space(s.data[s.len - 1]))
		s.len--;
	return s;
}

struct slice slice_cut(struct slice *rest, char byte)
{
	size_t at = slice_find(*rest, byte);
	struct slice head = slice_first(*rest, at);
	*rest = slice_from(*rest, at + 1);
	return head;
}

bool slice_parse_base(struct slice s, unsigned base, uint64_t max, uint64_t *value_r)
{
	uint64_t value = 0;
	if (s.len == 0)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		unsigned digit = ascii_digit_value(s.data[i]);
		if (digit >= base || __builtin_mul_overflow(value, (uint64_t)base, &value) ||
		    __builtin_add_overflow(value, (uint64_t)digit, &value))
			return false;
	}
	if (value > max)
		return false;
	*value_r = value;
	return true;
}

bool slice_parse_u64(struct slice s, uint64_t max, uint64_t *value_r)
{
	return slice_parse_base(s, 10, max, value_r);
}

bool slice_parse_hex(struct slice s, uint64_t max, uint64_t *value_r)
{
	return slice_parse_base(s, 16, max, value_r);
}

bool slice_parse_size(struct slice s, uint64_t max, uint64_t *value_r)
{
	uint64_t unit = 1, value;
	if (s.len) {
		char last = ascii_upper(s.data[s.len - 1]);
		unit = last == 'K' ? 1024 : last == 'M' ? 1024 * 1024 : last == 'G' ? 1024 * 1024 * 1024 : 1;
	}
	if (unit > 1)
		s.len--;
	if (!slice_parse_base(s, 10, UINT64_MAX, &value) || __builtin_mul_overflow(value, unit, &value) || value > max)
		return false;
	*value_r = value;
	return true;
}

bool slice_to_cstr(struct slice s, char *out, size_t size)
{
	if (s.len >= size || slice_find(s, '\0') != s.len)
		return false;
	if (s.len)
		memcpy(out, s.data, s.len);
	out[s.len] = '\0';
	return true;
}

size_t slice_edit_distance(struct slice a, struct slice b)
{
	size_t row[65];
	if (a.len > 64 || b.len > 64)
		return SIZE_MAX;
	for (size_t j = 0; j <= b.len; j++)
		row[j] = j;
	for (size_t i = 1; i <= a.len; i++) {
		size_t diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= b.len; j++) {
			size_t best = diagonal + (ascii_lower(a.data[i - 1]) != ascii_lower(b.data[j - 1]));
			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[b.len];
}

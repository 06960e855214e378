/* SPDX-License-Identifier: ISC */
#include "base/escape.h"

#include "base/fatal.h"

#include <string.h>

bool escape_number(struct slice text, size_t *at, unsigned base, size_t most, unsigned *value_r)
{
	size_t start = *at;
	*value_r = 0;
	for (; *at < text.len && *at - start < most; ++*at) {
		unsigned digit = ascii_digit_value(text.data[*at]);
		if (digit >= base)
			break;
		*value_r = *value_r * base + digit;
	}
	return *at > start;
}

unsigned escape_take(struct slice text, size_t *at)
{
	static const char letters[] = "bfnrtv", bytes[] = "\b\f\n\r\t\v";
	unsigned value;
	ensure(*at < text.len);
	if (escape_number(text, at, 8, 3, &value))
		return value;
	char c = text.data[(*at)++];
	if (c == 'x') {
		escape_number(text, at, 16, 2, &value);
		return value;
	}
	const char *letter = c ? strchr(letters, c) : NULL;
	return (unsigned char)(letter ? bytes[letter - letters] : c);
}

bool escape_unquote(struct slice text, struct arena *arena, struct slice *out_r, size_t *len_r)
{
	char *out = arena_alloc(arena, text.len + 1);
	size_t len = 0, at = 1;
	while (at < text.len && text.data[at] != '"') {
		char c = text.data[at++];
		out[len++] = c == '\\' && at < text.len ? (char)escape_take(text, &at) : c;
	}
	*out_r = slice_make(out, len);
	*len_r = at < text.len ? at + 1 : text.len;
	return at < text.len;
}

size_t escape_offset(struct slice raw, size_t index)
{
	size_t at = 1;
	if (!raw.len || raw.data[0] != '"')
		return index;
	for (; index && at < raw.len; index--)
		if (raw.data[at++] == '\\' && at < raw.len)
			escape_take(raw, &at);
	return at;
}

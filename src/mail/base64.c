/* SPDX-License-Identifier: ISC */
/* Base64; see base64.h. */
#include "mail/base64.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

struct slice mail_base64_encode(struct slice bytes, struct arena *arena)
{
	size_t size = (bytes.len + 2) / 3 * 4;
	char *out = arena_alloc(arena, size + 1);
	size_t at = 0;
	for (size_t i = 0; i < bytes.len; i += 3) {
		size_t count = bytes.len - i < 3 ? bytes.len - i : 3;
		unsigned group = 0;
		for (size_t j = 0; j < 3; j++)
			group = group << 8 | (j < count ? (unsigned char)bytes.data[i + j] : 0);
		for (size_t j = 0; j < 4; j++)
			out[at++] = j <= count ? digits[(group >> (18 - 6 * j)) & 63] : '=';
	}
	return slice_make(out, size);
}

static int digit_value(char c)
{
	const char *digit = c ? strchr(digits, c) : NULL;
	return digit ? (int)(digit - digits) : -1;
}

/* The next character that is no white space; 0 at the end. */
static char next(struct slice *rest)
{
	while (rest->len > 0) {
		char c = *rest->data;
		*rest = slice_from(*rest, 1);
		if (!ascii_is_space(c))
			return c ? c : (char)-1; /* NUL is no digit */
	}
	return 0;
}

bool mail_base64_decode(struct slice text, struct arena *arena, struct slice *bytes_r)
{
	char *out = arena_alloc(arena, text.len / 4 * 3 + 4);
	size_t size = 0;
	struct slice rest = text;
	for (;;) {
		char c[4];
		for (int i = 0; i < 4; i++)
			c[i] = next(&rest);
		if (c[0] == 0)
			break;
		int value[4];
		for (int i = 0; i < 4; i++)
			value[i] = digit_value(c[i]);
		int count = c[2] == '=' && c[3] == '=' ? 1 : c[3] == '=' ? 2 : 3;
		for (int i = 0; i <= count; i++)
			if (value[i] < 0)
				return false;
		unsigned group = 0;
		for (int i = 0; i < 4; i++)
			group = group << 6 | (i <= count ? (unsigned)value[i] : 0);
		for (int i = 0; i < count; i++)
			out[size++] = (char)(group >> (16 - 8 * i));
		if (count < 3 && next(&rest) != 0)
			return false;
	}
	*bytes_r = slice_make(out, size);
	return true;
}

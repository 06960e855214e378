/* SPDX-License-Identifier: ISC */
#include "mail/utf8.h"

/* RFC 3629 §4, "Syntax of UTF-8 Byte Sequences": what may follow each first byte. */
static const struct {
	unsigned char first_low, first_high, second_low, second_high, length;
} forms[] = {
	{ 0x00, 0x7f, 0, 0, 1 },       { 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 },
	{ 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 }, { 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 },
	{ 0xf4, 0xf4, 0x80, 0x8f, 4 },
};

size_t mail_utf8_char(struct slice s)
{
	if (s.len == 0)
		return 0;
	const unsigned char *byte = (const unsigned char *)s.data;
	for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
		if (byte[0] < forms[i].first_low || byte[0] > forms[i].first_high)
			continue;
		size_t length = forms[i].length;
		if (length == 1)
			return 1;
		if (s.len < length || byte[1] < forms[i].second_low || byte[1] > forms[i].second_high)
			return 0;
		for (size_t k = 2; k < length; k++)
			if ((byte[k] & 0xc0) != 0x80)
				return 0;
		return length;
	}
	return 0;
}

bool mail_utf8_valid(struct slice s)
{
	while (s.len) {
		size_t length = mail_utf8_char(s);
		if (length == 0)
			return false;
		s = slice_from(s, length);
	}
	return true;
}

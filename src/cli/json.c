/* SPDX-License-Identifier: ISC */
#include "cli/json.h"

/* Length of the well-formed UTF-8 character (RFC 3629 §4) at the start, or 0. */
static size_t utf8_length(struct slice s)
{
	const unsigned char *b = (const unsigned char *)s.data;
	size_t len = b[0] < 0x80 ? 1
		     : b[0] >= 0xc2 && b[0] < 0xe0 ? 2
		     : (b[0] & 0xf0) == 0xe0 ? 3
		     : b[0] >= 0xf0 && b[0] < 0xf5 ? 4
						   : 0;
	if (!len || len > s.len)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((b[i] & 0xc0) != 0x80)
			return 0;
	bool overlong = (b[0] == 0xe0 && b[1] < 0xa0) || (b[0] == 0xf0 && b[1] < 0x90);
	bool outside = (b[0] == 0xed && b[1] >= 0xa0) || (b[0] == 0xf4 && b[1] >= 0x90);
	return overlong || outside ? 0 : len;
}

bool json_string(struct buf *out, struct slice text)
{
	bool fits = buf_append_byte(out, '"');
	while (fits && text.len) {
		char c = text.data[0];
		size_t len = utf8_length(text);
		if (!len)
			fits = buf_append(out, SLICE("\xef\xbf\xbd"));
		else if (c == '"' || c == '\\')
			fits = buf_append_byte(out, '\\') && buf_append_byte(out, c);
		else if ((unsigned char)c < 32 || c == 127)
			fits = buf_printf(out, "\\u%04x", (unsigned)c);
		else
			fits = buf_append(out, slice_first(text, len));
		text = slice_from(text, len ? len : 1);
	}
	return fits && buf_append_byte(out, '"');
}

bool json_name(struct buf *out, const char *name)
{
	return buf_printf(out, "\"%s\":", name);
}

/* SPDX-License-Identifier: ISC */
/*
 * Line ends in messages. Whole runs are searched with memchr, which the C library does many octets at a time: one pass for
 * NUL, and one each for LF and CR in lines; no octet is copied.
 */
#include "smtp/internal.h"

enum smtp_stop smtp_scan_lines(struct slice text, bool dots, bool *line_start, size_t *good_r)
{
	size_t end = slice_find(text, '\0'), at = 0;
	for (;;) {
		struct slice rest = { text.data + at, end - at };
		size_t lf = slice_find(rest, '\n'), cr = slice_find(slice_first(rest, lf), '\r');
		bool found_cr = cr < lf;
		if (lf == rest.len) {
			*good_r = at + cr;
			if (cr > 0)
				*line_start = false;
			if (!found_cr)
				return end < text.len ? SMTP_STOP_NUL : SMTP_STOP_END;
			return at + cr + 1 == text.len ? SMTP_STOP_CR : SMTP_STOP_BARE_CR;
		}
		if (!found_cr || cr + 1 != lf) {
			*good_r = at + cr;
			if (cr > 0)
				*line_start = false;
			return found_cr ? SMTP_STOP_BARE_CR : SMTP_STOP_BARE_LF;
		}
		at += lf + 1;
		*line_start = true;
		if (at == text.len || (dots && text.data[at] == '.')) {
			*good_r = at;
			return at == text.len ? SMTP_STOP_END : SMTP_STOP_DOT;
		}
	}
}

enum smtp_dot smtp_look_at_dot(struct slice at)
{
	if (at.len < 2 || (at.data[1] == '\r' && at.len < 3))
		return SMTP_DOT_MORE;
	return at.data[1] == '\r' && at.data[2] == '\n' ? SMTP_DOT_END : SMTP_DOT_STUFFED;
}

size_t smtp_skip_lines(struct slice text, bool *line_start, bool *end_r)
{
	size_t at = 0;
	*end_r = false;
	while (at < text.len) {
		struct slice rest = slice_from(text, at);
		if (*line_start && rest.data[0] == '.') {
			enum smtp_dot dot = smtp_look_at_dot(rest);
			if (dot == SMTP_DOT_MORE)
				return at;
			*end_r = dot == SMTP_DOT_END;
			if (*end_r)
				return at + 3;
		}
		size_t lf = slice_find(rest, '\n');
		if (lf == rest.len) {
			/* A CR at the very end stays: an LF may follow it. */
			size_t skip = rest.data[rest.len - 1] == '\r' ? rest.len - 1 : rest.len;
			if (skip)
				*line_start = false;
			return at + skip;
		}
		*line_start = lf > 0 && rest.data[lf - 1] == '\r';
		at += lf + 1;
	}
	return at;
}

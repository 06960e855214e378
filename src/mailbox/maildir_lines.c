/* SPDX-License-Identifier: ISC */
#include "mailbox/maildir_private.h"

#include <string.h>

void maildir_lines_count(struct maildir_lines *lines, const char *data, size_t size)
{
	const char *at = data, *end = data + size;
	while (at < end && (at = memchr(at, '\n', (size_t)(end - at)))) {
		lines->bare_feeds += (at == data ? lines->last : at[-1]) != '\r';
		at++;
	}
	lines->size += size;
	if (size)
		lines->last = data[size - 1];
}

size_t maildir_lines_convert(struct maildir_lines *lines, char *out, const char *in, size_t size)
{
	const char *end = in + size;
	char *start = out;
	if (size == 0)
		return 0;
	if (lines->cr && *in != '\n')
		*out++ = '\r';
	lines->cr = false;
	/* Runs without a CR move as a whole. */
	while (in < end) {
		const char *cr = memchr(in, '\r', (size_t)(end - in));
		size_t run = (size_t)((cr ? cr : end) - in);
		memmove(out, in, run);
		out += run;
		in += run;
		if (!cr)
			break;
		in++;
		if (in == end)
			lines->cr = true;
		else if (*in != '\n')
			*out++ = '\r';
	}
	maildir_lines_count(lines, start, (size_t)(out - start));
	return (size_t)(out - start);
}

size_t maildir_lines_finish(struct maildir_lines *lines, char *out)
{
	if (!lines->cr)
		return 0;
	lines->cr = false;
	*out = '\r';
	maildir_lines_count(lines, out, 1);
	return 1;
}

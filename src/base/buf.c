/* SPDX-License-Identifier: ISC */
#include "base/buf.h"

#include "base/fatal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SMALLEST = 256, KEPT = 4096 };

void buf_init(struct buf *buf, size_t max)
{
	*buf = (struct buf){ .max = max };
}

void buf_free(struct buf *buf)
{
	free(buf->data);
	*buf = (struct buf){ .max = buf->max };
}

void buf_reset(struct buf *buf)
{
	if (buf->size > KEPT)
		buf_free(buf);
	buf->start = buf->end = 0;
}

char *buf_reserve(struct buf *buf, size_t want)
{
	size_t len = buf_len(buf);
	if (want > buf->max || len > buf->max - want)
		return NULL;
	if (want <= buf->size - buf->end)
		return buf->data + buf->end;
	if (buf->start && len + want <= buf->size) {
		memmove(buf->data, buf->data + buf->start, len);
	} else {
		size_t size = buf->size ? buf->size : SMALLEST;
		while (size < len + want)
			size = size < SIZE_MAX / 2 ? size * 2 : len + want;
		char *data = xrealloc(NULL, size);
		if (len)
			memcpy(data, buf->data + buf->start, len);
		free(buf->data);
		buf->data = data;
		buf->size = size;
	}
	buf->start = 0;
	buf->end = len;
	return buf->data + buf->end;
}

void buf_commit(struct buf *buf, size_t filled)
{
	ensure(filled <= buf->size - buf->end);
	buf->end += filled;
}

void buf_consume(struct buf *buf, size_t n)
{
	ensure(n <= buf_len(buf));
	buf->start += n;
	if (buf->start == buf->end)
		buf->start = buf->end = 0;
}

bool buf_append(struct buf *buf, struct slice s)
{
	char *room = buf_reserve(buf, s.len);
	if (!room && s.len)
		return false;
	if (s.len)
		memcpy(room, s.data, s.len);
	buf->end += s.len;
	return true;
}

bool buf_append_byte(struct buf *buf, char byte)
{
	return buf_append(buf, slice_make(&byte, 1));
}

bool buf_vprintf(struct buf *buf, const char *format, va_list args)
{
	va_list again;
	char none[1];
	va_copy(again, args);
	int n = vsnprintf(none, sizeof none, format, again);
	va_end(again);
	ensure(n >= 0);
	char *room = buf_reserve(buf, (size_t)n + 1);
	if (!room)
		return false;
	vsnprintf(room, (size_t)n + 1, format, args);
	buf->end += (size_t)n;
	return true;
}

bool buf_printf(struct buf *buf, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	bool fits = buf_vprintf(buf, format, args);
	va_end(args);
	return fits;
}

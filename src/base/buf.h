/* SPDX-License-Identifier: ISC */
/*
 * Growable byte buffers with a bound. Bytes are appended at the end and consumed at the start; the slice of what is inside
 * is valid until the next call that appends or frees. An append that would pass the bound fails and changes nothing.
 */
#ifndef POSTERN_BASE_BUF_H
#define POSTERN_BASE_BUF_H

#include "base/slice.h"

#include <stdarg.h>

struct buf {
	char *data;
	size_t start, end; /* the content is data[start..end) */
	size_t size;       /* of data */
	size_t max;        /* most bytes of content; never 0 after buf_init */
};

/* `max`: the most bytes that it may hold. Takes no memory yet. */
void buf_init(struct buf *buf, size_t max);
void buf_free(struct buf *buf);
/* Empties it and gives memory above 4 KiB back. */
void buf_reset(struct buf *buf);

static inline size_t buf_len(const struct buf *buf) { return buf->end - buf->start; }
static inline struct slice buf_slice(const struct buf *buf)
{
	return (struct slice){ buf->data ? buf->data + buf->start : NULL, buf->end - buf->start };
}

/* False when the bound would be passed: nothing was appended. */
bool buf_append(struct buf *buf, struct slice s);
bool buf_append_byte(struct buf *buf, char byte);
bool buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool buf_vprintf(struct buf *buf, const char *format, va_list args) __attribute__((format(printf, 2, 0)));

/* Room for at least `want` bytes at the end (NULL past the bound), and how many of them were then filled. */
char *buf_reserve(struct buf *buf, size_t want);
void buf_commit(struct buf *buf, size_t filled);
/* Drops the first n bytes (n at most buf_len). When it becomes empty, the start is rewound. */
void buf_consume(struct buf *buf, size_t n);

#endif

/* SPDX-License-Identifier: ISC */
#include "spool/spool.h"

#include "base/cleanup.h"
#include "base/fatal.h"

#include <errno.h>
#include <unistd.h>

enum { EXPORT_BUFFER = 64 * 1024 };

void spool_free(struct spool *spool)
{
	if (spool)
		spool->ops->free(spool);
}

bool spool_begin(struct spool *spool, const struct spool_envelope *envelope, struct spool_writer **writer_r,
		 struct error *error)
{
	return spool->ops->begin(spool, envelope, writer_r, error);
}

bool spool_append(struct spool_writer *writer, int fd, uint64_t offset, uint64_t size, struct error *error)
{
	return writer->spool->ops->append(writer, fd, offset, size, error);
}

bool spool_append_bytes(struct spool_writer *writer, struct slice bytes, struct error *error)
{
	return writer->spool->ops->append_bytes(writer, bytes, error);
}

void spool_commit(struct spool *spool, struct spool_writer *writers[], size_t count, struct error results[])
{
	spool->ops->commit(spool, writers, count, results);
}

void spool_abort(struct spool_writer *writer)
{
	if (writer)
		writer->spool->ops->abort(writer);
}

bool spool_scan(struct spool *spool, const struct spool_scan *scan, struct error *error)
{
	return spool->ops->scan(spool, scan, error);
}

bool spool_read(struct spool *spool, const struct message_id *id, struct arena *arena, struct spool_message *message_r,
		struct error *error)
{
	return spool->ops->read(spool, id, arena, message_r, error);
}

bool spool_verify(struct spool *spool, const struct message_id *id, struct error *error)
{
	return spool->ops->verify(spool, id, error);
}

static bool write_out(int fd, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t written = write(fd, data, size);
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return false;
		data += written;
		size -= (size_t)written;
	}
	return true;
}

static bool copy_out(int from, uint64_t offset, uint64_t end, int to, const char *id, struct error *error)
{
	_cleanup_heap_ char *buffer = xrealloc(NULL, EXPORT_BUFFER);
	while (offset < end) {
		size_t want = end - offset < EXPORT_BUFFER ? (size_t)(end - offset) : EXPORT_BUFFER;
		ssize_t got = files_read_full(&files_real, from, buffer, want, offset);
		if (got < 0)
			return error_set_errno(error, (int)-got, "reading message %s", id);
		if (got == 0)
			return error_set(error, ERROR_PERMANENT, "message %s is shorter than its first line says", id);
		if (!write_out(to, buffer, (size_t)got))
			return error_set_errno(error, errno, "exporting message %s", id);
		offset += (uint64_t)got;
	}
	return true;
}

bool spool_export(struct spool *spool, const struct message_id *id, int fd, bool with_envelope, struct error *error)
{
	_cleanup_(arena_free) struct arena arena;
	struct spool_message message;
	arena_init(&arena, 0);
	if (!spool_read(spool, id, &arena, &message, error))
		return false;
	_cleanup_fd_ int from = message.fd;
	return copy_out(from, with_envelope ? 0 : message.body_offset, message.body_offset + message.body_size, fd, id->text,
			error);
}

bool spool_record(struct spool *spool, const struct spool_record records[], size_t count, struct error *error)
{
	return spool->ops->record(spool, records, count, error);
}

bool spool_remove(struct spool *spool, const struct message_id ids[], size_t count, bool durable, struct error *error)
{
	return spool->ops->remove(spool, ids, count, durable, error);
}

void spool_figures(struct spool *spool, struct spool_figures *figures_r)
{
	spool->ops->figures(spool, figures_r);
}

bool spool_is_broken(struct spool *spool)
{
	return spool->ops->is_broken(spool);
}

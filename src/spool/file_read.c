/* SPDX-License-Identifier: ISC */
#include "spool/file_spool.h"

#include "base/cleanup.h"
#include "base/crc32c.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

enum { FIRST_READ = 8192, CHECK_BUFFER = 64 * 1024 };

/* The message is not what was written: error->number is 0, unlike for a failure to read. */
static bool damaged(struct error *error, const char *what)
{
	return error_set(error, ERROR_PERMANENT, "%s", what);
}

static bool unreadable(struct error *error, const struct message_id *id, int failure)
{
	return error_set_errno(error, -failure, "reading message %.16s of the spool", id->text);
}

/*
 * First line and envelope, into the arena. `lines_r` is what stands between first line and blank line. Nothing is
 * allocated by a size that the length of the file does not bear out.
 */
static bool read_lines(struct file_spool *spool, int fd, uint64_t file_size, const struct message_id *id,
		       struct arena *arena, struct spool_header *header_r, struct slice *lines_r, struct error *error)
{
	size_t want = file_size < FIRST_READ ? (size_t)file_size : FIRST_READ;
	char *start = arena_alloc(arena, want);
	ssize_t got = files_read_full(spool->files, fd, start, want, 0);
	if (got < 0)
		return unreadable(error, id, (int)got);
	if (!spool_header_parse(slice_first(slice_make(start, (size_t)got), SPOOL_HEADER_LEN), header_r))
		return damaged(error, "the first line is not that of a message");
	uint64_t lines = (uint64_t)SPOOL_HEADER_LEN + header_r->envelope_size + 1;
	if (lines > file_size || file_size - lines != header_r->body_size)
		return damaged(error, "the file's length is not what its first line says");
	if ((uint64_t)got < lines) {
		start = arena_alloc(arena, (size_t)lines);
		got = files_read_full(spool->files, fd, start, (size_t)lines, 0);
		if (got < 0)
			return unreadable(error, id, (int)got);
	}
	if ((uint64_t)got < lines || start[lines - 1] != '\n')
		return damaged(error, "no blank line where its first line says that the envelope ends");
	*lines_r = slice_make(start + SPOOL_HEADER_LEN, header_r->envelope_size);
	return true;
}

static bool check_identifier(const struct spool_envelope *envelope, const struct message_id *id, struct error *error)
{
	return slice_equal(slice_of(envelope->id.text), slice_of(id->text)) || damaged(error, "its envelope has another identifier");
}

bool file_spool_parse(struct slice text, const struct message_id *id, struct arena *arena, struct spool_envelope *envelope_r,
		      struct slice *body_r, struct error *error)
{
	struct spool_header header;
	if (!spool_header_parse(slice_first(text, SPOOL_HEADER_LEN), &header))
		return damaged(error, "the first line is not that of a message");
	uint64_t lines = (uint64_t)SPOOL_HEADER_LEN + header.envelope_size + 1;
	if (lines > text.len || text.len - lines != header.body_size || text.data[lines - 1] != '\n')
		return damaged(error, "its length is not what its first line says");
	struct slice rest = slice_from(text, SPOOL_HEADER_LEN);
	if (spool_header_crc(crc32c(0, rest.data, rest.len), header.body_size, header.envelope_size) != header.crc)
		return damaged(error, "its bytes are not those of its check (CRC-32C)");
	if (!spool_envelope_parse(slice_first(rest, header.envelope_size), arena, envelope_r, error) || !check_identifier(envelope_r, id, error))
		return false;
	envelope_r->body_size = header.body_size;
	*body_r = slice_from(text, (size_t)lines);
	return true;
}

bool file_spool_load(struct file_spool *spool, const struct message_id *id, struct arena *arena,
		     struct spool_message *message_r, struct spool_header *header_r, struct error *error)
{
	struct spool_message message = { .fd = -1 };
	struct slice lines;
	struct stat stat;
	_cleanup_fd_ int fd = spool->files->ops->open(spool->files, file_spool_dir(spool, id), id->text,
						      O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	if (fd < 0)
		return fd == -ELOOP ? damaged(error, "it is a symbolic link") : unreadable(error, id, fd);
	int result = spool->files->ops->stat(spool->files, fd, &stat);
	if (result < 0)
		return unreadable(error, id, result);
	if (!S_ISREG(stat.st_mode))
		return damaged(error, "it is not a file");
	if (!read_lines(spool, fd, (uint64_t)stat.st_size, id, arena, header_r, &lines, error) ||
	    !spool_envelope_parse(lines, arena, &message.envelope, error) || !check_identifier(&message.envelope, id, error))
		return false;
	message.envelope.body_size = message.body_size = header_r->body_size;
	message.body_offset = (uint64_t)SPOOL_HEADER_LEN + header_r->envelope_size + 1;
	message.fd = fd_take(&fd);
	*message_r = message;
	return true;
}

bool file_spool_check(struct file_spool *spool, const struct spool_message *message, const struct spool_header *header,
		      struct error *error)
{
	uint64_t at = SPOOL_HEADER_LEN, end = message->body_offset + message->body_size;
	size_t size = end - at < CHECK_BUFFER ? (size_t)(end - at) : CHECK_BUFFER;
	_cleanup_heap_ char *buffer = xrealloc(NULL, size);
	uint32_t crc = 0;
	while (at < end) {
		size_t want = end - at < size ? (size_t)(end - at) : size;
		ssize_t got = files_read_full(spool->files, message->fd, buffer, want, at);
		if (got < 0)
			return unreadable(error, &message->envelope.id, (int)got);
		if (got == 0)
			return damaged(error, "the file became shorter while it was read");
		crc = crc32c(crc, buffer, (size_t)got);
		at += (uint64_t)got;
	}
	if (spool_header_crc(crc, header->body_size, header->envelope_size) != header->crc)
		return damaged(error, "its bytes are not those of its check (CRC-32C)");
	return true;
}

/* All of a journal that is open. */
static bool read_journal(struct file_spool *spool, int fd, const struct message_id *id, struct arena *arena,
			 struct slice *text_r, struct error *error)
{
	struct stat stat;
	int result = spool->files->ops->stat(spool->files, fd, &stat);
	if (result < 0)
		return unreadable(error, id, result);
	if (!S_ISREG(stat.st_mode) || stat.st_size > SPOOL_JOURNAL_MAX)
		return damaged(error, "its journal is not a file, or is too long to be one");
	char *text = arena_alloc(arena, (size_t)stat.st_size + 1);
	ssize_t got = files_read_full(spool->files, fd, text, (size_t)stat.st_size, 0);
	if (got < 0)
		return unreadable(error, id, (int)got);
	*text_r = slice_make(text, (size_t)got);
	return true;
}

bool file_spool_load_journal(struct file_spool *spool, struct arena *arena, struct spool_envelope *envelope, bool *exists_r,
			     struct spool_journal_report *report_r, struct error *error)
{
	char name[FILE_SPOOL_NAME];
	struct slice text;
	*report_r = (struct spool_journal_report){ 0 };
	*exists_r = false;
	file_spool_journal_name(&envelope->id, name);
	int dir = file_spool_dir(spool, &envelope->id);
	_cleanup_fd_ int fd = spool->files->ops->open(spool->files, dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	if (fd == -ENOENT)
		return true;
	if (fd < 0)
		return fd == -ELOOP ? damaged(error, "its journal is a symbolic link") : unreadable(error, &envelope->id, fd);
	*exists_r = true;
	if (!read_journal(spool, fd, &envelope->id, arena, &text, error))
		return false;
	spool_journal_apply(text, arena, envelope, report_r);
	return true;
}

bool file_spool_read(struct spool *base, const struct message_id *id, struct arena *arena, struct spool_message *message_r,
		     struct error *error)
{
	struct file_spool *spool = file_spool_of(base);
	struct spool_journal_report report;
	struct spool_header header;
	struct spool_entry entry;
	bool exists;
	if (!file_spool_find(spool, id, &entry, error) || !file_spool_load(spool, id, arena, message_r, &header, error))
		return false;
	if (!entry.journal || file_spool_load_journal(spool, arena, &message_r->envelope, &exists, &report, error))
		return true;
	spool->files->ops->close(spool->files, message_r->fd);
	message_r->fd = -1;
	return false;
}

bool file_spool_verify(struct spool *base, const struct message_id *id, struct error *error)
{
	struct file_spool *spool = file_spool_of(base);
	struct spool_message message;
	struct spool_header header;
	struct spool_entry entry;
	_cleanup_(arena_free) struct arena arena;
	arena_init(&arena, 0);
	if (!file_spool_find(spool, id, &entry, error) || !file_spool_load(spool, id, &arena, &message, &header, error))
		return false;
	bool good = file_spool_check(spool, &message, &header, error);
	spool->files->ops->close(spool->files, message.fd);
	return good;
}

/* SPDX-License-Identifier: ISC */
#include "spool/file_spool.h"

#include "base/crc32c.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/*
 * A small message is kept in `buffer` with first line and envelope in front of it, and written once, when all of it is
 * known; until then it has no file. Of a longer one the buffer holds what was not written yet, and the first line is written again at the end.
 */
struct writer {
	struct spool_writer base; /* first */
	struct spool_entry entry;
	int fd;           /* -1: no file yet */
	bool named;       /* the file has its temporary name, to be taken away */
	bool failed;      /* only good for abort */
	uint32_t crc;     /* of envelope, blank line and the body so far */
	uint32_t envelope_size;
	uint64_t written; /* bytes in the file */
	struct buf buffer;
};

static struct file_spool *spool_of(struct writer *writer)
{
	return file_spool_of(writer->base.spool);
}

/* Whatever hinders the spool may pass or be repaired: a sender is to try again. */
static bool storing_failed(struct writer *writer, int failure, struct error *error)
{
	writer->failed = true;
	error_set_errno(error, -failure, "storing message %s", writer->entry.id.text);
	error->kind = ERROR_TEMPORARY;
	return false;
}

static bool open_file(struct writer *writer, struct error *error)
{
	struct file_spool *spool = spool_of(writer);
	const struct file_ops *ops = spool->files->ops;
	char name[FILE_SPOOL_NAME];
	int dir = file_spool_dir(spool, &writer->entry.id);
	bool named = spool->how == FILES_LINK_NONE;
	if (writer->fd >= 0)
		return true;
	file_spool_temporary_name(&writer->entry.id, name);
	int fd = named ? ops->open(spool->files, dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600) :
			 ops->open(spool->files, dir, ".", O_WRONLY | O_TMPFILE, 0600);
	if (fd < 0)
		return storing_failed(writer, fd, error);
	writer->fd = fd;
	writer->named = named;
	return true;
}

static void end_writer(struct writer *writer)
{
	struct file_spool *spool = spool_of(writer);
	char name[FILE_SPOOL_NAME];
	if (writer->fd >= 0)
		spool->files->ops->close(spool->files, writer->fd);
	if (writer->named) {
		/* If this fails, the next scan takes it away. */
		file_spool_temporary_name(&writer->entry.id, name);
		spool->files->ops->unlink(spool->files, file_spool_dir(spool, &writer->entry.id), name);
	}
	buf_free(&writer->buffer);
	free(writer);
}

void file_spool_abort(struct spool_writer *base)
{
	end_writer((struct writer *)base);
}

/* First line (to be filled in), envelope and blank line into the buffer. */
static bool put_envelope(struct writer *writer, const struct spool_envelope *envelope, struct error *error)
{
	char *line = buf_reserve(&writer->buffer, 8192);
	memset(line, ' ', SPOOL_HEADER_LEN);
	buf_commit(&writer->buffer, SPOOL_HEADER_LEN);
	if (!spool_envelope_format(envelope, &writer->buffer, error) || !buf_append_byte(&writer->buffer, '\n'))
		return false;
	struct slice lines = slice_from(buf_slice(&writer->buffer), SPOOL_HEADER_LEN);
	writer->envelope_size = (uint32_t)(lines.len - 1);
	writer->crc = crc32c(0, lines.data, lines.len);
	return true;
}

bool file_spool_begin(struct spool *base, const struct spool_envelope *envelope, struct spool_writer **writer_r,
		      struct error *error)
{
	struct file_spool *spool = file_spool_of(base);
	if (!file_spool_usable(spool, error))
		return false;
	struct writer *writer = xcalloc(1, sizeof *writer);
	writer->base.spool = base;
	writer->fd = -1;
	/* The envelope may be larger than what is else kept in memory. */
	buf_init(&writer->buffer, (size_t)SPOOL_ENVELOPE_MAX + SPOOL_HEADER_LEN + 1 + FILE_SPOOL_BUFFER);
	if (!put_envelope(writer, envelope, error)) {
		end_writer(writer);
		return false;
	}
	writer->entry = (struct spool_entry){ .id = envelope->id, .recipients = (uint32_t)envelope->recipient_count,
					      .received_ns = envelope->received_ns };
	*writer_r = &writer->base;
	return true;
}

static bool flush(struct writer *writer, struct error *error)
{
	struct file_spool *spool = spool_of(writer);
	struct slice waiting = buf_slice(&writer->buffer);
	if (!open_file(writer, error))
		return false;
	int result = files_write_all(spool->files, writer->fd, waiting.data, waiting.len, writer->written);
	if (result < 0)
		return storing_failed(writer, result, error);
	writer->written += waiting.len;
	buf_consume(&writer->buffer, waiting.len);
	return true;
}

/* Takes in bytes of the body that were put at the end of the buffer. */
static bool took(struct writer *writer, size_t count, struct error *error)
{
	char *bytes = writer->buffer.data + writer->buffer.end;
	writer->crc = crc32c(writer->crc, bytes, count);
	buf_commit(&writer->buffer, count);
	writer->entry.body_size += count;
	return buf_len(&writer->buffer) < FILE_SPOOL_BUFFER || flush(writer, error);
}

/* How much may be put into the buffer before it is to be written. */
static size_t room_in(const struct writer *writer)
{
	size_t waiting = buf_len(&writer->buffer);
	return waiting < FILE_SPOOL_BUFFER ? FILE_SPOOL_BUFFER - waiting : FILE_SPOOL_BUFFER;
}

bool file_spool_append(struct spool_writer *base, int fd, uint64_t offset, uint64_t size, struct error *error)
{
	struct writer *writer = (struct writer *)base;
	const struct files *files = spool_of(writer)->files;
	while (size > 0) {
		size_t want = room_in(writer);
		if (want > size)
			want = (size_t)size;
		ssize_t got = files->ops->pread(files, fd, buf_reserve(&writer->buffer, want), want, offset);
		if (got <= 0)
			return storing_failed(writer, got < 0 ? (int)got : -EIO, error);
		if (!took(writer, (size_t)got, error))
			return false;
		offset += (uint64_t)got;
		size -= (uint64_t)got;
	}
	return true;
}

bool file_spool_append_bytes(struct spool_writer *base, struct slice bytes, struct error *error)
{
	struct writer *writer = (struct writer *)base;
	while (bytes.len > 0) {
		struct slice part = slice_first(bytes, room_in(writer));
		memcpy(buf_reserve(&writer->buffer, part.len), part.data, part.len);
		if (!took(writer, part.len, error))
			return false;
		bytes = slice_from(bytes, part.len);
	}
	return true;
}

static void format_first_line(const struct writer *writer, char line[SPOOL_HEADER_LEN + 1])
{
	uint64_t size = writer->entry.body_size;
	uint32_t crc = spool_header_crc(writer->crc, size, writer->envelope_size);
	spool_header_format(&(struct spool_header){ size, crc, writer->envelope_size }, line);
}

bool file_spool_text(struct spool_writer *base, struct spool_entry *entry_r, struct slice *text_r)
{
	struct writer *writer = (struct writer *)base;
	char line[SPOOL_HEADER_LEN + 1];
	if (writer->failed || writer->written > 0)
		return false;
	format_first_line(writer, line);
	memcpy(writer->buffer.data + writer->buffer.start, line, SPOOL_HEADER_LEN);
	*text_r = buf_slice(&writer->buffer);
	*entry_r = writer->entry;
	return true;
}

/* Writes what is left, and the first line now that it is known. */
static bool finish_writer(struct writer *writer, struct error *error)
{
	char line[SPOOL_HEADER_LEN + 1];
	struct spool_entry entry;
	struct slice text;
	if (writer->failed)
		return error_set(error, ERROR_TEMPORARY, "storing message %s failed before", writer->entry.id.text);
	bool small = file_spool_text(&writer->base, &entry, &text);
	if (!flush(writer, error))
		return false;
	if (small)
		return true;
	format_first_line(writer, line);
	const struct files *files = spool_of(writer)->files;
	int result = files_write_all(files, writer->fd, line, SPOOL_HEADER_LEN, 0);
	return result == 0 || storing_failed(writer, result, error);
}

/* A commit under way. results[i].kind says which writers are still in it. */
struct commit {
	struct file_spool *spool;
	struct writer **writers;
	struct error *results;
	size_t count;
};

static bool alive(const struct commit *commit, size_t i)
{
	return commit->results[i].kind == ERROR_NONE;
}

/* The disk is not to be trusted: nobody is told that his message is safe. */
static void fail_all(struct commit *commit, const struct error *error)
{
	for (size_t i = 0; i < commit->count; i++)
		if (alive(commit, i))
			commit->results[i] = *error;
}

static size_t finish_all(struct commit *commit)
{
	size_t good = 0;
	for (size_t i = 0; i < commit->count; i++)
		good += finish_writer(commit->writers[i], &commit->results[i]);
	return good;
}

static bool sync_all(struct commit *commit, size_t good, struct error *error)
{
	const struct files *files = commit->spool->files;
	/* Started together, the writes of many files overlap; one alone is as well started by its sync. */
	for (size_t i = 0; good > 1 && i < commit->count; i++)
		if (alive(commit, i))
			files->ops->start_writeback(files, commit->writers[i]->fd);
	for (size_t i = 0; i < commit->count; i++) {
		int result = alive(commit, i) ? files->ops->sync_data(files, commit->writers[i]->fd) : 0;
		if (result < 0)
			return file_spool_break(commit->spool, result, error, "a message of the spool");
	}
	return true;
}

static void link_one(struct commit *commit, size_t i, bool marked[FILE_SPOOL_DIRECTORIES])
{
	struct file_spool *spool = commit->spool;
	struct writer *writer = commit->writers[i];
	const struct message_id *id = &writer->entry.id;
	int dir = file_spool_dir(spool, id), result;
	if (writer->named) {
		char name[FILE_SPOOL_NAME];
		file_spool_temporary_name(id, name);
		result = spool->files->ops->rename_new(spool->files, dir, name, dir, id->text);
		writer->named = result < 0;
	} else {
		result = spool->files->ops->link_anonymous(spool->files, spool->how, writer->fd, dir, id->text);
	}
	if (result < 0)
		storing_failed(writer, result, &commit->results[i]);
	else
		marked[file_spool_index(id)] = true;
}

static bool link_all(struct commit *commit, struct error *error)
{
	bool marked[FILE_SPOOL_DIRECTORIES] = { false };
	for (size_t i = 0; i < commit->count; i++)
		if (alive(commit, i))
			link_one(commit, i, marked);
	return file_spool_sync(commit->spool, marked, error);
}

static void enter_all(struct commit *commit)
{
	pthread_mutex_lock(&commit->spool->mutex);
	for (size_t i = 0; i < commit->count; i++)
		if (alive(commit, i))
			ensure(spool_table_add(&commit->spool->table, &commit->writers[i]->entry));
	pthread_mutex_unlock(&commit->spool->mutex);
}

void file_spool_commit(struct spool *base, struct spool_writer *writers[], size_t count, struct error results[])
{
	struct commit commit = { file_spool_of(base), (struct writer **)writers, results, count };
	struct error error = { 0 };
	for (size_t i = 0; i < count; i++)
		results[i] = (struct error){ 0 };
	if (!file_spool_usable(commit.spool, &error) || !sync_all(&commit, finish_all(&commit), &error) ||
	    !link_all(&commit, &error))
		fail_all(&commit, &error);
	else
		enter_all(&commit);
	for (size_t i = 0; i < count; i++)
		end_writer(commit.writers[i]);
}

/* SPDX-License-Identifier: ISC */
#include "spool/file_spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

enum {
	OPEN_AT_ONCE = 64, /* journals of one batch that are open together */
	LINES_MAX = SPOOL_JOURNAL_MAX,
};

/* One journal with what is to be appended to it in this batch. */
struct append {
	struct spool_entry entry;
	int fd;
	size_t added; /* bytes */
};

static bool recording_failed(const struct message_id *id, int failure, struct error *error)
{
	error_set_errno(error, -failure, "writing to the journal of message %s", id->text);
	error->kind = ERROR_TEMPORARY;
	return false;
}

static int compare_records(const void *a, const void *b)
{
	const struct spool_record *x = *(const struct spool_record *const *)a, *y = *(const struct spool_record *const *)b;
	int order = memcmp(x->id.text, y->id.text, MESSAGE_ID_LEN);
	/* Those of one message keep their order: they lie in one array. */
	return order ? order : (x > y) - (x < y);
}

static bool format_lines(const struct spool_record *const records[], size_t count, const struct spool_entry *entry,
			 struct buf *lines, struct error *error)
{
	for (size_t i = 0; i < count; i++) {
		bool about_recipient = records[i]->kind == SPOOL_RECORD_DELIVERED || records[i]->kind == SPOOL_RECORD_FAILED;
		if (about_recipient && records[i]->recipient >= entry->recipients)
			return error_set(error, ERROR_PERMANENT, "message %s has no recipient number %u", entry->id.text,
					 records[i]->recipient);
		if (!spool_record_format(records[i], lines))
			return error_set(error, ERROR_PERMANENT, "a record of message %s cannot be stored", entry->id.text);
	}
	if (entry->journal_size + buf_len(lines) > SPOOL_JOURNAL_MAX)
		return error_set(error, ERROR_PERMANENT, "the journal of message %s is full", entry->id.text);
	return true;
}

/* Opens the journal and writes the lines behind its last good record; what a failure left is cut off again. */
static bool write_lines(struct file_spool *spool, struct append *append, struct slice lines, struct error *error)
{
	const struct files *files = spool->files;
	char name[FILE_SPOOL_NAME];
	file_spool_journal_name(&append->entry.id, name);
	append->fd = files->ops->open(files, file_spool_dir(spool, &append->entry.id), name,
				      O_WRONLY | O_CREAT | O_NOFOLLOW, 0600);
	if (append->fd < 0)
		return recording_failed(&append->entry.id, append->fd, error);
	int result = files_write_all(files, append->fd, lines.data, lines.len, append->entry.journal_size);
	if (result == 0) {
		append->added = lines.len;
		return true;
	}
	if (files->ops->truncate(files, append->fd, append->entry.journal_size) < 0)
		atomic_store(&spool->broken, true);
	return recording_failed(&append->entry.id, result, error);
}

static bool append_group(struct file_spool *spool, const struct spool_record *const records[], size_t count,
			 struct append *append, struct error *error)
{
	struct buf lines;
	buf_init(&lines, LINES_MAX);
	append->fd = -1;
	append->added = 0;
	bool good = file_spool_find(spool, &records[0]->id, &append->entry, error) &&
		format_lines(records, count, &append->entry, &lines, error) &&
		write_lines(spool, append, buf_slice(&lines), error);
	buf_free(&lines);
	return good;
}

/* Syncs what was appended. Names of new journals are synced by the caller, by directory. */
static bool sync_appends(struct file_spool *spool, struct append *appends, size_t count,
			 bool marked[FILE_SPOOL_DIRECTORIES], struct error *error)
{
	const struct files *files = spool->files;
	for (size_t i = 0; count > 1 && i < count; i++)
		if (appends[i].added)
			files->ops->start_writeback(files, appends[i].fd);
	for (size_t i = 0; i < count; i++) {
		int result = appends[i].added ? files->ops->sync_data(files, appends[i].fd) : 0;
		if (result < 0)
			return file_spool_break(spool, result, error, "a journal of the spool");
		if (appends[i].added && !appends[i].entry.journal_named)
			marked[file_spool_index(&appends[i].entry.id)] = true;
	}
	return true;
}

static void note_appends(struct file_spool *spool, const struct append *appends, size_t count)
{
	pthread_mutex_lock(&spool->mutex);
	for (size_t i = 0; i < count; i++) {
		struct spool_entry *entry = spool_table_find(&spool->table, &appends[i].entry.id);
		if (entry && appends[i].fd >= 0) {
			entry->journal = true;
			entry->journal_named |= appends[i].added > 0;
			entry->journal_size += appends[i].added;
		}
	}
	pthread_mutex_unlock(&spool->mutex);
}

/* Takes up to OPEN_AT_ONCE messages' records off the sorted list; *at moves on. */
static bool record_some(struct file_spool *spool, const struct spool_record *const sorted[], size_t count, size_t *at,
			bool marked[FILE_SPOOL_DIRECTORIES], struct error *error)
{
	struct append appends[OPEN_AT_ONCE];
	struct error failure;
	size_t used = 0;
	bool good = true;
	while (*at < count && used < OPEN_AT_ONCE) {
		size_t first = *at;
		while (*at < count && memcmp(sorted[*at]->id.text, sorted[first]->id.text, MESSAGE_ID_LEN) == 0)
			(*at)++;
		if (!append_group(spool, sorted + first, *at - first, &appends[used++], &failure) && good) {
			*error = failure;
			good = false;
		}
	}
	if (!sync_appends(spool, appends, used, marked, &failure)) {
		*error = failure;
		good = false;
	} else {
		note_appends(spool, appends, used);
	}
	for (size_t i = 0; i < used; i++)
		if (appends[i].fd >= 0)
			spool->files->ops->close(spool->files, appends[i].fd);
	return good;
}

bool file_spool_record(struct spool *base, const struct spool_record records[], size_t count, struct error *error)
{
	struct file_spool *spool = file_spool_of(base);
	bool marked[FILE_SPOOL_DIRECTORIES] = { false }, good = true;
	struct error failure;
	const struct spool_record **sorted = xcalloc(count, sizeof *sorted);
	for (size_t i = 0; i < count; i++)
		sorted[i] = &records[i];
	qsort(sorted, count, sizeof *sorted, compare_records);
	for (size_t at = 0; at < count && file_spool_usable(spool, error);)
		good &= record_some(spool, sorted, count, &at, marked, good ? error : &failure);
	free(sorted);
	return file_spool_usable(spool, good ? error : &failure) && file_spool_sync(spool, marked, error) && good;
}

/* What is not known is gone already: the entry has no identifier then. */
static bool unlink_message(struct file_spool *spool, const struct message_id *id, struct spool_entry *entry_r,
			   struct error *error)
{
	struct error unknown;
	entry_r->id.text[0] = '\0';
	if (!file_spool_find(spool, id, entry_r, &unknown))
		return true;
	int result = spool->files->ops->unlink(spool->files, file_spool_dir(spool, id), id->text);
	if (result == 0 || result == -ENOENT)
		return true;
	entry_r->id.text[0] = '\0';
	error_set_errno(error, -result, "removing message %s from the spool", id->text);
	error->kind = ERROR_TEMPORARY;
	return false;
}

static bool unlink_journal(struct file_spool *spool, const struct message_id *id, struct error *error)
{
	char name[FILE_SPOOL_NAME];
	file_spool_journal_name(id, name);
	int result = spool->files->ops->unlink(spool->files, file_spool_dir(spool, id), name);
	/* Without its message it does no harm: the next scan takes it away. */
	return result == 0 || result == -ENOENT || error_set_errno(error, -result, "removing the journal %s", name);
}

/* The entries of messages that are unlinked: journals after the directories are synced, then the table. */
static bool finish_removal(struct file_spool *spool, const struct spool_entry *entries, size_t count, struct error *error)
{
	bool good = true;
	for (size_t i = 0; i < count; i++)
		if (entries[i].id.text[0] && entries[i].journal)
			good &= unlink_journal(spool, &entries[i].id, error);
	pthread_mutex_lock(&spool->mutex);
	for (size_t i = 0; i < count; i++)
		if (entries[i].id.text[0])
			spool_table_remove(&spool->table, &entries[i].id);
	pthread_mutex_unlock(&spool->mutex);
	return good;
}

bool file_spool_remove(struct spool *base, const struct message_id ids[], size_t count, bool durable, struct error *error)
{
	struct file_spool *spool = file_spool_of(base);
	bool marked[FILE_SPOOL_DIRECTORIES] = { false }, good = true;
	struct error failure;
	if (!file_spool_usable(spool, error))
		return false;
	struct spool_entry *entries = xcalloc(count, sizeof *entries);
	for (size_t i = 0; i < count; i++) {
		if (!unlink_message(spool, &ids[i], &entries[i], good ? error : &failure))
			good = false;
		else if (entries[i].id.text[0] && (durable || entries[i].journal))
			marked[file_spool_index(&ids[i])] = true;
	}
	if (!file_spool_sync(spool, marked, good ? error : &failure))
		good = false;
	else
		good &= finish_removal(spool, entries, count, good ? error : &failure);
	free(entries);
	return good;
}

/* SPDX-License-Identifier: ISC */
#include "spool/file_spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

static const char letters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

size_t file_spool_index(const struct message_id *id)
{
	char c = id->text[5];
	if (ascii_is_digit(c))
		return (size_t)(c - '0');
	size_t index = c >= 'a' ? (size_t)(c - 'a') + 36 : (size_t)(c - 'A') + 10;
	ensure(index < FILE_SPOOL_DIRECTORIES && letters[index] == c);
	return index;
}

char file_spool_letter(size_t index)
{
	return letters[index];
}

void file_spool_journal_name(const struct message_id *id, char out[FILE_SPOOL_NAME])
{
	snprintf(out, FILE_SPOOL_NAME, "%s-J", id->text);
}

void file_spool_temporary_name(const struct message_id *id, char out[FILE_SPOOL_NAME])
{
	snprintf(out, FILE_SPOOL_NAME, ".new-%s", id->text);
}

bool file_spool_usable(struct file_spool *spool, struct error *error)
{
	if (!atomic_load(&spool->broken))
		return true;
	return error_set(error, ERROR_TEMPORARY, "the spool is broken: a sync failed, the queue process must start again");
}

bool file_spool_break(struct file_spool *spool, int failure, struct error *error, const char *what)
{
	atomic_store(&spool->broken, true);
	error_set_errno(error, -failure, "syncing %s", what);
	error->kind = ERROR_TEMPORARY;
	return false;
}

bool file_spool_sync(struct file_spool *spool, const bool marked[FILE_SPOOL_DIRECTORIES], struct error *error)
{
	for (size_t i = 0; i < FILE_SPOOL_DIRECTORIES; i++) {
		int result = marked[i] ? spool->files->ops->sync_directory(spool->files, spool->input[i]) : 0;
		if (result < 0)
			return file_spool_break(spool, result, error, "a directory of the spool");
	}
	return true;
}

bool file_spool_find(struct file_spool *spool, const struct message_id *id, struct spool_entry *entry_r, struct error *error)
{
	pthread_mutex_lock(&spool->mutex);
	struct spool_entry *entry = spool_table_find(&spool->table, id);
	if (entry)
		*entry_r = *entry;
	pthread_mutex_unlock(&spool->mutex);
	if (entry)
		return true;
	return error_set_errno(error, ENOENT, "message %.16s in the spool", id->text);
}

bool file_spool_has(struct spool *base, const struct message_id *id)
{
	struct file_spool *spool = file_spool_of(base);
	pthread_mutex_lock(&spool->mutex);
	bool found = spool_table_find(&spool->table, id) != NULL;
	pthread_mutex_unlock(&spool->mutex);
	return found;
}

static void file_spool_figures(struct spool *base, struct spool_figures *figures_r)
{
	struct file_spool *spool = file_spool_of(base);
	pthread_mutex_lock(&spool->mutex);
	*figures_r = (struct spool_figures){ 0 };
	spool_table_figures(&spool->table, figures_r);
	pthread_mutex_unlock(&spool->mutex);
}

static bool file_spool_is_broken(struct spool *spool)
{
	return atomic_load(&file_spool_of(spool)->broken);
}

static void close_fd(struct file_spool *spool, int fd)
{
	if (fd >= 0)
		spool->files->ops->close(spool->files, fd);
}

static void file_spool_free(struct spool *base)
{
	struct file_spool *spool = file_spool_of(base);
	for (size_t i = 0; i < FILE_SPOOL_DIRECTORIES; i++)
		close_fd(spool, spool->input[i]);
	close_fd(spool, spool->damaged);
	close_fd(spool, spool->lock);
	spool_table_free(&spool->table);
	pthread_mutex_destroy(&spool->mutex);
	free(spool);
}

static const struct spool_ops file_ops = {
	.begin = file_spool_begin, .append = file_spool_append, .append_bytes = file_spool_append_bytes,
	.commit = file_spool_commit, .abort = file_spool_abort, .scan = file_spool_scan, .read = file_spool_read,
	.verify = file_spool_verify, .record = file_spool_record, .remove = file_spool_remove,
	.figures = file_spool_figures, .is_broken = file_spool_is_broken, .free = file_spool_free,
};

/* A directory, made if it is missing; *made_r is set then. */
static int open_directory(const struct files *files, int dir, const char *name, bool *made_r, struct error *error)
{
	int result = files->ops->mkdir(files, dir, name, 0700);
	if (result == 0)
		*made_r = true;
	int fd = result == 0 || result == -EEXIST
		? files->ops->open(files, dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0) : result;
	if (fd < 0)
		error_set_errno(error, -fd, "opening the spool's directory %s", name);
	return fd;
}

/* The directories that are kept open. `made` tells whether the root has a new name in it. */
static bool open_tree(struct file_spool *spool, int dir, bool *made, struct error *error)
{
	bool made_letter = false;
	int input = open_directory(spool->files, dir, "input", made, error);
	if (input < 0)
		return false;
	files_spread_subdirectories(input);
	bool good = true;
	for (size_t i = 0; good && i < FILE_SPOOL_DIRECTORIES; i++) {
		char name[2] = { letters[i], '\0' };
		spool->input[i] = open_directory(spool->files, input, name, &made_letter, error);
		good = spool->input[i] >= 0;
	}
	int result = good && made_letter ? spool->files->ops->sync_directory(spool->files, input) : 0;
	close_fd(spool, input);
	if (result < 0)
		return error_set_errno(error, -result, "syncing the spool's directory input");
	return good && (spool->damaged = open_directory(spool->files, dir, "damaged", made, error)) >= 0;
}

static bool take_lock(struct file_spool *spool, int dir, struct error *error)
{
	spool->lock = spool->files->ops->open(spool->files, dir, "lock", O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
	if (spool->lock < 0)
		return error_set_errno(error, -spool->lock, "opening the spool's file lock");
	int result = spool->files->ops->lock(spool->files, spool->lock);
	if (result == -EWOULDBLOCK) {
		error_set(error, ERROR_PERMANENT, "another instance runs on this spool (its file lock is held)");
		error->number = EWOULDBLOCK;
		return false;
	}
	return result == 0 || error_set_errno(error, -result, "locking the spool's file lock");
}

static bool prepare(struct file_spool *spool, int dir, struct error *error)
{
	bool made = false;
	if (!take_lock(spool, dir, error) || !open_tree(spool, dir, &made, error))
		return false;
	int result = made ? spool->files->ops->sync_directory(spool->files, dir) : 0;
	if (result < 0)
		return error_set_errno(error, -result, "syncing the spool's directory");
	result = files_probe_link(spool->files, spool->input[0], ".new-probe", &spool->how);
	return result == 0 || error_set_errno(error, -result, "writing into the spool's directory input/0");
}

struct spool *file_spool_open(int dir, const struct files *files, struct error *error)
{
	struct file_spool *spool = xcalloc(1, sizeof *spool);
	spool->spool.ops = &file_ops;
	spool->files = files ? files : &files_real;
	spool->lock = spool->damaged = -1;
	for (size_t i = 0; i < FILE_SPOOL_DIRECTORIES; i++)
		spool->input[i] = -1;
	atomic_init(&spool->broken, false);
	ensure(pthread_mutex_init(&spool->mutex, NULL) == 0);
	if (prepare(spool, dir, error))
		return &spool->spool;
	file_spool_free(&spool->spool);
	return NULL;
}

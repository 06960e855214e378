/* SPDX-License-Identifier: ISC */
/* The files that the front has from the master. */
#include "role/front_files.h"

#include "base/cleanup.h"
#include "base/fatal.h"
#include "role/front.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file that could not be had is not asked for again so soon. */
#define REFUSAL_HOLDS (2 * CLOCK_SECOND)
#define MASTER_TIMEOUT (30 * CLOCK_SECOND)

static struct front_file *find(struct front_file **files, size_t count, enum tls_file_kind kind, struct slice path, struct slice key_path)
{
	for (size_t i = 0; i < count; i++)
		if (files[i]->kind == kind && slice_equal(slice_of(files[i]->path), path) && slice_equal(slice_of(files[i]->key_path), key_path))
			return files[i];
	return NULL;
}

static void free_file(struct front_file *file)
{
	buf_free(&file->text);
	free(file);
}

void front_files_free(struct front_file ***files, size_t *count)
{
	for (size_t i = 0; i < *count; i++)
		free_file((*files)[i]);
	free(*files);
	*files = NULL;
	*count = 0;
}

/* Where the table is full, what the configuration does not name and was not used longest goes. */
static struct front_file *add(struct front_file ***files, size_t *count, const struct tls_want *want)
{
	struct front_file *file = xcalloc(1, sizeof *file), *oldest = NULL;
	if (!slice_to_cstr(want->path, file->path, sizeof file->path) || !slice_to_cstr(want->key_path, file->key_path, sizeof file->key_path)) {
		free(file);
		return NULL;
	}
	file->kind = want->kind;
	buf_init(&file->text, TLS_TRUST_BYTES_MAX);
	if (*count < FRONT_FILES_MAX) {
		*files = xrealloc(*files, (*count + 1) * sizeof **files);
		(*files)[(*count)++] = file;
		return file;
	}
	size_t place = 0;
	for (size_t i = 0; i < *count; i++)
		if (!oldest || (*files)[i]->used < oldest->used) {
			oldest = (*files)[i];
			place = i;
		}
	free_file(oldest);
	(*files)[place] = file;
	return file;
}

static bool read_text(struct buf *text, int fd)
{
	struct stat st;
	buf_free(text);
	buf_init(text, TLS_TRUST_BYTES_MAX);
	if (fstat(fd, &st) < 0 || st.st_size < 0 || st.st_size > TLS_TRUST_BYTES_MAX)
		return false;
	for (;;) {
		char *room = buf_reserve(text, 65536);
		ssize_t n = room ? pread(fd, room, 65536, (off_t)buf_len(text)) : 0;
		if (n <= 0)
			return n == 0;
		buf_commit(text, (size_t)n);
	}
}

/* What a message of the master's says of a file. */
static void fill(struct front_file *file, const struct ipc_tls_file *message, const int *fd)
{
	file->version = message->version;
	file->directory = message->directory != 0;
	snprintf(file->problem, sizeof file->problem, "%.*s", SLICE_ARG(message->problem));
	file->refused_until = clock_after(REFUSAL_HOLDS);
	if (*file->problem)
		return;
	if (!fd || !read_text(&file->text, *fd))
		snprintf(file->problem, sizeof file->problem, "%s could not be read", file->path);
}

void front_files_take(struct front_file ***files, size_t *count, bool known_only, struct ipc_incoming *incoming)
{
	struct ipc_tls_file message;
	if (!ipc_unpack_tls_file(incoming->body, &message) || message.kind >= TLS_FILE_KINDS)
		fatal("the master's message about a file of TLS is malformed");
	const struct tls_want want = { (enum tls_file_kind)message.kind, message.path, message.key_path };
	struct front_file *file = find(*files, *count, want.kind, want.path, want.key_path);
	if (!file && !known_only)
		file = add(files, count, &want);
	if (file)
		fill(file, &message, incoming->fd_count ? &incoming->fds[0] : NULL);
}

static bool ask_master(struct front *front, const struct tls_want *want, struct error *error)
{
	struct ipc_tls_file_wanted question = { .kind = want->kind, .path = want->path, .key_path = want->key_path };
	struct ipc_reply reply = { 0 };
	struct ipc_tls_file answer;
	bool good = false;
	if (ipc_call(front->role->master, tls_file_wanted, TLS_FILE_WANTED, &question, NULL, 0, clock_after(MASTER_TIMEOUT), &reply) == 0 &&
	    reply.type == IPC_TLS_FILE_MESSAGE && ipc_unpack_tls_file(reply.body, &answer)) {
		struct front_file *file = find(front->tls.files, front->tls.file_count, want->kind, want->path, want->key_path);
		if (!file)
			file = add(&front->tls.files, &front->tls.file_count, want);
		good = file != NULL;
		/* Meanwhile the master may have sent a newer one. */
		if (file && (file->version < answer.version || *file->problem))
			fill(file, &answer, reply.fd_count ? &reply.fds[0] : NULL);
		if (file)
			file->used = ++front->tls.clock;
	}
	ipc_reply_free(&reply);
	return good || error_set(error, ERROR_TEMPORARY, "the master gave no answer about %.*s", SLICE_ARG(slice_first(want->path, 200)));
}

const struct front_file *front_files_get(struct front *front, const struct tls_want *want, bool may_ask, struct error *error)
{
	struct front_file *file = find(front->tls.files, front->tls.file_count, want->kind, want->path, want->key_path);
	bool refused = file && *file->problem && clock_now() < file->refused_until;
	if (may_ask && (!file || (*file->problem && !refused))) {
		if (!ask_master(front, want, error))
			return NULL;
		file = find(front->tls.files, front->tls.file_count, want->kind, want->path, want->key_path);
	}
	if (!file) {
		error_set(error, ERROR_TEMPORARY, "%.*s is not there", SLICE_ARG(slice_first(want->path, 200)));
		return NULL;
	}
	file->used = ++front->tls.clock;
	if (*file->problem) {
		error_set(error, ERROR_USAGE, "%s", file->problem);
		return NULL;
	}
	return file;
}

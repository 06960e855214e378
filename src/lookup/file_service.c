/* SPDX-License-Identifier: ISC */
/* ${readfile}, ${if exists} and ${stat:}: each time anew, on an offload thread, for directories may be on a network. */
#include "base/cleanup.h"
#include "base/fatal.h"
#include "base/files.h"
#include "lookup/private.h"
#include "task/offload.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

struct job {
	const char *path;
	int number; /* errno, or 0 */
	struct stat stat;
	char *text; /* the caller frees it */
	size_t len;
};

static void read_job(void *arg)
{
	struct job *job = arg;
	/* Non-blocking: what stands there might be a pipe. */
	_cleanup_fd_ int fd = open(job->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &job->stat) < 0) {
		job->number = errno;
		return;
	}
	if (!S_ISREG(job->stat.st_mode))
		return;
	/* The size is a hint only: files of /proc have none, others grow. */
	size_t room = 4096;
	if (job->stat.st_size > 0)
		room = (size_t)job->stat.st_size < LOOKUP_ANSWER_MAX ? (size_t)job->stat.st_size + 1 : LOOKUP_ANSWER_MAX + 1;
	for (;;) {
		job->text = xrealloc(job->text, room);
		ssize_t n = files_read_full(&files_real, fd, job->text + job->len, room - job->len, job->len);
		if (n < 0) {
			job->number = (int)-n;
			return;
		}
		job->len += (size_t)n;
		if (job->len < room || room > LOOKUP_ANSWER_MAX)
			return;
		room = room < LOOKUP_ANSWER_MAX / 2 ? room * 2 : LOOKUP_ANSWER_MAX + 1;
	}
}

static void stat_job(void *arg)
{
	struct job *job = arg;
	if (stat(job->path, &job->stat) < 0)
		job->number = errno;
}

static bool start(const struct expand_request *request, struct arena *arena, struct job *job, const char *what, struct error *error)
{
	if (request->file.len == 0 || request->file.data[0] != '/' || slice_find(request->file, '\0') < request->file.len)
		return error_set(error, ERROR_PERMANENT, "%s: '%.*s' is not an absolute path", what, SLICE_ARG(request->file));
	*job = (struct job){ .path = arena_cstr(arena, request->file) };
	return true;
}

enum expand_result lookup_read_file(struct lookup_world *world, const struct expand_request *request, struct arena *arena,
				    struct expand_answer *answer_r, struct error *error)
{
	(void)world;
	struct job job;
	if (!start(request, arena, &job, "readfile", error))
		return EXPAND_FAIL;
	offload(read_job, &job);
	enum expand_result result = EXPAND_OK;
	if (job.number) {
		error_set_errno(error, job.number, "failed to open %s", job.path);
		result = EXPAND_FAIL;
	} else if (!S_ISREG(job.stat.st_mode)) {
		result = lookup_fail(error, "%s is not a regular file: it cannot be read by readfile", job.path);
	} else if (job.len > LOOKUP_ANSWER_MAX) {
		result = lookup_fail(error, "%s is too large for readfile: more than %d MiB", job.path, LOOKUP_ANSWER_MAX >> 20);
	} else {
		answer_r->found = true;
		answer_r->text = arena_copy(arena, slice_make(job.text, job.len));
	}
	free(job.text);
	return result;
}

enum expand_result lookup_exists(struct lookup_world *world, const struct expand_request *request, struct arena *arena,
				 struct expand_answer *answer_r, struct error *error)
{
	(void)world;
	struct job job;
	if (!start(request, arena, &job, "exists", error))
		return EXPAND_FAIL;
	offload(stat_job, &job);
	answer_r->found = job.number == 0;
	/* As in Exim whatever stat(2) refuses is not there for us; but an error of the disk is no answer. */
	if (job.number != EIO && job.number != ENOMEM && job.number != ESTALE)
		return EXPAND_OK;
	error_set_errno(error, job.number, "stat(%s) failed", job.path);
	return EXPAND_DEFER;
}

/* "-rw-r--r--" as ls shows it. */
static void mode_text(mode_t mode, char out[11])
{
	static const struct {
		mode_t type;
		char letter;
	} types[] = { { S_IFREG, '-' }, { S_IFDIR, 'd' }, { S_IFLNK, 'l' }, { S_IFIFO, 'p' }, { S_IFSOCK, 's' }, { S_IFCHR, 'c' },
		      { S_IFBLK, 'b' } };
	out[0] = '?';
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if ((mode & S_IFMT) == types[i].type)
			out[0] = types[i].letter;
	for (int i = 0; i < 9; i++)
		out[1 + i] = mode & (0400 >> i) ? "rwx"[i % 3] : '-';
	static const mode_t special[] = { S_ISUID, S_ISGID, S_ISVTX };
	for (int i = 0; i < 3; i++)
		if (mode & special[i])
			out[3 + 3 * i] = out[3 + 3 * i] == 'x' ? "sst"[i] : "SST"[i];
	out[10] = '\0';
}

enum expand_result lookup_stat(struct lookup_world *world, const struct expand_request *request, struct arena *arena,
			       struct expand_answer *answer_r, struct error *error)
{
	(void)world;
	struct job job;
	if (!start(request, arena, &job, "stat", error))
		return EXPAND_FAIL;
	offload(stat_job, &job);
	if (job.number) {
		error_set_errno(error, job.number, "stat(%s) failed", job.path);
		return EXPAND_FAIL;
	}
	const struct stat *stat = &job.stat;
	char mode[11];
	mode_text(stat->st_mode, mode);
	answer_r->found = true;
	answer_r->text = arena_printf(arena, "mode=%04o smode=%s inode=%ju device=%ju links=%ju uid=%ju gid=%ju size=%jd "
				      "atime=%jd mtime=%jd ctime=%jd", stat->st_mode & 07777, mode, (uintmax_t)stat->st_ino,
				      (uintmax_t)stat->st_dev, (uintmax_t)stat->st_nlink, (uintmax_t)stat->st_uid,
				      (uintmax_t)stat->st_gid, (intmax_t)stat->st_size, (intmax_t)stat->st_atime,
				      (intmax_t)stat->st_mtime, (intmax_t)stat->st_ctime);
	return EXPAND_OK;
}

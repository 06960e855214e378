/* SPDX-License-Identifier: ISC */
/*
 * dsearch: an entry of a directory with the key as its name (lstat, so links count as themselves). The answer is the name, no longer
 * tainted: the directory has it. Names of directories can block on network file systems, so this runs on an offload thread.
 */
#include "base/cleanup.h"
#include "lookup/private.h"
#include "task/offload.h"

#include <fcntl.h>
#include <sys/stat.h>

struct job {
	const char *directory, *name;
	int directory_error, entry_error;
	mode_t mode;
};

static void run_job(void *arg)
{
	struct job *job = arg;
	_cleanup_fd_ int fd = open(job->directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		job->directory_error = errno;
		return;
	}
	struct stat entry;
	if (fstatat(fd, job->name, &entry, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0)
		job->entry_error = errno;
	else
		job->mode = entry.st_mode;
}

/* filter=file, dir, subdir: without a filter, or with another word, everything passes, as in Exim. */
static bool passes(struct slice filter, struct slice name, mode_t mode)
{
	bool dots = slice_equal(name, SLICE(".")) || slice_equal(name, SLICE(".."));
	if (slice_equal(filter, SLICE("file")))
		return S_ISREG(mode);
	if (slice_equal(filter, SLICE("dir")))
		return S_ISDIR(mode);
	if (slice_equal(filter, SLICE("subdir")))
		return S_ISDIR(mode) && !dots;
	return true;
}

static enum expand_result find(struct lookup_world *world, const struct search *search, const struct expand_request *request,
			       struct slice key, struct arena *arena, struct expand_answer *answer_r, struct error *error)
{
	(void)world;
	if (slice_find(key, '/') < key.len)
		return lookup_defer(error, "key for dsearch lookup contains a slash: %.*s", SLICE_ARG(key));
	if (slice_find(key, '\0') < key.len || key.len > 255)
		return EXPAND_OK; /* no name of a file */
	if (!slice_starts(request->file, SLICE("/")))
		return lookup_fail(error, "dirname '%.*s' for dsearch is not absolute", SLICE_ARG(request->file));
	struct job job = { .directory = arena_cstr(arena, request->file), .name = arena_cstr(arena, key) };
	offload(run_job, &job);
	if (job.directory_error) {
		error_set_errno(error, job.directory_error, "failed to open %s for directory search", job.directory);
		return EXPAND_DEFER;
	}
	if (job.entry_error && job.entry_error != ENOENT && job.entry_error != ENOTDIR) {
		error_set_errno(error, job.entry_error, "dsearch lookup of %s in %s", job.name, job.directory);
		return EXPAND_DEFER;
	}
	if (job.entry_error || !passes(lookup_option(search, request, "filter"), key, job.mode))
		return EXPAND_OK;
	answer_r->found = true;
	bool full = slice_equal(lookup_option(search, request, "ret"), SLICE("full"));
	answer_r->text = full ? arena_printf(arena, "%s/%s", job.directory, job.name) : arena_copy(arena, key);
	return EXPAND_OK;
}

const struct lookup_driver lookup_driver_dsearch = { .name = "dsearch", .find = find };

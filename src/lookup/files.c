/* SPDX-License-Identifier: ISC */
#include "lookup/files.h"

#include "base/cleanup.h"
#include "base/fatal.h"
#include "base/files.h"
#include "task/offload.h"

#include <fcntl.h>

enum { BUCKETS = 1024, TRIES = 5, RETRY_MS = 20 };

/* Longer than a tick of the kernel's clock for file times, whatever its HZ. */
#define SETTLED_AFTER (20 * CLOCK_MS)

/* A path of a kind, and its snapshot. */
struct slot {
	char *path;
	const struct lookup_file_kind *kind;
	struct lookup_file *current; /* holds a reference; NULL until it was read */
	bool reading;
	unsigned users;              /* tasks inside of lookup_file_take */
	uint64_t generation;         /* counts the readings that succeeded */
	uint64_t used;               /* the table's clock at the last use */
	struct wait_list waiters;
	struct slot *next;
};

struct lookup_files {
	struct slot *buckets[BUCKETS];
	size_t count, bytes;
	uint64_t clock;
};

struct lookup_files *lookup_files_new(void)
{
	return xcalloc(1, sizeof(struct lookup_files));
}

static size_t file_bytes(const struct lookup_file *file)
{
	return file->text.len + file->arena.total;
}

void lookup_file_release(struct lookup_file **file)
{
	struct lookup_file *gone = *file;
	*file = NULL;
	if (!gone || --gone->references > 0)
		return;
	if (gone->kind->release)
		gone->kind->release(gone);
	arena_free(&gone->arena);
	free((char *)(uintptr_t)gone->text.data);
	free(gone);
}

static void drop_snapshot(struct lookup_files *files, struct slot *slot)
{
	if (slot->current)
		files->bytes -= file_bytes(slot->current);
	lookup_file_release(&slot->current);
}

static void drop_slot(struct lookup_files *files, struct slot **link)
{
	struct slot *slot = *link;
	*link = slot->next;
	drop_snapshot(files, slot);
	files->count--;
	free(slot->path);
	free(slot);
}

void lookup_files_free(struct lookup_files **files)
{
	if (!*files)
		return;
	for (size_t i = 0; i < BUCKETS; i++)
		while ((*files)->buckets[i])
			drop_slot(*files, &(*files)->buckets[i]);
	free(*files);
	*files = NULL;
}

/* FNV-1a: file names of one directory differ little, but they are the configuration's, not an attacker's. */
static size_t bucket_of(struct slice path)
{
	uint32_t hash = 2166136261U;
	for (size_t i = 0; i < path.len; i++)
		hash = (hash ^ (unsigned char)path.data[i]) * 16777619U;
	return (hash ^ hash >> 16) % BUCKETS;
}

static struct slot *find_slot(struct lookup_files *files, const struct lookup_file_kind *kind, const char *path)
{
	struct slot **bucket = &files->buckets[bucket_of(slice_of(path))];
	for (struct slot *slot = *bucket; slot; slot = slot->next)
		if (slot->kind == kind && strcmp(slot->path, path) == 0)
			return slot;
	struct slot *slot = xcalloc(1, sizeof *slot);
	slot->path = xstrdup(path);
	slot->kind = kind;
	slot->next = *bucket;
	*bucket = slot;
	files->count++;
	return slot;
}

/* Drops those not used for longest while there are too many; one scan of all for each, but only when a file is read. */
static void make_room(struct lookup_files *files)
{
	while (files->count > LOOKUP_FILES_MAX || files->bytes > (size_t)LOOKUP_FILES_BYTES) {
		struct slot **oldest = NULL;
		for (size_t i = 0; i < BUCKETS; i++)
			for (struct slot **link = &files->buckets[i]; *link; link = &(*link)->next)
				if ((*link)->users == 0 && (!oldest || (*link)->used < (*oldest)->used))
					oldest = link;
		if (!oldest)
			return;
		drop_slot(files, oldest);
	}
}

static int64_t stat_time(const struct timespec *time)
{
	return (int64_t)time->tv_sec * CLOCK_SECOND + time->tv_nsec;
}

static bool same_identity(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       stat_time(&a->st_mtim) == stat_time(&b->st_mtim) && stat_time(&a->st_ctim) == stat_time(&b->st_ctim);
}

static bool open_failed(struct error *error, const struct lookup_file_kind *kind, const char *path, int number)
{
	error_set_errno(error, number, "failed to open %s for %s", path, kind->purpose);
	return false;
}

/* The whole file as it is now. 0, -EAGAIN when it changed meanwhile, or another negative errno. */
static int read_once(struct lookup_file *file, int fd)
{
	int64_t started = clock_wall_now();
	if (fstat(fd, &file->identity) < 0)
		return -errno;
	if (!S_ISREG(file->identity.st_mode))
		return -EINVAL;
	if (file->identity.st_size > LOOKUP_FILE_MAX)
		return -EFBIG;
	size_t size = (size_t)file->identity.st_size;
	/* One byte more than it should have, to see that it has grown. */
	char *data = xrealloc((char *)(uintptr_t)file->text.data, size + 1);
	file->text = slice_make(data, 0);
	ssize_t n = files_read_full(&files_real, fd, data, size + 1, 0);
	struct stat after;
	if (n < 0)
		return (int)n;
	if (fstat(fd, &after) < 0)
		return -errno;
	if ((size_t)n != size || !same_identity(&file->identity, &after))
		return -EAGAIN;
	data[size] = '\0';
	file->text.len = size;
	file->settled = stat_time(&after.st_ctim) + SETTLED_AFTER < started;
	return 0;
}

static bool read_file(struct lookup_file *file, struct error *error)
{
	int result = -EAGAIN;
	for (int i = 0; i < TRIES && result == -EAGAIN; i++) {
		if (i > 0)
			nanosleep(&(struct timespec){ .tv_nsec = RETRY_MS * CLOCK_MS }, NULL);
		/* Opened anew each time, for a new file may have taken the name. Non-blocking: it might be a pipe. */
		_cleanup_fd_ int fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
		if (fd < 0)
			return open_failed(error, file->kind, file->path, errno);
		result = read_once(file, fd);
	}
	switch (-result) {
	case 0:
		return true;
	case EAGAIN:
		return error_set(error, ERROR_TEMPORARY, "%s (%s lookup) changes while it is read, %d times in turn: "
				 "write new content to another file and rename that", file->path, file->kind->name, TRIES);
	case EINVAL:
		return error_set(error, ERROR_PERMANENT, "%s is not a regular file (%s lookup)", file->path, file->kind->name);
	case EFBIG:
		return error_set(error, ERROR_PERMANENT, "%s is too large for a %s lookup: at most %d MiB are read into memory; "
				 "larger tables belong into a database", file->path, file->kind->name, LOOKUP_FILE_MAX >> 20);
	default:
		return error_set_errno(error, -result, "reading %s for %s", file->path, file->kind->purpose);
	}
}

struct read_job {
	struct lookup_file *file;
	struct error *error;
	bool done;
};

static void run_read_job(void *arg)
{
	struct read_job *job = arg;
	struct lookup_file *file = job->file;
	if (!read_file(file, job->error))
		return;
	job->done = file->kind->build(file, job->error);
	if (!job->done)
		error_context(job->error, "%s (%s lookup)", file->path, file->kind->name);
}

/* Reads and puts the snapshot into the slot. The slot cannot go away: it is marked as reading, and in use. */
static bool read_into(struct lookup_world *world, struct slot *slot, struct error *error)
{
	struct lookup_files *files = world->files;
	struct lookup_file *file = xcalloc(1, sizeof *file);
	file->kind = slot->kind;
	file->constants = world->settings.constants;
	file->references = 1;
	arena_init(&file->arena, 0);
	file->path = arena_cstr(&file->arena, slice_of(slot->path));
	struct read_job job = { .file = file, .error = error };
	slot->reading = true;
	offload(run_read_job, &job);
	slot->reading = false;
	drop_snapshot(files, slot);
	if (job.done) {
		slot->current = file;
		slot->generation++;
		files->bytes += file_bytes(file);
	} else {
		lookup_file_release(&file);
	}
	wait_list_wake_all(&slot->waiters);
	return job.done;
}

static enum expand_result take_from(struct lookup_world *world, struct slot *slot, const struct stat *now, int64_t deadline,
				    struct error *error)
{
	uint64_t generation = slot->generation;
	while (slot->reading) {
		if (wait_list_wait(&slot->waiters, deadline) < 0)
			return lookup_defer(error, "%s (%s lookup) takes too long to read", slot->path, slot->kind->name);
		/* What was read after this request came is new enough, whatever its times say. */
		if (slot->current && slot->generation != generation)
			return EXPAND_OK;
	}
	if (slot->current && slot->current->settled && same_identity(&slot->current->identity, now))
		return EXPAND_OK;
	return read_into(world, slot, error) ? EXPAND_OK : EXPAND_DEFER;
}

enum expand_result lookup_file_take(struct lookup_world *world, const struct lookup_file_kind *kind, struct slice path,
				    int64_t deadline, struct lookup_file **file_r, struct error *error)
{
	struct lookup_files *files = world->files;
	char name[4096];
	struct stat now;
	if (!slice_to_cstr(path, name, sizeof name))
		return lookup_fail(error, "the name of a file for %s is too long, or holds a NUL", kind->purpose);
	if (name[0] != '/')
		return lookup_fail(error, "%s lookup: '%s' is not an absolute path", kind->name, name);
	if (stat(name, &now) < 0) {
		open_failed(error, kind, name, errno);
		return EXPAND_DEFER;
	}
	struct slot *slot = find_slot(files, kind, name);
	slot->used = ++files->clock;
	slot->users++;
	enum expand_result result = take_from(world, slot, &now, deadline, error);
	slot->users--;
	if (result == EXPAND_OK) {
		*file_r = slot->current;
		(*file_r)->references++;
	}
	make_room(files);
	return result;
}

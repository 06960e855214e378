/* SPDX-License-Identifier: ISC */
#include "cli/stats.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fatal.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { CHUNK = 65536, LINE_MAX_BYTES = 65536, FILES_MAX = 4096, PATH_MAX_BYTES = 4096 };

/* ---- Reading ---- */

/* Takes all whole lines out of `in`. A line that is longer than the buffer is counted by its start; *skip: its rest still comes. */
static void take_lines(struct stats *stats, struct buf *in, bool *skip)
{
	for (;;) {
		struct slice all = buf_slice(in);
		size_t end = slice_find(all, '\n');
		bool whole = end < all.len;
		if (!whole && all.len < LINE_MAX_BYTES)
			return;
		struct slice line = slice_first(all, end);
		if (line.len && line.data[line.len - 1] == '\r')
			line.len--;
		if (!*skip)
			stats_count(stats, line);
		*skip = !whole;
		buf_consume(in, whole ? end + 1 : all.len);
	}
}

bool stats_read(struct stats *stats, const char *path, struct error *error)
{
	int fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return error_set_errno(error, errno, "opening the log %.300s", path);
	gzFile file = gzdopen(fd, "rb"); /* text that is not compressed comes through as it is */
	if (!file) {
		close(fd);
		return error_set(error, ERROR_TEMPORARY, "opening the log %.300s: out of memory", path);
	}
	struct buf in;
	bool skip = false;
	int n = 0;
	char *room;
	buf_init(&in, LINE_MAX_BYTES + CHUNK);
	while ((room = buf_reserve(&in, CHUNK)) && (n = gzread(file, room, CHUNK)) > 0) {
		buf_commit(&in, (size_t)n);
		take_lines(stats, &in, &skip);
	}
	/* A last line without an end is being written just now, or was cut off. */
	if (!skip && buf_len(&in))
		stats_count(stats, buf_slice(&in));
	stats->files++;
	/* A compressed file that was cut off ends like a good one, but for its close. */
	if (gzclose_r(file) != Z_OK || n < 0)
		stats->damaged++;
	buf_free(&in);
	return true;
}

/* ---- Finding ---- */

struct found {
	char path[PATH_MAX_BYTES];
	int64_t when;
};

/* ".1", ".02.gz", "-20261121", "-20261121.gz": what logrotate and exicyclog add. */
static bool is_rotation(struct slice rest)
{
	size_t digits = 0;
	if (slice_ends_nocase(rest, SLICE(".gz")))
		rest.len -= 3;
	if (rest.len < 2 || (rest.data[0] != '.' && rest.data[0] != '-'))
		return false;
	for (size_t i = 1; i < rest.len; i++)
		digits += ascii_is_digit(rest.data[i]) || rest.data[i] == '-';
	return digits == rest.len - 1 && ascii_is_digit(rest.data[1]);
}

static int by_time(const void *one, const void *other)
{
	const struct found *a = one, *b = other;
	if (a->when != b->when)
		return a->when < b->when ? -1 : 1;
	return strcmp(a->path, b->path);
}

static void add(struct found **all, size_t *count, const char *directory, const char *name, int64_t since)
{
	struct stat status;
	struct found one;
	if (*count == FILES_MAX || snprintf(one.path, sizeof one.path, "%s/%s", directory, name) >= (int)sizeof one.path)
		return;
	if (stat(one.path, &status) < 0 || !S_ISREG(status.st_mode) || status.st_mtime < since)
		return;
	one.when = status.st_mtime;
	if (*count % 64 == 0)
		*all = xrealloc(*all, (*count + 64) * sizeof **all);
	(*all)[(*count)++] = one;
}

bool stats_each_file(const char *path, int64_t since, stats_file_function *each, void *context)
{
	struct found *all = NULL;
	size_t count = 0;
	bool go_on = true;
	char directory[PATH_MAX_BYTES];
	const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
	snprintf(directory, sizeof directory, "%.*s", slash > path ? (int)(slash - path) : 1, slash ? path : ".");
	DIR *dir = opendir(directory);
	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		struct slice name = slice_of(entry->d_name), rest = slice_from(name, strlen(base));
		if (slice_starts(name, slice_of(base)) && (!rest.len || is_rotation(rest)))
			add(&all, &count, directory, entry->d_name, since);
	}
	if (dir)
		closedir(dir);
	if (count)
		qsort(all, count, sizeof *all, by_time);
	for (size_t i = 0; go_on && i < count; i++)
		go_on = each(context, all[i].path);
	free(all);
	return go_on;
}

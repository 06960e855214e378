/* SPDX-License-Identifier: ISC */
#include "mailbox/maildir_private.h"

#include "base/cleanup.h"
#include "base/fatal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

static const char *const parts[] = { "tmp", "new", "cur" };

bool maildir_failed(struct maildir_delivery *delivery, int failure, const char *what, const char *part)
{
	struct slice path = slice_first(delivery->path, 200);
	if (failure == -EXDEV)
		error_set(&delivery->error, ERROR_TEMPORARY, "%s %.*s%s%s: a link in it leads out of the permitted directory",
			  what, SLICE_ARG(path), *part ? "/" : "", part);
	else
		error_set_errno(&delivery->error, -failure, "%s %.*s%s%s", what, SLICE_ARG(path), *part ? "/" : "", part);
	delivery->error.number = -failure;
	delivery->error.kind = ERROR_TEMPORARY;
	return false;
}

void maildir_place_close(struct maildir *maildir, struct maildir_place *place)
{
	if (place->new_fd >= 0)
		maildir->files->ops->close(maildir->files, place->new_fd);
	*place = (struct maildir_place){ .new_fd = -1 };
}

/* A path that can be what it seems: relative, no empty component, no "." and "..", no NUL, not too long. */
static bool path_valid(struct slice path)
{
	if (path.len == 0 || path.len >= MAILDIR_PATH_MAX || slice_find(path, '\0') < path.len ||
	    path.data[path.len - 1] == '/')
		return false;
	while (path.len) {
		struct slice part = slice_cut(&path, '/');
		if (part.len == 0 || slice_equal(part, SLICE(".")) || slice_equal(part, SLICE("..")))
			return false;
	}
	return true;
}

static int open_directory(struct maildir *maildir, int base, const char *path)
{
	return maildir->files->ops->open_beneath(maildir->files, base, path, O_RDONLY | O_DIRECTORY, 0);
}

int maildir_open_part(struct maildir *maildir, const struct maildir_delivery *delivery, const char *part)
{
	char path[MAILDIR_PATH_MAX + 8];
	snprintf(path, sizeof path, "%.*s/%s", SLICE_ARG(delivery->path), part);
	return open_directory(maildir, delivery->base_fd, path);
}

/* Makes one directory in an open one, its name durable. Having it already is as good. */
static int make_directory(struct maildir *maildir, int parent, const char *name, mode_t mode)
{
	const struct files *files = maildir->files;
	int result = files->ops->mkdir(files, parent, name, mode);
	if (result == -EEXIST)
		return 0;
	return result < 0 ? result : files->ops->sync_directory(files, parent);
}

/* Makes what is missing on the way, from the base down. Returns the Maildir's descriptor, or a negative errno. */
static int make_path(struct maildir *maildir, const struct maildir_delivery *delivery)
{
	const struct files *files = maildir->files;
	struct slice rest = delivery->path;
	char name[MAILDIR_PATH_MAX], path[MAILDIR_PATH_MAX];
	int parent = open_directory(maildir, delivery->base_fd, ".");
	while (parent >= 0 && rest.len) {
		ensure(slice_to_cstr(slice_cut(&rest, '/'), name, sizeof name));
		size_t done = delivery->path.len - rest.len - (rest.len > 0);
		ensure(slice_to_cstr(slice_first(delivery->path, done), path, sizeof path));
		/* From the base each time, so that links within it may be followed. */
		int next = open_directory(maildir, delivery->base_fd, path);
		if (next == -ENOENT) {
			next = make_directory(maildir, parent, name, delivery->directory_mode);
			if (next == 0)
				next = open_directory(maildir, delivery->base_fd, path);
		}
		files->ops->close(files, parent);
		parent = next;
	}
	return parent;
}

static int make_maildir(struct maildir *maildir, const struct maildir_delivery *delivery)
{
	int fd = make_path(maildir, delivery), result = fd;
	for (size_t i = 0; result >= 0 && i < sizeof parts / sizeof parts[0]; i++)
		result = make_directory(maildir, fd, parts[i], delivery->directory_mode);
	if (fd >= 0)
		maildir->files->ops->close(maildir->files, fd);
	return result < 0 ? result : 0;
}

/* Whether the path still leads to the directory that is open here. */
static bool still_there(struct maildir *maildir, const struct maildir_place *place, int base_fd)
{
	struct stat now;
	return maildir->files->ops->stat_path(maildir->files, base_fd, place->path, &now) == 0 &&
		now.st_dev == place->device && now.st_ino == place->number;
}

/* The least recently used place that no delivery of the batch needs. */
static struct maildir_place *free_place(struct maildir *maildir)
{
	struct maildir_place *oldest = NULL;
	for (size_t i = 0; i < MAILDIR_CACHE; i++) {
		struct maildir_place *place = &maildir->places[i];
		if (place->new_fd < 0)
			return place;
		if (place->pins == 0 && (!oldest || place->used < oldest->used))
			oldest = place;
	}
	ensure(oldest != NULL);
	maildir_place_close(maildir, oldest);
	return oldest;
}

static struct maildir_place *find_place(struct maildir *maildir, const struct maildir_delivery *delivery,
					const struct stat *base, const char *path)
{
	for (size_t i = 0; i < MAILDIR_CACHE; i++) {
		struct maildir_place *place = &maildir->places[i];
		if (place->new_fd < 0 || place->base_number != base->st_ino || place->base_device != base->st_dev ||
		    strcmp(place->path, path) != 0)
			continue;
		if (still_there(maildir, place, delivery->base_fd))
			return place;
		/* Others of this batch may have begun there: they end where they began, this one does not follow them. */
		if (place->pins == 0)
			maildir_place_close(maildir, place);
		else
			place->path[0] = '\0';
	}
	return NULL;
}

static struct maildir_place *open_place(struct maildir *maildir, struct maildir_delivery *delivery, const struct stat *base,
					const char *path)
{
	struct stat opened;
	int fd = open_directory(maildir, delivery->base_fd, path);
	if (fd == -ENOENT && delivery->create) {
		int result = make_maildir(maildir, delivery);
		if (result < 0) {
			maildir_failed(delivery, result, "creating the Maildir", "");
			return NULL;
		}
		fd = open_directory(maildir, delivery->base_fd, path);
	}
	int result = fd < 0 ? fd : maildir->files->ops->stat(maildir->files, fd, &opened);
	if (result < 0) {
		if (fd >= 0)
			maildir->files->ops->close(maildir->files, fd);
		maildir_failed(delivery, result, "opening the Maildir's directory", "new");
		return NULL;
	}
	struct maildir_place *place = free_place(maildir);
	*place = (struct maildir_place){ .new_fd = fd, .base_device = base->st_dev, .base_number = base->st_ino,
					 .device = opened.st_dev, .number = opened.st_ino };
	snprintf(place->path, sizeof place->path, "%s", path);
	return place;
}

struct maildir_place *maildir_place_get(struct maildir *maildir, struct maildir_delivery *delivery)
{
	char path[MAILDIR_PATH_MAX + 8];
	struct stat base;
	if (!path_valid(delivery->path)) {
		error_set(&delivery->error, ERROR_PERMANENT, "\"%.*s\" is not a path for a Maildir: it must be relative and plain",
			  SLICE_ARG(slice_first(delivery->path, 200)));
		return NULL;
	}
	int result = maildir->files->ops->stat(maildir->files, delivery->base_fd, &base);
	if (result < 0) {
		maildir_failed(delivery, result, "using the base directory of", "");
		return NULL;
	}
	snprintf(path, sizeof path, "%.*s/new", SLICE_ARG(delivery->path));
	struct maildir_place *place = find_place(maildir, delivery, &base, path);
	if (!place)
		place = open_place(maildir, delivery, &base, path);
	if (place) {
		place->pins++;
		place->used = ++maildir->counter;
	}
	return place;
}

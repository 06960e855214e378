/* SPDX-License-Identifier: ISC */
/* Users of roles, and the directories that the master opens (and makes) for them. */
#include "role/master.h"

#include "base/cleanup.h"
#include "base/fatal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct identity identity_of(const struct conf *conf, enum role kind)
{
	char name[128];
	if (getuid() != 0)
		return (struct identity){ getuid(), getgid() };
	struct slice pattern = conf->main.role_users;
	size_t at = slice_find(pattern, '%');
	snprintf(name, sizeof name, "%.*s%s%.*s", SLICE_ARG(slice_first(pattern, at)), role_name(kind),
		 SLICE_ARG(slice_from(pattern, at + 2)));
	const struct passwd *user = getpwnam(name);
	if (user && user->pw_uid != 0)
		return (struct identity){ user->pw_uid, user->pw_gid };
	/* No such user: a number that belongs to nobody separates as well. */
	uid_t uid = (uid_t)conf->main.role_uid_base + (uid_t)kind;
	return (struct identity){ uid, (gid_t)uid };
}

static bool is_empty(int dir)
{
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = copy >= 0 ? fdopendir(copy) : NULL;
	size_t count = 0;
	if (!stream)
		return false;
	while (readdir(stream))
		count++;
	closedir(stream);
	return count <= 2; /* "." and ".." */
}

/* Whether only the administrator can change what is in the directory: links in there are meant. Who is not root risks nobody else's files. */
static bool is_trusted(int dir)
{
	struct stat st;
	return getuid() != 0 || (fstat(dir, &st) == 0 && st.st_uid == 0 && !(st.st_mode & (S_IWGRP | S_IWOTH)));
}

/* Gives a new directory to its owner, if it is what was made: somebody else's may have been put in its place. */
static bool give_to(int fd, const struct identity *owner)
{
	struct stat st;
	if (getuid() != 0)
		return true;
	if (fstat(fd, &st) < 0)
		return false;
	if (st.st_uid != 0 || !is_empty(fd)) {
		errno = EEXIST;
		return false;
	}
	return fchown(fd, owner->uid, owner->gid) == 0;
}

/* Opens the name in `*dir`, which becomes that directory, making it if it is missing. `last`: with this mode, for this owner. */
static bool step_down(int *dir, const char *name, bool last, mode_t mode, const struct identity *owner)
{
	bool made = mkdirat(*dir, name, last ? mode : 0755) == 0;
	if (!made && errno != EEXIST)
		return false;
	int flags = O_DIRECTORY | O_CLOEXEC | (last ? O_RDONLY : O_PATH) | (is_trusted(*dir) ? 0 : O_NOFOLLOW);
	int next = openat(*dir, name, flags);
	if (next < 0)
		return false;
	close(*dir);
	*dir = next;
	return !last || !made || give_to(next, owner);
}

/*
 * Makes the directory and its parents and opens it; only the last one gets `mode` and `owner`. No link is followed out of a directory
 * that others than the administrator can change: as root it would lead to directories that are made, and given away, anywhere.
 */
static int make_directories(const char *path, mode_t mode, const struct identity *owner, struct error *error)
{
	char name[NAME_MAX + 1];
	struct slice rest = slice_of(path);
	_cleanup_fd_ int dir = open(rest.len && *path == '/' ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	while (dir >= 0 && rest.len) {
		struct slice part = slice_cut(&rest, '/');
		while (rest.len && *rest.data == '/')
			rest = slice_from(rest, 1);
		if (part.len && (!slice_to_cstr(part, name, sizeof name) || !step_down(&dir, name, rest.len == 0, mode, owner))) {
			error_set_errno(error, part.len > NAME_MAX ? ENAMETOOLONG : errno, "making the directory %.*s",
					(int)(part.data + part.len - path), path);
			return -1;
		}
	}
	return fd_take(&dir);
}

/* Opens the directory; where it is missing it is made for `owner`. */
static int open_or_make(const char *path, mode_t mode, const struct identity *owner, struct error *error)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return make_directories(path, mode, owner, error);
	if (fd < 0)
		error_set_errno(error, errno, "opening the directory %s", path);
	return fd;
}

int identity_open_spool(const struct conf *conf, struct error *error)
{
	struct identity queue = identity_of(conf, ROLE_QUEUE);
	char path[1024];
	struct stat st;
	if (!slice_to_cstr(conf->main.spool_directory, path, sizeof path)) {
		error_set(error, ERROR_USAGE, "spool_directory is too long");
		return -1;
	}
	_cleanup_fd_ int fd = open_or_make(path, 0700, &queue, error);
	if (fd < 0)
		return -1;
	ensure(fstat(fd, &st) == 0);
	if (st.st_uid != queue.uid && getuid() == 0 && is_empty(fd) && fchown(fd, queue.uid, queue.gid) == 0)
		st.st_uid = queue.uid;
	if (st.st_uid != queue.uid) {
		error_set(error, ERROR_USAGE, "the spool directory %s belongs to uid %u, but the queue runs as uid %u: "
			  "stop all servers that use it, then chown -R %u:%u %s", path, (unsigned)st.st_uid, (unsigned)queue.uid,
			  (unsigned)queue.uid, (unsigned)queue.gid, path);
		return -1;
	}
	return fd_take(&fd);
}

int identity_open_state(const struct conf *conf, int spool_fd, enum role role, const char *name, struct error *error)
{
	struct identity owner = identity_of(conf, role);
	struct stat st;
	if (mkdirat(spool_fd, name, 0700) < 0 && errno != EEXIST) {
		error_set_errno(error, errno, "making the directory %s in the spool directory", name);
		return -1;
	}
	_cleanup_fd_ int fd = openat(spool_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0) {
		error_set_errno(error, errno, "opening the directory %s in the spool directory", name);
		return -1;
	}
	/* Only an empty one is given away: it stands in a directory of the queue's. */
	if (getuid() == 0 && st.st_uid != owner.uid && (!is_empty(fd) || fchown(fd, owner.uid, owner.gid) < 0)) {
		error_set(error, ERROR_USAGE, "the directory %s in the spool directory belongs to uid %u, but the %s role runs as uid %u: "
			  "remove it, what it holds can be spared", name, (unsigned)st.st_uid, role_name(role), (unsigned)owner.uid);
		return -1;
	}
	return fd_take(&fd);
}

int identity_open_mailboxes(const struct transport *transport, char *path_r, size_t size, struct error *error)
{
	struct identity owner = { transport->has_user ? transport->uid : getuid(), transport->has_group ? transport->gid : getgid() };
	struct slice prefix = expand_constant_prefix(transport->directory);
	size_t slash = slice_find_last(prefix, '/');
	*path_r = '\0';
	if (slash == prefix.len) /* none: the path begins with a variable */
		return -1;
	prefix = slice_first(prefix, slash ? slash : 1);
	if (!slice_to_cstr(prefix, path_r, size)) {
		error_set(error, ERROR_USAGE, "the directory of transport %.*s is too long", SLICE_ARG(transport->name));
		return -1;
	}
	int fd = transport->create_directory ? open_or_make(path_r, 0711, &owner, error) :
					       open(path_r, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && !transport->create_directory)
		error_set_errno(error, errno, "opening the directory %s", path_r);
	return fd;
}

/* SPDX-License-Identifier: ISC */
/* Users of roles, and the directories that the master opens (and makes) for them. */
#include "role/master.h"

#include "base/cleanup.h"
#include "base/fatal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
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

/* Makes the directory and its parents; only the last one gets `mode`. */
static bool make_directories(const char *path, mode_t mode, struct error *error)
{
	char part[1024];
	size_t len = strlen(path);
	if (len >= sizeof part)
		return error_set(error, ERROR_USAGE, "the path %s is too long", path);
	for (size_t i = 1; i <= len; i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		if (mkdir(part, i == len ? mode : 0755) < 0 && errno != EEXIST)
			return error_set_errno(error, errno, "making the directory %s", part);
	}
	return true;
}

/* Opens the directory; where it is missing it is made for `owner`. */
static int open_or_make(const char *path, mode_t mode, const struct identity *owner, struct error *error)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT) {
		if (!make_directories(path, mode, error))
			return -1;
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0 && getuid() == 0 && fchown(fd, owner->uid, owner->gid) < 0) {
			error_set_errno(error, errno, "giving the directory %s to uid %u", path, (unsigned)owner->uid);
			close(fd);
			return -1;
		}
	}
	if (fd < 0)
		error_set_errno(error, errno, "opening the directory %s", path);
	return fd;
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

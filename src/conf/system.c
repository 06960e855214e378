/* SPDX-License-Identifier: ISC */
/* The facts of this machine. Used by the master and by commands, never by a role. */
#include "conf/source.h"
#include "conf/system.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/files.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { READ_TRIES = 5, TICK = 10 * 1000 * 1000 }; /* ns; the coarsest clock of a kernel */

static bool ask_hostname(struct slice name, struct arena *arena, struct slice *value_r, struct error *error)
{
	(void)name;
	struct utsname names;
	if (uname(&names) < 0)
		return error_set_errno(error, errno, "asking for the name of this host");
	struct slice node = slice_of(names.nodename);
	*value_r = arena_copy(arena, node);
	if (slice_find(node, '.') != node.len)
		return true;
	/* A name of one component is completed, as Exim does. */
	struct addrinfo hints = { .ai_flags = AI_CANONNAME, .ai_socktype = SOCK_STREAM }, *found = NULL;
	if (getaddrinfo(names.nodename, NULL, &hints, &found) == 0) {
		struct slice full = slice_of(found->ai_canonname);
		if (slice_find(full, '.') != full.len && !ascii_is_digit(full.data[0]))
			*value_r = arena_copy(arena, full);
		freeaddrinfo(found);
	}
	return true;
}

static bool ask_root(struct slice name, struct arena *arena, struct slice *value_r, struct error *error)
{
	(void)name;
	(void)arena;
	(void)error;
	*value_r = geteuid() == 0 ? SLICE("1") : SLICE("0");
	return true;
}

/* All `size` bytes from the start, or as many as there are. */
static bool read_file(int fd, size_t size, struct arena *arena, struct slice *value_r, const char *path, struct error *error)
{
	char *bytes = arena_alloc(arena, size + 1);
	ssize_t n = files_read_full(&files_real, fd, bytes, size, 0);
	if (n < 0)
		return error_set_errno(error, (int)-n, "reading %s", path);
	*value_r = slice_make(bytes, (size_t)n);
	return true;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* So lately that another write could leave the same times: they move in steps of a clock tick. */
static bool just_written(const struct stat *status)
{
	int64_t changed = (int64_t)status->st_ctim.tv_sec * CLOCK_SECOND + status->st_ctim.tv_nsec;
	return clock_wall_now() - changed < 2 * TICK;
}

bool conf_read_file(const char *path, struct arena *arena, struct slice *value_r, struct error *error,
		    void (*meanwhile)(void *owner), void *owner)
{
	for (int tries = 0; tries < READ_TRIES; tries++) {
		struct stat before, after;
		struct slice again;
		/* Not blocking, so that a FIFO in the place of a file cannot hold the master. */
		_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
		if (fd < 0 || fstat(fd, &before) < 0)
			return error_set_errno(error, errno, "opening %s", path);
		if (!S_ISREG(before.st_mode) && strcmp(path, "/dev/null") == 0) {
			*value_r = SLICE("");
			return true;
		}
		if (!S_ISREG(before.st_mode))
			return error_set(error, ERROR_USAGE, "%s is not a regular file", path);
		if (before.st_size > CONF_FILE_MAX)
			return error_set(error, ERROR_USAGE, "%s is larger than %d MiB", path, CONF_FILE_MAX / 1024 / 1024);
		if (!read_file(fd, (size_t)before.st_size, arena, value_r, path, error))
			return false;
		if (meanwhile)
			meanwhile(owner);
		bool good = value_r->len == (size_t)before.st_size && fstat(fd, &after) == 0 && same_file(&before, &after);
		if (good && just_written(&after))
			good = read_file(fd, (size_t)before.st_size, arena, &again, path, error) && slice_equal(*value_r, again);
		if (good)
			return true;
		nanosleep(&(struct timespec){ .tv_nsec = 2 * TICK }, NULL);
	}
	return error_set(error, ERROR_TEMPORARY, "%s changes while it is read; try again when it is written completely", path);
}

static bool ask_file(struct slice name, struct arena *arena, struct slice *value_r, struct error *error)
{
	char path[4096];
	if (!slice_to_cstr(name, path, sizeof path))
		return error_set(error, ERROR_USAGE, "%.*s: not a usable file name", SLICE_ARG(slice_first(name, 100)));
	return conf_read_file(path, arena, value_r, error, NULL, NULL);
}

static bool ask_service(struct slice name, struct arena *arena, struct slice *value_r, struct error *error)
{
	char text[64], more[4096];
	struct servent entry, *found = NULL;
	if (!slice_to_cstr(name, text, sizeof text) || getservbyname_r(text, "tcp", &entry, more, sizeof more, &found) ||
	    !found)
		return error_set(error, ERROR_USAGE, "%.*s: no such TCP service in /etc/services",
				 SLICE_ARG(slice_first(name, 64)));
	unsigned port = (unsigned)entry.s_port;
	*value_r = arena_printf(arena, "%u", (port >> 8 & 255) | (port & 255) << 8); /* network order */
	return true;
}

static bool ask_user(struct slice name, struct arena *arena, struct slice *value_r, struct error *error)
{
	char text[256], more[16384];
	struct passwd entry, *found = NULL;
	uint64_t uid;
	if (!slice_to_cstr(name, text, sizeof text))
		return error_set(error, ERROR_USAGE, "%.*s: not a user name", SLICE_ARG(slice_first(name, 64)));
	int number = slice_parse_u64(name, UINT32_MAX - 1, &uid) ? getpwuid_r((uid_t)uid, &entry, more, sizeof more, &found) :
								   getpwnam_r(text, &entry, more, sizeof more, &found);
	if (number)
		return error_set_errno(error, number, "looking up user %s", text);
	if (!found)
		return error_set(error, ERROR_USAGE, "there is no user %s on this machine", text);
	*value_r = arena_printf(arena, "%u %u %s", entry.pw_uid, entry.pw_gid, entry.pw_dir);
	return true;
}

static bool ask_group(struct slice name, struct arena *arena, struct slice *value_r, struct error *error)
{
	char text[256], more[16384];
	struct group entry, *found = NULL;
	if (!slice_to_cstr(name, text, sizeof text))
		return error_set(error, ERROR_USAGE, "%.*s: not a group name", SLICE_ARG(slice_first(name, 64)));
	int number = getgrnam_r(text, &entry, more, sizeof more, &found);
	if (number)
		return error_set_errno(error, number, "looking up group %s", text);
	if (!found)
		return error_set(error, ERROR_USAGE, "there is no group %s on this machine", text);
	*value_r = arena_printf(arena, "%u", entry.gr_gid);
	return true;
}

static bool ask_addresses(struct slice name, struct arena *arena, struct slice *value_r, struct error *error)
{
	(void)name;
	struct ifaddrs *all = NULL;
	struct slice text = { 0 };
	char host[INET6_ADDRSTRLEN];
	if (getifaddrs(&all) < 0)
		return error_set_errno(error, errno, "asking for the addresses of this host");
	for (struct ifaddrs *one = all; one; one = one->ifa_next) {
		int family = one->ifa_addr ? one->ifa_addr->sa_family : AF_UNSPEC;
		const void *bytes = family == AF_INET
					    ? (const void *)&((struct sockaddr_in *)(void *)one->ifa_addr)->sin_addr
					    : (const void *)&((struct sockaddr_in6 *)(void *)one->ifa_addr)->sin6_addr;
		if ((family == AF_INET || family == AF_INET6) && inet_ntop(family, bytes, host, sizeof host))
			text = arena_printf(arena, "%.*s%s%s", SLICE_ARG(text), text.len ? " " : "", host);
	}
	freeifaddrs(all);
	*value_r = text;
	return true;
}

static bool ask_local(void *context, enum conf_fact_kind kind, struct slice name, struct arena *arena, struct slice *value_r,
		      struct error *error)
{
	static bool (*const asked[CONF_FACT_KINDS])(struct slice, struct arena *, struct slice *, struct error *) = {
		[CONF_FACT_HOSTNAME] = ask_hostname, [CONF_FACT_ROOT] = ask_root, [CONF_FACT_FILE] = ask_file,
		[CONF_FACT_SERVICE] = ask_service, [CONF_FACT_USER] = ask_user, [CONF_FACT_GROUP] = ask_group,
		[CONF_FACT_ADDRESSES] = ask_addresses,
	};
	(void)context;
	return asked[kind](name, arena, value_r, error);
}

const struct conf_system *conf_system_local(void)
{
	static const struct conf_system local = { .ask = ask_local };
	return &local;
}

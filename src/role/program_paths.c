/* SPDX-License-Identifier: ISC */
#include "role/program_paths.h"

#include "base/fatal.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { PROTECTED_MAX = 256 };

/* Where mail is: a directory that holds one of these is not opened to commands. */
struct protected {
	char *paths[PROTECTED_MAX];
	size_t count;
};

static void protect(struct protected *protected, struct slice path)
{
	char name[PATH_MAX], real[PATH_MAX];
	size_t slash = slice_find_last(path, '/');
	if (!path.len || path.data[0] != '/' || protected->count == PROTECTED_MAX || !slice_to_cstr(path, name, sizeof name))
		return;
	if (slash + 1 == path.len)
		name[slash ? slash : 1] = '\0';
	char *copy = strdup(realpath(name, real) ? real : name);
	ensure(copy);
	protected->paths[protected->count++] = copy;
}

static bool holds_protected(const char *directory, const struct protected *protected)
{
	char real[PATH_MAX];
	const char *name = realpath(directory, real) ? real : directory;
	size_t len = strlen(name);
	for (size_t i = 0; i < protected->count; i++) {
		const char *path = protected->paths[i];
		if (strncmp(path, name, len) == 0 && (path[len] == '\0' || path[len] == '/'))
			return true;
	}
	return false;
}

static void add_path(const char *path, unsigned rights, const struct protected *protected, struct sandbox_path *paths, size_t size,
		     size_t *count)
{
	if (*count == size || holds_protected(path, protected))
		return;
	int fd = open(path, O_PATH | O_CLOEXEC);
	if (fd >= 0)
		paths[(*count)++] = (struct sandbox_path){ fd, rights };
}

static void protect_mail(const struct conf *conf, struct protected *protected)
{
	protect(protected, conf->main.spool_directory);
	for (size_t i = 0; i < conf->transport_count; i++) {
		struct slice prefix = expand_constant_prefix(conf->transports[i].directory);
		size_t slash = slice_find_last(prefix, '/');
		if (slash < prefix.len)
			protect(protected, slice_first(prefix, slash + 1));
	}
}

size_t program_paths(const struct conf *conf, const struct slice *named, size_t named_count, unsigned named_rights, bool scratch,
		     struct sandbox_path *paths, size_t size)
{
	enum { PROGRAMS = SANDBOX_READ | SANDBOX_EXECUTE, SCRATCH = SANDBOX_READ | SANDBOX_WRITE };
	static const struct {
		const char *path;
		unsigned rights;
	} system_paths[] = {
		{ "/usr", PROGRAMS }, { "/bin", PROGRAMS }, { "/sbin", PROGRAMS }, { "/lib", PROGRAMS }, { "/lib32", PROGRAMS },
		{ "/lib64", PROGRAMS }, { "/opt", PROGRAMS }, { "/etc", PROGRAMS }, { "/proc", SANDBOX_READ }, { "/sys", SANDBOX_READ },
		{ "/run", SANDBOX_READ }, { "/var/lib", SANDBOX_READ }, { "/var/cache", SANDBOX_READ }, { "/dev/null", SCRATCH },
		{ "/dev/zero", SCRATCH }, { "/dev/full", SCRATCH }, { "/dev/random", SANDBOX_READ }, { "/dev/urandom", SANDBOX_READ },
	};
	static const char *const scratch_paths[] = { "/tmp", "/var/tmp" };
	struct protected protected = { 0 };
	char name[PATH_MAX];
	size_t count = 0;
	protect_mail(conf, &protected);
	for (size_t i = 0; i < sizeof system_paths / sizeof *system_paths; i++)
		add_path(system_paths[i].path, system_paths[i].rights, &protected, paths, size, &count);
	for (size_t i = 0; scratch && i < sizeof scratch_paths / sizeof *scratch_paths; i++)
		add_path(scratch_paths[i], SCRATCH, &protected, paths, size, &count);
	for (size_t i = 0; i < named_count; i++)
		if (slice_to_cstr(named[i], name, sizeof name))
			add_path(name, named_rights, &protected, paths, size, &count);
	for (size_t i = 0; i < protected.count; i++)
		free(protected.paths[i]);
	return count;
}

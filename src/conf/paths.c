/* SPDX-License-Identifier: ISC */
/* The directories below which lookups may read: found while the configuration is parsed, opened by the master for the lookup role. */
#include "conf/conf.h"

#include <string.h>

enum { DIRECTORIES_MAX = 1000 };

/* "/etc/mail/list." names a file in /etc/mail, and so does "/etc/mail/aliases": files are replaced, directories stay. */
static struct slice directory_of(struct slice prefix)
{
	size_t slash = slice_find_last(prefix, '/');
	if (!prefix.len || prefix.data[0] != '/' || slash == prefix.len)
		return (struct slice){ 0 };
	struct slice directory = slice_first(prefix, slash);
	while (directory.len && directory.data[directory.len - 1] == '/')
		directory.len--;
	return directory;
}

/* Whether `path` is `directory` or below it. */
static bool is_below(struct slice path, struct slice directory)
{
	return slice_starts(path, directory) && (path.len == directory.len || path.data[directory.len] == '/');
}

void conf_use_path(struct conf *conf, struct slice prefix)
{
	struct slice directory = directory_of(prefix);
	if (!directory.len)
		return;
	for (size_t i = 0; i < conf->lookup_directory_count; i++)
		if (is_below(directory, conf->lookup_directories[i]))
			return;
	if (conf->lookup_directory_count == DIRECTORIES_MAX)
		return;
	conf->lookup_directories = arena_grow(&conf->arena, conf->lookup_directories, conf->lookup_directory_count,
					      &conf->lookup_directory_room, sizeof *conf->lookup_directories);
	conf->lookup_directories[conf->lookup_directory_count++] = arena_copy(&conf->arena, directory);
}

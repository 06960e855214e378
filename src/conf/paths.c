/* SPDX-License-Identifier: ISC */
/*
 * The directories below which lookups may read (the master opens them for the lookup role), and the commands of ${run} with theirs:
 * found while the configuration is parsed.
 */
#include "conf/conf.h"

enum { DIRECTORIES_MAX = 1000, COMMANDS_MAX = 1000 };

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

struct directories {
	struct slice *items;
	size_t count, room;
};

/* Adds the directory of the path that begins so, unless it is below one that is there. */
static void add_directory(struct conf *conf, struct directories *list, struct slice prefix)
{
	struct slice directory = directory_of(prefix);
	if (!directory.len)
		return;
	for (size_t i = 0; i < list->count; i++)
		if (is_below(directory, list->items[i]))
			return;
	if (list->count == DIRECTORIES_MAX)
		return;
	list->items = arena_grow(&conf->arena, list->items, list->count, &list->room, sizeof *list->items);
	list->items[list->count++] = arena_copy(&conf->arena, directory);
}

void conf_use_path(struct conf *conf, struct slice prefix)
{
	struct directories list = { conf->lookup_directories, conf->lookup_directory_count, conf->lookup_directory_room };
	add_directory(conf, &list, prefix);
	conf->lookup_directories = list.items;
	conf->lookup_directory_count = list.count;
	conf->lookup_directory_room = list.room;
}

/* ---- Commands ---- */

/* What is one too many is not allowed to run. */
static void add_command(struct conf *conf, struct slice name, bool whole)
{
	for (size_t i = 0; i < conf->command_count; i++)
		if (conf->commands[i].whole == whole && slice_equal(conf->commands[i].name, name))
			return;
	if (conf->command_count == COMMANDS_MAX)
		return;
	conf->commands = arena_grow(&conf->arena, conf->commands, conf->command_count, &conf->command_room, sizeof *conf->commands);
	conf->commands[conf->command_count++] = (struct conf_command){ arena_copy(&conf->arena, name), whole };
}

void conf_use_command(struct conf *conf, size_t number, struct slice prefix, bool whole)
{
	struct directories list = { conf->command_directories, conf->command_directory_count, conf->command_directory_room };
	if (number == 0)
		add_command(conf, prefix, whole);
	add_directory(conf, &list, prefix);
	conf->command_directories = list.items;
	conf->command_directory_count = list.count;
	conf->command_directory_room = list.room;
}

static bool climbs(struct slice path)
{
	while (path.len)
		if (slice_equal(slice_cut(&path, '/'), SLICE("..")))
			return true;
	return false;
}

bool conf_allows_command(const struct conf *conf, struct slice name)
{
	for (size_t i = 0; i < conf->command_count; i++) {
		const struct conf_command *command = &conf->commands[i];
		if (command->whole ? slice_equal(name, command->name) : slice_starts(name, command->name) && !climbs(name))
			return true;
	}
	return false;
}

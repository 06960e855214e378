/* SPDX-License-Identifier: ISC */
#include "cli/command.h"

#include <stdio.h>
#include <string.h>

const struct command *command_find(const struct command *commands, size_t count, struct slice name)
{
	for (size_t i = 0; i < count; i++)
		if (slice_equal(slice_of(commands[i].name), name))
			return &commands[i];
	return NULL;
}

int command_usage_error(const struct command *command, const char *format, ...)
{
	va_list args;
	fprintf(stderr, "postern %s: ", command->name);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\nusage: postern %s %s\n", command->name, command->usage);
	return COMMAND_USAGE;
}

static const char *nearest(const struct command *commands, size_t count, struct slice name)
{
	const char *near = NULL;
	size_t best = 3;
	for (size_t i = 0; i < count; i++) {
		size_t distance = slice_edit_distance(name, slice_of(commands[i].name));
		if (distance < best) {
			best = distance;
			near = commands[i].name;
		}
	}
	return near;
}

int command_help(const struct command *commands, size_t count, const char *name)
{
	if (!name) {
		printf("Postern %s, a mail server.\n\nusage: postern COMMAND [ARGUMENTS]\n\n", POSTERN_VERSION);
		for (size_t i = 0; i < count; i++)
			printf("  %-10s %s\n", commands[i].name, commands[i].summary);
		printf("\n\"postern help COMMAND\" or \"postern COMMAND --help\" tells what a command takes.\n");
		return COMMAND_DONE;
	}
	const struct command *command = command_find(commands, count, slice_of(name));
	if (command) {
		printf("usage: postern %s%s%s\n\n%s\n", command->name, *command->usage ? " " : "", command->usage, command->summary);
		if (command->help)
			printf("\n%s", command->help);
		return COMMAND_DONE;
	}
	const char *near = nearest(commands, count, slice_of(name));
	fprintf(stderr, "postern: there is no command \"%s\"%s%s%s; \"postern help\" lists them\n", name,
		near ? ", did you mean " : "", near ? near : "", near ? "?" : "");
	return COMMAND_USAGE;
}

/* SPDX-License-Identifier: ISC */
/* postern: the one program. Its first argument is a command; the master's own start of a role is one too, not listed. */
#include "cli/commands.h"
#include "cli/exim_flags.h"
#include "role/process.h"

#include <stdio.h>
#include <string.h>

enum { COMMANDS_MAX = 32 };

static bool asks_for_help(const char *argument)
{
	return strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0;
}

/* "COMMAND --help", and behind words as of "user app-password add". Behind an option it may be that option's value. */
static bool command_help_wanted(int argc, char **argv)
{
	int at = 2;
	while (at < argc && argv[at][0] != '-')
		at++;
	return at < argc && asks_for_help(argv[at]);
}

int main(int argc, char **argv)
{
	struct command known[COMMANDS_MAX];
	for (size_t i = 0; i < command_count && i < COMMANDS_MAX; i++)
		known[i] = *commands[i];
	if (argc > 1 && strcmp(argv[1], "role") == 0)
		return role_main(argc, argv);
	if (argc > 0 && exim_flags_are(argc, argv))
		return exim_flags_main(argc, argv);
	if (argc < 2) {
		command_help(known, command_count, NULL);
		return COMMAND_USAGE;
	}
	if (strcmp(argv[1], "help") == 0 || asks_for_help(argv[1]))
		return command_help(known, command_count, argc > 2 ? argv[2] : NULL);
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)
		return command_version.run(0, NULL);
	const struct command *command = command_find(known, command_count, slice_of(argv[1]));
	if (!command)
		return command_help(known, command_count, argv[1]);
	if (command_help_wanted(argc, argv))
		return command_help(known, command_count, command->name);
	return command->run(argc - 1, argv + 1);
}

/* SPDX-License-Identifier: ISC */
/* postern: the one program. Its first argument is a command; the master's own start of a role is one too, not listed. */
#include "cli/command.h"
#include "role/process.h"

#include <stdio.h>
#include <string.h>

static int version_command(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	printf("Postern %s\n", POSTERN_VERSION);
	return COMMAND_DONE;
}

static const struct command command_version = {
	.name = "version",
	.run = version_command,
	.summary = "print the version",
	.usage = "",
};

static const struct command *const listed[] = { &command_run, &command_init, &command_check, &command_rewrite, &command_retry, &command_version };

enum { COMMANDS = sizeof listed / sizeof listed[0] };

int main(int argc, char **argv)
{
	struct command commands[COMMANDS];
	for (size_t i = 0; i < COMMANDS; i++)
		commands[i] = *listed[i];
	if (argc > 1 && strcmp(argv[1], "role") == 0)
		return role_main(argc, argv);
	if (argc < 2) {
		command_help(commands, COMMANDS, NULL);
		return COMMAND_USAGE;
	}
	bool help = strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0;
	if (help)
		return command_help(commands, COMMANDS, argc > 2 ? argv[2] : NULL);
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)
		return version_command(0, NULL);
	const struct command *command = command_find(commands, COMMANDS, slice_of(argv[1]));
	if (!command)
		return command_help(commands, COMMANDS, argv[1]);
	return command->run(argc - 1, argv + 1);
}

/* SPDX-License-Identifier: ISC */
#include "cli/commands.h"

#include <stdio.h>

static int version_command(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	printf("Postern %s\n", POSTERN_VERSION);
	return COMMAND_DONE;
}

const struct command command_version = {
	.name = "version",
	.run = version_command,
	.summary = "print the version",
	.usage = "",
};

const struct command *const commands[] = {
	&command_run, &command_init, &command_check, &command_expand, &command_session, &command_rewrite, &command_retry,
	&command_cert, &command_ocsp, &command_tlsa, &command_stats, &command_user, &command_version,
};
const size_t command_count = sizeof commands / sizeof *commands;

/* SPDX-License-Identifier: ISC */
/* postern run: the server, in the foreground or the background. */
#include "cli/command.h"
#include "role/master.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/*
 * Goes on in the background. The parent waits until all roles serve, and ends with 0 then, or with 1 when they do not; the child
 * returns with the descriptor by which it says so.
 */
static int enter_background(void)
{
	int ends[2];
	char byte;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -1;
	pid_t child = fork();
	if (child < 0)
		return -1;
	if (child > 0) {
		close(ends[1]);
		_exit(read(ends[0], &byte, 1) == 1 ? COMMAND_DONE : COMMAND_NO);
	}
	close(ends[0]);
	setsid();
	if (chdir("/") < 0)
		return -1;
	return ends[1];
}

static int run_command(int argc, char **argv);

const struct command command_run = {
	.name = "run",
	.run = run_command,
	.summary = "run the server",
	.usage = "[-c FILE] [-D MACRO=TEXT] [-v] [-d]",
	.help = "-c FILE        the configuration\n"
		"-D MACRO=TEXT  define a macro, overriding the file's\n"
		"-v             copy the log to standard error, in colour on a terminal\n"
		"-d             go to the background once everything runs\n"
		"SIGHUP reloads the configuration and opens the logs anew; SIGTERM lets sessions and deliveries end.\n",
};

static int run_command(int argc, char **argv)
{
	struct command_configuration configuration = { 0 };
	struct master_options options = { .ready_fd = -1 };
	struct error error;
	bool background = false;
	char file[4096];
	static const struct option none[] = { { 0 } }; /* long options get a clear answer too */
	opterr = 0;
	for (int option; (option = getopt_long(argc, argv, "+c:D:vd", none, NULL)) != -1;) {
		switch (option) {
		case 'c': configuration.file = optarg; break;
		case 'v': options.verbose = true; break;
		case 'd': background = true; break;
		case 'D':
			if (!command_add_macro(&configuration, optarg, &error))
				return command_usage_error(&command_run, "%s", error.text);
			break;
		default: return command_usage_error(&command_run, "unknown option or missing value: %s", argv[optind - 1]);
		}
	}
	if (optind < argc)
		return command_usage_error(&command_run, "unexpected argument %s", argv[optind]);
	options.file = command_configuration_file(&configuration);
	/* In the background the working directory is the root: reloads must find the file all the same. */
	if (!realpath(options.file, file)) {
		fprintf(stderr, "postern: cannot read the configuration %s: %s\n", options.file, strerror(errno));
		return COMMAND_USAGE;
	}
	options.file = file;
	options.macros = configuration.macros;
	options.macro_count = configuration.macro_count;
	if (background && (options.ready_fd = enter_background()) < 0) {
		fprintf(stderr, "postern: cannot go to the background: %s\n", strerror(errno));
		return COMMAND_TEMPORARY;
	}
	return master_run(&options);
}

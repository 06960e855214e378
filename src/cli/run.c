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
	.usage = "[-c FILE] [-D MACRO=TEXT] [-q [NAME/]TIME] [-v] [-d]",
	.help = "-c FILE        the configuration\n"
		"-D MACRO=TEXT  define a macro, overriding the file's\n"
		"-q TIME        run the queue so often: queue_run_interval, whatever the file says\n"
		"-q NAME/TIME   run the queue of that name; all that are given are queue_run_named\n"
		"-v             copy the log to standard error, in colour on a terminal (unless NO_COLOR is set)\n"
		"-d             go to the background once everything runs\n"
		"SIGHUP reloads the configuration and opens the logs anew; SIGTERM lets sessions and deliveries end.\n",
};

/* What -q says, as settings of the main section. */
struct queue_runs {
	char named[4096];
	struct conf_fact settings[2];
	size_t count;
};

static void set_option(struct queue_runs *runs, const char *option, const char *value)
{
	size_t at = 0;
	while (at < runs->count && !slice_equal(runs->settings[at].name, slice_of(option)))
		at++;
	runs->count += at == runs->count;
	runs->settings[at] = (struct conf_fact){ .kind = CONF_FACT_OPTION, .present = true, .name = slice_of(option), .value = slice_of(value) };
}

/* "30m" or "bulk/30m". False: too many. */
static bool add_queue_run(struct queue_runs *runs, const char *text)
{
	size_t len = strlen(runs->named), room = sizeof runs->named - len;
	if (!strchr(text, '/')) {
		set_option(runs, "queue_run_interval", text);
		return true;
	}
	if ((size_t)snprintf(runs->named + len, room, "%s%s", len ? " : " : "", text) >= room)
		return false;
	set_option(runs, "queue_run_named", runs->named);
	return true;
}

static int run_command(int argc, char **argv)
{
	struct queue_runs runs = { .count = 0 };
	struct command_configuration configuration = { 0 };
	struct master_options options = { .ready_fd = -1 };
	struct error error;
	bool background = false;
	char file[4096];
	static const struct option none[] = { { 0 } }; /* long options get a clear answer too */
	opterr = 0;
	for (int option; (option = getopt_long(argc, argv, "+c:D:q:vd", none, NULL)) != -1;) {
		switch (option) {
		case 'c': configuration.file = optarg; break;
		case 'v': options.verbose = true; break;
		case 'd': background = true; break;
		case 'q':
			if (!add_queue_run(&runs, optarg))
				return command_usage_error(&command_run, "too many queues with -q");
			break;
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
	options.settings = runs.settings;
	options.setting_count = runs.count;
	if (background && (options.ready_fd = enter_background()) < 0) {
		fprintf(stderr, "postern: cannot go to the background: %s\n", strerror(errno));
		return COMMAND_TEMPORARY;
	}
	return master_run(&options);
}

/* SPDX-License-Identifier: ISC */
/*
 * The commands of the program: one file each, and one table of them in commands.c. A command gets its own arguments (argv[0] is
 * its name), writes its answer to standard output and all complaints to standard error, and returns an exit status.
 */
#ifndef POSTERN_CLI_COMMAND_H
#define POSTERN_CLI_COMMAND_H

#include "conf/conf.h"

enum command_status {
	COMMAND_DONE = 0,
	COMMAND_NO = 1,         /* the answer is no */
	COMMAND_USAGE = 2,      /* wrong arguments or configuration */
	COMMAND_TEMPORARY = 75, /* trying again later may help; sysexits' EX_TEMPFAIL */
};

struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *summary; /* what it does, in a few words: for the list of commands */
	const char *usage;   /* its arguments: "[-c FILE] [--json]" */
	const char *help;    /* what they mean, several lines, each ended by a newline; may be NULL */
};

/* The commands, listed in commands.c. */
extern const struct command command_cert, command_check, command_expand, command_init, command_ocsp, command_retry, command_rewrite,
	command_run, command_session, command_stats, command_tlsa, command_user, command_version;

/* Prints the list of commands, or what one of them takes. COMMAND_USAGE when `name` is no command; NULL for the list. */
int command_help(const struct command *commands, size_t count, const char *name);
/* One line to standard error about wrong arguments, with the command's usage. Returns COMMAND_USAGE. */
int command_usage_error(const struct command *command, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The command of that name, or NULL. */
const struct command *command_find(const struct command *commands, size_t count, struct slice name);

/* -c and -D of the commands that read a configuration. */
enum { COMMAND_MACROS_MAX = 64 };

struct command_configuration {
	const char *file; /* -c; NULL: the environment's POSTERN_CONF, or else /etc/postern/postern.conf */
	struct conf_macro macros[COMMAND_MACROS_MAX];
	size_t macro_count;
};

/* Takes "NAME=text" from -D. False with *error. */
bool command_add_macro(struct command_configuration *configuration, const char *argument, struct error *error);
/* The file that will be read. */
const char *command_configuration_file(const struct command_configuration *configuration);
/*
 * Reads and parses with the system of this machine. Returns NULL when there are errors. `problems` is initialised by the
 * caller and has all errors and warnings. *source_r (may be NULL) gets the source, to be sealed for the roles and freed by
 * the caller; it is set in any case.
 */
struct conf *command_read_configuration(const struct command_configuration *configuration, struct conf_problems *problems,
					struct conf_source **source_r);
/* All problems to standard error, one a line, and how many were left out. */
void command_print_problems(const struct conf_problems *problems);
/* One of them as the members of a JSON object, without its braces. False when `out` is full. */
bool command_problem_json(const struct conf_problem *problem, struct buf *out);

#endif

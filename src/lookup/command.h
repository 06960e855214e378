/* SPDX-License-Identifier: ISC */
/*
 * A command that runs beside this process: without a shell, its standard input empty, its standard output and standard error one pipe,
 * no other descriptor, in a session (and so a process group) of its own. It is killed when the thread that started it ends.
 *
 * Used on a task. Once command_start succeeded, command_end follows: whatever the command does, nothing is left to wait for.
 */
#ifndef POSTERN_LOOKUP_COMMAND_H
#define POSTERN_LOOKUP_COMMAND_H

#include "base/error.h"
#include "lookup/lookup.h"

#include <sys/types.h>

struct command {
	pid_t pid;
	int pid_fd; /* readable when it has ended */
	int output; /* our end of its output; does not block */
};

/*
 * Starts arguments[0], which is a path: none is searched. 0, an errno when the system will not execute it (ENOENT, EACCES ...), or -1
 * with *error when it cannot be tried. The end of the array is a NULL.
 */
int command_start(struct command *command, char *const *arguments, const struct lookup_command_settings *settings, int64_t deadline,
		  struct error *error);
/*
 * Waits for its end until the deadline; when that passes (or `killed` is set before, or the task is cancelled) kills its process group, and
 * sets *killed. Returns the exit status, or minus the number of the signal that ended it.
 */
int64_t command_end(struct command *command, int64_t deadline, bool *killed);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * The walls around a role: no new privileges, a list of the system calls that it may make (seccomp), and the directories that it
 * may touch (Landlock, where the kernel has it). Entered once, while the process has one thread; threads made later are inside.
 * A system call that is not on the list ends the process; the master says so in the panic log. The run role is different: it starts
 * programs of the system, so its list has the calls that are refused, and those fail.
 */
#ifndef POSTERN_ROLE_SANDBOX_H
#define POSTERN_ROLE_SANDBOX_H

#include "base/error.h"
#include "ipc/message.h"

enum sandbox_right { SANDBOX_READ = 1, SANDBOX_WRITE = 2, SANDBOX_EXECUTE = 4 };

struct sandbox_path {
	int fd;          /* a directory or file; stays the caller's */
	unsigned rights; /* for it and all below it */
};

/* What is in force afterwards, one line, goes to `description`. False and *error when a wall that the kernel has cannot be raised. */
bool sandbox_enter(enum role role, const struct sandbox_path *paths, size_t count, char *description, size_t size,
		   struct error *error);
/* What this kernel offers, one line, for `postern check`. */
void sandbox_describe(char *out, size_t size);

#endif

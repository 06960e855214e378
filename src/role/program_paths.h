/* SPDX-License-Identifier: ISC */
/* What roles that run other programs' code (run, pam) are let into: the directories of the system, but none that holds mail. */
#ifndef POSTERN_ROLE_PROGRAM_PATHS_H
#define POSTERN_ROLE_PROGRAM_PATHS_H

#include "conf/conf.h"
#include "role/sandbox.h"

/*
 * The system's directories to read and execute, and those named with the rights given. `scratch`: /tmp and /var/tmp to write, too. A
 * directory that has the spool or mailboxes below it is left out, for rules of Landlock only add. Returns how many.
 */
size_t program_paths(const struct conf *conf, const struct slice *named, size_t named_count, unsigned named_rights, bool scratch,
		     struct sandbox_path *paths, size_t size);

#endif

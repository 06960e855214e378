/* SPDX-License-Identifier: ISC */
/*
 * Exim's command line: its flags, and the names exim, sendmail, mailq and newaliases under which it is called, as a table onto
 * our commands. A flag whose command this version lacks is an error that says so; none is passed over in silence but those
 * that ask for what Postern does anyway.
 */
#ifndef POSTERN_CLI_EXIM_FLAGS_H
#define POSTERN_CLI_EXIM_FLAGS_H

#include <stdbool.h>
#include <stddef.h>

/* Whether these arguments are Exim's: by the name that the program was called by, or because a flag stands where a command would. */
bool exim_flags_are(int argc, char **argv);
/* Runs what they ask for; returns the exit status. */
int exim_flags_main(int argc, char **argv);
/* The rows of the table one by one, for the manual: the flag, what it does or what is missing. False behind the last one. */
bool exim_flags_row(size_t row, const char **flag_r, const char **what_r, bool *available_r);

#endif

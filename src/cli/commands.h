/* SPDX-License-Identifier: ISC */
/* The commands, in the order in which help and the manual list them. */
#ifndef POSTERN_CLI_COMMANDS_H
#define POSTERN_CLI_COMMANDS_H

#include "cli/command.h"

extern const struct command *const commands[];
extern const size_t command_count;

#endif

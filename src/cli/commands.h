/* SPDX-License-Identifier: ISC */
/* The commands, in the order in which help and the manual list them. */
#ifndef POSTERN_CLI_COMMANDS_H
#define POSTERN_CLI_COMMANDS_H

#include "cli/command.h"

extern const struct command *const commands[];
extern const size_t command_count;

/* postern(8), for man(1). False when `out` is full. */
bool commands_manual_page(struct buf *out);

#endif

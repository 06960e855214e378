/* SPDX-License-Identifier: ISC */
/* Questions of commands to the DNS: with the validating resolver of the server, on a loop made for it. Blocks. */
#ifndef POSTERN_CLI_RESOLVE_H
#define POSTERN_CLI_RESOLVE_H

#include "cli/command.h"
#include "dns/dns.h"

struct resolve_question {
	struct slice name;
	unsigned type;
	struct dns_answer answer; /* filled; its text in the arena */
};

/*
 * The settings of a configuration, or, when that is NULL, the system's. `arena` holds the texts of the system's files.
 */
void resolve_settings(const struct conf *conf, struct arena *arena, struct dns_settings *settings_r);
/* Asks all at once; every one has an answer then. False with *error when the resolver cannot be made. */
bool resolve_ask(const struct dns_settings *settings, struct resolve_question *questions, size_t count, int64_t deadline,
		 struct arena *arena, struct error *error);

#endif

/* SPDX-License-Identifier: ISC */
/* postern tlsa: what its two halves share. */
#ifndef POSTERN_CLI_TLSA_COMMAND_H
#define POSTERN_CLI_TLSA_COMMAND_H

#include "cli/command.h"
#include "cli/probe.h"

enum { TLSA_HOSTS_MAX = 64 };

struct tlsa_command {
	struct command_configuration configuration;
	bool check, json;
	bool wanted[3][4];          /* --usage, --selector, --matching: which values */
	const char *hosts[TLSA_HOSTS_MAX];
	size_t host_count;
	uint16_t port;
	const char *source;         /* the certificate's file, or HOST:PORT */
	const char *next;           /* --certificate; NULL: none */
	struct probe_target target; /* of --check; addresses from --address */
	int64_t time_limit;         /* ns, for all of a check */
};

/* Reads and parses a file. NULL with *error. */
STACK_OF(X509) *tlsa_read_chain(const char *path, struct error *error);
/* Returns an exit status; complaints are written. */
int tlsa_check(struct tlsa_command *command);

#endif

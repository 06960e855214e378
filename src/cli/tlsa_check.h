/* SPDX-License-Identifier: ISC */
/* What postern tlsa --check found out: gathered in tlsa_check.c, printed in tlsa_check_print.c. */
#ifndef POSTERN_CLI_TLSA_CHECK_H
#define POSTERN_CLI_TLSA_CHECK_H

#include "cli/tlsa_command.h"
#include "tls/tlsa_guard.h"

enum tlsa_check_verdict {
	TLSA_CHECK_GOOD,
	TLSA_CHECK_BROKEN,      /* clients that check DANE refuse what is served */
	TLSA_CHECK_NEXT_BREAKS, /* ... would refuse the next one */
	TLSA_CHECK_UNUSED,      /* nothing published that they use */
	TLSA_CHECK_UNKNOWN,     /* the DNS gave no answer */
};

struct tlsa_checked {
	const char *what; /* "served", "served to others", "next" */
	STACK_OF(X509) *chain;
	struct slice title, key_sha256;
	enum tlsa_fit fit;
	struct tlsa_verdict verdicts[TLSA_RECORDS_MAX];
};

struct tlsa_check {
	struct tlsa_command *command;
	struct arena arena;
	struct tlsa_set set;
	struct tlsa_checked checked[3];
	size_t count;
	struct slice address, version; /* of the connection */
	bool addresses_given, unsigned_address;
	int64_t now; /* seconds since the epoch */
	enum tlsa_check_verdict verdict;
};

void tlsa_check_print(struct tlsa_check *check);

#endif

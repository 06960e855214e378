/* SPDX-License-Identifier: ISC */
/*
 * The server's certificates as `postern check` sees them: read once, judged as the server judges them (order, dates, key), and kept for
 * what check_proofs has to say. All of it are warnings: the server may be another machine.
 */
#ifndef POSTERN_CLI_CHECK_CERTIFICATES_H
#define POSTERN_CLI_CHECK_CERTIFICATES_H

#include "conf/conf.h"
#include "tls/chain.h"

struct check_certificate {
	const char *path;
	bool guessed;              /* an expansion may choose it, or not: nothing is said of what makes it unfit */
	STACK_OF(X509) *chain;     /* NULL: it cannot be read */
	X509 *certificate, *issuer; /* of the chain; the issuer may be NULL */
	bool proved;               /* check_proofs: a valid proof speaks of it */
};

struct check_certificates {
	struct arena arena;
	struct check_certificate *items;
	size_t count;
	/* private */
	size_t room;
	struct conf_problems *problems;
};

/* Reads what the options name (role/tls_walk.h) and warns of it. To be freed. */
void check_certificates_read(struct check_certificates *certificates, const struct conf *conf, struct conf_problems *problems);
void check_certificates_free(struct check_certificates *certificates);

#endif

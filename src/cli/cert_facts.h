/* SPDX-License-Identifier: ISC */
/* What a certificate says, as text for people. Of anybody's certificate: all text is cleaned. */
#ifndef POSTERN_CLI_CERT_FACTS_H
#define POSTERN_CLI_CERT_FACTS_H

#include "tls/chain.h"

struct cert_facts {
	struct slice subject, issuer;     /* RFC 2253 */
	struct slice names[CHAIN_NAMES_MAX];
	size_t name_count;
	struct slice serial;              /* hexadecimal */
	struct slice not_before, not_after; /* "2026-11-21T10:00:00Z"; empty when the certificate's dates are no dates */
	int64_t days_left;                /* negative when it has ended */
	bool not_yet, ended;
	struct slice key;                 /* "ECDSA P-256", "RSA 2048 bits" */
	struct slice signature;           /* "ecdsa-with-SHA256" */
	struct slice sha256, key_sha256;  /* fingerprints of certificate and public key, hexadecimal */
	bool authority, must_staple, self_signed;
};

/* All text lies in `arena`. */
void cert_facts_read(X509 *certificate, int64_t now, struct arena *arena, struct cert_facts *facts_r);

#endif

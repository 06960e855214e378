/* SPDX-License-Identifier: ISC */
/*
 * Making keys and certificates: for a first configuration, for tests and for internal use (a small authority of one's own). Public
 * authorities do this better for what the world connects to.
 */
#ifndef POSTERN_TLS_ISSUE_H
#define POSTERN_TLS_ISSUE_H

#include "base/buf.h"
#include "base/error.h"

#include <openssl/x509.h>

enum issue_key { ISSUE_ECDSA /* P-256 */, ISSUE_RSA /* of 2048 bits */, ISSUE_ED25519 };
enum issue_purpose { ISSUE_SERVER, ISSUE_CLIENT, ISSUE_AUTHORITY /* signs certificates of the other two, no further authorities */ };
enum { ISSUE_NAMES_MAX = 64 };

struct issue_request {
	enum issue_key key;
	enum issue_purpose purpose;
	/*
	 * Host names, IP addresses, mail addresses: at least one, checked by the caller. The first is the subject; an authority's
	 * is its subject only and may be any text.
	 */
	const struct slice *names;
	size_t count;
	int days;             /* from now; never longer than the issuer */
	bool must_staple;     /* RFC 7633: clients shall insist on a proof of OCSP */
	X509 *issuer;         /* and its key; NULL: the certificate signs itself */
	EVP_PKEY *issuer_key;
};

/* The caller frees both. False with *error. */
bool issue_certificate(const struct issue_request *request, X509 **certificate_r, EVP_PKEY **key_r, struct error *error);
/* Appends both as PEM, the key without a pass phrase. */
bool issue_write(X509 *certificate, EVP_PKEY *key, struct buf *certificate_out, struct buf *key_out, struct error *error);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * Certificate chains as files and servers give them: the server's own certificate first, then what leads to an authority
 * (RFC 8446 §4.4.2). Everything in them may come from outside: sizes and counts are bounded here.
 */
#ifndef POSTERN_TLS_CHAIN_H
#define POSTERN_TLS_CHAIN_H

#include "base/arena.h"
#include "base/error.h"

#include <openssl/x509.h>

enum {
	CHAIN_TEXT_MAX = 1024 * 1024, /* bytes of a file */
	CHAIN_MAX = 32,               /* certificates */
	CHAIN_NAMES_MAX = 128,        /* names of one certificate that are looked at */
};

/*
 * All certificates of a PEM text, other blocks passed over, or the one of a DER text; at least one. `name` is the file, for
 * messages. NULL with *error otherwise. The caller frees with chain_free.
 */
STACK_OF(X509) *chain_parse(struct slice text, const char *name, struct error *error);
/* Frees the certificates too, and clears the pointer; NULL is allowed. */
void chain_free(STACK_OF(X509) **chain);
#define _cleanup_chain_ __attribute__((cleanup(chain_free)))

/*
 * The DNS names and IP addresses that a certificate is for, from its subjectAltName (RFC 6125 §6.4, RFC 5280 §4.2.1.6), as text
 * into `arena`. Names that hold a NUL or what no name may hold are left out. Returns how many, at most CHAIN_NAMES_MAX.
 */
size_t chain_names(const X509 *certificate, struct arena *arena, struct slice *names);
/* Whether a certificate may sign others (RFC 5280 §4.2.1.9). */
bool chain_is_authority(const X509 *certificate);
/* Whether this certificate was issued and signed by that one. */
bool chain_signed_by(X509 *certificate, X509 *issuer);

/* What is to be said of a server's own chain, apart from its key. Times are seconds since the epoch. */
struct chain_verdict {
	int broken_at;        /* the first certificate that is not signed by the one that follows it; -1: each is */
	int64_t begins, ends; /* when all of its certificates are valid */
	int begun_by, ended_by; /* and whose dates these are */
};
void chain_judge(STACK_OF(X509) *chain, struct chain_verdict *verdict_r);
/* Whether it belongs together and is valid now; false with *error. A certificate that stands alone belongs together. */
bool chain_is_good(const struct chain_verdict *verdict, int64_t now, struct error *error);

/* SubjectPublicKeyInfo and the whole certificate as DER, into `arena`; empty when OpenSSL cannot encode it. */
struct slice chain_public_key(const X509 *certificate, struct arena *arena);
struct slice chain_encode(const X509 *certificate, struct arena *arena);

#endif

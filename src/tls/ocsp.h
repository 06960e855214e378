/* SPDX-License-Identifier: ISC */
/*
 * OCSP proofs (RFC 6960): read from files and responders, checked, and stapled to TLS handshakes (RFC 6066 §8, RFC 8446
 * §4.4.2.1). What comes from a file or a responder is taken for hostile: sizes and counts are bounded before anything is parsed.
 *
 * A proof is valid for a certificate when it was signed by the certificate's issuer or by a delegate that the issuer itself
 * certified for signing such proofs (RFC 6960 §4.2.2.2), one of its answers has the certificate's ID and says "good", thisUpdate and
 * nextUpdate enclose the present with OCSP_SKEW seconds on both sides, and the signer's certificate has not expired.
 *
 * Times are seconds since the epoch. Functions leave OpenSSL's error queue empty.
 */
#ifndef POSTERN_TLS_OCSP_H
#define POSTERN_TLS_OCSP_H

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"

#include <openssl/ocsp.h>
#include <openssl/ssl.h>

enum {
	OCSP_FILE_MAX = 256 * 1024,    /* bytes of a file of proofs */
	OCSP_RESPONSE_MAX = 64 * 1024, /* bytes of one proof */
	OCSP_PROOFS_MAX = 16,          /* proofs in a file */
	OCSP_ANSWERS_MAX = 64,         /* certificates that one proof speaks of */
	OCSP_SKEW = 300,
};

/* ---- Proofs ---- */

struct ocsp_file {
	OCSP_RESPONSE *proofs[OCSP_PROOFS_MAX];
	size_t count;
};

/*
 * Reads DER (one proof, certificates may follow it) or PEM ("OCSP RESPONSE", "CERTIFICATE"). Certificates beside a proof are what a
 * client may need to check its signature: they become part of the proof. False and *error: there is nothing to free.
 */
bool ocsp_file_read(struct slice text, const char *name, struct ocsp_file *file_r, struct error *error);
void ocsp_file_free(struct ocsp_file *file);
/* The path in an item of tls_ocsp_file, which may have a "PEM " or "DER " before it. The form is found by looking. */
struct slice ocsp_file_path(struct slice item);
/* One proof in DER, all bytes of `der`. NULL and *error. */
OCSP_RESPONSE *ocsp_proof_read(struct slice der, const char *name, struct error *error);
bool ocsp_proof_write(OCSP_RESPONSE *proof, struct buf *out);

struct ocsp_verdict {
	bool valid;                   /* now */
	bool other;                   /* it does not speak of this certificate */
	bool revoked;                 /* signed and current, and says that the certificate is revoked */
	int64_t this_update, next_update; /* as stated, when the answer was found */
	int64_t served_until;         /* until when it is valid: the skew added, the signer's expiry heeded */
	char reason[256];             /* why not, for people; empty when valid */
};

/* `issuer` may be NULL: then it is looked for among the proof's own certificates. */
void ocsp_check(OCSP_RESPONSE *proof, X509 *certificate, X509 *issuer, int64_t now, struct ocsp_verdict *verdict_r);

/* The certificates in a PEM text, up to the first that is malformed; other PEM blocks are passed over. Free with sk_X509_pop_free. */
STACK_OF(X509) *ocsp_chain_read(struct slice pem);
/* Who issued the certificate, by name and signature: one of `chain` (which may be NULL), or NULL. A reference of the chain's. */
X509 *ocsp_find_issuer(X509 *certificate, STACK_OF(X509) *chain);
/* Whether its TLS feature extension demands a stapled proof (RFC 7633 §4.2.3.1). */
bool ocsp_is_must_staple(X509 *certificate);
/* What is said of one that does and has no proof. Returns out. */
enum { OCSP_DEMAND_MAX = 512 };
const char *ocsp_demand_text(X509 *certificate, char out[OCSP_DEMAND_MAX]);
/* The first http URL of a responder in the certificate (RFC 5280 §4.2.2.1). False when it names none, or one that does not fit. */
bool ocsp_responder_url(X509 *certificate, char *url_r, size_t size);
/* What to send to the responder (RFC 6960 §4.1), in DER: SHA-1 names the certificate, which is what all responders know (RFC 5019 §2.1.1). */
bool ocsp_request_write(X509 *certificate, X509 *issuer, struct buf *out, struct error *error);
/* "2026-11-21 10:00:00 UTC". `size` at least 24. Returns out. */
const char *ocsp_format_time(int64_t when, char *out, size_t size);
bool ocsp_parse_time(const ASN1_TIME *time, int64_t *when_r);

/* Names a certificate: SHA-256 of its DER form. */
struct ocsp_print {
	unsigned char bytes[32];
};
bool ocsp_print_of(X509 *certificate, struct ocsp_print *print_r);

/* ---- Stapling ---- */

/*
 * Proofs that came by themselves (from the fetch role), by certificate; one a process, shared by all its contexts. Each is
 * checked at its first use.
 */
struct ocsp_pool;
struct ocsp_pool *ocsp_pool_new(void);
void ocsp_pool_free(struct ocsp_pool *pool);
/* Whether somebody fetches at all (at first: yes); switched off it is emptied, and is as none. */
void ocsp_pool_enable(struct ocsp_pool *pool, bool enabled);
/* Takes a copy, in the place of the one before. False when it is too large, or the pool is full. */
bool ocsp_pool_put(struct ocsp_pool *pool, const struct ocsp_print *certificate, struct slice der);

/* A file of tls_ocsp_file. */
struct ocsp_source {
	struct slice text;
	const char *name;
};

/* Where complaints go, for the log: each is made once a stapler. */
struct ocsp_complaints {
	void (*complain)(void *owner, const char *text);
	void *owner;
	bool shared; /* the same files serve contexts with other certificates: one that is about none of this one's is in order */
};

/*
 * The proofs of one context: each of its certificates gets the valid one among `sources` that speaks of it, or else that of the
 * pool (NULL: none). Complains of files without use, and of certificates that demand a proof and have none (with a pool only when it
 * is wanted: proofs are on their way). Clients that ask get
 * the proof of the certificate that they are shown; a proof that is no longer valid is not served, and complained of.
 * It looks at no signature after the start. To be made when the context has its certificates, and freed after it.
 */
struct ocsp_stapler;
struct ocsp_stapler *ocsp_stapler_new(SSL_CTX *context, const struct ocsp_source *sources, size_t count, struct ocsp_pool *pool,
				      const struct ocsp_complaints *complaints);
void ocsp_stapler_free(struct ocsp_stapler *stapler);

#endif

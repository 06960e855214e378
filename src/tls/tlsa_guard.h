/* SPDX-License-Identifier: ISC */
/*
 * Whether certificates fit what is published for the names that they serve: the question before a changed certificate is taken
 * into use (tls_tlsa_guard), and before a roll-over. Who calls has asked the DNS.
 *
 * A client meets one of the server's certificates, by the algorithms that it can do; so every chain must match one record
 * of every name. RFC 7671 §8.1: a roll-over publishes the records of the next certificate beside those of the current
 * one, waits until the set without them has left all caches (its TTL), and only then changes the certificate.
 */
#ifndef POSTERN_TLS_TLSA_GUARD_H
#define POSTERN_TLS_TLSA_GUARD_H

#include "tls/tlsa.h"

enum tlsa_published {
	TLSA_PUBLISHED, /* records, and the answer validated */
	TLSA_ABSENT,    /* proven not to be there, or in a zone that is not signed: nobody uses DANE (RFC 7672 §2.2) */
	TLSA_UNKNOWN,   /* the DNS gave no answer, or one that fails validation */
};

/* What is published for one name. */
struct tlsa_set {
	struct slice owner; /* "_25._tcp.mx.example" */
	struct slice host;  /* "mx.example" */
	enum tlsa_published published;
	const struct tlsa_record *records;
	size_t count;       /* at most TLSA_RECORDS_MAX */
	int64_t ttl;        /* seconds that caches may still hold it */
	struct slice why;   /* TLSA_UNKNOWN, or how it is absent */
};

/* "_25._tcp.mx.example" (RFC 6698 §3), into `arena`. */
struct slice tlsa_owner(struct slice host, uint16_t port, struct arena *arena);

enum tlsa_fit {
	TLSA_FIT_NOT_ASKED, /* nothing published that a client could use: no certificate can be wrong */
	TLSA_FITS,
	TLSA_FIT_BROKEN,    /* records that can be used, and none matches */
	TLSA_FIT_UNKNOWN,   /* see TLSA_UNKNOWN */
};

/* One chain and one name; `verdicts` has room for set->count. */
enum tlsa_fit tlsa_fit(const struct tlsa_set *set, STACK_OF(X509) *chain, time_t when, struct arena *arena,
		       struct tlsa_verdict *verdicts);

/*
 * All chains and all names: TLSA_FIT_BROKEN for any is the result, then TLSA_FIT_UNKNOWN, then TLSA_FITS. *error tells of the first
 * that is not good: which name, which certificate, and the record that is missing.
 */
enum tlsa_fit tlsa_guard(const struct tlsa_set *sets, size_t set_count, STACK_OF(X509) *const *chains, size_t chain_count,
			 time_t when, struct arena *arena, struct error *error);

#endif

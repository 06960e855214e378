/* SPDX-License-Identifier: ISC */
/*
 * TLSA records (RFC 6698, RFC 7671) and certificate chains: which record a chain satisfies, and why another one does not. Knows
 * neither the DNS nor connections: who asks brings RDATA that was validated, and the chain that was served.
 *
 * Used for the own server's roll-over (postern tlsa --check, the guard of reloads) and for judging other servers (DANE).
 */
#ifndef POSTERN_TLS_TLSA_H
#define POSTERN_TLS_TLSA_H

#include "tls/chain.h"

#include <time.h>

/* RFC 7218 §2. */
enum tlsa_usage { TLSA_PKIX_TA, TLSA_PKIX_EE, TLSA_DANE_TA, TLSA_DANE_EE, TLSA_USAGES };
enum tlsa_selector { TLSA_CERTIFICATE, TLSA_PUBLIC_KEY, TLSA_SELECTORS };
enum tlsa_matching { TLSA_FULL, TLSA_SHA256, TLSA_SHA512, TLSA_MATCHINGS };

enum {
	TLSA_RECORDS_MAX = 64, /* of one name that are looked at: more than anybody publishes */
	TLSA_REASON_SIZE = 200,
};

struct tlsa_record {
	uint8_t usage, selector, matching; /* as they came: may be numbers that nobody has given a meaning yet */
	struct slice data;                 /* certificate association data */
};

enum tlsa_outcome {
	TLSA_MATCHES,
	TLSA_DIFFERS,   /* no certificate of the chain has that data */
	TLSA_UNTRUSTED, /* one has, but the chain does not lead to it, is out of date, or is for another name */
	TLSA_OUTRANKED, /* not looked at: the same usage and selector is published with a stronger digest (RFC 7671 §9) */
	TLSA_UNUSABLE,  /* passed over: unknown numbers, a wrong length, no meaning in SMTP (RFC 7671 §4.1) */
};

struct tlsa_verdict {
	enum tlsa_outcome outcome;
	int depth;                  /* TLSA_MATCHES, TLSA_UNTRUSTED: the certificate's place in the chain, 0 the server's own;
	                               its length for an authority that is only in the record */
	char why[TLSA_REASON_SIZE]; /* TLSA_UNTRUSTED and TLSA_UNUSABLE */
};

/* What was served, and what it is judged by. */
struct tlsa_question {
	STACK_OF(X509) *chain;     /* at least one */
	const struct slice *names; /* that the certificate may be for (RFC 7672 §3.2.2); none: the name is not checked */
	size_t name_count;
	X509_STORE *authorities;   /* for usages 0 and 1; NULL: those are unusable, as they are in SMTP (RFC 7672 §3.1.3) */
	time_t when;               /* the moment for dates */
};

/* RFC 6698 §2.1. False: shorter than its three numbers. The data stays where it is. */
bool tlsa_parse(struct slice rdata, struct tlsa_record *record_r);
/*
 * The data that a record of this selector and matching type has for a certificate, into `arena`; empty when one of the numbers
 * has no meaning.
 */
struct slice tlsa_data(const X509 *certificate, unsigned selector, unsigned matching, struct arena *arena);
/* Judges every record by itself into verdicts[0..count). Returns whether any matches. */
bool tlsa_match(const struct tlsa_question *question, const struct tlsa_record *records, size_t count, struct arena *arena,
		struct tlsa_verdict *verdicts);
/* "3 1 1 0123…": as in a zone file, the data in lower case. */
struct slice tlsa_text(const struct tlsa_record *record, struct arena *arena);
/* "DANE-EE SPKI SHA2-256" (RFC 7218); numbers without a meaning as numbers. */
struct slice tlsa_names(const struct tlsa_record *record, struct arena *arena);
/* The number of a field (0 usage, 1 selector, 2 matching type) written as number or as name, any case. False: neither. */
bool tlsa_field_parse(unsigned field, struct slice text, uint8_t *value_r);

#endif

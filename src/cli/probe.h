/* SPDX-License-Identifier: ISC */
/*
 * What a TLS server shows to a client: its certificate chain. For commands; blocks, with one deadline for all. Nothing is
 * verified here: to judge the chain is the caller's work.
 */
#ifndef POSTERN_CLI_PROBE_H
#define POSTERN_CLI_PROBE_H

#include "net/address.h"
#include "tls/chain.h"

enum { PROBE_HOST_MAX = 256, PROBE_ADDRESSES_MAX = 16 };

enum probe_start { PROBE_BY_PORT, PROBE_STARTTLS_SMTP, PROBE_AT_ONCE };
/* Which algorithm the certificate shall have: a server may have one of each (RFC 8446 §4.2.3). */
enum probe_algorithm { PROBE_ANY, PROBE_RSA, PROBE_ECDSA };

struct probe_target {
	char host[PROBE_HOST_MAX]; /* as it was written, without brackets; goes into SNI unless it is an address */
	uint16_t port;
	enum probe_start start;
	enum probe_algorithm algorithm;
	int64_t deadline;          /* clock.h */
	struct net_address addresses[PROBE_ADDRESSES_MAX]; /* where to connect, in turn; none: the system resolves host */
	size_t address_count;
};

struct probe_result {
	STACK_OF(X509) *chain; /* the caller frees; the server's own certificate first */
	char address[64];      /* that answered, "[2001:db8::1]:25" */
	char version[16];      /* "TLSv1.3" */
	char cipher[64];
};

/* Takes "HOST:PORT", "[ADDRESS]:PORT" apart; the rest of *target_r is left alone. False: it is none. */
bool probe_parse(struct slice text, struct probe_target *target_r);
/* Takes "smtp" or "none" of --starttls. */
bool probe_parse_start(struct slice text, enum probe_start *start_r);
/* Whether the connection begins with SMTP and STARTTLS: as asked, or by the well-known port. */
bool probe_starts_with_smtp(const struct probe_target *target);
/* False with *error when no address answers, or the handshake fails with the one that did. */
bool probe_chain(const struct probe_target *target, struct probe_result *result_r, struct error *error);

#endif

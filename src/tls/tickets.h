/* SPDX-License-Identifier: ISC */
/*
 * Session tickets (RFC 5077, RFC 8446 §4.6.1): their keys, made by the master and the same in all fronts, and what a ticket holds for.
 *
 * OpenSSL asks for little: in TLS 1.2 a resumed session brings its cipher along, whether the server still has it in its list or
 * not, and neither version compares the name that the client asks for. So each ticket carries the digest of the policy that it
 * was issued under (tls_policy_key, without the versions of files) and the name, and is taken where both are the
 * same: on every front, every port with an equal policy, and after a reload that changes nothing of it. Any other
 * gets a full handshake and a new ticket. What clients are verified with is compared besides (tls/verify.h).
 */
#ifndef POSTERN_TLS_TICKETS_H
#define POSTERN_TLS_TICKETS_H

#include "tls/policy.h"

#include <openssl/ssl.h>

enum { TICKET_KEYS = 3, TICKET_POLICY_LEN = 32 };

/* The first one seals; the others open what they have sealed before. */
struct ticket_keys {
	unsigned count;
	struct ticket_key {
		unsigned char name[16], cipher_key[32], mac_key[32];
	} keys[TICKET_KEYS];
};

/* Puts a new key in front and drops the oldest. False when the system gives no randomness. */
bool ticket_keys_rotate(struct ticket_keys *keys);

/* The tickets of one context, which must not outlive it. */
struct tls_tickets {
	const struct ticket_keys *keys; /* read at every handshake: their content may change in between */
	EVP_CIPHER *cipher;             /* fetched once: fetching at each ticket costs more than sealing it */
	unsigned char policy[TICKET_POLICY_LEN];
};

/* Makes `context`, whose application data becomes `tickets`, use these keys under this policy. False and *error when it cannot be done. */
bool tls_tickets_use(struct tls_tickets *tickets, SSL_CTX *context, OSSL_LIB_CTX *library, const struct ticket_keys *keys,
		     const struct tls_policy *policy, struct error *error);
void tls_tickets_clear(struct tls_tickets *tickets);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * What is known of a server's connection after its handshake, in the words of Exim's variables. Texts that are a peer's (its
 * name, the name that it asked for, its certificate) are read from the connection when they are wanted, so that a connection that
 * is idle does not hold them twice.
 */
#ifndef POSTERN_TLS_FACTS_H
#define POSTERN_TLS_FACTS_H

#include "tls/certificate.h"

#include <openssl/ssl.h>

/* $tls_in_resumption: a sum of these. */
enum tls_resumption {
	TLS_RESUMPTION_SUPPORTED = 1,
	TLS_RESUMPTION_REQUESTED = 2, /* the client wants a ticket */
	TLS_RESUMPTION_OFFERED = 4,   /* it offered a session */
	TLS_RESUMPTION_TICKET = 8,    /* it was given a ticket */
	TLS_RESUMPTION_USED = 16,
};

/* $tls_in_ocsp. */
enum tls_ocsp { TLS_OCSP_NOT_REQUESTED = 0, TLS_OCSP_NO_PROOF = 1, TLS_OCSP_PROOF_SENT = 4 };

struct tls_facts {
	char cipher[96];         /* "TLS1.3:TLS_AES_256_GCM_SHA384:256"; empty in clear */
	const char *standard;    /* the name that the RFCs give it; static; "" in clear */
	const char *version;     /* "TLS1.3"; static; "" in clear */
	int bits;
	bool verified;           /* the client's certificate */
	unsigned resumption;     /* enum tls_resumption */
	enum tls_ocsp ocsp;
};

/* All zero, with empty texts. */
void tls_facts_init(struct tls_facts *facts);
/* After the handshake. */
void tls_facts_read(SSL *ssl, struct tls_facts *facts_r);

/* The subject of the client's certificate, verified or not; empty when it showed none. */
void tls_facts_peer_name(const SSL *ssl, char out[CERTIFICATE_NAME_MAX]);
/* The name that the client asked for (RFC 6066 §3); empty when it asked for none. Good for as long as the connection. */
struct slice tls_facts_server_name(const SSL *ssl);
/* DER, in `arena`; empty when there is none. */
struct slice tls_facts_our_certificate(const SSL *ssl, struct arena *arena);
struct slice tls_facts_peer_certificate(const SSL *ssl, struct arena *arena);

#endif

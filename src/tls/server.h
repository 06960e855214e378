/* SPDX-License-Identifier: ISC */
/*
 * What a TLS server needs for all its connections: certificates with their (remote) keys, protocol versions, ciphers, and
 * the keys of session tickets. Immutable once made, counted, swapped as a whole on reload; a connection keeps the one that
 * it began with.
 *
 * What a context is to be stands in a struct tls_policy. Forward secrecy only (the keeper signs, it does not decrypt, so RSA
 * key exchange cannot exist), no compression, no renegotiation (RFC 9325 §3, §4).
 */
#ifndef POSTERN_TLS_SERVER_H
#define POSTERN_TLS_SERVER_H

#include "tls/ocsp.h"
#include "tls/policy.h"
#include "tls/remote_key.h"
#include "tls/tickets.h"

#include <openssl/ssl.h>

struct tls_server;

/* What is the same for all servers of a process, and must outlive them. */
struct tls_maker {
	struct tls_library *library;
	const struct remote_signer *signer;
	const struct ticket_keys *tickets;         /* read at every handshake: their content may change in between */
	struct ocsp_pool *proofs;                  /* NULL: none */
	const struct ocsp_complaints *complaints;  /* NULL: no proofs are stapled */
};

/*
 * With all that a policy says; its texts are needed only until it returns. Certificates of several algorithms stand side by side.
 * NULL and *error when something of it cannot be used.
 */
struct tls_server *tls_server_new(const struct tls_maker *maker, const struct tls_policy *policy, struct error *error);
struct tls_server *tls_server_ref(struct tls_server *server);
void tls_server_unref(struct tls_server *server);

/* A connection object, not yet bound to a descriptor. It takes a reference. */
SSL *tls_server_connection(struct tls_server *server);
/* What its connections read and write through (tls/stream.c). */
const BIO_METHOD *tls_server_method(const struct tls_server *server);

/* Exim's $tls_in_ver ("TLS1.3") and $tls_in_cipher ("TLS1.3:TLS_AES_256_GCM_SHA384:256"). Static or written to `out`. */
const char *tls_version_name(const SSL *ssl);
void tls_cipher_text(const SSL *ssl, char *out, size_t size);

/* The public key's identifier of the first certificate in this PEM text. */
bool tls_certificate_key_id(struct slice pem, const char *name, struct key_id *id_r, struct error *error);

#endif

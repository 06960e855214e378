/* SPDX-License-Identifier: ISC */
/*
 * What a client offers in its ClientHello: kept while the handshake runs, for the choice of certificates by name and for the
 * log when the handshake fails. All of it is a peer's text: tls_host_name_of is the one way from the name to a file.
 */
#ifndef POSTERN_TLS_HELLO_H
#define POSTERN_TLS_HELLO_H

#include "base/slice.h"

#include <openssl/ssl.h>

enum { HELLO_NAME_MAX = 255, HOST_NAME_MAX_LENGTH = 253, TLS_HELLO_TEXT_MAX = 1024 };

struct tls_hello {
	bool seen;
	bool has_name, has_alpn;
	unsigned char name_length;
	char name[HELLO_NAME_MAX];       /* the server name as sent (RFC 6066 §3) */
	/* As on the wire, cut where they are longer. */
	unsigned char suites[256], groups[64], versions[32];
	unsigned short suites_length, groups_length, versions_length;
	unsigned legacy_version;
};

/* In the ClientHello callback (SSL_CTX_set_client_hello_cb). */
void tls_hello_take(struct tls_hello *hello, SSL *ssl);
/*
 * "offered TLS1.2 TLS1.0; ciphers A:B; groups X; name N", without control characters; empty when nothing was seen.
 * TLS_HELLO_TEXT_MAX has room for all that is ever told.
 */
void tls_hello_describe(const struct tls_hello *hello, SSL *ssl, char *out, size_t size);

/* A name that can be part of a path: letters, digits, "-", "_" and dots between labels; in lower case. */
struct tls_host_name {
	char text[HOST_NAME_MAX_LENGTH + 1];
};

/* False for what is not the name of a host; a dot at its end is dropped. */
bool tls_host_name_of(struct slice peer, struct tls_host_name *name_r);
/* The name without its first label, for "*.parent"; false when nothing with two labels is left. */
bool tls_host_name_parent(const struct tls_host_name *name, struct tls_host_name *parent_r);

#endif

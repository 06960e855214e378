/* SPDX-License-Identifier: ISC */
/* Data that both ends of a TLS connection, and nobody between them, can compute: channel bindings for SASL (RFC 5056). */
#ifndef POSTERN_TLS_BINDING_H
#define POSTERN_TLS_BINDING_H

#include "base/arena.h"

#include <openssl/ssl.h>

/*
 * tls-exporter (RFC 9266): 32 bytes in `arena`. With TLS 1.2 only where the extended master secret (RFC 7627) makes it unique. False: there
 * is none.
 */
bool tls_binding_exporter(SSL *ssl, struct arena *arena, struct slice *data_r);
/*
 * tls-server-end-point (RFC 5929 §4): a digest of the certificate that we have shown. False: it is signed in a way for which that is not
 * defined (Ed25519).
 */
bool tls_binding_server_end_point(SSL *ssl, struct arena *arena, struct slice *data_r);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * Verification of clients' certificates (Exim's manual, chapter 43 §7 and §8): what is trusted, as material that is read once and
 * shared by all connections, and how a connection is made to ask for a certificate and check it.
 *
 *	tls_trust_read (master) --PEM text--> tls_trust_new (front) --> tls_verify_use, for each connection whose host is in the lists
 *	handshake --> tls_verify_problem
 *
 * A certificate is good if a chain leads from it to a certificate of the material, or if it is one itself; the names in it are
 * not compared with anything, but one that holds a NUL is refused. Where there are revocation lists, each issuer of
 * the chain must have one. References are counted without locks.
 *
 * A session may be resumed only where the very same material would verify it again in the same way, with the same ciphers: its
 * context is the digest of all three.
 */
#ifndef POSTERN_TLS_VERIFY_H
#define POSTERN_TLS_VERIFY_H

#include "base/buf.h"
#include "base/error.h"
#include "tls/certificate.h"

#include <openssl/ssl.h>

enum {
	TLS_TRUST_BYTES_MAX = 64 * 1024 * 1024, /* of certificates, and of revocation lists */
	TLS_TRUST_CERTIFICATES_MAX = 10000,
	TLS_TRUST_ANNOUNCED_MAX = 64,           /* the names of more than these are not sent to clients */
	TLS_VERIFY_DEPTH_MAX = 10,              /* certificates between the client's and the trusted one */
};

/* PEM texts and the names that messages call them by. The texts are not kept. */
struct tls_trust_source {
	struct slice certificates, crls; /* the second empty: none */
	const char *certificates_name, *crls_name;
	bool announce;                   /* tell clients the names of these authorities: what came from a file, but not from a directory */
};

struct tls_trust;

/* NULL and *error when there is no certificate in it, or something in it is damaged. */
struct tls_trust *tls_trust_new(const struct tls_trust_source *source, struct error *error);
/* Whether one of the two texts by itself could be used for that; at most TLS_TRUST_BYTES_MAX of it. False with *error. */
bool tls_trust_check(struct slice text, bool crls, const char *name, struct error *error);
struct tls_trust *tls_trust_ref(struct tls_trust *trust);
/* NULL is allowed. */
void tls_trust_unref(struct tls_trust *trust);

enum tls_verify {
	TLS_VERIFY_NONE,    /* no certificate is asked for */
	TLS_VERIFY_TRY,     /* tls_try_verify_hosts: the handshake succeeds all the same */
	TLS_VERIFY_REQUIRE, /* tls_verify_hosts: it fails without a good certificate */
};

/* The first thing that was found wrong: how far from the client's certificate (0: in it), and the subject of the certificate. */
struct tls_verify_report {
	bool bad;
	int depth;
	char name[CERTIFICATE_NAME_MAX];
};

/*
 * Before the handshake, or in one of its callbacks after SSL_set_SSL_CTX, which would undo it. `trust` may be NULL: then nothing can
 * be verified, and TLS_VERIFY_REQUIRE lets nobody in. `report` (NULL: none is wanted) must live as long as the connection; it is filled
 * when something is wrong.
 *
 * `ciphers` is tls_verify_ciphers, a list as tls_policy_set_ciphers takes it (empty: those of the context hold). The connection must use
 * one of these: without a suite of TLS 1.3 that version is not used, unless the list has one of the words ALL, DEFAULT or HIGH.
 * False and *error when the library has none of them, or memory is short.
 */
bool tls_verify_use(SSL *ssl, const struct tls_trust *trust, enum tls_verify how, struct slice ciphers,
		    struct tls_verify_report *report, struct error *error);
/* Whether such a list could be set: false with *error where the library has none of them, or cannot read it. */
bool tls_verify_ciphers_check(struct slice list, struct error *error);

/* After the handshake: whether the client showed a certificate that is good. */
bool tls_verified(const SSL *ssl);
/*
 * Why the client's certificate was not taken, "certificate has expired"; NULL when it was, none was shown, or none was asked for.
 * Also after a handshake that failed.
 */
const char *tls_verify_problem(const SSL *ssl);

/*
 * Reads a file in PEM form, or a directory in which each file has the name that openssl rehash gives it: "9d66eef0.0" for a
 * certificate, "9d66eef0.r0" for a revocation list. `name`: absolute path, or "system" for the library's own place. For the master,
 * for roles have no files. *directory_r tells which it was.
 */
bool tls_trust_read(const char *name, bool crls, struct buf *out, bool *directory_r, struct error *error);
/* The path of what tls_trust_read reads; and whether it takes a file of this name in a directory. */
const char *tls_trust_place(const char *name);
bool tls_trust_has_name(const char *name, bool crls);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * Private keys that are elsewhere: an OpenSSL provider whose key objects know only the public half, and whose signature
 * operation asks a callback. The front uses it with a callback that asks the keeper; OpenSSL sees ordinary RSA, EC and
 * Ed25519 keys and needs to know nothing.
 *
 * The callback may park the running task: OpenSSL holds no lock while it signs, and the one thread-local thing that it
 * keeps, the error queue, must be empty whenever a task waits (tls/stream.c clears it before each call). tls_test.c runs
 * hundreds of handshakes at once through a callback that yields.
 */
#ifndef POSTERN_TLS_REMOTE_KEY_H
#define POSTERN_TLS_REMOTE_KEY_H

#include "base/error.h"
#include "base/slice.h"

#include <openssl/evp.h>

enum { KEY_ID_LEN = 32, SIGNATURE_MAX = 1024 /* RSA of 8192 bits */ };

/* Names a key pair: SHA-256 of its DER SubjectPublicKeyInfo. */
struct key_id {
	unsigned char bytes[KEY_ID_LEN];
};

enum signature_scheme { SCHEME_RSA_PKCS1 = 1, SCHEME_RSA_PSS, SCHEME_ECDSA, SCHEME_EDDSA };

struct sign_request {
	struct key_id key;
	enum signature_scheme scheme;
	/* What is signed: a digest made with `digest` (a NID, such as NID_sha256), or the message itself for SCHEME_EDDSA. */
	int digest;
	struct slice input;
};

/* Puts the signature into `signature` (SIGNATURE_MAX bytes) and gives its length; 0 when it could not be made. */
typedef size_t remote_sign_function(void *owner, const struct sign_request *request, unsigned char *signature);

struct remote_signer {
	remote_sign_function *sign;
	void *owner;
};

/* A library context with OpenSSL's default provider and this one. NULL and *error when OpenSSL refuses. Free with tls_library_free. */
struct tls_library;
struct tls_library *tls_library_new(struct error *error);
void tls_library_free(struct tls_library *library);
OSSL_LIB_CTX *tls_library_context(const struct tls_library *library);

/* A key object for the public key `public` (its reference is the caller's). `signer` must outlive the key. NULL and *error otherwise. */
EVP_PKEY *remote_key_new(struct tls_library *library, EVP_PKEY *public, const struct remote_signer *signer,
			 struct error *error);

bool key_id_of(EVP_PKEY *key, struct key_id *id_r);

/* Fills *error with what was attempted and OpenSSL's own reason, and empties its error queue. Returns false. */
bool tls_error(struct error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif

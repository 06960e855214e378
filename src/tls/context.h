/* SPDX-License-Identifier: ISC */
/* From a policy to OpenSSL's context: versions, ciphers, groups, parameters, protocols. Certificates are server.c's part. */
#ifndef POSTERN_TLS_CONTEXT_H
#define POSTERN_TLS_CONTEXT_H

#include "tls/policy.h"

#include <openssl/ssl.h>

/* False and *error, which names the option, when OpenSSL has no use for a value. */
bool tls_context_configure(SSL_CTX *context, OSSL_LIB_CTX *library, const struct tls_policy *policy, struct error *error);
/*
 * For the key of each certificate that is added: where the group that would be chosen by it is beyond tls_dh_max_bits, the largest one
 * takes its place that is not, if there is any.
 */
bool tls_context_limit_dh(SSL_CTX *context, OSSL_LIB_CTX *library, const struct tls_policy *policy, const EVP_PKEY *key,
			  struct error *error);
/* tls_context_configure on a context that is thrown away: whether the values are of any use. */
bool tls_context_check(const struct tls_policy *policy, struct error *error);
/*
 * Adds a server's own certificate and those that follow it; the key comes afterwards. False and *error when the library refuses one, mostly for a
 * key or a signature that is too weak.
 */
bool tls_context_use_chain(SSL_CTX *context, STACK_OF(X509) *chain, struct error *error);
/* The same on a context of this policy that is thrown away. */
bool tls_context_takes(const struct tls_policy *policy, STACK_OF(X509) *chain, struct error *error);

#endif

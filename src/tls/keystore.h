/* SPDX-License-Identifier: ISC */
/*
 * The keeper's side of tls/remote_key.h: private keys, found by the identifier of their public half. Keys live in OpenSSL's
 * secure heap where the system allows it to be locked, and are wiped when the store is freed or replaced.
 */
#ifndef POSTERN_TLS_KEYSTORE_H
#define POSTERN_TLS_KEYSTORE_H

#include "tls/remote_key.h"

enum { KEYSTORE_MAX = 4096 }; /* keys */

struct keystore;

struct keystore *keystore_new(void);
/* One with the same keys, to which others can be added: a store that is in use never changes. */
struct keystore *keystore_copy(const struct keystore *store);
/* References are counted, on one thread; the keys are wiped when the last one goes. keystore_free accepts NULL. */
struct keystore *keystore_ref(struct keystore *store);
void keystore_free(struct keystore *store);
/* One with those of its keys that `other` lacks; NULL: there are none. */
struct keystore *keystore_without(const struct keystore *store, const struct keystore *other);
/* One with this key alone; NULL: the store does not have it. */
struct keystore *keystore_only(const struct keystore *store, const struct key_id *id);
size_t keystore_count(const struct keystore *store); /* keys, KEYSTORE_MAX at the most */
bool keystore_has(const struct keystore *store, const struct key_id *id);

/*
 * Adds the private key in this PEM text (PKCS#8, PKCS#1 or SEC1, not encrypted; certificates beside it are passed over).
 * `name` is the file's, for messages. The text stays the caller's, to be wiped. A key that is there already counts as added.
 */
bool keystore_add_pem(struct keystore *store, struct slice pem, const char *name, struct key_id *id_r, struct error *error);

/* A signature as remote_sign_function promises; 0 and *error when there is no such key or the request does not fit it. */
size_t keystore_sign(struct keystore *store, const struct sign_request *request, unsigned char *signature, struct error *error);

#endif

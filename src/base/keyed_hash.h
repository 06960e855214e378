/* SPDX-License-Identifier: ISC */
/*
 * SipHash (OpenSSL's) under a secret key, for tables whose keys peers choose: who does not know the key can neither make two texts the same
 * nor fill one chain. Not for other threads at the same time.
 */
#ifndef POSTERN_BASE_KEYED_HASH_H
#define POSTERN_BASE_KEYED_HASH_H

#include "base/slice.h"

enum { KEYED_HASH_KEY = 16 };

struct keyed_hash;

/* `key`: a copy is kept, and wiped in the end; NULL: a random one. `length`: of a hash, 8 or 16 bytes. */
struct keyed_hash *keyed_hash_new(const unsigned char key[KEYED_HASH_KEY], size_t length);
/* NULL is allowed. */
void keyed_hash_free(struct keyed_hash *hash);
const unsigned char *keyed_hash_key(const struct keyed_hash *hash);
/* Of the parts one behind the other, of which some may be empty; as many bytes to `out` as keyed_hash_new was told. */
void keyed_hash_of(const struct keyed_hash *hash, const struct slice parts[], size_t count, void *out);

#endif

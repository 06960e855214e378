/* SPDX-License-Identifier: ISC */
#include "base/keyed_hash.h"

#include "base/fatal.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct keyed_hash {
	unsigned char key[KEYED_HASH_KEY];
	size_t length;
	EVP_MAC *mac;
	EVP_MAC_CTX *context;
};

struct keyed_hash *keyed_hash_new(const unsigned char key[KEYED_HASH_KEY], size_t length)
{
	struct keyed_hash *hash = xcalloc(1, sizeof *hash);
	OSSL_PARAM params[] = { OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &length), OSSL_PARAM_construct_end() };
	hash->length = length;
	if (key)
		memcpy(hash->key, key, KEYED_HASH_KEY);
	else if (getrandom(hash->key, KEYED_HASH_KEY, 0) != KEYED_HASH_KEY)
		fatal("the system gives no random numbers");
	hash->mac = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
	hash->context = hash->mac ? EVP_MAC_CTX_new(hash->mac) : NULL;
	if (!hash->context || EVP_MAC_CTX_set_params(hash->context, params) != 1)
		fatal("the TLS library has no SipHash");
	return hash;
}

void keyed_hash_free(struct keyed_hash *hash)
{
	if (!hash)
		return;
	EVP_MAC_CTX_free(hash->context);
	EVP_MAC_free(hash->mac);
	explicit_bzero(hash->key, sizeof hash->key);
	free(hash);
}

const unsigned char *keyed_hash_key(const struct keyed_hash *hash)
{
	return hash->key;
}

void keyed_hash_of(const struct keyed_hash *hash, const struct slice parts[], size_t count, void *out)
{
	size_t length;
	/* The key each time: OpenSSL 3.0 does not start anew without it. */
	ensure(EVP_MAC_init(hash->context, hash->key, KEYED_HASH_KEY, NULL) == 1);
	for (size_t i = 0; i < count; i++)
		ensure(!parts[i].len || EVP_MAC_update(hash->context, (const unsigned char *)parts[i].data, parts[i].len) == 1);
	ensure(EVP_MAC_final(hash->context, out, &length, hash->length) == 1 && length == hash->length);
}

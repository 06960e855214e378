/* SPDX-License-Identifier: ISC */
#include "users/stamps.h"

#include "base/fatal.h"
#include "base/slice.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

static bool put_text(EVP_MD_CTX *context, struct slice text)
{
	uint64_t len = text.len;
	return EVP_DigestUpdate(context, &len, sizeof len) && EVP_DigestUpdate(context, text.data, text.len);
}

/* SHA-256 of the secret, which has a fixed length, and the texts with theirs; cut to 16 bytes, what follows cannot be appended. */
struct stamp_key stamp_key(const unsigned char secret[STAMPS_SECRET], const struct slice *texts, size_t count)
{
	struct stamp_key key;
	unsigned char digest[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool good = context && EVP_DigestInit_ex(context, EVP_sha256(), NULL) && EVP_DigestUpdate(context, secret, STAMPS_SECRET);
	for (size_t i = 0; good && i < count; i++)
		good = put_text(context, texts[i]);
	if (!good || !EVP_DigestFinal_ex(context, digest, NULL))
		fatal("a digest failed");
	EVP_MD_CTX_free(context);
	memcpy(&key, digest, sizeof key);
	OPENSSL_cleanse(digest, sizeof digest);
	return key;
}

static bool same(struct stamp_key a, struct stamp_key b)
{
	return a.words[0] == b.words[0] && a.words[1] == b.words[1];
}

static struct stamp *set_of(const struct stamps *stamps, struct stamp_key key)
{
	return stamps->items + key.words[0] % (stamps->count / STAMPS_WAYS) * STAMPS_WAYS;
}

int64_t stamps_get(const struct stamps *stamps, struct stamp_key key)
{
	const struct stamp *set = set_of(stamps, key);
	for (size_t i = 0; i < STAMPS_WAYS; i++)
		if (set[i].when && same(set[i].key, key))
			return set[i].when;
	return 0;
}

void stamps_put(struct stamps *stamps, struct stamp_key key, int64_t when)
{
	struct stamp *set = set_of(stamps, key), *place = &set[0];
	for (size_t i = 0; i < STAMPS_WAYS; i++) {
		if (set[i].when && same(set[i].key, key)) {
			place = &set[i];
			break;
		}
		if (set[i].when < place->when)
			place = &set[i];
	}
	if (when || same(place->key, key))
		*place = (struct stamp){ key, when };
}

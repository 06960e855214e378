/* SPDX-License-Identifier: ISC */
#include "tls/keystore.h"

#include "base/fatal.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

struct entry {
	struct key_id id;
	EVP_PKEY *key;
};

struct keystore {
	unsigned references;
	struct entry *entries;
	size_t count;
};

struct keystore *keystore_new(void)
{
	struct keystore *store = xcalloc(1, sizeof *store);
	store->references = 1;
	return store;
}

struct keystore *keystore_ref(struct keystore *store)
{
	store->references++;
	return store;
}

void keystore_free(struct keystore *store)
{
	if (!store || --store->references)
		return;
	for (size_t i = 0; i < store->count; i++)
		EVP_PKEY_free(store->entries[i].key);
	free(store->entries);
	free(store);
}

size_t keystore_count(const struct keystore *store)
{
	return store->count;
}

static const struct entry *find(const struct keystore *store, const struct key_id *id)
{
	for (size_t i = 0; i < store->count; i++)
		if (memcmp(store->entries[i].id.bytes, id->bytes, KEY_ID_LEN) == 0)
			return &store->entries[i];
	return NULL;
}

bool keystore_has(const struct keystore *store, const struct key_id *id)
{
	return find(store, id) != NULL;
}

/* The entry's reference to the key becomes the store's. */
static void append(struct keystore *store, struct entry entry)
{
	store->entries = xrealloc(store->entries, (store->count + 1) * sizeof *store->entries);
	store->entries[store->count++] = entry;
}

struct keystore *keystore_without(const struct keystore *store, const struct keystore *other)
{
	struct keystore *rest = NULL;
	for (size_t i = 0; i < store->count; i++) {
		if (keystore_has(other, &store->entries[i].id))
			continue;
		if (!rest)
			rest = keystore_new();
		ensure(EVP_PKEY_up_ref(store->entries[i].key) == 1);
		append(rest, store->entries[i]);
	}
	return rest;
}

struct keystore *keystore_only(const struct keystore *store, const struct key_id *id)
{
	const struct entry *entry = find(store, id);
	if (!entry)
		return NULL;
	struct keystore *one = keystore_new();
	ensure(EVP_PKEY_up_ref(entry->key) == 1);
	append(one, *entry);
	return one;
}

struct keystore *keystore_copy(const struct keystore *store)
{
	struct keystore *copy = keystore_new();
	for (size_t i = 0; i < store->count; i++) {
		ensure(EVP_PKEY_up_ref(store->entries[i].key) == 1);
		append(copy, store->entries[i]);
	}
	return copy;
}

/* An encrypted key cannot be opened: there is nobody to ask for its pass phrase. */
static int no_passphrase(char *out, int size, int writing, void *arg)
{
	(void)out;
	(void)size;
	(void)writing;
	*(bool *)arg = true;
	return -1;
}

bool keystore_add_pem(struct keystore *store, struct slice pem, const char *name, struct key_id *id_r, struct error *error)
{
	bool encrypted = false;
	if (pem.len > INT32_MAX)
		return error_set(error, ERROR_USAGE, "%s is too large for a private key", name);
	BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
	ensure(bio != NULL);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &encrypted);
	BIO_free(bio);
	if (!key && encrypted) {
		ERR_clear_error();
		return error_set(error, ERROR_USAGE, "the private key in %s is encrypted; store it without a pass phrase", name);
	}
	if (!key)
		return tls_error(error, "reading a private key from %s", name);
	if (!key_id_of(key, id_r)) {
		EVP_PKEY_free(key);
		return tls_error(error, "identifying the private key in %s", name);
	}
	if (find(store, id_r)) {
		EVP_PKEY_free(key);
		return true;
	}
	if (store->count == KEYSTORE_MAX) {
		EVP_PKEY_free(key);
		return error_set(error, ERROR_USAGE, "more than %d private keys", KEYSTORE_MAX);
	}
	append(store, (struct entry){ .id = *id_r, .key = key });
	return true;
}

static bool scheme_fits(enum signature_scheme scheme, EVP_PKEY *key)
{
	static const char *const types[] = {
		[SCHEME_RSA_PKCS1] = "RSA", [SCHEME_RSA_PSS] = "RSA", [SCHEME_ECDSA] = "EC", [SCHEME_EDDSA] = "ED25519",
	};
	return scheme >= SCHEME_RSA_PKCS1 && scheme <= SCHEME_EDDSA && EVP_PKEY_is_a(key, types[scheme]);
}

static size_t sign_message(EVP_PKEY *key, struct slice input, unsigned char *signature)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t length = SIGNATURE_MAX;
	bool done = ctx && EVP_DigestSignInit_ex(ctx, NULL, NULL, NULL, NULL, key, NULL) == 1 &&
		    EVP_DigestSign(ctx, signature, &length, (const unsigned char *)input.data, input.len) == 1;
	EVP_MD_CTX_free(ctx);
	return done ? length : 0;
}

static size_t sign_digest(EVP_PKEY *key, const struct sign_request *request, unsigned char *signature)
{
	const EVP_MD *digest = EVP_get_digestbynid(request->digest);
	if (!digest || (size_t)EVP_MD_get_size(digest) != request->input.len)
		return 0;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	size_t length = SIGNATURE_MAX;
	bool done = ctx && EVP_PKEY_sign_init(ctx) == 1 && EVP_PKEY_CTX_set_signature_md(ctx, digest) == 1;
	if (done && request->scheme == SCHEME_RSA_PKCS1)
		done = EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1;
	if (done && request->scheme == SCHEME_RSA_PSS)
		done = EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
		       EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1;
	done = done && EVP_PKEY_sign(ctx, signature, &length, (const unsigned char *)request->input.data,
				     request->input.len) == 1;
	EVP_PKEY_CTX_free(ctx);
	return done ? length : 0;
}

size_t keystore_sign(struct keystore *store, const struct sign_request *request, unsigned char *signature, struct error *error)
{
	const struct entry *entry = find(store, &request->key);
	if (!entry) {
		error_set(error, ERROR_PERMANENT, "no private key for this certificate");
		return 0;
	}
	if (!scheme_fits(request->scheme, entry->key) || EVP_PKEY_get_size(entry->key) > SIGNATURE_MAX) {
		error_set(error, ERROR_PERMANENT, "the request does not fit the key");
		return 0;
	}
	size_t length = request->scheme == SCHEME_EDDSA ? sign_message(entry->key, request->input, signature) :
							  sign_digest(entry->key, request, signature);
	if (length == 0)
		tls_error(error, "signing");
	return length;
}

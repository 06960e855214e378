/* SPDX-License-Identifier: ISC */
#include "users/password.h"

#include "base/fatal.h"
#include "users/names.h"

#include <argon2.h>
#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

enum {
	/* RFC 9106 §4, its second recommendation: for where memory is scarce. */
	ARGON2_PASSES = 3, ARGON2_KIB = 64 * 1024, ARGON2_LANES = 1, ARGON2_KEY = 32,
	YESCRYPT_COST = 5, /* libxcrypt's own default: 16 MiB */
};

static void random_bytes(void *out, size_t size)
{
	if (RAND_bytes(out, (int)size) != 1)
		fatal("no random bytes can be had");
}

/* A copy that ends in NUL, as the C libraries want it. */
static char *text_of(struct slice s, char *out, size_t size)
{
	return slice_to_cstr(s, out, size) ? out : NULL;
}

void password_hash(struct slice password, enum password_scheme scheme, char hash_r[PASSWORD_HASH_MAX])
{
	char text[USERS_PASSWORD_MAX + 1];
	ensure(text_of(password, text, sizeof text));
	if (scheme == PASSWORD_ARGON2ID) {
		unsigned char salt[PASSWORD_SALT];
		random_bytes(salt, sizeof salt);
		int result = argon2id_hash_encoded(ARGON2_PASSES, ARGON2_KIB, ARGON2_LANES, text, password.len, salt, sizeof salt,
						   ARGON2_KEY, hash_r, PASSWORD_HASH_MAX);
		if (result != ARGON2_OK)
			fatal("argon2id: %s", argon2_error_message(result));
	} else {
		char random[32], setting[CRYPT_GENSALT_OUTPUT_SIZE];
		struct crypt_data *data = xcalloc(1, sizeof *data);
		random_bytes(random, sizeof random);
		const char *hash = crypt_gensalt_rn("$y$", YESCRYPT_COST, random, sizeof random, setting, sizeof setting) ?
					   crypt_rn(text, setting, data, sizeof *data) : NULL;
		if (!hash || !slice_to_cstr(slice_of(hash), hash_r, PASSWORD_HASH_MAX))
			fatal("crypt(3) makes no hash of the method yescrypt");
		OPENSSL_cleanse(data, sizeof *data);
		free(data);
	}
	OPENSSL_cleanse(text, sizeof text);
}

static bool is_argon2(struct slice hash)
{
	return slice_starts(hash, SLICE("$argon2id$"));
}

bool password_matches(struct slice password, struct slice hash)
{
	char text[USERS_PASSWORD_MAX + 1], stored[PASSWORD_HASH_MAX];
	bool equal = false;
	if (!text_of(hash, stored, sizeof stored) || !text_of(password, text, sizeof text))
		return false;
	if (is_argon2(hash)) {
		equal = argon2id_verify(stored, text, password.len) == ARGON2_OK;
	} else {
		/* crypt_rn gives NULL where crypt_r gives "*0", which must never equal a stored "*0". */
		struct crypt_data *data = xcalloc(1, sizeof *data);
		const char *got = crypt_rn(text, stored, data, sizeof *data);
		equal = got && strlen(got) == hash.len && hash.len && CRYPTO_memcmp(got, stored, hash.len) == 0;
		OPENSSL_cleanse(data, sizeof *data);
		free(data);
	}
	OPENSSL_cleanse(text, sizeof text);
	return equal;
}

bool password_hash_is_known(struct slice hash)
{
	char stored[PASSWORD_HASH_MAX];
	if (!text_of(hash, stored, sizeof stored) || hash.len < 13)
		return false;
	int result = is_argon2(hash) ? CRYPT_SALT_OK : crypt_checksalt(stored);
	return result == CRYPT_SALT_OK || result == CRYPT_SALT_METHOD_LEGACY;
}

const char *password_method(struct slice hash)
{
	static const struct {
		const char *prefix, *name;
	} methods[] = {
		{ "$y$", "yescrypt" }, { "$argon2id$", "argon2id" }, { "$gy$", "gost-yescrypt" }, { "$7$", "scrypt" }, { "$2", "bcrypt" },
		{ "$6$", "sha512crypt" }, { "$5$", "sha256crypt" }, { "$1$", "md5crypt" },
	};
	for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
		if (slice_starts(hash, slice_of(methods[i].prefix)))
			return methods[i].name;
	return "crypt";
}

/* ---- SCRAM ---- */

static const EVP_MD *digest_of(enum auth_hash hash)
{
	return hash == AUTH_SHA1 ? EVP_sha1() : EVP_sha256();
}

size_t password_key_size(enum auth_hash hash)
{
	return hash == AUTH_SHA1 ? 20 : 32;
}

static void hmac(const EVP_MD *digest, const void *key, size_t size, struct slice text, unsigned char *out)
{
	if (!HMAC(digest, key, (int)size, (const unsigned char *)text.data, text.len, out, NULL))
		fatal("HMAC failed");
}

void password_verifier(struct slice password, enum auth_hash hash, struct auth_verifier *verifier)
{
	const EVP_MD *digest = digest_of(hash);
	size_t size = password_key_size(hash);
	unsigned char salted[AUTH_KEY_MAX], client_key[AUTH_KEY_MAX];
	if (PKCS5_PBKDF2_HMAC(password.data, (int)password.len, (const unsigned char *)verifier->salt.data, (int)verifier->salt.len,
			      (int)verifier->iterations, digest, (int)size, salted) != 1)
		fatal("PBKDF2 failed");
	hmac(digest, salted, size, SLICE("Client Key"), client_key);
	hmac(digest, salted, size, SLICE("Server Key"), verifier->server_key);
	if (EVP_Digest(client_key, size, verifier->stored_key, NULL, digest, NULL) != 1)
		fatal("a digest failed");
	OPENSSL_cleanse(salted, sizeof salted);
	OPENSSL_cleanse(client_key, sizeof client_key);
}

void password_false_verifier(struct slice name, enum auth_hash hash, const void *secret, size_t secret_size, struct arena *arena,
			     struct auth_verifier *verifier_r)
{
	unsigned char digest[AUTH_KEY_MAX], *salt = arena_alloc(arena, PASSWORD_SALT);
	const char *const uses[] = { "salt", "stored", "server" };
	*verifier_r = (struct auth_verifier){ .salt = slice_make(salt, PASSWORD_SALT), .iterations = PASSWORD_ITERATIONS };
	for (size_t i = 0; i < 3; i++) {
		struct slice text = arena_printf(arena, "%s %d %.*s", uses[i], (int)hash, SLICE_ARG(name));
		hmac(EVP_sha256(), secret, secret_size, text, digest);
		memcpy(i == 0 ? salt : i == 1 ? verifier_r->stored_key : verifier_r->server_key, digest,
		       i == 0 ? PASSWORD_SALT : password_key_size(hash));
	}
	OPENSSL_cleanse(digest, sizeof digest);
}

/* ---- Random passwords ---- */

void password_random(char out_r[PASSWORD_RANDOM_MAX])
{
	static const char letters[] = "abcdefghijkmnpqrstuvwxyz23456789"; /* 32 of them: five bits each */
	_Static_assert(sizeof letters == 33, "a letter is five bits");
	unsigned char random[24];
	size_t len = 0;
	random_bytes(random, sizeof random);
	for (size_t i = 0; i < sizeof random; i++) {
		if (i && i % 4 == 0)
			out_r[len++] = '-';
		out_r[len++] = letters[random[i] & 31];
	}
	out_r[len] = '\0';
	OPENSSL_cleanse(random, sizeof random);
}

void password_digest(struct slice password, const unsigned char salt[PASSWORD_SALT], unsigned char digest_r[PASSWORD_DIGEST])
{
	hmac(EVP_sha256(), salt, PASSWORD_SALT, password, digest_r);
}

/* SPDX-License-Identifier: ISC */
/*
 * ${if crypteq}: a text against a hash of crypt(3), on an offload thread, for good hashes take their time. The forms {md5} and {sha1}
 * are digests of the text itself, in base64 or hexadecimal; {crypt} and {crypt16} say crypt(3). Comparisons take the same time
 * wherever the texts differ. An unknown method gives no match: no hash of it can be right.
 */
#include "base/fatal.h"
#include "lookup/private.h"
#include "task/offload.h"

#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

enum { TEXT_MAX = 4096 };

struct job {
	const char *text, *hash;
	bool equal, failed;
};

static void crypt_job(void *arg)
{
	struct job *job = arg;
	struct crypt_data *data = xcalloc(1, sizeof *data);
	const char *got = crypt_r(job->text, job->hash, data);
	size_t len = strlen(job->hash);
	/* What cannot be hashed comes back as "*0" or "*1", which must never equal a stored "*0". */
	if (!got || got[0] == '*')
		job->failed = true;
	else
		job->equal = strlen(got) == len && len > 0 && CRYPTO_memcmp(got, job->hash, len) == 0;
	OPENSSL_cleanse(data, sizeof *data);
	free(data);
}

static bool equal(struct slice a, struct slice b)
{
	return a.len == b.len && CRYPTO_memcmp(a.data, b.data, a.len) == 0;
}

/* {md5} and {sha1}: base64 or hexadecimal, told apart by length; others cannot be right. */
static bool digest_equal(struct slice text, struct slice hash, const char *digest_name)
{
	unsigned char digest[EVP_MAX_MD_SIZE], base64[2 * EVP_MAX_MD_SIZE];
	char hex[2 * EVP_MAX_MD_SIZE + 1];
	size_t len = 0;
	if (EVP_Q_digest(NULL, digest_name, NULL, text.data ? text.data : "", text.len, digest, &len) != 1)
		return false;
	if (hash.len != 2 * len) {
		int encoded = EVP_EncodeBlock(base64, digest, (int)len);
		return equal(hash, slice_make(base64, (size_t)encoded));
	}
	for (size_t i = 0; i < len; i++)
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
	char lower[2 * EVP_MAX_MD_SIZE];
	for (size_t i = 0; i < hash.len; i++)
		lower[i] = ascii_lower(hash.data[i]);
	return equal(slice_make(lower, hash.len), slice_make(hex, 2 * len));
}

/* Exim's crypt16: up to 16 characters in two halves of 8, the second with the end of the first's hash as its salt. */
static bool crypt16_equal(struct slice text, struct slice hash, struct arena *arena)
{
	if (hash.len != 13 && hash.len != 24)
		return false;
	struct crypt_data *data = xcalloc(1, sizeof *data);
	char salt[3] = { hash.data[0], hash.data[1], 0 };
	const char *got = crypt_r(arena_cstr(arena, slice_first(text, 8)), salt, data);
	bool done = got && got[0] != '*' && strlen(got) == 13;
	char whole[32] = "";
	size_t len = 0;
	if (done) {
		memcpy(whole, got, 13);
		len = 13;
		salt[0] = got[2];
		salt[1] = got[3];
		memset(data, 0, sizeof *data);
		got = crypt_r(arena_cstr(arena, slice_from(text, 8)), salt, data);
		done = got && got[0] != '*' && strlen(got) == 13;
	}
	if (done) {
		memcpy(whole + len, got + 2, 11);
		len += 11;
	}
	OPENSSL_cleanse(data, sizeof *data);
	free(data);
	return done && equal(slice_make(whole, len), hash);
}

static bool cut_method(struct slice *hash, struct slice method)
{
	if (!slice_starts_nocase(*hash, method))
		return false;
	*hash = slice_from(*hash, method.len);
	return true;
}

enum expand_result lookup_crypt(struct lookup_world *world, const struct expand_request *request, struct arena *arena,
				struct expand_answer *answer_r, struct error *error)
{
	(void)world;
	struct slice hash = request->type, text = request->key;
	if (text.len > TEXT_MAX || hash.len > TEXT_MAX)
		return lookup_fail(error, "crypteq: a text of more than %d bytes", TEXT_MAX);
	if (cut_method(&hash, SLICE("{md5}"))) {
		answer_r->found = digest_equal(text, hash, "MD5");
		return EXPAND_OK;
	}
	if (cut_method(&hash, SLICE("{sha1}"))) {
		answer_r->found = digest_equal(text, hash, "SHA1");
		return EXPAND_OK;
	}
	if (cut_method(&hash, SLICE("{crypt16}"))) {
		answer_r->found = slice_find(text, '\0') == text.len && crypt16_equal(text, hash, arena);
		return EXPAND_OK;
	}
	cut_method(&hash, SLICE("{crypt}"));
	if (slice_starts(hash, SLICE("{")))
		return lookup_fail(error, "unknown encryption mechanism in \"%.*s\"", SLICE_ARG(slice_first(hash, slice_find(hash, '}') + 1)));
	/* crypt(3) ends at a NUL: a longer text must not match by its beginning. */
	if (slice_find(text, '\0') < text.len || slice_find(hash, '\0') < hash.len || hash.len == 0)
		return EXPAND_OK;
	struct job job = { .text = arena_cstr(arena, text), .hash = arena_cstr(arena, hash) };
	offload(crypt_job, &job);
	OPENSSL_cleanse((char *)(uintptr_t)job.text, text.len);
	answer_r->found = job.equal && !job.failed;
	return EXPAND_OK;
}

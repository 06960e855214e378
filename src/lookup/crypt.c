/* SPDX-License-Identifier: ISC */
/*
 * ${if crypteq}: a text against a hash of crypt(3), or of Exim's crypt16 when that is written in front of it as {crypt16}, on a thread that
 * computes, for good hashes take their time. Comparisons take the same time wherever the texts differ. An unknown method gives
 * no match: no hash of it can be right.
 */
#include "base/fatal.h"
#include "lookup/private.h"
#include "task/offload.h"

#include <crypt.h>
#include <openssl/crypto.h>

enum { TEXT_MAX = 4096 };

struct job {
	const char *text, *hash;
	bool equal;
};

/* crypt_rn gives NULL where crypt_r gives "*0", which must never equal a stored "*0". */
static void crypt_job(void *arg)
{
	struct job *job = arg;
	struct crypt_data *data = xcalloc(1, sizeof *data);
	const char *got = crypt_rn(job->text, job->hash, data, sizeof *data);
	size_t len = strlen(job->hash);
	job->equal = got && strlen(got) == len && len > 0 && CRYPTO_memcmp(got, job->hash, len) == 0;
	OPENSSL_cleanse(data, sizeof *data);
	free(data);
}

static bool equal(struct slice a, struct slice b)
{
	return a.len == b.len && CRYPTO_memcmp(a.data, b.data, a.len) == 0;
}

/*
 * Exim's crypt16: the first 8 characters as crypt(3) has them; when there are more, the next ones with the third and fourth
 * character of that hash as their salt, whose hash follows without the salt.
 */
static bool crypt16(struct slice text, struct slice hash, struct arena *arena, struct crypt_data *data, char out[32])
{
	char salt[3] = { hash.data[0], hash.data[1], 0 };
	const char *got = crypt_rn(arena_cstr(arena, slice_first(text, 8)), salt, data, sizeof *data);
	if (!got || strlen(got) != 13)
		return false;
	memcpy(out, got, 14);
	if (text.len <= 8)
		return true;
	salt[0] = out[2];
	salt[1] = out[3];
	memset(data, 0, sizeof *data);
	got = crypt_rn(arena_cstr(arena, slice_from(text, 8)), salt, data, sizeof *data);
	if (!got || strlen(got) != 13)
		return false;
	memcpy(out + 13, got + 2, 12);
	return true;
}

/* Of traditional DES only, so quick that it needs no thread. */
static bool crypt16_equal(struct slice text, struct slice hash, struct arena *arena)
{
	if (hash.len != 13 && hash.len != 24)
		return false;
	struct crypt_data *data = xcalloc(1, sizeof *data);
	char whole[32] = "";
	bool done = crypt16(text, hash, arena, data, whole);
	OPENSSL_cleanse(data, sizeof *data);
	free(data);
	return done && equal(slice_of(whole), hash);
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
	if (cut_method(&hash, SLICE("{crypt16}"))) {
		answer_r->found = slice_find(text, '\0') == text.len && crypt16_equal(text, hash, arena);
		return EXPAND_OK;
	}
	cut_method(&hash, SLICE("{crypt}"));
	/* crypt(3) ends at a NUL: a longer text must not match by its beginning. */
	if (slice_find(text, '\0') < text.len || slice_find(hash, '\0') < hash.len || hash.len == 0)
		return EXPAND_OK;
	struct job job = { .text = arena_cstr(arena, text), .hash = arena_cstr(arena, hash) };
	offload_computing(crypt_job, &job);
	OPENSSL_cleanse((char *)(uintptr_t)job.text, text.len);
	answer_r->found = job.equal;
	return EXPAND_OK;
}

/* SPDX-License-Identifier: ISC */
/* ${if crypteq{text}{hash}...}: the schemes {md5} and {sha1} are compared here, those of crypt(3) are the world's matter. */
#include "expand/condition.h"
#include "expand/evaluation.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

static const struct scheme {
	const char *name;
	const char *digest; /* NULL: crypt(3) */
	size_t base64_len, hex_len;
} schemes[] = {
	{ "{md5}", "MD5", 24, 32 },
	{ "{sha1}", "SHA1", 28, 40 },
	{ "{crypt16}", NULL, 0, 0 },
	{ "{crypt}", NULL, 0, 0 },
};

static const struct scheme *find_scheme(struct slice hash)
{
	for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
		if (slice_starts_nocase(hash, slice_of(schemes[i].name)))
			return &schemes[i];
	return NULL;
}

static bool equal_base64(const unsigned char *digest, unsigned digest_len, struct slice text)
{
	unsigned char want[64];
	int len = EVP_EncodeBlock(want, digest, (int)digest_len);
	return len > 0 && text.len == (size_t)len && CRYPTO_memcmp(want, text.data, text.len) == 0;
}

static bool equal_hex(const unsigned char *digest, unsigned digest_len, struct slice text)
{
	static const char digits[] = "0123456789abcdef";
	unsigned different = text.len == 2 * (size_t)digest_len ? 0 : 1;
	for (unsigned i = 0; !different && i < digest_len; i++)
		different |= (unsigned)(ascii_lower(text.data[2 * i]) != digits[digest[i] >> 4]) |
			     (unsigned)(ascii_lower(text.data[2 * i + 1]) != digits[digest[i] & 15]);
	return !different;
}

static enum expand_result equal_digest(struct expand_evaluation *run, const struct scheme *scheme, struct slice text, struct slice hash,
				       bool *yes_r)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	size_t len = 0;
	*yes_r = false;
	if (hash.len != scheme->base64_len && hash.len != scheme->hex_len)
		return EXPAND_OK;
	if (!EVP_Q_digest(NULL, scheme->digest, NULL, text.data ? text.data : "", text.len, digest, &len))
		return expand_run_fail(run, "the digest %s cannot be computed by this system's OpenSSL", scheme->digest);
	*yes_r = hash.len == scheme->hex_len ? equal_hex(digest, (unsigned)len, hash) : equal_base64(digest, (unsigned)len, hash);
	return EXPAND_OK;
}

enum expand_result expand_condition_crypteq(struct expand_evaluation *run, const struct expand_condition *condition, bool *yes_r)
{
	struct expand_value text, hash;
	struct expand_answer answer;
	enum expand_result result = expand_run_sequence(run, &condition->operands[0], &text);
	if (result == EXPAND_OK)
		result = expand_run_sequence(run, &condition->operands[1], &hash);
	if (result != EXPAND_OK)
		return result;
	*yes_r = false;
	const struct scheme *scheme = find_scheme(hash.text);
	if (!scheme && slice_starts(hash.text, SLICE("{")))
		return expand_run_fail(run, "unknown encryption mechanism in \"%.*s\"",
				       SLICE_ARG(slice_first(hash.text, slice_find(hash.text, '}') + 1)));
	struct slice rest = scheme ? slice_from(hash.text, strlen(scheme->name)) : hash.text;
	if (scheme && scheme->digest)
		return equal_digest(run, scheme, text.text, rest, yes_r);
	/* Less than a salt matches nothing. */
	if (rest.len < 2)
		return EXPAND_OK;
	bool crypt16 = scheme && slice_equal(slice_of(scheme->name), SLICE("{crypt16}"));
	struct expand_request request = { .service = EXPAND_SERVICE_CRYPT, .type = crypt16 ? hash.text : rest, .key = text.text,
					  .key_tainted = text.tainted };
	result = expand_run_ask(run, &request, &answer);
	*yes_r = answer.found;
	return result;
}

/* SPDX-License-Identifier: ISC */
/* Cryptographic digests, and what is signed with them: hmac, prvs, srs_encode. Results are hexadecimal. */
#include "expand/functions.h"

#include "base/clock.h"
#include "expand/prvs.h"
#include "expand/srs.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

static enum expand_result give_hex(struct expand_call *call, const unsigned char *bytes, size_t count, bool upper)
{
	const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
	char text[2 * EVP_MAX_MD_SIZE];
	for (size_t i = 0; i < count; i++) {
		text[2 * i] = digits[bytes[i] >> 4];
		text[2 * i + 1] = digits[bytes[i] & 15];
	}
	return expand_call_give_clear(call, arena_copy(call->arena, slice_make(text, 2 * count)));
}

static enum expand_result give_digest(struct expand_call *call, const EVP_MD *method, bool upper)
{
	struct slice text = expand_call_text(call);
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned size;
	if (EVP_Digest(text.data ? text.data : "", text.len, digest, &size, method, NULL) != 1)
		return expand_fail(call, "the digest of \"%s\" is not to be had from the TLS library", call->name);
	return give_hex(call, digest, size, upper);
}

/* Exim gives the digest of a certificate in capitals. */
enum expand_result operator_md5(struct expand_call *call) { return give_digest(call, EVP_md5(), call->certificate); }
enum expand_result operator_sha1(struct expand_call *call) { return give_digest(call, EVP_sha1(), true); }

/* A member of a family, chosen by its length in bits. */
struct member {
	unsigned bits;
	const EVP_MD *(*method)(void);
};

static enum expand_result give_member(struct expand_call *call, const struct member *members, size_t count)
{
	uint64_t bits = 256;
	if (call->modifier_count > 0 && !slice_parse_u64(call->modifiers[0], 1000, &bits))
		bits = 0;
	for (size_t i = 0; i < count; i++)
		if (members[i].bits == bits)
			return give_digest(call, members[i].method(), true);
	return expand_fail(call, "unrecognised %.4s variant", call->name);
}

enum expand_result operator_sha2(struct expand_call *call)
{
	static const struct member members[] = { { 256, EVP_sha256 }, { 384, EVP_sha384 }, { 512, EVP_sha512 } };
	return give_member(call, members, sizeof(members) / sizeof(members[0]));
}

enum expand_result operator_sha3(struct expand_call *call)
{
	static const struct member members[] = {
		{ 224, EVP_sha3_224 }, { 256, EVP_sha3_256 }, { 384, EVP_sha3_384 }, { 512, EVP_sha3_512 }
	};
	return give_member(call, members, sizeof(members) / sizeof(members[0]));
}

enum expand_result item_hmac(struct expand_call *call)
{
	static const struct {
		struct slice name;
		const EVP_MD *(*method)(void);
	} methods[] = { { { "md5", 3 }, EVP_md5 }, { { "sha1", 4 }, EVP_sha1 }, { { "sha256", 6 }, EVP_sha256 }, { { "sha512", 6 }, EVP_sha512 } };
	struct slice name = call->arguments[0].text, secret = call->arguments[1].text, text = call->arguments[2].text;
	const EVP_MD *method = NULL;
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (slice_equal(name, methods[i].name))
			method = methods[i].method();
	if (!method)
		return expand_fail(call, "hmac algorithm \"%.*s\" is not recognised: use md5, sha1, sha256 or sha512",
				   SLICE_ARG(slice_first(name, 50)));
	if (secret.len > INT32_MAX)
		return expand_fail(call, "the secret of hmac is too long");
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned size;
	if (!HMAC(method, secret.data ? secret.data : "", (int)secret.len, (const unsigned char *)(text.data ? text.data : ""),
		  text.len, digest, &size))
		return expand_fail(call, "hmac with \"%.*s\" is not to be had from the TLS library", SLICE_ARG(name));
	return give_hex(call, digest, size, false);
}

static time_t now(void) { return (time_t)(clock_wall_now() / CLOCK_SECOND); }

enum expand_result item_prvs(struct expand_call *call)
{
	uint64_t key = 0;
	if (call->argument_count > 2 && (call->arguments[2].text.len != 1 || !slice_parse_u64(call->arguments[2].text, 9, &key)))
		return expand_fail(call, "prvs third argument must be a single digit");
	struct slice out;
	if (!expand_prvs_make(call->arguments[0].text, call->arguments[1].text, (unsigned)key, now(), call->arena, &out, call->error))
		return EXPAND_FAIL;
	return expand_call_give(call, out);
}

enum expand_result item_srs_encode(struct expand_call *call)
{
	struct slice out;
	if (!expand_srs_encode(call->arguments[1].text, call->arguments[2].text, call->arguments[0].text, now(), call->arena,
			       &out, call->error))
		return EXPAND_FAIL;
	return expand_call_give(call, out);
}

/* SPDX-License-Identifier: ISC */
/*
 * CRAM-MD5 (RFC 2195; Exim's manual, chapter 35): the client proves with HMAC-MD5 that it knows a secret which the server must have in
 * clear. It protects nothing that TLS does not, and passwords in clear on the server are a risk: the configuration is warned.
 */
#include "auth/private.h"

#include "base/clock.h"
#include "base/fatal.h"

#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

enum { MD5_SIZE = 16 };

struct cram {
	struct slice challenge;
};

static bool check(const struct authenticator *authenticator, const char **option_r, struct error *error)
{
	*option_r = "server_secret";
	return authenticator->server_secret || error_set(error, ERROR_USAGE, "not set; expected an expansion that gives the secret of the "
							 "user $auth1");
}

/* RFC 2195 §2: a message identifier that was never used before, and that nobody can guess. */
static struct slice make_challenge(struct auth_exchange *exchange)
{
	uint64_t random;
	if (exchange->channel->nonce.len)
		return exchange->channel->nonce;
	ensure(RAND_bytes((unsigned char *)&random, sizeof random) == 1);
	return arena_printf(&exchange->arena, "<%llu.%lld@%.*s>", (unsigned long long)random, (long long)(clock_wall_now() / CLOCK_SECOND),
			    SLICE_ARG(exchange->channel->hostname));
}

static enum auth_outcome start(struct auth_exchange *exchange, const struct slice *initial)
{
	struct cram *state = exchange->state = arena_new(&exchange->arena, struct cram);
	if (initial)
		return AUTH_UNEXPECTED;
	state->challenge = make_challenge(exchange);
	return auth_challenge(exchange, state->challenge);
}

static bool digest_fits(struct slice secret, struct slice challenge, struct slice hex)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	char want[2 * MD5_SIZE + 1];
	unsigned size = 0;
	ensure(secret.len <= INT32_MAX);
	if (!HMAC(EVP_md5(), secret.data ? secret.data : "", (int)secret.len, (const unsigned char *)challenge.data, challenge.len, digest, &size))
		return false;
	for (unsigned i = 0; i < MD5_SIZE; i++)
		snprintf(want + 2 * i, 3, "%02x", digest[i]);
	return hex.len == 2 * MD5_SIZE && CRYPTO_memcmp(want, hex.data, hex.len) == 0;
}

/* "user digest"; a user's name may have blanks in it. */
static enum auth_outcome step(struct auth_exchange *exchange, struct slice response)
{
	const struct cram *state = exchange->state;
	size_t space = slice_find_last(response, ' ');
	struct slice secret;
	if (space == response.len || slice_find(response, '\0') < response.len)
		return auth_say(exchange, AUTH_FAILED, "malformed response");
	auth_add_value(exchange, slice_first(response, space));
	enum auth_outcome outcome = auth_expand(exchange, exchange->authenticator->server_secret, &secret);
	if (outcome != AUTH_DONE)
		return outcome;
	return digest_fits(secret, state->challenge, slice_from(response, space + 1)) ? AUTH_DONE : AUTH_FAILED;
}

const struct auth_driver auth_cram_md5 = { .name = "cram_md5", .check = check, .start = start, .step = step };

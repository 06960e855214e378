/* SPDX-License-Identifier: ISC */
/*
 * SCRAM-SHA-1 (RFC 5802) and SCRAM-SHA-256 (RFC 7677), each also as -PLUS with channel binding: the client proves that it knows the
 * password without sending it, the server that it has the user's verifier, and -PLUS that both ends are in the same TLS connection.
 *
 *	client-first -> FIRST: find the verifier -> server-first -> FINAL: check channel and proof, decide -> server-final -> END
 *
 * The verifier is the built-in user database's, or comes from server_skey, server_key and server_scram_salt, or is computed from
 * server_password, elsewhere because that takes long. A user who does not exist gets a verifier that nothing fits, so that only a failed proof tells.
 */
#include "auth/private.h"

#include "auth/scram_message.h"
#include "base/fatal.h"
#include "mail/base64.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <string.h>

enum {
	NONCE_SIZE = 18,             /* bytes of ours, before base64 */
	SALT_SIZE = 16,
	ITERATIONS_MIN = 4096,       /* RFC 7677 §4 */
	ITERATIONS_MAX = 10000000,
};

/* Which of the mechanisms. */
struct scram_kind {
	struct slice name;
	enum auth_hash hash;
	bool plus;
};

static const struct scram_kind kinds[] = {
	{ SLICE("SCRAM-SHA-1"), AUTH_SHA1, false },
	{ SLICE("SCRAM-SHA-1-PLUS"), AUTH_SHA1, true },
	{ SLICE("SCRAM-SHA-256"), AUTH_SHA256, false },
	{ SLICE("SCRAM-SHA-256-PLUS"), AUTH_SHA256, true },
};

enum scram_next { SCRAM_FIRST, SCRAM_FINAL, SCRAM_END };

struct scram {
	const struct scram_kind *kind;
	enum scram_next next;
	struct scram_client_first first;
	struct auth_verifier verifier;
	struct slice channel;      /* what the client has to give as "c=" */
	struct slice nonce;        /* the client's and ours */
	struct slice server_first;
};

static const struct scram_kind *find_kind(const struct authenticator *authenticator)
{
	struct slice name = authenticator->server_mech.len ? authenticator->server_mech : authenticator->public_name;
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (slice_equal_nocase(name, kinds[i].name))
			return &kinds[i];
	return NULL;
}

bool auth_binds_channel(const struct authenticator *authenticator)
{
	const struct scram_kind *kind = authenticator->driver == &auth_scram ? find_kind(authenticator) : NULL;
	return kind && kind->plus;
}

static bool check(const struct authenticator *authenticator, const char **option_r, struct error *error)
{
	*option_r = authenticator->server_mech.len ? "server_mech" : "public_name";
	if (!find_kind(authenticator))
		return error_set(error, ERROR_USAGE, "expected SCRAM-SHA-256, SCRAM-SHA-1, or one of them with -PLUS");
	*option_r = "server_skey";
	bool keys = authenticator->server_skey && authenticator->server_key && authenticator->server_scram_salt;
	if (!keys && (authenticator->server_skey || authenticator->server_key))
		return error_set(error, ERROR_USAGE, "server_skey, server_key and server_scram_salt belong together: expected all three");
	*option_r = "server_password";
	if (!keys && !authenticator->server_password && !authenticator->server_user_database)
		return error_set(error, ERROR_USAGE, "not set; expected server_user_database = true, server_skey and server_key, or "
				 "server_password, for without one of them nobody could log in");
	return true;
}

/* ---- Cryptography ---- */

static const EVP_MD *digest(const struct scram *state)
{
	return state->kind->hash == AUTH_SHA1 ? EVP_sha1() : EVP_sha256();
}

static size_t key_size(const struct scram *state)
{
	return state->kind->hash == AUTH_SHA1 ? 20 : 32;
}

static void sign(const struct scram *state, const unsigned char *key, struct slice text, unsigned char out[AUTH_KEY_MAX])
{
	unsigned char result[EVP_MAX_MD_SIZE];
	unsigned size = 0;
	ensure(HMAC(digest(state), key, (int)key_size(state), (const unsigned char *)text.data, text.len, result, &size));
	memcpy(out, result, key_size(state));
}

static void hash(const struct scram *state, const unsigned char *bytes, unsigned char out[AUTH_KEY_MAX])
{
	unsigned char result[EVP_MAX_MD_SIZE];
	unsigned size = 0;
	ensure(EVP_Digest(bytes, key_size(state), result, &size, digest(state), NULL) == 1);
	memcpy(out, result, key_size(state));
}

static bool same(struct slice a, struct slice b)
{
	return a.len == b.len && CRYPTO_memcmp(a.data, b.data, a.len) == 0;
}

/* ---- The verifier ---- */

/* Base64 of just `size` bytes. */
static bool read_key(struct auth_exchange *exchange, struct slice text, size_t size, unsigned char *out)
{
	struct slice bytes;
	if (!mail_base64_decode(text, &exchange->arena, &bytes) || bytes.len != size)
		return false;
	memcpy(out, bytes.data, size);
	return true;
}

static enum auth_outcome read_iterations(struct auth_exchange *exchange, uint32_t *iterations_r)
{
	const struct authenticator *authenticator = exchange->authenticator;
	uint64_t most = authenticator->server_skey ? ITERATIONS_MAX : AUTH_DERIVE_MAX, value = ITERATIONS_MIN;
	struct slice text;
	enum auth_outcome outcome = auth_expand(exchange, authenticator->server_scram_iter, &text);
	if (outcome != AUTH_DONE)
		return outcome;
	text = slice_trim(text);
	if (text.len && (!slice_parse_u64(text, most, &value) || value < ITERATIONS_MIN))
		return auth_say(exchange, AUTH_DEFERRED, "server_scram_iter gives \"%.*s\"; expected %d to %llu",
				SLICE_ARG(slice_first(text, 60)), ITERATIONS_MIN, (unsigned long long)most);
	*iterations_r = (uint32_t)value;
	return AUTH_DONE;
}

static enum auth_outcome read_salt(struct auth_exchange *exchange, struct slice *salt_r)
{
	struct slice text;
	enum auth_outcome outcome = auth_expand(exchange, exchange->authenticator->server_scram_salt, &text);
	if (outcome != AUTH_DONE)
		return outcome;
	if (text.len == 0) {
		unsigned char *salt = arena_alloc(&exchange->arena, SALT_SIZE);
		ensure(RAND_bytes(salt, SALT_SIZE) == 1);
		*salt_r = slice_make(salt, SALT_SIZE);
		return AUTH_DONE;
	}
	if (!mail_base64_decode(text, &exchange->arena, salt_r) || salt_r->len == 0 || salt_r->len > AUTH_SALT_MAX)
		return auth_say(exchange, AUTH_DEFERRED, "server_scram_salt does not give base64 of 1 to %d bytes", AUTH_SALT_MAX);
	return AUTH_DONE;
}

static enum auth_outcome read_keys(struct auth_exchange *exchange)
{
	struct scram *state = exchange->state;
	struct slice stored, server;
	enum auth_outcome outcome = auth_expand(exchange, exchange->authenticator->server_skey, &stored);
	if (outcome == AUTH_DONE)
		outcome = auth_expand(exchange, exchange->authenticator->server_key, &server);
	if (outcome != AUTH_DONE)
		return outcome;
	if (!read_key(exchange, stored, key_size(state), state->verifier.stored_key) ||
	    !read_key(exchange, server, key_size(state), state->verifier.server_key))
		return auth_say(exchange, AUTH_DEFERRED, "server_skey or server_key does not give base64 of %zu bytes", key_size(state));
	return AUTH_DONE;
}

static enum auth_outcome read_password(struct auth_exchange *exchange)
{
	const struct auth_world *world = exchange->world;
	struct scram *state = exchange->state;
	struct error error = { 0 };
	struct slice password;
	enum auth_outcome outcome = auth_expand(exchange, exchange->authenticator->server_password, &password);
	if (outcome == AUTH_DEFERRED)
		return outcome;
	if (password.len > AUTH_DATA_MAX)
		return auth_say(exchange, AUTH_DEFERRED, "server_password gives %zu bytes; expected %d at most", password.len, AUTH_DATA_MAX);
	if (!world || !world->derive)
		return auth_say(exchange, AUTH_DEFERRED, "there is nobody to compute keys of a password");
	/* For nobody as well: it takes the same time. */
	enum auth_verdict verdict = world->derive(world->owner, state->first.user, password, state->kind->hash, &state->verifier, &error);
	/* Who is locked out goes on as nobody, and is told so in the end. */
	if (verdict != AUTH_YES)
		return auth_judge(exchange, verdict, &error);
	return password.len ? outcome : AUTH_FAILED;
}

/* From the options. A forced failure, or an empty password, is a user who does not exist: random keys fit no proof. */
static enum auth_outcome verifier_of_options(struct auth_exchange *exchange)
{
	struct scram *state = exchange->state;
	struct auth_verifier *verifier = &state->verifier;
	enum auth_outcome outcome = read_iterations(exchange, &verifier->iterations), salted;
	if (outcome == AUTH_DEFERRED)
		return outcome;
	if (!verifier->iterations)
		verifier->iterations = ITERATIONS_MIN;
	salted = read_salt(exchange, &verifier->salt);
	if (salted == AUTH_DEFERRED)
		return salted;
	if (outcome == AUTH_DONE)
		outcome = salted;
	if (outcome == AUTH_DONE)
		outcome = exchange->authenticator->server_skey ? read_keys(exchange) : read_password(exchange);
	if (outcome != AUTH_FAILED)
		return outcome;
	if (!verifier->salt.len) {
		unsigned char *salt = arena_alloc(&exchange->arena, SALT_SIZE);
		ensure(RAND_bytes(salt, SALT_SIZE) == 1);
		verifier->salt = slice_make(salt, SALT_SIZE);
	}
	ensure(RAND_bytes(verifier->stored_key, AUTH_KEY_MAX) == 1 && RAND_bytes(verifier->server_key, AUTH_KEY_MAX) == 1);
	return AUTH_DONE;
}

static enum auth_outcome find_verifier(struct auth_exchange *exchange)
{
	const struct auth_world *world = exchange->world;
	struct scram *state = exchange->state;
	struct error error = { 0 };
	if (!exchange->authenticator->server_user_database)
		return verifier_of_options(exchange);
	if (!world || !world->find_verifier)
		return auth_say(exchange, AUTH_DEFERRED, "there is no user database");
	enum auth_verdict verdict = world->find_verifier(world->owner, state->first.user, state->kind->hash, &exchange->arena,
							 &state->verifier, &exchange->user, &error);
	return auth_judge(exchange, verdict, &error);
}

/* ---- Channel binding ---- */

/* RFC 5802 §6. False: the client's wish cannot be met, or somebody has meddled with what the client saw. */
static bool bind_channel(struct auth_exchange *exchange)
{
	struct scram *state = exchange->state;
	const struct auth_channel *channel = exchange->channel;
	const struct scram_client_first *first = &state->first;
	struct slice data = { 0 };
	if (state->kind->plus != (first->flag == 'p')) {
		auth_say(exchange, AUTH_FAILED, state->kind->plus ? "the client does not bind to the TLS channel, as this mechanism has to"
								  : "the client binds to the TLS channel, which is not for this mechanism");
		return false;
	}
	if (first->flag == 'y' && channel->plus_offered) {
		auth_say(exchange, AUTH_FAILED, "the client could bind to the TLS channel, but was not shown that the server can: it may have "
						"seen another list of mechanisms than was sent");
		return false;
	}
	if (first->flag == 'p') {
		bool exporter = slice_equal(first->binding, SLICE("tls-exporter"));
		bool end_point = slice_equal(first->binding, SLICE("tls-server-end-point"));
		if (!(exporter || end_point) || !channel->binding ||
		    !channel->binding(channel->owner, exporter ? AUTH_BINDING_EXPORTER : AUTH_BINDING_SERVER_END_POINT, &exchange->arena, &data)) {
			auth_say(exchange, AUTH_FAILED, "channel binding %.*s is not to be had", SLICE_ARG(slice_first(first->binding, 40)));
			return false;
		}
	}
	struct buf text;
	buf_init(&text, AUTH_DATA_MAX + EVP_MAX_MD_SIZE);
	ensure(buf_append(&text, first->header) && buf_append(&text, data));
	state->channel = mail_base64_encode(buf_slice(&text), &exchange->arena);
	buf_free(&text);
	return true;
}

/* ---- The exchange ---- */

static struct slice make_nonce(struct auth_exchange *exchange)
{
	unsigned char random[NONCE_SIZE];
	if (exchange->channel->nonce.len)
		return exchange->channel->nonce;
	ensure(RAND_bytes(random, sizeof random) == 1);
	return mail_base64_encode(slice_make(random, sizeof random), &exchange->arena);
}

static enum auth_outcome take_first(struct auth_exchange *exchange, struct slice response)
{
	struct scram *state = exchange->state;
	struct scram_client_first *first = &state->first;
	struct arena *arena = &exchange->arena;
	/* The response itself is the caller's, and the next one takes its place. */
	if (!scram_parse_client_first(arena_copy(arena, response), arena, first))
		return auth_say(exchange, AUTH_FAILED, "malformed first message");
	exchange->user = first->user;
	auth_add_value(exchange, first->user);
	auth_add_value(exchange, first->acts_as);
	auth_add_value(exchange, (struct slice){ 0 });
	if (!bind_channel(exchange) || !auth_may_act_as(exchange, first->user, first->acts_as))
		return AUTH_FAILED;
	enum auth_outcome outcome = find_verifier(exchange);
	if (outcome != AUTH_DONE)
		return outcome;
	state->nonce = arena_printf(arena, "%.*s%.*s", SLICE_ARG(first->nonce), SLICE_ARG(make_nonce(exchange)));
	state->server_first = arena_printf(arena, "r=%.*s,s=%.*s,i=%u", SLICE_ARG(state->nonce),
					   SLICE_ARG(mail_base64_encode(state->verifier.salt, arena)), state->verifier.iterations);
	state->next = SCRAM_FINAL;
	return auth_challenge(exchange, state->server_first);
}

/* RFC 5802 §3: H(ClientProof XOR HMAC(StoredKey, AuthMessage)) is StoredKey. */
static bool proof_fits(struct auth_exchange *exchange, struct slice text, struct slice message)
{
	const struct scram *state = exchange->state;
	unsigned char proof[AUTH_KEY_MAX], signature[AUTH_KEY_MAX], stored[AUTH_KEY_MAX];
	if (!read_key(exchange, text, key_size(state), proof))
		return false;
	sign(state, state->verifier.stored_key, message, signature);
	for (size_t i = 0; i < key_size(state); i++)
		proof[i] ^= signature[i];
	hash(state, proof, stored);
	explicit_bzero(proof, sizeof proof); /* the client's key, which is as good as the password */
	return CRYPTO_memcmp(stored, state->verifier.stored_key, key_size(state)) == 0;
}

static enum auth_outcome take_final(struct auth_exchange *exchange, struct slice response)
{
	struct scram *state = exchange->state;
	struct arena *arena = &exchange->arena;
	struct scram_client_final final;
	unsigned char signature[AUTH_KEY_MAX];
	if (!scram_parse_client_final(response, &final))
		return auth_say(exchange, AUTH_FAILED, "malformed final message");
	if (!same(final.nonce, state->nonce))
		return auth_say(exchange, AUTH_FAILED, "the nonce is another one");
	if (!same(final.channel, state->channel))
		return auth_say(exchange, AUTH_FAILED, state->kind->plus ? "the client is in another TLS connection"
									 : "the client's two messages do not fit each other");
	struct slice message = arena_printf(arena, "%.*s,%.*s,%.*s", SLICE_ARG(state->first.bare), SLICE_ARG(state->server_first),
					    SLICE_ARG(final.without_proof));
	enum auth_outcome outcome = proof_fits(exchange, final.proof, message) ? AUTH_DONE : AUTH_FAILED;
	/* The server's proof is for those who are let in, so all is decided before it. */
	exchange->finished = true;
	outcome = auth_finish(exchange, outcome);
	if (outcome != AUTH_DONE)
		return outcome;
	sign(state, state->verifier.server_key, message, signature);
	struct slice proof = mail_base64_encode(slice_make(signature, key_size(state)), arena);
	state->next = SCRAM_END;
	return auth_challenge(exchange, arena_printf(arena, "v=%.*s", SLICE_ARG(proof)));
}

static enum auth_outcome step(struct auth_exchange *exchange, struct slice response)
{
	const struct scram *state = exchange->state;
	switch (state->next) {
	case SCRAM_FIRST: return take_first(exchange, response);
	case SCRAM_FINAL: return take_final(exchange, response);
	case SCRAM_END: break;
	}
	/* SMTP has no room for the server's last message in the 235 (RFC 4954 §4), so the client acknowledges it with nothing. */
	return response.len ? auth_say(exchange, AUTH_FAILED, "something after the last message") : AUTH_DONE;
}

static enum auth_outcome start(struct auth_exchange *exchange, const struct slice *initial)
{
	struct scram *state = exchange->state = arena_new(&exchange->arena, struct scram);
	state->kind = find_kind(exchange->authenticator);
	ensure(state->kind);
	return initial ? take_first(exchange, *initial) : auth_challenge(exchange, (struct slice){ 0 });
}

const struct auth_driver auth_scram = { .name = "scram", .check = check, .start = start, .step = step };

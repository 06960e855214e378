/* SPDX-License-Identifier: ISC */
#include "role/user_ask.h"

#include "role/dovecot.h"

#include <errno.h>
#include <string.h>

#define QUESTION_TIME (30 * CLOCK_SECOND)

/* One question and its answer. */
struct exchange {
	const struct user_ask *ask;
	int64_t began, deadline;
	struct net_text client;
	struct ipc_reply reply;
	struct ipc_tried tried; /* lies in the reply */
};

static void begin(struct exchange *exchange, const struct user_ask *ask)
{
	*exchange = (struct exchange){ .ask = ask, .began = clock_now(), .deadline = clock_after(QUESTION_TIME) };
	exchange->client = net_address_text(&ask->client);
}

/* The verdict of the answer, once a failure has taken its time. */
static enum auth_verdict take(struct exchange *exchange, int failed, struct error *error)
{
	struct ipc_tried *tried = &exchange->tried;
	bool good = failed == 0 && exchange->reply.type == IPC_TRIED_MESSAGE && ipc_unpack_tried(exchange->reply.body, tried) &&
		    tried->verdict <= AUTH_LATER;
	if (!good) {
		error_set(error, ERROR_TEMPORARY, "the lookup process %s", failed == -ETIMEDOUT ? "did not answer in time" :
			  failed ? "is not there" : "gave a malformed answer");
		return AUTH_LATER;
	}
	enum auth_verdict verdict = (enum auth_verdict)tried->verdict;
	if (verdict == AUTH_LATER)
		error_set(error, ERROR_TEMPORARY, "%.*s", SLICE_ARG(tried->problem));
	if (verdict == AUTH_NO || verdict == AUTH_LOCKED)
		task_sleep_until(exchange->began + exchange->ask->delay);
	return verdict;
}

static enum auth_verdict check_password(void *owner, struct slice user, struct slice password, struct arena *arena,
					struct slice *identity_r, struct error *error)
{
	const struct user_ask *ask = owner;
	struct exchange exchange;
	begin(&exchange, ask);
	struct ipc_check_password message = {
		.user = user, .password = password, .service = slice_of(ask->service), .client = slice_of(exchange.client.text),
		.deadline = (uint64_t)exchange.deadline,
	};
	int failed = -EPIPE;
	if (ask_line_await(ask->line, exchange.deadline))
		failed = ipc_call(ask->line->peer, check_password, CHECK_PASSWORD, &message, NULL, 0, exchange.deadline + CLOCK_SECOND,
				  &exchange.reply);
	enum auth_verdict verdict = take(&exchange, failed, error);
	if (verdict == AUTH_YES)
		*identity_r = arena_copy(arena, exchange.tried.identity);
	ipc_reply_free(&exchange.reply);
	return verdict;
}

static bool take_keys(const struct ipc_tried *tried, enum auth_hash hash, struct auth_verifier *verifier)
{
	size_t size = hash == AUTH_SHA1 ? 20 : 32;
	if (tried->stored_key.len != size || tried->server_key.len != size)
		return false;
	memcpy(verifier->stored_key, tried->stored_key.data, size);
	memcpy(verifier->server_key, tried->server_key.data, size);
	return true;
}

static bool take_verifier(const struct ipc_tried *tried, enum auth_hash hash, struct arena *arena, struct auth_verifier *verifier)
{
	if (tried->salt.len == 0 || tried->salt.len > AUTH_SALT_MAX || tried->iterations == 0 || tried->iterations > INT32_MAX)
		return false;
	*verifier = (struct auth_verifier){ .salt = arena_copy(arena, tried->salt), .iterations = (uint32_t)tried->iterations };
	return take_keys(tried, hash, verifier);
}

static enum auth_verdict malformed(struct error *error)
{
	error_set(error, ERROR_TEMPORARY, "the lookup process gave a malformed verifier");
	return AUTH_LATER;
}

static enum auth_verdict find_verifier(void *owner, struct slice user, enum auth_hash hash, struct arena *arena,
				       struct auth_verifier *verifier_r, struct slice *identity_r, struct error *error)
{
	const struct user_ask *ask = owner;
	struct exchange exchange;
	begin(&exchange, ask);
	struct ipc_find_verifier message = {
		.user = user, .hash = hash, .client = slice_of(exchange.client.text), .deadline = (uint64_t)exchange.deadline,
	};
	int failed = -EPIPE;
	if (ask_line_await(ask->line, exchange.deadline))
		failed = ipc_call(ask->line->peer, find_verifier, FIND_VERIFIER, &message, NULL, 0, exchange.deadline + CLOCK_SECOND,
				  &exchange.reply);
	enum auth_verdict verdict = take(&exchange, failed, error);
	if (verdict == AUTH_YES && !take_verifier(&exchange.tried, hash, arena, verifier_r))
		verdict = malformed(error);
	if (verdict == AUTH_YES)
		*identity_r = arena_copy(arena, exchange.tried.identity);
	ipc_reply_free(&exchange.reply);
	return verdict;
}

static enum auth_verdict derive(void *owner, struct slice user, struct slice password, enum auth_hash hash, struct auth_verifier *verifier,
				struct error *error)
{
	const struct user_ask *ask = owner;
	struct exchange exchange;
	begin(&exchange, ask);
	struct ipc_derive_keys message = {
		.user = user, .password = password, .hash = hash, .salt = verifier->salt, .iterations = verifier->iterations,
		.client = slice_of(exchange.client.text), .deadline = (uint64_t)exchange.deadline,
	};
	int failed = -EPIPE;
	if (ask_line_await(ask->line, exchange.deadline))
		failed = ipc_call(ask->line->peer, derive_keys, DERIVE_KEYS, &message, NULL, 0, exchange.deadline + CLOCK_SECOND,
				  &exchange.reply);
	enum auth_verdict verdict = take(&exchange, failed, error);
	if (verdict == AUTH_YES && !take_keys(&exchange.tried, hash, verifier))
		verdict = malformed(error);
	ipc_reply_free(&exchange.reply);
	return verdict;
}

static enum auth_verdict settle(void *owner, struct slice user, bool good, struct error *error)
{
	const struct user_ask *ask = owner;
	struct exchange exchange;
	begin(&exchange, ask);
	struct ipc_settle_try message = { .user = user, .client = slice_of(exchange.client.text), .good = good };
	int failed = -EPIPE;
	if (ask_line_await(ask->line, exchange.deadline))
		failed = ipc_call(ask->line->peer, settle_try, SETTLE_TRY, &message, NULL, 0, exchange.deadline, &exchange.reply);
	enum auth_verdict verdict = take(&exchange, failed, error);
	ipc_reply_free(&exchange.reply);
	return verdict;
}

struct auth_world user_ask_world(struct user_ask *ask)
{
	return (struct auth_world){
		.owner = ask, .check_password = check_password, .find_verifier = find_verifier, .derive = derive, .settle = settle,
		.ask_dovecot = dovecot_ask, .drop_dovecot = dovecot_drop,
	};
}

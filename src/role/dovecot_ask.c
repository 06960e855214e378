/* SPDX-License-Identifier: ISC */
/* Exchanges with Dovecot, in a front: questions to the lookup role. */
#include "role/dovecot.h"
#include "role/user_ask.h"

#include <errno.h>

/* How much later than the lookup role a front gives up, so that it has that role's word. */
#define PATIENCE (5 * CLOCK_SECOND)

static enum auth_outcome later(struct error *error, const char *why)
{
	error_set(error, ERROR_TEMPORARY, "the lookup process %s", why);
	return AUTH_DEFERRED;
}

static struct slice address_text(const struct net_address *address, struct net_text *text)
{
	*text = net_address_text(address);
	return slice_of(text->text);
}

static int send_begin(const struct user_ask *ask, const struct authenticator *authenticator, const struct slice *response, int64_t latest,
		      struct ipc_reply *reply)
{
	struct net_text client, local;
	/* As in Exim: who connects from this machine cannot be overheard. */
	bool secured = ask->tls || net_address_equal(&ask->client, &ask->local);
	struct ipc_dovecot_begin message = {
		.authenticator = authenticator->name, .client = address_text(&ask->client, &client), .local = address_text(&ask->local, &local),
		.flags = (secured ? DOVECOT_SECURED : 0) | (ask->certificate ? DOVECOT_CERTIFICATE : 0) |
			 (response ? DOVECOT_HAS_RESPONSE : 0),
	};
	if (response)
		message.response = *response;
	/* A connection, and an answer. */
	return ipc_call(ask->line->peer, dovecot_begin, DOVECOT_BEGIN, &message, NULL, 0, latest, reply);
}

static int send_response(const struct user_ask *ask, uint64_t dialogue, struct slice response, int64_t latest, struct ipc_reply *reply)
{
	struct ipc_dovecot_response message = { .dialogue = dialogue, .given = 1, .response = response };
	return ipc_call(ask->line->peer, dovecot_response, DOVECOT_RESPONSE, &message, NULL, 0, latest, reply);
}

static enum auth_outcome take(const struct ipc_reply *reply, uint64_t *dialogue, struct arena *arena, struct slice *text_r,
			      struct error *error)
{
	struct ipc_dovecot_said said;
	if (reply->type != IPC_DOVECOT_SAID_MESSAGE || !ipc_unpack_dovecot_said(reply->body, &said) || said.outcome > AUTH_DEFERRED ||
	    (said.outcome == AUTH_CHALLENGE) != (said.dialogue != 0))
		return later(error, "gave a malformed answer");
	*dialogue = said.dialogue;
	*text_r = arena_copy(arena, said.text);
	if (said.outcome == AUTH_DEFERRED)
		error_set(error, ERROR_TEMPORARY, "%.*s", SLICE_ARG(said.problem));
	return (enum auth_outcome)said.outcome;
}

enum auth_outcome dovecot_ask(void *user_ask, const struct authenticator *authenticator, const struct slice *response, uint64_t *dialogue,
			      struct arena *arena, struct slice *text_r, struct error *error)
{
	const struct user_ask *ask = user_ask;
	struct ipc_reply reply = { 0 };
	uint64_t number = *dialogue;
	*dialogue = 0;
	if (!ask_line_await(ask->line, clock_after(authenticator->server_timeout)))
		return later(error, "is not there");
	int64_t latest = clock_after(authenticator->server_timeout + PATIENCE);
	int failed = number ? send_response(ask, number, *response, latest, &reply) : send_begin(ask, authenticator, response, latest, &reply);
	enum auth_outcome outcome = failed ? later(error, failed == -ETIMEDOUT ? "did not answer in time" : "ended while it was asked") :
					     take(&reply, dialogue, arena, text_r, error);
	ipc_reply_free(&reply);
	return outcome;
}

void dovecot_drop(void *user_ask, uint64_t dialogue)
{
	const struct user_ask *ask = user_ask;
	struct ipc_dovecot_response message = { .dialogue = dialogue };
	if (ask->line->peer)
		ipc_send(ask->line->peer, dovecot_response, DOVECOT_RESPONSE, 0, &message, NULL, 0);
}

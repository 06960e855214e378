/* SPDX-License-Identifier: ISC */
/*
 * The dovecot driver (Exim's manual, chapter 37): a Dovecot server decides, by whatever mechanisms it has; here its challenges and the client's
 * responses pass through. The connection to it is the world's.
 */
#include "auth/private.h"

#include <sys/un.h>

struct remote {
	uint64_t dialogue; /* 0: there is none */
};

static bool check(const struct authenticator *authenticator, const char **option_r, struct error *error)
{
	*option_r = "server_socket";
	if (authenticator->server_socket.len == 0)
		return error_set(error, ERROR_USAGE, "not set; expected the path of the socket of Dovecot's auth-client");
	return authenticator->server_socket.len < sizeof((struct sockaddr_un *)NULL)->sun_path ||
	       error_set(error, ERROR_USAGE, "the path of a socket has at most %zu bytes", sizeof((struct sockaddr_un *)NULL)->sun_path - 1);
}

/* `response` NULL: the client has said nothing yet. */
static enum auth_outcome ask(struct auth_exchange *exchange, const struct slice *response)
{
	const struct auth_world *world = exchange->world;
	struct remote *remote = exchange->state;
	struct error error = { 0 };
	struct slice text = { 0 };
	if (!world || !world->ask_dovecot)
		return auth_say(exchange, AUTH_DEFERRED, "there is no way to Dovecot");
	enum auth_outcome outcome =
		world->ask_dovecot(world->owner, exchange->authenticator, response, &remote->dialogue, &exchange->arena, &text, &error);
	if (outcome == AUTH_CHALLENGE)
		return auth_challenge(exchange, text);
	if (outcome == AUTH_DEFERRED)
		return auth_say(exchange, AUTH_DEFERRED, "%s", error.text);
	if (text.len) {
		auth_add_value(exchange, text);
		exchange->user = text;
	}
	return outcome;
}

static enum auth_outcome start(struct auth_exchange *exchange, const struct slice *initial)
{
	exchange->state = arena_new(&exchange->arena, struct remote);
	return ask(exchange, initial);
}

static enum auth_outcome step(struct auth_exchange *exchange, struct slice response)
{
	return ask(exchange, &response);
}

/* The client has gone, or gave up. */
static void end(struct auth_exchange *exchange)
{
	const struct remote *remote = exchange->state;
	if (remote && remote->dialogue)
		exchange->world->drop_dovecot(exchange->world->owner, remote->dialogue);
}

const struct auth_driver auth_dovecot = { .name = "dovecot", .check = check, .start = start, .step = step, .end = end };

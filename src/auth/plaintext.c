/* SPDX-License-Identifier: ISC */
/*
 * The plaintext driver (Exim's manual, chapter 34): PLAIN (RFC 4616), LOGIN, and whatever else is prompts and answers. A response is
 * a list of texts separated by NUL; each prompt that no text is there for yet is sent. Then server_condition decides, or, with
 * server_user_database, the built-in users: of PLAIN the second text is the user and the third the password, of LOGIN the first
 * and the second.
 */
#include "auth/private.h"

#include "match/split.h"

struct plaintext {
	struct list_splitter prompts;
	size_t number; /* of prompts that were looked at */
};

static bool is_plain(const struct authenticator *authenticator)
{
	return slice_equal_nocase(authenticator->public_name, SLICE("PLAIN"));
}

static bool check(const struct authenticator *authenticator, const char **option_r, struct error *error)
{
	*option_r = "server_condition";
	if (!authenticator->server_condition && !authenticator->server_user_database)
		return error_set(error, ERROR_USAGE, "not set; expected a condition, or server_user_database = true, for without one nobody "
				 "could log in");
	*option_r = "public_name";
	if (authenticator->server_user_database && !is_plain(authenticator) &&
	    !slice_equal_nocase(authenticator->public_name, SLICE("LOGIN")))
		return error_set(error, ERROR_USAGE, "with server_user_database, expected PLAIN or LOGIN");
	return true;
}

/* At least one text, also of an empty response. */
static void take(struct auth_exchange *exchange, struct slice response)
{
	do
		auth_add_value(exchange, slice_cut(&response, '\0'));
	while (response.len);
}

static enum auth_outcome ask_database(struct auth_exchange *exchange)
{
	const struct auth_world *world = exchange->world;
	bool plain = is_plain(exchange->authenticator);
	size_t first = plain ? 1 : 0; /* of the values before the user */
	struct error error = { 0 };
	if (exchange->value_count != first + 2)
		return auth_say(exchange, AUTH_FAILED, "expected %zu texts, found %zu", first + 2, exchange->value_count);
	struct slice user = exchange->values[first + 1].text, password = exchange->values[first + 2].text;
	exchange->user = user;
	if (plain && !auth_may_act_as(exchange, user, exchange->values[1].text))
		return AUTH_FAILED;
	if (!world || !world->check_password)
		return auth_say(exchange, AUTH_DEFERRED, "there is no user database");
	exchange->counted = true;
	return auth_judge(exchange, world->check_password(world->owner, user, password, &exchange->arena, &exchange->user, &error), &error);
}

/* Sends the next prompt for which no text is there, or decides. */
static enum auth_outcome go_on(struct auth_exchange *exchange)
{
	struct plaintext *state = exchange->state;
	struct slice prompt;
	while (exchange->value_count + 1 < EXPAND_NUMBERS && list_split_next(&state->prompts, &exchange->arena, &prompt))
		if (++state->number > exchange->value_count)
			return auth_challenge(exchange, prompt);
	return exchange->authenticator->server_user_database ? ask_database(exchange) : AUTH_DONE;
}

static enum auth_outcome start(struct auth_exchange *exchange, const struct slice *initial)
{
	const struct authenticator *authenticator = exchange->authenticator;
	struct slice prompts = is_plain(authenticator) ? SLICE(":") : SLICE("User Name : Password");
	struct plaintext *state = exchange->state = arena_new(&exchange->arena, struct plaintext);
	if (authenticator->server_prompts || !authenticator->server_user_database) {
		enum auth_outcome outcome = auth_expand(exchange, authenticator->server_prompts, &prompts);
		if (outcome != AUTH_DONE)
			return AUTH_DEFERRED;
	}
	list_split_start(&state->prompts, prompts);
	if (initial)
		take(exchange, *initial);
	return go_on(exchange);
}

static enum auth_outcome step(struct auth_exchange *exchange, struct slice response)
{
	take(exchange, response);
	return go_on(exchange);
}

const struct auth_driver auth_plaintext = { .name = "plaintext", .check = check, .start = start, .step = step };

/* SPDX-License-Identifier: ISC */
/* What all drivers have in common: the table of them, the run of an exchange, server_condition, server_set_id, failures. */
#include "auth/private.h"

#include "base/fatal.h"

#include <string.h>

static const struct auth_driver *const drivers[] = { &auth_plaintext, &auth_cram_md5, &auth_dovecot, &auth_scram,
						    &auth_external, &auth_tls };

const struct auth_driver *auth_driver_find(struct slice name)
{
	for (size_t i = 0; i < sizeof drivers / sizeof *drivers; i++)
		if (slice_equal(name, slice_of(drivers[i]->name)))
			return drivers[i];
	return NULL;
}

/* RFC 4422 §3.1: 1 to 20 letters, digits, hyphens and underscores. Exim sets no limit, and names of X-... are longer now and then. */
static bool mechanism_name_valid(struct slice name)
{
	for (size_t i = 0; i < name.len; i++)
		if (!ascii_is_alnum(name.data[i]) && name.data[i] != '-' && name.data[i] != '_')
			return false;
	return name.len > 0 && name.len <= 64;
}

bool auth_check(const struct authenticator *authenticator, const char **option_r, struct error *error)
{
	*option_r = "public_name";
	if (!authenticator->driver->implicit && !mechanism_name_valid(authenticator->public_name))
		return error_set(error, ERROR_USAGE, "expected the name of a mechanism, of letters, digits, hyphens and underscores");
	return !authenticator->driver->check || authenticator->driver->check(authenticator, option_r, error);
}

bool auth_is_implicit(const struct authenticator *authenticator)
{
	return authenticator->driver->implicit;
}

/* ---- For drivers ---- */

enum auth_outcome auth_say(struct auth_exchange *exchange, enum auth_outcome outcome, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(exchange->problem.text, sizeof exchange->problem.text, format, args);
	va_end(args);
	return outcome;
}

enum auth_outcome auth_challenge(struct auth_exchange *exchange, struct slice bytes)
{
	exchange->challenge = bytes;
	return AUTH_CHALLENGE;
}

void auth_add_value(struct auth_exchange *exchange, struct slice text)
{
	if (exchange->value_count + 1 < EXPAND_NUMBERS)
		exchange->values[++exchange->value_count] = (struct expand_value){ arena_copy(&exchange->arena, text), true };
}

enum auth_outcome auth_expand(struct auth_exchange *exchange, const struct expand_program *program, struct slice *text_r)
{
	struct expand_value value;
	struct error error;
	*text_r = (struct slice){ 0 };
	if (!program)
		return AUTH_DONE;
	switch (expand_run(program, &exchange->context, &exchange->arena, &value, &error)) {
	case EXPAND_OK: *text_r = value.text; return AUTH_DONE;
	case EXPAND_FORCED_FAIL: return AUTH_FAILED;
	default: return auth_say(exchange, AUTH_DEFERRED, "%s", error.text);
	}
}

enum auth_outcome auth_judge(struct auth_exchange *exchange, enum auth_verdict verdict, const struct error *error)
{
	switch (verdict) {
	case AUTH_YES: return AUTH_DONE;
	case AUTH_NO: return AUTH_FAILED;
	case AUTH_LOCKED: return auth_say(exchange, AUTH_FAILED, "%s", *error->text ? error->text : "locked out after too many failures");
	case AUTH_LATER: break;
	}
	return auth_say(exchange, AUTH_DEFERRED, "%s", error->text);
}

bool auth_may_act_as(struct auth_exchange *exchange, struct slice user, struct slice other)
{
	if (other.len == 0 || slice_equal(user, other) || exchange->authenticator->server_condition)
		return true;
	auth_say(exchange, AUTH_FAILED, "the client wants to act for another user");
	return false;
}

/* ---- The end of an exchange ---- */

static bool is_one_of(struct slice text, const struct slice *words, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (slice_equal_nocase(text, words[i]))
			return true;
	return false;
}

bool auth_says_no(struct slice text)
{
	static const struct slice words[] = { SLICE(""), SLICE("0"), SLICE("no"), SLICE("false") };
	return is_one_of(text, words, sizeof words / sizeof *words);
}

/* Exim's manual, chapter 33 §1, server_condition. */
static enum auth_outcome check_condition(struct auth_exchange *exchange)
{
	static const struct slice yes[] = { SLICE("1"), SLICE("yes"), SLICE("true") };
	struct slice text;
	enum auth_outcome outcome = auth_expand(exchange, exchange->authenticator->server_condition, &text);
	if (!exchange->authenticator->server_condition || outcome != AUTH_DONE)
		return outcome;
	if (auth_says_no(text))
		return AUTH_FAILED;
	if (is_one_of(text, yes, sizeof yes / sizeof *yes))
		return AUTH_DONE;
	exchange->client_text = text;
	return auth_say(exchange, AUTH_DEFERRED, "%.*s", SLICE_ARG(text));
}

/* It goes into the log and into envelopes, so what cannot be printed is written as \ooo. */
static struct slice printable(struct arena *arena, struct slice text)
{
	enum { IDENTITY_MAX = 500 };
	text = slice_first(text, IDENTITY_MAX);
	char *out = arena_alloc(arena, 4 * text.len + 1);
	size_t size = 0;
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.data[i];
		if (c >= 32 && c != 127) {
			out[size++] = (char)c;
			continue;
		}
		out[size++] = '\\';
		out[size++] = (char)('0' + (c >> 6));
		out[size++] = (char)('0' + (c >> 3 & 7));
		out[size++] = (char)('0' + (c & 7));
	}
	return slice_make(out, size);
}

/* As whom; after a failure that is what the client pretended to be. False: it cannot be told. */
static bool find_identity(struct auth_exchange *exchange)
{
	struct expand_value value = { .text = exchange->user };
	struct error error = { 0 };
	const struct expand_program *program = exchange->authenticator->server_set_id;
	bool known = !program || expand_run(program, &exchange->context, &exchange->arena, &value, &error) == EXPAND_OK;
	if (known)
		exchange->identity = printable(&exchange->arena, value.text);
	else if (!*exchange->problem.text)
		exchange->problem = error;
	return known;
}

static void show_debug_print(struct auth_exchange *exchange)
{
	const struct expand_program *program = exchange->authenticator->server_debug_print;
	struct expand_value value;
	struct error error;
	if (!program || !exchange->channel->debug)
		return;
	bool good = expand_run(program, &exchange->context, &exchange->arena, &value, &error) == EXPAND_OK;
	exchange->channel->debug(exchange->channel->owner, good ? value.text : slice_of(error.text));
}

enum auth_outcome auth_finish(struct auth_exchange *exchange, enum auth_outcome outcome)
{
	const struct auth_world *world = exchange->world;
	struct error error = { 0 };
	if (outcome == AUTH_UNEXPECTED)
		return outcome;
	show_debug_print(exchange);
	if (outcome == AUTH_DONE)
		outcome = check_condition(exchange);
	/* Exim: a success whose server_set_id cannot be expanded is a temporary error. */
	if (!find_identity(exchange) && outcome == AUTH_DONE)
		outcome = AUTH_DEFERRED;
	if (exchange->counted || !world || !world->settle || outcome == AUTH_DEFERRED)
		return outcome;
	enum auth_verdict verdict = world->settle(world->owner, exchange->identity, outcome == AUTH_DONE, &error);
	/* Also a failure that cannot be counted now is put off: the answers to right and to wrong passwords must be one, or guesses are free. */
	bool decides = outcome == AUTH_DONE || verdict == AUTH_LOCKED || verdict == AUTH_LATER;
	return decides ? auth_judge(exchange, verdict, &error) : outcome;
}

/* ---- The run of an exchange ---- */

void auth_begin(struct auth_exchange *exchange, const struct authenticator *authenticator, const struct auth_channel *channel,
		const struct auth_world *world, const struct expand_context *context)
{
	*exchange = (struct auth_exchange){
		.authenticator = authenticator, .channel = channel, .world = world, .context = *context,
	};
	exchange->context.numbers = exchange->values;
	arena_init(&exchange->arena, 0);
}

static enum auth_outcome conclude(struct auth_exchange *exchange, enum auth_outcome outcome)
{
	if (outcome == AUTH_CHALLENGE)
		return outcome;
	exchange->over = true;
	return exchange->finished ? outcome : auth_finish(exchange, outcome);
}

enum auth_outcome auth_start(struct auth_exchange *exchange, const struct slice *initial)
{
	return conclude(exchange, exchange->authenticator->driver->start(exchange, initial));
}

enum auth_outcome auth_step(struct auth_exchange *exchange, struct slice response)
{
	ensure(!exchange->over && exchange->authenticator->driver->step);
	exchange->challenge = (struct slice){ 0 };
	if (++exchange->steps > AUTH_STEPS_MAX || response.len > AUTH_DATA_MAX)
		return conclude(exchange, auth_say(exchange, AUTH_FAILED, "too long an exchange"));
	return conclude(exchange, exchange->authenticator->driver->step(exchange, response));
}

void auth_end(struct auth_exchange *exchange)
{
	if (exchange->authenticator && exchange->authenticator->driver->end)
		exchange->authenticator->driver->end(exchange);
	arena_wipe(&exchange->arena);
	explicit_bzero(exchange, sizeof *exchange);
}

/* ---- For sessions ---- */

bool auth_value(const struct auth_exchange *exchange, struct slice name, struct expand_value *value_r)
{
	uint64_t number;
	if (!exchange || !slice_parse_u64(name, AUTH_VALUES_MAX, &number) || number == 0 || number > exchange->value_count)
		return false;
	*value_r = exchange->values[number];
	return true;
}

bool auth_mail_condition(const struct authenticator *authenticator, const struct expand_context *context, struct arena *arena)
{
	struct expand_value value;
	struct error error;
	if (!authenticator->server_mail_auth_condition)
		return true;
	return expand_run(authenticator->server_mail_auth_condition, context, arena, &value, &error) == EXPAND_OK && !auth_says_no(value.text);
}

/* SPDX-License-Identifier: ISC */
/*
 * Who the client is was proved elsewhere, as a rule by its certificate: the driver external is the mechanism EXTERNAL (RFC 4422,
 * appendix A; Exim's manual, chapter 41), the driver tls authenticates without a command when TLS begins (chapter 42). Both put texts into
 * $auth1 to $auth3 and let server_condition decide.
 */
#include "auth/private.h"

static bool check(const struct authenticator *authenticator, const char **option_r, struct error *error)
{
	*option_r = "server_condition";
	return authenticator->server_condition ||
	       error_set(error, ERROR_USAGE, "not set; expected a condition on the client's certificate");
}

/* Parameters from `first` on, as far as they are set, each in its own variable. */
static enum auth_outcome expand_parameters(struct auth_exchange *exchange, size_t first)
{
	const struct authenticator *authenticator = exchange->authenticator;
	size_t count = 3;
	while (count > first && !authenticator->server_params[count - 1])
		count--;
	for (size_t i = first; i < count; i++) {
		struct slice text;
		enum auth_outcome outcome = auth_expand(exchange, authenticator->server_params[i], &text);
		if (outcome != AUTH_DONE)
			return outcome;
		auth_add_value(exchange, text);
	}
	return AUTH_DONE;
}

/* RFC 4422 A.1: the whole response is the authorisation identity, an empty one means the one that the certificate gives. */
static enum auth_outcome external_step(struct auth_exchange *exchange, struct slice response)
{
	if (slice_find(response, '\0') < response.len)
		return auth_say(exchange, AUTH_FAILED, "a NUL in the identity");
	auth_add_value(exchange, response);
	return expand_parameters(exchange, 1);
}

static enum auth_outcome external_start(struct auth_exchange *exchange, const struct slice *initial)
{
	return initial ? external_step(exchange, *initial) : auth_challenge(exchange, (struct slice){ 0 });
}

static enum auth_outcome tls_start(struct auth_exchange *exchange, const struct slice *initial)
{
	(void)initial;
	return expand_parameters(exchange, 0);
}

const struct auth_driver auth_external = { .name = "external", .check = check, .start = external_start, .step = external_step };
const struct auth_driver auth_tls = { .name = "tls", .implicit = true, .check = check, .start = tls_start };

/* SPDX-License-Identifier: ISC */
/*
 * Exchanges with any bytes from the client: the first byte chooses the authenticator, each line of the rest is a response. Nothing
 * but the right secret may come to AUTH_DONE.
 */
#include "auth/auth.h"

#include "base/fatal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct kind {
	const char *driver, *name, *condition, *secret;
} kinds[] = {
	{ "plaintext", "PLAIN", "${if eq{$auth2/$auth3}{user/a secret}}", NULL },
	{ "plaintext", "LOGIN", "${if eq{$auth1/$auth2}{user/a secret}}", NULL },
	{ "cram_md5", "CRAM-MD5", NULL, "a secret" },
	{ "scram", "SCRAM-SHA-1", NULL, "a secret" },
	{ "scram", "SCRAM-SHA-256-PLUS", NULL, "a secret" },
	{ "external", "EXTERNAL", "${if eq{$auth1}{a secret}}", NULL },
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static struct expand_value no_variable(void *owner, enum expand_variable variable)
{
	(void)owner;
	(void)variable;
	return (struct expand_value){ 0 };
}

static bool named(void *owner, enum expand_family family, struct slice name, struct expand_value *value_r)
{
	return family == EXPAND_AUTH && auth_value(owner, name, value_r);
}

static bool binding(void *owner, enum auth_binding kind, struct arena *arena, struct slice *data_r)
{
	(void)owner;
	(void)arena;
	*data_r = SLICE("data");
	return kind == AUTH_BINDING_EXPORTER;
}

static const struct expand_program *compile(struct arena *arena, const char *text)
{
	const struct expand_program *program = NULL;
	struct error error;
	ensure(!text || expand_compile(arena, slice_of(text), EXPAND_PLACE_CONNECTION, NULL, &program, &error, NULL));
	return program;
}

static bool has_secret(struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if (slice_starts(slice_from(text, i), SLICE("a secret")))
			return true;
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena;
	struct auth_exchange exchange = { 0 };
	if (size < 2)
		return 0;
	const struct kind *kind = &kinds[data[0] % KINDS];
	arena_init(&arena, 0);
	struct authenticator authenticator = {
		.name = SLICE("a"), .public_name = slice_of(kind->name), .driver = auth_driver_find(slice_of(kind->driver)),
		.server_condition = compile(&arena, kind->condition), .server_secret = compile(&arena, kind->secret),
		.server_password = compile(&arena, kind->secret), .server_prompts = compile(&arena, data[0] & 64 ? "a : b" : ":"),
		.server_scram_salt = compile(&arena, "QSXCR+Q6sek8bf92"),
	};
	struct auth_channel channel = { .hostname = SLICE("h"), .binding = binding, .nonce = SLICE("nonce") };
	struct expand_context context = { .owner = &exchange, .variable = no_variable, .named = named };
	struct slice all = slice_make(data + 1, size - 1), rest = all, line = slice_cut(&rest, '\n');
	auth_begin(&exchange, &authenticator, &channel, NULL, &context);
	enum auth_outcome outcome = auth_start(&exchange, data[0] & 128 ? NULL : &line);
	while (outcome == AUTH_CHALLENGE && rest.len) {
		line = slice_cut(&rest, '\n');
		outcome = auth_step(&exchange, line);
	}
	ensure(outcome != AUTH_DONE || has_secret(all));
	auth_end(&exchange);
	arena_free(&arena);
	return 0;
}

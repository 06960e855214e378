/* SPDX-License-Identifier: ISC */
#include "role/tls_usable.h"

#include "tls/chain.h"
#include "tls/context.h"

/* Of the policy what decides about certificates. */
static bool usable_at(const struct conf *conf, const struct conf_listener *listener, STACK_OF(X509) *chain, struct arena *arena,
		      struct error *error)
{
	const struct conf_main *main = &conf->main;
	struct tls_policy policy;
	uint16_t port = listener->address.port;
	bool submission = listener->tls_on_connect || conf_ports_have(&main->submission_ports, port);
	return tls_policy_init_for_port(&policy, conf_constant(main->tls_profile), conf_constant(main->tls_min_version), port, submission, error) &&
	       tls_policy_set_ciphers(&policy, tls_ciphers_for_port(conf_constant(main->tls_require_ciphers), port), arena, error) &&
	       tls_context_takes(&policy, chain, error);
}

bool tls_usable(const struct conf *conf, const char *path, const struct tls_content *content, struct error *error)
{
	struct slice text = tls_content_map(content);
	_cleanup_chain_ STACK_OF(X509) *chain = chain_parse(text, path, error);
	struct arena arena;
	tls_content_unmap(text);
	bool good = chain != NULL;
	arena_init(&arena, 0);
	for (size_t i = 0; good && i < conf->listener_count; i++)
		good = usable_at(conf, &conf->listeners[i], chain, &arena, error);
	arena_free(&arena);
	return good;
}

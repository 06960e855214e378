/* SPDX-License-Identifier: ISC */
#include "role/tls_usable.h"

#include "base/fatal.h"
#include "base/files.h"
#include "role/tls_files.h"
#include "tls/chain.h"
#include "tls/context.h"

#include <stdlib.h>
#include <sys/stat.h>

static STACK_OF(X509) *read_chain(const char *path, int fd, struct error *error)
{
	struct stat st;
	STACK_OF(X509) *chain = NULL;
	if (fstat(fd, &st) < 0 || st.st_size > TLS_FILE_MAX) {
		error_set(error, ERROR_USAGE, "%s could not be read", path);
		return NULL;
	}
	char *text = xcalloc(1, (size_t)st.st_size + 1);
	ssize_t length = files_read_full(&files_real, fd, text, (size_t)st.st_size, 0);
	if (length < 0)
		error_set_errno(error, (int)-length, "reading %s", path);
	else
		chain = chain_parse(slice_make(text, (size_t)length), path, error);
	free(text);
	return chain;
}

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

bool tls_usable(const struct conf *conf, const char *path, int fd, struct error *error)
{
	_cleanup_chain_ STACK_OF(X509) *chain = read_chain(path, fd, error);
	struct arena arena;
	bool good = chain != NULL;
	arena_init(&arena, 0);
	for (size_t i = 0; good && i < conf->listener_count; i++)
		good = usable_at(conf, &conf->listeners[i], chain, &arena, error);
	arena_free(&arena);
	return good;
}

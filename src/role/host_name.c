/* SPDX-License-Identifier: ISC */
/*
 * The name of a client's host: looked up when it connects (host_lookup), or when somebody first wants it. A name is verified: it
 * leads back to the address (lookup/hosts.c).
 */
#include "role/session.h"

enum { NAMES_MAX = 16, NAMES_BYTES_MAX = 64 * 1024 };

#define NAME_TIME_MAX (30 * CLOCK_SECOND)

static void take_names(struct session_host *host, const struct expand_answer *answer)
{
	struct slice rest = answer->text;
	host->names = arena_array(&host->arena, NAMES_MAX, sizeof *host->names);
	while (rest.len && host->name_count < NAMES_MAX)
		host->names[host->name_count++] = slice_cut(&rest, '\0');
	host->name = host->names[0];
	host->dnssec = answer->secure;
}

static void log_failure(struct session *session, const struct expand_answer *answer)
{
	struct log *log = &session->front->role->log;
	const char *address = session->host_text.text;
	if (answer->name.len)
		log_line(log, LOG_KIND_MAIN, "%s does not match any IP address for %.*s", address, SLICE_ARG(answer->name));
	else
		log_line(log, LOG_KIND_MAIN, "no host name found for IP address %s", address);
}

bool session_host_answer(const struct session *session, const struct expand_request *request, struct arena *arena,
			 struct expand_answer *answer_r)
{
	const struct session_host *host = &session->host_names;
	struct buf text;
	if (request->service != EXPAND_SERVICE_HOST_NAMES || !host->name_count || !slice_equal(request->key, slice_of(session->host_text.text)))
		return false;
	bool good = true;
	buf_init(&text, NAMES_BYTES_MAX);
	for (size_t i = 0; i < host->name_count; i++)
		good = good && (i == 0 || buf_append_byte(&text, '\0')) && buf_append(&text, host->names[i]);
	*answer_r = (struct expand_answer){ .found = true, .tainted = true, .secure = host->dnssec, .text = arena_copy(arena, buf_slice(&text)) };
	buf_free(&text);
	return good;
}

const struct session_host *session_look_host_up(struct session *session)
{
	struct session_host *host = &session->host_names;
	struct expand_answer answer = { 0 };
	struct error error;
	/* A temporary error is tried again when the name is wanted again, as Exim does it. */
	if (host->name.len || host->failed)
		return host;
	struct expand_request request = {
		.service = EXPAND_SERVICE_HOST_NAMES,
		.key = slice_of(session->host_text.text),
		.deadline = clock_after(NAME_TIME_MAX),
	};
	switch (role_ask(&session->front->asked.lookup, &request, &host->arena, &answer, &error)) {
	case EXPAND_OK:
		host->deferred = false;
		host->failed = !answer.found || !answer.text.len;
		if (host->failed)
			log_failure(session, &answer);
		else
			take_names(host, &answer);
		break;
	default:
		if (!host->deferred)
			log_line(&session->front->role->log, LOG_KIND_MAIN, "host name of [%s] not known for now: %s",
				 session->host_text.text, error.text);
		host->deferred = true;
	}
	return host;
}

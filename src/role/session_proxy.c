/* SPDX-License-Identifier: ISC */
/*
 * Clients that come through a proxy: the header of the PROXY protocol (net/proxy.h), which hosts of hosts_proxy must send first, and
 * which nobody else may send.
 *
 *   listed   ── a client's addresses ──────▶ the session is that client's from here on
 *            ── LOCAL, UNKNOWN ────────────▶ the proxy is itself the client (health checks)
 *            ── nothing good in time ──────▶ in clear: the greeting, and 503 to all but QUIT; TLS on connect: closed
 *   unlisted ── a header ──────────────────▶ 554, or with TLS on connect nothing, and closed
 *   unknown  ──────────────────────────────▶ 421, or with TLS on connect nothing, and closed
 *
 * Unknown is a host as long as the lists cannot be evaluated: it must neither be trusted with a header, nor be served as the client
 * that it may only speak for.
 *
 * Only the octets of the header are read here, so what follows is the client's: early text is found by the synchronisation check as
 * without a proxy, and a ClientHello goes to TLS. While the header is awaited the connection counts as the proxy's, in the total
 * only; afterwards as the client's.
 */
#include "base/fatal.h"
#include "conf/log_selector.h"
#include "net/proxy.h"
#include "role/session.h"
#include "role/tls_log.h"

#include <errno.h>
#include <string.h>

/* The words of Exim's experimental-spec.txt on proxies. */
static const struct smtp_shut negotiation_failed = {
	503, "Command refused, required Proxy negotiation failed", SMTP_END_COMMANDS_WITHOUT_CLIENT,
};

/* Whether the host is in one of the lists. False with *error: none of them has it, and not all of them can tell. */
static bool find_proxy(struct session *session, bool *is_r, struct error *error)
{
	const struct conf_main *main = &session->conf->main;
	const struct list *lists[] = { main->hosts_proxy, main->proxy_required_hosts };
	bool known = true;
	*is_r = false;
	for (size_t i = 0; i < 2 && !*is_r; i++)
		if (!session_find_host(session, lists[i], is_r, error))
			known = error_context(error, "%s", conf_hosts_option(main, lists[i]));
	return known || *is_r;
}

static void turn_away(struct session *session, const struct error *error)
{
	session_log(session, LOG_KIND_REJECT, "connection temporarily refused: %s", error->text);
	smtp_server_turn_away(&session->smtp, 421, SLICE("Temporary local problem - please try later"));
	/* A proxy has sent its header already: left unread it would make a reset of our end, which can overtake the reply. */
	if (!session->tls_on_connect && session_flush(session))
		stream_linger(&session->stream, clock_after(SESSION_LINGER_TIMEOUT));
}

/* What a proxy tells of the client's TLS is told on, and no more: it was not seen here, and the way from the proxy may be clear. */
static void log_tls(struct session *session, const struct proxy_tls *tls, struct slice server_name)
{
	char fields[TLS_LOG_MAX], cipher[200];
	if (!tls->used || !(session->conf->main.log_items & LOG_ITEM_PROXY))
		return;
	snprintf(cipher, sizeof cipher, "%.*s:%.*s", SLICE_ARG(tls->version), SLICE_ARG(tls->cipher));
	const struct tls_log log = { slice_of(cipher), tls->name, server_name, tls->verified, false };
	tls_log_fields(&log, LOG_ITEM_TLS_CIPHER | LOG_ITEM_TLS_CERTIFICATE_VERIFIED | LOG_ITEM_TLS_PEERDN | LOG_ITEM_TLS_SNI, fields);
	session_log(session, LOG_KIND_MAIN, "TLS to the proxy [%s]:%s", net_address_text(&session->proxy.local).text, fields);
}

static void become_client(struct session *session, const struct proxy_header *header)
{
	struct net_address client = net_address_unmap(header->client);
	session->proxy.local = session->host;
	session->proxy.external = net_address_unmap(header->target);
	session_set_host(session, &client);
	log_tls(session, &header->tls, header->server_name);
}

/* The connection goes on without a client, as far as the proxy can be told why. False: it is over. */
static bool fail(struct session *session, const char *problem)
{
	session_log(session, LOG_KIND_MAIN, "required Proxy negotiation failed: %s", problem);
	session->proxy.failed = true;
	smtp_server_shut(&session->smtp, &negotiation_failed);
	return !session->tls_on_connect;
}

/* What reading came to instead of a header; `begun`: a part of it was there. */
static bool fail_to_read(struct session *session, ssize_t result, bool begun)
{
	if (result == -ETIMEDOUT)
		return fail(session, begun ? "only a part of the PROXY protocol header in time" : "no PROXY protocol header in time");
	if (result == -ECANCELED && !session->tls_on_connect) {
		smtp_server_farewell(&session->smtp, SMTP_FAREWELL_SHUTDOWN);
		session_flush(session);
	}
	if (result != -ECANCELED && begun && session->conf->main.log_items & LOG_ITEM_LOST_INCOMING_CONNECTION)
		session_log(session, LOG_KIND_MAIN, "unexpected disconnection while reading the PROXY protocol header");
	return false;
}

/* Until when the header must be there: in a rehearsal a person types it, who has the time of a command. */
static int64_t header_deadline(const struct session *session)
{
	const struct conf_main *main = &session->conf->main;
	return clock_after(session->front->watch ? main->smtp_receive_timeout : main->proxy_protocol_timeout);
}

/* False: the connection is over. */
static bool read_header(struct session *session)
{
	char bytes[PROXY_HEADER_MAX], problem[128];
	struct proxy_header header;
	size_t have = 0;
	int64_t deadline = header_deadline(session);
	enum proxy_result result;
	do {
		ensure(have < sizeof bytes);
		session_tell_waiting(session);
		ssize_t n = stream_peek(&session->stream, bytes + have, sizeof bytes - have, deadline);
		if (n <= 0)
			return fail_to_read(session, n, have > 0);
		result = proxy_parse(slice_make(bytes, have + (size_t)n), &header);
		size_t taken = result == PROXY_DONE ? header.length - have : (size_t)n;
		stream_take(&session->stream, taken);
		have += taken;
	} while (result == PROXY_MORE);
	switch (result) {
	case PROXY_DONE:
		if (header.relayed)
			become_client(session, &header);
		return true;
	case PROXY_NONE: return fail(session, "something else than a PROXY protocol header");
	default: break;
	}
	snprintf(problem, sizeof problem, "malformed PROXY protocol header: %s", header.problem);
	return fail(session, problem);
}

bool session_begin_proxy(struct session *session)
{
	struct error error;
	if (!find_proxy(session, &session->proxy.session, &error)) {
		turn_away(session, &error);
		return false;
	}
	if (!session->proxy.session)
		return true;
	/* smtp_accept_max_per_host is for the client, and not known yet. */
	if (!session_within_limits(session)) {
		if (!session->tls_on_connect)
			session_flush(session);
		return false;
	}
	bool go_on = read_header(session);
	counters_leave(session->front->counters, session->counted);
	return go_on;
}

bool session_unexpected_proxy(struct session *session, int64_t deadline)
{
	char start[16];
	if (session->proxy.session)
		return false;
	ssize_t n = stream_peek(&session->stream, start, sizeof start, deadline);
	if (n <= 0 || !proxy_begins(slice_make(start, (size_t)n)))
		return false;
	smtp_server_refuse_proxy(&session->smtp);
	return true;
}

struct expand_value session_proxy_variable(struct session *session, enum expand_variable variable)
{
	const struct session_proxy *proxy = &session->proxy;
	bool local = variable == EXPAND_PROXY_LOCAL_ADDRESS || variable == EXPAND_PROXY_LOCAL_PORT;
	bool port = variable == EXPAND_PROXY_LOCAL_PORT || variable == EXPAND_PROXY_EXTERNAL_PORT;
	const struct net_address *address = local ? &proxy->local : &proxy->external;
	struct arena *arena = &session->message.arena;
	struct slice text;
	if (variable == EXPAND_PROXY_SESSION)
		text = proxy->session ? SLICE("yes") : SLICE("no");
	else if (port)
		text = arena_printf(arena, "%u", address->port);
	else
		text = arena_copy(arena, slice_of(net_address_text(address).text));
	return (struct expand_value){ .text = text };
}

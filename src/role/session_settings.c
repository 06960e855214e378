/* SPDX-License-Identifier: ISC */
/*
 * What the configuration means for one connection: the host lists that decide what it is offered and what it must do, the options
 * that are expanded for it, and the limits on connections.
 */
#include "conf/log_selector.h"
#include "role/session.h"

static void trace_match(struct session *session, const struct list *list, const struct list_match *match)
{
	if (session->front->watch)
		session_trace(session, "host in %s? %s%s%.*s%s", conf_hosts_option(&session->conf->main, list), match->yes ? "yes" : "no",
			      match->item.len ? " (matched \"" : "", SLICE_ARG(slice_first(match->item, 300)),
			      match->item.len ? "\")" : match->yes ? "" : " (end of list)");
}

bool session_find_host(struct session *session, const struct list *list, bool *in_r, struct error *error)
{
	const struct session_host *names = &session->host_names;
	const struct list_subject subject = {
		.host = &session->host, .host_names = names->names, .host_name_count = names->name_count,
	};
	struct list_match match = { 0 };
	*in_r = false;
	if (!list)
		return true;
	if (list_match(list, &subject, &session->expansions, &session->message.arena, &match, error) != EXPAND_OK)
		return false;
	trace_match(session, list, &match);
	*in_r = match.yes;
	return true;
}

bool session_host_matches(struct session *session, const struct list *list, bool in_doubt)
{
	struct error error;
	bool in;
	if (session_find_host(session, list, &in, &error))
		return in;
	session_log(session, LOG_KIND_MAIN, "%s", error.text);
	return in_doubt;
}

bool session_host_in(struct session *session, const struct list *list)
{
	return session_host_matches(session, list, false);
}

/* By host or by port; in doubt it must. */
static bool has_to_use_tls(struct session *session)
{
	const struct conf_main *main = &session->conf->main;
	return conf_ports_have(&main->tls_require_ports, session->interface.port) || session_host_matches(session, main->tls_hosts, true);
}

bool session_is_submission(const struct session *session)
{
	return conf_ports_have(&session->conf->main.submission_ports, session->interface.port);
}

/*
 * Exim 3's manual, chapter 38.1: hosts that must use TLS always, those of tls_advertise_hosts when it is set, whether TLS can work or
 * not (STARTTLS tells them, with 454); when it is unset, everybody where there is a certificate.
 */
static bool offers_starttls(struct session *session, bool must_use_tls)
{
	const struct list *hosts = session->conf->main.tls_advertise_hosts;
	return must_use_tls || (hosts ? session_host_in(session, hosts) : front_tls_configured(session));
}

unsigned session_options(struct session *session)
{
	const struct conf_main *main = &session->conf->main;
	bool must_use_tls = has_to_use_tls(session);
	const struct {
		bool on;
		unsigned option;
	} options[] = {
		{ true, SMTP_OFFER_SIZE | SMTP_OFFER_HELP },
		{ main->accept_8bitmime, SMTP_OFFER_8BITMIME },
		{ session_host_in(session, main->pipelining_advertise_hosts), SMTP_OFFER_PIPELINING },
		{ session_host_in(session, main->chunking_advertise_hosts), SMTP_OFFER_CHUNKING },
		{ session_host_in(session, main->smtputf8_advertise_hosts), SMTP_OFFER_SMTPUTF8 },
		{ session_host_in(session, main->limits_advertise_hosts), SMTP_OFFER_LIMITS },
		{ offers_starttls(session, must_use_tls), SMTP_OFFER_STARTTLS },
		{ policy_has(session, ACL_POINT_ETRN), SMTP_OFFER_ETRN },
		{ policy_has(session, ACL_POINT_VRFY), SMTP_OFFER_VRFY },
		{ policy_has(session, ACL_POINT_EXPN), SMTP_OFFER_EXPN },
		{ must_use_tls, SMTP_REQUIRE_TLS },
		{ session_auth_needs_tls(session), SMTP_AUTH_NEEDS_TLS },
		{ session_is_submission(session), SMTP_REQUIRE_AUTH },
		{ !session_host_in(session, main->smtp_accept_max_nonmail_hosts), SMTP_FREE_NONMAIL },
	};
	unsigned all = 0;
	for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
		all |= options[i].on ? options[i].option : 0;
	return all;
}

static uint32_t limit_of(int64_t value, uint32_t none)
{
	return value <= 0 ? none : value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

bool session_expand_settings(struct session *session, struct error *error)
{
	const struct conf_main *main = &session->conf->main;
	const struct expand_context *context = &session->expansions;
	struct arena *arena = &session->message.arena;
	struct expand_value name;
	int64_t size = 0, recipients = 0;
	if (!conf_number_value(&main->smtp_accept_max_per_host, context, arena, &session->accept_max_per_host, error))
		return error_context(error, "smtp_accept_max_per_host");
	if (!conf_number_value(&main->message_size_limit, context, arena, &size, error))
		return error_context(error, "message_size_limit");
	if (!conf_number_value(&main->recipients_max, context, arena, &recipients, error))
		return error_context(error, "recipients_max");
	session->settings.message_size_limit = (uint64_t)size;
	session->settings.recipients_max = limit_of(recipients, 0);
	if (!main->smtp_active_hostname)
		return true;
	switch (expand_run(main->smtp_active_hostname, context, arena, &name, error)) {
	case EXPAND_OK: break;
	case EXPAND_FORCED_FAIL: return true;
	default: return error_context(error, "smtp_active_hostname");
	}
	if (name.text.len)
		session->settings.hostname = arena_copy(&session->host_names.arena, name.text);
	return true;
}

void session_set_settings(struct session *session)
{
	const struct conf_main *main = &session->conf->main;
	smtp_settings_init(&session->settings, main->primary_hostname);
	session->settings.recipients_max_reject = main->recipients_max_reject;
	session->settings.accept_max_per_connection = limit_of(main->smtp_accept_max_per_connection, 0);
	session->settings.accept_max_nonmail = (uint32_t)main->smtp_accept_max_nonmail;
	session->settings.max_synprot_errors = (uint32_t)main->smtp_max_synprot_errors;
	session->settings.max_unknown_commands = (uint32_t)main->smtp_max_unknown_commands;
	session->settings.remember_esmtp = main->tls_remember_esmtp;
	session->settings.enforce_sync = main->smtp_enforce_sync;
	rewriting_start(session);
}

bool session_within_limits(struct session *session)
{
	const struct conf_main *main = &session->conf->main;
	unsigned total = 0, same = 0;
	session->counted = counters_enter(session->front->counters, &session->host, &total, &same);
	session->queue.connections = total;
	bool too_many = main->smtp_accept_max && total > main->smtp_accept_max;
	bool too_many_from_host = session->accept_max_per_host && same > session->accept_max_per_host;
	if (!too_many && !too_many_from_host && session_guard_admits(session, total))
		return true;
	counters_leave(session->front->counters, session->counted);
	if (!too_many && !too_many_from_host)
		return false;
	smtp_server_farewell(&session->smtp, too_many ? SMTP_FAREWELL_TOO_MANY : SMTP_FAREWELL_TOO_MANY_FROM_HOST);
	if (main->log_items & LOG_ITEM_CONNECTION_REJECT)
		log_line(&session->front->role->log, LOG_KIND_MAIN, "Connection from [%s] refused: too many connections%s",
			 session->host_text.text, too_many ? "" : " from that IP address");
	return false;
}

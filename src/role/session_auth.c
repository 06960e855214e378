/* SPDX-License-Identifier: ISC */
/*
 * Authentication in a session: which mechanisms it is offered, the AUTH command, clients that are known by their certificate, and AUTH= of
 * MAIL. The mechanisms themselves are in src/auth. Log lines and replies are Exim's.
 */
#include "base/fatal.h"
#include "role/session.h"
#include "tls/binding.h"

#include <stdlib.h>
#include <string.h>

/* ---- What is remembered ---- */

static void replace(char **text, struct slice by)
{
	free(*text);
	*text = NULL;
	if (by.len == 0)
		return;
	*text = xcalloc(1, by.len + 1);
	memcpy(*text, by.data, by.len);
}

static void end_exchange(struct session *session)
{
	struct auth_exchange *exchange = session->auth.exchange;
	session->auth.exchange = NULL;
	if (exchange)
		auth_end(exchange);
	free(exchange);
}

void session_auth_forget(struct session *session)
{
	struct session_auth *auth = &session->auth;
	end_exchange(session);
	replace(&auth->id, (struct slice){ 0 });
	replace(&auth->fail_id, (struct slice){ 0 });
	auth->by = NULL;
	auth->failed = false;
	auth->offered = 0;
	session->acl.facts.authenticated = (struct slice){ 0 };
}

const char *session_auth_field(const struct session *session, char out[SESSION_AUTH_FIELD_MAX])
{
	struct slice name = session->acl.facts.authenticated;
	const char *id = session->auth.id;
	out[0] = '\0';
	if (name.len)
		snprintf(out, SESSION_AUTH_FIELD_MAX, " A=%.*s%s%s", SLICE_ARG(name), id ? ":" : "", id ? id : "");
	return out;
}

/* ---- What is offered ---- */

bool session_auth_needs_tls(struct session *session)
{
	const struct conf *conf = session->conf;
	const struct conf_main *main = &conf->main;
	if (!conf->authenticator_count)
		return false;
	/*
	 * A list in doubt lets nobody send a password in clear. auth_advertise_hosts has no say: what is not offered may be allowed all the
	 * same (control = allow_auth_unadvertised).
	 */
	return conf_ports_have(&main->auth_over_tls_ports, session->interface.port) ||
	       !session_host_in(session, main->auth_cleartext_hosts) || session_host_matches(session, main->auth_over_tls_hosts, true);
}

/* ask of what is expanded for authentication: answers are not kept, for questions may hold passwords. */
static enum expand_result ask(void *owner, const struct expand_request *request, struct arena *arena, struct expand_answer *answer_r,
			      struct error *error)
{
	struct session *session = owner;
	struct ask_world world = { &session->front->asked, session->conf };
	return ask_world(&world, request, arena, answer_r, error);
}

static struct expand_context context_of(const struct session *session)
{
	struct expand_context context = session->expansions;
	context.ask = ask;
	context.list_cache = NULL;
	return context;
}

/* Exim's manual, chapter 33 §1: a failure is logged unless it is forced or temporary. */
static bool condition_allows(struct session *session, const struct authenticator *authenticator, struct arena *arena)
{
	struct expand_context context = context_of(session);
	struct expand_value value;
	struct error error;
	if (!authenticator->server_advertise_condition)
		return true;
	switch (expand_run(authenticator->server_advertise_condition, &context, arena, &value, &error)) {
	case EXPAND_OK: return !auth_says_no(value.text);
	case EXPAND_FAIL:
		session_log(session, LOG_KIND_PANIC, "server_advertise_condition of authenticator %.*s: %s", SLICE_ARG(authenticator->name),
			    error.text);
		return false;
	default: return false;
	}
}

/* -PLUS mechanisms are of no use without TLS, whatever their condition says. */
static bool usable(struct session *session, const struct authenticator *authenticator)
{
	return !auth_is_implicit(authenticator) && (session->smtp.tls || !auth_binds_channel(authenticator));
}

void session_offer_auth(struct session *session, struct slice helo, struct arena *arena)
{
	const struct conf *conf = session->conf;
	struct slice names = { 0 };
	session->auth.offered = 0;
	if (session->acl.facts.authenticated.len || (session->smtp.options & SMTP_AUTH_NEEDS_TLS && !session->smtp.tls) || !conf->authenticator_count ||
	    !session_host_in(session, conf->main.auth_advertise_hosts))
		return;
	session->acl.facts.helo = helo; /* for $sender_helo_name */
	for (size_t i = 0; i < conf->authenticator_count; i++) {
		const struct authenticator *authenticator = &conf->authenticators[i];
		if (!usable(session, authenticator) || !condition_allows(session, authenticator, arena))
			continue;
		session->auth.offered |= UINT64_C(1) << i;
		names = arena_printf(arena, "%.*s%s%.*s", SLICE_ARG(names), names.len ? " " : "", SLICE_ARG(authenticator->public_name));
	}
	session->acl.facts.helo = (struct slice){ 0 };
	smtp_server_offer_auth(&session->smtp, names);
}

static const struct authenticator *find_authenticator(struct session *session, struct slice mechanism)
{
	const struct conf *conf = session->conf;
	bool unadvertised = session->smtp.options & SMTP_AUTH_UNADVERTISED;
	for (size_t i = 0; i < conf->authenticator_count; i++)
		if (slice_equal_nocase(conf->authenticators[i].public_name, mechanism) && usable(session, &conf->authenticators[i]) &&
		    (unadvertised || session->auth.offered & UINT64_C(1) << i))
			return &conf->authenticators[i];
	return NULL;
}

/* ---- An exchange ---- */

static bool binding(void *owner, enum auth_binding kind, struct arena *arena, struct slice *data_r)
{
	const struct session *session = owner;
	SSL *ssl = session->stream.ssl;
	return kind == AUTH_BINDING_EXPORTER ? tls_binding_exporter(ssl, arena, data_r) : tls_binding_server_end_point(ssl, arena, data_r);
}

static void show_debug(void *owner, struct slice text)
{
	session_trace(owner, "server_debug_print: %.*s", SLICE_ARG(text));
}

/* `counts`: a failure is a guess. */
static void begin(struct session *session, const struct authenticator *authenticator, bool counts)
{
	const struct conf *conf = session->conf;
	struct session_auth *auth = &session->auth;
	struct expand_context context = context_of(session);
	auth->channel = (struct auth_channel){
		.owner = session, .hostname = session->settings.hostname, .binding = session->stream.ssl ? binding : NULL,
		.debug = session->front->watch ? show_debug : NULL,
	};
	for (size_t i = 0; i < conf->authenticator_count; i++)
		auth->channel.plus_offered |= auth->offered & UINT64_C(1) << i && auth_binds_channel(&conf->authenticators[i]);
	auth->ask = (struct user_ask){
		.line = &session->front->asked.lookup, .client = session->host, .service = "smtp", .delay = conf->main.auth_fail_delay,
		.local = session->interface, .tls = session->smtp.tls, .certificate = session->tls.verified,
	};
	auth->world = user_ask_world(&auth->ask);
	auth->exchange = xcalloc(1, sizeof *auth->exchange);
	auth_begin(auth->exchange, authenticator, &auth->channel, counts ? &auth->world : NULL, &context);
}

/* As "plain authenticator failed for (helo) [192.0.2.1]: 535 Incorrect authentication data (set_id=user)". */
static void log_failure(struct session *session, const struct authenticator *authenticator, const char *text)
{
	struct log *log = &session->front->role->log;
	char peer[SESSION_PEER_MAX];
	session_peer(session, peer);
	for (int i = 0; i < 2; i++)
		log_line(log, i ? LOG_KIND_REJECT : LOG_KIND_MAIN, "%.*s authenticator failed for %s: %s", SLICE_ARG(authenticator->name),
			 peer + 2, text);
}

/* Ends the exchange with a refusal that is the protocol's. */
static void give_up(struct session *session, const struct authenticator *authenticator, unsigned code, const char *text)
{
	char line[100];
	snprintf(line, sizeof line, "%u %s", code, text);
	end_exchange(session);
	smtp_reply(&session->smtp, code, slice_of(text));
	log_failure(session, authenticator, line);
}

static void note_success(struct session *session)
{
	struct session_auth *auth = &session->auth;
	const struct auth_exchange *exchange = auth->exchange;
	auth->by = exchange->authenticator;
	auth->failed = false;
	replace(&auth->id, exchange->identity);
	replace(&auth->fail_id, (struct slice){ 0 });
	session->acl.facts.authenticated = auth->by->name;
}

static void note_failure(struct session *session, unsigned code, struct slice text)
{
	struct session_auth *auth = &session->auth;
	const struct auth_exchange *exchange = auth->exchange;
	struct slice id = exchange->identity;
	char line[2048];
	const char *problem = exchange->problem.text;
	if (exchange->problem.text[0] == '\0')
		problem = NULL;
	snprintf(line, sizeof line, "%u %.*s%s%.*s%s%s%s", code, SLICE_ARG(text), id.len ? " (set_id=" : "", SLICE_ARG(id), id.len ? ")" : "",
		 problem ? ": " : "", problem ? problem : "");
	replace(&auth->fail_id, id);
	log_failure(session, exchange->authenticator, line);
}

/* What has come of a step: the answer to the command or the response, and what is remembered. */
static void conclude(struct session *session, enum auth_outcome outcome)
{
	struct auth_exchange *exchange = session->auth.exchange;
	struct smtp_server *smtp = &session->smtp;
	struct slice text;
	switch (outcome) {
	case AUTH_CHALLENGE:
		smtp_auth_challenge(smtp, exchange->challenge);
		return;
	case AUTH_DONE:
		note_success(session);
		smtp_accept(smtp);
		break;
	case AUTH_FAILED:
		text = SLICE("Incorrect authentication data");
		note_failure(session, 535, text);
		smtp_reply(smtp, 535, text);
		break;
	case AUTH_DEFERRED:
		text = SLICE("Unable to authenticate at present");
		note_failure(session, 435, text);
		smtp_reply(smtp, 435, arena_printf(&exchange->arena, "%.*s%s%.*s", SLICE_ARG(text), exchange->client_text.len ? ": " : "",
						   SLICE_ARG(exchange->client_text)));
		break;
	case AUTH_UNEXPECTED:
		give_up(session, exchange->authenticator, 553, "Initial data not expected");
		return;
	}
	end_exchange(session);
}

static void on_command(struct session *session, const struct smtp_event *event)
{
	const struct authenticator *authenticator = find_authenticator(session, event->mechanism);
	if (!authenticator) {
		smtp_reply_counted(&session->smtp, 504, arena_printf(&session->message.arena, "%.*s authentication mechanism not supported",
								     SLICE_ARG(slice_first(event->mechanism, 64))));
		return;
	}
	if (event->failed) {
		give_up(session, authenticator, 501, "Invalid base64 data");
		return;
	}
	begin(session, authenticator, true);
	conclude(session, auth_start(session->auth.exchange, event->has_data ? &event->data : NULL));
}

bool session_on_auth(struct session *session, const struct smtp_event *event)
{
	struct policy policy;
	if (event->kind == SMTP_AUTH) {
		session->auth.failed = true; /* until it has succeeded */
		if (policy_run(&policy, session, ACL_POINT_AUTH, "AUTH", event->mechanism))
			on_command(session, event);
		else
			policy_answer(&policy, session);
		policy_end(&policy);
		return true;
	}
	const struct authenticator *authenticator = session->auth.exchange->authenticator;
	if (event->cancelled)
		give_up(session, authenticator, 501, "Authentication cancelled");
	else if (event->failed)
		give_up(session, authenticator, event->too_long ? 500 : 501,
			event->too_long ? "Authentication exchange line is too long" : "Invalid base64 data");
	else
		conclude(session, auth_step(session->auth.exchange, event->data));
	return true;
}

/* Exim's manual, chapter 42. A certificate that does not let its owner in is no failure: there is still AUTH. */
void session_auth_by_certificate(struct session *session)
{
	const struct conf *conf = session->conf;
	for (size_t i = 0; i < conf->authenticator_count && session->tls.verified; i++) {
		if (!auth_is_implicit(&conf->authenticators[i]))
			continue;
		begin(session, &conf->authenticators[i], false);
		if (auth_start(session->auth.exchange, NULL) == AUTH_DONE) {
			note_success(session);
			smtp_server_set_authenticated(&session->smtp);
		}
		end_exchange(session);
	}
}

void session_auth_pretend(struct session *session, struct slice name, struct slice id)
{
	const struct conf *conf = session->conf;
	session->acl.facts.authenticated = name;
	replace(&session->auth.id, id);
	for (size_t i = 0; i < conf->authenticator_count; i++)
		if (slice_equal(conf->authenticators[i].name, name))
			session->auth.by = &conf->authenticators[i];
	if (name.len)
		smtp_server_set_authenticated(&session->smtp);
}

/* ---- AUTH= of MAIL ---- */

static void ignore(struct session *session, struct slice text, const char *why, const char *id)
{
	char peer[SESSION_PEER_MAX];
	session->message.authenticated_sender = (struct slice){ 0 };
	log_line(&session->front->role->log, LOG_KIND_MAIN, "ignoring AUTH=%.*s from %s (%s%s%s%s)", SLICE_ARG(slice_first(text, 500)),
		 session_peer(session, peer), why, id ? ": authenticated ID=\"" : "", id ? id : "", id ? "\"" : "");
}

bool session_take_mail_auth(struct session *session, const struct smtp_mail_parameters *mail)
{
	struct session_auth *auth = &session->auth;
	struct incoming_message *message = &session->message;
	struct policy policy;
	bool temporary;
	if (!mail->auth.len)
		return true;
	message->authenticated_sender = arena_copy(&message->arena, mail->auth);
	policy_run(&policy, session, ACL_POINT_MAILAUTH, "MAIL AUTH", mail->auth_text);
	temporary = policy.outcome == ACL_DEFER || policy.outcome == ACL_ERROR;
	if (temporary)
		policy_answer(&policy, session);
	policy_end(&policy);
	if (temporary)
		return false;
	struct expand_context context = context_of(session);
	if (!policy.decided && !session->acl.facts.authenticated.len)
		ignore(session, mail->auth_text, "client not authenticated", NULL);
	else if (policy.outcome != ACL_ACCEPT)
		ignore(session, mail->auth_text, "rejected by ACL", NULL);
	else if (auth->by && !auth_mail_condition(auth->by, &context, &message->arena))
		ignore(session, mail->auth_text, "server_mail_auth_condition failed", auth->id);
	return true;
}

/* ---- Variables ---- */

bool session_auth_variable(const struct session *session, enum expand_variable variable, struct slice *text_r)
{
	const struct session_auth *auth = &session->auth;
	switch (variable) {
	case EXPAND_SENDER_HOST_AUTHENTICATED: *text_r = session->acl.facts.authenticated; return true;
	case EXPAND_AUTHENTICATED_ID: *text_r = slice_of(auth->id); return true;
	case EXPAND_AUTHENTICATED_FAIL_ID: *text_r = slice_of(auth->fail_id); return true;
	case EXPAND_AUTHENTICATION_FAILED: *text_r = auth->failed ? SLICE("1") : SLICE("0"); return true;
	case EXPAND_AUTHENTICATED_SENDER: *text_r = session->message.authenticated_sender; return true;
	default: return false;
	}
}

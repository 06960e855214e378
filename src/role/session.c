/* SPDX-License-Identifier: ISC */
/*
 * One SMTP connection: its life, its reading and writing for the protocol core (smtp/server.h), and TLS. What the mail transaction
 * comes to is decided in session_message.c.
 */
#include "base/fatal.h"
#include "conf/log_selector.h"
#include "mail/host.h"
#include "role/session.h"
#include "role/tls_log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { IN_MAX = 64 * 1024, OUT_MAX = 256 * 1024, MESSAGE_LINE_MAX = 1000 };

/* A TLS handshake that takes longer is given up. */
#define HANDSHAKE_TIMEOUT (60 * CLOCK_SECOND)

const char *session_peer(const struct session *session, char out[SESSION_PEER_MAX])
{
	memcpy(out, "H=", 2);
	struct slice helo = session->acl.facts.helo.len ? session->acl.facts.helo : session->smtp.helo;
	size_t len = 2 + mail_host_format(session->host_names.name, helo, slice_of(session->host_text.text), out + 2, SESSION_PEER_MAX - 2);
	if (session->smtp.ident.len)
		snprintf(out + len, SESSION_PEER_MAX - len, " U=%.*s", SLICE_ARG(session->smtp.ident));
	return out;
}

const char *session_log_id(const struct session *session)
{
	return session->message.begun ? session->message.id.text : "";
}

void session_log(struct session *session, enum log_kind kind, const char *format, ...)
{
	char text[2048], peer[SESSION_PEER_MAX];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	struct log *log = &session->front->role->log;
	const char *id = session_log_id(session), *space = *id ? " " : "";
	session_peer(session, peer);
	log_line(log, LOG_KIND_MAIN, "%s%s%s %s", id, space, peer, text);
	if (kind == LOG_KIND_REJECT)
		log_line(log, LOG_KIND_REJECT, "%s%s%s %s", id, space, peer, text);
}

void session_trace(struct session *session, const char *format, ...)
{
	const struct front_watch *watch = session->front->watch;
	char text[2048];
	va_list args;
	if (!watch)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	watch->trace(watch->owner, 0, slice_of(text));
}

const char *session_tls_fields(const struct session *session, char out[SESSION_TLS_FIELDS_MAX])
{
	char name[CERTIFICATE_NAME_MAX] = "";
	const SSL *ssl = session->stream.ssl;
	out[0] = '\0';
	if (!session->smtp.tls)
		return out;
	if (ssl)
		tls_facts_peer_name(ssl, name);
	const struct tls_log log = {
		slice_of(session->tls.cipher), slice_of(name), ssl ? tls_facts_server_name(ssl) : (struct slice){ 0 }, session->tls.verified,
		session->tls.resumption & TLS_RESUMPTION_USED,
	};
	return tls_log_fields(&log, session->conf->main.log_items, out);
}

enum expand_result session_ask(void *owner, const struct expand_request *request, struct arena *arena,
			       struct expand_answer *answer_r, struct error *error)
{
	struct session *session = owner;
	struct incoming_message *message = &session->message;
	if (session_host_answer(session, request, arena, answer_r))
		return EXPAND_OK;
	if (!message->lookups)
		message->lookups = lookup_cache_new(&message->arena);
	struct ask_world world = { &session->front->asked, session->conf };
	return lookup_cache_ask(message->lookups, ask_world, &world, request, arena, answer_r, error);
}

/* ---- Reading and writing ---- */

bool session_flush(struct session *session)
{
	int result = 0;
	if (buf_len(&session->out)) {
		result = stream_write(&session->stream, buf_slice(&session->out), clock_after(session->conf->main.smtp_receive_timeout));
		buf_free(&session->out);
		session->awaited.begun = false;
	}
	return result == 0;
}

/* How reading ended, by its result. */
static enum smtp_end end_of_reading(ssize_t result, bool in_data)
{
	switch (result) {
	case -ETIMEDOUT: return in_data ? SMTP_END_DATA_TIMEOUT : SMTP_END_COMMAND_TIMEOUT;
	case -ECANCELED: return SMTP_END_SHUTDOWN;
	case -EPROTO: return SMTP_END_TLS_FAILED;
	default: return SMTP_END_LOST;
	}
}

/* The end of a connection that the client or the clock brought about: says goodbye where that makes sense, and logs. */
static void lost_connection(struct session *session, ssize_t result)
{
	bool in_data = session->smtp.state == SMTP_STATE_DATA || session->smtp.state == SMTP_STATE_CHUNK;
	const char *what = in_data ? "message" : "command";
	struct log *log = &session->front->role->log;
	bool logged = session->conf->main.log_items & LOG_ITEM_LOST_INCOMING_CONNECTION;
	char peer[SESSION_PEER_MAX];
	session_peer(session, peer);
	const char *client = peer + 2; /* without "H=" */
	session->ended = end_of_reading(result, in_data);
	if (result == -ETIMEDOUT) {
		smtp_server_farewell(&session->smtp, in_data ? SMTP_FAREWELL_DATA_TIMEOUT : SMTP_FAREWELL_COMMAND_TIMEOUT);
		if (in_data)
			log_line(log, LOG_KIND_MAIN, "SMTP data timeout (message abandoned) on connection from %s F=<%.*s>", client,
				 SLICE_ARG(session->message.sender));
		else if (logged)
			log_line(log, LOG_KIND_MAIN, "SMTP command timeout on%s connection from %s", session->smtp.tls ? " TLS" : "", client);
	} else if (result == -ECANCELED) {
		smtp_server_farewell(&session->smtp, SMTP_FAREWELL_SHUTDOWN);
	} else if (result == -EPROTO) {
		log_line(log, LOG_KIND_MAIN, "TLS error on connection from %s while reading SMTP %s: %s", client, what,
			 session->stream.why ? session->stream.why : "unknown reason");
	} else if (logged && session->smtp.state != SMTP_STATE_START && session->smtp.state != SMTP_STATE_READY) {
		log_line(log, LOG_KIND_MAIN, "unexpected disconnection while reading SMTP %s from %s", what, client);
	}
	session_flush(session);
}

void session_tell_waiting(const struct session *session)
{
	const struct front_watch *watch = session->front->watch;
	if (watch)
		watch->waiting(watch->owner);
}

/*
 * The deadline is one for a line, however its octets come: it counts from our last words, or from the end of the line before. A
 * message has as much time as its client needs, line by line; of lines beyond RFC 5321 §4.5.3.1.6, or chunks, each such length counts
 * as one.
 */
static int64_t line_deadline(struct session *session)
{
	struct awaited_line *awaited = &session->awaited;
	if (!awaited->begun)
		*awaited = (struct awaited_line){ .begun = true, .deadline = clock_after(session->conf->main.smtp_receive_timeout) };
	return awaited->deadline;
}

static bool in_message(const struct session *session)
{
	return session->smtp.state == SMTP_STATE_DATA || session->smtp.state == SMTP_STATE_CHUNK || session->smtp.state == SMTP_STATE_SWALLOW;
}

static void note_line(struct session *session, struct slice bytes)
{
	struct awaited_line *awaited = &session->awaited;
	awaited->octets += bytes.len;
	if ((in_message(session) && awaited->octets >= MESSAGE_LINE_MAX) || slice_find(bytes, '\n') < bytes.len)
		awaited->begun = false;
}

/* Waits for more input; what is queued goes out first. False: the connection is over. */
static bool read_more(struct session *session)
{
	struct front *front = session->front;
	if (!session_flush(session))
		return false;
	if (buf_len(&session->in) == 0)
		buf_free(&session->in);
	session_tell_waiting(session);
	ssize_t n = stream_read(&session->stream, front->scratch, sizeof front->scratch, line_deadline(session));
	if (n <= 0) {
		lost_connection(session, n);
		return false;
	}
	note_line(session, slice_make(front->scratch, (size_t)n));
	bool fits = buf_append(&session->in, slice_make(front->scratch, (size_t)n));
	/* It may be a password. A message is not, and there may be much of it. */
	if (session->smtp.state != SMTP_STATE_DATA && session->smtp.state != SMTP_STATE_CHUNK)
		explicit_bzero(front->scratch, (size_t)n);
	if (!fits)
		fatal("the SMTP core left %zu bytes of input unread", buf_len(&session->in));
	return true;
}

/* ---- TLS ---- */

/* Exim's line about a client's certificate that is not good; also when the handshake failed for it. */
static void log_bad_certificate(struct session *session)
{
	const struct tls_verify_report *report = session->verify_report;
	const char *problem = session->stream.ssl ? tls_verify_problem(session->stream.ssl) : NULL;
	if (problem && report && report->bad)
		log_line(&session->front->role->log, LOG_KIND_MAIN, "[%s] SSL verify error: depth=%d error=%s cert=%s",
			 session->host_text.text, report->depth, problem, report->name);
}

static int64_t handshake_deadline(const struct session *session)
{
	int64_t timeout = session->conf->main.smtp_receive_timeout;
	return clock_after(timeout < HANDSHAKE_TIMEOUT ? timeout : HANDSHAKE_TIMEOUT);
}

/* `server`: a reference, which goes to the stream. */
static bool start_tls(struct session *session, struct tls_server *server, int64_t deadline)
{
	struct error error = { 0 };
	struct tls_choice choice;
	char peer[SESSION_PEER_MAX];
	front_tls_choice(session, &choice);
	bool done = stream_accept_tls(&session->stream, server, &choice, deadline, &error);
	tls_server_unref(server);
	if (!done) {
		log_bad_certificate(session);
		session_peer(session, peer);
		const char *offered = session->stream.offered;
		log_line(&session->front->role->log, LOG_KIND_MAIN, "TLS error on connection from %s %s%s%s%s", peer + 2, error.text,
			 offered ? " (" : "", offered ? offered : "", offered ? ")" : "");
		return false;
	}
	tls_facts_read(session->stream.ssl, &session->tls);
	log_bad_certificate(session);
	/* Nothing that a client has sent stays in OpenSSL's memory: it may be a password. */
	SSL_set_options(session->stream.ssl, SSL_OP_CLEANSE_PLAINTEXT);
	session_auth_forget(session);
	smtp_server_tls_started(&session->smtp, &session->in);
	session_auth_by_certificate(session);
	return true;
}

static bool on_starttls(struct session *session)
{
	struct error error = { 0 };
	struct tls_server *server = front_tls_server(session, &error);
	if (!server) {
		smtp_server_tls_broken(&session->smtp);
		session_log(session, LOG_KIND_MAIN, "STARTTLS refused: TLS is configured but cannot be used: %s", error.text);
		return true;
	}
	struct policy policy;
	bool go_on = policy_run(&policy, session, ACL_POINT_STARTTLS, "STARTTLS", (struct slice){ 0 });
	policy_answer(&policy, session);
	policy_end(&policy);
	if (!go_on || !session_flush(session)) {
		tls_server_unref(server);
		return !go_on;
	}
	bool started = start_tls(session, server, handshake_deadline(session));
	if (!started)
		session->ended = SMTP_END_TLS_FAILED;
	return started;
}

/* ---- Events ---- */

static bool on_helo(struct session *session, const struct smtp_event *event)
{
	struct policy policy;
	bool go_on = policy_run(&policy, session, ACL_POINT_HELO, "EHLO or HELO", event->argument);
	if (go_on && event->extended)
		session_offer_auth(session, event->argument, &policy.arena);
	policy_answer(&policy, session);
	policy_end(&policy);
	return true;
}

/* Exim's lines for errors of syntax and sequence: those that count are told one by one only where log_selector wants it. */
static void log_error(struct session *session, const struct smtp_event *event, struct slice command, const char *peer)
{
	struct log *log = &session->front->role->log;
	unsigned items = session->conf->main.log_items;
	struct slice argument = slice_trim(slice_from(command, slice_find(command, ' ')));
	switch (event->refusal) {
	case SMTP_REFUSAL_RULE:
		session_log(session, LOG_KIND_REJECT, "rejected \"%.*s\": %.*s", SLICE_ARG(command), SLICE_ARG(event->text));
		break;
	case SMTP_REFUSAL_HELO:
		log_line(log, LOG_KIND_MAIN, "rejected %.*s from %s: syntactically invalid argument(s): %.*s", 4, command.data, peer + 2,
			 SLICE_ARG(argument.len ? argument : SLICE("(no argument given)")));
		break;
	case SMTP_REFUSAL_NO_HELO:
		log_line(log, LOG_KIND_MAIN, "rejected MAIL from %s: no HELO/EHLO given", peer + 2);
		log_line(log, LOG_KIND_REJECT, "rejected MAIL from %s: no HELO/EHLO given", peer + 2);
		break;
	case SMTP_REFUSAL_SYNTAX:
		if (items & LOG_ITEM_SMTP_SYNTAX_ERROR)
			log_line(log, LOG_KIND_MAIN, "SMTP syntax error in \"%.*s\" %s %.*s", SLICE_ARG(command), peer, SLICE_ARG(event->text));
		break;
	case SMTP_REFUSAL_PROTOCOL:
		if (items & LOG_ITEM_SMTP_PROTOCOL_ERROR)
			log_line(log, LOG_KIND_MAIN, "SMTP protocol error in \"%.*s\" %s %.*s", SLICE_ARG(command), peer, SLICE_ARG(event->text));
		break;
	}
}

/* The connection is closed because of this command. */
static void log_drop(struct session *session, const struct smtp_event *event, struct slice command, const char *peer)
{
	struct log *log = &session->front->role->log;
	const char *why = smtp_end_text(event->end);
	char history[256];
	switch (event->end) {
	case SMTP_END_ERRORS:
		log_line(log, LOG_KIND_MAIN, "SMTP call from %s dropped: %s (last command was \"%.*s\",  C=%s)", peer + 2, why, SLICE_ARG(command),
			 smtp_server_history(&session->smtp, history, sizeof history));
		break;
	case SMTP_END_UNKNOWN_COMMANDS:
	case SMTP_END_NONMAIL_COMMANDS:
	case SMTP_END_COMMANDS_WITHOUT_TLS:
	case SMTP_END_COMMANDS_WITHOUT_CLIENT:
		log_line(log, LOG_KIND_MAIN, "SMTP call from %s dropped: %s (last was \"%.*s\")", peer + 2, why, SLICE_ARG(command));
		break;
	default: log_line(log, LOG_KIND_MAIN, "%s: rejected \"%.*s\" %s", why, SLICE_ARG(command), peer);
	}
}

static bool on_refused(struct session *session, const struct smtp_event *event)
{
	struct slice command = slice_trim(slice_first(event->argument, 256));
	char peer[SESSION_PEER_MAX];
	session_peer(session, peer);
	session->ended = event->end;
	if (session->ended)
		log_drop(session, event, command, peer);
	else
		log_error(session, event, command, peer);
	return true;
}

static bool on_close(struct session *session, const struct smtp_event *event)
{
	if (session_flush(session))
		stream_linger(&session->stream, clock_after(SESSION_LINGER_TIMEOUT));
	if (session->ended)
		return false;
	session->ended = event->end;
	const char *why = smtp_end_text(event->end);
	if (*why)
		session_log(session, LOG_KIND_MAIN, "SMTP connection dropped: %s", why);
	return false;
}

/* The answer stands already: the ACL is there for what it logs. */
static bool on_quit(struct session *session)
{
	struct policy policy;
	policy_run(&policy, session, ACL_POINT_QUIT, "QUIT", (struct slice){ 0 });
	policy_end(&policy);
	session_flush(session);
	return false;
}

/* The word of commands of which the core's event has only what follows it; NULL for the others, which have the whole line. */
static const char *verb_of(const struct smtp_event *event)
{
	switch (event->kind) {
	case SMTP_HELO: return event->extended ? "EHLO" : "HELO";
	case SMTP_VRFY: return "VRFY";
	case SMTP_EXPN: return "EXPN";
	case SMTP_ETRN: return "ETRN";
	default: return NULL;
	}
}

/* For $smtp_command and $smtp_command_argument. */
static void note_command(struct session *session, const struct smtp_event *event)
{
	struct slice line = event->argument;
	if (event->kind < SMTP_HELO || event->kind > SMTP_ETRN)
		line = (struct slice){ 0 };
	session->command = line;
	session->command_verb = verb_of(event);
	session->command_argument = session->command_verb ? line : slice_trim(slice_from(line, slice_find(line, ' ')));
}

/* False: the connection is over. */
static bool handle_event(struct session *session, const struct smtp_event *event)
{
	switch (event->kind) {
	case SMTP_NEED_INPUT: return read_more(session);
	case SMTP_FLUSH: return session_flush(session);
	case SMTP_STARTTLS: return on_starttls(session);
	case SMTP_MAIL: return session_on_mail(session, event);
	case SMTP_RCPT: return session_on_rcpt(session, event);
	case SMTP_DATA: return session_on_data(session, event);
	case SMTP_BODY: return session_on_body(session, event);
	case SMTP_BODY_END: return session_on_body_end(session, event);
	case SMTP_REFUSED: return on_refused(session, event);
	case SMTP_CLOSE: return on_close(session, event);
	case SMTP_RESET:
		session->receiving = false;
		submission_forget(session);
		return true;
	case SMTP_HELO: return on_helo(session, event);
	case SMTP_AUTH:
	case SMTP_AUTH_RESPONSE: return session_on_auth(session, event);
	case SMTP_VRFY:
	case SMTP_EXPN: return session_on_address_command(session, event);
	case SMTP_ETRN: return session_on_etrn(session, event);
	case SMTP_QUIT: return on_quit(session);
	}
	return false;
}

static bool on_event(struct session *session, const struct smtp_event *event)
{
	note_command(session, event);
	if (!session_guard_before(session, event))
		return true;
	bool goes_on = handle_event(session, event);
	session_guard_after(session, event);
	return goes_on;
}

/* ---- The session's life ---- */

/* `text`: what the connect ACL has instead of smtp_banner, or nothing. */
static void show_banner(struct session *session, struct slice text)
{
	struct expand_value banner = { .text = text };
	struct error error;
	if (text.len == 0 && expand_run(session->conf->main.smtp_banner, &session->expansions, &session->message.arena, &banner,
					&error) != EXPAND_OK)
		banner.text = session->conf->main.primary_hostname;
	/* Whoever could not say who the client is has been judged: what else it sent is answered, with a refusal. */
	bool early = !session->proxy.failed && session_guard_early(session);
	if (early && !session->stream.ssl && session_unexpected_proxy(session, clock_after(SESSION_LINGER_TIMEOUT)))
		return;
	if (early)
		session_guard_log_early(session);
	smtp_server_begin(&session->smtp, banner.text, early);
}

static bool begin_with_tls(struct session *session)
{
	struct error error = { 0 };
	int64_t deadline = handshake_deadline(session);
	if (session_unexpected_proxy(session, deadline)) {
		session_log(session, LOG_KIND_MAIN, "TLS on connect refused: %s", smtp_end_text(SMTP_END_PROXY_REFUSED));
		return false;
	}
	struct tls_server *server = front_tls_server(session, &error);
	if (server)
		return start_tls(session, server, deadline);
	session_log(session, LOG_KIND_MAIN, "TLS on connect refused: TLS is configured but cannot be used: %s", error.text);
	return false;
}

static bool greet(struct session *session)
{
	struct policy policy;
	if (session->tls_on_connect && !begin_with_tls(session))
		return false;
	if (policy_run(&policy, session, ACL_POINT_CONNECT, "connection in \"connect\" ACL", (struct slice){ 0 }))
		show_banner(session, policy.answer.text);
	else
		smtp_server_turn_away(&session->smtp, policy.answer.code, policy.answer.text);
	policy_end(&policy);
	arena_free(&session->message.arena);
	session->message.lookups = NULL;
	return true;
}

static void end_session(struct session *session)
{
	struct front *front = session->front;
	submission_forget(session);
	session_auth_forget(session);
	policy_free(session);
	smtp_server_free(&session->smtp);
	stream_close(&session->stream);
	arena_free(&session->host_names.arena);
	buf_free(&session->in);
	buf_free(&session->out);
	conf_unref(&session->conf);
	conf_unref(&session->tls_conf);
	if (session->previous)
		session->previous->next = session->next;
	else
		front->sessions = session->next;
	if (session->next)
		session->next->previous = session->previous;
	front->session_count--;
	wait_list_wake_all(&front->session_ended);
	free(session);
}

/* A client that went away during a delay. */
static bool has_gone(struct session *session)
{
	if (session->gone)
		lost_connection(session, 0);
	return session->gone;
}

static void serve(struct session *session)
{
	struct smtp_event event;
	struct error error;
	if (!session_expand_settings(session, &error)) {
		session_log(session, LOG_KIND_PANIC, "connection refused: %s", error.text);
		smtp_server_turn_away(&session->smtp, 421, SLICE("Temporary local problem - please try later"));
		if (!session->tls_on_connect)
			session_flush(session);
	} else if (session_within_limits(session)) {
		if (session_host_in(session, session->conf->main.host_lookup))
			session_look_host_up(session);
		/* Here and not before: its lists may have to ask, and only a task can wait. */
		smtp_server_set_options(&session->smtp, session_options(session));
		if (greet(session))
			while (!has_gone(session)) {
				smtp_server_next(&session->smtp, &session->in, &event);
				if (!on_event(session, &event))
					break;
			}
		session_notquit(session);
		counters_leave(session->front->counters, session->counted);
	} else if (!session->tls_on_connect) {
		session_flush(session);
	}
}

static void session_task(void *arg)
{
	struct session *session = arg;
	session->task = task_current();
	if (session_begin_proxy(session))
		serve(session);
	end_session(session);
}

void session_set_host(struct session *session, const struct net_address *host)
{
	session->host = *host;
	session->host_text = net_address_text(host);
	arena_free(&session->host_names.arena);
	session->host_names = (struct session_host){ .arena = session->host_names.arena };
	smtp_server_set_peer(&session->smtp, slice_of(session->host_text.text));
	session->acl.facts.host_address = slice_of(session->host_text.text);
}

struct session *session_start(struct front *front, int fd, const struct net_address *host, const struct front_listener *listener)
{
	struct session *session = xcalloc(1, sizeof *session);
	session->front = front;
	session->conf = conf_ref(front->role->conf);
	session->interface = listener->address;
	session->tls_on_connect = listener->tls_on_connect;
	tls_facts_init(&session->tls);
	arena_init(&session->host_names.arena, 0);
	stream_init(&session->stream, fd);
	buf_init(&session->in, IN_MAX);
	buf_init(&session->out, OUT_MAX);
	submission_init(&session->message);
	session_set_settings(session);
	smtp_server_init(&session->smtp, &session->settings, &session->out, (struct slice){ 0 }, 0);
	policy_init(session);
	session_set_host(session, host);
	session->next = front->sessions;
	if (session->next)
		session->next->previous = session;
	front->sessions = session;
	front->session_count++;
	session->task = task_spawn(front->role->loop, session_task, session, "session");
	return session;
}

void session_interrupt(struct session *session, bool hard)
{
	if (hard || !session->receiving)
		task_cancel(session->task);
}

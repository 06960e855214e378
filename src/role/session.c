/* SPDX-License-Identifier: ISC */
/*
 * One SMTP connection: reads and writes for the protocol core (smtp/server.h), starts TLS, decides by the configuration, and
 * logs as Exim does.
 */
#include "base/cleanup.h"
#include "base/fatal.h"
#include "conf/log_selector.h"
#include "mail/host.h"
#include "role/front.h"
#include "role/tls_log.h"
#include "tls/verify.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { IN_MAX = 64 * 1024, OUT_MAX = 256 * 1024 };

/* A TLS handshake that takes longer is given up. */
#define HANDSHAKE_TIMEOUT (60 * CLOCK_SECOND)

/* How long a client that we turn away may take to read why. */
#define LINGER_TIMEOUT (2 * CLOCK_SECOND)

const char *session_peer(const struct session *session, char *out, size_t size)
{
	memcpy(out, "H=", 2);
	mail_host_format(session->host_names.name, session->smtp.helo, slice_of(session->host_text.text), out + 2, size - 2);
	return out;
}

void session_log(struct session *session, enum log_kind kind, const char *format, ...)
{
	char text[2048], peer[640];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	struct log *log = &session->front->role->log;
	session_peer(session, peer, sizeof peer);
	log_line(log, LOG_KIND_MAIN, "%s %s", peer, text);
	if (kind == LOG_KIND_REJECT)
		log_line(log, LOG_KIND_REJECT, "%s %s", peer, text);
}

const char *session_tls_fields(const struct session *session, char out[SESSION_TLS_FIELDS_MAX])
{
	char name[CERTIFICATE_NAME_MAX] = "";
	const SSL *ssl = session->stream.ssl;
	out[0] = '\0';
	if (!ssl)
		return out;
	tls_facts_peer_name(ssl, name);
	const struct tls_log log = {
		slice_of(session->tls.cipher), slice_of(name), tls_facts_server_name(ssl), session->tls.verified,
		session->tls.resumption & TLS_RESUMPTION_USED,
	};
	return tls_log_fields(&log, session->conf->main.log_items, out);
}

/* ---- Policy ---- */

/* `in_doubt`: the answer when the list cannot be evaluated, which is logged. */
static bool host_matches(struct session *session, const struct list *list, bool in_doubt)
{
	const struct session_host *names = &session->host_names;
	const struct list_subject subject = {
		.host = &session->host, .host_names = names->names, .host_name_count = names->name_count,
	};
	struct list_match match;
	struct error error;
	if (!list)
		return false;
	if (list_match(list, &subject, &session->expansions, &session->message.arena, &match, &error) == EXPAND_OK)
		return match.yes;
	session_log(session, LOG_KIND_MAIN, "%s", error.text);
	return in_doubt;
}

bool session_host_in(struct session *session, const struct list *list)
{
	return host_matches(session, list, false);
}

/* By host or by port; in doubt it must. */
static bool must_use_tls(struct session *session)
{
	const struct conf_main *main = &session->conf->main;
	for (size_t i = 0; i < main->tls_require_ports.count; i++)
		if (main->tls_require_ports.items[i] == session->interface.port)
			return true;
	return host_matches(session, main->tls_hosts, true);
}

static unsigned session_options(struct session *session)
{
	const struct conf_main *main = &session->conf->main;
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
		{ front_tls_configured(session) && (!main->tls_advertise_hosts || session_host_in(session, main->tls_advertise_hosts) ||
					 must_use_tls(session)),
		  SMTP_OFFER_STARTTLS },
		{ must_use_tls(session), SMTP_REQUIRE_TLS },
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

static void set_settings(struct session *session)
{
	const struct conf_main *main = &session->conf->main;
	smtp_settings_init(&session->settings, main->primary_hostname);
	session->settings.message_size_limit = (uint64_t)main->message_size_limit;
	session->settings.recipients_max = limit_of(main->recipients_max, 0);
	session->settings.recipients_max_reject = main->recipients_max_reject;
	session->settings.accept_max_per_connection = limit_of(main->smtp_accept_max_per_connection, 0);
	session->settings.accept_max_nonmail = (uint32_t)main->smtp_accept_max_nonmail;
	session->settings.max_synprot_errors = (uint32_t)main->smtp_max_synprot_errors;
	session->settings.max_unknown_commands = (uint32_t)main->smtp_max_unknown_commands;
	session->settings.remember_esmtp = main->tls_remember_esmtp;
	session->settings.enforce_sync = main->smtp_enforce_sync;
	rewriting_start(session);
}

enum expand_result session_ask(void *owner, const struct expand_request *request, struct arena *arena,
			       struct expand_answer *answer_r, struct error *error)
{
	struct session *session = owner;
	struct incoming_message *message = &session->message;
	if (!message->lookups)
		message->lookups = lookup_cache_new(&message->arena);
	return lookup_cache_ask(message->lookups, role_ask, &session->front->lookup, request, arena, answer_r, error);
}

/* ---- Reading and writing ---- */

bool session_flush(struct session *session)
{
	int result = 0;
	if (buf_len(&session->out)) {
		result = stream_write(&session->stream, buf_slice(&session->out), clock_after(session->conf->main.smtp_receive_timeout));
		buf_free(&session->out);
	}
	return result == 0;
}

/* The end of a connection that the client or the clock brought about: says goodbye where that makes sense, and logs. */
static void lost_connection(struct session *session, ssize_t result)
{
	bool in_data = session->smtp.state == SMTP_STATE_DATA || session->smtp.state == SMTP_STATE_CHUNK;
	const char *what = in_data ? "message" : "command";
	struct log *log = &session->front->role->log;
	bool logged = session->conf->main.log_items & LOG_ITEM_LOST_INCOMING_CONNECTION;
	char peer[640];
	session_peer(session, peer, sizeof peer);
	const char *client = peer + 2; /* without "H=" */
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
		log_line(log, LOG_KIND_MAIN, "TLS error on connection from %s while reading SMTP %s", client, what);
	} else if (logged && session->smtp.state != SMTP_STATE_START && session->smtp.state != SMTP_STATE_READY) {
		log_line(log, LOG_KIND_MAIN, "unexpected disconnection while reading SMTP %s from %s", what, client);
	}
	session_flush(session);
}

/* Waits for more input; what is queued goes out first. False: the connection is over. */
static bool read_more(struct session *session)
{
	struct front *front = session->front;
	if (!session_flush(session))
		return false;
	if (buf_len(&session->in) == 0)
		buf_free(&session->in);
	ssize_t n = stream_read(&session->stream, front->scratch, sizeof front->scratch,
				clock_after(session->conf->main.smtp_receive_timeout));
	if (n <= 0) {
		lost_connection(session, n);
		return false;
	}
	if (!buf_append(&session->in, slice_make(front->scratch, (size_t)n)))
		fatal("the SMTP core left %zu bytes of input unread", buf_len(&session->in));
	return true;
}

/* ---- TLS ---- */

/* Exim's line about a client's certificate that is not good; also when the handshake failed for it. */
static void log_bad_certificate(struct session *session)
{
	char name[CERTIFICATE_NAME_MAX] = "";
	const char *problem = session->stream.ssl ? tls_verify_problem(session->stream.ssl) : NULL;
	if (!problem)
		return;
	tls_facts_peer_name(session->stream.ssl, name);
	log_line(&session->front->role->log, LOG_KIND_MAIN, "[%s] SSL verify error: error=%s%s%s", session->host_text.text, problem,
		 *name ? " cert=" : "", name);
}

/* `server`: a reference, which goes to the stream. */
static bool start_tls(struct session *session, struct tls_server *server)
{
	struct error error = { 0 };
	struct tls_choice choice;
	char peer[640];
	int64_t timeout = session->conf->main.smtp_receive_timeout < HANDSHAKE_TIMEOUT ? session->conf->main.smtp_receive_timeout
										       : HANDSHAKE_TIMEOUT;
	front_tls_choice(session, &choice);
	bool done = stream_accept_tls(&session->stream, server, &choice, clock_after(timeout), &error);
	tls_server_unref(server);
	if (!done) {
		log_bad_certificate(session);
		session_peer(session, peer, sizeof peer);
		log_line(&session->front->role->log, LOG_KIND_MAIN, "TLS error on connection from %s %s", peer + 2, error.text);
		return false;
	}
	tls_facts_read(session->stream.ssl, &session->tls);
	log_bad_certificate(session);
	smtp_server_tls_started(&session->smtp, &session->in);
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
	if (go_on && session_flush(session))
		return start_tls(session, server);
	tls_server_unref(server);
	return !go_on;
}

/* ---- Events ---- */

static struct slice format_address(struct session *session, const struct mail_address *address)
{
	struct mail_address qualified = *address;
	if (qualified.domain.len == 0 && qualified.local_part.len)
		qualified.domain = session->conf->main.qualify_recipient;
	return mail_address_format(&qualified, &session->message.arena);
}

static struct slice in_brackets(struct incoming_message *message, struct slice address)
{
	return arena_printf(&message->arena, "<%.*s>", SLICE_ARG(address));
}

static bool on_mail(struct session *session, const struct smtp_event *event)
{
	submission_forget(session);
	struct incoming_message *message = &session->message;
	message->sender = event->path.null ? (struct slice){ 0 } : format_address(session, &event->path.address);
	message->eight_bit_mime = event->mail.body == SMTP_BODY_8BITMIME;
	message->smtputf8 = event->mail.smtputf8;
	message->declared_size = event->mail.has_size ? (int64_t)event->mail.size : -1;
	struct policy policy;
	policy_set_sender(session, event->path.address.domain);
	bool go_on = policy_run(&policy, session, ACL_POINT_MAIL, "MAIL", in_brackets(message, message->sender));
	message->discard = policy.outcome == ACL_DISCARD;
	message->discarded_by = message->discard ? "MAIL" : NULL;
	policy_answer(&policy, session);
	policy_end(&policy);
	if (!go_on)
		submission_forget(session);
	return true;
}

static bool on_helo(struct session *session, const struct smtp_event *event)
{
	struct policy policy;
	policy_run(&policy, session, ACL_POINT_HELO, "EHLO or HELO", event->argument);
	policy_answer(&policy, session);
	policy_end(&policy);
	return true;
}

/* Local users are known to the queue. Copies of the answer live in the message's arena. */
static enum route_user_result find_user(void *owner, struct slice name, struct route_user *user_r, struct error *error)
{
	struct session *session = owner;
	struct front *front = session->front;
	int64_t deadline = clock_after(30 * CLOCK_SECOND);
	struct ipc_peer *queue = front_wait_peer(front, &front->queue, deadline);
	struct ipc_find_user question = { .name = name };
	struct ipc_reply reply = { 0 };
	struct ipc_user answer;
	enum route_user_result result = ROUTE_USER_DEFER;
	error_set(error, ERROR_TEMPORARY, "looking the local user up failed");
	if (queue && ipc_call(queue, find_user, FIND_USER, &question, NULL, 0, deadline, &reply) == 0 &&
	    reply.type == IPC_USER_MESSAGE && ipc_unpack_user(reply.body, &answer) && answer.kind <= ROUTE_USER_DEFER) {
		result = (enum route_user_result)answer.kind;
		user_r->name = arena_copy(&session->message.arena, name);
		user_r->home = arena_copy(&session->message.arena, answer.home);
		user_r->uid = (uid_t)answer.uid;
		user_r->gid = (gid_t)answer.gid;
	}
	ipc_reply_free(&reply);
	return result;
}

enum route_outcome session_route(struct session *session, const struct mail_address *address, struct arena *arena,
				 struct route_result *result_r)
{
	struct mail_address_parts parts = { address->local_part, address->domain };
	struct route_host host = { .owner = session, .lookup_user = find_user, .variables = &session->expansions };
	if (parts.domain.len == 0)
		parts.domain = session->conf->main.qualify_recipient;
	return route_address(session->conf->routers, &parts, &host, arena, result_r);
}

static void refuse_recipient(struct session *session, struct slice address, unsigned code, const char *text, const char *log_text)
{
	char tls[SESSION_TLS_FIELDS_MAX];
	session_tls_fields(session, tls);
	smtp_reply(&session->smtp, code, slice_of(text));
	session_log(session, LOG_KIND_REJECT, "%s%sF=<%.*s> %s RCPT <%.*s>: %s", *tls ? tls + 1 : "", *tls ? " " : "", SLICE_ARG(session->message.sender),
		    code < 500 ? "temporarily rejected" : "rejected", SLICE_ARG(address), log_text);
}

/* What is routed is the address that the message will have; the envelope is rewritten when its header is there. */
static bool rewrite_recipient(struct session *session, struct slice address, struct mail_address *target, struct error *error)
{
	struct slice rewritten;
	if (!session->conf->rewrite)
		return true;
	if (!rewriting_address(session, REWRITE_ENVELOPE_TO, address, &rewritten, error))
		return false;
	return slice_equal(rewritten, address) ||
	       mail_address_parse(rewritten, &session->message.arena, MAIL_PATH_UTF8 | MAIL_PATH_LONG_LOCAL, target, error);
}

/* What the routers say of a recipient that the ACL (if there is one) accepts. */
static bool routeable(struct session *session, const struct smtp_event *event, struct slice address)
{
	struct route_result route = { 0 };
	struct mail_address target = event->path.address;
	if (!rewrite_recipient(session, address, &target, &route.error)) {
		refuse_recipient(session, address, 451, "Temporary local problem - please try later", route.error.text);
		return false;
	}
	switch (session_route(session, &target, &session->message.arena, &route)) {
	case ROUTE_ACCEPTED: return true;
	case ROUTE_UNROUTEABLE:
	case ROUTE_NOT_LOCAL:
		refuse_recipient(session, address, 550, route_outcome_text(route.outcome), route_outcome_text(route.outcome));
		return false;
	case ROUTE_DEFERRED:
	case ROUTE_EXPANSION_FAILED: break;
	}
	refuse_recipient(session, address, 451, "Temporary local problem - please try later", route.error.text);
	return false;
}

static void take_recipient(struct session *session, const struct smtp_event *event, struct slice address, const struct policy *policy)
{
	struct incoming_message *message = &session->message;
	if (!routeable(session, event, address))
		return;
	if (submission_add_recipient(message, address))
		policy_answer(policy, session);
	else
		refuse_recipient(session, address, 452, "too many recipients", "too many recipients for one message");
}

static bool on_rcpt(struct session *session, const struct smtp_event *event)
{
	struct incoming_message *message = &session->message;
	struct slice address = format_address(session, &event->path.address);
	struct policy policy;
	message->rcpt_count++;
	if (message->discard) {
		smtp_accept(&session->smtp);
		return true;
	}
	policy_set_recipient(session, &event->path.address, address);
	if (policy_run(&policy, session, ACL_POINT_RCPT, "RCPT", in_brackets(message, address)) && policy.outcome == ACL_ACCEPT) {
		take_recipient(session, event, address, &policy);
	} else {
		if (policy.outcome == ACL_DISCARD)
			message->discarded_by = "RCPT";
		policy_answer(&policy, session);
	}
	acl_session_new_recipient(&session->acl);
	policy_end(&policy);
	return true;
}

static bool on_data(struct session *session, const struct smtp_event *event)
{
	struct policy policy = { .outcome = ACL_ACCEPT };
	/* With BDAT there is no moment before the data (Exim's manual, chapter 44 §6). */
	bool go_on = event->chunking || policy_run(&policy, session, ACL_POINT_PREDATA, "DATA", (struct slice){ 0 });
	if (go_on) {
		if (!session->message.begun)
			submission_begin(session);
		session->receiving = true;
	}
	policy_answer(&policy, session);
	policy_end(&policy);
	return true;
}

/*
 * The header section is here: edits of the ACLs so far are done to it, and the ACL for the message can see it. False: they cannot
 * be done.
 */
static bool header_complete(struct session *session, struct error *error)
{
	struct incoming_message *message = &session->message;
	message->header_done = true;
	if (!submission_release(session, error) || !submission_edit_header(session, error))
		return false;
	/* It may have been rewritten. */
	policy_set_sender(session, slice_from(message->sender, slice_find_last(message->sender, '@') + 1));
	if (policy_has(session, ACL_POINT_DATA))
		message->headers = arena_copy(&message->arena, submission_header(session));
	return true;
}

static bool on_body(struct session *session, const struct smtp_event *event)
{
	const struct conf_main *main = &session->conf->main;
	struct mail_header_scan *scan = &session->message.scan;
	struct error error = { 0 };
	if (!scan->ended) {
		mail_header_scan_feed(scan, event->argument);
		if (scan->received > (uint64_t)main->received_headers_max) {
			smtp_body_refuse(&session->smtp, 550, SLICE("Too many \"Received\" headers - suspected mail loop"),
					 "too many \"Received\" headers");
			return true;
		}
		if (main->header_maxsize > 0 && scan->size > (uint64_t)main->header_maxsize) {
			smtp_body_refuse(&session->smtp, 552, SLICE("Message header section too large"), "header section too large");
			return true;
		}
	}
	if (!session->message.recipient_count)
		return true;
	if (!submission_append(session, event->argument, &error)) {
		smtp_body_refuse(&session->smtp, 451, SLICE("Temporary local problem - please try later"), "the queue refused a part");
		session_log(session, LOG_KIND_MAIN, "message not taken: %s", error.text);
		return true;
	}
	if (scan->ended && !session->message.header_done && !header_complete(session, &error))
		smtp_body_refuse(&session->smtp, 552, SLICE("Message header section too large"), "header section too large for its ACLs");
	return true;
}

static void after_message(struct session *session)
{
	session->receiving = false;
	submission_forget(session);
	if (session->front->role->draining)
		smtp_server_farewell(&session->smtp, SMTP_FAREWELL_SHUTDOWN);
}

/* The message is safe, or thrown away as an ACL wanted. */
static void answer_taken(struct session *session)
{
	const struct incoming_message *message = &session->message;
	char text[64];
	snprintf(text, sizeof text, "OK id=%s", message->id.text);
	if (message->fake_code)
		smtp_body_done(&session->smtp, message->fake_code, message->fake_text);
	else
		smtp_body_done(&session->smtp, 250, slice_of(text));
}

/* The ACL for the whole message. False: it is answered, and is not taken. */
static bool may_have_message(struct session *session)
{
	struct incoming_message *message = &session->message;
	struct policy policy = { .outcome = ACL_ACCEPT };
	bool go_on = true;
	/* Where no recipient is left there is nothing to decide. */
	if (message->recipient_count)
		go_on = policy_run(&policy, session, ACL_POINT_DATA, "after DATA", (struct slice){ 0 });
	if (policy.outcome == ACL_DISCARD)
		message->discarded_by = "DATA";
	if (go_on && (policy.outcome == ACL_DISCARD || !message->recipient_count)) {
		log_line(&session->front->role->log, LOG_KIND_MAIN, "%s => blackhole (%s ACL discarded recipients)", message->id.text,
			 message->discarded_by);
		answer_taken(session);
		go_on = false;
	} else if (!go_on) {
		smtp_body_done(&session->smtp, policy.answer.code, policy.answer.text);
		if (policy.answer.drop)
			smtp_server_close(&session->smtp, POLICY_DROPPED);
	} else if (policy.answer.text.len && !message->fake_code) {
		message->fake_code = policy.answer.code;
		message->fake_text = arena_copy(&message->arena, policy.answer.text);
	}
	policy_end(&policy);
	return go_on;
}

static bool on_body_end(struct session *session, const struct smtp_event *event)
{
	struct incoming_message *message = &session->message;
	struct error error = { 0 };
	if (event->failed) {
		session_log(session, LOG_KIND_REJECT, "F=<%.*s> rejected after DATA: %s", SLICE_ARG(message->sender), event->reason);
		after_message(session);
		return true;
	}
	bool good = message->header_done || !message->recipient_count || header_complete(session, &error);
	if (good && !may_have_message(session)) {
		after_message(session);
		return true;
	}
	if (good && submission_edit_header(session, &error) && submission_commit(session, &error)) {
		answer_taken(session);
	} else {
		session_log(session, LOG_KIND_REJECT, "F=<%.*s> temporarily rejected after DATA: %s", SLICE_ARG(message->sender),
			    error.text);
		smtp_body_done(&session->smtp, error.kind == ERROR_PERMANENT ? 554 : 451,
			       SLICE("Temporary local problem - please try later"));
	}
	after_message(session);
	return true;
}

static bool on_refused(struct session *session, const struct smtp_event *event)
{
	/* Errors of syntax and sequence (50x) are not logged one by one, as with Exim's default log_selector. */
	if (event->code / 10 != 50 || event->code == 503)
		session_log(session, LOG_KIND_REJECT, "rejected \"%.*s\": %.*s", SLICE_ARG(slice_first(event->argument, 256)),
			    SLICE_ARG(event->text));
	return true;
}

static bool on_close(struct session *session, const struct smtp_event *event)
{
	if (session_flush(session))
		stream_linger(&session->stream, clock_after(LINGER_TIMEOUT));
	/* Empty: it is in the log already. */
	if (event->reason && *event->reason)
		session_log(session, LOG_KIND_MAIN, "SMTP connection dropped: %s", event->reason);
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

/* For $smtp_command: the core's event has the whole line, but for HELO and EHLO. */
static void note_command(struct session *session, const struct smtp_event *event)
{
	struct slice line = event->argument;
	if (event->kind < SMTP_HELO || event->kind > SMTP_EXPN)
		line = (struct slice){ 0 };
	bool helo = event->kind == SMTP_HELO;
	session->command = line;
	session->command_verb = !helo ? NULL : event->extended ? "EHLO" : "HELO";
	session->command_argument = helo ? line : slice_trim(slice_from(line, slice_find(line, ' ')));
}

/* False: the connection is over. */
static bool on_event(struct session *session, const struct smtp_event *event)
{
	note_command(session, event);
	switch (event->kind) {
	case SMTP_NEED_INPUT: return read_more(session);
	case SMTP_FLUSH: return session_flush(session);
	case SMTP_STARTTLS: return on_starttls(session);
	case SMTP_MAIL: return on_mail(session, event);
	case SMTP_RCPT: return on_rcpt(session, event);
	case SMTP_DATA: return on_data(session, event);
	case SMTP_BODY: return on_body(session, event);
	case SMTP_BODY_END: return on_body_end(session, event);
	case SMTP_REFUSED: return on_refused(session, event);
	case SMTP_CLOSE: return on_close(session, event);
	case SMTP_RESET:
		session->receiving = false;
		submission_forget(session);
		return true;
	case SMTP_HELO: return on_helo(session, event);
	case SMTP_VRFY:
	case SMTP_EXPN:
		smtp_accept(&session->smtp);
		return true;
	case SMTP_QUIT: return on_quit(session);
	}
	return false;
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
	bool waiting = session->settings.enforce_sync && stream_input_waiting(&session->stream);
	smtp_server_begin(&session->smtp, banner.text, waiting);
}

static bool begin_with_tls(struct session *session)
{
	struct error error = { 0 };
	struct tls_server *server = front_tls_server(session, &error);
	if (server)
		return start_tls(session, server);
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
		smtp_server_turn_away(&session->smtp, policy.answer.code, policy.answer.text, "");
	policy_end(&policy);
	arena_free(&session->message.arena);
	session->message.lookups = NULL;
	return true;
}

/* Counts the connection; false when a limit is reached, with the farewell queued. */
static bool within_limits(struct session *session)
{
	const struct conf_main *main = &session->conf->main;
	unsigned total = 0, same = 0;
	bool counted = counters_enter(session->front->counters, &session->host, &total, &same);
	bool too_many = !counted || (main->smtp_accept_max && total > main->smtp_accept_max);
	bool too_many_from_host = main->smtp_accept_max_per_host && same > main->smtp_accept_max_per_host;
	if (counted && (too_many || too_many_from_host))
		counters_leave(session->front->counters, &session->host);
	if (!too_many && !too_many_from_host)
		return true;
	smtp_server_farewell(&session->smtp, too_many ? SMTP_FAREWELL_TOO_MANY : SMTP_FAREWELL_TOO_MANY_FROM_HOST);
	if (main->log_items & LOG_ITEM_CONNECTION_REJECT)
		log_line(&session->front->role->log, LOG_KIND_MAIN, "Connection from [%s] refused: too many connections%s",
			 session->host_text.text, too_many ? "" : " from that IP address");
	return false;
}

static void end_session(struct session *session)
{
	struct front *front = session->front;
	submission_forget(session);
	policy_free(session);
	smtp_server_free(&session->smtp);
	stream_close(&session->stream);
	arena_free(&session->host_names.arena);
	buf_free(&session->in);
	buf_free(&session->out);
	conf_unref(&session->conf);
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

static void session_task(void *arg)
{
	struct session *session = arg;
	struct smtp_event event;
	session->task = task_current();
	if (within_limits(session)) {
		if (session_host_in(session, session->conf->main.host_lookup))
			session_look_host_up(session);
		/* Here and not before: its lists may have to ask, and only a task can wait. */
		smtp_server_set_options(&session->smtp, session_options(session));
		if (greet(session))
			while (smtp_server_next(&session->smtp, &session->in, &event), on_event(session, &event))
				continue;
		counters_leave(session->front->counters, &session->host);
	} else if (!session->tls_on_connect) {
		session_flush(session);
	}
	end_session(session);
}

void session_start(struct front *front, int fd, const struct net_address *host, const struct front_listener *listener)
{
	struct session *session = xcalloc(1, sizeof *session);
	session->front = front;
	session->conf = conf_ref(front->role->conf);
	session->host = *host;
	session->host_text = net_address_text(host);
	session->interface = listener->address;
	session->tls_on_connect = listener->tls_on_connect;
	tls_facts_init(&session->tls);
	arena_init(&session->host_names.arena, 0);
	stream_init(&session->stream, fd);
	buf_init(&session->in, IN_MAX);
	buf_init(&session->out, OUT_MAX);
	submission_init(&session->message);
	set_settings(session);
	smtp_server_init(&session->smtp, &session->settings, &session->out, slice_of(session->host_text.text), 0);
	policy_init(session);
	session->next = front->sessions;
	if (session->next)
		session->next->previous = session;
	front->sessions = session;
	front->session_count++;
	session->task = task_spawn(front->role->loop, session_task, session, "session");
}

void session_interrupt(struct session *session, bool hard)
{
	if (hard || !session->receiving)
		task_cancel(session->task);
}

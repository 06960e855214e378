/* SPDX-License-Identifier: ISC */
/*
 * The mail transaction of a session: what MAIL, RCPT, DATA and BDAT, the text and its end come to, by ACLs, routers and the queue.
 */
#include "role/session.h"

#include <stdio.h>

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

/* submission_sender_check of the envelope. False: MAIL is answered. */
static bool may_send(struct session *session)
{
	struct incoming_message *message = &session->message;
	struct error error = { 0 };
	bool may = true, known = message->sender.len == 0 || session_may_send_as(session, message->sender, &may, &error);
	if (known && may)
		return true;
	smtp_reply(&session->smtp, known ? 550 : 451, known ? SLICE("This sender address is not yours") :
		   SLICE("Temporary local problem - please try later"));
	session_log(session, LOG_KIND_REJECT, "rejected MAIL <%.*s>: %s", SLICE_ARG(message->sender),
		    known ? "not an address of the authenticated user" : error.text);
	submission_forget(session);
	return false;
}

bool session_on_mail(struct session *session, const struct smtp_event *event)
{
	submission_forget(session);
	session->expansions.list_cache = list_cache_new(&session->message.arena);
	struct incoming_message *message = &session->message;
	if (!session_take_mail_auth(session, &event->mail))
		return true;
	message->sender = event->path.null ? (struct slice){ 0 } : format_address(session, &event->path.address);
	message->eight_bit_mime = event->mail.body == SMTP_BODY_8BITMIME;
	message->smtputf8 = event->mail.smtputf8;
	message->declared_size = event->mail.has_size ? (int64_t)event->mail.size : -1;
	struct policy policy;
	policy_set_sender(session, event->path.address.domain);
	if (!may_send(session))
		return true;
	bool go_on = policy_run(&policy, session, ACL_POINT_MAIL, "MAIL", in_brackets(message, message->sender));
	message->discard = policy.outcome == ACL_DISCARD;
	message->discarded_by = message->discard ? "MAIL" : NULL;
	/* Where the ACL has not said how. */
	if (go_on && session_is_submission(session) && !message->submission.on)
		message->submission.on = true;
	policy_answer(&policy, session);
	policy_end(&policy);
	if (!go_on)
		submission_forget(session);
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

static void trace_route(struct session *session, const struct mail_address_parts *address, const struct route_result *result)
{
	bool taken = result->outcome == ROUTE_ACCEPTED;
	const char *why = *result->error.text ? result->error.text : route_outcome_text(result->outcome);
	session_trace(session, "routing %.*s@%.*s: %s%.*s%s%s", SLICE_ARG(address->local_part), SLICE_ARG(address->domain),
		      !result->router ? "no router" : taken ? "accepted by router " : "router ",
		      SLICE_ARG(result->router ? result->router->name : (struct slice){ 0 }), taken ? "" : ": ", taken ? "" : why);
}

enum route_outcome session_route(struct session *session, const struct mail_address *address, struct arena *arena,
				 struct route_result *result_r)
{
	struct mail_address_parts parts = { address->local_part, address->domain };
	struct route_host host = { .owner = session, .lookup_user = find_user, .variables = &session->expansions };
	if (parts.domain.len == 0)
		parts.domain = session->conf->main.qualify_recipient;
	route_address(session->conf->routers, &parts, &host, arena, result_r);
	if (session->front->watch)
		trace_route(session, &parts, result_r);
	return result_r->outcome;
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

/* Whether this list of domains names the domain; NULL names none, nor does what takes any domain. A list that cannot be evaluated is logged, and names none. */
static bool domain_in(struct session *session, const struct conf_named_list *named, struct slice domain)
{
	const struct list_subject subject = { .domain = domain };
	struct list_match match = { 0 };
	struct error error = { 0 };
	if (!named)
		return false;
	if (list_match(named->list, &subject, &session->expansions, &session->message.arena, &match, &error) == EXPAND_OK)
		return match.yes && !match.anything && !match.tainted;
	session_log(session, LOG_KIND_MAIN, "domain list %.*s: %s", SLICE_ARG(named->name), error.text);
	return false;
}

/* A domain is ours when a router names it, or one of the lists that Exim's users have by custom. */
static bool is_foreign(struct session *session, const struct route_result *route)
{
	return !route->domain_is_ours && !domain_in(session, session->conf->local_domains, route->domain) &&
	       !domain_in(session, session->conf->relay_to_domains, route->domain);
}

/* Exim 3's manual, chapter 38 §1: one that permits is enough. An ACL for RCPT decides in their place. */
static bool may_relay(struct session *session, const struct route_result *route, const struct policy *policy)
{
	const struct conf_main *main = &session->conf->main;
	if (policy->decided || !is_foreign(session, route))
		return true;
	return session_host_in(session, main->host_accept_relay) ||
	       (session->acl.facts.authenticated.len && session_host_in(session, main->host_auth_accept_relay)) ||
	       (session->smtp.tls && session_host_in(session, main->tls_host_accept_relay));
}

/* What the routers say of a recipient that the ACL (if there is one) accepts. */
static bool routeable(struct session *session, const struct smtp_event *event, struct slice address, const struct policy *policy)
{
	struct route_result route = { 0 };
	struct mail_address target = event->path.address;
	if (!rewrite_recipient(session, address, &target, &route.error)) {
		refuse_recipient(session, address, 451, "Temporary local problem - please try later", route.error.text);
		return false;
	}
	enum route_outcome outcome = session_route(session, &target, &session->message.arena, &route);
	if (outcome != ROUTE_DEFERRED && outcome != ROUTE_EXPANSION_FAILED && !may_relay(session, &route, policy)) {
		refuse_recipient(session, address, 550, "relay not permitted", "relay not permitted");
		return false;
	}
	switch (outcome) {
	case ROUTE_ACCEPTED: return true;
	case ROUTE_UNROUTEABLE:
	case ROUTE_NOT_LOCAL:
		refuse_recipient(session, address, 550, "Unrouteable address", "Unrouteable address");
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
	int64_t most = session->conf->main.null_sender_recipients_max;
	if (message->sender.len == 0 && most && message->recipient_count >= most) {
		refuse_recipient(session, address, 452, "too many recipients", "too many recipients for a message with the null sender");
		return;
	}
	if (!routeable(session, event, address, policy))
		return;
	if (submission_add_recipient(message, address))
		policy_answer(policy, session);
	else
		refuse_recipient(session, address, 452, "too many recipients", "too many recipients for one message");
}

bool session_on_rcpt(struct session *session, const struct smtp_event *event)
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

bool session_on_data(struct session *session, const struct smtp_event *event)
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

/* Why a message is not taken once its header section is known. */
struct refusal {
	unsigned code;
	const char *text, *reason; /* for the client, and for the log */
	struct error error;        /* more for the log; an empty text is nothing */
};

static bool refuse_header(struct refusal *refusal)
{
	bool large = refusal->error.kind == ERROR_PERMANENT;
	refusal->code = large ? 552 : 451;
	refusal->text = large ? "Message header section too large" : "Temporary local problem - please try later";
	refusal->reason = large ? "header section too large for what is to be done to it" : "its header section could not be dealt with";
	return false;
}

/*
 * The header section is whole, by the empty line behind it or by the end of the message: all that is decided by it is decided here, and
 * nowhere else. It is rewritten and put right, edits of the ACLs so far are done to it, and the ACL for the message can see it. False: the
 * message is refused.
 */
static bool header_complete(struct session *session, struct refusal *refusal)
{
	struct incoming_message *message = &session->message;
	message->header_done = true;
	if (!submission_take_header(session, &refusal->error) || !submission_edit_header(session, &refusal->error))
		return refuse_header(refusal);
	if (message->from_refused) {
		*refusal = (struct refusal){ 550, "The address in From is not yours", "From is not an address of the authenticated user",
					     .error = { 0 } };
		return false;
	}
	/* It may have been rewritten. */
	policy_set_sender(session, slice_from(message->sender, slice_find_last(message->sender, '@') + 1));
	if (policy_has(session, ACL_POINT_DATA) || policy_has(session, ACL_POINT_MIME))
		message->headers = arena_copy(&message->arena, submission_header(session));
	return true;
}

static void log_error(struct session *session, const struct error *error)
{
	if (*error->text)
		session_log(session, LOG_KIND_MAIN, "message not taken: %s", error->text);
}

bool session_on_body(struct session *session, const struct smtp_event *event)
{
	const struct conf_main *main = &session->conf->main;
	struct mail_header_scan *scan = &session->message.scan;
	struct refusal refusal = { 0 };
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
		smtp_body_refuse(&session->smtp, 451, SLICE("Temporary local problem - please try later"), "it could not be kept");
		log_error(session, &error);
	} else if (scan->ended && !session->message.header_done && !header_complete(session, &refusal)) {
		smtp_body_refuse(&session->smtp, refusal.code, slice_of(refusal.text), refusal.reason);
		log_error(session, &refusal.error);
	}
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
		go_on = session_check_mime(session, &policy);
	if (policy.outcome == ACL_DISCARD) {
		message->discarded_by = "MIME";
	} else if (go_on && message->recipient_count) {
		policy_end(&policy);
		go_on = policy_run(&policy, session, ACL_POINT_DATA, "after DATA", (struct slice){ 0 });
		if (policy.outcome == ACL_DISCARD)
			message->discarded_by = "DATA";
	}
	if (go_on && (policy.outcome == ACL_DISCARD || !message->recipient_count)) {
		log_line(&session->front->role->log, LOG_KIND_MAIN, "%s => blackhole (%s ACL discarded recipients)", message->id.text,
			 message->discarded_by);
		answer_taken(session);
		go_on = false;
	} else if (!go_on) {
		smtp_body_done(&session->smtp, policy.answer.code, policy.answer.text);
		if (policy.answer.drop)
			smtp_server_close(&session->smtp, SMTP_END_ACL);
	} else if (policy.answer.text.len && !message->fake_code) {
		message->fake_code = policy.answer.code;
		message->fake_text = arena_copy(&message->arena, policy.answer.text);
	}
	policy_end(&policy);
	return go_on;
}

bool session_on_body_end(struct session *session, const struct smtp_event *event)
{
	struct incoming_message *message = &session->message;
	struct refusal refusal = { 0 };
	struct error error = { 0 };
	if (event->failed) {
		session_log(session, LOG_KIND_REJECT, "F=<%.*s> rejected after DATA: %s", SLICE_ARG(message->sender), event->reason);
		after_message(session);
		return true;
	}
	/* A message may end with its header section. */
	if (!message->header_done && message->recipient_count && !header_complete(session, &refusal)) {
		session_log(session, LOG_KIND_REJECT, "F=<%.*s> %srejected after DATA: %s", SLICE_ARG(message->sender),
			    refusal.code < 500 ? "temporarily " : "", refusal.reason);
		log_error(session, &refusal.error);
		smtp_body_done(&session->smtp, refusal.code, slice_of(refusal.text));
		after_message(session);
		return true;
	}
	if (!may_have_message(session)) {
		after_message(session);
		return true;
	}
	if (submission_edit_header(session, &error) && submission_commit(session, &error)) {
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

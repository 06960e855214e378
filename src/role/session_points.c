/* SPDX-License-Identifier: ISC */
/*
 * The commands that only an ACL makes useful, VRFY, EXPN and ETRN, and the ACL for connections that end without QUIT (Exim's manual, chapter
 * 44 §2 and §11). Without their ACL the commands are refused with the standard text.
 */
#include "ipc/message.h"
#include "mail/address.h"
#include "role/session.h"

/* RFC 5321 §4.1.1.6: what VRFY and EXPN were given, with or without angle brackets. False: answered. */
static bool read_address(struct session *session, struct slice argument, struct mail_path *path_r)
{
	struct arena *arena = &session->message.arena;
	struct error error;
	unsigned flags = MAIL_PATH_BARE | MAIL_PATH_UNQUALIFIED | MAIL_PATH_UTF8;
	const struct mail_address *address = &path_r->address;
	if (!mail_path_parse(argument, arena, flags, path_r, &error)) {
		smtp_reply(&session->smtp, 501, slice_of(error.text));
	} else if (path_r->rest.len) {
		struct slice rest = path_r->rest, before = slice_trim(slice_first(argument, argument.len - rest.len));
		smtp_reply(&session->smtp, 501, arena_printf(arena, "malformed address: %.*s may not follow %.*s",
		                                             SLICE_ARG(slice_first(rest, 32)), SLICE_ARG(before)));
	} else if (!address->domain.len && !slice_equal_nocase(address->local_part, SLICE("postmaster"))) {
		smtp_reply(&session->smtp, 501, arena_printf(arena, "%.*s: recipient address must contain a domain", SLICE_ARG(argument)));
	} else {
		return true;
	}
	return false;
}

/* What the routers say of it, in Exim's words. */
static void answer_address(struct session *session, const struct mail_path *path, bool expand)
{
	static const struct {
		unsigned code;
		const char *before, *after;
	} answers[][2] = {
		{ { 250, "<", "> is deliverable" }, { 250, "<", ">" } },
		{ { 550, "<", "> Unrouteable address" }, { 553, "", " is undeliverable" } },
		{ { 451, "Cannot resolve <", "> at this time" }, { 451, "", " cannot be resolved at this time" } },
	};
	struct arena *arena = &session->message.arena;
	struct mail_address address = path->address;
	struct route_result route;
	size_t row = 2;
	switch (session_route(session, &path->address, arena, &route)) {
	case ROUTE_ACCEPTED: row = 0; break;
	case ROUTE_UNROUTEABLE:
	case ROUTE_NOT_LOCAL: row = 1; break;
	case ROUTE_DEFERRED:
	case ROUTE_EXPANSION_FAILED: break;
	}
	if (address.domain.len == 0)
		address.domain = session->conf->main.qualify_recipient;
	struct slice text = mail_address_format(&address, arena);
	smtp_reply(&session->smtp, answers[row][expand].code, arena_printf(arena, "%s%.*s%s", answers[row][expand].before, SLICE_ARG(text),
	                                                                   answers[row][expand].after));
}

bool session_on_address_command(struct session *session, const struct smtp_event *event)
{
	bool expand = event->kind == SMTP_EXPN;
	enum acl_point point = expand ? ACL_POINT_EXPN : ACL_POINT_VRFY;
	struct slice argument = slice_trim(event->argument);
	struct mail_path path;
	struct policy policy;
	if (!policy_has(session, point)) {
		smtp_accept(&session->smtp);
		return true;
	}
	if (!read_address(session, argument, &path))
		return true;
	const struct acl_facts before = session->acl.facts;
	policy_set_recipient(session, &path.address, argument);
	bool go_on = policy_run(&policy, session, point, expand ? "EXPN" : "VRFY", argument);
	session->acl.facts = before;
	if (!policy.decided)
		smtp_accept(&session->smtp);
	else if (go_on && !policy.answer.text.len)
		answer_address(session, &path, expand);
	else
		policy_answer(&policy, session);
	policy_end(&policy);
	return true;
}

bool session_on_etrn(struct session *session, const struct smtp_event *event)
{
	struct slice argument = slice_trim(event->argument);
	struct ipc_peer *queue = session->front->queue;
	struct policy policy;
	if (!policy_has(session, ACL_POINT_ETRN)) {
		smtp_accept(&session->smtp);
		return true;
	}
	session_log(session, LOG_KIND_MAIN, "ETRN %.*s received", SLICE_ARG(slice_first(argument, 256)));
	const struct session_queue before = session->queue;
	bool go_on = policy_run(&policy, session, ACL_POINT_ETRN, "ETRN", argument);
	/* The one that its ACL names. */
	struct ipc_run_queue message = { session_queue_name(session) };
	if (go_on && policy.decided && queue && argument.len)
		ipc_send(queue, run_queue, RUN_QUEUE, 0, &message, NULL, 0);
	session->queue = before;
	if (!policy.decided)
		smtp_accept(&session->smtp);
	else if (go_on && !argument.len)
		smtp_reply(&session->smtp, 501, SLICE("expected a name"));
	else if (go_on && !policy.answer.text.len)
		smtp_reply(&session->smtp, 250, SLICE("OK"));
	else
		policy_answer(&policy, session);
	policy_end(&policy);
	return true;
}

/* ---- The end without QUIT ---- */

void session_notquit(struct session *session)
{
	struct policy policy;
	if (!session->ended || !policy_has(session, ACL_POINT_NOTQUIT))
		return;
	policy_run(&policy, session, ACL_POINT_NOTQUIT, "NOTQUIT", (struct slice){ 0 });
	policy_end(&policy);
}

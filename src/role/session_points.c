/* SPDX-License-Identifier: ISC */
/*
 * The commands that only an ACL makes useful, VRFY, EXPN and ETRN, and the ACL for connections that end without QUIT (Exim's manual, chapter
 * 44 §2 and §11). Without their ACL the commands are refused with the standard text.
 */
#include "ipc/message.h"
#include "mail/address.h"
#include "role/session.h"

/* What VRFY and EXPN were given: with or without angle brackets. False: answered. */
static bool read_address(struct session *session, struct slice argument, struct mail_path *path_r)
{
	struct arena *arena = &session->message.arena;
	struct error error;
	bool bracketed = argument.len && argument.data[0] == '<';
	struct slice text = bracketed ? argument : arena_printf(arena, "<%.*s>", SLICE_ARG(argument));
	if (mail_path_parse(text, arena, MAIL_PATH_POSTMASTER | MAIL_PATH_UTF8, path_r, &error) && !path_r->null)
		return true;
	smtp_reply(&session->smtp, 501, arena_printf(arena, "malformed address: %s", error.text));
	return false;
}

/* What the routers say of it, in Exim's words. */
static void answer_address(struct session *session, const struct mail_path *path, bool expand)
{
	struct arena *arena = &session->message.arena;
	struct mail_address address = path->address;
	struct route_result route;
	if (address.domain.len == 0)
		address.domain = session->conf->main.qualify_recipient;
	struct slice text = mail_address_format(&address, arena);
	switch (session_route(session, &path->address, arena, &route)) {
	case ROUTE_ACCEPTED:
		smtp_reply(&session->smtp, 250, arena_printf(arena, expand ? "<%.*s>" : "<%.*s> is deliverable", SLICE_ARG(text)));
		return;
	case ROUTE_UNROUTEABLE:
	case ROUTE_NOT_LOCAL:
		smtp_reply(&session->smtp, 550, arena_printf(arena, "<%.*s> is not deliverable", SLICE_ARG(text)));
		return;
	case ROUTE_DEFERRED:
	case ROUTE_EXPANSION_FAILED: break;
	}
	smtp_reply(&session->smtp, 451, arena_printf(arena, "<%.*s> cannot be resolved at this time", SLICE_ARG(text)));
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
	if (go_on && policy.decided && queue)
		ipc_send(queue, run_queue, RUN_QUEUE, 0, &message, NULL, 0);
	session->queue = before;
	if (!policy.decided)
		smtp_accept(&session->smtp);
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

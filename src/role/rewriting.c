/* SPDX-License-Identifier: ISC */
/*
 * Rewrite rules in a session: at SMTP time on the arguments of MAIL and RCPT, for the routing of a recipient, and on the
 * envelope and the header section as soon as the latter is whole (Exim's manual, chapter 31 §2).
 */
#include "base/fatal.h"
#include "role/session.h"

#include <string.h>

static void note_problem(void *owner, const char *text)
{
	struct session *session = owner;
	log_line(&session->front->role->log, LOG_KIND_PANIC, "%s", text);
}

static enum expand_result failed(struct session *session, enum expand_result result, struct error *error)
{
	if (result == EXPAND_OK)
		return result;
	error_context(error, "rewriting");
	if (result == EXPAND_FAIL)
		note_problem(session, error->text);
	error->kind = ERROR_TEMPORARY;
	return result;
}

struct work {
	struct expand_context context;
	struct rewriter rewriter;
};

static void begin(struct work *work, struct session *session, struct arena *arena)
{
	work->context = session->expansions;
	work->rewriter = (struct rewriter){
		.rules = session->conf->rewrite, .context = &work->context, .subject = &session->rewriting,
		.qualify_recipient = session->conf->main.qualify_recipient, .utf8 = session->message.smtputf8, .arena = arena,
		.owner = session, .problem = note_problem,
	};
}

static bool at_smtp_time(void *owner, struct slice path, struct arena *arena, struct slice *path_r)
{
	struct session *session = owner;
	struct work work;
	struct error error = { 0 };
	begin(&work, session, arena);
	return failed(session, rewrite_smtp(&work.rewriter, path, path_r, &error), &error) == EXPAND_OK;
}

void rewriting_start(struct session *session)
{
	if (!(rewrite_targets(session->conf->rewrite) & REWRITE_SMTP))
		return;
	session->settings.rewrite = at_smtp_time;
	session->settings.rewrite_owner = session;
}

bool rewriting_address(struct session *session, unsigned target, struct slice address, struct slice *address_r,
		       struct error *error)
{
	struct work work;
	struct rewrite_result result;
	begin(&work, session, &session->message.arena);
	if (failed(session, rewrite_address(&work.rewriter, target, address, &result, error), error) != EXPAND_OK)
		return false;
	*address_r = result.address;
	return true;
}

bool rewriting_has_rules(const struct session *session)
{
	return rewrite_targets(session->conf->rewrite) & (REWRITE_ENVELOPE | REWRITE_HEADERS);
}

static bool rewrite_envelope(struct session *session, struct error *error)
{
	struct incoming_message *message = &session->message;
	struct slice address, rewritten, list = arena_copy(&message->arena, buf_slice(&message->recipients));
	if (!rewriting_address(session, REWRITE_ENVELOPE_FROM, message->sender, &message->sender, error))
		return false;
	buf_consume(&message->recipients, buf_len(&message->recipients));
	message->recipient_count = 0;
	while (ipc_list_next(&list, &address)) {
		if (!rewriting_address(session, REWRITE_ENVELOPE_TO, address, &rewritten, error))
			return false;
		if (!submission_add_recipient(message, rewritten))
			return error_set(error, ERROR_TEMPORARY, "with its recipients rewritten the envelope is too large");
	}
	return true;
}

bool rewriting_message(struct session *session, struct slice section, struct buf *out, struct error *error)
{
	struct work work;
	if (!rewrite_envelope(session, error))
		return false;
	begin(&work, session, &session->message.arena);
	return failed(session, rewrite_headers(&work.rewriter, section, out, error), error) == EXPAND_OK;
}

/* SPDX-License-Identifier: ISC */
/*
 * Submission (RFC 6409; Exim's manual, chapters 44 §22 and 48 §3): control = submission, what it puts right in a message, and whether
 * authenticated users may send as who they say they are (submission_sender_check).
 */
#include "mail/fixup.h"
#include "role/session.h"

void session_start_submission(struct session *session, const struct acl_submission *options)
{
	struct incoming_message *message = &session->message;
	message->submission = (struct submission_mode){ .on = true, .options = *options };
	message->submission.options.domain = arena_copy(&message->arena, options->domain);
	message->submission.options.name = mail_phrase(arena_copy(&message->arena, options->name), &message->arena);
}

/* Exim's $authenticated_id. */
static struct slice user_of(struct session *session)
{
	return session_variable(session, EXPAND_AUTHENTICATED_ID).text;
}

/* The address of who submits; empty when nobody is authenticated. An identity that is an address already needs no domain. */
static struct slice address_of_user(struct session *session)
{
	struct incoming_message *message = &session->message;
	const struct acl_submission *mode = &message->submission.options;
	struct slice user = user_of(session), domain = mode->has_domain ? mode->domain : session->conf->main.qualify_domain;
	if (user.len == 0 || domain.len == 0 || (!mode->has_domain && slice_find(user, '@') < user.len))
		return user;
	return arena_printf(&message->arena, "%.*s@%.*s", SLICE_ARG(mail_local_part_quote(user, &message->arena)), SLICE_ARG(domain));
}

bool session_may_send_as(struct session *session, struct slice address, bool *yes_r, struct error *error)
{
	const struct list *list = session->conf->main.submission_sender_check;
	struct incoming_message *message = &session->message;
	size_t at = slice_find_last(address, '@');
	const struct list_subject subject = { .local_part = slice_first(address, at), .domain = slice_from(address, at + 1) };
	struct list_match match = { 0 };
	*yes_r = true;
	if (!list || !session->acl.facts.authenticated.len)
		return true;
	switch (list_match(list, &subject, &session->expansions, &message->arena, &match, error)) {
	case EXPAND_OK: *yes_r = match.yes; return true;
	case EXPAND_FORCED_FAIL: return true; /* as if the option were unset */
	case EXPAND_FAIL:
	case EXPAND_DEFER: break;
	}
	error->kind = ERROR_TEMPORARY;
	return error_context(error, "submission_sender_check");
}

struct from_check {
	struct session *session;
	struct error *error;
	bool unknown; /* the list cannot tell now */
};

static bool may_be_from(void *owner, struct slice address)
{
	struct from_check *check = owner;
	bool may = false;
	check->unknown = !session_may_send_as(check->session, address, &may, check->error);
	return may && !check->unknown;
}

/* Every mailbox in From must be the user's as well, for that is what people see; of a message that was resent, those of Resent-From too. */
static bool check_from(struct session *session, struct slice section, struct error *error)
{
	struct incoming_message *message = &session->message;
	struct from_check check = { .session = session, .error = error };
	if (!session->conf->main.submission_sender_check || !session->acl.facts.authenticated.len)
		return true;
	message->from_refused = !mail_from_each(section, &message->arena, may_be_from, &check);
	return !check.unknown;
}

bool session_fix_up(struct session *session, struct buf *header, struct error *error)
{
	struct incoming_message *message = &session->message;
	struct mail_edit edit;
	struct buf fixed;
	char date[64];
	if (message->submission.on) {
		struct slice user = address_of_user(session);
		clock_format_rfc5322((time_t)(clock_wall_now() / CLOCK_SECOND), date, sizeof date);
		struct mail_fixup fixup = {
			.date = slice_of(date),
			.message_id = arena_printf(&message->arena, "E%s@%.*s", message->id.text, SLICE_ARG(session->conf->main.primary_hostname)),
			.envelope_sender = message->sender, .user = user, .name = message->submission.options.name,
			.sender_retain = message->submission.options.sender_retain,
		};
		mail_fixup(buf_slice(header), &fixup, &message->arena, &edit);
		buf_init(&fixed, header->max);
		if (!mail_header_edit(buf_slice(header), &edit, &fixed)) {
			buf_free(&fixed);
			return error_set(error, ERROR_PERMANENT, "the header is too large for what submission adds to it");
		}
		buf_free(header);
		*header = fixed;
		if (user.len && !fixup.sender_retain && message->sender.len)
			message->sender = arena_copy(&message->arena, user);
	}
	return check_from(session, buf_slice(header), error);
}

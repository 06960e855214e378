/* SPDX-License-Identifier: ISC */
/* ${acl and the condition acl in expressions of the command line: the ACLs of the configuration, on the session that was described. */
#include "cli/expand_session.h"

#include <stdio.h>

static void show_line(void *owner, unsigned targets, struct slice text)
{
	(void)owner;
	(void)targets;
	/* Control characters would act on the terminal. */
	fputs("LOG: ", stderr);
	for (size_t i = 0; i < text.len; i++)
		fputc(ascii_is_print(text.data[i]) || (unsigned char)text.data[i] >= 128 ? text.data[i] : '?', stderr);
	fputc('\n', stderr);
}

static bool show_control(void *owner, enum acl_control control, struct slice options, struct error *error)
{
	(void)owner;
	(void)control;
	(void)options;
	(void)error;
	return true;
}

static void show_submission(void *owner, const struct acl_submission *submission)
{
	(void)owner;
	(void)submission;
}

static bool show_header(void *owner, enum acl_header_place place, struct slice line, struct error *error)
{
	(void)owner;
	(void)place;
	(void)error;
	fprintf(stderr, "header line added: %.*s\n", SLICE_ARG(line));
	return true;
}

static bool show_removal(void *owner, struct slice name, struct error *error)
{
	(void)owner;
	(void)error;
	fprintf(stderr, "header lines removed: %.*s\n", SLICE_ARG(name));
	return true;
}

void expand_session_acls(struct expand_session *session, const struct expand_context *context)
{
	const struct expand_value *values = session->values;
	struct acl_facts facts = {
		.host_address = values[EXPAND_SENDER_HOST_ADDRESS].text, .helo = values[EXPAND_SENDER_HELO_NAME].text,
		.authenticated = values[EXPAND_SENDER_HOST_AUTHENTICATED].text, .sender = values[EXPAND_SENDER_ADDRESS].text,
		.sender_domain = values[EXPAND_SENDER_ADDRESS_DOMAIN].text, .has_sender = true,
	};
	session->acl = (struct acl_session){
		.owner = session, .context = context, .set = session->conf->acl_set,
		.connection = &session->acl_connection, .message = &session->acl_message, .facts = facts,
		.log = show_line, .control = show_control, .submission = show_submission, .add_header = show_header, .remove_header = show_removal,
	};
}

enum expand_result expand_session_acl(void *owner, struct expand_value name, const struct expand_value *arguments, size_t count,
				      struct arena *arena, struct expand_value *text_r, struct error *error)
{
	struct expand_session *session = owner;
	if (!session->acl.set) {
		error_set(error, ERROR_PERMANENT, "there are no ACLs");
		return EXPAND_FAIL;
	}
	return acl_expand(&session->acl, name, arguments, count, arena, text_r, error);
}

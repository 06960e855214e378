/* SPDX-License-Identifier: ISC */
/* The commands of a mail transaction: MAIL, RCPT, DATA and BDAT (RFC 5321 §3.3, RFC 3030). */
#include "smtp/internal.h"

bool smtp_ask(struct smtp_server *server, struct smtp_event *event, enum smtp_event_kind kind)
{
	event->kind = server->pending = kind;
	return true;
}

static struct slice for_log(struct slice text)
{
	return slice_first(text, 200);
}

static bool refuse_path(struct smtp_server *server, struct smtp_event *event, struct slice argument, const char *why)
{
	struct slice text = arena_printf(&server->scratch, "%.*s: %s", SLICE_ARG(for_log(argument)), why);
	return smtp_refuse_counted(server, event, 501, text);
}

bool smtp_pipelining(const struct smtp_server *server)
{
	return server->advertised & SMTP_OFFER_PIPELINING;
}

/* A refusal of MAIL, behind which refusals of RCPT and DATA are to be expected in a pipelined group. */
static bool mail_refused(struct smtp_server *server)
{
	server->last = SMTP_LAST_REFUSED_MAIL;
	return true;
}

/* The path at the start of the argument; quoted blanks belong to it. */
static size_t path_length(struct slice argument)
{
	bool quoted = false;
	size_t at = 0;
	for (; at < argument.len && (quoted || !ascii_is_space(argument.data[at])); at++) {
		if (argument.data[at] == '\\' && at + 1 < argument.len)
			at++;
		else if (argument.data[at] == '"')
			quoted = !quoted;
	}
	return at;
}

/* Gives the session the chance to change the path. False: not now. */
static bool rewrite_path(struct smtp_server *server, struct slice *argument)
{
	const struct smtp_settings *settings = server->settings;
	struct slice text = slice_trim(*argument), path = slice_first(text, path_length(text)), changed;
	if (!settings->rewrite || !text.len)
		return true;
	if (!settings->rewrite(settings->rewrite_owner, path, &server->scratch, &changed))
		return false;
	*argument = arena_printf(&server->scratch, "%.*s%.*s", SLICE_ARG(changed), SLICE_ARG(slice_from(text, path.len)));
	return true;
}

static bool refuse_for_now(struct smtp_server *server, struct smtp_event *event)
{
	return smtp_refuse(server, event, 451, SLICE("Temporary local problem - please try later"));
}

static bool mail_parse(struct smtp_server *server, struct slice argument, struct smtp_event *event)
{
	unsigned flags = MAIL_PATH_NULL | MAIL_PATH_BARE | MAIL_PATH_SENDER, code;
	struct error error;
	struct slice text;
	if (server->advertised & SMTP_OFFER_SMTPUTF8)
		flags |= MAIL_PATH_UTF8;
	if (server->settings->long_local_parts)
		flags |= MAIL_PATH_LONG_LOCAL;
	if (!rewrite_path(server, &argument))
		return refuse_for_now(server, event);
	if (!mail_path_parse(argument, &server->scratch, flags, &event->path, &error))
		return refuse_path(server, event, argument, error.text);
	if (!smtp_parse_mail_parameters(server, event->path.rest, &event->mail, &code, &text))
		return smtp_refuse_counted(server, event, code, text);
	/* RFC 6531 §3.4 */
	if (event->path.address.utf8 && !event->mail.smtputf8)
		return refuse_path(server, event, argument, "a non-ASCII address needs SMTPUTF8");
	uint64_t limit = server->settings->message_size_limit;
	if (limit && event->mail.has_size && event->mail.size > limit)
		return smtp_refuse(server, event, 552, SLICE("Message size exceeds maximum permitted"));
	return false;
}

static bool refuse_without_helo(struct smtp_server *server, struct smtp_event *event)
{
	smtp_refuse(server, event, 503, SLICE("HELO or EHLO required"));
	event->refusal = SMTP_REFUSAL_NO_HELO;
	return mail_refused(server);
}

bool smtp_handle_mail(struct smtp_server *server, struct slice argument, struct smtp_event *event)
{
	uint32_t most = server->settings->accept_max_per_connection;
	if (server->options & SMTP_REQUIRE_TLS && !server->tls) {
		smtp_refuse(server, event, 503, SLICE("Use of TLS required"));
		return mail_refused(server);
	}
	if (server->state == SMTP_STATE_START)
		return refuse_without_helo(server, event);
	if (server->options & SMTP_REQUIRE_AUTH && !server->authenticated) {
		smtp_refuse(server, event, 530, SLICE("Authentication required"));
		return mail_refused(server);
	}
	if (argument.len == 0)
		return smtp_refuse_counted(server, event, 501, SLICE("MAIL must have an address operand")) && mail_refused(server);
	if (most && server->mails >= most)
		return smtp_refuse_counted(server, event, 421, SLICE("too many messages in this connection")) && mail_refused(server);
	server->mails++;
	if (mail_parse(server, argument, event))
		return mail_refused(server);
	server->smtputf8 = event->mail.smtputf8;
	return smtp_ask(server, event, SMTP_MAIL);
}

bool smtp_mail_misplaced(struct smtp_server *server, struct slice argument, struct smtp_event *event)
{
	(void)argument;
	return smtp_refuse_counted(server, event, 503, SLICE("sender already given"));
}

/* True: refused, the event says how. */
static bool rcpt_parse(struct smtp_server *server, struct slice argument, struct smtp_event *event)
{
	const struct smtp_settings *settings = server->settings;
	unsigned flags = MAIL_PATH_POSTMASTER | MAIL_PATH_BARE, code;
	struct error error;
	struct slice text;
	if (argument.len == 0)
		return smtp_refuse_counted(server, event, 501, SLICE("RCPT must have an address operand"));
	flags |= server->smtputf8 ? MAIL_PATH_UTF8 : 0;
	flags |= settings->long_local_parts ? MAIL_PATH_LONG_LOCAL : 0;
	if (!rewrite_path(server, &argument))
		return refuse_for_now(server, event);
	if (!mail_path_parse(argument, &server->scratch, flags, &event->path, &error))
		return refuse_path(server, event, argument, error.text);
	if (!smtp_parse_rcpt_parameters(server, event->path.rest, &code, &text))
		return smtp_refuse_counted(server, event, code, text);
	if (settings->recipients_max && server->recipients >= settings->recipients_max) {
		server->too_many_recipients = true;
		return smtp_refuse(server, event, settings->recipients_max_reject ? 552 : 452, SLICE("too many recipients"));
	}
	return false;
}

bool smtp_handle_rcpt(struct smtp_server *server, struct slice argument, struct smtp_event *event)
{
	server->last = SMTP_LAST_RCPT;
	if (!rcpt_parse(server, argument, event))
		return smtp_ask(server, event, SMTP_RCPT);
	smtp_note_rcpt_error(server, event->code, event->text);
	return true;
}

bool smtp_rcpt_misplaced(struct smtp_server *server, struct slice argument, struct smtp_event *event)
{
	(void)argument;
	/* RFC 2920 §3.1: the group was sent before the refusal of MAIL was known. */
	if (smtp_pipelining(server) && server->last == SMTP_LAST_REFUSED_MAIL)
		return smtp_refuse(server, event, 503, SLICE("sender not yet given"));
	return smtp_refuse_counted(server, event, 503, SLICE("sender not yet given"));
}

/* DATA or BDAT without an accepted recipient. */
static bool no_recipients(struct smtp_server *server, struct smtp_event *event, const char *command)
{
	bool expected = smtp_pipelining(server) && server->last != SMTP_LAST_OTHER;
	struct slice text = arena_printf(&server->scratch, "valid RCPT command must precede %s", command);
	if (server->rcpt_error && !server->rcpt_errors_differ)
		text = arena_printf(&server->scratch, "All RCPT commands were rejected with this error:\n%s\n%.*s", server->rcpt_error,
		                    SLICE_ARG(text));
	return expected ? smtp_refuse(server, event, 503, text) : smtp_refuse_counted(server, event, 503, text);
}

bool smtp_handle_data(struct smtp_server *server, struct slice argument, struct smtp_event *event)
{
	(void)argument;
	if (server->too_many_recipients && server->settings->recipients_max_reject)
		return smtp_refuse(server, event, 554, SLICE("Too many recipients"));
	smtp_begin_body(server);
	server->pending_chunked = false;
	return smtp_ask(server, event, SMTP_DATA);
}

bool smtp_data_misplaced(struct smtp_server *server, struct slice argument, struct smtp_event *event)
{
	(void)argument;
	return no_recipients(server, event, "DATA");
}

/* "BDAT size [LAST]" (RFC 3030 §2). What follows such a line is no command, so that a line not understood ends it all. */
static bool bdat_parse(struct smtp_server *server, struct slice argument, struct smtp_event *event)
{
	struct slice rest = argument, size = slice_cut(&rest, ' ');
	rest = slice_trim(rest);
	if (!(server->advertised & SMTP_OFFER_CHUNKING))
		return smtp_refuse_closing(server, event, 503, SLICE("BDAT command used when CHUNKING not advertised"),
		                           SMTP_END_BDAT_UNADVERTISED);
	if (argument.len == 0 || !ascii_is_digit(argument.data[0]))
		return smtp_refuse_closing(server, event, 501, SLICE("missing size for BDAT command"), SMTP_END_BDAT_MALFORMED);
	if (!slice_parse_u64(size, INT64_MAX, &server->chunk_size) || (rest.len && !slice_equal_nocase(rest, SLICE("LAST"))))
		return smtp_refuse_closing(server, event, 501, SLICE("malformed BDAT command"), SMTP_END_BDAT_MALFORMED);
	server->chunk_last = rest.len > 0;
	server->chunk_left = server->chunk_size;
	if (server->chunk_size == 0 && !server->chunk_last)
		return smtp_refuse_counted(server, event, 504, SLICE("zero size for BDAT command"));
	return false;
}

/* The command is refused already; its octets are still to come (RFC 3030 §2: they are accepted and thrown away). */
static bool swallow_chunk(struct smtp_server *server, enum smtp_state next)
{
	server->swallow_next = next;
	server->state = SMTP_STATE_SWALLOW;
	return true;
}

static bool too_large(const struct smtp_server *server)
{
	uint64_t limit = server->settings->message_size_limit;
	return limit && (server->chunk_size > limit || server->body_size > limit - server->chunk_size);
}

bool smtp_handle_bdat(struct smtp_server *server, struct slice argument, struct smtp_event *event)
{
	bool first = server->state == SMTP_STATE_RCPT;
	if (first)
		smtp_begin_body(server);
	if (bdat_parse(server, argument, event))
		return true;
	if (first && server->too_many_recipients && server->settings->recipients_max_reject) {
		smtp_refuse(server, event, 554, SLICE("Too many recipients"));
		return swallow_chunk(server, server->chunk_last ? SMTP_STATE_RCPT : SMTP_STATE_CHUNKS_FAILED);
	}
	if (too_large(server))
		smtp_fail_body(server, 552, SLICE("Message size exceeds maximum permitted"), "message too big", SMTP_END_NONE);
	if (!first || server->failure_code) {
		server->state = SMTP_STATE_CHUNK;
		return false;
	}
	server->pending_chunked = event->chunking = true;
	return smtp_ask(server, event, SMTP_DATA);
}

bool smtp_bdat_misplaced(struct smtp_server *server, struct slice argument, struct smtp_event *event)
{
	enum smtp_state state = server->state, next = state;
	if (bdat_parse(server, argument, event))
		return true;
	if (state == SMTP_STATE_CHUNKS_FAILED)
		smtp_refuse(server, event, 503, SLICE("only RSET accepted now"));
	else
		no_recipients(server, event, "BDAT");
	if (state == SMTP_STATE_CHUNKS_FAILED && server->chunk_last) {
		server->reset_due = true;
		next = SMTP_STATE_READY;
	}
	return swallow_chunk(server, next);
}

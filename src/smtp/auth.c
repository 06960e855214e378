/* SPDX-License-Identifier: ISC */
/*
 * The AUTH command and the exchange behind it (RFC 4954 §4), without any mechanism: lines, base64, states. Lines that may hold a secret
 * are overwritten in the input buffer as soon as they are read, and with the scratch memory at the next call.
 */
#include "smtp/internal.h"

#include "base/fatal.h"
#include "mail/base64.h"

#include <string.h>

/* RFC 4648 §4, without anything between the digits. */
static bool decode(struct smtp_server *server, struct slice text, struct slice *bytes_r)
{
	for (size_t i = 0; i < text.len; i++)
		if (ascii_is_space(text.data[i]))
			return false;
	return mail_base64_decode(text, &server->scratch, bytes_r);
}

static bool mechanism_valid(struct slice name)
{
	for (size_t i = 0; i < name.len; i++)
		if (!ascii_is_alnum(name.data[i]) && name.data[i] != '-' && name.data[i] != '_')
			return false;
	return true;
}

size_t smtp_line_max(struct slice text)
{
	return slice_starts_nocase(text, SLICE("AUTH ")) ? SMTP_AUTH_LINE_MAX : SMTP_LINE_MAX;
}

void smtp_discard(struct buf *in, size_t len)
{
	if (len)
		explicit_bzero(in->data + in->start, len);
	buf_consume(in, len);
}

struct slice smtp_take_secret_line(struct smtp_server *server, struct buf *in, size_t len)
{
	struct slice line = arena_copy(&server->scratch, slice_first(buf_slice(in), len));
	smtp_discard(in, len);
	server->secret = true;
	return line;
}

struct slice smtp_auth_shown(struct slice line)
{
	struct slice argument = slice_trim(slice_from(line, 4));
	size_t end = 0;
	while (end < argument.len && !ascii_is_space(argument.data[end]))
		end++;
	return slice_first(line, (size_t)(argument.data - line.data) + end);
}

/* Exim's words and order. */
static bool refused_by_state(struct smtp_server *server, struct smtp_event *event)
{
	if (server->options & SMTP_AUTH_NEEDS_TLS && !server->tls)
		/* RFC 4954 §6 */
		return smtp_refuse_counted(server, event, 538, SLICE("Encryption required for requested authentication mechanism"));
	if (!(server->advertised & SMTP_OFFER_AUTH) && !(server->options & SMTP_AUTH_UNADVERTISED))
		return smtp_refuse_counted(server, event, 503, SLICE("AUTH command used when not advertised"));
	if (server->authenticated)
		return smtp_refuse_counted(server, event, 503, SLICE("already authenticated"));
	if (smtp_in_transaction(server))
		return smtp_refuse_counted(server, event, 503, SLICE("not permitted in mail transaction"));
	return false;
}

bool smtp_handle_auth(struct smtp_server *server, struct slice argument, struct smtp_event *event)
{
	size_t end = 0;
	if (refused_by_state(server, event))
		return true;
	while (end < argument.len && !ascii_is_space(argument.data[end]))
		end++;
	struct slice mechanism = slice_first(argument, end), initial = slice_trim(slice_from(argument, end));
	if (!mechanism_valid(mechanism))
		return smtp_refuse_counted(server, event, 501, SLICE("invalid character in authentication mechanism name"));
	event->mechanism = mechanism;
	event->has_data = initial.len > 0;
	/* "=" is an empty response. */
	if (event->has_data && !slice_equal(initial, SLICE("=")))
		event->failed = !decode(server, initial, &event->data);
	return smtp_ask(server, event, SMTP_AUTH);
}

/* The exchange is over, whatever came of it. */
static void leave(struct smtp_server *server)
{
	server->state = server->helo.len ? SMTP_STATE_READY : SMTP_STATE_START;
}

void smtp_auth_challenge(struct smtp_server *server, struct slice bytes)
{
	ensure(server->pending == SMTP_AUTH || server->pending == SMTP_AUTH_RESPONSE);
	server->pending = SMTP_NEED_INPUT;
	struct slice text = mail_base64_encode(bytes, &server->scratch);
	/* A challenge is one line, however long. */
	if (!(buf_append(server->out, SLICE("334 ")) && buf_append(server->out, text) && buf_append(server->out, SLICE("\r\n"))))
		smtp_server_close(server, SMTP_END_NO_ROOM);
	server->state = SMTP_STATE_AUTH;
}

void smtp_answered_auth(struct smtp_server *server, unsigned code, struct slice text, bool good)
{
	smtp_put(server, code, text);
	server->authenticated |= good;
	leave(server);
}

void smtp_server_set_authenticated(struct smtp_server *server)
{
	server->authenticated = true;
}

/* The rest of an exchange's line that is too long for anything: read to its end, within the bound of all lines. */
static bool skip_response(struct smtp_server *server, struct buf *in, struct smtp_event *event)
{
	struct slice text = buf_slice(in);
	size_t lf = slice_find(text, '\n'), skip = lf < text.len ? lf + 1 : text.len;
	if (skip > SMTP_LINE_DISCARD - server->line_discarded)
		return smtp_refuse_closing(server, event, 500, SLICE("Authentication exchange line is too long"), SMTP_END_LONG_AUTH_LINE);
	smtp_discard(in, skip);
	server->line_discarded += (uint32_t)skip;
	if (lf == text.len) {
		event->kind = SMTP_NEED_INPUT;
		return true;
	}
	server->line_discarded = 0;
	event->failed = event->too_long = true;
	return smtp_ask(server, event, SMTP_AUTH_RESPONSE);
}

bool smtp_auth_step(struct smtp_server *server, struct buf *in, struct smtp_event *event)
{
	struct slice text = slice_first(buf_slice(in), SMTP_AUTH_LINE_MAX), refusal;
	size_t lf = slice_find(text, '\n');
	enum smtp_end end;
	if (server->line_discarded || (lf == text.len && text.len == SMTP_AUTH_LINE_MAX))
		return skip_response(server, in, event);
	if (lf == text.len) {
		event->kind = SMTP_NEED_INPUT;
		return true;
	}
	struct slice line = smtp_take_secret_line(server, in, lf + 1);
	refusal = smtp_line_unclean(line, &end);
	if (refusal.len)
		return smtp_refuse_closing(server, event, 501, refusal, end);
	/* RFC 2920 §3.1: nothing can be sent behind a response before its answer is there. */
	if (buf_len(in) && server->settings->enforce_sync)
		return smtp_refuse_closing(server, event, 554, SLICE("SMTP synchronization error"), SMTP_END_UNSYNCHRONIZED_AUTH);
	line.len -= 2;
	event->cancelled = slice_equal(line, SLICE("*"));
	event->has_data = true;
	event->failed = !event->cancelled && !decode(server, line, &event->data);
	return smtp_ask(server, event, SMTP_AUTH_RESPONSE);
}

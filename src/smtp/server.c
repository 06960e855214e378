/* SPDX-License-Identifier: ISC */
#include "smtp/internal.h"

#include "base/fatal.h"

void smtp_settings_init(struct smtp_settings *settings, struct slice hostname)
{
	*settings = (struct smtp_settings){
		.hostname = hostname, .message_size_limit = 50 * 1024 * 1024, .recipients_max = 50000,
		.accept_max_per_connection = 1000, .accept_max_nonmail = 10, .max_synprot_errors = 3,
		.max_unknown_commands = 3, .enforce_sync = true,
	};
}

void smtp_server_init(struct smtp_server *server, const struct smtp_settings *settings, struct buf *out, struct slice peer,
                      unsigned options)
{
	*server = (struct smtp_server){ .settings = settings, .out = out, .peer = peer, .options = options, .spare = SMTP_SPARE_ALL | SMTP_SPARE_AUTH };
	arena_init(&server->scratch, 0);
}

static void replace_text(char **text, struct slice by)
{
	free(*text);
	*text = NULL;
	if (by.len == 0)
		return;
	*text = xcalloc(1, by.len + 1);
	memcpy(*text, by.data, by.len);
}

static void set_helo(struct smtp_server *server, struct slice name)
{
	char *old = (char *)server->helo.data, *copy = NULL;
	replace_text(&copy, name);
	free(old);
	server->helo = slice_make(copy, copy ? name.len : 0);
}

static void forget_body(struct smtp_server *server)
{
	replace_text(&server->failure_text, (struct slice){ 0 });
	server->failure_code = 0;
	server->failure_reason = NULL;
	server->body_size = server->chunk_size = server->chunk_left = 0;
	server->line_start = true;
	server->trailing_cr = false;
}

/* Nobody can read a secret in memory that was given back. */
static void free_scratch(struct smtp_server *server)
{
	if (server->secret)
		arena_wipe(&server->scratch);
	else
		arena_free(&server->scratch);
	server->secret = false;
}

void smtp_server_free(struct smtp_server *server)
{
	forget_body(server);
	set_helo(server, (struct slice){ 0 });
	replace_text(&server->rcpt_error, (struct slice){ 0 });
	free_scratch(server);
}

bool smtp_in_transaction(const struct smtp_server *server)
{
	return server->state >= SMTP_STATE_MAIL && server->state <= SMTP_STATE_SWALLOW;
}

void smtp_end_transaction(struct smtp_server *server)
{
	forget_body(server);
	replace_text(&server->rcpt_error, (struct slice){ 0 });
	server->rcpt_errors_differ = server->too_many_recipients = server->smtputf8 = false;
	server->recipients = 0;
	server->discarded = 0;
	server->last = SMTP_LAST_OTHER;
	server->state = server->helo.len ? SMTP_STATE_READY : SMTP_STATE_START;
}

void smtp_begin_body(struct smtp_server *server)
{
	forget_body(server);
	server->discarded = 0;
}

void smtp_fail_body(struct smtp_server *server, unsigned code, struct slice text, const char *reason, enum smtp_end close_after)
{
	if (server->failure_code)
		return;
	replace_text(&server->failure_text, text);
	server->failure_code = code;
	server->failure_reason = reason;
	server->close_after = close_after;
}

void smtp_body_refuse(struct smtp_server *server, unsigned code, struct slice text, const char *reason)
{
	ensure(server->state == SMTP_STATE_DATA || server->state == SMTP_STATE_CHUNK);
	ensure(server->pending == SMTP_NEED_INPUT && code >= 400 && code < 600);
	smtp_fail_body(server, code, text, reason, SMTP_END_NONE);
}

void smtp_server_close(struct smtp_server *server, enum smtp_end end)
{
	if (!server->closing)
		server->closing = end;
}

void smtp_server_set_options(struct smtp_server *server, unsigned options)
{
	server->options = options;
}

void smtp_server_begin(struct smtp_server *server, struct slice banner, bool input_waiting)
{
	ensure(server->state == SMTP_STATE_GREETING);
	server->state = SMTP_STATE_START;
	if (input_waiting && server->settings->enforce_sync) {
		smtp_put(server, 554, SLICE("SMTP synchronization error"));
		smtp_server_close(server, SMTP_END_EARLY_INPUT);
	} else {
		smtp_put(server, 220, banner);
	}
}

void smtp_server_tls_started(struct smtp_server *server, const struct buf *in)
{
	server->tls = true;
	/* RFC 3207 §6: what came in clear behind the command is not to be taken for something said within TLS. */
	if (buf_len(in))
		smtp_server_close(server, SMTP_END_CLEAR_AFTER_STARTTLS);
	if (server->state == SMTP_STATE_GREETING)
		return;
	ensure(server->state == SMTP_STATE_HANDSHAKE);
	if (!server->settings->remember_esmtp || !server->extended) {
		set_helo(server, (struct slice){ 0 });
		server->advertised = 0;
		server->extended = false;
	}
	server->spare |= SMTP_SPARE_HELO | SMTP_SPARE_AUTH;
	/* RFC 3207 §4.2: what the client said in clear is forgotten, also who it is. */
	server->authenticated = false;
	smtp_end_transaction(server);
}

void smtp_server_shut(struct smtp_server *server, const struct smtp_shut *shut)
{
	server->shut = shut;
}

void smtp_server_refuse_proxy(struct smtp_server *server)
{
	smtp_put(server, 554, SLICE("PROXY protocol is not accepted from this host"));
	smtp_server_close(server, SMTP_END_PROXY_REFUSED);
}

void smtp_server_set_peer(struct smtp_server *server, struct slice peer)
{
	ensure(server->state == SMTP_STATE_GREETING);
	server->peer = peer;
}

void smtp_server_tls_broken(struct smtp_server *server)
{
	/* RFC 3207 §4.1: a client that wanted TLS gets nothing done in clear. */
	static const struct smtp_shut broken = { 554, "Security failure", SMTP_END_COMMANDS_WITHOUT_TLS };
	if (server->pending == SMTP_STARTTLS) {
		smtp_put(server, 454, SLICE("TLS currently unavailable"));
		server->pending = SMTP_NEED_INPUT;
	}
	smtp_server_shut(server, &broken);
	server->reset_due |= smtp_in_transaction(server);
	smtp_end_transaction(server);
}

/* The standard answers. */
static const struct {
	unsigned code;
	struct slice text;
} standard[] = {
	[SMTP_HELO] = { 250, { 0 } },
	[SMTP_MAIL] = { 250, SLICE("OK") },
	[SMTP_RCPT] = { 250, SLICE("Accepted") },
	[SMTP_DATA] = { 354, SLICE("Enter message, ending with \".\" on a line by itself") },
	[SMTP_STARTTLS] = { 220, SLICE("TLS go ahead") },
	[SMTP_AUTH] = { 235, SLICE("Authentication succeeded") },
	[SMTP_AUTH_RESPONSE] = { 235, SLICE("Authentication succeeded") },
	[SMTP_VRFY] = { 252, SLICE("Administrative prohibition") },
	[SMTP_EXPN] = { 550, SLICE("Administrative prohibition") },
	[SMTP_ETRN] = { 458, SLICE("Administrative prohibition") },
};

static void answered_helo(struct smtp_server *server, unsigned code, struct slice text, bool good)
{
	if (!good) {
		/* RFC 5321 §4.1.4: the state stays as it was. */
		smtp_put(server, code, text);
		server->auth_offer = (struct slice){ 0 };
		return;
	}
	server->reset_due |= smtp_in_transaction(server);
	server->extended = server->pending_extended;
	set_helo(server, server->pending_name);
	smtp_put_hello(server, code, text, server->helo, server->extended);
	server->auth_offer = (struct slice){ 0 };
	smtp_end_transaction(server);
}

static void answered_mail(struct smtp_server *server, unsigned code, struct slice text, bool good)
{
	smtp_put(server, code, text);
	server->last = good ? SMTP_LAST_OTHER : SMTP_LAST_REFUSED_MAIL;
	if (good)
		server->state = SMTP_STATE_MAIL;
}

void smtp_note_rcpt_error(struct smtp_server *server, unsigned code, struct slice text)
{
	struct slice line = arena_printf(&server->scratch, "%u %.*s", code, SLICE_ARG(slice_first(text, 400)));
	line = slice_first(line, slice_find(line, '\n'));
	if (!server->rcpt_error)
		replace_text(&server->rcpt_error, line);
	else if (!slice_equal(slice_of(server->rcpt_error), line))
		server->rcpt_errors_differ = true;
}

static void answered_rcpt(struct smtp_server *server, unsigned code, struct slice text, bool good)
{
	smtp_put(server, code, text);
	if (!good) {
		smtp_note_rcpt_error(server, code, text);
		return;
	}
	server->recipients++;
	server->state = SMTP_STATE_RCPT;
}

static void answered_data(struct smtp_server *server, unsigned code, struct slice text, bool good)
{
	/* RFC 3030 §2: a chunk that is accepted is answered when its octets are here. */
	if (!good || !server->pending_chunked)
		smtp_put(server, code, text);
	if (good) {
		server->state = server->pending_chunked ? SMTP_STATE_CHUNK : SMTP_STATE_DATA;
	} else if (server->pending_chunked) {
		server->swallow_next = server->chunk_last ? SMTP_STATE_RCPT : SMTP_STATE_CHUNKS_FAILED;
		server->state = SMTP_STATE_SWALLOW;
	}
}

static void answered_starttls(struct smtp_server *server, unsigned code, struct slice text, bool good)
{
	smtp_put(server, code, text);
	if (!good)
		return;
	server->reset_due |= smtp_in_transaction(server);
	smtp_end_transaction(server);
	server->state = SMTP_STATE_HANDSHAKE;
}

static void answered_other(struct smtp_server *server, unsigned code, struct slice text, bool good)
{
	(void)good;
	smtp_put(server, code, text);
}

static void (*const answered[])(struct smtp_server *server, unsigned code, struct slice text, bool good) = {
	[SMTP_HELO] = answered_helo,         [SMTP_MAIL] = answered_mail,  [SMTP_RCPT] = answered_rcpt,  [SMTP_DATA] = answered_data,
	[SMTP_STARTTLS] = answered_starttls, [SMTP_VRFY] = answered_other, [SMTP_EXPN] = answered_other,
	[SMTP_AUTH] = smtp_answered_auth,    [SMTP_AUTH_RESPONSE] = smtp_answered_auth,
	[SMTP_ETRN] = answered_other,
};

void smtp_reply(struct smtp_server *server, unsigned code, struct slice text)
{
	enum smtp_event_kind event = server->pending;
	ensure(event >= SMTP_HELO && event <= SMTP_ETRN && code >= 200 && code < 600);
	server->pending = SMTP_NEED_INPUT;
	answered[event](server, code, text, code < 300 || (event == SMTP_DATA && code == 354));
	/* RFC 5321 §4.2.3: 421 is "closing transmission channel". */
	if (code == 421)
		smtp_server_close(server, SMTP_END_421);
}

void smtp_accept(struct smtp_server *server)
{
	ensure(server->pending >= SMTP_HELO && server->pending <= SMTP_ETRN);
	smtp_reply(server, standard[server->pending].code, standard[server->pending].text);
}

void smtp_reply_counted(struct smtp_server *server, unsigned code, struct slice text)
{
	struct smtp_event unused;
	ensure(server->pending >= SMTP_HELO && server->pending <= SMTP_ETRN && code >= 400);
	server->pending = SMTP_NEED_INPUT;
	smtp_refuse_counted(server, &unused, code, text);
}

void smtp_server_offer_auth(struct smtp_server *server, struct slice mechanisms)
{
	server->auth_offer = mechanisms;
}

void smtp_body_done(struct smtp_server *server, unsigned code, struct slice text)
{
	ensure(server->pending == SMTP_BODY_END && code >= 200 && code < 600);
	server->pending = SMTP_NEED_INPUT;
	if (server->state == SMTP_STATE_CHUNK && code < 300) {
		struct slice first = arena_printf(&server->scratch, " %llu byte chunk, total %llu", (unsigned long long)server->chunk_size,
		                                  (unsigned long long)server->body_size);
		smtp_put_more(server, code, first);
	}
	smtp_put(server, code, text);
	server->messages++;
	server->spare |= SMTP_SPARE_ALL;
	smtp_end_transaction(server);
	if (code == 421)
		smtp_server_close(server, SMTP_END_421);
}

static bool handshake_missing(struct smtp_server *server, struct buf *in, struct smtp_event *event)
{
	(void)in;
	(void)event;
	smtp_server_close(server, SMTP_END_NO_TLS);
	return false;
}

static bool (*const steps[SMTP_STATES])(struct smtp_server *server, struct buf *in, struct smtp_event *event) = {
	[SMTP_STATE_START] = smtp_command_step,         [SMTP_STATE_READY] = smtp_command_step,
	[SMTP_STATE_MAIL] = smtp_command_step,          [SMTP_STATE_RCPT] = smtp_command_step,
	[SMTP_STATE_CHUNKS] = smtp_command_step,        [SMTP_STATE_CHUNKS_FAILED] = smtp_command_step,
	[SMTP_STATE_DATA] = smtp_body_data,             [SMTP_STATE_CHUNK] = smtp_body_chunk,
	[SMTP_STATE_SWALLOW] = smtp_body_swallow,       [SMTP_STATE_HANDSHAKE] = handshake_missing,
	[SMTP_STATE_AUTH] = smtp_auth_step,
};

/* What is due before anything is read. */
static bool something_due(struct smtp_server *server, struct smtp_event *event)
{
	if (server->reset_due) {
		server->reset_due = false;
		event->kind = SMTP_RESET;
		return true;
	}
	if (server->closing) {
		event->kind = SMTP_CLOSE;
		event->end = server->closing;
		return true;
	}
	/* A client that sends commands and reads no replies must not fill the memory. */
	if (buf_len(server->out) >= server->out->max / 2) {
		event->kind = SMTP_FLUSH;
		return true;
	}
	return false;
}

enum smtp_event_kind smtp_server_next(struct smtp_server *server, struct buf *in, struct smtp_event *event)
{
	ensure(server->pending == SMTP_NEED_INPUT && (server->state != SMTP_STATE_GREETING || server->closing));
	*event = (struct smtp_event){ 0 };
	if (server->scratch.current)
		free_scratch(server);
	/* A step that settled a command by itself leaves nothing of it in the event of the next. */
	while (!something_due(server, event) && !steps[server->state](server, in, event))
		*event = (struct smtp_event){ 0 };
	/* An idle connection holds no scratch memory; this event has no slices. */
	if (event->kind == SMTP_NEED_INPUT && server->scratch.current)
		free_scratch(server);
	return event->kind;
}

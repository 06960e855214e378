/* SPDX-License-Identifier: ISC */
/*
 * For tests and fuzzing only: a session of the smallest kind around the protocol core. It accepts all but addresses and names
 * that begin with "bad", and writes down what happened: `events`, one line each, with the octets of messages in between, and
 * `replies`.
 * AUTH without data is asked for it; mechanisms that begin with "bad" do not exist. STARTTLS is granted, without any TLS: the same stream goes on.
 */
#ifndef POSTERN_SMTP_MINI_SESSION_H
#define POSTERN_SMTP_MINI_SESSION_H

#include "base/fatal.h"
#include "smtp/server.h"

struct mini_session {
	struct smtp_settings settings;
	struct smtp_server server;
	struct buf in, out, events, replies;
	bool closed, in_body, tls_breaks, open;
	bool offer_auth;    /* PLAIN and LOGIN, by which "good" lets a client in and "more" asks again */
	unsigned data_code; /* answer to SMTP_DATA instead of accepting */
	unsigned refuse_after; /* octets of a body after which it is refused; 0: never */
	size_t body_octets;
};

enum {
	MINI_ALL = SMTP_OFFER_SIZE | SMTP_OFFER_8BITMIME | SMTP_OFFER_PIPELINING | SMTP_OFFER_CHUNKING | SMTP_OFFER_SMTPUTF8 |
	           SMTP_OFFER_HELP,
};

static inline void mini_open(struct mini_session *session, unsigned options)
{
	*session = (struct mini_session){ 0 };
	smtp_settings_init(&session->settings, SLICE("mx.example"));
	buf_init(&session->in, 64 * 1024);
	buf_init(&session->out, 8 * 1024);
	buf_init(&session->events, 64 * 1024 * 1024);
	buf_init(&session->replies, 64 * 1024 * 1024);
	smtp_server_init(&session->server, &session->settings, &session->out, SLICE("192.0.2.1"), options);
}

static inline void mini_close(struct mini_session *session)
{
	smtp_server_free(&session->server);
	buf_free(&session->in);
	buf_free(&session->out);
	buf_free(&session->events);
	buf_free(&session->replies);
}

static inline void mini_flush(struct mini_session *session)
{
	ensure(buf_append(&session->replies, buf_slice(&session->out)));
	buf_consume(&session->out, buf_len(&session->out));
}

static inline void mini_note(struct mini_session *session, const char *what, struct slice argument)
{
	ensure(buf_printf(&session->events, "%s%s ", session->in_body ? "|\n" : "", what));
	ensure(buf_append(&session->events, argument) && buf_append_byte(&session->events, '\n'));
	session->in_body = false;
}

static inline void mini_path(struct mini_session *session, const char *what, const struct mail_path *path)
{
	struct arena arena;
	arena_init(&arena, 0);
	mini_note(session, what, mail_address_format(&path->address, &arena));
	arena_free(&arena);
	if (slice_starts(path->address.local_part, SLICE("bad")))
		smtp_reply(&session->server, 550, SLICE("no such user"));
	else
		smtp_accept(&session->server);
}

static inline void mini_body(struct mini_session *session, const struct smtp_event *event)
{
	ensure(session->open && event->argument.len > 0);
	if (!session->in_body)
		ensure(buf_append(&session->events, SLICE("BODY ")));
	session->in_body = true;
	ensure(buf_append(&session->events, event->argument));
	session->body_octets += event->argument.len;
	if (session->refuse_after && session->body_octets > session->refuse_after)
		smtp_body_refuse(&session->server, 550, SLICE("enough"), "test");
}

static inline void mini_data(struct mini_session *session, const struct smtp_event *event)
{
	mini_note(session, event->chunking ? "BDAT" : "DATA", (struct slice){ 0 });
	session->body_octets = 0;
	session->open = !session->data_code;
	if (session->data_code)
		smtp_reply(&session->server, session->data_code, SLICE("not now"));
	else
		smtp_accept(&session->server);
}

static inline void mini_body_end(struct mini_session *session, const struct smtp_event *event)
{
	mini_note(session, event->failed ? "FAILED" : "END", slice_of(event->reason));
	session->open = false;
	if (!event->failed)
		smtp_body_done(&session->server, 250, SLICE("OK id=1"));
}

static inline void mini_auth(struct mini_session *session, const struct smtp_event *event)
{
	struct smtp_server *server = &session->server;
	mini_note(session, event->kind == SMTP_AUTH ? "AUTH" : "RESPONSE", event->kind == SMTP_AUTH ? event->mechanism : event->data);
	if (event->cancelled)
		smtp_reply(server, 501, SLICE("Authentication cancelled"));
	else if (event->failed)
		smtp_reply(server, event->too_long ? 500 : 501, event->too_long ? SLICE("too long") : SLICE("Invalid base64 data"));
	else if (slice_starts(event->mechanism, SLICE("bad")))
		smtp_reply_counted(server, 504, SLICE("not supported"));
	else if (!event->has_data || slice_equal(event->data, SLICE("more")))
		smtp_auth_challenge(server, SLICE("prompt"));
	else if (slice_equal(event->data, SLICE("good")))
		smtp_accept(server);
	else
		smtp_reply(server, 535, SLICE("Incorrect authentication data"));
}

static inline void mini_starttls(struct mini_session *session)
{
	mini_note(session, "STARTTLS", (struct slice){ 0 });
	if (session->tls_breaks) {
		smtp_server_tls_broken(&session->server);
		return;
	}
	smtp_accept(&session->server);
	mini_flush(session);
	smtp_server_tls_started(&session->server, &session->in);
}

static inline void mini_event(struct mini_session *session, const struct smtp_event *event)
{
	struct smtp_server *server = &session->server;
	switch (event->kind) {
	case SMTP_NEED_INPUT:
	case SMTP_FLUSH:
		mini_flush(session);
		break;
	case SMTP_HELO:
		mini_note(session, event->extended ? "EHLO" : "HELO", event->argument);
		if (session->offer_auth)
			smtp_server_offer_auth(server, server->authenticated ? SLICE("") : SLICE("PLAIN LOGIN"));
		if (slice_starts(event->argument, SLICE("bad")))
			smtp_reply(server, 550, SLICE("go away"));
		else
			smtp_accept(server);
		break;
	case SMTP_MAIL:
		mini_path(session, "MAIL", &event->path);
		break;
	case SMTP_RCPT:
		mini_path(session, "RCPT", &event->path);
		break;
	case SMTP_DATA:
		mini_data(session, event);
		break;
	case SMTP_AUTH:
	case SMTP_AUTH_RESPONSE:
		mini_auth(session, event);
		break;
	case SMTP_STARTTLS:
		mini_starttls(session);
		break;
	case SMTP_VRFY:
	case SMTP_EXPN:
	case SMTP_ETRN:
		mini_note(session, event->kind == SMTP_VRFY ? "VRFY" : event->kind == SMTP_EXPN ? "EXPN" : "ETRN", event->argument);
		smtp_accept(server);
		break;
	case SMTP_BODY:
		mini_body(session, event);
		break;
	case SMTP_BODY_END:
		mini_body_end(session, event);
		break;
	case SMTP_RESET:
		mini_note(session, "RESET", (struct slice){ 0 });
		session->open = false;
		break;
	case SMTP_REFUSED:
		mini_note(session, "REFUSED", event->argument);
		if (event->end)
			mini_note(session, "BECAUSE", slice_of(smtp_end_text(event->end)));
		break;
	case SMTP_QUIT:
		mini_note(session, "QUIT", (struct slice){ 0 });
		break;
	case SMTP_CLOSE:
		ensure(event->end);
		mini_note(session, "CLOSE", slice_of(smtp_end_text(event->end)));
		mini_flush(session);
		session->closed = true;
		break;
	}
}

static inline void mini_begin(struct mini_session *session)
{
	smtp_server_begin(&session->server, SLICE("mx.example ESMTP"), false);
	mini_flush(session);
}

/* Runs until the core wants more, or closes. */
static inline void mini_run(struct mini_session *session)
{
	struct smtp_event event;
	do {
		enum smtp_event_kind kind = smtp_server_next(&session->server, &session->in, &event);
		ensure(kind == event.kind);
		mini_event(session, &event);
	} while (event.kind != SMTP_NEED_INPUT && !session->closed);
}

/* Feeds `text` in pieces of `step` octets. */
static inline void mini_feed(struct mini_session *session, struct slice text, size_t step)
{
	for (size_t at = 0; at < text.len && !session->closed; at += step) {
		ensure(buf_append(&session->in, slice_first(slice_from(text, at), step)));
		mini_run(session);
	}
}

#endif

/* SPDX-License-Identifier: ISC */
/*
 * What protects the server from a client: who may connect at all and under load, who speaks before the greeting, commands that only
 * cost, and delays. A delay parks the session's task and nothing else: it costs what an idle connection costs, and
 * smtp_accept_max bounds how many there are. When the client hangs up it ends, and with it the session, for otherwise who has gone would
 * keep a place from others; what the client sent before is not looked at any more, or hanging up would be a way around delays.
 */
#include "conf/log_selector.h"
#include "expand/moment.h"
#include "role/session.h"

#include <stdio.h>

/* ---- Connecting ---- */

static bool refuse(struct session *session, enum smtp_farewell farewell, const char *text)
{
	struct log *log = &session->front->role->log;
	smtp_server_farewell(&session->smtp, farewell);
	if (!(session->conf->main.log_items & LOG_ITEM_CONNECTION_REJECT))
		return false;
	log_line(log, LOG_KIND_MAIN, "%s", text);
	if (farewell == SMTP_FAREWELL_REJECTED)
		log_line(log, LOG_KIND_REJECT, "%s", text);
	return false;
}

bool session_guard_admits(struct session *session, unsigned connections)
{
	const struct conf_main *main = &session->conf->main;
	const char *host = session->host_text.text;
	char text[256];
	if (session_host_in(session, main->host_reject_connection)) {
		snprintf(text, sizeof text, "refused connection from [%s] (host_reject_connection)", host);
		return refuse(session, SMTP_FAREWELL_REJECTED, text);
	}
	bool crowded = main->smtp_accept_max && main->smtp_accept_reserve && connections > main->smtp_accept_max - main->smtp_accept_reserve;
	double load = main->smtp_load_reserve.set ? expand_moment_load() : 0;
	bool loaded = main->smtp_load_reserve.set && load > main->smtp_load_reserve.value;
	if ((!crowded && !loaded) || session_host_in(session, main->smtp_reserve_hosts))
		return true;
	if (crowded)
		snprintf(text, sizeof text, "temporarily refused connection from [%s]: not in reserve list: connected=%u max=%lld reserve=%lld",
			 host, connections - 1, (long long)main->smtp_accept_max, (long long)main->smtp_accept_reserve);
	else
		snprintf(text, sizeof text, "temporarily refused connection from [%s]: not in reserve list and load average = %.2f", host, load);
	return refuse(session, SMTP_FAREWELL_TOO_MANY, text);
}

/* ---- The greeting ---- */

/* What it said, for the log: printable, and not too much of it. */
static void input_text(struct session *session, char *out, size_t size)
{
	char bytes[64];
	ssize_t count = session->stream.ssl ? 0 : stream_peek(&session->stream, bytes, sizeof bytes, clock_now());
	size_t len = 0;
	for (ssize_t i = 0; i < count && len + 3 < size; i++) {
		if (bytes[i] == '\r' || bytes[i] == '\n') {
			out[len++] = '\\';
			out[len++] = bytes[i] == '\r' ? 'r' : 'n';
		} else {
			out[len++] = ascii_is_print(bytes[i]) ? bytes[i] : '?';
		}
	}
	out[len] = '\0';
}

bool session_guard_early(struct session *session)
{
	const struct conf_main *main = &session->conf->main;
	bool early = stream_input_waiting(&session->stream);
	if (!early && main->smtp_banner_delay && session_host_in(session, main->smtp_banner_delay_hosts))
		early = stream_wait_input(&session->stream, clock_after(main->smtp_banner_delay));
	return early && session->settings.enforce_sync;
}

void session_guard_log_early(struct session *session)
{
	struct log *log = &session->front->role->log;
	char peer[SESSION_PEER_MAX], input[160], text[SESSION_PEER_MAX + 300];
	session_peer(session, peer);
	input_text(session, input, sizeof input);
	snprintf(text, sizeof text, "SMTP protocol synchronization error (input sent without waiting for greeting): rejected connection from %s "
		 "input=\"%s\"", peer, input);
	log_line(log, LOG_KIND_MAIN, "%s", text);
	log_line(log, LOG_KIND_REJECT, "%s", text);
}

/* ---- Delays ---- */

void session_delay(struct session *session, int64_t time, bool flush)
{
	if (flush)
		session_flush(session);
	session->gone |= stream_wait_end(&session->stream, clock_after(time));
}

/* ---- Commands ---- */

static bool end(struct session *session, enum smtp_end why)
{
	/* Before the reply: the first reason is the one that is logged. */
	smtp_server_close(&session->smtp, why);
	smtp_reply(&session->smtp, 421, slice_of(smtp_end_text(why)));
	return false;
}

static bool is_over(unsigned count, int64_t most)
{
	return most && count > most;
}

/* Waits, and makes the next delay longer. What the client was told already goes out first. */
static void hold_up(struct session *session, const struct conf_delays *delays, int64_t *delay)
{
	int64_t now = *delay ? *delay : delays->initial;
	double next = (double)now * delays->factor;
	*delay = next < (double)delays->most ? (int64_t)next : delays->most;
	session_delay(session, now < delays->most ? now : delays->most, true);
}

static void delay_command(struct session *session, const struct conf_delays *delays, unsigned count, int64_t *delay)
{
	struct session_guard *guard = &session->guard;
	if (!delays->set || count <= delays->threshold)
		return;
	if (!guard->known)
		guard->delayed = session_host_in(session, session->conf->main.smtp_ratelimit_hosts);
	guard->known = true;
	if (guard->delayed)
		hold_up(session, delays, delay);
}

static bool before_mail(struct session *session)
{
	const struct conf_main *main = &session->conf->main;
	struct session_guard *guard = &session->guard;
	if (is_over(++guard->mails, main->smtp_max_empty_mail))
		return end(session, SMTP_END_MAILS);
	guard->rcpts = 0;
	guard->rcpt_delay = 0;
	delay_command(session, &main->smtp_ratelimit_mail, ++guard->all_mails, &guard->mail_delay);
	return true;
}

static bool before_rcpt(struct session *session)
{
	const struct conf_main *main = &session->conf->main;
	struct session_guard *guard = &session->guard;
	if (main->smtp_max_rejected_rcpt && guard->rejected_rcpts >= main->smtp_max_rejected_rcpt)
		return end(session, SMTP_END_REJECTED_RECIPIENTS);
	delay_command(session, &main->smtp_ratelimit_rcpt, ++guard->rcpts, &guard->rcpt_delay);
	return true;
}

bool session_guard_before(struct session *session, const struct smtp_event *event)
{
	struct session_guard *guard = &session->guard;
	guard->recipients = session->smtp.recipients;
	switch (event->kind) {
	case SMTP_HELO:
		if (is_over(++guard->helos, session->conf->main.smtp_max_helo))
			return end(session, SMTP_END_HELOS);
		return true;
	case SMTP_MAIL: return before_mail(session);
	case SMTP_RCPT: return before_rcpt(session);
	default: return true;
	}
}

void session_guard_after(struct session *session, const struct smtp_event *event)
{
	struct session_guard *guard = &session->guard;
	if (event->kind == SMTP_RCPT && session->smtp.recipients == guard->recipients)
		guard->rejected_rcpts++;
	if (event->kind == SMTP_BODY_END && !event->failed)
		guard->helos = guard->mails = 0;
}

/* SPDX-License-Identifier: ISC */
/* The message itself: DATA (RFC 5321 §4.1.1.4, dots undone as §4.5.2 says) and the chunks of BDAT (RFC 3030 §2). */
#include "smtp/internal.h"

static const struct {
	unsigned code;
	struct slice text;
	enum smtp_end end;
} unclean[] = {
	[SMTP_STOP_BARE_CR] = { 550, SLICE("bare CR received in message: lines must end with CRLF"), SMTP_END_CR_IN_MESSAGE },
	[SMTP_STOP_BARE_LF] = { 550, SLICE("bare LF received in message: lines must end with CRLF"), SMTP_END_LF_IN_MESSAGE },
	[SMTP_STOP_NUL] = { 550, SLICE("NUL character received in message"), SMTP_END_NUL_IN_MESSAGE },
};

static void fail_unclean(struct smtp_server *server, enum smtp_stop stop)
{
	smtp_fail_body(server, unclean[stop].code, unclean[stop].text, smtp_end_text(unclean[stop].end), unclean[stop].end);
}

static bool need_input(struct smtp_event *event)
{
	event->kind = SMTP_NEED_INPUT;
	return true;
}

static uint64_t discard_max(const struct smtp_settings *settings)
{
	const uint64_t least = 1024 * 1024;
	if (settings->discard_max)
		return settings->discard_max;
	return settings->message_size_limit > least ? settings->message_size_limit : least;
}

/* Whether so many more octets thrown away pass the bound; then the connection is to end, without waiting for the rest. */
static bool discard(struct smtp_server *server, uint64_t count)
{
	server->discarded += count;
	if (server->discarded <= discard_max(server->settings))
		return false;
	if (!server->close_after)
		server->close_after = SMTP_END_REFUSED_MESSAGE;
	return true;
}

/* Answers for the refused message and reports its end. */
static bool end_failed(struct smtp_server *server, struct smtp_event *event)
{
	event->kind = SMTP_BODY_END;
	event->failed = true;
	event->code = server->failure_code;
	event->text = arena_copy(&server->scratch, slice_of(server->failure_text));
	event->reason = server->failure_reason;
	smtp_put(server, server->failure_code, event->text);
	if (server->close_after || server->failure_code == 421)
		server->closing = server->close_after ? server->close_after : SMTP_END_421;
	return true;
}

static bool end_good(struct smtp_server *server, struct smtp_event *event)
{
	event->kind = server->pending = SMTP_BODY_END;
	return true;
}

/* A run of the message goes out, unless it makes the message too large. */
static bool give(struct smtp_server *server, struct slice run, struct smtp_event *event)
{
	uint64_t limit = server->settings->message_size_limit;
	server->body_size += run.len;
	if (limit && server->body_size > limit) {
		server->discarded = server->body_size - limit;
		smtp_fail_body(server, 552, SLICE("Message size exceeds maximum permitted"), "message too big", SMTP_END_NONE);
		return false;
	}
	event->kind = SMTP_BODY;
	event->argument = run;
	return true;
}

static bool data_failed(struct smtp_server *server, struct buf *in, struct smtp_event *event)
{
	bool end;
	size_t skip = smtp_skip_lines(buf_slice(in), &server->line_start, &end);
	buf_consume(in, skip);
	if (!discard(server, skip) && !end)
		return skip == 0 && need_input(event);
	end_failed(server, event);
	smtp_end_transaction(server);
	return true;
}

bool smtp_body_data(struct smtp_server *server, struct buf *in, struct smtp_event *event)
{
	struct slice text = buf_slice(in);
	size_t good;
	if (server->failure_code)
		return data_failed(server, in, event);
	if (text.len == 0)
		return need_input(event);
	if (server->line_start && text.data[0] == '.') {
		enum smtp_dot dot = smtp_look_at_dot(text);
		if (dot == SMTP_DOT_MORE)
			return need_input(event);
		buf_consume(in, dot == SMTP_DOT_END ? 3 : 1);
		if (dot == SMTP_DOT_END)
			return end_good(server, event);
		server->line_start = false;
		text = slice_from(text, 1);
	}
	enum smtp_stop stop = smtp_scan_lines(text, true, &server->line_start, &good);
	buf_consume(in, good);
	if (good)
		return give(server, slice_first(text, good), event);
	if (stop == SMTP_STOP_END || stop == SMTP_STOP_CR)
		return need_input(event);
	fail_unclean(server, stop);
	return false;
}

/* The chunk at hand is refused: its answer goes out now, its rest is thrown away. */
static bool chunk_failed(struct smtp_server *server, struct smtp_event *event)
{
	bool last = server->chunk_last;
	uint64_t left = server->chunk_left;
	end_failed(server, event);
	smtp_end_transaction(server);
	server->chunk_left = left;
	server->swallow_next = last ? server->state : SMTP_STATE_CHUNKS_FAILED;
	server->state = SMTP_STATE_SWALLOW;
	return true;
}

/* All octets of the chunk are here. */
static bool chunk_end(struct smtp_server *server, struct smtp_event *event)
{
	if (!server->chunk_last) {
		struct slice text = arena_printf(&server->scratch, "%llu byte chunk received", (unsigned long long)server->chunk_size);
		smtp_put(server, 250, text);
		server->state = SMTP_STATE_CHUNKS;
		return false;
	}
	if (server->trailing_cr) {
		fail_unclean(server, SMTP_STOP_BARE_CR);
		return false;
	}
	if (!server->line_start) {
		/* Exim completes the last line too; everything behind us counts on it. */
		server->line_start = true;
		return give(server, SLICE("\r\n"), event);
	}
	return end_good(server, event);
}

/* The CR that ended the chunk before waits for its LF. */
static bool chunk_after_cr(struct smtp_server *server, struct buf *in, struct smtp_event *event)
{
	server->trailing_cr = false;
	if (buf_slice(in).data[0] != '\n') {
		fail_unclean(server, SMTP_STOP_BARE_CR);
		return false;
	}
	buf_consume(in, 1);
	server->chunk_left--;
	server->line_start = true;
	return give(server, SLICE("\r\n"), event);
}

bool smtp_body_chunk(struct smtp_server *server, struct buf *in, struct smtp_event *event)
{
	size_t good;
	if (server->failure_code)
		return chunk_failed(server, event);
	if (server->chunk_left == 0)
		return chunk_end(server, event);
	struct slice text = buf_slice(in);
	if (text.len == 0)
		return need_input(event);
	if (server->trailing_cr)
		return chunk_after_cr(server, in, event);
	if (text.len > server->chunk_left)
		text.len = (size_t)server->chunk_left;

	enum smtp_stop stop = smtp_scan_lines(text, false, &server->line_start, &good);
	if (good) {
		buf_consume(in, good);
		server->chunk_left -= good;
		return give(server, slice_first(text, good), event);
	}
	if (stop != SMTP_STOP_CR) {
		fail_unclean(server, stop);
		return false;
	}
	if (server->chunk_left > 1)
		return need_input(event);
	buf_consume(in, 1);
	server->chunk_left = 0;
	server->trailing_cr = true;
	return false;
}

bool smtp_body_swallow(struct smtp_server *server, struct buf *in, struct smtp_event *event)
{
	if (server->chunk_left > discard_max(server->settings) || discard(server, 0)) {
		server->closing = SMTP_END_REFUSED_CHUNK;
		return false;
	}
	size_t skip = buf_len(in) < server->chunk_left ? buf_len(in) : (size_t)server->chunk_left;
	if (skip == 0 && server->chunk_left)
		return need_input(event);
	buf_consume(in, skip);
	server->chunk_left -= skip;
	discard(server, skip);
	if (server->chunk_left == 0) {
		server->state = server->swallow_next;
		server->closing = server->closing ? server->closing : server->close_after;
	}
	return false;
}

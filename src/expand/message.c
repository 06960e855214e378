/* SPDX-License-Identifier: ISC */
#include "expand/message.h"

#include "expand/header.h"
#include "mail/field.h"
#include "mail/rfc2047.h"

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

/* All lines, LF at their ends; unless raw without white space at their ends, and decoded as $bh_ is. */
static struct slice all_headers(struct slice headers, bool raw, struct arena *arena)
{
	char *out = arena_alloc(arena, headers.len + 2);
	size_t len = 0;
	for (size_t i = 0; i < headers.len; i++) {
		char c = headers.data[i];
		bool folded = i + 1 < headers.len && is_blank(headers.data[i + 1]);
		if (c == '\r' && i + 1 < headers.len && headers.data[i + 1] == '\n')
			continue;
		while (!raw && c == '\n' && !folded && len > 0 && is_blank(out[len - 1]))
			len--;
		out[len++] = c ? c : '?';
	}
	if (raw)
		return slice_make(out, len);
	while (len > 0 && ascii_is_space(out[len - 1]))
		len--;
	return mail_rfc2047_decode(slice_make(out, len), true, NULL, arena);
}

/* Reply-To:, or From: when that has nothing. */
static struct slice reply_address(struct slice headers, struct arena *arena)
{
	static const char *const names[] = { "Reply-To", "From" };
	struct slice value = { 0 };
	for (size_t i = 0; i < sizeof names / sizeof *names && value.len == 0; i++)
		if (expand_header(headers, slice_of(names[i]), EXPAND_HEADER_RAW, NULL, arena, &value))
			value = slice_trim(value);
	return value;
}

static size_t received_count(const struct expand_message *message)
{
	struct slice rest = message->headers, name, value;
	size_t count = message->received;
	while (mail_field_next(&rest, &name, &value))
		count += slice_equal_nocase(name, SLICE("Received"));
	return count;
}

/* NUL becomes a blank, and so do line ends unless they stay. */
static struct slice visible(struct slice text, bool newlines, struct arena *arena)
{
	char *out = arena_alloc(arena, text.len + 1);
	size_t len = 0;
	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i];
		if (c != '\r' || i + 1 == text.len || text.data[i + 1] != '\n')
			out[len++] = c == '\0' || (c == '\n' && !newlines) ? ' ' : c;
	}
	return slice_make(out, len);
}

static struct slice count_text(size_t count, struct arena *arena)
{
	return arena_printf(arena, "%zu", count);
}

static size_t count_byte(struct slice text, char byte)
{
	size_t count = 0;
	for (size_t i = 0; i < text.len; i++)
		count += text.data[i] == byte;
	return count;
}

static bool whole_body_variable(const struct expand_message *message, enum expand_variable variable, struct arena *arena,
				struct slice *text_r)
{
	struct slice body = message->body;
	size_t hidden = body.len > message->visible ? body.len - message->visible : 0;
	switch (variable) {
	case EXPAND_MESSAGE_BODY_END: *text_r = visible(slice_from(body, hidden), message->newlines, arena); return true;
	case EXPAND_MESSAGE_BODY_SIZE: *text_r = count_text(body.len, arena); return true;
	case EXPAND_BODY_LINECOUNT: *text_r = count_text(count_byte(body, '\n'), arena); return true;
	case EXPAND_BODY_ZEROCOUNT: *text_r = count_text(count_byte(body, '\0'), arena); return true;
	default: return false;
	}
}

bool expand_message_variable(const struct expand_message *message, enum expand_variable variable, struct arena *arena,
			     struct slice *text_r)
{
	switch (variable) {
	case EXPAND_MESSAGE_HEADERS: *text_r = all_headers(message->headers, false, arena); return true;
	case EXPAND_MESSAGE_HEADERS_RAW: *text_r = all_headers(message->headers, true, arena); return true;
	case EXPAND_REPLY_ADDRESS: *text_r = reply_address(message->headers, arena); return true;
	case EXPAND_RECEIVED_COUNT: *text_r = count_text(received_count(message), arena); return true;
	case EXPAND_MESSAGE_BODY:
		*text_r = visible(slice_first(message->body, message->visible), message->newlines, arena);
		return true;
	default: return message->whole && whole_body_variable(message, variable, arena, text_r);
	}
}

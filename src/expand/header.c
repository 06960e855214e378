/* SPDX-License-Identifier: ISC */
#include "expand/header.h"

#include "mail/field.h"
#include "mail/rfc2047.h"

static bool is_space(char c) { return ascii_is_space(c) || c == '\v' || c == '\f'; }

/* Joins lines, with a bound; the text is written once, into memory as large as it can become. */
struct joiner {
	char *out;
	size_t len, max;
};

static void put_byte(struct joiner *joiner, char byte)
{
	if (joiner->len < joiner->max)
		joiner->out[joiner->len++] = byte;
}

/* CRLF becomes LF; in lists, colons are doubled. */
static void put(struct joiner *joiner, struct slice text, bool list)
{
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] == '\r' && i + 1 < text.len && text.data[i + 1] == '\n')
			continue;
		put_byte(joiner, text.data[i]);
		if (list && text.data[i] == ':')
			put_byte(joiner, ':');
	}
}

static struct slice trim(struct slice value, enum expand_header kind)
{
	while (kind == EXPAND_HEADER_LIST && value.len && (value.data[value.len - 1] == '\n' || value.data[value.len - 1] == '\r'))
		value.len--;
	if (kind == EXPAND_HEADER_LIST || kind == EXPAND_HEADER_RAW)
		return value;
	while (value.len && is_space(value.data[0]))
		value = slice_from(value, 1);
	while (value.len && is_space(value.data[value.len - 1]))
		value.len--;
	return value;
}

/* Those whose lines are lists of addresses, so that a comma goes between two of them. */
static bool holds_addresses(struct slice name)
{
	static const char *const names[] = { "bcc", "cc", "from", "reply-to", "sender", "to" };
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (slice_equal_nocase(name, slice_of(names[i])))
			return true;
	return false;
}

static void put_line(struct joiner *joiner, struct slice value, enum expand_header kind, bool addresses)
{
	value = trim(value, kind);
	if (kind == EXPAND_HEADER_RAW) {
		put(joiner, value, false);
		return;
	}
	if (value.len == 0 && kind != EXPAND_HEADER_LIST)
		return;
	if (joiner->len && kind == EXPAND_HEADER_LIST)
		put_byte(joiner, ':');
	else if (joiner->len)
		put(joiner, addresses ? SLICE(",\n") : SLICE("\n"), false);
	put(joiner, value, kind == EXPAND_HEADER_LIST);
}

static size_t room(struct slice headers)
{
	size_t twice = headers.len < EXPAND_HEADER_MAX ? headers.len * 2 + 2 : EXPAND_HEADER_MAX;
	return twice < EXPAND_HEADER_MAX ? twice : EXPAND_HEADER_MAX;
}

/* NUL bytes become question marks: no text of a program holds one. */
static struct slice without_nul(struct arena *arena, struct slice text)
{
	if (slice_find(text, '\0') == text.len)
		return text;
	char *out = arena_alloc(arena, text.len + 1);
	for (size_t i = 0; i < text.len; i++)
		out[i] = text.data[i] ? text.data[i] : '?';
	return slice_make(out, text.len);
}

bool expand_header(struct slice headers, struct slice name, enum expand_header kind, struct charset_set *charsets, struct arena *arena,
		   struct slice *value_r)
{
	struct slice rest = headers, field, value;
	struct joiner joiner = { 0 };
	bool found = false, addresses = holds_addresses(name);
	while (mail_field_next(&rest, &field, &value)) {
		if (!slice_equal_nocase(field, name))
			continue;
		if (!found) {
			joiner.max = room(slice_make(value.data, value.len + rest.len));
			joiner.out = arena_alloc(arena, joiner.max + 1);
		}
		found = true;
		put_line(&joiner, value, kind, addresses);
	}
	*value_r = without_nul(arena, slice_make(joiner.out, joiner.len));
	if (found && (kind == EXPAND_HEADER || kind == EXPAND_HEADER_BASE))
		*value_r = without_nul(arena, mail_rfc2047_decode(*value_r, true, kind == EXPAND_HEADER ? charsets : NULL, arena));
	return found;
}

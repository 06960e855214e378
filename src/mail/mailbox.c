/* SPDX-License-Identifier: ISC */
/* The addresses of header fields; see mailbox.h. */
#include "mail/mailbox.h"

#include <string.h>

static bool is_atom(char c) { return (unsigned char)c > 127 || (c > 32 && c < 127 && !strchr("()<>[]:;@\\,.\"", c)); }

size_t mail_quoted_length(struct slice s, char close)
{
	size_t i = 1;
	while (i < s.len && s.data[i] != close)
		i += s.data[i] == '\\' ? 2 : 1;
	return i < s.len ? i + 1 : s.len + 1;
}

size_t mail_comment_length(struct slice s)
{
	unsigned depth = 0;
	for (size_t i = 0; i < s.len; i++) {
		if (s.data[i] == '\\')
			i++;
		else if (s.data[i] == '(' && ++depth > MAIL_MAILBOX_COMMENT_DEPTH)
			return s.len;
		else if (s.data[i] == ')' && --depth == 0)
			return i + 1;
	}
	return s.len;
}

/* Of whatever stands at the start and must not be looked into; of one character otherwise. */
static size_t token_length(struct slice s)
{
	size_t length = 1;
	if (*s.data == '"')
		length = mail_quoted_length(s, '"');
	else if (*s.data == '(')
		length = mail_comment_length(s);
	else if (*s.data == '\\')
		length = 2;
	return length < s.len ? length : s.len;
}

/* The place of the first such character outside of quotes, comments and, for others than ">", angle brackets; or the length. */
static size_t find_outside(struct slice s, char wanted)
{
	bool angle = false;
	for (size_t i = 0; i < s.len; i += token_length(slice_from(s, i))) {
		if (s.data[i] == wanted && !angle)
			return i;
		if (s.data[i] == '<')
			angle = true;
		else if (s.data[i] == '>')
			angle = false;
	}
	return s.len;
}

static void skip_blank(struct slice *s)
{
	while (s->len > 0 && (ascii_is_space(*s->data) || *s->data == '('))
		*s = slice_from(*s, *s->data == '(' ? mail_comment_length(*s) : 1);
}

struct writer {
	char *data;
	size_t len;
};

static void write_slice(struct writer *out, struct slice s)
{
	if (s.len > 0)
		memcpy(out->data + out->len, s.data, s.len);
	out->len += s.len;
}

static size_t atom_length(struct slice s)
{
	size_t length = 0;
	while (length < s.len && is_atom(s.data[length]))
		length++;
	return length;
}

/* Words with dots between, before, and after them; not empty. */
static bool read_local_part(struct slice *s, struct writer *out)
{
	size_t start = out->len;
	bool word = false; /* the last thing was one: only a dot can follow */
	for (skip_blank(s); s->len > 0; skip_blank(s)) {
		size_t length = *s->data == '.' ? 1 : word ? 0 : *s->data == '"' ? mail_quoted_length(*s, '"') : atom_length(*s);
		if (length == 0)
			break;
		if (length > s->len)
			return false;
		word = *s->data != '.';
		write_slice(out, slice_first(*s, length));
		*s = slice_from(*s, length);
	}
	return out->len > start;
}

static bool is_label(char c) { return ascii_is_alnum(c) || c == '-' || (unsigned char)c > 127; }

static bool read_label(struct slice *s, struct writer *out)
{
	skip_blank(s);
	size_t length = 0;
	while (length < s->len && is_label(s->data[length]))
		length++;
	if (length == 0 || s->data[0] == '-' || s->data[length - 1] == '-')
		return false;
	write_slice(out, slice_first(*s, length));
	*s = slice_from(*s, length);
	skip_blank(s);
	return true;
}

/* Labels, or a literal in brackets (as it stands: what it holds is the next one's to check). */
static bool read_domain(struct slice *s, struct writer *out)
{
	skip_blank(s);
	if (s->len > 0 && *s->data == '[') {
		size_t length = mail_quoted_length(*s, ']');
		if (length > s->len)
			return false;
		write_slice(out, slice_first(*s, length));
		*s = slice_from(*s, length);
		skip_blank(s);
		return true;
	}
	if (!read_label(s, out))
		return false;
	while (s->len > 0 && *s->data == '.') {
		*s = slice_from(*s, 1);
		skip_blank(s);
		if (s->len == 0 || !is_label(*s->data))
			return s->len == 0 || *s->data == '>'; /* a dot at the end is dropped */
		write_slice(out, SLICE("."));
		if (!read_label(s, out))
			return false;
	}
	return true;
}

/* "@a,@b:" (RFC 5322 §4.4), dropped. */
static bool skip_route(struct slice *s, struct arena *arena, bool *route_r)
{
	struct writer unused = { arena_alloc(arena, s->len + 1), 0 };
	skip_blank(s);
	*route_r = s->len > 0 && *s->data == '@';
	if (!*route_r)
		return true;
	while (s->len > 0 && *s->data == '@') {
		*s = slice_from(*s, 1);
		if (!read_domain(s, &unused))
			return false;
		while (s->len > 0 && (*s->data == ',' || ascii_is_space(*s->data)))
			*s = slice_from(*s, 1);
	}
	if (s->len == 0 || *s->data != ':')
		return false;
	*s = slice_from(*s, 1);
	return true;
}

static bool read_address(struct slice *s, struct arena *arena, struct mail_mailbox *mailbox_r)
{
	struct writer out = { arena_alloc(arena, s->len + 1), 0 };
	if (!read_local_part(s, &out))
		return false;
	size_t local = out.len, domain = out.len;
	if (s->len > 0 && *s->data == '@') {
		*s = slice_from(*s, 1);
		write_slice(&out, SLICE("@"));
		domain = out.len;
		if (!read_domain(s, &out))
			return false;
	}
	mailbox_r->address = slice_make(out.data, out.len);
	mailbox_r->local_part = slice_first(mailbox_r->address, local);
	mailbox_r->domain = slice_from(mailbox_r->address, domain);
	return true;
}

/* A name before "<" or ":": words and dots. */
static bool is_phrase(struct slice s)
{
	for (skip_blank(&s); s.len > 0; skip_blank(&s)) {
		size_t length = *s.data == '"' ? mail_quoted_length(s, '"') : *s.data == '.' ? 1 : atom_length(s);
		if (length == 0 || length > s.len)
			return false;
		s = slice_from(s, length);
	}
	return true;
}

static bool read_in_angle(struct slice *s, struct arena *arena, struct mail_mailbox *mailbox_r)
{
	bool route;
	if (!skip_route(s, arena, &route) || !read_address(s, arena, mailbox_r) || s->len == 0 || *s->data != '>')
		return false;
	if (route && mailbox_r->domain.len == 0)
		return false;
	*s = slice_from(*s, 1);
	return true;
}

bool mail_mailbox_parse(struct slice text, bool *group, struct arena *arena, struct mail_mailbox *mailbox_r)
{
	struct slice rest = text;
	size_t colon = group ? find_outside(rest, ':') : rest.len;
	if (colon < rest.len && is_phrase(slice_first(rest, colon))) {
		rest = slice_from(rest, colon + 1);
		*group = true;
	}
	size_t angle = find_outside(rest, '<');
	if (angle < rest.len) {
		if (!is_phrase(slice_first(rest, angle)))
			return false;
		rest = slice_from(rest, angle + 1);
		if (!read_in_angle(&rest, arena, mailbox_r))
			return false;
	} else if (!read_address(&rest, arena, mailbox_r)) {
		return false;
	}
	skip_blank(&rest);
	if (group && *group && rest.len > 0 && *rest.data == ';') {
		*group = false;
		rest = slice_from(rest, 1);
		skip_blank(&rest);
	}
	return rest.len == 0;
}

bool mail_mailbox_next(struct slice *rest, struct slice *text_r)
{
	if (rest->len == 0)
		return false;
	size_t comma = find_outside(*rest, ',');
	*text_r = slice_first(*rest, comma);
	*rest = slice_from(*rest, comma + 1);
	return true;
}

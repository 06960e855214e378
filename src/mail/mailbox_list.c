/* SPDX-License-Identifier: ISC */
#include "mail/mailbox_list.h"

#include "mail/mailbox.h"

struct scanner {
	struct slice value;
	size_t at;
	size_t start, first, last; /* of the item; its first and last byte of address text, as indexes behind the byte; 0: none */
	struct slice angle;        /* between brackets; data NULL: there were none */
};

/* The index behind what begins at `at`. */
static size_t skip_quoted(struct slice value, size_t at, char close)
{
	size_t end = at + mail_quoted_length(slice_from(value, at), close);
	return end < value.len ? end : value.len;
}

static void add_text(struct scanner *s, size_t from, size_t to)
{
	if (!s->first)
		s->first = from + 1;
	s->last = to;
}

static void angle(struct scanner *s)
{
	size_t at = s->at + 1;
	while (at < s->value.len && s->value.data[at] != '>')
		at = s->value.data[at] == '"' ? skip_quoted(s->value, at, '"') : at + 1;
	if (!s->angle.data)
		s->angle = slice_trim(slice_first(slice_from(s->value, s->at + 1), at - s->at - 1));
	s->at = at < s->value.len ? at + 1 : at;
	add_text(s, s->at - 1, s->at);
}

static void restart(struct scanner *s)
{
	s->start = s->at;
	s->first = s->last = 0;
	s->angle = (struct slice){ 0 };
}

/* One token. True at the end of an item. */
static bool step(struct scanner *s)
{
	size_t from = s->at;
	switch (s->value.data[from]) {
	case '(':
		s->at = from + mail_comment_length(slice_from(s->value, from));
		return false;
	case '"':
		s->at = skip_quoted(s->value, from, '"');
		add_text(s, from, s->at);
		return false;
	case '[':
		s->at = skip_quoted(s->value, from, ']');
		add_text(s, from, s->at);
		return false;
	case '<':
		angle(s);
		return false;
	case ',':
	case ';':
		s->at++;
		return true;
	case ':': /* what was before it is the name of a group */
		s->at++;
		restart(s);
		return false;
	default:
		s->at++;
		if (!ascii_is_space(s->value.data[from]))
			add_text(s, from, s->at);
		return false;
	}
}

static void give(const struct scanner *s, size_t end, struct mail_address_item *mailbox_r)
{
	mailbox_r->whole = slice_trim(slice_first(slice_from(s->value, s->start), end - s->start));
	mailbox_r->address = s->angle.data ? s->angle : slice_first(slice_from(s->value, s->first - 1), s->last - s->first + 1);
}

bool mail_address_item_next(struct slice value, size_t *at, struct mail_address_item *mailbox_r)
{
	struct scanner s = { .value = value, .at = *at };
	restart(&s);
	while (s.at < value.len) {
		bool over = step(&s);
		if (over && s.first) {
			give(&s, s.at - 1, mailbox_r);
			*at = s.at;
			return true;
		}
		if (over)
			restart(&s);
	}
	*at = s.at;
	if (!s.first)
		return false;
	give(&s, s.at, mailbox_r);
	return true;
}

bool mail_address_item_bracketed(const struct mail_address_item *mailbox)
{
	const char *address = mailbox->address.data, *end = address + mailbox->address.len;
	while (address > mailbox->whole.data && ascii_is_space(address[-1]))
		address--;
	while (end < mailbox->whole.data + mailbox->whole.len && ascii_is_space(*end))
		end++;
	return address > mailbox->whole.data && address[-1] == '<' && end < mailbox->whole.data + mailbox->whole.len && *end == '>';
}

/* SPDX-License-Identifier: ISC */
#include "mail/edit.h"

/* The name of the field that begins here, or nothing: RFC 5322 §2.2, blanks before the colon allowed (§4.5); bytes as in mail/scan.c. */
static struct slice field_name(struct slice text)
{
	size_t len = 0, at;
	while (len < text.len && (unsigned char)text.data[len] > 32 && text.data[len] != 127 && text.data[len] != ':')
		len++;
	for (at = len; at < text.len && (text.data[at] == ' ' || text.data[at] == '\t'); at++)
		continue;
	return at < text.len && text.data[at] == ':' ? slice_first(text, len) : (struct slice){ 0 };
}

static struct slice take_line(struct slice *rest)
{
	size_t lf = slice_find(*rest, '\n');
	struct slice line = slice_first(*rest, lf < rest->len ? lf + 1 : lf);
	*rest = slice_from(*rest, line.len);
	return line;
}

/* A field with its continuation lines; empty when none begins here. */
static struct slice take_field(struct slice *rest)
{
	struct slice all = *rest;
	if (field_name(all).len == 0)
		return (struct slice){ 0 };
	take_line(rest);
	while (rest->len && (rest->data[0] == ' ' || rest->data[0] == '\t'))
		take_line(rest);
	return slice_first(all, all.len - rest->len);
}

bool mail_field_next(struct slice *rest, struct slice *name_r, struct slice *value_r)
{
	struct slice field = take_field(rest);
	if (field.len == 0)
		return false;
	*name_r = field_name(field);
	*value_r = slice_from(field, slice_find(field, ':') + 1);
	return true;
}

size_t mail_header_length(struct slice message)
{
	struct slice rest = message;
	while (take_field(&rest).len)
		continue;
	return message.len - rest.len;
}

static bool is_received(struct slice name)
{
	return slice_equal_nocase(name, SLICE("Received"));
}

static bool is_removed(const struct mail_edit *edit, struct slice name)
{
	for (size_t i = 0; i < edit->removed_count; i++)
		if (slice_equal_nocase(edit->removed[i], name))
			return true;
	return false;
}

static bool put_field(struct slice text, struct buf *out)
{
	bool fits = true;
	do {
		struct slice line = slice_cut(&text, '\n');
		fits = fits && buf_append(out, line) && buf_append(out, SLICE("\r\n"));
	} while (text.len);
	return fits;
}

static bool put_added(const struct mail_edit *edit, enum mail_edit_place place, struct buf *out)
{
	bool fits = true, forwards = place == MAIL_EDIT_AT_END;
	for (size_t i = 0; i < edit->added_count; i++) {
		const struct mail_added_field *field = &edit->added[forwards ? i : edit->added_count - 1 - i];
		fits = fits && (field->place != place || put_field(field->text, out));
	}
	return fits;
}

bool mail_header_edit(struct slice section, const struct mail_edit *edit, struct buf *out)
{
	bool fits = put_added(edit, MAIL_EDIT_AT_START, out);
	bool block = false, after_block = false, rfc = false; /* which places are behind us */
	struct slice rest = section, field;
	while ((field = take_field(&rest)).len) {
		struct slice name = field_name(field);
		if (!after_block && block && !is_received(name)) {
			fits = fits && put_added(edit, MAIL_EDIT_AFTER_RECEIVED, out);
			after_block = true;
		}
		if (!rfc && !is_received(name) && !slice_starts_nocase(name, SLICE("Resent-"))) {
			fits = fits && put_added(edit, MAIL_EDIT_AT_START_RFC, out);
			rfc = true;
		}
		block |= is_received(name);
		fits = fits && (is_removed(edit, name) || buf_append(out, field));
	}
	fits = fits && (after_block || put_added(edit, MAIL_EDIT_AFTER_RECEIVED, out));
	fits = fits && (rfc || put_added(edit, MAIL_EDIT_AT_START_RFC, out));
	return fits && put_added(edit, MAIL_EDIT_AT_END, out);
}

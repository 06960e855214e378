/* SPDX-License-Identifier: ISC */
#include "mail/edit.h"

#include "mail/field.h"

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
	struct slice name, value;
	while (mail_field_next(&section, &name, &value)) {
		if (!after_block && block && !is_received(name)) {
			fits = fits && put_added(edit, MAIL_EDIT_AFTER_RECEIVED, out);
			after_block = true;
		}
		if (!rfc && !is_received(name) && !slice_starts_nocase(name, SLICE("Resent-"))) {
			fits = fits && put_added(edit, MAIL_EDIT_AT_START_RFC, out);
			rfc = true;
		}
		block |= is_received(name);
		fits = fits && (is_removed(edit, name) || buf_append(out, mail_field_whole(name, value)));
	}
	fits = fits && (after_block || put_added(edit, MAIL_EDIT_AFTER_RECEIVED, out));
	fits = fits && (rfc || put_added(edit, MAIL_EDIT_AT_START_RFC, out));
	return fits && put_added(edit, MAIL_EDIT_AT_END, out);
}

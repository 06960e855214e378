/* SPDX-License-Identifier: ISC */
/* Rewriting in header fields: each address on its own, and not a byte around it. */
#include "route/rewrite.h"

#include "mail/mailbox_list.h"

static const struct { const char *name; unsigned target; } fields[] = {
	{ "From", REWRITE_FROM }, { "Sender", REWRITE_SENDER }, { "Reply-To", REWRITE_REPLY_TO },
	{ "To", REWRITE_TO }, { "Cc", REWRITE_CC }, { "Bcc", REWRITE_BCC },
};

static unsigned target_of(struct slice name)
{
	if (slice_starts_nocase(name, SLICE("Resent-")))
		name = slice_from(name, sizeof "Resent-" - 1);
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		if (slice_equal_nocase(name, slice_of(fields[i].name)))
			return fields[i].target;
	return 0;
}

/* The field at the start of `section`, with its continuation lines. */
static struct slice first_field(struct slice section)
{
	size_t end = 0;
	do {
		end += slice_find(slice_from(section, end), '\n');
		end += end < section.len;
	} while (end < section.len && (section.data[end] == ' ' || section.data[end] == '\t'));
	return slice_first(section, end);
}

/* RFC 5322 §2.2, with blanks before the colon as §4.5.8 has them. The empty line is none. */
static bool is_field(struct slice field, size_t colon)
{
	struct slice name = slice_trim(slice_first(field, colon));
	for (size_t i = 0; i < name.len; i++)
		if ((unsigned char)name.data[i] <= 32 || (unsigned char)name.data[i] >= 127)
			return false;
	return name.len && colon < field.len && !ascii_is_space(field.data[0]);
}

static bool append_between(struct buf *out, const char *from, const char *to)
{
	return buf_append(out, slice_make(from, (size_t)(to - from)));
}

static enum expand_result rewrite_value(const struct rewriter *rewriter, unsigned target, struct slice value, struct buf *out,
					bool *fits, struct error *error)
{
	const char *copied = value.data;
	struct mail_address_item mailbox;
	size_t at = 0;
	while (*fits && mail_address_item_next(value, &at, &mailbox)) {
		struct rewrite_result result;
		enum expand_result outcome = rewrite_address(rewriter, target, mailbox.address, &result, error);
		if (outcome != EXPAND_OK)
			return outcome;
		if (!result.changed)
			continue;
		struct slice old = result.whole.data ? mailbox.whole : mailbox.address;
		*fits = append_between(out, copied, old.data) && buf_append(out, result.whole.data ? result.whole : result.address);
		copied = old.data + old.len;
	}
	*fits = *fits && append_between(out, copied, value.data + value.len);
	return EXPAND_OK;
}

enum expand_result rewrite_headers(const struct rewriter *rewriter, struct slice text, struct buf *out, struct error *error)
{
	unsigned wanted = rewrite_targets(rewriter->rules);
	bool fits = true;
	while (fits && text.len) {
		struct slice field = first_field(text);
		size_t colon = slice_find(field, ':');
		if (!is_field(field, colon)) {
			fits = buf_append(out, text);
			break;
		}
		unsigned target = target_of(slice_trim(slice_first(field, colon))) & wanted;
		text = slice_from(text, field.len);
		if (!target) {
			fits = buf_append(out, field);
			continue;
		}
		fits = buf_append(out, slice_first(field, colon + 1));
		enum expand_result result = rewrite_value(rewriter, target, slice_from(field, colon + 1), out, &fits, error);
		if (result != EXPAND_OK)
			return result;
	}
	if (!fits)
		error_set(error, ERROR_PERMANENT, "with its addresses rewritten the header section is too large");
	return fits ? EXPAND_OK : EXPAND_FAIL;
}

/* SPDX-License-Identifier: ISC */
/* Rewriting in header fields: each address on its own, and not a byte around it. */
#include "route/rewrite.h"

#include "mail/field.h"
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
	struct slice name, value;
	bool fits = true;
	while (fits && mail_field_next(&text, &name, &value)) {
		unsigned target = target_of(name) & wanted;
		if (!target) {
			fits = buf_append(out, mail_field_whole(name, value));
			continue;
		}
		fits = append_between(out, name.data, value.data);
		enum expand_result result = rewrite_value(rewriter, target, value, out, &fits, error);
		if (result != EXPAND_OK)
			return result;
	}
	fits = fits && buf_append(out, text);
	if (!fits)
		error_set(error, ERROR_PERMANENT, "with its addresses rewritten the header section is too large");
	return fits ? EXPAND_OK : EXPAND_FAIL;
}

/* SPDX-License-Identifier: ISC */
#include "mail/fixup.h"

#include "mail/field.h"
#include "mail/mailbox.h"
#include "mail/rfc2047.h"

/* What a header section has, of the fields that matter here. */
struct fields {
	bool resent, date, message_id, from, sender;
	struct slice from_value;
	unsigned from_count;
};

static bool is_resent(struct slice section)
{
	struct slice name, value;
	while (mail_field_next(&section, &name, &value))
		if (slice_starts_nocase(name, SLICE("Resent-")))
			return true;
	return false;
}

static struct fields find_fields(struct slice section)
{
	struct fields fields = { .resent = is_resent(section) };
	struct slice name, value;
	while (mail_field_next(&section, &name, &value)) {
		if (fields.resent && !slice_starts_nocase(name, SLICE("Resent-")))
			continue;
		name = slice_from(name, fields.resent ? sizeof "Resent-" - 1 : 0);
		fields.date |= slice_equal_nocase(name, SLICE("Date"));
		fields.message_id |= slice_equal_nocase(name, SLICE("Message-Id"));
		fields.sender |= slice_equal_nocase(name, SLICE("Sender"));
		if (slice_equal_nocase(name, SLICE("From"))) {
			fields.from = true;
			fields.from_value = value;
			fields.from_count++;
		}
	}
	return fields;
}

static bool address_of(const struct fields *fields, struct arena *arena, struct slice *address_r)
{
	struct slice rest = fields->from_value, text, more;
	struct mail_mailbox mailbox;
	if (fields->from_count != 1 || !mail_mailbox_next(&rest, &text) || mail_mailbox_next(&rest, &more) ||
	    !mail_mailbox_parse(text, NULL, arena, &mailbox))
		return false;
	*address_r = mailbox.address;
	return true;
}

/* The mailboxes of one field; *count is of all. */
static bool from_field(struct slice value, size_t *count, struct arena *arena, bool (*each)(void *owner, struct slice address), void *owner)
{
	struct mail_mailbox mailbox;
	struct slice text;
	bool group = false;
	size_t before = *count;
	while (mail_mailbox_next(&value, &text)) {
		if (slice_trim(text).len == 0)
			continue; /* RFC 5322 §4.4: nothing between two commas */
		if (++*count > MAIL_FROM_MAX || !mail_mailbox_parse(text, &group, arena, &mailbox) || !each(owner, mailbox.address))
			return false;
	}
	return *count > before;
}

bool mail_from_each(struct slice section, struct arena *arena, bool (*each)(void *owner, struct slice address), void *owner)
{
	struct slice name, value;
	size_t count = 0;
	bool from = false;
	while (mail_field_next(&section, &name, &value)) {
		bool is_from = slice_equal_nocase(name, SLICE("From"));
		if ((is_from || slice_equal_nocase(name, SLICE("Resent-From"))) && !from_field(value, &count, arena, each, owner))
			return false;
		from |= is_from;
	}
	return from;
}

static bool is_phrase_of_atoms(struct slice name)
{
	for (size_t i = 0; i < name.len; i++)
		if (!ascii_is_alnum(name.data[i]) && slice_find(SLICE(" !#$%&'*+-/=?^_`{|}~"), name.data[i]) == 20)
			return false;
	return true;
}

struct slice mail_phrase(struct slice name, struct arena *arena)
{
	bool ascii = true;
	for (size_t i = 0; i < name.len; i++)
		ascii &= ascii_is_print(name.data[i]);
	if (!ascii)
		return mail_rfc2047_encode(name, SLICE("UTF-8"), true, arena);
	if (is_phrase_of_atoms(name))
		return name;
	struct slice quoted = SLICE("\"");
	for (size_t i = 0; i < name.len; i++) {
		char c = name.data[i];
		quoted = arena_printf(arena, "%.*s%s%c", SLICE_ARG(quoted), c == '"' || c == '\\' ? "\\" : "", c);
	}
	return arena_printf(arena, "%.*s\"", SLICE_ARG(quoted));
}

/* "Person <address>". */
static struct slice named(const struct mail_fixup *fixup, struct slice address, struct arena *arena)
{
	if (fixup->name.len == 0)
		return address;
	return arena_printf(arena, "%.*s <%.*s>", SLICE_ARG(fixup->name), SLICE_ARG(address));
}

struct edits {
	struct arena *arena;
	struct mail_added_field *added;
	struct slice *removed;
	struct mail_edit *edit;
	const char *prefix;
};

static void add(struct edits *edits, const char *name, struct slice value)
{
	struct slice text = arena_printf(edits->arena, "%s%s: %.*s", edits->prefix, name, SLICE_ARG(value));
	edits->added[edits->edit->added_count++] = (struct mail_added_field){ MAIL_EDIT_AT_END, text };
}

void mail_fixup(struct slice section, const struct mail_fixup *fixup, struct arena *arena, struct mail_edit *edit_r)
{
	struct fields fields = find_fields(section);
	struct slice from = fixup->envelope_sender.len ? fixup->envelope_sender : fixup->user, address;
	struct edits edits = {
		.arena = arena, .edit = edit_r, .prefix = fields.resent ? "Resent-" : "",
		.added = arena_array(arena, MAIL_FIXUP_ADDED_MAX, sizeof *edits.added),
		.removed = arena_array(arena, MAIL_FIXUP_REMOVED_MAX, sizeof *edits.removed),
	};
	*edit_r = (struct mail_edit){ .added = edits.added, .removed = edits.removed };
	if (!fields.message_id)
		add(&edits, "Message-Id", arena_printf(arena, "<%.*s>", SLICE_ARG(fixup->message_id)));
	if (!fields.from && from.len)
		add(&edits, "From", named(fixup, from, arena));
	/* A sender that the client claims stands for nothing; who submits is told where From does not. */
	if (fields.sender && !fixup->sender_retain)
		edits.removed[edit_r->removed_count++] = arena_printf(arena, "%sSender", edits.prefix);
	if (fixup->user.len && !fixup->sender_retain) {
		bool same = fields.from ? address_of(&fields, arena, &address) && slice_equal_nocase(address, fixup->user)
					: slice_equal_nocase(from, fixup->user);
		if (!same)
			add(&edits, "Sender", named(fixup, fixup->user, arena));
	}
	if (!fields.date)
		add(&edits, "Date", fixup->date);
}

/* SPDX-License-Identifier: ISC */
/*
 * The kinds of `verify` that read the header section of a message (Exim's manual, chapter 44 §26): the names of its lines, and the addresses
 * in them. Why one failed is for the log; the client is told what `message` says.
 *
 * A header section has its own limit (header_maxsize); of its addresses ADDRESSES_MAX are routed or compared.
 */
#include "acl/private.h"

#include "mail/field.h"
#include "mail/mailbox.h"
#include "mail/mailbox_list.h"

enum { ADDRESSES_MAX = 1000, SHOWN_MAX = 1024 };

struct field {
	struct slice name, value;
};

/* The next header field. False at the end. */
static bool take_field(struct slice *rest, struct field *field_r)
{
	return mail_field_next(rest, &field_r->name, &field_r->value);
}

static bool is_one_of(const struct field *field, const char *const *names)
{
	for (; *names; names++)
		if (slice_equal_nocase(field->name, slice_of(*names)))
			return true;
	return false;
}

static bool headers(struct acl_run *run, struct slice *headers_r)
{
	const struct expand_context *context = run->session->context;
	if (!context->headers)
		return false;
	*headers_r = context->headers(context->owner);
	return true;
}

static enum acl_step no_message(struct acl_run *run)
{
	return acl_broken(run, "verify: there is no message");
}

/* For the log only. */
static enum acl_step no(struct acl_run *run, struct slice why)
{
	run->message = (struct expand_value){ 0 };
	run->log_message = (struct expand_value){ .text = why, .tainted = true };
	return ACL_NO;
}

enum acl_step acl_verify_names_ascii(struct acl_run *run, const struct acl_verify *verify)
{
	struct slice rest;
	struct field field;
	(void)verify;
	if (!headers(run, &rest))
		return no_message(run);
	while (take_field(&rest, &field))
		for (size_t i = 0; i < field.name.len; i++)
			if (field.name.data[i] < 33 || field.name.data[i] > 126)
				return no(run, arena_printf(run->arena, "Invalid character in header \"%.*s\" found",
							    SLICE_ARG(slice_first(field.name, 64))));
	return ACL_YES;
}

/* ---- Addresses ---- */

/* The next address of a field: empty items and groups are passed over. *why_r is NULL for one that is good. False at the end. */
static bool next_address(const struct field *field, size_t *at, struct arena *arena, struct mail_address_item *item_r,
			 struct mail_mailbox *mailbox_r, const char **why_r)
{
	while (mail_address_item_next(field->value, at, item_r)) {
		if (slice_trim(item_r->address).len == 0 && !mail_address_item_bracketed(item_r))
			continue;
		*why_r = NULL;
		if (!mail_mailbox_parse(item_r->whole, NULL, arena, mailbox_r))
			*why_r = "malformed address";
		else if (mailbox_r->domain.len == 0)
			*why_r = "unqualified address not permitted";
		return true;
	}
	return false;
}

enum acl_step acl_verify_header_syntax(struct acl_run *run, const struct acl_verify *verify)
{
	static const char *const names[] = { "from", "sender", "reply-to", "to", "cc", "bcc", "resent-from", "resent-sender",
					     "resent-reply-to", "resent-to", "resent-cc", "resent-bcc", NULL };
	struct slice rest;
	struct field field;
	struct arena arena;
	enum acl_step step = ACL_YES;
	(void)verify;
	if (!headers(run, &rest))
		return no_message(run);
	arena_init(&arena, 0);
	while (step == ACL_YES && take_field(&rest, &field)) {
		struct mail_address_item item;
		struct mail_mailbox mailbox;
		const char *why;
		size_t at = 0;
		while (step == ACL_YES && is_one_of(&field, names) && next_address(&field, &at, &arena, &item, &mailbox, &why)) {
			struct slice shown = slice_trim(item.whole);
			if (why)
				step = no(run, arena_printf(run->arena, "%s: failing address in \"%.*s:\" header %s: %.*s", why,
							    SLICE_ARG(field.name), shown.len > SHOWN_MAX ? "begins" : "is",
							    SLICE_ARG(slice_first(shown, SHOWN_MAX))));
			arena_reset(&arena);
		}
	}
	arena_free(&arena);
	return step;
}

/* Whether an address of that field can be verified: ACL_YES, ACL_NO when none can, ACL_LATER, ACL_BROKEN for one that is malformed. */
static enum acl_step check_senders(struct acl_run *run, const struct field *field, size_t *count)
{
	struct acl_session *session = run->session;
	struct mail_address_item item;
	struct mail_mailbox mailbox;
	const char *why;
	bool later = false;
	size_t at = 0;
	while (next_address(field, &at, run->arena, &item, &mailbox, &why)) {
		struct slice message = { 0 };
		struct error error = { 0 };
		bool yes = false;
		if (why) {
			no(run, arena_printf(run->arena, "syntax error in '%.*s:' header when scanning for sender: %s in \"%.*s\"",
					     SLICE_ARG(field->name), why, SLICE_ARG(slice_first(slice_trim(item.whole), SHOWN_MAX))));
			return ACL_BROKEN;
		}
		if ((*count)++ == ADDRESSES_MAX)
			break;
		if (session->verify(session->owner, ACL_VERIFY_SENDER_ADDRESS, mailbox.address, run->arena, &yes, &message, &error) != EXPAND_OK)
			later = true;
		if (yes)
			return ACL_YES;
	}
	return later ? ACL_LATER : ACL_NO;
}

enum acl_step acl_verify_header_sender(struct acl_run *run, const struct acl_verify *verify)
{
	static const char *const names[][2] = { { "sender", NULL }, { "reply-to", NULL }, { "from", NULL } };
	struct slice all;
	size_t count = 0;
	bool later = false;
	if (!headers(run, &all))
		return no_message(run);
	if (!run->session->verify)
		return acl_broken(run, "addresses cannot be verified here");
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct slice rest = all;
		struct field field;
		while (take_field(&rest, &field)) {
			enum acl_step step = is_one_of(&field, names[i]) ? check_senders(run, &field, &count) : ACL_NO;
			if (step == ACL_YES)
				return ACL_YES;
			if (step == ACL_BROKEN)
				return ACL_NO;
			later |= step == ACL_LATER;
		}
	}
	if (later)
		return verify->defer_ok ? ACL_YES : acl_later(run, "all attempts to verify a sender in a header line deferred");
	return no(run, SLICE("there is no valid sender in any header line"));
}

/* ---- Recipients that no header names ---- */

struct blind {
	struct acl_run *run;
	bool caseless, found;
	struct slice headers;
	size_t count;
};

static bool same_address(struct slice a, struct slice b, bool caseless)
{
	size_t at = slice_find_last(a, '@');
	if (at != slice_find_last(b, '@') || at >= a.len || at >= b.len)
		return false;
	struct slice local = slice_first(a, at), other = slice_first(b, at);
	return slice_equal_nocase(slice_from(a, at), slice_from(b, at)) &&
	       (caseless ? slice_equal_nocase(local, other) : slice_equal(local, other));
}

static bool is_named(const struct blind *blind, struct slice recipient, struct arena *arena)
{
	static const char *const names[] = { "to", "cc", "resent-to", "resent-cc", NULL };
	struct slice rest = blind->headers;
	struct field field;
	while (take_field(&rest, &field)) {
		struct mail_address_item item;
		struct mail_mailbox mailbox;
		const char *why;
		size_t at = 0;
		while (is_one_of(&field, names) && next_address(&field, &at, arena, &item, &mailbox, &why))
			if (!why && same_address(mailbox.address, recipient, blind->caseless))
				return true;
	}
	return false;
}

/* False ends the walk. */
static bool look_for(void *owner, struct slice recipient)
{
	struct blind *blind = owner;
	struct arena arena;
	arena_init(&arena, 0);
	blind->found = blind->count++ < ADDRESSES_MAX && is_named(blind, recipient, &arena);
	arena_free(&arena);
	return blind->found;
}

enum acl_step acl_verify_not_blind(struct acl_run *run, const struct acl_verify *verify)
{
	struct blind blind = { .run = run, .caseless = verify->caseless, .found = true };
	if (!headers(run, &blind.headers) || !run->session->recipients)
		return no_message(run);
	run->session->recipients(run->session->owner, look_for, &blind);
	if (blind.found)
		return ACL_YES;
	return no(run, blind.count > ADDRESSES_MAX ? SLICE("bcc recipient detected: too many recipients to tell") :
						     SLICE("bcc recipient detected"));
}

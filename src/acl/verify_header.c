/* SPDX-License-Identifier: ISC */
/*
 * The kinds of `verify` that read the header section of a message (Exim's manual, chapter 44 §26): the names of its lines, and the addresses
 * in them. Why one failed is for the log; the client is told what `message` says.
 *
 * A header section has its own limit (header_maxsize), and is walked once for each `verify` (three times for header_sender), whatever the
 * number of recipients. Others run while a large one is walked. Of its addresses ADDRESSES_MAX are routed.
 */
#include "acl/private.h"

#include "mail/field.h"
#include "mail/mailbox.h"
#include "mail/mailbox_list.h"
#include "task/task.h"

#include <stdlib.h>

enum { ADDRESSES_MAX = 1000, SHOWN_MAX = 1024, ADDRESSES_AT_A_TIME = 500 };

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

/* Before the next address: other clients wait. */
static void let_others_run(size_t *walked)
{
	if (++*walked % ADDRESSES_AT_A_TIME == 0 && task_current())
		task_yield();
}

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
	size_t walked = 0;
	(void)verify;
	if (!headers(run, &rest))
		return no_message(run);
	arena_init(&arena, 0);
	while (step == ACL_YES && take_field(&rest, &field)) {
		struct mail_address_item item;
		struct mail_mailbox mailbox;
		const char *why;
		size_t at = 0;
		if (!is_one_of(&field, names))
			continue;
		while (step == ACL_YES && next_address(&field, &at, &arena, &item, &mailbox, &why)) {
			struct slice shown = slice_trim(item.whole);
			let_others_run(&walked);
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
		if (*count == ADDRESSES_MAX)
			break;
		let_others_run(count);
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

struct recipient {
	struct slice local, domain;
	bool named;
};

/* The envelope's, in the order of the comparison: memory goes by their number, not by the size of the header section. */
struct envelope {
	struct recipient *list;
	size_t count, room;
	int (*compare)(const void *a, const void *b);
};

static struct recipient recipient_of(struct slice address)
{
	size_t at = slice_find_last(address, '@');
	return (struct recipient){ .local = slice_first(address, at), .domain = slice_from(address, at + 1) };
}

static int order(struct slice a, struct slice b, bool caseless)
{
	for (size_t i = 0; i < a.len && i < b.len; i++) {
		int x = (unsigned char)(caseless ? ascii_lower(a.data[i]) : a.data[i]), y = (unsigned char)(caseless ? ascii_lower(b.data[i]) : b.data[i]);
		if (x != y)
			return x - y;
	}
	return (a.len > b.len) - (a.len < b.len);
}

static int by_address(const void *a, const void *b)
{
	const struct recipient *x = a, *y = b;
	int domains = order(x->domain, y->domain, true);
	return domains ? domains : order(x->local, y->local, false);
}

static int by_address_caseless(const void *a, const void *b)
{
	const struct recipient *x = a, *y = b;
	int domains = order(x->domain, y->domain, true);
	return domains ? domains : order(x->local, y->local, true);
}

static bool count_recipient(void *owner, struct slice address)
{
	struct envelope *envelope = owner;
	(void)address;
	envelope->room++;
	return true;
}

static bool take_recipient(void *owner, struct slice address)
{
	struct envelope *envelope = owner;
	envelope->list[envelope->count++] = recipient_of(address);
	return envelope->count < envelope->room;
}

static void take_envelope(struct acl_run *run, struct envelope *envelope)
{
	struct acl_session *session = run->session;
	size_t kept = 0;
	session->recipients(session->owner, count_recipient, envelope);
	if (envelope->room == 0)
		return;
	envelope->list = arena_array(run->arena, envelope->room, sizeof *envelope->list);
	session->recipients(session->owner, take_recipient, envelope);
	qsort(envelope->list, envelope->count, sizeof *envelope->list, envelope->compare);
	for (size_t i = 0; i < envelope->count; i++)
		if (i == 0 || envelope->compare(&envelope->list[kept - 1], &envelope->list[i]) != 0)
			envelope->list[kept++] = envelope->list[i];
	envelope->count = kept;
}

/* Walks the section until all are named. Returns how many are not. */
static size_t strike_named(struct envelope *envelope, struct slice headers)
{
	static const char *const names[] = { "to", "cc", "resent-to", "resent-cc", NULL };
	struct field field;
	struct arena arena;
	size_t left = envelope->count, walked = 0;
	arena_init(&arena, 0);
	while (left && take_field(&headers, &field)) {
		struct mail_address_item item;
		struct mail_mailbox mailbox;
		const char *why;
		size_t at = 0;
		if (!is_one_of(&field, names))
			continue;
		while (left && next_address(&field, &at, &arena, &item, &mailbox, &why)) {
			struct recipient key = { .local = mailbox.local_part, .domain = mailbox.domain };
			struct recipient *found = why ? NULL : bsearch(&key, envelope->list, envelope->count, sizeof key, envelope->compare);
			if (found && !found->named) {
				found->named = true;
				left--;
			}
			arena_reset(&arena);
			let_others_run(&walked);
		}
	}
	arena_free(&arena);
	return left;
}

enum acl_step acl_verify_not_blind(struct acl_run *run, const struct acl_verify *verify)
{
	struct envelope envelope = { .compare = verify->caseless ? by_address_caseless : by_address };
	struct slice section;
	if (!headers(run, &section) || !run->session->recipients)
		return no_message(run);
	take_envelope(run, &envelope);
	return strike_named(&envelope, section) == 0 ? ACL_YES : no(run, SLICE("bcc recipient detected"));
}

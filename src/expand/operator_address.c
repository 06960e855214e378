/* SPDX-License-Identifier: ISC */
/* Operators that take addresses out of the text of header fields. */
#include "expand/functions.h"

#include "base/cleanup.h"
#include "expand/items.h"
#include "mail/mailbox.h"

/* All three parts are empty when the text is no address. */
static struct mail_mailbox parse(struct expand_call *call)
{
	struct mail_mailbox mailbox;
	if (!mail_mailbox_parse(expand_call_text(call), NULL, call->arena, &mailbox))
		mailbox = (struct mail_mailbox){ 0 };
	return mailbox;
}

enum expand_result operator_address(struct expand_call *call) { return expand_call_give(call, parse(call).address); }
enum expand_result operator_domain(struct expand_call *call) { return expand_call_give(call, parse(call).domain); }
enum expand_result operator_local_part(struct expand_call *call) { return expand_call_give(call, parse(call).local_part); }

enum expand_result operator_addresses(struct expand_call *call)
{
	struct slice rest = expand_call_text(call), text;
	while (rest.len > 0 && ascii_is_space(*rest.data))
		rest = slice_from(rest, 1);
	char separator = ':';
	if (rest.len > 1 && *rest.data == '>') {
		separator = rest.data[1];
		rest = slice_from(rest, 2);
	}
	struct buf out _cleanup_(buf_free);
	buf_init(&out, rest.len * 2 + 1);
	bool first = true, group = false;
	while (mail_mailbox_next(&rest, &text)) {
		struct mail_mailbox mailbox;
		if (!mail_mailbox_parse(text, &group, call->arena, &mailbox))
			continue;
		expand_list_append(&out, separator, first, mailbox.address);
		first = false;
	}
	return expand_call_give(call, arena_copy(call->arena, buf_slice(&out)));
}

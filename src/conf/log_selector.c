/* SPDX-License-Identifier: ISC */
#include "conf/log_selector.h"

/* Every item of Exim 4.96. Those without a bit cannot be chosen in this version: they are logged always, or never. */
static const struct item {
	const char *name;
	unsigned bit;
	bool standard; /* logged without being asked for */
} items[] = {
	{ "8bitmime", LOG_ITEM_8BITMIME, false },
	{ "acl_warn_skipped", 0, true },
	{ "address_rewrite", 0, false },
	{ "all_parents", 0, false },
	{ "arguments", 0, false },
	{ "connection_reject", LOG_ITEM_CONNECTION_REJECT, true },
	{ "delay_delivery", LOG_ITEM_DELAY_DELIVERY, true },
	{ "deliver_time", 0, false },
	{ "delivery_size", 0, false },
	{ "dkim", 0, true },
	{ "dkim_verbose", 0, false },
	{ "dnslist_defer", 0, true },
	{ "dnssec", 0, false },
	{ "etrn", 0, true },
	{ "host_lookup_failed", 0, true },
	{ "ident_timeout", 0, true },
	{ "incoming_interface", 0, false },
	{ "incoming_port", 0, false },
	{ "lost_incoming_connection", LOG_ITEM_LOST_INCOMING_CONNECTION, true },
	{ "millisec", 0, false },
	{ "msg_id", LOG_ITEM_MSG_ID, true },
	{ "msg_id_created", 0, false },
	{ "outgoing_interface", 0, false },
	{ "outgoing_port", 0, false },
	{ "pid", 0, false },
	{ "pipelining", 0, false },
	{ "proxy", LOG_ITEM_PROXY, false },
	{ "queue_run", LOG_ITEM_QUEUE_RUN, true },
	{ "queue_time", 0, false },
	{ "queue_time_exclusive", 0, false },
	{ "queue_time_overall", 0, false },
	{ "receive_time", 0, false },
	{ "received_recipients", LOG_ITEM_RECEIVED_RECIPIENTS, false },
	{ "received_sender", LOG_ITEM_RECEIVED_SENDER, false },
	{ "rejected_header", 0, true },
	{ "retry_defer", 0, true },
	{ "return_path_on_delivery", 0, false },
	{ "sender_on_delivery", 0, false },
	{ "sender_verify_fail", 0, true },
	{ "size_reject", 0, true },
	{ "skip_delivery", 0, true },
	{ "smtp_confirmation", 0, true },
	{ "smtp_connection", 0, false },
	{ "smtp_incomplete_transaction", 0, false },
	{ "smtp_mailauth", LOG_ITEM_SMTP_MAILAUTH, false },
	{ "smtp_no_mail", 0, false },
	{ "smtp_protocol_error", LOG_ITEM_SMTP_PROTOCOL_ERROR, false },
	{ "smtp_syntax_error", LOG_ITEM_SMTP_SYNTAX_ERROR, false },
	{ "subject", 0, false },
	{ "tls_certificate_verified", LOG_ITEM_TLS_CERTIFICATE_VERIFIED, true },
	{ "tls_cipher", LOG_ITEM_TLS_CIPHER, true },
	{ "tls_peerdn", LOG_ITEM_TLS_PEERDN, false },
	{ "tls_resumption", LOG_ITEM_TLS_RESUMPTION, false },
	{ "tls_sni", LOG_ITEM_TLS_SNI, false },
	{ "unknown_in_list", 0, false },
};

enum { ITEMS = sizeof items / sizeof items[0] };

unsigned log_selector_default(void)
{
	unsigned bits = 0;
	for (size_t i = 0; i < ITEMS; i++)
		bits |= items[i].standard ? items[i].bit : 0;
	return bits;
}

static unsigned all_bits(void)
{
	unsigned bits = 0;
	for (size_t i = 0; i < ITEMS; i++)
		bits |= items[i].bit;
	return bits;
}

static const struct item *find(struct slice name)
{
	for (size_t i = 0; i < ITEMS; i++)
		if (slice_equal(name, slice_of(items[i].name)))
			return &items[i];
	return NULL;
}

static bool choose(bool on, struct slice name, unsigned *bits, bool *missing_r, struct error *error)
{
	const struct item *item = find(name);
	unsigned chosen = item ? item->bit : 0;
	if (slice_equal(name, SLICE("all"))) {
		chosen = all_bits();
		*missing_r = *missing_r || on;
	} else if (!item) {
		return error_set(error, ERROR_USAGE, "unknown log item \"%.*s\"", SLICE_ARG(slice_first(name, 64)));
	} else if (!chosen && on != item->standard) {
		return error_set(error, ERROR_USAGE, "the log item \"%s\" cannot be %s in this version", item->name,
				 on ? "added" : "left out");
	}
	*bits = on ? *bits | chosen : *bits & ~chosen;
	return true;
}

bool log_selector_parse(struct slice text, unsigned *bits, bool *missing_r, struct error *error)
{
	struct slice rest = slice_trim(text);
	*missing_r = false;
	while (rest.len) {
		size_t end = 1;
		bool on = rest.data[0] == '+';
		if (!on && rest.data[0] != '-')
			return error_set(error, ERROR_USAGE, "expected names with + or - before them, such as +tls_sni -msg_id; found \"%.*s\"",
					 SLICE_ARG(slice_first(rest, 64)));
		while (end < rest.len && (ascii_is_alnum(rest.data[end]) || rest.data[end] == '_'))
			end++;
		if (!choose(on, slice_first(slice_from(rest, 1), end - 1), bits, missing_r, error))
			return false;
		rest = slice_trim(slice_from(rest, end));
	}
	return true;
}

/* SPDX-License-Identifier: ISC */
/*
 * The modifier `udpsend` (Exim's manual, chapter 44 §20): a packet to a host and port, for statistics. The lookup role sends it.
 * What a peer had a hand in can be in the packet, but names no host and no port.
 */
#include "acl/private.h"

#include "expand/pieces.h"

#define UDPSEND_TIMEOUT (10 * CLOCK_SECOND)

struct packet {
	struct slice host, port, text;
	bool named_by_peer; /* the host or the port */
};

/* The list is cut where the configuration wrote its separators: two items, and all the rest is the packet. */
static bool take_apart(struct piece_text text, struct arena *arena, struct packet *packet_r)
{
	struct piece_text host, port;
	char separator = piece_text_take_separator(&text);
	if (!piece_text_next(&text, separator, false, arena, &host) || !piece_text_next(&text, separator, false, arena, &port) ||
	    text.at >= text.len)
		return false;
	*packet_r = (struct packet){ .host = piece_text_rest(&host), .port = piece_text_rest(&port), .text = slice_trim(piece_text_rest(&text)) };
	packet_r->named_by_peer = piece_text_any_bound(&host) || piece_text_any_bound(&port);
	return packet_r->host.len && packet_r->port.len && packet_r->text.len;
}

bool acl_udpsend_check(struct slice value, struct arena *scratch, struct error *error)
{
	struct packet packet;
	uint64_t port;
	if (take_apart(piece_text_plain(value, scratch), scratch, &packet) && slice_parse_u64(packet.port, UINT16_MAX, &port) && port)
		return true;
	return error_set(error, ERROR_USAGE, "expected a host, a port number and a text, separated by colons");
}

enum acl_step acl_udpsend_run(struct acl_run *run, const struct acl_item *item, struct expand_value value)
{
	struct packet packet = { 0 };
	struct expand_answer answer = { 0 };
	struct error error = { 0 };
	(void)item;
	(void)value;
	if (!take_apart(run->text, run->arena, &packet))
		return acl_broken(run, "udpsend: expected a host, a port number and a text, separated by colons");
	if (packet.named_by_peer)
		return acl_broken(run, "udpsend: a host or port that a peer had a hand in");
	if (!run->context.ask)
		return acl_broken(run, "udpsend: nothing can be sent here");
	struct expand_request request = {
		.service = EXPAND_SERVICE_UDP, .type = packet.host, .key = packet.text, .key_tainted = true, .options = &packet.port,
		.option_count = 1, .deadline = clock_after(UDPSEND_TIMEOUT),
	};
	switch (run->context.ask(run->context.owner, &request, run->arena, &answer, &error)) {
	case EXPAND_OK: return ACL_YES;
	case EXPAND_DEFER: return acl_later(run, "%s", error.text);
	default: return acl_broken(run, "%s", error.text);
	}
}

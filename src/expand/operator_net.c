/* SPDX-License-Identifier: ISC */
/* Operators on IP addresses and networks. Their results are made of digits, dots and colons, whoever chose the address. */
#include "expand/functions.h"

#include "net/address.h"

enum { GROUPS = 8 };

/* No brackets: net_address_parse takes them, Exim's operators do not. */
static bool parse(struct slice text, struct net_address *address_r)
{
	return text.len > 0 && *text.data != '[' && net_address_parse(text, address_r);
}

static void as_ipv6(const struct net_address *address, uint8_t bytes[16])
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff }; /* RFC 4291 §2.5.5.2 */
	if (address->family == AF_INET6) {
		memcpy(bytes, address->bytes, 16);
		return;
	}
	memcpy(bytes, mapped, sizeof(mapped));
	memcpy(bytes + 12, address->bytes, 4);
}

static unsigned group(const uint8_t bytes[16], size_t i) { return (unsigned)(bytes[2 * i] << 8 | bytes[2 * i + 1]); }

/* All eight groups, of four digits each. */
static struct slice full_text(struct arena *arena, const uint8_t bytes[16], char separator)
{
	char text[GROUPS * 5 + 1];
	for (size_t i = 0; i < GROUPS; i++)
		snprintf(text + i * 5, sizeof(text) - i * 5, "%04x%c", group(bytes, i), separator);
	return arena_copy(arena, slice_make(text, GROUPS * 5 - 1));
}

/* Without leading zeros, and "::" instead of the longest run of zero groups (the first, if several are equally long). */
static struct slice short_text(struct arena *arena, const uint8_t bytes[16])
{
	size_t best = GROUPS, longest = 0;
	for (size_t i = 0, run = 0; i < GROUPS; i++) {
		run = group(bytes, i) == 0 ? run + 1 : 0;
		if (run > longest) {
			longest = run;
			best = i + 1 - run;
		}
	}
	char text[64] = "";
	size_t len = 0;
	for (size_t i = 0; i < GROUPS; i++) {
		if (i == best) {
			len += (size_t)snprintf(text + len, sizeof(text) - len, "::");
			i += longest - 1;
			continue;
		}
		bool colon = len > 0 && text[len - 1] != ':';
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%x", colon ? ":" : "", group(bytes, i));
	}
	return arena_copy(arena, slice_make(text, len));
}

static enum expand_result not_an_address(struct expand_call *call)
{
	return expand_fail(call, "\"%.*s\" is not an IP address", SLICE_ARG(slice_first(expand_call_text(call), 100)));
}

enum expand_result operator_ipv6norm(struct expand_call *call)
{
	struct net_address address;
	uint8_t bytes[16];
	if (!parse(expand_call_text(call), &address))
		return not_an_address(call);
	as_ipv6(&address, bytes);
	return expand_call_give(call, short_text(call->arena, bytes));
}

enum expand_result operator_ipv6denorm(struct expand_call *call)
{
	struct net_address address;
	uint8_t bytes[16];
	if (!parse(expand_call_text(call), &address))
		return not_an_address(call);
	as_ipv6(&address, bytes);
	return expand_call_give(call, full_text(call->arena, bytes, ':'));
}

enum expand_result operator_reverse_ip(struct expand_call *call)
{
	struct net_address address;
	if (!parse(expand_call_text(call), &address))
		return expand_fail(call, "reverse_ip() not given an IP address [%.*s]", SLICE_ARG(slice_first(expand_call_text(call), 100)));
	address = net_address_unmap(address);
	const uint8_t *b = address.bytes;
	if (address.family == AF_INET)
		return expand_call_give(call, arena_printf(call->arena, "%u.%u.%u.%u", b[3], b[2], b[1], b[0]));
	char text[16 * 4 + 1];
	for (size_t i = 0; i < 16; i++)
		snprintf(text + 4 * i, sizeof(text) - 4 * i, "%x.%x.", b[15 - i] & 15, b[15 - i] >> 4);
	return expand_call_give(call, arena_copy(call->arena, slice_make(text, sizeof(text) - 2)));
}

/* With dots between the groups of IPv6, for lsearch files, whose keys end at a colon; mask_n gives the usual form. */
enum expand_result operator_mask(struct expand_call *call)
{
	struct slice text = expand_call_text(call), shown = slice_first(text, 100), rest = text;
	bool usual = call->modifier_count > 0;
	if (usual && !slice_equal(call->modifiers[0], SLICE("n")))
		return expand_fail(call, "mask takes no modifier but \"n\"");
	struct slice host = slice_cut(&rest, '/');
	struct net_address address;
	uint64_t bits;
	if (host.len == text.len && parse(host, &address))
		return expand_fail(call, "missing mask value in \"%.*s\"", SLICE_ARG(shown));
	if (!parse(host, &address) || !slice_parse_u64(rest, INT32_MAX, &bits))
		return not_an_address(call);
	if (bits > (address.family == AF_INET ? 32 : 128))
		return expand_fail(call, "mask value too big in \"%.*s\"", SLICE_ARG(shown));
	address = net_address_mask(&address, (unsigned)bits);
	struct net_text dotted = net_address_text(&address);
	struct slice masked = slice_of(dotted.text);
	if (address.family != AF_INET)
		masked = usual ? short_text(call->arena, address.bytes) : full_text(call->arena, address.bytes, '.');
	return expand_call_give(call, arena_printf(call->arena, "%.*s/%u", SLICE_ARG(masked), (unsigned)bits));
}

/* SPDX-License-Identifier: ISC */
#include "net/address.h"

#include "base/fatal.h"

#include <arpa/inet.h>
#include <string.h>

static const uint8_t mapped_prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

static unsigned address_bits(const struct net_address *address)
{
	return address->family == AF_INET ? 32 : address->family == AF_INET6 ? 128 : 0;
}

/* Without brackets. */
static bool parse_plain(struct slice text, struct net_address *address_r)
{
	char cstr[INET6_ADDRSTRLEN];
	struct net_address address = { 0 };
	if (!slice_to_cstr(text, cstr, sizeof cstr))
		return false;
	address.family = slice_find(text, ':') < text.len ? AF_INET6 : AF_INET;
	if (inet_pton(address.family, cstr, address.bytes) != 1)
		return false;
	*address_r = address;
	return true;
}

bool net_address_parse(struct slice text, struct net_address *address_r)
{
	if (text.len >= 2 && text.data[0] == '[' && text.data[text.len - 1] == ']')
		text = slice_make(text.data + 1, text.len - 2);
	return parse_plain(text, address_r);
}

static bool parse_port(struct slice text, uint16_t *port_r)
{
	uint64_t port;
	if (text.len > 5 || !slice_parse_u64(text, 65535, &port) || port == 0)
		return false;
	*port_r = (uint16_t)port;
	return true;
}

bool net_interface_parse(struct slice text, struct net_address *address_r)
{
	struct net_address address;
	uint16_t port;
	if (net_address_parse(text, address_r))
		return true;

	bool bracketed = text.len && text.data[0] == '[';
	size_t at = bracketed ? slice_find(text, ']') + 1 : slice_find_last(text, '.');
	if (at >= text.len || (bracketed && text.data[at] != ':'))
		return false;
	if (!net_address_parse(slice_first(text, at), &address) || !parse_port(slice_from(text, at + 1), &port))
		return false;
	address.port = port;
	*address_r = address;
	return true;
}

bool net_address_from_sockaddr(const struct sockaddr *from, socklen_t len, struct net_address *address_r)
{
	struct net_address address = { 0 };
	if (len < (socklen_t)(offsetof(struct sockaddr, sa_family) + sizeof from->sa_family))
		return false;
	if (from->sa_family == AF_INET && len >= (socklen_t)sizeof(struct sockaddr_in)) {
		struct sockaddr_in in;
		memcpy(&in, from, sizeof in);
		memcpy(address.bytes, &in.sin_addr, 4);
		address.port = ntohs(in.sin_port);
	} else if (from->sa_family == AF_INET6 && len >= (socklen_t)sizeof(struct sockaddr_in6)) {
		struct sockaddr_in6 in6;
		memcpy(&in6, from, sizeof in6);
		memcpy(address.bytes, &in6.sin6_addr, 16);
		address.port = ntohs(in6.sin6_port);
	} else {
		return false;
	}
	address.family = from->sa_family;
	*address_r = address;
	return true;
}

socklen_t net_address_to_sockaddr(const struct net_address *address, struct sockaddr_storage *to_r)
{
	memset(to_r, 0, sizeof *to_r);
	if (address->family == AF_INET) {
		struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(address->port) };
		memcpy(&in.sin_addr, address->bytes, 4);
		memcpy(to_r, &in, sizeof in);
		return sizeof in;
	}
	ensure(address->family == AF_INET6);
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(address->port) };
	memcpy(&in6.sin6_addr, address->bytes, 16);
	memcpy(to_r, &in6, sizeof in6);
	return sizeof in6;
}

struct net_text net_address_text(const struct net_address *address)
{
	struct net_text out = { "" };
	if (address_bits(address))
		inet_ntop(address->family, address->bytes, out.text, sizeof out.text);
	return out;
}

struct net_text net_address_text_port(const struct net_address *address)
{
	struct net_text plain = net_address_text(address), out = { "" };
	if (!plain.text[0])
		return out;
	if (address->port)
		snprintf(out.text, sizeof out.text, "[%.46s]:%u", plain.text, (unsigned)address->port);
	else
		snprintf(out.text, sizeof out.text, "[%.46s]", plain.text);
	return out;
}

bool net_address_equal(const struct net_address *a, const struct net_address *b)
{
	return a->family == b->family && address_bits(a) && memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

bool net_address_is_any(const struct net_address *address)
{
	static const uint8_t zero[16];
	return address_bits(address) && memcmp(address->bytes, zero, sizeof zero) == 0;
}

struct net_address net_address_unmap(struct net_address address)
{
	if (address.family != AF_INET6 || memcmp(address.bytes, mapped_prefix, sizeof mapped_prefix) != 0)
		return address;
	struct net_address plain = { .family = AF_INET, .port = address.port };
	memcpy(plain.bytes, address.bytes + 12, 4);
	return plain;
}

struct net_address net_address_mask(const struct net_address *address, unsigned prefix)
{
	struct net_address masked = { .family = address->family };
	unsigned whole = prefix / 8, rest = prefix % 8;
	if (whole >= sizeof masked.bytes) {
		memcpy(masked.bytes, address->bytes, sizeof masked.bytes);
		return masked;
	}
	memcpy(masked.bytes, address->bytes, whole);
	masked.bytes[whole] = (uint8_t)(address->bytes[whole] & (0xff00u >> rest));
	return masked;
}

bool net_network_parse(struct slice text, struct net_network *network_r)
{
	struct net_address address;
	size_t slash = slice_find(text, '/');
	uint64_t prefix;
	if (!net_address_parse(slice_first(text, slash), &address))
		return false;
	if (slash == text.len)
		prefix = address_bits(&address);
	else if (text.len - slash > 4 || !slice_parse_u64(slice_from(text, slash + 1), address_bits(&address), &prefix))
		return false;
	if (prefix >= 96 && net_address_unmap(address).family != address.family) {
		address = net_address_unmap(address);
		prefix -= 96;
	}
	network_r->address = net_address_mask(&address, (unsigned)prefix);
	network_r->prefix = (unsigned)prefix;
	return true;
}

bool net_network_contains(const struct net_network *network, const struct net_address *address)
{
	struct net_address plain = net_address_unmap(*address);
	if (plain.family != network->address.family)
		return false;
	struct net_address masked = net_address_mask(&plain, network->prefix);
	return net_address_equal(&masked, &network->address);
}

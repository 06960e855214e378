/* SPDX-License-Identifier: ISC */
/*
 * Addresses of hosts and networks: text to bytes, bytes to text, sockets' form, and membership. Everything is a plain value;
 * nothing is allocated and no name is ever looked up. Ports are in host order, 0 where none was given.
 *
 * Invariants: family is AF_INET or AF_INET6 (AF_UNSPEC only in a zeroed struct, which equals no other address and is in no
 * network); bytes are in network order, those behind an IPv4 address's four are zero; the host bits of a network are zero.
 */
#ifndef POSTERN_NET_ADDRESS_H
#define POSTERN_NET_ADDRESS_H

#include "base/slice.h"

#include <netinet/in.h>
#include <sys/socket.h>

struct net_address {
	sa_family_t family;
	uint8_t bytes[16];
	uint16_t port;
};

struct net_network {
	struct net_address address; /* of the network; no port */
	unsigned prefix;            /* leading bits that count: 0 to 32 or 128 */
};

/* Text by value, NUL-ended: the longest IPv6 address with brackets and port is 53 bytes. */
struct net_text {
	char text[64];
};

/*
 * An IPv4 address as four decimal numbers without leading zeros, or an IPv6 address (RFC 4291 §2.2); either may stand in
 * square brackets. No port, no zone, nothing around it. False leaves *address_r untouched.
 */
bool net_address_parse(struct slice text, struct net_address *address_r);
/*
 * An item of local_interfaces: an address, or one with a port as "127.0.0.1.2525", "::1.26" or "[::1]:25". The port is 1 to
 * 65535, and 0 in *address_r when none was given. False leaves *address_r untouched.
 */
bool net_interface_parse(struct slice text, struct net_address *address_r);

/* False for families other than IPv4 and IPv6, and for a length too short for the family. */
bool net_address_from_sockaddr(const struct sockaddr *from, socklen_t len, struct net_address *address_r);
/* Returns the length that belongs to the family. The address must not be a zeroed struct. */
socklen_t net_address_to_sockaddr(const struct net_address *address, struct sockaddr_storage *to_r);

/* "192.0.2.1", "2001:db8::1"; and as Exim logs hosts, "[192.0.2.1]:25". A zeroed struct gives empty text. */
struct net_text net_address_text(const struct net_address *address);
struct net_text net_address_text_port(const struct net_address *address);

/* Same family and bytes; the ports are not compared. */
bool net_address_equal(const struct net_address *a, const struct net_address *b);
/* 0.0.0.0 and :: stand for all interfaces. */
bool net_address_is_any(const struct net_address *address);
/* An IPv4-mapped IPv6 address (::ffff:a.b.c.d, RFC 4291 §2.5.5.2) becomes that IPv4 address; others stay as they are. */
struct net_address net_address_unmap(struct net_address address);

/*
 * "10.0.0.0/8", "2001:db8::/32"; without a slash the address alone. Host bits are cleared: Exim's masks apply to both sides.
 * A network inside ::ffff:0:0/96 becomes the IPv4 network. False leaves *network_r untouched.
 */
bool net_network_parse(struct slice text, struct net_network *network_r);
/* An IPv4-mapped address counts as its IPv4 address; the port does not matter. */
bool net_network_contains(const struct net_network *network, const struct net_address *address);
/* The address with all but the first `prefix` bits cleared, and no port. */
struct net_address net_address_mask(const struct net_address *address, unsigned prefix);

#endif

/* SPDX-License-Identifier: ISC */
#include "net/proxy.h"

#include "base/crc32c.h"

#include <string.h>

/* §2.2: no text protocol and no TLS begins with it. */
static const struct slice signature = SLICE("\r\n\r\n\0\r\nQUIT\n");
static const struct slice word = SLICE("PROXY");

enum { V2_FIXED = 16, ADDRESSES_AT = V2_FIXED };

static enum proxy_result bad(struct proxy_header *header, const char *problem)
{
	header->problem = problem;
	return PROXY_BAD;
}

/* Whether one is the start of the other. */
static bool agree(struct slice bytes, struct slice start)
{
	return slice_equal(slice_first(bytes, start.len), slice_first(start, bytes.len));
}

/* ---- Version 1 ---- */

/* In the family of the keyword, and without the brackets that are ours. */
static bool parse_address(struct slice text, sa_family_t family, struct net_address *address_r)
{
	return text.len && text.data[0] != '[' && net_address_parse(text, address_r) && address_r->family == family;
}

static bool parse_port(struct slice text, uint16_t *port_r)
{
	uint64_t port;
	if (!slice_parse_u64(text, UINT16_MAX, &port) || (text.len > 1 && text.data[0] == '0'))
		return false;
	*port_r = (uint16_t)port;
	return true;
}

/* What follows "TCP4 " or "TCP6 ". */
static enum proxy_result parse_ends(struct slice rest, sa_family_t family, struct proxy_header *header)
{
	if (!parse_address(slice_cut(&rest, ' '), family, &header->client) ||
	    !parse_address(slice_cut(&rest, ' '), family, &header->target))
		return bad(header, "an address is malformed, or of another family");
	if (!parse_port(slice_cut(&rest, ' '), &header->client.port) || !parse_port(rest, &header->target.port))
		return bad(header, "a port is malformed");
	header->relayed = true;
	return PROXY_DONE;
}

/* `line`: without its CRLF. */
static enum proxy_result parse_line(struct slice line, struct proxy_header *header)
{
	struct slice rest = slice_from(line, word.len);
	if (slice_starts(rest, SLICE(" TCP4 ")))
		return parse_ends(slice_from(rest, 6), AF_INET, header);
	if (slice_starts(rest, SLICE(" TCP6 ")))
		return parse_ends(slice_from(rest, 6), AF_INET6, header);
	/* Whatever follows it is to be ignored. */
	if (slice_equal(rest, SLICE(" UNKNOWN")) || slice_starts(rest, SLICE(" UNKNOWN ")))
		return PROXY_DONE;
	return bad(header, "the protocol is none of TCP4, TCP6 and UNKNOWN");
}

static enum proxy_result parse_v1(struct slice bytes, struct proxy_header *header)
{
	struct slice text = slice_first(bytes, PROXY_V1_MAX);
	size_t lf = slice_find(text, '\n'), cr = slice_find(text, '\r');
	header->version = 1;
	/* Neither of them may stand alone (§2.1); a CR that is the last octet so far may still get its LF. */
	if (lf < cr || (cr + 1 < text.len && lf != cr + 1))
		return bad(header, "a bare CR or LF");
	if (lf < text.len) {
		header->length = lf + 1;
		return parse_line(slice_first(text, cr), header);
	}
	return text.len < PROXY_V1_MAX ? PROXY_MORE : bad(header, "the line is too long");
}

/* ---- Version 2 ---- */

/* The protocol bytes of §2.2 with the octets of their addresses. Those that are not TCP count as unspecified, as it asks. */
static const struct transport {
	unsigned char byte;
	unsigned char address; /* octets of one IP address; 0: not TCP */
	unsigned char block;   /* octets of all addresses and ports */
} transports[] = {
	{ 0x00, 0, 0 }, { 0x11, 4, 12 }, { 0x12, 0, 12 }, { 0x21, 16, 36 }, { 0x22, 0, 36 }, { 0x31, 0, 216 }, { 0x32, 0, 216 },
};

static const struct transport *find_transport(unsigned char byte)
{
	for (size_t i = 0; i < sizeof transports / sizeof transports[0]; i++)
		if (transports[i].byte == byte)
			return &transports[i];
	return NULL;
}

static unsigned char octet(struct slice bytes, size_t at)
{
	return (unsigned char)bytes.data[at];
}

static uint16_t number16(struct slice bytes, size_t at)
{
	return (uint16_t)(octet(bytes, at) << 8 | octet(bytes, at + 1));
}

static uint32_t number32(struct slice bytes, size_t at)
{
	return (uint32_t)number16(bytes, at) << 16 | number16(bytes, at + 2);
}

/* The next type, length and value of *rest. False: what is left is none. */
static bool take_field(struct slice *rest, unsigned char *type_r, struct slice *value_r)
{
	if (rest->len < 3 || number16(*rest, 1) > rest->len - 3)
		return false;
	*type_r = octet(*rest, 0);
	*value_r = slice_first(slice_from(*rest, 3), number16(*rest, 1));
	*rest = slice_from(*rest, 3 + value_r->len);
	return true;
}

static enum proxy_result take_tls(struct slice value, struct proxy_header *header)
{
	enum { VERSION = 0x21, NAME = 0x22, CIPHER = 0x23 };
	struct proxy_tls *tls = &header->tls;
	if (value.len < 5)
		return bad(header, "the part about TLS is too short");
	unsigned char client = octet(value, 0), type;
	tls->used = client & 1;
	tls->certificate = client & (2 | 4);
	tls->verified = tls->used && tls->certificate && number32(value, 1) == 0;
	for (struct slice rest = slice_from(value, 5), part; rest.len;) {
		if (!take_field(&rest, &type, &part))
			return bad(header, "the part about TLS is cut off");
		switch (type) {
		case VERSION: tls->version = part; break;
		case NAME: tls->name = part; break;
		case CIPHER: tls->cipher = part; break;
		default: break;
		}
	}
	return PROXY_DONE;
}

/* §2.2.3: over the whole header, with the checksum's own four octets as zeros. */
static enum proxy_result take_checksum(struct slice value, struct slice whole, struct proxy_header *header)
{
	static const char zeros[4];
	if (value.len != sizeof zeros || header->checksum)
		return bad(header, "the checksum is malformed");
	size_t at = (size_t)(value.data - whole.data);
	struct slice behind = slice_from(whole, at + sizeof zeros);
	uint32_t sum = crc32c(0, whole.data, at);
	sum = crc32c(sum, zeros, sizeof zeros);
	sum = crc32c(sum, behind.data, behind.len);
	if (sum != number32(value, 0))
		return bad(header, "the checksum is wrong");
	header->checksum = true;
	return PROXY_DONE;
}

/* The fields behind the addresses. Types that are not known here are passed over. */
static enum proxy_result parse_fields(struct slice whole, size_t from, struct proxy_header *header)
{
	enum { ALPN = 0x01, AUTHORITY = 0x02, CRC32C = 0x03, UNIQUE_ID = 0x05, TLS = 0x20 };
	enum proxy_result result = PROXY_DONE;
	struct slice rest = slice_from(whole, from), value;
	while (rest.len && result == PROXY_DONE) {
		unsigned char type;
		if (!take_field(&rest, &type, &value))
			return bad(header, "a field is cut off");
		switch (type) {
		case ALPN: header->protocol = value; break;
		case AUTHORITY: header->server_name = value; break;
		case CRC32C: result = take_checksum(value, whole, header); break;
		case TLS: result = take_tls(value, header); break;
		case UNIQUE_ID:
			header->unique_id = value;
			if (value.len > PROXY_UNIQUE_ID_MAX)
				result = bad(header, "the unique identifier is too long");
			break;
		default: break;
		}
	}
	return result;
}

static struct net_address read_address(struct slice bytes, size_t at, size_t size, size_t port_at)
{
	struct net_address address = { .family = size == 4 ? AF_INET : AF_INET6, .port = number16(bytes, port_at) };
	memcpy(address.bytes, bytes.data + at, size);
	return address;
}

/* `whole`: the header, every octet of it. */
static enum proxy_result parse_addresses(struct slice whole, struct proxy_header *header)
{
	const struct transport *transport = find_transport(octet(whole, 13));
	size_t size;
	if (!transport)
		return bad(header, "an unknown address family or transport");
	if (whole.len - V2_FIXED < transport->block)
		return bad(header, "it is too short for its addresses");
	size = transport->address;
	header->relayed = size > 0;
	if (header->relayed) {
		header->client = read_address(whole, ADDRESSES_AT, size, ADDRESSES_AT + 2 * size);
		header->target = read_address(whole, ADDRESSES_AT + size, size, ADDRESSES_AT + 2 * size + 2);
	}
	return parse_fields(whole, ADDRESSES_AT + transport->block, header);
}

static enum proxy_result parse_v2(struct slice bytes, struct proxy_header *header)
{
	enum { LOCAL = 0x20, RELAYED = 0x21 };
	size_t length;
	header->version = 2;
	if (bytes.len <= signature.len)
		return PROXY_MORE;
	unsigned char command = octet(bytes, signature.len);
	if (command != LOCAL && command != RELAYED)
		return bad(header, "an unknown version or command");
	if (bytes.len < V2_FIXED)
		return PROXY_MORE;
	length = V2_FIXED + (size_t)number16(bytes, 14);
	if (length > PROXY_HEADER_MAX)
		return bad(header, "it is too long");
	if (bytes.len < length)
		return PROXY_MORE;
	header->length = length;
	/* Of LOCAL the rest is to be discarded, the address family included. */
	return command == LOCAL ? PROXY_DONE : parse_addresses(slice_first(bytes, length), header);
}

enum proxy_result proxy_parse(struct slice bytes, struct proxy_header *header_r)
{
	*header_r = (struct proxy_header){ 0 };
	if (bytes.len == 0)
		return PROXY_MORE;
	if (agree(bytes, word))
		return parse_v1(bytes, header_r);
	return agree(bytes, signature) ? parse_v2(bytes, header_r) : PROXY_NONE;
}

bool proxy_begins(struct slice bytes)
{
	return slice_starts(bytes, SLICE("PROXY ")) || slice_starts(bytes, signature);
}

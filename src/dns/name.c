/* SPDX-License-Identifier: ISC */
/* Names, reverse names, and the mnemonics of types. */
#include "dns/name.h"

#include "dns/dns.h"

#include <string.h>

/* ---- Text to labels ---- */

/* One byte of a label, an escape taken away (RFC 1035 §5.1). False: the escape is not finished. */
static bool take_byte(struct slice *rest, unsigned char *byte_r)
{
	unsigned char first = (unsigned char)rest->data[0];
	*rest = slice_from(*rest, 1);
	*byte_r = first;
	if (first != '\\')
		return true;
	if (rest->len == 0)
		return false;
	if (!ascii_is_digit(rest->data[0])) {
		*byte_r = (unsigned char)rest->data[0];
		*rest = slice_from(*rest, 1);
		return true;
	}
	uint64_t value;
	if (rest->len < 3 || !slice_parse_u64(slice_first(*rest, 3), 255, &value))
		return false;
	*byte_r = (unsigned char)value;
	*rest = slice_from(*rest, 3);
	return true;
}

static char *put_byte(char *out, unsigned char byte)
{
	if (byte > 32 && byte < 127) {
		/* Those with a meaning in zone files are escaped as well: what we print can be pasted there. */
		if (strchr(".\\\"();@$", byte))
			*out++ = '\\';
		*out++ = (char)byte;
		return out;
	}
	*out++ = '\\';
	*out++ = (char)('0' + byte / 100);
	*out++ = (char)('0' + byte / 10 % 10);
	*out++ = (char)('0' + byte % 10);
	return out;
}

bool dns_name_parse(struct slice text, struct arena *arena, struct slice *name_r, struct error *error)
{
	struct slice rest = text;
	size_t wire = 1, label = 0; /* the root's byte */
	if (text.len == 0 || text.len > DNS_TEXT_MAX + 1)
		return error_set(error, ERROR_PERMANENT, text.len ? "a domain name is too long" : "a domain name is empty");
	if (slice_equal(text, SLICE("."))) {
		*name_r = SLICE(".");
		return true;
	}
	char *start = arena_alloc(arena, DNS_TEXT_MAX + 2), *out = start;
	while (rest.len) {
		unsigned char byte;
		bool dot = rest.data[0] == '.';
		if (!take_byte(&rest, &byte))
			return error_set(error, ERROR_PERMANENT, "%.*s: an escape in the domain name is not finished", SLICE_ARG(text));
		if (dot && label == 0)
			return error_set(error, ERROR_PERMANENT, "%.*s: a label of the domain name is empty", SLICE_ARG(text));
		if (!dot && label == DNS_LABEL_MAX)
			return error_set(error, ERROR_PERMANENT, "%.*s: a label of the domain name is longer than 63 bytes",
					 SLICE_ARG(text));
		wire += dot ? 0 : label ? 1 : 2; /* a label's first byte brings its length along */
		if (wire > DNS_NAME_MAX)
			return error_set(error, ERROR_PERMANENT, "%.*s: the domain name is longer than 255 bytes", SLICE_ARG(text));
		label = dot ? 0 : label + 1;
		if (!dot)
			out = put_byte(out, byte);
		else if (rest.len) /* the dot at the end of the name is left out */
			*out++ = '.';
	}
	*out = '\0';
	*name_r = slice_make(start, (size_t)(out - start));
	return true;
}

/* ---- Labels to text ---- */

bool dns_name_take(struct slice *wire, struct arena *arena, struct slice *name_r)
{
	char *start = arena_alloc(arena, DNS_TEXT_MAX + 2), *out = start;
	size_t used = 0;
	for (;;) {
		if (used >= wire->len)
			return false;
		size_t len = (unsigned char)wire->data[used++];
		if (len == 0)
			break;
		/* A pointer (RFC 1035 §4.1.4) has no meaning outside of its packet. */
		if (len > DNS_LABEL_MAX || wire->len - used < len || used + len + 1 > DNS_NAME_MAX)
			return false;
		if (out > start)
			*out++ = '.';
		for (size_t i = 0; i < len; i++)
			out = put_byte(out, (unsigned char)wire->data[used + i]);
		used += len;
	}
	if (out == start)
		*out++ = '.';
	*out = '\0';
	*name_r = slice_make(start, (size_t)(out - start));
	*wire = slice_from(*wire, used);
	return true;
}

struct slice dns_name_parent(struct slice name)
{
	for (size_t i = 0; i < name.len; i++) {
		if (name.data[i] == '\\')
			i++;
		else if (name.data[i] == '.')
			return slice_from(name, i + 1);
	}
	return (struct slice){ 0 };
}

/* ---- Reverse names ---- */

struct slice dns_reverse_name(const struct net_address *address, struct arena *arena)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *b = address->bytes;
	if (address->family == AF_INET)
		return arena_printf(arena, "%u.%u.%u.%u.in-addr.arpa", b[3], b[2], b[1], b[0]);
	char text[16 * 4 + 1];
	for (size_t i = 0; i < 16; i++) {
		uint8_t byte = b[15 - i];
		text[4 * i] = digits[byte & 15];
		text[4 * i + 1] = '.';
		text[4 * i + 2] = digits[byte >> 4];
		text[4 * i + 3] = '.';
	}
	text[64] = '\0';
	return arena_printf(arena, "%sip6.arpa", text);
}

/* ---- Types ---- */

unsigned dns_type_find(struct slice mnemonic)
{
	static const struct {
		const char *name;
		unsigned type;
	} types[] = {
		{ "A", DNS_A }, { "NS", DNS_NS }, { "CNAME", DNS_CNAME }, { "SOA", DNS_SOA }, { "PTR", DNS_PTR }, { "MX", DNS_MX },
		{ "TXT", DNS_TXT }, { "AAAA", DNS_AAAA }, { "SRV", DNS_SRV }, { "TLSA", DNS_TLSA }, { "SPF", DNS_SPF },
	};
	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
		if (slice_equal_nocase(mnemonic, slice_of(types[i].name)))
			return types[i].type;
	return 0;
}

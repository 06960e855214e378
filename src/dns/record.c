/* SPDX-License-Identifier: ISC */
/* The data of records, taken apart by a table of layouts. */
#include "dns/dns.h"
#include "dns/name.h"

/*
 * One letter a field: 1, 2, 4: a number of so many bytes; a, A: an IPv4 or IPv6 address; n: a name; x: the rest in hexadecimal; s: one or
 * more strings to the end (RFC 1035 §3.3.14).
 */
static const struct {
	unsigned type;
	const char *layout;
} layouts[] = {
	{ DNS_A, "a" }, { DNS_AAAA, "A" }, { DNS_NS, "n" }, { DNS_CNAME, "n" }, { DNS_PTR, "n" }, { DNS_MX, "2n" },
	{ DNS_SRV, "222n" }, { DNS_SOA, "nn44444" }, { DNS_TXT, "s" }, { DNS_SPF, "s" }, { DNS_TLSA, "111x" },
};

static bool take_number(struct slice *rest, size_t size, struct arena *arena, struct slice *text_r)
{
	uint32_t value = 0;
	if (rest->len < size)
		return false;
	for (size_t i = 0; i < size; i++)
		value = value << 8 | (unsigned char)rest->data[i];
	*rest = slice_from(*rest, size);
	*text_r = arena_printf(arena, "%u", (unsigned)value);
	return true;
}

static bool take_address(struct slice *rest, sa_family_t family, struct arena *arena, struct slice *text_r)
{
	struct net_address address = { .family = family };
	size_t size = family == AF_INET ? 4 : 16;
	if (rest->len < size)
		return false;
	for (size_t i = 0; i < size; i++)
		address.bytes[i] = (uint8_t)rest->data[i];
	*rest = slice_from(*rest, size);
	struct net_text text = net_address_text(&address);
	*text_r = arena_copy(arena, slice_of(text.text));
	return true;
}

static bool take_hexadecimal(struct slice *rest, struct arena *arena, struct slice *text_r)
{
	static const char digits[] = "0123456789abcdef";
	char *out = arena_alloc(arena, 2 * rest->len + 1);
	for (size_t i = 0; i < rest->len; i++) {
		unsigned char byte = (unsigned char)rest->data[i];
		out[2 * i] = digits[byte >> 4];
		out[2 * i + 1] = digits[byte & 15];
	}
	*text_r = slice_make(out, 2 * rest->len);
	*rest = slice_from(*rest, rest->len);
	return true;
}

static bool take_strings(struct slice *rest, struct arena *arena, struct dns_fields *fields)
{
	do {
		size_t len = rest->len ? (unsigned char)rest->data[0] : 0;
		if (rest->len == 0 || rest->len - 1 < len || fields->count == DNS_FIELDS_MAX)
			return false;
		fields->items[fields->count++] = arena_copy(arena, slice_first(slice_from(*rest, 1), len));
		*rest = slice_from(*rest, 1 + len);
	} while (rest->len);
	return true;
}

static bool take_field(char kind, struct slice *rest, struct arena *arena, struct dns_fields *fields)
{
	if (kind == 's')
		return take_strings(rest, arena, fields);
	struct slice *item = &fields->items[fields->count++];
	switch (kind) {
	case 'a': return take_address(rest, AF_INET, arena, item);
	case 'A': return take_address(rest, AF_INET6, arena, item);
	case 'n': return dns_name_take(rest, arena, item);
	case 'x': return take_hexadecimal(rest, arena, item);
	default: return take_number(rest, (size_t)(kind - '0'), arena, item);
	}
}

bool dns_fields_parse(unsigned type, struct slice data, struct arena *arena, struct dns_fields *fields_r)
{
	const char *layout = NULL;
	struct slice rest = data;
	for (size_t i = 0; i < sizeof layouts / sizeof layouts[0]; i++)
		if (layouts[i].type == type)
			layout = layouts[i].layout;
	if (!layout)
		return false;
	*fields_r = (struct dns_fields){ .items = arena_array(arena, *layout == 's' ? DNS_FIELDS_MAX : 8, sizeof *fields_r->items) };
	for (; *layout; layout++)
		if (!take_field(*layout, &rest, arena, fields_r))
			return false;
	return rest.len == 0;
}

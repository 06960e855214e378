/* SPDX-License-Identifier: ISC */
/* Names and records from any bytes: what is taken apart must have the form that is promised. The first byte chooses the type. */
#include "base/fatal.h"
#include "dns/dns.h"
#include "dns/hosts_file.h"
#include "dns/name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void name_survives(struct slice text, struct arena *arena)
{
	struct slice name, again;
	struct error error;
	if (!dns_name_parse(text, arena, &name, &error))
		return;
	ensure(name.len <= DNS_TEXT_MAX && name.len > 0);
	for (size_t i = 0; i < name.len; i++)
		ensure(name.data[i] > 32 && name.data[i] < 127);
	ensure(dns_name_parse(name, arena, &again, &error) && slice_equal(name, again));
	for (unsigned labels = 0; name.len; labels++, name = dns_name_parent(name))
		ensure(labels < 128);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned types[] = { DNS_A, DNS_NS, DNS_SOA, DNS_MX, DNS_TXT, DNS_AAAA, DNS_SRV, DNS_TLSA, 255 };
	struct arena arena;
	struct dns_fields fields;
	if (size == 0)
		return 0;
	arena_init(&arena, 0);
	struct slice bytes = slice_make(data + 1, size - 1), name, rest = bytes;
	unsigned type = types[data[0] % (sizeof types / sizeof types[0])];
	if (dns_fields_parse(type, bytes, &arena, &fields))
		ensure(type != 255 && fields.count > 0 && fields.count <= DNS_FIELDS_MAX);
	/* A name from the wire is one that can be asked for. */
	if (dns_name_take(&rest, &arena, &name)) {
		struct slice again;
		struct error error;
		ensure(dns_name_parse(name, &arena, &again, &error) && slice_equal(name, again));
	}
	name_survives(bytes, &arena);
	const struct dns_hosts *hosts = dns_hosts_parse(bytes, &arena);
	for (size_t i = 0; dns_hosts_address(hosts, SLICE("a"), i); i++)
		ensure(dns_hosts_name(hosts, dns_hosts_address(hosts, SLICE("a"), i), 0).len > 0);
	arena_free(&arena);
	return 0;
}

/* SPDX-License-Identifier: ISC */
/* PROXY headers from any bytes. What is a header is one alone and with anything behind it, and no shorter part of it is. */
#include "net/proxy.h"

#include "base/fatal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void within(struct slice whole, struct slice part)
{
	ensure(part.len == 0 || (part.data >= whole.data && part.data + part.len <= whole.data + whole.len));
}

static void check_header(struct slice bytes, const struct proxy_header *header)
{
	struct slice whole = slice_first(bytes, header->length);
	struct proxy_header again;
	ensure(header->length <= bytes.len && header->length <= (header->version == 1 ? (size_t)PROXY_V1_MAX : PROXY_HEADER_MAX));
	ensure(proxy_parse(whole, &again) == PROXY_DONE && again.length == header->length && again.relayed == header->relayed);
	ensure(!header->relayed ||
	       (net_address_equal(&again.client, &header->client) && header->client.family == header->target.family));
	for (size_t cut = header->length; cut-- > 0; cut -= cut / 2)
		ensure(proxy_parse(slice_first(whole, cut), &again) == PROXY_MORE);
	within(whole, header->server_name);
	within(whole, header->protocol);
	within(whole, header->unique_id);
	within(whole, header->tls.version);
	within(whole, header->tls.cipher);
	within(whole, header->tls.name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice bytes = slice_make(data, size);
	struct proxy_header header;
	switch (proxy_parse(bytes, &header)) {
	case PROXY_DONE: check_header(bytes, &header); break;
	case PROXY_MORE: ensure(size < PROXY_HEADER_MAX); break;
	case PROXY_BAD: ensure(header.problem); break;
	case PROXY_NONE: ensure(!proxy_begins(bytes)); break;
	}
	return 0;
}

/* SPDX-License-Identifier: ISC */
/* Addresses, interfaces and networks from any bytes: what parses must survive being written and parsed again. */
#include "net/address.h"

#include "base/fatal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = slice_make(data, size);
	struct net_address address, again;
	struct net_network network;
	if (net_interface_parse(text, &address)) {
		struct net_text written = net_address_text_port(&address);
		ensure(net_interface_parse(slice_of(written.text), &again));
		ensure(net_address_equal(&address, &again) && address.port == again.port);
	}
	if (net_address_parse(text, &address)) {
		ensure(net_network_parse(text, &network));
		ensure(net_network_contains(&network, &address));
	}
	if (net_network_parse(text, &network))
		ensure(net_network_contains(&network, &network.address));
	return 0;
}

/* SPDX-License-Identifier: ISC */
/* EXPAND_SERVICE_UDP: one packet to a host, and no answer (the ACL modifier udpsend). */
#include "base/cleanup.h"
#include "lookup/net.h"

#include <errno.h>
#include <string.h>

enum { PACKET_MAX = 65507 }; /* octets: RFC 768 over IPv4 */

enum expand_result lookup_udp(struct lookup_world *world, const struct expand_request *request, struct arena *arena,
			      struct expand_answer *answer_r, struct error *error)
{
	struct lookup_addresses addresses;
	struct sockaddr_storage to;
	uint64_t port;
	if (request->option_count != 1 || !slice_parse_u64(request->options[0], UINT16_MAX, &port) || !port)
		return lookup_fail(error, "udpsend: not a port number");
	if (request->key.len > PACKET_MAX)
		return lookup_fail(error, "udpsend: a packet has at most %d bytes", PACKET_MAX);
	enum expand_result found = lookup_resolve(world, request->type, (uint16_t)port, request->deadline, arena, &addresses, error);
	if (found != EXPAND_OK)
		return found;
	socklen_t len = net_address_to_sockaddr(&addresses.items[0], &to);
	_cleanup_fd_ int fd = socket(to.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || sendto(fd, request->key.data, request->key.len, MSG_NOSIGNAL, (const struct sockaddr *)&to, len) < 0)
		return lookup_defer(error, "udpsend to %.*s port %u: %s", SLICE_ARG(slice_first(request->type, 255)), (unsigned)port, strerror(errno));
	answer_r->found = true;
	return EXPAND_OK;
}

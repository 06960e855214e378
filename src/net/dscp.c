/* SPDX-License-Identifier: ISC */
#include "net/dscp.h"

#include <netinet/in.h>
#include <netinet/ip.h>

/* RFC 2474, RFC 2597, RFC 3246; the last four are the bits of RFC 1349 that Exim has names for. */
static const struct {
	const char *name;
	unsigned value;
} names[] = {
	{ "ef", 46 }, { "af11", 10 }, { "af12", 12 }, { "af13", 14 }, { "af21", 18 }, { "af22", 20 }, { "af23", 22 }, { "af31", 26 },
	{ "af32", 28 }, { "af33", 30 }, { "af41", 34 }, { "af42", 36 }, { "af43", 38 }, { "cs0", 0 }, { "cs1", 8 }, { "cs2", 16 },
	{ "cs3", 24 }, { "cs4", 32 }, { "cs5", 40 }, { "cs6", 48 }, { "cs7", 56 }, { "lowdelay", 4 }, { "throughput", 2 },
	{ "reliability", 1 }, { "lowcost", 0 },
};

bool net_dscp_parse(struct slice text, unsigned *value_r)
{
	uint64_t number;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (slice_equal_nocase(text, slice_of(names[i].name))) {
			*value_r = names[i].value;
			return true;
		}
	if (!slice_parse_u64(text, 63, &number))
		return false;
	*value_r = (unsigned)number;
	return true;
}

bool net_dscp_set(int fd, sa_family_t family, unsigned value)
{
	int class = (int)(value << 2);
	if (family == AF_INET6)
		return setsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &class, sizeof class) == 0;
	return setsockopt(fd, IPPROTO_IP, IP_TOS, &class, sizeof class) == 0;
}

/* SPDX-License-Identifier: ISC */
#include "mail/host.h"

#include <stdio.h>

bool mail_helo_tells(struct slice helo, struct slice name, struct slice address)
{
	if (helo.len == 0 || slice_equal_nocase(helo, name))
		return false;
	if (helo.data[0] != '[' || helo.data[helo.len - 1] != ']')
		return true;
	helo = slice_first(slice_from(helo, 1), helo.len - 2);
	if (slice_starts_nocase(helo, SLICE("IPv6:")))
		helo = slice_from(helo, 5);
	return !slice_equal_nocase(helo, address);
}

size_t mail_host_format(struct slice name, struct slice helo, struct slice address, char *out, size_t size)
{
	bool told = mail_helo_tells(helo, name, address);
	int len = snprintf(out, size, "%.*s%s%s%.*s%s[%.*s]", SLICE_ARG(slice_first(name, 255)), name.len ? " " : "", told ? "(" : "",
			   SLICE_ARG(slice_first(helo, told ? 255 : 0)), told ? ") " : "", SLICE_ARG(slice_first(address, 64)));
	return len < 0 ? 0 : (size_t)len < size ? (size_t)len : size - 1;
}

/* SPDX-License-Identifier: ISC */
#include "role/tls_guard.h"

#define GUARD_AGAIN (60 * CLOCK_SECOND)
#define GUARD_PATIENCE (3600 * CLOCK_SECOND)

bool guard_wait_take(struct guard_wait *wait, bool changed, int64_t now)
{
	bool due = changed || (wait->again && now >= wait->again);
	if (changed)
		wait->since = 0;
	if (due)
		wait->again = 0;
	return due;
}

bool guard_wait_on(struct guard_wait *wait, int64_t now)
{
	if (!wait->since)
		wait->since = now;
	if (now - wait->since >= GUARD_PATIENCE) {
		*wait = (struct guard_wait){ 0 };
		return false;
	}
	wait->again = now + GUARD_AGAIN;
	return true;
}

/* SPDX-License-Identifier: ISC */
#include "role/fetch.h"

static int64_t back_off(unsigned failures)
{
	int64_t seconds = FETCH_RETRY_FIRST;
	for (unsigned i = 1; i < failures && seconds < FETCH_RETRY_MOST; i++)
		seconds *= 2;
	return seconds < FETCH_RETRY_MOST ? seconds : FETCH_RETRY_MOST;
}

int64_t fetch_next_try(const struct fetch_history *history)
{
	int64_t life = history->next_update - history->this_update;
	int64_t due = history->has_proof ? history->this_update + life / 3 : 0;
	int64_t earliest = 0;
	if (history->failures) {
		earliest = history->last_try + back_off(history->failures);
	} else if (history->last_try && history->has_proof && due <= history->last_try) {
		int64_t left = (history->next_update - history->last_try) / 3;
		earliest = history->last_try + (left > FETCH_SAME_LEAST ? left : FETCH_SAME_LEAST);
	}
	return due > earliest ? due : earliest;
}

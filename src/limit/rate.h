/* SPDX-License-Identifier: ISC */
/*
 * Rates of events by key, and when a key was seen last: what the ACL conditions ratelimit and seen ask (Exim's manual, chapter 44 §38
 * to §44). Pure: the caller gives the time.
 *
 * A rate is an exponentially weighted moving average. With the smoothing period p, an event of size c after the interval i, and a = exp(-i/p):
 *
 *	rate = c * (1 - a) / (i / p) + a * rate,  but at least c
 *
 * so that events at an even rate are measured as that rate, a burst counts in full at once, and one after long silence counts as itself.
 * The first event's rate is its size. A question that only reads has the size 0: it sees the rate decay.
 *
 * A rate of different events (`unique`) has size 0 for an event that was counted in the same period already. Each event is a
 * record of its own, exact, and at most LIMIT_EVENTS_MAX a key; beyond these an event is counted each time, so a key that has so many
 * is measured too fast, never too slow.
 */
#ifndef POSTERN_LIMIT_RATE_H
#define POSTERN_LIMIT_RATE_H

#include "limit/table.h"

enum { LIMIT_EVENTS_MAX = 65536 };

enum limit_update {
	LIMIT_LEAKY,    /* counted unless it makes the rate reach the limit */
	LIMIT_STRICT,   /* counted always */
	LIMIT_READONLY, /* not counted */
};

struct limit_rate {
	struct slice key;    /* with all that tells one rate from another: the period and what is measured */
	double limit, count; /* finite, not negative */
	int64_t period;      /* seconds, at least 1 */
	enum limit_update update;
	bool unique;
	struct slice event;  /* when unique */
};

/* Counts it. Returns the rate; it is over the limit when it is not below it. `now`: clock_wall_now. */
double limit_rate(struct limit_table *table, const struct limit_rate *rate, int64_t now);

enum limit_write { LIMIT_WRITE_DEFAULT, LIMIT_WRITE_NEVER, LIMIT_WRITE_ALWAYS };

struct limit_seen {
	struct slice key;
	int64_t interval; /* seconds */
	bool before;      /* true when it was seen before the interval, and not since; otherwise when it was seen since */
	enum limit_write write;
	int64_t refresh;  /* seconds */
};

/* A record that is not touched any more is kept for the interval and this many times the refresh interval. */
enum { LIMIT_SEEN_KEPT = 3 };

bool limit_seen(struct limit_table *table, const struct limit_seen *seen, int64_t now);

#endif

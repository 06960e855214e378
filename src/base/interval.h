/* SPDX-License-Identifier: ISC */
/*
 * Intervals as Exim's configuration has them (Exim's manual, chapter 6 §16): numbers, each followed by its unit, without blanks.
 * "1w2d3h4m5s" is a week, two days, three hours, four minutes and five seconds. Whole seconds, not negative; a unit may stand more
 * than once, and in any order, unless the rule says otherwise.
 */
#ifndef POSTERN_BASE_INTERVAL_H
#define POSTERN_BASE_INTERVAL_H

#include "base/slice.h"

/* What is taken for one. */
struct interval_rule {
	bool bare;           /* the last number needs no unit: it is seconds */
	bool any_case;       /* of the units; otherwise they are small letters */
	bool falling;        /* each unit once at most, the larger ones first */
	uint64_t number_max; /* of any unit; 0: only the whole is bounded */
	int64_t max;         /* of the whole, in seconds */
};

/* Takes an interval off the start of *text: as far as a number is next. False, and *text as it was, when it is none or over a bound. */
bool interval_take(struct slice *text, const struct interval_rule *rule, int64_t *seconds_r);
/* The whole text is an interval. */
bool interval_parse(struct slice text, const struct interval_rule *rule, int64_t *seconds_r);

/* "1h30m", in the largest units and without those that are 0; "0s" for 0 and less. `size` at least 32. Returns the length. */
size_t interval_format(int64_t seconds, char *out, size_t size);

#endif

/* SPDX-License-Identifier: ISC */
#include "limit/rate.h"

#include "base/clock.h"

#include <math.h>

/* The largest rate that is kept: sums of it stay finite. */
#define RATE_MAX 1e300

/* now + seconds, without overflow. */
static int64_t later(int64_t now, double seconds)
{
	return seconds < (double)(INT64_MAX - now) / (double)CLOCK_SECOND - 1 ? now + (int64_t)(seconds * (double)CLOCK_SECOND) : INT64_MAX;
}

/*
 * How long it makes a difference to measure on from this rate instead of anew: until less than a thousandth of an event is left of
 * it. ln(1000) is a little below 7.
 */
static double useful_seconds(double rate, int64_t period)
{
	return (double)period * (7 + log1p(rate));
}

static double smooth(const struct limit_facts *facts, double count, int64_t period, int64_t now)
{
	double interval = (double)(now - facts->stamp) / (double)CLOCK_SECOND;
	if (interval < 1e-9) /* the clock was set back */
		interval = 1e-9;
	double periods = interval / (double)period, kept = exp(-periods);
	double rate = count * (-expm1(-periods)) / periods + kept * facts->rate;
	rate = rate < RATE_MAX ? rate : RATE_MAX;
	return rate > count ? rate : count;
}

/* The record of an event within its key's set; the event is new when there is none from the time of the set. */
static bool event_is_new(struct limit_table *table, const struct limit_digest *event, int64_t set_start, int64_t now)
{
	const struct limit_record *record = limit_table_find(table, event, now);
	return !record || record->facts.stamp < set_start;
}

static void remember_event(struct limit_table *table, const struct limit_digest *event, const struct limit_facts *key, int64_t period,
			   int64_t now)
{
	struct limit_record *record = limit_table_take(table, event, now);
	record->facts.stamp = now;
	record->facts.expires = later(key->set_start, (double)period);
	limit_table_changed(table, record);
}

double limit_rate(struct limit_table *table, const struct limit_rate *rate, int64_t now)
{
	struct limit_digest digest = limit_table_digest(table, LIMIT_KIND_RATE, rate->key, (struct slice){ 0 }), event;
	struct limit_record *record = limit_table_find(table, &digest, now);
	struct limit_facts facts = { .digest = digest, .set_start = now };
	double count = rate->update == LIMIT_READONLY ? 0 : rate->count;
	bool remember = false;
	if (record)
		facts = record->facts;
	if (rate->unique && rate->update != LIMIT_READONLY) {
		event = limit_table_digest(table, LIMIT_KIND_EVENT, rate->key, rate->event);
		if (later(facts.set_start, (double)rate->period) <= now || facts.set_start > now) {
			facts.set_start = now;
			facts.events = 0;
		}
		bool fresh = event_is_new(table, &event, facts.set_start, now);
		remember = fresh && facts.events < LIMIT_EVENTS_MAX;
		count = fresh ? count : 0;
	}
	facts.rate = record ? smooth(&facts, count, rate->period, now) : count;
	bool over = !(facts.rate < rate->limit);
	if (rate->update == LIMIT_READONLY || (over && rate->update == LIMIT_LEAKY))
		return facts.rate;
	facts.stamp = now;
	facts.expires = later(now, useful_seconds(facts.rate, rate->period));
	facts.events += remember;
	/* The event first: making room for it may let go of the key's record, but not the other way round. */
	if (remember)
		remember_event(table, &event, &facts, rate->period, now);
	record = limit_table_take(table, &digest, now);
	record->facts = facts;
	limit_table_changed(table, record);
	return facts.rate;
}

bool limit_seen(struct limit_table *table, const struct limit_seen *seen, int64_t now)
{
	struct limit_digest digest = limit_table_digest(table, LIMIT_KIND_SEEN, seen->key, (struct slice){ 0 });
	struct limit_record *record = limit_table_find(table, &digest, now);
	double interval = (double)seen->interval, age = record ? (double)(now - record->facts.stamp) / (double)CLOCK_SECOND : 0;
	bool yes = record && (seen->before ? age >= interval : age <= interval);
	int64_t stamp = now;
	bool write = seen->write == LIMIT_WRITE_ALWAYS || !seen->before || !record;
	if (!write && yes && age >= (double)seen->refresh) {
		stamp = later(now, -interval);
		write = true;
	}
	if (!write || seen->write == LIMIT_WRITE_NEVER)
		return yes;
	record = limit_table_take(table, &digest, now);
	record->facts.stamp = stamp;
	record->facts.expires = later(now, interval + LIMIT_SEEN_KEPT * (double)seen->refresh);
	limit_table_changed(table, record);
	return yes;
}

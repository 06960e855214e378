/* SPDX-License-Identifier: ISC */
#include "cli/stats.h"

#include <string.h>
#include <time.h>

enum { KINDS_MAX = 1024, HOSTS_MAX = 65536, HOURS_MAX = 16384 };

static void side_init(struct stats_side *side)
{
	tally_init(&side->versions, KINDS_MAX);
	tally_init(&side->ciphers, KINDS_MAX);
	tally_init(&side->hosts, HOSTS_MAX);
	tally_init(&side->clear, HOSTS_MAX);
	tally_init(&side->hours, HOURS_MAX);
}

static void side_free(struct stats_side *side)
{
	struct tally *all[] = { &side->versions, &side->ciphers, &side->hosts, &side->clear, &side->hours };
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		tally_free(all[i]);
}

void stats_init(struct stats *stats)
{
	*stats = (struct stats){ 0 };
	side_init(&stats->in);
	side_init(&stats->out);
	tally_init(&stats->reasons, KINDS_MAX);
	tally_init(&stats->failing, HOSTS_MAX);
	tally_init(&stats->refusals, KINDS_MAX);
}

void stats_free(struct stats *stats)
{
	side_free(&stats->in);
	side_free(&stats->out);
	tally_free(&stats->reasons);
	tally_free(&stats->failing);
	tally_free(&stats->refusals);
}

/* Older Exims write "TLSv1.2" and "TLSv1". */
static struct slice version_name(struct slice version, char *out, size_t size)
{
	bool old = slice_starts(version, SLICE("TLSv"));
	struct slice number = slice_first(old ? slice_from(version, 4) : version, 20);
	int len = snprintf(out, size, "%s%.*s%s", old ? "TLS" : "", SLICE_ARG(number), old && number.len == 1 ? ".0" : "");
	return slice_make(out, (size_t)len);
}

static void count_side(struct stats_side *side, const struct log_entry *entry)
{
	char version[32], text[TALLY_KEY_MAX];
	side->messages++;
	side->bytes += entry->size;
	tally_add(&side->hosts, entry->host, entry->size);
	tally_add(&side->hours, slice_first(entry->stamp, 13), 0);
	if (!entry->version.len) {
		tally_add(&side->clear, entry->host, entry->size);
		return;
	}
	struct slice name = version_name(entry->version, version, sizeof version);
	snprintf(text, sizeof text, "%.*s with cipher %.*s", SLICE_ARG(name), SLICE_ARG(slice_first(entry->cipher, 100)));
	side->encrypted++;
	side->resumed += entry->resumed;
	side->verified += entry->verified;
	tally_add(&side->versions, name, 0);
	tally_add(&side->ciphers, slice_of(text), 0);
}

static void count_event(struct stats *stats, const struct log_entry *entry)
{
	stats->events[entry->event]++;
	if (entry->event == LOG_ARRIVAL && entry->host.len)
		count_side(&stats->in, entry);
	else if (entry->event == LOG_ARRIVAL)
		stats->local_in++;
	/* Further addresses of one transaction went over the same connection with the same message. */
	else if (entry->event == LOG_DELIVERY && entry->host.len && !entry->another)
		count_side(&stats->out, entry);
	else if (entry->event == LOG_DELIVERY && !entry->host.len)
		stats->local_out++;
	else if (entry->event == LOG_HANDSHAKE_ERROR) {
		tally_add(&stats->reasons, entry->reason, 0);
		tally_add(&stats->failing, entry->host.len ? entry->host : SLICE("unknown"), 0);
	} else if (entry->event == LOG_TLS_REFUSED)
		tally_add(&stats->refusals, entry->reason, 0);
}

void stats_count(struct stats *stats, struct slice line)
{
	struct log_entry entry;
	if (!line.len)
		return;
	stats->lines++;
	if (!log_line_parse(line, &entry)) {
		stats->undated++;
		return;
	}
	/* Stamps of this form sort as text. Those of other zones (log_timezone) are taken as they stand. */
	if (memcmp(entry.stamp.data, stats->since, strlen(stats->since)) < 0)
		return;
	if (!*stats->first || memcmp(entry.stamp.data, stats->first, LOG_STAMP_LEN) < 0)
		memcpy(stats->first, entry.stamp.data, LOG_STAMP_LEN);
	if (memcmp(entry.stamp.data, stats->last, LOG_STAMP_LEN) > 0)
		memcpy(stats->last, entry.stamp.data, LOG_STAMP_LEN);
	count_event(stats, &entry);
}

static time_t moment(const char *stamp)
{
	struct tm tm = { .tm_isdst = -1 };
	if (!strptime(stamp, "%Y-%m-%d %H:%M:%S", &tm))
		return 0;
	return mktime(&tm);
}

double stats_hours(const struct stats *stats)
{
	double hours = *stats->first ? difftime(moment(stats->last), moment(stats->first)) / 3600 : 0;
	return hours < 1 ? 1 : hours;
}

/* SPDX-License-Identifier: ISC */
#include "cli/stats.h"

#include "cli/json.h"

enum { OUTPUT_MAX = 64 * 1024 * 1024 };

struct printer {
	const struct stats *stats;
	const struct stats_format *format;
	struct buf out;
};

static double percent(uint64_t part, uint64_t all)
{
	return all ? 100.0 * (double)part / (double)all : 0;
}

static void append_size(struct buf *out, uint64_t bytes)
{
	static const char *const units[] = { "bytes", "KB", "MB", "GB", "TB", "PB", "EB" };
	double value = (double)bytes;
	size_t unit = 0;
	for (; value >= 1000 && unit < 6; unit++)
		value /= 1000;
	buf_printf(out, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
}

/* What peers had a hand in: no control character reaches the terminal. */
static void append_clean(struct buf *out, struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		buf_append_byte(out, ascii_is_print(text.data[i]) ? text.data[i] : '?');
}

/* ---- As text ---- */

/* "     23 key", as uniq -c and sort write it, the largest first. */
static void print_list(struct printer *printer, const char *title, const struct tally *tally, bool sizes, size_t most)
{
	size_t count;
	struct tally_entry *all = tally_sorted(tally, &count);
	if (count)
		buf_printf(&printer->out, "\n%s\n", title);
	for (size_t i = 0; i < count && i < most; i++) {
		buf_printf(&printer->out, "%9llu ", (unsigned long long)all[i].count);
		append_clean(&printer->out, slice_make(all[i].key, all[i].len));
		if (sizes && all[i].bytes) {
			buf_append(&printer->out, SLICE("  "));
			append_size(&printer->out, all[i].bytes);
		}
		buf_append_byte(&printer->out, '\n');
	}
	if (count > most)
		buf_printf(&printer->out, "          and %zu more\n", count - most);
	if (tally->forgotten)
		buf_printf(&printer->out, "          and %llu that were too many to keep apart\n", (unsigned long long)tally->forgotten);
	free(all);
}

static void print_share(struct printer *printer, const char *what, uint64_t part, uint64_t all)
{
	buf_printf(&printer->out, "  %-22s %9llu  %5.1f %%\n", what, (unsigned long long)part, percent(part, all));
}

static void print_busiest(struct printer *printer, const struct stats_side *side)
{
	size_t count;
	struct tally_entry *hours = tally_sorted(&side->hours, &count);
	buf_printf(&printer->out, "%.1f an hour", (double)side->messages / stats_hours(printer->stats));
	if (count)
		buf_printf(&printer->out, ", %llu in the busiest (%s:00)", (unsigned long long)hours[0].count, hours[0].key);
	free(hours);
}

static void print_side(struct printer *printer, const char *title, const char *direction, const struct stats_side *side)
{
	size_t top = printer->format->top;
	char heading[80];
	buf_printf(&printer->out, "\n%s: %llu messages", title, (unsigned long long)side->messages);
	if (!side->messages) {
		buf_append_byte(&printer->out, '\n');
		return;
	}
	if (side->bytes) {
		buf_append(&printer->out, SLICE(", "));
		append_size(&printer->out, side->bytes);
	}
	buf_append(&printer->out, SLICE(", "));
	print_busiest(printer, side);
	buf_append_byte(&printer->out, '\n');
	print_share(printer, "encrypted", side->encrypted, side->messages);
	print_share(printer, "in clear", side->messages - side->encrypted, side->messages);
	print_share(printer, "certificate verified", side->verified, side->messages);
	print_share(printer, "resumed, of encrypted", side->resumed, side->encrypted);
	snprintf(heading, sizeof heading, "TLS versions %s", direction);
	print_list(printer, heading, &side->versions, false, top);
	snprintf(heading, sizeof heading, "TLS versions and ciphers %s", direction);
	print_list(printer, heading, &side->ciphers, false, top);
	snprintf(heading, sizeof heading, "Hosts %s in clear", direction);
	print_list(printer, heading, &side->clear, true, top);
	snprintf(heading, sizeof heading, "Top hosts %s", direction);
	if (!printer->format->tls_only)
		print_list(printer, heading, &side->hosts, true, top);
}

static void print_text(struct printer *printer)
{
	const struct stats *stats = printer->stats;
	struct buf *out = &printer->out;
	if (!*stats->first)
		buf_printf(out, "No line of a main log%s%s", *stats->since ? " since " : "", stats->since);
	else
		buf_printf(out, "%s to %s", stats->first, stats->last);
	buf_printf(out, " (%llu files, %llu lines", (unsigned long long)stats->files, (unsigned long long)stats->lines);
	if (stats->undated)
		buf_printf(out, ", %llu without a date", (unsigned long long)stats->undated);
	if (stats->damaged)
		buf_printf(out, ", %llu files cut off or damaged", (unsigned long long)stats->damaged);
	buf_append(out, SLICE(")\n"));
	print_side(printer, "Mail in", "in", &stats->in);
	print_side(printer, "Mail out", "out", &stats->out);
	uint64_t failures = stats->events[LOG_HANDSHAKE_ERROR];
	buf_printf(out, "\nFailed handshakes in: %llu\n", (unsigned long long)failures);
	print_list(printer, "Failed handshakes by reason", &stats->reasons, false, printer->format->top);
	print_list(printer, "Failed handshakes by host", &stats->failing, false, printer->format->top);
	if (stats->events[LOG_TLS_REFUSED])
		buf_printf(out, "\nTLS refused before a handshake: %llu\n", (unsigned long long)stats->events[LOG_TLS_REFUSED]);
	print_list(printer, "TLS refused by reason", &stats->refusals, false, printer->format->top);
	if (printer->format->tls_only)
		return;
	buf_printf(out, "\nWithout a network: %llu in, %llu delivered\n", (unsigned long long)stats->local_in,
		   (unsigned long long)stats->local_out);
	buf_printf(out, "Deferred: %llu  Failed: %llu  Completed: %llu  Rejected: %llu\n", (unsigned long long)stats->events[LOG_DEFERRED],
		   (unsigned long long)stats->events[LOG_FAILED], (unsigned long long)stats->events[LOG_COMPLETED],
		   (unsigned long long)stats->events[LOG_REJECTED]);
}

/* ---- As JSON ---- */

static void number(struct buf *out, const char *name, uint64_t value)
{
	buf_printf(out, "\"%s\":%llu,", name, (unsigned long long)value);
}

static void json_list(struct printer *printer, const char *name, const struct tally *tally, const char *end)
{
	size_t count;
	struct tally_entry *all = tally_sorted(tally, &count);
	struct buf *out = &printer->out;
	buf_printf(out, "\"%s\":[", name);
	for (size_t i = 0; i < count && i < printer->format->top; i++) {
		buf_append(out, i ? SLICE(",{\"name\":") : SLICE("{\"name\":"));
		json_string(out, slice_make(all[i].key, all[i].len));
		buf_printf(out, ",\"count\":%llu,\"bytes\":%llu}", (unsigned long long)all[i].count, (unsigned long long)all[i].bytes);
	}
	buf_printf(out, "]%s", end);
	free(all);
}

static void json_side(struct printer *printer, const char *name, const struct stats_side *side)
{
	struct buf *out = &printer->out;
	buf_printf(out, "\"%s\":{", name);
	number(out, "messages", side->messages);
	number(out, "bytes", side->bytes);
	number(out, "encrypted", side->encrypted);
	number(out, "in_clear", side->messages - side->encrypted);
	number(out, "verified", side->verified);
	number(out, "resumed", side->resumed);
	buf_printf(out, "\"per_hour\":%.3f,", (double)side->messages / stats_hours(printer->stats));
	json_list(printer, "versions", &side->versions, ",");
	json_list(printer, "ciphers", &side->ciphers, ",");
	json_list(printer, "clear_hosts", &side->clear, ",");
	json_list(printer, "busiest_hours", &side->hours, ",");
	json_list(printer, "hosts", &side->hosts, "},");
}

static void print_json(struct printer *printer)
{
	const struct stats *stats = printer->stats;
	struct buf *out = &printer->out;
	buf_printf(out, "{\"first\":\"%s\",\"last\":\"%s\",", stats->first, stats->last);
	number(out, "files", stats->files);
	number(out, "lines", stats->lines);
	number(out, "undated", stats->undated);
	number(out, "damaged_files", stats->damaged);
	json_side(printer, "in", &stats->in);
	json_side(printer, "out", &stats->out);
	if (!printer->format->tls_only) {
		number(out, "local_in", stats->local_in);
		number(out, "local_delivered", stats->local_out);
		number(out, "deferred", stats->events[LOG_DEFERRED]);
		number(out, "failed", stats->events[LOG_FAILED]);
		number(out, "completed", stats->events[LOG_COMPLETED]);
		number(out, "rejected", stats->events[LOG_REJECTED]);
	}
	number(out, "failed_handshakes", stats->events[LOG_HANDSHAKE_ERROR]);
	json_list(printer, "failed_handshake_reasons", &stats->reasons, ",");
	json_list(printer, "failed_handshake_hosts", &stats->failing, ",");
	number(out, "tls_refused", stats->events[LOG_TLS_REFUSED]);
	json_list(printer, "tls_refused_reasons", &stats->refusals, "}\n");
}

void stats_print(const struct stats *stats, const struct stats_format *format)
{
	struct printer printer = { .stats = stats, .format = format };
	buf_init(&printer.out, OUTPUT_MAX);
	if (format->json)
		print_json(&printer);
	else
		print_text(&printer);
	fwrite(printer.out.data + printer.out.start, 1, buf_len(&printer.out), stdout);
	buf_free(&printer.out);
}

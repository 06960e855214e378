/* SPDX-License-Identifier: ISC */
/*
 * Journals: the report must agree with the text, and what a scan leaves (the text up to valid_end) must read as the same
 * state. Checks of lines in the input are made right first, so that the fuzzer gets behind them: a line that begins with "?" stands
 * for one with a right check.
 */
#include "base/crc32c.h"
#include "base/fatal.h"
#include "spool/journal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RECIPIENTS = 4 };

static const struct message_id id = { "1wXyZa-000Kc3-2B" };

static void put_line(struct buf *out, struct slice line, bool whole)
{
	if (line.len && line.data[0] == '?') {
		line = slice_from(line, 1);
		ensure(buf_printf(out, "%08x ", crc32c(crc32c(0, id.text, MESSAGE_ID_LEN), line.data, line.len)));
	}
	ensure(buf_append(out, line) && (!whole || buf_append_byte(out, '\n')));
}

static struct spool_journal_report apply(struct slice text, struct arena *arena, struct spool_envelope *envelope)
{
	struct spool_journal_report report;
	*envelope = (struct spool_envelope){ .id = id, .recipient_count = RECIPIENTS };
	envelope->recipients = arena_array(arena, RECIPIENTS, sizeof *envelope->recipients);
	spool_journal_apply(text, arena, envelope, &report);
	ensure(report.valid_end <= text.len && report.torn == (report.valid_end < text.len));
	ensure(report.valid_end == 0 || text.data[report.valid_end - 1] == '\n');
	ensure((report.records == 0) == (report.valid_end == 0));
	return report;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice rest = slice_make(data, size);
	struct spool_envelope before, after;
	struct arena arena;
	struct buf text;
	arena_init(&arena, 0);
	buf_init(&text, 64 * 1024 * 1024);
	while (rest.len) {
		size_t end = slice_find(rest, '\n');
		put_line(&text, slice_first(rest, end), end < rest.len);
		rest = slice_from(rest, end + 1);
	}
	struct spool_journal_report report = apply(buf_slice(&text), &arena, &before);
	struct spool_journal_report mended = apply(slice_first(buf_slice(&text), report.valid_end), &arena, &after);
	ensure(!mended.torn && mended.records == report.records && mended.damaged == report.damaged);
	ensure(before.frozen == after.frozen && before.deferred_until_ns == after.deferred_until_ns);
	ensure(slice_equal(before.reason, after.reason) && before.deferred_until_ns >= 0);
	for (size_t i = 0; i < RECIPIENTS; i++)
		ensure(before.recipients[i].state == after.recipients[i].state);
	buf_free(&text);
	arena_free(&arena);
	return 0;
}

/* SPDX-License-Identifier: ISC */
#include "spool/journal.h"

#include "base/crc32c.h"

#include <stdio.h>
#include <string.h>

enum argument { ARGUMENT_NONE, ARGUMENT_RECIPIENT, ARGUMENT_TIME };

static const struct {
	char letter;
	enum argument argument;
} kinds[SPOOL_RECORD_KINDS] = {
	[SPOOL_RECORD_DELIVERED] = { 'D', ARGUMENT_RECIPIENT },
	[SPOOL_RECORD_FAILED] = { 'B', ARGUMENT_RECIPIENT },
	[SPOOL_RECORD_DEFERRED] = { 'T', ARGUMENT_TIME },
	[SPOOL_RECORD_FROZEN] = { 'F', ARGUMENT_NONE },
	[SPOOL_RECORD_THAWED] = { 'U', ARGUMENT_NONE },
};

static uint32_t record_crc(const struct message_id *id, struct slice body)
{
	return crc32c(crc32c(0, id->text, MESSAGE_ID_LEN), body.data, body.len);
}

bool spool_record_format(const struct spool_record *record, struct buf *out)
{
	char crc[12], argument[24] = "";
	struct slice text = slice_first(record->text, SPOOL_RECORD_TEXT_MAX);
	size_t before = buf_len(out);
	enum argument takes = kinds[record->kind].argument;
	if (takes == ARGUMENT_TIME && record->until_ns < 0)
		return false;
	if (takes != ARGUMENT_NONE)
		snprintf(argument, sizeof argument, " %lld",
			 takes == ARGUMENT_TIME ? (long long)record->until_ns : (long long)record->recipient);
	bool fits = buf_append(out, SLICE("00000000 ")) && buf_append_byte(out, kinds[record->kind].letter) &&
		buf_append(out, slice_of(argument)) && (text.len == 0 || buf_append_byte(out, ' ')) &&
		spool_value_encode(text, out) && buf_append_byte(out, '\n');
	if (!fits) {
		out->end = out->start + before;
		return false;
	}
	/* The check stands in front of what it covers: filled in afterwards. */
	char *line = out->data + out->start + before;
	size_t len = buf_len(out) - before;
	snprintf(crc, sizeof crc, "%08x", record_crc(&record->id, slice_make(line + 9, len - 10)));
	memcpy(line, crc, 8);
	return true;
}

static bool find_kind(char letter, enum spool_record_kind *kind_r)
{
	for (int kind = 0; kind < SPOOL_RECORD_KINDS; kind++) {
		if (kinds[kind].letter == letter) {
			*kind_r = (enum spool_record_kind)kind;
			return true;
		}
	}
	return false;
}

bool spool_record_parse(struct slice line, const struct message_id *id, struct arena *arena, struct spool_record *record_r)
{
	struct spool_record record = { .id = *id };
	uint64_t crc, number = 0;
	struct slice body = slice_from(line, 9);
	if (line.len < 10 || line.data[8] != ' ' || !slice_parse_hex(slice_first(line, 8), UINT32_MAX, &crc) ||
	    crc != record_crc(id, body))
		return false;
	if (!find_kind(body.data[0], &record.kind) || (body.len > 1 && body.data[1] != ' '))
		return false;
	struct slice text = slice_from(body, 2);
	if (kinds[record.kind].argument == ARGUMENT_RECIPIENT) {
		if (!slice_parse_u64(slice_cut(&text, ' '), SPOOL_RECIPIENTS_MAX, &number))
			return false;
		record.recipient = (uint32_t)number;
	} else if (kinds[record.kind].argument == ARGUMENT_TIME) {
		if (!slice_parse_u64(slice_cut(&text, ' '), INT64_MAX, &number))
			return false;
		record.until_ns = (int64_t)number;
	}
	if (!spool_value_decode(text, arena, &record.text))
		return false;
	*record_r = record;
	return true;
}

static bool apply_recipient(struct spool_envelope *envelope, const struct spool_record *record)
{
	if (record->recipient >= envelope->recipient_count)
		return false;
	/* What came first holds: a recipient that is done stays as it is. */
	struct spool_recipient *recipient = &envelope->recipients[record->recipient];
	if (recipient->state == SPOOL_PENDING)
		recipient->state = record->kind == SPOOL_RECORD_DELIVERED ? SPOOL_DELIVERED : SPOOL_FAILED;
	return true;
}

static bool apply_deferred(struct spool_envelope *envelope, const struct spool_record *record)
{
	envelope->deferred_until_ns = record->until_ns;
	envelope->reason = record->text;
	return true;
}

static bool apply_frozen(struct spool_envelope *envelope, const struct spool_record *record)
{
	envelope->frozen = true;
	envelope->reason = record->text;
	return true;
}

static bool apply_thawed(struct spool_envelope *envelope, const struct spool_record *record)
{
	envelope->frozen = false;
	envelope->deferred_until_ns = 0;
	envelope->reason = record->text;
	return true;
}

static bool (*const appliers[SPOOL_RECORD_KINDS])(struct spool_envelope *, const struct spool_record *) = {
	[SPOOL_RECORD_DELIVERED] = apply_recipient, [SPOOL_RECORD_FAILED] = apply_recipient,
	[SPOOL_RECORD_DEFERRED] = apply_deferred, [SPOOL_RECORD_FROZEN] = apply_frozen,
	[SPOOL_RECORD_THAWED] = apply_thawed,
};

void spool_journal_apply(struct slice text, struct arena *arena, struct spool_envelope *envelope,
			 struct spool_journal_report *report_r)
{
	struct spool_journal_report report = { 0 };
	struct spool_record record;
	size_t at = 0, bad = 0; /* bad lines since the last good one */
	while (at < text.len) {
		struct slice rest = slice_from(text, at);
		size_t end = slice_find(rest, '\n');
		bool whole = end < rest.len;
		at += whole ? end + 1 : end;
		if (whole && spool_record_parse(slice_first(rest, end), &envelope->id, arena, &record) &&
		    appliers[record.kind](envelope, &record)) {
			report.records++;
			report.damaged += bad;
			report.valid_end = at;
			bad = 0;
		} else {
			bad++;
		}
	}
	report.torn = report.valid_end < text.len;
	*report_r = report;
}

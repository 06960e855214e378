/* SPDX-License-Identifier: ISC */
#include "mail/scan.h"

#include "mail/field.h"

enum state {
	LINE_START,
	LINE_CR,    /* a CR at the start of a line: LF makes it the empty line */
	NAME,
	NAME_BLANK, /* blanks between name and colon (RFC 5322 §4.5.8) */
	VALUE,
};

void mail_header_scan_init(struct mail_header_scan *scan)
{
	*scan = (struct mail_header_scan){ .state = LINE_START };
}

static void end(struct mail_header_scan *scan, bool broken)
{
	scan->ended = true;
	scan->broken = broken;
}

static void grow(struct mail_header_scan *scan, size_t by, bool field)
{
	scan->size += by;
	/* From its colon on, a line is known to belong to the section. */
	if (scan->state == VALUE && !scan->ended)
		scan->section = scan->size;
	scan->field_size += field ? by : 0;
	if (scan->field_size > scan->longest_field)
		scan->longest_field = scan->field_size;
}

static void add_to_name(struct mail_header_scan *scan, char c)
{
	if (scan->name_len < MAIL_SCAN_NAME_MAX)
		scan->name[scan->name_len++] = c;
	else
		scan->name_len = MAIL_SCAN_NAME_MAX + 1;
}

/* The colon: now the field's name is known. */
static void begin_value(struct mail_header_scan *scan)
{
	struct slice name = { scan->name, scan->name_len <= MAIL_SCAN_NAME_MAX ? scan->name_len : 0 };
	scan->fields++;
	if (slice_equal_nocase(name, SLICE("Received")))
		scan->received++;
	scan->capture = !scan->has_id && slice_equal_nocase(name, SLICE("Message-ID"));
	scan->has_id |= scan->capture;
	scan->state = VALUE;
}

static void at_line_start(struct mail_header_scan *scan, char c)
{
	if (c == '\n') {
		end(scan, false);
	} else if (c == '\r') {
		scan->state = LINE_CR;
	} else if (c == ' ' || c == '\t') {
		scan->state = VALUE;
		if (scan->fields == 0)
			end(scan, true);
	} else if (!mail_is_field_name(c)) {
		end(scan, true);
	} else {
		scan->capture = false;
		scan->field_size = 0;
		scan->name_len = 0;
		add_to_name(scan, c);
		scan->state = NAME;
	}
}

/* Between the first character of a name and its colon. */
static void in_name(struct mail_header_scan *scan, char c)
{
	if (c == ':')
		begin_value(scan);
	else if (c == ' ' || c == '\t')
		scan->state = NAME_BLANK;
	else if (scan->state == NAME_BLANK || !mail_is_field_name(c))
		end(scan, true);
	else
		add_to_name(scan, c);
}

static void capture(struct mail_header_scan *scan, struct slice text)
{
	for (size_t i = 0; i < text.len && scan->id_len < MAIL_SCAN_ID_MAX; i++) {
		if ((unsigned char)text.data[i] > 32 && text.data[i] != 127)
			scan->id[scan->id_len++] = text.data[i];
	}
}

/* The rest of a line, as much of it as is here. Returns its length. */
static size_t in_value(struct mail_header_scan *scan, struct slice run)
{
	size_t length = slice_find(run, '\n');
	bool whole = length < run.len;
	if (scan->capture)
		capture(scan, slice_first(run, length));
	length += whole;
	grow(scan, length, true);
	if (whole)
		scan->state = LINE_START;
	return length;
}

bool mail_header_scan_feed(struct mail_header_scan *scan, struct slice run)
{
	for (size_t at = 0; at < run.len && !scan->ended;) {
		if (scan->state == VALUE) {
			at += in_value(scan, slice_from(run, at));
			continue;
		}
		unsigned state = scan->state;
		char c = run.data[at++];
		if (state == LINE_START)
			at_line_start(scan, c);
		else if (state == LINE_CR)
			end(scan, c != '\n');
		else
			in_name(scan, c);
		grow(scan, 1, scan->state != LINE_CR && !scan->ended);
	}
	return !scan->ended;
}

struct slice mail_header_scan_message_id(const struct mail_header_scan *scan)
{
	struct slice id = { scan->id, scan->id_len };
	if (id.len && id.data[0] == '<')
		id = slice_from(id, 1);
	if (id.len && id.data[id.len - 1] == '>')
		id.len--;
	return id;
}

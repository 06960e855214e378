/* SPDX-License-Identifier: ISC */
#include "mail/mime.h"

#include "base/fatal.h"
#include "mail/field.h"
#include "mail/mailbox.h"
#include "mail/rfc2047.h"

#include <string.h>

enum { VALUE_MAX = 8 * 1024, SEGMENTS_MAX = 20 };

/* ---- Lines and header fields ---- */

static struct slice take_line(struct slice *rest)
{
	struct slice line = slice_first(*rest, slice_find(*rest, '\n') + 1);
	*rest = slice_from(*rest, line.len);
	return line;
}

static struct slice without_end(struct slice line)
{
	while (line.len && (line.data[line.len - 1] == '\n' || line.data[line.len - 1] == '\r'))
		line.len--;
	return line;
}

/*
 * Up to the empty line. For readers to whom a line that is no field begins the body, that is too far: for them, delimiters are looked for
 * from that line on.
 */
static void split_headers(struct mime_part *part)
{
	struct slice rest = part->raw;
	size_t fields = mail_header_length(part->raw);
	bool ended = false;
	part->headers = part->raw;
	while (rest.len && !ended) {
		struct slice before = rest, line = without_end(take_line(&rest));
		ended = line.len == 0;
		if (ended)
			part->headers = slice_first(part->raw, part->raw.len - before.len);
	}
	part->body = part->inside = rest;
	if (fields < part->headers.len) {
		part->inside = slice_from(part->raw, fields);
		part->anomaly = "a header section with a line that is no field";
	}
	if (!ended)
		part->body = part->inside;
}

/* The value of the first field of that name, its lines joined; data NULL: there is none. */
static struct slice find_field(struct slice headers, const char *name, struct arena *arena)
{
	while (headers.len) {
		struct slice line = take_line(&headers), value = line, start = slice_cut(&value, ':');
		bool found = start.len < line.len && slice_equal_nocase(slice_trim(start), slice_of(name));
		const char *end = value.data + value.len;
		while (headers.len && (headers.data[0] == ' ' || headers.data[0] == '\t')) {
			struct slice more = take_line(&headers);
			end = more.data + more.len;
		}
		if (!found)
			continue;
		struct slice folded = slice_first(slice_make(value.data, (size_t)(end - value.data)), VALUE_MAX);
		char *out = arena_alloc(arena, folded.len + 1);
		size_t len = 0;
		for (size_t i = 0; i < folded.len; i++)
			if (folded.data[i] != '\r' && folded.data[i] != '\n')
				out[len++] = folded.data[i] == '\0' ? '?' : folded.data[i];
		return slice_trim(slice_make(out, len));
	}
	return (struct slice){ NULL, 0 };
}

/* ---- Parameters (RFC 2045 §5.1, RFC 2231) ---- */

static void skip_blanks(struct slice *rest)
{
	for (;;) {
		*rest = slice_trim(*rest);
		if (rest->len == 0 || rest->data[0] != '(')
			return;
		*rest = slice_from(*rest, mail_comment_length(*rest));
	}
}

/* A token, or a quoted string without its quotes and backslashes. */
static struct slice take_value(struct slice *rest, struct arena *arena)
{
	if (rest->len && rest->data[0] == '"') {
		struct slice quoted = slice_first(*rest, mail_quoted_length(*rest, '"'));
		bool closed = mail_quoted_length(*rest, '"') <= rest->len;
		*rest = slice_from(*rest, quoted.len);
		quoted = slice_from(quoted, 1);
		quoted.len -= closed && quoted.len;
		char *out = arena_alloc(arena, quoted.len + 1);
		size_t len = 0;
		for (size_t i = 0; i < quoted.len; i++) {
			if (quoted.data[i] == '\\' && i + 1 < quoted.len)
				i++;
			out[len++] = quoted.data[i];
		}
		return slice_make(out, len);
	}
	size_t len = 0;
	while (len < rest->len && rest->data[len] != ';' && !ascii_is_space(rest->data[len]))
		len++;
	struct slice token = slice_first(*rest, len);
	*rest = slice_from(*rest, len);
	return token;
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static struct slice undo_percent(struct slice text, struct arena *arena)
{
	char *out = arena_alloc(arena, text.len + 1);
	size_t len = 0;
	for (size_t i = 0; i < text.len; i++) {
		bool coded = text.data[i] == '%' && i + 2 < text.len && hex_digit(text.data[i + 1]) >= 0 && hex_digit(text.data[i + 2]) >= 0;
		int byte = coded ? hex_digit(text.data[i + 1]) * 16 + hex_digit(text.data[i + 2]) : text.data[i];
		out[len++] = byte ? (char)byte : '?';
		i += coded ? 2 : 0;
	}
	return slice_make(out, len);
}

struct segments {
	struct slice items[SEGMENTS_MAX]; /* "name*0", "name*1*" */
	bool coded[SEGMENTS_MAX];
	struct slice plain;               /* "name" */
};

/* The parameter's name is "name", "name*" or "name*NUMBER", perhaps with another "*". */
static void keep_parameter(struct segments *segments, struct slice name, struct slice wanted, struct slice value)
{
	if (slice_equal_nocase(name, wanted)) {
		if (!segments->plain.data)
			segments->plain = value;
		return;
	}
	if (!slice_starts_nocase(name, wanted) || name.data[wanted.len] != '*')
		return;
	struct slice rest = slice_from(name, wanted.len + 1), number = slice_cut(&rest, '*');
	bool coded = name.data[name.len - 1] == '*';
	uint64_t index = 0;
	if (number.len && (!slice_parse_u64(number, SEGMENTS_MAX - 1, &index)))
		return;
	if (!segments->items[index].data) {
		segments->items[index] = value.data ? value : SLICE("");
		segments->coded[index] = coded;
	}
}

/* The parameter, put together (RFC 2231 §3, §4: the character set in front is dropped); data NULL: there is none. */
static struct slice find_parameter(struct slice value, const char *name, struct arena *arena)
{
	struct segments segments = { .plain = { NULL, 0 } };
	struct slice joined = { NULL, 0 };
	slice_cut(&value, ';');
	for (skip_blanks(&value); value.len; skip_blanks(&value)) {
		size_t len = 0;
		while (len < value.len && value.data[len] != '=' && value.data[len] != ';')
			len++;
		struct slice found = slice_trim(slice_first(value, len));
		value = slice_from(value, len);
		if (value.len && value.data[0] == '=') {
			value = slice_from(value, 1);
			skip_blanks(&value);
			keep_parameter(&segments, found, slice_of(name), take_value(&value, arena));
		}
		slice_cut(&value, ';');
	}
	for (size_t i = 0; i < SEGMENTS_MAX && segments.items[i].data; i++) {
		struct slice item = segments.items[i];
		if (segments.coded[i] && i == 0) {
			slice_cut(&item, '\'');
			slice_cut(&item, '\'');
		}
		item = segments.coded[i] ? undo_percent(item, arena) : item;
		joined = arena_printf(arena, "%.*s%.*s", SLICE_ARG(joined), SLICE_ARG(item));
	}
	return joined.data ? joined : segments.plain;
}

/* ---- A part ---- */

/* What stands before the parameters, in lower case. */
static struct slice word_of(struct slice value, struct arena *arena)
{
	return arena_copy_lower(arena, slice_trim(slice_cut(&value, ';')));
}

static void read_part(struct mime_walk *walk, struct mime_part *part)
{
	struct arena *arena = walk->arena;
	split_headers(part);
	struct slice type = find_field(part->headers, "Content-Type", arena);
	struct slice disposition = find_field(part->headers, "Content-Disposition", arena);
	part->type = word_of(type, arena);
	part->charset = find_parameter(type, "charset", arena);
	part->boundary = find_parameter(type, "boundary", arena);
	part->disposition = word_of(disposition, arena);
	part->encoding = word_of(find_field(part->headers, "Content-Transfer-Encoding", arena), arena);
	part->id = find_field(part->headers, "Content-ID", arena);
	part->description = mail_rfc2047_decode(find_field(part->headers, "Content-Description", arena), false, walk->charsets, arena);
	part->filename = find_parameter(disposition, "filename", arena);
	if (!part->filename.data)
		part->filename = find_parameter(type, "name", arena);
	part->filename = mail_rfc2047_decode(part->filename, false, walk->charsets, arena);
	part->multipart = slice_starts(part->type, SLICE("multipart/"));
	part->delimited = part->multipart && part->boundary.len && part->boundary.len <= MIME_BOUNDARY_MAX;
	if (part->multipart && !part->delimited)
		part->anomaly = part->boundary.len ? "a boundary that is too long" : "a multipart without a boundary";
}

/* ---- The walk ---- */

/* Whether the line is a delimiter (RFC 2046 §5.1.1: blanks may follow); *last_r: it closes the multipart. */
static bool is_delimiter(struct slice line, struct slice boundary, bool *last_r)
{
	line = without_end(line);
	if (!slice_starts(line, SLICE("--")) || !slice_starts(slice_from(line, 2), boundary))
		return false;
	line = slice_from(line, 2 + boundary.len);
	*last_r = slice_starts(line, SLICE("--"));
	return slice_trim(slice_from(line, *last_r ? 2 : 0)).len == 0;
}

/* Where the next delimiter line begins; the end of the text when there is none. *line_r is its length. */
static size_t find_delimiter(struct slice text, struct slice boundary, size_t *line_r, bool *last_r)
{
	struct slice rest = text;
	*last_r = true;
	*line_r = 0;
	while (rest.len) {
		size_t at = text.len - rest.len;
		struct slice line = take_line(&rest);
		if (!is_delimiter(line, boundary, last_r))
			continue;
		*line_r = line.len;
		return at;
	}
	*last_r = true;
	return text.len;
}

static bool push(struct mime_walk *walk, struct mime_level level)
{
	if (walk->depth == MIME_DEPTH_MAX) {
		walk->limit = "MIME parts are nested too deep";
		return false;
	}
	walk->levels[walk->depth++] = level;
	return true;
}

static bool is_identity(struct slice encoding)
{
	return encoding.len == 0 || slice_equal(encoding, SLICE("7bit")) || slice_equal(encoding, SLICE("8bit")) ||
	       slice_equal(encoding, SLICE("binary"));
}

/* What is inside of the part comes next. */
static bool descend(struct mime_walk *walk, const struct mime_level *level, const struct mime_part *part)
{
	const char *anomaly;
	if (part->delimited) {
		size_t line;
		bool last;
		size_t at = find_delimiter(part->inside, part->boundary, &line, &last);
		bool spreads = slice_equal(part->type, SLICE("multipart/alternative")) || slice_equal(part->type, SLICE("multipart/related"));
		return last || push(walk, (struct mime_level){ .rest = slice_from(part->inside, at + line), .boundary = part->boundary, .first = true,
							       .rfc822 = part->rfc822, .coverletter = part->coverletter, .spreads = spreads,
							       .count = level->count });
	}
	if (!slice_equal(part->type, SLICE("message/rfc822")))
		return true;
	struct slice inner = is_identity(part->encoding) ? part->body : mime_decode(part, part->body.len, walk->arena, &anomaly);
	return push(walk, (struct mime_level){ .rest = inner, .rfc822 = true, .coverletter = true, .first = true,
					       .count = arena_new(walk->arena, unsigned) });
}

/* The next entity of the innermost level that has one; false: none is left. */
static bool take_entity(struct mime_walk *walk, struct mime_level *level_r, struct slice *raw_r)
{
	while (walk->depth) {
		struct mime_level *level = &walk->levels[walk->depth - 1];
		*level_r = *level;
		if (level->boundary.len == 0) {
			walk->depth--;
			*raw_r = level_r->rest;
			return true;
		}
		if (!level->rest.data) {
			walk->depth--;
			continue;
		}
		size_t line;
		bool last;
		size_t at = find_delimiter(level->rest, level->boundary, &line, &last);
		*raw_r = slice_first(level->rest, at);
		/* The line end before a delimiter belongs to it (RFC 2046 §5.1.1). */
		if (raw_r->len && raw_r->data[raw_r->len - 1] == '\n')
			raw_r->len--;
		if (raw_r->len && raw_r->data[raw_r->len - 1] == '\r')
			raw_r->len--;
		level->rest = last ? (struct slice){ NULL, 0 } : slice_from(level->rest, at + line);
		level->first = false;
		return true;
	}
	return false;
}

void mime_walk_start(struct mime_walk *walk, struct slice message, struct charset_set *charsets, struct arena *arena)
{
	*walk = (struct mime_walk){ .arena = arena, .charsets = charsets };
	push(walk, (struct mime_level){ .rest = message, .coverletter = true, .first = true, .count = arena_new(arena, unsigned) });
}

bool mime_walk_next(struct mime_walk *walk, struct mime_part *part_r)
{
	struct mime_level level;
	struct slice raw;
	if (walk->limit || !take_entity(walk, &level, &raw))
		return false;
	if (walk->parts++ == MIME_PARTS_MAX) {
		walk->limit = "too many MIME parts";
		return false;
	}
	*part_r = (struct mime_part){
		.raw = raw, .count = (*level.count)++, .rfc822 = level.rfc822, .coverletter = level.coverletter && (level.first || level.spreads),
	};
	read_part(walk, part_r);
	return descend(walk, &level, part_r);
}

/* ---- Transfer encodings ---- */

static int base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* RFC 2045 §6.8: other characters are ignored; "=" ends it. */
static struct slice decode_base64(struct slice text, size_t most, char *out, const char **anomaly_r)
{
	unsigned bits = 0, have = 0;
	size_t len = 0, at = 0;
	for (; at < text.len && text.data[at] != '=' && len < most; at++) {
		int digit = base64_digit(text.data[at]);
		if (digit < 0) {
			if (!ascii_is_space(text.data[at]))
				*anomaly_r = "base64 with other characters in it";
			continue;
		}
		bits = bits << 6 | (unsigned)digit;
		have += 6;
		if (have >= 8)
			out[len++] = (char)(bits >> (have -= 8) & 255);
	}
	return slice_make(out, len);
}

/* RFC 2045 §6.7: blanks at the end of a line are dropped, "=" at its end joins the next one. */
static struct slice decode_quoted(struct slice text, size_t most, char *out, const char **anomaly_r)
{
	size_t len = 0;
	while (text.len && len < most) {
		struct slice whole = take_line(&text), line = without_end(whole);
		bool ended = line.len < whole.len;
		while (line.len && (line.data[line.len - 1] == ' ' || line.data[line.len - 1] == '\t'))
			line.len--;
		bool soft = line.len && line.data[line.len - 1] == '=';
		line.len -= soft;
		for (size_t i = 0; i < line.len && len < most; i++) {
			bool coded = line.data[i] == '=' && i + 2 < line.len + 0 && hex_digit(line.data[i + 1]) >= 0 && hex_digit(line.data[i + 2]) >= 0;
			if (line.data[i] == '=' && !coded)
				*anomaly_r = "quoted-printable with a bad escape";
			out[len++] = coded ? (char)(hex_digit(line.data[i + 1]) * 16 + hex_digit(line.data[i + 2])) : line.data[i];
			i += coded ? 2 : 0;
		}
		if (ended && !soft && len < most)
			out[len++] = '\n';
	}
	return slice_make(out, len);
}

struct slice mime_decode(const struct mime_part *part, size_t most, struct arena *arena, const char **anomaly_r)
{
	*anomaly_r = NULL;
	size_t room = part->body.len < most ? part->body.len : most;
	if (slice_equal(part->encoding, SLICE("base64")))
		return decode_base64(part->body, room, arena_alloc(arena, room + 1), anomaly_r);
	if (slice_equal(part->encoding, SLICE("quoted-printable")))
		return decode_quoted(part->body, room, arena_alloc(arena, room + 1), anomaly_r);
	if (!is_identity(part->encoding))
		*anomaly_r = "a transfer encoding that is not known";
	return slice_first(part->body, most);
}

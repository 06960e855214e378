/* SPDX-License-Identifier: ISC */
/*
 * The modifiers add_header and remove_header (Exim's manual, chapter 44 §24 and §25): from their text to single lines and names.
 *
 * Newlines that the configuration wrote or computed end a header line. One that a peer gave ("=0A" in an encoded subject) only folds
 * it: else the peer would add header lines of its own choice.
 */
#include "acl/private.h"

#include "mail/field.h"

static const struct {
	const char *prefix;
	enum acl_header_place place;
} places[] = {
	{ ":after_received:", ACL_HEADER_AFTER_RECEIVED },
	{ ":at_start_rfc:", ACL_HEADER_AT_START_RFC },
	{ ":at_start:", ACL_HEADER_AT_START },
	{ ":at_end:", ACL_HEADER_AT_END },
};

static bool is_header(struct slice line)
{
	struct slice name, value;
	return mail_field_next(&line, &name, &value);
}

static bool is_blank(char byte)
{
	return byte == ' ' || byte == '\t';
}

/* Whether the newline at that place ends a header line: no blank behind it continues that, and it is no peer's. */
static bool ends_line(const struct piece_text *text, size_t at)
{
	bool continued = at + 1 < text->len && is_blank(text->data[at + 1]) && !text->bound[at + 1];
	return text->data[at] == '\n' && !text->bound[at] && !continued;
}

static struct piece_text take_header(struct piece_text *rest)
{
	size_t at = rest->at;
	while (at < rest->len && !ends_line(rest, at))
		at++;
	struct piece_text line = piece_text_part(rest, rest->at, at);
	rest->at = at < rest->len ? at + 1 : at;
	return line;
}

static enum acl_header_place take_place(struct piece_text *line)
{
	struct slice written = slice_first(piece_text_rest(line), piece_text_written(line));
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		struct slice prefix = slice_of(places[i].prefix);
		if (!slice_starts(written, prefix))
			continue;
		line->at += prefix.len;
		while (line->at < line->len && is_blank(line->data[line->at]))
			line->at++;
		return places[i].place;
	}
	return ACL_HEADER_AT_END;
}

/* A peer's newline, with the white space behind it: where the next line of the peer's text begins, or the text's end. */
static size_t skip_fold(const struct piece_text *line, size_t at)
{
	while (at < line->len && line->bound[at] && (is_blank(line->data[at]) || line->data[at] == '\n' || line->data[at] == '\r'))
		at++;
	return at;
}

/* As it goes into the header. NULs and CRs, which would be no text or end the line for the receiver, become blanks. */
static struct slice clean(struct arena *arena, struct piece_text line)
{
	size_t len = 0, at = line.at;
	char *out = arena_alloc(arena, 2 * (line.len - line.at) + 1);
	while (at < line.len) {
		if (line.data[at] == '\n' && line.bound[at]) {
			at = skip_fold(&line, at);
			if (at == line.len)
				break;
			out[len++] = '\n';
			out[len++] = ' ';
		} else {
			out[len++] = line.data[at] == '\0' || line.data[at] == '\r' ? ' ' : line.data[at];
			at++;
		}
	}
	return slice_make(out, len);
}

enum acl_step acl_add_header_run(struct acl_run *run, const struct acl_item *item, struct expand_value value)
{
	struct acl_session *session = run->session;
	struct piece_text rest = run->text;
	struct error error = { 0 };
	(void)item;
	(void)value;
	if (!session->add_header)
		return acl_broken(run, "cannot use add_header condition here: there is no message");
	while (rest.at < rest.len && rest.data[rest.at] == '\n')
		rest.at++;
	while (rest.at < rest.len && rest.data[rest.len - 1] == '\n')
		rest.len--;
	while (rest.at < rest.len) {
		struct piece_text text = take_header(&rest);
		enum acl_header_place place = take_place(&text);
		struct slice line = clean(run->arena, text);
		if (line.len == 0)
			continue;
		if (!is_header(line))
			line = arena_printf(run->arena, "X-ACL-Warn: %.*s", SLICE_ARG(line));
		if (!session->add_header(session->owner, place, line, &error))
			return acl_broken(run, "add_header: %s", error.text);
	}
	return ACL_YES;
}

enum acl_step acl_remove_header_run(struct acl_run *run, const struct acl_item *item, struct expand_value value)
{
	struct acl_session *session = run->session;
	struct piece_text rest = piece_text_trim(run->text), item_text;
	struct error error = { 0 };
	(void)item;
	(void)value;
	if (!session->remove_header)
		return acl_broken(run, "cannot use remove_header condition here: there is no message");
	char separator = piece_text_take_separator(&rest);
	/* A peer's text adds no name, unless it is all there is. */
	bool all = piece_text_all_bound(&rest);
	while (piece_text_next(&rest, separator, all, run->arena, &item_text)) {
		struct slice name = piece_text_rest(&item_text);
		if (name.len && !session->remove_header(session->owner, arena_copy(run->arena, name), &error))
			return acl_broken(run, "remove_header: %s", error.text);
	}
	return ACL_YES;
}

/* SPDX-License-Identifier: ISC */
/* The modifiers add_header and remove_header (Exim's manual, chapter 44 §24 and §25): from their text to single lines and names. */
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

/* Up to a newline behind which no blank continues the line; NULs and CRs cannot come in. */
static struct slice take_header(struct slice *rest)
{
	size_t at = 0;
	while (at < rest->len) {
		bool end = rest->data[at] == '\n';
		bool continued = end && at + 1 < rest->len && (rest->data[at + 1] == ' ' || rest->data[at + 1] == '\t');
		if (end && !continued)
			break;
		at++;
	}
	struct slice line = slice_first(*rest, at);
	*rest = slice_from(*rest, at + 1);
	return line;
}

static enum acl_header_place take_place(struct slice *line)
{
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		struct slice prefix = slice_of(places[i].prefix);
		if (!slice_starts(*line, prefix))
			continue;
		*line = slice_from(*line, prefix.len);
		while (line->len && (line->data[0] == ' ' || line->data[0] == '\t'))
			*line = slice_from(*line, 1);
		return places[i].place;
	}
	return ACL_HEADER_AT_END;
}

/* A peer's text may hold what would end the line for the receiver, or be no text at all. */
static struct slice clean(struct arena *arena, struct slice line)
{
	struct slice copy = arena_copy(arena, line);
	char *text = (char *)copy.data;
	for (size_t i = 0; i < copy.len; i++)
		if (text[i] == '\0' || text[i] == '\r')
			text[i] = ' ';
	return copy;
}

enum acl_step acl_add_header_run(struct acl_run *run, const struct acl_item *item, struct expand_value value)
{
	struct acl_session *session = run->session;
	struct slice rest = value.text;
	struct error error = { 0 };
	(void)item;
	if (!session->add_header)
		return acl_broken(run, "cannot use add_header condition here: there is no message");
	while (rest.len && rest.data[0] == '\n')
		rest = slice_from(rest, 1);
	while (rest.len && rest.data[rest.len - 1] == '\n')
		rest.len--;
	while (rest.len) {
		struct slice line = take_header(&rest);
		enum acl_header_place place = take_place(&line);
		line = clean(run->arena, line);
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
	struct slice rest = slice_trim(value.text);
	struct error error = { 0 };
	char separator = ':';
	(void)item;
	if (!session->remove_header)
		return acl_broken(run, "cannot use remove_header condition here: there is no message");
	if (rest.len > 1 && rest.data[0] == '<' && !ascii_is_alnum(rest.data[1])) {
		separator = rest.data[1];
		rest = slice_from(rest, 2);
	}
	while (rest.len) {
		struct slice name = slice_trim(slice_cut(&rest, separator));
		if (name.len && !session->remove_header(session->owner, arena_copy(run->arena, name), &error))
			return acl_broken(run, "remove_header: %s", error.text);
	}
	return ACL_YES;
}

/* SPDX-License-Identifier: ISC */
#include "lookup/lines.h"

#include "base/escape.h"

/* C's isspace in the C locale, as Exim has it for these files. */
static bool is_blank(char c)
{
	return ascii_is_space(c) || c == '\v' || c == '\f';
}

static struct slice trim_end(struct slice s)
{
	while (s.len > 0 && is_blank(s.data[s.len - 1]))
		s.len--;
	return s;
}

static struct slice trim_start(struct slice s)
{
	while (s.len > 0 && is_blank(s.data[0]))
		s = slice_from(s, 1);
	return s;
}

/* The next line that counts, not yet taken: lines before it that say nothing are. */
static bool peek(struct lookup_lines *lines, struct slice *line_r, struct lookup_lines *after_r)
{
	while (lines->rest.len > 0) {
		struct lookup_lines after = *lines;
		struct slice line = trim_end(slice_cut(&after.rest, '\n'));
		after.number++;
		if (line.len > 0 && line.data[0] != '#') {
			*line_r = line;
			*after_r = after;
			return true;
		}
		*lines = after;
	}
	return false;
}

static bool next_continuation(struct lookup_lines *lines, struct slice *text_r)
{
	struct slice line;
	struct lookup_lines after;
	if (!peek(lines, &line, &after) || !is_blank(line.data[0]))
		return false;
	*text_r = trim_start(line);
	*lines = after;
	return true;
}

static size_t plain_key(struct slice line, struct slice *key_r)
{
	size_t len = 0;
	while (len < line.len && line.data[len] != ':' && !is_blank(line.data[len]))
		len++;
	*key_r = slice_first(line, len);
	return len;
}

/* One text from the key, the rest of its line, and all continuations. */
static struct slice join(struct lookup_lines *lines, struct slice key, struct slice rest, struct arena *arena)
{
	struct lookup_lines ahead = *lines;
	size_t len = key.len + rest.len;
	struct slice text;
	while (next_continuation(&ahead, &text))
		len += 1 + text.len;
	char *out = arena_alloc(arena, len + 1);
	memcpy(out, key.data, key.len);
	if (rest.len > 0)
		memcpy(out + key.len, rest.data, rest.len);
	size_t at = key.len + rest.len;
	while (next_continuation(lines, &text)) {
		out[at++] = ' ';
		memcpy(out + at, text.data, text.len);
		at += text.len;
	}
	return slice_make(out, len);
}

bool lookup_lines_next(struct lookup_lines *lines, struct arena *arena, struct lookup_line *line_r)
{
	struct slice line, more;
	struct lookup_lines after;
	do {
		if (!peek(lines, &line, &after))
			return false;
		*lines = after;
	} while (is_blank(line.data[0])); /* continues nothing */

	struct slice key;
	size_t taken;
	bool quoted = line.data[0] == '"';
	if (quoted)
		escape_unquote(line, arena, &key, &taken); /* up to the end of the line where the closing quote is missing */
	else
		taken = plain_key(line, &key);
	struct slice rest = slice_from(line, taken);
	struct slice data = trim_start(rest);
	if (data.len > 0 && data.data[0] == ':')
		data = trim_start(slice_from(data, 1));
	size_t data_at = key.len + (rest.len - data.len);

	*line_r = (struct lookup_line){ .key = key, .full = line, .number = lines->number };
	struct lookup_lines ahead = *lines;
	if (quoted || next_continuation(&ahead, &more))
		line_r->full = join(lines, key, rest, arena);
	line_r->data = slice_from(line_r->full, data_at);
	return true;
}

/* SPDX-License-Identifier: ISC */
/*
 * Where a computed part ends is the expansion compiler's to say; here braces are counted, which is right for all but literal
 * braces within items. When the part so found does not compile, the rest of the text is taken as one computed part: its items
 * are then told apart less finely, never less safely.
 */
#include "match/segment.h"

#include "base/fatal.h"

struct cutter {
	struct arena *arena;
	struct slice text;
	const struct list_scope *scope;
	struct list_segment *segments; /* on the heap while it grows */
	size_t count, size;
};

static const enum expand_variable unchanging[] = {
	EXPAND_PRIMARY_HOSTNAME, EXPAND_QUALIFY_DOMAIN, EXPAND_SPOOL_DIRECTORY, EXPAND_VERSION_NUMBER,
};

static void add_segment(struct cutter *c, struct list_segment segment)
{
	struct list_segment *last = c->count ? &c->segments[c->count - 1] : NULL;
	if (last && !last->program && !segment.program) {
		last->literal = arena_printf(c->arena, "%.*s%.*s", SLICE_ARG(last->literal), SLICE_ARG(segment.literal));
		return;
	}
	if (c->count == c->size) {
		c->size = c->size ? c->size * 2 : 8;
		c->segments = xrealloc(c->segments, c->size * sizeof *c->segments);
	}
	c->segments[c->count++] = segment;
}

/* Just "$name" or "${name}" of one that never changes. */
static bool is_unchanging(const struct expand_program *program, struct slice source)
{
	size_t names = 0;
	source = slice_from(source, source.len > 1 && source.data[1] == '{' ? 2 : 1);
	for (size_t i = 0; i < source.len; i++)
		if (!ascii_is_alnum(source.data[i]) && source.data[i] != '_' && source.data[i] != '}')
			return false;
	for (size_t i = 0; i < sizeof unchanging / sizeof *unchanging; i++)
		names += expand_uses(program, unchanging[i]);
	return names == 1;
}

/* A part of the text; false when it does not compile by itself. */
static bool cut_part(struct cutter *c, size_t start, size_t end)
{
	const struct expand_program *program;
	struct slice source = slice_make(c->text.data + start, end - start);
	struct list_segment segment = { { NULL, 0 }, NULL };
	struct expand_value value;
	struct error error;
	if (start == end)
		return true;
	if (!expand_compile(c->arena, source, c->scope->place, c->scope->language, &program, &error, NULL))
		return false;
	if (expand_constant(program, &segment.literal)) {
		add_segment(c, segment);
		return true;
	}
	segment.program = program;
	if (c->scope->constants && source.data[0] == '$' && is_unchanging(program, source) &&
	    expand_run(program, c->scope->constants, c->arena, &value, &error) == EXPAND_OK)
		segment = (struct list_segment){ value.text, NULL };
	add_segment(c, segment);
	return true;
}

/* After a backslash: past the byte that it escapes, or past the end of a protected part. */
static size_t skip_escape(struct slice text, size_t at)
{
	if (at + 1 >= text.len)
		return text.len;
	if (text.data[at + 1] != 'N')
		return at + 2;
	for (at += 2; at + 1 < text.len; at++)
		if (text.data[at] == '\\' && text.data[at + 1] == 'N')
			return at + 2;
	return text.len;
}

static size_t skip_braces(struct slice text, size_t at)
{
	size_t depth = 0;
	while (at < text.len) {
		if (text.data[at] == '\\') {
			at = skip_escape(text, at);
			continue;
		}
		depth += text.data[at] == '{';
		if (text.data[at++] == '}' && --depth == 0)
			break;
	}
	return at;
}

/* "$h_from:" and its kin: all that is printable up to a colon, which belongs to it. */
static bool is_header(struct slice name)
{
	static const char *const prefixes[] = { "h_", "rh_", "bh_", "lh_", "header_", "rheader_", "bheader_", "lheader_" };
	for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
		if (slice_starts(name, slice_of(prefixes[i])))
			return true;
	return false;
}

static size_t skip_name(struct slice text, size_t at)
{
	bool digits = at < text.len && ascii_is_digit(text.data[at]), header = is_header(slice_from(text, at));
	for (; at < text.len; at++) {
		char byte = text.data[at];
		if (header && byte == ':')
			return at + 1;
		bool inside = header ? byte > 32 && byte < 127 :
			      digits ? ascii_is_digit(byte) : ascii_is_alnum(byte) || byte == '_';
		if (!inside)
			break;
	}
	return at;
}

/* From a dollar on: the end of what it begins. */
static size_t skip_dollar(struct slice text, size_t at)
{
	bool braces = at + 1 < text.len && text.data[at + 1] == '{';
	return braces ? skip_braces(text, at + 1) : skip_name(text, at + 1);
}

static bool cut_parts(struct cutter *c, size_t *failed_r)
{
	size_t start = 0, at = 0;
	while (at < c->text.len) {
		if (c->text.data[at] == '\\') {
			at = skip_escape(c->text, at);
			continue;
		}
		if (c->text.data[at] != '$') {
			at++;
			continue;
		}
		size_t end = skip_dollar(c->text, at);
		*failed_r = start;
		if (!cut_part(c, start, at))
			return false;
		*failed_r = at;
		if (!cut_part(c, at, end))
			return false;
		start = at = end;
	}
	*failed_r = start;
	return cut_part(c, start, c->text.len);
}

bool list_segments_cut(struct arena *arena, struct slice text, const struct list_scope *scope, const struct list_segment **segments_r,
		       size_t *count_r, struct error *error)
{
	struct cutter c = { .arena = arena, .text = text, .scope = scope };
	size_t failed = 0;
	bool ok = cut_parts(&c, &failed) || cut_part(&c, failed, text.len);
	if (!ok) {
		c.count = 0;
		ok = cut_part(&c, 0, text.len);
	}
	struct list_segment *segments = arena_array(arena, c.count, sizeof *segments);
	if (c.count)
		memcpy(segments, c.segments, c.count * sizeof *segments);
	free(c.segments);
	*segments_r = segments;
	*count_r = c.count;
	return ok || error_set(error, ERROR_USAGE, "the list cannot be taken apart");
}

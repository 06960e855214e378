/* SPDX-License-Identifier: ISC */
#include "expand/pieces.h"

#include <string.h>

struct piece_text piece_text_join(const struct expand_piece *pieces, size_t count, struct arena *arena)
{
	size_t len = 0, at = 0;
	for (size_t i = 0; i < count; i++)
		len += pieces[i].text.len;
	char *data = arena_alloc(arena, len + 1);
	bool *bound = arena_array(arena, len + 1, sizeof *bound), *begins = arena_array(arena, len + 1, sizeof *begins);
	for (size_t i = 0; i < count; i++) {
		struct slice piece = pieces[i].text;
		if (piece.len)
			memcpy(data + at, piece.data, piece.len);
		begins[at] = true;
		for (size_t end = at + piece.len; at < end; at++)
			bound[at] = pieces[i].value && pieces[i].tainted;
	}
	return (struct piece_text){ data, bound, begins, 0, len };
}

struct piece_text piece_text_plain(struct slice text, struct arena *arena)
{
	const struct expand_piece piece = { .text = text };
	return piece_text_join(&piece, 1, arena);
}

bool piece_text_is(const struct piece_text *text, char byte)
{
	return text->at < text->len && text->data[text->at] == byte && !text->bound[text->at];
}

void piece_text_skip_space(struct piece_text *text)
{
	while (text->at < text->len && ascii_is_space(text->data[text->at]))
		text->at++;
}

size_t piece_text_find(const struct piece_text *text, char byte)
{
	size_t at = text->at;
	while (at < text->len && (text->data[at] != byte || text->bound[at]))
		at++;
	return at;
}

struct piece_text piece_text_part(const struct piece_text *text, size_t start, size_t end)
{
	return (struct piece_text){ text->data + start, text->bound + start, text->begins + start, 0, end - start };
}

struct piece_text piece_text_trim(struct piece_text text)
{
	piece_text_skip_space(&text);
	while (text.len > text.at && ascii_is_space(text.data[text.len - 1]))
		text.len--;
	return piece_text_part(&text, text.at, text.len);
}

size_t piece_text_written(const struct piece_text *text)
{
	size_t at = text->at;
	while (at < text->len && !text->bound[at])
		at++;
	return at - text->at;
}

bool piece_text_any_bound(const struct piece_text *text)
{
	return piece_text_written(text) < text->len - text->at;
}

bool piece_text_all_bound(const struct piece_text *text)
{
	for (size_t i = text->at; i < text->len; i++)
		if (!text->bound[i])
			return false;
	return true;
}

char piece_text_take_separator(struct piece_text *text)
{
	if (!piece_text_is(text, '<') || text->at + 1 >= text->len || text->bound[text->at + 1] ||
	    ascii_is_alnum(text->data[text->at + 1]))
		return ':';
	text->at += 2;
	return text->data[text->at - 1];
}

/* Whether the byte at that place is a separator; *doubled_r: it stands for itself, with the next one. */
static bool separates(const struct piece_text *text, size_t at, char separator, bool all, bool *doubled_r)
{
	bool separating = text->data[at] == separator && (all || !text->bound[at]);
	*doubled_r = separating && at + 1 < text->len && text->data[at + 1] == separator && !text->begins[at + 1];
	return separating && !*doubled_r;
}

bool piece_text_next(struct piece_text *text, char separator, bool all, struct arena *arena, struct piece_text *item_r)
{
	bool doubled;
	size_t start = text->at, end = start, len = 0;
	if (start >= text->len)
		return false;
	while (end < text->len && !separates(text, end, separator, all, &doubled))
		end += 1 + doubled;
	char *data = arena_alloc(arena, end - start + 1);
	bool *bound = arena_array(arena, end - start + 1, sizeof *bound), *begins = arena_array(arena, end - start + 1, sizeof *begins);
	for (size_t at = start; at < end; at += 1 + doubled) {
		separates(text, at, separator, all, &doubled);
		bound[len] = text->bound[at];
		begins[len] = text->begins[at];
		data[len++] = text->data[at];
	}
	text->at = end + (end < text->len);
	*item_r = piece_text_trim((struct piece_text){ data, bound, begins, 0, len });
	return true;
}

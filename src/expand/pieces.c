/* SPDX-License-Identifier: ISC */
#include "expand/pieces.h"

#include <string.h>

struct piece_text piece_text_join(const struct expand_piece *pieces, size_t count, struct arena *arena)
{
	size_t len = 0, at = 0;
	for (size_t i = 0; i < count; i++)
		len += pieces[i].text.len;
	char *data = arena_alloc(arena, len + 1);
	bool *bound = arena_array(arena, len + 1, sizeof *bound);
	for (size_t i = 0; i < count; i++) {
		struct slice piece = pieces[i].text;
		if (piece.len)
			memcpy(data + at, piece.data, piece.len);
		for (size_t end = at + piece.len; at < end; at++)
			bound[at] = pieces[i].value && pieces[i].tainted;
	}
	return (struct piece_text){ data, bound, 0, len };
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
	return (struct piece_text){ text->data + start, text->bound + start, 0, end - start };
}

struct piece_text piece_text_trim(struct piece_text text)
{
	piece_text_skip_space(&text);
	while (text.len > text.at && ascii_is_space(text.data[text.len - 1]))
		text.len--;
	return piece_text_part(&text, text.at, text.len);
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

bool piece_text_next(struct piece_text *text, char separator, bool all, struct arena *arena, struct piece_text *item_r)
{
	if (text->at >= text->len)
		return false;
	char *data = arena_alloc(arena, text->len - text->at + 1);
	bool *bound = arena_array(arena, text->len - text->at + 1, sizeof *bound);
	size_t len = 0;
	for (; text->at < text->len; text->at++) {
		bool ends = text->data[text->at] == separator && (all || !text->bound[text->at]);
		if (ends && text->at + 1 < text->len && text->data[text->at + 1] == separator)
			text->at++;
		else if (ends)
			break;
		bound[len] = text->bound[text->at];
		data[len++] = text->data[text->at];
	}
	text->at += text->at < text->len;
	*item_r = piece_text_trim((struct piece_text){ data, bound, 0, len });
	return true;
}

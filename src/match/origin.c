/* SPDX-License-Identifier: ISC */
#include "match/origin.h"

/* The first origin that overlaps the part, or NULL; *start_r is where the part begins in the text. */
static const struct list_origin *first_in(const struct list_text *text, struct slice part, size_t *start_r)
{
	if (text->count == 0 || part.len == 0)
		return NULL;
	size_t start = (size_t)(part.data - text->text.data);
	*start_r = start;
	for (size_t i = 0; i < text->count; i++)
		if (text->origins[i].end > start)
			return text->origins[i].start < start + part.len ? &text->origins[i] : NULL;
	return NULL;
}

bool list_text_computed(const struct list_text *text, struct slice part)
{
	size_t start;
	return first_in(text, part, &start) != NULL;
}

bool list_text_tainted(const struct list_text *text, struct slice part)
{
	size_t start;
	const struct list_origin *origin = first_in(text, part, &start), *end = text->origins + text->count;
	for (; origin && origin < end && origin->start < start + part.len; origin++)
		if (origin->tainted)
			return true;
	return false;
}

size_t list_text_written(const struct list_text *text, struct slice part)
{
	size_t start;
	const struct list_origin *origin = first_in(text, part, &start);
	if (!origin)
		return part.len;
	return origin->start > start ? origin->start - start : 0;
}

const struct expand_piece *list_text_pieces(const struct list_text *text, struct slice part, struct arena *arena, size_t *count_r)
{
	size_t start = 0, at = 0, count = 0;
	struct slice copy = arena_copy(arena, part);
	struct expand_piece *pieces = arena_array(arena, text->count * 2 + 1, sizeof *pieces);
	const struct list_origin *origin = first_in(text, part, &start), *end = text->origins + text->count;
	for (; origin && origin < end && origin->start < start + part.len; origin++) {
		size_t from = origin->start > start ? origin->start - start : 0;
		size_t to = origin->end - start < part.len ? origin->end - start : part.len;
		if (from > at)
			pieces[count++].text = slice_make(copy.data + at, from - at);
		pieces[count++] = (struct expand_piece){ slice_make(copy.data + from, to - from), true, origin->tainted };
		at = to;
	}
	if (at < part.len)
		pieces[count++].text = slice_from(copy, at);
	*count_r = count;
	return pieces;
}

/* How many bytes of the item stand for the first `len` of the raw text. */
static size_t single_len(struct slice raw, size_t len, char separator)
{
	size_t single = 0;
	for (size_t i = 0; i < len; i++, single++)
		if (raw.data[i] == separator)
			i++;
	return single;
}

struct list_text list_text_item(const struct list_text *whole, struct slice raw, struct slice item, char separator,
				struct arena *arena)
{
	struct list_text text = { .text = item };
	size_t start = 0;
	const struct list_origin *origin = first_in(whole, raw, &start), *end = whole->origins + whole->count;
	if (!origin)
		return text;
	struct list_origin *origins = arena_array(arena, (size_t)(end - origin), sizeof *origins);
	text.origins = origins;
	for (; origin < end && origin->start < start + raw.len; origin++) {
		size_t from = origin->start > start ? origin->start - start : 0;
		size_t to = origin->end - start < raw.len ? origin->end - start : raw.len;
		if (item.data != raw.data) {
			from = single_len(raw, from, separator);
			to = single_len(raw, to, separator);
		}
		if (to > item.len)
			to = item.len;
		if (from < to)
			origins[text.count++] = (struct list_origin){ from, to, origin->tainted };
	}
	return text;
}

/* SPDX-License-Identifier: ISC */
/* Walking and building the lists of strings; see items.h. */
#include "expand/items.h"

static bool is_space(char c) { return ascii_is_space(c) || c == '\v' || c == '\f'; }
static bool is_control(char c) { return (c > 0 && c < 32) || c == 127; }
static bool is_punctuation(char c) { return c > 32 && c < 127 && !ascii_is_alnum(c); }

static struct slice skip_space(struct slice s)
{
	while (s.len > 0 && is_space(*s.data))
		s = slice_from(s, 1);
	return s;
}

/* A backslash protects what follows it, as in Exim. */
static struct slice drop_space_at_end(struct slice s)
{
	while (s.len > 0 && is_space(s.data[s.len - 1]) && (s.len < 2 || s.data[s.len - 2] != '\\'))
		s.len--;
	return s;
}

/* Looks for "<x" at the start; what follows it may begin with white space, unless that is the separator. */
static struct slice choose_separator(struct slice s, char *separator)
{
	*separator = ':';
	if (slice_equal(s, SLICE("<")))
		return SLICE("");
	if (s.len < 2 || s.data[0] != '<' || !(is_punctuation(s.data[1]) || is_control(s.data[1])))
		return s;
	*separator = s.data[1];
	s = slice_from(s, 2);
	while (s.len > 0 && is_space(*s.data) && *s.data != *separator)
		s = slice_from(s, 1);
	return s;
}

/*
 * The length of the item at the start of `s`, up to the separator that ends it. A separator that is doubled is part of
 * the item and is counted in *doubled_r.
 */
static size_t item_length(struct slice s, char separator, size_t *doubled_r)
{
	size_t at = 0;
	*doubled_r = 0;
	while (at < s.len) {
		at += slice_find(slice_from(s, at), separator);
		if (is_control(separator) || at + 1 >= s.len || s.data[at + 1] != separator)
			break;
		at += 2;
		(*doubled_r)++;
	}
	return at < s.len ? at : s.len;
}

static struct slice merge_doubled(struct slice item, char separator, size_t doubled, struct arena *arena)
{
	char *out = arena_alloc(arena, item.len - doubled + 1);
	size_t len = 0;
	for (size_t i = 0; i < item.len; i++) {
		out[len++] = item.data[i];
		if (item.data[i] == separator)
			i++;
	}
	return slice_make(out, len);
}

bool expand_list_next(struct slice *rest, char *separator, struct arena *arena, struct slice *item_r)
{
	struct slice s = *rest;
	/* White space goes, unless it is what separates the items. */
	while (s.len > 0 && is_space(*s.data) && *s.data != *separator)
		s = slice_from(s, 1);
	if (*separator == 0)
		s = choose_separator(skip_space(s), separator);
	*rest = s;
	if (s.len == 0)
		return false;
	size_t doubled;
	size_t len = item_length(s, *separator, &doubled);
	*rest = slice_from(s, len + 1);
	struct slice item = drop_space_at_end(slice_first(s, len));
	*item_r = doubled > 0 ? merge_doubled(item, *separator, doubled, arena) : item;
	return true;
}

size_t expand_list_count(struct slice list, struct arena *arena)
{
	char separator = 0;
	size_t count = 0;
	struct slice item;
	while (expand_list_next(&list, &separator, arena, &item))
		count++;
	return count;
}

bool expand_list_append(struct buf *out, char separator, bool first, struct slice item)
{
	if (!first && !buf_append_byte(out, separator))
		return false;
	while (item.len > 0) {
		size_t at = slice_find(item, separator);
		bool found = at < item.len;
		if (!buf_append(out, slice_first(item, at + (found ? 1 : 0))) || (found && !buf_append_byte(out, separator)))
			return false;
		item = slice_from(item, at + 1);
	}
	return true;
}

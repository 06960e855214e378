/* SPDX-License-Identifier: ISC */
#include "match/split.h"

static bool is_control(char c)
{
	return (unsigned char)c < 32 || c == 127;
}

/* Spaces between items; a separator that is itself a space is not skipped. */
static void skip_spaces(struct list_splitter *splitter)
{
	struct slice *rest = &splitter->rest;
	while (rest->len && ascii_is_space(rest->data[0]) && rest->data[0] != splitter->separator)
		*rest = slice_from(*rest, 1);
}

void list_split_start(struct list_splitter *splitter, struct slice text)
{
	*splitter = (struct list_splitter){ .rest = text, .separator = ':' };
	skip_spaces(splitter);
	struct slice rest = splitter->rest;
	if (rest.len < 2 || rest.data[0] != '<')
		return;
	char separator = rest.data[1];
	bool punctuation = ascii_is_print(separator) && !ascii_is_alnum(separator) && separator != ' ';
	if (!punctuation && !is_control(separator))
		return;
	splitter->separator = separator;
	splitter->rest = slice_from(rest, 2);
}

/* The item's raw text, up to the first separator that is not doubled; *doubled_r counts the doubled ones in it. */
static struct slice cut_item(struct list_splitter *splitter, size_t *doubled_r)
{
	struct slice text = splitter->rest;
	char separator = splitter->separator;
	bool can_double = !is_control(separator);
	size_t at = 0;
	*doubled_r = 0;
	for (;;) {
		at += slice_find(slice_from(text, at), separator);
		if (!can_double || at + 1 >= text.len || text.data[at + 1] != separator)
			break;
		++*doubled_r;
		at += 2;
	}
	splitter->rest = slice_from(text, at + 1);
	return slice_first(text, at);
}

bool list_split_next(struct list_splitter *splitter, struct arena *arena, struct slice *item_r)
{
	size_t doubled;
	skip_spaces(splitter);
	if (splitter->rest.len == 0)
		return false;
	struct slice raw = cut_item(splitter, &doubled);
	while (raw.len && ascii_is_space(raw.data[raw.len - 1]))
		raw.len--;
	splitter->raw = raw;
	if (doubled) {
		char *single = arena_alloc(arena, raw.len + 1);
		size_t len = 0;
		for (size_t i = 0; i < raw.len; i++) {
			single[len++] = raw.data[i];
			if (raw.data[i] == splitter->separator)
				i++;
		}
		raw = slice_make(single, len);
	}
	*item_r = raw;
	return true;
}

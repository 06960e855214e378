/* SPDX-License-Identifier: ISC */
#include "mail/field.h"

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

/* The length of the line at the start, with its end. */
static size_t line_length(struct slice text)
{
	size_t lf = slice_find(text, '\n');
	return lf < text.len ? lf + 1 : lf;
}

bool mail_field_next(struct slice *rest, struct slice *name_r, struct slice *value_r)
{
	struct slice text = *rest;
	size_t name = 0, colon, end;
	while (name < text.len && mail_is_field_name(text.data[name]))
		name++;
	for (colon = name; colon < text.len && is_blank(text.data[colon]); colon++)
		continue;
	if (name == 0 || colon == text.len || text.data[colon] != ':')
		return false;
	end = line_length(text);
	while (end < text.len && is_blank(text.data[end]))
		end += line_length(slice_from(text, end));
	*name_r = slice_first(text, name);
	*value_r = slice_from(slice_first(text, end), colon + 1);
	*rest = slice_from(text, end);
	return true;
}

struct slice mail_field_whole(struct slice name, struct slice value)
{
	return slice_make(name.data, (size_t)(value.data + value.len - name.data));
}

size_t mail_header_length(struct slice message)
{
	struct slice rest = message, name, value;
	while (mail_field_next(&rest, &name, &value))
		continue;
	return message.len - rest.len;
}

/* SPDX-License-Identifier: ISC */
#include "conf/macro.h"

#include <string.h>

static size_t name_length(struct slice s)
{
	size_t n = 0;
	if (!s.len || s.data[0] < 'A' || s.data[0] > 'Z')
		return 0;
	while (n < s.len && (ascii_is_alnum(s.data[n]) || s.data[n] == '_'))
		n++;
	return n;
}

size_t conf_macro_definition(struct slice line, struct slice *name_r, bool *again_r)
{
	size_t n = name_length(line), at = n;
	if (!n)
		return 0;
	while (at < line.len && ascii_is_space(line.data[at]))
		at++;
	if (at == line.len || line.data[at] != '=')
		return 0;
	*name_r = slice_first(line, n);
	*again_r = at + 1 < line.len && line.data[at + 1] == '=';
	return at + (*again_r ? 2 : 1);
}

bool conf_macro_parse(struct slice argument, struct conf_macro *macro_r, struct error *error)
{
	struct slice rest = argument, name = slice_trim(slice_cut(&rest, '='));
	if (!name.len || name_length(name) != name.len)
		return error_set(error, ERROR_USAGE,
				 "-D%.*s: expected NAME or NAME=text, where NAME begins with an upper-case "
				 "letter and has letters, digits and underscores only",
				 SLICE_ARG(slice_first(argument, 100)));
	*macro_r = (struct conf_macro){ .name = name, .value = slice_trim(rest), .command_line = true };
	return true;
}

bool conf_macro_define(struct conf_source *source, struct slice name, struct slice value, bool again, struct error *error)
{
	for (size_t i = 0; i < source->macro_count; i++) {
		struct conf_macro *macro = &source->macros[i];
		if (slice_equal(macro->name, name)) {
			if (macro->command_line)
				return true;
			if (!again)
				return error_set(error, ERROR_USAGE,
						 "macro %.*s is already defined; write \"==\" to define it again",
						 SLICE_ARG(name));
			macro->value = arena_copy(&source->arena, value);
			return true;
		}
		if (memmem(name.data, name.len, macro->name.data, macro->name.len))
			return error_set(error, ERROR_USAGE,
					 "macro %.*s cannot be defined here: its name contains that of macro %.*s, "
					 "which is defined before it and would be replaced inside",
					 SLICE_ARG(name), SLICE_ARG(macro->name));
	}
	if (again)
		return error_set(error, ERROR_USAGE, "macro %.*s is not defined yet; \"==\" defines one again",
				 SLICE_ARG(name));
	if (source->macro_count >= CONF_MACROS_MAX)
		return error_set(error, ERROR_USAGE, "more than %d macros", CONF_MACROS_MAX);
	conf_source_add_macro(source, name, value);
	return true;
}

/* All occurrences of one macro; its replacement is not looked at again for the same one. */
static bool replace_one(const struct conf_macro *macro, struct slice line, size_t from, struct buf *out, size_t *count)
{
	bool fits = buf_append(out, slice_first(line, from));
	struct slice rest = slice_from(line, from);
	while (fits) {
		const char *at = memmem(rest.data, rest.len, macro->name.data, macro->name.len);
		if (!at)
			break;
		size_t before = (size_t)(at - rest.data);
		fits = buf_append(out, slice_first(rest, before)) && buf_append(out, macro->value);
		rest = slice_from(rest, before + macro->name.len);
		++*count;
	}
	return fits && buf_append(out, rest);
}

bool conf_macro_replace(const struct conf_source *source, struct slice line, size_t from, struct buf *out,
			struct buf *scratch, size_t *count_r, uint32_t *last_r)
{
	*count_r = 0;
	*last_r = 0;
	buf_consume(out, buf_len(out));
	if (!buf_append(out, line))
		return false;
	for (size_t i = 0; i < source->macro_count; i++) {
		const struct conf_macro *macro = &source->macros[i];
		struct slice now = buf_slice(out), searched = slice_from(now, from);
		if (!searched.len || !memmem(searched.data, searched.len, macro->name.data, macro->name.len))
			continue;
		buf_consume(scratch, buf_len(scratch));
		if (!replace_one(macro, now, from, scratch, count_r))
			return false;
		struct buf swapped = *out;
		*out = *scratch;
		*scratch = swapped;
		*last_r = (uint32_t)(i + 1);
	}
	return true;
}

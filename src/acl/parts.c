/* SPDX-License-Identifier: ISC */
/*
 * Values that are parts with slashes between them ("100 / 1h / strict / $sender_address"; a double slash stands for itself). The
 * text is cut where the configuration wrote the slashes, before anything is expanded, and each part knows whether a peer had a
 * hand in it: such a part is one part whatever it holds, and names no option. What an expansion of the configuration's own data gives
 * (a lookup of "100 / 1h") is cut again.
 */
#include "acl/private.h"

/* Where the part ends: at a slash that is not doubled; outside of braces while the text is not `expanded` yet. */
static size_t part_end(struct slice text, bool expanded)
{
	size_t depth = 0, at = 0;
	for (; at < text.len; at++) {
		char byte = text.data[at];
		if (byte == '\\' && !expanded)
			at++;
		else if (byte == '{' && !expanded)
			depth++;
		else if (byte == '}' && depth)
			depth--;
		else if (byte == '/' && !depth && at + 1 < text.len && text.data[at + 1] == '/')
			at++;
		else if (byte == '/' && !depth)
			return at;
	}
	return text.len;
}

/* "//" becomes "/". */
static struct slice single_slashes(struct arena *arena, struct slice text)
{
	char *out = arena_alloc(arena, text.len + 1);
	size_t len = 0;
	for (size_t i = 0; i < text.len; i++) {
		out[len++] = text.data[i];
		if (text.data[i] == '/' && i + 1 < text.len && text.data[i + 1] == '/')
			i++;
	}
	return slice_make(out, len);
}

bool acl_parts_compile(struct arena *arena, const struct acl_set *set, struct slice text, struct acl_item *item)
{
	struct acl_part *parts = arena_array(arena, ACL_PARTS_MAX, sizeof *parts);
	struct error error;
	size_t column;
	while (text.len) {
		size_t end = part_end(text, false);
		if (item->part_count == ACL_PARTS_MAX)
			return false;
		struct acl_part *part = &parts[item->part_count++];
		part->source = slice_trim(slice_first(text, end));
		if (!expand_compile(arena, part->source, EXPAND_PLACE_ENVELOPE, set->language, &part->program, &error, &column))
			return false;
		text = slice_from(text, end + 1);
	}
	item->parts = parts;
	return true;
}

/* The name of an option, with which the text begins: letters and underscores; *rest_r is what follows its "=". */
static struct slice option_name(struct slice text, struct slice *rest_r)
{
	size_t len = 0;
	while (len < text.len && (ascii_is_alpha(text.data[len]) || text.data[len] == '_'))
		len++;
	bool equals = len < text.len && text.data[len] == '=';
	*rest_r = equals ? slice_from(text, len + 1) : (struct slice){ 0 };
	return equals || len == text.len ? slice_first(text, len + equals) : (struct slice){ 0 };
}

static void add(struct acl_fields *fields, struct slice text, struct slice name, struct slice rest)
{
	if (fields->count < ACL_PARTS_MAX)
		fields->items[fields->count++] = (struct acl_field){ text, name, rest };
	else
		fields->too_many = true;
}

static void add_written(struct acl_fields *fields, struct arena *arena, struct slice text)
{
	while (text.len) {
		size_t end = part_end(text, true);
		struct slice part = single_slashes(arena, slice_trim(slice_first(text, end))), rest, name = option_name(part, &rest);
		add(fields, part, name, rest);
		text = slice_from(text, end + 1);
	}
}

/* What a peer had a hand in is an option only when the configuration wrote "name=" before it. */
static void add_tainted(struct acl_fields *fields, const struct acl_part *part, struct slice text)
{
	struct slice rest, name = option_name(part->source, &rest);
	bool option = name.len && name.data[name.len - 1] == '=' && slice_starts(text, name);
	add(fields, text, option ? name : (struct slice){ 0 }, option ? slice_from(text, name.len) : (struct slice){ 0 });
}

void acl_fields_cut(struct acl_fields *fields, struct arena *arena, struct slice text)
{
	*fields = (struct acl_fields){ 0 };
	add_written(fields, arena, text);
}

bool acl_fields_expand(struct acl_run *run, const struct acl_item *item, struct acl_fields *fields, enum acl_step *step_r)
{
	struct error error = { 0 };
	*fields = (struct acl_fields){ 0 };
	for (size_t i = 0; i < item->part_count; i++) {
		struct expand_value value = { 0 };
		switch (expand_run(item->parts[i].program, &run->context, run->arena, &value, &error)) {
		case EXPAND_OK: break;
		case EXPAND_FORCED_FAIL: *step_r = ACL_YES; return false;
		case EXPAND_DEFER:
			*step_r = acl_later(run, "failed to expand ACL string \"%.*s\": %s", SLICE_ARG(item->source), error.text);
			return false;
		case EXPAND_FAIL:
			*step_r = acl_broken(run, "failed to expand ACL string \"%.*s\": %s", SLICE_ARG(item->source), error.text);
			return false;
		}
		if (value.tainted)
			add_tainted(fields, &item->parts[i], slice_trim(value.text));
		else if (value.text.len)
			add_written(fields, run->arena, value.text);
		else
			add(fields, (struct slice){ 0 }, (struct slice){ 0 }, (struct slice){ 0 });
	}
	return true;
}

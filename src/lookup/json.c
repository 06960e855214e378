/* SPDX-License-Identifier: ISC */
/*
 * json: an element of a JSON file, chosen by a list of names and indexes (Exim's manual, chapter 9 §3). The file is parsed once.
 * Strings are given without quotes, objects and arrays as JSON text; null counts as absent.
 */
#include "expand/items.h"
#include "lookup/files.h"

#include <jansson.h>

static bool build(struct lookup_file *file, struct error *error)
{
	json_error_t why;
	json_t *root = json_loadb(file->text.data, file->text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
	if (!root)
		return error_set(error, ERROR_PERMANENT, "not valid JSON: line %d, column %d: %s", why.line, why.column, why.text);
	file->index = root;
	return true;
}

static void release(struct lookup_file *file)
{
	json_decref(file->index);
}

static const struct lookup_file_kind kind = { .name = "json", .purpose = "json lookup", .build = build, .release = release };

static const json_t *choose(const json_t *element, struct slice selector)
{
	uint64_t number;
	if (json_is_array(element))
		return slice_parse_u64(selector, UINT32_MAX, &number) ? json_array_get(element, (size_t)number) : NULL;
	char name[4096];
	return slice_to_cstr(selector, name, sizeof name) ? json_object_get(element, name) : NULL;
}

static struct slice element_text(const json_t *element, struct arena *arena)
{
	switch (json_typeof(element)) {
	case JSON_STRING:
		return arena_copy(arena, slice_make(json_string_value(element), json_string_length(element)));
	case JSON_INTEGER:
		return arena_printf(arena, "%" JSON_INTEGER_FORMAT, json_integer_value(element));
	case JSON_REAL:
		return arena_printf(arena, "%f", json_real_value(element));
	case JSON_TRUE:
		return SLICE("true");
	case JSON_FALSE:
		return SLICE("false");
	default: {
		char *text = json_dumps(element, JSON_ENCODE_ANY);
		struct slice copy = arena_copy(arena, slice_of(text));
		free(text);
		return copy;
	}
	}
}

static enum expand_result find(struct lookup_world *world, const struct search *search, const struct expand_request *request,
			       struct slice key, struct arena *arena, struct expand_answer *answer_r, struct error *error)
{
	(void)search;
	struct lookup_file *file;
	enum expand_result result = lookup_file_take(world, &kind, request->file, request->deadline, &file, error);
	if (result != EXPAND_OK)
		return result;
	const json_t *element = file->index;
	struct slice selector;
	char separator = '\0';
	while (element && expand_list_next(&key, &separator, arena, &selector))
		element = choose(element, selector);
	if (element && !json_is_null(element)) {
		answer_r->found = true;
		answer_r->text = element_text(element, arena);
	}
	lookup_file_release(&file);
	return EXPAND_OK;
}

const struct lookup_driver lookup_driver_json = { .name = "json", .find = find };

/* SPDX-License-Identifier: ISC */
/*
 * json: an element of a JSON file, chosen by a list of names and indexes (Exim's manual, chapter 9 §3). The file is parsed once.
 * Strings are given without quotes, objects and arrays as JSON text; null counts as absent.
 */
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

static char key_separator(struct slice *key)
{
	struct slice rest = *key;
	while (rest.len > 0 && ascii_is_space(rest.data[0]))
		rest = slice_from(rest, 1);
	if (rest.len < 2 || rest.data[0] != '<' || ascii_is_alnum(rest.data[1]) || !ascii_is_print(rest.data[1]))
		return ':';
	*key = slice_from(rest, 2);
	return rest.data[1];
}

/* The next selector: white space around it is dropped, a separator written twice stands for itself. */
static bool next_selector(struct slice *rest, char separator, struct arena *arena, struct slice *selector_r)
{
	if (rest->len == 0)
		return false;
	char *out = arena_alloc(arena, rest->len);
	size_t len = 0, at = 0;
	for (; at < rest->len; at++) {
		if (rest->data[at] == separator && (at + 1 == rest->len || rest->data[at + 1] != separator))
			break;
		at += rest->data[at] == separator;
		out[len++] = rest->data[at];
	}
	*rest = slice_from(*rest, at + 1);
	*selector_r = slice_trim(slice_make(out, len));
	return true;
}

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
	char separator = key_separator(&key);
	while (element && next_selector(&key, separator, arena, &selector))
		element = choose(element, selector);
	if (element && !json_is_null(element)) {
		answer_r->found = true;
		answer_r->text = element_text(element, arena);
	}
	lookup_file_release(&file);
	return EXPAND_OK;
}

const struct lookup_driver lookup_driver_json = { .name = "json", .find = find };

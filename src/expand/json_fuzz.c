/* SPDX-License-Identifier: ISC */
/*
 * JSON from outside: no text makes the scanner read beyond its end, all that it finds lies within the text, and what it takes for
 * well formed, the JSON library takes as well (which is stricter in two points: numbers that are too large, and NUL).
 */
#include "expand/json.h"

#include "base/fatal.h"

#include <jansson.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool within(struct slice part, struct slice whole)
{
	return part.data >= whole.data && part.data + part.len <= whole.data + whole.len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena;
	struct slice text = slice_make(data, size), *items, out;
	struct error error;
	size_t count;
	bool found;
	arena_init(&arena, 0);
	if (expand_json_array(text, false, &arena, &items, &count, &error)) {
		for (size_t i = 0; i < count; i++)
			ensure(within(items[i], text) && items[i].len > 0);
		json_error_t why;
		json_t *json = json_loadb(text.data, text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
		enum json_error_code code = json ? json_error_unknown : json_error_code(&why);
		ensure(json || code == json_error_numeric_overflow || code == json_error_stack_overflow || strstr(why.text, "surrogate") ||
		       strstr(why.text, "Unicode"));
		ensure(!json || json_array_size(json) == count);
		json_decref(json);
	}
	if (expand_json_extract(text, SLICE("a"), true, &arena, &out, &found, &error) == EXPAND_OK && found)
		ensure(within(out, text));
	if (expand_json_extract(text, SLICE("2"), false, &arena, &out, &found, &error) == EXPAND_OK && found)
		ensure(within(out, text));
	arena_free(&arena);
	return 0;
}

/* SPDX-License-Identifier: ISC */
/* Search types as configurations write them: what is accepted keeps the promises of its struct. */
#include "expand/search.h"

#include "base/fatal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena;
	struct search search;
	struct error error = { 0 };
	struct slice text = slice_make(data, size), quoted;
	arena_init(&arena, 0);
	if (search_parse(text, &arena, &search, &error)) {
		ensure(search.type && search.partial_minimum <= 127);
		ensure(search.type->partial || (!search.partial && search.fallback == SEARCH_NO_DEFAULT));
		for (size_t i = 0; i < search.option_count; i++)
			ensure(slice_find(search.options[i], '=') < search.options[i].len);
		if (search.type->quote)
			ensure(search.type->quote(text, &arena, &quoted, &error) && quoted.len >= text.len);
	} else {
		ensure(error.kind != ERROR_NONE && error.text[0]);
	}
	arena_free(&arena);
	return 0;
}

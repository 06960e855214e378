/* SPDX-License-Identifier: ISC */
/*
 * Binding: whatever the query around it, a byte of a peer's value never shows up in the SQL text. Values are made of a byte that the
 * rest cannot hold, so finding it is a look through the result.
 */
#include "base/fatal.h"
#include "lookup/sql.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PIECES_MAX = 64, MARK = 0x01 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1 || size > 4096)
		return 0;
	struct arena arena;
	arena_init(&arena, 0);
	/* The first byte chooses the dialect; "\x02" stands for a peer's value, "\x03" for one of the configuration's own. */
	struct expand_piece pieces[PIECES_MAX];
	size_t count = 0, start = 1;
	for (size_t i = 1; i <= size && count < PIECES_MAX - 1; i++) {
		if (i < size && data[i] != 2 && data[i] != 3)
			continue;
		char *text = arena_cstr(&arena, slice_make(data + start, i - start));
		for (size_t j = 0; j < i - start; j++)
			text[j] = text[j] == MARK ? '.' : text[j];
		pieces[count++] = (struct expand_piece){ .text = slice_make(text, i - start) };
		if (i < size)
			pieces[count++] = data[i] == 2 ? (struct expand_piece){ SLICE("\x01';\x01\"$$--\x01"), true, true }
						       : (struct expand_piece){ SLICE("own'\"2"), true, false };
		start = i + 1;
	}
	struct sql_query query;
	struct error error = { 0 };
	if (sql_bind(data[0] & 1 ? SQL_PGSQL : SQL_SQLITE, pieces, count, &arena, &query, &error)) {
		ensure(slice_find(query.text, MARK) == query.text.len);
		ensure(slice_find(query.text, '\0') == query.text.len);
		ensure(query.count <= SQL_PARAMETERS_MAX);
		for (size_t i = 0; i < query.count; i++)
			ensure(query.parameters[i]);
	} else {
		ensure(error.text[0]);
	}
	arena_free(&arena);
	return 0;
}

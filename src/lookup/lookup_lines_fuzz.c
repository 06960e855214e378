/* SPDX-License-Identifier: ISC */
/* Items of text files: whatever the bytes, items lie within bounds, and data is the end of the whole line. */
#include "base/fatal.h"
#include "lookup/lines.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena;
	arena_init(&arena, 0);
	struct lookup_lines lines = { .rest = slice_make(data, size) };
	struct lookup_line line;
	size_t before = 0, total = 0;
	while (lookup_lines_next(&lines, &arena, &line)) {
		ensure(line.number > before && line.number <= lines.number);
		before = line.number;
		ensure(line.data.len + line.key.len <= line.full.len);
		ensure(line.data.len == 0 || line.data.data + line.data.len == line.full.data + line.full.len);
		ensure(slice_starts(line.full, line.key));
		total += line.full.len;
	}
	ensure(lines.rest.len == 0);
	ensure(total <= size + 1);
	arena_free(&arena);
	return 0;
}

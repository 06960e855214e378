/* SPDX-License-Identifier: ISC */
/*
 * The compiler and the evaluation with any source. The variables' values are pieces of the source too, so that the path
 * conversion sees hostile text; what it lets through must hold its invariants.
 */
#include "expand/expand.h"

#include "base/fatal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct expand_value piece(void *owner, enum expand_variable variable)
{
	struct slice *source = owner;
	return (struct expand_value){ slice_from(*source, (size_t)variable), false };
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena;
	struct slice source = slice_make(data, size), constant;
	struct expand_context context = { .variable = piece, .owner = &source, .max_output = 4096 };
	const struct expand_program *program;
	struct expand_value value;
	struct clean_path path;
	struct error error;
	size_t column;
	arena_init(&arena, 0);
	for (enum expand_place place = 0; place < EXPAND_PLACES; place++) {
		if (!expand_compile(&arena, source, place, NULL, &program, &error, &column)) {
			ensure(column >= 1 && column <= size + 1 && error.text[0]);
			continue;
		}
		if (expand_constant(program, &constant))
			ensure(slice_find(constant, '\0') == constant.len);
		if (expand_run(program, &context, &arena, &value, &error) != EXPAND_OK)
			continue;
		ensure(expand_constant(program, NULL) || value.text.len <= 4096);
		ensure(slice_starts(value.text, expand_constant_prefix(program)));
		if (expand_run_path(program, &context, &arena, &path, &error) == EXPAND_OK) {
			ensure(!value.tainted && path.text.data[0] == '/' && path.text.data[path.text.len] == '\0');
			ensure(!strstr(path.text.data, "//") && !strstr(path.text.data, "/../"));
		}
	}
	arena_free(&arena);
	return 0;
}

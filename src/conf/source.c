/* SPDX-License-Identifier: ISC */
#include "conf/source.h"

#include "base/fatal.h"

#include <string.h>

struct conf_source *conf_source_new(const struct conf_system *system)
{
	struct conf_source *source = xcalloc(1, sizeof *source);
	arena_init(&source->arena, 0);
	source->system = system;
	return source;
}

void conf_source_free(struct conf_source *source)
{
	if (!source)
		return;
	arena_free(&source->arena);
	free(source);
}

/* Room for one more, which is counted. */
static void *grow(struct arena *arena, void *table, size_t *count, size_t *room, size_t size)
{
	return arena_grow(arena, table, (*count)++, room, size);
}

struct conf_line *conf_source_add_line(struct conf_source *source)
{
	source->lines = grow(&source->arena, source->lines, &source->line_count, &source->line_room, sizeof *source->lines);
	return &source->lines[source->line_count - 1];
}

struct conf_fact *conf_source_add_fact(struct conf_source *source)
{
	source->facts = grow(&source->arena, source->facts, &source->fact_count, &source->fact_room, sizeof *source->facts);
	return &source->facts[source->fact_count - 1];
}

uint32_t conf_source_add_file(struct conf_source *source, struct slice name, struct slice text)
{
	size_t count = source->file_count, room = source->file_room;
	source->texts = grow(&source->arena, source->texts, &count, &room, sizeof *source->texts);
	source->texts[count - 1] = text;
	source->files = grow(&source->arena, source->files, &source->file_count, &source->file_room, sizeof *source->files);
	source->files[source->file_count - 1] = arena_copy(&source->arena, name);
	return (uint32_t)(source->file_count - 1);
}

struct conf_macro *conf_source_add_macro(struct conf_source *source, struct slice name, struct slice value)
{
	source->macros = grow(&source->arena, source->macros, &source->macro_count, &source->macro_room,
			      sizeof *source->macros);
	struct conf_macro *macro = &source->macros[source->macro_count - 1];
	macro->name = arena_copy(&source->arena, name);
	macro->value = arena_copy(&source->arena, value);
	macro->command_line = false;
	return macro;
}

struct conf_place conf_source_place(const struct conf_source *source, const struct conf_line *line, size_t offset)
{
	const struct conf_piece *piece = &line->pieces[0];
	for (uint32_t i = 1; i < line->piece_count && line->pieces[i].offset <= offset; i++)
		piece = &line->pieces[i];
	return (struct conf_place){
		.file = source->files[piece->file], .line = piece->line,
		.macro = piece->macro ? source->macros[piece->macro - 1].name : (struct slice){ 0 },
	};
}

struct conf_place conf_source_spot(const struct conf_source *source, const struct conf_line *line, size_t offset)
{
	struct conf_place place = conf_source_place(source, line, offset);
	const struct conf_piece *piece = &line->pieces[0];
	for (uint32_t i = 1; i < line->piece_count && line->pieces[i].offset <= offset; i++)
		piece = &line->pieces[i];
	if (piece->column)
		place.column = piece->column + (uint32_t)(offset > piece->offset ? offset - piece->offset : 0);
	return place;
}

static struct slice physical_line(struct slice text, uint32_t number)
{
	struct slice line = { 0 };
	for (uint32_t i = 0; i < number && text.len; i++)
		line = slice_cut(&text, '\n');
	while (line.len && line.data[line.len - 1] == '\r')
		line.len--;
	return line;
}

void conf_source_quote(const struct conf_source *source, struct conf_problems *problems)
{
	for (size_t i = 0; i < problems->count; i++) {
		struct conf_problem *problem = &problems->items[i];
		for (size_t f = 0; problem->place.column && f < source->file_count; f++)
			if (source->texts[f].data && slice_equal(source->files[f], problem->place.file))
				problem->line = arena_copy(&problems->arena, physical_line(source->texts[f], problem->place.line));
	}
}

static bool answer(const struct conf_fact *fact, struct slice *value_r, struct error *error)
{
	if (!fact->present)
		return error_set(error, ERROR_USAGE, "%.*s", SLICE_ARG(fact->value));
	*value_r = fact->value;
	return true;
}

bool conf_source_fact(struct conf_source *source, enum conf_fact_kind kind, struct slice name, struct slice *value_r,
		      struct error *error)
{
	for (size_t i = 0; i < source->fact_count; i++)
		if (source->facts[i].kind == kind && slice_equal(source->facts[i].name, name))
			return answer(&source->facts[i], value_r, error);
	if (!source->system)
		return error_set(error, ERROR_USAGE, "this is not known here");
	struct slice value;
	struct error why = { 0 };
	bool present = source->system->ask(source->system->context, kind, name, &source->arena, &value, &why);
	struct conf_fact *fact = conf_source_add_fact(source);
	fact->kind = kind;
	fact->present = present;
	fact->name = arena_copy(&source->arena, name);
	fact->value = present ? value : arena_copy(&source->arena, slice_of(why.text));
	return answer(fact, value_r, error);
}

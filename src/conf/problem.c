/* SPDX-License-Identifier: ISC */
#include "conf/problem.h"

void conf_problems_init(struct conf_problems *problems)
{
	*problems = (struct conf_problems){ 0 };
	arena_init(&problems->arena, 0);
}

void conf_problems_free(struct conf_problems *problems)
{
	arena_free(&problems->arena);
	*problems = (struct conf_problems){ 0 };
}

static void add(struct conf_problems *problems, struct conf_place place, struct slice option, bool warning,
		const char *format, va_list args) __attribute__((format(printf, 5, 0)));

static void add(struct conf_problems *problems, struct conf_place place, struct slice option, bool warning,
		const char *format, va_list args)
{
	struct arena *arena = &problems->arena;
	if (warning)
		problems->warnings++;
	else
		problems->errors++;
	if (problems->count == CONF_PROBLEMS_MAX)
		return;
	if (!problems->items)
		problems->items = arena_array(arena, CONF_PROBLEMS_MAX, sizeof *problems->items);
	problems->items[problems->count++] = (struct conf_problem){
		.place = { arena_copy(arena, place.file), place.line, arena_copy(arena, place.macro), place.column },
		.option = arena_copy(arena, option), .text = arena_vprintf(arena, format, args), .warning = warning,
	};
}

void conf_error(struct conf_problems *problems, struct conf_place place, struct slice option, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	conf_verror(problems, place, option, format, args);
	va_end(args);
}

void conf_verror(struct conf_problems *problems, struct conf_place place, struct slice option, const char *format, va_list args)
{
	add(problems, place, option, false, format, args);
}

void conf_warning(struct conf_problems *problems, struct conf_place place, struct slice option, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	add(problems, place, option, true, format, args);
	va_end(args);
}

/* The files in the order in which problems named them first, then lines. */
static bool comes_before(const struct conf_problems *problems, const struct conf_problem *a, const struct conf_problem *b)
{
	if (!a->place.file.len || slice_equal(a->place.file, b->place.file))
		return a->place.file.len ? a->place.line < b->place.line : b->place.file.len > 0;
	for (size_t i = 0; i < problems->count; i++) {
		if (slice_equal(problems->items[i].place.file, a->place.file))
			return b->place.file.len > 0;
		if (slice_equal(problems->items[i].place.file, b->place.file))
			return false;
	}
	return false;
}

void conf_problems_sort(struct conf_problems *problems)
{
	struct conf_problem sorted[CONF_PROBLEMS_MAX];
	size_t count = 0;
	for (size_t i = 0; i < problems->count; i++) {
		size_t at = count++;
		for (; at > 0 && comes_before(problems, &problems->items[i], &sorted[at - 1]); at--)
			sorted[at] = sorted[at - 1];
		sorted[at] = problems->items[i];
	}
	for (size_t i = 0; i < count; i++)
		problems->items[i] = sorted[i];
}

/* A configuration may hold any byte; a terminal gets only harmless ones. */
static bool append_visible(struct buf *out, struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.data[i];
		if (c >= 32 && c != 127 ? !buf_append_byte(out, (char)c) : !buf_printf(out, "\\%03o", c))
			return false;
	}
	return true;
}

bool conf_problem_format(const struct conf_problem *problem, struct buf *out)
{
	const struct conf_place *place = &problem->place;
	bool fits = true;
	if (place->file.len)
		fits = append_visible(out, place->file) && (!place->line || buf_printf(out, ":%u", place->line)) &&
		       (!place->column || buf_printf(out, ":%u", place->column)) && buf_append(out, SLICE(": "));
	fits = fits && buf_append(out, problem->warning ? SLICE("warning: ") : SLICE("error: "));
	if (problem->option.len)
		fits = fits && append_visible(out, problem->option) && buf_append(out, SLICE(": "));
	fits = fits && append_visible(out, problem->text);
	if (place->macro.len)
		fits = fits && buf_append(out, SLICE(" (macro ")) && append_visible(out, place->macro) &&
		       buf_append(out, SLICE(" was replaced in this line)"));
	return fits;
}

enum { EXCERPT_BEFORE = 70, EXCERPT_MAX = 100 };

bool conf_problem_excerpt(const struct conf_problem *problem, struct buf *out)
{
	size_t at = problem->place.column;
	if (!at || at > problem->line.len + 1)
		return true;
	/* A long line is cut around the column. */
	size_t from = at > EXCERPT_BEFORE ? at - EXCERPT_BEFORE : 0;
	struct slice shown = slice_first(slice_from(problem->line, from), EXCERPT_MAX);
	bool fits = true;
	for (size_t i = 0; fits && i < shown.len; i++) {
		unsigned char c = (unsigned char)shown.data[i];
		fits = buf_append_byte(out, c == '\t' ? '\t' : c < 32 || c == 127 ? '?' : (char)c);
	}
	fits = fits && buf_append_byte(out, '\n');
	/* Tabs stay what they are and the bytes of a character in UTF-8 count once, so that the caret stands below it. */
	for (size_t i = 0; fits && i + 1 < at - from; i++) {
		unsigned char c = (unsigned char)shown.data[i];
		fits = (c & 0xc0) == 0x80 || buf_append_byte(out, c == '\t' ? '\t' : ' ');
	}
	return fits && buf_append(out, SLICE("^\n"));
}

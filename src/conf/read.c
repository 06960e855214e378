/* SPDX-License-Identifier: ISC */
/*
 * From files to logical lines. The order for each physical line is Exim's (manual, chapter 6): macros are replaced, then
 * comments go, then conditions and inclusions are obeyed, then continuations are joined.
 */
#include "conf/macro.h"
#include "conf/option.h"
#include "conf/source.h"

#include "base/fatal.h"

#include <errno.h>
#include <string.h>

enum { FILES_MAX = 1000, PIECES_MAX = 65536 };

struct input {
	struct slice rest; /* what is still to be read of this file */
	uint32_t file;
	uint32_t line; /* the one being worked on */
};

/* One .ifdef: a branch is taken when its condition holds, no earlier branch was taken, and the text around is in force. */
struct condition {
	bool outer, taken, active, had_else;
	struct conf_place place;
};

enum section_kind { SECTION_MAIN, SECTION_DRIVERS, SECTION_OTHER };

struct reader {
	struct conf_source *source;
	struct conf_problems *problems;
	struct input stack[CONF_INCLUDE_DEPTH];
	size_t depth;
	struct condition conditions[CONF_CONDITION_DEPTH];
	size_t condition_depth;
	struct buf replaced, scratch, logical;
	struct conf_piece *pieces;
	uint32_t piece_count;
	bool continued; /* the logical line goes on */
	bool stopped;   /* a limit was passed */
	enum section_kind section;
	bool in_driver, macro_in_driver;
	size_t total;
};

static struct conf_place here(const struct reader *reader)
{
	if (!reader->depth)
		return (struct conf_place){ 0 };
	const struct input *input = &reader->stack[reader->depth - 1];
	return (struct conf_place){ .file = reader->source->files[input->file], .line = input->line };
}

static bool active(const struct reader *reader)
{
	return !reader->condition_depth || reader->conditions[reader->condition_depth - 1].active;
}

/* Begins to read a file (or the text of one). False after a problem was noted. */
static bool push(struct reader *reader, struct slice name, struct slice text)
{
	struct slice none = { 0 };
	for (size_t i = 0; i < reader->depth; i++)
		if (slice_equal(reader->source->files[reader->stack[i].file], name)) {
			conf_error(reader->problems, here(reader), none, "%.*s includes itself", SLICE_ARG(name));
			return false;
		}
	if (reader->depth == CONF_INCLUDE_DEPTH || reader->source->file_count == FILES_MAX) {
		conf_error(reader->problems, here(reader), none, "%s", reader->depth == CONF_INCLUDE_DEPTH ?
			   "files are included more than 16 deep" : "more than 1000 files are included");
		return false;
	}
	if (slice_starts(text, SLICE("\xef\xbb\xbf"))) /* a byte order mark, as some editors leave it */
		text = slice_from(text, 3);
	reader->stack[reader->depth++] = (struct input){ text, conf_source_add_file(reader->source, name, text), 0 };
	return true;
}

/* The name after .include: quotes are optional, a relative one counts from the directory of the including file. */
static struct slice include_name(struct reader *reader, struct slice argument)
{
	if (argument.len >= 2 && argument.data[0] == '"' && argument.data[argument.len - 1] == '"')
		argument = slice_first(slice_from(argument, 1), argument.len - 2);
	if (!argument.len || argument.data[0] == '/')
		return argument;
	struct slice from = here(reader).file;
	size_t slash = slice_find_last(from, '/');
	if (slash == from.len)
		return argument;
	return arena_printf(&reader->source->arena, "%.*s/%.*s", SLICE_ARG(slice_first(from, slash)), SLICE_ARG(argument));
}

static void include(struct reader *reader, struct slice argument, bool if_exists)
{
	const struct conf_system *system = reader->source->system;
	struct slice none = { 0 }, text;
	struct error why = { 0 };
	if (!argument.len || (if_exists && argument.data[0] != '/' && argument.data[0] != '"')) {
		conf_error(reader->problems, here(reader), none, "expected %s after the directive",
			   if_exists ? "an absolute file name" : "a file name");
		return;
	}
	struct slice name = include_name(reader, argument);
	if (!system) {
		conf_error(reader->problems, here(reader), none, "%.*s cannot be included here", SLICE_ARG(name));
		return;
	}
	if (!system->ask(system->context, CONF_FACT_FILE, name, &reader->source->arena, &text, &why)) {
		if (!if_exists || why.number != ENOENT)
			conf_error(reader->problems, here(reader), none, "cannot include this file: %s", why.text);
		return;
	}
	push(reader, name, text);
}

/* Names such as _OPT_MAIN_TLS_HOSTS hold where this version has the thing; they are for conditions only. */
static bool names_builtin(struct slice text)
{
	while (text.len) {
		size_t n = 0;
		while (n < text.len && (ascii_is_alnum(text.data[n]) || text.data[n] == '_'))
			n++;
		if (n && text.data[0] == '_' && conf_builtin_macro(slice_first(text, n)))
			return true;
		text = slice_from(text, n + 1);
	}
	return false;
}

enum directive {
	DIRECTIVE_INCLUDE,
	DIRECTIVE_INCLUDE_IF_EXISTS,
	DIRECTIVE_IFDEF,
	DIRECTIVE_IFNDEF,
	DIRECTIVE_ELIFDEF,
	DIRECTIVE_ELIFNDEF,
	DIRECTIVE_ELSE,
	DIRECTIVE_ENDIF,
	DIRECTIVES,
};

static const char directive_names[DIRECTIVES][20] = {
	".include", ".include_if_exists", ".ifdef", ".ifndef", ".elifdef", ".elifndef", ".else", ".endif",
};

static bool begin_condition(struct reader *reader, bool holds)
{
	if (reader->condition_depth == CONF_CONDITION_DEPTH) {
		conf_error(reader->problems, here(reader), (struct slice){ 0 }, "conditions are more than %d deep",
			   CONF_CONDITION_DEPTH);
		reader->stopped = true;
		return false;
	}
	bool outer = active(reader);
	reader->conditions[reader->condition_depth++] = (struct condition){
		.outer = outer, .taken = holds, .active = outer && holds, .place = here(reader),
	};
	return true;
}

/* .ifdef and its family. `holds`: whether this line's condition is true. */
static void conditional(struct reader *reader, enum directive directive, bool holds)
{
	struct slice none = { 0 };
	if (directive == DIRECTIVE_IFDEF || directive == DIRECTIVE_IFNDEF) {
		begin_condition(reader, holds);
		return;
	}
	if (!reader->condition_depth) {
		conf_error(reader->problems, here(reader), none, "%s without .ifdef or .ifndef before it",
			   directive_names[directive]);
		return;
	}
	struct condition *condition = &reader->conditions[reader->condition_depth - 1];
	if (directive == DIRECTIVE_ENDIF) {
		reader->condition_depth--;
		return;
	}
	if (condition->had_else)
		conf_error(reader->problems, here(reader), none, "%s after .else", directive_names[directive]);
	condition->had_else |= directive == DIRECTIVE_ELSE;
	condition->active = condition->outer && !condition->taken && holds;
	condition->taken |= holds;
}

/* Obeys the line if it is a directive. A continued line may begin with a dot as well, so only these words count. */
static bool directive_line(struct reader *reader, struct slice line, size_t replacements)
{
	size_t n = 0;
	while (n < line.len && !ascii_is_space(line.data[n]))
		n++;
	enum directive directive = DIRECTIVE_INCLUDE;
	while (directive < DIRECTIVES && !slice_equal(slice_first(line, n), slice_of(directive_names[directive])))
		directive++;
	if (directive == DIRECTIVES)
		return false;
	struct slice argument = slice_trim(slice_from(line, n));
	bool defined = replacements > 0 || names_builtin(argument);
	if (directive == DIRECTIVE_IFNDEF || directive == DIRECTIVE_ELIFNDEF)
		conditional(reader, directive, !defined);
	else if (directive == DIRECTIVE_IFDEF || directive == DIRECTIVE_ELIFDEF)
		conditional(reader, directive, defined);
	else if (directive == DIRECTIVE_ELSE || directive == DIRECTIVE_ENDIF)
		conditional(reader, directive, true);
	else if (active(reader))
		include(reader, argument, directive == DIRECTIVE_INCLUDE_IF_EXISTS);
	return true;
}

/* Whether macros may be defined here, from the sections that went by. */
static void follow_sections(struct reader *reader, struct slice line, struct conf_place place)
{
	if (slice_starts_nocase(line, SLICE("begin ")) || slice_starts_nocase(line, SLICE("begin\t"))) {
		struct slice name = slice_trim(slice_from(line, 6));
		bool drivers = slice_equal_nocase(name, SLICE("routers")) || slice_equal_nocase(name, SLICE("transports")) ||
			       slice_equal_nocase(name, SLICE("authenticators")) || slice_equal_nocase(name, SLICE("acl"));
		reader->section = drivers ? SECTION_DRIVERS : SECTION_OTHER;
		reader->in_driver = reader->macro_in_driver = false;
		return;
	}
	if (reader->section != SECTION_DRIVERS)
		return;
	bool starts_driver = line.data[line.len - 1] == ':' && slice_find(line, '=') == line.len;
	if (!starts_driver && reader->macro_in_driver)
		conf_error(reader->problems, place, (struct slice){ 0 },
			   "a macro was defined before this line within a driver or an ACL; move it before the name that "
			   "begins it");
	reader->in_driver = true;
	reader->macro_in_driver = false;
}

/* The first `cut` bytes of the logical line go. */
static void cut_piece(struct conf_piece *piece, uint32_t cut)
{
	if (piece->offset >= cut) {
		piece->offset -= cut;
		return;
	}
	piece->column += piece->column ? cut - piece->offset : 0;
	piece->offset = 0;
}

static void finish_logical(struct reader *reader)
{
	struct conf_source *source = reader->source;
	struct slice line = slice_trim(buf_slice(&reader->logical)), name;
	bool again;
	reader->continued = false;
	if (line.len) {
		size_t cut = (size_t)(line.data - buf_slice(&reader->logical).data);
		const struct conf_piece *first = &reader->pieces[0];
		struct conf_place place = { .file = source->files[first->file], .line = first->line };
		size_t definition = reader->section == SECTION_OTHER ? 0 : conf_macro_definition(line, &name, &again);
		struct error error;
		if (definition) {
			reader->macro_in_driver = reader->in_driver;
			if (!conf_macro_define(source, name, slice_trim(slice_from(line, definition)), again, &error))
				conf_error(reader->problems, place, (struct slice){ 0 }, "%s", error.text);
		} else {
			struct conf_line *out = conf_source_add_line(source);
			struct conf_piece *pieces = arena_array(&source->arena, reader->piece_count, sizeof *pieces);
			memcpy(pieces, reader->pieces, reader->piece_count * sizeof *pieces);
			for (uint32_t i = 0; i < reader->piece_count; i++)
				cut_piece(&pieces[i], (uint32_t)cut);
			*out = (struct conf_line){ arena_copy(&source->arena, line), pieces, reader->piece_count };
			follow_sections(reader, line, place);
		}
	}
	buf_consume(&reader->logical, buf_len(&reader->logical));
	reader->piece_count = 0;
}

static void append_piece(struct reader *reader, struct slice text, uint32_t macro, uint32_t column)
{
	const struct input *input = &reader->stack[reader->depth - 1];
	struct conf_piece piece = { (uint32_t)buf_len(&reader->logical), input->line, input->file, macro, column };
	reader->total += text.len + 1;
	if (reader->piece_count < PIECES_MAX)
		reader->pieces[reader->piece_count++] = piece;
	if (reader->total > CONF_TEXT_MAX || !buf_append(&reader->logical, text)) {
		conf_error(reader->problems, here(reader), (struct slice){ 0 }, "%s is longer than %d bytes",
			   reader->total > CONF_TEXT_MAX ? "the configuration" : "this line, with its continuations,",
			   reader->total > CONF_TEXT_MAX ? CONF_TEXT_MAX : CONF_LINE_MAX);
		reader->stopped = true;
	}
}

static void physical_line(struct reader *reader, struct slice raw)
{
	struct slice name, none = { 0 };
	bool again;
	size_t replacements;
	uint32_t macro;
	const char *start = raw.data;
	raw = slice_trim(raw);
	if (slice_find(raw, '\0') != raw.len) {
		conf_error(reader->problems, here(reader), none, "there is a NUL byte in this line");
		return;
	}
	if (!raw.len) { /* unlike a comment, an empty line ends a continuation */
		finish_logical(reader);
		return;
	}
	if (!active(reader) && raw.data[0] != '.')
		return;
	size_t from = reader->continued ? 0 : conf_macro_definition(raw, &name, &again);
	if (!conf_macro_replace(reader->source, raw, from, &reader->replaced, &reader->scratch, &replacements, &macro)) {
		conf_error(reader->problems, here(reader), none, "with its macros replaced this line is longer than %d bytes",
			   CONF_LINE_MAX);
		reader->stopped = true; /* what follows would only say so again */
		return;
	}
	struct slice line = slice_trim(buf_slice(&reader->replaced));
	if (!line.len || line.data[0] == '#')
		return;
	if ((line.data[0] == '.' && directive_line(reader, line, replacements)) || !active(reader))
		return;
	bool goes_on = line.data[line.len - 1] == '\\';
	if (goes_on)
		line.len--;
	append_piece(reader, line, macro, replacements ? 0 : (uint32_t)(raw.data - start) + 1);
	reader->continued = goes_on;
	if (!goes_on)
		finish_logical(reader);
}

static void read_all(struct reader *reader)
{
	while (reader->depth && !reader->stopped) {
		struct input *input = &reader->stack[reader->depth - 1];
		if (!input->rest.len) {
			if (reader->depth == 1)
				finish_logical(reader);
			reader->depth--;
			continue;
		}
		input->line++;
		struct slice line = slice_cut(&input->rest, '\n');
		physical_line(reader, line);
	}
	if (!reader->stopped && reader->condition_depth)
		conf_error(reader->problems, reader->conditions[reader->condition_depth - 1].place, (struct slice){ 0 },
			   "this condition has no .endif");
}

struct conf_source *conf_source_from_text(struct slice text, const char *name, const struct conf_macro *macros,
					  size_t macro_count, const struct conf_system *system,
					  struct conf_problems *problems)
{
	struct reader *reader = xcalloc(1, sizeof *reader);
	reader->source = conf_source_new(system);
	reader->problems = problems;
	for (size_t i = 0; i < macro_count && i < CONF_MACROS_MAX; i++)
		conf_source_add_macro(reader->source, macros[i].name, macros[i].value)->command_line = true;
	buf_init(&reader->replaced, CONF_LINE_MAX);
	buf_init(&reader->scratch, CONF_LINE_MAX);
	buf_init(&reader->logical, CONF_LINE_MAX);
	reader->pieces = xcalloc(PIECES_MAX, sizeof *reader->pieces);
	/* A copy: the source quotes it in messages. */
	if (push(reader, slice_of(name), arena_copy(&reader->source->arena, text)))
		read_all(reader);
	struct conf_source *source = reader->source;
	buf_free(&reader->replaced);
	buf_free(&reader->scratch);
	buf_free(&reader->logical);
	free(reader->pieces);
	free(reader);
	return source;
}

struct conf_source *conf_source_read(const char *path, const struct conf_macro *macros, size_t macro_count,
				     const struct conf_system *system, struct conf_problems *problems)
{
	struct arena arena;
	struct slice text;
	struct error error = { 0 };
	struct conf_source *source;
	arena_init(&arena, 0);
	if (system->ask(system->context, CONF_FACT_FILE, slice_of(path), &arena, &text, &error)) {
		source = conf_source_from_text(text, path, macros, macro_count, system, problems);
	} else {
		conf_error(problems, (struct conf_place){ 0 }, (struct slice){ 0 }, "cannot read the configuration: %s",
			   error.text);
		source = conf_source_new(system);
	}
	arena_free(&arena);
	return source;
}

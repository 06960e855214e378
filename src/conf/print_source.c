/* SPDX-License-Identifier: ISC */
/* What --print shows beside values: the configuration as it was read, macros, the environment. In commands only. */
#include "conf/parse.h"
#include "conf/print.h"

#include <stdlib.h>
#include <unistd.h>

void conf_keep_source(struct conf_parser *parser)
{
	struct conf *conf = parser->conf;
	const struct conf_source *source = parser->source;
	if (!source->system)
		return;
	conf->files = arena_array(&conf->arena, source->file_count + 1, sizeof *conf->files);
	for (size_t i = 0; i < source->file_count; i++)
		conf->files[i] = arena_copy(&conf->arena, source->files[i]);
	conf->macros = arena_array(&conf->arena, source->macro_count + 1, sizeof *conf->macros);
	for (; conf->macro_count < source->macro_count; conf->macro_count++) {
		const struct conf_macro *macro = &source->macros[conf->macro_count];
		conf->macros[conf->macro_count] = (struct conf_macro){
			arena_copy(&conf->arena, macro->name), arena_copy(&conf->arena, macro->value), macro->command_line };
	}
	conf->lines = arena_array(&conf->arena, source->line_count + 1, sizeof *conf->lines);
	for (; conf->line_count < source->line_count; conf->line_count++) {
		const struct conf_line *line = &source->lines[conf->line_count];
		conf->lines[conf->line_count] = (struct conf_text_line){
			.text = arena_copy(&conf->arena, line->text),
			.place = { .file = conf->files[line->pieces[0].file], .line = line->pieces[0].line } };
	}
}

/* ---- The configuration ---- */

enum section { SECTION_MAIN, SECTION_NAMED, SECTION_RULES };

static bool is_word(struct slice line, struct slice word)
{
	return slice_starts_nocase(line, word) && line.len > word.len && ascii_is_space(line.data[word.len]);
}

static enum section section_of(struct slice name)
{
	static const char *const rules[] = { "retry", "rewrite", "local_scan" };
	for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
		if (slice_equal_nocase(name, slice_of(rules[i])))
			return SECTION_RULES;
	return SECTION_NAMED;
}

static bool print_line(enum section section, struct slice line, bool privileged, struct buf *out)
{
	struct slice name = conf_word(line), rest = slice_trim(slice_from(line, name.len));
	bool label = section == SECTION_NAMED && slice_equal(rest, SLICE(":"));
	const char *indent = section == SECTION_MAIN ? "" : section == SECTION_RULES ? "  " : label ? "\n  " : "    ";
	if (!privileged && is_word(line, SLICE("hide")))
		return buf_printf(out, "%s%.*s = <value not displayable>\n", indent,
				  SLICE_ARG(slice_trim(slice_first(line, slice_find(line, '=')))));
	return buf_printf(out, "%s%.*s\n", indent, SLICE_ARG(line));
}

static bool print_config(const struct conf *conf, unsigned flags, struct buf *out)
{
	bool privileged = flags & CONF_PRINT_PRIVILEGED;
	bool fits = buf_printf(out, "# Postern configuration (%s)\n", POSTERN_VERSION);
	enum section section = SECTION_MAIN;
	struct slice file = { 0 };
	/* Definitions come first, wherever they stood: lines have their macros replaced already. */
	for (size_t i = 0; fits && privileged && i < conf->macro_count; i++)
		fits = buf_printf(out, "%.*s = %.*s\n", SLICE_ARG(conf->macros[i].name), SLICE_ARG(conf->macros[i].value));
	for (size_t i = 0; fits && i < conf->line_count; i++) {
		const struct conf_text_line *line = &conf->lines[i];
		if (!slice_equal(file, line->place.file))
			fits = buf_printf(out, "# %u \"%.*s\"\n", line->place.line, SLICE_ARG(line->place.file));
		file = line->place.file;
		if (!is_word(line->text, SLICE("begin"))) {
			fits = fits && print_line(section, line->text, privileged, out);
			continue;
		}
		section = section_of(slice_trim(slice_from(line->text, sizeof "begin" - 1)));
		fits = fits && buf_printf(out, "\n%.*s\n", SLICE_ARG(line->text));
	}
	return fits;
}

static bool print_file(const struct conf *conf, unsigned flags, struct buf *out)
{
	(void)flags;
	return !conf->files || buf_printf(out, "%.*s\n", SLICE_ARG(conf->files[0]));
}

/* ---- Macros ---- */

static bool print_macros(const struct conf *conf, unsigned flags, struct buf *out)
{
	bool fits = true;
	for (size_t i = 0; fits && i < conf->macro_count; i++)
		fits = (flags & CONF_PRINT_BARE || buf_printf(out, "%.*s=", SLICE_ARG(conf->macros[i].name))) &&
		       buf_printf(out, "%.*s\n", SLICE_ARG(conf->macros[i].value));
	return fits;
}

static bool print_macro_names(const struct conf *conf, unsigned flags, struct buf *out)
{
	bool fits = true;
	(void)flags;
	for (size_t i = 0; fits && i < conf->macro_count; i++)
		fits = buf_printf(out, "%.*s\n", SLICE_ARG(conf->macros[i].name));
	return fits;
}

bool conf_print_macro(const struct conf *conf, struct slice name, unsigned flags, struct buf *out, struct error *error)
{
	if (!(flags & CONF_PRINT_PRIVILEGED))
		return error_set(error, ERROR_USAGE, "macros may hold passwords: only root can see them");
	for (size_t i = 0; i < conf->macro_count; i++)
		if (slice_equal(conf->macros[i].name, name))
			return ((flags & CONF_PRINT_BARE || buf_printf(out, "%.*s=", SLICE_ARG(name))) &&
				buf_printf(out, "%.*s\n", SLICE_ARG(conf->macros[i].value))) ||
			       error_set(error, ERROR_PERMANENT, "the text is too long");
	return error_set(error, ERROR_USAGE, "there is no macro %.*s", SLICE_ARG(slice_first(name, 64)));
}

/* ---- The environment ---- */

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool print_environment(const struct conf *conf, unsigned flags, struct buf *out)
{
	enum { MOST = 10000 };
	size_t count = 0;
	bool fits = true;
	(void)conf;
	while (environ && environ[count] && count < MOST)
		count++;
	char **sorted = calloc(count + 1, sizeof *sorted);
	if (!sorted)
		return false;
	for (size_t i = 0; i < count; i++)
		sorted[i] = environ[i];
	qsort(sorted, count, sizeof *sorted, by_text);
	for (size_t i = 0; fits && i < count; i++) {
		struct slice text = slice_of(sorted[i]);
		if (flags & CONF_PRINT_BARE)
			text = slice_first(text, slice_find(text, '='));
		fits = buf_printf(out, "%.*s\n", SLICE_ARG(text));
	}
	free(sorted);
	return fits;
}

static const struct {
	const char *name;
	bool (*print)(const struct conf *conf, unsigned flags, struct buf *out);
	bool privileged; /* only for those */
} words[] = {
	{ "config", print_config, false },
	{ "config_file", print_file, false },
	{ "configure_file", print_file, false },
	{ "macros", print_macros, true },
	{ "macro_list", print_macro_names, true },
	{ "environment", print_environment, true },
};

bool conf_print_word(const struct conf *conf, struct slice name, unsigned flags, struct buf *out, bool *done_r,
		     struct error *error)
{
	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		if (!slice_equal(name, slice_of(words[i].name)))
			continue;
		if (words[i].privileged && !(flags & CONF_PRINT_PRIVILEGED))
			*done_r = error_set(error, ERROR_USAGE, "%s may show passwords: only root can see them", words[i].name);
		else
			*done_r = words[i].print(conf, flags, out) || error_set(error, ERROR_PERMANENT, "the text is too long");
		return true;
	}
	return false;
}

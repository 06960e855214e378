/* SPDX-License-Identifier: ISC */
/* The compiler's items that ask the world: lookup and run (Exim's manual, chapters 9 and 11 §5). */
#include "expand/compiler.h"

/* The word after a lookup's key: all up to "{" or white space. */
static bool compile_search(struct expand_compiler *c, struct expand_item *item)
{
	size_t start = c->at;
	if (!ascii_is_alpha(compile_skip(c)))
		return compile_fail(c, c->at, "missing lookup type");
	start = c->at;
	while (!compile_at_end(c) && compile_peek(c) != '{' && !ascii_is_space(compile_peek(c)))
		c->at++;
	struct slice word = slice_make(c->text.data + start, c->at - start);
	struct search *search = arena_new(c->arena, struct search);
	if (!search_parse(word, c->arena, search, c->error)) {
		c->column = start + 1;
		return false;
	}
	item->search = search;
	item->search_name = slice_first(word, slice_find(word, ','));
	if (c->language && c->language->uses_search)
		c->language->uses_search(c->language->owner, slice_of(search->type->name));
	return true;
}

static void uses_file(struct expand_compiler *c, struct slice path)
{
	if (c->language && c->language->uses_path)
		c->language->uses_path(c->language->owner, path, EXPAND_SERVICE_LOOKUP);
}

/* The file of a query: "file=" among the options, or an absolute path before the query itself, as older versions had it. */
static void find_query_file(struct expand_compiler *c, struct expand_item *item)
{
	for (size_t i = 0; i < item->search->option_count; i++)
		if (slice_starts(item->search->options[i], SLICE("file=")))
			item->file = slice_from(item->search->options[i], 5);
	struct expand_sequence *query = (struct expand_sequence *)(uintptr_t)item->arguments;
	struct slice text = expand_sequence_prefix(query);
	while (text.len && ascii_is_space(text.data[0]))
		text = slice_from(text, 1);
	if (!item->file.len && text.len && text.data[0] == '/') {
		size_t len = 0;
		while (len < text.len && !ascii_is_space(text.data[len]))
			len++;
		struct expand_node *rest = arena_new(c->arena, struct expand_node);
		*rest = *query->first;
		rest->of.literal = arena_copy(c->arena, slice_from(text, len));
		query->first = rest;
		item->file = arena_copy(c->arena, slice_first(text, len));
	}
	if (item->file.len)
		uses_file(c, item->file);
}

bool compile_lookup(struct expand_compiler *c, struct expand_item *item, size_t start)
{
	struct expand_sequence *arguments = arena_array(c->arena, 2, sizeof *arguments);
	bool key = compile_skip(c) == '{';
	if (key && !compile_braced(c, true, &arguments[0], "key", "lookup"))
		return false;
	if (!compile_search(c, item))
		return false;
	const char *type = item->search->type->name;
	bool single = item->search->type->style == SEARCH_SINGLE_KEY;
	if (single && !key)
		return compile_fail(c, start, "missing {key} for the single-key lookup \"%s\"", type);
	if (!single && key)
		return compile_fail(c, start, "a single key was given for lookup type \"%s\", which takes a query", type);
	item->arguments = arguments;
	item->count = single ? 2 : 1;
	if (!compile_braced(c, true, &arguments[single ? 1 : 0], single ? "file" : "query", "lookup"))
		return false;
	if (single)
		uses_file(c, expand_sequence_prefix(&arguments[1]));
	else
		find_query_file(c, item);
	return compile_branches(c, item);
}

/* One word of a command, quotes taken away: single quotes keep all, double quotes know backslashes (chapter 6 §17). */
static struct slice take_word(struct expand_compiler *c, struct slice *rest)
{
	struct slice s = *rest;
	size_t len = 0, from = 0;
	char quote = s.data[0] == '"' || s.data[0] == '\'' ? s.data[0] : '\0';
	char *out = c->literal; /* in no other use while an item is read */
	for (from = quote ? 1 : 0; from < s.len; from++) {
		char byte = s.data[from];
		if (quote ? byte == quote : ascii_is_space(byte))
			break;
		/* In double quotes: \" and \\ here; other escapes are left to the expansion that follows. */
		if (quote == '"' && byte == '\\' && from + 1 < s.len && (s.data[from + 1] == '"' || s.data[from + 1] == '\\'))
			byte = s.data[++from];
		out[len++] = byte;
	}
	*rest = slice_from(s, from + (quote ? 1 : 0));
	return slice_make(out, len); /* good until the next word */
}

static void use_word(struct expand_compiler *c, size_t number, struct slice prefix, bool whole)
{
	if (c->language && c->language->uses_command)
		c->language->uses_command(c->language->owner, number, prefix, whole);
}

static struct slice skip_space(struct slice text)
{
	while (text.len && ascii_is_space(text.data[0]))
		text = slice_from(text, 1);
	return text;
}

/* A command that is split once it is expanded: its words are known as far as its constant beginning reaches, and has no quotes. */
static void use_words(struct expand_compiler *c, const struct expand_sequence *command)
{
	struct slice rest = skip_space(expand_sequence_prefix(command));
	bool constant = expand_sequence_constant(command, NULL);
	for (size_t number = 0; number == 0 || rest.len; number++) {
		size_t end = 0;
		while (end < rest.len && !ascii_is_space(rest.data[end]))
			end++;
		struct slice word = slice_first(rest, end);
		if (slice_find(word, '"') < word.len || slice_find(word, '\'') < word.len || slice_find(word, '\\') < word.len) {
			use_word(c, number, (struct slice){ 0 }, false);
			return;
		}
		use_word(c, number, word, constant || end < rest.len);
		rest = skip_space(slice_from(rest, end));
	}
}

/* Splits the command as it is written; each word is an expansion string of its own. */
static bool compile_words(struct expand_compiler *c, struct expand_item *item, struct slice command, size_t start)
{
	struct expand_sequence *words = arena_array(c->arena, EXPAND_COMMAND_WORDS_MAX, sizeof *words);
	command = skip_space(command);
	while (command.len) {
		const struct expand_program *program;
		size_t column;
		if (item->count == EXPAND_COMMAND_WORDS_MAX)
			return compile_fail(c, start, "the command of \"run\" has more than %d words", EXPAND_COMMAND_WORDS_MAX);
		struct slice word = take_word(c, &command);
		if (!expand_compile_within(c->depth, c->arena, word, c->place, c->language, &program, c->error, &column)) {
			c->column = start + 1;
			return error_context(c->error, "word %zu of the command of \"run\" (words are split before they are expanded)",
					     item->count + 1);
		}
		compile_include(c, program);
		use_word(c, item->count, expand_constant_prefix(program), expand_constant(program, NULL));
		words[item->count++] = program->body;
		command = skip_space(command);
	}
	item->arguments = words;
	return true;
}

static bool compile_run_option(struct expand_compiler *c, struct expand_item *item)
{
	if (compile_peek(c) != ',')
		return true;
	size_t start = ++c->at;
	struct slice name = compile_name(c, "_");
	if (!slice_equal(name, SLICE("preexpand")))
		return compile_fail(c, start, "bad option \"%.*s\" for \"run\": there is only preexpand", SLICE_ARG(slice_first(name, 64)));
	item->preexpand = true;
	return true;
}

bool compile_run(struct expand_compiler *c, struct expand_item *item, size_t start)
{
	struct expand_sequence *whole = arena_new(c->arena, struct expand_sequence);
	if (!compile_run_option(c, item))
		return false;
	compile_skip(c);
	size_t open = c->at;
	if (!compile_braced(c, true, whole, "command", "run"))
		return false;
	if (item->preexpand) {
		use_words(c, whole);
		item->arguments = whole;
		item->count = 1;
	} else if (!compile_words(c, item, slice_make(c->text.data + open + 1, c->at - open - 2), start)) {
		return false;
	}
	return compile_branches(c, item);
}

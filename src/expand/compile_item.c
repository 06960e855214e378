/* SPDX-License-Identifier: ISC */
/* The compiler's items: arguments, branches, and the items that have a syntax of their own (Exim's manual, chapter 11 §5). */
#include "expand/compiler.h"

bool compile_braced(struct expand_compiler *c, bool dollar, struct expand_sequence *sequence_r, const char *what, const char *of)
{
	if (compile_skip(c) != '{')
		return compile_fail(c, c->at, "missing { for the %s of \"%s\"", what, of);
	size_t open = c->at++;
	if (!compile_sequence(c, dollar, open, sequence_r))
		return false;
	c->at++;
	return true;
}

bool compile_close(struct expand_compiler *c, const char *name)
{
	char next = compile_skip(c);
	if (next == '{')
		return compile_fail(c, c->at, "too many arguments for \"%s\"", name);
	if (next != '}')
		return compile_fail(c, c->at, "missing } at the end of \"%s\"", name);
	c->at++;
	return true;
}

bool compile_arguments(struct expand_compiler *c, const char *name, size_t least, size_t most, const struct expand_sequence **arguments_r,
		       size_t *count_r)
{
	struct expand_sequence *arguments = arena_array(c->arena, most ? most : 1, sizeof *arguments);
	size_t count = 0;
	while (count < most && compile_skip(c) == '{') {
		if (!compile_braced(c, true, &arguments[count], "argument", name))
			return false;
		count++;
	}
	if (count < least)
		return compile_fail(c, c->at, "not enough arguments for \"%s\": %zu at least", name, least);
	*arguments_r = arguments;
	*count_r = count;
	return true;
}

static bool compile_branch(struct expand_compiler *c, const struct expand_sequence **branch_r, const char *what, const char *name)
{
	struct expand_sequence *branch = arena_new(c->arena, struct expand_sequence);
	*branch_r = branch;
	return compile_braced(c, true, branch, what, name);
}

/* The word "fail" in the place of the second string. */
static bool compile_fail_word(struct expand_compiler *c, struct expand_item *item)
{
	size_t start = c->at;
	item->fail = slice_equal(compile_name(c, "_"), SLICE("fail"));
	if (!item->fail)
		return compile_fail(c, start, "syntax error in \"%s\": a string in {}, \"fail\" or } expected after the first string",
				    item->name);
	return true;
}

bool compile_branches(struct expand_compiler *c, struct expand_item *item)
{
	if (compile_skip(c) == '}') {
		c->at++;
		return true;
	}
	if (!compile_branch(c, &item->yes, "first string (\"yes\")", item->name))
		return false;
	char next = compile_skip(c);
	if (next == '{') {
		if (!compile_branch(c, &item->no, "second string (\"no\")", item->name))
			return false;
	} else if (next != '}') {
		if (!compile_fail_word(c, item))
			return false;
	}
	if (compile_skip(c) != '}')
		return compile_fail(c, c->at, "missing } at the end of \"%s\"%s", item->name,
				    compile_peek(c) == '{' ? ": it has more than two strings" : "");
	c->at++;
	return true;
}

static bool compile_if(struct expand_compiler *c, struct expand_item *item, size_t start)
{
	(void)start;
	return compile_condition(c, &item->condition) && compile_branches(c, item);
}

bool compile_acl_call(struct expand_compiler *c, const char *name, const struct expand_sequence **arguments_r, size_t *count_r)
{
	struct slice acl;
	compile_skip(c);
	size_t start = c->at + 1;
	if (!compile_arguments(c, name, 1, EXPAND_ARGUMENTS_MAX, arguments_r, count_r) || !compile_close(c, name))
		return false;
	const struct expand_language *language = c->language;
	if (!language || !language->acl_check || !expand_sequence_constant(*arguments_r, &acl) ||
	    language->acl_check(language->owner, acl, c->error))
		return true;
	c->column = start + 1;
	return false;
}

static bool compile_acl(struct expand_compiler *c, struct expand_item *item, size_t start)
{
	(void)start;
	return compile_acl_call(c, item->name, &item->arguments, &item->count);
}

static bool is_number(struct slice key)
{
	key = slice_trim(key);
	if (key.len && key.data[0] == '-')
		key = slice_from(key, 1);
	for (size_t i = 0; i < key.len; i++)
		if (!ascii_is_digit(key.data[i]))
			return false;
	return key.len > 0;
}

/*
 * Exim decides by the key's value how many arguments there are, which is known here only when it is constant. Otherwise all
 * are read as they come, and the evaluation sorts them out.
 */
static bool compile_extract(struct expand_compiler *c, struct expand_item *item, size_t start)
{
	struct slice key;
	compile_skip(c);
	item->json = slice_starts(slice_from(c->text, c->at), SLICE("json"));
	c->at += item->json ? 4 : 0;
	item->unquote = item->json && compile_peek(c) == 's';
	c->at += item->unquote ? 1 : 0;
	struct expand_sequence *arguments = arena_array(c->arena, 3, sizeof *arguments);
	if (!compile_braced(c, true, &arguments[0], "first argument", "extract"))
		return false;
	bool constant = expand_sequence_constant(&arguments[0], &key);
	if (constant && slice_trim(key).len == 0)
		return compile_fail(c, start, "the first argument of \"extract\" must not be empty");
	bool three = !item->json && (!constant || is_number(key));
	item->arguments = arguments;
	item->count = 2;
	if (!compile_braced(c, true, &arguments[1], "second argument", "extract"))
		return false;
	if (three && (constant || compile_skip(c) == '{')) {
		if (!compile_braced(c, true, &arguments[2], "third argument", "extract"))
			return false;
		item->count = 3;
	}
	/* The third may turn out to be what is wanted when the key is found. */
	if (item->count == 3 && !constant && ascii_is_alpha(compile_skip(c)))
		return compile_fail_word(c, item) && compile_close(c, "extract");
	return compile_branches(c, item);
}

static bool compile_two_and_branches(struct expand_compiler *c, struct expand_item *item, size_t start)
{
	(void)start;
	struct expand_sequence *arguments = arena_array(c->arena, 2, sizeof *arguments);
	item->arguments = arguments;
	item->count = 2;
	return compile_braced(c, true, &arguments[0], "first argument", item->name) &&
	       compile_braced(c, true, &arguments[1], "second argument", item->name) && compile_branches(c, item);
}

/* The certificate must be a variable that holds one: its text alone would be of no use. */
static bool compile_certextract(struct expand_compiler *c, struct expand_item *item, size_t start)
{
	if (!compile_two_and_branches(c, item, start))
		return false;
	const struct expand_sequence *certificate = &item->arguments[1];
	const struct expand_node *node = certificate->first;
	if (certificate->count != 1 || node->kind != EXPAND_NODE_VARIABLE || node->of.variable->type != EXPAND_TYPE_CERTIFICATE)
		return compile_fail(c, start, "the second argument of \"certextract\" must be a variable that holds a certificate");
	return true;
}

static bool compile_env(struct expand_compiler *c, struct expand_item *item, size_t start)
{
	(void)start;
	struct expand_sequence *name = arena_new(c->arena, struct expand_sequence);
	item->arguments = name;
	item->count = 1;
	return compile_braced(c, true, name, "name", "env") && compile_branches(c, item);
}

static bool compile_filter(struct expand_compiler *c, struct expand_item *item, size_t start)
{
	(void)start;
	struct expand_sequence *list = arena_new(c->arena, struct expand_sequence);
	item->arguments = list;
	item->count = 1;
	if (!compile_braced(c, true, list, "list", "filter"))
		return false;
	if (compile_skip(c) != '{')
		return compile_fail(c, c->at, "missing { for the condition of \"filter\"");
	c->at++;
	return compile_condition(c, &item->condition) && compile_close(c, "filter") && compile_close(c, "filter");
}

/* Items with a fixed number of arguments. */
static bool compile_fixed(struct expand_compiler *c, struct expand_item *item, size_t count)
{
	return compile_arguments(c, item->name, count, count, &item->arguments, &item->count) && compile_close(c, item->name);
}

static bool compile_map(struct expand_compiler *c, struct expand_item *item, size_t start)
{
	(void)start;
	return compile_fixed(c, item, 2);
}

static bool compile_reduce(struct expand_compiler *c, struct expand_item *item, size_t start)
{
	(void)start;
	return compile_fixed(c, item, 3);
}

static bool compile_sort(struct expand_compiler *c, struct expand_item *item, size_t start)
{
	struct slice name;
	if (!compile_fixed(c, item, 3))
		return false;
	if (!expand_sequence_constant(&item->arguments[1], &name))
		return compile_fail(c, start, "the comparison of \"sort\" must be written out, as lt or <");
	return compile_comparison(c, slice_trim(name), start, &item->before);
}

/* A replacement is expanded once with the item, and what that gives again for each match ("\\$1"): now, when it is constant. */
static bool compile_replacement(struct expand_compiler *c, struct expand_item *item, size_t start)
{
	struct slice text;
	size_t column;
	if (!expand_sequence_constant(&item->arguments[2], &text))
		return true;
	if (!expand_compile_within(c->depth, c->arena, text, c->place, c->language, &item->replacement, c->error, &column)) {
		c->column = start + 1;
		return error_context(c->error, "the replacement of \"sg\"");
	}
	compile_include(c, item->replacement);
	return true;
}

static bool compile_sg(struct expand_compiler *c, struct expand_item *item, size_t start)
{
	(void)start;
	struct expand_sequence *arguments = arena_array(c->arena, 3, sizeof *arguments);
	item->arguments = arguments;
	item->count = 3;
	if (!compile_braced(c, true, &arguments[0], "subject", "sg"))
		return false;
	compile_skip(c);
	size_t pattern = c->at + 1;
	if (!compile_braced(c, true, &arguments[1], "regular expression", "sg") ||
	    !compile_constant_regex(c, &arguments[1], pattern, &item->regex))
		return false;
	compile_skip(c);
	size_t replacement = c->at + 1;
	return compile_braced(c, true, &arguments[2], "replacement", "sg") && compile_replacement(c, item, replacement) &&
	       compile_close(c, "sg");
}

static bool compile_readfile(struct expand_compiler *c, struct expand_item *item, size_t start)
{
	(void)start;
	if (!compile_arguments(c, item->name, 1, 2, &item->arguments, &item->count) || !compile_close(c, item->name))
		return false;
	compile_uses_path(c, &item->arguments[0], EXPAND_SERVICE_READ_FILE);
	return true;
}

static bool compile_readsocket(struct expand_compiler *c, struct expand_item *item, size_t start)
{
	(void)start;
	if (!compile_arguments(c, item->name, 2, 5, &item->arguments, &item->count) || !compile_close(c, item->name))
		return false;
	compile_uses_path(c, &item->arguments[0], EXPAND_SERVICE_READ_SOCKET);
	return true;
}

static bool compile_prvscheck(struct expand_compiler *c, struct expand_item *item, size_t start)
{
	(void)start;
	return compile_arguments(c, item->name, 2, 3, &item->arguments, &item->count) && compile_close(c, item->name);
}

static const struct expand_control controls[] = {
	{ "acl", compile_acl, expand_item_acl },
	{ "certextract", compile_certextract, expand_item_certextract },
	{ "env", compile_env, expand_item_env },
	{ "extract", compile_extract, expand_item_extract },
	{ "filter", compile_filter, expand_item_map },
	{ "if", compile_if, expand_item_if },
	{ "listextract", compile_two_and_branches, expand_item_listextract },
	{ "lookup", compile_lookup, expand_item_lookup },
	{ "map", compile_map, expand_item_map },
	{ "prvscheck", compile_prvscheck, expand_item_prvscheck },
	{ "readfile", compile_readfile, expand_item_readfile },
	{ "readsocket", compile_readsocket, expand_item_readsocket },
	{ "reduce", compile_reduce, expand_item_reduce },
	{ "run", compile_run, expand_item_run_command },
	{ "sg", compile_sg, expand_item_sg },
	{ "sort", compile_sort, expand_item_sort },
};

const struct expand_control *expand_control_find(struct slice name)
{
	for (size_t i = 0; i < sizeof controls / sizeof *controls; i++)
		if (slice_equal(name, slice_of(controls[i].name)))
			return &controls[i];
	return NULL;
}

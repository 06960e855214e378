/* SPDX-License-Identifier: ISC */
/* Operators that need the evaluation itself: expand, listcount, listnamed, stat. */
#include "expand/compiler.h"
#include "expand/items.h"

enum expand_result expand_run_compile(struct expand_evaluation *run, struct expand_value text, const struct expand_program **program_r)
{
	size_t column;
	if (text.tainted)
		return expand_run_fail(run, "attempt to expand tainted string '%.*s'", SLICE_ARG(slice_first(text.text, 100)));
	if (expand_compile_within(run->depth, run->arena, text.text, run->place, run->context->language, program_r, run->error, &column))
		return EXPAND_OK;
	run->error->kind = ERROR_PERMANENT;
	return EXPAND_FAIL;
}

static enum expand_result run_expand(struct expand_evaluation *run, const struct expand_operation *operation, struct expand_value text,
				     struct expand_value *value_r)
{
	const struct expand_program *program;
	(void)operation;
	enum expand_result result = expand_run_compile(run, text, &program);
	if (result == EXPAND_OK)
		result = expand_run_sequence(run, &program->body, value_r);
	if (result == EXPAND_FAIL && !text.tainted)
		error_context(run->error, "internal expansion of \"%.*s\" failed", SLICE_ARG(slice_first(text.text, 100)));
	return result;
}

static enum expand_result run_listcount(struct expand_evaluation *run, const struct expand_operation *operation, struct expand_value text,
					struct expand_value *value_r)
{
	(void)operation;
	*value_r = (struct expand_value){ arena_printf(run->arena, "%zu", expand_list_count(text.text, run->arena)), false };
	return EXPAND_OK;
}

enum { LIST_DEPTH_MAX = 20 }; /* named lists that refer to named lists */

/* The text that listnamed puts together: memory for the longest that it may become. */
struct named_text {
	char *out;
	size_t len;
	char kind;
};

/* One item, its colons doubled, after " : " when it is not the first. */
static enum expand_result add_item(struct expand_evaluation *run, struct named_text *text, struct slice item)
{
	size_t colons = 0;
	for (size_t i = 0; i < item.len; i++)
		colons += item.data[i] == ':' ? 1 : 0;
	if (text->len + 3 + item.len + colons > run->max_output)
		return expand_run_fail(run, "the result of the expansion is longer than %zu bytes", run->max_output);
	if (text->len) {
		memcpy(text->out + text->len, " : ", 3);
		text->len += 3;
	}
	for (size_t i = 0; i < item.len; i++) {
		text->out[text->len++] = item.data[i];
		if (item.data[i] == ':')
			text->out[text->len++] = ':';
	}
	return EXPAND_OK;
}

/* The items of a named list; those of the named lists that it refers to stand in their places. */
static enum expand_result add_named(struct expand_evaluation *run, struct named_text *text, struct slice name, unsigned depth)
{
	const struct expand_language *language = run->context->language;
	struct slice list, item;
	char separator = 0;
	if (!language || !language->list_text || !language->list_text(language->owner, text->kind, name, &list))
		return expand_run_fail(run, "\"%.*s\" is not a named list", SLICE_ARG(slice_first(name, 64)));
	if (depth > LIST_DEPTH_MAX)
		return expand_run_fail(run, "named lists refer to each other more than %d deep", LIST_DEPTH_MAX);
	while (expand_list_next(&list, &separator, run->arena, &item)) {
		enum expand_result result = expand_run_step(run);
		if (result == EXPAND_OK && item.len && item.data[0] == '+')
			result = add_named(run, text, slice_from(item, 1), depth + 1);
		else if (result == EXPAND_OK)
			result = add_item(run, text, item);
		if (result != EXPAND_OK)
			return result;
	}
	return EXPAND_OK;
}

static enum expand_result run_listnamed(struct expand_evaluation *run, const struct expand_operation *operation, struct expand_value text,
					struct expand_value *value_r)
{
	struct slice modifier = operation->modifier_count ? operation->modifiers[0] : (struct slice){ 0 };
	struct named_text named = { .kind = modifier.len == 1 ? modifier.data[0] : '\0' };
	if (operation->modifier_count && (!named.kind || !strchr("adhl", named.kind)))
		return expand_run_fail(run, "bad suffix on \"listnamed\" operator: one of a, d, h and l");
	struct slice name = text.text.len && text.text.data[0] == '+' ? slice_from(text.text, 1) : text.text;
	named.out = arena_alloc(run->arena, run->max_output + 1);
	enum expand_result result = add_named(run, &named, name, 0);
	*value_r = (struct expand_value){ slice_make(named.out, named.len), false };
	return result;
}

static enum expand_result run_stat(struct expand_evaluation *run, const struct expand_operation *operation, struct expand_value text,
				   struct expand_value *value_r)
{
	(void)operation;
	return expand_run_stat(run, text, value_r);
}

expand_operator_run *expand_operator_own(struct slice name)
{
	static const struct {
		const char *name;
		expand_operator_run *run;
	} own[] = { { "expand", run_expand }, { "listcount", run_listcount }, { "listnamed", run_listnamed }, { "stat", run_stat } };
	for (size_t i = 0; i < sizeof own / sizeof *own; i++)
		if (slice_equal(name, slice_of(own[i].name)))
			return own[i].run;
	return NULL;
}

/* SPDX-License-Identifier: ISC */
#include "expand/program.h"

#include "base/fatal.h"

bool expand_constant(const struct expand_program *program, struct slice *text_r)
{
	if (program->variables)
		return false;
	if (text_r)
		*text_r = expand_constant_prefix(program);
	return true;
}

struct slice expand_constant_prefix(const struct expand_program *program)
{
	const struct expand_node *first = program->first;
	return first && first->kind == EXPAND_NODE_LITERAL ? first->literal : SLICE("");
}

bool expand_uses(const struct expand_program *program, enum expand_variable variable)
{
	return program->variables >> variable & 1;
}

static struct expand_value node_value(const struct expand_node *node, const struct expand_context *context)
{
	if (node->kind == EXPAND_NODE_LITERAL)
		return (struct expand_value){ node->literal, false };
	struct expand_value value = context->variable(context->owner, node->variable->variable);
	value.tainted |= node->variable->tainted;
	return value;
}

enum expand_result expand_run(const struct expand_program *program, const struct expand_context *context, struct arena *arena,
			      struct expand_value *value_r, struct error *error)
{
	struct slice constant;
	if (expand_constant(program, &constant)) {
		*value_r = (struct expand_value){ constant, false };
		return EXPAND_OK;
	}

	/* Sizes first, so that the limit holds before any memory is taken. */
	struct expand_value *parts = arena_array(arena, program->count, sizeof *parts);
	size_t max = context->max_output ? context->max_output : EXPAND_DEFAULT_OUTPUT, total = 0, count = 0;
	bool tainted = false;
	for (const struct expand_node *node = program->first; node; node = node->next) {
		struct expand_value part = node_value(node, context);
		if (part.text.len > max - total) {
			error_set(error, ERROR_PERMANENT, "the result of the expansion is longer than %zu bytes", max);
			return EXPAND_FAIL;
		}
		total += part.text.len;
		/* Empty text from a peer leaves no trace in the result, but the rule is kept simple: it taints. */
		tainted |= part.tainted;
		parts[count++] = part;
	}
	ensure(count == program->count);

	char *out = arena_alloc(arena, total + 1);
	size_t at = 0;
	for (size_t i = 0; i < count; i++) {
		if (parts[i].text.len)
			memcpy(out + at, parts[i].text.data, parts[i].text.len);
		at += parts[i].text.len;
	}
	*value_r = (struct expand_value){ slice_make(out, total), tainted };
	return EXPAND_OK;
}

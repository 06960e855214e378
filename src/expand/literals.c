/* SPDX-License-Identifier: ISC */
/* The constant texts of a program, wherever they stand in it. */
#include "expand/program.h"

struct visit {
	expand_literal_function *each;
	void *owner;
};

static void visit_sequence(const struct visit *visit, const struct expand_sequence *sequence);

static void visit_condition(const struct visit *visit, const struct expand_condition *condition)
{
	for (; condition; condition = condition->next) {
		for (size_t i = 0; i < condition->count; i++)
			visit_sequence(visit, &condition->operands[i]);
		visit_condition(visit, condition->children);
	}
}

static void visit_item(const struct visit *visit, const struct expand_item *item)
{
	for (size_t i = 0; i < item->count; i++)
		visit_sequence(visit, &item->arguments[i]);
	visit_condition(visit, item->condition);
	visit_condition(visit, item->before);
	visit_sequence(visit, item->yes);
	visit_sequence(visit, item->no);
}

static void visit_sequence(const struct visit *visit, const struct expand_sequence *sequence)
{
	for (const struct expand_node *node = sequence ? sequence->first : NULL; node; node = node->next) {
		if (node->kind == EXPAND_NODE_LITERAL)
			visit->each(visit->owner, node->of.literal);
		else if (node->kind == EXPAND_NODE_OPERATOR)
			visit_sequence(visit, &node->of.operation->text);
		else if (node->kind == EXPAND_NODE_ITEM)
			visit_item(visit, node->of.item);
	}
}

void expand_literals(const struct expand_program *program, expand_literal_function *each, void *owner)
{
	const struct visit visit = { each, owner };
	visit_sequence(&visit, &program->body);
}

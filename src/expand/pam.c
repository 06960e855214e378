/* SPDX-License-Identifier: ISC */
/*
 * ${if pam{user:password:...}}: a list, whose first item is the user and whose others answer what PAM asks for, in this order. Unlike in Exim
 * the separator is always a colon: the list begins with what a client sent, which must not choose another.
 */
#include "expand/condition.h"
#include "expand/evaluation.h"
#include "expand/items.h"

enum { ITEMS_MAX = 20 };

enum expand_result expand_condition_pam(struct expand_evaluation *run, const struct expand_condition *condition, bool *yes_r)
{
	struct expand_piece pieces[ITEMS_MAX];
	struct expand_request request = { .service = EXPAND_SERVICE_PAM, .pieces = pieces };
	struct expand_answer answer;
	struct expand_value list;
	char separator = ':';
	struct slice item;
	enum expand_result result = expand_run_sequence(run, &condition->operands[0], &list);
	if (result != EXPAND_OK)
		return result;
	while (expand_list_next(&list.text, &separator, run->arena, &item)) {
		if (request.piece_count == ITEMS_MAX)
			return expand_run_fail(run, "the condition \"pam\" was given more than %d strings", ITEMS_MAX);
		pieces[request.piece_count++] = (struct expand_piece){ item, true, list.tainted };
	}
	*yes_r = false;
	if (request.piece_count == 0 || pieces[0].text.len == 0)
		return EXPAND_OK; /* nobody is called so */
	result = expand_run_ask(run, &request, &answer);
	*yes_r = answer.found;
	return result;
}

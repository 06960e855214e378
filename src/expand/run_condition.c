/* SPDX-License-Identifier: ISC */
/* Evaluation of conditions (Exim's manual, chapter 11 §7 and §8). */
#include "expand/condition.h"
#include "expand/evaluation.h"
#include "expand/items.h"
#include "expand/srs.h"
#include "net/address.h"

enum expand_result expand_run_condition(struct expand_evaluation *run, const struct expand_condition *condition, bool *yes_r)
{
	enum expand_result result = expand_run_step(run);
	if (result != EXPAND_OK)
		return result;
	run->depth++;
	result = condition->run(run, condition, yes_r);
	if (result == EXPAND_OK)
		*yes_r ^= condition->negated;
	const struct expand_trace *trace = run->context->trace;
	if (trace)
		trace->step(trace->owner, run->depth, condition->source, result,
			    (struct expand_value){ result == EXPAND_OK ? (*yes_r ? SLICE("true") : SLICE("false")) : SLICE(""), false });
	run->depth--;
	return result;
}

bool expand_compare(enum expand_comparison operator, int order)
{
	switch (operator) {
	case EXPAND_EQUAL: return order == 0;
	case EXPAND_LESS: return order < 0;
	case EXPAND_LESS_EQUAL: return order <= 0;
	case EXPAND_GREATER: return order > 0;
	case EXPAND_GREATER_EQUAL: return order >= 0;
	}
	return false;
}

static enum expand_result compare_numbers(struct expand_evaluation *run, enum expand_comparison operator, struct slice a, struct slice b,
					  bool *yes_r)
{
	int64_t first, second;
	if (!expand_to_number(a, &first, run->error) || !expand_to_number(b, &second, run->error))
		return EXPAND_FAIL;
	*yes_r = expand_compare(operator, first < second ? -1 : first > second);
	return EXPAND_OK;
}

enum expand_result expand_condition_compare(struct expand_evaluation *run, const struct expand_condition *condition, struct slice a,
					    struct slice b, bool *yes_r)
{
	enum expand_comparison operator = (enum expand_comparison)condition->operator;
	if (condition->run == expand_condition_numbers)
		return compare_numbers(run, operator, a, b, yes_r);
	*yes_r = expand_compare(operator, condition->caseless ? slice_compare_nocase(a, b) : slice_compare(a, b));
	return EXPAND_OK;
}

static enum expand_result run_two(struct expand_evaluation *run, const struct expand_condition *condition, struct expand_value values[2])
{
	enum expand_result result = expand_run_sequence(run, &condition->operands[0], &values[0]);
	return result == EXPAND_OK ? expand_run_sequence(run, &condition->operands[1], &values[1]) : result;
}

static enum expand_result compare(struct expand_evaluation *run, const struct expand_condition *condition, bool *yes_r)
{
	struct expand_value values[2];
	enum expand_result result = run_two(run, condition, values);
	return result == EXPAND_OK ? expand_condition_compare(run, condition, values[0].text, values[1].text, yes_r) : result;
}

/* Two functions, for condition->run tells what is compared. */
enum expand_result expand_condition_numbers(struct expand_evaluation *run, const struct expand_condition *condition, bool *yes_r)
{
	return compare(run, condition, yes_r);
}

enum expand_result expand_condition_strings(struct expand_evaluation *run, const struct expand_condition *condition, bool *yes_r)
{
	return compare(run, condition, yes_r);
}

enum expand_result expand_condition_match(struct expand_evaluation *run, const struct expand_condition *condition, bool *yes_r)
{
	struct expand_value values[2];
	const struct regex *regex = condition->regex;
	enum expand_result result = expand_run_sequence(run, &condition->operands[0], &values[0]);
	if (result == EXPAND_OK && !regex) {
		result = expand_run_sequence(run, &condition->operands[1], &values[1]);
		if (result == EXPAND_OK)
			result = expand_run_regex(run, NULL, values[1].text, &regex);
	}
	return result == EXPAND_OK ? expand_run_match(run, regex, values[0], yes_r) : result;
}

/* A leaf of the recursion: struct expand_list_found is large. */
static __attribute__((noinline)) enum expand_result match_list(struct expand_evaluation *run, const struct expand_condition *condition, struct expand_value subject,
				     bool *yes_r)
{
	const struct expand_language *language = run->context->language;
	struct expand_list_found found = { 0 };
	if (!language || !language->list_match)
		return expand_run_fail(run, "\"%s\" cannot be used here", condition->name);
	*yes_r = false;
	enum expand_result result = language->list_match(condition->list, run->context, subject, true, run->arena, yes_r, &found, run->error);
	if (result != EXPAND_OK || !*yes_r)
		return result;
	*expand_own(run, EXPAND_VALUE) = found.data;
	if (found.number_count) {
		struct expand_value *numbers = arena_array(run->arena, found.number_count, sizeof *numbers);
		memcpy(numbers, found.numbers, found.number_count * sizeof *numbers);
		run->numbers = (struct expand_numbers){ numbers, found.number_count };
	}
	return EXPAND_OK;
}

enum expand_result expand_condition_list(struct expand_evaluation *run, const struct expand_condition *condition, bool *yes_r)
{
	struct expand_value subject;
	enum expand_result result = expand_run_sequence(run, condition->operands, &subject);
	return result == EXPAND_OK ? match_list(run, condition, subject, yes_r) : result;
}

enum expand_result expand_condition_ip(struct expand_evaluation *run, const struct expand_condition *condition, bool *yes_r)
{
	struct expand_value subject;
	struct net_address address;
	enum expand_result result = expand_run_sequence(run, condition->operands, &subject);
	if (result != EXPAND_OK)
		return result;
	if (subject.text.len && !net_address_parse(subject.text, &address))
		return expand_run_fail(run, "\"%.*s\" is not an IP address", SLICE_ARG(slice_first(subject.text, 100)));
	return match_list(run, condition, subject, yes_r);
}

enum expand_result expand_condition_inlist(struct expand_evaluation *run, const struct expand_condition *condition, bool *yes_r)
{
	struct expand_value values[2];
	struct slice item;
	char separator = 0;
	enum expand_result result = run_two(run, condition, values);
	if (result != EXPAND_OK)
		return result;
	*yes_r = false;
	while (!*yes_r && expand_list_next(&values[1].text, &separator, run->arena, &item))
		*yes_r = condition->caseless ? slice_equal_nocase(item, values[0].text) : slice_equal(item, values[0].text);
	if (*yes_r)
		*expand_own(run, EXPAND_VALUE) = (struct expand_value){ item, values[1].tainted };
	return EXPAND_OK;
}

enum expand_result expand_condition_def(struct expand_evaluation *run, const struct expand_condition *condition, bool *yes_r)
{
	struct expand_value value = { 0 };
	if (condition->header) {
		expand_run_header(run, condition->reference, yes_r);
		return EXPAND_OK;
	}
	if (condition->reference)
		expand_run_named(run, condition->reference, &value);
	else
		value = expand_run_variable(run, condition->variable);
	*yes_r = value.text.len > 0;
	return EXPAND_OK;
}

enum expand_result expand_condition_group(struct expand_evaluation *run, const struct expand_condition *condition, bool *yes_r)
{
	*yes_r = !condition->any;
	for (const struct expand_condition *child = condition->children; child; child = child->next) {
		enum expand_result result = expand_run_condition(run, child, yes_r);
		if (result != EXPAND_OK || *yes_r == condition->any)
			return result;
	}
	return EXPAND_OK;
}

enum expand_result expand_condition_bool(struct expand_evaluation *run, const struct expand_condition *condition, bool *yes_r)
{
	struct expand_value value;
	enum expand_result result = expand_run_sequence(run, condition->operands, &value);
	if (result != EXPAND_OK)
		return result;
	return expand_to_bool(value.text, condition->any, yes_r, run->error) ? EXPAND_OK : EXPAND_FAIL;
}

/* An address without brackets, perhaps with a zone. */
static int address_family(struct slice text)
{
	struct net_address address;
	if (slice_find(text, '[') == 0)
		return AF_UNSPEC;
	size_t zone = slice_find(text, '%');
	if (!net_address_parse(slice_first(text, zone), &address))
		return AF_UNSPEC;
	return zone < text.len && address.family == AF_INET ? AF_UNSPEC : address.family;
}

enum expand_result expand_condition_isip(struct expand_evaluation *run, const struct expand_condition *condition, bool *yes_r)
{
	struct expand_value value;
	enum expand_result result = expand_run_sequence(run, condition->operands, &value);
	if (result != EXPAND_OK)
		return result;
	int family = address_family(value.text);
	char version = condition->name[strlen("isip")];
	*yes_r = version == '4' ? family == AF_INET : version == '6' ? family == AF_INET6 : family != AF_UNSPEC;
	return EXPAND_OK;
}

enum expand_result expand_condition_first_delivery(struct expand_evaluation *run, const struct expand_condition *condition, bool *yes_r)
{
	(void)condition;
	*yes_r = run->context->first_delivery;
	return EXPAND_OK;
}

enum expand_result expand_condition_queue_running(struct expand_evaluation *run, const struct expand_condition *condition, bool *yes_r)
{
	(void)condition;
	*yes_r = run->context->queue_running;
	return EXPAND_OK;
}

enum expand_result expand_condition_acl(struct expand_evaluation *run, const struct expand_condition *condition, bool *yes_r)
{
	return expand_run_acl(run, condition->operands, condition->count, yes_r, expand_own(run, EXPAND_VALUE));
}

enum expand_result expand_condition_inbound_srs(struct expand_evaluation *run, const struct expand_condition *condition, bool *yes_r)
{
	struct expand_value values[2];
	struct slice recipient = { 0 };
	enum expand_result result = run_two(run, condition, values);
	if (result != EXPAND_OK)
		return result;
	*yes_r = expand_srs_decode(values[0].text, values[1].text, time(NULL), run->arena, &recipient);
	if (recipient.len)
		*expand_own(run, EXPAND_SRS_RECIPIENT) = (struct expand_value){ recipient, values[0].tainted };
	return EXPAND_OK;
}

/* SPDX-License-Identifier: ISC */
/* Evaluation of what walks a list: map, filter, reduce, sort, and the conditions forall and forany. */
#include "expand/condition.h"
#include "expand/evaluation.h"
#include "expand/items.h"
#include "expand/json.h"

/* A list that is being made: its items, and the length that they take when separators in them are doubled. */
struct output {
	struct output_item {
		struct slice text;
		struct output_item *next;
	} *first, **tail;
	size_t len;
	char separator;
	bool tainted;
};

static void start_output(struct output *output)
{
	*output = (struct output){ .tail = &output->first };
}

/*
 * An item that is empty or begins with the separator gets a space before it, for otherwise the two separators in a row would be
 * taken for one that is doubled. Not so the first.
 */
static bool wants_space(const struct output *output, const struct output_item *item)
{
	return item != output->first && (item->text.len == 0 || item->text.data[0] == output->separator);
}

static enum expand_result add_output(struct expand_evaluation *run, struct output *output, char separator, struct expand_value value)
{
	struct output_item *item = arena_new(run->arena, struct output_item);
	item->text = value.text;
	*output->tail = item;
	output->tail = &item->next;
	output->separator = separator;
	output->tainted |= value.tainted;
	output->len += value.text.len + 1 + (wants_space(output, item) ? 1 : 0);
	for (size_t i = 0; i < value.text.len; i++)
		output->len += value.text.data[i] == separator ? 1 : 0;
	if (output->len > run->max_output)
		return expand_run_fail(run, "the result of the expansion is longer than %zu bytes", run->max_output);
	return EXPAND_OK;
}

static struct expand_value finish_output(struct expand_evaluation *run, const struct output *output)
{
	char *out = arena_alloc(run->arena, output->len + 1);
	size_t len = 0;
	for (const struct output_item *item = output->first; item; item = item->next) {
		if (item != output->first)
			out[len++] = output->separator;
		if (wants_space(output, item))
			out[len++] = ' ';
		for (size_t i = 0; i < item->text.len; i++) {
			out[len++] = item->text.data[i];
			if (item->text.data[i] == output->separator)
				out[len++] = output->separator;
		}
	}
	return (struct expand_value){ slice_make(out, len), output->tainted };
}

/* A walk over a list: each item in turn is $item; what it was before is put back at the end. */
struct walk {
	struct slice rest;
	struct expand_value saved;
	char separator;
	bool tainted;
};

static enum expand_result start_walk(struct expand_evaluation *run, struct walk *walk, const struct expand_sequence *list)
{
	struct expand_value value;
	enum expand_result result = expand_run_sequence(run, list, &value);
	if (result == EXPAND_OK)
		*walk = (struct walk){ .rest = value.text, .saved = *expand_own(run, EXPAND_ITEM), .tainted = value.tainted };
	return result;
}

static bool next_item(struct expand_evaluation *run, struct walk *walk)
{
	struct slice item;
	if (!expand_list_next(&walk->rest, &walk->separator, run->arena, &item))
		return false;
	*expand_own(run, EXPAND_ITEM) = (struct expand_value){ item, walk->tainted };
	return true;
}

static void end_walk(struct expand_evaluation *run, const struct walk *walk)
{
	*expand_own(run, EXPAND_ITEM) = walk->saved;
}

/* filter: the items for which the condition holds. map, which has none: what the second argument makes of each item. */
enum expand_result expand_item_map(struct expand_evaluation *run, const struct expand_item *item, struct expand_value *value_r)
{
	struct walk walk;
	struct output output;
	enum expand_result result = start_walk(run, &walk, &item->arguments[0]);
	if (result != EXPAND_OK)
		return result;
	start_output(&output);
	while (result == EXPAND_OK && next_item(run, &walk)) {
		struct expand_value value = *expand_own(run, EXPAND_ITEM);
		bool kept = true;
		result = expand_run_step(run);
		if (result == EXPAND_OK)
			result = item->condition ? expand_run_condition(run, item->condition, &kept) :
						   expand_run_sequence(run, &item->arguments[1], &value);
		if (result == EXPAND_OK && kept)
			result = add_output(run, &output, walk.separator, value);
	}
	end_walk(run, &walk);
	*value_r = finish_output(run, &output);
	return result;
}

enum expand_result expand_item_reduce(struct expand_evaluation *run, const struct expand_item *item, struct expand_value *value_r)
{
	struct walk walk;
	struct expand_value saved = *expand_own(run, EXPAND_VALUE), value;
	enum expand_result result = start_walk(run, &walk, &item->arguments[0]);
	if (result == EXPAND_OK)
		result = expand_run_sequence(run, &item->arguments[1], &value);
	if (result != EXPAND_OK)
		return result;
	*expand_own(run, EXPAND_VALUE) = value;
	while (result == EXPAND_OK && next_item(run, &walk)) {
		result = expand_run_step(run);
		if (result == EXPAND_OK)
			result = expand_run_sequence(run, &item->arguments[2], &value);
		*expand_own(run, EXPAND_VALUE) = value;
	}
	end_walk(run, &walk);
	*expand_own(run, EXPAND_VALUE) = saved;
	*value_r = value;
	return result;
}

/* An item of a list that is being sorted, and what it is sorted by. */
struct sorted {
	struct expand_value item;
	struct slice key;
};

/*
 * Merges two sorted runs. One from the second goes first only if the comparison puts it before the other, so that equal ones keep their
 * order with < and change it with <=, as in a list to which each is added before the first that it belongs before.
 */
static enum expand_result merge(struct expand_evaluation *run, const struct expand_condition *before, struct sorted *out,
				const struct sorted *a, size_t a_count, const struct sorted *b, size_t b_count)
{
	while (a_count && b_count) {
		bool b_first;
		enum expand_result result = expand_run_step(run);
		if (result == EXPAND_OK)
			result = expand_condition_compare(run, before, b->key, a->key, &b_first);
		if (result != EXPAND_OK)
			return result;
		*out++ = b_first ? *b++ : *a++;
		b_count -= b_first ? 1 : 0;
		a_count -= b_first ? 0 : 1;
	}
	memcpy(out, a, a_count * sizeof *a);
	memcpy(out + a_count, b, b_count * sizeof *b);
	return EXPAND_OK;
}

/* Bottom up, without recursion; *rows_r becomes the array that holds the result. */
static enum expand_result merge_sort(struct expand_evaluation *run, const struct expand_condition *before, struct sorted **rows_r, size_t count)
{
	struct sorted *from = *rows_r, *to = arena_array(run->arena, count, sizeof *to);
	for (size_t width = 1; width < count; width *= 2) {
		for (size_t at = 0; at < count; at += 2 * width) {
			size_t left = count - at < width ? count - at : width;
			size_t right = count - at - left < width ? count - at - left : width;
			enum expand_result result = merge(run, before, to + at, from + at, left, from + at + left, right);
			if (result != EXPAND_OK)
				return result;
		}
		struct sorted *other = from;
		from = to;
		to = other;
	}
	*rows_r = from;
	return EXPAND_OK;
}

static enum expand_result sort_keys(struct expand_evaluation *run, const struct expand_item *item, struct walk *walk, struct sorted *rows)
{
	enum expand_result result = EXPAND_OK;
	for (size_t i = 0; result == EXPAND_OK && next_item(run, walk); i++) {
		struct expand_value key;
		rows[i].item = *expand_own(run, EXPAND_ITEM);
		result = expand_run_sequence(run, &item->arguments[2], &key);
		rows[i].key = key.text;
	}
	return result;
}

enum expand_result expand_item_sort(struct expand_evaluation *run, const struct expand_item *item, struct expand_value *value_r)
{
	struct walk walk;
	struct output output;
	enum expand_result result = start_walk(run, &walk, &item->arguments[0]);
	if (result != EXPAND_OK)
		return result;
	size_t count = expand_list_count(walk.rest, run->arena);
	struct sorted *rows = arena_array(run->arena, count, sizeof *rows);
	result = sort_keys(run, item, &walk, rows);
	end_walk(run, &walk);
	if (result == EXPAND_OK)
		result = merge_sort(run, item->before, &rows, count);
	start_output(&output);
	for (size_t i = 0; result == EXPAND_OK && i < count; i++)
		result = add_output(run, &output, walk.separator, rows[i].item);
	*value_r = finish_output(run, &output);
	return result;
}

/* One condition for one item; `decided` when no further item can change the answer. */
static enum expand_result try_item(struct expand_evaluation *run, const struct expand_condition *condition, bool *yes_r, bool *decided_r)
{
	enum expand_result result = expand_run_step(run);
	if (result == EXPAND_OK)
		result = expand_run_condition(run, condition->children, yes_r);
	*decided_r = result != EXPAND_OK || *yes_r == condition->any;
	return result;
}

static enum expand_result each_json(struct expand_evaluation *run, const struct expand_condition *condition, struct expand_value array, bool *yes_r)
{
	struct slice *items;
	size_t count;
	bool decided = false;
	enum expand_result result = EXPAND_OK;
	struct expand_value saved = *expand_own(run, EXPAND_ITEM);
	if (!expand_json_array(array.text, condition->unquote, run->arena, &items, &count, run->error))
		return EXPAND_FAIL;
	for (size_t i = 0; !decided && i < count; i++) {
		*expand_own(run, EXPAND_ITEM) = (struct expand_value){ items[i], array.tainted };
		result = try_item(run, condition, yes_r, &decided);
	}
	*expand_own(run, EXPAND_ITEM) = saved;
	return result;
}

/* An empty list is false for both, as in Exim. */
enum expand_result expand_condition_each(struct expand_evaluation *run, const struct expand_condition *condition, bool *yes_r)
{
	struct walk walk;
	bool decided = false;
	enum expand_result result = start_walk(run, &walk, condition->operands);
	*yes_r = false;
	if (result != EXPAND_OK)
		return result;
	if (condition->json)
		return each_json(run, condition, (struct expand_value){ walk.rest, walk.tainted }, yes_r);
	while (!decided && next_item(run, &walk))
		result = try_item(run, condition, yes_r, &decided);
	end_walk(run, &walk);
	return result;
}

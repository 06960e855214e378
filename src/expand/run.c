/* SPDX-License-Identifier: ISC */
/* Evaluation: sequences, nodes, limits. Items and conditions are in the files run_*.c. */
#include "expand/evaluation.h"

#include "base/clock.h"
#include "base/fatal.h"
#include "expand/header.h"

#include <stdarg.h>

enum expand_result expand_run_fail(struct expand_evaluation *run, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(run->error->text, sizeof run->error->text, format, args);
	va_end(args);
	run->error->kind = ERROR_PERMANENT;
	run->error->number = 0;
	return EXPAND_FAIL;
}

enum expand_result expand_run_step(struct expand_evaluation *run)
{
	const struct expand_context *context = run->context;
	if (run->steps_left-- == 0) {
		run->steps_left = 0;
		return expand_run_fail(run, "the expansion was given up: it takes more than %zu steps",
				       context->max_steps ? context->max_steps : EXPAND_DEFAULT_STEPS);
	}
	if (run->arena->total > run->memory_end)
		return expand_run_fail(run, "the expansion was given up: it takes more than %d MB of memory", EXPAND_MEMORY_MAX >> 20);
	if (context->deadline && run->steps_left % 64 == 0 && clock_now() > context->deadline) {
		error_set(run->error, ERROR_TEMPORARY, "the expansion was given up: it took too long");
		return EXPAND_DEFER;
	}
	return EXPAND_OK;
}

static enum expand_result too_long(struct expand_evaluation *run)
{
	return expand_run_fail(run, "the result of the expansion is longer than %zu bytes", run->max_output);
}

bool expand_run_named(struct expand_evaluation *run, const struct expand_reference *reference, struct expand_value *value_r)
{
	const struct expand_context *context = run->context;
	*value_r = (struct expand_value){ 0 };
	return context->named && context->named(context->owner, (enum expand_family)reference->kind, reference->name, value_r);
}

struct expand_value expand_run_header(struct expand_evaluation *run, const struct expand_reference *reference, bool *found_r)
{
	const struct expand_context *context = run->context;
	struct slice text = context->headers ? context->headers(context->owner) : (struct slice){ 0 };
	struct charset_set *charsets = context->language ? context->language->charsets : NULL;
	struct slice value = { 0 };
	bool found = expand_header(text, reference->name, (enum expand_header)reference->kind, charsets, run->arena, &value);
	if (found_r)
		*found_r = found;
	return (struct expand_value){ value, found };
}

struct expand_value expand_run_variable(struct expand_evaluation *run, const struct expand_variable_info *info)
{
	if (info->variable >= EXPAND_FIRST_OWN)
		return *expand_own(run, info->variable);
	struct expand_value value = run->context->variable(run->context->owner, info->variable);
	value.tainted |= info->tainted;
	return value;
}

/*
 * What a callback gave, as long as the evaluation lives: an ACL that is run on the way may change what it was taken from. A text that
 * is too long is an error presently, and not copied.
 */
static struct expand_value keep(struct expand_evaluation *run, struct expand_value value)
{
	if (value.text.len && value.text.len <= run->max_output)
		value.text = arena_copy(run->arena, value.text);
	return value;
}

/* The call of an operator's function: a leaf, for struct expand_call is large. */
static __attribute__((noinline)) enum expand_result call_operator(struct expand_evaluation *run,
								   const struct expand_operation *operation, struct expand_value text,
								   bool certificate, struct expand_value *value_r)
{
	struct expand_call call = { .context = run->context, .arena = run->arena, .name = operation->info->name,
				    .modifier_count = operation->modifier_count, .argument_count = 1, .certificate = certificate, .error = run->error };
	for (size_t i = 0; i < operation->modifier_count; i++)
		call.modifiers[i] = operation->modifiers[i];
	call.arguments[0] = text;
	call.out.tainted = text.tainted;
	enum expand_result result = operation->info->call(&call);
	*value_r = call.out;
	return result;
}

/* Exim's manual, chapter 11 §9: $tls_in_peercert and its kin, of which only some operators and certextract see more than this. */
static const struct expand_value certificate_stand_in = { { "<cert>", 6 }, false };

bool expand_run_certificate(struct expand_evaluation *run, const struct expand_sequence *sequence, struct expand_value *value_r)
{
	const struct expand_node *node = sequence->first;
	if (sequence->count != 1 || node->kind != EXPAND_NODE_VARIABLE || node->of.variable->type != EXPAND_TYPE_CERTIFICATE)
		return false;
	*value_r = expand_run_variable(run, node->of.variable);
	return value_r->text.len > 0;
}

static enum expand_result run_operator(struct expand_evaluation *run, const struct expand_operation *operation,
				       struct expand_value *value_r)
{
	struct expand_value text;
	enum expand_result result = expand_run_sequence(run, &operation->text, &text);
	if (result == EXPAND_OK && operation->info->of_certificate && expand_run_certificate(run, &operation->text, &text))
		return call_operator(run, operation, text, true, value_r);
	if (result != EXPAND_OK)
		return result;
	if (operation->info->call)
		return call_operator(run, operation, text, false, value_r);
	return expand_operator_own(slice_of(operation->info->name))(run, operation, text, value_r);
}

static enum expand_result evaluate(struct expand_evaluation *run, const struct expand_node *node, struct expand_value *value_r)
{
	switch (node->kind) {
	case EXPAND_NODE_LITERAL:
		*value_r = (struct expand_value){ node->of.literal, false };
		return EXPAND_OK;
	case EXPAND_NODE_VARIABLE:
		*value_r = expand_run_variable(run, node->of.variable);
		if (node->of.variable->type == EXPAND_TYPE_CERTIFICATE && value_r->text.len)
			*value_r = certificate_stand_in;
		else if (node->of.variable->variable < EXPAND_FIRST_OWN)
			*value_r = keep(run, *value_r);
		return EXPAND_OK;
	case EXPAND_NODE_NUMBER:
		*value_r = node->number < run->numbers.count ? run->numbers.values[node->number] : (struct expand_value){ 0 };
		return EXPAND_OK;
	case EXPAND_NODE_NAMED:
		expand_run_named(run, node->of.reference, value_r);
		*value_r = keep(run, *value_r);
		return EXPAND_OK;
	case EXPAND_NODE_HEADER:
		*value_r = expand_run_header(run, node->of.reference, NULL);
		return EXPAND_OK;
	case EXPAND_NODE_OPERATOR:
		return run_operator(run, node->of.operation, value_r);
	case EXPAND_NODE_ITEM:
		return node->of.item->run(run, node->of.item, value_r);
	}
	fatal("an expansion node of kind %d", (int)node->kind);
}

enum expand_result expand_run_node(struct expand_evaluation *run, const struct expand_node *node, struct expand_value *value_r)
{
	enum expand_result result = expand_run_step(run);
	if (result != EXPAND_OK)
		return result;
	result = evaluate(run, node, value_r);
	if (result == EXPAND_OK && value_r->text.len > run->max_output && node->kind != EXPAND_NODE_LITERAL)
		result = too_long(run);
	const struct expand_trace *trace = run->context->trace;
	if (trace && node->kind != EXPAND_NODE_LITERAL)
		trace->step(trace->owner, run->depth, node->source, result,
			    result == EXPAND_OK ? *value_r : (struct expand_value){ 0 });
	return result;
}

/* Values first and sizes with them, so that the limit holds before any memory is taken. */
static enum expand_result run_parts(struct expand_evaluation *run, const struct expand_sequence *sequence, struct expand_value *value_r)
{
	struct expand_value *parts = arena_array(run->arena, sequence->count, sizeof *parts);
	size_t total = 0, count = 0;
	bool tainted = false;
	for (const struct expand_node *node = sequence->first; node; node = node->next, count++) {
		enum expand_result result = expand_run_node(run, node, &parts[count]);
		if (result != EXPAND_OK)
			return result;
		if (parts[count].text.len > run->max_output - total)
			return too_long(run);
		total += parts[count].text.len;
		/* Empty text from a peer leaves no trace in the result, but the rule is kept simple: it taints. */
		tainted |= parts[count].tainted;
	}
	char *out = arena_alloc(run->arena, total + 1);
	size_t at = 0;
	for (size_t i = 0; i < count; i++) {
		if (parts[i].text.len)
			memcpy(out + at, parts[i].text.data, parts[i].text.len);
		at += parts[i].text.len;
	}
	*value_r = (struct expand_value){ slice_make(out, total), tainted };
	return EXPAND_OK;
}

enum expand_result expand_run_sequence(struct expand_evaluation *run, const struct expand_sequence *sequence,
				       struct expand_value *value_r)
{
	enum expand_result result = EXPAND_OK;
	run->depth++;
	if (sequence->count == 0)
		*value_r = (struct expand_value){ SLICE(""), false };
	else if (sequence->count == 1)
		result = expand_run_node(run, sequence->first, value_r);
	else
		result = run_parts(run, sequence, value_r);
	run->depth--;
	return result;
}

enum expand_result expand_run_branch(struct expand_evaluation *run, const struct expand_item *item, bool yes,
				     struct expand_value otherwise, struct expand_value *value_r)
{
	if (yes && item->yes)
		return expand_run_sequence(run, item->yes, value_r);
	if (!yes && item->no)
		return expand_run_sequence(run, item->no, value_r);
	if (!yes && item->fail) {
		expand_run_fail(run, "\"%s\" failed and \"fail\" requested", item->name);
		return EXPAND_FORCED_FAIL;
	}
	*value_r = yes ? otherwise : (struct expand_value){ SLICE(""), false };
	return EXPAND_OK;
}

enum expand_result expand_run_found(struct expand_evaluation *run, const struct expand_item *item, bool yes, struct expand_value found,
				    struct expand_value *value_r)
{
	if (!yes)
		return expand_run_branch(run, item, false, found, value_r);
	struct expand_value saved = *expand_own(run, EXPAND_VALUE);
	*expand_own(run, EXPAND_VALUE) = found;
	enum expand_result result = expand_run_branch(run, item, true, found, value_r);
	*expand_own(run, EXPAND_VALUE) = saved;
	return result;
}

enum expand_result expand_run_arguments(struct expand_evaluation *run, const struct expand_sequence *arguments, size_t count,
					struct expand_value **values_r)
{
	struct expand_value *values = arena_array(run->arena, count, sizeof *values);
	*values_r = values;
	for (size_t i = 0; i < count; i++) {
		enum expand_result result = expand_run_sequence(run, &arguments[i], &values[i]);
		if (result != EXPAND_OK)
			return result;
	}
	return EXPAND_OK;
}

static void load_memory(struct expand_evaluation *run, const struct expand_memory *memory)
{
	for (size_t i = 0; memory && i < EXPAND_MEMORY_VALUES; i++)
		*expand_own(run, EXPAND_FIRST_KEPT + (enum expand_variable)i) = memory->values[i];
	if (expand_own(run, EXPAND_RUNRC)->text.len == 0)
		expand_own(run, EXPAND_RUNRC)->text = SLICE("0");
}

static void store_memory(struct expand_evaluation *run, struct expand_memory *memory)
{
	for (size_t i = 0; memory && i < EXPAND_MEMORY_VALUES; i++)
		memory->values[i] = *expand_own(run, EXPAND_FIRST_KEPT + (enum expand_variable)i);
}

static struct expand_evaluation begin(const struct expand_program *program, const struct expand_context *context, struct arena *arena,
				      struct error *error)
{
	struct expand_evaluation run = {
		.context = context, .place = program->place, .arena = arena, .error = error,
		.numbers = { context->numbers, context->numbers ? EXPAND_NUMBERS : 0 },
		.max_output = context->max_output ? context->max_output : EXPAND_DEFAULT_OUTPUT,
		.steps_left = context->max_steps ? context->max_steps : EXPAND_DEFAULT_STEPS,
		.memory_end = arena->total + EXPAND_MEMORY_MAX,
	};
	load_memory(&run, context->memory);
	return run;
}

static enum expand_result end(struct expand_evaluation *run, enum expand_result result)
{
	store_memory(run, run->context->memory);
	if (result != EXPAND_OK)
		expand_clean_error(run->error);
	return result;
}

enum expand_result expand_run(const struct expand_program *program, const struct expand_context *context, struct arena *arena,
			      struct expand_value *value_r, struct error *error)
{
	struct slice constant;
	if (expand_constant(program, &constant)) {
		*value_r = (struct expand_value){ constant, false };
		return EXPAND_OK;
	}
	struct expand_evaluation run = begin(program, context, arena, error);
	enum expand_result result = end(&run, expand_run_sequence(&run, &program->body, value_r));
	/* Joined text has its NUL; what one node gave need not. */
	if (result == EXPAND_OK && program->body.count == 1)
		value_r->text = arena_copy(arena, value_r->text);
	return result;
}

enum expand_result expand_run_pieces(const struct expand_program *program, const struct expand_context *context, struct arena *arena,
				     const struct expand_piece **pieces_r, size_t *count_r, struct error *error)
{
	struct expand_evaluation run = begin(program, context, arena, error);
	enum expand_result result = expand_run_gather(&run, &program->body, pieces_r, count_r);
	size_t total = 0;
	for (size_t i = 0; result == EXPAND_OK && i < *count_r; i++)
		total += (*pieces_r)[i].text.len;
	return end(&run, total > run.max_output && !expand_constant(program, NULL) ? too_long(&run) : result);
}

/* SPDX-License-Identifier: ISC */
#include "cli/expand_trace.h"

#include "cli/json.h"

enum { SHOWN_MAX = 200 };

const char *expand_result_text(enum expand_result result)
{
	static const char *const texts[] = {
		[EXPAND_OK] = "ok", [EXPAND_FORCED_FAIL] = "forced failure", [EXPAND_FAIL] = "failed", [EXPAND_DEFER] = "deferred",
	};
	return texts[result];
}

static void add_step(void *owner, unsigned depth, struct slice source, enum expand_result result, struct expand_value value)
{
	struct expand_trace_tree *tree = owner;
	if (tree->count == EXPAND_TRACE_STEPS) {
		tree->left_out++;
		return;
	}
	tree->steps = arena_grow(tree->arena, tree->steps, tree->count, &tree->room, sizeof *tree->steps);
	tree->steps[tree->count++] = (struct expand_trace_step){
		.depth = depth,
		.source = arena_copy(tree->arena, slice_first(source, SHOWN_MAX + 1)),
		.text = result == EXPAND_OK ? arena_copy(tree->arena, slice_first(value.text, SHOWN_MAX + 1)) : SLICE(""),
		.result = result,
		.tainted = result == EXPAND_OK && value.tainted,
	};
}

void expand_trace_begin(struct expand_trace_tree *tree, struct arena *arena, struct expand_trace *trace_r)
{
	*tree = (struct expand_trace_tree){ .arena = arena };
	*trace_r = (struct expand_trace){ .owner = tree, .step = add_step };
}

static int compare_steps(const void *a, const void *b)
{
	const struct expand_trace_step *left = a, *right = b;
	if (left->first != right->first)
		return left->first < right->first ? -1 : 1;
	return left->index > right->index ? -1 : 1;
}

void expand_trace_end(struct expand_trace_tree *tree)
{
	/* Steps come after their parts: below a step is what stands before it and is deeper. */
	for (size_t i = 0; i < tree->count; i++) {
		struct expand_trace_step *step = &tree->steps[i];
		step->index = step->first = i;
		while (step->first > 0 && tree->steps[step->first - 1].depth > step->depth)
			step->first = tree->steps[step->first - 1].first;
		if (i == 0 || step->depth < tree->top)
			tree->top = step->depth;
	}
	/* A step and the first of its parts begin at the same place; the whole comes before the part. */
	if (tree->count)
		qsort(tree->steps, tree->count, sizeof *tree->steps, compare_steps);
}

static void print_text(struct slice text, FILE *out)
{
	struct slice shown = slice_first(text, SHOWN_MAX);
	for (size_t i = 0; i < shown.len; i++) {
		unsigned char c = (unsigned char)shown.data[i];
		if (c == '\n')
			fputs("\\n", out);
		else if (c == '\t')
			fputs("\\t", out);
		else if (c < 32 || c == 127)
			fprintf(out, "\\%03o", c);
		else
			fputc(c, out);
	}
	if (text.len > SHOWN_MAX)
		fputs("...", out);
}

static void print_step(const struct expand_trace_step *step, unsigned level, FILE *out)
{
	fprintf(out, "%*s", (int)(2 * level), "");
	print_text(step->source, out);
	fputs("  =>  ", out);
	if (step->result == EXPAND_OK)
		print_text(step->text, out);
	else
		fputs(expand_result_text(step->result), out);
	fputs(step->tainted ? "   (from a peer)\n" : "\n", out);
}

void expand_trace_print(const struct expand_trace_tree *tree, FILE *out)
{
	for (size_t i = 0; i < tree->count; i++)
		print_step(&tree->steps[i], 1 + tree->steps[i].depth - tree->top, out);
	if (tree->left_out)
		fprintf(out, "  ... and %zu further steps\n", tree->left_out);
}

static bool json_step(const struct expand_trace_step *step, unsigned level, struct buf *out)
{
	return buf_append_byte(out, '{') && json_name(out, "depth") && buf_printf(out, "%u,", level) &&
	       json_name(out, "source") && json_string(out, slice_first(step->source, SHOWN_MAX)) &&
	       buf_append_byte(out, ',') && json_name(out, "result") &&
	       buf_printf(out, "\"%s\",", expand_result_text(step->result)) && json_name(out, "value") &&
	       json_string(out, slice_first(step->text, SHOWN_MAX)) && buf_append_byte(out, ',') && json_name(out, "tainted") &&
	       buf_printf(out, "%s}", step->tainted ? "true" : "false");
}

bool expand_trace_json(const struct expand_trace_tree *tree, struct buf *out)
{
	bool fits = buf_append_byte(out, '[');
	for (size_t i = 0; fits && i < tree->count; i++)
		fits = (!i || buf_append_byte(out, ',')) && json_step(&tree->steps[i], tree->steps[i].depth - tree->top, out);
	return fits && buf_append_byte(out, ']');
}

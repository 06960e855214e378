/* SPDX-License-Identifier: ISC */
/*
 * The tree of an evaluation, for --trace: the evaluator reports each step when it is done, so parts come before what they are
 * part of; here they are put below it, in the order in which they were evaluated.
 */
#ifndef POSTERN_CLI_EXPAND_TRACE_H
#define POSTERN_CLI_EXPAND_TRACE_H

#include "expand/expand.h"

#include <stdio.h>

enum { EXPAND_TRACE_STEPS = 10000 }; /* further steps are only counted */

struct expand_trace_step {
	unsigned depth;
	size_t index, first; /* its number as reported, and that of the first step below it, or its own */
	struct slice source, text;
	enum expand_result result;
	bool tainted;
};

struct expand_trace_tree {
	struct arena *arena;
	struct expand_trace_step *steps;
	size_t count, room;
	size_t left_out;
	unsigned top; /* the depth of the whole */
};

/* An empty tree in the arena, and the hook that fills it. */
void expand_trace_begin(struct expand_trace_tree *tree, struct arena *arena, struct expand_trace *trace_r);
/* After the evaluation: puts the steps in their order. */
void expand_trace_end(struct expand_trace_tree *tree);
/* One line a step, indented; what was evaluated on the left, its value on the right. */
void expand_trace_print(const struct expand_trace_tree *tree, FILE *out);
/* An array of the steps in that order, each with its depth. False when `out` is full. */
bool expand_trace_json(const struct expand_trace_tree *tree, struct buf *out);
/* "ok", "forced failure", "failed", "deferred". */
const char *expand_result_text(enum expand_result result);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * The parts of the language that only compute: operators (${name:text}) and items with plain arguments (${name{a}{b}}). Each is a
 * row of a table and a function from texts to a text; syntax, order of evaluation and limits are the evaluator's (run.c).
 */
#ifndef POSTERN_EXPAND_FUNCTION_H
#define POSTERN_EXPAND_FUNCTION_H

#include "expand/expand.h"

enum { EXPAND_ARGUMENTS_MAX = 10 };

/* One call. A function sets `out` and returns EXPAND_OK, or sets *error; memory comes from `arena`. */
struct expand_call {
	const struct expand_context *context;
	struct arena *arena;
	const char *name;    /* of the operator or item */
	/* Operators: what stands between the name and the colon, split at underscores ("${substr_1_2:..." gives 1 and 2). */
	struct slice modifiers[3];
	size_t modifier_count;
	/* Operators: one argument, the text. Items: as many as were written, all evaluated. */
	struct expand_value arguments[EXPAND_ARGUMENTS_MAX];
	size_t argument_count;
	bool certificate;    /* of_certificate: the text is the DER of one */
	/* Preset by the evaluator: empty text, tainted when any argument is. A function whose result cannot carry a peer's text
	 * (a number, a digest) may clear it. */
	struct expand_value out;
	struct error *error;
};

typedef enum expand_result expand_function(struct expand_call *call);

/* A row: of the operators, or of the items. */
struct expand_function_info {
	const char *name;
	const char *today;     /* for an older name, the one that the manual prefers; otherwise NULL */
	expand_function *call; /* NULL: the evaluator's own (if, lookup, map, ...) */
	unsigned char least, most; /* items: number of arguments; operators: number of modifiers */
	bool of_certificate;   /* operators: of a variable that holds a certificate they take its DER */
	bool split;            /* operators: the name has modifiers after underscores (length_3, hash_2_8) */
	const char *refused;   /* not NULL: an error at load, with this reason */
	const char *syntax;    /* "${substr{START}{LENGTH}{STRING}}" */
	const char *help;      /* in one to three sentences */
	const char *example, *result; /* an expansion and what it gives; run as a test */
};

const struct expand_function_info *expand_operators(size_t *count_r);
const struct expand_function_info *expand_items(size_t *count_r);
const struct expand_function_info *expand_conditions(size_t *count_r); /* name, refused, syntax, help, example, result */
/* By the whole name as written, older names included; NULL when there is none. */
const struct expand_function_info *expand_operator_find(struct slice name);
const struct expand_function_info *expand_item_find(struct slice name);
const struct expand_function_info *expand_condition_find(struct slice name);

/* For functions: sets *error (ERROR_PERMANENT) and returns EXPAND_FAIL. */
enum expand_result expand_fail(struct expand_call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif

/* SPDX-License-Identifier: ISC */
/*
 * One evaluation of a program, for the files of this directory only. It lives on the stack of expand_run.
 *
 * What an item changes for its branches ($value, $item, $1 and so on) it saves and restores itself; a regular expression that
 * matches makes a new array of numbers, so saving them is copying a pointer.
 *
 * Functions here call each other as deep as the source is nested, on a task's stack: they keep their frames small, and what
 * needs room (captures, calls of functions) is in leaves.
 */
#ifndef POSTERN_EXPAND_EVALUATION_H
#define POSTERN_EXPAND_EVALUATION_H

#include "expand/program.h"

enum {
	EXPAND_OWN_VARIABLES = EXPAND_VARIABLES - EXPAND_FIRST_OWN,
	EXPAND_MEMORY_MAX = 64 << 20, /* bytes that one evaluation takes from its arena */
	EXPAND_COMMAND_WORDS_MAX = 60,
	EXPAND_ASK_SECONDS = 60,      /* for a question to the world, when the context has no deadline */
};

struct expand_numbers {
	const struct expand_value *values;
	size_t count;
};

struct expand_evaluation {
	const struct expand_context *context;
	enum expand_place place; /* of the program */
	struct arena *arena;
	struct error *error;
	struct expand_numbers numbers;
	struct expand_value own[EXPAND_OWN_VARIABLES]; /* $value, $item, ...: of the table from EXPAND_FIRST_OWN on */
	size_t max_output;
	size_t steps_left;
	size_t memory_end; /* arena->total that must not be passed */
	unsigned depth;
	/* The last pattern that was not constant: loops use the same one again. */
	struct slice pattern;
	const struct regex *regex;
};

static inline struct expand_value *expand_own(struct expand_evaluation *run, enum expand_variable variable)
{
	return &run->own[variable - EXPAND_FIRST_OWN];
}

/* Sets the error and returns EXPAND_FAIL. */
enum expand_result expand_run_fail(struct expand_evaluation *run, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Counts a step: EXPAND_FAIL when it was one too many, EXPAND_DEFER when the deadline has passed. */
enum expand_result expand_run_step(struct expand_evaluation *run);
enum expand_result expand_run_sequence(struct expand_evaluation *run, const struct expand_sequence *sequence,
				       struct expand_value *value_r);
enum expand_result expand_run_condition(struct expand_evaluation *run, const struct expand_condition *condition, bool *yes_r);

enum expand_result expand_run_node(struct expand_evaluation *run, const struct expand_node *node, struct expand_value *value_r);
/* Compiles a text that was computed, unless a peer had a hand in it. It can name what the program around it can name. */
enum expand_result expand_run_compile(struct expand_evaluation *run, struct expand_value text, const struct expand_program **program_r);

/* The branch that `yes` chooses: an item without branches gives `otherwise` for yes. */
enum expand_result expand_run_branch(struct expand_evaluation *run, const struct expand_item *item, bool yes,
				     struct expand_value otherwise, struct expand_value *value_r);
/* The same with $value set to `found` in the yes branch only. */
enum expand_result expand_run_found(struct expand_evaluation *run, const struct expand_item *item, bool yes, struct expand_value found,
				    struct expand_value *value_r);
/* All arguments, in order; *values_r has item->count. */
enum expand_result expand_run_arguments(struct expand_evaluation *run, const struct expand_sequence *arguments, size_t count,
					struct expand_value **values_r);

/* Matches: sets the numbers when it does. */
enum expand_result expand_run_match(struct expand_evaluation *run, const struct regex *regex, struct expand_value subject, bool *yes_r);
/* The constant regex, or that of a pattern that was evaluated. */
enum expand_result expand_run_regex(struct expand_evaluation *run, const struct regex *constant, struct slice pattern,
				    const struct regex **regex_r);

/* Asks the world. The request's deadline is set here when it has none; its size is checked. */
enum expand_result expand_run_ask(struct expand_evaluation *run, struct expand_request *request, struct expand_answer *answer_r);
/* The parts of a sequence one by one; branches of an "if" count as written. */
enum expand_result expand_run_gather(struct expand_evaluation *run, const struct expand_sequence *sequence,
				     const struct expand_piece **pieces_r, size_t *count_r);
enum expand_result expand_run_stat(struct expand_evaluation *run, struct expand_value path, struct expand_value *value_r);
/* Whether *value_r is a variable of a family that was set. */
bool expand_run_named(struct expand_evaluation *run, const struct expand_reference *reference, struct expand_value *value_r);
struct expand_value expand_run_variable(struct expand_evaluation *run, const struct expand_variable_info *info);
/* Whether that is one variable that holds a certificate: its DER. */
bool expand_run_certificate(struct expand_evaluation *run, const struct expand_sequence *sequence, struct expand_value *value_r);
/* A header line; *found_r may be NULL. */
struct expand_value expand_run_header(struct expand_evaluation *run, const struct expand_reference *reference, bool *found_r);

/* Runs the ACL that the first sequence names with the others as arguments. */
enum expand_result expand_run_acl(struct expand_evaluation *run, const struct expand_sequence *sequences, size_t count, bool *accepted_r,
				  struct expand_value *text_r);
/* Constant text of a sequence that has no other parts; `text_r` may be NULL. */
bool expand_sequence_constant(const struct expand_sequence *sequence, struct slice *text_r);
struct slice expand_sequence_prefix(const struct expand_sequence *sequence);

/* An error is one line, whatever was in the text that it quotes. */
void expand_clean_error(struct error *error);
/* Signed decimal with K, M or G; an empty text is 0 (chapter 11 §7). */
bool expand_to_number(struct slice text, int64_t *number_r, struct error *error);

/* Items written by the evaluation, in the files run_*.c. */
expand_item_run expand_item_if, expand_item_extract, expand_item_listextract, expand_item_map,
	expand_item_reduce, expand_item_sort, expand_item_sg, expand_item_lookup, expand_item_acl, expand_item_run_command,
	expand_item_readfile, expand_item_readsocket, expand_item_env, expand_item_prvscheck, expand_item_certextract,
	expand_item_function;
/* Operators written by it: with the text evaluated. NULL: the operator is not one of these. */
typedef enum expand_result expand_operator_run(struct expand_evaluation *run, const struct expand_operation *operation,
					       struct expand_value text, struct expand_value *value_r);
expand_operator_run *expand_operator_own(struct slice name);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * The compiler of expansion strings, for the files of this directory only: recursive descent over the source, one pass. Every
 * function returns false after it has set the error and its column.
 */
#ifndef POSTERN_EXPAND_COMPILER_H
#define POSTERN_EXPAND_COMPILER_H

#include "expand/evaluation.h"

struct expand_compiler {
	struct arena *arena;
	struct slice text; /* the program's own copy of the source */
	size_t at;         /* of the next byte to read */
	enum expand_place place;
	const struct expand_language *language;
	struct expand_program *program;
	unsigned depth; /* of nesting, now */
	char *literal;  /* as long as the source: an escape is never shorter than what it stands for */
	size_t literal_len;
	bool odd_header; /* a header's name holds a brace: its colon may be missing */
	struct error *error;
	size_t column; /* of the error, from 1 */
};

#define compile_fail(compiler, offset, ...) \
	((compiler)->column = (offset) + 1, error_set((compiler)->error, ERROR_USAGE, __VA_ARGS__))

static inline bool compile_at_end(const struct expand_compiler *c)
{
	return c->at >= c->text.len;
}

/* The next byte, or NUL at the end: a NUL in the source was refused before. */
static inline char compile_peek(const struct expand_compiler *c)
{
	return c->at < c->text.len ? c->text.data[c->at] : '\0';
}

/* How many letters may be wrong in a name for another to be meant: a third, but never nearly all. */
static inline size_t expand_near(struct slice name)
{
	return name.len < 4 ? 1 : name.len / 3 + 1;
}

/* Skips white space; returns the next byte. */
char compile_skip(struct expand_compiler *c);
/* Letters, digits and those of `more`. */
struct slice compile_name(struct expand_compiler *c, const char *more);

/* One more level of nesting, and one less. */
bool compile_deeper(struct expand_compiler *c);
void compile_shallower(struct expand_compiler *c);

/* To the "}" that ends it, which stays. `dollar` false: only escapes are honoured. `open` is the offset of what it closes. */
bool compile_sequence(struct expand_compiler *c, bool dollar, size_t open, struct expand_sequence *sequence_r);
/* White space, "{", a sequence, "}". `what` names it in the error: "argument 2 of \"sg\"". */
bool compile_braced(struct expand_compiler *c, bool dollar, struct expand_sequence *sequence_r, const char *what, const char *of);
/* As many as there are, at most `most` (EXPAND_ARGUMENTS_MAX); fewer than `least` are an error. */
bool compile_arguments(struct expand_compiler *c, const char *name, size_t least, size_t most, const struct expand_sequence **arguments_r,
		       size_t *count_r);
/* Skips white space and takes the "}" that ends an item or condition. */
bool compile_close(struct expand_compiler *c, const char *name);
/* "{ACL}{ARGUMENT}..." and the brace behind them; an ACL that is constant must be one. */
bool compile_acl_call(struct expand_compiler *c, const char *name, const struct expand_sequence **arguments_r, size_t *count_r);
/* {yes}{no}, {yes}fail, {yes}, or nothing; and the "}" at the end of the item. */
bool compile_branches(struct expand_compiler *c, struct expand_item *item);

bool compile_condition(struct expand_compiler *c, const struct expand_condition **condition_r);
/* A comparison for sort: the name of a condition that orders. */
bool compile_comparison(struct expand_compiler *c, struct slice name, size_t at, const struct expand_condition **condition_r);
/* The name after "$", "${" or "def:", checked: the node's kind and what belongs to it. */
bool compile_variable(struct expand_compiler *c, struct slice name, size_t start, struct expand_node *node);
/* Whether the name (letters, digits, underscores) starts that of a header line; the rest of it is read. */
bool compile_header(struct expand_compiler *c, struct slice name, const struct expand_reference **reference_r);

/* The regex of a sequence that is constant; *regex_r stays NULL when it is not. `start`: of the sequence in the source. */
bool compile_constant_regex(struct expand_compiler *c, const struct expand_sequence *pattern, size_t start, const struct regex **regex_r);
/* A program that was compiled apart becomes part of this one. */
void compile_include(struct expand_compiler *c, const struct expand_program *program);
/* Tells the configuration of a file that the program opens. */
void compile_uses_path(struct expand_compiler *c, const struct expand_sequence *path, enum expand_service service);

/* expand_compile, for a string that is compiled while another is evaluated `depth` deep. */
bool expand_compile_within(unsigned depth, struct arena *arena, struct slice text, enum expand_place place,
			   const struct expand_language *language, const struct expand_program **program_r, struct error *error,
			   size_t *column_r);

/* A control item: what reads it after its name, and what runs it. */
struct expand_control {
	const char *name;
	bool (*compile)(struct expand_compiler *c, struct expand_item *item, size_t start);
	expand_item_run *run;
};
bool compile_lookup(struct expand_compiler *c, struct expand_item *item, size_t start);
bool compile_run(struct expand_compiler *c, struct expand_item *item, size_t start);
const struct expand_control *expand_control_find(struct slice name);

#endif

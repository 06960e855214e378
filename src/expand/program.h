/* SPDX-License-Identifier: ISC */
/*
 * The form of a compiled expansion string, for the files of this directory only.
 *
 * A sequence is a chain of nodes whose values are joined. A node is a literal, something that has a value now (variable, number,
 * header line), an operator on one sequence, or an item: a row of the table of control items (control.h) or of
 * expand_items(), with its arguments and branches. Conditions are a tree of their own. Everything is immutable.
 */
#ifndef POSTERN_EXPAND_PROGRAM_H
#define POSTERN_EXPAND_PROGRAM_H

#include "expand/expand.h"
#include "expand/function.h"
#include "expand/regex.h"
#include "expand/search.h"

struct expand_evaluation; /* evaluation.h */
struct expand_item;
struct expand_condition;

enum expand_node_kind {
	EXPAND_NODE_LITERAL,
	EXPAND_NODE_VARIABLE,
	EXPAND_NODE_NUMBER,   /* $1 */
	EXPAND_NODE_NAMED,    /* $acl_m_x */
	EXPAND_NODE_HEADER,   /* $h_subject: */
	EXPAND_NODE_OPERATOR, /* ${lc:...} */
	EXPAND_NODE_ITEM,     /* ${if ...} */
};

struct expand_sequence {
	const struct expand_node *first;
	size_t count; /* of nodes */
};

/* A variable of a family, or a header line. */
struct expand_reference {
	unsigned kind; /* enum expand_family, enum expand_header */
	struct slice name;
};

struct expand_operation {
	const struct expand_function_info *info;
	struct slice modifiers[3];
	size_t modifier_count;
	struct expand_sequence text;
	const struct search_type *quotes; /* it is ${quote_TYPE:...} */
};

struct expand_node {
	enum expand_node_kind kind;
	unsigned number; /* EXPAND_NODE_NUMBER */
	const struct expand_node *next;
	struct slice source; /* as written; in the program's arena */
	union {
		struct slice literal;                        /* followed by a NUL */
		const struct expand_variable_info *variable; /* its row of the table */
		const struct expand_reference *reference;
		const struct expand_operation *operation;
		const struct expand_item *item;
	} of;
};

typedef enum expand_result expand_item_run(struct expand_evaluation *run, const struct expand_item *item, struct expand_value *value_r);
typedef enum expand_result expand_condition_run(struct expand_evaluation *run, const struct expand_condition *condition, bool *yes_r);

struct expand_item {
	const char *name;
	const struct expand_function_info *info; /* of an item that only computes; otherwise NULL */
	expand_item_run *run;
	const struct expand_sequence *arguments;
	size_t count;
	const struct expand_condition *condition; /* if, filter */
	const struct expand_sequence *yes, *no;   /* NULL: not written */
	bool fail;                                /* "fail" stands in the place of `no` */
	bool json, unquote;                       /* extract json, extract jsons */
	bool preexpand;                           /* run */
	const struct search *search;              /* lookup */
	struct slice search_name;                 /* lookup: the type without its options */
	struct slice file;                        /* lookup: the file that stands in a query or an option */
	const struct regex *regex;                /* sg with a constant pattern */
	const struct expand_program *replacement; /* sg with a constant replacement */
	const struct expand_condition *before;    /* sort: the comparison */
};

struct expand_condition {
	const char *name;
	expand_condition_run *run;
	bool negated;
	bool caseless, any, json, unquote;     /* what tells one name from its kin */
	unsigned char operator;                /* of comparisons: enum expand_comparison */
	const struct expand_sequence *operands;
	size_t count;
	const struct expand_condition *children, *next; /* and, or, forall */
	const struct expand_variable_info *variable;    /* def: */
	const struct expand_reference *reference;       /* def: of a header or a family */
	bool header;                                    /* which of these it is */
	const struct list *list;                        /* match_... */
	const struct regex *regex;                      /* match, constant pattern */
	struct slice source;
};

enum { EXPAND_VARIABLE_WORDS = (EXPAND_VARIABLES + 63) / 64 };

struct expand_program {
	struct expand_sequence body;
	enum expand_place place;                   /* whose variables it was compiled with; what it expands a second time has the same */
	unsigned depth;                            /* of the deepest nesting */
	uint64_t variables[EXPAND_VARIABLE_WORDS]; /* a bit for each that it refers to */
};

#endif

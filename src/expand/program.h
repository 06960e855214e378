/* SPDX-License-Identifier: ISC */
/* The form of a compiled expansion string, for the files of this directory only. */
#ifndef POSTERN_EXPAND_PROGRAM_H
#define POSTERN_EXPAND_PROGRAM_H

#include "expand/expand.h"

enum expand_node_kind { EXPAND_NODE_LITERAL, EXPAND_NODE_VARIABLE };

struct expand_node {
	enum expand_node_kind kind;
	struct slice literal;                       /* followed by a NUL */
	const struct expand_variable_info *variable; /* its row of the table */
	struct expand_node *next;
};

struct expand_program {
	const struct expand_node *first;
	size_t count;       /* of nodes */
	uint64_t variables; /* bit 1 << enum expand_variable for each that it refers to */
};

_Static_assert(EXPAND_VARIABLES <= 64, "a set of variables is one word");

#endif

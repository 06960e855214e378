/* SPDX-License-Identifier: ISC */
/*
 * Expansion strings: compiled once when the configuration is loaded, evaluated many times against an explicit context.
 *
 * A program is a sequence of nodes (literal text, variables) in the arena that compiled it, immutable afterwards and good
 * for as long as that arena; any number of evaluations may use it. Nothing of the source text is kept.
 *
 * Every value carries its taint: it is tainted when any part of it came from a peer. A sink that must not see such text has
 * a type of its own (struct clean_path), which only its checking conversion makes; passing anything else does not compile.
 *
 * Invariants: adjacent literals are one node; a program without variables is one literal or nothing; literals and values
 * made from them alone are never tainted and hold no NUL.
 */
#ifndef POSTERN_EXPAND_EXPAND_H
#define POSTERN_EXPAND_EXPAND_H

#include "base/arena.h"
#include "base/error.h"
#include "expand/variable.h"

struct expand_program;

struct expand_value {
	struct slice text;
	bool tainted;
};

enum expand_result {
	EXPAND_OK,
	EXPAND_FORCED_FAIL, /* the string itself asked for it: what that means is the option's matter */
	EXPAND_FAIL,        /* it cannot be evaluated; *error says why */
	EXPAND_DEFER,       /* not now; *error says why */
};

enum { EXPAND_MAX_SOURCE = 1 << 20, EXPAND_DEFAULT_OUTPUT = 1 << 16 };

/* What one evaluation works with. */
struct expand_context {
	/* The value of a variable now, empty when it has none. The text must live until expand_run returns. */
	struct expand_value (*variable)(void *owner, enum expand_variable variable);
	void *owner;
	size_t max_output; /* most bytes of the result; 0: EXPAND_DEFAULT_OUTPUT */
};

/*
 * Compiles `text` (at most EXPAND_MAX_SOURCE bytes) for use at `place`. On failure returns false, with the reason in *error
 * and in *column_r (which may be NULL) the byte at which it was found, counted from 1.
 */
bool expand_compile(struct arena *arena, struct slice text, enum expand_place place, const struct expand_program **program_r,
		    struct error *error, size_t *column_r);

/*
 * Evaluates. *value_r lies in `arena`, or in the program when that is constant, and is followed by a NUL. *value_r is set
 * only for EXPAND_OK, *error only for EXPAND_FAIL and EXPAND_DEFER.
 */
enum expand_result expand_run(const struct expand_program *program, const struct expand_context *context, struct arena *arena,
			      struct expand_value *value_r, struct error *error);

/* True when evaluation always gives the same text: *text_r (if not NULL), followed by a NUL. */
bool expand_constant(const struct expand_program *program, struct slice *text_r);
/* The literal text before the first variable: all of it for a constant. Tells which directories a configuration names. */
struct slice expand_constant_prefix(const struct expand_program *program);
/* Whether the program refers to a variable, by any of its names. */
bool expand_uses(const struct expand_program *program, enum expand_variable variable);

/* An absolute path that no peer had a hand in. Only the functions below make one. */
struct clean_path {
	struct slice text; /* followed by a NUL, holds no other; starts with "/", no component is empty, "." or ".." */
};

enum { CLEAN_PATH_MAX = 4095, CLEAN_PATH_COMPONENT_MAX = 255 };

/* Copies into `arena`. Fails, with the reason, for a tainted value and for anything that the invariant excludes. */
bool expand_to_path(struct expand_value value, struct arena *arena, struct clean_path *path_r, struct error *error);
/*
 * Evaluates and converts in one step: a conversion that fails is EXPAND_FAIL. A slash with which the program itself ends is
 * dropped first, so that "/mail/$domain_data/" names the directory, while an empty variable at the end remains an error.
 */
enum expand_result expand_run_path(const struct expand_program *program, const struct expand_context *context,
				   struct arena *arena, struct clean_path *path_r, struct error *error);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * Expansion strings (Exim's manual, chapter 11): compiled once when the configuration is loaded, evaluated many times against
 * an explicit context.
 *
 * A program is a tree of nodes in the arena that compiled it, immutable afterwards and good for as long as that arena; any number
 * of evaluations may use it. Evaluation may wait (lookups), so it runs on a task unless nothing is asked of the world.
 *
 * Every value carries its taint: it is tainted when any part of it came from a peer. A sink that must not see such text has
 * a type of its own (struct clean_path), which only its checking conversion makes; passing anything else does not compile.
 * A tainted text is never compiled: ${expand:} and the like fail.
 *
 * Invariants: adjacent literals are one node; a program without variables, items and operators is one literal or nothing;
 * literals and values made from them alone are never tainted and hold no NUL.
 */
#ifndef POSTERN_EXPAND_EXPAND_H
#define POSTERN_EXPAND_EXPAND_H

#include "base/arena.h"
#include "base/error.h"
#include "base/buf.h"
#include "expand/service.h"
#include "expand/variable.h"

struct expand_program;
struct expand_context;
struct regex_scratch;
struct charset_set;
struct list;
struct list_scope;
struct list_cache;

struct expand_value {
	struct slice text;
	bool tainted;
};

enum {
	EXPAND_MAX_SOURCE = 1 << 20,
	EXPAND_DEFAULT_OUTPUT = 1 << 16,
	EXPAND_DEFAULT_STEPS = 1000000, /* nodes evaluated in one run, those of loops counted each time */
	EXPAND_DEPTH_MAX = 100,         /* nesting in the source, and of ${expand:} and ${acl} together */
	EXPAND_NUMBERS = 21,            /* $0 to $20 */
};

/*
 * The kinds of lists that conditions match; the numbers are those of enum list_kind (match/list.h). The last is a host list for
 * match_ip: names are never asked for, and all lookups are by address.
 */
enum expand_list {
	EXPAND_LIST_HOST, EXPAND_LIST_DOMAIN, EXPAND_LIST_ADDRESS, EXPAND_LIST_LOCAL_PART, EXPAND_LIST_STRING, EXPAND_LIST_IP,
};

/* What the match of a list gives beside its answer. */
struct expand_list_found {
	struct expand_value data;                        /* $value */
	struct expand_value numbers[EXPAND_NUMBERS];     /* $0 and so on, of a wildcard or a regular expression */
	size_t number_count;                             /* 0: they stay as they were */
};

/*
 * The configuration around a string: what its conditions refer to. `match` is below this directory, so it comes as
 * functions (list_language_init, match/list.h). Lives as long as the programs compiled with it. Function pointers may be NULL:
 * then the conditions that need them are errors.
 */
struct expand_language {
	void *owner;
	struct regex_scratch *scratch; /* NULL: regular expressions are errors */
	struct charset_set *charsets;  /* mail/charset.h, into headers_charset; NULL: texts of other sets than UTF-8 stay as they are */
	const struct list_scope *lists; /* what lists refer to: list_language_init sets it with the two functions below */
	/* Compiles the text of a list; it is expanded on the way, now when it is constant, otherwise at each match. */
	bool (*list_compile)(const struct expand_language *language, struct arena *arena, enum expand_list kind,
			     struct slice text, enum expand_place place, const struct list **list_r, struct error *error);
	/* Matches the subject (an IP address, domain, address, local part or string): EXPAND_OK and *yes_r; when it is true,
	 * *found_r is what ${if match_...} sets. `caseless`: of string lists (inlisti) and of address lists' local parts. */
	enum expand_result (*list_match)(const struct list *list, const struct expand_context *context, struct expand_value subject,
					 bool caseless, struct arena *arena, bool *yes_r, struct expand_list_found *found_r,
					 struct error *error);
	/* The text of a named list as written (${listnamed:}, ${listcount:+name}); kind 'a', 'd', 'h', 'l', or 0 for any. */
	bool (*list_text)(void *owner, char kind, struct slice name, struct slice *text_r);
	/* Whether a constant text names an ACL or is one: false with *error. NULL: it shows when it is run. */
	bool (*acl_check)(void *owner, struct slice text, struct error *error);
	/* Told of each file or directory that a program will open, as far as its name is constant: where roles must be let in. */
	void (*uses_path)(void *owner, struct slice prefix, enum expand_service service);
	/*
	 * Told of the words of each command of ${run (number 0: its name): the constant text with which the word begins; `whole`: nothing
	 * else is in it.
	 */
	void (*uses_command)(void *owner, size_t number, struct slice prefix, bool whole);
	/* Told of each text that a driver has to know at load: "sqlite", "pgsql": the search types that are used. */
	void (*uses_search)(void *owner, struct slice type);
};

/* $h_ and its kin: how a header line is wanted. */
enum expand_header {
	EXPAND_HEADER,       /* $h_: RFC 2047 decoded, in headers_charset; $header_ */
	EXPAND_HEADER_BASE,  /* $bh_: base64 or quoted-printable taken away, the character set as it is */
	EXPAND_HEADER_RAW,   /* $rh_: as it stands, all lines of that name */
	EXPAND_HEADER_LIST,  /* $lh_: the raw lines as a list separated by colons */
};

/* Families of variables that the configuration makes up: the part of the name after the prefix. */
enum expand_family { EXPAND_ACL_C, EXPAND_ACL_M, EXPAND_ROUTER_VARIABLE, EXPAND_AUTH };

/* One line a step: depth of nesting, what was evaluated, what it gave. */
struct expand_trace {
	void *owner;
	void (*step)(void *owner, unsigned depth, struct slice source, enum expand_result result, struct expand_value value);
};

/*
 * What is kept from one evaluation to the next, as Exim does: $value (the output of run, for lookups restore it), $runrc,
 * $lookup_dnssec_authenticated, $prvscheck_result and $srs_recipient. The texts lie in the arenas of the evaluations that set them. Begins zeroed.
 */
enum { EXPAND_MEMORY_VALUES = 5 };
struct expand_memory {
	struct expand_value values[EXPAND_MEMORY_VALUES];
};

/*
 * What one evaluation works with. Only `variable` and `owner` must be set.
 *
 * Texts that `variable` and `named` give need to live until the next call of any of these functions, and no longer: the evaluation copies
 * each when it is read. Any later step of it may run an ACL (${acl...}, a list, a file of items), which sets, frees and overwrites
 * what variables are taken from; so whoever adds a variable need not ask what may change it. Texts that `headers`, `ask` and `acl`
 * give lie in the arena, or are not changed by ACLs.
 */
struct expand_context {
	void *owner;
	/* The value of a variable now, empty when it has none. */
	struct expand_value (*variable)(void *owner, enum expand_variable variable);
	/* A variable of a family; false: it was never set (which ${if def:} tells from empty). */
	bool (*named)(void *owner, enum expand_family family, struct slice name, struct expand_value *value_r);
	/* All header lines of the message, LF or CRLF at their ends; they are a peer's. NULL: no message. */
	struct slice (*headers)(void *owner);
	/* Asks the world (service.h). NULL: whatever needs it fails. */
	enum expand_result (*ask)(void *owner, const struct expand_request *request, struct arena *arena,
				  struct expand_answer *answer_r, struct error *error);
	/* Runs an ACL (${acl{name}{argument}...}; the name is not tainted): OK: it accepted, *text_r its message; FORCED_FAIL: it
	 * denied; others. */
	enum expand_result (*acl)(void *owner, struct expand_value name, const struct expand_value *arguments, size_t count,
				  struct arena *arena, struct expand_value *text_r, struct error *error);
	const struct expand_language *language; /* for what is compiled while running; NULL: nothing can be */
	const struct expand_trace *trace;       /* NULL: none */
	struct expand_memory *memory;           /* NULL: each evaluation is on its own */
	struct list_cache *list_cache;          /* results of named lists (match/list.h); NULL: none are kept */
	bool first_delivery, queue_running;     /* for the conditions of these names */
	struct expand_value *numbers;           /* EXPAND_NUMBERS values of $0, $1, ... to begin with, not changed; NULL: empty */
	size_t max_output;   /* most bytes of the result and of each value on the way; 0: EXPAND_DEFAULT_OUTPUT */
	size_t max_steps;    /* 0: EXPAND_DEFAULT_STEPS */
	int64_t deadline;    /* base/clock.h, 0: none but those of the questions asked */
};

/*
 * Compiles `text` (at most EXPAND_MAX_SOURCE bytes) for use at `place`; `language` may be NULL. On failure returns false, with the
 * reason in *error and in *column_r (which may be NULL) the byte at which it was found, counted from 1.
 */
bool expand_compile(struct arena *arena, struct slice text, enum expand_place place, const struct expand_language *language,
		    const struct expand_program **program_r, struct error *error, size_t *column_r);

/*
 * Evaluates. *value_r lies in `arena`, or in the program when that is constant, and is followed by a NUL. *value_r is set
 * only for EXPAND_OK, *error only for EXPAND_FAIL and EXPAND_DEFER (and FORCED_FAIL, for traces).
 */
enum expand_result expand_run(const struct expand_program *program, const struct expand_context *context, struct arena *arena,
			      struct expand_value *value_r, struct error *error);

/*
 * Evaluates, but does not join: what was written and what was computed stay apart, as in the query of a lookup (expand/pieces.h reads
 * such a text). Results as those of expand_run.
 */
enum expand_result expand_run_pieces(const struct expand_program *program, const struct expand_context *context, struct arena *arena,
				     const struct expand_piece **pieces_r, size_t *count_r, struct error *error);

/* The words of Exim that stand for true and false in conditions ("yes", "0", ""): false with *error when it is none. */
bool expand_to_bool(struct slice text, bool lax, bool *value_r, struct error *error);

/* True when evaluation always gives the same text: *text_r (if not NULL), followed by a NUL. */
bool expand_constant(const struct expand_program *program, struct slice *text_r);
/* The literal text before the first variable: all of it for a constant. Tells which directories a configuration names. */
struct slice expand_constant_prefix(const struct expand_program *program);
/* Whether the program refers to a variable, by any of its names. */
bool expand_uses(const struct expand_program *program, enum expand_variable variable);

/* Calls `each` with every constant text in the program, of branches and arguments too, in the order in which they are written. */
typedef void expand_literal_function(void *owner, struct slice literal);
void expand_literals(const struct expand_program *program, expand_literal_function *each, void *owner);

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

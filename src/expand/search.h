/* SPDX-License-Identifier: ISC */
/*
 * Search types: the first word of a lookup (Exim's manual, chapter 9). One table, from which come the check at load, the
 * quoting operators, and the manual. What a type does is in src/lookup, which has a function for each row.
 */
#ifndef POSTERN_EXPAND_SEARCH_H
#define POSTERN_EXPAND_SEARCH_H

#include "base/arena.h"
#include "base/error.h"

enum search_style {
	SEARCH_SINGLE_KEY, /* a key in an absolute file */
	SEARCH_QUERY,      /* a query; the file, if any, is an option or stands before it */
};

enum search_default { SEARCH_NO_DEFAULT, SEARCH_STAR, SEARCH_STAR_AT }; /* "", "*", "*@" after the name */

struct search_type {
	const char *name; /* "lsearch" */
	enum search_style style;
	bool partial;     /* partial matching and defaults may be asked for */
	bool bound;       /* values are bound as parameters: ${quote_NAME:...} around a whole value is not needed and does no harm */
	/* ${quote_NAME:...}: into `arena`. NULL: the type has none. False: the text cannot be quoted (*error). */
	bool (*quote)(struct slice text, struct arena *arena, struct slice *out_r, struct error *error);
	const char *options; /* names of the options it takes after commas, separated by spaces; "" none */
	const char *help, *example;
};

/* A search type as it is written, taken apart. */
struct search {
	const struct search_type *type;
	bool partial;
	unsigned partial_minimum; /* components that are never replaced by the wildcard; 2 by default */
	struct slice affix;       /* "*." by default */
	enum search_default fallback;
	const struct slice *options; /* in the arena: "ret=key" */
	size_t option_count;
};

const struct search_type *search_types(size_t *count_r);
const struct search_type *search_type_find(struct slice name);
/* "partial3(.)lsearch*@,ret=key". Unknown types name the nearest one, those of Exim that Postern lacks are named as such. */
bool search_parse(struct slice text, struct arena *arena, struct search *search_r, struct error *error);

#endif

/* SPDX-License-Identifier: ISC */
/* One item of a list, negation already taken off, to its compiled form. For the files of this directory only. */
#ifndef POSTERN_MATCH_ITEM_H
#define POSTERN_MATCH_ITEM_H

#include "match/compiled.h"
#include "match/origin.h"

/* A file of items that was read when the list was compiled first. */
struct list_file {
	struct slice path, text;
	const struct list *list; /* compiled with `caseful`; NULL when what it gives depends on what stands around it */
	bool caseful;
	struct list_file *next;
};

/* What a list is compiled from. */
struct list_source {
	struct list_text text;
	bool checking; /* the parts that are computed are not known yet: only items without any are compiled */
	const struct expand_context *running; /* at run time: what files are asked with; otherwise NULL */
	struct list_file **files;             /* read before (run time), or to remember (checking) */
	struct arena *files_arena;
	bool *read_later; /* set when there is a file that cannot be read yet, and nothing is known of its items; NULL: that is a mistake */
	bool *read_now; /* run time: set when a file had to be read, so that the form is good for this match only; or NULL */
};

struct list_item_context {
	enum list_kind kind;
	const struct list_scope *scope;
	struct arena *arena;
	bool in_file;          /* items of files cannot name other lists */
	const struct list_source *source;
	bool running;          /* the source's `running` is set: what cannot match is no mistake */
	bool caseful;          /* as the items before have set it */
	unsigned depth;        /* raised to that of each named list used */
	bool asks, varies;     /* set when an item does */
	struct slice primary_hostname; /* in the arena */
	struct list_text item; /* the whole item: what is parsed are slices of it */
};

/* Fills the item's kind, key, data and the like; text must live in the arena, or as long as it. */
bool list_item_parse(struct list_item_context *context, struct slice text, struct list_item *item, struct error *error);

/* item_ask.c: items that ask. */

/* The length of a search type at the start of an item, "partial-lsearch*@,ret=key", when a semicolon follows it; otherwise 0. */
size_t list_lookup_type_len(struct slice text);
/* "TYPE;FILE" or "TYPE;QUERY". `whole_address`: partial matching does not apply. */
bool list_lookup_parse(struct list_item_context *context, struct slice text, bool whole_address, const struct list_lookup **lookup_r,
		       struct error *error);
/* Likewise, after "net-" or "net24-" as well. */
bool list_host_lookup_parse(struct list_item_context *context, struct slice text, const struct list_lookup **lookup_r,
			    struct error *error);
/* "^...": of the case rule in force, or always without case. */
bool list_regex_parse(struct list_item_context *context, struct slice text, bool caseless, const struct regex **regex_r,
		      struct error *error);
/* "@mx_any", "@mx_primary/ignore=LIST" and so on; *is_r: whether the text is one. */
bool list_mx_parse(struct list_item_context *context, struct slice text, bool *is_r, const struct list_mx **mx_r,
		   struct error *error);

/* compile.c */

/* A list of a single item, negation and files of items included, with the context's scope and arena. Raises depth, asks, varies. */
bool list_compile_item(struct list_item_context *context, enum list_kind kind, struct slice text, const struct list **list_r,
		       struct error *error);
/* A list from its expanded text. */
bool list_compile_source(struct arena *arena, enum list_kind kind, const struct list_scope *scope, const struct list_source *source,
			 struct list **list_r, struct error *error);

#endif

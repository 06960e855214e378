/* SPDX-License-Identifier: ISC */
/*
 * Host, domain, address, local-part and string lists (Exim's manual, chapters 6 §20 to 22 and 10), compiled once.
 *
 * Items are scanned from left to right and the first that matches decides: yes, or no when it is negated by "!". When none
 * does, the answer is yes if the last item was negated, otherwise no; an empty list says no. Consecutive items of the same
 * sign are kept as sets, so a match costs a few hash probes, or a binary search of networks, for each change of sign, however
 * many items there are.
 *
 * A compiled list lies in the arena that compiled it and is immutable. It refers to the named lists that it uses, which must
 * live as long. A list can name only lists that were compiled before it, so there are no cycles.
 *
 * Lists never look anything up: where an item needs the name of a host and the subject has none, the list's +ignore_unknown or
 * +include_unknown decides (without them the answer is no), and the result says that a name was wanted.
 */
#ifndef POSTERN_MATCH_LIST_H
#define POSTERN_MATCH_LIST_H

#include "base/arena.h"
#include "base/error.h"
#include "expand/expand.h"
#include "net/address.h"

enum list_kind { LIST_HOST, LIST_DOMAIN, LIST_ADDRESS, LIST_LOCAL_PART, LIST_STRING, LIST_KINDS };

enum { LIST_MAX_BYTES = 256 << 20, LIST_MAX_DEPTH = 32 };

struct list;

/* What a list may refer to while it is compiled. Callbacks may be NULL: then there is nothing of that sort. */
struct list_scope {
	void *owner;
	/* The list of that kind and name, or NULL. */
	const struct list *(*named)(void *owner, enum list_kind kind, struct slice name);
	/* The text of a file of items. It must live until list_compile returns; its bytes are copied. */
	bool (*read_file)(void *owner, struct slice path, struct slice *text_r, struct error *error);
	struct slice primary_hostname;        /* for "@" */
	const struct net_address *interfaces; /* this host's addresses, for "@[]" */
	size_t interface_count;
	/* For variables of EXPAND_PLACE_LOAD in the list's text. NULL: a variable is an error. */
	const struct expand_context *constants;
};

/*
 * Compiles a list from the option's text: that is expanded first (so "\N", "\\" and the like have their meaning), then split.
 * On failure returns false and names the item in *error.
 */
bool list_compile(struct arena *arena, enum list_kind kind, struct slice text, const struct list_scope *scope,
		  const struct list **list_r, struct error *error);

/* "host", "domain", "address", "local part", "string". */
const char *list_kind_text(enum list_kind kind);
enum list_kind list_kind(const struct list *list);
/* Items, those of files included, those of named lists not. */
size_t list_count(const struct list *list);

/* What is matched; only the parts for the list's kind are looked at. */
struct list_subject {
	const struct net_address *host; /* host: NULL when no remote host is involved */
	const struct slice *host_names; /* host: verified names, all are tried */
	size_t host_name_count;         /* 0: not known */
	struct slice local_part;        /* address, local part: in its original case */
	struct slice domain;            /* address, domain; for an address both are empty for the null sender */
	struct slice string;            /* string */
};

struct list_match {
	bool yes;
	/*
	 * The positive item that decided, as the configuration wrote it: Exim's $domain_data, $local_part_data. Never tainted, in
	 * the list's arena, not followed by a NUL. "@" gives the primary host name, a named list what matched in it. Empty when
	 * the answer is no, or yes because the last item was negated.
	 */
	struct slice data;
	/* The host's name is not known and could have changed the answer. */
	bool name_wanted;
};

/* Returns result_r->yes. result_r may be NULL. */
bool list_match(const struct list *list, const struct list_subject *subject, struct list_match *result_r);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * The form of a compiled list, for the files of this directory only.
 *
 * A list is an array of runs; a run is a stretch of items of the same sign, case rule and unknown-host rule. The order within
 * a run decides only which item's text becomes the data (and, in host lists, whether an item stands before the first one that
 * needs a host name), so the sets map to item numbers, and the lowest number that matches wins.
 *
 * Where the items of each kind go: names, local parts, strings and the domain part of address items into `exact` and
 * `suffixes`; whole addresses into `addresses`; networks into `networks4` and `networks6`; what is left into
 * `specials`, scanned in order.
 */
#ifndef POSTERN_MATCH_COMPILED_H
#define POSTERN_MATCH_COMPILED_H

#include "match/list.h"
#include "match/ranges.h"
#include "match/set.h"

enum { LIST_KEY_MAX = 1000, LIST_SUFFIX_MAX = 255 };

/* What a host list does at an item that needs a name which the subject has not. */
enum list_unknown { LIST_UNKNOWN_FAIL, LIST_UNKNOWN_IGNORE, LIST_UNKNOWN_INCLUDE };

enum list_item_kind {
	LIST_ITEM_ANY,       /* "*" */
	LIST_ITEM_EMPTY,     /* no host; the empty address, local part, string */
	LIST_ITEM_EXACT,     /* key */
	LIST_ITEM_SUFFIX,    /* key, without the asterisk */
	LIST_ITEM_NETWORK,   /* network */
	LIST_ITEM_ADDRESS,   /* key: a whole address, its domain in lower case */
	LIST_ITEM_SUBLIST,   /* sublist, of this list's kind */
	LIST_ITEM_LITERAL,   /* a domain literal with one of this host's addresses */
	LIST_ITEM_LOCAL_HOST,/* a host with one of this host's addresses */
	LIST_ITEM_PAIR,      /* address lists: local-part and domain patterns */
};

struct list_item;

/* One side of "local@domain"; for a domain it may be a domain list. */
struct list_pair {
	const struct list_item *local_part; /* ANY, EXACT or SUFFIX */
	const struct list_item *domain;     /* ANY, EXACT, SUFFIX, LITERAL or SUBLIST */
};

struct list_item {
	enum list_item_kind kind;
	bool negative, caseful;
	enum list_unknown unknown;
	struct slice data, key;
	struct net_network network;
	const struct list *sublist;
	struct list_pair pair;
};

/* Suffixes: one probe for each length that occurs; where all of a length start with a dot, only if the subject has one there. */
struct list_suffixes {
	struct set set;
	uint64_t plain[4], dotted[4]; /* bit per length, 1 to 255 */
};

struct list_special {
	uint32_t number;
	struct list_item item;
};

struct list_run {
	bool negative, caseful;
	enum list_unknown unknown;
	uint32_t any, empty, first_name; /* numbers of the first such items, or SET_NONE */
	struct set exact, addresses;
	struct list_suffixes suffixes;
	struct ranges networks4, networks6;
	const struct list_special *specials;
	size_t special_count;
};

struct list {
	enum list_kind kind;
	unsigned depth; /* 1, and one more for each level of named lists */
	bool last_negative;
	const struct list_run *runs;
	size_t run_count;
	const struct slice *data; /* by item number */
	size_t count;             /* of items */
	const struct net_address *interfaces;
	size_t interface_count;
};

/* Groups the items into runs. */
void list_build_runs(struct list *list, struct arena *arena, const struct list_item *items, size_t count);

#endif

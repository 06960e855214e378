/* SPDX-License-Identifier: ISC */
/*
 * The form of a compiled list, for the files of this directory only.
 *
 * A list is an array of runs; a run is a stretch of items of the same sign, case rule and rules for unknown and deferred hosts.
 * The order within a run decides only which item's text becomes the data (and, in host lists, whether an item stands before the
 * first one that needs a host name), so the sets map to item numbers, and the lowest number that matches wins.
 *
 * Where the items of each kind go: names, local parts, strings and the domain part of address items into `exact` and
 * `suffixes`; whole addresses into `addresses`; networks into `networks4` and `networks6`; what is left into
 * `specials`, tried in order.
 */
#ifndef POSTERN_MATCH_COMPILED_H
#define POSTERN_MATCH_COMPILED_H

#include "expand/regex.h"
#include "match/list.h"
#include "match/ranges.h"
#include "match/set.h"

enum { LIST_KEY_MAX = 1000, LIST_SUFFIX_MAX = 255 };

/* What a host list does at an item that needs what cannot be found, or not now. */
enum list_unknown { LIST_UNKNOWN_FAIL, LIST_UNKNOWN_IGNORE, LIST_UNKNOWN_INCLUDE };

enum list_item_kind {
	LIST_ITEM_ANY,       /* "*" */
	LIST_ITEM_EMPTY,     /* no host; the empty address, local part, string */
	LIST_ITEM_EXACT,     /* key */
	LIST_ITEM_SUFFIX,    /* key, without the asterisk */
	LIST_ITEM_NETWORK,   /* network */
	LIST_ITEM_ADDRESS,   /* key: a whole address, its domain in lower case */
	LIST_ITEM_SUBLIST,   /* sublist, of this list's kind; the first of those that are tried one by one */
	LIST_ITEM_LITERAL,   /* a domain literal with one of this host's addresses */
	LIST_ITEM_LOCAL_HOST,/* a host with one of this host's addresses */
	LIST_ITEM_PAIR,      /* address lists: local-part and domain patterns */
	LIST_ITEM_HOST_NAME, /* key: a name whose addresses are compared */
	LIST_ITEM_REGEX,     /* regex */
	LIST_ITEM_LOOKUP,    /* lookup */
	LIST_ITEM_SPLIT,     /* lookup: of the domain, giving patterns for the local part ("@@") */
	LIST_ITEM_MX,        /* mx */
	LIST_ITEM_KINDS
};

struct list_item;

/* One side of "local@domain"; for a domain it may be a domain list. */
struct list_pair {
	const struct list_item *local_part; /* ANY, EXACT or SUFFIX */
	const struct list_item *domain;     /* ANY, EXACT, SUFFIX, LITERAL or SUBLIST */
};

enum { LIST_NOT_NET = -2, LIST_WHOLE_ADDRESS = -1 };

struct list_lookup {
	struct slice type; /* as requests have it: without options */
	bool query;
	struct slice file;
	const struct expand_piece *pieces; /* of a query */
	size_t piece_count;
	const struct slice *options;
	size_t option_count;
	int mask;          /* host lists: the key is the address, masked; LIST_NOT_NET: the host's name */
	bool colons;       /* IPv6 keys have colons, not dots */
	const struct list_scope *scope; /* LIST_ITEM_SPLIT: what the patterns found are compiled with */
};

enum list_mx_rank { LIST_MX_ANY, LIST_MX_PRIMARY, LIST_MX_SECONDARY };

struct list_mx {
	enum list_mx_rank rank;
	const struct list *ignore; /* addresses that do not count, or NULL */
};

struct list_item {
	enum list_item_kind kind;
	bool negative, caseful, tainted;
	bool anything; /* matches whatever there is */
	enum list_unknown unknown, deferred;
	struct slice data, key;
	struct net_network network;
	const struct list *sublist;
	struct list_pair pair;
	const struct regex *regex;
	const struct list_lookup *lookup;
	const struct list_mx *mx;
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
	enum list_unknown unknown, deferred;
	uint32_t first; /* number of its first item */
	uint32_t any, empty, first_name; /* numbers of the first such items, or SET_NONE; a name: one that the host's name must end in */
	struct set exact, addresses;
	struct list_suffixes suffixes;
	struct ranges networks4, networks6;
	const struct list_special *specials;
	size_t special_count;
};

/* Of an item by its number. */
struct list_item_text {
	struct slice text;
	bool tainted, anything;
};

struct list {
	enum list_kind kind;
	unsigned depth; /* 1, and one more for each level of named lists */
	bool last_negative;
	bool asks;      /* it, or a list in it, may ask the world or holds expansions */
	bool varies;    /* it, or a list in it, holds expansions and is not one whose results may be kept all the same */
	const struct list_run *runs;
	size_t run_count;
	const struct list_item_text *items; /* by item number */
	size_t count;                       /* of items */
	const struct net_address *interfaces;
	size_t interface_count;
	const struct list *const *treat_as_local;
	const struct list *caseless;  /* of strings: the same items without regard to case */
	bool addresses_only;          /* of hosts: names are never asked for; lookups are by address (${if match_ip}) */
	struct list_dynamic *dynamic; /* with expansions: all but kind, depth, asks and varies are its forms' */
};

/* Groups the items into runs. */
void list_build_runs(struct list *list, struct arena *arena, const struct list_item *items, size_t count);

#endif

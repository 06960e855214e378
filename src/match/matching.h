/* SPDX-License-Identifier: ISC */
/* One match while it goes on: what its parts share. For the files of this directory only. */
#ifndef POSTERN_MATCH_MATCHING_H
#define POSTERN_MATCH_MATCHING_H

#include "match/compiled.h"

struct list_matching {
	const struct list_subject *subject; /* as the caller gave it */
	const struct expand_context *context;
	struct arena *arena;
	struct error *error;
	struct list_host_names *names; /* the subject's or `own_names` */
	struct list_host_names own_names;
	bool addresses_only; /* of the list that was asked for; holds in the lists that it names as well */
	bool in_mx;          /* the names of MX records are being matched: "@mx_any" among those names means nothing */
	unsigned depth;
};

/* A subject made ready: the parts that a kind of list looks at. */
struct list_probe {
	const struct list_subject *subject;
	struct slice name;           /* local part, domain, string; of an address the domain */
	char address[LIST_KEY_MAX];  /* of an address, domain in lower case */
	size_t address_len;          /* 0: too long to be in a list, or not an address */
	bool empty;                  /* no host, null sender, empty text */
	struct net_address host;
};

/* What trying an item gives. */
enum list_answer {
	LIST_ANSWER_NO,
	LIST_ANSWER_YES,
	LIST_ANSWER_UNKNOWN, /* hosts: what it needs does not exist; *error says what */
	LIST_ANSWER_DEFER,   /* *error */
	LIST_ANSWER_FAIL,    /* *error */
};

/* What a matching item leaves behind, beside its text. */
struct list_found {
	struct slice data;
	bool found_data; /* data is not the item's text, but what a lookup or a list in the list found */
	bool tainted;
	struct slice item;
	bool name_wanted;
	bool anything, excepted; /* as in list_match */
	size_t number_count;
	struct slice numbers[LIST_NUMBERS_MAX];
};

/* match.c */
void list_probe_make(struct list_probe *probe, enum list_kind kind, const struct list_subject *subject);
enum expand_result list_match_probe(struct list_matching *m, const struct list *list, const struct list_probe *probe,
				    struct list_match *result);
bool list_is_own_address(const struct list *list, const struct net_address *address);

/* special.c */
enum list_answer list_special_try(struct list_matching *m, const struct list *list, const struct list_item *item,
				  const struct list_probe *probe, struct list_found *found);

/* ask.c */

/* Whether the world can be asked; otherwise *error says that it cannot. */
bool list_can_ask(struct list_matching *m);
/* Asks, with a deadline; FAIL and DEFER have *error. */
enum expand_result list_ask(struct list_matching *m, struct expand_request *request, struct expand_answer *answer_r);
/* The names of the host: YES and the names, or UNKNOWN, DEFER, FAIL. *wanted_r is set when they could not be asked for. */
enum list_answer list_host_names(struct list_matching *m, const struct list_probe *probe, const struct slice **names_r, size_t *count_r,
				 bool *wanted_r);
/* Whether a host of that name has the address. */
enum list_answer list_host_is(struct list_matching *m, struct slice name, const struct list_probe *probe, bool *wanted_r);
/* Looks a key up, or runs the query. */
enum list_answer list_lookup_find(struct list_matching *m, const struct list_lookup *lookup, struct slice key, bool key_tainted,
				  struct list_found *found);
/* The key of "net-" lookups. */
struct slice list_lookup_address(const struct list_lookup *lookup, const struct net_address *host, struct arena *arena);

/* mx.c */
enum list_answer list_mx_try(struct list_matching *m, const struct list *list, const struct list_mx *mx, struct slice domain);
/* split_lookup.c */
enum list_answer list_split_try(struct list_matching *m, const struct list_item *item, const struct list_probe *probe,
				struct list_found *found);

/* dynamic.c */
enum expand_result list_dynamic_match(struct list_matching *m, const struct list *list, const struct list_probe *probe,
				      struct list_match *result);

/* cache.c: false when there is no result. */
bool list_cache_find(struct list_cache *cache, const struct list *list, const struct list_probe *probe, struct list_match *result_r);
void list_cache_keep(struct list_cache *cache, const struct list *list, const struct list_probe *probe,
		     const struct list_match *result);

#endif

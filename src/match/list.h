/* SPDX-License-Identifier: ISC */
/*
 * Host, domain, address, local-part and string lists (Exim's manual, chapters 6 §20 to 22 and 10), compiled once.
 *
 * Items are scanned from left to right and the first that matches decides: yes, or no when it is negated by "!". When none
 * does, the answer is yes if the last item was negated, otherwise no; an empty list says no. Consecutive items of the same
 * sign are kept as sets, so a match costs a few hash probes, or a binary search of networks, for each change of sign, however
 * many items there are. Items that need more (regular expressions, lookups, names of hosts) are tried one by one, and only if no
 * earlier item matches.
 *
 * A compiled list lies in the arena that compiled it. It refers to the named lists that it uses, which must live as long. A list
 * can name only lists that were compiled before it, so there are no cycles.
 *
 * A list whose text holds expansions is expanded at each match. Each part of the result remembers whether it was written in
 * the configuration, computed, or a peer's: a peer's text can only be a plain item to compare with, and where it stands within
 * a query it is bound as a parameter. The compiled forms of the results seen last are kept (struct list_forms).
 *
 *	list_match --constant--> the runs of items in order: sets, then what asks the world (ask.c, special.c)
 *	           --expansions--> expand (dynamic.c) --forced failure--> no
 *	                                              --text--> a form kept, or compiled now --> as a constant list
 */
#ifndef POSTERN_MATCH_LIST_H
#define POSTERN_MATCH_LIST_H

#include "base/arena.h"
#include "base/error.h"
#include "expand/expand.h"
#include "net/address.h"

enum list_kind { LIST_HOST, LIST_DOMAIN, LIST_ADDRESS, LIST_LOCAL_PART, LIST_STRING, LIST_KINDS };

enum {
	LIST_MAX_BYTES = 256 << 20,
	LIST_MAX_DEPTH = 32,     /* named lists within named lists */
	LIST_MAX_EXPANDING = 8,  /* lists whose expansions match lists with expansions, at run time */
	LIST_FORMS_MAX = 8,      /* forms kept of one list */
	LIST_NUMBERS_MAX = 20,   /* $0 to $19 */
};

struct list;
struct list_cache;
struct list_dynamic;

/*
 * The owner of what lists with expansions keep between matches: one a configuration. Zeroed before the first use; freed
 * before the arena of the lists.
 */
struct list_forms {
	struct list_dynamic *first;
	bool closed; /* lists compiled from now on keep nothing: they live in arenas shorter than this */
};
void list_forms_free(struct list_forms *forms);

/*
 * What a list may refer to while it is compiled; callbacks may be NULL: then there is nothing of that sort. A list with expansions
 * or with "@@" items keeps a copy of this struct and calls `named` at each match, so what it points to must live as long.
 */
struct list_scope {
	void *owner;
	/* The list of that kind and name, or NULL. */
	const struct list *(*named)(void *owner, enum list_kind kind, struct slice name);
	/*
	 * The text of a file of items. It must live until list_compile returns; its bytes are copied. Not called at run time. NULL:
	 * a list that names a file asks for it at each match.
	 */
	bool (*read_file)(void *owner, struct slice path, struct slice *text_r, struct error *error);
	struct slice primary_hostname;        /* for "@" */
	const struct net_address *interfaces; /* this host's addresses, for "@[]" */
	size_t interface_count;
	/* For variables that never change, $primary_hostname and the like. NULL: they are expanded at each match. */
	const struct expand_context *constants;
	/* For expansions and regular expressions, and told of the files and search types used. NULL: neither expressions nor items. */
	const struct expand_language *language;
	enum expand_place place;              /* where the list is used: what its expansions can refer to */
	struct list_forms *forms;             /* NULL: nothing is kept between matches */
	const struct list *const *hosts_treat_as_local; /* the domain list of that option, or NULL; for "@mx_any" */
	bool cached;                          /* of a named list: results are kept although it holds expansions ("domainlist_cache") */
};

/*
 * Compiles a list from the option's text: that is expanded first (so "\N", "\\" and the like have their meaning), then split.
 * Where it holds expansions, the items written between them are checked all the same.
 * On failure returns false and names the item, or the column, in *error.
 */
bool list_compile(struct arena *arena, enum list_kind kind, struct slice text, const struct list_scope *scope,
		  const struct list **list_r, struct error *error);
/*
 * Sets list_compile, list_match and the scope of `language`; its other members are the owner's. The scope's place and language
 * do not matter; it must live as long as the language.
 */
void list_language_init(struct expand_language *language, const struct list_scope *scope);

/* "host", "domain", "address", "local part", "string". */
const char *list_kind_text(enum list_kind kind);
enum list_kind list_kind(const struct list *list);

/*
 * What items there are in a list, and in those that it names, that say yes to subjects that they do not name (see list_match): an
 * item for anything, a negated item at the end, an item behind a negated one. Of lists without expansions; others give 0.
 */
enum list_width { LIST_WIDE_ITEM = 1 << 0, LIST_WIDE_END = 1 << 1, LIST_WIDE_EXCEPTED = 1 << 2 };
unsigned list_width(const struct list *list);

/* Whether a match may need a context: the list holds expansions, or items that ask. */
bool list_asks(const struct list *list);

/* The names of a host, found once and kept by whoever knows the host; zeroed before the first use. */
struct list_host_names {
	enum { LIST_NAMES_UNASKED, LIST_NAMES_KNOWN, LIST_NAMES_UNKNOWN } state;
	const struct slice *names; /* in `arena` */
	size_t count;
	struct arena *arena;       /* lives as long as the connection */
};

/* What is matched; only the parts for the list's kind are looked at. */
struct list_subject {
	const struct net_address *host; /* host: NULL when no remote host is involved */
	const struct slice *host_names; /* host: verified names, all are tried */
	size_t host_name_count;         /* 0: not known */
	struct slice local_part;        /* address, local part: in its original case */
	struct slice domain;            /* address, domain; for an address both are empty for the null sender */
	struct slice string;            /* string */
	struct list_host_names *kept_names; /* host: where names that had to be asked for are kept; NULL: asked again by the next match */
	bool caseless;                  /* string: without regard to case */
	struct list_cache *cache;       /* results of named lists; NULL: none are kept */
};

struct list_match {
	bool yes;
	/*
	 * Of the positive item that decided; Exim's $domain_data, $local_part_data and so on. What a lookup found; otherwise the item as
	 * the configuration wrote it ("@" gives the primary host name, a named list what matched in it), but for hosts nothing. In
	 * the list's arena or that of the match, not followed by a NUL. Empty when the answer is no, or yes because the last item was
	 * negated.
	 */
	struct slice data;
	struct slice item; /* the positive item that decided, for traces; of hosts too */
	bool tainted;      /* `data`: the item itself came from a peer, or the lookup says that its answer did */
	/*
	 * How little a yes says of this subject. anything: what decided takes any subject: "*", an expression that does, the default of a
	 * lookup, or no item at all, because the last one was negated. excepted: a negated item stands before the one that decided: it is
	 * for what was left. Both hold in the lists that the list names as well.
	 */
	bool anything, excepted;
	/* The host's name is not known, could not be asked for, and could have changed the answer. */
	bool name_wanted;
	/* $0, $1 and so on: the subject, what an asterisk stood for, groups of an expression; the subject's taint is theirs. None of hosts. */
	size_t number_count;
	struct slice numbers[LIST_NUMBERS_MAX];
};

/*
 * Matches. `context`: for expansions, and its `ask` for lookups and names of hosts; NULL: nothing can be expanded or asked, the
 * names of hosts are what the subject says, and other items that ask fail. `arena`: for what is found; may be NULL
 * when the context is. EXPAND_OK: *result_r is set (it may be NULL when only failure matters). EXPAND_DEFER and EXPAND_FAIL: *error
 * says why, and *result_r says no.
 */
enum expand_result list_match(const struct list *list, const struct list_subject *subject, const struct expand_context *context,
			      struct arena *arena, struct list_match *result_r, struct error *error);

/*
 * Results of named lists that ask, kept while one message or session is handled, as Exim does: for lists without expansions, and for
 * those defined with "_cache". Lies in `arena`; holds a bounded number of results, by list and subject.
 */
enum { LIST_CACHE_MAX = 256 };
struct list_cache *list_cache_new(struct arena *arena);

#endif

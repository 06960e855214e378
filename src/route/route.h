/* SPDX-License-Identifier: ISC */
/*
 * Routing: which transport takes an address, and with which user and directory.
 *
 * Routers form a chain in the order of the configuration. Each is asked in turn: first its preconditions, in Exim's order
 * (`domains`, `local_parts`, `check_local_user`); one that is not met skips the router. Then its driver runs, and accepts or
 * declines; after a decline the next router is asked unless `more` is false. These structs are filled by the configuration,
 * live in its arena, and are immutable.
 *
 *	route_address: next router --domains no--> skip      --local_parts no--> skip
 *	                           --check_local_user: unknown user--> skip, not now--> ROUTE_DEFERRED
 *	                           --driver: declined--> next router, or with more = false the end
 *	                           --driver: accepted--> finish: user, directory--> ROUTE_ACCEPTED or one of the failures
 *	               end of chain --a router named the domain--> ROUTE_UNROUTEABLE, otherwise ROUTE_NOT_LOCAL
 *
 * Domains and local parts are matched in lower case (local parts in their own after "+caseful"), and $domain and $local_part
 * are in lower case, as in Exim without caseful_local_part.
 *
 * Nothing here touches the system: users are looked up by the caller's callback.
 */
#ifndef POSTERN_ROUTE_ROUTE_H
#define POSTERN_ROUTE_ROUTE_H

#include "expand/expand.h"
#include "match/list.h"

#include <sys/types.h>

/* How a transport writes: one for each `driver` that the configuration can name. */
enum transport_driver { TRANSPORT_APPENDFILE };

struct transport {
	struct slice name;
	enum transport_driver driver;
	const struct expand_program *directory; /* `directory`: of the Maildir; EXPAND_PLACE_DELIVERY; never NULL */
	bool maildir_format;                    /* `maildir_format`: one file a message in new/, tmp/ and cur/ */
	bool create_directory;                  /* `create_directory`: make what is missing of the directory */
	unsigned directory_mode;                /* `directory_mode`: permissions of directories made */
	unsigned mode;                          /* `mode`: permissions of message files */
	struct slice user, group;               /* `user`, `group`: names or numbers as written, empty when not set */
	bool has_user, has_group;               /* the master has resolved `user`, `group` (or the user's own group) to these: */
	uid_t uid;
	gid_t gid;
	bool retry_use_local_part;              /* `retry_use_local_part`: retry rules and times are for the whole address */
	bool return_path_add, delivery_date_add, envelope_to_add; /* the options of those names */
	const struct transport *next;           /* in the order of the configuration; NULL at the end */
};

enum router_verdict { ROUTER_ACCEPTED, ROUTER_DECLINED };

struct router;
struct mail_address_parts;

struct router_driver {
	const char *name; /* as `driver` names it */
	/* Runs when the preconditions hold. */
	enum router_verdict (*run)(const struct router *router, const struct mail_address_parts *address);
};

/* Accepts whatever meets the preconditions. */
extern const struct router_driver router_accept;
/* The driver of that name, or NULL. */
const struct router_driver *router_driver_find(struct slice name);

struct router {
	struct slice name;
	const struct router_driver *driver;
	const struct list *domains;      /* `domains`, LIST_DOMAIN; NULL: any domain, but that makes no domain local */
	const struct list *local_parts;  /* `local_parts`, LIST_LOCAL_PART; NULL: any */
	bool check_local_user;           /* `check_local_user`: only for users of this system; the delivery runs as that user */
	const struct transport *transport; /* `transport`; never NULL for accept */
	bool retry_use_local_part;       /* `retry_use_local_part`: the same for what fails while this router runs */
	bool more;                       /* `more`: after a decline the next router is asked */
	const struct router *next;       /* NULL at the end of the chain */
};

/* An address to route: unquoted, as SMTP or the spool gives it. Both are a peer's bytes. */
struct mail_address_parts {
	struct slice local_part, domain;
};

/* A user of the system. */
struct route_user {
	struct slice name, home; /* of the user database, so not tainted; must live until route_address returns */
	uid_t uid;
	gid_t gid;
};

enum route_user_result { ROUTE_USER_FOUND, ROUTE_USER_UNKNOWN, ROUTE_USER_DEFER };

/* What routing needs from its surroundings. */
struct route_host {
	void *owner;
	/* Looks a user up; *error is set for ROUTE_USER_DEFER. NULL: there are no local users. */
	enum route_user_result (*lookup_user)(void *owner, struct slice name, struct route_user *user_r, struct error *error);
	/* Values of all variables but those of the address ($local_part, $domain, their _data, $home). Never NULL. */
	const struct expand_context *variables;
};

enum route_outcome {
	ROUTE_ACCEPTED,
	ROUTE_UNROUTEABLE,      /* the domain is ours, but no router took the address; permanent */
	ROUTE_NOT_LOCAL,        /* no router names the domain; permanent */
	ROUTE_DEFERRED,         /* cannot be told now */
	ROUTE_EXPANSION_FAILED, /* the configuration's directory gives no usable path; for the administrator, so temporary */
};

/* In the arena given to route_address, as far as it is not the configuration's. */
struct route_result {
	enum route_outcome outcome;
	const struct router *router;       /* that accepted, or at which the outcome arose; NULL when none */
	const struct transport *transport; /* when accepted */
	/*
	 * A router's `domains` names the domain: by an item that says which domains it is for (a name, the end of one, what a lookup
	 * finds). By what takes any domain, or what negated items before have left ("*", "! +local_domains : *.test"), a router says for
	 * whom it works, not whose the domain is.
	 */
	bool domain_is_ours;
	struct clean_path directory;       /* when accepted */
	bool has_user;                     /* uid and gid are those to deliver as; otherwise as the process runs */
	uid_t uid;
	gid_t gid;
	struct slice local_part, domain;           /* in lower case; tainted */
	struct expand_value local_part_data, domain_data; /* empty when no precondition gave one */
	struct slice home;                         /* of the local user, or empty; not tainted */
	struct error error;                        /* for every outcome but ROUTE_ACCEPTED: for the log */
};

/* "Unrouteable address", "relay not permitted" and so on: what a client or the main log is told. */
const char *route_outcome_text(enum route_outcome outcome);

/*
 * Routes one address through the chain (`first` may be NULL). The result is complete whatever the outcome. Returns
 * result_r->outcome.
 */
enum route_outcome route_address(const struct router *first, const struct mail_address_parts *address,
				 const struct route_host *host, struct arena *arena, struct route_result *result_r);

#endif

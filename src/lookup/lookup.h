/* SPDX-License-Identifier: ISC */
/*
 * The world that expansions ask (expand/service.h), answered in this process: files, databases, DNS, commands. The lookup role
 * serves it to the other roles; commands use it directly. Whatever blocks (database clients, large files) runs on offload
 * threads or waits on the loop; a question ends at its deadline.
 *
 * One struct lookup_world a process. It owns the open databases and the files that were read: each is read once and again
 * only after it changed. Answers are copies in the asker's arena.
 */
#ifndef POSTERN_LOOKUP_LOOKUP_H
#define POSTERN_LOOKUP_LOOKUP_H

#include "expand/search.h"
#include "expand/service.h"

struct dns;
struct list;
struct expand_context;
struct loop;
struct lookup_world;

/* host_lookup_order: how the name of a host is looked up, in this order. */
enum lookup_name_source { LOOKUP_NAME_BY_DNS, LOOKUP_NAME_BY_HOSTS_FILE };
struct lookup_name_order {
	enum lookup_name_source items[2];
	size_t count;
};

/* How commands of ${run} run. */
struct lookup_command_settings {
	char *const *environment; /* as execve takes it */
	bool server;              /* they get limits of time, memory and files, and "/" as their directory */
	bool own_user;            /* the user has no other processes: their number is limited, too */
};
/* What this process has in its environment (keep_environment and add_environment decided that), with a PATH if there is none. */
char *const *lookup_command_environment(struct arena *arena);
/*
 * Answers EXPAND_SERVICE_RUN, at the request's deadline at the latest: then the process group of the command is killed. Runs on a task.
 */
enum expand_result lookup_run_command(const struct lookup_command_settings *settings, const struct expand_request *request,
				      struct arena *arena, struct expand_answer *answer_r, struct error *error);

struct lookup_settings {
	struct dns *dns;             /* borrowed; NULL: no DNS */
	struct slice sqlite_dbfile;  /* options of those names, as the configuration gives them */
	struct slice pgsql_servers, redis_servers;
	const struct lookup_command_settings *commands; /* borrowed; NULL: ${run} is not allowed here */
	struct slice pam_service;    /* empty: ${if pam} is not allowed here */
	/* Options of those names; borrowed, NULL: nothing matches. */
	const struct list *dns_again_means_nonexist, *dns_ipv4_lookup;
	/* Variables of EXPAND_PLACE_LOAD, for the keys of wildlsearch files; used on other threads, so it only reads. Borrowed, NULL: none. */
	const struct expand_context *constants;
	struct lookup_name_order name_order; /* empty: the DNS, then the file of hosts */
};

struct lookup_world *lookup_open(struct loop *loop, const struct lookup_settings *settings, struct error *error);
void lookup_close(struct lookup_world **world);

/* Answers one request, waiting as needed: EXPAND_OK (look at answer_r->found), EXPAND_FAIL or EXPAND_DEFER with *error. */
enum expand_result lookup_ask(struct lookup_world *world, const struct expand_request *request, struct arena *arena,
			      struct expand_answer *answer_r, struct error *error);

/*
 * What was asked and answered within one message or command: the same question is not asked twice. Wraps another `ask`;
 * only answers that are OK are kept, at most LOOKUP_CACHE_MAX bytes of them.
 */
enum { LOOKUP_CACHE_MAX = 1 << 20 };
struct lookup_cache;
typedef enum expand_result lookup_ask_function(void *owner, const struct expand_request *request, struct arena *arena,
					       struct expand_answer *answer_r, struct error *error);
struct lookup_cache *lookup_cache_new(struct arena *arena);
enum expand_result lookup_cache_ask(struct lookup_cache *cache, lookup_ask_function *ask, void *owner,
				    const struct expand_request *request, struct arena *arena, struct expand_answer *answer_r,
				    struct error *error);

/*
 * A driver: the function behind a row of search_types. `file`, `key` and the pieces are those of the request, `search` is its
 * type taken apart; partial matching and defaults are done by the caller (lookup.c), which calls `find` once a key.
 */
struct lookup_driver {
	const char *name; /* of the search type */
	enum expand_result (*find)(struct lookup_world *world, const struct search *search, const struct expand_request *request,
				   struct slice key, struct arena *arena, struct expand_answer *answer_r, struct error *error);
};
extern const struct lookup_driver *const lookup_drivers[];
extern const size_t lookup_driver_count;

#endif

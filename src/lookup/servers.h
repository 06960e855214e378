/* SPDX-License-Identifier: ISC */
/*
 * Lists of database servers (Exim's manual, chapter 9 §22 and 23), as pgsql_servers and redis_servers have them, and as a lookup can
 * name them: by its option servers=, or at the start of the query, "servers=a:b; ...". An item without slashes stands for the item
 * of the main option with that host.
 */
#ifndef POSTERN_LOOKUP_SERVERS_H
#define POSTERN_LOOKUP_SERVERS_H

#include "lookup/private.h"

enum { LOOKUP_SERVERS_MAX = 32, LOOKUP_CONNECT_SECONDS = 10 };

struct lookup_server {
	struct slice text;     /* all of it: has the password, so never for messages */
	struct slice shown;    /* host and port, or the socket, for messages */
	struct slice host;     /* empty when there is a socket */
	struct slice port;     /* empty: the usual one; of a socket in PostgreSQL's form what follows the last dot */
	struct slice socket;   /* its path, from "(path)" */
	struct slice fields[3]; /* what follows the host: database, user, password; or database number, password */
};

struct lookup_servers {
	struct lookup_server items[LOOKUP_SERVERS_MAX];
	size_t count;
};

/* What differs between databases. */
struct lookup_server_form {
	const char *name;    /* "PostgreSQL" */
	const char *option;  /* "pgsql_servers" */
	size_t fields;       /* at most; those at the end may be missing only if `least` says so */
	size_t least;
};

/* `pieces` and *count are a copy of the query's; a "servers=" at its start is taken away. EXPAND_OK: there is one server at least. */
enum expand_result lookup_find_servers(const struct lookup_server_form *form, struct slice main_option, const struct search *search,
				       const struct expand_request *request, struct expand_piece *pieces, size_t count,
				       struct arena *arena, struct lookup_servers *servers_r, struct error *error);

/* A copy of the request's pieces, or of its key as one piece. */
struct expand_piece *lookup_copy_pieces(const struct expand_request *request, struct arena *arena, size_t *count_r);

/* False with the query's error set: the next server is tried. */
typedef bool lookup_try_server(void *query, const struct lookup_server *server, int64_t deadline);
/*
 * Tries them in order until one answers. Each gets its part of the time that is left, so that one that never answers leaves some to
 * the others. EXPAND_DEFER when none does: *error, which the last one has set, then begins with its name.
 */
enum expand_result lookup_try_servers(const struct lookup_servers *servers, int64_t deadline, lookup_try_server *try, void *query,
				      struct error *error);

/* How long coming in may take: a server that accepts a connection and then says nothing is known soon to be of no use. */
int64_t lookup_connect_deadline(int64_t deadline);

/* Text of a library on one line, without the white space around it. */
struct slice lookup_one_line(const char *text, struct arena *arena);

#endif

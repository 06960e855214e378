/* SPDX-License-Identifier: ISC */
/*
 * What an expansion asks of the world outside of it: lookups, files, names of hosts, commands. One request, one answer, so that
 * the same question can be answered in this process (src/lookup, `postern expand`) or be sent to the role that answers it. A request is
 * plain data: slices and numbers, no pointers to programs.
 *
 * Text from a peer never becomes part of a query's syntax: a query is a list of pieces, and each piece that was computed
 * is bound as a parameter (SQL), one word (Redis) or checked as a name (DNS) by the lookup that gets it.
 */
#ifndef POSTERN_EXPAND_SERVICE_H
#define POSTERN_EXPAND_SERVICE_H

#include "base/arena.h"
#include "base/error.h"
#include "base/slice.h"

enum expand_result {
	EXPAND_OK,
	EXPAND_FORCED_FAIL, /* the string itself asked for it: what that means is the option's matter */
	EXPAND_FAIL,        /* it cannot be evaluated; *error says why */
	EXPAND_DEFER,       /* not now; *error says why */
};

enum expand_service {
	EXPAND_SERVICE_LOOKUP,         /* type, file, key or pieces, options; text */
	EXPAND_SERVICE_READ_FILE,      /* file; text: its content */
	EXPAND_SERVICE_EXISTS,         /* file; found */
	EXPAND_SERVICE_STAT,           /* file; text: as ${stat: gives it */
	EXPAND_SERVICE_RUN,            /* pieces: the arguments; text: its output; number: its exit status */
	EXPAND_SERVICE_READ_SOCKET,    /* file: a path, or type: "inet:host:port"; key: what is sent; options; text */
	EXPAND_SERVICE_HOST_NAMES,     /* key: an IP address; text: names confirmed by a forward lookup, separated by NUL, first the PTR's own */
	EXPAND_SERVICE_HOST_ADDRESSES, /* key: a host name; text: its addresses, separated by spaces */
	EXPAND_SERVICE_CRYPT,          /* key: the text, type: the hash with its method (crypt(3)); found: they agree */
	EXPAND_SERVICE_SCAN,           /* content: a message; type: "clamd" or "spam"; options: servers; key: a user; pieces: its envelope; found, text */
	EXPAND_SERVICE_UDP,            /* type: a host; options: its port; key: the packet */
	EXPAND_SERVICE_PAM,            /* pieces: the user, then the answers to what PAM asks for; found: PAM accepts them */
	EXPAND_SERVICE_RATE,           /* key, type, options: a rate of events by key; found: over the limit (limit/ask.h) */
	EXPAND_SERVICE_SEEN,           /* key, type: when the key was seen last; found (limit/ask.h) */
	EXPAND_SERVICES
};

/* A part of a query or command. */
struct expand_piece {
	struct slice text;
	bool value;   /* computed by an expansion; false: written so in the configuration */
	bool tainted; /* a peer had a hand in it; only values are */
};

enum { EXPAND_REQUEST_MAX = 128 * 1024 }; /* bytes of all texts together */

struct expand_request {
	enum expand_service service;
	struct slice type;     /* of a lookup: the whole search type, "partial1-lsearch*@" (expand/search.h) */
	struct slice file;     /* absolute and clean (struct clean_path), or empty */
	struct slice key;
	bool key_tainted;
	const struct expand_piece *pieces;
	size_t piece_count;
	const struct slice *options; /* "ret=full", "timeout=5s": as written, commas taken away */
	size_t option_count;
	const int *content;    /* SCAN: the descriptor of what is scanned, borrowed; NULL otherwise */
	int64_t deadline;      /* base/clock.h */
};

/* All memory is of the arena that the request was made with, or longer-lived. */
struct expand_answer {
	bool found;
	struct slice text;
	bool tainted;     /* the text is a peer's: DNS, sockets */
	bool secure;      /* DNSSEC validated all of it */
	int64_t number;
	/* Partial matching: what the wildcard stood for, and the rest ($1 and $2); data NULL when there was no wildcard. */
	struct slice wild, fixed;
	struct slice name; /* HOST_NAMES: the first name, for messages */
};

#endif

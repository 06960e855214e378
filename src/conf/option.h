/* SPDX-License-Identifier: ISC */
/*
 * Options described in data. One table a kind of thing that has options (the main section, all routers, one driver, ...);
 * from it come the parser, the range checks, the defaults, `postern check --print`, and docs/reference.md. A test keeps each
 * entry complete: help, an example, and an example that parses.
 */
#ifndef POSTERN_CONF_OPTION_H
#define POSTERN_CONF_OPTION_H

#include "base/arena.h"
#include "base/error.h"

/* What a value is, and what the field at `offset` has to be. */
enum conf_type {
	CONF_BOOL,       /* bool */
	CONF_INTEGER,    /* int64_t; decimal, 0octal, 0xhex; K, M, G behind it */
	CONF_EXPANDED_INTEGER, /* struct conf_number; the same, or an expansion at `place` that gives one */
	CONF_OCTAL,      /* unsigned; a mode */
	CONF_TIME,       /* int64_t, nanoseconds (base/clock.h); the range is in seconds */
	CONF_STRING,     /* struct slice */
	CONF_PATH,       /* struct slice; absolute, constant; "" when unset */
	CONF_CHOICE,     /* struct slice; one of `choices` */
	CONF_STRINGS,    /* struct conf_strings */
	CONF_PORTS,      /* struct conf_ports */
	CONF_INTERFACES, /* struct conf_interfaces */
	CONF_EXPANDED,   /* const struct expand_program *; NULL when unset */
	CONF_ACL,        /* const struct acl_reference *; NULL when unset; `place` is the enum acl_point */
	CONF_HOSTS,      /* const struct list * of hosts; NULL when unset; so are the next three */
	CONF_DOMAINS,
	CONF_ADDRESSES,
	CONF_LOCAL_PARTS,
	CONF_NAME,       /* struct slice; the name of a driver or an instance */
	CONF_USER,       /* struct slice; a user name or number, checked and resolved after all else is read */
	CONF_GROUP,      /* struct slice; likewise */
	CONF_TYPES,
};

struct conf_option {
	const char *name;
	enum conf_type type;
	unsigned place;       /* what is expanded, and lists: enum expand_place, where it is expanded */
	size_t offset;        /* of the field in the struct that the table is for */
	const char *fallback; /* the default as text; NULL: unset, or computed (then `computed` says how) */
	int64_t min, max;     /* of numbers and times (seconds); both 0: any that is not negative */
	const char *choices;  /* CONF_CHOICE: separated by spaces */
	const char *computed;
	const char *since;    /* the version that had it first */
	const char *modern;   /* for an old name: what to write instead */
	const char *help;
	const char *example;  /* a value */
};

enum conf_table_id {
	CONF_TABLE_MAIN, CONF_TABLE_ROUTER, CONF_TABLE_ROUTER_ACCEPT, CONF_TABLE_TRANSPORT, CONF_TABLE_TRANSPORT_APPENDFILE,
	CONF_TABLE_AUTHENTICATOR, CONF_TABLE_PLAINTEXT, CONF_TABLE_CRAM_MD5, CONF_TABLE_SCRAM, CONF_TABLE_EXTERNAL,
	CONF_TABLE_TLS_AUTHENTICATOR,
	CONF_TABLES,
};

struct conf_table {
	const char *title;  /* "main options" */
	const char *driver; /* of a driver's private options, otherwise NULL */
	const struct conf_option *options;
	size_t count;
};

const struct conf_table *conf_table(enum conf_table_id id);
/* NULL when the table has no such option. */
const struct conf_option *conf_option_find(const struct conf_table *table, struct slice name);
/* The known name nearest to this one over all tables, or NULL when none is near. */
const char *conf_option_nearest(struct slice name);
/* Whether Exim 4.96 has an option of this name in such a section; for options that Postern lacks. */
bool conf_exim_has_main(struct slice name);
bool conf_exim_has_router(struct slice name);
bool conf_exim_has_transport(struct slice name);
bool conf_exim_has_authenticator(struct slice name);
bool conf_exim_has_router_driver(struct slice name);
bool conf_exim_has_transport_driver(struct slice name);
bool conf_exim_has_authenticator_driver(struct slice name);
/* Exim's built-in macros, "_OPT_MAIN_MESSAGE_SIZE_LIMIT", "_DRIVER_ROUTER_ACCEPT": whether this version has the thing. */
bool conf_builtin_macro(struct slice name);

const char *conf_type_name(enum conf_type type);
/* What a value of this type looks like, for "expected ...". */
const char *conf_type_expected(enum conf_type type);

/* The whole manual of the configuration, as docs/reference.md has it. False when `out` is full. */
struct buf;
bool conf_reference(struct buf *out);
/* The same for man(1): postern.conf(5). */
bool conf_manual_page(struct buf *out);

#endif

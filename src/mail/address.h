/* SPDX-License-Identifier: ISC */
/*
 * Mail addresses: the arguments of MAIL and RCPT (RFC 5321 §4.1.2, Reverse-path and Forward-path) and single addresses
 * without surroundings (RFC 5322 §3.4.1, addr-spec, without comments and folding).
 *
 * The local part of a parsed address is canonical: quotes and backslashes of a quoted string are gone, so that "a"@x and a@x
 * are equal byte for byte; mail_local_part_quote() puts quotes on again where they are needed. The domain keeps its case;
 * arena_copy_lower() gives the form to compare. Slices point into the text that was parsed, or into the arena given.
 *
 * What differs from the grammar, and why: dots may stand anywhere in an unquoted local part, and a path may lack its angle
 * brackets where the caller permits (both are common, and Exim takes both); a domain may hold underscores. Source routes
 * are read and dropped (RFC 5321 appendix F.2).
 *
 * Invariants of a parsed address: no control characters and no NUL in either part; bytes above 127 only with MAIL_PATH_UTF8, and
 * then valid UTF-8; the domain is empty (unqualified), a name without empty labels, or a checked literal in brackets.
 */
#ifndef POSTERN_MAIL_ADDRESS_H
#define POSTERN_MAIL_ADDRESS_H

#include "base/arena.h"
#include "base/error.h"
#include "base/slice.h"

/* Octets, RFC 5321 §4.5.3.1.1 to .3. */
enum { MAIL_LOCAL_PART_MAX = 64, MAIL_DOMAIN_MAX = 255, MAIL_PATH_MAX = 256 };

enum mail_path_flag {
	MAIL_PATH_NULL = 1 << 0,        /* "<>" is good: the reverse-path of a bounce */
	MAIL_PATH_POSTMASTER = 1 << 1,  /* "<postmaster>" without a domain is good (RFC 5321 §4.1.1.3) */
	MAIL_PATH_UNQUALIFIED = 1 << 2, /* so is any local part without a domain */
	MAIL_PATH_UTF8 = 1 << 3,        /* SMTPUTF8 is in force (RFC 6531 §3.3) */
	MAIL_PATH_BARE = 1 << 4,        /* angle brackets may be missing */
	MAIL_PATH_LONG_LOCAL = 1 << 5,  /* a local part may fill the whole path, as list managers and SRS write them */
	MAIL_PATH_SENDER = 1 << 6,      /* for the error texts only: this is a sender, not a recipient */
};

struct mail_address {
	struct slice local_part; /* canonical */
	struct slice domain;     /* as written; a literal with its brackets; empty when unqualified */
	bool quoted;             /* it was written with quotes */
	bool utf8;               /* some byte of it is above 127 */
};

struct mail_path {
	struct mail_address address; /* both parts empty for "<>" */
	bool null;                   /* "<>" */
	struct slice rest;           /* what follows the path, trimmed: the parameters */
};

/*
 * Parses one path at the start of `arg` (after "FROM:" or "TO:"; leading blanks are skipped). False with a text for the peer,
 * in Exim's words ("domain missing or malformed"), that quotes nothing of the input.
 */
bool mail_path_parse(struct slice arg, struct arena *arena, unsigned flags, struct mail_path *path_r, struct error *error);

/* The same for an address alone, all of `text`. MAIL_PATH_NULL and MAIL_PATH_BARE mean nothing here. */
bool mail_address_parse(struct slice text, struct arena *arena, unsigned flags, struct mail_address *address_r, struct error *error);

/* What a quoted string (with its quotes) stands for. The caller knows that it is well formed; odd ends are taken as they are. */
struct slice mail_local_part_unquote(struct slice quoted, struct arena *arena);
/* The form for the wire: as it is when it is made of atom characters and dots, otherwise as a quoted string. */
struct slice mail_local_part_quote(struct slice local_part, struct arena *arena);
/* "local@domain", quoted where needed; the local part alone when unqualified; empty for the null path. */
struct slice mail_address_format(const struct mail_address *address, struct arena *arena);

/* A domain name in letters, digits, hyphens, underscores and dots; labels of 1 to 63 octets; UTF-8 labels where permitted. */
bool mail_domain_valid(struct slice domain, bool utf8);
/* "[192.0.2.1]" or "[IPv6:2001:db8::1]" (RFC 5321 §4.1.3); other kinds of literal are not known. */
bool mail_literal_valid(struct slice literal);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * Domain names and the data of records, between their wire form (RFC 1035 §3.1) and text. All functions take bytes from
 * outside and believe nothing. Nothing here waits or asks.
 *
 * Text is the presentation form of RFC 1035 §5.1 without the dot at the end; the root is ".". A byte that is not a printable
 * ASCII character is "\DDD"; a dot or a backslash inside of a label has a backslash before it.
 */
#ifndef POSTERN_DNS_NAME_H
#define POSTERN_DNS_NAME_H

#include "base/arena.h"
#include "base/error.h"

enum {
	DNS_NAME_MAX = 255,       /* bytes on the wire (RFC 1035 §2.3.4) */
	DNS_LABEL_MAX = 63,
	DNS_TEXT_MAX = 4 * DNS_NAME_MAX, /* bytes as text, every one escaped */
};

/*
 * Checks a name as it is written or as a peer gave it (a dot at the end is allowed, any byte may stand in a label) and brings
 * it into the form above. False: a label is empty or too long, the name is too long or empty, an escape is not finished.
 */
bool dns_name_parse(struct slice text, struct arena *arena, struct slice *name_r, struct error *error);
/* Cuts a name, not compressed, off the start of *wire. False: that is none. */
bool dns_name_take(struct slice *wire, struct arena *arena, struct slice *name_r);
/* Without its first label; the empty slice when there is but one. Text of the form above. */
struct slice dns_name_parent(struct slice name);

/* The fields of a record as texts: an address; preference and host; the strings of TXT as they are; ... */
enum { DNS_FIELDS_MAX = 256 };
struct dns_fields {
	struct slice *items;
	size_t count; /* at least 1 */
};

/*
 * Takes RDATA of that type apart (A, AAAA, CNAME, NS, PTR, MX, SRV, SOA, TXT, SPF, TLSA). Numbers are decimal, a digest is lower-case
 * hexadecimal. False: the type is another one, or the data has not its form. Strings of TXT beyond DNS_FIELDS_MAX are a false form.
 */
bool dns_fields_parse(unsigned type, struct slice data, struct arena *arena, struct dns_fields *fields_r);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * Questions to the DNS, answered by libunbound in this process: validating (RFC 4035), one cache for all who ask through the
 * same struct dns. A query parks the task that asks; the loop stays free. Used by the lookup role and by commands.
 *
 * Names are given and returned in presentation form without the dot at the end; labels from outside are checked
 * (RFC 1035 §2.3.4, RFC 2181 §11), and what is not plain printable ASCII is escaped as \DDD.
 */
#ifndef POSTERN_DNS_DNS_H
#define POSTERN_DNS_DNS_H

#include "base/arena.h"
#include "base/error.h"
#include "net/address.h"

struct dns;

struct dns_settings {
	struct slice config_text;  /* unbound.conf(5) syntax, of dns_config_file; empty: the system's resolv.conf and root anchor */
	struct slice resolv_conf;  /* text of /etc/resolv.conf, or empty: ask the root servers */
	struct slice root_anchor;  /* text of the root's trust anchor, DS or DNSKEY records; empty: nothing can be secure */
	struct slice hosts;        /* text of /etc/hosts, or empty */
	bool dnssec;               /* dns_dnssec_ok: false: never validate */
	int64_t retransmit;        /* dns_retrans, ns; 0: libunbound's own */
	unsigned retries;          /* dns_retry; 0: libunbound's own */
};

/* The system's files that settings are made from, and where they are. */
enum dns_system_file { DNS_RESOLV_CONF, DNS_HOSTS, DNS_ROOT_ANCHOR, DNS_SYSTEM_FILES };
enum { DNS_SYSTEM_FILE_MAX = 4 * 1024 * 1024 };
const char *dns_system_path(enum dns_system_file file);
/* Where the text of such a file belongs. */
struct slice *dns_settings_slot(struct dns_settings *settings, enum dns_system_file file);
/* Reads them all into `arena`; those that cannot be read stay empty. Blocks; for processes that may open files. */
void dns_settings_read(struct dns_settings *settings, struct arena *arena);
/* One of them from its descriptor, from the start: empty when it is no file, or larger than DNS_SYSTEM_FILE_MAX. */
struct slice dns_system_read(int fd, struct arena *arena);

enum dns_type {
	DNS_A = 1, DNS_NS = 2, DNS_CNAME = 5, DNS_SOA = 6, DNS_PTR = 12, DNS_MX = 15, DNS_TXT = 16, DNS_AAAA = 28, DNS_SRV = 33,
	DNS_TLSA = 52, DNS_SPF = 99,
};

enum dns_outcome {
	DNS_FOUND,     /* records of that type */
	DNS_NO_DATA,   /* the name exists, this type does not */
	DNS_NO_NAME,   /* NXDOMAIN */
	DNS_TEMPORARY, /* SERVFAIL, time out, no server: later */
	DNS_BOGUS,     /* validation failed: *why says how; to be treated as temporary, never as absent */
};

enum dns_security { DNS_INSECURE, DNS_SECURE };

struct dns_record {
	struct slice data; /* RDATA as on the wire, names in it not compressed */
};

struct dns_answer {
	enum dns_outcome outcome;
	enum dns_security security; /* of the whole answer, proofs of absence included (RFC 4035 §4.3) */
	struct slice canonical;     /* the name at the end of CNAMEs; that asked for when there is none */
	const struct dns_record *records;
	size_t count;
	int64_t ttl;                /* seconds */
	struct slice why;           /* DNS_BOGUS and DNS_TEMPORARY: one line for the log */
};

/* On the loop that will ask. NULL with *error when the settings cannot be used. */
struct loop;
struct dns *dns_open(struct loop *loop, const struct dns_settings *settings, struct error *error);
/* Whether dns_open would take these settings: for the check of a configuration. Sends nothing. */
bool dns_check(const struct dns_settings *settings, struct error *error);
/* Ends all queries (-> DNS_TEMPORARY), frees, and clears the pointer; NULL is allowed. */
void dns_close(struct dns **dns);

/* Asks and waits, at most until `deadline`. The answer lies in `arena`. */
void dns_query(struct dns *dns, struct slice name, unsigned type, int64_t deadline, struct arena *arena, struct dns_answer *answer_r);

/* "4.3.2.1.in-addr.arpa" (RFC 1035 §3.5) or the nibbles of ip6.arpa (RFC 3596 §2.5), into `arena`. */
struct slice dns_reverse_name(const struct net_address *address, struct arena *arena);
/* The type of that mnemonic, any case; 0 when there is none. */
unsigned dns_type_find(struct slice mnemonic);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * What the TLS of a server's connections is to be, after the options were expanded: values only, from which tls/server.h makes a
 * context. The functions below turn the texts of the options into values, each with an error that says what was
 * expected; they know no file and no connection.
 *
 * Texts are slices of memory that lives as long as the policy (an arena, a configuration). Versions are OpenSSL's
 * numbers (TLS1_2_VERSION). Two policies with the same key (tls_policy_key) make contexts that cannot be told apart.
 *
 *   tls_policy_init(profile) -> set_min_version, set_options, set_ciphers, set_groups, set_dh, set_alpn in any order -> files
 */
#ifndef POSTERN_TLS_POLICY_H
#define POSTERN_TLS_POLICY_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"

enum tls_profile { TLS_PROFILE_OPPORTUNISTIC, TLS_PROFILE_INTERMEDIATE, TLS_PROFILE_MODERN, TLS_PROFILES };

enum { TLS_CHAINS_MAX = 8, TLS_ALPN_MAX = 255, TLS_CIPHERS_MAX = 16 * 1024, TLS_POLICY_KEY_MAX = 64 * 1024 };

/* A file as the master gave it; `version` changes whenever the content does. */
struct tls_file {
	struct slice name, text;
	uint64_t version;
};

struct tls_policy {
	int min_version;                 /* 0: the profile's */
	int profile_min_version;
	uint64_t options, cleared;       /* SSL_OP_... beyond the ones that are always set; and those to clear */
	struct slice ciphers, suites;    /* OpenSSL's lists for TLS 1.2 and 1.3 */
	bool ciphers_given, suites_given; /* by tls_policy_set_ciphers, not by the profile */
	struct slice groups;             /* data NULL: the library's */
	struct slice dh_group;           /* OpenSSL's name; empty: chosen by the certificate */
	int dh_group_bits;
	bool no_dh;
	struct tls_file dh_file;         /* name empty: none */
	int64_t dh_max_bits;             /* 0: no limit */
	struct slice alpn;               /* one name after the other, each with its length before it (RFC 7301 §3.1); empty: ignored */
	bool alpn_required;
	bool resumption;                 /* tickets */
	struct tls_file chains[TLS_CHAINS_MAX];
	size_t chain_count;
	struct tls_file proofs[TLS_CHAINS_MAX]; /* for stapling; which belongs to which chain is in them */
	size_t proof_count;
};

void tls_policy_init(struct tls_policy *policy, enum tls_profile profile);

/* "modern", ...; false when it is none. */
bool tls_profile_named(struct slice name, enum tls_profile *profile_r);
/* "TLS1.2", "TLSv1.2", "1.2". */
bool tls_version_named(struct slice name, int *version_r);

/* Takes "587=" off the start of an item of a list by port: false, and nothing taken, when it does not begin so. */
bool tls_cut_port(struct slice *item, uint16_t *port_r);
/*
 * Of a list whose items may begin with a port and "=" the one for this port: otherwise the last without a port, or nothing
 * (data NULL). Items are separated as in all lists; the result is a part of `text`.
 */
struct slice tls_item_for_port(struct slice text, uint16_t port);
/*
 * The same for ciphers, whose own lists are full of colons, commas and blanks: there are several items only where the separator is told,
 * as in "<; LIST ; 587=LIST". Any other text is one item.
 */
struct slice tls_ciphers_for_port(struct slice text, uint16_t port);
bool tls_ciphers_have_ports(struct slice text);

/*
 * tls_policy_init for a port by the lists tls_profile and tls_min_version. Without an item: the intermediate profile for `submission`, else the
 * opportunistic one.
 */
bool tls_policy_init_for_port(struct tls_policy *policy, struct slice profile_list, struct slice version_list, uint16_t port, bool submission,
			      struct error *error);
bool tls_policy_set_min_version(struct tls_policy *policy, struct slice text, struct error *error);
/* Flags of OpenSSL with + and -. `notes` (may be NULL) gets the names that have no effect, separated by blanks. */
bool tls_policy_set_options(struct tls_policy *policy, struct slice text, struct buf *notes, struct error *error);
bool tls_policy_set_ciphers(struct tls_policy *policy, struct slice text, struct arena *arena, struct error *error);
bool tls_policy_set_groups(struct tls_policy *policy, struct slice text, struct arena *arena, struct error *error);
/* A word or a group; of a path only the name is set, and the caller adds the text. */
bool tls_policy_set_dh(struct tls_policy *policy, struct slice text, struct arena *arena, struct error *error);
/* A list of protocol names. */
bool tls_policy_set_alpn(struct tls_policy *policy, struct slice text, struct arena *arena, struct error *error);

/* Everything that the context depends on; the versions of files only with `versions`. False when `out` is full. */
bool tls_policy_key(const struct tls_policy *policy, bool versions, struct buf *out);

#endif

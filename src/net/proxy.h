/* SPDX-License-Identifier: ISC */
/*
 * The header that a proxy sends before the bytes of its client: the PROXY protocol, versions 1 and 2 (HAProxy's
 * proxy-protocol.txt; its sections are meant by "§" here). A pure function of bytes: what was received so far goes in, and what it is
 * comes out. The caller keeps the bytes and reads more; it reads on only after PROXY_MORE, and then everything it has is the
 * header's, so it can read without taking a byte of what follows.
 *
 * Nobody may guess from the bytes whether a peer is a proxy (§5): the caller parses only where the configuration says so.
 */
#ifndef POSTERN_NET_PROXY_H
#define POSTERN_NET_PROXY_H

#include "net/address.h"

enum {
	PROXY_V1_MAX = 107,       /* octets of a line with its CRLF, §2.1 */
	PROXY_HEADER_MAX = 4096,  /* of any header: addresses, and what a proxy tells beside them */
	PROXY_UNIQUE_ID_MAX = 128, /* §2.2.5 */
};

enum proxy_result {
	PROXY_MORE, /* all of it belongs to a header, which goes on */
	PROXY_DONE, /* a header, length octets long */
	PROXY_NONE, /* it is something else from the start */
	PROXY_BAD,  /* it begins as a header, and is none; `problem` says why */
};

/* The client's connection to the proxy, where that was TLS (§2.2.6). Nothing of it was checked by anybody but the proxy. */
struct proxy_tls {
	bool used, certificate, verified; /* verified: it gave a certificate, in this connection or session, that the proxy found good */
	struct slice version, cipher, name; /* "TLSv1.3", "ECDHE-RSA-AES128-GCM-SHA256", the certificate's CN; empty: not told */
};

/* All slices lie in the bytes that were parsed, and may hold any octets. */
struct proxy_header {
	size_t length;                     /* octets, when done */
	unsigned version;                  /* 1 or 2 */
	bool relayed;                      /* false: the proxy speaks for itself (LOCAL), or names no TCP client: the connection's own ends hold */
	struct net_address client, target; /* with ports, when relayed: who connected to the proxy, and to which address of it */
	struct slice server_name, protocol, unique_id; /* SNI, ALPN, and the proxy's name for the connection; version 2 */
	struct proxy_tls tls;
	bool checksum;                     /* there was one, and it is right */
	const char *problem;               /* of PROXY_BAD: a constant */
};

/* What these bytes are, from the first that the peer sent. *header_r is complete after PROXY_DONE only. */
enum proxy_result proxy_parse(struct slice bytes, struct proxy_header *header_r);

/* Whether text in which a client's own words should begin is the start of a header: "PROXY " or all of version 2's signature. */
bool proxy_begins(struct slice bytes);

#endif

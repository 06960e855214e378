/* SPDX-License-Identifier: ISC */
/* What a SCRAM client sends (RFC 5802 §7), taken apart. Slices point into the message. */
#ifndef POSTERN_AUTH_SCRAM_MESSAGE_H
#define POSTERN_AUTH_SCRAM_MESSAGE_H

#include "base/arena.h"

struct scram_client_first {
	struct slice header;   /* gs2-header: all up to and with its second comma */
	char flag;             /* of channel binding: 'n' (unable), 'y' (able, but the server seems not to be), 'p' (by `binding`) */
	struct slice binding;  /* "tls-exporter"; of 'p' only */
	struct slice acts_as;  /* authorisation identity, decoded; empty: none */
	struct slice bare;     /* client-first-message-bare */
	struct slice user;     /* decoded, never empty */
	struct slice nonce;
};

struct scram_client_final {
	struct slice channel;       /* base64 of gs2-header and binding data */
	struct slice nonce;
	struct slice without_proof; /* client-final-message-without-proof */
	struct slice proof;         /* base64 */
};

enum { SCRAM_NONCE_MAX = 512 };

/* False: malformed, or it has an extension that must be understood. Names are copied to `arena` where they need decoding. */
bool scram_parse_client_first(struct slice text, struct arena *arena, struct scram_client_first *first_r);
bool scram_parse_client_final(struct slice text, struct scram_client_final *final_r);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * What the spool knows of a message besides its bytes, and its text form on disk:
 *
 *	Postern-Message: 1 size=00000000000000004096 crc=0123abcd envelope=00000512
 *	Id: 1wXyZa-000Kc3-2B
 *	Received: 1795255200000000000
 *	Sender: alice@example.org
 *	Host-Address: 192.0.2.1
 *	To: bob@example.net
 *
 *	(the message, as it was on the wire: CRLF line ends, no dot-stuffing)
 *
 * The first line has a fixed width, so that it can be written again when size and check are known. size counts the
 * message alone, envelope the lines between first line and blank line. crc is the CRC-32C of envelope, blank line and message,
 * continued over the first line itself with zeros in place of the check.
 * In values, control characters, DEL and '%' are written %XX (capital digits) and nothing else is: each value has
 * exactly one form. A field that is not known, or that comes twice, is an error; empty values are left out (Sender is not).
 *
 * Memory: a parsed envelope lies wholly in the arena given; what is written is only read.
 */
#ifndef POSTERN_SPOOL_ENVELOPE_H
#define POSTERN_SPOOL_ENVELOPE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/id.h"

enum {
	SPOOL_HEADER_LEN = 76,                   /* of the first line, with its line end */
	SPOOL_ENVELOPE_MAX = 32 * 1024 * 1024,   /* bytes of the envelope's text */
	SPOOL_RECIPIENTS_MAX = 50000,
	SPOOL_VALUE_MAX = 2048,                  /* bytes of one value, before it is encoded */
	SPOOL_VARIABLES_MAX = 1000,              /* variables of ACLs kept with a message, */
	SPOOL_VARIABLE_NAME_MAX = 70,            /* bytes of one's name, */
	SPOOL_VARIABLE_MAX = 32 * 1024,          /* and of one's value, before it is encoded */
};

enum spool_recipient_state {
	SPOOL_PENDING,
	SPOOL_DELIVERED,
	SPOOL_FAILED, /* given up, and the sender was told, or is not to be told */
};

struct spool_recipient {
	struct slice address;
	enum spool_recipient_state state; /* from the journal; not part of the text */
};

/*
 * What an ACL set: $acl_c_x, $acl_m_x (Exim's manual, chapter 44 §19: they are kept with the message), or what a condition of an ACL found
 * ($spam_score).
 */
struct spool_variable {
	struct slice name; /* "c_x", "m_x", "spam_score": letters, digits and underscores */
	struct slice value;
	bool tainted;      /* a peer had a hand in it */
};

struct spool_envelope {
	struct message_id id;
	int64_t received_ns; /* wall clock */
	struct slice sender; /* empty: the null reverse-path (RFC 5321 §4.5.5) */
	struct spool_recipient *recipients;
	size_t recipient_count;
	struct slice helo, host_name, host_address; /* of the peer; empty for a message made here */
	struct slice protocol;                      /* "esmtps" */
	struct slice cipher;                        /* "TLS1.3:TLS_AES_256_GCM_SHA384:256", empty in clear */
	struct slice cipher_standard;               /* "TLS_AES_256_GCM_SHA384" */
	struct slice peer_name, server_name;        /* of the client's certificate, and the one that it asked for (SNI) */
	struct slice authenticated, authenticated_id; /* $sender_host_authenticated, $authenticated_id */
	struct slice authenticated_sender;          /* of MAIL's AUTH= */
	uint16_t port;                              /* of the peer; 0: none */
	uint16_t tls_resumption, tls_ocsp;          /* $tls_in_resumption, $tls_in_ocsp */
	bool verified;                              /* the client's certificate */
	bool eight_bit_mime;                        /* BODY=8BITMIME (RFC 6152) */
	bool smtputf8;                              /* RFC 6531 */
	struct slice queue_name;                    /* the queue whose runs take it (queue_name_valid); empty: the usual one */
	bool queue_only;                            /* it waits for the next run of its queue, and is not tried before */
	bool frozen;                                /* it arrived so (control = freeze), or became so by its journal */
	struct spool_variable *variables;
	size_t variable_count;
	/* Not part of the text: known from the first line, and from the journal. */
	uint64_t body_size;
	int64_t deferred_until_ns; /* wall clock; 0: not deferred */
	struct slice reason; /* of the deferral or the freezing that came last */
};

struct spool_header {
	uint64_t body_size;
	uint32_t crc;
	uint32_t envelope_size;
};

/* Writes SPOOL_HEADER_LEN bytes and a NUL. */
void spool_header_format(const struct spool_header *header, char out[SPOOL_HEADER_LEN + 1]);
/* Only the very form that spool_header_format writes, with sizes within the bounds. */
bool spool_header_parse(struct slice line, struct spool_header *header_r);
/* Ends the check of a message: `crc` is that of envelope, blank line and body. */
uint32_t spool_header_crc(uint32_t crc, uint64_t body_size, uint32_t envelope_size);

/* Appends the envelope's lines, without the blank line. Fails (permanent) on an envelope that could not be read again. */
bool spool_envelope_format(const struct spool_envelope *envelope, struct buf *out, struct error *error);
/* The lines between first line and blank line. Recipients are pending afterwards. */
bool spool_envelope_parse(struct slice text, struct arena *arena, struct spool_envelope *envelope_r, struct error *error);

/* One value to and from its encoded form; decoding fails on any other form than the one that encoding gives. */
bool spool_value_encode(struct slice value, struct buf *out);
bool spool_value_decode(struct slice text, struct arena *arena, struct slice *value_r);

#endif

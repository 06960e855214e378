/* SPDX-License-Identifier: ISC */
/*
 * The SMTP server's side of a connection (RFC 5321) as a machine without sockets and clocks: bytes come in through one buffer,
 * replies go out through another, and what needs a decision comes out as an event. The session around it does the reading,
 * writing, TLS, time limits, policy and storage.
 *
 *	smtp_server_begin(core, banner, waiting);
 *	for (;;)
 *		switch (smtp_server_next(core, &in, &event)) {
 *		case SMTP_NEED_INPUT: flush out; read more into `in`; break;
 *		case SMTP_FLUSH:      flush out; break;
 *		case SMTP_MAIL:       smtp_accept(core) or smtp_reply(core, 550, text); break;
 *		...
 *
 * States, and the functions behind the transitions (command.c unless said otherwise; "ok": the session answers with 2xx or 354):
 *
 *	GREETING --smtp_server_begin--> START
 *	START --handle_helo, ok--> READY --handle_mail, ok--> MAIL --handle_rcpt, ok--> RCPT (more RCPT: stays)
 *	RCPT --handle_data, ok--> DATA --smtp_body_data: CRLF.CRLF, smtp_body_done--> READY              (body.c)
 *	RCPT --handle_bdat, ok--> CHUNK --smtp_body_chunk: its last octet--> CHUNKS --handle_bdat--> CHUNK (body.c)
 *	                          CHUNK of BDAT LAST --smtp_body_done--> READY
 *	a chunk that is refused --> SWALLOW --smtp_body_swallow: its last octet--> the state before, or CHUNKS_FAILED
 *	MAIL, RCPT, CHUNKS, CHUNKS_FAILED --handle_rset; handle_helo, ok--> READY
 *	START, READY --smtp_handle_auth, smtp_auth_challenge--> AUTH --smtp_auth_step, smtp_auth_challenge--> AUTH     (auth.c)
 *	                                                       AUTH --smtp_auth_step, smtp_reply--> START or READY
 *	any of them --handle_starttls, ok--> HANDSHAKE --smtp_server_tls_started--> START
 *	                                               --smtp_server_tls_broken--> START, shut
 *	any, shut by smtp_server_tls_broken or smtp_server_shut: all but QUIT gets the same refusal
 *	any --smtp_server_close, an error that ends the connection, QUIT--> closing: SMTP_CLOSE from then on
 *
 * Ownership. The core owns the HELO name and its scratch memory; `out`, the settings and the peer's address are the caller's
 * and outlive it. Slices of a command's event lie in the scratch memory and are valid until the next smtp_server_next; a run
 * of SMTP_BODY lies in `in` and is valid until then too, provided that nothing is appended to `in`. The envelope is the
 * session's to keep. An idle connection costs sizeof(struct smtp_server) and the HELO name.
 *
 * Invariants.
 *  1. Only CRLF ends a line, in commands and in messages. A bare CR, a bare LF or a NUL in a command ends the connection; in a
 *     message it refuses the message, which is read to its true end, and then ends the connection. So no two parties can
 *     disagree on where a message ends, and no byte behind a disputed end is executed.
 *  2. Nothing sent in clear behind STARTTLS is executed or answered within TLS (RFC 3207 §6).
 *  3. Each event from SMTP_HELO to SMTP_ETRN, and SMTP_BODY_END without `failed`, is answered exactly once before the next call.
 *  4. A message of which a part was refused never ends with SMTP_BODY_END without `failed`.
 *  5. What is read and thrown away after a refusal has a bound; then the connection ends.
 *  6. The core holds no bytes of a message, and at most one line of a command: `in` needs to hold SMTP_AUTH_LINE_MAX bytes.
 *  7. What AUTH carries is overwritten where it lay before the next event, and is in no event but SMTP_AUTH and SMTP_AUTH_RESPONSE.
 */
#ifndef POSTERN_SMTP_SERVER_H
#define POSTERN_SMTP_SERVER_H

#include "base/arena.h"
#include "base/buf.h"
#include "mail/address.h"

enum {
	SMTP_LINE_MAX = 4096,      /* octets of a command line with its CRLF; RFC 5321 §4.5.3.1.4 and the extensions' additions */
	SMTP_AUTH_LINE_MAX = 12288, /* likewise of AUTH and the responses behind it; RFC 4954 §4 */
	SMTP_LINE_DISCARD = 65536, /* a longer one is read to this many octets, and then ends the connection */
};
#define SMTP_NO_LIMIT UINT32_MAX

/* What holds for many connections; constant while one of them uses it. */
struct smtp_settings {
	struct slice hostname;              /* smtp_active_hostname */
	struct slice helo_allow_chars;      /* beside letters, digits, dots and hyphens */
	uint64_t message_size_limit;        /* octets; 0: none */
	uint64_t discard_max;               /* octets of a refused message still read; 0: the larger of 1 MiB and message_size_limit */
	uint32_t recipients_max;            /* 0: none */
	uint32_t accept_max_per_connection; /* MAIL commands; 0: none */
	uint32_t accept_max_nonmail;        /* these three: SMTP_NO_LIMIT for none */
	uint32_t max_synprot_errors;
	uint32_t max_unknown_commands;
	/*
	 * Changes the path of MAIL or RCPT, with its brackets and without parameters, before it is parsed (Exim's rewrite flag S);
	 * NULL: nothing does. The result lies in `arena`. False: it cannot be told now, and the command gets 451.
	 */
	bool (*rewrite)(void *owner, struct slice path, struct arena *arena, struct slice *path_r);
	void *rewrite_owner;
	bool recipients_max_reject;         /* 552 and 554 instead of 452 */
	bool remember_esmtp; /* EHLO before STARTTLS holds within TLS as well, against RFC 3207 §4.2 */
	bool enforce_sync;
	bool long_local_parts;              /* over the 64 octets of RFC 5321 §4.5.3.1.1 */
};

/* Exim's defaults: 50 MiB, 50000 recipients, 1000 messages, 10 non-mail commands, 3 errors of each kind, strict synchronisation. */
void smtp_settings_init(struct smtp_settings *settings, struct slice hostname);

/* Per connection. The offers take effect with the next EHLO. */
enum smtp_option {
	SMTP_OFFER_SIZE = 1 << 0,       /* RFC 1870 */
	SMTP_OFFER_8BITMIME = 1 << 1,   /* RFC 6152 */
	SMTP_OFFER_PIPELINING = 1 << 2, /* RFC 2920 */
	SMTP_OFFER_CHUNKING = 1 << 3,   /* RFC 3030 */
	SMTP_OFFER_STARTTLS = 1 << 4,   /* RFC 3207; not offered again within TLS */
	SMTP_OFFER_SMTPUTF8 = 1 << 5,   /* RFC 6531 */
	SMTP_OFFER_LIMITS = 1 << 6,     /* RFC 9422 */
	SMTP_OFFER_HELP = 1 << 7,
	SMTP_REQUIRE_TLS = 1 << 8,      /* MAIL in clear gets 503 */
	SMTP_ACCEPT_JUNK_HELO = 1 << 9, /* helo_accept_junk_hosts */
	SMTP_OFFER_VRFY = 1 << 16,      /* these three are offered where an ACL decides on them */
	SMTP_OFFER_EXPN = 1 << 17,
	SMTP_OFFER_ETRN = 1 << 18,      /* RFC 1985 */
	SMTP_FREE_NONMAIL = 1 << 10,    /* not in smtp_accept_max_nonmail_hosts */
	SMTP_OFFER_AUTH = 1 << 11,      /* RFC 4954; set by smtp_server_offer_auth */
	SMTP_AUTH_NEEDS_TLS = 1 << 12,  /* AUTH in clear gets 538 */
	SMTP_AUTH_UNADVERTISED = 1 << 13, /* AUTH is taken also where it was not offered */
	SMTP_REQUIRE_AUTH = 1 << 14,    /* MAIL of a client that is not authenticated gets 530 (RFC 4954 §6) */
};

enum smtp_event_kind {
	SMTP_NEED_INPUT, /* nothing more to do with what is in `in` (which may hold a part of a line) */
	SMTP_FLUSH,      /* `out` is filling up: write it, then go on */
	SMTP_HELO,       /* argument, extended: EHLO */
	SMTP_MAIL,       /* path, mail */
	SMTP_RCPT,       /* path */
	SMTP_DATA,       /* about to take a message; chunking: by BDAT */
	SMTP_STARTTLS,   /* accepted: flush, negotiate, then smtp_server_tls_started or _broken */
	SMTP_AUTH,       /* mechanism, data if has_data; failed: that was no base64. Answered with smtp_auth_challenge or smtp_reply */
	SMTP_AUTH_RESPONSE, /* data; or cancelled, or failed (no base64), or that because of too_long. Answered likewise */
	SMTP_VRFY,       /* argument */
	SMTP_EXPN,       /* argument */
	SMTP_ETRN,       /* argument */
	SMTP_BODY,       /* argument: a run of the message, dots undone, lines ending in CRLF */
	SMTP_BODY_END,   /* the message is whole: smtp_body_done; or failed: refused and answered already, code and reason say why */
	SMTP_RESET,      /* a transaction was dropped (RSET, EHLO, STARTTLS, failed BDAT): forget the envelope, if there is one */
	SMTP_REFUSED,    /* for the log: the core refused a command (argument: the line) itself; refusal, code and text of its reply, and
			    end when the connection is closed for it */
	SMTP_QUIT,       /* answered already */
	SMTP_CLOSE,      /* flush `out` and close; end, also where SMTP_REFUSED has told it */
};

/* How the core came to refuse a command. */
enum smtp_refusal {
	SMTP_REFUSAL_RULE,     /* a limit, or a setting */
	SMTP_REFUSAL_SYNTAX,   /* counted, as those of protocol are */
	SMTP_REFUSAL_PROTOCOL,
	SMTP_REFUSAL_HELO,     /* a syntax error in the argument of HELO or EHLO */
	SMTP_REFUSAL_NO_HELO,  /* MAIL before HELO */
};

/* Why a connection ends. A text for the log, and Exim's word for its ACLs, belong to each (end.c). */
enum smtp_end {
	SMTP_END_NONE,                    /* it goes on */
	SMTP_END_QUIT,
	/* How reading ended, for the session's use, and its farewells. */
	SMTP_END_LOST,
	SMTP_END_COMMAND_TIMEOUT,
	SMTP_END_DATA_TIMEOUT,
	SMTP_END_TLS_FAILED,
	SMTP_END_SHUTDOWN,
	/* The client sent something before its turn. */
	SMTP_END_EARLY_INPUT,             /* before the banner */
	SMTP_END_UNSYNCHRONIZED,
	SMTP_END_UNSYNCHRONIZED_GROUP,    /* pipelined, behind what ends a group */
	SMTP_END_UNSYNCHRONIZED_AUTH,
	SMTP_END_CLEAR_AFTER_STARTTLS,
	SMTP_END_NO_TLS,
	/* It did something too often. */
	SMTP_END_ERRORS,
	SMTP_END_UNKNOWN_COMMANDS,
	SMTP_END_NONMAIL_COMMANDS,
	SMTP_END_COMMANDS_WITHOUT_TLS,    /* these two: after smtp_server_shut */
	SMTP_END_COMMANDS_WITHOUT_CLIENT,
	SMTP_END_HELOS,                   /* these three: the session counts */
	SMTP_END_MAILS,
	SMTP_END_REJECTED_RECIPIENTS,
	/* What it sent is not to be read any further. */
	SMTP_END_LONG_LINE,
	SMTP_END_LONG_AUTH_LINE,
	SMTP_END_NUL_IN_COMMAND,
	SMTP_END_CR_IN_COMMAND,
	SMTP_END_LF_IN_COMMAND,
	SMTP_END_NUL_IN_MESSAGE,
	SMTP_END_CR_IN_MESSAGE,
	SMTP_END_LF_IN_MESSAGE,
	SMTP_END_BDAT_UNADVERTISED,
	SMTP_END_BDAT_MALFORMED,
	SMTP_END_REFUSED_MESSAGE,
	SMTP_END_REFUSED_CHUNK,
	SMTP_END_NO_ROOM,
	SMTP_END_PROXY_REFUSED,
	/* It was decided so. */
	SMTP_END_421,                     /* a reply with this code */
	SMTP_END_ACL,                     /* "drop" */
	SMTP_END_TURNED_AWAY,
	SMTP_ENDS,
};

/* For the log; empty where whoever ends it has to say more. */
const char *smtp_end_text(enum smtp_end end);
/* $smtp_notquit_reason; empty for SMTP_END_NONE and SMTP_END_QUIT. */
const char *smtp_end_notquit(enum smtp_end end);

enum smtp_body_kind { SMTP_BODY_UNSTATED, SMTP_BODY_7BIT, SMTP_BODY_8BITMIME };

struct smtp_mail_parameters {
	uint64_t size;            /* octets, when has_size */
	bool has_size;
	bool smtputf8;
	enum smtp_body_kind body;
	bool has_auth;            /* AUTH= was given */
	struct slice auth;        /* the address, decoded (RFC 4954 §5); empty for <> */
	struct slice auth_text;   /* as it was given */
};

struct smtp_event {
	enum smtp_event_kind kind;
	unsigned code;
	bool extended, chunking, failed;
	bool has_data, cancelled, too_long;
	struct slice argument;    /* of AUTH and what is refused of it: without what may be secret */
	struct slice mechanism, data; /* of AUTH */
	struct slice text;
	struct mail_path path;
	struct smtp_mail_parameters mail;
	const char *reason; /* of a message that was refused: a constant, for the log */
	enum smtp_refusal refusal;
	enum smtp_end end;
};

enum smtp_state {
	SMTP_STATE_GREETING,
	SMTP_STATE_START,
	SMTP_STATE_READY,
	SMTP_STATE_MAIL,
	SMTP_STATE_RCPT,
	SMTP_STATE_CHUNKS,
	SMTP_STATE_CHUNKS_FAILED,
	SMTP_STATE_DATA,
	SMTP_STATE_CHUNK,
	SMTP_STATE_SWALLOW,
	SMTP_STATE_HANDSHAKE,
	SMTP_STATE_AUTH,
	SMTP_STATES,
};

struct smtp_shut;

enum { SMTP_HISTORY_MAX = 20 };

/* Read state, helo, tls, recipients, messages and options freely; the rest is private. */
struct smtp_server {
	const struct smtp_settings *settings;
	struct buf *out;
	struct slice peer;            /* the client's address as text; empty for a local one */
	struct slice ident;           /* the client's user (RFC 1413), the caller's; empty: not known */
	struct slice helo;            /* name given with the last HELO that was accepted; owned */
	unsigned options;             /* enum smtp_option */
	unsigned advertised;          /* those of the offers that the last EHLO was told; 0 after HELO */
	enum smtp_state state;
	bool tls, extended, authenticated;
	uint32_t recipients;          /* accepted in this transaction */
	uint32_t messages;            /* whole messages that were answered, in this connection */

	enum smtp_event_kind pending; /* an event to be answered; SMTP_NEED_INPUT: none */
	bool pending_chunked, pending_extended;
	bool reset_due, smtputf8, too_many_recipients, rcpt_errors_differ;
	bool line_start, trailing_cr; /* of the message: after a CRLF; after a CR at the end of a run (BDAT) */
	bool chunk_last;
	bool secret;                  /* the scratch memory is to be overwritten */
	unsigned char last;           /* enum smtp_last (internal.h) */
	unsigned char spare;          /* commands with one use that is not counted as non-mail */
	enum smtp_state swallow_next; /* the state after SWALLOW */
	uint32_t mails, nonmail, errors, unknown;
	const struct smtp_shut *shut; /* why nothing but QUIT is done any more; NULL: it is */
	uint32_t shut_commands;       /* refused for it */
	uint32_t line_discarded;      /* octets of an over-long line so far; 0: not in one */
	unsigned failure_code;        /* of the message being discarded; 0: it is good */
	struct slice auth_offer;      /* the mechanisms for the answer to this EHLO; the caller's */
	struct slice pending_name;    /* HELO name being decided; scratch */
	uint64_t body_size;           /* octets given out of this message */
	uint64_t discarded;           /* octets thrown away of this message */
	uint64_t chunk_size, chunk_left;
	char *failure_text, *rcpt_error;
	const char *failure_reason;   /* for the log */
	enum smtp_end close_after;    /* close for this reason when the refused message is over */
	enum smtp_end closing;        /* SMTP_CLOSE is due, for this reason */
	unsigned char history[SMTP_HISTORY_MAX]; /* the commands so far, a ring: rows of the table in command.c, from 1 */
	uint32_t history_count;
	struct arena scratch;
};

/* Takes no memory yet. `settings`, `out` and the bytes of `peer` stay the caller's and outlive the core. */
void smtp_server_init(struct smtp_server *server, const struct smtp_settings *settings, struct buf *out, struct slice peer,
                      unsigned options);
void smtp_server_free(struct smtp_server *server);

/*
 * Queues the banner ("mx.example ESMTP Postern ..."; without the 220). input_waiting: whether the client sent something before
 * it, which smtp_enforce_sync refuses. For TLS on connect call smtp_server_tls_started first.
 */
void smtp_server_begin(struct smtp_server *server, struct slice banner, bool input_waiting);

/* Consumes from `in` until something is to be done, and says what. Never blocks; bounded work in the size of `in`. */
enum smtp_event_kind smtp_server_next(struct smtp_server *server, struct buf *in, struct smtp_event *event);

/* Answers with the standard text of the event at hand; for VRFY, EXPN and ETRN that is "Administrative prohibition". */
void smtp_accept(struct smtp_server *server);
/*
 * Answers with own words: code 200 to 599, of which 2xx and 354 accept; the lines of `text` are separated by \n. A 2xx text
 * for HELO replaces the first line of the reply only. With 421 the connection is closed after it.
 */
void smtp_reply(struct smtp_server *server, unsigned code, struct slice text);
/*
 * Answers like smtp_reply with a refusal that counts as a syntax or protocol error of the client: the connection ends when there were too many.
 */
void smtp_reply_counted(struct smtp_server *server, unsigned code, struct slice text);
/*
 * Before the answer to SMTP_HELO: the mechanisms that EHLO offers (RFC 4954 §3), separated by blanks; none when empty. They are the caller's, and
 * needed until the answer.
 */
void smtp_server_offer_auth(struct smtp_server *server, struct slice mechanisms);
/* Answers SMTP_AUTH or SMTP_AUTH_RESPONSE with 334: the client's response comes as SMTP_AUTH_RESPONSE. `bytes`: before base64. */
void smtp_auth_challenge(struct smtp_server *server, struct slice bytes);
/* The client is authenticated without a command. Until STARTTLS, as after AUTH. */
void smtp_server_set_authenticated(struct smtp_server *server);
/* Answers SMTP_BODY_END: "OK id=..." with 250 when the message is safe, otherwise why not. Ends the transaction. */
void smtp_body_done(struct smtp_server *server, unsigned code, struct slice text);
/*
 * Refuses a message while its body comes in (too many hops, disk full), after any SMTP_BODY. No more runs follow; the rest is
 * read and thrown away, and SMTP_BODY_END with `failed` comes when the client was answered. `reason` is a constant.
 */
void smtp_body_refuse(struct smtp_server *server, unsigned code, struct slice text, const char *reason);

/* The connection is in TLS now; `in` must be what was read in clear. Back to before EHLO (RFC 3207 §4.2). */
void smtp_server_tls_started(struct smtp_server *server, const struct buf *in);
/* TLS cannot be had. As the answer to SMTP_STARTTLS: 454. From then on 554 to everything but QUIT. */
void smtp_server_tls_broken(struct smtp_server *server);
/* Nothing but QUIT is done from now on: every command gets this refusal, and after some patience the connection ends. */
struct smtp_shut {
	unsigned code;
	const char *text;  /* for the client */
	enum smtp_end end; /* when patience ends */
};
/* `shut` outlives the core. Not while an event is at hand. */
void smtp_server_shut(struct smtp_server *server, const struct smtp_shut *shut);
/* The client began with the header of a proxy (net/proxy.h), but is not known as one: 554, and SMTP_CLOSE follows. */
void smtp_server_refuse_proxy(struct smtp_server *server);
/* Who the client is, where that is known only after smtp_server_init. Before smtp_server_begin. */
void smtp_server_set_peer(struct smtp_server *server, struct slice peer);
/* The last commands for the log, "EHLO,MAIL,RCPT"; "..." stands for those before. Writes a NUL; returns `out`. */
const char *smtp_server_history(const struct smtp_server *server, char *out, size_t size);
/* Changes the options; what is offered counts from the next EHLO on. */
void smtp_server_set_options(struct smtp_server *server, unsigned options);

enum smtp_farewell {
	SMTP_FAREWELL_COMMAND_TIMEOUT,
	SMTP_FAREWELL_DATA_TIMEOUT,
	SMTP_FAREWELL_SHUTDOWN,
	SMTP_FAREWELL_LOST,
	SMTP_FAREWELL_TOO_MANY,          /* connections; also instead of the banner */
	SMTP_FAREWELL_TOO_MANY_FROM_HOST,
	SMTP_FAREWELL_LOCAL_PROBLEM,
	SMTP_FAREWELL_REJECTED,          /* host_reject_connection */
	SMTP_FAREWELLS,
};

/* Queues the text for the end of a connection, at any time; SMTP_CLOSE follows. An event at hand needs no answer any more. */
void smtp_server_farewell(struct smtp_server *server, enum smtp_farewell kind);
/*
 * Turns a client away instead of the banner, or at any time without an event at hand; SMTP_CLOSE follows. Whoever does so logs it.
 */
void smtp_server_turn_away(struct smtp_server *server, unsigned code, struct slice text);
/* Ends the connection after what is queued; of several reasons the first holds. Call it after the answer when an event is at hand. */
void smtp_server_close(struct smtp_server *server, enum smtp_end end);

#endif

/* SPDX-License-Identifier: ISC */
/* What the files of the SMTP server core share with each other and with nobody else. */
#ifndef POSTERN_SMTP_INTERNAL_H
#define POSTERN_SMTP_INTERNAL_H

#include "smtp/server.h"

/* What the command before was, where a refusal is to be expected behind it in a pipelined group. */
enum smtp_last { SMTP_LAST_OTHER, SMTP_LAST_REFUSED_MAIL, SMTP_LAST_RCPT };

/* Bits of `spare`. */
enum { SMTP_SPARE_HELO = 1, SMTP_SPARE_RSET = 2, SMTP_SPARE_STARTTLS = 4, SMTP_SPARE_ALL = 7, SMTP_SPARE_AUTH = 8 }; /* the last: not again for a message */

/* reply.c. `text` may have several lines; control characters in it become question marks. */
void smtp_put(struct smtp_server *server, unsigned code, struct slice text);
/* The same, with more lines of this reply to follow. */
void smtp_put_more(struct smtp_server *server, unsigned code, struct slice text);
/* The reply to HELO or EHLO; notes what is advertised. Empty `text`: Exim's greeting. */
void smtp_put_hello(struct smtp_server *server, unsigned code, struct slice text, struct slice name, bool extended);
void smtp_put_help(struct smtp_server *server);

/*
 * Steps. Each consumes something of `in` or returns true with an event. False: call again (the state may have changed).
 * Refusals of the core itself fill the event with SMTP_REFUSED and return true.
 */
bool smtp_command_step(struct smtp_server *server, struct buf *in, struct smtp_event *event);
bool smtp_body_data(struct smtp_server *server, struct buf *in, struct smtp_event *event);
bool smtp_body_chunk(struct smtp_server *server, struct buf *in, struct smtp_event *event);
bool smtp_body_swallow(struct smtp_server *server, struct buf *in, struct smtp_event *event);

bool smtp_refuse(struct smtp_server *server, struct smtp_event *event, unsigned code, struct slice text);
/* Counts it as a syntax or protocol error, and closes when there were too many. */
bool smtp_refuse_counted(struct smtp_server *server, struct smtp_event *event, unsigned code, struct slice text);
/* Closes after the reply, for this reason. */
bool smtp_refuse_closing(struct smtp_server *server, struct smtp_event *event, unsigned code, struct slice text,
                         enum smtp_end end);

/* transaction.c: an event to be answered; and whether the client may send groups of commands. */
bool smtp_ask(struct smtp_server *server, struct smtp_event *event, enum smtp_event_kind kind);
bool smtp_pipelining(const struct smtp_server *server);

/* transaction.c: handlers of commands, in the states of the table in command.c and in all others. */
typedef bool smtp_handler(struct smtp_server *server, struct slice argument, struct smtp_event *event);
smtp_handler smtp_handle_mail, smtp_mail_misplaced, smtp_handle_rcpt, smtp_rcpt_misplaced;
smtp_handler smtp_handle_data, smtp_data_misplaced, smtp_handle_bdat, smtp_bdat_misplaced;

/* auth.c */
smtp_handler smtp_handle_auth;
bool smtp_auth_step(struct smtp_server *server, struct buf *in, struct smtp_event *event);
void smtp_answered_auth(struct smtp_server *server, unsigned code, struct slice text, bool good);
/* The most octets of the line that begins with `text`. */
size_t smtp_line_max(struct slice text);
/* Consumes what may be secret: it is overwritten. */
void smtp_discard(struct buf *in, size_t len);
/* Takes `len` octets of a line out of `in`, into scratch memory that is overwritten later. */
struct slice smtp_take_secret_line(struct smtp_server *server, struct buf *in, size_t len);
/* The part of an AUTH command that may be shown: the command and the mechanism. */
struct slice smtp_auth_shown(struct slice line);
/* command.c: what is wrong with the octets of a line (invariant 1 of server.h), or empty. `line` with its LF. */
struct slice smtp_line_unclean(struct slice line, enum smtp_end *end_r);

/* server.c */
/* Whether an envelope sender was accepted and the message is not over yet. */
bool smtp_in_transaction(const struct smtp_server *server);
/* The transaction is over: forgets all about it; the state is READY (or START when there was no HELO). */
void smtp_end_transaction(struct smtp_server *server);
/* Begins a message's body. */
void smtp_begin_body(struct smtp_server *server);
/* Marks the message as refused; the first failure counts. `close_after`: close for this reason afterwards, if any. */
void smtp_fail_body(struct smtp_server *server, unsigned code, struct slice text, const char *reason, enum smtp_end close_after);

/* Remembers why a recipient was refused, for as long as all reasons are the same: DATA then repeats it, as Exim does. */
void smtp_note_rcpt_error(struct smtp_server *server, unsigned code, struct slice text);

/* parameters.c: RFC 5321 §4.1.2, Mail-parameters. False with the code and text of a refusal. */
bool smtp_parse_mail_parameters(struct smtp_server *server, struct slice text, struct smtp_mail_parameters *mail,
                                unsigned *code_r, struct slice *text_r);
bool smtp_parse_rcpt_parameters(struct smtp_server *server, struct slice text, unsigned *code_r, struct slice *text_r);

/* Looking for line ends in a message (lines.c). What stopped the search, and how many octets before that are good. */
enum smtp_stop {
	SMTP_STOP_END,     /* of the octets at hand */
	SMTP_STOP_CR,      /* a CR is the last octet at hand: what follows it decides */
	SMTP_STOP_DOT,     /* a dot at the start of a line */
	SMTP_STOP_BARE_CR,
	SMTP_STOP_BARE_LF,
	SMTP_STOP_NUL,
};
enum smtp_stop smtp_scan_lines(struct slice text, bool dots, bool *line_start, size_t *good_r);

/* RFC 5321 §4.5.2. What a dot at the start of a line is; `at` points at it. */
enum smtp_dot { SMTP_DOT_MORE, SMTP_DOT_STUFFED, SMTP_DOT_END };
enum smtp_dot smtp_look_at_dot(struct slice at);
/* Looks for the end of a message that is thrown away. Octets to consume; *end_r says whether the last of them end it. */
size_t smtp_skip_lines(struct slice text, bool *line_start, bool *end_r);

#endif

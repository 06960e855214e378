/* SPDX-License-Identifier: ISC */
/*
 * What a command knows when it expands a string: facts of the configuration, of this process, of a session as its arguments
 * describe it, and of a message read from a file. The values stand in one table by variable; those that change with
 * time are computed when they are asked for.
 *
 * The session owns its texts; they live until expand_session_free. What comes from arguments that describe a peer, and all
 * of the message, is tainted, as it would be in the server.
 */
#ifndef POSTERN_CLI_EXPAND_SESSION_H
#define POSTERN_CLI_EXPAND_SESSION_H

#include "conf/conf.h"
#include "expand/message.h"

struct expand_world;

struct expand_session {
	const struct conf *conf;
	struct arena arena;
	struct arena momentary; /* values that were computed; emptied before each expression */
	struct expand_value values[EXPAND_VARIABLES];
	unsigned char moments[EXPAND_VARIABLES]; /* 1 + row of the table of values that change with time; 0: none */
	struct expand_message message; /* with LF at the ends of lines */
	bool has_message;
	struct acl_variables acl_connection, acl_message; /* set by "set" and by ACLs */
	struct acl_session acl;                           /* once expand_session_acls was called */
	struct expand_world *world; /* borrowed: whom questions go to; NULL: they fail */
};

/* Takes the facts of the configuration and of this process. `conf` must outlive the session. */
void expand_session_init(struct expand_session *session, const struct conf *conf);
void expand_session_free(struct expand_session *session);

/* Sets a variable by any of its names; the text is copied. */
void expand_session_set(struct expand_session *session, const char *name, struct slice text, bool tainted);
void expand_session_set_number(struct expand_session *session, const char *name, int64_t number);
/* The envelope sender with its parts. */
void expand_session_sender(struct expand_session *session, struct slice address, bool tainted);
/* An address with or without a port (net_interface_parse), of -oMa and -oMi, into these two variables. */
bool expand_session_host(struct expand_session *session, const char *address_name, const char *port_name, struct slice text,
			 struct error *error);
/* Puts $sender_fullhost and $sender_rcvhost together from what is known of the client. */
void expand_session_settle(struct expand_session *session);
/* "acl_m0 = text", already expanded: what -be takes after "set ". */
bool expand_session_assign(struct expand_session *session, struct slice name, struct slice text, struct error *error);

/* Reads a message (headers, empty line, body; LF or CRLF) and sets what is known of it. */
bool expand_session_message(struct expand_session *session, const char *file, struct error *error);
/* The same of text with LF at its line ends, which must live as long as the session. */
void expand_session_take_message(struct expand_session *session, struct slice text);

/* Callbacks of struct expand_context; the owner is the session. */
enum expand_result expand_session_ask(void *owner, const struct expand_request *request, struct arena *arena,
				      struct expand_answer *answer_r, struct error *error);
struct expand_value expand_session_variable(void *owner, enum expand_variable variable);
bool expand_session_named(void *owner, enum expand_family family, struct slice name, struct expand_value *value_r);
struct slice expand_session_headers(void *owner);
enum expand_result expand_session_acl(void *owner, struct expand_value name, const struct expand_value *arguments, size_t count,
				      struct arena *arena, struct expand_value *text_r, struct error *error);

/*
 * Makes the ACLs of the configuration callable by expansions (expand_acl.c). `context` is that of the expressions. What an ACL
 * writes to logs goes to standard error; addresses cannot be verified, headers and controls are told of and have no effect.
 */
void expand_session_acls(struct expand_session *session, const struct expand_context *context);

#endif

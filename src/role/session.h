/* SPDX-License-Identifier: ISC */
/*
 * What the files of a session share. A session is one client's connection with all that is known of it and of the message under
 * way; it runs on a task of its own and ends with it.
 *
 *   session.c            its life, reading and writing, TLS, and who handles which event of the protocol core (smtp/server.h)
 *   session_auth.c       authentication
 *   session_settings.c   what the configuration means for this connection
 *   session_guard.c      what protects the server from it: who may connect, floods, delays
 *   session_proxy.c      a proxy in front of the client
 *   session_message.c    the mail transaction
 *   session_queue.c      the queue that takes a message, and whether it is delivered at once
 *   session_content.c    the text of a message for ACLs that look into it
 *   session_points.c     VRFY, EXPN, ETRN, and the end without QUIT
 *   session_variables.c  what its expansions see
 *   policy.c             its ACLs
 *   rewriting.c          rewrite rules
 *   session_fixups.c     what submission puts right
 *   submission.c         the way of a message to the queue
 *   host_name.c          the names of its host
 */
#ifndef POSTERN_ROLE_SESSION_H
#define POSTERN_ROLE_SESSION_H

#include "acl/acl.h"
#include "auth/auth.h"
#include "lookup/lookup.h"
#include "mail/edit.h"
#include "mail/field.h"
#include "mail/scan.h"
#include "role/front.h"
#include "role/user_ask.h"
#include "smtp/server.h"
#include "tls/facts.h"
#include "tls/stream.h"
#include "tls/verify.h"

struct list;
struct route_result;

/* How long a client that we turn away may take to read why. */
#define SESSION_LINGER_TIMEOUT (2 * CLOCK_SECOND)

enum { EDITED_FIELDS_MAX = 50, EDITED_BYTES_MAX = 64 * 1024 };

/* Texts and struct lie in the message's arena. */
struct header_edits {
	struct mail_added_field added[EDITED_FIELDS_MAX];
	struct slice removed[EDITED_FIELDS_MAX];
	size_t added_count, removed_count, bytes;
};

/* The text of a message that is kept for its ACLs, beside what is with the queue (session_content.c). */
struct message_content {
	int fd;        /* a memory file; -1: none */
	char *map;     /* of it; NULL: not yet */
	size_t size;
	bool complete; /* the last part is there */
};

/* control = submission. Texts lie in the message's arena. */
struct submission_mode {
	bool on;
	struct acl_submission options; /* name is a phrase */
};

/* A message on its way in. Everything of it is in `arena`, and gone with session_forget_message. */
struct incoming_message {
	struct arena arena;
	struct message_id id;
	struct slice sender;
	struct slice authenticated_sender; /* AUTH= of MAIL, if it is believed */
	struct buf recipients; /* a list of ipc/message.h */
	struct slice only_recipient;
	unsigned recipient_count;
	bool eight_bit_mime, smtputf8;
	bool frozen, queue_only; /* controls of these names: what the queue does with it at first */
	bool undecided;          /* a part is with the queue, and the last one says these two */
	struct slice queue_name; /* by an ACL since MAIL; data NULL: that of the connection */
	struct mail_header_scan scan;
	struct buf body;       /* what was not handed to the queue yet */
	uint64_t size;         /* of the message so far, with our Received: */
	uint64_t line_length, longest_line; /* of the text as the client sent it, without line ends: the line so far, and the longest */
	bool line_returned;    /* the line so far ends with CR */
	uint64_t transaction;  /* its number at the queue, when a part is there; 0 otherwise */
	struct lookup_cache *lookups; /* in the arena; NULL before the first */
	bool begun;            /* the body has started */
	struct buf header;     /* what came of the header section until it is whole; with it the run that its end is in */
	size_t header_size;    /* of what is in `body`, until a part goes to the queue: the header section, with our Received: */
	size_t large_header;   /* bytes of `header` that count for front->large_headers */
	bool discard;          /* an ACL said so: all recipients are accepted, and the message is thrown away */
	const char *discarded_by; /* "RCPT": the ACL that discarded a recipient last; NULL: none */
	unsigned fake_code;    /* control = fakereject or fakedefer: what the client is told of a message that is taken; 0: the truth */
	struct slice fake_text;
	int64_t declared_size;    /* of MAIL's SIZE; -1: not given */
	unsigned rcpt_count;      /* RCPT commands, refused ones too */
	struct submission_mode submission;
	bool from_refused;        /* submission_sender_check does not have the address in From */
	struct header_edits *edits; /* what ACLs want with the header, and was not done yet; NULL: nothing */
	struct slice headers;     /* of the whole message, for its ACL; empty before */
	struct message_content content;
	bool header_done;         /* the header section is here, and edited as ACLs before it want */
};

/* The verified names of a client's host (role/host_name.c). */
struct session_host {
	struct arena arena;
	struct slice name;         /* the first; empty: none, or not looked up */
	struct slice *names;
	size_t name_count;
	bool dnssec;               /* both ways were validated */
	bool failed, deferred;     /* Exim's $host_lookup_failed and $host_lookup_deferred */
};

/* What a client has done so far that makes a flood of it (session_guard.c). */
struct session_guard {
	unsigned helos, mails; /* since the last message that was taken */
	unsigned rejected_rcpts;
	unsigned all_mails, rcpts;      /* of the connection, and of the message */
	uint32_t recipients;            /* before the command at hand */
	int64_t mail_delay, rcpt_delay; /* the next, ns */
	bool delayed, known;            /* whether smtp_ratelimit_hosts has it; whether that was found out */
};

/* What decides when its messages are delivered (session_queue.c). */
struct session_queue {
	char name[QUEUE_NAME_MAX + 1]; /* by an ACL before MAIL; empty: the usual queue */
	unsigned connections;          /* of all clients, when this one began */
	bool loaded;                   /* queue_only_load held once, and queue_only_load_latch is set */
	double load;                   /* what it was then */
};

/* Who the client has proved to be (session_auth.c). */
struct session_auth {
	const struct authenticator *by;  /* its name is in acl.facts.authenticated; NULL: nobody yet, or one that is only pretended */
	char *id, *fail_id;              /* owned; NULL: none */
	bool failed;                     /* $authentication_failed */
	uint64_t offered;                /* a bit for each authenticator that the last EHLO offered */
	struct auth_exchange *exchange;  /* owned; NULL: none is under way */
	/* Of the exchange. */
	struct auth_channel channel;
	struct user_ask ask;
	struct auth_world world;
};

/* A proxy between the client and us (role/session_proxy.c). */
struct session_proxy {
	bool session;                       /* the host that connected is one: $proxy_session */
	bool failed;                        /* it sent no good header: there is no client */
	struct net_address local, external; /* its side towards us, and the one that the client connected to; zeroed: it speaks for itself */
};

/* What smtp_receive_timeout counts for (session.c). */
struct awaited_line {
	bool begun;       /* it is the same line that is awaited still: the deadline holds */
	int64_t deadline;
	uint64_t octets;  /* that came since */
};

struct session {
	struct front *front;
	struct session *next, *previous;
	struct task *task;
	struct conf *conf;         /* the one that it began with */
	struct conf *tls_conf;     /* the one that TLS begins with; NULL before (role/front_tls.c) */
	struct stream stream;
	struct net_address host, interface;
	struct net_text host_text;
	struct session_host host_names;
	struct session_proxy proxy;
	bool tls_on_connect;
	bool receiving;            /* between DATA and its answer: a drain waits for it */
	struct smtp_settings settings;
	int64_t accept_max_per_host; /* 0: no limit */
	unsigned counted;            /* the host's place in the counters, from session_within_limits on */
	struct smtp_server smtp;
	struct buf in, out;
	struct awaited_line awaited;
	struct incoming_message message;
	const struct pattern_subject *rewriting; /* what $local_part and $domain are about while a rewrite rule runs */
	struct tls_facts tls;
	struct tls_verify_report *verify_report; /* of the client's certificate; NULL: none was asked for */
	char server_name[256];     /* that the client asks for while the handshake runs, if it is a host's */
	struct session_guard guard;
	struct session_queue queue;
	struct session_auth auth;
	struct acl_session acl;
	struct acl_variables acl_connection, acl_message;
	struct expand_context expansions; /* of this session's strings */
	struct slice command, command_argument; /* while an event is handled: the line, and what follows its first word */
	enum smtp_end ended;                    /* why, if not by QUIT, and it is in the log where it is to be */
	bool gone;                              /* the client went away during a delay */
	const char *command_verb;               /* of HELO, EHLO, VRFY, EXPN and ETRN: the line is what follows it */
};

/* Starts a session on a task of its own. Takes the descriptor. NULL is never returned; the session is its task's. */
struct session *session_start(struct front *front, int fd, const struct net_address *host, const struct front_listener *listener);
/* Who the client is; what was known of another one before is forgotten. */
void session_set_host(struct session *session, const struct net_address *host);
/* Ends a session that is not receiving a message; `hard` also one that is. */
void session_interrupt(struct session *session, bool hard);

/* expand_context.ask of a session (its owner): what was asked once for this message is not asked again. */
enum expand_result session_ask(void *session, const struct expand_request *request, struct arena *arena,
			       struct expand_answer *answer_r, struct error *error);

/* Looks the host's name up unless that was done, and waits for it; all of it is in session->host_names. */
const struct session_host *session_look_host_up(struct session *session);
/* The answer to EXPAND_SERVICE_HOST_NAMES for the client's own address where its names are known already. False: they are to be asked for. */
bool session_host_answer(const struct session *session, const struct expand_request *request, struct arena *arena,
			 struct expand_answer *answer_r);

enum {
	SESSION_PEER_MAX = 640, /* two names of hosts and an address */
	SESSION_TLS_FIELDS_MAX = 1024,
	SESSION_AUTH_FIELD_MAX = 2200,
};
/* "H=name (helo) [192.0.2.1] U=ident", as Exim names a client in the log. Written to `out`, which is returned. */
const char *session_peer(const struct session *session, char out[SESSION_PEER_MAX]);
/* " X=... CV=no", as log_selector has it; empty in clear. Written to `out`, which is returned. */
const char *session_tls_fields(const struct session *session, char out[SESSION_TLS_FIELDS_MAX]);

/* The variables that exist while a client is connected; owner: the session. */
struct expand_value session_variable(void *owner, enum expand_variable variable);
/* With which a line begins: the message's identifier once it has one, as with Exim; empty otherwise. */
const char *session_log_id(const struct session *session);
/* A line about this client: "ID H=(helo) [addr] text". Rejections go to the reject log as well. */
void session_log(struct session *session, enum log_kind kind, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* For a rehearsal: a step of a decision. Nothing in a server; what would cost is not computed there (session->front->watch). */
void session_trace(struct session *session, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Likewise, before it waits for input. */
void session_tell_waiting(const struct session *session);
/* Whether the routers take this address; the result lies in `arena`. */
enum route_outcome session_route(struct session *session, const struct mail_address *address, struct arena *arena,
				 struct route_result *result_r);
/* Sends what is queued for the client; false: the connection is over. */
bool session_flush(struct session *session);

/* ---- Settings (session_settings.c) ---- */

/* Whether the client is in this list; NULL is nobody. False with *error: that cannot be told. */
bool session_find_host(struct session *session, const struct list *list, bool *in_r, struct error *error);
/* The same as the answer. A list that cannot be evaluated is logged, and has nobody. */
bool session_host_in(struct session *session, const struct list *list);
/* The same; `in_doubt` is the answer for a list that cannot be evaluated. */
bool session_host_matches(struct session *session, const struct list *list, bool in_doubt);
/* The settings of the protocol core that need no expansion. */
void session_set_settings(struct session *session);
/* Those that are expanded for each connection; they may have to ask, so the session's task does it. */
bool session_expand_settings(struct session *session, struct error *error);
/* What this client is offered and must do (SMTP_OFFER_... of smtp/server.h); its lists may have to ask as well. */
unsigned session_options(struct session *session);
/* Whether the client came to one of submission_ports. */
bool session_is_submission(const struct session *session);
/* Counts the connection; false when a limit is reached, with the farewell queued. */
bool session_within_limits(struct session *session);

/* ---- Protection (session_guard.c) ---- */

/* Whether this host may connect now, with so many connections (this one included); false: the farewell is queued, and it is logged. */
bool session_guard_admits(struct session *session, unsigned connections);
/* Waits before the greeting as smtp_banner_delay says. True: the client did not wait for it, and must. */
bool session_guard_early(struct session *session);
/* The line about such a client, with what it sent. */
void session_guard_log_early(struct session *session);
/* Before an event is handled: delays it, or refuses it and ends the connection (false). After it: counts what came of it. */
bool session_guard_before(struct session *session, const struct smtp_event *event);
void session_guard_after(struct session *session, const struct smtp_event *event);
/* Parks the task for that time, or until the client hangs up: then `gone` is set. flush: what waits for the client goes out first. */
void session_delay(struct session *session, int64_t time, bool flush);

/* ---- Queueing (session_queue.c) ---- */

/* The ACL modifier `queue`. The name is copied. */
void session_set_queue(struct session *session, struct slice name);
/* The queue of the message at hand, or of the next one; empty: the usual one. */
struct slice session_queue_name(const struct session *session);
/*
 * Whether the message at hand is to wait for a run of its queue. Why, for the log, is put into `reasons` (ipc_list_add), one text for
 * each; as with Exim there is none for queue_only.
 */
bool session_waits_for_run(struct session *session, struct buf *reasons);

/* ---- Authentication (session_auth.c) ---- */

/* Whether this client could use AUTH, but only within TLS. */
bool session_auth_needs_tls(struct session *session);
/* Before the answer to EHLO with the name `helo`: what it offers. The text lies in `arena`, and is needed until the answer. */
void session_offer_auth(struct session *session, struct slice helo, struct arena *arena);
/* SMTP_AUTH and SMTP_AUTH_RESPONSE. */
bool session_on_auth(struct session *session, const struct smtp_event *event);
/* TLS has begun: the client may be known by its certificate. */
void session_auth_by_certificate(struct session *session);
/* For `postern session`: the client has passed this authenticator already, as `id` (empty: nobody in particular). */
void session_auth_pretend(struct session *session, struct slice name, struct slice id);
/* RFC 3207 §4.2, and the end of a session: nothing is known of the client any more. */
void session_auth_forget(struct session *session);
/* AUTH= of MAIL. False: MAIL is answered, for now it cannot be told whether that is to be believed. */
bool session_take_mail_auth(struct session *session, const struct smtp_mail_parameters *mail);
/* " A=authenticator:id", or nothing. Written to `out`, which is returned. */
const char *session_auth_field(const struct session *session, char out[SESSION_AUTH_FIELD_MAX]);
/* False: the variable is none of these. */
bool session_auth_variable(const struct session *session, enum expand_variable variable, struct slice *text_r);

/* ---- Proxies (session_proxy.c) ---- */

/* Before anything else: where the host is a proxy, reads its header, and makes the session that of its client. False: it is over. */
bool session_begin_proxy(struct session *session);
/*
 * Whether a host that is no proxy sends a header nevertheless: the first octets in clear are waited for, and left. The refusal is
 * queued then.
 */
bool session_unexpected_proxy(struct session *session, int64_t deadline);
/* $proxy_session and its kin. */
struct expand_value session_proxy_variable(struct session *session, enum expand_variable variable);

/* ---- The mail transaction (session_message.c); each handles one kind of event; false: the connection is over ---- */

bool session_on_mail(struct session *session, const struct smtp_event *event);
bool session_on_rcpt(struct session *session, const struct smtp_event *event);
bool session_on_data(struct session *session, const struct smtp_event *event);
bool session_on_body(struct session *session, const struct smtp_event *event);
bool session_on_body_end(struct session *session, const struct smtp_event *event);

/* ---- ACLs (policy.c) ---- */

/* What the ACL of a point came to. Its texts lie in the arena, until policy_end. */
struct policy {
	enum acl_outcome outcome;
	bool decided; /* by an ACL; false: there is none, or its option was forced to fail, which is the same */
	struct acl_answer answer;
	struct arena arena;
};

void policy_init(struct session *session);
void policy_free(struct session *session);
/*
 * Runs the ACL of the point, if there is one, and logs a refusal of `command` ("RCPT <x@y>"). True: go on, with answer.text for the
 * client when it has any. False: answer.text is why not. Either way policy_end follows.
 */
bool policy_run(struct policy *policy, struct session *session, enum acl_point point, const char *command, struct slice argument);
void policy_end(struct policy *policy);
/* Whether there is an ACL for that point. */
bool policy_has(const struct session *session, enum acl_point point);
/* Answers the event at hand: the ACL's words, or the standard ones. */
void policy_answer(const struct policy *policy, struct session *session);
/* What MAIL and RCPT make known. */
void policy_set_sender(struct session *session, struct slice domain);
void policy_set_recipient(struct session *session, const struct mail_address *address, struct slice text);

/* ---- Commands that only an ACL allows, and the end without QUIT (session_points.c) ---- */

/* VRFY and EXPN. */
bool session_on_address_command(struct session *session, const struct smtp_event *event);
bool session_on_etrn(struct session *session, const struct smtp_event *event);
/* Runs acl_smtp_notquit if the connection ended in such a way. */
void session_notquit(struct session *session);

/* ---- Content (session_content.c) ---- */

/* A part goes to the queue: keeps it if an ACL may want to read it. */
bool session_keep_content(struct session *session, struct slice part, struct error *error);
void session_forget_content(struct message_content *content);
/* The whole message, header section and body, while its ACLs run. False with *error. */
bool session_content(struct session *session, struct slice *text_r, struct error *error);
/* The ACL for MIME parts, for each of them: as policy_run; policy_end follows. */
struct policy;
bool session_check_mime(struct session *session, struct policy *policy);
/* Asks a scanner (EXPAND_SERVICE_SCAN) about it. */
enum expand_result session_scan(struct session *session, const struct expand_request *request, struct arena *arena,
				struct expand_answer *answer_r, struct error *error);

/* ---- Rewriting (rewriting.c) ---- */

/* SMTP-time rules into the settings of the session's core. */
void rewriting_start(struct session *session);
/* `target`: REWRITE_ENVELOPE_FROM or _TO. The result lies in the message's arena. False with *error: not now. */
bool rewriting_address(struct session *session, unsigned target, struct slice address, struct slice *address_r,
		       struct error *error);
/* Whether there are rules for the envelope, or for header sections. */
bool rewriting_has_rules(const struct session *session);
/* The envelope of the message, then its header section, from `section` to `out`. False with *error: not now. */
bool rewriting_message(struct session *session, struct slice section, struct buf *out, struct error *error);

/* ---- Submission (session_fixups.c) ---- */

/* control = submission. */
void session_start_submission(struct session *session, const struct acl_submission *options);
/* Whether submission_sender_check lets the authenticated user send as this address; without the option, or for others, *yes_r is true. False: not now. */
bool session_may_send_as(struct session *session, struct slice address, bool *yes_r, struct error *error);
/* Puts the header section in `header` right, and the envelope sender; notes message->from_refused. False with *error. */
bool session_fix_up(struct session *session, struct buf *header, struct error *error);

/* ---- To the queue (submission.c) ---- */

/* The envelope begins (MAIL), and everything of the message is forgotten (the queue is told, if it has a part). */
void submission_init(struct incoming_message *message);
void submission_forget(struct session *session);
/* False when the envelope has no room for another recipient. */
bool submission_add_recipient(struct incoming_message *message, struct slice address);
/* The text begins: makes the identifier. */
void submission_begin(struct session *session);
/* Takes a run of the text. False and *error when the queue refused it, or there is no room: the message is lost for this transaction. */
bool submission_append(struct session *session, struct slice run, struct error *error);
/*
 * The header section is whole, as message->scan has it; once. The envelope and the addresses in it are rewritten, submission puts it right,
 * our Received: comes before it. message->header_done is set already: what follows is the body.
 */
bool submission_take_header(struct session *session, struct error *error);
/* Does to the header what ACLs asked for. False with *error when it is on its way to the queue already, or becomes too large. */
bool submission_edit_header(struct session *session, struct error *error);
/* The header section as it is now; empty when it is on its way to the queue. */
struct slice submission_header(const struct session *session);
/* "esmtps" and its kin, RFC 3848. */
const char *submission_protocol(const struct session *session);
/* Hands the last part over; true: the message is durable. */
bool submission_commit(struct session *session, struct error *error);

#endif

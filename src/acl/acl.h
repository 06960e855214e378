/* SPDX-License-Identifier: ISC */
/*
 * Access control lists (Exim's manual, chapter 44): compiled when the configuration is loaded, run at the points of a session.
 *
 * An ACL is a list of statements. Each has a verb, and conditions and modifiers that are worked through in their order until
 * one says no. What a statement then does:
 *
 *	verb      all conditions hold    one does not                      one cannot be told
 *	accept    ACL_ACCEPT             next; behind endpass ACL_DENY      ACL_DEFER
 *	discard   ACL_DISCARD            next; behind endpass ACL_DENY      ACL_DEFER
 *	defer     ACL_DEFER              next                              ACL_DEFER
 *	deny      ACL_DENY               next                              ACL_DEFER
 *	drop      ACL_DROP               next                              ACL_DEFER
 *	require   next                   ACL_DENY                          ACL_DEFER
 *	warn      logs, next             next                              logs, next
 *	(end)     ACL_DENY
 *
 * Conditions, modifiers, controls, kinds of verification and points are rows of tables (word.c, control.c, verify.c, point.c).
 * What lies behind them (TLS, routing, headers, the log) is the session's, through the callbacks of struct acl_session: this
 * directory knows no socket and no configuration.
 *
 * Ownership. A set and its ACLs lie in the arena that compiled them, immutable once all are compiled. A run takes memory from
 * the arena given to it; its result lies there. Texts keep their taint; the text of an ACL itself must not be tainted.
 *
 * Invariants: a run ends: statements are finite, ACLs nest at most ACL_DEPTH_MAX deep (also through the routers) and come to ACL_STEPS_MAX steps, expansions have their own limits, delays
 * are bounded by ACL_DELAY_MAX. A run changes nothing but through the session.
 */
#ifndef POSTERN_ACL_ACL_H
#define POSTERN_ACL_ACL_H

#include "acl/variables.h"
#include "base/clock.h"
#include "base/error.h"
#include "expand/expand.h"

enum {
	ACL_DEPTH_MAX = 20,
	ACL_ARGUMENTS_MAX = 9,
	ACL_STATEMENTS_MAX = 10000, /* of one ACL */
	ACL_STEPS_MAX = 20000,      /* conditions and modifiers of one run, those of nested ACLs counted each time */
	ACL_INLINE_MAX = 64 * 1024, /* bytes of an ACL's text that is compiled while running */
	ACL_WARNINGS_MAX = 32,      /* texts of warn statements that are remembered for a message */
	ACL_RATES_MAX = 64,         /* rates that were measured in a session and are not measured again */
};
#define ACL_DELAY_MAX (3600 * CLOCK_SECOND)

/* ---- Points: where an ACL is run ---- */

enum acl_point {
	ACL_POINT_CONNECT, ACL_POINT_HELO, ACL_POINT_STARTTLS, ACL_POINT_AUTH, ACL_POINT_MAIL, ACL_POINT_MAILAUTH, ACL_POINT_RCPT,
	ACL_POINT_PREDATA, ACL_POINT_DATA, ACL_POINT_PRDR, ACL_POINT_MIME, ACL_POINT_DKIM, ACL_POINT_ETRN, ACL_POINT_EXPN,
	ACL_POINT_VRFY, ACL_POINT_QUIT, ACL_POINT_NOTQUIT, ACL_POINT_NOT_SMTP_START, ACL_POINT_NOT_SMTP, ACL_POINT_NOT_SMTP_MIME,
	ACL_POINT_EXPANSION, /* ${acl...} outside of all of them */
	ACL_POINTS
};

struct acl_point_info {
	const char *name;   /* as Exim calls it in messages: "RCPT", "EHLO or HELO" */
	const char *option; /* "acl_smtp_rcpt" */
	unsigned accept;    /* the reply's code when the ACL accepts; 0: there is no reply */
	unsigned deny;      /* and when it denies */
	bool accept_only;   /* the outcome changes nothing, so only accept and warn make sense */
	bool discards;      /* "discard" means something here */
};

const struct acl_point_info *acl_point_info(enum acl_point point);

/* ---- Words, for the manual ---- */

struct acl_word_info {
	const char *name;
	bool modifier;       /* otherwise a condition, which "!" may negate */
	unsigned points;     /* where it may be used: a bit for each enum acl_point */
	const char *options; /* of a kind of `verify`: what may follow a slash, separated by blanks; otherwise NULL */
	const char *refused; /* not NULL: an error at load, for this reason; then there may be no help and no example */
	/* A verb's example is a statement, that of a condition or modifier the whole of it, others' what stands behind "=". */
	const char *help, *example;
};

/* Row `index` of the verbs, the conditions and modifiers, the controls, or the kinds of `verify`; false behind the last. */
bool acl_verb_info(size_t index, struct acl_word_info *info_r);
bool acl_word_info(size_t index, struct acl_word_info *info_r);
bool acl_control_info(size_t index, struct acl_word_info *info_r);
bool acl_verify_info(size_t index, struct acl_word_info *info_r);

/* ---- Compiling ---- */

struct acl;
struct acl_content;
struct acl_dnslists;
struct acl_set;

/* A logical line: continuations joined, without the newline. */
struct acl_line {
	struct slice text;
	size_t place; /* the caller's number of it, handed back with an error; ACL_NO_PLACE: a line of an option's own text */
};
#define ACL_NO_PLACE SIZE_MAX

/* Told of each error: the line at fault and the byte in it, from 1 (0: the whole line). */
struct acl_report {
	void *owner;
	void (*error)(void *owner, const struct acl_line *line, size_t column, const struct error *error);
};

/* The ACLs of a configuration. `language` outlives the set. */
struct acl_set *acl_set_new(struct arena *arena, const struct expand_language *language);
/* A name that others can refer to, before it is compiled; NULL when it is taken. */
struct acl *acl_set_add(struct acl_set *set, struct slice name);
struct acl *acl_set_find(const struct acl_set *set, struct slice name);

/* What an ACL may need of its session. */
enum acl_use {
	ACL_USE_CONTENT = 1 << 0, /* the text of messages */
	ACL_USE_HOLD = 1 << 1,    /* control = freeze or queue */
};

/* Whether an ACL that was compiled so far has this use. */
bool acl_set_uses(const struct acl_set *set, enum acl_use use);

/* Compiles the statements of one that was added. Every error is reported; false when there was one. */
bool acl_compile(struct acl_set *set, struct acl *acl, const struct acl_line *lines, size_t count, const struct acl_report *report);

/*
 * The value of an option such as acl_smtp_rcpt: the name of an ACL, its text, or the name of a file, after expansion. What is
 * constant is found, or compiled, now. Errors are reported for a line that holds `text`.
 */
struct acl_reference;
bool acl_reference_compile(struct acl_set *set, struct slice text, size_t place, const struct acl_report *report,
			   const struct acl_reference **reference_r);
/*
 * Whether a constant text, as ${acl has it, is the name of an ACL or of a file, or the text of an ACL: false with *error. Its uses are noted.
 */
bool acl_text_check(struct acl_set *set, struct slice text, struct error *error);
/*
 * Reports what would be an error when the option's ACL, or one that it calls by a constant name, is run at this point: a
 * condition that needs a recipient at acl_smtp_connect. For a warning: Exim says so only when the statement is reached.
 */
void acl_reference_check(const struct acl_reference *reference, enum acl_point point, const struct acl_report *report);

/* ---- Running ---- */

enum acl_log {
	ACL_LOG_MAIN = 1, ACL_LOG_REJECT = 2, ACL_LOG_PANIC = 4,
	ACL_LOG_CLIENT = 8, /* the line begins with the client, as lines about a refusal do */
};

enum acl_control {
	ACL_CONTROL_ALLOW_AUTH_UNADVERTISED,
	ACL_CONTROL_CASEFUL_LOCAL_PART, /* these two are done here */
	ACL_CONTROL_CASELOWER_LOCAL_PART,
	ACL_CONTROL_CUTTHROUGH_DELIVERY,
	ACL_CONTROL_DEBUG,
	ACL_CONTROL_DKIM_DISABLE_VERIFY,
	ACL_CONTROL_DMARC_DISABLE_VERIFY,
	ACL_CONTROL_DSCP,
	ACL_CONTROL_ENFORCE_SYNC,
	ACL_CONTROL_NO_ENFORCE_SYNC,
	ACL_CONTROL_FAKEDEFER,
	ACL_CONTROL_FAKEREJECT,
	ACL_CONTROL_FREEZE,
	ACL_CONTROL_NO_CALLOUT_FLUSH,
	ACL_CONTROL_NO_DELAY_FLUSH, /* done here */
	ACL_CONTROL_NO_MBOX_UNSPOOL,
	ACL_CONTROL_NO_MULTILINE_RESPONSES, /* done here, by acl_reply */
	ACL_CONTROL_NO_PIPELINING,
	ACL_CONTROL_QUEUE,
	ACL_CONTROL_SUBMISSION,
	ACL_CONTROL_SUPPRESS_LOCAL_FIXUPS,
	ACL_CONTROL_UTF8_DOWNCONVERT,
	ACL_CONTROLS
};

/* What follows the slash of control = submission. */
struct acl_submission {
	bool sender_retain, has_domain; /* has_domain: also when it is empty */
	struct slice domain, name;
};

enum acl_verify_kind { ACL_VERIFY_RECIPIENT, ACL_VERIFY_SENDER, ACL_VERIFY_SENDER_ADDRESS };

/* Where an added header line goes (Exim's manual, chapter 44 §24). */
enum acl_header_place { ACL_HEADER_AT_END, ACL_HEADER_AT_START, ACL_HEADER_AT_START_RFC, ACL_HEADER_AFTER_RECEIVED };

/* What the conditions test. Texts are a peer's unless they are said not to be. */
struct acl_facts {
	struct slice host_address;  /* empty: no remote host */
	struct slice helo;          /* empty: none yet */
	struct slice authenticated; /* name of the authenticator, the configuration's; empty: not authenticated */
	struct slice cipher;        /* name of the cipher suite; empty: in clear */
	bool certificate_verified;
	bool has_sender;            /* MAIL was given */
	struct slice sender;        /* empty: the null sender */
	struct slice sender_domain;
	bool has_recipient;         /* an address is being checked */
	struct slice recipient;     /* as the client wrote it, qualified */
	struct slice local_part;    /* unquoted, in its original case */
	struct slice domain;        /* in lower case */
};

/* What a list gave for the address being checked: Exim's $domain_data and its kin. */
struct acl_data {
	struct expand_value domain, local_part, host, sender, recipient;
};

/* What ratelimit measured last (Exim's $sender_rate and its kin). */
struct acl_rate_texts {
	char rate[32], limit[32], period[32];
};

/*
 * A session, or whatever else runs ACLs. The owner fills it, keeps `facts` up to date, and gives the
 * variables to its own expansions (acl_session_named). Callbacks may be NULL: then what needs them is an error when reached.
 */
struct acl_session {
	void *owner;
	const struct expand_context *context; /* with its language */
	const struct acl_set *set;
	struct acl_variables *connection, *message;
	struct acl_facts facts;
	const struct expand_program *av_scanner, *spamd_address; /* the main options; NULL: unset */

	void (*log)(void *owner, unsigned targets, struct slice text); /* enum acl_log; the text may be a peer's */
	void (*delay)(void *owner, int64_t time, bool flush);          /* parks the task; flush: what waits for the client first */
	/* Routing an address as if for delivery: EXPAND_OK with *yes_r, EXPAND_DEFER with *error. *message_r: why not. */
	enum expand_result (*verify)(void *owner, enum acl_verify_kind kind, struct slice address, struct arena *arena, bool *yes_r,
				     struct slice *message_r, struct error *error);
	/* Calls `each` with the recipients of the message one by one, until that says false. */
	void (*recipients)(void *owner, bool (*each)(void *arg, struct slice address), void *arg);
	/* Options: what follows the control's name and its slash. False with *error when it cannot be done. */
	bool (*control)(void *owner, enum acl_control control, struct slice options, struct error *error);
	/* control = submission, which does not come to `control`. The texts live as long as the run. */
	void (*submission)(void *owner, const struct acl_submission *submission);
	/* The queue of the message, or of all to come: queue_name_valid, or empty for the usual one. */
	void (*queue)(void *owner, struct slice name);
	/* One header line, without a newline at its end; it may have continuation lines. */
	bool (*add_header)(void *owner, enum acl_header_place place, struct slice line, struct error *error);
	bool (*remove_header)(void *owner, struct slice name, struct error *error);
	/* The message as it is, header section and body; as long as the ACL runs. For `regex`. */
	bool (*content)(void *owner, struct slice *text_r, struct error *error);
	/* Asks a scanner about the message: EXPAND_SERVICE_SCAN, to which the owner adds the text and who sent it to whom. */
	enum expand_result (*scan)(void *owner, const struct expand_request *request, struct arena *arena, struct expand_answer *answer_r,
				   struct error *error);
	/* One line a step, in the words of Exim's debugging output, for `postern session`. */
	void (*trace)(void *owner, unsigned depth, struct slice text);
	/* For traces: "FILE LINE" of the line whose place was given with it; empty: not known. May be NULL. */
	struct slice (*where)(void *owner, size_t place, struct arena *arena);

	struct acl_data data; /* of the run at hand, and empty between runs: its texts lie in the run's arena */
	unsigned depth;       /* of the ACLs that run now, within each other; 0: none */
	/* The engine's own, kept between runs. */
	bool caseful_local_part, no_delay_flush, no_multiline;
	bool sender_failure_told;
	const char *sender_failure, *recipient_failure; /* $sender_verify_failure and its kin; NULL: none */
	struct acl_content *content_found; /* what conditions found in the message; NULL: none looked */
	struct acl_dnslists *dnslists; /* what lists in the DNS answered; NULL: none was asked */
	uint64_t warned[ACL_WARNINGS_MAX];
	size_t warned_count;
	struct acl_rate *rates; /* measured already in this connection, message or command (ratelimit.c) */
	size_t rate_count;
	struct acl_rate_texts rate_texts;
};

/* Gives back what the engine keeps for a connection. */
void acl_session_free(struct acl_session *session);
/* A new recipient: forgets the one before. A new message: also its sender, variables and warnings. */
void acl_session_new_recipient(struct acl_session *session);
void acl_session_new_message(struct acl_session *session);

enum acl_outcome {
	ACL_ACCEPT,
	ACL_DENY,
	ACL_DEFER,
	ACL_DISCARD, /* accept, but throw away the recipient or the message */
	ACL_DROP,    /* deny, and close the connection */
	ACL_ERROR,   /* the ACL cannot be run: to be answered as ACL_DEFER; log_message says why */
};

/* A sender that the routers do not take: told to the client once a message, above the refusal itself. */
struct acl_sender_failure {
	struct slice address, message; /* address empty: none */
};

struct acl_result {
	enum acl_outcome outcome;
	struct slice message;     /* for the client; data NULL: none */
	struct slice log_message; /* for the log; data NULL: none */
	unsigned log_targets;     /* of a rejection: enum acl_log */
	bool details;             /* a client may be told the message of a temporary refusal */
	bool tainted;             /* `message` is in part a peer's */
	bool none;                /* ACL_ACCEPT because the option was forced to fail: there was no ACL */
	struct acl_sender_failure sender_failure; /* of a refusal */
};

/*
 * $sender_rate, $sender_rate_limit and $sender_rate_period, for the variables of expansions outside of ACLs. False: another one. The text
 * lives until the next condition.
 */
bool acl_session_rate(const struct acl_session *session, enum expand_variable variable, struct expand_value *value_r);

/* Runs the ACL that the option's value leads to. Waits as its conditions need. Returns result_r->outcome. */
enum acl_outcome acl_run(const struct acl_reference *reference, struct acl_session *session, enum acl_point point,
			 struct arena *arena, struct acl_result *result_r);

/*
 * ${acl{name}{argument}...}, for expand_context.acl of expansions outside of ACLs. EXPAND_OK: it accepted; EXPAND_FORCED_FAIL:
 * it denied; with its message in *text_r for both. EXPAND_DEFER: it deferred. EXPAND_FAIL: anything else.
 */
enum expand_result acl_expand(struct acl_session *session, struct expand_value name, const struct expand_value *arguments, size_t count,
			      struct arena *arena, struct expand_value *text_r, struct error *error);

/* The MIME part that the next runs of ACL_POINT_MIME are about, until another, or NULL: it must stay as long. */
struct mime_part;
void acl_session_mime(struct acl_session *session, const struct mime_part *part);

/* What conditions left ($dnslist_...), for expand_context.variable of expansions outside of ACLs. False: it is none of these. */
bool acl_session_variable(const struct acl_session *session, enum expand_variable variable, struct expand_value *value_r);

/* $acl_c... and $acl_m..., for expand_context.named of expansions outside of ACLs. */
bool acl_session_named(const struct acl_session *session, enum expand_family family, struct slice name,
		       struct expand_value *value_r);

/* ---- Answering ---- */

struct acl_answer {
	unsigned code;
	struct slice text; /* lines separated by \n, each with the enhanced code that was given; empty: the command's standard text */
	bool drop;         /* close the connection afterwards */
	bool wrong_digit;  /* the message began with a code that does not fit: it was left out; for the panic log */
};

/*
 * The SMTP reply of a result, with the codes that a message may begin with ("599 1.2.3 text"). For ACL_ACCEPT and ACL_DISCARD
 * without a message the text is empty. QUIT's code is always 221.
 */
struct acl_answer acl_reply(const struct acl_session *session, enum acl_point point, const struct acl_result *result,
			    struct arena *arena);
/* What stands behind "rejected RCPT <x@y>" in the log: empty, or ": " and one line. */
struct slice acl_log_text(const struct acl_result *result, const struct acl_answer *answer, struct arena *arena);

#endif

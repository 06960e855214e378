/* SPDX-License-Identifier: ISC */
/* The form of a compiled ACL and of a run, for the files of this directory only. */
#ifndef POSTERN_ACL_PRIVATE_H
#define POSTERN_ACL_PRIVATE_H

#include "acl/acl.h"
#include "expand/pieces.h"

enum acl_verb { ACL_VERB_ACCEPT, ACL_VERB_DEFER, ACL_VERB_DENY, ACL_VERB_DISCARD, ACL_VERB_DROP, ACL_VERB_REQUIRE, ACL_VERB_WARN,
		ACL_VERBS };

/* Sets of points. */
#define AT(point) (1u << ACL_POINT_##point)
#define ACL_EVERYWHERE ((1u << ACL_POINTS) - 1)
_Static_assert(ACL_POINTS < 32, "a set of points is one word");

/* What stands behind the word. */
enum acl_value_kind {
	ACL_VALUE_NONE,    /* nothing, not even "=" */
	ACL_VALUE_TEXT,    /* expanded when it is reached */
	ACL_VALUE_PIECES,  /* the same, and acl_run.text tells what was written from what was computed: for all that has syntax */
	ACL_VALUE_LATE,    /* kept, and expanded when the statement's outcome is known */
	ACL_VALUE_LIST,    /* a list of `list`'s kind */
	ACL_VALUE_CALL,    /* an ACL and its arguments */
	ACL_VALUE_SET,     /* a variable, "=", and its text */
};

struct acl_run;
struct acl_item;

/* What a condition or modifier came to. */
enum acl_step { ACL_YES, ACL_NO, ACL_LATER, ACL_DISCARDED, ACL_DROPPED, ACL_BROKEN };

typedef enum acl_step acl_word_run(struct acl_run *run, const struct acl_item *item, struct expand_value value);

/* Whether the value can be used, wherever that is; *error says what was expected. `scratch`: for what it needs meanwhile. */
typedef bool acl_word_check(struct slice value, struct arena *scratch, struct error *error);

struct acl_word {
	const char *name;
	bool modifier;
	enum acl_value_kind value;
	enum expand_list list;
	unsigned points;      /* where it may be used */
	const char *refused;
	unsigned uses;        /* enum acl_use */
	acl_word_run *run;    /* NULL for ACL_VALUE_NONE and ACL_VALUE_LATE, which run.c does */
	acl_word_check *check; /* of a constant value, at load; NULL: any will do */
	const char *help, *example;
};

const struct acl_word *acl_word_find(struct slice name);
const char *acl_word_nearest(struct slice name);
bool acl_is_endpass(const struct acl_word *word);
bool acl_is_message(const struct acl_word *word);
bool acl_is_log_message(const struct acl_word *word);

struct acl_call {
	const struct acl *target; /* by a constant name; NULL: found when it runs */
	const struct expand_program *name;
	const struct expand_program *arguments[ACL_ARGUMENTS_MAX];
	size_t count;
};

struct acl_item {
	const struct acl_word *word;
	bool negated;
	struct slice source; /* the value as written */
	const struct expand_program *program;
	const struct list *list;
	const struct acl_call *call;
	enum expand_family family; /* of set */
	struct slice variable;
	struct acl_line line;
	const struct acl_item *next;
};

struct acl_statement {
	enum acl_verb verb;
	const struct acl_item *first;
	struct acl_line line;
	const struct acl_statement *next;
};

struct acl {
	struct slice name;
	const struct acl_statement *first;
	unsigned uses;    /* enum acl_use */
	struct acl *next; /* in the set */
	size_t number;    /* in the set, from 0 */
};

struct acl_set {
	struct arena *arena;
	const struct expand_language *language;
	unsigned uses;    /* of all that were compiled */
	struct acl *first, **tail;
	size_t count;
};

struct acl_reference {
	const struct acl_set *set;
	const struct acl *acl; /* when the text is constant and no file */
	const struct expand_program *program;
	struct acl_line line;
};

/* Of a run and all that it calls. */
struct acl_shared {
	bool none; /* the option's value was forced to fail */
	unsigned log_targets;
	bool details;
	struct acl_sender_failure sender_failure;
	size_t steps;
	struct expand_memory memory; /* what one string leaves for the next */
};

struct acl_run {
	struct acl_session *session;
	struct expand_context context; /* the session's, with what an ACL adds */
	enum acl_point point;
	enum acl_verb verb;
	unsigned depth;
	struct arena *arena;
	struct slice name; /* of the ACL, for messages; empty: inline */
	struct expand_value message, log_message; /* data NULL: none */
	struct expand_value verify_message;
	struct expand_value arguments[ACL_ARGUMENTS_MAX];
	size_t argument_count;
	struct piece_text text; /* the value of the item at hand, when that is ACL_VALUE_PIECES */
	struct acl_shared *shared;
};

const char *acl_verb_text(enum acl_verb verb);
enum acl_verb acl_verb_find(struct slice name); /* ACL_VERBS when there is none of that name */
const char *acl_step_text(enum acl_step step); /* as Exim's debug output has it */

/* compile.c: the text of an ACL that is not in the section acl. `ahead`: so many levels of calls in it are followed now. */
bool acl_compile_text(struct arena *arena, const struct acl_set *set, struct slice text, unsigned ahead, struct acl *acl, struct error *error);
/* Tells the language of the file that a reference may open, as far as its name is constant. */
void acl_note_file(const struct acl_set *set, const struct expand_program *program);
/* set.c: the ACL that a constant names or is the text of; NULL for a file, which is read when it is run. */
bool acl_find_constant(struct arena *arena, const struct acl_set *set, struct slice text, unsigned ahead, const struct acl **acl_r,
		       struct error *error);

/* context.c: a run that begins, or within `outer`; the caller sets what is not taken from that. */
void acl_run_prepare(struct acl_run *run, struct acl_session *session, const struct acl_run *outer);
/* run.c: an ACL that this run calls: `acl`, or when that is NULL, the one that `what` names, or is the text of. */
enum acl_step acl_run_nested(struct acl_run *run, const struct acl *acl, struct expand_value what, const struct expand_value *arguments,
			     size_t count);
/* For words: the reason goes to the log, and the step is ACL_BROKEN or ACL_LATER. */
enum acl_step acl_broken(struct acl_run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));
enum acl_step acl_later(struct acl_run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Writes a line through the session, if that logs. */
void acl_log(const struct acl_run *run, unsigned targets, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Tells who follows the run, if anybody does. */
void acl_trace(const struct acl_run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A text of our own as a value. */
struct expand_value acl_text(struct slice text);

/* word.c, for control.c and verify.c. */
acl_word_run acl_control_run, acl_verify_run;
acl_word_check acl_control_check, acl_verify_check;
/* enum acl_use of a control with this value. */
unsigned acl_control_uses(struct slice value);
/* Whether a constant value of that word could be used at this point; *name_r names what could not ("control=freeze"). */
bool acl_control_allowed(struct slice value, enum acl_point point);
bool acl_verify_allowed(struct slice value, enum acl_point point);

enum { ACL_PARTS_MAX = 16 };

/* fields.c: a part of an expanded value. */
struct acl_field {
	struct slice text; /* without blanks at its ends */
	struct slice name; /* of an option: the whole text, or "count=" with its "="; empty: it is none, or a peer had a hand in it */
	struct slice rest; /* what follows the "=" */
};

struct acl_fields {
	struct acl_field items[ACL_PARTS_MAX];
	size_t count;
	bool too_many; /* there were more */
};

/* The slices lie in `arena`. */
void acl_fields_cut(struct acl_fields *fields, struct piece_text text, struct arena *arena);

/* word.c: an interval (base/interval.h) of 2^53 seconds at most; `bare`: the last number needs no unit. */
bool acl_parse_time(struct slice text, bool bare, int64_t *seconds_r);

/* ratelimit.c and seen.c */
acl_word_run acl_ratelimit_run, acl_seen_run;
acl_word_check acl_ratelimit_check, acl_seen_check;

/* dnslist.c */
struct acl_dnslist_found {
	struct slice domain, matched, text, value;
};
acl_word_run acl_dnslists_run;
acl_word_check acl_dnslists_check;
/* $dnslist_domain and its kin: of the last list that had a key. False: it is none of them. */
bool acl_dnslists_variable(const struct acl_session *session, enum expand_variable variable, struct expand_value *value_r);
void acl_dnslists_free(struct acl_session *session);
void acl_dnslists_forget(struct acl_session *session);

/* udpsend.c */
acl_word_run acl_udpsend_run;
acl_word_check acl_udpsend_check;

/* content.c and scan.c */
struct acl_content;
acl_word_run acl_regex_run, acl_mime_regex_run, acl_decode_run, acl_malware_run, acl_spam_run;
acl_word_check acl_regex_check, acl_content_check;
/* What they left for the message: false when it is none of their variables. */
bool acl_content_variable(const struct acl_session *session, enum expand_variable variable, struct expand_value *value_r);
void acl_content_free(struct acl_session *session);

/* A value of `verify`, taken apart. */
struct acl_verifier;
struct acl_verify {
	const struct acl_verifier *kind;
	struct slice argument; /* behind "=" */
	bool defer_ok, no_details, caseless;
};
typedef enum acl_step acl_verifier_run(struct acl_run *run, const struct acl_verify *verify);
/* verify_header.c */
acl_verifier_run acl_verify_names_ascii, acl_verify_header_syntax, acl_verify_header_sender, acl_verify_not_blind;

/* header.c */
acl_word_run acl_add_header_run, acl_remove_header_run;

#endif

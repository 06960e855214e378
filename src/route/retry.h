/* SPDX-License-Identifier: ISC */
/*
 * Retry rules (Exim's manual, chapter 32): when what could not be delivered is tried again, and when it is given up.
 *
 *	PATTERN  ERROR  [senders=LIST]  F,CUTOFF,INTERVAL; G,CUTOFF,INTERVAL,FACTOR; H,CUTOFF,INTERVAL,FACTOR
 *
 * The first rule whose three parts match decides. Of its parameters the first whose cutoff lies beyond the time that the
 * failure has lasted gives the interval; after the last one's, the next failure is final:
 *
 *	FAILING --failure, within a cutoff--> FAILING, next_try       --success--> forgotten
 *	        --failure after the last cutoff, or no rule, or no parameters--> expired: given up
 *
 * Rules lie in the arena that compiled them and are immutable. Times are nanoseconds; moments are wall clock.
 */
#ifndef POSTERN_ROUTE_RETRY_H
#define POSTERN_ROUTE_RETRY_H

#include "route/pattern.h"

enum retry_kind {
	RETRY_OTHER, /* in a rule: any error; in a failure: none of those below */
	RETRY_AUTH_FAILED,
	RETRY_DATA_4XX,
	RETRY_MAIL_4XX,
	RETRY_RCPT_4XX,
	RETRY_LOST_CONNECTION,
	RETRY_LOOKUP,
	RETRY_REFUSED,
	RETRY_TIMEOUT_CONNECT,
	RETRY_TIMEOUT, /* in a rule: also while connecting; in a failure: later */
	RETRY_TLS_REQUIRED,
	RETRY_QUOTA,
};

enum retry_host { RETRY_HOST_ANY, RETRY_HOST_MX, RETRY_HOST_A };

/* An error: what a rule is for, or what happened. */
struct retry_error {
	enum retry_kind kind;
	enum retry_host host;    /* of REFUSED and TIMEOUT: where the host came from; in a rule ANY: wherever */
	int first, second;       /* 4XX: the digits behind the 4; -1 in a rule: any */
	int64_t unread;          /* QUOTA: how long nobody has read the mailbox; in a failure -1: not known; in a rule 0: any */
};

enum { RETRY_PARAMETERS_MAX = 100 };

struct retry_parameters {
	char letter;             /* 'F', 'G' or 'H' */
	int64_t cutoff, interval;
	uint32_t factor;         /* G, H: thousandths */
};

struct retry_rule {
	struct slice pattern_text, error_text, senders_text; /* as written; senders_text empty: none */
	const struct address_pattern *pattern;
	const struct address_pattern *senders; /* NULL: all */
	struct retry_error error;
	const struct retry_parameters *parameters;
	size_t count;            /* 0: the first failure is final */
	struct retry_rule *next;
};

/* One line; the caller links it. False with *error; *column_r is the byte of the line, from 1, that it is about. */
bool retry_compile(struct arena *arena, struct slice line, const struct pattern_scope *scope, struct retry_rule **rule_r,
		   struct error *error, size_t *column_r);
/* "rcpt_45x" and so on. False with *error. */
bool retry_error_parse(struct slice name, struct retry_error *error_r, struct error *error);
/* "*  rcpt_4xx  F,1h,30m; ", as Exim's -brt prints a rule. False when `out` is full. */
bool retry_rule_format(const struct retry_rule *rule, struct buf *out);

/* What failed. */
struct retry_failure {
	struct slice local_part; /* empty: the local part plays no role (retry_use_local_part) */
	struct slice domain;
	struct slice host;       /* remote host errors: its name, tried before the domain; empty: none */
	const struct pattern_subject *sender; /* NULL: not known, rules with senders= do not match */
	struct retry_error error;
};

/* EXPAND_OK with *rule_r, which is NULL when no rule matches. Another result: a list could not be looked up. */
enum expand_result retry_find(const struct retry_rule *first, const struct retry_failure *failure,
			      const struct expand_context *context, struct arena *arena, const struct retry_rule **rule_r,
			      struct error *error);

/* What is remembered about an address, a domain or a host that fails. All 0: it does not fail. */
struct retry_state {
	int64_t first_failed, last_try, next_try;
	bool expired; /* the last cutoff had passed at the last try */
};

/*
 * A try failed `now`. `received`: of the message, when the failure is the message's own matter (quota, 4xx to MAIL or DATA),
 * otherwise 0. `longest`: retry_interval_max. `random`: any number, for H. Updates *state; expired is also set without a rule.
 */
void retry_failed(struct retry_state *state, const struct retry_rule *rule, int64_t now, int64_t received, int64_t longest,
		  uint64_t random);
/* Whether a message has been here for longer than the rule allows at all: then a failure is final whatever the state says. */
bool retry_message_expired(const struct retry_rule *rule, int64_t received, int64_t now);

#endif

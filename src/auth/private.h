/* SPDX-License-Identifier: ISC */
/* What a driver is, and what drivers share. For the files of this directory only. */
#ifndef POSTERN_AUTH_PRIVATE_H
#define POSTERN_AUTH_PRIVATE_H

#include "auth/auth.h"

/*
 * A mechanism, or a family of them. `start` and `step` return AUTH_DONE when the mechanism itself is content: server_condition, the
 * identity and the count of failures come after that (auth.c).
 */
struct auth_driver {
	const char *name;
	bool implicit;
	bool (*check)(const struct authenticator *authenticator, const char **option_r, struct error *error); /* NULL: nothing to check */
	enum auth_outcome (*start)(struct auth_exchange *exchange, const struct slice *initial);
	enum auth_outcome (*step)(struct auth_exchange *exchange, struct slice response); /* NULL: it has no challenges */
};

extern const struct auth_driver auth_plaintext, auth_cram_md5, auth_scram, auth_external, auth_tls;

/* An outcome with its reason for the log, which must not hold anything secret. */
enum auth_outcome auth_say(struct auth_exchange *exchange, enum auth_outcome outcome, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* AUTH_CHALLENGE with these bytes. */
enum auth_outcome auth_challenge(struct auth_exchange *exchange, struct slice bytes);
/* The next of $auth1, $auth2 ...; those above $20 are dropped. */
void auth_add_value(struct auth_exchange *exchange, struct slice text);
/*
 * Expands an option: AUTH_DONE with *text_r; AUTH_FAILED when it is forced to fail, AUTH_DEFERRED when it cannot be expanded. An
 * option that is not set is empty.
 */
enum auth_outcome auth_expand(struct auth_exchange *exchange, const struct expand_program *program, struct slice *text_r);
/*
 * What comes after a mechanism's own verdict: server_condition, the identity, and the count of failures. Done by auth_start and auth_step;
 * by a driver itself when it has something to send after that.
 */
enum auth_outcome auth_finish(struct auth_exchange *exchange, enum auth_outcome outcome);
/* The verdict of a question to the world as an outcome, with its reason. */
enum auth_outcome auth_judge(struct auth_exchange *exchange, enum auth_verdict verdict, const struct error *error);
/* Whether an authorisation identity may differ from who proves to be there: only server_condition can allow it. */
bool auth_may_act_as(struct auth_exchange *exchange, struct slice user, struct slice other);

#endif

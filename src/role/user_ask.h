/* SPDX-License-Identifier: ISC */
/*
 * What an authentication of a session asks of the world (struct auth_world), asked of the lookup role (passwords.h). Answers to failures
 * come when a fixed time has passed since the question, so that their time tells nothing; it is the session's task that waits.
 */
#ifndef POSTERN_ROLE_USER_ASK_H
#define POSTERN_ROLE_USER_ASK_H

#include "auth/auth.h"
#include "net/address.h"
#include "role/ask.h"

/* Of a session, for as long as the auth_world is used. */
struct user_ask {
	struct ask_line *line;     /* to the lookup role */
	struct net_address client; /* zeroed: none, as for a test of the configuration */
	const char *service;       /* "smtp": what application passwords may be limited to */
	int64_t delay;             /* of failures, ns (auth_fail_delay) */
};

struct auth_world user_ask_world(struct user_ask *ask);

#endif

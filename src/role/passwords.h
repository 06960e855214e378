/* SPDX-License-Identifier: ISC */
/*
 * Passwords in the lookup role: checks against the user database, verifiers for SCRAM and their computation, and the count of failures of all authenticators.
 * Fronts ask with messages of their own (user_ask.h), each of which is a task here (answering.h).
 *
 *   received ── locked out ──▶ AUTH_LOCKED
 *      │ its turn: no other try for this user is under way, and there is room under the network's limit
 *   read the user
 *      │
 *   remembered ──▶ the same answer; nothing is counted
 *      │
 *   an application password ──▶ AUTH_YES
 *      │
 *   hash (of nobody, for who is not there), one a processor at a time ──▶ AUTH_YES, or AUTH_NO and counted
 *
 * One struct passwords a process, over all configurations. A try holds the means that it began with.
 */
#ifndef POSTERN_ROLE_PASSWORDS_H
#define POSTERN_ROLE_PASSWORDS_H

#include "role/answering.h"
#include "users/failures.h"

struct passwords;

struct passwords_settings {
	struct slice database; /* a path; empty: there is none */
	struct failures_limit limit;
	struct slice limit_text; /* as the configuration has it, for the log */
	int64_t remember;      /* ns; 0: not at all */
};

struct passwords *passwords_new(struct log *log);
/* No question may be under way. Clears the pointer; NULL is allowed. */
void passwords_free(struct passwords **passwords);
/* Makes what checks need; takes as long as a hash, the first time. */
void passwords_prepare(struct passwords *passwords);
/* The memory that failures are counted in (failures_create); the descriptor stays the caller's. Without it nothing is counted. */
bool passwords_use_failures(struct passwords *passwords, int fd, struct error *error);
/* Answers one of the messages, on a task; an empty body is refused for want of room. */
void passwords_answer(struct passwords *passwords, const struct passwords_settings *settings, const struct answering_other *message,
		      struct arena *arena);

#endif

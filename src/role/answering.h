/* SPDX-License-Identifier: ISC */
/*
 * The side of a role that answers questions of expansions (role/ask.h) of fronts and of the queue. Each question is a task. An asker
 * that dies takes its questions with it: their tasks are cancelled.
 *
 * When there are more questions than it takes, those who ask most are refused first: from half of the bound on, an asker may have
 * no more than its equal share. A refusal is a temporary error.
 */
#ifndef POSTERN_ROLE_ANSWERING_H
#define POSTERN_ROLE_ANSWERING_H

#include "role/ask.h"
#include "role/process.h"

/* A message that is not `ask`. */
struct answering_other {
	enum ipc_type type;
	struct slice body;
	struct ipc_peer *peer; /* the answer goes there, */
	uint64_t call;         /* with this number */
};

/* What a role answers with. */
struct answering {
	unsigned most;       /* questions at a time */
	const char *crowded; /* why one more is refused */
	/* What a question that arrives now is answered with, also when a reload brings something else meanwhile; and its end. */
	void *(*hold)(struct role_process *role);
	void (*drop)(void *held);
	/*
	 * Takes what is no question of an expansion, on a task as well, and answers it itself; from an empty body it makes the refusal for want
	 * of room. NULL: there is no such message. They have a bound of their own, and what they say is overwritten afterwards.
	 */
	unsigned most_others;
	void (*other)(struct role_process *role, void *held, const struct answering_other *message, struct arena *arena);
	/* Runs on the question's task. *answer_r is zeroed; the deadline is at most ASK_TIME_MAX away. */
	enum expand_result (*answer)(struct role_process *role, void *held, const struct expand_request *request, struct arena *arena,
				     struct expand_answer *answer_r, struct error *error);
};

/* Questions of expansions, and others. */
enum answering_kind { ANSWERING_ASK, ANSWERING_OTHER, ANSWERING_KINDS };

/* Of a role's context, zeroed. */
struct answering_desk {
	unsigned questions[ANSWERING_KINDS], askers;
	struct wait_list ended; /* a question has */
};

/* role_ops.connected: takes the descriptor. */
void answering_connected(struct answering_desk *desk, struct role_process *role, const struct answering *answering, int fd,
			 enum role other);
/* role_ops.drain: waits until all questions are answered, or the role's deadline. */
void answering_drain(struct answering_desk *desk, struct role_process *role);

#endif

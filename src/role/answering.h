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

/* What a role answers with. */
struct answering {
	unsigned most;       /* questions at a time */
	const char *crowded; /* why one more is refused */
	/* What a question that arrives now is answered with, also when a reload brings something else meanwhile; and its end. */
	void *(*hold)(struct role_process *role);
	void (*drop)(void *held);
	/* Runs on the question's task. *answer_r is zeroed; the deadline is at most ASK_TIME_MAX away. */
	enum expand_result (*answer)(struct role_process *role, void *held, const struct expand_request *request, struct arena *arena,
				     struct expand_answer *answer_r, struct error *error);
};

/* Of a role's context, zeroed. */
struct answering_desk {
	unsigned questions, askers;
	struct wait_list ended; /* a question has */
};

/* role_ops.connected: takes the descriptor. */
void answering_connected(struct answering_desk *desk, struct role_process *role, const struct answering *answering, int fd,
			 enum role other);
/* role_ops.drain: waits until all questions are answered, or the role's deadline. */
void answering_drain(struct answering_desk *desk, struct role_process *role);

#endif

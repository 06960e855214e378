/* SPDX-License-Identifier: ISC */
#include "role/answering.h"

#include "base/cleanup.h"
#include "base/fatal.h"

#include <stdlib.h>
#include <string.h>

struct asker {
	struct role_process *role;
	struct answering_desk *desk;
	const struct answering *answering;
	struct ipc_peer *peer;
	struct question *questions;
	unsigned count[ANSWERING_KINDS];
	bool lost;
};

struct question {
	struct asker *asker;
	struct question *next, **previous;
	void *held;
	struct task *task;
	struct arena arena;
	enum ipc_type type;
	uint64_t call;
	struct slice body; /* of the message, in the arena */
	int content;       /* what came with it; -1: nothing */
};

static void refuse(struct ipc_peer *peer, uint64_t call, const char *why)
{
	struct ask_result refusal = { .result = EXPAND_DEFER };
	error_set(&refusal.error, ERROR_TEMPORARY, "%s", why);
	ask_send_result(peer, call, &refusal);
}

static void find_answer(struct question *question, struct ask_result *result)
{
	const struct asker *asker = question->asker;
	struct ipc_ask message;
	struct expand_request request;
	if (!ipc_unpack_ask(question->body, &message) || !ask_unpack_request(&message, &question->arena, &request)) {
		result->result = EXPAND_FAIL;
		error_set(&result->error, ERROR_PERMANENT, "malformed question");
		return;
	}
	int64_t latest = ask_latest(request.service);
	request.content = question->content >= 0 ? &question->content : NULL;
	if (request.deadline <= 0 || request.deadline > latest)
		request.deadline = latest;
	result->result = asker->answering->answer(asker->role, question->held, &request, &question->arena, &result->answer, &result->error);
}

static void free_asker(struct asker *asker)
{
	if (asker->lost && !asker->questions)
		free(asker);
}

static enum answering_kind kind_of(enum ipc_type type)
{
	return type == IPC_ASK_MESSAGE ? ANSWERING_ASK : ANSWERING_OTHER;
}

static void answer(struct question *question)
{
	struct asker *asker = question->asker;
	if (question->type == IPC_ASK_MESSAGE) {
		struct ask_result result = { 0 };
		find_answer(question, &result);
		ask_send_result(asker->peer, question->call, &result);
	} else {
		struct answering_other message = { question->type, question->body, asker->peer, question->call };
		asker->answering->other(asker->role, question->held, &message, &question->arena);
	}
	if (question->body.len && ipc_is_secret(question->type))
		explicit_bzero((char *)(uintptr_t)question->body.data, question->body.len);
}

static void question_task(void *arg)
{
	struct question *question = arg;
	struct asker *asker = question->asker;
	const struct answering *answering = asker->answering;
	answer(question);
	*question->previous = question->next;
	if (question->next)
		question->next->previous = question->previous;
	asker->count[kind_of(question->type)]--;
	asker->desk->questions[kind_of(question->type)]--;
	wait_list_wake_all(&asker->desk->ended);
	ipc_release(asker->peer);
	free_asker(asker);
	if (answering->drop)
		answering->drop(question->held);
	fd_close(&question->content);
	arena_free(&question->arena);
	free(question);
}

static bool has_room(const struct asker *asker, enum answering_kind kind)
{
	const struct answering_desk *desk = asker->desk;
	unsigned most = kind == ANSWERING_ASK ? asker->answering->most : asker->answering->most_others;
	bool crowded = desk->questions[kind] >= most / 2;
	return desk->questions[kind] < most && !(crowded && asker->count[kind] >= most / desk->askers);
}

static void refuse_room(struct asker *asker, struct ipc_peer *peer, const struct ipc_incoming *incoming)
{
	struct answering_other message = { .type = incoming->type, .peer = peer, .call = incoming->call };
	if (incoming->type == IPC_ASK_MESSAGE)
		refuse(peer, incoming->call, asker->answering->crowded);
	else
		asker->answering->other(asker->role, NULL, &message, NULL);
}

static void from_asker(void *owner, struct ipc_peer *peer, struct ipc_incoming *incoming)
{
	struct asker *asker = owner;
	enum answering_kind kind = kind_of(incoming->type);
	if ((kind == ANSWERING_OTHER && !asker->answering->other) || !incoming->call)
		return;
	if (!has_room(asker, kind)) {
		refuse_room(asker, peer, incoming);
		return;
	}
	struct question *question = xcalloc(1, sizeof *question);
	*question = (struct question){
		.asker = asker, .type = incoming->type, .call = incoming->call, .content = incoming->fd_count ? fd_take(&incoming->fds[0]) : -1,
	};
	if (asker->answering->hold)
		question->held = asker->answering->hold(asker->role);
	arena_init(&question->arena, 0);
	question->body = arena_copy(&question->arena, incoming->body);
	question->next = asker->questions;
	question->previous = &asker->questions;
	if (question->next)
		question->next->previous = &question->next;
	asker->questions = question;
	asker->count[kind]++;
	asker->desk->questions[kind]++;
	ipc_hold(peer);
	question->task = task_spawn(asker->role->loop, question_task, question, "question");
}

/* Nobody wants its answers any more. */
static void asker_lost(void *owner, struct ipc_peer *peer)
{
	struct asker *asker = owner;
	asker->desk->askers--;
	asker->lost = true;
	for (struct question *question = asker->questions; question; question = question->next)
		task_cancel(question->task);
	free_asker(asker);
	ipc_close_later(peer);
}

static const struct ipc_handler asker_handler = { from_asker, asker_lost };

void answering_connected(struct answering_desk *desk, struct role_process *role, const struct answering *answering, int fd,
			 enum role other)
{
	if (!(IPC_ASKERS & 1u << other))
		fatal("the %s role answers those who may ask only", role_name(role->kind));
	struct asker *asker = xcalloc(1, sizeof *asker);
	*asker = (struct asker){ .role = role, .desk = desk, .answering = answering };
	asker->peer = ipc_open(role->loop, fd, role->kind, other, &asker_handler, asker);
	desk->askers++;
}

void answering_drain(struct answering_desk *desk, struct role_process *role)
{
	while ((desk->questions[ANSWERING_ASK] || desk->questions[ANSWERING_OTHER]) && clock_now() < role->drain_deadline)
		if (wait_list_wait(&desk->ended, role->drain_deadline) < 0)
			break;
	/* Answers are on their way out: the loop sends them before it waits. */
	task_sleep_until(clock_after(10 * CLOCK_MS));
}

/* SPDX-License-Identifier: ISC */
/* What the files of src/task share: the insides of loops and tasks. Nobody else includes this. */
#ifndef POSTERN_TASK_INTERNAL_H
#define POSTERN_TASK_INTERNAL_H

#include "task/context.h"
#include "task/offload.h"
#include "task/stack.h"
#include "task/task.h"

#include <pthread.h>
#include <stddef.h>

enum task_state { TASK_READY, TASK_RUNNING, TASK_WAITING, TASK_DONE };

#define TIMER_NONE SIZE_MAX

struct task {
	struct context context;
	struct stack stack;
	struct loop *loop;
	task_function *fn;
	void *arg;
	const char *name;
	enum task_state state;
	bool cancelled, uncancellable, trimmed;
	int wake_result;
	unsigned references;
	int64_t deadline, parked_at;
	size_t timer_index;      /* in the loop's heap, or TIMER_NONE */
	struct task *next_ready; /* in the run queue */
	struct task *next, *previous; /* of all tasks */
	struct wait_list joiners;
	void *fake_stack; /* AddressSanitizer's */
};

/* One a descriptor number. Registered edge-triggered; an edge that nobody waits for is remembered. All are IO_READ | IO_WRITE. */
struct io_slot {
	struct task *reader, *writer;
	struct task *ender; /* waits for the peer's end */
	unsigned char registered;
	unsigned char ready;
	unsigned char over; /* the peer has closed that direction: ready for good */
};

struct offload_pool {
	pthread_mutex_t lock;
	pthread_cond_t wanted;
	struct offload_job *waiting_first, *waiting_last;
	unsigned threads, most, idle, queued;
	bool computes, ending;
	struct offload_done *done;
	pthread_t ids[OFFLOAD_COMPUTING_THREADS];
};

/* What the threads of all pools have done, for the loop to collect. */
struct offload_done {
	pthread_mutex_t lock;
	struct offload_job *first;
	int event_fd;
};

struct offload {
	struct offload_done done;
	struct offload_pool blocking, computing;
};

struct loop {
	struct context context; /* of loop_run itself */
	struct task *running, *tasks, *ready_first, *ready_last;
	size_t task_count;
	struct stack_pool stacks;
	struct task **timers; /* a binary heap by deadline */
	size_t timer_count, timer_size;
	int epoll_fd;
	struct io_slot *slots;
	size_t slot_count;
	struct loop_hook *hooks;
	struct offload offload;
	int64_t now, trimmed_at;
	bool stopping, trim_wanted;
	unsigned rounds; /* since the descriptors were last looked at */
	void *fake_stack;
	const void *stack_low;
	size_t stack_size;
};

void timer_add(struct loop *loop, struct task *task, int64_t deadline);
void timer_remove(struct loop *loop, struct task *task);
int64_t timer_next(const struct loop *loop);
void timer_expire(struct loop *loop);

/* Waits for descriptors and wakes who waited for them. */
void io_poll(struct loop *loop, int timeout_ms);

void offload_init(struct loop *loop);
void offload_free(struct loop *loop);
void offload_collect(struct loop *loop);

#endif

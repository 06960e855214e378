/* SPDX-License-Identifier: ISC */
/* Deadlines of waiting tasks: a binary heap in which each task knows its place. */
#include "base/fatal.h"
#include "task/internal.h"

#include <errno.h>

static void put(struct loop *loop, size_t index, struct task *task)
{
	loop->timers[index] = task;
	task->timer_index = index;
}

static void sift_up(struct loop *loop, size_t index, struct task *task)
{
	while (index > 0) {
		size_t parent = (index - 1) / 2;
		if (loop->timers[parent]->deadline <= task->deadline)
			break;
		put(loop, index, loop->timers[parent]);
		index = parent;
	}
	put(loop, index, task);
}

static void sift_down(struct loop *loop, size_t index, struct task *task)
{
	for (;;) {
		size_t child = 2 * index + 1;
		if (child >= loop->timer_count)
			break;
		if (child + 1 < loop->timer_count && loop->timers[child + 1]->deadline < loop->timers[child]->deadline)
			child++;
		if (task->deadline <= loop->timers[child]->deadline)
			break;
		put(loop, index, loop->timers[child]);
		index = child;
	}
	put(loop, index, task);
}

void timer_add(struct loop *loop, struct task *task, int64_t deadline)
{
	if (loop->timer_count == loop->timer_size) {
		loop->timer_size = loop->timer_size ? loop->timer_size * 2 : 64;
		loop->timers = xrealloc(loop->timers, loop->timer_size * sizeof *loop->timers);
	}
	task->deadline = deadline;
	sift_up(loop, loop->timer_count++, task);
}

void timer_remove(struct loop *loop, struct task *task)
{
	size_t index = task->timer_index;
	if (index == TIMER_NONE)
		return;
	task->timer_index = TIMER_NONE;
	struct task *last = loop->timers[--loop->timer_count];
	if (last == task)
		return;
	if (index > 0 && last->deadline < loop->timers[(index - 1) / 2]->deadline)
		sift_up(loop, index, last);
	else
		sift_down(loop, index, last);
}

int64_t timer_next(const struct loop *loop)
{
	return loop->timer_count ? loop->timers[0]->deadline : CLOCK_NEVER;
}

void timer_expire(struct loop *loop)
{
	while (loop->timer_count && loop->timers[0]->deadline <= loop->now)
		task_wake(loop->timers[0], -ETIMEDOUT);
}

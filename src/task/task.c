/* SPDX-License-Identifier: ISC */
#include "task/task.h"

#include "base/fatal.h"
#include "base/sanitize.h"
#include "task/context.h"
#include "task/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

enum { ROUNDS_MAX = 4 };

/* The one place of thread-local state: which loop runs here. Set by loop_run for its duration. */
static _Thread_local struct loop *running_loop;

struct loop *loop_current(void)
{
	return running_loop;
}

struct task *task_current(void)
{
	return running_loop ? running_loop->running : NULL;
}

/* Switches between the loop's own stack and a task's, telling AddressSanitizer where the stack now is. */
static void switch_to_task(struct loop *loop, struct task *task)
{
	loop->running = task;
	task->state = TASK_RUNNING;
#if SANITIZED
	__sanitizer_start_switch_fiber(&loop->fake_stack, task->stack.low, task->stack.size);
#endif
	context_switch(&loop->context, &task->context);
#if SANITIZED
	__sanitizer_finish_switch_fiber(loop->fake_stack, NULL, NULL);
#endif
	loop->running = NULL;
}

static void switch_to_loop(struct loop *loop, struct task *task)
{
#if SANITIZED
	/* NULL for a task that is done: its fake stack is destroyed. */
	__sanitizer_start_switch_fiber(task->state == TASK_DONE ? NULL : &task->fake_stack, loop->stack_low, loop->stack_size);
#endif
	context_switch(&task->context, &loop->context);
#if SANITIZED
	__sanitizer_finish_switch_fiber(task->fake_stack, NULL, NULL);
#endif
}

static void task_main(void *arg)
{
	struct task *task = arg;
#if SANITIZED
	__sanitizer_finish_switch_fiber(NULL, &task->loop->stack_low, &task->loop->stack_size);
#endif
	task->fn(task->arg);
	task->state = TASK_DONE;
	switch_to_loop(task->loop, task);
	fatal("task %s went on after its end", task->name);
}

static void push_ready(struct loop *loop, struct task *task)
{
	task->state = TASK_READY;
	task->next_ready = NULL;
	if (loop->ready_last)
		loop->ready_last->next_ready = task;
	else
		loop->ready_first = task;
	loop->ready_last = task;
}

struct task *task_spawn(struct loop *loop, task_function *fn, void *arg, const char *name)
{
	struct task *task = xcalloc(1, sizeof *task);
	*task = (struct task){ .loop = loop, .fn = fn, .arg = arg, .name = name, .references = 1, .timer_index = TIMER_NONE };
	task->stack = stack_take(&loop->stacks);
	context_make(&task->context, task->stack.low, task->stack.size, task_main, task);
	task->next = loop->tasks;
	if (task->next)
		task->next->previous = task;
	loop->tasks = task;
	loop->task_count++;
	push_ready(loop, task);
	return task;
}

void task_hold(struct task *task)
{
	task->references++;
}

void task_release(struct task *task)
{
	ensure(task->references > 0);
	if (--task->references == 0) {
		ensure(task->state == TASK_DONE);
		free(task);
	}
}

bool task_is_done(const struct task *task)
{
	return task->state == TASK_DONE;
}

bool task_is_cancelled(const struct task *task)
{
	return task->cancelled;
}

/* The task has returned: its stack goes back, and who joined it wakes. */
static void bury(struct loop *loop, struct task *task)
{
	if (task->previous)
		task->previous->next = task->next;
	else
		loop->tasks = task->next;
	if (task->next)
		task->next->previous = task->previous;
	loop->task_count--;
	context_free(&task->context);
	stack_give_back(&loop->stacks, task->stack);
	wait_list_wake_all(&task->joiners);
	task_release(task);
}

static int wait_parked(struct task *task, int64_t deadline)
{
	struct loop *loop = task->loop;
	task->wake_result = 0;
	task->state = TASK_WAITING;
	task->trimmed = false;
	task->parked_at = loop->now;
	loop->trim_wanted = true;
	if (deadline != CLOCK_NEVER)
		timer_add(loop, task, deadline);
	switch_to_loop(loop, task);
	return task->wake_result;
}

int task_wait(int64_t deadline)
{
	struct task *task = task_current();
	ensure(task != NULL);
	if (task->cancelled)
		return -ECANCELED;
	return wait_parked(task, deadline);
}

int task_wait_uncancellable(int64_t deadline)
{
	struct task *task = task_current();
	ensure(task != NULL);
	task->uncancellable = true;
	int result = wait_parked(task, deadline);
	task->uncancellable = false;
	return result;
}

void task_wake(struct task *task, int result)
{
	if (task->state != TASK_WAITING)
		return;
	timer_remove(task->loop, task);
	task->wake_result = result;
	push_ready(task->loop, task);
}

void task_cancel(struct task *task)
{
	task->cancelled = true;
	if (!task->uncancellable)
		task_wake(task, -ECANCELED);
}

int task_sleep_until(int64_t deadline)
{
	int result = task_wait(deadline);
	return result == -ETIMEDOUT ? 0 : result;
}

void task_yield(void)
{
	struct task *task = task_current();
	ensure(task != NULL);
	push_ready(task->loop, task);
	switch_to_loop(task->loop, task);
}

int task_join(struct task *task, int64_t deadline)
{
	while (task->state != TASK_DONE) {
		int result = wait_list_wait(&task->joiners, deadline);
		if (result < 0)
			return result;
	}
	return 0;
}

/* Waiters live on the stacks of the tasks that wait; each unlinks itself, whoever woke it. */
struct waiter {
	struct task *task;
	struct waiter *next, *previous;
	bool linked;
};

static void unlink_waiter(struct wait_list *list, struct waiter *waiter)
{
	if (!waiter->linked)
		return;
	if (waiter->previous)
		waiter->previous->next = waiter->next;
	else
		list->first = waiter->next;
	if (waiter->next)
		waiter->next->previous = waiter->previous;
	else
		list->last = waiter->previous;
	waiter->linked = false;
}

int wait_list_wait(struct wait_list *list, int64_t deadline)
{
	struct waiter waiter = { .task = task_current(), .previous = list->last, .linked = true };
	if (list->last)
		list->last->next = &waiter;
	else
		list->first = &waiter;
	list->last = &waiter;
	int result = task_wait(deadline);
	unlink_waiter(list, &waiter);
	return result;
}

bool wait_list_wake_one(struct wait_list *list)
{
	struct waiter *waiter;
	while ((waiter = list->first) != NULL) {
		bool waits = waiter->task->state == TASK_WAITING;
		unlink_waiter(list, waiter);
		/* Who is ready by now, for its deadline or a cancellation, will not use the turn. */
		if (!waits)
			continue;
		task_wake(waiter->task, 0);
		return true;
	}
	return false;
}

void wait_list_wake_all(struct wait_list *list)
{
	while (wait_list_wake_one(list))
		continue;
}

/* Runs what is ready now; what becomes ready meanwhile waits for the next round, after the descriptors were looked at. */
static void run_ready(struct loop *loop)
{
	struct task *task = loop->ready_first;
	struct task *last = loop->ready_last;
	while (task && !loop->stopping) {
		bool end = task == last;
		loop->ready_first = task->next_ready;
		if (!loop->ready_first)
			loop->ready_last = NULL;
		switch_to_task(loop, task);
		if (task->state == TASK_DONE)
			bury(loop, task);
		if (end)
			break;
		task = loop->ready_first;
	}
}

static void run_hooks(struct loop *loop)
{
	for (struct loop_hook *hook = loop->hooks, *next; hook; hook = next) {
		next = hook->next;
		hook->call(hook->arg);
	}
}

/* Once a second: tasks parked for two give the pages below their stack pointer back. */
static void trim_parked(struct loop *loop)
{
	if (loop->now - loop->trimmed_at < CLOCK_SECOND)
		return;
	loop->trimmed_at = loop->now;
	loop->trim_wanted = false;
	for (struct task *task = loop->tasks; task; task = task->next) {
		if (task->state != TASK_WAITING || task->trimmed)
			continue;
		if (loop->now - task->parked_at < 2 * CLOCK_SECOND) {
			loop->trim_wanted = true;
			continue;
		}
		stack_trim(&task->stack, task->context.stack_pointer);
		task->trimmed = true;
	}
}

static int wait_timeout(const struct loop *loop)
{
	if (loop->ready_first)
		return 0;
	int64_t when = timer_next(loop);
	if (loop->trim_wanted && loop->trimmed_at + CLOCK_SECOND < when)
		when = loop->trimmed_at + CLOCK_SECOND;
	if (when == CLOCK_NEVER)
		return -1;
	int64_t left = when - clock_now();
	if (left <= 0)
		return 0;
	int64_t ms = (left + CLOCK_MS - 1) / CLOCK_MS;
	return ms > INT32_MAX ? INT32_MAX : (int)ms;
}

void loop_run(struct loop *loop)
{
	ensure(running_loop == NULL);
	running_loop = loop;
	loop->stopping = false;
	loop->now = clock_now();
	while (!loop->stopping && loop->task_count) {
		run_ready(loop);
		/* A few rounds of what is ready now cost less together with one look at the descriptors than each with its own. */
		if (loop->ready_first && ++loop->rounds < ROUNDS_MAX)
			continue;
		loop->rounds = 0;
		run_hooks(loop);
		if (loop->stopping || !loop->task_count)
			break;
		int timeout = wait_timeout(loop);
		io_poll(loop, timeout);
		loop->now = clock_now();
		timer_expire(loop);
		trim_parked(loop);
	}
	running_loop = NULL;
}

void loop_stop(struct loop *loop)
{
	loop->stopping = true;
}

struct loop *loop_new(void)
{
	struct loop *loop = xcalloc(1, sizeof *loop);
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0)
		fatal("epoll_create1: %s", strerror(errno));
	offload_init(loop);
	return loop;
}

void loop_free(struct loop *loop)
{
	offload_free(loop);
	while (loop->tasks) {
		struct task *task = loop->tasks;
		loop->tasks = task->next;
		stack_give_back(&loop->stacks, task->stack);
		free(task);
	}
	stack_pool_free(&loop->stacks);
	close(loop->epoll_fd);
	free(loop->slots);
	free(loop->timers);
	free(loop);
}

void loop_add_hook(struct loop *loop, struct loop_hook *hook)
{
	hook->next = loop->hooks;
	loop->hooks = hook;
}

void loop_remove_hook(struct loop *loop, struct loop_hook *hook)
{
	for (struct loop_hook **at = &loop->hooks; *at; at = &(*at)->next) {
		if (*at == hook) {
			*at = hook->next;
			return;
		}
	}
}


/* SPDX-License-Identifier: ISC */
/*
 * Tasks: straight-line code on stacks of its own, one at a time on an epoll loop, one loop a thread. A task runs until it
 * waits; nothing interrupts it, so data that only tasks of one loop touch needs no lock. Every wait takes a deadline (base/clock.h;
 * CLOCK_NEVER where something else bounds it).
 *
 *      task_spawn                 task_wake, descriptor ready,
 *   ────────────────▶ READY ◀──── deadline, task_cancel ────────┐
 *                       │ loop_run                              │
 *                       ▼            task_wait (and all that    │
 *                    RUNNING ──────── waits through it) ────▶ WAITING
 *                       │ the function returns
 *                       ▼
 *                      DONE ── last reference released ──▶ freed
 *
 * Ownership: task_spawn returns a borrowed pointer, valid until the task ends; who needs it for longer takes a reference
 * with task_hold and gives it back with task_release.
 * Results are 0 or a negative errno: -ETIMEDOUT at the deadline, -ECANCELED when the task was cancelled. Cancellation is
 * sticky: all later waits of that task fail at once, so it unwinds by its ordinary error paths. offload() is not
 * interrupted: the work owns the caller's memory until it is done.
 */
#ifndef POSTERN_TASK_TASK_H
#define POSTERN_TASK_TASK_H

#include "base/clock.h"

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct task;

typedef void task_function(void *arg);

/* The loop of a thread. loop_run returns when loop_stop was called or no task is left. */
struct loop *loop_new(void);
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);
/* All tasks must have ended, or loop_run be left for good: what tasks hold on their stacks is not released. */
void loop_free(struct loop *loop);
/* The loop that runs on this thread; NULL outside of loop_run. */
struct loop *loop_current(void);

/* Called each time before the loop waits, to send what was gathered meanwhile in one system call. */
struct loop_hook {
	void (*call)(void *arg);
	void *arg;
	struct loop_hook *next;
};
/* The hook is owned by the caller and must stay until loop_remove_hook. */
void loop_add_hook(struct loop *loop, struct loop_hook *hook);
void loop_remove_hook(struct loop *loop, struct loop_hook *hook);

/* Starts fn(arg) on `loop` (also from outside of it, before loop_run). `name` must stay valid; it is for diagnosis. */
struct task *task_spawn(struct loop *loop, task_function *fn, void *arg, const char *name);
struct task *task_current(void);
void task_hold(struct task *task);
void task_release(struct task *task);
/* Waits for the end of a task that is held. */
int task_join(struct task *task, int64_t deadline);
bool task_is_done(const struct task *task);
void task_cancel(struct task *task);
bool task_is_cancelled(const struct task *task);

/* Parks the running task until task_wake (returns its result), the deadline, or cancellation. */
int task_wait(int64_t deadline);
/* As task_wait, but cancellation does not end it: for what must not be left half done. */
int task_wait_uncancellable(int64_t deadline);
/* Makes a waiting task ready; no effect on one that does not wait. The first wake counts. */
void task_wake(struct task *task, int result);
int task_sleep_until(int64_t deadline);
/* Lets the others that are ready run first. */
void task_yield(void);

enum { IO_READ = 1, IO_WRITE = 2 };
/*
 * Waits until the descriptor may be read or written (IO_READ, IO_WRITE or both): call it after EAGAIN, or on a stream after a
 * read or write that moved less than was asked for, and try again after it; it may return early. One task may wait to read and another to write. The descriptor must be non-blocking; it is
 * registered at the first wait, and io_close is the way to close it from then on.
 */
int io_wait(int fd, unsigned events, int64_t deadline);
/*
 * Waits until the peer of a stream has ended its direction, or both: 0. What it sends before that stays for the next reader, and wakes nobody.
 * For one task at a time, while no other waits to read. Otherwise as io_wait.
 */
int io_wait_end(int fd, int64_t deadline);
/* Wakes whoever waits for the descriptor with -ECANCELED, forgets and closes it. Sets *fd to -1. */
void io_close(int *fd);
/* The same for a descriptor that was never duplicated or passed on: one system call less. */
void io_close_last(int *fd);
/* Forgets it without closing: before it is handed to another loop or process. */
void io_forget(int fd);

/* Tasks that wait for something in common, first come first served. Zeroed is empty. */
struct wait_list {
	struct waiter *first, *last;
};
int wait_list_wait(struct wait_list *list, int64_t deadline);
/*
 * Wakes the first whose wait has not ended already, so a turn goes to a task that learns of it: there wait_list_wait returns 0, even if
 * it is cancelled before it runs. False when nobody waits. Who is woken and does not use the turn passes it on.
 */
bool wait_list_wake_one(struct wait_list *list);
void wait_list_wake_all(struct wait_list *list);

#endif

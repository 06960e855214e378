/* SPDX-License-Identifier: ISC */
/* Work that blocks (file sync, password hashing, database clients) on a small pool of threads, while the task waits. */
#ifndef POSTERN_TASK_OFFLOAD_H
#define POSTERN_TASK_OFFLOAD_H

/* At most this many threads a loop, made when they are needed. */
enum { OFFLOAD_THREADS = 4 };

/*
 * Runs fn(arg) on a thread of the pool and returns when it is done; other tasks run meanwhile. fn must not touch anything
 * that belongs to the loop. Not ended by cancellation: `arg` may live on the caller's stack.
 */
void offload(void (*fn)(void *arg), void *arg);

#endif

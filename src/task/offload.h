/* SPDX-License-Identifier: ISC */
/*
 * Work that would hold the loop up, on threads, while the task waits: what blocks (file sync, files, database clients), and what computes for
 * long (password hashes). They have threads of their own, made when they are needed, so that neither waits for the other.
 */
#ifndef POSTERN_TASK_OFFLOAD_H
#define POSTERN_TASK_OFFLOAD_H

enum {
	OFFLOAD_THREADS = 4,           /* at most, a loop, for what blocks */
	OFFLOAD_COMPUTING_THREADS = 32, /* and for what computes, where there are so many processors */
};

/*
 * Runs fn(arg) on a thread for what blocks and returns when it is done; other tasks run meanwhile. fn must not touch anything
 * that belongs to the loop. Not ended by cancellation: `arg` may live on the caller's stack.
 */
void offload(void (*fn)(void *arg), void *arg);
/*
 * The same for what computes, which may take all processors, but not from anybody: its threads are `nice`, so that this loop and other
 * processes run first. Work waits in the order in which it came.
 */
void offload_computing(void (*fn)(void *arg), void *arg);
/* How much of it is done at the same time: one a processor that this process may use, OFFLOAD_COMPUTING_THREADS at most. */
unsigned offload_computing_width(void);

#endif

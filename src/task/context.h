/* SPDX-License-Identifier: ISC */
/*
 * Machine contexts: the saved registers of a stack that is not running. Assembly on x86-64 and aarch64, ucontext elsewhere.
 * Only callee-saved registers and the floating point control words are kept, as the ABIs define for a function call; signal
 * masks are not. A context never moves to another thread.
 */
#ifndef POSTERN_TASK_CONTEXT_H
#define POSTERN_TASK_CONTEXT_H

#include <stddef.h>

struct context {
	void *stack_pointer; /* where its registers are pushed; meaningless while it runs */
#if !defined(__x86_64__) && !defined(__aarch64__)
	void *portable; /* ucontext_t */
#endif
};

/* Prepares a context that calls entry(arg) on the stack [low, low + size) at the first switch to it. entry never returns. */
void context_make(struct context *context, void *low, size_t size, void (*entry)(void *), void *arg);
/* Saves the running context in *from and continues *to. Returns when somebody switches back to *from. */
void context_switch(struct context *from, struct context *to);
void context_free(struct context *context);

#endif

/* SPDX-License-Identifier: ISC */
#include "task/context.h"

#include "base/fatal.h"

#include <stdint.h>

#if defined(__x86_64__)

/* System V ABI, AMD64, §3.2.1: rbx, rbp, r12 to r15, MXCSR control bits and the x87 control word belong to the caller. */
__asm__(".text\n"
	".globl context_switch\n"
	".type context_switch, @function\n"
	"context_switch:\n"
	"	endbr64\n"
	"	pushq %rbp\n	pushq %rbx\n	pushq %r12\n	pushq %r13\n	pushq %r14\n	pushq %r15\n"
	"	subq $8, %rsp\n	stmxcsr (%rsp)\n	fnstcw 4(%rsp)\n"
	"	movq %rsp, (%rdi)\n"
	"	movq (%rsi), %rsp\n"
	"	ldmxcsr (%rsp)\n	fldcw 4(%rsp)\n	addq $8, %rsp\n"
	"	popq %r15\n	popq %r14\n	popq %r13\n	popq %r12\n	popq %rbx\n	popq %rbp\n"
	"	ret\n"
	".size context_switch, .-context_switch\n"
	".globl context_start\n"
	".type context_start, @function\n"
	"context_start:\n" /* the first return of a new context: r12 is the function, r13 its argument */
	"	movq %r13, %rdi\n	xorl %ebp, %ebp\n	callq *%r12\n	ud2\n"
	".size context_start, .-context_start\n");

void context_start(void);

void context_make(struct context *context, void *low, size_t size, void (*entry)(void *), void *arg)
{
	uintptr_t top = ((uintptr_t)low + size) & ~(uintptr_t)15;
	uintptr_t *slot = (uintptr_t *)top;
	*--slot = 0; /* keeps the stack aligned at the call and ends a backtrace */
	*--slot = 0;
	*--slot = (uintptr_t)context_start;
	*--slot = 0;                /* rbp */
	*--slot = 0;                /* rbx */
	*--slot = (uintptr_t)entry; /* r12 */
	*--slot = (uintptr_t)arg;   /* r13 */
	*--slot = 0;                /* r14 */
	*--slot = 0;                /* r15 */
	*--slot = UINT64_C(0x037f) << 32 | 0x1f80; /* x87 control word and MXCSR as a process starts with them */
	context->stack_pointer = slot;
}

void context_free(struct context *context)
{
	context->stack_pointer = NULL;
}

#elif defined(__aarch64__)

/* AAPCS64 §6.1: x19 to x29, the link register, and the low halves of v8 to v15 belong to the caller. */
__asm__(".text\n"
	".globl context_switch\n"
	".type context_switch, %function\n"
	"context_switch:\n"
	"	hint #34\n" /* bti c */
	"	sub sp, sp, #160\n"
	"	stp x19, x20, [sp]\n	stp x21, x22, [sp, #16]\n	stp x23, x24, [sp, #32]\n"
	"	stp x25, x26, [sp, #48]\n	stp x27, x28, [sp, #64]\n	stp x29, x30, [sp, #80]\n"
	"	stp d8, d9, [sp, #96]\n	stp d10, d11, [sp, #112]\n	stp d12, d13, [sp, #128]\n	stp d14, d15, [sp, #144]\n"
	"	mov x9, sp\n	str x9, [x0]\n	ldr x9, [x1]\n	mov sp, x9\n"
	"	ldp x19, x20, [sp]\n	ldp x21, x22, [sp, #16]\n	ldp x23, x24, [sp, #32]\n"
	"	ldp x25, x26, [sp, #48]\n	ldp x27, x28, [sp, #64]\n	ldp x29, x30, [sp, #80]\n"
	"	ldp d8, d9, [sp, #96]\n	ldp d10, d11, [sp, #112]\n	ldp d12, d13, [sp, #128]\n	ldp d14, d15, [sp, #144]\n"
	"	add sp, sp, #160\n"
	"	ret\n"
	".size context_switch, .-context_switch\n"
	".globl context_start\n"
	".type context_start, %function\n"
	"context_start:\n"
	"	mov x0, x20\n	blr x19\n	brk #1\n"
	".size context_start, .-context_start\n");

void context_start(void);

void context_make(struct context *context, void *low, size_t size, void (*entry)(void *), void *arg)
{
	uintptr_t top = ((uintptr_t)low + size) & ~(uintptr_t)15;
	uintptr_t *slot = (uintptr_t *)(top - 160);
	for (int i = 0; i < 20; i++)
		slot[i] = 0;
	slot[0] = (uintptr_t)entry;          /* x19 */
	slot[1] = (uintptr_t)arg;            /* x20 */
	slot[11] = (uintptr_t)context_start; /* x30 */
	context->stack_pointer = slot;
}

void context_free(struct context *context)
{
	context->stack_pointer = NULL;
}

#else

#include <stdlib.h>
#include <ucontext.h>

struct portable {
	ucontext_t saved;
	void (*entry)(void *);
	void *arg;
};

static void start(unsigned high, unsigned low)
{
	struct portable *portable = (struct portable *)(((uintptr_t)high << 16 << 16) | low);
	portable->entry(portable->arg);
	fatal("a task's entry function returned");
}

void context_make(struct context *context, void *low, size_t size, void (*entry)(void *), void *arg)
{
	struct portable *portable = xcalloc(1, sizeof *portable);
	portable->entry = entry;
	portable->arg = arg;
	ensure(getcontext(&portable->saved) == 0);
	portable->saved.uc_stack.ss_sp = low;
	portable->saved.uc_stack.ss_size = size;
	uintptr_t where = (uintptr_t)portable;
	makecontext(&portable->saved, (void (*)(void))start, 2, (unsigned)(where >> 16 >> 16), (unsigned)where);
	context->portable = portable;
	context->stack_pointer = low;
}

void context_switch(struct context *from, struct context *to)
{
	if (!from->portable)
		from->portable = xcalloc(1, sizeof(struct portable));
	ensure(swapcontext(&((struct portable *)from->portable)->saved, &((struct portable *)to->portable)->saved) == 0);
}

void context_free(struct context *context)
{
	free(context->portable);
	context->portable = NULL;
}

#endif

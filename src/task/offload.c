/* SPDX-License-Identifier: ISC */
#include "task/offload.h"

#include "base/fatal.h"
#include "task/internal.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* A tenth of the weight of what is not nice, by the kernel's table: enough to go on while other programs compute. */
enum { COMPUTING_NICE = 10 };

/* On the stack of the task that waits for it. */
struct offload_job {
	void (*fn)(void *);
	void *arg;
	struct task *task;
	struct offload_job *next;
	bool done;
};

/* ---- A thread ---- */

static struct offload_job *next_job(struct offload_pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	pool->idle++;
	while (!pool->waiting_first && !pool->ending)
		pthread_cond_wait(&pool->wanted, &pool->lock);
	pool->idle--;
	struct offload_job *job = pool->waiting_first;
	if (job) {
		pool->queued--;
		pool->waiting_first = job->next;
		if (!pool->waiting_first)
			pool->waiting_last = NULL;
	}
	pthread_mutex_unlock(&pool->lock);
	return job;
}

static void hand_back(struct offload_done *done, struct offload_job *job)
{
	uint64_t one = 1;
	pthread_mutex_lock(&done->lock);
	bool first = !done->first;
	job->next = done->first;
	done->first = job;
	pthread_mutex_unlock(&done->lock);
	if (first && write(done->event_fd, &one, sizeof one) != sizeof one)
		fatal("eventfd: %s", strerror(errno));
}

static void *worker(void *arg)
{
	struct offload_pool *pool = arg;
	struct offload_job *job;
	/* On Linux this is the thread's alone. A process that may not be nice computes as well. */
	if (pool->computes)
		(void)!nice(COMPUTING_NICE);
	while ((job = next_job(pool))) {
		job->fn(job->arg);
		hand_back(pool->done, job);
	}
	return NULL;
}

/* With the lock held. Signals stay with the loop's thread. */
static void add_thread(struct offload_pool *pool)
{
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int result = pthread_create(&pool->ids[pool->threads], NULL, worker, pool);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (result == 0)
		pool->threads++;
	else if (pool->threads == 0)
		fatal("cannot start a thread: %s", strerror(result));
}

/* ---- A task ---- */

static void run_on(struct offload_pool *pool, void (*fn)(void *), void *arg)
{
	struct offload_job job = { .fn = fn, .arg = arg, .task = task_current() };
	pthread_mutex_lock(&pool->lock);
	if (pool->waiting_last)
		pool->waiting_last->next = &job;
	else
		pool->waiting_first = &job;
	pool->waiting_last = &job;
	pool->queued++;
	bool idle = pool->queued <= pool->idle;
	if (!idle && pool->threads < pool->most)
		add_thread(pool);
	pthread_mutex_unlock(&pool->lock);
	/* Outside of the lock, so that the thread does not wake only to wait for it; a busy one looks for work by itself. */
	if (idle)
		pthread_cond_signal(&pool->wanted);
	while (!job.done)
		task_wait_uncancellable(CLOCK_NEVER);
}

void offload(void (*fn)(void *), void *arg)
{
	run_on(&loop_current()->offload.blocking, fn, arg);
}

void offload_computing(void (*fn)(void *), void *arg)
{
	run_on(&loop_current()->offload.computing, fn, arg);
}

unsigned offload_computing_width(void)
{
	return loop_current()->offload.computing.most;
}

/* ---- The loop ---- */

void offload_collect(struct loop *loop)
{
	struct offload_done *done = &loop->offload.done;
	uint64_t count;
	if (read(done->event_fd, &count, sizeof count) < 0 && errno != EAGAIN)
		fatal("eventfd: %s", strerror(errno));
	pthread_mutex_lock(&done->lock);
	struct offload_job *job = done->first;
	done->first = NULL;
	pthread_mutex_unlock(&done->lock);
	while (job) {
		struct offload_job *next = job->next; /* the job is gone once its task runs */
		job->done = true;
		task_wake(job->task, 0);
		job = next;
	}
}

/* Not sysconf, which reads files where a sandbox has none. */
static unsigned count_processors(void)
{
	cpu_set_t set;
	int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : OFFLOAD_COMPUTING_THREADS;
	return count < OFFLOAD_COMPUTING_THREADS ? (unsigned)count : OFFLOAD_COMPUTING_THREADS;
}

static void open_pool(struct offload_pool *pool, struct offload_done *done, unsigned most)
{
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->wanted, NULL);
	pool->done = done;
	pool->most = most;
}

void offload_init(struct loop *loop)
{
	struct offload *offload = &loop->offload;
	pthread_mutex_init(&offload->done.lock, NULL);
	offload->done.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct epoll_event event = { .events = EPOLLIN, .data.fd = offload->done.event_fd };
	if (offload->done.event_fd < 0 || epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, offload->done.event_fd, &event) < 0)
		fatal("eventfd: %s", strerror(errno));
	open_pool(&offload->blocking, &offload->done, OFFLOAD_THREADS);
	open_pool(&offload->computing, &offload->done, count_processors());
	offload->computing.computes = true;
}

static void close_pool(struct offload_pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	pool->ending = true;
	pthread_cond_broadcast(&pool->wanted);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned i = 0; i < pool->threads; i++)
		pthread_join(pool->ids[i], NULL);
	pthread_mutex_destroy(&pool->lock);
	pthread_cond_destroy(&pool->wanted);
}

void offload_free(struct loop *loop)
{
	struct offload *offload = &loop->offload;
	close_pool(&offload->blocking);
	close_pool(&offload->computing);
	pthread_mutex_destroy(&offload->done.lock);
	close(offload->done.event_fd);
}

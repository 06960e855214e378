/* SPDX-License-Identifier: ISC */
#include "task/offload.h"

#include "base/fatal.h"
#include "task/internal.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* On the stack of the task that waits for it. */
struct offload_job {
	void (*fn)(void *);
	void *arg;
	struct task *task;
	struct offload_job *next;
	bool done;
};

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

static void *worker(void *arg)
{
	struct offload_pool *pool = arg;
	struct offload_job *job;
	while ((job = next_job(pool))) {
		job->fn(job->arg);
		pthread_mutex_lock(&pool->lock);
		bool first = !pool->done;
		job->next = pool->done;
		pool->done = job;
		pthread_mutex_unlock(&pool->lock);
		uint64_t one = 1;
		if (first && write(pool->event_fd, &one, sizeof one) != sizeof one)
			fatal("eventfd: %s", strerror(errno));
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

void offload(void (*fn)(void *), void *arg)
{
	struct loop *loop = loop_current();
	struct offload_pool *pool = &loop->offload;
	struct offload_job job = { .fn = fn, .arg = arg, .task = task_current() };
	pthread_mutex_lock(&pool->lock);
	if (pool->waiting_last)
		pool->waiting_last->next = &job;
	else
		pool->waiting_first = &job;
	pool->waiting_last = &job;
	pool->queued++;
	bool idle = pool->queued <= pool->idle;
	if (!idle && pool->threads < OFFLOAD_THREADS)
		add_thread(pool);
	pthread_mutex_unlock(&pool->lock);
	/* Outside of the lock, so that the thread does not wake only to wait for it; a busy one looks for work by itself. */
	if (idle)
		pthread_cond_signal(&pool->wanted);
	while (!job.done)
		task_wait_uncancellable(CLOCK_NEVER);
}

void offload_collect(struct loop *loop)
{
	struct offload_pool *pool = &loop->offload;
	uint64_t count;
	if (read(pool->event_fd, &count, sizeof count) < 0 && errno != EAGAIN)
		fatal("eventfd: %s", strerror(errno));
	pthread_mutex_lock(&pool->lock);
	struct offload_job *job = pool->done;
	pool->done = NULL;
	pthread_mutex_unlock(&pool->lock);
	while (job) {
		struct offload_job *next = job->next; /* the job is gone once its task runs */
		job->done = true;
		task_wake(job->task, 0);
		job = next;
	}
}

void offload_init(struct loop *loop)
{
	struct offload_pool *pool = &loop->offload;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->wanted, NULL);
	pool->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct epoll_event event = { .events = EPOLLIN, .data.fd = pool->event_fd };
	if (pool->event_fd < 0 || epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, pool->event_fd, &event) < 0)
		fatal("eventfd: %s", strerror(errno));
}

void offload_free(struct loop *loop)
{
	struct offload_pool *pool = &loop->offload;
	pthread_mutex_lock(&pool->lock);
	pool->ending = true;
	pthread_cond_broadcast(&pool->wanted);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned i = 0; i < pool->threads; i++)
		pthread_join(pool->ids[i], NULL);
	pthread_mutex_destroy(&pool->lock);
	pthread_cond_destroy(&pool->wanted);
	close(pool->event_fd);
}

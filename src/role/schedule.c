/* SPDX-License-Identifier: ISC */
/*
 * When messages are delivered: at once when they are new, later when they were deferred. Only the identifier of a waiting
 * message is in memory; its envelope is read again when it is due.
 */
#include "base/cleanup.h"
#include "base/fatal.h"
#include "role/queue.h"
#include "task/offload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { REMOVALS_AT_ONCE = 256 };

/* ETRN costs a client nothing, but the queue a look at each message. */
#define RUNS_APART (10 * CLOCK_SECOND)
/* How long a message waits that is not to be delivered at once; a start and a reload are runs of the queue as well. */
#define QUEUE_RUN_INTERVAL (15 * 60 * CLOCK_SECOND)

struct queue_entry *queue_entry_new(struct queue *queue, const struct message_id *id, int64_t received_ns)
{
	struct queue_entry *entry = xcalloc(1, sizeof *entry);
	*entry = (struct queue_entry){ .queue = queue, .id = *id, .received_ns = received_ns, .fd = -1 };
	arena_init(&entry->arena, 0);
	queue->entries++;
	return entry;
}

void queue_entry_free(struct queue_entry *entry)
{
	if (!entry)
		return;
	entry->queue->entries--;
	arena_free(&entry->arena);
	fd_close(&entry->fd);
	free(entry);
}

void schedule_now(struct queue *queue, struct queue_entry *entry)
{
	entry->next = NULL;
	if (queue->due_last)
		queue->due_last->next = entry;
	else
		queue->due_first = entry;
	queue->due_last = entry;
	wait_list_wake_one(&queue->schedule_changed);
}

/* In order of their times. A new one mostly goes to the end, for intervals grow. */
static void insert_waiting(struct queue *queue, struct queue_entry *entry)
{
	struct queue_entry *before = queue->waiting_last;
	while (before && before->due > entry->due)
		before = before->previous;
	entry->previous = before;
	entry->next = before ? before->next : queue->waiting;
	if (before)
		before->next = entry;
	else
		queue->waiting = entry;
	if (entry->next)
		entry->next->previous = entry;
	else
		queue->waiting_last = entry;
}

static struct queue_entry *take_first_waiting(struct queue *queue)
{
	struct queue_entry *entry = queue->waiting;
	queue->waiting = entry->next;
	if (queue->waiting)
		queue->waiting->previous = NULL;
	else
		queue->waiting_last = NULL;
	return entry;
}

void schedule_retry(struct queue *queue, struct queue_entry *entry, int64_t when_ns)
{
	int64_t wait = when_ns - clock_wall_now();
	/* Whoever was under way when all were to be tried is tried again: by the configuration that is in force now. */
	bool again = entry->round != queue->round;
	entry->due = clock_after(wait > 0 ? wait : 0);
	entry->waited = !again;
	entry->envelope = NULL;
	entry->message_id = (struct slice){ 0 };
	arena_free(&entry->arena);
	fd_close(&entry->fd);
	if (again) {
		schedule_now(queue, entry);
		return;
	}
	insert_waiting(queue, entry);
	wait_list_wake_one(&queue->schedule_changed);
}

void schedule_arrival(struct queue *queue, struct queue_entry *entry)
{
	struct log *log = &queue->role->log;
	entry->round = queue->round;
	if (entry->envelope->frozen) {
		log_line(log, LOG_KIND_MAIN, "%s frozen by ACL", entry->id.text);
		queue_entry_free(entry);
	} else if (entry->envelope->queue_only) {
		log_line(log, LOG_KIND_MAIN, "%s no immediate delivery: queued by ACL", entry->id.text);
		schedule_retry(queue, entry, clock_wall_now() + QUEUE_RUN_INTERVAL);
	} else {
		schedule_now(queue, entry);
	}
}

void schedule_all_now(struct queue *queue)
{
	queue->round++;
	while (queue->waiting) {
		struct queue_entry *entry = take_first_waiting(queue);
		entry->waited = false;
		schedule_now(queue, entry);
	}
}

void schedule_run(struct queue *queue)
{
	if (queue->last_run && clock_now() - queue->last_run < RUNS_APART)
		return;
	queue->last_run = clock_now();
	schedule_all_now(queue);
}

static void move_due(struct queue *queue)
{
	int64_t now = clock_now();
	while (queue->waiting && queue->waiting->due <= now)
		schedule_now(queue, take_first_waiting(queue));
}

static void schedule_task(void *arg)
{
	struct queue *queue = arg;
	for (;;) {
		move_due(queue);
		while (queue->due_first && queue->active < DELIVERIES_AT_ONCE && !queue->role->draining) {
			struct queue_entry *entry = queue->due_first;
			queue->due_first = entry->next;
			if (!queue->due_first)
				queue->due_last = NULL;
			queue->active++;
			entry->round = queue->round;
			task_spawn(queue->role->loop, deliver_task, entry, "delivery");
		}
		int64_t deadline = queue->waiting ? queue->waiting->due : CLOCK_NEVER;
		if (wait_list_wait(&queue->schedule_changed, deadline) == -ECANCELED)
			return;
	}
}

/* ---- Removal ---- */

struct removal {
	struct spool *spool;
	struct message_id ids[REMOVALS_AT_ONCE];
	size_t count;
	bool done;
	struct error error;
};

static void remove_batch(void *arg)
{
	struct removal *removal = arg;
	/* Not waited for: if the machine fails right now, a message may be delivered twice, but none is lost. */
	removal->done = spool_remove(removal->spool, removal->ids, removal->count, false, &removal->error);
}

static void remove_task(void *arg)
{
	struct queue *queue = arg;
	struct removal *removal = xcalloc(1, sizeof *removal);
	removal->spool = queue->spool;
	for (;;) {
		while (queue->removal_count == 0)
			if (wait_list_wait(&queue->removals_wanted, CLOCK_NEVER) < 0)
				return;
		/* A moment, so that one pass takes several; a longer one would mean more duplicates after a crash. */
		task_sleep_until(clock_after(5 * CLOCK_MS));
		removal->count = queue->removal_count < REMOVALS_AT_ONCE ? queue->removal_count : REMOVALS_AT_ONCE;
		memcpy(removal->ids, queue->removals, removal->count * sizeof removal->ids[0]);
		memmove(queue->removals, queue->removals + removal->count,
			(queue->removal_count - removal->count) * sizeof removal->ids[0]);
		queue->removal_count -= removal->count;
		queue->removing = removal->count;
		offload(remove_batch, removal);
		queue->removing = 0;
		if (!removal->done)
			log_line(&queue->role->log, LOG_KIND_PANIC, "a delivered message could not be removed from the spool: %s",
				 removal->error.text);
		if (spool_is_broken(queue->spool))
			queue_spool_broken(queue);
		wait_list_wake_all(&queue->active_ended);
	}
}

void schedule_remove(struct queue *queue, const struct message_id *id)
{
	if (queue->removal_count == queue->removal_size) {
		queue->removal_size = queue->removal_size ? queue->removal_size * 2 : 64;
		queue->removals = xrealloc(queue->removals, queue->removal_size * sizeof *id);
	}
	queue->removals[queue->removal_count++] = *id;
	wait_list_wake_one(&queue->removals_wanted);
}

void schedule_start(struct queue *queue)
{
	task_spawn(queue->role->loop, schedule_task, queue, "schedule");
	task_spawn(queue->role->loop, remove_task, queue, "remove");
}

/* SPDX-License-Identifier: ISC */
/*
 * When messages are delivered: at once when they are new, later when they were deferred or are to wait for a run of their queue. Only
 * the identifier of a waiting message is in memory; its envelope is read again when it is due.
 */
#include "base/cleanup.h"
#include "base/fatal.h"
#include "conf/log_selector.h"
#include "role/queue.h"
#include "task/offload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { REMOVALS_AT_ONCE = 256 };

#define REMOVAL_AGAIN CLOCK_SECOND /* after one that failed: the disk may have room by then */

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
	queue_runs_leave(entry);
	arena_free(&entry->arena);
	fd_close(&entry->fd);
	free(entry->unrecorded);
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

/* Of what is not tried now only the identifier is kept, and what the spool does not know. */
static void forget_text(struct queue_entry *entry)
{
	entry->envelope = NULL;
	entry->message_id = entry->proxy = entry->delays = (struct slice){ 0 };
	arena_free(&entry->arena);
	fd_close(&entry->fd);
}

void schedule_retry(struct queue *queue, struct queue_entry *entry, int64_t when_ns)
{
	int64_t wait = when_ns - clock_wall_now();
	/* Whoever was under way when all were to be tried is tried again: by the configuration that is in force now. */
	bool again = entry->round != queue->round && entry->named == queue->usual;
	entry->due = clock_after(wait > 0 ? wait : 0);
	entry->waited = !again;
	entry->in_run = false;
	forget_text(entry);
	if (again) {
		schedule_now(queue, entry);
	} else if (entry->named != queue->usual) {
		queue_runs_hold(entry, entry->due);
	} else {
		insert_waiting(queue, entry);
		wait_list_wake_one(&queue->schedule_changed);
	}
}

static void log_arrival_state(struct queue *queue, const struct queue_entry *entry)
{
	struct log *log = &queue->role->log;
	struct slice reasons = entry->delays, reason;
	if (entry->envelope->frozen)
		log_line(log, LOG_KIND_MAIN, "%s frozen by ACL", entry->id.text);
	while (queue->role->conf->main.log_items & LOG_ITEM_DELAY_DELIVERY && ipc_list_next(&reasons, &reason))
		log_line(log, LOG_KIND_MAIN, "%s no immediate delivery: %.*s", entry->id.text, SLICE_ARG(reason));
}

void schedule_arrival(struct queue *queue, struct queue_entry *entry)
{
	entry->round = queue->round;
	log_arrival_state(queue, entry);
	if (entry->envelope->frozen) {
		queue_entry_free(entry);
	} else if (entry->envelope->queue_only) {
		entry->waited = true;
		forget_text(entry);
		queue_runs_hold(entry, 0);
	} else {
		schedule_now(queue, entry);
	}
}

void schedule_found(struct queue *queue, struct queue_entry *entry, const struct spool_envelope *envelope)
{
	int64_t wait = envelope->deferred_until_ns - clock_wall_now();
	queue_runs_enter(entry, envelope->queue_name);
	if (entry->named == queue->usual)
		queue_runs_hold(entry, 0);
	else if (envelope->queue_only || envelope->deferred_until_ns)
		queue_runs_hold(entry, clock_after(wait > 0 ? wait : 0));
	else
		schedule_now(queue, entry); /* its first delivery, at once, has not come to an end */
}

void schedule_forget_found(struct queue *queue)
{
	struct queue_entry *entry = queue->due_first, *next;
	queue->due_first = queue->due_last = NULL;
	for (; entry; entry = next) {
		next = entry->next;
		queue_entry_free(entry);
	}
	queue_runs_forget_held(queue);
}

size_t schedule_waiting_now(struct queue *queue)
{
	size_t count = 0;
	queue->round++;
	for (; queue->waiting; count++) {
		struct queue_entry *entry = take_first_waiting(queue);
		entry->waited = false;
		entry->in_run = true;
		schedule_now(queue, entry);
	}
	return count;
}

static void move_due(struct queue *queue)
{
	int64_t now = clock_now();
	while (queue->waiting && queue->waiting->due <= now)
		schedule_now(queue, take_first_waiting(queue));
}

static void delivery_task(void *arg)
{
	struct queue_entry *entry = arg;
	struct queue *queue = entry->queue;
	struct named_queue *run = entry->in_run ? entry->named : NULL;
	deliver_task(entry);
	if (run)
		queue_runs_delivered(queue, run);
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
			task_spawn(queue->role->loop, delivery_task, entry, "delivery");
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
	bool durable;
	bool done;
	struct error error;
};

static void remove_batch(void *arg)
{
	struct removal *removal = arg;
	removal->done = spool_remove(removal->spool, removal->ids, removal->count, removal->durable, &removal->error);
}

/* What has no end in the spool would be delivered again at the next start. */
static void remove_again(struct queue *queue, const struct removal *removal, bool told)
{
	if (!told)
		log_line(&queue->role->log, LOG_KIND_PANIC, "delivered messages could not be removed from the spool, which is tried again: %s",
			 removal->error.text);
	for (size_t i = 0; i < removal->count; i++)
		schedule_remove(queue, &removal->ids[i]);
}

static void remove_task(void *arg)
{
	struct queue *queue = arg;
	struct removal *removal = xcalloc(1, sizeof *removal);
	bool told = false; /* that it fails */
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
		/* Under load the next batch of messages makes their end durable, too; until then a failure of the machine means duplicates. */
		removal->durable = queue->active == 0 && !queue->submitted_first;
		offload(remove_batch, removal);
		queue->removing = 0;
		if (!removal->done)
			remove_again(queue, removal, told);
		told = !removal->done;
		if (spool_is_broken(queue->spool))
			queue_spool_broken(queue);
		wait_list_wake_all(&queue->active_ended);
		if (!removal->done)
			task_sleep_until(clock_after(REMOVAL_AGAIN));
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

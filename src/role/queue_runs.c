/* SPDX-License-Identifier: ISC */
/*
 * Runs of queues: at the start, at a reload, by the clock (queue_run_interval, queue_run_named) and when a client asks with ETRN. A run takes
 * what is held for it: messages that were not to be delivered at once, and those of a queue with a name that were deferred and whose
 * time has come. What is deferred in the usual queue is tried in its time without a run; a run that does not look at times takes it
 * as well. Of frozen messages nothing is known here.
 *
 * A run is over when the last delivery that it took has ended. Of each queue there is one at a time: one by the clock is left out while
 * another is under way, any other joins it.
 */
#include "base/fatal.h"
#include "conf/log_selector.h"
#include "role/queue.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* ETRN costs a client nothing, but the queue a look at each message. */
#define RUNS_APART (10 * CLOCK_SECOND)

/* ---- Queues by name ---- */

/* Finds it, or makes it. */
static struct named_queue *find(struct queue *queue, struct slice name)
{
	struct named_queue *named = queue->named;
	while (named && !slice_equal(slice_of(named->name), name))
		named = named->next;
	if (named)
		return named;
	named = xcalloc(1, sizeof *named);
	ensure(slice_to_cstr(name, named->name, sizeof named->name));
	named->next = queue->named;
	queue->named = named;
	return named;
}

void queue_runs_init(struct queue *queue)
{
	queue->usual = find(queue, (struct slice){ 0 });
}

/* Forgets it if nothing needs it any more. */
static void release(struct queue *queue, struct named_queue *named)
{
	struct named_queue **at = &queue->named;
	if (named == queue->usual || named->entries || named->interval || named->running)
		return;
	while (*at != named)
		at = &(*at)->next;
	*at = named->next;
	free(named);
}

void queue_runs_enter(struct queue_entry *entry, struct slice name)
{
	entry->named = find(entry->queue, name);
	entry->named->entries++;
}

void queue_runs_leave(struct queue_entry *entry)
{
	struct named_queue *named = entry->named;
	entry->named = NULL;
	if (!named)
		return;
	named->entries--;
	release(entry->queue, named);
}

void queue_runs_hold(struct queue_entry *entry, int64_t due)
{
	struct named_queue *named = entry->named;
	entry->due = due;
	entry->next = NULL;
	if (named->held_last)
		named->held_last->next = entry;
	else
		named->held = entry;
	named->held_last = entry;
}

static void free_held(struct named_queue *named)
{
	struct queue_entry *entry = named->held, *next;
	named->held = named->held_last = NULL;
	for (; entry; entry = next) {
		next = entry->next;
		queue_entry_free(entry); /* with the last one its queue may go */
	}
}

void queue_runs_forget_held(struct queue *queue)
{
	for (struct named_queue *named = queue->named, *next; named; named = next) {
		next = named->next;
		free_held(named);
	}
}

/* ---- A run ---- */

static void log_run(struct queue *queue, const struct named_queue *named, const char *what, const char *flags)
{
	const char *quote = *named->name ? "'" : "", *space = *named->name ? " " : "";
	if (queue->role->conf->main.log_items & LOG_ITEM_QUEUE_RUN)
		log_line(&queue->role->log, LOG_KIND_MAIN, "%s %s%s%s%squeue run: pid=%ld%s", what, quote, named->name, quote, space,
			 (long)getpid(), flags);
}

static void end_run(struct queue *queue, struct named_queue *named)
{
	named->running = false;
	log_run(queue, named, "End", "");
	release(queue, named);
}

void queue_runs_delivered(struct queue *queue, struct named_queue *named)
{
	if (--named->left == 0)
		end_run(queue, named);
}

/* What is held and due goes to those that are delivered, the rest stays in its order. */
static void take_held(struct queue *queue, struct named_queue *named, bool all)
{
	struct queue_entry *entry = named->held, *next;
	int64_t now = clock_now();
	named->held = named->held_last = NULL;
	for (; entry; entry = next) {
		next = entry->next;
		if (!all && entry->due > now) {
			queue_runs_hold(entry, entry->due);
			continue;
		}
		entry->waited = entry->waited && !all;
		entry->in_run = true;
		named->left++;
		schedule_now(queue, entry);
	}
}

/* all: whatever the retry times (Exim's -qf). The queue may be gone afterwards. */
static void run(struct queue *queue, struct named_queue *named, bool all)
{
	if (!named->running)
		log_run(queue, named, "Start", all ? " -qf" : "");
	named->running = true;
	take_held(queue, named, all);
	if (all && named == queue->usual)
		named->left += schedule_waiting_now(queue);
	if (named->left == 0)
		end_run(queue, named);
}

void queue_runs_ask(struct queue *queue, struct slice name)
{
	struct named_queue *named = find(queue, name);
	if (named->asked && clock_now() - named->asked < RUNS_APART)
		return;
	named->asked = clock_now();
	run(queue, named, true);
}

/* ---- By the clock ---- */

static int64_t run_those_due(struct queue *queue)
{
	int64_t next = CLOCK_NEVER, now = clock_now();
	for (struct named_queue *named = queue->named; named; named = named->next) {
		if (!named->interval)
			continue;
		if (named->next_run <= now) {
			named->next_run = now + named->interval;
			if (!named->running && !queue->role->draining)
				run(queue, named, false); /* it stays, for it has an interval */
		}
		next = named->next_run < next ? named->next_run : next;
	}
	return next;
}

/* Intervals are those of the configuration; the usual queue, and those with one, are run at once. */
static void begin(struct queue *queue, bool all)
{
	const struct conf_main *main = &queue->role->conf->main;
	for (struct named_queue *named = queue->named; named; named = named->next)
		named->interval = 0;
	for (size_t i = 0; i < main->queue_run_count; i++) {
		struct named_queue *named = find(queue, main->queue_runs[i].name);
		named->interval = main->queue_runs[i].interval;
		named->next_run = clock_after(named->interval);
	}
	for (struct named_queue *named = queue->named, *next; named; named = next) {
		next = named->next;
		if (named->interval || named == queue->usual)
			run(queue, named, all);
		else
			release(queue, named);
	}
}

static void runs_task(void *arg)
{
	struct queue *queue = arg;
	begin(queue, false);
	do {
		if (queue->reloaded)
			begin(queue, true);
		queue->reloaded = false;
	} while (wait_list_wait(&queue->runs_changed, run_those_due(queue)) != -ECANCELED);
}

void queue_runs_start(struct queue *queue)
{
	task_spawn(queue->role->loop, runs_task, queue, "queue runs");
}

void queue_runs_reload(struct queue *queue)
{
	queue->reloaded = true;
	wait_list_wake_one(&queue->runs_changed);
}

/* SPDX-License-Identifier: ISC */
/*
 * The store: writes messages into Maildirs as the user whose they are. The master gives it the directories below which it
 * may deliver; it has no network, and Landlock keeps it below them. Deliveries that come while the disk is busy are made
 * together, with one wait for all (mailbox/maildir.h).
 *
 * A store that has had nothing to do for five minutes ends; the queue asks for a new one when it needs it. One that is told to end finishes
 * the batch that is under way, and begins none: whoever waits for the others sees the connection close, and asks the next store. It ends in
 * the same way when a directory that it was given is no longer what its path leads to, for example below a file system mounted since.
 */
#include "base/cleanup.h"
#include "base/fatal.h"
#include "mailbox/maildir.h"
#include "role/process.h"
#include "task/offload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BASES_MAX = ROLE_PATHS_MAX, DELIVERIES_AT_ONCE = 64 };

#define IDLE_TIME (5 * 60 * CLOCK_SECOND)

struct store_base {
	char *path; /* without a slash at its end, but for the root */
	int fd;
};

/* A delivery from its arrival to its answer. */
struct store_job {
	struct store_job *next;
	struct ipc_peer *peer;
	uint64_t call;
	void *memory; /* of the slices in `delivery` */
	struct maildir_delivery delivery;
};

struct store {
	struct role_process *role;
	struct store_base bases[BASES_MAX];
	size_t base_count;
	struct ipc_peer *queue;
	struct store_job *first, *last;
	struct wait_list wanted, ended;
	unsigned under_way;
	int64_t last_used;
};

/* ---- Material ---- */

static void store_material(struct role_process *role, struct ipc_incoming *incoming)
{
	struct store *store = role->state;
	struct ipc_mailboxes message;
	if (incoming->type != IPC_MAILBOXES_MESSAGE)
		return;
	if (!ipc_unpack_mailboxes(incoming->body, &message) || incoming->fd_count != 1 || message.path.len == 0)
		fatal("the master's message about mailboxes is malformed");
	if (role->sandboxed || store->base_count == BASES_MAX)
		return; /* the walls are up: new directories need a new store, which the master starts at a reload */
	struct store_base *base = &store->bases[store->base_count++];
	base->path = xcalloc(1, message.path.len + 1);
	memcpy(base->path, message.path.data, message.path.len);
	base->fd = fd_take(&incoming->fds[0]);
}

static size_t store_paths(struct role_process *role, struct sandbox_path *paths, size_t size)
{
	struct store *store = role->state;
	size_t count = 0;
	for (; count < store->base_count && count < size; count++)
		paths[count] = (struct sandbox_path){ store->bases[count].fd, SANDBOX_READ | SANDBOX_WRITE };
	return count;
}

/* ---- Deliveries ---- */

/* The deepest directory that the path is in, and the rest of the path. */
static const struct store_base *find_base(const struct store *store, struct slice path, struct slice *rest_r)
{
	const struct store_base *best = NULL;
	size_t best_len = 0;
	for (size_t i = 0; i < store->base_count; i++) {
		struct slice base = slice_of(store->bases[i].path);
		size_t len = base.len == 1 ? 0 : base.len; /* "/" */
		if (!slice_starts(path, base) || path.len <= len || path.data[len] != '/' || (best && len < best_len))
			continue;
		best = &store->bases[i];
		best_len = len;
		*rest_r = slice_from(path, len + 1);
	}
	return best;
}

static void answer(struct store_job *job)
{
	const struct error *error = &job->delivery.error;
	struct ipc_delivered message = {
		.kind = error->kind,
		.number = (uint64_t)(error->number > 0 ? error->number : 0),
		.text = slice_of(error->kind == ERROR_NONE ? job->delivery.name : error->text),
	};
	ipc_send(job->peer, delivered, DELIVERED, job->call, &message, NULL, 0);
	ipc_release(job->peer);
}

static void free_job(struct store_job *job)
{
	fd_close(&job->delivery.body_fd);
	free(job->memory);
	free(job);
}

static bool take_job(struct store *store, struct store_job *job, struct ipc_incoming *incoming)
{
	struct ipc_deliver message;
	struct maildir_delivery *delivery = &job->delivery;
	if (incoming->type != IPC_DELIVER_MESSAGE || incoming->fd_count != 1 || !ipc_unpack_deliver(incoming->body, &message))
		return error_set(&delivery->error, ERROR_PERMANENT, "malformed delivery");
	job->memory = xcalloc(1, incoming->body.len);
	memcpy(job->memory, incoming->body.data, incoming->body.len);
	ipc_unpack_deliver(slice_make(job->memory, incoming->body.len), &message);
	const struct store_base *base = find_base(store, message.directory, &delivery->path);
	if (!base)
		return error_set(&delivery->error, ERROR_TEMPORARY, "%.*s is below no directory that this store was given",
				 SLICE_ARG(message.directory));
	delivery->base_fd = base->fd;
	delivery->create = message.create != 0;
	delivery->directory_mode = (mode_t)(message.directory_mode & 07777);
	delivery->file_mode = (mode_t)(message.mode & 07777);
	delivery->prefix = message.prefix;
	delivery->body_fd = fd_take(&incoming->fds[0]);
	delivery->body_offset = message.offset;
	delivery->body_size = message.size;
	return true;
}

static void from_queue(void *owner, struct ipc_peer *peer, struct ipc_incoming *incoming)
{
	struct role_process *role = owner;
	struct store *store = role->state;
	struct store_job *job = xcalloc(1, sizeof *job);
	*job = (struct store_job){ .peer = peer, .call = incoming->call, .delivery.body_fd = -1 };
	store->last_used = clock_now();
	ipc_hold(peer);
	if (!take_job(store, job, incoming)) {
		answer(job);
		free_job(job);
		return;
	}
	if (store->last)
		store->last->next = job;
	else
		store->first = job;
	store->last = job;
	wait_list_wake_one(&store->wanted);
}

struct store_batch {
	const struct store *store;
	struct maildir *maildir;
	bool misplaced; /* nothing was written: the directories are others now */
	struct store_job *jobs[DELIVERIES_AT_ONCE];
	struct maildir_delivery deliveries[DELIVERIES_AT_ONCE];
	size_t count;
};

/* Whether the path leads elsewhere now. Who may not look cannot tell. */
static bool was_replaced(const struct store_base *base)
{
	struct stat ours, now;
	if (fstat(base->fd, &ours) < 0)
		return false;
	if (stat(base->path, &now) < 0)
		return errno == ENOENT || errno == ENOTDIR;
	return ours.st_dev != now.st_dev || ours.st_ino != now.st_ino;
}

static void write_batch(void *arg)
{
	struct store_batch *batch = arg;
	for (size_t i = 0; i < batch->store->base_count; i++)
		batch->misplaced = batch->misplaced || was_replaced(&batch->store->bases[i]);
	if (batch->misplaced)
		return;
	maildir_deliver(batch->maildir, batch->deliveries, batch->count);
}

static void flush_answers(const struct store *store)
{
	if (store->queue)
		ipc_flush(store->queue, clock_after(CLOCK_SECOND));
}

/* Waits for deliveries and gathers some. False: there will be no more. */
static bool wait_for_batch(struct store *store, int64_t last_batch)
{
	while (!store->first)
		if (wait_list_wait(&store->wanted, CLOCK_NEVER) < 0)
			return false;
	/* As in the queue (role/accept.c): under load, a moment more makes a batch of several. */
	if (clock_now() - last_batch < BATCH_BUSY)
		task_sleep_until(clock_after(BATCH_GATHERING));
	return !store->role->draining;
}

static void writing_task(void *arg)
{
	struct role_process *role = arg;
	struct store *store = role->state;
	struct store_batch *batch = xcalloc(1, sizeof *batch);
	int64_t last_batch = 0;
	batch->store = store;
	batch->maildir = maildir_new(role->conf->main.primary_hostname, NULL);
	while (!batch->misplaced && wait_for_batch(store, last_batch)) {
		for (batch->count = 0; store->first && batch->count < DELIVERIES_AT_ONCE; batch->count++) {
			struct store_job *job = store->first;
			store->first = job->next;
			batch->jobs[batch->count] = job;
			batch->deliveries[batch->count] = job->delivery;
		}
		if (!store->first)
			store->last = NULL;
		store->under_way += (unsigned)batch->count;
		if (batch->count)
			offload(write_batch, batch);
		last_batch = clock_now();
		store->under_way -= (unsigned)batch->count;
		for (size_t i = 0; i < batch->count; i++) {
			batch->jobs[i]->delivery = batch->deliveries[i];
			if (batch->misplaced)
				ipc_release(batch->jobs[i]->peer);
			else
				answer(batch->jobs[i]);
			free_job(batch->jobs[i]);
		}
		wait_list_wake_all(&store->ended);
	}
	if (batch->misplaced && !role->draining) {
		flush_answers(store);
		loop_stop(role->loop);
	}
	maildir_free(batch->maildir);
	free(batch);
}

/* ---- Life ---- */

static void idle_task(void *arg)
{
	struct role_process *role = arg;
	struct store *store = role->state;
	while (store->first || store->under_way || clock_now() - store->last_used < IDLE_TIME)
		task_sleep_until(clock_after(30 * CLOCK_SECOND));
	loop_stop(role->loop);
}

static void queue_lost(void *owner, struct ipc_peer *peer)
{
	struct role_process *role = owner;
	struct store *store = role->state;
	if (store->queue == peer)
		store->queue = NULL;
	ipc_close_later(peer);
}

static const struct ipc_handler queue_handler = { from_queue, queue_lost };

static void store_connected(struct role_process *role, int fd, enum role other, unsigned index, uid_t uid)
{
	struct store *store = role->state;
	(void)index;
	(void)uid;
	if (other != ROLE_QUEUE)
		fatal("a store talks to the queue only");
	store->queue = ipc_open(role->loop, fd, ROLE_STORE, ROLE_QUEUE, &queue_handler, role);
}

static bool store_start(struct role_process *role, struct error *error)
{
	struct store *store = role->state;
	(void)error;
	store->role = role;
	store->last_used = clock_now();
	umask(0); /* the configured modes are meant as they are written */
	return true;
}

static bool store_apply(struct role_process *role, struct error *error)
{
	(void)error;
	if (role->conf)
		return true;
	/* The writing task reads role->conf when it first runs, which is after this apply is complete. */
	task_spawn(role->loop, writing_task, role, "writing");
	task_spawn(role->loop, idle_task, role, "idle");
	return true;
}

static void store_drain(struct role_process *role)
{
	struct store *store = role->state;
	while (store->under_way && clock_now() < role->drain_deadline)
		if (wait_list_wait(&store->ended, role->drain_deadline) < 0)
			break;
	flush_answers(store);
}

const struct role_ops store_ops = {
	.state_size = sizeof(struct store),
	.start = store_start,
	.material = store_material,
	.apply = store_apply,
	.paths = store_paths,
	.connected = store_connected,
	.drain = store_drain,
};

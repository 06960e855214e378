/* SPDX-License-Identifier: ISC */
#include "role/queue.h"

#include "base/cleanup.h"
#include "base/fatal.h"
#include "task/offload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void queue_spool_broken(struct queue *queue)
{
	log_line(&queue->role->log, LOG_KIND_PANIC, "the spool could not be synced to disk: the queue ends and recovers from disk");
	_exit(1);
}

/* ---- Peers ---- */

struct user_question {
	struct queue *queue;
	struct ipc_peer *peer;
	uint64_t call;
	struct user_lookup lookup;
};

static void user_task(void *arg)
{
	struct user_question *question = arg;
	struct user_lookup *lookup = &question->lookup;
	offload(deliver_lookup_user, lookup);
	struct ipc_user answer = { .kind = lookup->result };
	if (lookup->result == ROUTE_USER_FOUND) {
		answer.uid = lookup->user.uid;
		answer.gid = lookup->user.gid;
		answer.home = lookup->user.home;
	}
	ipc_send(question->peer, user, USER, question->call, &answer, NULL, 0);
	ipc_release(question->peer);
	free(question);
}

static void find_user(struct queue *queue, struct ipc_peer *peer, struct ipc_incoming *incoming)
{
	struct ipc_find_user message;
	struct user_question *question = xcalloc(1, sizeof *question);
	*question = (struct user_question){ .queue = queue, .peer = peer, .call = incoming->call };
	if (!ipc_unpack_find_user(incoming->body, &message) ||
	    !slice_to_cstr(message.name, question->lookup.name, sizeof question->lookup.name)) {
		struct ipc_user answer = { .kind = ROUTE_USER_UNKNOWN };
		ipc_send(peer, user, USER, incoming->call, &answer, NULL, 0);
		free(question);
		return;
	}
	ipc_hold(peer);
	task_spawn(queue->role->loop, user_task, question, "find user");
}

static void run_queue(struct queue *queue, const struct ipc_incoming *incoming)
{
	struct ipc_run_queue message;
	if (ipc_unpack_run_queue(incoming->body, &message) && (message.queue_name.len == 0 || queue_name_valid(message.queue_name)))
		queue_runs_ask(queue, message.queue_name);
}

static void from_front(void *owner, struct ipc_peer *peer, struct ipc_incoming *incoming)
{
	struct queue *queue = owner;
	if (incoming->type == IPC_FIND_USER_MESSAGE)
		find_user(queue, peer, incoming);
	else if (incoming->type == IPC_RUN_QUEUE_MESSAGE)
		run_queue(queue, incoming);
	else
		accept_submit(queue, peer, incoming);
}

static void front_lost(void *owner, struct ipc_peer *peer)
{
	struct queue *queue = owner;
	accept_front_lost(queue, peer);
	ipc_close_later(peer);
}

static const struct ipc_handler front_handler = { from_front, front_lost };

static void queue_connected(struct role_process *role, int fd, enum role other, unsigned index, uid_t uid)
{
	struct queue *queue = role->state;
	if (other == ROLE_FRONT)
		ipc_open(role->loop, fd, ROLE_QUEUE, ROLE_FRONT, &front_handler, queue);
	else if (other == ROLE_STORE)
		deliver_store_connected(queue, fd, uid, index);
	else if (!ask_lines_connected(&queue->asked, role->loop, fd, ROLE_QUEUE, other))
		fatal("the queue talks to fronts, stores, and the roles that answer questions only");
}

/* ---- Material ---- */

static void queue_material(struct role_process *role, struct ipc_incoming *incoming)
{
	struct queue *queue = role->state;
	struct ipc_store_refused refused;
	if (incoming->type == IPC_SPOOL_MESSAGE && incoming->fd_count == 1 && queue->spool_dir < 0)
		queue->spool_dir = fd_take(&incoming->fds[0]);
	else if (incoming->type == IPC_STORE_REFUSED_MESSAGE && ipc_unpack_store_refused(incoming->body, &refused))
		deliver_store_refused(queue, (uid_t)refused.uid, (gid_t)refused.gid, refused.problem);
}

/* ---- Start ---- */

static void scanned_message(void *context, const struct spool_envelope *envelope)
{
	struct queue *queue = context;
	if (!envelope->frozen)
		schedule_found(queue, queue_entry_new(queue, &envelope->id, envelope->received_ns), envelope);
}

static void scanned_problem(void *context, const struct spool_problem *problem)
{
	struct queue *queue = context;
	bool serious = problem->kind != SPOOL_PROBLEM_LEFTOVER && problem->kind != SPOOL_PROBLEM_TORN_JOURNAL &&
		       problem->kind != SPOOL_PROBLEM_TORN_MESSAGE;
	log_line(&queue->role->log, serious ? LOG_KIND_PANIC : LOG_KIND_MAIN, "spool file %s: %s", problem->name, problem->text);
}

/* Another queue may still be ending (its master was killed, or it is just being replaced): its lock goes with it. */
static bool open_spool(struct queue *queue, struct error *error)
{
	for (int tries = 0; tries < 100; tries++) {
		queue->spool = spool_open(queue->spool_dir, NULL, error);
		if (queue->spool || error->number != EWOULDBLOCK)
			break;
		usleep(100 * 1000);
	}
	return queue->spool != NULL;
}

/* Opens the spool and takes in what it has. On failure all is as before, so that the next attempt finds each message once. */
static bool start_spool(struct queue *queue, struct error *error)
{
	const struct spool_scan scan = { scanned_message, scanned_problem, queue };
	if (!open_spool(queue, error))
		return false;
	if (spool_scan(queue->spool, &scan, error))
		return true;
	schedule_forget_found(queue);
	spool_free(queue->spool);
	queue->spool = NULL;
	return false;
}

static bool queue_start(struct role_process *role, struct error *error)
{
	struct queue *queue = role->state;
	(void)error;
	queue->role = role;
	queue->spool_dir = -1;
	queue->retries = retries_new();
	queue_runs_init(queue);
	umask(077);
	/* Loads the name service's libraries while they can still be found without restriction. */
	struct user_lookup lookup = { .name = "root" };
	deliver_lookup_user(&lookup);
	return true;
}

static bool queue_apply(struct role_process *role, struct error *error)
{
	struct queue *queue = role->state;
	if (queue->spool) {
		queue_runs_reload(queue);
		return true;
	}
	if (queue->spool_dir < 0)
		return error_set(error, ERROR_USAGE, "the spool directory is not there");
	if (!start_spool(queue, error))
		return false;
	if (queue->entries)
		log_line(&role->log, LOG_KIND_MAIN, "queue: %zu messages found in the spool", queue->entries);
	accept_start(queue);
	schedule_start(queue);
	queue_runs_start(queue);
	return true;
}

static size_t queue_paths(struct role_process *role, struct sandbox_path *paths, size_t size)
{
	/* What getpwnam reads, whatever name service is configured; no secrets are among it. */
	static const struct {
		const char *path;
		unsigned rights;
	} system_paths[] = {
		{ "/etc/passwd", SANDBOX_READ }, { "/etc/group", SANDBOX_READ }, { "/etc/nsswitch.conf", SANDBOX_READ },
		{ "/etc/ld.so.cache", SANDBOX_READ }, { "/lib", SANDBOX_READ | SANDBOX_EXECUTE },
		{ "/lib64", SANDBOX_READ | SANDBOX_EXECUTE }, { "/usr/lib", SANDBOX_READ | SANDBOX_EXECUTE },
		{ "/run/systemd/userdb", SANDBOX_READ },
	};
	struct queue *queue = role->state;
	size_t count = 0;
	paths[count++] = (struct sandbox_path){ queue->spool_dir, SANDBOX_READ | SANDBOX_WRITE };
	for (size_t i = 0; i < sizeof system_paths / sizeof system_paths[0] && count < size; i++) {
		int fd = open(system_paths[i].path, O_PATH | O_CLOEXEC);
		if (fd >= 0)
			paths[count++] = (struct sandbox_path){ fd, system_paths[i].rights };
	}
	return count;
}

/* Deliveries that are under way end; the rest waits in the spool for the next start. */
static void queue_drain(struct role_process *role)
{
	struct queue *queue = role->state;
	while ((queue->active || queue->removal_count || queue->removing || queue->submitted_first) && clock_now() < role->drain_deadline)
		if (wait_list_wait(&queue->active_ended, clock_after(20 * CLOCK_MS)) == -ECANCELED)
			break;
}

const struct role_ops queue_ops = {
	.state_size = sizeof(struct queue),
	.start = queue_start,
	.material = queue_material,
	.apply = queue_apply,
	.paths = queue_paths,
	.connected = queue_connected,
	.drain = queue_drain,
};

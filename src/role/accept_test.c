/* SPDX-License-Identifier: ISC */
/* What becomes of messages that are not accepted, or whose front waits no more: nothing of them stays in the queue. */
#include "base/cleanup.h"
#include "base/fatal.h"
#include "base/memory_file.h"
#include "base/test.h"
#include "role/queue.h"
#include "spool/faults.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

enum { NUMBER = 77 };

struct scene {
	struct loop *loop;
	struct role_process role;
	struct queue queue;
	struct ipc_peer *peer;
	void (*play)(struct scene *scene);
	bool played;
};

/* ---- A disk that waits ---- */

static atomic_bool writing, may_write;
static struct file_ops slow_ops;
static const struct files slow_files = { &slow_ops };

/* Of what a front sends: on the thread that writes batches. */
static ssize_t slow_pread(const struct files *files, int fd, void *data, size_t size, uint64_t offset)
{
	(void)files;
	atomic_store(&writing, true);
	while (!atomic_load(&may_write))
		usleep(1000);
	return files_real.ops->pread(&files_real, fd, data, size, offset);
}

static int open_no_journal(const struct files *files, int dir, const char *path, int flags, mode_t mode)
{
	(void)files;
	if (slice_ends_nocase(slice_of(path), SLICE("-J")))
		return -ENOSPC;
	return files_real.ops->open(&files_real, dir, path, flags, mode);
}

/* ---- What a front says ---- */

static void say(struct scene *scene, enum ipc_type type, struct buf *body, bool with_text)
{
	struct ipc_incoming incoming = { .type = type, .body = buf_slice(body) };
	if (with_text) {
		incoming.fds[incoming.fd_count++] = memory_file_sealed("test", SLICE("text"));
		assert_true(incoming.fds[0] >= 0);
	}
	accept_submit(&scene->queue, scene->peer, &incoming);
	buf_free(body);
}

static void say_submit(struct scene *scene, bool complete, unsigned flags)
{
	struct buf body, recipients;
	buf_init(&body, IPC_MESSAGE_MAX);
	buf_init(&recipients, IPC_MESSAGE_MAX);
	assert_true(ipc_list_add(&recipients, SLICE("a@example")));
	struct ipc_submit message = { .transaction = NUMBER, .size = 4,
				      .complete = complete, .flags = flags, .id = SLICE("1wXyZa-000003-00"),
				      .recipients = buf_slice(&recipients) };
	assert_true(ipc_pack_submit(&body, &message));
	say(scene, IPC_SUBMIT_MESSAGE, &body, true);
	buf_free(&recipients);
}

static void say_part(struct scene *scene, bool complete)
{
	struct ipc_part message = { .transaction = NUMBER, .size = 4, .complete = complete };
	struct buf body;
	buf_init(&body, IPC_MESSAGE_MAX);
	assert_true(ipc_pack_part(&body, &message));
	say(scene, IPC_PART_MESSAGE, &body, true);
}

static void say_abort(struct scene *scene)
{
	struct ipc_abort message = { .transaction = NUMBER };
	struct buf body;
	buf_init(&body, IPC_MESSAGE_MAX);
	assert_true(ipc_pack_abort(&body, &message));
	say(scene, IPC_ABORT_MESSAGE, &body, false);
}

/* ---- The scenes ---- */

static void wait_until(bool (*true_of)(const struct queue *queue), const struct queue *queue)
{
	int64_t deadline = clock_after(30 * CLOCK_SECOND);
	while (!true_of(queue) && clock_now() < deadline)
		task_sleep_until(clock_after(CLOCK_MS));
	assert_true(true_of(queue));
}

static bool is_empty(const struct queue *queue)
{
	return !queue->submitted_first && !queue->transactions && queue->entries == 0;
}

static bool is_writing(const struct queue *queue)
{
	(void)queue;
	return atomic_load(&writing);
}

static bool waits_for_more(const struct queue *queue)
{
	return queue->transactions != NULL;
}

static void play_task(void *arg)
{
	struct scene *scene = arg;
	struct spool_figures figures;
	scene->play(scene);
	wait_until(is_empty, &scene->queue);
	spool_figures(scene->queue.spool, &figures);
	assert_int_equal(figures.count, 0);
	ipc_close(scene->peer);
	scene->played = true;
	loop_stop(scene->loop);
}

static void ignore_message(void *context, const struct spool_envelope *envelope)
{
	(void)context;
	(void)envelope;
}

static void ignore_problem(void *context, const struct spool_problem *problem)
{
	(void)context;
	(void)problem;
}

static void play(void (*part)(struct scene *scene))
{
	static const struct ipc_handler handler = { NULL, NULL };
	struct scene *scene = xcalloc(1, sizeof *scene);
	struct spool_scan scan = { ignore_message, ignore_problem, NULL };
	struct error error = { 0 };
	char path[64];
	int ends[2], root = faults_directory_make(path);
	slow_ops = *files_real.ops;
	slow_ops.pread = slow_pread;
	slow_ops.open = open_no_journal;
	atomic_store(&writing, false);
	atomic_store(&may_write, false);
	scene->loop = scene->role.loop = loop_new();
	scene->play = part;
	log_init(&scene->role.log, "queue");
	scene->queue.role = &scene->role;
	scene->queue.spool = spool_open(root, &slow_files, &error);
	assert_true(scene->queue.spool && spool_scan(scene->queue.spool, &scan, &error));
	queue_runs_init(&scene->queue);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
	scene->peer = ipc_open(scene->loop, ends[0], ROLE_QUEUE, ROLE_FRONT, &handler, scene);
	accept_start(&scene->queue);
	task_spawn(scene->loop, play_task, scene, "scene");
	loop_run(scene->loop);
	assert_true(scene->played);
	close(ends[1]);
	spool_free(scene->queue.spool);
	free(scene->queue.usual);
	loop_free(scene->loop);
	free(scene);
	faults_directory_remove(path, root);
}

static void before_it_is_begun(struct scene *scene)
{
	say_submit(scene, false, 0);
	say_abort(scene);
	atomic_store(&may_write, true);
}

static void while_it_is_written(struct scene *scene)
{
	say_submit(scene, false, 0);
	wait_until(is_writing, &scene->queue);
	say_abort(scene);
	atomic_store(&may_write, true);
}

static void when_more_has_come(struct scene *scene)
{
	atomic_store(&may_write, true);
	say_submit(scene, false, 0);
	wait_until(waits_for_more, &scene->queue);
	say_part(scene, true);
	say_abort(scene);
}

static void as_a_whole(struct scene *scene)
{
	say_submit(scene, true, 0);
	say_abort(scene);
	atomic_store(&may_write, true);
}

static void a_message_that_its_front_gave_up_leaves_nothing_behind(void **state)
{
	(void)state;
	play(before_it_is_begun);
	play(while_it_is_written);
	play(when_more_has_come);
	play(as_a_whole);
}

/* Its last part decides that it is not frozen, for which the journal has no room: the front is told to try later. */
static void that_cannot_be_thawed(struct scene *scene)
{
	atomic_store(&may_write, true);
	say_submit(scene, false, SUBMIT_UNDECIDED);
	wait_until(waits_for_more, &scene->queue);
	say_part(scene, true);
}

static void a_frozen_copy_of_what_was_refused_does_not_stay(void **state)
{
	(void)state;
	play(that_cannot_be_thawed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_that_its_front_gave_up_leaves_nothing_behind),
		cmocka_unit_test(a_frozen_copy_of_what_was_refused_does_not_stay),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

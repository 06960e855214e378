/* SPDX-License-Identifier: ISC */
#include "base/fatal.h"
#include "base/test.h"
#include "task/channel.h"
#include "task/offload.h"
#include "task/task.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct echo {
	int fd;
	int rounds;
	bool answers;
	int *finished;
};

static void echo_task(void *arg)
{
	struct echo *echo = arg;
	char byte = 'x';
	for (int i = 0; i < echo->rounds; i++) {
		for (int half = 0; half < 2; half++) {
			bool reading = echo->answers == (half == 0);
			for (;;) {
				ssize_t n = reading ? read(echo->fd, &byte, 1) : write(echo->fd, &byte, 1);
				if (n == 1)
					break;
				ensure(n < 0 && errno == EAGAIN);
				ensure(io_wait(echo->fd, reading ? IO_READ : IO_WRITE, clock_after(60 * CLOCK_SECOND)) == 0);
			}
		}
	}
	io_close(&echo->fd);
	(*echo->finished)++;
}

/* Descriptors are the limit of an ordinary machine, so the ten thousand share 400 pairs of sockets and the rest sleep. */
static void sleeper_task(void *arg)
{
	for (int i = 0; i < 3; i++)
		ensure(task_sleep_until(clock_after(CLOCK_MS)) == 0);
	(*(int *)arg)++;
}

static void ten_thousand_tasks_run_at_once(void **state)
{
	(void)state;
	enum { PAIRS = 200, SLEEPERS = 9600 };
	struct loop *loop = loop_new();
	struct echo *echoes = xcalloc(2 * PAIRS, sizeof *echoes);
	int finished = 0;
	for (int i = 0; i < PAIRS; i++) {
		int ends[2];
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
		for (int side = 0; side < 2; side++) {
			struct echo *echo = &echoes[2 * i + side];
			*echo = (struct echo){ .fd = ends[side], .rounds = 50, .answers = side, .finished = &finished };
			task_spawn(loop, echo_task, echo, "echo");
		}
	}
	for (int i = 0; i < SLEEPERS; i++)
		task_spawn(loop, sleeper_task, &finished, "sleeper");
	loop_run(loop);
	assert_int_equal(finished, 2 * PAIRS + SLEEPERS);
	loop_free(loop);
	free(echoes);
}

static void deadline_task(void *arg)
{
	int ends[2], *result = arg;
	ensure(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
	int64_t start = clock_now();
	result[0] = io_wait(ends[0], IO_READ, clock_after(20 * CLOCK_MS));
	result[1] = (clock_now() - start) / CLOCK_MS >= 20;
	result[2] = io_wait(ends[0], IO_READ, clock_now() - 1);
	io_close(&ends[0]);
	io_close(&ends[1]);
}

static void a_wait_ends_at_its_deadline_and_not_before(void **state)
{
	(void)state;
	int result[3] = { 1, 1, 1 };
	struct loop *loop = loop_new();
	task_spawn(loop, deadline_task, result, "deadline");
	loop_run(loop);
	loop_free(loop);
	assert_int_equal(result[0], -ETIMEDOUT);
	assert_int_equal(result[1], 1);
	assert_int_equal(result[2], -ETIMEDOUT);
}

/* Ends as they are seen from this side: 0 what io_wait_end said with input there, 1 when the peer ended its direction, 2 afterwards. */
static void end_task(void *arg)
{
	int ends[2], *result = arg;
	char byte;
	ensure(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
	ensure(write(ends[1], "x", 1) == 1);
	result[0] = io_wait_end(ends[0], clock_after(20 * CLOCK_MS));
	ensure(io_wait(ends[0], IO_READ, clock_after(60 * CLOCK_SECOND)) == 0);
	ensure(write(ends[1], "y", 1) == 1 && shutdown(ends[1], SHUT_WR) == 0);
	result[1] = io_wait_end(ends[0], clock_after(60 * CLOCK_SECOND));
	result[2] = io_wait_end(ends[0], clock_after(60 * CLOCK_SECOND));
	ensure(read(ends[0], &byte, 1) == 1 && byte == 'x');
	ensure(read(ends[0], &byte, 1) == 1 && byte == 'y');
	ensure(io_wait(ends[0], IO_READ, clock_after(60 * CLOCK_SECOND)) == 0);
	ensure(read(ends[0], &byte, 1) == 0);
	io_close(&ends[0]);
	io_close(&ends[1]);
}

static void the_peers_end_is_seen_behind_input_that_nobody_read(void **state)
{
	(void)state;
	int result[3] = { 1, 1, 1 };
	struct loop *loop = loop_new();
	task_spawn(loop, end_task, result, "end");
	loop_run(loop);
	loop_free(loop);
	assert_int_equal(result[0], -ETIMEDOUT);
	assert_int_equal(result[1], 0);
	assert_int_equal(result[2], 0);
}

struct order {
	int64_t when;
	int64_t *last;
	int *out_of_order;
};

static void ordered_task(void *arg)
{
	struct order *order = arg;
	ensure(task_sleep_until(order->when) == 0);
	if (order->when < *order->last)
		(*order->out_of_order)++;
	*order->last = order->when;
}

static void deadlines_expire_in_their_order(void **state)
{
	(void)state;
	enum { COUNT = 500 };
	struct order orders[COUNT];
	int64_t last = 0, now = clock_now();
	int out_of_order = 0;
	struct loop *loop = loop_new();
	for (int i = 0; i < COUNT; i++) {
		orders[i] = (struct order){ now + (int64_t)(i * 7919 % COUNT) * CLOCK_MS / 10, &last, &out_of_order };
		task_spawn(loop, ordered_task, &orders[i], "ordered");
	}
	loop_run(loop);
	loop_free(loop);
	assert_int_equal(out_of_order, 0);
}

struct cancelled {
	struct task *victim;
	int first, second, joined;
};

static void victim_task(void *arg)
{
	struct cancelled *cancelled = arg;
	cancelled->first = task_sleep_until(CLOCK_NEVER);
	cancelled->second = task_sleep_until(clock_after(CLOCK_SECOND));
}

static void canceller_task(void *arg)
{
	struct cancelled *cancelled = arg;
	task_yield();
	task_cancel(cancelled->victim);
	cancelled->joined = task_join(cancelled->victim, clock_after(10 * CLOCK_SECOND));
	task_release(cancelled->victim);
}

static void cancellation_ends_this_and_every_later_wait(void **state)
{
	(void)state;
	struct cancelled cancelled = { .first = 1, .second = 1, .joined = 1 };
	struct loop *loop = loop_new();
	cancelled.victim = task_spawn(loop, victim_task, &cancelled, "victim");
	task_hold(cancelled.victim);
	task_spawn(loop, canceller_task, &cancelled, "canceller");
	loop_run(loop);
	loop_free(loop);
	assert_int_equal(cancelled.first, -ECANCELED);
	assert_int_equal(cancelled.second, -ECANCELED);
	assert_int_equal(cancelled.joined, 0);
}

struct work {
	pthread_t loop_thread;
	int elsewhere, others_ran, cancelled_early;
	bool released;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct task *task;
};

static void blocking_work(void *arg)
{
	struct work *work = arg;
	work->elsewhere = !pthread_equal(pthread_self(), work->loop_thread);
	pthread_mutex_lock(&work->lock);
	while (!work->released)
		pthread_cond_wait(&work->changed, &work->lock);
	pthread_mutex_unlock(&work->lock);
}

static void offloading_task(void *arg)
{
	struct work *work = arg;
	work->loop_thread = pthread_self();
	offload(blocking_work, work);
	work->cancelled_early = !work->released;
}

static void other_task(void *arg)
{
	struct work *work = arg;
	task_yield();
	work->others_ran = 1;
	task_cancel(work->task);
	task_yield();
	pthread_mutex_lock(&work->lock);
	work->released = true;
	pthread_cond_signal(&work->changed);
	pthread_mutex_unlock(&work->lock);
}

static void offload_blocks_one_task_only_and_outlives_cancellation(void **state)
{
	(void)state;
	struct work work = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };
	struct loop *loop = loop_new();
	work.task = task_spawn(loop, offloading_task, &work, "offloading");
	task_spawn(loop, other_task, &work, "other");
	loop_run(loop);
	loop_free(loop);
	assert_int_equal(work.elsewhere, 1);
	assert_int_equal(work.others_ran, 1);
	assert_int_equal(work.cancelled_early, 0);
}

static void add_one(void *arg)
{
	__atomic_fetch_add((int *)arg, 1, __ATOMIC_SEQ_CST);
}

static void many_offloads_task(void *arg)
{
	for (int i = 0; i < 100; i++)
		offload(add_one, arg);
}

static void offloads_of_many_tasks_all_complete(void **state)
{
	(void)state;
	int count = 0;
	struct loop *loop = loop_new();
	for (int i = 0; i < 50; i++)
		task_spawn(loop, many_offloads_task, &count, "offloads");
	loop_run(loop);
	loop_free(loop);
	assert_int_equal(count, 5000);
}

struct threads {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned computing, most, wanted;
	int niceness[2]; /* of a thread for what blocks, and of one for what computes */
};

static void look_at_niceness(void *arg)
{
	*(int *)arg = getpriority(PRIO_PROCESS, (id_t)gettid());
}

/* Ends when as many are under way as there can be. */
static void compute_together(void *arg)
{
	struct threads *threads = arg;
	pthread_mutex_lock(&threads->lock);
	if (++threads->computing > threads->most)
		threads->most = threads->computing;
	pthread_cond_broadcast(&threads->changed);
	while (threads->most < threads->wanted)
		pthread_cond_wait(&threads->changed, &threads->lock);
	threads->computing--;
	pthread_mutex_unlock(&threads->lock);
}

static void computing_task(void *arg)
{
	offload_computing(compute_together, arg);
}

static void niceness_task(void *arg)
{
	struct threads *threads = arg;
	threads->wanted = offload_computing_width();
	offload(look_at_niceness, &threads->niceness[0]);
	offload_computing(look_at_niceness, &threads->niceness[1]);
	for (unsigned i = 0; i < 3 * threads->wanted; i++)
		task_spawn(loop_current(), computing_task, threads, "computing");
}

static void computations_take_every_processor_and_give_way_to_all_else(void **state)
{
	(void)state;
	cpu_set_t set;
	struct threads threads = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };
	struct loop *loop = loop_new();
	assert_int_equal(sched_getaffinity(0, sizeof set, &set), 0);
	task_spawn(loop, niceness_task, &threads, "niceness");
	loop_run(loop);
	loop_free(loop);
	int most = CPU_COUNT(&set) < OFFLOAD_COMPUTING_THREADS ? CPU_COUNT(&set) : OFFLOAD_COMPUTING_THREADS;
	assert_int_equal(threads.most, most);
	int own = getpriority(PRIO_PROCESS, 0);
	assert_int_equal(threads.niceness[0], own);
	assert_int_equal(threads.niceness[1], own + 10 < 19 ? own + 10 : 19);
}

/* Kept out of line, with memory that the compiler must touch, so that it really descends. */
static __attribute__((noinline)) int descend(int depth)
{
	volatile char frame[4096];
	frame[0] = (char)depth;
	return depth > 1000000 ? 0 : descend(depth + 1) + frame[0];
}

static void overflowing_task(void *arg)
{
	*(int *)arg = descend(0);
}

static void a_stack_overflow_hits_the_guard_page(void **state)
{
	(void)state;
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		signal(SIGSEGV, SIG_DFL);
		signal(SIGBUS, SIG_DFL);
		close(STDERR_FILENO);
		int result = 0;
		struct loop *loop = loop_new();
		task_spawn(loop, overflowing_task, &result, "overflow");
		loop_run(loop);
		_exit(result & 1);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSEGV);
}

struct relay {
	struct channel channel;
	int sum, end;
};

static void sending_task(void *arg)
{
	struct relay *relay = arg;
	for (intptr_t i = 1; i <= 1000; i++)
		ensure(channel_send(&relay->channel, (void *)i, clock_after(10 * CLOCK_SECOND)) == 0);
	channel_close(&relay->channel);
}

static void receiving_task(void *arg)
{
	struct relay *relay = arg;
	void *item;
	while ((relay->end = channel_receive(&relay->channel, &item, clock_after(10 * CLOCK_SECOND))) == 0)
		relay->sum += (int)(intptr_t)item;
}

static void channels_pass_all_items_in_order_and_end_when_closed(void **state)
{
	(void)state;
	struct relay relay = { 0 };
	struct loop *loop = loop_new();
	channel_init(&relay.channel, 3);
	task_spawn(loop, sending_task, &relay, "sender");
	task_spawn(loop, receiving_task, &relay, "receiver");
	loop_run(loop);
	channel_free(&relay.channel);
	loop_free(loop);
	assert_int_equal(relay.sum, 500500);
	assert_int_equal(relay.end, -EPIPE);
}

static void floating_task(void *arg)
{
	double value = 1.0;
	for (int i = 0; i < 100; i++) {
		value = value * 1.5 + (double)i / 3;
		task_yield();
	}
	*(double *)arg = value;
}

static void registers_survive_switches(void **state)
{
	(void)state;
	double results[20], want = 1.0;
	for (int i = 0; i < 100; i++)
		want = want * 1.5 + (double)i / 3;
	struct loop *loop = loop_new();
	for (int i = 0; i < 20; i++)
		task_spawn(loop, floating_task, &results[i], "floating");
	loop_run(loop);
	loop_free(loop);
	for (int i = 0; i < 20; i++)
		assert_true(results[i] == want);
}

static void parked_task(void *arg)
{
	char deep[64 * 1024];
	memset(deep, 7, sizeof deep);
	ensure(task_sleep_until(*(int64_t *)arg) == 0);
	for (size_t i = 0; i < sizeof deep; i++)
		ensure(deep[i] == 7);
}

static void a_parked_stack_keeps_what_is_in_use_when_trimmed(void **state)
{
	(void)state;
	int64_t until = clock_after(3500 * CLOCK_MS); /* trimmed after two seconds */
	struct loop *loop = loop_new();
	for (int i = 0; i < 10; i++)
		task_spawn(loop, parked_task, &until, "parked");
	loop_run(loop);
	loop_free(loop);
}

struct turns {
	struct wait_list list;
	int results[3];
	int64_t due;
	struct task *second;
};

static void short_of_time(void *arg)
{
	struct turns *turns = arg;
	turns->results[0] = wait_list_wait(&turns->list, turns->due + 1);
}

static void to_be_cancelled(void *arg)
{
	struct turns *turns = arg;
	turns->results[1] = wait_list_wait(&turns->list, CLOCK_NEVER);
}

static void patient(void *arg)
{
	struct turns *turns = arg;
	turns->results[2] = wait_list_wait(&turns->list, clock_after(5 * CLOCK_SECOND));
}

/* Its own sleep and the first one's deadline end in one look at the clock, and it runs first. */
static void giving(void *arg)
{
	struct turns *turns = arg;
	task_sleep_until(turns->due);
	task_cancel(turns->second);
	wait_list_wake_one(&turns->list);
}

static void a_turn_is_not_given_to_a_task_that_waits_no_more(void **state)
{
	(void)state;
	struct loop *loop = loop_new();
	struct turns turns = { .due = clock_after(50 * CLOCK_MS) };
	task_spawn(loop, short_of_time, &turns, "short of time");
	turns.second = task_spawn(loop, to_be_cancelled, &turns, "to be cancelled");
	task_spawn(loop, patient, &turns, "patient");
	task_spawn(loop, giving, &turns, "giving");
	loop_run(loop);
	assert_int_equal(turns.results[0], -ETIMEDOUT);
	assert_int_equal(turns.results[1], -ECANCELED);
	assert_int_equal(turns.results[2], 0);
	loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ten_thousand_tasks_run_at_once),
		cmocka_unit_test(a_wait_ends_at_its_deadline_and_not_before),
		cmocka_unit_test(the_peers_end_is_seen_behind_input_that_nobody_read),
		cmocka_unit_test(deadlines_expire_in_their_order),
		cmocka_unit_test(cancellation_ends_this_and_every_later_wait),
		cmocka_unit_test(offload_blocks_one_task_only_and_outlives_cancellation),
		cmocka_unit_test(offloads_of_many_tasks_all_complete),
		cmocka_unit_test(computations_take_every_processor_and_give_way_to_all_else),
		cmocka_unit_test(a_stack_overflow_hits_the_guard_page),
		cmocka_unit_test(channels_pass_all_items_in_order_and_end_when_closed),
		cmocka_unit_test(registers_survive_switches),
		cmocka_unit_test(a_turn_is_not_given_to_a_task_that_waits_no_more),
		cmocka_unit_test(a_parked_stack_keeps_what_is_in_use_when_trimmed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

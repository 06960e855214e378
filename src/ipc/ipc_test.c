/* SPDX-License-Identifier: ISC */
#include "base/fatal.h"
#include "base/test.h"
#include "ipc/peer.h"
#include "task/task.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static void every_field_survives_packing(void **state)
{
	(void)state;
	struct buf buf, list;
	buf_init(&buf, IPC_MESSAGE_MAX);
	buf_init(&list, IPC_MESSAGE_MAX);
	assert_true(ipc_list_add(&list, SLICE("a@example")) && ipc_list_add(&list, SLICE("")) && ipc_list_add(&list, SLICE("b")));
	struct ipc_submit sent = { .transaction = 7, .size = UINT64_MAX, .sender = SLICE("x@y"), .recipients = buf_slice(&list) };
	struct ipc_submit got;
	assert_true(ipc_pack_submit(&buf, &sent));
	assert_true(ipc_unpack_submit(buf_slice(&buf), &got));
	assert_true(got.transaction == 7 && got.size == UINT64_MAX);
	assert_slice(got.sender, "x@y");
	struct slice text;
	assert_true(ipc_list_next(&got.recipients, &text));
	assert_slice(text, "a@example");
	assert_true(ipc_list_next(&got.recipients, &text));
	assert_slice(text, "");
	assert_true(ipc_list_next(&got.recipients, &text));
	assert_slice(text, "b");
	assert_false(ipc_list_next(&got.recipients, &text));
	buf_free(&buf);
	buf_free(&list);
}

static void truncated_and_overlong_messages_are_refused(void **state)
{
	(void)state;
	struct buf buf;
	buf_init(&buf, IPC_MESSAGE_MAX);
	struct ipc_sign sent = { .key = SLICE("12345678"), .scheme = 3, .input = SLICE("digest") }, got;
	assert_true(ipc_pack_sign(&buf, &sent));
	struct slice whole = buf_slice(&buf);
	for (size_t n = 0; n < whole.len; n++)
		assert_false(ipc_unpack_sign(slice_first(whole, n), &got));
	assert_true(ipc_unpack_sign(whole, &got));
	buf_append_byte(&buf, 'x');
	assert_false(ipc_unpack_sign(buf_slice(&buf), &got));
	uint32_t huge = UINT32_MAX;
	assert_false(ipc_unpack_find_user(slice_make(&huge, sizeof huge), &(struct ipc_find_user){ 0 }));
	buf_free(&buf);
}

/* Two ends on one loop: a front that asks, a keeper that answers with the reversed input. */
struct ends {
	struct loop *loop;
	struct ipc_peer *front, *keeper;
	int answered, failed, lost, requests;
	bool silent;
};

static void keeper_message(void *owner, struct ipc_peer *peer, struct ipc_incoming *incoming)
{
	struct ends *ends = owner;
	struct ipc_sign sign;
	char reversed[64];
	ends->requests++;
	ensure(incoming->type == IPC_SIGN_MESSAGE && ipc_unpack_sign(incoming->body, &sign));
	if (ends->silent)
		return;
	for (size_t i = 0; i < sign.input.len; i++)
		reversed[i] = sign.input.data[sign.input.len - 1 - i];
	struct ipc_signed answer = { .signature = slice_make(reversed, sign.input.len) };
	ensure(ipc_send(peer, signed, SIGNED, incoming->call, &answer, NULL, 0));
}

static void front_message(void *owner, struct ipc_peer *peer, struct ipc_incoming *incoming)
{
	(void)owner;
	(void)peer;
	fail_msg("unexpected message %d", (int)incoming->type);
}

static void peer_lost(void *owner, struct ipc_peer *peer)
{
	(void)peer;
	((struct ends *)owner)->lost++;
}

static const struct ipc_handler keeper_handler = { keeper_message, peer_lost };
static const struct ipc_handler front_handler = { front_message, peer_lost };

static void open_ends(struct ends *ends)
{
	int fds[2];
	*ends = (struct ends){ .loop = loop_new() };
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	ends->front = ipc_open(ends->loop, fds[0], ROLE_FRONT, ROLE_KEEPER, &front_handler, ends);
	ends->keeper = ipc_open(ends->loop, fds[1], ROLE_KEEPER, ROLE_FRONT, &keeper_handler, ends);
}

static void closing_task(void *arg)
{
	struct ends *ends = arg;
	ipc_close(ends->front);
	ipc_close(ends->keeper);
}

static void asking_task(void *arg)
{
	struct ends *ends = arg;
	for (int i = 0; i < 20; i++) {
		char text[16], want[16];
		int n = snprintf(text, sizeof text, "%d.%p", i, (void *)&text);
		if (n > 15)
			n = 15;
		for (int k = 0; k < n; k++)
			want[k] = text[n - 1 - k];
		struct ipc_sign ask = { .input = slice_make(text, (size_t)n) };
		struct ipc_reply reply;
		struct ipc_signed answer;
		if (ipc_call(ends->front, sign, SIGN, &ask, NULL, 0, clock_after(60 * CLOCK_SECOND), &reply) == 0 &&
		    ipc_unpack_signed(reply.body, &answer) && slice_equal(answer.signature, slice_make(want, (size_t)n)))
			ends->answered++;
		else
			ends->failed++;
		ipc_reply_free(&reply);
	}
	if (ends->answered == 500 * 20)
		closing_task(ends);
}

static void each_of_many_calls_gets_its_own_answer(void **state)
{
	(void)state;
	struct ends ends;
	open_ends(&ends);
	for (int i = 0; i < 500; i++)
		task_spawn(ends.loop, asking_task, &ends, "asking");
	loop_run(ends.loop);
	assert_int_equal(ends.answered, 10000);
	assert_int_equal(ends.failed, 0);
	loop_free(ends.loop);
}

static void impatient_task(void *arg)
{
	struct ends *ends = arg;
	struct ipc_sign ask = { .input = SLICE("x") };
	struct ipc_reply reply;
	int result = ipc_call(ends->front, sign, SIGN, &ask, NULL, 0, clock_after(20 * CLOCK_MS), &reply);
	ensure(result == -ETIMEDOUT);
	ends->answered = 1;
	closing_task(ends);
}

static void a_call_ends_at_its_deadline(void **state)
{
	(void)state;
	struct ends ends;
	open_ends(&ends);
	ends.silent = true;
	task_spawn(ends.loop, impatient_task, &ends, "impatient");
	loop_run(ends.loop);
	assert_int_equal(ends.answered, 1);
	loop_free(ends.loop);
}

static void abandoned_task(void *arg)
{
	struct ends *ends = arg;
	struct ipc_sign ask = { .input = SLICE("x") };
	struct ipc_reply reply;
	if (ipc_call(ends->front, sign, SIGN, &ask, NULL, 0, clock_after(60 * CLOCK_SECOND), &reply) == -EPIPE)
		ends->failed++;
	ipc_close(ends->front);
}

static void killing_task(void *arg)
{
	struct ends *ends = arg;
	while (ends->requests == 0)
		task_yield();
	ipc_close(ends->keeper);
}

static void the_loss_of_a_peer_fails_its_calls_and_is_told_once(void **state)
{
	(void)state;
	struct ends ends;
	open_ends(&ends);
	ends.silent = true;
	task_spawn(ends.loop, abandoned_task, &ends, "abandoned");
	task_spawn(ends.loop, killing_task, &ends, "killing");
	loop_run(ends.loop);
	assert_int_equal(ends.failed, 1);
	assert_int_equal(ends.lost, 1);
	loop_free(ends.loop);
}

/* Asks; what became of it is counted. */
static void one_call_task(void *arg)
{
	struct ends *ends = arg;
	struct ipc_sign ask = { .input = SLICE("x") };
	struct ipc_reply reply;
	int result = ipc_call(ends->front, sign, SIGN, &ask, NULL, 0, clock_after(60 * CLOCK_SECOND), &reply);
	ends->answered += result == 0;
	ends->failed += result == -EPIPE;
	ipc_reply_free(&reply);
}

struct last_words {
	struct ends *ends;
	int fd; /* the other end, without a reader of its own */
};

/* Answers the first of two questions and is gone, with the second one unread: the kernel tells of that before it gives the answer. */
static void last_words_task(void *arg)
{
	struct last_words *words = arg;
	char question[256];
	uint64_t header[2];
	struct buf answer;
	const struct ipc_signed message = { .signature = SLICE("y") };
	while (recv(words->fd, question, sizeof question, MSG_PEEK) < 0)
		task_yield();
	task_sleep_until(clock_after(20 * CLOCK_MS)); /* both are there */
	ensure(recv(words->fd, question, sizeof question, 0) >= (ssize_t)sizeof header);
	memcpy(header, question, sizeof header);
	header[0] = IPC_SIGNED_MESSAGE;
	buf_init(&answer, 256);
	ensure(buf_append(&answer, slice_make(header, sizeof header)) && ipc_pack_signed(&answer, &message));
	ensure(send(words->fd, buf_slice(&answer).data, buf_len(&answer), 0) == (ssize_t)buf_len(&answer));
	buf_free(&answer);
	close(words->fd);
	while (!words->ends->lost)
		task_yield();
	ipc_close(words->ends->front);
}

static void the_last_words_of_a_peer_that_left_something_unread_are_heard(void **state)
{
	(void)state;
	struct ends ends = { .loop = loop_new() };
	int fds[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	ends.front = ipc_open(ends.loop, fds[0], ROLE_FRONT, ROLE_KEEPER, &front_handler, &ends);
	struct last_words words = { &ends, fds[1] };
	task_spawn(ends.loop, one_call_task, &ends, "first");
	task_spawn(ends.loop, one_call_task, &ends, "second");
	task_spawn(ends.loop, last_words_task, &words, "last words");
	loop_run(ends.loop);
	assert_int_equal(ends.answered, 1);
	assert_int_equal(ends.failed, 1);
	assert_int_equal(ends.lost, 1);
	loop_free(ends.loop);
}

static void forbidden_task(void *arg)
{
	struct ends *ends = arg;
	/* A keeper may not submit mail, whatever it claims. */
	struct ipc_submit submit = { .transaction = 1 };
	ensure(ipc_send(ends->keeper, submit, SUBMIT, 0, &submit, NULL, 0));
	while (ends->lost == 0)
		task_yield();
	closing_task(ends);
}

static void a_message_that_the_table_forbids_ends_the_peer(void **state)
{
	(void)state;
	struct ends ends;
	open_ends(&ends);
	task_spawn(ends.loop, forbidden_task, &ends, "forbidden");
	loop_run(ends.loop);
	assert_true(ends.lost >= 1);
	loop_free(ends.loop);
}

static void lost_and_closed(void *owner, struct ipc_peer *peer)
{
	((struct ends *)owner)->lost++;
	ipc_close_later(peer);
}

static const struct ipc_handler closing_handler = { front_message, lost_and_closed };

/* A successor is there before the end of the stream is seen, which the reader does while the closing waits for a hold. */
static void replacing_task(void *arg)
{
	struct ends *ends = arg;
	ipc_hold(ends->front);
	ipc_close_later(ends->front);
	ipc_close_later(ends->front);
	ipc_close(ends->keeper);
	for (int i = 0; i < 20; i++)
		task_sleep_until(clock_after(CLOCK_MS));
	ensure(ipc_is_lost(ends->front));
	ipc_release(ends->front);
}

static void a_peer_that_is_being_closed_is_closed_once_when_its_stream_ends(void **state)
{
	(void)state;
	struct ends ends = { .loop = loop_new() };
	int fds[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	ends.front = ipc_open(ends.loop, fds[0], ROLE_FRONT, ROLE_KEEPER, &closing_handler, &ends);
	ends.keeper = ipc_open(ends.loop, fds[1], ROLE_KEEPER, ROLE_FRONT, &keeper_handler, &ends);
	task_spawn(ends.loop, replacing_task, &ends, "replacing");
	loop_run(ends.loop);
	assert_int_equal(ends.lost, 0);
	loop_free(ends.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_field_survives_packing),
		cmocka_unit_test(truncated_and_overlong_messages_are_refused),
		cmocka_unit_test(each_of_many_calls_gets_its_own_answer),
		cmocka_unit_test(a_call_ends_at_its_deadline),
		cmocka_unit_test(the_loss_of_a_peer_fails_its_calls_and_is_told_once),
		cmocka_unit_test(the_last_words_of_a_peer_that_left_something_unread_are_heard),
		cmocka_unit_test(a_message_that_the_table_forbids_ends_the_peer),
		cmocka_unit_test(a_peer_that_is_being_closed_is_closed_once_when_its_stream_ends),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

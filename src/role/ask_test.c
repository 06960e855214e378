/* SPDX-License-Identifier: ISC */
/* Questions and answers through messages, and what an asker gets when the lookup role is slow, gone, or speaks nonsense. */
#include "base/fatal.h"
#include "base/test.h"
#include "role/ask.h"

#include <sys/socket.h>
#include <unistd.h>

static void every_part_of_a_request_survives(void **state)
{
	(void)state;
	struct arena arena;
	struct buf buf;
	struct ipc_ask message;
	struct expand_request got;
	const struct expand_piece pieces[] = { { SLICE("a="), false, false }, { SLICE(""), true, false }, { SLICE("x\0y"), true, true } };
	const struct slice options[] = { SLICE("ret=full"), SLICE("") };
	struct expand_request sent = {
		.service = EXPAND_SERVICE_LOOKUP, .type = SLICE("dnsdb"), .file = SLICE("/f"), .key = SLICE("k"), .key_tainted = true,
		.pieces = pieces, .piece_count = 3, .options = options, .option_count = 2, .deadline = 12345,
	};
	arena_init(&arena, 0);
	buf_init(&buf, IPC_MESSAGE_MAX);
	assert_true(ask_pack_request(&sent, &buf, &message));
	assert_true(ask_unpack_request(&message, &arena, &got));
	assert_int_equal(got.service, EXPAND_SERVICE_LOOKUP);
	assert_slice(got.type, "dnsdb");
	assert_slice(got.file, "/f");
	assert_slice(got.key, "k");
	assert_true(got.key_tainted && got.deadline == 12345);
	assert_int_equal(got.piece_count, 3);
	for (size_t i = 0; i < 3; i++)
		assert_true(slice_equal(got.pieces[i].text, pieces[i].text) && got.pieces[i].value == pieces[i].value &&
			    got.pieces[i].tainted == pieces[i].tainted);
	assert_int_equal(got.option_count, 2);
	assert_slice(got.options[0], "ret=full");
	assert_slice(got.options[1], "");
	buf_free(&buf);
	arena_free(&arena);
}

static void requests_that_are_too_large_are_refused(void **state)
{
	(void)state;
	static char big[EXPAND_REQUEST_MAX];
	struct ipc_ask message;
	struct buf buf;
	struct expand_request request = { .key = slice_make(big, sizeof big) };
	buf_init(&buf, IPC_MESSAGE_MAX);
	assert_true(ask_pack_request(&request, &buf, &message));
	request.type = SLICE("x");
	assert_false(ask_pack_request(&request, &buf, &message));
	request = (struct expand_request){ .pieces = &(struct expand_piece){ .text = slice_make(big, sizeof big) }, .piece_count = 1 };
	assert_true(ask_pack_request(&request, &buf, &message));
	buf_reset(&buf);
	const struct expand_piece two[2] = { { .text = slice_make(big, sizeof big) }, { .text = SLICE("x") } };
	request = (struct expand_request){ .pieces = two, .piece_count = 2 };
	assert_false(ask_pack_request(&request, &buf, &message));
	buf_free(&buf);
}

static void malformed_requests_are_refused(void **state)
{
	(void)state;
	struct arena arena;
	struct expand_request got;
	const struct ipc_ask cases[] = {
		{ .service = EXPAND_SERVICES },
		{ .deadline = UINT64_MAX },
		{ .pieces = SLICE("\1\0\0") },
		{ .pieces = slice_make("\0\0\0\0", 4) }, /* a piece without its flags */
		{ .options = SLICE("\377\377\377\377x") },
	};
	arena_init(&arena, 0);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		assert_false(ask_unpack_request(&cases[i], &arena, &got));
	arena_free(&arena);
}

/* ---- Two ends on one loop ---- */

enum behaviour { ANSWERS, IS_SILENT, LEAVES, IS_MALFORMED };

struct ends {
	struct loop *loop;
	struct ask_line line;
	struct ipc_peer *lookup;
	enum behaviour behaviour;
	size_t text_len;
	int done;
};

static void close_lookup(void *arg)
{
	struct ends *ends = arg;
	ipc_close(ends->lookup);
	ends->lookup = NULL;
}

static void question(void *owner, struct ipc_peer *peer, struct ipc_incoming *incoming)
{
	struct ends *ends = owner;
	struct ipc_ask message;
	ensure(incoming->type == IPC_ASK_MESSAGE && ipc_unpack_ask(incoming->body, &message));
	struct ask_result result = { .result = EXPAND_OK };
	if (ends->behaviour == IS_SILENT)
		return;
	if (ends->behaviour == LEAVES) {
		task_spawn(ends->loop, close_lookup, ends, "closing");
		return;
	}
	if (ends->behaviour == IS_MALFORMED) {
		struct ipc_answered nonsense = { .result = 99 };
		ipc_send(peer, answered, ANSWERED, incoming->call, &nonsense, NULL, 0);
		return;
	}
	if (slice_equal(message.key, SLICE("defer"))) {
		result.result = EXPAND_DEFER;
		error_set(&result.error, ERROR_TEMPORARY, "try later");
	}
	char *text = xcalloc(1, ends->text_len + 1);
	memset(text, 'x', ends->text_len);
	result.answer = (struct expand_answer){ .found = true, .text = slice_make(text, ends->text_len), .tainted = true, .secure = true,
						.number = -7, .wild = SLICE(""), .fixed = SLICE("rest"), .name = SLICE("n") };
	ask_send_result(peer, incoming->call, &result);
	free(text);
}

static const struct ipc_handler lookup_handler = { question, NULL };

static void connect_ends(struct ends *ends)
{
	int fds[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	ask_connected(&ends->line, ends->loop, fds[0], ROLE_FRONT, ROLE_LOOKUP);
	ends->lookup = ipc_open(ends->loop, fds[1], ROLE_LOOKUP, ROLE_FRONT, &lookup_handler, ends);
}

static void run_ends(struct ends *ends, task_function *fn)
{
	ends->loop = loop_new();
	task_spawn(ends->loop, fn, ends, "test");
	loop_run(ends->loop);
	assert_int_equal(ends->done, 1);
	loop_free(ends->loop);
}

static void finish_ends(struct ends *ends)
{
	struct ipc_peer *asker = ends->line.peer;
	ends->done = 1;
	ipc_close(asker);
	ipc_close(ends->lookup);
}

static void check_answers(struct ends *ends)
{
	static const size_t lengths[] = { 0, 1, 64 * 1024, 64 * 1024 + 1, 5 << 20 };
	struct arena arena;
	struct expand_answer answer;
	struct error error;
	arena_init(&arena, 0);
	for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
		struct expand_request request = { .key = SLICE("k"), .deadline = clock_after(30 * CLOCK_SECOND) };
		ends->text_len = lengths[i];
		ensure(role_ask(&ends->line, &request, &arena, &answer, &error) == EXPAND_OK);
		ensure(answer.found && answer.tainted && answer.secure && answer.number == -7 && answer.text.len == lengths[i]);
		for (size_t n = 0; n < answer.text.len; n++)
			ensure(answer.text.data[n] == 'x');
		ensure(answer.wild.data && answer.wild.len == 0 && slice_equal(answer.fixed, SLICE("rest")));
		ensure(slice_equal(answer.name, SLICE("n")));
	}
	struct expand_request request = { .key = SLICE("defer") };
	ensure(role_ask(&ends->line, &request, &arena, &answer, &error) == EXPAND_DEFER);
	ensure(error.kind == ERROR_TEMPORARY && strcmp(error.text, "try later") == 0);
	arena_free(&arena);
}

static void answering_task(void *arg)
{
	struct ends *ends = arg;
	connect_ends(ends);
	check_answers(ends);
	finish_ends(ends);
}

static void answers_of_any_size_arrive_whole(void **state)
{
	(void)state;
	struct ends ends = { .behaviour = ANSWERS };
	run_ends(&ends, answering_task);
}

static enum expand_result ask_once(struct ends *ends, int64_t deadline, struct error *error)
{
	struct arena arena;
	struct expand_answer answer;
	struct expand_request request = { .key = SLICE("k"), .deadline = deadline };
	arena_init(&arena, 0);
	enum expand_result result = role_ask(&ends->line, &request, &arena, &answer, error);
	arena_free(&arena);
	return result;
}

static void failing_task(void *arg)
{
	struct ends *ends = arg;
	struct error error = { 0 };
	connect_ends(ends);
	ensure(ask_once(ends, clock_after(100 * CLOCK_MS), &error) == EXPAND_DEFER);
	ensure(error.kind == ERROR_TEMPORARY && strstr(error.text, "lookup process"));
	finish_ends(ends);
}

static void a_silent_lookup_role_defers_at_the_deadline(void **state)
{
	(void)state;
	struct ends ends = { .behaviour = IS_SILENT };
	run_ends(&ends, failing_task);
}

static void a_lookup_role_that_dies_defers(void **state)
{
	(void)state;
	struct ends ends = { .behaviour = LEAVES };
	run_ends(&ends, failing_task);
}

static void nonsense_from_the_lookup_role_defers(void **state)
{
	(void)state;
	struct ends ends = { .behaviour = IS_MALFORMED };
	run_ends(&ends, failing_task);
}

static void late_connection(void *arg)
{
	task_sleep_until(clock_after(50 * CLOCK_MS));
	connect_ends(arg);
}

static void patient_task(void *arg)
{
	struct ends *ends = arg;
	struct error error;
	ensure(ask_once(ends, clock_after(20 * CLOCK_MS), &error) == EXPAND_DEFER); /* nobody is there yet */
	task_spawn(ends->loop, late_connection, ends, "late");
	ensure(ask_once(ends, clock_after(30 * CLOCK_SECOND), &error) == EXPAND_OK);
	finish_ends(ends);
}

static void an_asker_waits_for_a_lookup_role_that_starts(void **state)
{
	(void)state;
	struct ends ends = { .behaviour = ANSWERS };
	run_ends(&ends, patient_task);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_part_of_a_request_survives),
		cmocka_unit_test(requests_that_are_too_large_are_refused),
		cmocka_unit_test(malformed_requests_are_refused),
		cmocka_unit_test(answers_of_any_size_arrive_whole),
		cmocka_unit_test(a_silent_lookup_role_defers_at_the_deadline),
		cmocka_unit_test(a_lookup_role_that_dies_defers),
		cmocka_unit_test(nonsense_from_the_lookup_role_defers),
		cmocka_unit_test(an_asker_waits_for_a_lookup_role_that_starts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: ISC */
/*
 * The spool through crashes: a script of messages, records and removals runs until call N, for every N, on files that forget what
 * was not synced (faults.h). Then the spool is opened again, and what it presents is compared with what it had promised. All of it for
 * the spool of files alone, and for the one with a log, whose segments are so small here that every few messages begin a new one.
 */
#include "base/cleanup.h"
#include "base/fatal.h"
#include "base/test.h"
#include "spool/faults.h"
#include "spool/file_spool.h"
#include "spool/log_spool.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MESSAGES = 10, RECIPIENTS = 4, BODY_MAX = 150000 };

/* What the script asked for, and what was answered. */
struct promise {
	bool tried, accepted, removal_tried, removed;
	bool delivery_tried[RECIPIENTS], delivered[RECIPIENTS];
	bool freeze_tried, frozen;
	int seen; /* in the scan under way */
};

static const struct spool_log_sizes sizes = { .segment = 4 * SPOOL_LOG_PAGE, .step = SPOOL_LOG_PAGE, .message = 6000 };

static bool with_log; /* which spool */

static struct spool *open_spool(int root, const struct files *files, struct error *error)
{
	return with_log ? log_spool_open(root, files, &sizes, error) : file_spool_open(root, files, error);
}

struct script {
	unsigned opened; /* calls until it was open */
	struct faults faults;
	struct spool *spool;
	struct promise promises[MESSAGES];
	int bodies; /* memfd: message i begins at i * BODY_MAX */
};

static const size_t body_sizes[MESSAGES] = { 3700, 4096, BODY_MAX, 0, 70000, 513, 65536, 1, 3000, 5000 };
static const size_t recipients_of[MESSAGES] = { 1, 3, 2, 1, 4, 2, 1, 1, 2, 1 };

static struct message_id id_of(size_t message)
{
	struct message_id id = { "1wXyZ.-000Kc3-0." };
	id.text[5] = (char)('a' + message % 3); /* three seconds, so three directories */
	id.text[15] = (char)('0' + message);
	return id;
}

static char body_byte(size_t message, size_t at)
{
	return (char)('A' + (at * 7 + at / 512 + message) % 58);
}

static int make_bodies(void)
{
	int fd = memfd_create("bodies", MFD_CLOEXEC);
	char *body = xcalloc(1, BODY_MAX);
	assert_true(fd >= 0);
	for (size_t i = 0; i < MESSAGES; i++) {
		for (size_t at = 0; at < body_sizes[i]; at++)
			body[at] = body_byte(i, at);
		assert_int_equal(files_write_all(&files_real, fd, body, body_sizes[i], i * BODY_MAX), 0);
	}
	free(body);
	return fd;
}

/* The steps of the script. Each goes on as well as it can when something failed before. */

static void accept_messages(struct script *script, size_t first, size_t count)
{
	static char addresses[RECIPIENTS][64];
	struct spool_writer *writers[MESSAGES];
	struct error results[MESSAGES], error;
	size_t which[MESSAGES], begun = 0;
	for (size_t i = first; i < first + count; i++) {
		struct spool_recipient recipients[RECIPIENTS] = { 0 };
		for (size_t r = 0; r < recipients_of[i]; r++) {
			snprintf(addresses[r], sizeof addresses[r], "r%zu@m%zu.example", r, i);
			recipients[r].address = slice_of(addresses[r]);
		}
		struct spool_envelope envelope = { .id = id_of(i), .received_ns = (int64_t)i + 1, .sender = SLICE("s@example"),
						   .recipients = recipients, .recipient_count = recipients_of[i] };
		struct spool_writer *writer;
		if (!spool_begin(script->spool, &envelope, &writer, &error))
			continue;
		if (!spool_append(writer, script->bodies, i * BODY_MAX, body_sizes[i], &error)) {
			spool_abort(writer);
			continue;
		}
		script->promises[i].tried = true;
		writers[begun] = writer;
		which[begun++] = i;
	}
	spool_commit(script->spool, writers, begun, results);
	for (size_t i = 0; i < begun; i++)
		script->promises[which[i]].accepted = results[i].kind == ERROR_NONE;
}

static void record(struct script *script, const struct spool_record records[], size_t count)
{
	struct error error;
	for (size_t i = 0; i < count; i++) {
		struct promise *promise = &script->promises[records[i].id.text[15] - '0'];
		if (records[i].kind == SPOOL_RECORD_DELIVERED)
			promise->delivery_tried[records[i].recipient] = true;
		if (records[i].kind == SPOOL_RECORD_FROZEN)
			promise->freeze_tried = true;
	}
	if (!spool_record(script->spool, records, count, &error))
		return;
	for (size_t i = 0; i < count; i++) {
		struct promise *promise = &script->promises[records[i].id.text[15] - '0'];
		if (records[i].kind == SPOOL_RECORD_DELIVERED)
			promise->delivered[records[i].recipient] = true;
		if (records[i].kind == SPOOL_RECORD_FROZEN)
			promise->frozen = true;
	}
}

static void remove_messages(struct script *script, size_t first, size_t count, bool durable)
{
	struct message_id ids[MESSAGES];
	struct error error;
	for (size_t i = 0; i < count; i++) {
		ids[i] = id_of(first + i);
		script->promises[first + i].removal_tried = true;
	}
	bool good = spool_remove(script->spool, ids, count, durable, &error);
	for (size_t i = 0; i < count; i++)
		script->promises[first + i].removed = good && durable;
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

static const struct spool_scan ignore = { ignore_message, ignore_problem, NULL };

static void run_script(struct script *script, int root)
{
	struct error error;
	script->spool = open_spool(root, &script->faults.files, &error);
	if (!script->spool)
		return;
	if (!spool_scan(script->spool, &ignore, &error))
		goto end;
	script->opened = script->faults.calls;
	accept_messages(script, 0, 3);
	struct spool_record first[] = {
		{ .id = id_of(1), .kind = SPOOL_RECORD_DELIVERED, .recipient = 2, .text = SLICE("250 OK") },
		{ .id = id_of(2), .kind = SPOOL_RECORD_DEFERRED, .until_ns = 5, .text = SLICE("busy") },
		{ .id = id_of(1), .kind = SPOOL_RECORD_DELIVERED, .recipient = 0 },
	};
	record(script, first, 3);
	accept_messages(script, 3, 4);
	remove_messages(script, 0, 1, false);
	struct spool_record second[] = {
		{ .id = id_of(4), .kind = SPOOL_RECORD_DELIVERED, .recipient = 3 },
		{ .id = id_of(5), .kind = SPOOL_RECORD_FROZEN, .text = SLICE("by hand") },
		{ .id = id_of(1), .kind = SPOOL_RECORD_DELIVERED, .recipient = 1 },
		{ .id = id_of(4), .kind = SPOOL_RECORD_DELIVERED, .recipient = 0 },
	};
	record(script, second, 4);
	remove_messages(script, 1, 1, false);
	accept_messages(script, 7, 2);
	remove_messages(script, 6, 2, true);
	struct spool_record third[] = {
		{ .id = id_of(4), .kind = SPOOL_RECORD_DELIVERED, .recipient = 1 },
		{ .id = id_of(8), .kind = SPOOL_RECORD_FAILED, .recipient = 1, .text = SLICE("550 no") },
	};
	record(script, third, 2);
	/* What its file knows must not be forgotten by an older copy in the log. */
	struct spool_record fourth = { .id = id_of(8), .kind = SPOOL_RECORD_DELIVERED, .recipient = 0 };
	record(script, &fourth, 1);
	remove_messages(script, 8, 1, false);
	accept_messages(script, 9, 1);
end:
	spool_free(script->spool);
	script->spool = NULL;
}

/* What the next instance finds. */

struct check {
	struct script *script;
	struct spool *spool;
	unsigned at;   /* for the failure text: call */
	int variant;
	bool expect_clean; /* nothing may be reported */
};

#define CHECK(check, condition, message)                                                                              \
	do {                                                                                                         \
		if (!(condition))                                                                                    \
			fail_msg("call %u, variant %d, message %zu: %s", (check)->at, (check)->variant,               \
				 (size_t)(message), #condition);                                                     \
	} while (0)

static void check_body(struct check *check, size_t i, const struct spool_envelope *envelope)
{
	struct error error;
	_cleanup_(arena_free) struct arena arena;
	struct spool_message message;
	arena_init(&arena, 0);
	CHECK(check, spool_read(check->spool, &envelope->id, &arena, &message, &error), i);
	_cleanup_fd_ int fd = message.fd;
	_cleanup_heap_ char *body = xcalloc(1, BODY_MAX);
	CHECK(check, message.body_size == body_sizes[i], i);
	CHECK(check, files_read_full(&files_real, fd, body, BODY_MAX, message.body_offset) == (ssize_t)body_sizes[i], i);
	size_t same = 0;
	while (same < body_sizes[i] && body[same] == body_byte(i, same))
		same++;
	CHECK(check, same == body_sizes[i], i);
}

static void check_message(void *context, const struct spool_envelope *envelope)
{
	struct check *check = context;
	size_t i = (size_t)(envelope->id.text[15] - '0');
	assert_true(i < MESSAGES);
	struct promise *promise = &check->script->promises[i];
	promise->seen++;
	CHECK(check, promise->tried && !promise->removed, i);
	CHECK(check, envelope->recipient_count == recipients_of[i], i);
	CHECK(check, envelope->received_ns == (int64_t)i + 1, i);
	for (size_t r = 0; r < recipients_of[i]; r++) {
		bool done = envelope->recipients[r].state == SPOOL_DELIVERED;
		CHECK(check, !promise->delivered[r] || done, i);
		CHECK(check, promise->delivery_tried[r] || !done, i);
	}
	CHECK(check, !promise->frozen || envelope->frozen, i);
	CHECK(check, promise->freeze_tried || !envelope->frozen, i);
	check_body(check, i, envelope);
}

static void check_problem(void *context, const struct spool_problem *problem)
{
	struct check *check = context;
	if (check->expect_clean ||
	    (problem->kind != SPOOL_PROBLEM_LEFTOVER && problem->kind != SPOOL_PROBLEM_TORN_JOURNAL &&
	     problem->kind != SPOOL_PROBLEM_TORN_MESSAGE && problem->kind != SPOOL_PROBLEM_DAMAGED_JOURNAL))
		fail_msg("call %u, variant %d: %s: %s", check->at, check->variant, problem->name, problem->text);
}

static void check_spool(struct check *check, int root)
{
	struct spool_scan scan = { check_message, check_problem, check };
	struct error error = { 0 };
	/* Twice: after a recovery there is nothing left to recover. */
	for (int round = 0; round < 2; round++) {
		check->expect_clean = round > 0;
		for (size_t i = 0; i < MESSAGES; i++)
			check->script->promises[i].seen = 0;
		check->spool = open_spool(root, NULL, &error);
		if (!check->spool || !spool_scan(check->spool, &scan, &error))
			fail_msg("call %u, variant %d: %s", check->at, check->variant, error.text);
		for (size_t i = 0; i < MESSAGES; i++) {
			struct promise *promise = &check->script->promises[i];
			CHECK(check, promise->seen <= 1, i);
			CHECK(check, promise->seen == 1 || !promise->accepted || promise->removal_tried, i);
		}
		spool_free(check->spool);
	}
}

struct plan {
	unsigned crash_at, fail_at;
	int fail_errno;
	bool no_tmpfile, short_io;
};

/* Recovery itself has a call that fails, or is cut off, and its own forgetting comes on top. */
static void disturb_recovery(struct check *check, int root, const struct plan *plan, int target)
{
	struct faults faults;
	struct error error;
	faults_init(&faults, root);
	faults.crash_at = plan->crash_at;
	faults.fail_at = plan->fail_at;
	faults.fail_errno = plan->fail_errno;
	faults.seed = check->at * 31 + plan->crash_at + plan->fail_at;
	struct spool *spool = open_spool(root, &faults.files, &error);
	if (spool)
		spool_scan(spool, &ignore, &error);
	spool_free(spool);
	faults_materialise(&faults, FAULTS_RANDOM, target);
	faults_free(&faults);
}

static void check_variant(struct script *script, unsigned at, enum faults_variant variant, const struct plan *recovery)
{
	struct check check = { .script = script, .at = at, .variant = (int)variant };
	char path[64], second[64];
	int root = faults_directory_make(path);
	script->faults.seed = at * 7919 + (unsigned)variant;
	faults_materialise(&script->faults, variant, root);
	if (recovery) {
		int target = faults_directory_make(second);
		disturb_recovery(&check, root, recovery, target);
		check_spool(&check, target);
		faults_directory_remove(second, target);
	} else {
		check_spool(&check, root);
	}
	faults_directory_remove(path, root);
}

/* A run of the script on a fresh spool. Returns how many calls it made. */
static unsigned run(struct script *script, const struct plan *plan, bool existing, char path[64], int *root_r)
{
	struct error error;
	*script = (struct script){ 0 };
	script->bodies = make_bodies();
	*root_r = faults_directory_make(path);
	if (existing) {
		struct spool *spool = open_spool(*root_r, NULL, &error);
		assert_non_null(spool);
		spool_free(spool);
	}
	faults_init(&script->faults, *root_r);
	script->faults.crash_at = plan->crash_at;
	script->faults.fail_at = plan->fail_at;
	script->faults.fail_errno = plan->fail_errno;
	script->faults.no_tmpfile = plan->no_tmpfile;
	script->faults.short_io = plan->short_io;
	script->faults.seed = plan->crash_at + plan->fail_at + 1;
	run_script(script, *root_r);
	return script->faults.calls;
}

static void end_run(struct script *script, const char *path, int root)
{
	close(script->bodies);
	faults_free(&script->faults);
	faults_directory_remove(path, root);
}

static void run_and_check(const struct plan *plan, bool existing, unsigned variants)
{
	struct script script;
	char path[64];
	int root;
	run(&script, plan, existing, path, &root);
	unsigned at = plan->crash_at ? plan->crash_at : plan->fail_at;
	for (int variant = 0; variant < FAULTS_VARIANTS; variant++)
		if (variants & 1u << variant)
			check_variant(&script, at, (enum faults_variant)variant, NULL);
	end_run(&script, path, root);
}

/* All calls of the script, and those until the spool was open. */
static unsigned count_calls(const struct plan *plan, bool existing, unsigned *opened_r)
{
	struct script script;
	char path[64];
	int root;
	unsigned calls = run(&script, plan, existing, path, &root);
	for (size_t i = 0; i < MESSAGES; i++)
		assert_true(script.promises[i].accepted);
	assert_true(script.promises[1].delivered[1] && script.promises[5].frozen && script.promises[7].removed);
	end_run(&script, path, root);
	*opened_r = script.opened;
	return calls;
}

enum { ALL_VARIANTS = (1 << FAULTS_VARIANTS) - 1 };

static void nothing_promised_is_lost_at_any_crash(void **state)
{
	(void)state;
	unsigned opened, calls = count_calls(&(struct plan){ 0 }, true, &opened);
	assert_true(calls > opened + 50);
	/* Opening takes two calls a directory and changes nothing: a few crashes there are enough. */
	for (unsigned at = opened - 20; at <= calls + 1; at++)
		run_and_check(&(struct plan){ .crash_at = at }, true, ALL_VARIANTS);
}

static void nothing_is_lost_without_unnamed_files_and_with_short_writes(void **state)
{
	(void)state;
	struct plan plan = { .no_tmpfile = true, .short_io = true };
	unsigned opened, calls = count_calls(&plan, true, &opened);
	for (plan.crash_at = opened - 20; plan.crash_at <= calls + 1; plan.crash_at += 5)
		run_and_check(&plan, true, ALL_VARIANTS);
}

static void a_crash_while_the_spool_is_made_leaves_a_usable_one(void **state)
{
	(void)state;
	for (unsigned at = 1; at < 140; at += 3)
		run_and_check(&(struct plan){ .crash_at = at }, false, 1u << FAULTS_LOSE_ALL | 1u << FAULTS_RANDOM);
}

static void any_failed_call_costs_no_promise(void **state)
{
	(void)state;
	static const int failures[] = { ENOSPC, EIO };
	unsigned opened, calls = count_calls(&(struct plan){ 0 }, true, &opened);
	for (unsigned at = opened - 20; at <= calls; at++)
		run_and_check(&(struct plan){ .fail_at = at, .fail_errno = failures[at % 2] }, true,
			      1u << FAULTS_LOSE_ALL | 1u << FAULTS_RANDOM);
}

/* After crashes of the script: a recovery that is cut off, or has an error, at one call after the other. */
static void disturb_recoveries(int failure, unsigned step)
{
	unsigned opened, calls = count_calls(&(struct plan){ 0 }, true, &opened);
	for (unsigned at = opened + 30; at <= calls; at += 5) {
		struct plan plan = { .crash_at = at };
		struct script script;
		char path[64];
		int root;
		run(&script, &plan, true, path, &root);
		for (unsigned again = 128; again < 260; again += step) {
			struct plan recovery = { .crash_at = failure ? 0 : again, .fail_at = failure ? again : 0, .fail_errno = failure };
			check_variant(&script, at, FAULTS_RANDOM, &recovery);
		}
		end_run(&script, path, root);
	}
}

static void a_crash_during_recovery_loses_nothing(void **state)
{
	(void)state;
	disturb_recoveries(0, 9);
}

static void a_disk_that_is_full_for_a_moment_during_recovery_loses_nothing(void **state)
{
	(void)state;
	disturb_recoveries(ENOSPC, 9);
}

static void a_failed_sync_breaks_the_spool_and_promises_nothing_more(void **state)
{
	(void)state;
	struct script script = { 0 };
	struct error error, result;
	struct spool_writer *writer;
	struct spool_recipient recipient = { .address = SLICE("a@example") };
	struct spool_envelope envelope = { .id = id_of(0), .recipients = &recipient, .recipient_count = 1 };
	char path[64];
	int root = faults_directory_make(path);
	faults_init(&script.faults, root);
	struct spool *spool = open_spool(root, &script.faults.files, &error);
	assert_non_null(spool);
	assert_true(spool_scan(spool, &ignore, &error));
	assert_true(spool_begin(spool, &envelope, &writer, &error));
	/* Of the file: opening, writing, syncing. Of the log: space, the records, syncing. */
	script.faults.fail_at = script.faults.calls + 3;
	script.faults.fail_errno = EIO;
	spool_commit(spool, &writer, 1, &result);
	assert_int_equal(result.kind, ERROR_TEMPORARY);
	assert_int_equal(result.number, EIO);
	assert_true(spool_is_broken(spool));
	assert_false(spool_begin(spool, &envelope, &writer, &error));
	assert_int_equal(error.kind, ERROR_TEMPORARY);
	spool_free(spool);
	faults_free(&script.faults);
	faults_directory_remove(path, root);
}

static int use_files(void **state)
{
	(void)state;
	with_log = false;
	return 0;
}

static int use_log(void **state)
{
	(void)state;
	with_log = true;
	return 0;
}

#define BOTH(name) cmocka_unit_test_setup(name, use_files), { #name " (log)", name, use_log, NULL, NULL }

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(nothing_promised_is_lost_at_any_crash),
		BOTH(nothing_is_lost_without_unnamed_files_and_with_short_writes),
		BOTH(a_crash_while_the_spool_is_made_leaves_a_usable_one),
		BOTH(any_failed_call_costs_no_promise),
		BOTH(a_crash_during_recovery_loses_nothing),
		BOTH(a_disk_that_is_full_for_a_moment_during_recovery_loses_nothing),
		BOTH(a_failed_sync_breaks_the_spool_and_promises_nothing_more),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: ISC */
/* The log before the files: what it costs, that it goes round and loses nothing, and what becomes of damage. */
#include "spool/log_spool.h"

#include "spool/file_spool.h"
#include "spool/spool_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* So small that some dozens of messages fill a segment. */
static const struct spool_log_sizes sizes = { .segment = 16 * SPOOL_LOG_PAGE, .step = 2 * SPOOL_LOG_PAGE, .message = 12000 };

static struct spool *open_small(int root, const struct files *files, struct error *error)
{
	return log_spool_open(root, files, &sizes, error);
}

static int set_up(void **state)
{
	*state = make_fixture(open_small);
	return 0;
}

/* Whether there is such a name below the spool's directory. */
static bool exists(const struct fixture *f, const char *path)
{
	return faccessat(f->root, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void defer(struct fixture *f, unsigned number)
{
	struct spool_record record = { .id = id_of(number), .kind = SPOOL_RECORD_DEFERRED, .until_ns = 5 };
	struct error error = { 0 };
	if (!spool_record(f->spool, &record, 1, &error))
		fail_msg("%s", error.text);
}

static void take_away(struct fixture *f, unsigned number, bool durable)
{
	struct message_id id = id_of(number);
	struct error error = { 0 };
	if (!spool_remove(f->spool, &id, 1, durable, &error))
		fail_msg("%s", error.text);
}

static void a_small_message_has_a_file_only_when_it_stays(void **state)
{
	struct fixture *f = *state;
	char large[13000];
	memset(large, 'x', sizeof large);
	store(f, 1, SLICE("one"));
	store(f, 2, SLICE("two"));
	store(f, 3, slice_make(large, sizeof large));
	assert_false(exists(f, "input/a/1wXyZa-000003-01"));
	assert_true(exists(f, "input/a/1wXyZa-000003-03"));
	defer(f, 1);
	assert_true(exists(f, "input/a/1wXyZa-000003-01"));
	assert_slice(body_of(f, 1), "one");
	assert_slice(body_of(f, 2), "two");
	open_again(f);
	assert_int_equal(f->messages, 3);
	assert_int_equal(f->problems, 0);
	assert_true(exists(f, "input/a/1wXyZa-000003-02"));
	assert_slice(body_of(f, 2), "two");
	for (unsigned i = 1; i <= 3; i++)
		take_away(f, i, true);
	open_again(f);
	assert_int_equal(f->messages + f->problems, 0);
}

static void a_batch_is_one_write_and_one_sync(void **state)
{
	struct fixture *f = *state;
	struct faults faults;
	struct spool_writer *writers[20];
	struct error results[20];
	spool_free(f->spool);
	faults_init(&faults, f->root);
	f->spool = spool_open(f->root, &faults.files, &results[0]);
	scan(f);
	store(f, 50, SLICE("the first writes space for all that come"));
	for (unsigned i = 0; i < 20; i++)
		writers[i] = begin(f, i);
	unsigned calls = faults.calls, syncs = faults.syncs;
	spool_commit(f->spool, writers, 20, results);
	assert_int_equal(faults.syncs - syncs, 1);
	assert_int_equal(faults.calls - calls, 2);
	/* Their end is one write, and no wait. */
	struct message_id ids[20];
	for (unsigned i = 0; i < 20; i++)
		ids[i] = id_of(i);
	calls = faults.calls;
	assert_true(spool_remove(f->spool, ids, 20, false, &results[0]));
	assert_int_equal(faults.calls - calls, 1);
	spool_free(f->spool);
	f->spool = NULL;
	faults_free(&faults);
}

/* A damaged message whose segment is needed: the spool breaks, and what starts again keeps it aside and goes on. */
static void a_damaged_message_does_not_hold_up_the_ring(void **state)
{
	struct fixture *f = *state;
	struct spool_writer *writer;
	struct error error = { 0 };
	char large[8000];
	memset(large, 'x', sizeof large);
	store(f, 1, SLICE("to be damaged"));
	_cleanup_fd_ int fd = openat(f->root, "log/1", O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "?", 1, SPOOL_LOG_START + SPOOL_LOG_HEADER + 10), 1);
	for (unsigned i = 2; i < 60 && !spool_is_broken(f->spool); i++) {
		writer = begin(f, i);
		assert_true(spool_append_bytes(writer, slice_make(large, sizeof large), &error));
		spool_commit(f->spool, &writer, 1, &error);
	}
	assert_true(spool_is_broken(f->spool));
	assert_int_equal(error.kind, ERROR_TEMPORARY); /* of the one that was coming in */
	open_again(f);
	assert_int_equal(f->problems, 1);
	assert_int_equal(f->kind, SPOOL_PROBLEM_DAMAGED_MESSAGE);
	assert_true(exists(f, "damaged/1wXyZa-000003-01"));
	store(f, 90, SLICE("goes on"));
}

static void the_ring_goes_round_and_keeps_what_stays(void **state)
{
	enum { COUNT = 1500, KEPT = 50 };
	struct fixture *f = *state;
	char body[3000];
	for (unsigned i = 0; i < COUNT; i++) {
		int len = snprintf(body, sizeof body, "message %u %0*u", i, (int)(i * 37 % 2500) + 1, i);
		store(f, i, slice_make(body, (size_t)len));
		if (i % KEPT)
			take_away(f, i, false);
	}
	for (int round = 0; round < 2; round++) {
		for (unsigned i = 0; i < COUNT; i += KEPT) {
			int len = snprintf(body, sizeof body, "message %u %0*u", i, (int)(i * 37 % 2500) + 1, i);
			assert_true(slice_equal(body_of(f, i), slice_make(body, (size_t)len)));
		}
		open_again(f);
		assert_int_equal(f->messages, COUNT / KEPT);
		assert_int_equal(f->problems, 0);
	}
}

/* ---- A full disk ---- */

static int64_t disk_left; /* bytes by which files may still grow */
static struct file_ops disk_ops;
static const struct files disk_files = { &disk_ops };

static uint64_t size_of(int fd)
{
	struct stat stat;
	assert_int_equal(fstat(fd, &stat), 0);
	return (uint64_t)stat.st_size;
}

static ssize_t disk_pwrite(const struct files *files, int fd, const void *data, size_t size, uint64_t offset)
{
	uint64_t before = size_of(fd), after = offset + size;
	int64_t growth = after > before ? (int64_t)(after - before) : 0;
	(void)files;
	if (growth > disk_left)
		return -ENOSPC;
	disk_left -= growth;
	return files_real.ops->pwrite(&files_real, fd, data, size, offset);
}

static int disk_truncate(const struct files *files, int fd, uint64_t size)
{
	(void)files;
	disk_left += (int64_t)size_of(fd) - (int64_t)size;
	return files_real.ops->truncate(&files_real, fd, size);
}

static struct spool *open_on_disk(int root, const struct files *files, struct error *error)
{
	(void)files;
	disk_ops = *files_real.ops;
	disk_ops.pwrite = disk_pwrite;
	disk_ops.truncate = disk_truncate;
	return open_small(root, &disk_files, error);
}

static int set_up_disk(void **state)
{
	disk_left = INT64_MAX;
	*state = make_fixture(open_on_disk);
	return 0;
}

static struct error try_to_store(struct fixture *f, unsigned number, size_t size)
{
	struct spool_writer *writer = begin(f, number);
	struct error error;
	_cleanup_heap_ char *body = xcalloc(1, size);
	assert_true(spool_append_bytes(writer, slice_make(body, size), &error));
	spool_commit(f->spool, &writer, 1, &error);
	return error;
}

static bool try_to_remove(struct fixture *f, unsigned first, unsigned count)
{
	struct message_id ids[100];
	struct error error;
	assert_true(count <= 100);
	for (unsigned i = 0; i < count; i++)
		ids[i] = id_of(first + i);
	return spool_remove(f->spool, ids, count, true, &error);
}

static uint64_t known(struct fixture *f)
{
	struct spool_figures figures;
	spool_figures(f->spool, &figures);
	return figures.count;
}

static void a_removal_that_has_no_room_can_be_tried_again(void **state)
{
	struct fixture *f = *state;
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(try_to_store(f, i, 1000).kind, ERROR_NONE);
	disk_left = 0;
	/* Up to the end of what the log has written ahead there is room still. */
	unsigned removed = 0;
	while (removed < 5 && try_to_remove(f, removed, 1))
		removed++;
	assert_true(removed < 5);
	assert_int_equal(known(f), 5 - removed);
	assert_false(spool_is_broken(f->spool));
	disk_left = INT64_MAX;
	assert_true(try_to_remove(f, 0, 5));
	assert_int_equal(known(f), 0);
	open_again(f);
	assert_int_equal(f->messages, 0);
}

/* A turn that ran out of space in the middle of the messages it gave files. */
static void messages_with_a_file_and_a_place_in_the_log_are_removed_from_both(void **state)
{
	enum { BODY = 10000 };
	struct fixture *f = *state;
	const struct log_spool *spool = (struct log_spool *)f->spool;
	unsigned stored = 0;
	while (spool->log.generation - spool->oldest < SPOOL_LOG_SEGMENTS - 2 || spool_log_has_room(&spool->log, BODY + 500))
		assert_int_equal(try_to_store(f, stored++, BODY).kind, ERROR_NONE);
	disk_left = 2 * BODY + 1000;
	assert_int_equal(try_to_store(f, stored, BODY).kind, ERROR_TEMPORARY);
	assert_true(known(f) > stored);
	disk_left = INT64_MAX;
	assert_true(try_to_remove(f, 0, stored));
	assert_int_equal(known(f), 0);
	open_again(f);
	assert_int_equal(f->messages, 0);
}

/* The segment that is next is over: its space is for the files of what still lives in the others. */
static void a_start_on_a_full_disk_takes_the_space_of_what_is_over(void **state)
{
	enum { BODY = 10000, LEFT = 4 };
	struct fixture *f = *state;
	const struct log_spool *spool = (struct log_spool *)f->spool;
	unsigned stored = 0;
	for (; spool->log.generation <= SPOOL_LOG_SEGMENTS; stored++) {
		assert_int_equal(try_to_store(f, stored, BODY).kind, ERROR_NONE);
		if (stored >= LEFT)
			assert_true(try_to_remove(f, stored - LEFT, 1));
	}
	disk_left = 0;
	open_again(f);
	assert_int_equal(f->messages, LEFT);
	assert_int_equal(f->problems, 0);
	assert_true(disk_left > 0);
	for (unsigned i = stored - LEFT; i < stored; i++)
		assert_int_equal(body_of(f, i).len, BODY);
	assert_true(try_to_remove(f, stored - LEFT, LEFT));
	open_again(f);
	assert_int_equal(f->messages, 0);
}

/* ---- Threads ---- */

enum { THREADS = 4, EACH = 200 };

struct worker {
	struct fixture *f;
	unsigned first;
	size_t failures;
};

/* Stores, reads, defers and removes its own messages, while the ring goes round below all of them. */
static void *work(void *arg)
{
	static struct spool_recipient recipient = { .address = SLICE("a@e") };
	struct worker *worker = arg;
	struct spool *spool = worker->f->spool;
	struct error error;
	for (unsigned i = worker->first; i < worker->first + EACH; i++) {
		struct spool_envelope envelope = { .id = id_of(i), .recipients = &recipient, .recipient_count = 1 };
		struct spool_writer *writer;
		struct spool_message message;
		struct arena arena;
		arena_init(&arena, 0);
		char body[2000];
		memset(body, (int)('a' + i % 26), sizeof body);
		bool good = spool_begin(spool, &envelope, &writer, &error) && spool_append_bytes(writer, slice_make(body, sizeof body), &error);
		spool_commit(spool, &writer, 1, &error);
		good = good && error.kind == ERROR_NONE;
		/* One that came some time before: in the log still, or in its file by now. */
		unsigned old = i < worker->first + 30 ? i : i - 30;
		struct message_id id = id_of(old);
		if (old % 3 == 0) {
			good = good && spool_read(spool, &id, &arena, &message, &error);
			char first = 0;
			good = good && pread(message.fd, &first, 1, (off_t)message.body_offset) == 1 && first == (char)('a' + old % 26);
			if (good)
				close(message.fd);
		} else if (old % 3 == 1 && old != i) {
			/* Two at once, the later one first. */
			struct spool_record pair[] = { { .id = id, .kind = SPOOL_RECORD_FROZEN },
						       { .id = id_of(old >= worker->first + 3 ? old - 3 : old), .kind = SPOOL_RECORD_DELIVERED } };
			good = good && spool_record(spool, pair, 2, &error);
		} else if (old != i) {
			good = good && spool_remove(spool, &id, 1, i % 2, &error);
		}
		worker->failures += !good;
		arena_free(&arena);
	}
	return NULL;
}

static void threads_share_the_ring(void **state)
{
	struct fixture *f = *state;
	struct worker workers[THREADS];
	pthread_t threads[THREADS];
	size_t expected = 0;
	for (unsigned i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){ .f = f, .first = i * EACH };
		assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(workers[i].failures, 0);
		for (unsigned at = workers[i].first; at < workers[i].first + EACH; at++)
			expected += at % 3 != 2 || at + 30 >= workers[i].first + EACH;
	}
	open_again(f);
	assert_int_equal(f->problems, 0);
	assert_int_equal(f->messages, expected);
}

/* The kernel tells of a failed write once for each open file: to whoever syncs first. */
static atomic_int syncs;
static struct file_ops failing_ops;
static const struct files failing_files = { &failing_ops };

static int sync_failing_once(const struct files *files, int fd)
{
	(void)files;
	(void)fd;
	if (atomic_fetch_add(&syncs, 1) > 0)
		return 0;
	/* Time for another to come in between, if that can be. */
	for (int i = 0; i < 300 && atomic_load(&syncs) == 1; i++)
		usleep(1000);
	return -EIO;
}

static void *store_one(void *arg)
{
	struct fixture *f = arg;
	struct spool_writer *writer = begin(f, 1);
	struct error error;
	assert_true(spool_append_bytes(writer, SLICE("one"), &error));
	spool_commit(f->spool, &writer, 1, &error);
	return error.kind == ERROR_NONE ? f : NULL;
}

static void nobody_is_told_of_success_by_a_sync_beside_one_that_failed(void **state)
{
	struct fixture *f = *state;
	struct error error = { 0 };
	struct spool_writer *writer;
	pthread_t thread;
	void *succeeded;
	spool_free(f->spool);
	failing_ops = *files_real.ops;
	f->spool = open_small(f->root, &failing_files, &error);
	scan(f);
	store(f, 0, SLICE("the first writes space for all that come"));
	writer = begin(f, 2);
	atomic_store(&syncs, 0);
	failing_ops.sync_data = sync_failing_once;
	assert_int_equal(pthread_create(&thread, NULL, store_one, f), 0);
	while (atomic_load(&syncs) == 0)
		usleep(1000);
	assert_true(spool_append_bytes(writer, SLICE("two"), &error));
	spool_commit(f->spool, &writer, 1, &error);
	pthread_join(thread, &succeeded);
	assert_null(succeeded);
	assert_int_equal(error.kind, ERROR_TEMPORARY);
	assert_true(spool_is_broken(f->spool));
}

/* ---- Damage ---- */

struct image {
	char bytes[16 * SPOOL_LOG_PAGE];
	size_t size;
};

static struct image read_segment(const struct fixture *f, const char *path)
{
	struct image image;
	_cleanup_fd_ int fd = openat(f->root, path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	ssize_t got = files_read_full(&files_real, fd, image.bytes, sizeof image.bytes, 0);
	assert_true(got > SPOOL_LOG_START);
	image.size = (size_t)got;
	return image;
}

/* Another spool, of which nothing but this segment is there. */
static struct fixture *with_segment(const char *path, const struct image *image)
{
	struct fixture *f = make_fixture(open_small);
	spool_free(f->spool);
	f->spool = NULL;
	for (char name[] = "log/0"; name[4] <= '3'; name[4]++)
		unlinkat(f->root, name, 0);
	_cleanup_fd_ int fd = openat(f->root, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(files_write_all(&files_real, fd, image->bytes, image->size, 0), 0);
	open_again(f);
	return f;
}

static void drop(struct fixture *f)
{
	void *state = f;
	tear_down(&state);
}

/* Where the record of a message begins and ends. */
static size_t find_record(const struct image *image, const struct message_id *id, size_t *end_r)
{
	const char *name = memmem(image->bytes, image->size, id->text, MESSAGE_ID_LEN);
	assert_non_null(name);
	size_t at = (size_t)(name - image->bytes) / SPOOL_LOG_ALIGN * SPOOL_LOG_ALIGN;
	*end_r = at + SPOOL_LOG_HEADER + (unsigned char)image->bytes[at + 28] + 256u * (unsigned char)image->bytes[at + 29];
	return at;
}

static void any_changed_byte_of_a_record_costs_that_message_only_and_is_told(void **state)
{
	struct fixture *f = *state;
	struct message_id id = id_of(2);
	for (unsigned i = 1; i <= 3; i++)
		store(f, i, SLICE("A: b\r\n\r\nbody\r\n"));
	struct image image = read_segment(f, "log/1");
	size_t end, begin = find_record(&image, &id, &end);
	assert_true(end > begin + 150 && end < begin + 400);
	for (size_t at = begin; at < end; at += 3) {
		image.bytes[at] ^= 4;
		struct fixture *other = with_segment("log/1", &image);
		image.bytes[at] ^= 4;
		assert_int_equal(other->messages, 2);
		assert_int_equal(other->problems, 1);
		assert_int_equal(other->kind, SPOOL_PROBLEM_DAMAGED_MESSAGE);
		assert_non_null(strstr(other->problem, "kept as damaged/"));
		assert_slice(body_of(other, 1), "A: b\r\n\r\nbody\r\n");
		assert_slice(body_of(other, 3), "A: b\r\n\r\nbody\r\n");
		open_again(other);
		assert_int_equal(other->messages, 2);
		assert_int_equal(other->problems, 0);
		drop(other);
	}
}

static void the_last_message_not_whole_is_kept_aside(void **state)
{
	struct fixture *f = *state;
	struct message_id id = id_of(2);
	store(f, 1, SLICE("one"));
	store(f, 2, SLICE("two"));
	struct image image = read_segment(f, "log/1");
	size_t end;
	find_record(&image, &id, &end);
	image.bytes[end - 1] ^= 1;
	struct fixture *other = with_segment("log/1", &image);
	assert_int_equal(other->messages, 1);
	assert_int_equal(other->kind, SPOOL_PROBLEM_TORN_MESSAGE);
	assert_true(exists(other, "damaged/1wXyZa-000003-02"));
	drop(other);
}

static void one_damaged_head_is_no_loss_and_two_are_told(void **state)
{
	struct fixture *f = *state;
	store(f, 1, SLICE("one"));
	struct image image = read_segment(f, "log/1");
	image.bytes[20] ^= 1;
	struct fixture *other = with_segment("log/1", &image);
	assert_int_equal(other->messages, 1);
	assert_int_equal(other->problems, 0);
	drop(other);
	/* Two generations, of which the first has lost its head. */
	char large[8000];
	memset(large, 'x', sizeof large);
	for (unsigned i = 2; !exists(f, "log/2"); i++)
		store(f, i, slice_make(large, sizeof large));
	spool_free(f->spool);
	f->spool = NULL;
	_cleanup_fd_ int fd = openat(f->root, "log/1", O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "?", 1, 20), 1);
	assert_int_equal(pwrite(fd, "?", 1, SPOOL_LOG_PAGE + 20), 1);
	open_again(f);
	assert_int_equal(f->problems, 1);
	assert_int_equal(f->kind, SPOOL_PROBLEM_DAMAGED_MESSAGE);
	assert_true(exists(f, "damaged/log-1.0"));
	assert_true(f->messages >= 1);
	open_again(f);
	assert_int_equal(f->problems, 0);
}

static void what_a_generation_left_behind_is_nothing(void **state)
{
	struct fixture *f = *state;
	store(f, 1, SLICE("one"));
	struct image image = read_segment(f, "log/1");
	size_t end, begin = find_record(&image, &(struct message_id){ "1wXyZa-000003-01" }, &end);
	/* The same bytes under another mark. */
	image.bytes[32] ^= 1;
	image.bytes[SPOOL_LOG_PAGE + 32] ^= 1;
	struct spool_log_head head;
	assert_false(spool_log_head_parse(slice_make(image.bytes, SPOOL_LOG_HEADER), &head));
	image.bytes[32] ^= 1;
	assert_true(spool_log_head_parse(slice_make(image.bytes, SPOOL_LOG_HEADER), &head));
	head.mark++;
	spool_log_head_format(&head, image.bytes);
	spool_log_head_format(&head, image.bytes + SPOOL_LOG_PAGE);
	assert_true(begin >= SPOOL_LOG_START);
	struct fixture *other = with_segment("log/1", &image);
	assert_int_equal(other->messages + other->problems, 0);
	drop(other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST_ON_DISK(name) cmocka_unit_test_setup_teardown(name, set_up_disk, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_small_message_has_a_file_only_when_it_stays), TEST(a_batch_is_one_write_and_one_sync),
		TEST(a_damaged_message_does_not_hold_up_the_ring), TEST(the_ring_goes_round_and_keeps_what_stays), TEST(threads_share_the_ring),
		TEST(nobody_is_told_of_success_by_a_sync_beside_one_that_failed),
		TEST_ON_DISK(a_removal_that_has_no_room_can_be_tried_again),
		TEST_ON_DISK(messages_with_a_file_and_a_place_in_the_log_are_removed_from_both),
		TEST_ON_DISK(a_start_on_a_full_disk_takes_the_space_of_what_is_over),
		TEST(any_changed_byte_of_a_record_costs_that_message_only_and_is_told), TEST(the_last_message_not_whole_is_kept_aside),
		TEST(one_damaged_head_is_no_loss_and_two_are_told), TEST(what_a_generation_left_behind_is_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: ISC */
/* What each spool does, for the one of files alone and the one with a log; and what only the files do. */
#include "spool/file_spool.h"
#include "spool/spool_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

static int set_up(void **state)
{
	*state = make_fixture(file_spool_open);
	return 0;
}

static int set_up_log(void **state)
{
	*state = make_fixture(spool_open);
	return 0;
}

static void a_message_comes_back_byte_for_byte_from_parts(void **state)
{
	struct fixture *f = *state;
	static const size_t sizes[] = { 0, 1, 4096, FILE_SPOOL_BUFFER - 200, FILE_SPOOL_BUFFER, 5 * FILE_SPOOL_BUFFER + 3 };
	char *bytes = xcalloc(1, 6 * FILE_SPOOL_BUFFER);
	for (size_t i = 0; i < 6 * FILE_SPOOL_BUFFER; i++)
		bytes[i] = (char)(i * 31 + i / 256);
	_cleanup_fd_ int fd = memfd_create("body", MFD_CLOEXEC);
	assert_int_equal(files_write_all(&files_real, fd, bytes, 6 * FILE_SPOOL_BUFFER, 0), 0);
	for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		struct spool_writer *writer = begin(f, i);
		struct error error;
		assert_true(spool_append_bytes(writer, slice_make(bytes, 100), &error));
		assert_true(spool_append(writer, fd, 100, sizes[i], &error));
		assert_true(spool_append_bytes(writer, slice_make(bytes + 100 + sizes[i], 5), &error));
		spool_commit(f->spool, &writer, 1, &error);
		assert_int_equal(error.kind, ERROR_NONE);
		assert_true(slice_equal(body_of(f, i), slice_make(bytes, 105 + sizes[i])));
		struct message_id id = id_of(i);
		assert_true(spool_verify(f->spool, &id, &error));
	}
	free(bytes);
	open_again(f);
	assert_int_equal(f->messages, 6);
	assert_int_equal(f->problems, 0);
}

static void an_envelope_with_many_recipients_is_kept(void **state)
{
	struct fixture *f = *state;
	struct spool_recipient *recipients = xcalloc(SPOOL_RECIPIENTS_MAX, sizeof *recipients);
	for (size_t i = 0; i < SPOOL_RECIPIENTS_MAX; i++)
		recipients[i].address = SLICE("somebody@example.org");
	struct spool_envelope envelope = { .id = id_of(1), .recipients = recipients, .recipient_count = SPOOL_RECIPIENTS_MAX };
	struct spool_writer *writer;
	struct error error;
	assert_true(spool_begin(f->spool, &envelope, &writer, &error));
	assert_true(spool_append_bytes(writer, SLICE("x"), &error));
	spool_commit(f->spool, &writer, 1, &error);
	assert_int_equal(error.kind, ERROR_NONE);
	open_again(f);
	assert_int_equal(f->messages, 1);
	assert_int_equal(f->last.recipient_count, SPOOL_RECIPIENTS_MAX);
	assert_slice(body_of(f, 1), "x");
	free(recipients);
}

static void a_batch_syncs_each_file_and_each_directory_once(void **state)
{
	struct fixture *f = *state;
	struct faults faults;
	struct spool_writer *writers[20];
	struct error results[20];
	spool_free(f->spool);
	faults_init(&faults, f->root);
	f->spool = f->open(f->root, &faults.files, &results[0]);
	scan(f);
	for (unsigned i = 0; i < 20; i++)
		writers[i] = begin(f, i);
	unsigned calls = faults.calls, syncs = faults.syncs;
	spool_commit(f->spool, writers, 20, results);
	assert_int_equal(faults.syncs - syncs, 20 + 1);
	/* A small message is one file, one write, one sync, one link. */
	assert_int_equal(faults.calls - calls, 20 * 4 + 1);
	spool_free(f->spool);
	f->spool = NULL;
	faults_free(&faults);
}

static void an_identifier_in_use_fails_that_message_only(void **state)
{
	struct fixture *f = *state;
	struct error results[2];
	store(f, 1, SLICE("old"));
	struct spool_writer *writers[2] = { begin(f, 1), begin(f, 2) };
	spool_commit(f->spool, writers, 2, results);
	assert_int_equal(results[0].kind, ERROR_TEMPORARY);
	assert_int_equal(results[0].number, EEXIST);
	assert_int_equal(results[1].kind, ERROR_NONE);
	assert_slice(body_of(f, 1), "old");
}

static void an_aborted_message_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct error error;
	struct spool_writer *writer = begin(f, 1);
	assert_true(spool_append_bytes(writer, SLICE("x"), &error));
	spool_abort(writer);
	spool_abort(NULL);
	open_again(f);
	assert_int_equal(f->messages + f->problems, 0);
}

static void an_append_past_the_end_fails_the_message(void **state)
{
	struct fixture *f = *state;
	struct error error;
	_cleanup_fd_ int fd = memfd_create("body", MFD_CLOEXEC);
	struct spool_writer *writer = begin(f, 1);
	assert_false(spool_append(writer, fd, 0, 1, &error));
	assert_int_equal(error.kind, ERROR_TEMPORARY);
	spool_commit(f->spool, &writer, 1, &error);
	assert_int_equal(error.kind, ERROR_TEMPORARY);
	assert_false(spool_is_broken(f->spool));
}

static void records_are_there_at_once_and_after_a_restart(void **state)
{
	struct fixture *f = *state;
	struct error error;
	struct spool_message message;
	struct message_id id = id_of(1);
	store(f, 1, SLICE("x"));
	struct spool_record records[] = { { .id = id, .kind = SPOOL_RECORD_DELIVERED, .recipient = 1, .text = SLICE("250") },
					  { .id = id, .kind = SPOOL_RECORD_DEFERRED, .until_ns = 77, .text = SLICE("busy") } };
	assert_true(spool_record(f->spool, records, 2, &error));
	assert_true(spool_read(f->spool, &id, &f->arena, &message, &error));
	close(message.fd);
	assert_int_equal(message.envelope.recipients[1].state, SPOOL_DELIVERED);
	open_again(f);
	assert_int_equal(f->last.deferred_until_ns, 77);
	records[0] = (struct spool_record){ .id = id, .kind = SPOOL_RECORD_FROZEN, .text = SLICE("stop") };
	assert_true(spool_record(f->spool, records, 1, &error));
	open_again(f);
	assert_true(f->last.frozen);
	assert_int_equal(f->problems, 0);
}

static void a_record_for_nobody_is_refused_and_the_rest_recorded(void **state)
{
	struct fixture *f = *state;
	struct error error;
	store(f, 1, SLICE("x"));
	store(f, 3, SLICE("x"));
	struct spool_record records[] = { { .id = id_of(1), .kind = SPOOL_RECORD_DELIVERED, .recipient = 2 },
					  { .id = id_of(2), .kind = SPOOL_RECORD_THAWED },
					  { .id = id_of(3), .kind = SPOOL_RECORD_FROZEN } };
	assert_false(spool_record(f->spool, records, 3, &error));
	assert_non_null(strstr(error.text, "no recipient number 2"));
	open_again(f);
	assert_int_equal(f->problems, 0);
	assert_true(f->last.frozen);
}

static void removal_takes_message_and_journal(void **state)
{
	struct fixture *f = *state;
	struct error error;
	struct message_id ids[3] = { id_of(1), id_of(9), id_of(2) };
	store(f, 1, SLICE("x"));
	store(f, 2, SLICE("y"));
	struct spool_record record = { .id = id_of(1), .kind = SPOOL_RECORD_DELIVERED };
	assert_true(spool_record(f->spool, &record, 1, &error));
	for (int times = 0; times < 2; times++) /* what it does not know is gone, too */
		assert_true(spool_remove(f->spool, ids, 3, true, &error));
	struct spool_figures figures;
	spool_figures(f->spool, &figures);
	assert_int_equal(figures.count, 0);
	open_again(f);
	assert_int_equal(f->messages + f->problems, 0);
}

static void figures_follow_what_is_stored(void **state)
{
	struct fixture *f = *state;
	struct spool_figures figures;
	struct error error;
	for (unsigned i = 0; i < 100; i++)
		store(f, i, SLICE("12345"));
	struct message_id ids[50];
	for (unsigned i = 0; i < 50; i++)
		ids[i] = id_of(i);
	assert_true(spool_remove(f->spool, ids, 50, false, &error));
	for (int round = 0; round < 2; round++) {
		spool_figures(f->spool, &figures);
		assert_int_equal(figures.count, 50);
		assert_int_equal(figures.bytes, 250);
		assert_int_equal(figures.oldest_ns, 1050);
		open_again(f);
	}
}

static void export_gives_the_message_or_the_file(void **state)
{
	struct fixture *f = *state;
	struct error error;
	struct message_id id = id_of(1);
	char text[400] = { 0 };
	store(f, 1, SLICE("A: b\r\n\r\nx"));
	_cleanup_fd_ int out = memfd_create("out", MFD_CLOEXEC);
	assert_true(spool_export(f->spool, &id, out, false, &error));
	assert_true(pread(out, text, sizeof text - 1, 0) > 0);
	assert_string_equal(text, "A: b\r\n\r\nx");
	assert_true(spool_export(f->spool, &id, out, true, &error));
	assert_true(pread(out, text, sizeof text - 1, 9) > 0);
	assert_non_null(strstr(text, "Postern-Message: 1 size=00000000000000000009"));
	assert_non_null(strstr(text, "\nTo: b@e\n\nA: b\r\n"));
	id.text[0] = '2';
	assert_false(spool_export(f->spool, &id, out, true, &error));
	assert_int_equal(error.number, ENOENT);
}

static void a_second_instance_is_told_so(void **state)
{
	struct fixture *f = *state;
	struct error error;
	assert_null(f->open(f->root, NULL, &error));
	assert_int_equal(error.number, EWOULDBLOCK);
	assert_non_null(strstr(error.text, "another instance"));
}

/* Each byte of a stored message and its envelope, changed: never presented, kept aside, said why. */
static void any_changed_byte_puts_the_message_aside(void **state)
{
	struct fixture *f = *state;
	struct message_id id = id_of(1);
	store(f, 1, SLICE("A: b\r\n\r\nbody\r\n"));
	int dir = openat(f->root, "input/a", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int damaged = openat(f->root, "damaged", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char bytes[400];
	int fd = openat(dir, id.text, O_RDONLY | O_CLOEXEC);
	ssize_t size = pread(fd, bytes, sizeof bytes, 0);
	close(fd);
	assert_true(size > 100 && size < 400);
	for (ssize_t at = 0; at <= size; at++) {
		struct error error;
		/* At the end: one byte less. */
		fd = openat(dir, id.text, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		if (at < size)
			bytes[at] ^= 4;
		assert_int_equal(files_write_all(&files_real, fd, bytes, (size_t)(at < size ? size : size - 1), 0), 0);
		if (at < size)
			bytes[at] ^= 4;
		close(fd);
		if (at == 0)
			assert_false(spool_read(f->spool, &id, &f->arena, &(struct spool_message){ 0 }, &error));
		open_again(f);
		assert_int_equal(f->messages, 0);
		assert_int_equal(f->problems, 1);
		assert_int_equal(f->kind, SPOOL_PROBLEM_DAMAGED_MESSAGE);
		assert_non_null(strstr(f->problem, "kept as damaged/1wXyZa-000003-01"));
		assert_int_not_equal(faccessat(dir, id.text, F_OK, 0), 0);
		assert_int_equal(faccessat(damaged, id.text, F_OK, 0), 0);
		if (at < size)
			assert_int_equal(unlinkat(damaged, id.text, 0), 0);
	}
	/* A name that is taken there already gets a number. */
	store(f, 1, SLICE("x"));
	fd = openat(dir, id.text, O_WRONLY | O_CLOEXEC);
	assert_int_equal(ftruncate(fd, 10), 0);
	close(fd);
	open_again(f);
	assert_non_null(strstr(f->problem, "kept as damaged/1wXyZa-000003-01.1"));
	close(dir);
	close(damaged);
}

static void put(struct fixture *f, const char *path, struct slice text)
{
	_cleanup_fd_ int fd = openat(f->root, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(files_write_all(&files_real, fd, text.data, text.len, 0), 0);
}

static void names_that_are_no_messages_are_sorted_out(void **state)
{
	struct fixture *f = *state;
	put(f, "input/Z/.new-1wXyZZ-000Kc3-01", SLICE("x"));
	open_again(f);
	assert_int_equal(f->kind, SPOOL_PROBLEM_LEFTOVER);
	put(f, "input/Z/1wXyZZ-000Kc3-01-J", SLICE("x"));
	open_again(f);
	assert_int_equal(f->kind, SPOOL_PROBLEM_LEFTOVER);
	put(f, "input/Z/README", SLICE("x"));
	open_again(f);
	assert_int_equal(f->problems, 1);
	assert_int_equal(f->kind, SPOOL_PROBLEM_STRANGE);
	assert_int_equal(faccessat(f->root, "input/Z/README", F_OK, 0), 0);
	assert_int_equal(unlinkat(f->root, "input/Z/README", 0), 0);
	assert_int_equal(mkdirat(f->root, "input/Z/1wXyZZ-000Kc3-01", 0700), 0);
	open_again(f);
	assert_int_equal(f->kind, SPOOL_PROBLEM_DAMAGED_MESSAGE);
	assert_int_equal(symlinkat("/etc/passwd", f->root, "input/Z/1wXyZZ-000Kc3-02"), 0);
	open_again(f);
	assert_int_equal(f->kind, SPOOL_PROBLEM_DAMAGED_MESSAGE);
	store(f, 1, SLICE("x"));
	assert_int_equal(renameat(f->root, "input/a/1wXyZa-000003-01", f->root, "input/Z/1wXyZa-000003-01"), 0);
	open_again(f);
	assert_non_null(strstr(f->problem, "wrong directory"));
	open_again(f);
	assert_int_equal(f->messages + f->problems, 0);
}

static void a_torn_journal_is_cut_and_goes_on(void **state)
{
	struct fixture *f = *state;
	struct error error;
	store(f, 1, SLICE("x"));
	struct spool_record record = { .id = id_of(1), .kind = SPOOL_RECORD_DELIVERED };
	assert_true(spool_record(f->spool, &record, 1, &error));
	int fd = openat(f->root, "input/a/1wXyZa-000003-01-J", O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_int_equal(write(fd, "01234567 D 1 half of", 20), 20);
	close(fd);
	open_again(f);
	assert_int_equal(f->kind, SPOOL_PROBLEM_TORN_JOURNAL);
	record.recipient = 1;
	assert_true(spool_record(f->spool, &record, 1, &error));
	open_again(f);
	assert_int_equal(f->problems, 0);
	assert_int_equal(f->delivered, 2);
}

static void a_spool_that_cannot_be_written_says_where(void **state)
{
	struct fixture *f = *state;
	struct faults faults;
	struct error error;
	spool_free(f->spool);
	f->spool = NULL;
	for (unsigned at = 1; at <= 128; at++) {
		faults_init(&faults, f->root);
		faults.fail_at = at;
		faults.fail_errno = EROFS;
		struct spool *spool = f->open(f->root, &faults.files, &error);
		/* A way of linking that fails is not yet a failure of the spool. */
		if (!spool)
			assert_non_null(strstr(error.text, "the spool's"));
		else
			assert_true(at > 128 - 4);
		spool_free(spool);
		faults_free(&faults);
	}
}

static void each_way_of_naming_a_file_stores_the_message(void **state)
{
	struct fixture *f = *state;
	struct faults faults;
	struct error error;
	for (unsigned how = FILES_LINK_EMPTY_PATH; how <= FILES_LINK_NONE; how++) {
		spool_free(f->spool);
		faults_init(&faults, f->root);
		faults.worst_link = (enum files_link)how;
		f->spool = f->open(f->root, &faults.files, &error);
		assert_non_null(f->spool);
		scan(f);
		store(f, how, SLICE("body"));
		assert_slice(body_of(f, how), "body");
		spool_abort(begin(f, 50));
		spool_free(f->spool);
		f->spool = NULL;
		faults_free(&faults);
		open_again(f);
		assert_int_equal(f->messages, how + 1);
		assert_int_equal(f->problems, 0);
	}
}

#define FILES(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define BOTH(name) FILES(name), { #name " (log)", name, set_up_log, tear_down, NULL }

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(a_message_comes_back_byte_for_byte_from_parts), BOTH(an_envelope_with_many_recipients_is_kept),
		FILES(a_batch_syncs_each_file_and_each_directory_once), BOTH(an_identifier_in_use_fails_that_message_only),
		BOTH(an_aborted_message_leaves_nothing), BOTH(an_append_past_the_end_fails_the_message),
		BOTH(records_are_there_at_once_and_after_a_restart), BOTH(a_record_for_nobody_is_refused_and_the_rest_recorded),
		BOTH(removal_takes_message_and_journal), BOTH(figures_follow_what_is_stored),
		BOTH(export_gives_the_message_or_the_file), BOTH(a_second_instance_is_told_so),
		FILES(any_changed_byte_puts_the_message_aside), FILES(names_that_are_no_messages_are_sorted_out),
		FILES(a_torn_journal_is_cut_and_goes_on), FILES(each_way_of_naming_a_file_stores_the_message),
		FILES(a_spool_that_cannot_be_written_says_where),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

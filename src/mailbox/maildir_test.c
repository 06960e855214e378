/* SPDX-License-Identifier: ISC */
#include "base/cleanup.h"
#include "base/fatal.h"
#include "base/test.h"
#include "mailbox/maildir.h"
#include "mailbox/maildir_private.h"
#include "spool/faults.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

struct fixture {
	char path[64];
	int base;
	struct maildir *maildir;
};

static int set_up(void **state)
{
	struct fixture *fixture = xcalloc(1, sizeof *fixture);
	fixture->base = faults_directory_make(fixture->path);
	fixture->maildir = maildir_new(SLICE("mx/1:a.example"), NULL);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	maildir_free(fixture->maildir);
	faults_directory_remove(fixture->path, fixture->base);
	free(fixture);
	return 0;
}

static int body_fd(struct slice body)
{
	int fd = memfd_create("body", MFD_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(files_write_all(&files_real, fd, body.data, body.len, 0), 0);
	return fd;
}

static struct maildir_delivery delivery_to(int base, const char *path, int fd, size_t size)
{
	return (struct maildir_delivery){ .base_fd = base, .path = slice_of(path), .create = true, .directory_mode = 0700,
					  .file_mode = 0600, .body_fd = fd, .body_size = size };
}

/* Reads PATH/new/NAME; the caller frees. */
static struct slice read_file(int base, const char *path, const char *name)
{
	char full[600];
	struct stat stat;
	snprintf(full, sizeof full, "%s/new/%s", path, name);
	_cleanup_fd_ int fd = openat(base, full, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return (struct slice){ 0 };
	assert_int_equal(fstat(fd, &stat), 0);
	char *data = xcalloc(1, (size_t)stat.st_size + 1);
	assert_int_equal(files_read_full(&files_real, fd, data, (size_t)stat.st_size, 0), stat.st_size);
	return slice_make(data, (size_t)stat.st_size);
}

static int count_files(int base, const char *path)
{
	_cleanup_fd_ int fd = openat(base, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	DIR *stream = fdopendir(fd_take(&fd));
	int count = -2; /* "." and ".." */
	while (readdir(stream))
		count++;
	closedir(stream);
	return count;
}

/* Delivers one message and compares the file, its S= and its W=. */
static void check_bytes(struct fixture *fixture, struct slice prefix, struct slice body, struct slice want, size_t wide)
{
	char sizes[64];
	_cleanup_fd_ int fd = body_fd(body);
	struct maildir_delivery delivery = delivery_to(fixture->base, "u", fd, body.len);
	delivery.prefix = prefix;
	maildir_deliver(fixture->maildir, &delivery, 1);
	assert_string_equal(delivery.error.text, "");
	struct slice got = read_file(fixture->base, "u", delivery.name);
	assert_true(slice_equal(got, want));
	snprintf(sizes, sizeof sizes, ",S=%zu,W=%zu", want.len, wide);
	if (!slice_ends_nocase(slice_of(delivery.name), slice_of(sizes)))
		fail_msg("%s does not end in %s", delivery.name, sizes);
	free((void *)(uintptr_t)got.data);
}

static void crlf_becomes_lf_and_all_other_bytes_stay(void **state)
{
	struct fixture *f = *state;
	check_bytes(f, SLICE("Return-path: <>\n"), SLICE("A: b\r\n\r\nx\r\n"), SLICE("Return-path: <>\nA: b\n\nx\n"), 28);
	check_bytes(f, SLICE(""), SLICE(""), SLICE(""), 0);
	check_bytes(f, SLICE("P: q\n"), SLICE(""), SLICE("P: q\n"), 6);
	check_bytes(f, SLICE(""), SLICE("no final newline"), SLICE("no final newline"), 16);
	check_bytes(f, SLICE(""), SLICE("lone\rcr\r\n\rx\r"), SLICE("lone\rcr\n\rx\r"), 12);
	check_bytes(f, SLICE(""), SLICE("\r\r\n\r\r"), SLICE("\r\n\r\r"), 4);
	check_bytes(f, SLICE(""), SLICE("nul\0\377\r\n"), SLICE("nul\0\377\n"), 7);
	check_bytes(f, SLICE(""), SLICE("bare\nfeed\n"), SLICE("bare\nfeed\n"), 12);
}

/* By the rule as it stands, a byte at a time. */
static struct slice convert_plainly(struct slice body, size_t *wide_r)
{
	char *out = xcalloc(1, body.len + 1);
	size_t len = 0, wide = 0;
	for (size_t i = 0; i < body.len; i++) {
		if (body.data[i] == '\r' && i + 1 < body.len && body.data[i + 1] == '\n')
			continue;
		wide += body.data[i] == '\n' && (len == 0 || out[len - 1] != '\r');
		out[len++] = body.data[i];
	}
	*wide_r = len + wide;
	return slice_make(out, len);
}

static void conversion_does_not_depend_on_buffer_borders(void **state)
{
	struct fixture *f = *state;
	size_t size = 3 * MAILDIR_BUFFER + 17, wide;
	char *body = xcalloc(1, size);
	static const char bytes[] = "\r\n\r\nabcdefgh";
	uint32_t random = 12345;
	for (int round = 0; round < 6; round++) {
		for (size_t i = 0; i < size; i++) {
			random = random * 1664525u + 1013904223u;
			body[i] = bytes[(random >> 16) % (sizeof bytes - 1)];
		}
		/* The borders themselves in all forms. */
		for (size_t at = MAILDIR_BUFFER - 4; at < MAILDIR_BUFFER + 4; at++)
			body[at] = (at + (size_t)round) % 2 ? '\n' : '\r';
		struct slice whole = slice_make(body, size - (size_t)round), want = convert_plainly(whole, &wide);
		check_bytes(f, SLICE(""), whole, want, wide);
		free((void *)(uintptr_t)want.data);
	}
	/* A prefix that is as long as the buffer, or nearly. */
	char *prefix = xcalloc(1, MAILDIR_BUFFER + 10);
	memset(prefix, 'h', MAILDIR_BUFFER + 10);
	for (size_t len = MAILDIR_BUFFER - 3; len < MAILDIR_BUFFER + 3; len++) {
		char *want = xcalloc(1, len + 3);
		memcpy(want, prefix, len);
		memcpy(want + len, "x\ny", 3);
		check_bytes(f, slice_make(prefix, len), SLICE("x\r\ny"), slice_make(want, len + 3), len + 4);
		free(want);
	}
	free(prefix);
	free(body);
}

static void a_body_is_read_from_its_offset(void **state)
{
	struct fixture *f = *state;
	_cleanup_fd_ int fd = body_fd(SLICE("envelope\n\nbody\r\ntrailer"));
	struct maildir_delivery delivery = delivery_to(f->base, "u", fd, 6);
	delivery.body_offset = 10;
	maildir_deliver(f->maildir, &delivery, 1);
	struct slice got = read_file(f->base, "u", delivery.name);
	assert_slice(got, "body\n");
	free((void *)(uintptr_t)got.data);
}

static void a_body_shorter_than_said_is_no_delivery(void **state)
{
	struct fixture *f = *state;
	_cleanup_fd_ int fd = body_fd(SLICE("short"));
	struct maildir_delivery delivery = delivery_to(f->base, "u", fd, 6);
	maildir_deliver(f->maildir, &delivery, 1);
	assert_int_equal(delivery.error.kind, ERROR_TEMPORARY);
	assert_int_equal(count_files(f->base, "u/new"), 0);
	assert_string_equal(delivery.name, "");
}

static void a_batch_of_100_into_10_mailboxes_has_100_names_and_few_syncs(void **state)
{
	struct fixture *f = *state;
	struct faults faults;
	struct maildir_delivery deliveries[100];
	char paths[10][16];
	_cleanup_fd_ int fd = body_fd(SLICE("x\r\n"));
	faults_init(&faults, f->base);
	struct maildir *maildir = maildir_new(SLICE("h"), &faults.files);
	for (int round = 0; round < 2; round++) {
		unsigned before = faults.syncs;
		for (size_t i = 0; i < 100; i++) {
			snprintf(paths[i % 10], sizeof paths[0], "d/u%zu", i % 10);
			deliveries[i] = delivery_to(f->base, paths[i % 10], fd, 3);
		}
		maildir_deliver(maildir, deliveries, 100);
		/* Each file once, each directory once for the 64 and once for the 36 that a batch is cut into. */
		if (round == 1)
			assert_int_equal(faults.syncs - before, 100 + 10 + 10);
	}
	for (size_t i = 0; i < 100; i++) {
		assert_int_equal(deliveries[i].error.kind, ERROR_NONE);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(deliveries[i].name, deliveries[j].name);
	}
	for (size_t i = 0; i < 10; i++) {
		char path[32];
		snprintf(path, sizeof path, "%s/new", paths[i]);
		assert_int_equal(count_files(f->base, path), 20);
	}
	maildir_free(maildir);
	faults_free(&faults);
}

static void more_mailboxes_than_the_cache_holds_are_served(void **state)
{
	struct fixture *f = *state;
	enum { COUNT = 2 * MAILDIR_CACHE + 5 };
	struct maildir_delivery *deliveries = xcalloc(COUNT, sizeof *deliveries);
	char paths[COUNT][16];
	_cleanup_fd_ int fd = body_fd(SLICE("x"));
	for (size_t i = 0; i < COUNT; i++) {
		snprintf(paths[i], sizeof paths[i], "u%zu", i);
		deliveries[i] = delivery_to(f->base, paths[i], fd, 1);
	}
	maildir_deliver(f->maildir, deliveries, COUNT);
	for (size_t i = 0; i < COUNT; i++) {
		char path[32];
		snprintf(path, sizeof path, "u%zu/new", i);
		assert_int_equal(deliveries[i].error.kind, ERROR_NONE);
		assert_int_equal(count_files(f->base, path), 1);
	}
	free(deliveries);
}

static void names_have_host_escaped_and_no_separator(void **state)
{
	struct fixture *f = *state;
	_cleanup_fd_ int fd = body_fd(SLICE("x"));
	struct maildir_delivery delivery = delivery_to(f->base, "u", fd, 1);
	maildir_deliver(f->maildir, &delivery, 1);
	assert_non_null(strstr(delivery.name, ".mx\\0571\\072a.example,S=1,W=1"));
	assert_null(strpbrk(delivery.name, "/:"));
}

static void paths_that_lead_out_are_refused(void **state)
{
	struct fixture *f = *state;
	char outside[64];
	int out = faults_directory_make(outside);
	_cleanup_fd_ int fd = body_fd(SLICE("x"));
	assert_int_equal(mkdirat(out, "new", 0700), 0);
	assert_int_equal(symlinkat(outside, f->base, "link"), 0);
	assert_int_equal(mkdirat(f->base, "u", 0700), 0);
	assert_int_equal(symlinkat("../..", f->base, "u/up"), 0);
	static const char *const links[] = { "link", "link/sub", "u/up", "u/up/x" };
	for (size_t i = 0; i < sizeof links / sizeof links[0]; i++) {
		struct maildir_delivery delivery = delivery_to(f->base, links[i], fd, 1);
		maildir_deliver(f->maildir, &delivery, 1);
		assert_int_equal(delivery.error.kind, ERROR_TEMPORARY);
		assert_non_null(strstr(delivery.error.text, "leads out"));
		assert_non_null(strstr(delivery.error.text, links[i]));
	}
	static const char *const bad[] = { "", "/abs", "../x", "a/../b", "a//b", "a/", ".", "a/./b" };
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct maildir_delivery delivery = delivery_to(f->base, bad[i], fd, 1);
		maildir_deliver(f->maildir, &delivery, 1);
		assert_int_equal(delivery.error.kind, ERROR_PERMANENT);
	}
	struct maildir_delivery nul = delivery_to(f->base, "", fd, 1);
	nul.path = SLICE("a\0b");
	maildir_deliver(f->maildir, &nul, 1);
	assert_int_equal(nul.error.kind, ERROR_PERMANENT);
	assert_int_equal(count_files(out, "new"), 0);
	faults_directory_remove(outside, out);
}

static void links_within_the_base_are_followed(void **state)
{
	struct fixture *f = *state;
	_cleanup_fd_ int fd = body_fd(SLICE("x"));
	assert_int_equal(mkdirat(f->base, "real", 0700), 0);
	assert_int_equal(symlinkat("real", f->base, "alias"), 0);
	struct maildir_delivery delivery = delivery_to(f->base, "alias", fd, 1);
	maildir_deliver(f->maildir, &delivery, 1);
	assert_int_equal(delivery.error.kind, ERROR_NONE);
	assert_int_equal(count_files(f->base, "real/new"), 1);
}

static void a_missing_mailbox_without_create_is_temporary_and_named(void **state)
{
	struct fixture *f = *state;
	_cleanup_fd_ int fd = body_fd(SLICE("x"));
	struct maildir_delivery delivery = delivery_to(f->base, "nobody/here", fd, 1);
	delivery.create = false;
	maildir_deliver(f->maildir, &delivery, 1);
	assert_int_equal(delivery.error.kind, ERROR_TEMPORARY);
	assert_int_equal(delivery.error.number, ENOENT);
	assert_non_null(strstr(delivery.error.text, "nobody/here"));
	assert_int_equal(count_files(f->base, "nobody"), -1);
}

static void a_removed_or_replaced_mailbox_is_noticed(void **state)
{
	struct fixture *f = *state;
	_cleanup_fd_ int fd = body_fd(SLICE("x"));
	struct maildir_delivery delivery = delivery_to(f->base, "u", fd, 1);
	maildir_deliver(f->maildir, &delivery, 1);
	assert_int_equal(renameat(f->base, "u", f->base, "old"), 0);
	maildir_deliver(f->maildir, &delivery, 1);
	assert_int_equal(delivery.error.kind, ERROR_NONE);
	assert_int_equal(count_files(f->base, "u/new"), 1);
	assert_int_equal(count_files(f->base, "old/new"), 1);
}

/* Each call fails in turn, with and without unnamed files: no success is told for what is not there, nothing is left over. */
static void try_failures(struct fixture *f, int failure, bool no_tmpfile)
{
	_cleanup_fd_ int fd = body_fd(SLICE("hello\r\n"));
	for (unsigned at = 1;; at++) {
		char path[16], new_path[32], tmp_path[32];
		struct faults faults;
		faults_init(&faults, f->base);
		faults.fail_at = at;
		faults.fail_errno = failure;
		faults.no_tmpfile = no_tmpfile;
		struct maildir *maildir = maildir_new(SLICE("h"), &faults.files);
		snprintf(path, sizeof path, "f%u", at);
		snprintf(new_path, sizeof new_path, "%s/new", path);
		snprintf(tmp_path, sizeof tmp_path, "%s/tmp", path);
		struct maildir_delivery delivery = delivery_to(f->base, path, fd, 7);
		maildir_deliver(maildir, &delivery, 1);
		bool reached = faults.calls >= at;
		if (delivery.error.kind != ERROR_NONE) {
			assert_int_equal(delivery.error.kind, ERROR_TEMPORARY);
			assert_int_equal(delivery.error.number, failure);
			assert_non_null(strstr(delivery.error.text, path));
			assert_true(count_files(f->base, new_path) <= 0);
		} else {
			assert_int_equal(count_files(f->base, new_path), 1);
		}
		assert_true(count_files(f->base, tmp_path) <= 0);
		maildir_free(maildir);
		faults_free(&faults);
		if (!reached)
			break;
		assert_true(at < 100);
	}
}

static void any_failed_call_defers_and_leaves_nothing(void **state)
{
	try_failures(*state, EACCES, false);
	try_failures(*state, ENOSPC, true);
}

/* A crash at each call: what was told to be delivered is there, whole, whatever of the rest was lost. */
static void delivered_mail_survives_any_crash(void **state)
{
	struct fixture *f = *state;
	_cleanup_fd_ int fd = body_fd(SLICE("hello\r\nworld\r\n"));
	for (unsigned at = 1; at < 120; at++) {
		struct faults faults;
		char target_path[64], path[64];
		int root = faults_directory_make(path);
		faults_init(&faults, root);
		faults.crash_at = at;
		faults.no_tmpfile = at % 2;
		struct maildir *maildir = maildir_new(SLICE("h"), &faults.files);
		struct maildir_delivery deliveries[6];
		for (size_t i = 0; i < 6; i++)
			deliveries[i] = delivery_to(root, i % 3 ? "a/one" : "two", fd, 14);
		maildir_deliver(maildir, deliveries, 3);
		maildir_deliver(maildir, deliveries + 3, 3);
		for (int variant = 0; variant < FAULTS_VARIANTS; variant++) {
			int target = faults_directory_make(target_path);
			faults.seed = at;
			faults_materialise(&faults, (enum faults_variant)variant, target);
			for (size_t i = 0; i < 6; i++) {
				if (deliveries[i].error.kind != ERROR_NONE)
					continue;
				struct slice got = read_file(target, i % 3 ? "a/one" : "two", deliveries[i].name);
				assert_slice(got, "hello\nworld\n");
				free((void *)(uintptr_t)got.data);
			}
			faults_directory_remove(target_path, target);
		}
		maildir_free(maildir);
		faults_free(&faults);
		faults_directory_remove(path, root);
	}
	(void)f;
}

static void without_a_way_to_link_names_in_tmp_are_used(void **state)
{
	struct fixture *f = *state;
	struct faults faults;
	_cleanup_fd_ int fd = body_fd(SLICE("x"));
	faults_init(&faults, f->base);
	faults.worst_link = FILES_LINK_NONE;
	struct maildir *maildir = maildir_new(SLICE("h"), &faults.files);
	struct maildir_delivery delivery = delivery_to(f->base, "u", fd, 1);
	maildir_deliver(maildir, &delivery, 1);
	assert_int_equal(delivery.error.kind, ERROR_TEMPORARY);
	maildir_deliver(maildir, &delivery, 1);
	assert_int_equal(delivery.error.kind, ERROR_NONE);
	assert_int_equal(count_files(f->base, "u/new"), 1);
	assert_int_equal(count_files(f->base, "u/tmp"), 0);
	maildir_free(maildir);
	faults_free(&faults);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(crlf_becomes_lf_and_all_other_bytes_stay), TEST(conversion_does_not_depend_on_buffer_borders),
		TEST(a_body_is_read_from_its_offset), TEST(a_body_shorter_than_said_is_no_delivery),
		TEST(a_batch_of_100_into_10_mailboxes_has_100_names_and_few_syncs),
		TEST(more_mailboxes_than_the_cache_holds_are_served), TEST(names_have_host_escaped_and_no_separator),
		TEST(paths_that_lead_out_are_refused), TEST(links_within_the_base_are_followed),
		TEST(a_missing_mailbox_without_create_is_temporary_and_named), TEST(a_removed_or_replaced_mailbox_is_noticed),
		TEST(any_failed_call_defers_and_leaves_nothing), TEST(delivered_mail_survives_any_crash),
		TEST(without_a_way_to_link_names_in_tmp_are_used),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

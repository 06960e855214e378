/* SPDX-License-Identifier: ISC */
#include "role/tls_mark.h"

#include "base/test.h"
#include "tls/verify.h"

#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <openssl/x509.h>

static char directory[64];

static const char *path_of(const char *name)
{
	static char path[200];
	snprintf(path, sizeof path, "%s/%s", directory, name);
	return path;
}

static void put(const char *name, const char *text)
{
	int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

static int make_directory(void **state)
{
	(void)state;
	snprintf(directory, sizeof directory, "/tmp/postern-mark.XXXXXX");
	return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
	char command[100];
	(void)state;
	snprintf(command, sizeof command, "rm -rf '%s'", directory);
	return system(command);
}

static struct tls_mark before;

static void remember(enum tls_file_kind kind)
{
	before = tls_mark_of(kind, directory);
	struct tls_mark again = tls_mark_of(kind, directory);
	assert_true(tls_mark_same(&before, &again));
}

static bool changed(enum tls_file_kind kind)
{
	struct tls_mark now = tls_mark_of(kind, directory);
	return !tls_mark_same(&before, &now);
}

static void a_file_that_is_not_there_has_no_mark(void **state)
{
	(void)state;
	struct tls_mark none = { 0 }, mark = tls_mark_of(TLS_FILE_CHAIN, "/nonexistent"), empty = tls_mark_of(TLS_FILE_CHAIN, "");
	assert_true(tls_mark_same(&none, &mark) && tls_mark_same(&none, &empty));
}

static void a_file_with_a_hashed_name_is_seen_when_it_is_written_in_its_place(void **state)
{
	(void)state;
	put("9d66eef0.0", "a certificate");
	put("9d66eef0.r0", "a list");
	remember(TLS_FILE_CRLS);
	put("9d66eef0.0", "another certificate"); /* no business of lists */
	assert_false(changed(TLS_FILE_CRLS));
	put("9d66eef0.r0", "a longer list");
	assert_true(changed(TLS_FILE_CRLS));
	remember(TLS_FILE_TRUST);
	put("9d66eef0.0", "a third");
	assert_true(changed(TLS_FILE_TRUST));
}

static void what_a_link_leads_to_is_seen_when_it_is_replaced(void **state)
{
	char target[200], new[200];
	(void)state;
	put("ca.pem", "an authority");
	snprintf(target, sizeof target, "%s", path_of("ca.pem"));
	assert_int_equal(symlink(target, path_of("9d66eef0.0")), 0);
	put("new", "an authority");
	remember(TLS_FILE_TRUST);
	snprintf(new, sizeof new, "%s", path_of("new"));
	assert_int_equal(rename(new, target), 0);
	struct tls_mark now = tls_mark_of(TLS_FILE_TRUST, directory);
	assert_true(now.entries != before.entries);
}

static void a_chain_that_comes_after_its_directory_is_seen(void **state)
{
	(void)state;
	assert_int_equal(mkdir(path_of("a.test"), 0700), 0);
	remember(TLS_FILE_NAMES);
	put("a.test/privkey.pem", "a key");
	assert_false(changed(TLS_FILE_NAMES));
	put("a.test/fullchain.pem", "a chain");
	assert_true(changed(TLS_FILE_NAMES));
}

static void the_word_system_has_the_mark_of_the_librarys_own_place(void **state)
{
	(void)state;
	struct tls_mark none = { 0 }, system = tls_mark_of(TLS_FILE_TRUST, "system"), place = tls_mark_of(TLS_FILE_TRUST, tls_trust_place("system"));
	assert_true(tls_mark_same(&system, &place));
	if (access(X509_get_default_cert_file(), R_OK) == 0 || access(X509_get_default_cert_dir(), R_OK) == 0)
		assert_false(tls_mark_same(&system, &none));
}

static int64_t processor_time(void)
{
	struct timespec now;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* The master does this once a second, or more seldom where it takes long. */
static void ten_thousand_entries_take_less_than_a_tenth_of_a_second(void **state)
{
	int64_t best = INT64_MAX;
	(void)state;
	for (int i = 0; i < 10000; i++) {
		char name[32];
		snprintf(name, sizeof name, "9d66eef0.%d", i);
		put(name, "");
	}
	for (int i = 0; i < 20; i++) {
		int64_t began = processor_time();
		tls_mark_of(TLS_FILE_TRUST, directory);
		int64_t took = processor_time() - began;
		best = took < best ? took : best;
	}
	print_message("10,000 entries: %lld us\n", (long long)best);
	assert_true(best < 100000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_that_is_not_there_has_no_mark),
		cmocka_unit_test_setup_teardown(a_file_with_a_hashed_name_is_seen_when_it_is_written_in_its_place, make_directory, remove_directory),
		cmocka_unit_test_setup_teardown(what_a_link_leads_to_is_seen_when_it_is_replaced, make_directory, remove_directory),
		cmocka_unit_test_setup_teardown(a_chain_that_comes_after_its_directory_is_seen, make_directory, remove_directory),
		cmocka_unit_test(the_word_system_has_the_mark_of_the_librarys_own_place),
		cmocka_unit_test_setup_teardown(ten_thousand_entries_take_less_than_a_tenth_of_a_second, make_directory, remove_directory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: ISC */
#include "role/fetch.h"

#include "base/cleanup.h"
#include "base/test.h"
#include "net/http.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

enum { NOW = 1800000000, DAY = 86400 };

static void first_try_is_at_once(void **state)
{
	(void)state;
	struct fetch_history history = { 0 };
	assert_true(fetch_next_try(&history) <= NOW);
}

static void proof_is_renewed_at_a_third_of_its_life(void **state)
{
	(void)state;
	struct fetch_history history = { .has_proof = true, .this_update = NOW, .next_update = NOW + 6 * DAY };
	assert_int_equal(fetch_next_try(&history), NOW + 2 * DAY);
	history.last_try = NOW + 10;
	assert_int_equal(fetch_next_try(&history), NOW + 2 * DAY);
}

static void failures_back_off_to_an_hour(void **state)
{
	(void)state;
	static const int64_t wanted[] = { 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600 };
	struct fetch_history history = { .last_try = NOW };
	for (unsigned i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
		history.failures = i + 1;
		assert_int_equal(fetch_next_try(&history), NOW + wanted[i]);
	}
	history.failures = UINT32_MAX;
	assert_int_equal(fetch_next_try(&history), NOW + 3600);
	/* With a proof that is new enough a failure changes nothing. */
	history = (struct fetch_history){ .has_proof = true, .this_update = NOW, .next_update = NOW + 6 * DAY, .last_try = NOW, .failures = 1 };
	assert_int_equal(fetch_next_try(&history), NOW + 2 * DAY);
}

static void responder_that_keeps_its_old_proof_is_not_pestered(void **state)
{
	(void)state;
	struct fetch_history history = { .has_proof = true, .this_update = NOW, .next_update = NOW + 6 * DAY, .last_try = NOW + 3 * DAY };
	assert_int_equal(fetch_next_try(&history), NOW + 4 * DAY);
	history.last_try = NOW + 6 * DAY - 10;
	assert_int_equal(fetch_next_try(&history), history.last_try + FETCH_SAME_LEAST);
	history.last_try = NOW + 7 * DAY;
	assert_int_equal(fetch_next_try(&history), history.last_try + FETCH_SAME_LEAST);
}

static void proofs_are_kept_in_files(void **state)
{
	(void)state;
	char path[] = "/tmp/postern-fetch-XXXXXX";
	struct ocsp_print print = { .bytes = { 0xab, 0x01 } };
	struct buf proof;
	struct error error;
	struct stat st;
	assert_non_null(mkdtemp(path));
	_cleanup_fd_ int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	buf_init(&proof, OCSP_RESPONSE_MAX);
	assert_false(fetch_state_read(directory, &print, &proof));
	assert_true(fetch_state_write(directory, &print, SLICE("first"), &error));
	assert_true(fetch_state_write(directory, &print, SLICE("second"), &error));
	assert_true(fetch_state_read(directory, &print, &proof));
	assert_slice(buf_slice(&proof), "second");
	const char *name = "ab01000000000000000000000000000000000000000000000000000000000000.der";
	assert_int_equal(fstatat(directory, name, &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	fetch_state_clean(directory, 100);
	assert_int_equal(fstatat(directory, name, &st, 0), 0);
	const struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
	assert_int_equal(utimensat(directory, name, old, 0), 0);
	fetch_state_clean(directory, 100);
	assert_int_equal(fstatat(directory, name, &st, 0), -1);
	/* A link is not followed. */
	assert_int_equal(symlinkat("/etc/passwd", directory, name), 0);
	assert_false(fetch_state_read(directory, &print, &proof));
	assert_int_equal(unlinkat(directory, name, 0), 0);
	/* Neither file nor directory: told. */
	_cleanup_fd_ int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_false(fetch_state_write(null, &print, SLICE("x"), &error));
	assert_non_null(strstr(error.text, "ocsp/ab01"));
	assert_int_equal(rmdir(path), 0);
	buf_free(&proof);
}

static void only_http_urls_are_asked(void **state)
{
	(void)state;
	char host[HTTP_HOST_MAX];
	unsigned port;
	struct error error;
	assert_true(http_url_parse("http://Ocsp.Example.test/x/y", host, &port, &error));
	assert_string_equal(host, "ocsp.example.test");
	assert_int_equal(port, 80);
	assert_true(http_url_parse("http://[2001:db8::1]:8080/", host, &port, &error));
	assert_string_equal(host, "2001:db8::1");
	assert_int_equal(port, 8080);
	static const char *const bad[] = { "https://x/", "file:///etc/passwd", "ldap://x/", "", "http://", "x", "http://x:99999/", "gopher://x" };
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(http_url_parse(bad[i], host, &port, &error));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_try_is_at_once),
		cmocka_unit_test(proof_is_renewed_at_a_third_of_its_life),
		cmocka_unit_test(failures_back_off_to_an_hour),
		cmocka_unit_test(responder_that_keeps_its_old_proof_is_not_pestered),
		cmocka_unit_test(proofs_are_kept_in_files),
		cmocka_unit_test(only_http_urls_are_asked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

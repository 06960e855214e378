/* SPDX-License-Identifier: ISC */
/* The commands check, init and help: exit statuses, what they write, and what they never do. */
#include "base/cleanup.h"
#include "base/test.h"
#include "cli/command.h"
#include "cli/json.h"

#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
	char directory[64];
	char output[65536]; /* of the last command: standard output and error together */
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	snprintf(f->directory, sizeof f->directory, "/tmp/postern-cli-test-XXXXXX");
	*state = f;
	return mkdtemp(f->directory) ? 0 : -1;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	static const char *const names[] = {
		"d/postern.conf",
		"d/users",
		"d/tls/cert.pem",
		"d/tls/key.pem",
		"d/tls",
		"d/log",
		"d/spool",
		"d/mail",
		"d/accounts/users.db",
		"d/accounts",
		"d",
		"out",
		"conf",
	};
	char path[200];
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		snprintf(path, sizeof path, "%s/%s", f->directory, names[i]);
		remove(path);
	}
	int result = rmdir(f->directory);
	free(f);
	return result;
}

/* Runs a command of up to nine arguments with both outputs in f->output. */
static int run(struct fixture *f, const struct command *command, const char *arguments)
{
	char text[600], path[200], *argv[12] = { 0 };
	int argc = 1;
	argv[0] = (char *)(uintptr_t)command->name;
	snprintf(text, sizeof text, "%s", arguments);
	for (char *at = text, *end; argc < 11 && *at; at = end) {
		end = strchrnul(at, ' ');
		if (*end)
			*end++ = '\0';
		argv[argc++] = at;
	}
	snprintf(path, sizeof path, "%s/out", f->directory);
	fflush(NULL);
	int out = dup(1), err = dup(2), file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	dup2(file, 1);
	dup2(file, 2);
	int status = command->run(argc, argv);
	fflush(NULL);
	dup2(out, 1);
	dup2(err, 2);
	ssize_t n = pread(file, f->output, sizeof f->output - 1, 0);
	f->output[n > 0 ? n : 0] = '\0';
	close(out);
	close(err);
	close(file);
	return status;
}

static int runf(struct fixture *f, const struct command *command, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int runf(struct fixture *f, const struct command *command, const char *format, ...)
{
	char arguments[600];
	va_list args;
	va_start(args, format);
	vsnprintf(arguments, sizeof arguments, format, args);
	va_end(args);
	return run(f, command, arguments);
}

static void expect_output(const struct fixture *f, const char *part)
{
	if (!strstr(f->output, part))
		fail_msg("expected \"%s\" in: %s", part, f->output);
}

static mode_t mode_of(const struct fixture *f, const char *name)
{
	char path[200];
	struct stat status;
	snprintf(path, sizeof path, "%s/%s", f->directory, name);
	assert_int_equal(stat(path, &status), 0);
	return status.st_mode & 07777;
}

static void write_conf(const struct fixture *f, const char *text)
{
	char path[200];
	snprintf(path, sizeof path, "%s/conf", f->directory);
	_cleanup_file_ FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
}

static void init_makes_a_configuration_that_check_accepts(void **state)
{
	struct fixture *f = *state;
	umask(077); /* modes are set whatever the mask */
	assert_int_equal(runf(f, &command_init, "%s/d --domain Example.ORG --user Ann --ports 3025,3465,3587", f->directory),
			 COMMAND_DONE);
	expect_output(f, "Next: postern run -c ");
	assert_int_equal(runf(f, &command_check, "-c %s/d/postern.conf", f->directory), COMMAND_DONE);
	expect_output(f, "configuration is valid");
	expect_output(f, ":3465 (TLS on connect)");
	assert_int_equal(runf(f, &command_check, "-c %s/d/postern.conf --print qualify_domain transport first_user",
			      f->directory),
			 0);
	expect_output(f, "qualify_domain = example.org\n");
	expect_output(f, "/mail/$domain_data/ann\n");
	assert_int_equal(mode_of(f, "d/tls/key.pem"), 0600);
	assert_int_equal(mode_of(f, "d/tls"), 0700);
	assert_int_equal(mode_of(f, "d/spool"), 0700);
	assert_int_equal(mode_of(f, "d/log"), 0750);
	assert_int_equal(mode_of(f, "d/users"), 0644);
	umask(022);
}

static void init_never_overwrites_a_configuration(void **state)
{
	struct fixture *f = *state;
	char path[200];
	snprintf(path, sizeof path, "%s/d", f->directory);
	assert_int_equal(mkdir(path, 0755), 0);
	snprintf(path, sizeof path, "%s/d/postern.conf", f->directory);
	assert_int_equal(symlink("/nonexistent", path), 0); /* a link that leads nowhere counts as well */
	assert_int_equal(runf(f, &command_init, "%s/d --domain example.org", f->directory), COMMAND_USAGE);
	expect_output(f, "exists already");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(runf(f, &command_init, "%s/d --domain example.org", f->directory), COMMAND_DONE);
	assert_int_equal(runf(f, &command_init, "%s/d --domain example.net", f->directory), COMMAND_USAGE);
	expect_output(f, "exists already; it is not overwritten");
	assert_int_equal(runf(f, &command_check, "-c %s/d/postern.conf --print qualify_domain", f->directory), 0);
	assert_string_equal(f->output, "qualify_domain = example.org\n");
}

static void inits_certificate_is_for_its_names_and_key(void **state)
{
	struct fixture *f = *state;
	char path[200];
	assert_int_equal(runf(f, &command_init, "%s/d --domain example.org --address 192.0.2.9,::1", f->directory),
			 COMMAND_DONE);
	snprintf(path, sizeof path, "%s/d/tls/cert.pem", f->directory);
	_cleanup_file_ FILE *file = fopen(path, "r");
	X509 *certificate = PEM_read_X509(file, NULL, NULL, NULL);
	snprintf(path, sizeof path, "%s/d/tls/key.pem", f->directory);
	_cleanup_file_ FILE *key_file = fopen(path, "r");
	EVP_PKEY *key = PEM_read_PrivateKey(key_file, NULL, NULL, NULL);
	assert_non_null(certificate);
	assert_non_null(key);
	assert_int_equal(X509_check_private_key(certificate, key), 1);
	assert_int_equal(X509_verify(certificate, key), 1);
	static const char *const hosts[] = { "example.org", "mx.example.org", "localhost" };
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(X509_check_host(certificate, hosts[i], 0, 0, NULL), 1);
	static const char *const addresses[] = { "127.0.0.1", "192.0.2.9", "::1" };
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(X509_check_ip_asc(certificate, addresses[i], 0), 1);
	assert_int_equal(X509_check_host(certificate, "example.net", 0, 0, NULL), 0);
	int days = 0, seconds = 0;
	assert_true(ASN1_TIME_diff(&days, &seconds, X509_get0_notBefore(certificate), X509_get0_notAfter(certificate)));
	assert_int_equal(days, 825);
	EVP_PKEY_free(key);
	X509_free(certificate);
}

static void init_refuses_what_cannot_stand_in_a_configuration(void **state)
{
	struct fixture *f = *state;
	static const char *const bad[] = {
		"--domain exa$mple.org",
		"--domain -x.org",
		"--domain a..b",
		"--domain example.org --user a/b",
		"--domain example.org --user ../x",
		"--domain example.org --ports 25,465",
		"--domain example.org --ports 25,25,587",
		"--domain example.org --ports 0,1,2",
		"--domain example.org --address localhost",
		"--domain example.org --bogus",
		"",
		"--domain example.org extra",
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(runf(f, &command_init, "%s/d %s", f->directory, bad[i]), COMMAND_USAGE);
	assert_int_equal(runf(f, &command_init, "%s/d:e --domain example.org", f->directory), COMMAND_USAGE);
	expect_output(f, "expected a path of letters");
	char path[200];
	snprintf(path, sizeof path, "%s/d:e", f->directory);
	rmdir(path);
}

static void check_reports_all_problems_and_says_no(void **state)
{
	struct fixture *f = *state;
	write_conf(f, "recipients_max = many\ntls_certficate = /x\ndkim_verify_signers = y\n");
	assert_int_equal(runf(f, &command_check, "-c %s/conf", f->directory), COMMAND_USAGE);
	expect_output(f, "/conf:1: error: option recipients_max: expected a number");
	expect_output(f, "/conf:2: error: option tls_certficate: unknown option; did you mean tls_certificate?");
	expect_output(f, "/conf:3: error: option dkim_verify_signers: Exim's option dkim_verify_signers is not available in this "
			 "version of Postern");
	expect_output(f, "3 errors, 0 warnings");
	assert_int_equal(runf(f, &command_check, "-c %s/none", f->directory), COMMAND_USAGE);
	expect_output(f, "No such file");
	assert_int_equal(runf(f, &command_check, "-c %s/conf --json", f->directory), COMMAND_USAGE);
	expect_output(f, "\"valid\":false");
}

static void check_takes_macros_and_the_environment(void **state)
{
	struct fixture *f = *state;
	char path[200];
	write_conf(f, "MAC = wrong\nrecipients_max = MAC\n");
	assert_int_equal(runf(f, &command_check, "-c %s/conf -DMAC=7 --print recipients_max", f->directory), COMMAND_DONE);
	assert_string_equal(f->output, "recipients_max = 7\n");
	assert_int_equal(runf(f, &command_check, "-c %s/conf -D mac=7", f->directory), COMMAND_USAGE);
	snprintf(path, sizeof path, "%s/conf", f->directory);
	setenv("POSTERN_CONF", path, 1);
	assert_int_equal(run(f, &command_check, "-D MAC=8 --print recipients_max --json"), COMMAND_DONE);
	assert_string_equal(f->output, "{\n \"recipients_max\":\"8\"}\n");
	unsetenv("POSTERN_CONF");
	assert_int_equal(run(f, &command_check, "--print nothing -c /dev/null"), COMMAND_USAGE);
}

static void check_warns_of_files_that_are_not_there(void **state)
{
	struct fixture *f = *state;
	write_conf(f, "tls_certificate = /nonexistent/cert.pem\n");
	assert_int_equal(runf(f, &command_check, "-c %s/conf", f->directory), COMMAND_DONE);
	expect_output(f, "warning: option tls_certificate: /nonexistent/cert.pem cannot be read: there is no such file");
}

static int run_help(int argc, char **argv)
{
	const struct command commands[] = { command_check, command_init };
	return command_help(commands, 2, argc > 1 ? argv[1] : NULL);
}

static void help_lists_commands_and_finds_the_nearest(void **state)
{
	struct fixture *f = *state;
	static const struct command help = { .name = "help", .run = run_help };
	assert_int_equal(run(f, &help, ""), COMMAND_DONE);
	expect_output(f, command_check.summary);
	expect_output(f, command_init.summary);
	assert_int_equal(run(f, &help, "init"), COMMAND_DONE);
	expect_output(f, "--domain");
	assert_int_equal(run(f, &help, "chek"), COMMAND_USAGE);
	expect_output(f, "did you mean check?");
	const struct command commands[] = { command_check, command_init };
	assert_ptr_equal(command_find(commands, 2, SLICE("init")), &commands[1]);
	assert_null(command_find(commands, 2, SLICE("ini")));
}

static void json_strings_are_escaped_and_always_utf8(void **state)
{
	(void)state;
	struct buf out;
	buf_init(&out, 1000);
	assert_true(json_string(&out, SLICE("a\"\\\n\x7f\xc3\xa9\xff\xc0\x80\xed\xa0\x80\xf0\x9f\x98\x80\xe2\x82")));
	assert_slice(buf_slice(&out), "\"a\\\"\\\\\\u000a\\u007f\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef"
				      "\xbf\xbd\xef\xbf\xbd"
				      "\xf0\x9f\x98\x80\xef\xbf\xbd\xef\xbf\xbd\"");
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(init_makes_a_configuration_that_check_accepts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(init_never_overwrites_a_configuration, set_up, tear_down),
		cmocka_unit_test_setup_teardown(inits_certificate_is_for_its_names_and_key, set_up, tear_down),
		cmocka_unit_test_setup_teardown(init_refuses_what_cannot_stand_in_a_configuration, set_up, tear_down),
		cmocka_unit_test_setup_teardown(check_reports_all_problems_and_says_no, set_up, tear_down),
		cmocka_unit_test_setup_teardown(check_takes_macros_and_the_environment, set_up, tear_down),
		cmocka_unit_test_setup_teardown(check_warns_of_files_that_are_not_there, set_up, tear_down),
		cmocka_unit_test_setup_teardown(help_lists_commands_and_finds_the_nearest, set_up, tear_down),
		cmocka_unit_test(json_strings_are_escaped_and_always_utf8),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

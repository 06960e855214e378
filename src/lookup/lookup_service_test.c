/* SPDX-License-Identifier: ISC */
/* Files, commands, sockets and hashes that expansions ask for. */
#include "lookup/lookup_test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>

static int open_world(void **state)
{
	static struct fixture fixture;
	signal(SIGPIPE, SIG_IGN);
	fixture_open(&fixture, (struct lookup_settings){ 0 });
	*state = &fixture;
	return 0;
}

static void ask_file(struct fixture *fixture, enum expand_service service, const char *name)
{
	struct expand_request request = { .service = service, .file = fixture_path(fixture, name) };
	fixture_ask(fixture, &request);
}

static void readfile_gives_the_content(void **state)
{
	struct fixture *fixture = *state;
	fixture_write(fixture, "text", "line one\nline two\n");
	ask_file(fixture, EXPAND_SERVICE_READ_FILE, "text");
	assert_said(fixture, "<line one\nline two\n>");
	assert_false(fixture->answer.tainted);
	fixture_write(fixture, "text", "changed");
	ask_file(fixture, EXPAND_SERVICE_READ_FILE, "text");
	assert_said(fixture, "<changed>");
	fixture_write(fixture, "nothing", "");
	ask_file(fixture, EXPAND_SERVICE_READ_FILE, "nothing");
	assert_said(fixture, "<>");
	/* A file that says its size is 0. */
	ask_file(fixture, EXPAND_SERVICE_READ_FILE, "/proc/self/status");
	assert_says(fixture, "Threads:");
}

static void readfile_says_what_is_wrong(void **state)
{
	struct fixture *fixture = *state;
	ask_file(fixture, EXPAND_SERVICE_READ_FILE, "/nonexistent");
	assert_said(fixture, "fail: failed to open /nonexistent: No such file or directory");
	assert_int_equal(mkfifo(fixture_path(fixture, "fifo").data, 0600), 0);
	ask_file(fixture, EXPAND_SERVICE_READ_FILE, "fifo"); /* would hang */
	assert_says(fixture, "is not a regular file");
	ask_file(fixture, EXPAND_SERVICE_READ_FILE, fixture->directory);
	assert_says(fixture, "is not a regular file");
	fixture_write(fixture, "large", "");
	assert_int_equal(truncate(fixture_path(fixture, "large").data, 1L << 40), 0);
	ask_file(fixture, EXPAND_SERVICE_READ_FILE, "large");
	assert_says(fixture, "too large");
	struct expand_request request = { .service = EXPAND_SERVICE_READ_FILE, .file = SLICE("etc/passwd") };
	fixture_ask(fixture, &request);
	assert_says(fixture, "not an absolute path");
}

static void exists_and_stat_look_at_files(void **state)
{
	struct fixture *fixture = *state;
	fixture_write(fixture, "seen", "12345");
	ask_file(fixture, EXPAND_SERVICE_EXISTS, "seen");
	assert_said(fixture, "<>");
	ask_file(fixture, EXPAND_SERVICE_EXISTS, "unseen");
	assert_said(fixture, "not found");
	ask_file(fixture, EXPAND_SERVICE_EXISTS, "seen/below");
	assert_said(fixture, "not found");
	assert_int_equal(chmod(fixture_path(fixture, "seen").data, 06751), 0);
	struct stat seen;
	assert_int_equal(stat(fixture_path(fixture, "seen").data, &seen), 0);
	ask_file(fixture, EXPAND_SERVICE_STAT, "seen");
	assert_said(fixture, arena_printf(&fixture->arena, "<mode=6751 smode=-rwsr-s--x inode=%ju device=%ju links=1 uid=%u gid=%u size=5 "
					  "atime=%jd mtime=%jd ctime=%jd>", (uintmax_t)seen.st_ino, (uintmax_t)seen.st_dev,
					  seen.st_uid, seen.st_gid, (intmax_t)seen.st_atime, (intmax_t)seen.st_mtime,
					  (intmax_t)seen.st_ctime).data);
	ask_file(fixture, EXPAND_SERVICE_STAT, "/tmp");
	assert_says(fixture, "mode=1777 smode=drwxrwxrwt ");
	ask_file(fixture, EXPAND_SERVICE_STAT, "/nonexistent");
	assert_said(fixture, "fail: stat(/nonexistent) failed: No such file or directory");
}

static void run(struct fixture *fixture, int64_t time, const char *const *arguments)
{
	struct expand_piece pieces[8];
	size_t count = 0;
	for (; arguments[count]; count++)
		pieces[count] = (struct expand_piece){ slice_of(arguments[count]), true, count > 0 };
	struct expand_request request = { .service = EXPAND_SERVICE_RUN, .pieces = pieces, .piece_count = count,
		.deadline = clock_after(time) };
	fixture_ask(fixture, &request);
}
#define RUN(fixture, ...) run(fixture, 10 * CLOCK_SECOND, (const char *const[]){ __VA_ARGS__, NULL })

static void run_gives_output_and_exit_status(void **state)
{
	struct fixture *fixture = *state;
	RUN(fixture, "/bin/sh", "-c", "echo out; echo err >&2; cat; exit 3");
	assert_int_equal(fixture->result, EXPAND_OK);
	assert_slice(fixture->answer.text, "out\nerr\n");
	assert_int_equal(fixture->answer.number, 3);
	assert_false(fixture->answer.found);
	/* No shell looks at arguments. */
	RUN(fixture, "/bin/echo", "$HOME; `id` * '", "");
	assert_said(fixture, "<$HOME; `id` * ' \n>");
	assert_int_equal(fixture->answer.number, 0);
	/* Nothing of ours is inherited but the path. */
	RUN(fixture, "/usr/bin/env");
	assert_said(fixture, "<PATH=/usr/local/bin:/usr/bin:/bin\n>");
	RUN(fixture, "/bin/sh", "-c", "ls /proc/$$/fd | sort -n | tr '\\n' ' '");
	assert_says(fixture, "<0 1 2 ");
	RUN(fixture, "/nonexistent");
	assert_int_equal(fixture->result, EXPAND_OK);
	assert_int_equal(fixture->answer.number, 127);
	RUN(fixture, "true");
	assert_int_equal(fixture->answer.number, 127);
}

/* Within five seconds, the process whose number is in that file has ended. */
static bool is_gone(const char *path)
{
	char text[64] = "", name[64];
	FILE *file = fopen(path, "re");
	int pid = 0;
	ensure(file && fgets(text, sizeof text, file) && sscanf(text, "%d", &pid) == 1);
	fclose(file);
	snprintf(name, sizeof name, "/proc/%d/stat", pid);
	for (int tries = 0; tries < 500; tries++) {
		file = fopen(name, "re");
		bool there = file && fgets(text, sizeof text, file) && !strstr(text, ") Z ");
		if (file)
			fclose(file);
		if (!there)
			return true;
		usleep(10 * 1000);
	}
	return false;
}

static void limits_of_commands_are_in_force(void **state)
{
	struct fixture *fixture = *state;
	RUN(fixture, "/bin/sh", "-c", "ulimit -c; ulimit -t; ulimit -d; pwd");
	assert_said(fixture, "<0\n60\n1048576\n/\n>");
}

static void run_ends_commands_that_do_not_end(void **state)
{
	struct fixture *fixture = *state;
	run(fixture, 300 * CLOCK_MS, (const char *const[]){ "/bin/sh", "-c", "sleep 60 & sleep 60", NULL });
	assert_says(fixture, "defer: run: command timed out: /bin/sh");
	assert_true(fixture->took < 5 * CLOCK_SECOND);
	/* It closed its output, but runs on. */
	run(fixture, 300 * CLOCK_MS, (const char *const[]){ "/bin/sh", "-c", "exec >&- 2>&-; sleep 60", NULL });
	assert_says(fixture, "timed out");
	assert_true(fixture->took < 5 * CLOCK_SECOND);
	/* It has ended; what it started has not, and keeps its output open. */
	run(fixture, 300 * CLOCK_MS, (const char *const[]){ "/bin/sh", "-c", "sleep 60 & echo $! > $0; (sleep 60; :) & exit 0",
		fixture_path(fixture, "grandchild").data, NULL });
	assert_says(fixture, "timed out");
	assert_true(is_gone(fixture_path(fixture, "grandchild").data));
	run(fixture, 500 * CLOCK_MS, (const char *const[]){ "/usr/bin/yes", NULL });
	assert_says(fixture, "timed out");
	assert_true(fixture->took < 5 * CLOCK_SECOND);
	RUN(fixture, "/bin/sh", "-c", "kill -9 $$");
	assert_said(fixture, "fail: run: command killed by signal 9: /bin/sh");
	RUN(fixture, "/bin/sh", "-c", "head -c 3000000 /dev/zero; exit 4");
	assert_int_equal(fixture->answer.text.len, 1 << 20);
	assert_int_equal(fixture->answer.number, 4);
}

static void run_refuses_what_it_must(void **state)
{
	struct fixture *fixture = *state;
	struct expand_piece pieces[] = { { SLICE("/bin/true"), true, true }, { SLICE("a\0b"), true, true } };
	struct expand_request request = { .service = EXPAND_SERVICE_RUN, .pieces = pieces, .piece_count = 2 };
	fixture_ask(fixture, &request);
	assert_said(fixture, "fail: run: the name of the command is tainted: '/bin/true'");
	pieces[0].tainted = false;
	fixture_ask(fixture, &request);
	assert_says(fixture, "fail: run: argument 1 of /bin/true holds a NUL byte");
	request.piece_count = 0;
	fixture_ask(fixture, &request);
	assert_said(fixture, "fail: run: no command is given");
	struct error error;
	struct lookup_world *world = fixture->world, *without = lookup_open(fixture->loop, &(struct lookup_settings){ 0 }, &error);
	fixture->world = without;
	RUN(fixture, "/bin/true");
	assert_said(fixture, "fail: run: commands are not allowed here");
	fixture->world = world;
	lookup_close(&without);
}

/* ---- a server on a thread ---- */

enum habit { ANSWERS, SILENT, FLOODS, WAITS_FOR_END, TLS };

struct server {
	enum habit habit;
	int fd;
	uint16_t port; /* inet */
	pthread_t thread;
	char got[256];
	SSL_CTX *context;
};

static void serve_tls(struct server *server, int client)
{
	SSL *ssl = SSL_new(server->context);
	size_t n;
	SSL_set_fd(ssl, client);
	if (SSL_accept(ssl) == 1 && SSL_read_ex(ssl, server->got, sizeof server->got - 1, &n) == 1) {
		SSL_write(ssl, "secret", 6);
		SSL_shutdown(ssl);
	}
	SSL_free(ssl);
}

static void *serve(void *arg)
{
	struct server *server = arg;
	int client = accept(server->fd, NULL, NULL);
	ssize_t n = 0;
	switch (server->habit) {
	case ANSWERS:
		n = read(client, server->got, sizeof server->got - 1);
		n += write(client, "line 1\nline", 11);
		usleep(20000);
		n += write(client, " 2\n", 3);
		break;
	case WAITS_FOR_END:
		while ((n = read(client, server->got + strlen(server->got), 100)) > 0)
			;
		n = write(client, "seen", 4);
		break;
	case SILENT:
		while (read(client, server->got, 100) > 0)
			;
		usleep(700000);
		break;
	case FLOODS:
		while (write(client, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n", 52) > 0)
			;
		break;
	case TLS:
		serve_tls(server, client);
		break;
	}
	close(client);
	return NULL;
}

static void start_server(struct server *server, enum habit habit, const char *path)
{
	*server = (struct server){ .habit = habit };
	if (path) {
		struct sockaddr_un local = { .sun_family = AF_UNIX };
		assert_true(slice_to_cstr(slice_of(path), local.sun_path, sizeof local.sun_path));
		unlink(path);
		server->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(bind(server->fd, (struct sockaddr *)&local, sizeof local), 0);
	} else {
		struct sockaddr_in inet = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
		socklen_t len = sizeof inet;
		server->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(bind(server->fd, (struct sockaddr *)&inet, sizeof inet), 0);
		assert_int_equal(getsockname(server->fd, (struct sockaddr *)&inet, &len), 0);
		server->port = ntohs(inet.sin_port);
	}
	assert_int_equal(listen(server->fd, 5), 0);
}

static void read_socket(struct fixture *fixture, struct server *server, const char *path, const char *text, const char *const *options)
{
	struct slice list[4];
	size_t count = 0;
	for (; options && options[count]; count++)
		list[count] = slice_of(options[count]);
	struct expand_request request = { .service = EXPAND_SERVICE_READ_SOCKET, .key = slice_of(text), .options = list,
		.option_count = count, .deadline = clock_after(20 * CLOCK_SECOND) };
	if (path)
		request.file = slice_of(path);
	else
		request.type = arena_printf(&fixture->arena, "inet:127.0.0.1:%u", server->port);
	pthread_create(&server->thread, NULL, serve, server);
	fixture_ask(fixture, &request);
	pthread_join(server->thread, NULL);
	close(server->fd);
}
#define OPTIONS(...) (const char *const[]){ __VA_ARGS__, NULL }

static void readsocket_sends_and_reads_to_the_end(void **state)
{
	struct fixture *fixture = *state;
	const char *path = fixture_path(fixture, "socket").data;
	struct server server;
	start_server(&server, ANSWERS, path);
	read_socket(fixture, &server, path, "request", NULL);
	assert_said(fixture, "<line 1\nline 2\n>");
	assert_true(fixture->answer.tainted);
	assert_string_equal(server.got, "request");
	start_server(&server, ANSWERS, NULL);
	read_socket(fixture, &server, NULL, "to a port", NULL);
	assert_said(fixture, "<line 1\nline 2\n>");
	assert_string_equal(server.got, "to a port");
	/* Our direction is closed after the request, unless told not to. */
	start_server(&server, WAITS_FOR_END, path);
	read_socket(fixture, &server, path, "abc", NULL);
	assert_said(fixture, "<seen>");
	start_server(&server, WAITS_FOR_END, path);
	read_socket(fixture, &server, path, "abc", OPTIONS("timeout=1s", "shutdown=no"));
	assert_says(fixture, "fail: socket read timed out: ");
}

static void readsocket_errors_say_what_happened(void **state)
{
	struct fixture *fixture = *state;
	const char *path = fixture_path(fixture, "socket").data;
	struct server server;
	struct expand_request request = { .service = EXPAND_SERVICE_READ_SOCKET, .file = SLICE("/nonexistent") };
	fixture_ask(fixture, &request);
	assert_said(fixture, "fail: failed to connect to socket /nonexistent: No such file or directory");
	request = (struct expand_request){ .service = EXPAND_SERVICE_READ_SOCKET, .type = SLICE("inet:127.0.0.1:1") };
	fixture_ask(fixture, &request);
	assert_said(fixture, "fail: failed to connect to any address for inet:127.0.0.1:1: Connection refused");
	request.type = SLICE("inet:127.0.0.1");
	fixture_ask(fixture, &request);
	assert_says(fixture, "missing port number");
	request.type = SLICE("inet:127.0.0.1:nosuchservice");
	fixture_ask(fixture, &request);
	assert_says(fixture, "unknown port");
	request.type = SLICE("inet:[::1]:smtp");
	fixture_ask(fixture, &request);
	assert_says(fixture, "failed to connect to any address for inet:[::1]:smtp");
	start_server(&server, SILENT, path);
	read_socket(fixture, &server, path, "x", OPTIONS("timeout=1s"));
	assert_int_equal(fixture->result, EXPAND_OK); /* it ended in time, with nothing */
	assert_said(fixture, "<>");
	start_server(&server, FLOODS, path);
	read_socket(fixture, &server, path, "", NULL);
	assert_says(fixture, "sent more than 1024 KiB");
	request.options = &(struct slice){ "timeout=soon", 12 };
	request.option_count = 1;
	fixture_ask(fixture, &request);
	assert_says(fixture, "bad time value soon");
}

static SSL_CTX *server_context(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();
	X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
	X509_set_pubkey(certificate, key);
	X509_sign(certificate, key, EVP_sha256());
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	assert_int_equal(SSL_CTX_use_certificate(context, certificate), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(context, key), 1);
	X509_free(certificate);
	EVP_PKEY_free(key);
	return context;
}

static void readsocket_speaks_tls(void **state)
{
	struct fixture *fixture = *state;
	struct server server;
	start_server(&server, TLS, NULL);
	server.context = server_context();
	read_socket(fixture, &server, NULL, "request", OPTIONS("timeout=3s", "tls=yes"));
	assert_said(fixture, "<secret>");
	assert_string_equal(server.got, "request");
	SSL_CTX_free(server.context);
	start_server(&server, ANSWERS, NULL);
	read_socket(fixture, &server, NULL, "request", OPTIONS("timeout=3s", "tls=yes"));
	assert_says(fixture, "fail: the TLS handshake failed with inet:127.0.0.1:");
	start_server(&server, SILENT, NULL);
	read_socket(fixture, &server, NULL, "request", OPTIONS("timeout=1s", "tls=yes"));
	assert_int_equal(fixture->result, EXPAND_FAIL);
	assert_int_equal(ERR_peek_error(), 0);
}

static void crypt_compares_hashes(void **state)
{
	struct fixture *fixture = *state;
	static const struct {
		const char *text, *hash;
		bool found;
	} rows[] = {
		{ "test", "abgOeLfPimXQo", true },
		{ "test", "{crypt}abgOeLfPimXQo", true },
		{ "Test", "abgOeLfPimXQo", false },
		{ "test", "abgOeLfPimXQ", false },
		{ "test", "ab", false },
		{ "test", "", false },
		{ "", "", false },
		{ "test", "*0", false },
		{ "test", "*1", false },
		{ "test", "!", false },
		{ "test", "$6$saltsalt$JcVDtuB6d1BHhCd5RPBh8g8xX/1CbY8EU2PN0MTaj2/Mypw4P./C6dN4j0HALhzBDTocyW1Jm.gYaTPjFGCV40", true },
		{ "tesT", "$6$saltsalt$JcVDtuB6d1BHhCd5RPBh8g8xX/1CbY8EU2PN0MTaj2/Mypw4P./C6dN4j0HALhzBDTocyW1Jm.gYaTPjFGCV40", false },
		{ "test", "$nosuch$x$y", false },
		{ "test", "{crypt16}abgOeLfPimXQo", true },
		{ "test", "{crypt16}ab", false },
		{ "0123456789ab", "{crypt16}ab2wHQ4RTFVKI/MDXJdFoHqA", true },
		{ "0123456789ac", "{crypt16}ab2wHQ4RTFVKI/MDXJdFoHqA", false },
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct expand_request request = { .service = EXPAND_SERVICE_CRYPT, .key = slice_of(rows[i].text), .type = slice_of(rows[i].hash) };
		fixture_ask(fixture, &request);
		assert_int_equal(fixture->result, EXPAND_OK);
		if (fixture->answer.found != rows[i].found)
			fail_msg("\"%s\" and \"%s\": %s", rows[i].text, rows[i].hash, rows[i].found ? "should match" : "should not match");
	}
	/* A password that continues after a NUL is another one. */
	struct expand_request request = { .service = EXPAND_SERVICE_CRYPT, .key = SLICE("test\0x"), .type = SLICE("abgOeLfPimXQo") };
	fixture_ask(fixture, &request);
	assert_said(fixture, "not found");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(readfile_gives_the_content),
		cmocka_unit_test(readfile_says_what_is_wrong),
		cmocka_unit_test(exists_and_stat_look_at_files),
		cmocka_unit_test(run_gives_output_and_exit_status),
		cmocka_unit_test(limits_of_commands_are_in_force),
		cmocka_unit_test(run_ends_commands_that_do_not_end),
		cmocka_unit_test(run_refuses_what_it_must),
		cmocka_unit_test(readsocket_sends_and_reads_to_the_end),
		cmocka_unit_test(readsocket_errors_say_what_happened),
		cmocka_unit_test(readsocket_speaks_tls),
		cmocka_unit_test(crypt_compares_hashes),
	};
	return cmocka_run_group_tests(tests, open_world, fixture_close_world);
}

/* SPDX-License-Identifier: ISC */
/*
 * pgsql and redis against real servers, which this test starts for itself in its own directory (as another user when it runs as root,
 * for PostgreSQL refuses to be root's), and against servers that are silent, slow, or lie. Without the server's programs
 * its tests fail: tools/deps.sh test installs them.
 */
#include "lookup/lookup_test.h"
#include "lookup/servers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <glob.h>
#include <grp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

struct servers {
	struct fixture fixture;
	pid_t postgres, redis;
	uint16_t postgres_port, redis_port;
	char pgsql_servers[256], redis_servers[256];
};

/* ---- starting real servers ---- */

/* Runs in the child only. */
static _Noreturn void become(const char *user, char *const *arguments)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	dup2(null, 0);
	dup2(null, 1);
	if (!getenv("LOOKUP_TEST_VERBOSE"))
		dup2(null, 2);
	const struct passwd *entry = geteuid() == 0 && user ? getpwnam(user) : NULL;
	if (entry && (setgroups(0, NULL) < 0 || setgid(entry->pw_gid) < 0 || setuid(entry->pw_uid) < 0))
		_exit(126);
	execv(arguments[0], arguments);
	_exit(127);
}

static pid_t start(const char *user, char *const *arguments)
{
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		become(user, arguments);
	return pid;
}

static int wait_status(pid_t pid)
{
	int status = 0;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static uint16_t free_port(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof address;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	close(fd);
	return ntohs(address.sin_port);
}

static bool wait_for_port(uint16_t port, pid_t pid)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port) };
	for (int i = 0; i < 600; i++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		bool up = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
		close(fd);
		if (up)
			return true;
		if (waitpid(pid, NULL, WNOHANG) == pid)
			return false;
		usleep(50000);
	}
	return false;
}

/* The newest PostgreSQL of Debian's places, or NULL. */
static const char *postgres_directory(struct arena *arena)
{
	glob_t found;
	const char *directory = NULL;
	if (glob("/usr/lib/postgresql/*/bin/initdb", 0, NULL, &found) == 0) {
		struct slice last = slice_of(found.gl_pathv[found.gl_pathc - 1]);
		directory = arena_cstr(arena, slice_first(last, slice_find_last(last, '/')));
	}
	globfree(&found);
	return directory;
}

static char *text_of(struct slice text)
{
	return (char *)(uintptr_t)text.data;
}

static void start_postgres(struct servers *servers)
{
	struct fixture *fixture = &servers->fixture;
	struct arena *arena = &fixture->arena;
	const char *binaries = postgres_directory(arena);
	const struct passwd *user = getpwnam("postgres");
	if (!binaries || (geteuid() == 0 && !user))
		return;
	char *directory = text_of(fixture_path(fixture, "pg")), *data = text_of(fixture_path(fixture, "pg/data"));
	assert_int_equal(mkdir(directory, 0755), 0);
	fixture_write(fixture, "pg/password", "pa:ss word\n");
	if (geteuid() == 0)
		assert_int_equal(chown(directory, user->pw_uid, user->pw_gid), 0);
	char *initdb[] = { text_of(arena_printf(arena, "%s/initdb", binaries)), text_of(SLICE("-D")), data, text_of(SLICE("-U")),
		text_of(SLICE("postern")), text_of(SLICE("-A")), text_of(SLICE("scram-sha-256")),
		text_of(arena_printf(arena, "--pwfile=%s/password", directory)), text_of(SLICE("--no-sync")),
		text_of(SLICE("--encoding=UTF8")), text_of(SLICE("--locale=C")), NULL };
	if (wait_status(start("postgres", initdb)) != 0)
		return;
	servers->postgres_port = free_port();
	char *postgres[] = { text_of(arena_printf(arena, "%s/postgres", binaries)), text_of(SLICE("-D")), data, text_of(SLICE("-k")),
		directory, text_of(SLICE("-h")), text_of(SLICE("127.0.0.1")), text_of(SLICE("-p")),
		text_of(arena_printf(arena, "%u", servers->postgres_port)), text_of(SLICE("-F")), text_of(SLICE("-c")),
		text_of(SLICE("shared_buffers=8MB")), text_of(SLICE("-c")), text_of(SLICE("max_connections=30")), NULL };
	servers->postgres = start("postgres", postgres);
	if (!wait_for_port(servers->postgres_port, servers->postgres))
		servers->postgres = 0;
	/* A colon in a list's item is written twice. */
	snprintf(servers->pgsql_servers, sizeof servers->pgsql_servers, "(%s/.s.PGSQL.%u)/postgres/postern/pa::ss word", directory,
		 servers->postgres_port);
}

static void start_redis(struct servers *servers)
{
	struct fixture *fixture = &servers->fixture;
	static const char *const places[] = { "/usr/bin/redis-server", "/usr/local/bin/redis-server" };
	const char *binary = access(places[0], X_OK) == 0 ? places[0] : places[1];
	if (access(binary, X_OK) != 0)
		return;
	servers->redis_port = free_port();
	char *redis[] = { text_of(slice_of(binary)), text_of(SLICE("--port")),
		text_of(arena_printf(&fixture->arena, "%u", servers->redis_port)), text_of(SLICE("--bind")), text_of(SLICE("127.0.0.1")),
		text_of(SLICE("--unixsocket")), text_of(fixture_path(fixture, "redis.sock")), text_of(SLICE("--requirepass")),
		text_of(SLICE("secret")), text_of(SLICE("--save")), text_of(SLICE("")), text_of(SLICE("--dir")), fixture->directory, NULL };
	servers->redis = start(NULL, redis);
	if (!wait_for_port(servers->redis_port, servers->redis))
		servers->redis = 0;
	snprintf(servers->redis_servers, sizeof servers->redis_servers, "(%s)/2/secret", fixture_path(fixture, "redis.sock").data);
}

static int open_servers(void **state)
{
	static struct servers servers;
	*state = &servers;
	signal(SIGPIPE, SIG_IGN);
	fixture_open(&servers.fixture, (struct lookup_settings){ 0 });
	assert_int_equal(chmod(servers.fixture.directory, 0755), 0);
	start_postgres(&servers);
	start_redis(&servers);
	lookup_close(&servers.fixture.world);
	struct lookup_settings settings = { .pgsql_servers = slice_of(servers.pgsql_servers),
		.redis_servers = slice_of(servers.redis_servers) };
	servers.fixture.world = lookup_open(servers.fixture.loop, &settings, &servers.fixture.error);
	return servers.fixture.world ? 0 : -1;
}

static int close_servers(void **state)
{
	struct servers *servers = *state;
	const pid_t pids[] = { servers->postgres, servers->redis };
	for (size_t i = 0; i < 2; i++) {
		if (pids[i] <= 0)
			continue;
		kill(pids[i], i == 0 ? SIGQUIT : SIGTERM);
		wait_status(pids[i]);
	}
	fixture_close(&servers->fixture);
	return 0;
}

/* ---- questions ---- */

/* A query in which {...} is a peer's value. */
static void ask_until(struct fixture *fixture, const char *type, const char *text, int64_t time)
{
	struct expand_piece pieces[16];
	size_t count = 0;
	struct slice rest = slice_of(text);
	while (rest.len > 0) {
		bool value = rest.data[0] == '{';
		size_t len = slice_find(rest, value ? '}' : '{');
		pieces[count++] = (struct expand_piece){ slice_from(slice_first(rest, len), value ? 1 : 0), value, value };
		rest = slice_from(rest, value ? len + 1 : len);
	}
	struct expand_request request = { .service = EXPAND_SERVICE_LOOKUP, .type = slice_of(type), .pieces = pieces,
		.piece_count = count, .deadline = clock_after(time) };
	fixture_ask(fixture, &request);
}

static void ask(struct fixture *fixture, const char *type, const char *text)
{
	ask_until(fixture, type, text, 20 * CLOCK_SECOND);
}

struct row {
	const char *query, *said;
};

static void check_rows(struct fixture *fixture, const char *type, const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		ask(fixture, type, rows[i].query);
		if (strcmp(fixture_said(fixture), rows[i].said) != 0)
			fail_msg("%s %s: expected %s, got %s", type, rows[i].query, rows[i].said, fixture_said(fixture));
	}
}
#define CHECK_ROWS(fixture, type, rows) check_rows(fixture, type, rows, sizeof(rows) / sizeof *(rows))

static void needs(pid_t server, const char *name)
{
	if (server <= 0)
		fail_msg("%s did not start; tools/deps.sh test sees that it is there", name);
}

/* ---- PostgreSQL ---- */

static void pgsql_answers_have_the_documented_form(void **state)
{
	struct servers *servers = *state;
	needs(servers->postgres, "PostgreSQL");
	static const struct row rows[] = {
		{ "create table users (id text primary key, name text, home text, net inet, n int)", "<>" },
		{ "insert into users values ('userx', 'Mister X', '/home/userx', '10.0.0.0/8', 7), ('y', '', null, null, 8)", "<2>" },
		{ "select name from users where id='userx'", "<Mister X>" },
		{ "select home, name from users where id='userx'", "<home=/home/userx name=\"Mister X\" >" },
		{ "select id, name, home from users order by id", "<id=userx name=\"Mister X\" home=/home/userx \nid=y name=\"\" home=\"\" >" },
		{ "select id from users order by id", "<userx\ny>" },
		{ "select name from users where id='nobody'", "not found" },
		{ "update users set n=9 where id='y'", "<1>" },
		{ "update users set n=9 where id='nobody'", "<0>" },
		{ "select 'a' || E'\\t\"b\\\\' as v, 1 as w", "<v=\"a\t\\\"b\\\\\" w=1 >" },
		{ "select 1; select 2", "<2>" },
		{ "select null", "<>" },
		{ "", "<>" },
		{ "select name from users where id='userx';", "<Mister X>" },
	};
	CHECK_ROWS(&servers->fixture, "pgsql", rows);
}

static void pgsql_binds_values(void **state)
{
	struct servers *servers = *state;
	needs(servers->postgres, "PostgreSQL");
	static const struct row rows[] = {
		{ "create table b (a text, n int, net inet)", "<>" },
		{ "insert into b values ('{O'Brien}', {7}, inet '{10.1.0.0/16}')", "<1>" },
		{ "select n from b where a = '{O'Brien}'", "<7>" },
		{ "select a from b where n = {7} limit {1}", "<O'Brien>" },
		{ "select a from b where inet '{10.1.2.3}' << net", "<O'Brien>" },
		{ "select a from b where '{10.1.2.3}'::inet << net", "<O'Brien>" },
		{ "select n from b where a like '%{Bri}%'", "<7>" },
		{ "select n from b where a = E'O\\'{Brien}'", "<7>" },
		{ "select n from b where a = $q$O'{Brien}$q$", "<7>" },
		{ "select n from b where a = '{x' or '1'='1}'", "not found" },
		{ "select n from b where a = '{'; drop table b; --}'", "not found" },
		{ "select count(*) from b", "<1>" },
		{ "select '{a\\b}' || 'c\\'", "<a\\bc\\>" },
		{ "select '{}' || 'x' is null", "<f>" },
		{ "select coalesce('{v}', 'w'), lower('{ABC}') as l", "<coalesce=v l=abc >" },
	};
	CHECK_ROWS(&servers->fixture, "pgsql", rows);
	ask(&servers->fixture, "pgsql", "select n from b where n = {x or 1=1}");
	assert_says(&servers->fixture, "invalid input syntax for type integer");
	ask(&servers->fixture, "pgsql", "select \"{a}\" from b");
	assert_says(&servers->fixture, "fail: pgsql query, after ");
}

static void pgsql_errors_defer_and_say_why(void **state)
{
	struct servers *servers = *state;
	struct fixture *fixture = &servers->fixture;
	needs(servers->postgres, "PostgreSQL");
	ask(fixture, "pgsql", "selec 1");
	assert_says(fixture, "defer: ");
	assert_says(fixture, "PGSQL query failed: ERROR: syntax error at or near \"selec\"");
	assert_null(strchr(fixture->error.text, '\n'));
	ask(fixture, "pgsql", "select * from nosuch");
	assert_says(fixture, "relation \"nosuch\" does not exist");
	ask(fixture, "pgsql", "copy pg_type to stdout");
	assert_says(fixture, "COPY cannot be used");
	/* The connection goes on. */
	ask(fixture, "pgsql", "select 1");
	assert_said(fixture, "<1>");
	const char *wrong = arena_printf(&fixture->arena, "pgsql,servers=127.0.0.1::%u/postgres/postern/wrong", servers->postgres_port).data;
	ask(fixture, wrong, "select 1");
	assert_says(fixture, "password authentication failed for user \"postern\"");
	assert_null(strstr(fixture->error.text, "wrong"));
	ask(fixture, arena_printf(&fixture->arena, "pgsql,servers=127.0.0.1::%u/nosuch/postern/pa::ss word", servers->postgres_port).data, "select 1");
	assert_says(fixture, "database \"nosuch\" does not exist");
	ask(fixture, "pgsql,servers=127.0.0.1::1/a/b/c", "select 1");
	assert_says(fixture, "defer: 127.0.0.1:1: PGSQL connection failed: ");
	assert_says(fixture, "Connection refused");
	ask(fixture, "pgsql,servers=(/nonexistent/.s.PGSQL.5432)/a/b/c", "select 1");
	assert_says(fixture, "No such file or directory");
	ask(fixture, "pgsql,servers=foo", "select 1");
	assert_said(fixture, "defer: PostgreSQL server \"foo\" not found in pgsql_servers");
	ask(fixture, "pgsql,servers=a/b", "select 1");
	assert_said(fixture, "defer: incomplete PostgreSQL server data: a");
}

static void pgsql_tries_servers_in_order(void **state)
{
	struct servers *servers = *state;
	struct fixture *fixture = &servers->fixture;
	needs(servers->postgres, "PostgreSQL");
	const char *second = arena_printf(&fixture->arena, "127.0.0.1::1/a/b/c : 127.0.0.1::%u/postgres/postern/pa::ss word", servers->postgres_port).data;
	ask(fixture, arena_printf(&fixture->arena, "pgsql,servers=%s", second).data, "select 1");
	assert_said(fixture, "<1>");
	ask(fixture, "pgsql", arena_printf(&fixture->arena, "servers=%s; select 2", second).data);
	assert_said(fixture, "<2>");
	/* A host name, resolved by the system here. */
	ask(fixture, arena_printf(&fixture->arena, "pgsql,servers=localhost::%u/postgres/postern/pa::ss word", servers->postgres_port).data, "select 3");
	assert_said(fixture, "<3>");
	ask(fixture, "pgsql", "servers=foo select 2");
	assert_says(fixture, "missing ;");
}

static void pgsql_connections_that_were_closed_are_made_anew(void **state)
{
	struct servers *servers = *state;
	struct fixture *fixture = &servers->fixture;
	needs(servers->postgres, "PostgreSQL");
	ask(fixture, "pgsql", "select pg_backend_pid()");
	const char *first = fixture_said(fixture);
	ask(fixture, "pgsql", "select pg_backend_pid()");
	assert_said(fixture, first); /* the same connection */
	ask(fixture, arena_printf(&fixture->arena, "pgsql,servers=127.0.0.1::%u/postgres/postern/pa::ss word", servers->postgres_port).data,
	    "select count(pg_terminate_backend(pid)) from pg_stat_activity where pid <> pg_backend_pid() and application_name = 'postern'");
	assert_int_equal(fixture->result, EXPAND_OK);
	usleep(100000);
	ask(fixture, "pgsql", "select pg_backend_pid()");
	assert_int_equal(fixture->result, EXPAND_OK);
	assert_string_not_equal(fixture_said(fixture), first);
}

static void pgsql_ends_at_the_deadline(void **state)
{
	struct servers *servers = *state;
	struct fixture *fixture = &servers->fixture;
	needs(servers->postgres, "PostgreSQL");
	ask_until(fixture, "pgsql", "select pg_sleep(30)", 300 * CLOCK_MS);
	assert_says(fixture, "PGSQL query failed: the server takes too long");
	assert_true(fixture->took < 3 * CLOCK_SECOND);
	ask(fixture, "pgsql", "select 1");
	assert_said(fixture, "<1>");
	ask(fixture, "pgsql", "select repeat('x', 1000) from generate_series(1, 100000)");
	assert_says(fixture, "PGSQL: the answer has more than 16 MiB");
}

struct many {
	struct fixture *fixture;
	const char *type, *query;
	unsigned good;
};

static void many_task(void *arg)
{
	struct many *many = arg;
	struct arena arena;
	arena_init(&arena, 0);
	struct expand_piece piece = { .text = slice_of(many->query) };
	struct expand_request request = { .type = slice_of(many->type), .pieces = &piece, .piece_count = 1,
		.deadline = clock_after(30 * CLOCK_SECOND) };
	struct expand_answer answer;
	struct error error;
	many->good += lookup_ask(many->fixture->world, &request, &arena, &answer, &error) == EXPAND_OK &&
		      slice_equal(answer.text, SLICE("x"));
	arena_free(&arena);
}

static unsigned ask_many(struct fixture *fixture, const char *type, const char *query)
{
	struct many many = { .fixture = fixture, .type = type, .query = query };
	for (int i = 0; i < 60; i++)
		task_spawn(fixture->loop, many_task, &many, "many");
	loop_run(fixture->loop);
	return many.good;
}

/* More at once than there may be connections: they take turns. */
static void pgsql_serves_many_at_once(void **state)
{
	struct servers *servers = *state;
	needs(servers->postgres, "PostgreSQL");
	assert_int_equal(ask_many(&servers->fixture, "pgsql", "select 'x' from (select pg_sleep(0.02)) s"), 60);
}

/* ---- Redis ---- */

static void redis_answers_as_exim_does(void **state)
{
	struct servers *servers = *state;
	needs(servers->redis, "Redis");
	static const struct row rows[] = {
		{ "set key value", "<OK>" },
		{ "get key", "<value>" },
		{ "get nokey", "not found" },
		{ "set key two\\ words\\\\", "<OK>" },
		{ "get key", "<two words\\>" },
		{ "set user:{a b} {one 'value' \"of\" words}", "<OK>" },
		{ "get user:{a b}", "<one 'value' \"of\" words>" },
		{ "set empty {}", "<OK>" },
		{ "get empty", "<>" },
		{ "exists key", "<true>" },
		{ "exists nokey", "<false>" },
		{ "rpush list a {b c} d", "<true>" },
		{ "lrange list 0 -1", "<a\nb c\nd>" },
		{ "lrange nolist 0 -1", "not found" },
		{ "mget key nokey empty", "<two words\\\n\n>" },
		{ "hset hash f1 v1 f2 v2", "<true>" },
		{ "hgetall hash", "<f1\nv1\nf2\nv2>" },
		{ "  get   key  ", "<two words\\>" },
	};
	CHECK_ROWS(&servers->fixture, "redis", rows);
}

static void redis_errors_defer_and_say_why(void **state)
{
	struct servers *servers = *state;
	struct fixture *fixture = &servers->fixture;
	needs(servers->redis, "Redis");
	ask(fixture, "redis", "nosuchcommand");
	assert_says(fixture, "defer: ");
	assert_says(fixture, "REDIS: query failed: ERR unknown command");
	ask(fixture, "redis", "lrange key 0 -1");
	assert_says(fixture, "WRONGTYPE");
	ask(fixture, "redis", "get key");
	assert_int_equal(fixture->result, EXPAND_OK);
	ask(fixture, arena_printf(&fixture->arena, "redis,servers=127.0.0.1::%u//wrong", servers->redis_port).data, "get key");
	assert_says(fixture, "REDIS: authentication failed: ");
	ask(fixture, arena_printf(&fixture->arena, "redis,servers=127.0.0.1::%u//", servers->redis_port).data, "get key");
	assert_says(fixture, "NOAUTH");
	ask(fixture, arena_printf(&fixture->arena, "redis,servers=127.0.0.1::%u/99/secret", servers->redis_port).data, "get key");
	assert_says(fixture, "choosing the database failed");
	/* Another database does not have it. */
	ask(fixture, arena_printf(&fixture->arena, "redis,servers=127.0.0.1::1// : localhost::%u/3/secret", servers->redis_port).data, "get key");
	assert_said(fixture, "not found");
	ask(fixture, "redis", "{flushall}");
	assert_said(fixture, "fail: redis query: the command itself is a value that a peer had a hand in");
	ask(fixture, "redis", "  ");
	assert_said(fixture, "fail: redis query: there is no command");
	ask_until(fixture, "redis", "blpop nolist 20", 300 * CLOCK_MS);
	assert_says(fixture, "the server takes too long");
	assert_true(fixture->took < 3 * CLOCK_SECOND);
	ask(fixture, "redis", "client kill type normal skipme no");
	ask(fixture, "redis", "exists key");
	assert_said(fixture, "<true>");
}

static void redis_serves_many_at_once(void **state)
{
	struct servers *servers = *state;
	needs(servers->redis, "Redis");
	ask(&servers->fixture, "redis", "set many x");
	assert_int_equal(ask_many(&servers->fixture, "redis", "get many"), 60);
}

/* ---- servers that do not behave ---- */

struct bad_server {
	int fd;
	struct slice greeting; /* what it sends first */
	struct slice first;    /* after the question */
	struct slice again;    /* and then without end, when not empty */
	bool closes;
	pthread_t thread;
};

static void *serve_badly(void *arg)
{
	struct bad_server *server = arg;
	int client = accept4(server->fd, NULL, NULL, SOCK_CLOEXEC);
	char input[4096];
	ssize_t n = read(client, input, sizeof input);
	if (server->greeting.len > 0)
		n = write(client, server->greeting.data, server->greeting.len);
	if (server->first.len > 0) {
		n = read(client, input, sizeof input);
		n = write(client, server->first.data, server->first.len);
	}
	while (server->again.len > 0 && n >= 0)
		n = write(client, server->again.data, server->again.len);
	while (!server->closes && read(client, input, sizeof input) > 0)
		;
	close(client);
	return NULL;
}

/* Starts it on a socket in the directory, asks, and waits for its end. */
static void ask_bad_server(struct fixture *fixture, struct bad_server *server, const char *type, const char *query)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct slice path = fixture_path(fixture, ".s.PGSQL.1");
	unlink(path.data);
	assert_true(slice_to_cstr(path, address.sun_path, sizeof address.sun_path));
	server->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(server->fd, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(server->fd, 1), 0);
	pthread_create(&server->thread, NULL, serve_badly, server);
	ask_until(fixture, arena_printf(&fixture->arena, "%s,servers=(%s)/%s", type, path.data, strcmp(type, "pgsql") == 0 ? "a/b/c" : "/").data,
		  query, 500 * CLOCK_MS);
	pthread_join(server->thread, NULL);
	close(server->fd);
	assert_int_equal(fixture->result, EXPAND_DEFER);
	assert_true(fixture->took < 5 * CLOCK_SECOND);
}

/* What a PostgreSQL server sends when somebody comes in: AuthenticationOk, one setting, ReadyForQuery. */
#define PG_WELCOME "R\0\0\0\x08\0\0\0\0S\0\0\0\x23standard_conforming_strings\0on\0Z\0\0\0\x05I"

static void bad_pgsql_servers_defer_in_time(void **state)
{
	struct servers *servers = *state;
	struct fixture *fixture = &servers->fixture;
	struct bad_server silent = { 0 }, closing = { .closes = true };
	ask_bad_server(fixture, &silent, "pgsql", "select 1");
	assert_says(fixture, "PGSQL connection failed: the server takes too long");
	ask_bad_server(fixture, &closing, "pgsql", "select 1");
	assert_says(fixture, "PGSQL connection failed: ");
	struct bad_server garbage = { .greeting = SLICE("HTTP/1.0 400 Bad Request\r\n\r\n"), .closes = true };
	ask_bad_server(fixture, &garbage, "pgsql", "select 1");
	assert_says(fixture, "PGSQL connection failed: ");
	struct bad_server lets_in = { .greeting = SLICE(PG_WELCOME) };
	ask_bad_server(fixture, &lets_in, "pgsql", "select 1");
	assert_says(fixture, "PGSQL query failed: the server takes too long");
	struct bad_server lies = { .greeting = SLICE(PG_WELCOME "T\0\0\0\x20\x7f\xff??"), .closes = true };
	ask_bad_server(fixture, &lies, "pgsql", "select 1");
	assert_says(fixture, "PGSQL query failed: ");
	struct bad_server old = { .greeting = SLICE("R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I") };
	ask_bad_server(fixture, &old, "pgsql", "select 1");
	assert_says(fixture, "standard_conforming_strings");
	/* One column, and then rows without end. */
	struct bad_server floods = { .greeting = SLICE(PG_WELCOME),
		.first = SLICE("T\0\0\0\x1a\0\1c\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0"), .again = SLICE("D\0\0\0\x0f\0\1\0\0\0\5hello") };
	ask_bad_server(fixture, &floods, "pgsql", "select 1");
	assert_says(fixture, "defer: ");
}

static void bad_redis_servers_defer_in_time(void **state)
{
	struct servers *servers = *state;
	struct fixture *fixture = &servers->fixture;
	struct bad_server silent = { 0 }, closing = { .closes = true };
	ask_bad_server(fixture, &silent, "redis", "get a");
	assert_says(fixture, "REDIS query failed: the server takes too long");
	ask_bad_server(fixture, &closing, "redis", "get a");
	assert_says(fixture, "REDIS query failed: the server closed the connection");
	struct bad_server garbage = { .greeting = SLICE("HTTP/1.0 400 Bad Request\r\n\r\n") };
	ask_bad_server(fixture, &garbage, "redis", "get a");
	assert_says(fixture, "the answer is not Redis' protocol");
	struct bad_server huge = { .greeting = SLICE("*2000000000\r\n$1\r\na\r\n") };
	ask_bad_server(fixture, &huge, "redis", "get a");
	assert_says(fixture, "defer: ");
	struct bad_server promises = { .greeting = SLICE("$500000000\r\nabc") };
	ask_bad_server(fixture, &promises, "redis", "get a");
	assert_says(fixture, "the server takes too long");
	struct bad_server floods = { .greeting = SLICE("*1000000\r\n"), .again = SLICE("$26\r\nabcdefghijklmnopqrstuvwxyz\r\n") };
	ask_bad_server(fixture, &floods, "redis", "get a");
	assert_says(fixture, "defer: ");
	struct bad_server two = { .greeting = SLICE("+OK\r\n+ANOTHER\r\n") };
	ask_bad_server(fixture, &two, "redis", "get a");
	assert_says(fixture, "more than an answer");
	struct bad_server moved = { .greeting = SLICE("-MOVED 3999 127.0.0.1:6381\r\n"), .closes = true };
	ask_bad_server(fixture, &moved, "redis", "get a");
	assert_says(fixture, "REDIS: query failed: MOVED 3999");
}

/* ---- servers that close a connection that they have left open before ---- */

struct closing_server {
	int fd;
	struct slice welcome; /* after what a client says first, unless empty */
	struct slice answer;  /* to a question: to the first on a connection; the second closes it */
	pthread_t thread;
};

enum { CLOSING_CONNECTIONS = 2 };

static void *serve_once_each(void *arg)
{
	struct closing_server *server = arg;
	for (int i = 0; i < CLOSING_CONNECTIONS; i++) {
		int client = accept4(server->fd, NULL, NULL, SOCK_CLOEXEC);
		char input[4096];
		ssize_t n = server->welcome.len ? read(client, input, sizeof input) : 1;
		if (n > 0 && server->welcome.len)
			n = write(client, server->welcome.data, server->welcome.len);
		if (n > 0 && read(client, input, sizeof input) > 0)
			n = write(client, server->answer.data, server->answer.len);
		if (n > 0 && i < CLOSING_CONNECTIONS - 1)
			n = read(client, input, sizeof input);
		close(client);
	}
	return NULL;
}

/* What the second question finds open is closed under it. */
static void ask_closing_server(struct fixture *fixture, struct closing_server *server, const char *type, const char *query)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct slice path = fixture_path(fixture, strcmp(type, "pgsql") == 0 ? ".s.PGSQL.2" : "closing.sock");
	const char *search = arena_printf(&fixture->arena, "%s,servers=(%s)/%s", type, path.data, strcmp(type, "pgsql") == 0 ? "a/b/c" : "/").data;
	assert_true(slice_to_cstr(path, address.sun_path, sizeof address.sun_path));
	server->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(server->fd, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(server->fd, CLOSING_CONNECTIONS), 0);
	pthread_create(&server->thread, NULL, serve_once_each, server);
	for (int i = 0; i < CLOSING_CONNECTIONS; i++) {
		ask(fixture, search, query);
		assert_said(fixture, "<yes>");
	}
	pthread_join(server->thread, NULL);
	close(server->fd);
}

static void a_connection_that_closes_under_a_question_is_made_anew(void **state)
{
	struct servers *servers = *state;
	struct fixture *fixture = &servers->fixture;
	struct closing_server redis = { .answer = SLICE("+yes\r\n") }, pgsql = { .welcome = SLICE(PG_WELCOME),
		.answer = SLICE("T\0\0\0\x1a\0\1c\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0"
				"D\0\0\0\x0d\0\1\0\0\0\3yes" "C\0\0\0\x0dSELECT 1\0" "Z\0\0\0\5I") };
	ask_closing_server(fixture, &redis, "redis", "get a");
	ask_closing_server(fixture, &pgsql, "pgsql", "select 'yes'");
}

static void lists_of_servers_are_parsed(void **state)
{
	(void)state;
	static const struct lookup_server_form form = { .name = "Test", .option = "test_servers", .fields = 3, .least = 3 };
	static const struct {
		const char *list, *said; /* host|port|socket|fields of each, or the error */
	} rows[] = {
		{ "a/b/c/d", "a||||b|c|d\n" },
		{ "a::1/b/c/d:e/f/g/h", "a|1|||b|c|d\ne||||f|g|h\n" },
		{ "<; [2001:db8::1]:5/b/c/d; 2001:db8::2/b/c/d", "[2001:db8::1]|5|||b|c|d\n2001:db8::2||||b|c|d\n" },
		{ "(/run/x/.s.PGSQL.5)/b/c/d", "||/run/x/.s.PGSQL.5||b|c|d\n" },
		{ "a///p/w", "a||||||p/w\n" },
		{ "m", "m|7|||b|c|d\n" },
		{ "a/b/c", "incomplete Test server data: a" },
		{ "/b/c/d", "incomplete Test server data: " },
		{ "(/x/b/c/d", "incomplete Test server data: (" },
		{ "other", "Test server \"other\" not found in test_servers" },
		{ " : ", "Test server \"\" not found in test_servers" },
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct arena arena;
		arena_init(&arena, 0);
		struct slice option = arena_printf(&arena, "servers=%s", rows[i].list);
		struct expand_request request = { .options = &option, .option_count = 1 };
		struct lookup_servers servers;
		struct error error = { 0 };
		struct slice got = { 0 };
		enum expand_result result = lookup_find_servers(&form, SLICE("n/b/c/d : m::7/b/c/d"), NULL, &request, NULL, 0, &arena,
								&servers, &error);
		for (size_t j = 0; result == EXPAND_OK && j < servers.count; j++) {
			const struct lookup_server *server = &servers.items[j];
			got = arena_printf(&arena, "%.*s%.*s|%.*s|%.*s||%.*s|%.*s|%.*s\n", SLICE_ARG(got), SLICE_ARG(server->host),
					   SLICE_ARG(server->port), SLICE_ARG(server->socket), SLICE_ARG(server->fields[0]),
					   SLICE_ARG(server->fields[1]), SLICE_ARG(server->fields[2]));
		}
		assert_slice(result == EXPAND_OK ? got : slice_of(error.text), rows[i].said);
		arena_free(&arena);
	}
}

static void without_servers_there_is_a_clear_answer(void **state)
{
	struct servers *servers = *state;
	struct fixture *fixture = &servers->fixture;
	struct lookup_world *world = fixture->world, *none = lookup_open(fixture->loop, &(struct lookup_settings){ 0 }, &fixture->error);
	fixture->world = none;
	ask(fixture, "pgsql", "select 1");
	assert_said(fixture, "defer: no PostgreSQL servers defined (pgsql_servers option)");
	ask(fixture, "redis", "get a");
	assert_said(fixture, "defer: no Redis servers defined (redis_servers option)");
	fixture->world = world;
	lookup_close(&none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pgsql_answers_have_the_documented_form),
		cmocka_unit_test(pgsql_binds_values),
		cmocka_unit_test(pgsql_errors_defer_and_say_why),
		cmocka_unit_test(pgsql_tries_servers_in_order),
		cmocka_unit_test(pgsql_connections_that_were_closed_are_made_anew),
		cmocka_unit_test(pgsql_ends_at_the_deadline),
		cmocka_unit_test(pgsql_serves_many_at_once),
		cmocka_unit_test(redis_answers_as_exim_does),
		cmocka_unit_test(redis_errors_defer_and_say_why),
		cmocka_unit_test(redis_serves_many_at_once),
		cmocka_unit_test(bad_pgsql_servers_defer_in_time),
		cmocka_unit_test(bad_redis_servers_defer_in_time),
		cmocka_unit_test(a_connection_that_closes_under_a_question_is_made_anew),
		cmocka_unit_test(lists_of_servers_are_parsed),
		cmocka_unit_test(without_servers_there_is_a_clear_answer),
	};
	return cmocka_run_group_tests(tests, open_servers, close_servers);
}

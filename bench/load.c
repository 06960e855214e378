/* SPDX-License-Identifier: ISC */
/*
 * A load generator for SMTP servers: one thread a connection, blocking sockets, OpenSSL. It measures from the outside; the
 * server's CPU and memory are taken by compare.py.
 *
 *   load mail       send COUNT messages, PER messages a connection
 *   load handshake  make COUNT connections: greeting, EHLO, STARTTLS and EHLO again, QUIT
 *   load login      make COUNT connections, each with a login: users PREFIX0, PREFIX1 and so on, all with the password "secret"
 *   load idle       open CONNECTIONS, say EHLO (and STARTTLS, EHLO), print a line, hold them until standard input ends
 *
 *   --port N --host ADDRESS --tls none|starttls|implicit --connections N (at a time) --count N --per N --size BYTES
 *   --recipient ADDRESS --pipeline (MAIL, RCPT and DATA in one write) --resume (TLS sessions)
 *   --rate N: a connection each 1/N second, whether those before have ended or not, as long as --connections allows it;
 *   times count from when it was due --mechanism PLAIN|SCRAM-SHA-256 --user PREFIX
 *
 * One line of results, name=value each: done, failed, later (logins that got a temporary refusal), resumed (connections), seconds, rate (of
 * what was done, a second), p50_ms and p99_ms (of a connection with all that was done on it), wait_p99_ms (of a single reply). Exit status 1 when anything failed. Certificates are not verified: the server is what is measured.
 */
#include "login.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum tls { TLS_NONE, TLS_STARTTLS, TLS_IMPLICIT };

/* What is asked for; not changed once the threads run. */
struct plan {
	const char *host, *recipient;
	uint16_t port;
	enum tls tls;
	unsigned connections, count, per, size;
	unsigned rate; /* connections a second; 0: as they come */
	bool pipeline, resume, idle, handshake, login, scram;
	const char *user;
	double begun;
	SSL_CTX *context;
	char *message; /* the body of DATA with its end, the same for all */
	size_t message_size;
};

/* What the threads count together. */
struct tally {
	atomic_uint taken, done, failed, later, resumed;
	double *times; /* seconds of each connection, by number */
	double *waits; /* seconds of each reply, as far as there is room */
	atomic_uint timed, waited;
};

struct worker {
	const struct plan *plan;
	struct tally *tally;
	SSL_SESSION *session;
	struct login login;
	pthread_t thread;
};

struct peer {
	struct tally *tally; /* NULL: single replies are not timed */
	int fd;
	SSL *ssl;
	size_t start, end;
	char in[8192];
};

static double seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool put(struct peer *p, const char *data, size_t size)
{
	while (size > 0) {
		size_t written = 0;
		if (p->ssl) {
			if (SSL_write_ex(p->ssl, data, size, &written) != 1)
				return false;
		} else {
			ssize_t n = send(p->fd, data, size, MSG_NOSIGNAL);
			if (n < 0)
				return false;
			written = (size_t)n;
		}
		data += written;
		size -= written;
	}
	return true;
}

static bool fill(struct peer *p)
{
	if (p->start > 0) {
		memmove(p->in, p->in + p->start, p->end - p->start);
		p->end -= p->start;
		p->start = 0;
	}
	size_t room = sizeof(p->in) - p->end, got = 0;
	if (room == 0)
		return false;
	if (p->ssl) {
		if (SSL_read_ex(p->ssl, p->in + p->end, room, &got) != 1)
			return false;
	} else {
		ssize_t n = recv(p->fd, p->in + p->end, room, 0);
		if (n <= 0)
			return false;
		got = (size_t)n;
	}
	p->end += got;
	return true;
}

enum { WAITS_MAX = 4000000 };

/* The first digit of the next reply, all its lines read; 0 when the connection broke. `text`, of LOGIN_LINE bytes: its last line's. */
static int read_reply(struct peer *p, char *text)
{
	for (;;) {
		const char *line = p->in + p->start;
		const char *newline = memchr(line, '\n', p->end - p->start);
		if (!newline) {
			if (!fill(p))
				return 0;
			continue;
		}
		size_t length = (size_t)(newline - line) + 1;
		p->start += length;
		if (length < 4)
			return 0;
		if (line[3] == '-')
			continue;
		if (text)
			snprintf(text, LOGIN_LINE, "%.*s", (int)strcspn(line + 4, "\r\n"), line + 4);
		return line[0] - '0';
	}
}

static int ask(struct peer *p, const char *line, char *text)
{
	double begun = seconds();
	int code = put(p, line, strlen(line)) ? read_reply(p, text) : 0;
	unsigned at = p->tally ? atomic_fetch_add(&p->tally->waited, 1) : WAITS_MAX;
	if (at < WAITS_MAX)
		p->tally->waits[at] = seconds() - begun;
	return code;
}

static int reply(struct peer *p)
{
	return read_reply(p, NULL);
}

static bool say(struct peer *p, const char *text, int want)
{
	return ask(p, text, NULL) == want;
}

static bool secure(struct worker *w, struct peer *p)
{
	p->ssl = SSL_new(w->plan->context);
	if (!p->ssl || SSL_set_fd(p->ssl, p->fd) != 1)
		return false;
	SSL_set_app_data(p->ssl, w);
	if (w->plan->resume && w->session) {
		/* A copy: OpenSSL uses a session of TLS 1.3 once, and not all servers give another one each time. */
		SSL_SESSION *copy = SSL_SESSION_dup(w->session);
		SSL_set_session(p->ssl, copy);
		SSL_SESSION_free(copy);
	}
	if (SSL_connect(p->ssl) != 1)
		return false;
	if (w->tally && SSL_session_reused(p->ssl))
		atomic_fetch_add(&w->tally->resumed, 1);
	return true;
}

/* A ticket came: the newest is kept for the next connection of this thread. */
static int keep_session(SSL *ssl, SSL_SESSION *session)
{
	struct worker *w = SSL_get_app_data(ssl);
	SSL_SESSION_free(w->session);
	w->session = session;
	return 1;
}

/* Connects and greets, in TLS where asked for. */
static bool begin(struct worker *w, struct peer *p)
{
	const struct plan *plan = w->plan;
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(plan->port)};
	struct timeval patience = {.tv_sec = 60};
	const int on = 1;

	p->tally = w->tally;
	p->ssl = NULL;
	p->start = p->end = 0;
	p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (p->fd < 0 || inet_pton(AF_INET, plan->host, &to.sin_addr) != 1)
		return false;
	setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (!plan->idle) {
		setsockopt(p->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
		setsockopt(p->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	}
	if (connect(p->fd, (const struct sockaddr *)&to, sizeof(to)) != 0)
		return false;
	if (plan->tls == TLS_IMPLICIT && !secure(w, p))
		return false;
	if (reply(p) != 2 || !say(p, "EHLO load.example.test\r\n", 2))
		return false;
	if (plan->tls != TLS_STARTTLS)
		return true;
	return say(p, "STARTTLS\r\n", 2) && secure(w, p) && say(p, "EHLO load.example.test\r\n", 2);
}

static void end(struct peer *p)
{
	if (p->ssl) {
		SSL_shutdown(p->ssl);
		SSL_free(p->ssl);
	}
	if (p->fd >= 0)
		close(p->fd);
}

static bool envelope(const struct plan *plan, struct peer *p)
{
	static const char mail[] = "MAIL FROM:<load@client.example.test>\r\n";
	char rcpt[512];
	int size = snprintf(rcpt, sizeof(rcpt), "RCPT TO:<%s>\r\n", plan->recipient);

	if (size < 0 || (size_t)size >= sizeof(rcpt))
		return false;
	if (!plan->pipeline)
		return say(p, mail, 2) && say(p, rcpt, 2) && say(p, "DATA\r\n", 3);
	char all[1024];
	size = snprintf(all, sizeof(all), "%s%sDATA\r\n", mail, rcpt);
	return put(p, all, (size_t)size) && reply(p) == 2 && reply(p) == 2 && reply(p) == 3;
}

static bool send_message(const struct plan *plan, struct peer *p)
{
	return envelope(plan, p) && say(p, plan->message, 2);
}

/* The first digit of the last reply. */
static int log_in(struct worker *w, struct peer *p, unsigned number)
{
	char line[LOGIN_LINE], text[LOGIN_LINE], user[64];
	snprintf(user, sizeof(user), "%s%u", w->plan->user, number);
	w->login.scram = w->plan->scram;
	w->login.user = user;
	w->login.password = "secret";
	login_begin(&w->login, line);
	int code = ask(p, line, text);
	while (code == 3 && login_answer(&w->login, text, line))
		code = ask(p, line, text);
	return code;
}

/* Takes up to `per` of what is left to do, from *from_r on; 0 when all is taken. */
static unsigned take(const struct plan *plan, struct tally *tally, unsigned *from_r)
{
	unsigned from = atomic_fetch_add(&tally->taken, plan->per);
	*from_r = from;
	if (from >= plan->count)
		return 0;
	return plan->count - from < plan->per ? plan->count - from : plan->per;
}

/* When a connection begins, or was to begin. */
static double wait_until_due(const struct plan *plan, unsigned number)
{
	double due = plan->begun + (double)number / plan->rate;
	for (double now = seconds(); now < due; now = seconds()) {
		struct timespec rest = {.tv_sec = (time_t)(due - now), .tv_nsec = (long)((due - now - (double)(time_t)(due - now)) * 1e9)};
		nanosleep(&rest, NULL);
	}
	return due;
}

static void *work(void *argument)
{
	struct worker *w = argument;
	const struct plan *plan = w->plan;
	struct tally *tally = w->tally;
	unsigned share, from;

	while ((share = take(plan, tally, &from)) > 0) {
		struct peer p;
		double begun = plan->rate ? wait_until_due(plan, from / plan->per) : seconds();
		unsigned done = 0, later = 0;
		bool good = begin(w, &p);
		if (plan->login) {
			int code = good ? log_in(w, &p, from) : 0;
			done = code == 2;
			later = code == 4;
		} else if (plan->handshake)
			done = good ? 1 : 0;
		else
			while (good && done < share && (good = send_message(plan, &p)))
				done++;
		if (good)
			say(&p, "QUIT\r\n", 2);
		end(&p);
		tally->times[atomic_fetch_add(&tally->timed, 1)] = seconds() - begun;
		atomic_fetch_add(&tally->done, done);
		atomic_fetch_add(&tally->later, later);
		atomic_fetch_add(&tally->failed, share - done - later);
	}
	SSL_SESSION_free(w->session);
	return NULL;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* In milliseconds; sorts. */
static double part_of(double *times, size_t count, double part)
{
	qsort(times, count, sizeof(double), by_size);
	return count ? times[(size_t)((double)(count - 1) * part)] * 1000 : 0;
}

static void print_results(struct tally *tally, double took)
{
	unsigned timed = atomic_load(&tally->timed), done = atomic_load(&tally->done), waited = atomic_load(&tally->waited);
	printf("done=%u failed=%u later=%u resumed=%u seconds=%.3f rate=%.1f p50_ms=%.2f p99_ms=%.2f wait_p99_ms=%.2f\n", done,
		atomic_load(&tally->failed), atomic_load(&tally->later), atomic_load(&tally->resumed), took, (double)done / took,
		part_of(tally->times, timed, 0.5), part_of(tally->times, timed, 0.99),
		part_of(tally->waits, waited < WAITS_MAX ? waited : WAITS_MAX, 0.99));
}

static int run_threads(struct plan *plan)
{
	struct tally tally = {.times = calloc(plan->count + 1, sizeof(double)), .waits = calloc(WAITS_MAX, sizeof(double))};
	struct worker *workers = calloc(plan->connections, sizeof(*workers));
	if (!tally.times || !tally.waits || !workers)
		return 2;
	plan->begun = seconds();
	for (unsigned i = 0; i < plan->connections; i++) {
		workers[i] = (struct worker){.plan = plan, .tally = &tally};
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
			return 2;
	}
	for (unsigned i = 0; i < plan->connections; i++)
		pthread_join(workers[i].thread, NULL);
	print_results(&tally, seconds() - plan->begun);
	free(tally.times);
	free(tally.waits);
	free(workers);
	return atomic_load(&tally.failed) > 0;
}

/* Opens the connections one after the other and holds them until standard input ends. */
static int hold(const struct plan *plan)
{
	struct peer *peers = calloc(plan->connections, sizeof(*peers));
	struct worker w = {.plan = plan};
	unsigned held = 0;
	char byte;

	if (!peers)
		return 2;
	for (unsigned i = 0; i < plan->connections; i++)
		held += begin(&w, &peers[i]);
	printf("held=%u failed=%u\n", held, plan->connections - held);
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		continue;
	for (unsigned i = 0; i < plan->connections; i++)
		end(&peers[i]);
	SSL_SESSION_free(w.session);
	free(peers);
	return held < plan->connections;
}

static bool make_message(struct plan *plan)
{
	static const char head[] = "From: <load@client.example.test>\r\nTo: <user@example.test>\r\nSubject: load\r\n"
		"Date: Sat, 21 Nov 2026 10:00:00 +0000\r\nMessage-ID: <load@client.example.test>\r\n\r\n";
	static const char line[] = "a line of an ordinary message, about as long as the lines of mail are\r\n";
	FILE *f = open_memstream(&plan->message, &plan->message_size);

	if (!f)
		return false;
	fputs(head, f);
	for (size_t size = sizeof(head) - 1; size < plan->size; size += sizeof(line) - 1)
		fputs(line, f);
	fputs(".\r\n", f);
	return fclose(f) == 0;
}

static bool make_context(struct plan *plan)
{
	plan->context = SSL_CTX_new(TLS_client_method());
	if (!plan->context)
		return false;
	SSL_CTX_set_verify(plan->context, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_mode(plan->context, SSL_MODE_AUTO_RETRY);
	SSL_CTX_set_read_ahead(plan->context, 1); /* a record with one read: what is left of the machine is the servers' */
	if (plan->resume) {
		SSL_CTX_set_session_cache_mode(plan->context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
		SSL_CTX_sess_set_new_cb(plan->context, keep_session);
	}
	return true;
}

static unsigned number(const char *text, unsigned max)
{
	char *rest;
	errno = 0;
	unsigned long value = strtoul(text, &rest, 10);
	if (errno || *rest || rest == text || value == 0 || value > max) {
		fprintf(stderr, "load: \"%s\" is not a number from 1 to %u\n", text, max);
		exit(2);
	}
	return (unsigned)value;
}

static enum tls tls_named(const char *name)
{
	static const char *const names[] = {"none", "starttls", "implicit"};
	for (unsigned i = 0; i < 3; i++)
		if (!strcmp(name, names[i]))
			return (enum tls)i;
	fprintf(stderr, "load: --tls is none, starttls or implicit, not \"%s\"\n", name);
	exit(2);
}

/* Whether it is SCRAM-SHA-256. */
static bool mechanism_named(const char *name)
{
	if (!strcmp(name, "SCRAM-SHA-256"))
		return true;
	if (!strcmp(name, "PLAIN"))
		return false;
	fprintf(stderr, "load: --mechanism is PLAIN or SCRAM-SHA-256, not \"%s\"\n", name);
	exit(2);
}

static void read_options(struct plan *plan, int argc, char **argv)
{
	static const struct option options[] = {
		{"port", required_argument, NULL, 'p'}, {"host", required_argument, NULL, 'h'},
		{"tls", required_argument, NULL, 't'}, {"connections", required_argument, NULL, 'c'},
		{"count", required_argument, NULL, 'n'}, {"per", required_argument, NULL, 'm'},
		{"size", required_argument, NULL, 's'}, {"recipient", required_argument, NULL, 'r'},
		{"pipeline", no_argument, NULL, 'P'}, {"resume", no_argument, NULL, 'R'}, {"rate", required_argument, NULL, 'e'},
		{"user", required_argument, NULL, 'u'}, {"mechanism", required_argument, NULL, 'a'}, {0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'p': plan->port = (uint16_t)number(optarg, 65535); break;
		case 'h': plan->host = optarg; break;
		case 't': plan->tls = tls_named(optarg); break;
		case 'c': plan->connections = number(optarg, 100000); break;
		case 'n': plan->count = number(optarg, 100000000); break;
		case 'm': plan->per = number(optarg, 1000000); break;
		case 's': plan->size = number(optarg, 1000000000); break;
		case 'r': plan->recipient = optarg; break;
		case 'P': plan->pipeline = true; break;
		case 'R': plan->resume = true; break;
		case 'e': plan->rate = number(optarg, 100000); break;
		case 'u': plan->user = optarg; break;
		case 'a': plan->scram = mechanism_named(optarg); break;
		default: exit(2);
		}
	}
}

int main(int argc, char **argv)
{
	struct plan plan = {.host = "127.0.0.1", .recipient = "user@example.test", .user = "user", .port = 2525,
		.connections = 20, .count = 1000, .per = 1, .size = 4096};

	if (argc < 2) {
		fprintf(stderr, "usage: load mail|handshake|login|idle [--port N] ... (see the head of load.c)\n");
		return 2;
	}
	plan.idle = !strcmp(argv[1], "idle");
	plan.handshake = !strcmp(argv[1], "handshake");
	plan.login = !strcmp(argv[1], "login");
	if (!plan.idle && !plan.handshake && !plan.login && strcmp(argv[1], "mail") != 0) {
		fprintf(stderr, "load: unknown work \"%s\"\n", argv[1]);
		return 2;
	}
	read_options(&plan, argc - 1, argv + 1);
	if (plan.handshake || plan.login)
		plan.per = 1;
	signal(SIGPIPE, SIG_IGN);
	if (!make_message(&plan) || !make_context(&plan))
		return 2;
	int status = plan.idle ? hold(&plan) : run_threads(&plan);
	SSL_CTX_free(plan.context);
	free(plan.message);
	return status;
}

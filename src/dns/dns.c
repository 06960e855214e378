/* SPDX-License-Identifier: ISC */
/*
 * Questions to libunbound. It resolves on a thread of its own, made at the first question; its answers come through a
 * descriptor, which one task watches: it runs the library's callbacks, and they wake the tasks that asked.
 */
#include "dns/dns.h"

#include "base/cleanup.h"
#include "base/fatal.h"
#include "dns/hosts_file.h"
#include "dns/name.h"
#include "dns/private.h"
#include "task/task.h"

#include <fcntl.h>
#include <unbound.h>

enum { QUERIES_MAX = 1000 /* libunbound drops questions beyond 1024 */, RECORDS_MAX = 4096 };

/* resolv.conf(5)'s number of tries, where dns_retrans is set and dns_retry is not. */
enum { USUAL_RETRIES = 2 };

/* Without dns_retrans: no question takes longer, whatever the asker's deadline. */
#define USUAL_LIMIT (30 * CLOCK_SECOND)

struct dns {
	struct ub_ctx *context; /* NULL: closed */
	int fd;                 /* a duplicate of the library's */
	struct task *reader;
	unsigned references;    /* of the reader, and of each query under way */
	int64_t limit;          /* on one question */
	unsigned under_way;
	struct query *queries;
	struct wait_list room;
	struct arena arena;
	struct dns_hosts *hosts;
};

/* On the heap: the library keeps the pointer until it has answered, or has confirmed that it will not. */
struct query {
	struct dns *dns;
	struct query *next, **previous;
	struct task *task; /* NULL: given up; the callback frees it */
	struct ub_result *result;
	int error, id;
	bool done;
};

static void release(struct dns *dns)
{
	if (--dns->references)
		return;
	arena_free(&dns->arena);
	free(dns);
}

/* ---- Answers of the library ---- */

static void unlink_query(struct query *query)
{
	*query->previous = query->next;
	if (query->next)
		query->next->previous = query->previous;
}

static void answered(void *owner, int error, struct ub_result *result)
{
	struct query *query = owner;
	if (!query->task) {
		ub_resolve_free(result);
		free(query);
		return;
	}
	query->result = result;
	query->error = error;
	query->done = true;
	task_wake(query->task, 0);
}

static void reader_task(void *arg)
{
	struct dns *dns = arg;
	while (dns->context && io_wait(dns->fd, IO_READ, CLOCK_NEVER) == 0 && dns->context)
		if (ub_process(dns->context) != 0)
			break; /* the library's thread has ended: questions end at their deadlines */
	io_close(&dns->fd);
	release(dns);
}

/* ---- Opening and closing ---- */

static int64_t limit_of(const struct dns_settings *settings)
{
	if (settings->retransmit <= 0)
		return USUAL_LIMIT;
	/* As resolver(3) does it: each try waits twice as long as the one before. */
	unsigned tries = settings->retries ? settings->retries : USUAL_RETRIES;
	int64_t limit = settings->retransmit, wait = settings->retransmit;
	for (unsigned i = 1; i < tries && limit < 10 * USUAL_LIMIT; i++)
		limit += wait *= 2;
	return limit;
}

struct dns *dns_open(struct loop *loop, const struct dns_settings *settings, struct error *error)
{
	struct ub_ctx *context = dns_context_new(settings, error);
	if (!context)
		return NULL;
	struct dns *dns = xcalloc(1, sizeof *dns);
	*dns = (struct dns){ .context = context, .references = 1, .limit = limit_of(settings) };
	arena_init(&dns->arena, 0);
	dns->hosts = dns_hosts_parse(settings->hosts, &dns->arena);
	dns->fd = fcntl(ub_fd(context), F_DUPFD_CLOEXEC, 3);
	if (dns->fd < 0) {
		error_set_errno(error, errno, "opening the DNS resolver");
		ub_ctx_delete(context);
		release(dns);
		return NULL;
	}
	dns->reader = task_spawn(loop, reader_task, dns, "dns answers");
	task_hold(dns->reader);
	return dns;
}

void dns_close(struct dns **place)
{
	struct dns *dns = *place;
	*place = NULL;
	if (!dns)
		return;
	struct ub_ctx *context = dns->context;
	dns->context = NULL;
	for (struct query *query = dns->queries; query; query = query->next)
		task_wake(query->task, 0); /* finds the context gone */
	wait_list_wake_all(&dns->room);
	task_cancel(dns->reader);
	task_release(dns->reader);
	/* Ends the library's thread; answers that it still has are freed without a callback. */
	ub_ctx_delete(context);
}

const struct dns_hosts *dns_hosts(const struct dns *dns)
{
	return dns->hosts;
}

/* ---- Questions ---- */

static void temporary(struct dns_answer *answer, struct arena *arena, struct slice name, const char *why)
{
	*answer = (struct dns_answer){ .outcome = DNS_TEMPORARY, .canonical = name };
	answer->why = arena_printf(arena, "%.*s: %s", SLICE_ARG(name), why);
}

/* RFC 1035 §4.1.1, RFC 2136 §2.2 */
static const char *rcode_text(int rcode)
{
	static const char *const texts[] = {
		[1] = "the name server says that the question is malformed (FORMERR)",
		[2] = "no name server answered, or none could (SERVFAIL)",
		[4] = "the name server does not know this kind of question (NOTIMP)",
		[5] = "the name server refused the question (REFUSED)",
		[9] = "the name server is not responsible for this name (NOTAUTH)",
	};
	bool known = rcode > 0 && rcode < (int)(sizeof texts / sizeof texts[0]) && texts[rcode];
	return known ? texts[rcode] : "the name server's answer cannot be used";
}

/* The name at the end of CNAMEs; what the library says has a dot at its end. */
static struct slice canonical_name(const struct ub_result *result, struct slice name, struct arena *arena)
{
	struct slice canonical;
	struct error error;
	if (result->canonname && dns_name_parse(slice_of(result->canonname), arena, &canonical, &error))
		return canonical;
	return name;
}

static void copy_records(const struct ub_result *result, struct arena *arena, struct dns_answer *answer)
{
	size_t count = 0;
	while (count < RECORDS_MAX && result->data[count])
		count++;
	struct dns_record *records = arena_array(arena, count ? count : 1, sizeof *records);
	for (size_t i = 0; i < count; i++)
		records[i].data = arena_copy(arena, slice_make(result->data[i], (size_t)result->len[i]));
	answer->records = records;
	answer->count = count;
}

static void convert(const struct ub_result *result, struct slice name, struct arena *arena, struct dns_answer *answer)
{
	*answer = (struct dns_answer){
		.security = result->secure && !result->bogus ? DNS_SECURE : DNS_INSECURE,
		.ttl = result->ttl > 0 ? result->ttl : 0,
		.canonical = canonical_name(result, name, arena),
	};
	if (result->bogus) {
		answer->outcome = DNS_BOGUS;
		answer->why = arena_printf(arena, "%.*s: %s", SLICE_ARG(name),
					   result->why_bogus ? result->why_bogus : "DNSSEC validation failed");
	} else if (result->nxdomain || result->rcode == 3) {
		answer->outcome = DNS_NO_NAME;
	} else if (result->rcode != 0) {
		temporary(answer, arena, name, rcode_text(result->rcode));
	} else if (result->havedata) {
		answer->outcome = DNS_FOUND;
		copy_records(result, arena, answer);
	} else {
		answer->outcome = DNS_NO_DATA;
	}
}

static void await(struct dns *dns, struct query *query, int64_t deadline)
{
	while (!query->done && dns->context)
		if (task_wait(deadline) < 0 && !query->done)
			break;
}

/* Takes the query back. What the library cannot promise to forget is left to its callback. */
static void finish(struct dns *dns, struct query *query)
{
	unlink_query(query);
	if (query->done || !dns->context || ub_cancel(dns->context, query->id) == 0)
		free(query);
	else
		query->task = NULL;
	dns->under_way--;
	wait_list_wake_one(&dns->room);
}

static void ask(struct dns *dns, struct slice name, unsigned type, int64_t deadline, struct arena *arena,
		struct dns_answer *answer_r)
{
	struct query *query = xcalloc(1, sizeof *query);
	*query = (struct query){ .dns = dns, .task = task_current(), .next = dns->queries, .previous = &dns->queries };
	/* With its dot, so that the library searches nothing; a name of ours ends in none, but for the root. */
	struct slice full = slice_equal(name, SLICE(".")) ? name : arena_printf(arena, "%.*s.", SLICE_ARG(name));
	int error = ub_resolve_async(dns->context, full.data, (int)type, 1, query, answered, &query->id);
	if (error != 0) {
		free(query);
		wait_list_wake_one(&dns->room);
		temporary(answer_r, arena, name, ub_strerror(error));
		return;
	}
	if (dns->queries)
		dns->queries->previous = &query->next;
	dns->queries = query;
	dns->under_way++;
	await(dns, query, deadline);
	struct ub_result *result = query->result;
	bool done = query->done;
	int failed = query->error;
	finish(dns, query);
	if (result && !failed)
		convert(result, name, arena, answer_r);
	else
		temporary(answer_r, arena, name, done ? ub_strerror(failed) :
						 dns->context ? "no answer in time" : "the resolver was closed");
	ub_resolve_free(result);
}

void dns_query(struct dns *dns, struct slice name, unsigned type, int64_t deadline, struct arena *arena,
	       struct dns_answer *answer_r)
{
	struct slice clean;
	struct error error;
	int64_t limit = clock_after(dns->limit);
	if (!dns_name_parse(name, arena, &clean, &error)) {
		/* No server can have such a name. */
		*answer_r = (struct dns_answer){ .outcome = DNS_NO_NAME, .canonical = name };
		answer_r->why = arena_copy(arena, slice_of(error.text));
		return;
	}
	if (deadline > limit)
		deadline = limit;
	dns->references++;
	while (dns->context && dns->under_way >= QUERIES_MAX)
		if (wait_list_wait(&dns->room, deadline) < 0)
			break;
	if (!dns->context)
		temporary(answer_r, arena, clean, "the resolver was closed");
	else if (dns->under_way >= QUERIES_MAX)
		temporary(answer_r, arena, clean, "too many questions are under way");
	else
		ask(dns, clean, type, deadline, arena, answer_r);
	release(dns);
}

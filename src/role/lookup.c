/* SPDX-License-Identifier: ISC */
/*
 * The lookup role: answers the questions of expansions for fronts, queue and fetch (role/ask.h): the DNS, files, databases, passwords. It
 * has no client connections, no spool and no keys; files it may read only below directories that the configuration names.
 *
 * Each question is a task. A reload makes a new resolver and a new world of lookups; questions under way keep those that they began
 * with, until the last of them has ended.
 *
 * When there are more questions than it takes, those who ask most are refused first: from half of the bound on, an asker may have
 * no more than its equal share. A refusal is a temporary error.
 */
#include "base/cleanup.h"
#include "base/fatal.h"
#include "base/files.h"
#include "dns/dns.h"
#include "lookup/lookup.h"
#include "role/ask.h"
#include "role/process.h"
#include "role/tlsa_ask.h"

#include <string.h>

enum { QUESTIONS_MAX = 1000, CHECKS_MAX = 100, READABLE_MAX = ROLE_PATHS_MAX };

/* What answers: all that one configuration opened. */
struct means {
	unsigned references;
	struct conf *conf; /* its lists are used */
	struct dns *dns;
	struct lookup_world *world;
};

struct asker {
	struct role_process *role;
	struct ipc_peer *peer;
	struct question *questions;
	unsigned count;
	bool lost;
};

struct question {
	struct asker *asker;
	struct question *next, **previous;
	struct means *means;
	struct task *task;
	struct arena arena;
	uint64_t call;
	struct slice body; /* of the message, in the arena */
};

/* The master asks about a certificate (tls_tlsa_guard). */
struct certificate_check {
	struct role_process *role;
	struct means *means;
	uint64_t call;
	int64_t deadline;
	int fd;
};

struct lookup_role {
	struct means *means;
	struct arena next_arena; /* material of the next configuration */
	struct dns_settings next;
	int readable[READABLE_MAX];
	size_t readable_count;
	unsigned questions, askers, checks;
	struct wait_list ended;
};

/* ---- Material ---- */

static bool lookup_start(struct role_process *role, struct error *error)
{
	struct lookup_role *lookup = role->state;
	(void)error;
	arena_init(&lookup->next_arena, 0);
	return true;
}

static void start_check(struct role_process *role, struct ipc_incoming *incoming);

static void lookup_material(struct role_process *role, struct ipc_incoming *incoming)
{
	struct lookup_role *lookup = role->state;
	struct ipc_system_file file;
	struct ipc_readable readable;
	if (incoming->type == IPC_SYSTEM_FILE_MESSAGE) {
		if (!ipc_unpack_system_file(incoming->body, &file) || file.file >= DNS_SYSTEM_FILES || incoming->fd_count != 1)
			fatal("the master's message about a system file is malformed");
		*dns_settings_slot(&lookup->next, (enum dns_system_file)file.file) =
			dns_system_read(incoming->fds[0], &lookup->next_arena);
	} else if (incoming->type == IPC_TLSA_CHECK_MESSAGE) {
		start_check(role, incoming);
	} else if (incoming->type == IPC_READABLE_MESSAGE) {
		if (!ipc_unpack_readable(incoming->body, &readable) || incoming->fd_count != 1)
			fatal("the master's message about a directory is malformed");
		/* Once the walls are up, other directories need another process, which the master starts after a reload. */
		if (!role->sandboxed && lookup->readable_count < READABLE_MAX)
			lookup->readable[lookup->readable_count++] = fd_take(&incoming->fds[0]);
	}
}

static size_t lookup_paths(struct role_process *role, struct sandbox_path *paths, size_t size)
{
	struct lookup_role *lookup = role->state;
	size_t count = 0;
	for (; count < lookup->readable_count && count < size; count++)
		paths[count] = (struct sandbox_path){ lookup->readable[count], SANDBOX_READ };
	return count;
}

/* ---- Means ---- */

static void release_means(struct means *means)
{
	if (!means || --means->references)
		return;
	lookup_close(&means->world);
	dns_close(&means->dns);
	conf_unref(&means->conf);
	free(means);
}

static struct means *open_means(struct role_process *role, struct error *error)
{
	struct lookup_role *lookup = role->state;
	const struct conf_main *main = &role->next->main;
	struct means *means = xcalloc(1, sizeof *means);
	*means = (struct means){ .references = 1, .conf = conf_ref(role->next) };
	lookup->next.config_text = main->dns_config_text;
	lookup->next.dnssec = main->dns_dnssec_ok != 0;
	lookup->next.retransmit = main->dns_retrans;
	lookup->next.retries = (unsigned)main->dns_retry;
	means->dns = dns_open(role->loop, &lookup->next, error);
	struct lookup_settings settings = {
		.dns = means->dns,
		.sqlite_dbfile = main->sqlite_dbfile,
		.pgsql_servers = main->pgsql_servers,
		.redis_servers = main->redis_servers,
		.dns_again_means_nonexist = main->dns_again_means_nonexist,
		.dns_ipv4_lookup = main->dns_ipv4_lookup,
		.constants = role->next->list_scope.constants,
		.name_order = main->name_order,
	};
	if (means->dns)
		means->world = lookup_open(role->loop, &settings, error);
	if (means->world)
		return means;
	error_context(error, "opening the DNS and lookups");
	release_means(means);
	return NULL;
}

static bool lookup_apply(struct role_process *role, struct error *error)
{
	struct lookup_role *lookup = role->state;
	struct means *means = open_means(role, error);
	arena_reset(&lookup->next_arena);
	lookup->next = (struct dns_settings){ 0 };
	if (!means)
		return false;
	release_means(lookup->means);
	lookup->means = means;
	return true;
}

/* ---- Certificates ---- */

static enum tlsa_fit find_fit(const struct certificate_check *check, struct arena *arena, struct error *error)
{
	char *text = arena_alloc(arena, CHAIN_TEXT_MAX);
	ssize_t n = files_read_full(&files_real, check->fd, text, CHAIN_TEXT_MAX, 0);
	if (n < 0) {
		error_set(error, ERROR_TEMPORARY, "DANE: the certificate cannot be read");
		return TLSA_FIT_UNKNOWN;
	}
	return tlsa_ask(check->means->dns, check->means->conf, slice_make(text, (size_t)n), check->deadline, arena, error);
}

static void check_task(void *arg)
{
	struct certificate_check *check = arg;
	struct lookup_role *lookup = check->role->state;
	struct error error = { 0 };
	struct arena arena;
	arena_init(&arena, 0);
	struct ipc_tlsa_checked message = { .fit = find_fit(check, &arena, &error), .problem = slice_of(error.text) };
	ipc_send(check->role->master, tlsa_checked, TLSA_CHECKED, check->call, &message, NULL, 0);
	arena_free(&arena);
	fd_close(&check->fd);
	release_means(check->means);
	lookup->checks--;
	free(check);
}

static void start_check(struct role_process *role, struct ipc_incoming *incoming)
{
	struct lookup_role *lookup = role->state;
	struct ipc_tlsa_check message;
	if (!incoming->call || !ipc_unpack_tlsa_check(incoming->body, &message) || incoming->fd_count != 1)
		fatal("the master's message about a certificate is malformed");
	if (!lookup->means || lookup->checks == CHECKS_MAX) {
		struct ipc_tlsa_checked refusal = { TLSA_FIT_UNKNOWN, SLICE("too many certificates are being looked at") };
		ipc_send(role->master, tlsa_checked, TLSA_CHECKED, incoming->call, &refusal, NULL, 0);
		return;
	}
	struct certificate_check *check = xcalloc(1, sizeof *check);
	*check = (struct certificate_check){ role, lookup->means, incoming->call, (int64_t)message.deadline, fd_take(&incoming->fds[0]) };
	if (check->deadline <= 0 || check->deadline > clock_after(ASK_TIME_MAX))
		check->deadline = clock_after(ASK_TIME_MAX);
	lookup->means->references++;
	lookup->checks++;
	task_spawn(role->loop, check_task, check, "certificate check");
}

/* ---- Questions ---- */

static void refuse(struct ipc_peer *peer, uint64_t call, enum expand_result result, const char *why)
{
	struct ask_result refusal = { .result = result };
	error_set(&refusal.error, result == EXPAND_DEFER ? ERROR_TEMPORARY : ERROR_PERMANENT, "%s", why);
	ask_send_result(peer, call, &refusal);
}

static void find_answer(struct question *question, struct ask_result *result)
{
	struct ipc_ask message;
	struct expand_request request;
	if (!ipc_unpack_ask(question->body, &message) || !ask_unpack_request(&message, &question->arena, &request)) {
		result->result = EXPAND_FAIL;
		error_set(&result->error, ERROR_PERMANENT, "malformed question");
		return;
	}
	int64_t latest = clock_after(ASK_TIME_MAX);
	if (request.deadline <= 0 || request.deadline > latest)
		request.deadline = latest;
	result->result = lookup_ask(question->means->world, &request, &question->arena, &result->answer, &result->error);
}

static void free_asker(struct asker *asker)
{
	if (asker->lost && asker->count == 0)
		free(asker);
}

static void question_task(void *arg)
{
	struct question *question = arg;
	struct asker *asker = question->asker;
	struct lookup_role *lookup = asker->role->state;
	struct ask_result result = { 0 };
	find_answer(question, &result);
	ask_send_result(asker->peer, question->call, &result);
	*question->previous = question->next;
	if (question->next)
		question->next->previous = question->previous;
	asker->count--;
	lookup->questions--;
	wait_list_wake_all(&lookup->ended);
	ipc_release(asker->peer);
	free_asker(asker);
	release_means(question->means);
	arena_free(&question->arena);
	free(question);
}

static bool has_room(const struct lookup_role *lookup, const struct asker *asker)
{
	bool crowded = lookup->questions >= QUESTIONS_MAX / 2;
	return lookup->questions < QUESTIONS_MAX && !(crowded && asker->count >= QUESTIONS_MAX / lookup->askers);
}

static void from_asker(void *owner, struct ipc_peer *peer, struct ipc_incoming *incoming)
{
	struct asker *asker = owner;
	struct lookup_role *lookup = asker->role->state;
	if (incoming->type != IPC_ASK_MESSAGE || !incoming->call)
		return;
	if (!has_room(lookup, asker)) {
		refuse(peer, incoming->call, EXPAND_DEFER, "too many lookups are under way");
		return;
	}
	struct question *question = xcalloc(1, sizeof *question);
	*question = (struct question){ .asker = asker, .means = lookup->means, .call = incoming->call };
	arena_init(&question->arena, 0);
	question->body = arena_copy(&question->arena, incoming->body);
	question->next = asker->questions;
	question->previous = &asker->questions;
	if (question->next)
		question->next->previous = &question->next;
	asker->questions = question;
	asker->count++;
	lookup->questions++;
	lookup->means->references++;
	ipc_hold(peer);
	question->task = task_spawn(asker->role->loop, question_task, question, "question");
}

/* Nobody wants its answers any more. */
static void asker_lost(void *owner, struct ipc_peer *peer)
{
	struct asker *asker = owner;
	struct lookup_role *lookup = asker->role->state;
	lookup->askers--;
	asker->lost = true;
	for (struct question *question = asker->questions; question; question = question->next)
		task_cancel(question->task);
	free_asker(asker);
	ipc_close_later(peer);
}

static const struct ipc_handler asker_handler = { from_asker, asker_lost };

static void lookup_connected(struct role_process *role, int fd, enum role other, unsigned index, uid_t uid)
{
	struct lookup_role *lookup = role->state;
	(void)index;
	(void)uid;
	if (!(IPC_ASKERS & 1u << other))
		fatal("the lookup role answers fronts, the queue and the fetch role only");
	struct asker *asker = xcalloc(1, sizeof *asker);
	asker->role = role;
	asker->peer = ipc_open(role->loop, fd, ROLE_LOOKUP, other, &asker_handler, asker);
	lookup->askers++;
}

static void lookup_drain(struct role_process *role)
{
	struct lookup_role *lookup = role->state;
	while (lookup->questions && clock_now() < role->drain_deadline)
		if (wait_list_wait(&lookup->ended, role->drain_deadline) < 0)
			break;
	/* Answers are on their way out: the loop sends them before it waits. */
	task_sleep_until(clock_after(10 * CLOCK_MS));
}

const struct role_ops lookup_ops = {
	.state_size = sizeof(struct lookup_role),
	.start = lookup_start,
	.material = lookup_material,
	.apply = lookup_apply,
	.paths = lookup_paths,
	.connected = lookup_connected,
	.drain = lookup_drain,
};

/* SPDX-License-Identifier: ISC */
/*
 * The lookup role: answers the questions of expansions for fronts, queue and fetch (role/ask.h): the DNS, files, databases; and checks
 * the passwords of users for fronts (role/passwords.h). It
 * has no client connections, no spool and no keys; files it may read only below directories that the configuration names.
 *
 * Each question is a task (role/answering.h). A reload makes a new resolver and a new world of lookups; questions under way keep those
 * that they began with, until the last of them has ended.
 */
#include "base/cleanup.h"
#include "base/fatal.h"
#include "base/files.h"
#include "dns/dns.h"
#include "lookup/lookup.h"
#include "role/answering.h"
#include "role/passwords.h"
#include "role/process.h"
#include "role/tlsa_ask.h"

#include <string.h>

enum { QUESTIONS_MAX = 1000, PASSWORDS_MAX = 500, CHECKS_MAX = 100, READABLE_MAX = ROLE_PATHS_MAX };

/* What answers: all that one configuration opened. */
struct means {
	unsigned references;
	struct conf *conf; /* its lists are used */
	struct dns *dns;
	struct lookup_world *world;
	struct passwords_settings passwords;
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
	unsigned checks;
	struct passwords *passwords;
	struct answering_desk desk;
};

/* ---- Material ---- */

static bool lookup_start(struct role_process *role, struct error *error)
{
	struct lookup_role *lookup = role->state;
	(void)error;
	arena_init(&lookup->next_arena, 0);
	lookup->passwords = passwords_new(&role->log);
	return true;
}

/* The same memory at each reload, and in the process after this one. */
static void take_failures(struct lookup_role *lookup, struct ipc_incoming *incoming)
{
	struct error error = { 0 };
	struct ipc_failures message;
	if (!ipc_unpack_failures(incoming->body, &message) || message.size != failures_size() || incoming->fd_count != 1 ||
	    !passwords_use_failures(lookup->passwords, incoming->fds[0], &error))
		fatal("the master's message about failed logins is malformed%s%s", *error.text ? ": " : "", error.text);
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
	} else if (incoming->type == IPC_FAILURES_MESSAGE) {
		take_failures(lookup, incoming);
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
	means->passwords = (struct passwords_settings){
		.database = main->user_database, .limit = main->auth_limit, .limit_text = main->auth_fail_limit,
		.remember = main->auth_remember,
	};
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
	if (means->passwords.database.len)
		passwords_prepare(lookup->passwords);
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

static void *hold_means(struct role_process *role)
{
	struct lookup_role *lookup = role->state;
	lookup->means->references++;
	return lookup->means;
}

static void drop_means(void *means)
{
	release_means(means);
}

static enum expand_result find_answer(struct role_process *role, void *held, const struct expand_request *request, struct arena *arena,
				      struct expand_answer *answer_r, struct error *error)
{
	struct means *means = held;
	(void)role;
	return lookup_ask(means->world, request, arena, answer_r, error);
}

static void answer_password(struct role_process *role, void *held, const struct answering_other *message, struct arena *arena)
{
	const struct lookup_role *lookup = role->state;
	const struct means *means = held;
	passwords_answer(lookup->passwords, means ? &means->passwords : NULL, message, arena);
}

static const struct answering lookup_answering = {
	.most_others = PASSWORDS_MAX, .other = answer_password,
	.most = QUESTIONS_MAX, .crowded = "too many lookups are under way", .hold = hold_means, .answer = find_answer, .drop = drop_means,
};

static void lookup_connected(struct role_process *role, int fd, enum role other, unsigned index, uid_t uid)
{
	struct lookup_role *lookup = role->state;
	(void)index;
	(void)uid;
	answering_connected(&lookup->desk, role, &lookup_answering, fd, other);
}

static void lookup_drain(struct role_process *role)
{
	struct lookup_role *lookup = role->state;
	answering_drain(&lookup->desk, role);
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

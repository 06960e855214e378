/* SPDX-License-Identifier: ISC */
/*
 * The lookup role: answers the questions of expansions for fronts and queue (role/ask.h): the DNS, files, databases, passwords. It
 * has no client connections, no spool and no keys; files it may read only below directories that the configuration names.
 *
 * Each question is a task (role/answering.h). A reload makes a new resolver and a new world of lookups; questions under way keep those
 * that they began with, until the last of them has ended.
 */
#include "base/cleanup.h"
#include "base/fatal.h"
#include "dns/dns.h"
#include "lookup/lookup.h"
#include "role/answering.h"
#include "role/process.h"

#include <string.h>

enum { QUESTIONS_MAX = 1000, READABLE_MAX = ROLE_PATHS_MAX };

/* What answers: all that one configuration opened. */
struct means {
	unsigned references;
	struct conf *conf; /* its lists are used */
	struct dns *dns;
	struct lookup_world *world;
};

struct lookup_role {
	struct means *means;
	struct arena next_arena; /* material of the next configuration */
	struct dns_settings next;
	int readable[READABLE_MAX];
	size_t readable_count;
	struct answering_desk desk;
};

/* ---- Material ---- */

static bool lookup_start(struct role_process *role, struct error *error)
{
	struct lookup_role *lookup = role->state;
	(void)error;
	arena_init(&lookup->next_arena, 0);
	return true;
}

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

static const struct answering lookup_answering = {
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

/* SPDX-License-Identifier: ISC */
/*
 * The run role: starts the commands of ${run} for fronts and queue (role/ask.h). It runs while the configuration has a ${run}. It holds
 * nothing: no client connection, no spool, no key, and no descriptor of its own reaches a command.
 *
 * Its walls are those of the commands, which inherit them: no new privileges (a set-user-ID bit has no effect), a user of its own, the
 * system's directories to read and execute, /tmp and /var/tmp to write, and system calls that only administrators need refused. What a
 * program may do otherwise (connect, make processes), a command may. Only commands that the configuration names are started: one who takes a
 * front over cannot choose others.
 *
 * No more than COMMANDS_AT_ONCE run at a time; others wait for their turn, until their deadline.
 */
#include "base/cleanup.h"
#include "base/fatal.h"
#include "lookup/lookup.h"
#include "role/answering.h"
#include "role/process.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { COMMANDS_AT_ONCE = 32, QUESTIONS_MAX = 256, PROTECTED_MAX = 256 };

struct run_role {
	struct arena arena; /* of the environment */
	struct lookup_command_settings settings;
	struct answering_desk desk;
	unsigned running;
	struct wait_list turns;
};

static bool run_start(struct role_process *role, struct error *error)
{
	struct run_role *run = role->state;
	(void)error;
	arena_init(&run->arena, 0);
	return true;
}

static void run_material(struct role_process *role, struct ipc_incoming *incoming)
{
	(void)role;
	(void)incoming; /* there is none */
}

/* The environment is that of the process: a reload that changes it starts another one (same_commands in master.c). */
static bool run_apply(struct role_process *role, struct error *error)
{
	struct run_role *run = role->state;
	(void)error;
	if (!run->settings.environment)
		run->settings = (struct lookup_command_settings){
			.environment = lookup_command_environment(&run->arena), .server = true, .own_user = role->next->root,
		};
	return true;
}

/* ---- Directories ---- */

/* Where mail is: a directory that holds one of these is not opened to commands. */
struct protected {
	char *paths[PROTECTED_MAX];
	size_t count;
};

static void protect(struct protected *protected, struct slice path)
{
	char name[PATH_MAX], real[PATH_MAX];
	size_t slash = slice_find_last(path, '/');
	if (!path.len || path.data[0] != '/' || protected->count == PROTECTED_MAX || !slice_to_cstr(path, name, sizeof name))
		return;
	if (slash + 1 == path.len)
		name[slash ? slash : 1] = '\0';
	char *copy = strdup(realpath(name, real) ? real : name);
	ensure(copy);
	protected->paths[protected->count++] = copy;
}

static bool holds_protected(const char *directory, const struct protected *protected)
{
	char real[PATH_MAX];
	const char *name = realpath(directory, real) ? real : directory;
	size_t len = strlen(name);
	for (size_t i = 0; i < protected->count; i++) {
		const char *path = protected->paths[i];
		if (strncmp(path, name, len) == 0 && (path[len] == '\0' || path[len] == '/'))
			return true;
	}
	return false;
}

static void add_path(const char *path, unsigned rights, const struct protected *protected, struct sandbox_path *paths, size_t size,
		     size_t *count)
{
	if (*count == size || holds_protected(path, protected))
		return;
	int fd = open(path, O_PATH | O_CLOEXEC);
	if (fd >= 0)
		paths[(*count)++] = (struct sandbox_path){ fd, rights };
}

static void protect_mail(const struct conf *conf, struct protected *protected)
{
	protect(protected, conf->main.spool_directory);
	for (size_t i = 0; i < conf->transport_count; i++) {
		struct slice prefix = expand_constant_prefix(conf->transports[i].directory);
		size_t slash = slice_find_last(prefix, '/');
		if (slash < prefix.len)
			protect(protected, slice_first(prefix, slash + 1));
	}
}

static size_t run_paths(struct role_process *role, struct sandbox_path *paths, size_t size)
{
	enum { PROGRAMS = SANDBOX_READ | SANDBOX_EXECUTE, SCRATCH = SANDBOX_READ | SANDBOX_WRITE };
	static const struct {
		const char *path;
		unsigned rights;
	} system_paths[] = {
		{ "/usr", PROGRAMS }, { "/bin", PROGRAMS }, { "/sbin", PROGRAMS }, { "/lib", PROGRAMS }, { "/lib32", PROGRAMS },
		{ "/lib64", PROGRAMS }, { "/opt", PROGRAMS }, { "/etc", PROGRAMS }, { "/proc", SANDBOX_READ }, { "/sys", SANDBOX_READ },
		{ "/run", SANDBOX_READ }, { "/var/lib", SANDBOX_READ }, { "/var/cache", SANDBOX_READ }, { "/dev/null", SCRATCH },
		{ "/dev/zero", SCRATCH }, { "/dev/full", SCRATCH }, { "/dev/random", SANDBOX_READ }, { "/dev/urandom", SANDBOX_READ },
		{ "/tmp", SCRATCH }, { "/var/tmp", SCRATCH },
	};
	const struct conf *conf = role->conf;
	struct protected protected = { 0 };
	char name[PATH_MAX];
	size_t count = 0;
	protect_mail(conf, &protected);
	for (size_t i = 0; i < sizeof system_paths / sizeof *system_paths; i++)
		add_path(system_paths[i].path, system_paths[i].rights, &protected, paths, size, &count);
	for (size_t i = 0; i < conf->command_directory_count; i++)
		if (slice_to_cstr(conf->command_directories[i], name, sizeof name))
			add_path(name, PROGRAMS, &protected, paths, size, &count);
	for (size_t i = 0; i < protected.count; i++)
		free(protected.paths[i]);
	return count;
}

/* ---- Commands ---- */

static enum expand_result refuse(struct error *error, enum expand_result result, const char *why)
{
	error_set(error, result == EXPAND_DEFER ? ERROR_TEMPORARY : ERROR_PERMANENT, "run: %s", why);
	return result;
}

static enum expand_result run_answer(struct role_process *role, void *held, const struct expand_request *request, struct arena *arena,
				     struct expand_answer *answer_r, struct error *error)
{
	struct run_role *run = role->state;
	(void)held;
	if (request->service != EXPAND_SERVICE_RUN || request->piece_count == 0)
		return refuse(error, EXPAND_FAIL, "this process starts commands and does nothing else");
	/* The asker has looked already: its configuration may be older or newer by the moment of a reload. */
	if (!conf_allows_command(role->conf, request->pieces[0].text))
		return refuse(error, EXPAND_DEFER, "the command is not one of the configuration's");
	while (run->running >= COMMANDS_AT_ONCE)
		if (wait_list_wait(&run->turns, request->deadline) < 0)
			return refuse(error, EXPAND_DEFER, "too many other commands are running");
	run->running++;
	enum expand_result result = lookup_run_command(&run->settings, request, arena, answer_r, error);
	run->running--;
	wait_list_wake_one(&run->turns);
	return result;
}

static const struct answering run_answering = {
	.most = QUESTIONS_MAX, .crowded = "run: too many commands are running or waiting", .answer = run_answer,
};

static void run_connected(struct role_process *role, int fd, enum role other, unsigned index, uid_t uid)
{
	struct run_role *run = role->state;
	(void)index;
	(void)uid;
	answering_connected(&run->desk, role, &run_answering, fd, other);
}

static void run_drain(struct role_process *role)
{
	struct run_role *run = role->state;
	answering_drain(&run->desk, role);
}

const struct role_ops run_ops = {
	.state_size = sizeof(struct run_role),
	.start = run_start,
	.material = run_material,
	.apply = run_apply,
	.paths = run_paths,
	.connected = run_connected,
	.drain = run_drain,
};

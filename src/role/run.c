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
#include "base/fatal.h"
#include "lookup/lookup.h"
#include "role/answering.h"
#include "role/process.h"
#include "role/program_paths.h"

enum { COMMANDS_AT_ONCE = 32, QUESTIONS_MAX = 256 };

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

static size_t run_paths(struct role_process *role, struct sandbox_path *paths, size_t size)
{
	const struct conf *conf = role->conf;
	return program_paths(conf, conf->command_directories, conf->command_directory_count, SANDBOX_READ | SANDBOX_EXECUTE, true, paths, size);
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

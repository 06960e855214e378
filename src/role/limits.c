/* SPDX-License-Identifier: ISC */
#include "role/limits.h"

#include "base/cleanup.h"
#include "task/offload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define WRITE_INTERVAL CLOCK_SECOND

void limits_init(struct limits *limits, struct role_process *role)
{
	*limits = (struct limits){ .role = role, .files = { -1, -1 } };
}

/* Writes what has changed, in pieces: other tasks run between them, and change more. */
static void write_changes(struct limits *limits)
{
	struct error error = { 0 };
	limits->writing = true;
	while (limit_store_gather(limits->store)) {
		offload(limit_store_write, limits->store);
		bool written = limit_store_written(limits->store, &error);
		if (!written && !limits->failing)
			log_line(&limits->role->log, LOG_KIND_PANIC, "%s", error.text);
		limits->failing = !written;
		if (!written)
			break;
	}
	limits->writing = false;
	wait_list_wake_all(&limits->idle);
}

static void write_task(void *arg)
{
	struct limits *limits = arg;
	while (!limits->ending) {
		write_changes(limits);
		if (!limits->failing && !limit_table_has_changed(limit_store_table(limits->store)) &&
		    wait_list_wait(&limits->changed, CLOCK_NEVER) < 0)
			break;
		if (task_sleep_until(clock_after(WRITE_INTERVAL)) == -ECANCELED)
			break;
	}
}

void limits_open(struct limits *limits, int directory)
{
	static const char *const names[2] = { "table.0", "table.1" };
	struct error problem;
	if (limits->store)
		return;
	for (int i = 0; i < 2; i++) {
		fd_close(&limits->files[i]);
		limits->files[i] = openat(directory, names[i], O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (limits->files[i] >= 0)
			continue;
		error_set_errno(&limits->problem, errno, "opening the file limits/%s in the spool directory", names[i]);
		log_line(&limits->role->log, LOG_KIND_PANIC, "%s", limits->problem.text);
		return;
	}
	limits->store = limit_store_open(limits->files, LIMIT_KEYS_MAX, clock_wall_now(), &problem);
	if (*problem.text)
		log_line(&limits->role->log, LOG_KIND_PANIC, "limits in the spool directory: %s", problem.text);
	task_spawn(limits->role->loop, write_task, limits, "limits");
}

enum expand_result limits_answer(struct limits *limits, const struct expand_request *request, struct arena *arena,
				 struct expand_answer *answer_r, struct error *error)
{
	if (!limits->store && *limits->problem.text) {
		*error = limits->problem;
		return EXPAND_DEFER;
	}
	if (!limits->store && !limits->alone)
		limits->alone = limit_table_new(LIMIT_KEYS_MAX, NULL);
	struct limit_table *table = limits->store ? limit_store_table(limits->store) : limits->alone;
	enum expand_result result = limit_answer(table, request, clock_wall_now(), arena, answer_r, error);
	if (limit_table_has_changed(table))
		wait_list_wake_all(&limits->changed);
	return result;
}

void limits_drain(struct limits *limits)
{
	if (!limits->store)
		return;
	limits->ending = true;
	while (limits->writing)
		if (wait_list_wait(&limits->idle, limits->role->drain_deadline) < 0)
			return;
	write_changes(limits);
}

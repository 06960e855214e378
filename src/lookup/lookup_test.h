/* SPDX-License-Identifier: ISC */
/* For the tests of lookups: a world with a loop and a directory of files, and questions asked on a task. */
#ifndef POSTERN_LOOKUP_LOOKUP_TEST_H
#define POSTERN_LOOKUP_LOOKUP_TEST_H

#include "base/fatal.h"
#include "base/test.h"
#include "lookup/lookup.h"
#include "task/task.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
	char directory[64];
	struct loop *loop;
	struct lookup_world *world;
	struct arena arena;
	/* of the last question */
	enum expand_result result;
	struct expand_answer answer;
	struct error error;
	int64_t took;
};

struct fixture_call {
	struct fixture *fixture;
	const struct expand_request *request;
	void (*run)(void *arg);
	void *arg;
};

static void fixture_task(void *arg)
{
	struct fixture_call *call = arg;
	if (call->run) {
		call->run(call->arg);
		return;
	}
	struct fixture *fixture = call->fixture;
	int64_t start = clock_now();
	fixture->result = lookup_ask(fixture->world, call->request, &fixture->arena, &fixture->answer, &fixture->error);
	fixture->took = clock_now() - start;
}

static inline void fixture_open(struct fixture *fixture, struct lookup_settings settings)
{
	*fixture = (struct fixture){ .directory = "/tmp/postern-lookup-XXXXXX" };
	assert_non_null(mkdtemp(fixture->directory));
	fixture->loop = loop_new();
	arena_init(&fixture->arena, 0);
	static char path[] = "PATH=/usr/local/bin:/usr/bin:/bin";
	static char *const environment[] = { path, NULL };
	static const struct lookup_command_settings commands = { .environment = environment, .server = true };
	settings.commands = &commands;
	fixture->world = lookup_open(fixture->loop, &settings, &fixture->error);
	assert_non_null(fixture->world);
}

static int fixture_remove(const char *path, const struct stat *stat, int type, struct FTW *walk)
{
	(void)stat, (void)type, (void)walk;
	return remove(path);
}

static void fixture_close_task(void *arg)
{
	lookup_close(arg);
}

static inline void fixture_close(struct fixture *fixture)
{
	struct fixture_call call = { .run = fixture_close_task, .arg = &fixture->world };
	task_spawn(fixture->loop, fixture_task, &call, "close");
	loop_run(fixture->loop);
	loop_free(fixture->loop);
	arena_free(&fixture->arena);
	nftw(fixture->directory, fixture_remove, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void fixture_run(struct fixture *fixture, void (*run)(void *arg), void *arg)
{
	struct fixture_call call = { .fixture = fixture, .run = run, .arg = arg };
	task_spawn(fixture->loop, fixture_task, &call, "test");
	loop_run(fixture->loop);
}

static inline enum expand_result fixture_ask(struct fixture *fixture, const struct expand_request *request)
{
	struct fixture_call call = { .fixture = fixture, .request = request };
	fixture->error = (struct error){ 0 };
	task_spawn(fixture->loop, fixture_task, &call, "ask");
	loop_run(fixture->loop);
	return fixture->result;
}

static inline struct slice fixture_path(struct fixture *fixture, const char *name)
{
	return name[0] == '/' ? slice_of(name) : arena_printf(&fixture->arena, "%s/%s", fixture->directory, name);
}

static inline void fixture_write_bytes(struct fixture *fixture, const char *name, struct slice text)
{
	FILE *file = fopen(fixture_path(fixture, name).data, "we");
	assert_non_null(file);
	assert_int_equal(fwrite(text.data, 1, text.len, file), text.len);
	assert_int_equal(fclose(file), 0);
}

static inline void fixture_write(struct fixture *fixture, const char *name, const char *text)
{
	fixture_write_bytes(fixture, name, slice_of(text));
}

/* A single-key lookup in a file of the directory. */
static inline void fixture_find(struct fixture *fixture, const char *type, const char *file, const char *key)
{
	struct expand_request request = { .service = EXPAND_SERVICE_LOOKUP, .type = slice_of(type), .key = slice_of(key),
		.file = fixture_path(fixture, file), .deadline = clock_after(10 * CLOCK_SECOND) };
	fixture_ask(fixture, &request);
}

/* What a lookup gave: "<value>", "not found", "fail: REASON" or "defer: REASON". */
static inline const char *fixture_said(struct fixture *fixture)
{
	switch (fixture->result) {
	case EXPAND_OK:
		return fixture->answer.found ? arena_printf(&fixture->arena, "<%.*s>", SLICE_ARG(fixture->answer.text)).data
					     : "not found";
	case EXPAND_DEFER:
		return arena_printf(&fixture->arena, "defer: %s", fixture->error.text).data;
	default:
		return arena_printf(&fixture->arena, "fail: %s", fixture->error.text).data;
	}
}

#define assert_said(fixture, text) assert_string_equal(fixture_said(fixture), text)
#define assert_says(fixture, part)                                                                            \
	do {                                                                                                  \
		if (!strstr(fixture_said(fixture), part))                                                     \
			fail_msg("expected \"...%s...\", got \"%s\"", part, fixture_said(fixture));           \
	} while (0)

/* The state of these tests is a fixture. */
static inline int fixture_close_world(void **state)
{
	fixture_close(*state);
	return 0;
}

struct fixture_row {
	const char *type, *key, *said;
};

static inline void fixture_check_rows(struct fixture *fixture, const char *file, const struct fixture_row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		fixture_find(fixture, rows[i].type, file, rows[i].key);
		const char *said = fixture_said(fixture);
		if (strcmp(said, rows[i].said) != 0)
			fail_msg("%s of \"%s\": expected %s, got %s", rows[i].type, rows[i].key, rows[i].said, said);
	}
}
#define CHECK_FIXTURE_ROWS(fixture, file, rows) fixture_check_rows(fixture, file, rows, sizeof(rows) / sizeof *(rows))

#endif

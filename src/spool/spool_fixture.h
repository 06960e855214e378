/* SPDX-License-Identifier: ISC */
/* What the tests of the spools share: one in a new directory, and what its last scan gave. For test programs only. */
#ifndef POSTERN_SPOOL_FIXTURE_H
#define POSTERN_SPOOL_FIXTURE_H

#include "base/cleanup.h"
#include "base/fatal.h"
#include "base/test.h"
#include "spool/faults.h"
#include "spool/spool.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct fixture {
	struct spool *(*open)(int root, const struct files *files, struct error *error);
	char path[64];
	int root;
	struct spool *spool;
	struct arena arena;
	/* What a scan gave. */
	size_t messages, problems;
	enum spool_problem_kind kind;
	char problem[900];
	struct spool_envelope last; /* its pointers are stale */
	size_t delivered;           /* recipients of the last */
};

static void on_message(void *context, const struct spool_envelope *envelope)
{
	struct fixture *f = context;
	f->messages++;
	f->last = *envelope;
	f->delivered = 0;
	for (size_t i = 0; i < envelope->recipient_count; i++)
		f->delivered += envelope->recipients[i].state == SPOOL_DELIVERED;
}

static void on_problem(void *context, const struct spool_problem *problem)
{
	struct fixture *f = context;
	f->problems++;
	f->kind = problem->kind;
	snprintf(f->problem, sizeof f->problem, "%s: %s", problem->name, problem->text);
}

static void scan(struct fixture *f)
{
	struct error error = { 0 };
	f->messages = f->problems = 0;
	if (!spool_scan(f->spool, &(struct spool_scan){ on_message, on_problem, f }, &error))
		fail_msg("%s", error.text);
}

static void open_again(struct fixture *f)
{
	struct error error = { 0 };
	spool_free(f->spool);
	f->spool = f->open(f->root, NULL, &error);
	if (!f->spool)
		fail_msg("%s", error.text);
	scan(f);
}

static struct fixture *make_fixture(struct spool *(*open)(int root, const struct files *files, struct error *error))
{
	struct fixture *f = xcalloc(1, sizeof *f);
	f->open = open;
	f->root = faults_directory_make(f->path);
	arena_init(&f->arena, 0);
	open_again(f);
	return f;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	spool_free(f->spool);
	arena_free(&f->arena);
	faults_directory_remove(f->path, f->root);
	free(f);
	return 0;
}

static struct message_id id_of(unsigned number)
{
	static const int places[] = { 15, 14, 11, 10, 9 };
	struct message_id id = { "1wXyZa-000003-00" };
	for (size_t i = 0; i < sizeof places / sizeof places[0]; i++, number /= 10)
		id.text[places[i]] = (char)('0' + number % 10);
	return id;
}

static struct spool_writer *begin(struct fixture *f, unsigned number)
{
	static struct spool_recipient recipients[2] = { { .address = SLICE("a@e") }, { .address = SLICE("b@e") } };
	struct spool_envelope envelope = { .id = id_of(number), .received_ns = 1000 + number, .sender = SLICE("s@e"),
					   .recipients = recipients, .recipient_count = 2 };
	struct spool_writer *writer = NULL;
	struct error error = { 0 };
	if (!spool_begin(f->spool, &envelope, &writer, &error))
		fail_msg("%s", error.text);
	return writer;
}

static void store(struct fixture *f, unsigned number, struct slice body)
{
	struct spool_writer *writer = begin(f, number);
	struct error error;
	assert_true(spool_append_bytes(writer, body, &error));
	spool_commit(f->spool, &writer, 1, &error);
	assert_int_equal(error.kind, ERROR_NONE);
}

/* The body as it is read back; in the fixture's arena. */
static struct slice body_of(struct fixture *f, unsigned number)
{
	struct message_id id = id_of(number);
	struct spool_message message;
	struct error error = { 0 };
	if (!spool_read(f->spool, &id, &f->arena, &message, &error))
		fail_msg("%s", error.text);
	_cleanup_fd_ int fd = message.fd;
	char *body = arena_alloc(&f->arena, (size_t)message.body_size + 1);
	assert_int_equal(files_read_full(&files_real, fd, body, (size_t)message.body_size + 1, message.body_offset),
			 message.body_size);
	return slice_make(body, (size_t)message.body_size);
}

#endif

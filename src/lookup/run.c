/* SPDX-License-Identifier: ISC */
/*
 * ${run}: a command without a shell. It gets an empty standard input; what it writes to standard output and standard error is the
 * answer, its exit status the number: 127 when it could not be started. A command that a signal ends, or that takes too long, has no
 * status: that is a failure, as in Exim. Of what it writes LOOKUP_RUN_OUTPUT bytes are kept. At the deadline its process group is killed.
 */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fatal.h"
#include "lookup/command.h"
#include "lookup/private.h"

#include <errno.h>
#include <unistd.h>

enum { LOOKUP_RUN_OUTPUT = 1 << 20, LOOKUP_RUN_ARGUMENTS = 1000, NOT_STARTED = 127 };

static char **make_arguments(const struct expand_request *request, struct arena *arena, struct error *error)
{
	size_t count = request->piece_count;
	if (count == 0 || count > LOOKUP_RUN_ARGUMENTS) {
		error_set(error, ERROR_PERMANENT, "run: %s", count ? "too many arguments" : "no command is given");
		return NULL;
	}
	if (request->pieces[0].tainted) {
		error_set(error, ERROR_PERMANENT, "run: the name of the command is tainted: '%.*s'",
			  SLICE_ARG(slice_first(request->pieces[0].text, 100)));
		return NULL;
	}
	char **arguments = arena_array(arena, count + 1, sizeof *arguments);
	for (size_t i = 0; i < count; i++) {
		struct slice text = request->pieces[i].text;
		if (slice_find(text, '\0') < text.len) {
			error_set(error, ERROR_PERMANENT, "run: argument %zu of %s holds a NUL byte", i, arguments[0] ? arguments[0] : "");
			return NULL;
		}
		arguments[i] = arena_cstr(arena, text);
	}
	return arguments;
}

/* Until the end of its output: 0, or a negative errno. What is too much is read and thrown away. */
static int collect(struct command *command, struct buf *out, int64_t deadline)
{
	char chunk[8192];
	for (;;) {
		ssize_t n = read(command->output, chunk, sizeof chunk);
		if (n == 0)
			return 0;
		if (n > 0) {
			size_t room = LOOKUP_RUN_OUTPUT - buf_len(out);
			buf_append(out, slice_first(slice_make(chunk, (size_t)n), room));
			if (clock_now() >= deadline)
				return -ETIMEDOUT;
			task_yield(); /* one that never stops writing must not keep the others from running */
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return -errno;
		int waited = io_wait(command->output, IO_READ, deadline);
		if (waited < 0)
			return waited;
	}
}

enum expand_result lookup_run_command(const struct lookup_command_settings *settings, const struct expand_request *request,
				      struct arena *arena, struct expand_answer *answer_r, struct error *error)
{
	char **arguments = make_arguments(request, arena, error);
	if (!arguments)
		return EXPAND_FAIL;
	struct command command;
	/* No search for commands: the name is a path, as in Exim. */
	int number = arguments[0][0] == '/' ? command_start(&command, arguments, settings, request->deadline, error) : ENOENT;
	if (number < 0)
		return EXPAND_DEFER;
	if (number) {
		answer_r->number = NOT_STARTED;
		return EXPAND_OK;
	}
	struct buf out;
	buf_init(&out, LOOKUP_RUN_OUTPUT);
	bool late = collect(&command, &out, request->deadline) < 0;
	answer_r->number = command_end(&command, request->deadline, &late);
	answer_r->found = answer_r->number == 0;
	answer_r->text = arena_copy(arena, buf_slice(&out));
	buf_free(&out);
	if (late)
		return lookup_defer(error, "run: command timed out: %s took too long and was killed", arguments[0]);
	if (answer_r->number < 0)
		return lookup_fail(error, "run: command killed by signal %d: %s", (int)-answer_r->number, arguments[0]);
	return EXPAND_OK;
}

enum expand_result lookup_run(struct lookup_world *world, const struct expand_request *request, struct arena *arena,
			      struct expand_answer *answer_r, struct error *error)
{
	if (!world->settings.commands)
		return lookup_fail(error, "run: commands are not allowed here");
	return lookup_run_command(world->settings.commands, request, arena, answer_r, error);
}

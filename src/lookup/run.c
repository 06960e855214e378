/* SPDX-License-Identifier: ISC */
/*
 * ${run}: a command without a shell. It gets an empty standard input; what it writes to standard output and standard error is the
 * answer, its exit status the number: 127 when it could not be started. A command that a signal ends, or that takes too long, has no
 * status: that is a failure, as in Exim. Of what it writes LOOKUP_RUN_OUTPUT bytes are kept. It runs in a session of its own; at the deadline all of that is killed.
 */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fatal.h"
#include "lookup/private.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { LOOKUP_RUN_OUTPUT = 1 << 20, LOOKUP_RUN_ARGUMENTS = 1000, NOT_STARTED = 127 };

struct child {
	pid_t pid;
	int pid_fd; /* readable when it has ended */
	int output; /* our end of its standard output */
};

/* Nothing of our surroundings but what a command needs to find other commands. */
static char *const environment[] = { (char[]){ "PATH=/usr/local/bin:/usr/bin:/bin" }, NULL };

/* 0 or an errno. */
static int spawn(char *const *arguments, int output, pid_t *pid_r)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t all, none;
	sigfillset(&all);
	sigdelset(&all, SIGKILL);
	sigdelset(&all, SIGSTOP);
	sigemptyset(&none);
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, output, 1);
	posix_spawn_file_actions_adddup2(&actions, output, 2);
	posix_spawn_file_actions_addclosefrom_np(&actions, 3);
	posix_spawnattr_setsigdefault(&attributes, &all);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
	int number = posix_spawn(pid_r, arguments[0], &actions, &attributes, arguments, environment);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return number;
}

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
static int collect(struct child *child, struct buf *out, int64_t deadline)
{
	char chunk[8192];
	for (;;) {
		ssize_t n = read(child->output, chunk, sizeof chunk);
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
		int waited = io_wait(child->output, IO_READ, deadline);
		if (waited < 0)
			return waited;
	}
}

/* The exit status, or minus the number of the signal; the child is gone then in any case. */
static int64_t reap(struct child *child, int64_t deadline, bool *timed_out_r)
{
	siginfo_t info;
	for (;;) {
		info.si_pid = 0;
		if (waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG) < 0)
			return NOT_STARTED; /* somebody else took it: SIGCHLD is ignored in this process */
		if (info.si_pid != 0)
			break;
		if (*timed_out_r || io_wait(child->pid_fd, IO_READ, deadline) < 0) {
			*timed_out_r = true;
			kill(-child->pid, SIGKILL);
			waitid(P_PID, (id_t)child->pid, &info, WEXITED); /* it cannot refuse */
			break;
		}
	}
	return info.si_code == CLD_EXITED ? info.si_status : -(int64_t)info.si_status;
}

static enum expand_result start(struct child *child, char *const *arguments, struct error *error, int *number_r)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return lookup_defer(error, "run: pipe: %s", strerror(errno));
	_cleanup_fd_ int theirs = ends[1];
	child->output = ends[0];
	fcntl(child->output, F_SETFL, O_NONBLOCK);
	/* No search for commands: the name is a path, as in Exim. */
	*number_r = arguments[0][0] == '/' ? spawn(arguments, theirs, &child->pid) : ENOENT;
	if (*number_r)
		return EXPAND_OK;
	child->pid_fd = (int)syscall(SYS_pidfd_open, child->pid, 0U);
	if (child->pid_fd >= 0)
		return EXPAND_OK;
	bool late = true;
	reap(child, 0, &late);
	return lookup_defer(error, "run: watching %s: %s", arguments[0], strerror(errno));
}

enum expand_result lookup_run(struct lookup_world *world, const struct expand_request *request, struct arena *arena,
			      struct expand_answer *answer_r, struct error *error)
{
	if (!world->settings.commands)
		return lookup_fail(error, "run: commands are not allowed here");
	char **arguments = make_arguments(request, arena, error);
	if (!arguments)
		return EXPAND_FAIL;
	struct child child = { .pid_fd = -1, .output = -1 };
	int number = 0;
	enum expand_result result = start(&child, arguments, error, &number);
	if (result == EXPAND_OK && number) {
		answer_r->number = NOT_STARTED;
	} else if (result == EXPAND_OK) {
		struct buf out;
		buf_init(&out, LOOKUP_RUN_OUTPUT);
		bool late = collect(&child, &out, request->deadline) < 0;
		answer_r->number = reap(&child, request->deadline, &late);
		answer_r->found = answer_r->number == 0;
		answer_r->text = arena_copy(arena, buf_slice(&out));
		buf_free(&out);
		if (late)
			result = lookup_defer(error, "run: command timed out: %s took too long and was killed", arguments[0]);
		else if (answer_r->number < 0)
			result = lookup_fail(error, "run: command killed by signal %d: %s", (int)-answer_r->number, arguments[0]);
	}
	io_close(&child.pid_fd);
	io_close(&child.output);
	return result;
}

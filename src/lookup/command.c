/* SPDX-License-Identifier: ISC */
#include "lookup/command.h"

#include "base/cleanup.h"
#include "base/fatal.h"
#include "base/slice.h"
#include "task/task.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FIRST_FREE = 3, ENVIRONMENT_NAME_MAX = 255, NOT_STARTED = 127 };

/* ---- In the new process: nothing but system calls, for other threads may have held locks when it was made ---- */

static void set_limits(bool own_user)
{
	/* Data and not address space: programs with garbage collectors reserve far more of that than they use. */
	static const struct {
		int resource;
		rlim_t most;
		bool of_user; /* counts all processes of the user: only where the user has no others */
	} limits[] = {
		{ RLIMIT_CORE, 0, false }, { RLIMIT_CPU, 60, false }, { RLIMIT_DATA, 1ul << 30, false },
		{ RLIMIT_FSIZE, 1ul << 30, false }, { RLIMIT_NOFILE, 1024, false }, { RLIMIT_NPROC, 512, true },
	};
	for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
		struct rlimit limit;
		if ((limits[i].of_user && !own_user) || getrlimit((__rlimit_resource_t)limits[i].resource, &limit) < 0)
			continue;
		if (limit.rlim_max > limits[i].most)
			limit.rlim_max = limits[i].most;
		if (limit.rlim_cur > limit.rlim_max)
			limit.rlim_cur = limit.rlim_max;
		setrlimit((__rlimit_resource_t)limits[i].resource, &limit);
	}
}

/* The three standard descriptors, and `report`, which closes by itself; *report may get another number. */
static bool set_descriptors(int output, int *report)
{
	output = fcntl(output, F_DUPFD_CLOEXEC, FIRST_FREE);
	*report = fcntl(*report, F_DUPFD_CLOEXEC, FIRST_FREE);
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (output < 0 || *report < 0 || null < 0 || (null != STDIN_FILENO && dup2(null, STDIN_FILENO) < 0) ||
	    dup2(output, STDOUT_FILENO) < 0 || dup2(output, STDERR_FILENO) < 0)
		return false;
	fcntl(STDIN_FILENO, F_SETFD, 0);
	return close_range(FIRST_FREE, ~0u, CLOSE_RANGE_CLOEXEC) == 0;
}

_Noreturn static void become(char *const *arguments, const struct lookup_command_settings *settings, pid_t parent, int output, int report)
{
	sigset_t none;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(NOT_STARTED);
	setsid();
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (set_descriptors(output, &report) && (!settings->server || chdir("/") == 0)) {
		if (settings->server)
			set_limits(settings->own_user);
		execve(arguments[0], arguments, settings->environment);
	}
	int number = errno;
	if (write(report, &number, sizeof number) < 0)
		_exit(NOT_STARTED);
	_exit(NOT_STARTED);
}

/* ---- In ours ---- */

static void kill_group(const struct command *command)
{
	kill(-command->pid, SIGKILL);
	kill(command->pid, SIGKILL); /* it may not have made its group yet */
}

/* True: it has ended, and is no more. */
static bool has_ended(const struct command *command, int64_t *status_r)
{
	siginfo_t info = { 0 };
	if (waitid(P_PID, (id_t)command->pid, &info, WEXITED | WNOHANG) < 0) {
		*status_r = NOT_STARTED; /* somebody else took it: SIGCHLD is ignored in this process */
		return true;
	}
	*status_r = info.si_code == CLD_EXITED ? info.si_status : -(int64_t)info.si_status;
	return info.si_pid != 0;
}

/* One that was killed but is still busy in the kernel: waited for, by nobody who is in a hurry. */
static void reaper_task(void *arg)
{
	struct command *command = arg;
	int64_t status;
	while (!has_ended(command, &status))
		io_wait(command->pid_fd, IO_READ, CLOCK_NEVER);
	io_close(&command->pid_fd);
	free(command);
}

int64_t command_end(struct command *command, int64_t deadline, bool *killed)
{
	int64_t status;
	io_close(&command->output);
	if (*killed)
		kill_group(command); /* before it is waited for: its number is its group's until then */
	while (!has_ended(command, &status)) {
		if (io_wait(command->pid_fd, IO_READ, *killed ? clock_after(CLOCK_SECOND) : deadline) == 0)
			continue;
		if (*killed) {
			struct command *rest = xcalloc(1, sizeof *rest);
			*rest = *command;
			command->pid_fd = -1;
			task_spawn(loop_current(), reaper_task, rest, "reaper");
			return -SIGKILL;
		}
		*killed = true;
		kill_group(command);
	}
	io_close(&command->pid_fd);
	return status;
}

/* What came of the start: 0 (the other end was closed by itself), or an errno. */
static int read_report(int report, int64_t deadline)
{
	int number = 0;
	for (;;) {
		ssize_t n = read(report, &number, sizeof number);
		if (n == 0)
			return 0;
		if (n == (ssize_t)sizeof number)
			return number;
		if (n >= 0 || (errno != EAGAIN && errno != EINTR))
			return EIO;
		if (errno == EAGAIN && io_wait(report, IO_READ, deadline) < 0)
			return ETIMEDOUT;
	}
}

static int fail(struct error *error, const char *path, const char *what)
{
	error_set(error, ERROR_TEMPORARY, "run: %s: %s: %s", path, what, strerror(errno));
	return -1;
}

int command_start(struct command *command, char *const *arguments, const struct lookup_command_settings *settings, int64_t deadline,
		  struct error *error)
{
	int output[2] = { -1, -1 }, report[2] = { -1, -1 };
	pid_t parent = getpid();
	bool piped = pipe2(output, O_CLOEXEC) == 0 && pipe2(report, O_CLOEXEC) == 0;
	_cleanup_fd_ int their_output = output[1], their_report = report[1], our_output = output[0];
	*command = (struct command){ .pid = -1, .pid_fd = -1, .output = -1 };
	if (!piped) {
		fd_close(&report[0]);
		return fail(error, arguments[0], "making a pipe");
	}
	fcntl(our_output, F_SETFL, O_NONBLOCK);
	fcntl(report[0], F_SETFL, O_NONBLOCK);
	command->pid = fork();
	if (command->pid == 0)
		become(arguments, settings, parent, their_output, their_report);
	if (command->pid > 0)
		command->pid_fd = (int)syscall(SYS_pidfd_open, command->pid, 0U);
	if (command->pid_fd < 0) {
		fail(error, arguments[0], command->pid < 0 ? "making a process" : "watching the process");
		if (command->pid > 0) {
			kill_group(command);
			waitpid(command->pid, NULL, 0);
		}
		fd_close(&report[0]);
		return -1;
	}
	fd_close(&their_report);
	int number = read_report(report[0], deadline);
	io_close(&report[0]);
	command->output = fd_take(&our_output);
	if (number) {
		bool killed = true;
		command_end(command, deadline, &killed);
	}
	if (number == ETIMEDOUT) {
		errno = number;
		return fail(error, arguments[0], "starting it");
	}
	return number;
}

char *const *lookup_command_environment(struct arena *arena)
{
	size_t count = 0, kept = 0;
	bool has_path = false;
	while (environ && environ[count])
		count++;
	char **entries = arena_array(arena, count + 2, sizeof *entries);
	for (size_t i = 0; i < count; i++) {
		struct slice entry = slice_of(environ[i]);
		size_t name = slice_find(entry, '=');
		if (name == 0 || name == entry.len || name > ENVIRONMENT_NAME_MAX)
			continue;
		has_path = has_path || slice_starts(entry, SLICE("PATH="));
		entries[kept++] = arena_cstr(arena, entry);
	}
	if (!has_path)
		entries[kept] = arena_cstr(arena, SLICE("PATH=/usr/local/bin:/usr/bin:/bin"));
	return entries;
}

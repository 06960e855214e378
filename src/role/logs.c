/* SPDX-License-Identifier: ISC */
/* Log files and the system's logger, opened by the master for all roles. */
#include "role/master.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int open_log(struct slice pattern, const char *kind, struct error *error)
{
	char path[1024];
	size_t at = slice_find(pattern, '%');
	int n = snprintf(path, sizeof path, "%.*s%s%.*s", SLICE_ARG(slice_first(pattern, at)), kind,
			 SLICE_ARG(slice_from(pattern, at + 2)));
	if (n < 0 || (size_t)n >= sizeof path) {
		error_set(error, ERROR_USAGE, "log_file_path is too long");
		return -1;
	}
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (fd < 0 && errno == ENOENT) {
		char *slash = strrchr(path, '/');
		*slash = '\0';
		if (mkdir(path, 0750) < 0 && errno != EEXIST) {
			error_set_errno(error, errno, "making the log directory %s", path);
			return -1;
		}
		*slash = '/';
		fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	}
	if (fd < 0)
		error_set_errno(error, errno, "opening the log file %s", path);
	return fd;
}

/* `patient`: one that is not there now is looked for when the first line is lost (logs_find_logger). */
static int open_syslog(bool patient, struct error *error)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "/dev/log" };
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || (connect(fd, (struct sockaddr *)&address, sizeof address) < 0 && !patient)) {
		error_set_errno(error, errno, "connecting to the system's logger at /dev/log");
		return -1;
	}
	return fd_take(&fd);
}

static bool open_files(struct slice pattern, struct log_targets *targets, struct error *error)
{
	static const char *const kinds[LOG_KINDS] = { "main", "reject", "panic" };
	for (int kind = 0; kind < LOG_KINDS; kind++) {
		fd_close(&targets->file[kind]);
		targets->file[kind] = open_log(pattern, kinds[kind], error);
		if (targets->file[kind] < 0)
			return false;
	}
	return true;
}

static void close_targets(struct log_targets *targets)
{
	struct log closing = { .to = *targets };
	struct log_targets none = log_no_targets();
	log_replace(&closing, &none);
	*targets = none;
}

bool logs_open(const struct conf *conf, const struct master_options *options, bool patient, struct log_targets *targets, struct error *error)
{
	*targets = log_no_targets();
	targets->facility = (unsigned)conf->main.syslog_facility_code;
	for (size_t i = 0; i < conf->main.log_file_path.count; i++) {
		struct slice item = conf->main.log_file_path.items[i];
		bool done = true;
		if (!slice_equal(item, SLICE("syslog")))
			done = open_files(item, targets, error);
		else if (targets->syslog < 0)
			done = (targets->syslog = open_syslog(patient, error)) >= 0;
		if (!done) {
			close_targets(targets);
			return false;
		}
	}
	if (options->verbose) {
		targets->terminal = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
		const char *no_colour = getenv("NO_COLOR"); /* the convention of no-color.org */
		targets->colour = isatty(STDERR_FILENO) && !(no_colour && *no_colour);
	}
	return true;
}

void logs_send(struct master *master, struct ipc_peer *peer)
{
	const struct log_targets *to = &master->log.to;
	const int all[] = { to->file[0], to->file[1], to->file[2], to->syslog, to->terminal };
	struct ipc_logs message = { .facility = to->facility, .colour = to->colour };
	int fds[IPC_FDS_MAX];
	unsigned count = 0;
	for (unsigned i = 0; i < sizeof all / sizeof all[0]; i++) {
		if (all[i] < 0)
			continue;
		message.present |= 1u << i;
		fds[count++] = all[i];
	}
	ipc_send(peer, logs, LOGS, 0, &message, fds, count);
}

/* A logger that is started again makes a socket of its own, on which nobody knows of us; one that stays away is looked for again. */
static void find_logger(void *arg)
{
	struct master *master = arg;
	struct error error;
	int fd = -1;
	while (fd < 0 && master->log.to.syslog >= 0 && task_sleep_until(clock_after(CLOCK_SECOND)) == 0)
		fd = open_syslog(false, &error);
	master->finding_logger = false;
	if (fd < 0)
		return;
	if (master->log.to.syslog < 0) { /* a reload has other logs */
		close(fd);
		return;
	}
	log_replace_logger(&master->log, fd);
	for (size_t i = 0; i < master->child_count; i++)
		if (master->children[i]->peer)
			logs_send(master, master->children[i]->peer);
}

void logs_find_logger(struct master *master)
{
	if (master->finding_logger)
		return;
	master->finding_logger = true;
	task_spawn(master->loop, find_logger, master, "find the logger");
}

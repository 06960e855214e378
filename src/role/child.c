/* SPDX-License-Identifier: ISC */
/* One role process: started by executing this program anew, given its material, watched, and started again when it dies. */
#include "role/master.h"

#include "base/cleanup.h"
#include "base/crc32c.h"
#include "base/fatal.h"
#include "dns/dns.h"
#include "role/process.h"
#include "task/offload.h"
#include "users/failures.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NAME_SIZE = 64, QUICK_DEATH_SECONDS = 5, BACK_OFF_STEPS = 7 };

static void child_name(const struct child *child, char *out, size_t size)
{
	if (child->kind == ROLE_FRONT)
		snprintf(out, size, "front %u", child->index);
	else if (child->kind == ROLE_STORE)
		snprintf(out, size, "store %u", (unsigned)child->uid);
	else
		snprintf(out, size, "%s", role_name(child->kind));
}

struct child *child_find(struct master *master, enum role kind, unsigned index)
{
	for (size_t i = 0; i < master->child_count; i++)
		if (master->children[i]->kind == kind && master->children[i]->index == index && !master->children[i]->retired)
			return master->children[i];
	return NULL;
}

static struct child *find_store(struct master *master, uid_t uid, gid_t gid)
{
	for (size_t i = 0; i < master->child_count; i++) {
		struct child *child = master->children[i];
		if (child->kind == ROLE_STORE && child->uid == uid && child->gid == gid && !child->ended)
			return child;
	}
	return NULL;
}

static size_t count_running(const struct master *master, enum role kind)
{
	size_t count = 0;
	for (size_t i = 0; i < master->child_count; i++)
		count += master->children[i]->kind == kind;
	return count;
}

/* ---- Connections between roles ---- */

/* False: there is no descriptor for it. A role that is lost is none the worse: its successor is connected anew. */
static bool send_connect(struct child *child, int fd, const struct child *other)
{
	struct ipc_connect message = { .role = other->kind, .index = other->index, .uid = other->uid };
	errno = 0;
	return ipc_send(child->peer, connect, CONNECT, 0, &message, &fd, 1) || (errno != EMFILE && errno != ENFILE);
}

/* Connects them if both are ready, unless *error is set already; sets it when the system gives no descriptors. `b` may be NULL. */
static void connect_pair(struct child *a, struct child *b, struct error *error)
{
	int ends[2];
	if (error->kind != ERROR_NONE || !b || !a->ready || !b->ready)
		return;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0) {
		error_set_errno(error, errno, "connecting it to the %s", role_name(b->kind));
		return;
	}
	/* Room for a few messages of the largest size; as root also beyond the system's limit. */
	for (int i = 0; i < 2; i++) {
		int size = 4 * IPC_MESSAGE_MAX;
		if (setsockopt(ends[i], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0)
			setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	}
	if (!send_connect(a, ends[0], b) || !send_connect(b, ends[1], a))
		error_set_errno(error, errno, "connecting it to the %s", role_name(b->kind));
	close(ends[0]);
	close(ends[1]);
}

/* Who talks to whom: fronts to the keeper, the queue, the fetch role, and those who answer questions; the queue to the stores, and to those, too. */
static void connect_all(struct child *child, struct error *error)
{
	struct master *master = child->master;
	for (unsigned i = 0; i < master->fronts; i++)
		if (child->kind == ROLE_KEEPER || child->kind == ROLE_QUEUE || child->kind == ROLE_LOOKUP || child->kind == ROLE_RUN ||
		    child->kind == ROLE_PAM || child->kind == ROLE_FETCH)
			connect_pair(child, child_find(master, ROLE_FRONT, i), error);
	if (child->kind == ROLE_FRONT) {
		connect_pair(child, child_find(master, ROLE_KEEPER, 0), error);
		connect_pair(child, child_find(master, ROLE_QUEUE, 0), error);
		connect_pair(child, child_find(master, ROLE_FETCH, 0), error);
	}
	if (child->kind == ROLE_FETCH)
		connect_pair(child, child_find(master, ROLE_LOOKUP, 0), error);
	if (child->kind == ROLE_FRONT || child->kind == ROLE_QUEUE) {
		connect_pair(child, child_find(master, ROLE_LOOKUP, 0), error);
		connect_pair(child, child_find(master, ROLE_RUN, 0), error);
		connect_pair(child, child_find(master, ROLE_PAM, 0), error);
	}
	if (child->kind == ROLE_STORE || child->kind == ROLE_LOOKUP || child->kind == ROLE_RUN || child->kind == ROLE_PAM)
		connect_pair(child, child_find(master, ROLE_QUEUE, 0), error);
	if (child->kind == ROLE_LOOKUP)
		connect_pair(child, child_find(master, ROLE_FETCH, 0), error);
}

/* ---- Material ---- */

static void send_front_material(struct child *child)
{
	struct master *master = child->master;
	struct ipc_counters counters = { .index = child->index };
	struct ipc_tickets tickets = { .keys = slice_make(&master->tickets, sizeof master->tickets) };
	ipc_send(child->peer, counters, COUNTERS, 0, &counters, &master->counters_fd, 1);
	ipc_send(child->peer, tickets, TICKETS, 0, &tickets, NULL, 0);
	tls_store_send_files(master->tls, child->peer);
	for (size_t i = 0; i < master->listening_count; i++) {
		struct net_text text = net_address_text(&master->listening[i].address);
		struct ipc_listener message = { .address = slice_of(text.text), .port = master->listening[i].address.port };
		ipc_send(child->peer, listener, LISTENER, 0, &message, &master->listening[i].fds[child->index], 1);
	}
}

static void send_mailboxes(struct child *child, const char *path, int fd)
{
	struct ipc_mailboxes message = { .path = slice_of(path) };
	if (fd >= 0)
		ipc_send(child->peer, mailboxes, MAILBOXES, 0, &message, &fd, 1);
}

/* A store gets the directories of the transports that run as its user and group, and the user's home where a transport needs it. */
static void send_store_material(struct child *child)
{
	struct master *master = child->master;
	bool wants_home = false;
	for (size_t i = 0; i < master->conf->transport_count; i++) {
		const struct transport *transport = &master->conf->transports[i];
		char path[1024];
		struct error error = { 0 };
		wants_home = wants_home || expand_uses(transport->directory, EXPAND_HOME);
		if ((transport->has_user && transport->uid != child->uid) || (transport->has_group && transport->gid != child->gid))
			continue;
		_cleanup_fd_ int fd = identity_open_mailboxes(transport, path, sizeof path, &error);
		if (fd < 0 && *path)
			log_line(&master->log, LOG_KIND_PANIC, "transport %.*s: %s", SLICE_ARG(transport->name), error.text);
		send_mailboxes(child, path, fd);
	}
	if (wants_home && *child->home) {
		_cleanup_fd_ int fd = open(child->home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		send_mailboxes(child, child->home, fd);
	}
}

/* The directory for limits, the system's files as they are now, and the directories of the configuration's files. What is not there, a lookup will report. */
static void send_lookup_material(struct child *child)
{
	const struct conf *conf = child->master->conf;
	struct ipc_failures failures = { .size = failures_size() };
	struct ipc_state state = { .path = SLICE("limits") };
	char name[4096];
	ipc_send(child->peer, failures, FAILURES, 0, &failures, &child->master->failures_fd, 1);
	ipc_send(child->peer, state, STATE, 0, &state, &child->master->limits_fd, 1);
	for (int file = 0; file < DNS_SYSTEM_FILES; file++) {
		_cleanup_fd_ int fd = open(dns_system_path((enum dns_system_file)file), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		struct ipc_system_file message = { .file = (uint64_t)file };
		if (fd >= 0)
			ipc_send(child->peer, system_file, SYSTEM_FILE, 0, &message, &fd, 1);
	}
	for (size_t i = 0; i < conf->lookup_directory_count; i++) {
		struct ipc_readable message = { .path = conf->lookup_directories[i] };
		if (!slice_to_cstr(message.path, name, sizeof name))
			continue;
		_cleanup_fd_ int fd = open(name, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0)
			ipc_send(child->peer, readable, READABLE, 0, &message, &fd, 1);
	}
}

void child_want_proof(struct child *fetch, struct slice path, int fd)
{
	struct ipc_proof_wanted message = { .path = path };
	ipc_send(fetch->peer, proof_wanted, PROOF_WANTED, 0, &message, &fd, 1);
}

static void send_fetch_material(struct child *child)
{
	struct master *master = child->master;
	struct ipc_state state = { .path = SLICE("ocsp") };
	ipc_send(child->peer, state, STATE, 0, &state, &master->state_fd, 1);
	tls_store_send_chains(master->tls, child);
}

void child_send_material(struct child *child)
{
	struct master *master = child->master;
	struct ipc_configure configure = { .generation = master->generation };
	struct ipc_apply apply = { .generation = master->generation };
	logs_send(master, child->peer);
	ipc_send(child->peer, configure, CONFIGURE, 0, &configure, &master->source_fd, 1);
	if (child->kind == ROLE_FRONT)
		send_front_material(child);
	if (child->kind == ROLE_KEEPER)
		tls_store_send_keys(master->tls, child->peer);
	if (child->kind == ROLE_STORE)
		send_store_material(child);
	if (child->kind == ROLE_LOOKUP)
		send_lookup_material(child);
	if (child->kind == ROLE_FETCH)
		send_fetch_material(child);
	if (child->kind == ROLE_QUEUE) {
		struct ipc_spool message = { .path = master->conf->main.spool_directory };
		ipc_send(child->peer, spool, SPOOL, 0, &message, &master->spool_fd, 1);
	}
	child->generation = master->generation;
	child->awaited = true;
	*child->problem = '\0';
	ipc_send(child->peer, apply, APPLY, 0, &apply, NULL, 0);
}

/* ---- What roles say ---- */

/* It has taken its material, and is connected now. Half connected it would be of no use: then it is not ready, and has a problem. */
static void begin(struct child *child)
{
	struct error error = { 0 };
	child->ready = true;
	connect_all(child, &error);
	if (error.kind == ERROR_NONE)
		return;
	child->ready = false;
	snprintf(child->problem, sizeof child->problem, "%s", error.text);
}

static void take_applied(struct child *child, struct slice body)
{
	struct master *master = child->master;
	struct ipc_applied message;
	if (!ipc_unpack_applied(body, &message) || message.generation != child->generation)
		return;
	child->awaited = false;
	snprintf(child->problem, sizeof child->problem, "%.*s", SLICE_ARG(message.problem));
	if (message.sandbox.len)
		snprintf(master->sandbox, sizeof master->sandbox, "%.*s", SLICE_ARG(message.sandbox));
	if (!child->ready && message.problem.len == 0)
		begin(child);
	if (!master->reloading)
		child_end_unable(child);
	wait_list_wake_all(&master->changed);
}

void child_end_unable(struct child *child)
{
	if (child->master->started && !child->master->stopping && !child->ready && *child->problem && child->pid > 0)
		kill(child->pid, SIGKILL);
}

/* What needs this store is deferred. A queue that is not there asks again when it is back. */
static void refuse_store(struct child *queue, uid_t uid, gid_t gid, const char *problem)
{
	struct ipc_store_refused message = { .uid = uid, .gid = gid, .problem = slice_of(problem) };
	if (queue && queue->peer)
		ipc_send(queue->peer, store_refused, STORE_REFUSED, 0, &message, NULL, 0);
}

static void take_store_wanted(struct child *queue, struct slice body)
{
	struct master *master = queue->master;
	struct ipc_store_wanted message;
	if (!ipc_unpack_store_wanted(body, &message) || message.uid > UINT32_MAX || message.gid > UINT32_MAX)
		return;
	uid_t uid = (uid_t)message.uid;
	gid_t gid = (gid_t)message.gid;
	struct child *store = find_store(master, uid, gid);
	struct error error = { 0 };
	if (store) {
		connect_pair(store, queue, &error); /* otherwise it is being started, and connected then */
		if (error.kind != ERROR_NONE)
			refuse_store(queue, uid, gid, error.text);
		return;
	}
	if (getuid() != 0 && uid != getuid())
		refuse_store(queue, uid, gid, "the server was not started as root, so it can deliver only as the user who started it");
	else if (getuid() == 0 && uid == 0)
		refuse_store(queue, uid, gid, "mail is not delivered as root");
	else if (count_running(master, ROLE_STORE) >= STORES_MAX)
		refuse_store(queue, uid, gid, "too many stores are running");
	else
		child_start(master, ROLE_STORE, gid, uid, gid);
}

void master_complain_once(struct master *master, struct slice text)
{
	enum { SIZE = sizeof master->complaints.sums / sizeof master->complaints.sums[0] };
	uint32_t sum = crc32c(0, text.data, text.len) | 1;
	if (master->complaints.generation != master->generation) {
		memset(&master->complaints, 0, sizeof master->complaints);
		master->complaints.generation = master->generation;
	}
	for (unsigned i = 0; i < SIZE; i++)
		if (master->complaints.sums[i] == sum)
			return;
	master->complaints.sums[master->complaints.next++ % SIZE] = sum;
	log_line(&master->log, LOG_KIND_PANIC, "%.*s", SLICE_ARG(text));
}

static void take_complaint(struct master *master, struct slice body)
{
	struct ipc_complaint message;
	if (ipc_unpack_complaint(body, &message))
		master_complain_once(master, message.text);
}

static void from_child(void *owner, struct ipc_peer *peer, struct ipc_incoming *incoming)
{
	struct child *child = owner;
	(void)peer;
	if (incoming->type == IPC_APPLIED_MESSAGE)
		take_applied(child, incoming->body);
	else if (incoming->type == IPC_STORE_WANTED_MESSAGE) /* also while the queue drains: what it has begun may need one */
		take_store_wanted(child, incoming->body);
	else if (incoming->type == IPC_COMPLAINT_MESSAGE)
		take_complaint(child->master, incoming->body);
	else if (incoming->type == IPC_LOGGER_LOST_MESSAGE)
		logs_find_logger(child->master);
	else if (incoming->type == IPC_TLS_FILE_WANTED_MESSAGE)
		tls_store_wanted(child->master->tls, child, incoming);
	else if (incoming->type == IPC_KEY_TAKEN_MESSAGE)
		tls_store_key_taken(child->master->tls, incoming->body);
}

static const struct ipc_handler child_handler = { from_child, NULL };

/* ---- Life ---- */

struct complaint {
	struct master *master;
	char name[NAME_SIZE];
	int fd;
};

/* What a role writes to standard error (a broken invariant, a sanitizer's report) goes to the panic log line by line. */
static void complaint_task(void *arg)
{
	struct complaint *complaint = arg;
	char text[4096];
	size_t len = 0;
	for (;;) {
		ssize_t n = read(complaint->fd, text + len, sizeof text - len);
		if (n < 0 && errno == EAGAIN) {
			if (io_wait(complaint->fd, IO_READ, CLOCK_NEVER) < 0)
				break;
			continue;
		}
		if (n <= 0)
			break;
		len += (size_t)n;
		struct slice rest = slice_make(text, len);
		while (slice_find(rest, '\n') < rest.len || rest.len == sizeof text) {
			struct slice line = slice_cut(&rest, '\n');
			log_line(&complaint->master->log, LOG_KIND_PANIC, "%s: %.*s", complaint->name, SLICE_ARG(line));
			if (!complaint->master->started)
				fprintf(stderr, "postern: %s: %.*s\n", complaint->name, SLICE_ARG(line));
		}
		memmove(text, rest.data, rest.len);
		len = rest.len;
	}
	io_close(&complaint->fd);
	free(complaint);
}

_Noreturn static void execute(const struct child *child, int control, int complaints)
{
	char title[NAME_SIZE + 16], name[NAME_SIZE], index[16], uid[16], gid[16];
	sigset_t none;
	child_name(child, name, sizeof name);
	snprintf(title, sizeof title, "postern: %s", name);
	snprintf(index, sizeof index, "%u", child->index);
	snprintf(uid, sizeof uid, "%u", (unsigned)child->uid);
	snprintf(gid, sizeof gid, "%u", (unsigned)child->gid);
	char *const args[] = { title, (char[]){ "role" }, (char *)(uintptr_t)role_name(child->kind), index, uid, gid, NULL };
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid(); /* a terminal's ^C is for the master, which then drains */
	if (complaints == ROLE_CONTROL_FD)
		complaints = dup(complaints);
	if (dup2(control, ROLE_CONTROL_FD) < 0 || dup2(complaints, STDERR_FILENO) < 0)
		_exit(127);
	if (control == ROLE_CONTROL_FD)
		fcntl(control, F_SETFD, 0);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
	}
	execv("/proc/self/exe", args);
	_exit(127);
}

static int no_room(struct error *error, const char *what)
{
	error_set_errno(error, errno, "%s", what);
	return -1;
}

/* Starts the process and gives it its material. Returns a descriptor of the process; -1 and *error when the system has no room. */
static int spawn(struct child *child, struct error *error)
{
	struct master *master = child->master;
	_cleanup_fd_ int control = -1, role_control = -1, complaints = -1, role_complaints = -1;
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
		return no_room(error, "socketpair");
	control = pair[0];
	role_control = pair[1];
	if (pipe2(pair, O_CLOEXEC | O_NONBLOCK) < 0)
		return no_room(error, "pipe");
	complaints = pair[0];
	role_complaints = pair[1];
	pid_t pid = fork();
	if (pid < 0)
		return no_room(error, "fork");
	if (pid == 0) {
		fcntl(role_complaints, F_SETFL, 0); /* a role's last words may block */
		execute(child, role_control, role_complaints);
	}
	int process = (int)syscall(SYS_pidfd_open, pid, 0);
	if (process < 0) {
		no_room(error, "pidfd_open");
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0); /* at once: it has not begun */
		return -1;
	}
	child->pid = pid;
	child->awaited = true;
	struct complaint *complaint = xcalloc(1, sizeof *complaint);
	*complaint = (struct complaint){ .master = master, .fd = fd_take(&complaints) };
	child_name(child, complaint->name, sizeof complaint->name);
	task_spawn(master->loop, complaint_task, complaint, "complaints");
	child->peer = ipc_open(master->loop, fd_take(&control), ROLE_MASTER, child->kind, &child_handler, child);
	child_send_material(child);
	return process;
}

/* A store ends when it has nothing to do, and who answers questions when a reload gives it other directories. */
static bool ended_well(const struct child *child, int status)
{
	bool may_end = child->kind == ROLE_STORE || child->kind == ROLE_LOOKUP || child->kind == ROLE_RUN || child->kind == ROLE_PAM;
	return may_end && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void log_death(struct child *child, int status)
{
	char name[NAME_SIZE];
	child_name(child, name, sizeof name);
	if (child->master->stopping || ended_well(child, status))
		return;
	if (!child->ready && *child->problem) /* child_end_unable, or it went by itself */
		log_line(&child->master->log, LOG_KIND_PANIC, "%s (pid %d) could not begin: %s", name, (int)child->pid, child->problem);
	else if (WIFSIGNALED(status))
		log_line(&child->master->log, LOG_KIND_PANIC, "%s (pid %d) was killed by signal %d (%s)%s", name, (int)child->pid,
			 WTERMSIG(status), strsignal(WTERMSIG(status)),
			 WTERMSIG(status) == SIGSYS ? ": it made a system call that its sandbox forbids" : "");
	else
		log_line(&child->master->log, LOG_KIND_PANIC, "%s (pid %d) ended with status %d", name, (int)child->pid,
			 WEXITSTATUS(status));
}

/* Waits for the end of the process, whose descriptor becomes readable then; closes it. */
static int wait_for_end(const struct child *child, int process)
{
	int status = 0;
	while (waitpid(child->pid, &status, WNOHANG) == 0)
		io_wait(process, IO_READ, CLOCK_NEVER);
	io_close(&process);
	return status;
}

static void forget(struct child *child)
{
	struct master *master = child->master;
	for (size_t i = 0; i < master->child_count; i++) {
		if (master->children[i] == child) {
			master->children[i] = master->children[--master->child_count];
			break;
		}
	}
	wait_list_wake_all(&master->changed);
	free(child);
}

/* A first death is answered at once; a role that dies again and again is started after 0.1, 0.2 ... 6.4 seconds. */
static void back_off(struct child *child, int64_t started)
{
	bool quick = clock_now() - started < QUICK_DEATH_SECONDS * CLOCK_SECOND;
	child->failures = quick ? child->failures + 1 : 0;
	if (child->failures <= 1)
		return;
	unsigned step = child->failures - 2 < BACK_OFF_STEPS ? child->failures - 2 : BACK_OFF_STEPS - 1;
	task_sleep_until(clock_after((100 * CLOCK_MS) << step));
}

static void tell_not_started(struct child *child, const char *problem)
{
	char name[NAME_SIZE];
	child_name(child, name, sizeof name);
	log_line(&child->master->log, LOG_KIND_PANIC, "%s could not be started: %s", name, problem);
	if (!child->master->started)
		fprintf(stderr, "postern: %s could not be started: %s\n", name, problem);
}

/* Its end is its answer to a reload that waits for one; which configuration the next gets is decided before that is started. */
static void refuse_by_death(struct child *child, pid_t pid)
{
	struct master *master = child->master;
	snprintf(child->problem, sizeof child->problem, "the %s process (pid %d) ended while it took the new configuration",
		 role_name(child->kind), (int)pid);
	wait_list_wake_all(&master->changed);
	while (master->reloading)
		wait_list_wait(&master->changed, CLOCK_NEVER);
	*child->problem = '\0';
}

/* One process, from its start to its end, and what it leaves. */
static void live(struct child *child)
{
	struct error error = { 0 };
	bool refused = false;
	child->ready = child->ended = false;
	int process = spawn(child, &error);
	if (process >= 0) {
		int status = wait_for_end(child, process);
		child->ended = true;
		log_death(child, status);
		refused = child->master->reloading && child->awaited && !child->retired && !ended_well(child, status);
	} else {
		child->ended = true;
		snprintf(child->problem, sizeof child->problem, "%s", error.text);
		tell_not_started(child, error.text);
	}
	if (child->kind == ROLE_STORE && !child->ready)
		refuse_store(child_find(child->master, ROLE_QUEUE, 0), child->uid, child->gid,
			     *child->problem ? child->problem : "the store process ended at its start");
	pid_t pid = child->pid;
	child->pid = 0;
	child->ready = false;
	*child->problem = '\0';
	ipc_close(child->peer);
	child->peer = NULL;
	child->awaited = false;
	if (refused)
		refuse_by_death(child, pid);
	wait_list_wake_all(&child->master->changed);
}

struct home_search {
	uid_t uid;
	char home[sizeof ((struct child *)0)->home];
};

static void search_home(void *arg)
{
	struct home_search *search = arg;
	struct passwd entry, *found = NULL;
	char buffer[4096];
	if (getpwuid_r(search->uid, &entry, buffer, sizeof buffer, &found) == 0 && found)
		snprintf(search->home, sizeof search->home, "%s", found->pw_dir);
}

/* The home is the user database's word, not the queue's. That database may be somewhere in the network: nothing else waits for it. */
static void find_home(struct child *store)
{
	struct home_search search = { .uid = store->uid };
	offload(search_home, &search);
	snprintf(store->home, sizeof store->home, "%s", search.home);
}

static void child_task(void *arg)
{
	struct child *child = arg;
	struct master *master = child->master;
	if (child->kind == ROLE_STORE)
		find_home(child);
	while (!child->retired) {
		int64_t started = clock_now();
		live(child);
		if (!master->started)
			master->failed = true;
		if (master->stopping || child->kind == ROLE_STORE || child->retired || !master->started)
			break;
		back_off(child, started);
		if (master->stopping)
			break;
	}
	forget(child);
}

struct child *child_start(struct master *master, enum role kind, unsigned index, uid_t uid, gid_t gid)
{
	ensure(master->child_count < CHILDREN_MAX);
	struct child *child = xcalloc(1, sizeof *child);
	*child = (struct child){ .master = master, .kind = kind, .index = index, .uid = uid, .gid = gid };
	child->awaited = kind != ROLE_STORE; /* for which there is something to find out first */
	master->children[master->child_count++] = child;
	child->task = task_spawn(master->loop, child_task, child, "child");
	return child;
}

static bool any_awaited(const struct master *master)
{
	for (size_t i = 0; i < master->child_count; i++)
		if (master->children[i]->awaited)
			return true;
	return false;
}

bool children_settle(struct master *master, int64_t deadline)
{
	while (any_awaited(master) && !master->failed && !master->ending)
		if (wait_list_wait(&master->changed, deadline) < 0)
			return false;
	return !master->failed && !master->ending;
}

bool children_drain(struct master *master, enum role kind, int64_t deadline)
{
	int64_t left = (deadline - clock_now()) / CLOCK_SECOND;
	struct ipc_drain message = { .seconds = (uint64_t)(left > 0 ? left : 0) };
	for (size_t i = 0; i < master->child_count; i++) {
		struct child *child = master->children[i];
		if (child->kind == kind && child->peer)
			ipc_send(child->peer, drain, DRAIN, 0, &message, NULL, 0);
		else if (child->kind == kind)
			child->retired = true; /* it has not begun */
	}
	/* Two seconds of grace beyond what the role itself knows of. */
	while (count_running(master, kind) && wait_list_wait(&master->changed, deadline + 2 * CLOCK_SECOND) >= 0)
		continue;
	if (count_running(master, kind) == 0)
		return true;
	for (size_t i = 0; i < master->child_count; i++)
		if (master->children[i]->kind == kind && master->children[i]->pid > 0)
			kill(master->children[i]->pid, SIGKILL);
	while (count_running(master, kind) && wait_list_wait(&master->changed, clock_after(5 * CLOCK_SECOND)) >= 0)
		continue;
	return false;
}

void children_kill(struct master *master)
{
	for (size_t i = 0; i < master->child_count; i++)
		if (master->children[i]->pid > 0)
			kill(master->children[i]->pid, SIGKILL);
}

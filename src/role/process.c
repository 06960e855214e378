/* SPDX-License-Identifier: ISC */
#include "role/process.h"

#include "base/cleanup.h"
#include "base/fatal.h"
#include "base/sanitize.h"
#include "conf/environment.h"
#include "mail/charset.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <openssl/ssl.h>

static const struct role_ops *const ops_of[ROLE_COUNT] = {
	[ROLE_KEEPER] = &keeper_ops, [ROLE_FRONT] = &front_ops, [ROLE_QUEUE] = &queue_ops, [ROLE_STORE] = &store_ops,
	[ROLE_LOOKUP] = &lookup_ops, [ROLE_FETCH] = &fetch_ops, [ROLE_RUN] = &run_ops,
	[ROLE_PAM] = &pam_ops,
};

/* ---- The conversation with the master ---- */

static void take_logs(struct role_process *role, struct ipc_incoming *incoming)
{
	struct ipc_logs logs;
	struct log_targets targets = log_no_targets();
	int *const slots[] = { &targets.file[0], &targets.file[1], &targets.file[2], &targets.syslog, &targets.terminal };
	unsigned next = 0;
	if (!ipc_unpack_logs(incoming->body, &logs))
		fatal("the master's message about logs is malformed");
	for (unsigned i = 0; i < sizeof slots / sizeof slots[0] && next < incoming->fd_count; i++)
		if (logs.present & 1u << i)
			*slots[i] = fd_take(&incoming->fds[next++]);
	targets.facility = (unsigned)logs.facility;
	targets.colour = logs.colour != 0;
	log_replace(&role->log, &targets);
}

/* log.logger_lost: the master is told, once a second at most. */
static void tell_logger_lost(void *owner, int error)
{
	struct role_process *role = owner;
	struct ipc_logger_lost message = { .error = (uint64_t)error };
	int64_t now = clock_now();
	if (!role->master || now < role->logger_told)
		return;
	role->logger_told = now + CLOCK_SECOND;
	ipc_send(role->master, logger_lost, LOGGER_LOST, 0, &message, NULL, 0);
}

static void take_configuration(struct role_process *role, struct ipc_incoming *incoming)
{
	struct error error;
	struct conf_problems problems;
	if (incoming->fd_count != 1)
		fatal("the master's message about the configuration has no descriptor");
	struct conf_source *source = conf_source_load(incoming->fds[0], &error);
	if (!source)
		fatal("%s", error.text);
	conf_problems_init(&problems);
	conf_unref(&role->next);
	role->next = conf_parse(source, &problems);
	/* The master has parsed the same bytes: a failure here is a defect, and a role without configuration is of no use. */
	if (!role->next)
		fatal("the configuration that the master accepted does not parse: %.*s",
		      SLICE_ARG(problems.count ? problems.items[0].text : (struct slice){ 0 }));
	conf_problems_free(&problems);
	conf_source_free(source);
}

static void enter_sandbox(struct role_process *role, char *description, size_t size)
{
	struct sandbox_path paths[ROLE_PATHS_MAX];
	struct error error;
	size_t count = role->ops->paths ? role->ops->paths(role, paths, ROLE_PATHS_MAX) : 0;
	if (!sandbox_enter(role->kind, paths, count, description, size, &error))
		fatal("%s: %s", role_name(role->kind), error.text);
	role->sandboxed = true;
}

/*
 * What the configuration's expansions find in this process. Converters of character sets can be opened before the sandbox only, and
 * the environment be changed while there is one thread: a reload keeps both, and other settings wait for the next start.
 */
static void prepare_expansions(struct role_process *role)
{
	const struct conf_main *main = &role->next->main;
	bool reads_headers = role->kind == ROLE_FRONT || role->kind == ROLE_QUEUE;
	if (!role->sandboxed) {
		environment_apply(main);
		if (reads_headers && !role->charsets)
			role->charsets = charset_open_all(main->headers_charset);
	}
	if (reads_headers && !slice_equal_nocase(main->headers_charset, charset_target(role->charsets)))
		log_line(&role->log, LOG_KIND_PANIC, "headers_charset %.*s is not in use: %s", SLICE_ARG(main->headers_charset),
			 role->charsets ? "it takes effect when the server is started again" : "this system cannot convert to it");
	role->next->language.charsets = role->charsets;
}

static void apply(struct role_process *role, struct ipc_incoming *incoming)
{
	struct ipc_apply apply;
	struct error error = { 0 };
	char sandbox[160] = "";
	if (!ipc_unpack_apply(incoming->body, &apply) || !role->next)
		fatal("the master's order to apply is malformed or has no configuration");
	prepare_expansions(role);
	bool done = role->ops->apply(role, &error);
	if (done) {
		conf_unref(&role->conf);
		role->conf = conf_ref(role->next);
	}
	conf_unref(&role->next);
	if (!role->sandboxed && done)
		enter_sandbox(role, sandbox, sizeof sandbox);
	struct ipc_applied answer = {
		.generation = apply.generation,
		.problem = done ? (struct slice){ 0 } : slice_of(error.text),
		.sandbox = slice_of(sandbox),
	};
	ipc_send(role->master, applied, APPLIED, 0, &answer, NULL, 0);
}

static void drain_task(void *arg)
{
	struct role_process *role = arg;
	if (role->ops->drain)
		role->ops->drain(role);
	ipc_flush(role->master, clock_after(CLOCK_SECOND));
	loop_stop(role->loop);
}

static void start_drain(struct role_process *role, struct ipc_incoming *incoming)
{
	struct ipc_drain drain;
	if (role->draining || !ipc_unpack_drain(incoming->body, &drain))
		return;
	role->draining = true;
	role->drain_deadline = clock_after((int64_t)(drain.seconds < 3600 ? drain.seconds : 3600) * CLOCK_SECOND);
	task_spawn(role->loop, drain_task, role, "drain");
}

static void from_master(void *owner, struct ipc_peer *peer, struct ipc_incoming *incoming)
{
	struct role_process *role = owner;
	struct ipc_connect connect;
	(void)peer;
	switch (incoming->type) {
	case IPC_LOGS_MESSAGE:
		take_logs(role, incoming);
		break;
	case IPC_CONFIGURE_MESSAGE:
		take_configuration(role, incoming);
		break;
	case IPC_APPLY_MESSAGE:
		apply(role, incoming);
		break;
	case IPC_CONNECT_MESSAGE:
		if (!role->sandboxed || incoming->fd_count != 1 || !ipc_unpack_connect(incoming->body, &connect) ||
		    connect.role >= ROLE_COUNT)
			fatal("the master's order to connect is malformed or too early");
		role->ops->connected(role, fd_take(&incoming->fds[0]), (enum role)connect.role, (unsigned)connect.index,
				     (uid_t)connect.uid);
		break;
	case IPC_DRAIN_MESSAGE:
		start_drain(role, incoming);
		break;
	default:
		role->ops->material(role, incoming);
	}
}

/* Without its master a role serves nobody: what it accepted is safe in the spool. */
static void master_lost(void *owner, struct ipc_peer *peer)
{
	(void)owner;
	(void)peer;
	_exit(0);
}

static const struct ipc_handler master_handler = { from_master, master_lost };

/* ---- The start of the process ---- */

/* `keep_groups`: those that the system's user database gives the user, if there is such a user. */
static void drop_to(uid_t uid, gid_t gid, bool keep_groups)
{
	if (getuid() != 0)
		return;
	const struct passwd *user = keep_groups ? getpwuid(uid) : NULL;
	if ((user ? initgroups(user->pw_name, gid) : setgroups(0, NULL)) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		fatal("cannot become uid %u: %s", (unsigned)uid, strerror(errno));
	if (uid != 0 && setuid(0) == 0)
		fatal("still able to become root");
}

/* Signals are the master's matter: a role ends when the master says so or is gone. */
static void ignore_signals(void)
{
	static const int ignored[] = { SIGPIPE, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2 };
	for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
		signal(ignored[i], SIG_IGN);
}

static void limit_core_files(void)
{
	struct rlimit none = { 0, 0 };
	setrlimit(RLIMIT_CORE, &none);
}

static enum role find_role(const char *name)
{
	for (int kind = ROLE_MASTER + 1; kind < ROLE_COUNT; kind++)
		if (strcmp(name, role_name((enum role)kind)) == 0)
			return (enum role)kind;
	fatal("no role is called %s", name);
}

int role_main(int argc, char **argv)
{
	uint64_t index, uid, gid;
	struct error error;
	if (argc != 6 || fcntl(ROLE_CONTROL_FD, F_GETFD) < 0 || !slice_parse_u64(slice_of(argv[3]), UINT32_MAX, &index) ||
	    !slice_parse_u64(slice_of(argv[4]), UINT32_MAX, &uid) || !slice_parse_u64(slice_of(argv[5]), UINT32_MAX, &gid)) {
		fprintf(stderr, "postern: roles are started by the master: use \"postern run\"\n");
		return 2;
	}
	struct role_process role = { .kind = find_role(argv[2]), .index = (unsigned)index };
	role.ops = ops_of[role.kind];
	close_range(ROLE_CONTROL_FD + 1, ~0u, 0);
	fcntl(ROLE_CONTROL_FD, F_SETFD, FD_CLOEXEC);
	ignore_signals();
	limit_core_files();
	tzset();
	drop_to((uid_t)uid, (gid_t)gid, role.kind == ROLE_PAM); /* what PAM's modules read is often a group's */
	log_init(&role.log, role_name(role.kind));
	role.log.logger_lost = tell_logger_lost;
	role.log.owner = &role;
	/* OpenSSL reads its configuration at its first use, which may come inside of the walls. */
	OPENSSL_init_ssl(OPENSSL_INIT_LOAD_CONFIG, NULL);
	role.loop = loop_new();
	role.state = xcalloc(1, role.ops->state_size);
	if (role.ops->start && !role.ops->start(&role, &error))
		fatal("%s: %s", role_name(role.kind), error.text);
	role.master = ipc_open(role.loop, ROLE_CONTROL_FD, role.kind, ROLE_MASTER, &master_handler, &role);
	loop_run(role.loop);
	process_end(0);
}

void process_end(int status)
{
#if SANITIZED
	__lsan_do_leak_check();
#endif
	_exit(status);
}

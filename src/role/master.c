/* SPDX-License-Identifier: ISC */
#include "role/master.h"

#include "base/cleanup.h"
#include "base/fatal.h"
#include "net/counters.h"
#include "users/failures.h"
#include "role/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a process that a reload ends or replaces has for what is under way. */
enum { RETIREMENT_SECONDS = 30 };
#define START_TIMEOUT (60 * CLOCK_SECOND)
#define STUCK_TIMEOUT (2 * CLOCK_SECOND)
/* Tickets are sealed with a key for six hours, and opened for two periods more (RFC 9325 §3.4 asks for less than a week). */
#define TICKET_PERIOD (6 * 3600 * CLOCK_SECOND)

/* Said where the administrator looks: on the terminal before all runs, in the panic log afterwards. */
static void complain(struct master *master, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void complain(struct master *master, const char *format, ...)
{
	char text[1024];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	if (!master->started && !master->options.verbose)
		fprintf(stderr, "postern: %s\n", text);
	log_line(&master->log, LOG_KIND_PANIC, "%s", text);
}

static void complain_of(struct master *master, const struct conf_problems *problems)
{
	for (size_t i = 0; i < problems->count; i++) {
		struct buf line;
		buf_init(&line, 4096);
		conf_problem_format(&problems->items[i], &line);
		if (problems->items[i].warning)
			log_line(&master->log, LOG_KIND_MAIN, "%.*s", SLICE_ARG(buf_slice(&line)));
		else
			complain(master, "%.*s", SLICE_ARG(buf_slice(&line)));
		buf_free(&line);
	}
}

/* ---- Configuration ---- */

/* Reads, parses and seals. NULL after the problems were told. */
static struct conf *read_configuration(struct master *master, int *source_fd_r)
{
	struct conf_problems problems;
	struct error error;
	struct conf *conf = NULL;
	conf_problems_init(&problems);
	struct conf_source *source = conf_source_read(master->options.file, master->options.macros, master->options.macro_count,
						      conf_system_local(), &problems);
	for (size_t i = 0; i < master->options.setting_count; i++)
		*conf_source_add_fact(source) = master->options.settings[i];
	if (source->file_count)
		conf = conf_parse(source, &problems);
	complain_of(master, &problems);
	*source_fd_r = conf ? conf_source_seal(source, &error) : -1;
	if (conf && *source_fd_r < 0) {
		complain(master, "%s", error.text);
		conf_unref(&conf);
	}
	conf_source_free(source);
	conf_problems_free(&problems);
	return conf;
}

/* ---- Start ---- */

static void raise_limits(void)
{
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

/*
 * One a core, less one, on which the keeper, the queue and the stores run. With two cores one front serves as many connections as
 * two would, for 15 % less CPU each: it is interrupted less (docs/internals.md).
 */
static unsigned count_fronts(const struct conf *conf)
{
	long count = conf->main.front_processes > 0 ? (long)conf->main.front_processes : sysconf(_SC_NPROCESSORS_ONLN) - 1;
	return count < 1 ? 1 : count > FRONTS_MAX ? FRONTS_MAX : (unsigned)count;
}

static void start_role(struct master *master, enum role kind, unsigned index)
{
	struct identity identity = identity_of(master->conf, kind);
	child_start(master, kind, index, identity.uid, identity.gid);
}

static bool prepare(struct master *master, struct error *error)
{
	struct log_targets targets;
	if (!logs_open(master->conf, &master->options, false, &targets, error))
		return false;
	log_replace(&master->log, &targets);
	master->fronts = count_fronts(master->conf);
	master->spool_fd = identity_open_spool(master->conf, error);
	if (master->spool_fd < 0 || !listen_open(master, master->conf, error))
		return false;
	master->state_fd = identity_open_state(master->conf, master->spool_fd, ROLE_FETCH, "ocsp", error);
	if (master->state_fd < 0)
		return false;
	master->limits_fd = identity_open_state(master->conf, master->spool_fd, ROLE_LOOKUP, "limits", error);
	if (master->limits_fd < 0)
		return false;
	master->counters_fd = counters_create(master->fronts, error);
	if (master->counters_fd < 0)
		return false;
	master->failures_fd = failures_create(error);
	if (master->failures_fd < 0)
		return false;
	if (!ticket_keys_rotate(&master->tickets))
		return error_set(error, ERROR_TEMPORARY, "the system gives no random numbers for session tickets");
	master->tls = tls_store_new(master, master->conf);
	tls_store_complain(master->tls); /* mail in clear comes in all the same */
	return true;
}

static bool report_problems(struct master *master)
{
	bool fine = true;
	for (size_t i = 0; i < master->child_count; i++) {
		struct child *child = master->children[i];
		if (!*child->problem)
			continue;
		complain(master, "%s: %s", role_name(child->kind), child->problem);
		fine = false;
	}
	return fine;
}

static void announce(struct master *master)
{
	char plain[2048], tls[2048];
	listen_describe(master->conf, false, plain, sizeof plain);
	listen_describe(master->conf, true, tls, sizeof tls);
	log_line(&master->log, LOG_KIND_MAIN, "Postern %s daemon started: pid=%d, %s%s%s%s%s", POSTERN_VERSION, (int)getpid(),
		 *plain || *tls ? "listening for" : "not listening", *plain ? " SMTP on " : "", plain, *tls ? (*plain ? " and for SMTPS on " : " SMTPS on ") : "", tls);
	log_line(&master->log, LOG_KIND_MAIN, "sandbox of the roles: %s", master->sandbox);
	if (getuid() == 0) {
		struct identity front = identity_of(master->conf, ROLE_FRONT), queue = identity_of(master->conf, ROLE_QUEUE),
				keeper = identity_of(master->conf, ROLE_KEEPER), lookup = identity_of(master->conf, ROLE_LOOKUP),
				fetch = identity_of(master->conf, ROLE_FETCH), run = identity_of(master->conf, ROLE_RUN),
				pam = identity_of(master->conf, ROLE_PAM);
		log_line(&master->log, LOG_KIND_MAIN, "users of the roles: front %u, queue %u, keeper %u, lookup %u, fetch %u, run %u, pam %u",
			 (unsigned)front.uid, (unsigned)queue.uid, (unsigned)keeper.uid, (unsigned)lookup.uid, (unsigned)fetch.uid,
			 (unsigned)run.uid, (unsigned)pam.uid);
	}
}

/* A role that the configuration may need or not. */
static void want_role(struct master *master, enum role kind, bool wanted)
{
	struct child *child = child_find(master, kind, 0);
	if (wanted && !child && master->child_count == CHILDREN_MAX) {
		complain(master, "the %s role cannot be started: too many processes are ending; reload again later", role_name(kind));
	} else if (wanted && !child) {
		start_role(master, kind, 0);
	} else if (!wanted && child) {
		struct ipc_drain message = { .seconds = RETIREMENT_SECONDS };
		child->retired = true;
		if (child->peer)
			ipc_send(child->peer, drain, DRAIN, 0, &message, NULL, 0);
	}
}

/* The run role is there while the configuration has commands, the pam role while it has an ${if pam}. */
static void want_programs(struct master *master)
{
	want_role(master, ROLE_RUN, master->conf->command_count != 0);
	want_role(master, ROLE_PAM, master->conf->uses_pam);
}

static bool only_queue_awaited(const struct master *master)
{
	for (size_t i = 0; i < master->child_count; i++)
		if (master->children[i]->awaited && master->children[i]->kind != ROLE_QUEUE)
			return false;
	return true;
}

/*
 * Before the queue takes part it reads all messages of the spool, which takes as long as the disk needs: it is waited for while it
 * lives. The others have START_TIMEOUT.
 */
static bool settle_start(struct master *master)
{
	int64_t began = clock_now();
	while (!children_settle(master, clock_after(START_TIMEOUT))) {
		if (master->failed || master->ending || !only_queue_awaited(master))
			return false;
		log_line(&master->log, LOG_KIND_MAIN, "starting: the queue still reads the spool after %lld seconds",
			 (long long)((clock_now() - began) / CLOCK_SECOND));
	}
	return true;
}

static bool start(struct master *master)
{
	struct error error;
	if (!prepare(master, &error)) {
		complain(master, "%s", error.text);
		return false;
	}
	/* The keeper first: whether the private key is of any use decides what the fronts offer. */
	start_role(master, ROLE_KEEPER, 0);
	if (!children_settle(master, clock_after(START_TIMEOUT))) {
		if (!master->ending)
			complain(master, "the keeper could not be started");
		return false;
	}
	start_role(master, ROLE_LOOKUP, 0);
	start_role(master, ROLE_FETCH, 0);
	want_programs(master);
	start_role(master, ROLE_QUEUE, 0);
	for (unsigned i = 0; i < master->fronts; i++)
		start_role(master, ROLE_FRONT, i);
	if (!settle_start(master) || !report_problems(master)) {
		if (master->ending)
			return false;
		if (!master->failed && master->child_count)
			complain(master, "the server could not be started");
		else
			complain(master, "a role ended while it was started");
		return false;
	}
	master->started = true;
	announce(master);
	if (master->options.ready_fd >= 0) {
		if (write(master->options.ready_fd, "1", 1) != 1)
			complain(master, "nobody waits for the start any more");
		close(master->options.ready_fd);
		master->options.ready_fd = -1;
	}
	return true;
}

/* ---- Reload ---- */

/* `except` may be NULL. */
static void send_to_all(struct master *master, const struct child *except)
{
	for (size_t i = 0; i < master->child_count; i++)
		if (master->children[i] != except && master->children[i]->peer)
			child_send_material(master->children[i]);
}

/* What cannot change while the server runs, because descriptors and walls were made from it. */
static bool same_foundation(struct master *master, const struct conf *conf, struct error *error)
{
	if (!slice_equal(conf->main.spool_directory, master->conf->main.spool_directory))
		return error_set(error, ERROR_USAGE, "spool_directory was changed: that needs a restart");
	if (count_fronts(conf) != master->fronts)
		return error_set(error, ERROR_USAGE, "front_processes was changed: that needs a restart");
	return true;
}

/* Whether all roles have taken the configuration. False with *error: one has refused it, or has not answered in time. */
static bool all_have_taken(const struct master *master, struct error *error)
{
	if (master->ending) /* and did not wait for all */
		return error_set(error, ERROR_TEMPORARY, "the server was told to end");
	for (size_t i = 0; i < master->child_count; i++)
		if (*master->children[i]->problem)
			return error_set(error, ERROR_USAGE, "%s", master->children[i]->problem);
	for (size_t i = 0; i < master->child_count; i++)
		if (master->children[i]->awaited)
			return error_set(error, ERROR_TEMPORARY, "the %s process (pid %d) did not answer in reload_timeout",
					 role_name(master->children[i]->kind), (int)master->children[i]->pid);
	return true;
}

/*
 * Puts the old configuration back after a role refused the new one, or did not answer: that one takes both, in their order, once it can.
 * All roles have the same configuration so, also those that are started later.
 */
static void roll_back(struct master *master, struct conf *old, int old_fd, struct tls_store *old_tls, bool stuck)
{
	conf_unref(&master->conf);
	fd_close(&master->source_fd);
	master->conf = old;
	master->source_fd = old_fd;
	tls_store_free(master->tls);
	master->tls = old_tls;
	master->generation++;
	send_to_all(master, NULL);
	/* The others have changed back long before, so that what the log says now is true. */
	children_settle(master, clock_after(stuck ? STUCK_TIMEOUT : START_TIMEOUT));
}

static bool same_texts(const struct slice *a, size_t a_count, const struct slice *b, size_t b_count)
{
	bool same = a_count == b_count;
	for (size_t i = 0; same && i < a_count; i++)
		same = slice_equal(a[i], b[i]);
	return same;
}

static bool same_directories(const struct conf *a, const struct conf *b)
{
	return same_texts(a->lookup_directories, a->lookup_directory_count, b->lookup_directories, b->lookup_directory_count);
}

/* Whether mail is where it was: roles that run programs are kept away from there. */
static bool same_mail(const struct conf *a, const struct conf *b)
{
	bool same = a->transport_count == b->transport_count;
	for (size_t i = 0; same && i < a->transport_count; i++)
		same = slice_equal(expand_constant_prefix(a->transports[i].directory), expand_constant_prefix(b->transports[i].directory));
	return same;
}

/* Whether the run role can go on as it is. */
static bool same_commands(const struct conf *a, const struct conf *b)
{
	return same_mail(a, b) &&
	       same_texts(a->command_directories, a->command_directory_count, b->command_directories, b->command_directory_count) &&
	       same_texts(a->main.keep_environment.items, a->main.keep_environment.count, b->main.keep_environment.items,
			  b->main.keep_environment.count) &&
	       same_texts(a->main.add_environment.items, a->main.add_environment.count, b->main.add_environment.items,
			  b->main.add_environment.count);
}

/*
 * Stores are walled in the directories of the old configuration: they end, and are started anew when needed. So do those who answer
 * questions, when their directories are others now.
 */
static void replace_walled(struct master *master, const struct conf *old)
{
	struct ipc_drain message = { .seconds = RETIREMENT_SECONDS };
	bool ends[ROLE_COUNT] = {
		[ROLE_STORE] = true, [ROLE_LOOKUP] = !same_directories(old, master->conf), [ROLE_RUN] = !same_commands(old, master->conf),
		[ROLE_PAM] = !same_mail(old, master->conf) || !slice_equal(old->main.pam_service, master->conf->main.pam_service),
	};
	for (size_t i = 0; i < master->child_count; i++) {
		struct child *child = master->children[i];
		if (child->peer && ends[child->kind])
			ipc_send(child->peer, drain, DRAIN, 0, &message, NULL, 0);
	}
}

static bool take_over(struct master *master, struct conf *conf, int source_fd, struct error *error)
{
	struct tls_store *tls = NULL;
	if (!same_foundation(master, conf, error) || tls_store_problem(tls = tls_store_new(master, conf), error) ||
	    !tls_store_guard(tls, master->tls, error) ||
	    !listen_open(master, conf, error)) {
		tls_store_free(tls);
		return false;
	}
	struct conf *old = master->conf;
	int old_fd = master->source_fd;
	struct tls_store *old_tls = master->tls;
	master->conf = conf_ref(conf);
	master->source_fd = fcntl(source_fd, F_DUPFD_CLOEXEC, 3);
	master->tls = tls;
	master->generation++;
	/* The keeper first: it refuses a key that does not fit, and holds the old keys until the fronts have changed over. */
	struct child *keeper = child_find(master, ROLE_KEEPER, 0);
	if (keeper && keeper->peer)
		child_send_material(keeper);
	bool settled = children_settle(master, clock_after(old->main.reload_timeout));
	if (settled && keeper && !*keeper->problem) {
		send_to_all(master, keeper);
		settled = children_settle(master, clock_after(old->main.reload_timeout));
	}
	if (!all_have_taken(master, error)) {
		roll_back(master, old, old_fd, old_tls, !settled);
		listen_keep(master, master->conf);
		return false;
	}
	listen_keep(master, conf);
	replace_walled(master, old);
	tls_store_complain(tls);
	tls_store_free(old_tls);
	want_programs(master);
	conf_unref(&old);
	fd_close(&old_fd);
	return true;
}

/* The logs are opened anew whether or not the configuration is good: log rotation must work in any case. */
static void reload(struct master *master)
{
	struct log_targets targets;
	struct error error = { 0 };
	_cleanup_fd_ int source_fd = -1;
	struct conf *conf = read_configuration(master, &source_fd);
	if (logs_open(conf ? conf : master->conf, &master->options, true, &targets, &error))
		log_replace(&master->log, &targets);
	else
		complain(master, "%s; the old log stays open", error.text);
	for (size_t i = 0; i < master->child_count; i++)
		if (master->children[i]->peer)
			logs_send(master, master->children[i]->peer);
	if (!conf) {
		complain(master, "reload refused: the configuration has errors; the old one stays in use");
		return;
	}
	master->reloading = true;
	bool taken = take_over(master, conf, source_fd, &error);
	master->reloading = false;
	wait_list_wake_all(&master->changed);
	for (size_t i = 0; i < master->child_count; i++)
		child_end_unable(master->children[i]);
	if (taken)
		log_line(&master->log, LOG_KIND_MAIN, "configuration reloaded from %s", master->options.file);
	else
		complain(master, "reload refused: %s; the old configuration stays in use", error.text);
	conf_unref(&conf);
}

/* ---- Life ---- */

static void ticket_task(void *arg)
{
	struct master *master = arg;
	while (task_sleep_until(clock_after(TICKET_PERIOD)) == 0) {
		struct ipc_tickets message = { .keys = slice_make(&master->tickets, sizeof master->tickets) };
		if (!ticket_keys_rotate(&master->tickets))
			continue;
		for (size_t i = 0; i < master->child_count; i++)
			if (master->children[i]->kind == ROLE_FRONT && master->children[i]->peer)
				ipc_send(master->children[i]->peer, tickets, TICKETS, 0, &message, NULL, 0);
	}
}

/* From the outside in: no new mail, then what is under way, then the keys. */
static bool drain(struct master *master)
{
	static const enum role order[] = { ROLE_FRONT, ROLE_QUEUE, ROLE_STORE, ROLE_FETCH, ROLE_LOOKUP, ROLE_RUN, ROLE_PAM, ROLE_KEEPER };
	int64_t timeout = master->conf->main.shutdown_timeout;
	bool clean = true;
	log_line(&master->log, LOG_KIND_MAIN, "shutting down: sessions and deliveries have %lld seconds to end",
		 (long long)(timeout / CLOCK_SECOND));
	master->stopping = true;
	listen_keep(master, NULL); /* with the fronts' own: who connects now is refused, and tries elsewhere or later */
	for (size_t i = 0; i < sizeof order / sizeof order[0]; i++)
		clean = children_drain(master, order[i], clock_after(timeout)) && clean;
	log_line(&master->log, LOG_KIND_MAIN, "daemon ended: pid=%d", (int)getpid());
	return clean;
}

static int open_signals(void)
{
	sigset_t signals;
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
}

/* Signals are taken at any time, also while the master waits for roles: at the start, in a reload, at the end. */
static void signal_task(void *arg)
{
	struct master *master = arg;
	struct signalfd_siginfo info;
	for (;;) {
		if (read(master->signals, &info, sizeof info) != (ssize_t)sizeof info) {
			if (io_wait(master->signals, IO_READ, CLOCK_NEVER) < 0)
				return;
			continue;
		}
		if (info.ssi_signo == SIGHUP)
			master->reload_wanted = true;
		else if (master->ending) /* the second means: now */
			children_kill(master);
		else
			master->ending = true;
		wait_list_wake_all(&master->changed);
	}
}

static void serve(struct master *master)
{
	while (!master->ending) {
		if (!master->reload_wanted) {
			wait_list_wait(&master->changed, CLOCK_NEVER);
			continue;
		}
		master->reload_wanted = false;
		reload(master);
	}
}

/* Nobody has been served yet. True when that was wanted. */
static bool give_up(struct master *master)
{
	master->stopping = true;
	if (master->ending)
		log_line(&master->log, LOG_KIND_MAIN, "told to end before the start was complete");
	children_kill(master);
	while (master->child_count && wait_list_wait(&master->changed, clock_after(5 * CLOCK_SECOND)) == 0)
		continue;
	return master->ending;
}

struct run {
	struct master *master;
	int status;
};

static void master_task(void *arg)
{
	struct run *run = arg;
	struct master *master = run->master;
	task_spawn(master->loop, signal_task, master, "signals");
	if (start(master)) {
		task_spawn(master->loop, ticket_task, master, "tickets");
		task_spawn(master->loop, tls_store_watch, master, "tls files");
		serve(master);
		run->status = drain(master) ? 0 : 1;
	} else {
		run->status = give_up(master) ? 0 : 1;
	}
	loop_stop(master->loop);
}

static void on_logger_lost(void *owner, int error)
{
	struct master *master = owner;
	(void)error;
	if (master->loop)
		logs_find_logger(master);
}

int master_run(const struct master_options *options)
{
	struct master *master = xcalloc(1, sizeof *master);
	struct run run = { .master = master };
	*master = (struct master){ .options = *options, .signals = open_signals(), .spool_fd = -1, .counters_fd = -1, .failures_fd = -1, .state_fd = -1,
				    .limits_fd = -1, .source_fd = -1 };
	log_init(&master->log, "master");
	master->log.logger_lost = on_logger_lost;
	master->log.owner = master;
	umask(027);
	master->conf = read_configuration(master, &master->source_fd);
	if (!master->conf || master->signals < 0) {
		free(master);
		return 2; /* usage or configuration */
	}
	raise_limits();
	master->loop = loop_new();
	task_spawn(master->loop, master_task, &run, "master");
	loop_run(master->loop);
	process_end(run.status);
}

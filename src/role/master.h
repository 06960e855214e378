/* SPDX-License-Identifier: ISC */
/*
 * The master: reads the configuration, binds the sockets, starts the roles, gives each what it needs, starts those that die
 * again, reloads on SIGHUP and drains on SIGTERM. It never reads a byte that came from the network.
 *
 *   STARTING ── every role applied ──▶ RUNNING ── SIGTERM, SIGINT ──▶ DRAINING: fronts, queue, stores, lookup, run, keeper in turn ──▶ exit 0
 *      │ a role refuses or dies, SIGTERM   │ SIGHUP: reload (master.c)                  │ a second signal, or no end in time
 *      ▼                                   └─▶ RUNNING                                  ▼
 *    exit 1, saying why; 0 after SIGTERM                                              SIGKILL, exit 1
 *
 * The files: master.c (life, signals, reload), child.c (one role process), listen.c (sockets), logs.c (log files),
 * identity.c (users, directories), tls_store.c (certificates and their keys).
 */
#ifndef POSTERN_ROLE_MASTER_H
#define POSTERN_ROLE_MASTER_H

#include "conf/conf.h"
#include "base/log.h"
#include "ipc/peer.h"
#include "task/task.h"
#include "role/tls_store.h"
#include "tls/server.h"

struct master_options {
	const char *file;               /* the configuration's */
	const struct conf_macro *macros; /* of the command line */
	size_t macro_count;
	const struct conf_fact *settings; /* likewise: CONF_FACT_OPTION */
	size_t setting_count;
	bool verbose;                   /* copy the log to standard error */
	int ready_fd;                   /* gets one byte when all runs, and is closed then; or -1 */
};

/* Runs until it is told to end, and ends the process; returns only when it cannot begin. Reasons are on standard error, and in the log once there is one. */
int master_run(const struct master_options *options);

/* ---- The rest is for the files of the master ---- */

/* Stores leave room for the other roles, and for those that are being replaced. */
enum { FRONTS_MAX = 64, CHILDREN_MAX = 512, STORES_MAX = CHILDREN_MAX - FRONTS_MAX - 4 * ROLE_COUNT };

struct master;

struct child {
	struct master *master;
	enum role kind;
	unsigned index;        /* of a front: its number */
	uid_t uid;
	gid_t gid;
	char home[1024];       /* of a store: the user's directory, or empty */
	pid_t pid;
	struct ipc_peer *peer;
	struct task *task;
	bool retired;          /* it is not wanted any more: not started again, nor found */
	bool ended;            /* the process is gone, and what it left is being cleared away */
	bool ready;            /* has applied a configuration: may be connected */
	uint64_t generation;   /* of the configuration that it was sent last: one that starts while a reload goes on may have the one before */
	bool awaited;          /* its answer to the order to apply it is still to come */
	char problem[480];     /* what it said last against applying; empty: nothing */
	unsigned failures;     /* quick deaths in a row */
};

struct listening {
	struct net_address address;
	int fds[FRONTS_MAX];   /* one a front, sharing the port (SO_REUSEPORT) */
};

struct master {
	struct master_options options;
	struct loop *loop;
	struct log log;
	struct conf *conf;
	int source_fd;         /* the sealed configuration */
	uint64_t generation;
	struct child *children[CHILDREN_MAX];
	size_t child_count;
	struct wait_list changed; /* of tasks that wait for a child: ready, answered, ended */
	struct listening *listening;
	size_t listening_count;
	unsigned fronts;
	int spool_fd, counters_fd;
	int failures_fd;       /* the memory of failed logins (users/failures.h): outlives the lookup roles */
	int state_fd;          /* the directory of the fetch role */
	int limits_fd;         /* that of the lookup role */
	struct ticket_keys tickets;
	struct tls_store *tls;  /* the files of TLS (tls_store.c) */
	uint64_t tls_version;   /* the last that a file of TLS got */
	bool reloading;
	bool finding_logger;    /* logs.c is about it */
	struct {
		uint64_t generation;   /* of the configuration; a new one may be told all again */
		uint32_t sums[64];     /* of the last texts */
		unsigned next;
	} complaints;          /* that have been made: about OCSP proofs and files of TLS, by the fronts and the master itself */
	char sandbox[160];     /* what a role said is in force */
	int signals;           /* signalfd */
	bool started, failed;  /* all ran; one ended before */
	bool reload_wanted, ending; /* what signals ask for */
	bool stopping;         /* it ends: no role is started again */
};

/* child.c. A store's home is looked up first, on a thread. */
struct child *child_start(struct master *master, enum role kind, unsigned index, uid_t uid, gid_t gid);
void child_send_material(struct child *child);
/*
 * Ends a role that cannot take the configuration into use at its start: it serves nobody, and has no walls yet. It is started again, with
 * pauses, so that it comes back when what is in its way is gone. No effect on any other.
 */
void child_end_unable(struct child *child);
/* Tells the fetch role of a certificate file, open, for which it is to fetch proofs; its content may be another than before. */
void child_want_proof(struct child *fetch, struct slice path, int fd);
/* Waits until every child has answered the last material, or died. False at the deadline, or when the server is told to end. */
bool children_settle(struct master *master, int64_t deadline);
/* Orders all children of that kind to drain, and waits for their end; kills those that do not end in time. False then. */
bool children_drain(struct master *master, enum role kind, int64_t deadline);
void children_kill(struct master *master);
struct child *child_find(struct master *master, enum role kind, unsigned index);
/* Into the panic log, unless this text is there since the configuration came into use. */
void master_complain_once(struct master *master, struct slice text);

/* listen.c: opens what conf wants and is not open yet. False and *error: nothing has changed. */
bool listen_open(struct master *master, const struct conf *conf, struct error *error);
/* Closes what conf does not want, here and in the fronts; all of it when conf is NULL. */
void listen_keep(struct master *master, const struct conf *conf);
/* "[127.0.0.1]:2525 and ..." */
void listen_describe(const struct conf *conf, bool tls_on_connect, char *out, size_t size);

/* logs.c: opens the log files of conf, creating directories. `patient`: the system's logger may come later. False and *error. */
bool logs_open(const struct conf *conf, const struct master_options *options, bool patient, struct log_targets *targets, struct error *error);
/* As a message to a role, and as the master's own. */
void logs_send(struct master *master, struct ipc_peer *peer);
/* The system's logger is gone: waits for it, a second at least, and hands it out. */
void logs_find_logger(struct master *master);

/* identity.c */
struct identity {
	uid_t uid;
	gid_t gid;
};
/* The user that a role runs as: its own when started as root, otherwise the one who started. */
struct identity identity_of(const struct conf *conf, enum role kind);
/* Opens the spool directory, making it for the queue where it is missing. -1 and *error. */
int identity_open_spool(const struct conf *conf, struct error *error);
/* Opens a directory of this role's own in the spool directory, making it where it is missing. -1 and *error. */
int identity_open_state(const struct conf *conf, int spool_fd, enum role role, const char *name, struct error *error);
/* Opens the directory that holds this transport's mailboxes (the constant start of its path), -1 and *error when it cannot. `path_r`
 * gets it. 0 with *path_r empty: the path has no constant start. */
int identity_open_mailboxes(const struct transport *transport, char *path_r, size_t size, struct error *error);

#endif

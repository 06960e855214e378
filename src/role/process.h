/* SPDX-License-Identifier: ISC */
/*
 * What all roles but the master have in common: the start of the process, the conversation with the master, the walls, the
 * log. A role file gives its part as a struct role_ops.
 *
 * The conversation: the master sends logs, the configuration and the role's material, then `apply`; the role takes all of it
 * into use at once, the first time entering its sandbox, and answers `applied`. Only then is it connected to others. A
 * reload is the same again; when the role cannot use the new material it says why and keeps the old.
 *
 *   started ── material*, apply ──▶ sandboxed, serving ── drain ──▶ draining ── role_finish ──▶ exit 0
 *                                      ▲  │ material*, apply (reload)
 *                                      └──┘
 */
#ifndef POSTERN_ROLE_PROCESS_H
#define POSTERN_ROLE_PROCESS_H

#include "base/log.h"
#include "conf/conf.h"
#include "ipc/peer.h"
#include "role/sandbox.h"
#include "task/task.h"

enum { ROLE_CONTROL_FD = 3, ROLE_PATHS_MAX = 64 };

/* Queue and store work in batches, for the disk's sake: one that comes this soon after the last waits that long for more. */
#define BATCH_BUSY (10 * CLOCK_MS)
#define BATCH_GATHERING (2 * CLOCK_MS)

struct role_process {
	enum role kind;
	unsigned index;            /* of a front; of a store its group */
	const struct role_ops *ops;
	void *state;               /* the role's one context */
	struct loop *loop;
	struct ipc_peer *master;
	struct log log;
	int64_t logger_told;       /* from when on the master may be told again that the system's logger is gone */
	struct conf *conf;         /* in use; NULL before the first apply */
	struct conf *next;         /* received, not applied yet */
	struct charset_set *charsets; /* of headers decoded by expansions; NULL in roles that have none, and before the first apply */
	bool sandboxed, draining;
	int64_t drain_deadline;
};

struct role_ops {
	size_t state_size; /* role_main allocates it, zeroed */
	/* Before the sandbox; everything that needs the system's files. */
	bool (*start)(struct role_process *role, struct error *error);
	/* A message of the master's that is the role's own matter. Descriptors are taken from `incoming` or closed. */
	void (*material)(struct role_process *role, struct ipc_incoming *incoming);
	/* Takes role->next and the material into use, or says why not. The caller swaps role->conf afterwards. */
	bool (*apply)(struct role_process *role, struct error *error);
	/* What Landlock is to allow; asked once, at the first apply. Returns how many. May be NULL. */
	size_t (*paths)(struct role_process *role, struct sandbox_path *paths, size_t size);
	/* A connection to another role; takes the descriptor. */
	void (*connected)(struct role_process *role, int fd, enum role other, unsigned index, uid_t uid);
	/* Called on a task of its own: finish what is under way, at most until role->drain_deadline, then return. */
	void (*drain)(struct role_process *role);
};

/* The arguments with which the master starts a role: NAME "role" KIND INDEX UID GID, the control socket on descriptor 3. */
int role_main(int argc, char **argv);

/*
 * Ends the process without unwinding: what its parked tasks hold goes with it. Builds with LeakSanitizer look for leaks first,
 * while everything that is in use can still be reached.
 */
_Noreturn void process_end(int status);

/* The parts. A rehearsal (role/rehearsal.h) uses some of them in one process. */
extern const struct role_ops keeper_ops, front_ops, queue_ops, store_ops, lookup_ops, fetch_ops, run_ops, pam_ops;

#endif

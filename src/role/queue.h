/* SPDX-License-Identifier: ISC */
/*
 * What the files of the queue share. The queue is the only writer of the spool: it takes messages from the fronts (accept.c),
 * keeps what waits for delivery and when it is due (schedule.c), and routes and delivers (deliver.c). Blocking work on files
 * is done in batches on threads; everything else on the loop.
 *
 *   front ── submit ──▶ accepting ── spool_commit ──▶ entry DUE ── schedule ──▶ ACTIVE ── all done ──▶ removed
 *                                                       ▲                        │
 *                     scan at the start ────────────────┤                        │ some deferred
 *                                                       └────── WAITING ◀────────┘
 *                                                            until its retry time
 */
#ifndef POSTERN_ROLE_QUEUE_H
#define POSTERN_ROLE_QUEUE_H

#include "role/ask.h"
#include "role/process.h"
#include "role/retries.h"
#include "spool/spool.h"

enum { DELIVERIES_AT_ONCE = 256, SUBMISSIONS_AT_ONCE = 64, KEPT_OPEN = 1024 };

struct queue;

/* A message in the spool. Its envelope is in memory only while it is fresh or active. */
struct queue_entry {
	struct queue *queue;
	struct queue_entry *next;  /* in the due list, or of those that wait */
	struct queue_entry *previous; /* of those that wait */
	struct message_id id;
	int64_t received_ns;       /* wall clock */
	int64_t due;               /* monotonic; when WAITING */
	unsigned round;            /* queue->round when its delivery began */
	bool waited;               /* it was deferred before: addresses whose retry time has not come are passed over */
	struct arena arena;        /* of the envelope */
	struct spool_envelope *envelope;
	int fd;                    /* of the text, or -1: then spool_read opens it */
	uint64_t body_offset;
	struct slice message_id;   /* for the log */
	struct slice proxy;        /* its address, for the log; empty: none */
};

/*
 * What expansions find while a message is routed and delivered (delivery_context.c). Its texts are in the entry's arena: the same
 * question is asked once in an attempt, and the header section read once.
 */
struct delivery_context {
	struct queue_entry *entry;
	const struct conf *conf; /* the configuration of this attempt */
	struct expand_context expansions;
	struct lookup_cache *lookups;
	struct slice headers;    /* empty: not read yet */
	uint64_t body_start;     /* behind the empty line, once the headers are read */
};

/* The entry has its envelope and its descriptor. The context stays where it is: the expansions point to it. */
void delivery_context_init(struct delivery_context *context, struct queue_entry *entry, const struct conf *conf);

/* One Maildir writer, by user. */
struct queue_store {
	struct queue_store *next;
	uid_t uid;
	struct ipc_peer *peer;     /* NULL while the master starts it */
	bool asked;
	struct error refused;      /* kind ERROR_NONE: not */
	struct wait_list waiting;
};

struct queue {
	struct role_process *role;
	struct ask_lines asked;
	int spool_dir;
	struct spool *spool;
	struct submission *submitted_first, *submitted_last; /* waiting for the accepting tasks */
	struct wait_list submitted;
	struct transaction *transactions;
	struct queue_entry *due_first, *due_last, *waiting, *waiting_last;
	struct wait_list schedule_changed;
	unsigned active;
	int64_t last_run;          /* at a client's request; monotonic */
	unsigned round;            /* one more each time that all are tried at once */
	size_t entries;
	struct queue_store *stores;
	struct retries *retries;
	struct message_id *removals; /* messages that are done, waiting to be unlinked */
	size_t removal_count, removal_size, removing;
	struct wait_list removals_wanted, active_ended;
};

/* accept.c: messages of the fronts. */
void accept_start(struct queue *queue);
void accept_submit(struct queue *queue, struct ipc_peer *peer, struct ipc_incoming *incoming);
void accept_front_lost(struct queue *queue, struct ipc_peer *peer);

/* schedule.c */
void schedule_start(struct queue *queue);
/* An entry is ready to be delivered; takes it. */
void schedule_now(struct queue *queue, struct queue_entry *entry);
/* A new message: now, unless it is to wait for a run of the queue, or is frozen; takes it. */
void schedule_arrival(struct queue *queue, struct queue_entry *entry);
/* It is tried again when this time (wall clock) has come; takes it. */
void schedule_retry(struct queue *queue, struct queue_entry *entry, int64_t when_ns);
/* All that waits is due at once, whatever its addresses' retry times: after a reload. */
void schedule_all_now(struct queue *queue);
/* The same at a client's request (ETRN); nothing when that was just done. */
void schedule_run(struct queue *queue);
struct queue_entry *queue_entry_new(struct queue *queue, const struct message_id *id, int64_t received_ns);
void queue_entry_free(struct queue_entry *entry);
/* The message is done; its files go with the next batch. */
void schedule_remove(struct queue *queue, const struct message_id *id);

/* deliver.c: all pending recipients of an entry, on its own task; takes the entry. */
void deliver_task(void *entry);
/* A store is there, or will not come. */
void deliver_store_connected(struct queue *queue, int fd, uid_t uid);
void deliver_store_refused(struct queue *queue, uid_t uid, struct slice problem);
/* Local users, for deliveries and for the fronts' questions; blocks: call it on a thread. `buffer` holds the texts. */
struct user_lookup {
	char name[256];
	enum route_user_result result;
	struct route_user user;
	struct error error;
	char buffer[4096];
};
void deliver_lookup_user(void *lookup);

/* The spool is broken after a failed sync: the role ends, and starts again from what is on disk. */
_Noreturn void queue_spool_broken(struct queue *queue);

#endif

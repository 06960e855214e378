/* SPDX-License-Identifier: ISC */
/*
 * What the files of the queue share. The queue is the only writer of the spool: it takes messages from the fronts (accept.c),
 * keeps what waits for delivery and when it is due (schedule.c), and routes and delivers (deliver.c). Blocking work on files
 * is done in batches on threads; everything else on the loop. Messages that are to wait for a run, and all that was deferred in a queue
 * that has a name, are held until a run of their queue takes them (queue_runs.c).
 *
 *   front ── submit ──▶ accepting ── spool_commit ──▶ entry DUE ── schedule ──▶ ACTIVE ── all done ──▶ removed
 *                                                       ▲                        │
 *                     scan at the start ────────────────┤                        │ some deferred
 *                                                       ├────── WAITING ◀────────┤
 *                                                       │    until its retry time│
 *                                                       └─────── HELD ◀──────────┘
 *                                                      for a run of its queue
 */
#ifndef POSTERN_ROLE_QUEUE_H
#define POSTERN_ROLE_QUEUE_H

#include "role/ask.h"
#include "role/process.h"
#include "role/retries.h"
#include "spool/spool.h"

enum { DELIVERIES_AT_ONCE = 256, SUBMISSIONS_AT_ONCE = 64, KEPT_OPEN = 1024 };

struct queue;

/*
 * A queue by its name; the usual one has none. It is there as long as it has messages, runs by the clock, or a run under way. Names are of
 * messages or of the configuration, so these bound their number.
 */
struct named_queue {
	struct named_queue *next;
	char name[QUEUE_NAME_MAX + 1];
	size_t entries;            /* that belong to it */
	struct queue_entry *held, *held_last;
	int64_t interval, next_run; /* of runs by the clock, ns; and when, monotonic. interval 0: none */
	bool running;
	size_t left;               /* deliveries that the run under way has begun, or will */
	int64_t asked;             /* when a client asked for a run; monotonic */
};

/* A message in the spool. Its envelope is in memory only while it is fresh or active. */
struct queue_entry {
	struct queue *queue;
	struct queue_entry *next;  /* in the due list, or of those that wait, or that are held */
	struct queue_entry *previous; /* of those that wait */
	struct named_queue *named; /* its queue */
	struct message_id id;
	int64_t received_ns;       /* wall clock */
	int64_t due;               /* monotonic; when WAITING, and when HELD: runs pass it over before */
	bool in_run;               /* a run of its queue has taken it */
	unsigned round;            /* queue->round when its delivery began */
	bool waited;               /* it was deferred before: addresses whose retry time has not come are passed over */
	struct arena arena;        /* of the envelope */
	struct spool_envelope *envelope;
	int fd;                    /* of the text, or -1: then spool_read opens it */
	uint64_t body_offset;
	struct slice message_id;   /* for the log */
	struct slice proxy;        /* its address, for the log; empty: none */
	struct slice delays;       /* why it is not delivered at once, for the log: a list of ipc/message.h */
	uint32_t *unrecorded;      /* numbers of recipients that have it, which the spool could not be told yet */
	size_t unrecorded_count;
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

/* One Maildir writer, by user and group. */
struct queue_store {
	struct queue_store *next;
	uid_t uid;
	gid_t gid;
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
	struct submission *const *writing; /* of the batch that a thread writes */
	size_t writing_count;
	struct transaction *transactions;
	struct queue_entry *due_first, *due_last, *waiting, *waiting_last;
	struct wait_list schedule_changed;
	unsigned active;
	struct named_queue *named, *usual; /* all, and the one without a name */
	struct wait_list runs_changed;
	bool reloaded;
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
/* A new message: now, unless it is to wait for a run of its queue, or is frozen; takes it. */
void schedule_arrival(struct queue *queue, struct queue_entry *entry);
/* One that was found at the start, with what is known of it: tried by the run at the start, or held; takes it. */
void schedule_found(struct queue *queue, struct queue_entry *entry, const struct spool_envelope *envelope);
/* All that was found, for the scan has failed half way. Nothing else is in the queue yet. */
void schedule_forget_found(struct queue *queue);
/* It is tried again when this time (wall clock) has come, by a run of its queue if that has a name; takes it. */
void schedule_retry(struct queue *queue, struct queue_entry *entry, int64_t when_ns);
/* For a run of the usual queue: all that waits is due at once, whatever its addresses' retry times. Returns how many these are. */
size_t schedule_waiting_now(struct queue *queue);
struct queue_entry *queue_entry_new(struct queue *queue, const struct message_id *id, int64_t received_ns);
void queue_entry_free(struct queue_entry *entry);
/* The message is done; its files go with the next batch. */
void schedule_remove(struct queue *queue, const struct message_id *id);

/* queue_runs.c */
void queue_runs_init(struct queue *queue);
/* Queues have the runs that the configuration wants from now on, and the first at once. */
void queue_runs_start(struct queue *queue);
/* There is another configuration: likewise, but the first runs do not look at retry times, for these were its predecessor's. */
void queue_runs_reload(struct queue *queue);
/* ETRN: a run of this queue, whatever the retry times; nothing when one was asked for just before. */
void queue_runs_ask(struct queue *queue, struct slice name);
/* The entry, which belongs to none yet, belongs to the queue of that name from now on, and leaves it when it is gone. */
void queue_runs_enter(struct queue_entry *entry, struct slice name);
void queue_runs_leave(struct queue_entry *entry);
/* It waits for a run of its queue at `due` (monotonic) or later. */
void queue_runs_hold(struct queue_entry *entry, int64_t due);
/* Frees all that is held. */
void queue_runs_forget_held(struct queue *queue);
/* A delivery that a run had taken has ended. */
void queue_runs_delivered(struct queue *queue, struct named_queue *named);

/* deliver.c: all pending recipients of an entry, on its own task; takes the entry. */
void deliver_task(void *entry);
/* A store is there, or will not come. */
void deliver_store_connected(struct queue *queue, int fd, uid_t uid, gid_t gid);
void deliver_store_refused(struct queue *queue, uid_t uid, gid_t gid, struct slice problem);
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

/* SPDX-License-Identifier: ISC */
/*
 * Delivery of one message: each pending recipient is routed and handed to the store that runs as the right user. What was
 * delivered is recorded before anything else happens to the message: either by removing it, when all are done, or in its
 * journal. A recipient that cannot be delivered now is deferred; the message stays.
 */
#include "base/cleanup.h"
#include "base/fatal.h"
#include "mail/address.h"
#include "role/queue.h"
#include "task/offload.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RECIPIENTS_AT_ONCE = 32, STORE_TRIES = 8 };

#define STORE_TIMEOUT (5 * 60 * CLOCK_SECOND)
#define SPOOL_TROUBLE_WAIT (15 * 60 * CLOCK_SECOND)

enum { LOCAL_RETRY = -52 }; /* Exim's number for a local delivery that must wait */

/* One recipient of the message that a task delivers. */
struct delivery {
	struct slice address;
	uint32_t index;
	bool delivered;
	bool passed_over;               /* its retry time has not come: it was not tried */
	struct retry_verdict verdict;   /* when it was not delivered */
	struct slice router, transport; /* names, in the message's arena; empty when it was not routed */
	struct error error;
};

struct delivering {
	struct queue_entry *entry;
	struct conf *conf; /* the configuration of this attempt */
	struct delivery *deliveries;
	size_t count, next;
	int64_t started_ns; /* wall clock */
	unsigned workers;
	struct wait_list done;
	struct delivery_context context;
};

/* ---- Local users ---- */

void deliver_lookup_user(void *arg)
{
	struct user_lookup *lookup = arg;
	struct passwd entry, *found = NULL;
	int result = getpwnam_r(lookup->name, &entry, lookup->buffer, sizeof lookup->buffer, &found);
	if (found) {
		lookup->result = ROUTE_USER_FOUND;
		lookup->user = (struct route_user){ slice_of(found->pw_name), slice_of(found->pw_dir), found->pw_uid, found->pw_gid };
	} else if (result == 0 || result == ENOENT || result == ESRCH) {
		lookup->result = ROUTE_USER_UNKNOWN;
	} else {
		lookup->result = ROUTE_USER_DEFER;
		error_set_errno(&lookup->error, result, "looking up the user %s", lookup->name);
	}
}

static enum route_user_result find_user(void *owner, struct slice name, struct route_user *user_r, struct error *error)
{
	struct delivering *delivering = owner;
	struct arena *arena = &delivering->entry->arena;
	struct user_lookup lookup = { .result = ROUTE_USER_UNKNOWN };
	if (!slice_to_cstr(name, lookup.name, sizeof lookup.name))
		return ROUTE_USER_UNKNOWN;
	offload(deliver_lookup_user, &lookup);
	if (lookup.result == ROUTE_USER_FOUND) {
		*user_r = lookup.user;
		user_r->name = arena_copy(arena, lookup.user.name);
		user_r->home = arena_copy(arena, lookup.user.home);
	}
	*error = lookup.error;
	return lookup.result;
}

/* ---- Stores ---- */

static struct queue_store *store_of(struct queue *queue, uid_t uid, gid_t gid)
{
	struct queue_store *store = queue->stores;
	while (store && (store->uid != uid || store->gid != gid))
		store = store->next;
	if (!store) {
		store = xcalloc(1, sizeof *store);
		store->uid = uid;
		store->gid = gid;
		store->next = queue->stores;
		queue->stores = store;
	}
	return store;
}

static void from_store(void *owner, struct ipc_peer *peer, struct ipc_incoming *incoming)
{
	(void)owner;
	(void)peer;
	(void)incoming; /* the answer to a delivery that was given up: it will be made again, a duplicate */
}

static void store_lost(void *owner, struct ipc_peer *peer)
{
	struct queue *queue = owner;
	for (struct queue_store *store = queue->stores; store; store = store->next)
		if (store->peer == peer)
			store->peer = NULL;
	ipc_close_later(peer);
}

static const struct ipc_handler store_handler = { from_store, store_lost };

void deliver_store_connected(struct queue *queue, int fd, uid_t uid, gid_t gid)
{
	struct queue_store *store = store_of(queue, uid, gid);
	if (store->peer)
		ipc_close_later(store->peer);
	store->peer = ipc_open(queue->role->loop, fd, ROLE_QUEUE, ROLE_STORE, &store_handler, queue);
	store->asked = false;
	store->refused = (struct error){ 0 };
	wait_list_wake_all(&store->waiting);
}

void deliver_store_refused(struct queue *queue, uid_t uid, gid_t gid, struct slice problem)
{
	struct queue_store *store = store_of(queue, uid, gid);
	store->asked = false;
	error_set(&store->refused, ERROR_TEMPORARY, "%.*s", SLICE_ARG(problem));
	wait_list_wake_all(&store->waiting);
}

/* The store that runs as this user and group, started by the master when there is none. NULL and *error otherwise. */
static struct ipc_peer *wait_store(struct queue *queue, uid_t uid, gid_t gid, struct slice home, struct error *error)
{
	struct queue_store *store = store_of(queue, uid, gid);
	int64_t deadline = clock_after(30 * CLOCK_SECOND);
	store->refused = (struct error){ 0 };
	while (!store->peer || ipc_is_lost(store->peer)) {
		if (!store->asked) {
			struct ipc_store_wanted wanted = { .uid = uid, .gid = gid, .directory = home };
			store->asked = ipc_send(queue->role->master, store_wanted, STORE_WANTED, 0, &wanted, NULL, 0);
		}
		if (wait_list_wait(&store->waiting, deadline) < 0) {
			store->asked = false;
			error_set(error, ERROR_TEMPORARY, "no store process for uid %u and gid %u came up", (unsigned)uid, (unsigned)gid);
			return NULL;
		}
		if (store->refused.kind != ERROR_NONE) {
			*error = store->refused;
			return NULL;
		}
	}
	return store->peer;
}

/* ---- One recipient ---- */

static struct slice trace_headers(struct delivering *delivering, const struct transport *transport, struct slice address)
{
	struct arena *arena = &delivering->entry->arena;
	struct slice sender = delivering->entry->envelope->sender;
	struct slice parts[3] = { { 0 } };
	char date[64];
	clock_format_rfc5322((time_t)(clock_wall_now() / CLOCK_SECOND), date, sizeof date);
	if (transport->return_path_add)
		parts[0] = arena_printf(arena, "Return-path: <%.*s>\n", SLICE_ARG(sender));
	if (transport->envelope_to_add)
		parts[1] = arena_printf(arena, "Envelope-to: %.*s\n", SLICE_ARG(address));
	if (transport->delivery_date_add)
		parts[2] = arena_printf(arena, "Delivery-date: %s\n", date);
	return arena_printf(arena, "%.*s%.*s%.*s", SLICE_ARG(parts[0]), SLICE_ARG(parts[1]), SLICE_ARG(parts[2]));
}

static bool call_store(struct delivering *delivering, const struct route_result *route, struct delivery *delivery)
{
	struct queue *queue = delivering->entry->queue;
	const struct transport *transport = route->transport;
	struct ipc_deliver message = {
		.directory = route->directory.text,
		.create = transport->create_directory,
		.directory_mode = transport->directory_mode,
		.mode = transport->mode,
		.prefix = trace_headers(delivering, transport, delivery->address),
		.offset = delivering->entry->body_offset,
		.size = delivering->entry->envelope->body_size,
	};
	uid_t uid = route->has_user ? route->uid : getuid();
	gid_t gid = route->has_user ? route->gid : getgid();
	int result = -EPIPE;
	struct ipc_reply reply = { 0 };
	/* A store that was killed may still look alive to the master for a moment: the next ones are asked for later and later. */
	for (int tries = 0; result == -EPIPE && tries < STORE_TRIES; tries++) {
		if (tries > 0)
			task_sleep_until(clock_after((20 * CLOCK_MS) << tries));
		struct ipc_peer *store = wait_store(queue, uid, gid, route->home, &delivery->error);
		if (!store)
			return false;
		result = ipc_call(store, deliver, DELIVER, &message, &delivering->entry->fd, 1, clock_after(STORE_TIMEOUT), &reply);
	}
	struct ipc_delivered answer;
	if (result < 0)
		error_set_errno(&delivery->error, -result, "the store process did not answer");
	else if (!ipc_unpack_delivered(reply.body, &answer))
		error_set(&delivery->error, ERROR_TEMPORARY, "the store's answer is malformed");
	else if (answer.kind == ERROR_NONE)
		delivery->delivered = true;
	else {
		error_set(&delivery->error, ERROR_TEMPORARY, "%.*s", SLICE_ARG(answer.text));
		delivery->error.number = answer.number <= 4096 ? (int)answer.number : 0;
	}
	ipc_reply_free(&reply);
	return delivery->delivered;
}

static void split_address(struct slice address, struct mail_address_parts *parts)
{
	size_t at = slice_find_last(address, '@');
	parts->local_part = slice_first(address, at);
	parts->domain = slice_from(address, at + 1);
}

static struct retry_case retry_case_of(struct delivering *delivering, const struct mail_address_parts *parts, char stage,
				       bool use_local_part, const struct expand_context *context)
{
	const struct queue_entry *entry = delivering->entry;
	struct arena *arena = &delivering->entry->arena;
	struct slice sender = entry->envelope->sender, domain = arena_copy_lower(arena, parts->domain);
	struct pattern_subject *from = arena_new(arena, struct pattern_subject);
	struct mail_address_parts sender_parts;
	split_address(sender, &sender_parts);
	*from = (struct pattern_subject){ sender_parts.local_part, sender_parts.domain, sender, true };
	struct retry_case what = {
		.conf = delivering->conf,
		.failure = { .local_part = use_local_part ? parts->local_part : (struct slice){ 0 }, .domain = domain,
			     .sender = from, .error = { .unread = -1 } },
		.received_ns = entry->received_ns,
		.started_ns = delivering->started_ns,
		.context = context,
		.arena = arena,
	};
	what.key = use_local_part ? arena_printf(arena, "%c:%.*s@%.*s", stage, SLICE_ARG(parts->local_part), SLICE_ARG(domain)) :
				    arena_printf(arena, "%c:%.*s", stage, SLICE_ARG(domain));
	return what;
}

/* Hands the message to the store, unless the address failed lately and is to wait. */
static void deliver_routed(struct delivering *delivering, const struct route_result *route, struct retry_case *retry,
			   struct delivery *delivery)
{
	struct retries *retries = delivering->entry->queue->retries;
	if (delivering->entry->waited && retries_must_wait(retries, retry, &delivery->verdict.next_ns)) {
		delivery->passed_over = true;
		error_set(&delivery->error, ERROR_TEMPORARY, "Retry time not yet reached");
		return;
	}
	if (call_store(delivering, route, delivery)) {
		retries_forget(retries, retry->key);
		return;
	}
	if (delivery->error.number == ENOSPC || delivery->error.number == EDQUOT)
		retry->failure.error.kind = RETRY_QUOTA;
	delivery->verdict = retries_failed(retries, retry);
}

static void deliver_one(struct delivering *delivering, struct delivery *delivery)
{
	struct arena *arena = &delivering->entry->arena;
	const struct expand_context *variables = &delivering->context.expansions;
	struct route_host host = { .owner = delivering, .lookup_user = find_user, .variables = variables };
	struct mail_address_parts parts;
	struct mail_address parsed;
	struct route_result route;
	struct retry_case retry;
	struct error ignored;
	split_address(delivery->address, &parts);
	/* The spool has addresses as on the wire; routing wants them without quotes. */
	if (mail_address_parse(delivery->address, arena, MAIL_PATH_UTF8 | MAIL_PATH_LONG_LOCAL, &parsed, &ignored))
		parts = (struct mail_address_parts){ parsed.local_part, parsed.domain };
	enum route_outcome outcome = route_address(delivering->conf->routers, &parts, &host, arena, &route);
	if (route.router)
		delivery->router = route.router->name;
	if (outcome != ROUTE_ACCEPTED) {
		delivery->error = route.error;
		retry = retry_case_of(delivering, &parts, 'R', route.router && route.router->retry_use_local_part, variables);
		delivery->verdict = retries_failed(delivering->entry->queue->retries, &retry);
		return;
	}
	delivery->transport = route.transport->name;
	retry = retry_case_of(delivering, &parts, 'T', route.transport->retry_use_local_part, variables);
	deliver_routed(delivering, &route, &retry, delivery);
}

static void deliver_all(struct delivering *delivering)
{
	while (delivering->next < delivering->count)
		deliver_one(delivering, &delivering->deliveries[delivering->next++]);
}

static void worker_task(void *arg)
{
	struct delivering *delivering = arg;
	deliver_all(delivering);
	delivering->workers--;
	wait_list_wake_all(&delivering->done);
}

/* ---- The message ---- */

struct reading {
	struct queue_entry *entry;
	struct spool_message message;
	bool done;
	struct error error;
};

static void read_on_thread(void *arg)
{
	struct reading *reading = arg;
	struct queue_entry *entry = reading->entry;
	reading->done = spool_read(entry->queue->spool, &entry->id, &entry->arena, &reading->message, &reading->error);
}

static bool load_entry(struct queue_entry *entry, struct error *error)
{
	struct spool_envelope *fresh = entry->envelope;
	if (fresh && entry->fd >= 0)
		return true;
	struct reading reading = { .entry = entry };
	offload(read_on_thread, &reading);
	if (!reading.done) {
		*error = reading.error;
		return false;
	}
	entry->envelope = arena_new(&entry->arena, struct spool_envelope);
	*entry->envelope = reading.message.envelope;
	entry->envelope->body_size = reading.message.body_size;
	entry->fd = reading.message.fd;
	entry->body_offset = reading.message.body_offset;
	return true;
}

static void list_deliveries(struct delivering *delivering)
{
	struct queue_entry *entry = delivering->entry;
	const struct spool_envelope *envelope = entry->envelope;
	for (size_t i = 0; i < entry->unrecorded_count; i++)
		envelope->recipients[entry->unrecorded[i]].state = SPOOL_DELIVERED;
	delivering->deliveries = arena_array(&entry->arena, envelope->recipient_count, sizeof(struct delivery));
	for (size_t i = 0; i < envelope->recipient_count; i++)
		if (envelope->recipients[i].state == SPOOL_PENDING)
			delivering->deliveries[delivering->count++] =
				(struct delivery){ .address = envelope->recipients[i].address, .index = (uint32_t)i };
}

/* "=>", "==" and "**" as Exim writes them for a local delivery. */
static void log_delivery(struct delivering *delivering, const struct delivery *delivery)
{
	struct log *log = &delivering->entry->queue->role->log;
	const char *id = delivering->entry->id.text;
	struct mail_address_parts parts;
	char by[400] = "";
	size_t n = 0;
	split_address(delivery->address, &parts);
	if (*delivering->entry->named->name)
		n += (size_t)snprintf(by, sizeof by, " Q=%s", delivering->entry->named->name);
	if (delivery->router.len)
		n += (size_t)snprintf(by + n, sizeof by - n, " R=%.*s", SLICE_ARG(slice_first(delivery->router, 100)));
	if (delivery->transport.len)
		snprintf(by + n, sizeof by - n, " T=%.*s", SLICE_ARG(slice_first(delivery->transport, 100)));
	if (delivery->delivered)
		log_line(log, LOG_KIND_MAIN, "%s => %.*s <%.*s>%s", id, SLICE_ARG(parts.local_part), SLICE_ARG(delivery->address), by);
	else
		log_line(log, LOG_KIND_MAIN, "%s == %.*s%s defer (%d): %s", id, SLICE_ARG(delivery->address), by,
			 delivery->passed_over ? LOCAL_RETRY : delivery->error.number, delivery->error.text);
	if (delivery->verdict.given_up)
		log_line(log, LOG_KIND_MAIN, "%s ** %.*s: retry timeout exceeded", id, SLICE_ARG(delivery->address));
}

struct recording {
	struct spool *spool;
	struct spool_record *records;
	size_t count;
	bool done;
	struct error error;
};

static void record_on_thread(void *arg)
{
	struct recording *recording = arg;
	recording->done = spool_record(recording->spool, recording->records, recording->count, &recording->error);
}

/* Kept until the spool has it: an attempt that cannot be recorded must not be repeated for those who have the message. */
static void remember_delivered(struct queue_entry *entry, const struct delivery deliveries[], size_t count)
{
	entry->unrecorded = xrealloc(entry->unrecorded, (entry->unrecorded_count + count) * sizeof *entry->unrecorded);
	for (size_t i = 0; i < count; i++)
		if (deliveries[i].delivered)
			entry->unrecorded[entry->unrecorded_count++] = deliveries[i].index;
}

/* Some recipients are left: what was delivered goes into the journal, so that it is not delivered again. False: it could not. */
static bool record_results(struct delivering *delivering, int64_t until_ns, bool frozen)
{
	struct queue_entry *entry = delivering->entry;
	struct recording recording = { .spool = entry->queue->spool };
	struct slice reason = { 0 };
	remember_delivered(entry, delivering->deliveries, delivering->count);
	recording.records = arena_array(&entry->arena, entry->unrecorded_count + 1, sizeof *recording.records);
	for (size_t i = 0; i < entry->unrecorded_count; i++)
		recording.records[recording.count++] = (struct spool_record){
			.id = entry->id, .kind = SPOOL_RECORD_DELIVERED, .recipient = entry->unrecorded[i] };
	for (size_t i = 0; i < delivering->count; i++)
		if (!delivering->deliveries[i].delivered)
			reason = slice_of(delivering->deliveries[i].error.text);
	recording.records[recording.count++] = (struct spool_record){
		.id = entry->id, .kind = frozen ? SPOOL_RECORD_FROZEN : SPOOL_RECORD_DEFERRED, .until_ns = frozen ? 0 : until_ns,
		.text = reason };
	offload(record_on_thread, &recording);
	if (recording.done)
		entry->unrecorded_count = 0;
	else
		log_line(&entry->queue->role->log, LOG_KIND_PANIC, "%s results could not be recorded in the spool: %s", entry->id.text,
			 recording.error.text);
	if (spool_is_broken(entry->queue->spool))
		queue_spool_broken(entry->queue);
	return recording.done;
}

static void finish(struct delivering *delivering)
{
	struct queue_entry *entry = delivering->entry;
	struct queue *queue = entry->queue;
	size_t left = 0, given_up = 0;
	int64_t next = INT64_MAX;
	for (size_t i = 0; i < delivering->count; i++) {
		const struct delivery *delivery = &delivering->deliveries[i];
		log_delivery(delivering, delivery);
		left += !delivery->delivered;
		given_up += delivery->verdict.given_up;
		if (!delivery->delivered && !delivery->verdict.given_up && delivery->verdict.next_ns < next)
			next = delivery->verdict.next_ns;
	}
	if (left == 0) {
		log_line(&queue->role->log, LOG_KIND_MAIN, "%s Completed", entry->id.text);
		schedule_remove(queue, &entry->id);
		queue_entry_free(entry);
		return;
	}
	/* The sender of what was given up cannot be told in this version, so the message is kept for the administrator. */
	bool recorded = record_results(delivering, next, given_up == left);
	if (given_up == left && !recorded) {
		schedule_retry(queue, entry, clock_wall_now() + SPOOL_TROUBLE_WAIT);
		return;
	}
	if (given_up == left) {
		log_line(&queue->role->log, LOG_KIND_MAIN, "%s Frozen (retry timeout exceeded)", entry->id.text);
		queue_entry_free(entry);
		return;
	}
	schedule_retry(queue, entry, next);
}

/* The message itself cannot be read: gone (somebody removed it), or for a while. */
static void unreadable(struct queue_entry *entry, const struct error *error)
{
	struct queue *queue = entry->queue;
	log_line(&queue->role->log, LOG_KIND_PANIC, "%s cannot be read from the spool: %s", entry->id.text, error->text);
	if (error->number == ENOENT)
		queue_entry_free(entry);
	else
		schedule_retry(queue, entry, clock_wall_now() + SPOOL_TROUBLE_WAIT);
}

void deliver_task(void *arg)
{
	struct queue_entry *entry = arg;
	struct queue *queue = entry->queue;
	struct delivering delivering = { .entry = entry, .conf = conf_ref(queue->role->conf) };
	struct error error = { 0 };
	delivering.started_ns = clock_wall_now();
	if (load_entry(entry, &error)) {
		delivery_context_init(&delivering.context, entry, delivering.conf);
		list_deliveries(&delivering);
		while (delivering.workers + 1 < delivering.count && delivering.workers + 1 < RECIPIENTS_AT_ONCE) {
			delivering.workers++;
			task_spawn(queue->role->loop, worker_task, &delivering, "recipient");
		}
		deliver_all(&delivering);
		while (delivering.workers)
			wait_list_wait(&delivering.done, CLOCK_NEVER);
		finish(&delivering);
	} else {
		unreadable(entry, &error);
	}
	conf_unref(&delivering.conf);
	queue->active--;
	wait_list_wake_one(&queue->schedule_changed);
	wait_list_wake_all(&queue->active_ended);
}

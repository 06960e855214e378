/* SPDX-License-Identifier: ISC */
/*
 * Messages on their way into the spool. What the fronts submit is gathered while the disk is busy; one batch is then
 * written, synced and answered together (spool_commit). A part is read by the size that its message tells, never beyond.
 *
 * Limits: TRANSACTIONS_MAX messages in parts at a time; a front has one call a session under way.
 */
#include "base/cleanup.h"
#include "base/fatal.h"
#include "conf/log_selector.h"
#include "mail/host.h"
#include "role/queue.h"
#include "role/tls_log.h"
#include "task/offload.h"
#include "tls/facts.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TRANSACTIONS_MAX = 4096, AUTHENTICATED_MAX = 4400 };

/* A part of a message, or a whole one, from its arrival to its answer. */
struct submission {
	struct submission *next;
	struct ipc_peer *peer;
	uint64_t call;
	struct transaction *transaction; /* a later part; NULL: the message begins here */
	uint64_t number;                 /* the front's transaction */
	bool complete;
	int fd;
	uint64_t size;
	struct queue_entry *entry;       /* with the envelope */
	struct spool_writer *writer;
	bool undecided;                  /* likewise of the transaction */
	const struct spool_envelope *decided; /* of the last part of such a message; NULL otherwise */
	bool aborted;                    /* the front waits no more */
	struct error result;
};

/* A message of which parts are in the spool and others are still to come. */
struct transaction {
	struct transaction *next;
	struct ipc_peer *peer;
	uint64_t number;
	struct queue_entry *entry;
	struct spool_writer *writer;
	bool undecided; /* frozen in the spool until its last part says whether that holds */
	bool busy;    /* a part of it is being written */
	bool dropped; /* aborted meanwhile */
};

static void answer(struct submission *submission)
{
	struct ipc_taken taken = { .kind = submission->result.kind, .problem = slice_of(submission->result.text) };
	ipc_send(submission->peer, taken, TAKEN, submission->call, &taken, NULL, 0);
	ipc_release(submission->peer);
}

/* ---- Transactions ---- */

static struct transaction *find_transaction(struct queue *queue, const struct ipc_peer *peer, uint64_t number)
{
	struct transaction *transaction = queue->transactions;
	while (transaction && (transaction->peer != peer || transaction->number != number))
		transaction = transaction->next;
	return transaction;
}

static size_t count_transactions(const struct queue *queue)
{
	size_t count = 0;
	for (const struct transaction *transaction = queue->transactions; transaction; transaction = transaction->next)
		count++;
	return count;
}

static void end_transaction(struct queue *queue, struct transaction *gone)
{
	for (struct transaction **at = &queue->transactions; *at; at = &(*at)->next) {
		if (*at == gone) {
			*at = gone->next;
			free(gone);
			return;
		}
	}
}

/* At once, or when the part that is being written is done. */
static void drop_transaction(struct queue *queue, struct transaction *transaction)
{
	transaction->dropped = true;
	if (transaction->busy)
		return;
	spool_abort(transaction->writer);
	queue_entry_free(transaction->entry);
	end_transaction(queue, transaction);
}

void accept_front_lost(struct queue *queue, struct ipc_peer *peer)
{
	for (struct transaction *transaction = queue->transactions, *next; transaction; transaction = next) {
		next = transaction->next;
		if (transaction->peer == peer)
			drop_transaction(queue, transaction);
	}
}

/* ---- Arrival ---- */

static int by_address(const void *a, const void *b)
{
	const struct spool_recipient *const *x = a, *const *y = b;
	int order = slice_compare((*x)->address, (*y)->address);
	return order ? order : (*x > *y) - (*x < *y);
}

/* Who was named twice gets one copy: of equal addresses the first stays, and so does the order. */
static void drop_duplicates(struct spool_envelope *envelope)
{
	size_t count = envelope->recipient_count, kept = 0;
	struct spool_recipient **order = xcalloc(count, sizeof *order);
	for (size_t i = 0; i < count; i++)
		order[i] = &envelope->recipients[i];
	qsort(order, count, sizeof(struct spool_recipient *), by_address);
	/* No recipient has an empty address: it marks those to go. */
	for (size_t i = count; i-- > 1;)
		if (slice_equal(order[i]->address, order[i - 1]->address))
			order[i]->address = (struct slice){ 0 };
	free(order);
	for (size_t i = 0; i < count; i++)
		if (envelope->recipients[i].address.len)
			envelope->recipients[kept++] = envelope->recipients[i];
	envelope->recipient_count = kept;
}

/* The variables of ACLs: names, values and taint in turn. */
static bool read_variables(struct queue_entry *entry, struct spool_envelope *envelope, struct slice list)
{
	struct slice name, value, taint, rest = list;
	size_t count = 0;
	while (ipc_list_next(&rest, &name) && ipc_list_next(&rest, &value) && ipc_list_next(&rest, &taint))
		count++;
	if (rest.len || count > SPOOL_VARIABLES_MAX)
		return false;
	if (count)
		envelope->variables = arena_array(&entry->arena, count, sizeof *envelope->variables);
	for (size_t i = 0; i < count && ipc_list_next(&list, &name) && ipc_list_next(&list, &value) && ipc_list_next(&list, &taint); i++)
		envelope->variables[envelope->variable_count++] = (struct spool_variable){
			.name = arena_copy(&entry->arena, name), .value = arena_copy(&entry->arena, value), .tainted = taint.len > 0 };
	return true;
}

static bool read_envelope(struct queue_entry *entry, const struct ipc_submit *message)
{
	struct spool_envelope *envelope = arena_new(&entry->arena, struct spool_envelope);
	struct slice list = message->recipients, address;
	size_t count = 0;
	while (ipc_list_next(&list, &address))
		count++;
	if (count == 0 || list.len || message->host_port > UINT16_MAX)
		return false;
	envelope->recipients = arena_array(&entry->arena, count, sizeof *envelope->recipients);
	list = message->recipients;
	while (ipc_list_next(&list, &address))
		envelope->recipients[envelope->recipient_count++].address = arena_copy(&entry->arena, address);
	drop_duplicates(envelope);
	if (envelope->recipient_count == 0 || !read_variables(entry, envelope, message->variables))
		return false;
	if (message->queue_name.len && !queue_name_valid(message->queue_name))
		return false;
	envelope->id = entry->id;
	envelope->received_ns = entry->received_ns;
	envelope->sender = arena_copy(&entry->arena, message->sender);
	envelope->helo = arena_copy(&entry->arena, message->helo);
	envelope->host_name = arena_copy(&entry->arena, message->host_name);
	envelope->host_address = arena_copy(&entry->arena, message->host_address);
	envelope->protocol = arena_copy(&entry->arena, message->protocol);
	envelope->cipher = arena_copy(&entry->arena, message->cipher);
	envelope->cipher_standard = arena_copy(&entry->arena, message->cipher_standard);
	envelope->peer_name = arena_copy(&entry->arena, message->peer_name);
	envelope->server_name = arena_copy(&entry->arena, message->server_name);
	envelope->authenticated = arena_copy(&entry->arena, message->authenticated);
	envelope->authenticated_id = arena_copy(&entry->arena, message->authenticated_id);
	envelope->authenticated_sender = arena_copy(&entry->arena, message->authenticated_sender);
	envelope->verified = message->verified == 1;
	envelope->tls_resumption = message->resumption & 31;
	envelope->tls_ocsp = message->ocsp & 7;
	envelope->port = (uint16_t)message->host_port;
	envelope->eight_bit_mime = message->flags & SUBMIT_8BITMIME;
	envelope->smtputf8 = message->flags & SUBMIT_SMTPUTF8;
	envelope->frozen = message->flags & SUBMIT_FROZEN;
	envelope->queue_only = message->flags & SUBMIT_QUEUED;
	envelope->queue_name = arena_copy(&entry->arena, message->queue_name);
	entry->delays = arena_copy(&entry->arena, message->delays);
	queue_runs_enter(entry, envelope->queue_name);
	entry->message_id = arena_copy(&entry->arena, message->message_id);
	entry->proxy = arena_copy(&entry->arena, message->proxy);
	entry->envelope = envelope;
	return true;
}

static bool take_submit(struct queue *queue, struct submission *submission, struct slice body)
{
	struct ipc_submit message;
	struct message_id id = { 0 };
	if (!ipc_unpack_submit(body, &message) || !message_id_valid(message.id))
		return error_set(&submission->result, ERROR_PERMANENT, "malformed submission");
	memcpy(id.text, message.id.data, MESSAGE_ID_LEN);
	submission->number = message.transaction;
	submission->size = message.size;
	submission->complete = message.complete;
	submission->entry = queue_entry_new(queue, &id, (int64_t)message.received_ns);
	if (!read_envelope(submission->entry, &message))
		return error_set(&submission->result, ERROR_PERMANENT, "malformed envelope");
	submission->undecided = !message.complete && message.flags & SUBMIT_UNDECIDED;
	if (submission->undecided)
		submission->entry->envelope->frozen = true;
	if (!message.complete && count_transactions(queue) >= TRANSACTIONS_MAX)
		return error_set(&submission->result, ERROR_TEMPORARY, "too many large messages at a time");
	return true;
}

/* The envelope in memory is as it should be from now on; the one in the spool is set right when the message is durable. */
static void decide(struct submission *submission, const struct ipc_part *message)
{
	struct queue_entry *entry = submission->transaction->entry;
	entry->envelope->frozen = message->flags & SUBMIT_FROZEN;
	entry->envelope->queue_only = message->flags & SUBMIT_QUEUED;
	entry->delays = arena_copy(&entry->arena, message->delays);
	submission->decided = entry->envelope;
}

static bool take_part(struct queue *queue, struct submission *submission, struct slice body)
{
	struct ipc_part message;
	if (!ipc_unpack_part(body, &message))
		return error_set(&submission->result, ERROR_PERMANENT, "malformed part");
	struct transaction *transaction = find_transaction(queue, submission->peer, message.transaction);
	if (!transaction || transaction->busy)
		return error_set(&submission->result, ERROR_TEMPORARY, "the queue was restarted in the middle of the message");
	submission->transaction = transaction;
	submission->number = message.transaction;
	submission->writer = transaction->writer;
	submission->size = message.size;
	submission->complete = message.complete;
	if (message.complete && transaction->undecided)
		decide(submission, &message);
	transaction->busy = true;
	return true;
}

static void enqueue(struct queue *queue, struct submission *submission)
{
	if (queue->submitted_last)
		queue->submitted_last->next = submission;
	else
		queue->submitted_first = submission;
	queue->submitted_last = submission;
	wait_list_wake_one(&queue->submitted);
}

static void discard_submission(struct submission *submission)
{
	fd_close(&submission->fd);
	queue_entry_free(submission->entry);
	free(submission);
}

static void mark_aborted(struct submission *submission, const struct ipc_peer *peer, uint64_t number)
{
	if (submission->peer == peer && submission->number == number)
		submission->aborted = true;
}

/* A front that has waited too long for a first part aborts it wherever it is; what is being committed as a whole goes its way. */
static void take_abort(struct queue *queue, struct ipc_peer *peer, struct slice body)
{
	struct ipc_abort message;
	if (!ipc_unpack_abort(body, &message))
		return;
	for (struct submission *submission = queue->submitted_first; submission; submission = submission->next)
		mark_aborted(submission, peer, message.transaction);
	for (size_t i = 0; i < queue->writing_count; i++)
		mark_aborted(queue->writing[i], peer, message.transaction);
	struct transaction *transaction = find_transaction(queue, peer, message.transaction);
	if (transaction)
		drop_transaction(queue, transaction);
}

void accept_submit(struct queue *queue, struct ipc_peer *peer, struct ipc_incoming *incoming)
{
	if (incoming->type == IPC_ABORT_MESSAGE) {
		take_abort(queue, peer, incoming->body);
		return;
	}
	struct submission *submission = xcalloc(1, sizeof *submission);
	*submission = (struct submission){ .peer = peer, .call = incoming->call, .fd = -1 };
	ipc_hold(peer);
	if (incoming->fd_count == 1)
		submission->fd = fd_take(&incoming->fds[0]);
	bool taken = submission->fd < 0 ? error_set(&submission->result, ERROR_PERMANENT, "no descriptor came along") :
		     incoming->type == IPC_SUBMIT_MESSAGE ? take_submit(queue, submission, incoming->body) :
							    take_part(queue, submission, incoming->body);
	if (taken) {
		enqueue(queue, submission);
		return;
	}
	answer(submission);
	discard_submission(submission);
}

/* ---- Writing ---- */

struct batch {
	struct spool *spool;
	struct submission *items[SUBMISSIONS_AT_ONCE];
	size_t count;
};

/*
 * Messages that were frozen until they were decided, and are not to stay so: the journal says it before anybody is told that they were
 * taken. A crash before leaves one frozen that nobody was answered for; so would a journal that cannot be written, so the message goes then.
 */
static void thaw_decided(struct batch *batch, struct submission *complete[], size_t count, struct error results[])
{
	struct spool_record records[2 * SUBMISSIONS_AT_ONCE];
	struct message_id refused[SUBMISSIONS_AT_ONCE];
	struct error error, ignored;
	size_t recorded = 0, refused_count = 0;
	for (size_t i = 0; i < count; i++) {
		const struct spool_envelope *envelope = complete[i]->decided;
		if (!envelope || envelope->frozen || results[i].kind != ERROR_NONE)
			continue;
		records[recorded++] = (struct spool_record){ .id = envelope->id, .kind = SPOOL_RECORD_THAWED };
		if (envelope->queue_only)
			records[recorded++] = (struct spool_record){
				.id = envelope->id, .kind = SPOOL_RECORD_DEFERRED, .until_ns = envelope->received_ns, .text = SLICE("queued") };
	}
	if (recorded == 0 || spool_record(batch->spool, records, recorded, &error))
		return;
	for (size_t i = 0; i < count; i++) {
		if (!complete[i]->decided || complete[i]->decided->frozen || results[i].kind != ERROR_NONE)
			continue;
		results[i] = error;
		refused[refused_count++] = complete[i]->decided->id;
	}
	spool_remove(batch->spool, refused, refused_count, true, &ignored);
}

/* On a thread: writes every part, then commits the messages that are complete with one wait for the disk. */
static void write_batch(void *arg)
{
	struct batch *batch = arg;
	struct spool_writer *writers[SUBMISSIONS_AT_ONCE];
	struct submission *complete[SUBMISSIONS_AT_ONCE];
	struct error results[SUBMISSIONS_AT_ONCE] = { 0 };
	size_t ready = 0;
	for (size_t i = 0; i < batch->count; i++) {
		struct submission *item = batch->items[i];
		if (!item->writer && !spool_begin(batch->spool, item->entry->envelope, &item->writer, &item->result))
			continue;
		if (!spool_append(item->writer, item->fd, 0, item->size, &item->result)) {
			spool_abort(item->writer);
			item->writer = NULL;
		} else if (item->complete) {
			complete[ready] = item;
			writers[ready++] = item->writer;
		}
	}
	if (ready) {
		spool_commit(batch->spool, writers, ready, results);
		thaw_decided(batch, complete, ready, results);
	}
	for (size_t i = 0; i < ready; i++) {
		complete[i]->writer = NULL;
		complete[i]->result = results[i];
	}
}

/* Behind "for", as many as there is room for in a line. */
static void list_recipients(const struct spool_envelope *envelope, char *out, size_t size)
{
	size_t len = (size_t)snprintf(out, size, " for");
	for (size_t i = 0; i < envelope->recipient_count && envelope->recipients[i].address.len + 2 < size - len; i++)
		len += (size_t)snprintf(out + len, size - len, " %.*s", SLICE_ARG(envelope->recipients[i].address));
}

/* " A=authenticator:id", and with the item smtp_mailauth the authenticated sender. */
static void log_authenticated(const struct spool_envelope *envelope, unsigned items, char *out, size_t size)
{
	struct slice id = envelope->authenticated_id, sender = envelope->authenticated_sender;
	bool with_sender = items & LOG_ITEM_SMTP_MAILAUTH && sender.len;
	snprintf(out, size, " A=%.*s%s%.*s%s%.*s", SLICE_ARG(envelope->authenticated), id.len ? ":" : "", SLICE_ARG(id), with_sender ? ":" : "",
		 SLICE_ARG(with_sender ? sender : (struct slice){ 0 }));
}

/* "<=", as Exim writes it. */
static void log_arrival(struct queue *queue, const struct queue_entry *entry, uint64_t size)
{
	const struct spool_envelope *envelope = entry->envelope;
	unsigned items = queue->role->conf->main.log_items;
	struct slice sender = envelope->sender.len ? envelope->sender : SLICE("<>");
	char host[640] = "", tls[TLS_LOG_MAX], message_id[300] = "", from[600] = "", recipients[4096] = "", proxy[64] = "";
	char authenticated[AUTHENTICATED_MAX] = "", queue_name[QUEUE_NAME_MAX + 4] = "";
	if (envelope->host_address.len)
		mail_host_format(envelope->host_name, envelope->helo, envelope->host_address, host, sizeof host);
	const struct tls_log log = {
		envelope->cipher, envelope->peer_name, envelope->server_name, envelope->verified,
		envelope->tls_resumption & TLS_RESUMPTION_USED,
	};
	tls_log_fields(&log, items, tls);
	if (entry->message_id.len && items & LOG_ITEM_MSG_ID)
		snprintf(message_id, sizeof message_id, " id=%.*s", SLICE_ARG(entry->message_id));
	if (entry->proxy.len && items & LOG_ITEM_PROXY)
		snprintf(proxy, sizeof proxy, " PRX=%.*s", SLICE_ARG(entry->proxy));
	if (items & LOG_ITEM_RECEIVED_SENDER)
		snprintf(from, sizeof from, " from <%.*s>", SLICE_ARG(envelope->sender));
	if (items & LOG_ITEM_RECEIVED_RECIPIENTS)
		list_recipients(envelope, recipients, sizeof recipients);
	if (envelope->authenticated.len)
		log_authenticated(envelope, items, authenticated, sizeof authenticated);
	if (envelope->queue_name.len)
		snprintf(queue_name, sizeof queue_name, " Q=%.*s", SLICE_ARG(envelope->queue_name));
	const char *bits = !(items & LOG_ITEM_8BITMIME) ? "" : envelope->eight_bit_mime ? " M8S=8" : " M8S=0";
	log_line(&queue->role->log, LOG_KIND_MAIN, "%s <= %.*s%s%s P=%.*s%s%s%s S=%llu%s%s%s%s%s", entry->id.text, SLICE_ARG(sender),
		 *host ? " H=" : "", host, SLICE_ARG(envelope->protocol), tls, authenticated, proxy, (unsigned long long)size, bits, queue_name, message_id,
		 from, recipients);
}

/* The message is durable: log it, answer, deliver. A whole small message goes on from memory, without reading it back. */
static void accepted(struct queue *queue, struct submission *submission)
{
	struct queue_entry *entry = submission->entry;
	if (submission->transaction) {
		entry = submission->transaction->entry;
		end_transaction(queue, submission->transaction);
	} else if (queue->entries <= KEPT_OPEN) {
		entry->fd = fd_take(&submission->fd);
	}
	entry->envelope->body_size += submission->size;
	submission->entry = NULL;
	log_arrival(queue, entry, entry->envelope->body_size);
	answer(submission);
	schedule_arrival(queue, entry);
}

/* A part was taken, and more are to come. */
static void part_taken(struct queue *queue, struct submission *submission)
{
	struct transaction *transaction = submission->transaction;
	if (!transaction) {
		transaction = xcalloc(1, sizeof *transaction);
		*transaction = (struct transaction){
			.peer = submission->peer, .number = submission->number, .entry = submission->entry, .writer = submission->writer,
			.undecided = submission->undecided,
		};
		transaction->next = queue->transactions;
		queue->transactions = transaction;
		submission->entry = NULL;
	}
	transaction->busy = false;
	transaction->entry->envelope->body_size += submission->size;
	answer(submission);
	if (transaction->dropped || submission->aborted || ipc_is_lost(submission->peer))
		drop_transaction(queue, transaction);
}

static void refused(struct queue *queue, struct submission *submission)
{
	struct transaction *transaction = submission->transaction;
	answer(submission);
	log_line(&queue->role->log, LOG_KIND_PANIC, "message not accepted into the spool: %s", submission->result.text);
	if (!transaction)
		return;
	queue_entry_free(transaction->entry); /* its writer is gone already */
	end_transaction(queue, transaction);
}

static void finish_batch(struct queue *queue, struct batch *batch)
{
	for (size_t i = 0; i < batch->count; i++) {
		struct submission *submission = batch->items[i];
		if (submission->result.kind != ERROR_NONE)
			refused(queue, submission);
		else if (submission->complete)
			accepted(queue, submission);
		else
			part_taken(queue, submission);
		discard_submission(submission);
	}
}

/*
 * Under load a batch waits a moment for more to come: each costs the disk two commits, whatever its size. A message that comes
 * alone does not wait.
 */
static void gather(int64_t last_batch)
{
	if (clock_now() - last_batch < BATCH_BUSY)
		task_sleep_until(clock_after(BATCH_GATHERING));
	else
		task_yield(); /* whoever else is ready to submit gets the chance to be in this batch */
}

/* Nobody waits for it, and nothing of it is written yet. */
static void give_up(struct queue *queue, struct submission *submission)
{
	struct transaction *transaction = submission->transaction;
	if (transaction) {
		transaction->busy = false;
		drop_transaction(queue, transaction);
	}
	ipc_release(submission->peer);
	discard_submission(submission);
}

static void take_batch(struct queue *queue, struct batch *batch)
{
	while (queue->submitted_first && batch->count < SUBMISSIONS_AT_ONCE) {
		struct submission *submission = queue->submitted_first;
		queue->submitted_first = submission->next;
		if (submission->aborted)
			give_up(queue, submission);
		else
			batch->items[batch->count++] = submission;
	}
	if (!queue->submitted_first)
		queue->submitted_last = NULL;
}

static void accepting_task(void *arg)
{
	struct queue *queue = arg;
	int64_t last_batch = 0;
	for (;;) {
		struct batch batch = { .spool = queue->spool };
		while (!queue->submitted_first)
			if (wait_list_wait(&queue->submitted, CLOCK_NEVER) < 0)
				return;
		gather(last_batch);
		take_batch(queue, &batch);
		if (batch.count == 0)
			continue;
		queue->writing = batch.items;
		queue->writing_count = batch.count;
		offload(write_batch, &batch);
		queue->writing_count = 0;
		finish_batch(queue, &batch);
		last_batch = clock_now();
		if (spool_is_broken(queue->spool))
			queue_spool_broken(queue);
	}
}

void accept_start(struct queue *queue)
{
	/* One: a second batch beside it would halve both, and doubles the waits for the disk. */
	task_spawn(queue->role->loop, accepting_task, queue, "accepting");
}

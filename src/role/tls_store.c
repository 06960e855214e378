/* SPDX-License-Identifier: ISC */
#include "role/tls_store.h"

#include "base/cleanup.h"
#include "base/fatal.h"
#include "role/master.h"
#include "role/tls_content.h"
#include "role/tls_demands.h"
#include "role/tls_guard.h"
#include "role/tls_mark.h"
#include "role/tls_usable.h"

#include <fcntl.h>
#include <string.h>

#define WATCH_PERIOD CLOCK_SECOND
/* A directory of many thousands may take long to look at: the next look is so many times later, at 2 % of a processor. */
enum { LOOK_SPARING = 50, QUESTIONS_MAX = 1024 /* of fronts at a time; one that asks more is not well, and each has a task */ };
#define KEEPER_TIMEOUT (20 * CLOCK_SECOND)

struct item {
	enum tls_file_kind kind;
	char path[TLS_PATH_MAX], key_path[TLS_PATH_MAX];
	bool constant;         /* the configuration names it by itself */
	bool spared;           /* and can do without it */
	bool loading;          /* something is waited for; what is in use meanwhile is in `content` */
	enum { TAKEN, UNFIT, GUARDED } refused; /* not TAKEN: `used` is of files that were not, or not yet; `content` is of others before them */
	struct tls_content content; /* what it has in use */
	struct tls_mark used[2];   /* of the file and its key, when `content` was made or refused */
	struct tls_mark last[2];   /* at the last look */
	int64_t rests_until;       /* no look before that */
	struct guard_wait wait;
	bool told;                 /* that its chain is not good */
	uint64_t version;
	char problem[300];     /* empty: it is usable */
};

struct tls_store {
	struct master *master;
	struct conf *conf;
	unsigned references;
	struct item *items[TLS_STORE_MAX];
	size_t count;
	struct wait_list loaded;
	bool looked_at_demands;
};

/* ---- Marks ---- */

static void take_marks(const struct item *item, struct tls_mark marks[2])
{
	marks[0] = tls_mark_of(item->kind, item->path);
	marks[1] = tls_mark_of(TLS_FILE_CHAIN, item->key_path);
}

static bool same_marks(const struct tls_mark a[2], const struct tls_mark b[2])
{
	return tls_mark_same(&a[0], &b[0]) && tls_mark_same(&a[1], &b[1]);
}

/*
 * Notes the marks of what it reads, in `used`. Chain and key belong together: they are read again while their files change, which no more often
 * happens than somebody replaces them.
 */
static bool read_content(struct item *item, struct tls_content *content, struct error *error)
{
	enum { TRIES = 5 };
	struct tls_mark after[2];
	for (int i = 1;; i++) {
		take_marks(item, item->used);
		bool good = tls_content_read(item->kind, item->path, item->key_path, content, error);
		if (item->kind != TLS_FILE_CHAIN || i == TRIES)
			return good;
		take_marks(item, after);
		if (same_marks(after, item->used))
			return good;
		tls_content_drop(content);
	}
}

/* ---- Items ---- */

static struct item *find_item(const struct tls_store *store, enum tls_file_kind kind, struct slice path, struct slice key_path)
{
	for (size_t i = 0; i < store->count; i++) {
		struct item *item = store->items[i];
		if (item->kind == kind && slice_equal(slice_of(item->path), path) && slice_equal(slice_of(item->key_path), key_path))
			return item;
	}
	return NULL;
}

static struct item *add_item(struct tls_store *store, const struct tls_want *want)
{
	if (store->count == TLS_STORE_MAX)
		return NULL;
	struct item *item = xcalloc(1, sizeof *item);
	*item = (struct item){ .kind = want->kind, .spared = want->spared, .content = { .fd = -1, .key_fd = -1 } };
	if (!slice_to_cstr(want->path, item->path, sizeof item->path) || !slice_to_cstr(want->key_path, item->key_path, sizeof item->key_path)) {
		free(item);
		return NULL;
	}
	return store->items[store->count++] = item;
}

static void remove_item(struct tls_store *store, struct item *item)
{
	for (size_t i = 0; i < store->count; i++)
		if (store->items[i] == item)
			store->items[i] = store->items[--store->count];
	tls_content_drop(&item->content);
	free(item);
}

struct tls_store *tls_store_new(struct master *master, const struct conf *conf)
{
	struct tls_store *store = xcalloc(1, sizeof *store);
	struct tls_want wants[TLS_WANTS_MAX];
	struct arena arena;
	store->master = master;
	store->conf = conf_ref((struct conf *)(uintptr_t)conf);
	store->references = 1;
	arena_init(&arena, 0);
	size_t count = tls_wants_of(conf, &arena, wants);
	for (size_t i = 0; i < count; i++) {
		struct error error;
		struct item *item = find_item(store, wants[i].kind, wants[i].path, wants[i].key_path) ? NULL : add_item(store, &wants[i]);
		if (!item)
			continue;
		item->constant = true;
		item->version = ++master->tls_version;
		if (!read_content(item, &item->content, &error))
			snprintf(item->problem, sizeof item->problem, "%s", error.text);
		memcpy(item->last, item->used, sizeof item->last);
	}
	arena_free(&arena);
	return store;
}

static void unref(struct tls_store *store)
{
	if (--store->references)
		return;
	while (store->count)
		remove_item(store, store->items[0]);
	conf_unref(&store->conf);
	free(store);
}

void tls_store_free(struct tls_store *store)
{
	if (store)
		unref(store);
}

bool tls_store_problem(const struct tls_store *store, struct error *error)
{
	for (size_t i = 0; i < store->count; i++)
		if (store->items[i]->constant && !store->items[i]->spared && *store->items[i]->problem) {
			error_set(error, ERROR_USAGE, "%s", store->items[i]->problem);
			return true;
		}
	return false;
}

static bool is_good(const struct tls_content *content, struct error *error)
{
	return chain_is_good(&content->verdict, clock_wall_now() / CLOCK_SECOND, error);
}

/* A chain that is used though it is not good: there was no better one, or its time has come to an end. */
static void tell_fault(const struct tls_store *store, struct item *item)
{
	struct error error;
	if (item->kind != TLS_FILE_CHAIN || item->content.fd < 0 || item->loading || *item->problem || item->told || is_good(&item->content, &error))
		return;
	item->told = true;
	log_line(&store->master->log, LOG_KIND_PANIC, "TLS: %s is in use, but %s", item->path, error.text);
}

void tls_store_complain(const struct tls_store *store)
{
	for (size_t i = 0; i < store->count; i++) {
		if (*store->items[i]->problem)
			log_line(&store->master->log, LOG_KIND_PANIC, "TLS error: %s", store->items[i]->problem);
		tell_fault(store, store->items[i]);
	}
}

/* ---- Messages ---- */

static void send_file(const struct item *item, struct ipc_peer *front, uint64_t call, const char *problem)
{
	struct ipc_tls_file message = {
		.kind = item->kind, .path = slice_of(item->path), .key_path = slice_of(item->key_path), .version = item->version,
		.directory = item->content.directory, .problem = slice_of(problem),
	};
	bool good = !*problem && item->content.fd >= 0;
	if (front)
		ipc_send(front, tls_file, TLS_FILE, call, &message, good ? &item->content.fd : NULL, good ? 1 : 0);
}

void tls_store_send_files(const struct tls_store *store, struct ipc_peer *front)
{
	for (size_t i = 0; i < store->count; i++)
		if (store->items[i]->constant)
			send_file(store->items[i], front, 0, store->items[i]->problem);
}

static bool wants_proof(const struct tls_store *store, const struct item *item)
{
	return store->conf->main.tls_ocsp_fetch && item->kind == TLS_FILE_CHAIN && item->content.fd >= 0;
}

void tls_store_send_chains(const struct tls_store *store, struct child *fetch)
{
	for (size_t i = 0; i < store->count; i++)
		if (wants_proof(store, store->items[i]))
			child_want_proof(fetch, slice_of(store->items[i]->path), store->items[i]->content.fd);
}

/* One that is new, or has changed. */
static void tell_fetch(const struct tls_store *store, const struct item *item)
{
	struct child *fetch = child_find(store->master, ROLE_FETCH, 0);
	if (wants_proof(store, item) && store == store->master->tls && fetch && fetch->ready && fetch->peer)
		child_want_proof(fetch, slice_of(item->path), item->content.fd);
}

static struct ipc_key key_message(const struct item *item, const struct tls_content *content)
{
	return (struct ipc_key){
		.path = slice_of(item->key_path), .expected = slice_make(content->key.bytes, KEY_ID_LEN),
		.certificate_path = slice_of(item->path),
	};
}

void tls_store_send_keys(const struct tls_store *store, struct ipc_peer *keeper)
{
	for (size_t i = 0; i < store->count; i++) {
		const struct item *item = store->items[i];
		struct ipc_key message = key_message(item, &item->content);
		if (item->content.key_fd >= 0)
			ipc_send(keeper, key, KEY, 0, &message, &item->content.key_fd, 1);
	}
}

void tls_store_key_taken(struct tls_store *store, struct slice body)
{
	struct ipc_key_taken message;
	if (!ipc_unpack_key_taken(body, &message))
		return;
	struct item *item = find_item(store, TLS_FILE_CHAIN, message.certificate_path, message.path);
	if (item)
		snprintf(item->problem, sizeof item->problem, "%.*s", SLICE_ARG(message.problem));
}

/* Hands the key over and waits for the keeper's word. */
static bool ask_keeper(struct tls_store *store, const struct item *item, const struct tls_content *content, struct error *error)
{
	struct child *keeper = child_find(store->master, ROLE_KEEPER, 0);
	struct ipc_key message = key_message(item, content);
	struct ipc_reply reply = { 0 };
	struct ipc_key_taken answer;
	bool fits = false;
	if (!keeper || !keeper->ready || !keeper->peer)
		return error_set(error, ERROR_TEMPORARY, "the keeper is being started again");
	if (ipc_call(keeper->peer, key, KEY, &message, &content->key_fd, 1, clock_after(KEEPER_TIMEOUT), &reply) < 0 ||
	    reply.type != IPC_KEY_TAKEN_MESSAGE || !ipc_unpack_key_taken(reply.body, &answer))
		error_set(error, ERROR_TEMPORARY, "the keeper gave no answer about %s", item->key_path);
	else
		fits = answer.problem.len == 0 || error_set(error, ERROR_USAGE, "%.*s", SLICE_ARG(answer.problem));
	ipc_reply_free(&reply);
	return fits;
}

/* ---- What fronts ask for ---- */

struct question {
	struct tls_store *store;
	struct child *front;
	struct ipc_peer *peer;
	uint64_t call;
	enum tls_file_kind kind;
	char path[TLS_PATH_MAX], key_path[TLS_PATH_MAX];
};

/* Only what the configuration names, and no way out of it. */
static bool may_open(const struct conf *conf, enum tls_file_kind kind, struct slice path, struct error *error)
{
	struct slice rest = path;
	if (kind == TLS_FILE_TRUST && slice_equal(path, SLICE("system")))
		return true;
	if (!path.len || path.data[0] != '/')
		return error_set(error, ERROR_USAGE, "%.*s is not an absolute path", SLICE_ARG(slice_first(path, 200)));
	while (rest.len) {
		struct slice component = slice_cut(&rest, '/');
		if (slice_equal(component, SLICE("..")) || slice_equal(component, SLICE(".")))
			return error_set(error, ERROR_USAGE, "%.*s has a component \"%.*s\"", SLICE_ARG(slice_first(path, 200)),
					 SLICE_ARG(component));
	}
	return conf_tls_allows(conf, path) ||
	       error_set(error, ERROR_USAGE, "%.*s is not below a directory that the configuration names as constant text",
			 SLICE_ARG(slice_first(path, 200)));
}

static bool load_wanted(struct question *question, struct item *item, struct error *error)
{
	struct tls_content content;
	bool good = may_open(question->store->conf, item->kind, slice_of(item->path), error) &&
		    (item->kind != TLS_FILE_CHAIN || may_open(question->store->conf, TLS_FILE_CHAIN, slice_of(item->key_path), error));
	if (!good || !read_content(item, &content, error))
		return false;
	memcpy(item->last, item->used, sizeof item->last);
	if (item->kind == TLS_FILE_CHAIN && !ask_keeper(question->store, item, &content, error)) {
		tls_content_drop(&content);
		return false;
	}
	item->content = content;
	return true;
}

/* What is new has nothing before it that could stay in use; but that it breaks DANE must not go unnoticed. Waits. */
static void tell_published(const struct tls_store *store, const struct item *item)
{
	struct error error;
	if (item->kind != TLS_FILE_CHAIN || *item->problem || item->content.fd < 0)
		return;
	/* One of its own: meanwhile the file may be replaced. */
	_cleanup_fd_ int fd = fcntl(item->content.fd, F_DUPFD_CLOEXEC, 3);
	if (tls_guard_ask(store->master, store->conf, item->path, fd, &error) != TLS_GUARD_USE)
		log_line(&store->master->log, LOG_KIND_PANIC, "TLS: %s is in use, but: %s", item->path, error.text);
}

/* What is new and has been loaded for it, or NULL. */
static struct item *answer_question(struct question *question)
{
	struct tls_store *store = question->store;
	struct tls_want want = { question->kind, slice_of(question->path), slice_of(question->key_path) };
	struct error error = { 0 };
	struct item *item;
	/* Another front may have asked for the same. */
	while ((item = find_item(store, want.kind, want.path, want.key_path)) && item->loading && item->content.fd < 0)
		if (wait_list_wait(&store->loaded, clock_after(KEEPER_TIMEOUT)) < 0)
			return NULL;
	if (item) {
		send_file(item, question->peer, question->call, item->problem);
		return NULL;
	}
	struct item nothing = { .kind = want.kind, .content = { .fd = -1, .key_fd = -1 } };
	item = add_item(store, &want);
	if (!item) {
		send_file(&nothing, question->peer, question->call, "too many files for TLS");
		return NULL;
	}
	item->loading = true;
	item->version = ++store->master->tls_version;
	bool good = load_wanted(question, item, &error);
	item->loading = false;
	send_file(item, question->peer, question->call, good ? "" : error.text);
	if (good)
		tell_fetch(store, item);
	else
		remove_item(store, item);
	wait_list_wake_all(&store->loaded);
	return good ? item : NULL;
}

static void question_task(void *arg)
{
	struct question *question = arg;
	struct item *loaded = answer_question(question);
	/* A front that has died is replaced when nobody holds its connection, and the DNS may take its time. */
	ipc_release(question->peer);
	if (loaded) {
		tell_fault(question->store, loaded);
		tell_published(question->store, loaded);
	}
	unref(question->store);
	free(question);
}

void tls_store_wanted(struct tls_store *store, struct child *front, struct ipc_incoming *incoming)
{
	struct ipc_tls_file_wanted message;
	struct question *question = xcalloc(1, sizeof *question);
	if (!store || store->references > QUESTIONS_MAX || !ipc_unpack_tls_file_wanted(incoming->body, &message) || message.kind >= TLS_FILE_KINDS ||
	    !slice_to_cstr(message.path, question->path, sizeof question->path) ||
	    !slice_to_cstr(message.key_path, question->key_path, sizeof question->key_path)) {
		free(question);
		return; /* the front's call times out */
	}
	question->store = store;
	question->front = front;
	question->peer = front->peer;
	question->call = incoming->call;
	question->kind = (enum tls_file_kind)message.kind;
	store->references++;
	ipc_hold(front->peer);
	task_spawn(store->master->loop, question_task, question, "tls file");
}

/* ---- Changes ---- */

static void tell_fronts(const struct tls_store *store, const struct item *item)
{
	struct master *master = store->master;
	for (unsigned i = 0; i < master->fronts; i++) {
		struct child *front = child_find(master, ROLE_FRONT, i);
		if (front && front->ready && front->peer)
			send_file(item, front->peer, 0, item->problem);
	}
}

/* Whether published TLSA records permit the new certificate. Without an answer it is asked again later. */
static bool guard_permits(struct tls_store *store, struct item *item, const struct tls_content *content, struct error *error)
{
	enum tls_guard_answer answer = tls_guard_ask(store->master, store->conf, item->path, content->fd, error);
	if (answer == TLS_GUARD_LATER && guard_wait_on(&item->wait, clock_now()))
		return error_context(error, "it is tried again in a minute");
	item->wait = (struct guard_wait){ 0 };
	if (answer == TLS_GUARD_LATER)
		log_line(&store->master->log, LOG_KIND_PANIC, "TLS: %s is used unchecked, after an hour without an answer: %s", item->path, error->text);
	return answer != TLS_GUARD_REFUSE;
}

/*
 * Chains that the fronts asked for are taken along: otherwise a reload would forget what was in use before, and let in what is refused. What has
 * changed since, is being looked at, or was refused by a guard that there no longer is, is found by the next look.
 */
static void take_along(struct tls_store *store, const struct tls_store *old)
{
	bool guarded = slice_equal(store->conf->main.tls_tlsa_guard, SLICE("true"));
	struct error ignored;
	for (size_t i = 0; i < old->count; i++) {
		const struct item *before = old->items[i];
		const struct tls_want want = { before->kind, slice_of(before->path), slice_of(before->key_path) };
		if (before->kind != TLS_FILE_CHAIN || before->content.fd < 0 || find_item(store, want.kind, want.path, want.key_path) ||
		    !may_open(store->conf, want.kind, want.path, &ignored) || !may_open(store->conf, want.kind, want.key_path, &ignored))
			continue;
		struct item *item = add_item(store, &want);
		if (!item)
			return;
		item->content = before->content;
		item->content.fd = fcntl(before->content.fd, F_DUPFD_CLOEXEC, 3);
		item->content.key_fd = fcntl(before->content.key_fd, F_DUPFD_CLOEXEC, 3);
		item->refused = before->refused;
		item->wait = before->wait;
		item->told = before->told;
		item->version = before->version;
		if (!before->loading && (guarded || before->refused != GUARDED))
			memcpy(item->used, before->used, sizeof item->used);
		memcpy(item->last, before->last, sizeof item->last);
		if (item->content.fd < 0 || item->content.key_fd < 0)
			remove_item(store, item);
	}
}

static bool serves(const struct tls_store *store, const struct item *item, const struct tls_content *content, struct error *error)
{
	return is_good(content, error) && tls_usable(store->conf, item->path, content, error);
}

/*
 * Whether a chain may come into the place of the one that is in use: one that does not belong together, is not valid now, or that the fronts
 * could not use does not if that one does, is, and can be.
 */
static bool may_replace(const struct tls_store *store, const struct item *item, const struct tls_content *before,
			const struct tls_content *content, struct error *error)
{
	struct error ignored;
	return serves(store, item, content, error) || !serves(store, item, before, &ignored);
}

bool tls_store_guard(struct tls_store *store, const struct tls_store *old, struct error *error)
{
	for (size_t i = 0; i < store->count; i++) {
		struct item *item = store->items[i];
		const struct item *before = old ? find_item(old, item->kind, slice_of(item->path), slice_of(item->key_path)) : NULL;
		bool same = before && before->content.fd >= 0 && same_marks(before->used, item->used);
		if (item->kind != TLS_FILE_CHAIN || item->content.fd < 0 || (same && !before->refused))
			continue;
		if (before && before->content.fd >= 0 && !*before->problem && !may_replace(store, item, &before->content, &item->content, error))
			return error_context(error, "%s", item->path);
		enum tls_guard_answer answer = tls_guard_ask(store->master, store->conf, item->path, item->content.fd, error);
		if (answer == TLS_GUARD_REFUSE)
			return error_context(error, "%s", item->path);
		if (answer == TLS_GUARD_LATER)
			log_line(&store->master->log, LOG_KIND_PANIC, "TLS: %s is used unchecked: %s", item->path, error->text);
	}
	if (old)
		take_along(store, old);
	return true;
}

/*
 * A key that an item no longer has: the keeper need not have it, unless it is another's too, or perhaps that of one
 * that is just being loaded. A reload gives the keeper all keys anew.
 */
static void release_key(const struct tls_store *store, const struct key_id *key)
{
	struct child *keeper = child_find(store->master, ROLE_KEEPER, 0);
	struct ipc_key_replaced message = { .key = slice_make(key->bytes, KEY_ID_LEN) };
	for (size_t i = 0; i < store->count; i++) {
		const struct item *item = store->items[i];
		bool has = item->kind == TLS_FILE_CHAIN && item->content.fd >= 0 && memcmp(item->content.key.bytes, key->bytes, KEY_ID_LEN) == 0;
		if (has || item->loading)
			return;
	}
	if (keeper && keeper->ready && keeper->peer && store == store->master->tls && !store->master->reloading)
		ipc_send(keeper->peer, key_replaced, KEY_REPLACED, 0, &message, NULL, 0);
}

/* Reads what the files are now. False with *error when it is not to be used; `content` has nothing open then. */
static bool read_changed(struct tls_store *store, struct item *item, bool had, struct tls_content *content, struct error *error)
{
	item->refused = UNFIT;
	if (!read_content(item, content, error))
		return false;
	if (item->kind != TLS_FILE_CHAIN)
		return true;
	bool good = !had || may_replace(store, item, &item->content, content, error);
	if (good && had && !guard_permits(store, item, content, error)) {
		item->refused = GUARDED;
		good = false;
	}
	/* Last, for from here on nothing is waited for: what the keeper has taken comes into use, and a keeper that is started again has its key. */
	if (good && !ask_keeper(store, item, content, error)) {
		good = false;
		if (error->kind == ERROR_TEMPORARY)
			memset(item->used, 0, sizeof item->used); /* the next look finds it again */
	}
	if (!good)
		tls_content_drop(content);
	return good;
}

/* The files are others now: into use, if they can be used. */
static void renew(struct tls_store *store, struct item *item)
{
	struct tls_content content;
	struct error error = { 0 };
	bool had = item->content.fd >= 0 && !*item->problem;
	item->loading = true;
	bool good = read_changed(store, item, had, &content, &error);
	item->loading = false;
	wait_list_wake_all(&store->loaded);
	if (!good) {
		log_line(&store->master->log, LOG_KIND_PANIC, "TLS error: %s has changed and is not used: %s%s", item->path, error.text,
			 had ? "; what was in use before stays" : "");
		return;
	}
	item->refused = TAKEN;
	struct key_id before = item->content.key;
	tls_content_drop(&item->content);
	item->content = content;
	*item->problem = '\0';
	item->told = false;
	item->version = ++store->master->tls_version;
	tell_fronts(store, item);
	if (had && item->kind == TLS_FILE_CHAIN)
		release_key(store, &before);
	tell_fetch(store, item);
	if (item->kind != TLS_FILE_NAMES)
		log_line(&store->master->log, LOG_KIND_MAIN, "TLS: %s has changed; new connections use it", item->path);
	tell_fault(store, item);
}

static void look_at(struct tls_store *store, struct item *item)
{
	struct tls_mark now[2];
	int64_t began = clock_now();
	if (item->loading || began < item->rests_until)
		return;
	take_marks(item, now);
	item->rests_until = clock_now() + LOOK_SPARING * (clock_now() - began);
	bool changed = !same_marks(now, item->used), stable = same_marks(now, item->last);
	memcpy(item->last, now, sizeof item->last);
	/* Two files are seldom replaced at one moment: only what has stood for a while is looked at. */
	if (!stable || !guard_wait_take(&item->wait, changed, clock_now()))
		return;
	memcpy(item->used, now, sizeof item->used);
	renew(store, item);
}

static void watch_item(struct tls_store *store, struct item *item)
{
	look_at(store, item);
	tell_fault(store, item);
}

/* Of a configuration that has come into use. */
static void look_at_demands(struct tls_store *store)
{
	if (!store->looked_at_demands)
		tls_demands_tell(store->master, store->conf);
	store->looked_at_demands = true;
}

static void look_at_published(struct tls_store *store)
{
	for (size_t i = 0; i < store->count && store == store->master->tls; i++)
		if (store->items[i]->constant)
			tell_published(store, store->items[i]);
}

void tls_store_watch(void *arg)
{
	struct master *master = arg;
	bool looked = false;
	while (task_sleep_until(clock_after(WATCH_PERIOD)) == 0) {
		struct tls_store *store = master->tls;
		if (!store || master->stopping || master->reloading)
			continue;
		store->references++;
		if (!looked)
			look_at_published(store);
		looked = true;
		look_at_demands(store);
		for (size_t i = 0; i < store->count && store == master->tls; i++)
			watch_item(store, store->items[i]);
		unref(store);
	}
}

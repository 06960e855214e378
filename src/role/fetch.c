/* SPDX-License-Identifier: ISC */
/*
 * The fetch role: renews OCSP proofs by itself (tls_ocsp_fetch). It has outgoing connections and one directory of its own, in the
 * spool directory; no client connections, no mail, no keys. Certificates come from the master, at the start, at a
 * reload, and when a file was replaced; the responder is the one that the certificate names, its addresses come from the lookup role.
 *
 * A certificate is a task: it loads the proof that is on the disk, then fetches a new one whenever fetch_next_try says, one request at a
 * time for each responder. What it gets is checked as a file would be, stored, and sent to all fronts at once; a front
 * that is started later gets everything when it is connected.
 */
#include "role/fetch.h"

#include "base/cleanup.h"
#include "base/fatal.h"
#include "expand/service.h"
#include "net/address.h"
#include "net/http.h"
#include "role/ask.h"
#include "role/process.h"
#include "task/offload.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/err.h>

enum {
	CERTIFICATES_MAX = 4096,
	CERTIFICATE_FILE_MAX = 1024 * 1024,
	REQUEST_SECONDS = 30,
	STATE_SECONDS = 100 * 86400, /* proofs live for days */
	PATH_SIZE = 1024,
};
#define RESOLVE_TIME (30 * CLOCK_SECOND)
/* The wall clock may be set: no sleep is longer. */
#define SLEEP_MOST (3600 * CLOCK_SECOND)

/* One at a time asks it; the others wait. */
struct responder {
	struct responder *next;
	char name[HTTP_HOST_MAX + 8];
	bool busy;
	struct wait_list waiting;
};

struct target {
	struct target *next;
	struct fetcher *fetcher;
	struct task *task;
	uint64_t generation;     /* of the material that named it last */
	bool unwanted;           /* its task ends, and frees it */
	char path[PATH_SIZE];
	char url[HTTP_URL_MAX];
	struct ocsp_print print;
	X509 *certificate, *issuer;
	struct buf proof;        /* the valid one, or empty */
	struct ocsp_verdict verdict;
	struct fetch_history history;
	char problem[480];       /* what was logged last */
	bool told_end;           /* that the proof has ended */
	bool revoked;            /* says the responder's last answer */
};

struct front_line {
	struct front_line *next;
	struct fetcher *fetcher;
	struct ipc_peer *peer;
};

struct fetcher {
	struct role_process *role;
	struct ask_line lookup;
	struct target *targets;
	size_t target_count;
	struct responder *responders;
	struct front_line *fronts;
	uint64_t generation;     /* of the material that is being received */
	int directory;           /* -1: none yet */
};

static int64_t now_in_seconds(void)
{
	return clock_wall_now() / CLOCK_SECOND;
}

/* ---- Proofs to the fronts ---- */

static void send_proof(const struct target *target, struct ipc_peer *peer)
{
	struct ipc_proof message = {
		.certificate = slice_make(target->print.bytes, sizeof target->print.bytes), .proof = buf_slice(&target->proof),
	};
	if (message.proof.len)
		ipc_send(peer, proof, PROOF, 0, &message, NULL, 0);
}

static void publish(const struct target *target)
{
	for (struct front_line *line = target->fetcher->fronts; line; line = line->next)
		send_proof(target, line->peer);
}

static void unexpected(void *owner, struct ipc_peer *peer, struct ipc_incoming *incoming)
{
	(void)owner;
	(void)peer;
	(void)incoming; /* fronts have nothing to say here */
}

static void front_lost(void *owner, struct ipc_peer *peer)
{
	struct front_line *line = owner;
	struct front_line **at = &line->fetcher->fronts;
	while (*at != line)
		at = &(*at)->next;
	*at = line->next;
	ipc_close_later(peer);
	free(line);
}

static const struct ipc_handler front_handler = { unexpected, front_lost };

static void fetch_connected(struct role_process *role, int fd, enum role other, unsigned index, uid_t uid)
{
	struct fetcher *fetcher = role->state;
	(void)index;
	(void)uid;
	if (other == ROLE_LOOKUP) {
		ask_connected(&fetcher->lookup, role->loop, fd, ROLE_FETCH);
		return;
	}
	if (other != ROLE_FRONT)
		fatal("the fetch role talks to fronts and the lookup role only");
	struct front_line *line = xcalloc(1, sizeof *line);
	*line = (struct front_line){ .next = fetcher->fronts, .fetcher = fetcher };
	line->peer = ipc_open(role->loop, fd, ROLE_FETCH, ROLE_FRONT, &front_handler, line);
	fetcher->fronts = line;
	for (const struct target *target = fetcher->targets; target; target = target->next)
		send_proof(target, line->peer);
}

/* ---- Taking proofs ---- */

/* Checks it and keeps it. False and *error: what there was stays. */
static bool take_proof(struct target *target, struct slice der, const char *from, struct error *error)
{
	struct ocsp_verdict verdict;
	OCSP_RESPONSE *proof = ocsp_proof_read(der, from, error);
	if (!proof)
		return false;
	ocsp_check(proof, target->certificate, target->issuer, now_in_seconds(), &verdict);
	OCSP_RESPONSE_free(proof);
	target->revoked = verdict.revoked;
	if (!verdict.valid)
		return error_set(error, ERROR_TEMPORARY, "the proof from %s is not valid: %s", from, verdict.reason);
	if (buf_len(&target->proof) && verdict.this_update < target->verdict.this_update)
		return error_set(error, ERROR_TEMPORARY, "the proof from %s is older than the one that is there", from);
	buf_reset(&target->proof);
	buf_append(&target->proof, der);
	target->verdict = verdict;
	target->told_end = false;
	target->history.has_proof = true;
	target->history.this_update = verdict.this_update;
	target->history.next_update = verdict.next_update;
	return true;
}

struct state_job {
	const struct target *target;
	struct buf proof;
	bool done;
	struct error error;
};

static void read_on_thread(void *arg)
{
	struct state_job *job = arg;
	job->done = fetch_state_read(job->target->fetcher->directory, &job->target->print, &job->proof);
}

static void write_on_thread(void *arg)
{
	struct state_job *job = arg;
	job->done = fetch_state_write(job->target->fetcher->directory, &job->target->print, buf_slice(&job->proof), &job->error);
}

/* A proof of the last run that is still valid saves a request, and is there at the first handshake. */
static void load_state(struct target *target)
{
	struct state_job job = { .target = target };
	struct error error;
	buf_init(&job.proof, OCSP_RESPONSE_MAX + 4096);
	offload(read_on_thread, &job);
	if (job.done && take_proof(target, buf_slice(&job.proof), "the disk", &error))
		publish(target);
	buf_free(&job.proof);
}

static void store_state(struct target *target)
{
	struct state_job job = { .target = target };
	buf_init(&job.proof, OCSP_RESPONSE_MAX);
	buf_append(&job.proof, buf_slice(&target->proof));
	offload(write_on_thread, &job);
	if (!job.done)
		log_line(&target->fetcher->role->log, LOG_KIND_PANIC, "OCSP: %s", job.error.text);
	buf_free(&job.proof);
}

/* ---- Asking ---- */

/* Responders are few, and forgotten with the process. */
static struct responder *responder_of(struct fetcher *fetcher, const char *host, unsigned port)
{
	char name[HTTP_HOST_MAX + 8];
	snprintf(name, sizeof name, "%s:%u", host, port);
	for (struct responder *responder = fetcher->responders; responder; responder = responder->next)
		if (strcmp(responder->name, name) == 0)
			return responder;
	struct responder *responder = xcalloc(1, sizeof *responder);
	snprintf(responder->name, sizeof responder->name, "%s", name);
	responder->next = fetcher->responders;
	fetcher->responders = responder;
	return responder;
}

static bool hold_responder(struct responder *responder)
{
	while (responder->busy) {
		if (wait_list_wait(&responder->waiting, CLOCK_NEVER) >= 0)
			continue;
		if (!responder->busy) /* the turn that comes with a cancellation is the next one's */
			wait_list_wake_one(&responder->waiting);
		return false;
	}
	responder->busy = true;
	return true;
}

static void release_responder(struct responder *responder)
{
	responder->busy = false;
	wait_list_wake_one(&responder->waiting);
}

/* The addresses as http_request has them; data NULL when the host is one itself. */
static bool find_addresses(struct fetcher *fetcher, const char *host, struct arena *arena, const char **addresses_r,
			   struct error *error)
{
	struct net_address literal;
	struct expand_answer answer = { 0 };
	struct expand_request request = {
		.service = EXPAND_SERVICE_HOST_ADDRESSES, .key = slice_of(host), .deadline = clock_after(RESOLVE_TIME),
	};
	*addresses_r = NULL;
	if (net_address_parse(slice_of(host), &literal))
		return true;
	if (role_ask(&fetcher->lookup, &request, arena, &answer, error) != EXPAND_OK)
		return error_context(error, "looking up %s", host);
	struct slice rest = slice_trim(answer.text), list = { 0 };
	for (int count = 0; rest.len && count < 8; count++) {
		struct slice one = slice_cut(&rest, ' ');
		bool six = slice_find(one, ':') < one.len;
		list = arena_printf(arena, "%.*s%s%s%.*s%s", SLICE_ARG(list), list.len ? "," : "", six ? "[" : "", SLICE_ARG(one),
				    six ? "]" : "");
	}
	if (!answer.found || !list.len)
		return error_set(error, ERROR_TEMPORARY, "the responder's host %s has no address", host);
	*addresses_r = list.data;
	return true;
}

struct http_job {
	struct http_request request;
	struct buf answer;
	bool done;
	struct error error;
};

static void post_on_thread(void *arg)
{
	struct http_job *job = arg;
	job->done = http_post(&job->request, &job->answer, &job->error);
}

static bool post(struct target *target, const char *host, struct slice body, struct buf *answer, struct error *error)
{
	struct arena arena;
	struct http_job job = {
		.request = { .url = target->url, .body = body, .content_type = "application/ocsp-request",
			     .accept = "application/ocsp-response", .seconds = REQUEST_SECONDS },
	};
	arena_init(&arena, 0);
	buf_init(&job.answer, OCSP_RESPONSE_MAX);
	bool done = find_addresses(target->fetcher, host, &arena, &job.request.addresses, error);
	if (done) {
		offload(post_on_thread, &job);
		done = job.done;
		*error = job.error;
	}
	if (done)
		buf_append(answer, buf_slice(&job.answer));
	buf_free(&job.answer);
	arena_free(&arena);
	return done;
}

static bool ask_responder(struct target *target, struct error *error)
{
	char host[HTTP_HOST_MAX];
	unsigned port;
	struct buf request, answer;
	if (!http_url_parse(target->url, host, &port, error))
		return false;
	struct responder *responder = responder_of(target->fetcher, host, port);
	if (!hold_responder(responder))
		return error_set(error, ERROR_TEMPORARY, "ended");
	buf_init(&request, 4096);
	buf_init(&answer, OCSP_RESPONSE_MAX);
	bool done = ocsp_request_write(target->certificate, target->issuer, &request, error) &&
		    post(target, host, buf_slice(&request), &answer, error);
	release_responder(responder);
	done = done && take_proof(target, buf_slice(&answer), target->url, error);
	buf_free(&request);
	buf_free(&answer);
	return done;
}

/* ---- The task of a certificate ---- */

static void note_success(struct target *target, int64_t before)
{
	struct log *log = &target->fetcher->role->log;
	char until[32];
	*target->problem = '\0';
	if (target->verdict.this_update > before)
		log_line(log, LOG_KIND_MAIN, "OCSP: new proof for %s from %s, good until %s", target->path, target->url,
			 ocsp_format_time(target->verdict.next_update, until, sizeof until));
}

/* The same reason is logged once, so that a responder that is down for a day does not fill the log. */
static void note_failure(struct target *target, const struct error *error)
{
	struct log *log = &target->fetcher->role->log;
	if (strcmp(target->problem, error->text) == 0)
		return;
	snprintf(target->problem, sizeof target->problem, "%s", error->text);
	bool demanded = ocsp_is_must_staple(target->certificate) && !buf_len(&target->proof);
	log_line(log, target->revoked || demanded ? LOG_KIND_PANIC : LOG_KIND_MAIN, "OCSP: no new proof for %s%s: %s; next try in %lld seconds",
		 target->path, demanded ? ", which demands one (Must-Staple, RFC 7633)" : "", error->text,
		 (long long)(fetch_next_try(&target->history) - now_in_seconds()));
}

static void note_end(struct target *target)
{
	char until[32];
	if (!target->history.has_proof || target->told_end || now_in_seconds() <= target->verdict.served_until)
		return;
	target->told_end = true;
	log_line(&target->fetcher->role->log, LOG_KIND_PANIC, "OCSP: the proof for %s was good until %s, and no new one could be fetched: %s",
		 target->path, ocsp_format_time(target->verdict.served_until, until, sizeof until),
		 *target->problem ? target->problem : "the responder has none");
}

/* False: cancelled. */
static bool wait_for_turn(struct target *target)
{
	for (;;) {
		int64_t left = (fetch_next_try(&target->history) - now_in_seconds()) * CLOCK_SECOND;
		note_end(target);
		if (left <= 0)
			return !task_is_cancelled(task_current());
		if (task_sleep_until(clock_after(left < SLEEP_MOST ? left : SLEEP_MOST)) < 0 && task_is_cancelled(task_current()))
			return false;
	}
}

static void free_target(struct target *target)
{
	X509_free(target->certificate);
	X509_free(target->issuer);
	buf_free(&target->proof);
	free(target);
}

static void target_task(void *arg)
{
	struct target *target = arg;
	load_state(target);
	while (!target->unwanted && wait_for_turn(target)) {
		struct error error = { 0 };
		int64_t before = target->verdict.this_update;
		bool done = ask_responder(target, &error);
		target->history.last_try = now_in_seconds();
		if (target->unwanted)
			break;
		target->history.failures = done ? 0 : target->history.failures + 1;
		if (done) {
			note_success(target, before);
			publish(target);
			store_state(target);
		} else {
			note_failure(target, &error);
		}
	}
	free_target(target);
}

/* ---- Material ---- */

static void drop_target(struct fetcher *fetcher, struct target **at)
{
	struct target *target = *at;
	*at = target->next;
	fetcher->target_count--;
	target->unwanted = true;
	if (target->task)
		task_cancel(target->task);
	else
		free_target(target);
}

/* Not before the walls are up: reading the disk starts a thread. */
static void start_targets(struct fetcher *fetcher)
{
	for (struct target *target = fetcher->targets; target; target = target->next)
		if (!target->task)
			target->task = task_spawn(fetcher->role->loop, target_task, target, "proof");
}

static bool read_file(int fd, struct buf *text)
{
	struct stat st;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > CERTIFICATE_FILE_MAX)
		return false;
	for (;;) {
		char *room = buf_reserve(text, 4096);
		ssize_t n = room ? pread(fd, room, 4096, (off_t)buf_len(text)) : -1;
		if (n <= 0)
			return n == 0;
		buf_commit(text, (size_t)n);
	}
}

/* What keeps the proof from being fetched at all; NULL: nothing. */
static const char *find_hindrance(struct target *target, STACK_OF(X509) *chain)
{
	if (sk_X509_num(chain) == 0)
		return "it holds no certificate";
	target->certificate = sk_X509_shift(chain);
	target->issuer = ocsp_find_issuer(target->certificate, chain);
	if (target->issuer)
		X509_up_ref(target->issuer);
	if (!ocsp_print_of(target->certificate, &target->print))
		return "its certificate is malformed";
	if (!ocsp_responder_url(target->certificate, target->url, sizeof target->url))
		return "its certificate names no OCSP responder that is reached by http";
	if (!target->issuer)
		return "the certificate of its issuer is not in it: a proof is asked for in both their names";
	return NULL;
}

static struct target **find_target(struct fetcher *fetcher, const char *path)
{
	struct target **at = &fetcher->targets;
	while (*at && strcmp((*at)->path, path) != 0)
		at = &(*at)->next;
	return at;
}

/* A file with the certificate that it had before keeps its task; another certificate gets one of its own. */
static void want_proof(struct fetcher *fetcher, struct target *wanted, STACK_OF(X509) *chain)
{
	struct target **old = find_target(fetcher, wanted->path);
	const char *hindrance = find_hindrance(wanted, chain);
	if (!hindrance && *old && memcmp((*old)->print.bytes, wanted->print.bytes, sizeof wanted->print.bytes) == 0) {
		(*old)->generation = fetcher->generation;
		free_target(wanted);
		return;
	}
	if (*old)
		drop_target(fetcher, old);
	if (!hindrance && fetcher->target_count == CERTIFICATES_MAX)
		hindrance = "there are too many certificates";
	if (hindrance) {
		log_line(&fetcher->role->log, LOG_KIND_MAIN, "OCSP: no proof is fetched for %s: %s", wanted->path, hindrance);
		free_target(wanted);
		return;
	}
	wanted->next = fetcher->targets;
	fetcher->targets = wanted;
	fetcher->target_count++;
	if (fetcher->role->sandboxed)
		start_targets(fetcher);
}

static void take_wanted(struct fetcher *fetcher, struct ipc_incoming *incoming)
{
	struct ipc_proof_wanted message;
	struct buf text;
	struct target *target = xcalloc(1, sizeof *target);
	if (!ipc_unpack_proof_wanted(incoming->body, &message) || incoming->fd_count != 1 ||
	    !slice_to_cstr(message.path, target->path, sizeof target->path))
		fatal("the master's message about a certificate is malformed");
	target->fetcher = fetcher;
	target->generation = fetcher->generation;
	buf_init(&target->proof, OCSP_RESPONSE_MAX);
	buf_init(&text, CERTIFICATE_FILE_MAX + 4096);
	if (!read_file(incoming->fds[0], &text))
		buf_reset(&text);
	STACK_OF(X509) *chain = ocsp_chain_read(buf_slice(&text));
	buf_free(&text);
	want_proof(fetcher, target, chain);
	sk_X509_pop_free(chain, X509_free);
}

static void fetch_material(struct role_process *role, struct ipc_incoming *incoming)
{
	struct fetcher *fetcher = role->state;
	if (incoming->type == IPC_PROOF_WANTED_MESSAGE) {
		take_wanted(fetcher, incoming);
	} else if (incoming->type == IPC_STATE_MESSAGE && incoming->fd_count == 1) {
		if (fetcher->directory < 0) /* a reload changes nothing here */
			fetcher->directory = fd_take(&incoming->fds[0]);
	}
}

/* ---- Life ---- */

static bool fetch_start(struct role_process *role, struct error *error)
{
	struct fetcher *fetcher = role->state;
	struct ocsp_print print;
	X509 *empty = X509_new();
	fetcher->role = role;
	fetcher->directory = -1;
	fetcher->generation = 1;
	/* OpenSSL reads its configuration at the first use: that has to be before the walls. */
	OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG | OPENSSL_INIT_LOAD_CRYPTO_STRINGS, NULL);
	ocsp_print_of(empty, &print);
	X509_free(empty);
	ERR_clear_error();
	return http_start(error);
}

static bool fetch_apply(struct role_process *role, struct error *error)
{
	struct fetcher *fetcher = role->state;
	if (fetcher->directory < 0)
		return error_set(error, ERROR_USAGE, "the directory for OCSP proofs cannot be opened");
	for (struct target **at = &fetcher->targets; *at;) {
		if ((*at)->generation == fetcher->generation && role->next->main.tls_ocsp_fetch)
			at = &(*at)->next;
		else
			drop_target(fetcher, at);
	}
	fetcher->generation++;
	if (!role->sandboxed)
		fetch_state_clean(fetcher->directory, STATE_SECONDS);
	start_targets(fetcher); /* they run after this message, inside of the walls */
	return true;
}

static size_t fetch_paths(struct role_process *role, struct sandbox_path *paths, size_t size)
{
	struct fetcher *fetcher = role->state;
	ensure(size > 0);
	paths[0] = (struct sandbox_path){ fetcher->directory, SANDBOX_READ | SANDBOX_WRITE };
	return 1;
}

/* A request that is under way is not waited for: the proof will be fetched at the next start. */
static void fetch_drain(struct role_process *role)
{
	(void)role;
}

const struct role_ops fetch_ops = {
	.state_size = sizeof(struct fetcher),
	.start = fetch_start,
	.material = fetch_material,
	.apply = fetch_apply,
	.paths = fetch_paths,
	.connected = fetch_connected,
	.drain = fetch_drain,
};

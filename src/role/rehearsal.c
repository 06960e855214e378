/* SPDX-License-Identifier: ISC */
#include "role/rehearsal.h"

#include "base/cleanup.h"
#include "base/fatal.h"
#include "conf/log_selector.h"
#include "dns/dns.h"
#include "mail/host.h"
#include "mail/charset.h"
#include "role/queue.h"
#include "role/session.h"
#include "role/tls_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* What a connection in TLS is taken for. */
#define PRETENDED_CIPHER "TLS1.3:TLS_AES_256_GCM_SHA384:256"

enum { ARRIVAL_MAX = 64 * 1024 };

struct stage {
	const struct rehearsal *rehearsal;
	struct front_watch watch;
	struct role_process front, lookup, run, pam;
	struct log log;
};

static void show_line(void *owner, enum log_kind kind, struct slice line)
{
	const struct stage *stage = owner;
	stage->rehearsal->log(stage->rehearsal->owner, kind, line);
}

static void show_step(void *owner, unsigned depth, struct slice text)
{
	const struct stage *stage = owner;
	stage->rehearsal->trace(stage->rehearsal->owner, depth, text);
}

static void tell_waiting(void *owner)
{
	const struct stage *stage = owner;
	stage->rehearsal->waiting(stage->rehearsal->owner);
}

/* ---- Roles ---- */

static bool start_role(struct stage *stage, struct role_process *role, enum role kind, const struct role_ops *ops, struct loop *loop,
		       struct error *error)
{
	*role = (struct role_process){
		.kind = kind, .ops = ops, .state = xcalloc(1, ops->state_size), .loop = loop, .log = stage->log, .next = stage->rehearsal->conf,
	};
	return !ops->start || ops->start(role, error);
}

/* What the master gives the lookup role. */
static void give_system_files(struct role_process *lookup)
{
	struct buf body;
	buf_init(&body, 64);
	for (int file = 0; file < DNS_SYSTEM_FILES; file++) {
		int fd = open(dns_system_path((enum dns_system_file)file), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		struct ipc_system_file message = { .file = (uint64_t)file };
		struct ipc_incoming incoming = { .type = IPC_SYSTEM_FILE_MESSAGE, .fds = { fd }, .fd_count = 1 };
		if (fd < 0)
			continue;
		ensure(ipc_pack_system_file(&body, &message));
		incoming.body = buf_slice(&body);
		lookup->ops->material(lookup, &incoming);
		fd_close(&incoming.fds[0]);
		buf_consume(&body, buf_len(&body));
	}
	buf_free(&body);
}

static bool take_into_use(struct role_process *role, struct error *error)
{
	if (!role->ops->apply(role, error))
		return false;
	role->conf = conf_ref(role->next);
	return true;
}

static bool connect_roles(struct role_process *front, struct role_process *other, struct error *error)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
		return error_set_errno(error, errno, "connecting roles");
	front->ops->connected(front, pair[0], other->kind, 0, 0);
	other->ops->connected(other, pair[1], ROLE_FRONT, 0, 0);
	return true;
}

/* ---- The queue ---- */

/* " NAME=text", or nothing. */
static void add_field(struct buf *line, const char *name, struct slice text)
{
	if (text.len)
		(void)buf_printf(line, " %s=%.*s", name, SLICE_ARG(text));
}

/* "<=": of what the server would write, the fields that the client decides. */
static void log_message(struct stage *stage, const struct ipc_submit *message)
{
	unsigned items = stage->rehearsal->conf->main.log_items;
	struct slice sender = message->sender.len ? message->sender : SLICE("<>");
	const struct tls_log tls = { message->cipher, message->peer_name, message->server_name, message->verified, false };
	char host[SESSION_PEER_MAX], fields[TLS_LOG_MAX];
	struct buf line;
	mail_host_format(message->host_name, message->helo, message->host_address, host, sizeof host);
	buf_init(&line, ARRIVAL_MAX);
	(void)buf_printf(&line, "%.*s <= %.*s H=%s", SLICE_ARG(message->id), SLICE_ARG(sender), host);
	add_field(&line, "U", stage->rehearsal->ident);
	add_field(&line, "P", message->protocol);
	(void)buf_append(&line, slice_of(tls_log_fields(&tls, items, fields)));
	add_field(&line, "A", message->authenticated);
	if (message->authenticated.len && message->authenticated_id.len)
		(void)buf_printf(&line, ":%.*s", SLICE_ARG(message->authenticated_id));
	if (items & LOG_ITEM_PROXY)
		add_field(&line, "PRX", message->proxy);
	(void)buf_printf(&line, " S=%llu", (unsigned long long)message->size);
	add_field(&line, "Q", message->queue_name);
	if (items & LOG_ITEM_MSG_ID)
		add_field(&line, "id", message->message_id);
	log_line(&stage->log, LOG_KIND_MAIN, "%.*s", SLICE_ARG(buf_slice(&line)));
	buf_free(&line);
}

static void answer_user(struct ipc_peer *peer, const struct ipc_incoming *incoming)
{
	struct ipc_find_user message;
	struct user_lookup lookup = { 0 };
	struct ipc_user answer = { .kind = ROUTE_USER_UNKNOWN };
	/* Nobody else waits here: the look-up may hold this loop up. */
	if (ipc_unpack_find_user(incoming->body, &message) && slice_to_cstr(message.name, lookup.name, sizeof lookup.name)) {
		deliver_lookup_user(&lookup);
		answer.kind = lookup.result;
		if (lookup.result == ROUTE_USER_FOUND)
			answer = (struct ipc_user){ .kind = lookup.result, .uid = lookup.user.uid, .gid = lookup.user.gid, .home = lookup.user.home };
	}
	ipc_send(peer, user, USER, incoming->call, &answer, NULL, 0);
}

static void from_session(void *owner, struct ipc_peer *peer, struct ipc_incoming *incoming)
{
	struct stage *stage = owner;
	struct ipc_submit message;
	struct ipc_taken taken = { .kind = ERROR_NONE };
	if (incoming->type == IPC_FIND_USER_MESSAGE) {
		answer_user(peer, incoming);
		return;
	}
	if (incoming->type == IPC_SUBMIT_MESSAGE && ipc_unpack_submit(incoming->body, &message))
		log_message(stage, &message);
	if (incoming->call)
		ipc_send(peer, taken, TAKEN, incoming->call, &taken, NULL, 0);
}

static void session_lost(void *owner, struct ipc_peer *peer)
{
	(void)owner;
	ipc_close_later(peer);
}

static const struct ipc_handler queue_handler = { from_session, session_lost };

static bool connect_queue(struct stage *stage, struct error *error)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
		return error_set_errno(error, errno, "connecting roles");
	stage->front.ops->connected(&stage->front, pair[0], ROLE_QUEUE, 0, 0);
	ipc_open(stage->front.loop, pair[1], ROLE_QUEUE, ROLE_FRONT, &queue_handler, stage);
	return true;
}

/* ---- The session ---- */

static bool count_connections(struct front *front, struct error *error)
{
	_cleanup_fd_ int fd = counters_create(1, error);
	front->counters = fd < 0 ? NULL : counters_open(fd, 0, error);
	return front->counters != NULL;
}

static bool set_stage(struct stage *stage, struct loop *loop, struct error *error)
{
	if (!start_role(stage, &stage->front, ROLE_FRONT, &front_ops, loop, error) ||
	    !start_role(stage, &stage->lookup, ROLE_LOOKUP, &lookup_ops, loop, error) ||
	    !start_role(stage, &stage->run, ROLE_RUN, &run_ops, loop, error) ||
	    !start_role(stage, &stage->pam, ROLE_PAM, &pam_ops, loop, error))
		return false;
	struct front *front = stage->front.state;
	front->watch = &stage->watch;
	stage->rehearsal->conf->language.charsets = charset_open_all(stage->rehearsal->conf->main.headers_charset);
	give_system_files(&stage->lookup);
	stage->front.conf = conf_ref(stage->rehearsal->conf);
	return count_connections(front, error) && take_into_use(&stage->lookup, error) && take_into_use(&stage->run, error) &&
	       take_into_use(&stage->pam, error) && connect_roles(&stage->front, &stage->pam, error) &&
	       connect_roles(&stage->front, &stage->lookup, error) && connect_roles(&stage->front, &stage->run, error) &&
	       connect_queue(stage, error);
}

/* What the session would know by itself, had it a network. Its task has not run yet. */
static void describe_client(struct session *session, const struct rehearsal *rehearsal)
{
	struct session_host *names = &session->host_names;
	session->smtp.ident = rehearsal->ident;
	session->settings.enforce_sync = false; /* commands may come from a file */
	if (rehearsal->host_name.len) {
		names->name = arena_copy(&names->arena, rehearsal->host_name);
		names->names = arena_array(&names->arena, 1, sizeof *names->names);
		names->names[0] = names->name;
		names->name_count = 1;
	}
	if (rehearsal->tls) {
		snprintf(session->tls.cipher, sizeof session->tls.cipher, "%s", PRETENDED_CIPHER);
		session->tls.standard = "TLS_AES_256_GCM_SHA384";
		session->tls.version = "TLS1.3";
		session->tls.bits = 256;
		session->smtp.tls = true;
	}
	session_auth_pretend(session, rehearsal->authenticated, rehearsal->authenticated_id);
}

bool rehearse(struct loop *loop, const struct rehearsal *rehearsal, int fd, struct error *error)
{
	struct stage *stage = xcalloc(1, sizeof *stage); /* with all that is on it, it stays until the process ends */
	*stage = (struct stage){ .rehearsal = rehearsal, .watch = { stage, show_step, tell_waiting } };
	log_init(&stage->log, "session");
	stage->log.to = log_no_targets();
	stage->log.show = show_line;
	stage->log.owner = stage;
	if (!set_stage(stage, loop, error)) {
		close(fd);
		return false;
	}
	struct front *front = stage->front.state;
	const struct front_listener listener = { .front = front, .fd = -1, .address = rehearsal->interface };
	describe_client(session_start(front, fd, &rehearsal->host, &listener), rehearsal);
	while (front->session_count)
		wait_list_wait(&front->session_ended, CLOCK_NEVER);
	return true;
}

/* SPDX-License-Identifier: ISC */
/*
 * Which queue takes a message (the ACL modifier `queue`), and whether it is delivered at once: control = queue, queue_only, and the limits
 * of load, connections and messages above which deliveries are left to a run of the queue (Exim's manual, chapter 14).
 */
#include "base/fatal.h"
#include "expand/moment.h"
#include "role/session.h"

#include <stdio.h>

void session_set_queue(struct session *session, struct slice name)
{
	if (session->acl.facts.has_sender)
		session->message.queue_name = arena_copy(&session->message.arena, name);
	else
		ensure(slice_to_cstr(name, session->queue.name, sizeof session->queue.name));
}

struct slice session_queue_name(const struct session *session)
{
	return session->message.queue_name.data ? session->message.queue_name : slice_of(session->queue.name);
}

/* queue_only_load; a load that was too high once counts for the rest of the connection (queue_only_load_latch). */
static bool is_loaded(struct session *session)
{
	const struct conf_main *main = &session->conf->main;
	struct session_queue *queue = &session->queue;
	if (queue->loaded || !main->queue_only_load.set)
		return queue->loaded;
	queue->load = expand_moment_load();
	bool above = queue->load > main->queue_only_load.value;
	queue->loaded = above && main->queue_only_load_latch;
	return above;
}

bool session_waits_for_run(struct session *session, struct buf *reasons)
{
	const struct conf_main *main = &session->conf->main;
	struct slice name = session_queue_name(session);
	bool by_acl = session->message.queue_only;
	int64_t most = main->smtp_accept_queue_per_connection;
	char text[QUEUE_NAME_MAX + 64];
	if (by_acl) {
		snprintf(text, sizeof text, "queued%s%.*s by ACL", name.len ? " in " : "", SLICE_ARG(name));
		ensure(ipc_list_add(reasons, slice_of(text)));
	}
	if (main->queue_only)
		return true;
	if (main->smtp_accept_queue && session->queue.connections > main->smtp_accept_queue)
		snprintf(text, sizeof text, "too many connections (%u, max %lld)", session->queue.connections, (long long)main->smtp_accept_queue);
	else if (!session->queue.loaded && most && (int64_t)session->smtp.messages + 1 > most)
		snprintf(text, sizeof text, "more than %lld messages received in one connection", (long long)most);
	else if (is_loaded(session))
		snprintf(text, sizeof text, "load average %.2f", session->queue.load);
	else
		return by_acl;
	ensure(ipc_list_add(reasons, slice_of(text)));
	return true;
}

/* SPDX-License-Identifier: ISC */
/*
 * The whole text of a message for the ACLs that look into it. A message of one part is in the session's memory anyway. Of a larger one the
 * parts go to the queue as they come; only where an ACL of the configuration reads content a copy is kept in a memory file as well, which
 * costs no heap, and is gone with the message.
 */
#include "base/cleanup.h"
#include "base/memory_file.h"
#include "mail/mime.h"
#include "role/session.h"

#include <errno.h>
#include <sys/mman.h>

/* A scanner is told who sent the message to whom, as Exim does. */
enum { ENVELOPE_LINES_MAX = 100 };

static bool append(int fd, struct slice text, struct error *error)
{
	return fd_write_all(fd, text) || error_set_errno(error, errno, "keeping a message for its ACLs");
}

static int make_file(struct error *error)
{
	int fd = memfd_create("content", MFD_CLOEXEC);
	if (fd < 0)
		error_set_errno(error, errno, "keeping a message for its ACLs");
	return fd;
}

bool session_keep_content(struct session *session, struct slice part, struct error *error)
{
	struct message_content *content = &session->message.content;
	if (!acl_set_uses(session->conf->acl_set, ACL_USE_CONTENT) && !policy_has(session, ACL_POINT_MIME))
		return true;
	if (content->fd < 0 && (content->fd = make_file(error)) < 0)
		return false;
	content->size += part.len;
	return append(content->fd, part, error);
}

void session_forget_content(struct message_content *content)
{
	if (content->map)
		munmap(content->map, content->size);
	fd_close(&content->fd);
	*content = (struct message_content){ .fd = -1 };
}

/* The last part, which is not with the queue yet. */
static bool complete(struct session *session, struct error *error)
{
	struct incoming_message *message = &session->message;
	if (message->content.complete)
		return true;
	if (message->transaction && message->content.fd < 0)
		return error_set(error, ERROR_PERMANENT, "the message is larger than 256K, and was not kept for an ACL that no option names");
	message->content.complete = message->content.fd < 0 || session_keep_content(session, buf_slice(&message->body), error);
	return message->content.complete;
}

bool session_content(struct session *session, struct slice *text_r, struct error *error)
{
	struct incoming_message *message = &session->message;
	struct message_content *content = &message->content;
	if (!message->header_done)
		return error_set(error, ERROR_PERMANENT, "there is no message yet");
	if (!complete(session, error))
		return false;
	*text_r = buf_slice(&message->body);
	if (content->fd < 0)
		return true;
	if (!content->map) {
		void *map = mmap(NULL, content->size, PROT_READ, MAP_PRIVATE, content->fd, 0);
		if (map == MAP_FAILED)
			return error_set_errno(error, errno, "reading a message for its ACLs");
		content->map = map;
	}
	*text_r = slice_make(content->map, content->size);
	return true;
}

/* Exim runs the ACL for messages with Content-Type: only. */
static bool has_content_type(struct slice headers)
{
	struct slice name, value;
	while (mail_field_next(&headers, &name, &value))
		if (slice_equal_nocase(name, SLICE("Content-Type")))
			return true;
	return false;
}

/* What the walk could not take apart is not let pass. */
static bool refuse_structure(struct session *session, struct policy *policy, const char *why)
{
	session_log(session, LOG_KIND_REJECT, "F=<%.*s> rejected during MIME ACL checks: %s", SLICE_ARG(session->message.sender), why);
	policy_end(policy);
	*policy = (struct policy){ .outcome = ACL_DENY, .answer = { .code = 550, .text = slice_of(why) } };
	arena_init(&policy->arena, 0);
	return false;
}

bool session_check_mime(struct session *session, struct policy *policy)
{
	struct mime_walk walk;
	struct mime_part part;
	struct slice text;
	struct error error;
	struct arena arena;
	bool go_on = true;
	*policy = (struct policy){ .outcome = ACL_ACCEPT };
	arena_init(&policy->arena, 0);
	if (!policy_has(session, ACL_POINT_MIME) || !has_content_type(session->message.headers))
		return true;
	if (!session_content(session, &text, &error)) {
		session_log(session, LOG_KIND_REJECT, "temporarily rejected during MIME ACL checks: %s", error.text);
		policy->answer = (struct acl_answer){ .code = 451, .text = SLICE("Temporary local problem - please try later") };
		policy->outcome = ACL_DEFER;
		return false;
	}
	arena_init(&arena, 0);
	mime_walk_start(&walk, text, session->conf->language.charsets, &arena);
	while (go_on && policy->outcome == ACL_ACCEPT && mime_walk_next(&walk, &part)) {
		acl_session_mime(&session->acl, &part);
		policy_end(policy);
		go_on = policy_run(policy, session, ACL_POINT_MIME, "during MIME ACL checks", (struct slice){ 0 });
		task_yield(); /* other clients wait */
	}
	acl_session_mime(&session->acl, NULL);
	if (go_on && walk.limit)
		go_on = refuse_structure(session, policy, walk.limit);
	arena_free(&arena);
	return go_on;
}

/* X-Envelope-From: and X-Envelope-To:, which scanners know from Exim. */
static bool write_envelope(struct session *session, int fd, struct error *error)
{
	struct incoming_message *message = &session->message;
	struct slice list = buf_slice(&message->recipients), address;
	struct slice text = arena_printf(&message->arena, "X-Envelope-From: <%.*s>\r\nX-Envelope-To: ", SLICE_ARG(message->sender));
	bool good = append(fd, text, error);
	for (size_t i = 0; good && i < ENVELOPE_LINES_MAX && ipc_list_next(&list, &address); i++)
		good = append(fd, arena_printf(&message->arena, "%s<%.*s>", i ? ",\r\n\t" : "", SLICE_ARG(address)), error);
	return good && append(fd, SLICE("\r\n"), error);
}

static int make_scannable(struct session *session, struct error *error)
{
	struct slice text;
	if (!session_content(session, &text, error))
		return -1;
	_cleanup_fd_ int fd = make_file(error);
	if (fd < 0 || !write_envelope(session, fd, error) || !append(fd, text, error))
		return -1;
	return fd_take(&fd);
}

/* What Rspamd is told beside the text; a peer's names may hold what ends a line, then they are left out. */
static void add_piece(struct session *session, struct expand_request *request, struct expand_piece *pieces, const char *name,
		      struct slice value)
{
	for (size_t i = 0; i < value.len; i++)
		if ((unsigned char)value.data[i] < 32 || value.data[i] == 127)
			return;
	if (value.len == 0 || request->piece_count == ENVELOPE_LINES_MAX)
		return;
	pieces[request->piece_count++].text = arena_printf(&session->message.arena, "%s: %.*s", name, SLICE_ARG(value));
}

enum expand_result session_scan(struct session *session, const struct expand_request *request, struct arena *arena,
				struct expand_answer *answer_r, struct error *error)
{
	struct incoming_message *message = &session->message;
	struct expand_piece *pieces = arena_array(arena, ENVELOPE_LINES_MAX, sizeof *pieces);
	struct slice list = buf_slice(&message->recipients), address;
	struct expand_request asked = *request;
	_cleanup_fd_ int fd = make_scannable(session, error);
	if (fd < 0)
		return EXPAND_DEFER;
	asked.pieces = pieces;
	asked.content = &fd;
	add_piece(session, &asked, pieces, "Queue-Id", slice_of(message->id.text));
	add_piece(session, &asked, pieces, "From", arena_printf(arena, "<%.*s>", SLICE_ARG(message->sender)));
	add_piece(session, &asked, pieces, "IP", slice_of(session->host_text.text));
	add_piece(session, &asked, pieces, "Helo", session->smtp.helo);
	add_piece(session, &asked, pieces, "Hostname", session->host_names.name);
	add_piece(session, &asked, pieces, "Recipient-Number", arena_printf(arena, "%u", message->recipient_count));
	while (ipc_list_next(&list, &address))
		add_piece(session, &asked, pieces, "Rcpt", arena_printf(arena, "<%.*s>", SLICE_ARG(address)));
	struct ask_world world = { &session->front->asked, session->conf };
	return ask_world(&world, &asked, arena, answer_r, error);
}

/* SPDX-License-Identifier: ISC */
#include "role/ask.h"

#include "base/cleanup.h"
#include "base/fatal.h"
#include "base/files.h"
#include "base/memory_file.h"
#include "conf/conf.h"

#include <fcntl.h>
#include <sys/stat.h>

/* Longer texts of answers go through a memory file. */
enum { TEXT_IN_MESSAGE_MAX = 64 * 1024 };

enum piece_flag { PIECE_VALUE = 1, PIECE_TAINTED = 2 };
enum ask_flag { ASK_KEY_TAINTED = 1 };
enum answer_flag { ANSWER_FOUND = 1, ANSWER_TAINTED = 2, ANSWER_SECURE = 4, ANSWER_WILD = 8 };

/* ---- Requests ---- */

/* A piece is an item of a list: a byte of flags, and its text. */
static bool pack_piece(struct buf *buf, const struct expand_piece *piece)
{
	struct buf item;
	char flags = (char)((piece->value ? PIECE_VALUE : 0) | (piece->tainted ? PIECE_TAINTED : 0));
	buf_init(&item, EXPAND_REQUEST_MAX + 1);
	bool fits = buf_append_byte(&item, flags) && buf_append(&item, piece->text) && ipc_list_add(buf, buf_slice(&item));
	buf_free(&item);
	return fits;
}

bool ask_pack_request(const struct expand_request *request, struct buf *buf, struct ipc_ask *message_r)
{
	size_t total = request->type.len + request->file.len + request->key.len;
	bool fits = request->piece_count <= ASK_PIECES_MAX && request->option_count <= ASK_PIECES_MAX;
	for (size_t i = 0; fits && i < request->piece_count; i++) {
		total += request->pieces[i].text.len;
		fits = total <= EXPAND_REQUEST_MAX && pack_piece(buf, &request->pieces[i]);
	}
	size_t pieces = buf_len(buf);
	for (size_t i = 0; fits && i < request->option_count; i++) {
		total += request->options[i].len;
		fits = total <= EXPAND_REQUEST_MAX && ipc_list_add(buf, request->options[i]);
	}
	struct slice lists = buf_slice(buf);
	*message_r = (struct ipc_ask){
		.service = (uint64_t)request->service, .type = request->type, .file = request->file, .key = request->key,
		.pieces = slice_first(lists, pieces), .options = slice_from(lists, pieces),
		.flags = request->key_tainted ? ASK_KEY_TAINTED : 0,
		.deadline = (uint64_t)(request->deadline > 0 ? request->deadline : 0),
	};
	return fits && total <= EXPAND_REQUEST_MAX;
}

/* How many items; SIZE_MAX when the list is malformed or too long. */
static size_t count_items(struct slice list)
{
	struct slice text;
	size_t count = 0;
	while (list.len && ipc_list_next(&list, &text))
		if (++count > ASK_PIECES_MAX)
			return SIZE_MAX;
	return list.len ? SIZE_MAX : count;
}

static bool unpack_pieces(struct slice list, struct arena *arena, struct expand_request *request)
{
	size_t count = count_items(list);
	if (count == SIZE_MAX)
		return false;
	struct expand_piece *pieces = arena_array(arena, count ? count : 1, sizeof *pieces);
	for (size_t i = 0; i < count; i++) {
		struct slice item;
		if (!ipc_list_next(&list, &item) || item.len == 0)
			return false;
		unsigned flags = (unsigned char)item.data[0];
		pieces[i] = (struct expand_piece){ slice_from(item, 1), flags & PIECE_VALUE, flags & PIECE_TAINTED };
	}
	request->pieces = pieces;
	request->piece_count = count;
	return true;
}

static bool unpack_options(struct slice list, struct arena *arena, struct expand_request *request)
{
	size_t count = count_items(list);
	if (count == SIZE_MAX)
		return false;
	struct slice *options = arena_array(arena, count ? count : 1, sizeof *options);
	for (size_t i = 0; i < count; i++)
		ipc_list_next(&list, &options[i]);
	request->options = options;
	request->option_count = count;
	return true;
}

bool ask_unpack_request(const struct ipc_ask *message, struct arena *arena, struct expand_request *request_r)
{
	if (message->service >= EXPAND_SERVICES || message->deadline > INT64_MAX)
		return false;
	*request_r = (struct expand_request){
		.service = (enum expand_service)message->service, .type = message->type, .file = message->file,
		.key = message->key, .key_tainted = message->flags & ASK_KEY_TAINTED, .deadline = (int64_t)message->deadline,
	};
	return unpack_pieces(message->pieces, arena, request_r) && unpack_options(message->options, arena, request_r);
}

/* ---- Results ---- */

void ask_send_result(struct ipc_peer *peer, uint64_t call, const struct ask_result *result)
{
	const struct expand_answer *answer = &result->answer;
	struct ipc_answered message = { .result = (uint64_t)result->result };
	_cleanup_fd_ int fd = -1;
	if (result->result == EXPAND_OK) {
		message.flags = (answer->found ? ANSWER_FOUND : 0) | (answer->tainted ? ANSWER_TAINTED : 0) |
				(answer->secure ? ANSWER_SECURE : 0) | (answer->wild.data ? ANSWER_WILD : 0);
		message.number = (uint64_t)answer->number;
		message.text = answer->text;
		message.wild = answer->wild;
		message.fixed = answer->fixed;
		message.name = answer->name;
	} else {
		message.kind = result->error.kind;
		message.problem = slice_of(result->error.text);
	}
	if (message.text.len > TEXT_IN_MESSAGE_MAX) {
		message.size = message.text.len;
		message.text = (struct slice){ 0 };
		fd = message.size <= ASK_ANSWER_MAX ? memory_file_sealed("postern-answer", answer->text) : -1;
	}
	if ((!message.size || fd >= 0) && ipc_send(peer, answered, ANSWERED, call, &message, &fd, fd >= 0))
		return;
	message = (struct ipc_answered){ .result = EXPAND_DEFER, .kind = ERROR_TEMPORARY,
					 .problem = SLICE("the answer is too large to be handed over") };
	ipc_send(peer, answered, ANSWERED, call, &message, NULL, 0);
}

static bool read_memory_file(int fd, uint64_t size, struct arena *arena, struct slice *text_r)
{
	struct stat status;
	int seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || (seals & MEMORY_FILE_SEALS) != MEMORY_FILE_SEALS || fstat(fd, &status) < 0 || size > ASK_ANSWER_MAX ||
	    (uint64_t)status.st_size != size)
		return false;
	char *bytes = arena_alloc(arena, (size_t)size + 1);
	*text_r = slice_make(bytes, (size_t)size);
	return files_read_full(&files_real, fd, bytes, (size_t)size, 0) == (ssize_t)size;
}

bool ask_unpack_result(const struct ipc_reply *reply, struct arena *arena, struct ask_result *result_r)
{
	struct ipc_answered message;
	*result_r = (struct ask_result){ 0 };
	if (reply->type != IPC_ANSWERED_MESSAGE || !ipc_unpack_answered(reply->body, &message) || message.result > EXPAND_DEFER ||
	    message.kind > ERROR_USAGE || (message.size != 0) != (reply->fd_count != 0))
		return false;
	result_r->result = (enum expand_result)message.result;
	if (result_r->result != EXPAND_OK) {
		error_set(&result_r->error, (enum error_kind)message.kind, "%.*s", SLICE_ARG(message.problem));
		return true;
	}
	struct expand_answer *answer = &result_r->answer;
	*answer = (struct expand_answer){
		.found = message.flags & ANSWER_FOUND, .tainted = message.flags & ANSWER_TAINTED,
		.secure = message.flags & ANSWER_SECURE, .number = (int64_t)message.number,
		.name = arena_copy(arena, message.name),
	};
	if (message.flags & ANSWER_WILD) {
		answer->wild = arena_copy(arena, message.wild);
		answer->fixed = arena_copy(arena, message.fixed);
	}
	if (message.size)
		return read_memory_file(reply->fds[0], message.size, arena, &answer->text);
	answer->text = arena_copy(arena, message.text);
	return true;
}

/* ---- The line ---- */

static void unexpected(void *owner, struct ipc_peer *peer, struct ipc_incoming *incoming)
{
	(void)owner;
	(void)peer;
	(void)incoming; /* a late answer to a question that was given up */
}

static void line_lost(void *owner, struct ipc_peer *peer)
{
	struct ask_line *line = owner;
	if (line->peer == peer)
		line->peer = NULL;
	ipc_close_later(peer);
}

static const struct ipc_handler line_handler = { unexpected, line_lost };

void ask_connected(struct ask_line *line, struct loop *loop, int fd, enum role self, enum role other)
{
	if (line->peer)
		ipc_close_later(line->peer);
	line->peer = ipc_open(loop, fd, self, other, &line_handler, line);
	wait_list_wake_all(&line->connected);
}

bool ask_line_await(struct ask_line *line, int64_t deadline)
{
	while (!line->peer || ipc_is_lost(line->peer))
		if (wait_list_wait(&line->connected, deadline) < 0)
			return false;
	return true;
}

bool ask_lines_connected(struct ask_lines *lines, struct loop *loop, int fd, enum role self, enum role other)
{
	struct ask_line *line = other == ROLE_LOOKUP ? &lines->lookup : other == ROLE_RUN ? &lines->run : other == ROLE_PAM ? &lines->pam : NULL;
	if (line)
		ask_connected(line, loop, fd, self, other);
	return line != NULL;
}

static enum expand_result refuse(struct error *error, uint64_t service, const char *why)
{
	enum role role = service == EXPAND_SERVICE_RUN ? ROLE_RUN : service == EXPAND_SERVICE_PAM ? ROLE_PAM : ROLE_LOOKUP;
	error_set(error, ERROR_TEMPORARY, "the %s process %s", role_name(role), why);
	return EXPAND_DEFER;
}

int64_t ask_latest(enum expand_service service)
{
	return clock_after(service == EXPAND_SERVICE_SCAN ? ASK_SCAN_TIME_MAX : ASK_TIME_MAX);
}

static enum expand_result ask_peer(struct ask_line *line, const struct ipc_ask *message, const int *content, int64_t deadline,
				   struct arena *arena, struct expand_answer *answer_r, struct error *error)
{
	struct ipc_reply reply = { 0 };
	struct ask_result result;
	if (!ask_line_await(line, deadline))
		return refuse(error, message->service, "is not there");
	/* The other process ends a question at its deadline; a moment more, so that its word on it arrives. */
	int failed = ipc_call(line->peer, ask, ASK, message, content, content != NULL, deadline + CLOCK_SECOND, &reply);
	bool good = failed == 0 && ask_unpack_result(&reply, arena, &result);
	ipc_reply_free(&reply);
	if (!good)
		return refuse(error, message->service, failed == -ETIMEDOUT ? "did not answer in time" :
			      failed == -EPIPE ? "ended while it was asked" :
			      failed ? "cannot be asked" : "gave a malformed answer");
	*answer_r = result.answer;
	if (result.result != EXPAND_OK)
		*error = result.error;
	return result.result;
}

enum expand_result role_ask(void *owner, const struct expand_request *request, struct arena *arena,
			    struct expand_answer *answer_r, struct error *error)
{
	struct ask_line *line = owner;
	struct expand_request bounded = *request;
	struct ipc_ask message;
	struct buf lists;
	int64_t latest = ask_latest(request->service);
	enum expand_result result = EXPAND_FAIL;
	if (bounded.deadline <= 0 || bounded.deadline > latest)
		bounded.deadline = latest;
	buf_init(&lists, IPC_MESSAGE_MAX);
	if (ask_pack_request(&bounded, &lists, &message))
		result = ask_peer(line, &message, bounded.content, bounded.deadline, arena, answer_r, error);
	else
		error_set(error, ERROR_PERMANENT, "a lookup with more than %d bytes of key, query and options", EXPAND_REQUEST_MAX);
	buf_free(&lists);
	return result;
}

enum expand_result ask_world(void *owner, const struct expand_request *request, struct arena *arena,
			     struct expand_answer *answer_r, struct error *error)
{
	const struct ask_world *world = owner;
	if (request->service == EXPAND_SERVICE_PAM && world->conf->uses_pam)
		return role_ask(&world->lines->pam, request, arena, answer_r, error);
	if (request->service == EXPAND_SERVICE_PAM) {
		error_set(error, ERROR_PERMANENT, "pam: no condition \"pam\" stands in the configuration itself");
		return EXPAND_FAIL;
	}
	if (request->service != EXPAND_SERVICE_RUN)
		return role_ask(&world->lines->lookup, request, arena, answer_r, error);
	struct slice name = request->piece_count ? request->pieces[0].text : (struct slice){ 0 };
	if (conf_allows_command(world->conf, name))
		return role_ask(&world->lines->run, request, arena, answer_r, error);
	error_set(error, ERROR_PERMANENT, "run: %.*s is not the command of any ${run} that stands in the configuration itself",
		  SLICE_ARG(slice_first(name, 200)));
	return EXPAND_FAIL;
}

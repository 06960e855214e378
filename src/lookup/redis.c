/* SPDX-License-Identifier: ISC */
/*
 * redis (Exim's manual, chapter 9 §22 and 27): a command for a Redis server. Its text is split into words at white space, a backslash
 * takes the next character as it is; a computed value is never split. hiredis makes commands and reads answers, the bytes
 * are moved here, so that only the task waits. An answer is written down while it is read: what a server claims about sizes
 * takes no memory.
 *
 * Answers as Exim gives them: texts as they are, integers as "true" and "false" (the number, inside of arrays), elements of arrays a
 * line each. A missing key is not found. The redirections of a cluster send the command to the next server of the list.
 */
#include "lookup/redis.h"

#include "base/buf.h"
#include "base/fatal.h"
#include "lookup/net.h"
#include "lookup/servers.h"

#include <errno.h>
#include <hiredis/hiredis.h>

enum { WORDS_MAX = 1000, ELEMENTS_MAX = 1 << 20, DEFAULT_PORT = 6379 };

#if HIREDIS_MAJOR >= 1
typedef size_t element_count;
#else
typedef int element_count;
#endif

struct connection {
	struct lookup_pooled pooled;
	int fd;
	bool used; /* it has answered before, and may be closing by now */
};

struct words {
	const char *text[WORDS_MAX];
	size_t len[WORDS_MAX];
	size_t count;
};

/* One command, through all servers. */
struct query {
	struct lookup_world *world;
	const struct words *words;
	struct arena *arena;
	int64_t deadline; /* for the server at hand */
	struct buf out;
	bool found, failed; /* of the answer: there is one; it is an error, whose text is in `out` */
	bool full;          /* it is larger than we take */
	bool heard;         /* something of it has come */
	size_t lines;
	struct error *error;
};

/* ---- connections ---- */

/* Nothing may have come: that is the end of the connection, or an answer that nobody asked for. */
static bool still_good(struct lookup_pooled *pooled)
{
	char byte;
	return recv(((struct connection *)pooled)->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

static void close_connection(struct lookup_pooled *pooled)
{
	io_close(&((struct connection *)pooled)->fd);
}

struct lookup_pool *lookup_redis_new(void)
{
	return lookup_pool_new(close_connection, still_good);
}

static bool trouble(struct query *query, const char *what, int result)
{
	return error_set(query->error, ERROR_TEMPORARY, "REDIS %s: %s", what,
			 result == -ETIMEDOUT ? "the server takes too long" : strerror(-result));
}

/* A descriptor, or -1 with the error set. */
static int connect_to(struct query *query, const struct lookup_server *server)
{
	int fd = -ECONNREFUSED;
	if (server->socket.len > 0) {
		fd = lookup_connect_unix(server->socket, query->deadline);
	} else {
		struct lookup_addresses addresses;
		uint64_t port = DEFAULT_PORT;
		if (server->port.len > 0 && !slice_parse_u64(server->port, 65535, &port)) {
			error_set(query->error, ERROR_PERMANENT, "REDIS: '%.*s' is no port", SLICE_ARG(server->port));
			return -1;
		}
		if (lookup_resolve(query->world, server->host, (uint16_t)port, query->deadline, query->arena, &addresses,
				   query->error) != EXPAND_OK)
			return -1;
		for (size_t i = 0; i < addresses.count && fd < 0; i++) {
			struct sockaddr_storage storage;
			socklen_t len = net_address_to_sockaddr(&addresses.items[i], &storage);
			fd = lookup_connect((const struct sockaddr *)&storage, len, query->deadline);
		}
	}
	if (fd < 0)
		trouble(query, "connection failed", fd);
	return fd < 0 ? -1 : fd;
}

/* ---- answers: hiredis calls these for each part, the whole before its elements ---- */

static void *put_part(const redisReadTask *task, struct slice text)
{
	struct query *query = task->privdata;
	if (task->parent) {
		if (query->lines++ > 0 && !buf_append_byte(&query->out, '\n'))
			query->full = true;
		query->found = true; /* of an array: it has elements */
	}
	if (!buf_append(&query->out, text))
		query->full = true;
	return query->full ? NULL : query;
}

static void *put_string(const redisReadTask *task, char *text, size_t len)
{
	struct query *query = task->privdata;
	query->failed |= task->type == REDIS_REPLY_ERROR;
	query->found = true;
	return put_part(task, slice_make(text, len));
}

static void *put_integer(const redisReadTask *task, long long value)
{
	struct query *query = task->privdata;
	char text[32];
	query->found = true;
	snprintf(text, sizeof text, "%lld", value);
	return put_part(task, task->parent ? slice_of(text) : value ? SLICE("true") : SLICE("false"));
}

static void *put_nothing(const redisReadTask *task)
{
	return put_part(task, SLICE(""));
}

static void *begin_array(const redisReadTask *task, element_count count)
{
	struct query *query = task->privdata;
	if ((long long)count < 0 || (long long)count > ELEMENTS_MAX)
		query->full = true;
	return query->full ? NULL : query;
}

static void free_part(void *part)
{
	(void)part;
}

static redisReplyObjectFunctions reply_functions = {
	.createString = put_string, .createArray = begin_array, .createInteger = put_integer, .createNil = put_nothing,
	.freeObject = free_part,
};

/* ---- commands ---- */

static bool send_command(struct query *query, int fd, const struct words *words)
{
	char *command;
	int len = (int)redisFormatCommandArgv(&command, (int)words->count, (const char **)(uintptr_t)words->text, words->len);
	if (len < 0)
		fatal("out of memory for a Redis command");
	int result = 0;
	for (size_t at = 0; at < (size_t)len && result == 0;) {
		ssize_t n = send(fd, command + at, (size_t)len - at, MSG_NOSIGNAL);
		if (n >= 0)
			at += (size_t)n;
		else if (errno == EAGAIN)
			result = io_wait(fd, IO_WRITE, query->deadline);
		else if (errno != EINTR)
			result = -errno;
	}
	redisFreeCommand(command);
	return result == 0 || trouble(query, "query failed", result);
}

static bool read_more(struct query *query, int fd, redisReader *reader)
{
	char chunk[8192];
	for (;;) {
		ssize_t n = recv(fd, chunk, sizeof chunk, 0);
		if (n > 0) {
			query->heard = true;
			redisReaderFeed(reader, chunk, (size_t)n);
			return clock_now() < query->deadline || trouble(query, "query failed", -ETIMEDOUT);
		}
		if (n == 0)
			return error_set(query->error, ERROR_TEMPORARY, "REDIS query failed: the server closed the connection");
		int result = errno == EINTR ? 0 : errno == EAGAIN ? io_wait(fd, IO_READ, query->deadline) : -errno;
		if (result < 0)
			return trouble(query, "query failed", result);
	}
}

static bool read_answer(struct query *query, int fd, redisReader *reader)
{
	void *reply = NULL;
	size_t before = buf_len(&query->out);
	while (!reply) {
		if (!read_more(query, fd, reader))
			return false;
		int result = redisReaderGetReply(reader, &reply);
		if (query->full || reader->len > LOOKUP_ANSWER_MAX)
			return error_set(query->error, ERROR_TEMPORARY, "REDIS: the answer has more than %d MiB", LOOKUP_ANSWER_MAX >> 20);
		if (result != REDIS_OK)
			return error_set(query->error, ERROR_TEMPORARY, "REDIS query failed: the answer is not Redis' protocol (%s)",
					 reader->errstr);
		if (buf_len(&query->out) != before)
			task_yield(); /* a long answer leaves time for others */
		before = buf_len(&query->out);
	}
	return true;
}

/* Sends and reads the answer. False: the connection cannot be used any more. */
static bool run_on(struct query *query, int fd, const struct words *words)
{
	buf_reset(&query->out);
	query->found = query->failed = query->full = query->heard = false;
	query->lines = 0;
	redisReader *reader = redisReaderCreateWithFunctions(&reply_functions);
	if (!reader)
		fatal("out of memory for an answer of Redis");
	reader->privdata = query;
	bool done = send_command(query, fd, words) && read_answer(query, fd, reader);
	if (done && reader->pos != reader->len)
		done = error_set(query->error, ERROR_TEMPORARY, "REDIS query failed: the server sent more than an answer");
	redisReaderFree(reader);
	return done;
}

static bool answer_is_error(struct query *query, const char *what)
{
	if (!query->failed)
		return false;
	char text[200];
	snprintf(text, sizeof text, "%.*s", SLICE_ARG(buf_slice(&query->out)));
	struct slice line = lookup_one_line(text, query->arena);
	error_set(query->error, ERROR_TEMPORARY, "REDIS: %s failed: %.*s", what, SLICE_ARG(line));
	return true;
}

static bool set_up(struct query *query, int fd, const char *command, struct slice argument, const char *what)
{
	if (argument.len == 0)
		return true;
	struct words words = { .text = { command, argument.data }, .len = { strlen(command), argument.len }, .count = 2 };
	return run_on(query, fd, &words) && !answer_is_error(query, what);
}

static struct connection *take_connection(struct query *query, const struct lookup_server *server)
{
	struct lookup_pool *pool = query->world->redis;
	struct lookup_pooled *pooled;
	enum lookup_pool_result result = lookup_pool_take(pool, server->text, query->deadline, &pooled);
	if (result == LOOKUP_POOL_BUSY)
		error_set(query->error, ERROR_TEMPORARY, "REDIS connection failed: too many queries run at the same time");
	if (result != LOOKUP_POOL_NEW)
		return (struct connection *)pooled;
	int64_t deadline = query->deadline;
	query->deadline = lookup_connect_deadline(deadline);
	int fd = connect_to(query, server);
	bool ready = fd >= 0 && set_up(query, fd, "AUTH", server->fields[1], "authentication") &&
		     set_up(query, fd, "SELECT", server->fields[0], "choosing the database");
	query->deadline = deadline;
	if (ready) {
		struct connection *connection = lookup_pooled_new(sizeof *connection, server->text);
		connection->fd = fd;
		return connection;
	}
	io_close(&fd);
	lookup_pool_drop(pool, NULL);
	return NULL;
}

/*
 * A server may close an idle connection while our command is on its way to it; then a new one takes the command. As when a second
 * server of the list is asked, it may have been carried out already.
 */
static bool try_server(void *arg, const struct lookup_server *server, int64_t deadline)
{
	struct query *query = arg;
	struct lookup_pool *pool = query->world->redis;
	query->deadline = deadline;
	for (;;) {
		struct connection *connection = take_connection(query, server);
		if (!connection)
			return false;
		bool done = run_on(query, connection->fd, query->words), used = connection->used;
		if (done) {
			connection->used = true;
			lookup_pool_give_back(pool, &connection->pooled);
			return !answer_is_error(query, "query");
		}
		lookup_pool_drop(pool, &connection->pooled);
		if (!used || query->heard || clock_now() >= deadline)
			return false;
	}
}

/* ---- words ---- */

struct word_reader {
	struct arena *arena;
	struct words *words;
	struct buf word;
	bool begun; /* also an empty value begins a word */
	bool escaped;
};

static bool end_word(struct word_reader *reader)
{
	if (!reader->begun)
		return true;
	struct words *words = reader->words;
	if (words->count == WORDS_MAX)
		return false;
	words->len[words->count] = buf_len(&reader->word);
	words->text[words->count++] = arena_copy(reader->arena, buf_slice(&reader->word)).data;
	buf_reset(&reader->word);
	reader->begun = false;
	return true;
}

static bool add_text(struct word_reader *reader, struct slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i];
		if (!reader->escaped && c == '\\') {
			reader->escaped = reader->begun = true;
			continue;
		}
		if (!reader->escaped && ascii_is_space(c)) {
			if (!end_word(reader))
				return false;
			continue;
		}
		reader->escaped = false;
		reader->begun = true;
		if (!buf_append_byte(&reader->word, c))
			return false;
	}
	return true;
}

static bool split_words(const struct expand_piece *pieces, size_t count, struct arena *arena, struct words *words)
{
	struct word_reader reader = { .arena = arena, .words = words };
	buf_init(&reader.word, EXPAND_REQUEST_MAX);
	bool done = true;
	for (size_t i = 0; i < count && done; i++) {
		/* A whole command that the configuration computed is text. */
		if (!pieces[i].value || (count == 1 && !pieces[i].tainted)) {
			done = add_text(&reader, pieces[i].text);
			continue;
		}
		reader.begun = true;
		reader.escaped = false;
		done = buf_append(&reader.word, pieces[i].text);
	}
	done = done && end_word(&reader);
	buf_free(&reader.word);
	return done;
}

static enum expand_result find(struct lookup_world *world, const struct search *search, const struct expand_request *request,
			       struct slice key, struct arena *arena, struct expand_answer *answer_r, struct error *error)
{
	static const struct lookup_server_form form = { .name = "Redis", .option = "redis_servers", .fields = 2 };
	(void)key;
	size_t count;
	struct expand_piece *pieces = lookup_copy_pieces(request, arena, &count);
	struct lookup_servers *servers = arena_new(arena, struct lookup_servers);
	enum expand_result result = lookup_find_servers(&form, world->settings.redis_servers, search, request, pieces, count, arena,
							servers, error);
	if (result != EXPAND_OK)
		return result;
	if (pieces[0].tainted)
		return lookup_fail(error, "redis query: the command itself is a value that a peer had a hand in");
	struct words *words = arena_new(arena, struct words);
	if (!split_words(pieces, count, arena, words))
		return lookup_fail(error, "redis query: more than %d words", WORDS_MAX);
	if (words->count == 0)
		return lookup_fail(error, "redis query: there is no command");
	struct query query = { .world = world, .words = words, .arena = arena, .error = error };
	buf_init(&query.out, LOOKUP_ANSWER_MAX);
	result = lookup_try_servers(servers, request->deadline, try_server, &query, error);
	answer_r->found = result == EXPAND_OK && query.found;
	answer_r->text = arena_copy(arena, buf_slice(&query.out));
	buf_free(&query.out);
	return result;
}

const struct lookup_driver lookup_driver_redis = { .name = "redis", .find = find };

/* SPDX-License-Identifier: ISC */
/*
 * sqlite (Exim's manual, chapter 9 §26): queries on SQLite files, on offload threads. A connection serves one query at a time; those that
 * are idle wait in the world for the next, with their prepared statements. A database that was replaced by another file of
 * its name is opened anew.
 *
 * Unlike Exim, a database is never created by asking it, and a query that SQLite refuses is an error, not an empty answer.
 */
#include "lookup/sqlite.h"

#include "base/fatal.h"
#include "expand/expand.h"
#include "lookup/servers.h"
#include "lookup/sql.h"
#include "task/offload.h"

#include <errno.h>
#include <sqlite3.h>
#include <sys/stat.h>

enum {
	IDLE_MAX = 16,       /* connections that wait */
	STATEMENTS_MAX = 16, /* prepared on each */
	LOCK_WAIT_MS = 5000, /* Exim's default of sqlite_lock_timeout */
	CHECK_EVERY = 1000,  /* instructions of SQLite's machine between two looks at the clock */
	RUNNING_MAX = OFFLOAD_THREADS - 1, /* a locked database must not hold all threads */
};

struct statement {
	char *text;
	sqlite3_stmt *prepared;
};

struct connection {
	char *path;
	sqlite3 *database;
	dev_t device;
	ino_t inode;
	int64_t deadline; /* of the query that runs */
	struct statement statements[STATEMENTS_MAX]; /* the one used last first */
	struct connection *next;
};

struct lookup_sqlite {
	struct connection *idle; /* the one used last first */
	size_t idle_count, running;
	struct wait_list waiters; /* for one of the RUNNING_MAX */
};

struct lookup_sqlite *lookup_sqlite_new(void)
{
	return xcalloc(1, sizeof(struct lookup_sqlite));
}

static void close_connection(struct connection *connection)
{
	for (size_t i = 0; i < STATEMENTS_MAX; i++) {
		sqlite3_finalize(connection->statements[i].prepared);
		free(connection->statements[i].text);
	}
	sqlite3_close(connection->database);
	free(connection->path);
	free(connection);
}

void lookup_sqlite_free(struct lookup_sqlite **sqlite)
{
	if (!*sqlite)
		return;
	while ((*sqlite)->idle) {
		struct connection *connection = (*sqlite)->idle;
		(*sqlite)->idle = connection->next;
		close_connection(connection);
	}
	free(*sqlite);
	*sqlite = NULL;
}

/* ---- on an offload thread ---- */

struct job {
	const char *path;
	const struct sql_query *query;
	int64_t deadline;
	struct connection *connection; /* idle until now, or NULL; afterwards one that may be used again, or NULL */
	struct buf out;
	size_t rows;
	enum expand_result result;
	struct error *error;
};

static int out_of_time(void *arg)
{
	const struct connection *connection = arg;
	return clock_now() > connection->deadline;
}

static enum expand_result refused(struct job *job, const char *what, int code)
{
	sqlite3 *database = job->connection ? job->connection->database : NULL;
	const char *why = database ? sqlite3_errmsg(database) : sqlite3_errstr(code);
	if ((code & 0xff) == SQLITE_INTERRUPT)
		why = "it took too long";
	return lookup_defer(job->error, "sqlite lookup in %s: %s: %s", job->path, what, why);
}

static enum expand_result connect_to(struct job *job)
{
	struct stat file;
	if (stat(job->path, &file) < 0)
		return lookup_defer(job->error, "sqlite lookup: unable to open database file %s: %s", job->path, strerror(errno));
	if (job->connection && (job->connection->device != file.st_dev || job->connection->inode != file.st_ino)) {
		close_connection(job->connection);
		job->connection = NULL;
	}
	if (job->connection)
		return EXPAND_OK;
	struct connection *connection = job->connection = xcalloc(1, sizeof *connection);
	connection->path = xstrdup(job->path);
	connection->device = file.st_dev;
	connection->inode = file.st_ino;
	int code = sqlite3_open_v2(job->path, &connection->database, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	if (code != SQLITE_OK)
		return refused(job, "unable to open the database", code);
	sqlite3_limit(connection->database, SQLITE_LIMIT_LENGTH, LOOKUP_ANSWER_MAX);
	sqlite3_progress_handler(connection->database, CHECK_EVERY, out_of_time, connection);
	return EXPAND_OK;
}

static void bind_values(sqlite3_stmt *prepared, const struct sql_query *query)
{
	for (size_t i = 0; i < query->count; i++) {
		char name[32];
		uint64_t number;
		snprintf(name, sizeof name, ":postern%zu", i + 1);
		int index = sqlite3_bind_parameter_index(prepared, name);
		const char *text = query->parameters[i];
		if (index == 0)
			continue; /* of another statement of the query */
		if (query->bare[i] && slice_parse_u64(slice_of(text), INT64_MAX, &number))
			sqlite3_bind_int64(prepared, index, (int64_t)number);
		else
			sqlite3_bind_text(prepared, index, text, -1, SQLITE_STATIC);
	}
}

static struct slice column_text(sqlite3_stmt *prepared, int column)
{
	const void *text = sqlite3_column_text(prepared, column);
	if (!text)
		return SLICE("<NULL>"); /* as Exim shows it */
	return slice_make(text, (size_t)sqlite3_column_bytes(prepared, column));
}

static bool put_row(struct job *job, sqlite3_stmt *prepared)
{
	int columns = sqlite3_column_count(prepared);
	if (job->rows++ > 0 && !buf_append_byte(&job->out, '\n'))
		return false;
	if (columns == 1)
		return buf_append(&job->out, column_text(prepared, 0));
	for (int i = 0; i < columns; i++)
		if (!sql_put_column(&job->out, slice_of(sqlite3_column_name(prepared, i)), column_text(prepared, i)))
			return false;
	return true;
}

static enum expand_result run_statement(struct job *job, sqlite3_stmt *prepared)
{
	bind_values(prepared, job->query);
	int code;
	while ((code = sqlite3_step(prepared)) == SQLITE_ROW)
		if (!put_row(job, prepared))
			return lookup_defer(job->error, "sqlite lookup in %s: the answer has more than %d MiB", job->path,
					    LOOKUP_ANSWER_MAX >> 20);
	return code == SQLITE_DONE ? EXPAND_OK : refused(job, "the query failed", code);
}

/* The statement of that text, moved to the front; NULL when it was not prepared yet. */
static sqlite3_stmt *find_statement(struct connection *connection, const char *text)
{
	struct statement *all = connection->statements;
	for (size_t i = 0; i < STATEMENTS_MAX && all[i].text; i++) {
		if (strcmp(all[i].text, text) != 0)
			continue;
		struct statement found = all[i];
		memmove(all + 1, all, i * sizeof *all);
		all[0] = found;
		return found.prepared;
	}
	return NULL;
}

static void keep_statement(struct connection *connection, const char *text, sqlite3_stmt *prepared)
{
	struct statement *all = connection->statements, *last = &all[STATEMENTS_MAX - 1];
	sqlite3_finalize(last->prepared);
	free(last->text);
	memmove(all + 1, all, (STATEMENTS_MAX - 1) * sizeof *all);
	all[0] = (struct statement){ xstrdup(text), prepared };
}

/* All statements of the query, one after the other; one that stands alone is kept prepared. */
static enum expand_result run_query(struct job *job)
{
	const char *text = job->query->text.data, *rest = text;
	sqlite3 *database = job->connection->database;
	sqlite3_stmt *prepared = find_statement(job->connection, text);
	if (prepared) {
		enum expand_result result = run_statement(job, prepared);
		sqlite3_reset(prepared);
		sqlite3_clear_bindings(prepared);
		return result;
	}
	while (*rest) {
		const char *from = rest;
		int code = sqlite3_prepare_v3(database, from, -1, SQLITE_PREPARE_PERSISTENT, &prepared, &rest);
		if (code != SQLITE_OK)
			return refused(job, "the query is not valid", code);
		if (!prepared)
			continue; /* white space or a comment */
		enum expand_result result = run_statement(job, prepared);
		if (result == EXPAND_OK && from == text && slice_trim(slice_of(rest)).len == 0) {
			sqlite3_reset(prepared);
			sqlite3_clear_bindings(prepared);
			keep_statement(job->connection, text, prepared);
			return result;
		}
		sqlite3_finalize(prepared);
		if (result != EXPAND_OK)
			return result;
	}
	return EXPAND_OK;
}

static void run_job(void *arg)
{
	struct job *job = arg;
	job->result = connect_to(job);
	if (job->result == EXPAND_OK) {
		int64_t left = (job->deadline - clock_now()) / CLOCK_MS;
		job->connection->deadline = job->deadline;
		sqlite3_busy_timeout(job->connection->database, left < 1 ? 1 : left > LOCK_WAIT_MS ? LOCK_WAIT_MS : (int)left);
		job->result = run_query(job);
	}
	/* A transaction that the query left open would keep the file locked. */
	if (job->connection && (job->result != EXPAND_OK || !sqlite3_get_autocommit(job->connection->database))) {
		close_connection(job->connection);
		job->connection = NULL;
	}
}

/* ---- on the loop ---- */

static struct connection *take_idle(struct lookup_sqlite *sqlite, const char *path)
{
	for (struct connection **link = &sqlite->idle; *link; link = &(*link)->next) {
		struct connection *connection = *link;
		if (strcmp(connection->path, path) != 0)
			continue;
		*link = connection->next;
		sqlite->idle_count--;
		return connection;
	}
	return NULL;
}

static void give_back(struct lookup_sqlite *sqlite, struct connection *connection)
{
	connection->next = sqlite->idle;
	sqlite->idle = connection;
	if (++sqlite->idle_count <= IDLE_MAX)
		return;
	struct connection **link = &sqlite->idle;
	while ((*link)->next)
		link = &(*link)->next;
	close_connection(*link);
	*link = NULL;
	sqlite->idle_count--;
}

/* The older form, "/path/to/db select ...": the path goes, the pieces are what is left. */
static enum expand_result split_path(struct expand_piece *pieces, size_t *count, struct arena *arena, struct slice *path_r,
				     struct error *error)
{
	struct slice path = { 0 };
	size_t i = 0;
	for (; i < *count; i++) {
		struct slice text = pieces[i].text;
		if (i == 0)
			while (text.len > 0 && ascii_is_space(text.data[0]))
				text = slice_from(text, 1);
		size_t len = 0;
		while (len < text.len && !ascii_is_space(text.data[len]))
			len++;
		if (pieces[i].tainted && len > 0)
			return lookup_fail(error, "sqlite lookup: the file name in front of the query is tainted: give it as sqlite,file=NAME");
		path = arena_printf(arena, "%.*s%.*s", SLICE_ARG(path), SLICE_ARG(slice_first(text, len)));
		pieces[i].text = slice_from(text, len);
		if (len < text.len)
			break;
	}
	memmove(pieces, pieces + i, (*count - i) * sizeof *pieces);
	*count -= i;
	*path_r = path;
	return EXPAND_OK;
}

/* The file by its option, in front of the query, or of sqlite_dbfile, in this order. */
static enum expand_result find_path(struct lookup_world *world, const struct search *search, const struct expand_request *request,
				    struct expand_piece *pieces, size_t *count, struct arena *arena, struct clean_path *path_r,
				    struct error *error)
{
	struct slice path = request->file.len > 0 ? request->file : lookup_option(search, request, "file");
	if (path.len == 0 && *count > 0 && slice_starts(slice_trim(pieces[0].text), SLICE("/"))) {
		enum expand_result result = split_path(pieces, count, arena, &path, error);
		if (result != EXPAND_OK)
			return result;
	} else if (path.len == 0) {
		path = world->settings.sqlite_dbfile;
	}
	if (path.len == 0)
		return lookup_fail(error, "absolute file name expected for \"sqlite\" lookup: set sqlite_dbfile, or write sqlite,file=/PATH");
	if (!expand_to_path((struct expand_value){ .text = path }, arena, path_r, error)) {
		error_context(error, "sqlite lookup");
		return EXPAND_FAIL;
	}
	return EXPAND_OK;
}

static enum expand_result find(struct lookup_world *world, const struct search *search, const struct expand_request *request,
			       struct slice key, struct arena *arena, struct expand_answer *answer_r, struct error *error)
{
	(void)key;
	size_t count;
	struct expand_piece *pieces = lookup_copy_pieces(request, arena, &count);
	struct clean_path path;
	struct sql_query query;
	enum expand_result result = find_path(world, search, request, pieces, &count, arena, &path, error);
	if (result != EXPAND_OK)
		return result;
	if (!sql_bind(SQL_SQLITE, pieces, count, arena, &query, error))
		return EXPAND_FAIL;

	struct job job = { .path = path.text.data, .query = &query, .deadline = request->deadline, .error = error };
	struct lookup_sqlite *sqlite = world->sqlite;
	while (sqlite->running >= RUNNING_MAX)
		if (wait_list_wait(&sqlite->waiters, request->deadline) < 0)
			return lookup_defer(error, "sqlite lookup in %s: too many queries run at the same time", job.path);
	sqlite->running++;
	job.connection = take_idle(sqlite, job.path);
	buf_init(&job.out, LOOKUP_ANSWER_MAX);
	offload(run_job, &job);
	if (job.connection)
		give_back(sqlite, job.connection);
	sqlite->running--;
	wait_list_wake_one(&sqlite->waiters);
	answer_r->found = job.rows > 0;
	answer_r->text = arena_copy(arena, buf_slice(&job.out));
	buf_free(&job.out);
	return job.result;
}

const struct lookup_driver lookup_driver_sqlite = { .name = "sqlite", .find = find };

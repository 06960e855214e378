/* SPDX-License-Identifier: ISC */
/*
 * pgsql (Exim's manual, chapter 9 §22 to 25): queries on PostgreSQL servers by libpq's asynchronous functions, so a task waits and no
 * thread is held by a server that does not answer. Servers are tried in order until one processes the query; the time left
 * is shared among those that are left. Connections that are idle wait in the world.
 *
 *   take_connection (idle, or PQconnectPoll) ──▶ send ──▶ flush ──▶ results ──▶ idle again
 *        │                                        └────────┴──────────┴──▶ trouble: closed, next server
 */
#include "lookup/pgsql.h"

#include "base/buf.h"
#include "base/fatal.h"
#include "lookup/net.h"
#include "lookup/servers.h"
#include "lookup/sql.h"

#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>

struct connection {
	struct lookup_pooled pooled;
	PGconn *pg;
	bool used; /* it has answered before, and may be closing by now */
};

/* One query, through all servers. */
struct query {
	struct lookup_world *world;
	const struct sql_query *sql;
	struct arena *arena;
	int64_t deadline; /* for the server at hand */
	struct buf out;
	size_t rows;
	bool found, statement_ended;
	struct error *error;
};

/* A server that has something to say to an idle connection mostly says that it is closing it. */
static bool still_good(struct lookup_pooled *pooled)
{
	PGconn *pg = ((struct connection *)pooled)->pg;
	struct pollfd now = { .fd = PQsocket(pg), .events = POLLIN };
	return poll(&now, 1, 0) == 0;
}

static void close_connection(struct lookup_pooled *pooled)
{
	PQfinish(((struct connection *)pooled)->pg);
}

struct lookup_pool *lookup_pgsql_new(void)
{
	return lookup_pool_new(close_connection, still_good);
}

/* ---- connections ---- */

static void ignore_notice(void *arg, const char *message)
{
	(void)arg, (void)message;
}

static bool trouble(struct query *query, const char *what, const char *why)
{
	struct slice line = lookup_one_line(why, query->arena);
	return error_set(query->error, ERROR_TEMPORARY, "PGSQL %s: %.*s", what, SLICE_ARG(line));
}

static bool wait_for(struct query *query, PGconn *pg, unsigned events, const char *what)
{
	int fd = PQsocket(pg);
	int result = fd < 0 ? -EBADF : lookup_wait_library(fd, events, query->deadline);
	return result == 0 || trouble(query, what, result == -ETIMEDOUT ? "the server takes too long" : strerror(-result));
}

static bool finish_connecting(struct query *query, PGconn *pg)
{
	/* libpq's rule: at first as if it wanted to write. */
	PostgresPollingStatusType wants = PGRES_POLLING_WRITING;
	while (wants != PGRES_POLLING_OK) {
		if (!wait_for(query, pg, wants == PGRES_POLLING_READING ? IO_READ : IO_WRITE, "connection failed"))
			return false;
		wants = PQconnectPoll(pg);
		if (wants == PGRES_POLLING_FAILED)
			return trouble(query, "connection failed", PQerrorMessage(pg));
	}
	/* Without it backslashes in '' would have a meaning that the binding of values does not know. */
	const char *standard = PQparameterStatus(pg, "standard_conforming_strings");
	if (!standard || strcmp(standard, "on") != 0)
		return trouble(query, "connection refused", "the server has standard_conforming_strings off, which Postern needs on");
	return PQsetnonblocking(pg, 1) == 0 || trouble(query, "connection failed", PQerrorMessage(pg));
}

/* The parameters of libpq: names, and their values, which may be NULL. */
struct parameters {
	const char *names[16], *values[16];
	size_t count;
};

static void add_parameter(struct parameters *parameters, const char *name, struct slice value, struct arena *arena)
{
	if (value.len == 0)
		return;
	parameters->names[parameters->count] = name;
	parameters->values[parameters->count++] = arena_cstr(arena, value);
}

static PGconn *connect_address(struct query *query, const struct lookup_server *server, struct slice address)
{
	struct parameters parameters = { .count = 0 };
	struct slice host = server->host, port = server->port;
	if (server->socket.len > 0) {
		/* "/run/postgresql/.s.PGSQL.5432": the directory and the port. */
		size_t slash = slice_find_last(server->socket, '/'), dot = slice_find_last(server->socket, '.');
		host = slice_first(server->socket, slash);
		port = slice_from(server->socket, dot + 1);
	}
	add_parameter(&parameters, "host", host, query->arena);
	add_parameter(&parameters, "hostaddr", address, query->arena);
	add_parameter(&parameters, "port", port, query->arena);
	add_parameter(&parameters, "dbname", server->fields[0], query->arena);
	add_parameter(&parameters, "user", server->fields[1], query->arena);
	add_parameter(&parameters, "password", server->fields[2], query->arena);
	add_parameter(&parameters, "application_name", SLICE("postern"), query->arena);
	add_parameter(&parameters, "passfile", SLICE("/nonexistent"), query->arena); /* nothing but the configuration counts */
	add_parameter(&parameters, "gssencmode", SLICE("disable"), query->arena);    /* it would block */
	PGconn *pg = PQconnectStartParams(parameters.names, parameters.values, 0);
	ensure(pg);
	PQsetNoticeProcessor(pg, ignore_notice, NULL); /* otherwise they go to standard error */
	if (PQstatus(pg) == CONNECTION_BAD)
		trouble(query, "connection failed", PQerrorMessage(pg));
	else if (finish_connecting(query, pg))
		return pg;
	PQfinish(pg);
	return NULL;
}

/* libpq resolves names while everything waits, so it only gets addresses. */
static PGconn *connect_to(struct query *query, const struct lookup_server *server)
{
	if (server->socket.len > 0)
		return connect_address(query, server, (struct slice){ 0 });
	struct lookup_addresses addresses;
	if (lookup_resolve(query->world, server->host, 0, query->deadline, query->arena, &addresses, query->error) != EXPAND_OK) {
		error_context(query->error, "PGSQL connection failed");
		return NULL;
	}
	PGconn *pg = NULL;
	for (size_t i = 0; i < addresses.count && !pg; i++)
		pg = connect_address(query, server, slice_of(arena_cstr(query->arena, slice_of(net_address_text(&addresses.items[i]).text))));
	return pg;
}

static struct connection *take_connection(struct query *query, const struct lookup_server *server)
{
	struct lookup_pool *pool = query->world->pgsql;
	struct lookup_pooled *pooled;
	enum lookup_pool_result result = lookup_pool_take(pool, server->text, query->deadline, &pooled);
	if (result == LOOKUP_POOL_BUSY)
		trouble(query, "connection failed", "too many queries run at the same time");
	if (result != LOOKUP_POOL_NEW)
		return (struct connection *)pooled;
	int64_t deadline = query->deadline;
	query->deadline = lookup_connect_deadline(deadline);
	PGconn *pg = connect_to(query, server);
	query->deadline = deadline;
	if (!pg) {
		lookup_pool_drop(pool, NULL);
		return NULL;
	}
	struct connection *connection = lookup_pooled_new(sizeof *connection, server->text);
	connection->pg = pg;
	return connection;
}

/* ---- queries ---- */

static bool put_row(struct query *query, const PGresult *result, int row)
{
	int columns = PQnfields(result);
	bool done = query->rows == 0 || buf_append_byte(&query->out, '\n');
	query->rows++;
	for (int i = 0; i < columns && done; i++) {
		struct slice value = slice_make(PQgetvalue(result, row, i), (size_t)PQgetlength(result, row, i));
		done = columns == 1 ? buf_append(&query->out, value)
				    : sql_put_column(&query->out, slice_of(PQfname(result, i)), value);
	}
	return done || error_set(query->error, ERROR_TEMPORARY, "PGSQL: the answer has more than %d MiB", LOOKUP_ANSWER_MAX >> 20);
}

/* Of several statements in one query the last one's result counts. */
static void begin_statement(struct query *query)
{
	if (!query->statement_ended)
		return;
	buf_reset(&query->out);
	query->rows = 0;
	query->found = query->statement_ended = false;
}

static bool take_result(struct query *query, PGconn *pg, const PGresult *result)
{
	begin_statement(query);
	switch (PQresultStatus(result)) {
	case PGRES_SINGLE_TUPLE:
	case PGRES_TUPLES_OK:
		query->statement_ended = PQresultStatus(result) == PGRES_TUPLES_OK;
		for (int row = 0; row < PQntuples(result); row++)
			if (!put_row(query, result, row))
				return false;
		query->found = query->rows > 0;
		return true;
	case PGRES_COMMAND_OK:
	case PGRES_EMPTY_QUERY:
		query->statement_ended = query->found = true;
		return buf_append(&query->out, slice_of(PQcmdTuples((PGresult *)(uintptr_t)result)));
	case PGRES_COPY_IN:
	case PGRES_COPY_OUT:
	case PGRES_COPY_BOTH:
		return trouble(query, "query failed", "COPY cannot be used in a lookup");
	default:
		return trouble(query, "query failed", PQresultErrorMessage(result)[0] ? PQresultErrorMessage(result) : PQerrorMessage(pg));
	}
}

static bool flush(struct query *query, PGconn *pg)
{
	int left;
	while ((left = PQflush(pg)) == 1) {
		if (!wait_for(query, pg, IO_READ | IO_WRITE, "query failed"))
			return false;
		if (PQconsumeInput(pg) != 1)
			return trouble(query, "query failed", PQerrorMessage(pg));
	}
	return left == 0 || trouble(query, "query failed", PQerrorMessage(pg));
}

static bool read_results(struct query *query, PGconn *pg)
{
	bool good = true;
	for (;;) {
		while (PQisBusy(pg)) {
			if (!wait_for(query, pg, IO_READ, "query failed"))
				return false;
			if (PQconsumeInput(pg) != 1)
				return trouble(query, "query failed", PQerrorMessage(pg));
		}
		PGresult *result = PQgetResult(pg);
		if (!result)
			return good;
		/* After an error the rest is read, so that the connection can be used again. */
		good = good && take_result(query, pg, result);
		/* An endless answer and COPY have no rest worth reading; the connection is closed then, for it is not idle. */
		ExecStatusType status = PQresultStatus(result);
		bool over = status == PGRES_FATAL_ERROR || status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
		PQclear(result);
		if (PQstatus(pg) != CONNECTION_OK || (!good && !over))
			return false;
	}
}

/* As many statements as the query has when nothing is bound; with parameters the protocol takes one. */
static bool run_on(struct query *query, PGconn *pg)
{
	const struct sql_query *sql = query->sql;
	int sent = sql->count ? PQsendQueryParams(pg, sql->text.data, (int)sql->count, NULL, sql->parameters, NULL, NULL, 0)
			      : PQsendQuery(pg, sql->text.data);
	if (!sent)
		return trouble(query, "query failed", PQerrorMessage(pg));
	PQsetSingleRowMode(pg); /* rows come one by one, so that an endless answer does not fill the memory */
	return flush(query, pg) && read_results(query, pg);
}

/*
 * A server may close an idle connection while our query is on its way to it; then a new one takes the query. As when a second server
 * of the list is asked, it may have been carried out already.
 */
static bool try_server(void *arg, const struct lookup_server *server, int64_t deadline)
{
	struct query *query = arg;
	query->deadline = deadline;
	for (;;) {
		buf_reset(&query->out);
		query->rows = 0;
		query->found = query->statement_ended = false;
		struct connection *connection = take_connection(query, server);
		if (!connection)
			return false;
		bool done = run_on(query, connection->pg), used = connection->used;
		bool lost = PQstatus(connection->pg) != CONNECTION_OK;
		if (!lost && PQtransactionStatus(connection->pg) == PQTRANS_IDLE) {
			connection->used = true;
			lookup_pool_give_back(query->world->pgsql, &connection->pooled);
		} else {
			lookup_pool_drop(query->world->pgsql, &connection->pooled);
		}
		if (done || !used || !lost || query->rows || query->statement_ended || clock_now() >= deadline)
			return done;
	}
}

static enum expand_result find(struct lookup_world *world, const struct search *search, const struct expand_request *request,
			       struct slice key, struct arena *arena, struct expand_answer *answer_r, struct error *error)
{
	static const struct lookup_server_form form = { .name = "PostgreSQL", .option = "pgsql_servers", .fields = 3, .least = 3 };
	(void)key;
	size_t count;
	struct expand_piece *pieces = lookup_copy_pieces(request, arena, &count);
	struct lookup_servers *servers = arena_new(arena, struct lookup_servers);
	enum expand_result result = lookup_find_servers(&form, world->settings.pgsql_servers, search, request, pieces, count, arena,
							servers, error);
	if (result != EXPAND_OK)
		return result;
	struct sql_query sql;
	if (!sql_bind(SQL_PGSQL, pieces, count, arena, &sql, error))
		return EXPAND_FAIL;
	struct query query = { .world = world, .sql = &sql, .arena = arena, .error = error };
	buf_init(&query.out, LOOKUP_ANSWER_MAX);
	result = lookup_try_servers(servers, request->deadline, try_server, &query, error);
	answer_r->found = result == EXPAND_OK && query.found;
	answer_r->text = arena_copy(arena, buf_slice(&query.out));
	buf_free(&query.out);
	return result;
}

const struct lookup_driver lookup_driver_pgsql = { .name = "pgsql", .find = find };

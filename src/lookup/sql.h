/* SPDX-License-Identifier: ISC */
/*
 * Queries with values kept apart: from the pieces of a lookup's query to SQL text with placeholders and a list of parameters. Text of
 * the configuration is SQL; a value is never parsed as SQL when a peer had a hand in it.
 *
 *   where                              value of a peer                 value of the configuration's own
 *   'abc $value def'                   the whole literal is one parameter, quotes and escapes of its fixed parts taken away
 *   $tag$ ... $tag$ (PostgreSQL)       the same
 *   outside of quotes                  a parameter by itself           pasted: names of tables, numbers, whole clauses
 *   "name", [name], `name`, comments   refused                         pasted
 *
 * The scanner follows the quoting of each dialect: '' in literals, E'' with backslashes, dollar quotes and nested comments in
 * PostgreSQL (standard_conforming_strings is on); [name] and `name` in SQLite.
 */
#ifndef POSTERN_LOOKUP_SQL_H
#define POSTERN_LOOKUP_SQL_H

#include "base/arena.h"
#include "base/error.h"
#include "expand/service.h"

enum sql_dialect { SQL_SQLITE, SQL_PGSQL };

enum { SQL_PARAMETERS_MAX = 500 };

/* Placeholders are $1, $2, ... for PostgreSQL, and :postern1, :postern2, ... for SQLite, where "?" and "$1" may be the query's own. */
struct sql_query {
	struct slice text;        /* followed by a NUL, holds none */
	const char **parameters;  /* NUL-ended */
	bool *bare;               /* for each: it stood outside of quotes, where a number is a number */
	size_t count;
};

/* In `arena`. False: *error says which value cannot be used where. */
bool sql_bind(enum sql_dialect dialect, const struct expand_piece *pieces, size_t count, struct arena *arena,
	      struct sql_query *query_r, struct error *error);

/*
 * One column of an answer as the manual has it (9 §21): "name=value ", the value in double quotes, with quotes and backslashes escaped,
 * when it is empty or holds white space. Appends to `out`; false when that is full.
 */
struct buf;
bool sql_put_column(struct buf *out, struct slice name, struct slice value);

#endif

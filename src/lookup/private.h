/* SPDX-License-Identifier: ISC */
/*
 * What the files of src/lookup share; nobody else includes this.
 *
 * lookup.c takes requests apart and does partial matching and defaults; everything else is a function behind a row of a table:
 * services by enum expand_service, drivers by search type. All of them run on a task, may wait, and end at the request's deadline,
 * which lookup_ask has set to no more than LOOKUP_TIME_MAX from now.
 */
#ifndef POSTERN_LOOKUP_PRIVATE_H
#define POSTERN_LOOKUP_PRIVATE_H

#include "base/clock.h"
#include "lookup/lookup.h"
#include "task/task.h"

struct lookup_files;
struct lookup_sqlite;
struct lookup_pool;

#define LOOKUP_TIME_MAX (60 * CLOCK_SECOND)
#define LOOKUP_SCAN_TIME_MAX (300 * CLOCK_SECOND)

enum { LOOKUP_ANSWER_MAX = 16 << 20 }; /* bytes of one answer, from whatever source */

struct lookup_world {
	struct loop *loop;
	struct lookup_settings settings; /* texts are copies, in `arena` */
	struct arena arena;
	struct lookup_files *files;
	struct lookup_sqlite *sqlite;
	struct lookup_pool *pgsql, *redis; /* their connections */
};

/* What answers one kind of request. On entry *answer_r is zeroed. */
typedef enum expand_result lookup_service(struct lookup_world *world, const struct expand_request *request, struct arena *arena,
					  struct expand_answer *answer_r, struct error *error);

/* file_service.c, run.c, socket.c, crypt.c, pam.c */
lookup_service lookup_read_file, lookup_exists, lookup_stat, lookup_run, lookup_read_socket, lookup_crypt, lookup_pam;
/* scanner.c, udp.c */
lookup_service lookup_scan, lookup_udp;
/* hosts.c */
lookup_service lookup_host_names, lookup_host_addresses;

extern const struct lookup_driver lookup_driver_lsearch, lookup_driver_wildlsearch, lookup_driver_nwildlsearch,
	lookup_driver_iplsearch, lookup_driver_cdb, lookup_driver_json, lookup_driver_dsearch, lookup_driver_passwd,
	lookup_driver_sqlite, lookup_driver_pgsql, lookup_driver_redis, lookup_driver_dnsdb;

/* Both set *error with the text and return the result named. */
enum expand_result lookup_fail(struct error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));
enum expand_result lookup_defer(struct error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * The value of an option ("ret", "file"), from the search type or the request, later ones first; data NULL when it is not there.
 * `search` may be NULL.
 */
struct slice lookup_option(const struct search *search, const struct expand_request *request, const char *name);
/* The query of a query-style lookup as one text: the pieces joined, or the key where there are none. */
struct slice lookup_query_text(const struct expand_request *request, struct arena *arena, bool *tainted_r);

#endif

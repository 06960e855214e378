/* SPDX-License-Identifier: ISC */
/*
 * postern stats: figures from main logs. stats_files.c finds and reads the files, stats_count.c counts, stats_print.c prints, and
 * stats.c is the command.
 */
#ifndef POSTERN_CLI_STATS_H
#define POSTERN_CLI_STATS_H

#include "base/error.h"
#include "cli/log_line.h"
#include "cli/tally.h"

#include <stddef.h>

/* One direction of mail through the network. */
struct stats_side {
	uint64_t messages, encrypted, resumed, verified, bytes;
	struct tally versions;  /* "TLS1.3" */
	struct tally ciphers;   /* "TLS1.3 with cipher TLS_AES_256_GCM_SHA384" */
	struct tally hosts;     /* by address */
	struct tally clear;     /* those in clear, by address */
	struct tally hours;     /* "2026-11-21 10" */
};

struct stats {
	char since[LOG_STAMP_LEN + 1]; /* lines before are passed over; empty: none */
	char first[LOG_STAMP_LEN + 1], last[LOG_STAMP_LEN + 1]; /* the earliest and latest line that counted; empty: there was none */
	uint64_t files, lines, undated, damaged; /* damaged: files that ended in an error of reading or of their compression */
	struct stats_side in, out;
	uint64_t local_in, local_out;  /* submitted or delivered on this machine, without a network */
	uint64_t events[LOG_EVENTS];
	struct tally reasons, failing; /* of failed handshakes: why, and by address */
	struct tally refusals;         /* why TLS was refused before there was a handshake */
};

void stats_init(struct stats *stats);
void stats_free(struct stats *stats);
/* One line without its end. */
void stats_count(struct stats *stats, struct slice line);
/* Hours between the first and the last line, at least one. */
double stats_hours(const struct stats *stats);

/* Reads a log, gzipped or not, "-" for standard input. False with *error when it cannot be opened; later troubles are counted. */
bool stats_read(struct stats *stats, const char *path, struct error *error);
/*
 * The main log of this path and what rotation left beside it: PATH.1, PATH.2.gz, PATH-20261121 ..., oldest first; those last written
 * before `since` (seconds, 0: all) are left out. Each is given to `each`; false ends it, and is returned.
 */
typedef bool stats_file_function(void *context, const char *path);
bool stats_each_file(const char *path, int64_t since, stats_file_function *each, void *context);

struct stats_format {
	bool json, tls_only;
	size_t top; /* lines of a list */
};
void stats_print(const struct stats *stats, const struct stats_format *format);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * Scanners of messages: the servers of av_scanner and spamd_address (Exim's manual, chapter 45), connecting to one of them, and sending
 * it the message. For the files of src/lookup.
 *
 * The message is a file that another process made: it is read from its start at each use, up to the size that it has at the beginning.
 */
#ifndef POSTERN_LOOKUP_SCANNER_H
#define POSTERN_LOOKUP_SCANNER_H

#include "lookup/net.h"

enum { SCANNER_SERVERS_MAX = 32 };

struct scanner_server {
	struct slice shown;          /* as the option has it, for messages */
	struct slice path, host;     /* one of the two */
	uint16_t port, last_port;    /* tried in this order */
	int64_t retry, limit;        /* ns; 0: none */
	unsigned priority, weight;
	unsigned from, until;        /* seconds of the local day; both 0: always */
	bool rspamd;
};

/* An item of the option: "192.0.2.3 1234 retry=10s", "/path tmo=1m". False with *error. */
bool scanner_parse(struct slice text, struct scanner_server *server_r, struct error *error);

/* A message on its way to a server. */
struct scan {
	struct lookup_world *world;
	const struct expand_request *request;
	struct arena *arena;
	struct error *error;
	int64_t deadline;
	uint64_t size;               /* of the message */
	const struct scanner_server *server;
	int fd;                      /* connected */
};

/*
 * Reads the servers of request->options and connects to one of them, chosen by priority, then at random by weight; the others when
 * that fails. EXPAND_OK: scan->fd and scan->server are set; scan_end follows in any case.
 */
enum expand_result scan_begin(struct scan *scan, struct lookup_world *world, const struct expand_request *request, struct arena *arena,
			      struct error *error);
void scan_end(struct scan *scan);
/* Sends text; `chunked`: the message in pieces, each behind its length in four bytes, and a length of 0 at the end. */
enum expand_result scan_send(struct scan *scan, struct slice text);
enum expand_result scan_send_message(struct scan *scan, bool chunked);
/* Reads to the end of the stream, or to the first NUL; at most `most` bytes. */
enum expand_result scan_receive(struct scan *scan, size_t most, struct slice *text_r);

/* lookup_scan by request->type: found and text are the verdict. */
lookup_service lookup_scan_clamd, lookup_scan_spam;

/*
 * A reply of spamd or Rspamd (RSPAMC) as "score\nthreshold\naction\nreport", numbers in thousandths. False: it is none, or says that something
 * failed. For the fuzzer, too.
 */
bool scan_spam_read(struct slice reply, bool rspamd, struct arena *arena, struct slice *verdict_r, bool *spam_r);
/* A reply of clamd to INSTREAM: false with *error when it is none, or clamd failed. */
bool scan_clamd_read(struct slice reply, bool *infected_r, struct slice *name_r, struct error *error);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * Questions of expansions (expand/service.h) to the lookup role, those for commands to the run role, for PAM to the pam role, and their way through a message in
 * both directions. An asker is a task of a front or of the queue; its role holds the connections.
 *
 * Requests are at most EXPAND_REQUEST_MAX bytes and fit into a message. An answer's text that does not is in a sealed memfd.
 */
#ifndef POSTERN_ROLE_ASK_H
#define POSTERN_ROLE_ASK_H

#include "expand/service.h"
#include "ipc/peer.h"
#include "task/task.h"

/* No question takes longer than this, whatever its deadline says. */
#define ASK_TIME_MAX (60 * CLOCK_SECOND)
#define ASK_SCAN_TIME_MAX (300 * CLOCK_SECOND) /* but those to scanners of messages */

enum { ASK_ANSWER_MAX = 16 << 20, ASK_PIECES_MAX = 10000 };

struct conf;

/* The connection of a role to one that answers. Zeroed: there is none yet. */
struct ask_line {
	struct ipc_peer *peer; /* NULL while that role is being started again */
	struct wait_list connected;
};

/* The connections of a role to those who answer. */
struct ask_lines {
	struct ask_line lookup, run, pam;
};

/* The master gave a connection: takes the descriptor, in place of an earlier one. */
void ask_connected(struct ask_line *line, struct loop *loop, int fd, enum role self, enum role other);
/* The same, for the line to that role; false (and nothing is taken): there is no such line. */
bool ask_lines_connected(struct ask_lines *lines, struct loop *loop, int fd, enum role self, enum role other);

/*
 * Asks whom the question is for. Usable as expand_context.ask. A command that the configuration does not have is refused at once, and so is
 * PAM where nothing in the configuration uses it: their roles may not even be there.
 */
struct ask_world {
	struct ask_lines *lines;
	const struct conf *conf;
};
enum expand_result ask_world(void *world, const struct expand_request *request, struct arena *arena,
			     struct expand_answer *answer_r, struct error *error);

/*
 * Asks and waits for the answer; usable as expand_context.ask with the line as its owner. EXPAND_DEFER with *error when the
 * other role is gone, does not answer in time, or refuses for having too much to do.
 */
enum expand_result role_ask(void *line, const struct expand_request *request, struct arena *arena,
			    struct expand_answer *answer_r, struct error *error);

/* The latest end of a question that is asked now. */
int64_t ask_latest(enum expand_service service);

/* ---- The forms of the messages ---- */

/* False: the request is too large. `buf` holds the lists that *message_r refers to. */
bool ask_pack_request(const struct expand_request *request, struct buf *buf, struct ipc_ask *message_r);
/* False: malformed. Slices point into the message; the arrays are of `arena`. */
bool ask_unpack_request(const struct ipc_ask *message, struct arena *arena, struct expand_request *request_r);

struct ask_result {
	enum expand_result result;
	struct expand_answer answer; /* EXPAND_OK */
	struct error error;          /* the others */
};
/* Sends it as the answer to `call`. */
void ask_send_result(struct ipc_peer *peer, uint64_t call, const struct ask_result *result);
/* False: malformed. Everything is copied to `arena`. */
bool ask_unpack_result(const struct ipc_reply *reply, struct arena *arena, struct ask_result *result_r);

#endif

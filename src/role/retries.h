/* SPDX-License-Identifier: ISC */
/*
 * What the queue remembers of addresses and domains that fail (Exim's retry hints): in memory only, so a restart forgets it
 * and tries everything once. At most RETRIES_MAX keys; further ones are not remembered, which makes their retry clock that of
 * the message.
 *
 * A key is "T:" for deliveries or "R:" for routing, and the address or the domain.
 */
#ifndef POSTERN_ROLE_RETRIES_H
#define POSTERN_ROLE_RETRIES_H

#include "conf/conf.h"

enum { RETRIES_MAX = 100000 };

struct retries;

/* For as long as the process lives. */
struct retries *retries_new(void);
/* The state of a key; false, and an empty state, when there is none or it is older than `expire`. */
bool retries_get(struct retries *retries, struct slice key, int64_t now, int64_t expire, struct retry_state *state_r);
void retries_set(struct retries *retries, struct slice key, const struct retry_state *state, int64_t now, int64_t expire);
void retries_forget(struct retries *retries, struct slice key);

/* What became of a failure. */
struct retry_verdict {
	int64_t next_ns;  /* wall clock */
	bool given_up;    /* "retry timeout exceeded" */
};

/* A failure, or the question whether to try. */
struct retry_case {
	const struct conf *conf;
	struct slice key;
	struct retry_failure failure;
	int64_t received_ns; /* of the message */
	int64_t started_ns;  /* of this round of deliveries: several failures of a key in one round count once */
	const struct expand_context *context;
	struct arena *arena;
};

/* One failure: finds its rule in the configuration and brings the state of the key up to date. */
struct retry_verdict retries_failed(struct retries *retries, const struct retry_case *what);
/* Whether this key must still wait; a message that is older than its rule allows is tried all the same. */
bool retries_must_wait(struct retries *retries, const struct retry_case *what, int64_t *next_r);

#endif

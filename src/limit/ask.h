/* SPDX-License-Identifier: ISC */
/*
 * Rates and what was seen as questions of expansions (expand/service.h), so that the process that keeps the table can be another one.
 * Who asks fills a request; who answers gives it to limit_answer with the table.
 *
 * Form: `key` is the key; `type` holds the numbers, packed; the one option is the event of a rate of different events. In an answer
 * `text` is the rate, packed; `found` that it is over the limit, or that the key was seen.
 */
#ifndef POSTERN_LIMIT_ASK_H
#define POSTERN_LIMIT_ASK_H

#include "expand/service.h"
#include "limit/rate.h"

enum { LIMIT_PACKED_MAX = 40 };

/* What a request refers to; lives as long as the request. */
struct limit_packed {
	char bytes[LIMIT_PACKED_MAX];
	struct slice event;
};

/* The deadline is the caller's to set. Texts stay the caller's. */
struct expand_request limit_rate_request(const struct limit_rate *rate, struct limit_packed *packed);
struct expand_request limit_seen_request(const struct limit_seen *seen, struct limit_packed *packed);
/* False: malformed. */
bool limit_rate_answered(const struct expand_answer *answer, double *rate_r);

/* Whether the request is one of these. */
bool limit_is_asked(const struct expand_request *request);
/* EXPAND_OK, or EXPAND_FAIL with *error when the request is malformed. */
enum expand_result limit_answer(struct limit_table *table, const struct expand_request *request, int64_t now, struct arena *arena,
				struct expand_answer *answer_r, struct error *error);

#endif

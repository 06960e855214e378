/* SPDX-License-Identifier: ISC */
/*
 * Counts by key, for figures over files of any size in bounded memory. When there are too many keys, those that were seen least are
 * forgotten, so that the frequent ones stay (lossy counting); `forgotten` then says how much went with them.
 */
#ifndef POSTERN_CLI_TALLY_H
#define POSTERN_CLI_TALLY_H

#include "base/slice.h"

enum { TALLY_KEY_MAX = 200 };

struct tally_entry {
	char *key;      /* NUL-ended, of `len` bytes; longer ones were cut */
	size_t len;
	uint64_t count, bytes;
};

struct tally {
	struct tally_entry *slots;
	size_t capacity, used, most; /* `most`: keys at once */
	size_t hand;                 /* the slot where forgetting goes on, so that all parts of the table stay equally full */
	uint64_t seed, forgotten;
};

/* `most` keys, at least 16. */
void tally_init(struct tally *tally, size_t most);
void tally_free(struct tally *tally);
void tally_add(struct tally *tally, struct slice key, uint64_t bytes);
/* All keys, the largest count first, then by key; *count_r of them. The caller frees the array; the keys stay the tally's. */
struct tally_entry *tally_sorted(const struct tally *tally, size_t *count_r);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * A table of bounded size from keys to moments: who was seen when, until when something holds. When there is no room, the
 * moment that lies furthest in the past goes, so that a flood of new keys displaces what is nearly over and not what matters.
 *
 * The memory is the caller's, and may be shared between processes (one of them writing) and outlive them: zeroed is empty. Keys are
 * digests under a secret, so that nobody can choose keys that meet in one place.
 */
#ifndef POSTERN_USERS_STAMPS_H
#define POSTERN_USERS_STAMPS_H

#include <stddef.h>
#include <stdint.h>

enum { STAMPS_WAYS = 8, STAMPS_SECRET = 32 };

struct stamp_key {
	uint64_t words[2];
};

struct stamp {
	struct stamp_key key;
	int64_t when; /* base/clock.h; 0: unused */
};

struct stamps {
	struct stamp *items;
	size_t count; /* a multiple of STAMPS_WAYS */
};

/* The key of some texts under a secret; where one ends and the next begins counts. */
struct slice;
struct stamp_key stamp_key(const unsigned char secret[STAMPS_SECRET], const struct slice *texts, size_t count);

/* 0: the key is not there. */
int64_t stamps_get(const struct stamps *stamps, struct stamp_key key);
/* `when` 0 takes the key away. */
void stamps_put(struct stamps *stamps, struct stamp_key key, int64_t when);

#endif

/* SPDX-License-Identifier: ISC */
#include "users/failures.h"

#include "base/clock.h"
#include "base/fatal.h"
#include "users/stamps.h"

#include <errno.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { COUNTS = 128 * 1024, KNOWN = 64 * 1024 };
#define KNOWN_TIME (30 * 24 * 3600 * CLOCK_SECOND)

struct memory {
	unsigned char secret[STAMPS_SECRET];
	struct stamp counts[COUNTS]; /* of users and networks: when all their failures are forgotten */
	struct stamp known[KNOWN];   /* a user and a network: until when they are known to each other */
};

struct failures {
	struct memory *memory;
	struct stamps counts, known;
};

int failures_create(struct error *error)
{
	unsigned char secret[STAMPS_SECRET];
	int fd = memfd_create("postern-failures", MFD_CLOEXEC);
	if (RAND_bytes(secret, sizeof secret) != 1)
		fatal("no random bytes can be had");
	if (fd >= 0 && ftruncate(fd, sizeof(struct memory)) == 0 && pwrite(fd, secret, sizeof secret, 0) == sizeof secret)
		return fd;
	error_set_errno(error, errno, "making the memory for failed logins");
	if (fd >= 0)
		close(fd);
	return -1;
}

size_t failures_size(void)
{
	return sizeof(struct memory);
}

struct failures *failures_open(int fd, struct error *error)
{
	struct stat status;
	if (fstat(fd, &status) < 0 || status.st_size != sizeof(struct memory)) {
		error_set(error, ERROR_PERMANENT, "the memory for failed logins has the wrong size");
		return NULL;
	}
	void *memory = mmap(NULL, sizeof(struct memory), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED) {
		error_set_errno(error, errno, "mapping the memory for failed logins");
		return NULL;
	}
	struct failures *failures = xcalloc(1, sizeof *failures);
	failures->memory = memory;
	failures->counts = (struct stamps){ failures->memory->counts, COUNTS };
	failures->known = (struct stamps){ failures->memory->known, KNOWN };
	return failures;
}

void failures_close(struct failures **failures)
{
	if (!*failures)
		return;
	munmap((*failures)->memory, sizeof(struct memory));
	free(*failures);
	*failures = NULL;
}

/* ---- Keys ---- */

static unsigned prefix_of(const struct net_address *client)
{
	return client->family == AF_INET ? 24 : 64;
}

static struct net_address network_of(const struct net_address *client)
{
	struct net_address plain = net_address_unmap(*client);
	return net_address_mask(&plain, prefix_of(&plain));
}

struct net_text failures_network_text(const struct net_address *client)
{
	struct net_address network = network_of(client);
	struct net_text text = net_address_text(&network);
	size_t len = strlen(text.text);
	snprintf(text.text + len, sizeof text.text - len, "/%u", prefix_of(&network));
	return text;
}

bool failures_same_network(const struct net_address *a, const struct net_address *b)
{
	struct net_address first = network_of(a), second = network_of(b);
	return a->family != AF_UNSPEC && b->family != AF_UNSPEC && net_address_equal(&first, &second);
}

/* `user` and `network` alone, or both; kinds are told apart by the text that is empty. */
static struct stamp_key key_of(const struct failures *failures, const struct failures_try *who, bool user, bool network)
{
	struct net_address address = network ? network_of(&who->client) : (struct net_address){ 0 };
	struct slice texts[] = { user ? who->user : (struct slice){ 0 },
				 network ? slice_make(address.bytes, sizeof address.bytes) : (struct slice){ 0 } };
	return stamp_key(failures->memory->secret, texts, 2);
}

static bool has_network(const struct failures_try *who)
{
	return who->client.family != AF_UNSPEC;
}

/* ---- Counts ---- */

/*
 * A bucket is one moment: when it will be empty. Each failure moves it by T/N; what lies between now and then is the level. Exact, since
 * all of it is in whole nanoseconds.
 */
static int64_t drip(const struct failures_limit *limit)
{
	return limit->period / limit->count;
}

static int64_t level(const struct failures *failures, struct stamp_key key, int64_t now)
{
	int64_t empty = stamps_get(&failures->counts, key);
	return empty > now ? empty - now : 0;
}

static bool is_full(const struct failures_limit *limit, int64_t level_now, unsigned more)
{
	return level_now + (int64_t)more * drip(limit) > (int64_t)(limit->count - 1) * drip(limit);
}

enum failures_lock failures_check(const struct failures *failures, const struct failures_limit *limit, const struct failures_try *who,
				  unsigned others, bool *crowded_r, int64_t now)
{
	*crowded_r = false;
	if (limit->count == 0)
		return FAILURES_OPEN;
	if (has_network(who)) {
		int64_t have = level(failures, key_of(failures, who, false, true), now);
		if (is_full(limit, have, 0))
			return FAILURES_NETWORK_LOCKED;
		*crowded_r = is_full(limit, have, others);
	}
	if (who->user.len == 0 || !is_full(limit, level(failures, key_of(failures, who, true, false), now), 0))
		return FAILURES_OPEN;
	bool known = has_network(who) && stamps_get(&failures->known, key_of(failures, who, true, true)) > now;
	return known ? FAILURES_OPEN : FAILURES_USER_LOCKED;
}

/* True: this one filled it. */
static bool add(struct failures *failures, const struct failures_limit *limit, struct stamp_key key, int64_t now)
{
	int64_t have = level(failures, key, now);
	stamps_put(&failures->counts, key, now + have + drip(limit));
	return !is_full(limit, have, 0) && is_full(limit, have + drip(limit), 0);
}

bool failures_count(struct failures *failures, const struct failures_limit *limit, const struct failures_try *who,
		    enum failures_lock *lock_r, int64_t now)
{
	*lock_r = FAILURES_OPEN;
	if (limit->count == 0)
		return false;
	if (who->user.len && add(failures, limit, key_of(failures, who, true, false), now))
		*lock_r = FAILURES_USER_LOCKED;
	if (has_network(who) && add(failures, limit, key_of(failures, who, false, true), now))
		*lock_r = FAILURES_NETWORK_LOCKED;
	return *lock_r != FAILURES_OPEN;
}

void failures_succeeded(struct failures *failures, const struct failures_try *who, int64_t now)
{
	if (who->user.len && has_network(who))
		stamps_put(&failures->known, key_of(failures, who, true, true), now + KNOWN_TIME);
}

/* SPDX-License-Identifier: ISC */
#include "net/counters.h"

#include "base/fatal.h"
#include "base/keyed_hash.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * A host is kept as a 64-bit hash of its address: a collision of two live hosts would only make a limit a little tighter. The hash has a key,
 * so that nobody can choose addresses that take the slots of another's.
 */
struct host_count {
	_Atomic uint64_t hash;
	_Atomic uint32_t count; /* 0: the slot may be reused */
	uint32_t unused;
};

struct part {
	_Atomic uint32_t total;
	uint32_t unused;
	struct host_count hosts[COUNTERS_HOSTS];
};

struct shared {
	unsigned char key[KEYED_HASH_KEY];
	struct part parts[];
};

struct counters {
	struct shared *shared;
	struct part *parts;
	unsigned fronts, index;
	struct keyed_hash *hash; /* with the key as it was when the front started: the memory is all fronts' */
};

static size_t size_for(size_t fronts)
{
	return sizeof(struct shared) + fronts * sizeof(struct part);
}

int counters_create(unsigned fronts, struct error *error)
{
	unsigned char key[KEYED_HASH_KEY];
	int fd = memfd_create("postern-counters", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, (off_t)size_for(fronts)) < 0 || getrandom(key, sizeof key, 0) != sizeof key ||
	    pwrite(fd, key, sizeof key, 0) != sizeof key) {
		error_set_errno(error, errno, "making the memory for connection counts");
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}

struct counters *counters_open(int fd, unsigned index, struct error *error)
{
	struct stat st;
	size_t fronts = 0;
	if (fstat(fd, &st) == 0 && st.st_size > (off_t)size_for(0))
		fronts = ((size_t)st.st_size - size_for(0)) / sizeof(struct part);
	if (index >= fronts || fronts > COUNTERS_FRONTS_MAX || (size_t)st.st_size != size_for(fronts)) {
		error_set(error, ERROR_PERMANENT, "the memory for connection counts has the wrong size");
		return NULL;
	}
	void *memory = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED) {
		error_set_errno(error, errno, "mapping the connection counts");
		return NULL;
	}
	struct counters *counters = xcalloc(1, sizeof *counters);
	*counters = (struct counters){ .shared = memory, .fronts = (unsigned)fronts, .index = index };
	counters->parts = counters->shared->parts;
	counters->hash = keyed_hash_new(counters->shared->key, sizeof(uint64_t));
	memset(&counters->parts[index], 0, sizeof(struct part));
	return counters;
}

void counters_free(struct counters *counters)
{
	if (!counters)
		return;
	keyed_hash_free(counters->hash);
	munmap(counters->shared, size_for(counters->fronts));
	free(counters);
}

static uint64_t hash_of(const struct counters *counters, const struct net_address *host)
{
	const unsigned char family = (unsigned char)host->family;
	const struct slice parts[] = { slice_make(&family, 1), slice_make(host->bytes, sizeof host->bytes) };
	uint64_t hash;
	keyed_hash_of(counters->hash, parts, sizeof parts / sizeof parts[0], &hash);
	return hash;
}

/* Linear probing with a short reach: a slot is never emptied while it counts, so a live host is always found. */
enum { REACH = 64 };

static struct host_count *find(struct part *part, uint64_t hash, bool take)
{
	struct host_count *free_slot = NULL;
	for (unsigned i = 0; i < REACH; i++) {
		struct host_count *slot = &part->hosts[(hash + i) % COUNTERS_HOSTS];
		uint32_t count = atomic_load_explicit(&slot->count, memory_order_acquire);
		if (count && atomic_load_explicit(&slot->hash, memory_order_relaxed) == hash)
			return slot;
		if (!count && !free_slot)
			free_slot = slot;
	}
	if (!take || !free_slot)
		return NULL;
	atomic_store_explicit(&free_slot->hash, hash, memory_order_relaxed);
	return free_slot;
}

unsigned counters_enter(struct counters *counters, const struct net_address *host, unsigned *total_r, unsigned *host_r)
{
	uint64_t hash = hash_of(counters, host);
	struct part *own = &counters->parts[counters->index];
	struct host_count *slot = find(own, hash, true);
	if (slot)
		atomic_fetch_add_explicit(&slot->count, 1, memory_order_release);
	atomic_fetch_add_explicit(&own->total, 1, memory_order_relaxed);
	*total_r = 0;
	*host_r = slot ? 0 : 1;
	for (unsigned i = 0; i < counters->fronts; i++) {
		struct host_count *there = find(&counters->parts[i], hash, false);
		*total_r += atomic_load_explicit(&counters->parts[i].total, memory_order_relaxed);
		*host_r += there ? atomic_load_explicit(&there->count, memory_order_relaxed) : 0;
	}
	return slot ? (unsigned)(slot - own->hosts) : COUNTERS_NO_PLACE;
}

void counters_leave(struct counters *counters, unsigned place)
{
	struct part *own = &counters->parts[counters->index];
	ensure(place <= COUNTERS_NO_PLACE);
	if (place != COUNTERS_NO_PLACE)
		atomic_fetch_sub_explicit(&own->hosts[place].count, 1, memory_order_release);
	atomic_fetch_sub_explicit(&own->total, 1, memory_order_relaxed);
}

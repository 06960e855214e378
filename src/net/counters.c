/* SPDX-License-Identifier: ISC */
#include "net/counters.h"

#include "base/fatal.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* A host is kept as a 64-bit hash of its address: a collision of two live hosts would only make a limit a little tighter. */
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

struct counters {
	struct part *parts;
	unsigned fronts, index;
};

int counters_create(unsigned fronts, struct error *error)
{
	int fd = memfd_create("postern-counters", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, (off_t)(fronts * sizeof(struct part))) < 0) {
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
	if (fstat(fd, &st) < 0 || st.st_size <= 0 || (size_t)st.st_size % sizeof(struct part) ||
	    (size_t)st.st_size / sizeof(struct part) > COUNTERS_FRONTS_MAX || index >= (size_t)st.st_size / sizeof(struct part)) {
		error_set(error, ERROR_PERMANENT, "the memory for connection counts has the wrong size");
		return NULL;
	}
	void *memory = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED) {
		error_set_errno(error, errno, "mapping the connection counts");
		return NULL;
	}
	struct counters *counters = xcalloc(1, sizeof *counters);
	*counters = (struct counters){ .parts = memory, .fronts = (unsigned)((size_t)st.st_size / sizeof(struct part)), .index = index };
	memset(&counters->parts[index], 0, sizeof(struct part));
	return counters;
}

void counters_free(struct counters *counters)
{
	if (!counters)
		return;
	munmap(counters->parts, counters->fronts * sizeof(struct part));
	free(counters);
}

static uint64_t hash_of(const struct net_address *host)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ host->family;
	for (size_t i = 0; i < sizeof host->bytes; i++)
		hash = (hash ^ host->bytes[i]) * UINT64_C(0x100000001b3);
	hash ^= hash >> 32;
	return hash ? hash : 1;
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

bool counters_enter(struct counters *counters, const struct net_address *host, unsigned *total_r, unsigned *host_r)
{
	uint64_t hash = hash_of(host);
	struct part *own = &counters->parts[counters->index];
	struct host_count *slot = find(own, hash, true);
	if (!slot)
		return false;
	atomic_fetch_add_explicit(&slot->count, 1, memory_order_release);
	atomic_fetch_add_explicit(&own->total, 1, memory_order_relaxed);
	*total_r = *host_r = 0;
	for (unsigned i = 0; i < counters->fronts; i++) {
		struct host_count *there = find(&counters->parts[i], hash, false);
		*total_r += atomic_load_explicit(&counters->parts[i].total, memory_order_relaxed);
		*host_r += there ? atomic_load_explicit(&there->count, memory_order_relaxed) : 0;
	}
	return true;
}

void counters_leave(struct counters *counters, const struct net_address *host)
{
	struct part *own = &counters->parts[counters->index];
	struct host_count *slot = find(own, hash_of(host), false);
	ensure(slot != NULL);
	atomic_fetch_sub_explicit(&slot->count, 1, memory_order_release);
	atomic_fetch_sub_explicit(&own->total, 1, memory_order_relaxed);
}

/* SPDX-License-Identifier: ISC */
#include "net/counters.h"

#include "base/fatal.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEY_SIZE = 16 };

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
	unsigned char key[KEY_SIZE];
	struct part parts[];
};

struct counters {
	struct shared *shared;
	struct part *parts;
	unsigned fronts, index;
	unsigned char key[KEY_SIZE]; /* as it was when the front started: the memory is all fronts' */
	EVP_MAC *mac;
	EVP_MAC_CTX *context;
};

static size_t size_for(size_t fronts)
{
	return sizeof(struct shared) + fronts * sizeof(struct part);
}

int counters_create(unsigned fronts, struct error *error)
{
	unsigned char key[KEY_SIZE];
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

static void start_hash(struct counters *counters)
{
	size_t length = sizeof(uint64_t);
	OSSL_PARAM params[] = { OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &length), OSSL_PARAM_construct_end() };
	counters->mac = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
	counters->context = counters->mac ? EVP_MAC_CTX_new(counters->mac) : NULL;
	if (!counters->context || EVP_MAC_CTX_set_params(counters->context, params) != 1)
		fatal("the TLS library has no SipHash");
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
	memcpy(counters->key, counters->shared->key, KEY_SIZE);
	memset(&counters->parts[index], 0, sizeof(struct part));
	start_hash(counters);
	return counters;
}

void counters_free(struct counters *counters)
{
	if (!counters)
		return;
	EVP_MAC_CTX_free(counters->context);
	EVP_MAC_free(counters->mac);
	munmap(counters->shared, size_for(counters->fronts));
	free(counters);
}

static uint64_t hash_of(struct counters *counters, const struct net_address *host)
{
	unsigned char family = (unsigned char)host->family;
	uint64_t hash;
	size_t size = 0;
	ensure(EVP_MAC_init(counters->context, counters->key, KEY_SIZE, NULL) == 1 && EVP_MAC_update(counters->context, &family, 1) == 1 &&
	       EVP_MAC_update(counters->context, host->bytes, sizeof host->bytes) == 1 &&
	       EVP_MAC_final(counters->context, (unsigned char *)&hash, &size, sizeof hash) == 1 && size == sizeof hash);
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

/* SPDX-License-Identifier: ISC */
#include "tls/contexts.h"

#include "base/fatal.h"

#include <stdlib.h>
#include <string.h>

struct entry {
	uint64_t hash;         /* of the values */
	struct buf values;     /* the policy without versions */
	struct buf versions;   /* the policy with those that `server` was made from */
	struct buf refused;    /* with those that could not be used; empty: none */
	struct error problem;  /* why not */
	struct tls_server *server;
	uint64_t used;         /* when it was asked for last */
};

struct tls_contexts {
	const struct tls_maker *maker;
	struct entry entries[CONTEXTS_MAX];
	size_t count;
	uint64_t clock;
};

struct tls_contexts *tls_contexts_new(const struct tls_maker *maker)
{
	struct tls_contexts *contexts = xcalloc(1, sizeof *contexts);
	contexts->maker = maker;
	return contexts;
}

static void clear_entry(struct entry *entry)
{
	buf_free(&entry->values);
	buf_free(&entry->versions);
	buf_free(&entry->refused);
	tls_server_unref(entry->server);
	*entry = (struct entry){ 0 };
}

/* FNV-1a: the keys are the configuration's, and compared in full afterwards. */
static uint64_t hash_of(struct slice text)
{
	uint64_t hash = UINT64_C(14695981039346656037);
	for (size_t i = 0; i < text.len; i++)
		hash = (hash ^ (unsigned char)text.data[i]) * UINT64_C(1099511628211);
	return hash;
}

static struct entry *find(struct tls_contexts *contexts, struct slice values, uint64_t hash)
{
	for (size_t i = 0; i < contexts->count; i++)
		if (contexts->entries[i].hash == hash && slice_equal(buf_slice(&contexts->entries[i].values), values))
			return &contexts->entries[i];
	return NULL;
}

static struct entry *take_place(struct tls_contexts *contexts)
{
	if (contexts->count < CONTEXTS_MAX)
		return &contexts->entries[contexts->count++];
	struct entry *oldest = &contexts->entries[0];
	for (size_t i = 1; i < contexts->count; i++)
		if (contexts->entries[i].used < oldest->used)
			oldest = &contexts->entries[i];
	clear_entry(oldest);
	return oldest;
}

static void replace(struct buf *to, struct slice text)
{
	buf_free(to);
	buf_init(to, TLS_POLICY_KEY_MAX);
	ensure(buf_append(to, text));
}

/* The files are others than those that the entry was made from. Those that were refused are not tried again. */
static void renew(struct tls_contexts *contexts, struct entry *entry, const struct tls_policy *policy, struct slice versions,
		  struct error *error)
{
	if (slice_equal(buf_slice(&entry->versions), versions) || slice_equal(buf_slice(&entry->refused), versions))
		return;
	struct tls_server *server = tls_server_new(contexts->maker, policy, error);
	if (!server) {
		replace(&entry->refused, versions);
		entry->problem = *error;
		return;
	}
	tls_server_unref(entry->server);
	entry->server = server;
	replace(&entry->versions, versions);
}

static struct tls_server *get(struct tls_contexts *contexts, const struct tls_policy *policy, struct slice values,
			      struct slice versions, struct error *error)
{
	uint64_t hash = hash_of(values);
	struct entry *entry = find(contexts, values, hash);
	if (entry) {
		renew(contexts, entry, policy, versions, error);
	} else {
		struct tls_server *server = tls_server_new(contexts->maker, policy, error);
		if (!server)
			return NULL;
		entry = take_place(contexts);
		entry->hash = hash;
		entry->server = server;
		replace(&entry->values, values);
		replace(&entry->versions, versions);
	}
	entry->used = ++contexts->clock;
	return tls_server_ref(entry->server);
}

bool tls_contexts_refuse(struct tls_contexts *contexts, const struct tls_policy *policy, struct error *error)
{
	struct buf values, versions;
	bool refused = false;
	buf_init(&values, TLS_POLICY_KEY_MAX);
	buf_init(&versions, TLS_POLICY_KEY_MAX);
	if (tls_policy_key(policy, false, &values) && tls_policy_key(policy, true, &versions)) {
		const struct entry *entry = find(contexts, buf_slice(&values), hash_of(buf_slice(&values)));
		refused = entry && slice_equal(buf_slice(&entry->refused), buf_slice(&versions));
		if (refused)
			*error = entry->problem;
	}
	buf_free(&values);
	buf_free(&versions);
	return refused;
}

struct tls_server *tls_contexts_get(struct tls_contexts *contexts, const struct tls_policy *policy, struct error *error)
{
	struct buf values, versions;
	struct tls_server *server = NULL;
	error->kind = ERROR_NONE;
	buf_init(&values, TLS_POLICY_KEY_MAX);
	buf_init(&versions, TLS_POLICY_KEY_MAX);
	if (tls_policy_key(policy, false, &values) && tls_policy_key(policy, true, &versions))
		server = get(contexts, policy, buf_slice(&values), buf_slice(&versions), error);
	else
		error_set(error, ERROR_USAGE, "the TLS options are too long");
	buf_free(&values);
	buf_free(&versions);
	return server;
}

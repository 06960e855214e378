/* SPDX-License-Identifier: ISC */
#include "tls/former_keys.h"

#include "base/fatal.h"

#include <stdlib.h>

/* A list, the oldest first. */
struct former_keys {
	struct keystore *keys;
	int64_t until;
	struct former_keys *next;
};

static void forget_oldest(struct former_keys **former)
{
	struct former_keys *oldest = *former;
	*former = oldest->next;
	keystore_free(oldest->keys);
	free(oldest);
}

size_t former_keys_count(const struct former_keys *former)
{
	size_t count = 0;
	for (; former; former = former->next)
		count += keystore_count(former->keys);
	return count;
}

void former_keys_add(struct former_keys **former, struct keystore *keys, int64_t now)
{
	struct former_keys **end = former;
	if (!keys)
		return;
	while (*end)
		end = &(*end)->next;
	*end = xcalloc(1, sizeof **end);
	**end = (struct former_keys){ .keys = keys, .until = now + FORMER_KEPT };
	while (former_keys_count(*former) > KEYSTORE_MAX)
		forget_oldest(former);
}

int64_t former_keys_forget(struct former_keys **former, int64_t now)
{
	while (*former && (*former)->until <= now)
		forget_oldest(former);
	return *former ? (*former)->until : CLOCK_NEVER;
}

struct keystore *former_keys_with(const struct former_keys *former, const struct key_id *id)
{
	for (; former; former = former->next)
		if (keystore_has(former->keys, id))
			return former->keys;
	return NULL;
}

void former_keys_free(struct former_keys **former)
{
	while (*former)
		forget_oldest(former);
}

/* SPDX-License-Identifier: ISC */
#include "lookup/pool.h"

#include "base/fatal.h"

#include <string.h>

struct lookup_pool {
	void (*close)(struct lookup_pooled *connection);
	bool (*good)(struct lookup_pooled *connection);
	struct lookup_pooled *idle; /* the one used last first */
	size_t idle_count, open;
	struct wait_list waiters;
};

struct lookup_pool *lookup_pool_new(void (*close)(struct lookup_pooled *connection), bool (*good)(struct lookup_pooled *connection))
{
	struct lookup_pool *pool = xcalloc(1, sizeof *pool);
	pool->close = close;
	pool->good = good;
	return pool;
}

void *lookup_pooled_new(size_t size, struct slice server)
{
	struct lookup_pooled *connection = xcalloc(1, size);
	connection->server = xcalloc(1, server.len + 1);
	memcpy(connection->server, server.data, server.len);
	return connection;
}

void lookup_pool_drop(struct lookup_pool *pool, struct lookup_pooled *connection)
{
	if (connection) {
		pool->close(connection);
		free(connection->server);
		free(connection);
	}
	pool->open--;
	wait_list_wake_one(&pool->waiters);
}

static struct lookup_pooled *unlink_idle(struct lookup_pool *pool, struct lookup_pooled **link)
{
	struct lookup_pooled *connection = *link;
	*link = connection->next;
	pool->idle_count--;
	return connection;
}

static struct lookup_pooled *find_idle(struct lookup_pool *pool, struct slice server)
{
	for (struct lookup_pooled **link = &pool->idle; *link;) {
		if (!slice_equal(slice_of((*link)->server), server)) {
			link = &(*link)->next;
			continue;
		}
		struct lookup_pooled *connection = unlink_idle(pool, link);
		if (pool->good(connection))
			return connection;
		lookup_pool_drop(pool, connection);
	}
	return NULL;
}

static void drop_oldest(struct lookup_pool *pool)
{
	struct lookup_pooled **link = &pool->idle;
	while ((*link)->next)
		link = &(*link)->next;
	lookup_pool_drop(pool, unlink_idle(pool, link));
}

enum lookup_pool_result lookup_pool_take(struct lookup_pool *pool, struct slice server, int64_t deadline,
					 struct lookup_pooled **connection_r)
{
	for (;;) {
		*connection_r = find_idle(pool, server);
		if (*connection_r)
			return LOOKUP_POOL_IDLE_ONE;
		if (pool->open >= LOOKUP_POOL_MAX && pool->idle)
			drop_oldest(pool);
		if (pool->open < LOOKUP_POOL_MAX) {
			pool->open++;
			return LOOKUP_POOL_NEW;
		}
		if (wait_list_wait(&pool->waiters, deadline) < 0)
			return LOOKUP_POOL_BUSY;
	}
}

void lookup_pool_give_back(struct lookup_pool *pool, struct lookup_pooled *connection)
{
	connection->next = pool->idle;
	pool->idle = connection;
	if (++pool->idle_count > LOOKUP_POOL_IDLE)
		drop_oldest(pool);
	else
		wait_list_wake_one(&pool->waiters);
}

void lookup_pool_free(struct lookup_pool **pool)
{
	while (*pool && (*pool)->idle)
		drop_oldest(*pool);
	free(*pool);
	*pool = NULL;
}

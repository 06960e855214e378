/* SPDX-License-Identifier: ISC */
/*
 * Channels: pointers handed from task to task of one loop, in order, through a bounded queue. The channel does not own what
 * the pointers name; whoever received one does.
 */
#ifndef POSTERN_TASK_CHANNEL_H
#define POSTERN_TASK_CHANNEL_H

#include "task/task.h"

#include <stddef.h>

struct channel {
	void **items;
	size_t size, first, count;
	bool closed;
	struct wait_list senders, receivers;
};

/* `size`: how many may be under way, at least 1. */
void channel_init(struct channel *channel, size_t size);
/* Nobody may be waiting. What is still inside is forgotten. */
void channel_free(struct channel *channel);

/* 0, -ETIMEDOUT, -ECANCELED, or -EPIPE when closed: the item stays the caller's. */
int channel_send(struct channel *channel, void *item, int64_t deadline);
/* False when it is full or closed. */
bool channel_try_send(struct channel *channel, void *item);
/* 0 and *item_r, -ETIMEDOUT, -ECANCELED, or -EPIPE when it is closed and empty. */
int channel_receive(struct channel *channel, void **item_r, int64_t deadline);
bool channel_try_receive(struct channel *channel, void **item_r);
/* No more sends; receivers get what is inside, then -EPIPE. */
void channel_close(struct channel *channel);

#endif

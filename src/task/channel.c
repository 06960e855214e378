/* SPDX-License-Identifier: ISC */
#include "task/channel.h"

#include "base/fatal.h"

#include <errno.h>
#include <stdlib.h>

void channel_init(struct channel *channel, size_t size)
{
	ensure(size > 0);
	*channel = (struct channel){ .items = xcalloc(size, sizeof(void *)), .size = size };
}

void channel_free(struct channel *channel)
{
	ensure(!channel->senders.first && !channel->receivers.first);
	free(channel->items);
	channel->items = NULL;
}

bool channel_try_send(struct channel *channel, void *item)
{
	if (channel->closed || channel->count == channel->size)
		return false;
	channel->items[(channel->first + channel->count++) % channel->size] = item;
	wait_list_wake_one(&channel->receivers);
	return true;
}

int channel_send(struct channel *channel, void *item, int64_t deadline)
{
	while (!channel_try_send(channel, item)) {
		if (channel->closed)
			return -EPIPE;
		int result = wait_list_wait(&channel->senders, deadline);
		if (result < 0)
			return result;
	}
	return 0;
}

bool channel_try_receive(struct channel *channel, void **item_r)
{
	if (channel->count == 0)
		return false;
	*item_r = channel->items[channel->first];
	channel->first = (channel->first + 1) % channel->size;
	channel->count--;
	wait_list_wake_one(&channel->senders);
	return true;
}

int channel_receive(struct channel *channel, void **item_r, int64_t deadline)
{
	while (!channel_try_receive(channel, item_r)) {
		if (channel->closed)
			return -EPIPE;
		int result = wait_list_wait(&channel->receivers, deadline);
		if (result < 0)
			return result;
	}
	return 0;
}

void channel_close(struct channel *channel)
{
	channel->closed = true;
	wait_list_wake_all(&channel->senders);
	wait_list_wake_all(&channel->receivers);
}

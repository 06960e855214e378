/* SPDX-License-Identifier: ISC */
/* Waiting for descriptors: edge-triggered epoll, each descriptor registered once. */
#include "base/fatal.h"
#include "task/internal.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static struct io_slot *slot_of(struct loop *loop, int fd)
{
	ensure(fd >= 0);
	size_t index = (size_t)fd;
	if (index >= loop->slot_count) {
		size_t count = loop->slot_count ? loop->slot_count : 64;
		while (count <= index)
			count *= 2;
		loop->slots = xrealloc(loop->slots, count * sizeof *loop->slots);
		memset(loop->slots + loop->slot_count, 0, (count - loop->slot_count) * sizeof *loop->slots);
		loop->slot_count = count;
	}
	return &loop->slots[index];
}

/* For reading at the first wait; for writing only once somebody had to wait for that, which most descriptors never need. */
static int register_fd(struct loop *loop, int fd, struct io_slot *slot, unsigned events)
{
	unsigned wanted = slot->registered | IO_READ | events;
	if (wanted == slot->registered)
		return 0;
	struct epoll_event event = { .events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.fd = fd };
	if (wanted & IO_WRITE)
		event.events |= EPOLLOUT;
	if (epoll_ctl(loop->epoll_fd, slot->registered ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) < 0)
		return -errno;
	slot->registered = (unsigned char)wanted;
	return 0;
}

int io_wait(int fd, unsigned events, int64_t deadline)
{
	struct loop *loop = loop_current();
	struct task *task = task_current();
	struct io_slot *slot = slot_of(loop, fd);
	int registered = register_fd(loop, fd, slot, events);
	if (registered < 0)
		return registered;
	if ((slot->ready | slot->over) & events) {
		slot->ready &= (unsigned char)~events;
		return task->cancelled ? -ECANCELED : 0;
	}
	ensure(!(events & IO_READ) || !slot->reader);
	ensure(!(events & IO_WRITE) || !slot->writer);
	if (events & IO_READ)
		slot->reader = task;
	if (events & IO_WRITE)
		slot->writer = task;
	int result = task_wait(deadline);
	slot = slot_of(loop, fd); /* the table may have moved */
	if (slot->reader == task)
		slot->reader = NULL;
	if (slot->writer == task)
		slot->writer = NULL;
	return result;
}

int io_wait_end(int fd, int64_t deadline)
{
	struct loop *loop = loop_current();
	struct task *task = task_current();
	struct io_slot *slot = slot_of(loop, fd);
	int registered = register_fd(loop, fd, slot, IO_READ);
	if (registered < 0)
		return registered;
	if (slot->over & IO_READ)
		return task->cancelled ? -ECANCELED : 0;
	ensure(!slot->ender);
	slot->ender = task;
	int result = task_wait(deadline);
	slot = slot_of(loop, fd);
	if (slot->ender == task)
		slot->ender = NULL;
	return result;
}

static void clear_slot(struct io_slot *slot)
{
	struct task *reader = slot->reader, *writer = slot->writer, *ender = slot->ender;
	*slot = (struct io_slot){ 0 };
	if (reader)
		task_wake(reader, -ECANCELED);
	if (writer && writer != reader)
		task_wake(writer, -ECANCELED);
	if (ender && ender != reader && ender != writer)
		task_wake(ender, -ECANCELED);
}

void io_forget(int fd)
{
	struct loop *loop = loop_current();
	if (!loop || fd < 0 || (size_t)fd >= loop->slot_count)
		return;
	struct io_slot *slot = &loop->slots[fd];
	if (slot->registered)
		epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
	clear_slot(slot);
}

void io_close(int *fd)
{
	if (*fd < 0)
		return;
	io_forget(*fd);
	close(*fd);
	*fd = -1;
}

void io_close_last(int *fd)
{
	struct loop *loop = loop_current();
	if (*fd < 0)
		return;
	if (loop && (size_t)*fd < loop->slot_count)
		clear_slot(&loop->slots[*fd]);
	close(*fd);
	*fd = -1;
}

static void deliver(struct loop *loop, const struct epoll_event *event)
{
	struct io_slot *slot = slot_of(loop, event->data.fd);
	unsigned ready = 0;
	if (event->events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		ready |= IO_READ;
	if (event->events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
		ready |= IO_WRITE;
	/* The end of the stream is told once, and stays: who stopped at a short read comes back for it. */
	if (event->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		slot->over |= IO_READ;
	if (event->events & (EPOLLHUP | EPOLLERR))
		slot->over |= IO_WRITE;
	if ((slot->over & IO_READ) && slot->ender) {
		task_wake(slot->ender, 0);
		slot->ender = NULL;
	}
	if ((ready & IO_READ) && slot->reader) {
		ready &= ~(unsigned)IO_READ;
		task_wake(slot->reader, 0);
		if (slot->writer == slot->reader)
			slot->writer = NULL;
		slot->reader = NULL;
	}
	if ((ready & IO_WRITE) && slot->writer) {
		ready &= ~(unsigned)IO_WRITE;
		task_wake(slot->writer, 0);
		if (slot->reader == slot->writer)
			slot->reader = NULL;
		slot->writer = NULL;
	}
	slot->ready |= (unsigned char)ready;
}

void io_poll(struct loop *loop, int timeout_ms)
{
	struct epoll_event events[128];
	int n = epoll_wait(loop->epoll_fd, events, 128, timeout_ms);
	if (n < 0 && errno != EINTR)
		fatal("epoll_wait: %s", strerror(errno));
	for (int i = 0; i < n; i++) {
		if (events[i].data.fd == loop->offload.done.event_fd)
			offload_collect(loop);
		else
			deliver(loop, &events[i]);
	}
}

/* SPDX-License-Identifier: ISC */
/*
 * Listening sockets: one a front and address, sharing the port, so that the kernel spreads connections evenly and each front
 * has a queue of its own. The master keeps them all: when a front dies, what waits in its queue is served by its successor.
 */
#include "role/master.h"

#include "base/cleanup.h"
#include "base/fatal.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int open_socket(const struct net_address *address, bool share, int backlog)
{
	struct sockaddr_storage where;
	socklen_t len = net_address_to_sockaddr(address, &where);
	int one = 1;
	_cleanup_fd_ int fd = socket(address->family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	/* Replies are written whole; waiting for more would only delay them. Accepted sockets inherit it. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (share && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) < 0)
		return -1;
	if (address->family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one) < 0)
		return -1;
	if (bind(fd, (struct sockaddr *)&where, len) < 0 || listen(fd, backlog) < 0)
		return -1;
	return fd_take(&fd);
}

static bool cannot_listen(const struct net_address *address, struct error *error)
{
	int number = errno;
	struct net_text text = net_address_text(address);
	const char *hint = number == EADDRINUSE ? " (is another mail server running?)" :
			   number == EACCES ? " (ports below 1024 need root)" : "";
	error_set_errno(error, number, "cannot listen on %s port %u%s", text.text, address->port, hint);
	return false;
}

/* The sockets of all fronts for one address. A first socket that does not share finds out whether anybody else is there. */
static bool open_shared(struct master *master, const struct conf *conf, const struct net_address *address, struct listening *listening,
			struct error *error)
{
	int backlog = (int)conf->main.smtp_connect_backlog;
	int probe = open_socket(address, false, backlog);
	if (probe < 0)
		return cannot_listen(address, error);
	close(probe);
	*listening = (struct listening){ .address = *address };
	for (unsigned i = 0; i < master->fronts; i++) {
		listening->fds[i] = open_socket(address, true, backlog);
		if (listening->fds[i] >= 0)
			continue;
		cannot_listen(address, error);
		while (i > 0)
			close(listening->fds[--i]);
		return false;
	}
	return true;
}

static struct listening *find(struct master *master, const struct net_address *address)
{
	for (size_t i = 0; i < master->listening_count; i++)
		if (net_address_equal(&master->listening[i].address, address) && master->listening[i].address.port == address->port)
			return &master->listening[i];
	return NULL;
}

static void close_last(struct master *master)
{
	struct listening *last = &master->listening[--master->listening_count];
	for (unsigned i = 0; i < master->fronts; i++)
		close(last->fds[i]);
}

/* A host without IPv6 can still use the default of all interfaces of both kinds. */
static bool is_missing_family(const struct net_address *address, const struct error *error)
{
	return address->family == AF_INET6 && net_address_is_any(address) &&
	       (error->number == EAFNOSUPPORT || error->number == EADDRNOTAVAIL);
}

bool listen_open(struct master *master, const struct conf *conf, struct error *error)
{
	size_t before = master->listening_count;
	for (size_t i = 0; i < conf->listener_count; i++) {
		const struct net_address *address = &conf->listeners[i].address;
		struct listening listening;
		if (find(master, address))
			continue;
		if (!open_shared(master, conf, address, &listening, error)) {
			if (is_missing_family(address, error))
				continue;
			while (master->listening_count > before)
				close_last(master);
			return false;
		}
		ensure(master->listening_count < LISTENERS_MAX);
		master->listening = xrealloc(master->listening, (master->listening_count + 1) * sizeof listening);
		master->listening[master->listening_count++] = listening;
	}
	if (master->listening_count == 0 && conf->listener_count)
		return error_set(error, ERROR_USAGE, "none of the configured addresses could be listened on");
	return true;
}

void listen_close_unwanted(struct master *master, const struct conf *conf)
{
	for (size_t i = 0; i < master->listening_count; i++) {
		master->listening[i].wanted = false;
		for (size_t k = 0; conf && k < conf->listener_count; k++) {
			const struct net_address *address = &conf->listeners[k].address;
			if (net_address_equal(address, &master->listening[i].address) && address->port == master->listening[i].address.port)
				master->listening[i].wanted = true;
		}
	}
	for (size_t i = master->listening_count; i > 0; i--) {
		if (master->listening[i - 1].wanted)
			continue;
		struct listening last = master->listening[master->listening_count - 1];
		master->listening[master->listening_count - 1] = master->listening[i - 1];
		master->listening[i - 1] = last;
		close_last(master);
	}
}

void listen_describe(const struct conf *conf, bool tls_on_connect, char *out, size_t size)
{
	size_t n = 0;
	*out = '\0';
	for (size_t i = 0; i < conf->listener_count && n < size; i++) {
		if (conf->listeners[i].tls_on_connect != tls_on_connect)
			continue;
		struct net_text text = net_address_text_port(&conf->listeners[i].address);
		int more = snprintf(out + n, size - n, "%s%s", n ? " " : "", text.text);
		n += more > 0 ? (size_t)more : 0;
	}
}

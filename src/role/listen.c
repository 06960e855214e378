/* SPDX-License-Identifier: ISC */
/*
 * Listening sockets: one a front and address, sharing the port, so that the kernel spreads connections evenly and each front
 * has a queue of its own. The master keeps them all: when a front dies, what waits in its queue is served by its successor.
 *
 * A reload opens what is new beside what is there (listen_open), hands all of it out, and closes what is not wanted any more when every
 * role has taken the new configuration (listen_keep); when one refuses it, that closes what was new. So no address that both
 * configurations have, nor one that the old has, is ever without a listener.
 */
#include "role/master.h"

#include "base/cleanup.h"
#include "base/fatal.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
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

static bool overlap(const struct net_address *a, const struct net_address *b)
{
	return a->family == b->family && a->port == b->port &&
	       (net_address_equal(a, b) || net_address_is_any(a) || net_address_is_any(b));
}

static bool is_ours(const struct master *master, unsigned long long inode)
{
	struct stat st;
	for (size_t i = 0; i < master->listening_count; i++)
		for (unsigned k = 0; k < master->fronts; k++)
			if (fstat(master->listening[i].fds[k], &st) == 0 && st.st_ino == inode)
				return true;
	return false;
}

/* A line of /proc/net/tcp or tcp6 (proc(5)); an address is words of 32 bits, each in the order of this machine. False: it is not listening. */
static bool parse_listener(const char *line, struct net_address *address_r, unsigned long long *inode_r)
{
	char words[33];
	unsigned port, state;
	*address_r = (struct net_address){ 0 };
	if (sscanf(line, "%*d: %32[0-9A-F]:%4x %*[0-9A-F]:%*4x %2x %*x:%*x %*x:%*x %*x %*u %*u %llu", words, &port, &state, inode_r) != 4 ||
	    state != TCP_LISTEN)
		return false;
	address_r->family = strlen(words) == 8 ? AF_INET : AF_INET6;
	address_r->port = (uint16_t)port;
	for (size_t i = 0; i < strlen(words) / 8; i++) {
		uint32_t word;
		if (sscanf(words + 8 * i, "%8x", &word) != 1)
			return false;
		memcpy(address_r->bytes + 4 * i, &word, sizeof word);
	}
	return true;
}

/*
 * Whether somebody else listens where this address does. Others of our user that share as well (another Postern) are not found by
 * binding a socket that shares, and one that does not share would collide with our own.
 */
static bool others_listen(const struct master *master, const struct net_address *address)
{
	char line[256];
	struct net_address other;
	unsigned long long inode;
	bool found = false;
	FILE *list = fopen(address->family == AF_INET6 ? "/proc/net/tcp6" : "/proc/net/tcp", "re");
	if (!list)
		return false;
	/* The first line has the names of the columns. Listening sockets come first, and there may be many connections behind them. */
	if (fgets(line, sizeof line, list))
		while (!found && fgets(line, sizeof line, list) && parse_listener(line, &other, &inode))
			found = overlap(address, &other) && !is_ours(master, inode);
	fclose(list);
	return found;
}

static bool overlaps_ours(const struct master *master, const struct net_address *address)
{
	for (size_t i = 0; i < master->listening_count; i++)
		if (overlap(&master->listening[i].address, address))
			return true;
	return false;
}

/* Whether nobody else has the address; errno says what stands in the way. */
static bool is_free(const struct master *master, const struct net_address *address, int backlog)
{
	if (overlaps_ours(master, address)) {
		errno = EADDRINUSE;
		return !others_listen(master, address);
	}
	int probe = open_socket(address, false, backlog);
	if (probe >= 0)
		close(probe);
	return probe >= 0;
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

/* The sockets of all fronts for one address. */
static bool open_shared(struct master *master, const struct conf *conf, const struct net_address *address, struct listening *listening,
			struct error *error)
{
	int backlog = (int)conf->main.smtp_connect_backlog;
	if (!is_free(master, address, backlog))
		return cannot_listen(address, error);
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

static bool is_open(const struct master *master, const struct net_address *address)
{
	for (size_t i = 0; i < master->listening_count; i++)
		if (net_address_equal(&master->listening[i].address, address) && master->listening[i].address.port == address->port)
			return true;
	return false;
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

/*
 * Each listener takes a descriptor for each front here, and another one on its way there. Without a reserve for all else the master could
 * start no role any more.
 */
static bool within_limit(const struct master *master, const struct conf *conf, struct error *error)
{
	enum { RESERVE = 256 };
	struct rlimit files;
	size_t listeners = master->listening_count;
	for (size_t i = 0; i < conf->listener_count; i++)
		listeners += !is_open(master, &conf->listeners[i].address);
	if (getrlimit(RLIMIT_NOFILE, &files) < 0 || 2 * master->fronts * listeners + RESERVE <= files.rlim_cur)
		return true;
	return error_set(error, ERROR_USAGE,
			 "too many listeners: %zu%s for %u front processes take more open files than the limit of %llu allows (LimitNOFILE, ulimit -n)",
			 listeners, master->listening_count ? ", the old and the new ones," : "", master->fronts, (unsigned long long)files.rlim_cur);
}

bool listen_open(struct master *master, const struct conf *conf, struct error *error)
{
	size_t before = master->listening_count;
	if (!within_limit(master, conf, error))
		return false;
	for (size_t i = 0; i < conf->listener_count; i++) {
		const struct net_address *address = &conf->listeners[i].address;
		struct listening listening;
		if (is_open(master, address))
			continue;
		if (!open_shared(master, conf, address, &listening, error)) {
			if (is_missing_family(address, error))
				continue;
			while (master->listening_count > before)
				close_last(master);
			return false;
		}
		ensure(master->listening_count < 2 * CONF_LISTENERS_MAX); /* those of two configurations */
		master->listening = xrealloc(master->listening, (master->listening_count + 1) * sizeof listening);
		master->listening[master->listening_count++] = listening;
	}
	if (master->listening_count == 0 && conf->listener_count)
		return error_set(error, ERROR_USAGE, "none of the configured addresses could be listened on");
	return true;
}

static bool wants(const struct conf *conf, const struct net_address *address)
{
	for (size_t i = 0; conf && i < conf->listener_count; i++) {
		const struct net_address *wanted = &conf->listeners[i].address;
		if (net_address_equal(wanted, address) && wanted->port == address->port)
			return true;
	}
	return false;
}

/* The fronts have it, too: they serve who waits in its queue, and close it. */
static void end_listening(struct master *master, const struct net_address *address)
{
	struct net_text text = net_address_text(address);
	struct ipc_listener_ended message = { .address = slice_of(text.text), .port = address->port };
	for (size_t i = 0; i < master->child_count; i++) {
		const struct child *child = master->children[i];
		if (child->kind == ROLE_FRONT && child->peer)
			ipc_send(child->peer, listener_ended, LISTENER_ENDED, 0, &message, NULL, 0);
	}
}

void listen_keep(struct master *master, const struct conf *conf)
{
	for (size_t i = master->listening_count; i > 0; i--) {
		struct listening *at = &master->listening[i - 1];
		if (wants(conf, &at->address))
			continue;
		struct listening last = master->listening[master->listening_count - 1];
		master->listening[master->listening_count - 1] = *at;
		*at = last;
		end_listening(master, &master->listening[master->listening_count - 1].address);
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

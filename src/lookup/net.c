/* SPDX-License-Identifier: ISC */
#include "lookup/net.h"

#include "base/cleanup.h"
#include "base/interval.h"
#include "task/offload.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <sys/un.h>

struct job {
	const char *host;
	struct addrinfo *found;
	int code;
};

static void run_job(void *arg)
{
	struct job *job = arg;
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };
	job->code = getaddrinfo(job->host, NULL, &hints, &job->found);
}

/* Without a resolver of our own: the system's, on a thread. It has its own limits of time. */
static void resolve_by_system(struct slice host, struct arena *arena, struct lookup_addresses *addresses, const char **why_r)
{
	struct job job = { .host = arena_cstr(arena, host) };
	offload(run_job, &job);
	if (job.code)
		*why_r = gai_strerror(job.code);
	for (const struct addrinfo *at = job.found; at && addresses->count < LOOKUP_ADDRESSES_MAX; at = at->ai_next)
		if (net_address_from_sockaddr(at->ai_addr, at->ai_addrlen, &addresses->items[addresses->count]))
			addresses->count++;
	if (job.found)
		freeaddrinfo(job.found);
}

/* By the world's resolver, which keeps to the deadline. */
static enum expand_result resolve_by_dns(struct lookup_world *world, struct slice host, int64_t deadline, struct arena *arena,
					 struct lookup_addresses *addresses, struct error *error)
{
	struct expand_request request = { .service = EXPAND_SERVICE_HOST_ADDRESSES, .key = host, .deadline = deadline };
	struct expand_answer answer = { 0 };
	enum expand_result result = lookup_host_addresses(world, &request, arena, &answer, error);
	struct slice rest = answer.text;
	while (result == EXPAND_OK && rest.len > 0 && addresses->count < LOOKUP_ADDRESSES_MAX)
		if (net_address_parse(slice_cut(&rest, ' '), &addresses->items[addresses->count]))
			addresses->count++;
	return result;
}

enum expand_result lookup_resolve(struct lookup_world *world, struct slice host, uint16_t port, int64_t deadline,
				  struct arena *arena, struct lookup_addresses *addresses_r, struct error *error)
{
	enum expand_result result = EXPAND_OK;
	const char *why = "it has no address";
	addresses_r->count = 0;
	if (host.len == 0 || host.len > 255 || slice_find(host, '\0') < host.len)
		return lookup_fail(error, "'%.*s' is no host name", SLICE_ARG(slice_first(host, 100)));
	if (net_address_parse(host, &addresses_r->items[0]))
		addresses_r->count = 1;
	else if (world->settings.dns)
		result = resolve_by_dns(world, host, deadline, arena, addresses_r, error);
	else
		resolve_by_system(host, arena, addresses_r, &why);
	if (result != EXPAND_OK)
		return result;
	for (size_t i = 0; i < addresses_r->count; i++)
		addresses_r->items[i].port = port;
	return addresses_r->count ? EXPAND_OK : lookup_defer(error, "no IP address found for host %.*s: %s", SLICE_ARG(host), why);
}

int lookup_connect(const struct sockaddr *address, socklen_t len, int64_t deadline)
{
	_cleanup_fd_ int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	int result = connect(fd, address, len) < 0 ? -errno : 0;
	/* A local socket whose queue is full says EAGAIN, and nothing tells when that changes. */
	while (result == -EAGAIN && clock_now() < deadline && task_sleep_until(clock_after(50 * CLOCK_MS)) != -ECANCELED)
		result = connect(fd, address, len) < 0 ? -errno : 0;
	if (result == -EINPROGRESS) {
		socklen_t size = sizeof result;
		result = io_wait(fd, IO_WRITE, deadline);
		if (result == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &result, &size) == 0)
			result = -result;
	}
	if (result == 0)
		return fd_take(&fd);
	io_close(&fd);
	return result == -EAGAIN ? -ETIMEDOUT : result;
}

int lookup_connect_unix(struct slice path, int64_t deadline)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	if (!slice_to_cstr(path, address.sun_path, sizeof address.sun_path))
		return -ENAMETOOLONG;
	return lookup_connect((const struct sockaddr *)&address, sizeof address, deadline);
}

ssize_t lookup_move(int fd, void *data, size_t len, bool sending, int64_t deadline)
{
	for (;;) {
		ssize_t n = sending ? send(fd, data, len, MSG_NOSIGNAL) : recv(fd, data, len, 0);
		if (n >= 0)
			return n;
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		int waited = errno == EINTR ? 0 : io_wait(fd, sending ? IO_WRITE : IO_READ, deadline);
		if (waited < 0)
			return waited;
	}
}

int lookup_send(int fd, struct slice text, int64_t deadline)
{
	while (text.len) {
		ssize_t n = clock_now() < deadline ? lookup_move(fd, (char *)(uintptr_t)text.data, text.len, true, deadline) : -ETIMEDOUT;
		if (n <= 0)
			return n ? (int)n : -EPIPE;
		text = slice_from(text, (size_t)n);
	}
	return 0;
}

int lookup_wait_library(int fd, unsigned events, int64_t deadline)
{
	struct pollfd now = { .fd = fd, .events = (short)((events & IO_READ ? POLLIN : 0) | (events & IO_WRITE ? POLLOUT : 0)) };
	if (poll(&now, 1, 0) != 0) {
		task_yield(); /* a peer that never stops sending must not keep the others from running */
		return clock_now() < deadline ? 0 : -ETIMEDOUT;
	}
	int result = io_wait(fd, events, deadline);
	io_forget(fd);
	return result;
}

bool lookup_parse_time(struct slice text, int64_t *interval_r)
{
	const struct interval_rule rule = { .bare = true, .number_max = 1000000, .max = INT64_MAX / CLOCK_SECOND / 2 };
	int64_t seconds;
	if (!interval_parse(text, &rule, &seconds) || seconds == 0)
		return false;
	*interval_r = seconds * CLOCK_SECOND;
	return true;
}

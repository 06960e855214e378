/* SPDX-License-Identifier: ISC */
#include "lookup/scanner.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK = 64 * 1024 };

/* ---- Servers ---- */

static bool parse_port(struct slice text, uint16_t *port_r)
{
	uint64_t number;
	bool good = slice_parse_u64(text, 65535, &number) && number > 0;
	*port_r = good ? (uint16_t)number : 0;
	return good;
}

static bool parse_number(struct slice text, unsigned *number_r)
{
	uint64_t number;
	bool good = slice_parse_u64(text, 1000, &number);
	*number_r = good ? (unsigned)number : 0;
	return good;
}

/* "9.30.15": seconds of the day. */
static bool parse_time_of_day(struct slice text, unsigned *seconds_r)
{
	static const unsigned units[] = { 3600, 60, 1 };
	*seconds_r = 0;
	for (size_t i = 0; i < 3 && text.len; i++) {
		uint64_t number;
		if (!slice_parse_u64(slice_cut(&text, '.'), i ? 59 : 24, &number))
			return false;
		*seconds_r += (unsigned)number * units[i];
	}
	return text.len == 0;
}

static bool parse_option(struct slice option, struct scanner_server *server)
{
	struct slice value = option, name = slice_cut(&value, '=');
	struct slice until = value, from = slice_cut(&until, '-');
	if (slice_equal(name, SLICE("retry")))
		return lookup_parse_time(value, &server->retry);
	if (slice_equal(name, SLICE("tmo")))
		return lookup_parse_time(value, &server->limit);
	if (slice_equal(name, SLICE("pri")))
		return parse_number(value, &server->priority);
	if (slice_equal(name, SLICE("weight")))
		return parse_number(value, &server->weight);
	if (slice_equal(name, SLICE("time")))
		return parse_time_of_day(from, &server->from) && parse_time_of_day(until, &server->until);
	server->rspamd = slice_equal(option, SLICE("variant=rspamd"));
	return server->rspamd;
}

static struct slice take_word(struct slice *rest)
{
	*rest = slice_trim(*rest);
	size_t len = 0;
	while (len < rest->len && !ascii_is_space(rest->data[len]))
		len++;
	struct slice word = slice_first(*rest, len);
	*rest = slice_trim(slice_from(*rest, len));
	return word;
}

bool scanner_parse(struct slice text, struct scanner_server *server_r, struct error *error)
{
	struct slice rest = text, first = take_word(&rest);
	*server_r = (struct scanner_server){ .priority = 1, .weight = 1, .shown = first };
	if (first.len && first.data[0] == '/') {
		server_r->path = first;
	} else {
		struct slice last = take_word(&rest), port = slice_cut(&last, '-');
		server_r->host = first;
		server_r->shown = slice_make(first.data, (size_t)(port.data + port.len - first.data));
		if (!parse_port(port, &server_r->port))
			return error_set(error, ERROR_USAGE, "\"%.*s\" needs a host and a port, or a path", SLICE_ARG(slice_first(text, 100)));
		server_r->last_port = server_r->port;
		if (last.len && (!parse_port(last, &server_r->last_port) || server_r->last_port < server_r->port))
			return error_set(error, ERROR_USAGE, "\"%.*s\" is not a range of ports", SLICE_ARG(slice_first(text, 100)));
	}
	while (rest.len) {
		struct slice option = take_word(&rest);
		if (!parse_option(option, server_r))
			return error_set(error, ERROR_USAGE, "\"%.*s\" is not an option of a scanner's server", SLICE_ARG(slice_first(option, 64)));
	}
	return true;
}

static bool is_open(const struct scanner_server *server)
{
	struct tm now;
	time_t seconds = (time_t)(clock_wall_now() / CLOCK_SECOND);
	if ((server->from == 0 && server->until == 0) || !localtime_r(&seconds, &now))
		return true;
	unsigned of_day = (unsigned)(now.tm_hour * 3600 + now.tm_min * 60 + now.tm_sec);
	return server->from <= of_day && of_day < server->until;
}

/* Of those left the highest priority, and within it at random by weight. NULL: none is left. */
static struct scanner_server *choose(struct scanner_server *servers, size_t count, const bool *tried)
{
	struct scanner_server *chosen = NULL;
	unsigned best = 0, total = 0, dice = 0;
	for (size_t i = 0; i < count; i++)
		if (!tried[i] && servers[i].priority >= best) {
			total = (servers[i].priority > best ? 0 : total) + servers[i].weight;
			best = servers[i].priority;
		}
	if (getrandom(&dice, sizeof dice, 0) != sizeof dice || total == 0)
		dice = 0;
	dice = total ? dice % total : 0;
	for (size_t i = 0; i < count; i++) {
		if (tried[i] || servers[i].priority != best)
			continue;
		chosen = &servers[i];
		if (dice < servers[i].weight)
			break;
		dice -= servers[i].weight;
	}
	return chosen;
}

/* A connected socket, or a negative errno. */
static int connect_once(struct scan *scan, const struct scanner_server *server, int64_t deadline)
{
	int fd = -ECONNREFUSED;
	if (server->path.len)
		return lookup_connect_unix(server->path, deadline);
	for (unsigned port = server->port; port <= server->last_port && fd < 0; port++) {
		struct lookup_addresses addresses;
		if (lookup_resolve(scan->world, server->host, (uint16_t)port, deadline, scan->arena, &addresses, scan->error) != EXPAND_OK)
			return -EHOSTUNREACH;
		for (size_t i = 0; i < addresses.count && fd < 0; i++) {
			struct sockaddr_storage storage;
			socklen_t len = net_address_to_sockaddr(&addresses.items[i], &storage);
			fd = lookup_connect((const struct sockaddr *)&storage, len, deadline);
		}
	}
	return fd;
}

static enum expand_result connect_to(struct scan *scan, const struct scanner_server *server)
{
	int64_t deadline = scan->request->deadline;
	if (server->limit && clock_after(server->limit) < deadline)
		deadline = clock_after(server->limit);
	int fd = connect_once(scan, server, deadline);
	if (fd < 0 && server->retry && clock_after(server->retry) < deadline && task_sleep_until(clock_after(server->retry)) != -ECANCELED)
		fd = connect_once(scan, server, deadline);
	if (fd < 0)
		return lookup_defer(scan->error, "connection to %.*s failed (%s)", SLICE_ARG(server->shown),
				    fd == -ETIMEDOUT ? "it took too long" : strerror(-fd));
	scan->fd = fd;
	scan->server = server;
	scan->deadline = deadline;
	return EXPAND_OK;
}

enum expand_result scan_begin(struct scan *scan, struct lookup_world *world, const struct expand_request *request, struct arena *arena,
			      struct error *error)
{
	struct scanner_server *servers = arena_array(arena, SCANNER_SERVERS_MAX, sizeof *servers), *server;
	bool tried[SCANNER_SERVERS_MAX] = { false };
	struct stat status;
	size_t count = request->option_count;
	*scan = (struct scan){ .world = world, .request = request, .arena = arena, .error = error, .fd = -1 };
	if (!request->content || fstat(*request->content, &status) < 0 || !S_ISREG(status.st_mode))
		return lookup_fail(error, "there is nothing to scan");
	scan->size = (uint64_t)status.st_size;
	if (count == 0 || count > SCANNER_SERVERS_MAX)
		return lookup_fail(error, count ? "more than %d servers" : "no server is given", SCANNER_SERVERS_MAX);
	for (size_t i = 0; i < count; i++) {
		if (!scanner_parse(request->options[i], &servers[i], error))
			return EXPAND_FAIL;
		tried[i] = !is_open(&servers[i]);
	}
	lookup_defer(error, "no server may be used at this time of the day");
	while ((server = choose(servers, count, tried)) != NULL) {
		if (connect_to(scan, server) == EXPAND_OK)
			return EXPAND_OK;
		tried[server - servers] = true;
	}
	return EXPAND_DEFER;
}

void scan_end(struct scan *scan)
{
	if (scan->fd >= 0)
		io_close(&scan->fd);
	scan->fd = -1;
}

/* ---- Bytes ---- */

static enum expand_result lost(struct scan *scan, const char *what, int result)
{
	return lookup_defer(scan->error, "%s %.*s: %s", what, SLICE_ARG(scan->server->shown),
			    result == -ETIMEDOUT ? "it took too long" : strerror(-result));
}

enum expand_result scan_send(struct scan *scan, struct slice text)
{
	int result = lookup_send(scan->fd, text, scan->deadline);
	return result < 0 ? lost(scan, "sending to", result) : EXPAND_OK;
}

enum expand_result scan_send_message(struct scan *scan, bool chunked)
{
	char *chunk = arena_alloc(scan->arena, 4 + CHUNK);
	enum expand_result result = EXPAND_OK;
	for (uint64_t at = 0; at < scan->size && result == EXPAND_OK;) {
		size_t len = scan->size - at < CHUNK ? (size_t)(scan->size - at) : CHUNK;
		ssize_t n = pread(*scan->request->content, chunk + 4, len, (off_t)at);
		if (n <= 0)
			return lookup_defer(scan->error, "the message cannot be read");
		for (unsigned i = 0; i < 4; i++)
			chunk[i] = (char)((size_t)n >> (24 - 8 * i));
		result = scan_send(scan, slice_make(chunk + (chunked ? 0 : 4), (size_t)n + (chunked ? 4 : 0)));
		at += (uint64_t)n;
	}
	return result == EXPAND_OK && chunked ? scan_send(scan, slice_make("\0\0\0", 4)) : result;
}

enum expand_result scan_receive(struct scan *scan, size_t most, struct slice *text_r)
{
	char *text = arena_alloc(scan->arena, most + 1);
	size_t len = 0;
	while (len < most && !memchr(text, '\0', len)) {
		ssize_t n = clock_now() < scan->deadline ? lookup_move(scan->fd, text + len, most - len, false, scan->deadline) : -ETIMEDOUT;
		if (n < 0)
			return lost(scan, "reading from", (int)n);
		if (n == 0)
			break;
		len += (size_t)n;
	}
	struct slice all = slice_make(text, len);
	*text_r = slice_first(all, slice_find(all, '\0'));
	return EXPAND_OK;
}

enum expand_result lookup_scan(struct lookup_world *world, const struct expand_request *request, struct arena *arena,
			       struct expand_answer *answer_r, struct error *error)
{
	if (slice_equal(request->type, SLICE("clamd")))
		return lookup_scan_clamd(world, request, arena, answer_r, error);
	if (slice_equal(request->type, SLICE("spam")))
		return lookup_scan_spam(world, request, arena, answer_r, error);
	return lookup_fail(error, "there is no scanner \"%.*s\"", SLICE_ARG(slice_first(request->type, 64)));
}

/* SPDX-License-Identifier: ISC */
/* A question to a responder: its addresses from the lookup role, the request by libcurl on a thread. */
#include "role/fetch.h"

#include "base/fatal.h"
#include "expand/service.h"
#include "net/address.h"
#include "net/http.h"
#include "role/ask.h"
#include "task/offload.h"

#include <stdio.h>
#include <string.h>

enum { REQUEST_SECONDS = 30 };
#define RESOLVE_TIME (30 * CLOCK_SECOND)

/* One at a time asks it; the others wait. */
struct fetch_responder {
	struct fetch_responder *next;
	char name[HTTP_HOST_MAX + 8];
	bool busy;
	struct wait_list waiting;
};

/* Responders are few, and forgotten with the process. */
static struct fetch_responder *responder_of(struct fetch_responder **all, const char *host, unsigned port)
{
	char name[HTTP_HOST_MAX + 8];
	snprintf(name, sizeof name, "%s:%u", host, port);
	for (struct fetch_responder *responder = *all; responder; responder = responder->next)
		if (strcmp(responder->name, name) == 0)
			return responder;
	struct fetch_responder *responder = xcalloc(1, sizeof *responder);
	snprintf(responder->name, sizeof responder->name, "%s", name);
	responder->next = *all;
	*all = responder;
	return responder;
}

static bool hold_responder(struct fetch_responder *responder)
{
	while (responder->busy)
		if (wait_list_wait(&responder->waiting, CLOCK_NEVER) < 0)
			return false;
	responder->busy = true;
	return true;
}

static void release_responder(struct fetch_responder *responder)
{
	responder->busy = false;
	wait_list_wake_one(&responder->waiting);
}

/* The addresses as http_request has them; data NULL when the host is one itself. */
static bool find_addresses(struct ask_line *lookup, const char *host, struct arena *arena, const char **addresses_r,
			   struct error *error)
{
	struct net_address literal;
	struct expand_answer answer = { 0 };
	struct expand_request request = {
		.service = EXPAND_SERVICE_HOST_ADDRESSES, .key = slice_of(host), .deadline = clock_after(RESOLVE_TIME),
	};
	*addresses_r = NULL;
	if (net_address_parse(slice_of(host), &literal))
		return true;
	if (role_ask(lookup, &request, arena, &answer, error) != EXPAND_OK)
		return error_context(error, "looking up %s", host);
	struct slice rest = slice_trim(answer.text), list = { 0 };
	for (int count = 0; rest.len && count < 8; count++) {
		struct slice one = slice_cut(&rest, ' ');
		bool six = slice_find(one, ':') < one.len;
		list = arena_printf(arena, "%.*s%s%s%.*s%s", SLICE_ARG(list), list.len ? "," : "", six ? "[" : "", SLICE_ARG(one),
				    six ? "]" : "");
	}
	if (!answer.found || !list.len)
		return error_set(error, ERROR_TEMPORARY, "the responder's host %s has no address", host);
	*addresses_r = list.data;
	return true;
}

struct http_job {
	struct http_request request;
	struct buf answer;
	bool done;
	struct error error;
};

static void post_on_thread(void *arg)
{
	struct http_job *job = arg;
	job->done = http_post(&job->request, &job->answer, &job->error);
}

static bool post(struct ask_line *lookup, const char *url, const char *host, struct slice body, struct buf *answer, struct error *error)
{
	struct arena arena;
	struct http_job job = {
		.request = { .url = url, .body = body, .content_type = "application/ocsp-request",
			     .accept = "application/ocsp-response", .seconds = REQUEST_SECONDS },
	};
	arena_init(&arena, 0);
	buf_init(&job.answer, OCSP_RESPONSE_MAX);
	bool done = find_addresses(lookup, host, &arena, &job.request.addresses, error);
	if (done) {
		offload(post_on_thread, &job);
		done = job.done;
		*error = job.error;
	}
	if (done)
		buf_append(answer, buf_slice(&job.answer));
	buf_free(&job.answer);
	arena_free(&arena);
	return done;
}

bool fetch_ask(struct fetch_responder **all, struct ask_line *lookup, const char *url, X509 *certificate, X509 *issuer,
	       struct buf *answer, struct error *error)
{
	char host[HTTP_HOST_MAX];
	unsigned port;
	struct buf request;
	if (!http_url_parse(url, host, &port, error))
		return false;
	struct fetch_responder *responder = responder_of(all, host, port);
	if (!hold_responder(responder))
		return error_set(error, ERROR_TEMPORARY, "ended");
	buf_init(&request, 4096);
	bool done = ocsp_request_write(certificate, issuer, &request, error) &&
		    post(lookup, url, host, buf_slice(&request), answer, error);
	release_responder(responder);
	buf_free(&request);
	return done;
}

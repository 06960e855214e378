/* SPDX-License-Identifier: ISC */
/*
 * One HTTP request by libcurl, blocking: for a thread (task/offload.h) or a command. Plain http only, no redirects, no
 * cookies, nothing kept; the answer's size and the time for all of it are bounded.
 */
#ifndef POSTERN_NET_HTTP_H
#define POSTERN_NET_HTTP_H

#include "base/buf.h"
#include "base/error.h"

enum { HTTP_URL_MAX = 1024, HTTP_HOST_MAX = 256 };

struct http_request {
	const char *url;
	struct slice body;          /* what is posted */
	const char *content_type, *accept;
	unsigned seconds;           /* for everything, at least 1 */
	/* Addresses of the URL's host, "192.0.2.1,[2001:db8::1]", so that nothing is looked up; NULL: the system's resolver. */
	const char *addresses;
	bool proxy;                 /* as the environment says (http_proxy); false: none */
};

/* Before any other call, while the process has one thread and may open files. */
bool http_start(struct error *error);
/* The host of the URL in lower case, without the brackets of an address, and its port. False and *error: it is no http URL. */
bool http_url_parse(const char *url, char host_r[HTTP_HOST_MAX], unsigned *port_r, struct error *error);
/* Answers with status 200 only are appended to `out`, whose bound is that of the answer. False and *error otherwise. */
bool http_post(const struct http_request *request, struct buf *out, struct error *error);

#endif

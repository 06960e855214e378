/* SPDX-License-Identifier: ISC */
#include "net/http.h"

#include <stdio.h>
#include <string.h>

#include <curl/curl.h>

enum { CONNECT_SECONDS = 10 };

struct answer {
	struct buf *out;
	bool too_large;
};

bool http_start(struct error *error)
{
	CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT);
	return code == CURLE_OK || error_set(error, ERROR_PERMANENT, "starting libcurl: %s", curl_easy_strerror(code));
}

bool http_url_parse(const char *url, char host_r[HTTP_HOST_MAX], unsigned *port_r, struct error *error)
{
	CURLU *parts = curl_url();
	char *scheme = NULL, *host = NULL, *port = NULL;
	uint64_t number = 0;
	bool good = parts && strlen(url) < HTTP_URL_MAX && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
		    curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK && strcmp(scheme, "http") == 0 &&
		    curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
		    curl_url_get(parts, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
		    slice_parse_u64(slice_of(port), 65535, &number) && number;
	struct slice name = slice_of(host);
	if (good && name.len > 2 && name.data[0] == '[')
		name = slice_first(slice_from(name, 1), name.len - 2);
	good = good && name.len && slice_to_cstr(name, host_r, HTTP_HOST_MAX);
	for (size_t i = 0; good && host_r[i]; i++)
		host_r[i] = ascii_lower(host_r[i]);
	*port_r = (unsigned)number;
	curl_free(scheme);
	curl_free(host);
	curl_free(port);
	curl_url_cleanup(parts);
	return good || error_set(error, ERROR_USAGE, "\"%.200s\" is not a URL that begins with http://", url);
}

static size_t take(char *data, size_t size, size_t count, void *arg)
{
	struct answer *answer = arg;
	if (buf_append(answer->out, slice_make(data, size * count)))
		return size * count;
	answer->too_large = true;
	return 0;
}

/* "HOST:PORT:ADDRESSES" (CURLOPT_RESOLVE(3)): the connection goes there and nowhere else. */
static struct curl_slist *pin(const struct http_request *request, struct error *error)
{
	char host[HTTP_HOST_MAX], line[HTTP_HOST_MAX + 2048];
	unsigned port;
	if (!http_url_parse(request->url, host, &port, error))
		return NULL;
	snprintf(line, sizeof line, "%s:%u:%s", host, port, request->addresses);
	return curl_slist_append(NULL, line);
}

static struct curl_slist *add_header(struct curl_slist *list, const char *name, const char *value)
{
	char line[256];
	snprintf(line, sizeof line, "%s: %s", name, value);
	struct curl_slist *longer = curl_slist_append(list, line);
	return longer ? longer : list;
}

static void set_up(CURL *curl, const struct http_request *request, struct curl_slist *headers, char *problem, struct answer *answer)
{
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, problem);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http");
	curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(curl, CURLOPT_URL, request->url);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "Postern/" POSTERN_VERSION);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
	curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body.data);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)request->seconds);
	curl_easy_setopt(curl, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)answer->out->max);
	curl_easy_setopt(curl, CURLOPT_FORBID_REUSE, 1L);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
	if (!request->proxy)
		curl_easy_setopt(curl, CURLOPT_PROXY, "");
}

static bool perform(CURL *curl, const struct http_request *request, const char *problem, const struct answer *answer,
		    struct error *error)
{
	long status = 0;
	CURLcode code = curl_easy_perform(curl);
	if (answer->too_large || code == CURLE_FILESIZE_EXCEEDED)
		return error_set(error, ERROR_TEMPORARY, "%s answered with more than %zu bytes", request->url, answer->out->max);
	if (code != CURLE_OK)
		return error_set(error, ERROR_TEMPORARY, "asking %s: %s", request->url, *problem ? problem : curl_easy_strerror(code));
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	return status == 200 || error_set(error, ERROR_TEMPORARY, "%s answered with status %ld instead of 200", request->url, status);
}

bool http_post(const struct http_request *request, struct buf *out, struct error *error)
{
	char problem[CURL_ERROR_SIZE] = "";
	struct answer answer = { .out = out };
	struct curl_slist *headers = NULL, *addresses = NULL;
	if (request->addresses && !(addresses = pin(request, error)))
		return false;
	CURL *curl = curl_easy_init();
	headers = add_header(headers, "Content-Type", request->content_type);
	headers = add_header(headers, "Accept", request->accept);
	headers = add_header(headers, "Expect", "");
	if (curl) {
		set_up(curl, request, headers, problem, &answer);
		curl_easy_setopt(curl, CURLOPT_RESOLVE, addresses);
	}
	bool done = curl ? perform(curl, request, problem, &answer, error) : error_set(error, ERROR_TEMPORARY, "libcurl has no memory");
	curl_easy_cleanup(curl);
	curl_slist_free_all(headers);
	curl_slist_free_all(addresses);
	return done;
}

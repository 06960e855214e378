/* SPDX-License-Identifier: ISC */
/*
 * From a request to the function that answers it: services by a table, lookups by their search type, with partial matching and
 * defaults (Exim's manual, chapter 9 §6 and 7) as a series of keys for the driver.
 */
#include "base/fatal.h"
#include "lookup/files.h"
#include "lookup/pgsql.h"
#include "lookup/redis.h"
#include "lookup/sqlite.h"

#include <stdio.h>

const struct lookup_driver *const lookup_drivers[] = {
	&lookup_driver_cdb, &lookup_driver_dnsdb, &lookup_driver_dsearch, &lookup_driver_iplsearch, &lookup_driver_json,
	&lookup_driver_lsearch, &lookup_driver_nwildlsearch, &lookup_driver_passwd, &lookup_driver_pgsql, &lookup_driver_redis,
	&lookup_driver_sqlite, &lookup_driver_wildlsearch,
};
const size_t lookup_driver_count = sizeof lookup_drivers / sizeof *lookup_drivers;

/* By way of a copy, for what the format takes may be the error's own text. */
static void set_error(struct error *error, enum error_kind kind, const char *format, va_list args) __attribute__((format(printf, 3, 0)));

static void set_error(struct error *error, enum error_kind kind, const char *format, va_list args)
{
	char text[sizeof error->text];
	vsnprintf(text, sizeof text, format, args);
	error_set(error, kind, "%s", text);
}

enum expand_result lookup_fail(struct error *error, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	set_error(error, ERROR_PERMANENT, format, args);
	va_end(args);
	return EXPAND_FAIL;
}

enum expand_result lookup_defer(struct error *error, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	set_error(error, ERROR_TEMPORARY, format, args);
	va_end(args);
	return EXPAND_DEFER;
}

static struct slice option_in(const struct slice *options, size_t count, const char *name, struct slice found)
{
	for (size_t i = 0; i < count; i++) {
		struct slice value = options[i];
		struct slice option = slice_trim(slice_cut(&value, '='));
		if (slice_equal(option, slice_of(name)))
			found = slice_make(value.data ? value.data : "", value.len);
	}
	return found;
}

struct slice lookup_option(const struct search *search, const struct expand_request *request, const char *name)
{
	struct slice found = { 0 };
	if (search)
		found = option_in(search->options, search->option_count, name, found);
	return option_in(request->options, request->option_count, name, found);
}

struct slice lookup_query_text(const struct expand_request *request, struct arena *arena, bool *tainted_r)
{
	*tainted_r = request->key_tainted;
	if (request->piece_count == 0)
		return request->key;
	size_t len = 0;
	*tainted_r = false;
	for (size_t i = 0; i < request->piece_count; i++)
		len += request->pieces[i].text.len;
	char *out = arena_alloc(arena, len + 1);
	size_t at = 0;
	for (size_t i = 0; i < request->piece_count; i++) {
		const struct expand_piece *piece = &request->pieces[i];
		if (piece->text.len > 0)
			memcpy(out + at, piece->text.data, piece->text.len);
		at += piece->text.len;
		*tainted_r |= piece->tainted;
	}
	return slice_make(out, len);
}

/* One lookup: its driver, and what each key is asked with. */
struct question {
	struct lookup_world *world;
	const struct lookup_driver *driver;
	const struct search *search;
	const struct expand_request *request;
	struct arena *arena;
	struct expand_answer *answer;
	struct error *error;
};

/* True when the series of keys ends here: found, or an error. An empty key is never found. */
static bool ask_key(struct question *question, struct slice key, enum expand_result *result_r)
{
	*result_r = EXPAND_OK;
	if (key.len == 0 && question->search->type->style == SEARCH_SINGLE_KEY)
		return false;
	*result_r = question->driver->find(question->world, question->search, question->request, key, question->arena,
					   question->answer, question->error);
	return *result_r != EXPAND_OK || question->answer->found;
}

static struct slice affixed(struct question *question, struct slice affix, struct slice rest)
{
	return arena_printf(question->arena, "%.*s%.*s", SLICE_ARG(affix), SLICE_ARG(rest));
}

static void set_wild(struct question *question, struct slice wild, struct slice fixed)
{
	/* data must not be NULL: that says that there was no wildcard */
	question->answer->wild = arena_copy(question->arena, wild);
	question->answer->fixed = arena_copy(question->arena, fixed);
}

/* What is looked up when all components are gone (partial0): the affix alone, without its dot if there is more. */
static bool ask_affix(struct question *question, struct slice key, enum expand_result *result_r)
{
	struct slice affix = question->search->affix;
	if (affix.len == 0)
		return false;
	if (affix.len > 1 && affix.data[affix.len - 1] == '.')
		affix.len--;
	bool ended = ask_key(question, affix, result_r);
	if (ended && *result_r == EXPAND_OK)
		set_wild(question, key, SLICE(""));
	return ended;
}

/* The key with the affix, then with its components taken away one by one from the left. */
static bool ask_partial(struct question *question, struct slice key, enum expand_result *result_r)
{
	struct slice affix = question->search->affix;
	if (affix.len > 0 && ask_key(question, affixed(question, affix, key), result_r)) {
		if (*result_r == EXPAND_OK)
			set_wild(question, SLICE(""), key);
		return true;
	}
	size_t dots = 0;
	for (size_t i = 0; i < key.len; i++)
		dots += key.data[i] == '.';
	struct slice rest = key;
	for (size_t left = dots; left + 1 > question->search->partial_minimum; left--) {
		size_t dot = slice_find(rest, '.');
		if (dot == rest.len)
			return ask_affix(question, key, result_r);
		rest = slice_from(rest, dot + 1);
		if (!ask_key(question, affixed(question, affix, rest), result_r))
			continue;
		if (*result_r == EXPAND_OK)
			set_wild(question, slice_first(key, key.len - rest.len - 1), rest);
		return true;
	}
	return false;
}

static bool ask_defaults(struct question *question, struct slice key, enum expand_result *result_r)
{
	enum search_default fallback = question->search->fallback;
	size_t at = slice_find_last(key, '@');
	if (fallback == SEARCH_STAR_AT && at < key.len && at > 0 &&
	    ask_key(question, affixed(question, SLICE("*"), slice_from(key, at)), result_r)) {
		if (*result_r == EXPAND_OK)
			set_wild(question, slice_first(key, at), SLICE(""));
		return true;
	}
	if (fallback == SEARCH_NO_DEFAULT || !ask_key(question, SLICE("*"), result_r))
		return false;
	if (*result_r == EXPAND_OK)
		set_wild(question, key, SLICE(""));
	return true;
}

static enum expand_result ask_single_key(struct question *question)
{
	struct slice key = question->request->key;
	const struct search *search = question->search;
	enum expand_result result = EXPAND_OK;
	if (ask_key(question, key, &result)) {
		if (result == EXPAND_OK && search->partial)
			set_wild(question, SLICE(""), key);
	} else if (!search->partial || key.len == 0 || !ask_partial(question, key, &result)) {
		ask_defaults(question, key, &result);
	}
	if (result == EXPAND_OK && question->answer->found &&
	    slice_equal(lookup_option(search, question->request, "ret"), SLICE("key"))) {
		question->answer->text = arena_copy(question->arena, key);
		question->answer->tainted = false; /* the file has it: that is the check */
	}
	return result;
}

static const struct lookup_driver *find_driver(const char *name)
{
	for (size_t i = 0; i < lookup_driver_count; i++)
		if (strcmp(lookup_drivers[i]->name, name) == 0)
			return lookup_drivers[i];
	return NULL;
}

static enum expand_result ask_lookup(struct lookup_world *world, const struct expand_request *request, struct arena *arena,
				     struct expand_answer *answer_r, struct error *error)
{
	struct search search;
	if (!search_parse(request->type, arena, &search, error))
		return EXPAND_FAIL;
	struct question question = {
		.world = world, .driver = find_driver(search.type->name), .search = &search, .request = request,
		.arena = arena, .answer = answer_r, .error = error,
	};
	if (!question.driver)
		return lookup_fail(error, "%s lookups are not available here", search.type->name);
	if (search.type->style == SEARCH_SINGLE_KEY)
		return ask_single_key(&question);
	enum expand_result result;
	ask_key(&question, request->key, &result);
	return result;
}

static lookup_service *const services[EXPAND_SERVICES] = {
	[EXPAND_SERVICE_LOOKUP] = ask_lookup,
	[EXPAND_SERVICE_READ_FILE] = lookup_read_file,
	[EXPAND_SERVICE_EXISTS] = lookup_exists,
	[EXPAND_SERVICE_STAT] = lookup_stat,
	[EXPAND_SERVICE_RUN] = lookup_run,
	[EXPAND_SERVICE_READ_SOCKET] = lookup_read_socket,
	[EXPAND_SERVICE_HOST_NAMES] = lookup_host_names,
	[EXPAND_SERVICE_HOST_ADDRESSES] = lookup_host_addresses,
	[EXPAND_SERVICE_CRYPT] = lookup_crypt,
	[EXPAND_SERVICE_SCAN] = lookup_scan,
	[EXPAND_SERVICE_UDP] = lookup_udp,
	[EXPAND_SERVICE_PAM] = lookup_pam,
};

/* A request comes from another process: its sizes are checked before they are trusted. */
static bool fits(const struct expand_request *request)
{
	size_t left = EXPAND_REQUEST_MAX;
	const struct slice texts[] = { request->type, request->file, request->key };
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		if (texts[i].len > left)
			return false;
		left -= texts[i].len;
	}
	for (size_t i = 0; i < request->piece_count; i++) {
		if (request->pieces[i].text.len > left)
			return false;
		left -= request->pieces[i].text.len;
	}
	for (size_t i = 0; i < request->option_count; i++) {
		if (request->options[i].len > left)
			return false;
		left -= request->options[i].len;
	}
	return true;
}

enum expand_result lookup_ask(struct lookup_world *world, const struct expand_request *request, struct arena *arena,
			      struct expand_answer *answer_r, struct error *error)
{
	*answer_r = (struct expand_answer){ 0 };
	if ((unsigned)request->service >= EXPAND_SERVICES || !services[request->service])
		return lookup_fail(error, "this question (service %d) cannot be answered here", (int)request->service);
	if (!fits(request))
		return lookup_fail(error, "a lookup may have at most %d bytes of key, query and options", EXPAND_REQUEST_MAX);
	struct expand_request bounded = *request;
	int64_t latest = clock_after(request->service == EXPAND_SERVICE_SCAN ? LOOKUP_SCAN_TIME_MAX : LOOKUP_TIME_MAX);
	if (bounded.deadline <= 0 || bounded.deadline > latest)
		bounded.deadline = latest;
	enum expand_result result = services[request->service](world, &bounded, arena, answer_r, error);
	if (result == EXPAND_OK && answer_r->text.len > LOOKUP_ANSWER_MAX)
		return lookup_fail(error, "the answer has more than %d MiB", LOOKUP_ANSWER_MAX >> 20);
	return result;
}

struct lookup_world *lookup_open(struct loop *loop, const struct lookup_settings *settings, struct error *error)
{
	(void)error;
	struct lookup_world *world = xcalloc(1, sizeof *world);
	world->loop = loop;
	arena_init(&world->arena, 0);
	world->settings = *settings;
	world->settings.sqlite_dbfile = arena_copy(&world->arena, settings->sqlite_dbfile);
	world->settings.pgsql_servers = arena_copy(&world->arena, settings->pgsql_servers);
	world->settings.redis_servers = arena_copy(&world->arena, settings->redis_servers);
	world->files = lookup_files_new();
	world->sqlite = lookup_sqlite_new();
	world->pgsql = lookup_pgsql_new();
	world->redis = lookup_redis_new();
	return world;
}

void lookup_close(struct lookup_world **world)
{
	if (!*world)
		return;
	lookup_files_free(&(*world)->files);
	lookup_sqlite_free(&(*world)->sqlite);
	lookup_pool_free(&(*world)->pgsql);
	lookup_pool_free(&(*world)->redis);
	arena_free(&(*world)->arena);
	free(*world);
	*world = NULL;
}

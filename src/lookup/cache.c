/* SPDX-License-Identifier: ISC */
/*
 * Answers within one message (Exim's manual, chapter 9 §8). Only lookups and names of hosts are kept: files, commands and sockets
 * are asked each time, as in Exim. A database is also written through lookups: a query that does not begin with a word that
 * only reads is never kept, and empties the cache, for it may have changed what the others would answer now.
 */
#include "lookup/lookup.h"

#include <string.h>

enum { CACHE_BUCKETS = 64 };

struct cached {
	struct slice question; /* all of the request that matters, as bytes */
	struct expand_answer answer;
	struct cached *next;
};

struct lookup_cache {
	struct arena *arena;
	size_t bytes; /* ever taken: what is emptied stays in the arena */
	struct cached *buckets[CACHE_BUCKETS];
};

struct lookup_cache *lookup_cache_new(struct arena *arena)
{
	struct lookup_cache *cache = arena_new(arena, struct lookup_cache);
	cache->arena = arena;
	return cache;
}

static bool has_option(const struct expand_request *request, struct slice option)
{
	for (size_t i = 0; i < request->option_count; i++)
		if (slice_equal(slice_trim(request->options[i]), option))
			return true;
	struct slice rest = request->type;
	while (rest.len > 0)
		if (slice_equal(slice_trim(slice_cut(&rest, ',')), option))
			return true;
	return false;
}

enum habit { KEEP, ASK, WRITES };

/* The first word of the query of a database that can be written through queries. */
static enum habit habit_of(const struct expand_request *request)
{
	static const char *const writable[] = { "sqlite", "pgsql", "redis" };
	static const char *const reading[] = { "select", "get", "mget", "hget", "hmget", "hgetall", "exists", "smembers",
		"sismember", "lrange", "llen", "scard", "zscore", "zrange", "keys", "strlen" };
	if (request->service != EXPAND_SERVICE_LOOKUP)
		return request->service == EXPAND_SERVICE_HOST_NAMES || request->service == EXPAND_SERVICE_HOST_ADDRESSES ? KEEP : ASK;
	struct slice type = request->type;
	type = slice_trim(slice_cut(&type, ','));
	bool database = false;
	for (size_t i = 0; i < sizeof writable / sizeof *writable; i++)
		database |= slice_equal(type, slice_of(writable[i]));
	if (!database)
		return KEEP;
	struct slice query = slice_trim(request->piece_count > 0 ? request->pieces[0].text : request->key);
	size_t word = 0;
	while (word < query.len && ascii_is_alpha(query.data[word]))
		word++;
	for (size_t i = 0; i < sizeof reading / sizeof *reading; i++)
		if (slice_equal_nocase(slice_first(query, word), slice_of(reading[i])))
			return KEEP;
	return WRITES;
}

struct writer {
	char *out; /* NULL: only count */
	size_t len;
};

static void put(struct writer *writer, const void *data, size_t len)
{
	if (writer->out && len > 0)
		memcpy(writer->out + writer->len, data, len);
	writer->len += len;
}

static void put_text(struct writer *writer, struct slice text)
{
	put(writer, &text.len, sizeof text.len);
	put(writer, text.data, text.len);
}

/* Everything but the deadline. Taint belongs to it: whether a value is bound decides what is asked. */
static void put_request(struct writer *writer, const struct expand_request *request)
{
	unsigned char numbers[] = { (unsigned char)request->service, request->key_tainted };
	put(writer, numbers, sizeof numbers);
	put_text(writer, request->type);
	put_text(writer, request->file);
	put_text(writer, request->key);
	put(writer, &request->piece_count, sizeof request->piece_count);
	for (size_t i = 0; i < request->piece_count; i++) {
		unsigned char flags[] = { request->pieces[i].value, request->pieces[i].tainted };
		put(writer, flags, sizeof flags);
		put_text(writer, request->pieces[i].text);
	}
	for (size_t i = 0; i < request->option_count; i++)
		put_text(writer, request->options[i]);
}

static struct slice question_of(const struct expand_request *request, struct arena *arena)
{
	struct writer writer = { 0 };
	put_request(&writer, request);
	writer = (struct writer){ .out = arena_alloc(arena, writer.len) };
	put_request(&writer, request);
	return slice_make(writer.out, writer.len);
}

/* A collision costs a comparison of questions; an attacker who finds some can only spend his own message's time. */
static size_t bucket_of(struct slice question)
{
	uint32_t hash = 2166136261U;
	for (size_t i = 0; i < question.len; i++)
		hash = (hash ^ (unsigned char)question.data[i]) * 16777619U;
	return (hash ^ hash >> 16) % CACHE_BUCKETS;
}

static struct slice copy_kept(struct arena *arena, struct slice text)
{
	return text.data ? arena_copy(arena, text) : text;
}

static struct expand_answer copy_answer(const struct expand_answer *answer, struct arena *arena)
{
	struct expand_answer copy = *answer;
	copy.text = copy_kept(arena, answer->text);
	copy.wild = copy_kept(arena, answer->wild);
	copy.fixed = copy_kept(arena, answer->fixed);
	copy.name = copy_kept(arena, answer->name);
	return copy;
}

static void keep(struct lookup_cache *cache, struct slice question, const struct expand_answer *answer)
{
	size_t size = question.len + answer->text.len + answer->wild.len + answer->fixed.len + answer->name.len +
		      sizeof(struct cached) + 64;
	if (size > LOOKUP_CACHE_MAX || cache->bytes > LOOKUP_CACHE_MAX - size)
		return;
	cache->bytes += size;
	struct cached *cached = arena_new(cache->arena, struct cached);
	struct cached **bucket = &cache->buckets[bucket_of(question)];
	cached->question = arena_copy(cache->arena, question);
	cached->answer = copy_answer(answer, cache->arena);
	cached->next = *bucket; /* before an older answer to the same question (cache=no_rd) */
	*bucket = cached;
}

enum expand_result lookup_cache_ask(struct lookup_cache *cache, lookup_ask_function *ask, void *owner,
				    const struct expand_request *request, struct arena *arena, struct expand_answer *answer_r,
				    struct error *error)
{
	enum habit habit = habit_of(request);
	if (habit == WRITES)
		memset(cache->buckets, 0, sizeof cache->buckets);
	if (habit != KEEP)
		return ask(owner, request, arena, answer_r, error);
	struct slice question = question_of(request, arena);
	if (!has_option(request, SLICE("cache=no_rd"))) {
		for (const struct cached *cached = cache->buckets[bucket_of(question)]; cached; cached = cached->next) {
			if (slice_equal(cached->question, question)) {
				*answer_r = copy_answer(&cached->answer, arena);
				return EXPAND_OK;
			}
		}
	}
	enum expand_result result = ask(owner, request, arena, answer_r, error);
	if (result == EXPAND_OK)
		keep(cache, question, answer_r);
	return result;
}

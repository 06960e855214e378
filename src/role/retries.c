/* SPDX-License-Identifier: ISC */
#include "role/retries.h"

#include "base/clock.h"
#include "base/fatal.h"

#include <sys/random.h>

enum { BUCKETS = 16384 };

#define HOUR (3600 * CLOCK_SECOND)

struct retry_node {
	struct retry_node *next;
	struct retry_state state;
	size_t key_len;
	char key[];
};

struct retries {
	size_t count;
	uint64_t seed; /* keys are a peer's choice */
	struct retry_node *buckets[BUCKETS];
};

/*
 * Without a section retry: what Debian's Exim configures for all addresses, but nothing is ever given up, because this version
 * cannot tell the sender.
 */
static const struct retry_parameters default_parameters[] = {
	{ .letter = 'F', .cutoff = 2 * HOUR, .interval = HOUR / 4 },
	{ .letter = 'G', .cutoff = 16 * HOUR, .interval = HOUR, .factor = 1500 },
	{ .letter = 'F', .cutoff = 4 * 24 * HOUR, .interval = 6 * HOUR },
};
static const struct retry_rule default_rule = { .parameters = default_parameters, .count = 3 };

struct retries *retries_new(void)
{
	struct retries *retries = xcalloc(1, sizeof *retries);
	ensure(getrandom(&retries->seed, sizeof retries->seed, 0) == sizeof retries->seed);
	return retries;
}

/* The place that points to the key's node, or to NULL at the end of its chain. */
static struct retry_node **find(struct retries *retries, struct slice key)
{
	uint64_t hash = retries->seed;
	for (size_t i = 0; i < key.len; i++)
		hash = (hash ^ (unsigned char)key.data[i]) * 0x9e3779b97f4a7c15 >> 7 | hash << 57;
	struct retry_node **at = &retries->buckets[hash % BUCKETS];
	while (*at && !slice_equal(slice_make((*at)->key, (*at)->key_len), key))
		at = &(*at)->next;
	return at;
}

static void unlink_node(struct retries *retries, struct retry_node **at)
{
	struct retry_node *gone = *at;
	*at = gone->next;
	free(gone);
	retries->count--;
}

static bool is_old(const struct retry_node *node, int64_t now, int64_t expire)
{
	return now - node->state.last_try > expire;
}

bool retries_get(struct retries *retries, struct slice key, int64_t now, int64_t expire, struct retry_state *state_r)
{
	struct retry_node **at = find(retries, key);
	*state_r = (struct retry_state){ 0 };
	if (*at && is_old(*at, now, expire))
		unlink_node(retries, at);
	else if (*at)
		*state_r = (*at)->state;
	return *at != NULL && state_r->last_try;
}

static void sweep(struct retries *retries, int64_t now, int64_t expire)
{
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct retry_node **at = &retries->buckets[i]; *at;) {
			if (is_old(*at, now, expire))
				unlink_node(retries, at);
			else
				at = &(*at)->next;
		}
}

void retries_set(struct retries *retries, struct slice key, const struct retry_state *state, int64_t now, int64_t expire)
{
	struct retry_node **at = find(retries, key);
	if (!*at) {
		if (retries->count >= RETRIES_MAX)
			sweep(retries, now, expire);
		if (retries->count >= RETRIES_MAX)
			return;
		at = find(retries, key); /* the sweep may have moved the end of the chain */
		*at = xcalloc(1, sizeof **at + key.len);
		(*at)->key_len = key.len;
		memcpy((*at)->key, key.data, key.len);
		retries->count++;
	}
	(*at)->state = *state;
}

void retries_forget(struct retries *retries, struct slice key)
{
	struct retry_node **at = find(retries, key);
	if (*at)
		unlink_node(retries, at);
}

/* The rule for a failure; one that cannot be told now is taken as the default. */
static const struct retry_rule *rule_for(const struct retry_case *what)
{
	const struct retry_rule *rule;
	struct error error;
	if (!what->conf->retry ||
	    retry_find(what->conf->retry, &what->failure, what->context, what->arena, &rule, &error) != EXPAND_OK)
		return &default_rule;
	return rule;
}

struct retry_verdict retries_failed(struct retries *retries, const struct retry_case *what)
{
	const struct conf_main *main = &what->conf->main;
	const struct retry_rule *rule = rule_for(what);
	int64_t now = clock_wall_now(), expire = main->retry_data_expire;
	enum retry_kind kind = what->failure.error.kind;
	/* What is the message's own matter counts from its arrival; so does all that may be forgotten by a restart. */
	bool own = kind == RETRY_QUOTA || kind == RETRY_MAIL_4XX || kind == RETRY_DATA_4XX || rule == &default_rule;
	bool old = retry_message_expired(rule, what->received_ns, now);
	struct retry_state state;
	uint64_t random = 0;
	ensure(getrandom(&random, sizeof random, 0) == sizeof random);
	if (!retries_get(retries, what->key, now, expire, &state) || state.last_try < what->started_ns)
		retry_failed(&state, rule, now, own ? what->received_ns : 0, main->retry_interval_max, random);
	struct retry_verdict verdict = { .next_ns = state.next_try,
					 .given_up = rule != &default_rule && (state.expired || old) };
	/* Given up because of the message's age, other messages for the address are tried at once. */
	if (verdict.given_up && old)
		retries_forget(retries, what->key);
	else
		retries_set(retries, what->key, &state, now, expire);
	return verdict;
}

bool retries_must_wait(struct retries *retries, const struct retry_case *what, int64_t *next_r)
{
	int64_t now = clock_wall_now();
	struct retry_state state;
	if (!retries_get(retries, what->key, now, what->conf->main.retry_data_expire, &state) || state.next_try <= now)
		return false;
	const struct retry_rule *rule = rule_for(what);
	*next_r = state.next_try;
	return rule == &default_rule || !retry_message_expired(rule, what->received_ns, now);
}

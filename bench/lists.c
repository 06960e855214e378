/* SPDX-License-Identifier: ISC */
/*
 * What a match costs in a list of 100,000 items: "lists [COUNT]" prints nanoseconds a match, the best of five rounds, for subjects
 * that are in the list and for such that are not. The aim is a microsecond (issue 3, "It must show").
 */
#include "base/clock.h"
#include "base/fatal.h"
#include "match/list.h"

#include <inttypes.h>

enum { COUNT = 100000, PROBES = 4096, PASSES = 50, ROUNDS = 5 };

struct subjects {
	struct list_subject in[PROBES], out[PROBES];
	struct net_address addresses[2 * PROBES];
};

struct bench {
	const char *name;
	enum list_kind kind;
	void (*item)(char *out, size_t size, uint32_t number);
	void (*probe)(struct arena *arena, uint32_t number, bool in, struct list_subject *subject, struct net_address *address);
};

/* Spread over all numbers, each once. */
static uint32_t scatter(uint32_t number)
{
	return number * UINT32_C(2654435761);
}

static struct slice number_name(struct arena *arena, const char *format, uint32_t number)
{
	char text[100];
	snprintf(text, sizeof text, "%08x", scatter(number));
	return arena_printf(arena, "%s%s", format, text);
}

static void domain_item(char *out, size_t size, uint32_t number)
{
	snprintf(out, size, "mail%08x.example.org\n", scatter(number));
}

static void suffix_item(char *out, size_t size, uint32_t number)
{
	snprintf(out, size, "*.d%08x.example\n", scatter(number));
}

static void domain_probe(struct arena *arena, uint32_t number, bool in, struct list_subject *subject, struct net_address *address)
{
	(void)address;
	subject->domain = number_name(arena, in ? "mail" : "post", number);
	subject->domain = arena_printf(arena, "%.*s.example.org", SLICE_ARG(subject->domain));
}

static void suffix_probe(struct arena *arena, uint32_t number, bool in, struct list_subject *subject, struct net_address *address)
{
	(void)address;
	subject->domain = number_name(arena, in ? "www.d" : "www.e", number);
	subject->domain = arena_printf(arena, "%.*s.example", SLICE_ARG(subject->domain));
}

static void network4_item(char *out, size_t size, uint32_t number)
{
	uint32_t bits = scatter(number);
	snprintf(out, size, "%u.%u.%u.%u/%u\n", bits >> 25, bits >> 16 & 255, bits >> 8 & 255, bits & 255, 24 + number % 9);
}

static void network6_item(char *out, size_t size, uint32_t number)
{
	uint32_t bits = scatter(number);
	snprintf(out, size, "2001:%x:%x::/%u\n", bits >> 16, bits & 0xffff, 48 + number % 17);
}

/* What is not in the list has its first bit set, which no item has. */
static void network4_probe(struct arena *arena, uint32_t number, bool in, struct list_subject *subject, struct net_address *address)
{
	uint32_t bits = scatter(number);
	struct slice text = arena_printf(arena, "%u.%u.%u.%u", (bits >> 25) + (in ? 0 : 128), bits >> 16 & 255, bits >> 8 & 255, bits & 255);
	ensure(net_address_parse(text, address));
	subject->host = address;
}

static void network6_probe(struct arena *arena, uint32_t number, bool in, struct list_subject *subject, struct net_address *address)
{
	uint32_t bits = scatter(number);
	struct slice text = arena_printf(arena, "%s:%x:%x::", in ? "2001" : "2002", bits >> 16, bits & 0xffff);
	ensure(net_address_parse(text, address));
	subject->host = address;
}

static void address_item(char *out, size_t size, uint32_t number)
{
	snprintf(out, size, "user%08x@example%u.org\n", scatter(number), number % 1000);
}

static void address_probe(struct arena *arena, uint32_t number, bool in, struct list_subject *subject, struct net_address *address)
{
	(void)address;
	subject->local_part = number_name(arena, in ? "user" : "abuser", number);
	subject->domain = arena_printf(arena, "example%u.org", number % 1000);
}

static const struct bench benches[] = {
	{ "domains", LIST_DOMAIN, domain_item, domain_probe },
	{ "suffixes", LIST_DOMAIN, suffix_item, suffix_probe },
	{ "networks IPv4", LIST_HOST, network4_item, network4_probe },
	{ "networks IPv6", LIST_HOST, network6_item, network6_probe },
	{ "addresses", LIST_ADDRESS, address_item, address_probe },
};

/* An inline list may have a megabyte; larger ones are files, as here. */
static bool read_items(void *owner, struct slice path, struct slice *text_r, struct error *error)
{
	(void)path;
	(void)error;
	*text_r = *(const struct slice *)owner;
	return true;
}

static const struct list *compile(struct arena *arena, const struct bench *bench, uint32_t count)
{
	enum { ITEM_MAX = 64 };
	char *text = arena_alloc(arena, (size_t)count * ITEM_MAX + 1);
	struct slice file = { text, 0 };
	const struct list_scope scope = { .owner = &file, .read_file = read_items };
	const struct list *list;
	struct error error;
	for (uint32_t i = 0; i < count; i++) {
		bench->item(text + file.len, ITEM_MAX, i);
		file.len += strlen(text + file.len);
	}
	if (!list_compile(arena, bench->kind, SLICE("/items"), &scope, &list, &error))
		fatal("%s: %s", bench->name, error.text);
	return list;
}

static double measure(const struct list *list, const struct list_subject *subjects, bool in)
{
	int64_t best = INT64_MAX;
	struct list_match match;
	struct error error;
	for (int round = 0; round < ROUNDS; round++) {
		int64_t start = clock_now();
		for (int pass = 0; pass < PASSES; pass++)
			for (size_t i = 0; i < PROBES; i++)
				ensure(list_match(list, &subjects[i], NULL, NULL, &match, &error) == EXPAND_OK && match.yes == in);
		int64_t time = clock_now() - start;
		best = time < best ? time : best;
	}
	return (double)best / (PASSES * PROBES);
}

int main(int argc, char **argv)
{
	uint64_t count = COUNT;
	if (argc > 1 && (!slice_parse_u64(slice_of(argv[1]), 10000000, &count) || count == 0))
		fatal("usage: lists [COUNT]");
	printf("%-16s %12s %12s %12s\n", "list of", "compile ms", "in, ns", "not in, ns");
	for (size_t b = 0; b < sizeof benches / sizeof *benches; b++) {
		struct arena arena;
		struct subjects *subjects = xcalloc(1, sizeof *subjects);
		arena_init(&arena, 0);
		int64_t start = clock_now();
		const struct list *list = compile(&arena, &benches[b], (uint32_t)count);
		int64_t compiled = clock_now() - start;
		for (uint32_t i = 0; i < PROBES; i++) {
			uint32_t number = (uint32_t)(scatter(i) % count);
			benches[b].probe(&arena, number, true, &subjects->in[i], &subjects->addresses[2 * i]);
			benches[b].probe(&arena, number, false, &subjects->out[i], &subjects->addresses[2 * i + 1]);
		}
		printf("%-16s %12.1f %12.1f %12.1f\n", benches[b].name, (double)compiled / (double)CLOCK_MS,
		       measure(list, subjects->in, true), measure(list, subjects->out, false));
		free(subjects);
		arena_free(&arena);
	}
	return 0;
}

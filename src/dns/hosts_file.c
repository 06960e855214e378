/* SPDX-License-Identifier: ISC */
#include "dns/hosts_file.h"

enum { HOSTS_MAX = 100000 }; /* pairs of an address and a name */

struct host {
	struct net_address address;
	struct slice name;
};

struct dns_hosts {
	struct host *items;
	size_t count;
};

/* The next word of a line, blanks before it taken away. */
static struct slice next_word(struct slice *line)
{
	size_t n = 0;
	*line = slice_trim(*line);
	while (n < line->len && line->data[n] != ' ' && line->data[n] != '\t')
		n++;
	struct slice word = slice_first(*line, n);
	*line = slice_from(*line, n);
	return word;
}

/* Counts the pairs, or fills them in when there is room. */
static size_t read_lines(struct slice text, struct host *items)
{
	size_t count = 0;
	for (struct slice rest = text; rest.len;) {
		struct slice line = slice_cut(&rest, '\n'), word;
		struct net_address address;
		line = slice_first(line, slice_find(line, '#'));
		word = next_word(&line);
		if (!net_address_parse(word, &address))
			continue;
		for (word = next_word(&line); word.len && count < HOSTS_MAX; word = next_word(&line)) {
			if (items)
				items[count] = (struct host){ net_address_unmap(address), word };
			count++;
		}
	}
	return count;
}

struct dns_hosts *dns_hosts_parse(struct slice text, struct arena *arena)
{
	struct dns_hosts *hosts = arena_new(arena, struct dns_hosts);
	struct slice copy = arena_copy(arena, text);
	size_t count = read_lines(copy, NULL);
	hosts->items = arena_array(arena, count ? count : 1, sizeof *hosts->items);
	hosts->count = read_lines(copy, hosts->items);
	return hosts;
}

struct slice dns_hosts_name(const struct dns_hosts *hosts, const struct net_address *address, size_t n)
{
	for (size_t i = 0; i < hosts->count; i++)
		if (net_address_equal(&hosts->items[i].address, address) && n-- == 0)
			return hosts->items[i].name;
	return (struct slice){ 0 };
}

const struct net_address *dns_hosts_address(const struct dns_hosts *hosts, struct slice name, size_t n)
{
	for (size_t i = 0; i < hosts->count; i++)
		if (slice_equal_nocase(hosts->items[i].name, name) && n-- == 0)
			return &hosts->items[i].address;
	return NULL;
}

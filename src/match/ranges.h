/* SPDX-License-Identifier: ISC */
/*
 * Networks of one address family, filled once and then only read: from an address to the lowest number of the items whose
 * network holds it. Networks are nested or disjoint, never half over another, so they cut the addresses into ranges with one
 * answer each: a sorted array of where each range starts, and a binary search.
 *
 * (A hash would need a probe for each prefix length that occurs, since the first item and not the longest prefix counts.)
 */
#ifndef POSTERN_MATCH_RANGES_H
#define POSTERN_MATCH_RANGES_H

#include "base/arena.h"
#include "net/address.h"

struct range_start;

struct ranges {
	const struct range_start *starts; /* ascending; addresses before the first are in no network */
	size_t count;
};

struct range_network {
	struct net_network network;
	uint32_t item;
};

/* Of the given networks takes those of `family`; sorts the array. */
void ranges_build(struct ranges *ranges, struct arena *arena, sa_family_t family, struct range_network *networks, size_t count);
/* The item, or SET_NONE; the address must be of the family that the ranges were built for. */
uint32_t ranges_find(const struct ranges *ranges, const struct net_address *address);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * The text of /etc/hosts (hosts(5)): addresses and their names. It is consulted where a host's address or name is wanted, never
 * for records of the DNS. What is in it is not secure in the sense of DNSSEC.
 */
#ifndef POSTERN_DNS_HOSTS_FILE_H
#define POSTERN_DNS_HOSTS_FILE_H

#include "base/arena.h"
#include "net/address.h"

struct dns;
struct dns_hosts;

/* Lines that cannot be understood are left out. Never NULL. Lives in `arena`, where the texts are copied to. */
struct dns_hosts *dns_hosts_parse(struct slice text, struct arena *arena);
/* The n-th name of the address, from 0, the canonical one first; the empty slice after the last. */
struct slice dns_hosts_name(const struct dns_hosts *hosts, const struct net_address *address, size_t n);
/* The n-th address of the name (any case); NULL after the last. */
const struct net_address *dns_hosts_address(const struct dns_hosts *hosts, struct slice name, size_t n);
/* That of these settings. */
const struct dns_hosts *dns_hosts(const struct dns *dns);

#endif

/* SPDX-License-Identifier: ISC */
/* The configuration that postern init writes. */
#ifndef POSTERN_CLI_INIT_TEXT_H
#define POSTERN_CLI_INIT_TEXT_H

#include "base/buf.h"
#include "net/address.h"

#include <sys/types.h>

enum { INIT_ADDRESSES_MAX = 16 };

/* All texts are checked: they hold nothing that means something in a configuration. */
struct init_plan {
	struct slice directory; /* absolute */
	struct slice domain, host, user;
	struct net_address addresses[INIT_ADDRESSES_MAX];
	size_t address_count; /* 0: all interfaces */
	uint16_t ports[3];    /* SMTP, TLS at once, submission */
	bool root;            /* deliveries need a user: */
	struct slice mail_user;
	uid_t mail_uid;
	gid_t mail_gid;
};

/* False when `out` is full. */
bool init_write_configuration(const struct init_plan *plan, struct buf *out);

#endif

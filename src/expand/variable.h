/* SPDX-License-Identifier: ISC */
/*
 * The variables that expansion strings can name: one table, from which the compiler, the evaluation's taint and the manual
 * come. A variable has one slot; several names may lead to it (today's name and an older one of Exim's).
 */
#ifndef POSTERN_EXPAND_VARIABLE_H
#define POSTERN_EXPAND_VARIABLE_H

#include "base/slice.h"

/* Where a string is expanded; each place has what the ones before it have. */
enum expand_place {
	EXPAND_PLACE_LOAD,       /* while the configuration is read: only what never changes */
	EXPAND_PLACE_CONNECTION, /* a client is connected */
	EXPAND_PLACE_ENVELOPE,   /* a message has a sender, and an address is being checked */
	EXPAND_PLACE_DELIVERY,   /* an address is being routed or delivered */
	EXPAND_PLACES
};

enum expand_type { EXPAND_TYPE_TEXT, EXPAND_TYPE_NUMBER };

/* One slot each; in the order of the table's first names. */
enum expand_variable {
	EXPAND_PRIMARY_HOSTNAME,
	EXPAND_QUALIFY_DOMAIN,
	EXPAND_SPOOL_DIRECTORY,
	EXPAND_VERSION_NUMBER,
	EXPAND_PID,
	EXPAND_TOD_FULL,
	EXPAND_TOD_LOG,
	EXPAND_TOD_ZULU,
	EXPAND_TOD_EPOCH,
	EXPAND_SMTP_ACTIVE_HOSTNAME,
	EXPAND_SENDER_HOST_ADDRESS,
	EXPAND_SENDER_HOST_PORT,
	EXPAND_SENDER_HOST_NAME,
	EXPAND_SENDER_HELO_NAME,
	EXPAND_RECEIVED_IP_ADDRESS,
	EXPAND_RECEIVED_PORT,
	EXPAND_RECEIVED_PROTOCOL,
	EXPAND_TLS_IN_CIPHER,
	EXPAND_TLS_IN_VER,
	EXPAND_TLS_IN_SNI,
	EXPAND_SENDER_ADDRESS,
	EXPAND_SENDER_ADDRESS_LOCAL_PART,
	EXPAND_SENDER_ADDRESS_DOMAIN,
	EXPAND_MESSAGE_EXIM_ID,
	EXPAND_MESSAGE_SIZE,
	EXPAND_RECIPIENTS_COUNT,
	EXPAND_LOCAL_PART,
	EXPAND_LOCAL_PART_DATA,
	EXPAND_DOMAIN,
	EXPAND_DOMAIN_DATA,
	EXPAND_HOME,
	EXPAND_VARIABLES
};

struct expand_variable_info {
	const char *name;
	enum expand_variable variable;
	enum expand_type type;
	enum expand_place place; /* the first in which it can exist */
	bool tainted;            /* a peer chooses it, whatever the callback says */
	const char *help;
	const char *example; /* an expansion string that uses it */
};

/* All names; *count_r is their number. Rows of the same variable stand together, today's name first. */
const struct expand_variable_info *expand_variables(size_t *count_r);
/* NULL when there is none of that name (names are case-sensitive, as in Exim). */
const struct expand_variable_info *expand_variable_find(struct slice name);
/* The row with today's name. */
const struct expand_variable_info *expand_variable_info(enum expand_variable variable);
/* The known name nearest to a mistyped one, or NULL when none is near. */
const char *expand_variable_nearest(struct slice name);
/* "while a client is connected": for messages and the manual. */
const char *expand_place_text(enum expand_place place);

#endif

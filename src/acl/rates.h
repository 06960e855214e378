/* SPDX-License-Identifier: ISC */
/*
 * Rates that were measured already (Exim's manual, chapter 44 §41: the same condition may be tested several times in a session without
 * being counted each time). Each holds for a scope: the connection, the message, or the command. A session keeps ACL_RATES_MAX at most;
 * beyond these a condition is counted each time. For the files of this directory only.
 */
#ifndef POSTERN_ACL_RATES_H
#define POSTERN_ACL_RATES_H

#include "acl/acl.h"

enum acl_scope { ACL_SCOPE_COMMAND, ACL_SCOPE_MESSAGE, ACL_SCOPE_CONNECTION };

/* False: it was not measured in that scope. */
bool acl_rates_find(const struct acl_session *session, enum acl_scope scope, struct slice key, double *rate_r);
void acl_rates_keep(struct acl_session *session, enum acl_scope scope, struct slice key, double rate);
/* Forgets those of this scope and of those within it. */
void acl_rates_forget(struct acl_session *session, enum acl_scope scope);

#endif

/* SPDX-License-Identifier: ISC */
#include "acl/rates.h"

#include "base/fatal.h"

#include <stdlib.h>
#include <string.h>

enum { KEY_MAX = 1024 }; /* longer ones are not kept */

struct acl_rate {
	struct acl_rate *next;
	enum acl_scope scope;
	double rate;
	size_t len;
	char key[];
};

bool acl_rates_find(const struct acl_session *session, enum acl_scope scope, struct slice key, double *rate_r)
{
	for (const struct acl_rate *rate = session->rates; rate; rate = rate->next) {
		if (rate->scope != scope || !slice_equal(slice_make(rate->key, rate->len), key))
			continue;
		*rate_r = rate->rate;
		return true;
	}
	return false;
}

void acl_rates_keep(struct acl_session *session, enum acl_scope scope, struct slice key, double measured)
{
	if (session->rate_count == ACL_RATES_MAX || key.len > KEY_MAX)
		return;
	struct acl_rate *rate = xcalloc(1, sizeof *rate + key.len);
	rate->next = session->rates;
	rate->scope = scope;
	rate->rate = measured;
	rate->len = key.len;
	if (key.len)
		memcpy(rate->key, key.data, key.len);
	session->rates = rate;
	session->rate_count++;
}

void acl_rates_forget(struct acl_session *session, enum acl_scope scope)
{
	for (struct acl_rate **at = &session->rates; *at;) {
		struct acl_rate *rate = *at;
		if (rate->scope > scope) {
			at = &rate->next;
			continue;
		}
		*at = rate->next;
		session->rate_count--;
		free(rate);
	}
}

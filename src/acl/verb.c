/* SPDX-License-Identifier: ISC */
/* The verbs that begin statements (Exim's manual, chapter 44 §20). What each makes of its conditions is run.c's. */
#include "acl/private.h"

static const struct verb {
	const char *name, *help, *example;
} verbs[ACL_VERBS] = {
	[ACL_VERB_ACCEPT] = { "accept",
			      "Accepts when all conditions hold, and ends the ACL. Otherwise the next statement follows; behind `endpass` a condition "
			      "that does not hold denies instead.",
			      "accept hosts = +relay_hosts\n       endpass\n       message = unknown user\n       verify = recipient" },
	[ACL_VERB_DEFER] = { "defer", "Refuses for now when all conditions hold (451, unless `message` begins with another code).",
			     "defer message = 450 4.3.2 please try again later\n      condition = ${if >{$recipients_count}{100}}" },
	[ACL_VERB_DENY] = { "deny", "Refuses when all conditions hold. This is also what an ACL does that comes to its end.",
			    "deny message = no such characters here\n     local_parts = ^.*[@%!/|]" },
	[ACL_VERB_DISCARD] = { "discard",
			       "As `accept`, but the recipient, or the message, is thrown away while the client hears that it was accepted. An error at "
			       "points where there is nothing to throw away.",
			       "discard log_message = thrown away\n        recipients = nobody@+local_domains" },
	[ACL_VERB_DROP] = { "drop", "As `deny`, and the connection is closed after the reply.",
			    "drop message = you have been told\n     hosts = 192.0.2.0/24" },
	[ACL_VERB_REQUIRE] = { "require", "Passes to the next statement when all conditions hold, and refuses otherwise.",
			       "require message = sender cannot be verified\n        verify = sender" },
	[ACL_VERB_WARN] = { "warn",
			    "Never ends the ACL. When all conditions hold, `log_message` is logged, once for a message, and `message` becomes a header line, "
			    "where there is a message. Modifiers do their work as they are reached.",
			    "warn sender_domains = +local_domains\n     !hosts = +relay_hosts\n     log_message = one of our domains, from outside" },
};

const char *acl_verb_text(enum acl_verb verb)
{
	return verbs[verb].name;
}

enum acl_verb acl_verb_find(struct slice name)
{
	enum acl_verb verb = 0;
	while (verb < ACL_VERBS && !slice_equal(slice_of(verbs[verb].name), name))
		verb++;
	return verb;
}

bool acl_verb_info(size_t index, struct acl_word_info *info_r)
{
	if (index >= ACL_VERBS)
		return false;
	*info_r = (struct acl_word_info){ .name = verbs[index].name, .points = ACL_EVERYWHERE, .help = verbs[index].help,
					  .example = verbs[index].example };
	return true;
}

/* SPDX-License-Identifier: ISC */
/*
 * Address patterns of rewrite and retry rules: one item of an address list (Exim's manual, chapters 10 §20, 31 §5 and 32 §2),
 * expanded when the configuration is loaded, and the parts of the address that it matched: $0 is the whole address; of a regular
 * expression $1, $2, ... are its groups, otherwise what the asterisks at the start of local part and domain stand for.
 *
 * A pattern lies in the arena that compiled it, and is immutable.
 */
#ifndef POSTERN_ROUTE_PATTERN_H
#define POSTERN_ROUTE_PATTERN_H

#include "expand/expand.h"
#include "match/list.h"

struct address_pattern;

/* What patterns may refer to. Lives as long as the patterns. */
struct pattern_scope {
	const struct list_scope *lists;
	const struct expand_language *language; /* for regular expressions; NULL: they are errors */
};

enum pattern_case { PATTERN_CASELESS, PATTERN_CASEFUL }; /* of local parts; domains are always caseless */

bool pattern_compile(struct arena *arena, struct slice text, enum pattern_case local_parts, const struct pattern_scope *scope,
		     const struct address_pattern **pattern_r, struct error *error);
/* A whole address list, as in senders=. */
bool pattern_compile_list(struct arena *arena, struct slice text, const struct pattern_scope *scope,
			  const struct address_pattern **pattern_r, struct error *error);
bool pattern_is_regex(const struct address_pattern *pattern);

struct pattern_subject {
	struct slice local_part, domain; /* both empty: the null sender */
	struct slice whole;              /* what a regular expression is matched against, and $0 */
	bool tainted;
};

/* EXPAND_OK with *yes_r; `numbers` (EXPAND_NUMBERS of them) is filled when it matched, and may be NULL. */
enum expand_result pattern_match(const struct address_pattern *pattern, const struct pattern_subject *subject,
				 const struct expand_context *context, struct arena *arena, bool *yes_r,
				 struct expand_value *numbers, struct error *error);

#endif

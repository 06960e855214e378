/* SPDX-License-Identifier: ISC */
/*
 * What expansions of a command ask: lookups, files, the DNS and commands, answered in this process; and the configuration's named
 * lists. The DNS and the databases are opened at the first question.
 */
#ifndef POSTERN_CLI_EXPAND_WORLD_H
#define POSTERN_CLI_EXPAND_WORLD_H

#include "conf/conf.h"
#include "limit/ask.h"
#include "lookup/lookup.h"

struct dns;
struct loop;

struct expand_world {
	struct loop *loop;
	const struct conf *conf;
	struct arena arena;
	struct dns *dns;
	struct lookup_command_settings commands;
	struct lookup_world *lookups; /* NULL before the first question */
	struct limit_table *limits;   /* of this process; NULL before the first question */
	struct lookup_cache *cache;   /* of the expression that is evaluated */
	struct conf_source *source;   /* borrowed: reads files that lists name */
	struct list_scope scope;
	struct expand_language language;
};

/* `source` is that of the configuration. */
void expand_world_open(struct expand_world *world, struct loop *loop, const struct conf *conf, struct conf_source *source);
void expand_world_close(struct expand_world *world);
/* Answers given from now on are kept in `arena`: the same question is asked once while it lives. */
void expand_world_begin(struct expand_world *world, struct arena *arena);
enum expand_result expand_world_ask(struct expand_world *world, const struct expand_request *request, struct arena *arena,
				    struct expand_answer *answer_r, struct error *error);

#endif

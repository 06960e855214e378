/* SPDX-License-Identifier: ISC */
#include "cli/resolve.h"

#include "task/task.h"

struct asking {
	const struct dns_settings *settings;
	struct resolve_question *questions;
	size_t count, next, left;
	int64_t deadline;
	struct arena *arena;
	struct error *error;
	struct loop *loop;
	struct dns *dns;
};

void resolve_settings(const struct conf *conf, struct arena *arena, struct dns_settings *settings_r)
{
	*settings_r = (struct dns_settings){ .dnssec = true };
	if (conf)
		*settings_r = (struct dns_settings){
			.config_text = conf->main.dns_config_text,
			.dnssec = conf->main.dns_dnssec_ok != 0,
			.retransmit = conf->main.dns_retrans,
			.retries = (unsigned)conf->main.dns_retry,
		};
	dns_settings_read(settings_r, arena);
}

/* One task a question; they share the arena, for only one runs at a time. */
static void ask_one(void *arg)
{
	struct asking *asking = arg;
	struct resolve_question *question = &asking->questions[asking->next++];
	dns_query(asking->dns, question->name, question->type, asking->deadline, asking->arena, &question->answer);
	if (--asking->left == 0)
		dns_close(&asking->dns);
}

static void ask_all(void *arg)
{
	struct asking *asking = arg;
	asking->dns = dns_open(asking->loop, asking->settings, asking->error);
	for (size_t i = 0; asking->dns && i < asking->count; i++)
		task_spawn(asking->loop, ask_one, asking, "question");
}

bool resolve_ask(const struct dns_settings *settings, struct resolve_question *questions, size_t count, int64_t deadline,
		 struct arena *arena, struct error *error)
{
	struct asking asking = {
		.settings = settings, .questions = questions, .count = count, .left = count, .deadline = deadline, .arena = arena,
		.error = error, .loop = loop_new(),
	};
	if (count)
		task_spawn(asking.loop, ask_all, &asking, "questions");
	loop_run(asking.loop);
	loop_free(asking.loop);
	return asking.next == count;
}

/* SPDX-License-Identifier: ISC */
/*
 * For the tests: asks questions with the settings given, and prints what came. Not installed.
 *   dns_probe [-c CONFIG] [-r RESOLV_CONF] [-a ANCHORS] [-t RETRANSMIT_MS] [-n RETRIES] [-w WAIT_MS] [-p] [-u] NAME TYPE...
 * -p: all questions at once, instead of one after the other. -u: without DNSSEC. Prints a line a question: outcome, security,
 * ttl, canonical name, reason, milliseconds, each record's fields.
 */
#include "base/cleanup.h"
#include "base/fatal.h"
#include "dns/dns.h"
#include "dns/name.h"
#include "task/task.h"

#include <unistd.h>

struct probe {
	struct dns_settings settings;
	struct loop *loop;
	struct dns *dns;
	char **questions;
	int count, left;
	int64_t wait;
	bool at_once, refused;
};

struct question {
	struct probe *probe;
	const char *name, *type;
};

static struct slice read_text(const char *path)
{
	static char texts[4][1 << 20];
	static int used;
	_cleanup_file_ FILE *file = fopen(path, "re");
	if (!file || used == 4)
		fatal("cannot read %s", path);
	char *text = texts[used++];
	return slice_make(text, fread(text, 1, 1 << 20, file));
}

static void ask(struct probe *probe, const char *name, const char *type)
{
	static const char *const outcomes[] = { "found", "no-data", "no-name", "temporary", "bogus" };
	struct arena arena;
	struct dns_answer answer;
	arena_init(&arena, 0);
	int64_t start = clock_now();
	dns_query(probe->dns, slice_of(name), dns_type_find(slice_of(type)), clock_after(probe->wait), &arena, &answer);
	printf("%s\t%s\t%lld\t%.*s\t%.*s\t%lld", outcomes[answer.outcome], answer.security == DNS_SECURE ? "secure" : "insecure",
	       (long long)answer.ttl, SLICE_ARG(answer.canonical), SLICE_ARG(answer.why), (long long)((clock_now() - start) / CLOCK_MS));
	for (size_t i = 0; i < answer.count; i++) {
		struct dns_fields fields = { 0 };
		if (!dns_fields_parse(dns_type_find(slice_of(type)), answer.records[i].data, &arena, &fields))
			printf("\tmalformed");
		for (size_t n = 0; n < fields.count; n++)
			printf("%s%.*s", n ? "|" : "\t", SLICE_ARG(fields.items[n]));
	}
	printf("\n");
	arena_free(&arena);
}

static void question_task(void *arg)
{
	struct question *question = arg;
	ask(question->probe, question->name, question->type);
	if (--question->probe->left == 0)
		dns_close(&question->probe->dns);
	free(question);
}

static void probe_task(void *arg)
{
	struct probe *probe = arg;
	struct error error;
	probe->dns = dns_open(probe->loop, &probe->settings, &error);
	if (!probe->dns) {
		printf("refused\t%s\n", error.text);
		probe->refused = true;
		return;
	}
	probe->left = probe->count / 2;
	for (int i = 0; i + 1 < probe->count; i += 2) {
		struct question *question = xcalloc(1, sizeof *question);
		*question = (struct question){ probe, probe->questions[i], probe->questions[i + 1] };
		struct task *task = task_spawn(probe->loop, question_task, question, "question");
		task_hold(task);
		if (!probe->at_once)
			task_join(task, CLOCK_NEVER);
		task_release(task);
	}
}

int main(int argc, char **argv)
{
	struct probe probe = { .loop = loop_new(), .wait = 20 * CLOCK_SECOND, .settings.dnssec = true };
	uint64_t number;
	for (int option; (option = getopt(argc, argv, "c:r:a:h:t:n:w:pu")) != -1;) {
		if (strchr("tnw", option) && !slice_parse_u64(slice_of(optarg), 1000000, &number))
			return 2;
		switch (option) {
		case 'c': probe.settings.config_text = read_text(optarg); break;
		case 'r': probe.settings.resolv_conf = read_text(optarg); break;
		case 'a': probe.settings.root_anchor = read_text(optarg); break;
		case 'h': probe.settings.hosts = read_text(optarg); break;
		case 't': probe.settings.retransmit = (int64_t)number * CLOCK_MS; break;
		case 'n': probe.settings.retries = (unsigned)number; break;
		case 'w': probe.wait = (int64_t)number * CLOCK_MS; break;
		case 'p': probe.at_once = true; break;
		case 'u': probe.settings.dnssec = false; break;
		default: return 2;
		}
	}
	probe.questions = argv + optind;
	probe.count = argc - optind;
	task_spawn(probe.loop, probe_task, &probe, "probe");
	loop_run(probe.loop);
	loop_free(probe.loop);
	return probe.refused ? 1 : 0;
}

/* SPDX-License-Identifier: ISC */
/*
 * For the tests: asks lookups with the DNS settings given, one after the other, and prints what came. Not installed.
 *   lookup_probe [-s SERVICE] [-m AGAIN_MEANS_NONEXIST] [-4 IPV4_LOOKUP] CONFIG [TYPE QUERY]...
 * In a query, what stands between "[[" and "]]" is a value in which a peer had a hand. SERVICE: names or addresses, QUERY is
 * then their key.
 * Prints a line a question: result, found, secure, number, name, and the text (with NUL as "\0", newline as "\n") or the error.
 */
#include "base/cleanup.h"
#include "base/fatal.h"
#include "dns/dns.h"
#include "lookup/lookup.h"
#include "match/list.h"
#include "task/task.h"

#include <unistd.h>

enum { PIECES_MAX = 16 };

struct probe {
	struct loop *loop;
	struct arena arena;
	struct dns *dns;
	struct lookup_world *world;
	struct lookup_settings settings;
	enum expand_service service;
	const char *config;
	char **questions;
	int count;
	int status;
};

static size_t split(struct slice query, struct expand_piece *pieces)
{
	size_t count = 0;
	while (query.len && count < PIECES_MAX) {
		bool value = slice_starts(query, SLICE("[["));
		const char *end = memmem(query.data + 1, query.len - 1, value ? "]]" : "[[", 2);
		size_t len = end ? (size_t)(end - query.data) : query.len;
		pieces[count++] = (struct expand_piece){ slice_from(slice_first(query, len), value ? 2 : 0), value, value };
		query = slice_from(query, len + (value ? 2 : 0));
	}
	return count;
}

static void print_text(struct slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char byte = (unsigned char)text.data[i];
		if (byte == '\0' || byte == '\n' || byte == '\t')
			printf("\\%c", byte == '\0' ? '0' : byte == '\n' ? 'n' : 't');
		else
			putchar(byte);
	}
}

static void ask(struct probe *probe, const char *type, const char *query)
{
	static const char *const results[] = { "ok", "forced", "fail", "defer" };
	struct expand_piece pieces[PIECES_MAX];
	struct expand_answer answer = { 0 };
	struct error error = { 0 };
	struct expand_request request = {
		.service = probe->service, .type = slice_of(type), .key = slice_of(query), .deadline = clock_after(20 * CLOCK_SECOND),
	};
	if (strstr(query, "[[")) {
		request.pieces = pieces;
		request.piece_count = split(slice_of(query), pieces);
	}
	enum expand_result result = lookup_ask(probe->world, &request, &probe->arena, &answer, &error);
	printf("%s\t%s\t%s\t%lld\t%.*s\t", results[result], answer.found ? "found" : "not", answer.secure ? "secure" : "insecure",
	       (long long)answer.number, SLICE_ARG(answer.name));
	print_text(result == EXPAND_OK ? answer.text : slice_of(error.text));
	printf("\n");
}

static void probe_task(void *arg)
{
	struct probe *probe = arg;
	static char text[1 << 20];
	_cleanup_file_ FILE *file = fopen(probe->config, "re");
	struct error error;
	if (!file)
		fatal("cannot read %s", probe->config);
	struct dns_settings settings = { .config_text = slice_make(text, fread(text, 1, sizeof text, file)), .dnssec = true,
					 .hosts = SLICE("127.0.0.77 hosts-file.example other-name.example\n") };
	probe->dns = dns_open(probe->loop, &settings, &error);
	probe->settings.dns = probe->dns;
	probe->world = probe->dns ? lookup_open(probe->loop, &probe->settings, &error) : NULL;
	if (!probe->world)
		fatal("%s", error.text);
	for (int i = 0; i + 1 < probe->count; i += 2)
		ask(probe, probe->questions[i], probe->questions[i + 1]);
	lookup_close(&probe->world);
	dns_close(&probe->dns);
}

static const struct list *compile(struct probe *probe, const char *text)
{
	static const struct list_scope scope;
	const struct list *list = NULL;
	struct error error;
	if (!list_compile(&probe->arena, LIST_DOMAIN, slice_of(text), &scope, &list, &error))
		fatal("%s", error.text);
	return list;
}

int main(int argc, char **argv)
{
	struct probe probe = { .loop = loop_new(), .service = EXPAND_SERVICE_LOOKUP };
	arena_init(&probe.arena, 0);
	for (int option; (option = getopt(argc, argv, "s:m:4:")) != -1;) {
		switch (option) {
		case 's':
			probe.service = *optarg == 'n' ? EXPAND_SERVICE_HOST_NAMES : EXPAND_SERVICE_HOST_ADDRESSES;
			break;
		case 'm': probe.settings.dns_again_means_nonexist = compile(&probe, optarg); break;
		case '4': probe.settings.dns_ipv4_lookup = compile(&probe, optarg); break;
		default: return 2;
		}
	}
	if (optind >= argc)
		return 2;
	probe.config = argv[optind];
	probe.questions = argv + optind + 1;
	probe.count = argc - optind - 1;
	task_spawn(probe.loop, probe_task, &probe, "probe");
	loop_run(probe.loop);
	loop_free(probe.loop);
	arena_free(&probe.arena);
	return 0;
}

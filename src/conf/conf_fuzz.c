/* SPDX-License-Identifier: ISC */
/*
 * Any bytes as a configuration, and as a sealed source. The text is split at bytes 1: the first part is the configuration,
 * the others are files called /1, /2 and so on. What parses once must parse again from its sealed form, to the same values.
 */
#include "conf/conf.h"
#include "conf/fake_system.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct files {
	struct slice text[9];
	size_t count;
};

static bool ask(void *context, enum conf_fact_kind kind, struct slice name, struct arena *arena, struct slice *value_r,
		struct error *error)
{
	static const struct fake_fact facts[] = {
		{ CONF_FACT_HOSTNAME, "", "host.example.net" }, { CONF_FACT_ROOT, "", "1" },
		{ CONF_FACT_ADDRESSES, "", "127.0.0.1 ::1" }, { CONF_FACT_SERVICE, "odd", "2500" },
		{ CONF_FACT_USER, "vmail", "500 501 /x" }, { CONF_FACT_GROUP, "mail", "8" },
	};
	const struct files *files = context;
	struct fake_machine machine = { facts, sizeof facts / sizeof *facts, 0 };
	if (kind == CONF_FACT_FILE && name.len == 2 && name.data[0] == '/' && name.data[1] > '0' &&
	    (size_t)(name.data[1] - '0') < files->count) {
		*value_r = arena_copy(arena, files->text[name.data[1] - '0']);
		return true;
	}
	return fake_ask(&machine, kind, name, arena, value_r, error);
}

static void print(const struct conf *conf, struct buf *out)
{
	struct error error;
	static const char *const names[] = { "all", "routers", "transports", "router_list" };
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (!conf_print(conf, slice_of(names[i]), (struct slice){ 0 }, true, out, &error))
			abort();
}

static void parse_again(struct slice sealed, struct slice printed)
{
	struct error error;
	struct conf_problems problems;
	struct buf out;
	struct conf_source *source = conf_source_decode(sealed, &error);
	if (!source)
		abort();
	conf_problems_init(&problems);
	buf_init(&out, 64 << 20);
	struct conf *conf = conf_parse(source, &problems);
	conf_source_free(source);
	if (!conf)
		abort();
	print(conf, &out);
	if (!slice_equal(buf_slice(&out), printed))
		abort();
	conf_unref(&conf);
	conf_problems_free(&problems);
	buf_free(&out);
}

static void parse_source(struct conf_source *source, struct conf_problems *problems)
{
	struct buf out, sealed;
	struct conf *conf = conf_parse(source, problems);
	buf_init(&out, 64 << 20);
	buf_init(&sealed, 64 << 20);
	for (size_t i = 0; i < problems->count; i++)
		conf_problem_format(&problems->items[i], &out);
	buf_consume(&out, buf_len(&out));
	if (conf) {
		print(conf, &out);
		if (!conf_source_encode(source, &sealed))
			abort();
		parse_again(buf_slice(&sealed), buf_slice(&out));
	}
	conf_unref(&conf);
	buf_free(&out);
	buf_free(&sealed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = slice_make(data, size);
	struct files files = { 0 };
	struct conf_system system = { ask, &files };
	struct conf_problems problems;
	struct error error;
	struct conf_source *source;
	if (size > 65536)
		return 0;
	conf_problems_init(&problems);
	if (slice_starts(text, SLICE("PCF1"))) {
		source = conf_source_decode(text, &error);
	} else {
		for (struct slice rest = text; files.count < 9; files.count++)
			files.text[files.count] = slice_cut(&rest, 1);
		source = conf_source_from_text(files.text[0], "conf", NULL, 0, &system, &problems);
	}
	if (source)
		parse_source(source, &problems);
	conf_source_free(source);
	conf_problems_free(&problems);
	return 0;
}

/* SPDX-License-Identifier: ISC */
/* The parts of postern expand: lines of input, the order of a trace, messages, the environment. */
#include "base/test.h"
#include "conf/environment.h"
#include "cli/expand_command.h"
#include "cli/expand_trace.h"

#include <unistd.h>

static void expect_line(struct expand_input *input, struct conf_source *source, const char *text)
{
	struct slice line;
	struct error error;
	assert_int_equal(expand_input_next(input, source, &line, &error), EXPAND_INPUT_LINE);
	assert_slice(line, text);
}

static void lines_are_joined_and_macros_replaced(void **state)
{
	static char text[] = "one  \n  two\\\n   three\\\n\n\nNAME = value\n<NAME>\nNAME = again\nlast\\";
	FILE *stream = fmemopen(text, sizeof text - 1, "r");
	struct conf_source *source = conf_source_new(NULL);
	struct expand_input input;
	struct slice line;
	struct error error;
	(void)state;
	expand_input_init(&input, stream, false);
	expect_line(&input, source, "one");
	expect_line(&input, source, "  twothree");
	expect_line(&input, source, "");
	expect_line(&input, source, "<value>");
	assert_int_equal(expand_input_next(&input, source, &line, &error), EXPAND_INPUT_ERROR); /* defined twice */
	assert_non_null(strstr(error.text, "NAME"));
	expect_line(&input, source, "last");
	assert_int_equal(expand_input_next(&input, source, &line, &error), EXPAND_INPUT_END);
	expand_input_free(&input);
	conf_source_free(source);
	fclose(stream);
}

static void a_trace_is_put_in_the_order_of_its_tree(void **state)
{
	static const struct { const char *source; unsigned depth; } reported[] = {
		{ "a", 3 }, { "b", 2 }, { "c", 2 }, { "root", 1 }, { "d", 2 }, { "second", 1 },
	};
	static const char *const wanted[] = { "root", "b", "a", "c", "second", "d" };
	struct expand_trace_tree tree;
	struct expand_trace trace;
	struct arena arena;
	(void)state;
	arena_init(&arena, 0);
	expand_trace_begin(&tree, &arena, &trace);
	for (size_t i = 0; i < 6; i++)
		trace.step(trace.owner, reported[i].depth, slice_of(reported[i].source), EXPAND_OK, (struct expand_value){ SLICE("v"), false });
	expand_trace_end(&tree);
	assert_int_equal(tree.count, 6);
	assert_int_equal(tree.top, 1);
	for (size_t i = 0; i < 6; i++)
		assert_slice(tree.steps[i].source, wanted[i]);
	for (size_t i = 0; i < EXPAND_TRACE_STEPS; i++)
		trace.step(trace.owner, 1, SLICE("x"), EXPAND_OK, (struct expand_value){ SLICE(""), false });
	assert_int_equal(tree.count, EXPAND_TRACE_STEPS);
	assert_int_equal(tree.left_out, 6);
	arena_free(&arena);
}

static void variables_of_the_environment_are_kept_by_name_start_or_end(void **state)
{
	static const struct slice items[] = { { "TZ", 2 }, { "POSTERN_*", 9 }, { "*_PATH", 6 } };
	const struct conf_main conf = { .keep_environment = { items, 3 } };
	(void)state;
	assert_true(environment_keeps(&conf, SLICE("TZ")));
	assert_true(environment_keeps(&conf, SLICE("POSTERN_X")));
	assert_true(environment_keeps(&conf, SLICE("MY_PATH")));
	assert_false(environment_keeps(&conf, SLICE("TZX")));
	assert_false(environment_keeps(&conf, SLICE("XTZ")));
	assert_false(environment_keeps(&conf, SLICE("PATH")));
	assert_false(environment_keeps(&(struct conf_main){ 0 }, SLICE("TZ")));
}

static struct slice value_of(struct expand_session *session, const char *name)
{
	return expand_session_variable(session, expand_variable_find(slice_of(name))->variable).text;
}

static void a_message_gives_headers_and_body(void **state)
{
	static const char text[] = "Subject: one\r\n two\r\nReply-To: r@x.test\r\nno header line\nbody\n";
	char path[] = "/tmp/postern-expand-test-XXXXXX";
	int fd = mkstemp(path);
	struct conf conf = { .config_file = SLICE("/x/y.conf"),
			     .main = { .primary_hostname = SLICE("mx.test"), .qualify_domain = SLICE("x.test"), .message_body_visible = 10 } };
	struct expand_session session;
	struct error error;
	(void)state;
	assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
	close(fd);
	expand_session_init(&session, &conf);
	assert_true(expand_session_message(&session, path, &error));
	assert_slice(session.message.headers, "Subject: one\n two\nReply-To: r@x.test\n");
	assert_slice(value_of(&session, "message_body"), "no header ");
	assert_slice(value_of(&session, "message_body_end"), "line body ");
	assert_slice(value_of(&session, "body_linecount"), "2");
	assert_slice(value_of(&session, "reply_address"), "r@x.test");
	assert_slice(value_of(&session, "config_dir"), "/x");
	assert_false(expand_session_message(&session, "/nonexistent", &error));
	expand_session_free(&session);
	remove(path);
}

static void hosts_have_an_address_and_maybe_a_port(void **state)
{
	static const struct { const char *text, *address, *port; } rows[] = {
		{ "192.0.2.1", "192.0.2.1", "0" }, { "192.0.2.1.25", "192.0.2.1", "25" }, { "[192.0.2.1]:99", "192.0.2.1", "99" },
		{ "2001:db8::1", "2001:db8::1", "0" }, { "[2001:db8::1]:25", "2001:db8::1", "25" },
		{ "192.0.2.1.99999", NULL, NULL }, { "host", NULL, NULL }, { "", NULL, NULL }, { "[", NULL, NULL },
	};
	struct conf conf = { .main = { .primary_hostname = SLICE("mx.test"), .qualify_domain = SLICE("x.test") } };
	struct expand_session session;
	struct error error;
	(void)state;
	expand_session_init(&session, &conf);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		bool good = expand_session_host(&session, "sender_host_address", "sender_host_port", slice_of(rows[i].text), &error);
		assert_int_equal(good, rows[i].address != NULL);
		if (!good)
			continue;
		assert_slice(value_of(&session, "sender_host_address"), rows[i].address);
		assert_slice(value_of(&session, "sender_host_port"), rows[i].port);
	}
	expand_session_free(&session);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_joined_and_macros_replaced),
		cmocka_unit_test(a_trace_is_put_in_the_order_of_its_tree),
		cmocka_unit_test(variables_of_the_environment_are_kept_by_name_start_or_end),
		cmocka_unit_test(a_message_gives_headers_and_body),
		cmocka_unit_test(hosts_have_an_address_and_maybe_a_port),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: ISC */
/* The rules of Exim's manual, chapter 6: lines, macros, inclusions, conditions; and the way of the text to the roles. */
#include "base/test.h"
#include "conf/fake_system.h"
#include "conf/macro.h"
#include "conf/system.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

struct fixture {
	struct conf_problems problems;
	struct conf_source *source;
	struct fake_machine machine;
	struct conf_system system;
};

static void read_with(struct fixture *f, const char *text, const struct fake_fact *facts, size_t count,
		      const struct conf_macro *macros, size_t macro_count)
{
	*f = (struct fixture){ .machine = { facts, count, 0 } };
	f->system = (struct conf_system){ fake_ask, &f->machine };
	conf_problems_init(&f->problems);
	f->source = conf_source_from_text(slice_of(text), "/etc/conf", macros, macro_count, &f->system, &f->problems);
}

static void read_text(struct fixture *f, const char *text)
{
	read_with(f, text, NULL, 0, NULL, 0);
}

static void done(struct fixture *f)
{
	conf_source_free(f->source);
	conf_problems_free(&f->problems);
}

/* All logical lines, each ended by "|". */
static void expect_lines(struct fixture *f, const char *want)
{
	char got[2000] = "";
	size_t at = 0;
	for (size_t i = 0; i < f->source->line_count; i++)
		at += (size_t)snprintf(got + at, sizeof got - at, "%.*s|", SLICE_ARG(f->source->lines[i].text));
	if (f->problems.count)
		fail_msg("unexpected problem: %.*s", SLICE_ARG(f->problems.items[0].text));
	assert_string_equal(got, want);
}

static void expect_lines_of(const char *text, const char *want)
{
	struct fixture f;
	read_text(&f, text);
	expect_lines(&f, want);
	done(&f);
}

static void expect_error_of(const char *text, uint32_t line, const char *part)
{
	struct fixture f;
	read_text(&f, text);
	assert_true(f.problems.errors > 0);
	assert_int_equal(f.problems.items[0].place.line, line);
	assert_non_null(strstr(f.problems.items[0].text.data, part));
	done(&f);
}

static void comments_and_white_space_around_lines_are_ignored(void **state)
{
	(void)state;
	expect_lines_of("# one\n   \t# two\n\n  a = b # c \t\r\n", "a = b # c|");
	expect_lines_of("\xef\xbb\xbf" "a = b", "a = b|");
	expect_lines_of("", "");
}

static void a_backslash_continues_and_leading_space_of_the_next_line_goes(void **state)
{
	(void)state;
	expect_lines_of("a = b \\  \n   c\\\n\td\ne = f\n", "a = b cd|e = f|");
	expect_lines_of("a = b\\", "a = b|");
}

static void comments_may_stand_within_a_continuation_but_empty_lines_end_it(void **state)
{
	(void)state;
	expect_lines_of("a = uucp:\\\n  # ignored \\\n  mail\n", "a = uucp:mail|");
	expect_lines_of("a = b\\\n\nc = d\n", "a = b|c = d|");
}

static void macros_are_replaced_in_all_later_lines_in_order_of_definition(void **state)
{
	(void)state;
	expect_lines_of("x = ONE\nONE = TWO\nTWO = 2\na = ONE\nb = xONEx\n", "x = ONE|a = 2|b = x2x|");
	expect_lines_of("TWO = 2\nONE = TWO ONEs\na = ONE\n", "a = 2 ONEs|"); /* not scanned again for itself */
}

static void a_macro_takes_its_continuation_lines_and_may_be_empty(void **state)
{
	(void)state;
	expect_lines_of("QUERY = select \\\n   x\na = QUERY;\nNONE =\nNONE\nb = NONE.\n", "a = select x;|b = .|");
}

static void a_macro_may_make_a_comment_or_an_inclusion(void **state)
{
	(void)state;
	static const struct fake_fact facts[] = { { CONF_FACT_FILE, "/etc/more", "inner = 1\n" } };
	struct fixture f;
	expect_lines_of("OFF = #\nOFF a = b\nc = d\n", "c = d|");
	read_with(&f, "INC = .include /etc/more\nINC\n", facts, 1, NULL, 0);
	expect_lines(&f, "inner = 1|");
	done(&f);
}

static void two_equals_signs_define_again_and_may_use_the_old_value(void **state)
{
	(void)state;
	expect_lines_of("MAC = one\nMAC == MAC two\na = MAC\n", "a = one two|");
	expect_error_of("A = 1\nA = 2\n", 2, "already defined");
	expect_error_of("A == 1\n", 1, "not defined yet");
}

static void a_name_that_contains_an_earlier_macro_is_an_error(void **state)
{
	(void)state;
	expect_error_of("ABCD = x\nABCD_XYZ = y\n", 2, "contains that of macro ABCD");
	expect_lines_of("ABCD_XYZ = y\nABCD = x\na = ABCD_XYZ ABCD\n", "a = y x|");
}

static void macros_of_the_command_line_win_over_the_file(void **state)
{
	(void)state;
	struct fixture f;
	struct conf_macro macro;
	struct error error;
	assert_true(conf_macro_parse(SLICE("MAC=outer"), &macro, &error));
	read_with(&f, "MAC = inner\nMAC == again\na = MAC\n", NULL, 0, &macro, 1);
	expect_lines(&f, "a = outer|");
	done(&f);
	assert_true(conf_macro_parse(SLICE("MAC"), &macro, &error));
	assert_int_equal(macro.value.len, 0);
	assert_false(conf_macro_parse(SLICE("mac=1"), &macro, &error));
	assert_false(conf_macro_parse(SLICE("M-C=1"), &macro, &error));
}

static void macros_are_defined_between_drivers_not_within_one(void **state)
{
	(void)state;
	expect_lines_of("begin routers\nM = x\nr:\na = M\nN = y\ns:\nb = N\n", "begin routers|r:|a = x|s:|b = y|");
	expect_error_of("begin routers\nr:\na = b\nM = x\nc = M\n", 5, "macro was defined before this line within a driver");
	expect_lines_of("begin retry\nM = x\n", "begin retry|M = x|");
}

static void macro_growth_is_bounded(void **state)
{
	(void)state;
	struct buf text;
	buf_init(&text, 1 << 20);
	buf_append(&text, SLICE("AZ = 1234567890\n"));
	for (char c = 'B'; c < 'J'; c++)
		buf_printf(&text, "%cZ = %cZ %cZ %cZ %cZ %cZ %cZ %cZ %cZ\n", c, c - 1, c - 1, c - 1, c - 1, c - 1, c - 1,
			   c - 1, c - 1);
	buf_append(&text, SLICE("a = IZ\n"));
	buf_append_byte(&text, '\0');
	struct fixture f;
	read_text(&f, text.data);
	assert_true(f.problems.errors > 0);
	assert_non_null(strstr(f.problems.items[0].text.data, "longer than"));
	done(&f);
	buf_free(&text);
}

static void conditions_choose_the_first_true_branch(void **state)
{
	(void)state;
	static const char text[] =
		".ifdef AAA\na = 1\n.elifdef BBB\na = 2\n.elifndef CCC\na = 3\n.else now\na = 4\n.endif AAA\n";
	struct conf_macro macros[] = { { SLICE("BBB"), SLICE(""), true }, { SLICE("CCC"), SLICE(""), true } };
	struct fixture f;
	expect_lines_of(text, "a = 3|");
	read_with(&f, text, NULL, 0, macros, 2);
	expect_lines(&f, "a = 2|");
	done(&f);
	read_with(&f, text, NULL, 0, macros + 1, 1);
	expect_lines(&f, "a = 4|");
	done(&f);
}

static void conditions_nest_and_name_several_macros(void **state)
{
	(void)state;
	expect_lines_of("A = 1\n.ifdef B\n.ifdef A\na = 1\n.else\na = 2\n.endif\n.else\n.ifdef X A\na = 3\n.endif\n.endif\n",
			"a = 3|");
	expect_lines_of(".ifndef A\nB = 1\n.endif\n.ifdef B\na = b\n.endif\n", "a = b|");
	expect_lines_of("a = x\\\n.ifdef Q\ny\\\n.endif\nz\n", "a = xz|");
}

static void builtin_macros_tell_what_this_version_has(void **state)
{
	(void)state;
	expect_lines_of(".ifdef _OPT_MAIN_MESSAGE_SIZE_LIMIT\na = 1\n.endif\n.ifdef _OPT_MAIN_NO_SUCH\nb = 1\n.endif\n",
			"a = 1|");
	expect_lines_of(".ifdef _DRIVER_ROUTER_ACCEPT\na = 1\n.endif\n.ifndef _DRIVER_TRANSPORT_PIPE\nb = 1\n.endif\n",
			"a = 1|b = 1|");
}

static void unbalanced_conditions_are_errors(void **state)
{
	(void)state;
	expect_error_of("\n.ifdef A\nx = 1\n", 2, "no .endif");
	expect_error_of(".endif\n", 1, "without .ifdef");
	expect_error_of(".ifdef A\n.else\n.else\n.endif\n", 3, "after .else");
}

static void files_are_included_in_place(void **state)
{
	(void)state;
	static const struct fake_fact facts[] = {
		{ CONF_FACT_FILE, "/etc/more", "b = 2\n.include sub/part\n" },
		{ CONF_FACT_FILE, "/etc/sub/part", "M = c\nc = 3" },
		{ CONF_FACT_FILE, "/some/file", "d.e.f" },
	};
	struct fixture f;
	read_with(&f,
		  "a = 1\n.include \"/etc/more\"\nM = 4\nhosts = a.b.c \\\n   .include /some/file\n.include_if_exists "
		  "/none\n",
		  facts, 3, NULL, 0);
	assert_int_equal(f.problems.errors, 1); /* M is defined already, in the included file */
	assert_int_equal(f.problems.items[0].place.line, 3);
	done(&f);
	read_with(&f, "a = 1\n.include /etc/more\nM=4\nhosts = a.b.c \\\n   .include /some/file\n.include_if_exists /none\n",
		  facts, 1, NULL, 0);
	assert_true(f.problems.errors > 0);
	done(&f);
	read_with(&f, "a = 1\n.include /etc/more\nhosts = a.b \\\n   .include /some/file\n.include_if_exists /none\n", facts,
		  3, NULL, 0);
	expect_lines(&f, "a = 1|b = 2|c = 3|hosts = a.b d.e.f|");
	struct conf_place place = conf_source_place(f.source, &f.source->lines[3], 12);
	assert_slice(place.file, "/some/file");
	assert_int_equal(place.line, 1);
	assert_int_equal(conf_source_place(f.source, &f.source->lines[3], 0).line, 3);
	done(&f);
}

static void inclusion_cycles_and_missing_files_are_errors(void **state)
{
	(void)state;
	static const struct fake_fact facts[] = { { CONF_FACT_FILE, "/a", ".include /b\n" },
						  { CONF_FACT_FILE, "/b", ".include /a\n" } };
	struct fixture f;
	read_with(&f, ".include /a\n", facts, 2, NULL, 0);
	assert_int_equal(f.problems.errors, 1);
	assert_slice(f.problems.items[0].text, "/a includes itself");
	assert_slice(f.problems.items[0].place.file, "/b");
	done(&f);
	expect_error_of(".include /none\n", 1, "No such file");
	expect_error_of(".include_if_exists relative\n", 1, "expected an absolute file name");
	expect_error_of(".include\n", 1, "expected a file name");
}

static void a_nul_byte_is_an_error(void **state)
{
	(void)state;
	struct fixture f;
	read_text(&f, "");
	done(&f);
	conf_problems_init(&f.problems);
	f.source = conf_source_from_text(slice_make("a = b\0c\nd = e\n", 14), "x", NULL, 0, NULL, &f.problems);
	assert_int_equal(f.problems.errors, 1);
	assert_int_equal(f.source->line_count, 1);
	done(&f);
}

static void places_name_file_line_and_macro(void **state)
{
	(void)state;
	struct fixture f;
	read_text(&f, "MAC = x\n\na = 1 \\\n  MAC\n");
	struct conf_place first = conf_source_place(f.source, &f.source->lines[0], 0);
	struct conf_place second = conf_source_place(f.source, &f.source->lines[0], 6);
	assert_int_equal(first.line, 3);
	assert_int_equal(first.macro.len, 0);
	assert_int_equal(second.line, 4);
	assert_slice(second.macro, "MAC");
	done(&f);
}

static void expect_spot(const struct fixture *f, size_t line, char byte, uint32_t want_line, uint32_t want_column)
{
	const struct conf_line *logical = &f->source->lines[line];
	struct conf_place place = conf_source_spot(f->source, logical, slice_find(logical->text, byte));
	if (place.line != want_line || place.column != want_column)
		fail_msg("'%c' is at %u:%u, not %u:%u", byte, place.line, place.column, want_line, want_column);
}

static void columns_are_those_of_the_physical_line(void **state)
{
	(void)state;
	struct fixture f;
	read_text(&f, "MAC = mmm\n\t ab = x \\\n   yz \\\n# comment\n  MAC1 \\\n 2\n\xef\xbb\xbf" "c=d\n  \\\n   e = f\n");
	expect_spot(&f, 0, 'a', 2, 3);
	expect_spot(&f, 0, 'x', 2, 8);
	expect_spot(&f, 0, 'z', 3, 5);
	expect_spot(&f, 0, '1', 5, 0); /* a macro was replaced before it */
	expect_spot(&f, 0, '2', 6, 2);
	expect_spot(&f, 2, 'e', 9, 4);
	assert_int_equal(conf_source_place(f.source, &f.source->lines[0], 0).column, 0);
	done(&f);
}

static void a_problem_with_a_column_shows_its_line(void **state)
{
	(void)state;
	struct fixture f;
	struct buf out;
	buf_init(&out, 10000);
	read_text(&f, "x\n\tab = \xc3\xa4$b\r\n");
	conf_error(&f.problems, conf_source_spot(f.source, &f.source->lines[1], 7), SLICE("ab"), "bad");
	conf_error(&f.problems, conf_source_place(f.source, &f.source->lines[0], 0), SLICE("x"), "worse");
	conf_source_quote(f.source, &f.problems);
	assert_true(conf_problem_format(&f.problems.items[0], &out));
	assert_slice(buf_slice(&out), "/etc/conf:2:9: error: ab: bad");
	buf_reset(&out);
	assert_true(conf_problem_excerpt(&f.problems.items[0], &out) && conf_problem_excerpt(&f.problems.items[1], &out));
	assert_slice(buf_slice(&out), "\tab = \xc3\xa4$b\n\t      ^\n");
	buf_free(&out);
	done(&f);
}

/* Somebody who writes the file while it is read. */
struct writer {
	int fd, times;
	char byte;
};

static void write_meanwhile(void *owner)
{
	struct writer *writer = owner;
	char text[100];
	if (writer->times-- <= 0)
		return;
	memset(text, ++writer->byte, sizeof text);
	assert_int_equal(pwrite(writer->fd, text, sizeof text, 0), sizeof text);
}

static void a_file_that_changes_while_it_is_read_is_read_again_or_refused(void **state)
{
	(void)state;
	char path[] = "/tmp/postern-source-test-XXXXXX";
	struct writer writer = { .fd = mkstemp(path), .times = 2, .byte = 'a' };
	struct arena arena;
	struct slice text = { 0 };
	struct error error = { 0 };
	assert_true(writer.fd >= 0);
	arena_init(&arena, 0);
	bool taken = conf_read_file(path, &arena, &text, &error, write_meanwhile, &writer);
	bool last = text.len == 100 && text.data[0] == 'c' && text.data[99] == 'c';
	writer.times = 1000;
	bool refused = !conf_read_file(path, &arena, &text, &error, write_meanwhile, &writer);
	unlink(path);
	close(writer.fd);
	assert_true(taken);
	assert_true(last);
	assert_true(refused);
	assert_non_null(strstr(error.text, "changes while it is read; try again"));
	arena_free(&arena);
}

static void a_sealed_source_is_the_same_in_a_role(void **state)
{
	(void)state;
	static const struct fake_fact facts[] = { { CONF_FACT_FILE, "/users", "ann\nbob\n" } };
	struct fixture f;
	struct error error;
	struct slice value;
	read_with(&f, "MAC = secret\na = MAC \\\n  b\nc = d\n", facts, 1, NULL, 0);
	assert_true(conf_source_fact(f.source, CONF_FACT_FILE, SLICE("/users"), &value, &error));
	assert_false(conf_source_fact(f.source, CONF_FACT_USER, SLICE("nobody"), &value, &error));
	int fd = conf_source_seal(f.source, &error);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "x", 1), -1);
	struct conf_source *loaded = conf_source_load(fd, &error);
	assert_non_null(loaded);
	assert_int_equal(loaded->line_count, 2);
	assert_slice(loaded->lines[0].text, "a = secret b");
	assert_slice(conf_source_place(loaded, &loaded->lines[0], 0).macro, "MAC");
	assert_int_equal(conf_source_place(loaded, &loaded->lines[0], 11).line, 3);
	assert_true(conf_source_fact(loaded, CONF_FACT_FILE, SLICE("/users"), &value, &error));
	assert_slice(value, "ann\nbob\n");
	assert_false(conf_source_fact(loaded, CONF_FACT_USER, SLICE("nobody"), &value, &error));
	assert_non_null(strstr(error.text, "nobody"));
	assert_false(conf_source_fact(loaded, CONF_FACT_FILE, SLICE("/never-asked"), &value, &error));
	assert_int_equal(f.machine.asked, 2);
	conf_source_free(loaded);
	close(fd);
	done(&f);
}

static void a_damaged_or_unsealed_source_is_refused(void **state)
{
	(void)state;
	struct fixture f;
	struct error error;
	struct buf bytes;
	read_text(&f, "a = b\nc = \\\nd\n");
	buf_init(&bytes, 100000);
	assert_true(conf_source_encode(f.source, &bytes));
	struct slice whole = buf_slice(&bytes);
	for (size_t n = 0; n < whole.len; n++)
		assert_null(conf_source_decode(slice_first(whole, n), &error));
	for (size_t n = 0; n < whole.len; n++) { /* any byte may be wrong: refused or well-formed, never a fault */
		bytes.data[n] = (char)~bytes.data[n];
		struct conf_source *source = conf_source_decode(whole, &error);
		for (size_t i = 0; source && i < source->line_count; i++)
			assert_true(conf_source_place(source, &source->lines[i], 3).file.len < whole.len);
		conf_source_free(source);
		bytes.data[n] = (char)~bytes.data[n];
	}
	int fd = memfd_create("x", MFD_CLOEXEC);
	assert_int_equal(write(fd, whole.data, whole.len), (ssize_t)whole.len);
	assert_null(conf_source_load(fd, &error));
	close(fd);
	buf_free(&bytes);
	done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comments_and_white_space_around_lines_are_ignored),
		cmocka_unit_test(a_backslash_continues_and_leading_space_of_the_next_line_goes),
		cmocka_unit_test(comments_may_stand_within_a_continuation_but_empty_lines_end_it),
		cmocka_unit_test(macros_are_replaced_in_all_later_lines_in_order_of_definition),
		cmocka_unit_test(a_macro_takes_its_continuation_lines_and_may_be_empty),
		cmocka_unit_test(a_macro_may_make_a_comment_or_an_inclusion),
		cmocka_unit_test(two_equals_signs_define_again_and_may_use_the_old_value),
		cmocka_unit_test(a_name_that_contains_an_earlier_macro_is_an_error),
		cmocka_unit_test(macros_of_the_command_line_win_over_the_file),
		cmocka_unit_test(macros_are_defined_between_drivers_not_within_one),
		cmocka_unit_test(macro_growth_is_bounded),
		cmocka_unit_test(conditions_choose_the_first_true_branch),
		cmocka_unit_test(conditions_nest_and_name_several_macros),
		cmocka_unit_test(builtin_macros_tell_what_this_version_has),
		cmocka_unit_test(unbalanced_conditions_are_errors),
		cmocka_unit_test(files_are_included_in_place),
		cmocka_unit_test(inclusion_cycles_and_missing_files_are_errors),
		cmocka_unit_test(a_nul_byte_is_an_error),
		cmocka_unit_test(places_name_file_line_and_macro),
		cmocka_unit_test(columns_are_those_of_the_physical_line),
		cmocka_unit_test(a_problem_with_a_column_shows_its_line),
		cmocka_unit_test(a_file_that_changes_while_it_is_read_is_read_again_or_refused),
		cmocka_unit_test(a_sealed_source_is_the_same_in_a_role),
		cmocka_unit_test(a_damaged_or_unsealed_source_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

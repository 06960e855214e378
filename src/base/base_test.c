/* SPDX-License-Identifier: ISC */
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/crc32c.h"
#include "base/error.h"
#include "base/escape.h"
#include "base/files.h"
#include "base/id.h"
#include "base/interval.h"
#include "base/log.h"
#include "base/memory_file.h"
#include "base/test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

static void slices_compare_without_case_and_cut(void **state)
{
	(void)state;
	assert_true(slice_equal_nocase(SLICE("STARTTLS"), SLICE("starttls")));
	assert_false(slice_equal_nocase(SLICE("a"), SLICE("ab")));
	assert_true(slice_compare(SLICE("ab"), SLICE("abc")) < 0);
	struct slice rest = SLICE("a=b=c");
	assert_slice(slice_cut(&rest, '='), "a");
	assert_slice(rest, "b=c");
	slice_cut(&rest, '=');
	slice_cut(&rest, '=');
	assert_int_equal(rest.len, 0);
	assert_slice(slice_trim(SLICE(" \t x y\r\n")), "x y");
	assert_int_equal(slice_find((struct slice){ 0 }, 'x'), 0);
}

static void numbers_are_parsed_with_bounds(void **state)
{
	(void)state;
	uint64_t value = 7;
	assert_true(slice_parse_u64(SLICE("18446744073709551615"), UINT64_MAX, &value));
	assert_true(value == UINT64_MAX);
	value = 7;
	assert_false(slice_parse_u64(SLICE("18446744073709551616"), UINT64_MAX, &value));
	assert_false(slice_parse_u64(SLICE(""), 9, &value));
	assert_false(slice_parse_u64(SLICE("10"), 9, &value));
	assert_false(slice_parse_u64(SLICE("+1"), 9, &value));
	assert_int_equal(value, 7);
	assert_true(slice_parse_size(SLICE("50M"), UINT64_MAX, &value));
	assert_int_equal(value, 50 * 1024 * 1024);
	assert_false(slice_parse_size(SLICE("99999999999999999G"), UINT64_MAX, &value));
	assert_false(slice_parse_size(SLICE("M"), UINT64_MAX, &value));
	assert_true(slice_parse_hex(SLICE("fF"), 255, &value));
	assert_int_equal(value, 255);
}

static void cstr_refuses_nul_and_overflow(void **state)
{
	(void)state;
	char out[4];
	assert_true(slice_to_cstr(SLICE("abc"), out, sizeof out));
	assert_false(slice_to_cstr(SLICE("abcd"), out, sizeof out));
	assert_false(slice_to_cstr(SLICE("a\0b"), out, sizeof out));
}

static void edit_distance_finds_near_names(void **state)
{
	(void)state;
	assert_int_equal(slice_edit_distance(SLICE("tls_certificat"), SLICE("tls_certificate")), 1);
	assert_int_equal(slice_edit_distance(SLICE("kitten"), SLICE("sitting")), 3);
}

static void an_array_grows_with_its_items(void **state)
{
	struct arena arena;
	size_t room = 0, *items = NULL;
	(void)state;
	arena_init(&arena, 0);
	for (size_t i = 0; i < 1000; i++) {
		size_t *before = items, had = room;
		items = arena_grow(&arena, items, i, &room, sizeof *items);
		assert_true(room > i && (i < had) == (items == before));
		assert_int_equal(items[i], 0);
		items[i] = i;
	}
	for (size_t i = 0; i < 1000; i++)
		assert_int_equal(items[i], i);
	arena_free(&arena);
}

static void arena_memory_is_zeroed_after_reset(void **state)
{
	(void)state;
	struct arena arena;
	arena_init(&arena, 0);
	for (int round = 0; round < 3; round++) {
		unsigned char *bytes = arena_alloc(&arena, 1000);
		for (int i = 0; i < 1000; i++)
			assert_int_equal(bytes[i], 0);
		memset(bytes, 0xff, 1000);
		memset(arena_alloc(&arena, 10000), 0xff, 10000);
		assert_slice(arena_printf(&arena, "%s-%d", "x", 5), "x-5");
		arena_reset(&arena);
	}
	arena_free(&arena);
}

static void buffers_keep_their_bound(void **state)
{
	(void)state;
	struct buf buf;
	buf_init(&buf, 1000);
	for (int i = 0; i < 100; i++)
		assert_true(buf_append(&buf, SLICE("0123456789")));
	assert_false(buf_append_byte(&buf, 'x'));
	assert_null(buf_reserve(&buf, SIZE_MAX));
	buf_consume(&buf, 990);
	assert_slice(buf_slice(&buf), "0123456789");
	assert_true(buf_printf(&buf, "%d", 42));
	assert_slice(buf_slice(&buf), "012345678942");
	buf_free(&buf);
}

static void crc32c_gives_the_values_of_rfc3720(void **state)
{
	(void)state;
	unsigned char bytes[32] = { 0 };
	assert_int_equal(crc32c(0, bytes, 32), 0x8a9136aa);
	memset(bytes, 0xff, 32);
	assert_int_equal(crc32c(0, bytes, 32), 0x62a8ab43);
	for (unsigned i = 0; i < 32; i++)
		bytes[i] = (unsigned char)i;
	assert_int_equal(crc32c(0, bytes, 32), 0x46dd794e);
	assert_int_equal(crc32c(crc32c(0, bytes, 13), bytes + 13, 19), 0x46dd794e);
}

static void message_ids_are_unique_and_ordered(void **state)
{
	(void)state;
	struct message_id_source source = { 0 };
	struct message_id last = message_id_make(&source);
	for (int i = 0; i < 10000; i++) {
		struct message_id id = message_id_make(&source);
		assert_true(message_id_valid(slice_of(id.text)));
		assert_true(strcmp(id.text, last.text) > 0);
		last = id;
	}
	int64_t ahead = message_id_seconds(&last) - clock_wall_now() / CLOCK_SECOND;
	assert_true(ahead >= 0 && ahead < 10);
	assert_false(message_id_valid(SLICE("../../etc/passwd")));
	assert_false(message_id_valid(SLICE("1wXyZa-000Kc3-2")));
}

static void names_of_queues_are_plain_and_short(void **state)
{
	(void)state;
	static const char *const bad[] = { "", "a/b", "..", "a b", "a\n", "a%b", "caf\xc3\xa9" };
	char longest[QUEUE_NAME_MAX + 2];
	memset(longest, 'q', sizeof longest);
	assert_true(queue_name_valid(SLICE("Off-peak_2")));
	assert_true(queue_name_valid(slice_make(longest, QUEUE_NAME_MAX)));
	assert_false(queue_name_valid(slice_make(longest, QUEUE_NAME_MAX + 1)));
	assert_false(queue_name_valid(slice_make("a\0b", 3)));
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(queue_name_valid(slice_of(bad[i])));
}

static void dates_have_their_forms(void **state)
{
	(void)state;
	char text[64];
	setenv("TZ", "UTC-2:30", 1);
	tzset();
	clock_format_rfc5322(0, text, sizeof text);
	assert_string_equal(text, "Thu, 01 Jan 1970 02:30:00 +0230");
	setenv("TZ", "UTC", 1);
	tzset();
	assert_true(clock_after(CLOCK_NEVER) == CLOCK_NEVER);
}

static void escapes_are_one_byte_each(void **state)
{
	static const struct { const char *text; unsigned value; size_t taken; } rows[] = {
		{ "n", '\n', 1 }, { "r", '\r', 1 }, { "t", '\t', 1 }, { "b", '\b', 1 }, { "f", '\f', 1 }, { "v", '\v', 1 }, { "q", 'q', 1 },
		{ "\\n", '\\', 1 }, { "\"", '"', 1 }, { "\xff", 255, 1 }, { "8", '8', 1 }, { "7", 7, 1 }, { "18", 1, 1 }, { "101x", 'A', 3 },
		{ "1011", 'A', 3 }, { "0", 0, 1 }, { "400", 256, 3 }, { "777", 511, 3 }, { "x41", 'A', 3 }, { "xAFx", 0xaf, 3 }, { "x4g", 4, 2 },
		{ "x123", 0x12, 3 }, { "x", 0, 1 }, { "xg", 0, 1 }, { "X41", 'X', 1 },
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct slice text = slice_of(rows[i].text);
		size_t at = 0;
		unsigned value = escape_take(text, &at);
		if (value != rows[i].value || at != rows[i].taken)
			fail_msg("\\%s gives %u of %zu bytes", rows[i].text, value, at);
	}
	size_t at = 0;
	assert_int_equal(escape_take(SLICE("\0n"), &at), 0);
	assert_int_equal(at, 1);
}

static void a_place_in_quotes_is_found_in_its_written_form(void **state)
{
	static const struct { const char *raw, *text; size_t len; bool closed; } rows[] = {
		{ "\"\"", "", 2, true }, { "\"a b\" c", "a b", 5, true }, { "\"\\x41\\102c\\\\d\"", "ABc\\d", 14, true },
		{ "\"a\\\"b\"c\"", "a\"b", 6, true }, { "\"open", "open", 5, false }, { "\"open\\", "open\\", 6, false }, { "\"", "", 1, false },
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct slice raw = slice_of(rows[i].raw), text;
		struct arena arena;
		size_t len;
		arena_init(&arena, 0);
		assert_int_equal(escape_unquote(raw, &arena, &text, &len), rows[i].closed);
		assert_slice(text, rows[i].text);
		assert_int_equal(len, rows[i].len);
		/* Each byte begins in the written form where the text up to it ends. */
		for (size_t at = 0; at < text.len; at++) {
			struct slice before;
			size_t taken, place = escape_offset(raw, at);
			escape_unquote(slice_first(raw, place), &arena, &before, &taken);
			assert_int_equal(before.len, at);
			assert_true(raw.data[place] == text.data[at] || raw.data[place] == '\\');
		}
		arena_free(&arena);
	}
	assert_int_equal(escape_offset(SLICE("plain\\n"), 6), 6);
	assert_int_equal(escape_offset(SLICE("\"ab\""), 100), 4);
	assert_int_equal(escape_offset((struct slice){ 0 }, 3), 3);
}

static void intervals_are_numbers_with_units(void **state)
{
	static const struct interval_rule plain = { .max = INT64_MAX }, bare = { .bare = true, .max = INT64_MAX },
					  any_case = { .any_case = true, .max = INT64_MAX }, falling = { .bare = true, .falling = true, .max = INT64_MAX };
	static const struct { const char *text; int64_t plain, bare, any_case, falling; /* -1: it is none */ } rows[] = {
		{ "0s", 0, 0, 0, 0 },
		{ "5m", 300, 300, 300, 300 },
		{ "1w2d3h4m5s", 788645, 788645, 788645, 788645 },
		{ "007s", 7, 7, 7, 7 },
		{ "1s2m", 121, 121, 121, -1 },
		{ "1m1m", 120, 120, 120, -1 },
		{ "1m5", -1, 65, -1, 65 },
		{ "5", -1, 5, -1, 5 },
		{ "5s5", -1, 10, -1, -1 },
		{ "5 5", -1, -1, -1, -1 },
		{ "1H5M", -1, -1, 3900, -1 },
		{ "", -1, -1, -1, -1 },
		{ "m", -1, -1, -1, -1 },
		{ "5x", -1, -1, -1, -1 },
		{ "5mm", -1, -1, -1, -1 },
		{ "5m 3s", -1, -1, -1, -1 },
		{ " 5m", -1, -1, -1, -1 },
		{ "5m ", -1, -1, -1, -1 },
		{ "5 m", -1, -1, -1, -1 },
		{ "-5m", -1, -1, -1, -1 },
		{ "+5m", -1, -1, -1, -1 },
		{ "1.5h", -1, -1, -1, -1 },
		{ "0x5m", -1, -1, -1, -1 },
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct { const struct interval_rule *rule; int64_t want; } ways[] = {
			{ &plain, rows[i].plain }, { &bare, rows[i].bare }, { &any_case, rows[i].any_case }, { &falling, rows[i].falling },
		};
		for (size_t way = 0; way < 4; way++) {
			int64_t seconds = -1;
			bool good = interval_parse(slice_of(rows[i].text), ways[way].rule, &seconds);
			if (good != (ways[way].want >= 0) || seconds != ways[way].want)
				fail_msg("\"%s\" by rule %zu gives %lld", rows[i].text, way, (long long)seconds);
		}
	}
	int64_t seconds;
	assert_false(interval_parse((struct slice){ 0 }, &bare, &seconds));
	assert_false(interval_parse(SLICE("5m\0"), &bare, &seconds));
}

static void intervals_have_bounds(void **state)
{
	static const struct interval_rule century = { .max = INT64_C(100) * 366 * 86400 }, numbers = { .number_max = 100, .max = INT64_MAX },
					  all = { .max = INT64_MAX };
	static const struct { const struct interval_rule *rule; const char *text; bool good; } rows[] = {
		{ &century, "36600d", true }, { &century, "36599d24h", true }, { &century, "36600d1s", false }, { &century, "36601d", false },
		{ &century, "3162240000s", true }, { &century, "3162240001s", false }, { &century, "99999999999999999999s", false },
		{ &numbers, "100w100w", true }, { &numbers, "101s", false }, { &numbers, "1s101s", false },
		{ &all, "9223372036854775807s", true }, { &all, "9223372036854775808s", false }, { &all, "9223372036854775807s1s", false },
		{ &all, "15250284452471w", true }, { &all, "15250284452472w", false }, { &all, "18446744073709551615w", false },
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		int64_t seconds;
		if (interval_parse(slice_of(rows[i].text), rows[i].rule, &seconds) != rows[i].good)
			fail_msg("\"%s\"", rows[i].text);
	}
}

static void an_interval_ends_where_no_number_follows(void **state)
{
	static const struct interval_rule rule = { .bare = true, .falling = true, .max = 100000 };
	static const struct { const char *text, *rest; int64_t seconds; } rows[] = {
		{ "1h30m,15m", ",15m", 5400 }, { "90 x", " x", 90 }, { "1m5", "", 65 }, { "1hx", "x", 3600 },
		/* None: the text stays. */
		{ "1h1h,x", "1h1h,x", -1 }, { "5x,1h", "5x,1h", -1 }, { ",1h", ",1h", -1 }, { "9999999,1h", "9999999,1h", -1 },
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct slice text = slice_of(rows[i].text);
		int64_t seconds = -1;
		assert_int_equal(interval_take(&text, &rule, &seconds), rows[i].seconds >= 0);
		assert_int_equal(seconds, rows[i].seconds);
		assert_slice(text, rows[i].rest);
	}
}

static void intervals_are_written_as_they_are_read(void **state)
{
	static const struct interval_rule rule = { .falling = true, .max = INT64_MAX };
	static const struct { int64_t seconds; const char *text; } rows[] = {
		{ 0, "0s" }, { 59, "59s" }, { 60, "1m" }, { 5400, "1h30m" }, { 604800, "1w" }, { 788645, "1w2d3h4m5s" },
		{ INT64_MAX, "15250284452471w3d15h30m7s" },
	};
	char out[32];
	int64_t seconds;
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_slice(slice_make(out, interval_format(rows[i].seconds, out, sizeof out)), rows[i].text);
		assert_true(interval_parse(slice_of(rows[i].text), &rule, &seconds) && seconds == rows[i].seconds);
	}
	assert_slice(slice_make(out, interval_format(INT64_MIN, out, sizeof out)), "0s");
}

static void errors_carry_context_and_kind(void **state)
{
	(void)state;
	struct error error = { 0 };
	assert_false(error_set_errno(&error, ENOSPC, "writing %s", "x"));
	error_context(&error, "spool");
	assert_string_equal(error.text, "spool: writing x: No space left on device");
	assert_int_equal(error.kind, ERROR_TEMPORARY);
}

static void a_log_line_stays_one_line(void **state)
{
	(void)state;
	int ends[2];
	char text[256] = { 0 };
	assert_int_equal(pipe(ends), 0);
	struct log log;
	log_init(&log, "test");
	log.to.file[LOG_KIND_MAIN] = ends[1];
	log_line(&log, LOG_KIND_MAIN, "H=%s", "evil\r\n2026-01-01 00:00:00 forged");
	ssize_t n = read(ends[0], text, sizeof text - 1);
	assert_true(n > 0);
	assert_string_equal(text + 20, "H=evil\\015\\0122026-01-01 00:00:00 forged\n");
	close(ends[0]);
	close(ends[1]);
}

static void syslog_lines_carry_facility_severity_and_role(void **state)
{
	(void)state;
	int ends[2];
	char text[256] = { 0 }, want[64];
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends), 0);
	struct log log;
	log_init(&log, "queue");
	log.to.syslog = ends[1];
	log_line(&log, LOG_KIND_PANIC, "disk %s", "full");
	assert_true(read(ends[0], text, sizeof text - 1) > 0);
	snprintf(want, sizeof want, "<17>postern-queue[%d]: disk full", (int)getpid()); /* mail (2) * 8 + alert (1) */
	assert_string_equal(text, want);
	close(ends[0]);
	close(ends[1]);
}

static void lost_lines_are_counted_and_told_when_there_is_room(void **state)
{
	(void)state;
	int ends[2], full = open("/dev/full", O_WRONLY);
	char text[1024] = { 0 };
	assert_int_equal(pipe(ends), 0);
	struct log log;
	log_init(&log, "queue");
	log.to.file[LOG_KIND_MAIN] = full;
	log_line(&log, LOG_KIND_MAIN, "first");
	log_line(&log, LOG_KIND_MAIN, "second");
	assert_int_equal(dup2(ends[1], full), full);
	log_line(&log, LOG_KIND_MAIN, "third");
	log_line(&log, LOG_KIND_MAIN, "fourth");
	assert_true(read(ends[0], text, sizeof text - 1) > 0);
	const char *at = text + 20, *told = "queue: 2 log lines could not be written: No space left on device\n";
	assert_memory_equal(at, told, strlen(told));
	at += strlen(told) + 20;
	assert_memory_equal(at, "third\n", 6);
	assert_string_equal(at + 6 + 20, "fourth\n");
	close(full);
	close(ends[0]);
	close(ends[1]);
}

static void half_a_line_is_ended_before_the_next(void **state)
{
	(void)state;
	char path[] = "/tmp/postern-log-XXXXXX", text[1024] = { 0 };
	int fd = mkstemp(path);
	assert_true(fd >= 0 && unlink(path) == 0);
	struct rlimit before, room = { 30, RLIM_INFINITY };
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	room.rlim_max = before.rlim_max;
	signal(SIGXFSZ, SIG_IGN);
	struct log log;
	log_init(&log, "queue");
	log.to.file[LOG_KIND_MAIN] = fd;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &room), 0);
	log_line(&log, LOG_KIND_MAIN, "ten of these characters");
	log_line(&log, LOG_KIND_MAIN, "none of these");
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	log_line(&log, LOG_KIND_MAIN, "all");
	assert_true(pread(fd, text, sizeof text - 1, 0) > 0);
	assert_memory_equal(text + 20, "ten of the\n", 11);
	const char *told = "queue: 2 log lines could not be written: File too large\n";
	assert_memory_equal(text + 31 + 20, told, strlen(told));
	assert_string_equal(text + 31 + 20 + strlen(told) + 20, "all\n");
	close(fd);
}

static unsigned times_lost;

static void note_loss(void *owner, int error)
{
	(void)owner;
	assert_int_not_equal(error, EAGAIN);
	times_lost++;
}

static void loss_of_the_logger_is_told_to_who_can_mend_it_and_to_the_next(void **state)
{
	(void)state;
	int ends[2], next[2];
	char text[256] = { 0 }, want[128];
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, ends), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, next), 0);
	struct log log;
	log_init(&log, "front");
	log.to.syslog = ends[1];
	log.logger_lost = note_loss;
	unsigned sent = 0;
	for (; !log.lost[LOG_KINDS].lines; sent++)
		log_line(&log, LOG_KIND_MAIN, "more than it takes now");
	assert_int_equal(times_lost, 0);
	close(ends[0]);
	log_line(&log, LOG_KIND_MAIN, "nobody is there");
	assert_int_equal(times_lost, 1);
	log_replace_logger(&log, next[1]);
	assert_true(read(next[0], text, sizeof text - 1) > 0);
	snprintf(want, sizeof want, "<17>postern-front[%d]: front: 2 log lines could not be written: ", (int)getpid());
	assert_memory_equal(text, want, strlen(want));
	assert_int_equal(log.lost[LOG_KINDS].lines, 0);
	close(next[0]);
	close(next[1]);
}

static void the_terminal_gets_colours_only_when_it_has_them(void **state)
{
	(void)state;
	for (int colour = 0; colour < 2; colour++) {
		int ends[2];
		char text[256] = { 0 };
		assert_int_equal(pipe(ends), 0);
		struct log log;
		log_init(&log, "test");
		log.to.terminal = ends[1];
		log.to.colour = colour;
		log_line(&log, LOG_KIND_MAIN, "1wXyZa-000Kc3-2B => user <user@example.test>");
		assert_true(read(ends[0], text, sizeof text - 1) > 0);
		assert_int_equal(strchr(text, '\033') != NULL, colour);
		close(ends[0]);
		close(ends[1]);
	}
}

static void directories_are_spread_where_the_file_system_can(void **state)
{
	(void)state;
	char name[] = "base-test-XXXXXX";
	struct statfs system;
	int flags = 0;
	assert_non_null(mkdtemp(name));
	int fd = open(name, O_RDONLY | O_DIRECTORY);
	assert_true(fd >= 0 && fstatfs(fd, &system) == 0);
	files_spread_subdirectories(fd);
	files_spread_subdirectories(fd); /* again: nothing changes */
	bool marked = ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0 && (flags & FS_TOPDIR_FL);
	assert_int_equal(marked, system.f_type == EXT4_SUPER_MAGIC);
	close(fd);
	rmdir(name);
}

/* ---- Memory files ---- */

static void sealed_memory_files_cannot_be_changed(void **state)
{
	char text[8];
	int fd = memory_file_sealed("test", SLICE("sealed"));
	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GET_SEALS) & MEMORY_FILE_SEALS, MEMORY_FILE_SEALS);
	assert_int_equal(pread(fd, text, sizeof text, 0), 6);
	assert_memory_equal(text, "sealed", 6);
	assert_false(fd_write_all(fd, SLICE("more")));
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(fd, 3), -1);
	close(fd);
}

static void writing_to_the_end_goes_on_after_a_short_write(void **state)
{
	int ends[2];
	char *text = calloc(1, 1 << 20);
	pid_t reader;
	(void)state;
	assert_non_null(text);
	assert_int_equal(pipe(ends), 0);
	reader = fork();
	if (reader == 0) {
		size_t total = 0;
		close(ends[1]);
		for (ssize_t n; (n = read(ends[0], text, 1 << 20)) > 0;)
			total += (size_t)n;
		_exit(total == 1 << 20 ? 0 : 1);
	}
	close(ends[0]);
	assert_true(fd_write_all(ends[1], slice_make(text, 1 << 20)));
	close(ends[1]);
	int status;
	assert_int_equal(waitpid(reader, &status, 0), reader);
	assert_int_equal(status, 0);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slices_compare_without_case_and_cut), cmocka_unit_test(numbers_are_parsed_with_bounds),
		cmocka_unit_test(cstr_refuses_nul_and_overflow), cmocka_unit_test(edit_distance_finds_near_names),
		cmocka_unit_test(arena_memory_is_zeroed_after_reset), cmocka_unit_test(an_array_grows_with_its_items),
		cmocka_unit_test(buffers_keep_their_bound),
		cmocka_unit_test(crc32c_gives_the_values_of_rfc3720), cmocka_unit_test(message_ids_are_unique_and_ordered),
		cmocka_unit_test(names_of_queues_are_plain_and_short),
		cmocka_unit_test(dates_have_their_forms), cmocka_unit_test(intervals_are_numbers_with_units), cmocka_unit_test(escapes_are_one_byte_each),
		cmocka_unit_test(a_place_in_quotes_is_found_in_its_written_form),
		cmocka_unit_test(intervals_have_bounds), cmocka_unit_test(an_interval_ends_where_no_number_follows),
		cmocka_unit_test(intervals_are_written_as_they_are_read), cmocka_unit_test(errors_carry_context_and_kind),
		cmocka_unit_test(a_log_line_stays_one_line), cmocka_unit_test(syslog_lines_carry_facility_severity_and_role),
		cmocka_unit_test(lost_lines_are_counted_and_told_when_there_is_room), cmocka_unit_test(half_a_line_is_ended_before_the_next),
		cmocka_unit_test(loss_of_the_logger_is_told_to_who_can_mend_it_and_to_the_next),
		cmocka_unit_test(the_terminal_gets_colours_only_when_it_has_them),
		cmocka_unit_test(directories_are_spread_where_the_file_system_can),
		cmocka_unit_test(sealed_memory_files_cannot_be_changed), cmocka_unit_test(writing_to_the_end_goes_on_after_a_short_write),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

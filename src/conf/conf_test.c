/* SPDX-License-Identifier: ISC */
/* Options: values, tables, sections, what is reported and where. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/interval.h"
#include "base/test.h"
#include "conf/conf.h"
#include "conf/fake_system.h"
#include "conf/log_selector.h"

#include <unistd.h>

static const struct fake_fact machine_facts[] = {
	{ CONF_FACT_HOSTNAME, "", "host.example.net" }, { CONF_FACT_ROOT, "", "0" },
	{ CONF_FACT_ADDRESSES, "", "127.0.0.1 192.0.2.5 ::1" }, { CONF_FACT_FILE, "/etc/users", "ann\n# none\nbob\n" },
	{ CONF_FACT_FILE, "/etc/postern/unbound.conf", "server:\n  prefetch: yes\n" },
	{ CONF_FACT_FILE, "/etc/bad.conf", "server:\n  nonsense: 1\n" },
	{ CONF_FACT_SERVICE, "odd", "2500" }, { CONF_FACT_USER, "vmail", "500 501 /var/vmail" },
	{ CONF_FACT_USER, "toor", "0 0 /root" }, { CONF_FACT_GROUP, "mail", "8" },
};
static const struct fake_fact root_facts[] = {
	{ CONF_FACT_HOSTNAME, "", "host.example.net" }, { CONF_FACT_ROOT, "", "1" }, { CONF_FACT_ADDRESSES, "", "127.0.0.1" },
	{ CONF_FACT_USER, "vmail", "500 501 /var/vmail" },
};

#define ROUTES "\nbegin routers\nr:\n  driver = accept\n  transport = t\nbegin transports\nt:\n  driver = appendfile\n" \
	       "  directory = /var/mail/$local_part_data\n  maildir_format\n"

struct fixture {
	struct fake_machine machine;
	struct conf_system system;
	struct conf_problems problems;
	struct conf_source *source;
	struct conf *conf;
};

static void parse_on(struct fixture *f, const char *text, const struct fake_fact *facts, size_t count)
{
	*f = (struct fixture){ .machine = { facts, count, 0 } };
	f->system = (struct conf_system){ fake_ask, &f->machine };
	conf_problems_init(&f->problems);
	f->source = conf_source_from_text(slice_of(text), "conf", NULL, 0, &f->system, &f->problems);
	f->conf = conf_parse(f->source, &f->problems);
}

static void parse(struct fixture *f, const char *text)
{
	parse_on(f, text, machine_facts, sizeof machine_facts / sizeof *machine_facts);
}

static void done(struct fixture *f)
{
	conf_unref(&f->conf);
	conf_source_free(f->source);
	conf_problems_free(&f->problems);
}

static bool in_list(const struct list *list, const struct list_subject *subject)
{
	struct list_match match;
	struct error error;
	assert_int_equal(list_match(list, subject, NULL, NULL, &match, &error), EXPAND_OK);
	return match.yes;
}

static void parse_good(struct fixture *f, const char *text)
{
	parse(f, text);
	if (!f->conf)
		fail_msg("unexpected: %.*s: %.*s", SLICE_ARG(f->problems.items[0].option),
			 SLICE_ARG(f->problems.items[0].text));
}

/* That the text has one problem, on this line, with this in its text or its option. */
static void expect_error(const char *text, uint32_t line, const char *part)
{
	struct fixture f;
	struct buf out;
	parse(&f, text);
	assert_null(f.conf);
	buf_init(&out, 10000);
	for (size_t i = 0; i < f.problems.count; i++) {
		assert_true(conf_problem_format(&f.problems.items[i], &out));
		buf_append_byte(&out, '\n');
	}
	buf_append_byte(&out, '\0');
	if (f.problems.errors != 1 || f.problems.items[0].place.line != line || !strstr(out.data, part))
		fail_msg("expected one error on line %u with \"%s\"; got: %s", line, part, out.data);
	buf_free(&out);
	done(&f);
}

static void defaults_are_those_of_the_tables(void **state)
{
	(void)state;
	struct fixture f;
	parse_good(&f, "");
	const struct conf_main *conf = &f.conf->main;
	assert_slice(conf->primary_hostname, "host.example.net");
	assert_slice(conf->qualify_recipient, "host.example.net");
	assert_slice(conf->spool_directory, "/var/spool/postern");
	assert_slice(conf->log_file_path.items[0], "/var/log/postern/%slog");
	assert_int_equal(conf->message_size_limit.value, 50 << 20);
	assert_true(conf->smtp_receive_timeout == 300 * CLOCK_SECOND);
	assert_true(conf->accept_8bitmime && conf->smtp_enforce_sync && !conf->recipients_max_reject);
	assert_int_equal(conf->syslog_facility_code, 2);
	assert_int_equal(conf->tls_on_connect_ports.count, 0);
	assert_non_null(conf->smtp_banner);
	assert_null(conf->tls_hosts);
	assert_null(conf->tls_advertise_hosts);
	assert_int_equal(f.conf->listener_count, 2);
	assert_int_equal(f.conf->listeners[1].address.port, 25);
	done(&f);
}

static void log_items_are_chosen(void **state)
{
	(void)state;
	const unsigned standard = LOG_ITEM_CONNECTION_REJECT | LOG_ITEM_DELAY_DELIVERY | LOG_ITEM_LOST_INCOMING_CONNECTION |
				  LOG_ITEM_MSG_ID | LOG_ITEM_QUEUE_RUN | LOG_ITEM_TLS_CERTIFICATE_VERIFIED | LOG_ITEM_TLS_CIPHER;
	const struct {
		const char *text;
		unsigned items;
	} cases[] = {
		{ "", standard },
		{ "log_selector = ", standard },
		{ "log_selector = +tls_peerdn -tls_cipher", (standard | LOG_ITEM_TLS_PEERDN) & ~(unsigned)LOG_ITEM_TLS_CIPHER },
		{ "log_selector = +tls_sni+tls_resumption\t-msg_id ",
		  (standard | LOG_ITEM_TLS_SNI | LOG_ITEM_TLS_RESUMPTION) & ~(unsigned)LOG_ITEM_MSG_ID },
		{ "log_selector = +retry_defer +dkim -tls_sni -subject -all", 0 },
		{ "log_selector = -all +tls_cipher", LOG_ITEM_TLS_CIPHER },
		{ "log_selector = +received_sender +received_recipients +8bitmime",
		  standard | LOG_ITEM_RECEIVED_SENDER | LOG_ITEM_RECEIVED_RECIPIENTS | LOG_ITEM_8BITMIME },
		{ "no_tls_log_cipher", standard & ~(unsigned)LOG_ITEM_TLS_CIPHER },
		{ "tls_log_peerdn", standard | LOG_ITEM_TLS_PEERDN },
		{ "no_tls_log_cipher\nlog_selector = +tls_cipher", standard },
		{ "log_selector = +all -tls_sni", (2 * LOG_ITEM_QUEUE_RUN - 1) & ~(unsigned)LOG_ITEM_TLS_SNI },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct fixture f;
		parse_good(&f, cases[i].text);
		assert_int_equal(f.conf->main.log_items, cases[i].items);
		done(&f);
	}
	expect_error("log_selector = tls_sni", 1, "expected names with + or - before them");
	expect_error("log_selector = +tls_sn", 1, "unknown log item \"tls_sn\"");
	expect_error("log_selector = +", 1, "unknown log item \"\"");
	expect_error("log_selector = +tls_sni,+tls_cipher", 1, "expected names with + or -");
	expect_error("log_selector = +subject", 1, "the log item \"subject\" cannot be added in this version");
	expect_error("log_selector = -retry_defer", 1, "the log item \"retry_defer\" cannot be left out in this version");
}

static void assert_runs(const char *text, const struct conf_queue_run *want, size_t count)
{
	struct fixture f;
	parse_good(&f, text);
	assert_int_equal(f.conf->main.queue_run_count, count);
	for (size_t i = 0; i < count; i++) {
		assert_true(slice_equal(f.conf->main.queue_runs[i].name, want[i].name));
		assert_true(f.conf->main.queue_runs[i].interval == want[i].interval * CLOCK_SECOND);
	}
	done(&f);
}

static void queues_are_run_at_intervals(void **state)
{
	(void)state;
	static const char wrong[] = "expected the name of a queue, a slash and a time up to 30 days";
	const struct conf_queue_run standard = { .interval = 1800 };
	const struct conf_queue_run runs[] = { { .interval = 900 }, { SLICE("bulk"), 600 }, { SLICE("night"), 86400 } };
	char many[8192] = "queue_run_named = ";
	assert_runs("", &standard, 1);
	assert_runs("queue_run_interval = 15m\nqueue_run_named = bulk/10m : night / 1d", runs, 3);
	assert_runs("queue_run_interval = 0s\nqueue_run_named = bulk/10m", runs + 1, 1);
	expect_error("queue_run_named = bulk", 1, wrong);
	expect_error("queue_run_named = /10m", 1, wrong);
	expect_error("queue_run_named = a b/10m", 1, wrong);
	expect_error("queue_run_named = bulk/0s", 1, wrong);
	expect_error("queue_run_named = bulk/10m/5m", 1, wrong);
	expect_error("queue_run_named = bulk/10m : bulk/5m", 1, "the queue \"bulk\" is there twice");
	for (size_t i = 0, len = strlen(many); i <= 100; i++)
		len += (size_t)snprintf(many + len, sizeof many - len, "%sq%zu/1h", i ? ":" : "", i);
	expect_error(many, 1, "more than 100 queues");
}

static void booleans_take_both_forms(void **state)
{
	(void)state;
	static const struct { const char *text; bool want;
	} cases[] = {
		{ "recipients_max_reject", true }, { "no_recipients_max_reject", false },
		{ "not_recipients_max_reject", false }, { "recipients_max_reject = yes", true },
		{ "recipients_max_reject=TRUE", true }, { "recipients_max_reject = no", false },
		{ "recipients_max_reject = false", false },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct fixture f;
		parse_good(&f, cases[i].text);
		assert_int_equal(f.conf->main.recipients_max_reject, cases[i].want);
		done(&f);
	}
	expect_error("recipients_max_reject = maybe", 1, "expected yes, no, true or false");
	expect_error("no_recipients_max = 5", 1, "only a boolean option can have no_");
	expect_error("no_prdr_enable", 1, "Exim's option prdr_enable is not available");
}

static void integers_have_bases_units_and_ranges(void **state)
{
	(void)state;
	static const struct { const char *text; int64_t want;
	} good[] = {
		{ "0", 0 }, { "10", 10 },      { "010", 8 }, { "0x1F", 31 }, { "5K", 5 << 10 },
		{ "2m", 2 << 20 }, { "1G", 1 << 30 }, { "-3", -3 }, { "0x10K", 16 << 10 },
	};
	static const char *const bad[] = { "", "-", "K",  "08", "1 0", "0x", "9223372036854775808", "99999999999G",
					   "1KK", "+1", "1.5" };
	struct error error;
	int64_t value;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		assert_true(conf_value_integer(slice_of(good[i].text), &value, &error));
		assert_true(value == good[i].want);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_false(conf_value_integer(slice_of(bad[i]), &value, &error));
	expect_error("\nrecipients_max = -1", 2, "expected 0 to 1000000");
	expect_error("header_maxsize = 100", 1, "out of range; expected 1K to 64M");
	expect_error("message_size_limit = ${if x{1}{2}}", 1, "unknown condition");
	expect_error("message_size_limit = 5x", 1, "expected a number");
}

static void times_are_numbers_with_units(void **state)
{
	(void)state;
	static const struct { const char *text; int64_t want; } good[] = {
		{ "0s", 0 }, { "5m", 300 }, { "3h50m", 13800 }, { "90m", 5400 }, { "2d", 172800 }, { "1w1d1h1m1s", 694861 },
	};
	static const char *const bad[] = { "", "5", "m", "5x", "5m 3s", "-5m", "99999999999999999999s", "1h5", "90000w" };
	struct error error;
	int64_t value;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		char text[40];
		assert_true(conf_value_time(slice_of(good[i].text), &value, &error));
		assert_true(value == good[i].want);
		interval_format(value, text, sizeof text);
		assert_true(conf_value_time(slice_of(text), &value, &error) && value == good[i].want);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_false(conf_value_time(slice_of(bad[i]), &value, &error));
	expect_error("smtp_receive_timeout = 10", 1, "expected a time");
	expect_error("smtp_receive_timeout = 2d", 1, "out of range; expected 1s to 1d");
}

static void numbers_with_decimals_and_delays_that_grow(void **state)
{
	static const char *const bad_numbers[] = { "", ".", "-1", "1e3", "nan", "0x1", "1.5.2", "7,5", "1000001", "1.0000000001", " 1", "1 " };
	static const char *const bad_delays[] = { "", "1", "1,1s", "1,1s,1", "1,1s,1,1s,", "1,1s,0.9,1s", "1,1,1,1s", "1,1s,1,1", "1,s,1,1s", "-1,1s,1,1s",
						  "1,1s,1001,1s", "1,61m,1,1s", "1,1s,1,1h1s", "1,1d,1,1s", "x,1s,1,1s" };
	struct conf_delays delays;
	struct conf_fixed fixed;
	struct error error;
	(void)state;
	assert_true(conf_value_fixed(SLICE("7.25"), &fixed, &error) && fixed.set && fixed.value == 7.25);
	assert_true(conf_value_fixed(SLICE("0"), &fixed, &error) && fixed.set && fixed.value == 0);
	assert_true(conf_value_fixed(SLICE(".5"), &fixed, &error) && fixed.value == 0.5);
	for (size_t i = 0; i < sizeof bad_numbers / sizeof *bad_numbers; i++)
		if (conf_value_fixed(slice_of(bad_numbers[i]), &fixed, &error))
			fail_msg("\"%s\" is taken", bad_numbers[i]);
	/* The example of Exim's manual. */
	assert_true(conf_value_delays(SLICE("2,0.5s,1.05,4m"), &delays, &error));
	assert_true(delays.set && delays.threshold == 2 && delays.initial == CLOCK_SECOND / 2 && delays.factor == 1.05 && delays.most == 240 * CLOCK_SECOND);
	assert_true(conf_value_delays(SLICE("4, 0.25s , 1.015, 1m30.5s"), &delays, &error) && delays.most == 90500 * CLOCK_MS);
	for (size_t i = 0; i < sizeof bad_delays / sizeof *bad_delays; i++)
		if (conf_value_delays(slice_of(bad_delays[i]), &delays, &error))
			fail_msg("\"%s\" is taken", bad_delays[i]);
}

static void quoted_strings_have_escapes(void **state)
{
	(void)state;
	struct arena arena;
	struct error error;
	struct slice out;
	arena_init(&arena, 0);
	assert_true(conf_value_unquote(&arena, SLICE("\"a\\\\b\\n\\t\\r\\x41\\101\\\"\\z\""), &out, &error));
	assert_slice(out, "a\\b\n\t\rAA\"z");
	assert_true(conf_value_unquote(&arena, SLICE("\"\\b\\f\\v\""), &out, &error));
	assert_slice(out, "\b\f\v");
	assert_true(conf_value_unquote(&arena, SLICE("\" kept \" "), &out, &error));
	assert_slice(out, " kept ");
	assert_true(conf_value_unquote(&arena, SLICE("plain \\n \"x"), &out, &error));
	assert_slice(out, "plain \\n \"x");
	assert_false(conf_value_unquote(&arena, SLICE("\"open"), &out, &error));
	assert_false(conf_value_unquote(&arena, SLICE("\"open\\"), &out, &error));
	assert_false(conf_value_unquote(&arena, SLICE("\"a\" b"), &out, &error));
	assert_false(conf_value_unquote(&arena, SLICE("\"a\\0\""), &out, &error));
	assert_false(conf_value_unquote(&arena, SLICE("\"a\\xg\""), &out, &error));
	arena_free(&arena);
}

static void string_lists_follow_exims_rules(void **state)
{
	(void)state;
	static const struct { const char *text, *want;
	} cases[] = {
		{ "", "" },
		{ "a", "a|" },
		{ "a:b", "a|b|" },
		{ " a : b ", "a|b|" },
		{ "127.0.0.1 : ::::1", "127.0.0.1|::1|" },
		{ "127.0.0.1:::::1", "127.0.0.1::|1|" },
		{ "<; 127.0.0.1 ; ::1", "127.0.0.1|::1|" },
		{ "a :", "a|" },
		{ "a : : b", "a||b|" },
		{ ":", "|" },
		{ "<;a;;b", "a;b|" },
		{ "<\n a \n\n b", "a||b|" },
		{ "a: ", "a|" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct arena arena;
		char got[200] = "";
		size_t at = 0;
		arena_init(&arena, 0);
		struct conf_strings list = conf_value_strings(&arena, slice_of(cases[i].text));
		for (size_t n = 0; n < list.count; n++)
			at += (size_t)snprintf(got + at, sizeof got - at, "%.*s|", SLICE_ARG(list.items[n]));
		assert_string_equal(got, cases[i].want);
		arena_free(&arena);
	}
}

static void ports_and_interfaces_make_listeners(void **state)
{
	(void)state;
	struct fixture f;
	parse_good(&f, "tls_certificate = /c\nlocal_interfaces = <; 127.0.0.1 ; [::1]:2525\ndaemon_smtp_ports = smtp : "
		       "submissions : odd\n"
		       "tls_on_connect_ports = 465\n");
	assert_int_equal(f.conf->listener_count, 4);
	assert_int_equal(f.conf->listeners[0].address.port, 25);
	assert_false(f.conf->listeners[0].tls_on_connect);
	assert_int_equal(f.conf->listeners[1].address.port, 465);
	assert_true(f.conf->listeners[1].tls_on_connect);
	assert_int_equal(f.conf->listeners[2].address.port, 2500);
	assert_int_equal(f.conf->listeners[3].address.port, 2525);
	done(&f);
	expect_error("daemon_smtp_ports = 0", 1, "expected a port from 1 to 65535");
	expect_error("daemon_smtp_ports = 65536", 1, "found \"65536\"");
	expect_error("daemon_smtp_ports = nosuch", 1, "found \"nosuch\"");
	expect_error("local_interfaces = localhost", 1, "expected an IP address");
	expect_error("local_interfaces = 127.0.0.1 : 127.0.0.1", 1, "is there twice");
}

static void tls_options_depend_on_the_certificate(void **state)
{
	(void)state;
	struct fixture f;
	parse_good(&f, "tls_certificate = /etc/c.pem\n");
	assert_null(f.conf->main.tls_privatekey);
	assert_slice(conf_constant(f.conf->main.tls_certificate), "/etc/c.pem");
	assert_null(f.conf->main.tls_advertise_hosts); /* all */
	done(&f);
	parse_good(&f, "tls_certificate = /etc/${if eq{$received_port}{25}{a}{b}}.pem : /rsa.pem\n");
	assert_non_null(f.conf->main.tls_certificate);
	done(&f);
	parse_good(&f, "tls_advertise_hosts = 192.0.2.0/24\n");
	assert_int_equal(f.problems.warnings, 1);
	assert_non_null(strstr(f.problems.items[0].text.data, "without tls_certificate they get 454"));
	done(&f);
	parse_good(&f, "tls_advertise_hosts =\n");
	assert_int_equal(f.problems.warnings, 0);
	done(&f);
	expect_error("tls_certificate = c.pem", 1, "expected an absolute path");
	expect_error("tls_certificate = /etc/$tls_sin", 1, "tls_sin");
	expect_error("tls_certificate = /a\ntls_privatekey = /b:/c", 2, "2 keys for 1 certificates");
	expect_error("tls_require_ports = 587\ndaemon_smtp_ports = 587", 1, "only when tls_certificate is set");
	expect_error("tls_on_connect_ports = 465\ndaemon_smtp_ports = 465", 1, "needs tls_certificate");
	expect_error("tls_privatekey = /k", 1, "tls_certificate is not set");
}

static void options_of_the_dns_are_checked(void **state)
{
	(void)state;
	struct fixture f;
	parse_good(&f, "dns_config_file = /etc/postern/unbound.conf\ndns_retrans = 2s\ndns_retry = 4\nhost_lookup_order = byaddr\n");
	assert_slice(f.conf->main.dns_config_text, "server:\n  prefetch: yes\n");
	assert_true(f.conf->main.dns_retrans == 2 * CLOCK_SECOND && f.conf->main.dns_retry == 4 && f.conf->main.dns_dnssec_ok == -1);
	assert_true(f.conf->main.name_order.count == 1 && f.conf->main.name_order.items[0] == LOOKUP_NAME_BY_HOSTS_FILE);
	done(&f);
	parse_good(&f, "");
	assert_true(f.conf->main.name_order.count == 2 && f.conf->main.name_order.items[0] == LOOKUP_NAME_BY_DNS);
	assert_int_equal(f.conf->main.dns_config_text.len, 0);
	done(&f);
	expect_error("dns_config_file = /etc/bad.conf", 1, "line 2: unknown keyword 'nonsense'");
	expect_error("dns_config_file = /etc/none.conf", 1, "asking for /etc/none.conf");
	expect_error("dns_dnssec_ok = 2", 1, "");
	expect_error("host_lookup_order = bydns:bymagic", 1, "found \"bymagic\"");
}

static void directories_of_lookups_are_those_that_texts_name_for_certain(void **state)
{
	(void)state;
	static const struct {
		const char *prefix;
		size_t count; /* afterwards */
	} steps[] = {
		{ "", 0 }, { "relative/x", 0 }, { "/aliases", 0 }, { "/etc/mail/aliases", 1 }, { "/etc/mail/list.", 1 },
		{ "/etc/mail/sub/x", 1 }, { "/etc/mailing/x", 2 }, { "/srv/", 3 },
	};
	struct fixture f;
	parse_good(&f, "");
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		conf_use_path(f.conf, slice_of(steps[i].prefix));
		assert_int_equal(f.conf->lookup_directory_count, steps[i].count);
	}
	assert_slice(f.conf->lookup_directories[0], "/etc/mail");
	assert_slice(f.conf->lookup_directories[1], "/etc/mailing");
	assert_slice(f.conf->lookup_directories[2], "/srv");
	done(&f);
}

static void commands_that_may_run_are_those_of_the_configuration(void **state)
{
	(void)state;
	struct fixture f;
	parse_good(&f, "smtp_banner = ${run{/usr/bin/id -u $pid /srv/data/file}}${run{/opt/bin/x$pid}}${run,preexpand{/bin/a /data/b/c$pid /d}}\n");
	assert_int_equal(f.conf->command_count, 3);
	static const struct {
		const char *name;
		bool allowed;
	} table[] = {
		{ "/usr/bin/id", true }, { "/usr/bin/idx", false }, { "/usr/bin/i", false }, { "/bin/sh", false }, { "", false },
		{ "/opt/bin/x1", true }, { "/opt/bin/y", false }, { "/opt/bin/x/../../../bin/sh", false }, { "/bin/a", true },
		{ "/opt/bin/x..y", true },
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		assert_int_equal(conf_allows_command(f.conf, slice_of(table[i].name)), table[i].allowed);
	assert_int_equal(f.conf->command_directory_count, 5);
	assert_slice(f.conf->command_directories[0], "/usr/bin");
	assert_slice(f.conf->command_directories[1], "/srv/data");
	assert_slice(f.conf->command_directories[4], "/data/b");
	done(&f);
	parse_good(&f, "");
	assert_int_equal(f.conf->command_count, 0);
	assert_false(conf_allows_command(f.conf, SLICE("/bin/true")));
	done(&f);
	/* In quotes, and computed from the start: only that it is one. */
	parse_good(&f, "smtp_banner = ${run,preexpand{\"/bin/a b\"}}${run{$primary_hostname}}\n");
	assert_true(conf_allows_command(f.conf, SLICE("/anything")));
	assert_int_equal(f.conf->command_directory_count, 0);
	done(&f);
}

static void unknown_options_name_the_nearest_one(void **state)
{
	(void)state;
	expect_error("tls_certficate = /x", 1, "unknown option; did you mean tls_certificate?");
	expect_error("zzzzzzzzzzz = 1", 1, "unknown option; `postern check --reference`");
	expect_error("prdr_enable = true", 1, "Exim's option prdr_enable is not available in this version of Postern");
	expect_error("begin routers\nr:\n driver = accept\n condition = yes\n transport = t\n"
		     "begin transports\nt:\n driver = appendfile\n directory = /x\n maildir_format\n",
		     4, "Exim's option condition");
	expect_error("begin routers\nr:\n driver = dnslookup\n same_domain_copy_routing\n no_more\n", 3,
		     "Exim's driver dnslookup is not available");
	expect_error("begin routers\nr:\n driver = acept\n", 3, "unknown driver acept");
}

static void all_errors_are_reported_with_their_places(void **state)
{
	(void)state;
	struct fixture f;
	parse(&f, "BAD = x\nrecipients_max = BAD\nnonsense\n\nspool_directory = \\\n  relative\nsmtp_banner = $nosuch\n"
		  "header_maxsize = 1\nheader_maxsize = 2\nbegin nowhere\nx = y\n");
	assert_null(f.conf);
	static const struct { uint32_t line; const char *option;
	} want[] = {
		{ 2, "option recipients_max" },
		{ 3, "option nonsense" },
		{ 5, "option spool_directory" },
		{ 7, "option smtp_banner" },
		{ 8, "option header_maxsize" },
		{ 9, "option header_maxsize" },
		{ 10, "" },
	};
	assert_int_equal(f.problems.errors, 7);
	for (size_t i = 0; i < 7; i++) {
		assert_int_equal(f.problems.items[i].place.line, want[i].line);
		assert_slice(f.problems.items[i].option, want[i].option);
	}
	done(&f);
	expect_error("BAD = x\nrecipients_max = BAD\n", 2, "(macro BAD was replaced in this line)");
	expect_error("header_maxsize = 2K\nheader_maxsize = 2K\n", 2, "it was set at conf:1");
}

static void no_more_than_a_hundred_problems_are_kept_but_all_are_counted(void **state)
{
	(void)state;
	struct fixture f;
	struct buf text;
	buf_init(&text, 100000);
	for (int i = 0; i < 150; i++)
		buf_printf(&text, "wrong_%d = 1\n", i);
	buf_append_byte(&text, '\0');
	parse(&f, text.data);
	assert_int_equal(f.problems.count, 100);
	assert_int_equal(f.problems.errors, 150);
	done(&f);
	buf_free(&text);
}

static void named_lists_may_come_in_any_order_but_not_in_a_circle(void **state)
{
	(void)state;
	struct fixture f;
	parse_good(&f, "domainlist all = +some : c.example\ndomainlist_cache some = a.example : !b.example\n"
		       "hostlist all = 192.0.2.0/24\ntls_certificate = /c\ntls_hosts = +all\n");
	assert_int_equal(f.conf->list_count, 3);
	assert_non_null(f.conf->main.tls_hosts);
	struct list_subject subject = { .domain = SLICE("a.example") };
	assert_true(in_list(f.conf->lists[0].list, &subject));
	done(&f);
	parse(&f, "domainlist one = +two\ndomainlist two = +one\n");
	assert_null(f.conf);
	assert_non_null(strstr(f.problems.items[0].text.data, "refers to itself"));
	done(&f);
	expect_error("domainlist a = x\ndomainlist a = y\n", 2, "already defined");
	expect_error("domainlist a\n", 1, "expected a name");
	expect_error("domainlist a = ^re(gex\n", 1, "domainlist a");
	expect_error("domainlist a = nosuch;/x\n", 1, "domainlist a");
	expect_error("domainlist a = $sender_helo_name : +none\n", 1, "domainlist a");
}

static void the_domain_lists_of_custom_are_known_at_load(void **state)
{
	(void)state;
	struct fixture f;
	parse_good(&f, "hostlist relay_to_domains = 192.0.2.0/24\ndomainlist local_domains = a.example : +relay_to_domains\n"
		       "domainlist relay_to_domains = b.example\n");
	struct list_subject subject = { .domain = SLICE("b.example") };
	assert_true(f.conf->local_domains == &f.conf->lists[1] && f.conf->relay_to_domains == &f.conf->lists[2]);
	assert_true(in_list(f.conf->local_domains->list, &subject) && in_list(f.conf->relay_to_domains->list, &subject));
	done(&f);
	parse_good(&f, "hostlist local_domains = 192.0.2.0/24\n");
	assert_true(!f.conf->local_domains && !f.conf->relay_to_domains);
	done(&f);
}

static struct expand_value helo_name(void *owner, enum expand_variable variable)
{
	(void)owner;
	return (struct expand_value){ variable == EXPAND_SENDER_HELO_NAME ? SLICE("b.example") : SLICE(""), true };
}

static void lists_with_expansions_reach_named_lists_after_the_load(void **state)
{
	(void)state;
	struct fixture f;
	struct error error;
	struct list_match match;
	struct arena arena;
	struct slice text;
	arena_init(&arena, 0);
	parse_good(&f, "domainlist one = $sender_helo_name : +two\ndomainlist two = a.example\n");
	const struct expand_context context = { .variable = helo_name, .language = &f.conf->language };
	for (int i = 0; i < 2; i++) {
		struct list_subject subject = { .domain = i ? SLICE("a.example") : SLICE("b.example") };
		assert_int_equal(list_match(f.conf->lists[0].list, &subject, &context, &arena, &match, &error), EXPAND_OK);
		assert_true(match.yes);
	}
	assert_true(f.conf->language.list_text(f.conf->language.owner, 'd', SLICE("two"), &text));
	assert_slice(text, "a.example");
	assert_false(f.conf->language.list_text(f.conf->language.owner, 'h', SLICE("two"), &text));
	assert_true(f.conf->language.list_text(f.conf->language.owner, 0, SLICE("one"), &text));
	done(&f);
	arena_free(&arena);
}

static void old_names_work_and_their_modern_form_is_told(void **state)
{
	(void)state;
	struct fixture f;
	parse_good(&f, "tls_certificate = /c\ntls_hosts = 192.0.2.1\n");
	assert_int_equal(f.problems.warnings, 1);
	assert_true(f.problems.items[0].warning);
	assert_int_equal(f.problems.items[0].place.line, 2);
	assert_non_null(strstr(f.problems.items[0].text.data, "modern form"));
	done(&f);
}

#define OPEN "\nbegin routers\nr:\n  driver = accept\n  transport = t\n  domains = "
#define TRANSPORT "\nbegin transports\nt:\n  driver = appendfile\n  directory = /m\n  maildir_format\n"

static void domains_that_a_list_takes_without_naming_them_are_warned_of(void **state)
{
	static const struct {
		const char *text;
		unsigned line; /* 0: no warning */
	} table[] = {
		{ OPEN "*", 7 },
		{ OPEN "!mx.example : *.example", 7 },
		{ "domainlist some = a : *" OPEN "+some", 7 },
		{ OPEN "a.example : *.example", 0 },
		{ "domainlist local = example" OPEN "! +local", 0 },
		{ "domainlist relay_to_domains = *", 2 },
		{ "domainlist local_domains = ! mx.example", 2 },
		{ "domainlist local_domains = !mx.example : *.example", 0 },
		{ "acl_smtp_rcpt = accept" OPEN "*", 0 },
	};
	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct fixture f;
		char text[1024];
		snprintf(text, sizeof text, "\n%s" TRANSPORT, table[i].text);
		parse_good(&f, text);
		if (f.problems.warnings != (table[i].line ? 1 : 0))
			fail_msg("%s: %zu warnings", table[i].text, f.problems.warnings);
		if (table[i].line)
			assert_int_equal(f.problems.items[0].place.line, table[i].line);
		done(&f);
	}
}

static void connections_that_are_kept_are_fewer_than_all(void **state)
{
	(void)state;
	struct fixture f;
	expect_error("smtp_accept_max = 10\nsmtp_accept_reserve = 11\n", 2, "11 connections cannot be kept of the 10 of smtp_accept_max");
	parse_good(&f, "smtp_accept_max = 10\n\nsmtp_accept_reserve = 10\n");
	assert_int_equal(f.problems.warnings, 1);
	assert_int_equal(f.problems.items[0].place.line, 3);
	assert_non_null(strstr(f.problems.items[0].text.data, "other hosts can never connect"));
	done(&f);
	parse_good(&f, "smtp_accept_max = 10\nsmtp_accept_reserve = 9\n");
	assert_int_equal(f.problems.warnings, 0);
	done(&f);
	parse_good(&f, "smtp_accept_max = 0\nsmtp_accept_reserve = 9\n");
	assert_int_equal(f.problems.warnings, 0);
	done(&f);
}

static void believing_every_hosts_proxy_header_is_warned_of(void **state)
{
	(void)state;
	struct fixture f;
	parse_good(&f, "hosts_proxy = 192.0.2.1\n");
	assert_int_equal(f.problems.warnings, 0);
	assert_true(f.conf->main.proxy_protocol_timeout == 3 * CLOCK_SECOND);
	done(&f);
	parse_good(&f, "hosts_proxy = *\n");
	assert_int_equal(f.problems.warnings, 1);
	assert_non_null(strstr(f.problems.items[0].text.data, "any client"));
	done(&f);
}

static void sections_stand_in_any_order_and_once(void **state)
{
	(void)state;
	struct fixture f;
	parse_good(&f, "begin rewrite\nbegin retry\nbegin acl\nbegin authenticators\nbegin local_scan\n" ROUTES);
	done(&f);
	expect_error("begin routers\nbegin routers\n", 2, "second time");
	expect_error("begin acl\nbegin retry\nbegin acl\nx:\n", 3, "second time");
	expect_error("begin nosuch\n", 1, "unknown section");
}

static void acls_are_kept_as_lines_with_their_places(void **state)
{
	(void)state;
	struct fixture f;
	parse_good(&f, "begin acl\n\ncheck_rcpt:\n  accept  hosts = :\n\n  deny  message = no \\\n   thanks\n"
		       "     domains = a.example : b.example\nother :\nlast:\n warn\n" ROUTES);
	assert_int_equal(f.conf->acl_count, 3);
	const struct conf_acl *acl = conf_acl_find(f.conf, SLICE("check_rcpt"));
	assert_non_null(acl);
	assert_ptr_equal(acl, &f.conf->acls[0]);
	assert_int_equal(acl->place.line, 3);
	assert_int_equal(acl->text.count, 3);
	assert_slice(acl->text.lines[0].text, "accept  hosts = :");
	assert_slice(acl->text.lines[1].text, "deny  message = no thanks");
	assert_int_equal(acl->text.lines[1].place.line, 6);
	assert_slice(acl->text.lines[1].place.file, "conf");
	assert_slice(acl->text.lines[2].text, "domains = a.example : b.example");
	assert_int_equal(acl->text.lines[2].place.line, 8);
	assert_int_equal(conf_acl_find(f.conf, SLICE("other"))->text.count, 0);
	assert_slice(conf_acl_find(f.conf, SLICE("last"))->text.lines[0].text, "warn");
	assert_null(conf_acl_find(f.conf, SLICE("accept")));
	done(&f);
	expect_error("begin acl\n accept\n", 2, "a name and a colon, which begin an ACL");
	expect_error("begin acl\na:\n accept\na:\n deny\n", 4, "there are two ACLs called a");
	expect_error("begin acl\na: accept\n", 2, "text after the colon");
}

static void retry_rules_become_a_chain(void **state)
{
	(void)state;
	struct fixture f;
	parse_good(&f, "begin retry\n*.example * F,1h,5m\n\n* * \\\n  F,2h,15m; G,1d,1h,1.5\n" ROUTES);
	assert_slice(f.conf->retry->pattern_text, "*.example");
	assert_int_equal(f.conf->retry->next->count, 2);
	assert_null(f.conf->retry->next->next);
	assert_int_equal(f.conf->main.retry_interval_max, 24 * 3600 * CLOCK_SECOND);
	assert_false(f.conf->routers->retry_use_local_part);
	assert_true(f.conf->transports->retry_use_local_part);
	done(&f);
	parse_good(&f, "begin retry\n" ROUTES);
	assert_null(f.conf->retry);
	done(&f);
	expect_error("begin retry\n* * F,1h,5m\n* * \\\n F,2h\n", 4, "a comma and an interval");
	expect_error("begin retry\n* nothing F,1h,5m\n", 2, "unknown error \"nothing\"");
	expect_error("retry_interval_max = 25h\n", 1, "out of range");
}

static void what_cannot_be_says_so(void **state)
{
	(void)state;
	expect_error("begin local_scan\n\n x = 1\n y = 2\n", 3, "a C function that was compiled into Exim");
}

#define PLAIN "begin authenticators\nplain:\n driver = plaintext\n public_name = PLAIN\n server_condition = yes\n"

static void authenticators_are_checked(void **state)
{
	(void)state;
	struct fixture f;
	parse_good(&f, "auth_cleartext_hosts = 127.0.0.1\n" PLAIN ROUTES);
	done(&f);
	expect_error("begin authenticators\nplain:\n public_name = PLAIN\n", 2, "expected \"driver = plaintext\"");
	expect_error("begin authenticators\nplain:\n driver = plane\n", 3, "unknown driver plane; expected plaintext, cram_md5, scram");
	expect_error("begin authenticators\nspa:\n driver = spa\n", 3, "Exim's driver spa is not available in this version");
	expect_error("begin authenticators\n driver = plaintext\n", 2, "which begin an authenticator");
	expect_error("begin authenticators\nplain:\n driver = plaintext\n", 2, "server_condition: not set");
	expect_error("begin authenticators\na:\n driver = plaintext\n client_send = x\n server_condition = 1\n", 4, "Exim's option client_send is not available");
	expect_error(PLAIN "two:\n driver = plaintext\n public_name = plain\n server_condition = yes\n", 8, "the same public_name");
	expect_error("begin authenticators\na:\n driver = scram\n public_name = SCRAM-MD5\n server_user_database\n", 4, "expected SCRAM-SHA-256");
	expect_error("begin authenticators\na:\n driver = tls\n server_condition = 1\nb:\n driver = tls\n server_condition = 1\n", 6,
		     "one authenticator with the driver tls");
	expect_error("begin authenticators\na:\n driver = cram_md5\n public_name = CRAM-MD5\n", 2, "server_secret: not set");
	expect_error("begin authenticators\na:\n driver = dovecot\n public_name = PLAIN\n", 2, "server_socket: not set");
	expect_error("begin authenticators\na:\n driver = dovecot\n public_name = PLAIN\n server_socket = auth-client\n", 5, "an absolute path");
}

static void routers_and_transports_are_tied_together(void **state)
{
	(void)state;
	struct fixture f;
	parse_good(&f, "domainlist local = example.org\nbegin routers\nfirst:\n driver = accept\n domains = +local\n"
		       " local_parts = /etc/users\n transport = t\n no_more\nsecond:\n driver = accept\n check_local_user\n "
		       "transport = t\n"
		       "begin transports\nt:\n driver = appendfile\n user = vmail\n group = mail\n directory = "
		       "/m/$local_part_data\n"
		       " maildir_format\n directory_mode = 750\n return_path_add\n");
	assert_int_equal(f.conf->router_count, 2);
	const struct router *first = &f.conf->routers[0];
	assert_slice(first->name, "first");
	assert_ptr_equal(first->transport, &f.conf->transports[0]);
	assert_false(first->more);
	assert_true(first->next->check_local_user && first->next->more);
	assert_null(first->next->next);
	struct list_subject ann = { .local_part = SLICE("ann") }, eve = { .local_part = SLICE("eve") };
	assert_true(in_list(first->local_parts, &ann));
	assert_false(in_list(first->local_parts, &eve));
	const struct transport *transport = first->transport;
	assert_int_equal(transport->uid, 500);
	assert_int_equal(transport->gid, 8);
	assert_int_equal(transport->directory_mode, 0750);
	assert_int_equal(transport->mode, 0600);
	assert_true(transport->return_path_add && transport->create_directory && !transport->envelope_to_add);
	done(&f);
}

static void mistakes_in_routers_and_transports_are_found(void **state)
{
	(void)state;
	expect_error("begin routers\nr:\n domains = x\n", 2, "router r: it has no driver");
	expect_error("begin routers\nr:\n driver = accept\n transport = none\n", 4, "there is no transport called none");
	expect_error("begin routers\nr:\n driver = accept\n", 2, "expected the name of a transport");
	expect_error("begin routers\n driver = accept\n", 2, "expected a name and a colon");
	expect_error(ROUTES "t:\n driver = appendfile\n", 11, "two transports called t");
	expect_error(ROUTES "u:\n mode = 600\n driver = appendfile\n directory = /x\n maildir_format\n", 12,
		     "must come before it");
	expect_error(ROUTES " user = toor\n", 11, "never run as root");
	expect_error(ROUTES " user = nobody-here\n", 11, "option user");
	expect_error(ROUTES " mode = 99\n", 11, "octal");
	expect_error(ROUTES "u:\n driver = appendfile\n directory = relative\n maildir_format\n", 13,
		     "expected an absolute path");
	expect_error(ROUTES "u:\n driver = appendfile\n maildir_format\n", 11, "directory: not set");
	expect_error(ROUTES "u:\n driver = appendfile\n directory = /x\n", 11, "expected maildir_format");
}

/* That the text has these problems and no others: "line: option: text" and a newline for each, of which only the beginning is compared. */
static void expect_errors(const char *text, const char *const *beginnings, size_t count)
{
	struct fixture f;
	struct buf out;
	parse(&f, text);
	assert_null(f.conf);
	buf_init(&out, 1000);
	assert_int_equal(f.problems.count, count);
	for (size_t i = 0; i < count; i++) {
		assert_true(conf_problem_format(&f.problems.items[i], &out));
		if (!slice_starts(buf_slice(&out), slice_of(beginnings[i])))
			fail_msg("expected \"%s\", got \"%.*s\"", beginnings[i], SLICE_ARG(buf_slice(&out)));
		buf_consume(&out, buf_len(&out));
	}
	buf_free(&out);
	done(&f);
}

static void a_bad_driver_hides_no_other_mistake(void **state)
{
	(void)state;
	static const char *const router[] = { "conf:3: error: router r, option driver: unknown driver acept",
		                              "conf:4: error: router r, option domans: unknown option; did you mean domains?",
		                              "conf:5: error: router r, option transport: there is no transport called nowhere" };
	static const char *const none[] = { "conf:2: error: router r: it has no driver",
		                            "conf:3: error: router r, option domans: unknown option",
		                            "conf:4: error: router r, option transport: there is no transport called nowhere" };
	static const char *const transport[] = { "conf:3: error: transport t, option driver: Exim's driver smtp is not available",
		                                 "conf:5: error: transport t, option user: deliveries never run as root",
		                                 "conf:6: error: transport t, option retry_use_local_prat: unknown option" };
	static const char *const authenticator[] = { "conf:3: error: authenticator a, option driver: unknown driver plane",
		                                     "conf:5:18: error: authenticator a, option server_set_id: ",
		                                     "conf:6: error: authenticator a, option pubic_name: unknown option" };
	expect_errors("begin routers\nr:\n driver = acept\n domans = x.test\n transport = nowhere\n", router, 3);
	expect_errors("begin routers\nr:\n domans = x.test\n transport = nowhere\n", none, 3);
	expect_errors("begin transports\nt:\n driver = smtp\n port = 24\n user = toor\n retry_use_local_prat\n", transport, 3);
	expect_errors("begin authenticators\na:\n driver = plane\n server_prompts = :\n server_set_id = ${\n pubic_name = PLAIN\n", authenticator, 3);
}

static void an_error_names_an_option_that_is_set_and_where(void **state)
{
	(void)state;
	expect_error("\ndaemon_smtp_ports = 25 : 587 : 25", 2, "conf:2: error: option daemon_smtp_ports: port 25 is there twice");
	expect_error("\nlocal_interfaces = 127.0.0.1 : 127.0.0.1.25\ndaemon_smtp_ports = 25", 2,
		     "conf:2: error: option local_interfaces: [127.0.0.1]:25 is there twice");
	expect_error("tls_min_version = TLS1.2\ntls_eccurve = nosuch", 2, "conf:2: error: option tls_eccurve: \"nosuch\"");
	expect_error("tls_require_ciphers = NOSUCH", 1, "conf:1: error: option tls_require_ciphers: of \"NOSUCH");
	/* What is not set anywhere is about the file as a whole. */
	struct fixture f;
	parse_on(&f, "\n", NULL, 0);
	assert_int_equal(f.problems.errors, 1);
	assert_slice(f.problems.items[0].option, "option primary_hostname");
	assert_slice(f.problems.items[0].place.file, "conf");
	assert_int_equal(f.problems.items[0].place.line, 0);
	done(&f);
}

static void started_as_root_a_transport_needs_a_user(void **state)
{
	(void)state;
	struct fixture f;
	parse_on(&f, ROUTES, root_facts, sizeof root_facts / sizeof *root_facts);
	assert_null(f.conf);
	assert_int_equal(f.problems.errors, 1);
	assert_non_null(strstr(f.problems.items[0].text.data, "has no user"));
	done(&f);
	parse_on(&f, ROUTES " user = vmail\n", root_facts, sizeof root_facts / sizeof *root_facts);
	assert_non_null(f.conf);
	done(&f);
	parse_on(&f, ROUTES " user = 12345\n group = 100\n", root_facts, sizeof root_facts / sizeof *root_facts);
	assert_non_null(f.conf);
	assert_int_equal(f.conf->transports[0].uid, 12345);
	assert_int_equal(f.conf->transports[0].gid, 100);
	done(&f);
}

static void a_role_parses_the_sealed_text_without_the_system(void **state)
{
	(void)state;
	struct fixture f;
	struct error error;
	struct conf_problems problems;
	parse_good(&f, "daemon_smtp_ports = odd\n" ROUTES " user = vmail\n");
	int fd = conf_source_seal(f.source, &error);
	assert_true(fd >= 0);
	struct conf_source *loaded = conf_source_load(fd, &error);
	close(fd);
	conf_problems_init(&problems);
	struct conf *conf = conf_parse(loaded, &problems);
	conf_source_free(loaded);
	assert_non_null(conf);
	assert_slice(conf->main.primary_hostname, "host.example.net");
	assert_int_equal(conf->listeners[0].address.port, 2500);
	assert_int_equal(conf->transports[0].uid, 500);
	struct conf *again = conf_ref(conf);
	conf_unref(&conf);
	assert_null(conf);
	assert_slice(again->transports[0].name, "t");
	conf_unref(&again);
	conf_problems_free(&problems);
	done(&f);
}

static void settings_print_as_exim_prints_them(void **state)
{
	(void)state;
	struct fixture f;
	struct buf out;
	struct error error;
	parse_good(&f, "message_size_limit = 52428800\nsmtp_receive_timeout = 90s\nno_smtp_enforce_sync\nhide smtp_banner = "
		       "secret\n"
		       "hide domainlist d = a.example\n" ROUTES);
	static const struct { const char *name, *instance; bool privileged; const char *want;
	} cases[] = {
		{ "message_size_limit", "", false, "message_size_limit = 50M\n" },
		{ "smtp_receive_timeout", "", false, "smtp_receive_timeout = 1m30s\n" },
		{ "smtp_enforce_sync", "", false, "no_smtp_enforce_sync\n" },
		{ "accept_8bitmime", "", false, "accept_8bitmime\n" },
		{ "smtp_banner", "", false, "smtp_banner = <value not displayable>\n" },
		{ "smtp_banner", "", true, "smtp_banner = secret\n" },
		{ "primary_hostname", "", false, "primary_hostname = host.example.net\n" },
		{ "tls_hosts", "", false, "tls_hosts = \n" },
		{ "+d", "", false, "domainlist d = <value not displayable>\n" },
		{ "router_list", "", false, "r\n" },
		{ "router", "r", false,
		  "driver = accept\ndomains = \nlocal_parts = \nno_check_local_user\ntransport = t\nno_retry_use_local_part\nmore\n" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		buf_init(&out, 10000);
		assert_true(conf_print(f.conf, slice_of(cases[i].name), slice_of(cases[i].instance), cases[i].privileged,
				       &out, &error));
		assert_slice(buf_slice(&out), cases[i].want);
		buf_free(&out);
	}
	buf_init(&out, 10000);
	assert_false(conf_print(f.conf, SLICE("mesage_size_limit"), SLICE(""), false, &out, &error));
	assert_non_null(strstr(error.text, "did you mean message_size_limit?"));
	assert_false(conf_print(f.conf, SLICE("router"), SLICE("none"), false, &out, &error));
	assert_true(conf_print(f.conf, SLICE("transport"), SLICE("t"), false, &out, &error));
	buf_append_byte(&out, '\0');
	assert_non_null(strstr(out.data, "directory_mode = 0700\n"));
	buf_free(&out);
	done(&f);
}

/* One configuration a table entry: the example must parse, and what is printed must be what was set. */
static void each_option_has_help_and_an_example_that_parses(void **state)
{
	(void)state;
	for (enum conf_table_id id = 0; id < CONF_TABLES; id++)
		for (size_t i = 0; i < conf_table(id)->count; i++) {
			const struct conf_option *option = &conf_table(id)->options[i];
			assert_non_null(option->name);
			assert_non_null(option->since);
			assert_true(option->help && option->help[strlen(option->help) - 1] == '.');
			if (!option->example)
				fail_msg("%s has no example", option->name);
			if (id != CONF_TABLE_MAIN)
				continue;
			char text[400];
			struct fixture f;
			bool tls = strncmp(option->name, "tls_", 4) == 0 && strcmp(option->name, "tls_certificate") != 0;
			snprintf(text, sizeof text, "%s%s = %s\n", tls ? "tls_certificate = /c\n" : "", option->name,
				 option->example);
			parse_good(&f, text);
			done(&f);
		}
	struct fixture f;
	parse_good(&f,
		   "domainlist local_domains = example.org\nbegin routers\nr:\n driver = accept\n domains = +local_domains\n"
		   " local_parts = postmaster : abuse\n check_local_user = true\n transport = local_delivery\n retry_use_local_part = true\n more = "
		   "false\n"
		   "begin transports\nlocal_delivery:\n driver = appendfile\n user = 1000\n group = 1000\n return_path_add "
		   "= true\n"
		   " retry_use_local_part = false\n delivery_date_add = true\n envelope_to_add = true\n directory = "
		   "/var/mail/$domain_data/$local_part_data\n"
		   " maildir_format = true\n create_directory = false\n directory_mode = 0750\n mode = 0640\n");
	for (size_t b = 0; b < 2; b++) {
		const struct conf_block *block = b ? &f.conf->transport_blocks[0] : &f.conf->router_blocks[0];
		for (size_t i = 0; i < block->setting_count; i++) {
			if (!block->settings[i].given)
				fail_msg("%s is not in this test", block->settings[i].option->name);
			assert_slice(block->settings[i].text, block->settings[i].option->example);
		}
	}
	done(&f);
}

/* One authenticator a driver, with all options that it can have. */
static void each_option_of_authenticators_has_an_example_that_parses(void **state)
{
	(void)state;
	for (enum conf_table_id id = CONF_TABLE_PLAINTEXT; id <= CONF_TABLE_DOVECOT; id++) {
		const struct conf_table *tables[] = { conf_table(CONF_TABLE_AUTHENTICATOR), conf_table(id) };
		struct fixture f;
		struct buf text;
		buf_init(&text, 10000);
		buf_printf(&text, "user_database = /u.db\ndomainlist local_domains = example.org\nauth_cleartext_hosts = *\nbegin authenticators\na:\n driver = %s\n",
			   tables[1]->driver);
		for (size_t t = 0; t < 2; t++)
			for (size_t i = t ? 0 : 1; i < tables[t]->count; i++)
				buf_printf(&text, " %s = %s\n", tables[t]->options[i].name, tables[t]->options[i].example);
		buf_append_byte(&text, '\0');
		parse_good(&f, text.data);
		for (size_t i = 1; i < f.conf->authenticator_blocks[0].setting_count; i++)
			assert_slice(f.conf->authenticator_blocks[0].settings[i].text,
				     f.conf->authenticator_blocks[0].settings[i].option->example);
		done(&f);
		buf_free(&text);
	}
}

static void docs_reference_is_what_the_tables_say(void **state)
{
	(void)state;
	struct buf out;
	buf_init(&out, 1 << 20);
	assert_true(conf_reference(&out));
	/* Tests run in the tree or in a build directory within it. */
	_cleanup_file_ FILE *file = fopen("docs/reference.md", "r");
	if (!file)
		file = fopen("../docs/reference.md", "r");
	assert_non_null(file);
	char *text = calloc(1, 1 << 20);
	size_t len = fread(text, 1, 1 << 20, file);
	if (!slice_equal(buf_slice(&out), slice_make(text, len)))
		fail_msg("docs/reference.md is old: postern check --reference > docs/reference.md");
	free(text);
	buf_append_byte(&out, '\0');
	for (enum conf_table_id id = 0; id < CONF_TABLES; id++)
		for (size_t i = 0; i < conf_table(id)->count; i++) {
			char heading[100];
			snprintf(heading, sizeof heading, "### %s\n", conf_table(id)->options[i].name);
			assert_non_null(strstr(out.data, heading));
		}
	buf_free(&out);
}

static void names_of_exim_are_sorted_for_the_search(void **state)
{
	(void)state;
	assert_true(conf_exim_has_main(SLICE("accept_8bitmime")) && conf_exim_has_main(SLICE("write_rejectlog")));
	assert_true(conf_exim_has_main(SLICE("smtp_etrn_command")) && conf_exim_has_router(SLICE("condition")));
	assert_true(conf_exim_has_transport(SLICE("hosts_require_dane")) && conf_exim_has_router_driver(SLICE("redirect")));
	assert_true(conf_exim_has_transport_driver(SLICE("smtp")) && !conf_exim_has_main(SLICE("accept")));
	for (size_t i = 0; i < conf_table(CONF_TABLE_ROUTER)->count; i++)
		assert_true(conf_exim_has_router(slice_of(conf_table(CONF_TABLE_ROUTER)->options[i].name)));
	for (size_t i = 0; i < conf_table(CONF_TABLE_TRANSPORT_APPENDFILE)->count; i++)
		assert_true(conf_exim_has_transport(slice_of(conf_table(CONF_TABLE_TRANSPORT_APPENDFILE)->options[i].name)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_those_of_the_tables),
		cmocka_unit_test(log_items_are_chosen),
		cmocka_unit_test(queues_are_run_at_intervals),
		cmocka_unit_test(booleans_take_both_forms),
		cmocka_unit_test(integers_have_bases_units_and_ranges),
		cmocka_unit_test(times_are_numbers_with_units),
		cmocka_unit_test(numbers_with_decimals_and_delays_that_grow),
		cmocka_unit_test(quoted_strings_have_escapes),
		cmocka_unit_test(string_lists_follow_exims_rules),
		cmocka_unit_test(ports_and_interfaces_make_listeners),
		cmocka_unit_test(tls_options_depend_on_the_certificate),
		cmocka_unit_test(options_of_the_dns_are_checked),
		cmocka_unit_test(directories_of_lookups_are_those_that_texts_name_for_certain),
		cmocka_unit_test(commands_that_may_run_are_those_of_the_configuration),
		cmocka_unit_test(unknown_options_name_the_nearest_one),
		cmocka_unit_test(all_errors_are_reported_with_their_places),
		cmocka_unit_test(no_more_than_a_hundred_problems_are_kept_but_all_are_counted),
		cmocka_unit_test(named_lists_may_come_in_any_order_but_not_in_a_circle),
		cmocka_unit_test(the_domain_lists_of_custom_are_known_at_load),
		cmocka_unit_test(lists_with_expansions_reach_named_lists_after_the_load),
		cmocka_unit_test(old_names_work_and_their_modern_form_is_told),
		cmocka_unit_test(domains_that_a_list_takes_without_naming_them_are_warned_of),
		cmocka_unit_test(connections_that_are_kept_are_fewer_than_all),
		cmocka_unit_test(believing_every_hosts_proxy_header_is_warned_of),
		cmocka_unit_test(sections_stand_in_any_order_and_once),
		cmocka_unit_test(acls_are_kept_as_lines_with_their_places),
		cmocka_unit_test(retry_rules_become_a_chain),
		cmocka_unit_test(what_cannot_be_says_so),
		cmocka_unit_test(authenticators_are_checked),
		cmocka_unit_test(routers_and_transports_are_tied_together),
		cmocka_unit_test(mistakes_in_routers_and_transports_are_found),
		cmocka_unit_test(a_bad_driver_hides_no_other_mistake),
		cmocka_unit_test(an_error_names_an_option_that_is_set_and_where),
		cmocka_unit_test(started_as_root_a_transport_needs_a_user),
		cmocka_unit_test(a_role_parses_the_sealed_text_without_the_system),
		cmocka_unit_test(settings_print_as_exim_prints_them),
		cmocka_unit_test(each_option_has_help_and_an_example_that_parses),
		cmocka_unit_test(each_option_of_authenticators_has_an_example_that_parses),
		cmocka_unit_test(docs_reference_is_what_the_tables_say),
		cmocka_unit_test(names_of_exim_are_sorted_for_the_search),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

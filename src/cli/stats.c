/* SPDX-License-Identifier: ISC */
#include "cli/stats.h"

#include "base/clock.h"
#include "base/fatal.h"
#include "base/interval.h"
#include "cli/command.h"

#include <getopt.h>
#include <unistd.h>

enum { FILES_MAX = 256, TOP = 10, TOP_MAX = 100000 };

struct counting {
	struct command_configuration configuration;
	const char *files[FILES_MAX]; /* --from */
	size_t file_count;
	int64_t since;                /* seconds since the epoch; 0: everything */
	struct stats_format format;
	struct stats stats;
	struct error error;
};

static bool read_one(void *context, const char *path)
{
	struct counting *counting = context;
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "reading %s\n", path);
	return stats_read(&counting->stats, path, &counting->error);
}

/* One entry of log_file_path. */
static bool read_configured(struct counting *counting, struct slice entry)
{
	char path[4096];
	struct slice before = entry, after = { 0 };
	for (size_t i = 0; i + 1 < entry.len; i++)
		if (entry.data[i] == '%' && entry.data[i + 1] == 's') {
			before = slice_first(entry, i);
			after = slice_from(entry, i + 2);
			break;
		}
	if (snprintf(path, sizeof path, "%.*s%s%.*s", SLICE_ARG(before), before.len < entry.len ? "main" : "", SLICE_ARG(after)) >=
	    (int)sizeof path)
		return error_set(&counting->error, ERROR_USAGE, "log_file_path is too long");
	return stats_each_file(path, counting->since, read_one, counting);
}

static bool read_all_configured(struct counting *counting)
{
	struct conf_problems problems;
	conf_problems_init(&problems);
	struct conf *conf = command_read_configuration(&counting->configuration, &problems, NULL);
	bool good = conf != NULL;
	if (!conf) {
		command_print_problems(&problems);
		error_set(&counting->error, ERROR_USAGE, "the configuration says where the logs are, and it has errors; --from FILE reads a file");
	}
	for (size_t i = 0; good && i < conf->main.log_file_path.count; i++)
		if (!slice_equal(conf->main.log_file_path.items[i], SLICE("syslog")))
			good = read_configured(counting, conf->main.log_file_path.items[i]);
	if (good && !counting->stats.files && !counting->since)
		good = error_set(&counting->error, ERROR_USAGE, "there is no main log where log_file_path of %s says; --from FILE reads a file",
				 command_configuration_file(&counting->configuration));
	conf_unref(&conf);
	conf_problems_free(&problems);
	return good;
}

static int count(struct counting *counting)
{
	bool good = true;
	stats_init(&counting->stats);
	if (counting->since)
		clock_format_log((time_t)counting->since, counting->stats.since, sizeof counting->stats.since);
	for (size_t i = 0; good && i < counting->file_count; i++)
		good = read_one(counting, counting->files[i]);
	if (!counting->file_count)
		good = read_all_configured(counting);
	if (good)
		stats_print(&counting->stats, &counting->format);
	else
		fprintf(stderr, "postern stats: %s\n", counting->error.text);
	stats_free(&counting->stats);
	return good ? COMMAND_DONE : counting->error.kind == ERROR_TEMPORARY ? COMMAND_TEMPORARY : COMMAND_USAGE;
}

/* "2026-11-21", "2026-11-21 10:00", "2026-11-21 10:00:00", or an interval back from now: "30m", "12h", "7d". */
static bool take_since(const char *text, int64_t *since_r)
{
	static const char *const forms[] = { "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d" };
	static const struct interval_rule ago = { .number_max = 100000, .max = INT64_MAX };
	int64_t seconds;
	if (interval_parse(slice_of(text), &ago, &seconds) && seconds > 0) {
		*since_r = clock_wall_now() / CLOCK_SECOND - seconds;
		return *since_r > 0;
	}
	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
		struct tm tm = { .tm_isdst = -1 };
		const char *end = strptime(text, forms[i], &tm);
		if (end && !*end) {
			*since_r = mktime(&tm);
			return *since_r > 0;
		}
	}
	return false;
}

static bool take(struct counting *counting, int option, const char *value, struct error *error)
{
	uint64_t number;
	switch (option) {
	case 'c': counting->configuration.file = value; return true;
	case 'D': return command_add_macro(&counting->configuration, value, error);
	case 'j': return counting->format.json = true;
	case 'f':
		if (counting->file_count == FILES_MAX)
			return error_set(error, ERROR_USAGE, "more than %d files", FILES_MAX);
		counting->files[counting->file_count++] = value;
		return true;
	case 's':
		return take_since(value, &counting->since) ||
		       error_set(error, ERROR_USAGE, "--since %.40s: expected a date as 2026-11-21, with a time behind it or not, or 30m, 12h, 7d",
				 value);
	case 't':
		if (!slice_parse_u64(slice_of(value), TOP_MAX, &number) || !number)
			return error_set(error, ERROR_USAGE, "--top %.20s: expected a number from 1 to %d", value, TOP_MAX);
		counting->format.top = (size_t)number;
		return true;
	default: return error_set(error, ERROR_USAGE, "unknown option or missing value");
	}
}

static int run(int argc, char **argv)
{
	static const struct option names[] = {
		{ "from", required_argument, NULL, 'f' }, { "since", required_argument, NULL, 's' }, { "top", required_argument, NULL, 't' },
		{ "json", no_argument, NULL, 'j' }, { 0 },
	};
	struct counting *counting = xcalloc(1, sizeof *counting);
	struct error error = { 0 };
	int option, status = COMMAND_DONE;
	optind = 0;
	opterr = 0;
	counting->format.top = TOP;
	while (!status && (option = getopt_long(argc, argv, "c:D:", names, NULL)) != -1)
		if (!take(counting, option, optarg, &error))
			status = command_usage_error(&command_stats, "%s%s%s", error.text, option == '?' ? ": " : "",
						     option == '?' ? argv[optind - 1] : "");
	counting->format.tls_only = !status && optind < argc && slice_equal(slice_of(argv[optind]), SLICE("tls"));
	if (!status && optind + (counting->format.tls_only ? 1 : 0) < argc)
		status = command_usage_error(&command_stats, "expected nothing, or tls; files are given with --from");
	if (!status)
		status = count(counting);
	free(counting);
	return status;
}

const struct command command_stats = {
	.name = "stats",
	.run = run,
	.summary = "figures from the logs: mail, TLS, failures",
	.usage = "[tls] [--from FILE]... [--since WHEN] [--top N] [--json] [-c FILE] [-D NAME=text]",
	.help = "tls            only what concerns TLS: versions and ciphers in and out, what went in clear, resumed sessions, failed handshakes\n"
		"--from FILE    a main log, gzipped or not, - for standard input; several times for several. Without it, those of the\n"
		"               configuration's log_file_path, with what rotation left beside them\n"
		"--since WHEN   a date as 2026-11-21, with a time behind it or not; or back from now: 30m, 12h, 7d\n"
		"--top N        lines of a list: 10 if not given\n"
		"--json         as JSON\n"
		"-c FILE        the configuration; otherwise $POSTERN_CONF, or /etc/postern/postern.conf\n"
		"-D NAME=text   define a macro, whatever the file defines\n",
};

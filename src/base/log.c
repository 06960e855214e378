/* SPDX-License-Identifier: ISC */
#include "base/log.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LINE_MAX_LEN = 8000 };

struct log_targets log_no_targets(void)
{
	return (struct log_targets){ .file = { -1, -1, -1 }, .syslog = -1, .terminal = -1, .facility = 2 };
}

void log_init(struct log *log, const char *role)
{
	*log = (struct log){ .to = log_no_targets() };
	snprintf(log->role, sizeof log->role, "%s", role);
}

/* Copies `text` with control characters as \ooo; bytes of UTF-8 pass. Returns the length written. */
static size_t escape(char *out, size_t size, const char *text)
{
	size_t n = 0;
	for (; *text && n + 5 < size; text++) {
		unsigned char c = (unsigned char)*text;
		if (c < 32 || c == 127)
			n += (size_t)snprintf(out + n, size - n, "\\%03o", c);
		else
			out[n++] = (char)c;
	}
	return n;
}

/* ---- Targets ---- */

enum { LOGGER = LOG_KINDS }; /* the place of the system's logger among the targets */

/* False: it is not there, or not all of it. */
static bool put(int fd, struct log_loss *loss, const char *text, size_t len)
{
	ssize_t n = write(fd, text, len);
	if (n == (ssize_t)len)
		return true;
	loss->error = n < 0 ? errno : ENOSPC;
	loss->torn |= n > 0;
	return false;
}

/* The header of RFC 3164 §4.1, without date and host, which the logger adds: severity info (6), notice (5) or alert (1). */
static bool put_to_logger(struct log *log, enum log_kind kind, const char *text, size_t len)
{
	static const int severity[LOG_KINDS] = { 6, 5, 1 };
	char line[LINE_MAX_LEN + 64];
	int n = snprintf(line, sizeof line, "<%d>postern-%s[%d]: %.*s", (int)log->to.facility * 8 + severity[kind], log->role, (int)getpid(),
			 (int)len, text);
	if (n <= 0 || put(log->to.syslog, &log->lost[LOGGER], line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1))
		return true;
	/* EAGAIN: it has too much to do, and is there. */
	if (log->lost[LOGGER].error != EAGAIN && log->logger_lost)
		log->logger_lost(log->owner, log->lost[LOGGER].error);
	return false;
}

/* Whether the target takes lines, as far as what was lost there shows. */
static bool tell_lost(struct log *log, int target)
{
	struct log_loss *loss = &log->lost[target];
	char line[256];
	int start = 0, n;
	if (!loss->lines)
		return true;
	if (target != LOGGER) {
		line[0] = '\n';
		start = loss->torn; /* ends what is there of a line */
		start += (int)clock_format_log((time_t)(clock_wall_now() / CLOCK_SECOND), line + start, sizeof line - 1);
		line[start++] = ' ';
	}
	n = start + snprintf(line + start, sizeof line - (size_t)start, "%s: %u log line%s could not be written: %s%s", log->role, loss->lines,
			     loss->lines == 1 ? "" : "s", strerror(loss->error), target != LOGGER ? "\n" : "");
	bool told = target == LOGGER ? put_to_logger(log, LOG_KIND_PANIC, line, (size_t)n) : put(log->to.file[target], loss, line, (size_t)n);
	if (told)
		*loss = (struct log_loss){ 0 };
	return told;
}

static void write_file(struct log *log, enum log_kind kind, const char *text, size_t len)
{
	if (log->to.file[kind] >= 0 && !(tell_lost(log, (int)kind) && put(log->to.file[kind], &log->lost[kind], text, len)))
		log->lost[kind].lines++;
}

static void write_syslog(struct log *log, enum log_kind kind, const char *text, size_t len)
{
	if (log->to.syslog >= 0 && !(tell_lost(log, LOGGER) && put_to_logger(log, kind, text, len)))
		log->lost[LOGGER].lines++;
}

void log_replace_logger(struct log *log, int fd)
{
	fd_close(&log->to.syslog);
	log->to.syslog = fd;
	if (fd >= 0)
		tell_lost(log, LOGGER);
}

void log_replace(struct log *log, const struct log_targets *targets)
{
	for (int kind = 0; kind < LOG_KINDS; kind++)
		fd_close(&log->to.file[kind]);
	fd_close(&log->to.syslog);
	fd_close(&log->to.terminal);
	log->to = *targets;
	for (int kind = 0; kind < LOG_KINDS; kind++)
		if (log->to.file[kind] >= 0)
			tell_lost(log, kind);
	if (log->to.syslog >= 0)
		tell_lost(log, LOGGER);
}

/* ---- Lines ---- */

static const char *colour_of(enum log_kind kind, const char *text)
{
	if (kind == LOG_KIND_PANIC)
		return "\033[1;31m";
	if (strstr(text, " <= "))
		return "\033[36m";
	if (strstr(text, " => "))
		return "\033[32m";
	if (strstr(text, " == ") || strstr(text, "rejected") || strstr(text, "TLS error"))
		return "\033[33m";
	return "";
}

static void write_terminal(struct log *log, enum log_kind kind, const char *line, size_t len)
{
	char coloured[LINE_MAX_LEN + 96];
	const char *colour = log->to.colour ? colour_of(kind, line) : "";
	int n = snprintf(coloured, sizeof coloured, "%s%.*s%s\n", colour, (int)len, line, *colour ? "\033[0m" : "");
	size_t length = (size_t)n < sizeof coloured ? (size_t)n : sizeof coloured - 1;
	if (n > 0 && write(log->to.terminal, coloured, length) < 0)
		return; /* nobody looks on any more */
}

void log_vline(struct log *log, enum log_kind kind, const char *format, va_list args)
{
	char raw[LINE_MAX_LEN - 64], line[LINE_MAX_LEN];
	vsnprintf(raw, sizeof raw, format, args);
	size_t stamp = clock_format_log((time_t)(clock_wall_now() / CLOCK_SECOND), line, sizeof line);
	line[stamp++] = ' ';
	size_t len = stamp + escape(line + stamp, sizeof line - stamp - 2, raw);
	line[len] = '\0';
	if (log->show)
		log->show(log->owner, kind, slice_make(line + stamp, len - stamp));
	if (log->to.terminal >= 0 && kind != LOG_KIND_REJECT)
		write_terminal(log, kind, line, len);
	write_syslog(log, kind, line + stamp, len - stamp);
	line[len++] = '\n';
	write_file(log, kind, line, len);
	if (kind == LOG_KIND_PANIC)
		write_file(log, LOG_KIND_MAIN, line, len);
}

void log_line(struct log *log, enum log_kind kind, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	log_vline(log, kind, format, args);
	va_end(args);
}

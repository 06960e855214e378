/* SPDX-License-Identifier: ISC */
#include "base/log.h"

#include "base/cleanup.h"
#include "base/clock.h"

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

void log_replace(struct log *log, const struct log_targets *targets)
{
	for (int kind = 0; kind < LOG_KINDS; kind++)
		fd_close(&log->to.file[kind]);
	fd_close(&log->to.syslog);
	fd_close(&log->to.terminal);
	log->to = *targets;
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

static void write_all(struct log *log, int fd, const char *text, size_t len)
{
	if (fd >= 0 && write(fd, text, len) != (ssize_t)len)
		log->lost++;
}

/* The header of RFC 3164 §4.1, without date and host, which the logger adds: severity info (6), notice (5) or alert (1). */
static void write_syslog(struct log *log, enum log_kind kind, const char *text, size_t len)
{
	static const int severity[LOG_KINDS] = { 6, 5, 1 };
	char line[LINE_MAX_LEN + 64];
	int n = snprintf(line, sizeof line, "<%d>postern-%s[%d]: %.*s", (int)log->to.facility * 8 + severity[kind], log->role, (int)getpid(),
			 (int)len, text);
	if (n > 0)
		write_all(log, log->to.syslog, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}

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
	if (n > 0)
		write_all(log, log->to.terminal, coloured, (size_t)n < sizeof coloured ? (size_t)n : sizeof coloured - 1);
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
	if (log->to.syslog >= 0)
		write_syslog(log, kind, line + stamp, len - stamp);
	line[len++] = '\n';
	write_all(log, log->to.file[kind], line, len);
	if (kind == LOG_KIND_PANIC)
		write_all(log, log->to.file[LOG_KIND_MAIN], line, len);
}

void log_line(struct log *log, enum log_kind kind, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	log_vline(log, kind, format, args);
	va_end(args);
}

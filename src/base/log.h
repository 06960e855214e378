/* SPDX-License-Identifier: ISC */
/*
 * Where log lines go: Exim's main, reject and panic logs. The master opens the descriptors (O_APPEND, or a datagram socket to
 * syslog) and hands them to each role; a line is one write. Only roles and sessions log, libraries return errors.
 * Control characters and bytes of peers are written as \ooo, so that a line is a line.
 */
#ifndef POSTERN_BASE_LOG_H
#define POSTERN_BASE_LOG_H

#include "base/slice.h"

#include <stdarg.h>

enum log_kind { LOG_KIND_MAIN, LOG_KIND_REJECT, LOG_KIND_PANIC, LOG_KINDS };

/* Descriptors, each -1 when there is none. */
struct log_targets {
	int file[LOG_KINDS];
	int syslog;        /* a datagram socket connected to the system's logger: lines carry priority and process name instead of a date */
	int terminal;      /* gets a copy of the main and panic log */
	unsigned facility; /* syslog's number of it, 2 for mail */
	bool colour;       /* on the terminal */
};

struct log {
	struct log_targets to;
	char role[16]; /* for syslog's tag, "postern-front" without the "postern-" */
	unsigned lost; /* lines that could not be written */
	/* Where there are no logs but somebody who looks on: gets each line, without its date. NULL in a server. */
	void (*show)(void *owner, enum log_kind kind, struct slice line);
	void *owner;
};

void log_init(struct log *log, const char *role);
struct log_targets log_no_targets(void);
/* Closes what was open and takes ownership of the new descriptors. */
void log_replace(struct log *log, const struct log_targets *targets);

/* One line, without newline. LOG_KIND_PANIC is written to the main log as well, as Exim does. */
void log_line(struct log *log, enum log_kind kind, const char *format, ...) __attribute__((format(printf, 3, 4)));
void log_vline(struct log *log, enum log_kind kind, const char *format, va_list args) __attribute__((format(printf, 3, 0)));

#endif

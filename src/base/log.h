/* SPDX-License-Identifier: ISC */
/*
 * Where log lines go: Exim's main, reject and panic logs. The master opens the descriptors (O_APPEND, or a datagram socket to
 * syslog) and hands them to each role; a line is one write. A line that cannot be written is lost and counted; the count goes before the
 * next line that can be. Only roles and sessions log, libraries return errors.
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

/* Lines that a target did not take, since it took one. */
struct log_loss {
	unsigned lines;
	int error;     /* of the last, an errno */
	bool torn;     /* a part of one is there, without its end */
};

struct log {
	struct log_targets to;
	char role[16]; /* for syslog's tag, "postern-front" without the "postern-" */
	struct log_loss lost[LOG_KINDS + 1]; /* of the files, and of the system's logger */
	/* The logger is not there any more: whoever can connect to it anew may want to know. Called for each line so lost; NULL: nobody. */
	void (*logger_lost)(void *owner, int error);
	/* Where there are no logs but somebody who looks on: gets each line, without its date. NULL in a server. */
	void (*show)(void *owner, enum log_kind kind, struct slice line);
	void *owner;
};

void log_init(struct log *log, const char *role);
struct log_targets log_no_targets(void);
/* Closes what was open and takes ownership of the new descriptors. What was lost is told there. */
void log_replace(struct log *log, const struct log_targets *targets);

/* Only the system's logger is replaced so. */
void log_replace_logger(struct log *log, int fd);

/* One line, without newline. LOG_KIND_PANIC is written to the main log as well, as Exim does. */
void log_line(struct log *log, enum log_kind kind, const char *format, ...) __attribute__((format(printf, 3, 4)));
void log_vline(struct log *log, enum log_kind kind, const char *format, va_list args) __attribute__((format(printf, 3, 0)));

#endif

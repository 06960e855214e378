/* SPDX-License-Identifier: ISC */
/*
 * The result of something that can fail for a reason that a person must read. Functions return false (or NULL) and fill
 * *error; the text says what was attempted, on what, what went wrong, and where it helps, what to do. Only the top of a
 * session, a role or a command logs it.
 */
#ifndef POSTERN_BASE_ERROR_H
#define POSTERN_BASE_ERROR_H

#include <stdbool.h>

enum error_kind {
	ERROR_NONE,
	ERROR_TEMPORARY, /* trying again later may help: a full disk, a busy peer */
	ERROR_PERMANENT, /* it will not */
	ERROR_USAGE,     /* the person's command or configuration is wrong */
};

struct error {
	enum error_kind kind;
	int number;     /* errno where one was the cause, otherwise 0 */
	char text[480]; /* one line, no newline at its end */
};

/* Both return false, so that a function can `return error_set(...)`. */
bool error_set(struct error *error, enum error_kind kind, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Appends ": " and the system's text for `number`; ENOSPC, EDQUOT, EAGAIN, ENOMEM, EMFILE, EINTR and EIO are temporary. */
bool error_set_errno(struct error *error, int number, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Puts context in front of the text: "opening the spool: ...". */
bool error_context(struct error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif

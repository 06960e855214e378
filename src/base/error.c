/* SPDX-License-Identifier: ISC */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool error_set(struct error *error, enum error_kind kind, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(error->text, sizeof error->text, format, args);
	va_end(args);
	error->kind = kind;
	error->number = 0;
	return false;
}

static bool is_temporary(int number)
{
	switch (number) {
	case ENOSPC: case EDQUOT: case EAGAIN: case ENOMEM: case EMFILE: case ENFILE: case EINTR: case EIO: case EROFS:
	case ETIMEDOUT: case ECONNREFUSED: case ECONNRESET: case EPIPE:
		return true;
	default:
		return false;
	}
}

bool error_set_errno(struct error *error, int number, const char *format, ...)
{
	char what[320], reason[96];
	va_list args;
	va_start(args, format);
	vsnprintf(what, sizeof what, format, args);
	va_end(args);
	snprintf(error->text, sizeof error->text, "%s: %s", what, strerror_r(number, reason, sizeof reason));
	error->kind = is_temporary(number) ? ERROR_TEMPORARY : ERROR_PERMANENT;
	error->number = number;
	return false;
}

bool error_context(struct error *error, const char *format, ...)
{
	char before[sizeof error->text], text[sizeof error->text];
	va_list args;
	va_start(args, format);
	vsnprintf(before, sizeof before, format, args);
	va_end(args);
	memcpy(text, error->text, sizeof text);
	snprintf(error->text, sizeof error->text, "%.200s: %.270s", before, text);
	return false;
}

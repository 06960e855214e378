/* SPDX-License-Identifier: ISC */
/* The message of -bem: its header lines, and the variables that its text gives. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/files.h"
#include "cli/expand_session.h"
#include "mail/field.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

enum { MESSAGE_MAX = 64 << 20 };

/* The whole file with its line ends as LF, for a body on disk and in variables has these. */
static bool read_message(const char *file, struct arena *arena, struct slice *text_r, struct error *error)
{
	_cleanup_fd_ int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat status;
	if (fd < 0 || fstat(fd, &status) < 0)
		return error_set_errno(error, errno, "cannot read the message %s", file);
	if (!S_ISREG(status.st_mode))
		return error_set(error, ERROR_USAGE, "cannot read the message %s: it is not a regular file", file);
	if (status.st_size > MESSAGE_MAX)
		return error_set(error, ERROR_USAGE, "the message %s is longer than %d MiB", file, MESSAGE_MAX >> 20);
	size_t kept = 0;
	char *data = arena_alloc(arena, (size_t)status.st_size + 1);
	ssize_t n = files_read_full(&files_real, fd, data, (size_t)status.st_size, 0);
	if (n < 0)
		return error_set_errno(error, (int)-n, "cannot read the message %s", file);
	size_t filled = (size_t)n;
	for (size_t i = 0; i < filled; i++)
		if (data[i] != '\r' || i + 1 == filled || data[i + 1] != '\n')
			data[kept++] = data[i];
	*text_r = slice_make(data, kept);
	return true;
}

static size_t count_byte(struct slice text, char byte)
{
	size_t count = 0;
	for (size_t i = 0; i < text.len; i++)
		count += text.data[i] == byte;
	return count;
}

void expand_session_take_message(struct expand_session *session, struct slice text)
{
	size_t length = mail_header_length(text);
	struct slice headers = slice_first(text, length), body = slice_from(text, length);
	if (body.len && body.data[0] == '\n')
		body = slice_from(body, 1);
	if (headers.len && headers.data[headers.len - 1] != '\n')
		headers = arena_printf(&session->arena, "%.*s\n", SLICE_ARG(headers));
	session->message = (struct expand_message){
		.headers = headers, .received = 1, .body = body, .whole = true,
		.visible = (size_t)session->conf->main.message_body_visible, .newlines = session->conf->main.message_body_newlines,
	};
	session->has_message = true;
	expand_session_set_number(session, "received_time", clock_wall_now() / CLOCK_SECOND);
	expand_session_set_number(session, "message_size", (int64_t)text.len);
	expand_session_set_number(session, "message_linecount", (int64_t)count_byte(text, '\n'));
}

bool expand_session_message(struct expand_session *session, const char *file, struct error *error)
{
	struct slice text;
	if (!read_message(file, &session->arena, &text, error))
		return false;
	expand_session_take_message(session, text);
	return true;
}

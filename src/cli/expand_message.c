/* SPDX-License-Identifier: ISC */
/* The message of -bem: its header lines, and the variables that its text gives. */
#include "base/cleanup.h"
#include "cli/expand_session.h"

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
	size_t size = (size_t)status.st_size, filled = 0, kept = 0;
	char *data = arena_alloc(arena, size + 1);
	while (filled < size) {
		ssize_t got = read(fd, data + filled, size - filled);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return error_set_errno(error, errno, "cannot read the message %s", file);
		if (got == 0)
			break;
		filled += (size_t)got;
	}
	for (size_t i = 0; i < filled; i++)
		if (data[i] != '\r' || i + 1 == filled || data[i + 1] != '\n')
			data[kept++] = data[i];
	*text_r = slice_make(data, kept);
	return true;
}

/* Whether the line at the start of the text begins a header line: a name of printing characters, and a colon. */
static bool is_header(struct slice text)
{
	size_t i = 0;
	while (i < text.len && text.data[i] > 32 && text.data[i] < 127 && text.data[i] != ':')
		i++;
	size_t name = i;
	while (i < text.len && (text.data[i] == ' ' || text.data[i] == '\t'))
		i++;
	return name > 0 && i < text.len && text.data[i] == ':';
}

/* Length of the header lines: up to the empty line, or to the first line that can be none. */
static size_t header_length(struct slice text)
{
	size_t at = 0;
	while (at < text.len) {
		struct slice rest = slice_from(text, at);
		bool folded = at > 0 && (rest.data[0] == ' ' || rest.data[0] == '\t');
		if (rest.data[0] == '\n' || (!folded && !is_header(rest)))
			break;
		size_t end = slice_find(rest, '\n');
		at += end + (end < rest.len);
	}
	return at;
}

static size_t count_byte(struct slice text, char byte)
{
	size_t count = 0;
	for (size_t i = 0; i < text.len; i++)
		count += text.data[i] == byte;
	return count;
}

/* Line ends and NULs become spaces, as $message_body shows them; line ends may stay. */
static struct slice visible(struct arena *arena, struct slice text, bool newlines)
{
	struct slice copy = arena_copy(arena, text);
	char *data = (char *)(uintptr_t)copy.data;
	for (size_t i = 0; i < copy.len; i++)
		if ((data[i] == '\n' && !newlines) || data[i] == '\0')
			data[i] = ' ';
	return copy;
}

/* The value of the first header line of that name, without white space around it; data NULL when there is none. */
static struct slice find_header(struct slice headers, struct slice name)
{
	while (headers.len) {
		size_t end = slice_find(headers, '\n');
		while (end + 1 < headers.len && (headers.data[end + 1] == ' ' || headers.data[end + 1] == '\t'))
			end += 1 + slice_find(slice_from(headers, end + 1), '\n');
		struct slice line = slice_first(headers, end);
		size_t colon = slice_find(line, ':');
		if (colon < line.len && slice_equal_nocase(slice_trim(slice_first(line, colon)), name))
			return slice_trim(slice_from(line, colon + 1));
		headers = slice_from(headers, end + 1);
	}
	return (struct slice){ 0 };
}

static void set_body(struct expand_session *session, struct slice body)
{
	size_t size = (size_t)session->conf->main.message_body_visible;
	bool newlines = session->conf->main.message_body_newlines;
	struct slice first = slice_first(body, size), last = slice_from(body, body.len > size ? body.len - size : 0);
	expand_session_set(session, "message_body", visible(&session->arena, first, newlines), true);
	expand_session_set(session, "message_body_end", visible(&session->arena, last, newlines), true);
	expand_session_set_number(session, "message_body_size", (int64_t)body.len);
	expand_session_set_number(session, "body_linecount", (int64_t)count_byte(body, '\n'));
	expand_session_set_number(session, "body_zerocount", (int64_t)count_byte(body, '\0'));
}

void expand_session_take_message(struct expand_session *session, struct slice text)
{
	size_t length = header_length(text);
	struct slice headers = slice_first(text, length), body = slice_from(text, length);
	if (body.len && body.data[0] == '\n')
		body = slice_from(body, 1);
	if (headers.len && headers.data[headers.len - 1] != '\n')
		headers = arena_printf(&session->arena, "%.*s\n", SLICE_ARG(headers));
	session->headers = headers;
	session->has_message = true;
	struct slice reply = find_header(headers, SLICE("Reply-To"));
	expand_session_set(session, "reply_address", reply.len ? reply : find_header(headers, SLICE("From")), true);
	expand_session_set(session, "message_headers", headers, true);
	expand_session_set(session, "message_headers_raw", headers, true);
	set_body(session, body);
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

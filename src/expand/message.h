/* SPDX-License-Identifier: ISC */
/*
 * Variables that the text of a message gives: $message_headers and $message_headers_raw, $reply_address, $received_count,
 * $message_body and $message_body_end, and its sizes. Texts come as they are at hand, with LF or CRLF at the ends of lines.
 */
#ifndef POSTERN_EXPAND_MESSAGE_H
#define POSTERN_EXPAND_MESSAGE_H

#include "base/arena.h"
#include "expand/variable.h"

struct expand_message {
	struct slice headers;   /* all header lines, without the empty line behind them */
	unsigned received;      /* Received: fields to be added to those that are there: 1 while the message is coming in */
	struct slice body;      /* from its first byte, as much of it as is at hand */
	bool whole;             /* that is all of the body: otherwise its end and its sizes are not known */
	size_t visible;         /* message_body_visible */
	bool newlines;          /* message_body_newlines */
};

/* False when the variable is none of these, or not known. The text lies in `arena`; it is a peer's. */
bool expand_message_variable(const struct expand_message *message, enum expand_variable variable, struct arena *arena,
			     struct slice *text_r);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * The SMTP server core under hostile input. The first byte chooses settings, the second how the rest is cut into pieces. Without
 * synchronisation checks (which look at what came in together) events and replies must not depend on the pieces.
 */
#include "smtp/mini_session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum choice {
	CHOOSE_SYNC = 1,
	CHOOSE_STARTTLS = 2,
	CHOOSE_SMALL = 4,    /* small limits */
	CHOOSE_PATIENT = 8,  /* no limits on errors */
	CHOOSE_REFUSE = 16,  /* bodies are refused half way */
	CHOOSE_NO_DATA = 32,
	CHOOSE_AUTH = 64,
	CHOOSE_AUTH_IN_TLS = 128,
};

static void open_session(struct mini_session *session, unsigned choice)
{
	mini_open(session, MINI_ALL | (choice & CHOOSE_STARTTLS ? SMTP_OFFER_STARTTLS : 0) |
				   (choice & CHOOSE_AUTH_IN_TLS ? SMTP_AUTH_NEEDS_TLS : 0));
	session->offer_auth = choice & CHOOSE_AUTH;
	session->settings.enforce_sync = choice & CHOOSE_SYNC;
	if (choice & CHOOSE_SMALL) {
		session->settings.message_size_limit = 40;
		session->settings.discard_max = 60;
		session->settings.recipients_max = 1;
		session->settings.accept_max_per_connection = 2;
	}
	if (choice & CHOOSE_PATIENT)
		session->settings.max_synprot_errors = session->settings.max_unknown_commands =
			session->settings.accept_max_nonmail = SMTP_NO_LIMIT;
	session->refuse_after = choice & CHOOSE_REFUSE ? 20 : 0;
	session->data_code = choice & CHOOSE_NO_DATA ? 451 : 0;
	mini_begin(session);
}

/* Whatever came in: replies are lines that begin with a code and end in CRLF, without control characters. */
static void check_replies(struct slice replies)
{
	while (replies.len) {
		size_t end = slice_find(replies, '\r');
		ensure(end >= 4 && end + 1 < replies.len && replies.data[end + 1] == '\n' && end <= 512);
		ensure(replies.data[0] >= '2' && replies.data[0] <= '5' && ascii_is_digit(replies.data[1]) && ascii_is_digit(replies.data[2]));
		ensure(replies.data[3] == ' ' || replies.data[3] == '-');
		for (size_t i = 4; i < end; i++)
			ensure((unsigned char)replies.data[i] >= 32 && replies.data[i] != 127);
		replies = slice_from(replies, end + 2);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mini_session whole, split;
	if (size < 2 || size > 60000)
		return 0;
	struct slice text = slice_make(data + 2, size - 2);
	unsigned choice = data[0], step = data[1];
	open_session(&whole, choice);
	open_session(&split, choice);
	mini_feed(&whole, text, text.len + 1);
	for (size_t at = 0; at < text.len && !split.closed; at += step % 13 + 1, step = step * 5 + 3)
		mini_feed(&split, slice_first(slice_from(text, at), step % 13 + 1), 13);
	check_replies(buf_slice(&whole.replies));
	check_replies(buf_slice(&split.replies));
	/* Which of two limits is met first depends on the pieces as well. */
	bool two_limits = choice & CHOOSE_SMALL && choice & CHOOSE_REFUSE;
	if (!(choice & (CHOOSE_SYNC | CHOOSE_STARTTLS)) && !two_limits) {
		ensure(slice_equal(buf_slice(&whole.replies), buf_slice(&split.replies)));
		/* How much of a message was given out before it was refused may differ, and so may events then. */
		ensure((choice & (CHOOSE_SMALL | CHOOSE_REFUSE)) || slice_equal(buf_slice(&whole.events), buf_slice(&split.events)));
	}
	mini_close(&whole);
	mini_close(&split);
	return 0;
}

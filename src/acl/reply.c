/* SPDX-License-Identifier: ISC */
/* From an ACL's result to the SMTP reply and the log (Exim's manual, chapter 44 §13 and `message` in §21). */
#include "acl/private.h"

/* "5.7.1 ": class, subject, detail (RFC 3463 §2), and a blank. The length with the blank, or 0. */
static size_t enhanced_length(struct slice text)
{
	size_t at = 0;
	for (unsigned part = 0; part < 3; part++) {
		size_t digits = 0, most = part ? 3 : 1;
		while (at + digits < text.len && digits < most && ascii_is_digit(text.data[at + digits]))
			digits++;
		at += digits;
		char end = part < 2 ? '.' : ' ';
		if (digits == 0 || at >= text.len || text.data[at] != end)
			return 0;
		at++;
	}
	return at;
}

/* "550 ", "550 5.7.1 " at the start of a message. False: there is no code. */
static bool take_codes(struct slice *text, unsigned *code_r, struct slice *enhanced_r)
{
	uint64_t code;
	if (text->len < 4 || !ascii_is_space(text->data[3]) || !slice_parse_u64(slice_first(*text, 3), 999, &code))
		return false;
	*code_r = (unsigned)code;
	*text = slice_from(*text, 4);
	size_t len = enhanced_length(*text);
	*enhanced_r = len ? slice_first(*text, len - 1) : (struct slice){ 0 };
	*text = slice_from(*text, len);
	return true;
}

/* RFC 2034 §4: each line of a reply carries the code. */
static struct slice prefix_lines(struct slice text, struct slice enhanced, struct arena *arena)
{
	struct slice out = { 0 };
	do {
		struct slice line = slice_cut(&text, '\n');
		out = arena_printf(arena, "%.*s%s%.*s %.*s", SLICE_ARG(out), out.len ? "\n" : "", SLICE_ARG(enhanced), SLICE_ARG(line));
	} while (text.len);
	return out;
}

static unsigned default_code(enum acl_point point, const struct acl_result *result)
{
	const struct acl_point_info *info = acl_point_info(point);
	switch (result->outcome) {
	case ACL_ACCEPT:
	case ACL_DISCARD: return info->accept;
	case ACL_DENY:
	case ACL_DROP: return info->deny;
	case ACL_DEFER:
	case ACL_ERROR: return 451;
	}
	return 451;
}

static struct slice default_text(const struct acl_result *result)
{
	switch (result->outcome) {
	case ACL_ACCEPT:
	case ACL_DISCARD: return (struct slice){ 0 };
	case ACL_DENY:
	case ACL_DROP: return SLICE("Administrative prohibition");
	default: return SLICE("Temporary local problem - please try later");
	}
}

struct acl_answer acl_reply(const struct acl_session *session, enum acl_point point, const struct acl_result *result,
			    struct arena *arena)
{
	struct acl_answer answer = { .code = default_code(point, result), .drop = result->outcome == ACL_DROP };
	bool temporary = result->outcome == ACL_DEFER || result->outcome == ACL_ERROR;
	struct slice text = result->message, enhanced = { 0 };
	unsigned code;
	if (!text.data || answer.code == 0 || (temporary && !result->details)) {
		answer.text = default_text(result);
		return answer;
	}
	text = arena_copy(arena, text);
	if (take_codes(&text, &code, &enhanced)) {
		/* The first digit belongs to the outcome; VRFY may answer anything, QUIT nothing else. */
		bool fits = code / 100 == answer.code / 100 || (point == ACL_POINT_VRFY && code >= 200 && code < 600);
		answer.wrong_digit = !fits;
		if (fits)
			answer.code = point == ACL_POINT_QUIT ? answer.code : code;
		else
			enhanced = (struct slice){ 0 };
	}
	if (session->no_multiline || point == ACL_POINT_HELO)
		text = slice_first(text, slice_find(text, '\n'));
	const struct acl_sender_failure *failure = &result->sender_failure;
	if (failure->address.len && !session->no_multiline)
		text = arena_printf(arena, "Verification failed for <%.*s>\n%.*s\n%.*s", SLICE_ARG(failure->address), SLICE_ARG(failure->message),
				    SLICE_ARG(text));
	answer.text = enhanced.len ? prefix_lines(text, enhanced, arena) : text;
	return answer;
}

struct slice acl_log_text(const struct acl_result *result, const struct acl_answer *answer, struct arena *arena)
{
	struct slice text = result->log_message;
	/* The log shows the code that was sent. */
	if (answer->wrong_digit && text.data == result->message.data)
		text = arena_printf(arena, "%u %.*s", answer->code, SLICE_ARG(answer->text));
	if (text.len == 0)
		return SLICE("");
	return arena_printf(arena, ": %.*s", SLICE_ARG(slice_first(text, slice_find(text, '\n'))));
}

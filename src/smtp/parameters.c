/* SPDX-License-Identifier: ISC */
/* Parameters of MAIL and RCPT. Known are only those of the extensions that the client was told of. */
#include "smtp/internal.h"

static bool read_size(struct slice value, bool has_value, struct arena *arena, struct smtp_mail_parameters *mail)
{
	(void)arena;
	mail->has_size = true;
	/* RFC 1870 §3: at most 20 digits. */
	return has_value && value.len <= 20 && slice_parse_u64(value, UINT64_MAX, &mail->size);
}

static bool read_body(struct slice value, bool has_value, struct arena *arena, struct smtp_mail_parameters *mail)
{
	(void)arena;
	/* RFC 6152 §3. BINARYMIME (RFC 3030 §3) is not offered. */
	mail->body = slice_equal_nocase(value, SLICE("8BITMIME")) ? SMTP_BODY_8BITMIME : SMTP_BODY_7BIT;
	return has_value && (mail->body == SMTP_BODY_8BITMIME || slice_equal_nocase(value, SLICE("7BIT")));
}

static bool read_smtputf8(struct slice value, bool has_value, struct arena *arena, struct smtp_mail_parameters *mail)
{
	(void)arena;
	(void)value;
	mail->smtputf8 = true; /* RFC 6531 §3.4: without a value */
	return !has_value;
}

/* RFC 4954 §5: an address in xtext (RFC 3461 §4), or "<>" for none that is known. */
static bool read_auth(struct slice value, bool has_value, struct arena *arena, struct smtp_mail_parameters *mail)
{
	char *out = arena_alloc(arena, value.len + 1);
	size_t size = 0;
	mail->has_auth = true;
	mail->auth_text = value;
	if (slice_equal(value, SLICE("<>")))
		return true;
	for (size_t i = 0; i < value.len; i++) {
		uint64_t code = (unsigned char)value.data[i];
		if (code == '=')
			return false;
		if (code == '+') {
			if (!slice_parse_hex(slice_first(slice_from(value, i + 1), 2), 255, &code) || i + 2 >= value.len)
				return false;
			i += 2;
		}
		/* What does not print does not belong into an address, and not into logs. */
		if (code <= 32 || code >= 127)
			return false;
		out[size++] = (char)code;
	}
	mail->auth = slice_make(out, size);
	return has_value && size > 0 && value.len <= 500; /* RFC 4954 §5 */
}

static const struct {
	struct slice keyword;
	unsigned extension; /* that was offered; 0: any EHLO */
	bool (*read)(struct slice value, bool has_value, struct arena *arena, struct smtp_mail_parameters *mail);
} mail_parameters[] = {
	{ SLICE("SIZE"), SMTP_OFFER_SIZE, read_size },
	{ SLICE("BODY"), SMTP_OFFER_8BITMIME, read_body },
	{ SLICE("SMTPUTF8"), SMTP_OFFER_SMTPUTF8, read_smtputf8 },
	/* A client that is authenticated is not offered AUTH again. */
	{ SLICE("AUTH"), 0, read_auth },
};
enum { MAIL_PARAMETERS = sizeof mail_parameters / sizeof mail_parameters[0] };

/* Whether a client may use it now. */
static bool known(const struct smtp_server *server, size_t i)
{
	return mail_parameters[i].extension ? server->advertised & mail_parameters[i].extension : server->extended;
}

static bool failed(struct smtp_server *server, unsigned code, const char *what, struct slice keyword, unsigned *code_r,
                   struct slice *text_r)
{
	*code_r = code;
	*text_r = arena_printf(&server->scratch, "%.*s: %s", SLICE_ARG(slice_first(keyword, 64)), what);
	return false;
}

/* Blank-separated; repeated blanks are let pass. */
static struct slice next_word(struct slice *text)
{
	*text = slice_trim(*text);
	size_t end = 0;
	while (end < text->len && !ascii_is_space(text->data[end]))
		end++;
	struct slice word = slice_first(*text, end);
	*text = slice_from(*text, end);
	return word;
}

bool smtp_parse_mail_parameters(struct smtp_server *server, struct slice text, struct smtp_mail_parameters *mail,
                                unsigned *code_r, struct slice *text_r)
{
	unsigned seen = 0;
	*mail = (struct smtp_mail_parameters){ 0 };
	for (struct slice word = next_word(&text); word.len; word = next_word(&text)) {
		struct slice value = word, keyword = slice_cut(&value, '=');
		bool has_value = keyword.len < word.len;
		size_t i = 0;
		while (i < MAIL_PARAMETERS && (!slice_equal_nocase(keyword, mail_parameters[i].keyword) || !known(server, i)))
			i++;
		/* RFC 5321 §4.1.1.11 gives the code. */
		if (i == MAIL_PARAMETERS)
			return failed(server, 555, "MAIL parameter not recognized or not advertised", keyword, code_r, text_r);
		if (seen & 1u << i)
			return failed(server, 501, "MAIL parameter given twice", keyword, code_r, text_r);
		seen |= 1u << i;
		if (!mail_parameters[i].read(value, has_value, &server->scratch, mail))
			return failed(server, 501, "invalid data for MAIL parameter", keyword, code_r, text_r);
	}
	return true;
}

bool smtp_parse_rcpt_parameters(struct smtp_server *server, struct slice text, unsigned *code_r, struct slice *text_r)
{
	struct slice word = next_word(&text), keyword = slice_cut(&word, '=');
	if (keyword.len || word.len)
		return failed(server, 555, "RCPT parameter not recognized or not advertised", keyword, code_r, text_r);
	return true;
}

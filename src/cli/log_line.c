/* SPDX-License-Identifier: ISC */
#include "cli/log_line.h"

#include "base/id.h"

/* Digits where the pattern has a 0, otherwise the same byte. */
static bool has_form(struct slice text, struct slice form)
{
	if (text.len < form.len)
		return false;
	for (size_t i = 0; i < form.len; i++)
		if (form.data[i] == '0' ? !ascii_is_digit(text.data[i]) : text.data[i] != form.data[i])
			return false;
	return true;
}

static struct slice skip_blanks(struct slice s)
{
	while (s.len && s.data[0] == ' ')
		s = slice_from(s, 1);
	return s;
}

/*
 * Cuts the next word off: up to a blank, but a quoted part belongs to its word, blanks and all (quoted local parts, T= and C=). A
 * quote that nothing closes is an ordinary byte, and so is one behind a backslash: after one search in vain there is no other, so that
 * a line takes time in proportion to its length.
 */
static struct slice take_word(struct slice *rest)
{
	*rest = skip_blanks(*rest);
	size_t at = 0;
	while (at < rest->len && rest->data[at] != ' ') {
		size_t end = at + 1;
		if (rest->data[at] == '"') {
			while (end < rest->len && rest->data[end] != '"')
				end += rest->data[end] == '\\' ? 2 : 1;
			end = end < rest->len ? end + 1 : at + 1;
		} else if (rest->data[at] == '\\' && end < rest->len && (rest->data[end] == '"' || rest->data[end] == '\\'))
			end++;
		at = end;
	}
	struct slice word = slice_first(*rest, at);
	*rest = slice_from(*rest, at);
	return word;
}

/* ---- The parts of a line ---- */

/* "2026-11-21 10:00:00", then what log_selector may add: milliseconds, a zone, the process in brackets. */
static bool take_stamp(struct slice *rest, struct slice *stamp_r)
{
	if (!has_form(*rest, SLICE("0000-00-00 00:00:00")))
		return false;
	*stamp_r = slice_first(*rest, LOG_STAMP_LEN);
	*rest = slice_from(*rest, LOG_STAMP_LEN);
	if (has_form(*rest, SLICE(".000")))
		*rest = slice_from(*rest, 4);
	*rest = skip_blanks(*rest);
	if (has_form(*rest, SLICE("+0000")) || has_form(*rest, SLICE("-0000")))
		*rest = skip_blanks(slice_from(*rest, 5));
	size_t end = slice_find(*rest, ']');
	uint64_t process;
	if (rest->len && rest->data[0] == '[' && end < rest->len && slice_parse_u64(slice_from(slice_first(*rest, end), 1), UINT32_MAX, &process))
		*rest = skip_blanks(slice_from(*rest, end + 1));
	return true;
}

/* "[192.0.2.1]:25" -> "192.0.2.1"; anything else is empty. */
static struct slice bracketed(struct slice word)
{
	size_t end = slice_find(word, ']');
	if (word.len < 3 || word.data[0] != '[' || end >= word.len || end > 60)
		return (struct slice){ 0 };
	struct slice inner = slice_from(slice_first(word, end), 1);
	for (size_t i = 0; i < inner.len; i++)
		if (!ascii_is_alnum(inner.data[i]) && inner.data[i] != '.' && inner.data[i] != ':')
			return (struct slice){ 0 };
	return inner;
}

/* A host is "name (helo) [address]", each part but the last optional: the words up to the one in brackets, four at most. */
static struct slice take_host(struct slice first, struct slice *rest)
{
	struct slice word = first, at = *rest, found = bracketed(word);
	for (int i = 0; i < 3 && !found.len && at.len; i++) {
		word = take_word(&at);
		found = bracketed(word);
	}
	if (found.len)
		*rest = at;
	return found;
}

/* "TLS1.3:TLS_AES_256_GCM_SHA384:256", with "*" when resumed (log_selector +tls_resumption). Older Exims write TLSv1.2. */
static void take_cipher(struct slice value, struct log_entry *entry)
{
	if (value.len && value.data[value.len - 1] == '*') {
		entry->resumed = true;
		value.len--;
	}
	struct slice cipher = value;
	entry->version = slice_cut(&cipher, ':');
	entry->cipher = slice_first(cipher, slice_find_last(cipher, ':'));
	if (!entry->cipher.len)
		entry->cipher = SLICE("unknown");
	for (size_t i = 0; i < entry->version.len; i++)
		if (!ascii_is_print(entry->version.data[i]))
			entry->version = SLICE("unknown");
}

static void take_protocol(struct slice value, struct log_entry *entry)
{
	entry->protocol = value;
}

static void take_verified(struct slice value, struct log_entry *entry)
{
	entry->verified = slice_equal(value, SLICE("yes")) || slice_equal(value, SLICE("dane"));
}

static void take_size(struct slice value, struct log_entry *entry)
{
	slice_parse_u64(value, INT64_MAX, &entry->size);
}

static void take_fields(struct slice rest, struct log_entry *entry)
{
	static const struct { struct slice name; void (*take)(struct slice value, struct log_entry *entry); } fields[] = {
		{ SLICE("X="), take_cipher }, { SLICE("CV="), take_verified }, { SLICE("P="), take_protocol }, { SLICE("S="), take_size },
	};
	enum { FIELDS = sizeof fields / sizeof *fields };
	bool seen[FIELDS] = { 0 }, host_seen = false;
	/* Each field counts where it stands first: what a peer can put into a line comes behind. */
	while ((rest = skip_blanks(rest)).len) {
		struct slice word = take_word(&rest);
		if (!host_seen && slice_starts(word, SLICE("H="))) {
			host_seen = true;
			entry->host = take_host(slice_from(word, 2), &rest);
		}
		for (size_t i = 0; i < FIELDS; i++)
			if (!seen[i] && slice_starts(word, fields[i].name)) {
				seen[i] = true;
				fields[i].take(slice_from(word, fields[i].name.len), entry);
				break;
			}
	}
}

/* ---- Kinds of lines ---- */

static bool arrival(struct slice rest, struct log_entry *entry)
{
	take_word(&rest); /* the sender */
	take_fields(rest, entry);
	return true;
}

static bool delivery(struct slice rest, struct log_entry *entry)
{
	take_word(&rest);
	take_fields(rest, entry);
	return true;
}

static bool further_delivery(struct slice rest, struct log_entry *entry)
{
	entry->another = true;
	return delivery(rest, entry);
}

static bool only_fields(struct slice rest, struct log_entry *entry)
{
	take_fields(rest, entry);
	return true;
}

/* Numbers of the library's errors differ from place to place: "error:0A000102:SSL routines::unsupported protocol". */
static struct slice without_numbers(struct slice reason)
{
	struct slice rest = reason;
	for (int i = 0; slice_starts(reason, SLICE("error:")) && i < 4 && slice_find(rest, ':') < rest.len; i++)
		slice_cut(&rest, ':');
	return rest.len ? rest : reason;
}

/*
 * Behind the host: "(SSL_accept): reason", or what kept the handshake from going on, as in "choosing the certificate for NAME: reason";
 * and what the client offered in a last pair of parentheses. The name is the client's, so it is no part of the reason.
 */
static bool handshake_error(struct slice rest, struct log_entry *entry)
{
	struct slice first = take_word(&rest), reason;
	entry->host = take_host(slice_starts(first, SLICE("H=")) ? slice_from(first, 2) : first, &rest);
	rest = skip_blanks(rest);
	bool quoted = slice_starts(rest, SLICE("("));
	if (!quoted && (!entry->host.len || !rest.len || slice_starts(rest, SLICE("while "))))
		return false;
	if (quoted)
		rest = slice_from(rest, slice_find(rest, ')') + 1);
	else if (slice_starts(rest, SLICE("choosing the certificate for ")))
		rest = slice_from(rest, slice_find(rest, ':'));
	reason = slice_trim(slice_starts(rest, SLICE(":")) ? slice_from(rest, 1) : rest);
	for (size_t i = 0; i < reason.len; i++)
		if (slice_starts(slice_from(reason, i), SLICE(" (offered ")))
			reason.len = i;
	entry->reason = reason.len ? without_numbers(reason) : SLICE("no reason given");
	return true;
}

/*
 * "H=... STARTTLS refused: reason", "H=... TLS on connect refused: reason": behind the host, and behind fields of the connection
 * such as I=[...]:25.
 */
static bool tls_refusal(struct slice rest, struct log_entry *entry)
{
	static const struct slice kinds[] = { SLICE("STARTTLS refused: "), SLICE("TLS on connect refused: ") };
	static const struct slice usual = SLICE("TLS is configured but cannot be used: ");
	entry->host = take_host(slice_from(take_word(&rest), 2), &rest);
	for (struct slice at = rest, word = take_word(&at); word.len > 2 && word.data[1] == '='; word = take_word(&at))
		rest = at;
	rest = skip_blanks(rest);
	for (size_t i = 0; entry->host.len && i < sizeof kinds / sizeof *kinds; i++) {
		if (!slice_starts(rest, kinds[i]))
			continue;
		rest = slice_from(rest, kinds[i].len);
		rest = slice_trim(slice_starts(rest, usual) ? slice_from(rest, usual.len) : rest);
		entry->reason = rest.len ? without_numbers(rest) : SLICE("no reason given");
		return true;
	}
	return false;
}

/* "H=... rejected RCPT <...>: ...": the word comes behind the host, before anything that the peer said at length. */
static bool rejection(struct slice rest, struct log_entry *entry)
{
	take_fields(rest, entry);
	for (int words = 0; words < 24 && rest.len; words++)
		if (slice_equal(take_word(&rest), SLICE("rejected")))
			return entry->host.len > 0;
	return false;
}

static const struct {
	struct slice start; /* behind the date and the identifier */
	bool with_id;       /* whether there must be one */
	enum log_event event;
	bool (*take)(struct slice rest, struct log_entry *entry);
} kinds[] = {
	{ SLICE("<= "), true, LOG_ARRIVAL, arrival },
	{ SLICE("=> "), true, LOG_DELIVERY, delivery },
	{ SLICE("-> "), true, LOG_DELIVERY, further_delivery },
	{ SLICE(">> "), true, LOG_DELIVERY, delivery },
	{ SLICE("== "), true, LOG_DEFERRED, only_fields },
	{ SLICE("** "), true, LOG_FAILED, only_fields },
	{ SLICE("Completed"), true, LOG_COMPLETED, only_fields },
	{ SLICE("TLS error on connection from "), false, LOG_HANDSHAKE_ERROR, handshake_error },
	{ SLICE("H="), false, LOG_TLS_REFUSED, tls_refusal },
	{ SLICE("H="), false, LOG_REJECTED, rejection },
};

bool log_line_parse(struct slice line, struct log_entry *entry_r)
{
	*entry_r = (struct log_entry){ .event = LOG_OTHER };
	if (!take_stamp(&line, &entry_r->stamp))
		return false;
	struct slice rest = line;
	struct slice word = take_word(&rest);
	if (message_id_valid(word)) {
		entry_r->id = word;
		line = skip_blanks(rest);
	}
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		if (!slice_starts(line, kinds[i].start) || (kinds[i].with_id && !entry_r->id.len))
			continue;
		bool keeps_start = slice_equal(kinds[i].start, SLICE("H="));
		if (!kinds[i].take(keeps_start ? line : slice_from(line, kinds[i].start.len), entry_r))
			continue;
		entry_r->event = kinds[i].event;
		break;
	}
	return true;
}

/* SPDX-License-Identifier: ISC */
#include "auth/dovecot_protocol.h"

#include "mail/base64.h"

#include <unistd.h>

/* There is one request on a connection. */
#define REQUEST "1"

/* ---- What we say ---- */

struct slice dovecot_greeting(struct arena *arena)
{
	return arena_printf(arena, "VERSION\t1\t1\nCPID\t%ld\n", (long)getpid());
}

/* "\trip=192.0.2.1" */
static struct slice address_word(const char *name, struct slice address, struct arena *arena)
{
	return address.len ? arena_printf(arena, "\t%s=%.*s", name, SLICE_ARG(address)) : (struct slice){ 0 };
}

struct slice dovecot_request(const struct dovecot_protocol *protocol, const struct dovecot_client *client, const struct slice *initial,
			     struct arena *arena)
{
	struct slice remote = address_word("rip", client->client, arena), local = address_word("lip", client->local, arena);
	struct slice response = initial ? mail_base64_encode(*initial, arena) : (struct slice){ 0 };
	/* nologin: there will be no question to its master process. The initial response comes last. */
	return arena_printf(arena, "AUTH\t" REQUEST "\t%.*s\tservice=smtp%s%s%.*s%.*s\tnologin%s%.*s\n", SLICE_ARG(protocol->mechanism),
			    client->certificate ? "\tvalid-client-cert" : "", client->secured ? "\tsecured" : "", SLICE_ARG(remote),
			    SLICE_ARG(local), initial ? "\tresp=" : "", SLICE_ARG(response));
}

struct slice dovecot_response(struct slice bytes, struct arena *arena)
{
	return arena_printf(arena, "CONT\t" REQUEST "\t%.*s\n", SLICE_ARG(mail_base64_encode(bytes, arena)));
}

/* ---- What it says ---- */

static enum dovecot_event later(struct error *error, const char *why)
{
	error_set(error, ERROR_TEMPORARY, "%s", why);
	return DOVECOT_LATER;
}

/* Tabs, line ends, NUL and \001 within a word are \001 and a letter. False: a letter that is none of these. */
static bool unescape(struct slice word, struct arena *arena, struct slice *text_r)
{
	static const struct slice letters = SLICE("01trn");
	static const char meanings[] = "\0\001\t\r\n";
	char *out = arena_alloc(arena, word.len + 1);
	size_t size = 0;
	for (size_t i = 0; i < word.len; i++) {
		out[size] = word.data[i];
		if (word.data[i] == '\001') {
			size_t at = ++i < word.len ? slice_find(letters, word.data[i]) : letters.len;
			if (at == letters.len)
				return false;
			out[size] = meanings[at];
		}
		size++;
	}
	*text_r = slice_make(out, size);
	return true;
}

/* What is behind "name=" among these words; false: the word is not there. */
static bool find_word(struct slice words, struct slice name, struct slice *value_r)
{
	while (words.len) {
		struct slice word = slice_cut(&words, '\t');
		if (!slice_starts(word, name))
			continue;
		*value_r = slice_from(word, name.len);
		return true;
	}
	return false;
}

static bool has_word(struct slice words, struct slice wanted)
{
	while (words.len)
		if (slice_equal(slice_cut(&words, '\t'), wanted))
			return true;
	return false;
}

/* The user's name; empty when there is none. False: it is malformed. */
static bool find_user(struct slice words, struct arena *arena, struct slice *user_r)
{
	struct slice word;
	*user_r = (struct slice){ 0 };
	return !find_word(words, SLICE("user="), &word) || (unescape(word, arena, user_r) && slice_find(*user_r, '\0') == user_r->len);
}

static enum dovecot_event take_greeting(struct dovecot_protocol *protocol, struct slice command, struct slice words, struct error *error)
{
	if (slice_equal(command, SLICE("VERSION"))) {
		/* A minor version only adds. */
		if (!slice_equal(slice_cut(&words, '\t'), SLICE("1")))
			return later(error, "it speaks another version of the protocol");
		protocol->versioned = true;
	} else if (slice_equal(command, SLICE("MECH"))) {
		protocol->offered |= slice_equal_nocase(slice_cut(&words, '\t'), protocol->mechanism);
	} else if (slice_equal(command, SLICE("DONE"))) {
		if (!protocol->versioned)
			return later(error, "it does not speak the protocol of Dovecot's auth-client");
		if (!protocol->offered)
			return later(error, "it does not have the mechanism");
		protocol->greeted = true;
		return DOVECOT_GREETED;
	}
	return DOVECOT_WAIT;
}

static enum dovecot_event take_answer(struct slice command, struct slice words, struct arena *arena, struct slice *text_r,
				      struct error *error)
{
	bool more = slice_equal(command, SLICE("CONT")), yes = slice_equal(command, SLICE("OK"));
	if (!more && !yes && !slice_equal(command, SLICE("FAIL")))
		return DOVECOT_WAIT;
	if (!slice_equal(slice_cut(&words, '\t'), SLICE(REQUEST)))
		return later(error, "it answers a question that was not asked");
	if (more)
		return mail_base64_decode(slice_cut(&words, '\t'), arena, text_r) ? DOVECOT_CHALLENGE : later(error, "a malformed challenge");
	if (!find_user(words, arena, text_r) || (yes && text_r->len == 0))
		return later(error, "an answer without a user's name");
	if (yes)
		return DOVECOT_YES;
	/* "temp" is what it was called before version 2.3. */
	if (has_word(words, SLICE("temp")) || has_word(words, SLICE("code=temp_fail")))
		return later(error, "it cannot tell at present: see its log");
	return DOVECOT_NO;
}

enum dovecot_event dovecot_take(struct dovecot_protocol *protocol, struct buf *in, struct arena *arena, struct slice *text_r,
				struct error *error)
{
	enum dovecot_event event = DOVECOT_WAIT;
	*text_r = (struct slice){ 0 };
	while (event == DOVECOT_WAIT) {
		struct slice all = slice_first(buf_slice(in), DOVECOT_LINE_MAX);
		size_t end = slice_find(all, '\n');
		if (end == all.len)
			return all.len < DOVECOT_LINE_MAX ? DOVECOT_WAIT : later(error, "it sends too long a line");
		if (++protocol->lines > DOVECOT_LINES_MAX)
			return later(error, "it sends too many lines");
		struct slice words = slice_first(all, end), command = slice_cut(&words, '\t');
		event = protocol->greeted ? take_answer(command, words, arena, text_r, error) :
					    take_greeting(protocol, command, words, error);
		buf_consume(in, end + 1);
	}
	return event;
}

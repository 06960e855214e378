/* SPDX-License-Identifier: ISC */
#include "auth/scram_message.h"

#include "mail/utf8.h"

/* Cuts "x=value" with its comma off *rest. False: there is no such attribute. */
static bool take(struct slice *rest, char name, struct slice *value_r)
{
	if (rest->len < 2 || rest->data[0] != name || rest->data[1] != '=')
		return false;
	*rest = slice_from(*rest, 2);
	*value_r = slice_cut(rest, ',');
	return true;
}

/* saslname: "=2C" is a comma, "=3D" an equals sign, and no other use of "=" is allowed. */
static bool decode_name(struct slice text, struct arena *arena, struct slice *name_r)
{
	char *out = arena_alloc(arena, text.len + 1);
	size_t size = 0;
	for (size_t i = 0; i < text.len; i++) {
		struct slice code = slice_first(slice_from(text, i), 3);
		if (text.data[i] != '=') {
			out[size++] = text.data[i];
			continue;
		}
		if (!slice_equal(code, SLICE("=2C")) && !slice_equal(code, SLICE("=3D")))
			return false;
		out[size++] = code.data[2] == 'C' ? ',' : '=';
		i += 2;
	}
	*name_r = slice_make(out, size);
	return size > 0;
}

/* printable = %x21-2B / %x2D-7E: a comma ended it already. */
static bool nonce_valid(struct slice nonce)
{
	for (size_t i = 0; i < nonce.len; i++)
		if (nonce.data[i] <= ' ' || nonce.data[i] > '~')
			return false;
	return nonce.len > 0 && nonce.len <= SCRAM_NONCE_MAX;
}

static bool text_valid(struct slice text)
{
	return slice_find(text, '\0') == text.len && mail_utf8_valid(text);
}

/* cb-name = 1*(ALPHA / DIGIT / "." / "-") */
static bool binding_valid(struct slice name)
{
	for (size_t i = 0; i < name.len; i++)
		if (!ascii_is_alnum(name.data[i]) && name.data[i] != '.' && name.data[i] != '-')
			return false;
	return name.len > 0;
}

static bool parse_flag(struct slice *rest, struct scram_client_first *first)
{
	struct slice flag = slice_cut(rest, ',');
	first->flag = flag.len ? flag.data[0] : '\0';
	if (first->flag == 'p' && slice_starts(flag, SLICE("p="))) {
		first->binding = slice_from(flag, 2);
		return binding_valid(first->binding);
	}
	return flag.len == 1 && (first->flag == 'n' || first->flag == 'y');
}

bool scram_parse_client_first(struct slice text, struct arena *arena, struct scram_client_first *first_r)
{
	struct slice rest = text, name;
	*first_r = (struct scram_client_first){ 0 };
	if (!text_valid(text) || !parse_flag(&rest, first_r))
		return false;
	if (take(&rest, 'a', &name)) {
		if (!decode_name(name, arena, &first_r->acts_as))
			return false;
	} else if (slice_starts(rest, SLICE(","))) {
		rest = slice_from(rest, 1);
	} else {
		return false;
	}
	first_r->header = slice_first(text, text.len - rest.len);
	first_r->bare = rest;
	/* §5.1: what begins with "m=" is an extension that a server must know. Others, behind the nonce, are let pass. */
	return take(&rest, 'n', &name) && decode_name(name, arena, &first_r->user) && take(&rest, 'r', &first_r->nonce) &&
	       nonce_valid(first_r->nonce);
}

bool scram_parse_client_final(struct slice text, struct scram_client_final *final_r)
{
	struct slice rest = text;
	*final_r = (struct scram_client_final){ 0 };
	if (!text_valid(text) || !take(&rest, 'c', &final_r->channel) || !take(&rest, 'r', &final_r->nonce) || !nonce_valid(final_r->nonce))
		return false;
	/* The proof is the last attribute; extensions before it are let pass, but for those that must be known. */
	size_t comma = slice_find_last(text, ',');
	final_r->without_proof = slice_first(text, comma);
	struct slice proof = slice_from(text, comma + 1);
	return !slice_starts(rest, SLICE("m=")) && take(&proof, 'p', &final_r->proof) && final_r->proof.len > 0 && proof.len == 0 &&
	       rest.len >= final_r->proof.len + 2;
}

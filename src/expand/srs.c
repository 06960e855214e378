/* SPDX-License-Identifier: ISC */
/*
 * SRS0 addresses; see srs.h. The digest is the start of an HMAC with MD5 over the sender in lower case, as Exim makes it, so that
 * both can work at one site. It does not cover the day: four digits are no strong proof anyway, they keep the forwarder
 * from relaying bounces to everybody.
 */
#include "expand/srs.h"

#include "mail/address.h"
#include "mail/mailbox.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

enum { HASH = 4, DAYS_MASK = 0x3ff, SECONDS_A_DAY = 86400 };

static const char base32_digits[] = "abcdefghijklmnopqrstuvwxyz234567";

static bool sign(struct slice sender, struct slice secret, struct arena *arena, char hash[HASH])
{
	struct slice text = arena_copy_lower(arena, sender);
	unsigned char digest[EVP_MAX_MD_SIZE];
	if (secret.len == 0 || secret.len > INT32_MAX ||
	    !HMAC(EVP_md5(), secret.data, (int)secret.len, (const unsigned char *)text.data, text.len, digest, NULL))
		return false;
	for (int i = 0; i < HASH; i++)
		hash[i] = "0123456789abcdef"[(digest[i / 2] >> (i % 2 ? 0 : 4)) & 15];
	return true;
}

bool expand_srs_encode(struct slice sender, struct slice domain, struct slice secret, time_t now, struct arena *arena,
		       struct slice *out_r, struct error *error)
{
	*out_r = SLICE("");
	if (sender.len == 0)
		return true;
	struct mail_mailbox mailbox;
	if (!mail_mailbox_parse(sender, NULL, arena, &mailbox) || mailbox.domain.len == 0)
		return error_set(error, ERROR_PERMANENT, "srs_encode second argument must be a qualified email address");
	struct slice local_part = mailbox.local_part;
	if (local_part.len > 1 && local_part.data[0] == '"')
		local_part = mail_local_part_unquote(local_part, arena);
	char hash[HASH];
	if (secret.len == 0)
		return error_set(error, ERROR_PERMANENT,
				 "srs_encode first argument, the secret, is empty: everybody could make such an address");
	if (!sign(mailbox.address, secret, arena, hash))
		return error_set(error, ERROR_PERMANENT, "srs_encode: HMAC with MD5 is not to be had from the TLS library");
	unsigned day = (unsigned)(now / SECONDS_A_DAY) & DAYS_MASK;
	struct slice made = arena_printf(arena, "SRS0=%.*s=%c%c=%.*s=%.*s", HASH, hash, base32_digits[day >> 5],
					 base32_digits[day & 31], SLICE_ARG(mailbox.domain), SLICE_ARG(local_part));
	struct mail_address address = { .local_part = made, .domain = domain };
	*out_r = mail_address_format(&address, arena);
	return true;
}

static bool parse_day(struct slice text, unsigned *day_r)
{
	*day_r = 0;
	for (size_t i = 0; i < text.len; i++) {
		char c = ascii_lower(text.data[i]);
		const char *digit = c ? strchr(base32_digits, c) : NULL;
		if (!digit)
			return false;
		*day_r = (*day_r * 32 + (unsigned)(digit - base32_digits)) & 0xffff;
	}
	return text.len > 0;
}

bool expand_srs_decode(struct slice local_part, struct slice secret, time_t now, struct arena *arena, struct slice *recipient_r)
{
	static const struct slice start = SLICE("SRS0=");
	if (!slice_starts_nocase(local_part, start))
		return false;
	struct slice rest = slice_from(local_part, start.len);
	struct slice hash = slice_cut(&rest, '='), day_text = slice_cut(&rest, '=');
	size_t equals = slice_find(rest, '=');
	unsigned day;
	if (hash.len == 0 || equals == 0 || equals + 1 >= rest.len || !parse_day(day_text, &day))
		return false;
	struct mail_address address = { .local_part = slice_from(rest, equals + 1), .domain = slice_first(rest, equals) };
	*recipient_r = mail_address_format(&address, arena);
	if (secret.len == 0)
		return true;
	char want[HASH], got[HASH];
	unsigned today = (unsigned)(now / SECONDS_A_DAY);
	if (hash.len != HASH || ((today - day) & DAYS_MASK) > EXPAND_SRS_DAYS || !sign(*recipient_r, secret, arena, want))
		return false;
	for (int i = 0; i < HASH; i++)
		got[i] = ascii_lower(hash.data[i]);
	return CRYPTO_memcmp(want, got, HASH) == 0;
}

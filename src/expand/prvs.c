/* SPDX-License-Identifier: ISC */
/* Making and checking of prvs= addresses; see prvs.h. */
#include "expand/prvs.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

enum { KEY = 1, DAY = 3, HASH = 6, DAYS_MODULO = 1000, SECONDS_A_DAY = 86400 };

static bool all_digits(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!ascii_is_digit(s.data[i]))
			return false;
	return true;
}

/* The first HASH digits, in lower case. */
static bool sign(struct slice key_and_day, struct slice address, struct slice secret, char hash[HASH])
{
	size_t len = key_and_day.len + address.len;
	char *text = OPENSSL_malloc(len + 1);
	unsigned char digest[EVP_MAX_MD_SIZE];
	bool good = text && secret.len > 0 && secret.len <= INT32_MAX;
	if (good) {
		memcpy(text, key_and_day.data, key_and_day.len);
		memcpy(text + key_and_day.len, address.data, address.len);
		good = HMAC(EVP_sha1(), secret.data, (int)secret.len, (unsigned char *)text, len, digest, NULL) != NULL;
	}
	OPENSSL_free(text);
	for (int i = 0; good && i < HASH; i++)
		hash[i] = "0123456789abcdef"[(digest[i / 2] >> (i % 2 ? 0 : 4)) & 15];
	return good;
}

bool expand_prvs_make(struct slice address, struct slice secret, unsigned key_number, time_t now, struct arena *arena,
		      struct slice *signed_r, struct error *error)
{
	size_t at = slice_find_last(address, '@');
	if (at == 0 || at + 1 >= address.len)
		return error_set(error, ERROR_PERMANENT, "prvs first argument must be a qualified email address");
	if (secret.len == 0)
		return error_set(error, ERROR_PERMANENT,
				 "prvs second argument, the secret, is empty: everybody could make such a signature");
	unsigned day = (unsigned)((now / SECONDS_A_DAY + EXPAND_PRVS_DAYS) % DAYS_MODULO);
	struct slice key_and_day = arena_printf(arena, "%u%03u", key_number % 10, day);
	char hash[HASH];
	if (!sign(key_and_day, address, secret, hash))
		return error_set(error, ERROR_PERMANENT, "prvs: HMAC with SHA-1 is not to be had from the TLS library");
	*signed_r = arena_printf(arena, "prvs=%.*s%.*s=%.*s", SLICE_ARG(key_and_day), HASH, hash, SLICE_ARG(address));
	return true;
}

bool expand_prvs_parse(struct slice signed_address, struct expand_prvs *prvs_r)
{
	static const struct slice start = SLICE("prvs=");
	if (!slice_starts_nocase(signed_address, start) || signed_address.len < start.len + KEY + DAY + HASH + 1)
		return false;
	struct slice rest = slice_from(signed_address, start.len);
	*prvs_r = (struct expand_prvs){
		.key_number = slice_first(rest, KEY),
		.day = slice_first(slice_from(rest, KEY), DAY),
		.hash = slice_first(slice_from(rest, KEY + DAY), HASH),
		.address = slice_from(rest, KEY + DAY + HASH + 1),
	};
	uint64_t unused;
	size_t at = slice_find_last(prvs_r->address, '@');
	return all_digits(prvs_r->key_number) && all_digits(prvs_r->day) && slice_parse_hex(prvs_r->hash, UINT32_MAX, &unused) &&
	       rest.data[KEY + DAY + HASH] == '=' && at > 0 && at + 1 < prvs_r->address.len;
}

bool expand_prvs_check(const struct expand_prvs *prvs, struct slice secret, time_t now)
{
	char want[HASH], got[HASH];
	struct slice key_and_day = slice_make(prvs->key_number.data, KEY + DAY); /* they stand side by side */
	uint64_t day;
	if (!sign(key_and_day, prvs->address, secret, want) || !slice_parse_u64(prvs->day, DAYS_MODULO - 1, &day))
		return false;
	for (int i = 0; i < HASH; i++)
		got[i] = ascii_lower(prvs->hash.data[i]);
	/* Days go round: one less than half a round ahead is in the future, the others have passed. */
	unsigned today = (unsigned)(now / SECONDS_A_DAY % DAYS_MODULO);
	unsigned left = ((unsigned)day + DAYS_MODULO - today) % DAYS_MODULO;
	return CRYPTO_memcmp(want, got, HASH) == 0 && left < DAYS_MODULO / 2;
}

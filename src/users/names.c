/* SPDX-License-Identifier: ISC */
#include "users/names.h"

#include "base/fatal.h"

#include <unicase.h>
#include <unictype.h>
#include <uninorm.h>
#include <unistr.h>

#include <openssl/crypto.h>

static const uint8_t *bytes(struct slice text)
{
	return (const uint8_t *)text.data;
}

/* Memory of libunistring's that is overwritten before it goes: it may hold a password. */
static struct slice take(uint8_t *text, size_t len, struct arena *arena)
{
	if (!text)
		fatal("out of memory for a user's name or password");
	struct slice copy = arena_copy(arena, slice_make(text, len));
	OPENSSL_cleanse(text, len);
	free(text);
	return copy;
}

static struct slice normalized(struct slice text, uninorm_t form, struct arena *arena)
{
	size_t len = 0;
	uint8_t *out = u8_normalize(form, bytes(text), text.len, NULL, &len);
	return take(out, len, arena);
}

/* Letters and digits (RFC 8264 §9.1), and what is visible in ASCII. */
static bool in_identifier(ucs4_t c)
{
	if (c < 0x80)
		return c > 0x20 && c < 0x7f;
	return uc_is_general_category_withtable(c, UC_CATEGORY_MASK_Ll | UC_CATEGORY_MASK_Lu | UC_CATEGORY_MASK_Lo | UC_CATEGORY_MASK_Nd |
							   UC_CATEGORY_MASK_Lm | UC_CATEGORY_MASK_Mn | UC_CATEGORY_MASK_Mc);
}

/* FreeformClass (RFC 8264 §4.3). Joiners, which it allows between some letters, nobody can see, so they are left out. */
static bool in_freeform(ucs4_t c)
{
	return !uc_is_general_category_withtable(c, UC_CATEGORY_MASK_Cc | UC_CATEGORY_MASK_Cs | UC_CATEGORY_MASK_Cn | UC_CATEGORY_MASK_Co |
							    UC_CATEGORY_MASK_Cf | UC_CATEGORY_MASK_Zl | UC_CATEGORY_MASK_Zp) &&
	       !uc_is_property_default_ignorable_code_point(c);
}

static bool all_in(struct slice text, bool (*in)(ucs4_t c), ucs4_t *bad_r)
{
	while (text.len) {
		ucs4_t c;
		int n = u8_mbtouc(&c, bytes(text), text.len);
		if (!in(c)) {
			*bad_r = c;
			return false;
		}
		text = slice_from(text, (size_t)n);
	}
	return true;
}

/* What both have in common. */
static bool check(struct slice text, const char *what, size_t most, struct error *error)
{
	if (text.len == 0)
		return error_set(error, ERROR_USAGE, "%s is empty", what);
	if (text.len > most)
		return error_set(error, ERROR_USAGE, "%s has more than %zu bytes", what, most);
	return u8_check(bytes(text), text.len) == NULL || error_set(error, ERROR_USAGE, "%s is not valid UTF-8", what);
}

static bool refuse(const char *what, ucs4_t c, struct error *error)
{
	return error_set(error, ERROR_USAGE, "%s has a character that cannot be in it: U+%04X", what, (unsigned)c);
}

bool users_name(struct slice text, struct arena *arena, struct slice *name_r, struct error *error)
{
	static const char what[] = "the user's name";
	ucs4_t bad;
	size_t len = 0;
	if (!check(text, what, USERS_NAME_MAX, error))
		return false;
	uint8_t *lower = u8_tolower(bytes(text), text.len, NULL, UNINORM_NFC, NULL, &len);
	struct slice name = take(lower, len, arena);
	if (!all_in(name, in_identifier, &bad))
		return refuse(what, bad, error);
	if (!slice_equal(name, normalized(name, UNINORM_NFKC, arena)))
		return error_set(error, ERROR_USAGE, "%s has a character that is another form of an ordinary one", what);
	if (name.len > USERS_NAME_MAX)
		return error_set(error, ERROR_USAGE, "%s has more than %d bytes", what, USERS_NAME_MAX);
	*name_r = name;
	return true;
}

bool users_password(struct slice text, struct arena *arena, struct slice *password_r, struct error *error)
{
	static const char what[] = "the password";
	ucs4_t bad = 0;
	if (!check(text, what, USERS_PASSWORD_MAX, error))
		return false;
	char *spaced = arena_alloc(arena, text.len + 1); /* no space is longer than what it stands for */
	size_t len = 0;
	for (struct slice rest = text; rest.len;) {
		ucs4_t c;
		size_t n = (size_t)u8_mbtouc(&c, bytes(rest), rest.len);
		if (n > 1 && uc_is_general_category_withtable(c, UC_CATEGORY_MASK_Zs))
			spaced[len++] = ' ';
		else
			for (size_t i = 0; i < n; i++)
				spaced[len++] = rest.data[i];
		rest = slice_from(rest, n);
	}
	struct slice password = normalized(slice_make(spaced, len), UNINORM_NFC, arena);
	OPENSSL_cleanse(spaced, len);
	bool good = all_in(password, in_freeform, &bad) && password.len <= USERS_PASSWORD_MAX;
	if (good) {
		*password_r = password;
		return true;
	}
	OPENSSL_cleanse((char *)(uintptr_t)password.data, password.len);
	return error_set(error, ERROR_USAGE, "%s has a character that cannot be in it, such as a control character", what);
}

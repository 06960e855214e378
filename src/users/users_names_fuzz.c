/* SPDX-License-Identifier: ISC */
/* Names and passwords from the network: what is taken is within its bounds, has one form, and none that is special to others. */
#include "base/fatal.h"
#include "mail/utf8.h"
#include "users/names.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena;
	struct slice once, twice, text = slice_make(data, size);
	struct error error;
	arena_init(&arena, 0);
	if (users_name(text, &arena, &once, &error)) {
		ensure(once.len && once.len <= USERS_NAME_MAX && mail_utf8_valid(once));
		for (size_t i = 0; i < once.len; i++)
			ensure((unsigned char)once.data[i] > 32 && once.data[i] != 127 && !(once.data[i] >= 'A' && once.data[i] <= 'Z'));
		ensure(users_name(once, &arena, &twice, &error) && slice_equal(once, twice));
	}
	if (users_password(text, &arena, &once, &error)) {
		ensure(once.len && once.len <= USERS_PASSWORD_MAX && mail_utf8_valid(once));
		for (size_t i = 0; i < once.len; i++)
			ensure((unsigned char)once.data[i] >= 32 && once.data[i] != 127);
		ensure(users_password(once, &arena, &twice, &error) && slice_equal(once, twice));
	}
	arena_free(&arena);
	return 0;
}

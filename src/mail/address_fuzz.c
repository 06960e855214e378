/* SPDX-License-Identifier: ISC */
/* Paths and addresses from the network. What is taken must keep the invariants of address.h and survive a round trip. */
#include "base/fatal.h"
#include "mail/address.h"
#include "mail/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_address(const struct mail_address *address, unsigned flags, struct arena *arena)
{
	struct mail_address again;
	struct error error;
	for (size_t i = 0; i < address->local_part.len; i++)
		ensure((unsigned char)address->local_part.data[i] >= 32 && address->local_part.data[i] != 127);
	ensure(mail_utf8_valid(address->local_part) && mail_utf8_valid(address->domain));
	ensure(address->domain.len == 0 || address->domain.data[0] == '[' || mail_domain_valid(address->domain, flags & MAIL_PATH_UTF8));
	ensure(flags & MAIL_PATH_UTF8 || !address->utf8);
	struct slice text = mail_address_format(address, arena);
	ensure(mail_address_parse(text, arena, flags | MAIL_PATH_LONG_LOCAL | MAIL_PATH_UNQUALIFIED, &again, &error));
	ensure(slice_equal(again.local_part, address->local_part) && slice_equal(again.domain, address->domain));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	struct arena arena;
	struct mail_path path;
	struct mail_address address;
	struct error error;
	struct slice text = slice_make(data + 1, size - 1);
	arena_init(&arena, 0);
	if (mail_path_parse(text, &arena, data[0], &path, &error) && !path.null)
		check_address(&path.address, data[0], &arena);
	if (mail_address_parse(text, &arena, data[0], &address, &error))
		check_address(&address, data[0], &arena);
	arena_free(&arena);
	return 0;
}

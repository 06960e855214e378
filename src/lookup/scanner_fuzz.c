/* SPDX-License-Identifier: ISC */
/* What scanners answer, and the items of the options that name them. The first byte chooses. */
#include "base/fatal.h"
#include "lookup/scanner.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = slice_make((const char *)data, size), verdict, name;
	struct scanner_server server;
	struct error error;
	struct arena arena;
	bool yes;
	if (size == 0)
		return 0;
	arena_init(&arena, 0);
	text = slice_from(text, 1);
	if (data[0] % 4 < 2 && scan_spam_read(text, data[0] % 4, &arena, &verdict, &yes))
		for (size_t i = 0; i < verdict.len; i++)
			ensure((unsigned char)verdict.data[i] >= 32 || verdict.data[i] == '\n' || verdict.data[i] == '\t');
	if (data[0] % 4 == 2 && scan_clamd_read(text, &yes, &name, &error) && yes)
		ensure(name.len > 0);
	if (data[0] % 4 == 3 && scanner_parse(text, &server, &error))
		ensure(server.path.len || server.port <= server.last_port);
	arena_free(&arena);
	return 0;
}

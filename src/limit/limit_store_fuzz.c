/* SPDX-License-Identifier: ISC */
/* Two files of any content: reading them never fails, and what is then written is read again. Input: a byte says where it is cut in two. */
#include "base/fatal.h"
#include "limit/rate.h"
#include "limit/store.h"

#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { KEYS = 64 };

static int make_file(const uint8_t *data, size_t size)
{
	int fd = memfd_create("limits", MFD_CLOEXEC);
	ensure(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	size_t cut = (size - 1) * data[0] / 255;
	int files[2] = { make_file(data + 1, cut), make_file(data + 1 + cut, size - 1 - cut) };
	struct error error;
	struct limit_store *store = limit_store_open(files, KEYS, 1000, &error);
	const struct limit_rate rate = { .key = SLICE("key"), .limit = 10, .count = 1, .period = 60, .update = LIMIT_STRICT };
	double measured = limit_rate(limit_store_table(store), &rate, 1000);
	while (limit_store_gather(store)) {
		limit_store_write(store);
		ensure(limit_store_written(store, &error));
	}
	limit_store_close(store);
	store = limit_store_open(files, KEYS, 1000, &error);
	struct limit_rate again = rate;
	again.update = LIMIT_READONLY;
	ensure(limit_rate(limit_store_table(store), &again, 1000) <= measured && limit_table_count(limit_store_table(store)) <= KEYS);
	limit_store_close(store);
	close(files[0]);
	close(files[1]);
	return 0;
}

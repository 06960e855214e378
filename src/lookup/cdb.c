/* SPDX-License-Identifier: ISC */
/*
 * cdb: constant databases (https://cr.yp.to/cdb.html). libcdb wants a descriptor to map; it gets a copy of the file in memory that nobody
 * can change, for a mapped file that somebody truncates ends the process that looks into it (SIGBUS).
 */
#include "base/cleanup.h"
#include "base/memory_file.h"
#include "lookup/files.h"

#include <cdb.h>

static bool build(struct lookup_file *file, struct error *error)
{
	if (file->text.len < 2048)
		return error_set(error, ERROR_PERMANENT, "too short for a cdb file, which has 2048 bytes at least");
	_cleanup_fd_ int fd = memory_file_sealed("cdb", file->text);
	if (fd < 0)
		return error_set_errno(error, errno, "memory for a copy");
	struct cdb *cdb = arena_new(&file->arena, struct cdb);
	if (cdb_init(cdb, fd) < 0)
		return error_set_errno(error, errno, "not a cdb file");
	/* One copy is enough. */
	free((char *)(uintptr_t)file->text.data);
	file->text.data = NULL;
	file->index = cdb;
	return true;
}

static void release(struct lookup_file *file)
{
	if (file->index)
		cdb_free(file->index);
}

static const struct lookup_file_kind kind = { .name = "cdb", .purpose = "cdb lookup", .build = build, .release = release };

static enum expand_result find(struct lookup_world *world, const struct search *search, const struct expand_request *request,
			       struct slice key, struct arena *arena, struct expand_answer *answer_r, struct error *error)
{
	(void)search;
	struct lookup_file *file;
	enum expand_result result = lookup_file_take(world, &kind, request->file, request->deadline, &file, error);
	if (result != EXPAND_OK)
		return result;
	struct cdb *cdb = file->index;
	int found = cdb_find(cdb, key.data, (unsigned)key.len);
	const void *data = found > 0 ? cdb_getdata(cdb) : NULL;
	if (found < 0 || (found > 0 && !data)) {
		result = lookup_defer(error, "%s (cdb lookup) is damaged: make it anew", file->path);
	} else if (found > 0) {
		answer_r->found = true;
		answer_r->text = arena_copy(arena, slice_make(data, cdb_datalen(cdb)));
	}
	lookup_file_release(&file);
	return result;
}

const struct lookup_driver lookup_driver_cdb = { .name = "cdb", .find = find };

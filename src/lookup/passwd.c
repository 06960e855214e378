/* SPDX-License-Identifier: ISC */
/* passwd: the system's user database, as a line of /etc/passwd without the password (Exim's manual, chapter 9 §4). */
#include "base/fatal.h"
#include "lookup/private.h"
#include "task/offload.h"

#include <errno.h>
#include <pwd.h>

enum { ENTRY_MAX = 1 << 20 };

struct job {
	const char *name;
	struct passwd entry;
	char *memory; /* what the entry's texts lie in; the caller frees it */
	bool found;
	int number;
};

static void run_job(void *arg)
{
	struct job *job = arg;
	struct passwd *found = NULL;
	size_t size = 4096;
	do {
		job->memory = xrealloc(job->memory, size);
		job->number = getpwnam_r(job->name, &job->entry, job->memory, size, &found);
		size *= 4;
	} while (job->number == ERANGE && size <= ENTRY_MAX);
	job->found = job->number == 0 && found;
}

static enum expand_result find(struct lookup_world *world, const struct search *search, const struct expand_request *request,
			       struct slice key, struct arena *arena, struct expand_answer *answer_r, struct error *error)
{
	(void)world, (void)search, (void)key;
	bool tainted;
	struct slice name = lookup_query_text(request, arena, &tainted);
	if (name.len == 0 || name.len > 256 || slice_find(name, '\0') < name.len)
		return EXPAND_OK; /* no user is called so */
	struct job job = { .name = arena_cstr(arena, name) };
	offload(run_job, &job);
	if (job.found) {
		const struct passwd *entry = &job.entry;
		answer_r->found = true;
		answer_r->text = arena_printf(arena, "*:%lu:%lu:%s:%s:%s", (unsigned long)entry->pw_uid, (unsigned long)entry->pw_gid,
					      entry->pw_gecos ? entry->pw_gecos : "", entry->pw_dir ? entry->pw_dir : "",
					      entry->pw_shell ? entry->pw_shell : "");
	}
	free(job.memory);
	/* The name service tells absence in several ways (getpwnam(3)). */
	bool absent = job.number == 0 || job.number == ENOENT || job.number == ESRCH || job.number == EBADF || job.number == EPERM;
	if (absent)
		return EXPAND_OK;
	error_set_errno(error, job.number, "passwd lookup of user %s", job.name);
	return EXPAND_DEFER;
}

const struct lookup_driver lookup_driver_passwd = { .name = "passwd", .find = find };

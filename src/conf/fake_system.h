/* SPDX-License-Identifier: ISC */
/* For tests and fuzz targets: a machine whose files and users are a table. Not part of the program. */
#ifndef POSTERN_CONF_FAKE_SYSTEM_H
#define POSTERN_CONF_FAKE_SYSTEM_H

#include "conf/source.h"

#include <errno.h>

struct fake_fact {
	enum conf_fact_kind kind;
	const char *name, *value;
};

struct fake_machine {
	const struct fake_fact *facts;
	size_t count;
	size_t asked;
};

static inline bool fake_ask(void *context, enum conf_fact_kind kind, struct slice name, struct arena *arena,
			    struct slice *value_r, struct error *error)
{
	struct fake_machine *machine = context;
	machine->asked++;
	for (size_t i = 0; i < machine->count; i++)
		if (machine->facts[i].kind == kind && slice_equal(slice_of(machine->facts[i].name), name)) {
			*value_r = arena_copy(arena, slice_of(machine->facts[i].value));
			return true;
		}
	return error_set_errno(error, ENOENT, "asking for %.*s", SLICE_ARG(name));
}

#endif

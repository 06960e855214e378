/* SPDX-License-Identifier: ISC */
/*
 * The rates and keys that the lookup role remembers (limit/rate.h), for all fronts, and their files in the directory `limits` of the
 * spool directory (limit/store.h). What changes is written once a second by a thread; so what a process that is killed
 * forgets is the last second, and one that ends in order forgets nothing.
 *
 * The files are opened before the walls are entered, and stay open: the role can open no other for writing.
 */
#ifndef POSTERN_ROLE_LIMITS_H
#define POSTERN_ROLE_LIMITS_H

#include "limit/ask.h"
#include "limit/store.h"
#include "role/process.h"

struct limits {
	struct role_process *role;
	int files[2];
	struct limit_store *store; /* NULL: no directory was given, or its files cannot be opened */
	struct limit_table *alone; /* without a directory (`postern session`): kept while the process lives; NULL before the first question */
	struct error problem;      /* why files cannot be opened: then nothing can be measured; no text: they can */
	struct wait_list changed, idle;
	bool writing, failing, ending;
};

void limits_init(struct limits *limits, struct role_process *role);
/* Opens the files in the directory, and reads them. Logs what is wrong with them. */
void limits_open(struct limits *limits, int directory);
enum expand_result limits_answer(struct limits *limits, const struct expand_request *request, struct arena *arena,
				 struct expand_answer *answer_r, struct error *error);
/* Writes all that has changed. */
void limits_drain(struct limits *limits);

#endif

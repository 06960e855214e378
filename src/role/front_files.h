/* SPDX-License-Identifier: ISC */
/* The files of TLS that a front has from the master, by kind and path. Texts stay in place until a task waits. */
#ifndef POSTERN_ROLE_FRONT_FILES_H
#define POSTERN_ROLE_FRONT_FILES_H

#include "role/front_tls.h"

struct front_file {
	enum tls_file_kind kind;
	char path[TLS_PATH_MAX], key_path[TLS_PATH_MAX];
	struct buf text;
	uint64_t version;      /* grows with each change, over all files */
	uint64_t used;         /* when it was looked at last */
	bool directory;        /* of TLS_FILE_TRUST: its names are not told to clients */
	char problem[300];     /* empty: the text can be used */
	int64_t refused_until; /* with a problem: when to ask again */
};

/* A message of the master's into the table; with `known_only` just what is there already. */
void front_files_take(struct front_file ***files, size_t *count, bool known_only, struct ipc_incoming *incoming);
void front_files_free(struct front_file ***files, size_t *count);
/* The file, or NULL with *error. With `may_ask` the task waits for the master where it must. */
const struct front_file *front_files_get(struct front *front, const struct tls_want *want, bool may_ask, struct error *error);

#endif

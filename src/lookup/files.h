/* SPDX-License-Identifier: ISC */
/*
 * The files that lookups read: each is read once into memory, with an index for its kind, and read again only when it has changed.
 *
 * A snapshot is immutable; whoever takes one holds a reference, so an old one serves those who have it while a new one is made.
 * At each use the file's identity (device, inode, size, times) is compared. A file that changes while it is read is read again,
 * and one that changed in the very moment before it was read counts as unsettled: the clock of file times ticks every few milliseconds, so
 * a second change might show the same identity; it is read again at the next use.
 *
 *      take ──▶ unchanged ──────────────────────────────────────▶ snapshot
 *       │  ▲                                                          ▲
 *       │  └── somebody reads it already: wait for the outcome        │
 *       └───▶ read and index (offload thread) ──▶ same before and after? ──▶ new snapshot
 *                              ▲                        │ no, five times: DEFER
 *                              └────────────────────────┘
 */
#ifndef POSTERN_LOOKUP_FILES_H
#define POSTERN_LOOKUP_FILES_H

#include "lookup/private.h"

#include <sys/stat.h>

struct expand_context;

enum {
	LOOKUP_FILE_MAX = 256 << 20,  /* bytes of one file */
	LOOKUP_FILES_MAX = 1000,      /* files that are kept */
	LOOKUP_FILES_BYTES = 1 << 30, /* and their bytes with indexes, about */
};

struct lookup_file;

/* What is made of a file's text. */
struct lookup_file_kind {
	const char *name;    /* "lsearch" */
	const char *purpose; /* "linear search": Exim's word in "failed to open FILE for linear search" */
	/* On an offload thread, with the text in memory: sets file->index (in file->arena). False: *error, without the file's name. */
	bool (*build)(struct lookup_file *file, struct error *error);
	/* Gives back what the index holds outside of the arena. NULL: nothing. */
	void (*release)(struct lookup_file *file);
};

struct lookup_file {
	const struct lookup_file_kind *kind;
	const char *path;
	struct slice text;  /* followed by a NUL */
	struct arena arena;
	void *index;
	const struct expand_context *constants; /* of the world's settings; may be NULL */
	struct stat identity;
	bool settled;
	unsigned references;
};

struct lookup_files *lookup_files_new(void);
/* No snapshot may be held. Clears the pointer. */
void lookup_files_free(struct lookup_files **files);

/* EXPAND_OK: *file_r is held until lookup_file_release. EXPAND_DEFER: *error names the file and says what is wrong. */
enum expand_result lookup_file_take(struct lookup_world *world, const struct lookup_file_kind *kind, struct slice path,
				    int64_t deadline, struct lookup_file **file_r, struct error *error);
void lookup_file_release(struct lookup_file **file);

#endif

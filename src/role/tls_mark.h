/* SPDX-License-Identifier: ISC */
/*
 * Marks: what tells one state of a file of TLS from another, without reading it. Of a file: what stat says, links followed. Of a
 * directory besides: a digest of those of its entries that are made use of, in whatever order they come. In one of trusted
 * certificates or revocation lists these are the files with hashed names, each with what stat says of it, so that one that is written
 * in its place or replaced behind a link is seen; in one of certificates by name, the lines of its listing.
 */
#ifndef POSTERN_ROLE_TLS_MARK_H
#define POSTERN_ROLE_TLS_MARK_H

#include "role/tls_files.h"

#include <sys/stat.h>


/* All zero: there is no such file. */
struct tls_mark {
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec modified, changed;
	uint64_t entries;
};

/* An empty path has no mark. Takes 2 to 4 microseconds for an entry of a directory. */
struct tls_mark tls_mark_of(enum tls_file_kind kind, const char *path);
bool tls_mark_same(const struct tls_mark *a, const struct tls_mark *b);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * Files that fail, for tests only: passes each call on to the kernel, and keeps beside it a model of what the disk would
 * hold after a crash. In the model, written bytes are safe once their file was synced, and names once their directory was;
 * whatever else was done may be lost, wholly or in part, in any order (names of one directory, sectors of one file).
 * That is less than Linux file systems promise, on purpose.
 *
 * Calls are numbered from 1; `close`, `stat`, `stat_path` and hints are not counted. A crash at call N means that this call and
 * all later ones fail with EIO (a write may be done in part); then faults_materialise builds what a restart would find.
 * The caller owns the struct; descriptors from it are real. One thread.
 */
#ifndef POSTERN_SPOOL_FAULTS_H
#define POSTERN_SPOOL_FAULTS_H

#include "base/files.h"

enum faults_variant {
	FAULTS_LOSE_ALL,   /* only what was synced is there */
	FAULTS_KEEP_ALL,   /* everything is: as after kill -9 */
	FAULTS_KEEP_NAMES, /* names and lengths are there, bytes that were not synced are zeros */
	FAULTS_RANDOM,     /* by the seed: each name, and each sector of each write, or not */
	FAULTS_VARIANTS
};

struct faults_node;

struct faults {
	struct files files; /* first: what the tested code is given */
	/* Set by the test. */
	unsigned fail_at;    /* this call fails with fail_errno; 0: none */
	int fail_errno;
	unsigned crash_at;   /* 0: never */
	bool short_io;       /* reads and writes are done in small parts */
	bool no_tmpfile;     /* O_TMPFILE is not supported */
	enum files_link worst_link; /* ways of linking before this one do not work */
	uint32_t seed;
	/* For the test to read. */
	unsigned calls, syncs;
	bool crashed;
	/* The model. */
	struct faults_node *root;
	struct faults_node **nodes;
	size_t node_count;
	struct faults_node *of_fd[1024];
};

/* Takes what is below `root` as being safe on disk. */
void faults_init(struct faults *faults, int root);
void faults_free(struct faults *faults);
/* Builds below the empty directory `target` what a restart after the crash would find. */
void faults_materialise(struct faults *faults, enum faults_variant variant, int target);

/* A new directory for a test, in memory where the system has a place for that. Its descriptor; the path for removal. */
int faults_directory_make(char path[64]);
/* With all that is in it; closes the descriptor. */
void faults_directory_remove(const char *path, int fd);

#endif

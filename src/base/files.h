/* SPDX-License-Identifier: ISC */
/*
 * A thin layer over the system calls on files that must survive a crash (spool, mailboxes): one table of functions, which
 * tests replace to fail, to shorten writes and to lose what was not synced. All paths are relative to a directory
 * descriptor. All calls block. Results are 0, a count or a descriptor, or a negative errno; errno itself is not used.
 * The functions are safe to call from several threads.
 */
#ifndef POSTERN_BASE_FILES_H
#define POSTERN_BASE_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

struct files;

/* How a file made with O_TMPFILE gets its name. */
enum files_link {
	FILES_LINK_EMPTY_PATH, /* AT_EMPTY_PATH: needs Linux 6.10 or CAP_DAC_READ_SEARCH */
	FILES_LINK_PROC,       /* through /proc/self/fd: needs /proc */
	FILES_LINK_NONE,       /* neither works: use named temporary files */
};

/* Called for each name in a directory but "." and ".."; false ends the listing. */
typedef bool files_list_fn(void *context, const char *name);

struct file_ops {
	int (*open)(const struct files *files, int dir, const char *path, int flags, mode_t mode);
	/* Like open, but no component, link or ".." may lead out of `dir`: that is -EXDEV (openat2, RESOLVE_BENEATH). */
	int (*open_beneath)(const struct files *files, int dir, const char *path, int flags, mode_t mode);
	void (*close)(const struct files *files, int fd);
	ssize_t (*pread)(const struct files *files, int fd, void *data, size_t size, uint64_t offset);
	ssize_t (*pwrite)(const struct files *files, int fd, const void *data, size_t size, uint64_t offset);
	int (*truncate)(const struct files *files, int fd, uint64_t size);
	int (*stat)(const struct files *files, int fd, struct stat *stat);
	/* Of a path below `dir`, following links: for comparing identities only. */
	int (*stat_path)(const struct files *files, int dir, const char *path, struct stat *stat);
	/* Starts writing dirty pages and does not wait; a hint, no durability. */
	int (*start_writeback)(const struct files *files, int fd);
	int (*sync_data)(const struct files *files, int fd);
	int (*sync_directory)(const struct files *files, int fd);
	/* Names a file made with O_TMPFILE; -EEXIST when the name is taken. */
	int (*link_anonymous)(const struct files *files, enum files_link how, int fd, int dir, const char *name);
	/* A second name for a file; -EEXIST when the name is taken. */
	int (*link)(const struct files *files, int from_dir, const char *from, int dir, const char *name);
	/* Another name instead of the old one; -EEXIST when the new one is taken. */
	int (*rename_new)(const struct files *files, int from_dir, const char *from, int dir, const char *name);
	int (*unlink)(const struct files *files, int dir, const char *name);
	int (*mkdir)(const struct files *files, int dir, const char *name, mode_t mode);
	int (*list)(const struct files *files, int dir, files_list_fn *each, void *context);
	/* An exclusive lock on an open file, without waiting: -EWOULDBLOCK when another process has it. */
	int (*lock)(const struct files *files, int fd);
};

struct files {
	const struct file_ops *ops;
};

/* The kernel's own. */
extern const struct files files_real;

/* Writes all of it, over short writes; 0 or a negative errno (part may have been written). */
int files_write_all(const struct files *files, int fd, const void *data, size_t size, uint64_t offset);
/* Reads until `size` bytes or the end of the file: the number read, or a negative errno. */
ssize_t files_read_full(const struct files *files, int fd, void *data, size_t size, uint64_t offset);
/*
 * Which way of linking works in this directory, found by trying, with `name` as a temporary name that is removed again.
 * Negative errno when not even a named file can be made there.
 */
int files_probe_link(const struct files *files, int dir, const char *name, enum files_link *how_r);

/*
 * Asks the file system to put directories made in this one far from each other, where it can (ext4's mark of a top directory). ext4
 * passes over inodes that were freed in the last minutes one by one when it looks for a free one; where files come and go at a
 * high rate, spreading their directories keeps that short. Never fails: other file systems have no such mark, and no such habit.
 */
void files_spread_subdirectories(int directory);

#endif

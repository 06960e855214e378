/* SPDX-License-Identifier: ISC */
/* A proof is written under another name, synced, and renamed: after a crash there is the old one or the new one. */
#include "role/fetch.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/memory_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SUFFIX ".der"
#define NEW_SUFFIX ".new"

enum { HEX_LEN = 64, NAME_SIZE = HEX_LEN + 8, FILES_MAX = 100000 };

static void make_name(const struct ocsp_print *certificate, const char *suffix, char out[NAME_SIZE])
{
	for (size_t i = 0; i < sizeof certificate->bytes; i++)
		snprintf(out + 2 * i, 3, "%02x", certificate->bytes[i]);
	snprintf(out + HEX_LEN, NAME_SIZE - HEX_LEN, "%s", suffix);
}

bool fetch_state_write(int directory, const struct ocsp_print *certificate, struct slice proof, struct error *error)
{
	char name[NAME_SIZE], next[NAME_SIZE];
	make_name(certificate, SUFFIX, name);
	make_name(certificate, NEW_SUFFIX, next);
	_cleanup_fd_ int fd = openat(directory, next, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_set_errno(error, errno, "making the file ocsp/%s in the spool directory", next);
	if (!fd_write_all(fd, proof) || fdatasync(fd) < 0 || renameat(directory, next, directory, name) < 0) {
		error_set_errno(error, errno, "writing the file ocsp/%s in the spool directory", name);
		unlinkat(directory, next, 0);
		return false;
	}
	return fsync(directory) == 0 || error_set_errno(error, errno, "syncing the directory ocsp in the spool directory");
}

bool fetch_state_read(int directory, const struct ocsp_print *certificate, struct buf *proof)
{
	char name[NAME_SIZE];
	struct stat st;
	make_name(certificate, SUFFIX, name);
	_cleanup_fd_ int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > OCSP_RESPONSE_MAX)
		return false;
	for (;;) {
		char *room = buf_reserve(proof, 4096);
		ssize_t n = room ? read(fd, room, 4096) : -1;
		if (n < 0)
			return false;
		if (n == 0)
			return true;
		buf_commit(proof, (size_t)n);
	}
}

static bool is_ours(const char *name)
{
	struct slice text = slice_of(name);
	return text.len == HEX_LEN + 4 &&
	       (slice_ends_nocase(text, SLICE(SUFFIX)) || slice_ends_nocase(text, SLICE(NEW_SUFFIX))) &&
	       strspn(name, "0123456789abcdef") == HEX_LEN;
}

void fetch_state_clean(int directory, int64_t seconds)
{
	struct stat st;
	int copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = copy >= 0 ? fdopendir(copy) : NULL;
	const struct dirent *entry;
	if (!stream) {
		fd_close(&copy);
		return;
	}
	for (int i = 0; i < FILES_MAX && (entry = readdir(stream)); i++)
		if (is_ours(entry->d_name) && fstatat(directory, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    st.st_mtime < clock_wall_now() / CLOCK_SECOND - seconds)
			unlinkat(directory, entry->d_name, 0);
	closedir(stream);
}

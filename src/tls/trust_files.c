/* SPDX-License-Identifier: ISC */
/* Where the certificates and revocation lists of tls/verify.h come from: files, and directories of files with hashed names. */
#include "base/cleanup.h"
#include "tls/verify.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/x509.h>

enum { READ_SIZE = 64 * 1024 };

static bool read_file(int fd, const char *name, struct buf *out, struct error *error)
{
	for (;;) {
		char *room = buf_reserve(out, READ_SIZE);
		if (!room)
			return error_set(error, ERROR_USAGE, "%s is longer than %d bytes", name, TLS_TRUST_BYTES_MAX);
		ssize_t n = read(fd, room, READ_SIZE);
		if (n < 0 && errno != EINTR)
			return error_set_errno(error, errno, "reading %s", name);
		if (n == 0)
			/* A file may end within a line; the next must not go on there. */
			return buf_append_byte(out, '\n') || error_set(error, ERROR_USAGE, "%s is too long", name);
		buf_commit(out, n > 0 ? (size_t)n : 0);
	}
}

/* "9d66eef0.0", "9d66eef0.r0" (openssl-rehash(1)). */
bool tls_trust_has_name(const char *name, bool crls)
{
	struct slice rest = slice_of(name), hash = slice_cut(&rest, '.');
	uint64_t number;
	if (crls && !slice_starts(rest, SLICE("r")))
		return false;
	return hash.len == 8 && slice_parse_hex(hash, UINT32_MAX, &number) &&
	       slice_parse_u64(slice_from(rest, crls ? 1 : 0), 999999, &number);
}

static void close_directory(DIR **directory)
{
	if (*directory)
		closedir(*directory);
}

static bool read_directory(int fd, const char *name, bool crls, struct buf *out, struct error *error)
{
	DIR *directory _cleanup_(close_directory) = fdopendir(fd);
	if (!directory) {
		close(fd);
		return error_set_errno(error, errno, "reading the directory %s", name);
	}
	size_t before = buf_len(out);
	for (struct dirent *entry; (entry = readdir(directory));) {
		struct stat st;
		if (!tls_trust_has_name(entry->d_name, crls))
			continue;
		/* Not to be kept waiting by a pipe. */
		_cleanup_fd_ int file = openat(dirfd(directory), entry->d_name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		if (file < 0)
			return error_set_errno(error, errno, "opening %s in %s", entry->d_name, name);
		if (fstat(file, &st) == 0 && S_ISREG(st.st_mode) && !read_file(file, entry->d_name, out, error))
			return error_context(error, "in %s", name);
	}
	if (buf_len(out) == before)
		return error_set(error, ERROR_USAGE, "no file in %s has a name such as 9d66eef0.%s: run openssl rehash on it", name,
				 crls ? "r0" : "0");
	return true;
}

const char *tls_trust_place(const char *name)
{
	if (strcmp(name, "system") != 0)
		return name;
	return access(X509_get_default_cert_file(), R_OK) == 0 ? X509_get_default_cert_file() : X509_get_default_cert_dir();
}

bool tls_trust_read(const char *name, bool crls, struct buf *out, bool *directory_r, struct error *error)
{
	struct stat st;
	bool system = strcmp(name, "system") == 0;
	name = tls_trust_place(name);
	int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return error_set_errno(error, errno, "opening %s", name);
	*directory_r = system;
	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
		*directory_r = true;
		return read_directory(fd, name, crls, out, error);
	}
	bool done = S_ISREG(st.st_mode) ? read_file(fd, name, out, error) :
					  error_set(error, ERROR_USAGE, "%s is neither a file nor a directory", name);
	close(fd);
	return done;
}

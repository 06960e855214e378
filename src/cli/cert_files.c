/* SPDX-License-Identifier: ISC */
#include "cli/cert_files.h"

#include "base/cleanup.h"
#include "base/memory_file.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <sys/stat.h>
#include <unistd.h>

static bool key_path(const char *certificate, char *out, size_t size)
{
	const char *slash = strrchr(certificate, '/'), *dot = strrchr(certificate, '.');
	size_t stem = dot && dot > (slash ? slash + 1 : certificate) ? (size_t)(dot - certificate) : strlen(certificate);
	return snprintf(out, size, "%.*s.key", (int)stem, certificate) < (int)size;
}

bool cert_paths_make(const char *out, const char *name, struct cert_paths *paths_r, struct error *error)
{
	struct stat status;
	size_t len = strlen(out);
	bool slash = len && out[len - 1] == '/', good;
	if (slash || (stat(out, &status) == 0 && S_ISDIR(status.st_mode)))
		good = snprintf(paths_r->certificate, CERT_PATH_MAX, "%s%s%s.pem", out, slash ? "" : "/", name) < CERT_PATH_MAX;
	else
		good = len && snprintf(paths_r->certificate, CERT_PATH_MAX, "%s", out) < CERT_PATH_MAX;
	good = good && key_path(paths_r->certificate, paths_r->key, CERT_PATH_MAX);
	if (!good || strcmp(paths_r->certificate, paths_r->key) == 0)
		return error_set(error, ERROR_USAGE, "--out %.200s: expected a directory, or a file for the certificate that does "
						     "not end in .key", out);
	return true;
}

static bool write_one(const char *path, mode_t mode, struct slice text, bool force, struct error *error)
{
	char temporary[CERT_PATH_MAX + 16];
	snprintf(temporary, sizeof temporary, "%s.XXXXXX", path);
	_cleanup_fd_ int fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return error_set_errno(error, errno, "making %.300s", path);
	bool good = fchmod(fd, mode) == 0 && fd_write_all(fd, text) && fsync(fd) == 0;
	if (!good)
		error_set_errno(error, errno, "writing %.300s", path);
	else if (force)
		good = rename(temporary, path) == 0 || error_set_errno(error, errno, "replacing %.300s", path);
	else if (link(temporary, path) < 0)
		good = errno == EEXIST ? error_set(error, ERROR_USAGE, "%.300s exists already; --force replaces it", path) :
					 error_set_errno(error, errno, "making %.300s", path);
	/* After a renaming there is nothing left to remove. */
	unlink(temporary);
	return good;
}

bool cert_files_write(const struct cert_paths *paths, struct slice certificate, struct slice key, bool force, struct error *error)
{
	struct stat status;
	/* Before the key is made: half a pair helps nobody. */
	if (!force && lstat(paths->certificate, &status) == 0)
		return error_set(error, ERROR_USAGE, "%.300s exists already; --force replaces it", paths->certificate);
	return write_one(paths->key, 0600, key, force, error) && write_one(paths->certificate, 0644, certificate, force, error);
}

bool cert_file_read(const char *path, struct buf *out, struct error *error)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0) {
		error_set_errno(error, errno, "opening %.300s", path);
		if (error->kind == ERROR_PERMANENT)
			error->kind = ERROR_USAGE;
		return false;
	}
	for (;;) {
		char *room = buf_reserve(out, 16384);
		if (!room)
			return error_set(error, ERROR_USAGE, "%.300s is larger than %d bytes", path, CHAIN_TEXT_MAX);
		ssize_t n = read(fd, room, 16384);
		if (n == 0)
			return true;
		if (n < 0 && errno != EINTR)
			return error_set_errno(error, errno, "reading %.300s", path);
		buf_commit(out, n > 0 ? (size_t)n : 0);
	}
}

static int no_passphrase(char *out, int size, int writing, void *arg)
{
	(void)out;
	(void)size;
	(void)writing;
	*(bool *)arg = true;
	return -1;
}

EVP_PKEY *cert_key_parse(struct slice pem, bool *encrypted_r)
{
	*encrypted_r = false;
	BIO *bio = pem.len && pem.len <= CHAIN_TEXT_MAX ? BIO_new_mem_buf(pem.data, (int)pem.len) : NULL;
	EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, encrypted_r) : NULL;
	BIO_free(bio);
	ERR_clear_error();
	return key;
}

EVP_PKEY *cert_key_find(const char *path, struct slice text, char *found_r, size_t size)
{
	bool encrypted;
	struct buf other;
	struct error error;
	EVP_PKEY *key = cert_key_parse(text, &encrypted);
	if (key) {
		snprintf(found_r, size, "%s", path);
		return key;
	}
	buf_init(&other, CHAIN_TEXT_MAX + 16384);
	if (key_path(path, found_r, size) && cert_file_read(found_r, &other, &error))
		key = cert_key_parse(buf_slice(&other), &encrypted);
	if (other.data)
		explicit_bzero(other.data, other.size);
	buf_free(&other);
	return key;
}

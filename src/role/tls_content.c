/* SPDX-License-Identifier: ISC */
#include "role/tls_content.h"

#include "base/cleanup.h"
#include "base/fatal.h"
#include "base/files.h"
#include "base/memory_file.h"
#include "tls/context.h"
#include "tls/hello.h"
#include "tls/server.h"
#include "tls/verify.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

enum { NAMES_BYTES_MAX = 16 * 1024 * 1024 };

bool tls_public_part(char *text, size_t length, size_t *length_r)
{
	static const char private[] = "PRIVATE KEY-----";
	struct slice rest = slice_make(text, length);
	size_t kept = 0;
	bool inside = false;
	/* PKCS#8, PKCS#1 and SEC1 in DER are sequences that begin with a small version number. */
	if (length > 8 && (unsigned char)text[0] == 0x30) {
		const unsigned char *at = (const unsigned char *)text;
		EVP_PKEY *key = d2i_AutoPrivateKey(NULL, &at, length > INT32_MAX ? INT32_MAX : (long)length);
		ERR_clear_error();
		EVP_PKEY_free(key);
		if (key)
			return false;
	}
	while (rest.len) {
		size_t line_length = slice_find(rest, '\n') + 1;
		struct slice line = slice_first(rest, line_length), trimmed = slice_trim(line);
		rest = slice_from(rest, line_length);
		if (slice_starts(trimmed, SLICE("-----BEGIN ")) && memmem(trimmed.data, trimmed.len, private, sizeof private - 1))
			inside = true;
		if (!inside) {
			memmove(text + kept, line.data, line.len);
			kept += line.len;
		}
		if (inside && slice_starts(trimmed, SLICE("-----END ")))
			inside = false;
	}
	OPENSSL_cleanse(text + kept, length - kept);
	*length_r = kept;
	return true;
}

/* Into memory that nobody can change. */
static int seal(struct slice text, struct error *error)
{
	int fd = memory_file_sealed("postern-tls", text);
	if (fd < 0)
		error_set_errno(error, errno, "keeping a file in memory");
	return fd;
}

static bool judge(struct slice text, const char *path, struct tls_content *content, struct error *error)
{
	_cleanup_chain_ STACK_OF(X509) *chain = chain_parse(text, path, error);
	if (!chain || !tls_certificate_key_id(text, path, &content->key, error))
		return false;
	chain_judge(chain, &content->verdict);
	return true;
}

/* Whether OpenSSL has a use for them, as a front would find out. */
static bool check_parameters(struct slice text, const char *path, struct error *error)
{
	struct tls_policy policy;
	tls_policy_init(&policy, TLS_PROFILE_OPPORTUNISTIC);
	policy.dh_file = (struct tls_file){ .name = slice_of(path), .text = text };
	return tls_context_check(&policy, error);
}

static bool check_text(enum tls_file_kind kind, struct slice text, const char *path, struct tls_content *content, struct error *error)
{
	switch (kind) {
	case TLS_FILE_CHAIN: return judge(text, path, content, error);
	case TLS_FILE_PARAMETERS: return check_parameters(text, path, error);
	default: return true;
	}
}

/* The file without private keys. The text is wiped before it is given back where there may have been one. */
static int read_public(enum tls_file_kind kind, int fd, const char *path, struct tls_content *content, struct error *error)
{
	struct stat st;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return error_set(error, ERROR_USAGE, "%s is not a file", path) - 1;
	if (st.st_size > TLS_FILE_MAX)
		return error_set(error, ERROR_USAGE, "%s is larger than %d bytes", path, TLS_FILE_MAX) - 1;
	size_t size = (size_t)st.st_size, public = 0;
	char *text = xcalloc(1, size + 1);
	ssize_t length = files_read_full(&files_real, fd, text, size, 0);
	int sealed = -1;
	if (length < 0)
		error_set_errno(error, (int)-length, "reading %s", path);
	else if (!tls_public_part(text, (size_t)length, &public))
		error_set(error, ERROR_USAGE, "%s is a private key", path);
	else if (check_text(kind, slice_make(text, public), path, content, error))
		sealed = seal(slice_make(text, public), error);
	OPENSSL_cleanse(text, size);
	free(text);
	return sealed;
}

bool tls_content_lists(int directory, const struct dirent *entry, bool *below_r)
{
	char inside[300];
	struct tls_host_name host;
	struct slice name = slice_of(entry->d_name);
	size_t dot = slice_find_last(name, '.');
	struct slice ending = slice_from(name, dot);
	*below_r = !slice_equal(ending, SLICE(".pem")) && !slice_equal(ending, SLICE(".key"));
	struct slice base = *below_r ? name : slice_first(name, dot);
	if (slice_starts(base, SLICE("*.")))
		base = slice_from(base, 2);
	if (!tls_host_name_of(base, &host) || base.data[base.len - 1] == '.')
		return false;
	snprintf(inside, sizeof inside, "%s/fullchain.pem", entry->d_name);
	return !*below_r || (entry->d_type != DT_REG && faccessat(directory, inside, R_OK, 0) == 0);
}

/* The names in a directory, so that a front need not ask for those that are not there. */
static int read_names(const char *path, struct error *error)
{
	DIR *directory = opendir(path);
	struct buf names;
	size_t count = 0;
	if (!directory)
		return error_set_errno(error, errno, "opening the directory %s", path) - 1;
	buf_init(&names, NAMES_BYTES_MAX);
	for (struct dirent *entry; count < TLS_NAMES_MAX && (entry = readdir(directory));) {
		bool below = false;
		if (tls_content_lists(dirfd(directory), entry, &below))
			count += buf_printf(&names, "%s%s\n", entry->d_name, below ? "/" : "");
	}
	closedir(directory);
	int sealed = seal(buf_slice(&names), error);
	buf_free(&names);
	return sealed;
}

static int read_trust(enum tls_file_kind kind, const char *path, struct tls_content *content, struct error *error)
{
	struct buf text;
	int sealed = -1;
	size_t public = 0;
	buf_init(&text, TLS_TRUST_BYTES_MAX);
	if (tls_trust_read(path, kind == TLS_FILE_CRLS, &text, &content->directory, error)) {
		if (!buf_len(&text) || !tls_public_part(text.data + text.start, buf_len(&text), &public))
			error_set(error, ERROR_USAGE, "%s has no certificates in PEM form", path);
		else if (tls_trust_check(slice_make(text.data + text.start, public), kind == TLS_FILE_CRLS, path, error))
			sealed = seal(slice_make(text.data + text.start, public), error);
	}
	buf_free(&text);
	return sealed;
}

bool tls_content_read(enum tls_file_kind kind, const char *path, const char *key_path, struct tls_content *content_r, struct error *error)
{
	_cleanup_fd_ int file = -1;
	*content_r = (struct tls_content){ .fd = -1, .key_fd = -1 };
	switch (kind) {
	case TLS_FILE_NAMES: content_r->fd = read_names(path, error); break;
	case TLS_FILE_TRUST:
	case TLS_FILE_CRLS: content_r->fd = read_trust(kind, path, content_r, error); break;
	default:
		file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		if (file < 0)
			return error_set_errno(error, errno, "opening %s", path);
		content_r->fd = read_public(kind, file, path, content_r, error);
		break;
	}
	if (content_r->fd < 0 || kind != TLS_FILE_CHAIN)
		return content_r->fd >= 0;
	/* A file with both is opened once: if it is replaced meanwhile, they would not belong together. */
	content_r->key_fd = strcmp(path, key_path) == 0 ? fd_take(&file) : open(key_path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (content_r->key_fd >= 0)
		return true;
	fd_close(&content_r->fd);
	return error_set_errno(error, errno, "opening the private key %s", key_path);
}

struct slice tls_content_map(const struct tls_content *content)
{
	struct stat st;
	size_t size = content->fd >= 0 && fstat(content->fd, &st) == 0 ? (size_t)st.st_size : 0;
	void *text = size ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, content->fd, 0) : MAP_FAILED;
	return text == MAP_FAILED ? (struct slice){ 0 } : slice_make(text, size);
}

void tls_content_unmap(struct slice text)
{
	if (text.len)
		munmap((void *)(uintptr_t)text.data, text.len);
}

void tls_content_drop(struct tls_content *content)
{
	fd_close(&content->fd);
	fd_close(&content->key_fd);
}

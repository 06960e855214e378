/* SPDX-License-Identifier: ISC */
/* Certificates and keys in files, as commands read and write them. */
#ifndef POSTERN_CLI_CERT_FILES_H
#define POSTERN_CLI_CERT_FILES_H

#include "base/buf.h"
#include "tls/chain.h"

enum { CERT_PATH_MAX = 4096 };

/* Where a certificate and its key go. */
struct cert_paths {
	char certificate[CERT_PATH_MAX], key[CERT_PATH_MAX];
};

/*
 * `out` is a directory: NAME.pem and NAME.key there; otherwise it is the file of the certificate, and the key has its name
 * with ".key" for the ending. False when a path becomes too long.
 */
bool cert_paths_make(const char *out, const char *name, struct cert_paths *paths_r, struct error *error);
/*
 * Writes both, the key for its owner only (0600). A file that is there is an error unless `force`; then each is replaced in one
 * step, so that who reads never sees half of it. False with *error.
 */
bool cert_files_write(const struct cert_paths *paths, struct slice certificate, struct slice key, bool force, struct error *error);
/* A whole file of at most CHAIN_TEXT_MAX bytes, appended. */
bool cert_file_read(const char *path, struct buf *out, struct error *error);
/* The first private key of a PEM text; NULL with ERR's queue empty and *encrypted_r set when there is none, or none that opens. */
EVP_PKEY *cert_key_parse(struct slice pem, bool *encrypted_r);
/* The key that belongs to a certificate's file: in `path` itself, or in the file beside it that cert_paths_make names. NULL: neither. */
EVP_PKEY *cert_key_find(const char *path, struct slice text, char *found_r, size_t size);

#endif

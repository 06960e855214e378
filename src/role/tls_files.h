/* SPDX-License-Identifier: ISC */
/*
 * The files of TLS as the master and the fronts speak of them: what there is, and which ones a configuration names by itself.
 * A front has no files: it asks for each by kind and path, and gets its text in a sealed descriptor; a private key never is
 * part of it.
 */
#ifndef POSTERN_ROLE_TLS_FILES_H
#define POSTERN_ROLE_TLS_FILES_H

#include "conf/conf.h"

enum tls_file_kind {
	TLS_FILE_PROOFS, /* for stapling; as they are, for the fronts judge them */
	TLS_FILE_PARAMETERS, /* of Diffie-Hellman */
	TLS_FILE_CHAIN,  /* certificates; its private key is with the keeper */
	TLS_FILE_NAMES,  /* the certificates in a directory: a line each, "NAME.pem", "NAME.key" or "NAME/" */
	TLS_FILE_TRUST,  /* certificates to verify clients with, of a file, a directory, or "system" */
	TLS_FILE_CRLS,   /* revocation lists, of a file or a directory */
	TLS_FILE_KINDS
};

enum { TLS_FILE_MAX = 1024 * 1024, TLS_PATH_MAX = 1024, TLS_WANTS_MAX = 32, TLS_NAMES_MAX = 100000 /* entries of a directory */ };

struct tls_want {
	enum tls_file_kind kind;
	struct slice path, key_path; /* the second only of chains: where the key is, perhaps the same file */
	const char *option;          /* that names the path; static, or NULL; set by tls_wants_of */
	bool spared;                 /* a proof: without it the certificate is still good */
};

/*
 * The chains of a list of certificates and a list of keys (empty: each key is with its certificate). An item that ends with a
 * slash is left to the caller. False with *error when there are more keys or fewer, or more than `size` certificates.
 */
bool tls_chains_of(struct slice certificates, struct slice keys, struct arena *arena, struct tls_want *wants, size_t size,
		   size_t *count_r, struct error *error);
/* All files that options without expansions name; texts in `arena`. */
size_t tls_wants_of(const struct conf *conf, struct arena *arena, struct tls_want wants[TLS_WANTS_MAX]);
/* Whether that is all: nothing of TLS depends on the connection but its port. */
bool tls_is_constant(const struct conf *conf, struct arena *arena);
/* Whether an item of tls_certificate is a directory: it ends with a slash. */
bool tls_names_directory(struct slice path);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * A file of TLS, read by the master: its text in sealed memory, which nobody can change, without private keys. A private key is
 * not read here at all: its file is opened, and the descriptor is for the keeper alone.
 *
 * Who has a content owns its descriptors, until tls_content_drop.
 */
#ifndef POSTERN_ROLE_TLS_CONTENT_H
#define POSTERN_ROLE_TLS_CONTENT_H

#include "role/tls_files.h"
#include "tls/chain.h"
#include "tls/remote_key.h"

struct tls_content {
	int fd;             /* sealed memory with the text; -1: there is none */
	int key_fd;         /* of chains: the key file; otherwise -1 */
	bool directory;     /* of trust and revocation lists: the text is that of a directory's files */
	struct key_id key;  /* of chains: the key that its first certificate is for */
	struct chain_verdict verdict; /* of chains */
};

/* False with *error, and nothing open, when it cannot be used. Whether the key fits is the keeper's to say;
 * whether the chain is good (tls/chain.h) is no condition. */
bool tls_content_read(enum tls_file_kind kind, const char *path, const char *key_path, struct tls_content *content_r, struct error *error);
/* Its text, readable until tls_content_unmap; empty when there is none. */
struct slice tls_content_map(const struct tls_content *content);
void tls_content_unmap(struct slice text);
/* Closes what is open. */
void tls_content_drop(struct tls_content *content);

/*
 * Whether the listing of a directory of certificates has this entry: NAME.pem, NAME.key, or the directory NAME with a chain in it
 * (*below_r). Names are those of hosts, "*." before them or not, for they become part of a path.
 */
struct dirent;
bool tls_content_lists(int directory, const struct dirent *entry, bool *below_r);

/*
 * Takes the private keys (PEM blocks) out of the text, in place, and wipes what is behind its new end. False when it is a
 * private key in another form.
 */
bool tls_public_part(char *text, size_t length, size_t *length_r);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * Delivery into Maildirs. A message is written without a name (O_TMPFILE, or into tmp/ where the file system has none), made
 * durable, and only then appears in new/: readers never see a part of one, and success is told after file and directory
 * are synced. Line ends become LF; a CR that no LF follows stays.
 *
 * Names are SECONDS.M<microseconds>P<pid>Q<sequence>.HOST,S=<bytes>,W=<bytes with each line end as CRLF>; S and W are
 * what Dovecot and Courier read instead of the file's length. HOST has '/' and ':' written \057 and \072.
 *
 * Everything is relative to the delivery's base_fd, and no component of a path, link or not, leads out of it (openat2). Modes are
 * cut by the process's umask. Nothing is given to another owner.
 *
 * A context belongs to one thread at a time and keeps up to MAILDIR_CACHE directories open. An open directory is only
 * used while its path still leads to it.
 */
#ifndef POSTERN_MAILBOX_MAILDIR_H
#define POSTERN_MAILBOX_MAILDIR_H

#include "base/error.h"
#include "base/files.h"
#include "base/slice.h"

enum {
	MAILDIR_CACHE = 64,
	MAILDIR_PATH_MAX = 1024,
	MAILDIR_NAME_MAX = 256, /* with the NUL */
};

struct maildir;

struct maildir_delivery {
	int base_fd;       /* directory, the caller's */
	struct slice path; /* of the Maildir below it: relative, no "." and ".." */
	bool create;       /* make what is missing of the path, and tmp, new and cur */
	mode_t directory_mode, file_mode;
	struct slice prefix;                 /* header lines before the message, with LF */
	int body_fd;                         /* the message with CRLF, read from body_offset; the caller's */
	uint64_t body_offset, body_size;
	/* Results. */
	char name[MAILDIR_NAME_MAX]; /* of the file in new/ */
	struct error error;          /* kind ERROR_NONE: it is delivered, durably */
};

/* `host` goes into names (cut to 64 bytes). `files` is NULL but in tests. Never fails. */
struct maildir *maildir_new(struct slice host, const struct files *files);
void maildir_free(struct maildir *maildir);

/*
 * Delivers all of them, with as few waits for the disk as can be. Each result is in its delivery: an error is temporary when
 * an administrator can mend it (rights, space, a missing directory, a link that leads out), permanent when the path itself
 * is not one. After an error no file is left in new/, as far as it could be removed.
 */
void maildir_deliver(struct maildir *maildir, struct maildir_delivery deliveries[], size_t count);

#endif

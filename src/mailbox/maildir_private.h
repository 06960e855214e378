/* SPDX-License-Identifier: ISC */
/* What the source files of Maildir delivery share: the cache of open directories, and the conversion of line ends. */
#ifndef POSTERN_MAILBOX_MAILDIR_PRIVATE_H
#define POSTERN_MAILBOX_MAILDIR_PRIVATE_H

#include "mailbox/maildir.h"

enum { MAILDIR_BUFFER = 64 * 1024 };

/* An open new/ directory. Pinned while a batch uses it; only others are closed to make room. */
struct maildir_place {
	int new_fd; /* -1: the place is free */
	dev_t base_device, device;
	ino_t base_number, number;
	char path[MAILDIR_PATH_MAX + 8]; /* "PATH/new", relative to the base */
	uint64_t used;                   /* when, by the context's counter */
	unsigned pins;
	bool no_tmpfile; /* this file system has none */
	bool dirty;      /* got names in this batch */
	int sync_result; /* of this batch */
};

struct maildir {
	const struct files *files;
	char host[64 * 4 + 1];
	uint64_t sequence, counter;
	enum files_link how; /* how unnamed files get their name; FILES_LINK_NONE: they do not */
	struct maildir_place places[MAILDIR_CACHE];
	char buffer[MAILDIR_BUFFER];
};

/* The open new/ of a delivery's Maildir, pinned; made when asked for. NULL with the delivery's error set. */
struct maildir_place *maildir_place_get(struct maildir *maildir, struct maildir_delivery *delivery);
void maildir_place_close(struct maildir *maildir, struct maildir_place *place);
/* A directory of the Maildir (such as "tmp"), opened for this call: a descriptor or a negative errno. */
int maildir_open_part(struct maildir *maildir, const struct maildir_delivery *delivery, const char *part);
/* Sets a temporary error: "what PATH/part: reason". Returns false. */
bool maildir_failed(struct maildir_delivery *delivery, int failure, const char *what, const char *part);

/* State of a conversion over many buffers. All zero at the start. */
struct maildir_lines {
	bool cr;            /* the last byte was a CR that is still held back */
	char last;          /* the last byte given out */
	uint64_t size;      /* bytes given out */
	uint64_t bare_feeds; /* LFs given out without a CR before them */
};

/* Counts bytes that go out as they are. */
void maildir_lines_count(struct maildir_lines *lines, const char *data, size_t size);
/*
 * Turns CRLF into LF: `size` bytes from `in` to `out`, which may be the same place, or up to one byte before it, as at most one
 * byte more than `size` is given out (a CR held back from before). Returns how many were.
 */
size_t maildir_lines_convert(struct maildir_lines *lines, char *out, const char *in, size_t size);
/* At the end: the CR that was held back, if one was. Returns how many bytes (0 or 1). */
size_t maildir_lines_finish(struct maildir_lines *lines, char *out);

#endif

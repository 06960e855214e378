/* SPDX-License-Identifier: ISC */
#include "mailbox/maildir_private.h"

#include "base/clock.h"
#include "base/fatal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BATCH = MAILDIR_CACHE, NAME_TRIES = 8 };

/* One delivery of a batch under way. It is alive as long as its error is ERROR_NONE. */
struct work {
	struct maildir_delivery *delivery;
	struct maildir_place *place;
	int fd;      /* the file, -1 before */
	int tmp_fd;  /* tmp/, when the file has a name there, else -1 */
	bool linked; /* has its name in new/ */
	char temporary[MAILDIR_NAME_MAX];
	struct maildir_lines lines;
};

static bool alive(const struct work *work)
{
	return work->delivery->error.kind == ERROR_NONE;
}

/* Bytes that readers of Maildirs would take for separators are written as Maildir's specification says. */
static void set_host(struct maildir *maildir, struct slice host)
{
	struct slice rest = slice_first(host, 64);
	size_t len = 0;
	for (size_t i = 0; i < rest.len; i++) {
		char c = rest.data[i];
		bool plain = (unsigned char)c > 32 && c != 127 && !strchr("/:,\\", c);
		len += (size_t)snprintf(maildir->host + len, sizeof maildir->host - len, plain ? "%c" : "\\%03o",
					(unsigned)(unsigned char)c);
	}
	if (len == 0)
		snprintf(maildir->host, sizeof maildir->host, "localhost");
}

struct maildir *maildir_new(struct slice host, const struct files *files)
{
	struct maildir *maildir = xcalloc(1, sizeof *maildir);
	maildir->files = files ? files : &files_real;
	set_host(maildir, host);
	for (size_t i = 0; i < MAILDIR_CACHE; i++)
		maildir->places[i].new_fd = -1;
	return maildir;
}

void maildir_free(struct maildir *maildir)
{
	if (!maildir)
		return;
	for (size_t i = 0; i < MAILDIR_CACHE; i++)
		maildir_place_close(maildir, &maildir->places[i]);
	free(maildir);
}

/* A name that no other delivery has: time, process and a count. */
static void make_name(struct maildir *maildir, char out[MAILDIR_NAME_MAX])
{
	int64_t now = clock_wall_now();
	snprintf(out, MAILDIR_NAME_MAX, "%lld.M%06lldP%ldQ%llu.%.120s", (long long)(now / CLOCK_SECOND),
		 (long long)(now % CLOCK_SECOND / 1000), (long)getpid(), (unsigned long long)++maildir->sequence,
		 maildir->host);
}

/* With the sizes; the host gives way if there is not room for all. */
static void make_final_name(struct maildir *maildir, struct work *work)
{
	char name[MAILDIR_NAME_MAX];
	make_name(maildir, name);
	snprintf(work->delivery->name, MAILDIR_NAME_MAX, "%.190s,S=%llu,W=%llu", name, (unsigned long long)work->lines.size,
		 (unsigned long long)(work->lines.size + work->lines.bare_feeds));
}

static bool open_unnamed(struct maildir *maildir, struct work *work)
{
	const struct files *files = maildir->files;
	if (maildir->how == FILES_LINK_NONE || work->place->no_tmpfile)
		return false;
	work->fd = files->ops->open(files, work->place->new_fd, ".", O_WRONLY | O_TMPFILE, work->delivery->file_mode);
	if (work->fd == -EOPNOTSUPP || work->fd == -EISDIR)
		work->place->no_tmpfile = true;
	return !work->place->no_tmpfile;
}

static bool open_named(struct maildir *maildir, struct work *work)
{
	const struct files *files = maildir->files;
	work->tmp_fd = maildir_open_part(maildir, work->delivery, "tmp");
	if (work->tmp_fd < 0)
		return maildir_failed(work->delivery, work->tmp_fd, "opening the Maildir's directory", "tmp");
	for (int tries = 0; tries < NAME_TRIES; tries++) {
		make_name(maildir, work->temporary);
		work->fd = files->ops->open(files, work->tmp_fd, work->temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW,
					    work->delivery->file_mode);
		if (work->fd != -EEXIST)
			break;
	}
	if (work->fd >= 0)
		return true;
	work->temporary[0] = '\0';
	return maildir_failed(work->delivery, work->fd, "writing into the directory", "tmp");
}

/* A buffer's worth: what is left of the prefix, then of the body. */
struct source {
	struct slice prefix;
	uint64_t offset, left;
};

/* Fills the buffer; its length, 0 at the end, or a negative errno. */
static ssize_t fill(struct maildir *maildir, struct work *work, struct source *source)
{
	const struct files *files = maildir->files;
	struct slice head = slice_first(source->prefix, MAILDIR_BUFFER);
	size_t len = head.len;
	if (len) {
		memcpy(maildir->buffer, head.data, len);
		maildir_lines_count(&work->lines, head.data, len);
		source->prefix = slice_from(source->prefix, len);
	}
	/* One byte is kept for a CR that was held back: the body is read behind it. */
	size_t want = MAILDIR_BUFFER - len;
	if (want > 1 && source->left > 0) {
		want = want - 1 < source->left ? want - 1 : (size_t)source->left;
		ssize_t got = files->ops->pread(files, work->delivery->body_fd, maildir->buffer + len + 1, want, source->offset);
		if (got <= 0)
			return got < 0 ? got : -EIO;
		source->offset += (uint64_t)got;
		source->left -= (uint64_t)got;
		len += maildir_lines_convert(&work->lines, maildir->buffer + len, maildir->buffer + len + 1, (size_t)got);
	}
	if (source->left == 0 && source->prefix.len == 0 && len < MAILDIR_BUFFER)
		len += maildir_lines_finish(&work->lines, maildir->buffer + len);
	return (ssize_t)len;
}

static bool write_message(struct maildir *maildir, struct work *work)
{
	struct source source = { work->delivery->prefix, work->delivery->body_offset, work->delivery->body_size };
	uint64_t written = 0;
	while (source.prefix.len || source.left || work->lines.cr) {
		ssize_t len = fill(maildir, work, &source);
		if (len < 0)
			return maildir_failed(work->delivery, (int)len, "reading the message for", "");
		int result = files_write_all(maildir->files, work->fd, maildir->buffer, (size_t)len, written);
		if (result < 0)
			return maildir_failed(work->delivery, result, "writing a message into", "");
		written += (uint64_t)len;
	}
	return true;
}

static void begin(struct maildir *maildir, struct work *work)
{
	work->place = maildir_place_get(maildir, work->delivery);
	if (!work->place)
		return;
	if (!open_unnamed(maildir, work) && !open_named(maildir, work))
		return;
	if (work->fd < 0)
		maildir_failed(work->delivery, work->fd, "writing into the directory", "new");
	else
		write_message(maildir, work);
}

static void sync_files(struct maildir *maildir, struct work works[], size_t count)
{
	const struct files *files = maildir->files;
	for (size_t i = 0; count > 1 && i < count; i++)
		if (alive(&works[i]))
			files->ops->start_writeback(files, works[i].fd);
	for (size_t i = 0; i < count; i++) {
		int result = alive(&works[i]) ? files->ops->sync_data(files, works[i].fd) : 0;
		if (result < 0)
			maildir_failed(works[i].delivery, result, "syncing a message in", "");
	}
}

/* Tries the ways that are left. When none works, later deliveries use names in tmp/. */
static int link_unnamed(struct maildir *maildir, struct work *work)
{
	const struct files *files = maildir->files;
	int new_fd = work->place->new_fd, result = -ENOENT;
	struct stat stat;
	for (unsigned how = maildir->how; how < FILES_LINK_NONE; how++) {
		result = files->ops->link_anonymous(files, (enum files_link)how, work->fd, new_fd, work->delivery->name);
		if (result != -ENOENT && result != -EPERM && result != -EINVAL) {
			maildir->how = (enum files_link)how;
			return result;
		}
	}
	/* A directory that was removed meanwhile refuses in the same way: that says nothing about the others. */
	if (files->ops->stat(files, new_fd, &stat) == 0 && stat.st_nlink > 0)
		maildir->how = FILES_LINK_NONE;
	return result;
}

static int link_once(struct maildir *maildir, struct work *work)
{
	const struct files *files = maildir->files;
	if (!work->temporary[0])
		return link_unnamed(maildir, work);
	int result = files->ops->rename_new(files, work->tmp_fd, work->temporary, work->place->new_fd, work->delivery->name);
	if (result == 0)
		work->temporary[0] = '\0';
	return result;
}

static void link_file(struct maildir *maildir, struct work *work)
{
	int result = -EEXIST;
	for (int tries = 0; result == -EEXIST && tries < NAME_TRIES; tries++) {
		make_final_name(maildir, work);
		result = link_once(maildir, work);
	}
	if (result < 0) {
		maildir_failed(work->delivery, result, "naming a message in", "new");
		return;
	}
	work->linked = work->place->dirty = true;
}

static void sync_places(struct maildir *maildir, struct work works[], size_t count)
{
	const struct files *files = maildir->files;
	for (size_t i = 0; i < count; i++) {
		struct maildir_place *place = works[i].place;
		if (!works[i].linked)
			continue;
		if (place->dirty)
			place->sync_result = files->ops->sync_directory(files, place->new_fd);
		place->dirty = false;
		if (place->sync_result < 0)
			maildir_failed(works[i].delivery, place->sync_result, "syncing the directory", "new");
	}
}

static void end(struct maildir *maildir, struct work *work)
{
	const struct files *files = maildir->files;
	/* What is not a success must not be found by a reader, as it will be delivered again. */
	if (!alive(work) && work->linked)
		files->ops->unlink(files, work->place->new_fd, work->delivery->name);
	if (!alive(work))
		work->delivery->name[0] = '\0';
	if (work->temporary[0])
		files->ops->unlink(files, work->tmp_fd, work->temporary);
	if (work->fd >= 0)
		files->ops->close(files, work->fd);
	if (work->tmp_fd >= 0)
		files->ops->close(files, work->tmp_fd);
	if (work->place)
		work->place->pins--;
}

static void deliver_batch(struct maildir *maildir, struct maildir_delivery deliveries[], size_t count)
{
	struct work works[BATCH];
	for (size_t i = 0; i < count; i++) {
		deliveries[i].error = (struct error){ 0 };
		deliveries[i].name[0] = '\0';
		works[i] = (struct work){ .delivery = &deliveries[i], .fd = -1, .tmp_fd = -1 };
		begin(maildir, &works[i]);
	}
	sync_files(maildir, works, count);
	for (size_t i = 0; i < count; i++)
		if (alive(&works[i]))
			link_file(maildir, &works[i]);
	sync_places(maildir, works, count);
	for (size_t i = 0; i < count; i++)
		end(maildir, &works[i]);
}

void maildir_deliver(struct maildir *maildir, struct maildir_delivery deliveries[], size_t count)
{
	for (size_t at = 0; at < count; at += BATCH)
		deliver_batch(maildir, deliveries + at, count - at < BATCH ? count - at : BATCH);
}

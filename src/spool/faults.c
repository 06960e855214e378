/* SPDX-License-Identifier: ISC */
#include "spool/faults.h"

#include "base/cleanup.h"
#include "base/fatal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

enum { SECTOR = 512, NAME = 256, SHORT_IO = 1000 };

/* A write that is not safe yet, or with data NULL, a change of length to `offset`. */
struct change {
	uint64_t offset;
	size_t size;
	char *data;
	bool dropped; /* its sync failed: it will never be safe */
};

/* A name that a directory has, or in the list of what is not safe yet: got or lost. */
struct name {
	char text[NAME];
	struct faults_node *node;
	bool gone;
};

struct faults_node {
	dev_t device;
	ino_t number; /* 0 when the kernel may use it for another file by now */
	bool directory;
	char *bytes; /* safe content of a file */
	size_t size;
	struct change *changes;
	size_t change_count;
	struct name *names; /* safe names of a directory */
	size_t name_count;
	struct name *pending;
	size_t pending_count;
};

static struct faults *faults_of(const struct files *files)
{
	return (struct faults *)(uintptr_t)files;
}

static uint32_t next_random(struct faults *faults)
{
	uint32_t x = faults->seed ? faults->seed : 2463534242u;
	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return faults->seed = x;
}

static bool coin(struct faults *faults)
{
	return next_random(faults) >> 16 & 1;
}

/* Counts a call; a negative errno when it is to fail. */
static int step(struct faults *faults)
{
	if (faults->crashed)
		return -EIO;
	faults->calls++;
	if (faults->crash_at && faults->calls >= faults->crash_at) {
		faults->crashed = true;
		return -EIO;
	}
	return faults->calls == faults->fail_at ? -faults->fail_errno : 0;
}

/* The model */

static struct faults_node *new_node(struct faults *faults, const struct stat *stat)
{
	for (size_t i = 0; i < faults->node_count; i++)
		if (faults->nodes[i]->number == stat->st_ino && faults->nodes[i]->device == stat->st_dev)
			faults->nodes[i]->number = 0;
	struct faults_node *node = xcalloc(1, sizeof *node);
	node->device = stat->st_dev;
	node->number = stat->st_ino;
	node->directory = S_ISDIR(stat->st_mode);
	faults->nodes = xrealloc(faults->nodes, (faults->node_count + 1) * sizeof *faults->nodes);
	return faults->nodes[faults->node_count++] = node;
}

static struct faults_node *find_node(struct faults *faults, const struct stat *stat)
{
	for (size_t i = faults->node_count; i-- > 0;)
		if (faults->nodes[i]->number == stat->st_ino && faults->nodes[i]->device == stat->st_dev)
			return faults->nodes[i];
	return NULL;
}

static struct faults_node *node_of(struct faults *faults, int fd)
{
	return fd >= 0 && (size_t)fd < sizeof faults->of_fd / sizeof faults->of_fd[0] ? faults->of_fd[fd] : NULL;
}

static int track(struct faults *faults, int fd, struct faults_node *node)
{
	ensure((size_t)fd < sizeof faults->of_fd / sizeof faults->of_fd[0]);
	faults->of_fd[fd] = node;
	return fd;
}

static void add_name(struct name **list, size_t *count, const char *text, struct faults_node *node, bool gone)
{
	*list = xrealloc(*list, (*count + 1) * sizeof **list);
	struct name *name = &(*list)[(*count)++];
	*name = (struct name){ .node = node, .gone = gone };
	snprintf(name->text, sizeof name->text, "%s", text);
}

static void change_name(struct faults_node *directory, const char *text, struct faults_node *node, bool gone)
{
	if (directory)
		add_name(&directory->pending, &directory->pending_count, text, node, gone);
}

/* One change applied to a list of names. */
static void apply_name(struct name **list, size_t *count, const struct name *change)
{
	for (size_t i = 0; i < *count; i++) {
		if (strcmp((*list)[i].text, change->text) == 0) {
			(*list)[i] = (*list)[--*count];
			break;
		}
	}
	if (!change->gone)
		add_name(list, count, change->text, change->node, false);
}

static struct faults_node *look_up(const struct faults_node *directory, const char *text)
{
	struct faults_node *found = NULL;
	for (size_t i = 0; i < directory->name_count; i++)
		if (strcmp(directory->names[i].text, text) == 0)
			found = directory->names[i].node;
	for (size_t i = 0; i < directory->pending_count; i++)
		if (strcmp(directory->pending[i].text, text) == 0)
			found = directory->pending[i].gone ? NULL : directory->pending[i].node;
	return found;
}

static void add_change(struct faults_node *node, uint64_t offset, const void *data, size_t size)
{
	if (!node)
		return;
	node->changes = xrealloc(node->changes, (node->change_count + 1) * sizeof *node->changes);
	struct change *change = &node->changes[node->change_count++];
	*change = (struct change){ .offset = offset, .size = size };
	if (data) {
		change->data = xcalloc(1, size);
		memcpy(change->data, data, size);
	}
}

struct content {
	char *bytes;
	size_t size;
};

static void set_size(struct content *content, size_t size)
{
	content->bytes = xrealloc(content->bytes, size + 1);
	if (size > content->size)
		memset(content->bytes + content->size, 0, size - content->size);
	content->size = size;
}

static void put_bytes(struct content *content, uint64_t offset, const char *data, size_t size)
{
	if (offset + size > content->size)
		set_size(content, (size_t)offset + size);
	memcpy(content->bytes + offset, data, size);
}

static void apply_change(struct content *content, const struct change *change)
{
	if (change->data)
		put_bytes(content, change->offset, change->data, change->size);
	else
		set_size(content, (size_t)change->offset);
}

static void make_safe(struct faults_node *node)
{
	struct content content = { node->bytes, node->size };
	size_t kept = 0;
	for (size_t i = 0; i < node->change_count; i++) {
		if (node->changes[i].dropped) {
			node->changes[kept++] = node->changes[i];
			continue;
		}
		apply_change(&content, &node->changes[i]);
		free(node->changes[i].data);
	}
	node->change_count = kept;
	node->bytes = content.bytes;
	node->size = content.size;
	for (size_t i = 0; i < node->pending_count; i++)
		apply_name(&node->names, &node->name_count, &node->pending[i]);
	node->pending_count = 0;
}

/* The calls */

static int faults_open(const struct files *files, int dir, const char *path, int flags, mode_t mode)
{
	struct faults *faults = faults_of(files);
	struct faults_node *directory = node_of(faults, dir);
	struct stat stat;
	bool anonymous = (flags & O_TMPFILE) == O_TMPFILE;
	int failure = step(faults);
	if (failure < 0)
		return failure;
	if (anonymous && faults->no_tmpfile)
		return -EOPNOTSUPP;
	int fd = files_real.ops->open(&files_real, dir, path, flags, mode);
	if (fd < 0)
		return fd;
	ensure(fstat(fd, &stat) == 0);
	if (anonymous)
		return track(faults, fd, new_node(faults, &stat));
	if (!(flags & O_CREAT) || !directory || look_up(directory, path))
		return track(faults, fd, find_node(faults, &stat));
	struct faults_node *node = new_node(faults, &stat);
	change_name(directory, path, node, false);
	return track(faults, fd, node);
}

static int faults_open_beneath(const struct files *files, int dir, const char *path, int flags, mode_t mode)
{
	struct faults *faults = faults_of(files);
	struct stat stat;
	int failure = step(faults);
	if (failure < 0)
		return failure;
	int fd = files_real.ops->open_beneath(&files_real, dir, path, flags, mode);
	if (fd < 0)
		return fd;
	ensure(fstat(fd, &stat) == 0);
	return track(faults, fd, find_node(faults, &stat));
}

static void faults_close(const struct files *files, int fd)
{
	struct faults *faults = faults_of(files);
	if (node_of(faults, fd))
		faults->of_fd[fd] = NULL;
	close(fd);
}

static ssize_t faults_pread(const struct files *files, int fd, void *data, size_t size, uint64_t offset)
{
	struct faults *faults = faults_of(files);
	int failure = step(faults);
	if (failure < 0)
		return failure;
	if (faults->short_io && size > SHORT_IO)
		size = SHORT_IO;
	return files_real.ops->pread(&files_real, fd, data, size, offset);
}

static ssize_t faults_pwrite(const struct files *files, int fd, const void *data, size_t size, uint64_t offset)
{
	struct faults *faults = faults_of(files);
	bool before = faults->crashed;
	int failure = step(faults);
	if (failure < 0 && (before || size < 2 || coin(faults)))
		return failure;
	/* A write that fails, or during which the machine stops, may have done a part. */
	if (failure < 0)
		size = 1 + next_random(faults) % (size - 1);
	if (faults->short_io && size > SHORT_IO)
		size = SHORT_IO;
	ssize_t written = files_real.ops->pwrite(&files_real, fd, data, size, offset);
	if (written > 0)
		add_change(node_of(faults, fd), offset, data, (size_t)written);
	return failure < 0 ? failure : written;
}

static int faults_truncate(const struct files *files, int fd, uint64_t size)
{
	struct faults *faults = faults_of(files);
	int result = step(faults);
	if (result == 0)
		result = files_real.ops->truncate(&files_real, fd, size);
	if (result == 0)
		add_change(node_of(faults, fd), size, NULL, 0);
	return result;
}

static int faults_stat(const struct files *files, int fd, struct stat *stat)
{
	(void)files;
	return files_real.ops->stat(&files_real, fd, stat);
}

static int faults_stat_path(const struct files *files, int dir, const char *path, struct stat *stat)
{
	(void)files;
	return files_real.ops->stat_path(&files_real, dir, path, stat);
}

static int faults_start_writeback(const struct files *files, int fd)
{
	(void)files;
	(void)fd;
	return 0;
}

/* Files and directories alike. After a failure the dirty pages count as clean, but never reach the disk. */
static int faults_sync(const struct files *files, int fd)
{
	struct faults *faults = faults_of(files);
	struct faults_node *node = node_of(faults, fd);
	bool before = faults->crashed;
	int failure = step(faults);
	ensure(node || failure < 0);
	if (failure == 0) {
		faults->syncs++;
		make_safe(node);
	} else if (!before && node) {
		for (size_t i = 0; i < node->change_count; i++)
			node->changes[i].dropped = true;
	}
	return failure;
}

static int faults_link_anonymous(const struct files *files, enum files_link how, int fd, int dir, const char *name)
{
	struct faults *faults = faults_of(files);
	int result = step(faults);
	if (result == 0 && how < faults->worst_link)
		result = -ENOENT;
	if (result == 0)
		result = files_real.ops->link_anonymous(&files_real, how, fd, dir, name);
	if (result == 0)
		change_name(node_of(faults, dir), name, node_of(faults, fd), false);
	return result;
}

static int faults_link(const struct files *files, int from_dir, const char *from, int dir, const char *name)
{
	struct faults *faults = faults_of(files);
	int result = step(faults);
	if (result == 0)
		result = files_real.ops->link(&files_real, from_dir, from, dir, name);
	if (result == 0)
		change_name(node_of(faults, dir), name, look_up(node_of(faults, from_dir), from), false);
	return result;
}

static int faults_rename_new(const struct files *files, int from_dir, const char *from, int dir, const char *name)
{
	struct faults *faults = faults_of(files);
	int result = step(faults);
	if (result == 0)
		result = files_real.ops->rename_new(&files_real, from_dir, from, dir, name);
	if (result == 0) {
		change_name(node_of(faults, dir), name, look_up(node_of(faults, from_dir), from), false);
		change_name(node_of(faults, from_dir), from, NULL, true);
	}
	return result;
}

static int faults_unlink(const struct files *files, int dir, const char *name)
{
	struct faults *faults = faults_of(files);
	int result = step(faults);
	if (result == 0)
		result = files_real.ops->unlink(&files_real, dir, name);
	if (result == 0)
		change_name(node_of(faults, dir), name, NULL, true);
	return result;
}

static int faults_mkdir(const struct files *files, int dir, const char *name, mode_t mode)
{
	struct faults *faults = faults_of(files);
	struct stat stat;
	int result = step(faults);
	if (result == 0)
		result = files_real.ops->mkdir(&files_real, dir, name, mode);
	if (result == 0) {
		ensure(fstatat(dir, name, &stat, AT_SYMLINK_NOFOLLOW) == 0);
		change_name(node_of(faults, dir), name, new_node(faults, &stat), false);
	}
	return result;
}

static int faults_list(const struct files *files, int dir, files_list_fn *each, void *context)
{
	int result = step(faults_of(files));
	return result < 0 ? result : files_real.ops->list(&files_real, dir, each, context);
}

static int faults_lock(const struct files *files, int fd)
{
	int result = step(faults_of(files));
	return result < 0 ? result : files_real.ops->lock(&files_real, fd);
}

static const struct file_ops faults_ops = {
	.open = faults_open, .open_beneath = faults_open_beneath, .close = faults_close, .pread = faults_pread,
	.pwrite = faults_pwrite, .truncate = faults_truncate, .stat = faults_stat, .stat_path = faults_stat_path,
	.start_writeback = faults_start_writeback, .sync_data = faults_sync, .sync_directory = faults_sync,
	.link_anonymous = faults_link_anonymous, .link = faults_link, .rename_new = faults_rename_new,
	.unlink = faults_unlink, .mkdir = faults_mkdir, .list = faults_list, .lock = faults_lock,
};

/* Set-up: what is there counts as safe. */

struct import {
	struct faults *faults;
	struct faults_node *directory;
	int fd;
};

static void import_directory(struct faults *faults, struct faults_node *directory, int fd);

static bool import_name(void *context, const char *name)
{
	struct import *import = context;
	struct stat stat;
	_cleanup_fd_ int fd = openat(import->fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	ensure(fd >= 0 && fstat(fd, &stat) == 0);
	struct faults_node *node = new_node(import->faults, &stat);
	add_name(&import->directory->names, &import->directory->name_count, name, node, false);
	if (node->directory) {
		import_directory(import->faults, node, fd);
		return true;
	}
	node->size = (size_t)stat.st_size;
	node->bytes = xcalloc(1, node->size + 1);
	ensure(files_read_full(&files_real, fd, node->bytes, node->size, 0) == (ssize_t)node->size);
	return true;
}

static void import_directory(struct faults *faults, struct faults_node *directory, int fd)
{
	struct import import = { faults, directory, fd };
	ensure(files_real.ops->list(&files_real, fd, import_name, &import) == 0);
}

void faults_init(struct faults *faults, int root)
{
	struct stat stat;
	*faults = (struct faults){ .files = { &faults_ops }, .seed = 1 };
	ensure(fstat(root, &stat) == 0);
	faults->root = new_node(faults, &stat);
	import_directory(faults, faults->root, root);
	track(faults, root, faults->root);
}

void faults_free(struct faults *faults)
{
	for (size_t i = 0; i < faults->node_count; i++) {
		struct faults_node *node = faults->nodes[i];
		for (size_t j = 0; j < node->change_count; j++)
			free(node->changes[j].data);
		free(node->changes);
		free(node->bytes);
		free(node->names);
		free(node->pending);
		free(node);
	}
	free(faults->nodes);
	*faults = (struct faults){ 0 };
}

/* After the crash */

/* A write of which each sector may have reached the disk, and the length with it or not. */
static void apply_torn(struct faults *faults, struct content *content, const struct change *change)
{
	for (size_t at = 0; at < change->size;) {
		size_t within = SECTOR - (size_t)((change->offset + at) % SECTOR);
		size_t part = change->size - at < within ? change->size - at : within;
		if (coin(faults))
			put_bytes(content, change->offset + at, change->data + at, part);
		else if (coin(faults) && change->offset + at + part > content->size)
			set_size(content, (size_t)change->offset + at + part);
		at += part;
	}
}

static struct content settle_file(struct faults *faults, const struct faults_node *node, enum faults_variant variant)
{
	struct content content = { xcalloc(1, node->size + 1), node->size };
	if (node->size)
		memcpy(content.bytes, node->bytes, node->size);
	for (size_t i = 0; i < node->change_count; i++) {
		const struct change *change = &node->changes[i];
		if (variant == FAULTS_KEEP_ALL)
			apply_change(&content, change);
		else if (variant == FAULTS_KEEP_NAMES && change->offset + change->size > content.size)
			set_size(&content, (size_t)change->offset + change->size);
		else if (variant == FAULTS_RANDOM && change->data)
			apply_torn(faults, &content, change);
		else if (variant == FAULTS_RANDOM && coin(faults))
			apply_change(&content, change);
	}
	return content;
}

static void settle(struct faults *faults, const struct faults_node *node, enum faults_variant variant, int target);

static void build(struct faults *faults, const struct name *name, enum faults_variant variant, int target)
{
	if (name->node->directory) {
		ensure(mkdirat(target, name->text, 0700) == 0);
		_cleanup_fd_ int fd = openat(target, name->text, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		ensure(fd >= 0);
		settle(faults, name->node, variant, fd);
		return;
	}
	struct content content = settle_file(faults, name->node, variant);
	_cleanup_fd_ int fd = openat(target, name->text, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	ensure(fd >= 0 && files_write_all(&files_real, fd, content.bytes, content.size, 0) == 0);
	free(content.bytes);
}

static void settle(struct faults *faults, const struct faults_node *node, enum faults_variant variant, int target)
{
	struct name *names = NULL;
	size_t count = 0;
	for (size_t i = 0; i < node->name_count; i++)
		add_name(&names, &count, node->names[i].text, node->names[i].node, false);
	for (size_t i = 0; i < node->pending_count; i++)
		if (variant == FAULTS_KEEP_ALL || variant == FAULTS_KEEP_NAMES || (variant == FAULTS_RANDOM && coin(faults)))
			apply_name(&names, &count, &node->pending[i]);
	for (size_t i = 0; i < count; i++)
		if (names[i].node)
			build(faults, &names[i], variant, target);
	free(names);
}

void faults_materialise(struct faults *faults, enum faults_variant variant, int target)
{
	settle(faults, faults->root, variant, target);
}

int faults_directory_make(char path[64])
{
	snprintf(path, 64, "%s/postern-faults-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	ensure(mkdtemp(path) != NULL);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ensure(fd >= 0);
	return fd;
}

static bool remove_name(void *context, const char *name)
{
	int dir = *(const int *)context;
	if (unlinkat(dir, name, 0) == 0)
		return true;
	_cleanup_fd_ int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0)
		files_real.ops->list(&files_real, fd, remove_name, &fd);
	unlinkat(dir, name, AT_REMOVEDIR);
	return true;
}

void faults_directory_remove(const char *path, int fd)
{
	files_real.ops->list(&files_real, fd, remove_name, &fd);
	close(fd);
	rmdir(path);
}

/* SPDX-License-Identifier: ISC */
#include "base/files.h"

#include "base/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define UNUSED __attribute__((unused))

/* Repeats a call that a signal interrupted, and turns its failure into a negative errno. */
#define RESULT(call)                                         \
	({                                                   \
		__typeof__(call) result_;                    \
		do                                           \
			result_ = (call);                    \
		while (result_ < 0 && errno == EINTR);       \
		result_ < 0 ? -(__typeof__(result_))errno : result_; \
	})

static int real_open(UNUSED const struct files *files, int dir, const char *path, int flags, mode_t mode)
{
	return RESULT(openat(dir, path, flags | O_CLOEXEC, mode));
}

static int real_open_beneath(UNUSED const struct files *files, int dir, const char *path, int flags, mode_t mode)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
		.mode = mode,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	for (int tries = 0; tries < 16; tries++) {
		long fd = syscall(SYS_openat2, dir, path, &how, sizeof how);
		if (fd >= 0)
			return (int)fd;
		/* A rename elsewhere in the system may disturb the walk: openat2(2) asks to try again. */
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
	}
	return -EAGAIN;
}

static void real_close(UNUSED const struct files *files, int fd)
{
	close(fd);
}

static ssize_t real_pread(UNUSED const struct files *files, int fd, void *data, size_t size, uint64_t offset)
{
	return RESULT(pread(fd, data, size, (off_t)offset));
}

static ssize_t real_pwrite(UNUSED const struct files *files, int fd, const void *data, size_t size, uint64_t offset)
{
	return RESULT(pwrite(fd, data, size, (off_t)offset));
}

static int real_truncate(UNUSED const struct files *files, int fd, uint64_t size)
{
	return RESULT(ftruncate(fd, (off_t)size));
}

static int real_stat(UNUSED const struct files *files, int fd, struct stat *stat)
{
	return RESULT(fstat(fd, stat));
}

static int real_stat_path(UNUSED const struct files *files, int dir, const char *path, struct stat *stat)
{
	return RESULT(fstatat(dir, path, stat, 0));
}

static int real_start_writeback(UNUSED const struct files *files, int fd)
{
	return RESULT(sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE));
}

/* A sync that failed is not repeated: the pages that it could not write may already count as clean. */
static int real_sync_data(UNUSED const struct files *files, int fd)
{
	return fdatasync(fd) < 0 ? -errno : 0;
}

static int real_sync_directory(UNUSED const struct files *files, int fd)
{
	return fsync(fd) < 0 ? -errno : 0;
}

static int real_link_anonymous(UNUSED const struct files *files, enum files_link how, int fd, int dir, const char *name)
{
	char path[40];
	if (how == FILES_LINK_EMPTY_PATH)
		return RESULT(linkat(fd, "", dir, name, AT_EMPTY_PATH));
	if (how != FILES_LINK_PROC)
		return -EOPNOTSUPP;
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	return RESULT(linkat(AT_FDCWD, path, dir, name, AT_SYMLINK_FOLLOW));
}

static int real_link(UNUSED const struct files *files, int from_dir, const char *from, int dir, const char *name)
{
	return RESULT(linkat(from_dir, from, dir, name, 0));
}

static int real_unlink(UNUSED const struct files *files, int dir, const char *name)
{
	return RESULT(unlinkat(dir, name, 0));
}

static int real_rename_new(const struct files *files, int from_dir, const char *from, int dir, const char *name)
{
	int result = RESULT(renameat2(from_dir, from, dir, name, RENAME_NOREPLACE));
	if (result != -EINVAL && result != -ENOSYS)
		return result;
	/* A file system without RENAME_NOREPLACE (NFS): two names for a moment do no harm, a replaced file would. */
	result = real_link(files, from_dir, from, dir, name);
	if (result == 0)
		result = real_unlink(files, from_dir, from);
	return result;
}

static int real_mkdir(UNUSED const struct files *files, int dir, const char *name, mode_t mode)
{
	return RESULT(mkdirat(dir, name, mode));
}

static int real_list(UNUSED const struct files *files, int dir, files_list_fn *each, void *context)
{
	/* An own open file description: the position of `dir` stays as it is. */
	_cleanup_fd_ int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	DIR *stream = fdopendir(fd);
	if (!stream)
		return -errno;
	(void)fd_take(&fd);
	struct dirent *entry;
	bool more = true;
	errno = 0;
	while (more && (entry = readdir(stream))) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			more = each(context, entry->d_name);
		errno = 0;
	}
	int failure = errno;
	closedir(stream);
	return -failure;
}

static int real_lock(UNUSED const struct files *files, int fd)
{
	return RESULT(flock(fd, LOCK_EX | LOCK_NB));
}

static const struct file_ops real_ops = {
	.open = real_open, .open_beneath = real_open_beneath, .close = real_close, .pread = real_pread,
	.pwrite = real_pwrite, .truncate = real_truncate, .stat = real_stat, .stat_path = real_stat_path,
	.start_writeback = real_start_writeback, .sync_data = real_sync_data, .sync_directory = real_sync_directory,
	.link_anonymous = real_link_anonymous, .link = real_link, .rename_new = real_rename_new, .unlink = real_unlink,
	.mkdir = real_mkdir, .list = real_list, .lock = real_lock,
};

const struct files files_real = { &real_ops };

int files_write_all(const struct files *files, int fd, const void *data, size_t size, uint64_t offset)
{
	const char *at = data;
	while (size > 0) {
		ssize_t written = files->ops->pwrite(files, fd, at, size, offset);
		if (written <= 0)
			return written < 0 ? (int)written : -ENOSPC;
		at += written;
		size -= (size_t)written;
		offset += (uint64_t)written;
	}
	return 0;
}

ssize_t files_read_full(const struct files *files, int fd, void *data, size_t size, uint64_t offset)
{
	size_t filled = 0;
	while (filled < size) {
		ssize_t got = files->ops->pread(files, fd, (char *)data + filled, size - filled, offset + filled);
		if (got < 0)
			return got;
		if (got == 0)
			break;
		filled += (size_t)got;
	}
	return (ssize_t)filled;
}

static int probe_named(const struct files *files, int dir, const char *name)
{
	int fd = files->ops->open(files, dir, name, O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (fd < 0)
		return fd;
	files->ops->close(files, fd);
	return files->ops->unlink(files, dir, name);
}

int files_probe_link(const struct files *files, int dir, const char *name, enum files_link *how_r)
{
	int result = files->ops->unlink(files, dir, name);
	if (result < 0 && result != -ENOENT)
		return result;
	int fd = files->ops->open(files, dir, ".", O_WRONLY | O_TMPFILE, 0600);
	for (int how = FILES_LINK_EMPTY_PATH; fd >= 0 && how < FILES_LINK_NONE; how++) {
		if (files->ops->link_anonymous(files, (enum files_link)how, fd, dir, name) == 0) {
			*how_r = (enum files_link)how;
			files->ops->close(files, fd);
			return files->ops->unlink(files, dir, name);
		}
	}
	if (fd >= 0)
		files->ops->close(files, fd);
	*how_r = FILES_LINK_NONE;
	return probe_named(files, dir, name);
}

void files_spread_subdirectories(int directory)
{
	int flags = 0;
	if (ioctl(directory, FS_IOC_GETFLAGS, &flags) < 0 || (flags & FS_TOPDIR_FL))
		return;
	flags |= FS_TOPDIR_FL;
	ioctl(directory, FS_IOC_SETFLAGS, &flags);
}

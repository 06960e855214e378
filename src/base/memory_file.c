/* SPDX-License-Identifier: ISC */
#include "base/memory_file.h"

#include "base/cleanup.h"

#include <sys/mman.h>

bool fd_write_all(int fd, struct slice text)
{
	while (text.len) {
		ssize_t n = write(fd, text.data, text.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			errno = n < 0 ? errno : ENOSPC;
			return false;
		}
		text = slice_from(text, (size_t)n);
	}
	return true;
}

int memory_file_sealed(const char *name, struct slice text)
{
	_cleanup_fd_ int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || !fd_write_all(fd, text) || fcntl(fd, F_ADD_SEALS, MEMORY_FILE_SEALS) < 0)
		return -1;
	return fd_take(&fd);
}

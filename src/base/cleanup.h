/* SPDX-License-Identifier: ISC */
/* Cleanup attributes for things that must not outlive a scope: descriptors, C library streams, heap blocks. */
#ifndef POSTERN_BASE_CLEANUP_H
#define POSTERN_BASE_CLEANUP_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(function) __attribute__((cleanup(function)))

/* Closes *fd unless it is negative, keeps errno, and leaves -1 behind. */
static inline void fd_close(int *fd)
{
	if (*fd >= 0) {
		int saved = errno;
		close(*fd);
		errno = saved;
	}
	*fd = -1;
}

/* Takes the descriptor out of its variable, so that a cleanup no longer closes it. */
static inline int fd_take(int *fd)
{
	int taken = *fd;
	*fd = -1;
	return taken;
}

static inline void heap_free(void *pointer)
{
	free(*(void **)pointer);
	*(void **)pointer = NULL;
}

static inline void file_close(FILE **stream)
{
	if (*stream)
		fclose(*stream);
	*stream = NULL;
}

#define _cleanup_fd_ _cleanup_(fd_close)
#define _cleanup_heap_ _cleanup_(heap_free)
#define _cleanup_file_ _cleanup_(file_close)

#endif

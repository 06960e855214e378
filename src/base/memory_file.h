/* SPDX-License-Identifier: ISC */
/*
 * Memory files (memfd_create(2)): how texts that are too large for a message go from one process to another, and into libraries that want
 * a file. A sealed one can no longer be changed or resized by anybody who has it.
 */
#ifndef POSTERN_BASE_MEMORY_FILE_H
#define POSTERN_BASE_MEMORY_FILE_H

#include "base/slice.h"

#include <fcntl.h>

/* The seals of memory_file_sealed; whoever is handed one checks for all of them (F_GET_SEALS). */
enum { MEMORY_FILE_SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE };

/* Writes all of it at the descriptor's place; false with errno (part may have been written). */
bool fd_write_all(int fd, struct slice text);
/* A memory file with this text and all seals, or -1 with errno. `name` is for /proc only. The caller closes it. */
int memory_file_sealed(const char *name, struct slice text);

#endif

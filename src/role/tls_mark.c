/* SPDX-License-Identifier: ISC */
#include "role/tls_mark.h"

#include "role/tls_content.h"
#include "tls/verify.h"

#include <dirent.h>
#include <fcntl.h>

static struct tls_mark mark_of_stat(const struct stat *st)
{
	return (struct tls_mark){ .device = st->st_dev, .inode = st->st_ino, .size = st->st_size, .modified = st->st_mtim, .changed = st->st_ctim };
}

/* FNV-1a over these bytes. The files are the administrator's: nobody tries to make two of them look the same. */
static uint64_t mix(uint64_t sum, const void *data, size_t length)
{
	for (size_t i = 0; i < length; i++)
		sum = (sum ^ ((const unsigned char *)data)[i]) * 0x100000001b3U;
	return sum;
}

static uint64_t mix_number(uint64_t sum, uint64_t number)
{
	return mix(sum, &number, sizeof number);
}

static uint64_t digest_of(const char *name, const struct tls_mark *mark)
{
	uint64_t sum = mix(0xcbf29ce484222325U, name, strlen(name));
	sum = mix_number(mix_number(sum, mark->device), mark->inode);
	sum = mix_number(sum, (uint64_t)mark->size);
	sum = mix_number(mix_number(sum, (uint64_t)mark->modified.tv_sec), (uint64_t)mark->modified.tv_nsec);
	return mix_number(mix_number(sum, (uint64_t)mark->changed.tv_sec), (uint64_t)mark->changed.tv_nsec);
}

/* What the entry adds to the digest; 0: it is not made use of. */
static uint64_t entry_of(enum tls_file_kind kind, int directory, const struct dirent *entry)
{
	struct tls_mark mark = { 0 };
	struct stat st;
	bool below = false;
	if (kind == TLS_FILE_NAMES)
		return tls_content_lists(directory, entry, &below) ? digest_of(entry->d_name, &mark) : 0;
	if (!tls_trust_has_name(entry->d_name, kind == TLS_FILE_CRLS))
		return 0;
	if (fstatat(directory, entry->d_name, &st, 0) == 0)
		mark = mark_of_stat(&st);
	return digest_of(entry->d_name, &mark);
}

static uint64_t entries_of(enum tls_file_kind kind, const char *path)
{
	DIR *directory = opendir(path);
	uint64_t sum = 0;
	size_t count = 0;
	if (!directory)
		return 0;
	for (struct dirent *entry; count < TLS_NAMES_MAX && (entry = readdir(directory));) {
		uint64_t one = entry_of(kind, dirfd(directory), entry);
		count += one != 0;
		sum += one;
	}
	closedir(directory);
	return sum;
}

struct tls_mark tls_mark_of(enum tls_file_kind kind, const char *path)
{
	struct tls_mark mark = { 0 };
	struct stat st;
	if (kind == TLS_FILE_TRUST)
		path = tls_trust_place(path);
	if (!*path || stat(path, &st) < 0)
		return mark;
	mark = mark_of_stat(&st);
	if (S_ISDIR(st.st_mode) && (kind == TLS_FILE_NAMES || kind == TLS_FILE_TRUST || kind == TLS_FILE_CRLS))
		mark.entries = entries_of(kind, path);
	return mark;
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

bool tls_mark_same(const struct tls_mark *a, const struct tls_mark *b)
{
	return a->device == b->device && a->inode == b->inode && a->size == b->size && a->entries == b->entries &&
	       same_time(&a->modified, &b->modified) && same_time(&a->changed, &b->changed);
}

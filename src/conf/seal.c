/* SPDX-License-Identifier: ISC */
/*
 * A source as bytes: "PCF1", then four tables (files, macros, lines, facts), each a count and its records. Numbers are 32
 * bits, little end first; texts are a length and bytes. The values of macros stay with the master: only their names travel.
 */
#include "conf/source.h"

#include "base/cleanup.h"
#include "base/fatal.h"
#include "base/files.h"
#include "base/memory_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

static bool put_number(struct buf *out, size_t value)
{
	char bytes[4] = { (char)(value & 255), (char)(value >> 8 & 255), (char)(value >> 16 & 255),
			  (char)(value >> 24 & 255) };
	return value <= UINT32_MAX && buf_append(out, slice_make(bytes, sizeof bytes));
}

static bool put_text(struct buf *out, struct slice text)
{
	return put_number(out, text.len) && buf_append(out, text);
}

static bool put_line(struct buf *out, const struct conf_line *line)
{
	bool fits = put_text(out, line->text) && put_number(out, line->piece_count);
	for (uint32_t i = 0; fits && i < line->piece_count; i++) {
		const struct conf_piece *piece = &line->pieces[i];
		fits = put_number(out, piece->offset) && put_number(out, piece->line) && put_number(out, piece->file) &&
		       put_number(out, piece->macro);
	}
	return fits;
}

bool conf_source_encode(const struct conf_source *source, struct buf *out)
{
	bool fits = buf_append(out, SLICE("PCF1")) && put_number(out, source->file_count);
	for (size_t i = 0; fits && i < source->file_count; i++)
		fits = put_text(out, source->files[i]);
	fits = fits && put_number(out, source->macro_count);
	for (size_t i = 0; fits && i < source->macro_count; i++)
		fits = put_text(out, source->macros[i].name);
	fits = fits && put_number(out, source->line_count);
	for (size_t i = 0; fits && i < source->line_count; i++)
		fits = put_line(out, &source->lines[i]);
	fits = fits && put_number(out, source->fact_count);
	for (size_t i = 0; fits && i < source->fact_count; i++) {
		const struct conf_fact *fact = &source->facts[i];
		fits = put_number(out, fact->kind) && put_number(out, fact->present) && put_text(out, fact->name) &&
		       put_text(out, fact->value);
	}
	return fits;
}

/* Reading: once a thing did not fit, `bad` stays set and all further values are 0 or empty. */
struct cursor {
	struct slice rest;
	bool bad;
};

static uint32_t get_number(struct cursor *cursor)
{
	if (cursor->rest.len < 4) {
		cursor->bad = true;
		cursor->rest.len = 0;
		return 0;
	}
	const unsigned char *b = (const unsigned char *)cursor->rest.data;
	uint32_t value = (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
	cursor->rest = slice_from(cursor->rest, 4);
	return value;
}

static struct slice get_text(struct cursor *cursor)
{
	uint32_t len = get_number(cursor);
	if (len > cursor->rest.len) {
		cursor->bad = true;
		cursor->rest.len = 0;
		return (struct slice){ 0 };
	}
	struct slice text = slice_first(cursor->rest, len);
	cursor->rest = slice_from(cursor->rest, len);
	return text;
}

/* A count of records of which each takes at least `least` bytes, so that a false one costs no memory. */
static uint32_t get_count(struct cursor *cursor, size_t least)
{
	uint32_t count = get_number(cursor);
	if (count > cursor->rest.len / least) {
		cursor->bad = true;
		cursor->rest.len = 0;
		return 0;
	}
	return count;
}

static void get_line(struct cursor *cursor, struct conf_source *source)
{
	struct slice text = get_text(cursor);
	uint32_t count = get_count(cursor, 16), before = 0;
	struct conf_piece *pieces = arena_array(&source->arena, count ? count : 1, sizeof *pieces);
	for (uint32_t i = 0; i < count && !cursor->bad; i++) {
		struct conf_piece *piece = &pieces[i];
		piece->offset = get_number(cursor);
		piece->line = get_number(cursor);
		piece->file = get_number(cursor);
		piece->macro = get_number(cursor);
		if (piece->offset < before || (i == 0 && piece->offset) || piece->file >= source->file_count ||
		    piece->macro > source->macro_count)
			cursor->bad = true;
		before = piece->offset;
	}
	if (!count || !text.len || text.len > CONF_LINE_MAX || slice_find(text, '\0') != text.len)
		cursor->bad = true;
	if (!cursor->bad)
		*conf_source_add_line(source) = (struct conf_line){ arena_copy(&source->arena, text), pieces, count };
}

static void get_fact(struct cursor *cursor, struct conf_source *source)
{
	uint32_t kind = get_number(cursor), present = get_number(cursor);
	struct slice name = get_text(cursor), value = get_text(cursor);
	if (kind >= CONF_FACT_KINDS || present > 1)
		cursor->bad = true;
	if (!cursor->bad)
		*conf_source_add_fact(source) = (struct conf_fact){
			.kind = kind, .present = present, .name = arena_copy(&source->arena, name),
			.value = arena_copy(&source->arena, value),
		};
}

struct conf_source *conf_source_decode(struct slice bytes, struct error *error)
{
	struct cursor cursor = { .rest = bytes };
	struct conf_source *source = conf_source_new(NULL);
	cursor.bad = bytes.len > CONF_SEALED_MAX || !slice_starts(bytes, SLICE("PCF1"));
	cursor.rest = cursor.bad ? (struct slice){ 0 } : slice_from(bytes, 4);
	for (uint32_t i = get_count(&cursor, 4); i && !cursor.bad; i--)
		conf_source_add_file(source, get_text(&cursor), (struct slice){ 0 });
	for (uint32_t i = get_count(&cursor, 4); i && !cursor.bad; i--)
		conf_source_add_macro(source, get_text(&cursor), (struct slice){ 0 });
	for (uint32_t i = get_count(&cursor, 24); i && !cursor.bad; i--)
		get_line(&cursor, source);
	for (uint32_t i = get_count(&cursor, 16); i && !cursor.bad; i--)
		get_fact(&cursor, source);
	if (!cursor.bad && !cursor.rest.len)
		return source;
	conf_source_free(source);
	error_set(error, ERROR_PERMANENT, "the configuration handed over by the master is damaged");
	return NULL;
}

int conf_source_seal(const struct conf_source *source, struct error *error)
{
	struct buf bytes;
	int fd = -1;
	buf_init(&bytes, CONF_SEALED_MAX);
	if (!conf_source_encode(source, &bytes))
		error_set(error, ERROR_USAGE, "the configuration, with the files that its lists name, is larger than %d MiB",
			  CONF_SEALED_MAX / 1024 / 1024);
	else if ((fd = memory_file_sealed("postern-configuration", buf_slice(&bytes))) < 0)
		error_set_errno(error, errno, "making a memory file of the configuration");
	buf_free(&bytes);
	return fd;
}

struct conf_source *conf_source_load(int fd, struct error *error)
{
	struct stat status;
	int seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || (seals & MEMORY_FILE_SEALS) != MEMORY_FILE_SEALS || fstat(fd, &status) < 0) {
		error_set(error, ERROR_PERMANENT, "the configuration handed over by the master is not sealed");
		return NULL;
	}
	if (status.st_size <= 0 || status.st_size > CONF_SEALED_MAX) {
		error_set(error, ERROR_PERMANENT, "the configuration handed over by the master has a wrong size");
		return NULL;
	}
	size_t size = (size_t)status.st_size;
	_cleanup_heap_ char *bytes = xcalloc(1, size);
	ssize_t n = files_read_full(&files_real, fd, bytes, size, 0);
	if (n < 0 || (size_t)n < size) {
		error_set_errno(error, n < 0 ? (int)-n : EIO, "reading the configuration handed over by the master");
		return NULL;
	}
	return conf_source_decode(slice_make(bytes, size), error);
}

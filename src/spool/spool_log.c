/* SPDX-License-Identifier: ISC */
#include "spool/spool_log.h"

#include "base/cleanup.h"
#include "base/crc32c.h"
#include "base/fatal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { ZEROS = 256 * 1024, PENDING_MAX = 4 * SPOOL_LOG_PAYLOAD_MAX };

static bool failed(struct error *error, int failure, const char *what)
{
	error_set_errno(error, -failure, "%s the spool's log", what);
	error->kind = ERROR_TEMPORARY;
	return false;
}

/* ---- Opening ---- */

static void segment_name(unsigned segment, char out[8])
{
	snprintf(out, 8, "%u", segment);
}

/* The first good head of the two. */
static bool read_head(const struct spool_log *log, struct spool_log_segment *segment, struct error *error)
{
	char bytes[SPOOL_LOG_HEADER];
	for (uint64_t page = 0; !segment->begun && page < SPOOL_LOG_START; page += SPOOL_LOG_PAGE) {
		ssize_t got = files_read_full(log->files, segment->fd, bytes, sizeof bytes, page);
		if (got < 0)
			return failed(error, (int)got, "reading a head of");
		segment->begun = spool_log_head_parse(slice_make(bytes, (size_t)got), &segment->head);
	}
	return true;
}

static bool open_segment(struct spool_log *log, unsigned number, struct error *error)
{
	struct spool_log_segment *segment = &log->segments[number];
	struct stat stat;
	char name[8];
	segment_name(number, name);
	int fd = log->files->ops->open(log->files, log->dir, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK, 0);
	if (fd == -ENOENT)
		return true;
	if (fd < 0)
		return failed(error, fd, "opening a segment of");
	segment->fd = fd;
	int result = log->files->ops->stat(log->files, fd, &stat);
	if (result < 0 || !S_ISREG(stat.st_mode))
		return failed(error, result < 0 ? result : -EINVAL, "looking at a segment of");
	segment->written = (uint64_t)stat.st_size;
	return read_head(log, segment, error) && (!segment->begun || spool_log_segment_of(segment->head.generation) == number ||
						  error_set(error, ERROR_PERMANENT, "the spool's file log/%u is that of another segment", number));
}

bool spool_log_open(struct spool_log *log, const struct files *files, int root, const struct spool_log_sizes *sizes, bool *made_r,
		    struct error *error)
{
	*log = (struct spool_log){ .files = files, .dir = -1, .sizes = *sizes, .next = 1 };
	buf_init(&log->pending, PENDING_MAX);
	for (unsigned i = 0; i < SPOOL_LOG_SEGMENTS; i++)
		log->segments[i].fd = -1;
	int result = files->ops->mkdir(files, root, "log", 0700);
	*made_r = result == 0;
	log->dir = result == 0 || result == -EEXIST ? files->ops->open(files, root, "log", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0) : result;
	if (log->dir < 0)
		return error_set_errno(error, -log->dir, "opening the spool's directory log");
	for (unsigned i = 0; i < SPOOL_LOG_SEGMENTS; i++)
		if (!open_segment(log, i, error))
			return false;
	return true;
}

void spool_log_free(struct spool_log *log)
{
	for (unsigned i = 0; i < SPOOL_LOG_SEGMENTS; i++)
		if (log->segments[i].fd >= 0)
			log->files->ops->close(log->files, log->segments[i].fd);
	if (log->dir >= 0)
		log->files->ops->close(log->files, log->dir);
	buf_free(&log->pending);
}

/* ---- Reading all of it ---- */

/* One segment in memory, on its way through it. */
struct course {
	const struct spool_log_walk *walk;
	struct slice bytes;
	unsigned segment;
	uint64_t mark;
	uint64_t at, end; /* of what comes next, and of the last good record */
	uint64_t next;    /* number that is expected */
	uint64_t durable; /* as the records say */
};

static void tell_lost(struct course *course, uint64_t until, uint64_t number)
{
	if (number > course->next)
		course->walk->lost(course->walk->context, course->segment, course->end, until - course->end, course->next, number - course->next);
}

static bool tell_gone(const struct course *course, const struct spool_log_record *record, struct slice payload)
{
	struct message_id id = { 0 };
	if (crc32c(0, payload.data, payload.len) != record->crc || payload.len % MESSAGE_ID_LEN != 0)
		return false;
	for (; payload.len; payload = slice_from(payload, MESSAGE_ID_LEN)) {
		memcpy(id.text, payload.data, MESSAGE_ID_LEN);
		course->walk->gone(course->walk->context, &id);
	}
	return true;
}

/* A good header, of a record that is due. */
static void take_record(struct course *course, const struct spool_log_record *record)
{
	struct slice payload = slice_first(slice_from(course->bytes, (size_t)course->at + SPOOL_LOG_HEADER), record->size);
	if (record->durable > course->durable)
		course->durable = record->durable;
	tell_lost(course, course->at, record->number);
	course->next = record->number;
	course->end = course->at;
	course->at += spool_log_space(record->size);
	if (record->kind == SPOOL_LOG_MESSAGE) {
		struct spool_log_place place = { course->segment, record->size, record->crc, course->end + SPOOL_LOG_HEADER, record->number };
		course->walk->message(course->walk->context, record, &place);
	} else if (!tell_gone(course, record, payload)) {
		tell_lost(course, course->at, record->number + 1);
	}
	course->next = record->number + 1;
	course->end = course->at;
}

/* Where there is no record, there may be one at the next place: pages end early, and damage is passed over. */
static void run_course(struct course *course)
{
	struct spool_log_record record;
	while (course->at + SPOOL_LOG_HEADER <= course->bytes.len) {
		struct slice rest = slice_from(course->bytes, (size_t)course->at);
		if (spool_log_record_parse(rest, course->mark, &record) && record.number >= course->next &&
		    record.size <= rest.len - SPOOL_LOG_HEADER)
			take_record(course, &record);
		else
			course->at += SPOOL_LOG_ALIGN;
	}
}

static bool walk_segment(struct spool_log *log, unsigned number, struct course *course, struct error *error)
{
	const struct spool_log_segment *segment = &log->segments[number];
	uint64_t size = segment->written < log->sizes.segment ? segment->written : log->sizes.segment;
	_cleanup_heap_ char *bytes = xrealloc(NULL, (size_t)size + 1);
	ssize_t got = files_read_full(log->files, segment->fd, bytes, (size_t)size, 0);
	if (got < 0)
		return failed(error, (int)got, "reading");
	/* What came before the first record here was in the segment before. */
	if (course->next > 0)
		tell_lost(course, course->end, segment->head.first);
	course->segment = number;
	course->bytes = slice_make(bytes, (size_t)got);
	course->mark = segment->head.mark;
	course->at = course->end = SPOOL_LOG_START;
	course->next = segment->head.first;
	if (segment->head.first > 0 && segment->head.first - 1 > course->durable)
		course->durable = segment->head.first - 1;
	run_course(course);
	return true;
}

static const struct spool_log_segment *newest_segment(const struct spool_log *log)
{
	const struct spool_log_segment *newest = NULL;
	for (unsigned i = 0; i < SPOOL_LOG_SEGMENTS; i++)
		if (log->segments[i].begun && (!newest || log->segments[i].head.generation > newest->head.generation))
			newest = &log->segments[i];
	return newest;
}

bool spool_log_walk(struct spool_log *log, const struct spool_log_walk *walk, struct error *error)
{
	const struct spool_log_segment *newest = newest_segment(log);
	struct course course = { .walk = walk };
	if (!newest)
		return true;
	uint64_t last = newest->head.generation, oldest = newest->head.oldest;
	if (last - oldest >= SPOOL_LOG_SEGMENTS)
		oldest = last - SPOOL_LOG_SEGMENTS + 1;
	for (uint64_t generation = oldest ? oldest : 1; generation <= last; generation++) {
		unsigned number = spool_log_segment_of(generation);
		const struct spool_log_segment *segment = &log->segments[number];
		if (segment->begun && segment->head.generation == generation) {
			if (!walk_segment(log, number, &course, error))
				return false;
		} else {
			walk->headless(walk->context, number);
			course.next = 0; /* how many records it had is not known */
		}
	}
	log->generation = last;
	log->next = course.next;
	log->durable = course.durable;
	return true;
}

/* ---- Writing ---- */

static int write_zeros(const struct spool_log *log, struct spool_log_segment *segment, uint64_t until)
{
	static const char zeros[ZEROS];
	while (segment->written < until) {
		uint64_t size = until - segment->written < ZEROS ? until - segment->written : ZEROS;
		int result = files_write_all(log->files, segment->fd, zeros, (size_t)size, segment->written);
		if (result < 0)
			return result;
		segment->written += size;
	}
	return 0;
}

static int make_segment(struct spool_log *log, unsigned number)
{
	char name[8];
	segment_name(number, name);
	if (log->segments[number].fd >= 0)
		return 0;
	int fd = log->files->ops->open(log->files, log->dir, name, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
	if (fd < 0)
		return fd;
	log->segments[number].fd = fd;
	return 0;
}

static int write_heads(const struct spool_log *log, const struct spool_log_segment *segment, const struct spool_log_head *head)
{
	char page[SPOOL_LOG_PAGE] = { 0 };
	spool_log_head_format(head, page);
	int result = files_write_all(log->files, segment->fd, page, sizeof page, 0);
	return result < 0 ? result : files_write_all(log->files, segment->fd, page, sizeof page, SPOOL_LOG_PAGE);
}

/* The name, too: a process before this one may have ended before it was durable. */
static int sync_turn(const struct spool_log *log, struct spool_log_segment *segment)
{
	const struct file_ops *ops = log->files->ops;
	int result = ops->sync_data(log->files, segment->fd);
	if (result == 0 && !segment->named)
		result = ops->sync_directory(log->files, log->dir);
	segment->named |= result == 0;
	return result;
}

void spool_log_shrink_next(struct spool_log *log)
{
	const struct spool_log_segment *newest = newest_segment(log);
	struct spool_log_segment *segment = &log->segments[spool_log_segment_of(log->generation + 1)];
	bool counts = newest && segment->begun && segment->head.generation >= newest->head.oldest;
	if (segment->fd >= 0 && !counts && segment->written > SPOOL_LOG_START &&
	    log->files->ops->truncate(log->files, segment->fd, SPOOL_LOG_START) == 0)
		segment->written = SPOOL_LOG_START;
}

bool spool_log_turn(struct spool_log *log, uint64_t oldest, bool *synced_r, struct error *error)
{
	unsigned number = spool_log_segment_of(log->generation + 1);
	struct spool_log_segment *segment = &log->segments[number];
	struct spool_log_head head = { .generation = log->generation + 1, .oldest = oldest, .first = log->next };
	*synced_r = true;
	ensure(buf_len(&log->pending) == 0 && oldest <= head.generation);
	ensure(getrandom(&head.mark, sizeof head.mark, 0) == sizeof head.mark);
	if (log->generation && log->durable + 1 < log->next) {
		struct spool_log_mark mark = spool_log_mark(log);
		int result = spool_log_sync(log, &mark);
		*synced_r = result == 0;
		if (result < 0)
			return failed(error, result, "syncing");
		spool_log_synced(log, &mark);
	}
	segment->begun = false;
	int result = make_segment(log, number);
	result = result < 0 ? result : write_zeros(log, segment, SPOOL_LOG_START);
	result = result < 0 ? result : write_heads(log, segment, &head);
	if (result < 0)
		return failed(error, result, "beginning a segment of");
	result = sync_turn(log, segment);
	*synced_r = result == 0;
	if (result < 0)
		return failed(error, result, "syncing a new segment of");
	segment->head = head;
	segment->begun = true;
	log->generation++;
	log->position = SPOOL_LOG_START;
	return true;
}

bool spool_log_has_room(const struct spool_log *log, size_t size)
{
	return log->generation && log->position + spool_log_space(size) <= log->sizes.segment;
}

bool spool_log_append(struct spool_log *log, enum spool_log_kind kind, const struct message_id *id, struct slice payload,
		      struct spool_log_place *place_r, struct error *error)
{
	unsigned number = spool_log_segment_of(log->generation);
	struct spool_log_segment *segment = &log->segments[number];
	uint64_t space = spool_log_space(payload.len), end = log->position + space;
	ensure(payload.len <= SPOOL_LOG_PAYLOAD_MAX && spool_log_has_room(log, payload.len));
	if (end > segment->written) {
		uint64_t until = end + log->sizes.step - 1;
		until -= until % log->sizes.step;
		int result = write_zeros(log, segment, until < log->sizes.segment ? until : log->sizes.segment);
		if (result < 0)
			return failed(error, result, "making room in");
	}
	struct spool_log_record record = { .kind = kind, .number = log->next, .durable = log->durable, .size = (uint32_t)payload.len,
					   .crc = crc32c(0, payload.data, payload.len) };
	if (id)
		record.id = *id;
	char *out = buf_reserve(&log->pending, (size_t)space);
	spool_log_record_format(&record, segment->head.mark, out);
	memcpy(out + SPOOL_LOG_HEADER, payload.data, payload.len);
	memset(out + SPOOL_LOG_HEADER + payload.len, 0, (size_t)space - SPOOL_LOG_HEADER - payload.len);
	buf_commit(&log->pending, (size_t)space);
	if (place_r)
		*place_r = (struct spool_log_place){ number, record.size, record.crc, log->position + SPOOL_LOG_HEADER, record.number };
	log->position = end;
	log->next++;
	return true;
}

static uint64_t next_page(uint64_t position)
{
	return (position + SPOOL_LOG_PAGE - 1) / SPOOL_LOG_PAGE * SPOOL_LOG_PAGE;
}

bool spool_log_write(struct spool_log *log, struct error *error)
{
	struct slice bytes = buf_slice(&log->pending);
	if (!bytes.len)
		return true;
	int fd = log->segments[spool_log_segment_of(log->generation)].fd;
	int result = files_write_all(log->files, fd, bytes.data, bytes.len, log->position - bytes.len);
	buf_consume(&log->pending, bytes.len);
	return result == 0 || failed(error, result, "writing");
}

struct spool_log_mark spool_log_mark(struct spool_log *log)
{
	ensure(buf_len(&log->pending) == 0);
	log->position = next_page(log->position);
	return (struct spool_log_mark){ spool_log_segment_of(log->generation), log->next - 1 };
}

int spool_log_sync(const struct spool_log *log, const struct spool_log_mark *mark)
{
	return log->files->ops->sync_data(log->files, log->segments[mark->segment].fd);
}

void spool_log_synced(struct spool_log *log, const struct spool_log_mark *mark)
{
	if (mark->number > log->durable)
		log->durable = mark->number;
}

bool spool_log_read(const struct spool_log *log, const struct spool_log_place *place, char *out, struct error *error)
{
	ssize_t got = files_read_full(log->files, log->segments[place->segment].fd, out, place->size, place->offset);
	if (got < 0)
		return failed(error, (int)got, "reading a message of");
	if ((size_t)got < place->size || crc32c(0, out, place->size) != place->crc)
		return error_set(error, ERROR_PERMANENT, "its bytes are not those of its check (CRC-32C)");
	return true;
}

/* SPDX-License-Identifier: ISC */
#include "spool/table.h"

#include "base/crc32c.h"
#include "base/fatal.h"

#include <stdlib.h>
#include <string.h>

enum { SMALLEST = 64 };

static size_t home_of(const struct spool_table *table, const struct message_id *id)
{
	return crc32c(0, id->text, MESSAGE_ID_LEN) & (table->size - 1);
}

/* The place of this identifier, or the free place where it would go. */
static struct spool_entry *place_of(const struct spool_table *table, const struct message_id *id)
{
	size_t at = home_of(table, id);
	while (table->places[at].id.text[0] && memcmp(table->places[at].id.text, id->text, MESSAGE_ID_LEN) != 0)
		at = (at + 1) & (table->size - 1);
	return &table->places[at];
}

static void resize(struct spool_table *table, size_t size)
{
	struct spool_table bigger = { .places = xcalloc(size, sizeof *bigger.places), .size = size };
	for (size_t i = 0; i < table->size; i++)
		if (table->places[i].id.text[0])
			*place_of(&bigger, &table->places[i].id) = table->places[i];
	free(table->places);
	table->places = bigger.places;
	table->size = size;
}

void spool_table_free(struct spool_table *table)
{
	free(table->places);
	*table = (struct spool_table){ 0 };
}

struct spool_entry *spool_table_find(const struct spool_table *table, const struct message_id *id)
{
	if (table->size == 0)
		return NULL;
	struct spool_entry *entry = place_of(table, id);
	return entry->id.text[0] ? entry : NULL;
}

bool spool_table_add(struct spool_table *table, const struct spool_entry *entry)
{
	ensure(entry->id.text[0] != '\0');
	if ((table->count + 1) * 4 > table->size * 3)
		resize(table, table->size ? table->size * 2 : SMALLEST);
	struct spool_entry *place = place_of(table, &entry->id);
	if (place->id.text[0])
		return false;
	*place = *entry;
	table->count++;
	table->bytes += entry->body_size;
	return true;
}

void spool_table_remove(struct spool_table *table, const struct message_id *id)
{
	struct spool_entry *entry = spool_table_find(table, id);
	if (!entry)
		return;
	table->count--;
	table->bytes -= entry->body_size;
	/* Later entries of the same run move up, so that no search ends too early at the free place. */
	size_t mask = table->size - 1, hole = (size_t)(entry - table->places), at = hole;
	for (;;) {
		at = (at + 1) & mask;
		if (!table->places[at].id.text[0])
			break;
		size_t home = home_of(table, &table->places[at].id);
		if (((at - home) & mask) >= ((at - hole) & mask)) {
			table->places[hole] = table->places[at];
			hole = at;
		}
	}
	table->places[hole] = (struct spool_entry){ 0 };
}

void spool_table_figures(const struct spool_table *table, struct spool_figures *figures)
{
	figures->count += table->count;
	figures->bytes += table->bytes;
	for (size_t i = 0; i < table->size; i++) {
		const struct spool_entry *entry = &table->places[i];
		if (entry->id.text[0] && (figures->oldest_ns == 0 || entry->received_ns < figures->oldest_ns))
			figures->oldest_ns = entry->received_ns;
	}
}

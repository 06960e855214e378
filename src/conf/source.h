/* SPDX-License-Identifier: ISC */
/*
 * The text of a configuration, as the roles get it: logical lines (comments gone, continuations joined, macros replaced,
 * conditions decided, files included) with a map back to file and line, and the facts about this machine that the parser
 * needed: files that lists name, user names, service names, the host name. Only the master has access to files, so it reads
 * (conf_source_read), parses once (which gathers the facts), and seals the whole into a memfd; a role loads that and parses
 * the same text without a system call.
 *
 * Syntax: Exim's manual, chapter 6. The source owns all its texts (one arena). Sizes are bytes; limits are below.
 *
 * Invariants: pieces of a line are in order of their offsets and the first has offset 0; file and macro numbers are within
 * their tables. conf_source_decode checks both, for a role takes the memfd as bytes from outside.
 */
#ifndef POSTERN_CONF_SOURCE_H
#define POSTERN_CONF_SOURCE_H

#include "base/arena.h"
#include "base/error.h"
#include "conf/problem.h"

enum {
	CONF_INCLUDE_DEPTH = 16,          /* files within files */
	CONF_CONDITION_DEPTH = 64,        /* .ifdef within .ifdef */
	CONF_LINE_MAX = 256 * 1024,       /* a logical line, macros replaced */
	CONF_TEXT_MAX = 8 * 1024 * 1024,  /* all logical lines */
	CONF_FILE_MAX = 32 * 1024 * 1024, /* a file that is included, or that a list names */
	CONF_SEALED_MAX = 64 * 1024 * 1024,
};

/* What the parser asks about the machine. The name is a path, a user name, and so on. */
enum conf_fact_kind {
	CONF_FACT_HOSTNAME, /* name "": the node name */
	CONF_FACT_ROOT,     /* name "": "1" when the master runs as root, otherwise "0" */
	CONF_FACT_FILE,     /* the content of the file */
	CONF_FACT_SERVICE,  /* a TCP port as decimal text */
	CONF_FACT_USER,     /* "UID GID HOME" */
	CONF_FACT_GROUP,    /* "GID" */
	CONF_FACT_ADDRESSES, /* name "": the addresses of all interfaces, separated by spaces */
	CONF_FACT_OPTION,    /* never asked for: the value of a main option by the command line, which comes before the file's */
	CONF_FACT_KINDS,
};

/*
 * How the master (or a test) answers. `value_r` is memory of `arena`. False with error->kind ERROR_PERMANENT and number
 * ENOENT: there is no such thing.
 */
struct conf_system {
	bool (*ask)(void *context, enum conf_fact_kind kind, struct slice name, struct arena *arena, struct slice *value_r,
		    struct error *error);
	void *context;
};

/* The system as it is: files, getpwnam, getservbyname, uname. Only for processes that are not sandboxed. */
const struct conf_system *conf_system_local(void);

struct conf_fact {
	enum conf_fact_kind kind;
	bool present;       /* false: asked for, and does not exist */
	struct slice name;
	struct slice value; /* of a fact that is not present: why */
};

/* From `offset` of the logical line on, the text comes from this physical line. */
struct conf_piece {
	uint32_t offset;
	uint32_t line;
	uint32_t file;  /* index */
	uint32_t macro; /* index + 1 of the macro replaced last in this line; 0: none */
	uint32_t column; /* of the physical line, from 1, where the text begins; 0: not known, because of a macro or in a role */
};

struct conf_line {
	struct slice text;
	const struct conf_piece *pieces;
	uint32_t piece_count; /* at least 1 */
};

struct conf_macro {
	struct slice name, value;
	bool command_line; /* -D: definitions in the file are ignored */
};

struct conf_source {
	struct arena arena;
	struct slice *files;
	struct slice *texts; /* of the files, in the same order; data NULL: not known, as in a role */
	size_t file_count, file_room;
	struct conf_macro *macros; /* in order of definition, which is the order of replacement */
	size_t macro_count, macro_room;
	struct conf_line *lines;
	size_t line_count, line_room;
	struct conf_fact *facts;
	size_t fact_count, fact_room;
	const struct conf_system *system; /* NULL in a role: only the facts that came along */
};

/*
 * Reads `path` with all that it includes. `macros` are those of the command line. Always returns a source (conf_source_free);
 * when problems->errors is not 0 afterwards it is incomplete. `system` must outlive the source.
 */
struct conf_source *conf_source_read(const char *path, const struct conf_macro *macros, size_t macro_count,
				     const struct conf_system *system, struct conf_problems *problems);
/* The same over text at hand, called `name` in messages. `system` may be NULL: then there are no included files. */
struct conf_source *conf_source_from_text(struct slice text, const char *name, const struct conf_macro *macros,
					  size_t macro_count, const struct conf_system *system,
					  struct conf_problems *problems);
void conf_source_free(struct conf_source *source);

/* Splits "NAME=text" or "NAME" (as -D takes it); the name must have the form of a macro's. */
bool conf_macro_parse(struct slice argument, struct conf_macro *macro_r, struct error *error);

/* Which file and line the byte at `offset` of this line comes from; the column is left out. */
struct conf_place conf_source_place(const struct conf_source *source, const struct conf_line *line, size_t offset);
/* The same with the column, where that is known. */
struct conf_place conf_source_spot(const struct conf_source *source, const struct conf_line *line, size_t offset);
/* Gives the problems that have a column the text of their line. */
void conf_source_quote(const struct conf_source *source, struct conf_problems *problems);

/*
 * A fact: the one that the source holds, or else (in the master) asked of the system and remembered. False: does not exist or
 * could not be read, and *error says why. The value lives as long as the source.
 */
bool conf_source_fact(struct conf_source *source, enum conf_fact_kind kind, struct slice name, struct slice *value_r,
		      struct error *error);

/* Bytes of a source, and back. Decoding believes nothing; NULL with *error when the bytes have not this form. */
bool conf_source_encode(const struct conf_source *source, struct buf *out);
struct conf_source *conf_source_decode(struct slice bytes, struct error *error);
/* A sealed memfd (close-on-exec) of conf_source_encode's bytes, for the roles; -1 with *error. The caller closes it. */
int conf_source_seal(const struct conf_source *source, struct error *error);
/* Reads such a descriptor, which stays open; it must be sealed. NULL with *error. */
struct conf_source *conf_source_load(int fd, struct error *error);

/* For the reader and the decoder: grows one of the tables above by an element. */
struct conf_line *conf_source_add_line(struct conf_source *source);
struct conf_fact *conf_source_add_fact(struct conf_source *source);
uint32_t conf_source_add_file(struct conf_source *source, struct slice name, struct slice text);
struct conf_macro *conf_source_add_macro(struct conf_source *source, struct slice name, struct slice value);
struct conf_source *conf_source_new(const struct conf_system *system);

#endif

/* SPDX-License-Identifier: ISC */
#include "lookup/sql.h"

#include "base/buf.h"
#include "base/escape.h"

enum state {
	PLAIN,
	LITERAL,      /* '...' */
	LITERAL_END,  /* after a quote: another one is part of the literal */
	DOLLAR_TAG,   /* $tag, which may become a dollar quote */
	DOLLAR,       /* $tag$ ... */
	NAME,         /* "...", [...], `...` */
	LINE_COMMENT,
	BLOCK_COMMENT,
};

struct binder {
	enum sql_dialect dialect;
	enum state state;
	struct buf out;      /* the query so far */
	struct buf raw;      /* of the literal that is open: text of the query since the last value in it */
	struct buf content;  /* of that literal: what it stands for, up to the last value in it */
	size_t literal_at;   /* in `out`: where it begins, its prefix included */
	bool bound;          /* a value is in it */
	bool escapes;        /* it is an E'' literal */
	bool escaped;        /* the byte before was a backslash of such a one */
	const char *special; /* it is of a kind that cannot become a parameter: "X''" */
	size_t tag_at, tag_len; /* in `out`: the opening "$tag$" */
	char name_end;
	unsigned comment_depth;
	char last;           /* the byte before, outside of quotes or in a comment; 0 when it cannot begin anything with the next */
	bool value_last;     /* the last thing was a placeholder made of a value outside of quotes */
	bool own_number;     /* the query's text has a $1 of its own */
	struct arena *arena;
	const char **parameters;
	bool *bare;
	size_t count;
	struct error *error;
};

static bool is_name_byte(char c)
{
	return ascii_is_alnum(c) || c == '_' || c == '$' || (unsigned char)c >= 0x80;
}

/* The byte `back` places before the end of what was written, 0 when there is none. */
static char written(const struct binder *b, size_t back)
{
	struct slice out = buf_slice(&b->out);
	return back < out.len ? out.data[out.len - 1 - back] : '\0';
}

static void cut_out(struct binder *b, size_t len)
{
	b->out.end = b->out.start + len;
}

/* The end of the query so far, for messages. */
static bool refuse(struct binder *b, const char *why)
{
	struct slice out = buf_slice(&b->out);
	size_t from = out.len > 40 ? out.len - 40 : 0;
	char near[48];
	size_t n = 0;
	for (size_t i = from; i < out.len; i++)
		near[n++] = ascii_is_print(out.data[i]) ? out.data[i] : ' ';
	near[n] = '\0';
	return error_set(b->error, ERROR_PERMANENT, "%s query, after \"%s%s\": %s", b->dialect == SQL_PGSQL ? "pgsql" : "sqlite",
			 from > 0 ? "..." : "", near, why);
}

static bool full(struct binder *b)
{
	return error_set(b->error, ERROR_PERMANENT, "the query is too long: more than %d bytes", EXPAND_REQUEST_MAX);
}

static bool put(struct binder *b, char byte)
{
	return buf_append_byte(&b->out, byte) || full(b);
}

/* ---- parameters ---- */

static bool put_placeholder(struct binder *b, struct slice value, struct slice type)
{
	if (b->count == SQL_PARAMETERS_MAX)
		return refuse(b, "too many values");
	b->bare[b->count] = b->value_last;
	b->parameters[b->count++] = arena_cstr(b->arena, value);
	/* A name or keyword right before it would swallow it. */
	const char *space = is_name_byte(written(b, 0)) ? " " : "";
	bool done;
	if (type.len > 0)
		done = buf_printf(&b->out, "%sCAST($%zu AS %.*s)", space, b->count, SLICE_ARG(type));
	else
		done = buf_printf(&b->out, b->dialect == SQL_PGSQL ? "%s$%zu" : "%s:postern%zu", space, b->count);
	return done || full(b);
}

static bool decode_number(struct slice raw, size_t *at, unsigned base, size_t most, char *byte_r)
{
	unsigned value;
	bool digits = escape_number(raw, at, base, most, &value);
	*byte_r = (char)(unsigned char)value;
	return digits && value > 0 && value < 256;
}

/* One escape of an E'' literal (PostgreSQL's manual, 4.1.2.2); *at is behind the backslash. */
static bool decode_escape(struct binder *b, struct slice raw, size_t *at)
{
	static const char letters[] = "bfnrt", bytes[] = "\b\f\n\r\t";
	if (*at == raw.len)
		return refuse(b, "a value follows a backslash");
	char c = raw.data[*at];
	const char *letter = c ? strchr(letters, c) : NULL;
	if (c >= '0' && c <= '7') {
		if (!decode_number(raw, at, 8, 3, &c))
			return refuse(b, "this octal escape is not a byte");
	} else if (c == 'x') {
		(*at)++;
		if (!decode_number(raw, at, 16, 2, &c))
			return refuse(b, "\\x wants one or two hexadecimal digits");
	} else if (c == 'u' || c == 'U') {
		return refuse(b, "\\u escapes and values cannot be in one literal: write the character itself");
	} else {
		(*at)++;
		c = letter ? bytes[letter - letters] : c;
	}
	return buf_append_byte(&b->content, c) || full(b);
}

/* What the raw text since the last value stands for goes to the content. */
static bool decode_raw(struct binder *b)
{
	struct slice raw = buf_slice(&b->raw);
	for (size_t at = 0; at < raw.len;) {
		char c = raw.data[at++];
		if (b->escapes && c == '\\') {
			if (!decode_escape(b, raw, &at))
				return false;
			continue;
		}
		if (c == '\'' && b->state != DOLLAR && at < raw.len && raw.data[at] == '\'')
			at++;
		if (!buf_append_byte(&b->content, c))
			return full(b);
	}
	buf_reset(&b->raw);
	return true;
}

/* PostgreSQL's "inet '...'" is one literal with its type: as a parameter it is CAST($1 AS inet). Gives where the word begins. */
static struct slice type_before(const struct binder *b, size_t end, size_t *at_r)
{
	static const char *const types[] = { "bit", "bool", "boolean", "cidr", "date", "inet", "integer", "interval", "json", "jsonb",
		"macaddr", "numeric", "text", "time", "timestamp", "timestamptz", "uuid" };
	struct slice out = slice_first(buf_slice(&b->out), end);
	while (out.len > 0 && ascii_is_space(out.data[out.len - 1]))
		out.len--;
	size_t from = out.len;
	while (from > 0 && is_name_byte(out.data[from - 1]))
		from--;
	struct slice word = slice_from(out, from);
	for (size_t i = 0; b->dialect == SQL_PGSQL && i < sizeof types / sizeof *types; i++) {
		if (!slice_equal_nocase(word, slice_of(types[i])))
			continue;
		*at_r = from;
		return slice_of(types[i]);
	}
	return (struct slice){ 0 };
}

static bool end_literal(struct binder *b)
{
	bool bound = b->bound, decoded = !bound || decode_raw(b);
	b->state = PLAIN;
	buf_reset(&b->raw);
	if (!bound)
		return true;
	if (!decoded)
		return false;
	size_t at = b->literal_at;
	struct slice type = type_before(b, at, &at);
	cut_out(b, at);
	bool done = put_placeholder(b, buf_slice(&b->content), type);
	buf_reset(&b->content);
	return done;
}

/* ---- the query's own text, byte by byte ---- */

static void begin_literal(struct binder *b, size_t prefix)
{
	b->literal_at = buf_len(&b->out) - prefix;
	b->bound = b->escapes = b->escaped = false;
	b->special = NULL;
}

/* At the opening quote, not yet written. Letters right before it say what kind of literal it is. */
static bool open_literal(struct binder *b)
{
	char letter = ascii_lower(written(b, 0));
	bool prefixed = !is_name_byte(written(b, 1)) && letter && !b->value_last;
	begin_literal(b, 0);
	if (prefixed && letter == 'e' && b->dialect == SQL_PGSQL) {
		begin_literal(b, 1);
		b->escapes = true;
	} else if (prefixed && letter == 'n' && b->dialect == SQL_PGSQL) {
		begin_literal(b, 1);
	} else if (prefixed && (letter == 'x' || (letter == 'b' && b->dialect == SQL_PGSQL))) {
		b->special = "a value cannot be part of a bit or blob literal";
	} else if (letter == '&' && ascii_lower(written(b, 1)) == 'u' && b->dialect == SQL_PGSQL) {
		b->special = "a value cannot be part of a U&'' literal";
	}
	b->state = LITERAL;
	b->value_last = false;
	b->last = '\0';
	return put(b, '\'');
}

static bool plain_byte(struct binder *b, char c)
{
	bool pgsql = b->dialect == SQL_PGSQL;
	if (b->value_last && is_name_byte(c))
		return refuse(b, "a value that a peer had a hand in is the beginning of a name or number: put it in single quotes");
	char before = b->last;
	b->last = c;
	if (c == '\'')
		return open_literal(b);
	bool in_name = is_name_byte(written(b, 0));
	b->value_last = false;
	if (c == '"' || (!pgsql && (c == '[' || c == '`'))) {
		b->state = NAME;
		b->name_end = c == '[' ? ']' : c;
	} else if (c == '-' && before == '-') {
		b->state = LINE_COMMENT;
	} else if (c == '*' && before == '/') {
		b->state = BLOCK_COMMENT;
		b->comment_depth = 1;
		b->last = '\0';
	} else if (pgsql && c == '$' && !in_name) {
		b->state = DOLLAR_TAG;
		b->tag_at = buf_len(&b->out);
	}
	return put(b, c);
}

static bool tag_byte(struct binder *b, char c)
{
	size_t len = buf_len(&b->out) - b->tag_at;
	if (c == '$') {
		begin_literal(b, len);
		b->tag_len = len + 1;
		b->state = DOLLAR;
		return put(b, c);
	}
	if (len == 1 && ascii_is_digit(c))
		b->own_number = true;
	if (is_name_byte(c) && !(len == 1 && ascii_is_digit(c)))
		return put(b, c);
	b->state = PLAIN;
	return plain_byte(b, c);
}

static bool dollar_byte(struct binder *b, char c)
{
	if (!put(b, c))
		return false;
	if (!buf_append_byte(&b->raw, c))
		return full(b);
	struct slice tag = slice_make(buf_slice(&b->out).data + b->tag_at, b->tag_len), raw = buf_slice(&b->raw);
	if (c != '$' || raw.len < tag.len || !slice_equal(slice_from(raw, raw.len - tag.len), tag))
		return true;
	b->raw.end -= tag.len;
	return end_literal(b);
}

static bool literal_byte(struct binder *b, char c)
{
	if (c == '\'' && !b->escaped) {
		b->state = LITERAL_END;
		return put(b, c);
	}
	b->escaped = b->escapes && c == '\\' && !b->escaped;
	if (!buf_append_byte(&b->raw, c))
		return full(b);
	return put(b, c);
}

/* After a quote inside of a literal. */
static bool literal_end_byte(struct binder *b, char c)
{
	if (c != '\'') {
		if (!end_literal(b))
			return false;
		/* Behind a parameter, a name needs the space that the quote made unnecessary. */
		if (b->bound && is_name_byte(c) && !put(b, ' '))
			return false;
		return plain_byte(b, c);
	}
	b->state = LITERAL;
	return put(b, c) && (buf_append(&b->raw, SLICE("''")) || full(b));
}

static bool comment_byte(struct binder *b, char c)
{
	bool closes = b->last == '*' && c == '/';
	bool opens = b->last == '/' && c == '*' && b->dialect == SQL_PGSQL;
	b->last = closes || opens ? '\0' : c;
	if (opens)
		b->comment_depth++;
	if (closes && --b->comment_depth == 0)
		b->state = PLAIN;
	return put(b, c);
}

static bool text_byte(struct binder *b, char c)
{
	if (c == '\0')
		return refuse(b, "a NUL byte cannot be part of a query");
	switch (b->state) {
	case PLAIN:
		return plain_byte(b, c);
	case LITERAL:
		return literal_byte(b, c);
	case LITERAL_END:
		return literal_end_byte(b, c);
	case DOLLAR_TAG:
		return tag_byte(b, c);
	case DOLLAR:
		return dollar_byte(b, c);
	case NAME:
		b->last = '\0';
		if (c == b->name_end)
			b->state = PLAIN;
		return put(b, c);
	case LINE_COMMENT:
		if (c == '\n')
			b->state = PLAIN;
		return put(b, c);
	case BLOCK_COMMENT:
		return comment_byte(b, c);
	}
	return false;
}

static bool add_text(struct binder *b, struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if (!text_byte(b, text.data[i]))
			return false;
	return true;
}

/* ---- values ---- */

static bool value_in_literal(struct binder *b, struct slice value)
{
	if (b->special)
		return refuse(b, b->special);
	if (!decode_raw(b))
		return false;
	b->bound = true;
	b->escaped = false;
	return buf_append(&b->content, value) || full(b);
}

static bool value_outside(struct binder *b, struct slice value)
{
	if (slice_trim(buf_slice(&b->out)).len == 0)
		return refuse(b, "the query begins with a value that a peer had a hand in, and a peer writes no queries");
	if (is_name_byte(written(b, 0)) || b->state == DOLLAR_TAG || b->value_last)
		return refuse(b, "a value that a peer had a hand in is part of a name or number: put it in single quotes");
	b->value_last = true;
	b->last = '\0';
	return put_placeholder(b, value, (struct slice){ 0 });
}

static bool add_value(struct binder *b, const struct expand_piece *piece)
{
	if (slice_find(piece->text, '\0') < piece->text.len)
		return refuse(b, "a value with a NUL byte cannot be used");
	if (b->state == LITERAL || b->state == DOLLAR)
		return value_in_literal(b, piece->text);
	if (!piece->tainted)
		return add_text(b, piece->text);
	if (b->state == LITERAL_END && !end_literal(b))
		return false;
	if (b->state == NAME)
		return refuse(b, b->name_end == '"' ? "a value that a peer had a hand in stands in double quotes, which are for names: "
			      "use single quotes" : "a value that a peer had a hand in is part of a name");
	if (b->state == LINE_COMMENT || b->state == BLOCK_COMMENT)
		return refuse(b, "a value that a peer had a hand in stands in a comment");
	return value_outside(b, piece->text);
}

static bool finish(struct binder *b)
{
	if (b->state == LITERAL_END && !end_literal(b))
		return false;
	if ((b->state == LITERAL || b->state == DOLLAR) && b->bound)
		return error_set(b->error, ERROR_PERMANENT, "the query ends inside of quotes");
	if (b->own_number && b->count > 0)
		return error_set(b->error, ERROR_PERMANENT, "the query has a parameter like $1 of its own: write values as expansions");
	return true;
}

bool sql_bind(enum sql_dialect dialect, const struct expand_piece *pieces, size_t count, struct arena *arena,
	      struct sql_query *query_r, struct error *error)
{
	struct binder b = { .dialect = dialect, .arena = arena, .error = error };
	b.parameters = arena_array(arena, SQL_PARAMETERS_MAX, sizeof *b.parameters);
	b.bare = arena_array(arena, SQL_PARAMETERS_MAX, sizeof *b.bare);
	buf_init(&b.out, 2 * EXPAND_REQUEST_MAX);
	buf_init(&b.raw, EXPAND_REQUEST_MAX);
	buf_init(&b.content, EXPAND_REQUEST_MAX);
	bool done = true;
	for (size_t i = 0; i < count && done; i++)
		done = pieces[i].value ? add_value(&b, &pieces[i]) : add_text(&b, pieces[i].text);
	done = done && finish(&b);
	if (done)
		*query_r = (struct sql_query){ arena_copy(arena, buf_slice(&b.out)), b.parameters, b.bare, b.count };
	buf_free(&b.out);
	buf_free(&b.raw);
	buf_free(&b.content);
	return done;
}

static bool put_quoted(struct buf *out, struct slice value)
{
	bool done = buf_append_byte(out, '"');
	for (size_t i = 0; i < value.len && done; i++) {
		char c = value.data[i];
		done = (c != '"' && c != '\\') || buf_append_byte(out, '\\');
		done = done && buf_append_byte(out, c);
	}
	return done && buf_append_byte(out, '"');
}

bool sql_put_column(struct buf *out, struct slice name, struct slice value)
{
	bool quote = value.len == 0 || value.data[0] == '"';
	for (size_t i = 0; i < value.len && !quote; i++)
		quote = ascii_is_space(value.data[i]) || value.data[i] == '\v' || value.data[i] == '\f';
	return buf_append(out, name) && buf_append_byte(out, '=') && (quote ? put_quoted(out, value) : buf_append(out, value)) &&
	       buf_append_byte(out, ' ');
}

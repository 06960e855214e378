/* SPDX-License-Identifier: ISC */
#include "conf/manual.h"

enum { TEXT_MAX = 1 << 20, PAGE_COLUMNS = 70 };

/* That of the last change to the wording, for man(1) shows one. */
static const char date[] = "2026-11-21";

static void put(struct manual *manual, struct slice text)
{
	manual->fits = manual->fits && buf_append(manual->out, text);
}

/* One character of running text or of an example in a page: what the formatter would take for a command is escaped. */
static void put_page_char(struct manual *manual, char c, bool line_start)
{
	if (line_start && (c == '.' || c == '\''))
		put(manual, SLICE("\\&"));
	if (c == '\\')
		put(manual, SLICE("\\e"));
	else if (c == '-')
		put(manual, SLICE("\\-"));
	else if (c == '^')
		put(manual, SLICE("\\(ha"));
	else if (c == '~')
		put(manual, SLICE("\\(ti"));
	else if (c == '`')
		put(manual, SLICE("\\(ga"));
	else if (c == '\'')
		put(manual, SLICE("\\(aq"));
	else
		put(manual, slice_make(&c, 1));
}

/* Bytes of the word at the start. */
static size_t word_length(struct slice text)
{
	size_t space = slice_find(text, ' '), line = slice_find(text, '\n');
	return space < line ? space : line;
}

/* Running text: lines are broken between words, for the formatter fills them anyway. Examples stay as they are. */
static void put_page_text(struct manual *manual, struct slice text, bool running)
{
	bool line_start = true, bold = false;
	size_t begin = buf_len(manual->out);
	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i];
		if (running && c == ' ' && buf_len(manual->out) - begin + word_length(slice_from(text, i + 1)) > PAGE_COLUMNS)
			c = '\n';
		if (running && c == '`') {
			bold = !bold;
			put(manual, bold ? SLICE("\\fB") : SLICE("\\fR"));
		} else {
			put_page_char(manual, c, line_start);
		}
		line_start = c == '\n';
		if (line_start)
			begin = buf_len(manual->out);
	}
}

static void begin_paragraph(struct manual *manual)
{
	if (!manual->after_heading)
		put(manual, SLICE(".PP\n"));
	manual->after_heading = false;
}

void manual_begin(struct manual *manual, struct buf *out, enum manual_form form, const char *name, unsigned section,
		  const char *about)
{
	*manual = (struct manual){ .out = out, .form = form, .fits = true };
	if (form == MANUAL_MARKDOWN) {
		put(manual, SLICE("# "));
		put(manual, slice_of(about));
		put(manual, SLICE("\n\n"));
		return;
	}
	manual->fits = buf_append(out, SLICE(".\\\" Generated from the program's own tables.\n.TH "));
	for (const char *c = name; *c; c++)
		manual->fits = manual->fits && buf_append_byte(out, ascii_upper(*c));
	manual->fits = manual->fits && buf_printf(out, " %u \"%s\" \"Postern %s\" \"Postern\"\n.SH NAME\n%s \\- ", section, date,
						  POSTERN_VERSION, name);
	put_page_text(manual, slice_of(about), false);
	put(manual, SLICE("\n"));
}

void manual_heading(struct manual *manual, unsigned level, const char *text)
{
	struct slice heading = slice_of(text);
	if (manual->form == MANUAL_MARKDOWN) {
		put(manual, level == 2 ? SLICE("## ") : SLICE("### "));
		put(manual, heading);
		put(manual, SLICE("\n\n"));
		return;
	}
	put(manual, level == 2 ? SLICE(".SH ") : SLICE(".SS "));
	for (size_t i = 0; i < heading.len; i++) {
		char c = level == 2 ? ascii_upper(heading.data[i]) : heading.data[i];
		/* Quotes within the arguments of a macro; a heading is bold anyway. */
		if (c == '`')
			continue;
		if (c == '"')
			put(manual, SLICE("\\(dq"));
		else
			put_page_char(manual, c, i == 0);
	}
	put(manual, SLICE("\n"));
	manual->after_heading = true;
}

static void start_text(struct manual *manual, struct buf *text, const char *format, va_list args) __attribute__((format(printf, 3, 0)));

/* To be freed by the caller. */
static void start_text(struct manual *manual, struct buf *text, const char *format, va_list args)
{
	buf_init(text, TEXT_MAX);
	manual->fits = manual->fits && buf_vprintf(text, format, args);
}

void manual_paragraph(struct manual *manual, const char *format, ...)
{
	struct buf text;
	va_list args;
	va_start(args, format);
	start_text(manual, &text, format, args);
	va_end(args);
	if (manual->form == MANUAL_MARKDOWN) {
		put(manual, buf_slice(&text));
		put(manual, SLICE("\n\n"));
	} else {
		begin_paragraph(manual);
		put_page_text(manual, buf_slice(&text), true);
		put(manual, SLICE("\n"));
	}
	buf_free(&text);
}

void manual_term(struct manual *manual, const char *term, const char *meaning)
{
	if (manual->form == MANUAL_MARKDOWN) {
		put(manual, SLICE("- `"));
		put(manual, slice_of(term));
		put(manual, SLICE("`: "));
		put(manual, slice_of(meaning));
		put(manual, SLICE("\n"));
		return;
	}
	manual->after_heading = false;
	put(manual, SLICE(".TP\n\\fB"));
	put_page_text(manual, slice_of(term), false);
	put(manual, SLICE("\\fR\n"));
	put_page_text(manual, slice_of(meaning), true);
	put(manual, SLICE("\n"));
}

void manual_example(struct manual *manual, const char *format, ...)
{
	struct buf text;
	va_list args;
	va_start(args, format);
	start_text(manual, &text, format, args);
	va_end(args);
	struct slice rest = buf_slice(&text);
	if (manual->form == MANUAL_MARKDOWN) {
		while (rest.len) {
			put(manual, SLICE("    "));
			put(manual, slice_cut(&rest, '\n'));
			put(manual, SLICE("\n"));
		}
		put(manual, SLICE("\n"));
	} else {
		while (rest.len && rest.data[rest.len - 1] == '\n')
			rest.len--;
		begin_paragraph(manual);
		put(manual, SLICE(".RS 4\n.nf\n"));
		put_page_text(manual, rest, false);
		put(manual, SLICE("\n.fi\n.RE\n"));
	}
	buf_free(&text);
}

bool manual_end(struct manual *manual)
{
	/* One newline at the end, not two. */
	if (manual->fits && manual->form == MANUAL_MARKDOWN)
		manual->out->end--;
	return manual->fits;
}

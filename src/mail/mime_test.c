/* SPDX-License-Identifier: ISC */
/* The parts of messages, what their fields say, and the limits of hostile ones. */
#include "mail/mime.h"
#include "base/buf.h"
#include "base/test.h"

/* Each part as "count:type[filename]body" with marks: m multipart, r in an attached message, c cover letter. */
static struct slice walk_text(const char *message, struct arena *arena, const char **limit_r)
{
	struct mime_walk walk;
	struct mime_part part;
	struct slice out = { 0 };
	mime_walk_start(&walk, slice_of(message), NULL, arena);
	while (mime_walk_next(&walk, &part)) {
		const char *anomaly;
		struct slice body = part.multipart ? SLICE("") : mime_decode(&part, 1000, arena, &anomaly);
		out = arena_printf(arena, "%.*s%u:%.*s%s%s%s[%.*s]%.*s|", SLICE_ARG(out), part.count, SLICE_ARG(part.type), part.multipart ? " m" : "",
				   part.rfc822 ? " r" : "", part.coverletter ? " c" : "", SLICE_ARG(part.filename), SLICE_ARG(body));
	}
	*limit_r = walk.limit;
	return out;
}

static void parts_in_their_order(void **state)
{
	static const struct {
		const char *message, *expected;
	} rows[] = {
		{ "Subject: x\r\n\r\nbody\r\n", "0: c[]body\r\n|" },
		{ "no header", "0: c[]no header|" },
		{ "Content-Type: Text/Plain; charset=x\n\nbody", "0:text/plain c[]body|" },
		{ "Content-Type: multipart/mixed; boundary=b\r\n\r\npre\r\n--b\r\nContent-Type: text/plain\r\n\r\none\r\n--b \r\n"
		  "Content-Disposition: attachment; filename=\"a \\\"b\\\".txt\"\r\n\r\ntwo\r\n--b--\r\npost\r\n--b\r\n\r\nno part\r\n",
		  "0:multipart/mixed m c[]|1:text/plain c[]one|2:[a \"b\".txt]two|" },
		{ "Content-Type: multipart/alternative;\r\n\tboundary=\"b:c\"\r\n\r\n--b:c\r\n\r\none\r\n--b:c\r\nContent-Type: text/html\r\n\r\ntwo",
		  "0:multipart/alternative m c[]|1: c[]one|2:text/html c[]two|" },
		/* The outer delimiter ends the inner parts. */
		{ "Content-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: multipart/mixed; boundary=i\n\n--i\n\nx\n--o\n\ny\n--i\n\nz\n--o--\n",
		  "0:multipart/mixed m c[]|1:multipart/mixed m c[]|2: c[]x|3:[]y\n--i\n\nz|" },
		/* A boundary that begins like another. */
		{ "Content-Type: multipart/mixed; boundary=a\n\n--ab\n\nx\n--a\n\ny\n--ab\nz\n--a--\n", "0:multipart/mixed m c[]|1: c[]y\n--ab\nz|" },
		{ "Content-Type: message/rfc822\n\nContent-Type: text/html\n\ninner", "0:message/rfc822 c[]Content-Type: text/html\n\ninner|"
		  "0:text/html r c[]inner|" },
		{ "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nQTogYgoKaW5uZXI=\n", "0:message/rfc822 c[]A: b\n\ninner|0: r c[]inner|" },
		{ "Content-Type: multipart/mixed\n\nx", "0:multipart/mixed m c[]|" },
		/* A line that is no field ends the section for some readers, and not for others: what either of them finds is seen. */
		{ "Content-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: multipart/mixed; boundary=i\nno field\n--i\nContent-Type: a/b; name=x.exe\n\n"
		  "MZ\n--i--\n--o--\n", "0:multipart/mixed m c[]|1:multipart/mixed m c[]|2:a/b c[x.exe]MZ|" },
		{ "Content-Type: multipart/mixed; boundary=o\n\n--o\nno field\nContent-Type: a/b; name=x.exe\n\nMZ\n--o--\n",
		  "0:multipart/mixed m c[]|1:a/b c[x.exe]MZ|" },
		{ "Content-Type: multipart/mixed; boundary=o\n\n--o\n Content-Type: a/b; name=x.exe\n\nMZ\n--o--\n",
		  "0:multipart/mixed m c[]|1:a/b c[x.exe]MZ|" },
		/* RFC 2231, and encoded words as others write them. */
		{ "Content-Type: a/b; name*1=d.txt; name*0*=utf-8'en'%c3%a4%20\n\n", "0:a/b c[\xc3\xa4 d.txt]|" },
		{ "Content-Type: a/b; name*=us-ascii''x%00y (comment)\n\n", "0:a/b c[x?y]|" },
		{ "Content-Type: a/b; name=\"=?utf-8?q?=C3=A4?=\"\n\n", "0:a/b c[\xc3\xa4]|" },
		{ "Content-Type: a/b; (c;) name = x; name=y\n\n", "0:a/b c[x]|" },
		{ "Content-Type: a/b; name=\"open\n\n", "0:a/b c[open]|" },
		/* Encodings. */
		{ "Content-Transfer-Encoding: Base64\n\naGVs\nbG8h!!=\nIGJ5ZQ==", "0: c[]hello!|" },
		{ "Content-Transfer-Encoding: quoted-printable\n\na=3Db  \r\nc=\r\nd=zz=E4", "0: c[]a=b\ncd=zz\xe4|" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct arena arena;
		const char *limit;
		arena_init(&arena, 0);
		struct slice got = walk_text(rows[i].message, &arena, &limit);
		if (!slice_equal(got, slice_of(rows[i].expected)) || limit)
			fail_msg("row %zu \"%s\": \"%.*s\"", i, rows[i].message, SLICE_ARG(got));
		arena_free(&arena);
	}
}

static void hostile_messages_reach_a_limit(void **state)
{
	struct arena arena;
	struct buf deep, wide;
	const char *limit;
	(void)state;
	arena_init(&arena, 0);
	buf_init(&deep, 1 << 20);
	buf_init(&wide, 1 << 20);
	for (int i = 0; i < 1000; i++)
		buf_printf(&deep, "Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n", i, i);
	walk_text(arena_cstr(&arena, buf_slice(&deep)), &arena, &limit);
	assert_string_equal(limit, "MIME parts are nested too deep");
	buf_printf(&wide, "Content-Type: multipart/mixed; boundary=b\n\n");
	for (int i = 0; i < 2000; i++)
		buf_printf(&wide, "--b\n\nx\n");
	walk_text(arena_cstr(&arena, buf_slice(&wide)), &arena, &limit);
	assert_string_equal(limit, "too many MIME parts");
	buf_free(&deep);
	buf_free(&wide);
	arena_free(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(parts_in_their_order), cmocka_unit_test(hostile_messages_reach_a_limit) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}

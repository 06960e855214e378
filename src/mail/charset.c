/* SPDX-License-Identifier: ISC */
/* Converters for the character sets of mail; see charset.h. */
#include "mail/charset.h"

#include "base/fatal.h"

#include <errno.h>
#include <iconv.h>

/* Names as messages write them (IANA's, and some that are common), and where iconv has another name for it, that one. */
static const struct name {
	const char *name, *iconv;
} names[] = {
	{ "utf-8", NULL },	    { "utf8", "utf-8" },	 { "us-ascii", NULL },	      { "ascii", "us-ascii" },
	{ "iso-8859-1", NULL },	    { "latin1", "iso-8859-1" },	 { "iso-8859-2", NULL },      { "iso-8859-3", NULL },
	{ "iso-8859-4", NULL },	    { "iso-8859-5", NULL },	 { "iso-8859-6", NULL },      { "iso-8859-7", NULL },
	{ "iso-8859-8", NULL },	    { "iso-8859-8-i", "iso-8859-8" }, { "iso-8859-9", NULL }, { "iso-8859-10", NULL },
	{ "iso-8859-11", NULL },    { "iso-8859-13", NULL },	 { "iso-8859-14", NULL },     { "iso-8859-15", NULL },
	{ "iso-8859-16", NULL },    { "windows-1250", NULL },	 { "windows-1251", NULL },    { "windows-1252", NULL },
	{ "cp1252", NULL },	    { "windows-1253", NULL },	 { "windows-1254", NULL },    { "windows-1255", NULL },
	{ "windows-1256", NULL },   { "windows-1257", NULL },	 { "windows-1258", NULL },    { "windows-874", "cp874" },
	{ "koi8-r", NULL },	    { "koi8-u", NULL },		 { "tis-620", NULL },	      { "macintosh", NULL },
	{ "ibm850", NULL },	    { "gb2312", "gbk" },	 { "gbk", NULL },	      { "gb18030", NULL },
	{ "big5", NULL },	    { "big5-hkscs", NULL },	 { "shift_jis", "cp932" },    { "euc-jp", NULL },
	{ "iso-2022-jp", NULL },    { "euc-kr", "uhc" },	 { "ks_c_5601-1987", "uhc" }, { "iso-2022-kr", NULL },
	{ "utf-7", NULL },	    { "utf-16", NULL },		 { "utf-16be", NULL },	      { "utf-16le", NULL },
};

enum { NAMES = sizeof(names) / sizeof(names[0]) };

#define NOT_OPEN ((iconv_t)-1)

struct charset_set {
	char target[64];
	iconv_t open[NAMES];
};

struct charset_set *charset_open_all(struct slice target)
{
	struct charset_set *set = xcalloc(1, sizeof(*set));
	for (size_t i = 0; i < NAMES; i++)
		set->open[i] = NOT_OPEN;
	bool known = slice_to_cstr(target, set->target, sizeof(set->target));
	for (size_t i = 0; known && i < NAMES; i++)
		set->open[i] = iconv_open(set->target, names[i].iconv ? names[i].iconv : names[i].name);
	/* The first is UTF-8, which every system has: without that one, the target is no character set. */
	if (!known || set->open[0] == NOT_OPEN)
		charset_close_all(&set);
	return set;
}

void charset_close_all(struct charset_set **set)
{
	for (size_t i = 0; *set && i < NAMES; i++)
		if ((*set)->open[i] != NOT_OPEN)
			iconv_close((*set)->open[i]);
	free(*set);
	*set = NULL;
}

struct slice charset_target(const struct charset_set *set) { return set ? slice_of(set->target) : SLICE("UTF-8"); }

static struct slice convert(iconv_t converter, struct slice text, struct arena *arena)
{
	/* Four bytes of UTF-8 for each byte, and shifts of state at the end. */
	size_t room = text.len * 4 + 16;
	char *start = arena_alloc(arena, room + 1), *out = start;
	char *in = (char *)(uintptr_t)text.data; /* iconv's prototype lacks a const */
	size_t left = text.len;
	iconv(converter, NULL, NULL, NULL, NULL);
	while (left > 0 && iconv(converter, &in, &left, &out, &room) == (size_t)-1) {
		if (errno == E2BIG || room == 0)
			break;
		*out++ = '?';
		room--;
		if (errno == EINVAL) /* the last character is not complete */
			break;
		in++;
		left--;
	}
	iconv(converter, NULL, NULL, &out, &room);
	return slice_make(start, (size_t)(out - start));
}

bool charset_convert(struct charset_set *set, struct slice charset, struct slice text, struct arena *arena, struct slice *out_r)
{
	struct slice language = charset; /* RFC 2231 §5: "utf-8*en" */
	charset = slice_cut(&language, '*');
	if (slice_equal_nocase(charset, charset_target(set))) {
		*out_r = text;
		return true;
	}
	for (size_t i = 0; set && i < NAMES; i++) {
		if (set->open[i] == NOT_OPEN || !slice_equal_nocase(charset, slice_of(names[i].name)))
			continue;
		*out_r = convert(set->open[i], text, arena);
		return true;
	}
	return false;
}

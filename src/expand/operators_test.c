/* SPDX-License-Identifier: ISC */
/*
 * Operators and computing items, by calling the functions of their rows. The expected values are what Exim 4.96 prints for the same
 * expression, errors included (where the words may differ). "not as Exim" marks those for which we do better: where Exim crashes,
 * wraps numbers around, cuts them, reads malformed input, or lacks the feature.
 */
#include "base/test.h"

#include "expand/functions.h"
#include "mail/charset.h"

struct example {
	const char *name; /* of an operator, with its modifiers; of an item after "$" */
	const char *arguments[4];
	const char *result; /* an error after "!" */
};

static const struct example texts[] = {
	{ "lc", { "\303\200BC@X" }, "\303\200bc@x" },
	{ "uc", { "abc\303\251" }, "ABC\303\251" },
	{ "lc", { "" }, "" },
	{ "strlen", { "" }, "0" },
	{ "strlen", { "abc\303\251" }, "5" },
	{ "escape", { "a\tb\n\015\007\033\351\\\"\177\010\013\014" }, "a\tb\\n\\r\\007\\033\\351\\\"\\177\\b\\v\\f" },
	{ "escape8bit", { "a\tb\351\\\177" }, "a\tb\\351\\134\\177" },
	{ "hexquote", { "abc def" }, "abc\\x20def" },
	{ "hexquote", { "\177\377~!\\" }, "\\x7f\\xff~!\\" },
	{ "rxquote", { "a.b*c_d" }, "a\\.b\\*c\\_d" },
	{ "rxquote", { "\351 \n" }, "\\\351\\ \\\n" },
	{ "quote", { "" }, "\"\"" },
	{ "quote", { "abc" }, "abc" },
	{ "quote", { "a.b-c_d" }, "a.b-c_d" },
	{ "quote", { "ab\"*\"cd" }, "\"ab\\\"*\\\"cd\"" },
	{ "quote", { "a\nb\015c\\d\te" }, "\"a\\nb\\rc\\\\d\te\"" },
	{ "quote", { "\351" }, "\"\351\"" },
	{ "quote", { "a+b" }, "\"a+b\"" },
	{ "quote_local_part", { "a+b" }, "a+b" },
	{ "quote_local_part", { "a b" }, "\"a b\"" },
	{ "quote_local_part", { ".a" }, "\".a\"" },
	{ "quote_local_part", { "a." }, "\"a.\"" },
	{ "quote_local_part", { "a..b" }, "\"a..b\"" },
	{ "quote_local_part", { "" }, "\"\"" },
	{ "quote_local_part", { "a\"b\\c" }, "\"a\\\"b\\\\c\"" },
	{ "quote_local_part", { "\351" }, "\"\351\"" },
	{ "quote_local_part", { "a\007b" }, "\"a\007b\"" },
	{ "quote_lsearch", { "a b" }, "a b" },
	{ "quote_cdb", { "a b" }, "a b" },
	{ "quote_dsearch", { "a/b" }, "a/b" },
	{ "quote_passwd", { "a'b" }, "a'b" },
	{ "quote_dnsdb", { "a b" }, "a b" },
	{ "quote_pgsql", { "a'b\\c\"\n\t\015\010%_" }, "a''b\\\\c\\\"\\n\\t\\r\\b%_" },
	{ "quote_sqlite", { "a'b\"c\\" }, "a''b\"c\\" },
	{ "quote_redis", { "a b\tc'd\"e\\" }, "a\\ b\\\tc'd\"e\\\\" }, /* not as Exim */
	{ "quote_json", { "a\"b" }, "a\"b" }, /* not as Exim */
	{ "quote_nosuch", { "a" }, "!unknown lookup type \"nosuch\"" },
	{ "quote_mysql", { "a" }, "!lookup type \"mysql\" of Exim does not exist here: use pgsql or sqlite" }, /* not as Exim */
};

static const struct example parts[] = {
	{ "$length", { "3", "abcdef" }, "abc" },
	{ "$length", { "9", "abc" }, "abc" },
	{ "$length", { "0", "abc" }, "" },
	{ "$length", { "", "abc" }, "" },
	{ "$length", { "x", "abc" }, "!\"x\" is not a positive number (in \"length\" expansion)" },
	{ "$length", { "-1", "abc" }, "!\"-1\" is not a positive number (in \"length\" expansion)" },
	{ "$length", { "1K", "abc" }, "!\"1K\" is not a positive number (in \"length\" expansion)" },
	{ "$length", { "99999999999", "abc" }, "abc" },
	{ "length_3", { "abcdef" }, "abc" },
	{ "l_3", { "abcdef" }, "abc" },
	{ "length_x", { "abc" }, "!\"x\" is not a positive number (in \"length\" expansion)" },
	{ "$substr", { "3", "2", "abcdef" }, "de" },
	{ "$substr", { "-5", "2", "1234567" }, "34" },
	{ "$substr", { "-5", "2", "12" }, "" },
	{ "$substr", { "-3", "2", "12" }, "1" },
	{ "substr_-1", { "abcde" }, "abcd" },
	{ "$substr", { "-1", "abcde" }, "abcd" },
	{ "$substr", { "3", "abcde" }, "de" },
	{ "$substr", { "9", "2", "abcde" }, "" },
	{ "$substr", { "5", "2", "abcde" }, "" },
	{ "$substr", { "1", "-2", "abcde" }, "!\"-2\" is not a positive number (in \"substr\" expansion)" },
	{ "$substr", { "x", "1", "abcde" }, "!\"x\" is not a number (in \"substr\" expansion)" },
	{ "$substr", { "1", "x", "abcde" }, "!\"x\" is not a positive number (in \"substr\" expansion)" },
	{ "$substr", { "--1", "abc" }, "!\"--1\" is not a number (in \"substr\" expansion)" },
	{ "$substr", { "-", "abc" }, "!\"-\" is not a number (in \"substr\" expansion)" },
	{ "$substr", { "+1", "abc" }, "bc" },
	{ "$substr", { " 1 ", "1", "abc" }, "!\" 1 \" is not a number (in \"substr\" expansion)" },
	{ "$substr", { "-99999999999", "2", "abc" }, "" },
	{ "substr_1_", { "abcde" }, "!non-digit after underscore in \"substr_...\"" },
	{ "substr_1_2_3", { "abcde" }, "!non-digit after underscore in \"substr_...\"" },
	{ "substr_-2_1", { "abcdef" }, "e" },
	{ "s_1_2", { "abcde" }, "bc" },
	{ "substr_99999999999", { "abc" }, "" },
	{ "$hash", { "3", "monty" }, "jmg" },
	{ "$hash", { "5", "monty" }, "monty" },
	{ "$hash", { "4", "62", "monty python" }, "fbWx" },
	{ "hash_3", { "monty" }, "jmg" },
	{ "h_3", { "monty" }, "jmg" },
	{ "hash_4_62", { "monty python" }, "fbWx" },
	{ "$hash", { "0", "monty" }, "" },
	{ "$hash", { "4", "63", "monty python" }, "!hash count \"63\" too big: it must be 1 to 62" },
	{ "$hash", { "4", "0", "monty" }, "!hash count \"0\" too small: it must be 1 to 62" }, /* not as Exim */
	{ "$hash", { "-1", "monty" }, "!\"-1\" is not a positive number (in \"hash\" expansion)" }, /* not as Exim */
	{ "$hash", { "3x", "monty" }, "!\"3x\" is not a positive number (in \"hash\" expansion)" },
	{ "$hash", { "2", "26", "\351\377\200 mixed bytes" }, "nu" },
	{ "h", { "abc" }, "!missing values after h" },
	{ "$nhash", { "8", "64", "supercalifragilisticexpialidocious" }, "6/33" },
	{ "$nhash", { "8", "supercalifragilisticexpialidocious" }, "1" },
	{ "nhash_8_64", { "supercalifragilisticexpialidocious" }, "6/33" },
	{ "nh_8", { "abc" }, "4" },
	{ "$nhash", { "1000000", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" }, "175861" },
	{ "$nhash", { "0", "abc" }, "!the limits of nhash must be from 1 to 2147483647" }, /* not as Exim */
	{ "$nhash", { "5", "0", "abc" }, "!the limits of nhash must be from 1 to 2147483647" }, /* not as Exim */
	{ "$nhash", { "-5", "abc" }, "!\"-5\" is not a positive number (in \"nhash\" expansion)" }, /* not as Exim */
	{ "nhash_3x", { "abc" }, "!\"3x\" is not a positive number (in \"nhash\" expansion)" },
	{ "$tr", { "abcdea", "ac", "13" }, "1b3de1" },
	{ "$tr", { "abcdea", "ac", "1" }, "1b1de1" },
	{ "$tr", { "abcdea", "ac", "" }, "abcdea" },
	{ "$tr", { "abcdea", "aca", "123" }, "3b2de3" },
	{ "$tr", { "abc", "", "x" }, "abc" },
	{ "$listquote", { ":", "a:b" }, "a::b" },
	{ "$listquote", { ":", "" }, " " },
	{ "$listquote", { "::", "a:b" }, "a::b" },
	{ "$listquote", { "", "a:b" }, "a:b" },
	{ "$listquote", { ",", "a,b,,c" }, "a,,b,,,,c" },
};

static const struct example numbers[] = {
	{ "base32", { "0" }, "" },
	{ "base32", { "1" }, "b" },
	{ "base32", { "31" }, "7" },
	{ "base32", { "12345678901" }, "lp5yhbv" },
	{ "base32", { "" }, "" },
	{ "base32", { "x" }, "!argument for base32 operator is \"x\", which is not a decimal number" },
	{ "base32", { "18446744073709551615" }, "p777777777777" },
	{ "base32", { "18446744073709551616" }, "!argument for base32 operator is \"18446744073709551616\", which is not a decimal number" }, /* not as Exim */
	{ "base32d", { "bhnjj2w" }, "1322559318" },
	{ "base32d", { "" }, "0" },
	{ "base32d", { "A" }, "!argument for base32d operator is \"A\", which is not a base 32 number" },
	{ "base32d", { "1" }, "!argument for base32d operator is \"1\", which is not a base 32 number" },
	{ "base32d", { "zzzzzzzzzzzzzzzz" }, "!argument for base32d operator is \"zzzzzzzzzzzzzzzz\", which is too large" }, /* not as Exim */
	{ "base62", { "0" }, "000000" },
	{ "base62", { "61" }, "00000z" },
	{ "base62", { "62" }, "000010" },
	{ "base62", { "" }, "000000" },
	{ "base62", { "x" }, "!argument for base62 operator is \"x\", which is not a decimal number" },
	{ "base62", { "10000000000000" }, "2q3Rktoe" }, /* not as Exim */
	{ "base62d", { "00000z" }, "61" },
	{ "base62d", { "" }, "0" },
	{ "base62d", { "-" }, "!argument for base62d operator is \"-\", which is not a base 62 number" },
	{ "base62d", { "ZZZZZZZZZZZZZZZZZZZZZZZ" }, "!argument for base62d operator is \"ZZZZZZZZZZZZZZZZZZZZZZZ\", which is too large" }, /* not as Exim */
	{ "time_eval", { "2d4h5m" }, "187500" },
	{ "time_eval", { "1w3d4h2m6s" }, "878526" },
	{ "time_eval", { "6s2m" }, "126" },
	{ "time_eval", { "1s1s" }, "2" },
	{ "time_eval", { "" }, "!string \"\" is not an Exim time interval in \"time_eval\" operator" },
	{ "time_eval", { "5" }, "!string \"5\" is not an Exim time interval in \"time_eval\" operator" },
	{ "time_eval", { "5x" }, "!string \"5x\" is not an Exim time interval in \"time_eval\" operator" },
	{ "time_eval", { " 1h" }, "!string \" 1h\" is not an Exim time interval in \"time_eval\" operator" },
	{ "time_eval", { "1.5h" }, "!string \"1.5h\" is not an Exim time interval in \"time_eval\" operator" },
	{ "time_eval", { "3550w" }, "2147040000" },
	{ "time_eval", { "3551w" }, "!string \"3551w\" is not an Exim time interval in \"time_eval\" operator" },
	{ "time_eval", { "-1s" }, "!string \"-1s\" is not an Exim time interval in \"time_eval\" operator" },
	{ "time_interval", { "0" }, "0s" },
	{ "time_interval", { "59" }, "59s" },
	{ "time_interval", { "60" }, "1m" },
	{ "time_interval", { "888888" }, "1w3d6h54m48s" },
	{ "time_interval", { "1233456" }, "2w6h37m36s" },
	{ "time_interval", { "" }, "0s" },
	{ "time_interval", { "x" }, "!string \"x\" is not a positive number in \"time_interval\" operator" },
	{ "time_interval", { "-1" }, "!string \"-1\" is not a positive number in \"time_interval\" operator" },
	{ "time_interval", { "4294967296" }, "7101w3d6h28m16s" }, /* not as Exim */
	{ "randint", { "1" }, "0" },
	{ "randint", { "0" }, "0" },
	{ "randint", { "-1" }, "!non-negative integer expected but \"-1\" found" },
	{ "randint", { "x" }, "!integer expected but \"x\" found" },
	{ "randint", { "" }, "!integer expected but \"\" found" },
};

static const struct example arithmetic[] = {
	{ "eval", { "1+1" }, "2" },
	{ "eval", { "1+2*3" }, "7" },
	{ "eval", { "(1+2)*3" }, "9" },
	{ "eval", { "2+42%5" }, "4" },
	{ "eval", { "0xc&5" }, "4" },
	{ "eval", { "0xc|5" }, "13" },
	{ "eval", { "0xc^5" }, "9" },
	{ "eval", { "0xc>>1" }, "6" },
	{ "eval", { "0xc<<1" }, "24" },
	{ "eval", { "~255&0x1234" }, "4608" },
	{ "eval", { "-(~255&0x1234)" }, "-4608" },
	{ "eval", { "" }, "!error in expression evaluation: expecting number or opening parenthesis (after processing \"\")" },
	{ "eval", { " " }, "!error in expression evaluation: expecting number or opening parenthesis (after processing \" \")" },
	{ "eval", { "1" }, "1" },
	{ "eval", { "010" }, "8" },
	{ "eval", { "0x" }, "!error in expression evaluation: expecting operator (after processing \"0\")" }, /* not as Exim */
	{ "eval", { "0xg" }, "!error in expression evaluation: expecting operator (after processing \"0\")" }, /* not as Exim */
	{ "eval", { "08" }, "!error in expression evaluation: expecting operator (after processing \"0\")" },
	{ "eval", { "1K" }, "1024" },
	{ "eval", { "1k" }, "1024" },
	{ "eval", { "2M" }, "2097152" },
	{ "eval", { "1G" }, "1073741824" },
	{ "eval", { "1T" }, "!error in expression evaluation: expecting operator (after processing \"1\")" },
	{ "eval", { "1 K" }, "!error in expression evaluation: expecting operator (after processing \"1 \")" },
	{ "eval", { "1/0" }, "!error in expression evaluation: divide by zero (after processing \"1/0\")" },
	{ "eval", { "1%0" }, "!error in expression evaluation: modulo by zero (after processing \"1%0\")" },
	{ "eval", { "5/2" }, "2" },
	{ "eval", { "-5/2" }, "-2" },
	{ "eval", { "-5%3" }, "-2" },
	{ "eval", { "5%-3" }, "2" },
	{ "eval", { "--5" }, "5" },
	{ "eval", { "~~5" }, "5" },
	{ "eval", { "-~5" }, "6" },
	{ "eval", { "+5" }, "5" },
	{ "eval", { "1+" }, "!error in expression evaluation: expecting number or opening parenthesis (after processing \"1+\")" },
	{ "eval", { "1 2" }, "!error in expression evaluation: expecting operator (after processing \"1 \")" },
	{ "eval", { "(1" }, "!error in expression evaluation: expecting closing parenthesis (after processing \"(1\")" },
	{ "eval", { "1)" }, "!error in expression evaluation: expecting operator (after processing \"1\")" },
	{ "eval", { "abc" }, "!error in expression evaluation: expecting number or opening parenthesis (after processing \"\")" },
	{ "eval", { "9223372036854775807" }, "9223372036854775807" },
	{ "eval", { "9223372036854775808" }, "!error in expression evaluation: number too large (after processing \"922337203685477580\")" }, /* not as Exim */
	{ "eval", { "9223372036854775807+1" }, "!error in expression evaluation: overflow in sum (after processing \"9223372036854775807+1\")" },
	{ "eval", { "-9223372036854775807-1" }, "-9223372036854775808" },
	{ "eval", { "-9223372036854775807-2" }, "!error in expression evaluation: overflow in difference (after processing \"-9223372036854775807-2\")" }, /* not as Exim */
	{ "eval", { "-9223372036854775808" }, "!error in expression evaluation: number too large (after processing \"-922337203685477580\")" }, /* not as Exim */
	{ "eval", { "(-9223372036854775807-1)/-1" }, "!error in expression evaluation: overflow in quotient (after processing \"(-9223372036854775807-1)/-1\")" }, /* not as Exim */
	{ "eval", { "(-9223372036854775807-1)%-1" }, "0" }, /* not as Exim */
	{ "eval", { "9223372036854775807*2" }, "!error in expression evaluation: overflow in product (after processing \"9223372036854775807*2\")" }, /* not as Exim */
	{ "eval", { "4611686018427387904*2" }, "!error in expression evaluation: overflow in product (after processing \"4611686018427387904*2\")" }, /* not as Exim */
	{ "eval", { "-4611686018427387904*2" }, "-9223372036854775808" },
	{ "eval", { "3037000500*3037000500" }, "!error in expression evaluation: overflow in product (after processing \"3037000500*3037000500\")" }, /* not as Exim */
	{ "eval", { "3037000499*3037000499" }, "9223372030926249001" },
	{ "eval", { "-(-9223372036854775807-1)" }, "!error in expression evaluation: overflow in negation (after processing \"-(-9223372036854775807-1)\")" }, /* not as Exim */
	{ "eval", { "1<<62" }, "4611686018427387904" },
	{ "eval", { "1<<63" }, "-9223372036854775808" },
	{ "eval", { "1<<64" }, "!error in expression evaluation: shift by less than 0 or more than 63 (after processing \"1<<64\")" }, /* not as Exim */
	{ "eval", { "1<<100" }, "!error in expression evaluation: shift by less than 0 or more than 63 (after processing \"1<<100\")" }, /* not as Exim */
	{ "eval", { "1<<-1" }, "!error in expression evaluation: shift by less than 0 or more than 63 (after processing \"1<<-1\")" }, /* not as Exim */
	{ "eval", { "1>>64" }, "!error in expression evaluation: shift by less than 0 or more than 63 (after processing \"1>>64\")" }, /* not as Exim */
	{ "eval", { "-1>>1" }, "-1" },
	{ "eval", { "1>>-1" }, "!error in expression evaluation: shift by less than 0 or more than 63 (after processing \"1>>-1\")" }, /* not as Exim */
	{ "eval", { "1<2" }, "!error in expression evaluation: expecting operator (after processing \"1\")" },
	{ "eval", { "1 <<2" }, "4" },
	{ "eval", { "1< <2" }, "!error in expression evaluation: expecting operator (after processing \"1\")" },
	{ "eval", { "0xffffffffffffffff" }, "!error in expression evaluation: number too large (after processing \"0xfffffffffffffff\")" }, /* not as Exim */
	{ "eval", { "0x7fffffffffffffff" }, "9223372036854775807" },
	{ "eval", { "0x8000000000000000" }, "!error in expression evaluation: number too large (after processing \"0x800000000000000\")" }, /* not as Exim */
	{ "eval", { "9007199254740992G" }, "!error in expression evaluation: number too large (after processing \"9007199254740992\")" }, /* not as Exim */
	{ "eval", { "8796093022208M" }, "!error in expression evaluation: number too large (after processing \"8796093022208\")" }, /* not as Exim */
	{ "eval", { "  ( 1 + 2 )  " }, "3" },
	{ "eval", { "1-1-1" }, "-1" },
	{ "eval", { "100/10/5" }, "2" },
	{ "eval", { "2*-3" }, "-6" },
	{ "eval", { "2--3" }, "5" },
	{ "eval", { "1|2^3&4" }, "3" },
	{ "eval", { "1+2<<3" }, "24" },
	{ "eval", { "8>>1+1" }, "2" },
	{ "eval", { "-2*3" }, "-6" },
	{ "eval", { "10%4*2" }, "4" },
	{ "eval", { "1;2" }, "!error in expression evaluation: expecting operator (after processing \"1\")" },
	{ "eval", { "1.5" }, "!error in expression evaluation: expecting operator (after processing \"1\")" },
	{ "eval", { "1,2" }, "!error in expression evaluation: expecting operator (after processing \"1\")" },
	{ "eval", { "!1" }, "!error in expression evaluation: expecting number or opening parenthesis (after processing \"\")" },
	{ "eval", { "(((((1)))))" }, "1" },
	{ "eval", { "~0" }, "-1" },
	{ "eval", { "0K" }, "0" },
	{ "eval", { "0777" }, "511" },
	{ "eval", { "-0x10" }, "-16" },
	{ "eval", { "0X10" }, "16" },
	{ "eval", { "1Kb" }, "!error in expression evaluation: expecting operator (after processing \"1K\")" },
	{ "eval", { "1KK" }, "!error in expression evaluation: expecting operator (after processing \"1K\")" },
	{ "eval", { "()" }, "!error in expression evaluation: expecting number or opening parenthesis (after processing \"(\")" },
	{ "eval", { "* 2" }, "!error in expression evaluation: expecting number or opening parenthesis (after processing \"\")" },
	{ "eval", { "1 + * 2" }, "!error in expression evaluation: expecting number or opening parenthesis (after processing \"1 + \")" },
	{ "eval", { "0b1" }, "!error in expression evaluation: expecting operator (after processing \"0\")" },
	{ "eval", { "1e3" }, "!error in expression evaluation: expecting operator (after processing \"1\")" },
	{ "eval", { "-9223372036854775807%-1" }, "0" },
	{ "eval10", { "010" }, "10" },
	{ "eval10", { "0x10" }, "!error in expression evaluation: expecting operator (after processing \"0\")" },
	{ "eval10", { "1K" }, "1024" },
	{ "eval10", { "08+1" }, "9" },
};

static const struct example encodings[] = {
	{ "base64", { "abc" }, "YWJj" },
	{ "base64", { "" }, "" },
	{ "base64", { "a" }, "YQ==" },
	{ "base64", { "ab" }, "YWI=" },
	{ "base64", { "\377\376\375" }, "//79" },
	{ "str2b64", { "abc" }, "YWJj" },
	{ "base64d", { "YWJj" }, "abc" },
	{ "base64d", { "YW Jj" }, "abc" },
	{ "base64d", { "YQ==" }, "a" },
	{ "base64d", { "Y Q = =" }, "a" },
	{ "base64d", { "" }, "" },
	{ "base64d", { "YWJ" }, "!string \"YWJ\" is not well-formed for \"base64d\" operator" },
	{ "base64d", { "!" }, "!string \"!\" is not well-formed for \"base64d\" operator" },
	{ "base64d", { "YQ=" }, "!string \"YQ=\" is not well-formed for \"base64d\" operator" },
	{ "base64d", { "YWJjYQ==YWJj" }, "!string \"YWJjYQ==YWJj\" is not well-formed for \"base64d\" operator" },
	{ "hex2b64", { "616263" }, "YWJj" },
	{ "hex2b64", { "AbCd" }, "q80=" },
	{ "hex2b64", { "" }, "" },
	{ "hex2b64", { "61626" }, "!\"61626\" contains an odd number of characters" },
	{ "hex2b64", { "6g" }, "!\"6g\" is not a hex string" },
	{ "rfc2047", { "abc" }, "abc" },
	{ "rfc2047", { "abc def" }, "abc def" },
	{ "rfc2047", { "\303\251" }, "=?UTF-8?Q?=C3=A9?=" },
	{ "rfc2047", { "abc\303\251 def" }, "=?UTF-8?Q?abc=C3=A9_def?=" },
	{ "rfc2047", { "" }, "" },
	{ "rfc2047", { "a_b" }, "=?UTF-8?Q?a=5Fb?=" },
	{ "rfc2047", { "a=b" }, "=?UTF-8?Q?a=3Db?=" },
	{ "rfc2047", { "a\"b" }, "=?UTF-8?Q?a=22b?=" },
	{ "rfc2047", { "a\nb" }, "=?UTF-8?Q?a=0Ab?=" },
	{ "rfc2047", { "=?utf-8?q?a?=" }, "=?UTF-8?Q?=3D=3Futf-8=3Fq=3Fa=3F=3D?=" },
	{ "rfc2047", { "a b.c-d" }, "=?UTF-8?Q?a_b=2Ec-d?=" },
	{ "rfc2047", { "a'b#c!~" }, "a'b#c!~" },
	{ "rfc2047", { "\346\227\245\346\234\254\350\252\236\346\227\245\346\234\254\350\252\236\346\227\245\346\234\254\350\252\236\346\227\245\346\234\254\350\252\236\346\227\245\346\234\254\350\252\236\346\227\245\346\234\254\350\252\236\346\227\245\346\234\254\350\252\236\346\227\245\346\234\254\350\252\236\346\227\245\346\234\254\350\252\236\346\227\245\346\234\254\350\252\236" }, "=?UTF-8?Q?=E6=97=A5=E6=9C=AC=E8=AA=9E=E6=97=A5=E6=9C=AC=E8=AA=9E=E6=97=A5?= =?UTF-8?Q?=E6=9C=AC=E8=AA=9E=E6=97=A5=E6=9C=AC=E8=AA=9E=E6=97=A5=E6=9C=AC?= =?UTF-8?Q?=E8=AA=9E=E6=97=A5=E6=9C=AC=E8=AA=9E=E6=97=A5=E6=9C=AC=E8=AA=9E?= =?UTF-8?Q?=E6=97=A5=E6=9C=AC=E8=AA=9E=E6=97=A5=E6=9C=AC=E8=AA=9E=E6=97=A5?= =?UTF-8?Q?=E6=9C=AC=E8=AA=9E?=" }, /* not as Exim */
	{ "rfc2047d", { "=?iso-8859-1?Q?caf=E9?=" }, "caf\303\251" },
	{ "rfc2047d", { "=?utf-8?B?Y2Fmw6k=?= =?utf-8?q?_x?= y" }, "caf\303\251 x y" },
	{ "rfc2047d", { "a =?utf-8?q?b?= c" }, "a b c" },
	{ "rfc2047d", { "=?utf-8?q?b?==?utf-8?q?c?=" }, "bc" },
	{ "rfc2047d", { "=?utf-8?q?b?=\n =?utf-8?q?c?=" }, "bc" },
	{ "rfc2047d", { "=?utf-8?x?b?=" }, "=?utf-8?x?b?=" },
	{ "rfc2047d", { "=?bogus?q?b=E9?=" }, "b\351" }, /* not as Exim */
	{ "rfc2047d", { "=?utf-8?b?!!?=" }, "=?utf-8?b?!!?=" },
	{ "rfc2047d", { "=?utf-8?q?a=0?=" }, "=?utf-8?q?a=0?=" },
	{ "rfc2047d", { "=?utf-8?q?a=00b?=" }, "a?b" },
	{ "rfc2047d", { "=?utf-8?q?a b?=" }, "=?utf-8?q?a b?=" },
	{ "rfc2047d", { "=?utf-8?q?\?=" }, "" },
	{ "rfc2047d", { "=?utf-8?b?Y2Fm?" }, "=?utf-8?b?Y2Fm?" },
	{ "rfc2047d", { "=?utf-8*en?q?caf?=" }, "caf" }, /* not as Exim */
	{ "rfc2047d", { "x=?utf-8?q?b?=y" }, "xby" },
	{ "rfc2047d", { "=?utf-8?q?aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa?=" }, "=?utf-8?q?aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa?=" },
	{ "rfc2047d", { "=?windows-1252?q?=80?=" }, "\342\202\254" },
	{ "rfc2047d", { "=?utf-8?q?=ff=C3=A9?=" }, "\377\303\251" },
	{ "rfc2047d", { "=?iso-2022-jp?b?GyRCRnxLXBsoQg==?=" }, "\346\227\245\346\234\254" },
	{ "rfc2047d", { "=?koi8-r?B?wQ==?=" }, "\320\260" },
	{ "rfc2047d", { "=?gb2312?B?1tDOxA==?=" }, "\344\270\255\346\226\207" },
	{ "rfc2047d", { "=?shift_jis?B?k/qWew==?=" }, "\346\227\245\346\234\254" },
	{ "rfc2047d", { "" }, "" },
	{ "rfc2047d", { "=?utf-8?B?Y2Fmw6k?=" }, "=?utf-8?B?Y2Fmw6k?=" },
};

static const struct example digests[] = {
	{ "md5", { "" }, "d41d8cd98f00b204e9800998ecf8427e" },
	{ "md5", { "abc" }, "900150983cd24fb0d6963f7d28e17f72" },
	{ "sha1", { "abc" }, "A9993E364706816ABA3E25717850C26C9CD0D89D" },
	{ "sha256", { "abc" }, "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD" },
	{ "sha2", { "abc" }, "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD" },
	{ "sha2_384", { "abc" }, "CB00753F45A35E8BB5A03D699AC65007272C32AB0EDED1631A8B605A43FF5BED8086072BA1E7CC2358BAECA134C825A7" },
	{ "sha2_512", { "abc" }, "DDAF35A193617ABACC417349AE20413112E6FA4E89A97EA20A9EEEE64B55D39A2192992A274FC1A836BA3C23A3FEEBBD454D4423643CE80E2A9AC94FA54CA49F" },
	{ "sha2_224", { "abc" }, "!unrecognised sha2 variant" },
	{ "sha2_abc", { "abc" }, "!unrecognised sha2 variant" },
	{ "sha3", { "abc" }, "3A985DA74FE225B2045C172D6BD390BD855F086E3E9D525B46BFE24511431532" },
	{ "sha3_224", { "abc" }, "E642824C3F8CF24AD09234EE7D3C766FC9A3A5168D0C94AD73B46FDF" },
	{ "sha3_256", { "abc" }, "3A985DA74FE225B2045C172D6BD390BD855F086E3E9D525B46BFE24511431532" },
	{ "sha3_384", { "abc" }, "EC01498288516FC926459F58E2C6AD8DF9B473CB0FC08C2596DA7CF0E49BE4B298D88CEA927AC7F539F1EDF228376D25" },
	{ "sha3_512", { "abc" }, "B751850B1A57168A5693CD924B6B096E08F621827444F70D884F5D0240D2712E10E116E9192AF3C91A7EC57647E3934057340B4CF408D5A56592F8274EEC53F0" },
	{ "sha3_999", { "abc" }, "!unrecognised sha3 variant" },
	{ "sha3_", { "abc" }, "!unrecognised sha3 variant" },
	{ "$hmac", { "md5", "k", "v" }, "03b6c9582f223fddef02baad0cd5a270" },
	{ "$hmac", { "sha1", "k", "v" }, "94fc6a2f7e89b8196cf74e1079a8c11eb679a552" },
	{ "$hmac", { "md5", "", "" }, "74e6f7298a9c2d168935f58c001bad88" },
	{ "$hmac", { "sha256", "k", "v" }, "c5d4be1992d50d3b41f9a21292fc67a28a1486fc64a0517d37f9af847e0732de" }, /* not as Exim */
	{ "$hmac", { "MD5", "k", "v" }, "!hmac algorithm \"MD5\" is not recognised: use md5, sha1, sha256 or sha512" },
	{ "$hmac", { "nosuch", "k", "v" }, "!hmac algorithm \"nosuch\" is not recognised: use md5, sha1, sha256 or sha512" },
	{ "$prvs", { "user@example.org", "secret", "13" }, "!prvs third argument must be a single digit" },
	{ "$prvs", { "user@example.org", "secret", "" }, "!prvs third argument must be a single digit" },
	{ "$prvs", { "user@example.org", "secret", "x" }, "!prvs third argument must be a single digit" },
	{ "$prvs", { "user", "secret", "1" }, "!prvs first argument must be a qualified email address" },
	{ "$prvs", { "@example.org", "secret" }, "!prvs first argument must be a qualified email address" },
	{ "$prvs", { "a@", "secret" }, "!prvs first argument must be a qualified email address" },
	{ "$prvs", { "a@b", "", "1" }, "!prvs second argument, the secret, is empty: everybody could make such a signature" }, /* not as Exim */
	{ "$srs_encode", { "secret", "", "example.net" }, "" },
	{ "$srs_encode", { "secret", "user", "example.net" }, "!srs_encode second argument must be a qualified email address" }, /* not as Exim */
	{ "$srs_encode", { "", "user@example.org", "example.net" }, "!srs_encode first argument, the secret, is empty: everybody could make such an address" }, /* not as Exim */
	{ "$srs_encode", { "secret", "a@b@c", "example.net" }, "!srs_encode second argument must be a qualified email address" },
};

static const struct example addresses[] = {
	{ "address", { "<ph10@cus.cam.ac.uk>" }, "ph10@cus.cam.ac.uk" },
	{ "address", { "Philip (x) <a@b.c> (y)" }, "a@b.c" },
	{ "address", { "a b@c" }, "" },
	{ "address", { "a@b, c@d" }, "" },
	{ "address", { "\"a b\"@c.d" }, "\"a b\"@c.d" },
	{ "address", { "a@[1.2.3.4]" }, "a@[1.2.3.4]" },
	{ "address", { "<@x,@y:a@b>" }, "a@b" },
	{ "address", { "" }, "" },
	{ "address", { "user" }, "user" },
	{ "address", { "<>" }, "" },
	{ "address", { "a@b..c" }, "" },
	{ "address", { "a..b@c" }, "a..b@c" },
	{ "address", { ".a@c" }, ".a@c" },
	{ "address", { "a@-x-" }, "" },
	{ "address", { "a@b_c" }, "" },
	{ "address", { "(comment (nested)) a@b" }, "a@b" },
	{ "address", { "a @ b" }, "a@b" },
	{ "address", { "a . b@c . d" }, "a.b@c.d" },
	{ "address", { "\"a\"@b" }, "\"a\"@b" },
	{ "address", { "\"a\".\"b\"@c" }, "\"a\".\"b\"@c" },
	{ "address", { "a@b <c@d>" }, "" },
	{ "address", { "A. B. Cee <x@y>" }, "x@y" },
	{ "address", { "<a@b" }, "" },
	{ "address", { "a@b>" }, "" },
	{ "address", { "(a@b" }, "" },
	{ "address", { "\"a@b" }, "" },
	{ "address", { "a@b;" }, "" },
	{ "address", { "x <a@b> y" }, "" },
	{ "address", { "\343\203\225\343\202\243\343\203\253 <\343\203\225\343\202\243\343\203\252\343\203\203\343\203\227@example.jp>" }, "\343\203\225\343\202\243\343\203\252\343\203\203\343\203\227@example.jp" },
	{ "address", { "a@b\n (folded)" }, "a@b" },
	{ "addresses", { "a@b, Chief <ceo@up.stairs>, sec@base.ment (dogsbody)" }, "a@b:ceo@up.stairs:sec@base.ment" },
	{ "addresses", { ">& Chief <ceo@up.stairs>, sec@base.ment (dogsbody)" }, "ceo@up.stairs&sec@base.ment" },
	{ "addresses", { "From: \"Last, First\" <user@example.com>" }, "user@example.com" },
	{ "addresses", { "From: Last, First <user@example.com>" }, "Last:user@example.com" },
	{ "addresses", { "From: =?iso-8859-2?Q?Last=2C_First?= <user@example.com>" }, "user@example.com" },
	{ "addresses", { "" }, "" },
	{ "addresses", { "a@b" }, "a@b" },
	{ "addresses", { "a:b@c" }, "b@c" },
	{ "addresses", { "\"a:b\"@c, d@e" }, "\"a::b\"@c:d@e" },
	{ "addresses", { "group: a@b, c@d;, e@f" }, "a@b:c@d:e@f" },
	{ "addresses", { "junk junk <, a@b" }, "" },
	{ "addresses", { ">, a@b, c@d" }, "a@b,c@d" },
	{ "addresses", { "> a@b, c@d" }, "a@b c@d" },
	{ "addresses", { "<a@b>,<>,c" }, "a@b:c" },
	{ "addresses", { "a@b,,c@d" }, "a@b:c@d" },
	{ "addresses", { "<a@b>;" }, "" },
	{ "addresses", { "(a,b) c@d, e@f" }, "c@d:e@f" },
	{ "addresses", { "\"a, b\" <c@d>, e@f" }, "c@d:e@f" },
	{ "domain", { "a@B.c" }, "B.c" },
	{ "domain", { "user" }, "" },
	{ "domain", { "Philip <user@X.y>" }, "X.y" },
	{ "domain", { "a@[1.2.3.4]" }, "[1.2.3.4]" },
	{ "local_part", { "\"a b\"@c" }, "\"a b\"" },
	{ "local_part", { "a.b+c@d" }, "a.b+c" },
	{ "local_part", { "Philip <user@X.y>" }, "user" },
	{ "local_part", { "user" }, "user" },
};

static const struct example networks[] = {
	{ "mask", { "10.111.131.206/28" }, "10.111.131.192/28" },
	{ "mask", { "3ffe:ffff:836f:0a00:000a:0800:200a:c031/99" }, "3ffe.ffff.836f.0a00.000a.0800.2000.0000/99" },
	{ "mask", { "1.2.3.4/0" }, "0.0.0.0/0" },
	{ "mask", { "1.2.3.4/32" }, "1.2.3.4/32" },
	{ "mask", { "fe80::1/0" }, "0000.0000.0000.0000.0000.0000.0000.0000/0" },
	{ "mask", { "::ffff:1.2.3.4/100" }, "0000.0000.0000.0000.0000.ffff.0000.0000/100" },
	{ "mask", { "10.0.0.0" }, "!missing mask value in \"10.0.0.0\"" },
	{ "mask", { "10.0.0.0/33" }, "!mask value too big in \"10.0.0.0/33\"" },
	{ "mask", { "fe80::1/129" }, "!mask value too big in \"fe80::1/129\"" },
	{ "mask", { "10.0.0.0/" }, "!\"10.0.0.0/\" is not an IP address" }, /* not as Exim */
	{ "mask", { "10.0.0.0/8x" }, "!\"10.0.0.0/8x\" is not an IP address" },
	{ "mask", { "10.0.0.0/-1" }, "!\"10.0.0.0/-1\" is not an IP address" },
	{ "mask", { "10.1.1.1/8/8" }, "!\"10.1.1.1/8/8\" is not an IP address" },
	{ "mask", { "x/8" }, "!\"x/8\" is not an IP address" },
	{ "mask", { "/8" }, "!\"/8\" is not an IP address" },
	{ "mask", { "[10.0.0.1]/8" }, "!\"[10.0.0.1]/8\" is not an IP address" },
	{ "mask", { "" }, "!\"\" is not an IP address" },
	{ "mask_n", { "3ffe:ffff:836f:0a00:000a:0800:200a:c031/99" }, "3ffe:ffff:836f:a00:a:800:2000::/99" },
	{ "mask_n", { "10.1.1.1/8" }, "10.0.0.0/8" },
	{ "mask_n", { "::/0" }, "::/0" }, /* not as Exim */
	{ "mask_n", { "fe80::1/128" }, "fe80::1/128" },
	{ "mask_x", { "10.0.0.0/8" }, "!mask takes no modifier but \"n\"" }, /* not as Exim */
	{ "reverse_ip", { "192.0.2.4" }, "4.2.0.192" },
	{ "reverse_ip", { "2001:0db8:c42:9:1:abcd:192.0.2.127" }, "f.7.2.0.0.0.0.c.d.c.b.a.1.0.0.0.9.0.0.0.2.4.c.0.8.b.d.0.1.0.0.2" },
	{ "reverse_ip", { "::1" }, "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0" },
	{ "reverse_ip", { "::ffff:1.2.3.4" }, "4.3.2.1" },
	{ "reverse_ip", { "[::1]" }, "!reverse_ip() not given an IP address [[::1]]" },
	{ "reverse_ip", { "x" }, "!reverse_ip() not given an IP address [x]" },
	{ "reverse_ip", { "" }, "!reverse_ip() not given an IP address []" },
	{ "reverse_ip", { "1.2.3" }, "!reverse_ip() not given an IP address [1.2.3]" },
	{ "reverse_ip", { " 1.2.3.4" }, "!reverse_ip() not given an IP address [ 1.2.3.4]" },
	{ "reverse_ip", { "1.2.3.256" }, "!reverse_ip() not given an IP address [1.2.3.256]" },
	{ "reverse_ip", { "1.2.3.4/24" }, "!reverse_ip() not given an IP address [1.2.3.4/24]" }, /* not as Exim */
	{ "ipv6denorm", { "::1" }, "0000:0000:0000:0000:0000:0000:0000:0001" },
	{ "ipv6denorm", { "1.2.3.4" }, "0000:0000:0000:0000:0000:ffff:0102:0304" },
	{ "ipv6denorm", { "2001:db8::192.0.2.1" }, "2001:0db8:0000:0000:0000:0000:c000:0201" },
	{ "ipv6denorm", { "x" }, "!\"x\" is not an IP address" },
	{ "ipv6denorm", { "" }, "!\"\" is not an IP address" },
	{ "ipv6norm", { "2001:0db8:0:0:1:0:0:1" }, "2001:db8::1:0:0:1" },
	{ "ipv6norm", { "1.2.3.4" }, "::ffff:102:304" },
	{ "ipv6norm", { "0:0:0:0:0:0:0:0" }, "::" }, /* not as Exim */
	{ "ipv6norm", { "2001:db8:0:1:1:1:1:1" }, "2001:db8::1:1:1:1:1" },
	{ "ipv6norm", { "FE80:0:0:0:0:0:0:1" }, "fe80::1" },
	{ "ipv6norm", { "::ffff:1.2.3.4" }, "::ffff:102:304" },
	{ "ipv6norm", { "1:0:0:2:0:0:0:3" }, "1:0:0:2::3" },
	{ "ipv6norm", { "1:2:3:4:5:6:0:0" }, "1:2:3:4:5:6::" },
	{ "ipv6norm", { "1:2:3:4:5:6:7:0" }, "1:2:3:4:5:6:7::" },
	{ "ipv6norm", { "x" }, "!\"x\" is not an IP address" },
};

static const struct example unicode[] = {
	{ "from_utf8", { "abc\303\251" }, "abc\351" },
	{ "from_utf8", { "\346\227\245\346\234\254" }, "__" },
	{ "from_utf8", { "" }, "" },
	{ "from_utf8", { "a\377" }, "a_" },
	{ "utf8clean", { "abc\303\251" }, "abc\303\251" },
	{ "utf8clean", { "a\377b" }, "a?b" },
	{ "utf8clean", { "a\303" }, "a?" },
	{ "utf8clean", { "\342\202" }, "?" },
	{ "utf8clean", { "\355\240\200" }, "?" },
	{ "utf8clean", { "\364\220\200\200" }, "?" },
	{ "utf8clean", { "\300\200x" }, "?\?x" },
	{ "utf8clean", { "\342(\241" }, "?(?" },
	{ "utf8clean", { "\360\237\230\200" }, "\360\237\230\200" },
	{ "utf8clean", { "\355\357" }, "?\?" }, /* not as Exim */
	{ "utf8_domain_to_alabel", { "m\303\274nchen.example" }, "xn--mnchen-3ya.example" },
	{ "utf8_domain_to_alabel", { "example.com" }, "example.com" },
	{ "utf8_domain_to_alabel", { "M\303\234NCHEN.Example" }, "xn--mnchen-3ya.example" },
	{ "utf8_domain_to_alabel", { "fa\303\237.de" }, "xn--fa-hia.de" },
	{ "utf8_domain_to_alabel", { "-x.de" }, "-x.de" },
	{ "utf8_domain_to_alabel", { "a b.de" }, "a b.de" },
	{ "utf8_domain_to_alabel", { "\377.de" }, "!error converting utf8 (\377.de) to alabel: string encoding error" },
	{ "utf8_domain_to_alabel", { "" }, "" },
	{ "utf8_domain_to_alabel", { "xn--zzz.de" }, "xn--zzz.de" },
	{ "utf8_domain_to_alabel", { "\342\230\203.net" }, "!error converting utf8 (\342\230\203.net) to alabel: string contains a disallowed character" },
	{ "utf8_domain_from_alabel", { "xn--mnchen-3ya.example" }, "m\303\274nchen.example" },
	{ "utf8_domain_from_alabel", { "example.com" }, "example.com" },
	{ "utf8_domain_from_alabel", { "xn--zzz.de" }, "\347\256\245.de" },
	{ "utf8_domain_from_alabel", { "m\303\274nchen.de" }, "m\303\274nchen.de" },
	{ "utf8_domain_from_alabel", { "" }, "" }, /* not as Exim */
	{ "utf8_domain_from_alabel", { "xn--" }, "!error converting alabel (xn--) to utf8: string contains invalid punycode data" }, /* not as Exim */
	{ "utf8_domain_from_alabel", { "xn--a-" }, "!error converting alabel (xn--a-) to utf8: string contains invalid punycode data" }, /* not as Exim */
	{ "utf8_localpart_to_alabel", { "user" }, "user" },
	{ "utf8_localpart_to_alabel", { "j\303\266rg" }, "xn--jrg-sna" },
	{ "utf8_localpart_to_alabel", { "J\303\266rg.X" }, "xn--Jrg.X-jua" },
	{ "utf8_localpart_to_alabel", { "\343\203\225\343\202\243\343\203\253" }, "xn--dck5evc" },
	{ "utf8_localpart_to_alabel", { "\377" }, "!error converting utf8 (\377) to alabel: bad UTF-8 input" },
	{ "utf8_localpart_to_alabel", { "" }, "" },
	{ "utf8_localpart_to_alabel", { "xn--user" }, "xn--user" },
	{ "utf8_localpart_from_alabel", { "xn--jrg-sna" }, "j\303\266rg" },
	{ "utf8_localpart_from_alabel", { "user" }, "!error converting alabel (user) to utf8: bad alabel prefix" },
	{ "utf8_localpart_from_alabel", { "xn--" }, "" },
	{ "utf8_localpart_from_alabel", { "xn--jrg-fka" }, "jrg\303\230" },
	{ "utf8_localpart_from_alabel", { "xn--\303\274" }, "!error converting alabel (xn--\303\274) to utf8: Invalid input" },
	{ "utf8_localpart_from_alabel", { "xn---" }, "!error converting alabel (xn---) to utf8: Invalid input" },
	{ "$imapfolder", { "INBOX" }, "INBOX" },
	{ "$imapfolder", { "F\303\266\303\266/bar" }, "F&APYA9g-.bar" },
	{ "$imapfolder", { "\346\227\245\346\234\254\350\252\236" }, "&ZeVnLIqe-" },
	{ "$imapfolder", { "Sent Items/x" }, "Sent Items.x" },
	{ "$imapfolder", { "a&b" }, "a&-b" },
	{ "$imapfolder", { "a/b", "/" }, "a.b" },
	{ "$imapfolder", { "a:b", ":" }, "a.b" },
	{ "$imapfolder", { "a/b_c", "/", "_" }, "a.b&AF8-c" },
	{ "$imapfolder", { "a b~c\td" }, "a b~c&AAk-d" },
	{ "$imapfolder", { "\360\237\230\200" }, "&2D3eAA-" },
	{ "$imapfolder", { "a\303\251\346\227\245b" }, "a&AOll5Q-b" },
	{ "$imapfolder", { "a\\b" }, "a\\b" },
	{ "$imapfolder", { "" }, "" },
	{ "$imapfolder", { "/" }, "" }, /* not as Exim */
	{ "$imapfolder", { "//a//b/" }, "a.b" }, /* not as Exim */
	{ "$imapfolder", { "a.b" }, "!imapfolder: illegal character '.'" },
	{ "$imapfolder", { "a/b", "." }, "!imapfolder: illegal character '/'" },
	{ "$imapfolder", { "a", "//" }, "!IMAP folder separator must be one character, found \"//\"" },
	{ "$imapfolder", { "a", "" }, "!IMAP folder separator must be one character, found \"\"" },
	{ "$imapfolder", { "\377" }, "!imapfolder: the folder's name is not UTF-8" },
};

struct fixture {
	struct arena arena;
	struct expand_language language;
	struct expand_context context;
};

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	arena_init(&fixture->arena, 0);
	fixture->language.charsets = charset_open_all(SLICE("UTF-8"));
	fixture->context.language = &fixture->language;
	*state = fixture;
	return fixture->language.charsets ? 0 : -1;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;
	charset_close_all(&fixture->language.charsets);
	arena_free(&fixture->arena);
	free(fixture);
	return 0;
}

/* As the evaluator calls: modifiers split at underscores, the result tainted when an argument is. */
static enum expand_result call_row(struct fixture *fixture, const struct example *example, bool tainted, struct expand_call *call,
				   struct error *error)
{
	bool item = example->name[0] == '$';
	struct slice name = slice_of(example->name + item);
	const struct expand_function_info *row = item ? expand_item_find(name) : expand_operator_find(name);
	assert_non_null(row);
	assert_non_null(row->call);
	*call = (struct expand_call){ .context = &fixture->context, .arena = &fixture->arena, .name = row->name, .error = error };
	call->out.tainted = tainted;
	struct slice rest = slice_from(name, strlen(row->name));
	while (!item && rest.len > 0 && call->modifier_count < 3) {
		rest = slice_from(rest, 1);
		size_t length = slice_find(rest, '_');
		call->modifiers[call->modifier_count++] = slice_first(rest, length);
		rest = slice_from(rest, length);
	}
	for (size_t i = 0; i < 4 && example->arguments[i]; i++) {
		call->arguments[i] = (struct expand_value){ slice_of(example->arguments[i]), tainted };
		call->argument_count++;
	}
	return row->call(call);
}

static void check(struct fixture *fixture, const struct example *examples, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct expand_call call;
		struct error error = { 0 };
		enum expand_result result = call_row(fixture, &examples[i], true, &call, &error);
		bool fails = examples[i].result[0] == '!';
		struct slice got = result == EXPAND_OK ? call.out.text : slice_of(error.text);
		struct slice want = slice_of(examples[i].result + fails);
		if ((result == EXPAND_OK) == fails || !slice_equal(got, want))
			fail_msg("%s of \"%s\" gives \"%.*s\", not \"%s\"", examples[i].name, examples[i].arguments[0],
				 SLICE_ARG(got), examples[i].result);
	}
}

#define CHECK(table) check(*state, table, sizeof(table) / sizeof((table)[0]))

static void texts_are_escaped_and_quoted(void **state) { CHECK(texts); }
static void parts_and_textual_digests(void **state) { CHECK(parts); }
static void numbers_in_other_bases_and_intervals(void **state) { CHECK(numbers); }
static void arithmetic_as_documented(void **state) { CHECK(arithmetic); }
static void encodings_of_mail(void **state) { CHECK(encodings); }
static void digests_and_signatures(void **state) { CHECK(digests); }
static void addresses_of_header_fields(void **state) { CHECK(addresses); }
static void addresses_and_networks(void **state) { CHECK(networks); }
static void forms_of_unicode(void **state) { CHECK(unicode); }

static const struct example long_lines[] = {
	{ "headerwrap", { "short" }, "short" },
	{ "headerwrap", { "" }, "" },
	{ "headerwrap_20", { "one two three four five six" }, "one two three four\n\tfive six" },
	{ "$headerwrap", { "20", "one two three four five six" }, "one two three four\n\tfive six" },
	{ "headerwrap_20_12", { "one two three four five six" }, "one two thre" },
	{ "headerwrap_20", { "one\r\n two\nthree" }, "one   two three" },
	{ "headerwrap_10", { "aaaaaaaaaaaaaaaaaaaaaaaaa bb" }, "aaaaaaaaaaaaaaaaaaaaaaaaa\n\tbb" },
	{ "headerwrap_5", { "one two" }, "!the columns of headerwrap must be from 10 to 998" },
	{ "headerwrap_x", { "one two" }, "!\"x\" is not a positive number (in \"headerwrap\" expansion)" },
};

static void long_lines_are_folded(void **state) { CHECK(long_lines); }

/* What a peer cannot choose comes out clean: numbers and digests; what he can, does not. */
static void taint_is_kept_where_text_passes(void **state)
{
	static const struct {
		struct example example;
		bool tainted;
	} cases[] = {
		{ { "md5", { "a" }, NULL }, false },	 { { "sha256", { "a" }, NULL }, false },
		{ { "strlen", { "a" }, NULL }, false },	 { { "eval", { "1+1" }, NULL }, false },
		{ { "$nhash", { "8", "a" }, NULL }, false }, { { "$hmac", { "md5", "k", "a" }, NULL }, false },
		{ { "time_eval", { "1h" }, NULL }, false }, { { "lc", { "a" }, NULL }, true },
		{ { "base64", { "a" }, NULL }, true },	 { { "hex2b64", { "61" }, NULL }, true },
		{ { "$hash", { "2", "abc" }, NULL }, true }, { { "quote", { "a" }, NULL }, true },
		{ { "quote_pgsql", { "a" }, NULL }, true }, { { "address", { "a@b" }, NULL }, true },
		{ { "rxquote", { "a" }, NULL }, true },	 { { "$substr", { "0", "a" }, NULL }, true },
		{ { "$prvs", { "a@b", "s" }, NULL }, true },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct expand_call call;
		struct error error;
		assert_int_equal(call_row(*state, &cases[i].example, true, &call, &error), EXPAND_OK);
		assert_int_equal(call.out.tainted, cases[i].tainted);
		assert_int_equal(call_row(*state, &cases[i].example, false, &call, &error), EXPAND_OK);
		assert_false(call.out.tainted);
	}
}

static void random_numbers_stay_below_the_limit(void **state)
{
	struct example example = { "randint", { "3" }, NULL };
	unsigned seen = 0;
	for (int i = 0; i < 200; i++) {
		struct expand_call call;
		struct error error;
		uint64_t number;
		assert_int_equal(call_row(*state, &example, true, &call, &error), EXPAND_OK);
		assert_true(slice_parse_u64(call.out.text, 2, &number));
		seen |= 1u << number;
	}
	assert_int_equal(seen, 7);
}

/* Without a set of converters, encoding is taken away, and the bytes stay as they are. */
static void no_character_sets_is_no_conversion(void **state)
{
	struct fixture *fixture = *state;
	struct charset_set *saved = fixture->language.charsets;
	struct example example = { "rfc2047d", { "=?iso-8859-1?q?caf=E9?=" }, "caf\351" };
	fixture->language.charsets = NULL;
	check(fixture, &example, 1);
	fixture->language.charsets = saved;
}

static void an_error_is_one_line(void **state)
{
	struct example example = { "base64d", { "a\nb\033[1m" }, "!string \"a?b?[1m\" is not well-formed for \"base64d\" operator" };
	check(*state, &example, 1);
}

static void a_local_part_too_long_for_punycode(void **state)
{
	struct fixture *fixture = *state;
	char text[1001] = "";
	for (size_t i = 0; i < 1000; i += 2)
		memcpy(text + i, "\303\266", 2);
	struct example example = { "utf8_localpart_to_alabel", { text }, "!" };
	struct expand_call call;
	struct error error;
	assert_int_equal(call_row(fixture, &example, true, &call, &error), EXPAND_FAIL);
	assert_non_null(strstr(error.text, "it is too long"));
}

/* Rows: names in order, the manual's parts there, and each found by its name and with modifiers. */
static void rows_are_complete(const struct expand_function_info *rows, size_t count,
			      const struct expand_function_info *(*find)(struct slice name))
{
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			assert_true(strcmp(rows[i - 1].name, rows[i].name) < 0);
		assert_ptr_equal(find(slice_of(rows[i].name)), &rows[i]);
		assert_non_null(rows[i].syntax);
		assert_non_null(rows[i].help);
		assert_true(strstr(rows[i].syntax, rows[i].name) != NULL);
		assert_true(rows[i].refused || rows[i].example);
		assert_true(rows[i].least <= rows[i].most && rows[i].most <= EXPAND_ARGUMENTS_MAX);
		assert_false(rows[i].refused && rows[i].call);
		if (rows[i].today)
			assert_non_null(find(slice_of(rows[i].today)));
	}
}

static void the_tables_are_complete(void **state)
{
	size_t count;
	(void)state;
	const struct expand_function_info *rows = expand_operators(&count);
	rows_are_complete(rows, count, expand_operator_find);
	rows = expand_items(&count);
	rows_are_complete(rows, count, expand_item_find);
	assert_ptr_equal(expand_operator_find(SLICE("substr_1_2")), expand_operator_find(SLICE("substr")));
	assert_ptr_equal(expand_operator_find(SLICE("quote_pgsql")), expand_operator_find(SLICE("quote")));
	assert_string_equal(expand_operator_find(SLICE("quote_local_part"))->name, "quote_local_part");
	assert_null(expand_operator_find(SLICE("lc_1")));
	assert_null(expand_operator_find(SLICE("LC")));
	assert_null(expand_operator_find(SLICE("")));
	assert_null(expand_item_find(SLICE("extracts")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_are_escaped_and_quoted),
		cmocka_unit_test(parts_and_textual_digests),
		cmocka_unit_test(numbers_in_other_bases_and_intervals),
		cmocka_unit_test(arithmetic_as_documented),
		cmocka_unit_test(encodings_of_mail),
		cmocka_unit_test(digests_and_signatures),
		cmocka_unit_test(addresses_of_header_fields),
		cmocka_unit_test(addresses_and_networks),
		cmocka_unit_test(forms_of_unicode),
		cmocka_unit_test(long_lines_are_folded),
		cmocka_unit_test(taint_is_kept_where_text_passes),
		cmocka_unit_test(random_numbers_stay_below_the_limit),
		cmocka_unit_test(no_character_sets_is_no_conversion),
		cmocka_unit_test(an_error_is_one_line),
		cmocka_unit_test(a_local_part_too_long_for_punycode),
		cmocka_unit_test(the_tables_are_complete),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}

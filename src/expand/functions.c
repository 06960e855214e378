/* SPDX-License-Identifier: ISC */
/*
 * The table of operators and how it is searched. Rows whose `call` is NULL are the evaluator's: they need more than texts. The table
 * of items is in items_table.c. Names are sorted, so that the manual is.
 */
#include "expand/functions.h"

#include <string.h>

static const struct expand_function_info operators[] = {
	{ .name = "address", .call = operator_address, .syntax = "${address:TEXT}",
	  .help = "The working address in a header's text: names, comments and angle brackets are taken away. Empty when it is no address.",
	  .example = "${address:Jane Doe <jane@example.org> (home)}", .result = "jane@example.org" },
	{ .name = "addresses", .call = operator_addresses, .syntax = "${addresses:TEXT}",
	  .help = "The working addresses of a header's text as a list, separated by colons or by the character after a leading \">\". "
		  "What is no address is left out; separators in addresses are doubled.",
	  .example = "${addresses:>& Jane <jane@example.org>, sec@example.net (desk)}", .result = "jane@example.org&sec@example.net" },
	{ .name = "base32", .call = operator_base32, .syntax = "${base32:NUMBER}",
	  .help = "A decimal number in base 32, in lower-case letters and the digits 2 to 7. Zero gives nothing.",
	  .example = "${base32:12345678901}", .result = "lp5yhbv" },
	{ .name = "base32d", .call = operator_base32d, .syntax = "${base32d:DIGITS}",
	  .help = "A number in base 32, as base32 writes it, in decimal.",
	  .example = "${base32d:lp5yhbv}", .result = "12345678901" },
	{ .name = "base62", .call = operator_base62, .syntax = "${base62:NUMBER}",
	  .help = "A decimal number in base 62, with zeros in front up to six characters, as in message identifiers.",
	  .example = "${base62:3843}", .result = "0000zz" },
	{ .name = "base62d", .call = operator_base62d, .syntax = "${base62d:DIGITS}",
	  .help = "A number in base 62 in decimal.",
	  .example = "${base62d:0000zz}", .result = "3843" },
	{ .name = "base64", .call = operator_base64, .of_certificate = true, .syntax = "${base64:TEXT}",
	  .help = "The text in base64, on one line.",
	  .example = "${base64:postern}", .result = "cG9zdGVybg==" },
	{ .name = "base64d", .call = operator_base64d, .syntax = "${base64d:TEXT}",
	  .help = "What a text in base64 stands for. White space in it is skipped; padding must be there.",
	  .example = "${base64d:cG9zdGVybg==}", .result = "postern" },
	{ .name = "bless", .syntax = "${bless:TEXT}",
	  .refused = "a text is not made trustworthy by saying so: look it up, and use what the lookup returns",
	  .help = "Refused. In Exim it exists for its own tests alone, to take the taint away from a text." },
	{ .name = "domain", .call = operator_domain, .syntax = "${domain:TEXT}",
	  .help = "The domain of the address in a header's text; empty when there is none.",
	  .example = "${domain:Jane <jane@Example.org>}", .result = "Example.org" },
	{ .name = "escape", .call = operator_escape, .syntax = "${escape:TEXT}",
	  .help = "Characters that do not print, and bytes above 126, as escapes that begin with a backslash. A tab stays.",
	  .example = "${escape:a\\x07b\\nc}", .result = "a\\007b\\nc" },
	{ .name = "escape8bit", .call = operator_escape8bit, .syntax = "${escape8bit:TEXT}",
	  .help = "Bytes above 126 and backslashes as octal escapes.",
	  .example = "${escape8bit:caf\\xe9}", .result = "caf\\351" },
	{ .name = "eval", .call = operator_eval, .syntax = "${eval:EXPRESSION}",
	  .help = "Integer arithmetic with + - * / % & ^ | << >> ~ and parentheses, with C's priorities, in 64 bits. Numbers may be octal "
		  "(0...) or hexadecimal (0x...), and end in K, M or G. A result that does not fit is an error.",
	  .example = "${eval:(0x10+2K)*2}", .result = "4128" },
	{ .name = "eval10", .call = operator_eval10, .syntax = "${eval10:EXPRESSION}",
	  .help = "Like eval, but all numbers are decimal, whatever zeros stand in front: for parts of dates and times.",
	  .example = "${eval10:08+1}", .result = "9" },
	{ .name = "expand", .syntax = "${expand:TEXT}",
	  .help = "Expands the text a second time. Fails when a peer had a hand in it.",
	  .example = "${expand:\\${lc:ABC\\}}", .result = "abc" },
	{ .name = "from_utf8", .call = operator_from_utf8, .syntax = "${from_utf8:TEXT}",
	  .help = "UTF-8 as ISO-8859-1; characters that this has not become underscores.",
	  .example = "${escape:${from_utf8:caf\\xc3\\xa9 \\xe2\\x82\\xac}}", .result = "caf\\351 _" },
	{ .name = "h", .today = "hash", .call = function_hash, .least = 1, .most = 2, .split = true, .syntax = "${h_N_M:TEXT}",
	  .help = "The same as hash.", .example = "${h_3:monty}", .result = "jmg" },
	{ .name = "hash", .call = function_hash, .least = 1, .most = 2, .split = true, .syntax = "${hash_N_M:TEXT}",
	  .help = "N characters that depend on all of the text, from the first M of the small letters, capital letters and digits (26 without M). "
		  "A text no longer than N stays as it is. No cryptography.",
	  .example = "${hash_4_62:monty python}", .result = "fbWx" },
	{ .name = "headerwrap", .call = function_headerwrap, .most = 2, .split = true, .syntax = "${headerwrap_COLUMNS_LIMIT:TEXT}",
	  .help = "Folds a text at white space for a header field, at COLUMNS (80 without it); each further line begins with a tab. What is "
		  "beyond LIMIT bytes (998) is cut off.",
	  .example = "${headerwrap_20:one two three four five six}", .result = "one two three four\n\tfive six" },
	{ .name = "hex2b64", .call = operator_hex2b64, .syntax = "${hex2b64:DIGITS}",
	  .help = "Bytes written in hexadecimal digits, as digests are, in base64.",
	  .example = "${hex2b64:${md5:abc}}", .result = "kAFQmDzST7DWlj99KOF/cg==" },
	{ .name = "hexquote", .call = operator_hexquote, .syntax = "${hexquote:TEXT}",
	  .help = "Bytes other than the printing characters of ASCII, and spaces, as \\xNN.",
	  .example = "${hexquote:a b}", .result = "a\\x20b" },
	{ .name = "ipv6denorm", .call = operator_ipv6denorm, .syntax = "${ipv6denorm:ADDRESS}",
	  .help = "An IPv6 address in full: eight groups of four digits. An IPv4 address becomes an IPv4-mapped one.",
	  .example = "${ipv6denorm:2001:db8::1}", .result = "2001:0db8:0000:0000:0000:0000:0000:0001" },
	{ .name = "ipv6norm", .call = operator_ipv6norm, .syntax = "${ipv6norm:ADDRESS}",
	  .help = "An IPv6 address in its short form, small letters, the longest run of zeros as \"::\". An IPv4 address becomes an IPv4-mapped one.",
	  .example = "${ipv6norm:2001:0DB8:0:0:0:0:0:1}", .result = "2001:db8::1" },
	{ .name = "l", .today = "length", .call = function_length, .least = 1, .most = 1, .split = true, .syntax = "${l_N:TEXT}",
	  .help = "The same as length.", .example = "${l_3:postern}", .result = "pos" },
	{ .name = "lc", .call = operator_lc, .syntax = "${lc:TEXT}",
	  .help = "The text with capital letters made small; only those of ASCII.",
	  .example = "${lc:Jane@EXAMPLE.org}", .result = "jane@example.org" },
	{ .name = "length", .call = function_length, .least = 1, .most = 1, .split = true, .syntax = "${length_N:TEXT}",
	  .help = "The first N bytes of the text.", .example = "${length_3:postern}", .result = "pos" },
	{ .name = "listcount", .syntax = "${listcount:LIST}",
	  .help = "The number of items of a list, or of a named list when the text is \"+\" and its name.",
	  .example = "${listcount:a:b::c:d}", .result = "3" },
	{ .name = "listnamed", .most = 1, .split = true, .syntax = "${listnamed_TYPE:NAME}",
	  .help = "The text of a named list, with the lists that it refers to put in. The type is a, d, h or l, for lists of addresses, "
		  "domains, hosts or local parts; without it, all are looked through.",
	  .example = "${listnamed_d:local_domains}" },
	{ .name = "local_part", .call = operator_local_part, .syntax = "${local_part:TEXT}",
	  .help = "The local part of the address in a header's text; empty when it is no address.",
	  .example = "${local_part:Jane <jane@example.org>}", .result = "jane" },
	{ .name = "mask", .call = operator_mask, .most = 1, .split = true, .syntax = "${mask:ADDRESS/BITS}, ${mask_n:ADDRESS/BITS}",
	  .help = "The network of that many bits to which an address belongs. IPv6 comes with dots between all groups, for the keys of lsearch "
		  "files; with mask_n, in its short form.",
	  .example = "${mask_n:2001:db8:1:2::3/48}", .result = "2001:db8:1::/48" },
	{ .name = "md5", .call = operator_md5, .of_certificate = true, .syntax = "${md5:TEXT}",
	  .help = "The MD5 digest of the text, in small hexadecimal digits; of a certificate in a variable, in capitals.",
	  .example = "${md5:abc}", .result = "900150983cd24fb0d6963f7d28e17f72" },
	{ .name = "nh", .today = "nhash", .call = function_nhash, .least = 1, .most = 2, .split = true, .syntax = "${nh_N_M:TEXT}",
	  .help = "The same as nhash.", .example = "${nh_8:abc}", .result = "4" },
	{ .name = "nhash", .call = function_nhash, .least = 1, .most = 2, .split = true, .syntax = "${nhash_N_M:TEXT}",
	  .help = "A number below N that depends on all of the text; with M, two numbers, below N and below M, with a slash between them. "
		  "For directories, no cryptography.",
	  .example = "${nhash_8_64:supercalifragilisticexpialidocious}", .result = "6/33" },
	{ .name = "quote", .call = operator_quote, .most = 1, .split = true, .syntax = "${quote:TEXT}, ${quote_LOOKUP:TEXT}",
	  .help = "Puts a text into double quotes unless it is made of letters, digits, \"_\", \".\" and \"-\" alone. With the name of a lookup "
		  "type, quotes by the rules of that type's queries.",
	  .example = "${quote:ab\"*\"cd}", .result = "\"ab\\\"*\\\"cd\"" },
	{ .name = "quote_local_part", .call = operator_quote_local_part, .syntax = "${quote_local_part:TEXT}",
	  .help = "Puts a text into double quotes where a local part with its characters needs them.",
	  .example = "${quote_local_part:jane doe}@example.org", .result = "\"jane doe\"@example.org" },
	{ .name = "randint", .call = operator_randint, .syntax = "${randint:N}",
	  .help = "A number by chance, from 0 to N-1.", .example = "${randint:100}" },
	{ .name = "reverse_ip", .call = operator_reverse_ip, .syntax = "${reverse_ip:ADDRESS}",
	  .help = "An address in the order of DNS names: the bytes of IPv4, the single digits of IPv6, last ones first.",
	  .example = "${reverse_ip:192.0.2.4}", .result = "4.2.0.192" },
	{ .name = "rfc2047", .call = operator_rfc2047, .syntax = "${rfc2047:TEXT}",
	  .help = "Encodes a text for a header field as RFC 2047 defines it; left alone when it has no need.",
	  .example = "${rfc2047:caf\\xc3\\xa9}", .result = "=?UTF-8?Q?caf=C3=A9?=" },
	{ .name = "rfc2047d", .call = operator_rfc2047d, .syntax = "${rfc2047d:TEXT}",
	  .help = "Decodes the encoded words of a header field into headers_charset. $h_NAME: does so by itself.",
	  .example = "${rfc2047d:=?utf-8?q?a_b?=}", .result = "a b" },
	{ .name = "rxquote", .call = operator_rxquote, .syntax = "${rxquote:TEXT}",
	  .help = "Puts a backslash before all that is no letter or digit, so that a regular expression takes the text as it is.",
	  .example = "${rxquote:a.b}", .result = "a\\.b" },
	{ .name = "s", .today = "substr", .call = function_substr, .least = 1, .most = 2, .split = true, .syntax = "${s_START_LENGTH:TEXT}",
	  .help = "The same as substr.", .example = "${s_1_2:abcde}", .result = "bc" },
	{ .name = "sha1", .call = operator_sha1, .of_certificate = true, .syntax = "${sha1:TEXT}",
	  .help = "The SHA-1 digest of the text, in capital hexadecimal digits.",
	  .example = "${sha1:abc}", .result = "A9993E364706816ABA3E25717850C26C9CD0D89D" },
	{ .name = "sha2", .call = operator_sha2, .most = 1, .split = true, .of_certificate = true, .syntax = "${sha2:TEXT}, ${sha2_BITS:TEXT}",
	  .help = "A digest of the SHA-2 family, of 256, 384 or 512 bits (256 without it), in capital hexadecimal digits.",
	  .example = "${length_16:${sha2_512:abc}}", .result = "DDAF35A193617ABA" },
	{ .name = "sha256", .call = operator_sha2, .of_certificate = true, .syntax = "${sha256:TEXT}",
	  .help = "The SHA-256 digest of the text, in capital hexadecimal digits.",
	  .example = "${sha256:abc}", .result = "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD" },
	{ .name = "sha3", .call = operator_sha3, .most = 1, .split = true, .of_certificate = true, .syntax = "${sha3:TEXT}, ${sha3_BITS:TEXT}",
	  .help = "A digest of the SHA-3 family, of 224, 256, 384 or 512 bits (256 without it), in capital hexadecimal digits.",
	  .example = "${sha3_224:abc}", .result = "E642824C3F8CF24AD09234EE7D3C766FC9A3A5168D0C94AD73B46FDF" },
	{ .name = "stat", .syntax = "${stat:PATH}",
	  .help = "What the system knows of a file: mode=, smode=, inode=, device=, links=, uid=, gid=, size=, atime=, mtime= and ctime= with their "
		  "values. Fails when there is no such file.",
	  .example = "${extract{uid}{${stat:/dev/null}}}", .result = "0" },
	{ .name = "str2b64", .today = "base64", .call = operator_base64, .of_certificate = true, .syntax = "${str2b64:TEXT}",
	  .help = "The same as base64.", .example = "${str2b64:postern}", .result = "cG9zdGVybg==" },
	{ .name = "strlen", .call = operator_strlen, .syntax = "${strlen:TEXT}",
	  .help = "The number of bytes of the text.", .example = "${strlen:postern}", .result = "7" },
	{ .name = "substr", .call = function_substr, .least = 1, .most = 2, .split = true, .syntax = "${substr_START_LENGTH:TEXT}",
	  .help = "LENGTH bytes from START on, which counts from 0, or from the end when negative. Without LENGTH, all from START on, or all "
		  "before a negative START.",
	  .example = "${substr_-5_2:1234567}", .result = "34" },
	{ .name = "time_eval", .call = operator_time_eval, .syntax = "${time_eval:INTERVAL}",
	  .help = "An interval such as 2d4h5m in seconds.", .example = "${time_eval:2d4h5m}", .result = "187500" },
	{ .name = "time_interval", .call = operator_time_interval, .syntax = "${time_interval:SECONDS}",
	  .help = "Seconds as an interval in weeks, days, hours, minutes and seconds.",
	  .example = "${time_interval:187500}", .result = "2d4h5m" },
	{ .name = "uc", .call = operator_uc, .syntax = "${uc:TEXT}",
	  .help = "The text with small letters made capital; only those of ASCII.",
	  .example = "${uc:postern}", .result = "POSTERN" },
	{ .name = "utf8_domain_from_alabel", .call = operator_domain_from_alabel, .syntax = "${utf8_domain_from_alabel:DOMAIN}",
	  .help = "A domain's labels that begin with \"xn--\" in UTF-8.",
	  .example = "${escape:${utf8_domain_from_alabel:xn--mnchen-3ya.example}}", .result = "m\\303\\274nchen.example" },
	{ .name = "utf8_domain_to_alabel", .call = operator_domain_to_alabel, .syntax = "${utf8_domain_to_alabel:DOMAIN}",
	  .help = "A domain in UTF-8 as the DNS has it (IDNA 2008). Fails for characters that no domain may have.",
	  .example = "${utf8_domain_to_alabel:m\\xc3\\xbcnchen.example}", .result = "xn--mnchen-3ya.example" },
	{ .name = "utf8_localpart_from_alabel", .call = operator_localpart_from_alabel, .syntax = "${utf8_localpart_from_alabel:LOCAL}",
	  .help = "The local part that utf8_localpart_to_alabel made \"xn--...\" of.",
	  .example = "${escape:${utf8_localpart_from_alabel:xn--jrg-sna}}", .result = "j\\303\\266rg" },
	{ .name = "utf8_localpart_to_alabel", .call = operator_localpart_to_alabel, .syntax = "${utf8_localpart_to_alabel:LOCAL}",
	  .help = "A local part in UTF-8 written in ASCII, like a label of a domain; left alone when it is ASCII.",
	  .example = "${utf8_localpart_to_alabel:j\\xc3\\xb6rg}", .result = "xn--jrg-sna" },
	{ .name = "utf8clean", .call = operator_utf8clean, .syntax = "${utf8clean:TEXT}",
	  .help = "The text with \"?\" instead of all that is not UTF-8.",
	  .example = "${utf8clean:a\\xffb}", .result = "a?b" },
};

enum { OPERATORS = sizeof(operators) / sizeof(operators[0]) };

const struct expand_function_info *expand_operators(size_t *count_r)
{
	*count_r = OPERATORS;
	return operators;
}

static const struct expand_function_info *find(const struct expand_function_info *rows, size_t count, struct slice name)
{
	for (size_t i = 0; i < count; i++)
		if (slice_equal(name, slice_of(rows[i].name)))
			return &rows[i];
	return NULL;
}

/* "length_3" is found as "length": modifiers follow the first underscore of names that take any. */
const struct expand_function_info *expand_operator_find(struct slice name)
{
	const struct expand_function_info *row = find(operators, OPERATORS, name);
	size_t underscore = slice_find(name, '_');
	if (row || underscore == name.len)
		return row;
	row = find(operators, OPERATORS, slice_first(name, underscore));
	return row && row->split ? row : NULL;
}

const struct expand_function_info *expand_item_find(struct slice name)
{
	size_t count;
	const struct expand_function_info *rows = expand_items(&count);
	return find(rows, count, name);
}

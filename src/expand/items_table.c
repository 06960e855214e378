/* SPDX-License-Identifier: ISC */
/*
 * The table of items: ${name{...}{...}}. Rows whose `call` is NULL are the evaluator's: their arguments are conditions, are expanded
 * many times, or need the world. For those `least` and `most` count the texts in braces, yes and no branches included.
 */
#include "expand/functions.h"

#define BRANCHES " YES replaces the item when it is found ($value holds it), NO otherwise; \"fail\" instead of NO is a forced failure."

static const struct expand_function_info items[] = {
	{ .name = "acl", .least = 1, .most = 10, .syntax = "${acl{NAME}{ARGUMENT}...}",
	  .help = "Runs an ACL, with up to nine arguments in $acl_arg1 and so on and their number in $acl_narg. The result is the text of its "
		  "message modifier; denial fails, deferral is a forced failure.",
	  .example = "${acl{acl_check_quota}{$local_part}}" },
	{ .name = "authresults", .least = 1, .most = 1, .syntax = "${authresults{NAME}}",
	  .refused = "this server does not check SPF, DKIM or DMARC yet: there are no results to show",
	  .help = "Refused until there are checks whose results an Authentication-Results: field could show." },
	{ .name = "certextract", .least = 2, .most = 4, .syntax = "${certextract{FIELD}{CERTIFICATE}{YES}{NO}}",
	  .help = "A field of the certificate in a variable: version, serial_number, subject, issuer, notbefore, notafter, sig_algorithm, signature, "
		  "subj_altname, ocsp_uri, crl_uri, with modifiers after commas: the label of a part of a name (CN), int or raw for a time, dns, mail or uri for "
		  "alternative names, and >: for the separator of a list." BRANCHES,
	  .example = "${certextract{subject,CN}{$tls_in_peercert}}" },
	{ .name = "dlfunc", .least = 2, .most = 10, .syntax = "${dlfunc{FILE}{FUNCTION}{ARGUMENT}...}",
	  .refused = "code from outside is not loaded into a process that handles mail: use ${run} or ${readsocket}",
	  .help = "Refused. In Exim it calls a function of a shared library." },
	{ .name = "env", .least = 1, .most = 3, .syntax = "${env{NAME}{YES}{NO}}",
	  .help = "A variable of the environment, as far as keep_environment and add_environment let it in." BRANCHES,
	  .example = "${env{NO_SUCH_VARIABLE}{$value}{none}}", .result = "none" },
	{ .name = "extract", .least = 2, .most = 5,
	  .syntax = "${extract{KEY}{TEXT}{YES}{NO}}, ${extract{NUMBER}{SEPARATORS}{TEXT}{YES}{NO}}, ${extract json{KEY}{JSON}{YES}{NO}}, ${extract jsons{KEY}{JSON}{YES}{NO}}",
	  .help = "A field of a text: by name from \"name=value name=value\", by number from fields between separators (negative: from the end; 0: all), "
		  "or by name or number from JSON, with jsons without the quotes of a string." BRANCHES,
	  .example = "${extract{gid}{uid=1984 gid=2001}}", .result = "2001" },
	{ .name = "filter", .least = 2, .most = 2, .syntax = "${filter{LIST}{CONDITION}}",
	  .help = "The items of a list for which the condition holds, with $item being the item.",
	  .example = "${filter{a:b:c}{!eq{$item}{b}}}", .result = "a:c" },
	{ .name = "hash", .call = function_hash, .least = 2, .most = 3, .syntax = "${hash{N}{M}{TEXT}}",
	  .help = "N characters that depend on all of the text, from the first M of the small letters, capital letters and digits (26 without M). "
		  "A text no longer than N stays as it is. No cryptography.",
	  .example = "${hash{4}{62}{monty python}}", .result = "fbWx" },
	{ .name = "headerwrap", .call = function_headerwrap, .least = 1, .most = 3, .syntax = "${headerwrap{COLUMNS}{LIMIT}{TEXT}}",
	  .help = "Folds a text at white space for a header field, as the operator of that name does.",
	  .example = "${headerwrap{20}{one two three four five six}}", .result = "one two three four\n\tfive six" },
	{ .name = "hmac", .call = item_hmac, .least = 3, .most = 3, .syntax = "${hmac{METHOD}{SECRET}{TEXT}}",
	  .help = "A message authentication code (RFC 2104) in small hexadecimal digits, by md5, sha1, sha256 or sha512.",
	  .example = "${hmac{md5}{Jefe}{what do ya want for nothing?}}", .result = "750c783e6ab0b503eaa86e310a5db738" },
	{ .name = "if", .most = 2, .syntax = "${if CONDITION {YES}{NO}}",
	  .help = "YES when the condition holds, otherwise NO or nothing; \"fail\" instead of NO is a forced failure. Without both, \"true\" or nothing.",
	  .example = "${if eq{a}{a}{same}{different}}", .result = "same" },
	{ .name = "imapfolder", .call = item_imapfolder, .least = 1, .most = 3, .syntax = "${imapfolder{FOLDER}{SEPARATOR}{SPECIALS}}",
	  .help = "An IMAP folder's name in UTF-8 as the name of a Maildir folder: levels, separated by SEPARATOR (a slash without it), are "
		  "separated by dots, and what is not ASCII, or among SPECIALS, is written in modified UTF-7.",
	  .example = "${imapfolder{Entw\\xc3\\xbcrfe/Neu}}", .result = "Entw&APw-rfe.Neu" },
	{ .name = "length", .call = function_length, .least = 2, .most = 2, .syntax = "${length{N}{TEXT}}",
	  .help = "The first N bytes of the text.", .example = "${length{3}{postern}}", .result = "pos" },
	{ .name = "listextract", .least = 2, .most = 4, .syntax = "${listextract{NUMBER}{LIST}{YES}{NO}}",
	  .help = "An item of a list by its number, from 1, or from the end when negative." BRANCHES,
	  .example = "${listextract{-1}{<, x,42,99}}", .result = "99" },
	{ .name = "listquote", .call = item_listquote, .least = 2, .most = 2, .syntax = "${listquote{SEPARATOR}{TEXT}}",
	  .help = "A text as one item of a list: separators in it are doubled, nothing becomes a space.",
	  .example = "${listquote{:}{2001:db8::1}}", .result = "2001::db8::::1" },
	{ .name = "lookup", .least = 1, .most = 4, .syntax = "${lookup{KEY}TYPE{FILE}{YES}{NO}}, ${lookup TYPE{QUERY}{YES}{NO}}",
	  .help = "Looks a key up in a file, or asks a database or the DNS; the types are described in the chapter on lookups." BRANCHES,
	  .example = "${lookup{postmaster}lsearch{/etc/aliases}{$value}{root}}" },
	{ .name = "map", .least = 2, .most = 2, .syntax = "${map{LIST}{TEXT}}",
	  .help = "A list of what TEXT gives for each item, with $item being the item.",
	  .example = "${map{a:b:c}{[$item]}}", .result = "[a]:[b]:[c]" },
	{ .name = "nhash", .call = function_nhash, .least = 2, .most = 3, .syntax = "${nhash{N}{M}{TEXT}}",
	  .help = "A number below N that depends on all of the text; with M, two numbers, below N and below M, with a slash between them.",
	  .example = "${nhash{8}{64}{supercalifragilisticexpialidocious}}", .result = "6/33" },
	{ .name = "perl", .least = 1, .most = 9, .syntax = "${perl{SUBROUTINE}{ARGUMENT}...}",
	  .refused = "there is no Perl interpreter in this server: use ${run} or ${readsocket}",
	  .help = "Refused. In Exim it calls a subroutine of an embedded Perl interpreter." },
	{ .name = "prvs", .call = item_prvs, .least = 2, .most = 3, .syntax = "${prvs{ADDRESS}{SECRET}{KEY}}",
	  .help = "An address signed for seven days (BATV), so that bounces to it can be told from forged ones. KEY is the number of the secret, "
		  "a digit, 0 without it. An empty secret is an error.",
	  .example = "${prvs{jane@example.org}{a secret}}" },
	{ .name = "prvscheck", .least = 2, .most = 3, .syntax = "${prvscheck{ADDRESS}{SECRET}{TEXT}}",
	  .help = "Checks an address that prvs signed: SECRET can use $prvscheck_address and $prvscheck_keynum, $prvscheck_result is 1 when the "
		  "signature is good. The result is TEXT or, without it, the address without its signature; nothing when it has none.",
	  .example = "${prvscheck{jane@example.org}{a secret}{signed}}", .result = "" },
	{ .name = "readfile", .least = 1, .most = 2, .syntax = "${readfile{FILE}{EOL}}",
	  .help = "The content of a file, with newlines replaced by EOL if it is given.",
	  .example = "${readfile{/etc/mailname}{}}" },
	{ .name = "readsocket", .least = 2, .most = 5, .syntax = "${readsocket{SOCKET}{REQUEST}{OPTIONS}{EOL}{FAILED}}",
	  .help = "Sends a request to a Unix socket or to inet:HOST:PORT, and reads until the end. OPTIONS are a time and shutdown=, tls= and cache=; "
		  "FAILED is used when there is no answer.",
	  .example = "${readsocket{/run/check.socket}{$sender_address}{3s}{ }{none}}" },
	{ .name = "reduce", .least = 3, .most = 3, .syntax = "${reduce{LIST}{START}{TEXT}}",
	  .help = "One value from a list: $value is START at first, then what TEXT gives for each $item.",
	  .example = "${reduce{<, 1,2,3}{0}{${eval:$value+$item}}}", .result = "6" },
	{ .name = "run", .least = 1, .most = 3, .syntax = "${run{COMMAND}{YES}{NO}}",
	  .help = "Runs a command, without a shell, and gives its output; YES when it exits with 0 and NO otherwise, $value being the output "
		  "and $runrc the exit status. In a server the command runs under a user of its own, for a minute at most.",
	  .example = "${run{/bin/echo done}{$value}}" },
	{ .name = "sg", .least = 3, .most = 3, .syntax = "${sg{TEXT}{REGEX}{REPLACEMENT}}",
	  .help = "The text with all that the regular expression matches replaced; $1 and so on in the replacement are written \\$1.",
	  .example = "${sg{abcdef}{^(...)(...)\\$}{\\$2\\$1}}", .result = "defabc" },
	{ .name = "sort", .least = 3, .most = 3, .syntax = "${sort{LIST}{COMPARISON}{TEXT}}",
	  .help = "The items of a list in the order of what TEXT gives for each $item. COMPARISON is <, <=, lt, le and the like.",
	  .example = "${sort{3:2:1:4}{<}{$item}}", .result = "1:2:3:4" },
	{ .name = "srs_encode", .call = item_srs_encode, .least = 3, .most = 3, .syntax = "${srs_encode{SECRET}{SENDER}{DOMAIN}}",
	  .help = "A sender rewritten to an address in DOMAIN that leads bounces back to it (SRS), for forwarding. Nothing for an empty sender; "
		  "an empty secret is an error.",
	  .example = "${srs_encode{a secret}{}{example.net}}", .result = "" },
	{ .name = "substr", .call = function_substr, .least = 2, .most = 3, .syntax = "${substr{START}{LENGTH}{TEXT}}",
	  .help = "LENGTH bytes from START on, which counts from 0, or from the end when negative. Without LENGTH, all from START on, or all "
		  "before a negative START.",
	  .example = "${substr{3}{2}{postern}}", .result = "te" },
	{ .name = "tr", .call = item_tr, .least = 3, .most = 3, .syntax = "${tr{TEXT}{CHARACTERS}{REPLACEMENTS}}",
	  .help = "Replaces single characters by those at the same place of REPLACEMENTS, whose last one serves for all further ones. "
		  "Without replacements, nothing changes.",
	  .example = "${tr{abcdea}{ac}{13}}", .result = "1b3de1" },
};

const struct expand_function_info *expand_items(size_t *count_r)
{
	*count_r = sizeof(items) / sizeof(items[0]);
	return items;
}

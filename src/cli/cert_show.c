/* SPDX-License-Identifier: ISC */
#include "cli/cert_show.h"

#include "base/clock.h"
#include "cli/cert_facts.h"
#include "cli/cert_files.h"
#include "cli/json.h"
#include "cli/probe.h"
#include "net/address.h"

#include <getopt.h>
#include <openssl/x509v3.h>
#include <unistd.h>

enum { OUTPUT_MAX = 4 * 1024 * 1024, TIME_LIMIT = 20 };

enum key_state { KEY_NONE, KEY_MATCHES, KEY_DIFFERS };

struct shown {
	bool json;
	const char *source, *key_file; /* key_file: --key, or NULL */
	char key_path[CERT_PATH_MAX];
	STACK_OF(X509) *chain;
	struct probe_target target;
	struct probe_result served;    /* chain is moved to the above */
	enum key_state key;
	int broken_at;                 /* of chain_judge */
	bool wrong_dates, for_another;
};

/* ---- Gathering ---- */

static bool compare_key(struct shown *shown, struct slice text, struct error *error)
{
	bool encrypted = false;
	struct buf other;
	EVP_PKEY *key;
	if (shown->key_file) {
		buf_init(&other, CHAIN_TEXT_MAX + 16384);
		snprintf(shown->key_path, sizeof shown->key_path, "%s", shown->key_file);
		bool read = cert_file_read(shown->key_file, &other, error);
		key = read ? cert_key_parse(buf_slice(&other), &encrypted) : NULL;
		if (other.data)
			explicit_bzero(other.data, other.size);
		buf_free(&other);
		if (read && !key)
			error_set(error, ERROR_USAGE, "%.200s has no private key%s", shown->key_file,
				  encrypted ? " that opens without a pass phrase" : "; expected PEM text");
		if (!key)
			return false;
	} else
		key = cert_key_find(shown->source, text, shown->key_path, sizeof shown->key_path);
	if (key)
		shown->key = EVP_PKEY_eq(key, X509_get0_pubkey(sk_X509_value(shown->chain, 0))) == 1 ? KEY_MATCHES : KEY_DIFFERS;
	EVP_PKEY_free(key);
	return true;
}

static bool gather(struct shown *shown, struct error *error)
{
	struct buf text;
	/* A file wins over a host of that name. */
	if (access(shown->source, F_OK) < 0 && probe_parse(slice_of(shown->source), &shown->target)) {
		shown->target.deadline = clock_after(TIME_LIMIT * CLOCK_SECOND);
		if (!probe_chain(&shown->target, &shown->served, error))
			return false;
		shown->chain = shown->served.chain;
		shown->served.chain = NULL;
		X509 *leaf = sk_X509_value(shown->chain, 0);
		struct net_address address;
		shown->for_another = net_address_parse(slice_of(shown->target.host), &address) ?
					     X509_check_ip_asc(leaf, shown->target.host, 0) != 1 :
					     X509_check_host(leaf, shown->target.host, 0, 0, NULL) != 1;
		return true;
	}
	buf_init(&text, CHAIN_TEXT_MAX + 16384);
	bool good = cert_file_read(shown->source, &text, error) && (shown->chain = chain_parse(buf_slice(&text), shown->source, error)) &&
		    compare_key(shown, buf_slice(&text), error);
	if (text.data)
		explicit_bzero(text.data, text.size);
	buf_free(&text);
	return good;
}

/* ---- As text ---- */

static void print_text(const struct cert_facts *facts, int index, struct buf *out)
{
	buf_printf(out, "%d  subject      %.*s\n", index, SLICE_ARG(facts->subject));
	buf_printf(out, "   issuer       %.*s%s\n", SLICE_ARG(facts->issuer), facts->self_signed ? " (signed by itself)" : "");
	for (size_t i = 0; i < facts->name_count; i++)
		buf_printf(out, "%s%.*s", i ? ", " : "   names        ", SLICE_ARG(facts->names[i]));
	buf_printf(out, "%s   valid        %.*s to %.*s, ", facts->name_count ? "\n" : "", SLICE_ARG(facts->not_before),
		   SLICE_ARG(facts->not_after));
	if (facts->ended)
		buf_printf(out, "ended %lld days ago\n", (long long)-facts->days_left);
	else if (facts->not_yet)
		buf_printf(out, "not valid yet\n");
	else
		buf_printf(out, "%lld days left\n", (long long)facts->days_left);
	buf_printf(out, "   key          %.*s%s\n", SLICE_ARG(facts->key), facts->authority ? ", may sign certificates" : "");
	buf_printf(out, "   signature    %.*s\n   serial       %.*s\n", SLICE_ARG(facts->signature), SLICE_ARG(facts->serial));
	buf_printf(out, "   SHA-256      %.*s\n   key SHA-256  %.*s\n", SLICE_ARG(facts->sha256), SLICE_ARG(facts->key_sha256));
	if (facts->must_staple)
		buf_printf(out, "   Must-Staple  clients insist on a proof of OCSP (RFC 7633)\n");
}

static void print_verdicts(const struct shown *shown, struct buf *out)
{
	int count = sk_X509_num(shown->chain);
	if (shown->broken_at >= 0)
		buf_printf(out, "chain: certificate %d is not signed by the one that follows; put them in order\n", shown->broken_at);
	else if (count > 1)
		buf_printf(out, "chain: %d certificates in order\n", count);
	if (shown->key == KEY_MATCHES)
		buf_printf(out, "key: %s is that of certificate 0\n", shown->key_path);
	if (shown->key == KEY_DIFFERS)
		buf_printf(out, "key: %s is NOT that of certificate 0\n", shown->key_path);
	if (shown->for_another)
		buf_printf(out, "name: the certificate is not for %s\n", shown->target.host);
	if (shown->wrong_dates)
		buf_printf(out, "dates: a certificate is out of date\n");
}

/* ---- As JSON ---- */

static void member(struct buf *out, const char *name, struct slice value)
{
	json_name(out, name);
	json_string(out, value);
	buf_append_byte(out, ',');
}

static void truth(struct buf *out, const char *name, bool value, const char *end)
{
	buf_printf(out, "\"%s\":%s%s", name, value ? "true" : "false", end);
}

static void print_json(const struct cert_facts *facts, struct buf *out)
{
	buf_append_byte(out, '{');
	member(out, "subject", facts->subject);
	member(out, "issuer", facts->issuer);
	buf_append(out, SLICE("\"names\":["));
	for (size_t i = 0; i < facts->name_count; i++) {
		buf_append(out, i ? SLICE(",") : SLICE(""));
		json_string(out, facts->names[i]);
	}
	buf_append(out, SLICE("],"));
	member(out, "not_before", facts->not_before);
	member(out, "not_after", facts->not_after);
	buf_printf(out, "\"days_left\":%lld,", (long long)facts->days_left);
	member(out, "key", facts->key);
	member(out, "signature", facts->signature);
	member(out, "serial", facts->serial);
	member(out, "sha256", facts->sha256);
	member(out, "key_sha256", facts->key_sha256);
	truth(out, "authority", facts->authority, ",");
	truth(out, "self_signed", facts->self_signed, ",");
	truth(out, "must_staple", facts->must_staple, "}");
}

static void print_json_verdicts(const struct shown *shown, struct buf *out)
{
	static const char *const keys[] = { [KEY_NONE] = "null", [KEY_MATCHES] = "true", [KEY_DIFFERS] = "false" };
	buf_append(out, SLICE("],"));
	if (shown->served.version[0]) {
		member(out, "address", slice_of(shown->served.address));
		member(out, "version", slice_of(shown->served.version));
		member(out, "cipher", slice_of(shown->served.cipher));
		truth(out, "name_matches", !shown->for_another, ",");
	}
	truth(out, "chain_in_order", shown->broken_at < 0, ",");
	truth(out, "dates_good", !shown->wrong_dates, ",");
	buf_printf(out, "\"key_matches\":%s}\n", keys[shown->key]);
}

/* ---- The command ---- */

static int print_all(struct shown *shown)
{
	struct arena arena;
	struct buf out;
	struct cert_facts *facts;
	struct chain_verdict verdict;
	int64_t now = clock_wall_now() / CLOCK_SECOND;
	arena_init(&arena, 0);
	buf_init(&out, OUTPUT_MAX);
	facts = arena_new(&arena, struct cert_facts);
	chain_judge(shown->chain, &verdict);
	shown->broken_at = verdict.broken_at;
	shown->wrong_dates = now < verdict.begins || now > verdict.ends;
	if (shown->json)
		buf_append(&out, SLICE("{\"certificates\":["));
	else if (shown->served.version[0])
		buf_printf(&out, "%s: %s with cipher %s\n", shown->served.address, shown->served.version, shown->served.cipher);
	for (int i = 0; i < sk_X509_num(shown->chain); i++) {
		cert_facts_read(sk_X509_value(shown->chain, i), now, &arena, facts);
		if (shown->json && i)
			buf_append_byte(&out, ',');
		if (shown->json)
			print_json(facts, &out);
		else
			print_text(facts, i, &out);
	}
	if (shown->json)
		print_json_verdicts(shown, &out);
	else
		print_verdicts(shown, &out);
	fwrite(out.data + out.start, 1, buf_len(&out), stdout);
	buf_free(&out);
	arena_free(&arena);
	bool good = shown->broken_at < 0 && !shown->wrong_dates && !shown->for_another && shown->key != KEY_DIFFERS;
	return good ? COMMAND_DONE : COMMAND_NO;
}

int cert_show(int argc, char **argv)
{
	static const struct option names[] = {
		{ "json", no_argument, NULL, 'j' }, { "key", required_argument, NULL, 'k' }, { "starttls", required_argument, NULL, 's' }, { 0 },
	};
	struct shown shown = { 0 };
	struct error error = { 0 };
	int option;
	optind = 0;
	opterr = 0;
	while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (option == '?')
			return command_usage_error(&command_cert, "unknown option or missing value: %s", argv[optind - 1]);
		if (option == 's' && !probe_parse_start(slice_of(optarg), &shown.target.start))
			return command_usage_error(&command_cert, "--starttls %.40s: expected smtp or none", optarg);
		shown.json = shown.json || option == 'j';
		shown.key_file = option == 'k' ? optarg : shown.key_file;
	}
	if (optind + 1 != argc)
		return command_usage_error(&command_cert, "expected one file, or HOST:PORT");
	shown.source = argv[optind];
	int status = COMMAND_NO;
	if (gather(&shown, &error))
		status = print_all(&shown);
	else {
		fprintf(stderr, "postern cert: %s\n", error.text);
		status = error.kind == ERROR_TEMPORARY ? COMMAND_TEMPORARY : error.kind == ERROR_USAGE ? COMMAND_USAGE : COMMAND_NO;
	}
	chain_free(&shown.chain);
	return status;
}

/* SPDX-License-Identifier: ISC */
/* The TLS options of the main section checked against each other, and those that need no connection by themselves. */
#include "conf/log_selector.h"
#include "conf/parse.h"
#include "tls/context.h"
#include "tls/ocsp.h"
#include "tls/policy.h"
#include "tls/verify.h"

#include <string.h>

/* Options that mean nothing without a certificate; the others are harmless then. */
static void check_needs(struct conf_parser *parser)
{
	static const struct {
		const char *name, *text;
	} needs[] = {
		{ "tls_privatekey", "there is a key, but tls_certificate is not set" },
		{ "tls_on_connect_ports", "TLS on these ports needs tls_certificate and tls_privatekey" },
		{ "tls_hosts", "hosts can be made to use TLS only when tls_certificate is set" },
		{ "tls_require_ports", "hosts can be made to use TLS only when tls_certificate is set" },
	};
	for (size_t i = 0; i < sizeof needs / sizeof needs[0]; i++)
		if (conf_main_setting(parser, needs[i].name)->given && conf_main_setting(parser, needs[i].name)->text.len)
			conf_main_error(parser, needs[i].name, "%s", needs[i].text);
	if (parser->conf->main.tls_advertise_hosts && conf_main_setting(parser, "tls_advertise_hosts")->text.len)
		conf_main_warning(parser, "tls_advertise_hosts", "these hosts are offered STARTTLS, and without tls_certificate they get 454 for it "
				  "and none of their mail comes in");
}

typedef struct slice path_function(struct slice item);

/*
 * An option that names one file, or several in a list. `word`: what may stand there instead of a path; NULL: nothing. `path_of`: the path
 * in an item; NULL: all of it.
 */
static size_t check_paths(struct conf_parser *parser, const char *name, const struct expand_program *program, const char *word,
			  path_function *path_of)
{
	struct slice text;
	if (!program || !expand_constant(program, &text))
		return 0;
	struct conf_strings items = conf_value_strings(&parser->conf->arena, text);
	for (size_t i = 0; i < items.count; i++) {
		struct slice path = path_of ? path_of(items.items[i]) : items.items[i];
		if ((!path.len || path.data[0] != '/') && !(word && slice_equal(path, slice_of(word))))
			conf_main_error(parser, name, "expected an absolute path, one that begins with \"/\"%s%s; found \"%.*s\"",
					word ? ", or the word " : "", word ? word : "", SLICE_ARG(slice_first(path, 100)));
	}
	if (items.count > TLS_CHAINS_MAX)
		conf_main_error(parser, name, "more than %d files", TLS_CHAINS_MAX);
	return items.count;
}

/* The old options first, so that names in log_selector decide over them. */
static void settle_log_items(struct conf_parser *parser)
{
	struct conf_main *conf = &parser->conf->main;
	struct error error;
	bool missing;
	conf->log_items = log_selector_default();
	if (!conf->tls_log_cipher)
		conf->log_items &= ~(unsigned)LOG_ITEM_TLS_CIPHER;
	if (conf->tls_log_peerdn)
		conf->log_items |= LOG_ITEM_TLS_PEERDN;
	if (!log_selector_parse(conf->log_selector, &conf->log_items, &missing, &error))
		conf_main_error(parser, "log_selector", "%s", error.text);
	else if (missing)
		conf_main_warning(parser, "log_selector", "+all adds only the items that this version has: those of TLS, 8bitmime, received_recipients and received_sender");
}

/* ---- Files ---- */

enum { PATHS_MAX = 1000 };

/* A literal is a list, or a part of one. */
static void note_paths(void *owner, struct slice literal)
{
	struct conf *conf = owner;
	while (literal.len) {
		/* "<;" and the like change the separator: then more is cut off, which allows less. */
		size_t end = 0;
		while (end < literal.len && !strchr(":;,", literal.data[end]))
			end++;
		struct slice item = slice_trim(slice_first(literal, end));
		literal = slice_from(literal, end + 1);
		if (item.len > 1 && item.data[0] == '/' && conf->tls_path_count < PATHS_MAX)
			conf->tls_paths[conf->tls_path_count++] = arena_copy(&conf->arena, item);
	}
}

bool conf_tls_allows(const struct conf *conf, struct slice path)
{
	for (size_t i = 0; i < conf->tls_path_count; i++) {
		struct slice named = conf->tls_paths[i], directory = slice_first(named, slice_find_last(named, '/') + 1);
		if (slice_equal(path, named) || (directory.len > 1 && slice_starts(path, directory)))
			return true;
	}
	return false;
}

static void note_directory(void *owner, struct slice literal)
{
	struct conf *conf = owner;
	/* Followed by a computed name it is none; then the choice is just made for nothing. */
	for (size_t i = 0; i < literal.len; i++)
		if (literal.data[i] == '/' && (i + 1 == literal.len || strchr(" :;,\t", literal.data[i + 1])))
			conf->tls_by_name = true;
}

static void settle_paths(struct conf_parser *parser)
{
	const struct conf_main *main = &parser->conf->main;
	const struct expand_program *const programs[] = {
		main->tls_certificate, main->tls_privatekey, main->tls_dhparam, main->tls_verify_certificates, main->tls_crl, main->tls_ocsp_file,
	};
	parser->conf->tls_paths = arena_array(&parser->conf->arena, PATHS_MAX, sizeof *parser->conf->tls_paths);
	for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++)
		if (programs[i])
			expand_literals(programs[i], note_paths, parser->conf);
}

/* Whether the name that the client asks for has a say in what TLS is made of. */
static void settle_by_name(struct conf_parser *parser)
{
	const struct conf_main *main = &parser->conf->main;
	const struct expand_program *const programs[] = {
		main->tls_certificate, main->tls_privatekey, main->tls_require_ciphers, main->tls_eccurve, main->tls_dhparam, main->tls_ocsp_file,
		main->tls_profile, main->tls_min_version, main->tls_alpn, main->tls_verify_certificates, main->tls_crl, main->tls_verify_ciphers,
		main->openssl_options,
	};
	for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++)
		if (programs[i] && expand_uses(programs[i], EXPAND_TLS_IN_SNI))
			parser->conf->tls_by_name = true;
	if (main->tls_certificate)
		expand_literals(main->tls_certificate, note_directory, parser->conf);
}

/* ---- Values ---- */

static bool is_profile(struct slice item)
{
	enum tls_profile profile;
	return tls_profile_named(item, &profile);
}

static bool is_version(struct slice item)
{
	int version;
	return tls_version_named(item, &version);
}

/* A list whose items may begin with a port. */
static void check_by_port(struct conf_parser *parser, const char *name, struct slice text, bool (*check)(struct slice item))
{
	struct conf_strings items = conf_value_strings(&parser->conf->arena, text);
	for (size_t i = 0; i < items.count; i++) {
		struct slice item = items.items[i];
		uint16_t port;
		tls_cut_port(&item, &port);
		if (!check(item))
			conf_main_error(parser, name, "expected %s, each perhaps with a port before it as in 587=...; found \"%.*s\"",
				 check == is_profile ? "modern, intermediate or opportunistic" : "TLS1, TLS1.1, TLS1.2 or TLS1.3",
				 SLICE_ARG(slice_first(items.items[i], 60)));
	}
}

/* Of OpenSSL: "OPTION: text". */
static void policy_error(struct conf_parser *parser, const struct error *error)
{
	struct slice text = slice_of(error->text), name = slice_cut(&text, ':');
	const struct conf_option *option = conf_option_find(conf_table(CONF_TABLE_MAIN), name);
	if (option)
		conf_main_error(parser, option->name, "%.*s", SLICE_ARG(slice_trim(text)));
	else
		conf_main_error(parser, "tls_require_ciphers", "%s", error->text);
}

/* The ciphers of each port together with what else there is. */
static void check_ciphers(struct conf_parser *parser, const struct tls_policy *others)
{
	struct slice text = conf_constant(parser->conf->main.tls_require_ciphers);
	struct conf_strings items = { .items = &text, .count = 1 };
	if (tls_ciphers_have_ports(text))
		items = conf_value_strings(&parser->conf->arena, text);
	for (size_t i = 0; i < items.count; i++) {
		struct tls_policy policy = *others;
		struct slice item = items.items[i];
		struct error error = { 0 };
		uint16_t port;
		tls_cut_port(&item, &port);
		if (!tls_policy_set_ciphers(&policy, item, &parser->conf->arena, &error))
			conf_main_error(parser, "tls_require_ciphers", "%s", error.text);
		/* Only where the server is going to run: another machine's library may know other names. */
		if (parser->source->system && !tls_context_check(&policy, &error))
			policy_error(parser, &error);
	}
}

/* Constant texts of the options that OpenSSL understands: each is set on a policy, which is then tried. */
static void check_values(struct conf_parser *parser)
{
	const struct conf_main *main = &parser->conf->main;
	struct arena *arena = &parser->conf->arena;
	struct tls_policy policy;
	struct error error = { 0 };
	struct buf notes;
	tls_policy_init(&policy, TLS_PROFILE_OPPORTUNISTIC);
	check_by_port(parser, "tls_profile", conf_constant(main->tls_profile), is_profile);
	check_by_port(parser, "tls_min_version", conf_constant(main->tls_min_version), is_version);
	buf_init(&notes, 4096);
	if (!tls_policy_set_options(&policy, conf_constant(main->openssl_options), &notes, &error))
		conf_main_error(parser, "openssl_options", "%s", error.text);
	else if (buf_len(&notes))
		conf_main_warning(parser, "openssl_options", "without effect in this library: %.*s", SLICE_ARG(buf_slice(&notes)));
	buf_free(&notes);
	if (!tls_policy_set_dh(&policy, conf_constant(main->tls_dhparam), arena, &error))
		conf_main_error(parser, "tls_dhparam", "%s", error.text);
	else if (policy.dh_group_bits > main->tls_dh_max_bits)
		conf_main_warning(parser, "tls_dhparam", "%d bits are more than tls_dh_max_bits = %lld allows: there is no such key exchange", policy.dh_group_bits,
					  (long long)main->tls_dh_max_bits);
	if (!tls_policy_set_alpn(&policy, conf_constant(main->tls_alpn), arena, &error))
		conf_main_error(parser, "tls_alpn", "%s", error.text);
	if (main->tls_eccurve && expand_constant(main->tls_eccurve, NULL) &&
	    !tls_policy_set_groups(&policy, conf_constant(main->tls_eccurve), arena, &error))
		conf_main_error(parser, "tls_eccurve", "%s", error.text);
	policy.dh_file = (struct tls_file){ 0 };
	check_ciphers(parser, &policy);
}

/* Exim 3's manual has ciphers in its example that are gone: its text must load, and whoever uses it must know what comes of it. */
static void check_verify_ciphers(struct conf_parser *parser)
{
	struct slice text = conf_constant(parser->conf->main.tls_verify_ciphers);
	struct error error = { 0 };
	if (parser->source->system && text.len && !tls_verify_ciphers_check(text, &error))
		conf_main_warning(parser, "tls_verify_ciphers", "%s; STARTTLS of the hosts in tls_verify_hosts is refused with 454", error.text);
}

void conf_settle_tls(struct conf_parser *parser)
{
	struct conf_main *conf = &parser->conf->main;
	struct conf_setting *advertise = conf_main_setting(parser, "tls_advertise_hosts");
	struct slice text;
	/* Set to nothing is unset. */
	if (conf->tls_certificate && expand_constant(conf->tls_certificate, &text) && !text.len)
		conf->tls_certificate = NULL;
	if (conf->tls_privatekey && expand_constant(conf->tls_privatekey, &text) && !text.len)
		conf->tls_privatekey = NULL;
	if (!conf->tls_certificate)
		check_needs(parser);
	else if (!conf_main_setting(parser, "tls_privatekey")->text.data)
		conf_main_setting(parser, "tls_privatekey")->text = conf_main_setting(parser, "tls_certificate")->text;
	if (!advertise->text.data)
		advertise->text = conf->tls_certificate ? SLICE("*") : SLICE("");
	size_t certificates = check_paths(parser, "tls_certificate", conf->tls_certificate, NULL, NULL);
	size_t keys = check_paths(parser, "tls_privatekey", conf->tls_privatekey, NULL, NULL);
	if (certificates && keys && keys != certificates)
		conf_main_error(parser, "tls_privatekey", "%zu keys for %zu certificates", keys, certificates);
	check_paths(parser, "tls_verify_certificates", conf->tls_verify_certificates, "system", NULL);
	check_paths(parser, "tls_crl", conf->tls_crl, NULL, NULL);
	check_paths(parser, "tls_ocsp_file", conf->tls_ocsp_file, NULL, ocsp_file_path);
	settle_paths(parser);
	settle_by_name(parser);
	check_values(parser);
	check_verify_ciphers(parser);
	settle_log_items(parser);
}

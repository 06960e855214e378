/* SPDX-License-Identifier: ISC */
/* Authenticators: their options into their structs, what is assumed where an option is not set, and what does not go together. */
#include "conf/parse.h"

enum { AUTHENTICATORS_MAX = 64 };

/* For an option that is not set; --print then shows it. */
static void assume(const struct conf_block *block, const char *option, struct slice text)
{
	struct conf_setting *setting = conf_block_setting(block, slice_of(option));
	if (setting && !setting->given)
		setting->text = text;
}

/*
 * Without a condition of its own, EXTERNAL goes by the addresses in a verified certificate: the client's identity is one of them, or it
 * gives none, and there is just one (RFC 4422 §A.1: the server derives it).
 */
static void assume_certificate(const struct conf_block *block)
{
	if (conf_block_setting(block, SLICE("server_condition"))->given)
		return;
	assume(block, "server_param2", SLICE("${certextract{subj_altname,mail,>:}{$tls_in_peercert}{$value}{}}"));
	assume(block, "server_condition",
	       SLICE("${if and{{bool{$tls_in_certificate_verified}}{or{{and{{!eq{$auth1}{}}{forany{$auth2}{eq{$item}{$auth1}}}}}"
		     "{and{{eq{$auth1}{}}{={${listcount:$auth2}}{1}}}}}}}}"));
	assume(block, "server_set_id", SLICE("${if eq{$auth1}{}{$auth2}{$auth1}}"));
	assume(block, "server_advertise_condition", SLICE("$tls_in_certificate_verified"));
}

static void settle(struct conf_parser *parser, const struct conf_block *block, struct authenticator *authenticator)
{
	const char *option = "driver";
	struct error error;
	authenticator->name = block->name;
	authenticator->driver = auth_driver_find(block->driver);
	assume(block, "public_name", block->name);
	if (slice_equal(block->driver, SLICE("external")))
		assume_certificate(block);
	size_t errors = parser->problems->errors;
	conf_convert_block(parser, block, authenticator, false);
	conf_convert_block(parser, block, authenticator, true);
	/* The mistake in its driver is told already. */
	if (!block->tables[1] || !authenticator->driver)
		return;
	if (errors == parser->problems->errors && !auth_check(authenticator, &option, &error))
		conf_block_error(parser, block, option, "%s", error.text);
	else if (authenticator->server_user_database && !parser->conf->main.user_database.len)
		conf_block_error(parser, block, "server_user_database", "there is no user_database in the main section; expected its path there");
	else if (slice_equal(block->driver, SLICE("cram_md5")))
		conf_warning(parser->problems, conf_block_setting(block, SLICE("driver"))->place, conf_block_label(parser, block, SLICE("driver")),
			     "CRAM-MD5 needs passwords in clear on this server and protects nothing that TLS does not; scram is better in both");
}

/* Exim's manual, chapter 42: one of the driver tls. Mechanisms have different names, for the client chooses by name. */
static void check_pairs(struct conf_parser *parser, const struct conf_block *block, const struct authenticator *one, size_t before)
{
	for (size_t i = 0; i < before; i++) {
		const struct authenticator *other = &parser->conf->authenticators[i];
		if (!other->driver || !one->driver || auth_is_implicit(other) != auth_is_implicit(one))
			continue;
		if (auth_is_implicit(one))
			conf_block_error(parser, block, "driver", "there may be one authenticator with the driver tls");
		else if (slice_equal_nocase(other->public_name, one->public_name))
			conf_block_error(parser, block, "public_name", "another authenticator has the same public_name");
	}
}

/* submission_ports is what it is by default where somebody only moves to this server. */
static void check_submission(struct conf_parser *parser)
{
	const struct conf *conf = parser->conf;
	/* After an error there may be one that was not read. */
	if (parser->problems->errors)
		return;
	for (size_t i = 0; i < conf->listener_count && !conf->authenticator_count; i++)
		if (conf_ports_have(&conf->main.submission_ports, conf->listeners[i].address.port)) {
			conf_main_warning(parser, "submission_ports", "nobody can send mail through port %u: it takes authenticated clients only, "
					  "and there is no authenticator", conf->listeners[i].address.port);
			return;
		}
}

/* Whoever writes authenticators wants somebody to use them. */
static void check_usable(struct conf_parser *parser)
{
	const struct conf *conf = parser->conf;
	const struct conf_main *main = &conf->main;
	if (!parser->problems->errors && conf->authenticator_count && !main->tls_certificate && !main->auth_cleartext_hosts)
		conf_warning(parser->problems, conf->authenticator_blocks[0].place, SLICE("authenticators"),
			     "nobody can use them: AUTH is offered within TLS only, and there is no tls_certificate (or name hosts in "
			     "auth_cleartext_hosts)");
}

void conf_settle_authenticators(struct conf_parser *parser)
{
	struct conf *conf = parser->conf;
	conf->authenticators = arena_array(&conf->arena, conf->authenticator_count + 1, sizeof *conf->authenticators);
	if (conf->authenticator_count > AUTHENTICATORS_MAX) {
		conf_error(parser->problems, conf->authenticator_blocks[AUTHENTICATORS_MAX].place, SLICE("authenticators"),
			   "there are more than %d", AUTHENTICATORS_MAX);
		return;
	}
	for (size_t i = 0; i < conf->authenticator_count; i++) {
		settle(parser, &conf->authenticator_blocks[i], &conf->authenticators[i]);
		check_pairs(parser, &conf->authenticator_blocks[i], &conf->authenticators[i], i);
	}
	check_usable(parser);
	check_submission(parser);
}

/* SPDX-License-Identifier: ISC */
/* The options of authenticators: generic ones, and those of each driver. */
#include "conf/conf.h"
#include "conf/tables.h"

#define OPTION(field) .name = #field, .offset = offsetof(struct authenticator, field), .since = "0.1"
#define EXPANDED(field) OPTION(field), .type = CONF_EXPANDED, .place = EXPAND_PLACE_CONNECTION
#define PARAMETER(number) \
	.name = "server_param" #number, .offset = offsetof(struct authenticator, server_params[number - 1]), .type = CONF_EXPANDED, \
	.place = EXPAND_PLACE_CONNECTION, .since = "0.1"
#define TABLE(which, text, word)                                                     \
	const struct conf_table conf_table_##which = {                               \
		.title = text, .driver = word, .options = which##_options,           \
		.count = sizeof which##_options / sizeof *which##_options,           \
	}

static const struct conf_option authenticator_options[] = {
	{ .name = "driver", .type = CONF_NAME, .since = "0.1",
	  .help = "How the client proves who it is: plaintext, cram_md5, scram, external, tls or dovecot.", .example = "plaintext" },
	{ OPTION(public_name), .type = CONF_STRING, .computed = "the authenticator's name",
	  .help = "The name of the mechanism, by which clients ask for it.", .example = "PLAIN" },
	{ EXPANDED(server_advertise_condition),
	  .help = "The mechanism is offered to a client only if this gives something other than an empty text, 0, no or false; a failed "
		  "expansion counts as that.",
	  .example = "${if def:tls_in_cipher}" },
	{ EXPANDED(server_condition),
	  .help = "Whether the client is let in: 1, yes or true; an empty text, 0, no, false or a forced failure keep it out. Anything "
		  "else, or an expansion that fails, is a temporary refusal, with the text for the client. For plaintext this is the "
		  "decision itself, for other drivers it comes on top of their own.",
	  .example = "${if and{{eq{$auth2}{user}}{eq{$auth3}{secret}}}}" },
	{ EXPANDED(server_set_id),
	  .help = "Who the client is then: $authenticated_id, and after a failure $authenticated_fail_id. With server_user_database it is "
		  "by default the user's name as the database has it.",
	  .example = "$auth2" },
	{ EXPANDED(server_debug_print),
	  .help = "A line for the trace of `postern session`. A running server has no debug log, and does not expand it.",
	  .example = "user=$auth2" },
	{ OPTION(server_mail_auth_condition), .type = CONF_EXPANDED, .place = EXPAND_PLACE_ENVELOPE,
	  .help = "Whether a client that is authenticated this way may name another sender as authenticated, with AUTH= in MAIL: not "
		  "if this gives an empty text, 0, no or false, or fails.",
	  .example = "${if match_domain{${domain:$authenticated_sender}}{+local_domains}}" },
};
TABLE(authenticator, "Generic options of authenticators", NULL);

static const struct conf_option plaintext_options[] = {
	{ EXPANDED(server_prompts),
	  .help = "A list of prompts, each of which asks the client for a text. Texts that came with the AUTH command need none. With "
		  "server_user_database the default is what the mechanism needs.",
	  .example = "User Name : Password" },
	{ OPTION(server_user_database), .type = CONF_BOOL, .fallback = "false",
	  .help = "The users of `postern user` may log in with their passwords. The mechanism must be PLAIN or LOGIN. A server_condition, "
		  "if there is one, must hold as well.",
	  .example = "true" },
};
TABLE(plaintext, "Options of the plaintext authenticator", "plaintext");

static const struct conf_option cram_md5_options[] = {
	{ EXPANDED(server_secret),
	  .help = "The secret of the user $auth1, in clear; a forced failure if there is no such user. Passwords that a server holds in clear "
		  "are lost when it is broken into: scram does without.",
	  .example = "${lookup{$auth1}lsearch{/etc/postern/secrets}{$value}fail}" },
};
TABLE(cram_md5, "Options of the cram_md5 authenticator", "cram_md5");

static const struct conf_option scram_options[] = {
	{ OPTION(server_mech), .type = CONF_STRING, .computed = "public_name",
	  .help = "SCRAM-SHA-256 (RFC 7677) or SCRAM-SHA-1 (RFC 5802), or one of them with -PLUS, which binds the login to the TLS "
		  "connection (by tls-exporter or tls-server-end-point) and is offered only within TLS.",
	  .example = "SCRAM-SHA-256" },
	{ OPTION(server_user_database), .type = CONF_BOOL, .fallback = "false",
	  .help = "The users of `postern user` may log in. The options below are not used then.", .example = "true" },
	{ EXPANDED(server_skey),
	  .help = "StoredKey of the user $auth1 in base64; a forced failure if there is no such user. $auth2 is the user as whom the client "
		  "wants to act. With server_key and server_scram_salt it stands in place of server_password.",
	  .example = "${lookup{$auth1}lsearch{/etc/postern/stored_keys}{$value}fail}" },
	{ EXPANDED(server_key),
	  .help = "ServerKey of the user $auth1 in base64.", .example = "${lookup{$auth1}lsearch{/etc/postern/server_keys}{$value}fail}" },
	{ EXPANDED(server_scram_salt),
	  .help = "The salt of the user $auth1 in base64. With server_password it may be left out: then each login has its own.",
	  .example = "${lookup{$auth1}lsearch{/etc/postern/salts}{$value}fail}" },
	{ EXPANDED(server_scram_iter),
	  .help = "How many iterations the keys take: 4096 (which is used when it is not set) to 10000000, with server_password to 1000000.",
	  .example = "10000" },
	{ EXPANDED(server_password),
	  .help = "The password of the user $auth1 in clear, from which the keys are computed at each login; a forced failure if there is no "
		  "such user. For tests and few users: server_user_database holds no passwords.",
	  .example = "${lookup{$auth1}lsearch{/etc/postern/secrets}{$value}fail}" },
};
TABLE(scram, "Options of the scram authenticator", "scram");

static const struct conf_option external_options[] = {
	{ PARAMETER(2),
	  .computed = "the addresses in the certificate, as a list separated by colons, if server_condition is not set either",
	  .help = "$auth2 of server_condition, in which $auth1 is the identity that the client gives. If server_condition is not set, a "
		  "verified certificate is wanted that has this identity as an address; or any one address, if the client gives none.",
	  .example = "${certextract{subj_altname,mail,>:}{$tls_in_peercert}}" },
	{ PARAMETER(3), .help = "$auth3 of server_condition.", .example = "${certextract{subject,CN}{$tls_in_peercert}}" },
};
TABLE(external, "Options of the external authenticator", "external");

static const struct conf_option tls_authenticator_options[] = {
	{ PARAMETER(1), .help = "$auth1 of server_condition.", .example = "${certextract{subj_altname,mail,>:}{$tls_in_peercert}}" },
	{ .name = "server_param", .offset = offsetof(struct authenticator, server_params[0]), .type = CONF_EXPANDED,
	  .place = EXPAND_PLACE_CONNECTION, .since = "0.1", .help = "Another name of server_param1.",
	  .example = "${certextract{subject,CN}{$tls_in_peercert}}" },
	{ PARAMETER(2), .help = "$auth2 of server_condition.", .example = "${certextract{subject,CN}{$tls_in_peercert}}" },
	{ PARAMETER(3), .help = "$auth3 of server_condition.", .example = "${certextract{issuer}{$tls_in_peercert}}" },
};
TABLE(tls_authenticator, "Options of the tls authenticator", "tls");

static const struct conf_option dovecot_options[] = {
	{ OPTION(server_socket), .type = CONF_PATH,
	  .help = "The socket on which a Dovecot server (version 2) authenticates: of its auth service, of the kind auth-client. The user of the "
		  "lookup process must be allowed to write to it. public_name is a mechanism that Dovecot has; the name of the user who has "
		  "proved to be there is $auth1, and the identity if server_set_id is not set.",
	  .example = "/run/dovecot/auth-client" },
	{ OPTION(server_timeout), .type = CONF_TIME, .fallback = "30s", .min = 1, .max = 300,
	  .help = "How long the Dovecot server may take for each answer, the connection to it included; then the client is refused for now. "
		  "Dovecot lets clients wait after failures, for up to 17 seconds.",
	  .example = "20s" },
};
TABLE(dovecot, "Options of the dovecot authenticator", "dovecot");

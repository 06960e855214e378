/* SPDX-License-Identifier: ISC */
/* The TLS options of the main section checked against each other, and those that need no connection by themselves. */
#include "conf/log_selector.h"
#include "conf/parse.h"

enum { CERTIFICATES_MAX = 8 };

static struct conf_setting *setting_of(struct conf_parser *parser, const char *name)
{
	return conf_block_setting(&parser->conf->main_block, slice_of(name));
}

static void complain(struct conf_parser *parser, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));

static void complain(struct conf_parser *parser, const char *name, const char *format, ...)
{
	char text[480];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	conf_error(parser->problems, setting_of(parser, name)->place,
		   conf_block_label(parser, &parser->conf->main_block, slice_of(name)), "%s", text);
}

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
		if (setting_of(parser, needs[i].name)->given && setting_of(parser, needs[i].name)->text.len)
			complain(parser, needs[i].name, "%s", needs[i].text);
}

/* An option that names one file, or several in a list. `word`: what may stand there instead of a path; NULL: nothing. */
static size_t check_paths(struct conf_parser *parser, const char *name, const struct expand_program *program, const char *word)
{
	struct slice text;
	if (!program || !expand_constant(program, &text))
		return 0;
	struct conf_strings items = conf_value_strings(&parser->conf->arena, text);
	for (size_t i = 0; i < items.count; i++)
		if ((!items.items[i].len || items.items[i].data[0] != '/') && !(word && slice_equal(items.items[i], slice_of(word))))
			complain(parser, name, "expected an absolute path, one that begins with \"/\"%s%s; found \"%.*s\"",
				 word ? ", or the word " : "", word ? word : "", SLICE_ARG(slice_first(items.items[i], 100)));
	if (items.count > CERTIFICATES_MAX)
		complain(parser, name, "more than %d files", CERTIFICATES_MAX);
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
		complain(parser, "log_selector", "%s", error.text);
	else if (missing)
		conf_warning(parser->problems, setting_of(parser, "log_selector")->place, SLICE("option log_selector"),
			     "+all adds only the items that this version has: those of TLS, 8bitmime, received_recipients and received_sender");
}

void conf_settle_tls(struct conf_parser *parser)
{
	struct conf_main *conf = &parser->conf->main;
	struct conf_setting *advertise = setting_of(parser, "tls_advertise_hosts");
	struct slice text;
	/* Set to nothing is unset. */
	if (conf->tls_certificate && expand_constant(conf->tls_certificate, &text) && !text.len)
		conf->tls_certificate = NULL;
	if (conf->tls_privatekey && expand_constant(conf->tls_privatekey, &text) && !text.len)
		conf->tls_privatekey = NULL;
	if (!conf->tls_certificate)
		check_needs(parser);
	else if (!setting_of(parser, "tls_privatekey")->text.data)
		setting_of(parser, "tls_privatekey")->text = setting_of(parser, "tls_certificate")->text;
	if (!advertise->text.data)
		advertise->text = conf->tls_certificate ? SLICE("*") : SLICE("");
	size_t certificates = check_paths(parser, "tls_certificate", conf->tls_certificate, NULL);
	size_t keys = check_paths(parser, "tls_privatekey", conf->tls_privatekey, NULL);
	if (certificates && keys > certificates)
		complain(parser, "tls_privatekey", "%zu keys for %zu certificates", keys, certificates);
	check_paths(parser, "tls_verify_certificates", conf->tls_verify_certificates, "system");
	check_paths(parser, "tls_crl", conf->tls_crl, NULL);
	settle_log_items(parser);
}

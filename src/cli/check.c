/* SPDX-License-Identifier: ISC */
/* postern check: everything that is wrong with a configuration; or its values, or the manual of its options. */
#include "cli/commands.h"

#include "cli/check_proofs.h"
#include "cli/json.h"
#include "role/sandbox.h"
#include "role/tls_files.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OUTPUT_MAX = 64 * 1024 * 1024 };

struct options {
	struct command_configuration configuration;
	bool print, json, reference, bare;
	const char *man; /* the page; NULL: none */
	int rest; /* index of the first argument behind the options */
};

static void check_file(const char *option, struct slice path, struct conf_problems *problems)
{
	char label[64], text[4096];
	if (!path.len || path.data[0] != '/' || !slice_to_cstr(path, text, sizeof text) || access(text, R_OK) == 0)
		return;
	snprintf(label, sizeof label, "option %s", option);
	conf_warning(problems, (struct conf_place){ 0 }, slice_of(label), "%s cannot be read: %s", text,
		     errno == ENOENT   ? "there is no such file"
		     : errno == EACCES ? "permission denied to this user"
				       : "it is not accessible");
}

/* What only a look at the files can tell. Not errors: the server may be checked on another machine than it runs on. */
static void check_files(const char *file, const struct conf *conf, struct conf_problems *problems)
{
	struct tls_want wants[TLS_WANTS_MAX];
	struct stat status;
	struct arena arena;
	/* Exim refuses such a file; who can write to it decides which user deliveries run as. */
	if (conf->root && stat(file, &status) == 0 && S_ISREG(status.st_mode) && (status.st_uid != 0 || (status.st_mode & 022)))
		conf_warning(problems, (struct conf_place){ slice_of(file), 0, { 0 } }, (struct slice){ 0 },
			     "others than root can change this file, and with it what a server started as root does");
	arena_init(&arena, 0);
	size_t count = tls_wants_of(conf, &arena, wants);
	for (size_t i = 0; i < count; i++) {
		if (wants[i].spared)
			continue; /* check_proofs looks into them */
		check_file(wants[i].option, wants[i].path, problems);
		if (conf->main.tls_privatekey)
			check_file("tls_privatekey", wants[i].key_path, problems);
	}
	arena_free(&arena);
}

static void print_names(const char *what, const struct conf_block *blocks, size_t count)
{
	printf("  %s:", what);
	for (size_t i = 0; i < count; i++)
		printf("%s %.*s (%.*s)", i ? "," : "", SLICE_ARG(blocks[i].name), SLICE_ARG(blocks[i].driver));
	printf("%s\n", count ? "" : " none");
}

static void print_summary(const char *file, const struct conf *conf)
{
	bool tls = conf->main.tls_certificate != NULL;
	printf("%s: configuration is valid\n", file);
	printf("  host: %.*s, TLS %s\n", SLICE_ARG(conf->main.primary_hostname),
	       tls ? "with a certificate" : "off: no tls_certificate");
	printf("  listens on:");
	for (size_t i = 0; i < conf->listener_count; i++)
		printf("%s %s%s", i ? "," : "", net_address_text_port(&conf->listeners[i].address).text,
		       conf->listeners[i].tls_on_connect ? " (TLS on connect)" : "");
	printf("%s\n", conf->listener_count ? "" : " nothing");
	print_names("routers", conf->router_blocks, conf->router_count);
	print_names("transports", conf->transport_blocks, conf->transport_count);
	if (conf->authenticator_count)
		print_names("authenticators", conf->authenticator_blocks, conf->authenticator_count);
	if (!conf->router_count)
		printf("  no address is accepted: there is no router\n");
	char walls[256];
	sandbox_describe(walls, sizeof walls);
	printf("  sandbox of the roles: %s\n", walls);
}

static bool json_problems(struct buf *out, const struct conf_problems *problems)
{
	bool fits = json_name(out, "problems") && buf_append_byte(out, '[');
	for (size_t i = 0; fits && i < problems->count; i++)
		fits = buf_printf(out, "%s\n  {", i ? "," : "") && command_problem_json(&problems->items[i], out) && buf_append_byte(out, '}');
	return fits && buf_append_byte(out, ']');
}

static bool json_names(struct buf *out, const char *name, const struct conf_block *blocks, size_t count)
{
	bool fits = buf_append(out, SLICE(",\n ")) && json_name(out, name) && buf_append_byte(out, '[');
	for (size_t i = 0; fits && i < count; i++)
		fits = (!i || buf_append_byte(out, ',')) && json_string(out, blocks[i].name);
	return fits && buf_append_byte(out, ']');
}

static bool json_summary(struct buf *out, const char *file, const struct conf *conf, const struct conf_problems *problems)
{
	bool fits = buf_append(out, SLICE("{")) && json_name(out, "file") && json_string(out, slice_of(file)) &&
		    buf_append(out, SLICE(",\n ")) && json_name(out, "valid") &&
		    buf_printf(out, "%s,\n ", conf ? "true" : "false") && json_problems(out, problems);
	if (conf) {
		fits = fits && buf_append(out, SLICE(",\n ")) && json_name(out, "listeners") && buf_append_byte(out, '[');
		for (size_t i = 0; fits && i < conf->listener_count; i++) {
			const struct conf_listener *listener = &conf->listeners[i];
			fits = buf_printf(out, "%s\n  {\"address\":\"%s\",\"port\":%u,\"tls_on_connect\":%s}", i ? "," : "",
					  net_address_text(&listener->address).text, listener->address.port,
					  listener->tls_on_connect ? "true" : "false");
		}
		fits = fits && buf_append_byte(out, ']') &&
		       json_names(out, "routers", conf->router_blocks, conf->router_count) &&
		       json_names(out, "transports", conf->transport_blocks, conf->transport_count) &&
		       json_names(out, "authenticators", conf->authenticator_blocks, conf->authenticator_count);
	}
	return fits && buf_append(out, SLICE("}\n"));
}

static bool json_block(struct buf *out, const struct conf_block *block, bool privileged, struct slice only)
{
	bool fits = buf_append_byte(out, '{'), first = true;
	struct buf value;
	for (size_t i = 0; fits && i < block->setting_count; i++) {
		const struct conf_setting *setting = &block->settings[i];
		if (only.len && !slice_equal(only, slice_of(setting->option->name)))
			continue;
		buf_init(&value, OUTPUT_MAX);
		fits = buf_append(out, first ? SLICE("\n ") : SLICE(",\n ")) && json_name(out, setting->option->name) &&
		       conf_setting_value(setting, privileged, &value);
		first = false;
		bool bare = setting->option->type == CONF_BOOL && (privileged || !setting->hidden);
		fits = fits && (!setting->text.data ? buf_append(out, SLICE("null"))
				: bare ? buf_append(out, buf_slice(&value))
						    : json_string(out, buf_slice(&value)));
		buf_free(&value);
	}
	return fits && buf_append(out, SLICE("}\n"));
}

/* --print --json: an object of the options' values; the names are those of --print. */
static bool print_json(const struct conf *conf, struct slice name, struct slice instance, bool privileged, struct buf *out,
		       struct error *error)
{
	const struct {
		const char *word;
		const struct conf_block *blocks;
		size_t count;
	} kinds[] = {
		{ "router", conf->router_blocks, conf->router_count },
		{ "transport", conf->transport_blocks, conf->transport_count },
		{ "authenticator", conf->authenticator_blocks, conf->authenticator_count },
	};
	for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
		if (!instance.len || !slice_equal(name, slice_of(kinds[k].word)))
			continue;
		for (size_t i = 0; i < kinds[k].count; i++)
			if (slice_equal(kinds[k].blocks[i].name, instance))
				return json_block(out, &kinds[k].blocks[i], privileged, (struct slice){ 0 });
		return error_set(error, ERROR_USAGE, "there is no %.*s %.*s", SLICE_ARG(name),
				 SLICE_ARG(slice_first(instance, 64)));
	}
	if (!name.len || slice_equal(name, SLICE("all")))
		return json_block(out, &conf->main_block, privileged, (struct slice){ 0 });
	if (!conf_option_find(conf_table(CONF_TABLE_MAIN), name))
		return error_set(error, ERROR_USAGE,
				 "%.*s: with --json, expected an option of the main section, or \"router\", "
				 "\"transport\" or \"authenticator\" and a name",
				 SLICE_ARG(slice_first(name, 64)));
	return json_block(out, &conf->main_block, privileged, name);
}

static int write_out(struct buf *out, bool complete)
{
	if (complete && (!buf_len(out) || fwrite(buf_slice(out).data, buf_len(out), 1, stdout) == 1) && fflush(stdout) == 0)
		return COMMAND_DONE;
	fprintf(stderr, "postern check: %s\n", complete ? "the output cannot be written" : "the output is too long");
	return COMMAND_TEMPORARY;
}

static bool takes_instance(struct slice name)
{
	static const char *const kinds[] = { "router", "transport", "authenticator", "macro" };
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (slice_equal(name, slice_of(kinds[i])))
			return true;
	return false;
}

static int print_values(const struct options *options, const struct conf *conf, char **names)
{
	bool privileged = geteuid() == 0;
	unsigned flags = (privileged ? CONF_PRINT_PRIVILEGED : 0) | (options->bare ? CONF_PRINT_BARE : 0);
	int status = COMMAND_DONE;
	struct buf out;
	buf_init(&out, OUTPUT_MAX);
	for (int i = 0; status == COMMAND_DONE && (i == 0 || names[i]); i++) {
		struct slice name = slice_of(names[i]), instance = { 0 };
		struct error error = { 0 };
		if (takes_instance(name) && names[i + 1])
			instance = slice_of(names[++i]);
		bool done = options->json ? print_json(conf, name, instance, privileged, &out, &error) :
					    conf_print(conf, name, instance, flags, &out, &error);
		if (!done) {
			fprintf(stderr, "postern check: %s\n", *error.text ? error.text : "the output is too long");
			status = COMMAND_USAGE;
		}
		if (!names[0])
			break;
	}
	if (status == COMMAND_DONE)
		status = write_out(&out, true);
	buf_free(&out);
	return status;
}

static int print_reference(void)
{
	struct buf out;
	buf_init(&out, OUTPUT_MAX);
	int status = write_out(&out, conf_reference(&out));
	buf_free(&out);
	return status;
}

static int print_manual_page(const char *name)
{
	bool program = strcmp(name, "postern") == 0;
	if (!program && strcmp(name, "postern.conf") != 0)
		return command_usage_error(&command_check, "--man %s: there are the pages postern and postern.conf", name);
	struct buf out;
	buf_init(&out, OUTPUT_MAX);
	int status = write_out(&out, program ? commands_manual_page(&out) : conf_manual_page(&out));
	buf_free(&out);
	return status;
}

static void check_tls(const struct conf *conf, struct conf_problems *problems)
{
	struct check_certificates certificates;
	check_certificates_read(&certificates, conf, problems);
	check_proofs(conf, &certificates, problems);
	check_certificates_free(&certificates);
}

static int check(const struct options *options, char **names)
{
	const char *file = command_configuration_file(&options->configuration);
	struct conf_problems problems;
	conf_problems_init(&problems);
	struct conf *conf = command_read_configuration(&options->configuration, &problems, NULL);
	int status = conf ? COMMAND_DONE : COMMAND_USAGE;
	if (conf && !options->print) {
		check_files(file, conf, &problems);
		check_tls(conf, &problems);
	}
	if (options->json && !(options->print && conf)) {
		struct buf out;
		buf_init(&out, OUTPUT_MAX);
		int written = write_out(&out, json_summary(&out, file, conf, &problems));
		buf_free(&out);
		status = written ? written : status;
	} else if (!conf || !options->print) {
		command_print_problems(&problems);
	}
	if (conf && options->print)
		status = print_values(options, conf, names);
	else if (conf && !options->json)
		print_summary(file, conf);
	else if (!conf && !options->json)
		fprintf(stderr, "%s: %zu error%s, %zu warning%s\n", file, problems.errors, problems.errors == 1 ? "" : "s",
			problems.warnings, problems.warnings == 1 ? "" : "s");
	conf_unref(&conf);
	conf_problems_free(&problems);
	return status;
}

static int run(int argc, char **argv)
{
	static const struct option names[] = {
		{ "print", no_argument, NULL, 'p' },
		{ "json", no_argument, NULL, 'j' },
		{ "reference", no_argument, NULL, 'r' },
		{ "bare", no_argument, NULL, 'b' },
		{ "man", required_argument, NULL, 'm' },
		{ 0 },
	};
	struct options options = { 0 };
	struct error error;
	int option;
	optind = 0;
	opterr = 0;
	while ((option = getopt_long(argc, argv, "c:D:", names, NULL)) != -1) {
		if (option == 'c')
			options.configuration.file = optarg;
		else if (option == 'D' && !command_add_macro(&options.configuration, optarg, &error))
			return command_usage_error(&command_check, "%s", error.text);
		else if (option == '?')
			return command_usage_error(&command_check, "unknown option or missing value: %s", argv[optind - 1]);
		else if (option == 'm')
			options.man = optarg;
		options.print |= option == 'p';
		options.json |= option == 'j';
		options.bare |= option == 'b';
		options.reference |= option == 'r';
	}
	if (optind < argc && !options.print)
		return command_usage_error(&command_check, "unexpected argument \"%s\"", argv[optind]);
	if (options.man)
		return print_manual_page(options.man);
	return options.reference ? print_reference() : check(&options, argv + optind);
}

const struct command command_check = {
	.name = "check",
	.run = run,
	.summary = "check the configuration: every error, every warning",
	.usage = "[-c FILE] [-D NAME=text] [--print [--bare] [OPTION | router NAME | transport NAME | macro NAME | +LIST ...]] [--json] "
		 "[--reference] [--man PAGE]",
	.help = "  -c FILE       the configuration; otherwise $POSTERN_CONF, or /etc/postern/postern.conf\n"
		"  -D NAME=text  define a macro, whatever the file defines\n"
		"  --print       print values instead: all of the main section, or those named; also possible are "
		"routers, router_list,\n"
		"                transports, transport_list, macros, macro_list, config (all as it was read), config_file, "
		"environment\n"
		"  --bare        with --print: the values without their names\n"
		"  --json        print for programs\n"
		"  --reference   print the manual of the configuration\n"
		"  --man PAGE    print the manual page postern or postern.conf, for man(1)\n",
};

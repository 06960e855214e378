/* SPDX-License-Identifier: ISC */
/* postern tlsa: the TLSA records of a certificate, for a zone file (RFC 6698, RFC 7671). The check of published ones is tlsa_check.c. */
#include "cli/tlsa_command.h"

#include "base/clock.h"
#include "cli/cert_files.h"
#include "cli/json.h"
#include "tls/tlsa_guard.h"

#include <getopt.h>
#include <string.h>

enum { OUTPUT_MAX = 16 * 1024 * 1024, TIME_LIMIT = 30, TIME_LIMIT_MAX = 600 };

STACK_OF(X509) *tlsa_read_chain(const char *path, struct error *error)
{
	struct buf text;
	buf_init(&text, CHAIN_TEXT_MAX + 16384);
	STACK_OF(X509) *chain = cert_file_read(path, &text, error) ? chain_parse(buf_slice(&text), path, error) : NULL;
	/* The file may have the key in it. */
	if (text.data)
		explicit_bzero(text.data, text.size);
	buf_free(&text);
	return chain;
}

/* ---- The records of a certificate ---- */

struct printing {
	const struct tlsa_command *command;
	struct arena arena;
	struct buf out;
	size_t count;
};

/*
 * Usages 1 and 3 are about the server's own certificate, 0 and 2 about an authority: the last one of the chain, for it stays the
 * longest. A chain that is an authority's alone gives that.
 */
static X509 *subject_of(STACK_OF(X509) *chain, unsigned usage)
{
	X509 *last = sk_X509_value(chain, sk_X509_num(chain) - 1);
	if (usage == TLSA_PKIX_EE || usage == TLSA_DANE_EE)
		return sk_X509_value(chain, 0);
	return chain_is_authority(last) ? last : NULL;
}

static void print_record(struct printing *printing, struct slice host, const struct tlsa_record *record)
{
	struct slice owner = tlsa_owner(host, printing->command->port, &printing->arena);
	struct slice text = tlsa_text(record, &printing->arena);
	if (!printing->command->json) {
		buf_printf(&printing->out, "%.*s. IN TLSA %.*s\n", SLICE_ARG(owner), SLICE_ARG(text));
		return;
	}
	buf_append(&printing->out, printing->count++ ? SLICE(",") : SLICE(""));
	buf_append(&printing->out, SLICE("{\"owner\":"));
	json_string(&printing->out, owner);
	buf_printf(&printing->out, ",\"usage\":%u,\"selector\":%u,\"matching\":%u,\"names\":", record->usage, record->selector,
		   record->matching);
	json_string(&printing->out, tlsa_names(record, &printing->arena));
	buf_append(&printing->out, SLICE(",\"data\":"));
	json_string(&printing->out, slice_from(text, 6));
	buf_append_byte(&printing->out, '}');
}

/* All that are wanted for one host; false with *error when the chain has not what a usage is about. */
static bool print_host(struct printing *printing, STACK_OF(X509) *chain, struct slice host, struct error *error)
{
	enum { COMBINATIONS = TLSA_USAGES * TLSA_SELECTORS * TLSA_MATCHINGS };
	const struct tlsa_command *command = printing->command;
	for (uint8_t i = 0; i < COMBINATIONS; i++) {
		struct tlsa_record record = {
			.usage = i / (TLSA_SELECTORS * TLSA_MATCHINGS), .selector = i / TLSA_MATCHINGS % TLSA_SELECTORS,
			.matching = i % TLSA_MATCHINGS,
		};
		if (!command->wanted[0][record.usage] || !command->wanted[1][record.selector] || !command->wanted[2][record.matching])
			continue;
		X509 *subject = subject_of(chain, record.usage);
		if (!subject)
			return error_set(error, ERROR_USAGE, "%.200s does not end in an authority's certificate, which usage %u is about; "
					 "give the whole chain, or --usage 3", command->source, record.usage);
		record.data = tlsa_data(subject, record.selector, record.matching, &printing->arena);
		print_record(printing, host, &record);
	}
	return true;
}

/* Those asked for, or the DNS names of the certificate. */
static size_t hosts_of(const struct tlsa_command *command, STACK_OF(X509) *chain, struct arena *arena, struct slice *hosts)
{
	struct net_address address;
	size_t count = 0;
	for (; count < command->host_count; count++)
		hosts[count] = slice_of(command->hosts[count]);
	if (count)
		return count;
	size_t all = chain_names(sk_X509_value(chain, 0), arena, hosts);
	for (size_t i = 0; i < all; i++)
		if (hosts[i].data[0] != '*' && !net_address_parse(hosts[i], &address))
			hosts[count++] = hosts[i];
	return count;
}

static bool print_chain(struct printing *printing, STACK_OF(X509) *chain, struct error *error)
{
	struct slice hosts[CHAIN_NAMES_MAX];
	const struct tlsa_command *command = printing->command;
	size_t count = hosts_of(command, chain, &printing->arena, hosts);
	if (!count)
		return error_set(error, ERROR_USAGE, "%.200s names no host; say with --host which one it is for", command->source);
	if (command->json)
		buf_append_byte(&printing->out, '[');
	for (size_t i = 0; i < count; i++)
		if (!print_host(printing, chain, hosts[i], error))
			return false;
	return !command->json || buf_append(&printing->out, SLICE("]\n"));
}

static int print_records(const struct tlsa_command *command)
{
	struct error error = { 0 };
	struct printing printing = { .command = command };
	arena_init(&printing.arena, 0);
	buf_init(&printing.out, OUTPUT_MAX);
	STACK_OF(X509) *chain = tlsa_read_chain(command->source, &error);
	bool good = chain && print_chain(&printing, chain, &error);
	if (good)
		fwrite(printing.out.data + printing.out.start, 1, buf_len(&printing.out), stdout);
	else
		fprintf(stderr, "postern tlsa: %s\n", error.text);
	if (good && (command->wanted[0][TLSA_PKIX_TA] || command->wanted[0][TLSA_PKIX_EE]))
		fprintf(stderr, "postern tlsa: note: mail servers pass over usages 0 and 1 (RFC 7672, section 3.1.3)\n");
	chain_free(&chain);
	buf_free(&printing.out);
	arena_free(&printing.arena);
	return good ? COMMAND_DONE : error.kind == ERROR_TEMPORARY ? COMMAND_TEMPORARY : COMMAND_USAGE;
}

/* ---- Arguments ---- */

/* "3", "DANE-EE", "2,3", "all". */
static bool take_field(struct tlsa_command *command, unsigned field, const char *value, struct error *error)
{
	static const char *const options[] = { "usage", "selector", "matching" };
	static const uint8_t counts[] = { TLSA_USAGES, TLSA_SELECTORS, TLSA_MATCHINGS };
	struct slice rest = slice_of(value);
	uint8_t number = 0;
	if (slice_equal_nocase(rest, SLICE("all"))) {
		for (uint8_t i = 0; i < counts[field]; i++)
			command->wanted[field][i] = true;
		return true;
	}
	do {
		if (!tlsa_field_parse(field, slice_trim(slice_cut(&rest, ',')), &number))
			return error_set(error, ERROR_USAGE, "--%s %.40s: expected numbers from 0 to %u, their names, or all", options[field],
					 value, counts[field] - 1u);
		command->wanted[field][number] = true;
	} while (rest.len);
	return true;
}

/* Records hang on a name, never on an address (RFC 6698 §3). */
static bool is_host(const char *text)
{
	struct net_address address;
	size_t len = strlen(text);
	for (size_t i = 0; i < len; i++)
		if (!ascii_is_alnum(text[i]) && !strchr("-_.", text[i]))
			return false;
	return len && len < PROBE_HOST_MAX && !net_address_parse(slice_of(text), &address);
}

static bool take(struct tlsa_command *command, int option, const char *value, struct error *error)
{
	uint64_t number;
	struct slice text = slice_of(value);
	switch (option) {
	case 'u': return take_field(command, 0, value, error);
	case 's': return take_field(command, 1, value, error);
	case 'm': return take_field(command, 2, value, error);
	case 'k': return command->check = true;
	case 'j': return command->json = true;
	case 'n': command->next = value; return true;
	case 'c':
	case 'C': command->configuration.file = value; return true;
	case 'D': return command_add_macro(&command->configuration, value, error);
	case 'p':
		if (!slice_parse_u64(text, 65535, &number) || !number)
			return error_set(error, ERROR_USAGE, "--port %.20s: expected a number from 1 to 65535", value);
		command->port = (uint16_t)number;
		return true;
	case 'h':
		if (!is_host(value) || command->host_count == TLSA_HOSTS_MAX)
			return error_set(error, ERROR_USAGE, "--host %.100s: expected the name of a host, at most %d", value, TLSA_HOSTS_MAX);
		command->hosts[command->host_count++] = value;
		return true;
	case 't':
		return probe_parse_start(text, &command->target.start) ||
		       error_set(error, ERROR_USAGE, "--starttls %.40s: expected smtp or none", value);
	case 'a':
		if (command->target.address_count == PROBE_ADDRESSES_MAX ||
		    !net_address_parse(text, &command->target.addresses[command->target.address_count]))
			return error_set(error, ERROR_USAGE, "--address %.60s: expected an IP address", value);
		command->target.address_count++;
		return true;
	case 'l':
		if (!slice_parse_u64(text, TIME_LIMIT_MAX, &number) || !number)
			return error_set(error, ERROR_USAGE, "--timeout %.20s: expected seconds, 1 to %d", value, TIME_LIMIT_MAX);
		command->time_limit = (int64_t)number * CLOCK_SECOND;
		return true;
	default: return error_set(error, ERROR_USAGE, "unknown option or missing value");
	}
}

static bool settle(struct tlsa_command *command, struct error *error)
{
	static const uint8_t defaults[] = { TLSA_DANE_EE, TLSA_PUBLIC_KEY, TLSA_SHA256 };
	for (unsigned field = 0; field < 3; field++) {
		bool any = false;
		for (unsigned i = 0; i < 4; i++)
			any = any || command->wanted[field][i];
		command->wanted[field][defaults[field]] = command->wanted[field][defaults[field]] || !any;
	}
	if (command->check && (!probe_parse(slice_of(command->source), &command->target) || !is_host(command->target.host)))
		return error_set(error, ERROR_USAGE, "--check %.100s: expected HOST:PORT, with the name of a host; --address says where it is", command->source);
	if (!command->check && command->next)
		return error_set(error, ERROR_USAGE, "--certificate is for --check");
	return true;
}

static int run(int argc, char **argv)
{
	static const struct option names[] = {
		{ "usage", required_argument, NULL, 'u' },   { "selector", required_argument, NULL, 's' },
		{ "matching", required_argument, NULL, 'm' }, { "port", required_argument, NULL, 'p' },
		{ "host", required_argument, NULL, 'h' },    { "json", no_argument, NULL, 'j' },
		{ "check", no_argument, NULL, 'k' },         { "certificate", required_argument, NULL, 'n' },
		{ "starttls", required_argument, NULL, 't' }, { "address", required_argument, NULL, 'a' },
		{ "timeout", required_argument, NULL, 'l' }, { 0 },
	};
	struct tlsa_command command = { .port = 25, .time_limit = TIME_LIMIT * CLOCK_SECOND };
	struct error error = { 0 };
	int option;
	optind = 0;
	opterr = 0;
	while ((option = getopt_long(argc, argv, "c:C:D:", names, NULL)) != -1)
		if (!take(&command, option, optarg, &error))
			return command_usage_error(&command_tlsa, "%s%s%s", error.text, option == '?' ? ": " : "",
						   option == '?' ? argv[optind - 1] : "");
	if (optind + 1 != argc)
		return command_usage_error(&command_tlsa, "expected one certificate's file, or --check and HOST:PORT");
	command.source = argv[optind];
	if (!settle(&command, &error))
		return command_usage_error(&command_tlsa, "%s", error.text);
	return command.check ? tlsa_check(&command) : print_records(&command);
}

const struct command command_tlsa = {
	.name = "tlsa",
	.run = run,
	.summary = "print TLSA records, and check published ones",
	.usage = "[OPTIONS] CERTIFICATE | --check [OPTIONS] HOST:PORT",
	.help = "CERTIFICATE         a file in PEM or DER: its records for a zone file. Usages 0 and 2 take the last certificate of its chain\n"
		"  --usage N         0 to 3, or PKIX-TA, PKIX-EE, DANE-TA, DANE-EE; several with commas, or all; 3 if not given\n"
		"  --selector N      0 the whole certificate, 1 the public key; 1 if not given\n"
		"  --matching N      0 everything, 1 SHA-256, 2 SHA-512; 1 if not given\n"
		"  --host HOST       the server; several times for several; the names in the certificate if not given\n"
		"  --port PORT       25 if not given\n"
		"  --json            as JSON, also with --check\n"
		"--check HOST:PORT   compares what the server shows with what the DNS has (exit 0: it fits; 1: it does not, or clients could\n"
		"                    not use it; 75: the DNS or the server gave no answer)\n"
		"  --certificate FILE  the next certificate too: what to publish before it is taken into use, and when that is safe.\n"
		"                    Exit 1 when it would break DANE; where nothing is published nothing can break\n"
		"  --starttls smtp|none  TLS behind STARTTLS or at once; by the port if not given\n"
		"  --address ADDRESS where to connect, instead of what the DNS says; several times for several\n"
		"  --timeout SECONDS for all of it; 30 if not given\n"
		"  -c FILE           a configuration, for its dns_config_file and its like; the system's resolver if there is none\n"
		"  -D NAME=text      define a macro of it\n",
};

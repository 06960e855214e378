/* SPDX-License-Identifier: ISC */
/* postern cert: makes certificates (self-signed, or by a small authority of one's own), and shows what one says. */
#include "cli/cert_show.h"

#include "cli/cert_files.h"
#include "net/address.h"
#include "tls/issue.h"

#include <getopt.h>
#include <openssl/pem.h>

enum { DAYS_MAX = 36500, DAYS_SERVER = 825, DAYS_AUTHORITY = 3650 };

/* What the two commands that make certificates are told. */
struct making {
	struct issue_request request;
	struct slice names[ISSUE_NAMES_MAX];
	const char *out, *authority;
	bool force;
};

static bool is_domain(struct slice name)
{
	if (slice_starts(name, SLICE("*.")))
		name = slice_from(name, 2);
	if (!name.len || name.len > 253)
		return false;
	while (name.len) {
		size_t dot = slice_find(name, '.');
		struct slice label = slice_first(name, dot);
		if (!label.len || label.len > 63 || label.data[0] == '-' || label.data[label.len - 1] == '-')
			return false;
		for (size_t i = 0; i < label.len; i++)
			if (!ascii_is_alnum(label.data[i]) && label.data[i] != '-' && label.data[i] != '_')
				return false;
		name = slice_from(name, dot + 1);
	}
	return true;
}

/* A local part of plain characters; others gain nothing in a certificate. */
static bool is_mail_address(struct slice name)
{
	size_t at = slice_find(name, '@');
	for (size_t i = 0; i < at; i++)
		if (!ascii_is_print(name.data[i]) || name.data[i] == ' ')
			return false;
	return at > 0 && at <= 64 && at < name.len && is_domain(slice_from(name, at + 1));
}

static bool check_names(const struct making *making, struct error *error)
{
	struct net_address address;
	bool authority = making->request.purpose == ISSUE_AUTHORITY;
	if (authority && making->request.count != 1)
		return error_set(error, ERROR_USAGE, "an authority has one name");
	for (size_t i = 0; i < making->request.count; i++) {
		struct slice name = making->names[i];
		bool good = authority ? name.len > 0 && name.len <= 64 :
					is_domain(name) || net_address_parse(name, &address) ||
						(making->request.purpose == ISSUE_CLIENT && is_mail_address(name));
		if (!good)
			return error_set(error, ERROR_USAGE, "--name %.100s: expected %s", name.data,
					 authority ? "a name of at most 64 characters" :
						     "a host name of letters, digits, hyphens and dots (for others, its form that "
						     "begins with xn--), an IP address, or with --client a mail address");
	}
	return true;
}

/* Takes one option; false with *error. */
static bool take(struct making *making, int option, const char *value, struct error *error)
{
	uint64_t number;
	switch (option) {
	case 'n':
		if (making->request.count == ISSUE_NAMES_MAX)
			return error_set(error, ERROR_USAGE, "more than %d names", ISSUE_NAMES_MAX);
		making->names[making->request.count++] = slice_of(value);
		return true;
	case 'd':
		if (!slice_parse_u64(slice_of(value), DAYS_MAX, &number) || !number)
			return error_set(error, ERROR_USAGE, "--days %.20s: expected a number from 1 to %d", value, DAYS_MAX);
		making->request.days = (int)number;
		return true;
	case 'r': making->request.key = ISSUE_RSA; return true;
	case 'e': making->request.key = ISSUE_ED25519; return true;
	case 's': making->request.must_staple = true; return true;
	case 'c': making->request.purpose = ISSUE_CLIENT; return true;
	case 'a': making->authority = value; return true;
	case 'o': making->out = value; return true;
	case 'f': making->force = true; return true;
	default: return error_set(error, ERROR_USAGE, "unknown option or missing value");
	}
}

static const struct option making_options[] = {
	{ "name", required_argument, NULL, 'n' },    { "days", required_argument, NULL, 'd' }, { "out", required_argument, NULL, 'o' },
	{ "ca", required_argument, NULL, 'a' },      { "rsa", no_argument, NULL, 'r' },        { "ed25519", no_argument, NULL, 'e' },
	{ "must-staple", no_argument, NULL, 's' },   { "client", no_argument, NULL, 'c' },     { "force", no_argument, NULL, 'f' }, { 0 },
};

/* Reads the authority and its key into the request. */
static bool open_authority(struct making *making, struct error *error)
{
	struct buf text;
	char where[CERT_PATH_MAX];
	buf_init(&text, CHAIN_TEXT_MAX + 16384);
	_cleanup_chain_ STACK_OF(X509) *chain = NULL;
	if (cert_file_read(making->authority, &text, error))
		chain = chain_parse(buf_slice(&text), making->authority, error);
	bool good = chain != NULL;
	X509 *certificate = good ? sk_X509_value(chain, 0) : NULL;
	if (good && !chain_is_authority(certificate))
		good = error_set(error, ERROR_USAGE, "%.200s is no authority's certificate (CA:FALSE); \"postern cert ca\" makes one",
				 making->authority);
	if (good && !(making->request.issuer_key = cert_key_find(making->authority, buf_slice(&text), where, sizeof where)))
		good = error_set(error, ERROR_USAGE, "there is no private key for %.200s, neither in it nor in %.200s",
				 making->authority, where);
	if (good && X509_check_private_key(certificate, making->request.issuer_key) != 1)
		good = error_set(error, ERROR_USAGE, "the key in %.200s is not that of %.200s", where, making->authority);
	if (good && X509_up_ref(certificate))
		making->request.issuer = certificate;
	if (text.data)
		explicit_bzero(text.data, text.size);
	buf_free(&text);
	return good;
}

static bool append_issuer(const struct making *making, struct buf *out, struct error *error)
{
	/* Served with the authority: RFC 7671 §5.2.2 wants it there for DANE-TA. */
	char *data;
	BIO *bio = BIO_new(BIO_s_mem());
	bool good = bio && PEM_write_bio_X509(bio, making->request.issuer);
	long len = good ? BIO_get_mem_data(bio, &data) : 0;
	good = good && buf_append(out, slice_make(data, (size_t)len));
	BIO_free(bio);
	return good || error_set(error, ERROR_PERMANENT, "writing the authority's certificate");
}

static bool make_files(struct making *making, struct cert_paths *paths, struct error *error)
{
	X509 *certificate = NULL;
	EVP_PKEY *key = NULL;
	struct buf text, secret;
	const char *name = making->request.purpose == ISSUE_AUTHORITY ? "ca" : making->request.purpose == ISSUE_CLIENT ? "client" : "cert";
	buf_init(&text, 1 << 18);
	buf_init(&secret, 1 << 16);
	bool good = cert_paths_make(making->out, name, paths, error) && issue_certificate(&making->request, &certificate, &key, error) &&
		    issue_write(certificate, key, &text, &secret, error) &&
		    (!making->request.issuer || append_issuer(making, &text, error)) &&
		    cert_files_write(paths, buf_slice(&text), buf_slice(&secret), making->force, error);
	if (secret.data)
		explicit_bzero(secret.data, secret.size);
	buf_free(&text);
	buf_free(&secret);
	X509_free(certificate);
	EVP_PKEY_free(key);
	return good;
}

static int status_of(const struct error *error)
{
	return error->kind == ERROR_TEMPORARY ? COMMAND_TEMPORARY : error->kind == ERROR_USAGE ? COMMAND_USAGE : COMMAND_NO;
}

/* What the options say together; the kind of certificate follows from them. */
static bool settle(struct making *making, bool self_signed, struct error *error)
{
	struct issue_request *request = &making->request;
	if (self_signed && making->authority)
		return error_set(error, ERROR_USAGE, "--ca is for \"postern cert ca\"");
	bool authority = !self_signed && !making->authority;
	if (authority && (request->purpose == ISSUE_CLIENT || request->must_staple))
		return error_set(error, ERROR_USAGE, "--client and --must-staple need --ca and the authority that shall sign");
	if (authority) {
		request->purpose = ISSUE_AUTHORITY;
		if (!request->count)
			making->names[request->count++] = SLICE("Postern private authority");
	}
	if (!request->count)
		return error_set(error, ERROR_USAGE, "expected --name and a name that the certificate is for");
	if (!making->out)
		return error_set(error, ERROR_USAGE, "expected --out and a directory or file");
	if (!request->days)
		request->days = authority ? DAYS_AUTHORITY : DAYS_SERVER;
	return check_names(making, error);
}

static int make(int argc, char **argv, bool self_signed)
{
	struct making making = { 0 };
	struct cert_paths paths;
	struct error error = { 0 };
	int option;
	optind = 0;
	opterr = 0;
	making.request.names = making.names;
	while ((option = getopt_long(argc, argv, "", making_options, NULL)) != -1)
		if (!take(&making, option, optarg, &error))
			return command_usage_error(&command_cert, "%s%s%s", error.text, option == '?' ? ": " : "",
						   option == '?' ? argv[optind - 1] : "");
	if (optind < argc)
		return command_usage_error(&command_cert, "unexpected argument %s", argv[optind]);
	if (!settle(&making, self_signed, &error))
		return command_usage_error(&command_cert, "%s", error.text);
	bool good = (!making.authority || open_authority(&making, &error)) && make_files(&making, &paths, &error);
	X509_free(making.request.issuer);
	EVP_PKEY_free(making.request.issuer_key);
	if (!good) {
		fprintf(stderr, "postern cert: %s\n", error.text);
		return status_of(&error);
	}
	printf("%s\n%s\n", paths.certificate, paths.key);
	return COMMAND_DONE;
}

static int run(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	if (strcmp(what, "self-signed") == 0)
		return make(argc - 1, argv + 1, true);
	if (strcmp(what, "ca") == 0)
		return make(argc - 1, argv + 1, false);
	if (strcmp(what, "show") == 0)
		return cert_show(argc - 1, argv + 1);
	return command_usage_error(&command_cert, "expected self-signed, ca or show");
}

const struct command command_cert = {
	.name = "cert",
	.run = run,
	.summary = "make and show certificates",
	.usage = "self-signed|ca [OPTIONS] --out PATH | show [--json] [--key FILE] [--starttls smtp|none] FILE|HOST:PORT",
	.help = "self-signed      a key and a certificate that signs itself\n"
		"ca               a private authority, for tests and internal use; with --ca, a certificate signed by it\n"
		"  --name NAME    a host name or IP address that the certificate is for; several times for several. With --client also\n"
		"                 a mail address; for an authority its name\n"
		"  --out PATH     a directory (cert.pem, ca.pem or client.pem, and the key beside it), or the certificate's file;\n"
		"                 the key's file has its name with .key for the ending\n"
		"  --ca FILE      the authority that signs; its key is in FILE, or beside it with the ending .key\n"
		"  --client       a client's certificate, not a server's\n"
		"  --days N       how long it is valid: 825, an authority 3650 if not given; never longer than who signs\n"
		"  --rsa, --ed25519  another key than ECDSA P-256\n"
		"  --must-staple  clients shall insist on a proof of OCSP (RFC 7633)\n"
		"  --force        replace files that are there\n"
		"show             what a chain says, in the order served; exit 1 when it is out of date or order, or its key is another\n"
		"  FILE           certificates in PEM or DER; a key in the file, or beside it with the ending .key, is compared\n"
		"  --key FILE     that key instead\n"
		"  HOST:PORT      a server's; TLS begins at once but for ports 25, 587 and the like, unless --starttls says\n"
		"  --json         as JSON\n",
};

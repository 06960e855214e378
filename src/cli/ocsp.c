/* SPDX-License-Identifier: ISC */
/* postern ocsp: fetches a proof from the certificate's responder, prints one, and says what a server would make of it. */
#include "cli/command.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "cli/json.h"
#include "cli/ocsp_show.h"
#include "conf/value.h"
#include "net/http.h"

#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OUTPUT_MAX = 4 * 1024 * 1024, CERTIFICATE_FILE_MAX = 1024 * 1024, REQUEST_SECONDS = 30 };

struct options {
	struct command_configuration configuration;
	const char *url, *issuer, *out, *certificate;
	bool json;
};

/* A certificate with what is known of who issued it. */
struct subject {
	STACK_OF(X509) *chain;
	X509 *certificate, *issuer; /* of the chain; the issuer may be NULL */
	STACK_OF(X509) *issuers;    /* of --issuer */
};

static int fail(int status, const char *text)
{
	fprintf(stderr, "postern ocsp: %s\n", text);
	return status;
}

/* ---- Files ---- */

static bool read_file(const char *path, size_t max, struct buf *text, struct error *error)
{
	_cleanup_file_ FILE *file = fopen(path, "re");
	if (!file)
		return error_set_errno(error, errno, "opening %s", path);
	buf_init(text, max + 4096);
	for (char *room; buf_len(text) <= max && (room = buf_reserve(text, 4096));) {
		size_t n = fread(room, 1, 4096, file);
		buf_commit(text, n);
		if (n == 0)
			break;
	}
	bool failed = ferror(file) != 0, large = buf_len(text) > max;
	if (!failed && !large)
		return true;
	buf_free(text);
	return large ? error_set(error, ERROR_USAGE, "%s is larger than %zu bytes", path, max) :
		       error_set(error, ERROR_TEMPORARY, "reading %s failed", path);
}

static bool read_certificates(const char *path, STACK_OF(X509) **chain_r, struct error *error)
{
	struct buf text;
	if (!read_file(path, CERTIFICATE_FILE_MAX, &text, error))
		return false;
	*chain_r = ocsp_chain_read(buf_slice(&text));
	buf_free(&text);
	return sk_X509_num(*chain_r) > 0 || error_set(error, ERROR_USAGE, "%s holds no certificate in PEM form", path);
}

static void subject_free(struct subject *subject)
{
	sk_X509_pop_free(subject->chain, X509_free);
	sk_X509_pop_free(subject->issuers, X509_free);
	*subject = (struct subject){ 0 };
}

static bool subject_read(struct subject *subject, const char *path, const char *issuer, struct error *error)
{
	*subject = (struct subject){ 0 };
	if (!read_certificates(path, &subject->chain, error) || (issuer && !read_certificates(issuer, &subject->issuers, error)))
		return false;
	subject->certificate = sk_X509_value(subject->chain, 0);
	subject->issuer = ocsp_find_issuer(subject->certificate, issuer ? subject->issuers : subject->chain);
	if (!subject->issuer && issuer)
		return error_set(error, ERROR_USAGE, "no certificate in %s has issued the one in %s", issuer, path);
	return true;
}

/* Under another name first: whoever serves the file meanwhile sees the old proof or the new one. */
static bool replace_file(const char *path, struct slice bytes, struct error *error)
{
	char next[PATH_MAX];
	if (snprintf(next, sizeof next, "%s.XXXXXX", path) >= (int)sizeof next)
		return error_set(error, ERROR_USAGE, "the path %.100s... is too long", path);
	_cleanup_fd_ int fd = mkostemp(next, O_CLOEXEC);
	if (fd < 0)
		return error_set_errno(error, errno, "making a file beside %s", path);
	bool done = write(fd, bytes.data, bytes.len) == (ssize_t)bytes.len && fchmod(fd, 0644) == 0 && fsync(fd) == 0 &&
		    rename(next, path) == 0;
	if (!done) {
		error_set_errno(error, errno, "writing %s", path);
		unlink(next);
	}
	return done;
}

/* ---- fetch ---- */

static bool ask(const struct subject *subject, const char *url, struct buf *answer, struct error *error)
{
	struct buf request;
	char host[HTTP_HOST_MAX];
	unsigned port;
	buf_init(&request, 4096);
	bool done = http_url_parse(url, host, &port, error) && http_start(error) &&
		    ocsp_request_write(subject->certificate, subject->issuer, &request, error);
	const struct http_request post = {
		.url = url, .body = buf_slice(&request), .content_type = "application/ocsp-request",
		.accept = "application/ocsp-response", .seconds = REQUEST_SECONDS, .proxy = true,
	};
	done = done && http_post(&post, answer, error);
	buf_free(&request);
	return done;
}

static int save(const struct options *options, const struct subject *subject, const char *url, struct slice der)
{
	struct error error;
	struct ocsp_verdict verdict;
	char path[PATH_MAX], until[32];
	OCSP_RESPONSE *proof = ocsp_proof_read(der, url, &error);
	if (!proof)
		return fail(COMMAND_NO, error.text);
	ocsp_check(proof, subject->certificate, subject->issuer, clock_wall_now() / CLOCK_SECOND, &verdict);
	OCSP_RESPONSE_free(proof);
	if (!verdict.valid) {
		fprintf(stderr, "postern ocsp: the proof from %s is not valid: %s\n", url, verdict.reason);
		return COMMAND_NO;
	}
	int len = options->out ? snprintf(path, sizeof path, "%s", options->out) :
				 snprintf(path, sizeof path, "%s.ocsp", options->certificate);
	if (len >= (int)sizeof path)
		return fail(COMMAND_USAGE, "the path is too long");
	if (!replace_file(path, der, &error))
		return fail(error.kind == ERROR_TEMPORARY ? COMMAND_TEMPORARY : COMMAND_USAGE, error.text);
	printf("%s: good until %s\n", path, ocsp_format_time(verdict.next_update, until, sizeof until));
	return COMMAND_DONE;
}

static int fetch(struct options *options, const char *file)
{
	struct subject subject;
	struct error error;
	char named[HTTP_URL_MAX];
	const char *url = options->url;
	options->certificate = file;
	if (!subject_read(&subject, file, options->issuer, &error)) {
		subject_free(&subject);
		return fail(COMMAND_USAGE, error.text);
	}
	int status = COMMAND_USAGE;
	struct buf answer;
	buf_init(&answer, OCSP_RESPONSE_MAX);
	if (!url && ocsp_responder_url(subject.certificate, named, sizeof named))
		url = named;
	if (!url)
		fail(status, "the certificate names no OCSP responder that is reached by http: give one with --url");
	else if (!subject.issuer)
		fail(status, "the certificate of the issuer is not in the file: give it with --issuer");
	else if (!ask(&subject, url, &answer, &error))
		status = fail(error.kind == ERROR_USAGE ? COMMAND_USAGE : COMMAND_TEMPORARY, error.text);
	else
		status = save(options, &subject, url, buf_slice(&answer));
	buf_free(&answer);
	subject_free(&subject);
	return status;
}

/* ---- show ---- */

static bool read_proofs(const char *path, struct ocsp_file *file, struct error *error)
{
	struct buf text;
	if (!read_file(path, OCSP_FILE_MAX, &text, error))
		return false;
	bool done = ocsp_file_read(buf_slice(&text), path, file, error);
	buf_free(&text);
	return done;
}

static int show(struct options *options, const char *path)
{
	struct ocsp_file file;
	struct error error;
	struct buf out;
	if (!read_proofs(path, &file, &error))
		return fail(COMMAND_USAGE, error.text);
	buf_init(&out, OUTPUT_MAX);
	bool fits = !options->json || buf_append_byte(&out, '[');
	for (size_t i = 0; fits && i < file.count; i++) {
		if (options->json)
			fits = (i == 0 || buf_append_byte(&out, ',')) && ocsp_show_json(file.proofs[i], &out);
		else
			fits = (i == 0 || buf_append_byte(&out, '\n')) && ocsp_show_text(file.proofs[i], &out);
	}
	fits = fits && (!options->json || buf_append(&out, SLICE("]\n")));
	printf("%.*s", SLICE_ARG(buf_slice(&out)));
	buf_free(&out);
	ocsp_file_free(&file);
	return fits ? COMMAND_DONE : fail(COMMAND_USAGE, "the proof has more fields than can be printed");
}

/* ---- check ---- */

/* The proof of the file that speaks of the certificate; the valid one, if there are several. */
static void judge(const struct ocsp_file *file, const struct subject *subject, struct ocsp_verdict *verdict_r)
{
	for (size_t i = 0; i < file->count; i++) {
		struct ocsp_verdict verdict;
		ocsp_check(file->proofs[i], subject->certificate, subject->issuer, clock_wall_now() / CLOCK_SECOND, &verdict);
		if (i == 0 || verdict.valid || (verdict_r->other && !verdict.other))
			*verdict_r = verdict;
		if (verdict.valid)
			return;
	}
}

static void print_verdict(const struct options *options, const char *path, const struct ocsp_verdict *verdict)
{
	struct buf out;
	char until[32];
	ocsp_format_time(verdict->served_until, until, sizeof until);
	if (!options->json && verdict->valid)
		printf("%s: valid for %s until %s\n", path, options->certificate, until);
	else if (!options->json)
		printf("%s: not valid for %s: %s\n", path, options->certificate, verdict->reason);
	if (!options->json)
		return;
	buf_init(&out, OUTPUT_MAX);
	bool fits = buf_printf(&out, "{\"proof\":") && json_string(&out, slice_of(path)) && buf_printf(&out, ",\"certificate\":") &&
		    json_string(&out, slice_of(options->certificate)) &&
		    buf_printf(&out, ",\"valid\":%s,\"revoked\":%s,\"served_until\":", verdict->valid ? "true" : "false",
			       verdict->revoked ? "true" : "false") &&
		    (verdict->valid ? json_string(&out, slice_of(until)) : buf_printf(&out, "null")) && buf_printf(&out, ",\"reason\":") &&
		    (verdict->valid ? buf_printf(&out, "null") : json_string(&out, slice_of(verdict->reason)));
	if (fits)
		printf("%.*s}\n", SLICE_ARG(buf_slice(&out)));
	buf_free(&out);
}

static int check_certificate(struct options *options, const char *path)
{
	struct ocsp_file file;
	struct ocsp_verdict verdict = { .other = true };
	struct subject subject;
	struct error error;
	if (!subject_read(&subject, options->certificate, options->issuer, &error)) {
		subject_free(&subject);
		return fail(COMMAND_USAGE, error.text);
	}
	if (read_proofs(path, &file, &error)) {
		judge(&file, &subject, &verdict);
		ocsp_file_free(&file);
	} else {
		snprintf(verdict.reason, sizeof verdict.reason, "%.250s", error.text);
	}
	subject_free(&subject);
	print_verdict(options, path, &verdict);
	return verdict.valid ? COMMAND_DONE : COMMAND_NO;
}

/* Against the certificates of the configuration: the proof need be valid for one of them. */
static int check_configured(struct options *options, const char *path)
{
	struct conf_problems problems;
	struct arena arena;
	char name[PATH_MAX];
	int status = COMMAND_USAGE;
	conf_problems_init(&problems);
	arena_init(&arena, 0);
	struct conf *conf = command_read_configuration(&options->configuration, &problems, NULL);
	struct conf_strings paths = { 0 };
	if (!conf)
		command_print_problems(&problems);
	else
		paths = conf_value_strings(&arena, conf_constant(conf->main.tls_certificate));
	if (conf && paths.count == 0)
		fail(status, "the configuration names no certificate of constant name: give one with --certificate");
	for (size_t i = 0; i < paths.count && status != COMMAND_DONE; i++) {
		if (!slice_to_cstr(paths.items[i], name, sizeof name))
			continue;
		options->certificate = name;
		status = check_certificate(options, path);
	}
	conf_unref(&conf);
	conf_problems_free(&problems);
	arena_free(&arena);
	return status;
}

static int check(struct options *options, const char *path)
{
	return options->certificate ? check_certificate(options, path) : check_configured(options, path);
}

/* ---- Arguments ---- */

static int run(int argc, char **argv)
{
	static const struct option names[] = {
		{ "url", required_argument, NULL, 'u' },
		{ "issuer", required_argument, NULL, 'i' },
		{ "out", required_argument, NULL, 'o' },
		{ "certificate", required_argument, NULL, 'C' },
		{ "json", no_argument, NULL, 'j' },
		{ 0 },
	};
	static const struct {
		const char *name;
		int (*run)(struct options *options, const char *file);
	} verbs[] = { { "fetch", fetch }, { "show", show }, { "check", check } };
	struct options options = { 0 };
	struct error error;
	int option;
	optind = 0;
	opterr = 0;
	while ((option = getopt_long(argc, argv, "c:D:o:", names, NULL)) != -1) {
		switch (option) {
		case 'c': options.configuration.file = optarg; break;
		case 'u': options.url = optarg; break;
		case 'i': options.issuer = optarg; break;
		case 'o': options.out = optarg; break;
		case 'C': options.certificate = optarg; break;
		case 'j': options.json = true; break;
		case 'D':
			if (!command_add_macro(&options.configuration, optarg, &error))
				return command_usage_error(&command_ocsp, "%s", error.text);
			break;
		default: return command_usage_error(&command_ocsp, "unknown option or missing value: %s", argv[optind - 1]);
		}
	}
	if (argc - optind != 2)
		return command_usage_error(&command_ocsp, "expected fetch, show or check, and a file");
	for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
		if (strcmp(argv[optind], verbs[i].name) == 0)
			return verbs[i].run(&options, argv[optind + 1]);
	return command_usage_error(&command_ocsp, "\"%s\" is not one of fetch, show and check", argv[optind]);
}

const struct command command_ocsp = {
	.name = "ocsp",
	.run = run,
	.summary = "fetch, print and check proofs that certificates are not revoked",
	.usage = "fetch [--url URL] [--issuer FILE] [-o FILE] CERTIFICATE | show [--json] PROOF | "
		 "check [--certificate FILE [--issuer FILE] | -c FILE] [--json] PROOF",
	.help = "fetch asks the responder that the CERTIFICATE names, checks its proof as the server does, and writes it in DER form.\n"
		"  --url URL           ask this one instead; it begins with http://\n"
		"  --issuer FILE       the certificate of the issuer, when it does not follow in the same file\n"
		"  -o FILE, --out FILE what to write or replace, as a whole; otherwise CERTIFICATE.ocsp\n"
		"show prints what is in a file of proofs, DER or PEM.\n"
		"check says whether the server would serve the PROOF now: exit status 0, or 1 and why not.\n"
		"  --certificate FILE  for which certificate; otherwise those of the configuration\n"
		"  -c FILE             the configuration; otherwise $POSTERN_CONF, or /etc/postern/postern.conf\n"
		"  -D NAME=text        define a macro, whatever the file defines\n"
		"  --json              print for programs\n",
};

/* SPDX-License-Identifier: ISC */
/*
 * Settings to a context of libunbound. The library reads its configuration, anchors and the like from named files only; the
 * texts at hand are written to memory files, whose names in /proc a sandboxed role can still open.
 */
#include "dns/private.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/memory_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unbound.h>

enum { CONFIG_MAX = 1024 * 1024, COMPLAINT_MAX = 4096, FORWARDERS_MAX = 8 };

struct memory_file {
	int fd;
	char path[32];
};

static void memory_file_close(struct memory_file *file)
{
	fd_close(&file->fd);
}

static bool memory_file_make(struct memory_file *file, struct slice text, struct error *error)
{
	file->fd = memfd_create("postern-dns", MFD_CLOEXEC);
	if (file->fd < 0)
		return error_set_errno(error, errno, "making a memory file for the DNS resolver");
	snprintf(file->path, sizeof file->path, "/proc/self/fd/%d", file->fd);
	/* The scanner wants the last line ended. */
	return (fd_write_all(file->fd, text) && fd_write_all(file->fd, SLICE("\n"))) ||
	       error_set_errno(error, errno, "writing a memory file for the DNS resolver");
}

/* ---- What a configuration may say ---- */

/* Options that name files: a resolver without a file system cannot have them, and those that write must not. */
static const struct {
	const char *name, *instead;
} refused[] = {
	{ "include", "write its text into this file" },
	{ "include-toplevel", "write its text into this file" },
	{ "trust-anchor-file", "write its records as trust-anchor: \"...\" lines" },
	{ "auto-trust-anchor-file", "write its records as trust-anchor: \"...\" lines" },
	{ "trusted-keys-file", "write its keys as trust-anchor: \"...\" lines" },
	{ "root-hints", "write a stub-zone for the name \".\" with stub-prime: yes" },
	{ "zonefile", "serve the zone by a name server, and name that in a stub-zone" },
	{ "tls-cert-bundle", "leave it out" },
	{ "python-script", "leave it out" },
	{ "dynlib-file", "leave it out" },
	{ "dnstap-socket-path", "leave it out" },
};

/* "name: value", comments and blanks taken away; both empty on other lines. */
static void split_line(struct slice line, struct slice *name_r, struct slice *value_r)
{
	struct slice text = slice_trim(slice_first(line, slice_find(line, '#')));
	size_t colon = slice_find(text, ':');
	*name_r = colon < text.len ? slice_trim(slice_first(text, colon)) : (struct slice){ 0 };
	*value_r = slice_trim(slice_from(text, colon + 1));
	while (value_r->len && (value_r->data[0] == '"' || value_r->data[0] == '\''))
		*value_r = slice_from(*value_r, 1);
}

/* *root_decided_r: the configuration says itself whether the root is signed, and by whom. */
static bool check_config(struct slice text, bool *root_decided_r, struct error *error)
{
	struct slice rest = text, name, value;
	if (text.len > CONFIG_MAX || slice_find(text, '\0') < text.len)
		return error_set(error, ERROR_USAGE, text.len > CONFIG_MAX ? "it is larger than 1 MiB" : "it holds a NUL byte");
	*root_decided_r = false;
	for (unsigned number = 1; rest.len; number++) {
		split_line(slice_cut(&rest, '\n'), &name, &value);
		for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
			if (slice_equal(name, slice_of(refused[i].name)))
				return error_set(error, ERROR_USAGE, "line %u: %s is not supported, as the process that asks the DNS "
						 "opens no files: %s", number, refused[i].name, refused[i].instead);
		bool of_root = value.len && value.data[0] == '.' &&
			       (value.len == 1 || value.data[1] == '"' || ascii_is_space(value.data[1]));
		if (of_root && (slice_equal(name, SLICE("trust-anchor")) || slice_equal(name, SLICE("domain-insecure"))))
			*root_decided_r = true;
	}
	return true;
}

/* The library's first complaint, as "line 3: unknown keyword 'foo'": it begins with the file's name, line, and "error: ". */
static void read_complaint(int fd, const char *path, char *out, size_t size)
{
	char bytes[COMPLAINT_MAX];
	ssize_t n = pread(fd, bytes, sizeof bytes, 0);
	struct slice text = slice_make(bytes, n > 0 ? (size_t)n : 0), line = slice_cut(&text, '\n');
	*out = '\0';
	if (!slice_starts(line, slice_of(path)))
		return;
	line = slice_from(line, strlen(path) + 1);
	struct slice number = slice_cut(&line, ':');
	line = slice_trim(line);
	if (slice_starts(line, SLICE("error: ")))
		line = slice_from(line, 7);
	snprintf(out, size, "line %.*s: %.*s", SLICE_ARG(number), SLICE_ARG(line));
}

/* The library's parser complains to standard error only, so that is another file while it works. */
static bool apply_config(struct ub_ctx *context, struct slice text, struct error *error)
{
	_cleanup_(memory_file_close) struct memory_file file = { .fd = -1 };
	char complaint[256] = "";
	_cleanup_fd_ int heard = memfd_create("postern-dns-complaints", MFD_CLOEXEC);
	_cleanup_fd_ int before = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	if (!memory_file_make(&file, text, error))
		return false;
	fflush(stderr);
	if (heard >= 0 && before >= 0)
		dup2(heard, STDERR_FILENO);
	int result = ub_ctx_config(context, file.path);
	fflush(stderr);
	if (heard >= 0 && before >= 0)
		dup2(before, STDERR_FILENO);
	if (result == 0)
		return true;
	if (heard >= 0)
		read_complaint(heard, file.path, complaint, sizeof complaint);
	return error_set(error, ERROR_USAGE, "%s", *complaint ? complaint : ub_strerror(result));
}

/* ---- The parts ---- */

/*
 * Names that the library answers itself, as no public server knows them (RFC 6761 §6.2, RFC 8375), but that the system's
 * resolver may serve. The root proves that there is no "test", so it cannot be validated.
 */
static const char private_names[] = "server:\n  local-zone: \"test.\" nodefault\n  local-zone: \"home.arpa.\" nodefault\n"
				    "  domain-insecure: \"test.\"\n";

/* "nameserver ADDRESS" lines of resolv.conf(5); without one, the server on this machine. */
static bool apply_resolv_conf(struct ub_ctx *context, struct slice text, struct error *error)
{
	unsigned count = 0;
	struct slice rest = text;
	while (rest.len && count < FORWARDERS_MAX) {
		struct slice line = slice_cut(&rest, '\n'), address;
		char server[128];
		line = slice_trim(slice_first(slice_first(line, slice_find(line, '#')), slice_find(line, ';')));
		if (!slice_starts(line, SLICE("nameserver")) || line.len < 11 || !ascii_is_space(line.data[10]))
			continue;
		address = slice_trim(slice_from(line, 10));
		if (slice_to_cstr(address, server, sizeof server) && ub_ctx_set_fwd(context, server) == 0)
			count++;
	}
	if (count == 0 && ub_ctx_set_fwd(context, "127.0.0.1") != 0)
		return error_set(error, ERROR_PERMANENT, "the DNS resolver does not take the servers of /etc/resolv.conf");
	return apply_config(context, slice_of(private_names), error);
}

static bool set_options(struct ub_ctx *context, const struct dns_settings *settings, struct error *error)
{
	char number[32];
	const struct {
		const char *name, *value;
	} fixed[] = {
		/* A server's caches and sockets, where the library's own are for one program that asks now and then. */
		{ "outgoing-range:", "512" },
		{ "num-queries-per-thread:", "1024" },
		{ "msg-cache-size:", "8m" },
		{ "rrset-cache-size:", "16m" },
		/* An attacker's zone must not hold a resolution up: libunbound's own bounds on work stay, these on time are ours. */
		{ "infra-cache-max-rtt:", "12000" },
		/* Names of private networks are the business of the system's resolver, where that is asked. */
		{ "unblock-lan-zones:", "yes" },
		{ "insecure-lan-zones:", "yes" },
	};
	for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
		if (ub_ctx_set_option(context, fixed[i].name, fixed[i].value) != 0)
			return error_set(error, ERROR_PERMANENT, "the DNS resolver does not take %s %s", fixed[i].name, fixed[i].value);
	if (settings->retransmit) {
		int64_t ms = settings->retransmit / CLOCK_MS;
		snprintf(number, sizeof number, "%lld", (long long)(ms < 1 ? 1 : ms > 60000 ? 60000 : ms));
		ub_ctx_set_option(context, "unknown-server-time-limit:", number);
	}
	if (settings->retries) {
		snprintf(number, sizeof number, "%u", settings->retries > 100 ? 100 : settings->retries);
		ub_ctx_set_option(context, "outbound-msg-retry:", number);
	}
	return true;
}

static bool configure(struct ub_ctx *context, const struct dns_settings *settings, struct memory_file *anchor, struct error *error)
{
	bool root_decided = false;
	/* Nothing to standard error, and with it to the panic log: what matters is in the answers. */
	ub_ctx_debugout(context, NULL);
	if (ub_ctx_async(context, 1) != 0 || !set_options(context, settings, error))
		return error->kind != ERROR_NONE ? false : error_set(error, ERROR_PERMANENT, "the DNS resolver has no threads");
	if (settings->config_text.len && (!check_config(settings->config_text, &root_decided, error) ||
					  !apply_config(context, settings->config_text, error)))
		return false;
	if (!settings->config_text.len && settings->resolv_conf.len && !apply_resolv_conf(context, settings->resolv_conf, error))
		return false;
	if (!settings->dnssec)
		ub_ctx_set_option(context, "module-config:", "iterator");
	if (settings->dnssec && settings->root_anchor.len && !root_decided &&
	    (!memory_file_make(anchor, settings->root_anchor, error) || ub_ctx_add_ta_file(context, anchor->path) != 0))
		return error->kind != ERROR_NONE ? false :
						   error_set(error, ERROR_PERMANENT, "the DNS resolver does not take the root's anchor");
	/* Any change of local data makes the library take everything into use: anchors are read here. */
	int result = ub_ctx_data_remove(context, "complete.invalid.");
	return result == 0 || error_set(error, ERROR_USAGE, "the DNS resolver cannot use this configuration: %s", ub_strerror(result));
}

struct ub_ctx *dns_context_new(const struct dns_settings *settings, struct error *error)
{
	_cleanup_(memory_file_close) struct memory_file anchor = { .fd = -1 };
	struct ub_ctx *context = ub_ctx_create();
	error->kind = ERROR_NONE;
	if (!context) {
		error_set(error, ERROR_TEMPORARY, "the DNS resolver cannot be made: no memory or no descriptors");
		return NULL;
	}
	if (configure(context, settings, &anchor, error))
		return context;
	ub_ctx_delete(context);
	return NULL;
}

bool dns_check(const struct dns_settings *settings, struct error *error)
{
	struct ub_ctx *context = dns_context_new(settings, error);
	ub_ctx_delete(context);
	return context != NULL;
}

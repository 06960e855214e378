/* SPDX-License-Identifier: ISC */
#include "cli/expand_session.h"

#include "base/clock.h"
#include "cli/expand_world.h"
#include "expand/moment.h"
#include "net/address.h"

#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* Writes the value of a moment; false leaves it empty. */
typedef bool moment_function(const struct expand_session *session, char *out, size_t size);

/* Space in KiB, or inodes, that are free where the spool or the log lies; -1 when that cannot be found out. */
static bool free_of(struct slice path, bool inodes, char *out, size_t size)
{
	struct statvfs figures;
	char name[PATH_MAX];
	long long free = -1;
	if (slice_to_cstr(path, name, sizeof name) && statvfs(name, &figures) == 0)
		free = inodes ? (long long)figures.f_favail : (long long)(figures.f_bavail * (figures.f_frsize / 512) / 2);
	return snprintf(out, size, "%lld", free) > 0;
}

static struct slice spool_of(const struct expand_session *session)
{
	return session->values[EXPAND_SPOOL_DIRECTORY].text;
}

static bool moment_space(const struct expand_session *session, char *out, size_t size)
{
	return free_of(spool_of(session), false, out, size);
}

static bool moment_inodes(const struct expand_session *session, char *out, size_t size)
{
	return free_of(spool_of(session), true, out, size);
}

static const struct {
	const char *name;
	moment_function *value;
} moments[] = {
	{ "spool_space", moment_space },
	{ "spool_inodes", moment_inodes },
	{ "log_space", moment_space },
	{ "log_inodes", moment_inodes },
};

struct expand_value expand_session_variable(void *owner, enum expand_variable variable)
{
	struct expand_session *session = owner;
	unsigned moment = session->moments[variable];
	struct slice known;
	char text[80];
	if (expand_moment_variable(variable, clock_wall_now(), &session->momentary, &known))
		return (struct expand_value){ known, false };
	if (session->has_message && expand_message_variable(&session->message, variable, &session->momentary, &known))
		return (struct expand_value){ known, true };
	if (!moment)
		return session->values[variable];
	if (!moments[moment - 1].value(session, text, sizeof text))
		return (struct expand_value){ SLICE(""), false };
	return (struct expand_value){ arena_copy(&session->momentary, slice_of(text)), false };
}

bool expand_session_named(void *owner, enum expand_family family, struct slice name, struct expand_value *value_r)
{
	const struct expand_session *session = owner;
	if (family != EXPAND_ACL_C && family != EXPAND_ACL_M)
		return false;
	return acl_variables_get(family == EXPAND_ACL_C ? &session->acl_connection : &session->acl_message, name, value_r);
}

struct slice expand_session_headers(void *owner)
{
	const struct expand_session *session = owner;
	return session->message.headers;
}

enum expand_result expand_session_ask(void *owner, const struct expand_request *request, struct arena *arena,
				      struct expand_answer *answer_r, struct error *error)
{
	struct expand_session *session = owner;
	struct slice name = session->values[EXPAND_SENDER_HOST_NAME].text;
	if (request->service == EXPAND_SERVICE_HOST_NAMES && name.len &&
	    slice_equal(request->key, session->values[EXPAND_SENDER_HOST_ADDRESS].text)) {
		*answer_r = (struct expand_answer){ .found = true, .tainted = true, .text = name };
		return EXPAND_OK;
	}
	return expand_world_ask(session->world, request, arena, answer_r, error);
}

void expand_session_set(struct expand_session *session, const char *name, struct slice text, bool tainted)
{
	const struct expand_variable_info *info = expand_variable_find(slice_of(name));
	if (info)
		session->values[info->variable] = (struct expand_value){ arena_copy(&session->arena, text), tainted };
}

void expand_session_set_number(struct expand_session *session, const char *name, int64_t number)
{
	char text[24];
	snprintf(text, sizeof text, "%lld", (long long)number);
	expand_session_set(session, name, slice_of(text), false);
}

void expand_session_sender(struct expand_session *session, struct slice address, bool tainted)
{
	struct slice text = slice_trim(address);
	if (text.len >= 2 && text.data[0] == '<' && text.data[text.len - 1] == '>')
		text = slice_make(text.data + 1, text.len - 2);
	size_t at = slice_find_last(text, '@');
	expand_session_set(session, "sender_address", text, tainted);
	expand_session_set(session, "sender_address_local_part", slice_first(text, at), tainted);
	expand_session_set(session, "sender_address_domain", slice_from(text, at + (at < text.len)), tainted);
}

bool expand_session_host(struct expand_session *session, const char *address_name, const char *port_name, struct slice text,
			 struct error *error)
{
	struct net_address address;
	if (!net_interface_parse(text, &address))
		return error_set(error, ERROR_USAGE,
				 "%.*s: expected an IP address, alone or with a port as 192.0.2.1.25 or [2001:db8::1]:25",
				 SLICE_ARG(slice_first(text, 80)));
	uint16_t port = address.port;
	address.port = 0;
	expand_session_set(session, address_name, slice_of(net_address_text(&address).text), false);
	expand_session_set_number(session, port_name, port);
	return true;
}

static struct slice value_of(const struct expand_session *session, const char *name)
{
	const struct expand_variable_info *info = expand_variable_find(slice_of(name));
	return info ? session->values[info->variable].text : SLICE("");
}

void expand_session_settle(struct expand_session *session)
{
	struct slice address = value_of(session, "sender_host_address"), port = value_of(session, "sender_host_port");
	struct slice name = value_of(session, "sender_host_name"), helo = value_of(session, "sender_helo_name");
	struct slice ident = value_of(session, "sender_ident"), full, shown, received;
	if (!address.len)
		return;
	bool with_port = port.len && !slice_equal(port, SLICE("0"));
	struct slice bracketed = with_port ? arena_printf(&session->arena, "[%.*s]:%.*s", SLICE_ARG(address), SLICE_ARG(port)) :
					     arena_printf(&session->arena, "[%.*s]", SLICE_ARG(address));
	bool differs = helo.len && !slice_equal_nocase(helo, name);
	shown = name;
	if (differs)
		shown = name.len ? arena_printf(&session->arena, "%.*s (%.*s)", SLICE_ARG(name), SLICE_ARG(helo)) :
				   arena_printf(&session->arena, "(%.*s)", SLICE_ARG(helo));
	full = shown.len ? arena_printf(&session->arena, "%.*s %.*s", SLICE_ARG(shown), SLICE_ARG(bracketed)) : bracketed;
	expand_session_set(session, "sender_fullhost", full, true);
	struct slice extra_helo = differs ? arena_printf(&session->arena, " helo=%.*s", SLICE_ARG(helo)) : SLICE("");
	struct slice extra_ident = ident.len ? arena_printf(&session->arena, " ident=%.*s", SLICE_ARG(ident)) : SLICE("");
	if (name.len)
		received = arena_printf(&session->arena, "%.*s (%.*s%.*s%.*s)", SLICE_ARG(name), SLICE_ARG(bracketed),
					SLICE_ARG(extra_helo), SLICE_ARG(extra_ident));
	else if (extra_helo.len || extra_ident.len)
		received = arena_printf(&session->arena, "%.*s (%.*s)", SLICE_ARG(bracketed),
					SLICE_ARG(slice_from(arena_printf(&session->arena, "%.*s%.*s", SLICE_ARG(extra_helo),
									  SLICE_ARG(extra_ident)), 1)));
	else
		received = bracketed;
	expand_session_set(session, "sender_rcvhost", received, true);
}

bool expand_session_assign(struct expand_session *session, struct slice name, struct slice text, struct error *error)
{
	enum expand_family family;
	struct slice rest;
	if (!acl_variable_name(name, &family, &rest, error))
		return false;
	return acl_variables_set(family == EXPAND_ACL_C ? &session->acl_connection : &session->acl_message, rest,
				 (struct expand_value){ .text = text }, error);
}

/* Numbers that are nought before anything happened. */
static const char *const noughts[] = {
	"sender_host_port", "received_port", "message_size", "message_body_size", "message_linecount", "body_linecount",
	"body_zerocount", "recipients_count", "rcpt_count", "rcpt_defer_count", "rcpt_fail_count", "inode", "runrc",
	"authentication_failed", "host_lookup_failed", "host_lookup_deferred", "message_age", "received_count", "received_time",
	"max_received_linelength", "acl_narg", "tls_in_bits", "tls_out_bits", "tls_in_certificate_verified",
	"tls_out_certificate_verified", "tls_in_ocsp", "tls_out_ocsp", "smtp_count_at_connection_start",
};

/* Answers that are no before anything happened. */
static const char *const noes[] = { "tls_out_dane", "sender_host_dnssec", "proxy_session", "prdr_requested", "message_smtputf8" };

static void take_configuration(struct expand_session *session, const struct conf *conf)
{
	struct slice text;
	for (enum expand_variable variable = 0; variable < EXPAND_VARIABLES; variable++)
		if (conf_variable(conf, variable, &text))
			session->values[variable] = (struct expand_value){ text, false };
	expand_session_set(session, "smtp_active_hostname", conf->main.primary_hostname, false);
}

static void take_process(struct expand_session *session, const struct conf *conf)
{
	char text[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", text, sizeof text);
	expand_session_set_number(session, "pid", getpid());
	expand_session_set_number(session, "caller_uid", (int64_t)getuid());
	expand_session_set_number(session, "caller_gid", (int64_t)getgid());
	expand_session_set_number(session, "originator_uid", (int64_t)getuid());
	expand_session_set_number(session, "originator_gid", (int64_t)getgid());
	expand_session_set_number(session, "exim_uid", (int64_t)geteuid());
	expand_session_set_number(session, "exim_gid", (int64_t)getegid());
	if (len > 0)
		expand_session_set(session, "exim_path", slice_make(text, (size_t)len), false);
	if (getcwd(text, sizeof text))
		expand_session_set(session, "initial_cwd", slice_of(text), false);
	/* As with Exim's -be, whoever gives the command is the sender until -f says otherwise. */
	const struct passwd *user = getpwuid(getuid());
	if (!user)
		return;
	struct slice login = slice_of(user->pw_name);
	struct slice address = arena_printf(&session->arena, "%.*s@%.*s", SLICE_ARG(login), SLICE_ARG(conf->main.qualify_domain));
	expand_session_set(session, "sender_ident", login, false);
	expand_session_set(session, "authenticated_id", login, false);
	expand_session_set(session, "authenticated_sender", address, false);
	expand_session_sender(session, address, false);
}

void expand_session_init(struct expand_session *session, const struct conf *conf)
{
	*session = (struct expand_session){ .conf = conf };
	arena_init(&session->arena, 0);
	arena_init(&session->momentary, 0);
	for (size_t i = 0; i < EXPAND_VARIABLES; i++)
		session->values[i].text = SLICE("");
	for (unsigned i = 0; i < sizeof moments / sizeof *moments; i++) {
		const struct expand_variable_info *info = expand_variable_find(slice_of(moments[i].name));
		if (info)
			session->moments[info->variable] = (unsigned char)(i + 1);
	}
	for (size_t i = 0; i < sizeof noughts / sizeof *noughts; i++)
		expand_session_set(session, noughts[i], SLICE("0"), false);
	for (size_t i = 0; i < sizeof noes / sizeof *noes; i++)
		expand_session_set(session, noes[i], SLICE("no"), false);
	take_configuration(session, conf);
	take_process(session, conf);
}

void expand_session_free(struct expand_session *session)
{
	acl_session_free(&session->acl);
	acl_variables_clear(&session->acl_connection);
	acl_variables_clear(&session->acl_message);
	arena_free(&session->arena);
	arena_free(&session->momentary);
}

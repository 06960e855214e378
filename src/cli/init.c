/* SPDX-License-Identifier: ISC */
/*
 * postern init: a directory with a first configuration, a self-signed certificate, and a first user. What it writes is
 * parsed afterwards, so that it never leaves a configuration behind that `postern check` would refuse.
 */
#include "cli/certificate.h"
#include "cli/command.h"
#include "cli/init_text.h"
#include "role/master.h"
#include "users/database.h"

#include "base/cleanup.h"
#include "base/memory_file.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { CERTIFICATE_DAYS = 825, FALLBACK_UID = 61103 };

static bool is_domain(struct slice domain)
{
	struct slice rest = domain;
	if (!domain.len || domain.len > 240)
		return false;
	for (bool more = true; more;) {
		more = slice_find(rest, '.') != rest.len;
		struct slice label = slice_cut(&rest, '.');
		if (!label.len || label.len > 63 || label.data[0] == '-' || label.data[label.len - 1] == '-')
			return false;
		for (size_t i = 0; i < label.len; i++)
			if (!ascii_is_alnum(label.data[i]) && label.data[i] != '-')
				return false;
	}
	return true;
}

static bool is_user(struct slice user)
{
	for (size_t i = 0; i < user.len; i++)
		if (!ascii_is_alnum(user.data[i]) && !strchr("._-", user.data[i]))
			return false;
	return user.len && user.len <= 64 && ascii_is_alnum(user.data[0]);
}

/* Characters that mean nothing in a configuration, so that the path can stand in all its options. */
static bool is_plain_path(struct slice path)
{
	for (size_t i = 0; i < path.len; i++)
		if (!ascii_is_alnum(path.data[i]) && !strchr("/._-+@,=~", path.data[i]))
			return false;
	return path.len > 1 && path.len < 3000;
}

static bool take_ports(struct init_plan *plan, const char *text, struct error *error)
{
	struct slice rest = slice_of(text);
	uint64_t value = 0;
	for (size_t i = 0; i < 3; i++) {
		if (!slice_parse_u64(slice_cut(&rest, ','), UINT16_MAX, &value) || !value)
			return error_set(error, ERROR_USAGE, "--ports %.60s: expected three ports, as 2525,2465,2587", text);
		plan->ports[i] = (uint16_t)value;
	}
	if (rest.len || plan->ports[0] == plan->ports[1] || plan->ports[0] == plan->ports[2] ||
	    plan->ports[1] == plan->ports[2])
		return error_set(error, ERROR_USAGE, "--ports %.60s: expected three different ports, as 2525,2465,2587",
				 text);
	return true;
}

static bool take_addresses(struct init_plan *plan, const char *text, struct error *error)
{
	struct slice rest = slice_of(text);
	while (rest.len) {
		struct slice item = slice_trim(slice_cut(&rest, ','));
		if (plan->address_count == INIT_ADDRESSES_MAX ||
		    !net_address_parse(item, &plan->addresses[plan->address_count]))
			return error_set(error, ERROR_USAGE,
					 "--address %.60s: expected an IP address, or up to %d separated by commas", text,
					 INIT_ADDRESSES_MAX);
		plan->address_count++;
	}
	return plan->address_count || error_set(error, ERROR_USAGE, "--address: expected an IP address");
}

/* What depends on who runs the command. */
static void fill_plan(struct init_plan *plan, struct arena *arena)
{
	static const uint16_t ports[2][3] = { { 2525, 2465, 2587 }, { 25, 465, 587 } };
	static const char *const users[] = { "vmail", "mail" };
	struct utsname names;
	plan->root = geteuid() == 0;
	if (!plan->ports[0])
		memcpy(plan->ports, ports[plan->root], sizeof plan->ports);
	if (!plan->address_count && !plan->root)
		plan->address_count = net_address_parse(SLICE("127.0.0.1"), &plan->addresses[0]);
	plan->host = arena_printf(arena, "mx.%.*s", SLICE_ARG(plan->domain));
	/* This machine's own name, where it is one within the domain. */
	if (uname(&names) == 0) {
		struct slice node = arena_copy_lower(arena, slice_of(names.nodename));
		struct slice suffix = arena_printf(arena, ".%.*s", SLICE_ARG(plan->domain));
		if (is_domain(node) && slice_ends_nocase(node, suffix))
			plan->host = node;
	}
	plan->mail_user = arena_printf(arena, "%d", FALLBACK_UID);
	plan->mail_uid = plan->mail_gid = FALLBACK_UID;
	for (size_t i = 0; plan->root && i < 2; i++) {
		const struct passwd *entry = getpwnam(users[i]);
		if (entry && entry->pw_uid) {
			plan->mail_user = slice_of(users[i]);
			plan->mail_uid = entry->pw_uid;
			plan->mail_gid = entry->pw_gid;
			break;
		}
	}
}

/* A directory below the plan's own; one that is there already is kept as it is. */
static bool make_directory(int at, const char *name, mode_t mode, struct error *error)
{
	if (mkdirat(at, name, mode) < 0 && errno != EEXIST)
		return error_set_errno(error, errno, "making the directory %s", name);
	_cleanup_fd_ int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return error_set_errno(error, errno, "opening the directory %s", name);
	if (fchmod(fd, mode) < 0)
		return error_set_errno(error, errno, "setting the mode of %s", name);
	return true;
}

/* A new file; *existed_r when there is one already, which is left alone. */
static bool make_file(int at, const char *name, mode_t mode, struct slice text, bool *existed_r, struct error *error)
{
	_cleanup_fd_ int fd = openat(at, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	*existed_r = fd < 0 && errno == EEXIST;
	if (*existed_r)
		return true;
	if (fd < 0)
		return error_set_errno(error, errno, "making %s", name);
	if (fchmod(fd, mode) == 0 && fd_write_all(fd, text) && fsync(fd) == 0)
		return true;
	error_set_errno(error, errno, "writing %s", name);
	unlinkat(at, name, 0);
	return false;
}

static bool make_certificate(int at, const struct init_plan *plan, struct error *error)
{
	struct net_text texts[INIT_ADDRESSES_MAX];
	struct slice names[INIT_ADDRESSES_MAX + 4] = { plan->host, plan->domain, SLICE("localhost"), SLICE("127.0.0.1") };
	size_t count = 4;
	bool existed, key_existed;
	for (size_t i = 0; i < plan->address_count; i++) {
		texts[i] = net_address_text(&plan->addresses[i]);
		if (!net_address_is_any(&plan->addresses[i]) && !slice_equal(slice_of(texts[i].text), names[3]))
			names[count++] = slice_of(texts[i].text);
	}
	if (faccessat(at, "tls/cert.pem", F_OK, 0) == 0 && faccessat(at, "tls/key.pem", F_OK, 0) == 0)
		return true;
	struct buf certificate, key;
	buf_init(&certificate, 65536);
	buf_init(&key, 65536);
	bool good = certificate_make(names, count, CERTIFICATE_DAYS, &certificate, &key, error) &&
		    make_file(at, "tls/key.pem", 0600, buf_slice(&key), &key_existed, error) &&
		    make_file(at, "tls/cert.pem", 0644, buf_slice(&certificate), &existed, error);
	if (good && (existed || key_existed))
		good = error_set(error, ERROR_USAGE, "there is a tls/%s without a tls/%s; bring the other or take it away",
				 existed ? "cert.pem" : "key.pem", existed ? "key.pem" : "cert.pem");
	if (key.data)
		explicit_bzero(key.data, key.size);
	buf_free(&certificate);
	buf_free(&key);
	return good;
}

static bool make_mail_directory(int at, const struct init_plan *plan, struct error *error)
{
	if (!make_directory(at, "mail", 0700, error))
		return false;
	if (plan->root && fchownat(at, "mail", plan->mail_uid, plan->mail_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return error_set_errno(error, errno, "giving the directory mail to %.*s", SLICE_ARG(plan->mail_user));
	return true;
}

/* Everything but the configuration itself, which comes last: its presence says that the rest is there. */
static bool make_all(int at, const struct init_plan *plan, struct error *error)
{
	struct buf text;
	bool existed = false;
	buf_init(&text, 65536);
	bool good = make_directory(at, "spool", 0700, error) && make_directory(at, "log", 0750, error) &&
		    make_directory(at, "tls", 0700, error) && make_mail_directory(at, plan, error) &&
		    make_certificate(at, plan, error);
	if (good && buf_printf(&text, "%.*s\n", SLICE_ARG(plan->user)))
		good = make_file(at, "users", 0644, buf_slice(&text), &existed, error);
	buf_reset(&text);
	if (good && !init_write_configuration(plan, &text))
		good = error_set(error, ERROR_PERMANENT, "the configuration is too long");
	if (good && make_file(at, "postern.conf", 0644, buf_slice(&text), &existed, error) && existed)
		good = error_set(error, ERROR_USAGE, "%.*s/postern.conf exists already; it is not overwritten",
				 SLICE_ARG(plan->directory));
	else if (good && !existed && *error->text)
		good = false;
	buf_free(&text);
	return good;
}

static int open_directory(const char *name, struct init_plan *plan, struct arena *arena, struct error *error)
{
	char path[4096];
	if (mkdir(name, 0755) < 0 && errno != EEXIST) {
		error_set_errno(error, errno, "making the directory %.200s", name);
		return -1;
	}
	_cleanup_fd_ int fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || !realpath(name, path)) {
		error_set_errno(error, errno, "opening the directory %.200s", name);
		return -1;
	}
	plan->directory = arena_copy(arena, slice_of(path));
	if (!is_plain_path(plan->directory)) {
		error_set(error, ERROR_USAGE,
			  "%.300s: expected a path of letters, digits and /._-+@,=~ only, for it stands in the "
			  "configuration",
			  path);
		return -1;
	}
	if (faccessat(fd, "postern.conf", F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
		error_set(error, ERROR_USAGE, "%.300s/postern.conf exists already; it is not overwritten", path);
		return -1;
	}
	return fd_take(&fd);
}

/* The database of users, without any yet: in a directory of its own, for the lookup role reads below it. */
static bool make_accounts(int at, const struct conf *conf, const struct init_plan *plan, struct error *error)
{
	gid_t group = plan->root ? identity_of(conf, ROLE_LOOKUP).gid : (gid_t)-1;
	char path[4200];
	if (!make_directory(at, "accounts", plan->root ? 0750 : 0700, error))
		return false;
	if (plan->root && fchownat(at, "accounts", (uid_t)-1, group, AT_SYMLINK_NOFOLLOW) < 0)
		return error_set_errno(error, errno, "giving the directory accounts to the lookup role");
	snprintf(path, sizeof path, "%.*s", SLICE_ARG(conf->main.user_database));
	struct users_database *users = users_open_to_write(path, plan->root ? 0640 : 0600, group, error);
	bool good = users != NULL;
	users_close(&users);
	return good;
}

/* What was written must be valid; anything else is a mistake of this program. What depends on it is made then. */
static bool verify(int at, const struct init_plan *plan)
{
	struct command_configuration configuration = { 0 };
	struct conf_problems problems;
	char path[4200];
	snprintf(path, sizeof path, "%.*s/postern.conf", SLICE_ARG(plan->directory));
	configuration.file = path;
	conf_problems_init(&problems);
	struct conf *conf = command_read_configuration(&configuration, &problems, NULL);
	struct error error = { 0 };
	bool good = conf && make_accounts(at, conf, plan, &error);
	command_print_problems(&problems);
	if (conf && !good)
		fprintf(stderr, "postern init: %s\n", error.text);
	conf_unref(&conf);
	conf_problems_free(&problems);
	return good;
}

static void print_result(const struct init_plan *plan)
{
	struct slice dir = plan->directory;
	printf("Made in %.*s:\n", SLICE_ARG(dir));
	printf("  postern.conf                the configuration: host %.*s, domain %.*s, ports %u, %u, %u\n",
	       SLICE_ARG(plan->host), SLICE_ARG(plan->domain), plan->ports[0], plan->ports[1], plan->ports[2]);
	printf("  tls/cert.pem, tls/key.pem   a self-signed certificate; put one of a public authority in its place\n");
	printf("  users                       the mailboxes, one local part a line: %.*s@%.*s\n", SLICE_ARG(plan->user),
	       SLICE_ARG(plan->domain));
	printf("  accounts/users.db           who may log in: postern user add -c %.*s/postern.conf %.*s@%.*s\n", SLICE_ARG(dir),
	       SLICE_ARG(plan->user), SLICE_ARG(plan->domain));
	printf("  mail, spool, log            mail arrives in mail/%.*s/%.*s\n", SLICE_ARG(plan->domain),
	       SLICE_ARG(plan->user));
	printf("Next: postern run -c %.*s/postern.conf\n", SLICE_ARG(dir));
}

static int make(const char *directory, struct init_plan *plan, struct arena *arena)
{
	struct error error = { 0 };
	fill_plan(plan, arena);
	_cleanup_fd_ int fd = open_directory(directory, plan, arena, &error);
	if (fd < 0 || !make_all(fd, plan, &error)) {
		fprintf(stderr, "postern init: %s\n", error.text);
		return error.kind == ERROR_TEMPORARY ? COMMAND_TEMPORARY
		       : error.kind == ERROR_USAGE   ? COMMAND_USAGE
						     : COMMAND_NO;
	}
	if (!verify(fd, plan))
		return COMMAND_USAGE;
	print_result(plan);
	return COMMAND_DONE;
}

/* Takes one option; false with *error. */
static bool take_option(int option, const char *value, struct init_plan *plan, struct arena *arena, struct error *error)
{
	if (option == 'd')
		plan->domain = arena_copy_lower(arena, slice_of(value));
	else if (option == 'u')
		plan->user = arena_copy_lower(arena, slice_of(value));
	if (option == 'd' && !is_domain(plan->domain))
		return error_set(error, ERROR_USAGE,
				 "--domain %.60s: expected a domain of letters, digits, hyphens and dots (for others, "
				 "its form that begins with xn--)",
				 value);
	if (option == 'u' && !is_user(plan->user))
		return error_set(error, ERROR_USAGE,
				 "--user %.60s: expected a local part of letters, digits, dots, hyphens and "
				 "underscores, without a domain",
				 value);
	return (option != 'a' || take_addresses(plan, value, error)) && (option != 'p' || take_ports(plan, value, error));
}

static int run(int argc, char **argv)
{
	static const struct option names[] = {
		{ "domain", required_argument, NULL, 'd' }, { "user", required_argument, NULL, 'u' },
		{ "address", required_argument, NULL, 'a' }, { "ports", required_argument, NULL, 'p' }, { 0 },
	};
	struct init_plan plan = { .user = SLICE("postmaster") };
	struct arena arena;
	struct error error = { 0 };
	int option, status = COMMAND_DONE;
	arena_init(&arena, 0);
	optind = 0;
	opterr = 0;
	while (!status && (option = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (option == '?')
			status = command_usage_error(&command_init, "unknown option or missing value: %s", argv[optind - 1]);
		else if (!take_option(option, optarg, &plan, &arena, &error))
			status = command_usage_error(&command_init, "%s", error.text);
	}
	if (!status && optind + 1 != argc)
		status = command_usage_error(&command_init, "expected one directory");
	if (!status && !plan.domain.len)
		status = command_usage_error(&command_init, "expected --domain and the domain that mail is for");
	if (!status)
		status = make(argv[optind], &plan, &arena);
	arena_free(&arena);
	return status;
}

const struct command command_init = {
	.name = "init", .run = run, .summary = "make a first configuration, a certificate and a user",
	.usage = "DIR --domain DOMAIN [--user USER] [--address ADDRESS[,ADDRESS...]] [--ports SMTP,SMTPS,SUBMISSION]",
	.help = "  DIR        the directory, made if need be; a configuration that is there is never overwritten\n"
		"  --domain   the domain that mail is for\n"
		"  --user     the local part of the first mailbox; postmaster if not given\n"
		"  --address  where to listen; if not given, everywhere as root, otherwise on 127.0.0.1\n"
		"  --ports    as root 25,465,587 if not given, otherwise 2525,2465,2587\n",
};

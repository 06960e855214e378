/* SPDX-License-Identifier: ISC */
#include "cli/init_text.h"

static bool write_main(const struct init_plan *plan, struct buf *out)
{
	struct slice dir = plan->directory;
	return buf_printf(out,
			  "# Configuration of Postern, in the language of Exim.\n"
			  "# Check it after each change:  postern check -c %.*s/postern.conf\n"
			  "# All options are described in docs/reference.md, and by  postern check --reference\n\n"
			  "# ---- Names ----\n\n"
			  "# The name of this host: in the greeting and in Received: lines. In the DNS it needs an address "
			  "record,\n"
			  "# that address needs this name as its reverse, and the domain an MX record that points here.\n"
			  "primary_hostname = %.*s\n\n"
			  "# The domain of addresses that come without one, such as <postmaster>.\n"
			  "qualify_domain = %.*s\n\n"
			  "# The domains that this server receives mail for, separated by colons.\n"
			  "domainlist local_domains = %.*s\n\n",
			  SLICE_ARG(dir), SLICE_ARG(plan->host), SLICE_ARG(plan->domain), SLICE_ARG(plan->domain));
}

static bool write_listeners(const struct init_plan *plan, struct buf *out)
{
	bool fits = buf_append(out, SLICE("# ---- Where to listen ----\n\n"
					  "# Addresses; a list that begins with \"<;\" is separated by semicolons, for IPv6 "
					  "has colons.\n"
					  "local_interfaces = <;"));
	for (size_t i = 0; fits && i < plan->address_count; i++)
		fits = buf_printf(out, "%s %s", i ? " ;" : "", net_address_text(&plan->addresses[i]).text);
	if (!plan->address_count)
		fits = fits && buf_append(out, SLICE(" ::0 ; 0.0.0.0"));
	return fits && buf_printf(out,
				  "\n\n# %u: from other servers. %u: from mail clients, TLS from the first byte. %u: from "
				  "mail clients, STARTTLS.\n"
				  "daemon_smtp_ports = %u : %u : %u\n"
				  "tls_on_connect_ports = %u\n"
				  "# Only who has logged in sends through these; what is missing in their messages is added.\n"
				  "submission_ports = %u : %u\n\n",
				  plan->ports[0], plan->ports[1], plan->ports[2], plan->ports[0], plan->ports[1],
				  plan->ports[2], plan->ports[1], plan->ports[2], plan->ports[1]);
}

static bool write_files(const struct init_plan *plan, struct buf *out)
{
	struct slice dir = plan->directory;
	return buf_printf(out,
			  "# ---- TLS ----\n\n"
			  "# The certificate with those that lead to its root, and its private key. The one that is there "
			  "is self-signed:\n"
			  "# replace both files by those of a public authority, and reload.\n"
			  "tls_certificate = %.*s/tls/cert.pem\n"
			  "tls_privatekey = %.*s/tls/key.pem\n\n"
			  "# ---- Files ----\n\n"
			  "# Accepted messages wait here until they are delivered.\n"
			  "spool_directory = %.*s/spool\n\n"
			  "# Users and their passwords, for those who log in: postern user add -c %.*s/postern.conf NAME@DOMAIN\n"
			  "user_database = %.*s/accounts/users.db\n"
			  "# Where they may: within TLS, and not on the port where other servers deliver.\n"
			  "auth_advertise_hosts = ${if eq{$received_port}{%u}{}{*}}\n\n"
			  "# %%s becomes main, reject or panic. \"syslog : /path/%%slog\" writes to both.\n"
			  "log_file_path = %.*s/log/%%slog\n\n",
			  SLICE_ARG(dir), SLICE_ARG(dir), SLICE_ARG(dir), SLICE_ARG(dir), SLICE_ARG(dir), plan->ports[0], SLICE_ARG(dir)) &&
	       buf_append(out, SLICE("# ---- Limits ----\n\n"
				     "# The largest message; the most recipients of one; connections in all, and from one "
				     "address.\n"
				     "message_size_limit = 50M\n"
				     "recipients_max = 1000\n"
				     "smtp_accept_max = 1000\n"
				     "smtp_accept_max_per_host = 100\n\n"));
}

static bool write_routers(const struct init_plan *plan, struct buf *out)
{
	return buf_printf(out,
			  "# ---- Routers: who takes an address. They are asked in this order. ----\n\n"
			  "begin routers\n\n"
			  "# The mailboxes: one local part a line in the file. Reload after a change.\n"
			  "virtual_users:\n"
			  "  driver = accept\n"
			  "  domains = +local_domains\n"
			  "  local_parts = %.*s/users\n"
			  "  transport = maildir\n\n"
			  "# Addresses that every domain must have (RFC 5321, RFC 2142) go to the first user.\n"
			  "postmaster:\n"
			  "  driver = accept\n"
			  "  domains = +local_domains\n"
			  "  local_parts = postmaster : abuse\n"
			  "  transport = first_user\n\n", SLICE_ARG(plan->directory));
}

static bool write_transport(const struct init_plan *plan, const char *name, struct slice mailbox, struct buf *out)
{
	bool fits = buf_printf(out,
			       "%s:\n"
			       "  driver = appendfile\n"
			       "  directory = %.*s/mail/$domain_data/%.*s\n"
			       "  maildir_format\n"
			       "  create_directory\n"
			       "  directory_mode = 0700\n"
			       "  mode = 0600\n"
			       "  return_path_add\n"
			       "  envelope_to_add\n"
			       "  delivery_date_add\n", name, SLICE_ARG(plan->directory), SLICE_ARG(mailbox));
	if (plan->root)
		fits = fits && buf_printf(out, "  # The owner of the mailboxes; never root.\n  user = %.*s\n",
					  SLICE_ARG(plan->mail_user));
	return fits;
}

/* The strongest first: clients that know several mostly take the first that they know. */
static bool write_authenticators(struct buf *out)
{
	static const char *const mechanisms[][3] = {
		{ "scram_sha256_plus", "scram", "SCRAM-SHA-256-PLUS" }, { "scram_sha256", "scram", "SCRAM-SHA-256" },
		{ "plain", "plaintext", "PLAIN" }, { "login", "plaintext", "LOGIN" },
	};
	bool fits = buf_append(out, SLICE("\n# ---- Authenticators: how the users of user_database prove who they are ----\n\n"
					  "begin authenticators\n"));
	for (size_t i = 0; fits && i < sizeof mechanisms / sizeof *mechanisms; i++)
		fits = buf_printf(out, "\n%s:\n  driver = %s\n  public_name = %s\n  server_user_database\n", mechanisms[i][0],
				  mechanisms[i][1], mechanisms[i][2]);
	return fits;
}

bool init_write_configuration(const struct init_plan *plan, struct buf *out)
{
	return write_main(plan, out) && write_listeners(plan, out) && write_files(plan, out) && write_routers(plan, out) &&
	       buf_append(out, SLICE("# ---- Transports: how a message is delivered ----\n\nbegin transports\n\n"
				     "# A Maildir for each mailbox. The _data variables are the items of the lists above "
				     "that matched, never\n"
				     "# what a client sent.\n")) &&
	       write_transport(plan, "maildir", SLICE("$local_part_data"), out) && buf_append_byte(out, '\n') &&
	       write_transport(plan, "first_user", plan->user, out) && write_authenticators(out);
}

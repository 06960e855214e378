/* SPDX-License-Identifier: ISC */
/*
 * A configuration, parsed: typed options, routers, transports, named lists. It is made by conf_parse from a conf_source and
 * never changes afterwards; sessions hold a reference for as long as they live, so that a reload swaps the configuration
 * without touching them. References are counted without locks: within one thread.
 *
 * Everything is memory of the configuration's own arena, and nothing of the source is needed once it is parsed. Times are
 * nanoseconds (base/clock.h), sizes are bytes, ports are in host order. A list or program that is NULL is unset.
 */
#ifndef POSTERN_CONF_CONF_H
#define POSTERN_CONF_CONF_H

#include "acl/acl.h"
#include "auth/auth.h"
#include "conf/option.h"
#include "conf/problem.h"
#include "conf/source.h"
#include "conf/value.h"
#include "expand/expand.h"
#include "lookup/lookup.h"
#include "match/list.h"
#include "net/address.h"
#include "route/retry.h"
#include "route/rewrite.h"
#include "route/route.h"
#include "users/failures.h"

struct conf_ports {
	const uint16_t *items;
	size_t count;
};

/* The items of local_interfaces; the port is 0 where none was given. */
struct conf_interfaces {
	const struct net_address *items;
	size_t count;
};

/* A number that may be computed anew for each connection. */
struct conf_number {
	int64_t value;                        /* when `program` is NULL */
	const struct expand_program *program;
	int64_t min, max;                     /* both 0: any that is not negative */
};

/*
 * Evaluates it. False with *error when the expansion does not give a number within the range; a forced failure gives 0, which is
 * "no limit" where numbers are limits.
 */
bool conf_number_value(const struct conf_number *number, const struct expand_context *context, struct arena *arena, int64_t *value_r,
		       struct error *error);

/* Runs of a queue by the clock. */
struct conf_queue_run {
	struct slice name; /* queue_name_valid; empty: the usual queue */
	int64_t interval;  /* ns */
};

/* The main section. What each option means is in its table (table_main.c) and in docs/reference.md. */
struct conf_main {
	struct slice primary_hostname, qualify_domain, qualify_recipient; /* never empty */
	struct slice spool_directory;
	struct conf_strings log_file_path; /* absolute, with "%s" in them, or "syslog"; never none */
	struct slice syslog_facility;      /* "mail" */
	int64_t syslog_facility_code;      /* its number in syslog's protocol (RFC 5424 §6.2.1) */
	struct conf_interfaces local_interfaces;
	struct conf_ports daemon_smtp_ports, tls_on_connect_ports;

	/* TLS of the server. Programs are NULL when unset; tls_certificate NULL: no TLS (role/front_tls.c has them evaluated). */
	const struct expand_program *tls_certificate, *tls_privatekey; /* lists; the second NULL: keys are with the certificates */
	const struct list *tls_advertise_hosts;       /* NULL: all, if there is a certificate */
	const struct list *tls_hosts;                 /* must use TLS before MAIL; NULL: nobody must */
	struct conf_ports tls_require_ports;          /* likewise all hosts on these */
	const struct list *host_accept_relay, *host_auth_accept_relay, *tls_host_accept_relay; /* NULL: nobody */
	struct conf_ports submission_ports;
	const struct list *submission_sender_check;   /* NULL: authenticated users may send as anybody */
	const struct expand_program *tls_profile, *tls_min_version; /* lists, items with a port first */
	const struct expand_program *tls_require_ciphers, *tls_eccurve, *tls_dhparam, *openssl_options;
	int64_t tls_dh_max_bits;
	const struct list *tls_verify_hosts, *tls_try_verify_hosts; /* NULL: nobody */
	const struct expand_program *tls_verify_certificates, *tls_verify_ciphers, *tls_crl;
	bool tls_remember_esmtp;
	const struct list *tls_resumption_hosts, *hosts_require_alpn;
	const struct expand_program *tls_alpn;
	const struct expand_program *tls_ocsp_file;   /* a list */
	bool tls_ocsp_fetch;
	struct slice tls_tlsa_guard;                  /* "false", "true" or "force" */
	bool tls_log_cipher, tls_log_peerdn;
	struct slice log_selector;
	unsigned log_items;                           /* what these three come to: bits of conf/log_selector.h */
	const struct expand_program *received_header_text;

	const struct expand_program *av_scanner, *spamd_address;
	const struct expand_program *smtp_banner;
	const struct expand_program *smtp_active_hostname; /* NULL: primary_hostname */
	int64_t smtp_accept_max, smtp_accept_max_per_connection; /* 0: no limit */
	struct conf_number smtp_accept_max_per_host;             /* 0: no limit */
	int64_t smtp_accept_max_nonmail;
	const struct list *smtp_accept_max_nonmail_hosts;
	int64_t smtp_accept_reserve;                /* of smtp_accept_max; 0: none */
	const struct list *smtp_reserve_hosts, *host_reject_connection; /* NULL: nobody */
	struct conf_fixed smtp_load_reserve;
	const struct list *smtp_ratelimit_hosts;    /* NULL: nobody */
	struct conf_delays smtp_ratelimit_mail, smtp_ratelimit_rcpt;
	int64_t smtp_max_helo, smtp_max_empty_mail, smtp_max_rejected_rcpt, null_sender_recipients_max; /* 0: no limit */
	int64_t smtp_banner_delay;                  /* ns */
	const struct list *smtp_banner_delay_hosts;
	int64_t smtp_connect_backlog;
	int64_t smtp_receive_timeout; /* ns */
	int64_t smtp_max_synprot_errors, smtp_max_unknown_commands;
	bool smtp_enforce_sync;
	const struct list *hosts_proxy, *proxy_required_hosts; /* proxies that send a PROXY header; NULL: none */
	int64_t proxy_protocol_timeout; /* ns */
	struct conf_number recipients_max; /* 0: no limit */
	bool recipients_max_reject;
	struct conf_number message_size_limit; /* bytes; 0: no limit */
	bool accept_8bitmime;
	/* AUTH (role/session_auth.c); each NULL: nobody. */
	const struct list *auth_advertise_hosts, *auth_cleartext_hosts, *auth_over_tls_hosts;
	struct conf_ports auth_over_tls_ports; /* on these all hosts need TLS */
	const struct list *pipelining_advertise_hosts, *chunking_advertise_hosts, *smtputf8_advertise_hosts;
	const struct list *limits_advertise_hosts;
	const struct acl_reference *acl[ACL_POINTS]; /* acl_smtp_...: NULL when unset, or when there is no such option */
	int64_t received_headers_max, header_maxsize;

	struct slice dns_config_file;  /* its path, and what it holds; both empty: the system's resolver */
	struct slice dns_config_text;
	int64_t dns_retrans;           /* ns; 0: the resolver's own */
	int64_t dns_retry;             /* 0: the resolver's own */
	int64_t dns_dnssec_ok;         /* 0: never validate; 1 and -1: always */
	const struct list *dns_again_means_nonexist, *dns_ipv4_lookup; /* domains; NULL: none */
	const struct list *hosts_treat_as_local; /* domains; NULL: none */
	const struct list *host_lookup; /* hosts whose name is looked up at once; NULL: none */
	struct conf_strings host_lookup_order;
	struct lookup_name_order name_order; /* the same, understood */

	/* What expansions use. */
	struct slice user_database;   /* a path; empty: there is none */
	struct slice auth_fail_limit; /* as written */
	struct failures_limit auth_limit; /* the same, understood */
	int64_t auth_fail_delay, auth_remember; /* ns */
	struct slice pam_service;     /* a name, or the path of a file */

	struct slice sqlite_dbfile, pgsql_servers, redis_servers; /* empty: none */
	struct conf_strings keep_environment, add_environment;
	struct slice headers_charset;
	int64_t message_body_visible;
	bool message_body_newlines;

	struct slice role_users;  /* with one "%s" */
	int64_t role_uid_base;
	int64_t shutdown_timeout, reload_timeout; /* ns */
	int64_t front_processes;  /* 0: one a core, less one */
	int64_t retry_interval_max, retry_data_expire; /* ns */
	/* When messages wait for a run of their queue, and when there is one. */
	bool queue_only, queue_only_load_latch;
	struct conf_fixed queue_only_load;
	int64_t smtp_accept_queue, smtp_accept_queue_per_connection; /* 0: no limit */
	int64_t queue_run_interval; /* ns; 0: none by the clock */
	struct conf_strings queue_run_named;
	struct conf_queue_run *queue_runs; /* both, understood */
	size_t queue_run_count;
};

/* Addresses with their ports. */
enum { CONF_LISTENERS_MAX = 1024 };

/* Where the daemon listens: local_interfaces and daemon_smtp_ports put together. */
struct conf_listener {
	struct net_address address; /* with its port */
	bool tls_on_connect;
};

/* One option of one section or instance, for printing. */
struct conf_setting {
	const struct conf_option *option;
	struct slice text;       /* as written, without quotes; the default when not given; data NULL: unset */
	struct conf_place place; /* only while parsing; so are the next two */
	const struct conf_line *source; /* the line that sets it */
	struct slice raw;               /* the value as written there, with quotes */
	bool given, hidden;
};

/* The main section, or one instance of a driver. */
struct conf_block {
	struct slice name, driver; /* empty for the main section */
	const struct conf_table *tables[2]; /* generic and private options; the second may be NULL */
	struct conf_setting *settings;      /* in the order of the tables */
	size_t setting_count;
	struct conf_place place; /* only while parsing */
};

struct conf_named_list {
	enum list_kind kind;
	struct slice name, text;
	struct conf_place place; /* only while parsing */
	const struct list *list;
	bool hidden, cached, compiling, compiled; /* cached: defined with "_cache" */
};

/*
 * A section that is lines rather than options (acl, retry, rewrite) is collected as text and compiled by its own module.
 * A line is a logical one without blanks at its ends; its place is good for as long as the configuration.
 */
struct conf_text_line {
	struct slice text;
	struct conf_place place;
	const struct conf_line *source; /* only while parsing: for conf_source_place */
};

struct conf_text {
	struct conf_text_line *lines;
	size_t count, room;
};

/* An ACL: what stands between its "name:" and the next one. Verbs and conditions are not looked at yet. */
struct conf_acl {
	struct slice name;
	struct conf_place place;
	struct conf_text text;
};

/* The name of a command of ${run}: the constant text with which it begins; `whole`: nothing follows. */
struct conf_command {
	struct slice name;
	bool whole;
};

struct conf {
	struct arena arena;
	size_t references;
	struct conf_main main;
	bool root; /* the master runs as root */
	struct conf_listener *listeners;
	size_t listener_count;
	struct router *routers; /* an array in order; also a chain, see route/route.h; NULL when there is none */
	size_t router_count;
	struct transport *transports;
	size_t transport_count;
	struct authenticator *authenticators; /* an array in order */
	size_t authenticator_count;
	struct conf_named_list *lists;
	size_t list_count, list_room;
	/* The domain lists of these names, which Exim's users have by custom for what is theirs (role/session_message.c); NULL: there is none. */
	const struct conf_named_list *local_domains, *relay_to_domains;
	/* Directories below which lookups may read files: those that expansions and lists name as constant text. */
	struct slice *lookup_directories;
	size_t lookup_directory_count, lookup_directory_room;
	/* What the TLS options name as constant text: each is a file, or the start of names below its directory (conf_tls_allows). */
	struct slice *tls_paths;
	size_t tls_path_count;
	bool tls_by_name; /* what TLS is made of may change when the name is known that the client asks for */
	/* Commands that ${run} may start (conf_allows_command), and directories that their names and arguments name as constant text. */
	struct conf_command *commands;
	size_t command_count, command_room;
	bool uses_pam; /* it has an ${if pam} */
	struct slice *command_directories;
	size_t command_directory_count, command_directory_room;
	struct conf_block main_block, *router_blocks, *transport_blocks, *authenticator_blocks; /* as many as there are of each */
	size_t router_room, transport_room, authenticator_room;
	struct conf_acl *acls; /* in order of the configuration */
	size_t acl_count, acl_room;
	struct conf_text retry_text, rewrite_text;
	struct slice config_file;       /* as it was named */
	/* For conf_print, where the files were read; in roles there is none of it. */
	struct slice *files;            /* the first is the configuration itself */
	struct conf_macro *macros;
	struct conf_text_line *lines;   /* all of it, macros replaced */
	size_t macro_count, line_count;
	struct retry_rule *retry; /* NULL: there is no rule */
	struct rewrite_rule *rewrite; /* NULL: there is no rule */
	struct acl_set *acl_set; /* the ACLs, compiled */
	struct expand_language language; /* what its expansions refer to */
	struct list_scope list_scope;    /* what its lists refer to */
	struct list_forms list_forms;    /* what its lists keep between matches */
	struct conf_parser *parser;      /* only while parsing */
};

/*
 * Parses. In the master (source->system is set) facts of the machine are asked for and remembered in the source; in a role
 * the source has them all. Returns NULL when there was an error; problems has every one, and the warnings. The caller owns
 * the first reference.
 */
struct conf *conf_parse(struct conf_source *source, struct conf_problems *problems);

/*
 * Notes that a lookup will open a file whose path begins with this constant text (expand_language.uses_path): the directory that
 * the text names for certain is one below which the lookup role may read. Text that names none but the root is left out.
 */
void conf_use_path(struct conf *conf, struct slice prefix);

/* Whether the TLS options let the master open this file: they name it, or its directory, as constant text. */
bool conf_tls_allows(const struct conf *conf, struct slice path);

bool conf_ports_have(const struct conf_ports *ports, uint16_t port);

/* The text of a program that needs no connection; empty when it does, or is NULL. */
struct slice conf_constant(const struct expand_program *program);
/* Notes a word of a command (expand_language.uses_command). */
void conf_use_command(struct conf *conf, size_t number, struct slice prefix, bool whole);
/*
 * Whether the configuration has a ${run} that can have this command. The name of most is constant, so that who takes a front over
 * cannot have others started; one that is computed must be a path without "..", below its constant beginning.
 */
bool conf_allows_command(const struct conf *conf, struct slice name);

struct conf *conf_ref(struct conf *conf);
/* Drops the reference and clears the pointer; NULL is allowed. The last one frees everything. */
void conf_unref(struct conf **conf);

/*
 * $primary_hostname, $config_file and the others that only the configuration decides: false when the variable is none of them. The
 * text lives as long as the configuration.
 */
bool conf_variable(const struct conf *conf, enum expand_variable variable, struct slice *text_r);

/* Where the line of an ACL stands whose number (struct acl_line) this is; NULL: it is none of the configuration's. */
const struct conf_place *conf_acl_place(const struct conf *conf, size_t line);
/* The main option that has this host list, for traces: "tls_hosts". */
const char *conf_hosts_option(const struct conf_main *main, const struct list *list);

/* NULL when there is no ACL of that name. */
const struct conf_acl *conf_acl_find(const struct conf *conf, struct slice name);

/* The value alone, in that form: booleans as true or false, nothing when unset. False when `out` is full. */
bool conf_setting_value(const struct conf_setting *setting, bool privileged, struct buf *out);

enum conf_print_flag {
	CONF_PRINT_PRIVILEGED = 1 << 0, /* also what is hidden, and macros */
	CONF_PRINT_BARE = 1 << 1,       /* values without their names (Exim's -n) */
};

/*
 * Prints settings as Exim's -bP does. `name`: an option of the main section, "all" or "" for all of them; "router", "transport",
 * "authenticator" or "macro" with `instance`; one of these words with "s" or "_list" behind it; "config", "config_file",
 * "configure_file", "environment"; or "+name" for a named list. False with *error when there is no such thing, or the text
 * does not fit.
 */
bool conf_print(const struct conf *conf, struct slice name, struct slice instance, unsigned flags, struct buf *out,
		struct error *error);

#endif

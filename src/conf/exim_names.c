/* SPDX-License-Identifier: ISC */
/*
 * The names of the options and drivers of Exim 4.96 (its manual, chapters 14 to 30), so that one that Postern lacks is told
 * from a mistyped one. Sorted.
 */
#include "conf/option.h"

#include <stdlib.h>

static const char *const main_names[] = {
	"accept_8bitmime", "acl_not_smtp", "acl_not_smtp_mime", "acl_not_smtp_start", "acl_smtp_auth",
	"acl_smtp_connect", "acl_smtp_data", "acl_smtp_data_prdr", "acl_smtp_dkim", "acl_smtp_etrn", "acl_smtp_expn",
	"acl_smtp_helo", "acl_smtp_mail", "acl_smtp_mailauth", "acl_smtp_mime", "acl_smtp_notquit", "acl_smtp_predata",
	"acl_smtp_quit", "acl_smtp_rcpt", "acl_smtp_starttls", "acl_smtp_vrfy", "add_environment", "admin_groups",
	"allow_domain_literals", "allow_mx_to_ip", "allow_utf8_domains", "auth_advertise_hosts", "auto_thaw",
	"av_scanner", "bi_command", "bounce_message_file", "bounce_message_text", "bounce_return_body",
	"bounce_return_linesize_limit", "bounce_return_message", "bounce_return_size_limit",
	"bounce_sender_authentication", "callout_domain_negative_expire", "callout_domain_positive_expire",
	"callout_negative_expire", "callout_positive_expire", "callout_random_local_part", "check_log_inodes",
	"check_log_space", "check_rfc2047_length", "check_spool_inodes", "check_spool_space",
	"chunking_advertise_hosts", "commandline_checks_require_admin", "daemon_smtp_port", "daemon_smtp_ports",
	"daemon_startup_retries", "daemon_startup_sleep", "debug_store", "delay_warning", "delay_warning_condition",
	"deliver_drop_privilege", "deliver_queue_load_max", "delivery_date_remove", "disable_fsync", "disable_ipv6",
	"dkim_verify_hashes", "dkim_verify_keytypes", "dkim_verify_min_keysizes", "dkim_verify_minimal",
	"dkim_verify_signers", "dmarc_forensic_sender", "dmarc_history_file", "dmarc_tld_file",
	"dns_again_means_nonexist", "dns_check_names_pattern", "dns_cname_loops", "dns_csa_search_limit",
	"dns_csa_use_reverse", "dns_dnssec_ok", "dns_ipv4_lookup", "dns_retrans", "dns_retry", "dns_trust_aa",
	"dns_use_edns0", "drop_cr", "dsn_advertise_hosts", "dsn_from", "envelope_to_remove", "errors_copy",
	"errors_reply_to", "event_action", "exim_group", "exim_path", "exim_user", "exim_version",
	"extra_local_interfaces", "extract_addresses_remove_arguments", "finduser_retries", "freeze_tell", "gecos_name",
	"gecos_pattern", "gnutls_allow_auto_pkcs11", "gnutls_compat_mode", "header_line_maxsize", "header_maxsize",
	"headers_charset", "helo_accept_junk_hosts", "helo_allow_chars", "helo_lookup_domains", "helo_try_verify_hosts",
	"helo_verify_hosts", "hold_domains", "host_lookup", "host_lookup_order", "host_reject_connection",
	"hosts_connection_nolog", "hosts_proxy", "hosts_require_alpn", "hosts_require_helo", "hosts_treat_as_local",
	"ibase_servers", "ignore_bounce_errors_after", "ignore_fromline_hosts", "ignore_fromline_local",
	"keep_environment", "keep_malformed", "ldap_ca_cert_dir", "ldap_ca_cert_file", "ldap_cert_file",
	"ldap_cert_key", "ldap_cipher_suite", "ldap_default_servers", "ldap_require_cert", "ldap_start_tls",
	"ldap_version", "limits_advertise_hosts", "local_from_check", "local_from_prefix", "local_from_suffix",
	"local_interfaces", "local_scan_timeout", "local_sender_retain", "localhost_number", "log_file_path",
	"log_selector", "log_timezone", "lookup_open_max", "max_username_length", "message_body_newlines",
	"message_body_visible", "message_id_header_domain", "message_id_header_text", "message_logs",
	"message_size_limit", "move_frozen_messages", "mua_wrapper", "mysql_servers", "never_users", "notifier_socket",
	"openssl_options", "oracle_servers", "panic_coredump", "percent_hack_domains", "perl_at_start", "perl_startup",
	"perl_taintmode", "pgsql_servers", "pid_file_path", "pipelining_advertise_hosts",
	"pipelining_connect_advertise_hosts", "prdr_enable", "preserve_message_logs", "primary_hostname",
	"print_topbitchars", "process_log_path", "prod_requires_admin", "proxy_protocol_timeout", "qualify_domain",
	"qualify_recipient", "queue_domains", "queue_fast_ramp", "queue_list_requires_admin", "queue_only",
	"queue_only_file", "queue_only_load", "queue_only_load_latch", "queue_only_override", "queue_run_in_order",
	"queue_run_max", "queue_smtp_domains", "receive_timeout", "received_header_text", "received_headers_max",
	"recipient_unqualified_hosts", "recipients_max", "recipients_max_reject", "remote_max_parallel",
	"remote_sort_domains", "retry_data_expire", "retry_interval_max", "return_path_remove", "return_size_limit",
	"rfc1413_hosts", "rfc1413_query_timeout", "sender_unqualified_hosts", "slow_lookup_log",
	"smtp_accept_keepalive", "smtp_accept_max", "smtp_accept_max_nonmail", "smtp_accept_max_nonmail_hosts",
	"smtp_accept_max_per_connection", "smtp_accept_max_per_host", "smtp_accept_queue",
	"smtp_accept_queue_per_connection", "smtp_accept_reserve", "smtp_active_hostname", "smtp_backlog_monitor",
	"smtp_banner", "smtp_check_spool_space", "smtp_connect_backlog", "smtp_enforce_sync", "smtp_etrn_command",
	"smtp_etrn_serialize", "smtp_load_reserve", "smtp_max_synprot_errors", "smtp_max_unknown_commands",
	"smtp_ratelimit_hosts", "smtp_ratelimit_mail", "smtp_ratelimit_rcpt", "smtp_receive_timeout",
	"smtp_reserve_hosts", "smtp_return_error_details", "smtputf8_advertise_hosts", "spamd_address", "spf_guess",
	"spf_smtp_comment_template", "split_spool_directory", "spool_directory", "spool_wireformat",
	"sqlite_lock_timeout", "strict_acl_vars", "strip_excess_angle_brackets", "strip_trailing_dot",
	"syslog_duplication", "syslog_facility", "syslog_pid", "syslog_processname", "syslog_timestamp",
	"system_filter", "system_filter_directory_transport", "system_filter_file_transport", "system_filter_group",
	"system_filter_pipe_transport", "system_filter_reply_transport", "system_filter_user", "tcp_nodelay",
	"timeout_frozen_after", "timezone", "tls_advertise_hosts", "tls_alpn", "tls_certificate", "tls_crl",
	"tls_dh_max_bits", "tls_dhparam", "tls_eccurve", "tls_ocsp_file", "tls_on_connect_ports", "tls_privatekey",
	"tls_remember_esmtp", "tls_require_ciphers", "tls_resumption_hosts", "tls_try_verify_hosts",
	"tls_verify_certificates", "tls_verify_hosts", "trusted_groups", "trusted_users", "unknown_login",
	"unknown_username", "untrusted_set_sender", "uucp_from_pattern", "uucp_from_sender", "warn_message_file",
	"write_rejectlog",
};

static const char *const router_names[] = {
	"address_data", "address_test", "allow_defer", "allow_fail", "allow_filter", "allow_freeze",
	"cannot_route_message", "caseful_local_part", "check_ancestor", "check_group", "check_local_user",
	"check_owner", "check_secondary_mx", "check_srv", "command", "command_group", "command_user", "condition",
	"current_directory", "data", "debug_print", "directory_transport", "disable_logging", "dnssec_request_domains",
	"dnssec_require_domains", "domains", "driver", "dsn_lasthop", "errors_to", "expn", "fail_defer_domains",
	"fail_verify", "fail_verify_recipient", "fail_verify_sender", "fallback_hosts", "file", "file_transport",
	"filter_prepend_home", "forbid_blackhole", "forbid_exim_filter", "forbid_file", "forbid_filter_dlfunc",
	"forbid_filter_existstest", "forbid_filter_logwrite", "forbid_filter_lookup", "forbid_filter_perl",
	"forbid_filter_readfile", "forbid_filter_readsocket", "forbid_filter_reply", "forbid_filter_run",
	"forbid_include", "forbid_pipe", "forbid_sieve_filter", "forbid_smtp_code", "group", "headers_add",
	"headers_remove", "hide_child_in_errmsg", "host_all_ignored", "host_find_failed", "hosts", "hosts_randomize",
	"ignore_eacces", "ignore_enotdir", "ignore_target_hosts", "include_directory", "initgroups", "ipv4_only",
	"ipv4_prefer", "local_part_prefix", "local_part_prefix_optional", "local_part_suffix",
	"local_part_suffix_optional", "local_parts", "log_as_local", "modemask", "more", "mx_domains",
	"mx_fail_domains", "one_time", "optional", "owners", "owngroups", "pass_on_timeout", "pass_router",
	"pipe_transport", "port", "protocol", "qualify_domain", "qualify_preserve_domain", "qualify_single", "query",
	"redirect_router", "repeat_use", "reply_transport", "require_files", "reroute", "response_pattern",
	"retry_use_local_part", "rewrite", "rewrite_headers", "route_data", "route_list", "router_home_directory",
	"same_domain_copy_routing", "search_parents", "self", "senders", "set", "sieve_subaddress", "sieve_useraddress",
	"sieve_vacation_directory", "skip_syntax_errors", "srv_fail_domains", "syntax_errors_text", "syntax_errors_to",
	"timeout", "translate_ip_address", "transport", "transport_current_directory", "transport_home_directory",
	"unseen", "user", "verify", "verify_only", "verify_recipient", "verify_sender", "widen_domains",
};

static const char *const transport_names[] = {
	"address_retry_include_sender", "allow_commands", "allow_fifo", "allow_localhost", "allow_symlink",
	"authenticated_sender", "authenticated_sender_force", "batch_id", "batch_max", "bcc", "body_only", "cc",
	"check_group", "check_owner", "check_string", "command", "command_timeout", "connect_timeout",
	"connection_max_messages", "create_directory", "create_file", "current_directory", "dane_require_tls_ciphers",
	"data_timeout", "debug_print", "delay_after_cutoff", "delivery_date_add", "directory", "directory_file",
	"directory_mode", "disable_logging", "dkim_canon", "dkim_domain", "dkim_hash", "dkim_identity",
	"dkim_private_key", "dkim_selector", "dkim_sign_headers", "dkim_strict", "dkim_timestamps",
	"dns_qualify_single", "dns_search_parents", "dnssec_request_domains", "dnssec_require_domains", "driver",
	"dscp", "envelope_to_add", "environment", "escape_string", "event_action", "fallback_hosts", "file",
	"file_expand", "file_format", "file_must_exist", "file_optional", "final_timeout", "force_command",
	"freeze_exec_fail", "freeze_signal", "from", "gethostbyname", "gnutls_compat_mode", "group", "headers",
	"headers_add", "headers_only", "headers_remove", "headers_rewrite", "helo_data", "home_directory",
	"host_name_extract", "hosts", "hosts_avoid_esmtp", "hosts_avoid_pipelining", "hosts_avoid_tls", "hosts_max_try",
	"hosts_max_try_hardlimit", "hosts_nopass_tls", "hosts_noproxy_tls", "hosts_override", "hosts_pipe_connect",
	"hosts_randomize", "hosts_request_ocsp", "hosts_require_alpn", "hosts_require_auth", "hosts_require_dane",
	"hosts_require_ocsp", "hosts_require_tls", "hosts_try_auth", "hosts_try_chunking", "hosts_try_dane",
	"hosts_try_fastopen", "hosts_try_prdr", "hosts_verify_avoid_tls", "ignore_quota", "ignore_status", "initgroups",
	"interface", "keepalive", "lmtp_ignore_quota", "lock_fcntl_timeout", "lock_flock_timeout", "lock_interval",
	"lock_retries", "lockfile_mode", "lockfile_timeout", "log", "log_defer_output", "log_fail_output", "log_output",
	"mailbox_filecount", "mailbox_size", "maildir_format", "maildir_quota_directory_regex", "maildir_retries",
	"maildir_tag", "maildir_use_size_file", "maildirfolder_create_regex", "mailstore_format", "mailstore_prefix",
	"mailstore_suffix", "max_output", "max_parallel", "max_rcpt", "mbx_format", "message_linelength_limit",
	"message_prefix", "message_size_limit", "message_suffix", "mode", "mode_fail_narrower", "multi_domain",
	"never_mail", "notify_comsat", "once", "once_file_size", "once_repeat", "path", "permit_coredump",
	"pipe_as_creator", "port", "protocol", "quota", "quota_directory", "quota_filecount", "quota_is_inclusive",
	"quota_size_regex", "quota_warn_message", "quota_warn_threshold", "rcpt_include_affixes", "reply_to",
	"restrict_to_path", "retry_include_ip_address", "retry_use_local_part", "return_fail_output", "return_message",
	"return_output", "return_path", "return_path_add", "serialize_hosts", "shadow_condition", "shadow_transport",
	"size_addition", "socket", "socks_proxy", "subject", "temp_errors", "text", "timeout", "timeout_defer",
	"tls_alpn", "tls_certificate", "tls_crl", "tls_dh_min_bits", "tls_privatekey", "tls_require_ciphers",
	"tls_resumption_hosts", "tls_sni", "tls_tempfail_tryclear", "tls_try_verify_hosts", "tls_verify_cert_hostnames",
	"tls_verify_certificates", "tls_verify_hosts", "to", "transport_filter", "transport_filter_timeout", "umask",
	"use_bsmtp", "use_classresources", "use_crlf", "use_fcntl_lock", "use_flock_lock", "use_lockfile",
	"use_mbx_lock", "use_shell", "user", "utf8_downconvert",
};

static const char *const router_drivers[] = {
	"accept", "dnslookup", "ipliteral", "iplookup", "manualroute", "queryprogram", "redirect",
};

static const char *const transport_drivers[] = {
	"appendfile", "autoreply", "lmtp", "pipe", "queuefile", "smtp",
};

static const char *const authenticator_drivers[] = {
	"cram_md5", "cyrus_sasl", "dovecot", "external", "gsasl", "heimdal_gssapi", "plaintext", "spa", "tls",
};

static const char *const authenticator_names[] = {
	"client_authz", "client_channelbinding", "client_condition", "client_domain", "client_ignore_invalid_base64", "client_name",
	"client_password", "client_secret", "client_send", "client_set_id", "client_spassword", "client_username", "driver", "public_name",
	"server_advertise_condition", "server_channelbinding", "server_condition", "server_debug_print", "server_hostname", "server_key",
	"server_keytab", "server_mail_auth_condition", "server_mech", "server_param", "server_param1", "server_param2", "server_param3",
	"server_password", "server_prompts", "server_realm", "server_scram_iter", "server_scram_salt", "server_secret", "server_service",
	"server_set_id", "server_skey", "server_socket", "server_tls",
};

static int compare(const void *key, const void *element)
{
	return slice_compare(*(const struct slice *)key, slice_of(*(const char *const *)element));
}

static bool has(const char *const *names, size_t count, struct slice name)
{
	return bsearch(&name, names, count, sizeof *names, compare) != NULL;
}

#define HAS(names, name) has(names, sizeof names / sizeof *names, name)

bool conf_exim_has_main(struct slice name)
{
	return HAS(main_names, name);
}

bool conf_exim_has_router(struct slice name)
{
	return HAS(router_names, name);
}

bool conf_exim_has_transport(struct slice name)
{
	return HAS(transport_names, name);
}

bool conf_exim_has_authenticator(struct slice name)
{
	return HAS(authenticator_names, name);
}

bool conf_exim_has_router_driver(struct slice name)
{
	return HAS(router_drivers, name);
}

bool conf_exim_has_transport_driver(struct slice name)
{
	return HAS(transport_drivers, name);
}

bool conf_exim_has_authenticator_driver(struct slice name)
{
	return HAS(authenticator_drivers, name);
}

/* SPDX-License-Identifier: ISC */
/* The options of the main section. Names, meanings and defaults are Exim's where Exim has the option. */
#include "conf/conf.h"
#include "conf/tables.h"

#define OPTION(field) .name = #field, .offset = offsetof(struct conf_main, field), .since = "0.1"

/* Expanded for a connection. */
#define EXPANDED .type = CONF_EXPANDED, .place = EXPAND_PLACE_CONNECTION

/* Expanded when it is run, then the name of an ACL, its text, or an absolute path. */
#define ACL(option, point)                                                                         \
	.name = "acl_" #option, .type = CONF_ACL, .place = ACL_POINT_##point,                      \
	.offset = offsetof(struct conf_main, acl[ACL_POINT_##point]), .since = "0.1"

static const struct conf_option options[] = {
	{ OPTION(primary_hostname), .type = CONF_STRING, .computed = "the name of this machine",
	  .help = "The name of this host: in the SMTP greeting, in Received: lines, and wherever $primary_hostname "
		  "stands.",
	  .example = "mx.example.org" },
	{ OPTION(qualify_domain), .type = CONF_STRING, .computed = "primary_hostname",
	  .help = "The domain that is added to a sender address without one, where such addresses are allowed.",
	  .example = "example.org" },
	{ OPTION(qualify_recipient), .type = CONF_STRING, .computed = "qualify_domain",
	  .help = "The domain that is added to a recipient address without one, such as <postmaster>.",
	  .example = "example.org" },
	{ OPTION(spool_directory), .type = CONF_PATH, .fallback = "/var/spool/postern",
	  .help = "Where accepted messages are kept until they are delivered. It must be on a local file system. "
		  "Small ones stand in a log there, which takes up to 256 MiB.",
	  .example = "/var/spool/postern" },
	{ OPTION(log_file_path), .type = CONF_STRINGS, .fallback = "/var/log/postern/%slog",
	  .help = "Where log lines go: an absolute path, in which %s stands for main, reject or panic, or the word "
		  "syslog, or both. Set to nothing: log/%slog below the spool directory.",
	  .example = "syslog : /var/log/postern/%slog" },
	{ OPTION(syslog_facility), .type = CONF_CHOICE, .fallback = "mail",
	  .choices = "mail user news uucp daemon local0 local1 local2 local3 local4 local5 local6 local7",
	  .help = "The facility of lines that go to syslog.", .example = "local3" },
	{ OPTION(local_interfaces), .type = CONF_INTERFACES, .fallback = "<; ::0 ; 0.0.0.0",
	  .help = "The addresses to listen on. One may carry its own port, as 127.0.0.1.2525 or [::1]:2525; the "
		  "others listen on daemon_smtp_ports.",
	  .example = "<; 127.0.0.1 ; [::1]:2525" },
	{ OPTION(daemon_smtp_ports), .type = CONF_PORTS, .fallback = "smtp",
	  .help = "The ports to listen on, as numbers or service names.", .example = "25 : 465 : 587" },
	{ OPTION(tls_on_connect_ports), .type = CONF_PORTS, .fallback = "",
	  .help = "Ports on which TLS begins at once, without STARTTLS (RFC 8314 §3). They must be listened on as "
		  "well: this option does not open them.",
	  .example = "465" },
	{ OPTION(tls_certificate), EXPANDED,
	  .help = "This server's certificates: a list of files in PEM form, each with a certificate and those that lead from it "
		  "to its root, and with the private key too where tls_privatekey is unset. Several serve side by side, such as one "
		  "for RSA and one for ECDSA. An item that ends with a slash is a directory of certificates by the name that the client asks "
		  "for (SNI): NAME.pem, or NAME/fullchain.pem with NAME/privkey.pem; then those of *.parent; otherwise default.pem "
		  "or default/, or that of primary_hostname. Expanded for each connection that wants TLS, and again when the name is known, "
		  "if it uses $tls_in_sni. Files are opened only below directories that stand here as constant text; changed files are "
		  "used by new connections as soon as key and certificate fit, but a chain that does not belong together or is not valid now never "
		  "replaces one that does and is. At most 8 files or directories, with 100,000 names in a directory; a server has at most 4,096 "
		  "different keys and 8,192 files of TLS in use. Unset, or a forced failure: no TLS.",
	  .example = "/etc/postern/tls/cert.pem" },
	{ OPTION(tls_privatekey), EXPANDED, .computed = "tls_certificate",
	  .help = "The files with the private keys of the certificates in PEM form, in the same order. Only the keeper process has "
		  "them. Expanded like tls_certificate.",
	  .example = "/etc/postern/tls/key.pem" },
	{ OPTION(tls_advertise_hosts), .type = CONF_HOSTS, .computed = "* when tls_certificate is set, otherwise nobody",
	  .help = "The hosts that are offered STARTTLS. When it is set, also where TLS is not configured or cannot work; STARTTLS is then answered "
		  "with 454.",
	  .example = "!192.0.2.7 : *" },
	{ OPTION(tls_hosts), .type = CONF_HOSTS, .modern = "an ACL for MAIL with \"!encrypted = *\"",
	  .help = "The hosts that must use TLS: without it their MAIL is answered with 503 Use of TLS required. They "
		  "are always offered STARTTLS.",
	  .example = "192.0.2.0/24" },
	{ OPTION(host_accept_relay), .type = CONF_HOSTS, .modern = "an ACL for RCPT with \"accept hosts = ...\"",
	  .help = "The hosts that may send mail for any domain. This and the next two hold where there is no acl_smtp_rcpt, and are "
		  "alternatives: one that permits is enough. With an ACL, that decides; one whose option is forced to fail is none. "
		  "Everybody else may send mail for the domains that are ours. These are the domains of \"domainlist local_domains\" and "
		  "\"domainlist relay_to_domains\", lists that count by their names, and those that `domains` of a router names. A domain is "
		  "named by an item that is its name or the end of it, by an expression, or by what a lookup finds. It is not ours when an item "
		  "takes any domain: \"*\", an expression that does, the \"*\" of lsearch*, an item computed from the address, a list that "
		  "ends in a negated item; nor, in a router's `domains`, when a negated item stands before the one that takes it: "
		  "\"! +local_domains : *.test\" says what is left, not whose it is. A configuration check warns of such lists.",
	  .example = "192.0.2.0/24" },
	{ OPTION(host_auth_accept_relay), .type = CONF_HOSTS, .fallback = "*", .modern = "an ACL for RCPT with \"accept authenticated = *\"",
	  .help = "The hosts that may send mail for any domain once they are authenticated.", .example = "*" },
	{ OPTION(tls_host_accept_relay), .type = CONF_HOSTS, .modern = "an ACL for RCPT with \"accept encrypted = *\" and \"hosts = ...\"",
	  .help = "The hosts that may send mail for any domain when they use TLS. That makes sense for clients whose certificate is "
		  "verified, with tls_verify_hosts.",
	  .example = "192.0.2.0/24" },
	{ OPTION(submission_ports), .type = CONF_PORTS, .fallback = "587 : 465",
	  .help = "Ports of this server for mail clients, where everybody must authenticate, local networks included (530 to MAIL), and "
		  "messages are put right as with control = submission. An empty list makes them ports like others.",
	  .example = "587 : 465" },
	{ OPTION(submission_sender_check), .type = CONF_ADDRESSES,
	  .help = "The addresses that an authenticated user may send from, in the envelope (550 to MAIL) and in From (550 after DATA). Every "
		  "mailbox of every From and Resent-From must be one of them, and there must be a From. The null sender is let through. Unset: any.",
	  .example = "$authenticated_id : ${lookup{$authenticated_id}lsearch{/etc/postern/senders}}" },
	{ OPTION(smtp_active_hostname), .type = CONF_EXPANDED, .place = EXPAND_PLACE_CONNECTION, .computed = "primary_hostname",
	  .help = "The name that this server shows to the client, in the greeting and in the answer to EHLO. A forced failure, or an "
		  "empty result, leaves primary_hostname.",
	  .example = "${if eq{$received_ip_address}{192.0.2.2}{mx2.example.org}fail}" },
	{ OPTION(tls_require_ports), .type = CONF_PORTS, .fallback = "",
	  .help = "Ports of this server on which all hosts are treated as those of tls_hosts.", .example = "587" },
	{ OPTION(tls_profile), EXPANDED, .computed = "intermediate on submission_ports and tls_on_connect_ports, otherwise opportunistic",
	  .help = "A set of protocol versions, ciphers and groups, all with forward secrecy. modern: TLS 1.3 alone. intermediate: TLS "
		  "1.2 and 1.3, authenticated encryption (RFC 9325 §4.2). opportunistic: TLS 1.2 and 1.3, every cipher that is not broken, for "
		  "the alternative is clear text. An item of the list with a port, such as 587=modern, holds for "
		  "connections to that port. The other options change single values of it.",
	  .example = "opportunistic : 587=modern" },
	{ OPTION(tls_min_version), EXPANDED, .computed = "that of tls_profile",
	  .help = "The lowest protocol version: TLS1, TLS1.1, TLS1.2 or TLS1.3. The first two are insecure and are there only if they are "
		  "asked for, here or with openssl_options (RFC 8996). Items with a port as in tls_profile.",
	  .example = "TLS1.2 : 587=TLS1.3" },
	{ OPTION(tls_require_ciphers), EXPANDED, .computed = "those of tls_profile",
	  .help = "The ciphers that may be used, in OpenSSL's form, separated by colons. Names that begin with TLS_ are suites of TLS 1.3; "
		  "when there is none, those of the profile stay. string-b stands for the list of that name in the guide of bettercrypto.org. "
		  "Priority strings of GnuTLS are refused. A text that begins with another separator, as in <; ECDHE+AESGCM:ECDHE+AES ; "
		  "587=ECDHE+AESGCM, has several such lists: one with a port holds for connections to it, as in tls_profile.",
	  .example = "ECDHE+AESGCM:ECDHE+CHACHA20:TLS_AES_128_GCM_SHA256" },
	{ OPTION(tls_eccurve), EXPANDED, .fallback = "auto",
	  .help = "The groups of the key exchange in order, separated by colons. auto: a hybrid post-quantum group where the library has "
		  "one, then X25519, P-256, X448, P-384 and P-521.",
	  .example = "X25519:P-256" },
	{ OPTION(tls_dhparam), EXPANDED, .fallback = "default",
	  .help = "Parameters for ephemeral Diffie-Hellman with TLS 1.2: a file in PEM form, the name of a group (ffdhe2048 to ffdhe8192, "
		  "ike14 to ike18, ike23, ike24), default for a group as strong as the certificate, or none for no such key exchange. "
		  "historic is refused: its group is broken. With more bits than tls_dh_max_bits there is no such key exchange, so "
		  "longer ones need both options.",
	  .example = "ffdhe2048" },
	{ OPTION(tls_dh_max_bits), .type = CONF_INTEGER, .fallback = "2236", .min = 1024, .max = 16384,
	  .help = "Parameters from tls_dhparam with more bits are not used: there are clients that cannot. default then takes the largest group "
		  "within the limit, down to 2048 bits.",
	  .example = "4096" },
	{ OPTION(openssl_options), EXPANDED,
	  .help = "Flags of OpenSSL, each with + to set or - to clear it: all, no_tlsv1_2, cipher_server_preference and so on "
		  "(SSL_CTX_set_options(3)). -no_tlsv1 and -no_tlsv1_1 allow these versions. Those that the library no longer has are "
		  "accepted and do nothing. Compression and renegotiation stay off.",
	  .example = "+all +no_sslv2 +no_compression +cipher_server_preference" },
	{ OPTION(tls_verify_hosts), .type = CONF_HOSTS,
	  .help = "The hosts that must have a certificate that can be verified by tls_verify_certificates: otherwise their handshake fails. "
		  "A list that cannot be evaluated has all hosts.",
	  .example = "192.0.2.0/24" },
	{ OPTION(tls_try_verify_hosts), .type = CONF_HOSTS,
	  .help = "The hosts that are asked for a certificate; $tls_in_certificate_verified says whether it was a good one.", .example = "*" },
	{ OPTION(tls_verify_certificates), EXPANDED, .computed = "system",
	  .help = "Certificates that clients' certificates are verified with: a file in PEM form, a directory of such files with hashed "
		  "names (openssl rehash), or system for those of the system. They are authorities, or certificates of clients themselves. "
		  "Clients are told the names in a file, if it has 64 certificates or fewer. Unlike in Exim, those of the system are not added to others.",
	  .example = "/etc/ssl/certs/ca-certificates.crt" },
	{ OPTION(tls_verify_ciphers), EXPANDED, .modern = "tls_require_ciphers",
	  .help = "The ciphers that hosts of tls_verify_hosts may use, written as in tls_require_ciphers, but nothing else: a list without "
		  "a suite of TLS 1.3 leaves that version out, unless it has one of the words ALL, DEFAULT or HIGH.",
	  .example = "ECDHE+AESGCM" },
	{ OPTION(tls_crl), EXPANDED,
	  .help = "A file with revocation lists in PEM form for the certificates of clients, or a directory of such files with hashed names "
		  "(9d66eef0.r0; openssl rehash); each of their issuers must have one. What changes there is in use within seconds.",
	  .example = "/etc/postern/tls/crl.pem" },
	{ OPTION(tls_remember_esmtp), .type = CONF_BOOL, .fallback = "false",
	  .help = "A client that said EHLO before STARTTLS need not say it again (RFC 3207 §4.2 wants it to).", .example = "true" },
	{ OPTION(tls_resumption_hosts), .type = CONF_HOSTS, .fallback = "*",
	  .help = "The hosts that may resume TLS sessions by tickets. Their keys are shared by all processes and changed every six hours.",
	  .example = "*" },
	{ OPTION(tls_alpn), EXPANDED, .fallback = "smtp : esmtp",
	  .help = "The names of protocols that a client may ask for (ALPN, RFC 7301). As in Exim, a client is refused if it asks for "
		  "another one, or for more than one, even if both are here. Empty: what clients ask for is ignored.",
	  .example = "smtp" },
	{ OPTION(hosts_require_alpn), .type = CONF_HOSTS,
	  .help = "The hosts that must ask for a protocol of tls_alpn.", .example = "192.0.2.0/24" },
	{ OPTION(tls_ocsp_file), EXPANDED,
	  .help = "Files with proofs of validity (OCSP responses) for the certificates, in any order, DER or PEM, with or without that word before "
		  "the path; sent to clients that ask (RFC 6066 §8). Certificates beside a proof in its file are sent with it. Proofs that "
		  "are not valid are not sent, and told of once; a replaced file is in use within two seconds. At most "
		  "8 files, by absolute paths.",
	  .example = "/etc/postern/tls/ocsp.der" },
	{ OPTION(tls_ocsp_fetch), .type = CONF_BOOL, .fallback = "false",
	  .help = "Fetch such proofs from the responders that the certificates name, renew them at a third of their life, and keep them over "
		  "restarts. The certificate of the issuer must follow the server's in its file. A valid proof in tls_ocsp_file comes first.",
	  .example = "true" },
	{ OPTION(tls_tlsa_guard), .type = CONF_CHOICE, .fallback = "false", .choices = "false true force",
	  .help = "Refuse a changed certificate that the published TLSA records of its names do not match (RFC 7671 §8.1). force: only "
		  "log it.",
	  .example = "true" },
	{ OPTION(tls_log_cipher), .type = CONF_BOOL, .fallback = "true", .modern = "log_selector = +tls_cipher",
	  .help = "Log the cipher of a message's connection (X=).", .example = "false" },
	{ OPTION(tls_log_peerdn), .type = CONF_BOOL, .fallback = "false", .modern = "log_selector = +tls_peerdn",
	  .help = "Log the name in the client's certificate (DN=).", .example = "true" },
	{ OPTION(log_selector), .type = CONF_STRING,
	  .help = "What log lines hold: names of items, each with + to add or - to leave it out. Logged unless left out: tls_cipher "
		  "(X=), tls_certificate_verified (CV=), msg_id (id=), connection_reject, delay_delivery, lost_incoming_connection, queue_run. To be added: "
		  "proxy (PRX=, and what a proxy tells of the client's TLS), tls_peerdn (DN=), tls_sni (SNI=), tls_resumption (a * behind the cipher of a resumed session), 8bitmime (M8S=), "
		  "received_sender, received_recipients, all. Other names of Exim's are errors, but for adding what Exim logs anyway.",
	  .example = "+tls_certificate_verified +tls_peerdn +tls_sni" },
	{ OPTION(received_header_text), .type = CONF_EXPANDED, .place = EXPAND_PLACE_ENVELOPE, .computed = "as Exim's",
	  .help = "The text of the Received: line that messages get, without the date. Empty: no such line.",
	  .example = "Received: from $sender_rcvhost by $primary_hostname with $received_protocol id $message_exim_id" },
	{ OPTION(smtp_banner), .type = CONF_EXPANDED, .place = EXPAND_PLACE_CONNECTION,
	  .fallback = "$smtp_active_hostname ESMTP Postern $version_number $tod_full",
	  .help = "The text of the greeting; 220 is put before it, before each of its lines where it has several.",
	  .example = "$smtp_active_hostname ESMTP" },
	{ OPTION(smtp_accept_max), .type = CONF_INTEGER, .fallback = "1000", .max = 1000000,
	  .help = "How many connections there may be at one time; 0 for no limit. Those above get 421 and are closed.",
	  .example = "5000" },
	{ OPTION(smtp_accept_max_per_host), .type = CONF_EXPANDED_INTEGER, .place = EXPAND_PLACE_CONNECTION, .fallback = "100", .max = 1000000,
	  .help = "How many of them may come from one address; 0 for no limit.", .example = "20" },
	{ OPTION(smtp_accept_max_per_connection), .type = CONF_INTEGER, .fallback = "1000", .max = 1000000,
	  .help = "How many messages one connection may bring; 0 for no limit.", .example = "100" },
	{ OPTION(smtp_accept_max_nonmail), .type = CONF_INTEGER, .fallback = "10", .max = 1000000,
	  .help = "How many commands that do not belong to sending a message a session may give before it is closed.",
	  .example = "20" },
	{ OPTION(smtp_accept_max_nonmail_hosts), .type = CONF_HOSTS, .fallback = "*",
	  .help = "The hosts to which smtp_accept_max_nonmail applies.", .example = "!127.0.0.1 : *" },
	{ OPTION(smtp_accept_reserve), .type = CONF_INTEGER, .fallback = "0", .max = 1000000,
	  .help = "How many of the connections of smtp_accept_max are kept for the hosts of smtp_reserve_hosts.", .example = "50" },
	{ OPTION(smtp_reserve_hosts), .type = CONF_HOSTS,
	  .help = "The hosts for which connections are kept (smtp_accept_reserve), and that may connect under load (smtp_load_reserve).",
	  .example = "192.0.2.0/24" },
	{ OPTION(smtp_load_reserve), .type = CONF_FIXED,
	  .help = "The load average of the system above which only the hosts of smtp_reserve_hosts may connect; others get 421.",
	  .example = "7.5" },
	{ OPTION(host_reject_connection), .type = CONF_HOSTS,
	  .help = "The hosts whose connections are refused at once, with 554. An ACL can say why (acl_smtp_connect).",
	  .example = "203.0.113.0/24" },
	{ OPTION(smtp_ratelimit_hosts), .type = CONF_HOSTS,
	  .help = "The hosts to which smtp_ratelimit_mail and smtp_ratelimit_rcpt apply. For rates over many connections see the ACL "
		  "condition ratelimit.",
	  .example = "!192.0.2.0/24 : *" },
	{ OPTION(smtp_ratelimit_mail), .type = CONF_DELAYS,
	  .help = "Delays of MAIL commands within one connection: how many have none, the delay of the next, the factor by which it "
		  "grows each time, and the longest. Only that session waits.",
	  .example = "2,0.5s,1.05,4m" },
	{ OPTION(smtp_ratelimit_rcpt), .type = CONF_DELAYS,
	  .help = "The same for the RCPT commands of one message.", .example = "4,0.25s,1.015,4m" },
	{ OPTION(smtp_max_helo), .type = CONF_INTEGER, .fallback = "10", .max = 1000000,
	  .help = "How many HELO and EHLO commands a session may give without sending a message; one more gets 421, and the connection "
		  "is closed. 0: no limit.",
	  .example = "5" },
	{ OPTION(smtp_max_empty_mail), .type = CONF_INTEGER, .fallback = "100", .max = 1000000,
	  .help = "How many MAIL commands a session may give without sending a message; one more gets 421, and the connection is closed. "
		  "0: no limit.",
	  .example = "20" },
	{ OPTION(smtp_max_rejected_rcpt), .type = CONF_INTEGER, .fallback = "100", .max = 1000000,
	  .help = "How many RCPT commands of a connection may be refused; then the next gets 421, and the connection is closed. It stops "
		  "those who try addresses. 0: no limit.",
	  .example = "20" },
	{ OPTION(null_sender_recipients_max), .type = CONF_INTEGER, .fallback = "1", .max = 1000000,
	  .help = "The most recipients of a message with the null sender: a bounce goes to the one sender of a message. Those above get "
		  "452. 0: no limit but recipients_max.",
	  .example = "5" },
	{ OPTION(smtp_banner_delay), .type = CONF_TIME, .fallback = "0s", .max = 60,
	  .help = "How long to wait before the greeting. A client that speaks meanwhile is refused with 554, unless smtp_enforce_sync is false.",
	  .example = "2s" },
	{ OPTION(smtp_banner_delay_hosts), .type = CONF_HOSTS, .fallback = "*",
	  .help = "The hosts for which smtp_banner_delay holds.", .example = "!192.0.2.0/24 : *" },
	{ OPTION(smtp_connect_backlog), .type = CONF_INTEGER, .fallback = "128", .min = 1, .max = 65535,
	  .help = "How many connections the system holds that are not accepted yet (listen(2)).", .example = "512" },
	{ OPTION(smtp_receive_timeout), .type = CONF_TIME, .fallback = "5m", .min = 1, .max = 86400,
	  .help = "How long a session waits for a line, of commands or of a message (RFC 5321 §4.5.3.2.7 asks for 5 "
		  "minutes). The time is for the whole line, not for each read of a part of it; of a message's lines that are longer than 1000 "
		  "octets, for each 1000 of them.",
	  .example = "2m30s" },
	{ OPTION(smtp_max_synprot_errors), .type = CONF_INTEGER, .fallback = "3", .max = 1000000,
	  .help = "How many syntax and protocol errors a session may make; it is closed after one more.", .example = "5" },
	{ OPTION(smtp_max_unknown_commands), .type = CONF_INTEGER, .fallback = "3", .max = 1000000,
	  .help = "How many unknown commands a session may give; it is closed after one more.", .example = "5" },
	{ OPTION(smtp_enforce_sync), .type = CONF_BOOL, .fallback = "true",
	  .help = "Refuse clients that send before they were asked to: before the greeting, or out of turn when "
		  "pipelining is not allowed there.",
	  .example = "true" },
	{ OPTION(hosts_proxy), .type = CONF_HOSTS,
	  .help = "The proxies (load balancers) in front of this server: each of their connections must begin with a header of the PROXY protocol, "
		  "version 1 or 2, which says who the client is; before TLS on tls_on_connect_ports. From then on that client is the host of "
		  "the session, for limits, lists, ACLs and the log. Without a good header in time only QUIT is done, and "
		  "TLS on connect does not begin. Other hosts that send such a header are refused: the list must hold nobody "
		  "who is not a proxy. While the list cannot be evaluated, connections are turned away with 421.",
	  .example = "<; 192.0.2.7 ; 2001:db8::7" },
	{ OPTION(proxy_required_hosts), .type = CONF_HOSTS, .modern = "hosts_proxy",
	  .help = "Proxies, as in hosts_proxy.", .example = "192.0.2.7" },
	{ OPTION(proxy_protocol_timeout), .type = CONF_TIME, .fallback = "3s", .min = 1, .max = 300,
	  .help = "How long a proxy may take for the whole of its header.", .example = "10s" },
	{ OPTION(recipients_max), .type = CONF_EXPANDED_INTEGER, .place = EXPAND_PLACE_CONNECTION, .fallback = "1000", .max = 1000000,
	  .help = "The most recipients of a message; 0 for no limit. Those above get 452, so that the client sends "
		  "them again.",
	  .example = "500" },
	{ OPTION(recipients_max_reject), .type = CONF_BOOL, .fallback = "false",
	  .help = "Refuse a message with too many recipients for good, with 552 and 554.", .example = "true" },
	{ OPTION(message_size_limit), .type = CONF_EXPANDED_INTEGER, .place = EXPAND_PLACE_CONNECTION, .fallback = "50M", .max = INT64_C(1) << 40,
	  .help = "The most bytes of a message; 0 for no limit. Announced with SIZE (RFC 1870).", .example = "100M" },
	{ OPTION(accept_8bitmime), .type = CONF_BOOL, .fallback = "true",
	  .help = "Announce 8BITMIME (RFC 6152) and take BODY= on MAIL.", .example = "false" },
	{ OPTION(auth_advertise_hosts), .type = CONF_HOSTS, .fallback = "*",
	  .help = "The hosts that are offered AUTH (RFC 4954), if there are authenticators: within TLS, and in clear only if they are in "
		  "auth_cleartext_hosts.",
	  .example = "!192.0.2.0/24 : *" },
	{ OPTION(auth_cleartext_hosts), .type = CONF_HOSTS,
	  .help = "The hosts that may use AUTH without TLS, where everybody on the way can read what they send. For all others AUTH in clear is "
		  "not offered, and refused with 538.",
	  .example = "<; 127.0.0.1 ; ::1" },
	{ OPTION(auth_over_tls_ports), .type = CONF_PORTS, .fallback = "",
	  .help = "Ports of this server on which all hosts must use TLS before AUTH, also those in auth_cleartext_hosts.", .example = "587" },
	{ OPTION(auth_over_tls_hosts), .type = CONF_HOSTS, .modern = "leave hosts out of auth_cleartext_hosts, in which nobody is by default",
	  .help = "The hosts that must use TLS before AUTH, also if they are in auth_cleartext_hosts.", .example = "*" },
	{ OPTION(pipelining_advertise_hosts), .type = CONF_HOSTS, .fallback = "*",
	  .help = "The hosts that are offered PIPELINING (RFC 2920).", .example = "*" },
	{ OPTION(chunking_advertise_hosts), .type = CONF_HOSTS, .fallback = "*",
	  .help = "The hosts that are offered CHUNKING, which is BDAT (RFC 3030).", .example = "*" },
	{ OPTION(smtputf8_advertise_hosts), .type = CONF_HOSTS, .fallback = "*",
	  .help = "The hosts that are offered SMTPUTF8 (RFC 6531).", .example = "!192.0.2.7 : *" },
	{ OPTION(limits_advertise_hosts), .type = CONF_HOSTS, .fallback = "*",
	  .help = "The hosts that are told the limits of a session with LIMITS (RFC 9422).", .example = "*" },
	{ OPTION(av_scanner), .type = CONF_EXPANDED, .place = EXPAND_PLACE_ENVELOPE,
	  .help = "The scanner of the ACL condition malware: \"clamd\", then its servers, each a socket's path or a host and a port, and perhaps "
		  "retry=TIME. The message is sent to it. Scanners of other types are not available.",
	  .example = "clamd:/run/clamav/clamd.ctl" },
	{ OPTION(spamd_address), .type = CONF_EXPANDED, .place = EXPAND_PLACE_ENVELOPE, .fallback = "127.0.0.1 783",
	  .help = "The servers of the ACL condition spam: a socket's path, or a host and a port (or two with a dash between), with options: "
		  "pri=, weight=, time=, retry=, tmo=, and variant=rspamd for Rspamd.",
	  .example = "127.0.0.1 11333 variant=rspamd" },
	{ ACL(smtp_connect, CONNECT),
	  .help = "The ACL for a new connection. What its accept has as message takes the place of smtp_banner.",
	  .example = "deny hosts = 192.0.2.0/24" },
	{ ACL(smtp_helo, HELO), .help = "The ACL for HELO and EHLO.", .example = "accept" },
	{ ACL(smtp_starttls, STARTTLS), .help = "The ACL for STARTTLS.", .example = "accept" },
	{ ACL(smtp_auth, AUTH), .help = "The ACL for AUTH, before the mechanism is looked at: $smtp_command_argument is its name.",
	  .example = "accept encrypted = *" },
	{ ACL(smtp_mailauth, MAILAUTH),
	  .help = "The ACL for AUTH= of MAIL: whether $authenticated_sender is believed. Unset: what authenticated clients say is.",
	  .example = "accept authenticated = *" },
	{ ACL(smtp_mail, MAIL), .help = "The ACL for MAIL.", .example = "deny senders = spammer@example.com" },
	{ ACL(smtp_rcpt, RCPT),
	  .help = "The ACL for each RCPT. What it accepts must be routeable as well. Unset, or a forced failure: host_accept_relay and its kin "
		  "decide, and what is routeable is accepted of those who may.",
	  .example = "accept domains = example.org" },
	{ ACL(smtp_predata, PREDATA), .help = "The ACL for DATA, before the message is sent. BDAT does not run it.",
	  .example = "accept" },
	{ ACL(smtp_data, DATA), .help = "The ACL for a message that is here, before it is accepted.", .example = "accept" },
	{ ACL(smtp_mime, MIME),
	  .help = "The ACL for each MIME part of a message with a Content-Type: field, multiparts and attached messages too, before that of "
		  "acl_smtp_data. What it does not accept is refused. Messages with over 1000 parts, or parts nested over 30 deep, are refused.",
	  .example = "deny condition = ${if match{$mime_filename}{\\N\\.exe$\\N}}" },
	{ ACL(smtp_etrn, ETRN), .help = "The ACL for ETRN. What it accepts starts a run of the whole queue, or of that which the ACL names with queue. "
		  "Unset: refused.",
	  .example = "accept hosts = 192.0.2.0/24" },
	{ ACL(smtp_expn, EXPN), .help = "The ACL for EXPN. What it accepts is answered with what the routers say. Unset: refused.",
	  .example = "accept hosts = 192.0.2.0/24" },
	{ ACL(smtp_vrfy, VRFY), .help = "The ACL for VRFY. What it accepts is answered with what the routers say. Unset: refused.",
	  .example = "accept hosts = 192.0.2.0/24" },
	{ ACL(smtp_notquit, NOTQUIT),
	  .help = "The ACL for connections that end without QUIT, for what it logs; $smtp_notquit_reason says why they did.",
	  .example = "accept" },
	{ ACL(smtp_data_prdr, PRDR),
	  .help = "Reserved for replies by recipient after the data (PRDR), which this version does not offer to clients: it is never run.",
	  .example = "accept" },
	{ ACL(smtp_dkim, DKIM), .help = "Reserved for the verification of DKIM signatures, which this version does not do: it is never run.",
	  .example = "accept" },
	{ ACL(not_smtp, NOT_SMTP), .help = "For messages of local programs, which this version does not take: it is never run.",
	  .example = "accept" },
	{ ACL(not_smtp_start, NOT_SMTP_START), .help = "For messages of local programs, which this version does not take: it is never run.",
	  .example = "accept" },
	{ ACL(not_smtp_mime, NOT_SMTP_MIME), .help = "For messages of local programs, which this version does not take: it is never run.",
	  .example = "accept" },
	{ ACL(smtp_quit, QUIT), .help = "The ACL for QUIT, for what it logs; it can refuse nothing.", .example = "accept" },
	{ OPTION(received_headers_max), .type = CONF_INTEGER, .fallback = "30", .min = 1, .max = 10000,
	  .help = "The most Received: lines of a message; more mean a loop.", .example = "50" },
	{ OPTION(header_maxsize), .type = CONF_INTEGER, .fallback = "1M", .min = 1024, .max = 64 * 1024 * 1024,
	  .help = "The most bytes of a message's header section; a larger one gets 552. A section is in memory until it is whole. What sections have "
		  "above 32K is limited to 64M for all clients of a front together: who comes when that is full gets 451.",
	  .example = "256K" },
	{ OPTION(queue_only), .type = CONF_BOOL, .fallback = "false",
	  .help = "Messages are not delivered when they arrive, but by the next run of the queue (queue_run_interval).", .example = "true" },
	{ OPTION(queue_only_load), .type = CONF_FIXED,
	  .help = "The load average of the system above which messages wait for a run of the queue. Unset: it does not matter.",
	  .example = "8" },
	{ OPTION(queue_only_load_latch), .type = CONF_BOOL, .fallback = "true",
	  .help = "Once queue_only_load has held for a message, it holds for all that follow in the same connection. Otherwise the load is "
		  "looked at for each message.",
	  .example = "false" },
	{ OPTION(smtp_accept_queue), .type = CONF_INTEGER, .fallback = "0", .max = 1000000,
	  .help = "Messages of a connection wait for a run of the queue if there were more than so many connections when it began; 0 for no "
		  "limit.",
	  .example = "200" },
	{ OPTION(smtp_accept_queue_per_connection), .type = CONF_INTEGER, .fallback = "0", .max = 1000000,
	  .help = "How many messages of one connection are delivered at once; those that follow wait for a run of the queue. 0 for no limit. "
		  "Exim's default is 10, for it starts a process for each; here it costs the server nothing.",
	  .example = "100" },
	{ OPTION(queue_run_interval), .type = CONF_TIME, .fallback = "30m", .max = 30 * 24 * 3600,
	  .help = "How often the queue is run, as Exim's -q30m says it: what waits for that is tried. A start, a reload and ETRN are runs as "
		  "well. 0s: only these. Messages that were deferred need no run, they are tried when their retry time has come; "
		  "frozen ones stay frozen.",
	  .example = "15m" },
	{ OPTION(queue_run_named), .type = CONF_STRINGS,
	  .help = "The queues with a name (ACL modifier queue) that are run by the clock, and how often, as Exim's -qGbulk/10m says it: a list "
		  "of names, each with a slash and a time. A run tries what waits for one, and what was deferred and whose retry time has "
		  "come; a start and a reload are runs of these queues as well. A queue that is not named here waits for ETRN.",
	  .example = "bulk/10m : night/1d" },
	{ OPTION(retry_interval_max), .type = CONF_TIME, .fallback = "1d", .min = 1, .max = 24 * 3600,
	  .help = "The longest time between two tries, whatever the retry rules say.", .example = "8h" },
	{ OPTION(retry_data_expire), .type = CONF_TIME, .fallback = "7d", .max = 366 * 24 * 3600,
	  .help = "What is remembered of the failures of an address is forgotten when it was not tried for so long.",
	  .example = "2d" },
	{ OPTION(dns_config_file), .type = CONF_PATH,
	  .help = "A file in the form of unbound.conf(5) that says how names are resolved: forwarders, stub zones, trust "
		  "anchors. Without it the servers of /etc/resolv.conf are asked, or the root servers when there are none. "
		  "The root's trust anchor is the system's unless the file has one. Options that name further files are refused.",
	  .example = "/etc/postern/unbound.conf" },
	{ OPTION(dns_retrans), .type = CONF_TIME, .fallback = "0s", .max = 3600,
	  .help = "How long the first try of a question to the DNS may take; each further one may take twice as long. 0s: "
		  "the resolver decides, and a question ends after 30 seconds.",
	  .example = "5s" },
	{ OPTION(dns_retry), .type = CONF_INTEGER, .fallback = "0", .max = 100,
	  .help = "How often a question to the DNS is tried; 0: the resolver decides.", .example = "3" },
	{ OPTION(dns_dnssec_ok), .type = CONF_INTEGER, .fallback = "-1", .min = -1, .max = 1,
	  .help = "0: answers of the DNS are not validated, and none counts as secure. 1 or -1: they are (RFC 4035); a "
		  "name whose signatures are wrong is a temporary error. Needed for DANE. A forwarder that strips signatures makes "
		  "every signed name such an error, and so is a name that only a private resolver knows, unless dns_config_file "
		  "says domain-insecure for it.",
	  .example = "1" },
	{ OPTION(dns_again_means_nonexist), .type = CONF_DOMAINS,
	  .help = "Names for which a temporary error of the DNS is taken to mean that there is no such name. A failed "
		  "validation is never taken so.",
	  .example = "*.in-addr.arpa : *.ip6.arpa" },
	{ OPTION(dns_ipv4_lookup), .type = CONF_DOMAINS,
	  .help = "Hosts of which only IPv4 addresses are looked up.", .example = "*" },
	{ OPTION(hosts_treat_as_local), .type = CONF_DOMAINS,
	  .help = "Names of hosts that count as this one where MX records are looked at: `@mx_any` and its kin in lists of domains.",
	  .example = "mx1.example.org : mx2.example.org" },
	{ OPTION(host_lookup), .type = CONF_HOSTS,
	  .help = "Hosts whose name is looked up when they connect: for the log, for Received:, and for "
		  "$sender_host_name. A name counts only if its addresses include that of the host.",
	  .example = "*" },
	{ OPTION(host_lookup_order), .type = CONF_STRINGS, .fallback = "bydns:byaddr",
	  .help = "How the name of a host is looked up: bydns asks the DNS for PTR records, byaddr looks into /etc/hosts. "
		  "The first that knows a name decides.",
	  .example = "bydns" },
	{ OPTION(user_database), .type = CONF_PATH,
	  .help = "The database of users and passwords that `postern user` writes. The lookup process reads it, so it should stand in a "
		  "directory of its own, away from keys. Unset: there are no such users.",
	  .example = "/etc/postern/accounts/users.db" },
	{ OPTION(auth_fail_limit), .type = CONF_STRING, .fallback = "10 / 1h",
	  .help = "How many failed tries to log in a user, or a network (/24 of IPv4, /64 of IPv6), may have within a time. Who has "
		  "had as many is locked out, and gets one more try each time that such a part of it has passed (here each six "
		  "minutes). The same wrong password again does not count. A user's lock does not hold for networks from which that user has "
		  "logged in within the last month. Empty: no limit.",
	  .example = "10 / 1h" },
	{ OPTION(auth_fail_delay), .type = CONF_TIME, .fallback = "2s", .max = 60,
	  .help = "How long the answer to a failed try to log in takes, so that it does not tell what was wrong with it.",
	  .example = "2s" },
	{ OPTION(auth_remember), .type = CONF_TIME, .fallback = "5m", .max = 3600,
	  .help = "How long the outcome of a password check is remembered, so that a client that logs in every minute does not cost a hash each "
		  "time. What is kept is a digest under a key that only the lookup process has. A changed password counts at "
		  "once. 0s: nothing is remembered.",
	  .example = "5m" },
	{ OPTION(pam_service), .type = CONF_STRING, .fallback = "postern",
	  .help = "The service of ${if pam: the name of a file in /etc/pam.d, or the path of such a file. It is checked by a process of its own, "
		  "whose user (postern-pam) must be able to read what the modules need; for the passwords of the system that is "
		  "membership in the group shadow.",
	  .example = "exim" },
	{ OPTION(sqlite_dbfile), .type = CONF_PATH,
	  .help = "The database of sqlite lookups that name none themselves.", .example = "/etc/postern/users.db" },
	{ OPTION(pgsql_servers), .type = CONF_STRING,
	  .help = "The PostgreSQL servers of pgsql lookups, tried in turn: host/database/user/password, separated by colons; a "
		  "port follows the host after a doubled colon, and a socket's path stands in parentheses. Write hide before it.",
	  .example = "localhost/mail/postern/secret" },
	{ OPTION(redis_servers), .type = CONF_STRING,
	  .help = "The Redis servers of redis lookups, tried in turn: host/number of the database/password, separated by colons; "
		  "a port follows the host after a doubled colon, and a socket's path stands in parentheses. Write hide before it.",
	  .example = "127.0.0.1/0/secret" },
	{ OPTION(keep_environment), .type = CONF_STRINGS,
	  .help = "The variables of the environment that ${env and commands of ${run see; an item may begin or end with \"*\". "
		  "Without it there are none but those of add_environment.",
	  .example = "TZ : POSTERN_*" },
	{ OPTION(add_environment), .type = CONF_STRINGS,
	  .help = "Variables that are added to that environment.", .example = "PATH=/usr/bin::/bin" },
	{ OPTION(headers_charset), .type = CONF_STRING, .fallback = "UTF-8",
	  .help = "The character set into which header lines are decoded in expansions.", .example = "ISO-8859-1" },
	{ OPTION(message_body_visible), .type = CONF_INTEGER, .fallback = "500", .max = 1024 * 1024,
	  .help = "How many bytes of a message's body $message_body and $message_body_end hold.", .example = "2K" },
	{ OPTION(message_body_newlines), .type = CONF_BOOL, .fallback = "false",
	  .help = "Line ends in $message_body and $message_body_end stay; otherwise they become spaces.", .example = "true" },
	{ OPTION(role_users), .type = CONF_STRING, .fallback = "postern-%s",
	  .help = "When started as root: the users that the processes run as. %s stands for the role, such as front "
		  "or queue.",
	  .example = "postern-%s" },
	{ OPTION(role_uid_base), .type = CONF_INTEGER, .fallback = "61104", .min = 1, .max = 4000000000,
	  .help = "When started as root and there is no such user: the first of the user numbers that the roles run "
		  "under, one each.",
	  .example = "61104" },
	{ OPTION(reload_timeout), .type = CONF_TIME, .fallback = "1m", .min = 1, .max = 3600,
	  .help = "How long a reload waits for the keeper, and then for the other roles, to take the new configuration. When one has not "
		  "answered by then, the reload is refused, and the old configuration stays in use everywhere.",
	  .example = "10s" },
	{ OPTION(shutdown_timeout), .type = CONF_TIME, .fallback = "10s", .max = 3600,
	  .help = "How long sessions and deliveries may still go on when the server is stopped.", .example = "30s" },
	{ OPTION(front_processes), .type = CONF_INTEGER, .fallback = "0", .max = 64,
	  .help = "How many processes serve connections; 0: one for each core but one, and at least one.", .example = "2" },
};

const struct conf_table conf_table_main = {
	.title = "Main options", .options = options, .count = sizeof options / sizeof *options,
};

# SPDX-License-Identifier: ISC
"""The configuration snippets of the documents that this server was designed from: Exim's chapter on TLS, its notes on experimental
features, and a hardening guide. Each stands here in the surroundings that its document means. What belongs to this version loads;
what comes later is refused with a text that names it, and this table has that text: it gets shorter, never vaguer.
"""
import json
import os
import subprocess

import pytest

from harness import POSTERN, SANITIZER

TLS = "tls_certificate = /some/file/name\ntls_privatekey = /some/file/name\n"
LATER = "is not available in this version of Postern"


def option(name):
    return f"Exim's option {name} {LATER}"


def smtp(text):
    return "begin transports\nremote_smtp:\n  driver = smtp\n" + text


SMTP = f"Exim's driver smtp {LATER}"

# name: text, what is refused in it (empty: it loads), what is warned about
SNIPPETS = {
    # Exim's manual, chapter 38
    "certificate and key": (TLS, [], []),
    "one file for both": ("tls_certificate = /some/file/name\n", [], []),
    "STARTTLS for all": (TLS + "tls_advertise_hosts = *\n", [], []),
    "hosts that must use TLS": (TLS + "tls_hosts = 192.0.2.0/24\n", [], ["this is an old name"]),
    "Diffie-Hellman parameters": (TLS + "tls_dhparam = /some/file/name\n", [], []),
    "certificates of clients": (TLS + "tls_verify_hosts = *\n", [], []),
    "ciphers of clients": (TLS + "tls_verify_ciphers = DES-CBC3-SHA:IDEA-CBC-MD5\n", [], [
        "this is an old name", 'tls_verify_ciphers "DES-CBC3-SHA:IDEA-CBC-MD5": no cipher match; STARTTLS of the hosts']),
    "expected certificates": (TLS + "tls_verify_certificates = /cert/file\n", [], []),
    "cipher in the log": (TLS + "no_tls_log_cipher\n", [], ["this is an old name"]),
    "name of the peer in the log": (TLS + "tls_log_peerdn\n", [], ["this is an old name"]),
    "relay for hosts": ("host_accept_relay = 192.0.2.0/24\n", [], ["this is an old name"]),
    "relay for users": ("host_auth_accept_relay = *\n", [], ["this is an old name"]),
    "relay over TLS": (TLS + "tls_host_accept_relay = *\n", [], ["this is an old name"]),
    "authentication over TLS only": (TLS + "auth_over_tls_hosts = *\n", [], ["this is an old name"]),
    "one message a connection": (smtp("  batch_max = 1\n"), [SMTP], []),
    "hosts without TLS": (smtp("  hosts_avoid_tls = 192.0.2.1\n  hosts_require_tls = *\n"), [SMTP], []),
    # Exim's experimental features
    "stapled OCSP": (TLS + "tls_ocsp_file = /ocsp.der\n", [], []),
    "stapled OCSP by the name asked for": (TLS + "tls_ocsp_file = ${if eq{$tls_in_sni}{}{/a}{/b}}\n", [], []),
    "OCSP of servers": (smtp("  hosts_require_ocsp = *\n  hosts_request_ocsp = *\n"), [SMTP], []),
    "PROXY protocol": ("hosts_proxy = 192.0.2.1\n", [], []),
    "PROXY protocol, older name": ("proxy_required_hosts = 192.0.2.1\n", [], ["this is an old name"]),
    "logging both addresses": (
        "acl_smtp_connect = c\nbegin acl\nc:\n  warn\n    condition = yes\n"
        "    logwrite = Internal Server Address: $received_ip_address:$received_port\n  accept\n", [], []),
    "limit of connections a host": (
        "acl_smtp_connect = c\nLIMIT = 5\nbegin acl\nc:\n  defer message = Too many connections from this IP right now\n"
        "        ratelimit = LIMIT / 5s / per_conn / strict\n  accept\n",
        ['the ACL condition "ratelimit" is not available in this version'], []),
    "status notifications": ("dsn_advertise_hosts = *\n", [option("dsn_advertise_hosts")], []),
    "last hop of notifications": ("begin routers\nr:\n  driver = accept\n  transport = t\n  dsn_lasthop\n"
                                  "begin transports\nt:\n  driver = appendfile\n  directory = /m\n  maildir_format\n  user = 1000\n",
                                  [option("dsn_lasthop")], []),
    "names in certificates": (smtp("  tls_verify_cert_hostnames = *\n"), [SMTP], []),
    "DANE": (smtp("  hosts_try_dane = *\n"), [SMTP], []),
    # The hardening guide
    "ports": (TLS + "daemon_smtp_ports = smtp : smtps : submission\ntls_on_connect_ports = 465\n", [], []),
    "port 25 alone": (TLS + "daemon_smtp_ports = smtp\n", [], []),
    "authentication offered within TLS": (
        TLS + "begin authenticators\nplain:\n  driver = plaintext\n  public_name = PLAIN\n  server_condition = ${if eq{$auth3}{x}}\n"
        "  server_advertise_condition = ${if eq{$tls_cipher}{}{no}{yes}}\n", [], []),
    "submission mode": ("acl_smtp_mail = m\nbegin acl\nm:\n  warn\n    control = submission/sender_retain\n  accept\n", [], []),
    "more about TLS in the log": ("log_selector = +all \\\n  +tls_certificate_verified +tls_peerdn +tls_sni\n",
                                  [], ["+all adds only the items that this version has"]),
    "asking for certificates": (TLS + "tls_verify_certificates = /etc/pki/tls/certs/ca-bundle.crt\ntls_try_verify_hosts = *\n",
                                [], []),
    "certificate of the client": (smtp("  tls_certificate = /cert.pem\n  tls_privatekey = /cert.key\n"), [SMTP], []),
    "options of OpenSSL": ("openssl_options = +all +no_sslv2 +no_compression +cipher_server_preference\n",
                           [], ["without effect in this library: no_sslv2"]),
}


def check(tmp_path, text):
    conf = tmp_path / "conf"
    conf.write_text("primary_hostname = mx.example.org\n" + text)
    run = subprocess.run([POSTERN, "check", "--json", "-c", str(conf)], capture_output=True, text=True,
                         env={**os.environ, **SANITIZER}, timeout=60)
    assert run.returncode in (0, 2), run
    return run.returncode, json.loads(run.stdout)["problems"]


@pytest.mark.parametrize("name", SNIPPETS)
def test_a_snippet_loads_or_is_refused_with_its_reason(tmp_path, name):
    text, refused, warned = SNIPPETS[name]
    status, problems = check(tmp_path, text)
    errors = [problem for problem in problems if problem["severity"] == "error"]
    # The documents' files do not exist here, which is a warning.
    warnings = [problem for problem in problems if problem["severity"] == "warning" and "cannot be read" not in problem["text"]]
    assert status == (2 if refused else 0), problems
    assert len(errors) == len(refused) and len(warnings) == len(warned), problems
    for problem, start in zip(errors, refused):
        assert problem["text"].startswith(start) and problem["line"], problems
    for problem, start in zip(warnings, warned):
        assert problem["text"].startswith(start), problems

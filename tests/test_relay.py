# SPDX-License-Identifier: ISC
"""Who may relay (Exim 3's manual, chapter 38.1; RFC 5321 §3.6): every combination of the options, the client's host, AUTH, TLS and
certificate, against a table that is computed here. Nobody relays who is not permitted."""
import base64
import itertools
import ssl
import subprocess

import pytest

from harness import Closed, Server, trusting

HOSTS = ["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4"]
RECIPIENTS = {"user@example.test": "local", "x@relayed.test": "relayed", "x@elsewhere.test": "foreign", "x@sub.example.test": "foreign",
              "x%elsewhere.test@relayed.test": "relayed"}
EXTRA = """
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_condition = ${if and{{eq{$auth2}{ann}}{eq{$auth3}{secret}}}}
  server_set_id = $auth2
"""
ROUTERS = """all:
  driver = accept
  transport = outside
"""
TRANSPORTS = """outside:
  driver = appendfile
  directory = {mail}/outside
  maildir_format
  create_directory
  user = nobody
  group = nogroup
"""
# What each option may be: its text, and the hosts that it names; None: not set.
BY_HOST = [None, "127.0.0.2"]
BY_AUTH = [None, "", "127.0.0.3"]
BY_TLS = [None, "127.0.0.4"]
STRICT = [False, True]  # tls_verify_hosts = 127.0.0.4, auth_over_tls_hosts = 127.0.0.3
CLIENTS = list(itertools.product(HOSTS, [False, True], ["clear", "tls", "certificate"]))


def authority(directory):
    """A certificate of a client, and what it is verified with."""
    cert, key = directory / "client.pem", directory / "client-key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj",
                    "/CN=client.test", "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


def context(level, pair):
    made = trusting()
    if level == "certificate":
        made.load_cert_chain(*pair)
    return made


def expected(options, host, auth, level, kind):
    """What must come of it: "refused connection", "no AUTH", or whether the recipient is accepted."""
    by_host, by_auth, by_tls, strict = options
    tls = level != "clear"
    if strict and host == "127.0.0.4" and level == "tls":
        return "refused connection"
    if auth and strict and host == "127.0.0.3" and not tls:
        return "no AUTH"
    permitted = by_host == host
    permitted |= auth and (by_auth is None or by_auth == host)  # not set: every authenticated client
    permitted |= tls and by_tls == host
    return permitted or kind in ("local", "relayed")


def found(one, host, auth, level, pair):
    """The same by trying: for each recipient."""
    try:
        with one.connect(source=host) as client:
            client.ehlo()
            if level != "clear":
                client.starttls(context(level, pair))
            if auth and client.cmd("AUTH PLAIN " + base64.b64encode(b"\0ann\0secret").decode())[0] != 235:
                return dict.fromkeys(RECIPIENTS, "no AUTH")
            client.expect(250, "MAIL FROM:<sender@client.test>")
            answers = {}
            for recipient in RECIPIENTS:
                code, texts = client.cmd(f"RCPT TO:<{recipient}>")
                assert code == 250 or (code, texts) == (550, ["relay not permitted"]), (code, texts)
                answers[recipient] = code == 250
            client.cmd("QUIT")
            return answers
    except (Closed, ssl.SSLError, ConnectionError):
        return dict.fromkeys(RECIPIENTS, "refused connection")


@pytest.fixture(scope="module", name="pair")
def fixture_pair(tmp_path_factory):
    return authority(tmp_path_factory.mktemp("relay"))


def settings(options, pair):
    by_host, by_auth, by_tls, strict = options
    main = {"domainlist relay_to_domains": "relayed.test", "auth_cleartext_hosts": "*",
            "tls_verify_certificates": pair[0], "host_accept_relay": by_host, "host_auth_accept_relay": by_auth,
            "tls_host_accept_relay": by_tls, "smtp_accept_max_per_host": "0"}
    if strict:
        main |= {"tls_verify_hosts": "127.0.0.4", "auth_over_tls_hosts": "127.0.0.3"}
    else:
        main |= {"tls_try_verify_hosts": "*"}
    return main


@pytest.mark.parametrize("options", itertools.product(BY_HOST, BY_AUTH, BY_TLS, STRICT), ids=str)
def test_relaying_is_permitted_to_nobody_but_whom_the_options_name(options, pair, certificates):
    assert len(CLIENTS) * len(RECIPIENTS) * 24 >= 500
    one = Server(certificates, routers=ROUTERS, extra=EXTRA)
    one.transports = TRANSPORTS.format(mail=one.mail)
    one.configure({name: value for name, value in settings(options, pair).items() if value is not None})
    one.start()
    try:
        for host, auth, level in CLIENTS:
            wanted = {recipient: expected(options, host, auth, level, kind) for recipient, kind in RECIPIENTS.items()}
            assert found(one, host, auth, level, pair) == wanted, (host, auth, level)
    finally:
        one.remove()


# A router's `domains`, and those of RECIPIENTS' domains that it names.
NAMED = {"elsewhere.test": "elsewhere", "*elsewhere.test": "elsewhere", "+partners": "elsewhere", "elsewhere.test : *": "elsewhere",
         r"\N^else[a-z]+\.test$\N": "elsewhere", "lsearch;{dir}/partners": "elsewhere", "{dir}/partner_list": "elsewhere",
         "partial-lsearch;{dir}/partners": "elsewhere", "*.test : !elsewhere.test": "elsewhere sub", "*.example.test": "sub",
         "elsewhere.test : !sub.example.test": "elsewhere",
         # What takes any domain, and what is left by those that are not meant, says nothing of whose they are.
         "*": "", "!mx.example.test : *": "", "! mx.example.test": "", "!+local_domains : *.test": "", "+anybody": "", "+others": "",
         "!mx.example.test : elsewhere.test": "", "+most": "", r"\N^.*\N": "", r"\N^(?!mx\.)\N": "", "lsearch*;{dir}/any": "",
         "partial0-lsearch;{dir}/any": "", "$domain": "", "${{if eq{{1}}{{1}}{{*}}}}": "", "{dir}/any_list": ""}
DOMAIN_OF = {"user@example.test": "local", "x@relayed.test": "local", "x@elsewhere.test": "elsewhere", "x@sub.example.test": "sub",
             "x%elsewhere.test@relayed.test": "local"}


@pytest.mark.parametrize("domains", NAMED)
def test_a_router_makes_no_domain_ours_that_it_does_not_name(domains, pair, certificates):
    one = Server(certificates, extra=EXTRA)
    for name, text in (("partners", "elsewhere.test: yes\n"), ("any", "*: yes\n"), ("partner_list", "elsewhere.test\n"), ("any_list", "*\n")):
        (one.dir / name).write_text(text)
    one.routers = ROUTERS.replace("all:", "named:\n  driver = accept\n  domains = " + domains.format(dir=one.dir)
                                  + "\n  transport = outside\n\nall:")
    one.transports = TRANSPORTS.format(mail=one.mail)
    options = ("127.0.0.2", None, "127.0.0.4", False)
    lists = {"domainlist partners": "elsewhere.test", "domainlist anybody": "*", "domainlist others": "! example.test",
             "domainlist most": "!mx.example.test : *.test"}
    one.configure({**lists, **{name: value for name, value in settings(options, pair).items() if value is not None}})
    one.start()
    try:
        for host, auth, level in CLIENTS:
            wanted = {recipient: expected(options, host, auth, level, kind) or DOMAIN_OF[recipient] in NAMED[domains].split()
                      for recipient, kind in RECIPIENTS.items()}
            assert found(one, host, auth, level, pair) == wanted, (host, auth, level)
    finally:
        one.remove()


@pytest.mark.parametrize("name", ["local_domains", "relay_to_domains"])
@pytest.mark.parametrize("text, named", [("*", False), ("! mx.example.test", False), ("!mx.example.test : *", False), ("*.test", True),
                                         ("!mx.example.test : elsewhere.test", True)])
def test_the_lists_of_our_domains_are_for_domains_that_they_name(name, text, named, certificates):
    one = Server(certificates, routers=ROUTERS)
    one.transports = TRANSPORTS.format(mail=one.mail)
    one.configure({f"domainlist {'relay_to_domains' if name == 'relay_to_domains' else 'before'}": text})
    if name == "local_domains":
        one.conf.write_text(one.conf.read_text().replace("domainlist local_domains = example.test", f"domainlist local_domains = {text}"))
    one.start()
    try:
        with one.connect() as client:
            client.ehlo()
            client.expect(250, "MAIL FROM:<sender@client.test>")
            client.expect(250 if named else 550, "RCPT TO:<x@elsewhere.test>")
    finally:
        one.remove()


def test_an_acl_for_rcpt_decides_in_place_of_the_options(pair, certificates):
    acl = "begin acl\ncheck:\n  accept authenticated = *\n  accept domains = +local_domains\n  deny message = not by me\n"
    one = Server(certificates, routers=ROUTERS, extra=EXTRA + acl)
    one.transports = TRANSPORTS.format(mail=one.mail)
    one.configure({**{name: value for name, value in settings(("127.0.0.2", None, None, False), pair).items() if value is not None},
                   "acl_smtp_rcpt": "check"})
    one.start()
    try:
        with one.connect(source="127.0.0.2") as client:
            client.ehlo()
            client.expect(250, "MAIL FROM:<sender@client.test>")
            client.expect(250, "RCPT TO:<user@example.test>")
            assert client.expect(550, "RCPT TO:<x@elsewhere.test>") == "not by me"
            client.expect(250, "RSET")
            client.expect(235, "AUTH PLAIN " + base64.b64encode(b"\0ann\0secret").decode())
            client.expect(250, "MAIL FROM:<sender@client.test>")
            client.expect(250, "RCPT TO:<x@elsewhere.test>")
    finally:
        one.remove()


@pytest.mark.parametrize("forced", [True, False])
def test_an_acl_for_rcpt_that_is_forced_to_fail_leaves_it_to_the_options(forced, pair, certificates):
    one = Server(certificates, routers=ROUTERS, extra=EXTRA + "begin acl\ncheck:\n  accept\n")
    one.transports = TRANSPORTS.format(mail=one.mail)
    options = ("127.0.0.2", None, "127.0.0.4", False)
    one.configure({**{name: value for name, value in settings(options, pair).items() if value is not None},
                   "acl_smtp_rcpt": "${if eq{$sender_address_domain}{%s}{check}fail}" % ("other.test" if forced else "client.test")})
    one.start()
    try:
        for host, auth, level in CLIENTS:
            wanted = {recipient: not forced or expected(options, host, auth, level, kind) for recipient, kind in RECIPIENTS.items()}
            assert found(one, host, auth, level, pair) == wanted, (host, auth, level)
    finally:
        one.remove()


def test_out_of_the_box_nobody_relays_who_is_not_authenticated(certificates):
    """No relay option, no ACL, and no list that says what is local: the routers tell."""
    one = Server(certificates)
    one.start()
    try:
        with one.connect() as client:
            client.ehlo()
            client.expect(250, "MAIL FROM:<sender@client.test>")
            client.expect(250, "RCPT TO:<user@example.test>")
            assert client.expect(550, "RCPT TO:<x@elsewhere.test>") == "relay not permitted"
        one.wait_log(r"rejected RCPT <x@elsewhere\.test>: relay not permitted")
    finally:
        one.remove()

# SPDX-License-Identifier: ISC
"""What a connection's TLS is known by: the variables $tls_in_..., the log's X= CV= DN= SNI=, and the Received: line, each as Exim
4.96 has it (its manual, chapters 11, 14 and 53)."""
import hashlib
import re
import ssl
import subprocess

import pytest

from harness import Server, make_message, trace_of, trusting

VARIABLES = ("cipher", "cipher_std", "ver", "bits", "certificate_verified", "ocsp", "peerdn", "sni", "resumption")
ALIASES = ("cipher", "bits", "certificate_verified", "peerdn", "sni")

# One line a recipient, so that a test asks for what it wants to know.
ACL = """begin acl
rcpt:
  warn local_parts = alice
       logwrite = in %s
  warn local_parts = bob
       logwrite = old %s
  warn local_parts = carol
       logwrite = our <${certextract{subject}{$tls_in_ourcert}}> <${certextract{subj_altname,dns,>;}{$tls_in_ourcert}}> \\
                  ${sha256:$tls_in_ourcert} $tls_in_ourcert peer <$tls_in_peercert> ${if def:tls_in_peercert {yes}{no}}
  deny local_parts = nobody
  accept
""" % (" ".join(f"{name}=<$tls_in_{name}>" for name in VARIABLES), " ".join(f"{name}=<$tls_{name}>" for name in ALIASES))


@pytest.fixture(scope="module")
def one(certificates):
    made = Server(certificates, extra=ACL, main={"acl_smtp_rcpt": "rcpt", "log_selector": "+tls_peerdn +tls_sni +tls_resumption"})
    made.start()
    yield made
    made.stop()
    made.remove()


def facts(line):
    return dict(re.findall(r"(\w+)=<([^>]*)>", line))


def ask(one, user, context=None, tls=True, name="localhost"):
    """The line that the ACL logs for this user."""
    mark = one.mark()
    with one.connect() as client:
        client.ehlo()
        if tls:
            client.expect(220, "STARTTLS")
            client.sock = (context or trusting()).wrap_socket(client.sock, server_hostname=name)
            client.data = b""
            client.ehlo()
        client.expect(250, "MAIL FROM:<sender@client.test>")
        client.cmd(f"RCPT TO:<{user}@example.test>")
        session = client.sock.session if tls else None
        client.cmd("QUIT")
    return one.wait_log({"alice": r" in (.*)$", "bob": r" old (.*)$", "carol": r" our (.*)$"}[user], mark).group(1), session


def test_in_clear_texts_are_empty_and_numbers_are_0(one):
    line, _ = ask(one, "alice", tls=False)
    assert facts(line) == {"cipher": "", "cipher_std": "", "ver": "", "bits": "0", "certificate_verified": "0", "ocsp": "0",
                           "peerdn": "", "sni": "", "resumption": "0"}


@pytest.mark.parametrize("version,name,cipher,standard", [
    (ssl.TLSVersion.TLSv1_3, "TLS1.3", None, None),
    (ssl.TLSVersion.TLSv1_2, "TLS1.2", "ECDHE-ECDSA-AES256-GCM-SHA384", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
])
def test_cipher_version_and_bits_are_as_exim_writes_them(one, version, name, cipher, standard):
    context = trusting(version, version)
    if cipher:
        context.set_ciphers(cipher)
    got = facts(ask(one, "alice", context)[0])
    assert got["ver"] == name
    match = re.fullmatch(r"(TLS1\.[23]):([A-Z0-9_-]+):(\d+)", got["cipher"])
    assert match and match.group(1) == name and match.group(3) == got["bits"]
    assert match.group(2) == (cipher or got["cipher_std"])
    assert got["cipher_std"] == (standard or match.group(2)) and got["bits"] in ("128", "256")
    assert got["sni"] == "localhost" and got["certificate_verified"] == "0" and got["peerdn"] == "" and got["ocsp"] == "0"


def test_older_names_have_the_same_values(one):
    assert facts(ask(one, "bob")[0]) == {name: value for name, value in facts(ask(one, "alice")[0]).items() if name in ALIASES}


def test_a_client_that_names_no_server_leaves_sni_empty(one):
    assert facts(ask(one, "alice", name=None)[0])["sni"] == ""


def test_resumption_is_a_sum_of_bits(one):
    context = trusting(ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2)
    line, session = ask(one, "alice", context)
    assert facts(line)["resumption"] == "11"
    mark = one.mark()
    with one.connect() as client:
        client.ehlo()
        client.expect(220, "STARTTLS")
        client.sock = context.wrap_socket(client.sock, server_hostname="localhost", session=session)
        client.data = b""
        assert client.sock.session_reused
        client.ehlo()
        client.deliver(make_message("resumed"), "alice@example.test")
        client.cmd("QUIT")
    assert facts(one.wait_log(r" in (.*)$", mark).group(1))["resumption"] == "31"
    # Chapter 53: tls_resumption appends an asterisk to the cipher.
    one.wait_log(r" <= sender@client\.test H=\(client\.test\) \[127\.0\.0\.1\] P=esmtps X=TLS1\.2:[A-Z0-9-]+:\d+\* CV=no SNI=localhost S=", mark)


def test_our_certificate_can_be_taken_apart(one):
    line, _ = ask(one, "carol")
    der = subprocess.run(["openssl", "x509", "-in", one.cert, "-outform", "DER"], capture_output=True, check=True).stdout
    assert line == (f"<CN=mx.example.test> <localhost;mx.example.test> {hashlib.sha256(der).hexdigest().upper()} <cert> "
                    "peer <> no")


def test_arrivals_and_rejections_tell_of_tls_as_exim_does(one):
    mark = one.mark()
    with one.connect() as client:
        client.ehlo()
        client.starttls()
        client.expect(250, "MAIL FROM:<sender@client.test>")
        client.expect(550, "RCPT TO:<nobody@example.test>")
        client.cmd("RSET")
        client.deliver(make_message("arrival"), "user@example.test")
        client.cmd("QUIT")
    fields = r"X=TLS1\.3:TLS_[A-Z0-9_]+:\d+ CV=no SNI=localhost"
    one.wait_log(rf"^\S+ \S+ H=\(client\.test\) \[127\.0\.0\.1\] {fields} F=<sender@client\.test> rejected RCPT <nobody@example\.test>$",
                 mark)
    one.wait_log(rf" <= sender@client\.test H=\(client\.test\) \[127\.0\.0\.1\] P=esmtps {fields} S=\d+ id=\S+@client\.test$", mark)
    mark = one.mark()
    one.send(make_message("clear"), "user@example.test", tls=False)
    one.wait_log(r" <= sender@client\.test H=\(client\.test\) \[127\.0\.0\.1\] P=esmtp S=\d+ id=\S+$", mark)


@pytest.mark.parametrize("main,fields", [
    ({}, r"X=TLS1\.3:TLS_[A-Z0-9_]+:\d+ CV=no S=\d+ id=\S+$"),
    ({"tls_log_cipher": "false"}, r"CV=no S=\d+ id=\S+$"),
    ({"log_selector": "-tls_cipher -tls_certificate_verified -msg_id"}, r"S=\d+$"),
    ({"log_selector": "-all +received_sender +received_recipients +8bitmime"}, r"S=\d+ M8S=0 from <sender@client\.test> for user@example\.test alice@example\.test$"),
    ({"tls_log_peerdn": "true", "log_selector": "+tls_sni"}, r"X=TLS1\.3:TLS_[A-Z0-9_]+:\d+ CV=no SNI=localhost S=\d+ id=\S+$"),
])
def test_log_selector_and_the_older_options_choose_the_fields(server, main, fields):
    one = server(main=main)
    one.send(make_message("fields"), "user@example.test", "alice@example.test")
    one.wait_log(r" <= sender@client\.test H=\(client\.test\) \[127\.0\.0\.1\] P=esmtps " + fields)


def test_received_has_the_tls_part_of_exims_default(one):
    """Chapter 14, received_header_text: the version in parentheses, then tls and the standard name."""
    message = make_message("received")
    one.send(message, "user@example.test")
    box = one.maildir()
    box.holds(message)
    stored = next(text for text in box.read() if message.replace(b"\r\n", b"\n") in text)
    assert re.search(r"Received: from \[127\.0\.0\.1\] \(helo=client\.test\)\n\tby mx\.example\.test with esmtps  \(TLS1\.3\) "
                     r"tls TLS_[A-Z0-9_]+\n\t\(Postern \S+\)\n\t\(envelope-from <sender@client\.test>\)\n\tid \S+\n"
                     r"\tfor user@example\.test;\n\t\w{3}, ", trace_of(stored)), trace_of(stored)


EXIM_DEFAULT = r"""Received: \
  ${if def:sender_rcvhost {from $sender_rcvhost\n\t}\
  {${if def:sender_ident {from ${quote_local_part:$sender_ident} }}\
  ${if def:sender_helo_name {(helo=$sender_helo_name)\n\t}}}}\
  by $primary_hostname \
  ${if def:received_protocol {with $received_protocol }}\
  ${if def:tls_in_ver { ($tls_in_ver)}}${if def:tls_in_cipher_std { tls $tls_in_cipher_std\n\t}}\
  (Postern $version_number)\n\t\
  ${if def:sender_address {(envelope-from <$sender_address>)\n\t}}\
  id $message_exim_id${if def:received_for {\n\tfor $received_for}}"""


def received_of(one, *recipients):
    message = make_message("received")
    one.send(message, *recipients)
    one.maildir().holds(message)
    stored = next(text for text in one.maildir().read() if message.replace(b"\r\n", b"\n") in text)
    found = re.search(r"^Received:.*\n(?:[ \t].*\n)*", trace_of(stored), re.M)
    return found.group() if found else None


def without_what_differs(header):
    return re.sub(r"(?<=id )\S+|(?<=;\n\t).*", "", header)


def test_exims_default_text_gives_the_same_line_as_no_text(server):
    set_one, unset = server(main={"received_header_text": EXIM_DEFAULT}), server()
    for recipients in (("user@example.test",), ("user@example.test", "alice@example.test")):
        assert without_what_differs(received_of(set_one, *recipients)) == without_what_differs(received_of(unset, *recipients))


@pytest.mark.parametrize("text,header", [
    (r"Received: from $sender_helo_name\nby $primary_hostname with $tls_in_ver DN=$tls_in_peerdn",
     r"Received: from client\.test\n\tby mx\.example\.test with TLS1\.3 DN=;\n\t\w{3}, .*\n"),
    ("${if eq{$sender_helo_name}{client.test}{}{x}}", None),
])
def test_a_text_of_ones_own_with_the_date_behind_it(server, text, header):
    got = received_of(server(main={"received_header_text": text}), "user@example.test")
    assert got is None if header is None else re.fullmatch(header, got), got


@pytest.mark.parametrize("text,problem", [
    (r"${if eq{$sender_helo_name}{client.test}{X-Other: x}}", 'does not begin with "Received:"'),
    (r"Received: ${sg{$sender_helo_name}{$sender_helo_name(}{}}", "received_header_text: "),
    (r"Received: ${if eq{1}{$sender_helo_name}{x}fail}", "received_header_text: "),
])
def test_a_text_that_fails_is_logged_and_the_message_is_taken(server, text, problem):
    got = received_of(one := server(main={"received_header_text": text}), "user@example.test")
    assert got.startswith("Received: from [127.0.0.1] (helo=client.test)")
    assert problem in one.log_text() and "the standard text is used" in one.log_text()


def test_a_peer_cannot_add_header_lines_through_the_text(server):
    one = server(main={"received_header_text": "Received: $sender_address"})
    message = make_message("forged")
    with one.connect() as client:
        client.ehlo()
        client.deliver(message, "user@example.test", sender='"a\\ b"@client.test')
        client.cmd("QUIT")
    one.maildir().holds(message)
    assert b"\nReceived: " in b"\n" + one.maildir().read()[0]


def test_the_variables_are_there_at_delivery(server):
    """They are kept in the spool with the message."""
    one = server(start=False)
    tag = "${lc:$tls_in_ver}-$tls_in_bits-$tls_in_certificate_verified-$tls_in_ocsp"
    one.conf.write_text(one.conf.read_text().replace("$local_part_data\n", f"$local_part_data/{tag}\n"))
    one.start()
    one.send(make_message("delivery"), "user@example.test")
    one.wait_empty()
    assert [path.name for path in (one.mail / "example.test" / "user").iterdir()] in (["tls1.3-128-0-0"], ["tls1.3-256-0-0"])

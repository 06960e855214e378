# SPDX-License-Identifier: ISC
"""postern cert: certificates that it makes, judged by openssl; and what it says of certificates, files and servers."""
import json
import os
import re
import socket
import subprocess
import threading

import pytest

from harness import POSTERN, REPORT, SANITIZER, make_certificate


@pytest.fixture
def cert(tmp_path):
    """cert(argument, ...): (status, output, complaints), in a directory of its own."""
    def run(*arguments, status=0, command="cert"):
        done = subprocess.run([POSTERN, command, *map(str, arguments)], cwd=tmp_path, capture_output=True, text=True, timeout=60,
                              env={**os.environ, **SANITIZER})
        assert done.returncode == status and not REPORT.search(done.stderr), (done.returncode, done.stdout, done.stderr)
        return done.stdout if status == 0 else done.stdout + done.stderr
    return run


def openssl(tmp_path, *arguments, status=0):
    done = subprocess.run(["openssl", *map(str, arguments)], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def show(cert, *arguments, status=0):
    return json.loads(cert("show", "--json", *arguments, status=status))


def test_self_signed_has_names_days_and_an_ecdsa_key_of_its_owner_only(cert, tmp_path):
    out = cert("self-signed", "--name", "mx.a.test", "--name", "*.b.test", "--name", "192.0.2.1", "--name", "2001:db8::1",
               "--days", "10", "--out", ".")
    assert out == "./cert.pem\n./cert.key\n"
    text = openssl(tmp_path, "x509", "-in", "cert.pem", "-noout", "-text")
    assert re.search(r"DNS:mx\.a\.test, DNS:\*\.b\.test, IP Address:192\.0\.2\.1, IP Address:2001:DB8:0:0:0:0:0:1", text)
    assert "NIST CURVE: P-256" in text and "CA:FALSE" in text and "TLS Web Server Authentication" in text
    openssl(tmp_path, "verify", "-CAfile", "cert.pem", "-verify_hostname", "mx.a.test", "cert.pem")
    openssl(tmp_path, "x509", "-in", "cert.pem", "-noout", "-checkend", str(10 * 86400 - 7200))
    openssl(tmp_path, "x509", "-in", "cert.pem", "-noout", "-checkend", str(10 * 86400 + 60), status=1)
    assert (tmp_path / "cert.key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "cert.pem").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("option, kind", [("--rsa", "RSA 2048 bits"), ("--ed25519", "ED25519")])
def test_other_kinds_of_key(cert, option, kind):
    cert("self-signed", "--name", "a.test", option, "--out", "x.pem")
    shown = show(cert, "x.pem")
    assert shown["certificates"][0]["key"] == kind and shown["key_matches"] is True


def test_files_are_never_overwritten_without_force(cert, tmp_path):
    cert("self-signed", "--name", "a.test", "--out", ".")
    before = [(tmp_path / name).read_bytes() for name in ("cert.pem", "cert.key")]
    assert "cert.pem exists already; --force" in cert("self-signed", "--name", "b.test", "--out", ".", status=2)
    (tmp_path / "cert.pem").unlink()
    assert "cert.key exists already; --force" in cert("self-signed", "--name", "b.test", "--out", ".", status=2)
    assert not (tmp_path / "cert.pem").exists() and (tmp_path / "cert.key").read_bytes() == before[1]
    (tmp_path / "cert.pem").write_bytes(before[0])
    cert("self-signed", "--name", "b.test", "--out", ".", "--force")
    assert show(cert, "cert.pem")["certificates"][0]["names"] == ["b.test"]
    assert sorted(os.listdir(tmp_path)) == ["cert.key", "cert.pem"]


def test_an_authority_signs_servers_and_clients_and_is_served_with_them(cert, tmp_path):
    cert("ca", "--name", "House authority", "--out", ".")
    cert("ca", "--ca", "ca.pem", "--name", "mx.a.test", "--must-staple", "--out", "server.pem")
    cert("ca", "--ca", "ca.pem", "--client", "--name", "user@a.test", "--out", ".")
    openssl(tmp_path, "verify", "-x509_strict", "-CAfile", "ca.pem", "-purpose", "sslserver", "-verify_hostname", "mx.a.test", "server.pem")
    openssl(tmp_path, "verify", "-x509_strict", "-CAfile", "ca.pem", "-purpose", "sslclient", "-verify_email", "user@a.test", "client.pem")
    openssl(tmp_path, "verify", "-CAfile", "ca.pem", "-purpose", "sslserver", "client.pem", status=2)
    shown = show(cert, "server.pem")
    assert [c["subject"] for c in shown["certificates"]] == ["CN=mx.a.test", "CN=House authority"]
    assert shown["certificates"][0]["must_staple"] and shown["certificates"][1]["authority"] and shown["chain_in_order"]
    assert "status_request" in openssl(tmp_path, "x509", "-in", "server.pem", "-noout", "-text")


def test_nothing_outlives_its_authority(cert):
    cert("ca", "--days", "5", "--out", ".")
    cert("ca", "--ca", "ca.pem", "--name", "a.test", "--days", "500", "--out", "a.pem")
    shown = show(cert, "a.pem")["certificates"]
    assert shown[0]["not_after"] == shown[1]["not_after"]


def test_an_authority_needs_its_own_key(cert, tmp_path):
    cert("ca", "--out", ".")
    cert("self-signed", "--name", "a.test", "--out", ".")
    assert "no authority's certificate" in cert("ca", "--ca", "cert.pem", "--name", "b.test", "--out", "b.pem", status=2)
    (tmp_path / "ca.key").write_bytes((tmp_path / "cert.key").read_bytes())
    assert "is not that of" in cert("ca", "--ca", "ca.pem", "--name", "b.test", "--out", "b.pem", status=2)
    (tmp_path / "ca.key").unlink()
    assert "no private key for ca.pem" in cert("ca", "--ca", "ca.pem", "--name", "b.test", "--out", "b.pem", status=2)
    assert not (tmp_path / "b.pem").exists()


@pytest.mark.parametrize("arguments, says", [
    (["self-signed", "--out", "."], "expected --name"),
    (["self-signed", "--name", "a.test"], "expected --out"),
    (["self-signed", "--name", "a b", "--out", "."], "expected a host name"),
    (["self-signed", "--name", "a..test", "--out", "."], "expected a host name"),
    (["self-signed", "--name", "\u00fc.test", "--out", "."], "xn--"),
    (["self-signed", "--name", "u@a.test", "--out", "."], "expected a host name"),
    (["self-signed", "--name", "a.test", "--days", "0", "--out", "."], "--days 0"),
    (["self-signed", "--name", "a.test", "--days", "99999999999999999999", "--out", "."], "--days"),
    (["self-signed", "--name", "a.test", "--out", "x.key"], "does not end in .key"),
    (["self-signed", "--name", "a.test", "--ca", "x", "--out", "."], "postern cert ca"),
    (["ca", "--client", "--name", "a.test", "--out", "."], "need --ca"),
    (["self-signed", "--bogus"], "unknown option"),
    (["frobnicate"], "expected self-signed, ca or show"),
    (["show"], "expected one file"),
    (["show", "nothing.pem"], "nothing.pem"),
    (["show", "--starttls", "imap", "x:1"], "expected smtp or none"),
])
def test_wrong_arguments_are_told_and_make_nothing(cert, tmp_path, arguments, says):
    assert says in cert(*arguments, status=2)
    assert os.listdir(tmp_path) == []


def test_show_agrees_with_openssl(cert, tmp_path):
    path, key = make_certificate(tmp_path, "rsa")
    one = show(cert, "--key", key, path)
    facts = one["certificates"][0]
    printed = openssl(tmp_path, "x509", "-in", path, "-noout", "-fingerprint", "-sha256", "-serial", "-subject", "-nameopt", "RFC2253")
    assert f"Fingerprint={':'.join(facts['sha256'][i:i + 2] for i in range(0, 64, 2)).upper()}" in printed
    assert f"serial={facts['serial'].upper()}" in printed and f"subject={facts['subject']}" in printed
    assert facts["names"] == ["localhost", "mx.example.test", "127.0.0.1"] and facts["days_left"] in (29, 30)
    assert one["key_matches"] is True and facts["self_signed"]
    der = tmp_path / "x.der"
    openssl(tmp_path, "x509", "-in", path, "-outform", "DER", "-out", der)
    again = show(cert, der)["certificates"][0]
    assert {**again, "days_left": facts["days_left"]} == facts  # a second later it may be a day less


def test_show_says_no_when_key_order_or_dates_are_wrong(cert, tmp_path):
    cert("ca", "--out", ".")
    cert("ca", "--ca", "ca.pem", "--name", "a.test", "--out", "a.pem")
    cert("self-signed", "--name", "b.test", "--out", "b.pem")
    text = cert("show", "--key", "b.key", "a.pem", status=1)
    assert "b.key is NOT that of certificate 0" in text
    assert "key: a.key is that of certificate 0" in cert("show", "a.pem")
    both = (tmp_path / "ca.pem").read_text() + (tmp_path / "a.pem").read_text()
    (tmp_path / "turned.pem").write_text(both)
    assert "certificate 0 is not signed by the one that follows" in cert("show", "turned.pem", status=1)
    openssl(tmp_path, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=old", "-keyout", "old.key",
            "-out", "old.csr")
    (tmp_path / "ca.conf").write_text("[ca]\ndefault_ca=d\n[d]\ndatabase=index\nserial=serial\nnew_certs_dir=.\ndefault_md=sha256\n"
                                      "policy=p\n[p]\ncommonName=supplied\n")
    (tmp_path / "index").write_text("")
    (tmp_path / "serial").write_text("01\n")
    openssl(tmp_path, "ca", "-config", "ca.conf", "-batch", "-selfsign", "-keyfile", "old.key", "-in", "old.csr", "-out", "old.pem",
            "-startdate", "20200101000000Z", "-enddate", "20200201000000Z")
    text = cert("show", "old.pem", status=1)
    assert re.search(r"ended \d+ days ago", text) and "out of date" in text


def test_hostile_files_are_refused_or_shown_clean(cert, tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "noise").write_bytes(os.urandom(5000))
    (tmp_path / "huge").write_bytes(b"-" * 2_000_000)
    cert("self-signed", "--name", "a.test", "--out", "a.pem")
    pem = (tmp_path / "a.pem").read_text()
    (tmp_path / "many").write_text(pem * 100)
    (tmp_path / "cut").write_text(pem[:200])
    for name, says in [("empty", "no certificate"), ("noise", "no certificate"), ("huge", "larger than"), ("many", "more than 32"),
                       ("cut", "reading certificate 1|no certificate")]:
        assert re.search(says, cert("show", name, status=2 if name != "cut" else 1)), name
    openssl(tmp_path, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-utf8", "-subj",
            "/CN=\x1b[31mred\u009b31m\nline", "-days", "3", "-keyout", "e.key", "-out", "e.pem")
    text = cert("show", "e.pem")
    assert "\x1b" not in text and "\u009b" not in text and "\nline" not in text


def test_show_a_server_behind_starttls_and_at_once(cert, shared):
    for arguments in ([f"127.0.0.1:{shared.smtp}", "--starttls", "smtp"], [f"localhost:{shared.tls}"]):
        shown = show(cert, *arguments)
        assert shown["certificates"][0]["names"] == ["localhost", "mx.example.test", "127.0.0.1"]
        assert shown["version"] == "TLSv1.3" and shown["name_matches"] and shown["key_matches"] is None



class Odd:
    """A server that says just these bytes, and then nothing."""

    def __init__(self, *says):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, args=(says,), daemon=True).start()

    def serve(self, says):
        connection, _ = self.socket.accept()
        with connection:
            try:
                for one in says:
                    connection.sendall(one)
                    if connection.recv(4096) == b"":
                        return
            except OSError:
                pass


@pytest.mark.parametrize("says, complaint, status", [
    ([b"554 go away\x1b[31m\r\n"], r'with "554 go away\?\[31m"', 1),
    ([b"421 later\r\n"], "421 later", 75),
    ([b"220 x\r\n", b"250-x\r\n250 SIZE\r\n"], "does not offer STARTTLS", 1),
    ([b"220 x\r\n", b"250 STARTTLS\r\n", b"454 no\r\n"], "454 no", 75),
    ([b"220-" + b"x" * 100000], "too long for SMTP", 1),
    ([b"220-x\r\n" * 1000], 'with "220-x"', 1),
    ([b"220 x\r\n", b"250 STARTTLS\r\n", b"220 go\r\n", b"not TLS at all, this is"], "TLS handshake failed", 1),
    ([b"220 x\r\n", b"250 STARTTLS\r\n", b"220 go\r\n"], "handshake failed: unexpected eof", 1),
])
def test_odd_servers_are_told_apart(cert, says, complaint, status):
    odd = Odd(*says)
    assert re.search(complaint, cert("show", "--starttls", "smtp", f"127.0.0.1:{odd.port}", status=status))

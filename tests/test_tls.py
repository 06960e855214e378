# SPDX-License-Identifier: ISC
"""TLS on the server: versions, key types, the certificate sent, resumption across the fronts, and the private key's whereabouts."""
import base64
import concurrent.futures
import os
import re
import signal
import ssl
import subprocess

import pytest

from harness import memory_holds, DEADLINE, ROOT, Smtp, make_certificate, make_message, trusting, wait_for


def s_client(port, *arguments, starttls=False, data=b"QUIT\r\n"):
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "localhost", "-crlf", "-ign_eof", *arguments]
    if starttls:
        command += ["-starttls", "smtp"]
    done = subprocess.run(command, input=data, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=DEADLINE)
    return done.returncode, done.stdout.decode(errors="replace")


@pytest.mark.parametrize("version", ["tls1_2", "tls1_3"])
@pytest.mark.parametrize("kind", ["ecdsa", "rsa", "ed25519"])
def test_key_of_every_kind_signs_for_every_version(server, kind, version):
    one = server(kind=kind)
    for starttls in (False, True):
        code, out = s_client(one.smtp if starttls else one.tls, "-" + version, "-CAfile", one.cert, "-verify_return_error",
                             "-verify_hostname", "localhost", starttls=starttls)
        assert code == 0 and "Verify return code: 0 (ok)" in out, out[-3000:]
        assert f"New, TLSv{version[3:].replace('_', '.')}" in out, out[-3000:]
        kinds = {"ecdsa": "ECDSA", "rsa": "RSA-PSS|RSA", "ed25519": "[Ee]d25519"}
        assert re.search(rf"Peer signature type: ({kinds[kind]})", out), out[-3000:]
    message = make_message(kind)
    one.send(message)
    one.maildir().holds(message)


@pytest.mark.parametrize("cipher", ["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-CHACHA20-POLY1305"])
def test_rsa_signs_in_tls12_by_pkcs1_and_pss(server, cipher):
    one = server(kind="rsa")
    for algorithm in ("RSA+SHA256", "RSA-PSS+SHA256", "RSA+SHA512"):
        code, out = s_client(one.tls, "-tls1_2", "-cipher", cipher, "-sigalgs", algorithm)
        assert code == 0 and f"Cipher is {cipher}" in out, (algorithm, out[-2000:])


def test_old_versions_are_refused(shared):
    for version in ("-tls1", "-tls1_1"):
        for starttls in (False, True):
            code, out = s_client(shared.smtp if starttls else shared.tls, version, "-cipher", "ALL:@SECLEVEL=0", starttls=starttls)
            assert "alert protocol version" in out and "Cipher is (NONE)" in out and code != 0, out[-2000:]
    with shared.connect() as client:
        client.ehlo()


def test_weak_ciphers_are_refused(shared):
    """By the server: its alert tells. What this client does not have any more itself (RC4, 3DES, EXPORT) test_hardening_guide asks for with testssl."""
    for cipher in ("eNULL:@SECLEVEL=0", "aNULL:@SECLEVEL=0"):
        code, out = s_client(shared.tls, "-tls1_2", "-cipher", cipher)
        assert code != 0 and "alert handshake failure" in out, (cipher, out[-2000:])


def test_renegotiation_and_compression_are_off(shared):
    code, out = s_client(shared.tls, "-tls1_2", "-comp", data=b"EHLO x\r\nQUIT\r\n")
    assert "Compression: NONE" in out, out[-2000:]
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{shared.tls}", "-tls1_2"], input=b"R\n",
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=DEADLINE)
    text = done.stdout.decode(errors="replace")
    assert "RENEGOTIATING" in text and "no renegotiation:" in text, text[-2000:]


def test_whole_chain_is_sent(server, tmp_path):
    """A certificate made by an authority of our own, the intermediate one in the same file."""
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=tmp_path)
    for name in ("root", "middle", "leaf"):
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}.key")
    openssl("req", "-x509", "-key", "root.key", "-subj", "/CN=Root", "-days", "9", "-out", "root.pem")
    (tmp_path / "ca").write_text("basicConstraints=critical,CA:true\n")
    (tmp_path / "end").write_text("subjectAltName=DNS:localhost\n")
    for name, issuer, extensions in (("middle", "root", "ca"), ("leaf", "middle", "end")):
        openssl("req", "-new", "-key", f"{name}.key", "-subj", f"/CN={name}", "-out", f"{name}.csr")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{issuer}.pem", "-CAkey", f"{issuer}.key", "-CAcreateserial",
                "-days", "9", "-extfile", extensions, "-out", f"{name}.pem")
    one = server(start=False)
    chain = one.dir / "chain.pem"
    chain.write_text((tmp_path / "leaf.pem").read_text() + (tmp_path / "middle.pem").read_text())
    key = one.dir / "leaf.key"
    key.write_bytes((tmp_path / "leaf.key").read_bytes())
    key.chmod(0o600)
    one.configure({"tls_certificate": chain, "tls_privatekey": key})
    one.start()
    context = ssl.create_default_context(cafile=str(tmp_path / "root.pem"))
    with Smtp(one.tls, tls=True, context=context) as client:
        client.ehlo()
    code, out = s_client(one.smtp, "-showcerts", starttls=True)
    assert out.count("BEGIN CERTIFICATE") >= 2, out[:3000]


@pytest.mark.parametrize("version", ["tls1_2", "tls1_3"])
def test_sessions_are_resumed_by_every_front(shared, version, tmp_path):
    """The fronts share the listening sockets; twenty resumptions in a row meet more than one of them."""
    session = str(tmp_path / "session")
    code, out = s_client(shared.tls, "-" + version, "-sess_out", session)
    assert code == 0, out[-2000:]
    for number in range(20):
        code, out = s_client(shared.tls, "-" + version, "-sess_in", session)
        assert code == 0 and "Reused, TLSv" in out, f"resumption {number}: {out[-2000:]}"


def test_resumption_survives_the_death_of_a_front(server, tmp_path):

    one = server()
    session = str(tmp_path / "session")
    s_client(one.tls, "-sess_out", session)
    for name, pid in one.roles().items():
        if name.startswith("front"):
            os.kill(pid, signal.SIGKILL)
            wait_for("the front's successor", lambda: one.roles().get(name, pid) != pid)
    code, out = s_client(one.tls, "-sess_in", session)
    assert code == 0, out[-2000:]
    assert "Reused, TLSv" in out, out[-2000:]


def private_bytes(key):
    """The secret part of a PEM private key: the scalar of an EC key, a prime of an RSA key, in both byte orders."""
    text = subprocess.run(["openssl", "pkey", "-in", key, "-noout", "-text"], check=True, capture_output=True, text=True).stdout
    name = "prime1" if "prime1:" in text else "priv"
    digits = re.search(rf"^{name}:\n((?: +[0-9a-f:]+\n)+)", text, re.M)[1]
    secret = bytes.fromhex(re.sub(r"[\s:]", "", digits)).lstrip(b"\0")
    assert len(secret) >= 30
    return {secret, secret[::-1]}


@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
def test_private_key_is_in_the_keeper_alone(server, kind):
    one = server(kind=kind)
    for _ in range(4):
        one.send(make_message())
    one.maildir().wait(4)
    with open(one.key) as f:
        der = base64.b64decode("".join(line for line in f.read().splitlines() if "-----" not in line))
    needles = private_bytes(one.key) | {der}
    looked = {}
    for name, pid in {**one.roles(), "master": one.process.pid}.items():
        try:
            looked[name] = memory_holds(pid, needles)
        except PermissionError:
            assert not ROOT
            # An ordinary user may not look into a role of its own either: it is not dumpable.
            looked[name] = name == "keeper"
    assert looked.pop("keeper"), "the search itself finds nothing: the keeper must hold the key"
    assert not any(looked.values()), f"the private key was found in {[name for name, found in looked.items() if found]}"


def test_unreadable_key_is_said_and_tls_is_not_offered_falsely(server):
    one = server(start=False)
    one.configure({"tls_privatekey": one.dir / "missing.pem"})
    one.start(ready=False)
    code = wait_for("the end, or a log line", lambda: one.process.poll() is not None or "missing.pem" in one.log_text())
    assert code
    assert "missing.pem" in one.log_text() + one.complaints()
    if one.process.poll() is None:
        # It runs on: STARTTLS is then a temporary failure, and what follows in clear is refused.
        one.wait_ready()
        with one.connect() as client:
            client.ehlo()
            assert client.cmd("STARTTLS")[0] in (454, 503)
    else:
        assert one.process.returncode not in (0, 99)
        one.process = None


@pytest.mark.parametrize("flaw", ["of another certificate", "malformed"])
def test_unusable_key_gives_454_then_554_to_all_but_quit(server, certificates, flaw):
    """Seed 000, 38.1: a configuration problem rejects STARTTLS with 454, and then everything but QUIT with 554."""
    key = make_certificate(certificates, "rsa")[1]
    one = server(start=False)
    if flaw == "malformed":
        key = one.dir / "malformed.pem"
        key.write_text("-----BEGIN PRIVATE KEY-----\nbm8ga2V5\n-----END PRIVATE KEY-----\n")
    one.configure({"tls_privatekey": key})
    one.start()
    assert re.search(r"TLS error: .*key", one.log_text())
    with one.connect() as client:
        client.ehlo()
        client.expect(454, "STARTTLS")
        assert client.expect(554, "MAIL FROM:<a@b.example>") == "Security failure"
        client.expect(221, "QUIT")
    # In clear mail comes in all the same.
    message = make_message("in clear")
    one.send(message, tls=False)
    one.maildir().holds(message)


def test_sni_of_any_name_is_served(shared):
    for name in ("localhost", "mx.example.test", "other.test", "x" * 63 + ".test"):
        context = trusting()
        raw = Smtp(shared.tls, banner=False)
        raw.sock = context.wrap_socket(raw.sock, server_hostname=name)
        raw.expect(220)
        raw.close()


def test_close_is_answered_by_close_notify(shared):
    with Smtp(shared.tls, tls=True) as client:
        client.ehlo()
        client.expect(221, "QUIT")
        # unwrap() fails unless the peer sends close_notify; an end without it would be a truncation.
        client.sock.unwrap()


def test_concurrent_handshakes_all_succeed(shared):


    def one_handshake(number):
        with Smtp(shared.tls, tls=True, context=trusting()) as client:
            client.ehlo()
            return client.cmd("QUIT")[0]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert set(pool.map(one_handshake, range(160))) == {221}

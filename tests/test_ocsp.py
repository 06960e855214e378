# SPDX-License-Identifier: ISC
"""OCSP: proofs that the fetch role renews by itself and that the fronts staple, against `openssl ocsp` and responders that misbehave."""
import os
import re
import signal
import subprocess

import pytest

from harness import DEADLINE, POSTERN, ROOT, SANITIZER, Server, descriptors, proc_status, wait_for
from ocsp_authority import MUST_STAPLE, Authority, OpensslResponder, Responder, stapled


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "authority")


@pytest.fixture
def responder(authority):
    made = []

    def make(mode="good", kind=Responder, **named):
        made.append(kind(authority, **({} if kind is OpensslResponder else {"mode": mode}), **named))
        return made[-1]
    yield make
    for one in made:
        one.stop()


@pytest.fixture
def fetching(server, authority):
    """fetching(url, ...): a server whose certificate names that responder."""
    def make(url, *extensions, main=None, start=True):
        one = server(start=False)
        cert, key = authority.server("mx.example.test", url, *extensions)
        chain, private = one.dir / "chain.pem", one.dir / "leaf.key"
        chain.write_text(cert.read_text())
        private.write_bytes(key.read_bytes())
        private.chmod(0o600)
        one.configure({"tls_certificate": chain, "tls_privatekey": private, "tls_ocsp_fetch": "true", **(main or {})})
        return one.start() if start else one
    return make


def s_client(one, *arguments, port=None):
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port or one.tls}", "-status", "-servername", "localhost",
                           *arguments], input=b"QUIT\r\n", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=DEADLINE)
    return done.stdout.decode(errors="replace")


def wait_stapled(one, *arguments):
    return wait_for("a stapled proof", lambda: stapled(s_client(one, *arguments)))


def fields(path):
    """thisUpdate of a proof file."""
    text = subprocess.run(["openssl", "ocsp", "-respin", str(path), "-noverify", "-text"], capture_output=True, text=True,
                          check=True, timeout=60).stdout
    return re.search("This Update: (.*)", text)[1]


# ---- Fetching ----

def test_proof_is_fetched_from_openssls_responder_and_stapled(fetching, responder, authority):
    source = responder(kind=OpensslResponder)
    one = fetching(source.url, start=False)
    source.start()  # it reads its database once
    one.start()
    for version in ("-tls1_2", "-tls1_3"):
        proof = wait_stapled(one, version)
        assert proof["Cert Status"] == "good" and int(proof["Serial Number"], 16) == authority.last
    one.wait_log(r"OCSP: new proof for .*chain\.pem from http://127\.0\.0\.1:\d+/, good until \d{4}-")
    # STARTTLS the same; a client that does not ask gets none
    assert stapled(s_client(one, "-starttls", "smtp", port=one.smtp))["Cert Status"] == "good"


def test_clients_verify_the_stapled_proof(fetching, responder, authority):
    """gnutls-cli checks signature, times and status of the proof; openssl s_client its presence."""
    one = fetching(responder().start().url)
    wait_stapled(one)
    done = subprocess.run(["gnutls-cli", "--x509cafile", str(authority.dir / "root.pem"), "--ocsp", "-p", str(one.tls), "--sni-hostname",
                           "localhost", "--verify-hostname", "localhost", "127.0.0.1"], input=b"QUIT\r\n", stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=DEADLINE)
    text = done.stdout.decode(errors="replace")
    assert re.search(r"OCSP.*(verified|good|trusted)|Certificate is trusted|valid", text, re.I) and done.returncode == 0, text[-3000:]
    assert "OCSP status request" in text or "status_request" in text.lower() or "OCSP" in text, text[-3000:]


def test_every_front_has_the_proof_also_after_its_death(fetching, responder):
    one = fetching(responder().start().url)
    wait_stapled(one)
    for _ in range(20):
        assert stapled(s_client(one))["Cert Status"] == "good"
    for name, pid in one.roles().items():
        if name.startswith("front"):
            os.kill(pid, signal.SIGKILL)
            wait_for("the front's successor", lambda: one.roles().get(name, pid) != pid)
    wait_stapled(one)
    wait_for("twenty in a row", lambda: all(stapled(s_client(one)) for _ in range(20)))


def test_proofs_outlast_a_restart_and_nothing_is_asked_again(fetching, responder):
    source = responder().start()
    one = fetching(source.url)
    wait_stapled(one)
    files = wait_for("the file", lambda: list((one.spool / "ocsp").glob("*.der")))
    assert len(files) == 1 and re.fullmatch(r"[0-9a-f]{64}\.der", files[0].name)
    assert files[0].stat().st_mode & 0o777 == 0o600
    one.stop()
    source.stop()
    asked = source.requests
    one.start()
    assert wait_stapled(one)["Cert Status"] == "good"
    assert source.requests == asked == 1


def test_damaged_files_are_fetched_again(fetching, responder):
    source = responder().start()
    one = fetching(source.url)
    wait_stapled(one)
    file, = wait_for("the file", lambda: list((one.spool / "ocsp").glob("*.der")))
    one.stop()
    file.write_bytes(file.read_bytes()[:-20])
    one.start()
    assert wait_stapled(one)["Cert Status"] == "good"
    assert source.requests == 2


def test_proof_is_renewed_at_a_third_of_its_life(fetching, responder):
    """Proofs of one minute: the next one comes after twenty seconds."""
    source = responder(life=("-nmin", "1")).start()
    one = fetching(source.url)
    first = wait_stapled(one)
    second = wait_for("a newer proof", lambda: (proof := stapled(s_client(one))) and proof["This Update"] != first["This Update"] and proof,
                      deadline=50, interval=0.5)
    assert second["Cert Status"] == "good"
    assert source.requests == 2


@pytest.mark.parametrize("mode, reason", [
    ("error", r"answered with status 500"),
    ("redirect", r"answered with status 302"),
    ("garbage", r"no OCSP proof, or it was cut short"),
    ("lying", r"its signer's certificate does not permit signing OCSP proofs"),
    ("huge", r"answered with more than 65536 bytes"),
    ("endless", r"answered with more than 65536 bytes"),
])
def test_responders_that_misbehave_give_no_proof_and_are_asked_again(fetching, responder, mode, reason):
    source = responder(mode).start()
    one = fetching(source.url)
    assert re.search(r"next try in (9|10) seconds", one.wait_log(r"OCSP: no new proof for .*" + reason + ".*")[0])
    assert stapled(s_client(one)) is None
    source.mode = "good"
    source.released.set()
    assert wait_stapled(one)["Cert Status"] == "good"


def test_responder_that_is_down_is_asked_again(fetching, responder):
    source = responder()
    one = fetching(source.url)
    one.wait_log(r"OCSP: no new proof for .*: asking http://127\.0\.0\.1:\d+/ocsp: .*[Cc]onnect")
    source.start()
    assert wait_stapled(one)["Cert Status"] == "good"
    assert len(re.findall("OCSP: no new proof", one.log_text())) == 1


def test_slow_responder_holds_nobody_up(fetching, responder):
    source = responder("slow").start()
    one = fetching(source.url)
    wait_for("the request", lambda: source.requests)
    assert stapled(s_client(one)) is None
    with one.connect() as client:
        client.ehlo()
    one.reload()
    one.stop()


def test_revoked_certificate_is_told_loudly(fetching, responder, authority):
    source = responder().start()
    one = fetching(source.url, start=False)
    authority.mark(authority.last, "mx.example.test", revoked=True)
    one.start()
    one.wait_log(r"OCSP: no new proof for .*it says that the certificate is revoked since 2026-11-01 00:00:00 UTC: keyCompromise")
    assert "revoked" in (one.log.parent / "paniclog").read_text()
    assert stapled(s_client(one)) is None


def test_certificate_without_responder_is_told(fetching):
    one = fetching(None)
    one.wait_log(r"OCSP: no proof is fetched for .*chain\.pem: its certificate names no OCSP responder that is reached by http")


def test_https_responders_are_not_asked(fetching):
    one = fetching("https://127.0.0.1:1/")
    one.wait_log(r"OCSP: no proof is fetched for .*names no OCSP responder that is reached by http")


def test_switched_on_and_off_by_a_reload(fetching, responder):
    source = responder().start()
    one = fetching(source.url, main={"tls_ocsp_fetch": "false"})
    assert stapled(s_client(one)) is None and source.requests == 0
    one.configure({"tls_ocsp_fetch": "true"})
    one.reload()
    assert wait_stapled(one)["Cert Status"] == "good"
    one.configure({"tls_ocsp_fetch": "false"})
    one.reload()
    wait_for("no proof", lambda: stapled(s_client(one)) is None)


def test_must_staple_without_a_proof_is_told_at_load(fetching, responder):
    source = responder("error").start()
    one = fetching(source.url, MUST_STAPLE)
    one.wait_log(r"OCSP: the certificate of CN=mx\.example\.test demands a stapled OCSP proof \(Must-Staple, RFC 7633\)")
    assert "Must-Staple" in (one.log.parent / "paniclog").read_text()


# ---- The role ----

def test_its_walls(fetching, responder):
    one = fetching(responder().start().url)
    wait_stapled(one)
    pid = one.role("fetch")
    status = proc_status(pid)
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
    assert all(int(status[kind], 16) == 0 for kind in ("CapEff", "CapPrm", "CapInh", "CapAmb"))
    if ROOT:
        others = {proc_status(other)["Uid"] for name, other in one.roles().items() if name != "fetch"}
        assert status["Uid"] not in others and status["Uid"].split()[0] != "0"
    for target in descriptors(pid).values():
        assert not target.startswith(str(one.spool)) or target == f"{one.spool}/ocsp", target
        assert not target.startswith((str(one.mail), str(one.dir / "leaf.key"))), target


def test_killed_it_comes_back_with_its_proofs(fetching, responder):
    source = responder().start()
    one = fetching(source.url)
    wait_stapled(one)
    pid, start = one.role("fetch"), one.mark()
    os.kill(pid, signal.SIGKILL)
    one.wait_log(r"fetch \(pid \d+\) was killed by signal 9", start)
    wait_for("its successor", lambda: one.roles().get("fetch", pid) != pid)
    assert stapled(s_client(one))["Cert Status"] == "good"
    one.stop()
    assert source.requests == 1

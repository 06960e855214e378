# SPDX-License-Identifier: ISC
"""What Exim's notes on experimental features say of a server that staples OCSP proofs, and of one whose certificate is found by TLSA
records: one test a sentence, named by it. Proofs are made by `openssl ocsp`, with its clock set where they are to be too old or too
new. docs/conformance.md has the sentences in their order, with these tests and those elsewhere."""
import base64
import os
import re
import subprocess
import threading
import time

import pytest

from harness import DEADLINE, POSTERN, SANITIZER, replace_file, wait_for
from ocsp_authority import Authority, Responder, stapled
from tls_peers import gnutls_cli, s_client, swaks


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "authority")


@pytest.fixture
def proving(server, authority):
    """proving(bytes of the proof's file): a server with a certificate of the authority; the file is one.proof."""
    def make(proof=None, start=True, **main):
        one = server(start=False)
        chain, key = authority.server("mx.example.test")
        one.proof = one.dir / "proof.der"
        one.proof.write_bytes(proof(authority) if callable(proof) else proof or authority.proof())
        one.configure({"tls_certificate": chain, "tls_privatekey": key, "tls_ocsp_file": one.proof, **main})
        return one.start() if start else one
    return make


def proof_of(one, *options):
    """What `openssl s_client -status -servername` shows of the stapled proof, or None."""
    answer = s_client(one.smtp, "-status", *options, sni="mx.example.test")
    assert answer.good, answer.text
    return stapled(answer.text)


def saved(one, authority, file):
    """gnutls-cli verifies the connection with the proof, and saves that."""
    status, text = gnutls_cli(one.smtp, "--ocsp", "--x509cafile", authority.dir / "root.pem", "--verify-hostname", "mx.example.test",
                              "--sni-hostname", "mx.example.test", "--save-ocsp", file)
    assert status == 0 and "The certificate is trusted" in text and "OCSP status request" in text, text
    return file.read_bytes()


def verified(authority, file, certificate="mx.example.test.pem"):
    """Whether a client that knows only the root and the chain believes this proof: `openssl ocsp` as the client."""
    run = subprocess.run(["openssl", "ocsp", "-respin", str(file), "-issuer", "ca.pem", "-cert", certificate, "-CAfile", "root.pem",
                          "-no_nonce"], capture_output=True, text=True, cwd=authority.dir, timeout=60)
    return "Response verify OK" in run.stdout + run.stderr and f"{certificate}: good" in run.stdout


def pem(kind, data):
    return f"-----BEGIN {kind}-----\n{base64.encodebytes(data).decode()}-----END {kind}-----\n"


def postern(*arguments):
    return subprocess.run([POSTERN, *map(str, arguments)], capture_output=True, text=True, timeout=DEADLINE,
                          env={**os.environ, **SANITIZER, "no_proxy": "*"})


# ---- Serving ----

def test_the_proof_in_the_der_file_is_served_as_it_is_in_the_handshake(proving, authority, tmp_path):
    one = proving()
    for version in ("-tls1_2", "-tls1_3"):
        proof = proof_of(one, version)
        assert proof["Cert Status"] == "good" and int(proof["Serial Number"], 16) == authority.last
    assert saved(one, authority, tmp_path / "saved") == one.proof.read_bytes()
    assert verified(authority, tmp_path / "saved")


@pytest.mark.parametrize("version, message", [("-tls1_2", "CertificateStatus"), ("-tls1_3", 'TLS server extension "status request"')])
def test_only_clients_that_ask_for_it_get_the_proof(proving, version, message):
    one = proving()
    look = (version, "-msg", "-tlsextdebug")
    assert message in s_client(one.smtp, *look, "-status").text
    assert message not in s_client(one.smtp, *look).text


def test_the_option_is_expanded_again_when_tls_sni_is_known(server, authority):
    one = server(start=False)
    serials = authority.files_of(("first.test", "second.test"), one.dir)
    which = "${if eq{$tls_sni}{second.test}{second.test}{first.test}}"
    one.configure({"tls_certificate": f"{one.dir}/{which}.pem", "tls_privatekey": None, "tls_ocsp_file": f"{one.dir}/{which}.der"})
    one.start()
    for asked, served in (("first.test", "first.test"), ("second.test", "second.test"), ("third.test", "first.test"), (None, "first.test")):
        for port, starttls in ((one.smtp, True), (one.tls, False)):
            answer = s_client(port, "-status", sni=asked, starttls=starttls)
            assert answer.name == served and int(stapled(answer.text)["Serial Number"], 16) == serials[served]


def test_a_file_that_is_replaced_is_served_without_a_restart_and_no_handshake_is_without_a_proof(proving, authority):
    """Replaced by renaming, as it is to be done: whoever connects meanwhile gets the one or the other."""
    one = proving()
    proofs = [authority.proof(signer=signer) for signer in ("ca", "delegate", "ca")]
    seen, stop = [], threading.Event()

    def look():
        while not stop.is_set():
            seen.append(proof_of(one))
    thread = threading.Thread(target=look)
    thread.start()
    for proof, signer in zip(proofs, ("ca", "delegate", "ca")):
        replace_file(one.proof, proof)
        wait_for("the new proof", lambda signer=signer: f"Responder Id: CN = {signer}" in s_client(one.smtp, "-status").text)
    stop.set()
    thread.join()
    assert len(seen) > 3 and all(proof and proof["Cert Status"] == "good" for proof in seen)
    assert "OCSP" not in one.log_text()


def test_the_option_is_expanded_for_each_connection(proving, authority):
    """By the client's address: one host gets a proof, the other none."""
    one = proving(start=False)
    one.configure({"tls_ocsp_file": "${if eq{$sender_host_address}{127.0.0.2}{%s}fail}" % one.proof})
    one.start()
    assert proof_of(one) is None
    assert proof_of(one, "-bind", "127.0.0.2")["Cert Status"] == "good"


# ---- What is ignored ----

def ignored(one, reason):
    """The proof is not served, and that is logged once."""
    for _ in range(4):
        assert proof_of(one) is None
    found = one.wait_log(rf"OCSP: .*{reason}")
    assert len(re.findall("OCSP: ", one.log_text())) == 1, one.log_text()
    assert swaks(one.smtp), "TLS works without"
    return found[0]


def test_a_proof_without_a_next_update_is_ignored(proving):
    ignored(proving(lambda authority: authority.proof(life=())), "nextUpdate")


def test_a_proof_that_has_expired_is_ignored(proving):
    ignored(proving(lambda authority: authority.proof(clock=-8 * 86400)), "it has expired at ")


def test_a_proof_of_the_future_is_ignored(proving):
    ignored(proving(lambda authority: authority.proof(clock=3600)), "it holds only from ")


@pytest.mark.parametrize("clock", [-600 - 100, 200])
def test_clocks_may_differ_by_five_minutes(proving, clock):
    """Expired a hundred seconds ago, or made two hundred seconds from now."""
    one = proving(lambda authority: authority.proof(life=("-nmin", "10"), clock=clock))
    assert proof_of(one)["Cert Status"] == "good"


def test_a_proof_that_expires_while_the_server_runs_is_served_no_longer(proving, authority):
    one = proving()
    made = time.monotonic()
    replace_file(one.proof, authority.proof(life=("-nmin", "1"), clock=-330, signer="ca"))  # good for thirty seconds, the five minutes included
    wait_for("the short proof", lambda: "Responder Id: CN = ca" in s_client(one.smtp, "-status").text, deadline=25)
    wait_for("its end", lambda: proof_of(one) is None, interval=0.5)
    assert time.monotonic() - made > 25, "not before its time"


def test_a_proof_whose_signer_has_expired_is_ignored_though_its_own_time_is_not_over(proving, authority):
    """The trouble that was seen: the signer's certificate ends before the proof does."""
    authority.make("short", "ca", "extendedKeyUsage=OCSPSigning", days=1, clock=-2 * 86400)
    one = proving(lambda authority: authority.proof(signer="short", clock=-36 * 3600))
    ignored(one, "its signer's certificate has expired at ")


def test_the_fetching_command_notes_a_signer_that_has_expired_as_the_server_does(authority):
    """Which the script that came with the notes did not."""
    authority.make("short", "ca", "extendedKeyUsage=OCSPSigning", days=1, clock=-2 * 86400)
    chain, _ = authority.server("leaf")
    source = Responder(authority, signer="short", clock=-36 * 3600).start()
    try:
        run = postern("ocsp", "fetch", "--url", source.url, "-o", authority.dir / "proof.der", chain)
    finally:
        source.stop()
    assert run.returncode == 1 and "its signer's certificate has expired at " in run.stderr, run
    assert not (authority.dir / "proof.der").exists()
    (authority.dir / "proof.der").write_bytes(authority.proof("leaf", signer="short", clock=-36 * 3600))
    run = postern("ocsp", "check", "--certificate", chain, authority.dir / "proof.der")
    assert run.returncode == 1 and "its signer's certificate has expired at " in run.stdout + run.stderr, run


def test_a_proof_ends_with_its_signer(proving, authority):
    """Signed by one whose certificate has half a minute left; the proof itself would be good for a week."""
    one = proving()
    authority.make("ending", "ca", "extendedKeyUsage=OCSPSigning", days=1, clock=-86400 + 30)
    replace_file(one.proof, authority.proof(signer="ending"))
    wait_for("the proof", lambda: "Responder Id: CN = ending" in s_client(one.smtp, "-status").text, deadline=25)
    wait_for("the end of its signer", lambda: proof_of(one) is None, interval=0.5)


# ---- The certificates that a client needs for it ----

def test_a_proof_without_its_signers_certificate_is_ignored(proving):
    ignored(proving(lambda authority: authority.proof(options=("-resp_no_certs",))), "signer's certificate is neither the issuer's nor in it")


def test_the_signers_certificate_added_to_the_file_is_served_with_the_proof(proving, authority, tmp_path):
    def both(authority):
        return (pem("OCSP RESPONSE", authority.proof(options=("-resp_no_certs",))) + (authority.dir / "delegate.pem").read_text()).encode()
    one = proving(both)
    assert proof_of(one)["Cert Status"] == "good"
    saved(one, authority, tmp_path / "saved")
    assert verified(authority, tmp_path / "saved"), "a client can verify it with what the server sent"


def test_a_proof_that_the_issuer_itself_has_signed_needs_no_certificate_beside_it(proving, authority, tmp_path):
    one = proving(lambda authority: authority.proof(signer="ca", options=("-resp_no_certs",)))
    assert proof_of(one)["Cert Status"] == "good"
    saved(one, authority, tmp_path / "saved")
    assert verified(authority, tmp_path / "saved")


def test_the_proof_is_about_the_servers_certificate_and_none_of_its_chain(proving, authority):
    one = proving()
    answer = s_client(one.smtp, "-status", "-showcerts")
    assert answer.text.count("BEGIN CERTIFICATE") >= 2, "the chain is sent"
    assert answer.text.count("OCSP Response Data") == 1
    serials = re.findall("Serial Number: ([0-9A-F]+)\n +Cert Status", answer.text) or re.findall("Serial Number: ([0-9A-F]+)", answer.text)[:1]
    assert [int(serial, 16) for serial in serials] == [authority.last]
    # One about the authority's own certificate is none for the server.
    authority.openssl("ocsp", "-issuer", "root.pem", "-cert", "ca.pem", "-no_nonce", "-reqout", "request.der")
    authority.openssl("ocsp", "-index", "index", "-CA", "root.pem", "-rsigner", "root.pem", "-rkey", "root.key", "-reqin", "request.der",
                      "-respout", "chain.der", "-ndays", "7")
    replace_file(one.proof, (authority.dir / "chain.der").read_bytes())
    wait_for("it to be refused", lambda: proof_of(one) is None)
    one.wait_log("OCSP: .*about none of the server's certificates")


# ---- DANE: what the server offers ----

def record(*arguments):
    """The record's data of `postern tlsa`, as openssl wants it."""
    run = postern("tlsa", "--host", "mx.example.test", *arguments)
    assert run.returncode == 0, run
    return run.stdout.split(" TLSA ", 1)[1].strip()


def dane(one, data, *options, name="mx.example.test"):
    """openssl s_client as a client with DANE that has this record of this host: its answer, and whether it trusts the server."""
    answer = s_client(one.smtp, "-dane_tlsa_domain", name, "-dane_tlsa_rrdata", data, "-verify_return_error", "-showcerts", *options, sni=name)
    return answer, answer.status == 0 and "Verification: OK" in answer.text


def sent(answer):
    """How many certificates the server has sent."""
    return len(set(re.findall(r"BEGIN CERTIFICATE-----\n(.*?)-----END", answer.text, re.S)))


def test_dane_ee_needs_the_self_signed_certificate_alone(server):
    one = server()
    data = record("--usage", "DANE-EE", "--selector", "SPKI", "--matching", "SHA2-512", one.cert)
    assert data.startswith("3 1 2 ")
    answer, trusted = dane(one, data)
    assert trusted and "matched EE certificate at depth 0" in answer.text and sent(answer) == 1, answer.text
    assert not dane(one, "3 1 2 " + "00" * 64)[1]


def anchored(server, authority):
    """A server whose certificate's file has the whole chain with the authority, the chain without it, and the TLSA record of the authority."""
    one = server(start=False)
    chain, key = authority.server("mx.example.test")
    whole = one.dir / "chain.pem"
    whole.write_text(chain.read_text() + (authority.dir / "root.pem").read_text())
    one.configure({"tls_certificate": whole, "tls_privatekey": key})
    return one.start(), chain, record("--usage", "DANE-TA", "--selector", "SPKI", "--matching", "SHA2-512", whole)


def test_dane_ta_needs_the_whole_chain_with_the_authority_which_is_sent(server, authority):
    """A private authority that no client knows: the handshake carries it, from the file of the certificate."""
    one, chain, data = anchored(server, authority)
    assert data.startswith("2 1 2 ")
    answer, trusted = dane(one, data)
    assert trusted and "matched TA certificate" in answer.text and sent(answer) == 3, answer.text
    one.stop()
    one.configure({"tls_certificate": chain})  # without the authority's own
    one.start()
    assert not dane(one, data)[1]


def test_with_dane_ta_the_certificate_must_have_the_servers_name(server, authority):
    one, _, data = anchored(server, authority)
    answer, trusted = dane(one, data, name="other.test")
    assert not trusted and "hostname mismatch" in answer.text, answer.text
    assert dane(one, data)[1]


def test_stapling_is_served_beside_dane(proving, authority):
    """Revocation that is faster than the records' time to live."""
    one = proving()
    data = record("--usage", "DANE-EE", one.main["tls_certificate"])
    answer, trusted = dane(one, data, "-status")
    assert trusted and "matched EE certificate" in answer.text and stapled(answer.text)["Cert Status"] == "good"

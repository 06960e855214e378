# SPDX-License-Identifier: ISC
"""OCSP: proofs that the fetch role renews by itself and that the fronts staple, against `openssl ocsp` and responders that misbehave."""
import base64
import json
import os
import re
import signal
import subprocess

import pytest

from harness import DEADLINE, POSTERN, ROOT, SANITIZER, descriptors, proc_status, replace_file, wait_for
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
                           *arguments], input=b"", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=DEADLINE)
    return done.stdout.decode(errors="replace")


def wait_stapled(one, *arguments):
    return wait_for("a stapled proof", lambda: stapled(s_client(one, *arguments)))


def fields(path):
    """thisUpdate of a proof file."""
    text = subprocess.run(["openssl", "ocsp", "-respin", str(path), "-noverify", "-text"], capture_output=True, text=True,
                          check=True, timeout=60).stdout
    return re.search("This Update: (.*)", text)[1]


# ---- Files ----

@pytest.fixture
def proving(server, authority):
    """proving(proof, ...): a server with a certificate and, in tls_ocsp_file, a file with these bytes."""
    def make(proof=None, main=None, start=True, kind="ec", signer="delegate", life=("-ndays", "7")):
        one = server(start=False)
        one.chain, one.private = authority.server("mx.example.test", kind=kind)
        one.proof = one.dir / "proof.der"
        one.proof.write_bytes(proof or authority.proof(signer=signer, life=life))
        one.configure({"tls_certificate": one.chain, "tls_privatekey": one.private, "tls_ocsp_file": one.proof, **(main or {})})
        return one.start() if start else one
    return make


@pytest.mark.parametrize("kind", ["ec", "rsa"])
@pytest.mark.parametrize("signer", ["delegate", "ca"])
def test_proof_of_a_file_is_stapled(proving, authority, kind, signer):
    one = proving(kind=kind, signer=signer)
    for arguments in (("-tls1_2",), ("-tls1_3",)):
        proof = stapled(s_client(one, *arguments))
        assert proof["Cert Status"] == "good" and int(proof["Serial Number"], 16) == authority.last
    assert stapled(s_client(one, "-starttls", "smtp", port=one.smtp))["Cert Status"] == "good"
    assert "OCSP:" not in one.log_text()


def test_pem_files_and_the_word_before_the_path(proving, authority):
    one = proving(start=False)
    der = one.proof.read_bytes()
    one.proof.write_text("-----BEGIN OCSP RESPONSE-----\n" + base64.encodebytes(der).decode() + "-----END OCSP RESPONSE-----\n")
    one.configure({"tls_ocsp_file": f"PEM {one.proof}"})
    one.start()
    assert stapled(s_client(one))["Cert Status"] == "good"


@pytest.mark.parametrize("what, reason", [
    ("unfit", "does not permit signing OCSP proofs"), ("no next", "nextUpdate"), ("other", "about none of the server's certificates"),
    ("truncated", "cut short"), ("junk", "no OCSP proof"), ("empty", "is empty"), ("huge", "too large"), ("revoked", "revoked since"),
])
def test_invalid_proofs_are_not_served_and_logged_once(proving, authority, what, reason):
    one = proving(start=False)
    good = one.proof.read_bytes()
    if what == "other":
        authority.server("other")
    if what == "revoked":
        authority.mark(authority.last, "mx.example.test", revoked=True)
    one.proof.write_bytes({
        "unfit": lambda: authority.proof(signer="unfit"), "no next": lambda: authority.proof(life=()),
        "other": lambda: authority.proof("other"), "truncated": lambda: good[:-100], "junk": lambda: b"junk" * 100,
        "empty": lambda: b"", "huge": lambda: good + bytes(300000), "revoked": lambda: authority.proof(),
    }[what]())
    one.start()
    one.wait_log(rf"OCSP: .*{reason}")
    for _ in range(6):
        assert stapled(s_client(one)) is None
        assert stapled(s_client(one, "-starttls", "smtp", port=one.smtp)) is None
    assert len(re.findall(r"OCSP:", one.log_text())) == 1, one.log_text()
    assert "OCSP:" in (one.log.parent / "paniclog").read_text()


def test_replaced_files_are_picked_up(proving, authority):
    """Not valid, then valid, then gone, then another: without a reload, and nobody is told more than once."""
    one = proving(life=())
    assert stapled(s_client(one)) is None
    replace_file(one.proof, authority.proof())
    first = wait_stapled(one)
    replace_file(one.proof, authority.proof(signer="ca"))
    wait_for("the next proof", lambda: "Responder Id: CN = ca" in s_client(one))
    assert stapled(s_client(one))["Cert Status"] == first["Cert Status"] == "good"
    replace_file(one.proof, b"junk")
    wait_for("the junk", lambda: "no OCSP proof" in one.log_text())


def test_missing_proof_leaves_the_certificate_in_use(proving):
    one = proving(start=False)
    one.proof.unlink()
    one.start()
    assert stapled(s_client(one)) is None
    assert "proof.der" in one.log_text()


def test_missing_proof_of_an_expanded_name_is_told_once(proving):
    one = proving(start=False)
    one.configure({"tls_ocsp_file": f"{one.dir}/${{if eq{{$received_port}}{{1}}{{some}}{{none}}}}.der"})
    one.start()
    for _ in range(8):
        assert stapled(s_client(one)) is None
    one.wait_log(r"TLS error: tls_ocsp_file: .*/none\.der: No such file or directory")
    assert one.log_text().count("none.der") == 1
    replace_file(one.dir / "none.der", one.proof.read_bytes())
    assert wait_stapled(one)["Cert Status"] == "good"


def test_expanded_list_of_proofs_that_is_too_long_is_told_once(proving):
    one = proving(start=False)
    files = [one.proof]
    for number in range(8):
        files.append(one.dir / f"{number}.der")
        files[-1].write_bytes(one.proof.read_bytes())
    one.configure({"tls_ocsp_file": "${if eq{$received_port}{1}{}{%s}}" % " : ".join(map(str, files))})
    one.start()
    for _ in range(6):
        assert stapled(s_client(one))["Cert Status"] == "good"
    one.wait_log("TLS error: tls_ocsp_file: more than 8 files; the others are not used")
    assert one.log_text().count("more than 8 files") == 1


@pytest.mark.parametrize("value, told", [("proof.der", 'expected an absolute path, one that begins with "/"; found "proof.der"'),
                                         ("/a.der : PEM proofs/b.pem", 'found "proofs/b.pem"'),
                                         (" : ".join(f"/{number}.der" for number in range(9)), "more than 8 files")])
def test_paths_of_proofs_are_absolute_and_at_most_eight(proving, value, told):
    one = proving(start=False)
    one.configure({"tls_ocsp_file": value})
    done = subprocess.run([POSTERN, "check", "-c", str(one.conf)], capture_output=True, text=True, timeout=DEADLINE,
                          env={**os.environ, **SANITIZER})
    assert done.returncode == 2 and "option tls_ocsp_file: " in done.stderr and told in done.stderr


def test_one_missing_certificate_of_several_expanded_ones_is_told_once(server, authority):
    one = server(start=False)
    chain, key = authority.server("there.test")
    (one.dir / "there.pem").write_text(chain.read_text() + key.read_text())
    (one.dir / "there.pem").chmod(0o600)
    last = "${if eq{$received_port}{1}{there}{none}}"
    one.configure({"tls_certificate": f"{one.dir}/there.pem : {one.dir}/{last}.pem", "tls_privatekey": None})
    one.start()
    for _ in range(8):
        assert "CN = there.test" in s_client(one)
    one.wait_log(r"TLS error: tls_certificate: .*/none\.pem: No such file or directory")
    assert one.log_text().count("none.pem") == 1 and "a changed file" not in one.log_text()


def test_reload_with_a_missing_proof_is_taken_and_tells_of_it(proving, authority):
    """Without a proof the certificate is still good; when the file is there, it is served."""
    one = proving(start=False)
    proof = one.proof.read_bytes()
    one.configure({"tls_ocsp_file": None})
    one.start()
    one.proof.unlink()
    one.configure({"tls_ocsp_file": one.proof, "smtp_banner": "the new one"})
    one.reload()
    one.wait_log("configuration reloaded")
    assert len(re.findall(f"TLS error: .*{one.proof}.*No such file", one.log_text())) == 1
    with one.connect() as client:
        assert "the new one" in str(client.banner)
    assert stapled(s_client(one)) is None
    replace_file(one.proof, proof)
    assert wait_stapled(one)["Cert Status"] == "good"


@pytest.mark.parametrize("option", ["tls_certificate", "tls_dhparam"])
def test_reload_with_another_file_missing_is_refused(proving, option):
    one = proving()
    one.configure({option: one.dir / "missing.pem", "smtp_banner": "the new one"})
    one.reload()
    one.wait_log("reload refused: .*missing.pem: No such file")
    with one.connect() as client:
        assert "the new one" not in str(client.banner)
    assert stapled(s_client(one))["Cert Status"] == "good"


def test_each_certificate_has_its_own_proof(server, authority):
    """RSA and ECDSA side by side; the files in the other order."""
    one = server(start=False)
    chains, serials = {}, {}
    for kind in ("rsa", "ec"):
        chains[kind] = authority.server(f"{kind}.example.test", kind=kind)
        serials[kind] = authority.last
        (one.dir / f"{kind}.der").write_bytes(authority.proof(f"{kind}.example.test"))
    one.configure({"tls_certificate": f"{chains['rsa'][0]} : {chains['ec'][0]}", "tls_privatekey": f"{chains['rsa'][1]} : {chains['ec'][1]}",
                   "tls_ocsp_file": f"{one.dir}/ec.der : {one.dir}/rsa.der"})
    one.start()
    for arguments, kind in ((("-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"), "rsa"),
                            (("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"), "ec"),
                            (("-tls1_3", "-sigalgs", "RSA-PSS+SHA256"), "rsa"), (("-tls1_3", "-sigalgs", "ECDSA+SHA256"), "ec")):
        proof = stapled(s_client(one, *arguments))
        assert int(proof["Serial Number"], 16) == serials[kind], arguments


def test_file_is_chosen_by_the_name_that_the_client_asks_for(server, authority):
    one = server(start=False)
    serials = authority.files_of(("localhost", "other.test"), one.dir)
    which = "${if eq{$tls_in_sni}{other.test}{other.test}{localhost}}"
    one.configure({"tls_certificate": f"{one.dir}/{which}.pem", "tls_privatekey": None, "tls_ocsp_file": f"{one.dir}/{which}.der"})
    one.start()
    for name, serial in serials.items():
        proof = stapled(s_client(one, "-servername", name))
        assert int(proof["Serial Number"], 16) == serial


@pytest.mark.parametrize("how", ["directory", "expanded"])
def test_proofs_of_certificates_chosen_by_name_raise_no_alarm(server, authority, how):
    one = server(start=False)
    names = one.dir / "names"
    names.mkdir()
    serials = authority.files_of(("a.test", "b.test", "default"), names)
    which = "${if eq{$tls_in_sni}{a.test}{a.test}{${if eq{$tls_in_sni}{b.test}{b.test}{default}}}}.pem"
    certificate = f"{names}/" + ("" if how == "directory" else which)
    one.configure({"tls_certificate": certificate, "tls_privatekey": None,
                   "tls_ocsp_file": " : ".join(f"{names}/{name}.der" for name in serials)})
    assert "about none" not in check(one)
    one.start()
    for name, serial in serials.items():
        for _ in range(3):
            assert int(stapled(s_client(one, "-servername", name))["Serial Number"], 16) == serial
    # One that is no longer good is told all the same.
    replace_file(names / "a.test.der", authority.proof("a.test", signer="unfit"))
    wait_for("the unfit one", lambda: stapled(s_client(one, "-servername", "a.test")) is None)
    one.wait_log("OCSP: the OCSP proof .*/a.test.der is not served: its signer's certificate does not permit")
    assert "about none" not in one.log_text()


def test_a_proof_about_another_certificate_is_told_where_the_certificate_is_known(proving, authority):
    one = proving(start=False)
    authority.server("other.test")
    one.proof.write_bytes(authority.proof("other.test"))
    one.start()
    one.wait_log("OCSP: the OCSP proof .*proof.der is not served: it is about none of the server's certificates")


def test_valid_file_comes_before_a_fetched_proof(server, authority, responder):
    source = responder(signer="ca").start()
    one = server(start=False)
    chain, key = authority.server("mx.example.test", source.url)
    file = one.dir / "proof.der"
    file.write_bytes(authority.proof())
    one.configure({"tls_certificate": chain, "tls_privatekey": key, "tls_ocsp_file": file, "tls_ocsp_fetch": "true"})
    one.start()
    one.wait_log("OCSP: new proof")
    assert "Responder Id: CN = delegate" in s_client(one)
    replace_file(file, authority.proof(life=()))
    wait_for("the fetched one", lambda: "Responder Id: CN = ca" in s_client(one))


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


def gnutls(one, authority, *arguments):
    done = subprocess.run(["gnutls-cli", "--x509cafile", str(authority.dir / "root.pem"), "-p", str(one.tls), "--sni-hostname", "localhost",
                           "--verify-hostname", "localhost", *arguments, "127.0.0.1"], input=b"", stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=DEADLINE)
    return done.returncode, done.stdout.decode(errors="replace")


def test_clients_verify_the_stapled_proof(fetching, responder, authority):
    """gnutls-cli with OCSP: a Must-Staple certificate is trusted with the proof, and refused without (RFC 7633 §4.2.3.1)."""
    source = responder("error").start()
    one = fetching(source.url, MUST_STAPLE)
    code, text = gnutls(one, authority, "--ocsp")
    assert code != 0 and "certificate requires the server to include an OCSP status" in text, text[-3000:]
    source.mode = "good"
    wait_stapled(one)
    code, text = gnutls(one, authority, "--ocsp")
    assert code == 0 and "The certificate is trusted" in text and "OCSP status request" in text, text[-3000:]


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


def test_names_of_responders_are_looked_up_by_the_lookup_role(fetching, responder):
    """The fetch role has no resolver: localhost is in /etc/hosts, which the lookup role reads; the other name is nowhere."""
    source = responder().start()
    one = fetching(f"http://localhost:{source.port}/")
    assert wait_stapled(one)["Cert Status"] == "good"
    two = fetching("http://nowhere.invalid/")
    two.wait_log(r"OCSP: no new proof for .*nowhere\.invalid")


def test_a_responder_is_asked_one_thing_at_a_time(server, authority, responder):
    source = responder("held").start()
    one = server(start=False)
    chains = [authority.server(f"host{number}.test", source.url) for number in range(5)]
    one.configure({"tls_certificate": " : ".join(str(chain) for chain, _ in chains),
                   "tls_privatekey": " : ".join(str(key) for _, key in chains), "tls_ocsp_fetch": "true"})
    one.start()
    wait_for("all proofs", lambda: len(list((one.spool / "ocsp").glob("*.der"))) == 5)
    assert source.requests == 5 and source.together == 1


def test_certificates_chosen_by_name_are_fetched_for_when_somebody_asks(server, authority, responder):
    source = responder().start()
    one = server(start=False)
    for name in ("localhost", "other.test"):
        chain, key = authority.server(name, source.url)
        (one.dir / f"{name}.pem").write_text(chain.read_text() + key.read_text())
        (one.dir / f"{name}.pem").chmod(0o600)
    which = "${if eq{$tls_in_sni}{other.test}{other.test}{localhost}}"
    one.configure({"tls_certificate": f"{one.dir}/{which}.pem", "tls_privatekey": None, "tls_ocsp_fetch": "true"})
    one.start()
    for number, name in enumerate(("localhost", "other.test")):
        wait_stapled(one, "-servername", name)
        assert source.requests == number + 1


def test_replaced_certificate_gets_a_proof_of_its_own(fetching, responder, authority):
    source = responder().start()
    one = fetching(source.url)
    first = wait_stapled(one)
    chain, key = authority.server("mx.example.test", source.url)
    (one.dir / "leaf.key").write_bytes(key.read_bytes())
    replace_file(one.dir / "chain.pem", chain.read_bytes())
    second = wait_for("the new one's", lambda: (proof := stapled(s_client(one))) and proof["Serial Number"] != first["Serial Number"]
                      and proof)
    assert int(second["Serial Number"], 16) == authority.last and second["Cert Status"] == "good"
    assert source.requests == 2


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


def test_must_staple_without_a_proof_is_told_loudly(fetching, responder):
    source = responder("error").start()
    one = fetching(source.url, MUST_STAPLE)
    one.wait_log(r"OCSP: no new proof for .*, which demands one \(Must-Staple, RFC 7633\): .*status 500")
    assert stapled(s_client(one)) is None
    one.wait_log(r"OCSP: the certificate of CN=mx\.example\.test demands a stapled OCSP proof \(Must-Staple, RFC 7633\)")
    panic = (one.log.parent / "paniclog").read_text()
    assert panic.count("Must-Staple") >= 2


def test_must_staple_without_fetching_is_told_at_load(fetching):
    one = fetching(None, MUST_STAPLE, main={"tls_ocsp_fetch": None})
    one.wait_log(r"OCSP: the certificate of CN=mx\.example\.test demands a stapled OCSP proof")


@pytest.fixture
def demanding(server, authority):
    """Not yet running: certificates by name, of which staple.test demands a proof; the value of tls_certificate for a directory or expanded."""
    def make(how):
        one = server(start=False)
        one.names = one.dir / "names"
        one.names.mkdir()
        for name, more in (("staple.test", [MUST_STAPLE]), ("default", [])):
            chain, key = authority.server(name, None, *more)
            (one.names / f"{name}.pem").write_text(chain.read_text() + key.read_text())
            (one.names / f"{name}.pem").chmod(0o600)
        which = "${if eq{$tls_in_sni}{staple.test}{staple.test}{default}}.pem"
        one.configure({"tls_certificate": f"{one.names}/" + ("" if how == "directory" else which), "tls_privatekey": None})
        return one
    return make


@pytest.mark.parametrize("how", ["directory", "expanded"])
def test_must_staple_of_a_certificate_chosen_by_name_is_told_at_load_and_once(demanding, authority, how):
    one = demanding(how)
    one.start()
    said = "OCSP: the certificate of CN=staple.test demands a stapled OCSP proof"
    one.wait_log(said)
    for _ in range(6):
        assert stapled(s_client(one, "-servername", "staple.test")) is None
    # Each configuration may say it again; with a proof there is nothing to say.
    start = one.mark()
    one.reload()
    one.wait_log(said, start)
    assert one.log_text().count("Must-Staple") == 2
    (one.names / "staple.der").write_bytes(authority.proof("staple.test"))
    one.configure({"tls_ocsp_file": one.names / "staple.der"})
    start = one.mark()
    one.reload()
    one.wait_log("configuration reloaded", start)
    assert stapled(s_client(one, "-servername", "staple.test"))["Cert Status"] == "good"
    # The files are looked at after the demands of the new configuration.
    replace_file(one.names / "staple.der", authority.proof("staple.test", signer="ca"))
    one.wait_log("staple.der has changed; new connections use it", start)
    assert "Must-Staple" not in one.log_text(start)


def test_must_staple_with_a_kept_proof_raises_no_alarm(fetching, responder):
    source = responder().start()
    one = fetching(source.url, MUST_STAPLE)
    wait_stapled(one)
    one.stop()
    start = one.mark()
    one.start()
    wait_for("twenty in a row", lambda: all(stapled(s_client(one)) for _ in range(20)))
    assert "Must-Staple" not in one.log_text(start)


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


# ---- postern ocsp ----

def postern(*arguments, **named):
    done = subprocess.run([POSTERN, "ocsp", *map(str, arguments)], capture_output=True, text=True, timeout=DEADLINE,
                          env={**os.environ, **SANITIZER, "no_proxy": "*"}, **named)
    assert "Sanitizer" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def leaf(authority):
    """A certificate with its chain that names no responder, and a proof for it."""
    chain, _ = authority.server("leaf")
    proof = authority.dir / "leaf.ocsp"
    proof.write_bytes(authority.proof("leaf"))
    return chain, proof


def test_command_fetches_from_the_responder_of_the_certificate(authority, responder):
    source = responder().start()
    chain, _ = authority.server("leaf", source.url)
    code, out, err = postern("fetch", chain)
    assert (code, err) == (0, "") and re.match(rf"{chain}\.ocsp: good until \d{{4}}-\d\d-\d\d", out)
    written = chain.with_name(chain.name + ".ocsp")
    assert written.stat().st_mode & 0o777 == 0o644
    assert postern("check", "--certificate", chain, written)[0] == 0
    assert not list(authority.dir.glob("*.ocsp.*"))
    # openssl agrees
    authority.openssl("ocsp", "-respin", written, "-issuer", "ca.pem", "-cert", "leaf.pem", "-CAfile", "root.pem", "-no_nonce")


def test_command_fetches_from_another_responder_with_another_issuer_file(authority, responder):
    source = responder().start()
    authority.server("leaf")
    code, _, err = postern("fetch", authority.dir / "leaf.pem")
    assert code == 2 and "names no OCSP responder" in err
    code, _, err = postern("fetch", "--url", source.url, authority.dir / "leaf.pem")
    assert code == 2 and "--issuer" in err
    code, _, err = postern("fetch", "--url", source.url, "--issuer", authority.dir / "root.pem", authority.dir / "leaf.pem")
    assert code == 2 and "has issued" in err
    out = authority.dir / "elsewhere.der"
    code, text, _ = postern("fetch", "--url", source.url, "--issuer", authority.dir / "ca.pem", "-o", out, authority.dir / "leaf.pem")
    assert code == 0 and text.startswith(f"{out}: good until ") and out.exists()


@pytest.mark.parametrize("mode, code, reason", [
    ("lying", 1, "does not permit signing"), ("garbage", 1, "no OCSP proof"), ("huge", 75, "more than 65536 bytes"),
    ("error", 75, "status 500"), ("redirect", 75, "status 302"),
])
def test_command_keeps_the_old_file_when_the_responder_misbehaves(authority, responder, leaf, mode, code, reason):
    source = responder(mode).start()
    chain, proof = leaf
    before = proof.read_bytes()
    got, _, err = postern("fetch", "--url", source.url, "-o", proof, chain)
    assert got == code and reason in err, err
    assert proof.read_bytes() == before


def test_command_says_what_it_cannot_ask(authority, leaf, responder):
    chain, _ = leaf
    for url in ("https://127.0.0.1/", "file:///etc/passwd", "nonsense"):
        code, _, err = postern("fetch", "--url", url, chain)
        assert code == 2 and "is not a URL that begins with http://" in err
    code, _, err = postern("fetch", "--url", responder().url, chain)
    assert code == 75 and "asking http://127.0.0.1" in err


def test_command_shows_the_fields(authority, leaf):
    chain, proof = leaf
    code, out, _ = postern("show", proof)
    assert code == 0
    for line in ("response: successful", "responder: CN=delegate", "signed with: ecdsa-with-SHA256", "certificate of signer: CN=delegate",
                 f"certificate: {authority.last:04x}", "  named with: sha1", "  status: good"):
        assert line in out.splitlines(), out
    assert re.search(r"^  next update: \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$", out, re.M)
    code, out, _ = postern("show", "--json", proof)
    shown, = json.loads(out)
    assert code == 0 and shown["response"] == "successful" and shown["signers"] == ["CN=delegate"]
    assert shown["certificates"][0]["status"] == "good" and shown["certificates"][0]["serial"] == f"{authority.last:04x}"
    assert shown["certificates"][0]["revoked"] is None


def test_command_judges_as_the_server_does(authority, leaf):
    chain, proof = leaf
    code, out, _ = postern("check", "--certificate", chain, proof)
    assert code == 0 and f"{proof}: valid for {chain} until " in out
    other, _ = authority.server("other")
    code, out, _ = postern("check", "--certificate", other, proof)
    assert code == 1 and "it is about another certificate" in out
    proof.write_bytes(authority.proof("leaf", signer="unfit"))
    code, out, _ = postern("check", "--certificate", chain, proof)
    assert code == 1 and "OCSPSigning is missing" in out
    proof.write_bytes(authority.proof("leaf", life=()))
    code, out, _ = postern("check", "--certificate", chain, proof)
    assert code == 1 and "nextUpdate" in out
    proof.write_bytes(authority.proof("leaf")[:200])
    code, out, _ = postern("check", "--certificate", chain, proof)
    assert code == 1 and "cut short" in out
    proof.write_bytes(bytes(300000))
    assert postern("check", "--certificate", chain, proof)[0] == 1
    authority.mark(authority.serial - 1, "leaf", revoked=True)
    proof.write_bytes(authority.proof("leaf"))
    code, out, _ = postern("check", "--json", "--certificate", chain, proof)
    verdict = json.loads(out)
    assert code == 1 and verdict["revoked"] and not verdict["valid"] and "keyCompromise" in verdict["reason"]


def test_command_reads_pem_and_ids_with_sha256(authority, leaf):
    chain, proof = leaf
    der = authority.proof("leaf", digest="-sha256")
    proof.write_text("-----BEGIN OCSP RESPONSE-----\n" + base64.encodebytes(der).decode() + "-----END OCSP RESPONSE-----\n")
    assert postern("check", "--certificate", chain, proof)[0] == 0
    assert "  named with: sha256" in postern("show", proof)[1]


def test_command_checks_for_the_configured_certificate(authority, leaf, server):
    chain, proof = leaf
    one = server(start=False)
    one.configure({"tls_certificate": chain, "tls_privatekey": authority.dir / "leaf.key"})
    assert postern("check", "-c", one.conf, proof)[0] == 0
    one.configure({"tls_certificate": one.cert, "tls_privatekey": one.key})
    assert postern("check", "-c", one.conf, proof)[0] == 1


def test_command_refuses_wrong_arguments(leaf):
    chain, proof = leaf
    for arguments in ((), ("show",), ("dance", proof), ("show", "--nonsense", proof), ("show", proof, proof)):
        code, out, err = postern(*arguments)
        assert code == 2 and err, arguments
    assert postern("show", "/nonexistent")[0] == 2
    assert postern("show", chain)[0] == 2


# ---- postern check ----

def check(one):
    done = subprocess.run([POSTERN, "check", "-c", str(one.conf)], capture_output=True, text=True, timeout=DEADLINE,
                          env={**os.environ, **SANITIZER})
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_check_tells_of_must_staple_without_a_proof(authority, server):
    one = server(start=False)
    chain, key = authority.server("leaf", None, MUST_STAPLE)
    one.configure({"tls_certificate": chain, "tls_privatekey": key})
    assert "demands a stapled OCSP proof (Must-Staple, RFC 7633)" in check(one)
    one.configure({"tls_ocsp_fetch": "true"})
    told = check(one)
    assert "Must-Staple" in told and "no proof can be fetched" in told and "names no OCSP responder" in told
    proof = authority.dir / "proof.der"
    proof.write_bytes(authority.proof("leaf"))
    one.configure({"tls_ocsp_file": proof, "tls_ocsp_fetch": None})
    assert "OCSP" not in check(one)
    chain, key = authority.server("leaf", "http://127.0.0.1:1/", MUST_STAPLE)
    one.configure({"tls_ocsp_file": None, "tls_ocsp_fetch": "true"})
    assert "OCSP" not in check(one)


@pytest.mark.parametrize("how", ["directory", "expanded"])
def test_check_tells_of_must_staple_of_certificates_chosen_by_name(demanding, authority, how):
    one = demanding(how)
    told = check(one)
    assert told.count("demands a stapled OCSP proof") == 1 and f"{one.names}/staple.test.pem demands" in told
    proof = one.names / "staple.der"
    proof.write_bytes(authority.proof("staple.test"))
    one.configure({"tls_ocsp_file": proof})
    assert "OCSP" not in check(one)


def test_check_judges_the_files_of_proofs(authority, server, leaf):
    one, (chain, proof) = server(start=False), leaf
    one.configure({"tls_certificate": chain, "tls_privatekey": authority.dir / "leaf.key", "tls_ocsp_file": proof})
    assert "will not be served" not in check(one)
    proof.write_bytes(authority.proof("leaf", signer="unfit"))
    assert f"{proof} will not be served: its signer's certificate does not permit" in check(one)
    proof.write_bytes(b"junk")
    assert f"{proof}: this is no OCSP proof" in check(one)
    authority.server("other")
    proof.write_bytes(authority.proof("other"))
    assert f"{proof} will not be served: it is about none of the certificates" in check(one)
    proof.unlink()
    assert f"{proof} cannot be read" in check(one)

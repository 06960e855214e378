# SPDX-License-Identifier: ISC
"""Chains that do not belong together or are not valid now: what `postern check` says of them, and when the server uses them."""
import os
import re
import shutil
import signal
import subprocess

import pytest

from harness import POSTERN, SANITIZER, make_certificate, wait_for
from ocsp_authority import Authority
from tls_peers import named_certificate, s_client

DAY = 86400


class Chains(Authority):
    """Certificates of one intermediate, with what can be wrong with them."""

    def __init__(self, directory):
        super().__init__(directory)
        self.other = Authority(self.dir / "other", "Other Root")

    def files(self, fault, name):
        """(chain, key) of a certificate for this name."""
        how = {"expired": {"clock": -60 * DAY}, "of the future": {"clock": 10 * DAY}, "ending": {"clock": 10 - DAY, "days": 1}}
        self.make(name, "ca", f"subjectAltName=DNS:{name}", **how.get(fault, {}))
        after = self.other.dir / "ca.pem" if fault == "wrong intermediate" else self.dir / "ca.pem"
        parts = [self.dir / f"{name}.pem"] if fault == "alone" else [self.dir / f"{name}.pem", after]
        if fault == "wrong order":
            parts.append(self.dir / f"{name}.pem")
        chain = self.dir / f"{name}.chain.pem"
        chain.write_text("".join(part.read_text() for part in parts))
        return chain, self.dir / f"{name}.key"


SAID = {
    "wrong intermediate": "certificate 0 of its chain is not signed by the one that follows it",
    "wrong order": "certificate 1 of its chain is not signed by the one that follows it",
    "expired": r"certificate 0 of its chain was valid until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC",
    "of the future": r"certificate 0 of its chain is not valid before \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC",
}
FAULTS = list(SAID)


@pytest.fixture(scope="module")
def chains(tmp_path_factory):
    return Chains(tmp_path_factory.mktemp("chains"))


@pytest.fixture
def serving(server, chains):
    """Starts a server with a chain of its own; and a function that puts another in its place."""
    one = server(start=False)

    def put(fault, name):
        chain, key = chains.files(fault, name)
        for file, place in ((key, one.dir / "key.pem"), (chain, one.dir / "cert.pem")):
            new = one.dir / "new"
            shutil.copy(file, new)
            os.replace(new, place)

    def start(fault="good", name="before.test"):
        put(fault, name)
        one.configure({"tls_certificate": one.dir / "cert.pem", "tls_privatekey": one.dir / "key.pem"})
        return one.start()
    return start, put


def served(one, sni=None):
    return s_client(one.smtp, sni=sni).name


@pytest.mark.parametrize("fault", FAULTS)
def test_a_replacement_that_is_not_good_is_refused_and_the_old_one_stays(serving, fault):
    start, put = serving
    one = start()
    mark = one.mark()
    put(fault, "after.test")
    one.wait_log(f"cert.pem has changed and is not used: {SAID[fault]}; what was in use before stays", mark)
    assert {served(one) for _ in range(4)} == {"before.test"}
    put("good", "mended.test")
    wait_for("the good chain", lambda: served(one) == "mended.test")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_chain_that_is_not_good_at_the_start_is_used_and_told_once(serving, fault):
    start, _ = serving
    one = start(fault)
    assert served(one) == "before.test"
    assert len(re.findall(f"TLS: .*cert.pem is in use, but {SAID[fault]}", one.log_text())) == 1


def test_a_chain_that_is_not_good_is_replaced_by_another_that_is_not(serving):
    """Whoever has always had an order of his own must not be left with a certificate that runs out."""
    start, put = serving
    one = start("wrong order")
    mark = one.mark()
    put("wrong order", "after.test")
    one.wait_log("cert.pem has changed; new connections use it", mark)
    one.wait_log(f"cert.pem is in use, but {SAID['wrong order']}", mark)
    assert served(one) == "after.test"


@pytest.mark.parametrize("fault", ["wrong intermediate", "expired"])
def test_a_reload_with_a_replacement_that_is_not_good_is_refused(serving, fault):
    start, put = serving
    one = start()
    mark = one.mark()
    put(fault, "after.test")
    one.process.send_signal(signal.SIGHUP)
    one.wait_log(f"reload refused: .*cert.pem: {SAID[fault]}", mark)
    assert {served(one) for _ in range(4)} == {"before.test"}


def test_a_certificate_of_a_name_that_was_refused_stays_out_over_a_reload(server, chains):
    one = server(start=False)
    names = one.dir / "names"
    names.mkdir()
    named_certificate(names, "default", both=True)

    def put(fault, common):
        chain, key = chains.files(fault, common)
        new = one.dir / "new"
        new.write_text(chain.read_text() + key.read_text())
        new.chmod(0o600)
        os.replace(new, names / "a.test.pem")
    put("good", "before.test")
    one.configure({"tls_certificate": f"{names}/", "tls_privatekey": None})
    one.start()
    assert served(one, "a.test") == "before.test"
    mark = one.mark()
    put("expired", "after.test")
    one.wait_log(f"a.test.pem has changed and is not used: {SAID['expired']}", mark)
    one.reload()
    assert {served(one, "a.test") for _ in range(4)} == {"before.test"}
    put("good", "mended.test")
    wait_for("the good one", lambda: served(one, "a.test") == "mended.test")


def test_the_end_of_a_certificate_in_use_is_told(serving):
    start, _ = serving
    one = start("ending")
    one.wait_log(f"cert.pem is in use, but {SAID['expired']}")
    assert served(one) == "before.test"


@pytest.mark.parametrize("fault", ["good", "alone", "self-signed"])
def test_single_certificates_and_those_signed_by_themselves_are_good(server, chains, fault):
    one = server(start=False)
    chain, key = named_certificate(one.dir, "a.test") if fault == "self-signed" else chains.files(fault, "a.test")
    one.configure({"tls_certificate": chain, "tls_privatekey": key})
    assert check(one) == (0, [])
    one.start()
    assert served(one) == "a.test"
    assert "is in use, but" not in one.log_text()


# ---- postern check ----


def check(one):
    run = subprocess.run([POSTERN, "check", "-c", str(one.conf)], capture_output=True, text=True, env={**os.environ, **SANITIZER}, timeout=60)
    return run.returncode, [line for line in (run.stdout + run.stderr).splitlines() if "warning" in line]


@pytest.mark.parametrize("fault", FAULTS)
def test_check_warns_of_chains_that_are_not_good(server, chains, fault):
    one = server(start=False)
    chain, key = chains.files(fault, "a.test")
    one.configure({"tls_certificate": chain, "tls_privatekey": key})
    status, (warning,) = check(one)
    assert status == 0 and re.search(f"option tls_certificate: .*a.test.chain.pem: {SAID[fault]}", warning)


def test_check_warns_of_a_key_that_does_not_belong_to_its_certificate(server, tmp_path):
    one = server(start=False)
    _, other = make_certificate(tmp_path, "rsa")
    one.configure({"tls_privatekey": other})
    status, (warning,) = check(one)
    assert status == 0
    assert re.search("option tls_privatekey: the private key in .*rsa.key.pem does not belong to the certificate in .*ecdsa.cert.pem", warning)


def test_check_warns_of_a_file_without_a_key(server, chains):
    one = server(start=False)
    chain, _ = chains.files("good", "a.test")
    one.configure({"tls_certificate": chain, "tls_privatekey": None})
    _, (warning,) = check(one)
    assert re.search("option tls_certificate: .*a.test.chain.pem has no private key", warning)


def test_check_looks_at_all_certificates_of_a_directory(server, chains):
    one = server(start=False)
    names = one.dir / "names"
    names.mkdir()
    named_certificate(names, "default", both=True)
    chain, key = chains.files("expired", "old.test")
    shutil.copy(chain, names / "old.test.pem")
    shutil.copy(key, names / "old.test.key")
    named_certificate(names, "pair.test")
    shutil.copy(key, names / "pair.test.key")
    (names / "sub.test").mkdir()
    chain, key = chains.files("wrong intermediate", "sub.test")
    shutil.copy(chain, names / "sub.test" / "fullchain.pem")
    shutil.copy(key, names / "sub.test" / "privkey.pem")
    one.configure({"tls_certificate": f"{names}/", "tls_privatekey": None})
    status, warnings = check(one)
    assert status == 0
    text = "\n".join(sorted(warnings))
    assert len(warnings) == 3, text
    assert re.search(f"names/old.test.pem: {SAID['expired']}", text)
    assert re.search(f"names/sub.test/fullchain.pem: {SAID['wrong intermediate']}", text)
    assert re.search("the private key in .*names/pair.test.key does not belong to the certificate in .*names/pair.test.pem", text)

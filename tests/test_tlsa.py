# SPDX-License-Identifier: ISC
"""postern tlsa: records for zone files, and --check against signed, unsigned and broken zones with a real server."""
import hashlib
import json
import os
import re
import subprocess
import tempfile
from pathlib import Path

import pytest

from dns_server import Nsd
from harness import POSTERN, REPORT, SANITIZER, Server, end_with_us, free_ports, wait_for

ENVIRONMENT = {**os.environ, **SANITIZER}


def postern(directory, *arguments, status=0):
    done = subprocess.run([POSTERN, *map(str, arguments)], cwd=directory, capture_output=True, text=True, timeout=90, env=ENVIRONMENT)
    assert done.returncode == status and not REPORT.search(done.stderr), (done.returncode, done.stdout, done.stderr)
    return done.stdout if status == 0 else done.stdout + done.stderr


def der(directory, *arguments):
    return subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True).stdout


def record_of(directory, path, *options):
    """The fields of the one record that the command prints."""
    line, = postern(directory, "tlsa", "--host", "x.test", *options, path).splitlines()
    return line.split(" IN TLSA ")[1]


class World:
    """An authority, certificates of it, a server with one of them, and zones that publish right and wrong records for it."""

    def __init__(self):
        self.dir = Path(tempfile.mkdtemp(prefix="postern-test-tlsa-"))
        self.dir.chmod(0o755)
        make = lambda *arguments: postern(self.dir, "cert", *arguments)
        make("ca", "--name", "Authority", "--out", "ca.pem")
        names = [f"--name={name}.dane.test" for name in ("good", "ta", "wrong")]
        make("ca", "--ca", "ca.pem", *names, "--out", "now.pem")
        make("ca", "--ca", "ca.pem", *names, "--out", "next.pem")
        make("self-signed", *names, "--out", "other.pem")
        self.smtp, = free_ports(1)
        self.nsd = Nsd()
        records = {name: record_of(self.dir, f"{name}.pem") for name in ("now", "next", "other")}
        authority = record_of(self.dir, "now.pem", "--usage", "2", "--selector", "0", "--matching", "2")
        hosts = {
            "good": [records["now"]], "both": [records["now"], records["next"]], "wrong": [records["other"]], "ta": [authority],
            "foreign": [authority], "none": [], "odd": ["1 1 1 " + "ab" * 32, "3 1 9 abcd"],
            "outranked": [records["now"], "3 1 2 " + "cd" * 64],
        }
        zone = "".join(f"{host} 300 IN A 127.0.0.1\n" + "".join(f"_{self.smtp}._tcp.{host} 300 IN TLSA {one}\n" for one in all)
                       for host, all in hosts.items())
        zone += "alias 300 IN CNAME good\n"
        self.nsd.anchors.append(self.nsd.zone("dane.test", zone))
        self.nsd.zone("open.example", zone, signed=False)
        self.nsd.anchors.append(self.nsd.zone("late.test", zone, expired=True))
        self.nsd.start()
        (self.dir / "unbound.conf").write_text(self.nsd.config())
        self.conf = self.dir / "postern.conf"
        self.conf.write_text(f"primary_hostname = mx.dane.test\nspool_directory = {self.dir}\ndns_config_file = {self.dir}/unbound.conf\n")
        self.server = Server(self.dir, main={"tls_certificate": self.dir / "now.pem", "tls_privatekey": self.dir / "now.key",
                                             "daemon_smtp_ports": str(self.smtp), "tls_on_connect_ports": None})
        self.server.start()

    def check(self, name, *options, status=0, port=None):
        return postern(self.dir, "tlsa", "--check", "-c", self.conf, "--starttls", "smtp", *options, f"{name}:{port or self.smtp}", status=status)

    def json(self, name, *options, status=0):
        text = self.check(name, "--json", *options, status=status)
        return json.loads(text)


@pytest.fixture(scope="module")
def world():
    one = World()
    yield one
    one.server.stop()
    one.server.remove()
    one.nsd.remove()


# ---- Printing ----

@pytest.mark.parametrize("usage", [0, 1, 2, 3])
@pytest.mark.parametrize("selector", [0, 1])
@pytest.mark.parametrize("matching", [0, 1, 2])
def test_all_usages_selectors_and_matching_types(world, usage, selector, matching):
    """RFC 6698, section 2.1, against openssl's encodings."""
    path = "ca.pem" if usage in (0, 2) else "now.pem"
    data = der(world.dir, "x509", "-in", path, "-outform", "DER")
    if selector:
        public = der(world.dir, "x509", "-in", path, "-noout", "-pubkey")
        data = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=public, check=True, capture_output=True).stdout
    digest = [lambda d: d, lambda d: hashlib.sha256(d).digest(), lambda d: hashlib.sha512(d).digest()][matching]
    want = f"{usage} {selector} {matching} {digest(data).hex()}"
    assert record_of(world.dir, "now.pem", "--usage", usage, "--selector", selector, "--matching", matching) == want


def test_the_usual_record_for_each_name_of_the_certificate(world):
    lines = postern(world.dir, "tlsa", "--port", "465", "now.pem").splitlines()
    assert [line.split()[0] for line in lines] == [f"_465._tcp.{name}.dane.test." for name in ("good", "ta", "wrong")]
    assert all(re.fullmatch(r"\S+ IN TLSA 3 1 1 [0-9a-f]{64}", line) for line in lines)


def test_names_of_the_fields_lists_and_json(world):
    one = json.loads(postern(world.dir, "tlsa", "--usage", "DANE-TA,dane-ee", "--selector", "spki", "--matching", "all", "--host", "a.test",
                             "--json", "now.pem"))
    assert [(r["usage"], r["selector"], r["matching"]) for r in one] == [(u, 1, m) for u in (2, 3) for m in (0, 1, 2)]
    assert one[-1]["names"] == "DANE-EE SPKI SHA2-512" and one[0]["owner"] == "_25._tcp.a.test"


@pytest.mark.parametrize("arguments, says", [
    (["other.pem", "--usage", "2"], "does not end in an authority's certificate"),
    (["other.pem", "--usage", "4"], "--usage 4"), (["other.pem", "--selector", "x"], "--selector x"),
    (["other.pem", "--port", "0"], "--port 0"), (["other.pem", "--host", "a b"], "--host a b"),
    (["ca.pem"], "names no host"), (["nothing.pem"], "nothing.pem"), ([], "expected one certificate"),
    (["--check", "nohost"], "expected HOST:PORT"), (["--check", "127.0.0.1:25"], "with the name of a host; --address says where it is"),
    (["--check", "[::1]:25"], "with the name of a host"), (["other.pem", "--host", "127.0.0.1"], "expected the name of a host"), (["other.pem", "--certificate", "x"], "is for --check"),
])
def test_wrong_arguments_are_usage_errors(world, arguments, says):
    assert says in postern(world.dir, "tlsa", *arguments, status=2)


def test_records_are_what_a_zone_file_takes(world):
    """The zones of this world were made from them; drill finds the same data."""
    found = subprocess.run(["drill", "-p", str(world.nsd.port), "@127.0.0.1", f"_{world.smtp}._tcp.good.dane.test", "TLSA"], check=True,
                           capture_output=True, text=True).stdout
    assert record_of(world.dir, "now.pem").lower() in found.lower()


# ---- Checking ----

def test_what_is_served_fits(world):
    text = world.check("good.dane.test")
    assert "The certificate served fits." in text and "1 TLSA record, signed, for 300 seconds" in text
    assert world.json("good.dane.test")["verdict"] == "good"


def test_an_authority_of_the_chain_fits_and_its_names_count(world):
    """RFC 7671, section 5.2."""
    assert world.json("ta.dane.test")["verdict"] == "good"
    wrong = world.json("foreign.dane.test", status=1)
    assert wrong["verdict"] == "broken"
    assert wrong["records"][0]["certificates"][0] == {"certificate": "served", "outcome": "untrusted", "why": "hostname mismatch"}


def test_what_does_not_fit_is_told_with_the_record_that_is_missing(world):
    text = world.check("wrong.dane.test", status=1)
    assert "DANE is broken" in text and f"_{world.smtp}._tcp.wrong.dane.test. IN TLSA {record_of(world.dir, 'now.pem')}" in text


def test_a_weaker_digest_does_not_count_beside_a_stronger_one(world):
    """RFC 7671, section 9."""
    records = world.json("outranked.dane.test", status=1)["records"]
    assert sorted(r["certificates"][0]["outcome"] for r in records) == ["differs", "outranked"]


def test_a_roll_over_that_would_break_dane_says_what_to_publish_and_when(world):
    text = world.check("good.dane.test", "--certificate", "next.pem", status=1)
    assert "The next certificate would break DANE" in text and f"300 IN TLSA {record_of(world.dir, 'next.pem')}" in text
    assert "take it into use 300 seconds after" in text
    assert f"can go:\n  {record_of(world.dir, 'now.pem')}" in text
    assert world.json("good.dane.test", "--certificate", "next.pem", status=1)["verdict"] == "next-breaks"


def test_a_roll_over_with_both_records_is_good(world):
    text = world.check("both.dane.test", "--certificate", "next.pem")
    assert "The next certificate fits. It is safe" in text and "published for 300 seconds" in text
    one = world.json("both.dane.test", "--certificate", "next.pem")
    assert one["verdict"] == "good" and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", one["safe_from"])
    old = [r for r in one["records"] if r["outdated_after_change"]]
    assert [r["record"] for r in old] == [record_of(world.dir, "now.pem")]


def test_the_same_authority_survives_a_roll_over(world):
    assert world.json("ta.dane.test", "--certificate", "next.pem")["verdict"] == "good"
    assert world.json("ta.dane.test", "--certificate", "other.pem", status=1)["verdict"] == "next-breaks"


@pytest.mark.parametrize("name, says", [("none.dane.test", "there are no TLSA records"), ("good.open.example", "not signed by DNSSEC"),
                                        ("odd.dane.test", "passed over: usages 0 and 1 mean nothing in SMTP")])
def test_without_records_that_clients_use_dane_is_not_in_force_and_cannot_break(world, name, says):
    assert says in world.check(name, status=1)
    assert world.json(name, "--certificate", "other.pem")["verdict"] == "unused"


def test_an_alias_is_asked_by_its_true_name(world):
    """RFC 7671, section 7."""
    assert world.json("alias.dane.test")["owner"] == f"_{world.smtp}._tcp.good.dane.test"


def test_a_zone_that_fails_validation_is_temporary(world):
    assert "signature" in world.check("good.late.test", status=75)
    one = world.json("good.late.test", "--address", "127.0.0.1", status=75)
    assert (one["verdict"], one["published"]) == ("unknown", "unknown")


def test_a_dns_that_is_down_is_temporary(world, tmp_path):
    (tmp_path / "unbound.conf").write_text(world.nsd.config().replace(f"@{world.nsd.port}", f"@{free_ports(1)[0]}"))
    conf = tmp_path / "postern.conf"
    conf.write_text(world.conf.read_text().replace(f"{world.dir}/unbound.conf", f"{tmp_path}/unbound.conf"))
    text = postern(tmp_path, "tlsa", "--check", "-c", conf, "--timeout", "5", f"good.dane.test:{world.smtp}", status=75)
    assert "looking up the addresses of good.dane.test" in text


def test_a_server_that_does_not_answer_is_temporary_and_bounded(world):
    port, = free_ports(1)
    assert "Connection refused" in world.check("good.dane.test", port=port, status=75)


def test_a_name_without_address_is_told(world):
    assert "missing.dane.test has no address" in world.check("missing.dane.test", status=1)


def test_both_certificates_of_a_server_must_fit(world):
    """A client that can do only the other algorithm gets the other certificate."""
    postern(world.dir, "cert", "self-signed", "--rsa", "--name", "good.dane.test", "--out", "rsa.pem", "--force")
    port, = free_ports(1)
    process = subprocess.Popen(["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", "now.pem", "-key", "now.key", "-dcert", "rsa.pem",
                                "-dkey", "rsa.key", "-quiet"], cwd=world.dir, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, preexec_fn=end_with_us)
    try:
        text = wait_for("both certificates", lambda: (lambda t: t if "refused" not in t else "")(
            subprocess.run([POSTERN, "tlsa", "--check", "-c", world.conf, "--json", "--starttls", "none", f"good.dane.test:{port}"],
                           cwd=world.dir, capture_output=True, text=True, timeout=60, env=ENVIRONMENT).stdout))
        assert [c["certificate"] for c in json.loads(text)["certificates"]] == ["served", "served to others"]
    finally:
        process.terminate()
        process.wait(30)

# SPDX-License-Identifier: ISC
"""tls_tlsa_guard: a certificate that the published TLSA records do not match is not taken into use (RFC 7671, section 8.1)."""
import hashlib
import os
import shutil
import signal
import ssl
import subprocess
import tempfile
from pathlib import Path

import pytest

from dns_server import Nsd
from harness import POSTERN, SANITIZER, Server, free_ports, trusting, wait_for

HOSTS = ("strict.dane.test", "both.dane.test", "none.dane.test", "open.example", "bad.late.test")


def postern(directory, *arguments):
    return subprocess.run([POSTERN, *map(str, arguments)], cwd=directory, check=True, capture_output=True, text=True, timeout=60,
                          env={**os.environ, **SANITIZER}).stdout


class World:
    def __init__(self):
        self.dir = Path(tempfile.mkdtemp(prefix="postern-test-guard-"))
        self.dir.chmod(0o755)
        self.port, = free_ports(1)
        self.nsd = Nsd()
        data = {}
        for host in HOSTS:
            for which in ("now", "next"):
                postern(self.dir, "cert", "self-signed", "--name", host, "--name", "*.wild.test", "--name", "127.0.0.1", "--out", f"{host}-{which}.pem")
                line = postern(self.dir, "tlsa", "--host", host, f"{host}-{which}.pem")
                data[host, which] = line.split(" IN TLSA ")[1]
        record = lambda host, which: f"_{self.port}._tcp.{host}. 300 IN TLSA {data[host, which]}"
        self.nsd.anchors.append(self.nsd.zone("dane.test", record("strict.dane.test", "now") + record("both.dane.test", "now")
                                              + record("both.dane.test", "next")))
        self.nsd.zone("open.example", record("open.example", "now"), signed=False)
        self.nsd.anchors.append(self.nsd.zone("late.test", record("bad.late.test", "now"), expired=True))
        self.nsd.start()
        (self.dir / "unbound.conf").write_text(self.nsd.config())
        self.data = data

    def install(self, live, host, which):
        """As a certificate's renewal does it: the key first, each file in one step."""
        for ending in (".key", ".pem"):
            made = live / f"new{ending}"
            shutil.copy(self.dir / f"{host}-{which}{ending}", made)
            made.rename(live / f"live{ending}")


@pytest.fixture(scope="module")
def world():
    one = World()
    yield one
    one.nsd.remove()
    shutil.rmtree(one.dir, ignore_errors=True)


@pytest.fixture
def guarded(world, server, tmp_path):
    """guarded(host, guard): a server with the certificate of now, and a function that puts the next one in its place."""
    def make(host, guard="true", which="now"):
        live = Path(tempfile.mkdtemp(dir=world.dir))
        live.chmod(0o755)
        world.install(live, host, which)
        one = server(main={"primary_hostname": host, "tls_certificate": live / "live.pem", "tls_privatekey": live / "live.key",
                           "tls_tlsa_guard": guard, "daemon_smtp_ports": str(world.port), "tls_on_connect_ports": None,
                           "dns_config_file": world.dir / "unbound.conf"})
        one.smtp = world.port
        return one, lambda which: world.install(live, host, which)
    return make


def served(one):
    """The digest of the public key that a new connection meets, and with it which certificate."""
    with one.connect() as client:
        client.ehlo()
        client.expect(220, "STARTTLS")
        client.secure()
        return hashlib.sha256(client.sock.getpeercert(True)).hexdigest()


def fingerprint(world, host, which):
    pem = (world.dir / f"{host}-{which}.pem").read_text()
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()


def test_a_certificate_without_its_record_is_refused_and_the_old_one_stays(world, guarded):
    one, install = guarded("strict.dane.test")
    start = one.mark()
    install("next")
    line = one.wait_log(r"TLS error: .*live\.pem has changed and is not used: DANE: .*", start).group()
    assert f"no TLSA record of _{world.port}._tcp.strict.dane.test matches" in line
    assert f"IN TLSA {world.data['strict.dane.test', 'next'].strip()}" in line and "what was in use before stays" in line
    assert served(one) == fingerprint(world, "strict.dane.test", "now")
    # A reload of the whole configuration does not let it in either, and the server goes on.
    start = one.mark()
    one.process.send_signal(signal.SIGHUP)
    one.wait_log(r"reload refused: .*DANE: no TLSA record", start)
    assert served(one) == fingerprint(world, "strict.dane.test", "now")
    # With the old one back, reloads work again.
    install("now")
    start = one.mark()
    one.process.send_signal(signal.SIGHUP)
    one.wait_log(r"configuration reloaded", start)


@pytest.mark.parametrize("host, guard", [("both.dane.test", "true"), ("none.dane.test", "true"), ("open.example", "true"),
                                         ("strict.dane.test", "false")])
def test_a_certificate_that_breaks_nothing_is_used(world, guarded, host, guard):
    one, install = guarded(host, guard)
    start = one.mark()
    install("next")
    one.wait_log(r"live\.pem has changed; new connections use it", start)
    wait_for("the next certificate", lambda: served(one) == fingerprint(world, host, "next"))


def test_force_uses_it_and_says_so(world, guarded):
    one, install = guarded("strict.dane.test", "force")
    start = one.mark()
    install("next")
    one.wait_log(r"is used all the same \(tls_tlsa_guard = force\): DANE: no TLSA record", start)
    wait_for("the next certificate", lambda: served(one) == fingerprint(world, "strict.dane.test", "next"))


def test_without_an_answer_of_the_dns_the_old_one_stays_and_it_is_tried_again(world, guarded):
    one, install = guarded("bad.late.test")
    start = one.mark()
    install("next")
    one.wait_log(r"is not used: it is tried again in a minute: DANE: the TLSA records of .* could not be looked up", start)
    assert served(one) == fingerprint(world, "bad.late.test", "now")


def test_what_breaks_dane_at_the_start_is_told(world, guarded):
    one, _ = guarded("strict.dane.test", which="next")
    one.wait_log(r"live\.pem is in use, but: DANE: no TLSA record")

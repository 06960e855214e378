# SPDX-License-Identifier: ISC
"""tls_tlsa_guard: a certificate that the published TLSA records do not match is not taken into use (RFC 7671, section 8.1)."""
import hashlib
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest

from dns_server import Nsd
from harness import POSTERN, SANITIZER, free_ports, make_message, trusting, wait_for
from tls_peers import named_certificate, s_client

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


# ---- Certificates that are chosen by name: they are opened when the first client asks for one ----

@pytest.fixture
def by_name(world, server):
    """by_name(which): a server with a directory of certificates, and a function that puts one of strict.dane.test into it."""
    live = Path(tempfile.mkdtemp(dir=world.dir))
    live.chmod(0o755)

    def put(which):
        """Certificate and key in one file, and in one step."""
        made = live / "new"
        made.write_text((world.dir / f"strict.dane.test-{which}.pem").read_text() + (world.dir / f"strict.dane.test-{which}.key").read_text())
        made.chmod(0o600)
        made.rename(live / "strict.dane.test.pem")

    def make(which, **main):
        put(which)
        (live / "default.pem").write_text("".join((world.dir / f"none.dane.test-now.{ending}").read_text() for ending in ("pem", "key")))
        one = server(main={"primary_hostname": "none.dane.test", "tls_certificate": f"{live}/", "tls_privatekey": None, "tls_tlsa_guard": "true",
                           "daemon_smtp_ports": str(world.port), "tls_on_connect_ports": None, "dns_config_file": world.dir / "unbound.conf", **main})
        one.smtp = world.port
        return one, put
    return make


def named(one):
    """The digest of the certificate for strict.dane.test."""
    with one.connect() as client:
        client.ehlo()
        client.expect(220, "STARTTLS")
        client.sock = trusting().wrap_socket(client.sock, server_hostname="strict.dane.test")
        return hashlib.sha256(client.sock.getpeercert(True)).hexdigest()


def test_a_certificate_that_is_new_for_its_name_is_used_and_what_it_breaks_is_told(world, by_name):
    one, _ = by_name("next")
    assert named(one) == fingerprint(world, "strict.dane.test", "next")
    one.wait_log(r"TLS: \S*/strict\.dane\.test\.pem is in use, but: DANE: no TLSA record of _\d+\._tcp\.strict\.dane\.test matches")
    # Asked for again, it is there already: that is no news.
    assert named(one) == fingerprint(world, "strict.dane.test", "next")
    assert one.log_text().count("is in use, but") == 1


def test_a_certificate_that_is_new_for_its_name_and_fits_is_no_news(world, by_name):
    one, _ = by_name("now")
    assert named(one) == fingerprint(world, "strict.dane.test", "now")
    assert named(one) == fingerprint(world, "strict.dane.test", "now")
    one.send(make_message("no news"), "user@example.test", tls=False)
    one.maildir().wait()
    assert "DANE" not in one.log_text()


def test_a_replaced_certificate_of_a_name_is_refused_also_after_reloads(world, by_name):
    one, put = by_name("now")
    assert named(one) == fingerprint(world, "strict.dane.test", "now")
    start = one.mark()
    put("next")
    one.wait_log(r"strict\.dane\.test\.pem has changed and is not used: DANE: no TLSA record .*what was in use before stays", start)
    for _ in range(2):
        start = one.mark()
        one.process.send_signal(signal.SIGHUP)
        one.wait_log(r"configuration reloaded", start)
        assert named(one) == fingerprint(world, "strict.dane.test", "now")
    # Nor does the time of a reload let one in that was put there meanwhile.
    put("now")
    start = one.mark()
    one.wait_log(r"strict\.dane\.test\.pem has changed; new connections use it", start)
    put("next")
    one.process.send_signal(signal.SIGHUP)
    one.wait_log(r"strict\.dane\.test\.pem has changed and is not used: DANE: no TLSA record", start)
    assert named(one) == fingerprint(world, "strict.dane.test", "now")
    # Without the guard it is as if it were new.
    one.configure({"tls_tlsa_guard": "false"})
    one.process.send_signal(signal.SIGHUP)
    wait_for("the next certificate", lambda: named(one) == fingerprint(world, "strict.dane.test", "next"))


def test_a_reload_takes_nothing_along_that_the_configuration_no_longer_names(world, by_name, tmp_path):
    one, put = by_name("now")
    assert named(one) == fingerprint(world, "strict.dane.test", "now")
    tmp_path.chmod(0o755)
    tmp_path.parent.chmod(0o755)
    world.install(tmp_path, "none.dane.test", "now")
    one.configure({"tls_certificate": tmp_path / "live.pem", "tls_privatekey": tmp_path / "live.key"})
    start = one.mark()
    one.process.send_signal(signal.SIGHUP)
    one.wait_log(r"configuration reloaded", start)
    put("next")
    # All files are looked at in turn: after two changes of one of them the others have been looked at, too.
    for which in ("next", "now"):
        changed = one.mark()
        world.install(tmp_path, "none.dane.test", which)
        one.wait_log(r"live\.pem has changed; new connections use it", changed)
        assert named(one) == fingerprint(world, "none.dane.test", which)
    assert "strict.dane.test.pem" not in one.log_text(start)


# ---- While the DNS keeps an answer back ----

class Slow:
    """A name server that knows no names, and keeps that back until release() where "held" is in the question."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.held, self.released = [], False
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                query, client = self.socket.recvfrom(4096)
            except OSError:
                return
            if b"held" in query.lower() and not self.released:
                self.held.append((query, client))
            else:
                self.answer(query, client)

    def answer(self, query, client):
        question = query[12:query.index(b"\0", 12) + 5]
        self.socket.sendto(query[:2] + bytes([0x80 | query[2] & 1, 0x80 | 3]) + query[4:6] + bytes(6) + question, client)

    def release(self):
        self.released = True
        for query, client in self.held:
            self.answer(query, client)

    def config(self):
        """With so many tries that the guard's own 30 seconds are the limit."""
        return ('server:\n  do-not-query-localhost: no\n  local-zone: "test." nodefault\n  domain-insecure: "."\n  qname-minimisation: no\n'
                f'  outbound-msg-retry: 30\nforward-zone:\n  name: "."\n  forward-addr: 127.0.0.1@{self.socket.getsockname()[1]}\n')


@pytest.fixture
def slow():
    one = Slow()
    yield one
    one.socket.close()


@pytest.fixture
def waiting(server, slow, directory):
    """A server with a guard, a directory of certificates, and a function that puts one there."""
    directory = Path(tempfile.mkdtemp(dir=directory))
    directory.chmod(0o755)
    (directory / "unbound.conf").write_text(slow.config())
    names = directory / "names"
    names.mkdir()

    def put(name):
        cert, key = named_certificate(directory, name)
        (directory / "new").write_text(cert.read_text() + key.read_text())
        os.replace(directory / "new", names / "default.pem")
    put("first.test")
    return server(main={"tls_certificate": f"{names}/", "tls_privatekey": None, "tls_tlsa_guard": "true", "front_processes": 1,
                        "dns_config_file": directory / "unbound.conf"}, start=False), put


def test_a_front_that_dies_while_the_guard_asks_is_replaced_at_once(waiting, slow):
    one, put = waiting
    put("held.test")
    one.start()
    assert s_client(one.smtp).name == "held.test"
    wait_for("the guard's question", lambda: slow.held)
    front = one.role("front 0")
    os.kill(front, signal.SIGKILL)
    wait_for("its successor", lambda: one.roles().get("front 0") not in (None, front))
    assert "is in use, but: DANE" not in one.log_text(), "the guard has given up before"
    assert s_client(one.smtp).name == "held.test"


def test_a_keeper_that_dies_while_the_guard_asks_has_the_key_in_use_again(waiting, slow):
    one, put = waiting
    one.start()
    assert s_client(one.smtp).name == "first.test"
    start = one.mark()
    put("held.test")
    wait_for("the guard's question", lambda: slow.held)
    keeper = one.role("keeper")
    os.kill(keeper, signal.SIGKILL)
    wait_for("another keeper", lambda: one.roles().get("keeper") not in (None, keeper))
    front = one.role("front 0")
    os.kill(front, signal.SIGKILL)
    wait_for("another front", lambda: one.roles().get("front 0") not in (None, front))
    assert s_client(one.smtp).name == "first.test"
    assert "default.pem has changed" not in one.log_text(start), "the guard has given up before"
    slow.release()
    one.wait_log("default.pem has changed; new connections use it", start)
    wait_for("the certificate that the guard permits", lambda: s_client(one.smtp).name == "held.test")

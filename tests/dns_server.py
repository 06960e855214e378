# SPDX-License-Identifier: ISC
"""Name servers for tests: nsd on loopback with zones made here, signed, unsigned, and broken in the ways that matter; and one in
Python that says what no honest server says.

The tree: "test" is signed and holds the trust anchor. Below it are
  signed.test    signed, with its DS: secure                  unsigned.test  no DS: proven insecure
  expired.test   signatures that have run out: bogus          broken.test    a record changed after it was signed: bogus
  stripped.test  a DS, but the zone has no signatures: bogus
and 127.in-addr.arpa, signed, with a trust anchor of its own, for the names of loopback addresses.
"""
import os
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from harness import end_with_us, free_ports, wait_for

SOA = "@ 3600 IN SOA ns.test. hostmaster.test. 1 3600 600 86400 60\n@ 3600 IN NS ns.test.\n"

COMMON = """www 300 IN A 192.0.2.80
www 300 IN AAAA 2001:db8::80
alias 300 IN CNAME www
far 300 IN CNAME www.unsigned.test.
mail 300 IN A 192.0.2.25
@ 300 IN MX 10 mail
@ 300 IN MX 20 backup
text 300 IN TXT "one" "two"
text2 300 IN TXT "first"
text2 300 IN TXT "second"
_25._tcp.mail 300 IN TLSA 3 1 1 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
_smtp._tcp 300 IN SRV 1 2 25 mail
spf 300 IN TYPE99 \\# 22 09763d7370663120613a0b78206d78202d616c6c2020
"""

REVERSE = """2.0.0.127 IN PTR two.signed.test.
3.0.0.127 IN PTR elsewhere.signed.test.
4.0.0.127 IN PTR four.unsigned.test.
5.0.0.127 IN PTR nowhere.signed.test.
6.0.0.127 IN PTR six-a.signed.test.
6.0.0.127 IN PTR six-b.signed.test.
7.0.0.127 IN PTR www.broken.test.
"""

FORWARD = """two 300 IN A 127.0.0.2
elsewhere 300 IN A 192.0.2.99
six-a 300 IN A 192.0.2.6
six-b 300 IN A 127.0.0.6
"""


class Nsd:
    """Zones in a directory, a server on a port of its own, and the text for dns_config_file."""

    def __init__(self):
        self.dir = Path(tempfile.mkdtemp(prefix="postern-test-dns-"))
        self.dir.chmod(0o755)
        self.port = free_ports(1)[0]
        self.zones, self.anchors, self.process = {}, [], None
        ds = {}
        for name in ("signed.test", "expired.test", "broken.test", "stripped.test"):
            ds[name] = self.zone(name, COMMON + (FORWARD if name == "signed.test" else ""),
                                 expired=name == "expired.test", change=self.change.get(name), strip=name == "stripped.test")
        self.zone("unsigned.test", COMMON + "four IN A 127.0.0.4\n", signed=False)
        delegations = "".join(f"{name}. IN NS ns.test.\n" for name in self.zones) + "".join(ds.values())
        self.anchors.append(self.zone("test", "ns IN A 127.0.0.1\nempty.sub IN A 192.0.2.1\n" + delegations))
        self.anchors.append(self.zone("127.in-addr.arpa", self.reverse()))

    change = {"broken.test": ("192.0.2.80", "192.0.2.81")}

    @staticmethod
    def reverse():
        """The loopback network's own order: 127.0.0.2 is 2.0.0 below the zone."""
        return "".join(line.replace(".0.0.127 ", ".0.0 ", 1) + "\n" for line in REVERSE.splitlines())

    def zone(self, name, records, signed=True, expired=False, change=None, strip=False):
        """Writes the zone file; returns the DS record of a signed one, with its owner."""
        path = self.dir / f"{name}.zone"
        path.write_text(f"$ORIGIN {name}.\n$TTL 300\n{SOA}{records}")
        self.zones[name] = path
        if not signed:
            return ""
        run = lambda *command: subprocess.run(command, cwd=self.dir, check=True, capture_output=True, text=True).stdout
        key = run("ldns-keygen", "-a", "ECDSAP256SHA256", "-k", name).strip()
        when = [time.strftime("%Y%m%d%H%M%S", time.gmtime(time.time() + 86400 * days))
                for days in ((-30, -2) if expired else (-2, 30))]
        run("ldns-signzone", "-i", when[0], "-e", when[1], "-f", str(path) + ".signed", str(path), key)
        if not strip:
            path.write_text(Path(str(path) + ".signed").read_text())
        if change:
            path.write_text(path.read_text().replace(*change))
        return (self.dir / f"{key}.ds").read_text()

    def start(self):
        conf = self.dir / "nsd.conf"
        zones = "".join(f'zone:\n  name: "{name}"\n  zonefile: "{path}"\n' for name, path in self.zones.items())
        conf.write_text(f"""server:
  ip-address: 127.0.0.1@{self.port}
  username: ""
  zonesdir: "{self.dir}"
  pidfile: "{self.dir}/nsd.pid"
  xfrdfile: "{self.dir}/xfrd.state"
  zonelistfile: "{self.dir}/zone.list"
  xfrdir: "{self.dir}"
  logfile: "{self.dir}/nsd.log"
  database: ""
  server-count: 1
remote-control:
  control-enable: no
{zones}""")
        self.process = subprocess.Popen(["/usr/sbin/nsd", "-d", "-c", str(conf)], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=end_with_us)
        wait_for("nsd to answer", self.answers)
        return self

    def answers(self):
        """A question for test SOA over UDP is answered."""
        assert self.process.poll() is None, (self.dir / "nsd.log").read_text()
        question = struct.pack("!6H", 7, 0, 1, 0, 0, 0) + b"\4test\0" + struct.pack("!2H", 6, 1)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(0.2)
            s.connect(("127.0.0.1", self.port))
            try:
                s.send(question)
                return len(s.recv(4096)) > len(question)
            except OSError:
                return False

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(30)
            self.process = None

    def config(self, more="", zones=None):
        """unbound.conf(5) text that finds these zones, and nothing beyond them."""
        stubs = "".join(f'stub-zone:\n  name: "{name}"\n  stub-addr: 127.0.0.1@{self.port}\n  stub-prime: no\n'
                        for name in (zones or self.zones))
        anchors = "".join(f'  trust-anchor: "{anchor.strip()}"\n' for anchor in self.anchors)
        anchors = anchors.replace("\t", " ")
        return (f'server:\n  do-not-query-localhost: no\n  local-zone: "test." nodefault\n'
                f'  local-zone: "127.in-addr.arpa." nodefault\n  domain-insecure: "."\n{anchors}{more}{stubs}'
                f'forward-zone:\n  name: "."\n  forward-addr: 127.0.0.1@{self.port}\n')

    def remove(self):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)


class Liar:
    """A name server that misbehaves: `mode` says how. Counts the questions that it got."""

    def __init__(self, mode):
        self.mode, self.questions, self.ended = mode, 0, False
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.port = free_ports(1)[0]
        self.udp.bind(("127.0.0.1", self.port))
        self.tcp = socket.create_server(("127.0.0.1", self.port))
        self.threads = [threading.Thread(target=target, daemon=True) for target in (self.serve_udp, self.serve_tcp)]
        for thread in self.threads:
            thread.start()

    def config(self):
        return ('server:\n  do-not-query-localhost: no\n  local-zone: "test." nodefault\n  domain-insecure: "."\n'
                f'forward-zone:\n  name: "."\n  forward-addr: 127.0.0.1@{self.port}\n')

    @staticmethod
    def answer(question, rcode=0, identifier=None, address=b"\xc0\0\2\1", flags=0x8180):
        end = 12
        while question[end]:  # labels, each with its length
            end += question[end] + 1
        end += 5
        header = struct.pack("!6H", struct.unpack("!H", question[:2])[0] if identifier is None else identifier,
                             flags | rcode, 1, 0 if rcode else 1, 0, 0)
        record = b"" if rcode else b"\xc0\x0c" + struct.pack("!2HIH", 1, 1, 300, 4) + address
        return header + question[12:end] + record

    def replies(self, question):
        good = self.answer(question)
        number = struct.unpack("!H", question[:2])[0]
        return {
            "honest": [good],
            "silent": [],
            "wrong-id": [self.answer(question, identifier=number ^ 0x5555)],
            "wrong-name": [good.replace(b"www", b"xxx", 1)],
            "garbage": [os.urandom(64), b"", b"\0", good[:7]],
            "garbage-with-id": [question[:2] + os.urandom(50)],
            "truncated": [self.answer(question, flags=0x8380)[:20] , self.answer(question, flags=0x8380)],
            "servfail": [self.answer(question, rcode=2)],
            "refused": [self.answer(question, rcode=5)],
            "nxdomain": [self.answer(question, rcode=3)],
            "notimp": [self.answer(question, rcode=4)],
            "bad-rdlength": [good[:-6] + struct.pack("!H", 60000) + good[-4:]],
            "slow": [good],
        }[self.mode]

    def serve_udp(self):
        while True:
            try:
                question, peer = self.udp.recvfrom(4096)
            except OSError:
                return
            self.questions += 1
            if self.mode == "slow":
                time.sleep(3)
            for reply in self.replies(question):
                try:
                    self.udp.sendto(reply, peer)
                except OSError:
                    return

    def serve_tcp(self):
        """After a truncated answer: a length that promises much, and then bytes one by one, far apart."""
        while True:
            try:
                connection, _ = self.tcp.accept()
            except OSError:
                return
            threading.Thread(target=self.drip, args=(connection,), daemon=True).start()

    def drip(self, connection):
        with connection:
            try:
                connection.sendall(b"\xff\xff")
                while not self.ended:
                    connection.sendall(b"\0")
                    time.sleep(0.2)
            except OSError:
                pass

    def close(self):
        self.ended = True
        self.udp.close()
        self.tcp.close()

# SPDX-License-Identifier: ISC
"""Who sends PROXY headers: headers made by hand, clients that send them first, and HAProxy."""
import os
import socket
import struct
import subprocess

from harness import DEADLINE, Smtp, end_with_us, free_ports, wait_for

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
# Who the hand-made headers say that the client is, and where it connected (RFC 5737, RFC 3849).
CLIENT, CLIENT_PORT = "198.51.100.7", 4711
TARGET, TARGET_PORT = "203.0.113.9", 25


def line(client=CLIENT, target=TARGET, port=CLIENT_PORT, target_port=TARGET_PORT):
    """Version 1."""
    family = "TCP6" if ":" in client else "TCP4"
    return f"PROXY {family} {client} {target} {port} {target_port}\r\n".encode()


def packed(client=CLIENT, target=TARGET, port=CLIENT_PORT, target_port=TARGET_PORT):
    family = socket.AF_INET6 if ":" in client else socket.AF_INET
    return socket.inet_pton(family, client) + socket.inet_pton(family, target) + struct.pack("!HH", port, target_port)


def binary(addresses=None, fields=b"", command=0x21, transport=None):
    """Version 2."""
    addresses = packed() if addresses is None else addresses
    transport = transport if transport is not None else 0x11 if len(addresses) == 12 else 0x21
    return SIGNATURE + bytes([command, transport]) + struct.pack("!H", len(addresses) + len(fields)) + addresses + fields


LOCAL = binary(b"", command=0x20, transport=0)


def field(kind, value):
    return bytes([kind]) + struct.pack("!H", len(value)) + value


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def summed(fields=b"", wrong=0):
    """Version 2 with its checksum, or one with these bits wrong."""
    header = binary(fields=fields + field(3, bytes(4)))
    return header[:-4] + struct.pack("!I", crc32c(header) ^ wrong)


class Behind(Smtp):
    """A client's connection through a proxy at `source`: the header, then what the client does."""

    def __init__(self, port, header, tls=False, banner=True, source=None):
        super().__init__(port, banner=False, source=source)
        self.send(header)
        if tls:
            self.secure()
        self.banner = self.reply() if banner else None


class At(Smtp):
    """A client that connects to this address."""

    def __init__(self, host, port, tls=False, header=b""):
        self.sock = socket.create_connection((host, port), DEADLINE)
        self.data = b""
        self.send(header)
        if tls:
            self.secure()
        self.banner = self.reply()


def taken(sock):
    """Whether the server has read all that was sent: nothing is on its way or in its socket's queue."""
    def address(name):
        host, port = name[:2]
        return f"{socket.inet_aton(host)[::-1].hex().upper()}:{port:04X}"
    ours, theirs = address(sock.getsockname()), address(sock.getpeername())
    queues = {}
    with open("/proc/net/tcp", encoding="ascii") as table:
        for row in table:
            words = row.split()
            queues[words[1], words[2]] = words[4]
    return queues.get((ours, theirs), "").startswith("00000000:") and queues.get((theirs, ours), "").endswith(":00000000")


def wait_taken(client):
    wait_for("the server to read what was sent", lambda: taken(client.sock), interval=0.001)


class HAProxy:
    """HAProxy with one port for each of `ways`: {name: (options of its bind line, the server's port, options of its server line)}."""

    def __init__(self, directory, ways):
        self.dir = directory
        self.ports = dict(zip(ways, free_ports(len(ways))))
        self.conf, self.log, self.admin = directory / "haproxy.conf", directory / "haproxy.log", directory / "haproxy.sock"
        lines = ["global", f"  stats socket {self.admin} mode 600 level admin", "  maxconn 1000", "  nbthread 1",
                 "  tune.ssl.default-dh-param 2048", "defaults", "  mode tcp", "  timeout connect 60s", "  timeout client 120s",
                 "  timeout server 120s", "  retries 0"]
        for name, (bind, port, server) in ways.items():
            lines += [f"listen {name}", f"  bind 127.0.0.1:{self.ports[name]} {bind}", f"  bind [::1]:{self.ports[name]} {bind}",
                      "  unique-id-format %[uuid]", *(["  option smtpchk EHLO check.test"] if " check" in " " + server else []),
                      f"  server backend 127.0.0.1:{port} {server}"]
        self.conf.write_text("\n".join(lines) + "\n")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(["/usr/sbin/haproxy", "-db", "-f", str(self.conf)], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, preexec_fn=end_with_us, cwd="/", env={**os.environ, "LC_ALL": "C.UTF-8"})
        wait_for("HAProxy to start", self.started)

    def started(self):
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.ask("show info")
        except OSError:
            return False

    def ask(self, command):
        """A command to its administration socket."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(DEADLINE)
            s.connect(str(self.admin))
            s.sendall(command.encode() + b"\n")
            answer = b""
            while more := s.recv(65536):
                answer += more
        return answer.decode()

    def state(self, name):
        """The server's state by its checks: (status, last check), such as ("UP", "L7OK")."""
        rows = [row.split(",") for row in self.ask("show stat").splitlines()]
        names = rows[0]
        row = next(row for row in rows if row[:2] == [name, "backend"])
        values = dict(zip(names, row))
        return values["status"], values["check_status"]

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(DEADLINE)

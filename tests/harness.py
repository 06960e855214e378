# SPDX-License-Identifier: ISC
"""What the whole-program tests share: a server of their own in a directory of its own, a plain SMTP client that lets a test send
any bytes at all, and a reader of Maildirs.

Every wait is for an event (a log line, a file, a reply, the end of a process) with a deadline, never for a time. A test ends
only processes that it started, by their numbers. As root the roles run as users of their own, as anybody else under one user:
the tests run both ways and each shows what that user can show.
"""
import ctypes
import os
import random
import re
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import spool_log

TREE = Path(__file__).resolve().parent.parent
POSTERN = os.environ.get("POSTERN", str(TREE / "build-check" / "postern"))
ROOT = os.geteuid() == 0
DEADLINE = float(os.environ.get("TEST_DEADLINE", "60"))
HEAVY = bool(os.environ.get("HEAVY"))
DOMAIN = "example.test"
USERS = ("user", "alice", "bob", "carol")
# A role in a sandbox can open no file: reports go to stderr, and addresses are not turned into names. Freed memory is held back
# a little only, so that the tests of memory see the program's.
SANITIZER = {"ASAN_OPTIONS": "exitcode=99:symbolize=0:allocator_may_return_null=1:quarantine_size_mb=4",
             "UBSAN_OPTIONS": "halt_on_error=1:exitcode=99:print_stacktrace=1:symbolize=0"}
REPORT = re.compile(r"(AddressSanitizer|LeakSanitizer|UndefinedBehaviorSanitizer|ThreadSanitizer|runtime error:)")


def end_with_us():
    """For Popen: the kernel ends the process when the tests themselves are killed (PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def wait_for(what, probe, deadline=None, interval=0.02):
    """The first true value of probe(); fails, naming what was waited for, when the deadline passes."""
    end = time.monotonic() + (deadline or DEADLINE)
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {deadline or DEADLINE:.0f} s in vain for {what}")
        time.sleep(interval)


# Ports of tests: below those that the kernel gives outgoing connections, in blocks, of which each belongs to one process of tests.
PORTS, BLOCK = range(10000, 32000), 200
_claims, _ports = [], []


def claim_ports():
    """A block for this process. Whoever binds the name has the block, until its end, so other tests of this machine never take its ports."""
    blocks = [PORTS[at:at + BLOCK] for at in range(0, len(PORTS), BLOCK)]
    for block in random.sample(blocks, len(blocks)):
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            claim.bind(f"\0postern-tests-ports-{block.start}")
        except OSError:
            claim.close()
            continue
        _claims.append(claim)
        return list(block)
    raise AssertionError("all ports for tests are claimed by other processes")


def is_free(port):
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
            return True
        except OSError:
            return False


def free_ports(count):
    """Ports that nobody listens on, and nobody will but who is given them here: the same one comes again only after many others."""
    ports = []
    while len(ports) < count:
        at = next((n for n, port in enumerate(_ports) if port not in ports and is_free(port)), None)
        if at is None:
            _ports[:0] = claim_ports()
            continue
        ports.append(_ports.pop(at))
        _ports.append(ports[-1])
    return ports


def make_certificate(directory, kind="ecdsa"):
    """A self-signed certificate for localhost and mx.example.test: paths of certificate and key."""
    cert, key = Path(directory) / f"{kind}.cert.pem", Path(directory) / f"{kind}.key.pem"
    if not cert.exists():
        how = {"ecdsa": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "rsa": ["rsa:2048"], "ed25519": ["ed25519"]}[kind]
        subprocess.run(["openssl", "req", "-x509", "-nodes", "-days", "30", "-subj", "/CN=mx.example.test", "-newkey", *how,
                        "-addext", "subjectAltName=DNS:localhost,DNS:mx.example.test,IP:127.0.0.1",
                        "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
        key.chmod(0o600)
    return str(cert), str(key)


_serial = 0


def make_message(subject="test", size=0, body=None, sender="sender@client.test", to="user@example.test"):
    """A message with CRLF line ends, and a Message-ID of its own, of at least that size."""
    global _serial
    _serial += 1
    head = (f"From: <{sender}>\r\nTo: <{to}>\r\nSubject: {subject}\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\n"
            f"Message-ID: <{os.getpid()}.{_serial}.{time.time_ns()}@client.test>\r\n\r\n").encode()
    if body is None:
        body = b"The body.\r\n"
    lines, missing = [], size - len(head) - len(body)
    while missing > 0:
        lines.append(b"line %d of what fills this message up to the size that was asked for\r\n" % len(lines))
        missing -= len(lines[-1])
    return head + body + b"".join(lines)


def nasty_body():
    """What transports like to damage: dots at line starts, long lines, 8-bit bytes, trailing blanks, From, empty lines."""
    every = bytes(b for b in range(1, 256) if b not in (10, 13))
    return b"\r\n".join([b".", b"..", b"...dots", b". ", b"", b"From the start", b">From", b"trailing \t ", b"\ttab", every,
                         b"x" * 998, "gr\u00fc\u00dfe \u2713".encode(), b"", b"", b"-- ", b".end", b""])


def dot_stuff(message):
    """As it goes over the wire after DATA, with its end (RFC 5321 §4.5.2)."""
    return re.sub(rb"(?m)^\.", b"..", message) + (b"" if message.endswith(b"\r\n") or not message else b"\r\n") + b".\r\n"


TRACE = re.compile(rb"(?:(?:Return-path|Envelope-to|Delivery-date|Received):[^\n]*\n(?:[ \t][^\n]*\n)*)+", re.I)


def below_trace(stored):
    """A stored message without the header lines that the server put before it."""
    found = TRACE.match(stored)
    assert found, f"no trace headers: {stored[:200]!r}"
    return stored[found.end():]


def trace_of(stored):
    return TRACE.match(stored).group().decode()


class Closed(Exception):
    """The server ended the connection where a reply was awaited."""


class Smtp:
    """One connection, any bytes. Replies are (code, [texts])."""

    def __init__(self, port, tls=False, context=None, banner=True, source=None, timeout=None):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout or DEADLINE,
                                             source_address=(source, 0) if source else None)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.data = b""
        if tls:
            self.secure(context)
        self.banner = self.reply() if banner else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def secure(self, context=None):
        self.sock = (context or trusting()).wrap_socket(self.sock, server_hostname="localhost")
        self.data = b""

    def send(self, data):
        self.sock.sendall(data if isinstance(data, bytes) else data.encode())

    def line(self):
        while b"\n" not in self.data:
            try:
                more = self.sock.recv(65536)
            except (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
                more = b""
            if not more:
                raise Closed(self.data)
            self.data += more
        line, self.data = self.data.split(b"\n", 1)
        assert line.endswith(b"\r"), f"a reply line not ended by CRLF: {line!r}"
        return line[:-1].decode(errors="surrogateescape")

    def reply(self):
        texts = []
        while True:
            line = self.line()
            assert re.match(r"[2-5][0-9][0-9]([ -]|$)", line), f"not a reply line: {line!r}"
            texts.append(line[4:])
            if line[3:4] != "-":
                return int(line[:3]), texts

    def cmd(self, text):
        self.send(text + "\r\n")
        return self.reply()

    def expect(self, code, text=None):
        """Sends a command if one is given; the reply must have that code. Gives the reply's text."""
        if text is not None:
            self.send(text + "\r\n")
        got, texts = self.reply()
        assert got == code, f"{text!r}: expected {code}, got {got} {texts}"
        return "\n".join(texts)

    def ehlo(self):
        return self.expect(250, "EHLO client.test")

    def starttls(self, context=None):
        self.expect(220, "STARTTLS")
        self.secure(context)
        return self.ehlo()

    def envelope(self, *recipients, sender="sender@client.test", options=""):
        self.expect(250, f"MAIL FROM:<{sender}>{options}")
        for recipient in recipients or ("user@example.test",):
            self.expect(250, f"RCPT TO:<{recipient}>")

    def data_of(self, message):
        """DATA and the message as it is (dot-stuffed): the reply to it."""
        self.expect(354, "DATA")
        self.send(dot_stuff(message))
        return self.reply()

    def deliver(self, message, *recipients, **named):
        self.envelope(*recipients, **named)
        code, texts = self.data_of(message)
        assert code == 250, (code, texts)
        return texts

    def rest(self):
        """Everything the server still sends until it closes."""
        while True:
            try:
                more = self.sock.recv(65536)
            except (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
                more = b""
            if not more:
                data, self.data = self.data, b""
                return data
            self.data += more

    def ends(self):
        """The connection is closed by the server, with nothing more said."""
        rest = self.rest()
        assert rest == b"", f"after the expected end: {rest!r}"


def trusting(minimum=None, maximum=None):
    """A client that takes any certificate; tests of certificates verify theirs."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if minimum:
        context.minimum_version = minimum
    if maximum:
        context.maximum_version = maximum
    return context


class Maildir:
    def __init__(self, path):
        self.path = Path(path)

    def files(self):
        return sorted(self.path.glob("new/*"))

    def read(self):
        return [file.read_bytes() for file in self.files()]

    def messages(self):
        """The messages as they were sent: trace headers off, line ends CRLF (a Maildir has LF)."""
        return [below_trace(text).replace(b"\n", b"\r\n") for text in self.read()]

    def wait(self, count=1):
        wait_for(f"{count} message(s) in {self.path}", lambda: len(self.files()) >= count)
        return self.messages()

    def holds(self, message):
        """Waits until this very message is there."""
        wait_for(f"the message in {self.path}", lambda: message in self.messages())


class Server:
    """A server of its own: directory, ports, configuration, process. `main` changes main options (None takes one out)."""

    def __init__(self, certificates, main=None, routers=None, transports=None, kind="ecdsa", extra=""):
        self.dir = Path(tempfile.mkdtemp(prefix="postern-test-"))
        self.dir.chmod(0o755)
        self.smtp, self.tls, self.submission = free_ports(3)
        self.cert, self.key = make_certificate(certificates, kind)
        self.conf, self.spool, self.mail = self.dir / "postern.conf", self.dir / "spool", self.dir / "mail"
        self.log, self.stderr = self.dir / "log" / "mainlog", self.dir / "stderr"
        for directory in (self.mail, self.log.parent):
            directory.mkdir()
        if ROOT:
            shutil.chown(self.mail, "nobody", "nogroup")
        (self.dir / "users").write_text("".join(user + "\n" for user in USERS))
        self.main, self.routers, self.transports, self.extra = {}, routers, transports, extra
        self.process, self.started_at = None, 0
        self.configure(main)

    def configure(self, main=None):
        """Writes the configuration again, with these main options changed."""
        self.main.update(main or {})
        options = {
            "primary_hostname": "mx.example.test",
            "spool_directory": self.spool,
            "log_file_path": f"{self.log.parent}/%slog",
            "local_interfaces": "127.0.0.1",
            "daemon_smtp_ports": f"{self.smtp} : {self.tls} : {self.submission}",
            "tls_on_connect_ports": self.tls,
            "tls_certificate": self.cert,
            "tls_privatekey": self.key,
            "smtp_accept_max_per_host": 0,
            "front_processes": 2,  # more than one on any machine: what they share is to be tested
        }
        options.update(self.main)
        lines = [f"{name} = {value}" for name, value in options.items() if value is not None]
        user = "  user = nobody\n  group = nogroup\n" if ROOT else ""
        routers = self.routers or f"""virtual_users:
  driver = accept
  domains = +local_domains
  local_parts = {self.dir}/users
  transport = maildir
"""
        transports = self.transports or f"""maildir:
  driver = appendfile
  directory = {self.mail}/$domain_data/$local_part_data
  maildir_format
  create_directory
  return_path_add
  envelope_to_add
  delivery_date_add
{user}"""
        self.conf.write_text("\n".join(lines) + f"\ndomainlist local_domains = {DOMAIN}\n{self.extra}\n"
                             f"begin routers\n\n{routers}\nbegin transports\n\n{transports}")

    def start(self, *arguments, ready=True, before=end_with_us, wrapper=()):
        """`before` is called in the new process; `wrapper` is a command that becomes the server, whose command follows."""
        self.started_at = self.log.stat().st_size if self.log.exists() else 0
        with open(self.stderr, "ab") as stderr:
            self.process = subprocess.Popen([*wrapper, POSTERN, "run", "-c", str(self.conf), *arguments], stdin=subprocess.DEVNULL,
                                            stdout=stderr, stderr=stderr, env={**os.environ, **SANITIZER}, cwd="/",
                                            preexec_fn=before)
        if ready:
            self.wait_ready()
        return self

    def wait_ready(self):
        def probe():
            assert self.process.poll() is None, f"the server ended with status {self.process.returncode}: {self.complaints()}"
            return re.search(r"Postern \S+ daemon started", self.log_text(self.started_at))
        wait_for("the server to start", probe)

    def stop(self, status=0):
        """SIGTERM, and the end with the status that is expected; no sanitizer may have reported."""
        if self.process is None:
            return
        roles = self.role_pids()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(DEADLINE)
        finally:
            self.kill()
        assert code == status, f"the server ended with status {code} after SIGTERM: {self.complaints()}"
        wait_for("the roles to end", lambda: not [pid for pid in roles if alive(pid)])
        self.check_reports()

    def kill(self):
        """Ends what is left, by number; used when a test has failed, and as the end of a test that has ended the server."""
        if self.process is None:
            return
        roles = self.role_pids()
        for pid in [self.process.pid, *roles]:
            try:
                if pid != self.process.pid or self.process.poll() is None:
                    os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        self.process = None

    def reload(self):
        """SIGHUP, and the line that says what came of it."""
        start = self.mark()
        self.process.send_signal(signal.SIGHUP)
        return self.wait_log(r"configuration reloaded from |reload refused: ", start)

    def check_reports(self):
        for text in (self.complaints(), self.log_text()):
            assert not REPORT.search(text), f"a sanitizer reported:\n{text[-6000:]}"
            assert "its sandbox forbids" not in text, f"a role hit its walls:\n{text[-6000:]}"

    def complaints(self):
        return self.stderr.read_text(errors="replace") if self.stderr.exists() else ""

    def log_text(self, start=0):
        try:
            with open(self.log, "rb") as log:
                log.seek(start)
                return log.read().decode(errors="surrogateescape")
        except FileNotFoundError:
            return ""

    def mark(self):
        """Where the log ends now: waits that start here see only what comes after."""
        return self.log.stat().st_size if self.log.exists() else 0

    def wait_log(self, pattern, start=0, count=1):
        """The match of a line of the main log (the count-th)."""
        regex = re.compile(pattern, re.M)
        found = wait_for(f"/{pattern}/ in the log of {self.dir}",
                         lambda: (lambda m: m if len(m) >= count else None)(list(regex.finditer(self.log_text(start)))))
        return found[count - 1]

    def maildir(self, user="user"):
        return Maildir(self.mail / DOMAIN / user)

    def connect(self, **named):
        return Smtp(self.smtp, **named)

    def send(self, message, *recipients, tls=True):
        """One message over a connection of its own."""
        with self.connect() as client:
            client.ehlo()
            if tls:
                client.starttls()
            client.deliver(message, *recipients)
            client.cmd("QUIT")

    def roles(self):
        """{name: pid} of the roles that the master runs: "front 0", "queue", ..."""
        found = {}
        for pid in children(self.process.pid):
            title = command_line(pid)
            if title.startswith("postern: "):
                found[title[len("postern: "):].split("\0")[0].strip()] = pid
        return found

    def role_pids(self):
        return list(self.roles().values()) if self.process else []

    def fronts(self):
        """The numbers of the front processes."""
        return [pid for name, pid in self.roles().items() if name.startswith("front")]

    def fronts_kb(self):
        """Their resident memory together."""
        return sum(int(proc_status(pid)["VmRSS"].split()[0]) for pid in self.fronts())

    def fronts_files(self):
        """How many files they have open; only root may look, others see none."""
        return sum(len(descriptors(pid)) for pid in self.fronts()) if ROOT else 0

    def role(self, prefix):
        """The number of one role by the start of its name; waits until it runs."""
        return wait_for(f"a role {prefix}", lambda: next((pid for name, pid in self.roles().items()
                                                         if name.startswith(prefix)), None))

    def queued(self):
        """The identifiers of the messages in the spool: in its log, or in files."""
        name = r"[0-9A-Za-z]{6}-[0-9A-Za-z]{6}-[0-9A-Za-z]{2}"
        files = {file.name for file in self.spool.glob("input/*/*") if re.fullmatch(name, file.name)}
        return sorted(files | set(spool_log.live(self.spool)))

    def spool_file(self, name):
        """The file of a message that stays."""
        return wait_for(f"a file of {name}", lambda: next(self.spool.glob(f"input/*/{name}"), None))

    def wait_empty(self):
        wait_for("an empty spool", lambda: not self.queued())

    def remove(self):
        self.kill()
        shutil.rmtree(self.dir, ignore_errors=True)


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def children(pid):
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(child) for child in task.read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


def command_line(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def proc_status(pid):
    """/proc/PID/status as a dictionary."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def memory_holds(pid, needles):
    """Whether the process's readable memory holds one of these byte strings."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            span, rights = line.split()[:2]
            if rights[0] != "r" or line.rstrip().endswith(("[vvar]", "[vsyscall]")):
                continue
            begin, end = (int(part, 16) for part in span.split("-"))
            if end - begin > 1 << 30:
                continue  # a sanitizer's shadow: terabytes that hold no data
            while begin < end:
                try:
                    memory.seek(begin)
                    block = memory.read(min(end - begin, 1 << 24))
                except (OSError, ValueError, OverflowError):
                    break
                if not block or any(needle in block for needle in needles):
                    if block:
                        return True
                    break
                begin += len(block) if end - begin <= len(block) else len(block) - 512
    return False


def descriptors(pid):
    """{fd: what it is} of a process."""
    found = {}
    for entry in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[int(entry)] = os.readlink(f"/proc/{pid}/fd/{entry}")
        except FileNotFoundError:
            pass
    return found


def replace_file(path, data):
    """As it is to be done while others read it: by renaming."""
    path.with_suffix(".tmp").write_bytes(data)
    path.with_suffix(".tmp").rename(path)


class Listener:
    """A server of the tests' own on 127.0.0.1: subclasses answer(connection), one connection after the other."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                self.answer(connection)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)  # ends the accept() that waits
        self.listener.close()


def raise_file_limit(count):
    """So many files may be open in the tests' process, and in servers that they start from now on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard >= count or hard == resource.RLIM_INFINITY, f"this test needs {count} open files"
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))

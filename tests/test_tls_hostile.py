# SPDX-License-Identifier: ISC
"""TLS clients that mean no good, or know no better: handshakes that stop half-way by the thousand, in crumbs, too long, cut, damaged;
renegotiation and key updates; protocols that are not ours. No crash, no leak, one line in the log for each, and others are served."""
import random
import re
import socket
import ssl
import subprocess
import threading
import time

import pytest

from harness import DEADLINE, ROOT, Closed, Smtp, Server, make_message, raise_file_limit, trusting, wait_for
from tls_peers import named_certificate, s_client

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
HALF_OPEN = 3000


# ---- Clients ----

def client_hello(name="localhost", version=None, alpn=()):
    """The bytes of a ClientHello as OpenSSL makes it: one record."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = trusting(version, version)
    if alpn:
        context.set_alpn_protocols(alpn)
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


def padded(hello, size):
    """The same with so many bytes more in an extension that nobody knows (RFC 8701), in as many records as it takes."""
    message = bytearray(hello[5:])
    at = 4 + 2 + 32
    at += 1 + message[at]                                         # session
    at += 2 + int.from_bytes(message[at:at + 2], "big")           # ciphers
    at += 1 + message[at]                                         # compression
    message += b"\xfa\xfa" + size.to_bytes(2, "big") + bytes(size)
    message[at:at + 2] = (len(message) - at - 2).to_bytes(2, "big")
    message[1:4] = (len(message) - 4).to_bytes(3, "big")
    return records(bytes(message), 16384)


def records(message, size):
    """A handshake message cut into records of that size (RFC 8446 §5.1)."""
    return b"".join(b"\x16\x03\x01" + len(part).to_bytes(2, "big") + part
                    for part in (message[at:at + size] for at in range(0, len(message), size)))


class Crumbs:
    """A client whose handshake leaves in writes of `step` bytes; `cut` changes what leaves first, the ClientHello."""

    def __init__(self, sock, context, step=None, cut=None):
        self.sock, self.step, self.incoming, self.outgoing = sock, step, ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            try:
                self.tls.do_handshake()
                self.flush(cut)
                break
            except ssl.SSLWantReadError:
                self.flush(cut)
                cut = None
                self.take()

    def flush(self, cut=None):
        data = self.outgoing.read()
        data = cut(data) if cut else data
        step = self.step or len(data) or 1
        for at in range(0, len(data), step):
            self.sock.sendall(data[at:at + step])

    def take(self):
        more = self.sock.recv(65536)
        if not more:
            raise Closed(b"")
        self.incoming.write(more)

    def say(self, text):
        """One command, and what comes back."""
        self.tls.write(text.encode() + b"\r\n")
        self.flush()
        return self.read()

    def read(self):
        while True:
            try:
                return self.tls.read(65536).decode()
            except ssl.SSLWantReadError:
                self.take()


def open_socket(one, starttls, greeted=True):
    """A connection on which TLS is to begin now."""
    if not starttls:
        return socket.create_connection(("127.0.0.1", one.tls), DEADLINE)
    client = Smtp(one.smtp)
    if greeted:
        client.ehlo()
        client.expect(220, "STARTTLS")
    return client.sock


def until_closed(sock):
    """All that the server still sends; its end by a reset counts as one."""
    data = b""
    try:
        while more := sock.recv(65536):
            data += more
    except ConnectionError:
        pass
    return data


def serves(one):
    with one.connect() as client:
        client.ehlo()
        client.starttls()
        client.expect(250, "NOOP")


TLS_ERROR = r"^.* TLS error on connection from .*\[127\.0\.0\.1\].*$"


def errors(one, mark):
    return re.findall(TLS_ERROR, one.log_text(mark), re.M)


# ---- Half-open handshakes ----

def half_open(one, stage, hello):
    """One connection that stops there. Each has got the server's answer to what it sent, where there is one: it is where it says."""
    sock = open_socket(one, not stage.startswith("implicit"), greeted=stage not in ("silent", "greeted"))
    if stage == "greeted":
        sock.sendall(b"EHLO client.test\r\n")
        sock.recv(4096)
    elif stage.endswith("half of the hello"):
        sock.sendall(hello[:len(hello) // 2])
    elif stage.endswith("server hello"):
        sock.sendall(hello)
        assert sock.recv(65536)[0] == 22, "no handshake record"
    return sock


STAGES = ("silent", "greeted", "asked", "half of the hello", "server hello", "implicit", "implicit half of the hello",
          "implicit server hello")
# Where a handshake has begun its failure is told; a client that goes before is not (or by log_selector, for those that have spoken).
TOLD = [stage for stage in STAGES if stage not in ("silent", "greeted")]


def held(one):
    """Connections that the server has open, as the kernel sees it, closed by their client or not."""
    ports = {one.smtp, one.tls}
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in list(table)[1:]]
    return sum(int(row[1].split(":")[1], 16) in ports and row[3] in ("01", "08") for row in rows)


def test_thousands_of_half_open_handshakes_keep_nobody_waiting_and_leave_nothing(server):
    raise_file_limit(HALF_OPEN + 500)
    one = server(main={"smtp_accept_max": HALF_OPEN + 50, "smtp_connect_backlog": 1000})
    hello, sent = client_hello(), []

    def others(count):
        begun = time.monotonic()
        for _ in range(count):
            message = make_message("beside")
            one.send(message)
            sent.append(message)
        return time.monotonic() - begun
    alone = others(10)
    files, memory = one.fronts_files(), []
    # Twice: the second time shows that the first was counted back, and what memory it cost is used again.
    for _ in range(2):
        mark, pids = one.mark(), one.fronts()
        stuck = [half_open(one, STAGES[number % len(STAGES)], hello) for number in range(HALF_OPEN)]
        assert held(one) >= HALF_OPEN
        assert not ROOT or one.fronts_files() >= HALF_OPEN
        # Generous, for machines that do other work at the same time: what is to be seen is that nobody waits for a handshake to end.
        assert others(10) < 10 * alone + DEADLINE / 3
        for sock in stuck:
            sock.close()
        wait_for("the connections to be gone", lambda: held(one) == 0)
        wait_for("their descriptors", lambda: one.fronts_files() <= files + 2)
        failed = sum(STAGES[number % len(STAGES)] in TOLD for number in range(HALF_OPEN))
        one.wait_log(TLS_ERROR, mark, failed)
        assert len(errors(one, mark)) == failed
        assert one.fronts() == pids, "a front ended"
        memory.append(one.fronts_kb())
    assert memory[1] - memory[0] < 16 * 1024, f"memory of the fronts: {memory} KB"
    maildir = one.maildir()
    wait_for("the mail of the others", lambda: set(sent) <= set(maildir.messages()))
    assert len(maildir.files()) == len(sent)


def test_half_open_handshakes_end_at_their_deadline_one_line_each(server):
    each = 20
    one = server(main={"smtp_receive_timeout": "10s", "log_selector": "+lost_incoming_connection"})
    hello, mark = client_hello(), one.mark()
    stuck = [(stage, half_open(one, stage, hello)) for _ in range(each) for stage in STAGES]
    slow = open_socket(one, True)
    stop = threading.Event()

    def trickle():
        """Each byte comes long before the deadline; the handshake has one for all of them."""
        for byte in hello[:-1]:
            try:
                slow.sendall(bytes([byte]))
            except OSError:
                return
            if stop.wait(0.5):
                return
    thread = threading.Thread(target=trickle)
    thread.start()
    try:
        for stage, sock in stuck:
            rest = until_closed(sock)
            assert b"421" in rest if stage in ("silent", "greeted") else b"421" not in rest, (stage, rest)
        until_closed(slow)
    finally:
        stop.set()
        thread.join()
    wait_for("the connections to be gone", lambda: held(one) == 0)
    told = one.log_text(mark)
    assert len(re.findall(r"\(SSL_accept\): timed out", told)) == len(errors(one, mark)) == each * len(TOLD) + 1
    assert len(re.findall(r"SMTP command timeout on connection from", told)) == each * 2
    # What had come is told where the ClientHello was whole, and nothing made up where it was not.
    assert len(re.findall(r"timed out \(offered TLS1\.3 ", told)) == each * 2
    serves(one)


# ---- In crumbs ----

@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("starttls", [True, False])
def test_a_handshake_of_single_bytes_succeeds(shared, version, starttls):
    with open_socket(shared, starttls) as sock:
        client = Crumbs(sock, trusting(version, version), step=1)
        if not starttls:
            assert client.read().startswith("220")
        assert client.say("EHLO client.test").startswith("250")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("size", [1, 7, 100])
def test_a_client_hello_over_many_records_is_put_together(shared, version, size):
    """RFC 8446 §5.1: handshake messages may be spread over records."""
    with open_socket(shared, True) as sock:
        client = Crumbs(sock, trusting(version, version), cut=lambda hello: records(hello[5:], size))
        assert client.say("EHLO client.test").startswith("250")


@pytest.fixture(scope="module")
def by_name(certificates):
    """A server whose certificates are chosen by the name in the ClientHello, which is kept until that is known."""
    one = Server(certificates)
    directory = one.dir / "certs"
    directory.mkdir()
    named_certificate(directory, "default", both=True)
    one.configure({"tls_certificate": f"{directory}/", "tls_privatekey": None})
    one.start()
    yield one
    one.stop()
    one.remove()


@pytest.mark.parametrize("size", [1, 100])
def test_the_name_is_found_in_a_client_hello_over_many_records(by_name, size):
    with open_socket(by_name, True) as sock:
        client = Crumbs(sock, trusting(), step=11, cut=lambda hello: records(hello[5:], size))
        assert b"default" in client.tls.getpeercert(True)
        assert client.say("EHLO client.test").startswith("250")


def test_a_large_client_hello_is_read_and_one_beyond_the_bound_is_refused_and_told(by_name):
    hello = client_hello()
    for size in (100, 16000, 40000):
        with open_socket(by_name, True) as sock:
            sock.sendall(padded(hello, size))
            assert sock.recv(65536)[:2] == b"\x16\x03", size
    mark = by_name.mark()
    with open_socket(by_name, True) as sock:
        sock.sendall(padded(hello, 60000))
        assert b"\x16\x03" != until_closed(sock)[:2]
    by_name.wait_log(r"\(SSL_accept\): the ClientHello is too long$", mark)
    assert len(errors(by_name, mark)) >= 1
    serves(by_name)


def test_an_oversize_client_hello_is_refused_where_no_name_is_waited_for(shared):
    """RFC 8446 §4: 2^24 bytes may be announced; OpenSSL takes 131,396 of a ClientHello."""
    mark = shared.mark()
    with open_socket(shared, True) as sock:
        try:
            sock.sendall(records(b"\x01\x02\x01\x60" + b"\x03\x03" + b"x" * 131414, 16384))
        except ConnectionError:
            pass
        until_closed(sock)
    shared.wait_log(r"\(SSL_accept\): excessive message size$", mark)
    serves(shared)


# ---- Cut and damaged ----

def test_a_client_hello_cut_anywhere_is_one_line_in_the_log(by_name):
    hello, mark = client_hello(), by_name.mark()
    for length in range(1, len(hello), 7):
        with open_socket(by_name, True) as sock:
            sock.sendall(hello[:length])
            sock.shutdown(socket.SHUT_WR)
            until_closed(sock)
    count = len(range(1, len(hello), 7))
    by_name.wait_log(TLS_ERROR, mark, count)
    assert len(errors(by_name, mark)) == count
    assert len(re.findall("the client closed the connection", by_name.log_text(mark))) == count
    serves(by_name)


@pytest.mark.parametrize("which", ["shared", "by_name"])
def test_damaged_client_hellos_end_their_connection_and_no_front(request, which):
    one = request.getfixturevalue(which)
    dice, pids, mark = random.Random(8446), one.fronts(), one.mark()
    hellos = [client_hello(version=version, alpn=alpn) for version in VERSIONS for alpn in ((), ("smtp",))]
    for number in range(300):
        hello = bytearray(dice.choice(hellos))
        for _ in range(dice.randint(1, 8)):
            hello[dice.randrange(len(hello))] = dice.randrange(256)
        with open_socket(one, number % 2 == 0) as sock:
            sock.sendall(hello)
            sock.shutdown(socket.SHUT_WR)
            until_closed(sock)
    # None of them can have got to the end of its handshake.
    one.wait_log(TLS_ERROR, mark, 300)
    assert len(errors(one, mark)) == 300
    assert one.fronts() == pids
    serves(one)


@pytest.mark.parametrize("version", VERSIONS)
def test_damaged_records_after_the_handshake_end_the_session_and_the_log_says_why(shared, version):
    mark = shared.mark()
    with open_socket(shared, True) as sock:
        client = Crumbs(sock, trusting(version, version))
        assert client.say("EHLO client.test").startswith("250")
        client.tls.write(b"MAIL FROM:<a@client.test>\r\n")
        record = bytearray(client.outgoing.read())
        record[-1] ^= 1
        sock.sendall(record)
        assert b"250" not in until_closed(sock)
    shared.wait_log(r"TLS error on connection from \(client\.test\) \[127\.0\.0\.1\] while reading SMTP command: decryption failed", mark)
    assert len(errors(shared, mark)) == 1
    serves(shared)


# ---- Handshakes within a connection ----

class Interactive:
    """openssl s_client, whose commands (R, K) are letters at the start of what it reads at once."""

    def __init__(self, one, *options):
        self.process = subprocess.Popen(["openssl", "s_client", "-connect", f"127.0.0.1:{one.tls}", "-crlf", *options],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.text, self.changed = b"", threading.Condition()
        self.reader = threading.Thread(target=self.read)
        self.reader.start()
        self.wait(rb"\n220 ")

    def read(self):
        while more := self.process.stdout.read1(65536):
            with self.changed:
                self.text += more
                self.changed.notify_all()

    def say(self, text, wanted):
        """Sends it, and waits until that appears after it."""
        start = len(self.text)
        self.process.stdin.write(text)
        self.process.stdin.flush()
        self.wait(wanted, start)

    def wait(self, wanted, start=0):
        with self.changed:
            found = self.changed.wait_for(lambda: re.search(wanted, self.text[start:]), DEADLINE)
        assert found, (wanted, self.text[start:][-2000:])

    def end(self):
        self.process.stdin.close()
        try:
            return self.process.wait(DEADLINE)
        finally:
            self.process.kill()
            self.process.wait()
            self.reader.join()
            self.process.stdout.close()


def test_renegotiation_is_refused_and_the_session_ends_as_its_client_wants(shared):
    mark = shared.mark()
    client = Interactive(shared, "-tls1_2")
    try:
        client.say(b"EHLO client.test\n", rb"250 ")
        # RFC 5246 §7.2.2: no_renegotiation is a warning; it is for the client to go on or not, and OpenSSL does not.
        client.say(b"R\n", rb"RENEGOTIATING[\s\S]*no renegotiation")
    finally:
        client.end()
    wait_for("the connection to be gone", lambda: held(shared) == 0)
    assert len(errors(shared, mark)) <= 1
    serves(shared)


def test_keys_may_be_changed_in_a_session(shared):
    """RFC 8446 §4.6.3, K asks for ours to be changed, too. A storm of it is in tls_test."""
    client = Interactive(shared, "-tls1_3")
    try:
        client.say(b"EHLO client.test\n", rb"250 ")
        for _ in range(5):
            client.say(b"K\n", rb"KEYUPDATE")
            client.say(b"NOOP\n", rb"250 OK")
        client.say(b"quit\n", rb"221 ")  # a Q would be a command to s_client
    finally:
        client.end()


# ---- Other protocols ----

@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("starttls", [True, False])
def test_a_client_of_another_protocol_gets_the_alert_for_it_and_one_line(shared, version, starttls):
    """RFC 7301 §3.2: no_application_protocol(120)."""
    mark = shared.mark()
    with open_socket(shared, starttls) as sock:
        sock.sendall(client_hello(version=version, alpn=("h2", "http/1.1")))
        assert until_closed(sock).endswith(b"\x02\x02\x78")
    shared.wait_log(r"\(SSL_accept\): no application protocol \(offered ", mark)
    assert len(errors(shared, mark)) == 1
    assert s_client(shared.tls if not starttls else shared.smtp, "-alpn", "smtp", starttls=starttls).alpn == "smtp"

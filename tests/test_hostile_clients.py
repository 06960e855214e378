# SPDX-License-Identifier: ISC
"""Every command with every kind of argument in every state of a session, in Postern and in Debian's Exim (`exim -bdf` on loopback).

A case is one line, and what belongs behind it where the server asks for more: a chunk, a message, an answer to a challenge. What is
compared is all that is replied to it, then the reply to a RCPT, which tells the state that the case has left, and whether the
connection goes on. DIFFERENCES lists where Postern does something else on purpose, what it does, and why. Then sessions of random commands, which
show what a command leaves behind for those after it; and at the end ten thousand connections from one address.
"""
import base64
import fnmatch
import os
import pwd
import random
import re
import shutil
import socket
import ssl
import statistics
import struct
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest

import exim
from harness import (DEADLINE, ROOT, Closed, Server, Smtp, end_with_us, free_ports, make_certificate, make_message, raise_file_limit,
                     wait_for)

ACLS = """begin acl

starttls:
  defer condition = ${if eq{$sender_helo_name}{refused.test}}
    message = 454 4.7.0 TLS not available now
  accept

mail:
  deny senders = refused@client.test
    message = not this one
  accept

rcpt:
  accept domains = example.test
  deny message = relay not permitted

data:
  deny message = no messages today
"""
AUTHENTICATORS = """begin authenticators

plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${if and{{eq{$auth2}{user}}{eq{$auth3}{sesame}}}}
  server_set_id = $auth2
"""
MAIN = {
    "primary_hostname": "mx.example.test",
    "acl_smtp_starttls": "starttls",
    "acl_smtp_mail": "mail",
    "acl_smtp_rcpt": "rcpt",
    "acl_smtp_data": "data",
    "message_size_limit": "50M",
    "smtp_max_synprot_errors": "100000",
    "smtp_max_unknown_commands": "100000",
    "smtp_accept_max_nonmail": "100000",
    "smtp_accept_max_per_connection": "0",
}
GOOD = base64.b64encode(b"\0user\0sesame")

# For each command an argument that is good and one that is not. None: no such case.
COMMANDS = {
    b"HELO": (b" other.test", b" @@"),
    b"EHLO": (b" other.test", b" @@"),
    b"MAIL": (b" FROM:<a@client.test>", b" FROM:<a@client.test"),
    b"RCPT": (b" TO:<user@example.test>", b" TO:<user@example.test"),
    b"DATA": (b"", b" now"),
    b"BDAT": (b" 3", b" three"),
    b"RSET": (b"", b" now"),
    b"NOOP": (b" here", None),
    b"HELP": (b" me", None),
    b"QUIT": (b"", b" now"),
    b"STARTTLS": (b"", b" now"),
    b"VRFY": (b" user", b" <@@"),
    b"EXPN": (b" list", b" <@@"),
    b"ETRN": (b" #list", b""),
    b"AUTH": (b" PLAIN " + GOOD, b" PLAIN !!!"),
    b"XUNKNOWN": (b" it", None),
}


def inside(argument, what):
    """`what` put before the last octet of an argument, or behind a blank."""
    return argument[:-1] + what + argument[-1:] if argument else b" " + what


ARGUMENTS = {
    "none": lambda good, bad: b"",
    "good": lambda good, bad: good,
    "bad": lambda good, bad: bad,
    "blanks": lambda good, bad: b" \t" + good + b"  ",
    "refused": lambda good, bad: {b" FROM:<a@client.test>": b" FROM:<refused@client.test>", b" 3": b" 3 LAST", b" PLAIN " + GOOD: b" PLAIN eA==",
                                  b" TO:<user@example.test>": b" TO:<user@elsewhere.test>"}.get(good),
    "8-bit": lambda good, bad: inside(good, b"\xe9\xff\x80"),
    "control": lambda good, bad: inside(good, b"\x01\x1b[2J\x7f"),
    "long": lambda good, bad: inside(good, b"x" * 1500),
    "over-long": lambda good, bad: inside(good, b"x" * 20000),
    "NUL": lambda good, bad: inside(good, b"\0"),
    "bare CR": lambda good, bad: inside(good, b"\r"),
    "bare LF": lambda good, bad: inside(good, b"\n"),
    "pipelined": lambda good, bad: good + b"\r\nNOOP",
}

# How a connection is brought to its ground, and from there to the state, to which it can be brought again after RSET.
STATES = {
    "connected": ("clear", [], []),
    "HELO": ("clear", ["HELO client.test"], []),
    "EHLO": ("clear", ["EHLO client.test"], []),
    "TLS": ("tls", ["EHLO client.test"], []),
    "authenticated": ("clear", ["EHLO client.test", "AUTH PLAIN " + GOOD.decode()], []),
    "MAIL": ("clear", ["EHLO client.test"], ["MAIL FROM:<sender@client.test>"]),
    "refused MAIL": ("clear", ["EHLO client.test"], ["MAIL FROM:<refused@client.test>"]),
    "RCPT": ("clear", ["EHLO client.test"], ["MAIL FROM:<sender@client.test>", "RCPT TO:<user@example.test>"]),
    "RCPT in TLS": ("tls", ["EHLO client.test"], ["MAIL FROM:<sender@client.test>", "RCPT TO:<user@example.test>"]),
    "chunks": ("clear", ["EHLO client.test"], ["MAIL FROM:<sender@client.test>", "RCPT TO:<user@example.test>", "BDAT 4\r\nA: b"]),
    "refused STARTTLS": ("clear", ["EHLO refused.test"], ["STARTTLS"]),
}


def cases():
    for state in STATES:
        for command, (good, bad) in COMMANDS.items():
            seen = set()
            for kind, make in ARGUMENTS.items():
                argument = make(good, bad)
                if argument is not None and argument not in seen:
                    seen.add(argument)
                    yield state, command, kind, command + argument


class Talker:
    """One client of a server, which connects anew when a case has left nothing to go on with. `dies`: the server may do so between cases."""

    def __init__(self, port, dies):
        self.port, self.client, self.at, self.dies = port, None, None, dies

    def close(self):
        if self.client:
            self.client.close()
        self.client = self.at = None

    def enter(self, state):
        security, ground, steps = STATES[state]
        if self.client is None or self.at != (security, ground):
            self.close()
            self.client = Smtp(self.port)
            if security == "tls":
                self.client.ehlo()
                self.client.expect(220, "STARTTLS")
                self.client.secure()
            for line in ground:
                code, texts = self.client.cmd(line)
                assert code // 100 == 2, (state, line, code, texts)
            self.at = (security, ground)
        for line in steps:
            code, texts = self.client.cmd(line) if not line.startswith("BDAT") else (self.client.send(line), self.client.reply())[1]
            wanted = 454 if line == "STARTTLS" else 550 if "refused@" in line else 250
            assert code == wanted, (state, line, code, texts)

    def ask(self, data):
        self.client.send(data)
        return self.client.reply()

    def more(self, line, reply):
        """What belongs behind a command that the server has taken."""
        code, _ = reply
        if code == 354:
            return b"A: b\r\n\r\n.\r\n"
        if code == 334:
            return b"*\r\n"
        return None

    def walk(self, lines):
        """All replies to these lines in a connection of their own, a list for each line."""
        said = []
        with Smtp(self.port) as client:
            self.client = client
            for line in lines:
                said.append([self.ask(line + b"\r\n")])
                while (more := self.more(line, said[-1][-1])) is not None:
                    said[-1].append(self.ask(more))
        self.client = None
        return said

    def run(self, state, line):
        """Everything that is replied, as lines; "closed" at the end where the connection has ended."""
        try:
            self.enter(state)
        except (Closed, ConnectionError, ssl.SSLError):
            assert self.dies and self.client, f"the connection ended before {line!r} in {state}"
            self.close()
            self.enter(state)
        said, first = [], None
        command, crlf, next_one = line.partition(b"\r\n")
        chunk = b"abc" if re.fullmatch(rb"BDAT[ \t\r]+3[ \t]*(LAST)?[ \t]*", command) else b""
        try:
            first = reply = self.ask(command + b"\r\n" + chunk + next_one + crlf)
            said.append(reply)
            if crlf and first[0] not in (220, 354):
                said.append(self.client.reply())
            while (more := self.more(line, reply)) is not None:
                reply = self.ask(more)
                said.append(reply)
            if first[0] == 220:
                self.close()  # what follows is a handshake
                return said
            self.client.send(b"RCPT TO:<alice@example.test>\r\n")
            said.append(self.client.reply())
            self.client.send(b"RSET\r\n")
            while (reply := self.client.reply()) != (250, ["Reset OK"]):
                said.append(reply)
        except (Closed, ConnectionError, ssl.SSLError):
            said.append("closed")
            self.close()
        if line[:4] in (b"HELO", b"EHLO", b"AUTH"):
            self.close()  # the ground may be another one now
        return said


def general(reply):
    """A reply without what is a program's own: its name, and what EHLO offers."""
    if isinstance(reply, str):
        return reply
    code, texts = reply
    if len(texts) > 1 and " Hello " in texts[0]:
        texts = texts[:1]
    return f"{code} " + "\\n".join(texts)


# BDAT: Exim dies of it; STARTTLS and QUIT lead out of a session; the others are in DIFFERENCES for every state.
NO_STEPS = (b"BDAT", b"STARTTLS", b"QUIT", b"VRFY", b"HELP")
WALKS, STEPS = 300, 12


def walks():
    """Sessions of random steps, the same each time."""
    chance = random.Random(5321)
    steps = [(kind, command + argument) for command, (good, bad) in COMMANDS.items() if command not in NO_STEPS
             for kind in ("none", "good", "good", "bad", "refused", "blanks") if (argument := ARGUMENTS[kind](good, bad)) is not None]
    # Those that lead somewhere, more often than the others.
    steps += [("good", line) for line in (b"EHLO client.test", b"MAIL FROM:<sender@client.test>", b"RCPT TO:<user@example.test>", b"DATA")] * 6
    return [[line for _, line in chance.choices(steps, k=STEPS)] for _ in range(WALKS)]


def run_all(port, into, dies=False):
    talker = Talker(port, dies)
    try:
        into["walks"] = [[[general(reply) for reply in step] for step in talker.walk(lines)] for lines in walks()]
        for state, command, kind, line in cases():
            into[state, command.decode(), kind] = [general(reply) for reply in talker.run(state, line)]
    except Exception as error:
        into["error"] = error
    finally:
        talker.close()


class Exim:
    """Exim's daemon on a port of loopback, with these options of the main section and these sections."""

    def __init__(self, certificates, main, extra):
        # Below /tmp itself: pytest's own directories are closed to the user that Exim drops to.
        self.dir = Path(tempfile.mkdtemp(prefix="postern-test-exim-"))
        self.dir.chmod(0o755)
        for name in ("spool", "log"):
            (self.dir / name).mkdir()
            (self.dir / name).chmod(0o1777)
        for name, file in zip(("cert", "key"), make_certificate(certificates)):
            shutil.copy(file, self.dir / name)
            (self.dir / name).chmod(0o644)
        program, environment = exim.exim()
        self.port = free_ports(1)[0]
        user = "" if ROOT else f"exim_user = {pwd.getpwuid(os.geteuid()).pw_name}\nexim_group = {os.getegid()}\n"
        (self.dir / "conf").write_text(
            f"spool_directory = {self.dir}/spool\n{user}log_file_path = {self.dir}/log/%s\nkeep_environment =\nhost_lookup =\n"
            f"pid_file_path = {self.dir}/pid\nlocal_interfaces = 127.0.0.1\ndaemon_smtp_ports = {self.port}\n"
            f"notifier_socket =\npipelining_connect_advertise_hosts =\nrfc1413_query_timeout = 0s\n"
            f"tls_certificate = {self.dir}/cert\ntls_privatekey = {self.dir}/key\n" +
            "".join(f"{name} = {value}\n" for name, value in main.items()) + extra)
        with open(self.dir / "stderr", "wb") as stderr:
            self.process = subprocess.Popen([program, "-bdf", "-C", self.dir / "conf"], stdin=subprocess.DEVNULL, stdout=stderr,
                                            stderr=stderr, env=environment, preexec_fn=end_with_us)
        wait_for("Exim", self.answers)

    def answers(self):
        assert self.process.poll() is None, (self.dir / "stderr").read_text()
        try:
            Smtp(self.port).close()
            return True
        except ConnectionError:
            return False

    def stop(self):
        self.process.terminate()
        self.process.wait(DEADLINE)
        shutil.rmtree(self.dir)


@pytest.fixture(scope="module")
def both(certificates):
    """What both reply: to all cases, {(state, command, kind): ([Postern's], [Exim's])}, and in all walks, [(lines, Postern's, Exim's)]."""
    theirs = Exim(certificates, MAIN, ACLS + AUTHENTICATORS)
    ours = Server(certificates, main={**MAIN, "auth_cleartext_hosts": "*", "auth_fail_delay": "0s", "auth_fail_limit": "100000 / 1h",
                                      "front_processes": 1}, extra=ACLS + AUTHENTICATORS)
    mine, exims = {}, {}
    try:
        ours.start()
        threads = [threading.Thread(target=run_all, args=args) for args in ((ours.smtp, mine), (theirs.port, exims, True))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for got in (mine, exims):
            if "error" in got:
                raise got["error"]
        ours.stop()
    finally:
        theirs.stop()
        ours.remove()
    return {case: (mine[case], exims[case]) for case in mine if case != "walks"}, list(zip(walks(), mine["walks"], exims["walks"]))


@pytest.fixture(scope="module")
def said(both):
    return both[0]


# (states, commands, kinds of arguments, all that Postern replies, why): patterns, and the replies joined by " / ".
DIFFERENCES = [
    ("*", "*", "NUL", r"501 NUL characters are not allowed in SMTP commands / closed",
     "no mail client sends one: it is told with Exim's words, and the connection ends"),
    ("*", "*", "bare CR", r"501 bare CR is not allowed in SMTP commands / closed",
     "RFC 5321 2.3.8: not to be sent; Exim takes it for a blank or a part of a word, others for a line's end"),
    ("*", "*", "bare LF", r"501 bare LF is not allowed in SMTP commands / closed",
     "likewise; Exim ends the line there, and a second command is hidden in the first"),
    ("*", "*", "over-long", r"500 Line too long / .*",
     "RFC 5321 4.5.3.1.9; Exim calls the first 16 KB unrecognized, and then reads the rest as a command"),
    ("*", "[HE][EH]LO", "long", r"501 Syntactically invalid (HELO|EHLO) argument\(s\) / .*", "RFC 5321 4.5.3.1.2: a name has 255 octets at most"),
    ("*", "MAIL", "long", r"501 <a@client\.testx+: domain missing or malformed / .*", "likewise; Exim has a limit for all of an address only"),
    ("*", "RCPT", "long", r"501 <user@example\.testx+: domain missing or malformed / .*", "likewise"),
    ("*", "MAIL", "control", r"501 <a@client\.test\?\?\[2J\?>: malformed address: \?\?\[2J\?> may not follow <a@client\.test / .*",
     "RFC 5321 4.2: no control character is in a reply"),
    ("*", "RCPT", "control", r"501 <user@example\.test\?\?\[2J\?>: malformed address: \?\?\[2J\?> may not follow <user@example\.test / .*",
     "likewise"),
    ("*", "BDAT", "*", r"501 missing size for BDAT command / closed", "what follows may be a chunk, which must not be read as commands (RFC 3030 2)"),
    ("connected", "BDAT", "*", r"503 BDAT command used when CHUNKING not advertised / closed", "likewise"),
    ("HELO", "BDAT", "*", r"503 BDAT command used when CHUNKING not advertised / closed", "likewise"),
    ("connected", "HELP", "*", r"214 Commands supported:\\nHELO EHLO .* / .*", "what a client is not offered is not listed"),
    ("HELO", "HELP", "*", r"214 Commands supported:\\nHELO EHLO .* / .*", "likewise"),
    ("*TLS", "STARTTLS", "*", r"554 Already in TLS / .*", "Exim has these words too, but EHLO in TLS keeps it from saying them"),
    ("*", "VRFY", "*", r"252 Administrative prohibition / .*",
     "whom it is forbidden learns nothing, not even what is an address; and RFC 5321 3.5.1 has user names here"),
    ("*TLS", "*", "pipelined", r"554 SMTP synchronization error / closed", "the same rules in TLS, where Exim does not look"),
    ("chunks", "*", "pipelined", r"554 SMTP synchronization error / closed", "likewise between chunks"),
    ("*", "AUTH", "pipelined", r"554 SMTP synchronization error / closed", "RFC 4954 4: AUTH ends a group; Exim reads on"),
    ("chunks", "[HE][EH]LO", "*", r"(250|501) .*", "RFC 5321 4.1.4: a greeting resets in any state; Exim wants RSET"),
    ("chunks", "HELP", "*", r"214 .*", "RFC 5321 4.1.4: HELP is for any state"),
    ("chunks", "*", "*", r"501 unexpected argument data / .*", "what is no correct command is told first, as in all other states"),
    ("chunks", "*", "*", r"500 unrecognized command / .*", "likewise"),
]


def comparable(state, replies):
    """Exim 4.96 dies of SIGSEGV at RSET, and at a BDAT it does not understand, when a chunk was taken: what it said until then."""
    if state == "chunks":
        return replies[:1]
    taken = next((i for i, text in enumerate(replies) if text == "250 3 byte chunk received"), None)
    return replies if taken is None else replies[:taken + 1]


def difference(case, replies):
    """The number of what covers it, or None."""
    text = " / ".join(replies)
    for number, (*patterns, wanted, _) in enumerate(DIFFERENCES):
        if all(fnmatch.fnmatchcase(name, pattern) for name, pattern in zip(case, patterns)) and re.fullmatch(wanted, text, re.S):
            return number
    return None


def agree(case, mine, exims):
    exims = comparable(case[0], exims)
    return case[0] == "chunks" and exims == ["closed"] or mine[:len(exims)] == exims


@pytest.mark.parametrize("state", STATES)
def test_each_command_is_answered_as_exim_answers_it(said, state):
    wrong = []
    for case, (mine, exims) in said.items():
        if case[0] == state and not agree(case, mine, exims) and difference(case, mine) is None:
            wrong.append(f"{' '.join(case[1:])}:\n    Postern {[t[:150] for t in mine]}\n    Exim    {[t[:150] for t in exims]}")
    assert not wrong, "\n".join(wrong)


def test_each_difference_is_one(said):
    found = {difference(case, mine) for case, (mine, exims) in said.items() if not agree(case, mine, exims)}
    assert [row for number, row in enumerate(DIFFERENCES) if number not in found] == []


def test_sessions_of_random_commands_go_as_with_exim(both):
    """But for the reason of refused recipients that DATA repeats: Exim counts a RCPT without MAIL among them at some times, and not at others."""
    def without(step):
        return [re.sub(r"^503 All RCPT commands were rejected with this error:\\n.*\\n", "503 ", text) for text in step]
    wrong = []
    for lines, mine, exims in both[1]:
        assert len(mine) == len(exims) == STEPS
        at = next((number for number in range(STEPS) if without(mine[number]) != without(exims[number])), None)
        if at is not None:
            wrong.append(f"{lines[:at + 1]}:\n    Postern {mine[at]}\n    Exim    {exims[at]}")
    assert not wrong, "\n".join(wrong)
    replied = {reply[:3] for _, mine, _ in both[1] for step in mine for reply in step}
    assert {"235", "250", "354", "500", "501", "503", "550"} <= replied, "the walks lead too few ways"


# RFC 5321 4.2, 4.2.1: three digits, and printable text; what is echoed of a client may be more than ASCII, but no control character.
REPLY = re.compile(r"[2-5][0-5][0-9] [^\x00-\x08\x0b-\x1f\x7f]*", re.S)


def test_every_reply_keeps_to_the_syntax_and_to_one_reply_for_one_command(said):
    for case, (mine, _) in said.items():
        assert all(text == "closed" or REPLY.fullmatch(text) for text in mine), (case, mine)
        assert mine[0] != "closed" and len(mine) <= (4 if case[2] == "pipelined" else 3), (case, mine)


def test_nothing_is_accepted_from_a_line_with_octets_that_are_none_of_a_command(said):
    for case, (mine, _) in said.items():
        if case[2] in ("NUL", "bare CR", "bare LF", "over-long"):
            assert mine[0][0] == "5", (case, mine)


def test_a_refused_command_leaves_the_state_as_it_was(said):
    """The RCPT behind it is answered as behind NOOP, which changes nothing; or the connection has ended."""
    refused = {case: mine for case, (mine, _) in said.items()
               if mine[0][0] in "45" and mine[-1] != "closed" and mine[0] != "550 no messages today"}
    assert {case[0] for case in refused} == set(STATES), "each state has such commands"
    for case, mine in refused.items():
        assert mine[-1] == said[case[0], "NOOP", "none"][0][-1], (case, mine)


# ---- Ten thousand connections from one address ----

ATTACKER, CLIENT = "127.0.0.66", "127.0.0.1"
ROUND, ROUNDS, PER_HOST = 2500, 4, 40
# Seconds for a message beside the flood. On two busy cores a sanitizer's build needs 0.25 at most, and 0.1 usually: the rest is room for busier ones.
SLOWEST, USUAL = 3.0, 1.0
GARBAGE = (b"GET / HTTP/1.0\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)), b"\0" * 3000, b"\r\n" * 50,
           b"EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<u@elsewhere.test>\r\nDATA\r\n", b"A" * 40000, b"\xff\xfe\r\nQUIT", b"RSET\r\n" * 200)


def attack(port, number, held):
    """One connection of a round: every second is closed at once; the others send garbage and go, in the first half, or say nothing and stay."""
    try:
        sock = socket.create_connection(("127.0.0.1", port), DEADLINE, source_address=(ATTACKER, 0))
    except ConnectionError:
        return
    if number % 2 and number > ROUND // 2:
        held.append(sock)
        return
    if number % 2:
        try:
            sock.sendall(GARBAGE[number // 2 % len(GARBAGE)])
        except ConnectionError:
            pass
    if number % 8 < 4:  # an end by RST
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def test_ten_thousand_connections_from_one_address_leave_nothing_and_others_are_served(server):
    """As fast as they come. Those that stay beyond the limit of one host are told and closed; those within it are held until the end."""
    raise_file_limit(ROUND + 500)
    one = server(main={"smtp_accept_max_per_host": PER_HOST, "smtp_accept_max": 1000, "smtp_connect_backlog": 200})
    pids, files = one.fronts(), None
    memory, sent, stop = [], [], threading.Event()
    slowest, failures = [], []

    def serve():
        """A client of another address, one message after the other."""
        while not stop.is_set():
            message, begun = make_message("beside the flood"), time.monotonic()
            try:
                with one.connect(source=CLIENT) as client:
                    client.ehlo()
                    client.deliver(message)
                    client.cmd("QUIT")
            except Exception as error:
                failures.append(error)
                return
            sent.append(message)
            slowest.append(time.monotonic() - begun)
            stop.wait(0.05)
    one.send(make_message("before"), tls=False)
    one.maildir().wait()
    files = one.fronts_files()
    served = threading.Thread(target=serve)
    served.start()
    begun = time.monotonic()
    try:
        for _ in range(ROUNDS):
            held = []
            for number in range(ROUND):
                attack(one.smtp, number, held)
            told = admitted = 0
            for sock in held:
                text = b""
                while not text.endswith(b"\n") and (more := sock.recv(4096)):
                    text += more
                admitted += text.startswith(b"220 ")
                told += text.startswith(b"421 Too many concurrent SMTP connections")
            assert told + admitted == len(held) and 0 < admitted <= PER_HOST, (told, admitted, len(held))
            for sock in held:
                sock.close()
            wait_for("the descriptors of the flood", lambda: one.fronts_files() <= files + 6)  # the client's, whose connection is open
            memory.append(one.fronts_kb())
    finally:
        took = time.monotonic() - begun
        stop.set()
        served.join()
    assert not failures, failures
    refused = len(re.findall(r"synchronization error.*\[127\.0\.0\.66\]", one.log_text()))
    assert refused > ROUNDS * PER_HOST, f"only {refused} of those who sent garbage had a session"
    usual = statistics.median(slowest)
    print(f"{took:.1f} s, {len(sent)} messages, the slowest {max(slowest):.2f} s, in the middle {usual:.3f} s, {refused} refused, memory {memory} KB")
    assert one.fronts() == pids, "a front ended"
    assert took < 60, f"ten thousand connections took {took:.0f} s"
    assert len(sent) >= ROUNDS and max(slowest) < SLOWEST and usual < USUAL, (len(sent), max(slowest), usual)
    # The first round shows what the limits cost; from then on it is flat.
    assert max(memory[1:]) - memory[0] < 8 * 1024, f"memory of the fronts: {memory} KB"
    wait_for("the last descriptors", lambda: one.fronts_files() <= files + 2)
    maildir = one.maildir()
    wait_for("the mail of the others", lambda: len(maildir.files()) >= len(sent) + 1)
    assert set(sent) <= set(maildir.messages())

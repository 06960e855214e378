# SPDX-License-Identifier: ISC
"""The dovecot authenticator: clients of Postern who are let in or kept out by a real Dovecot, and what comes of one that is not there, dies,
or talks nonsense."""
import base64
import hashlib
import hmac
import os
import re
import select
import signal
import socket
import subprocess
import threading
import time

import pytest

import exim
from dovecot import GREETING, Dovecot, Impostor, request_of
from harness import DEADLINE, POSTERN, ROOT, Server, Smtp, make_message, memory_holds, wait_for
from test_auth import BehindStarttls

AUTHENTICATORS = """begin authenticators

dovecot_plain:
  driver = dovecot
  public_name = PLAIN
  server_socket = {socket}
  server_set_id = $auth1

dovecot_login:
  driver = dovecot
  public_name = LOGIN
  server_socket = {socket}

dovecot_cram:
  driver = dovecot
  public_name = CRAM-MD5
  server_socket = {socket}
  server_set_id = $auth1
  server_condition = ${{if !eq{{$auth1}}{{barred}}}}

dovecot_scram:
  driver = dovecot
  public_name = SCRAM-SHA-256
  server_socket = {socket}

dovecot_none:
  driver = dovecot
  public_name = X-NONE
  server_socket = {socket}
"""
OWN = """
own_scram:
  driver = scram
  public_name = SCRAM-SHA-1
  server_password = sesame
"""
TEMPORARY = "Unable to authenticate at present"


def encode(text):
    return base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()


PLAIN = encode("\0user\0sesame")


def make(certificates, path, main=None, timeout=None):
    one = Server(certificates)
    one.extra = AUTHENTICATORS.format(socket=f"{path}\n  server_timeout = {timeout}" if timeout else path) + OWN
    one.configure({"auth_fail_delay": "0s", "auth_fail_limit": "1000 / 1h", "smtp_accept_max_nonmail": 1000,
                   "smtp_max_synprot_errors": 100, **(main or {})})
    return one.start()


@pytest.fixture(scope="module")
def dovecot():
    made = Dovecot({"user": "sesame", "barred": "sesame", "tab bed": "pass word"}).start()
    yield made
    made.remove()


@pytest.fixture(scope="module")
def one(certificates, dovecot):
    made = make(certificates, dovecot.socket)
    yield made
    made.stop()
    made.remove()


@pytest.fixture(scope="module")
def other(certificates):
    """A server whose Dovecot the tests are."""
    directory = Server(certificates)
    made = make(certificates, directory.dir / "socket")
    made.socket = directory.dir / "socket"
    yield made
    made.stop()
    made.remove()
    directory.remove()


def log_in(one, command, *responses):
    """The last reply to the command and the responses, each of which wants a challenge before it."""
    with Smtp(one.tls, tls=True) as client:
        client.ehlo()
        code, texts = client.cmd(command)
        for response in responses:
            assert code == 334, (code, texts)
            code, texts = client.cmd(encode(response(base64.b64decode(texts[0])) if callable(response) else response))
        return code, texts[0]


def cram(user, password):
    return lambda challenge: user + " " + hmac.new(password.encode(), challenge, hashlib.md5).hexdigest()


# ---- With Dovecot ----

@pytest.mark.parametrize("command, responses", [
    (f"AUTH PLAIN {PLAIN}", []), ("AUTH PLAIN", ["\0user\0sesame"]),
    ("AUTH LOGIN", ["user", "sesame"]), (f"AUTH LOGIN {encode('user')}", ["sesame"]),
    ("AUTH CRAM-MD5", [cram("user", "sesame")]),
], ids=["plain", "plain prompted", "login", "login with the name", "cram-md5"])
def test_dovecot_lets_its_users_in(one, command, responses):
    assert log_in(one, command, *responses) == (235, "Authentication succeeded")


@pytest.mark.parametrize("command, responses, user", [
    (f"AUTH PLAIN {encode(chr(0) + 'user' + chr(0) + 'wrong')}", [], "user"), ("AUTH LOGIN", ["user", "wrong"], "user"),
    ("AUTH CRAM-MD5", [cram("user", "wrong")], "user"), ("AUTH LOGIN", ["nobody", "wrong"], "nobody"),
], ids=["plain", "login", "cram-md5", "no such user"])
def test_a_wrong_password_is_refused_and_logged_with_the_users_name(one, command, responses, user):
    start = one.mark()
    assert log_in(one, command, *responses) == (535, "Incorrect authentication data")
    line = one.wait_log(r" dovecot_\w+ authenticator failed for (.*)$", start).group(1)
    assert line.endswith(f"[127.0.0.1]: 535 Incorrect authentication data (set_id={user})"), line
    assert "wrong" not in one.log_text(start)


@pytest.mark.parametrize("mechanism, name", [("PLAIN", "dovecot_plain"), ("LOGIN", "dovecot_login"), ("CRAM-MD5", "dovecot_cram")])
def test_a_message_of_swaks_is_logged_with_who_dovecot_says_it_is(one, mechanism, name):
    start = one.mark()
    done = subprocess.run(["swaks", "-tls", "--server", "127.0.0.1", "--port", str(one.smtp), "--from", "a@client.test", "--to",
                           "user@example.test", "--auth", mechanism, "--auth-user", "user", "--auth-password", "sesame"],
                          capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 0, done.stdout
    line = one.wait_log(r" <= a@client\.test (.*)$", start).group(1)
    assert f" A={name}:user " in line, line


def test_a_mechanism_that_postern_knows_nothing_of_passes_through_with_all_its_steps(one):
    for password, reply in ("sesame", "235 Authentication succeeded"), ("wrong", "535 Incorrect authentication data"):
        with BehindStarttls(one.smtp) as port:
            done = subprocess.run(["gsasl", "--client", "--smtp", f"--connect=127.0.0.1:{port}", "--starttls", "--x509-ca-file=",
                                   "--verbose", "--mechanism=SCRAM-SHA-256", "--authentication-id=user", f"--password={password}",
                                   "--no-cb"], input="", capture_output=True, text=True, timeout=DEADLINE)
        assert reply in done.stdout, (done.stdout, done.stderr)


def test_a_server_condition_comes_on_top_of_dovecots_word(one):
    assert log_in(one, "AUTH CRAM-MD5", cram("barred", "sesame")) == (535, "Incorrect authentication data")


def test_a_name_with_a_blank_is_one_name(one):
    start = one.mark()
    assert log_in(one, "AUTH CRAM-MD5", cram("tab bed", "wrong"))[0] == 535
    one.wait_log(r"\(set_id=tab bed\)", start)


def test_what_a_client_sends_cannot_become_another_word_of_the_request(one, dovecot):
    seen = len(dovecot.said())
    assert log_in(one, f"AUTH PLAIN {encode(chr(0) + 'a' + chr(9) + 'valid-client-cert' + chr(10) + chr(0) + 'p')}")[0] == 535
    lines = [line for line in dovecot.said()[seen:].split("\n") if "client in: AUTH" in line]
    assert len(lines) == 1 and "valid-client-cert" not in lines[0], lines
    assert re.search(r"AUTH\s1\sPLAIN\sservice=smtp\ssecured\srip=127\.0\.0\.1\slip=127\.0\.0\.1\snologin\s", lines[0]), lines


def test_a_mechanism_that_dovecot_does_not_have_is_a_temporary_error(one, dovecot):
    start = one.mark()
    assert log_in(one, "AUTH X-NONE") == (435, TEMPORARY)
    one.wait_log(rf"435 {TEMPORARY}: Dovecot at {re.escape(str(dovecot.socket))}: it does not have the mechanism", start)


def test_postern_session_asks_dovecot_too(one):
    done = subprocess.run([POSTERN, "session", "-c", one.conf, "--tls", "127.0.0.1"], capture_output=True, text=True, timeout=DEADLINE,
                          input=f"EHLO a.test\nAUTH PLAIN {PLAIN}\nQUIT\n", check=False)
    assert "235 Authentication succeeded" in done.stdout, (done.stdout, done.stderr)


def test_many_logins_at_once_each_have_their_own_answer(one):
    wrong = []

    def many(index):
        for turn in range(4):
            good = (index + turn) % 2 == 0
            code, _ = log_in(one, "AUTH CRAM-MD5", cram("user", "sesame" if good else "wrong"))
            if code != (235 if good else 535):
                wrong.append((index, turn, code))

    threads = [threading.Thread(target=many, args=[index]) for index in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_dovecot_that_ends_and_comes_back(certificates):
    dovecot = Dovecot({"user": "sesame"}).start()
    one = make(certificates, dovecot.socket)
    try:
        assert log_in(one, f"AUTH PLAIN {PLAIN}")[0] == 235
        with Smtp(one.tls, tls=True) as client:
            client.ehlo()
            challenge = base64.b64decode(client.expect(334, "AUTH CRAM-MD5"))
            dovecot.kill_auth()
            start = one.mark()
            assert client.expect(435, encode(cram("user", "sesame")(challenge))) == TEMPORARY
            one.wait_log(rf"435 {TEMPORARY}: Dovecot at \S+: ", start)
            dovecot.stop()
            start = one.mark()
            assert client.expect(435, f"AUTH PLAIN {PLAIN}") == TEMPORARY
            one.wait_log(rf"435 {TEMPORARY}: Dovecot at \S+: connecting: ", start)
            dovecot.start()
            client.expect(235, f"AUTH PLAIN {PLAIN}")
        one.stop()
    finally:
        one.remove()
        dovecot.remove()


# ---- With others in its place ----

def answering(answer=None, greeting=GREETING):
    """Greets, answers the request if there is an answer, and says no more."""
    def behave(connection, lines):
        connection.sendall(greeting.encode("latin-1"))
        if answer is not None and request_of(lines):
            connection.sendall(answer.encode("latin-1"))
        connection.shutdown(socket.SHUT_WR)
        lines.read()
    return behave


def test_without_the_socket_it_is_a_temporary_error(other):
    start = other.mark()
    assert log_in(other, f"AUTH PLAIN {PLAIN}") == (435, TEMPORARY)
    other.wait_log(rf"435 {TEMPORARY}: Dovecot at \S+: connecting: No such file or directory", start)


@pytest.mark.parametrize("behave, why", [
    (answering(), "it ended the connection"),
    (answering(greeting="HELLO\n"), "it ended the connection"),
    (answering(greeting="VERSION\t2\t0\nMECH\tPLAIN\nDONE\n"), "it speaks another version of the protocol"),
    (answering(greeting="MECH\tPLAIN\nDONE\n"), "it does not speak the protocol of Dovecot's auth-client"),
    (answering(greeting="x" * 20000), "it sends too long a line"),
    (answering(greeting="MECH\tX\n" * 1001), "it sends too many lines"),
    (answering("OK\t2\tuser=root\n"), "it answers a question that was not asked"),
    (answering("OK\t1\n"), "an answer without a user's name"),
    (answering("OK\t1\tuser=a\0010b\n"), "an answer without a user's name"),
    (answering("CONT\t1\t*\n"), "a malformed challenge"),
    (answering("FAIL\t1\tuser=user\ttemp\n"), "it cannot tell at present: see its log"),
    (answering("OK\t1\tuser=user"), "it ended the connection"),
], ids=["dies", "says hello", "version", "no version", "long line", "many lines", "another question", "nobody", "NUL", "no base64",
        "temporary", "half a line"])
def test_a_server_that_is_out_of_order_is_a_temporary_error_and_lets_nobody_in(other, behave, why):
    start = other.mark()
    with Impostor(other.socket, behave):
        assert log_in(other, f"AUTH PLAIN {PLAIN}") == (435, TEMPORARY)
        other.wait_log(rf"435 {TEMPORARY}: Dovecot at \S+: {re.escape(why)}", start)
    assert PLAIN not in other.log_text(start) and "sesame" not in other.log_text(start)


def silent(connection, lines):
    lines.read()


def deaf_after_the_greeting(connection, lines):
    connection.sendall(GREETING.encode())
    lines.read()


def stuck_in_a_line(connection, lines):
    connection.sendall(GREETING.encode())
    request_of(lines)
    connection.sendall(b"OK\t1\tuser=us")
    lines.read()


def dripping(connection, lines):
    """A byte now and then: each is something, and none is an answer."""
    connection.sendall(b"VERSION\t1\t2\n")
    while True:
        connection.sendall(b"X")
        time.sleep(0.05)


def silent_after_a_challenge(connection, lines):
    connection.sendall(GREETING.encode())
    request_of(lines)
    connection.sendall(b"CONT\t1\tbW9yZQ==\n")
    lines.read()


@pytest.fixture(scope="module")
def hasty(certificates):
    """A server that gives the Dovecot at `socket`, which the tests are, a second for an answer."""
    directory = Server(certificates)
    made = make(certificates, directory.dir / "socket", timeout="1s")
    made.socket = directory.dir / "socket"
    yield made
    made.stop()
    made.remove()
    directory.remove()


@pytest.mark.parametrize("behave", [silent, deaf_after_the_greeting, stuck_in_a_line, dripping])
def test_a_server_that_does_not_answer_in_time_is_a_temporary_error(hasty, behave):
    start, began = hasty.mark(), time.monotonic()
    with Impostor(hasty.socket, behave) as server:
        assert log_in(hasty, f"AUTH PLAIN {PLAIN}") == (435, TEMPORARY)
        assert time.monotonic() - began >= 1
        hasty.wait_log(rf"435 {TEMPORARY}: Dovecot at \S+: it did not answer in time", start)
        wait_for("the end of the connection", lambda: server.closed == 1)


def test_each_answer_has_its_own_time_and_the_client_another(hasty):
    start = hasty.mark()
    with Impostor(hasty.socket, silent_after_a_challenge) as server:
        with Smtp(hasty.tls, tls=True) as client:
            client.ehlo()
            client.expect(334, "AUTH LOGIN")
            time.sleep(1.5)  # it is the client who thinks, not Dovecot
            assert server.closed == 0
            began = time.monotonic()
            client.expect(435, encode("x"))
            assert time.monotonic() - began >= 1
            client.expect(250, "NOOP")
        hasty.wait_log(rf"435 {TEMPORARY}: Dovecot at \S+: it did not answer in time", start)


def test_others_are_served_while_dovecot_is_silent(other):
    """Also by the same lookup process; the silence ends when all of that is done."""
    clients = [Smtp(other.tls, tls=True) for _ in range(10)]
    with Impostor(other.socket, deaf_after_the_greeting) as server:
        for client in clients:
            client.ehlo()
            client.send(f"AUTH PLAIN {PLAIN}\r\n")
        wait_for("all of them to ask Dovecot", lambda: len(server.connections) == len(clients))
        with other.connect() as client:
            client.ehlo()
            client.starttls()
            client.envelope()
            assert client.data_of(make_message())[0] == 250
            client.expect(535, "AUTH SCRAM-SHA-1 " + encode("n,,n=user"))  # malformed, which the lookup process counts
        assert not select.select([client.sock for client in clients], [], [], 0)[0]
    for client in clients:
        assert client.reply()[0] == 435
        client.close()


def test_answers_in_pieces_are_put_together(other):
    def behave(connection, lines):
        for byte in GREETING.encode():
            connection.send(bytes([byte]))
        request_of(lines)
        for byte in b"CONT\t1\tUGFzc3dvcmQ6\n":
            connection.send(bytes([byte]))
        lines.readline()
        for byte in b"OK\t1\tuser=a\001tb\n":
            connection.send(bytes([byte]))
        lines.readline()

    start = other.mark()
    with Impostor(other.socket, behave):
        with Smtp(other.tls, tls=True) as client:
            client.ehlo()
            assert client.expect(334, "AUTH LOGIN") == encode("Password:")
            client.expect(235, encode("x"))
            client.envelope()
            assert client.data_of(make_message())[0] == 250
    other.wait_log(r" <= .* A=dovecot_login:a\\011b ", start)


def test_a_server_that_never_stops_with_challenges_is_given_up(other):
    def behave(connection, lines):
        connection.sendall(GREETING.encode())
        request_of(lines)
        while True:
            connection.sendall(b"CONT\t1\tbW9yZQ==\n")
            if not lines.readline():
                return

    with Impostor(other.socket, behave) as server:
        with Smtp(other.tls, tls=True) as client:
            client.ehlo()
            code, _ = client.cmd("AUTH LOGIN")
            turns = 0
            while code == 334:
                code, _ = client.cmd(encode("x"))
                turns += 1
            assert code == 535 and turns == 21
            wait_for("the end of the connection to Dovecot", lambda: server.closed == 1)


@pytest.mark.parametrize("way", ["cancels", "goes away", "dies with its front"])
def test_the_connection_to_dovecot_ends_when_the_client(certificates, other, way):
    def behave(connection, lines):
        connection.sendall(GREETING.encode())
        request_of(lines)
        connection.sendall(b"CONT\t1\tbW9yZQ==\n")
        assert lines.readline() == ""

    with Impostor(other.socket, behave) as server:
        client = Smtp(other.tls, tls=True)
        client.ehlo()
        client.expect(334, "AUTH LOGIN")
        assert server.closed == 0
        if way == "cancels":
            client.expect(501, "*")
        elif way == "goes away":
            client.close()
        else:
            for name, pid in other.roles().items():
                if name.startswith("front"):
                    os.kill(pid, signal.SIGKILL)
        wait_for("the end of the connection to Dovecot", lambda: server.closed == 1)
        client.close()
    wait_for("fronts that answer", lambda: answers(other))


def answers(one):
    try:
        with Smtp(one.tls, tls=True) as client:
            client.ehlo()
            return True
    except OSError:
        return False


def test_a_lookup_process_that_dies_in_the_middle_is_a_temporary_error(other):
    def behave(connection, lines):
        connection.sendall(GREETING.encode())
        request_of(lines)
        connection.sendall(b"CONT\t1\tbW9yZQ==\n")
        if lines.readline():
            connection.sendall(b"OK\t1\tuser=user\n")
        lines.readline()

    with Impostor(other.socket, behave):
        with Smtp(other.tls, tls=True) as client, Smtp(other.tls, tls=True) as second:
            client.ehlo()
            second.ehlo()
            client.expect(334, "AUTH LOGIN")
            os.kill(other.role("lookup"), signal.SIGKILL)
            wait_for("another lookup process", lambda: second.cmd("AUTH LOGIN")[0] == 334)
            # The number of an exchange that is lost is not that of another one.
            assert client.expect(435, encode("x")) == TEMPORARY
            second.expect(235, encode("x"))


def test_a_failure_is_counted_for_the_lock_out(certificates):
    dovecot = Dovecot({"user": "sesame"}).start()
    one = make(certificates, dovecot.socket, {"auth_fail_limit": "3 / 1h"})
    try:
        for _ in range(3):
            assert log_in(one, "AUTH CRAM-MD5", cram("user", "wrong"))[0] == 535
        start = one.mark()
        assert log_in(one, f"AUTH PLAIN {PLAIN}")[0] == 535
        one.wait_log(r"dovecot_plain authenticator failed .*\(set_id=user\): locked out", start)
        one.stop()
    finally:
        one.remove()
        dovecot.remove()


def test_no_password_stays_in_the_memory_of_front_or_lookup_process(other):
    password = "Xq7-not-to-be-found-Zr4"
    plain = encode(f"\0user\0{password}")
    def behave(connection, lines):
        connection.sendall(GREETING.encode())
        if "resp=" not in request_of(lines)[-1]:
            connection.sendall(b"CONT\t1\t\n")
            lines.readline()
        connection.sendall(b"FAIL\t1\tuser=user\n")
        lines.readline()

    with Impostor(other.socket, behave):
        with Smtp(other.tls, tls=True) as client:
            client.ehlo()
            client.expect(535, f"AUTH PLAIN {plain}")
            client.expect(334, "AUTH PLAIN")
            client.expect(535, plain)
            client.expect(250, "NOOP")
            for role in "front 0", "front 1", "lookup":
                if ROOT:
                    assert memory_holds(other.role(role), [b"dovecot_plain"]), "the search finds what is there"
                    assert not memory_holds(other.role(role), [password.encode(), plain.encode()]), role
                else:
                    with pytest.raises(PermissionError):
                        memory_holds(other.role(role), [password.encode()])


# ---- Configuration ----

@pytest.mark.parametrize("line, why", [
    ("", "server_socket: not set; expected the path of the socket of Dovecot's auth-client"),
    ("server_socket = auth-client", "expected an absolute path"),
    ("server_socket = /" + "x" * 120, "the path of a socket has at most 107 bytes"),
])
def test_the_socket_is_checked_when_the_configuration_is_read(tmp_path, line, why):
    conf = tmp_path / "postern.conf"
    conf.write_text(f"begin authenticators\n\nd:\n  driver = dovecot\n  public_name = PLAIN\n  {line}\n")
    done = subprocess.run([POSTERN, "check", "-c", conf], capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.returncode == 2 and why in done.stdout + done.stderr, (done.stdout, done.stderr)


# ---- As Exim ----

ANSWERS = {
    "yes": "OK\t1\tuser=user\n", "no": "FAIL\t1\tuser=user\n", "another question": "OK\t2\tuser=user\n", "nobody": "OK\t1\n",
    "temporary": "FAIL\t1\tuser=user\ttemp\n", "nothing": "",
}
DIFFERENCES = {"temporary": "a failure that Dovecot calls temporary is temporary here"}


@pytest.mark.parametrize("row", ANSWERS)
def test_the_same_answer_of_dovecot_has_the_same_reply_as_in_exim(other, row):
    program, environment = exim.exim()
    conf, spool = other.dir / "exim.conf", other.dir / "exim"
    spool.mkdir(exist_ok=True)
    spool.chmod(0o1777)  # it drops to its own user
    conf.write_text(f"primary_hostname = mx.example.test\nspool_directory = {spool}\nhost_lookup =\n"
                    f"log_file_path = {other.dir}/exim-%slog\n" + AUTHENTICATORS.format(socket=other.socket))
    with Impostor(other.socket, answering(ANSWERS[row])):
        done = subprocess.run([program, "-C", conf, "-bh", "127.0.0.1"], input=f"EHLO client.test\nAUTH PLAIN {PLAIN}\nQUIT\n", text=True,
                              capture_output=True, env=environment, timeout=DEADLINE, check=False)
        ours = "{} {}".format(*log_in(other, f"AUTH PLAIN {PLAIN}"))
    theirs = [line for line in done.stdout.split("\n") if re.match(r"235|435|535", line)]
    assert len(theirs) == 1, (done.stdout, done.stderr)
    assert (theirs[0] != ours) == (row in DIFFERENCES), (theirs, ours)

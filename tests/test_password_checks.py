# SPDX-License-Identifier: ISC
"""The built-in user database in a running server: who gets in, who is locked out and where, and what others notice of it meanwhile."""
import base64
import hashlib
import hmac
import os
import re
import signal
import sqlite3
import subprocess
import threading
import time

import pytest

from harness import DEADLINE, POSTERN, SANITIZER, Smtp, make_message, wait_for

AUTHENTICATORS = """
begin authenticators

plain:
  driver = plaintext
  public_name = PLAIN
  server_user_database = true

login:
  driver = plaintext
  public_name = LOGIN
  server_user_database = true

scram:
  driver = scram
  public_name = SCRAM-SHA-256
  server_user_database = true
"""


class Mail:
    """A server with users."""

    def __init__(self, server, main=None):
        self.one = server(start=False)
        self.dir = self.one.dir / "accounts"
        self.dir.mkdir()
        self.file = self.dir / "users.db"
        self.configure({"user_database": self.file, "auth_fail_delay": "0s", **(main or {})})

    def configure(self, main):
        self.one.configure(main)
        self.one.conf.write_text(self.one.conf.read_text() + AUTHENTICATORS)

    def user(self, *arguments, text=""):
        words = [POSTERN, "user", *arguments[:2], "-c", self.one.conf, *arguments[2:]] if arguments[0] == "app-password" else \
                [POSTERN, "user", arguments[0], "-c", self.one.conf, *arguments[1:]]
        done = subprocess.run([str(word) for word in words], input=text.encode(), capture_output=True, timeout=DEADLINE,
                              env={**os.environ, **SANITIZER})
        assert done.returncode == 0, done.stderr.decode()
        # As root the group of the lookup role may read the file; its directory is the administrator's matter.
        self.dir.chmod(0o755)
        return done.stdout.decode()

    def connect(self, source=None):
        return Smtp(self.one.tls, tls=True, source=source)

    def login(self, user, password, source=None):
        """The code of the answer to AUTH PLAIN."""
        with self.connect(source) as client:
            client.ehlo()
            return plain(client, user, password)[0]


def plain(client, user, password):
    return client.cmd("AUTH PLAIN " + base64.b64encode(f"\0{user}\0{password}".encode()).decode())


def scram(client, user, password):
    """AUTH SCRAM-SHA-256 (RFC 5802): the last reply, and whether the server proved itself too."""
    first = f"n={user},r=nonce0123456789"
    code, texts = client.cmd("AUTH SCRAM-SHA-256 " + base64.b64encode(f"n,,{first}".encode()).decode())
    if code != 334:
        return code, False
    challenge = base64.b64decode(texts[0]).decode()
    given = dict(part.split("=", 1) for part in challenge.split(","))
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(given["s"]), int(given["i"]))
    key = hmac.new(salted, b"Client Key", "sha256").digest()
    final = f"c=biws,r={given['r']}"
    signed = f"{first},{challenge},{final}".encode()
    signature = hmac.new(hashlib.sha256(key).digest(), signed, "sha256").digest()
    proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature))).decode()
    code, texts = client.cmd(base64.b64encode(f"{final},p={proof}".encode()).decode())
    if code != 334:
        return code, False
    server = hmac.new(hmac.new(salted, b"Server Key", "sha256").digest(), signed, "sha256").digest()
    return client.cmd("")[0], base64.b64decode(texts[0]) == b"v=" + base64.b64encode(server)


@pytest.fixture
def mail(server):
    def make(main=None, start=True):
        made = Mail(server, main)
        made.user("add", "anna@example.test", text="right\n")
        if start:
            made.one.start()
        return made
    return make


def test_plain_login_and_scram_by_the_database(mail):
    m = mail()
    with m.connect() as client:
        client.ehlo()
        assert plain(client, "Anna@Example.test", "right")[0] == 235
    with m.connect() as client:
        client.ehlo()
        client.expect(334, "AUTH LOGIN")
        client.expect(334, base64.b64encode(b"anna@example.test").decode())
        client.expect(235, base64.b64encode(b"right").decode())
        client.deliver(make_message())
    m.one.wait_log(r" A=login:anna@example\.test ")
    with m.connect() as client:
        client.ehlo()
        assert scram(client, "anna@example.test", "right") == (235, True)
    for user, password in (("anna@example.test", "wrong"), ("nobody@example.test", "right")):
        with m.connect() as client:
            client.ehlo()
            assert scram(client, user, password) == (535, False)
    assert m.login("anna@example.test", "Right") == 535
    assert m.login("nobody@example.test", "right") == 535
    log = m.one.log_text()
    assert re.search(r"plain authenticator failed for .*: 535 Incorrect authentication data \(set_id=anna@example\.test\)", log), log
    assert "Right" not in log and "right" not in log and "wrong" not in log


def test_changes_of_users_count_at_once(mail):
    m = mail({"auth_fail_limit": ""})
    assert m.login("anna@example.test", "right") == 235  # remembered from here on
    m.user("passwd", "anna@example.test", "--argon2id", text="other\n")
    assert m.login("anna@example.test", "right") == 535 and m.login("anna@example.test", "other") == 235
    m.user("disable", "anna@example.test")
    assert m.login("anna@example.test", "other") == 535
    m.user("enable", "anna@example.test")
    assert m.login("anna@example.test", "other") == 235
    phone = m.user("app-password", "add", "anna@example.test", "phone").strip()
    imap = m.user("app-password", "add", "anna@example.test", "reader", "--service", "imap").strip()
    assert m.login("anna@example.test", phone) == 235 and m.login("anna@example.test", imap) == 535
    m.user("app-password", "remove", "anna@example.test", "phone")
    assert m.login("anna@example.test", phone) == 535 and m.login("anna@example.test", "other") == 235
    m.user("remove", "anna@example.test")
    assert m.login("anna@example.test", "other") == 535


def test_hashes_of_other_systems_let_in_until_passwd_replaces_them(mail):
    m = mail({"auth_fail_limit": ""})
    sha512 = subprocess.run(["openssl", "passwd", "-6", "old"], check=True, capture_output=True).stdout.decode()
    m.user("add", "bert@example.test", "--hashed", text=sha512)
    assert m.login("bert@example.test", "old") == 235 and m.login("bert@example.test", "new") == 535
    with m.connect() as client:
        client.ehlo()
        assert scram(client, "bert@example.test", "old")[0] == 535  # there is no verifier
    m.user("passwd", "bert@example.test", text="old\n")
    with m.connect() as client:
        client.ehlo()
        assert scram(client, "bert@example.test", "old") == (235, True)


def test_a_user_is_locked_out_but_not_from_where_he_has_logged_in(mail):
    m = mail({"auth_fail_limit": "3 / 1h"})
    start = m.one.mark()
    assert m.login("anna@example.test", "right", "127.5.0.1") == 235
    assert [m.login("anna@example.test", f"guess{n}", f"127.1.{n}.1") for n in range(3)] == [535] * 3
    assert m.login("anna@example.test", "right", "127.2.0.1") == 535
    assert m.login("ANNA@example.test", "right", "127.2.0.1") == 535
    assert m.login("anna@example.test", "right", "127.5.0.200") == 235
    with m.connect("127.2.0.1") as client:
        client.ehlo()
        assert scram(client, "anna@example.test", "right")[0] == 535
    m.one.wait_log(r"login of <anna@example\.test> locked out: auth_fail_limit = 3 / 1h, last failure from \[127\.1\.2\.1\]$", start)
    assert len(re.findall("login of <", m.one.log_text(start))) == 1


def test_a_network_is_locked_out_whoever_it_tries_and_however(mail):
    m = mail({"auth_fail_limit": "3 / 1h"})
    start = m.one.mark()
    assert m.login("a@example.test", "x", "127.9.0.1") == 535
    assert m.login("anna@example.test", "y", "127.9.0.77") == 535
    with m.connect("127.9.0.3") as client:
        client.ehlo()
        assert scram(client, "b@example.test", "z")[0] == 535
    assert m.login("anna@example.test", "right", "127.9.0.9") == 535
    assert m.login("anna@example.test", "right", "127.9.1.9") == 235
    m.one.wait_log(r"login from 127\.9\.0\.0/24 locked out: auth_fail_limit = 3 / 1h, last failure from \[127\.9\.0\.3\] as <b@", start)


def test_the_same_wrong_password_again_does_not_count(mail):
    m = mail({"auth_fail_limit": "3 / 1h"})
    assert {m.login("anna@example.test", "forgotten") for _ in range(8)} == {535}
    assert m.login("anna@example.test", "right") == 235


def test_locks_outlive_reloads_and_the_lookup_process(mail):
    m = mail({"auth_fail_limit": "2 / 1h"})
    for n in range(2):
        assert m.login("anna@example.test", f"guess{n}", f"127.1.{n}.1") == 535
    assert m.login("anna@example.test", "right", "127.2.0.1") == 535
    m.one.reload()
    assert m.login("anna@example.test", "right", "127.2.0.1") == 535
    pid = m.one.role("lookup")
    os.kill(pid, signal.SIGKILL)
    wait_for("another lookup process", lambda: m.one.roles().get("lookup") not in (None, pid))
    assert m.login("anna@example.test", "right", "127.2.0.1") == 535
    m.configure({"auth_fail_limit": "1000 / 1h"})
    m.one.reload()
    wait_for("the new limit", lambda: m.login("anna@example.test", "right", "127.2.0.1") == 235)


def test_a_limit_lets_one_more_through_each_part_of_its_time(mail):
    m = mail({"auth_fail_limit": "2 / 8s"})
    for n in range(2):
        assert m.login("anna@example.test", f"guess{n}", f"127.1.{n}.1") == 535
    wait_for("the lock to give way", lambda: m.login("anna@example.test", "right", "127.2.0.1") == 235)


def test_a_missing_replaced_or_damaged_database_is_a_temporary_error(mail):
    m = mail({"auth_fail_limit": ""})
    assert m.login("anna@example.test", "right") == 235
    aside = m.dir / "aside.db"
    m.file.rename(aside)
    assert 400 <= m.login("anna@example.test", "right") < 500
    m.user("add", "anna@example.test", text="another\n")
    assert m.login("anna@example.test", "right") == 535 and m.login("anna@example.test", "another") == 235
    m.file.write_bytes(b"not a database" * 100)
    assert 400 <= m.login("anna@example.test", "another") < 500
    os.replace(aside, m.file)
    assert m.login("anna@example.test", "right") == 235
    assert "No such file" in m.one.log_text()


def test_a_writer_is_waited_for(mail):
    m = mail()
    holder = sqlite3.connect(m.file, isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN EXCLUSIVE")
    release = threading.Timer(0.5, lambda: holder.execute("ROLLBACK"))
    release.start()
    assert m.login("anna@example.test", "right") == 235
    release.join()
    holder.close()


def test_who_does_not_exist_costs_as_much_as_who_does(mail):
    """Processor time of the lookup process: a hash for either."""
    m = mail({"auth_fail_limit": "", "auth_remember": "0s"})

    def cost(user):
        before = cpu_of(m.one.role("lookup"))
        for n in range(8):
            assert m.login(user, f"guess{n}") == 535
        return cpu_of(m.one.role("lookup")) - before

    cost("anna@example.test")
    known, unknown, impossible = cost("anna@example.test"), cost("nobody@example.test"), cost("nobody2@example.test")
    assert unknown > known / 2 and known > unknown / 2 and impossible > known / 2, (known, unknown, impossible)


def cpu_of(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def test_answers_to_failures_take_their_time_and_successes_do_not_wait(mail):
    m = mail({"auth_fail_delay": "2s"})
    for user, password in (("anna@example.test", "wrong"), ("nobody@example.test", "right"), ("anna@example.test", "wrong")):
        began = time.monotonic()
        assert m.login(user, password) == 535
        assert time.monotonic() - began >= 2
    assert m.login("anna@example.test", "right") == 235


def test_a_flood_of_guesses_leaves_others_served(mail):
    m = mail({"auth_fail_limit": "", "auth_remember": "0s"})
    over, counts = threading.Event(), [0] * 20

    def guess(number):
        while not over.is_set():
            with m.connect() as client:
                client.ehlo()
                assert plain(client, f"user{number}-{counts[number]}@example.test", "guess")[0] in (435, 454, 535)
            counts[number] += 1

    threads = [threading.Thread(target=guess, args=(number,)) for number in range(len(counts))]
    for thread in threads:
        thread.start()
    try:
        wait_for("guesses to be answered", lambda: sum(counts) > 40)
        for _ in range(5):
            m.one.send(make_message())
        with m.connect() as client:
            client.ehlo()
            assert plain(client, "anna@example.test", "right")[0] == 235
        m.one.maildir().wait(5)
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_many_logins_of_one_user_at_once_are_all_let_in(mail):
    m = mail({"auth_fail_limit": "3 / 1h"})
    codes = []
    threads = [threading.Thread(target=lambda: codes.append(m.login("anna@example.test", "right"))) for _ in range(15)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [235] * 15

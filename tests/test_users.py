# SPDX-License-Identifier: ISC
"""`postern user`: the commands as somebody gives them, what is in the file afterwards, and what of a password is left anywhere."""
import grp
import hashlib
import hmac
import json
import os
import pty
import re
import select
import signal
import sqlite3
import subprocess
import termios
import threading
import time

import pytest

from harness import DEADLINE, POSTERN, ROOT, SANITIZER, wait_for

ENVIRONMENT = {**os.environ, **SANITIZER, "ASAN_OPTIONS": "exitcode=99"}
INTERRUPT = b"\x03"


class Accounts:
    """A configuration with a database that does not exist yet."""

    def __init__(self, directory):
        self.dir = directory / "accounts"
        self.dir.mkdir()
        self.conf, self.file = directory / "postern.conf", self.dir / "users.db"
        self.conf.write_text(f"primary_hostname = mx.example.test\nuser_database = {self.file}\nspool_directory = {directory}/spool\n")

    def run(self, *arguments, text="", status=0):
        """Gives what the command says on standard output, and on standard error when it is to fail."""
        words = [POSTERN, "user", *arguments[:2], "-c", str(self.conf), *arguments[2:]] if arguments[0] == "app-password" else \
                [POSTERN, "user", arguments[0], "-c", str(self.conf), *arguments[1:]]
        done = subprocess.run([str(word) for word in words], input=text.encode(), capture_output=True, timeout=DEADLINE, env=ENVIRONMENT)
        assert done.returncode == status, (words, done.returncode, done.stderr.decode())
        return done.stderr.decode() if status else done.stdout.decode()

    def users(self):
        return {user["name"]: user for user in json.loads(self.run("list", "--json"))}

    def rows(self, query, *values):
        with sqlite3.connect(f"file:{self.file}?mode=ro", uri=True) as database:
            return database.execute(query, values).fetchall()


@pytest.fixture
def accounts(tmp_path):
    return Accounts(tmp_path)


def test_add_list_and_remove(accounts):
    accounts.run("add", "anna@example.test", text="secret\n")
    accounts.run("add", "Bert@Example.TEST", text="geheim")  # the last line end may be missing
    users = accounts.users()
    assert list(users) == ["anna@example.test", "bert@example.test"]
    anna = users["anna@example.test"]
    assert anna["method"] == "yescrypt" and anna["scram_sha1"] and anna["scram_sha256"] and not anna["disabled"]
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", anna["created"])
    listed = accounts.run("list")
    assert re.search(r"^anna@example\.test +yescrypt +SCRAM-SHA-1 SCRAM-SHA-256 +0 ", listed, re.M), listed
    accounts.run("remove", "ANNA@example.test")
    assert list(accounts.users()) == ["bert@example.test"]
    assert accounts.rows("SELECT count(*) FROM verifier") == [(2,)]


def test_refusals_have_one_line_and_change_nothing(accounts):
    assert "No such file" in accounts.run("list", status=1)
    accounts.run("add", "anna@example.test", text="secret\n")
    before = accounts.file.read_bytes()
    refusals = [
        (("add", "anna@example.test"), "other\n", "already"),
        (("add", "Anna@Example.test"), "other\n", "already"),
        (("add", "bert@example.test"), "", "password is empty"),
        (("add", "bert@example.test"), "\n", "password is empty"),
        (("add", "bert@example.test"), "one\ntwo\n", "one line"),
        (("add", "bert@example.test"), "x" * 1025 + "\n", "1024 bytes"),
        (("add", "bert@example.test"), "a\tb\n", "cannot be in it"),
        (("add", "bert example.test"), "x\n", "U+0020"),
        (("add", ""), "x\n", "empty"),
        (("add", "bert", "--hashed"), "plain\n", "expected a hash"),
        (("add",), "", "expected a user"),
        (("add", "a", "b"), "", "expected a user"),
        (("passwd", "nobody@example.test"), "x\n", "there is no user"),
        (("remove", "nobody@example.test"), "", "there is no user"),
        (("disable", "nobody@example.test"), "", "there is no user"),
        (("app-password", "add", "nobody", "phone"), "", "there is no user"),
        (("app-password", "add", "anna@example.test", "ph\none"), "", "expected up to 64"),
        (("app-password", "remove", "anna@example.test", "phone"), "", "no application password"),
        (("app-password", "list", "nobody"), "", "there is no user"),
        (("list", "--no-such-option"), "", "unknown option"),
        (("frobnicate",), "", "expected add, passwd"),
    ]
    for arguments, text, said in refusals:
        complaint = accounts.run(*arguments, text=text, status=2)
        assert said in complaint, (arguments, complaint)
        assert "secret" not in complaint and "other" not in complaint, complaint
    assert accounts.file.read_bytes() == before


def test_without_user_database_the_option_is_named(tmp_path):
    conf = tmp_path / "postern.conf"
    conf.write_text(f"primary_hostname = mx.example.test\nspool_directory = {tmp_path}/spool\n")
    done = subprocess.run([POSTERN, "user", "list", "-c", str(conf)], capture_output=True, timeout=DEADLINE, env=ENVIRONMENT)
    assert done.returncode == 2 and b"sets no user_database" in done.stderr


def test_the_password_is_nowhere_in_the_file(accounts):
    accounts.run("add", "anna@example.test", text="Correct-Horse-Battery\n")
    given = accounts.run("app-password", "add", "anna@example.test", "phone").strip()
    accounts.run("passwd", "anna@example.test", text="Another-Horse-Battery\n")
    content = accounts.file.read_bytes()
    for text in ("Correct-Horse-Battery", "Another-Horse-Battery", given):
        assert text.encode() not in content
    assert not list(accounts.dir.glob("*-journal"))


def test_the_file_is_for_its_owner_and_the_lookup_role(accounts):
    accounts.run("add", "anna@example.test", text="secret\n")
    status = accounts.file.stat()
    assert status.st_mode & 0o7777 == (0o640 if ROOT else 0o600)
    if ROOT:
        try:
            group = grp.getgrnam("postern-lookup").gr_gid
        except KeyError:
            group = 61104 + 5
        assert status.st_gid == group


def test_verifiers_are_those_of_rfc_5802(accounts):
    accounts.run("add", "anna@example.test", text="p\u00e4ssword\n")
    rows = accounts.rows("SELECT mechanism, salt, iterations, stored_key, server_key FROM verifier")
    assert sorted(row[0] for row in rows) == ["SCRAM-SHA-1", "SCRAM-SHA-256"]
    for mechanism, salt, iterations, stored, server in rows:
        name = {"SCRAM-SHA-1": "sha1", "SCRAM-SHA-256": "sha256"}[mechanism]
        salted = hashlib.pbkdf2_hmac(name, "p\u00e4ssword".encode(), salt, iterations)
        assert len(salt) == 16 and iterations >= 4096
        assert stored == hashlib.new(name, hmac.new(salted, b"Client Key", name).digest()).digest()
        assert server == hmac.new(salted, b"Server Key", name).digest()
    assert len({row[1] for row in rows}) == 2


def test_passwd_replaces_hash_and_verifiers(accounts):
    accounts.run("add", "anna@example.test", text="one\n")
    accounts.run("app-password", "add", "anna@example.test", "phone")
    before = accounts.rows("SELECT hash FROM user"), accounts.rows("SELECT salt FROM verifier")
    accounts.run("passwd", "anna@example.test", "--argon2id", text="two\n")
    assert accounts.users()["anna@example.test"]["method"] == "argon2id"
    assert not set(accounts.rows("SELECT salt FROM verifier")) & set(before[1])
    assert accounts.users()["anna@example.test"]["app_passwords"] == 1
    assert accounts.rows("SELECT hash FROM user") != before[0]


def test_hashes_of_other_systems_come_in_and_passwd_upgrades_them(accounts):
    sha512 = subprocess.run(["openssl", "passwd", "-6", "secret"], check=True, capture_output=True).stdout.decode()
    accounts.run("add", "anna@example.test", "--hashed", text=sha512)
    anna = accounts.users()["anna@example.test"]
    assert anna["method"] == "sha512crypt" and not anna["scram_sha1"] and not anna["scram_sha256"]
    assert accounts.rows("SELECT hash FROM user") == [(sha512.strip(),)]
    accounts.run("passwd", "anna@example.test", text="secret\n")
    anna = accounts.users()["anna@example.test"]
    assert anna["method"] == "yescrypt" and anna["scram_sha1"] and anna["scram_sha256"]


def test_app_passwords_are_shown_once_and_removed_singly(accounts):
    accounts.run("add", "anna@example.test", text="secret\n")
    shown = [accounts.run("app-password", "add", "anna@example.test", name, *more).strip()
             for name, *more in (("phone",), ("old laptop", "--service", "smtp"))]
    for password in shown:
        assert re.fullmatch(r"[a-z2-9]{4}(-[a-z2-9]{4}){5}", password), password
    assert len(set(shown)) == 2
    listed = json.loads(accounts.run("app-password", "list", "anna@example.test", "--json"))
    assert [(one["name"], one["service"]) for one in listed] == [("old laptop", "smtp"), ("phone", "")]
    assert "already" in accounts.run("app-password", "add", "anna@example.test", "phone", status=2)
    text = accounts.run("app-password", "list", "anna@example.test")
    assert re.search(r"^phone +any ", text, re.M) and not any(password in text for password in shown)
    accounts.run("app-password", "remove", "anna@example.test", "phone")
    listed = json.loads(accounts.run("app-password", "list", "anna@example.test", "--json"))
    assert [one["name"] for one in listed] == ["old laptop"]


def test_disable_and_enable(accounts):
    accounts.run("add", "anna@example.test", text="secret\n")
    accounts.run("disable", "anna@example.test")
    assert accounts.users()["anna@example.test"]["disabled"]
    assert re.search(r"disabled$", accounts.run("list"), re.M)
    accounts.run("enable", "anna@example.test")
    assert not accounts.users()["anna@example.test"]["disabled"]


def at_terminal(accounts, answers, *arguments):
    """The command with a terminal of its own: what it wrote there, and its status."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(POSTERN, [POSTERN, "user", arguments[0], "-c", str(accounts.conf), *arguments[1:]], ENVIRONMENT)
    written, answers = b"", list(answers)
    asked, last, deadline = 0, b"", time.monotonic() + DEADLINE
    while True:
        if not select.select([fd], [], [], 1)[0]:
            # A ^C between the prompt and the reading is noted, but ends no reading: one presses it again.
            if last == INTERRUPT:
                os.write(fd, INTERRUPT)
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
            continue
        try:
            more = os.read(fd, 4096)
        except OSError:
            break
        if not more:
            break
        written += more
        while answers and len(re.findall(rb"[Pp]assword: ", written)) > asked:
            asked += 1
            wait_for("a terminal without echo", lambda: not termios.tcgetattr(fd)[3] & termios.ECHO)
            last = answers.pop(0)
            os.write(fd, last)
    _, status = os.waitpid(pid, 0)
    os.close(fd)
    return written.decode(), os.waitstatus_to_exitcode(status)


def test_a_terminal_is_asked_twice_and_shows_nothing(accounts):
    written, status = at_terminal(accounts, [b"hidden-text\n", b"hidden-text\n"], "add", "anna@example.test")
    assert status == 0, written
    assert "hidden-text" not in written and len(re.findall("assword: ", written)) == 2
    assert "anna@example.test" in accounts.users()
    written, status = at_terminal(accounts, [b"one-text\n", b"other-text\n"], "add", "bert@example.test")
    assert status == 2 and "not the same" in written
    assert "bert@example.test" not in accounts.users()
    written, status = at_terminal(accounts, [INTERRUPT], "add", "bert@example.test")
    assert status == 2 and "interrupted" in written


def test_commands_at_the_same_time_all_take_effect(accounts):
    accounts.run("add", "first@example.test", text="secret\n")
    failures = []

    def add(number):
        try:
            accounts.run("add", f"user{number}@example.test", text="secret\n")
        except AssertionError as problem:
            failures.append(problem)

    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(accounts.users()) == 9


def test_a_locked_database_is_a_temporary_error(accounts):
    accounts.run("add", "anna@example.test", text="secret\n")
    holder = sqlite3.connect(accounts.file, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    assert "locked" in accounts.run("add", "bert@example.test", text="secret\n", status=75)
    holder.execute("ROLLBACK")
    holder.close()
    accounts.run("add", "bert@example.test", text="secret\n")


def test_a_command_that_is_killed_leaves_all_or_nothing(accounts):
    accounts.run("add", "anna@example.test", text="secret\n")
    for number in range(6):
        process = subprocess.Popen([POSTERN, "user", "add", "-c", str(accounts.conf), f"user{number}"], stdin=subprocess.PIPE,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENVIRONMENT)
        process.stdin.write(b"secret\n")
        process.stdin.close()
        try:
            process.wait(0.05 * number)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
    users = accounts.users()
    assert "anna@example.test" in users
    assert all(user["scram_sha1"] and user["scram_sha256"] for user in users.values())


def test_a_file_that_is_no_user_database_is_left_alone(accounts):
    other = sqlite3.connect(accounts.file)
    other.execute("CREATE TABLE mine (x)")
    other.commit()
    other.close()
    before = accounts.file.read_bytes()
    assert "not a user database" in accounts.run("add", "anna@example.test", text="secret\n", status=1)
    assert accounts.file.read_bytes() == before

# SPDX-License-Identifier: ISC
"""Lookups as a running server makes them: asked by a front, answered by the lookup role inside of its walls, from files, databases
and sockets. What each driver does in detail is the matter of the unit tests (src/lookup)."""
import shutil
import socket
import sqlite3
import struct
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest

from harness import Server, end_with_us, free_ports, wait_for
from postgres import Postgres


def cdb_hash(key):
    value = 5381
    for byte in key:
        value = ((value << 5) + value ^ byte) & 0xFFFFFFFF
    return value


def write_cdb(path, pairs):
    """https://cr.yp.to/cdb/cdb.txt"""
    body, tables = bytearray(2048), [[] for _ in range(256)]
    for key, value in pairs.items():
        key, value = key.encode(), value.encode()
        tables[cdb_hash(key) & 255].append((cdb_hash(key), len(body)))
        body += struct.pack("<LL", len(key), len(value)) + key + value
    for number, table in enumerate(tables):
        struct.pack_into("<LL", body, 8 * number, len(body), 2 * len(table))
        slots = [(0, 0)] * (2 * len(table))
        for value, position in table:
            slot = (value >> 8) % len(slots)
            while slots[slot][1]:
                slot = (slot + 1) % len(slots)
            slots[slot] = (value, position)
        body += b"".join(struct.pack("<LL", *slot) for slot in slots)
    path.write_bytes(body)


class Redis:
    def __init__(self):
        if not shutil.which("redis-server"):
            pytest.fail("Redis is missing: tools/deps.sh test")
        (self.port,) = free_ports(1)
        self.process = subprocess.Popen(["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/tmp", preexec_fn=end_with_us)
        wait_for("Redis", self.up)

    def up(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), 5) as connection:
                words = ["set", "user:o'hara@client.test", "{red}"]
                connection.sendall("".join(["*3\r\n", *(f"${len(word)}\r\n{word}\r\n" for word in words)]).encode())
                return connection.recv(100) == b"+OK\r\n"
        except ConnectionError:
            return False

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


class Echo:
    """A server on a Unix socket that answers with what it got, or not at all."""

    def __init__(self, path, silent=False):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        path.chmod(0o777)
        self.listener.listen()
        self.silent, self.kept = silent, []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            connection, _ = self.listener.accept()
            if self.silent:
                self.kept.append(connection)
                continue
            got = b""
            while part := connection.recv(1000):
                got += part
            connection.sendall(b"echo " + got)
            connection.close()


QUESTIONS = {
    "lsearch": ("${lookup{$sender_address}lsearch{@DIR@/list}}", "from a list"),
    "partial": ("${lookup{$sender_address_domain}partial1-lsearch{@DIR@/list}{$value $1}}", "from a domain client"),
    "wild": ("${lookup{$sender_address}nwildlsearch{@DIR@/wild}}", "a pattern"),
    "address": ("${lookup{$sender_host_address}iplsearch{@DIR@/addresses}}", "loopback"),
    "cdb": ("${lookup{$sender_address}cdb{@DIR@/list.cdb}}", "from a cdb"),
    "dsearch": ("${lookup{$sender_address}dsearch{@DIR@/entries}}", "o'hara@client.test"),
    "json": ("${lookup{$sender_address : 1}json{@DIR@/list.json}}", "second"),
    "sqlite": ("${lookup sqlite,file=@DIR@/list.db{select home from users where address='$sender_address'}}", "/home/o"),
    "quoted": ("${lookup sqlite,file=@DIR@/list.db{select home from users where address='${quote_sqlite:$sender_address}'}}", "/home/o"),
    "pgsql": ("${lookup pgsql{select home from users where address='$sender_address'}}", "/home/o"),
    "redis": ("${lookup redis{get user:$sender_address}}", "{red}"),
    "passwd": ("${extract{2}{:}{${lookup passwd{root}}}}", "0"),
    "nouser": ("${lookup passwd{no-such-user}{yes}{no}}", "no"),
    "readfile": ("${readfile{@DIR@/text}{ }}", "two lines "),
    "exists": ("${if exists{@DIR@/text}{yes}{no}}${if exists{@DIR@/nothing}{yes}{no}}", "yesno"),
    "stat": ("${extract{smode}{${stat:@DIR@/text}}}", "-rw-r--r--"),
    "crypt": ("${if crypteq{test}{abgOeLfPimXQo}{yes}{no}}", "yes"),
    "socket": ("${readsocket{@DIR@/echo}{$sender_address}}", "echo o'hara@client.test"),
    "fallback": ("${readsocket{@DIR@/nosocket}{x}{1s}{}{no answer}}", "no answer"),
}
TROUBLE = {
    "missing": "${lookup{$sender_address}lsearch{@DIR@/nothing}}",
    "badsql": "${lookup sqlite,file=@DIR@/list.db{selec}}",
    "downpg": "${lookup pgsql,servers=127.0.0.1::1/a/b/c{select 1}}",
    "downredis": "${lookup redis,servers=127.0.0.1::1//{get a}}",
    "slash": "${lookup{a/$sender_address}dsearch{@DIR@/entries}}",
    "silentpg": "${lookup pgsql,servers=(@DIR@/.s.PGSQL.1)/a/b/c{select 1}}",
}


def fill(directory):
    (directory / "list").write_text("\"o'hara@client.test\": from\n  a list\n*.test: from a domain\n")
    (directory / "wild").write_text("^[a-z]'[a-z]+@  a pattern\n")
    (directory / "addresses").write_text("127.0.0.0/8: loopback\n")
    (directory / "list.json").write_text('{"o\'hara@client.test": ["first", "second"]}')
    (directory / "text").write_text("two\nlines\n")
    (directory / "entries").mkdir()
    (directory / "entries" / "o'hara@client.test").touch()
    write_cdb(directory / "list.cdb", {"o'hara@client.test": "from a cdb", "other": "x"})
    with sqlite3.connect(directory / "list.db") as database:
        database.execute("create table users (address text, home text)")
        database.execute("insert into users values ('o''hara@client.test', '/home/o')")
    for path in directory.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


@pytest.fixture(scope="module")
def asking(certificates):
    postgres, redis, directory = Postgres(), Redis(), Path(tempfile.mkdtemp(prefix="postern-lookups-"))
    postgres.sql("create table users (address text, home text); insert into users values ('o''hara@client.test', '/home/o')")
    directory.chmod(0o755)
    fill(directory)
    Echo(directory / "echo")
    Echo(directory / ".s.PGSQL.1", silent=True)
    rules = ["begin acl", "check_rcpt:"]
    for name, (question, _) in QUESTIONS.items():
        rules += [f"  deny local_parts = {name}", f"    message = <{question}>"]
    for name, question in TROUBLE.items():
        rules += [f"  accept local_parts = {name}", f"    condition = {question}"]
    acls = "\n".join([*rules, "  accept", ""]).replace("@DIR@", str(directory))
    one = Server(certificates, extra=acls, main={
        "acl_smtp_rcpt": "check_rcpt", "pgsql_servers": postgres.servers,
        "redis_servers": f"127.0.0.1::{redis.port}//"}).start()
    one.lookups = directory
    yield one
    one.stop()
    for started in (postgres, redis):
        started.stop()
    shutil.rmtree(directory)


def ask(server, name):
    with server.connect() as client:
        client.expect(250, "EHLO client.test")
        client.expect(250, "MAIL FROM:<o'hara@client.test>")
        return client.cmd(f"RCPT TO:<{name}@example.test>")


@pytest.mark.parametrize("name", QUESTIONS)
def test_answer(asking, name):
    code, texts = ask(asking, name)
    assert (code, texts[-1]) == (550, f"<{QUESTIONS[name][1]}>"), asking.log_text()[-1500:]


@pytest.mark.parametrize("name", TROUBLE)
def test_trouble_is_a_temporary_error_in_time(asking, name):
    start = time.monotonic()
    code, _ = ask(asking, name)
    assert code == 451, asking.log_text()[-1500:]
    assert time.monotonic() - start < 30


def test_a_changed_file_counts_at_once(asking):
    for text in ("first", "other", "third"):
        (asking.lookups / "list").write_text(f"\"o'hara@client.test\": {text}\n")
        assert ask(asking, "lsearch")[1][-1] == f"<{text}>"


def test_the_role_is_still_the_same(asking):
    """No question ended it: its walls would, with SIGSYS, at a system call that it does not have."""
    before = asking.role("lookup")
    for name in (*QUESTIONS, "badsql", "downpg"):
        ask(asking, name)
    assert asking.role("lookup") == before
    assert "SIGSYS" not in asking.log_text()

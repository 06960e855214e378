# SPDX-License-Identifier: ISC
"""Bad input to expansions, macros and lookups: each ends in one clear error, quickly, and never takes the program down."""
import os
import re
import select
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest

from harness import POSTERN, SANITIZER, free_ports

ENVIRONMENT = {**os.environ, **SANITIZER, "ASAN_OPTIONS": "exitcode=99:detect_leaks=1"}
BASE = "primary_hostname = mx.example.test\nspool_directory = {0}\nlog_file_path = {0}/%slog\n"
SECONDS = 20  # of the sanitizer build on a busy machine


@pytest.fixture
def conf(tmp_path):
    """conf(text): a configuration with these lines added."""
    def make(text=""):
        path = tmp_path / "conf"
        path.write_text(BASE.format(tmp_path) + text)
        return path
    return make


def expand(conf, *expressions, stdin=None, timeout=SECONDS, arguments=()):
    """Exit status, output, complaints; fails when it takes too long or dies."""
    done = subprocess.run([POSTERN, "expand", "-C", str(conf), *arguments, "--", *expressions], input=stdin, capture_output=True,
                          timeout=timeout, env=ENVIRONMENT)
    assert done.returncode in (0, 1, 2, 75), (done.returncode, done.stderr[-4000:].decode(errors="replace"))
    assert b"Sanitizer" not in done.stderr and b"runtime error" not in done.stderr, done.stderr.decode(errors="replace")
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


def fails(conf, expression, *words):
    """One line "Failed: ..." with these words."""
    status, out, err = expand(conf, expression)
    assert status in (1, 75), (status, out[:500], err)
    assert out.startswith("Failed: ") and out.count("\n") == 1 and out.endswith("\n"), out[:2000]
    assert len(out) < 1000, out[:2000]
    for word in words:
        assert word.lower() in out.lower(), out
    return out


@pytest.mark.parametrize("expression", ["${", "${lc", "${lc:", "${lc:a", "${if", "${if eq", "${if eq{a}{b}", "${if eq{a}{b}{c", "${sg{a}{b}{c}",
                                        "${lookup{a}lsearch{/x}", "${map{a:b}{$item}", "${run{/bin/true}", "${if and{{eq{a}{a}}", "${${${${",
                                        "${extract{1}{:}{a", "${readsocket{/x}{y}", "${if forany{a}{eq{$item}{b}", "${hmac{md5}{a}{b}"])
def test_unbalanced_braces(conf, expression):
    out = fails(conf(), expression)
    assert re.search(r"column \d+", out), out


@pytest.mark.parametrize("expression,word", [
    ("$no_such_variable", "no_such_variable"), ("${no_such_variable}", "no_such_variable"), ("${no_such_item{a}}", "no_such_item"),
    ("${no_such_operator:a}", "no_such_operator"), ("${if no_such_condition{a}}", "no_such_condition"), ("${if def:no_such}", "no_such"),
    ("${lookup{a}no_such_type{/x}}", "no_such_type"), ("${quote_nosuch:a}", "nosuch"), ("${listnamed:no_such_list}", "no_such_list"),
    ("${if match_domain{a}{+no_such_list}}", "no_such_list"), ("${acl{no_such_acl}}", "no_such_acl")])
def test_unknown_names_are_named(conf, expression, word):
    fails(conf(), expression, word)


def test_a_mistyped_variable_gets_a_suggestion(conf):
    fails(conf(), "$primary_hostnam", "primary_hostname")


@pytest.mark.parametrize("depth", [101, 1000, 20000])
@pytest.mark.parametrize("form", ["${lc:%s}", "${if eq{a}{a}{%s}}", "${if !%s", "${if and{{%s}}}", "${sg{%s}{a}{b}}", "${map{a}{%s}}",
                                  "${if eq{%s}{a}}", "${lookup{%s}lsearch{/etc/passwd}}", "${expand:%s}"])
def test_nesting_has_a_bound(conf, form, depth):
    before, _, after = form.partition("%s")
    status, out, _ = expand(conf(), stdin=(before * depth + "a" + after * depth + "\n").encode())
    assert status in (1, 75) and out.startswith("Failed: ") and len(out) < 1000, out[:1000]


def test_expansion_that_expands_itself_ends(conf, tmp_path):
    (tmp_path / "table").write_text("again: ${expand:${lookup{again}lsearch{%s/table}}}\n" % tmp_path)
    fails(conf(), "${expand:${lookup{again}lsearch{%s/table}}}" % tmp_path)


def test_wildlsearch_that_looks_itself_up_ends(conf, tmp_path):
    (tmp_path / "table").write_text("${lookup{x}wildlsearch{%s/table}{x}{y}} data\n" % tmp_path)
    status, out, _ = expand(conf(), "${lookup{x}wildlsearch{%s/table}}" % tmp_path)
    assert len(out) < 1000


def test_a_string_of_a_megabyte(conf):
    text = "x" * (1 << 20)
    status, out, _ = expand(conf(), stdin=(text + "\n").encode())
    assert status == 0 and out == text + "\n"
    status, out, _ = expand(conf(), stdin=("${strlen:" + text[:-100] + "}\n").encode())
    assert status == 0 and out == f"{len(text) - 100}\n"


def test_a_longer_string_is_an_error_and_the_next_line_is_read(conf):
    status, out, _ = expand(conf(), stdin=b"x" * (3 << 20) + b"\n${lc:NEXT}\n")
    assert status == 1
    assert re.fullmatch(r"Failed: [^\n]*longer than \d+ bytes[^\n]*\nnext\n", out), out[:500]


def test_a_line_of_nul_bytes(conf):
    status, out, _ = expand(conf(), stdin=b"a\0b\n${lc:A}\n")
    assert out.splitlines()[-1] == "a"


def test_any_bytes_are_survived(conf):
    junk = bytes(range(1, 10)) + bytes(range(11, 256))
    status, out, _ = expand(conf(), stdin=b"${lc:" + junk.replace(b"}", b"").replace(b"\\", b"").replace(b"$", b"") + b"}\n" + junk + b"\n${lc:A}\n")
    assert out.splitlines()[-1] == "a"


@pytest.mark.parametrize("doubling", ["${reduce{1:2:3:4:5:6:7:8:9:10:11:12:13:14:15:16:17:18:19:20:21:22:23:24:25:26:27:28:29:30}{x}{$value$value}}",
                                      "${sg{${sg{${sg{aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}{a}{bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb}}}"
                                      "{b}{cccccccccccccccccccccccccccccccccccccccccccccccccccccc}}}{c}{dddddddddddddddddddddddddddddddddddddddddddddddd}}"])
def test_results_that_double_have_a_bound(conf, doubling):
    fails(conf(), doubling)


def test_loops_within_loops_have_a_bound(conf):
    items = ":".join(str(i) for i in range(50))
    expression = "$item"
    for _ in range(6):
        expression = "${reduce{%s}{0}{%s}}" % (items, expression)
    fails(conf(), expression)


@pytest.mark.parametrize("pattern,subject", [("^(a+)+\\$", "a" * 60 + "!"), ("^(a|aa)+\\$", "a" * 60 + "!"), ("(x+x+)+y", "x" * 60),
                                             ("^(([a-z])+.)+[A-Z]([a-z])+\\$", "a" * 60), ("(.*)*(.*)*(.*)*(.*)*(.*)*Z", "a" * 200)])
def test_regular_expressions_that_backtrack_without_end(conf, pattern, subject):
    """None of them matches: that is found out, or the search is given up."""
    start = time.monotonic()
    status, out, _ = expand(conf(), "${if match{%s}{%s}{y}{n}}" % (subject, pattern))
    assert time.monotonic() - start < SECONDS
    assert (status, out) == (0, "n\n") or (status == 1 and "given up" in out), out


def test_deep_and_long_regular_expressions(conf):
    fails(conf(), "${if match{a}{%s}{y}{n}}" % ("(" * 5000 + ")" * 5000))
    fails(conf(), "${if match{a}{\\N(?<n>a){65535}{65535}\\N}{y}{n}}")
    status, out, _ = expand(conf(), stdin=b"${if match{a}{" + b"a?" * 60000 + b"}{y}{n}}\n")
    assert out.startswith("Failed: a regular expression of 120000 bytes is too long") and len(out) < 1000, out[:1000]


def test_macros_that_name_themselves_end(conf):
    """A macro is not looked for in its own text, nor are those before it: as with Exim."""
    path = conf("LOOP = a LOOP b\nsmtp_banner = LOOP\nONE = TWO\nTWO = ONE\nqualify_domain = ONE\n")
    done = subprocess.run([POSTERN, "check", "-c", path, "--print", "--bare", "smtp_banner", "qualify_domain"], capture_output=True, text=True,
                          timeout=SECONDS, env=ENVIRONMENT)
    assert (done.returncode, done.stdout.splitlines()) == (0, ["a LOOP b", "TWO"]), done


def test_macros_that_double_have_a_bound(conf):
    lines = ["M00 = xxxxxxxxxx"] + [f"M{i:02} = M{i - 1:02}M{i - 1:02}M{i - 1:02}M{i - 1:02}" for i in range(1, 40)]
    status, out, err = expand(conf("\n".join(lines) + "\nqualify_domain = M39\n"), "$qualify_domain")
    assert status == 2 and "error" in err and len(err) < 4000, err[:2000]


def test_includes_that_include_each_other_end(conf, tmp_path):
    (tmp_path / "one").write_text(f".include {tmp_path}/two\n")
    (tmp_path / "two").write_text(f".include {tmp_path}/one\n")
    status, out, err = expand(conf(f".include {tmp_path}/one\n"), "x")
    assert status == 2 and "include" in err and err.count("\n") < 5, err


def test_a_missing_include_names_file_and_line(conf, tmp_path):
    status, out, err = expand(conf(f".include {tmp_path}/none\n"), "x")
    assert status == 2 and re.search(r"conf:4: error: .*none", err), err


def test_a_missing_configuration_is_said(tmp_path):
    status, out, err = expand(tmp_path / "none", "x")
    assert status == 2 and str(tmp_path / "none") in err and "No such file" in err


def test_an_error_in_the_configuration_names_line_and_column(conf):
    status, out, err = expand(conf("smtp_banner = $primary_hostname ${lc:x} ${nosuch:y}\n"), "x")
    assert status == 2 and re.search(r"conf:4:\d+: error: .*smtp_banner.*nosuch|conf:4: error: .*smtp_banner.*nosuch", err), err
    assert re.search(r"4:\d+|column \d+|\^", err), err


@pytest.mark.parametrize("expression", ["${lookup{a}lsearch{%s/none}}", "${readfile{%s/none}}", "${stat:%s/none}", "${lookup{a}cdb{%s/none}}",
                                        "${lookup{a}dsearch{%s/none}}", "${lookup{a}json{%s/none}}", "${lookup{1.2.3.4}iplsearch{%s/none}}",
                                        "${if match_domain{a}{lsearch;%s/none}}", "${if match_domain{a}{%s/none}}",
                                        "${readsocket{%s/none}{x}}", "${lookup sqlite,file=%s/none/none {select 1}}"])
def test_missing_files_are_named(conf, tmp_path, expression):
    fails(conf(), expression % tmp_path, "none", "No such file" if "sqlite" not in expression else "")


def test_unreadable_files_are_named():
    """As root, who can read everything, the program runs as nobody."""
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        (Path(directory) / "conf").write_text(BASE.format(directory))
        (Path(directory) / "secret").write_text("a: b\n")
        os.chmod(directory + "/secret", 0)
        for expression in ("${lookup{a}lsearch{%s/secret}}", "${readfile{%s/secret}}", "${lookup{a}cdb{%s/secret}}",
                           "${if match_domain{a}{%s/secret}}"):
            done = subprocess.run([POSTERN, "expand", "-C", directory + "/conf", expression % directory], capture_output=True,
                                  timeout=SECONDS, env=ENVIRONMENT, **({"user": 65534, "group": 65534} if os.geteuid() == 0 else {}))
            out = done.stdout.decode()
            assert done.returncode in (1, 75) and out.startswith("Failed: ") and "secret" in out and "denied" in out, done


@pytest.fixture
def meanwhile():
    """meanwhile(work): calls it again and again on another thread until the test ends."""
    over, threads = threading.Event(), []

    def start(work):
        def loop():
            while not over.is_set():
                work()
        threads.append(threading.Thread(target=loop, daemon=True))
        threads[-1].start()
    yield start
    over.set()
    for thread in threads:
        thread.join(30)


def test_a_file_that_is_replaced_while_it_is_read_is_read_whole(conf, tmp_path, meanwhile):
    path, turn = tmp_path / "list", iter(range(1 << 30))

    def replace():
        letter = "ab"[next(turn) % 2]
        (tmp_path / "new").write_text(f"first: {letter * 20000}\nlast: {letter * 20000}\n")
        os.replace(tmp_path / "new", path)
    replace()
    meanwhile(replace)
    question = "${sg{${lookup{first}lsearch{%s}}}{^(.).*}{\\$1}}${strlen:${lookup{last}lsearch{%s}}}" % (path, path)
    _, out, _ = expand(conf(), stdin=(question + "\n").encode() * 40)
    assert set(out.splitlines()) <= {"a20000", "b20000"}, out[:500]


def test_a_file_that_grows_while_it_is_read_is_read_or_told(conf, tmp_path, meanwhile):
    path = tmp_path / "list"
    path.write_text("first: value\n")

    def append():
        if path.stat().st_size < 4 << 20:
            with open(path, "a", encoding="utf-8") as file:
                file.write("key: " + "x" * 200 + "\n")
    meanwhile(append)
    _, out, _ = expand(conf(), stdin=b"${lookup{first}lsearch{%s}}\n" % str(path).encode() * 40)
    lines = out.splitlines()
    assert len(lines) == 40
    assert all(line == "value" or (line.startswith("Failed: ") and "changes while it is read" in line) for line in lines), lines


@pytest.mark.parametrize("expression", ["${lookup{a}lsearch{%s}}", "${readfile{%s}}", "${lookup{a}cdb{%s}}", "${lookup{a}json{%s}}"])
def test_a_directory_is_no_file(conf, tmp_path, expression):
    fails(conf(), expression % tmp_path, str(tmp_path))


@pytest.mark.parametrize("expression", ["${lookup{a}lsearch{%s/pipe}}", "${readfile{%s/pipe}}", "${lookup{a}cdb{%s/pipe}}",
                                        "${lookup{a}json{%s/pipe}}", "${if match_domain{a}{%s/pipe}}", "${lookup sqlite,file=%s/pipe {select 1}}"])
def test_a_pipe_does_not_hang_it(conf, tmp_path, expression):
    os.mkfifo(tmp_path / "pipe")
    fails(conf(), expression % tmp_path, "pipe")


@pytest.mark.parametrize("junk", [b"", b"\0" * 4096, b"\xff" * 4096, os.urandom(20000), b"{" * 20000, b"SQLite format 3\0" + b"\xff" * 4096],
                         ids=["empty", "nul", "ff", "random", "braces", "sqlite"])
@pytest.mark.parametrize("expression", ["${lookup{a}cdb{%s}{y}{n}}", "${lookup{a}json{%s}{y}{n}}", "${lookup{a}lsearch{%s}{y}{n}}",
                                        "${lookup{1.2.3.4}iplsearch{%s}{y}{n}}", "${lookup{a}nwildlsearch{%s}{y}{n}}",
                                        "${lookup sqlite,file=%s {select 1 from x}{y}{n}}"], ids=["cdb", "json", "lsearch", "iplsearch", "nwildlsearch", "sqlite"])
def test_files_of_junk(conf, tmp_path, junk, expression):
    (tmp_path / "junk").write_bytes(junk)
    status, out, _ = expand(conf(), expression % (tmp_path / "junk"))
    assert out.count("\n") == 1 and len(out) < 1000, out[:1000]


def test_a_busy_database_is_put_off(conf, tmp_path):
    path = tmp_path / "db"
    with sqlite3.connect(path) as database:
        database.execute("create table t (a)")
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("begin exclusive")
    try:
        status, out, _ = expand(conf(), "${lookup sqlite,file=%s {select a from t}}" % path, timeout=60)
    finally:
        holder.close()
    assert status == 75 and out.startswith("Failed: ") and str(path) in out, (status, out)


@pytest.mark.parametrize("kind", ["refused", "silent", "closing", "junk"])
@pytest.mark.parametrize("option,expression", [("pgsql_servers = 127.0.0.1::%d/db/user/pass", "${lookup pgsql{select 1}}"),
                                               ("redis_servers = 127.0.0.1::%d/0/", "${lookup redis{get x}}")], ids=["pgsql", "redis"])
def test_database_servers_that_are_down_slow_or_lying(conf, kind, option, expression):
    port = free_ports(1)[0]
    held = []
    listener = socket.socket()
    if kind != "refused":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()

        def serve():
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                held.append(client)
                if kind == "junk":
                    client.sendall(b"\xff" * 1000 + b"\r\n")
                if kind != "silent":
                    client.close()
        threading.Thread(target=serve, daemon=True).start()
    try:
        start = time.monotonic()
        status, out, _ = expand(conf(option % port + "\n"), expression, arguments=("--timeout", "2s"))
        assert time.monotonic() - start < 15
    finally:
        listener.close()
        for client in held:
            client.close()
    assert status in (1, 75) and out.startswith("Failed: ") and out.count("\n") == 1 and len(out) < 1000, (status, out)
    assert f"127.0.0.1:{port}: " in out, out
    assert "pass" not in out.split("127.0.0.1", 1)[-1].split(":")[0], out


@pytest.mark.parametrize("reply", [b"", b"x" * (8 << 20)], ids=["nothing", "without-end"])
def test_sockets_that_say_nothing_or_too_much(conf, tmp_path, reply):
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve():
            client, _ = listener.accept()
            with client:
                try:
                    client.sendall(reply)
                    until_gone = select.poll()
                    until_gone.register(client, 0)
                    until_gone.poll()
                except OSError:
                    pass
        threading.Thread(target=serve, daemon=True).start()
        fails(conf(), "${readsocket{%s}{hello}{1s}}" % path)


def test_commands_that_hang_or_write_without_end(conf, tmp_path):
    status, out, _ = expand(conf(), "${run{/bin/sh -c \"yes | head -c 100000000\"}{y}{n}}", timeout=60)
    assert len(out) < 1000


def test_a_peers_text_names_no_file_and_no_command(conf):
    for expression in ("${readfile{$sender_address}}", "${run{$sender_address}{y}{n}}", "${lookup{a}lsearch{$sender_address}}",
                       "${expand:$sender_address}", "${stat:$sender_address}", "${readsocket{$sender_address}{x}}"):
        status, out, _ = expand(conf(), expression, arguments=("-f", "/etc/passwd"))
        assert status == 1 and out.startswith("Failed: ") and re.search("peer|taint", out, re.I), (expression, out)


def test_a_message_that_is_none(conf, tmp_path):
    for name, text in (("empty", b""), ("nul", b"\0" * 1000), ("long", b"Subject: " + b"x" * (1 << 20)), ("cr", b"A: b\rC: d\r\r\n"),
                       ("colons", b":::::\n"), ("random", os.urandom(50000))):
        (tmp_path / name).write_bytes(text)
        status, out, _ = expand(conf(), "${strlen:$h_subject:}/${strlen:$message_body}/$body_linecount", arguments=("-bem", str(tmp_path / name)))
        assert status == 0, (name, out)
    for name in ("none", "."):
        status, out, err = expand(conf(), "x", arguments=("-bem", str(tmp_path / name)))
        assert status == 2 and str(tmp_path / name) in err, (out, err)


@pytest.mark.parametrize("arguments,word", [(["-oMa", "300.1.1.1"], "-oMa"), (["-oMa"], "-oMa"), (["-oMi", "x"], "-oMi"), (["--nosuch"], "nosuch"),
                                            (["-D", "lower=x"], "lower"), (["-oMx", "y"], "-oMx")])
def test_bad_arguments_are_usage_errors(conf, arguments, word):
    done = subprocess.run([POSTERN, "expand", "-C", str(conf()), *arguments], stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS,
                          env=ENVIRONMENT)
    assert done.returncode == 2 and word in done.stderr.decode(), done

# SPDX-License-Identifier: ISC
"""Configurations that cannot be: each is one clear error with its file and line, and a running server keeps what it has."""
import json
import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from harness import POSTERN, ROOT, SANITIZER, make_message


def check(conf, status=2, user=None):
    run = subprocess.run([POSTERN, "check", "--json", "-c", str(conf)], capture_output=True, text=True,
                         env={**os.environ, **SANITIZER}, timeout=60, user=user)
    assert run.returncode == status, run
    return json.loads(run.stdout)["problems"]


CASES = {
    "a macro that grows without end": ("AA = xx\n" + "AA == AAAA\n" * 40, 2, 40, "longer than 262144 bytes"),
    "a macro that names itself in its name": ("AA = x\nXAA = y\n", 2, 2, "its name contains that of macro AA"),
    "a file that includes itself": (".include {conf}\n", 1, 1, "includes itself"),
    "a circle of files": (".include {dir}/one\n", 1, 1, "includes itself"),
    "a file that is missing": ("\n\n.include {dir}/none\n", 3, 3, "No such file"),
    "a directory in the place of a file": (".include {dir}\n", 1, 1, "is not a regular file"),
    "a pipe in the place of a file": (".include {dir}/pipe\n", 1, 1, "is not a regular file"),
    "a list's file that is missing": ("domainlist d = a.example : {dir}/none\n", 1, 1, "No such file"),
    "a condition without an end": ("x = \n.ifdef MAC\n", 1, 2, None),
    "a NUL byte": ("qualify_domain = a\0b\n", 1, 1, "NUL byte"),
    "a named list that refers to itself": ("domainlist d = +e\ndomainlist e = +d\n", 1, 2, None),
    "a brace that is missing": ("smtp_banner = ${{if eq{{1}}{{1}}{{yes}}\n", 1, 1, "}"),
    "an unknown item": ("smtp_banner = a ${{nosuch{{x}}}}\n", 1, 1, "nosuch"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_mistake_is_an_error_at_its_place(tmp_path, name):
    text, first, last, part = CASES[name]
    conf = tmp_path / "conf"
    (tmp_path / "one").write_text(f".include {tmp_path}/two\n")
    (tmp_path / "two").write_text(f".include {tmp_path}/one\n")
    os.mkfifo(tmp_path / "pipe")
    text = text.replace("{conf}", str(conf)).replace("{dir}", str(tmp_path)).replace("{{", "{").replace("}}", "}")
    conf.write_text(text)
    problems = check(conf)
    assert problems and all(problem["file"].startswith(str(tmp_path)) for problem in problems), problems
    assert all(first <= problem["line"] <= last for problem in problems), problems
    assert part is None or part in problems[0]["text"], problems
    assert len(problems) <= 3, problems


def test_columns_are_shown_with_the_line(tmp_path):
    conf = tmp_path / "conf"
    conf.write_text("primary_hostname = h.example\nsmtp_banner = \\\n   \"\\x41 $primary_hostname ${nosuch}\"\n")
    problem, = check(conf)
    assert (problem["line"], problem["column"]) == (3, 28), problem
    run = subprocess.run([POSTERN, "check", "-c", str(conf)], capture_output=True, text=True, timeout=60,
                         env={**os.environ, **SANITIZER})
    lines = run.stderr.splitlines()
    assert lines[0].startswith(f"{conf}:3:28: error: option smtp_banner: ")
    assert lines[1] == "   \"\\x41 $primary_hostname ${nosuch}\"" and lines[2] == " " * 27 + "^"


def test_an_acl_that_is_called_must_be_there(tmp_path):
    conf = tmp_path / "conf"
    conf.write_text("primary_hostname = h.example\nacl_smtp_rcpt = accept acl = relay\nsmtp_banner = ${acl{gret}}\n"
                    "received_header_text = ${acl{greet}}${acl{accept message=x}}${acl{/etc/greet.acl}}\nbegin acl\n"
                    "check:\n  deny acl = chek_relay x\n  deny condition = ${if acl{{greet}}{${if acl{ {chek_relay} }}}}\n  require acl = greet\n"
                    "  deny acl = deny!encrypted=*\n  deny acl = /etc/greet.acl\n  deny acl = deny\\nmesage=x\n"
                    "greet:\n  accept message = hi\n")
    found = [(problem["line"], problem["column"], problem["text"].split(";")[0]) for problem in check(conf)]
    assert [place[:2] for place in found] == [(2, 0), (3, 21), (7, 14), (8, 49), (12, 14)], found
    assert all("there is no ACL of the name" in place[2] for place in found[:4]), found


def test_an_unreadable_file_is_named():
    """As root, who can read everything, the program runs as nobody."""
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        conf, secret = Path(directory) / "conf", Path(directory) / "secret"
        secret.write_text("qualify_domain = x\n")
        secret.chmod(0)
        conf.write_text(f"primary_hostname = h\n.include {secret}\n")
        problem, = check(conf, user=65534 if ROOT else None)
        assert problem["line"] == 2 and "Permission denied" in problem["text"] and str(secret) in problem["text"]


def test_a_reload_with_an_error_keeps_the_rules_in_force(server):
    one = server(start=False)
    good = one.conf.read_text()
    one.conf.write_text(good + "\nbegin rewrite\n*@old.test  $1@example.test\n")
    one.start()
    one.conf.write_text(good + "\nbegin rewrite\n*@old.test  ${nosuch:$1}@example.test\n")
    line = len(good.splitlines()) + 3
    start = one.mark()
    one.reload()
    found = one.wait_log(rf"{one.conf}:(\d+):(\d+): error: rewrite rule", start)
    assert int(found[1]) == line and int(found[2]) == 13
    one.send(make_message(), "user@old.test")
    one.wait_log(r"=> user <user@example\.test>", start)

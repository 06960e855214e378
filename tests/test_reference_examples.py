# SPDX-License-Identifier: ISC
"""The manual: docs/reference.md is what the program prints, its expansion examples give what it says, and the manual pages are
well-formed."""
import os
import re
import shutil
import subprocess

import pytest

from harness import POSTERN, SANITIZER, TREE

ENVIRONMENT = {**os.environ, **SANITIZER}
REFERENCE = (TREE / "docs/reference.md").read_text(encoding="utf-8")
CONF = ("primary_hostname = mx.example.org\nqualify_domain = example.org\nspool_directory = {0}\nlog_file_path = {0}/%slog\n"
        "domainlist local_domains = example.org : *.example.net\n")


def postern(*arguments, stdin=b""):
    return subprocess.run([POSTERN, *map(str, arguments)], input=stdin, capture_output=True, timeout=60, env=ENVIRONMENT)


def examples():
    """Blocks "EXPRESSION / gives: RESULT" under their heading; the result may have several lines."""
    heading, found = "", []
    lines = REFERENCE.splitlines()
    for number, line in enumerate(lines):
        if line.startswith("#"):
            heading = line.lstrip("# ")
        match = re.match(r"    gives: (.*)", line)
        if not match:
            continue
        result = [match[1]]
        for more in lines[number + 1:]:
            if not more.startswith("    "):
                break
            result.append(more[4:])
        found.append((f"{number}:{heading}", lines[number - 1][4:], "" if result == ["(nothing)"] else "\n".join(result)))
    return found


@pytest.fixture(scope="module")
def conf(tmp_path_factory):
    directory = tmp_path_factory.mktemp("reference")
    path = directory / "conf"
    path.write_text(CONF.format(directory))
    return path


def test_reference_is_what_the_program_prints():
    done = postern("check", "--reference")
    assert done.returncode == 0 and done.stderr == b""
    assert done.stdout.decode() == REFERENCE, "docs/reference.md is not up to date: postern check --reference > docs/reference.md"


@pytest.mark.parametrize("heading,expression,result", examples(), ids=[name for name, *_ in examples()])
def test_example_gives_what_the_manual_says(conf, heading, expression, result):
    done = postern("expand", "-C", conf, "--", expression)
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    assert done.stdout.decode("utf-8", "surrogateescape").removesuffix("\n") == result


def test_there_are_examples_of_every_kind():
    chapters = {chapter: len(re.findall(r"^    gives: ", text, re.M))
                for chapter, text in re.findall(r"(?ms)^## ([^\n]*)\n(.*?)(?=^## |\Z)", REFERENCE)}
    for chapter, least in (("Lists", 8), ("Items", 15), ("Operators", 40), ("Conditions", 25)):
        assert chapters[chapter] >= least, (chapter, chapters)


def test_every_variable_has_an_example():
    chapter = re.search(r"(?ms)^## Variables\n(.*?)^## ", REFERENCE)[1]
    for entry in re.split(r"(?m)^### ", chapter)[1:]:
        name, _, body = entry.partition("\n")
        assert re.search(r"(?m)^    .*\$", body) or "Not available" in body, name


@pytest.mark.parametrize("page", ["postern", "postern.conf"])
def test_manual_page_is_well_formed(page, tmp_path):
    done = postern("check", "--man", page)
    assert done.returncode == 0 and done.stderr == b""
    path = tmp_path / page
    path.write_bytes(done.stdout)
    lint = subprocess.run(["mandoc", "-Tlint", "-Wwarning", path], capture_output=True, text=True, timeout=60)
    assert lint.stdout == "" and lint.returncode == 0, lint.stdout
    shown = subprocess.run(["man", "--warnings", "-l", path], capture_output=True, text=True, timeout=60,
                           env={**os.environ, "MANPAGER": "cat", "LC_ALL": "C.UTF-8"})
    assert shown.returncode == 0 and shown.stderr == "", shown.stderr
    assert "NAME" in shown.stdout and page in shown.stdout


def test_unknown_page_is_a_usage_error():
    done = postern("check", "--man", "nothing")
    assert done.returncode == 2 and b"postern.conf" in done.stderr


def test_pages_are_installed(tmp_path):
    if not shutil.which("man"):
        pytest.fail("man is missing: tools/deps.sh test")
    build = os.path.dirname(POSTERN)
    subprocess.run([TREE / "tools/install.sh"], check=True, capture_output=True, cwd="/",
                   env={**ENVIRONMENT, "BUILD": os.path.relpath(build, TREE), "PREFIX": "/usr", "DESTDIR": str(tmp_path)})
    for page in ("man8/postern.8", "man5/postern.conf.5"):
        assert (tmp_path / "usr/share/man" / page).read_text().startswith(".\\\"")

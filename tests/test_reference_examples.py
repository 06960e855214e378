# SPDX-License-Identifier: ISC
"""The manual: docs/reference.md is what the program prints, its expansion examples give what it says, its examples of ACLs load where
it says, and the manual pages are well-formed."""
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


# ---- ACLs ----

ACL_CHAPTERS = ("ACL verbs", "ACL conditions", "ACL modifiers", "ACL controls", "ACL verification")
HOSTS = "hostlist relay_hosts = 192.0.2.0/24\n"
CALLED = "check_relay:\n  accept\n"


def chapter(title):
    return re.search(rf"(?ms)^## {title}\n(.*?)(?=^## |\Z)", REFERENCE)[1]


def entries(title):
    """The entries of a chapter: (heading, text, the lines of its example)."""
    for entry in re.split(r"(?m)^### ", chapter(title))[1:]:
        name, _, body = entry.partition("\n")
        yield name, body, "".join(line[4:] + "\n" for line in body.splitlines() if line.startswith("    "))


POINTS = [name for name, *_ in entries("ACL points")]
WORDS = [(title, *entry) for title in ACL_CHAPTERS for entry in entries(title)]
AVAILABLE = [word for word in WORDS if "Not available." not in word[2]]


def allowed_points(body):
    """Those that the line "Where: ..." names; a verb has no such line, and its example is one for recipients."""
    where = re.search(r"(?m)^Where: (.*?)\. ?(Options|$)", body)
    if not where:
        return ["acl_smtp_rcpt"]
    named = re.findall(r"`(\w+)`", where[1])
    assert set(named) <= set(POINTS), named
    if where[1].startswith("every point"):
        return [point for point in POINTS if point not in named]
    return named


def check_acl(tmp_path, point, statement):
    path = tmp_path / "acl.conf"
    path.write_text(CONF.format(tmp_path) + f"{HOSTS}{point} = tested\nbegin acl\n{CALLED}tested:\n" +
                    "".join(f"  {line}\n" for line in statement.splitlines()))
    done = postern("check", "-c", path)
    return done.returncode, [line for line in (done.stdout + done.stderr).decode().splitlines() if "ACL tested" in line]


@pytest.mark.parametrize("title,name,body,example", AVAILABLE, ids=[f"{title}-{name}" for title, name, *_ in AVAILABLE])
def test_example_of_an_acl_loads_at_the_points_that_the_manual_names(tmp_path, title, name, body, example):
    # endpass has a meaning only in accept and discard
    statement = example if title == "ACL verbs" else ("accept " if name == "endpass" else "warn ") + example
    points = allowed_points(body)
    assert points and example
    assert check_acl(tmp_path, points[0], statement) == (0, [])
    others = [] if title == "ACL verbs" else [point for point in POINTS if point not in points]
    if others:
        code, told = check_acl(tmp_path, others[0], statement)
        assert code == 0 and len(told) == 1 and f"cannot be used in {others[0]}" in told[0], told


REFUSED = [(title, name, re.search(r"Why: (.*)\.", body)[1]) for title, name, body, _ in WORDS if "Not available." in body]


@pytest.mark.parametrize("title,name,reason", REFUSED, ids=[f"{title}-{name}" for title, name, _ in REFUSED])
def test_what_the_manual_says_is_not_available_is_refused_for_that_reason(tmp_path, title, name, reason):
    statement = {"ACL controls": f"control = {name}", "ACL verification": f"verify = {name}"}.get(title, f"{name} = x")
    code, told = check_acl(tmp_path, "acl_smtp_rcpt", f"warn {statement}")
    assert code == 2 and len(told) == 1 and told[0].endswith(f"is not available in this version: {reason}"), told


@pytest.mark.parametrize("point,body,example", list(entries("ACL points")), ids=POINTS)
def test_example_of_a_point_loads(tmp_path, point, body, example):
    assert re.match(rf"{point} = ", example)
    path = tmp_path / "acl.conf"
    path.write_text(CONF.format(tmp_path) + example)
    done = postern("check", "-c", path)
    assert done.returncode == 0, done.stderr


def test_points_that_are_not_available_are_options_that_are_refused(tmp_path):
    missing = re.findall(r"`(acl_\w+)`", "".join(re.findall(r"(?m)^Not available, .*", chapter("ACL points"))))
    assert not set(missing) & set(POINTS)
    for option in missing:
        path = tmp_path / "acl.conf"
        path.write_text(CONF.format(tmp_path) + f"{option} = accept\n")
        done = postern("check", "-c", path)
        assert done.returncode == 2 and option in done.stderr.decode(), option


def test_the_introductory_example_of_acls_loads(tmp_path):
    example = "".join(line[4:] + "\n" for line in chapter("Access control lists").splitlines() if line.startswith("    "))
    path = tmp_path / "acl.conf"
    path.write_text(CONF.format(tmp_path) + HOSTS + "acl_smtp_rcpt = check_recipient\n" + example)
    done = postern("check", "-c", path)
    assert done.returncode == 0 and b"ACL " not in done.stderr, done.stderr


def test_there_are_words_of_acls_of_every_kind():
    counts = {title: sum(word[0] == title for word in AVAILABLE) for title in ACL_CHAPTERS}
    assert counts["ACL verbs"] == 7 and all(count >= 6 for count in counts.values()), counts
    assert len(POINTS) >= 8


# ---- Pages ----

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

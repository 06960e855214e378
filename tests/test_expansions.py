# SPDX-License-Identifier: ISC
"""The table of expansions (expansion_table.py) in Postern, and in Debian's Exim beside it: each row is a test of its own in both.

A row that is marked "exim: differs" must differ: the list of differences is kept honest from both sides.
"""
import os
import subprocess
import tempfile

import pytest

import exim
from expansion_table import make_fixtures, read_table, run_table
from harness import POSTERN, SANITIZER

ROWS = read_table()
ENVIRONMENT = {"POSTERN_TEST_KEPT": "kept value", "POSTERN_TEST_LOST": "lost value"}


@pytest.fixture(scope="module")
def directory():
    with tempfile.TemporaryDirectory(prefix="postern-expand-") as made:
        os.chmod(made, 0o755)
        yield make_fixtures(made)


@pytest.fixture(scope="module")
def postern_results(directory):
    command = [POSTERN, "-C", str(directory / "conf")]
    return run_table(command, {**os.environ, **SANITIZER, **ENVIRONMENT, "LC_ALL": "C.UTF-8"}, ROWS, directory)


@pytest.fixture(scope="module")
def exim_results(directory):
    program, environment = exim.exim()
    return run_table([program, "-C", str(directory / "conf")], {**environment, **ENVIRONMENT}, ROWS, directory, may_die=True)


def describe(row, result):
    good, text = result
    got = f"Failed: {text}" if good is False else text
    return f"{row.name}\n    {row.expression}\n    expected {row.kind} {row.wanted}\n    got      {got}"


def test_table_is_as_large_as_promised():
    assert len(ROWS) >= 600
    assert len({row.name for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_postern(row, directory, postern_results):
    result = postern_results[row.name]
    assert row.holds(result, directory), describe(row, result)
    if row.kind == "!":
        assert result[1], f"{row.name}: the failure gives no reason"
        assert row.wanted.lower() in result[1].lower(), describe(row, result)


@pytest.mark.parametrize("row", [row for row in ROWS if row.exim != "lacks"], ids=lambda row: row.name)
def test_exim(row, directory, exim_results):
    result = exim_results[row.name]
    if row.exim == "differs":
        assert not row.holds(result, directory), f"{row.name}: Exim does not differ: {row.reason}"
    else:
        assert row.holds(result, directory), describe(row, result)


def test_expressions_may_stand_on_the_command_line(directory):
    """The same rows as arguments: a few of each kind, for the way in is all that is different."""
    rows = [row for row in ROWS if not row.arguments and row.kind == "=" and row.section.startswith("conditions.txt")][:100]
    done = subprocess.run([POSTERN, "expand", "-C", directory / "conf", "--", *[row.expression.replace("@DIR@", str(directory)) for row in rows]],
                          capture_output=True, timeout=60, env={**os.environ, **SANITIZER, **ENVIRONMENT})
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode().splitlines() == [row.wanted for row in rows]

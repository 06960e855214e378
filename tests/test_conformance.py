# SPDX-License-Identifier: ISC
"""docs/conformance.md: every test that it names exists, every test of its files is named in it, and no row is empty."""
import ast
import re

import pytest

from harness import TREE

FILES = ("test_chapter_38.py", "test_stapling_rules.py", "test_hardening_guide.py")
TEXT = (TREE / "docs" / "conformance.md").read_text()
WITHOUT_A_TEST = re.compile(r"no rule: \S.*|client")


def rows():
    """(section, sentence, what shows it, [(file, test)])"""
    found = []
    for section in re.split(r"(?m)^## ", TEXT)[1:]:
        title = section.splitlines()[0]
        home = re.search(r"Tests in `(test_\w+\.py)`", section)[1]
        table = [line for line in section.splitlines() if line.startswith("|")]
        for line in table[2:]:
            cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            assert len(cells) == 2, f"{title}: {line}"
            named = [(file or home, test) for file, test in re.findall(r"`(?:(test_\w+\.py)::)?(test_\w+)`", cells[1])]
            found.append((title, *cells, named))
    return found


def names_of_tests(file):
    """The names of its test functions, without running it."""
    return {node.name for node in ast.parse((TREE / "tests" / file).read_text()).body
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def test_every_row_has_a_test_or_the_reason_why_it_has_none():
    assert len(rows()) > 120
    for title, sentence, shown, named in rows():
        assert sentence, f"{title}: an empty sentence"
        if named:
            assert re.fullmatch(r"(`[\w.:]+` ?)+", shown), f"{title}: {shown}"
        else:
            assert WITHOUT_A_TEST.fullmatch(shown), f"{title}: {sentence}: {shown}"


def test_every_test_that_is_named_exists():
    known = {}
    for title, sentence, _, named in rows():
        for file, test in named:
            if file not in known:
                known[file] = names_of_tests(file)
            assert test in known[file], f"{title}: {sentence}: there is no {file}::{test}"


@pytest.mark.parametrize("file", FILES)
def test_every_test_of_its_files_is_named(file):
    named = {test for _, _, _, pairs in rows() for where, test in pairs if where == file}
    assert not names_of_tests(file) - named

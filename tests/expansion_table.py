# SPDX-License-Identifier: ISC
"""The table of expansions in tests/expansions/*.txt, and how to run it.

A file is made of sections, "== SUBJECT: RULE". A section may say "with: ARGUMENTS": what the command line gets (-f, -oMa, -bem FILE).
Each row is an expression on a line of its own, and what it gives:

    = TEXT          this text, to the end of the line
    =\\ TEXT         the same with \\n, \\r, \\t, \\s (space), \\\\ and \\xNN in it
    =~ REGEX        all of the result matches
    ! WORDS         it fails, and the reason has these words
    exim: differs, REASON      Exim 4.96 gives something else (a test sees that it does)
    exim: lacks, REASON        Exim 4.96 has no such thing, or cannot be asked in this way

Expressions and results may name @DIR@, the directory with copies of expansions/fixtures. Lines that begin with "# " are comments.
"""
import re
import shlex
import shutil
import sqlite3
import subprocess
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
TABLE = HERE / "expansions"
SENTINEL = "<<<row {}>>>"


@dataclass
class Row:
    name: str
    section: str
    expression: str
    arguments: tuple
    kind: str = ""        # "=", "=~" or "!"
    wanted: str = ""
    exim: str = ""        # "", "differs" or "lacks"
    reason: str = ""

    def holds(self, result, directory):
        """Whether a result (True, text) or (False, reason) is the one wanted."""
        good, text = result
        if good is None:
            return False
        if self.kind == "!":
            return not good
        return good and (re.fullmatch(self.wanted, text) is not None if self.kind == "=~" else text == fill(self.wanted, directory))


def unescape(text):
    simple = {"n": "\n", "r": "\r", "t": "\t", "s": " ", "\\": "\\"}
    raw = re.sub(rb"\\(x[0-9a-f]{2}|.)", lambda m: bytes([int(m[1][1:], 16)]) if m[1][:1] == b"x" and len(m[1]) == 3
                 else simple.get(m[1].decode(), m[0].decode()).encode(), text.encode())
    return raw.decode("utf-8", "surrogateescape")


RESULT = re.compile(r"(=\\|=~|=|!)(?: (.*))?$")


def read_file(path):
    rows, subject, arguments = [], "", ()
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        where = f"{path.name}:{number}"
        if line.startswith("== "):
            subject, arguments = line[3:], ()
        elif line.startswith("with: "):
            arguments = tuple(shlex.split(line[6:].replace("$", "\\$")) if '"' in line else line[6:].split())
        elif not line or line.startswith("# "):
            continue
        elif line.startswith("exim: "):
            rows[-1].exim, _, rows[-1].reason = line[6:].partition(", ")
            assert rows[-1].exim in ("differs", "lacks") and rows[-1].reason, where
        elif rows and not rows[-1].kind:
            match = RESULT.match(line)
            assert match, f"{where}: expected a result, not: {line}"
            rows[-1].kind = "=" if match[1] == "=\\" else match[1]
            rows[-1].wanted = unescape(match[2] or "") if match[1] == "=\\" else match[2] or ""
        else:
            rows.append(Row(f"{where} {subject}", f"{path.name} {subject}", line, arguments))
    assert all(row.kind for row in rows), path
    return rows


def read_table():
    return [row for path in sorted(TABLE.glob("*.txt")) for row in read_file(path)]


def make_fixtures(directory):
    """The files that rows name, and a configuration that both programs load."""
    directory = Path(directory)
    shutil.copytree(TABLE / "fixtures", directory, dirs_exist_ok=True)
    for path in directory.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    (directory / "spool").mkdir(exist_ok=True)
    database = sqlite3.connect(directory / "db")
    database.executescript("create table users (name text primary key, address text, note text);"
                           "insert into users values ('joe', 'joe@example.org', 'plain');"
                           "insert into users values ('ann', 'ann@example.org', 'it''s \"quoted\"');")
    database.close()
    write_cdb(directory / "data.cdb", {"alpha": "first value", "beta": "second value", "*": "star"})
    conf = directory / "conf"
    conf.write_text((TABLE / "fixtures" / "conf").read_text().replace("@DIR@", str(directory)))
    return directory


def write_cdb(path, records):
    """D. J. Bernstein's constant database: 256 tables of hash slots behind the records."""
    import struct

    def hashed(key):
        h = 5381
        for byte in key:
            h = ((h << 5) + h ^ byte) & 0xffffffff
        return h
    tables, data, at = [[] for _ in range(256)], b"", 2048
    for key, value in records.items():
        key, value = key.encode(), value.encode()
        h = hashed(key)
        tables[h & 255].append((h, at + len(data)))
        data += struct.pack("<LL", len(key), len(value)) + key + value
    header, slots, position = b"", b"", at + len(data)
    for table in tables:
        size = 2 * len(table)
        header += struct.pack("<LL", position, size)
        places = [(0, 0)] * size
        for h, offset in table:
            i = (h >> 8) % size
            while places[i] != (0, 0):
                i = (i + 1) % size
            places[i] = (h, offset)
        slots += b"".join(struct.pack("<LL", *place) for place in places)
        position += 8 * size
    path.write_bytes(header + data + slots)


def fill(text, directory):
    return text.replace("@DIR@", str(directory))


def run_once(command, environment, rows, directory, timeout):
    """Answers of one process to these rows, as far as it got, and what it said when it ended early."""
    arguments = [str(directory / argument) if argument.startswith("message") else fill(argument, directory)
                 for argument in rows[0].arguments]
    if "-bem" not in arguments:
        arguments = ["-be", *arguments]
    lines = []
    for number, row in enumerate(rows):
        lines += [SENTINEL.format(number), fill(row.expression, directory)]
    text = "\n".join(lines + [SENTINEL.format(len(rows))]) + "\n"
    done = subprocess.run([*command, *arguments], input=text.encode(), capture_output=True, timeout=timeout,
                          env=environment, cwd=directory)
    out = done.stdout.decode("utf-8", "surrogateescape")
    parts = re.split(r"(?:^|\n)(?:> )?<<<row (\d+)>>>(?:\n|$)", out)
    answers = [part.removeprefix("> ") for part in parts[2::2]]
    assert list(map(int, parts[1::2])) == list(range(len(answers))), out
    complete = len(answers) == len(rows) + 1
    return answers[:len(rows)] if complete else answers[:-1], complete, done


def run_batch(command, environment, rows, directory, may_die=False, timeout=120):
    """
    Results of all rows, which have the same arguments: [(True, text) or (False, reason)]. A process that ends at a row failed
    there; with may_die (Exim does so for some errors) the rest is asked of another one.
    """
    results = []
    while len(results) < len(rows):
        answers, complete, done = run_once(command, environment, rows[len(results):], directory, timeout)
        results += [(False, answer[8:]) if answer.startswith("Failed: ") else (True, answer) for answer in answers]
        if not complete:
            complaint = f"ended with status {done.returncode}: {done.stderr.decode(errors='replace').strip()[-2000:]}"
            results.append((False if may_die else None, complaint))
    return results


def run_table(command, environment, rows, directory, may_die=False):
    batches = {}
    for row in rows:
        batches.setdefault(row.section, []).append(row)  # what a row leaves behind stays in its section
    results = {}
    for batch in batches.values():
        for row, result in zip(batch, run_batch(command, environment, batch, directory, may_die)):
            results[row.name] = result
    return results

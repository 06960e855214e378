#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""bench/expand_compare.py [BUILD]: evaluations a second of one expansion in Postern and in Debian's Exim, one core each.

Both evaluate it within ${reduce} over lists of so many items: the time for many lists less that for one, taken in turns, the best
of five. That leaves out starting the program and reading the configuration, and includes the loop itself on
both sides. Below it stands what bench/expand.c measures of the evaluation alone, as the server has it: compiled once.

Needs a release build with -Dbenchmarks=true, and the package that tests/exim.py fetches.
"""
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TREE = Path(__file__).resolve().parent.parent
BUILD = Path(sys.argv[1] if len(sys.argv) > 1 else TREE / "build").resolve()
sys.path.insert(0, str(TREE / "tests"))
os.environ.setdefault("POSTERN", str(BUILD / "postern"))
import exim  # noqa: E402  (it wants POSTERN)

EXPRESSION = r"${if match{$sender_address}{^([^@]+)@(.*)\$}{${lc:$2}}{none}}"
ITEMS, SHORT, LONG, ROUNDS = 7000, 1, 20, 5
SENDER = "Firstname.Lastname@Mail.Example.COM"


def expansion():
    """As standard input: Exim takes arguments of 256 bytes and lines of 1023, but joins up to 16 KB that end in backslashes."""
    text = "x:" * (ITEMS - 1) + "x"
    lines = [text[at:at + 800] for at in range(0, len(text), 800)]
    return "${reduce{" + "\\\n".join(lines) + "\\\n}{}{" + EXPRESSION + "}}\n"


def seconds(command, environment, lists):
    start = time.perf_counter()
    done = subprocess.run([*command, "-f", SENDER, "-be"], input=expansion().encode() * lists, capture_output=True,
                          env=environment, check=True)
    taken = time.perf_counter() - start
    answer = done.stdout.decode().replace("> ", "").split()
    if answer != ["mail.example.com"] * lists:
        raise SystemExit(f"{command[0]} answered {answer[:3]!r}: {done.stderr.decode()[:500]}")
    return taken


def main():
    with tempfile.TemporaryDirectory() as directory:
        conf = Path(directory) / "conf"
        conf.write_text(f"primary_hostname = mx.example\nspool_directory = {directory}\nlog_file_path = {directory}/%slog\n")
        program, environment = exim.exim()
        runs = {"Postern, postern expand": ([str(BUILD / "postern"), "-C", str(conf)], dict(os.environ)),
                "Exim, exim -be": ([program, "-C", str(conf)], environment)}
        best = {name: [float("inf"), float("inf")] for name in runs}
        for _ in range(ROUNDS):
            for name, (command, variables) in runs.items():
                for index, lists in enumerate((SHORT, LONG)):
                    best[name][index] = min(best[name][index], seconds(command, variables, lists))
    print(f"{EXPRESSION}\n")
    for name, (short, long) in best.items():
        print(f"{(LONG - SHORT) * ITEMS / (long - short):12,.0f} a second  {name}, within ${{reduce}} over {ITEMS:,} items")
    own = BUILD / "expand"
    if own.exists():
        line = subprocess.run([own, EXPRESSION], capture_output=True, text=True, check=True).stdout.split()[0]
        print(f"{float(line):12,.0f} a second  Postern, bench/expand.c: compiled once, evaluated again and again")


main()

# SPDX-License-Identifier: ISC
"""Rewrite and retry rules beside Debian's Exim: -brw and -brt give the same, but for what is listed with its reason."""
import os
import re
import subprocess

import pytest

import exim
from harness import POSTERN, SANITIZER

HEAD = """primary_hostname = h.example
qualify_domain = q.example
qualify_recipient = qr.example
domainlist loc = a.example : *.a.example
addresslist al = ann@b.example
"""

REWRITE = [
    ("*@*.hitch.example  $1@hitch.example", "fp42@x.hitch.example"),
    ("*@*.hitch.example  $1@hitch.example", "Ford (c) <fp42@x.hitch.example>"),
    ("*queen@*.fict.example $1x$2@z", "hearts-queen@wonderland.fict.example"),
    ("* a$1@z", "foo@bar.example"),
    ("*.example a$1@z", "foo@x.bar.example"),
    ("*@* x$1y$2@z", "foo@x.bar.example"),
    ("*oo@*bar.example x$1y$2.$local_part-$domain@z", "foo@X.bar.example"),
    ("*oo@*bar.example $1@z", "fOO@x.bar.example"),
    ("foo@b x@z", "FOO@b"),
    ("foo@b x@z", "foo@B"),
    ("^(f)(o)@bar x$1y$2z$3@z", "fo@bar"),
    ("^(?i)(f)(o+)@bar x$1y$2z@z", "FOo@BAR"),
    ("\\N^([^!]+)!(.*)@b\\.example$\\N $2@$1", "c.example!user@b.example"),
    ("*@+loc x$1@z", "foo@a.example"),
    ("*@+loc x$1@z", "foo@b.example"),
    ("+al x@z", "ann@b.example"),
    ("!*@a.example x@z", "foo@b.example"),
    ("!*@a.example x@z", "foo@a.example"),
    ("*@$primary_hostname $1@z", "foo@h.example"),
    ("*@b.example *\n*@* z@z", "foo@b.example"),
    ("*@b *  f\n*@* z@z", "foo@b"),
    ("*@a $1@b\n*@b $1@c", "x@a"),
    ("*@* x@y q\n*@* z@w", "foo@b"),
    ("*@* x@y qf\n*@* z@w", "foo@b"),
    ("*@*.s.example $1@$2.example R", "x@a.s.s.s.example"),
    ("*@* a$1@$2 R", "foo@b"),
    ("*@*.s.example $1@$2.example Rq\n*@* z@z", "x@a.s.s.example"),
    ("*@* \"${if eq{1}{2}{x}fail}@y\" f\n*@* z@w", "foo@b"),
    ("*@* \"${if eq{1}{2}{x}fail}@y\" fq\n*@* z@w", "foo@b"),
    ("*@* x Q", "foo@b"),
    ("*@* x\n*@* z@w", "foo@b"),
    ("*@* $1@b1\n*@* $1@\n*@* z@w", "foo@b"),
    ("*@* \"$1 x@b\"", "foo@b"),
    ("*@* \"A B <x@y>\"", "foo@b"),
    ("*@* \"A B <x@y>\" w", "foo@b"),
    ("*@* \"New Name <a@b>\" w", "Foo Bar <foo@b>"),
    ("*@* \"New N\\303\\244me <a@b>\" w", "Foo Bar <foo@b>"),
    ("*@* x@y w", "\"Q\" <foo@b> (cc)"),
    ("*@* x@y", "\"Q\" <foo@b> (cc)"),
    ("*@* x@y", "(aa) foo@b (cc)"),
    ("*@* <x@b>", "Foo <a@b>"),
    ("*@* x@b F\n*@* x@c T\n*@* x@d b\n*@* x@e c\n*@* x@f f\n*@* x@g r\n*@* x@h s\n*@* x@i t", "a@b"),
    ("*@* x@y E\n*@* z@w h", "a@b"),
    ("^.*! x@b S", "foo!bar"),
    ("^.*! x@b S\n*@b $1@c", "foo!bar"),
    ("*@* x@b", "foo"),
    ("", "foo@b"),
]

RULES = """alice@w.example quota_5d  F,7d,3h
w.example       quota_5d
w.example       *         F,1h,15m; G,2d,1h,2;
*.sub.example   timeout   F,90m,5m
"list.example"  rcpt_45x  senders="a.example : *@b.example"  G,1d,10m,1.25
*   rcpt_4xx   senders=:   F,1h,30m
*                 refused_A   F,2h,20m;
!*.neg.example    tls_required  F,1d,1h
^\\N[^@]+@xyz\\d+\\.example$\\N  lookup   F,1w2d3h4m5s,1h
*                 *           F,2h,15m; G,16h,1h,1.5; F,5d,8h
"""

RETRY = [
    (["x@w.example"], None), (["alice@w.example", "quota_6d"], None), (["alice@w.example", "quota_4d"], None),
    (["ALICE@W.example", "quota_6d"], None), (["w.example", "quota_6d"], None), (["w.example", "quota"], None),
    (["h.example", "z.example", "refused_A"], None), (["x.example", "w.example", "refused_A"], None),
    (["h@u.example", "rcpt_451"], ""), (["h@u.example", "rcpt_451"], None), (["h@u.example", "rcpt_451"], "x@y"),
    (["m@list.example", "rcpt_452"], "x@a.example"), (["m@list.example", "rcpt_452"], "x@b.example"),
    (["m@list.example", "rcpt_452"], "x@c.example"), (["m@list.example", "rcpt_442"], "x@b.example"),
    (["a.sub.example", "timeout_connect_MX"], None), (["a.sub.example", "timeout"], None), (["sub.example", "timeout"], None),
    (["u.example", "refused_MX"], None), (["x.neg.example", "tls_required"], None), (["x.pos.example", "tls_required"], None),
    (["a@xyz7.example", "lookup"], None), (["xyz7.example", "lookup"], None), (["xyz.example", "lookup"], None),
    (["u.example", "auth_failed"], None), (["u.example", "lost_connection"], None), (["u.example", "data_421"], None),
]


@pytest.fixture(scope="module")
def oracle():
    return exim.exim()


def write(tmp_path, text):
    conf = tmp_path / "conf"
    conf.write_text(HEAD + text)
    return str(conf)


def run(command, environment):
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    return done.stdout


@pytest.mark.parametrize("rules, address", REWRITE)
def test_rewriting_is_that_of_exim(tmp_path, oracle, rules, address):
    program, environment = oracle
    conf = write(tmp_path, "begin rewrite\n" + rules + "\n")
    wanted = run([program, "-C", conf, "-brw", address], environment)
    got = run([POSTERN, "rewrite", "-c", conf, address], {**os.environ, **SANITIZER})
    # Exim tells what it thinks of a replacement on standard output when it has no log to write to.
    wanted = "".join(line for line in wanted.splitlines(True) if " yielded un" not in line and "repeat ignored" not in line)
    assert got == wanted


@pytest.mark.parametrize("arguments, sender", RETRY)
def test_the_retry_rule_is_that_of_exim(tmp_path, oracle, arguments, sender):
    program, environment = oracle
    conf = write(tmp_path, "begin retry\n" + RULES)
    from_them = [] if sender is None else ["-f", sender]
    wanted = run([program, "-C", conf, *from_them, "-brt", *arguments], environment)
    got = run([POSTERN, "retry", "-c", conf, *from_them, *arguments], {**os.environ, **SANITIZER})
    # Exim prints some errors of rules as an asterisk (and no factor of H); Postern prints what the rule says.
    if "  *  " in wanted:
        got = re.sub(r"  (rcpt_\w+|tls_required|lookup)  ", "  *  ", got)
    assert got == wanted and wanted

# SPDX-License-Identifier: ISC
"""postern stats: figures from logs of a real server, from rotated and compressed ones, and from lines that mean harm."""
import gzip
import json
import os
import re
import ssl
import subprocess
import time

import pytest

from harness import POSTERN, REPORT, SANITIZER, make_message, trusting
from tls_peers import named_certificate, s_client

# Exim's lines (log_selector +tls_resumption), as the guide's administrators have them.
LINES = """2026-11-20 09:00:00 1wXyZa-000Kc3-2B <= a@b.test H=mx.b.test [192.0.2.1] P=esmtps X=TLS1.3:TLS_AES_256_GCM_SHA384:256 CV=no S=1000 id=1@b
2026-11-20 09:00:01 1wXyZa-000Kc3-2B => u <u@a.test> R=local T=maildir
2026-11-20 09:00:01 1wXyZa-000Kc3-2B Completed
2026-11-20 09:30:00 1wXyZb-000Kc3-2B <= a@b.test H=mx.b.test [192.0.2.1] P=esmtps X=TLS1.3:TLS_AES_256_GCM_SHA384:256* CV=yes S=2000 id=2@b
2026-11-20 10:00:00 1wXyZc-000Kc3-2B <= c@d.test H=old.d.test [192.0.2.2] P=esmtps X=TLSv1.2:ECDHE-RSA-AES256-GCM-SHA384:256 CV=no S=500
2026-11-20 10:10:00 1wXyZd-000Kc3-2B <= e@f.test H=(clear) [192.0.2.3] P=esmtp S=500
2026-11-20 10:20:00 TLS error on connection from (x) [192.0.2.9] (SSL_accept): unsupported protocol (offered TLS1.0)
2026-11-20 10:20:01 TLS error on connection from [192.0.2.9] (SSL_accept): no shared cipher
2026-11-20 10:20:02 TLS error on connection from [192.0.2.8] (SSL_accept): unsupported protocol
2026-11-20 10:30:00 H=[192.0.2.9] F=<x@y.test> rejected RCPT <z@w.test>: relay not permitted
2026-11-21 09:00:00 1wXyZe-000Kc3-2B => o@p.test R=dns T=smtp H=mx.p.test [198.51.100.1] X=TLS1.3:TLS_AES_128_GCM_SHA256:128 CV=dane C="250 ok"
2026-11-21 09:00:00 1wXyZe-000Kc3-2B -> q@p.test R=dns T=smtp H=mx.p.test [198.51.100.1] X=TLS1.3:TLS_AES_128_GCM_SHA256:128 CV=dane C="250 ok"
2026-11-21 09:00:01 1wXyZf-000Kc3-2B => r@s.test R=dns T=smtp H=mx.s.test [198.51.100.2] C="250 X=TLS9.9:fake:1 ok"
2026-11-21 09:00:02 1wXyZg-000Kc3-2B == t@u.test R=dns T=smtp defer (-1): nobody there
2026-11-21 09:00:03 1wXyZg-000Kc3-2B ** t@u.test R=dns T=smtp: gone
"""


def stats(*arguments, status=0, stdin=b"", cwd="/"):
    done = subprocess.run([POSTERN, "stats", *map(str, arguments)], cwd=cwd, input=stdin, capture_output=True, timeout=120,
                          env={**os.environ, **SANITIZER})
    complaints = done.stderr.decode(errors="replace")
    assert done.returncode == status and not REPORT.search(complaints), (done.returncode, done.stdout[:2000], complaints)
    return done.stdout.decode() if status == 0 else complaints


def figures(*arguments, **named):
    return json.loads(stats("--json", *arguments, **named))


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "mainlog"
    path.write_text(LINES)
    return path


def test_the_guides_pipeline_has_its_equal(log):
    """zegrep "TLS connection established from.*with cipher" ... | sort | uniq -c: a count, a version, a cipher a line."""
    text = stats("tls", "--from", log)
    assert re.search(r"(?m)^ +2 TLS1\.3 with cipher TLS_AES_256_GCM_SHA384$", text)
    assert re.search(r"(?m)^ +1 TLS1\.2 with cipher ECDHE-RSA-AES256-GCM-SHA384$", text)
    assert re.search(r"(?m)^ +1 TLS1\.3 with cipher TLS_AES_128_GCM_SHA256$", text)
    assert "Completed" not in text and "fake" not in text


def test_figures_of_both_directions(log):
    one = figures("--from", log)
    got = {name: one["in"][name] for name in ("messages", "encrypted", "in_clear", "verified", "resumed", "bytes")}
    assert got == {"messages": 4, "encrypted": 3, "in_clear": 1, "verified": 1, "resumed": 1, "bytes": 4000}
    out = {name: one["out"][name] for name in ("messages", "encrypted", "in_clear", "verified")}
    assert out == {"messages": 2, "encrypted": 1, "in_clear": 1, "verified": 1}
    assert one["in"]["hosts"][0] == {"name": "192.0.2.1", "count": 2, "bytes": 3000}
    assert [h["name"] for h in one["in"]["clear_hosts"]] == ["192.0.2.3"]
    assert (one["local_delivered"], one["deferred"], one["failed"], one["completed"], one["rejected"]) == (1, 1, 1, 1, 1)
    assert one["in"]["per_hour"] == pytest.approx(4 / (24 + 3 / 3600), abs=0.01)


def test_failed_handshakes_count_by_reason_and_host(log):
    one = figures("tls", "--from", log)
    assert one["failed_handshakes"] == 3
    assert [(r["name"], r["count"]) for r in one["failed_handshake_reasons"]] == [("unsupported protocol", 2), ("no shared cipher", 1)]
    assert [(r["name"], r["count"]) for r in one["failed_handshake_hosts"]] == [("192.0.2.9", 2), ("192.0.2.8", 1)]
    text = stats("tls", "--from", log)
    assert "Failed handshakes in: 3" in text and re.search(r"in clear +1 +25\.0 %", text) and re.search(r"resumed, of encrypted +1 +33\.3 %", text)


@pytest.mark.parametrize("since, messages", [("2026-11-20", 4), ("2026-11-20 09:30", 3), ("2026-11-20 10:00:01", 1), ("2026-11-21", 0)])
def test_since_leaves_out_what_is_older(log, since, messages):
    assert figures("--from", log, "--since", since)["in"]["messages"] == messages


def test_since_back_from_now(tmp_path):
    path = tmp_path / "log"
    line = "{} 1wXyZa-000Kc3-2B <= a@b.test H=[192.0.2.1] P=esmtp S=1\n"
    path.write_text("".join(line.format(time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time.time() - ago))) for ago in (10, 3000, 90000)))
    assert [figures("--from", path, "--since", since)["in"]["messages"] for since in ("5m", "12h", "6d24h")] == [1, 2, 3]


def test_gzipped_files_standard_input_and_several_files(log, tmp_path):
    packed = tmp_path / "mainlog.2.gz"
    packed.write_bytes(gzip.compress(LINES.encode()))
    assert figures("--from", packed)["in"]["messages"] == 4
    assert figures("--from", "-", stdin=LINES.encode())["in"]["messages"] == 4
    both = figures("--from", packed, "--from", log)
    assert (both["in"]["messages"], both["files"]) == (8, 2)


def test_a_compressed_file_that_is_cut_off_gives_what_it_has_and_is_told(tmp_path):
    packed = tmp_path / "cut.gz"
    data = gzip.compress((LINES * 2000).encode())
    packed.write_bytes(data[:len(data) // 2])
    one = figures("--from", packed)
    assert one["damaged_files"] == 1 and one["in"]["messages"] > 100
    assert "1 files cut off or damaged" in stats("--from", packed)


def test_logs_of_the_configuration_with_what_rotation_left(tmp_path):
    logs = tmp_path / "log"
    logs.mkdir()
    conf = tmp_path / "postern.conf"
    conf.write_text(f"primary_hostname = mx.a.test\nspool_directory = {tmp_path}\nlog_file_path = syslog : {logs}/%slog\n")
    (logs / "mainlog").write_text(LINES)
    for name in ("mainlog.1", "mainlog-20261119"):
        (logs / name).write_text(LINES)
    for name in ("mainlog.2.gz", "mainlog-20261118.gz"):
        (logs / name).write_bytes(gzip.compress(LINES.encode()))
    for name in ("paniclog", "mainlog.conf", "mainlogs", "mainlog.1.bak", "xmainlog"):
        (logs / name).write_text(LINES)
    (logs / "mainlog.9").mkdir()
    one = figures("-c", conf)
    assert (one["files"], one["in"]["messages"]) == (5, 20)
    os.utime(logs / "mainlog.1", (1, 1))
    assert figures("-c", conf, "--since", "2026-01-01")["files"] == 4


@pytest.mark.parametrize("arguments, says", [
    (["--from", "/nonexistent/log"], "opening the log /nonexistent/log"), (["--since", "yesterday"], "--since yesterday"),
    (["--since", ""], "--since"), (["--since", "0d"], "--since 0d"), (["--top", "0"], "--top 0"), (["imap"], "expected nothing, or tls"), (["tls", "x"], "expected nothing"),
    (["-c", "/nonexistent.conf"], "--from FILE reads a file"), (["--bogus"], "unknown option"),
])
def test_wrong_arguments_are_usage_errors(arguments, says):
    assert says in stats(*arguments, status=2)


def test_hostile_lines_are_harmless(tmp_path):
    path = tmp_path / "log"
    start = b"2026-11-20 09:00:00 1wXyZa-000Kc3-2B <= "
    lines = [
        start + b'"a X=TLS9.9:evil:1 H=x [203.0.113.1]"@b.test H=[192.0.2.1] P=esmtp S=1',
        start + b"a@b.test H=[192.0.2.1] P=esmtps X=\x1b[31mTLS:\x07cipher:1 S=1",
        start + b"a@b.test H=[192.0.2.1] P=esmtps X=" + b"A" * 5000 + b":" + b"B" * 5000 + b":1 S=1",
        start + b"a@b.test H=[192.0.2.1] S=" + b"9" * 500, start + b'\\" ' * 30000, b"x" * 1_000_000, b"\0" * 1000, b"", b"\r",
        b"2026-11-20 09:00:00 TLS error on connection from [192.0.2.1] (SSL_accept): \x1b]0;title\x07" + b"r" * 70000,
        os.urandom(3000).replace(b"\n", b""),
    ]
    path.write_bytes(b"\n".join(lines) + b"\n2026-11-20 09:00:00 1wXyZz-000Kc3-2B <= z@b.test H=[192.0.2.77] P=esmtp S=7")
    begin = time.monotonic()
    text = stats("--from", path)
    assert time.monotonic() - begin < 20
    assert "evil" not in text and "\x1b" not in text and "\x07" not in text and "203.0.113.1" not in text
    one = figures("--from", path)
    assert one["in"]["messages"] >= 5 and {"name": "192.0.2.77", "count": 1, "bytes": 7} in one["in"]["hosts"]


def test_a_flood_of_addresses_is_counted_in_bounded_memory(tmp_path):
    path = tmp_path / "log"
    with open(path, "w") as out:
        for i in range(200_000):
            host = "192.0.2.1" if i % 20 == 0 else f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}"
            out.write(f"2026-11-20 09:00:00 1wXyZa-000Kc3-2B <= a@b H=[{host}] P=esmtp S=1\n")
    one = figures("--from", path)
    assert one["in"]["messages"] == 200_000
    assert one["in"]["hosts"][0] == {"name": "192.0.2.1", "count": 10_000, "bytes": 10_000}


def test_figures_of_a_server(server):
    """Mail over TLS 1.2, 1.3 and in clear, and a handshake that fails, as they come out of the server's own log."""
    one = server()
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3):
        with one.connect() as client:
            client.ehlo()
            client.starttls(trusting(version, version))
            client.deliver(make_message())
    one.send(make_message(), tls=False)
    with one.connect() as client:
        client.ehlo()
        client.expect(220, "STARTTLS")
        client.send(b"this is no ClientHello, not at all\r\n")
        client.rest()
    one.wait_log(r"TLS error on connection")
    one.maildir().wait(4)
    got = figures("-c", one.conf)
    assert (got["in"]["messages"], got["in"]["encrypted"], got["in"]["in_clear"]) == (4, 3, 1)
    assert [(v["name"], v["count"]) for v in got["in"]["versions"]] == [("TLS1.3", 2), ("TLS1.2", 1)]
    assert got["local_delivered"] == 4 and got["failed_handshakes"] == 1
    assert got["failed_handshake_hosts"][0]["name"] == "127.0.0.1" and got["failed_handshake_reasons"][0]["name"]


def test_handshakes_that_end_at_the_certificate_and_refusals_before_one_are_counted(server):
    """By reason, without the name that a client asked for; with STARTTLS and with TLS from the start."""
    one = server(start=False)
    directory = one.dir / "certs"
    directory.mkdir()
    named_certificate(directory, "default", both=True)
    one.configure({"tls_certificate": f"{directory}/", "tls_privatekey": None, "tls_require_ciphers":
                   "${if eq{$sender_host_address}{127.0.0.2}{NOSUCH}{${if match{$tls_in_sni}{bad}{NEVER}{HIGH}}}}"})
    one.start()
    mark = one.mark()
    for number in range(3):
        s_client(one.smtp if number else one.tls, starttls=number > 0, sni=f"bad{number}.test")
    s_client(one.smtp, "-bind", "127.0.0.2")
    s_client(one.tls, "-bind", "127.0.0.2", starttls=False)
    one.wait_log(r"TLS error on connection from \S* ?\[127\.0\.0\.1\] choosing the certificate for bad\d\.test: ", mark, count=3)
    one.wait_log(r"(STARTTLS|TLS on connect) refused: TLS is configured but cannot be used: ", mark, count=2)
    got = figures("tls", "-c", one.conf)
    assert got["failed_handshakes"] == 3 and [r["count"] for r in got["failed_handshake_reasons"]] == [3]
    assert got["failed_handshake_reasons"][0]["name"].startswith("tls_require_ciphers: ")
    assert [(h["name"], h["count"]) for h in got["failed_handshake_hosts"]] == [("127.0.0.1", 3)]
    assert got["tls_refused"] == 2 and [r["count"] for r in got["tls_refused_reasons"]] == [2]
    text = stats("tls", "-c", one.conf)
    assert "Failed handshakes in: 3" in text and "TLS refused before a handshake: 2" in text and "bad0.test" not in text

# SPDX-License-Identifier: ISC
"""The condition `verify` where it routes addresses or reads headers: the same session in Postern and in Debian's Exim (`exim -bh`), side by
side. Replies and the reasons in the log must be the same; where an address is malformed, Exim says more about what is wrong with it."""
import os
import re
import subprocess
from pathlib import Path

import pytest

import exim

SENDER = "nobody@example.test"
# What acl_smtp_rcpt and acl_smtp_data are, the header section, and the recipients.
RCPT, DATA = {
    "recipient_known": "require verify = recipient\n  accept",
    "recipient_unknown": "accept local_parts = user\n  require verify = recipient\n  accept",
    "sender": "require verify = sender\n  accept",
    "sender_quiet": "require verify = sender/no_details\n  accept",
    "sender_message": "deny !verify = sender\n    message = own: $acl_verify_message\n  accept",
    "sender_address": "require verify = sender=gone@example.test\n  accept",
    "sender_address_known": "require verify = sender=user@example.test\n  accept",
    "sender_failure": "warn !verify = sender\n    set acl_m_why = $sender_verify_failure\n  deny message = why: $acl_m_why",
    "recipient_failure": "warn !verify = recipient\n    set acl_m_why = $recipient_verify_failure\n  deny message = why: $acl_m_why",
    "other_reason": "warn verify = sender\n  deny message = something else",
}, {
    "syntax_good": ("header_syntax", "From: A B <a@b.test>\nTo: list: x@y.test, z@y.test;\nCc: \"q r\"@s.test (comment)"),
    "syntax_open": ("header_syntax", "From: <a@b"),
    "syntax_unqualified": ("header_syntax", "From: alice"),
    "syntax_two_words": ("header_syntax", "To: a b@c.test"),
    "syntax_dots": ("header_syntax", "Bcc: a@b..test"),
    "syntax_empty": ("header_syntax", "To: <>"),
    "syntax_group": ("header_syntax", "To: undisclosed-recipients:;"),
    "syntax_elsewhere": ("header_syntax", "From: a@b.test\nX-To: <<<"),
    "sender_known": ("header_sender", "From: user@example.test"),
    "sender_other": ("header_sender", "From: gone@example.test\nSender: user@example.test"),
    "sender_none": ("header_sender", "From: gone@example.test\nReply-To: gone2@example.test"),
    "sender_missing": ("header_sender", "To: user@example.test"),
    "sender_malformed": ("header_sender", "From: user@"),
    "blind_none": ("not_blind", "To: USER@example.test\nCc: user@example.test, <alice@Example.Test>"),
    "blind_one": ("not_blind", "To: user@example.test"),
    "blind_case": ("not_blind", "To: USER@example.test, alice@example.test"),
    "blind_caseless": ("not_blind/case_insensitive", "To: USER@example.test, alice@example.test"),
    "names_good": ("header_names_ascii", "From: Ä <a@b.test>"),
    "names_bad": ("header_names_ascii", "Frömm: a@b.test"),
}
ROUTERS = """begin routers
local:
  driver = accept
  domains = example.test
  local_parts = user : alice
  transport = maildir
"""


def section():
    rows = "".join(f"{name}:\n  {text}\n" for name, text in RCPT.items())
    rows += "".join(f"d_{name}:\n  require verify = {kind}\n  accept\n" for name, (kind, _) in DATA.items())
    return "begin acl\n" + rows


def session(name):
    """The commands of a session: with a message for an ACL of DATA."""
    commands = ["EHLO client.test", f"MAIL FROM:<{SENDER}>", "RCPT TO:<user@example.test>", "RCPT TO:<alice@example.test>"]
    if name in RCPT:
        return commands + (["RCPT TO:<gone@example.test>"] if "recipient" in name else [])
    return commands + ["DATA", DATA[name][1] + "\n\nhello\n."]


def options(name):
    return {"acl_smtp_mail": "accept", "acl_smtp_rcpt": name if name in RCPT else "accept",
            "acl_smtp_data": f"d_{name}" if name in DATA else "accept"}


def general(line):
    """Without identifier, client, and what exactly is wrong with an address."""
    line = re.sub(r"^\S{6}-\S{6}-\S\S ", "", line)
    line = re.sub(r"H=\(client\.test\) \[\S+\]", "H", line)
    line = re.sub(r"DATA: [^:]+(: failing address in)", r"DATA: malformed\1", line)
    return re.sub(r"(for sender): .* in \"(.*)\"", r'\1: malformed in "\2"', line)


def outcome(replies):
    """Replies from RCPT on, without the identifier of a message."""
    return [re.sub(r"OK id=.*", "OK", reply) for reply in replies]


def in_exim(directory, name):
    program, environment = exim.exim()
    conf = directory / "exim.conf"
    settings = "".join(f"{option} = {value}\n" for option, value in options(name).items())
    conf.write_text(f"primary_hostname = mx.example.test\nspool_directory = {directory}/spool\nhost_lookup =\n{settings}"
                    f"log_file_path = {directory}/%slog\n{section()}{ROUTERS}begin transports\nmaildir:\n  driver = appendfile\n"
                    "  file = /dev/null\n")
    spool = directory / "spool"
    if not spool.exists():
        spool.mkdir()
        spool.chmod(0o1777)  # it drops to its own user
    done = subprocess.run([program, "-C", conf, "-bh", "192.0.2.1"], text=True, capture_output=True, timeout=60, env=environment,
                          input="\n".join(session(name)) + "\nQUIT\n")
    lines = done.stdout.split("\n")
    assert "250 OK" in lines, done
    replies = [line for line in lines[lines.index("250 OK") + 1:]
               if line and not line.startswith(("221", "354", "****", "Exim will", "This is"))]
    return outcome(replies), [general(line[5:]) for line in done.stderr.split("\n") if line.startswith("LOG: ")
                              and "<=" not in line]


def in_postern(server, name):
    one = server(main=options(name), extra=section(), routers=ROUTERS.split("\n", 1)[1])
    replies = []
    with one.connect() as client:
        for command in session(name):
            client.send((command.replace("\n", "\r\n") + "\r\n").encode())
            code, lines = client.reply()
            if command.startswith("RCPT") or (command.endswith(".") and code != 354):
                replies += [f"{code}{'-' if at < len(lines) - 1 else ' '}{line}" for at, line in enumerate(lines)]
        client.cmd("QUIT")
        client.ends()
    text = [line.split(" ", 2)[2] for line in one.log_text().splitlines() if "reject" in line or "sender verify" in line]
    return outcome(replies), [general(line) for line in text]


@pytest.mark.parametrize("name", [*RCPT, *DATA])
def test_verify_is_what_exim_makes_of_it(server, directory, name):
    assert in_postern(server, name) == in_exim(directory, name)


def cpu_seconds(pid):
    """User and system time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("missing", [False, True], ids=["all-named", "one-blind"])
def test_recipients_are_looked_for_in_one_walk_of_the_header(server, missing):
    """1000 recipients and 240 KB of addresses: a walk for each recipient would take seconds of the front's time."""
    one = server(start=False, main={"front_processes": 1, "queue_only": "true", "acl_smtp_rcpt": "accept", "acl_smtp_data": "check_data"},
                 extra="begin acl\ncheck_data:\n  require verify = not_blind\n  accept\n")
    (one.dir / "users").write_text("".join(f"u{n}\n" for n in range(1000)))
    one.start()
    front = next(pid for name, pid in one.roles().items() if name.startswith("front"))
    recipients = [f"u{n}@example.test" for n in range(1000)]
    text = "From: a@b.test\r\n" + ("To: " + ",".join(["a@b"] * 200) + "\r\n") * 300
    text += "".join(f"Cc: {','.join(recipients[n:n + 10])}\r\n" for n in range(0, 990 if missing else 1000, 10))
    with one.connect() as client:
        client.ehlo()
        client.expect(250, "MAIL FROM:<a@b.test>")
        client.send("".join(f"RCPT TO:<{recipient}>\r\n" for recipient in recipients))
        assert {client.reply()[0] for _ in recipients} == {250}
        before = cpu_seconds(front)
        code, _ = client.data_of(text.encode() + b"\r\ntext\r\n")
        spent = cpu_seconds(front) - before
    assert code == (550 if missing else 250)
    assert spent < 3, f"{spent} s, sanitizers included"

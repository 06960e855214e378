# SPDX-License-Identifier: ISC
"""control = submission beside Debian's Exim: the same messages through both, with and without AUTH. The envelope sender and the fields that
say who wrote and who sent a message must come out the same."""
import re
import subprocess

import pytest

import exim
from harness import Server
from test_submission import log_in
from tls_peers import AUTHENTICATORS

# What follows "control = submission", the header, the envelope sender.
CASES = {
    "nothing is there": ("", ["Subject: x"], "x@c.test"),
    "all is there": ("", ["From: ann@example.test", "Date: d", "Message-ID: <a@b>"], "x@c.test"),
    "sender of one's own": ("", ["From: boss@c.test", "Sender: ann@example.test"], "x@c.test"),
    "sender of another": ("", ["From: boss@c.test", "Sender: s@b.test"], "x@c.test"),
    "two senders": ("", ["From: ann@example.test", "Sender: a@b.test", "Sender: c@d.test"], "x@c.test"),
    "two from": ("", ["From: ann@example.test", "From: boss@c.test"], "ann@example.test"),
    "from with two addresses": ("", ["From: boss@c.test, ann@example.test"], "ann@example.test"),
    "from with two addresses, ours first": ("", ["From: ann@example.test, boss@c.test"], "ann@example.test"),
    "from with comments": ("", ["From: (hi) Ann <ann@example.test> (x)"], "x@c.test"),
    "from in capital letters": ("", ["From: ANN@EXAMPLE.test"], "x@c.test"),
    "from that is broken": ("", ["From: broken <"], "x@c.test"),
    "from that is empty": ("", ["From:"], "x@c.test"),
    "null sender, no from": ("", ["Subject: x"], ""),
    "null sender": ("", ["From: boss@c.test"], ""),
    "name, no from": ("/name=A. B", ["Subject: x"], "x@c.test"),
    "name, null sender": ("/name=Ann", ["Subject: x"], ""),
    "name, from of another": ("/name=Ann", ["From: boss@c.test"], "x@c.test"),
    "domain": ("/domain=d.test", ["From: boss@c.test"], "x@c.test"),
    "domain, from of one's own": ("/domain=d.test", ["From: ann@d.test"], "x@c.test"),
    "domain that is empty": ("/domain=", ["From: boss@c.test"], "x@c.test"),
    "domain and name, null sender": ("/domain=d.test/name=N", ["Subject: x"], ""),
    "retain": ("/sender_retain", ["From: boss@c.test"], "x@c.test"),
    "retain a sender": ("/sender_retain", ["From: boss@c.test", "Sender: a@b.test"], "x@c.test"),
    "retain, no from": ("/sender_retain/domain=d.test", ["Subject: x"], ""),
    "empty message-id": ("", ["From: ann@example.test", "Message-ID:", "Date:"], "x@c.test"),
    "bcc": ("", ["From: ann@example.test", "Bcc: s@s.test"], "x@c.test"),
    "resent": ("", ["From: boss@c.test", "Resent-To: x@y.test", "Message-ID: <a@b>", "Date: d"], "ann@example.test"),
    "resent, an unknown field": ("", ["From: boss@c.test", "Sender: q@q.test", "Resent-X: 1"], "ann@example.test"),
    "resent from another": ("", ["From: boss@c.test", "Resent-From: liar@c.test"], "ann@example.test"),
    "resent with both senders": ("", ["From: boss@c.test", "Resent-From: liar@c.test", "Resent-Sender: l@l.test", "Sender: k@k.test"],
                                 "liar@c.test"),
}
FIELDS = re.compile(r"(Resent-)?(From|Sender|Date|Message-Id|Bcc):", re.I)
NAMES = {name: f"c{number}.test" for number, name in enumerate(CASES)}
ACL = "begin acl\ncheck_mail:\n" + "".join(
    f"  accept condition = ${{if eq{{$sender_helo_name}}{{{NAMES[name]}}}}}\n    control = submission{control}\n"
    for name, (control, _, _) in CASES.items()) + "\n"

EXIM = """keep_environment =
exim_user = root
exim_group = root
primary_hostname = mx.example.test
qualify_domain = example.test
spool_directory = {dir}/spool
log_file_path = {dir}/log/%slog
host_lookup =
tls_advertise_hosts =
queue_only
acl_smtp_mail = check_mail
acl_smtp_rcpt = accept
{acl}
begin routers
all:
  driver = accept
  transport = none
begin transports
none:
  driver = appendfile
  file = /dev/null
"""


def comparable(sender, lines):
    """Without what is new each time."""
    kept = [re.sub(r"<E[^@]*@mx", "<E@mx", re.sub(r"(Date:) .{10,}", r"\1 NOW", line, flags=re.I)).lower().rstrip()
            for line in lines if FIELDS.match(line)]
    return sender.lower(), sorted(kept)


def in_exim(directory, conf, name, user):
    """Envelope sender and fields of the message in the spool."""
    _, header, sender = CASES[name]
    program, environment = exim.exim()
    spool = directory / "spool" / "input"
    for file in spool.glob("*"):
        file.unlink()
    said = [f"EHLO {NAMES[name]}", f"MAIL FROM:<{sender}>", "RCPT TO:<user@example.test>", "DATA", *header, "", "text", ".", "QUIT"]
    who = ["-oMaa", "plain", "-oMai", user] if user else []
    done = subprocess.run([program, "-C", conf, "-odq", "-oMa", "192.0.2.1", *who, "-bs"], env=environment, timeout=60, check=False,
                          input="".join(line + "\n" for line in said), capture_output=True, text=True)
    files = list(spool.glob("*-H"))
    assert len(files) == 1, (done.stdout, done.stderr)
    envelope, fields = files[0].read_text().split("\n\n", 1)
    # Each field has its length and a letter before it; an asterisk is one that was replaced or removed.
    lines = [match[2] for match in re.finditer(r"^\d{3,}([^*]) (.*)$", fields, re.M)]
    return comparable(envelope.split("\n")[2], lines)


def in_postern(one, name, user):
    _, header, sender = CASES[name]
    before = len(one.maildir().read())
    with one.connect() as client:
        client.expect(250, f"EHLO {NAMES[name]}")
        if user:
            client.starttls()
            client.expect(250, f"EHLO {NAMES[name]}")
            log_in(client, user)
        client.envelope("user@example.test", sender=sender)
        client.expect(354, "DATA")
        client.send("".join(line + "\r\n" for line in header) + "\r\ntext\r\n.\r\n")
        identifier = re.search(r"id=(\S+)", client.expect(250))[1]
    one.maildir().wait(before + 1)
    text = next(text for text in one.maildir().read() if identifier.encode() in text).decode().split("\n\n")[0]
    return comparable(re.search(r"^Return-path: (.*)$", text, re.M)[1], re.sub(r"\n[ \t]+", " ", text).split("\n"))


@pytest.fixture(scope="module", name="one")
def fixture_one(certificates):
    made = Server(certificates, extra=AUTHENTICATORS + ACL, main={"acl_smtp_mail": "check_mail", "qualify_domain": "example.test"})
    made.start()
    yield made
    made.remove()


@pytest.fixture(scope="module", name="conf")
def fixture_conf(directory):
    (directory / "spool").mkdir()
    (directory / "log").mkdir()
    conf = directory / "exim.conf"
    conf.write_text(EXIM.format(dir=directory, acl=ACL))
    return conf


@pytest.mark.parametrize("user", [None, "ann"], ids=["nobody", "ann"])
@pytest.mark.parametrize("name", CASES)
def test_a_submitted_message_is_put_right_as_exim_does(name, user, one, conf, directory):
    assert in_postern(one, name, user) == in_exim(directory, conf, name, user)


def test_an_identity_that_is_an_address_gets_no_domain_here(one, conf, directory):
    ours = in_postern(one, "sender of another", "ann@z.test")
    assert ours[0] == "<ann@z.test>" and "sender: ann@z.test" in ours[1]
    assert 'sender: "ann@z.test"@example.test' in in_exim(directory, conf, "sender of another", "ann@z.test")[1]

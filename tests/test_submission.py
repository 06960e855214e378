# SPDX-License-Identifier: ISC
"""control = submission (RFC 6409 §8; Exim's manual, chapters 44 and 48): what is missing is added, who sent it is told."""
import re
import subprocess

import pytest

from harness import POSTERN, Server

ACLS = """
begin acl
check_mail:
  accept senders = *@plain.test
  warn control = submission CONTROL
  accept
"""


@pytest.fixture(name="server")
def fixture_server(certificates):
    made = []

    def make(control="", main=None, extra=""):
        one = Server(certificates, extra=ACLS.replace(" CONTROL", control) + extra, main={"acl_smtp_mail": "check_mail", **(main or {})})
        made.append(one)
        one.start()
        return one
    yield make
    for one in made:
        one.remove()


def delivered(one, header, sender="sender@client.test", body="text\r\n"):
    """The header lines below our trace, unfolded, as they arrived; and all of it."""
    before = len(one.maildir().read())
    with one.connect() as client:
        client.ehlo()
        client.envelope("user@example.test", sender=sender)
        client.expect(354, "DATA")
        client.send("".join(line + "\r\n" for line in header).encode() + b"\r\n" + body.encode() + b".\r\n")
        code, texts = client.reply()
        assert code == 250, texts
        identifier = re.search(r"id=(\S+)", texts[-1])[1]
    one.maildir().wait(before + 1)
    text = next(text for text in one.maildir().read() if identifier.encode() in text).decode()
    head, _ = text.split("\n\n", 1)
    lines = re.sub(r"\n[ \t]+", " ", head).split("\n")
    return identifier, [line for line in lines if not re.match(r"(Return-path|Envelope-to|Delivery-date|Received):", line, re.I)], text


def test_a_missing_message_id_and_date_are_added(server):
    one = server()
    identifier, lines, _ = delivered(one, ["From: sender@client.test", "Subject: x"])
    assert f"Message-Id: <E{identifier}@mx.example.test>" in lines
    assert any(re.fullmatch(r"Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}", line) for line in lines)
    assert lines[:2] == ["From: sender@client.test", "Subject: x"]


def test_what_is_there_stays(server):
    one = server()
    header = ["From: sender@client.test", "Date: Sat, 21 Nov 2026 10:00:00 +0000", "Message-ID: <mine@client.test>"]
    assert delivered(one, header)[1] == header


def test_a_missing_from_is_the_envelope_sender(server):
    assert "From: sender@client.test" in delivered(server(), ["Subject: x"])[1]


def test_a_name_goes_into_from(server):
    assert 'From: "A. B/C" <sender@client.test>' in delivered(server("/name=A. B/C"), ["Subject: x"])[1]


def test_a_message_that_was_resent_gets_the_fields_of_the_resending(server):
    identifier, lines, _ = delivered(server(), ["From: a@b.test", "Date: x", "Message-ID: <m@b>", "Resent-To: c@d.test"])
    assert f"Resent-Message-Id: <E{identifier}@mx.example.test>" in lines and "Resent-From: sender@client.test" in lines


def test_without_the_control_nothing_is_added(server):
    assert delivered(server(), ["Subject: x"], sender="a@plain.test")[1] == ["Subject: x"]


def test_a_sender_of_a_client_that_is_not_authenticated_stays(server):
    header = ["Sender: s@b.test", "From: a@b.test", "Date: x", "Message-ID: <m@b>"]
    assert delivered(server(), header)[1] == header


def test_a_large_message_is_put_right_as_well(server):
    body = ("x" * 70 + "\r\n") * 10000
    identifier, lines, text = delivered(server(), ["Subject: large"], body=body)
    assert f"Message-Id: <E{identifier}@mx.example.test>" in lines and text.count("x" * 70) == 10000


def test_the_control_counts_for_one_message_only(server):
    one = server()
    with one.connect() as client:
        client.ehlo()
        for sender, present in (("sender@client.test", True), ("a@plain.test", False)):
            before = len(one.maildir().read())
            client.envelope("user@example.test", sender=sender)
            client.expect(354, "DATA")
            client.send(f"Subject: of {sender}\r\n\r\ntext\r\n.\r\n".encode())
            assert client.reply()[0] == 250
            one.maildir().wait(before + 1)
            text = next(text for text in one.maildir().read() if f"of {sender}".encode() in text)
            assert (b"\nMessage-Id: <E" in text) == present


def test_an_unknown_option_that_is_computed_is_a_temporary_error_that_names_it(server):
    one = server("/${lc:NONSENSE}")
    with one.connect() as client:
        client.ehlo()
        client.expect(451, "MAIL FROM:<sender@client.test>")
    one.wait_log(r'"submission" has sender_retain, domain= and name=, not "nonsense"')


@pytest.mark.parametrize("option, complaint", [("/nonsense", 'not "nonsense"'), ("/domain", 'not "domain"'), ("/sender_retain=1", "not")])
def test_a_constant_mistake_is_found_at_load(option, complaint, certificates, tmp_path):
    conf = tmp_path / "postern.conf"
    conf.write_text(f"acl_smtp_mail = check_mail\nspool_directory = {tmp_path}/spool\n" + ACLS.replace(" CONTROL", option))
    done = subprocess.run([POSTERN, "check", "-c", conf], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2 and '"submission" has sender_retain, domain= and name=' in done.stderr and complaint in done.stderr, done

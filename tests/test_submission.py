# SPDX-License-Identifier: ISC
"""control = submission (RFC 6409 §8; Exim's manual, chapters 44 and 48): what is missing is added, who sent it is told."""
import base64
import re
import ssl
import subprocess

import pytest

from harness import POSTERN, Server, Smtp, trusting
from tls_peers import AUTHENTICATORS

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


@pytest.mark.parametrize("retain", [False, True])
def test_sender_lines_of_a_client_that_is_not_authenticated_are_removed_unless_retained(retain, server):
    header = ["Sender: s@b.test", "From: a@b.test", "Sender: t@b.test", "Date: x", "Message-ID: <m@b>"]
    kept = [line for line in header if retain or not line.startswith("Sender:")]
    assert delivered(server("/sender_retain" if retain else ""), header)[1] == kept


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


# ---- Who is authenticated ----

def log_in(client, user="ann"):
    client.expect(235, "AUTH PLAIN " + base64.b64encode(f"\0{user}\0secret".encode()).decode())


def authenticated(one, header, sender="ann@example.test", user="ann", port=None):
    """The header as it was delivered, and the trace before it."""
    before = len(one.maildir().read())
    with Smtp(port or one.smtp) as client:
        client.ehlo()
        client.starttls()
        log_in(client, user)
        client.envelope("user@example.test", sender=sender)
        client.expect(354, "DATA")
        client.send("".join(line + "\r\n" for line in header).encode() + b"\r\ntext\r\n.\r\n")
        code, texts = client.reply()
        assert code == 250, texts
        identifier = re.search(r"id=(\S+)", texts[-1])[1]
    one.maildir().wait(before + 1)
    text = next(text for text in one.maildir().read() if identifier.encode() in text).decode()
    return re.sub(r"\n[ \t]+", " ", text.split("\n\n")[0]).split("\n")


FULL = ["Date: x", "Message-ID: <m@b>"]


@pytest.mark.parametrize("control, header, sender, wanted, envelope", [
    ("", ["From: ann@example.test"], "ann@example.test", [], "ann@example.test"),
    ("", ["From: Ann <ANN@example.test>"], "ann@example.test", [], "ann@example.test"),
    ("", ["From: boss@example.test"], "ann@example.test", ["Sender: ann@example.test"], "ann@example.test"),
    ("", ["From: boss@example.test", "Sender: liar@c.test"], "liar@c.test", ["Sender: ann@example.test"], "ann@example.test"),
    ("", ["From: ann@example.test", "Sender: liar@c.test"], "ann@example.test", [], "ann@example.test"),
    ("/sender_retain", ["From: boss@example.test", "Sender: liar@c.test"], "liar@c.test", ["Sender: liar@c.test"], "liar@c.test"),
    ("/domain=b.test", ["From: ann@b.test"], "x@c.test", [], "ann@b.test"),
    ("/domain=b.test/name=Ann A.", ["From: boss@b.test"], "x@c.test", ['Sender: "Ann A." <ann@b.test>'], "ann@b.test"),
])
def test_sender_and_envelope_are_the_authenticated_users(server, control, header, sender, wanted, envelope):
    lines = authenticated(server(control, {"qualify_domain": "example.test"}, AUTHENTICATORS), header + FULL, sender)
    assert [line for line in lines if line.startswith("Sender:")] == wanted
    assert lines[0] == f"Return-path: <{envelope}>"


def test_a_control_that_fails_changes_nothing(server):
    acl = "check_rcpt:\n  accept local_parts = user\n  accept control = submission/sender_retain/domain=other.test/$local_part\n"
    one = server("/domain=b.test", {"acl_smtp_rcpt": "check_rcpt"}, acl + AUTHENTICATORS)
    with Smtp(one.smtp) as client:
        client.ehlo()
        client.starttls()
        log_in(client)
        client.expect(250, "MAIL FROM:<x@c.test>")
        client.expect(451, "RCPT TO:<bogus@example.test>")
        client.expect(250, "RCPT TO:<user@example.test>")
        client.expect(354, "DATA")
        client.send(b"From: boss@b.test\r\n\r\ntext\r\n.\r\n")
        assert client.reply()[0] == 250
    one.maildir().wait()
    head = one.maildir().read()[0].decode().split("\n\n")[0].split("\n")
    assert head[0] == "Return-path: <ann@b.test>" and "Sender: ann@b.test" in head, head


def test_an_identity_that_is_an_address_needs_no_domain(server):
    lines = authenticated(server("", {}, AUTHENTICATORS), ["From: x@b.test"] + FULL, user="ann@c.test")
    assert "Sender: ann@c.test" in lines and lines[0] == "Return-path: <ann@c.test>"


def test_the_null_sender_stays(server):
    assert authenticated(server("", {}, AUTHENTICATORS), ["From: ann@mx.example.test"] + FULL, sender="")[0] == "Return-path: <>"


# ---- Ports of submission ----

@pytest.fixture(name="submission")
def fixture_submission(server):
    def make(**main):
        return server("", {"acl_smtp_mail": None, "qualify_domain": "example.test", **main}, AUTHENTICATORS)

    def with_port(**main):
        one = make(**main)
        one.stop()
        one.configure({"submission_ports": str(one.submission)})
        one.start()
        return one
    return with_port


def test_everybody_must_authenticate_on_submission_ports(submission):
    one = submission(host_accept_relay="*")
    with Smtp(one.submission) as client:
        client.ehlo()
        assert client.expect(530, "MAIL FROM:<a@b.test>") == "Authentication required"
        client.starttls()
        client.expect(530, "MAIL FROM:<a@b.test>")
        log_in(client)
        client.expect(250, "MAIL FROM:<a@b.test>")
    with Smtp(one.smtp) as client:
        client.ehlo()
        client.expect(250, "MAIL FROM:<a@b.test>")
    one.wait_log(r'rejected "MAIL FROM:<a@b\.test>": Authentication required', count=2)


def test_submission_ports_have_the_stricter_profile(submission):
    """RFC 9325 §4.2: no CBC there, which the opportunistic profile of other ports has."""
    one = submission()
    context = trusting(maximum=ssl.TLSVersion.TLSv1_2)
    context.set_ciphers("ECDHE-ECDSA-AES256-SHA384")
    with Smtp(one.smtp) as client:
        client.ehlo()
        client.starttls(context)
    with Smtp(one.submission) as client:
        client.ehlo()
        client.expect(220, "STARTTLS")
        with pytest.raises(ssl.SSLError):
            client.secure(context)


def test_messages_of_submission_ports_are_put_right(submission):
    one = submission()
    lines = authenticated(one, ["From: boss@example.test"], "x@c.test", port=one.submission)
    assert "Sender: ann@example.test" in lines and any(line.startswith("Message-Id: <E") for line in lines)


def test_the_check_tells_of_a_submission_port_without_authenticators(tmp_path):
    conf = tmp_path / "postern.conf"
    conf.write_text(f"daemon_smtp_ports = 25 : 587\nspool_directory = {tmp_path}/spool\n")
    done = subprocess.run([POSTERN, "check", "-c", conf], capture_output=True, text=True, timeout=60, check=False)
    assert "nobody can send mail through port 587" in done.stderr, done


# ---- submission_sender_check ----

CHECK = {"submission_sender_check": "$authenticated_id@example.test : ${if eq{$authenticated_id}{ann}{team@example.test}}"}


def test_a_user_may_send_as_the_addresses_of_the_list(server):
    one = server("", {**CHECK, "qualify_domain": "example.test"}, AUTHENTICATORS)
    authenticated(one, ["From: ann@example.test"] + FULL)
    authenticated(one, ["From: The Team <TEAM@example.test>"] + FULL, sender="team@example.test")
    authenticated(one, ["From: team@example.test"] + FULL, sender="")
    authenticated(one, ["From: both: ann@example.test, <team@example.test>;", "Resent-From: ann@example.test"] + FULL)


def test_another_envelope_sender_is_refused_at_mail(server):
    one = server("", CHECK, AUTHENTICATORS)
    with one.connect() as client:
        client.ehlo()
        client.starttls()
        log_in(client, "bob")
        assert client.expect(550, "MAIL FROM:<team@example.test>") == "This sender address is not yours"
        client.expect(250, "MAIL FROM:<bob@example.test>")
    one.wait_log(r"rejected MAIL <team@example\.test>: not an address of the authenticated user")


@pytest.mark.parametrize("header", [["From: team@example.test"], ["From: bob@example.test, ann@example.test"], ["From: broken <"],
                                    ["From: bob@example.test", "From: ann@example.test"], ["Subject: none", "Resent-From: ann@example.test"],
                                    ["From: ann@example.test", "Resent-From: bob@example.test"], ["Resent-From: bob@example.test"],
                                    ["From: bob@example.test", "Resent-From: ann@example.test"], ["From: us: bob@example.test, ann@example.test;"],
                                    ["From: bob@example.test", "Resent-From: bob@example.test", "Resent-From: ann@example.test"],
                                    ["From : ann@example.test", "From: bob@example.test"], ["From: bob@example.test", "From: Ann:;"]])
def test_another_address_in_from_is_refused_after_data(server, header):
    one = server("", {**CHECK, "qualify_domain": "example.test"}, AUTHENTICATORS)
    with one.connect() as client:
        client.ehlo()
        client.starttls()
        log_in(client, "bob")
        client.envelope("user@example.test", sender="bob@example.test")
        client.expect(354, "DATA")
        client.send("".join(line + "\r\n" for line in header + FULL).encode() + b"\r\ntext\r\n.\r\n")
        code, texts = client.reply()
        assert (code, texts[-1]) == (550, "The address in From is not yours")
    one.wait_log(r"rejected after DATA: From is not an address of the authenticated user")
    assert not one.maildir().read()


@pytest.mark.parametrize("chunked", [False, True], ids=["data", "bdat"])
@pytest.mark.parametrize("text", ["From: team@example.test\r\n", "From: team@example.test\r\n\r\n", "Subject: nobody\r\n", ""],
                         ids=["header-only", "empty-body", "no-from", "nothing"])
def test_a_message_that_ends_with_its_header_is_checked_as_well(server, text, chunked):
    one = server("", {**CHECK, "qualify_domain": "example.test", "acl_smtp_mail": None}, AUTHENTICATORS)
    with one.connect() as client:
        client.ehlo()
        client.starttls()
        log_in(client, "bob")
        client.envelope("user@example.test", sender="bob@example.test")
        if chunked:
            client.send(f"BDAT {len(text)} LAST\r\n{text}".encode())
        else:
            client.expect(354, "DATA")
            client.send(f"{text}.\r\n".encode())
        code, texts = client.reply()
        assert (code, texts[-1]) == (550, "The address in From is not yours")
        client.expect(250, "NOOP")
    one.wait_log(r"rejected after DATA: From is not an address of the authenticated user")
    assert not one.maildir().read()


def test_who_is_not_authenticated_is_not_asked(server):
    one = server("", CHECK, AUTHENTICATORS)
    with one.connect() as client:
        client.ehlo()
        client.expect(250, "MAIL FROM:<anybody@client.test>")

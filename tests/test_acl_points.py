# SPDX-License-Identifier: ISC
"""ACLs of VRFY, EXPN and ETRN, of connections that end without QUIT, and the controls that say what the queue does with a message."""
import signal
import socket

import pytest

from harness import make_message, wait_for

ACLS = """begin acl
vrfy:
  deny local_parts = secret
    message = 252 not telling
  accept local_parts = known
    message = 252 perhaps
  accept
expn:
  deny condition = ${if eq{$smtp_command}{EXPN list@example.test}}
  accept
etrn:
  deny condition = ${if eq{$smtp_command_argument}{@no.test}}
    message = 459 not for you
  accept
notquit:
  warn logwrite = <$sender_helo_name> ended: $smtp_notquit_reason
  accept
rcpt:
  drop local_parts = dropme
  warn senders = frozen@client.test
    control = freeze/no_tell
  warn senders = later@client.test
    control = queue
    control = dscp/ef
  accept

begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_condition = false
"""


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
        return True
    except OSError:
        return False


def deciding(server, **main):
    return server(main={"acl_smtp_vrfy": "vrfy", "acl_smtp_expn": "expn", "acl_smtp_etrn": "etrn", "acl_smtp_notquit": "notquit",
                        "acl_smtp_rcpt": "rcpt", "auth_cleartext_hosts": "*", **main}, extra=ACLS)


def test_vrfy_and_expn_are_answered_by_acl_and_routers(server):
    one = deciding(server)
    with one.connect() as client:
        offered = client.ehlo().split("\n")
        assert {"VRFY", "EXPN", "ETRN"} <= set(offered)
        assert client.expect(250, "VRFY user@example.test") == "<user@example.test> is deliverable"
        assert client.expect(550, "VRFY gone@example.test") == "<gone@example.test> Unrouteable address"
        assert client.expect(252, "VRFY secret@example.test") == "not telling"
        assert client.expect(252, "VRFY known@example.test") == "perhaps"
        assert client.expect(250, "EXPN user@example.test") == "<user@example.test>"
        assert client.expect(550, "EXPN list@example.test") == "Administrative prohibition"
        assert client.expect(553, "EXPN gone@example.test") == "gone@example.test is undeliverable"
        client.expect(501, "VRFY a@@b")
        client.expect(501, "VRFY <>")
    one.wait_log(r"H=\(client\.test\) \[127\.0\.0\.1\] rejected VRFY secret@example\.test: 252 not telling$")


def test_without_an_acl_they_are_refused_and_not_offered(shared):
    with shared.connect() as client:
        assert not {"VRFY", "EXPN", "ETRN"} & set(client.ehlo().split("\n"))
        client.expect(252, "VRFY user@example.test")
        client.expect(550, "EXPN user@example.test")
        client.expect(458, "ETRN @example.test")


def test_an_acl_that_is_forced_to_fail_is_none(server):
    forced = "${if eq{a}{b}{vrfy}fail}"
    one = server(main={"acl_smtp_vrfy": forced, "acl_smtp_expn": forced, "acl_smtp_etrn": forced, "acl_smtp_mailauth": forced,
                       "auth_cleartext_hosts": "*"}, extra=ACLS)
    with one.connect() as client:
        client.ehlo()
        client.expect(252, "VRFY gone@example.test")
        client.expect(550, "EXPN user@example.test")
        client.expect(458, "ETRN @example.test")
        client.expect(250, "MAIL FROM:<a@client.test> AUTH=b@client.test")
    one.wait_log(r"ignoring AUTH=b@client\.test from .*\(client not authenticated\)$")


def test_etrn_runs_the_queue(server):
    one = deciding(server)
    with one.connect() as client:
        client.ehlo()
        client.expect(459, "ETRN @no.test")
        client.envelope("user@example.test", sender="later@client.test")
        client.data_of(make_message())
        one.wait_log(r" no immediate delivery: queued by ACL$")
        assert one.queued() and not one.maildir().files()
        assert client.expect(250, "ETRN @example.test") == "OK"
    one.maildir().wait()
    one.wait_log(r"\[127\.0\.0\.1\] ETRN @example\.test received$")


def test_a_frozen_message_stays_frozen_over_a_restart(server):
    one = deciding(server)
    with one.connect() as client:
        client.ehlo()
        client.envelope("user@example.test", sender="frozen@client.test")
        assert client.data_of(make_message())[0] == 250
    one.wait_log(r" frozen by ACL$")
    one.stop()
    one.start()
    one.send(make_message())
    one.maildir().wait()
    wait_for("the delivered message to leave the queue", lambda: len(one.queued()) == 1)
    assert len(one.maildir().files()) == 1


@pytest.mark.parametrize("how, reason", [("lost", "connection-lost"), ("drop", "acl-drop"), ("unknown", "bad-commands"),
                                         ("mechanism", "bad-commands"), ("early", "synchronization-error"),
                                         ("slow", "command-timeout"), ("tls", "tls-failed"), ("quit", None)])
def test_the_end_without_quit_has_a_reason(server, how, reason):
    # The greeting waits, so that what comes before it is there by then.
    greeting = {"acl_smtp_connect": "accept delay = 1s"} if how == "early" else {}
    one = deciding(server, smtp_receive_timeout="2s", **greeting)
    if how == "early":
        with socket.create_connection(("127.0.0.1", one.smtp)) as early:
            early.sendall(b"EHLO client.test\r\n")
            while early.recv(4096):
                pass
    else:
        with one.connect() as client:
            client.ehlo()
            if how == "drop":
                client.expect(250, "MAIL FROM:<a@client.test>")
                client.expect(550, "RCPT TO:<dropme@example.test>")
                client.ends()
            elif how == "unknown":
                while client.cmd("NONSENSE")[1][0] != "Too many unrecognized commands":
                    pass
                client.ends()
            elif how == "mechanism":
                while "Too many syntax or protocol errors" not in client.cmd("AUTH NONSENSE")[1]:
                    pass
                client.ends()
            elif how == "tls":
                client.expect(220, "STARTTLS")
                client.send("this is no ClientHello\r\n")
                client.rest()
            elif how == "slow":
                client.expect(421)
                client.ends()
            elif how == "quit":
                client.cmd("QUIT")
                client.ends()
    if reason:
        one.wait_log(rf"ended: {reason}$")
    else:
        one.send(make_message())
        one.maildir().wait()
        assert "ended:" not in one.log_text()


def test_a_server_that_ends_tells_the_acl_for_the_end_without_quit(server):
    one = deciding(server)
    with one.connect() as client:
        client.ehlo()
        client.envelope()
        client.expect(354, "DATA")
        one.process.send_signal(signal.SIGTERM)
        one.wait_log("shutting down: ")
        wait_for("the front to drain", lambda: not listens(one.smtp))
        client.send("Subject: late\r\n\r\n.\r\n")
        client.expect(250)
        client.expect(421)
        client.ends()
    one.wait_log(r"<client\.test> ended: signal-exit$")


# What is said after a recipient was accepted, until the ACL of that point has run.
AFTER_A_RECIPIENT = {
    "predata": ["DATA"],
    "mime": ["DATA", "Content-Type: text/plain\r\n\r\ntext\r\n."],
    "data": ["DATA", "Subject: x\r\n\r\ntext\r\n."],
    "mail": ["RSET", "MAIL FROM:<next@client.test>"],
    "helo": ["EHLO again.test"],
    "etrn": ["RSET", "ETRN @example.test"],
    "starttls": ["RSET", "STARTTLS"],
    "auth": ["RSET", "AUTH PLAIN AGEAYg=="],
    "quit": ["QUIT"],
    "notquit": [],
}


@pytest.mark.parametrize("accepted", [True, False], ids=["accepted", "refused"])
@pytest.mark.parametrize("point", AFTER_A_RECIPIENT)
def test_the_address_of_a_recipient_is_known_to_its_own_acl_alone(server, point, accepted):
    last = "accept" if accepted else "deny"
    one = server(main={"acl_smtp_rcpt": "rcpt", f"acl_smtp_{point}": "seen", "auth_cleartext_hosts": "*"}, extra=f"""begin acl
rcpt:
  accept local_parts = user
    domains = example.test
  {last} local_parts = alice
    domains = example.test

seen:
  warn logwrite = {point} sees <$local_part> <$domain> <$local_part_data> <$domain_data> <$recipient_data> <${{acl{{address}}}}>
  accept

address:
  accept message = $local_part@$domain

begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_condition = false
""")
    with one.connect() as client:
        client.ehlo()
        client.envelope("user@example.test")
        client.expect(250 if accepted else 550, "RCPT TO:<alice@example.test>")
        for line in AFTER_A_RECIPIENT[point]:
            client.cmd(line)
    one.wait_log(rf" {point} sees <> <> <> <> <> <@>$")

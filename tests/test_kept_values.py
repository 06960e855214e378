# SPDX-License-Identifier: ISC
"""What a running server keeps between expansions: results of named lists for one message, and what one string leaves to the next."""
import pytest

from harness import ROOT, Listener, make_message

USER = "  user = nobody\n  group = nogroup\n" if ROOT else ""


class Counter(Listener):
    """A server that answers every connection with one line, and counts them."""

    def __init__(self, text):
        self.text, self.asked = text.encode(), 0
        super().__init__()

    def answer(self, connection):
        self.asked += 1
        connection.sendall(self.text)

    def question(self):
        return "${readsocket{inet:127.0.0.1:%d}{}}" % self.port


@pytest.fixture
def counter():
    one = Counter("example.test")
    yield one
    one.close()


def recipients(client, *addresses):
    client.expect(250, "MAIL FROM:<a@client.test>")
    for address in addresses:
        client.expect(250, f"RCPT TO:<{address}>")


@pytest.mark.parametrize("kind, asked", [("domainlist_cache", [1, 1, 2]), ("domainlist", [1, 2, 3])])
def test_an_acl_keeps_what_a_list_said_for_the_message(server, counter, kind, asked):
    one = server(main={"acl_smtp_rcpt": "rcpt"},
                 extra=f"{kind} asked = {counter.question()}\nbegin acl\nrcpt:\n  accept domains = +asked\n")
    seen = []
    with one.connect() as client:
        client.ehlo()
        client.expect(250, "MAIL FROM:<a@client.test>")
        for address in ("user@example.test", "alice@example.test"):
            client.expect(250, f"RCPT TO:<{address}>")
            seen.append(counter.asked)
        client.expect(250, "RSET")
        recipients(client, "user@example.test")
        seen.append(counter.asked)
    assert seen == asked


@pytest.mark.parametrize("kind, asked", [("domainlist_cache", (1, 2)), ("domainlist", (2, 4))])
def test_routing_keeps_what_a_list_said_for_the_message(server, counter, kind, asked):
    """Two routers ask for the recipient: in the session, and again for the delivery in the queue."""
    one = server(start=False, extra=f"{kind} asked = {counter.question()}",
                 routers="never:\n  driver = accept\n  domains = +asked\n  local_parts = nobody\n  transport = there\n"
                         "always:\n  driver = accept\n  domains = +asked\n  transport = there\n")
    one.transports = f"there:\n  driver = appendfile\n  directory = {one.mail}/all\n  maildir_format\n{USER}"
    one.configure()
    one.start()
    with one.connect() as client:
        client.ehlo()
        recipients(client, "user@example.test")
        in_session = counter.asked
        client.expect(354, "DATA")
        client.send(make_message().decode() + "\r\n.\r\n")
        assert client.reply()[0] == 250
    one.wait_log("Completed")
    assert (in_session, counter.asked) == asked


def command(one, script):
    # Not beside the spool: the run role is let into no directory that has mail below it.
    (one.dir / "bin").mkdir()
    path = one.dir / "bin" / "command"
    path.write_text("#!/bin/sh\n" + script + "\n")
    path.chmod(0o755)
    return path


def test_a_router_tells_its_transport_the_exit_status_of_a_command(server):
    """$runrc is what ${run} left, for the address at hand: the next one begins with 0."""
    one = server(start=False)
    path = command(one, 'test "$1" != user || exit 3; test "$1" != alice || exit 4')
    one.routers = ("asking:\n  driver = accept\n  domains = example.test\n"
                   "  local_parts = ${run{%s $local_part}{nobody}{user:alice}}\n  transport = there\n" % path)
    one.transports = f"there:\n  driver = appendfile\n  directory = {one.mail}/$runrc\n  maildir_format\n{USER}"
    one.configure()
    one.start()
    with one.connect() as client:
        client.ehlo()
        recipients(client, "user@example.test", "alice@example.test")
        client.expect(354, "DATA")
        client.send(make_message().decode() + "\r\n.\r\n")
        assert client.reply()[0] == 250
    one.wait_log("Completed")
    assert {entry.name for entry in one.mail.iterdir()} == {"3", "4"}


def test_a_statement_of_an_acl_sees_what_a_command_left(server):
    """$runrc of one condition is there for those behind it, for the message and in an ACL that they call, not for the next command of SMTP."""
    one = server(start=False, main={"acl_smtp_rcpt": "rcpt", "acl_smtp_mail": "mail"})
    one.extra = ("begin acl\nmail:\n  warn condition = ${run{%s}{yes}{yes}}\n  deny message = unheard of\n    ! condition = ${if eq{$runrc}{3}}\n"
                 "  accept message = ${acl{inner}}\nrcpt:\n  deny message = the status is $runrc\n"
                 "inner:\n  accept message = $runrc within\n" % command(one, "exit 3"))
    one.configure()
    one.start()
    with one.connect() as client:
        client.ehlo()
        assert client.expect(250, "MAIL FROM:<a@client.test>") == "3 within"
        assert client.expect(550, "RCPT TO:<user@example.test>") == "the status is 0"

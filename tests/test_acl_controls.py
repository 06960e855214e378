# SPDX-License-Identifier: ISC
"""What the modifier control does to a connection and to the answer to a message (Exim's manual, chapter 44 §22), seen by a real client."""
import socket
import struct

import pytest

from harness import Smtp, make_message, wait_for

# ---- fakedefer ----

DEFERRED = ["Your message is being deferred at this time,", "but is being kept for evaluation.", "Please try again later."]


@pytest.mark.parametrize("point", ["mail", "rcpt", "predata", "data"])
@pytest.mark.parametrize("option, texts", [("", DEFERRED), ("/later: $sender_address", ["later: sender@client.test"]),
                                           ("/one\\ntwo", ["one", "two"])], ids=["", "text", "lines"])
def test_fakedefer_takes_the_message_and_says_that_it_does_not(point, option, texts, server):
    one = server(main={f"acl_smtp_{point}": "fake"}, extra=f"begin acl\nfake:\n  accept control = fakedefer{option}\n")
    with one.connect() as client:
        client.ehlo()
        client.envelope()
        assert client.data_of(make_message("kept")) == (450, texts)
        client.expect(250, "NOOP")
    assert b"Subject: kept" in one.maildir().wait()[0]
    one.wait_empty()


# ---- enforce_sync ----

@pytest.mark.parametrize("option", ["true", "false"])
@pytest.mark.parametrize("control", [None, "enforce_sync", "no_enforce_sync"])
def test_who_may_speak_before_the_greeting_is_the_acls_to_say(option, control, server):
    modifier = f"    control = {control}\n" if control else ""
    one = server(main={"smtp_enforce_sync": option, "acl_smtp_connect": "check"},
                 extra=f"begin acl\ncheck:\n  accept delay = 1s\n{modifier}")
    refused = control == "enforce_sync" or (control is None and option == "true")
    with Smtp(one.smtp, banner=False) as client:
        client.send("EHLO early.test\r\n")
        if refused:
            assert client.reply() == (554, ["SMTP synchronization error"])
            client.ends()
            one.wait_log(r"SMTP protocol synchronization error \(input sent without waiting for greeting\): rejected connection from")
        else:
            client.expect(220)
            client.expect(250)
            client.expect(250, "NOOP")


# ---- dscp ----

class Packets:
    """TCP packets of one connection that come from its server: the class that each has in its IP header. For root only."""

    def __init__(self, client):
        family, host = client.family, client.getpeername()[0]
        self.ports = struct.pack("!HH", client.getpeername()[1], client.getsockname()[1])
        self.raw = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_TCP)
        self.raw.settimeout(60)
        self.ipv6 = family == socket.AF_INET6
        if self.ipv6:
            self.raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS, 1)
        self.raw.bind((host, 0))

    def next(self):
        """Of the next one with data."""
        while True:
            packet, extra, _, _ = self.raw.recvmsg(65536, 64)
            if self.ipv6:
                segment, value = packet, struct.unpack("i", extra[0][2])[0]
            else:
                segment, value = packet[(packet[0] & 15) * 4:], packet[1]
            if segment[:4] == self.ports and len(segment) > (segment[12] >> 4) * 4:
                return value

    def close(self):
        self.raw.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("name, value", [("ef", 46), ("af31", 26), ("cs7", 56), ("12", 12)])
def test_dscp_is_the_class_of_the_packets_from_then_on(host, name, value, server):
    one = server(main={"acl_smtp_mail": "check", "local_interfaces": "<; 127.0.0.1 ; ::1"},
                 extra=f"begin acl\ncheck:\n  accept senders = urgent@client.test\n    control = dscp/{name}\n  accept\n")
    client = Smtp.__new__(Smtp)
    client.sock, client.data = socket.create_connection((host, one.smtp), 60), b""
    packets = Packets(client.sock)
    with client:
        client.expect(220)
        client.ehlo()
        assert packets.next() == 0  # the greeting, or what follows: it may have come before we listened
        client.expect(250, "MAIL FROM:<usual@client.test>")
        client.expect(250, "RSET")
        client.expect(250, "MAIL FROM:<urgent@client.test>")
        wait_for("a packet of that class", lambda: packets.next() == value << 2)
        client.expect(250, "NOOP")
        assert packets.next() == value << 2
    packets.close()


def test_a_connection_without_dscp_has_no_class(server):
    one = server(main={"acl_smtp_mail": "accept"})
    with one.connect() as client:
        packets = Packets(client.sock)
        for _ in range(5):
            client.expect(250, "NOOP")
            assert packets.next() == 0
        packets.close()

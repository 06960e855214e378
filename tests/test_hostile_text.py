# SPDX-License-Identifier: ISC
"""What clients send meets the strings of a running server's configuration: it can be slow or wrong, and it stays text."""
import time

from harness import make_message

ACL = r"""
begin acl
check_rcpt:
  deny  sender_domains = regex.test
        condition = ${if match{$sender_address_local_part}{^(([a-z])+.)+[A-Z]([a-z])+\$}}
  deny  sender_domains = expand.test
        condition = ${expand:$sender_address_local_part}
  deny  sender_domains = list.test
        domains = $sender_address_local_part
  deny  sender_domains = double.test
        condition = ${if eq{}{${reduce{${sg{$sender_address_local_part}{.}{a:}}}{x}{$value$value}}}}
  accept
"""


def start(server):
    return server(main={"acl_smtp_rcpt": "check_rcpt", "front_processes": "1"}, extra=ACL)


def reply(one, sender):
    with one.connect() as client:
        client.expect(250, "EHLO client.test")
        client.expect(250, f"MAIL FROM:<{sender}>")
        return client.cmd("RCPT TO:<user@example.test>")[0]


def refused_for_now(one, sender, why):
    """The answer is 451, the log says why, and the next message is delivered."""
    began, mark = time.monotonic(), one.mark()
    assert reply(one, sender) == 451
    one.wait_log(why, mark)
    assert time.monotonic() - began < 20
    one.send(make_message(), "user@example.test")
    one.wait_log(r"=> user", mark)


def test_a_regular_expression_that_backtracks_without_end_is_given_up(server):
    refused_for_now(start(server), "a" * 60 + "@regex.test", "given up")


def test_a_peers_text_is_not_expanded(server):
    refused_for_now(start(server), '"${readfile{/etc/passwd}}"@expand.test', "(?i)tainted")


def test_a_value_that_doubles_has_a_bound(server):
    refused_for_now(start(server), "a" * 60 + "@double.test", "longer than|too long|bytes")


def test_a_peers_text_is_a_plain_item_of_a_list(server):
    one = start(server)
    assert [reply(one, sender) for sender in ("example.test@list.test", "*@list.test", "y.test@list.test")] == [550, 550, 250]
    refused_for_now(one, "/etc/passwd@list.test", "(?i)tainted")

# SPDX-License-Identifier: ISC
"""dnslists in a running server, with a real name server behind the lookup role. The conditions and what they come to are those of
Exim's manual, chapter 44 §31 to §38."""
import os

import pytest

from dns_server import Liar, Nsd
from harness import make_message

BLACK = """2.0.0.127 IN A 127.0.0.2
2.0.0.127 IN TXT "no mail from here"
3.0.0.127 IN A 192.0.2.97
4.0.0.127 IN A 127.0.0.3
4.0.0.127 IN A 127.0.0.6
bad.test IN A 127.0.1.2
bad.test IN TXT "a bad domain"
"""
ACLS = """
begin acl

check_rcpt:
  deny dnslists = none.black.example : black.example&0.0.0.2 : black.example=127.0.1.2/$sender_address_domain
    message = $sender_host_address: $dnslist_matched is in $dnslist_domain ($dnslist_value): $dnslist_text
    log_message = listed in $dnslist_domain
  warn dnslists = black.example
    logwrite = only warned: $dnslist_value
  accept
"""


@pytest.fixture(scope="module")
def nsd():
    one = Nsd()
    one.zone("black.example", BLACK, signed=False)
    one.start()
    yield one
    one.remove()


@pytest.fixture
def listed(server, tmp_path):
    def make(text, acls=ACLS, **main):
        path = tmp_path / "unbound.conf"
        path.write_text(text)
        os.chmod(tmp_path, 0o755)
        return server(main={"dns_config_file": path, "local_interfaces": "127.0.0.1", "acl_smtp_rcpt": "check_rcpt", **main}, extra=acls)
    return make


def rcpt(one, source, sender="a@good.test"):
    with one.connect(source=source) as client:
        client.ehlo()
        client.expect(250, f"MAIL FROM:<{sender}>")
        return client.cmd("RCPT TO:<user@example.test>")


def test_a_listed_client_is_refused_with_the_text_of_the_list(nsd, listed):
    one = listed(nsd.config())
    code, text = rcpt(one, "127.0.0.2")
    assert (code, text) == (550, ["127.0.0.2: 127.0.0.2 is in black.example (127.0.0.2): no mail from here"])
    one.wait_log(r"H=\(client\.test\) \[127\.0\.0\.2\] F=<a@good\.test> rejected RCPT <user@example\.test>: listed in black\.example$")


def test_a_client_that_no_list_has_is_served(nsd, listed):
    one = listed(nsd.config())
    with one.connect(source="127.0.0.9") as client:
        client.ehlo()
        client.deliver(make_message())
    one.maildir().wait()


def test_an_answer_outside_of_127_lists_nobody(nsd, listed):
    one = listed(nsd.config())
    assert rcpt(one, "127.0.0.3")[0] == 250
    one.wait_log(r"DNS list lookup for 127\.0\.0\.3 at black\.example returned 192\.0\.2\.97; not in 127\.0/8 and discarded$")


def test_bits_of_any_address_count(nsd, listed):
    one = listed(nsd.config())
    code, text = rcpt(one, "127.0.0.4")
    assert code == 550 and sorted(text[0].split("(")[1].split(")")[0].split(", ")) == ["127.0.0.3", "127.0.0.6"]


def test_the_senders_domain_is_a_key(nsd, listed):
    one = listed(nsd.config())
    assert rcpt(one, "127.0.0.9", "x@bad.test") == (550, ["127.0.0.9: bad.test is in black.example (127.0.1.2): a bad domain"])


@pytest.mark.parametrize("word, code", [("", 250), ("+include_unknown : ", 550), ("+defer_unknown : ", 451)])
def test_what_a_silent_list_counts_as(listed, word, code):
    dead = Liar("servfail")
    try:
        one = listed(dead.config(), f"begin acl\ncheck_rcpt:\n  deny dnslists = {word}black.example\n  accept\n")
        assert rcpt(one, "127.0.0.2")[0] == code
        assumed = {250: "assumed not in list", 550: "assumed in list", 451: "returned DEFER"}[code]
        one.wait_log(rf"dnslist lookup defer \(for 2\.0\.0\.127\.black\.example\): {assumed}$")
    finally:
        dead.close()

# SPDX-License-Identifier: ISC
"""The modifier udpsend (Exim's manual, chapter 44): a packet for a program that counts. Real packets, a real server."""
import socket
import subprocess

import pytest

from harness import POSTERN, Server


@pytest.fixture(name="receiver")
def fixture_receiver():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        one.settimeout(30)
        yield one


@pytest.fixture(name="server")
def fixture_server(certificates):
    made = []

    def make(statement):
        one = Server(certificates, extra=f"begin acl\ncheck:\n  warn {statement}\n  accept\n", main={"acl_smtp_mail": "check"})
        made.append(one)
        one.start()
        return one
    yield make
    for one in made:
        one.remove()


def mail(one, sender="a@b.test"):
    with one.connect() as client:
        client.ehlo()
        return client.cmd(f"MAIL FROM:<{sender}>")


def test_the_packet_is_sent_with_its_text_expanded(server, receiver):
    one = server(f"udpsend = 127.0.0.1 : {receiver.getsockname()[1]} : mail from $sender_address")
    assert mail(one)[0] == 250
    assert receiver.recv(2048) == b"mail from a@b.test"


def test_another_separator_lets_colons_be_in_the_text_and_the_host(server, receiver):
    one = server(f"udpsend = <; 127.0.0.1 ; {receiver.getsockname()[1]} ; a:b ; $sender_address")
    assert mail(one)[0] == 250
    assert receiver.recv(2048) == b"a:b ; a@b.test"


def test_each_statement_sends_one_also_when_the_text_is_the_same(server, receiver):
    port = receiver.getsockname()[1]
    one = server(f"udpsend = 127.0.0.1 : {port} : same\n  warn udpsend = 127.0.0.1 : {port} : same")
    assert mail(one)[0] == 250
    assert [receiver.recv(2048), receiver.recv(2048)] == [b"same", b"same"]


def test_a_peers_text_adds_no_host_and_no_port(server, receiver):
    """Exim cuts after expansion; here what a peer wrote is never a separator, and never the address."""
    port = receiver.getsockname()[1]
    one = server(f"udpsend = 127.0.0.1 : {port} : <$sender_address>")
    assert mail(one, '"x : 1 : y"@b.test')[0] == 250
    assert receiver.recv(2048) == b'<"x : 1 : y"@b.test>'
    other = server(f"udpsend = $sender_address_domain : {port} : text")
    assert mail(other)[0] == 451
    other.wait_log(r"udpsend: a host or port that a peer had a hand in")


def test_a_host_that_is_not_there_defers_the_condition(server):
    one = server("udpsend = nohost.invalid : 9 : text")
    assert mail(one)[0] in (250, 451)
    one.wait_log(r"nohost\.invalid")


@pytest.mark.parametrize("value", ["127.0.0.1", "127.0.0.1 : 9", "127.0.0.1 : nine : x", "127.0.0.1 : 0 : x", "127.0.0.1 : 65536 : x", ": 9 : x",
                                   "127.0.0.1 : 9 :"])
def test_a_constant_mistake_is_found_at_load(value, tmp_path):
    conf = tmp_path / "postern.conf"
    conf.write_text(f"spool_directory = {tmp_path}/spool\nacl_smtp_mail = check\nbegin acl\ncheck:\n  accept udpsend = {value}\n")
    done = subprocess.run([POSTERN, "check", "-c", conf], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2 and "udpsend: expected a host, a port number and a text" in done.stderr, done

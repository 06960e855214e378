# SPDX-License-Identifier: ISC
"""The PROXY protocol: who the client behind a proxy is, who may say so, and what happens to the others. Headers by hand, and those of
HAProxy. The proxies of these tests are 127.0.0.1; 127.0.0.2 is none."""
import re
import shutil
import ssl
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from harness import POSTERN, Closed, Smtp, free_ports, make_certificate, make_message, trusting, wait_for
from proxy_peers import (CLIENT, CLIENT_PORT, LOCAL, SIGNATURE, TARGET, TARGET_PORT, At, Behind, HAProxy, binary, field, line,
                         packed, summed, wait_taken)
from tls_peers import swaks

ACL = """begin acl
connected:
  warn logwrite = CONNECTED session=$proxy_session host=[$sender_host_address]:$sender_host_port \
local=[$proxy_local_address]:$proxy_local_port external=[$proxy_external_address]:$proxy_external_port \
received=[$received_ip_address]:$received_port
  accept
"""
FAILED = "Command refused, required Proxy negotiation failed"
LISTED = {"hosts_proxy": "127.0.0.1", "acl_smtp_connect": "connected", "log_selector": "+proxy"}


@pytest.fixture
def behind(server):
    """A server that takes 127.0.0.1 for a proxy and logs what it knows of each client."""
    def make(main=None, **named):
        return server(main={**LISTED, **(main or {})}, extra=named.pop("extra", ACL), **named)
    return make


@pytest.fixture(scope="module")
def proxied(module_server):
    """One such server for the tests that change nothing in it."""
    return module_server(main={**LISTED, "proxy_protocol_timeout": "5m"}, extra=ACL)


def connected(one, start, session="yes", host=None, local=r"\[127\.0\.0\.1\]:\d+", external=None, received=None):
    """The line of the connect ACL."""
    host = host or rf"\[{re.escape(CLIENT)}\]:{CLIENT_PORT}"
    external = external or rf"\[{re.escape(TARGET)}\]:{TARGET_PORT}"
    received = received or rf"\[127\.0\.0\.1\]:{one.smtp}"
    return one.wait_log(rf"CONNECTED session={session} host={host} local={local} external={external} received={received}$", start)


def assert_shut(client):
    """Nothing is done but QUIT."""
    for command in ("EHLO client.test", "HELO client.test", "MAIL FROM:<a@client.test>", "STARTTLS", "NOOP", "nonsense"):
        assert client.expect(503, command) == FAILED
    client.expect(221, "QUIT")
    client.ends()


# ---- Who the client is ----

@pytest.mark.parametrize("header", [line(), binary(), summed(), binary(fields=field(4, b"x" * 4000))],
                         ids=["version 1", "version 2", "with a checksum", "4 KB"])
def test_the_session_is_that_of_the_client_behind_the_proxy(proxied, header):
    start = proxied.mark()
    message = make_message()
    with Behind(proxied.smtp, header) as client:
        assert f"[{CLIENT}]" in client.ehlo().split("\n")[0]
        client.deliver(message)
        client.expect(221, "QUIT")
    connected(proxied, start)
    proxied.wait_log(rf"<= sender@client\.test H=\(client\.test\) \[{re.escape(CLIENT)}\] P=esmtp PRX=127\.0\.0\.1 S=", start)
    proxied.maildir().holds(message)
    stored = next(text for text in proxied.maildir().read() if message.replace(b"\r\n", b"\n") in text)
    assert b"Received: from [198.51.100.7] (helo=client.test)" in stored


@pytest.mark.parametrize("header", [line("2001:db8::1", "2001:db8::2"), binary(packed("2001:db8::1", "2001:db8::2"))],
                         ids=["version 1", "version 2"])
def test_clients_of_ipv6_come_through_a_proxy_of_ipv4(proxied, header):
    start = proxied.mark()
    with Behind(proxied.smtp, header) as client:
        assert "[2001:db8::1]" in client.ehlo()
    connected(proxied, start, host=rf"\[2001:db8::1\]:{CLIENT_PORT}", external=rf"\[2001:db8::2\]:{TARGET_PORT}")


def test_the_proxy_may_have_an_ipv6_address(behind):
    one = behind({"hosts_proxy": "<; ::1", "local_interfaces": "<; 127.0.0.1 ; ::1"})
    for header in (line(), line("2001:db8::1", "2001:db8::2"), binary()):
        start = one.mark()
        with At("::1", one.smtp, header=header) as client:
            client.ehlo()
            client.deliver(make_message())
        connected(one, start, host=r"\[(198\.51\.100\.7|2001:db8::1)\]:4711", local=r"\[::1\]:\d+", external=r"\[(203\.0\.113\.9|2001:db8::2)\]:25",
                  received=rf"\[::1\]:{one.smtp}")
        one.wait_log(r"<= sender@client\.test .* PRX=::1 S=", start)


def test_the_address_of_this_host_is_that_of_the_connection(behind):
    """$received_ip_address, where the server listens on all of them."""
    one = behind({"local_interfaces": "<; 0.0.0.0"})
    for address in ("127.0.0.1", "127.0.0.3"):
        start = one.mark()
        with At(address, one.smtp, header=line()) as client:
            client.ehlo()
        connected(one, start, received=rf"\[{re.escape(address)}\]:{one.smtp}")


def test_a_mapped_address_of_a_client_is_its_ipv4_address(proxied):
    with Behind(proxied.smtp, binary(packed("::ffff:198.51.100.7", "::ffff:203.0.113.9"))) as client:
        assert f"[{CLIENT}]" in client.ehlo()


@pytest.mark.parametrize("header", [b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", LOCAL, binary(command=0x20),
                                    binary(b"", transport=0), binary(bytes(216), transport=0x31), binary(transport=0x12)],
                         ids=["UNKNOWN", "UNKNOWN with more", "LOCAL", "LOCAL with addresses", "unspecified", "UNIX", "UDP"])
def test_a_proxy_that_names_no_tcp_client_is_the_client_itself(proxied, header):
    start = proxied.mark()
    with Behind(proxied.smtp, header) as client:
        assert "[127.0.0.1]" in client.ehlo()
        client.deliver(make_message())
    connected(proxied, start, host=r"\[127\.0\.0\.1\]:\d+", local=r"\[\]:0", external=r"\[\]:0")
    assert "PRX=" not in proxied.wait_log(r"^.*<= sender@client\.test .*$", start).group()


def test_the_address_of_the_proxy_is_logged_only_with_the_selector(behind):
    one = behind({"log_selector": None})
    with Behind(one.smtp, line()) as client:
        client.ehlo()
        client.deliver(make_message())
    assert "PRX=" not in one.wait_log(r"^.*<= sender@client\.test .*$").group()


def test_limits_lists_and_acls_are_about_the_client(behind):
    acl = ACL + "mail:\n  deny hosts = 198.51.100.66\n    message = not you\n  accept\n"
    one = behind({"acl_smtp_mail": "mail", "tls_advertise_hosts": "198.51.100.7", "pipelining_advertise_hosts": "!127.0.0.1 : *",
                  "message_size_limit": "${if eq{$sender_host_address}{198.51.100.7}{1M}{20K}}"}, extra=acl)
    with Behind(one.smtp, line()) as client:
        offers = client.ehlo().split("\n")
        assert "SIZE 1048576" in offers and "STARTTLS" in offers and "PIPELINING" in offers
        client.expect(250, "MAIL FROM:<a@client.test>")
    with Behind(one.smtp, line("198.51.100.66")) as client:
        offers = client.ehlo().split("\n")
        assert "SIZE 20480" in offers and "STARTTLS" not in offers
        assert client.expect(550, "MAIL FROM:<a@client.test>") == "not you"
    one.wait_log(r"H=\(client\.test\) \[198\.51\.100\.66\] rejected MAIL")


def test_what_a_named_list_said_of_the_proxy_does_not_hold_for_the_client(behind):
    acl = "hostlist proxies = 127.0.0.1\n" + ACL + "mail:\n  deny hosts = +proxies\n    message = a proxy\n  accept\n"
    one = behind({"hosts_proxy": "+proxies", "acl_smtp_mail": "mail"}, extra=acl)
    for header, code in ((line(), 250), (LOCAL, 550)):
        with Behind(one.smtp, header) as client:
            client.ehlo()
            client.expect(code, "MAIL FROM:<a@client.test>")


def test_connections_are_counted_for_the_client_and_not_for_the_proxy(behind):
    one = behind({"smtp_accept_max_per_host": "2"})
    for _ in range(3):
        held = [Behind(one.smtp, line(f"198.51.100.{number}")) for number in (1, 2, 3, 1, 2, 3)]
        with Behind(one.smtp, line("198.51.100.2"), banner=False) as client:
            assert client.expect(421) == "Too many concurrent SMTP connections from this IP address; please try again later."
            client.ends()
        for client in held:
            client.expect(221, "QUIT")
            client.ends()
    one.wait_log(r"Connection from \[198\.51\.100\.2\] refused: too many connections from that IP address", count=3)


def test_who_waits_with_the_header_counts_in_the_total(behind):
    one = behind({"smtp_accept_max": 2, "proxy_protocol_timeout": "5m"})
    waiting = [one.connect(banner=False) for _ in range(2)]
    for client in waiting:
        client.send("PROXY")
        wait_taken(client)
    with one.connect(banner=False) as client:
        assert client.expect(421) == "Too many concurrent SMTP connections; please try again later."
    for client in waiting:
        client.send(" TCP4 198.51.100.7 203.0.113.9 1 2\r\n")
        assert client.reply()[0] == 220


def test_the_older_name_of_the_option_works_and_the_modern_one_is_told(server):
    one = server(main={"proxy_required_hosts": "127.0.0.1"})
    with Behind(one.smtp, line()) as client:
        assert f"[{CLIENT}]" in client.ehlo()
    told = subprocess.run([POSTERN, "check", "-c", str(one.conf)], capture_output=True, text=True, check=True)
    assert re.search(r"proxy_required_hosts.*the modern form: hosts_proxy", told.stdout + told.stderr)


def test_who_is_a_proxy_may_change_with_a_reload(behind):
    one = behind({"hosts_proxy": "127.0.0.2"})

    def served(source):
        """Whether a header from there makes the session that of its client."""
        with Smtp(one.smtp, banner=False, source=source) as client:
            client.send(line())
            return client.reply()[0] == 220 and f"[{CLIENT}]" in client.ehlo()

    assert served("127.0.0.2")
    one.configure({"hosts_proxy": "127.0.0.1"})
    start = one.mark()
    one.reload()
    one.wait_log("configuration reloaded", start)
    with Smtp(one.smtp, source="127.0.0.2") as client:
        assert "[127.0.0.2]" in client.ehlo()
    assert served("127.0.0.1")


def test_the_server_stops_while_headers_are_awaited(behind):
    one = behind({"proxy_protocol_timeout": "5m"})
    with one.connect(banner=False) as client:
        client.send("PROXY TCP4")
        wait_taken(client)
        one.stop()
        client.expect(421)
        client.ends()


# ---- Where the header ends ----

@pytest.mark.parametrize("header", [line(), binary(fields=field(5, b"id"))], ids=["version 1", "version 2"])
def test_a_header_may_come_in_two_parts_cut_anywhere(proxied, header):
    for cut in range(1, len(header)):
        with Smtp(proxied.smtp, banner=False) as client:
            client.send(header[:cut])
            wait_taken(client)
            client.send(header[cut:])
            assert client.reply()[0] == 220
            assert f"[{CLIENT}]" in client.ehlo()


def test_a_header_may_come_octet_by_octet(proxied):
    with Smtp(proxied.smtp, banner=False) as client:
        for octet in summed():
            client.send(bytes([octet]))
            wait_taken(client)
        assert client.reply()[0] == 220
        assert f"[{CLIENT}]" in client.ehlo()


@pytest.mark.parametrize("header", [line(), binary()], ids=["version 1", "version 2"])
def test_text_right_behind_the_header_is_a_synchronisation_error(proxied, header):
    start = proxied.mark()
    with Behind(proxied.smtp, header + b"EHLO client.test\r\n", banner=False) as client:
        assert client.expect(554) == "SMTP synchronization error"
        client.ends()
    proxied.wait_log(r"synchronization error \(input sent without waiting for greeting\): rejected connection from H=\[198\.51\.100\.7\]", start)


def test_no_octet_behind_the_header_is_lost(behind):
    one = behind({"smtp_enforce_sync": "false"})
    for header in (line(), binary(), LOCAL):
        with Behind(one.smtp, header + b"EHLO client.test\r\nNOOP\r\n") as client:
            client.expect(250)
            client.expect(250)


def test_a_client_cannot_add_a_header_to_that_of_its_proxy(proxied):
    with Behind(proxied.smtp, line() + line("192.0.2.66"), banner=False) as client:
        assert client.expect(554) == "SMTP synchronization error"
        client.ends()
    with Behind(proxied.smtp, line()) as client:
        client.send(line("192.0.2.66"))
        client.expect(554)
        client.ends()
    # What it said is quoted; it is nobody's address.
    assert "192.0.2.66" not in re.sub(r' input="PROXY TCP4 192\.0\.2\.66 [^"]*"$', "", proxied.log_text(), flags=re.M)


# ---- Proxies that say nothing good ----

BAD = {
    "an SMTP client": b"EHLO client.test\r\n",
    "a command for HTTP": b"GET / HTTP/1.0\r\n\r\n",
    "a family of its own": b"PROXY TCP5 198.51.100.7 203.0.113.9 4711 25\r\n",
    "half an address": b"PROXY TCP4 198.51.100 203.0.113.9 4711 25\r\n",
    "a bare LF": b"PROXY TCP4 198.51.100.7 203.0.113.9 4711 25\n",
    "too long a line": b"PROXY UNKNOWN " + b"x" * 94 + b"\r\n",
    "version 3": binary(command=0x31),
    "an unknown command": binary(command=0x22),
    "an unknown family": binary(transport=0x41),
    "too short for its addresses": binary(packed()[:11], transport=0x11),
    "more than 4 KB": binary(fields=field(4, b"x" * 4066)),
    "a field cut off": binary(fields=b"\x04\0\x02x"),
    "a wrong checksum": summed(wrong=1),
    "two checksums": summed(fields=field(3, bytes(4))),
}


@pytest.mark.parametrize("header", BAD.values(), ids=BAD)
def test_after_a_bad_header_nothing_but_quit_is_done(proxied, header):
    """At once: the time for the header is five minutes here."""
    start = proxied.mark()
    with Behind(proxied.smtp, header) as client:
        assert client.banner[0] == 220
        assert_shut(client)
    proxied.wait_log(r"H=\[127\.0\.0\.1\] required Proxy negotiation failed: (malformed|something else)", start)
    connected(proxied, start, host=r"\[127\.0\.0\.1\]:\d+", local=r"\[\]:0", external=r"\[\]:0")


def test_without_a_header_within_three_seconds_nothing_but_quit_is_done(behind):
    """Exim's documents: 3 seconds; the banner is shown, and commands are refused."""
    one = behind()
    begun = time.monotonic()
    with one.connect() as client:
        assert time.monotonic() - begun > 2.9
        assert_shut(client)
    one.wait_log(r"H=\[127\.0\.0\.1\] required Proxy negotiation failed: no PROXY protocol header in time")


def test_the_time_is_for_the_whole_header_and_not_for_each_octet(behind):
    one = behind({"proxy_protocol_timeout": "1s"})
    with one.connect(banner=False) as client, Behind(one.smtp, line()) as other:
        client.sock.settimeout(0.2)
        for octet in line() * 20:
            client.send(bytes([octet]) if octet != 13 else b"1")
            try:
                client.data += client.sock.recv(1000)
                break
            except TimeoutError:
                pass
        client.sock.settimeout(60)
        assert client.reply()[0] == 220
        assert client.expect(503, "") == FAILED
        client.expect(221, "QUIT")
        other.ehlo()
    one.wait_log(r"required Proxy negotiation failed: (only a part of the PROXY protocol header in time)")


def test_a_header_that_comes_too_late_is_a_command_as_any_other(behind):
    one = behind({"proxy_protocol_timeout": "1s"})
    with one.connect() as client:
        client.send(line())
        assert client.expect(503) == FAILED
        assert_shut(client)
    assert f"[{CLIENT}]" not in one.log_text()


# A list that asks a file that is not there, and a name server that does not answer.
DOUBTS = [("net-lsearch;{dir}/proxies", r".*failed to open .*/proxies"), ("proxy.example.net", r".*proxy\.example\.net")]


@pytest.mark.parametrize("hosts, why", DOUBTS, ids=["file", "DNS"])
@pytest.mark.parametrize("option", ["hosts_proxy", "proxy_required_hosts"])
def test_while_it_cannot_be_known_whether_a_host_is_a_proxy_it_is_turned_away(behind, option, hosts, why):
    one = behind({"hosts_proxy": None}, start=False)
    (one.dir / "unbound.conf").write_text(f"forward-zone:\n  name: \".\"\n  forward-addr: 127.0.0.1@{free_ports(1)[0]}\n"
                                          "server:\n  do-not-query-localhost: no\n")
    one.configure({option: hosts.format(dir=one.dir), "dns_config_file": one.dir / "unbound.conf", "dns_retrans": "1s", "dns_retry": "1"})
    one.start()
    for header in (b"", line()):
        with Smtp(one.smtp, banner=False) as client:
            client.send(header)
            assert client.expect(421) == "Temporary local problem - please try later"
            client.ends()
    one.wait_log(rf"H=\[127\.0\.0\.1\] connection temporarily refused: {option}: {why}")
    with Smtp(one.tls, banner=False) as client:
        client.ends()
    one.wait_log(rf"H=\[127\.0\.0\.1\] connection temporarily refused: {option}: {why}", count=3)
    assert "CONNECTED" not in one.log_text(), "its ACLs are for clients that are known"
    # Once it can be known, all is well.
    if "proxies" in hosts:
        (one.dir / "proxies").write_text("127.0.0.1\n")
        with one.connect(banner=False) as client:
            client.send(line())
            client.expect(220)
        connected(one, 0)


def test_one_list_that_names_the_proxy_is_enough_to_know_it(behind):
    one = behind({"hosts_proxy": "net-lsearch;/nonexistent/proxies", "proxy_required_hosts": "127.0.0.1"})
    with one.connect(banner=False) as client:
        client.send(line())
        client.expect(220)
    connected(one, 0)


def test_a_pretended_proxy_names_its_client(server):
    """postern session, whose client is in the list; tests/test_session.py has it beside Exim's -bh."""
    one = server(start=False, main={"hosts_proxy": "192.0.2.1"})
    done = subprocess.run([POSTERN, "session", "-c", str(one.conf), "192.0.2.1"], input=line().decode() + "EHLO client.test\nQUIT\n",
                          capture_output=True, text=True, timeout=60)
    assert f"Hello client.test [{CLIENT}]" in done.stdout, done


def test_a_proxy_that_goes_away_is_nobodys_concern(proxied):
    start = proxied.mark()
    for part in (b"", b"PROXY TCP4"):
        with Behind(proxied.smtp, part, banner=False):
            pass
    proxied.wait_log(r"H=\[127\.0\.0\.1\] unexpected disconnection while reading the PROXY protocol header", start)
    assert "negotiation failed" not in proxied.log_text(start)


@pytest.mark.parametrize("flood", [b"PROXY UNKNOWN" + b"x" * 65536, SIGNATURE + b"\x21\x11\xff\xff" + bytes(65535), b"x" * 65536 + b"\r\n",
                                   b"NOOP\r\n" * 11000, bytes(65536)],
                         ids=["a line", "version 2", "no line end", "lines", "zeros"])
def test_64_kb_are_refused_and_leave_nothing(proxied, flood):
    before = proxied.fronts_kb()
    for _ in range(40):
        with Smtp(proxied.smtp, banner=False) as client:
            try:
                client.send(flood)
                answers = client.rest() if flood.startswith(b"NOOP") else client.reply()
                assert answers
            except (ConnectionError, Closed):
                pass  # refused before all of it was sent
    with Behind(proxied.smtp, line()) as client:
        client.ehlo()
    assert proxied.fronts_kb() - before < 20 * 1024


def test_who_goes_on_after_the_refusal_is_put_out(proxied):
    with Behind(proxied.smtp, b"nothing good\r\n") as client:
        for _ in range(21):
            client.expect(503, "NOOP")
        client.ends()


# ---- Hosts that are no proxies ----

def refused(client):
    """The refusal, after the greeting if that was quicker; then version 2's first two lines, which are empty, have answers too."""
    code, texts = client.reply()
    while code in (220, 500):
        code, texts = client.reply()
    assert (code, texts) == (554, ["PROXY protocol is not accepted from this host"])
    client.ends()

@pytest.mark.parametrize("header", [line(), b"PROXY UNKNOWN\r\n", binary(), LOCAL], ids=["version 1", "UNKNOWN", "version 2", "LOCAL"])
def test_a_header_of_a_host_that_is_not_listed_is_refused(proxied, header):
    """Whether it comes before the greeting or after it; and the host stays what it is."""
    for early in (True, False):
        start = proxied.mark()
        with Smtp(proxied.smtp, banner=not early, source="127.0.0.2") as client:
            client.send(header)
            refused(client)
        proxied.wait_log(r"H=\[127\.0\.0\.2\] SMTP connection dropped: PROXY protocol header from a host that hosts_proxy does not list",
                         start)
        assert CLIENT not in proxied.log_text(start)


def test_a_header_of_a_host_that_is_not_listed_ends_tls_on_connect(proxied):
    for header in (line(), binary()):
        start = proxied.mark()
        with Smtp(proxied.tls, banner=False, source="127.0.0.2") as client:
            client.send(header)
            client.ends()
        proxied.wait_log(r"H=\[127\.0\.0\.2\] TLS on connect refused: PROXY protocol header from a host that hosts_proxy does not list", start)
        assert CLIENT not in proxied.log_text(start)


def test_hosts_that_are_not_listed_need_no_header(proxied):
    start = proxied.mark()
    with Smtp(proxied.smtp, source="127.0.0.2") as client:
        assert "[127.0.0.2]" in client.ehlo()
        client.starttls()
    connected(proxied, start, session="no", host=r"\[127\.0\.0\.2\]:\d+", local=r"\[\]:0", external=r"\[\]:0")
    with Smtp(proxied.tls, tls=True, source="127.0.0.2") as client:
        assert "[127.0.0.2]" in client.ehlo()


# ---- TLS ----

def test_starttls_behind_a_proxy(proxied):
    start = proxied.mark()
    with Behind(proxied.smtp, line()) as client:
        client.ehlo()
        client.starttls()
        client.deliver(make_message())
    proxied.wait_log(r"\[198\.51\.100\.7\] P=esmtps X=\S+ CV=no PRX=127\.0\.0\.1 S=", start)


@pytest.mark.parametrize("header", [line(), binary(), LOCAL], ids=["version 1", "version 2", "LOCAL"])
def test_the_header_comes_before_tls_on_connect(proxied, header):
    with Behind(proxied.tls, header, tls=True) as client:
        assert ("[127.0.0.1]" if header is LOCAL else f"[{CLIENT}]") in client.ehlo()


def test_a_client_hello_may_be_in_one_packet_with_the_header(proxied):
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = trusting().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    with Smtp(proxied.tls, banner=False) as client:
        client.send(line() + outgoing.read())
        data = b""
        while b"220 " not in data:
            try:
                if tls.version() is None or not data:
                    tls.do_handshake()
                data += tls.read(1000)
            except ssl.SSLWantReadError:
                client.send(outgoing.read())
                incoming.write(client.sock.recv(65536))


def test_without_a_header_tls_on_connect_does_not_begin(proxied):
    start = proxied.mark()
    with Smtp(proxied.tls, banner=False) as client:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            client.secure()
    proxied.wait_log(r"H=\[127\.0\.0\.1\] required Proxy negotiation failed: something else than a PROXY protocol header", start)
    for header in (summed(wrong=4), b"PROXY\r\n"):
        with Smtp(proxied.tls, banner=False) as client:
            client.send(header)
            client.ends()


def test_what_a_proxy_tells_of_tls_is_logged_and_believed_in_nothing(behind):
    """No $tls_ variable, no P=esmtps: nobody here has seen that connection, and the way from the proxy to here may be clear."""
    acl = ACL + "mail:\n  deny encrypted = *\n  deny condition = ${if def:tls_in_cipher}\n  accept\n"
    one = behind({"acl_smtp_mail": "mail"}, extra=acl)
    told = (field(2, b"mx.example.test") +
            field(0x20, b"\x07" + bytes(4) + field(0x21, b"TLSv1.3") + field(0x22, b'a "forged" F=<x@y>\r\nline') + field(0x23, b"TLS_X Y")))
    with Behind(one.smtp, binary(fields=told)) as client:
        client.ehlo()
        client.deliver(make_message())
    one.wait_log(r'H=\[198\.51\.100\.7\] TLS to the proxy \[127\.0\.0\.1\]: X=TLSv1\.3:TLS_X\\040Y CV=yes DN="a \\"forged\\" F=<x@y>\\015\\012line" '
                 r"SNI=mx\.example\.test$")
    assert "P=esmtp PRX=" in one.wait_log(r"^.*<= sender.*$").group()


# ---- HAProxy ----

@pytest.fixture
def haproxy():
    made, directory = [], Path(tempfile.mkdtemp(prefix="postern-test-haproxy-"))

    def make(ways):
        made.append(HAProxy(directory, ways))
        return made[-1]

    yield make
    for one in made:
        one.stop()
    shutil.rmtree(directory)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("way", ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id"],
                         ids=["version 1", "version 2", "with a checksum"])
def test_mail_comes_through_haproxy(proxied, haproxy, way, host):
    proxy = haproxy({"mx": ("", proxied.smtp, way), "tls": ("", proxied.tls, way)})
    name = re.escape(host)
    for port, tls in ((proxy.ports["mx"], False), (proxy.ports["mx"], True), (proxy.ports["tls"], None)):
        start, message = proxied.mark(), make_message()
        with At(host, port, tls=tls is None) as client:
            source = client.sock.getsockname()[1]
            assert f"[{host}]" in client.ehlo()
            if tls:
                client.starttls()
            client.deliver(message)
            client.expect(221, "QUIT")
        connected(proxied, start, host=rf"\[{name}\]:{source}", external=rf"\[{name}\]:{port}",
                  received=rf"\[127\.0\.0\.1\]:{proxied.tls if tls is None else proxied.smtp}")
        fields = "P=esmtp" if tls is False else r"P=esmtps X=\S+ CV=no"
        proxied.wait_log(rf"<= sender@client\.test H=\(client\.test\) \[{name}\] {fields} PRX=127\.0\.0\.1 S=", start)
        proxied.maildir().holds(message)


def test_haproxy_ends_tls_and_tells_of_it(proxied, haproxy, certificates):
    cert, key = make_certificate(certificates)
    both = Path(tempfile.mkdtemp(prefix="postern-test-pem-"))
    try:
        (both / "both.pem").write_text(Path(cert).read_text() + Path(key).read_text())
        bind = f"ssl crt {both}/both.pem ca-file {cert} verify optional"
        proxy = haproxy({"mx": (bind, proxied.smtp, "send-proxy-v2-ssl-cn proxy-v2-options ssl,cert-cn,ssl-cipher,authority,crc32c")})
        with_certificate = trusting()
        with_certificate.load_cert_chain(cert, key)
        for context, verified, name in ((trusting(), "no", ""), (with_certificate, "yes", 'DN="mx.example.test" ')):
            start = proxied.mark()
            with Behind(proxy.ports["mx"], b"", banner=False) as client:
                client.secure(context)
                assert client.reply()[0] == 220
                client.ehlo()
                client.deliver(make_message())
            proxied.wait_log(rf"TLS to the proxy \[127\.0\.0\.1\]: X=TLSv1\.[23]:\S+ CV={verified} {name}SNI=localhost$", start)
            proxied.wait_log(r"<= .* P=esmtp PRX=127\.0\.0\.1 S=", start)
    finally:
        shutil.rmtree(both)


@pytest.mark.parametrize("way", ["send-proxy", "send-proxy-v2"], ids=["version 1", "version 2"])
def test_health_checks_of_haproxy_are_its_own_connections(proxied, haproxy, way):
    start = proxied.mark()
    proxy = haproxy({"mx": ("", proxied.smtp, way + " check check-send-proxy inter 200ms")})
    wait_for("a good check", lambda: proxy.state("mx") == ("UP", "L7OK"))
    # Version 1 has the check's own addresses, version 2 says LOCAL.
    own, none = r"\[127\.0\.0\.1\]:\d+", r"\[\]:0"
    connected(proxied, start, host=own, local=none if way.endswith("v2") else own,
              external=none if way.endswith("v2") else r"\[127\.0\.0\.1\]:\d+")
    assert "negotiation failed" not in proxied.log_text(start)


def test_checks_and_clients_without_a_header_fail(behind, haproxy):
    one = behind()
    proxy = haproxy({"mx": ("", one.smtp, "check inter 200ms"), "plain": ("", one.smtp, "")})
    wait_for("a failed check", lambda: proxy.state("mx")[0] == "DOWN")
    with At("127.0.0.1", proxy.ports["plain"]) as client:
        assert client.expect(503, "EHLO client.test") == FAILED


def test_haproxy_that_is_not_listed_gets_nothing_through(behind, haproxy):
    one = behind({"hosts_proxy": "127.0.0.2"})
    proxy = haproxy({"mx": ("", one.smtp, "send-proxy"), "tls": ("", one.tls, "send-proxy-v2")})
    with Behind(proxy.ports["mx"], b"", banner=False) as client:
        refused(client)
    with Behind(proxy.ports["tls"], b"", banner=False) as client:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            client.secure()
    one.wait_log(r"PROXY protocol header from a host that hosts_proxy does not list", count=2)


def through(proxy, source, name="mx"):
    """A client at `source` that comes through HAProxy, which sends the header."""
    return Behind(proxy.ports[name], b"", banner=False, source=source)


def test_one_haproxy_stands_in_front_of_several_servers(behind, haproxy):
    """They take turns, and each knows the client."""
    servers = [behind(), behind()]
    proxy = haproxy({"mx": ("", servers[0].smtp, f"send-proxy\n  server second 127.0.0.1:{servers[1].smtp} send-proxy-v2\n  balance roundrobin")})
    for source in ("127.0.0.5", "127.0.0.6"):
        for _ in servers:
            assert swaks(proxy.ports["mx"], source=source, tls=False)
    for one in servers:
        for source in ("127.0.0.5", "127.0.0.6"):
            one.wait_log(rf" <= sender@client\.test H=\(client\.test\) \[{re.escape(source)}\] P=esmtp PRX=127\.0\.0\.1 S=")


def test_an_acl_logs_the_internal_address_of_the_server(behind, haproxy):
    """The document's own line."""
    one = behind(extra="begin acl\nconnected:\n  warn\n    logwrite = Internal Server Address: $received_ip_address:$received_port\n  accept\n")
    proxy = haproxy({"mx": ("", one.smtp, "send-proxy")})
    assert swaks(proxy.ports["mx"], tls=False)
    one.wait_log(rf"Internal Server Address: 127\.0\.0\.1:{one.smtp}$")


def test_smtp_accept_max_per_host_need_not_be_high_for_haproxy(behind, haproxy):
    """The limit is each client's own, where the document has all of them count for the proxy."""
    one = behind({"smtp_accept_max_per_host": "1"})
    proxy = haproxy({"mx": ("", one.smtp, "send-proxy")})
    held = [through(proxy, f"127.0.0.{number}") for number in range(5, 10)]
    for client in held:
        client.expect(220)
    with through(proxy, "127.0.0.7") as client:
        assert client.expect(421) == "Too many concurrent SMTP connections from this IP address; please try again later."
    for client in held:
        client.expect(221, "QUIT")


EXAMPLE = """begin acl
connected:
  defer message = Too many connections from this IP right now
        ratelimit = LIMIT / 5s / per_conn / strict
  accept
"""


@pytest.mark.parametrize("limit", ["5", "${lookup{$sender_host_address}iplsearch{LIMITS}}"], ids=["a number", "a lookup"])
def test_the_documents_ratelimit_is_each_clients_behind_haproxy(behind, haproxy, limit):
    one = behind(extra=EXAMPLE, start=False)
    limits = one.dir / "proxy_limits"
    limits.write_text("127.0.0.6: 1000\n127.0.0.0/8: 5\n")
    limits.chmod(0o644)
    one.configure({"LIMIT": limit.replace("LIMITS", str(limits))})
    one.start()
    proxy = haproxy({"mx": ("", one.smtp, "send-proxy")})

    def answers(source, count):
        found = []
        for _ in range(count):
            with through(proxy, source) as client:
                found.append(client.reply())
        return found

    flood = answers("127.0.0.5", 25)
    assert [code for code, _ in flood[:4]] == [220] * 4, flood
    assert flood[-1] == (451, ["Too many connections from this IP right now"]), flood
    assert [code for code, _ in answers("127.0.0.7", 3)] == [220] * 3, "others are not slowed down by that"
    many = [code for code, _ in answers("127.0.0.6", 25)]
    assert many == [220] * 25 if limit != "5" else 451 in many
    one.wait_log(r'H=\[127\.0\.0\.5\] temporarily rejected connection in "connect" ACL: Too many connections from this IP right now')


def test_mail_programs_of_a_host_that_is_listed_do_not_work(behind):
    """Why the document advises against naming localhost; and its example of a refused connection, by swaks."""
    one = behind()
    refused = swaks(one.smtp, tls=False)
    assert not refused and re.search(rf"<-  220 mx\.example\.test .*\n -> EHLO client\.test\n<\*\* 503 {FAILED}\n", refused.text), refused.text
    assert " -> QUIT\n<-  221 mx.example.test closing connection\n" in refused.text
    run = subprocess.run(["msmtp", "--host=127.0.0.1", f"--port={one.smtp}", "--from=a@client.test", "user@example.test"],
                         input=make_message().decode(), capture_output=True, text=True, timeout=120)
    assert run.returncode != 0 and FAILED in run.stderr, run.stderr
    assert swaks(one.smtp, source="127.0.0.2", tls=False), "others need no header"

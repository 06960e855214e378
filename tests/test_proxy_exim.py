# SPDX-License-Identifier: ISC
"""The same PROXY headers to Postern and to Debian's Exim (`exim -bs` with a connection as its input): greeting, the reply to EHLO and
the variables about the client and its proxy must be the same. DIFFERENCES lists those that differ, and why, by sections of proxy-protocol.txt."""
import os
import pwd
import re
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

import exim
from harness import DEADLINE, ROOT, Smtp
from proxy_peers import LOCAL, binary, field, line, packed, summed

BANNER = ("$proxy_session [$sender_host_address]:$sender_host_port [$proxy_local_address]:$proxy_local_port "
          "[$proxy_external_address]:$proxy_external_port [$received_ip_address]:$received_port")
ROWS = {
    "version 1": line(),
    "version 1, IPv6": line("2001:db8::1", "2001:db8::2"),
    "version 2": binary(),
    "version 2, IPv6": binary(packed("2001:db8::1", "2001:db8::2")),
    "version 2 with fields": binary(fields=field(5, b"id") + field(2, b"mx.example.test")),
    "a right checksum": summed(),
    "UNKNOWN": b"PROXY UNKNOWN\r\n",
    "UNKNOWN with more": b"PROXY UNKNOWN 1 2 3\r\n",
    "LOCAL": LOCAL,
    "LOCAL with addresses": binary(command=0x20),
    "nothing": b"",
    "an SMTP client": b"EHLO client.test\r\n",
    "small letters": line().lower(),
    "a family of its own": b"PROXY TCP5 198.51.100.7 203.0.113.9 4711 25\r\n",
    "half an address": b"PROXY TCP4 198.51.100 203.0.113.9 4711 25\r\n",
    "a bare LF": line()[:-2] + b"\n",
    "half a line": line()[:20],
    "half a block": binary()[:20],
    "an unknown command": binary(command=0x22),
    "an unknown family": binary(transport=0x41),
    "too short for its addresses": binary(packed()[:11], transport=0x11),
    # These differ.
    "a port too many": b"PROXY TCP4 198.51.100.7 203.0.113.9 4711 25 26\r\n",
    "a port too high": b"PROXY TCP4 198.51.100.7 203.0.113.9 65536 25\r\n",
    "too long a line": b"PROXY UNKNOWN " + b"x" * 94 + b"\r\n",
    "version 3": binary(command=0x31),
    "a wrong checksum": summed(wrong=1),
    "a field cut off": binary(fields=b"\x04\0\x02x"),
    "UDP": binary(transport=0x12),
    "UNIX": binary(bytes(216), transport=0x31),
    "unspecified": binary(b"", transport=0),
    "a mapped address": binary(packed("::ffff:198.51.100.7", "::ffff:203.0.113.9")),
    "a port with a leading zero": b"PROXY TCP4 198.51.100.7 203.0.113.9 04711 25\r\n",
    "text right behind": line() + b"EHLO client.test\r\n",
}
DIFFERENCES = {
    "a port too many": "§2.1: \"any sequence which does not exactly match the protocol must be discarded\"",
    "a port too high": "503 from both, but with Exim the session is by then that of the client in the bad header",
    "too long a line": "§2.1: without CRLF in the first 107 characters it is invalid",
    "version 3": "Exim leaves the header to be read as commands",
    "a wrong checksum": "§2.2.3: the connection MUST be treated as invalid; Exim looks at no fields",
    "a field cut off": "likewise",
    "UDP": "§2.2: \"automatically falls back to the UNSPEC mode\"",
    "UNIX": "likewise",
    "unspecified": "§2.2: may be accepted or not; it is as UNKNOWN, which both accept",
    "a mapped address": "an address has one form, or lists would miss it",
    "a port with a leading zero": "§2.1: \"Heading zeroes are not permitted\"",
    "text right behind": "Exim reads it with the header's packet, and so does not see that it came too early",
}


class Exim:
    """Exim as inetd would start it: one process for each connection, which is its standard input and output."""

    def __init__(self):
        # Below /tmp itself: pytest's own directories are closed to the user that Exim drops to.
        self.dir = Path(tempfile.mkdtemp(prefix="postern-test-exim-"))
        self.dir.chmod(0o755)
        for name in ("spool", "log"):
            (self.dir / name).mkdir()
            (self.dir / name).chmod(0o1777)
        self.program, self.environment = exim.exim()
        user = "" if ROOT else f"exim_user = {pwd.getpwuid(os.geteuid()).pw_name}\nexim_group = {os.getegid()}\n"
        (self.dir / "conf").write_text(f"primary_hostname = mx.example.test\nspool_directory = {self.dir}/spool\n{user}"
                                       f"log_file_path = {self.dir}/log/%s\nkeep_environment =\nhosts_proxy = 127.0.0.1\n"
                                       f"rfc1413_query_timeout = 0s\nhost_lookup =\nsmtp_banner = {BANNER}\n")
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def answers(self, header):
        with Smtp(self.port, banner=False) as client:
            accepted, _ = self.listener.accept()
            with accepted:
                process = subprocess.Popen([self.program, "-bs", "-C", self.dir / "conf"], stdin=accepted, stdout=accepted,
                                           stderr=subprocess.DEVNULL, env=self.environment)
            said = talk(client, header, self.port)
        process.wait(DEADLINE)
        return said


def talk(client, header, port):
    """The greeting, whose addresses are those of the session but for the ports of this connection, and the reply to EHLO."""
    client.send(header)
    code, texts = client.reply()
    banner = re.sub(r"\[127\.0\.0\.1\]:(\d+)", lambda m: "[this]:" + ("ours" if int(m[1]) == port else "theirs"), texts[0])
    if code != 220:
        return code, banner
    ehlo, texts = client.cmd("EHLO client.test")
    client.send("QUIT\r\n")
    assert client.rest().endswith(b"221 mx.example.test closing connection\r\n")
    return code, banner, ehlo, texts[0]


@pytest.fixture(scope="module")
def theirs():
    one = Exim()
    yield one
    one.listener.close()
    shutil.rmtree(one.dir)


@pytest.fixture(scope="module")
def ours(module_server):
    return module_server(main={"hosts_proxy": "127.0.0.1", "smtp_banner": BANNER})


@pytest.mark.parametrize("name", ROWS)
def test_exim_says_the_same_to_a_proxy(theirs, ours, name):
    with ours.connect(banner=False) as client:
        mine = talk(client, ROWS[name], ours.smtp)
    exims = theirs.answers(ROWS[name])
    if name in DIFFERENCES:
        assert mine != exims, "it is no difference any more"
    else:
        assert mine == exims

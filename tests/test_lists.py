# SPDX-License-Identifier: ISC
"""Lists in the options of a running server: which recipients routers take, and which hosts options hold for (Exim's manual, chapter 10)."""
import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from harness import POSTERN, ROOT


def recipient(one, address, sender="sender@client.test", source=None):
    """The code of the reply to RCPT."""
    with one.connect(source=source) as client:
        client.ehlo()
        client.expect(250, f"MAIL FROM:<{sender}>")
        code, _ = client.cmd(f"RCPT TO:<{address}>")
        return code


def routed(server, domains, extra=""):
    """A server whose only router takes these domains. Nothing is delivered: the transport's directory is there for its form."""
    user = "  user = nobody\n  group = nogroup\n" if ROOT else ""
    # Which domains are ours is not what is looked at here.
    return server(main={"host_accept_relay": "*"}, extra=extra, routers=f"one:\n  driver = accept\n  domains = {domains}\n  transport = there\n",
                  transports=f"there:\n  driver = appendfile\n  directory = /tmp/postern\n  maildir_format\n{user}")


CASES = [
    # regular expressions, negation, names of this host
    (r"\N^ex\d+\.test$\N : !^bad : *.sub.test", {"u@ex12.test": 250, "u@exa.test": 550, "u@a.SUB.test": 250, "u@bad.sub.test": 550}),
    (r"@ : @[]", {"u@mx.example.test": 250, "u@other.test": 550}),
    # lists in lists, also through expansions
    ("+mine : ! +others", {"u@one.test": 250, "u@two.test": 550, "u@three.test": 250}),
    ("$sender_address_domain : +mine", {"u@client.test": 250, "u@one.test": 250, "u@two.test": 550}),
    ("${if eq{$sender_address_local_part}{sender}{+mine}{+others}}", {"u@one.test": 250, "u@two.test": 550}),
    ("${if eq{$domain}{one.test}{*}fail} : two.test", {"u@one.test": 250, "u@two.test": 550}),
]


@pytest.mark.parametrize("domains,answers", CASES, ids=[case[0] for case in CASES])
def test_domains_of_a_router(server, domains, answers):
    one = routed(server, domains, extra="domainlist mine = one.test\ndomainlist others = two.test\n")
    assert {address: recipient(one, address) for address in answers} == answers


def test_a_peers_text_is_no_list_of_its_own(server):
    """A sender's domain that reads like a lookup or a list is a plain item, or an error of the configuration: never looked up."""
    one = routed(server, "$sender_address_local_part : one.test", extra="domainlist secret = two.test\n")
    assert recipient(one, "u@one.test") == 250
    mark = one.mark()
    assert recipient(one, "u@two.test", sender="+secret@client.test") == 451
    one.wait_log("text from a peer cannot name a list", mark)
    assert recipient(one, "u@two.test", sender="/etc/passwd@client.test") == 451
    one.wait_log("Tainted", mark)


def test_hosts_of_an_option(server):
    one = server(main={"chunking_advertise_hosts": "<; 127.0.0.3 ; ! 127.0.0.0/8"})
    for source, there in (("127.0.0.1", False), ("127.0.0.3", True)):
        with one.connect(source=source) as client:
            assert ("CHUNKING" in client.ehlo().split("\n")) == there


def test_check_names_the_item(tmp_path):
    """A mistake in the written part of a list is told when the configuration is loaded, beside an expansion too."""
    path = tmp_path / "conf"
    path.write_text("primary_hostname = mx.example.test\ndomainlist a = $domain : +nosuch\nhostlist b = 10.0.0.0/33\ndomainlist c = ^(\n")
    done = subprocess.run([POSTERN, "check", "-c", path], capture_output=True, text=True, timeout=60)
    text = done.stdout + done.stderr
    assert done.returncode == 2
    for words in ('item "+nosuch" of the domain list', 'item "10.0.0.0/33" of the host list', 'item "^(" of the domain list'):
        assert words in text, text


@pytest.fixture
def public():
    """A directory that the roles can read in."""
    with tempfile.TemporaryDirectory(prefix="postern-lists-") as made:
        os.chmod(made, 0o755)
        yield Path(made)


def test_lookups_in_lists_of_routers_and_options(server, public):
    """lsearch in a router's domains and, by address, in a host list of the front; the lookup role reads the files."""
    (public / "domains").write_text("one.test: x\n*.deep.test: y\n")
    (public / "ips").write_text("127.0.0.1:\n")
    (public / "hosts").write_text("127.0.0.3: yes\n")
    user = "  user = nobody\n  group = nogroup\n" if ROOT else ""
    one = server(main={"chunking_advertise_hosts": f"net-lsearch;{public}/hosts"},
                 routers=f"one:\n  driver = accept\n  domains = partial-lsearch;{public}/domains : ${{if match_ip{{$sender_host_address}}{{net-lsearch;{public}/ips}}{{host.test}}}}\n  transport = there\n",
                 transports=f"there:\n  driver = appendfile\n  directory = /tmp/postern/$domain_data\n  maildir_format\n{user}")
    assert recipient(one, "u@one.test") == 250
    assert recipient(one, "u@a.b.deep.test") == 250
    assert recipient(one, "u@two.test") == 550
    for source, there in (("127.0.0.1", False), ("127.0.0.3", True)):
        with one.connect(source=source) as client:
            assert ("CHUNKING" in client.ehlo().split("\n")) == there
    for sources, there in (("127.0.0.1", 250), ("127.0.0.4", 550)):
        assert recipient(one, "u@host.test", source=sources) == there

# SPDX-License-Identifier: ISC
"""ACL conditions about the text of a message (Exim's manual, chapter 45): regex; malware with a real clamd, whose signature is made here; spam
with a real spamd and a real Rspamd and rules made here. What they are told, and what broken ones say, is seen with a server of the test."""
import os
import shutil
import socket
import subprocess

import pytest

from harness import Listener, end_with_us, free_ports, make_message, wait_for

MARK = "EVIL-MARKER-12345"


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def daemon(directory, command, ready):
    with open(directory / "out", "wb") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, preexec_fn=end_with_us)
    def probe():
        assert process.poll() is None, (directory / "out").read_text()
        return ready()
    wait_for(command[0], probe)
    return process


@pytest.fixture(scope="module")
def clamd(directory):
    """Its socket and its port; it takes messages of up to 2 MB."""
    own = directory / "clamd"
    own.mkdir()
    port, path = free_ports(1)[0], own / "socket"
    (own / "test.ndb").write_text(f"Test.Marker:0:*:{MARK.encode().hex()}\n")
    (own / "conf").write_text(f"LocalSocket {path}\nLocalSocketMode 666\nTCPSocket {port}\nTCPAddr 127.0.0.1\nDatabaseDirectory {own}\n"
                              "Foreground yes\nStreamMaxLength 2M\nUser root\n" if os.getuid() == 0 else
                              f"LocalSocket {path}\nTCPSocket {port}\nTCPAddr 127.0.0.1\nDatabaseDirectory {own}\nForeground yes\n"
                              "StreamMaxLength 2M\n")
    process = daemon(own, ["/usr/sbin/clamd", "-c", own / "conf"], lambda: path.exists() and listens(port))
    yield path, port
    process.terminate()
    process.wait(30)


@pytest.fixture(scope="module")
def spamd(directory):
    """Its port."""
    own = directory / "spamd"
    own.mkdir()
    port = free_ports(1)[0]
    (own / "init.pre").write_text("loadplugin Mail::SpamAssassin::Plugin::Check\n")
    (own / "10.cf").write_text(f"body EVIL /{MARK}/\nscore EVIL 7.54\ndescribe EVIL Has the marker\nbody GOOD /friend/\nscore GOOD -2.25\n"
                               "describe GOOD From a friend\nreport Points: _SCORE_\nreport Tests: _TESTS_\n")
    user = ["-u", "nobody"] if os.getuid() == 0 else []
    process = daemon(own, ["/usr/sbin/spamd", "-L", "-x", "--port", str(port), "--listen", "127.0.0.1", "--max-children", "1", *user,
                           "-C", str(own), "--siteconfigpath", str(own), "-s", "stderr"], lambda: listens(port))
    yield port
    process.terminate()
    process.wait(30)


@pytest.fixture(scope="module")
def rspamd(directory):
    """Its port."""
    own = directory / "rspamd"
    own.mkdir()
    port = free_ports(1)[0]
    if os.getuid() == 0:
        shutil.chown(own, "nobody", "nogroup")
    (own / "tld").write_text("com\norg\ntest\n")
    (own / "rules.lua").write_text("")
    (own / "conf").write_text(f"""options {{
  pidfile = "{own}/pid"; filters = "regexp"; url_tld = "{own}/tld"; cache_file = "{own}/cache";
  dns {{ nameserver = ["127.0.0.1:1:1"]; timeout = 0.1s; retransmits = 1; }}
}}
logging {{ type = "console"; }}
lua = "{own}/rules.lua";
metric {{
  name = "default"; actions {{ reject = 15; add_header = 6; greylist = 4; }}
  group {{ name = "x"; symbol {{ name = "EVIL"; weight = 20.5; }} symbol {{ name = "GOOD"; weight = -1.26; }} }}
}}
regexp {{ EVIL = "/{MARK}/{{sa_raw_body}}"; GOOD = "/friend/{{sa_raw_body}}"; }}
worker {{ type = "normal"; bind_socket = "127.0.0.1:{port}"; count = 1; }}
""")
    user = ["-u", "nobody", "-g", "nogroup"] if os.getuid() == 0 else []
    process = daemon(own, ["/usr/bin/rspamd", "-f", *user, "-c", str(own / "conf")], lambda: listens(port))
    yield port
    process.terminate()
    process.wait(30)


def checking(server, acl, **main):
    return server(main={"acl_smtp_rcpt": "accept", "acl_smtp_data": "check_data", **main}, extra=f"begin acl\ncheck_data:\n{acl}")


def send(one, body, size=0):
    text = make_message(body=(body + "\r\n").encode() + b"".join(b"filler %060d\r\n" % n for n in range(size // 69)))
    with one.connect() as client:
        client.ehlo()
        client.envelope("user@example.test")
        return client.data_of(text)


# ---- regex ----

REGEX = """  deny regex = ^price:: (\\\\d+) euros?\\$ : BUY NOW
    message = <$regex_match_string> <$regex1>
  accept
"""


def test_regex_matches_single_lines(server):
    one = checking(server, REGEX)
    assert send(one, "hello\r\nprice: 12 euros\r\nbye") == (550, ["<^price: (\\d+) euros?$> <12>"])
    assert send(one, "please BUY NOW") == (550, ["<BUY NOW> <>"])
    assert send(one, "please BUY\r\nNOW for a price: 12 euros")[0] == 250


def test_regex_sees_the_header_and_the_end_of_a_large_message(server):
    one = checking(server, "  deny regex = ^X-Evil:: yes : ^at the very end\\$\n    message = <$regex_match_string>\n  accept\n")
    text = make_message(body=b"x\r\n").replace(b"\r\n\r\n", b"\r\nX-Evil: yes\r\n\r\n", 1)
    with one.connect() as client:
        client.ehlo()
        client.envelope("user@example.test")
        assert client.data_of(text) == (550, ["<^X-Evil: yes>"])
        client.envelope("user@example.test")
        large = make_message(body=b"y" * 60 + b"\r\n" + (b"z" * 70 + b"\r\n") * 20000 + b"at the very end\r\n")
        assert client.data_of(large) == (550, ["<^at the very end$>"])
        client.envelope("user@example.test")
        assert client.data_of(large.replace(b"very end", b"very last"))[0] == 250
    one.maildir().wait()
    assert one.maildir().read()[0].endswith(b"at the very last\n")


def test_a_peers_text_is_no_regular_expression(server):
    one = checking(server, "  deny regex = $h_subject:\n  accept\n")
    assert send(one, "x")[0] == 451
    one.wait_log(r"temporarily rejected after DATA: regex: a regular expression that a peer had a hand in is not used")


# ---- malware ----

MALWARE = """  deny malware = *
    message = contains $malware_name
  accept add_header = X-Clean: <$malware_name>
"""


@pytest.mark.parametrize("kind", ["socket", "port", "second server"])
def test_clamd_finds_malware(server, clamd, kind):
    path, port = clamd
    dead = free_ports(1)[0]
    scanner = {"socket": f"clamd:{path}", "port": f"clamd:127.0.0.1 {port}",
               "second server": f"clamd:127.0.0.1 {dead}:127.0.0.1 {port} retry=1s"}[kind]
    one = checking(server, MALWARE, av_scanner=scanner)
    assert send(one, f"some {MARK} here") == (550, ["contains Test.Marker.UNOFFICIAL"])
    assert send(one, "nothing here")[0] == 250
    one.maildir().wait()
    assert b"X-Clean: <>\n" in one.maildir().read()[0]


def test_a_large_message_is_scanned_to_its_end(server, clamd):
    one = checking(server, MALWARE, av_scanner=f"clamd:{clamd[0]}")
    body = (b"z" * 70 + b"\r\n") * 15000
    with one.connect() as client:
        client.ehlo()
        client.envelope("user@example.test")
        assert client.data_of(make_message(body=body + MARK.encode() + b"\r\n"))[0] == 550
        client.envelope("user@example.test")
        assert client.data_of(make_message(body=body))[0] == 250


def test_the_name_of_the_malware_is_matched(server, clamd):
    one = checking(server, "  deny malware = ^Other\n    message = other\n  deny malware = Marker\n    message = marker\n  accept\n",
                   av_scanner=f"clamd:{clamd[0]}")
    assert send(one, MARK) == (550, ["marker"])


def test_no_scan_is_made_where_none_is_asked_for(server):
    one = checking(server, "  deny malware = false\n  deny spam = 0\n  accept\n", av_scanner="clamd:/nonexistent")
    assert send(one, MARK)[0] == 250


@pytest.mark.parametrize("option, code", [("", 451), (" / defer_ok", 250)])
def test_a_scanner_that_is_not_there(server, option, code):
    one = checking(server, f"  deny malware = *{option}\n  accept\n", av_scanner="clamd:/nonexistent/socket")
    assert send(one, MARK)[0] == code
    one.wait_log(r"malware acl condition: connection to /nonexistent/socket failed \(No such file or directory\)$")


def test_what_clamd_refuses_to_scan_is_not_let_pass(server, clamd):
    one = checking(server, MALWARE, av_scanner=f"clamd:{clamd[0]}")
    with one.connect() as client:
        client.ehlo()
        client.envelope("user@example.test")
        assert client.data_of(make_message(body=(b"z" * 70 + b"\r\n") * 40000))[0] == 451
    one.wait_log(r"malware acl condition: .*(INSTREAM|size limit|Broken pipe|reset)")


def test_a_scanner_that_says_nothing_is_given_up_in_time(server):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        one = checking(server, "  deny malware = */tmo=1s\n  accept\n", av_scanner=f"clamd:127.0.0.1 {silent.getsockname()[1]}")
        assert send(one, "x")[0] == 451
        one.wait_log(r"malware acl condition: reading from 127\.0\.0\.1 \d+: it took too long$")


@pytest.mark.parametrize("scanner, why", [("sophie:/run/sophie", 'scanner type "sophie" is not available; the one that is there is clamd'),
                                          (None, "av_scanner is not set")])
def test_other_scanners_are_refused(server, scanner, why):
    one = checking(server, MALWARE, av_scanner=scanner)
    assert send(one, "x")[0] == 451
    one.wait_log(f"malware acl condition: {why}$")


# ---- spam ----

SPAM = """  warn spam = nobody:true
    add_header = X-Spam: $spam_score $spam_score_int $spam_bar $spam_action\\nX-Spam-Report: $spam_report
  deny spam = nobody
    message = This message scored $spam_score
  accept
"""


def test_spamd_gives_the_score(server, spamd):
    one = checking(server, SPAM, spamd_address=f"127.0.0.1 {spamd}")
    assert send(one, f"some {MARK} here") == (550, ["This message scored 7.5"])
    assert send(one, "from a friend")[0] == 250
    one.maildir().wait()
    text = one.maildir().read()[0]
    # The score of the rule, by spamd's own rounding of it.
    assert b"X-Spam: -2.3 -23 -- no action\n" in text or b"X-Spam: -2.2 -22 -- no action\n" in text
    assert b"X-Spam-Report: Points: -2." in text and b"\n Tests: GOOD\n" in text


@pytest.mark.parametrize("option, code", [("", 451), ("/defer_ok", 250)])
def test_a_spamd_that_is_not_there(server, option, code):
    dead = free_ports(1)[0]
    one = checking(server, f"  deny spam = nobody{option}\n  accept\n", spamd_address=f"127.0.0.1 {dead}")
    assert send(one, "x")[0] == code
    one.wait_log(rf"spam acl condition: connection to 127\.0\.0\.1 {dead} failed \(Connection refused\)$")


def test_rspamd_gives_the_score_and_the_action(server, rspamd):
    one = checking(server, SPAM, spamd_address=f"127.0.0.1 {rspamd} variant=rspamd")
    assert send(one, f"some {MARK} here") == (550, ["This message scored 20.5"])
    assert send(one, "from a friend")[0] == 250
    one.maildir().wait()
    assert b"X-Spam: -1.3 -12 - no action\n" in one.maildir().read()[0]


class Played(Listener):
    """A scanner's server: answers each request with `reply`, and keeps what was asked."""

    def __init__(self, reply):
        self.reply, self.asked = reply, []
        super().__init__()

    def answer(self, connection):
        text = b""
        while piece := connection.recv(65536):
            text += piece
        self.asked.append(text)
        connection.sendall(self.reply)


@pytest.fixture
def played():
    made = []

    def make(reply):
        made.append(Played(reply))
        return made[-1]
    yield make
    for one in made:
        one.close()


RSPAMD = b"RSPAMD/1.3 0 EX_OK\r\nMetric: default; False; 12.34 / 15.00 / 0.0\r\nSymbol: A(12.34)\r\nAction: add header\r\n\r\n"


def test_rspamd_is_told_the_envelope_and_recommends_an_action(server, played):
    rspamd = played(RSPAMD)
    one = checking(server, SPAM, spamd_address=f"127.0.0.1 {rspamd.port} variant=rspamd")
    assert send(one, "hello")[0] == 250
    one.maildir().wait()
    assert b"X-Spam: 12.3 123 ++++++++++++ add header\n" in one.maildir().read()[0]
    assert len(rspamd.asked) == 1, "the second condition has the first one's result"
    head, text = rspamd.asked[0].split(b"\r\n\r\n", 1)
    lines = head.split(b"\r\n")
    assert lines[0] == b"CHECK RSPAMC/1.3" and b"From: <sender@client.test>" in lines and b"Rcpt: <user@example.test>" in lines
    assert b"IP: 127.0.0.1" in lines and b"Helo: client.test" in lines and b"Content-length: %d" % len(text) in lines
    assert text.startswith(b"X-Envelope-From: <sender@client.test>\r\nX-Envelope-To: <user@example.test>\r\nReceived: ")


def test_a_server_of_higher_priority_is_asked_first(server, played):
    first, second = played(RSPAMD), played(RSPAMD)
    one = checking(server, "  deny spam = nobody\n  accept\n",
                   spamd_address=f"127.0.0.1 {second.port} variant=rspamd : 127.0.0.1 {first.port} pri=2 variant=rspamd")
    for _ in range(3):
        assert send(one, "hello")[0] == 250
    assert (len(first.asked), len(second.asked)) == (3, 0)


@pytest.mark.parametrize("reply", [b"", b"SPAMD/1.1 76 Bad header line\r\n", b"SPAMD/1.1 0 EX_OK\r\nSpam: maybe\r\n\r\n", b"\0" * 100])
def test_an_answer_that_is_none_defers(server, played, reply):
    broken = played(reply)
    one = checking(server, SPAM, spamd_address=f"127.0.0.1 {broken.port}")
    assert send(one, "x")[0] == 451
    one.wait_log(rf"spam acl condition: cannot parse the answer of 127\.0\.0\.1 {broken.port}$")

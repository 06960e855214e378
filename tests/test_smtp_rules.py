# SPDX-License-Identifier: ISC
"""The SMTP server's replies, limits and refusals over real sockets, in clear and in TLS (RFC 5321, RFC 3207, RFC 2920, RFC 3030)."""
import contextlib
import os
import re
import signal
import socket
import ssl
import time

import pytest

from harness import DEADLINE, Closed, Smtp, dot_stuff, make_message, wait_for

LOGIN = """begin authenticators

login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = User Name : Password
  server_condition = false
"""


def client_of(server, tls):
    client = server.connect()
    client.ehlo()
    if tls:
        client.starttls()
    return client


# --- replies

def test_banner_names_the_host_and_the_program(shared):
    with shared.connect() as client:
        code, texts = client.banner
        assert code == 220 and texts[0].startswith("mx.example.test ESMTP Postern "), client.banner


def test_ehlo_advertises_the_extensions(shared):
    with shared.connect() as client:
        lines = client.ehlo().split("\n")
        assert re.match(r"mx\.example\.test Hello client\.test \[127\.0\.0\.1\]", lines[0])
        words = {line.split()[0] for line in lines[1:]}
        assert {"SIZE", "8BITMIME", "PIPELINING", "CHUNKING", "STARTTLS", "SMTPUTF8", "LIMITS", "HELP"} <= words
        assert f"SIZE {50 * 1024 * 1024}" in lines
        assert "STARTTLS" not in client.starttls().split("\n")


REPLIES = [
    ("HELO client.test", 250, r"mx\.example\.test Hello client\.test \[127\.0\.0\.1\]"),
    ("HELO", 501, r"Syntactically invalid HELO argument\(s\)"),
    ("EHLO", 501, r"Syntactically invalid EHLO argument\(s\)"),
    ("EHLO @@", 501, r"Syntactically invalid EHLO argument\(s\)"),
    ("NOOP", 250, "OK"),
    ("NOOP anything", 250, "OK"),
    ("RSET", 250, "Reset OK"),
    ("HELP", 214, "Commands supported:"),
    ("VRFY user", 252, ""),
    ("EXPN list", 550, ""),
    ("MAIL FROM:sender@client.test extra junk", 501, ""),
    ("MAIL FROM:<sender@client.test", 501, ""),
    ("MAIL FROM:<sender@client.test> SIZE=x", 501, ""),
    ("MAIL FROM:<sender@client.test> BODY=BINARYMIME", 501, ""),
    ("MAIL FROM:<sender@client.test> UNKNOWN=1", 555, ""),
    ("RCPT TO:<user@example.test>", 503, "sender not yet given"),
    ("DATA", 503, "valid RCPT command must precede DATA"),
    ("AUTH PLAIN", 503, "AUTH command used when not advertised"),
    ("GREETINGS", 500, "unrecognized command"),
    ("mail from:<sender@client.test>", 250, "OK"),
    ("MAIL FROM:<>", 250, "OK"),
    ("QUIT", 221, r"mx\.example\.test closing connection"),
]


@pytest.mark.parametrize("command,code,text", REPLIES, ids=[command for command, _, _ in REPLIES])
def test_reply_to(shared, command, code, text):
    with shared.connect() as client:
        client.ehlo()
        got, texts = client.cmd(command)
        assert got // 100 == code // 100 if not text else got == code, (got, texts)
        assert re.match(text, "\n".join(texts)), (got, texts)


def test_helo_is_asked_for_before_mail(shared):
    with shared.connect() as client:
        assert client.expect(503, "MAIL FROM:<sender@client.test>") == "HELO or EHLO required"


def test_second_mail_is_refused(shared):
    with shared.connect() as client:
        client.ehlo()
        client.envelope()
        client.expect(503, "MAIL FROM:<other@client.test>")


def test_rset_forgets_the_transaction(shared):
    with shared.connect() as client:
        client.ehlo()
        client.envelope()
        client.expect(250, "RSET")
        client.expect(503, "RCPT TO:<user@example.test>")
        client.envelope()


def test_relaying_is_refused(shared):
    with shared.connect() as client:
        client.ehlo()
        client.expect(250, "MAIL FROM:<sender@client.test>")
        start = shared.mark()
        assert "relay not permitted" in client.expect(550, "RCPT TO:<user@elsewhere.test>")
        shared.wait_log(r"H=\(client\.test\) \[127\.0\.0\.1\] F=<sender@client\.test> rejected RCPT <user@elsewhere\.test>: "
                        r"relay not permitted", start)


@pytest.mark.parametrize("address", ["user%elsewhere.test@example.test", "@relay.test:user@elsewhere.test", "user@[127.0.0.1]",
                                     "elsewhere.test!user@example.test", "user@example.test.", "\"user@elsewhere.test\"",
                                     "user@sub.example.test"])
def test_no_spelling_of_an_address_relays(shared, address):
    with shared.connect() as client:
        client.ehlo()
        client.expect(250, "MAIL FROM:<sender@client.test>")
        assert client.cmd(f"RCPT TO:<{address}>")[0] // 100 == 5


def test_unknown_user_is_refused(shared):
    with shared.connect() as client:
        client.ehlo()
        client.expect(250, "MAIL FROM:<sender@client.test>")
        assert re.search("Unrouteable address|Unknown user", client.expect(550, "RCPT TO:<nobody-here@example.test>"))


def test_local_parts_and_domains_match_in_any_case(shared):
    message = make_message("case")
    with client_of(shared, True) as client:
        client.deliver(message, "UsEr@EXAMPLE.test")
    shared.maildir().holds(message)


def test_bounces_are_accepted(shared):
    message = make_message("bounce")
    with client_of(shared, True) as client:
        client.deliver(message, sender="")
    shared.maildir().holds(message)
    stored = next(text for text in shared.maildir().read() if text.replace(b"\n", b"\r\n").endswith(message))
    assert stored.startswith(b"Return-path: <>\n")


def test_vrfy_and_expn_tell_nothing(shared):
    with shared.connect() as client:
        client.ehlo()
        answers = {client.cmd(f"VRFY {user}")[0] for user in ("user", "nobody-here")}
        assert len(answers) == 1, answers


# --- limits

def test_message_size_limit_is_enforced_at_mail_and_at_data(server):
    one = server(main={"message_size_limit": "20K"})
    with client_of(one, True) as client:
        client.expect(552, "MAIL FROM:<sender@client.test> SIZE=30000")
        client.envelope(options=" SIZE=1000")
        code, texts = client.data_of(make_message(size=30_000))
        assert code == 552 and "maximum" in texts[0], (code, texts)
        # The connection goes on, and the next message is taken.
        message = make_message(size=10_000)
        client.deliver(message)
    one.maildir().holds(message)
    assert len(one.maildir().files()) == 1
    with client_of(one, True) as client:
        client.envelope()
        client.send(b"BDAT 30000 LAST\r\n" + b"x" * 30_000)
        client.expect(552)


def test_recipients_max_defers_the_rest(server):
    one = server(main={"recipients_max": 2})
    message = make_message("recipients")
    with client_of(one, False) as client:
        client.envelope("user@example.test", "alice@example.test")
        assert "too many recipients" in client.expect(452, "RCPT TO:<bob@example.test>")
        assert client.data_of(message)[0] == 250
    one.maildir("user").holds(message)
    one.maildir("alice").holds(message)
    assert not one.maildir("bob").files()


def test_recipients_max_reject_refuses_the_message(server):
    one = server(main={"recipients_max": 2, "recipients_max_reject": "true"})
    with client_of(one, False) as client:
        client.envelope("user@example.test", "alice@example.test")
        client.expect(552, "RCPT TO:<bob@example.test>")
        assert client.cmd("DATA")[0] // 100 in (4, 5)


def refused_connection(one, **named):
    """The reply to a connection beyond a limit; it must be closed."""
    with one.connect(banner=False, **named) as client:
        code, texts = client.reply()
        client.ends()
        return code, texts


def test_smtp_accept_max_holds_for_all_fronts_together(server):
    one = server(main={"smtp_accept_max": 4})
    held = [one.connect() for _ in range(4)]
    start = one.mark()
    assert refused_connection(one) == (421, ["Too many concurrent SMTP connections; please try again later."])
    one.wait_log(r"[Cc]onnection from \[127\.0\.0\.1\]\S* refused: too many connections", start)
    for client in held:
        assert client.cmd("NOOP")[0] == 250
    held.pop().cmd("QUIT")
    # A place that became free is given again.

    def place():
        with one.connect(banner=False) as client:
            return client.reply()[0] == 220
    wait_for("a free place", place)
    for client in held:
        client.close()


def fnv_place(address):
    """Where a table of 16,384 has an address by a hash that everybody can compute (FNV-1a over 16 bytes)."""
    value = 0xcbf29ce484222325 ^ socket.AF_INET
    for byte in address:
        value = ((value ^ byte) * 0x100000001b3) & (1 << 64) - 1
    value = value * pow(0x100000001b3, 12, 1 << 64) & (1 << 64) - 1
    return (value ^ value >> 32) % 16384


def test_connections_from_chosen_addresses_shut_no_other_out(server):
    one = server(main={"front_processes": 1, "smtp_accept_max": 500})
    wanted = fnv_place((127, 0, 0, 1))
    chosen = (f"127.{a}.{b}.{c}" for a in range(1, 256) for b in range(256) for c in range(1, 255) if fnv_place((127, a, b, c)) == wanted)
    held = [one.connect(source=next(chosen)) for _ in range(64)]
    with one.connect(source="127.0.0.1") as client:
        client.ehlo()
    for client in held:
        client.close()


def test_smtp_accept_max_per_host_counts_each_host(server):
    one = server(main={"smtp_accept_max_per_host": 2})
    held = [one.connect() for _ in range(2)]
    code, texts = refused_connection(one)
    assert code == 421 and re.search("from this host|from your host|Too many", texts[0]), texts
    with one.connect(source="127.0.0.2") as other:
        assert other.banner[0] == 220
    for client in held:
        client.close()


def test_smtp_accept_max_per_connection_ends_the_series(server):
    one = server(main={"smtp_accept_max_per_connection": 2})
    with client_of(one, False) as client:
        for _ in range(2):
            client.deliver(make_message())
        # As Exim: no more messages, and the client may say goodbye.
        for _ in range(2):
            assert "too many messages in this connection" in client.expect(421, "MAIL FROM:<sender@client.test>")
        client.expect(221, "QUIT")
    one.maildir().wait(2)


def test_smtp_accept_max_nonmail_ends_the_connection(server):
    one = server(main={"smtp_accept_max_nonmail": 5})
    with client_of(one, False) as client:
        codes = []
        with pytest.raises(Closed):
            for _ in range(20):
                codes.append(client.cmd("NOOP")[0])
        assert len(codes) < 10 and codes[-1] // 100 in (4, 5), codes


def test_unknown_commands_end_the_connection(server):
    one = server(main={"smtp_max_unknown_commands": 3})
    with client_of(one, False) as client:
        codes = []
        with pytest.raises(Closed):
            for _ in range(10):
                codes.append(client.cmd("BLAH"))
        assert 3 <= len(codes) <= 5 and re.search("[Tt]oo many unrecognized commands", codes[-1][1][-1]), codes


def test_syntax_errors_end_the_connection(server):
    one = server(main={"smtp_max_synprot_errors": 3})
    with client_of(one, False) as client:
        codes = []
        with pytest.raises(Closed):
            for _ in range(10):
                codes.append(client.cmd("MAIL FROM:<broken"))
        assert 3 <= len(codes) <= 5 and re.search("[Tt]oo many syntax or protocol errors", codes[-1][1][-1]), codes


def test_command_line_too_long_is_refused_with_flat_memory(shared):
    with shared.connect() as client:
        client.ehlo()
        code, _ = client.cmd("MAIL FROM:<" + "a" * 6000 + "@client.test>")
        assert code // 100 == 5
        client.expect(250, "NOOP")
        # Far beyond it the connection ends.
        with pytest.raises((Closed, ConnectionError)):
            for _ in range(200):
                client.send(b"a" * 65536)
            client.reply()
            client.reply()


# --- time

def test_idle_client_is_told_and_disconnected(server):
    one = server(main={"smtp_receive_timeout": "2s"})
    for tls in (False, True):
        begun = time.monotonic()
        with client_of(one, tls) as client:
            text = client.expect(421)
            assert "SMTP command timeout - closing connection" in text
            assert time.monotonic() - begun >= 2
            client.ends()
    one.wait_log(r"SMTP command timeout on (TLS )?connection from \(client\.test\) \[127\.0\.0\.1\]")


def test_client_silent_in_data_is_disconnected(server):
    one = server(main={"smtp_receive_timeout": "2s"})
    with client_of(one, True) as client:
        client.envelope()
        client.expect(354, "DATA")
        client.send(b"Subject: half\r\n")
        assert client.reply()[0] == 421
        client.ends()
    one.wait_log(r"SMTP data timeout")
    assert not one.maildir().files() and not one.queued()


def test_client_silent_in_the_handshake_is_disconnected(server):
    one = server(main={"smtp_receive_timeout": "2s"})
    with Smtp(one.tls, banner=False) as client:
        assert client.rest() == b""
    with one.connect() as client:
        client.ehlo()
        client.expect(220, "STARTTLS")
        assert client.rest() == b""


def test_data_arriving_a_byte_at_a_time_is_whole(shared):
    message = make_message("slowly", body=b".dot\r\n..\r\nend\r\n")
    with shared.connect() as client:
        for byte in b"EHLO client.test\r\n":
            client.send(bytes([byte]))
        client.expect(250)
        client.envelope()
        client.expect(354, "DATA")
        for byte in dot_stuff(message):
            client.send(bytes([byte]))
        client.expect(250)
    shared.maildir().holds(message)


def drip(clients, byte=b"x"):
    """An octet to each again and again, for as long as the server listens to it; how long that was, and what it said then."""
    begun, left, heard = time.monotonic(), dict(clients), {}
    while left and time.monotonic() - begun < DEADLINE:
        time.sleep(0.2)
        for name, client in list(left.items()):
            client.sock.settimeout(0.01)
            try:
                client.send(byte)
                client.data += client.sock.recv(65536)
            except TimeoutError:
                continue
            except (ConnectionError, ssl.SSLError):
                pass
            heard[name] = time.monotonic() - begun, client.data
            del left[name]
    assert not left, f"still listened to after {DEADLINE} s: {list(left)}"
    return heard


@pytest.mark.parametrize("tls", [False, True])
def test_line_that_comes_octet_by_octet_has_one_deadline(server, tls):
    one = server(main={"smtp_receive_timeout": "4s", "auth_cleartext_hosts": "*"}, extra=LOGIN)
    with contextlib.ExitStack() as stack:
        clients = {where: stack.enter_context(client_of(one, tls)) for where in ("command", "auth", "data", "failed", "chunk", "refused")}
        for where in ("data", "failed", "chunk"):
            clients[where].envelope()
        clients["auth"].expect(334, "AUTH LOGIN")
        clients["data"].expect(354, "DATA")
        clients["failed"].expect(354, "DATA")
        clients["failed"].send(b"bare\nlf in a message\r\n")
        clients["chunk"].send("BDAT 100000 LAST\r\n")
        clients["refused"].expect(503, "BDAT 100000 LAST")
        heard = drip(clients)
    for where, (lasted, said) in heard.items():
        assert 2 < lasted < 20 and said.startswith(b"421 ") and b"timeout" in said, (where, lasted, said)
    one.wait_log("SMTP data timeout", count=3)
    one.wait_log("SMTP command timeout", count=3)
    assert not one.queued()


def slowly(client, data, piece=500, pause=0.5):
    """Each line in two parts at least, and none of more than `piece` octets, with a pause before each."""
    for line in data.splitlines(keepends=True):
        size = min(piece, len(line) // 2 + 1)
        for at in range(0, len(line), size):
            time.sleep(pause)
            client.send(line[at:at + size])


def test_client_that_is_slow_but_ends_its_lines_is_heard_out(server):
    """Each line and each answer comes within the limit, all together are many times that; a line beyond RFC 5321's length goes on, too."""
    one = server(main={"smtp_receive_timeout": "3s"})
    message = make_message("slow", body=b"line\r\n" * 2 + b"y" * 4000 + b"\r\n")
    with client_of(one, False) as client:
        slowly(client, b"NOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\n")
        for _ in range(4):
            client.expect(250)
        client.envelope()
        client.expect(354, "DATA")
        slowly(client, dot_stuff(message))
        client.expect(250)
    one.maildir().holds(message)


def test_answer_to_a_chunk_begins_a_new_time(server):
    """The last octets of a chunk need be no line."""
    one = server(main={"smtp_receive_timeout": "3s"})
    with client_of(one, False) as client:
        client.envelope()
        client.send("BDAT 5\r\n")
        for part in ("A: b", "\r"):
            time.sleep(1.2)
            client.send(part)
        client.expect(250)
        time.sleep(1.2)
        client.send("BDAT 3 LAST\r\n\n\r\n")
        client.expect(250)


# --- synchronisation (smtp_enforce_sync)

def test_talk_before_the_banner_is_refused(server):
    """The bytes must be there before the server looks: they are sent while it cannot run."""
    one = server()
    fronts = [pid for name, pid in one.roles().items() if name.startswith("front")]
    for pid in fronts:
        os.kill(pid, signal.SIGSTOP)
    with one.connect(banner=False) as client:
        client.send("EHLO early.test\r\n")
        for pid in fronts:
            os.kill(pid, signal.SIGCONT)
        code, texts = client.reply()
        assert code == 554 and "SMTP synchronization error" in texts[0], (code, texts)
        client.ends()
    one.wait_log(r"SMTP protocol synchronization error")


@pytest.mark.parametrize("pair", ["EHLO client.test\r\nNOOP\r\n", "EHLO client.test\r\nMAIL FROM:<a@client.test>\r\n",
                                  "HELO client.test\r\nMAIL FROM:<a@client.test>\r\n"], ids=["ehlo+noop", "ehlo+mail", "helo+mail"])
def test_pipelining_past_a_greeting_is_refused(shared, pair):
    with shared.connect() as client:
        client.send(pair)
        last = client.reply()
        if last[0] == 250:
            last = client.reply()
        assert last[0] == 554 and "synchronization" in last[1][0], last
        client.ends()


def test_body_before_354_is_refused(shared):
    with client_of(shared, False) as client:
        client.envelope()
        client.send(b"DATA\r\n" + dot_stuff(make_message("early")))
        code, texts = client.reply()
        assert code == 554 and "synchronization" in texts[0], (code, texts)
        client.ends()


def test_sync_can_be_switched_off(server):
    one = server(main={"smtp_enforce_sync": "false"})
    with one.connect() as client:
        client.send("EHLO client.test\r\nMAIL FROM:<sender@client.test>\r\n")
        client.expect(250)
        client.expect(250)


# --- STARTTLS

def test_bytes_after_starttls_in_clear_end_the_connection(shared):
    for extra in (b"NOOP\r\n", b"EHLO injected.test\r\n", b"X"):
        start = shared.mark()
        with shared.connect() as client:
            client.ehlo()
            client.send(b"STARTTLS\r\n" + extra)
            answer = client.rest()
            assert answer == b"554 SMTP synchronization error\r\n"
        shared.wait_log('input sent in clear after STARTTLS: rejected "STARTTLS"', start)


def test_transaction_before_starttls_is_forgotten(shared):
    with shared.connect() as client:
        client.ehlo()
        client.envelope()
        client.expect(220, "STARTTLS")
        client.secure()
        client.expect(503, "RCPT TO:<user@example.test>")


def test_ehlo_is_asked_for_again_after_starttls(shared):
    with shared.connect() as client:
        client.ehlo()
        client.expect(220, "STARTTLS")
        client.secure()
        lines = client.ehlo().split("\n")
        assert "STARTTLS" not in lines and "PIPELINING" in lines


def test_second_starttls_is_refused(shared):
    with client_of(shared, True) as client:
        client.expect(554, "STARTTLS")
    with Smtp(shared.tls, tls=True) as client:
        assert "STARTTLS" not in client.ehlo()
        client.expect(554, "STARTTLS")


def test_starttls_takes_no_argument(shared):
    with shared.connect() as client:
        client.ehlo()
        client.expect(501, "STARTTLS now")
        client.starttls()


def test_starttls_is_offered_to_nobody_without_a_certificate(server):
    one = server(main={"tls_certificate": None, "tls_privatekey": None, "tls_on_connect_ports": None})
    with one.connect() as client:
        assert "STARTTLS" not in client.ehlo()
        assert client.cmd("STARTTLS")[0] // 100 == 5


def test_tls_advertise_hosts_decides_who_is_offered_tls(server):
    one = server(main={"tls_advertise_hosts": "127.0.0.2"})
    with one.connect() as client:
        assert "STARTTLS" not in client.ehlo()
        client.expect(503, "STARTTLS")
    with one.connect(source="127.0.0.2") as client:
        assert "STARTTLS" in client.ehlo()
        client.starttls()


def test_tls_hosts_must_use_tls(server):
    one = server(main={"tls_hosts": "127.0.0.2"})
    with one.connect(source="127.0.0.2") as client:
        client.ehlo()
        assert client.expect(503, "MAIL FROM:<sender@client.test>") == "Use of TLS required"
        client.starttls()
        client.envelope()
    with one.connect() as client:
        client.ehlo()
        client.envelope()


def test_plain_talk_on_the_tls_port_ends_it(shared):
    start = shared.mark()
    with Smtp(shared.tls, banner=False) as client:
        client.send("EHLO client.test\r\n")
        assert b"220" not in client.rest()
    shared.wait_log(r"TLS error on connection from \[127\.0\.0\.1\]", start)


def test_connection_cut_in_tls_is_no_message(shared):
    """A truncation (no close_notify) within DATA must leave nothing behind."""
    before = len(shared.maildir("bob").files())
    with client_of(shared, True) as client:
        client.envelope("bob@example.test")
        client.expect(354, "DATA")
        client.send(b"Subject: cut\r\n\r\nhalf a mess")
        socket.socket.shutdown(client.sock, socket.SHUT_RDWR)
    start = shared.mark()
    message = make_message("after the cut")
    shared.send(message, "alice@example.test")
    shared.maildir("alice").holds(message)
    assert len(shared.maildir("bob").files()) == before, shared.log_text(start)


# --- smuggling: only CRLF ends a line, only CRLF.CRLF ends a message

ENDINGS = {"LF.LF": b"\n.\n", "LF.CRLF": b"\n.\r\n", "CRLF.LF": b"\r\n.\n", "CR.CR": b"\r.\r", "CR.CRLF": b"\r.\r\n",
           "CRLF.CR": b"\r\n.\r", "CR.LF": b"\r.\n", "LF.CR": b"\n.\r", "LF.CRCRLF": b"\n.\r\r\n", "CRLF.CRCRLF": b"\r\n.\r\r\n",
           "CRLFNUL.CRLF": b"\r\n\0.\r\n", "CRLF.NULCRLF": b"\r\n.\0\r\n", "CRCRLF.CRLF": b"\r\r\n.\r\n", "LFCR.LFCR": b"\n\r.\n\r"}
SMUGGLED = b"MAIL FROM:<smuggler@client.test>\r\nRCPT TO:<carol@example.test>\r\nDATA\r\nSubject: smuggled\r\n\r\nsmuggled\r\n.\r\n"


@pytest.mark.parametrize("tls", [False, True], ids=["clear", "tls"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_smuggling_form_is_refused_and_nothing_after_it_runs(shared, ending, tls):
    start = shared.mark()
    with client_of(shared, tls) as client:
        client.envelope("bob@example.test")
        client.expect(354, "DATA")
        client.send(b"Subject: first\r\n\r\nbody" + ENDINGS[ending] + SMUGGLED)
        first = client.rest().split(b"\r\n")
    replies = [line for line in first if line]
    # One refusal at most, no reply to what stood after the ending; no acceptance.
    assert len([line for line in replies if line[:3] == b"250"]) == 0, replies
    assert len(replies) <= 2 and replies and replies[0][:1] in (b"5", b"4"), replies
    with shared.connect() as client:
        client.ehlo()
        marker = make_message("after smuggling")
        client.deliver(marker, "carol@example.test")
    shared.maildir("carol").holds(marker)
    for user in ("bob", "carol"):
        for text in shared.maildir(user).read():
            assert b"smuggled" not in text and b"Subject: first" not in text
    assert "<= smuggler@" not in shared.log_text(start)


@pytest.mark.parametrize("tls", [False, True], ids=["clear", "tls"])
@pytest.mark.parametrize("command", [b"NOOP\nNOOP\r\n", b"NOOP\rNOOP\r\n", b"NOOP\n", b"NO\0OP\r\n", b"RSET\r\r\n",
                                     b"MAIL FROM:<a@client.test>\nRCPT TO:<user@example.test>\r\n"],
                         ids=["lf", "cr", "only-lf", "nul", "cr-crlf", "mail-lf-rcpt"])
def test_command_with_a_bare_line_end_or_nul_ends_the_connection(shared, command, tls):
    with client_of(shared, tls) as client:
        client.send(command)
        replies = client.rest().split(b"\r\n")
    assert len([line for line in replies if line]) == 1 and replies[0][:1] in (b"4", b"5"), replies


@pytest.mark.parametrize("body", [b"Subject: x\n\nbare\n", b"Subject: x\r\n\r\nbare\rcr\r\n", b"Subject: x\r\n\r\nnul\0\r\n"],
                         ids=["lf", "cr", "nul"])
def test_bdat_body_with_bare_line_ends_is_refused(shared, body):
    with client_of(shared, True) as client:
        client.envelope("bob@example.test")
        client.send(b"BDAT %d LAST\r\n" % len(body) + body)
        code, texts = client.reply()
        assert code // 100 == 5, (code, texts)


def test_bdat_sizes_from_hell_are_refused(shared):
    for size in (b"-1", b"", b"99999999999999999999", b"0x10", b"18446744073709551615", b"1 FIRST", b"1 LAST LAST"):
        with client_of(shared, False) as client:
            client.envelope()
            client.send(b"BDAT " + size + b"\r\n")
            code, texts = client.reply()
            assert code // 100 == 5, (size, code, texts)


def test_log_lines_cannot_be_forged(shared):
    start = shared.mark()
    with shared.connect() as client:
        client.ehlo()
        client.cmd("MAIL FROM:<x\x01\x7f@client.test>")
        client.cmd("RCPT TO:<a\\\x0b2026-01-01 00:00:00 forged@elsewhere.test>")
        client.cmd("QUIT")
    text = shared.log_text(start)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", text.replace("\n", "")), text


def test_loops_are_stopped(shared):
    message = b"".join(b"Received: from a by b; Sat, 21 Nov 2026 10:00:00 +0000\r\n" for _ in range(40)) + make_message("loop")
    with client_of(shared, True) as client:
        client.envelope()
        code, texts = client.data_of(message)
        assert code == 550 and "Received" in texts[0], (code, texts)


def test_limits_of_time_do_not_hurt_busy_clients(server):
    """The command timeout counts from the last command, not from the connection."""
    one = server(main={"smtp_receive_timeout": "4s", "smtp_accept_max_per_connection": 0})
    with client_of(one, True) as client:
        end = time.monotonic() + 6
        while time.monotonic() < end:
            client.deliver(make_message())
        client.expect(221, "QUIT")

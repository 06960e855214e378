# SPDX-License-Identifier: ISC
"""ACLs in a running server: each point's replies, what the log says, and what becomes of the message. The replies and log lines
are those of Exim 4.96 for the same ACLs."""
import subprocess
import time

import pytest

from harness import POSTERN, make_message

ACLS = """
begin acl

check_connect:
  deny condition = no
  accept message = 220 welcome to this host

check_helo:
  deny message = 550 5.7.1 go away $sender_helo_name
    condition = no
  accept message = pleased to meet you

check_mail:
  warn set acl_m_seen = $sender_address
    log_message = mail from $sender_address
  deny senders = bad@client.test
    message = 553 5.1.8 we do not like\\nthis sender
  discard senders = void@client.test
  defer sender_domains = slow.test
    log_message = slow domain
  accept senders = nice@client.test
    message = 250 2.1.0 so nice
  accept

check_rcpt:
  accept local_parts = user
    domains = +local_domains
    message = 251 lucky $local_part@$domain
  accept local_parts = alice
    domains = +local_domains
  discard local_parts = bob
    log_message = bob wants nothing
  drop local_parts = dropme
    message = enough
  accept local_parts = elsewhere
  require verify = recipient
  require log_reject_target = panic
    acl = hosts_of $local_part

hosts_of:
  accept hosts = 192.0.2.1
  deny message = host $sender_host_address asked for it
    log_message = in the panic log

check_predata:
  deny senders = nodata@client.test
    message = no data from you
  accept

check_data:
  deny senders = late@client.test
    message = 554 5.6.0 too late
  discard senders = hole@client.test
  warn senders = fake@client.test
    control = fakereject
  accept senders = thanks@client.test
    message = thanks
  accept

check_quit:
  warn logwrite = session of $sender_host_address ends
  accept
"""
OPTIONS = {f"acl_smtp_{point}": f"check_{point}" for point in ("connect", "helo", "mail", "rcpt", "predata", "data", "quit")}


@pytest.fixture(scope="module")
def acls(module_server):
    return module_server(main=OPTIONS, extra=ACLS)


def client_of(server, sender=None):
    client = server.connect()
    client.ehlo()
    if sender is not None:
        client.expect(250, f"MAIL FROM:<{sender}>")
    return client


def test_the_connect_acl_gives_the_banner(acls):
    with acls.connect() as client:
        assert client.banner == (220, ["welcome to this host"])


def test_a_refused_connection_is_told_why_and_closed(server):
    one = server(main={"acl_smtp_connect": "deny message = not you"})
    with one.connect(banner=False) as client:
        assert client.expect(550) == "not you"
        client.ends()
    one.wait_log(r'H=\[127\.0\.0\.1\] rejected connection in "connect" ACL: not you$')


def test_the_helo_acl_changes_the_first_line_only(acls):
    with acls.connect() as client:
        lines = client.ehlo().split("\n")
        assert lines[0] == "pleased to meet you" and "PIPELINING" in lines[1:]


def test_a_refused_helo_leaves_the_session_without_a_name(server):
    one = server(main={"acl_smtp_helo": "refuse"}, extra="begin acl\nrefuse:\n  deny message = not $sender_helo_name\n")
    with one.connect() as client:
        assert client.expect(550, "EHLO client.test") == "not client.test"
        client.expect(503, "MAIL FROM:<a@client.test>")
    one.wait_log(r"H=\(client\.test\) \[127\.0\.0\.1\] rejected EHLO or HELO client\.test: not client\.test$")


def test_mail_is_refused_with_codes_on_each_line(acls):
    with client_of(acls) as client:
        assert client.cmd("MAIL FROM:<bad@client.test>") == (553, ["5.1.8 we do not like", "5.1.8 this sender"])
    acls.wait_log(r"H=\(client\.test\) \[127\.0\.0\.1\] rejected MAIL <bad@client\.test>: 553 5\.1\.8 we do not like$")


def test_mail_is_accepted_with_a_message(acls):
    with client_of(acls) as client:
        assert client.expect(250, "MAIL FROM:<nice@client.test>") == "2.1.0 so nice"


def test_mail_is_deferred_without_details(acls):
    with client_of(acls) as client:
        assert client.expect(451, "MAIL FROM:<x@slow.test>") == "Temporary local problem - please try later"
    acls.wait_log(r"temporarily rejected MAIL <x@slow\.test>: slow domain$")


def test_a_warning_is_logged_with_the_client(acls):
    client_of(acls, "warned@client.test").close()
    acls.wait_log(r"H=\(client\.test\) \[127\.0\.0\.1\] Warning: mail from warned@client\.test$")


def test_rcpt_is_accepted_with_a_message(acls):
    with client_of(acls, "a@client.test") as client:
        assert client.cmd("RCPT TO:<User@Example.TEST>") == (251, ["lucky user@example.test"])


def test_what_the_acl_accepts_must_be_routeable(acls):
    with client_of(acls, "a@client.test") as client:
        client.expect(550, "RCPT TO:<elsewhere@other.test>")


def test_a_nested_acl_leaves_its_message(acls):
    with client_of(acls, "a@client.test") as client:
        assert client.expect(550, "RCPT TO:<carol@example.test>") == "host 127.0.0.1 asked for it"
    panic = acls.log.parent / "paniclog"
    assert "rejected RCPT <carol@example.test>: in the panic log" in panic.read_text()


def test_drop_closes_the_connection(acls):
    with client_of(acls, "a@client.test") as client:
        assert client.expect(550, "RCPT TO:<dropme@example.test>") == "enough"
        client.ends()
    acls.wait_log(r"F=<a@client\.test> rejected RCPT <dropme@example\.test>: enough$")


def test_verify_recipient_asks_the_routers(acls):
    with client_of(acls, "a@client.test") as client:
        assert client.expect(550, "RCPT TO:<nobody@example.test>") == "Unrouteable address"


def test_a_discarded_recipient_gets_nothing(acls):
    message = make_message()
    with client_of(acls, "a@client.test") as client:
        client.expect(250, "RCPT TO:<bob@example.test>")
        client.expect(250, "RCPT TO:<alice@example.test>")
        client.data_of(message)
    acls.maildir("alice").holds(message)
    assert not acls.maildir("bob").files()
    acls.wait_log(r"F=<a@client\.test> RCPT <bob@example\.test>: discarded by RCPT ACL: bob wants nothing$")


def test_discard_at_mail_takes_any_recipient_and_keeps_nothing(acls):
    with client_of(acls, "void@client.test") as client:
        client.expect(250, "RCPT TO:<anybody@other.test>")
        code, texts = client.data_of(make_message())
        assert code == 250 and texts[0].startswith("OK id=")
    acls.wait_log(rf"{texts[0][6:]} => blackhole \(MAIL ACL discarded recipients\)$")


def test_discard_at_data_keeps_nothing(acls):
    before = len(acls.maildir("alice").files())
    with client_of(acls, "hole@client.test") as client:
        client.expect(250, "RCPT TO:<alice@example.test>")
        assert client.data_of(make_message(size=600_000))[0] == 250
    acls.wait_log(r"=> blackhole \(DATA ACL discarded recipients\)$")
    acls.send(make_message(), "alice@example.test")
    assert len(acls.maildir("alice").wait(before + 1)) == before + 1


def test_predata_refuses_before_the_message(acls):
    with client_of(acls, "nodata@client.test") as client:
        client.cmd("RCPT TO:<user@example.test>")
        assert client.expect(550, "DATA") == "no data from you"
        client.expect(250, "RSET")
    acls.wait_log(r"F=<nodata@client\.test> rejected DATA: no data from you$")


def test_the_data_acl_refuses_the_whole_message(acls):
    with client_of(acls, "late@client.test") as client:
        client.expect(250, "RCPT TO:<alice@example.test>")
        assert client.data_of(make_message(size=600_000)) == (554, ["5.6.0 too late"])
        client.expect(250, "MAIL FROM:<a@client.test>")
    acls.wait_log(r"F=<late@client\.test> rejected after DATA: 554 5\.6\.0 too late$")


def test_the_data_acl_changes_the_reply(acls):
    with client_of(acls, "thanks@client.test") as client:
        client.expect(250, "RCPT TO:<alice@example.test>")
        assert client.data_of(make_message()) == (250, ["thanks"])


def test_fakereject_takes_the_message(acls):
    message = make_message()
    with client_of(acls, "fake@client.test") as client:
        client.expect(250, "RCPT TO:<alice@example.test>")
        code, texts = client.data_of(message)
        assert code == 550 and texts[0] == "Your message has been rejected but is being" and len(texts) == 4
    acls.maildir("alice").holds(message)


HEADERS = """
begin acl
mail:
  accept add_header = X-Mail: $sender_address\\nX-Mail: $sender_address\\nX-Folded: one\\n two
rcpt:
  accept add_header = :at_start:X-Start: $local_part
    remove_header = x-secret : X-Other
data:
  deny condition = ${if eq{$h_subject:}{refuse me}}
    message = $h_subject: and $h_x-mail:
  warn condition = ${if >{$message_size}{1000}}
    add_header = X-Large: yes
  accept add_header = :after_received:X-Data: $recipients_count of $rcpt_count
    remove_header = X-Late
"""


@pytest.fixture(scope="module")
def headers(module_server):
    return module_server(main={f"acl_smtp_{point}": point for point in ("mail", "rcpt", "data")}, extra=HEADERS)


def with_lines(message, lines):
    head, body = message.split(b"\r\n\r\n", 1)
    return head + b"\r\n" + lines + b"\r\n" + body


@pytest.mark.parametrize("chunked", [False, True], ids=["data", "bdat"])
def test_header_lines_are_added_and_removed(headers, chunked):
    lines = b"X-Secret: 1\r\n folded\r\nX-Kept: 2\r\nX-Late: 3\r\nX-OTHER: 4\r\n"
    text = with_lines(make_message(), lines)
    user = "bob" if chunked else "alice"
    with client_of(headers, "a@client.test") as client:
        client.cmd("RCPT TO:<nobody@example.test>")
        client.expect(250, f"RCPT TO:<{user}@example.test>")
        if chunked:
            client.send(b"BDAT %d LAST\r\n" % len(text) + text)
            client.expect(250)
        else:
            client.data_of(text)
    headers.maildir(user).wait()
    head = headers.maildir(user).read()[0].split(b"\n\n", 1)[0].decode()
    names = [line.split(":")[0] for line in head.split("\n") if not line.startswith((" ", "\t"))]
    assert names[3:] == ["X-Start", "X-Start", "Received", "X-Data", "From", "To", "Subject", "Date", "Message-ID", "X-Kept", "X-Mail", "X-Folded"]
    # The refused recipient's too: the modifier acts at once. Lines at the start stand in reverse order.
    assert f"X-Start: {user}\nX-Start: nobody\n" in head and "X-Data: 1 of 2\n" in head and "X-Folded: one\n two" in head


def test_the_header_of_a_large_message_cannot_be_changed_after_it(headers):
    start = headers.mark()
    with client_of(headers, "a@client.test") as client:
        client.expect(250, "RCPT TO:<carol@example.test>")
        # Its header is on its way when the DATA ACL wants a line removed.
        assert client.data_of(with_lines(make_message(size=700_000), b"X-Secret: 1\r\n"))[0] == 451
    headers.wait_log("header line of an ACL is not added: the message is larger than 256K", start)


def test_a_client_adds_no_header_line_of_its_own(server):
    one = server(main={"acl_smtp_data": "check"}, extra="begin acl\ncheck:\n  warn message = X-Warned: $h_subject:\n"
                 "  accept add_header = X-Seen: $h_subject:\\nX-Last: 1\n")
    with client_of(one, "a@client.test") as client:
        client.expect(250, "RCPT TO:<user@example.test>")
        client.data_of(make_message(subject="=?utf-8?q?hi=0AX-Spam-Flag:_NO=0D=0A=0D=0Abody?="))
    one.maildir().wait()
    head = one.maildir().read()[0].decode().split("\n\n")[0]
    assert "\nX-Warned: hi\n X-Spam-Flag: NO \n body\nX-Seen: hi\n X-Spam-Flag: NO \n body\nX-Last: 1" in head, head
    assert "\nX-Spam-Flag" not in head


def test_the_data_acl_sees_the_header(headers):
    with client_of(headers, "a@client.test") as client:
        client.expect(250, "RCPT TO:<user@example.test>")
        assert client.data_of(make_message(subject="refuse me")) == (550, ["refuse me and a@client.test"])


def test_the_quit_acl_logs(acls):
    start = acls.mark()
    with client_of(acls) as client:
        client.expect(221, "QUIT")
    acls.wait_log(r"session of 127\.0\.0\.1 ends$", start)


def test_an_acl_comes_from_a_file(server):
    one = server(start=False)
    text = one.dir / "relay.acl"
    text.write_text("# who may send\naccept \\\n  hosts = 127.0.0.1\n  message = from the file\n")
    one.configure({"acl_smtp_mail": text, "acl_smtp_rcpt": one.dir / "missing.acl"})
    one.start()
    with one.connect() as client:
        client.ehlo()
        assert client.expect(250, "MAIL FROM:<a@client.test>") == "from the file"
        client.expect(451, "RCPT TO:<user@example.test>")
    one.wait_log(r"temporarily rejected RCPT <user@example\.test>: .*missing\.acl")


def test_an_expansion_calls_an_acl(server):
    one = server(main={"smtp_banner": "${acl{greet}{morning}} $primary_hostname", "acl_smtp_rcpt": "rcpt"},
                 extra="begin acl\ngreet:\n  accept message = good $acl_arg1\nrcpt:\n"
                       "  deny condition = ${if acl {{greet}{${lc:$local_part}}}{no}{yes}}\n"
                       "  accept set acl_c_count = ${eval:0$acl_c_count + 1}\n    message = number $acl_c_count\n")
    with one.connect() as client:
        assert client.banner[1][0] == "good morning mx.example.test"
        client.ehlo()
        for message in range(2):
            client.expect(250, "MAIL FROM:<a@client.test>")
            assert client.expect(250, "RCPT TO:<user@example.test>") == f"number {message + 1}"
            client.expect(250, "RSET")


def test_a_client_is_not_the_author_of_an_acl(server):
    one = server(main={"acl_smtp_rcpt": "check"}, extra="begin acl\ncheck:\n  accept acl = ${local_part}\nuser:\n  accept\n")
    with client_of(one, "a@client.test") as client:
        client.expect(250, "RCPT TO:<user@example.test>")
        assert client.expect(451, 'RCPT TO:<"warn logwrite=${readfile{/etc/hostname}}"@example.test>') == "Temporary local problem - please try later"
    one.wait_log(r"temporarily rejected RCPT .*: internal configuration error$")
    assert 'attempt to use tainted ACL text "warn logwrite=${readfile{/etc/hostname}}"' in (one.log.parent / "paniclog").read_text()


def test_an_expansion_keeps_what_it_read_while_its_acls_change_it(server):
    one = server(start=False, extra="begin acl\nbump:\n  warn set acl_m_n = another-and-longer-text-$sender_address\n  accept message = was $acl_arg1\n"
                                    "rcpt:\n  warn set acl_m_n = first-$local_part\n  accept logwrite = old=$acl_m_n new=${acl{bump}{$acl_m_n}}\n"
                                    "trace:\n  warn logwrite = before=<$host_data>\n  accept hosts = net-lsearch;DIR/hosts\n"
                                    "    logwrite = after=<$host_data>\n")
    one.extra = one.extra.replace("DIR", str(one.dir))
    (one.dir / "hosts").write_text("127.0.0.1: " + "known " * 20 + "\n")
    one.configure({"acl_smtp_rcpt": "rcpt", "received_header_text": "Received: by x ${acl{trace}}"})
    one.start()
    with one.connect() as client:
        client.ehlo()
        for _ in range(2):
            client.expect(250, "MAIL FROM:<a@client.test>")
            client.expect(250, "RCPT TO:<user@example.test>")
            client.data_of(make_message())
    log = one.log.read_text()
    assert log.count("old=first-user new=was first-user") == 2, log
    assert log.count("before=<>") == 2 and log.count("after=<" + "known " * 19 + "known>") == 2, log


def test_the_command_runs_acls(server):
    one = server(start=False, extra="begin acl\nargs:\n  warn logwrite = seen $acl_narg\n  accept message = $acl_arg1 $acl_arg2\n"
                                    "host:\n  accept hosts = 192.0.2.0/24\n")
    done = subprocess.run([POSTERN, "expand", "-C", str(one.conf), "-oMa", "192.0.2.7", "${acl{args}{a}{b}}",
                           "${if acl {{host}}{in}{out}}", "${acl{nosuch}}"], capture_output=True, text=True)
    assert done.stdout.split("\n")[:2] == ["a b", "in"] and "Failed: " in done.stdout and "LOG: seen 2" in done.stderr, done


def test_starttls_is_refused_by_its_acl(server):
    one = server(main={"acl_smtp_starttls": "deny message = stay in clear"})
    with one.connect() as client:
        client.ehlo()
        assert client.expect(550, "STARTTLS") == "stay in clear"
        client.expect(250, "NOOP")


def test_encrypted_sees_tls(server):
    one = server(main={"acl_smtp_mail": "accept encrypted = *"})
    with one.connect() as client:
        client.ehlo()
        client.expect(550, "MAIL FROM:<a@client.test>")
        client.starttls()
        client.expect(250, "MAIL FROM:<a@client.test>")


def test_delay_parks_only_this_session(server):
    one = server(main={"acl_smtp_mail": "slow_down"},
                 extra="begin acl\nslow_down:\n  accept senders = slow@client.test\n         delay = 1h\n"
                       "  accept senders = late@client.test\n         delay = 1s\n  accept\n")
    with one.connect() as slow, one.connect() as quick:
        slow.ehlo()
        quick.ehlo()
        slow.send("MAIL FROM:<slow@client.test>\r\n")
        began = time.monotonic()
        quick.expect(250, "MAIL FROM:<late@client.test>")
        assert time.monotonic() - began >= 1


def test_no_pipelining_is_not_offered(server):
    one = server(main={"acl_smtp_helo": "accept control = no_pipelining"})
    with one.connect() as client:
        assert "PIPELINING" not in client.ehlo().split("\n")


def test_a_broken_acl_refuses_for_now_and_says_why(server):
    one = server(main={"acl_smtp_rcpt": "accept condition = ${primary_hostname}"})
    with client_of(one, "a@client.test") as client:
        assert client.expect(451, "RCPT TO:<user@example.test>") == "Temporary local problem - please try later"
    one.wait_log(r'temporarily rejected RCPT <user@example\.test>: invalid "condition" value "mx\.example\.test"$')

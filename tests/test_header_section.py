# SPDX-License-Identifier: ISC
"""Where the header section of a message ends, and that all who look at it see the same of it: ACLs, rewrite rules, and readers of what is
delivered. Its size does not matter as long as header_maxsize lets it pass."""
import re

import pytest

from harness import below_trace, dot_stuff, make_message

POLICY = """begin acl
check_rcpt:
  accept add_header = X-Rcpt: yes
    remove_header = X-Secret
check_mime:
  deny message = no programs: $mime_filename
    condition = ${if match{$mime_filename}{\\N\\.exe$\\N}}
  accept
check_data:
  warn logwrite = data subject=<$h_subject:> from=<$h_from:>
  deny message = bad syntax
    !verify = header_syntax
  deny message = spam
    condition = ${if match{$h_subject:}{spam}}
  accept add_header = X-Data: yes
    remove_header = X-Late
"""
ATTACHMENT = (b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n--B\r\nContent-Type: application/octet-stream; name=x.exe\r\n"
              b"Content-Disposition: attachment; filename=x.exe\r\n\r\nMZ\r\n--B--\r\n")
# More than a part of a message (256K), less than header_maxsize.
FILLER = b"".join(b"X-Junk-%d: %s\r\n %s\r\n" % (n, b"a" * 900, b"b" * 90) for n in range(300))


@pytest.fixture(name="policy", scope="module")
def fixture_policy(module_server):
    return module_server(main={f"acl_smtp_{point}": f"check_{point}" for point in ("rcpt", "mime", "data")}, extra=POLICY)


@pytest.fixture(name="send", params=["data", "bdat", "bdat-in-pieces", "a-byte-at-a-time"])
def fixture_send(request):
    """send(server, text): the reply to it."""
    def send(one, text, user="user"):
        with one.connect() as client:
            client.ehlo()
            client.envelope(f"{user}@example.test")
            if request.param == "bdat":
                client.send(b"BDAT %d LAST\r\n" % len(text) + text)
                return client.reply()
            if request.param == "bdat-in-pieces":
                half = len(text) // 2
                client.send(b"BDAT %d\r\n" % half + text[:half])
                code, texts = client.reply()
                if code != 250:
                    return code, texts
                client.send(b"BDAT %d LAST\r\n" % (len(text) - half) + text[half:])
                return client.reply()
            client.expect(354, "DATA")
            stuffed = dot_stuff(text)
            for byte in stuffed[:200] if request.param == "a-byte-at-a-time" else b"":
                client.send(bytes([byte]))
            client.send(stuffed[200:] if request.param == "a-byte-at-a-time" else stuffed)
            return client.reply()
    return send


@pytest.fixture(name="plain", scope="module")
def fixture_plain(module_server):
    return module_server()


def delivered(one, user="user"):
    """What was delivered to the user, with its trace, as one text; it is taken out of the Maildir."""
    maildir = one.maildir(user)
    maildir.wait()
    file, = maildir.files()
    text = file.read_bytes()
    file.unlink()
    return text


# ---- Large sections ----

@pytest.mark.parametrize("filler", [b"", FILLER], ids=["small", "large"])
@pytest.mark.parametrize("rest, wanted", [
    (b"From: bad@@syntax\r\nSubject: x\r\n\r\ntext\r\n", "bad syntax"), (b"From: a@b.test\r\nSubject: spam\r\n\r\ntext\r\n", "spam"),
    (b"From: a@b.test\r\nSubject: spam\r\n", "spam"), (b"From: a@b.test\r\nSubject: x\r\n" + ATTACHMENT, "no programs: x.exe"),
], ids=["syntax", "subject", "no-body", "mime"])
def test_acls_see_the_whole_header_section(policy, send, filler, rest, wanted):
    assert send(policy, filler + rest) == (550, [wanted])


@pytest.mark.parametrize("body", [b"text\r\n", b"y" * 70 + b"\r\n" + b"z" * 70 + b"\r\n"], ids=["short", "longer"])
def test_a_large_header_section_is_changed_as_any_other(policy, send, body):
    head = b"From: a@b.test\r\nX-Secret: 1\r\n" + FILLER + b"Subject: x\r\nX-Late: 2\r\n"
    assert send(policy, head + b"\r\n" + body, user="alice")[0] == 250
    text = delivered(policy, "alice")
    policy.wait_log(r"data subject=<x> from=<a@b\.test>$")
    assert text.count(b"\nX-Junk-") == 300 and b"X-Secret" not in text and b"X-Late" not in text
    assert text.endswith(b"\nSubject: x\nX-Rcpt: yes\nX-Data: yes\n\n" + body.replace(b"\r\n", b"\n"))


def test_a_large_message_with_a_large_header_section_is_delivered_byte_for_byte(plain, send):
    message = FILLER + make_message(size=1_500_000)
    assert send(plain, message)[0] == 250
    assert below_trace(delivered(plain)).replace(b"\n", b"\r\n") == message


def test_rewriting_and_submission_reach_the_end_of_a_large_section(server, send):
    one = server(start=False, main={"acl_smtp_mail": "check_mail"}, extra="begin acl\ncheck_mail:\n  accept control = submission\n")
    one.conf.write_text(one.conf.read_text() + "\nbegin rewrite\n*@old.test  $1@new.test  h\n")
    one.start()
    assert send(one, FILLER + b"From: a@old.test\r\n\r\ntext\r\n")[0] == 250
    text = delivered(one)
    assert re.search(rb"\nFrom: a@new\.test\nMessage-Id: <E[^\n]*>\nDate: [^\n]*\n\ntext\n$", text), text[-400:]


@pytest.mark.parametrize("acls", [True, False], ids=["acls", "none"])
def test_a_section_above_header_maxsize_is_refused(server, send, acls):
    main = {f"acl_smtp_{point}": f"check_{point}" for point in ("rcpt", "mime", "data")} if acls else {}
    one = server(main={"header_maxsize": "100K", **main}, extra=POLICY if acls else "")
    assert send(one, FILLER + make_message()) == (552, ["Message header section too large"])
    near = b"From: a@b.test\r\n" + FILLER[:FILLER.index(b"X-Junk-99:")] + b"\r\ntext\r\n"
    assert 95 * 1024 < len(near) < 100 * 1024
    assert send(one, near)[0] == 250


def test_large_sections_of_many_clients_have_a_bound_together(server):
    """64 MiB for a front: who comes when it is full is asked to come again, and small sections always have room."""
    one = server(main={"front_processes": 1, "header_maxsize": "64M"})
    large = FILLER * 133
    assert 36 << 20 < len(large) < 48 << 20
    with one.connect() as first, one.connect() as second:
        for client in (first, second):
            client.ehlo()
            client.envelope()
            client.expect(354, "DATA")
        first.send(large)
        second.send(large)
        # Neither has ended its section: whoever comes too late is refused, and the other one goes on.
        second.send(b"Subject: x\r\n\r\ntext\r\n.\r\n")
        first.send(b"Subject: x\r\n\r\ntext\r\n.\r\n")
        assert sorted(client.reply()[0] for client in (first, second)) == [250, 451]
        one.wait_log("message not taken: large header sections of messages take more than 64 MiB")
        assert second.deliver(make_message())
        assert first.deliver(large + make_message())
        first.cmd("QUIT")
        second.cmd("QUIT")
    one.maildir().wait(3)


def test_a_section_may_grow_by_rewriting_up_to_a_bound(server):
    """Twice header_maxsize and 256K, with 451 above, as for all that rewriting cannot do; the largest section has room in the first part for our trace and the body's start."""
    one = server(start=False, main={"header_maxsize": "16K"})
    long = "x" * 63 + "." + "y" * 20
    one.conf.write_text(one.conf.read_text() + f"\nbegin rewrite\n*@b  $1@{long}  h\n")
    one.start()
    fixed, each = len("To: n@n.test\r\n"), len(f",a@{long}")
    last = ((2 * 16 + 256) * 1024 - fixed) // each
    answers = {}
    with one.connect() as client:
        client.ehlo()
        for count in (last + 1, last, last - 1, last - 150):
            client.envelope()
            answers[count] = client.data_of(b"To: n@n.test" + b",a@b" * count + b"\r\n\r\n" + (b"v" * 998 + b"\r\n") * 600)
    assert answers.pop(last + 1)[0] == 451
    assert {code for code, _ in answers.values()} == {250}
    one.wait_log("with its addresses rewritten the header section is too large")
    one.maildir().wait(3)


# ---- Where it ends ----

@pytest.mark.parametrize("line", [b"this is no field", b"bad name: x", b": no name", b"nocolon", b"a\x7fb: x"])
@pytest.mark.parametrize("filler", [b"", FILLER], ids=["small", "large"])
def test_a_line_that_is_no_field_begins_the_body_for_everybody(policy, send, line, filler):
    head = filler + b"Subject: x\r\n"
    assert send(policy, head + line + b"\r\nSubject: spam\r\n" + ATTACHMENT, user="bob")[0] == 250
    text = delivered(policy, "bob")
    assert text.endswith(b"\nSubject: x\nX-Rcpt: yes\nX-Data: yes\n\n" + line + b"\nSubject: spam\n" + ATTACHMENT.replace(b"\r\n", b"\n"))


@pytest.mark.parametrize("text", [b" folded\r\nSubject: spam\r\n\r\ntext\r\n", b"no field\r\n", b"\r\ntext\r\n", b"From a@b Sat Nov 21 2026\r\nSubject: spam\r\n"])
def test_a_message_without_a_field_has_only_a_body(policy, send, text):
    assert send(policy, text, user="carol")[0] == 250
    wanted = text.removeprefix(b"\r\n").replace(b"\r\n", b"\n")
    assert re.fullmatch(rb"[^\n]+\n(?:[^\n]+\n)+\n", delivered(policy, "carol").removesuffix(wanted))


def test_the_size_that_is_logged_counts_the_empty_line(plain):
    start = plain.mark()
    for gap in (b"\r\n", b""):
        plain.send(b"Subject: x\r\n" + gap + b"no field\r\n", "alice@example.test")
    plain.maildir("alice").wait(2)
    sizes = re.findall(r" S=(\d+)", plain.log_text(start))
    assert len(sizes) == 2 and sizes[0] == sizes[1]


@pytest.mark.parametrize("message", [
    b"Subject: x\r\n", b"Subject: x\r\n\r\n", b"Subject: x\r\n\r\ntext\r\n", b"Subject : x\r\nX\xe9: y\r\n z\r\n \r\nTo: a@b.test\r\n\r\n\r\ntext\r\n",
    b"Subject: x\r\n\r\nthis: is\r\nno field\r\n",
])
def test_a_message_that_is_well_formed_is_delivered_byte_for_byte(plain, send, message):
    assert send(plain, message)[0] == 250
    assert below_trace(delivered(plain)).replace(b"\n", b"\r\n") == message


# ---- What a field is ----

def test_bytes_above_127_and_blanks_before_the_colon_hide_no_field(server):
    one = server(start=False, main={"acl_smtp_data": "check_data"},
                 extra="begin acl\ncheck_data:\n  accept logwrite = subject=<$h_subject:> to=<$h_to:> received=$received_count\n")
    one.conf.write_text(one.conf.read_text() + "\nbegin rewrite\n*@old.test  $1@new.test  h\n")
    one.start()
    one.send(b"X\xe9: y\r\nReceived : one\r\nSubject \t: seen\r\nFrom: a@old.test\r\nTo : b@old.test\r\n\r\ntext\r\n")
    one.wait_log(r"subject=<seen> to=<b@new\.test> received=2$")
    assert delivered(one).endswith(b"\nX\xe9: y\nReceived : one\nSubject \t: seen\nFrom: a@new.test\nTo : b@new.test\n\ntext\n")


def test_routers_and_transports_see_the_end_of_a_section_that_grew_above_header_maxsize(server):
    one = server(start=False, main={"header_maxsize": "2K", "acl_smtp_rcpt": "check_rcpt"},
                 extra=f"begin acl\ncheck_rcpt:\n  accept add_header = X-Pad: {'p' * 30000}\n    add_header = X-Mark: yes\n")
    one.conf.write_text(one.conf.read_text().replace("$domain_data/$local_part_data", "${if eq{$h_x-mark:}{yes}{marked}{plain}}"))
    one.start()
    one.send(b"From: a@b.test\r\n\r\n" + b"text without a line end in the first blocks " * 1000 + b"\r\n")
    one.wait_log("Completed")
    assert [path.name for path in one.mail.iterdir()] == ["marked"]

# SPDX-License-Identifier: ISC
"""acl_smtp_mime: run for each part in its order with the variables of Exim's manual, chapter 45 §4, and before acl_smtp_data."""
import base64
from email.message import EmailMessage

from harness import make_message

SEEN = """  warn logwrite = part $mime_part_count <$mime_content_type> <$mime_filename> <$mime_content_disposition> \\
      <$mime_content_transfer_encoding> <$mime_charset> multi=$mime_is_multipart rfc822=$mime_is_rfc822 cover=$mime_is_coverletter
"""


def checking(server, acl, **main):
    return server(main={"acl_smtp_rcpt": "accept", "acl_smtp_mime": "check_mime", **main},
                  extra=f"begin acl\ncheck_mime:\n{acl}\ncheck_data:\n  accept logwrite = data after $mime_part_count\n")


def letter(payload=b"MZ payload", name="run.exe"):
    inner = EmailMessage()
    inner["Subject"] = "inner"
    inner.set_content("attached text\n")
    outer = EmailMessage()
    outer["From"], outer["To"], outer["Subject"] = "a@client.test", "user@example.test", "mixed"
    outer.set_content("hello\n")
    outer.add_alternative("<p>hello</p>\n", subtype="html")
    outer.add_attachment(payload, maintype="application", subtype="octet-stream", filename=name)
    outer.add_attachment(inner)
    return outer.as_bytes().replace(b"\n", b"\r\n")


def send(one, text):
    with one.connect() as client:
        client.ehlo()
        client.envelope("user@example.test")
        return client.data_of(text)


def test_each_part_is_seen_in_its_order(server):
    one = checking(server, SEEN + "  accept", acl_smtp_data="check_data")
    assert send(one, letter())[0] == 250
    one.wait_log(r"data after 0$")
    seen = [line.split(" part ", 1)[1] for line in one.log_text().splitlines() if " part " in line]
    assert seen == [
        "0 <multipart/mixed> <> <> <> <> multi=1 rfc822=0 cover=1",
        "1 <multipart/alternative> <> <> <> <> multi=1 rfc822=0 cover=1",
        "2 <text/plain> <> <> <7bit> <utf-8> multi=0 rfc822=0 cover=1",
        "3 <text/html> <> <> <7bit> <utf-8> multi=0 rfc822=0 cover=1",
        "4 <application/octet-stream> <run.exe> <attachment> <base64> <> multi=0 rfc822=0 cover=0",
        "5 <message/rfc822> <> <attachment> <8bit> <> multi=0 rfc822=0 cover=0",
        "0 <text/plain> <> <> <7bit> <utf-8> multi=0 rfc822=1 cover=1",
    ]
    one.maildir().wait()


def test_a_part_can_refuse_the_message(server):
    one = checking(server, "  deny condition = ${if match{$mime_filename}{\\N\\.exe$\\N}}\n    message = no programs: $mime_filename\n"
                           "  accept", acl_smtp_data="check_data")
    assert send(one, letter()) == (550, ["no programs: run.exe"])
    one.wait_log(r"F=<sender@client\.test> rejected during MIME ACL checks: no programs: run\.exe$")
    assert "data after" not in one.log_text()
    assert send(one, letter(name="note.txt"))[0] == 250


def test_file_names_in_all_their_encodings(server):
    one = checking(server, "  deny condition = ${if match{$mime_filename}{\\N\\.exe$\\N}}\n  accept")
    for name in (b'filename="=?utf-8?b?' + base64.b64encode("größe.exe".encode()) + b'?="', b"filename*=utf-8''gr%C3%B6sse.ex%65",
                 b'filename*0="x.e"; filename*1=xe', b'filename="a.\r\n exe"'.replace(b"\r\n ", b"")):
        text = make_message(body=b"x\r\n").replace(b"\r\n\r\n", b"\r\nContent-Type: a/b\r\nContent-Disposition: attachment; " + name + b"\r\n\r\n", 1)
        assert send(one, text)[0] == 550, name


def test_decoded_content_is_matched_and_measured(server):
    one = checking(server, "  deny mime_regex = ^MZ (\\\\w+)\n    message = program: $regex1\n"
                           "  deny regex = ^ATTACHED MARK\n    message = raw\n"
                           "  warn decode = default\n    logwrite = size $mime_content_size of $mime_content_type <$mime_anomaly_text>\n  accept")
    assert send(one, letter()) == (550, ["program: payload"])
    assert send(one, letter(b"ATTACHED MARK"))[0] == 250, "encoded, so no raw line is like that"
    assert send(one, letter().replace(b"attached text", b"ATTACHED MARK")) == (550, ["raw"])
    assert send(one, letter(b"x" * 3000))[0] == 250
    one.wait_log(r"size 3 of application/octet-stream <>$")


def test_a_message_without_content_type_has_no_parts(server):
    one = checking(server, "  deny", acl_smtp_data="check_data")
    assert send(one, b"Subject: plain\r\n\r\nx\r\n")[0] == 250
    one.wait_log(r"data after -1$")


def test_only_a_field_of_that_name_is_a_content_type(server):
    one = checking(server, "  deny message = part of type <$mime_content_type>\n")
    for header, type_of_part in [(b"Subject: folded\r\n Content-Type: text/html", None), (b"X-Content-Type: text/html", None),
                                 (b"Subject: x\r\ncontent-type : text/html", "text/html"),
                                 (b"Content-Type:\r\n text/html", "text/html")]:
        code, texts = send(one, header + b"\r\n\r\nx\r\n")
        assert (code, texts) == (550, [f"part of type <{type_of_part}>"]) if type_of_part else code == 250, header


def test_discard_in_a_part_takes_the_message_away(server):
    one = checking(server, "  discard condition = ${if eq{$mime_content_type}{text/html}}\n  accept")
    assert send(one, letter())[0] == 250
    one.wait_log(r" => blackhole \(MIME ACL discarded recipients\)$")
    assert not one.maildir().files()


def test_hostile_nesting_is_refused(server):
    one = checking(server, "  accept")
    deep = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(200))
    wide = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 1500
    assert send(one, deep) == (550, ["MIME parts are nested too deep"])
    assert send(one, wide) == (550, ["too many MIME parts"])
    one.wait_log(r"rejected during MIME ACL checks: too many MIME parts$")


def test_the_parts_of_a_large_message_are_seen(server):
    one = checking(server, "  deny condition = ${if eq{$mime_filename}{last.exe}}\n  accept")
    text = letter(b"x" * 600000, name="large.bin").replace(b"attached text", b"attached text")
    assert send(one, text)[0] == 250
    boundary = text.split(b'boundary="')[1].split(b'"')[0]
    last = b"--" + boundary + b"\r\nContent-Disposition: attachment; filename=last.exe\r\n\r\nx\r\n--" + boundary + b"--\r\n"
    assert send(one, text.replace(b"--" + boundary + b"--\r\n", last))[0] == 550


def test_a_line_that_is_no_field_hides_no_part(server):
    """In a part's header section some readers begin the body there, others pass over it: both find the same parts as the ACL."""
    one = checking(server, "  warn logwrite = anomaly $mime_anomaly_level <$mime_anomaly_text>\n"
                           "  deny condition = ${if match{$mime_filename}{\\N\\.exe$\\N}}\n    message = no programs\n  accept")
    program = b"Content-Type: a/b; name=x.exe\r\n\r\nMZ\r\n"
    for part in (b"Content-Type: multipart/mixed; boundary=I\r\nno field\r\n--I\r\n" + program + b"--I--\r\n", b"no field\r\n" + program,
                 b" Content-Type: a/b; name=x.exe\r\n\r\nMZ\r\n"):
        start = one.mark()
        assert send(one, b"Content-Type: multipart/mixed; boundary=O\r\n\r\n--O\r\n" + part + b"--O--\r\n") == (550, ["no programs"]), part
        one.wait_log("anomaly 1 <a header section with a line that is no field>", start)

# SPDX-License-Identifier: ISC
"""Options and variables that are evaluated for each connection or message in a running server, inside of its walls."""
import os
import shutil
import tempfile
from pathlib import Path

from harness import ROOT, Maildir, make_message


def test_message_size_limit_is_expanded_for_each_client(server):
    """message_size_limit: "expansion happens after a client connects, so that it can depend on the client's address"."""
    one = server(main={"message_size_limit": "${if eq{$sender_host_address}{127.0.0.2}{1M}{20K}}"})
    for source, size in (("127.0.0.1", 20 * 1024), ("127.0.0.2", 1024 * 1024)):
        with one.connect(source=source) as client:
            assert f"SIZE {size}" in client.ehlo().split("\n")
            client.expect(552, f"MAIL FROM:<a@client.test> SIZE={size + 1}")


def test_recipients_max_is_expanded_for_each_client(server):
    one = server(main={"recipients_max": "${if eq{$sender_host_address}{127.0.0.2}{3}{2}}"})
    for source, most in (("127.0.0.1", 2), ("127.0.0.2", 3)):
        with one.connect(source=source) as client:
            client.ehlo()
            client.expect(250, "MAIL FROM:<a@client.test>")
            for _ in range(most):
                client.expect(250, "RCPT TO:<user@example.test>")
            client.expect(452, "RCPT TO:<user@example.test>")


def test_smtp_accept_max_per_host_is_expanded_for_each_client(server):
    one = server(main={"smtp_accept_max_per_host": "${if eq{$sender_host_address}{127.0.0.2}{2}{1}}"})
    for source, most in (("127.0.0.1", 1), ("127.0.0.2", 2)):
        held = [one.connect(source=source) for _ in range(most)]
        with one.connect(source=source, banner=False) as client:
            client.expect(421)
        for client in held:
            client.close()


def test_smtp_active_hostname_is_what_the_client_sees(server):
    """smtp_active_hostname: in greeting and EHLO; forced failure and an empty result leave primary_hostname."""
    choice = "${if eq{$sender_host_address}{127.0.0.2}{second.test}{${if eq{$sender_host_address}{127.0.0.3}{}fail}}}"
    one = server(main={"smtp_active_hostname": choice})
    with one.connect(source="127.0.0.2") as client:
        assert client.banner[1][0].startswith("second.test ")
        assert client.ehlo().startswith("second.test ")
    for source in ("127.0.0.1", "127.0.0.3"):
        with one.connect(source=source) as client:
            assert not client.banner[1][0].startswith("second.test")


def test_a_limit_that_is_no_number_refuses_the_connection_for_now(server):
    """Bad input: one clear line in the panic log, and mail is not accepted without its limit."""
    one = server(main={"message_size_limit": "${if eq{$sender_host_address}{127.0.0.2}{1M}{many}}"})
    with one.connect(banner=False) as client:
        assert client.expect(421) == "Temporary local problem - please try later"
        client.ends()
    one.wait_log(r"connection refused: message_size_limit: .*many")
    with one.connect(source="127.0.0.2") as client:
        client.ehlo()
    (one.log.parent / "paniclog").unlink()  # looked at: what is in it fails a test


def test_headers_of_other_character_sets_are_decoded_within_the_walls(server):
    """$h_: RFC 2047 words are converted to headers_charset; the converters were opened before the sandbox."""
    acl = "begin acl\nafter:\n  deny condition = ${if eq{$h_subject:}{Gr\\xc3\\xbc\\xc3\\x9fe\\xd0\\xb4\\xd0\\xb0}}\n    message = understood\n  accept\n"
    one = server(main={"acl_smtp_data": "after"}, extra=acl)
    subject = "=?ISO-8859-1?Q?Gr=FC=DFe?= =?KOI8-R?B?xME=?="
    for text, code in ((subject, 550), ("Gruesse", 250)):
        with one.connect() as client:
            client.ehlo()
            client.envelope("user@example.test")
            client.expect(354, "DATA")
            client.send(make_message(subject=text) + b".\r\n")
            assert client.reply()[0] == code


def test_a_transport_sees_the_header(server):
    """$h_ in a transport's option: the queue's process reads the header section of the message that it delivers."""
    user = "  user = nobody\n  group = nogroup\n" if ROOT else ""
    with tempfile.TemporaryDirectory(prefix="postern-options-") as made:
        os.chmod(made, 0o755)
        if ROOT:
            shutil.chown(made, "nobody", "nogroup")
        directory = f"{made}/${{if match{{$h_x-box:}}{{^two\\$}}{{two}}{{one}}}}"
        one = server(routers="all:\n  driver = accept\n  domains = example.test\n  transport = there\n",
                     transports=f"there:\n  driver = appendfile\n  directory = {directory}\n  maildir_format\n  create_directory\n{user}")
        for box in ("two", "three"):
            one.send(f"X-Box: {box}\r\n".encode() + make_message(subject=box), "user@example.test")
        one.wait_log("Completed", count=2)
        assert [len(Maildir(Path(made) / name).files()) for name in ("one", "two")] == [1, 1]


def test_variables_of_acls_are_kept_with_the_message(server):
    """Exim's manual, chapter 44 section 19: $acl_c... and $acl_m... are there when the message is delivered, after a restart too; a
    peer's text in them is still no path."""
    acl = "begin acl\nrcpt:\n  warn set acl_m_box = two\n    set acl_c0 = $sender_address\n  accept\n"
    user = "  user = nobody\n  group = nogroup\n" if ROOT else ""
    with tempfile.TemporaryDirectory(prefix="postern-options-") as made:
        os.chmod(made, 0o700)  # nobody may enter: the message waits
        one = server(main={"acl_smtp_rcpt": "rcpt"}, extra=acl,
                     routers="all:\n  driver = accept\n  domains = example.test\n  local_parts = user\n  transport = there\n"
                             "bad:\n  driver = accept\n  domains = example.test\n  transport = wrong\n",
                     transports=f"there:\n  driver = appendfile\n  directory = {made}/$acl_m_box/box\n  maildir_format\n  create_directory\n{user}"
                                f"wrong:\n  driver = appendfile\n  directory = {made}/$acl_c0\n  maildir_format\n  create_directory\n{user}")
        one.send(make_message(), "user@example.test")
        one.wait_log("== user@example.test .* defer", count=1) if ROOT else one.wait_log("Completed")
        with one.connect() as client:
            client.ehlo()
            client.expect(250, "MAIL FROM:<a@client.test>")
            client.expect(451, "RCPT TO:<other@example.test>")
        one.wait_log("temporarily rejected RCPT <other@example.test>: .*Tainted")
        if ROOT:
            os.chmod(made, 0o777)
        one.stop()
        one.start()
        one.wait_log("=> user")
        assert len(Maildir(Path(made) / "two" / "box").files()) == 1

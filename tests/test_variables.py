# SPDX-License-Identifier: ISC
"""Variables at a running server: what an ACL for the message sees of it, of the configuration and of the time."""
import re
import subprocess
import time

from harness import POSTERN, ROOT, make_message

VARIABLES = ("message_body", "message_body_size", "body_linecount", "reply_address", "received_count", "config_file", "config_dir",
             "tod_zulu", "tod_epoch", "tod_zone", "tod_logfile", "recipients_count", "qualify_domain", "max_received_linelength")


def test_the_message_the_configuration_and_the_time(server):
    one = server(main={"acl_smtp_data": "see"}, extra="begin acl\nsee:\n  deny message = " + "".join(
        f"{name}=<${name}>\\n" for name in VARIABLES))
    head = b"From: Writer <w@client.test>\r\nReply-To: \"Other\" <o@client.test>\r\nReceived: from x\r\n"
    with one.connect() as client:
        client.expect(250, "EHLO client.test")
        client.expect(250, "MAIL FROM:<a@client.test>")
        client.expect(250, "RCPT TO:<user@example.test>")
        code, texts = client.data_of(head + make_message().split(b"\r\n\r\n")[0] + b"\r\n\r\nfirst line\r\nsecond\r\n" + b"x" * 120 + b"\r\n")
    seen = dict(re.fullmatch(r"(\w+)=<(.*)>", line).groups() for line in texts if line)
    assert code == 550
    assert (seen["message_body"], seen["message_body_size"], seen["body_linecount"]) == ("first line second " + "x" * 120 + " ", "142", "3")
    assert seen["max_received_linelength"] == "120"
    assert seen["reply_address"] == '"Other" <o@client.test>'
    assert seen["received_count"] == "2"
    assert (seen["config_file"], seen["config_dir"]) == (str(one.conf), str(one.conf.parent))
    assert abs(int(seen["tod_epoch"]) - time.time()) < 60 and re.fullmatch(r"\d{14}Z", seen["tod_zulu"])
    assert seen["tod_logfile"][:8] and re.fullmatch(r"[+-]\d{4}", seen["tod_zone"]) and seen["recipients_count"] == "1"


def ask(names):
    return "".join(f"{name}=<${name}>\\n" for name in names)


def answers(texts):
    return dict(re.fullmatch(r"(\w+)=<(.*)>", line).groups() for line in texts if line)


def test_recipients_are_known_when_the_last_is_there(server):
    """$recipients is empty in the ACL for RCPT, and the whole list from DATA on; the load is a number in a confined process."""
    one = server(main={"acl_smtp_rcpt": "early", "acl_smtp_predata": "late"}, extra="begin acl\nearly:\n"
                 "  deny !local_parts = user:alice\n    message = <$recipients>\n  accept\n"
                 "late:\n  deny message = " + ask(("recipients", "load_average", "message_age", "received_for")))
    with one.connect() as client:
        client.expect(250, "EHLO client.test")
        client.expect(250, "MAIL FROM:<a@client.test>")
        client.expect(250, "RCPT TO:<user@example.test>")
        assert client.expect(550, "RCPT TO:<third@example.test>") == "<>"
        client.expect(250, "RCPT TO:<alice@example.test>")
        seen = answers(client.expect(550, "DATA").split("\n"))
    assert seen["recipients"] == "user@example.test, alice@example.test"
    assert re.fullmatch(r"\d+", seen["load_average"]) and seen["message_age"] == "0" and seen["received_for"] == ""


def test_what_cannot_be_filled_is_refused_when_the_configuration_is_loaded(tmp_path):
    for name in ("exim_path", "caller_uid", "spool_space", "queue_size", "tls_out_cipher", "rcpt_fail_count", "verify_mode",
                 "smtp_command_history"):
        conf = tmp_path / "conf"
        conf.write_text(f"smtp_active_hostname = <${name}>\n")
        result = subprocess.run([POSTERN, "check", "-c", str(conf)], capture_output=True, text=True, timeout=60, check=False)
        assert result.returncode != 0 and f"variable ${name} is not available in this version" in result.stdout + result.stderr


def test_routing_and_delivery_know_their_names_and_the_message(server):
    """The router, the transport, the return path, the address before redirection, and what the header and body give."""
    one = server()
    one.transports = f"""maildir:
  driver = appendfile
  directory = {one.mail}/${{if and{{{{eq{{$return_path}}{{a@client.test}}}}{{eq{{$original_local_part@$original_domain}}{{user@example.test}}}}\
{{eq{{$received_count}}{{1}}}}{{match{{$message_body}}{{^Body of it}}}}{{eq{{$message_body_size}}{{12}}}}\
{{match{{$message_body_end}}{{of it }}}}{{match{{$sender_fullhost}}{{127.0.0.1}}}}}}{{all}}{{not}}}}-$router_name-$transport_name
  maildir_format
  create_directory
""" + ("  user = nobody\n  group = nogroup\n" if ROOT else "")
    one.configure()
    one.reload()
    with one.connect() as client:
        client.expect(250, "EHLO client.test")
        client.expect(250, "MAIL FROM:<a@client.test>")
        client.expect(250, "RCPT TO:<user@example.test>")
        client.data_of(b"From: a@client.test\r\nSubject: s\r\n\r\nBody of it\r\n")
    one.wait_empty()
    assert [path.name for path in one.mail.iterdir()] == ["all-virtual_users-maildir"]

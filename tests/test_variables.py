# SPDX-License-Identifier: ISC
"""Variables at a running server: what an ACL for the message sees of it, of the configuration and of the time."""
import re
import time

from harness import make_message

VARIABLES = ("message_body", "message_body_size", "body_linecount", "reply_address", "received_count", "config_file", "config_dir",
             "tod_zulu", "tod_epoch", "tod_zone", "tod_logfile", "recipients_count", "qualify_domain")


def test_the_message_the_configuration_and_the_time(server):
    one = server(main={"acl_smtp_data": "see"}, extra="begin acl\nsee:\n  deny message = " + "".join(
        f"{name}=<${name}>\\n" for name in VARIABLES))
    head = b"From: Writer <w@client.test>\r\nReply-To: \"Other\" <o@client.test>\r\nReceived: from x\r\n"
    with one.connect() as client:
        client.expect(250, "EHLO client.test")
        client.expect(250, "MAIL FROM:<a@client.test>")
        client.expect(250, "RCPT TO:<user@example.test>")
        code, texts = client.data_of(head + make_message().split(b"\r\n\r\n")[0] + b"\r\n\r\nfirst line\r\nsecond\r\n")
    seen = dict(re.fullmatch(r"(\w+)=<(.*)>", line).groups() for line in texts if line)
    assert code == 550
    assert (seen["message_body"], seen["message_body_size"], seen["body_linecount"]) == ("first line second ", "20", "2")
    assert seen["reply_address"] == '"Other" <o@client.test>'
    assert seen["received_count"] == "2"
    assert (seen["config_file"], seen["config_dir"]) == (str(one.conf), str(one.conf.parent))
    assert abs(int(seen["tod_epoch"]) - time.time()) < 60 and re.fullmatch(r"\d{14}Z", seen["tod_zulu"])
    assert seen["tod_logfile"][:8] and re.fullmatch(r"[+-]\d{4}", seen["tod_zone"]) and seen["recipients_count"] == "1"

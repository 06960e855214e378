# SPDX-License-Identifier: ISC
"""Where the header section of a message ends, and that all who look at it see the same of it: ACLs, rewrite rules, and readers of what is
delivered. Its size does not matter as long as header_maxsize lets it pass."""


def delivered(one, user="user"):
    """What was delivered to the user, with its trace, as one text; it is taken out of the Maildir."""
    maildir = one.maildir(user)
    maildir.wait()
    file, = maildir.files()
    text = file.read_bytes()
    file.unlink()
    return text


def test_bytes_above_127_and_blanks_before_the_colon_hide_no_field(server):
    one = server(start=False, main={"acl_smtp_data": "check_data"},
                 extra="begin acl\ncheck_data:\n  accept logwrite = subject=<$h_subject:> to=<$h_to:> received=$received_count\n")
    one.conf.write_text(one.conf.read_text() + "\nbegin rewrite\n*@old.test  $1@new.test  h\n")
    one.start()
    one.send(b"X\xe9: y\r\nReceived : one\r\nSubject \t: seen\r\nFrom: a@old.test\r\nTo : b@old.test\r\n\r\ntext\r\n")
    one.wait_log(r"subject=<seen> to=<b@new\.test> received=2$")
    assert delivered(one).endswith(b"\nX\xe9: y\nReceived : one\nSubject \t: seen\nFrom: a@new.test\nTo : b@new.test\n\ntext\n")

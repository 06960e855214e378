# SPDX-License-Identifier: ISC
"""Rewrite rules: in the envelope, in header lines, at SMTP time, and as the command shows them."""
import re
import subprocess


from harness import POSTERN, SANITIZER, below_trace, make_message, trace_of


def rewriting(server, rules, **named):
    one = server(start=False, **named)
    one.conf.write_text(one.conf.read_text() + "\nbegin rewrite\n" + rules)
    return one.start()


def only(maildir):
    maildir.wait()
    return maildir.read()[0]


def test_envelope_and_headers_are_rewritten_before_the_message_is_stored(server):
    one = rewriting(server, "*@old.test  $1@example.test\n*@inner.client.test  $1@client.test  Ffs\n")
    message = (b"From: Ann <ann@inner.client.test>\r\nSender: <ann@inner.client.test>\r\nTo: User (x) <user@old.test>,\r\n"
               b"\tann@inner.client.test\r\nSubject: mail for user@old.test\r\n\r\nuser@old.test\r\n")
    with one.connect() as client:
        client.ehlo()
        client.deliver(message, "user@old.test", sender="ann@inner.client.test")
        client.cmd("QUIT")
    stored = only(one.maildir())
    assert below_trace(stored) == (
        b"From: Ann <ann@client.test>\nSender: <ann@client.test>\nTo: User (x) <user@example.test>,\n"
        b"\tann@inner.client.test\nSubject: mail for user@old.test\n\nuser@old.test\n")
    trace = trace_of(stored)
    assert "Return-path: <ann@client.test>" in trace and "Envelope-to: user@example.test" in trace
    assert "for user@example.test" in trace
    one.wait_log(r"<= ann@client\.test ")
    one.wait_log(r"=> user <user@example\.test>")


def test_recipients_that_become_the_same_get_one_copy(server):
    one = rewriting(server, "*@*.example.test user@example.test T\n")
    one.send(make_message(), "user@a.example.test", "user@b.example.test", "user@example.test")
    one.wait_log("Completed")
    assert len(one.maildir().files()) == 1


def test_smtp_time_rules_see_the_raw_argument(server):
    one = rewriting(server, "\\N^<([^!@]+)!([^@!]+)>$\\N  <$2@$1>  S\n")
    message = make_message()
    with one.connect() as client:
        client.ehlo()
        client.expect(250, "MAIL FROM:<client.test!ann> SIZE=100")
        client.expect(250, "RCPT TO:<example.test!user>")
        assert client.data_of(message)[0] == 250
        client.cmd("QUIT")
    one.maildir().holds(message)
    one.wait_log(r"<= ann@client\.test ")


def test_a_message_without_body_and_one_that_is_large_pass_through_the_rules(server):
    one = rewriting(server, "*@old.test  $1@example.test\n")
    small = b"To: user@old.test\r\n"
    large = make_message("large", size=3 * 1024 * 1024, to="user@old.test")
    for message in (small, large):
        one.send(message, "user@example.test")
    one.maildir().wait(2)
    stored = sorted((below_trace(text).replace(b"\n", b"\r\n") for text in one.maildir().read()), key=len)
    assert stored[0].rstrip() == b"To: user@example.test"
    assert stored[1] == large.replace(b"To: <user@old.test>", b"To: <user@example.test>")


def real_names(directory):
    names = directory / "names"
    names.write_text("fp42: Ford.Prefect\n")
    return f'*@client.test  "${{lookup{{$1}}lsearch{{{names}}}{{$value}}fail}}@client.test"  bcfrF\n'


def test_names_come_from_a_file_and_a_name_that_is_not_there_stays(server):
    one = server(start=False)
    rules = real_names(one.dir)
    one.conf.write_text(one.conf.read_text() + "\nbegin rewrite\n" + rules)
    one.start()
    for sender, stored in (("fp42", b"Ford.Prefect"), ("arthur", b"arthur")):
        message = make_message(sender=f"{sender}@client.test")
        with one.connect() as client:
            client.ehlo()
            client.deliver(message, sender=f"{sender}@client.test")
            client.cmd("QUIT")
        one.maildir().holds(message.replace(b"From: <" + sender.encode(), b"From: <" + stored))
        one.wait_log(rf"<= {stored.decode()}@client\.test ")


def test_a_file_that_is_missing_means_that_the_message_is_not_taken_now(server):
    one = server(start=False)
    rules = real_names(one.dir)
    one.conf.write_text(one.conf.read_text() + "\nbegin rewrite\n" + rules)
    (one.dir / "names").unlink()
    one.start()
    with one.connect() as client:
        client.ehlo()
        client.envelope(sender="fp42@client.test")
        code, texts = client.data_of(make_message(sender="fp42@client.test"))
        assert code == 451, texts
        client.cmd("QUIT")
    assert not one.queued()


def test_a_replacement_that_is_no_address_leaves_it_and_is_told_in_the_panic_log(server):
    one = rewriting(server, "*@client.test  nobody  F\n")
    one.send(make_message())
    one.wait_log(r"<= sender@client\.test ")
    panic = (one.log.parent / "paniclog").read_text()
    assert 'Rewrite of sender@client.test yielded unqualified address "nobody"' in panic


def rewrite_command(tmp_path, rules, address, status=0):
    conf = tmp_path / "conf"
    conf.write_text("primary_hostname = h.example\nqualify_domain = q.example\nbegin rewrite\n" + rules)
    run = subprocess.run([POSTERN, "rewrite", "-c", str(conf), address], capture_output=True, text=True,
                         env={**SANITIZER}, timeout=60)
    assert run.returncode == status, run
    return run


def test_the_command_prints_every_place_as_exim_does(tmp_path):
    out = rewrite_command(tmp_path, "foo@q.example  bar@q.example  Fbtw\n", "Ford P (c) <foo@q.example>").stdout
    assert out == """  sender: Ford P (c) <foo@q.example>
    from: Ford P (c) <foo@q.example>
      to: bar@q.example
      cc: Ford P (c) <foo@q.example>
     bcc: bar@q.example
reply-to: Ford P (c) <foo@q.example>
env-from: bar@q.example
  env-to: foo@q.example
"""
    assert "    from: x@b\n" in rewrite_command(tmp_path, "*@* x@b\n", "foo").stdout
    assert rewrite_command(tmp_path, "^.*! x@b S\n", "foo!bar").stdout.startswith("    SMTP: x@b\n")
    assert "Syntax error in a@b@c" in rewrite_command(tmp_path, "*@* x@b\n", "a@b@c", 1).stderr
    assert rewrite_command(tmp_path, "", "a@b").stdout == "No rewrite rules are defined\n"


def test_the_command_looks_names_up(tmp_path):
    rules = real_names(tmp_path)
    assert "    from: Ford.Prefect@client.test\n" in rewrite_command(tmp_path, rules, "fp42@client.test").stdout
    assert "    from: arthur@client.test\n" in rewrite_command(tmp_path, rules, "arthur@client.test").stdout
    (tmp_path / "names").unlink()
    assert "names" in rewrite_command(tmp_path, rules, "fp42@client.test", 75).stderr


def test_a_bad_rule_is_a_load_error_with_its_place(tmp_path):
    run = rewrite_command(tmp_path, "*@* a@b K\n", "x@y", 2)
    assert re.search(r'conf:4(:\d+)?: error: rewrite rule: unknown flag "K"', run.stderr)

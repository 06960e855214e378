# SPDX-License-Identifier: ISC
"""Retry rules: when the queue tries again, when it gives up, and what the command says about them."""
import shutil
import subprocess
import time

import pytest

from harness import DOMAIN, POSTERN, SANITIZER, make_message


def blocked(server, rules, **named):
    """A server with these rules, to whose user nothing can be delivered: a file is where the Maildir should be."""
    one = server(start=False, **named)
    one.conf.write_text(one.conf.read_text() + "\nbegin retry\n" + rules)
    (one.mail / DOMAIN).mkdir()
    (one.mail / DOMAIN).chmod(0o777)
    (one.mail / DOMAIN / "user").write_text("")
    return one.start()


def test_a_message_is_tried_again_when_its_rule_says_so(server):
    one = blocked(server, "other.example  *  F,1h,1s\n*  *  F,1h,2s\n")
    message, begun = make_message(), time.monotonic()
    one.send(message)
    one.wait_log(r"== user@example\.test R=virtual_users T=maildir defer")
    (one.mail / DOMAIN / "user").unlink()
    one.maildir().holds(message)
    assert time.monotonic() - begun >= 2
    one.wait_log("Completed")


def test_after_the_last_cutoff_the_message_is_frozen_and_kept(server):
    one = blocked(server, "*  *  F,2s,1s\n")
    one.send(make_message())
    one.wait_log(r"\*\* user@example\.test: retry timeout exceeded")
    one.wait_log(r"Frozen \(retry timeout exceeded\)")
    assert len(one.queued()) == 1
    assert one.log_text().count("defer (") >= 2


def test_a_rule_without_parameters_gives_up_at_once(server):
    one = blocked(server, "*@example.test  *\n")
    one.send(make_message())
    one.wait_log(r"\*\* user@example\.test: retry timeout exceeded")
    assert one.log_text().count("defer (") == 1


def test_other_recipients_of_a_message_go_on(server):
    one = blocked(server, "user@example.test  *\n* * F,1h,1s\n")
    one.send(make_message(), "user@example.test", "bob@example.test")
    one.wait_log("Frozen")
    one.maildir("bob").wait()


def test_an_address_that_fails_is_not_tried_for_each_message_that_waits(server):
    one = blocked(server, "*  *  F,10s,1h; F,1d,1h\n")
    one.send(make_message())
    one.wait_log("defer")
    one.send(make_message())
    one.wait_log("defer", count=2)
    shutil.rmtree(one.mail / DOMAIN)
    one.reload()  # all is tried at once after a reload
    one.maildir().wait(2)


def retry_command(tmp_path, rules, *arguments, status=0):
    conf = tmp_path / "conf"
    conf.write_text("primary_hostname = h.example\nbegin retry\n" + rules)
    run = subprocess.run([POSTERN, "retry", "-c", str(conf), *arguments], capture_output=True, text=True, env={**SANITIZER},
                         timeout=60)
    assert run.returncode == status, run
    return run.stdout + run.stderr


RULES = """alice@w.example quota_5d  F,7d,3h
w.example       quota_5d
w.example       *         F,1h,15m; G,2d,1h,2;
*   rcpt_4xx   senders=:   F,1h,30m
*                 refused_A   F,2h,20m;
*                 *           F,2h,15m; G,16h,1h,1.5; F,5d,8h
"""


@pytest.mark.parametrize("arguments, text", [
    (["x@w.example"], "Retry rule: w.example  *  F,1h,15m; G,2d,1h,2.0; \n"),
    (["alice@w.example", "quota_6d"], "Retry rule: alice@w.example  quota_5d  F,1w,3h; \n"),
    (["w.example", "quota_6d"], "Retry rule: w.example  quota_5d  \n"),
    (["h.example", "z.example", "refused_A"], "Retry rule: *  refused_A  F,2h,20m; \n"),
    (["x.example", "w.example", "refused_A"], "Retry rule: w.example  *  F,1h,15m; G,2d,1h,2.0; \n"),
    (["-f", "", "h@u.example", "rcpt_451"], "Retry rule: *  rcpt_4xx  F,1h,30m; \n"),
    (["h@u.example", "rcpt_451"], "Retry rule: *  *  F,2h,15m; G,16h,1h,1.5; F,5d,8h; \n"),
])
def test_the_command_names_the_rule_as_exim_does(tmp_path, arguments, text):
    assert retry_command(tmp_path, RULES, *arguments) == text


def test_the_command_says_when_there_is_none_and_what_is_wrong(tmp_path):
    assert retry_command(tmp_path, "a.example * F,1h,1m\n", "b.example", status=1) == "No retry information found\n"
    assert 'unknown error "odd"' in retry_command(tmp_path, RULES, "b.example", "odd", status=2)
    assert "conf:3" in retry_command(tmp_path, "* * F,1h\n", "b.example", status=2)

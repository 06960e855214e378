# SPDX-License-Identifier: ISC
"""A spool that cannot be written, for a while or at the start: what is delivered twice, what is lost (nothing), and how it comes back."""
import contextlib
import os
import re
import shutil
import signal

import spool_log
from harness import DOMAIN, ROOT, make_message, wait_for


@contextlib.contextmanager
def no_new_files(one, but=""):
    """The queue can make no files in its spool: messages come into the log still, but their results have no place."""
    directories = [directory for directory in one.spool.glob("input/*") if directory.name != but]
    assert len(directories) > 60
    for directory in directories:
        directory.chmod(0o500)
    try:
        yield
    finally:
        for directory in directories:
            directory.chmod(0o700)


def blocked(server, user):
    """A server that tries each second what was deferred, and to whose user nothing can be delivered: a file is in the way."""
    one = server(start=False)
    one.conf.write_text(one.conf.read_text() + "\nbegin retry\n*  *  F,1h,1s\n")
    (one.mail / DOMAIN).mkdir()
    (one.mail / DOMAIN / user).write_text("in the way")
    if ROOT:
        for path in (one.mail / DOMAIN, one.mail / DOMAIN / user):
            shutil.chown(path, "nobody", "nogroup")
    return one.start()


def test_what_was_delivered_is_not_delivered_again_when_the_spool_cannot_note_it(server):
    one = blocked(server, "alice")
    message = make_message()
    with no_new_files(one):
        one.send(message, "user@example.test", "alice@example.test")
        one.wait_log("results could not be recorded", count=3)
        assert one.maildir().messages() == [message]
    name, = one.queued()
    one.spool_file(f"{name}-J")  # the next attempt notes what the first delivered
    one.kill()
    (one.mail / DOMAIN / "alice").unlink()
    one.start()
    one.maildir("alice").holds(message)
    one.wait_empty()
    assert one.maildir().messages() == [message]


def test_a_delivered_message_that_cannot_be_removed_now_is_removed_later(server):
    one = blocked(server, "user")
    one.send(make_message())
    one.wait_log("defer")
    name, = one.queued()
    one.spool_file(f"{name}-J")
    with no_new_files(one):  # nor can any be removed
        (one.mail / DOMAIN / "user").unlink()
        one.wait_log("could not be removed")
        assert one.queued() == [name]
    one.wait_empty()
    assert len(one.maildir().files()) == 1


def test_a_queue_that_could_not_read_its_spool_reads_it_once_it_can(server):
    one = server(main={"queue_only": "true"})
    messages = [make_message(size=300_000)]  # a file from the beginning, which the scan finds before it fails
    one.send(messages[0])
    while not [name for name in spool_log.live(one.spool) if name[5] != "0"]:  # the directory that it belongs into
        messages.append(make_message())
        one.send(messages[-1])
    with no_new_files(one, but="0"):  # there it tries whether it can; then what is in the log gets files
        killed = one.role("queue")
        os.kill(killed, signal.SIGKILL)
        wait_for("another queue", lambda: one.roles().get("queue") not in (None, killed))
        panic = one.log.with_name("paniclog")
        told = re.compile(r"queue \(pid \d+\) could not begin: \S.*Permission denied$", re.M)
        wait_for("two queues that could not", lambda: panic.exists() and len(told.findall(panic.read_text())) >= 2)
        start = one.mark()
        one.process.send_signal(signal.SIGHUP)
        one.wait_log("configuration reloaded|reload refused", start)  # whether or not there is a queue at that moment
        before = len(told.findall(panic.read_text()))
        wait_for("another that could not", lambda: len(told.findall(panic.read_text())) > before)
        assert not one.maildir().files()
    one.wait_empty()
    assert sorted(one.maildir().messages()) == sorted(messages)
    one.send(messages[0])
    one.reload()
    one.maildir().wait(len(messages) + 1)


def test_a_message_that_cannot_be_handed_to_the_queue_is_one_for_later(server):
    """What ACLs set goes with the message up to 40 KB; more is the configuration's fault, not that of the message."""
    doubled = "".join(f"    set acl_m{n} = $acl_m{n - 1}$acl_m{n - 1}\n" for n in range(1, 12))
    one = server(main={"acl_smtp_rcpt": "rcpt"},
                 extra=f"begin acl\nrcpt:\n  accept\n    set acl_m0 = 0123456789abcdef\n{doubled}    set acl_m12 = $acl_m11\n")
    with one.connect() as client:
        client.ehlo()
        client.envelope()
        code, _ = client.data_of(make_message())
        assert code == 451
    one.wait_log("the variables that ACLs set are more than")

# SPDX-License-Identifier: ISC
"""When messages are delivered: queues by name (the ACL modifier queue), runs of queues, and what makes messages wait for one."""
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

import exim
from harness import DOMAIN, POSTERN, ROOT, SANITIZER, end_with_us, make_message, wait_for

RUN = r"(Start|End) (?:'(\S+)' )?queue run: pid=\d+(?: -qf)?$"
# ETRN #name runs the queue of that name, ETRN #usual the one without.
ETRN = """etrn:
  accept condition = ${if eq{$smtp_command_argument}{#burst}}
    queue = burst
  accept
"""


def acls(rcpt, more=""):
    return f"begin acl\n{ETRN}{more}rcpt:\n{rcpt}"


def queueing(server, rcpt, main=None, more="", **named):
    return server(main={"acl_smtp_rcpt": "rcpt", "acl_smtp_etrn": "etrn", **(main or {})}, extra=acls(rcpt, more), **named)


def send(client, *senders, to="user@example.test"):
    for sender in senders:
        client.envelope(to, sender=sender)
        code, texts = client.data_of(make_message(sender=sender))
        assert code == 250, (code, texts)


def left(one, count):
    """Waits until so many messages are in the queue: what is delivered leaves it a moment after its last line in the log."""
    wait_for(f"{count} message(s) in the queue", lambda: len(one.queued()) == count)


def fates(log):
    """Of each message in order: its queue, why it was not delivered at once, frozen or not, and whether a run delivered it."""
    found, run = {}, False
    for line in log.splitlines():
        line = re.sub(r"^\S+ \S+ ", "", line)
        if re.match(RUN, line):
            run = run or line.startswith("Start")
            continue
        arrival = re.match(r"(\S{16}) <= ", line)
        if arrival:
            queue = re.search(r" S=\d+(?: Q=(\S+))?(?: id=\S+)?$", line)
            found[arrival[1]] = [queue[1], [], None]
        elif (event := re.match(r"(\S{16}) (?:(frozen by ACL)|no immediate delivery: (.*)|(=>) .*?( Q=\S+)? R=.*)$", line)):
            fate = found[event[1]]
            if event[4]:
                assert event[5] == (f" Q={fate[0]}" if fate[0] else None), line
                fate[2] = "by a run" if run else "at once"
            else:
                fate[1].append(event[2] or re.sub(r"average \d+\.\d\d", "average N", event[3]))
    return list(found.values())


# An ACL for RCPT, main options, how many messages of one connection; what becomes of each.
CASES = {
    "a named queue": ("  accept queue = burst\n", "", [["burst", [], "at once"]]),
    "control = queue": ("  accept control = queue\n", "", [[None, ["queued by ACL"], "by a run"]]),
    "control = queue in a named queue": ("  accept control = queue\n    queue = burst\n", "",
                                         [["burst", ["queued in burst by ACL"], "by a run"]]),
    "frozen and queued": ("  accept control = queue/first_pass_route\n    control = freeze\n    queue = burst\n", "",
                          [["burst", ["frozen by ACL", "queued in burst by ACL"], None]]),
    "queue_only": ("  accept\n", "queue_only", [[None, [], "by a run"]]),
    "queue_only says nothing of limits": ("  accept\n", "queue_only\nqueue_only_load = 0\nsmtp_accept_queue_per_connection = 1",
                                          [[None, [], "by a run"]] * 2),
    "queue_only_load": ("  accept\n", "queue_only_load = 0", [[None, ["load average N"], "by a run"]] * 2),
    "queue_only_load without latch": ("  accept\n", "queue_only_load = 0\nno_queue_only_load_latch",
                                      [[None, ["load average N"], "by a run"]] * 2),
    "queue_only_load that is not reached": ("  accept\n", "queue_only_load = 99999.5", [[None, [], "at once"]]),
    "smtp_accept_queue_per_connection": ("  accept\n", "smtp_accept_queue_per_connection = 2",
                                         [[None, [], "at once"]] * 2 +
                                         [[None, ["more than 2 messages received in one connection"], "by a run"]] * 2),
    "an ACL and a limit": ("  accept control = queue\n", "smtp_accept_queue_per_connection = 1\nqueue_only_load = 0",
                           [[None, ["queued by ACL", "load average N"], "by a run"],
                            [None, ["queued by ACL", "load average N"], "by a run"]]),
    "a limit and a load without latch": ("  accept\n", "smtp_accept_queue_per_connection = 1\nqueue_only_load = 0\nno_queue_only_load_latch",
                                         [[None, ["load average N"], "by a run"],
                                          [None, ["more than 1 messages received in one connection"], "by a run"]]),
}


class Exim:
    """Sessions of `exim -bs`, and queue runs by hand, all as a user who may deliver to files of his own."""

    def __init__(self, rcpt, main, more=""):
        # Below /tmp itself: pytest's own directories are closed to that user.
        self.dir = Path(tempfile.mkdtemp(prefix="postern-test-exim-"))
        self.dir.chmod(0o755)
        for name in ("spool", "log", "mail"):
            (self.dir / name).mkdir()
            (self.dir / name).chmod(0o1777)
        self.program, self.environment = exim.exim()
        user = pwd.getpwnam("nobody") if ROOT else pwd.getpwuid(os.geteuid())
        self.as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if ROOT else {}
        (self.dir / "conf").write_text(f"""primary_hostname = mx.example.test
spool_directory = {self.dir}/spool
log_file_path = {self.dir}/log/%s
keep_environment =
exim_user = {user.pw_uid}
exim_group = {user.pw_gid}
deliver_drop_privilege
never_users =
rfc1413_query_timeout = 0s
host_lookup =
acl_smtp_rcpt = rcpt
{main}
begin acl
{more}rcpt:
{rcpt}begin routers
all:
  driver = accept
  transport = file
begin transports
file:
  driver = appendfile
  file = {self.dir}/mail/inbox
  user = {user.pw_uid}
  group = {user.pw_gid}
""")

    def run(self, *flags, text=None):
        done = subprocess.run([self.program, *flags, "-C", self.dir / "conf"], input=text, capture_output=True, text=True, timeout=60,
                              env=self.environment, cwd="/", check=False, **self.as_user)
        return done.stdout

    def log(self):
        return (self.dir / "log/main").read_text()

    def fates(self, count, at_once):
        """What becomes of so many messages, of which so many are delivered at once."""
        message = "MAIL FROM:<sender@client.test>\r\nRCPT TO:<user@example.test>\r\nDATA\r\nSubject: x\r\n\r\nx\r\n.\r\n"
        self.run("-bs", text="EHLO client.test\r\n" + message * count + "QUIT\r\n")
        wait_for("Exim's deliveries", lambda: self.log().count("Completed") >= at_once)
        self.run("-q")
        self.run("-qGburst")
        return fates(self.log())


@pytest.mark.parametrize("case", CASES)
def test_messages_wait_and_are_logged_as_with_exim(server, case):
    rcpt, main, want = CASES[case]
    theirs = Exim(rcpt, main)
    at_once, by_run = ([fate[2] for fate in want].count(when) for when in ("at once", "by a run"))
    assert theirs.fates(len(want), at_once) == want
    shutil.rmtree(theirs.dir)
    # In Exim's form: an option to a line.
    options = dict((line.split(" = ") + ["true"])[:2] if not line.startswith("no_") else (line[3:], "false")
                   for line in main.splitlines())
    one = queueing(server, rcpt, options)
    one.wait_log(r"End queue run")
    start = one.mark()
    with one.connect() as client:
        client.ehlo()
        send(client, *["sender@client.test"] * len(want))
        if at_once:
            one.wait_log("Completed", start, at_once)
        client.expect(250, "ETRN #usual")
        client.expect(250, "ETRN #burst")
    if by_run:
        one.wait_log("Completed", start, at_once + by_run)
    one.wait_log(r"End 'burst' queue run", start)
    assert fates(one.log_text(start)) == want


@pytest.mark.parametrize("case, acl, point, text", [
    ("tainted", "  accept queue = q-$sender_address_domain\n", "rcpt", "Tainted name 'q-client.test' for queue not permitted"),
    ("data", "  accept queue = burst\n", "data", "cannot use queue condition in DATA ACL"),
])
def test_what_is_no_queue_is_refused_as_with_exim(server, case, acl, point, text):
    more = f"data:\n{acl}" if point == "data" else ""
    rcpt = "  accept\n" if point == "data" else acl
    theirs = Exim(rcpt, f"acl_smtp_{point} = {point}" if more else "", more)
    said = theirs.run("-bs", text="EHLO client.test\r\nMAIL FROM:<sender@client.test>\r\nRCPT TO:<user@example.test>\r\nDATA\r\n"
                      "Subject: x\r\n\r\nx\r\n.\r\nQUIT\r\n")
    assert "451 Temporary local problem - please try later" in said
    assert re.search(re.escape(text) + "$", theirs.log(), re.M)
    shutil.rmtree(theirs.dir)
    one = queueing(server, rcpt, {f"acl_smtp_{point}": point}, more)
    with one.connect() as client:
        client.ehlo()
        client.expect(250, "MAIL FROM:<sender@client.test>")
        if point == "rcpt":
            assert client.expect(451, "RCPT TO:<user@example.test>") == "Temporary local problem - please try later"
        else:
            client.expect(250, "RCPT TO:<user@example.test>")
            assert client.data_of(make_message())[0] == 451
    one.wait_log(re.escape(text) + "$")
    assert not one.queued()


def test_a_queue_holds_for_its_message_or_for_the_connection(server):
    """Exim's manual: "for the message". (Exim 4.96 itself keeps what an ACL for RCPT set for all messages that follow.)"""
    one = queueing(server, """  accept senders = burst@client.test
    queue = burst
    logwrite = queue <$queue_name>
  accept senders = usual@client.test
    queue =
    logwrite = queue <$queue_name>
  accept logwrite = queue <$queue_name>
""", {"acl_smtp_connect": "connect", "log_selector": "+received_sender"}, "connect:\n  accept queue = client\n")
    with one.connect() as client:
        client.ehlo()
        client.envelope(sender="burst@client.test")
        client.expect(250, "RSET")
        send(client, "x@client.test", "burst@client.test", "y@client.test", "usual@client.test", "z@client.test")
    one.wait_log("Completed", count=5)
    found = re.findall(r" <= (\w+)@client\.test .*? S=\d+(?: Q=(\w+))? id=\S+ from <\S+>$", one.log_text(), re.M)
    assert found == [("x", "client"), ("burst", "burst"), ("y", "client"), ("usual", ""), ("z", "client")]
    assert re.findall(r"queue <(\w*)>$", one.log_text(), re.M) == ["burst", "client", "burst", "client", "", "client"]


def blocked(server, rcpt, main=None):
    """To whose user nothing can be delivered, for a file is where the Maildir should be; what is deferred is due in a second."""
    one = queueing(server, rcpt, main, start=False)
    one.conf.write_text(one.conf.read_text() + "\nbegin retry\n*  *  F,1d,1s\n")
    (one.mail / DOMAIN).mkdir()
    (one.mail / DOMAIN).chmod(0o777)
    (one.mail / DOMAIN / "user").write_text("")
    return one.start()


def test_what_is_deferred_in_a_named_queue_waits_for_a_run_of_it(server):
    one = blocked(server, "  accept senders = bulk@client.test\n    queue = bulk\n  accept\n")
    with one.connect() as client:
        client.ehlo()
        send(client, "bulk@client.test")
        one.wait_log(r"== user@example\.test Q=bulk R=virtual_users T=maildir defer")
        send(client, "usual@client.test")
        one.wait_log(r"== user@example\.test R=virtual_users T=maildir defer", count=2)
    (one.mail / DOMAIN / "user").unlink()
    # The usual queue's was deferred after it, and was tried when its time had come; runs of the usual queue do not touch the other.
    one.wait_log("Completed")
    left(one, 1)
    assert len(re.findall(r"Q=bulk R=", one.log_text())) == 1
    start = one.mark()
    one.reload()
    one.wait_log(r"End queue run", start)
    assert len(one.queued()) == 1
    one.configure({"queue_run_named": "bulk/1h"})
    start = one.mark()
    one.reload()
    one.wait_log(r"=> user <user@example\.test> Q=bulk R=virtual_users T=maildir$", start)
    one.wait_log(r"End 'bulk' queue run: pid=\d+$", start)
    one.wait_empty()
    runs = re.findall(RUN, one.log_text(start), re.M)
    assert sorted(runs) == [("End", ""), ("End", "bulk"), ("Start", ""), ("Start", "bulk")]


def test_a_run_passes_over_what_is_not_due(server):
    one = blocked(server, "  accept queue = burst\n", {"queue_run_named": "burst/1s"})
    one.conf.write_text(one.conf.read_text().replace("F,1d,1s", "F,1d,1h"))
    one.reload()
    with one.connect() as client:
        client.ehlo()
        send(client, "x@client.test")
        one.wait_log(r"Q=burst R=virtual_users T=maildir defer")
        (one.mail / DOMAIN / "user").unlink()
        start = one.mark()
        one.wait_log(r"End 'burst' queue run", start, count=2)
        assert len(one.queued()) == 1
        # ETRN asks for all, whatever the times.
        client.expect(250, "ETRN #burst")
    one.wait_log("Completed", start)


def test_queues_are_run_by_the_clock(server):
    one = queueing(server, """  accept senders = bulk@client.test
    queue = bulk
    control = queue
  accept senders = now@client.test
  accept control = queue
""", {"queue_run_interval": "1s", "queue_run_named": "bulk/2s"}, transports="""maildir:
  driver = appendfile
  directory = @MAIL@/$domain_data/${if queue_running{run}{now}}-$queue_name-$local_part_data
  maildir_format
  create_directory
@USER@""", start=False)
    text = one.conf.read_text().replace("@MAIL@", str(one.mail))
    one.conf.write_text(text.replace("@USER@", "  user = nobody\n  group = nogroup\n" if ROOT else ""))
    one.start()
    with one.connect() as client:
        client.ehlo()
        send(client, "bulk@client.test", "now@client.test", "usual@client.test")
    for name in ("run-bulk-user", "now--user", "run--user"):
        one.maildir(name).wait()
    one.wait_log(r"Start queue run: pid=\d+$", count=3)
    one.wait_log(r"Start 'bulk' queue run: pid=\d+$", count=2)
    # Each begins and ends, in turn.
    for name in ("", "bulk"):
        steps = [step for step, queue in re.findall(RUN, one.log_text(), re.M) if queue == name]
        assert len(steps) >= 3 and all(step == ("Start", "End")[i % 2] for i, step in enumerate(steps)), steps


@pytest.mark.parametrize("flags", [["run", "-q", "1s", "-q", "bulk/1s", "-c"], ["-bdf", "-q1s", "-qGbulk/1s", "-C"]])
def test_the_command_line_says_how_often_queues_are_run(server, flags):
    """As with Exim's -q; it comes before the configuration, and holds over a reload."""
    one = queueing(server, """  accept senders = bulk@client.test
    queue = bulk
    control = queue
  accept control = queue
""", {"queue_run_interval": "1d", "queue_run_named": "bulk/1d : night/1d"}, start=False)
    with open(one.stderr, "ab") as stderr:
        one.process = subprocess.Popen([POSTERN, *flags, str(one.conf)], stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr,
                                       env={**os.environ, **SANITIZER}, cwd="/", preexec_fn=end_with_us)
    one.wait_ready()
    for _ in range(2):
        start = one.mark()
        with one.connect() as client:
            client.ehlo()
            send(client, "bulk@client.test", "usual@client.test")
        one.wait_log("Completed", start, 2)
        one.reload()
    assert "night" not in one.log_text()


@pytest.mark.parametrize("flags, words", [(["-bd", "-qff"], "-qff"), (["-bd", "-qGbulk"], "-qGbulk"), (["-q30m"], "-q: a queue run by hand")])
def test_runs_by_hand_are_not_there_and_say_so(flags, words):
    done = subprocess.run([POSTERN, *flags], capture_output=True, text=True, timeout=60, env={**os.environ, **SANITIZER}, check=False)
    assert done.returncode == 2 and words in done.stderr and "not available in this version of Postern" in done.stderr


def test_a_quarantine_stays_over_reload_and_restart_and_the_usual_queue_is_run(server):
    one = queueing(server, """  accept senders = bad@client.test
    queue = burst
    control = queue
  accept control = queue
""")
    with one.connect() as client:
        client.ehlo()
        send(client, "bad@client.test", "usual@client.test")
    one.wait_log("queued in burst by ACL")
    start = one.mark()
    one.reload()
    one.wait_log("Completed", start)
    with one.connect() as client:
        client.ehlo()
        send(client, "usual@client.test")
    one.wait_log("queued by ACL", start)
    one.stop()
    start = one.mark()
    one.start()
    one.wait_log("Completed", start)
    one.wait_log("End queue run", start)
    left(one, 1)
    assert len(one.maildir().files()) == 2
    with one.connect() as client:
        client.ehlo()
        client.expect(250, "ETRN #burst")
    one.wait_log(r"=> user <user@example\.test> Q=burst ", start)
    one.wait_empty()


def test_a_first_delivery_that_was_cut_short_is_made_at_the_next_start(server):
    """Of a message in a queue that nothing runs: it was to be delivered at once."""
    one = queueing(server, "  accept queue = burst\n")
    one.send(make_message())
    one.maildir().wait()
    start = one.mark()
    store = one.role("store")
    os.kill(store, signal.SIGSTOP)
    with one.connect() as client:
        client.ehlo()
        send(client, "x@client.test")
    found = one.wait_log(r"(\S{16}) <= x@client\.test .* Q=burst", start)
    os.kill(one.role("queue"), signal.SIGKILL)
    os.kill(store, signal.SIGCONT)
    one.wait_log(rf"{found[1]} Completed", start)
    one.wait_empty()


def test_above_smtp_accept_queue_messages_wait(server):
    one = queueing(server, "  accept\n", {"smtp_accept_queue": 2})
    # Connections that just ended may still be counted.
    with one.connect() as first, one.connect() as second, one.connect() as third:
        for client in (first, second, third):
            client.ehlo()
        send(third, "third@client.test")
        one.wait_log(r"(\S{16}) <= third@client\.test .*\n.*\1 no immediate delivery: too many connections \(3, max 2\)$")
        send(first, "first@client.test")
        one.wait_log(r"=> user ")
    # The count is that of its beginning.
    with one.connect() as client:
        client.ehlo()
        send(client, "alone@client.test")
    one.wait_log("Completed", count=2)
    left(one, 1)


def test_log_selector_has_runs_and_delays(server):
    one = queueing(server, "  accept control = queue\n", {"log_selector": "-queue_run -delay_delivery"})
    with one.connect() as client:
        client.ehlo()
        send(client, "x@client.test")
        client.expect(250, "ETRN #usual")
    one.wait_log("Completed")
    assert "queue run" not in one.log_text() and "no immediate" not in one.log_text()


@pytest.mark.parametrize("how", ["DATA", "BDAT"])
def test_a_large_message_is_frozen_or_queued_when_all_of_it_is_here(server, how):
    """It is with the queue in parts by then, which hold it until the last one says. Over the death of the queue, too."""
    acl = """data:
  accept condition = ${if match{$h_subject:}{bad}}
    control = freeze
  accept condition = ${if match{$h_subject:}{later}}
    control = queue
  accept
"""
    one = queueing(server, "  accept queue = burst\n", {"acl_smtp_data": "data"}, acl)
    messages = {subject: make_message(subject, size=1 << 20) for subject in ("bad", "later", "good")}
    with one.connect() as client:
        client.ehlo()
        for subject, message in messages.items():
            client.envelope(sender=f"{subject}@client.test")
            if how == "DATA":
                assert client.data_of(message)[0] == 250
            else:
                client.send(f"BDAT {len(message)} LAST\r\n".encode() + message)
                client.expect(250)
    one.maildir().holds(messages["good"])
    one.wait_log("Completed")
    one.wait_log(r"(\S{16}) <= bad@client\.test .*\n.*\1 frozen by ACL$")
    one.wait_log(r"(\S{16}) <= later@client\.test .*\n.*\1 no immediate delivery: queued in burst by ACL$")
    left(one, 2)
    start = one.mark()
    os.kill(one.role("queue"), signal.SIGKILL)
    one.wait_log("End queue run", start)
    assert len(one.queued()) == 2
    assert len(one.maildir().files()) == 1
    with one.connect() as client:
        client.ehlo()
        client.expect(250, "ETRN #burst")
    one.maildir().holds(messages["later"])
    one.wait_log("Completed", start)
    left(one, 1)


def test_a_large_message_that_is_cut_off_leaves_nothing(server):
    one = queueing(server, "  accept\n", {"acl_smtp_data": "data"}, "data:\n  deny condition = ${if match{$h_subject:}{no}}\n"
                   "  accept control = ${if match{$h_subject:}{bad}{freeze}{no_enforce_sync}}\n")
    with one.connect() as client:
        client.ehlo()
        client.envelope()
        assert client.data_of(make_message("no", size=1 << 20))[0] == 550
        client.envelope()
        client.expect(354, "DATA")
        client.send(make_message("gone", size=1 << 20))
    with one.connect() as client:
        client.ehlo()
        client.deliver(make_message("good", size=1 << 20))
    one.wait_log("Completed")
    one.wait_empty()
    one.stop()
    start = one.mark()
    one.start()
    one.wait_log("End queue run", start)
    assert not one.queued() and len(one.maildir().files()) == 1

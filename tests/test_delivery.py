# SPDX-License-Identifier: ISC
"""From the spool to the Maildir: routing, trace headers, what is deferred and what is recovered."""
import grp
import os
import pwd
import re
import shutil
import signal
import subprocess

import pytest

from harness import DOMAIN, ROOT, Maildir, make_message, trace_of, wait_for

OWNER = "nobody"


def only(maildir):
    return maildir.read()[0].decode()


@pytest.mark.parametrize("section", ["", "begin routers\n"], ids=["no section", "an empty section"])
def test_without_routers_no_address_is_accepted_and_what_is_in_the_spool_waits(server, section):
    one = server()
    one.mail.chmod(0o500)  # the message has to wait
    one.send(make_message())
    one.wait_log(" == user@example.test ")
    text = re.sub(r"begin routers\n.*?(?=begin transports)", section, one.conf.read_text(), flags=re.DOTALL)
    one.conf.write_text(f"acl_smtp_vrfy = all\n{text}\nbegin acl\nall:\n  accept\n")
    one.reload()
    with one.connect() as client:
        client.ehlo()
        client.expect(250, "MAIL FROM:<sender@client.test>")
        client.expect(550, "RCPT TO:<user@example.test>")
        client.expect(550, "VRFY user@example.test")
    assert one.queued()


def test_trace_headers_are_those_configured(server):
    one = server()
    one.send(make_message())
    one.maildir().wait()
    trace = trace_of(one.maildir().read()[0])
    lines = [line for line in trace.split("\n") if line[:1] not in ("\t", "")]
    assert [line.split(":")[0] for line in lines] == ["Return-path", "Envelope-to", "Delivery-date", "Received"], trace
    assert lines[0] == "Return-path: <sender@client.test>" and lines[1] == "Envelope-to: user@example.test"
    assert re.fullmatch(r"Delivery-date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}", lines[2])


def test_trace_headers_are_absent_when_not_configured(server):
    one = server(start=False)
    one.transports = (f"maildir:\n  driver = appendfile\n  directory = {one.mail}/$domain_data/$local_part_data\n"
                      f"  maildir_format\n  create_directory\n" + ("  user = nobody\n" if ROOT else ""))
    one.configure()
    one.start()
    one.send(make_message())
    one.maildir().wait()
    assert only(one.maildir()).startswith("Received: ")


def test_maildir_is_as_other_programs_expect_it(server):
    one = server()
    message = make_message("name", body=b"a\r\nb\r\n" * 50)
    one.send(message)
    one.maildir().holds(message)
    file = one.maildir().files()[0]
    text = file.read_bytes()
    found = re.fullmatch(r"(\d{10})\.[^/:]+\.[^/:]+,S=(\d+),W=(\d+)", file.name)
    assert found, file.name
    assert int(found[2]) == len(text)
    assert int(found[3]) == len(text) + text.count(b"\n")
    assert b"\r" not in text
    assert not list(one.maildir().path.glob("tmp/*")) and (one.maildir().path / "cur").is_dir()
    status = file.stat()
    assert status.st_mode & 0o777 == 0o600
    assert status.st_uid == (pwd.getpwnam(OWNER).pw_uid if ROOT else os.geteuid())
    assert one.maildir().path.stat().st_mode & 0o007 == 0


def test_mode_and_directory_mode_are_applied(server):
    one = server(start=False)
    one.transports = (f"maildir:\n  driver = appendfile\n  directory = {one.mail}/$local_part_data\n  maildir_format\n"
                      f"  create_directory\n  mode = 0640\n  directory_mode = 0750\n" + ("  user = nobody\n" if ROOT else ""))
    one.configure()
    one.start()
    one.send(make_message())
    box = Maildir(one.mail / "user")
    box.wait()
    assert box.files()[0].stat().st_mode & 0o777 == 0o640
    assert (box.path / "new").stat().st_mode & 0o777 == 0o750


def test_one_message_to_several_users_is_one_file_each(server):
    one = server()
    message = make_message("several")
    start = one.mark()
    one.send(message, "user@example.test", "alice@example.test", "bob@example.test", "alice@example.test")
    for user in ("user", "alice", "bob"):
        one.maildir(user).holds(message)
    one.wait_log("Completed", start)
    assert len(one.maildir("alice").files()) == 1, "a recipient given twice is delivered to once"
    assert one.log_text(start).count(" => ") == 3
    one.wait_empty()


def test_bcc_is_not_told_to_the_others(server):
    one = server()
    message = make_message("bcc")
    one.send(message, "user@example.test", "alice@example.test")
    one.maildir("user").holds(message)
    one.maildir("alice").holds(message)
    assert "alice@" not in only(one.maildir("user")).split("\n\n")[0]
    assert "Envelope-to: alice@example.test" in only(one.maildir("alice"))


def test_first_router_that_takes_an_address_decides(server):
    one = server(start=False)
    one.routers = (f"first:\n  driver = accept\n  domains = +local_domains\n  local_parts = alice : bob\n  transport = special\n\n"
                   f"second:\n  driver = accept\n  domains = +local_domains\n  local_parts = {one.dir}/users\n  transport = maildir\n")
    user = "  user = nobody\n" if ROOT else ""
    one.transports = "".join(f"{name}:\n  driver = appendfile\n  directory = {one.mail}/{name}/$local_part_data\n  maildir_format\n"
                             f"  create_directory\n{user}\n" for name in ("maildir", "special"))
    one.configure()
    one.start()
    message = make_message("routers")
    one.send(message, "alice@example.test", "user@example.test")
    Maildir(one.mail / "special" / "alice").holds(message)
    Maildir(one.mail / "maildir" / "user").holds(message)
    one.wait_log(r"=> alice.*R=first T=special")
    one.wait_log(r"=> user.*R=second T=maildir")


def test_two_domains_have_their_own_mailboxes(server):
    one = server(extra="domainlist more_domains = second.test")
    one.conf.write_text(one.conf.read_text().replace("domains = +local_domains", "domains = +local_domains : +more_domains"))
    one.process.send_signal(signal.SIGHUP)
    message = make_message("second domain")

    def accepted():
        with one.connect() as client:
            client.ehlo()
            client.cmd("MAIL FROM:<sender@client.test>")
            if client.cmd("RCPT TO:<user@second.test>")[0] != 250:
                return False
            return client.data_of(message)[0] == 250
    wait_for("the second domain", accepted)
    Maildir(one.mail / "second.test" / "user").holds(message)
    assert not one.maildir().files()


LOCAL_ROUTER = "local_users:\n  driver = accept\n  domains = +local_domains\n  check_local_user\n  transport = home\n"


def test_local_user_gets_mail_into_the_own_home(server):
    """As root, delivery runs as each user; as an ordinary user there is that one user to deliver to."""
    one = server(start=False)
    users = ["mail", "games"] if ROOT else [pwd.getpwuid(os.geteuid()).pw_name]
    for user in users:
        home = one.mail / "homes" / user
        home.mkdir(parents=True)
        if ROOT:
            shutil.chown(home, user, pwd.getpwnam(user).pw_gid)
        home.chmod(0o700)
    one.routers = LOCAL_ROUTER
    one.transports = (f"home:\n  driver = appendfile\n  directory = {one.mail}/homes/$local_part_data/Maildir\n  maildir_format\n"
                      "  create_directory\n")
    one.configure()
    one.start()
    for user in users:
        message = make_message(f"for {user}")
        one.send(message, f"{user}@example.test")
        box = Maildir(one.mail / "homes" / user / "Maildir")
        box.holds(message)
        assert box.files()[0].stat().st_uid == pwd.getpwnam(user).pw_uid
        assert box.path.stat().st_uid == pwd.getpwnam(user).pw_uid
    with one.connect() as client:
        client.ehlo()
        client.expect(250, "MAIL FROM:<sender@client.test>")
        client.expect(550, "RCPT TO:<no-such-account@example.test>")
    if ROOT:
        # No one's mail is delivered as root.
        with one.connect() as client:
            client.ehlo()
            client.cmd("MAIL FROM:<sender@client.test>")
            if client.cmd("RCPT TO:<root@example.test>")[0] == 250:
                client.data_of(make_message("for root"))
                one.wait_log(r"== root@example\.test .*defer")
        assert not (one.mail / "homes" / "root").exists()


def block(path):
    """Makes a mailbox unusable for root's roles and ordinary users alike: a file where its directory should be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if ROOT:
        shutil.chown(path.parent, OWNER, "nogroup")
    path.write_text("in the way")


def test_unwritable_mailbox_defers_and_the_message_stays(server):
    one = server()
    path = one.maildir("alice").path
    block(path)
    message = make_message("deferred")
    one.send(message, "alice@example.test", "user@example.test")
    one.wait_log(r"== alice@example\.test R=virtual_users T=maildir defer \((\d+)\): .*alice")
    one.maildir("user").holds(message)
    assert len(one.queued()) == 1
    assert "Completed" not in one.log_text()
    path.unlink()
    one.stop()
    one.start()
    one.maildir("alice").holds(message)
    one.wait_log("Completed")
    one.wait_empty()
    assert len(one.maildir("user").files()) == 1, "the one that had it got it again"


def test_mailbox_without_permission_defers(server):
    one = server()
    directory = one.mail / DOMAIN / "alice"
    directory.mkdir(parents=True)
    if ROOT:  # root's own, and not for others
        shutil.chown(directory.parent, OWNER, "nogroup")
        directory.chmod(0o700)
    else:
        directory.chmod(0o500)
    message = make_message("no permission")
    one.send(message, "alice@example.test")
    one.wait_log(r"== alice@example\.test R=virtual_users T=maildir defer \(13\): .*[Pp]ermission denied")
    if ROOT:
        shutil.chown(directory, OWNER, "nogroup")
    directory.chmod(0o700)
    one.stop()
    one.start()
    one.maildir("alice").holds(message)


def test_missing_mailbox_defers_without_create_directory(server):
    one = server(start=False)
    one.transports = (f"maildir:\n  driver = appendfile\n  directory = {one.mail}/$local_part_data\n  maildir_format\n"
                      f"  create_directory = false\n" + ("  user = nobody\n" if ROOT else ""))
    one.configure()
    one.start()
    one.send(make_message("nowhere"))
    one.wait_log(r"== user@example\.test R=virtual_users T=maildir defer \(2\)")
    assert len(one.queued()) == 1


def test_spool_is_recovered_at_start(server):
    """All roles die at once with mail in the spool that could not be delivered: it is delivered after the start."""
    one = server()
    block(one.maildir("alice").path)
    sent = [make_message(f"recover {n}", size=300 + n * 50_000) for n in range(6)]
    for message in sent:
        one.send(message, "alice@example.test")
    wait_for("all deferred", lambda: one.log_text().count("== alice@example.test") >= 6)
    for pid in [one.process.pid, *one.role_pids()]:
        os.kill(pid, signal.SIGKILL)
    one.process.wait()
    one.process = None
    one.maildir("alice").path.unlink()
    one.start()
    wait_for("all of them", lambda: set(sent) <= set(one.maildir("alice").messages()))
    one.wait_empty()
    assert len(one.maildir("alice").files()) == 6


@pytest.mark.parametrize("damage", ["a bit", "cut", "empty", "noise"])
def test_damaged_spool_file_is_kept_aside_and_reported(server, damage):
    one = server()
    block(one.maildir("alice").path)
    bad, good = make_message("bad", size=3000), make_message("good", size=3000)
    one.send(bad, "alice@example.test")
    one.wait_log(r"== alice@example\.test")
    file = one.spool_file(one.queued()[0])
    one.send(good, "alice@example.test")
    wait_for("both deferred", lambda: len(one.queued()) == 2)
    one.stop()
    text = bytearray(file.read_bytes())
    if damage == "a bit":
        text[-20] ^= 4
    elif damage == "cut":
        del text[-100:]
    elif damage == "empty":
        text.clear()
    else:
        text[:] = os.urandom(len(text))
    file.write_bytes(text)
    one.maildir("alice").path.unlink()
    start = one.mark()
    one.start()
    one.maildir("alice").holds(good)
    one.wait_log(re.escape(file.name) + ".*", start)
    kept = [path for path in one.spool.rglob(file.name) if "input" not in path.parts]
    assert kept and kept[0].read_bytes() == bytes(text), list(one.spool.rglob("*"))
    assert bad not in one.maildir("alice").messages()
    assert len(one.maildir("alice").files()) == 1
    # And it stays aside.
    one.stop()
    one.start()
    assert kept[0].exists()


def test_stray_files_in_the_spool_harm_nothing(server):
    one = server()
    message = make_message("first")
    one.send(message)
    one.maildir().holds(message)
    one.wait_empty()
    one.stop()
    directories = [d for d in one.spool.glob("input/*") if d.is_dir()] or [one.spool / "input"]
    (directories[0] / "README").write_text("what is this?")
    (directories[0] / ".hidden").write_text("")
    (one.spool / "input" / "not-a-hash").mkdir(exist_ok=True)
    one.start()
    message = make_message("second")
    one.send(message)
    one.maildir().holds(message)


def test_mailbox_cannot_be_reached_by_a_link_out_of_it(server):
    """A link in the mail directory that leads elsewhere is no way for mail to get there."""
    one = server()
    outside = one.dir / "outside"
    outside.mkdir()
    outside.chmod(0o777)
    (one.mail / DOMAIN).mkdir()
    if ROOT:
        shutil.chown(one.mail / DOMAIN, OWNER, "nogroup")
    os.symlink(outside, one.mail / DOMAIN / "alice")
    one.send(make_message("link"), "alice@example.test")
    one.wait_log(r"== alice@example\.test R=virtual_users T=maildir defer")
    assert not list(outside.rglob("*"))


def test_a_store_that_is_to_end_begins_nothing_more(server):
    """A reload under a backlog: what the old store has not begun goes to the next one, so that no deadline cuts it in the middle."""
    one = server()
    one.send(make_message())
    one.maildir().wait()
    old, messages = one.role("store"), [make_message(f"message {number}", size=100_000) for number in range(250)]
    os.kill(old, signal.SIGSTOP)
    try:
        with one.connect() as client:
            client.ehlo()
            for message in messages:
                client.deliver(message)
        start = one.mark()
        one.process.send_signal(signal.SIGHUP)
        one.wait_log("Start queue run", start)
    finally:
        os.kill(old, signal.SIGCONT)  # with several batches before it, and soon the order to end
    one.wait_empty()
    files = one.maildir().files()
    assert len(files) == len(messages) + 1
    assert [file for file in files if f"P{old}Q" not in file.name]


def test_each_transport_delivers_with_its_own_group(server):
    """Two transports of one user, whose mailboxes are another group's: one store each (root); anybody else has one user and group."""
    groups = [grp.getgrnam("nogroup"), grp.getgrnam("mail")] if ROOT else []
    one = server(start=False)
    users = dict(zip(("alice", "bob"), groups or [None, None]))
    routers = "".join(f"{user}:\n  driver = accept\n  domains = +local_domains\n  local_parts = {user}\n  transport = for_{user}\n" for user in users)
    transports = "".join(f"for_{user}:\n  driver = appendfile\n  directory = {one.mail}/{DOMAIN}/$local_part_data\n  maildir_format\n"
                         "  create_directory\n" + (f"  user = {OWNER}\n  group = {group.gr_name}\n" if group else "")
                         for user, group in users.items())
    one.routers, one.transports = routers, transports
    one.configure()
    one.start()
    one.send(make_message(), "alice@example.test", "bob@example.test")
    for user, group in users.items():
        one.maildir(user).wait()
        for path in (one.maildir(user).path, one.maildir(user).files()[0]):
            assert path.stat().st_gid == (group.gr_gid if group else os.getgid()), (user, path)


def test_mail_goes_to_the_directory_that_has_the_name_now(server):
    """As when a file system is mounted over the directory of mailboxes while the server runs."""
    one = server()
    one.send(make_message())
    one.maildir().wait()
    one.mail.rename(one.dir / "before")
    one.mail.mkdir()
    if ROOT:
        shutil.chown(one.mail, OWNER, "nogroup")
    message = make_message()
    one.send(message)
    one.maildir().holds(message)


def test_no_directory_is_made_by_way_of_a_users_link(server):
    """The master makes missing directories as root and gives them away: never where a link of the mailboxes' owner leads (root)."""
    one = server(start=False)
    home, outside = one.dir / "home", one.dir / "outside"
    for directory in (home, outside):
        directory.mkdir()
    os.symlink(outside, home / "mail")
    if ROOT:
        shutil.chown(home, OWNER, "nogroup")
    one.transports = (f"maildir:\n  driver = appendfile\n  directory = {home}/mail/of/$local_part_data\n  maildir_format\n"
                      "  create_directory\n" + (f"  user = {OWNER}\n  group = nogroup\n" if ROOT else ""))
    one.configure()
    one.start()
    one.send(make_message())
    if ROOT:
        one.wait_log(r"transport maildir: .*/home/mail")
        one.wait_log(r"== user@example\.test .* defer")
        assert not list(outside.iterdir())
        one.stop()
        (home / "mail").unlink()
        one.start()
    Maildir(home / "mail" / "of" / "user").wait()
    assert (home / "mail" / "of").stat().st_uid == (pwd.getpwnam(OWNER).pw_uid if ROOT else os.getuid())


def test_full_disk_defers_and_loses_nothing(server):
    """A file system of 3 MB for the mail (root), or a file size limit (anybody else)."""
    one = server(start=False)
    if ROOT:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m,mode=0755", "tmpfs", str(one.mail)], check=True)
    try:
        if ROOT:
            shutil.chown(one.mail, OWNER, "nogroup")
            (one.mail / "ballast").write_bytes(b"x" * 2_500_000)
        else:
            block(one.maildir().path)
        one.start()
        message = make_message("large", size=2_000_000)
        one.send(message)
        one.wait_log(r"== user@example\.test R=virtual_users T=maildir defer \((\d+)\): .*(space|[Nn]ot a directory)")
        assert one.queued()
        (one.mail / "ballast" if ROOT else one.maildir().path).unlink()
        one.stop()
        one.start()
        one.maildir().holds(message)
        assert not list(one.maildir().path.glob("tmp/*"))
        one.stop()
    finally:
        if ROOT:
            one.kill()
            subprocess.run(["umount", str(one.mail)], check=True)

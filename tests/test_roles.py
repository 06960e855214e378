# SPDX-License-Identifier: ISC
"""The processes: what each role may do and holds, that a dead one comes back, reload, log rotation, and an end in good order."""
import collections
import grp
import os
import pwd
import re
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import time

import pytest

from harness import (POSTERN, ROOT, SANITIZER, Closed, Smtp, alive, descriptors, dot_stuff, make_certificate, make_message, proc_status,
                     wait_for)


def ids(status):
    return [set(map(int, status[name].split())) for name in ("Uid", "Gid")]


def test_fronts_and_one_of_each_other_role_run(server):
    one = server()
    one.send(make_message())
    one.maildir().wait()
    names = sorted(one.roles())
    fronts = [name for name in names if name.startswith("front")]
    assert fronts == ["front 0", "front 1"], names
    assert "queue" in names and "keeper" in names and [name for name in names if name.startswith("store")], names


def test_front_processes_sets_their_number(server):
    one = server(main={"front_processes": 3})
    assert len([name for name in one.roles() if name.startswith("front")]) == 3
    for _ in range(9):
        one.send(make_message())
    one.maildir().wait(9)


def test_fronts_are_one_a_core_less_one_by_default(server):
    one = server(main={"front_processes": None})
    assert len([name for name in one.roles() if name.startswith("front")]) == max(1, os.cpu_count() - 1)


def test_fronts_share_the_listening_sockets_evenly(server):
    """The kernel spreads by a hash of the ports: of 400 connections each of two fronts gets 200, give or take five deviations."""
    one = server(main={"smtp_banner": "front $pid"})
    counts = collections.Counter()
    for _ in range(400):
        with one.connect() as client:
            counts[client.banner[1][0]] += 1
    assert len(counts) == 2 and min(counts.values()) >= 150, counts


def test_every_role_is_confined(server):
    one = server()
    one.send(make_message())
    one.maildir().wait()
    for name, pid in one.roles().items():
        status = proc_status(pid)
        assert status["NoNewPrivs"] == "1", name
        assert status["Seccomp"] == "2", name
        for kind in ("CapEff", "CapPrm", "CapInh", "CapAmb"):
            assert int(status[kind], 16) == 0, f"{name} has capabilities: {kind} {status[kind]}"
        assert status["Threads"].isdigit() and status["TracerPid"] == "0"


def test_every_role_runs_as_its_own_user(server):
    one = server()
    one.send(make_message())
    one.maildir().wait()
    users = {}
    for name, pid in one.roles().items():
        status = proc_status(pid)
        uids, gids = ids(status)
        assert len(uids) == 1 and len(gids) == 1, f"{name}: {uids} {gids}"
        groups = set(map(int, status["Groups"].split()))
        if ROOT:
            assert 0 not in uids | gids | groups, f"{name} is root in part: {uids} {gids} {groups}"
            assert groups <= gids | ({grp.getgrnam("nogroup").gr_gid} if name.startswith("store") else set()), (name, groups)
            users.setdefault(uids.pop(), set()).add(name.split()[0])
        else:
            assert uids == {os.geteuid()}
    if ROOT:
        for uid, names in users.items():
            assert len(names) == 1, f"uid {uid} is shared by {names}"
        assert os.getuid() == 0 and proc_status(one.process.pid)["Uid"].split()[0] == "0"


def test_no_role_can_look_into_another_or_be_dumped(server):
    """A role is not dumpable, so that /proc/PID is root's: no other process of its user may trace it, and no core holds a key.
    A sanitizer's build is dumpable, for its tracer of leaks: there the users alone keep the roles apart."""
    one = server()
    sanitized = "sanitizer build" in one.log_text()
    users = [os.stat(f"/proc/{pid}/status").st_uid for pid in one.roles().values()]
    if sanitized:
        assert not ROOT or len(set(users)) == len({name.split()[0] for name in one.roles()})
    else:
        assert set(users) == {0}
    for name, pid in one.roles().items():
        core = re.search(r"Max core file size +(\d+|unlimited)", read_limits(pid))
        assert core[1] == "0", f"{name} may leave a core of {core[1]} bytes"


def read_limits(pid):
    with open(f"/proc/{pid}/limits") as f:
        return f.read()


def open_of(pid):
    """Descriptors of a role. They are root's to read when the role is not dumpable: an ordinary user then gets None."""
    try:
        return descriptors(pid)
    except PermissionError:
        return None


def test_fronts_hold_no_files_but_the_logs(server):
    one = server()
    one.send(make_message())
    one.maildir().wait()
    for name, pid in one.roles().items():
        held = open_of(pid)
        if held is None:
            assert not ROOT
            continue
        for fd, target in held.items():
            files = target.startswith("/") and not target.startswith(("/dev/null", "/memfd:", "/dev/pts", "/dev/tty"))
            if name.startswith(("front", "keeper")) and files and fd > 2:
                assert target.startswith(str(one.log.parent)), f"{name} holds {target}"
            assert not target.endswith((".key.pem", "/users")), f"{name} holds {target}"
            if name.startswith("front"):
                assert str(one.spool) not in target and str(one.mail) not in target, f"{name} holds {target}"
            if name.startswith("queue"):
                assert str(one.mail) not in target, f"{name} holds {target}"


def socket_families(pid):
    """Inode -> what kind of socket, from the network namespace's tables."""
    kinds = {}
    for table in ("unix", "tcp", "tcp6", "udp", "udp6", "netlink", "raw", "packet"):
        try:
            with open(f"/proc/{pid}/net/{table}") as f:
                rows = [row.split() for row in f.read().splitlines()[1:]]
        except FileNotFoundError:
            continue
        column = {"unix": 6, "netlink": 9, "packet": 8}.get(table, 9)
        for row in rows:
            if len(row) > column:
                kinds[row[column]] = table
    return kinds


def test_only_fronts_and_the_master_hold_internet_sockets(server):
    one = server()
    with one.connect() as client:
        client.ehlo()
        for name, pid in one.roles().items():
            held = open_of(pid)
            if held is None:
                assert not ROOT
                continue
            kinds = socket_families(one.process.pid)
            sockets = [kinds.get(target[8:-1], "?") for target in held.values() if target.startswith("socket:")]
            if not name.startswith("front"):
                assert set(sockets) <= {"unix"}, f"{name} holds {sockets}"


def test_a_role_sees_no_files(server):
    """Landlock or not: a front's user could not read the key or the spool if it broke out."""
    one = server()
    one.send(make_message())
    one.maildir().wait()
    one.wait_empty()
    for path in (one.key, *one.spool.rglob("*")):
        assert os.stat(path).st_mode & 0o007 == 0, f"{path} is open to everybody"


@pytest.mark.parametrize("role", ["front 0", "queue", "store", "keeper"])
def test_killed_role_comes_back_and_mail_flows(server, role):
    one = server()
    first = make_message("before")
    one.send(first)
    one.maildir().holds(first)
    names = set(one.roles())
    pid, start = one.role(role), one.mark()
    os.kill(pid, signal.SIGKILL)
    one.wait_log(rf"{role.split()[0]}.*(signal 9|killed|ended|died)", start)
    if role != "store":  # which starts when there is something to store
        wait_for("the role's successor", lambda: set(one.roles()) >= names and pid not in one.roles().values())

    second = make_message("after")

    def accepted():
        try:
            one.send(second)
            return True
        except (AssertionError, Closed, OSError):
            return False
    wait_for("a message to be accepted again", accepted)
    one.maildir().holds(second)


def test_connections_are_refused_while_the_server_drains(server):
    one = server()
    with one.connect() as client:
        client.ehlo()
        client.expect(250, "MAIL FROM:<a@b.example>")
        client.expect(250, "RCPT TO:<user@example.test>")
        client.expect(354, "DATA")
        one.process.send_signal(signal.SIGTERM)

        def refused():
            try:
                socket.create_connection(("127.0.0.1", one.smtp), timeout=5).close()
                return False
            except ConnectionRefusedError:
                return True
        wait_for("connections to be refused", refused)
        client.send("Subject: last\r\n\r\nwords\r\n.\r\n")
        assert client.reply()[0] == 250
        assert client.reply()[0] == 421
    # A store is started for the message, although the server ends: it is not left for the next start.
    assert one.process.wait(timeout=60) == 0
    one.process = None
    one.maildir().wait()


@pytest.mark.parametrize("role", ["queue", "fetch"])
def test_role_that_dies_again_and_again_is_started_after_growing_pauses(server, role):
    """At once the first time, then after 0.1 s, 0.2 s, 0.4 s ...; the others go on meanwhile, and the panic log tells of each end."""
    one = server()
    panic = one.log.with_name("paniclog")
    bystanders = {name: pid for name, pid in one.roles().items() if name != role}

    def die():
        pid, begun = one.role(role), time.monotonic()
        os.kill(pid, signal.SIGKILL)
        wait_for("its successor", lambda: one.roles().get(role, pid) != pid, interval=0.005)
        wait_for("the panic log", lambda: re.search(rf"{role} \(pid {pid}\) was killed by signal 9 \(Killed\)$", panic.read_text(), re.M))
        return time.monotonic() - begun
    die()
    for least in (0.1, 0.2, 0.4, 0.8, 1.6):
        with one.connect() as client:
            client.ehlo()
            took = die()
            assert took >= least, f"{took:.2f} s where {least} s are due"
            client.expect(250, "NOOP")
        with one.connect() as other:
            assert other.banner[0] == 220
    assert {name: pid for name, pid in one.roles().items() if name in bystanders} == bystanders
    message = make_message("after all of it")
    one.send(message)
    one.maildir().holds(message)
    # One that has lived for five seconds has begun anew: at once, not after 3.2 s.
    pid, end = one.role(role), time.monotonic() + 5.2
    wait_for("its life", lambda: time.monotonic() > end)
    assert one.role(role) == pid and die() < 3


def set_file_limit(pid, count):
    """The soft limit only, which can be raised again. Returns the one before."""
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (count, hard))
    return soft


def test_a_master_without_descriptors_goes_on_and_starts_what_is_missing_later(server):
    """Stores are refused, so that their messages wait; other roles are tried again with pauses."""
    one = server(main={"front_processes": 1})
    panic = one.log.with_name("paniclog")
    before = set_file_limit(one.process.pid, 9)
    message = make_message()
    one.send(message, tls=False)
    one.wait_log(r"== user@example\.test .*: socketpair: Too many open files$")
    assert re.search(r"store \d+ could not be started: socketpair: Too many open files$", panic.read_text(), re.M)
    lookup = one.role("lookup")
    os.kill(lookup, signal.SIGKILL)
    told = re.compile(r"lookup could not be started: socketpair: Too many open files$", re.M)
    wait_for("three attempts", lambda: len(told.findall(panic.read_text())) >= 3)
    assert "lookup" not in one.roles() and "daemon ended" not in one.log_text()
    set_file_limit(one.process.pid, before)
    assert one.role("lookup") != lookup
    one.reload()  # which tries at once what was deferred
    one.maildir().holds(message)
    one.wait_empty()


def test_a_role_that_cannot_be_connected_begins_anew(server):
    """Between its start and its being ready the last descriptors went; half connected it would look well and answer some of the others only."""
    one = server(main={"front_processes": 1})
    panic = one.log.with_name("paniclog")
    fetch = one.role("fetch")
    os.kill(fetch, signal.SIGKILL)
    before = None
    for _ in range(20):
        successor = wait_for("its successor", lambda: (lambda pid: pid if pid not in (None, fetch) else None)(one.roles().get("fetch")),
                             interval=0.001)
        os.kill(successor, signal.SIGSTOP)
        wait_for("its stop", lambda: not alive(successor) or proc_status(successor)["State"].startswith("T"))
        if proc_status(successor)["Seccomp"] == "0":
            before = set_file_limit(one.process.pid, 9)
            os.kill(successor, signal.SIGCONT)
            break
        os.kill(successor, signal.SIGKILL)
        fetch = successor
    assert before, "the successor was always faster"
    told = rf"fetch \(pid {successor}\) could not begin: connecting it to the \w+: Too many open files$"
    wait_for("its end", lambda: re.search(told, panic.read_text(), re.M))
    set_file_limit(one.process.pid, before)
    wait_for("another", lambda: one.roles().get("fetch") not in (None, successor))
    one.reload()
    one.send(make_message())
    one.maildir().wait()


SLOW_USERS = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

static void hold(void) /* while the file is there */
{
	const char *path = getenv("HOLD_USERS");
	while (path && access(path, F_OK) == 0)
		usleep(10000);
}

struct passwd *getpwuid(uid_t uid)
{
	struct passwd *(*real)(uid_t) = dlsym(RTLD_NEXT, "getpwuid");
	hold();
	return real(uid);
}

int getpwuid_r(uid_t uid, struct passwd *entry, char *buffer, size_t size, struct passwd **found)
{
	int (*real)(uid_t, struct passwd *, char *, size_t, struct passwd **) = dlsym(RTLD_NEXT, "getpwuid_r");
	hold();
	return real(uid, entry, buffer, size, found);
}
"""


def test_a_slow_user_database_holds_up_the_store_alone(server, directory):
    """The master asks it for the home of a new store's user; meanwhile it starts roles, reloads, and ends."""
    source, library, hold = directory / "slow.c", directory / "slow.so", directory / "hold"
    source.write_text(SLOW_USERS)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    one = server(start=False)
    one.start(wrapper=("env", f"LD_PRELOAD={library}", f"HOLD_USERS={hold}",
                       f"ASAN_OPTIONS={SANITIZER.get('ASAN_OPTIONS', '')}:verify_asan_link_order=0"))
    hold.write_text("")
    message = make_message()
    one.send(message)
    fetch = one.role("fetch")
    os.kill(fetch, signal.SIGKILL)
    wait_for("its successor", lambda: one.roles().get("fetch") not in (None, fetch))
    start = one.mark()
    one.process.send_signal(signal.SIGHUP)
    one.wait_log("configuration reloaded", start)
    assert not one.maildir().files() and not [name for name in one.roles() if name.startswith("store")]
    hold.unlink()
    one.maildir().holds(message)


def test_roles_end_when_the_master_is_killed(server):
    one = server()
    roles = one.role_pids()
    os.kill(one.process.pid, signal.SIGKILL)
    one.process.wait()
    wait_for("the roles to end", lambda: not [pid for pid in roles if alive(pid)])
    one.process = None
    # And nothing stands in the way of a new start.
    one.start()
    message = make_message("after the master")
    one.send(message)
    one.maildir().holds(message)


def test_reload_changes_an_option_and_keeps_open_sessions(server):
    one = server(main={"recipients_max": 100})
    with one.connect() as client:
        client.ehlo()
        client.starttls()
        client.envelope()
        one.configure({"message_size_limit": "1M", "smtp_banner": "changed.test ESMTP"})
        start = one.mark()
        one.process.send_signal(signal.SIGHUP)
        one.wait_log("configuration reloaded from ", start)

        def banner():
            with one.connect() as other:
                return other.banner[1][0].startswith("changed.test ESMTP") and "SIZE 1048576" in other.ehlo()
        wait_for("the new configuration", banner)
        message = make_message("through the reload")
        code, texts = client.data_of(message)
        assert code == 250, (code, texts)
    one.maildir().holds(message)


def test_reload_takes_a_new_certificate(server, certificates):
    one = server()
    cert, key = make_certificate(certificates, "rsa")

    def served():
        with Smtp(one.tls, tls=True) as client:
            return ssl.DER_cert_to_PEM_cert(client.sock.getpeercert(True))
    with open(cert) as f:
        wanted = f.read()
    assert served() != wanted
    one.configure({"tls_certificate": cert, "tls_privatekey": key})
    one.process.send_signal(signal.SIGHUP)
    wait_for("the new certificate", lambda: served() == wanted)


def test_broken_configuration_on_reload_keeps_the_old_and_says_why(server):
    one = server()
    good = one.conf.read_text()
    one.conf.write_text("no_such_option = 1\n" + good)
    start = one.mark()
    one.process.send_signal(signal.SIGHUP)
    one.wait_log("no_such_option", start)
    message = make_message("with the old one")
    one.send(message)
    one.maildir().holds(message)
    # Mended, it is taken.
    one.conf.write_text("smtp_banner = mended.test\n" + good)
    one.process.send_signal(signal.SIGHUP)

    def mended():
        with one.connect() as client:
            return client.banner[1][0].startswith("mended.test")
    wait_for("the mended configuration", mended)


def test_a_successor_is_taken_before_the_end_of_the_one_before_it_was_seen(server, directory):
    """What the master says is read first, as it became readable first: the successor's connection is there before the end of the old one."""
    words = directory / "words"
    words.write_text("banner: from.the.table\n")
    one = server(main={"smtp_banner": f"${{lookup{{banner}}lsearch{{{words}}}}}", "front_processes": 1})
    queue, lookup = one.role("queue"), one.role("lookup")
    good = one.conf.read_text()
    os.kill(queue, signal.SIGSTOP)
    try:
        one.conf.write_text("nonsense\n" + good)
        start = one.mark()
        one.process.send_signal(signal.SIGHUP)
        one.wait_log("reload refused", start)
        one.conf.write_text(good)
        os.kill(lookup, signal.SIGKILL)
        wait_for("another lookup role", lambda: one.roles().get("lookup") not in (None, lookup))

        def answers():
            with one.connect(timeout=60) as client:
                return client.banner[1][0].startswith("from.the.table")
        wait_for("answers of the new one", answers)  # the master connects all that ask it at once
    finally:
        os.kill(queue, signal.SIGCONT)
    one.send(make_message())
    one.maildir().wait()
    assert one.role("queue") == queue


@pytest.mark.parametrize("role", ["keeper", "queue"])
def test_a_reload_that_a_role_does_not_answer_leaves_all_with_the_old_configuration(server, role):
    one = server(main={"reload_timeout": "2s", "smtp_banner": "old"})
    stuck = one.role(role)

    def banners():
        found = set()
        for _ in range(10):  # so that both fronts have their turn
            with one.connect() as client:
                found.add(client.banner[1][0])
        return found
    os.kill(stuck, signal.SIGSTOP)
    try:
        one.configure({"smtp_banner": "new"})
        one.process.send_signal(signal.SIGHUP)
        one.wait_log(rf"reload refused: the {role} process \(pid {stuck}\) did not answer in reload_timeout; the old configuration stays in use$")
        assert banners() == {"old"}
        # Nor has the master another one, for those that it starts anew.
        front = one.role("front 0")
        os.kill(front, signal.SIGKILL)
        wait_for("another front", lambda: one.role("front 0") != front)
        assert banners() == {"old"}
    finally:
        os.kill(stuck, signal.SIGCONT)
    # Once it answers, it takes part again.
    start = one.mark()
    one.process.send_signal(signal.SIGHUP)
    one.wait_log("configuration reloaded", start)
    assert banners() == {"new"}
    one.send(make_message(), tls=True)
    one.maildir().wait()


@pytest.mark.parametrize("role", ["queue", "lookup", "front 0"])
def test_a_reload_that_ends_a_role_leaves_all_with_the_old_configuration(server, role):
    one = server(main={"reload_timeout": "10m", "smtp_banner": "old"})
    killed = one.role(role)
    bystanders = {name: pid for name, pid in one.roles().items() if name != role}

    def banners():
        found = set()
        for _ in range(10):  # so that both fronts have their turn
            with one.connect() as client:
                found.add(client.banner[1][0])
        return found

    def sees_new():
        try:
            with Smtp(one.smtp, timeout=1) as client:
                return client.banner[1][0] == "new"
        except OSError:  # it came to the front that stands still
            return False
    os.kill(killed, signal.SIGSTOP)
    one.configure({"smtp_banner": "new"})
    start = one.mark()
    one.process.send_signal(signal.SIGHUP)
    wait_for("the others", sees_new)
    os.kill(killed, signal.SIGKILL)
    one.wait_log(rf"reload refused: the {role.split()[0]} process \(pid {killed}\) ended while it took the new configuration; "
                 "the old configuration stays in use$", start)
    wait_for("its successor", lambda: one.roles().get(role) not in (None, killed))
    assert {name: pid for name, pid in one.roles().items() if name in bystanders} == bystanders
    assert banners() == {"old"}
    one.reload()
    wait_for("the new configuration", lambda: banners() == {"new"})
    message = make_message()
    one.send(message)
    one.maildir().holds(message)


def test_reload_with_an_unusable_key_keeps_the_old_one(server):
    one = server()
    for key in (one.dir / "missing.pem", one.dir / "users"):
        start = one.mark()
        one.configure({"tls_privatekey": key})
        one.process.send_signal(signal.SIGHUP)
        one.wait_log(f"reload refused: .*{re.escape(key.name)}.*; the old configuration stays in use", start)
        message = make_message("with the old key")
        one.send(message)
        one.maildir().holds(message)


def test_log_is_reopened_after_rotation(server):
    one = server()
    message = make_message("before rotation")
    one.send(message)
    one.maildir().holds(message)
    one.wait_log("Completed")
    old = one.log.with_name("mainlog.1")
    one.log.rename(old)
    one.process.send_signal(signal.SIGHUP)
    wait_for("the new log", one.log.exists)

    def in_the_new():
        one.send(make_message("after rotation"))
        return re.search(r"<= .*\n(.*\n)*.*Completed", one.log_text())
    wait_for("lines of all roles in the new log", in_the_new, interval=0.2)
    one.started_at = 0
    size = old.stat().st_size
    one.send(make_message("last"))
    wait_for("one more line in the new log", lambda: one.log_text().count("Completed") >= 2)
    assert old.stat().st_size == size


def test_sigterm_lets_a_session_in_data_finish(server):
    one = server()
    message = make_message("to the end")
    client = one.connect()
    client.ehlo()
    client.starttls()
    client.envelope()
    client.expect(354, "DATA")
    data = dot_stuff(message)
    client.send(data[:100])
    one.process.send_signal(signal.SIGTERM)

    def refused():
        try:
            with socket.create_connection(("127.0.0.1", one.smtp), 5) as s:
                return s.recv(100) == b""
        except OSError:
            return True
    wait_for("no new connections", refused)
    assert one.process.poll() is None, "the server ended with a message half sent"
    client.send(data[100:])
    assert client.reply()[0] == 250
    # Nothing more is begun.
    assert client.rest()[:3] in (b"", b"421")
    assert one.process.wait(60) == 0
    one.check_reports()
    one.process = None
    # It is in the Maildir already, or is after the next start.
    one.start()
    one.maildir().holds(message)


def test_sigterm_tells_idle_clients(server):
    one = server()
    with one.connect() as client:
        client.ehlo()
        one.process.send_signal(signal.SIGTERM)
        code, texts = client.reply()
        assert code == 421, (code, texts)
        client.ends()
    assert one.process.wait(60) == 0


def test_silent_client_does_not_hold_up_the_end(server):
    one = server(main={"shutdown_timeout": "2s"})
    with one.connect() as client:
        client.ehlo()
        client.envelope()
        client.expect(354, "DATA")
        client.send("Subject: never ends\r\n")
        one.process.send_signal(signal.SIGTERM)
        assert one.process.wait(30) == 0
    assert not one.queued()


def test_sigint_ends_it_as_sigterm(server):
    one = server()
    one.process.send_signal(signal.SIGINT)
    assert one.process.wait(60) == 0


def start_with_queue_stopped(one):
    """Starts the server, whose queue stands still before it has read its spool, as if that were large. Returns its number."""
    for _ in range(20):
        one.start(ready=False)
        queue = wait_for("the queue", lambda: one.roles().get("queue"), interval=0.001)
        os.kill(queue, signal.SIGSTOP)
        wait_for("its stop", lambda: proc_status(queue)["State"].startswith("T"))
        if proc_status(queue)["Seccomp"] == "0":  # the spool is read before the walls are entered
            return queue
        one.kill()
    raise AssertionError("the queue was always faster")


def test_a_start_waits_for_a_queue_that_reads_its_spool_for_more_than_a_minute(server):
    one = server(start=False)
    queue = start_with_queue_stopped(one)
    try:
        wait_for("the note", lambda: "starting: the queue still reads the spool after 60 seconds" in one.log_text(), deadline=120)
        assert one.process.poll() is None and one.roles()["queue"] == queue
    finally:
        os.kill(queue, signal.SIGCONT)
    one.wait_ready()
    message = make_message()
    one.send(message)
    one.maildir().holds(message)


def test_sigterm_ends_a_start_that_waits_for_the_queue(server):
    one = server(start=False)
    start_with_queue_stopped(one)
    roles = one.role_pids()
    begun = time.monotonic()
    one.process.send_signal(signal.SIGTERM)
    assert one.process.wait(50) == 0 and time.monotonic() - begun < 50  # not when the minute is over
    assert "daemon started" not in one.log_text()
    wait_for("the roles to end", lambda: not [pid for pid in roles if alive(pid)])
    one.process = None


def test_sigterm_ends_a_reload_that_waits_for_a_role(server):
    one = server(main={"reload_timeout": "10m", "shutdown_timeout": "1s", "smtp_banner": "old"})
    queue = one.role("queue")
    os.kill(queue, signal.SIGSTOP)
    one.configure({"smtp_banner": "new"})
    one.process.send_signal(signal.SIGHUP)

    def new():
        with one.connect() as client:
            return client.banner[1][0].startswith("new")
    wait_for("the reload to wait for the queue alone", new)
    one.process.send_signal(signal.SIGTERM)
    assert one.process.wait(60) == 1  # the queue had to be killed
    assert re.search("reload refused: the server was told to end", one.log.with_name("paniclog").read_text())
    one.check_reports()
    one.process = None


def test_second_server_on_the_same_ports_is_refused(server):
    one = server()
    done = subprocess.run([POSTERN, "run", "-c", str(one.conf)], capture_output=True, timeout=60)
    text = (done.stdout + done.stderr).decode() + one.log_text()
    assert done.returncode not in (0, 99) and re.search(r"[Aa]ddress already in use|in use", text), text
    assert str(one.smtp) in text
    message = make_message("unharmed")
    one.send(message)
    one.maildir().holds(message)


def test_server_of_an_ordinary_user_delivers(server, certificates):
    """Nothing but a directory of its own: no root anywhere, also where the tests are run by root."""
    one = server(start=False, transports="""maildir:
  driver = appendfile
  directory = {mail}/$domain_data/$local_part_data
  maildir_format
  create_directory
  return_path_add
  envelope_to_add
""")
    one.transports = one.transports.replace("{mail}", str(one.mail))
    certificate, key = make_certificate(one.dir)
    program = shutil.copy(POSTERN, one.dir / "postern")  # the tree may be closed to others
    one.configure({"tls_certificate": certificate, "tls_privatekey": key})
    wrapper = ["sh", "-c", 'shift; exec "$0" "$@"', program]
    if ROOT:
        for path in (one.dir, *one.dir.rglob("*")):
            shutil.chown(path, "nobody", "nogroup")
        wrapper = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--bounding-set=-all", *wrapper]
    one.start(wrapper=wrapper)
    messages = [make_message(f"number {number}") for number in range(3)]
    for message in messages:
        one.send(message)
        one.maildir().holds(message)
    user = pwd.getpwnam("nobody").pw_uid if ROOT else os.getuid()
    processes = {"master": one.process.pid, **one.roles()}
    assert {"master", "keeper", "front 0", "front 1", "queue", "lookup", "fetch", f"store {user}"} <= set(processes), processes
    for name, pid in processes.items():
        status = proc_status(pid)
        assert ids(status)[0] == {user} and int(status["CapEff"], 16) == 0, (name, status)
        if name != "master":
            assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2", (name, status)
    # A reload and a dead role need nothing more.
    one.process.send_signal(signal.SIGHUP)
    one.wait_log("configuration reloaded")
    queue = one.role("queue")
    os.kill(queue, signal.SIGKILL)
    wait_for("another queue", lambda: one.roles().get("queue", queue) != queue)
    message = make_message("after a reload and a death")
    one.send(message)
    one.maildir().holds(message)
    for path in one.mail.rglob("*"):
        assert path.stat().st_uid == user, path

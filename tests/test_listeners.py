# SPDX-License-Identifier: ISC
"""The sockets that a server listens on, and what a reload does to them: nobody who is connected, or waits to be, is cut off, and what
cannot be had is refused as a whole."""
import os
import resource
import signal
import socket

import pytest

from harness import Smtp, end_with_us, free_ports, make_message, wait_for


def answers(port, address="127.0.0.1"):
    """Whether there is a greeting."""
    try:
        with socket.create_connection((address, port), 10) as client:
            return client.recv(4) == b"220 "
    except (ConnectionRefusedError, ConnectionResetError):
        return False


def reloaded(one, main, outcome="configuration reloaded"):
    start = one.mark()
    one.configure(main)
    one.process.send_signal(signal.SIGHUP)
    one.wait_log(outcome, start)


@pytest.mark.parametrize("before, after", [("127.0.0.1", "0.0.0.0"), ("0.0.0.0", "127.0.0.1"), ("127.0.0.1", "127.0.0.1 ; 0.0.0.0")])
def test_reload_changes_between_one_address_and_all(server, before, after):
    """On the same ports, under a connection that stays."""
    one = server(main={"local_interfaces": f"<; {before}"})
    with one.connect() as client:
        client.ehlo()
        assert answers(one.smtp) and answers(one.smtp, "127.0.0.9") == ("0.0.0.0" in before)
        reloaded(one, {"local_interfaces": f"<; {after}"})
        assert answers(one.smtp)
        wait_for("the addresses of the new configuration", lambda: answers(one.smtp, "127.0.0.9") == ("0.0.0.0" in after))
        reloaded(one, {"local_interfaces": f"<; {before}"})
        wait_for("the addresses of the old one again", lambda: answers(one.smtp, "127.0.0.9") == ("0.0.0.0" in before))
        assert answers(one.smtp)
        message = make_message("through two reloads")
        client.deliver(message)
    one.maildir().holds(message)


def test_reload_adds_and_removes_ports(server):
    one = server()
    more, = free_ports(1)
    ports = f"{one.smtp} : {one.tls} : {one.submission}"
    with Smtp(one.submission) as client:
        client.ehlo()
        reloaded(one, {"daemon_smtp_ports": f"{ports} : {more}"})
        assert answers(more) and answers(one.submission)
        reloaded(one, {"daemon_smtp_ports": f"{one.smtp} : {one.tls} : {more}"})
        wait_for("the end of a port", lambda: not answers(one.submission))
        assert answers(more) and answers(one.smtp)
        message = make_message("on a port that is gone")
        client.deliver(message)
    one.maildir().holds(message)


@pytest.mark.parametrize("shares", [False, True])
def test_port_of_somebody_else_is_refused_and_the_listeners_stay(server, shares):
    """Also one that would share it with us: another server of the same user, on an address of its own."""
    one = server()
    taken, = free_ports(1)
    with socket.socket() as other, socket.socket() as third:
        for listener, address in ((other, ("127.0.0.1", taken)), (third, ("127.0.0.9", one.smtp))):
            if shares:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listener.bind(address)
            listener.listen()
        busy = r"reload refused: cannot listen on {} port {} \(is another mail server running\?\): Address already in use"
        reloaded(one, {"daemon_smtp_ports": f"{one.smtp} : {one.tls} : {taken}"}, busy.format(r"127\.0\.0\.1", taken))
        assert answers(one.smtp) and answers(one.submission)
        reloaded(one, {"daemon_smtp_ports": f"{one.smtp} : {one.tls}", "local_interfaces": "0.0.0.0"}, busy.format(r"0\.0\.0\.0", one.smtp))
        assert answers(one.smtp) and answers(one.submission)
    # It has gone: now it can be had.
    reloaded(one, {})
    assert answers(one.smtp, "127.0.0.9")


def test_another_server_on_one_ipv6_address_is_seen_behind_ours_on_all(server):
    one = server(main={"local_interfaces": "<; 127.0.0.1 ; ::0"})
    assert answers(one.smtp, "::1")
    with socket.socket(socket.AF_INET6) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("::1", one.smtp))
        other.listen()
        reloaded(one, {"local_interfaces": "<; 127.0.0.1 ; ::1"}, rf"reload refused: cannot listen on ::1 port {one.smtp} \(is another")
    reloaded(one, {})
    wait_for("the new address", lambda: answers(one.smtp, "::1") and answers(one.smtp))


def test_refused_reload_leaves_the_listeners_as_they_were(server):
    one = server(main={"reload_timeout": "1s"})
    more, = free_ports(1)
    queue = one.role("queue")
    os.kill(queue, signal.SIGSTOP)
    try:
        reloaded(one, {"daemon_smtp_ports": f"{one.smtp} : {more}", "tls_on_connect_ports": None}, "reload refused: the queue process")
        wait_for("the end of the new port", lambda: not answers(more))
        assert answers(one.smtp) and answers(one.submission)
    finally:
        os.kill(queue, signal.SIGCONT)
    message = make_message("to the old port")
    with Smtp(one.submission) as client:
        client.ehlo()
        client.deliver(message)
    one.maildir().holds(message)


def test_who_waits_at_a_port_that_is_removed_is_served(server):
    one = server(main={"reload_timeout": "60s"})
    fronts = one.fronts()
    for pid in fronts:
        os.kill(pid, signal.SIGSTOP)
    try:
        waiting = [socket.create_connection(("127.0.0.1", one.submission)) for _ in range(20)]
        one.configure({"daemon_smtp_ports": f"{one.smtp} : {one.tls}"})
        one.process.send_signal(signal.SIGHUP)
    finally:
        for pid in fronts:
            os.kill(pid, signal.SIGCONT)
    for client in waiting:
        with client:
            assert client.recv(4) == b"220 "
    wait_for("the end of the port", lambda: not answers(one.submission))


def many(count, ports):
    return {"local_interfaces": "<; " + " ; ".join(f"127.0.9.{number}" for number in range(count)), "tls_on_connect_ports": None,
            "daemon_smtp_ports": " : ".join(map(str, ports))}


def test_reload_to_as_many_other_listeners(server):
    """More than one configuration may have are open while both are in force."""
    old, new = free_ports(3), free_ports(3)
    one = server(main={"front_processes": 1, "tls_advertise_hosts": "", **many(200, old)})
    with socket.create_connection(("127.0.9.0", old[0])) as client, client.makefile() as replies:
        assert replies.readline().startswith("220 ")
        reloaded(one, many(200, new))
        assert all(answers(port, "127.0.9.199") for port in new)
        wait_for("the end of the old ports", lambda: not any(answers(port, "127.0.9.199") for port in old))
        client.sendall(b"NOOP\r\n")
        assert replies.readline().startswith("250 ")


def test_reload_to_more_than_the_limit_of_open_files_is_refused(server):
    def few_files():
        end_with_us()
        resource.setrlimit(resource.RLIMIT_NOFILE, (600, 600))
    one = server(start=False)
    one.start(before=few_files)
    ports = f"{one.smtp} : {one.tls} : {one.submission}".split(" : ")
    reloaded(one, {"local_interfaces": many(50, ports)["local_interfaces"]},
             r"reload refused: too many listeners: 153, the old and the new ones, for 2 front processes take more open files than the limit of 600 allows")
    assert all(answers(port) for port in (one.smtp, one.submission))
    # The master can still start a role.
    queue = one.role("queue")
    os.kill(queue, signal.SIGKILL)
    wait_for("another queue", lambda: one.roles().get("queue", queue) != queue)
    message = make_message("with few files")
    one.send(message)
    one.maildir().holds(message)

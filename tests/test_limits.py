# SPDX-License-Identifier: ISC
"""Hostile amounts: slow connections by the thousand, endless messages, floods. HEAVY=1 (make crash) runs the full sizes, check
smaller ones of the same kind."""
import os
import socket
import time

from harness import DEADLINE, HEAVY, Closed, Smtp, descriptors, make_message, proc_status, raise_file_limit, wait_for

SLOW = 2000 if HEAVY else 300
FLOOD = 5 * 1024 ** 3 if HEAVY else 300 * 1024 ** 2


def memory_kb(one):
    """Resident memory of the master and its roles, and what stands in their memfds (where they may be looked at)."""
    resident, files = 0, {}
    for pid in [one.process.pid, *one.roles().values()]:
        resident += int(proc_status(pid).get("VmRSS", "0 kB").split()[0])
        try:
            for fd, target in descriptors(pid).items():
                if target.startswith("/memfd:"):
                    status = os.stat(f"/proc/{pid}/fd/{fd}")
                    files[status.st_ino] = status.st_blocks // 2
        except (PermissionError, FileNotFoundError):
            pass
    return resident + sum(files.values())


def test_slow_connections_keep_nobody_waiting(server):
    raise_file_limit(SLOW * 2 + 200)
    one = server(main={"smtp_accept_max": SLOW + 100, "smtp_connect_backlog": 1000})
    slow = []
    for number in range(SLOW):
        # Two in three say something and stop in the middle; one in three says nothing at all. Some stop in a handshake.
        s = socket.create_connection(("127.0.0.1", one.tls if number % 7 == 0 else one.smtp), 30)
        if number % 3 == 1:
            s.sendall(b"\x16\x03\x01" if number % 7 == 0 else b"")
        slow.append(s)
    for number, s in enumerate(slow):
        if number % 7:
            s.recv(200)
            if number % 3:
                s.sendall(b"EHL")
    begun = time.monotonic()
    messages = [make_message(f"beside {n}") for n in range(20)]
    for message in messages:
        one.send(message)
    took = time.monotonic() - begun
    maildir = one.maildir()
    wait_for("the mail of the others", lambda: set(messages) <= set(maildir.messages()))
    assert took < DEADLINE, f"20 messages beside {SLOW} slow connections took {took:.1f} s"
    # The slow ones go on where they stopped.
    for number in (1, 2, 4):
        slow[number].sendall(b"O client.test\r\n" if number % 3 else b"EHLO client.test\r\n")
        assert slow[number].recv(1000).startswith(b"250-")
    for s in slow:
        s.close()


def test_endless_message_is_refused_early_with_flat_memory(server):
    one = server(main={"message_size_limit": "50M"})
    for tls in (False, True):
        with one.connect() as client:
            client.ehlo()
            if tls:
                client.starttls()
            client.envelope()
            client.expect(354, "DATA")
            client.send(b"Subject: endless\r\n\r\n")
            block = (b"e" * 70 + b"\r\n") * 4096
            before, peak, sent, refused = memory_kb(one), 0, 0, None
            client.sock.settimeout(30)
            try:
                while sent < FLOOD:
                    client.sock.sendall(block)
                    sent += len(block)
                    if sent % (len(block) * 40) == 0:
                        peak = max(peak, memory_kb(one))
            except OSError:
                pass
            try:
                refused = client.reply()
            except (Closed, OSError):
                pass
            peak = max(peak, memory_kb(one))
        assert sent < 200 * 1024 ** 2, f"{sent} bytes were taken"
        assert refused is None or refused[0] == 552, refused
        # The message may stand in memory up to the limit (a memfd), not more: 50 MB, and a little for buffers.
        assert peak - before < 80 * 1024, f"memory grew by {peak - before} KB"
    one.wait_log(r"(rejected|refused).*(size|too big|too large|[Mm]aximum)", count=2)
    message = make_message("after the flood")
    one.send(message)
    one.maildir().holds(message)
    assert len(one.maildir().files()) == 1


def test_announced_size_is_refused_at_once(shared):
    with shared.connect() as client:
        client.ehlo()
        client.expect(552, f"MAIL FROM:<sender@client.test> SIZE={5 * 1024 ** 3}")
        client.expect(552, "MAIL FROM:<sender@client.test> SIZE=9999999999999999999")
        # RFC 1870: twenty digits at most.
        client.expect(501, "MAIL FROM:<sender@client.test> SIZE=99999999999999999999999999")


def test_message_near_the_limit_is_delivered_whole(server):
    one = server(main={"message_size_limit": "10M"})
    message = make_message("large", size=10 * 1024 ** 2 - 4096)
    one.send(message)
    one.maildir().holds(message)


def test_connections_that_come_and_go_leave_nothing(server):
    one = server()
    fronts = [pid for name, pid in one.roles().items() if name.startswith("front")]

    def open_files():
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in fronts)
    message = make_message("first")
    one.send(message)
    one.maildir().holds(message)
    before = open_files()
    for number in range(200):
        try:
            with Smtp(one.tls if number % 2 else one.smtp, banner=False) as client:
                if number % 3 == 0:
                    client.send(b"\x16\x03\x01\x02")
                elif number % 3 == 1:
                    client.send(b"EHLO x\r\nSTART")
        except OSError:
            pass
    wait_for("the descriptors of gone connections", lambda: open_files() <= before + 2)
    for pid in fronts:
        assert pid in one.roles().values(), "a front ended"

# SPDX-License-Identifier: ISC
"""Where log lines go (the system's logger, a terminal), and what becomes of them while they cannot go there: a logger that is started
again, a full disk. There the server runs in a mount namespace of its own, in which /dev/log and the log's file system are the test's."""
import fcntl
import os
import pty
import re
import signal
import socket
import subprocess
import termios
import threading
from pathlib import Path

import pytest

from harness import DEADLINE, POSTERN, ROOT, SANITIZER, alive, make_message, wait_for

NAMESPACE = ["unshare", "--mount"] if ROOT else ["unshare", "--user", "--map-current-user", "--keep-caps", "--mount"]
# A /dev with what programs need, and with a name for the logger that leads to the test's directory.
DEVICES = """set -e
mkdir "$0/dev"; mount --rbind /dev "$0/dev"; mount -t tmpfs none /dev
for name in null zero full random urandom; do : >/dev/$name; mount --bind "$0/dev/$name" /dev/$name; done
mkdir /dev/shm; mount -t tmpfs none /dev/shm
ln -s "$0/logger" /dev/log
exec "$@"
"""
SMALL_DISK = """set -e
mount -t tmpfs -o size=256k,mode=755 none "$0/log"
exec "$@"
"""


class Logger:
    """The system's logger: a datagram socket at that path, and the lines that came."""

    def __init__(self, path):
        self.lines = []
        path.unlink(missing_ok=True)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        path.chmod(0o666)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        while True:
            line = self.socket.recv(65536).decode()
            if line == "end":
                self.socket.close()
                return
            self.lines.append(line)

    def end(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.connect(self.socket.getsockname())
            last.send(b"end")
        wait_for("the end of the logger", lambda: self.socket.fileno() < 0)

    def wait(self, pattern):
        regex = re.compile(pattern)
        return wait_for(f"/{pattern}/ in {self.lines}", lambda: next((found for line in self.lines if (found := regex.search(line))), None))


def test_lines_go_to_the_system_logger(server):
    """With facility, severity, the role's name and its number, and without a date; and nowhere else."""
    one = server(start=False, main={"log_file_path": "syslog", "syslog_facility": "local3"})
    logger = Logger(one.dir / "logger")
    one.start(ready=False, wrapper=[*NAMESPACE, "sh", "-c", DEVICES, str(one.dir)])
    logger.wait(rf"^<158>postern-master\[{one.process.pid}\]: Postern \S+ daemon started: pid={one.process.pid}, listening for SMTP on ")
    queue = one.role("queue")
    one.send(make_message())
    logger.wait(rf"^<158>postern-queue\[{queue}\]: \S+ <= sender@client\.test H=")
    logger.wait(rf"^<158>postern-queue\[{queue}\]: \S+ Completed$")
    with one.connect() as client:
        client.ehlo()
        client.expect(250, "MAIL FROM:<a@client.test>")
        client.expect(550, "RCPT TO:<nobody-here@example.test>")
    logger.wait(r"^<157>postern-front\[\d+\]: H=.* rejected RCPT <nobody-here@example\.test>")
    assert not list(one.log.parent.iterdir())
    one.stop()
    logger.wait(r"daemon ended: pid=")
    logger.end()


def test_logger_that_is_started_again_gets_the_lines_again(server):
    """Without a reload, and with the count of those that were lost meanwhile; files go on as before."""
    one = server(start=False)
    one.configure({"log_file_path": f"syslog : {one.log.parent}/%slog"})
    path = one.dir / "logger"
    logger = Logger(path)
    one.start(wrapper=[*NAMESPACE, "sh", "-c", DEVICES, str(one.dir)])
    logger.wait("daemon started")
    for _ in range(2):
        logger.end()
        path.unlink()
        one.send(make_message("nobody looks"))
        one.wait_log("Completed")
        logger = Logger(path)
        lost = logger.wait(r"^<17>postern-queue\[\d+\]: queue: (\d+) log lines could not be written: "
                           r"(Connection refused|Transport endpoint is not connected)$")
        assert int(lost[1]) >= 3  # it came, was delivered, and was completed
        one.send(make_message("all is well"))
        logger.wait(r"^<22>postern-queue\[\d+\]: \S+ Completed$")
    logger.end()


def test_files_are_rotated_also_while_there_is_no_logger(server):
    one = server(start=False)
    one.configure({"log_file_path": f"syslog : {one.log.parent}/%slog"})
    path = one.dir / "logger"
    logger = Logger(path)
    one.start(wrapper=[*NAMESPACE, "sh", "-c", DEVICES, str(one.dir)])
    logger.end()
    path.unlink()
    one.log.rename(one.log.with_name("mainlog.1"))
    one.process.send_signal(signal.SIGHUP)
    one.wait_log("configuration reloaded")
    logger = Logger(path)
    logger.wait(r"postern-master\[\d+\]: master: \d+ log lines? could not be written: ")
    one.send(make_message("to both"))
    logger.wait(r"Completed$")
    one.wait_log(r"Completed$")
    logger.end()


def test_lines_lost_on_a_full_disk_are_counted_once_there_is_room(server):
    one = server(start=False)
    one.start(ready=False, wrapper=[*NAMESPACE, "sh", "-c", SMALL_DISK, str(one.dir)])
    # In the server's view of the files.
    wait_for("the server's log", lambda: one.role("queue"))
    one.log = Path(f"/proc/{one.process.pid}/root{one.log}")
    one.wait_ready()
    one.send(make_message("before"))
    one.wait_log("Completed")
    filler = one.log.with_name("filler")
    with open(filler, "wb", 0) as out:
        try:
            while True:
                out.write(b"x" * 4096)
        except OSError:
            pass
    with open(one.log, "ab", 0) as out:  # the rest of its last page
        try:
            while True:
                out.write(b"filled\n")
        except OSError:
            pass
    start = one.mark()
    one.send(make_message("not told"))
    one.maildir().wait(2)
    wait_for("its end", lambda: not one.queued())
    assert one.mark() - start < 100 and "Completed" not in one.log_text(start)
    filler.unlink()
    one.send(make_message("told"))
    lost = one.wait_log(r"^[-0-9]+ [:0-9]+ queue: (\d+) log lines could not be written: No space left on device$", start)
    assert int(lost[1]) >= 3
    one.wait_log(r"Completed$", start)


class Terminal:
    """A terminal of its own with `postern run -v` on it, as a person has it."""

    def __init__(self, one, **environment):
        self.text, self.one = "", one
        self.keyboard, screen = pty.openpty()

        def take_terminal():
            os.setsid()
            fcntl.ioctl(screen, termios.TIOCSCTTY, 0)
        one.process = subprocess.Popen([POSTERN, "run", "-v", "-c", str(one.conf)], stdin=screen, stdout=screen, stderr=screen, cwd="/",
                                       env={**os.environ, **SANITIZER, **environment}, preexec_fn=take_terminal)
        os.close(screen)
        threading.Thread(target=self.read, daemon=True).start()
        one.wait_ready()

    def read(self):
        try:
            while data := os.read(self.keyboard, 65536):
                self.text += data.decode()
        except OSError:  # the end of the last process that has it open
            pass

    def wait(self, pattern):
        return wait_for(f"/{pattern}/ in {self.text!r}", lambda: re.search(pattern, self.text, re.M))

    def interrupt(self):
        """Ctrl-C."""
        os.write(self.keyboard, b"\x03")
        roles = self.one.role_pids()
        assert self.one.process.wait(DEADLINE) == 0, self.text
        wait_for("the roles to end", lambda: not [pid for pid in roles if alive(pid)])
        self.one.process = None


@pytest.mark.parametrize("colour", [True, False])
def test_run_v_shows_the_log_on_the_terminal_until_it_is_interrupted(server, colour):
    """In colour, unless NO_COLOR is set: what came in, what was delivered, what was refused, what needs looking at; the file has none."""
    one = server(start=False)
    terminal = Terminal(one, NO_COLOR="" if colour else "1")

    def line(code, text):
        start, end = (rf"\x1b\[{code}m", r"\x1b\[0m") if colour and code else ("", "")
        terminal.wait(rf"^{start}\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d {text}{end}\r$")
    line("", r"Postern \S+ daemon started: pid=.*")
    with one.connect() as client:
        client.ehlo()
        client.starttls()
        client.deliver(make_message())
        client.expect(250, "MAIL FROM:<a@client.test>")
        client.expect(550, "RCPT TO:<nobody-here@example.test>")
    line("36", r"\S+ <= sender@client\.test .*")
    line("32", r"\S+ => user <user@example\.test> .*")
    line("", r"\S+ Completed")
    line("33", r"H=.* rejected RCPT <nobody-here@example\.test>.*")
    assert len(re.findall("rejected RCPT", terminal.text)) == 1  # main and reject log have the same
    fetch = one.role("fetch")
    os.kill(fetch, signal.SIGKILL)
    line("1;31", rf"fetch \(pid {fetch}\) was killed by signal 9 \(Killed\)")
    wait_for("another one", lambda: one.roles().get("fetch", fetch) != fetch)
    terminal.interrupt()
    line("", r"daemon ended: pid=\d+")
    assert "\x1b" not in one.log_text() and ("\x1b" in terminal.text) == colour
    shown = re.sub(r"\x1b\[[0-9;]*m", "", terminal.text).replace("\r\n", "\n").replace("^C", "")
    assert sorted(shown.splitlines()) == sorted(one.log_text().splitlines())

# SPDX-License-Identifier: ISC
"""Where log lines go, and what becomes of them while they cannot go there: a logger that is started again, a full disk. The server runs in
a mount namespace of its own, in which /dev/log and the log's file system are the test's."""
import re
import socket
import threading
from pathlib import Path

from harness import ROOT, make_message, wait_for

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

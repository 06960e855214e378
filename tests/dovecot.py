# SPDX-License-Identifier: ISC
"""Dovecot with a configuration, directory and processes of its own, which does nothing but authenticate; and servers that speak its protocol
badly."""
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

from harness import DEADLINE, ROOT, alive, children, command_line, end_with_us, wait_for

GREETING = "VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nMECH\tLOGIN\tplaintext\nMECH\tCRAM-MD5\tdictionary\tactive\nSPID\t7\nCUID\t1\nCOOKIE\tab\nDONE\n"

CONFIGURATION = """
base_dir = {dir}/run
state_dir = {dir}/state
log_path = {dir}/log
protocols =
ssl = no
{users}
auth_mechanisms = plain login cram-md5 scram-sha-256
auth_verbose = yes
auth_debug = yes
# Failures are delayed by the server that asks.
auth_failure_delay = 0
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%Lu {dir}/passwd
}}
userdb {{
  driver = static
  args = uid=65534 gid=65534 home=/nonexistent
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
service auth {{
  unix_listener auth-postern {{
    mode = 0666
  }}
}}
"""


def kill(pid):
    """A process of ours that may have ended already, and its end."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    wait_for("the end of a process of Dovecot", lambda: not alive(pid))


class Dovecot:
    """Users of the file `passwd`: the names and passwords that are given."""

    def __init__(self, users):
        self.dir = Path(tempfile.mkdtemp(prefix="postern-dovecot-"))
        self.dir.chmod(0o755)
        self.socket, self.log, self.process = self.dir / "run" / "auth-postern", self.dir / "log", None
        own = "" if ROOT else "default_internal_user = {0}\ndefault_login_user = {0}\ndefault_internal_group = {1}".format(
            subprocess.check_output(["id", "-un"], text=True).strip(), subprocess.check_output(["id", "-gn"], text=True).strip())
        (self.dir / "dovecot.conf").write_text(CONFIGURATION.format(dir=self.dir, users=own))
        (self.dir / "passwd").write_text("".join(f"{name}:{password}::::::\n" for name, password in users.items()))

    def start(self):
        self.process = subprocess.Popen(["/usr/sbin/dovecot", "-F", "-c", self.dir / "dovecot.conf"], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=end_with_us)
        wait_for("Dovecot to answer", self.greets)
        return self

    def greets(self):
        assert self.process.poll() is None, f"Dovecot ended: {self.said()}"
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(DEADLINE)
                probe.connect(str(self.socket))
                return probe.recv(1024).startswith(b"VERSION")
        except (FileNotFoundError, ConnectionRefusedError):
            return False

    def said(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def kill_auth(self):
        """The process that authenticates; the next connection makes another one."""
        for pid in children(self.process.pid):
            if "dovecot/auth" in command_line(pid):
                kill(pid)

    def stop(self):
        """All of it: its auth process would first serve to their end those who are connected."""
        if self.process:
            pids = children(self.process.pid)
            self.process.terminate()
            self.process.wait(DEADLINE)
            for pid in pids:
                kill(pid)
        self.process = None

    def remove(self):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)


class Impostor:
    """A server at a path: `behave(connection, lines)` runs for each connection; lines() gives what the client says, line by line."""

    def __init__(self, path, behave):
        self.path, self.behave, self.connections, self.closed = path, behave, [], 0
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        os.chmod(path, 0o666)
        self.listener.listen(16)
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self.serve, args=[connection], daemon=True).start()

    def serve(self, connection):
        with connection, connection.makefile("r", encoding="latin-1", newline="\n") as lines:
            try:
                self.behave(connection, lines)
            except OSError:
                pass
        self.closed += 1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        os.unlink(self.path)


def request_of(lines):
    """The AUTH line of a client, as words."""
    for line in lines:
        if line.startswith("AUTH\t"):
            return line.rstrip("\n").split("\t")
    return None

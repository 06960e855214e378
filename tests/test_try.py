# SPDX-License-Identifier: ISC
"""`make try` (tools/try.sh) as somebody meets it who has just built the program, in a tree that holds nothing but the two."""
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from harness import DEADLINE, POSTERN, ROOT, SANITIZER, TREE, alive, children, free_ports, wait_for

USERS = ["ourselves", "nobody"] if ROOT else ["ourselves"]


class Tree:
    def __init__(self, user):
        self.dir = Path(tempfile.mkdtemp(prefix="postern-test-try-"))
        self.dir.chmod(0o755)
        (self.dir / "tools").mkdir()
        (self.dir / "build").mkdir()
        shutil.copy(TREE / "tools" / "try.sh", self.dir / "tools")
        shutil.copy(POSTERN, self.dir / "build" / "postern")
        self.user = []
        if user == "nobody":
            for path in (self.dir, *self.dir.rglob("*")):
                shutil.chown(path, "nobody", "nogroup")
            self.user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--bounding-set=-all"]
        self.ports, self.running = free_ports(3), []

    def run(self, **environment):
        """Begins a trial, in a session of its own as a terminal's: its process. What it says goes to a file."""
        self.output = self.dir.with_name(f"{self.dir.name}.{len(self.running)}")
        named = {**os.environ, **SANITIZER, "TRY_PORTS": ",".join(map(str, self.ports)), "HOME": "/", **environment}
        with open(self.output, "wb") as out:
            # An interrupt that the tests ignore would be ignored by the script as well.
            process = subprocess.Popen([*self.user, "bash", str(self.dir / "tools" / "try.sh")], stdin=subprocess.DEVNULL, stdout=out,
                                       stderr=out, env=named, start_new_session=True,
                                       preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
        self.running.append(process)
        return process

    def said(self):
        return self.output.read_text(errors="replace")

    def wait_said(self, process, pattern):
        def probe():
            found = re.search(pattern, self.said(), re.M)
            assert found or process.poll() is None, f"ended with {process.returncode}: {self.said()}"
            return found
        return wait_for(f"/{pattern}/ in {self.output}", probe)

    def remove(self):
        for process in self.running:
            if process.poll() is None:
                process.terminate()
                process.wait(DEADLINE)
        for output in self.dir.parent.glob(self.dir.name + ".*"):
            output.unlink()
        shutil.rmtree(self.dir)


@pytest.fixture(params=USERS)
def tree(request):
    one = Tree(request.param)
    yield one
    one.remove()


def descendants(pid):
    found = children(pid)
    return found + [one for child in found for one in descendants(child)]


def test_trial_serves_until_it_is_interrupted(tree):
    trial = tree.run()
    tree.wait_said(trial, r"^Serving until interrupted")
    text = tree.said()
    message = tree.dir / re.search(r"^The message landed in\n +(\S+)$", text, re.M)[1]
    assert "Subject: Postern works" in message.read_text()
    assert re.search(r" => user <user@example\.test> .*\n(.*\n)*.* Completed$", text, re.M)
    password = re.search(r"^ +password +([0-9a-f]{16})$", text, re.M)[1]
    # It goes on serving, and shows the log: the client that it describes can log in.
    curl = subprocess.run(["curl", "-sS", "--max-time", "30", "--cacert", str(tree.dir / "var/try/tls/cert.pem"),
                           "--user", f"user@example.test:{password}", "--mail-from", "user@example.test", "--mail-rcpt",
                           "user@example.test", "-T", str(tree.dir / "var/try/message"), f"smtps://localhost:{tree.ports[1]}/localhost"], capture_output=True)
    assert curl.returncode == 0, curl.stderr
    tree.wait_said(trial, r"A=\w+:user@example\.test")
    wait_for("the second message", lambda: len(list(message.parent.iterdir())) == 2)
    processes = descendants(trial.pid)
    assert len(processes) > 5
    os.killpg(trial.pid, signal.SIGINT)
    assert trial.wait(DEADLINE) == 0, tree.said()
    assert tree.said().endswith("\nStopping\n")
    wait_for("the end of all its processes", lambda: not [pid for pid in processes if alive(pid)])
    assert message.exists()
    # The same place again: nothing is made anew, so a client that was set up still fits.
    again = tree.run(ONCE="1")
    assert again.wait(DEADLINE) == 0, tree.said()
    assert "Making a configuration" not in tree.said() and password in tree.said() and message.exists()
    assert len(list(message.parent.iterdir())) == 3


def test_port_in_use_is_told_with_who_has_it_and_what_to_do(tree):
    with socket.create_server(("127.0.0.1", tree.ports[1])):
        trial = tree.run()
        assert trial.wait(DEADLINE) == 1
    who = rf"\S.* \(pid {os.getpid()}\)" if not tree.user else "a process of another user"
    assert re.search(rf"^make try: port {tree.ports[1]} is in use by {who}$", tree.said(), re.M), tree.said()
    assert "stop what listens there, or choose other ports: TRY_DIR=" in tree.said()
    assert not (tree.dir / "var").exists()
    # With other ports, in another place, it works.
    tree.ports = free_ports(3)
    trial = tree.run(TRY_DIR="var/other", ONCE="1")
    assert trial.wait(DEADLINE) == 0, tree.said()
    assert list((tree.dir / "var/other/mail/example.test/user/new").iterdir())

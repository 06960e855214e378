# SPDX-License-Identifier: ISC
"""A PostgreSQL server for tests, on a socket in a directory of its own."""
import glob
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from harness import ROOT, end_with_us, free_ports, wait_for


class Postgres:
    """A server of its own with its log in `dir`/log, as another user when we are root, for it refuses to be root's."""

    def __init__(self, *options):
        places = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
        if not places:
            pytest.fail("PostgreSQL is missing: tools/deps.sh test")
        self.dir = Path(tempfile.mkdtemp(prefix="postern-pg-"))
        self.dir.chmod(0o755)
        (self.port,) = free_ports(1)
        self.user = "postgres" if ROOT else None
        if ROOT:
            shutil.chown(self.dir, "postgres", "postgres")
        self.run([f"{places[-1]}/initdb", "-D", f"{self.dir}/data", "-U", "postern", "-A", "trust", "--no-sync", "--locale=C"])
        self.process = subprocess.Popen([f"{places[-1]}/postgres", "-D", f"{self.dir}/data", "-k", str(self.dir), "-h", "127.0.0.1",
                                         "-p", str(self.port), "-F", *options], user=self.user, cwd="/", preexec_fn=end_with_us,
                                        stdout=subprocess.DEVNULL, stderr=open(self.dir / "log", "wb"))
        self.psql = [f"{places[-1]}/psql", "-h", str(self.dir), "-p", str(self.port), "-U", "postern", "-d", "postgres", "-q", "-A", "-t", "-c"]
        wait_for("PostgreSQL", lambda: subprocess.run([*self.psql, "select 1"], capture_output=True).returncode == 0)

    @property
    def servers(self):
        """The value of pgsql_servers."""
        return f"({self.dir}/.s.PGSQL.{self.port})/postgres/postern/"

    def sql(self, statement):
        return self.run([*self.psql, statement]).stdout.decode()

    def run(self, command):
        return subprocess.run(command, check=True, capture_output=True, user=self.user, cwd="/")

    def stop(self):
        self.process.send_signal(subprocess.signal.SIGQUIT)
        self.process.wait(30)
        shutil.rmtree(self.dir)

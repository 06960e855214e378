#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Whether anything but the hash bounds logins, and what they do to other sessions, in one run on this machine.

  BUILD=build bench/auth.py [--count 1000] [--seconds 15] [--rate 200]

1. What a hash costs alone: crypt(3) and libargon2 in a loop, on one thread and on as many as there are processors.
2. What a login costs the server (all its processes): a connection with STARTTLS, and the same with AUTH. The CPU of the connection and of
   the bare hash taken away, the rest is what AUTH costs beside the hash; remembered, there is no hash.
3. RATE new logins a second for SECONDS, of users never seen before, each with a hash that the machine can compute so often; and meanwhile
   how long other sessions wait: a second client's connections with STARTTLS and a message each, twenty a second.
4. The same at the default cost: the server answers as many as the hash allows, refuses the rest for now, and does not grow. How much of
   the lookup role's CPU is the hash tells what else there is; how many that are, is a matter of who else wants the processors.

Needs root for the cgroup's account; everything is kept in a directory of its own, removed in the end.
"""
import argparse
import ctypes
import hashlib
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import compare  # noqa: E402

os.environ.setdefault("POSTERN", str(compare.TREE / os.environ.get("BUILD", "build") / "postern"))
from harness import POSTERN, Server, end_with_us  # noqa: E402

CORES = len(os.sched_getaffinity(0))
QUICK, SHA512, LIGHT, YESCRYPT, ARGON2 = "sha256crypt of 1,000 rounds", "sha512crypt", "yescrypt of 1 MiB", "yescrypt", "argon2id"
SETTINGS = {QUICK: b"$5$rounds=1000$saltsaltsalt$", SHA512: b"$6$saltsaltsalt$", LIGHT: b"$y$j75$saltsaltsaltsaltsalt2.$",
            YESCRYPT: b"$y$j9T$saltsaltsaltsaltsalt2.$"}
SCRAM = "SCRAM-SHA-256 of 4,096 iterations"
DATABASE = "plain:\n  driver = plaintext\n  public_name = PLAIN\n  server_user_database = true\n"
PASSWORD = "scram:\n  driver = scram\n  public_name = SCRAM-SHA-256\n  server_password = secret\n  server_scram_salt = c2FsdHNhbHQ=\n"


class Hashes:
    """crypt(3) and libargon2 as they are."""

    def __init__(self):
        self.crypt = ctypes.CDLL("libcrypt.so.1")
        self.crypt.crypt_ra.restype = ctypes.c_char_p
        self.argon2 = ctypes.CDLL("libargon2.so.1")
        self.made = {name: self.of(setting) for name, setting in SETTINGS.items()}
        made = ctypes.create_string_buffer(384)
        size = ctypes.c_size_t
        if self.argon2.argon2id_hash_encoded(3, 64 * 1024, 1, b"secret", size(6), b"s" * 16, size(16), size(32), made, size(len(made))):
            sys.exit("argon2id fails")
        self.made[ARGON2] = made.value

    def of(self, setting):
        data, size = ctypes.c_void_p(), ctypes.c_int()
        made = self.crypt.crypt_ra(b"secret", setting, ctypes.byref(data), ctypes.byref(size))
        if not made or made.startswith(b"*"):
            sys.exit(f"crypt(3) does not know {setting}")
        ctypes.CDLL(None).free(data)
        return made

    def check(self, name):
        if name == ARGON2:
            good = self.argon2.argon2id_verify(self.made[name], b"secret", ctypes.c_size_t(6)) == 0
        elif name == SCRAM:
            good = hashlib.pbkdf2_hmac("sha256", b"secret", b"saltsalt", 4096)
        else:
            good = self.of(self.made[name]) == self.made[name]
        assert good

    def measure(self, name, threads, seconds=2.0):
        """CPU milliseconds of a hash, and hashes a second of all threads."""
        done, end = [0] * threads, time.monotonic() + seconds

        def loop(number):
            while time.monotonic() < end:
                self.check(name)
                done[number] += 1
        begun, cpu = time.monotonic(), time.process_time()
        workers = [threading.Thread(target=loop, args=(number,)) for number in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return (time.process_time() - cpu) * 1000 / sum(done), sum(done) / (time.monotonic() - begun)


class Bench:
    def __init__(self, options, certificates, hashes):
        self.options, self.hashes, self.one = options, hashes, Server(certificates)
        self.accounts = self.one.dir / "accounts"
        self.accounts.mkdir()
        self.load = self.one.dir / "load"
        compare.run(os.environ.get("CC", "gcc"), "-std=gnu17", "-O2", "-o", self.load, compare.TREE / "bench/load.c",
                    compare.TREE / "bench/login.c", "-lssl", "-lcrypto", "-lpthread")
        self.account = None

    def start(self, authenticators=DATABASE):
        self.account = compare.Account("auth")
        self.one.configure({"user_database": self.accounts / "users.db", "auth_fail_limit": "", "smtp_accept_max": 5000,
                            "smtp_connect_backlog": 1000, "front_processes": None})
        self.one.conf.write_text(self.one.conf.read_text() + "\nbegin authenticators\n\n" + authenticators)

        def before():
            end_with_us()
            self.account.enter()
        self.one.start(before=before)
        self.account.roots = [self.one.process.pid]

    def stop(self):
        self.one.stop()
        self.account.remove()

    def add_users(self, prefix, hash_name, count):
        """The database knows one way to make a user, the command; all others are copies."""
        path = self.accounts / "users.db"
        subprocess.run([POSTERN, "user", "add", "-c", str(self.one.conf), "--hashed", f"{prefix}0"],
                       input=self.hashes.made[hash_name] + b"\n", check=True)
        with sqlite3.connect(path) as database:
            database.executemany("INSERT INTO user (name, hash, created, changed) SELECT ?, hash, created, changed FROM user WHERE name = ?",
                                 [(f"{prefix}{number}", f"{prefix}0") for number in range(1, count)])
        database.close()

    def cpu_of(self, role):
        """Seconds of CPU of all threads of a role."""
        return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{self.one.role(role)}/task").glob("*/schedstat")) / 1e9

    def begin_load(self, what, *arguments):
        return subprocess.Popen([self.load, what, "--tls", "starttls", "--port", str(self.one.smtp), *map(str, arguments)],
                                stdout=subprocess.PIPE, text=True)

    @staticmethod
    def end_load(process):
        return compare.figures_of(process.communicate()[0])

    def cost(self, what, *arguments):
        """CPU milliseconds of the server for each of COUNT connections, one after the other on two at a time."""
        count = self.options.count
        before = self.account.quiet_cpu()
        figures = self.end_load(self.begin_load(what, "--count", count, "--connections", 2, *arguments))
        if figures["done"] != count:
            sys.exit(f"{what} {arguments}: {figures}")
        return (self.account.quiet_cpu() - before) * 1000 / count

    def others(self, seconds):
        """Other sessions: connections with STARTTLS and a message."""
        return self.begin_load("mail", "--rate", 20, "--count", int(seconds * 20), "--connections", 10)

    def steady(self, rate, seconds, connections, *arguments):
        """Logins offered at a rate, and what others feel."""
        others = self.others(seconds)
        logins = self.end_load(self.begin_load("login", "--rate", rate, "--count", int(rate * seconds), "--connections", connections,
                                               *arguments))
        return logins, self.end_load(others)


def felt(figures):
    return f"other sessions: p99 of a reply {figures['wait_p99_ms']:.1f} ms, of a whole session {figures['p99_ms']:.1f} ms"


def costs(bench, bare):
    bench.start()
    for prefix, name in (("quick", QUICK), ("sha", SHA512), ("light", LIGHT), ("full", YESCRYPT)):
        bench.add_users(prefix, name, 20000)
    bench.cost("handshake")
    connection = bench.cost("handshake")
    print(f"\na connection with STARTTLS: {connection:.3f} ms of the server's CPU\n\n| login | CPU ms | of it the hash | AUTH beside it, us |")
    print("| --- | ---: | ---: | ---: |")
    for prefix, name in (("quick", QUICK), ("sha", SHA512), ("light", LIGHT)):
        whole = bench.cost("login", "--user", prefix)
        print(f"| {name} | {whole:.3f} | {bare[name]:.3f} | {(whole - connection - bare[name]) * 1000:.0f} |")
    again = bench.cost("login", "--user", "light")
    print(f"| remembered | {again:.3f} | | {(again - connection) * 1000:.0f} |")
    bench.stop()
    bench.start(PASSWORD)
    bench.cost("handshake")
    whole = bench.cost("login", "--mechanism", "SCRAM-SHA-256")
    print(f"| {SCRAM} | {whole:.3f} | {bare[SCRAM]:.3f} | {(whole - connection - bare[SCRAM]) * 1000:.0f} |")
    bench.stop()


def steady(bench):
    """Whether all were let in, and others waited for less than 50 ms."""
    rate, seconds, good = bench.options.rate, bench.options.seconds, True
    print()
    for name, authenticators, arguments in ((None, DATABASE, ()), (SHA512, DATABASE, ("--user", "sha")), (LIGHT, DATABASE, ("--user", "light")),
                                            (SCRAM, PASSWORD, ("--mechanism", "SCRAM-SHA-256"))):
        bench.start(authenticators)
        if name:
            logins, others = bench.steady(rate, seconds, 200, *arguments)
            met = logins["done"] == rate * seconds and others["failed"] == 0 and others["wait_p99_ms"] < 50
            print(f"{rate} logins a second, {name}: {logins['done']:.0f} of {rate * seconds} let in, p99 of a login {logins['p99_ms']:.1f} ms; "
                  f"{felt(others)}: {'met' if met else 'MISSED'}", flush=True)
            good = good and met
        else:
            print(f"no logins: {felt(bench.end_load(bench.others(seconds)))}", flush=True)
        bench.stop()
    return good


def overload(bench, bare):
    """Whether nobody was let down, and others waited for less than 50 ms."""
    rate, seconds, most, result = bench.options.rate, bench.options.seconds * 2, 0, []
    bench.start()
    before, computed, begun = bench.account.memory(), bench.cpu_of("lookup"), time.monotonic()
    runner = threading.Thread(target=lambda: result.extend(bench.steady(rate, seconds, 3000, "--user", "full")))
    runner.start()
    while runner.is_alive():
        most = max(most, bench.account.memory())
        time.sleep(0.1)
    took, computed = time.monotonic() - begun, bench.cpu_of("lookup") - computed
    bench.stop()
    logins, others = result
    met = logins["failed"] == 0 and others["failed"] == 0 and others["wait_p99_ms"] < 50
    print(f"{rate} logins a second, {YESCRYPT}: {logins['done'] / took:.1f} a second let in, for {computed / took:.2f} processors in the lookup "
          f"role, {logins['done'] * bare / computed / 10:.0f} % of it the hash; {logins['later']:.0f} of {rate * seconds} refused for now, "
          f"{logins['failed']:.0f} failed; memory {before / 2**20:.0f} MB before, {most / 2**20:.0f} MB at most; "
          f"p99 of a login {logins['p99_ms'] / 1000:.1f} s; {felt(others)}: {'met' if met else 'MISSED'}")
    return met


def main():
    parser = argparse.ArgumentParser(description="what bounds logins, and what they do to others")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seconds", type=int, default=15)
    parser.add_argument("--rate", type=int, default=200)
    options = parser.parse_args()
    hashes, bare = Hashes(), {}
    print(f"{CORES} processors\n\n| hash | CPU ms | a second on one thread | on {CORES} |\n| --- | ---: | ---: | ---: |")
    for name in (*SETTINGS, ARGON2, SCRAM):
        bare[name], one = hashes.measure(name, 1)
        print(f"| {name} | {bare[name]:.3f} | {one:.1f} | {hashes.measure(name, CORES)[1]:.1f} |", flush=True)
    with tempfile.TemporaryDirectory() as certificates:
        bench = Bench(options, certificates, hashes)
        try:
            costs(bench, bare)
            good = steady(bench)
            good = overload(bench, bare[YESCRYPT]) and good
        finally:
            bench.one.remove()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

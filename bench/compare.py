#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Postern, Postfix and Exim side by side in one run: the same work by the same load generator, in turns, on this machine.

All serve 127.0.0.1 with the same ECDSA certificate and deliver to a Maildir; a message counts once it is there. Measured from
outside: messages a second from the first connection to the last file, the server's CPU for each message (all its processes: the
cgroup's account, v1 or v2, or /proc where there is none), and what an idle TLS connection costs in memory, the kernel's part
included. Absolute figures move with the machine: the ratios of one run are what counts.

  BUILD=build bench/compare.py [--count 2000] [--rounds 3] [--connections 20] [--idle 1000] [--size 4096] [--json FILE]
                               [--only postern]... [--scenario NAME]...

Needs root (Postfix runs as several users), openssl, a compiler, and Debian's postfix; everything is kept below var/bench. Debian's Exim is
fetched and unpacked there, not installed.
"""
import argparse
import json
import os
import pwd
import re
import shlex
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

TREE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TREE / "tests"))
import exim as debian_exim  # noqa: E402

WORK = TREE / "var" / "bench"
MAIL_USER = "nobody"


class Account:
    """CPU and memory of everything that runs in a cgroup of our own, or, where there are none, of a process tree."""

    def __init__(self, name):
        self.name, self.roots, self.ended = f"postern-bench-{name}-{os.getpid()}", [], 0.0
        base = Path("/sys/fs/cgroup")
        self.directories = {}
        try:
            if (base / "cpuacct").is_dir():
                for controller in ("cpuacct", "memory"):
                    self.directories[controller] = base / controller / self.name
                    self.directories[controller].mkdir()
            elif (base / "cgroup.controllers").exists():
                self.directories["unified"] = base / self.name
                self.directories["unified"].mkdir()
        except OSError as problem:
            print(f"no cgroup ({problem}): CPU and memory come from /proc, without the kernel's part", file=sys.stderr)
            self.directories = {}

    def enter(self):
        """For Popen's preexec_fn: this process, and all that it starts, is counted."""
        for directory in self.directories.values():
            (directory / "cgroup.procs").write_text("0")

    def cpu(self):
        """Seconds of CPU so far."""
        if "cpuacct" in self.directories:
            return int((self.directories["cpuacct"] / "cpuacct.usage").read_text()) / 1e9
        if "unified" in self.directories:
            return int(re.search(r"usage_usec (\d+)", (self.directories["unified"] / "cpu.stat").read_text())[1]) / 1e6
        ticks = 0
        for pid in tree(self.roots):
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
                ticks += sum(map(int, fields[11:15]))
            except OSError:
                pass
        return ticks / os.sysconf("SC_CLK_TCK")

    def quiet_cpu(self):
        """The same once the server has nothing more to do: the last tenths of a second must have cost nothing much."""
        last = self.cpu()
        for _ in range(100):
            time.sleep(0.2)
            now = self.cpu()
            if now - last < 0.002:
                return now
            last = now
        return last

    def memory(self):
        """Bytes: anonymous and shared memory, page tables, sockets and other kernel memory; not the page cache of files."""
        def figures(path):
            return {name: int(value) for name, value in (line.split() for line in path.read_text().splitlines())}
        if "memory" in self.directories:
            directory = self.directories["memory"]
            stat = figures(directory / "memory.stat")
            kernel = sum(int((directory / name).read_text()) for name in ("memory.kmem.usage_in_bytes",
                         "memory.kmem.tcp.usage_in_bytes") if (directory / name).exists())
            return stat["rss"] + stat.get("shmem", 0) + kernel
        if "unified" in self.directories and (self.directories["unified"] / "memory.stat").exists():
            stat = figures(self.directories["unified"] / "memory.stat")
            kernel = stat["kernel"] if "kernel" in stat else sum(stat.get(n, 0) for n in ("slab", "kernel_stack", "pagetables", "percpu"))
            return stat["anon"] + stat["shmem"] + kernel + stat["sock"]
        total = 0
        for pid in tree(self.roots):
            try:
                total += int(re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)[1]) * 1024
            except (OSError, TypeError):
                pass
        return total

    def remove(self):
        for directory in self.directories.values():
            for _ in range(50):
                try:
                    directory.rmdir()
                    break
                except OSError:
                    time.sleep(0.1)


def tree(roots):
    """Process numbers of these and all below them."""
    found = list(roots)
    for pid in found:
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                found += map(int, task.read_text().split())
            except OSError:
                pass
    return found


def run(*command, **named):
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **named)
    if done.returncode:
        sys.exit(f"{shlex.join(map(str, command))}: status {done.returncode}\n{done.stdout}")
    return done.stdout


def wait_for(what, probe, seconds=120, interval=0.02):
    end = time.monotonic() + seconds
    while not probe():
        if time.monotonic() > end:
            sys.exit(f"waited {seconds} s in vain for {what}")
        time.sleep(interval)


def listening(port):
    with socket.socket() as s:
        s.settimeout(2)
        return s.connect_ex(("127.0.0.1", port)) == 0


class Postern:
    name = "Postern"

    def __init__(self, directory, certificate, key, port):
        self.directory, self.port = directory, port
        self.new = directory / "mail" / "example.test" / "user" / "new"
        self.account = Account("postern")
        (directory / "log").mkdir(parents=True)
        (directory / "mail").mkdir()
        shutil.chown(directory / "mail", MAIL_USER)
        (directory / "postern.conf").write_text(f"""primary_hostname = mx.example.test
spool_directory = {directory}/spool
log_file_path = {directory}/log/%slog
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
tls_certificate = {certificate}
tls_privatekey = {key}
smtp_accept_max = 5000
smtp_accept_max_per_host = 0
smtp_accept_max_per_connection = 100000
domainlist local_domains = example.test

begin routers

users:
  driver = accept
  domains = +local_domains
  local_parts = user
  transport = maildir

begin transports

maildir:
  driver = appendfile
  directory = {directory}/mail/$domain_data/$local_part_data
  maildir_format
  create_directory
  user = {MAIL_USER}
  group = nogroup
""")
        program = TREE / os.environ.get("BUILD", "build") / "postern"
        with open(directory / "stderr", "wb") as stderr:
            self.process = subprocess.Popen([program, "run", "-c", directory / "postern.conf"], stdin=subprocess.DEVNULL,
                                            stderr=stderr, preexec_fn=self.account.enter)
        self.account.roots = [self.process.pid]
        wait_for("Postern", lambda: self.alive() and listening(port), 20)

    def alive(self):
        if self.process.poll() is not None:
            sys.exit(f"Postern ended: {(self.directory / 'stderr').read_text()}")
        return True

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        self.account.remove()


class Postfix:
    name = "Postfix"
    services = """PORT inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
tlsmgr unix - - n 1000? 1 tlsmgr
anvil unix - - n - 1 anvil
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
pickup unix n - n 60 1 pickup
showq unix n - n - - showq
flush unix n - n 1000? 0 flush
smtp unix - - n - - smtp
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""

    def __init__(self, directory, certificate, key, port):
        self.directory, self.port, self.account = directory, port, Account("postfix")
        self.new = directory / "mail" / "user" / "new"
        for name in ("etc", "queue", "data", "mail"):
            (directory / name).mkdir(parents=True)
        shutil.chown(directory / "mail", MAIL_USER)
        shutil.chown(directory / "data", "postfix")
        owner = pwd.getpwnam(MAIL_USER)
        settings = {
            "compatibility_level": "3.6", "myhostname": "mx.example.test", "mydestination": "", "mynetworks": "127.0.0.0/8",
            "queue_directory": directory / "queue", "data_directory": directory / "data",
            "daemon_directory": "/usr/lib/postfix/sbin", "command_directory": "/usr/sbin",
            "mail_owner": "postfix", "setgid_group": "postdrop", "inet_interfaces": "127.0.0.1", "inet_protocols": "ipv4",
            "alias_maps": "", "local_recipient_maps": "", "virtual_mailbox_domains": "example.test",
            "virtual_mailbox_base": directory / "mail", "virtual_mailbox_maps": "static:user/",
            "virtual_uid_maps": f"static:{owner.pw_uid}", "virtual_gid_maps": f"static:{owner.pw_gid}", "virtual_minimum_uid": "1",
            "smtpd_tls_chain_files": f"{key}, {certificate}", "smtpd_tls_security_level": "may",
            "smtpd_recipient_restrictions": "permit_mynetworks, reject", "smtpd_peername_lookup": "no",
            "smtpd_client_connection_count_limit": "0", "default_process_limit": "1200",
            "maillog_file": directory / "maillog", "maillog_file_prefixes": directory,
        }
        (directory / "etc" / "main.cf").write_text("".join(f"{name} = {value}\n" for name, value in settings.items()))
        (directory / "etc" / "master.cf").write_text(self.services.replace("PORT", str(port)))
        subprocess.run(["postfix", "-c", directory / "etc", "set-permissions"], capture_output=True)
        run("postfix", "-c", directory / "etc", "check")
        run("postfix", "-c", directory / "etc", "start", preexec_fn=self.account.enter)
        wait_for("Postfix", lambda: listening(port), 20)
        self.account.roots = [int((directory / "queue" / "pid" / "master.pid").read_text())]

    def alive(self):
        return True

    def stop(self):
        run("postfix", "-c", self.directory / "etc", "stop")
        self.account.remove()


class Exim:
    """
    Debian's Exim with its defaults: each message is delivered at once. Its user and its configuration stand where it looks for them, but
    only it sees them there: with -C it would give up the rights that it needs to deliver.
    """
    name = "Exim"

    def __init__(self, directory, certificate, key, port):
        self.directory, self.port, self.account = directory, port, Account("exim")
        self.new = directory / "mail" / "user" / "new"
        for name in ("spool", "log", "mail", "lib/exim4"):
            (directory / name).mkdir(parents=True)
        os.environ.setdefault("EXIM_DIRECTORY", str(TREE / "var" / "exim"))
        program, _ = debian_exim.exim()
        os.chmod(program, 0o4755)  # as its package has it: who receives is not root, and starts it again to deliver
        passwd, group = debian_exim.user_files(directory)
        uid = next(int(line.split(":")[2]) for line in passwd.read_text().splitlines() if line.startswith(debian_exim.USER + ":"))
        for name in ("spool", "log"):
            os.chown(directory / name, uid, uid)
        shutil.chown(directory / "mail", MAIL_USER)
        for source, name in ((certificate, "cert.pem"), (key, "key.pem")):
            shutil.copy(source, directory / name)
            os.chown(directory / name, uid, uid)
        (directory / "lib/exim4/config.autogenerated").write_text(f"""exim_path = {program}
primary_hostname = mx.example.test
spool_directory = {directory}/spool
log_file_path = {directory}/log/%slog
pid_file_path = {directory}/pid
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
tls_advertise_hosts = *
tls_certificate = {directory}/cert.pem
tls_privatekey = {directory}/key.pem
tls_resumption_hosts = *
smtp_accept_max = 5000
smtp_connect_backlog = 1000
smtp_accept_queue_per_connection = 0
rfc1413_query_timeout = 0s
keep_environment =
acl_smtp_rcpt = accept

begin routers

users:
  driver = accept
  domains = example.test
  local_parts = user
  transport = maildir

begin transports

maildir:
  driver = appendfile
  directory = {directory}/mail/user
  maildir_format
  create_directory
  user = {MAIL_USER}
  group = nogroup
""")
        see = " && ".join(f"mount --bind {shlex.quote(str(ours))} {theirs}" for ours, theirs in (
            (passwd, "/etc/passwd"), (group, "/etc/group"), (directory / "lib", "/var/lib")))
        with open(directory / "stderr", "wb") as stderr:
            self.process = subprocess.Popen(["unshare", "--mount", "--propagation", "private", "sh", "-c", see + ' && exec "$@"', "sh",
                                             program, "-bdf"], stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr,
                                            preexec_fn=self.account.enter)
        self.account.roots = [self.process.pid]
        wait_for("Exim", lambda: self.alive() and listening(port), 20)

    def alive(self):
        if self.process.poll() is not None:
            sys.exit(f"Exim ended: {(self.directory / 'stderr').read_text()}")
        return True

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        self.account.remove()


# name: what it is called in the table, arguments of load, whether messages arrive, targets: rate at least and CPU at most, as parts of
# Postfix's, and whether the time of the slowest in a hundred connections must be shorter than all others'
SCENARIOS = {
    "handshake": ("STARTTLS handshakes", ["handshake", "--tls", "starttls"], False, (None, 1 / 3, True)),
    "resumed": ("STARTTLS handshakes, resumed", ["handshake", "--tls", "starttls", "--resume"], False, (None, 1 / 5, True)),
    "plain_1": ("clear, 1 message a connection", ["mail"], True, (None, None, False)),
    "starttls_1": ("STARTTLS, 1 message a connection", ["mail", "--tls", "starttls"], True, (3, 1 / 4, False)),
    "starttls_20": ("STARTTLS, 20 messages a connection", ["mail", "--tls", "starttls", "--per", "20"], True, (None, None, False)),
    "starttls_20_p": ("the same, pipelined", ["mail", "--tls", "starttls", "--per", "20", "--pipeline"], True, (None, None, False)),
}


def figures_of(line):
    return {name: float(value) for name, value in re.findall(r"(\w+)=([\d.]+)", line)}


def measure(server, load, arguments, delivers, options):
    """One scenario once: rate from the first connection to the last delivery, CPU ms an operation, latency of the connections."""
    there = len(os.listdir(server.new)) if server.new.exists() else 0  # they stay: removing them would slow the next ones
    before = server.account.quiet_cpu()
    begun = time.monotonic()
    done = subprocess.run([load, *arguments, "--port", str(server.port), "--count", str(options.count),
                           "--connections", str(options.connections), "--size", str(options.size)], stdout=subprocess.PIPE, text=True)
    server.alive()
    figures = figures_of(done.stdout)
    if figures.get("failed", 1):
        print(f"{server.name}: {shlex.join(arguments)}: {done.stdout.strip()}", file=sys.stderr)
    count = figures["done"]
    if "--resume" in arguments and figures["resumed"] < count - options.connections:
        sys.exit(f"{server.name} resumed only {figures['resumed']:.0f} of {count:.0f} sessions: this is no measurement of that")
    if delivers:
        wait_for(f"{count:.0f} messages in {server.new}", lambda: len(os.listdir(server.new)) - there >= count if server.new.exists()
                 else False, interval=0.01)
    took = time.monotonic() - begun
    cpu = server.account.quiet_cpu() - before
    return {"rate": count / took, "cpu_ms": cpu * 1000 / count, "p50_ms": figures["p50_ms"], "p99_ms": figures["p99_ms"],
            "failed": figures["failed"]}


def idle(server, load, options):
    """Kilobytes a held TLS connection costs."""
    server.account.quiet_cpu()
    before = server.account.memory()
    with subprocess.Popen([load, "idle", "--tls", "starttls", "--port", str(server.port), "--connections", str(options.idle)],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
        held = figures_of(client.stdout.readline())
        server.account.quiet_cpu()
        after = server.account.memory()
        client.stdin.close()
        client.wait()
    return {"held": held.get("held", 0), "kb": (after - before) / 1024 / max(held.get("held", 0), 1)}


def ratio(a, b):
    return f"{a / b:.2f}" if b else "-"


def judge(rows, targets):
    """The targets in words, and whether Postern meets them."""
    rate, cpu, quickest = targets
    mine, postfix = rows["Postern"], rows.get("Postfix")
    others = [row["p99_ms"] for name, row in rows.items() if name != "Postern"]
    checks = []
    if rate and postfix:
        checks.append((f"rate >= {rate}", mine["rate"] >= rate * postfix["rate"]))
    if cpu and postfix:
        checks.append((f"CPU <= {cpu:.2f}", mine["cpu_ms"] <= cpu * postfix["cpu_ms"]))
    if quickest and others:
        checks.append(("least p99", mine["p99_ms"] < min(others)))
    good = all(met for _, met in checks)
    return (", ".join(words for words, _ in checks) + (": met" if good else ": MISSED") if checks else ""), good


def table(results, servers):
    """Rows of the medians, with Postern's ratio to each of the others, and whether the targets are met."""
    names = [server.name for server in servers]
    others = [name for name in names if name != "Postern"] if "Postern" in names else []
    print("\n| | " + " | ".join([f"{name}: per s | CPU ms | p99 ms" for name in names]
                                + [f"rate, CPU to {name}" for name in others] + (["target"] if others else [])) + " |")
    print("| --- |" + " ---: |" * (3 * len(names) + len(others) + bool(others)))
    missed = []
    for key, (title, _, _, targets) in SCENARIOS.items():
        if key not in results:
            continue
        rows = {name: {figure: statistics.median(one[figure] for one in results[key][name]) for figure in ("rate", "cpu_ms", "p99_ms")}
                for name in names}
        cells = [f"{rows[name]['rate']:.0f} | {rows[name]['cpu_ms']:.3f} | {rows[name]['p99_ms']:.0f}" for name in names]
        for name in others:
            cells.append(f"{ratio(rows['Postern']['rate'], rows[name]['rate'])}, {ratio(rows['Postern']['cpu_ms'], rows[name]['cpu_ms'])}")
        if others:
            verdict, good = judge(rows, targets)
            missed += [] if good else [title]
            cells.append(verdict)
        print(f"| {title} | " + " | ".join(cells) + " |")
    for name in names:
        if "idle" in results:
            one = results["idle"][name]
            limit = " (target: under 64 KB)" if name == "Postern" else ""
            print(f"{name}: an idle TLS connection costs {one['kb']:.1f} KB, kernel included; {one['held']:.0f} held{limit}")
            if limit and one["kb"] >= 64:
                missed.append("idle memory")
    return missed


def main():
    parser = argparse.ArgumentParser(description="Postern, Postfix and Exim side by side in one run")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--idle", type=int, default=1000)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--ports", type=int, nargs=3, default=[24525, 24526, 24527])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", action="append", choices=["postern", "postfix", "exim"])
    parser.add_argument("--scenario", action="append", choices=[*SCENARIOS, "idle"])
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("bench: needs root, for Postfix and for the accounts of CPU and memory")
    # A directory of its own each run, and the ones before are left to `make clean`: for half a minute after many files were
    # removed ext4 passes over their inodes one by one at each new file, which would be counted to the servers.
    global WORK
    WORK = WORK / time.strftime("%Y%m%d-%H%M%S")
    WORK.mkdir(parents=True)
    # Each server in block groups of its own (chattr +T spreads what is below), so that none passes over another's inodes.
    subprocess.run(["chattr", "+T", WORK], stderr=subprocess.DEVNULL)
    load, certificate, key = WORK / "load", WORK / "cert.pem", WORK / "key.pem"
    run(os.environ.get("CC", "gcc"), "-std=gnu17", "-O2", "-o", load, TREE / "bench/load.c", TREE / "bench/login.c", "-lssl", "-lcrypto",
        "-lpthread", "-lmimalloc")  # the generator shares the processors: what it saves, both servers get
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
        "-subj", "/CN=mx.example.test", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate)
    kinds = [kind for kind in (Postfix, Exim, Postern) if not options.only or kind.name.lower() in options.only]
    wanted = options.scenario or [*SCENARIOS, "idle"]
    servers, results = [], {}
    try:
        for kind, port in zip(kinds, options.ports):
            servers.append(kind(WORK / kind.name.lower(), certificate, key, port))
        for server in servers:  # first use of everything
            subprocess.run([load, "mail", "--tls", "starttls", "--port", str(server.port), "--count", "100"], stdout=subprocess.DEVNULL)
        for key in (key for key in SCENARIOS if key in wanted):
            _, arguments, delivers, _ = SCENARIOS[key]
            results[key] = {server.name: [] for server in servers}
            for number in range(options.rounds):
                for server in servers:
                    figures = measure(server, load, arguments, delivers, options)
                    results[key][server.name].append(figures)
                    print(f"{key} {number + 1}/{options.rounds} {server.name}: " +
                          " ".join(f"{name}={value:.3f}" for name, value in figures.items()), file=sys.stderr)
        if "idle" in wanted:
            results["idle"] = {server.name: idle(server, load, options) for server in servers}
    finally:
        for server in servers:
            server.stop()
    missed = table(results, servers)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))
    if missed:
        print("missed: " + ", ".join(missed))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

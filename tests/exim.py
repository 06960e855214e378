# SPDX-License-Identifier: ISC
"""Debian's Exim as an oracle for expansions.

Its package conflicts with every other mail server, so it is not installed: the package is fetched with `apt-get download` and
unpacked below the build directory. The program insists on a user of its own, which libnss-wrapper pretends to have.
"""
import fcntl
import os
import subprocess
from pathlib import Path

from harness import replace_file

TREE = Path(__file__).resolve().parent.parent
USER = "Debian-exim"


def place():
    """Where the package is unpacked: EXIM_DIRECTORY, or below the directory of the program that is tested."""
    given = os.environ.get("EXIM_DIRECTORY")
    if given:
        return Path(given)
    built = Path(os.environ.get("POSTERN", TREE / "build-check" / "postern")).resolve().parent
    return built / "exim"


def unpack(directory, package="exim4-daemon-heavy"):
    done = subprocess.run(["apt-get", "-q", "-y", "download", package], cwd=directory, capture_output=True, text=True)
    packages = sorted(directory.glob(package + "_*.deb"))
    if not packages:
        raise RuntimeError(f"apt-get could not download {package}: " + done.stderr.strip())
    subprocess.run(["dpkg-deb", "-x", packages[-1], directory / "root"], check=True)


def user_files(directory):
    """The system's users and groups, and Exim's. An Exim beside us may read them: a file is whole at any time, and replaced only to change."""
    added = {"passwd": f"{USER}:x:65533:65533::/nonexistent:/usr/sbin/nologin\n", "group": f"{USER}:x:65533:\n"}
    for name, line in added.items():
        text = Path("/etc", name).read_text() + line
        if not (directory / name).exists() or (directory / name).read_text() != text:
            replace_file(directory / name, text.encode())
    return directory / "passwd", directory / "group"


def exim():
    """The program and the environment to run it in; unpacks it first if need be."""
    directory = place()
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / "lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        program = directory / "root/usr/sbin/exim4"
        if not program.exists():
            unpack(directory)
        passwd, group = user_files(directory)
    environment = {**os.environ, "LD_PRELOAD": "libnss_wrapper.so", "NSS_WRAPPER_PASSWD": str(passwd),
                   "NSS_WRAPPER_GROUP": str(group), "LC_ALL": "C.UTF-8"}
    return str(program), environment


def debian_template():
    """Debian's template of Exim's configuration, of its package exim4-config; unpacked first if need be."""
    directory = place()
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / "lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        template = directory / "root/etc/exim4/exim4.conf.template"
        if not template.exists():
            unpack(directory, "exim4-config")
    return template

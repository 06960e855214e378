# SPDX-License-Identifier: ISC
"""${if pam}: PAM's modules by a service file of the test's own, in `postern expand` and in a running server, where a role of its own asks them."""
import ctypes
import grp
import os
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from harness import DEADLINE, POSTERN, ROOT, SANITIZER, alive, children, end_with_us, proc_status, wait_for

CHECK = r"""
while read -r user password; do
  if [ "$user" = "$PAM_USER" ] && [ "$password" = "$given" ]; then exit 0; fi
done < "$0.users"
exit 1
"""


class Service:
    """A directory with a service file; the module pam_exec asks a script that knows two users."""

    def __init__(self, directory):
        self.dir = directory / "pam"
        self.dir.mkdir()
        self.file, script = self.dir / "postern", self.dir / "check"
        script.write_text("#!/bin/sh\nIFS= read -r given; given=$(printf %s \"$given\" | tr -d '\\000')\n" + CHECK)
        (self.dir / "check.users").write_text("anna right\nbert pass:word\n")
        self.exec = f"pam_exec.so quiet expose_authtok /bin/sh {script}"
        self.write(f"auth sufficient {self.exec}\nauth required pam_deny.so\naccount required pam_permit.so\n")
        for path in (self.dir, self.file, script):
            path.chmod(0o755)

    def write(self, text):
        self.file.write_text(text)
        self.file.chmod(0o644)


@pytest.fixture
def service(tmp_path):
    for parent in (tmp_path, *tmp_path.parents):
        if ROOT and parent.is_relative_to(tempfile.gettempdir()) and parent != Path(tempfile.gettempdir()):
            parent.chmod(0o755)  # for the role's user
    return Service(tmp_path)


def expand(tmp_path, service, *texts):
    conf = tmp_path / "postern.conf"
    conf.write_text(f"primary_hostname = mx.example.test\npam_service = {service.file}\nspool_directory = {tmp_path}/spool\n")
    done = subprocess.run([POSTERN, "expand", "-c", str(conf), *texts], capture_output=True, timeout=DEADLINE,
                          env={**os.environ, **SANITIZER})
    return done.stdout.decode().splitlines(), done.stderr.decode()


def test_answers_of_the_list_decide(tmp_path, service):
    cases = [
        ("anna:right", "yes"), ("anna:wrong", "no"), ("anna:", "no"), ("anna", "no"), ("bert:right", "no"),
        ("bert:pass::word", "yes"), ("bert:${listquote{:}{pass:word}}", "yes"), ("bert:pass:word", "no"),
        (" anna : right ", "yes"), ("", "no"), (":right", "no"), ("nobody:right", "no"),
        ("<;anna;right", "no"),  # the separator cannot be chosen, for the text is a client's
    ]
    texts = ["${if pam{%s}{yes}{no}}" % text for text, _ in cases]
    lines, errors = expand(tmp_path, service, *texts)
    assert lines == [result for _, result in cases], errors


def test_accounts_that_pam_refuses_are_not_accepted(tmp_path, service):
    service.write(f"auth sufficient {service.exec}\nauth required pam_deny.so\naccount required pam_deny.so\n")
    assert expand(tmp_path, service, "${if pam{anna:right}{yes}{no}}")[0] == ["no"]


def test_what_pam_cannot_tell_is_a_temporary_error(tmp_path, service):
    service.write("auth required pam_no_such_module.so\naccount required pam_permit.so\n")
    lines, errors = expand(tmp_path, service, "${if pam{anna:right}{yes}{no}}")
    assert "yes" not in lines and "no" not in lines and "pam:" in "\n".join(lines) + errors, (lines, errors)


def test_names_of_services_that_lead_elsewhere_are_refused(tmp_path):
    conf = tmp_path / "postern.conf"
    for name in ("../shadow", ".", "a/b", "/etc/pam.d/", "a b"):
        conf.write_text(f"primary_hostname = mx.example.test\npam_service = {name}\n")
        done = subprocess.run([POSTERN, "check", "-c", str(conf)], capture_output=True, timeout=DEADLINE)
        assert done.returncode == 2 and b"pam_service" in done.stderr, name


def test_a_rehearsed_session_asks_pam_too(tmp_path, service):
    conf = tmp_path / "postern.conf"
    conf.write_text(f"primary_hostname = mx.example.test\npam_service = {service.file}\nspool_directory = {tmp_path}/spool\n"
                    "smtp_banner = ${if pam{anna:right}{right}{}} ${if pam{anna:wrong}{}{wrong}}\n")
    done = subprocess.run([POSTERN, "session", "-c", str(conf), "192.0.2.1"], input=b"QUIT\r\n", capture_output=True, timeout=DEADLINE,
                          env={**os.environ, **SANITIZER})
    assert b"220 right wrong" in done.stdout, done.stdout + done.stderr


ACL = """
begin acl

check_rcpt:
  deny condition = ${if pam{$local_part:$sender_address_local_part}{no}{yes}}
       message = PAM does not know you
  accept
"""


@pytest.fixture
def running(server, service):
    return server(main={"pam_service": service.file, "acl_smtp_rcpt": "check_rcpt"}, extra="", routers=None, start=False), service


def start(running):
    one, service = running
    one.configure()
    one.conf.write_text(one.conf.read_text() + ACL)
    return one.start(), service


def answer(one, user, password):
    with one.connect() as client:
        client.ehlo()
        client.expect(250, f"MAIL FROM:<{password}@client.test>")
        return client.cmd(f"RCPT TO:<{user}@example.test>")


def test_a_role_of_its_own_asks_pam(running):
    one, service = start(running)
    (service.dir / "check.users").write_text("user right\n")
    assert "pam" in one.roles()
    assert answer(one, "user", "right")[0] == 250
    code, texts = answer(one, "user", "wrong")
    assert code == 550 and texts == ["PAM does not know you"]
    status = proc_status(one.role("pam"))
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
    if ROOT:
        assert set(status["Uid"].split()) != {"0"}
        assert status["Uid"].split()[0] not in {proc_status(one.role(name))["Uid"].split()[0] for name in ("front", "lookup", "queue")}


def test_a_check_that_nobody_waits_for_any_more_is_ended(running):
    one, service = start(running)
    (service.dir / "check").write_text("#!/bin/sh\nread -r line < /dev/zero\n")
    with one.connect() as client:
        client.ehlo()
        client.expect(250, "MAIL FROM:<right@client.test>")
        client.send("RCPT TO:<user@example.test>\r\n")
        checks = wait_for("the process of the check", lambda: children(one.role("pam")))
        for name, pid in one.roles().items():
            if name.startswith("front"):
                os.kill(pid, signal.SIGKILL)
        wait_for("its end", lambda: not [pid for pid in checks if alive(pid)])


def test_without_the_condition_there_is_no_such_role(running):
    one, service = start(running)
    assert "pam" in one.roles()
    one.configure({"acl_smtp_rcpt": None})
    one.reload()
    wait_for("the end of the role", lambda: "pam" not in one.roles())
    one.configure({"smtp_banner": "${if pam{anna:right}{yes}{no}}"})
    one.reload()
    wait_for("PAM's word in the banner", lambda: banner(one) == "yes")


def banner(one):
    with one.connect() as client:
        return "\n".join(client.banner[1])


# ---- pam_unix ----

def see_instead(files):
    """For Popen, as root: the process and its children see these files in place of others; nobody else does."""
    libc = ctypes.CDLL(None, use_errno=True)
    new_mounts, bind, private = 0x20000, 4096, 0x44000

    def before():
        end_with_us()
        if libc.unshare(new_mounts) or libc.mount(b"none", b"/", None, private, None):
            os._exit(71)
        for theirs, ours in files.items():
            if libc.mount(os.fsencode(ours), theirs.encode(), None, bind, None):
                os._exit(72)
    return before


def accounts(directory, groups):
    """Files with a user `user` whose password is "right", and a user for the pam role, who is a member of the groups."""
    directory.mkdir()
    hashed = subprocess.run(["openssl", "passwd", "-6", "right"], capture_output=True, text=True, check=True).stdout.strip()
    shadow_id = grp.getgrnam("shadow").gr_gid
    texts = {
        "passwd": "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\nuser:x:61201:61201::/:/bin/sh\npostern-pam:x:61202:61202::/:/bin/false\n",
        "group": f"root:x:0:\nnogroup:x:65534:\nuser:x:61201:\npostern-pam:x:61202:\nshadow:x:{shadow_id}:{','.join(groups)}\n",
        "shadow": f"root:*:19000:0:99999:7:::\nuser:{hashed}:19000:0:99999:7:::\n",
    }
    for name, text in texts.items():
        (directory / name).write_text(text)
        (directory / name).chmod(0o640 if name == "shadow" else 0o644)
    os.chown(directory / "shadow", 0, shadow_id)
    return {f"/etc/{name}": directory / name for name in texts}


@pytest.mark.parametrize("groups", [["postern-pam"], []], ids=["in group shadow", "not in it"])
def test_the_systems_passwords_are_checked_where_the_roles_user_may_read_them(running, tmp_path, groups):
    one, service = running
    service.write("auth required pam_unix.so\naccount required pam_unix.so\n")
    one.configure()
    one.conf.write_text(one.conf.read_text() + ACL)
    if ROOT:
        one.start(before=see_instead(accounts(tmp_path / "etc", groups)))
    else:
        one.start()  # as one user, who reads no passwords
    if ROOT and groups:
        assert [answer(one, *who)[0] for who in (("user", "right"), ("user", "wrong"), ("nobody", "right"))] == [250, 550, 550]
    else:
        for password in ("right", "wrong"):
            assert answer(one, "user", password)[0] in ((451,) if ROOT else (451, 550))

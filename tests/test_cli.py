# SPDX-License-Identifier: ISC
"""The commands: exit codes (0 done, 1 the answer is no, 2 usage or configuration), what their errors say, and make install."""
import base64
import os
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
from pathlib import Path

import pytest

from harness import POSTERN, SANITIZER, TREE, Maildir, Server, Smtp, free_ports, make_message


def postern(*arguments, **named):
    done = subprocess.run([POSTERN, *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
                          env={**os.environ, **SANITIZER, "ASAN_OPTIONS": "exitcode=99"}, **named)
    assert done.returncode != 99, done.stderr.decode()
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.fixture
def made():
    """What `postern init` makes. Below /tmp itself: pytest's own directories are closed to the users of roles."""
    ports, place = free_ports(3), Path(tempfile.mkdtemp(prefix="postern-test-init-"))
    directory = place / "made"
    code, out, err = postern("init", directory, "--domain", "example.test", "--user", "user", "--address", "127.0.0.1",
                             "--ports", ",".join(map(str, ports)))
    assert code == 0, out + err
    yield directory, ports, out
    shutil.rmtree(place)


def test_no_command_and_unknown_commands_are_usage_errors():
    code, out, err = postern()
    assert code == 2 and "check" in out and "init" in out and not err
    code, out, err = postern("chekc")
    assert code == 2 and "chekc" in err and re.search(r"\bcheck\b", err)


def test_help_names_every_command():
    code, out, err = postern("--help")
    assert code == 0
    for command in ("run", "check", "init"):
        assert re.search(rf"\b{command}\b", out)


def listed_commands():
    """Those of the list that `postern help` prints."""
    return re.findall(r"^  (\w+) ", postern("help")[1], re.MULTILINE)


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_each_command_has_its_help_behind_its_name(flag):
    names = listed_commands()
    assert {"run", "check", "init", "session", "expand", "user", "version"} <= set(names)
    for name in names:
        told = postern("help", name)
        assert told[0] == 0 and told[1].startswith(f"usage: postern {name}") and not told[2]
        assert postern(name, flag) == told, name


def test_help_may_follow_the_words_of_a_command():
    for words in (["user", "app-password", "add"], ["cert", "show"], ["ocsp", "fetch"], ["stats", "tls"]):
        assert postern(*words, "--help") == postern("help", words[0])


def test_a_value_that_looks_like_help_is_a_value():
    assert postern("expand", "--", "-h")[1] == "-h\n"


def test_the_help_of_session_has_every_flag_that_it_takes():
    told = postern("help", "session")[1]
    for flag in ("-oMa", "-oMi", "-oMs", "-oMt", "-oMaa", "-oMai"):
        assert re.search(rf"\[{flag} [A-Z]+\]", told) and re.search(rf"^  {flag} [A-Z]+ ", told, re.MULTILINE), flag
    assert postern("session", "-oMa", "300.1.1.1")[2].startswith("postern session: 300.1.1.1: expected an IP address")


def test_version_is_told():
    code, out, err = postern("--version")
    assert code == 0 and re.search(r"Postern \d+\.\d+", out)


def test_unknown_option_is_a_usage_error():
    for command in ("run", "check", "init"):
        code, out, err = postern(command, "--no-such-option")
        assert code == 2 and "no-such-option" in err, (command, code, err)


def test_init_makes_a_configuration_that_checks_and_runs(made, certificates):
    directory, ports, out = made
    for name in ("postern.conf", "tls/cert.pem", "tls/key.pem", "users", "spool", "log", "mail"):
        assert (directory / name).exists(), name
    assert (directory / "tls/key.pem").stat().st_mode & 0o077 == 0
    assert (directory / "users").read_text().split() == ["user"]
    code, checked, err = postern("check", "-c", directory / "postern.conf")
    assert code == 0, checked + err
    one = Server(certificates)
    shutil.rmtree(one.dir)
    directory.parent.chmod(0o755)
    one.dir, one.conf, one.log, one.stderr = directory, directory / "postern.conf", directory / "log/mainlog", directory / "stderr"
    one.spool, one.mail = directory / "spool", directory / "mail"
    one.start()
    try:
        context = ssl.create_default_context(cafile=str(directory / "tls/cert.pem"))
        # Other servers deliver to the first port; users send through the others, within TLS and after they have logged in.
        subprocess.run([POSTERN, "user", "add", "-c", one.conf, "user@example.test"], input=b"a long password\n", check=True, capture_output=True)
        login = "AUTH PLAIN " + base64.b64encode(b"\0user@example.test\0a long password").decode()
        for port in ports:
            message = make_message(f"port {port}", sender="user@example.test")
            with Smtp(port, tls=port == ports[1], context=context) as client:
                ehlo = client.ehlo() if port == ports[1] else client.ehlo() and client.starttls(context)
                if port == ports[0]:
                    client.expect(503, login)
                else:
                    assert "AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN" in ehlo
                    assert client.expect(530, "MAIL FROM:<sender@client.test>") == "Authentication required"
                    client.expect(235, login)
                client.deliver(message)
            Maildir(directory / "mail/example.test/user").holds(message)
        one.stop()
    finally:
        one.kill()


def test_init_overwrites_nothing(made):
    directory = made[0]
    before = {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}
    code, out, err = postern("init", directory, "--domain", "other.test")
    assert code in (1, 2) and str(directory) in err
    assert before == {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@pytest.mark.parametrize("arguments", [[], ["--domain"], ["--domain", "not a domain"], ["--domain", "x.test", "--ports", "70000,1,2"],
                                       ["--domain", "x.test", "--user", "a/../b"], ["--domain", "x.test", "--address", "300.1.1.1"]],
                         ids=["no-domain", "no-value", "bad-domain", "bad-port", "bad-user", "bad-address"])
def test_init_refuses_bad_arguments(tmp_path, arguments):
    code, out, err = postern("init", tmp_path / "x", *arguments)
    assert code == 2 and err, (code, out, err)
    assert not (tmp_path / "x" / "postern.conf").exists()


def test_check_reports_every_error_with_file_and_line(tmp_path):
    conf = tmp_path / "bad.conf"
    conf.write_text("primary_hostname = mx.test\nsmtp_acept_max = 5\nrecipients_max = many\nspool_directory = relative\n"
                    "begin routers\nr:\n  driver = accept\n  transport = missing\nbegin transports\n")
    code, out, err = postern("check", "-c", conf)
    assert code == 2, out + err
    for line, word in ((2, "smtp_accept_max"), (3, "recipients_max"), (8, "missing")):
        assert re.search(rf"bad\.conf:{line}\b.*{word}|bad\.conf.* line {line}\b.*{word}", err), (line, err)


def test_check_of_a_missing_file_says_so(tmp_path):
    code, out, err = postern("check", "-c", tmp_path / "none.conf")
    assert code == 2 and "none.conf" in err and "No such file" in err
    code, out, err = postern("run", "-c", tmp_path / "none.conf")
    assert code == 2 and "none.conf" in err


def test_run_refuses_a_broken_configuration(tmp_path):
    conf = tmp_path / "bad.conf"
    conf.write_text("nonsense\n")
    code, out, err = postern("run", "-c", conf)
    assert code == 2 and "nonsense" in err


def test_check_prints_options(made):
    conf = made[0] / "postern.conf"
    code, out, err = postern("check", "-c", conf, "--print", "message_size_limit")
    assert code == 0 and re.fullmatch(r"message_size_limit = 50M\n", out), (out, err)
    code, out, err = postern("check", "-c", conf, "--print")
    assert code == 0 and "smtp_accept_max = " in out and "tls_certificate = " in out
    code, out, err = postern("check", "-c", conf, "--print", "no_such_option")
    assert code in (1, 2) and "no_such_option" in err


def test_macro_from_the_command_line_overrides(made):
    conf = made[0] / "postern.conf"
    conf.write_text("LIMIT = 1M\nmessage_size_limit = LIMIT\n" + re.sub("(?m)^message_size_limit.*$", "", conf.read_text()))
    assert postern("check", "-c", conf, "--print", "message_size_limit")[1] == "message_size_limit = 1M\n"
    assert postern("check", "-c", conf, "-D", "LIMIT=2M", "--print", "message_size_limit")[1] == "message_size_limit = 2M\n"


def test_port_in_use_is_said_with_the_port(made):
    directory, ports, _ = made
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", ports[1]))
        s.listen()
        code, out, err = postern("run", "-c", directory / "postern.conf")
    log = directory / "log/mainlog"
    text = out + err + (log.read_text() if log.exists() else "")
    assert code not in (0, 99) and str(ports[1]) in text and "in use" in text, text


def test_unwritable_spool_is_said(made):
    directory = made[0]
    shutil.rmtree(directory / "spool")
    (directory / "spool").write_text("a file")
    code, out, err = postern("run", "-c", directory / "postern.conf")
    log = directory / "log/mainlog"
    assert code not in (0, 99) and "spool" in out + err + (log.read_text() if log.exists() else "")


def test_sandbox_in_force_is_told(made):
    code, out, err = postern("check", "-c", made[0] / "postern.conf")
    assert re.search("seccomp", out + err) and re.search("[Ll]andlock", out + err)


def test_install_puts_everything_below_destdir(tmp_path):
    destination = tmp_path / "root"
    build = os.path.dirname(POSTERN)
    subprocess.run([TREE / "tools/install.sh"], check=True, capture_output=True, cwd="/",
                   env={**os.environ, "BUILD": os.path.relpath(build, TREE), "PREFIX": "/usr", "DESTDIR": str(destination),
                        "UNITDIR": "/usr/lib/systemd/system"})
    installed = destination / "usr/sbin/postern"
    assert installed.stat().st_mode & 0o777 == 0o755
    assert subprocess.run([installed, "--version"], capture_output=True).returncode == 0
    for name in ("usr/lib/systemd/system/postern.service", "usr/lib/sysusers.d/postern.conf", "usr/lib/tmpfiles.d/postern.conf",
                 "usr/share/doc/postern/README.md"):
        assert (destination / name).is_file(), name
    assert "ExecStart=/usr/sbin/postern run" in (destination / "usr/lib/systemd/system/postern.service").read_text()


def test_systemd_makes_the_users_and_directories(tmp_path):
    """Below a root of the test's own: the users that the roles run as, and the places that belong to one of them or to root."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/group").write_text("root:x:0:\nadm:x:4:\n")
    for tool, file in ((["systemd-sysusers"], "sysusers"), (["systemd-tmpfiles", "--create"], "tmpfiles")):
        done = subprocess.run([*tool, f"--root={tmp_path}", TREE / f"dist/postern.{file}.conf"], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, (file, done.stderr)
    users = {line.split(":")[0] for line in (tmp_path / "etc/passwd").read_text().splitlines()}
    assert {f"postern-{role}" for role in ("front", "queue", "keeper", "lookup", "fetch", "run", "pam")} | {"vmail"} <= users
    for place in ("etc/postern", "var/spool/postern", "var/log/postern", "var/vmail"):
        assert (tmp_path / place).is_dir(), place


def test_unit_file_is_hardened_and_well_formed(tmp_path):
    unit = (TREE / "dist/postern.service").read_text()
    for setting in ("NoNewPrivileges=yes", "ProtectSystem=strict", "CapabilityBoundingSet=", "SystemCallFilter=", "PrivateTmp=yes",
                    "MemoryDenyWriteExecute=yes", "RestrictAddressFamilies="):
        assert setting in unit, setting
    assert shutil.which("systemd-analyze"), "systemd is missing: tools/deps.sh test"

    def complaints(text):
        copy = tmp_path / "postern.service"
        copy.write_text(text.replace("/usr/sbin/postern", POSTERN))
        done = subprocess.run(["systemd-analyze", "verify", "--recursive-errors=no", str(copy)], capture_output=True, text=True,
                              timeout=60)
        return [line for line in done.stderr.splitlines() if "postern.service" in line]

    assert complaints(unit) == []
    assert any("ProtectSytem" in line for line in complaints(unit.replace("ProtectSystem=", "ProtectSytem=")))


# ---- postern check looks at files ----

def warnings_of(tmp_path, **options):
    conf = tmp_path / "conf"
    conf.write_text("primary_hostname = mx.example.test\n" + "".join(f"{name} = {value}\n" for name, value in options.items()))
    code, out, err = postern("check", "-c", conf)
    return code, [line for line in err.splitlines() if "cannot be read" in line]


def test_check_looks_for_every_file_of_a_list_of_certificates_and_keys(tmp_path):
    for name in ("one.pem", "one.key", "two.pem", "two.key"):
        (tmp_path / name).write_text("")
    names = {"tls_certificate": f"{tmp_path}/one.pem : {tmp_path}/two.pem", "tls_privatekey": f"{tmp_path}/one.key : {tmp_path}/two.key"}
    assert warnings_of(tmp_path, **names) == (0, [])
    (tmp_path / "two.pem").unlink()
    (tmp_path / "one.key").unlink()
    code, told = warnings_of(tmp_path, **names)
    assert code == 0 and len(told) == 2, told
    assert f"option tls_certificate: {tmp_path}/two.pem cannot be read: there is no such file" in told[0] + told[1]
    assert f"option tls_privatekey: {tmp_path}/one.key cannot be read: there is no such file" in told[0] + told[1]


def test_check_takes_directories_of_certificates_and_looks_at_all_files_of_tls(tmp_path):
    directory = tmp_path / "certificates"
    assert warnings_of(tmp_path, tls_certificate=f"{directory}/")[1] == [
        f"warning: option tls_certificate: {directory}/ cannot be read: there is no such file"]
    directory.mkdir()
    assert warnings_of(tmp_path, tls_certificate=f"{directory}/") == (0, [])
    (tmp_path / "both.pem").write_text("")
    told = warnings_of(tmp_path, tls_certificate=tmp_path / "both.pem", tls_try_verify_hosts="*", tls_crl=tmp_path / "crl.pem",
                       tls_verify_certificates=tmp_path / "ca.pem", tls_dhparam=tmp_path / "dh.pem")[1]
    assert [re.search(r"option (\w+): .*/([\w.]+) cannot", line).groups() for line in told] == [
        ("tls_dhparam", "dh.pem"), ("tls_verify_certificates", "ca.pem"), ("tls_crl", "crl.pem")]


@pytest.mark.parametrize("keys, count", [("/a.key", 1), ("/a.key : /b.key : /c.key", 3)])
def test_check_refuses_fewer_or_more_keys_than_certificates(tmp_path, keys, count):
    conf = tmp_path / "conf"
    conf.write_text(f"primary_hostname = mx.example.test\ntls_certificate = /a.pem : /b.pem\ntls_privatekey = {keys}\n")
    code, out, err = postern("check", "-c", conf)
    assert code == 2 and f"{conf}:3: error: option tls_privatekey: {count} keys for 2 certificates" in err

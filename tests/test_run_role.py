# SPDX-License-Identifier: ISC
"""The run role: ${run} in a running server. What commands give, what they inherit and may touch, and what ends them."""
import os
import re
import signal
import threading
import time

import pytest

from harness import HEAVY, ROOT, Closed, alive, command_line, descriptors, make_message, proc_status, wait_for


def banner(one):
    with one.connect() as client:
        return "\n".join(client.banner[1])


@pytest.fixture
def running(server):
    """running(script, text, ...): a server with the script as COMMAND, whose banner is the text."""
    def make(script="exit 0", text="${run{COMMAND}{$value}{failed}}", main=None, start=True, **named):
        one = server(start=False, **named)
        one.bin = one.dir / "bin"
        one.bin.mkdir()
        write(one, "command", script)
        one.configure({"smtp_banner": text.replace("COMMAND", str(one.bin / "command")), **(main or {})})
        return one.start() if start else one
    return make


def write(one, name, script):
    path = one.bin / name
    path.write_text("#!/bin/sh\n" + script + "\n")
    path.chmod(0o755)
    return path


def processes(mark):
    """Processes with this in their command line."""
    return [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and mark in command_line(pid) and int(pid) != os.getpid()]


def unique():
    """Seconds to sleep for that name one test's processes."""
    return f"3{os.getpid()}.{time.monotonic_ns() % 10 ** 9:09d}"


def landlocked(one):
    return "no Landlock" not in one.log_text()


def test_without_run_there_is_no_such_role(server):
    assert "run" not in server().roles()


def test_output_exit_status_and_arguments(running):
    one = running('printf "%s|" "$@"; exit $1', "${run{COMMAND 3 'a b' \"c\" $pid\\$HOME}{yes}{no}} $runrc $value")
    text = banner(one)
    assert re.fullmatch(r"no 3 3\|a b\|c\|\d+\$HOME\|", text), text
    one.configure({"smtp_banner": "${run{%s 0}{yes $value}{no}} $runrc" % (one.bin / "command")})
    one.reload()
    wait_for("the new banner", lambda: banner(one) == "yes 0| 0")


def test_a_command_that_is_not_there_has_status_127(running):
    assert banner(running(text="${run{/nonexistent/command}{yes}{no}} $runrc")) == "no 127"
    assert banner(running(text="${run{COMMAND/x}{yes}{no}} $runrc")) == "no 127"


ACLS = """
begin acl

check_rcpt:
  deny local_parts = judged
    ! condition = ${run{COMMAND $local_part $sender_address}{yes}{no}}
    message = the command says $runrc: $value
  deny local_parts = named
    condition = ${run{$sender_address}{yes}{no}}
  deny local_parts = split
    condition = ${run,preexpand{COMMAND $sender_address}{yes}{no}}
  accept domains = +local_domains

begin routers
"""


def refusal(one, local_part, sender="sender@client.test"):
    with one.connect() as client:
        client.ehlo()
        client.expect(250, f"MAIL FROM:<{sender}>")
        return client.cmd(f"RCPT TO:<{local_part}@example.test>")


@pytest.fixture
def judging(running):
    one = running('echo "$1 $2"; test "$2" = good@client.test', "hello", main={"acl_smtp_rcpt": "check_rcpt"}, start=False)
    acls = ACLS.replace("COMMAND", str(one.bin / "command")).replace("begin routers\n", "")
    one.extra = acls
    one.configure()
    return one.start()


def test_an_acl_asks_a_command_and_what_a_peer_wrote_is_an_argument(judging):
    code, texts = refusal(judging, "judged", "$IFS|`id`&{x}@client.test")
    assert code == 550 and texts[0].startswith("the command says 1: judged $IFS|`id`&{x}@client.test"), texts
    assert refusal(judging, "user")[0] == 250
    assert refusal(judging, "judged", "good@client.test")[0] != 451


def test_what_a_peer_wrote_is_never_the_name_of_a_command_nor_split(judging):
    for local_part in ("named", "split"):
        start = judging.mark()
        assert refusal(judging, local_part, "/bin/sh@client.test")[0] == 451
        judging.wait_log(r"Tainted '.*/bin/sh@client\.test' \((command|command line)\) not permitted", start)


def test_routing_and_delivery_ask_too(running):
    """In the queue: the directory of a delivery comes from a command."""
    one = running("echo work", "hello", start=False)
    one.transports = f"""maildir:
  driver = appendfile
  directory = {one.mail}/${{sg{{${{run{{{one.bin}/command}}{{$value}}}}}}{{\\\\n}}{{}}}}
  maildir_format
  create_directory
""" + ("  user = nobody\n  group = nogroup\n" if ROOT else "")
    one.configure()
    one.start()
    one.send(make_message())
    wait_for("the message", lambda: list((one.mail / "work" / "new").glob("*")) if (one.mail / "work").exists() else [])


def test_the_environment_is_what_the_configuration_gives(running, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_MASTER", "x")
    monkeypatch.setenv("KEPT_FOR_COMMANDS", "kept")
    text = "${sg{${run{/usr/bin/env}{$value}}}{\\n}{ }}"
    words = banner(running(text=text)).split()
    assert [word.split("=")[0] for word in words] in (["PATH"], ["TZ", "PATH"]), words
    one = running(text=text, main={"keep_environment": "KEPT_*", "add_environment": "ADDED=1 : PATH=/bin"})
    assert set(banner(one).split()) - {f"TZ={os.environ.get('TZ')}"} == {"KEPT_FOR_COMMANDS=kept", "ADDED=1", "PATH=/bin"}
    pid = one.role("run")
    one.configure({"add_environment": "ADDED=2"})
    one.reload()
    wait_for("the new environment", lambda: "ADDED=2" in banner(one))
    assert one.role("run") != pid


def test_commands_inherit_no_descriptor_no_signal_and_no_privilege(running):
    one = running("ls -l /proc/self/fd | sed -n 's/.* \\([0-9]*\\) -> /\\1 /p'; grep -E '^(Sig(Blk|Ign)|NoNewPrivs|CapEff|Uid|Groups)' "
                  "/proc/self/status | tr '\\t' ' '; ulimit -c; pwd", "${sg{${run{COMMAND}{$value}}}{\\n}{;}}")
    lines = banner(one).split(";")
    opened = [line for line in lines if re.match(r"\d+ ", line)]
    assert opened[0] == "0 /dev/null" and opened[1].startswith("1 pipe:") and opened[2].startswith("2 pipe:"), lines
    assert not [line for line in opened[3:] if "/proc/" not in line], opened  # that of ls itself
    words = dict(line.split(":", 1) for line in lines if re.match(r"[A-Z]\w+:", line))
    own = 3 << 31  # signals 32 and 33 are the C library's own: no program can see or set them through it
    assert int(words["SigBlk"], 16) == 0 and int(words["SigIgn"], 16) & ~own == 0 and words["NoNewPrivs"].strip() == "1"
    assert int(words["CapEff"], 16) == 0 and lines[-3:-1] == ["0", "/"], lines
    if ROOT:
        users = {name: proc_status(pid)["Uid"].split()[0] for name, pid in one.roles().items()}
        uid = words["Uid"].split()[0]
        assert uid != "0" and uid == users.pop("run") and uid not in users.values() and not words["Groups"].strip()


def test_its_walls(running):
    one = running()
    banner(one)
    pid = one.role("run")
    status = proc_status(pid)
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
    assert all(int(status[kind], 16) == 0 for kind in ("CapEff", "CapPrm", "CapInh", "CapAmb"))
    if ROOT:
        for target in descriptors(pid).values():
            assert not target.startswith((str(one.spool), str(one.mail), one.key)), target


def test_spool_mail_keys_and_other_processes_are_out_of_reach(running):
    """Root: by users and Landlock, otherwise by Landlock alone."""
    one = running(text="hello", start=False)
    (one.mail / "closed").mkdir(mode=0o700)
    secret = one.dir / "secret"
    secret.mkdir(mode=0o700)
    (secret / "file").write_text("secret")
    write(one, "command", f"""
for path in {one.spool} {one.spool}/input {one.mail}/closed {secret}; do ls $path/ >/dev/null 2>&1 && echo "lists $path"; done
cat {one.key} {secret}/file 2>/dev/null
for path in {one.spool} {one.mail} {one.dir} {one.bin} /usr /etc; do (: > $path/written) 2>/dev/null && echo "writes $path"; done
(: >> {one.conf}) 2>/dev/null && echo "writes {one.conf}"
kill -0 $PPID 2>/dev/null; kill -9 {os.getpid()} 2>/dev/null && echo "signals"
unshare -U true 2>/dev/null && echo "makes namespaces"
echo done""")
    one.configure({"smtp_banner": "${sg{${run{%s/command}{$value}}}{\\n}{;}}" % one.bin})
    # As an ordinary user without Landlock nothing but that user's rights holds.
    if not ROOT:
        (one.bin / "command").write_text((one.bin / "command").read_text().replace(f"kill -9 {os.getpid()}", "kill -0 1"))
    one.start()
    text = banner(one)
    if ROOT or landlocked(one):
        assert text == "done;", text
    else:
        assert text.endswith("done;") and "namespaces" not in text


def test_the_directories_of_constant_arguments_can_be_read(running, tmp_path_factory):
    one = running(text="hello", start=False)
    data = one.dir / "data"
    data.mkdir()
    (data / "list").write_text("content")
    other = one.dir / "other"
    other.mkdir()
    (other / "list").write_text("unnamed")
    one.configure({"smtp_banner": "${run{/bin/cat %s/list}{$value}{no}} ${run{/bin/cat ${substr_0_1:/x}%s/list}{$value}{no}}"
                   % (data, str(other)[1:])})
    one.start()
    text = banner(one)
    assert text.startswith("content ")
    if landlocked(one):
        assert text == "content no"


def in_an_acl(one, condition):
    """The reply to RCPT when the ACL has that condition; the log names a reason for a failure."""
    one.extra = f"begin acl\n\ncheck_rcpt:\n  deny condition = {condition}\n    message = $value\n  accept\n"
    one.configure({"acl_smtp_rcpt": "check_rcpt"})
    one.start()
    return refusal(one, "user")


def test_a_command_that_the_configuration_does_not_have_is_refused(running):
    """One that only a computed text names: a front may ask for what the configuration itself has, and for nothing else."""
    one = running(text="hello", start=False)
    assert in_an_acl(one, "${run{%s/command}{${expand:\\N${run{/bin/echo}{yes}{no}}\\N}}{no}}" % one.bin)[0] == 451
    one.wait_log(r"/bin/echo is not the command of any \$\{run\}")


def test_a_command_that_a_signal_ends_fails(running):
    one = running("kill -9 $$", "hello", start=False)
    assert in_an_acl(one, "${run{%s/command}{yes}{no}}" % one.bin)[0] == 451
    one.wait_log(r"command killed by signal 9")


def test_what_a_command_leaves_in_the_background_goes_on(running):
    seconds = unique()
    one = running(f"sleep {seconds} >/dev/null 2>&1 & echo here", "${run{COMMAND}{$value}{no}}")
    assert "here" in banner(one)
    found = processes(seconds)
    assert len(found) == 1
    os.kill(found[0], signal.SIGKILL)


def test_commands_end_with_the_front_that_asked(running):
    """Its task is cancelled, and the process group killed: the command, its child and its grandchild."""
    seconds = unique()
    one = running(f"(sleep {seconds}; :) & sleep {seconds}")
    clients = [threading.Thread(target=lambda: pytest.raises(Exception, banner, one)) for _ in range(2)]
    for client in clients:
        client.start()
    wait_for("the sleeps", lambda: len(processes(seconds)) >= 4)
    for name, pid in one.roles().items():
        if name.startswith("front"):
            os.kill(pid, signal.SIGKILL)
    for client in clients:
        client.join(60)
    wait_for("the end of all sleeps", lambda: not processes(seconds))


# Only with HEAVY=1: it takes the minute that a command has; lookup_service_test has a shorter one.
def heavy_after_a_minute_a_command_and_all_that_it_started_is_killed(running):
    seconds = unique()
    one = running(f"(sleep {seconds}; :) & sleep {seconds}")
    began = time.monotonic()
    banner(one)
    assert time.monotonic() - began > 50
    wait_for("the end of all sleeps", lambda: not processes(seconds))


if HEAVY:
    test_after_a_minute_a_command_and_all_that_it_started_is_killed = heavy_after_a_minute_a_command_and_all_that_it_started_is_killed


def test_killed_it_comes_back(running):
    one = running("echo here", "${run{COMMAND}{$value}{no}}")
    assert "here" in banner(one)
    pid, start = one.role("run"), one.mark()
    os.kill(pid, signal.SIGKILL)
    one.wait_log(r"run \(pid \d+\) was killed by signal 9", start)
    assert "here" in banner(one) and one.role("run") != pid


def test_a_command_does_not_outlive_the_role(running):
    seconds = unique()
    one = running(f"exec sleep {seconds}")
    client = threading.Thread(target=lambda: banner(one))
    client.start()
    wait_for("the sleep", lambda: processes(seconds))
    os.kill(one.role("run"), signal.SIGKILL)
    wait_for("its end", lambda: not processes(seconds))
    client.join(60)


def test_a_reload_starts_the_role_and_another_ends_it(running):
    one = running("echo here", "hello")
    assert "run" not in one.roles()
    one.configure({"smtp_banner": "${run{%s/command}{$value}{no}}" % one.bin})
    one.reload()
    wait_for("the command's text", lambda: "here" in banner(one))
    first = one.role("run")
    one.configure({"smtp_banner": "hello again"})
    one.reload()
    wait_for("the end of the role", lambda: "run" not in one.roles() and not alive(first))
    assert banner(one) == "hello again"
    one.configure({"smtp_banner": "${run{%s/command}{$value}{no}}" % one.bin})
    one.reload()
    wait_for("the command's text", lambda: "here" in banner(one))
    assert "ended with status" not in one.log_text() and "killed" not in one.log_text()


def test_a_refused_reload_starts_nothing(running):
    one = running("echo here", "hello")
    one.configure({"smtp_banner": "${run{%s/command}{$value}{no}}" % one.bin, "spool_directory": one.dir / "elsewhere"})
    start = one.mark()
    one.reload()
    one.wait_log(r"reload refused", start)
    assert "run" not in one.roles() and banner(one) == "hello"


def test_many_commands_take_turns(running):
    """More clients than commands may run at a time: all are served, and never more run than that."""
    seconds = f"0.3{unique()[-6:]}"
    one = running(f"sleep {seconds}; echo here", main={"smtp_accept_max": 0, "front_processes": 2})
    texts, most = [], 0
    clients = [threading.Thread(target=lambda: texts.append(banner(one))) for _ in range(80)]
    for client in clients:
        client.start()
    while any(client.is_alive() for client in clients):
        most = max(most, len([pid for pid in processes(seconds) if command_line(pid).startswith("sleep")]))
        time.sleep(0.02)
    assert len(texts) == 80 and all("here" in text for text in texts), texts[:3]
    assert 1 <= most <= 32


def test_output_has_a_bound(running):
    """A megabyte of output comes over; an expansion then takes 64 KiB at most."""
    one = running("head -c 3000000 /dev/zero | tr '\\0' x", "hello", start=False)
    assert in_an_acl(one, "${run{%s/command}{yes}{no}}" % one.bin)[0] == 550
    one.wait_log(r"expand ACL message.*longer than 65536 bytes")


def test_it_ends_in_good_order_while_a_command_runs(running):
    seconds = unique()
    one = running(f"exec sleep {seconds}", main={"shutdown_timeout": "1s"})

    def ask():
        try:
            banner(one)
        except (Closed, OSError):
            pass
    client = threading.Thread(target=ask)
    client.start()
    wait_for("the sleep", lambda: processes(seconds))
    one.process.send_signal(signal.SIGTERM)
    assert one.process.wait(30) in (0, 1)
    one.process = None
    client.join(60)
    wait_for("the end of the command", lambda: not processes(seconds))

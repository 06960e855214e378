# SPDX-License-Identifier: ISC
"""The lookup role: its walls, its life and death under load, and what the fronts do with the names of hosts that it finds."""
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest

from dns_server import Liar
from harness import POSTERN, ROOT, Closed, Smtp, descriptors, make_message, proc_status, trace_of, wait_for


@pytest.fixture
def resolving(server, tmp_path):
    """resolving(text, ...): a server whose DNS is this unbound.conf, and that looks all hosts up."""
    def make(text, main=None, **named):
        path = tmp_path / "unbound.conf"
        path.write_text(text)
        os.chmod(tmp_path, 0o755)
        return server(main={"dns_config_file": path, "host_lookup": "*", "local_interfaces": "127.0.0.1", **(main or {})}, **named)
    return make


def arrival(one, source, helo="client.test"):
    """Sends a message from that address of loopback: its <= line in the log, and its Received: header."""
    start, message = one.mark(), make_message()
    with one.connect(source=source) as client:
        client.expect(250, f"EHLO {helo}")
        client.deliver(message)
        client.cmd("QUIT")
    line = one.wait_log(r"^.* <= .*$", start)[0]
    wait_for("the message", lambda: [text for text in one.maildir().read() if message.split(b"\r\n\r\n")[0].split(b"Message-ID: ")[1]
                                     in text])
    stored = next(text for text in one.maildir().read() if message.split(b"\r\n\r\n")[0].split(b"Message-ID: ")[1] in text)
    return line, trace_of(stored)


def test_a_confirmed_name_is_in_the_log_and_in_received(nsd, resolving):
    one = resolving(nsd.config())
    line, trace = arrival(one, "127.0.0.2")
    assert " H=two.signed.test (client.test) [127.0.0.2] P=esmtp " in line
    assert "Received: from two.signed.test ([127.0.0.2] helo=client.test)" in trace


def test_helo_that_is_the_hosts_name_is_not_repeated(nsd, resolving):
    one = resolving(nsd.config())
    line, trace = arrival(one, "127.0.0.2", "Two.Signed.Test")
    assert " H=two.signed.test [127.0.0.2] P=" in line
    assert "Received: from two.signed.test ([127.0.0.2])" in trace


def test_helo_that_is_the_address_is_not_repeated(nsd, resolving):
    one = resolving(nsd.config(), main={"host_lookup": None})
    line, trace = arrival(one, "127.0.0.2", "[127.0.0.2]")
    assert " H=[127.0.0.2] P=" in line and "Received: from [127.0.0.2]\n" in trace


def test_only_names_that_lead_back_count(nsd, resolving):
    one = resolving(nsd.config())
    start = one.mark()
    line, _ = arrival(one, "127.0.0.6")  # two PTR records: the address of one is another
    assert " H=six-b.signed.test (client.test) [127.0.0.6] " in line
    line, trace = arrival(one, "127.0.0.3")
    assert " H=(client.test) [127.0.0.3] " in line and "Received: from [127.0.0.3] (helo=client.test)" in trace
    one.wait_log(r"127\.0\.0\.3 does not match any IP address for elsewhere\.signed\.test", start)
    line, _ = arrival(one, "127.0.0.5")
    assert " H=(client.test) [127.0.0.5] " in line
    one.wait_log(r"127\.0\.0\.5 does not match any IP address for nowhere\.signed\.test", start)


def test_no_name_is_told_once_and_mail_flows(nsd, resolving):
    one = resolving(nsd.config())
    start = one.mark()
    line, _ = arrival(one, "127.0.0.9")
    assert " H=(client.test) [127.0.0.9] " in line
    assert one.log_text(start).count("no host name found for IP address 127.0.0.9") == 1


def test_a_bogus_name_is_not_known_for_now(nsd, resolving):
    one = resolving(nsd.config())
    start = one.mark()
    line, _ = arrival(one, "127.0.0.7")
    assert " H=(client.test) [127.0.0.7] " in line
    assert "www.broken.test" in one.wait_log(r"host name of \[127\.0\.0\.7\] not known for now: .*$", start)[0]


def test_hosts_outside_of_the_list_are_not_looked_up(resolving):
    liar = Liar("silent")
    one = resolving(liar.config() + 'server:\n  local-zone: "127.in-addr.arpa." nodefault\n',
                    main={"host_lookup": "!127.0.0.2 : *", "dns_retrans": "1s", "dns_retry": 1})
    arrival(one, "127.0.0.2")
    assert liar.questions == 0
    arrival(one, "127.0.0.4")
    assert liar.questions > 0
    liar.close()


def test_the_banner_can_name_the_host(nsd, resolving):
    """A reference to $sender_host_name looks the name up, without host_lookup."""
    one = resolving(nsd.config(), main={"host_lookup": None, "smtp_banner": "hello $sender_host_name"})
    with one.connect(source="127.0.0.2") as client:
        assert client.banner[1] == ["hello two.signed.test"]


@pytest.mark.parametrize("mode", ["down", "silent", "garbage", "servfail"])
def test_a_broken_dns_delays_but_does_not_stop_mail(resolving, mode):
    liar = Liar("silent" if mode == "down" else mode)
    if mode == "down":
        liar.close()
    one = resolving(liar.config() + 'server:\n  local-zone: "127.in-addr.arpa." nodefault\n',
                    main={"dns_retrans": "1s", "dns_retry": 1})
    start = one.mark()
    line, _ = arrival(one, "127.0.0.2")
    assert " H=(client.test) [127.0.0.2] " in line
    one.wait_log(r"host name of \[127\.0\.0\.2\] not known for now", start)
    liar.close()


def test_many_clients_with_a_silent_dns_are_all_served(resolving):
    liar = Liar("silent")
    one = resolving(liar.config() + 'server:\n  local-zone: "127.in-addr.arpa." nodefault\n',
                    main={"dns_retrans": "2s", "dns_retry": 1, "smtp_accept_max": 0})
    clients = [Smtp(one.smtp, banner=False, source=f"127.0.{i // 200 + 1}.{i % 200 + 1}") for i in range(300)]
    for client in clients:
        assert client.reply()[0] == 220
    for client in clients:
        client.close()
    liar.close()


def test_more_questions_than_it_takes_are_refused_and_the_sessions_go_on(resolving):
    """One front and the queue ask: a front may have half of the thousand questions, 600 clients are more."""
    liar = Liar("silent")
    one = resolving(liar.config() + 'server:\n  local-zone: "127.in-addr.arpa." nodefault\n',
                    main={"dns_retrans": "4s", "dns_retry": 1, "smtp_accept_max": 0, "front_processes": 1})
    start = one.mark()
    clients = [Smtp(one.smtp, banner=False, source=f"127.0.{i // 200 + 1}.{i % 200 + 1}") for i in range(600)]
    for client in clients:
        assert client.reply()[0] == 220
        client.close()
    text = one.log_text(start)
    assert text.count("too many lookups are under way") >= 90, text[-2000:]
    assert text.count("in time") >= 400, text[-2000:]
    liar.close()


def test_its_walls(nsd, resolving):
    one = resolving(nsd.config())
    arrival(one, "127.0.0.2")
    pid = one.role("lookup")
    status = proc_status(pid)
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
    assert all(int(status[kind], 16) == 0 for kind in ("CapEff", "CapPrm", "CapInh", "CapAmb"))
    if ROOT:
        others = {proc_status(other)["Uid"] for name, other in one.roles().items() if name != "lookup"}
        assert status["Uid"] not in others and status["Uid"].split()[0] != "0" and status["Groups"].split() in ([], [status["Gid"].split()[0]])
        own = {f"{one.spool}/limits/table.{n}" for n in (0, 1)}  # what it writes, and all of the spool that it has
        assert own <= set(descriptors(pid).values())
        for target in set(descriptors(pid).values()) - own:
            assert not target.startswith((str(one.spool), str(one.mail), one.key)), target


def test_killed_it_comes_back_and_names_are_found_again(nsd, resolving):
    one = resolving(nsd.config())
    arrival(one, "127.0.0.2")
    pid, start = one.role("lookup"), one.mark()
    os.kill(pid, signal.SIGKILL)
    one.wait_log(r"lookup \(pid \d+\) was killed by signal 9", start)
    line, _ = arrival(one, "127.0.0.2")
    assert " H=two.signed.test " in line
    assert one.role("lookup") != pid


def test_killed_again_and_again_under_load_no_session_hangs(nsd, resolving):
    one = resolving(nsd.config())
    done, failures = [], []
    ended = threading.Event()

    def work():
        while not ended.is_set():
            try:
                with one.connect(source="127.0.0.2") as client:
                    client.ehlo()
                    client.deliver(make_message(), "alice@example.test")
                    client.cmd("QUIT")
                done.append(1)
            except (AssertionError, Closed, OSError) as problem:
                failures.append(problem)
    workers = [threading.Thread(target=work) for _ in range(8)]
    for worker in workers:
        worker.start()
    for _ in range(4):
        before = len(done)
        wait_for("messages to flow", lambda: len(done) > before + 5)
        pid = one.role("lookup")
        os.kill(pid, signal.SIGKILL)
        wait_for("its successor", lambda: one.roles().get("lookup") not in (None, pid))
    ended.set()
    for worker in workers:
        worker.join(60)
        assert not worker.is_alive()
    assert not failures, failures[:3]
    one.wait_empty()


def test_a_reload_takes_another_dns_into_use(nsd, resolving, tmp_path):
    one = resolving(nsd.config())
    line, _ = arrival(one, "127.0.0.2")
    assert "two.signed.test" in line
    liar = Liar("nxdomain")
    (tmp_path / "unbound.conf").write_text(liar.config() + 'server:\n  local-zone: "127.in-addr.arpa." nodefault\n')
    pid = one.role("lookup")
    one.reload()
    wait_for("the new resolver", lambda: " H=(client.test) " in arrival(one, "127.0.0.2")[0])
    assert liar.questions > 0 and one.role("lookup") == pid
    liar.close()


def test_a_reload_with_a_wrong_dns_file_is_refused_and_the_old_stays(nsd, resolving, tmp_path):
    one = resolving(nsd.config())
    (tmp_path / "unbound.conf").write_text("server:\n  nonsense: 1\n")
    start = one.mark()
    one.reload()
    one.wait_log(r"line 2: unknown keyword 'nonsense'", start)
    one.wait_log(r"reload refused", start)
    line, _ = arrival(one, "127.0.0.2")
    assert " H=two.signed.test " in line


def test_reload_while_questions_are_under_way(resolving, tmp_path):
    liar = Liar("silent")
    text = liar.config() + 'server:\n  local-zone: "127.in-addr.arpa." nodefault\n'
    one = resolving(text, main={"dns_retrans": "3s", "dns_retry": 1})
    clients = [Smtp(one.smtp, banner=False, source=f"127.0.1.{i + 1}") for i in range(20)]
    wait_for("questions", lambda: liar.questions > 0)
    one.reload()
    for client in clients:
        assert client.reply()[0] == 220
        client.close()
    liar.close()


@pytest.mark.parametrize("text, complaint", [("server:\n  nonsense: 1\n", "line 2: unknown keyword"), ("include: /x\n", "line 1: include")])
def test_check_names_the_line_of_a_wrong_dns_file(server, tmp_path, text, complaint):
    (tmp_path / "unbound.conf").write_text(text)
    one = server(start=False, main={"dns_config_file": tmp_path / "unbound.conf"})
    done = subprocess.run([POSTERN, "check", "-c", str(one.conf)], capture_output=True, timeout=60)
    assert done.returncode == 2 and complaint in (done.stdout + done.stderr).decode()


def test_byaddr_uses_the_file_of_hosts(server):
    assert "127.0.0.1" in Path("/etc/hosts").read_text(), "/etc/hosts does not name 127.0.0.1"
    one = server(main={"host_lookup": "*", "host_lookup_order": "byaddr"})
    line, _ = arrival(one, None)
    assert re.search(r" H=\S+ \(client\.test\) \[127\.0\.0\.1\] ", line), line


def test_it_ends_in_good_order_while_it_is_asked(resolving):
    liar = Liar("silent")
    one = resolving(liar.config() + 'server:\n  local-zone: "127.in-addr.arpa." nodefault\n', main={"shutdown_timeout": "1s"})
    clients = [Smtp(one.smtp, banner=False, source=f"127.0.1.{i + 1}") for i in range(5)]
    wait_for("questions", lambda: liar.questions > 0)
    one.process.send_signal(signal.SIGTERM)
    assert one.process.wait(30) in (0, 1)
    one.process = None
    for client in clients:
        client.close()
    liar.close()


def banner(one, source=None):
    with one.connect(source=source) as client:
        return client.banner[1][0]


@pytest.fixture
def table():
    """A directory that every user may read, with a table in it."""
    directory = Path(tempfile.mkdtemp(prefix="postern-test-table-"))
    directory.chmod(0o755)
    (directory / "table").write_text("one: first\ntwo: second\n")
    yield directory
    shutil.rmtree(directory)


def test_a_front_asks_for_files_that_it_cannot_read_itself(server, table):
    one = server(main={"smtp_banner": "${lookup{two}lsearch{%s/table}{$value}{none}}" % table})
    assert banner(one) == "second"


def test_a_file_that_changes_is_read_again(server, table):
    one = server(main={"smtp_banner": "${lookup{two}lsearch{%s/table}{$value}{none}}" % table})
    assert banner(one) == "second"
    (table / "new").write_text("two: other\n")
    (table / "new").rename(table / "table")
    wait_for("the new text", lambda: banner(one) == "other")


def test_a_path_is_readable_only_below_what_the_configuration_names(server, table):
    """The path is made of a variable alone, so that no directory is named: with Landlock the file cannot be opened."""
    path = "${substr_0_1:/x}" + str(table)[1:]
    one = server(main={"smtp_banner": "${if exists{%s/table}{seen}{unseen}} ${lookup{two}lsearch{%s/table}{$value}{none}}" % (path, path)})
    text = banner(one)
    if "no Landlock" in one.log_text():
        assert text == "seen second"
    else:
        assert text == "mx.example.test", text  # the lookup fails, so the name stands for the banner


def test_a_reload_opens_other_directories(server, table):
    one = server(main={"smtp_banner": "hello"})
    pid = one.role("lookup")
    one.configure({"smtp_banner": "${lookup{one}lsearch{%s/table}{$value}{none}}" % table})
    one.reload()
    wait_for("the table's text", lambda: banner(one) == "first")
    wait_for("another process", lambda: one.roles().get("lookup") not in (None, pid))
    assert banner(one) == "first" and "ended with status" not in one.log_text()


def test_expansions_ask_the_dns(nsd, resolving):
    one = resolving(nsd.config(), main={"host_lookup": None,
                                        "smtp_banner": "${lookup dnsdb{a=www.signed.test}{$value}} $lookup_dnssec_authenticated"})
    assert banner(one) == "192.0.2.80 yes"
    one.configure({"smtp_banner": "${lookup dnsdb{dnssec_never,a=www.signed.test}{$value}} <$lookup_dnssec_authenticated>"})
    one.reload()
    wait_for("the new banner", lambda: banner(one) == "192.0.2.80 <>")


def test_variables_of_a_hosts_name(nsd, resolving):
    one = resolving(nsd.config(), main={"smtp_banner": "$sender_host_name $sender_host_dnssec $host_lookup_failed $host_lookup_deferred"})
    assert banner(one, "127.0.0.2") == "two.signed.test yes 0 0"
    assert banner(one, "127.0.0.4") == "four.unsigned.test no 0 0"
    assert banner(one, "127.0.0.3").split() == ["no", "1", "0"]
    assert banner(one, "127.0.0.7").split() == ["no", "0", "1"]


def test_the_banner_does_without_lookups_that_defer(resolving):
    liar = Liar("silent")
    one = resolving(liar.config(), main={"host_lookup": None, "dns_retrans": "1s", "dns_retry": 1,
                                         "smtp_banner": "${lookup dnsdb{a=www.test}{$value}{none}}"})
    assert banner(one)
    liar.close()

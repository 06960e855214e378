# SPDX-License-Identifier: ISC
"""postern session (-bh): a pretended SMTP session gives the replies and log lines of the server and of Exim's -bh, tells why, and
takes nothing."""
import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

import exim
from harness import POSTERN, Server

ACLS = """
begin acl
check_connect:
  deny message = go away
       hosts = 203.0.113.0/24
  accept
check_helo:
  deny condition = ${if eq{$sender_helo_name}{bad.test}}
       message = no $sender_helo_name
  accept
check_mail:
  warn set acl_m0 = from ${lc:$sender_address}
       logwrite = seen $acl_m0
  accept senders = !*@spam.test
  deny message = no spam
check_rcpt:
  accept hosts = 192.0.2.0/24
         message = relayed
  deny message = relay not permitted
       log_message = no $domain here
       !domains = example.test
  defer local_parts = later
       message = try later
  accept
check_data:
  deny condition = ${if match{$h_subject:}{bad}}
       message = bad subject
  accept
"""
OPTIONS = """primary_hostname = mx.example.test
host_lookup =
hosts_proxy = 192.0.2.9
acl_smtp_connect = check_connect
acl_smtp_helo = check_helo
acl_smtp_mail = check_mail
acl_smtp_rcpt = check_rcpt
acl_smtp_data = check_data
"""
ROUTERS = """
begin routers
users:
  driver = accept
  domains = example.test
  transport = keep
begin transports
keep:
  driver = appendfile
  directory = /nonexistent/mail
  maildir_format
  user = nobody
"""
DIALOGUES = {
    "a_relay": ["EHLO a.test", "MAIL FROM:<A@b.test>", "RCPT TO:<x@y.test>", "RCPT TO:<user@example.test>", "QUIT"],
    "helo_refused": ["HELO bad.test", "MAIL FROM:<a@b.test>", "QUIT"],
    "sender_refused": ["HELO good.test", "MAIL FROM:<x@spam.test>", "MAIL FROM:<x@ham.test>", "RSET", "QUIT"],
    "deferred": ["HELO good.test", "MAIL FROM:<x@ham.test>", "RCPT TO:<later@example.test>", "QUIT"],
    "taken": ["EHLO good.test", "MAIL FROM:<x@ham.test>", "RCPT TO:<user@example.test>", "DATA", "Message-Id: <1@ham.test>", "", "text", ".",
              "QUIT"],
    "subject_refused": ["HELO good.test", "MAIL FROM:<x@ham.test>", "RCPT TO:<user@example.test>", "DATA", "Subject: a bad one", "",
                        "text", ".", "QUIT"],
    "syntax": ["HELO", "MAIL FROM:<a@b.test>", "HELO x.test", "RCPT TO:<a@b.test>", "RCPT TO:<b@c.test>", "NONSENSE", "DATA", "NOOP", "VRFY a", "QUIT"],
}


# Of the address in hosts_proxy, and of another one.
PROXIED = {
    "a_client": ["PROXY TCP4 203.0.113.7 198.51.100.1 4711 25\r", "QUIT"],
    "another_client": ["PROXY TCP4 198.51.100.7 198.51.100.1 4711 25\r", *DIALOGUES["a_relay"]],
    "for_itself": ["PROXY UNKNOWN\r", "EHLO a.test", "MAIL FROM:<A@b.test>", "RCPT TO:<user@example.test>", "QUIT"],
    "no_header": ["EHLO a.test\r", "HELO a.test", "MAIL FROM:<a@b.test>", "QUIT"],
}


@pytest.fixture(name="directory")
def fixture_directory():
    made = Path(tempfile.mkdtemp(prefix="postern-test-session-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


def pretend(directory, lines, *arguments, address="198.51.100.7", text=None, flags=("session", "-c"), program=POSTERN):
    conf = directory / "postern.conf"
    conf.write_text(f"spool_directory = {directory}/spool\nlog_file_path = {directory}/%slog\n" + (text or OPTIONS + ACLS + ROUTERS))
    return subprocess.run([program, *flags, conf, *arguments, address], input="".join(line + "\n" for line in lines), text=True,
                          capture_output=True, timeout=60, check=False)


def in_exim(directory, lines, *flags, address="198.51.100.7", text=None):
    program, environment = exim.exim()
    conf = directory / "exim.conf"
    conf.write_text(f"spool_directory = {directory}/spool-exim\nlog_file_path = {directory}/%slog\ntls_advertise_hosts =\n"
                    + (text or OPTIONS + ACLS))
    spool = directory / "spool-exim"
    spool.mkdir(exist_ok=True)
    spool.chmod(0o1777)
    return subprocess.run([program, "-C", conf, *flags, "-bh", address], text=True, capture_output=True, timeout=60, env=environment, check=False,
                          input="".join(line + "\n" for line in lines))


def replies(output):
    """Codes and texts that do not name the program, the time or an identifier; without the lines of EHLO's answer."""
    found = [line for line in output.split("\n") if re.match(r"\d\d\d ", line)]
    return [re.sub(r"(ESMTP) .*", r"\1", line) for line in found if not re.match(r"250 (HELP|OK id=)", line)]


def log_lines(output):
    """Without what differs by itself: identifiers, and sizes, for our name and version are in Received:."""
    return [re.sub(r" S=\d+", " S=N", re.sub(r"LOG: \w{6}-\w+-\w+ ", "LOG: ID ", line)) for line in output.split("\n") if line.startswith("LOG: ")]


@pytest.mark.parametrize("name", DIALOGUES)
def test_replies_and_log_lines_are_those_of_exim(directory, name):
    ours, theirs = pretend(directory, DIALOGUES[name]), in_exim(directory, DIALOGUES[name])
    assert ours.returncode == 0 and theirs.returncode == 0, (ours, theirs)
    assert ours.stdout.startswith("\n**** SMTP testing session as if from host 198.51.100.7\n") and theirs.stdout[:30] == ours.stdout[:30]
    assert replies(ours.stdout) == replies(theirs.stdout)
    assert log_lines(ours.stderr) == log_lines(theirs.stderr)


@pytest.mark.parametrize("name", PROXIED)
def test_a_pretended_proxy_begins_with_its_header_as_with_exim(directory, name):
    ours, theirs = pretend(directory, PROXIED[name], address="192.0.2.9"), in_exim(directory, PROXIED[name], address="192.0.2.9")
    assert replies(ours.stdout) == replies(theirs.stdout) and len(replies(ours.stdout)) >= 1
    assert [line for line in log_lines(ours.stderr) if "ACL" in line] == [line for line in log_lines(theirs.stderr) if "ACL" in line]
    assert '>>> host in hosts_proxy? yes (matched "192.0.2.9")' in ours.stderr.split("\n")
    assert '>>> host in hosts_proxy? yes (matched "192.0.2.9")' in theirs.stderr.split("\n")


def test_the_trace_names_acl_statement_and_condition_as_exims_does(directory):
    ours = pretend(directory, DIALOGUES["a_relay"]).stderr.split("\n")
    theirs = in_exim(directory, DIALOGUES["a_relay"]).stderr.split("\n")
    steps = re.compile(r'>>> (using ACL|check (hosts|!?domains|local_parts|senders)|(accept|deny|warn|defer): condition test|end of ACL)')
    assert [line for line in ours if steps.match(line)] == [line for line in theirs if steps.match(line)]
    assert any(re.fullmatch(r'>>> processing "deny" \(\S+/postern.conf \d+\)', line) for line in ours)


def test_the_trace_says_how_a_recipient_is_routed(directory):
    done = pretend(directory, DIALOGUES["a_relay"])
    assert ">>> routing user@example.test: accepted by router users" in done.stderr.split("\n")


def test_what_stands_in_the_trace_was_printed_before_the_reply_that_it_explains(directory):
    conf = directory / "postern.conf"
    pretend(directory, [])
    done = subprocess.run([POSTERN, "session", "-c", conf, "198.51.100.7"], input="HELO a.test\nMAIL FROM:<x@spam.test>\nQUIT\n", text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=True)
    lines = done.stdout.split("\n")
    assert lines.index('>>> end of ACL "check_mail": DENY') < lines.index("550 no spam")
    assert lines.index("250 mx.example.test Hello a.test [198.51.100.7]") < lines.index('>>> using ACL "check_mail"')


def test_a_client_turned_away_at_connect_sees_why(directory):
    done = pretend(directory, ["QUIT"], address="203.0.113.9")
    assert "550 go away" in done.stdout and 'end of ACL "check_connect": DENY' in done.stderr


def test_nothing_is_taken_or_delivered(directory):
    lines = ["EHLO a.test", "MAIL FROM:<a@b.test>", "RCPT TO:<user@example.test>", "DATA", "Subject: x", "", "text", ".", "QUIT"]
    done = pretend(directory, lines)
    identifier = re.search(r"250 OK id=(\S+)", done.stdout)[1]
    assert re.search(rf"LOG: {identifier} <= a@b.test H=\(a.test\) \[198.51.100.7\] P=esmtp S=\d+", done.stderr)
    assert sorted(path.name for path in directory.iterdir()) == ["postern.conf"], "no spool, no log"


def test_a_message_may_be_large_and_come_in_chunks(directory):
    text = "Subject: large\n\n" + "x" * 70 + "\n"
    lines = ["EHLO a.test", "MAIL FROM:<a@b.test>", "RCPT TO:<user@example.test>", "DATA", "Subject: x", "",
             *["y" * 900] * 1000, ".", "MAIL FROM:<a@b.test>", "RCPT TO:<user@example.test>",
             f"BDAT {len(text.replace(chr(10), chr(13) + chr(10)))} LAST", *text.rstrip("\n").split("\n"), "QUIT"]
    assert pretend(directory, lines).stdout.count("250 OK id=") == 2


def test_tls_can_be_pretended(directory):
    text = OPTIONS.replace("acl_smtp_rcpt = check_rcpt", "acl_smtp_rcpt = check_tls") + ACLS + """
check_tls:
  deny !encrypted = *
       message = clear
  accept message = $tls_in_cipher $received_protocol
""" + ROUTERS
    lines = ["EHLO a.test", "MAIL FROM:<a@b.test>", "RCPT TO:<user@example.test>", "QUIT"]
    assert "550 clear" in pretend(directory, lines, text=text).stdout
    assert "250 TLS1.3:TLS_AES_256_GCM_SHA384:256 esmtps" in pretend(directory, lines, "--tls", text=text).stdout


def test_the_flags_of_exim_describe_the_client(directory):
    text = OPTIONS.replace("acl_smtp_rcpt = check_rcpt", "acl_smtp_rcpt = check_facts") + ACLS + """
check_facts:
  deny message = <$sender_host_address> <$sender_host_port> <$sender_host_name> <$received_ip_address> <$received_port>
""" + ROUTERS
    lines = ["EHLO a.test", "MAIL FROM:<a@b.test>", "RCPT TO:<user@example.test>", "QUIT"]
    done = pretend(directory, lines, "-oMi", "192.0.2.1.2587", "-oMs", "host.test", "-bh", text=text, flags=("-C",),
                   address="198.51.100.7.4321")
    assert "550 <198.51.100.7> <4321> <host.test> <192.0.2.1> <2587>" in done.stdout, done


FACTS = OPTIONS.replace("acl_smtp_mail = check_mail", "acl_smtp_mail = check_facts") + ACLS + """
check_facts:
  warn logwrite = <$sender_ident> <$sender_host_authenticated> <$authenticated_id> <$received_protocol>
  warn logwrite = <$sender_fullhost> <$sender_rcvhost>
  warn authenticated = *
       logwrite = authenticated
  accept
"""
ASKING = ["EHLO h.test", "MAIL FROM:<a@b.test>", "RCPT TO:<x@y.test>", "RCPT TO:<user@example.test>", "DATA", "Subject: x", "", "text", ".", "QUIT"]


def described(directory, flags, text=FACTS):
    """The same session with these flags, in front of -bh: ours and Exim's."""
    ours = pretend(directory, ASKING, *flags, "-bh", text=text + ROUTERS, flags=("-C",))
    theirs = in_exim(directory, ASKING, *flags, text=text)
    assert ours.returncode == 0 and theirs.returncode == 0, (ours, theirs)
    return ours, theirs


def hello(output):
    return re.search(r"^250-(mx\.example\.test Hello .*)", output, re.MULTILINE)[1]


@pytest.mark.parametrize("flags", [["-oMt", "joe"], ["-oMt", "joe", "-oMs", "h.test"], ["-oMt", "joe", "-oMs", "h.test", "-oMi", "192.0.2.1.2587"]])
def test_a_user_of_the_client_is_told_as_with_exim(directory, flags):
    """-oMt: $sender_ident, in the variables that name the client, in the reply to EHLO and in log lines."""
    ours, theirs = described(directory, flags)
    assert "LOG: <joe> <> <> <esmtp>" in log_lines(theirs.stderr)
    assert any(" <= a@b.test H=" in line and " U=joe P=esmtp" in line for line in log_lines(theirs.stderr))
    assert log_lines(ours.stderr) == log_lines(theirs.stderr)
    assert hello(ours.stdout) == hello(theirs.stdout)


@pytest.mark.parametrize("flags, line", [
    (["-oMaa", "nosuch"], "<> <nosuch> <> <esmtpa>"), (["-oMai", "ann"], "<> <> <ann> <esmtp>"),
    (["-oMaa", "nosuch", "-oMai", "ann"], "<> <nosuch> <ann> <esmtpa>"),
])
def test_a_client_may_have_authenticated_already(directory, flags, line):
    """-oMaa and -oMai: by that name and as that user, whether there is such an authenticator or not, as with Exim."""
    ours, theirs = described(directory, flags)
    assert "LOG: " + line in log_lines(theirs.stderr) and ("LOG: authenticated" in log_lines(theirs.stderr)) == ("nosuch" in flags)
    assert log_lines(ours.stderr) == log_lines(theirs.stderr)


def test_the_line_of_a_message_tells_of_tls_and_of_who_sent_it(directory):
    done = pretend(directory, ASKING, "--tls", "-oMaa", "plain", "-oMai", "ann")
    line = [line for line in log_lines(done.stderr) if " <= " in line]
    assert line == ["LOG: ID <= a@b.test H=(h.test) [198.51.100.7] P=esmtpsa X=TLS1.3:TLS_AES_256_GCM_SHA384:256 CV=no A=plain:ann S=N"]


def test_who_has_authenticated_already_is_offered_no_auth(directory):
    text = OPTIONS + ACLS + """
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_condition = no
"""
    offers = {name: "AUTH PLAIN" in pretend(directory, ["EHLO a.test", "QUIT"], *flags, "--tls", text=text).stdout
              for name, flags in {"nobody": [], "known": ["-oMaa", "plain"], "other": ["-oMaa", "nosuch"]}.items()}
    assert offers == {"nobody": True, "known": False, "other": False}


NAMES = OPTIONS.replace("acl_smtp_mail = check_mail", "acl_smtp_mail = check_names") + ACLS + """
check_names:
  warn verify = helo
       logwrite = HELO is right
  warn verify = reverse_host_lookup
       logwrite = there is a name
  warn hosts = *.test
       logwrite = the name is in test
  accept
"""


@pytest.mark.parametrize("name, lines", [("h.test", ["HELO is right", "there is a name", "the name is in test"]),
                                         ("other.example", ["there is a name"])])
def test_a_name_that_is_given_is_the_hosts_without_the_dns(directory, name, lines):
    """-oMs: what `verify = helo`, `verify = reverse_host_lookup` and host lists look at, as with Exim."""
    ours, theirs = described(directory, ["-oMs", name], text=NAMES)
    found = [line for line in log_lines(theirs.stderr) if "H=" not in line]
    assert found == ["LOG: " + line for line in lines]
    assert log_lines(ours.stderr) == log_lines(theirs.stderr)


@pytest.mark.parametrize("flag", ["-oMr", "-oMas", "-f"])
def test_flags_without_effect_on_a_session_are_refused(directory, flag):
    for arguments in ([flag, "x@y.test", "-bh", "192.0.2.1"], ["-bh", "192.0.2.1", flag, "x@y.test"]):
        done = subprocess.run([POSTERN, "-C", directory / "none", *arguments], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 2 and done.stderr.splitlines() == [
            f"postern: a session finds this out by itself, so it has no effect with -bh: {flag}"]


def test_flags_of_exim_may_follow_the_address(directory):
    pretend(directory, [], text=FACTS + ROUTERS)
    done = subprocess.run([POSTERN, "-bh", "198.51.100.7", "-oMt", "joe", "-oMs", "h.test", "-C", directory / "postern.conf"], text=True, timeout=60,
                          input="EHLO h.test\nMAIL FROM:<a@b.test>\nQUIT\n", capture_output=True, check=False)
    assert "LOG: <joe> <> <> <esmtp>" in done.stderr.splitlines(), done


def test_json_has_one_object_a_step(directory):
    done = pretend(directory, DIALOGUES["a_relay"], "--json")
    objects = [json.loads(line) for line in done.stderr.split("\n") if line]
    assert {"kind": "trace", "depth": 0, "text": 'using ACL "check_rcpt"'} in objects
    assert any(one["kind"] == "log" and one["log"] == "reject" and "no y.test here" in one["text"] for one in objects)
    assert done.stdout.startswith("220 ")


def test_json_has_an_object_for_a_problem_of_the_configuration(directory):
    warned = pretend(directory, ["QUIT"], "--json", text=OPTIONS + "smtp_accept_max = 20\nsmtp_accept_reserve = 20\n" + ACLS + ROUTERS)
    wrong = pretend(directory, ["QUIT"], "--json", text=OPTIONS + "no_such_option\n" + ACLS)
    for done, severity, status in ((warned, "warning", 0), (wrong, "error", 2)):
        objects = [json.loads(line) for line in done.stderr.splitlines()]
        problems = [one for one in objects if one["kind"] == "problem"]
        assert done.returncode == status and [one["severity"] for one in problems] == [severity], done.stderr
        assert problems[0]["file"].endswith("postern.conf") and problems[0]["line"] > 0 and problems[0]["text"]


def test_the_end_of_the_input_ends_the_session(directory):
    done = pretend(directory, ["EHLO a.test"])
    assert done.returncode == 0 and "221" not in done.stdout


@pytest.mark.parametrize("arguments, complaint", [
    ([], "from which address"), (["300.1.1.1"], "is not an IP address"), (["-oMi", "nonsense", "192.0.2.1"], "expected an IP address"),
    (["--bogus", "192.0.2.1"], "unknown option"), (["192.0.2.1", "more"], "too many arguments"),
])
def test_wrong_arguments_are_told(arguments, complaint):
    done = subprocess.run([POSTERN, "session", *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2 and complaint in done.stderr


def test_a_reply_is_the_same_as_in_the_server(certificates, directory):
    """The same configuration, the same lines, once by `postern session` and once over a socket."""
    server = Server(certificates, extra=ACLS, main={name: value for name, value in re.findall(r"(acl_\w+) = (.*)", OPTIONS)})
    server.start()
    try:
        lines = ["EHLO a.test", "MAIL FROM:<A@spam.test>", "MAIL FROM:<A@b.test>", "RCPT TO:<x@y.test>", "RCPT TO:<later@example.test>",
                 "NONSENSE", "QUIT"]
        with server.connect() as client:
            real = [client.cmd(line) for line in lines]
        done = subprocess.run([POSTERN, "session", "-c", server.conf, "127.0.0.1"], input="".join(line + "\n" for line in lines),
                              capture_output=True, text=True, timeout=60, check=True, env={**os.environ})
        pretended = replies(done.stdout)[1:]
        assert [int(line[:3]) for line in pretended] == [code for code, _ in real[1:]]
        assert [line[4:] for line in pretended] == [texts[-1] for _, texts in real[1:]]
    finally:
        server.remove()

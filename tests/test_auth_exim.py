# SPDX-License-Identifier: ISC
"""The same authenticators and the same clients in Postern and in Debian's Exim (a session of `exim -bh`), side by side: replies and log
lines must be the same. DIFFERENCES lists those that differ, and why."""
import base64
import re
import subprocess

import pytest

import exim
from harness import wait_for

AUTHENTICATORS = """begin authenticators

plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${if and{{eq{$auth2}{user}}{eq{$auth3}{sesame}}}}
  server_set_id = $auth2
  server_mail_auth_condition = ${if eq{$authenticated_sender}{good@z}}

login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = User Name : Password
  server_condition = ${if eq{$auth1}{defer}{please wait}{${if eq{$auth1}{forced}{${if eq{1}{2}{x}fail}}{${if eq{$1/$2}{user/sesame}}}}}}
  server_set_id = $auth1

three:
  driver = plaintext
  public_name = X-THREE
  server_prompts = <; one : a ; two ; three
  server_condition = ${if eq{$auth1-$auth2-$auth3}{a-b-c}}

cram:
  driver = cram_md5
  public_name = CRAM-MD5
  server_secret = ${if eq{$auth1}{user}{sesame}fail}
  server_set_id = $auth1

external:
  driver = external
  public_name = EXTERNAL
  server_param2 = two
  server_param3 = three
  server_condition = ${if eq{$auth1-$auth2-$auth3}{me-two-three}}
  server_set_id = $auth1

broken:
  driver = plaintext
  public_name = X-BROKEN
  server_prompts = ${eval:1/0}
  server_condition = true

hidden:
  driver = plaintext
  public_name = X-HIDDEN
  server_advertise_condition = no
  server_prompts = :
  server_condition = true
"""


def encode(text):
    return base64.b64encode(text.encode()).decode()


# What the client says after EHLO.
ROWS = {
    "good": [f"AUTH PLAIN {encode(chr(0) + 'user' + chr(0) + 'sesame')}"],
    "wrong": [f"AUTH PLAIN {encode(chr(0) + 'user' + chr(0) + 'x')}"],
    "lower_case": [f"auth plain {encode(chr(0) + 'user' + chr(0) + 'sesame')}"],
    "prompted": ["AUTH PLAIN", encode("\0user\0sesame")],
    "login": ["AUTH LOGIN", encode("user"), encode("sesame")],
    "login_initial": [f"AUTH LOGIN {encode('user')}", encode("sesame")],
    "login_at_once": [f"AUTH LOGIN {encode('user' + chr(0) + 'sesame')}"],
    "login_empty": ["AUTH LOGIN", "", ""],
    "login_in_one_response": ["AUTH LOGIN", encode("user\0sesame")],
    "three": ["AUTH X-THREE", encode("a"), encode("b"), encode("c")],
    "three_in_two": ["AUTH X-THREE", encode("a\0b"), encode("c")],
    "deferred": ["AUTH LOGIN", encode("defer"), encode("x")],
    "forced": ["AUTH LOGIN", encode("forced"), encode("x")],
    "equals": ["AUTH PLAIN ="],
    "equals_as_response": ["AUTH LOGIN", "="],
    "no_base64": ["AUTH PLAIN !!!"],
    "no_base64_as_response": ["AUTH PLAIN", "!!!"],
    "cancelled": ["AUTH PLAIN", "*"],
    "cancelled_later": ["AUTH LOGIN", encode("user"), "*"],
    "a_command_as_response": ["AUTH PLAIN", "QUIT"],
    "no_mechanism": ["AUTH"],
    "unknown": ["AUTH FOO"],
    "unknown_with_data": ["AUTH FOO eA=="],
    "not_advertised": ["AUTH X-HIDDEN"],
    "bad_name": ["AUTH PL!AIN"],
    "cram_initial": ["AUTH CRAM-MD5 eA=="],
    "cram_wrong": ["AUTH CRAM-MD5", encode("user " + "0" * 32)],
    "cram_nobody": ["AUTH CRAM-MD5", encode("nobody " + "0" * 32)],
    "cram_cancelled": ["AUTH CRAM-MD5", "*"],
    "external": [f"AUTH EXTERNAL {encode('me')}"],
    "external_other": [f"AUTH EXTERNAL {encode('you')}"],
    "external_prompted": ["AUTH EXTERNAL", encode("me")],
    "broken": ["AUTH X-BROKEN"],
    "twice": [f"AUTH PLAIN {encode(chr(0) + 'user' + chr(0) + 'sesame')}", "AUTH PLAIN x"],
    "again_after_failure": [f"AUTH PLAIN {encode('x')}", f"AUTH PLAIN {encode(chr(0) + 'user' + chr(0) + 'sesame')}"],
    "ehlo_after_it": [f"AUTH PLAIN {encode(chr(0) + 'user' + chr(0) + 'sesame')}", "EHLO client.test"],
    "in_a_transaction": ["MAIL FROM:<a@b.test>", "AUTH PLAIN x"],
    "after_reset": ["MAIL FROM:<a@b.test>", "RSET", f"AUTH PLAIN {encode(chr(0) + 'user' + chr(0) + 'sesame')}"],
    "after_helo": ["HELO client.test", "AUTH PLAIN x"],
    "mail_auth_unknown": ["MAIL FROM:<a@b.test> AUTH=x+2By@z"],
    "mail_auth_null": ["MAIL FROM:<a@b.test> AUTH=<>"],
    "mail_auth_good": [f"AUTH PLAIN {encode(chr(0) + 'user' + chr(0) + 'sesame')}", "MAIL FROM:<a@b.test> AUTH=good@z"],
    "mail_auth_bad": [f"AUTH PLAIN {encode(chr(0) + 'user' + chr(0) + 'sesame')}", "MAIL FROM:<a@b.test> AUTH=bad@z"],
    "mail_auth_malformed": ["MAIL FROM:<a@b.test> AUTH=a+ZZ"],
    "refused_recipient": [f"AUTH PLAIN {encode(chr(0) + 'user' + chr(0) + 'sesame')}", "MAIL FROM:<a@b.test>", "RCPT TO:<c@example.test>"],
    "failures": [f"AUTH PLAIN {encode(chr(0) + 'user' + chr(0) + 'x')}"] * 13,
}
DIFFERENCES = {
    "mail_auth_malformed": "Postern names the parameter first, as of all parameters",
    "ehlo_after_it": "Exim offers PIPECONNECT, Postern LIMITS",
}
MAIN = "smtp_max_synprot_errors = 100\nacl_smtp_mail = accept\nacl_smtp_rcpt = deny\n"


def general(text):
    """Without what is the moment's or the client's own: the port, the address, the challenge, the time."""
    text = re.sub(r"\[(127\.0\.0\.1|192\.0\.2\.1)\](:\d+)?", "[A]", text)
    text = re.sub(r"^334 PD\S+", "334 CHALLENGE", text)
    return re.sub(r"\(last (command )?was .*", "(last", text)


def in_exim(directory, lines):
    program, environment = exim.exim()
    conf, spool = directory / "exim.conf", directory / "spool"
    conf.write_text(f"primary_hostname = mx.example.test\nspool_directory = {spool}\nhost_lookup =\nlog_file_path = {directory}/%slog\n" +
                    MAIN + AUTHENTICATORS)
    if not spool.exists():
        spool.mkdir()
        spool.chmod(0o1777)  # it drops to its own user
    done = subprocess.run([program, "-C", conf, "-bh", "192.0.2.1"], text=True, capture_output=True, timeout=60, env=environment,
                          input="".join(line + "\n" for line in ["EHLO client.test", *lines, "QUIT"]))
    replies = [line for line in done.stdout.split("\n") if re.match(r"\d\d\d[ -]", line)]
    start = next(i for i, line in enumerate(replies) if line.startswith("250 "))
    return ([general(line) for line in replies[start + 1:] if not line.startswith("221 ")],
            [general(line[5:]) for line in done.stderr.split("\n") if line.startswith("LOG: ")])


@pytest.fixture(scope="module")
def postern(module_server):
    return module_server(extra=AUTHENTICATORS, main={
        "smtp_max_synprot_errors": 100, "acl_smtp_mail": "accept", "acl_smtp_rcpt": "deny", "auth_cleartext_hosts": "*",
        "front_processes": 1, "auth_fail_delay": "0s", "auth_fail_limit": "100000 / 1h"})


def in_postern(one, lines):
    start, replies = one.mark(), []
    with one.connect() as client:
        client.ehlo()
        for line in lines:
            code, texts = client.cmd(line)
            replies += [f"{code}{' ' if i == len(texts) - 1 else '-'}{text}" for i, text in enumerate(texts)]
            if code == 554:
                break
        else:
            client.cmd("QUIT")
    # There is one front, so a line of another session behind it says that the log of this one is complete.
    client = one.connect()
    client.cmd("EHLO end-of-session.test")
    client.cmd("AUTH PLAIN !")
    client.close()
    wait_for("the session's end", lambda: "(end-of-session.test)" in one.log_text(start))
    wait_for("a whole line", lambda: one.log_text(start).endswith("\n"))
    return ([general(line) for line in replies],
            [general(line[20:]) for line in one.log_text(start).split("\n") if line and "end-of-session" not in line])


@pytest.mark.parametrize("name", ROWS)
def test_exim_does_the_same(postern, directory, name):
    theirs, ours = in_exim(directory, ROWS[name]), in_postern(postern, ROWS[name])
    if name in DIFFERENCES:
        assert ours != theirs, "it is no difference any more"
        assert [reply[:3] for reply in ours[0]][-1] == [reply[:3] for reply in theirs[0]][-1]
    else:
        assert ours == theirs

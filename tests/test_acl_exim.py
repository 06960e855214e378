# SPDX-License-Identifier: ISC
"""The same ACLs in Postern and in Debian's Exim (a session of `exim -bh`), side by side: the reply to RCPT and the log lines must be
the same. Each row is an ACL that acl_smtp_rcpt names; DIFFERENCES lists those that differ, and why."""
import re
import subprocess

import pytest

import exim
from harness import Server, wait_for

NESTED = """
n_deny:
  deny message = nested msg
    log_message = nested log
n_accept:
  accept message = nested acc
n_drop:
  drop message = nested drop
n_defer:
  defer message = nested defer
n_discard:
  discard message = nested disc
n_arguments:
  deny message = narg=$acl_narg 1=$acl_arg1 2=$acl_arg2 3=$acl_arg3 4=$acl_arg4
"""
ROWS = {
    "accept_message": "accept message = 251 2.1.5 welcome",
    "accept_keeps_message": "accept message = kept?\n    domains = never",
    "discard_keeps_message": "discard message = kept?\n    domains = never",
    "endpass": "accept domains = example.test\n    endpass\n    message = behind\n    local_parts = good",
    "endpass_before": "accept message = before\n    domains = example.test\n    log_message = logged\n    endpass\n"
                      "    local_parts = good",
    "deny_nested": "deny !acl = n_deny",
    "accept_nested": "accept acl = n_accept",
    "accept_nested_deny": "accept acl = n_deny",
    "accept_nested_defer": "accept acl = n_defer",
    "warn_nested_defer": "warn acl = n_defer\n    log_message = x\n  accept",
    "accept_nested_discard": "accept acl = n_discard",
    "deny_nested_discard": "deny acl = n_discard",
    "verify_message": "deny !acl = n_deny\n    message = outer <$acl_verify_message>\n    log_message = olog <$acl_verify_message>",
    "deny_nested_drop": "deny !acl = n_drop",
    "require_nested_drop": "require acl = n_drop",
    "arguments": "require acl = n_arguments one two three fi\"ve",
    "require_log": "require message = first\n    acl = n_accept\n    log_message = only log\n    condition = no",
    "item": "deny message = ${acl{n_arguments}{p}{q}}",
    "item_deferred": "deny message = ${acl{n_defer}}",
    "item_dropped": "deny message = ${acl{n_drop}}",
    "condition_no": "deny message = ${if acl {{n_deny}}{yes}{no}} v=$value",
    "condition_yes": "deny message = ${if acl {{n_accept}}{yes $value}{no $value}}",
    "forced_failure": "deny condition = ${if eq{1}{2}{x}fail}\n    message = ignored condition",
    "forced_failure_negated": "deny !condition = ${if eq{1}{2}{x}fail}\n    message = ignored condition",
    "forced_failure_list": "accept senders = ${if eq{1}{2}{x}fail}",
    "loop": "accept acl = loop",
    "inline_word": "accept acl = accept",
    "inline_words": "accept acl = deny message = inl",
    "codes": "deny message = 599 5.9.9 Go\\nAway",
    "wrong_code": "deny message = 250 wrong digit",
    "no_code": "deny message = 5501 no code",
    "only_code": "deny message = 550",
    "defer": "defer message = 450 4.2.0 later",
    "condition_negative": "deny !condition = \n    condition = -1\n    message = both",
    "condition_quoted": "deny condition = \" yes \"",
    "condition_words": "deny condition = maybe",
    "warnings": "warn log_message = once\n  warn log_message = once\n  warn logwrite = :main,reject: hello\n  deny",
    "logwrite_unknown": "warn logwrite = :bogus: hello\n  warn logwrite = : hello\n  accept",
    "silent": "deny log_reject_target =",
    "variables": "warn set acl_m0 = ${eval:1+1}\n    set acl_c_x = $acl_m0.\n  deny message = $acl_m0 $acl_c_x <$acl_m_none>",
    "local_part": "warn control = caseful_local_part\n  warn set acl_m1 = $local_part\n    control = caselower_local_part\n"
                  "  deny message = $acl_m1 $local_part@$domain",
    "data": "deny domains = example.test\n    message = <$domain_data>",
    "counts": "deny message = $rcpt_count $recipients_count $sender_address_domain $received_protocol",
}
DIFFERENCES = {
    "item_dropped": "the reason is worded in other words, with the ACL's own message",
}


def section():
    return "begin acl\n" + NESTED + "".join(f"{name}:\n  {text}\n" for name, text in ROWS.items())


def general(text):
    """Without the client, whose port and address differ."""
    return re.sub(r"H=\(client\.test\) \[\S+\]", "H", text)


def in_exim(directory, name):
    program, environment = exim.exim()
    conf = directory / "exim.conf"
    conf.write_text(f"primary_hostname = mx.example.test\nspool_directory = {directory}/spool\nhost_lookup =\n"
                    f"log_file_path = {directory}/%slog\nacl_smtp_mail = accept\nacl_smtp_rcpt = {name}\n" + section())
    spool = directory / "spool"
    if not spool.exists():
        spool.mkdir()
        spool.chmod(0o1777)  # it drops to its own user
    done = subprocess.run([program, "-C", conf, "-bh", "192.0.2.1"], text=True, capture_output=True, timeout=60, env=environment,
                          input="EHLO client.test\nMAIL FROM:<a@b.test>\nRCPT TO:<User@example.test>\nQUIT\n")
    replies = done.stdout.split("\n")
    assert "250 OK" in replies, done
    reply = [line for line in replies[replies.index("250 OK") + 1:] if line and not line.startswith("221")]
    return reply, [general(line[5:]) for line in done.stderr.split("\n") if line.startswith("LOG: ")]


@pytest.fixture(scope="module")
def postern(certificates):
    """One directory for all; the server is started anew for each ACL."""
    one = Server(certificates, extra=section())
    yield one
    one.remove()


def in_postern(one, name):
    one.configure({"acl_smtp_rcpt": name})
    one.start()
    try:
        with one.connect() as client:
            client.ehlo()
            client.expect(250, "MAIL FROM:<a@b.test>")
            start = one.mark()
            code, texts = client.cmd("RCPT TO:<User@example.test>")
            if name != "require_nested_drop":
                client.cmd("QUIT")
        log = one.log_text(start)
        wait_for("a whole line", lambda: not one.log_text(start) or one.log_text(start).endswith("\n"))
        reply = [f"{code}{' ' if i == len(texts) - 1 else '-'}{text}" for i, text in enumerate(texts)]
        return reply, [general(line[20:]) for line in log.split("\n") if line and "closed by DROP" not in line and " of the roles: " not in line]
    finally:
        one.stop()


@pytest.mark.parametrize("name", ROWS)
def test_exim_does_the_same(postern, directory, name):
    theirs, ours = in_exim(directory, name), in_postern(postern, name)
    if name in DIFFERENCES:
        assert ours != theirs and ours[0] == theirs[0], "it is no difference any more"
    else:
        assert ours == theirs

# SPDX-License-Identifier: ISC
"""What is replied where VRFY, EXPN and ETRN have ACLs, in Postern and in Debian's Exim; without them test_hostile_clients compares."""
import re

import pytest

from harness import Server, Smtp
from test_hostile_clients import Exim, MAIN

EXTRA = """begin acl

ask:
  deny local_parts = forbidden
  deny local_parts = told
    message = not for you
  defer local_parts = later
  accept local_parts = texted
    message = as you like
  accept

expand:
  deny condition = ${if match{$smtp_command_argument}{forbidden}}
  deny condition = ${if match{$smtp_command_argument}{told}}
    message = not for you
  defer condition = ${if match{$smtp_command_argument}{later}}
  accept condition = ${if match{$smtp_command_argument}{texted}}
    message = as you like
  accept

etrn:
  deny condition = ${if eq{$smtp_command_argument}{#forbidden}}
  deny condition = ${if eq{$smtp_command_argument}{#told}}
    message = 459 not for you
  accept

rcpt:
  accept

begin authenticators

plain:
  driver = plaintext
  public_name = PLAIN
  server_condition = false
"""
ROUTERS = """undecided:
  driver = accept
  domains = undecided.test
  local_parts = ${{if bool{{$local_part}}{{user}}}}
  transport = {transport}

users:
  driver = accept
  domains = example.test
  local_parts = user : texted
  transport = {transport}
"""
ADDRESSES = ["", " ", " user@example.test", " <user@example.test>", "  <user@example.test>  ", " User@EXAMPLE.test", " gone@example.test", " user@undecided.test",
             " <gone@example.test>", " user@elsewhere.test", " user", " <user>", " <>", " @", " a@@b", " a@", " @b.test", " <user@example.test",
             " user@example.test>", " two words@example.test", " \"user\"@example.test", " \"two words\"@example.test", " a@b..test",
             " Some User <user@example.test>", " (comment) user@example.test", " <@relay.test:user@example.test>", " user@[127.0.0.1]",
             " postmaster", " postmaster@example.test", " forbidden@example.test", " told@example.test", " later@example.test",
             " texted@example.test", " user@example.test,gone@example.test", " <user@example.test> more", " <user@example.test>more", " .user@example.test", " us..er@example.test", " \xfcser@example.test"]
LINES = [["HELP"], ["HELP VRFY"], ["EHLO client.test", "HELP"], ["HELO client.test", "HELP"],
         *([f"{command}{address}"] for command in ("VRFY", "EXPN") for address in ADDRESSES),
         *(["EHLO client.test", f"ETRN{argument}"] for argument in ("", " ", " #", " #list", " @example.test", " example.test", " #forbidden",
                                                                     " #told", " two words", " #two words")),
         ["EHLO client.test", "MAIL FROM:<a@client.test>", "VRFY user@example.test", "EXPN user@example.test", "ETRN #list",
          "RCPT TO:<user@example.test>"],
         ["vrfy user@example.test", "Expn user@example.test"], ["VRFYuser@example.test"], ["VRFY:user@example.test"]]


# (lines, what Postern replies, why): patterns of what differs on purpose.
DIFFERENCES = [
    (r"HELP.*", r"214 .*: (HELO|AUTH STARTTLS HELO) EHLO MAIL RCPT DATA BDAT NOOP QUIT RSET HELP ETRN EXPN VRFY",
     "AUTH and STARTTLS are not listed before they are offered"),
    (r'.* "user"@.*', r"250 <user@example\.test>.*", "quotes that an address does not need are dropped"),
    (r".* @b\.test", r"501 domain missing in source-routed address", "the reason is that of MAIL and RCPT"),
    (r".* two words@.*", r"501 malformed address: words@example\.test may not follow two", "likewise"),
    (r".* Some User .*", r"501 malformed address: User <user@example\.test> may not follow Some",
     "RFC 5321 4.1.1.6: a string or a mailbox; what headers may have around one is not for here"),
    (r".* \(comment\) .*", r"501 missing or malformed local part", "likewise"),
    (r".* .ser@example\.test", r"501 invalid UTF-8 byte sequence", "RFC 6531 3.3"),
    (r".* texted@.*", r"250 as you like", "a message of the statement that accepts is the answer"),
    (r"EXPN.*", r"501 .*", "what is no address is told so, as by VRFY; Exim has no such address"),
    (r"EXPN.*", r"250 <user@example\.test>", "an address may be in angle brackets, as in VRFY"),
    (r"EXPN <.*", r"553 gone@example\.test is undeliverable", "likewise"),
    (r"ETRN ?", r"501 expected a name", "there are names without a # before them here"),
    (r"ETRN (@?example\.test|two words)", r"250 OK", "RFC 1985 5: a name, or one behind @ or #; whichever it is, the queue runs"),
    (r"EXPN user@undecided.*", r"451 user@undecided\.test cannot be resolved at this time", "553 would be for good"),
]


def ask(port, lines):
    """Each reply as a line."""
    with Smtp(port) as client:
        said = []
        for line in lines:
            client.send(line.encode("latin-1") + b"\r\n")
            code, texts = client.reply()
            said.append(f"{code} " + (texts[0] if line.startswith("EHLO") else " ".join(texts)).rstrip())
        return said


@pytest.fixture(scope="module")
def said(certificates):
    """(lines, Postern's replies, Exim's replies)."""
    main = {**{name: value for name, value in MAIN.items() if not name.startswith("acl_")},
            "acl_smtp_vrfy": "ask", "acl_smtp_expn": "expand", "acl_smtp_etrn": "etrn", "acl_smtp_rcpt": "rcpt"}
    theirs = Exim(certificates, main, f"{EXTRA}\nbegin routers\n\n{ROUTERS.format(transport='void')}\nbegin transports\n\n"
                                      f"void:\n  driver = appendfile\n  file = /dev/null\n")
    ours = Server(certificates, main={**main, "auth_cleartext_hosts": "*"}, extra=EXTRA, routers=ROUTERS.format(transport="maildir"))
    try:
        ours.start()
        yield [(lines, ask(ours.smtp, lines), ask(theirs.port, lines)) for lines in LINES]
        ours.stop()
    finally:
        theirs.stop()
        ours.remove()


def difference(line, mine):
    return next((number for number, (pattern, reply, _) in enumerate(DIFFERENCES)
                 if re.fullmatch(pattern, line) and re.fullmatch(reply, mine)), None)


def replies(said):
    for lines, mine, exims in said:
        for reply in zip(lines, mine, exims):
            if not reply[0].startswith(("EHLO", "HELO")):
                yield reply


def test_vrfy_expn_etrn_and_help_with_acls_are_answered_as_exim_answers_them(said):
    wrong = [f"{line!r}:\n    Postern {mine}\n    Exim    {exims}" for line, mine, exims in replies(said)
             if mine != exims and difference(line, mine) is None]
    assert not wrong, "\n".join(wrong)


def test_each_difference_of_vrfy_expn_and_help_is_one(said):
    found = {difference(line, mine) for line, mine, exims in replies(said) if mine != exims}
    assert [row for number, row in enumerate(DIFFERENCES) if number not in found] == []

# SPDX-License-Identifier: ISC
"""Debian's default configuration of Exim: what of it this version does not have is named, each thing exactly, and nothing else is
an error. The template comes from Debian's package, which is fetched and unpacked; the macros are those that Debian's tool for
making the configuration would define.
"""
import json
import os
import re
import subprocess

import pytest

from exim import debian_template
from harness import POSTERN, SANITIZER

KINDS = ("internet", "smarthost", "satellite", "local")

# What comes with later issues: the sending side, redirection, bounces, local submission, authentication, other mailbox formats.
OPTIONS = {
    "exim_path", "gecos_pattern", "gecos_name", "prdr_enable", "local_from_check", "local_sender_retain", "untrusted_set_sender",
    "ignore_bounce_errors_after", "timeout_frozen_after", "freeze_tell", "trusted_users", "debug_print",
    "condition", "local_part_prefix", "require_files", "verify", "expn", "cannot_route_message", "file", "mode_fail_narrower",
    "check_string", "escape_string", "client_name", "client_secret", "client_send",
}
DRIVERS = {"manualroute", "dnslookup", "redirect", "pipe", "autoreply", "smtp"}
# An item of log_selector, words of ACLs, and what mailboxes need in this version.
OTHERS = re.compile(
    r"^verify: callouts are not available in this version"
    r"|^not set; expected a directory, such as "
    r"|^expected maildir_format to be set: this version of Postern has no other format"
    # Authenticators for the client side only.
    r"|^not set; expected a condition, or server_user_database"
    r"|^not set; expected an expansion that gives the secret"
    r"|^a group needs the option user beside it"
    r"|^its transport \w+ has no user: started as root, deliveries need one there"
    r"|^there is no user Debian-exim on this machine")


def problems_of(kind, **changed):
    macros = {"DCconfig_" + kind: "1", "MAIN_PACKAGE_VERSION": "4.96-15", "MAIN_LOCAL_INTERFACES": "<; 127.0.0.1 ; ::1",
              "MAIN_LOCAL_DOMAINS": "@:localhost:mail.example.org", "MAIN_RELAY_TO_DOMAINS": "empty",
              "ETC_MAILNAME": "mail.example.org", "LOCAL_DELIVERY": "maildir_home", "MAIN_RELAY_NETS": ": 127.0.0.1 : ::::1",
              "DCreadhost": "empty" if kind != "satellite" else "mail.example.org", "DCsmarthost": "relay.example.org",
              "DC_eximconfig_configtype": kind, **changed}
    defined = [part for name, value in macros.items() for part in ("-D", f"{name}={value}")]
    run = subprocess.run([POSTERN, "check", "--json", "-c", str(debian_template()), *defined], capture_output=True,
                         text=True, env={**os.environ, **SANITIZER}, timeout=120)
    assert run.returncode == 2, run
    return json.loads(run.stdout)["problems"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_missing_is_named_and_nothing_else_is_wrong(kind):
    problems = problems_of(kind)
    assert problems
    surprises = []
    for problem in problems:
        text = problem["text"]
        option = re.match(r"Exim's option (\w+) is not available in this version of Postern", text)
        driver = re.match(r"Exim's driver (\w+) is not available in this version of Postern", text)
        known = (option and option[1] in OPTIONS) or (driver and driver[1] in DRIVERS) or OTHERS.match(text)
        if not known or not problem["line"] or problem["severity"] != "error":
            surprises.append(problem)
    assert not surprises


def test_what_is_there_is_not_on_the_list_of_what_is_missing():
    text = "\n".join(problem["text"] for kind in KINDS for problem in problems_of(kind))
    assert set(re.findall(r"^Exim's option (\w+) is not available", text, re.M)) == OPTIONS
    assert set(re.findall(r"^Exim's driver (\w+) is not available", text, re.M)) == DRIVERS


def test_its_retry_rule_and_acl_names_are_taken():
    lines = debian_template().read_text().splitlines()
    start = lines.index("begin retry")
    assert not [problem for problem in problems_of("internet") if problem["option"] == "retry rule"]
    assert any(line.startswith("*") for line in lines[start:])
    assert not [problem for problem in problems_of("internet") if "ACL of the name" in problem["text"]]


def test_a_macro_with_a_mistake_is_an_error_with_its_place():
    problems = problems_of("internet", MAIN_LOCAL_DOMAINS="${nosuch")
    assert any("local_domains" in problem["option"] and problem["line"] for problem in problems)

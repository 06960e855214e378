# SPDX-License-Identifier: ISC
"""postern check --print and -bP: each form, in the layout in which Exim prints it."""
import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from harness import POSTERN, ROOT, SANITIZER

CONF = """primary_hostname = h.example
MAC = text here
domainlist local = a.example : \\
   b.example
hide hostlist relay = 10.0.0.1
.include {include}

begin acl
ch:
  accept hosts = :
# a comment
begin routers
r1:
  driver = accept
  check_local_user
  transport = t1
begin transports
t1:
  driver = appendfile
  directory = /var/mail/$local_part_data
  maildir_format
  user = 1000
begin retry
* * F,2h,15m
"""


@pytest.fixture
def conf(tmp_path):
    (tmp_path / "more").write_text("qualify_domain = q.example\n")
    file = tmp_path / "conf"
    file.write_text(CONF.format(include=tmp_path / "more"))
    return file


def ask(conf, *arguments, status=0, environment=None, exim=False, user=None):
    command = [POSTERN, "-C", str(conf)] if exim else [POSTERN, "check", "-c", str(conf), "--print"]
    run = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=60,
                         env={**SANITIZER, **(environment or {})}, user=user)
    assert run.returncode == status, run
    return run.stdout if status == 0 else run.stderr


@pytest.mark.parametrize("arguments, text", [
    (["qualify_domain"], "qualify_domain = q.example\n"),
    (["retry_interval_max"], "retry_interval_max = 1d\n"),
    (["accept_8bitmime", "primary_hostname"], "accept_8bitmime\nprimary_hostname = h.example\n"),
    (["+local"], "domainlist local = a.example : b.example\n"),
    (["router_list"], "r1\n"),
    (["transport_list"], "t1\n"),
    (["authenticator_list"], ""),
    (["authenticators"], ""),
    (["--bare", "+local"], "a.example : b.example\n"),
    (["--bare", "qualify_domain", "accept_8bitmime"], "q.example\naccept_8bitmime\n"),
])
def test_each_form_is_printed_as_exim_prints_it(conf, arguments, text):
    assert ask(conf, *arguments) == text


def test_drivers_are_printed_with_their_names_or_alone(conf):
    alone = ask(conf, "router", "r1")
    assert "check_local_user\n" in alone and "\nretry_use_local_part\n" in alone and "transport = t1\n" in alone
    assert ask(conf, "routers") == "\nr1 router:\n" + alone
    assert ask(conf, "transports").startswith("\nt1 transport:\n")


def test_all_main_options_are_those_without_a_name(conf):
    assert ask(conf) == ask(conf, "all")
    assert len(ask(conf).splitlines()) > 30


def test_the_configuration_is_printed_as_it_was_read(conf, tmp_path):
    text = ask(conf, "config")
    head, rest = text.split("\n", 1)
    assert head.startswith("# Postern configuration (")
    macro = "MAC = text here\n" if ROOT else ""
    relay = "hide hostlist relay = " + ("10.0.0.1" if ROOT else "<value not displayable>")
    assert rest == f"""{macro}# 1 "{conf}"
primary_hostname = h.example
domainlist local = a.example : b.example
{relay}
# 1 "{tmp_path}/more"
qualify_domain = q.example
# 8 "{conf}"

begin acl

  ch:
    accept hosts = :

begin routers

  r1:
    driver = accept
    check_local_user
    transport = t1

begin transports

  t1:
    driver = appendfile
    directory = /var/mail/$local_part_data
    maildir_format
    user = 1000

begin retry
  * * F,2h,15m
"""
    assert ask(conf, "configure_file") == ask(conf, "config_file") == f"{conf}\n"


def test_macros_and_the_environment_are_for_root(conf):
    if not ROOT:
        for what in (["macros"], ["macro_list"], ["macro", "MAC"], ["environment"]):
            assert "only root" in ask(conf, *what, status=2)
        return
    assert ask(conf, "macros") == "MAC=text here\n"
    assert ask(conf, "macro_list") == "MAC\n"
    assert ask(conf, "macro", "MAC") == "MAC=text here\n"
    assert ask(conf, "--bare", "macro", "MAC") == "text here\n"
    assert "there is no macro NO" in ask(conf, "macro", "NO", status=2)
    shown = ask(conf, "environment", environment={"SECTIONS_TEST": "1"})
    assert "SECTIONS_TEST=1\n" in shown and shown == "".join(sorted(shown.splitlines(True)))
    assert "SECTIONS_TEST\n" in ask(conf, "--bare", "environment", environment={"SECTIONS_TEST": "1"})
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        public = Path(directory) / "conf"
        public.write_text("primary_hostname = h.example\nMAC = text here\n")
        for what in (["macros"], ["macro_list"], ["macro", "MAC"], ["environment"]):
            assert "only root" in ask(public, *what, status=2, user=65534)


def test_what_is_not_there_is_an_error(conf):
    assert "there is no router nosuch" in ask(conf, "router", "nosuch", status=2)
    assert "there is no authenticator nosuch" in ask(conf, "authenticator", "nosuch", status=2)
    assert "there is no named list nosuch" in ask(conf, "+nosuch", status=2)
    assert "not a known option" in ask(conf, "retry", status=2)


def test_exims_flag_is_the_same(conf):
    assert ask(conf, "-bP", "qualify_domain", exim=True) == "qualify_domain = q.example\n"
    assert ask(conf, "-n", "-bP", "+local", exim=True) == "a.example : b.example\n"


def test_authenticators_are_printed_with_what_is_assumed_for_them(tmp_path):
    file = tmp_path / "conf"
    file.write_text("primary_hostname = h.example\nauth_cleartext_hosts = *\nbegin authenticators\nplain:\n  driver = plaintext\n"
                    "  public_name = PLAIN\n  server_condition = no\nEXTERNAL:\n  driver = external\n")
    assert ask(file, "authenticator_list") == "plain\nEXTERNAL\n"
    assert "\nplain authenticator:\n" in ask(file, "authenticators")
    assert "public_name = PLAIN\n" in ask(file, "authenticator", "plain")
    external = ask(file, "authenticator", "EXTERNAL")
    assert "public_name = EXTERNAL\n" in external and "server_condition = ${if and{{bool{$tls_in_certificate_verified}}" in external

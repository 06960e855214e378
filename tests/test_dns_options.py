# SPDX-License-Identifier: ISC
"""The main options for the DNS, from the configuration file to the answer: the server of dns_config_file, validation, retries."""
import os
import subprocess
import time

import pytest

from dns_server import Liar
from harness import POSTERN, SANITIZER


@pytest.fixture
def expand(tmp_path):
    """expand(unbound.conf's text, options, expressions): what each of them gives."""
    def run(text, options, *expressions, arguments=()):
        (tmp_path / "unbound.conf").write_text(text)
        conf = tmp_path / "conf"
        conf.write_text(f"primary_hostname = mx.example.test\ndns_config_file = {tmp_path}/unbound.conf\n{options}\n")
        done = subprocess.run([POSTERN, "expand", "-C", conf, *arguments, "--", *expressions], capture_output=True, text=True, timeout=60,
                              env={**os.environ, **SANITIZER})
        assert done.returncode in (0, 1, 75), done
        return done.stdout.splitlines()
    return run


BOGUS = "${lookup dnsdb{a=www.broken.test}{$value $lookup_dnssec_authenticated}{none}}"
SIGNED = "${lookup dnsdb{a=www.signed.test}{$value $lookup_dnssec_authenticated}{none}}"


def test_answers_are_validated_and_say_so(nsd, expand):
    bogus, signed = expand(nsd.config(), "", BOGUS, SIGNED)
    assert bogus.startswith("Failed: ") and "validation" in bogus and signed == "192.0.2.80 yes"


def test_dns_dnssec_ok_switches_validation_off(nsd, expand):
    assert expand(nsd.config(), "dns_dnssec_ok = 0", BOGUS, SIGNED) == ["192.0.2.81 no", "192.0.2.80 no"]


def test_dns_ipv4_lookup_leaves_ipv6_addresses_out(nsd, expand):
    """A name in a host list stands for its addresses: with the option for those of IPv4 alone."""
    hosts = "acl_smtp_connect = c\n%s\nbegin acl\nc:\n  accept hosts = www.signed.test\n"
    question, six = "${if acl{{c}}{y}{n}}", ("-oMa", "2001:db8::80")
    assert expand(nsd.config(), hosts % "", question, arguments=six) == ["y"]
    assert expand(nsd.config(), hosts % "dns_ipv4_lookup = *.signed.test", question, arguments=six) == ["n"]
    assert expand(nsd.config(), hosts % "dns_ipv4_lookup = *.signed.test", question, arguments=("-oMa", "192.0.2.80")) == ["y"]


def test_dns_again_means_nonexist_turns_temporary_errors_into_absence(expand):
    silent = Liar("silent")
    try:
        question = "${lookup dnsdb{a=www.silent.test}{found}{none}}"
        options = "dns_retrans = 1s\ndns_retry = 1\n"
        late, = expand(silent.config(), options, question)
        assert late.startswith("Failed: "), late
        assert expand(silent.config(), options + "dns_again_means_nonexist = *.silent.test", question) == ["none"]
    finally:
        silent.close()


def test_dns_retrans_and_dns_retry_bound_the_time(expand):
    silent = Liar("silent")
    try:
        start = time.monotonic()
        late, = expand(silent.config(), "dns_retrans = 1s\ndns_retry = 1", "${lookup dnsdb{a=www.silent.test}}")
        assert late.startswith("Failed: ") and time.monotonic() - start < 15, late
    finally:
        silent.close()

# SPDX-License-Identifier: ISC
"""The resolver: what it says of zones that are signed, unsigned and broken, and of servers that are down, slow or lying."""
import collections
import os
import re
import subprocess
from pathlib import Path

import pytest

from dns_server import Liar
from harness import POSTERN, REPORT, SANITIZER, free_ports

PROBE = str(Path(POSTERN).parent / "dns_probe")
Answer = collections.namedtuple("Answer", "outcome security ttl canonical why ms records")


@pytest.fixture
def probe(tmp_path):
    """probe(config, name, type, ...): an answer a question."""
    def run(config, *questions, options=(), status=0):
        path = tmp_path / "unbound.conf"
        path.write_text(config)
        done = subprocess.run([PROBE, "-c", str(path), *options, *questions], capture_output=True, timeout=90,
                              env={**os.environ, **SANITIZER})
        text = done.stdout.decode(errors="surrogateescape")
        assert done.returncode == status and not REPORT.search(done.stderr.decode()), (text, done.stderr.decode())
        if status:
            return text
        answers = []
        for line in text.splitlines():
            fields = line.split("\t")
            answers.append(Answer(*fields[:2], int(fields[2]), *fields[3:5], int(fields[5]), fields[6:]))
        assert len(answers) == len(questions) // 2, text
        return answers
    return run


@pytest.mark.parametrize("name, security", [("www.signed.test", "secure"), ("www.unsigned.test", "insecure")])
def test_addresses_of_signed_and_unsigned_zones(nsd, probe, name, security):
    four, six = probe(nsd.config(), name, "A", name, "AAAA")
    assert (four.outcome, four.security, four.records, four.canonical) == ("found", security, ["192.0.2.80"], name)
    assert (six.outcome, six.security, six.records) == ("found", security, ["2001:db8::80"])
    assert 0 < four.ttl <= 300


@pytest.mark.parametrize("zone, reason", [("expired.test", "expired"), ("broken.test", "crypto|signature|bogus"),
                                          ("stripped.test", "DNSKEY|signatures|no keys")])
def test_bogus_zones_are_bogus_and_say_why(nsd, probe, zone, reason):
    answer, = probe(nsd.config(), f"www.{zone}", "A")
    assert answer.outcome == "bogus" and answer.security == "insecure" and answer.records == []
    assert zone in answer.why and re.search(reason, answer.why), answer.why


def test_without_validation_bogus_zones_are_found(nsd, probe):
    answer, = probe(nsd.config(), "www.broken.test", "A", options=["-u"])
    assert (answer.outcome, answer.security, answer.records) == ("found", "insecure", ["192.0.2.81"])


def test_absence_is_proven_in_signed_zones(nsd, probe):
    name, data, other_name, other_data = probe(nsd.config(), "none.signed.test", "A", "www.signed.test", "MX",
                                               "none.unsigned.test", "A", "www.unsigned.test", "MX")
    assert (name.outcome, name.security) == ("no-name", "secure")
    assert (data.outcome, data.security) == ("no-data", "secure")
    assert (other_name.outcome, other_name.security) == ("no-name", "insecure")
    assert (other_data.outcome, other_data.security) == ("no-data", "insecure")
    assert 0 < name.ttl <= 60


def test_a_name_that_has_only_names_below_it_exists(nsd, probe):
    answer, = probe(nsd.config(), "sub.test", "A")
    assert (answer.outcome, answer.security) == ("no-data", "secure")


def test_aliases_are_followed_and_their_end_is_told(nsd, probe):
    near, far = probe(nsd.config(), "alias.signed.test", "A", "far.signed.test", "A")
    assert (near.canonical, near.security, near.records) == ("www.signed.test", "secure", ["192.0.2.80"])
    # Half of the way is not signed: the whole is not secure (RFC 4035 §4.3).
    assert (far.canonical, far.security, far.records) == ("www.unsigned.test", "insecure", ["192.0.2.80"])


def test_records_of_all_types(nsd, probe):
    mx, txt, tlsa, srv, soa, ns, ptr = probe(
        nsd.config(), "signed.test", "MX", "text.signed.test", "TXT", "_25._tcp.mail.signed.test", "TLSA",
        "_smtp._tcp.signed.test", "SRV", "signed.test", "SOA", "signed.test", "NS", "2.0.0.127.in-addr.arpa", "PTR")
    assert sorted(mx.records) == ["10|mail.signed.test", "20|backup.signed.test"]
    assert txt.records == ["one|two"]
    assert tlsa.records == ["3|1|1|" + "0123456789abcdef" * 4] and tlsa.security == "secure"
    assert srv.records == ["1|2|25|mail.signed.test"]
    assert soa.records == ["ns.test|hostmaster.test|1|3600|600|86400|60"]
    assert ns.records == ["ns.test"]
    assert ptr.records == ["two.signed.test"] and ptr.security == "secure"


@pytest.mark.parametrize("name", ["a..test", "", "x" * 64 + ".test", ".".join(["a" * 60] * 5), "a\\"])
def test_names_that_cannot_be_are_absent_without_a_question(probe, name):
    liar = Liar("honest")
    answer, = probe(liar.config(), name, "A")
    liar.close()
    assert answer.outcome == "no-name" and answer.why and liar.questions == 0


def test_odd_bytes_in_names_reach_the_server_as_they_are(probe):
    liar = Liar("honest")
    for name in ("a b.test", "\u00fc.test", "a\\.b.test", "x\\000y.test", "'; DROP.test"):
        answer, = probe(liar.config(), name, "A")
        assert answer.outcome == "found", name
    liar.close()


def test_a_server_that_is_down_is_a_temporary_error(probe):
    port = free_ports(1)[0]
    answer, = probe(Liar.config(type("", (), {"port": port})), "www.test", "A", options=["-t", "300", "-n", "2"])
    assert answer.outcome == "temporary" and "www.test" in answer.why and answer.ms < 5000


@pytest.mark.parametrize("mode", ["silent", "wrong-id", "wrong-name", "garbage", "garbage-with-id", "truncated", "servfail", "refused",
                                  "notimp", "bad-rdlength"])
def test_misbehaving_servers_end_in_a_temporary_error_in_time(probe, mode):
    liar = Liar(mode)
    answer, = probe(liar.config(), "www.test", "A", options=["-w", "3000"])
    liar.close()
    assert answer.outcome == "temporary" and answer.why and answer.records == [], answer
    assert answer.ms < 4500 and liar.questions > 0


def test_nxdomain_of_an_unsigned_server_is_absence(probe):
    liar = Liar("nxdomain")
    answer, = probe(liar.config(), "www.test", "A")
    liar.close()
    assert answer.outcome == "no-name"


def test_the_deadline_holds_against_a_slow_server(probe):
    liar = Liar("slow")
    answer, = probe(liar.config(), "www.test", "A", options=["-w", "500"])
    liar.close()
    assert answer.outcome == "temporary" and "in time" in answer.why and 400 < answer.ms < 2000


def test_retransmit_and_retries_bound_the_time_of_a_question(probe):
    """As resolver(3): 200 ms, then 400 ms, then 800 ms: 1.4 seconds in all."""
    liar = Liar("silent")
    answer, = probe(liar.config(), "www.test", "A", options=["-t", "200", "-n", "3"])
    liar.close()
    assert answer.outcome == "temporary" and 1200 < answer.ms < 4000, answer


def test_many_questions_at_once_hold_nobody_up(nsd, probe):
    """Silent zones beside good ones: the good answers come while the others wait."""
    liar = Liar("silent")
    config = nsd.config() + f'stub-zone:\n  name: "void.test"\n  stub-addr: 127.0.0.1@{liar.port}\n'
    questions = []
    for i in range(200):
        questions += [f"n{i}.void.test", "A", f"n{i}.signed.test", "A"]
    answers = probe(config, *questions, options=["-p", "-w", "4000"])
    liar.close()
    found = collections.Counter(answer.outcome for answer in answers)
    assert found == {"temporary": 200, "no-name": 200}, found
    assert max(answer.ms for answer in answers if answer.outcome == "no-name") < 3500


def test_servers_of_resolv_conf_are_asked(probe, tmp_path):
    """resolv.conf has no ports, but the resolver takes one. "test" is a name that the system's servers may serve."""
    liar = Liar("honest")
    resolv = tmp_path / "resolv.conf"
    resolv.write_text(f"# nameserver 192.0.2.1\nsearch example\n; nameserver 192.0.2.2\nnameserver 127.0.0.1@{liar.port} # here\noptions ndots:1\n")
    first, second = probe("", "www.test", "A", "4.3.168.192.in-addr.arpa", "A", options=["-r", str(resolv), "-w", "5000"])
    liar.close()
    assert (first.outcome, first.security, first.records) == ("found", "insecure", ["192.0.2.1"])
    assert second.outcome == "found" and liar.questions >= 2


def test_the_servers_of_resolv_conf_are_not_asked_beside_a_configuration(nsd, probe, tmp_path):
    liar = Liar("honest")
    resolv = tmp_path / "resolv.conf"
    resolv.write_text(f"nameserver 127.0.0.1@{liar.port}\n")
    answer, = probe(nsd.config(), "www.unsigned.test", "A", options=["-r", str(resolv)])
    liar.close()
    assert answer.records == ["192.0.2.80"] and liar.questions == 0


@pytest.mark.parametrize("text, complaint", [("server:\n  nonsense: 1\n", "line 2: unknown keyword 'nonsense'"),
                                             ("include: /etc/passwd\n", "line 1: include is not supported"),
                                             ("server:\n  trust-anchor: \"x. IN DS q\"\n", "cannot use this configuration")])
def test_wrong_configurations_are_refused_with_their_line(probe, text, complaint):
    assert complaint in probe(text, "x", "A", status=1)

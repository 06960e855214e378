# SPDX-License-Identifier: ISC
"""dnsdb lookups and names of hosts, as Exim's manual has them (chapter 9 §10 to 13), against nsd."""
import collections
import os
import subprocess
from pathlib import Path

import pytest

from dns_server import Liar
from harness import POSTERN, REPORT, SANITIZER

PROBE = str(Path(POSTERN).parent / "lookup_probe")
Answer = collections.namedtuple("Answer", "result found secure number name text")


@pytest.fixture
def ask(nsd, tmp_path):
    """ask(query, ...): an answer each; with one query, the answer itself."""
    def run(*queries, config=None, options=(), kind="dnsdb"):
        path = tmp_path / "unbound.conf"
        path.write_text(config or nsd.config())
        arguments = [text for query in queries for text in (kind, query)]
        done = subprocess.run([PROBE, *options, str(path), *arguments], capture_output=True, timeout=90, env={**os.environ, **SANITIZER})
        text = done.stdout.decode(errors="surrogateescape")
        assert done.returncode == 0 and not REPORT.search(done.stderr.decode()), (text, done.stderr.decode())
        answers = [Answer(*line.split("\t")) for line in text.splitlines()]
        assert len(answers) == len(queries), text
        return answers if len(answers) > 1 else answers[0]
    return run


# The query, and what Exim gives (checked with Exim 4.96 against the same zones); None: not found.
CASES = [
    ("a=www.signed.test", "192.0.2.80"),
    ("A=www.signed.test", "192.0.2.80"),
    ("  a = www.signed.test", "192.0.2.80"),
    ("aaaa=www.signed.test", "2001:db8::80"),
    ("a+=www.signed.test", "2001:db8::80\\n192.0.2.80"),
    ("a=alias.signed.test", "192.0.2.80"),
    ("a=none.signed.test", None),
    ("a=", None),
    ("mx=www.signed.test", None),
    ("cname=alias.signed.test", "www.signed.test"),
    ("ns=signed.test", "ns.test"),
    ("text.signed.test", "one"),
    ("txt=text.signed.test", "one"),
    (">\n,: txt=text.signed.test", "one:two"),
    (">\n; txt=text.signed.test", "onetwo"),
    ("soa=signed.test", "ns.test"),
    ("soa=a.b.c.signed.test", "ns.test"),
    (">:,; soa=signed.test", "ns.test;hostmaster.test;1;3600;600;86400;60"),
    ("srv=_smtp._tcp.signed.test", "1 2 25 mail.signed.test"),
    (">:,/ srv=_smtp._tcp.signed.test", "1/2/25/mail.signed.test"),
    ("tlsa=_25._tcp.mail.signed.test", "3 1 1 " + "0123456789abcdef" * 4),
    ("spf=spf.signed.test", "v=spf1 a:x mx -all  "),
    ("zns=a.b.signed.test", "ns.test"),
    ("zns=test", "ns.test"),
    ("ptr=127.0.0.2", "two.signed.test"),
    ("ptr=2.0.0.127.in-addr.arpa", "two.signed.test"),
    ("ptr=<; 127.0.0.2 ; 127.0.0.3", "two.signed.test\\nelsewhere.signed.test"),
    ("a=www.signed.test:mail.signed.test", "192.0.2.80\\n192.0.2.25"),
    (">: a=www.signed.test:none.signed.test:mail.signed.test", "192.0.2.80:192.0.2.25"),
    ("> a=www.signed.test:mail.signed.test", "192.0.2.80 192.0.2.25"),
    ("a=<+ www.signed.test + mail.signed.test", "192.0.2.80\\n192.0.2.25"),
    ("defer_strict,a=www.signed.test", "192.0.2.80"),
    ("defer_never, dnssec_never , a=www.signed.test", "192.0.2.80"),
    ("defer_strict , a=www.signed.test", "192.0.2.80"),
    ("retrans_2s,retry_3,a=www.signed.test", "192.0.2.80"),
    ("a=a..b", None),
    ("a=x y.signed.test", None),
    ("a=www.signed.test.", "192.0.2.80"),
    ("a= : www.signed.test", "192.0.2.80"),
    ("spf=text.signed.test", None),
    ("a=far.signed.test", "192.0.2.80"),
    ("cname=www.signed.test", None),
    (">,,; soa=signed.test", "ns.test;hostmaster.test;1;3600;600;86400;60"),
]


def test_queries_as_the_manual_has_them(ask):
    answers = ask(*[query for query, _ in CASES])
    wrong = [(query, want, got) for (query, want), got in zip(CASES, answers)
             if got.result != "ok" or (got.found == "found", got.text) != (want is not None, want or "")]
    assert not wrong, wrong


def test_mx_records_with_and_without_their_preference(ask):
    mx, hosts, other = ask("mx=signed.test", "mxh=signed.test", ">:,/ mx=signed.test")
    assert sorted(mx.text.split("\\n")) == ["10 mail.signed.test", "20 backup.signed.test"]
    assert sorted(hosts.text.split("\\n")) == ["backup.signed.test", "mail.signed.test"]
    assert sorted(other.text.split(":")) == ["10/mail.signed.test", "20/backup.signed.test"]


@pytest.mark.parametrize("query, text", [
    ("foo=www.signed.test", "unsupported DNS record type"),
    ("defer_maybe,a=www.signed.test", "unsupported dnsdb defer behaviour"),
    ("dnssec_maybe,a=www.signed.test", "unsupported dnsdb dnssec behaviour"),
    ("retrans_x,a=www.signed.test", "unsupported dnsdb timeout value"),
    ("retry_-1,a=www.signed.test", "unsupported dnsdb retry count"),
    ("defer_lax a=www.signed.test", "dnsdb modifier syntax error"),
])
def test_errors_have_exims_texts(ask, query, text):
    answer = ask(query)
    assert (answer.result, answer.text) == ("defer", text)


def test_secure_is_of_all_that_was_asked(ask):
    both, mixed, absent, unsigned, never = ask("a=www.signed.test:mail.signed.test", "a=www.signed.test:www.unsigned.test",
                                               "a=none.signed.test", "a=www.unsigned.test", "dnssec_never,a=www.signed.test")
    assert [answer.secure for answer in (both, mixed, absent, unsigned)] == ["secure", "insecure", "secure", "insecure"]
    assert (never.secure, never.number) == ("insecure", "0") and both.number == "1"


def test_dnssec_strict_defers_what_is_not_signed(ask):
    good, weak, ignored = ask("dnssec_strict,a=www.signed.test", "dnssec_strict,a=www.unsigned.test",
                              "defer_never,dnssec_strict,a=www.unsigned.test")
    assert good.text == "192.0.2.80"
    assert weak.result == "defer" and "www.unsigned.test" in weak.text
    assert (ignored.result, ignored.found) == ("ok", "not")


def test_a_temporary_error_counts_as_the_modifier_says(ask):
    """Exim's manual, chapter 9 §11: strict, lax (when nothing is found), never."""
    lax, alone, strict, never = ask("a=www.broken.test:www.signed.test", "a=www.broken.test",
                                    "defer_strict,a=www.signed.test:www.broken.test", "defer_never,a=www.broken.test")
    assert (lax.result, lax.text) == ("ok", "192.0.2.80")
    assert alone.result == "defer" and "www.broken.test" in alone.text
    assert strict.result == "defer"
    assert (never.result, never.found) == ("ok", "not")


def test_again_means_nonexist_is_for_temporary_errors_but_not_for_bogus_ones(ask):
    liar = Liar("servfail")
    plain = ask("a=www.test", config=liar.config())
    absent = ask("a=www.test", config=liar.config(), options=["-m", "*.test"])
    other = ask("a=www.test", config=liar.config(), options=["-m", "*.example"])
    liar.close()
    assert (plain.result, absent.result, absent.found, other.result) == ("defer", "ok", "not", "defer")
    assert ask("a=www.broken.test", options=["-m", "*"]).result == "defer"


@pytest.mark.parametrize("query", ["a=[[www.signed.test:mail.signed.test]].signed.test",  # a part of a name
                                   "[[>: ]]a=none.signed.test", "[[a=www.signed.test]]", "[[defer_never,]]a=www.broken.test",
                                   "a=[[<; www.signed.test]]", "a=[[x y.signed.test]]", "a=[[..]]"])
def test_a_peers_text_is_no_syntax(ask, query):
    answer = ask(query)
    assert answer.found == "not" and answer.result in ("ok", "defer"), answer


def test_a_peers_text_is_a_name_or_as_a_whole_a_list_of_names(ask):
    name, part, whole, address = ask("a=[[www]].signed.test", "a=www.[[signed.test]]", "a=[[www.signed.test:mail.signed.test]]",
                                     "ptr=[[127.0.0.2]]")
    assert (name.text, part.text, whole.text, address.text) == ("192.0.2.80", "192.0.2.80", "192.0.2.80\\n192.0.2.25", "two.signed.test")


def test_a_peers_list_does_not_choose_separators(ask):
    answer = ask("a=[[>: www.signed.test:mail.signed.test]]")
    assert answer.text == "192.0.2.80\\n192.0.2.25"


def test_a_peer_cannot_ask_for_names_without_end(ask):
    liar = Liar("nxdomain")
    answer = ask("a=[[" + ":".join(f"n{i}.test" for i in range(1000)) + "]]", config=liar.config())
    asked, liar.questions = liar.questions, 0
    liar.close()
    assert answer.result == "fail" and asked <= 300


def test_csa_is_refused_with_a_reason(ask):
    answer = ask("csa=www.signed.test")
    assert answer.result == "fail" and "csa" in answer.text


def test_names_of_hosts_lead_back(ask):
    two, elsewhere, none, several, unsigned = ask("127.0.0.2", "127.0.0.3", "127.0.0.9", "127.0.0.6", "127.0.0.4", options=["-s", "names"])
    assert (two.found, two.text, two.name, two.secure) == ("found", "two.signed.test", "two.signed.test", "secure")
    assert (elsewhere.result, elsewhere.found, elsewhere.name, elsewhere.text) == ("ok", "not", "elsewhere.signed.test", "")
    assert (none.found, none.name) == ("not", "")
    assert (several.found, several.text) == ("found", "six-b.signed.test")
    assert (unsigned.found, unsigned.text, unsigned.secure) == ("found", "four.unsigned.test", "insecure")


def test_a_name_that_cannot_be_confirmed_now_is_a_temporary_error(ask):
    answer = ask("127.0.0.7", options=["-s", "names"])
    assert answer.result == "defer" and "www.broken.test" in answer.text


def test_the_file_of_hosts_names_what_the_dns_does_not(ask):
    answer = ask("127.0.0.77", options=["-s", "names"])
    assert answer.text == "hosts-file.example\\0other-name.example" and answer.secure == "insecure"


def test_addresses_of_hosts(ask):
    both, alias, none, literal, file = ask("www.signed.test", "alias.signed.test", "none.signed.test", "192.0.2.7", "HOSTS-FILE.example",
                                           options=["-s", "addresses"])
    assert (both.text, both.secure) == ("2001:db8::80 192.0.2.80", "secure") and alias.text == both.text
    assert (none.result, none.found) == ("ok", "not")
    assert literal.text == "192.0.2.7" and file.text == "127.0.0.77"
    assert ask("www.signed.test", options=["-s", "addresses", "-4", "*.signed.test"]).text == "192.0.2.80"
    assert ask("www.expired.test", options=["-s", "addresses"]).result == "defer"

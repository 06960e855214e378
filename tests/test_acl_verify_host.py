# SPDX-License-Identifier: ISC
"""verify = helo and verify = reverse_host_lookup (Exim's manual, chapter 44 §26) with a name server of our own: what the name of HELO and the
client's address say of each other. In these ACLs 250 says yes, 550 no, and 451 that it cannot be told now."""
import subprocess

import pytest

from harness import POSTERN

ACL = "begin acl\nhelo:\n  require verify = helo\n  accept\nreverse:\n  require verify = reverse_host_lookup\n  accept\n" \
      "lenient:\n  require verify = reverse_host_lookup/defer_ok\n  accept\n"


@pytest.fixture(scope="module", name="check")
def fixture_check(module_server, nsd):
    config = nsd.dir / "unbound.conf"
    config.write_text(nsd.config())
    config.chmod(0o644)
    nsd.dir.chmod(0o755)
    one = module_server(main={"dns_config_file": config, "acl_smtp_mail": "${if match{$sender_address}{^helo}{helo}{${if match{$sender_address}{^reverse}{reverse}{lenient}}}}"}, extra=ACL)

    def check(kind, source, helo="client.test"):
        with one.connect(source=source) as client:
            client.cmd(f"EHLO {helo}")
            code, texts = client.cmd(f"MAIL FROM:<{kind}@client.test>")
            return code, texts
    return check


@pytest.mark.parametrize("source, helo, code", [
    ("127.0.0.2", "two.signed.test", 250),      # the address's own name
    ("127.0.0.2", "TWO.Signed.test", 250),
    ("127.0.0.6", "six-b.signed.test", 250),    # one of two, of which the other leads elsewhere
    ("127.0.0.4", "four.unsigned.test", 250),
    ("127.0.0.1", "ns.test", 250),              # no name leads to it, but it has the address
    ("127.0.0.2", "www.signed.test", 550),      # other addresses
    ("127.0.0.2", "six-b.signed.test", 550),
    ("127.0.0.5", "nowhere.signed.test", 550),  # a name without addresses
    ("127.0.0.3", "elsewhere.signed.test", 550),
    ("127.0.0.1", "missing.signed.test", 550),
    ("127.0.0.2", "www.expired.test", 451),      # what it has cannot be validated
    ("127.0.0.7", "two.signed.test", 451),      # nor the name of the address
    ("127.0.0.2", "[127.0.0.2]", 250),
    ("127.0.0.2", "[127.0.0.3]", 550),
])
def test_the_name_of_helo_is_the_clients(source, helo, code, check):
    assert check("helo", source, helo)[0] == code


@pytest.mark.parametrize("source, code, lenient", [
    ("127.0.0.2", 250, 250), ("127.0.0.4", 250, 250), ("127.0.0.6", 250, 250),
    ("127.0.0.3", 550, 550),  # its name has another address
    ("127.0.0.5", 550, 550),  # or none
    ("127.0.0.9", 550, 550),  # it has no name
    ("127.0.0.7", 451, 250),  # its name cannot be validated now
])
def test_the_address_has_a_name_that_leads_back(source, code, lenient, check):
    assert check("reverse", source)[0] == code
    assert check("lenient", source)[0] == lenient


@pytest.mark.parametrize("address, literal, same", [
    ("::1", "[IPv6:::1]", True), ("::1", "[IPv6:0:0:0:0:0:0:0:1]", True), ("::1", "[ipv6:0::1]", True),
    ("2001:db8::ab", "[IPv6:2001:DB8:0:0::AB]", True), ("::1", "[IPv6:::2]", False),
    ("::1", "[127.0.0.1]", False), ("192.0.2.1", "[192.0.2.1]", True), ("192.0.2.1", "[IPv6:::ffff:192.0.2.1]", True),
    ("192.0.2.1", "[192.0.2.10]", False),
])
def test_an_address_literal_is_compared_as_an_address(address, literal, same, tmp_path):
    conf = tmp_path / "postern.conf"
    conf.write_text(f"primary_hostname = mx.example.test\nspool_directory = {tmp_path}/spool\nacl_smtp_mail = helo\n"
                    f"{ACL}")
    done = subprocess.run([POSTERN, "session", "-c", conf, address], input=f"EHLO {literal}\nMAIL FROM:<a@client.test>\nQUIT\n", text=True,
                          capture_output=True, timeout=60, check=False)
    said = done.stdout.split("\n")
    assert any(line.startswith("250 HELP") or "mx.example.test Hello" in line for line in said), done
    answer = said[-3] if said[-1] == "" else said[-2]
    assert answer.startswith("250 OK" if same else "550 "), done.stdout

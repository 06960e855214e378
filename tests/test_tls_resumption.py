# SPDX-License-Identifier: ISC
"""What a session may be resumed for: by openssl s_client, which keeps sessions in files, in TLS 1.2 and 1.3. A ticket that does not hold
gets a full handshake, never a failure."""
import pytest

from harness import make_certificate
from ocsp_authority import Authority
from tls_peers import named_certificate, s_client, speak

VERSIONS = ["-tls1_2", "-tls1_3"]
# One that the profile "intermediate" does not have.
WEAK = ("-tls1_2", "-cipher", "ECDHE-RSA-AES256-SHA384")


@pytest.fixture
def ticket(tmp_path):
    """A place for a session."""
    return str(tmp_path / "session")


def take(port, ticket, *options, **named):
    """A full handshake; its session is kept. In TLS 1.3 the ticket comes behind it, so a command is answered first."""
    said = speak(port, *options, "-sess_out", ticket, lines=("EHLO client.test",), **named)
    assert "221" in said, said
    return said


def resume(port, ticket, *options, **named):
    return s_client(port, *options, "-sess_in", ticket, **named)


def refused(answer):
    """What s_client prints of the session is what it had kept, whatever came of it."""
    return answer.status != 0 and "alert handshake failure" in answer.text


def listeners(server, **main):
    """A server whose two ports differ in nothing but what `main` says."""
    one = server(start=False, kind="rsa")
    one.configure({"tls_on_connect_ports": None, "submission_ports": "", **main})
    return one


@pytest.mark.parametrize("version", VERSIONS)
def test_equal_policies_resume_on_every_port_and_after_a_reload(server, ticket, version):
    one = listeners(server, tls_require_ciphers="ECDHE+AESGCM").start()
    take(one.smtp, ticket, version)
    assert resume(one.submission, ticket, version).reused
    one.reload()
    assert resume(one.smtp, ticket, version).reused
    assert resume(one.submission, ticket, version).reused


def test_a_session_of_a_laxer_port_does_not_bring_its_cipher_to_a_stricter_one(server, ticket):
    one = listeners(server)
    one.configure({"tls_profile": f"opportunistic : {one.submission}=intermediate"})
    one.start()
    take(one.smtp, ticket, *WEAK)
    assert resume(one.smtp, ticket, *WEAK).reused
    assert refused(resume(one.submission, ticket, *WEAK))
    # A client that has a better one, too, gets that: by a full handshake.
    both = resume(one.submission, ticket, "-tls1_2", "-cipher", "ECDHE-RSA-AES256-SHA384:ECDHE-RSA-AES256-GCM-SHA384")
    assert both.cipher == "ECDHE-RSA-AES256-GCM-SHA384" and not both.reused


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("option, lax, strict", [
    ("tls_require_ciphers", "ECDHE+AESGCM:ECDHE+AES", "ECDHE+AESGCM"), ("tls_eccurve", "X25519:P-256", "P-256"),
    ("openssl_options", "+all", "+all +no_encrypt_then_mac"), ("tls_min_version", "TLS1.1", "TLS1.2"),
])
def test_a_session_is_resumed_by_hosts_with_the_same_policy_only(server, ticket, option, lax, strict, version):
    one = listeners(server, **{option: "${if eq{$sender_host_address}{127.0.0.2}{%s}{%s}}" % (strict, lax)}).start()
    take(one.smtp, ticket, version)
    other = resume(one.smtp, ticket, version, "-bind", "127.0.0.2")
    assert other.good and not other.reused
    assert resume(one.smtp, ticket, version, "-bind", "127.0.0.3").reused


def test_a_reload_with_other_ciphers_ends_what_tickets_say(server, ticket):
    one = listeners(server).start()
    take(one.smtp, ticket, *WEAK)
    assert resume(one.smtp, ticket, *WEAK).reused
    one.configure({"tls_require_ciphers": "ECDHE+AESGCM"})
    one.reload()
    assert refused(resume(one.smtp, ticket, *WEAK))
    full = resume(one.smtp, ticket, "-tls1_2")
    assert full.good and not full.reused


def test_tls_verify_ciphers_holds_for_resumed_sessions(server, ticket, tmp_path):
    authority = Authority(tmp_path / "authority")
    authority.make("client.test", "root")
    pair = ("-cert", str(authority.dir / "client.test.pem"), "-key", str(authority.dir / "client.test.key"))
    one = server(start=False, kind="ecdsa")
    root = one.dir / "root.pem"
    root.write_text((authority.dir / "root.pem").read_text())
    one.configure({"tls_verify_hosts": "*", "tls_verify_certificates": root, "tls_verify_ciphers":
                   "${if eq{$sender_host_address}{127.0.0.2}{ECDHE-ECDSA-AES256-GCM-SHA384}{ECDHE-ECDSA-AES128-SHA}}"})
    one.start()
    take(one.smtp, ticket, "-tls1_2", *pair)
    assert resume(one.smtp, ticket, "-tls1_2", *pair).cipher == "ECDHE-ECDSA-AES128-SHA"
    assert resume(one.smtp, ticket, "-tls1_2", *pair).reused
    other = resume(one.smtp, ticket, "-tls1_2", *pair, "-bind", "127.0.0.2")
    assert other.cipher == "ECDHE-ECDSA-AES256-GCM-SHA384" and not other.reused


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("own", [True, False])
def test_a_session_holds_for_the_name_that_it_was_made_for(server, ticket, version, own):
    """RFC 6066, section 3: with another name, a full handshake. Whether the names have certificates of their own or share one."""
    one = server(start=False)
    directory = one.dir / "certs"
    directory.mkdir()
    for name in ("default", "a.example.test", "b.example.test") if own else ("default",):
        named_certificate(directory, name, both=True)
    one.configure({"tls_certificate": f"{directory}/", "tls_privatekey": None})
    one.start()
    take(one.smtp, ticket, version, sni="a.example.test")
    assert resume(one.smtp, ticket, version, sni="a.example.test").reused
    for sni in ("b.example.test", None):
        other = resume(one.smtp, ticket, version, sni=sni)
        assert other.good and not other.reused, sni
    take(one.smtp, ticket, version)
    assert resume(one.smtp, ticket, version).reused
    assert not resume(one.smtp, ticket, version, sni="a.example.test").reused


@pytest.mark.parametrize("version", VERSIONS)
def test_a_session_holds_for_the_name_where_one_certificate_serves_all_names_too(server, ticket, version):
    one = server()
    take(one.smtp, ticket, version, sni="a.example.test")
    assert resume(one.smtp, ticket, version, sni="a.example.test").reused
    other = resume(one.smtp, ticket, version, sni="b.example.test")
    assert other.good and not other.reused


@pytest.mark.parametrize("version", VERSIONS)
def test_another_certificate_ends_what_tickets_say_and_a_renewed_one_does_not(server, ticket, version):
    one = server(start=False)
    first, _ = named_certificate(one.dir, "first.test", both=True)
    one.configure({"tls_certificate": first, "tls_privatekey": None})
    one.start()
    take(one.smtp, ticket, version)
    named_certificate(one.dir, "first.test", both=True)
    one.reload()
    assert resume(one.smtp, ticket, version).reused
    second, key = make_certificate(one.dir)
    one.configure({"tls_certificate": second, "tls_privatekey": key})
    one.reload()
    other = resume(one.smtp, ticket, version)
    assert other.good and not other.reused

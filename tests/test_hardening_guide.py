# SPDX-License-Identifier: ISC
"""What the hardening guide sets for servers (Exim, Postfix, Dovecot, Cyrus), each setting by its equal here and a real client; then the
profiles as sslscan and testssl.sh see them. docs/conformance.md has the guide's settings in their order."""
import base64
import re
import subprocess

import pytest

from harness import DEADLINE, POSTERN, Server, Smtp, make_message
from ocsp_authority import Authority
from tls_peers import AUTHENTICATORS, LOGIN, Wire, gnutls_cli, named_certificate, s_client, speak, sslscan, swaks, testssl

# "Cipher String B" without the ciphers that have no forward secrecy: no key here decrypts.
STRING_B = ("EDH+CAMELLIA:EDH+aRSA:EECDH+aRSA+AESGCM:EECDH+aRSA+SHA256:EECDH:+CAMELLIA128:+AES128:+SSLv3:!aNULL:!eNULL:!LOW:!3DES:!MD5:"
            "!EXP:!PSK:!DSS:!RC4:!SEED:!IDEA:!ECDSA:kEDH:CAMELLIA128-SHA:AES128-SHA:!kRSA")
GUIDES_OPTIONS = "+all +no_sslv2 +no_compression +cipher_server_preference"
AES, SHORTER, CHACHA = "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-CHACHA20-POLY1305"


def known_ciphers(text):
    """What the library makes of a list for TLS 1.2, in order."""
    names = subprocess.run(["openssl", "ciphers", "-s", "-tls1_2", text], capture_output=True, text=True, check=True, timeout=60).stdout
    return [name for name in names.strip().split(":") if not name.startswith("TLS_")]


@pytest.fixture
def chained(server):
    """A server that is not started, its certificate made by an intermediate authority: (server, authority, chain file, key)."""
    one = server(start=False)
    authority = Authority(one.dir / "authority")
    chain, key = authority.server("mx.example.test")
    one.configure({"tls_certificate": chain, "tls_privatekey": key})
    return one, authority, chain, key


# ---- SMTP in general ----

def test_tls_is_opportunistic_taken_when_asked_for_and_not_required(shared):
    """Postfix's security level may: both ways of the same message come in."""
    over_tls, in_clear = swaks(shared.smtp, to="alice@example.test"), swaks(shared.smtp, tls=False, to="alice@example.test")
    assert over_tls and over_tls.cipher and in_clear and not in_clear.cipher
    shared.maildir("alice").wait(2)


def test_anything_but_submission_takes_every_cipher_that_is_not_broken(server):
    """The alternative there is clear text. Port 25 has all that submission has and more, and nothing without forward secrecy."""
    one = server(kind="rsa")
    mx, submission = sslscan(one.smtp).ciphers, sslscan(one.tls, starttls=False).ciphers
    assert set(submission["TLSv1.2"]) < set(mx["TLSv1.2"]) and mx["TLSv1.3"] == submission["TLSv1.3"]
    assert {"ECDHE-RSA-AES128-SHA", "DHE-RSA-AES256-SHA", "DHE-RSA-CAMELLIA256-SHA"} <= set(mx["TLSv1.2"])
    assert all(re.match("(EC)?DHE-", cipher) for cipher in mx["TLSv1.2"])


# ---- Submission: who is to log in, and where ----

NOT_OFFERED = "*** Host did not advertise authentication"
SECRET = base64.b64encode(b"\0ann\0secret")


@pytest.fixture
def submission(server):
    """A server with an authenticator and a port for submission: submission(advertise condition, options)."""
    def make(condition="", main=None, extra=""):
        one = server(start=False, extra=extra + AUTHENTICATORS + condition)
        one.configure({"submission_ports": one.submission, **(main or {})})
        return one.start()
    return make


def msmtp(port, *options):
    """One message by msmtp, with a password for whoever asks: its exit status and what it complained of."""
    run = subprocess.run(["msmtp", "--host=127.0.0.1", f"--port={port}", "--user=ann", "--passwordeval=echo secret", "--from=ann@example.test",
                          *options, "user@example.test"], input=make_message().decode(), capture_output=True, text=True, timeout=DEADLINE)
    return run.returncode, run.stderr


def test_submission_requires_authentication_of_local_networks_as_well(submission):
    """Also of hosts that may relay without it elsewhere."""
    one = submission(main={"host_accept_relay": "127.0.0.0/8"})
    for source in ("127.0.0.1", "127.0.0.2"):
        refused = swaks(one.submission, source=source)
        assert not refused and "<~* 530 Authentication required" in refused.text, refused.text
        assert swaks(one.submission, *LOGIN, source=source)
        assert swaks(one.smtp, source=source), "for the other ports that is no rule"
    status, complaint = msmtp(one.submission, "--tls=on", "--tls-certcheck=off", "--auth=off")
    assert status != 0 and "530 Authentication required" in complaint
    assert msmtp(one.submission, "--tls=on", "--tls-certcheck=off", "--auth=on") == (0, "")


def test_authentication_is_not_possible_in_clear(submission):
    """By default, on every port: no client is brought to say its password, and one that says it gets nothing for it."""
    one = submission()
    for port in (one.smtp, one.submission):
        wire = Wire(port)
        refused = swaks(wire.port, *LOGIN, tls=False)
        wire.close()
        assert not refused and NOT_OFFERED in refused.text and b"AUTH" not in wire.sent and SECRET not in wire.sent
        status, complaint = msmtp(port, "--tls=off", "--auth=plain")
        assert status != 0 and "does not support authentication" in complaint, complaint
        with Smtp(port) as client:
            client.ehlo()
            assert client.expect(538, "AUTH PLAIN " + SECRET.decode()) == "Encryption required for requested authentication mechanism"


def test_authentication_is_offered_after_starttls_only(submission):
    """smtpd_tls_auth_only = yes; and on ports where TLS begins at once."""
    one = submission()
    for port in (one.smtp, one.submission):
        in_clear, within = swaks(port, *LOGIN).text.split("=== TLS started")
        assert "AUTH" not in in_clear and "<~  250-AUTH PLAIN" in within and "<~  235 Authentication succeeded" in within
    assert "250-AUTH PLAIN" in speak(one.tls, lines=["EHLO client.test"], starttls=False)


def test_passwords_are_taken_after_starttls_only_and_not_as_cram_md5(submission):
    """Plain passwords are safe there; CRAM-MD5, which the guide does not recommend, is there on demand, with a warning."""
    one = submission()
    wire = Wire(one.submission)
    assert swaks(wire.port, *LOGIN)
    wire.close()
    assert b"STARTTLS\r\n" in wire.sent and b"AUTH" not in wire.sent and SECRET not in wire.sent
    assert "CRAM-MD5" not in swaks(one.submission).text
    one.extra += "cram:\n  driver = cram_md5\n  public_name = CRAM-MD5\n  server_secret = secret\n"
    one.configure()
    run = subprocess.run([POSTERN, "check", "-c", str(one.conf)], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0 and "CRAM-MD5 needs passwords in clear on this server" in run.stderr, run


def test_server_advertise_condition_on_the_cipher_limits_auth_to_tls(submission):
    """Where AUTH in clear is let, the guide's condition takes it back from the authenticator that has it."""
    one = submission("  server_advertise_condition = ${if eq{$tls_cipher}{}{no}{yes}}\n"
                     "login:\n  driver = plaintext\n  public_name = LOGIN\n  server_prompts = Username:: : Password::\n"
                     "  server_condition = ${if eq{$auth2}{secret}}\n  server_set_id = $auth1\n", {"auth_cleartext_hosts": "*"})
    with_the_condition = swaks(one.smtp, *LOGIN, tls=False)
    assert not with_the_condition and "250-AUTH LOGIN\n" in with_the_condition.text
    assert swaks(one.smtp, "--auth", "LOGIN", *LOGIN[2:], tls=False), "the one without it is offered"
    assert swaks(one.smtp, *LOGIN)


SUBMISSION_MODE = "begin acl\nmail:\n  warn\n    control = submission/sender_retain\n  accept\n"


def test_submission_sender_retain_adds_message_id_and_date_and_retains_the_sender(submission):
    one = submission(main={"acl_smtp_mail": "mail", "submission_ports": ""}, extra=SUBMISSION_MODE)
    assert swaks(one.smtp, *LOGIN, "--data", "From: boss@elsewhere.test\\nSender: other@elsewhere.test\\nSubject: x\\n\\nbody\\n")
    head = one.maildir().wait()[0].decode().split("\r\n\r\n")[0]
    assert re.search(r"^Message-Id: <E\S+@mx\.example\.test>\r$", head, re.M) and re.search(r"^Date: \w{3}, \d", head, re.M), head
    assert "From: boss@elsewhere.test\r\nSender: other@elsewhere.test\r\n" in head
    assert one.wait_log(r" <= (\S+) .* A=plain:ann ").group(1) == "sender@client.test"


# ---- Exim, and what Dovecot and Cyrus have as well ----

def test_certificate_and_key_with_the_intermediate_certificates_in_the_pem_file(chained):
    """A client that knows only the root trusts the server; without the intermediate one it would not."""
    one, authority, chain, _ = chained
    root = authority.dir / "root.pem"
    one.start()
    answer = s_client(one.smtp, "-CAfile", str(root), "-verify_return_error", "-verify_hostname", "mx.example.test")
    assert answer.status == 0 and "Verify return code: 0 (ok)" in answer.text
    status, text = gnutls_cli(one.smtp, "--x509cafile", root, "--verify-hostname", "mx.example.test")
    assert status == 0 and "The certificate is trusted" in text
    one.stop()
    one.configure({"tls_certificate": authority.dir / "mx.example.test.pem"})
    one.start()
    assert s_client(one.smtp, "-CAfile", str(root), "-verify_return_error").status != 0


def test_starttls_is_advertised_to_everyone_in_the_ehlo_answer(server):
    one = server(main={"tls_advertise_hosts": "*"})
    for port in (one.smtp, one.submission):
        for source in ("127.0.0.1", "127.0.0.9"):
            sent = swaks(port, source=source)
            assert "250-STARTTLS" in sent.text and sent.cipher


def test_smtp_smtps_and_submission_ports_with_tls_on_connect_on_one_of_them(server):
    """daemon_smtp_ports = smtp : smtps : submission, tls_on_connect_ports = 465, on ports of the test's own."""
    one = server()
    assert swaks(one.smtp).cipher and swaks(one.submission).cipher
    assert swaks(one.tls, "--tls-on-connect", tls=False).cipher
    assert not swaks(one.tls, "--timeout", "3", tls=False), "nothing is said in clear there"
    assert not s_client(one.smtp, starttls=False).good
    conf = one.dir / "names.conf"
    conf.write_text(f"daemon_smtp_ports = smtp : smtps : submission\ntls_on_connect_ports = 465\ntls_certificate = {one.cert}\n"
                    f"tls_privatekey = {one.key}\n")
    run = subprocess.run([POSTERN, "check", "-c", conf, "--print", "daemon_smtp_ports"], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0 and "smtp : smtps : submission" in run.stdout, run


def test_a_server_that_only_receives_listens_on_one_port(server):
    one = server(start=False)
    one.configure({"daemon_smtp_ports": one.smtp, "tls_on_connect_ports": None})
    one.start()
    assert swaks(one.smtp).cipher
    for port in (one.tls, one.submission):
        with pytest.raises(ConnectionRefusedError):
            Smtp(port)


def test_the_default_ciphers_are_not_restricted(server):
    """Every ordinary client finds a cipher without a list of its own: each version, each kind of key exchange."""
    one = server(kind="rsa")
    for options in (("-tls1_2", "-cipher", "ECDHE"), ("-tls1_2", "-cipher", "DHE"), ("-tls1_2", "-cipher", "AES128-SHA:ECDHE-RSA-AES128-SHA"),
                    ("-tls1_3", "-ciphersuites", "TLS_AES_256_GCM_SHA384"), ("-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256")):
        assert s_client(one.smtp, *options).good, options


def test_elliptic_curves_are_used_for_the_key_exchange(server):
    """Which the guide's Exim and Cyrus could not."""
    for kind in ("rsa", "ecdsa"):
        one = server(kind=kind)
        answer = s_client(one.smtp, "-tls1_2")
        assert answer.cipher.startswith("ECDHE-") and answer.group.startswith(("X25519", "ECDH")), answer.text


def test_the_cipher_is_logged_by_default_and_log_selector_adds_verification_name_and_sni(chained):
    one, authority, _, _ = chained
    authority.make("client.test", "root", "subjectAltName=DNS:client.test")
    pair = (authority.dir / "client.test.pem", authority.dir / "client.test.key")
    one.configure({"tls_try_verify_hosts": "*", "tls_verify_certificates": authority.dir / "root.pem"})
    one.start()
    sent = swaks(one.smtp, "--tls-sni", "mx.example.test", pair=pair)
    line = one.wait_log(r"^.* <= sender@client\.test .*$")[0]
    assert f"X=TLS1.3:{sent.cipher}:" in line and "DN=" not in line and "SNI=" not in line
    one.stop()
    one.configure({"log_selector": "+tls_certificate_verified +tls_peerdn +tls_sni"})
    one.start()
    mark = one.mark()
    assert swaks(one.smtp, "--tls-sni", "mx.example.test", pair=pair)
    one.wait_log(rf' <= sender@client\.test .* X=TLS1\.3:{sent.cipher}:\d+ CV=yes DN="/CN=client\.test" SNI=mx\.example\.test S=', mark)


def test_tls_try_verify_hosts_requests_a_certificate_and_only_reports_the_result(chained):
    one, authority, _, _ = chained
    authority.make("client.test", "root", "subjectAltName=DNS:client.test")
    good = (authority.dir / "client.test.pem", authority.dir / "client.test.key")
    one.configure({"tls_verify_certificates": authority.dir / "root.pem", "tls_try_verify_hosts": "*"})
    one.start()
    assert "Acceptable client certificate CA names" in s_client(one.smtp).text
    for pair, verified in ((None, "no"), (named_certificate(one.dir, "strange.test"), "no"), (good, "yes")):
        mark = one.mark()
        assert swaks(one.smtp, pair=pair)
        one.wait_log(rf" <= sender@client\.test .* CV={verified} ", mark)


def test_tls_verify_hosts_disconnects_clients_without_a_good_certificate(chained):
    one, authority, _, _ = chained
    authority.make("client.test", "root", "subjectAltName=DNS:client.test")
    one.configure({"tls_verify_certificates": authority.dir / "root.pem", "tls_verify_hosts": "*"})
    one.start()
    assert not swaks(one.smtp) and not swaks(one.smtp, pair=named_certificate(one.dir, "strange.test"))
    one.wait_log(r"TLS error on connection from .*\(SSL_accept\): peer did not return a certificate")
    assert swaks(one.smtp, pair=(authority.dir / "client.test.pem", authority.dir / "client.test.key"))


def test_the_recommended_openssl_options(server):
    """The workarounds, no SSL 2, no compression, the server's order of ciphers."""
    one = server(kind="rsa", main={"openssl_options": GUIDES_OPTIONS})
    scan = sslscan(one.smtp)
    assert scan.enabled() == ["TLSv1.2", "TLSv1.3"] and "Compression enabled" not in scan.text
    assert "Compression: NONE" in s_client(one.smtp, "-tls1_2", "-comp").text
    for order in (f"{AES}:{SHORTER}", f"{SHORTER}:{AES}"):
        assert s_client(one.smtp, "-tls1_2", "-cipher", order).cipher == AES


def test_without_diffie_hellman_parameters_of_ones_own_a_group_of_2048_bits_or_more_is_used(server):
    one = server(kind="rsa")
    bits = int(re.fullmatch(r"DH, (\d+) bits", s_client(one.smtp, "-tls1_2", "-cipher", "DHE").group)[1])
    assert bits >= 2048


def test_the_group_of_rfc_5114_is_there_by_its_name(server):
    one = server(kind="rsa", main={"tls_dhparam": "ike23"})
    assert s_client(one.smtp, "-tls1_2", "-cipher", "DHE").group == "DH, 2048 bits"


def test_cipher_lists_and_the_offer_of_starttls_can_be_conditional(server):
    one = server(main={"tls_require_ciphers": "${if eq{$sender_host_address}{127.0.0.2}{ECDHE+CHACHA20}{ECDHE+AESGCM}}",
                       "tls_advertise_hosts": "${if eq{$sender_host_address}{127.0.0.3}{}{*}}", "openssl_options": "+no_tlsv1_3"})
    for source, cipher in (("127.0.0.1", "AES256-GCM"), ("127.0.0.2", "CHACHA20")):
        assert cipher in swaks(one.smtp, source=source).cipher
    assert "Host did not advertise STARTTLS" in swaks(one.smtp, source="127.0.0.3").text


# ---- Dovecot and Cyrus ----

def test_string_b_is_served_whole_and_in_its_order(server):
    """ssl_cipher_list, tls_cipher_list and tls_high_cipherlist, but for the ciphers without forward secrecy."""
    one = server(kind="rsa", main={"tls_require_ciphers": "string-b", "tls_dh_max_bits": 4096})
    assert sslscan(one.smtp).ciphers["TLSv1.2"] == known_ciphers(STRING_B)


@pytest.mark.parametrize("options, cipher", [("+cipher_server_preference", AES), (None, AES), ("-cipher_server_preference", SHORTER)])
def test_the_servers_order_of_ciphers_is_preferred(server, options, cipher):
    """ssl_prefer_server_ciphers and tls_preempt_cipherlist: also without being asked for, and not where it is switched off."""
    one = server(kind="rsa", main={"openssl_options": options})
    for port in (one.smtp, one.submission):
        assert s_client(port, "-tls1_2", "-cipher", f"{SHORTER}:{AES}").cipher == cipher


@pytest.mark.parametrize("options, cipher", [(None, CHACHA), ("+cipher_server_preference -prioritize_chacha", AES)])
def test_a_client_that_wants_chacha20_first_has_it_unless_switched_off(server, options, cipher):
    """The one exception to that order: machines that ask so have no instructions for AES."""
    one = server(kind="rsa", main={"openssl_options": options})
    assert s_client(one.smtp, "-tls1_2", "-cipher", f"{CHACHA}:{AES}").cipher == cipher


@pytest.mark.parametrize("options", [None, GUIDES_OPTIONS, "+no_compression", "-no_compression", "-all"])
def test_compression_is_disabled_whatever_the_options_say(server, options):
    one = server(main={"openssl_options": options})
    for version in ("-tls1_2", "-tls1_3"):
        answer = s_client(one.smtp, version, "-comp")
        assert answer.good and "Compression: NONE" in answer.text


@pytest.mark.parametrize("value, bits", [("ffdhe3072", 3072), ("ffdhe4096", 4096)])
def test_the_length_of_diffie_hellman_parameters_can_be_chosen(server, value, bits):
    """Beyond the 1,024 bits at which the guide's versions ended."""
    one = server(kind="rsa", main={"tls_dhparam": value, "tls_dh_max_bits": bits})
    assert s_client(one.smtp, "-tls1_2", "-cipher", "DHE").group == f"DH, {bits} bits"


def test_diffie_hellman_parameters_may_stand_in_the_file_of_the_certificate(server):
    """As Cyrus has them: certificate, then parameters."""
    one = server(start=False, kind="rsa")
    both = one.dir / "cert.pem"
    parameters = subprocess.run(["openssl", "genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", "group:ffdhe3072"], capture_output=True,
                                text=True, check=True, timeout=60).stdout
    both.write_text(open(one.cert).read() + parameters)
    one.configure({"tls_certificate": both, "tls_dhparam": both, "tls_dh_max_bits": 4096})
    one.start()
    assert s_client(one.smtp, "-tls1_2", "-cipher", "DHE").group == "DH, 3072 bits"


def test_a_port_on_which_tls_begins_at_once_is_tested_by_s_client_with_crlf(shared):
    """openssl s_client -crlf -connect SERVER:PORT."""
    said = speak(shared.tls, lines=("EHLO client.test", "NOOP"), starttls=False)
    assert re.search(r"^220 mx\.example\.test ESMTP.*^250 HELP\s+250 OK\s+221 ", said, re.M | re.S), said


# ---- Postfix ----

def test_a_handshake_alone_leaves_no_line_in_the_log(server):
    """Log level 0: what TLS was is in the line of the message."""
    one = server()
    mark = one.mark()
    assert "250 OK" in speak(one.smtp, lines=("EHLO client.test", "NOOP"))
    one.send(make_message("behind it"))
    one.wait_log(" <= sender@client.test .* X=TLS1.3:", mark)
    one.wait_log(" Completed", mark)
    assert len([line for line in one.log_text(mark).splitlines() if "TLS" in line]) == 1, one.log_text(mark)


def test_there_is_no_ssl_2_and_no_ssl_3_whatever_is_asked_for(server):
    """smtpd_tls_mandatory_protocols = !SSLv2, !SSLv3; also where the oldest versions of TLS are wanted."""
    one = server(kind="rsa", main={"tls_min_version": "TLS1", "openssl_options": "-no_sslv3"})
    assert sslscan(one.smtp).enabled() == ["TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"]


def test_the_submission_port_has_ciphers_of_its_own(server):
    """smtpd_tls_mandatory_ciphers=high with string B as tls_high_cipherlist, for port 587 alone."""
    one = server(start=False, kind="rsa")
    one.configure({"tls_require_ciphers": "${if eq{$received_port}{%d}{string-b}fail}" % one.submission, "tls_dh_max_bits": 4096})
    one.start()
    assert sslscan(one.submission).ciphers["TLSv1.2"] == known_ciphers(STRING_B)
    assert sslscan(one.smtp).preferred("TLSv1.2") == AES


def test_the_submission_port_requires_tls_and_the_others_do_not(server):
    """-o smtpd_tls_security_level=encrypt."""
    one = server(start=False)
    one.configure({"tls_require_ports": one.submission})
    one.start()
    refused = swaks(one.submission, tls=False)
    assert not refused and "<** 503 Use of TLS required" in refused.text
    assert swaks(one.submission).cipher
    assert swaks(one.smtp, tls=False)


def test_a_stronger_curve_can_be_chosen(server):
    """smtpd_tls_eecdh_grade = ultra is P-384."""
    one = server(main={"tls_eccurve": "P-384"})
    answer = s_client(one.smtp, "-tls1_2")
    assert answer.group == "ECDH, secp384r1, 384 bits"
    assert not s_client(one.smtp, "-groups", "X25519:P-256").good


def test_ike_group_14_can_be_used_for_diffie_hellman(server):
    one = server(kind="rsa", main={"tls_dhparam": "ike14"})
    assert s_client(one.smtp, "-tls1_2", "-cipher", "DHE").group == "DH, 2048 bits"


def test_the_log_shows_how_many_connections_had_which_version_and_cipher(server):
    """The guide's pipeline of zegrep, awk, sort and uniq is one command, here on the log of a server that real clients used."""
    one = server(kind="rsa")
    for count, options in ((3, ("tlsv1_2", CHACHA)), (2, ("tlsv1_2", AES)), (1, ("tlsv1_3", None))):
        for _ in range(count):
            assert swaks(one.smtp, "--tls-protocol", options[0], *(["--tls-cipher", options[1]] if options[1] else []))
    assert swaks(one.smtp, tls=False)
    one.maildir().wait(7)
    run = subprocess.run([POSTERN, "stats", "tls", "-c", one.conf], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run
    lines = re.findall(r"^ +(\d+) (\S+) with cipher (\S+)$", run.stdout, re.M)
    assert lines == [("3", "TLS1.2", CHACHA), ("2", "TLS1.2", AES), ("1", "TLS1.3", "TLS_AES_128_GCM_SHA256")], run.stdout


def test_starttls_is_tested_by_s_client_as_the_guide_has_it(shared):
    """openssl s_client -starttls smtp -crlf -connect SERVER:25, and a message typed into it."""
    message = make_message("typed")
    said = speak(shared.smtp, lines=("EHLO client.test", "MAIL FROM:<sender@client.test>", "RCPT TO:<bob@example.test>", "DATA",
                                     message.decode().replace("\r\n", "\n") + "."))
    assert re.search(r"^250 OK id=", said, re.M) and re.search(r"^221 ", said, re.M), said
    shared.maildir("bob").holds(message)


# ---- The profiles, as scanners see them ----

PROFILES = ("modern", "intermediate", "opportunistic")


class Profiled:
    """A server with one profile a port, all with STARTTLS."""

    def __init__(self, certificates):
        self.server = Server(certificates, kind="rsa")
        ports = dict(zip(PROFILES, (self.server.smtp, self.server.tls, self.server.submission)))
        self.ports = ports
        self.server.configure({"tls_profile": " : ".join(f"{port}={name}" for name, port in ports.items()), "tls_on_connect_ports": None})
        self.server.start()


@pytest.fixture(scope="module")
def profiled(certificates):
    made = Profiled(certificates)
    yield made
    made.server.stop()
    made.server.remove()


@pytest.mark.parametrize("profile, versions, ciphers", [
    ("modern", ["TLSv1.3"], None),
    ("intermediate", ["TLSv1.2", "TLSv1.3"], "ECDHE-RSA-(AES(128|256)-GCM-SHA(256|384)|CHACHA20-POLY1305)"),
    ("opportunistic", ["TLSv1.2", "TLSv1.3"], "(ECDHE|DHE)-.*"),
])
def test_a_profile_offers_its_versions_and_ciphers_by_sslscan(profiled, profile, versions, ciphers):
    scan = sslscan(profiled.ports[profile])
    assert scan.enabled() == versions, scan.text
    assert sorted(scan.ciphers) == versions
    assert set(scan.ciphers["TLSv1.3"]) == {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}
    assert all(re.fullmatch(ciphers, cipher) for cipher in scan.ciphers.get("TLSv1.2", []))
    assert not re.search("RC4|3DES|DES-CBC|NULL|EXP|MD5|anon|SEED|IDEA|PSK|SRP", " ".join(sum(scan.ciphers.values(), [])))
    assert "renegotiation not supported" in scan.text and "Compression enabled" not in scan.text
    assert not re.search(r"^TLSv\S+ vulnerable to heartbleed", scan.text, re.M)
    assert not re.search(r"secp(160|192|224)|sect", scan.text), "no weak curve"


WEAK = ("cipherlist_NULL", "cipherlist_aNULL", "cipherlist_EXPORT", "cipherlist_LOW", "cipherlist_3DES_IDEA")
OLD = ("SSLv2", "SSLv3", "TLS1", "TLS1_1")


@pytest.fixture(scope="module")
def findings(profiled, tmp_path_factory):
    """Of testssl.sh, which takes its time: all on one profile, its list of vulnerabilities on the one with most ciphers, too."""
    directory = tmp_path_factory.mktemp("testssl")
    return {profile: testssl(profiled.ports[profile], directory / profile, *options)
            for profile, options in (("intermediate", ("-p", "-s", "-f", "-U")), ("opportunistic", ("-U",)))}


def test_the_intermediate_profile_has_no_old_protocol_no_weak_cipher_and_forward_secrecy_by_testssl(findings):
    found = findings["intermediate"]
    for name in OLD + WEAK:
        assert found[name][1] == "not offered", (name, found[name])
    assert (found["TLS1_2"][1], found["TLS1_3"][1]) == ("offered", "offered with final")
    assert found["PFS"] == ("OK", "offered")
    assert all(re.match("TLS_|(EC)?DHE-", cipher) for cipher in found["PFS_ciphers"][1].split())


@pytest.mark.parametrize("profile", ["intermediate", "opportunistic"])
def test_a_profile_has_no_known_vulnerability_by_testssl(findings, profile):
    """Renegotiation, compression, padding, old ciphers and the rest of its list."""
    found = findings[profile]
    for name in ("heartbleed", "CCS", "ROBOT", "secure_client_renego", "CRIME_TLS", "POODLE_SSL", "SWEET32", "FREAK", "DROWN", "LOGJAM",
                 "BEAST", "RC4"):
        assert found[name][0] == "OK" and found[name][1].startswith("not vulnerable"), (name, found[name])
    # Ciphers in CBC mode are there for clients that would speak in clear without them (encrypt-then-mac protects newer ones).
    assert found["LUCKY13"][0] == ("LOW" if profile == "opportunistic" else "OK")
    assert found["secure_renego"] == ("OK", "supported") and found["fallback_SCSV"][0] == "OK"
    assert not {name: what for name, what in found.items() if what[0] in ("MEDIUM", "HIGH", "CRITICAL")}

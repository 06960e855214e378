# SPDX-License-Identifier: ISC
"""The options of TLS as a server, each driven by a client that is not ours; named by the sentence that a test checks."""
import os
import re
import socket
import ssl
import subprocess

import pytest

from harness import DEADLINE, POSTERN, SANITIZER, Smtp, make_certificate
from tls_peers import AUTHENTICATORS, LOGIN, named_certificate, s_client, swaks


def insecure():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@pytest.fixture(scope="module")
def long_key(directory):
    """An RSA key of 4096 bits with its certificate: as strong as a group of 4096 bits."""
    cert, key = directory / "long.pem", directory / "long.key"
    subprocess.run(["openssl", "req", "-x509", "-nodes", "-days", "30", "-subj", "/CN=mx.example.test", "-newkey", "rsa:4096", "-keyout",
                    str(key), "-out", str(cert)], check=True, capture_output=True)
    key.chmod(0o600)
    return cert, key


def checked(one):
    """What `postern check` says of a server's configuration, which is good."""
    run = subprocess.run([POSTERN, "check", "-c", str(one.conf)], capture_output=True, text=True, env={**os.environ, **SANITIZER}, timeout=60)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout + run.stderr


def refused(tmp_path, text):
    """The errors of a configuration with these lines."""
    conf = tmp_path / "conf"
    conf.write_text("primary_hostname = mx.example.org\ntls_certificate = /c\n" + text + "\n")
    run = subprocess.run([POSTERN, "check", "-c", str(conf)], capture_output=True, text=True, env={**os.environ, **SANITIZER}, timeout=60)
    return run.stdout + run.stderr if run.returncode else ""


# ---- Exim's manual, chapter 38.1 ----

def test_starttls_within_tls_is_rejected_with_554(shared):
    with shared.connect() as client:
        client.ehlo()
        client.starttls()
        client.expect(554, "STARTTLS")


def test_it_does_not_require_the_client_to_have_a_certificate(shared):
    assert "No client certificate CA names sent" in s_client(shared.smtp).text


def test_the_strings_are_expanded_for_each_connection(server):
    """It is therefore possible to use different certificates and keys for different hosts."""
    one = server(start=False)
    first, first_key = named_certificate(one.dir, "first.test")
    second, second_key = named_certificate(one.dir, "second.test")
    one.configure({"tls_certificate": "${if eq{$sender_host_address}{127.0.0.2}{%s}{%s}}" % (second, first),
                   "tls_privatekey": "${if eq{$sender_host_address}{127.0.0.2}{%s}{%s}}" % (second_key, first_key)})
    one.start()
    assert s_client(one.smtp).name == "first.test"
    assert s_client(one.smtp, "-bind", "127.0.0.2").name == "second.test"
    assert s_client(one.smtp).name == "first.test"


def test_a_string_that_is_forced_to_fail_is_as_if_it_were_not_set(server):
    one = server(start=False)
    cert, key = make_certificate(one.dir)
    one.configure({"tls_certificate": "${if eq{$sender_host_address}{127.0.0.2}{%s}fail}" % cert,
                   "tls_privatekey": "${if eq{1}{1}{%s}fail}" % key, "tls_require_ciphers": "${if eq{1}{2}{x}fail}"})
    one.start()
    with one.connect() as client:
        assert "STARTTLS" not in client.ehlo()
    with one.connect(source="127.0.0.2") as client:
        assert "STARTTLS" in client.ehlo()
        client.starttls()


FAILS = "${if eq{1}{2}{x}fail}"


def test_forced_failure_of_tls_alpn_leaves_its_default(server):
    one = server(main={"tls_alpn": FAILS})
    assert s_client(one.smtp, "-alpn", "smtp").alpn == "smtp" and s_client(one.smtp, "-alpn", "esmtp").alpn == "esmtp"
    assert not s_client(one.smtp, "-alpn", "h2").good


def test_forced_failure_of_tls_verify_certificates_leaves_those_of_the_system(server):
    one = server(main={"tls_try_verify_hosts": "*", "tls_verify_certificates": FAILS})
    assert s_client(one.smtp, "-cert", one.cert, "-key", one.key).good
    one.wait_log("SSL verify error: depth=0 error=self-signed certificate")


@pytest.mark.parametrize("option", ["tls_eccurve", "tls_dhparam", "tls_min_version", "tls_profile", "openssl_options", "tls_ocsp_file",
                                    "tls_crl", "tls_verify_ciphers"])
def test_forced_failure_of_the_other_options_leaves_their_defaults(server, option):
    one = server(kind="rsa", main={option: FAILS, "tls_try_verify_hosts": "*"})
    assert s_client(one.smtp).group == "X25519, 253 bits"
    assert s_client(one.smtp, "-tls1_2", "-cipher", "DHE").group == "DH, 2048 bits"


def test_a_configuration_problem_at_starttls_is_454_and_then_554_but_for_quit(server):
    one = server(main={"tls_require_ciphers": "${if eq{$sender_host_address}{127.0.0.2}{NOSUCH}{HIGH}}"})
    with one.connect(source="127.0.0.2") as client:
        client.ehlo()
        client.expect(454, "STARTTLS")
        assert client.expect(554, "EHLO again.test") == "Security failure"
        client.expect(554, "NOOP")
        client.expect(221, "QUIT")
    one.wait_log("STARTTLS refused: TLS is configured but cannot be used: tls_require_ciphers")
    assert s_client(one.smtp).good


def test_a_file_with_diffie_hellman_parameters_is_used(server):
    one = server(start=False, kind="rsa")
    file = one.dir / "dh.pem"
    subprocess.run(["openssl", "genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", "group:ffdhe3072", "-out", str(file)], check=True,
                   capture_output=True)
    one.configure({"tls_dhparam": file, "tls_dh_max_bits": 4096})
    one.start()
    assert s_client(one.smtp, "-tls1_2", "-cipher", "DHE").group == "DH, 3072 bits"


# ---- Parameters and groups ----

@pytest.mark.parametrize("value, bits", [("ffdhe2048", 2048), ("ike15", 3072), ("ike23", 2048), ("default", 2048)])
def test_tls_dhparam_names_a_group(server, value, bits):
    one = server(kind="rsa", main={"tls_dhparam": value, "tls_dh_max_bits": 4096})
    assert s_client(one.smtp, "-tls1_2", "-cipher", "DHE").group == f"DH, {bits} bits"


@pytest.mark.parametrize("main", [{"tls_dhparam": "none"}, {"tls_dhparam": "ffdhe3072", "tls_dh_max_bits": 2236}])
def test_without_parameters_or_with_too_many_bits_there_is_no_such_key_exchange(server, main):
    one = server(kind="rsa", main=main)
    assert not s_client(one.smtp, "-tls1_2", "-cipher", "DHE").good
    assert s_client(one.smtp, "-tls1_2").good


@pytest.mark.parametrize("limit, bits", [(None, 2048), (2048, 2048), (3072, 3072), (4095, 3072), (4096, 4096), (16384, 4096)])
def test_tls_dh_max_bits_holds_for_the_group_that_the_certificate_chooses(server, long_key, limit, bits):
    cert, key = long_key
    one = server(main={"tls_certificate": cert, "tls_privatekey": key, "tls_dh_max_bits": limit})
    assert s_client(one.smtp, "-tls1_2", "-cipher", "DHE").group == f"DH, {bits} bits"


def test_below_the_shortest_safe_group_there_is_none(server):
    one = server(kind="rsa", main={"tls_dh_max_bits": 2047})
    assert not s_client(one.smtp, "-tls1_2", "-cipher", "DHE").good
    assert s_client(one.smtp, "-tls1_2").good


@pytest.mark.parametrize("value, more, told", [("ffdhe3072", {}, True), ("ike15", {}, True), ("ffdhe3072", {"tls_dh_max_bits": 3072}, False),
                                               ("ffdhe2048", {}, False), ("default", {}, False)])
def test_check_warns_of_parameters_beyond_the_limit(server, value, more, told):
    one = server(start=False, kind="rsa", main={"tls_dhparam": value, **more})
    assert ("3072 bits are more than tls_dh_max_bits = 2236 allows" in checked(one)) == told


@pytest.mark.parametrize("value", ["historic", "ike1", "ike2", "ike22", "nosuch"])
def test_weak_and_unknown_groups_are_refused(tmp_path, value):
    assert "tls_dhparam" in refused(tmp_path, f"tls_dhparam = {value}")


@pytest.mark.parametrize("value, group", [("P-384", "ECDH, secp384r1, 384 bits"), ("X448:P-256", "X448, 448 bits"),
                                          ("prime256v1", "ECDH, prime256v1, 256 bits")])
def test_tls_eccurve_says_which_groups_there_are(server, value, group):
    one = server(main={"tls_eccurve": value})
    assert (s_client(one.smtp, "-groups", "X25519:X448:P-256:P-384").group or "").replace("P-256", "prime256v1") == group
    assert not s_client(one.smtp, "-groups", "X25519").good


# ---- Ciphers ----

def test_tls_require_ciphers_has_a_list_for_tls12_and_suites_for_tls13(server):
    one = server(main={"tls_require_ciphers": "ECDHE-ECDSA-AES256-GCM-SHA384:TLS_CHACHA20_POLY1305_SHA256"})
    assert s_client(one.smtp).cipher == "TLS_CHACHA20_POLY1305_SHA256"
    assert s_client(one.smtp, "-tls1_2").cipher == "ECDHE-ECDSA-AES256-GCM-SHA384"
    assert not s_client(one.smtp, "-ciphersuites", "TLS_AES_128_GCM_SHA256", "-tls1_3").good
    assert not s_client(one.smtp, "-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256").good


def test_suites_of_tls13_alone_leave_nothing_of_tls12(server):
    one = server(main={"tls_require_ciphers": "TLS_AES_256_GCM_SHA384"})
    assert s_client(one.smtp).cipher == "TLS_AES_256_GCM_SHA384"
    assert not s_client(one.smtp, "-tls1_2").good


@pytest.mark.parametrize("text", ["NORMAL", "SECURE256:%SERVER_PRECEDENCE", "NORMAL:-VERS-TLS1.0", "PFS:+SIGN-ALL", "-VERS-ALL:+VERS-TLS1.2"])
def test_priority_strings_of_gnutls_are_refused(tmp_path, text):
    assert "belongs to a priority string of GnuTLS; Postern uses OpenSSL" in refused(tmp_path, f"tls_require_ciphers = {text}")


def test_the_string_b_of_the_guide_is_a_named_list(server):
    one = server(kind="rsa", main={"tls_require_ciphers": "string-b"})
    assert s_client(one.smtp, "-tls1_2").cipher.startswith(("DHE-RSA-", "ECDHE-RSA-"))
    assert not s_client(one.smtp, "-tls1_2", "-cipher", "AES128-SHA").good  # the keeper does not decrypt


def test_openssl_options_of_the_guide_are_accepted(server):
    one = server(main={"openssl_options": "+all +no_sslv2 +no_compression +cipher_server_preference"})
    answer = s_client(one.smtp)
    assert answer.good and "Compression: NONE" in answer.text


def test_openssl_options_what_the_library_no_longer_has_is_told(server, tmp_path):
    told = checked(server(start=False, main={"openssl_options": "-all +microsoft_big_sslv3_buffer +dont_insert_empty_fragments +single_dh_use"}))
    assert "option openssl_options: without effect in this library: microsoft_big_sslv3_buffer single_dh_use\n" in told
    assert "without effect" not in checked(server(start=False, main={"openssl_options": "+all"}))
    assert 'no option "nosuch"' in refused(tmp_path, "openssl_options = +nosuch")
    assert "expected + or -" in refused(tmp_path, "openssl_options = no_tlsv1")


def test_openssl_options_no_tlsv1_3_and_no_ticket(server):
    one = server(main={"openssl_options": "+no_tlsv1_3 +no_ticket"})
    answer = s_client(one.smtp)
    assert answer.version == "TLSv1.2" and "TLS session ticket" not in answer.text


# ---- Versions and profiles ----

OLD = ("-cipher", "ALL:@SECLEVEL=0")


def test_old_versions_are_there_by_explicit_choice_alone(server):
    one = server()
    assert not s_client(one.smtp, "-tls1", *OLD).good and not s_client(one.smtp, "-tls1_1", *OLD).good
    one = server(main={"tls_min_version": "TLS1"})
    assert s_client(one.smtp, "-tls1", *OLD).version == "TLSv1"
    assert s_client(one.smtp, "-tls1_1", *OLD).version == "TLSv1.1"
    assert s_client(one.smtp).version == "TLSv1.3"
    one = server(main={"openssl_options": "-no_tlsv1_1"})
    assert s_client(one.smtp, "-tls1_1", *OLD).good and not s_client(one.smtp, "-tls1", *OLD).good


def test_profiles_by_port(server):
    one = server(start=False, kind="rsa")
    one.configure({"tls_profile": f"opportunistic : {one.submission}=modern"})
    one.start()
    assert s_client(one.smtp, "-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA").good
    assert not s_client(one.submission, "-tls1_2").good
    assert s_client(one.submission).version == "TLSv1.3"
    assert not s_client(one.smtp, "-tls1_2", "-cipher", "AES128-SHA").good


def test_the_profile_of_tls_on_connect_ports_is_intermediate(server):
    one = server(kind="rsa")
    assert not s_client(one.tls, "-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA", starttls=False).good
    assert s_client(one.tls, "-tls1_2", starttls=False).cipher == "ECDHE-RSA-AES256-GCM-SHA384"
    assert s_client(one.smtp, "-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA").good


def test_policy_by_expansion_on_the_port(server):
    one = server(start=False)
    one.configure({"tls_min_version": "${if eq{$received_port}{%d}{TLS1.3}{TLS1.2}}" % one.submission})
    one.start()
    assert s_client(one.smtp, "-tls1_2").good and not s_client(one.submission, "-tls1_2").good


def test_tls_is_required_on_ports(server):
    one = server(start=False)
    one.configure({"tls_require_ports": one.submission, "tls_advertise_hosts": ""})
    one.start()
    with one.connect() as client:
        assert "STARTTLS" not in client.ehlo()
        client.expect(250, "MAIL FROM:<a@b.example>")
    with Smtp(one.submission) as client:
        assert "STARTTLS" in client.ehlo()
        assert client.expect(503, "MAIL FROM:<a@b.example>") == "Use of TLS required"
        client.starttls()
        client.expect(250, "MAIL FROM:<a@b.example>")


def test_tls_is_required_by_expansion_on_the_port(server):
    one = server(start=False)
    one.configure({"submission_ports": "", "tls_hosts": "${if eq{$received_port}{%d}{*}{}}" % one.submission})
    one.start()
    assert swaks(one.smtp, tls=False) and swaks(one.smtp)
    without = swaks(one.submission, tls=False)
    assert not without and "503 Use of TLS required" in without.text
    assert swaks(one.submission)


def test_auth_is_taken_in_clear_by_expansion_on_the_port_alone(server):
    one = server(start=False, extra=AUTHENTICATORS)
    one.configure({"submission_ports": "", "auth_cleartext_hosts": "${if eq{$received_port}{%d}{*}{}}" % one.smtp})
    one.start()
    assert swaks(one.smtp, *LOGIN, tls=False) and swaks(one.smtp, *LOGIN)
    without = swaks(one.submission, *LOGIN, tls=False)
    assert not without and "250-AUTH" not in without.text and "250 AUTH" not in without.text
    assert swaks(one.submission, *LOGIN)


def test_auth_needs_tls_on_ports(server):
    one = server(start=False, extra=AUTHENTICATORS)
    one.configure({"submission_ports": "", "auth_cleartext_hosts": "*", "auth_over_tls_ports": one.submission})
    one.start()
    assert swaks(one.smtp, *LOGIN, tls=False)
    without = swaks(one.submission, *LOGIN, tls=False)
    assert not without and "250-AUTH" not in without.text and "250 AUTH" not in without.text
    with Smtp(one.submission) as client:
        client.ehlo()
        client.expect(538, "AUTH PLAIN AGFubgBzZWNyZXQ=")
    assert swaks(one.submission, *LOGIN)


def test_ciphers_by_port(server):
    one = server(start=False, kind="rsa")
    one.configure({"submission_ports": "", "tls_require_ciphers":
                   f"<; ECDHE+AESGCM:ECDHE+AES:!ECDHE-RSA-AES128-SHA ; {one.submission} = ECDHE-RSA-AES256-GCM-SHA384:TLS_AES_256_GCM_SHA384"})
    assert "warning" not in checked(one)
    one.start()
    assert s_client(one.smtp, "-tls1_2", "-cipher", "ECDHE-RSA-AES256-SHA").good
    assert not s_client(one.smtp, "-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA").good
    assert s_client(one.smtp).cipher == "TLS_AES_128_GCM_SHA256"
    assert not s_client(one.submission, "-tls1_2", "-cipher", "ECDHE-RSA-AES256-SHA").good
    assert s_client(one.submission, "-tls1_2").cipher == "ECDHE-RSA-AES256-GCM-SHA384"
    assert s_client(one.submission).cipher == "TLS_AES_256_GCM_SHA384"


def test_ciphers_of_one_port_alone_leave_the_profile_to_the_others(server):
    one = server(start=False, kind="rsa")
    one.configure({"submission_ports": "", "tls_require_ciphers": f"{one.submission}=ECDHE-RSA-AES256-GCM-SHA384"})
    one.start()
    assert s_client(one.smtp, "-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA").good
    assert not s_client(one.submission, "-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA").good


@pytest.mark.parametrize("value, expected", [("ECDHE+AES:587=ECDHE+AESGCM", '"<; LIST ; 587=LIST"'), ("<; HIGH ; 587=NOSUCH", '"NOSUCH'),
                                             ("<; HIGH ; 587=NORMAL", "GnuTLS")])
def test_bad_lists_of_ciphers_by_port_are_refused(tmp_path, value, expected):
    assert expected in refused(tmp_path, f"tls_require_ciphers = {value}")


@pytest.mark.parametrize("line, expected", [("tls_profile = strong", "modern, intermediate or opportunistic"),
                                            ("tls_min_version = SSL3", "TLS1, TLS1.1, TLS1.2 or TLS1.3"),
                                            ("tls_profile = 587=strong", "modern, intermediate or opportunistic")])
def test_words_that_are_none_are_refused(tmp_path, line, expected):
    assert expected in refused(tmp_path, line)


# ---- ALPN, resumption ----

def test_alpn_one_name_of_the_list_is_chosen_and_others_are_declined(server):
    one = server()
    assert s_client(one.smtp, "-alpn", "smtp").alpn == "smtp"
    assert s_client(one.smtp, "-alpn", "esmtp").alpn == "esmtp"
    assert s_client(one.smtp).good
    assert not s_client(one.smtp, "-alpn", "h2").good
    assert not s_client(one.smtp, "-alpn", "smtp,h2").good     # more than one name, as Exim has it,
    assert not s_client(one.smtp, "-alpn", "smtp,esmtp").good  # even if both are in the list
    one.wait_log(r"TLS error on connection from .*\(SSL_accept\)")


def test_alpn_can_be_required(server):
    one = server(main={"hosts_require_alpn": "127.0.0.2"})
    assert not s_client(one.smtp, "-bind", "127.0.0.2").good
    assert s_client(one.smtp, "-bind", "127.0.0.2", "-alpn", "smtp").good
    assert s_client(one.smtp).good


def test_an_empty_list_of_protocols_ignores_what_clients_ask_for(server):
    one = server(main={"tls_alpn": ""})
    answer = s_client(one.smtp, "-alpn", "h2")
    assert answer.good and answer.alpn is None


def resumed(one, source):
    context = insecure()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    session = None
    for _ in range(2):
        with socket.create_connection(("127.0.0.1", one.tls), DEADLINE, source_address=(source, 0)) as sock, \
                context.wrap_socket(sock, session=session) as tls:
            tls.recv(100)
            session, reused = tls.session, tls.session_reused
    return reused


def test_tls_resumption_hosts(server):
    one = server(main={"tls_resumption_hosts": "!127.0.0.2 : *"})
    assert resumed(one, "127.0.0.1") and not resumed(one, "127.0.0.2")


# ---- Errors ----

def test_a_failed_handshake_is_logged_with_address_reason_and_what_was_offered(server):
    one = server()
    s_client(one.smtp, "-tls1_1", *OLD, sni="wanted.test")
    found = one.wait_log(r"TLS error on connection from .*\[127\.0\.0\.1\].*\(SSL_accept\): (.*) \(offered (.*)\)")
    assert "protocol" in found.group(1)
    assert "TLS1.1" in found.group(2) and "ciphers ECDHE-" in found.group(2) and "SNI=wanted.test" in found.group(2)


def test_the_line_of_a_failed_handshake_ends_whole_however_much_was_offered(server):
    """The name is the longest that there is, and the reason a long one: the certificate's directory has nothing for anybody."""
    one = server(start=False)
    directory = one.dir / ("c" * 200)
    directory.mkdir()
    one.configure({"tls_certificate": f"{directory}/${{if eq{{$tls_in_sni}}{{}}{{default}}{{other}}}}.pem", "tls_privatekey": None})
    named_certificate(directory, "default", both=True)
    one.start()
    name = ".".join(["x" * 63] * 3 + ["y" * 61])
    assert len(name) == 253
    s_client(one.smtp, sni=name)
    found = one.wait_log(r"TLS error on connection from .* \(offered (.*)$")
    assert found.group(1).endswith(f"; SNI={name})") and "groups X25519:" in found.group(1), found.group()


def test_no_cipher_in_common_is_told_with_the_groups(server):
    one = server()
    s_client(one.smtp, "-tls1_2", "-cipher", "AES128-SHA")
    one.wait_log(r"\(SSL_accept\): no shared cipher \(offered TLS1\.2; ciphers AES128-SHA")


def test_bytes_that_are_no_tls_are_told(server):
    one = server()
    with Smtp(one.smtp) as client:
        client.ehlo()
        client.expect(220, "STARTTLS")
        client.send("MAIL FROM:<a@b.example>\r\n" * 10)
        one.wait_log(r"TLS error on connection from .*\(SSL_accept\)")
    assert s_client(one.smtp).good


def test_an_oversize_client_hello_ends_the_connection(server):
    one = server(start=False)
    directory = one.dir / "certs"
    directory.mkdir()
    named_certificate(directory, "default", both=True)
    one.configure({"tls_certificate": f"{directory}/", "tls_privatekey": None})
    one.start()
    record = b"\x16\x03\x01\x3f\xf0" + b"\x01\x01\xff\xfc\x03\x03" + b"x" * (0x3ff0 - 6)
    with socket.create_connection(("127.0.0.1", one.tls), DEADLINE) as sock:
        try:
            for _ in range(20):
                sock.sendall(record)
            while sock.recv(65536):
                pass
        except OSError:
            pass
    one.wait_log(r"TLS error on connection from")
    assert s_client(one.tls, starttls=False).good


def test_sslscan_finds_no_old_protocol_no_compression_and_no_renegotiation(server):
    one = server(kind="rsa")
    text = subprocess.run(["sslscan", "--no-colour", f"127.0.0.1:{one.tls}"], capture_output=True, text=True, timeout=120).stdout
    for line in ("SSLv2     disabled", "SSLv3     disabled", "TLSv1.0   disabled", "TLSv1.1   disabled", "TLSv1.2   enabled", "TLSv1.3   enabled"):
        assert re.sub(" +", " ", line) in re.sub(" +", " ", text), text
    assert "Compression enabled" not in text and "renegotiation not supported" in text
    assert not re.search(r"CBC|RC4|3DES| AES\d+-", text)


# ---- tls_remember_esmtp ----

@pytest.mark.parametrize("value", [True, False])
def test_tls_remember_esmtp_keeps_ehlo_over_starttls(server, value):
    one = server(main={"tls_remember_esmtp": "true" if value else "false"})
    with one.connect() as client:
        client.ehlo()
        client.expect(220, "STARTTLS")
        client.secure()
        code, _ = client.cmd("MAIL FROM:<a@b.example> SIZE=100")
        assert code == (250 if value else 503)

# SPDX-License-Identifier: ISC
"""TLS as a server by the sentences of Exim 3's manual, chapters 38, 38.1 and 38.4: one test a sentence, named by it, with clients that
are not ours. docs/conformance.md has the sentences in their order, with these tests and those elsewhere that show them."""
import re
import shutil
import subprocess

import pytest

from harness import POSTERN, ROOT, Maildir, make_certificate, trace_of, wait_for
from ocsp_authority import Authority
from tls_peers import AUTHENTICATORS, LOGIN, Wire, gnutls_cli, named_certificate, s_client, speak, sslscan, swaks

OFFERED, NOT_OFFERED = "250-STARTTLS", "*** Host did not advertise STARTTLS"


def openssl(*arguments, **named):
    return subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, text=True, timeout=120, **named).stdout


def ehlo(one, source=None):
    with one.connect(source=source) as client:
        return client.ehlo().splitlines()


def facts(one, acl, **main):
    """Options for a server whose ACLs log texts."""
    one.extra = "begin acl\n" + acl
    one.configure(main)
    return one.start()


@pytest.fixture
def clients(server, tmp_path):
    """An authority for clients beside a server that is not started yet: (server, authority, its file, a good certificate and key)."""
    one = server(start=False)
    authority = Authority(one.dir / "authority")
    authority.make("client.test", "root", "subjectAltName=DNS:client.test")
    return one, authority, authority.dir / "root.pem", (authority.dir / "client.test.pem", authority.dir / "client.test.key")


# ---- Before 38.1 ----

def test_tls_is_made_by_the_openssl_library():
    """The cryptography is the library's, not the program's own."""
    linked = subprocess.run(["ldd", POSTERN], capture_output=True, text=True, check=True, timeout=60).stdout
    assert re.search(r"libssl\.so\.3 => /", linked) and re.search(r"libcrypto\.so\.3 => /", linked), linked


def test_what_passes_after_starttls_is_encrypted(shared):
    """The command in clear, then the negotiation, then nothing that a listener could read."""
    wire = Wire(shared.smtp)
    assert swaks(wire.port, "--body", "a secret of the body")
    wire.close()
    before, after = wire.sent.split(b"STARTTLS\r\n", 1)
    assert before.startswith(b"EHLO ") and b"MAIL" not in before
    assert after[:2] == b"\x16\x03", "the ClientHello follows at once"
    answers = wire.got.split(b"220 TLS go ahead\r\n", 1)[1]
    assert answers[:2] == b"\x16\x03"
    for word in (b"EHLO", b"MAIL FROM", b"RCPT TO", b"a secret of the body", b"250 OK"):
        assert word not in after and word not in answers
    wire = Wire(shared.smtp)
    assert swaks(wire.port, "--body", "a secret of the body", tls=False)
    wire.close()
    assert b"a secret of the body" in wire.sent, "the relay sees what is in clear"


# ---- 38.1: offering STARTTLS ----

def test_starttls_is_advertised_to_hosts_of_tls_advertise_hosts_and_to_no_others(server):
    one = server(main={"tls_advertise_hosts": "127.0.0.2"})
    there, elsewhere = swaks(one.smtp, source="127.0.0.2"), swaks(one.smtp)
    assert there and OFFERED in there.text and there.cipher
    assert not elsewhere and OFFERED not in elsewhere.text and NOT_OFFERED in elsewhere.text
    with one.connect() as client:
        client.ehlo()
        client.expect(503, "STARTTLS")
        client.expect(250, "MAIL FROM:<sender@client.test>")


def test_tls_advertise_hosts_unset_is_everybody_with_a_certificate_and_nobody_without(server):
    """Where the manual has nobody in both cases; today's servers are to speak TLS."""
    assert OFFERED in swaks(server().smtp).text
    without = server(main={"tls_certificate": None, "tls_privatekey": None, "tls_on_connect_ports": None})
    assert NOT_OFFERED in swaks(without.smtp).text
    assert swaks(without.smtp, tls=False)


def test_tls_advertise_hosts_set_to_nothing_offers_no_starttls(server):
    one = server(main={"tls_advertise_hosts": ""})
    assert NOT_OFFERED in swaks(one.smtp).text
    assert swaks(one.smtp, tls=False)


def test_a_star_in_tls_advertise_hosts_matches_all_hosts(server):
    one = server(main={"tls_advertise_hosts": "*"})
    for source in ("127.0.0.1", "127.0.0.2", "127.77.0.1"):
        assert swaks(one.smtp, source=source).cipher


def test_tls_that_is_advertised_without_further_configuration_does_not_work(server, tmp_path):
    one = server(main={"tls_certificate": None, "tls_privatekey": None, "tls_on_connect_ports": None, "tls_advertise_hosts": "*"})
    tried = swaks(one.smtp)
    assert OFFERED in tried.text and "<** 454 TLS currently unavailable" in tried.text
    one.wait_log("STARTTLS refused: TLS is configured but cannot be used: tls_certificate is not set")
    checked = subprocess.run([POSTERN, "check", "-c", str(one.conf)], capture_output=True, text=True, timeout=60)
    assert "without tls_certificate they get 454" in checked.stdout + checked.stderr


# ---- 38.1: configuration problems ----

def broken(one, what):
    """Options of a server on which TLS cannot work, found out when a client wants it."""
    junk, missing = one.dir / "junk.pem", one.dir / "missing.pem"
    junk.write_text("no PEM at all\n")
    later = "${if eq{$sender_host_address}{192.0.2.1}{x}{%s}}"  # known at the connection only
    verify = {"tls_verify_hosts": "*", "tls_verify_certificates": one.cert}
    return {
        "key of another certificate": {"tls_privatekey": make_certificate(one.dir, "rsa")[1]},
        "certificate that is none": {"tls_certificate": junk},
        "certificate that is not there": {"tls_certificate": later % missing, "tls_privatekey": one.key},
        "unknown ciphers": {"tls_require_ciphers": later % "NOSUCH"},
        "unknown groups": {"tls_eccurve": later % "nosuch"},
        "unknown flags": {"openssl_options": later % "+nosuch"},
        "unknown version": {"tls_min_version": later % "SSL9"},
        "unknown profile": {"tls_profile": later % "nosuch"},
        "parameters that are none": {"tls_dhparam": later % junk},
        "an expansion that fails": {"tls_require_ciphers": "${lookup{x}lsearch{%s}{$value}}" % missing},
        "ciphers of clients that the library has not": {**verify, "tls_verify_ciphers": "DES-CBC3-SHA:IDEA-CBC-MD5"},
        "ciphers of clients with another separator": {**verify, "tls_verify_ciphers": "<; AES256-SHA ; AES128-SHA"},
        "expected certificates that are none": {**verify, "tls_verify_certificates": junk},
        "expected certificates that are not there": {**verify, "tls_verify_certificates": later % missing},
        "expected certificates set to nothing": {"tls_try_verify_hosts": "*", "tls_verify_certificates": later % ""},
        "revocation lists that are none": {**verify, "tls_crl": junk},
    }[what]


@pytest.mark.parametrize("what", [
    "key of another certificate", "certificate that is none", "certificate that is not there", "unknown ciphers", "unknown groups",
    "unknown flags", "unknown version", "unknown profile", "parameters that are none", "an expansion that fails",
    "ciphers of clients that the library has not", "ciphers of clients with another separator", "expected certificates that are none",
    "expected certificates that are not there", "expected certificates set to nothing", "revocation lists that are none",
])
def test_a_configuration_problem_rejects_starttls_with_454(server, what):
    one = server(start=False)
    one.configure(broken(one, what))
    one.start()
    tried = swaks(one.smtp)
    assert not tried and "<** 454 TLS currently unavailable" in tried.text, tried.text
    one.wait_log(r"H=\(client\.test\) \[127\.0\.0\.1\] STARTTLS refused: TLS is configured but cannot be used: ")
    assert swaks(one.smtp, tls=False), "who does not ask for TLS is served in clear"


def test_after_that_every_command_but_quit_is_rejected_with_554_security_failure(server):
    one = server(main={"tls_advertise_hosts": "*", "tls_require_ciphers": "${if eq{1}{1}{NOSUCH}{}}", "smtp_max_synprot_errors": 100})
    for command in ("EHLO client.test", "HELO client.test", "MAIL FROM:<sender@client.test>", "RCPT TO:<user@example.test>", "DATA",
                    "BDAT 0 LAST", "RSET", "NOOP", "HELP", "VRFY user", "EXPN list", "ETRN #x", "AUTH PLAIN AHUAcA==", "STARTTLS", "nonsense"):
        with one.connect() as client:
            client.ehlo()
            client.expect(454, "STARTTLS")
            assert client.expect(554, command) == "Security failure"
            assert client.expect(554, command) == "Security failure"
            client.expect(221, "QUIT")
            client.ends()


def test_starttls_within_tls_is_rejected_with_554_and_tls_goes_on(shared):
    said = speak(shared.smtp, lines=("EHLO client.test", "STARTTLS", "MAIL FROM:<sender@client.test>"))
    assert re.search(r"^554 Already in TLS\s+250 OK\s+221 ", said, re.M), said
    said = speak(shared.tls, lines=("EHLO client.test", "STARTTLS", "NOOP"), starttls=False)
    assert re.search(r"^554 Already in TLS\s+250 OK\s+221 ", said, re.M), said


# ---- 38.1: certificate and key ----

def test_an_rsa_certificate_and_its_key_make_tls_work(server):
    one = server(kind="rsa")
    for version in ("-tls1_2", "-tls1_3"):
        answer = s_client(one.smtp, version, "-CAfile", one.cert, "-verify_return_error", "-verify_hostname", "mx.example.test")
        assert answer.good and "Peer signature type: RSA" in answer.text and "Verify return code: 0 (ok)" in answer.text, answer.text


def test_the_first_file_has_the_certificate_and_the_second_its_key(server):
    one = server(start=False)
    one.configure({"tls_certificate": one.key, "tls_privatekey": one.cert})
    one.start()
    assert "<** 454" in swaks(one.smtp).text, "the other way round it cannot work"
    one.stop()
    one.configure({"tls_certificate": one.cert, "tls_privatekey": one.key})
    one.start()
    assert one_certificate(s_client(one.smtp, "-showcerts").text) == one_certificate(open(one.cert).read())


def one_certificate(text):
    return re.search(r"-----BEGIN CERTIFICATE-----\n.*?-----END CERTIFICATE-----", text, re.S)[0]


def test_the_files_need_be_readable_only_by_who_starts_the_server(server):
    """The manual has the mail server's user; here the users of the roles get no access to the key at all."""
    one = server(start=False)
    cert, key = named_certificate(one.dir, "private.test")
    for file in (cert, key):
        file.chmod(0o400)
    one.configure({"tls_certificate": cert, "tls_privatekey": key})
    one.start()
    assert s_client(one.smtp).name == "private.test"


@pytest.mark.parametrize("order", ["certificate first", "key first"])
@pytest.mark.parametrize("named", ["twice", "once"])
def test_certificate_and_key_can_be_in_one_file(server, order, named):
    one = server(start=False)
    cert, key = named_certificate(one.dir, "both.test")
    both = one.dir / "both.pem"
    parts = [cert.read_text(), key.read_text()]
    both.write_text("".join(parts if order == "certificate first" else reversed(parts)))
    both.chmod(0o600)
    one.configure({"tls_certificate": both, "tls_privatekey": both if named == "twice" else None})
    one.start()
    assert s_client(one.smtp).name == "both.test"


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_with_just_these_two_options_set_ordinary_clients_work(server, kind):
    one = server(kind=kind)
    assert s_client(one.smtp).good
    assert swaks(one.smtp).cipher
    status, text = gnutls_cli(one.smtp, "--x509cafile", one.cert, "--verify-hostname", "mx.example.test")
    assert status == 0 and "Handshake was completed" in text, text
    one.maildir().wait(1)


def test_no_certificate_of_the_client_is_required_or_asked_for(server, clients):
    one = server()
    _, _, _, pair = clients
    wanted = s_client(one.smtp, "-tls1_2", "-msg")
    assert wanted.good and "CertificateRequest" not in wanted.text and "No client certificate CA names sent" in wanted.text
    assert swaks(one.smtp) and swaks(one.smtp, pair=pair)


# ---- 38.1: Diffie-Hellman parameters ----

@pytest.mark.parametrize("made_by", ["dhparam", "genpkey"])
def test_tls_dhparam_adds_the_ciphers_with_diffie_hellman(server, made_by):
    """Against a server without parameters: the same ciphers and those besides. The file is made by the manual's command."""
    one = server(start=False, kind="rsa")
    file = one.dir / "dh.pem"
    if made_by == "dhparam":
        openssl("dhparam", "-dsaparam", "-out", file, "2048")  # without -dsaparam the same in minutes
    else:
        openssl("genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", "group:modp_2048", "-out", file)
    one.configure({"tls_dhparam": file})
    one.start()
    without = server(kind="rsa", main={"tls_dhparam": "none"})
    many, few = (sslscan(each.smtp).ciphers["TLSv1.2"] for each in (one, without))
    assert few and not [cipher for cipher in few if cipher.startswith("DHE-")]
    assert set(few) < set(many) and all(cipher.startswith("DHE-") for cipher in set(many) - set(few))
    assert s_client(one.smtp, "-tls1_2", "-cipher", "DHE").group == "DH, 2048 bits"


# ---- 38.1: expansion ----

def test_the_options_are_expanded_every_time_a_host_connects(server):
    """The value is looked up, and changes between two connections without a reload."""
    one = server(start=False, kind="rsa")
    for name in ("first", "second"):
        named_certificate(one.dir, f"{name}.test", stem=name, kind="rsa")
    def choose(name, parameters):
        new = one.dir / "choice.new"
        new.write_text(f"name: {name}\nparameters: {parameters}\n")
        new.rename(one.dir / "choice")
    choose("first", "ffdhe2048")
    look_up = "${lookup{%s}lsearch{%s/choice}}"
    name = look_up % ("name", one.dir)
    one.configure({"tls_certificate": f"{one.dir}/{name}.pem", "tls_privatekey": f"{one.dir}/{name}.key",
                   "tls_dhparam": look_up % ("parameters", one.dir), "tls_dh_max_bits": 4096})
    one.start()
    answer = s_client(one.smtp, "-tls1_2", "-cipher", "DHE")
    assert (answer.name, answer.group) == ("first.test", "DH, 2048 bits")
    choose("second", "ffdhe3072")
    answer = s_client(one.smtp, "-tls1_2", "-cipher", "DHE")
    assert (answer.name, answer.group) == ("second.test", "DH, 3072 bits")


def test_sender_host_address_chooses_certificate_key_and_parameters(server):
    one = server(start=False, kind="rsa")
    cert, key = named_certificate(one.dir, "special.test", kind="rsa")
    choice = "${if eq{$sender_host_address}{127.0.0.2}{%s}{%s}}"
    one.configure({"tls_certificate": choice % (cert, one.cert), "tls_privatekey": choice % (key, one.key),
                   "tls_dhparam": choice % ("ffdhe3072", "ffdhe2048"), "tls_dh_max_bits": 4096})
    one.start()
    for source, name, bits in (("127.0.0.1", "mx.example.test", 2048), ("127.0.0.2", "special.test", 3072)):
        answer = s_client(one.smtp, "-bind", source, "-tls1_2", "-cipher", "DHE")
        assert (answer.name, answer.group) == (name, f"DH, {bits} bits")


@pytest.mark.parametrize("option", ["tls_certificate", "tls_privatekey", "tls_dhparam"])
def test_an_option_whose_expansion_is_forced_to_fail_is_as_if_unset(server, option):
    one = server(start=False, kind="rsa")
    both = one.dir / "both.pem"
    both.write_text(open(one.cert).read() + open(one.key).read())
    both.chmod(0o600)
    main = {"tls_certificate": both, "tls_privatekey": both, "tls_dhparam": "ffdhe3072", "tls_dh_max_bits": 4096}
    main[option] = "${if eq{$sender_host_address}{127.0.0.2}{%s}fail}" % main[option]
    one.configure(main)
    one.start()
    there, here = (s_client(one.smtp, "-bind", source, "-tls1_2", "-cipher", "DHE") for source in ("127.0.0.2", "127.0.0.1"))
    assert there.group == "DH, 3072 bits"
    if option == "tls_certificate":
        assert OFFERED[4:] in ehlo(one, "127.0.0.2") and OFFERED[4:] not in ehlo(one)
        assert not here.good
    else:  # the key is then in the certificate's file; the parameters are then the standard ones
        assert here.good and here.group == ("DH, 3072 bits" if option == "tls_privatekey" else "DH, 2048 bits")


# ---- 38.1: the cipher ----

CIPHERS = (("tlsv1_2", "ECDHE-ECDSA-AES256-GCM-SHA384"), ("tlsv1_2", "ECDHE-ECDSA-CHACHA20-POLY1305"), ("tlsv1_3", None))


def test_tls_cipher_is_the_cipher_that_was_negotiated(server):
    one = facts(server(start=False), "mail:\n  warn logwrite = cipher <$tls_cipher>\n  accept\n", acl_smtp_mail="mail")
    for version, cipher in CIPHERS:
        mark = one.mark()
        sent = swaks(one.smtp, "--tls-protocol", version, *(["--tls-cipher", cipher] if cipher else []))
        assert sent and sent.cipher == (cipher or sent.cipher)
        name = {"TLSv1.2": "TLS1.2", "TLSv1.3": "TLS1.3"}[sent.version]
        assert re.fullmatch(rf"{name}:{sent.cipher}:\d+", one.wait_log("cipher <(.*)>", mark)[1])
    mark = one.mark()
    assert swaks(one.smtp, tls=False)
    assert one.wait_log("cipher <(.*)>", mark)[1] == ""


def received_of(one):
    text, = one.maildir().wait(1) and one.maildir().read()
    return re.search(r"^Received:.*\n(?:[ \t].*\n)*", trace_of(text), re.M)[0]


def test_the_cipher_is_in_received_by_default(server):
    one = server()
    sent = swaks(one.smtp, "--tls-protocol", "tlsv1_3")
    assert re.search(rf"\(TLS1\.3\) tls {sent.cipher}\s", received_of(one)), received_of(one)


def test_received_header_text_changes_what_received_says_of_the_cipher(server):
    one = server(main={"received_header_text": r"Received: by $primary_hostname ${if def:tls_cipher{with <$tls_cipher>}{in clear}}"})
    sent = swaks(one.smtp)
    assert re.match(rf"Received: by mx\.example\.test with <TLS1\.3:{sent.cipher}:\d+>", received_of(one))


@pytest.mark.parametrize("setting, logged", [(None, True), ("true", True), ("false", False)])
def test_the_cipher_is_in_the_arrival_line_keyed_by_x_unless_tls_log_cipher_is_false(server, setting, logged):
    one = server(main={"tls_log_cipher": setting})
    sent = swaks(one.smtp)
    line = one.wait_log(r"^.* <= sender@client\.test .*$")[0]
    assert " P=esmtps " in line
    assert (re.search(rf" X=TLS1\.3:{sent.cipher}:\d+ ", line) is not None) == logged and ("X=" in line) == logged


# ---- 38.1: conditions on clients ----

def test_conditions_hold_for_hosts_of_tls_verify_hosts_alone(clients):
    one, _, root, pair = clients
    one.configure({"tls_verify_hosts": "127.0.0.2", "tls_verify_certificates": root, "tls_verify_ciphers": "ECDHE-ECDSA-AES256-GCM-SHA384"})
    one.start()
    good, other = ["--tls-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384"], ["--tls-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"]
    for cipher in (good, other):
        assert swaks(one.smtp, "--tls-protocol", "tlsv1_2", *cipher)
    assert not swaks(one.smtp, "--tls-protocol", "tlsv1_2", *good, source="127.0.0.2")
    assert not swaks(one.smtp, "--tls-protocol", "tlsv1_2", *other, source="127.0.0.2", pair=pair)
    assert swaks(one.smtp, "--tls-protocol", "tlsv1_2", *good, source="127.0.0.2", pair=pair)


def test_tls_verify_hosts_is_unset_by_default_and_a_star_is_all_connections(clients):
    one, _, root, pair = clients
    one.configure({"tls_verify_certificates": root, "tls_verify_ciphers": "ECDHE-ECDSA-AES256-GCM-SHA384"})
    one.start()
    assert swaks(one.smtp, "--tls-protocol", "tlsv1_2", "--tls-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305")
    one.stop()
    one.configure({"tls_verify_hosts": "*", "tls_verify_ciphers": None})
    one.start()
    for source in ("127.0.0.1", "127.0.0.2"):
        for options in ((one.smtp,), (one.tls, "--tls-on-connect")):
            assert not swaks(*options, source=source, tls=len(options) == 1)
            assert swaks(*options, source=source, pair=pair, tls=len(options) == 1)


def test_a_list_of_hosts_that_cannot_be_evaluated_lets_nobody_off(clients):
    """tls_verify_hosts and tls_hosts, looked up in a file that is not there: in doubt they hold."""
    one, _, root, pair = clients
    missing = "${lookup{hosts}lsearch{%s/missing}{$value}}" % one.dir
    one.configure({"tls_verify_hosts": missing, "tls_verify_certificates": root})
    one.start()
    assert not swaks(one.smtp) and swaks(one.smtp, pair=pair)
    one.stop()
    one.configure({"tls_verify_hosts": None, "tls_hosts": missing})
    one.start()
    assert "<** 503 Use of TLS required" in swaks(one.smtp, tls=False).text and swaks(one.smtp)


def test_tls_verify_ciphers_is_a_list_for_the_library_with_colons(clients):
    one, _, root, pair = clients
    one.configure({"tls_verify_hosts": "*", "tls_verify_certificates": root,
                   "tls_verify_ciphers": "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-SHA:!eNULL:@STRENGTH"})
    one.start()
    listed = {"ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-SHA"}
    for cipher in (*listed, "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES256-SHA"):
        sent = swaks(one.smtp, "--tls-protocol", "tlsv1_2", "--tls-cipher", cipher, pair=pair)
        assert bool(sent) == (cipher in listed), (cipher, sent.text)
        assert sent.cipher == (cipher if cipher in listed else None)


def test_with_tls_verify_ciphers_all_sessions_use_a_listed_cipher(clients):
    """Whatever clients prefer, and over every way into TLS."""
    one, _, root, pair = clients
    listed = "ECDHE-ECDSA-AES128-SHA"
    one.configure({"tls_verify_hosts": "*", "tls_verify_certificates": root, "tls_verify_ciphers": listed})
    one.start()
    options = ("-cert", pair[0], "-key", pair[1])
    for port, starttls in ((one.smtp, True), (one.submission, True), (one.tls, False)):
        assert s_client(port, *map(str, options), starttls=starttls).cipher == listed
        assert not s_client(port, *map(str, options), "-tls1_3", starttls=starttls).good
        assert not s_client(port, *map(str, options), "-tls1_2", "-cipher", "ECDHE+AESGCM", starttls=starttls).good


def expecting(clients, make):
    """A server that expects the certificates of what make(authority, other, place) gives, and three pairs: of both authorities, of none."""
    one, authority, _, pair = clients
    other = Authority(one.dir / "other", "Other")
    other.make("other.test", "root")
    strange = named_certificate(one.dir, "strange.test")
    one.configure({"tls_verify_hosts": "*", "tls_verify_certificates": make(authority.dir / "root.pem", other.dir / "root.pem")})
    one.start()
    return one, pair, (other.dir / "other.test.pem", other.dir / "other.test.key"), strange


def test_a_file_of_expected_certificates_has_them_end_to_end(clients):
    def make(first, second):
        file = first.parent / "expected.pem"
        file.write_text(first.read_text() + second.read_text())
        return file
    one, good, other, strange = expecting(clients, make)
    assert swaks(one.smtp, pair=good) and swaks(one.smtp, pair=other)
    assert not swaks(one.smtp, pair=strange)


def test_a_directory_of_expected_certificates_has_a_file_or_a_link_for_each_by_its_hash(clients):
    def make(first, second):
        directory = first.parent / "expected"
        directory.mkdir()
        for number, file in enumerate((first, second)):
            name = openssl("x509", "-hash", "-noout", "-in", file).strip()
            if number:
                shutil.copy(file, directory / "plain.pem")
                (directory / f"{name}.0").symlink_to("plain.pem")
            else:
                shutil.copy(file, directory / f"{name}.0")
        return directory
    one, good, other, strange = expecting(clients, make)
    assert swaks(one.smtp, pair=good) and swaks(one.smtp, pair=other)
    assert not swaks(one.smtp, pair=strange)


def test_a_certificate_is_always_requested_and_a_client_without_one_fails(clients):
    one, _, root, pair = clients
    one.configure({"tls_verify_hosts": "*", "tls_verify_certificates": root})
    one.start()
    for version in ("-tls1_2", "-tls1_3"):
        assert "Acceptable client certificate CA names\nCN = Root" in s_client(one.smtp, version).text
        assert "250 OK" not in speak(one.smtp, version, lines=("EHLO client.test", "NOOP"))
        assert "250 OK" in speak(one.smtp, version, "-cert", str(pair[0]), "-key", str(pair[1]), lines=("EHLO client.test", "NOOP"))
    assert not swaks(one.smtp) and swaks(one.smtp, pair=pair)
    one.wait_log(r"TLS error on connection from .*\(SSL_accept\): peer did not return a certificate")


NAMES = "begin acl\n" + "".join(f"{point}:\n  warn logwrite = {point} dn=<$tls_peerdn>\n  accept\n" for point in ("mail", "rcpt", "data"))


def test_the_distinguished_name_is_in_tls_peerdn_while_the_message_is_processed(clients):
    """In the ACLs, and in the delivery (as a digest: a client's text is not a path)."""
    one, _, root, pair = clients
    one.extra = NAMES
    one.configure({"tls_verify_hosts": "*", "tls_verify_certificates": root, "acl_smtp_mail": "mail", "acl_smtp_rcpt": "rcpt",
                   "acl_smtp_data": "data"})
    one.conf.write_text(one.conf.read_text().replace("/$local_part_data\n", "/${sha256:$tls_peerdn}\n"))
    one.start()
    assert swaks(one.smtp, pair=pair)
    for point in ("mail", "rcpt", "data"):
        one.wait_log(f"{point} dn=</CN=client.test>$")
    digest = subprocess.run(["sha256sum"], input=b"/CN=client.test", capture_output=True, check=True).stdout.split()[0].decode().upper()
    one.maildir(digest).wait(1)


def test_the_distinguished_name_is_not_in_the_log_line_or_received_by_default(clients):
    one, _, root, pair = clients
    one.configure({"tls_verify_hosts": "*", "tls_verify_certificates": root})
    one.start()
    assert swaks(one.smtp, pair=pair)
    line = one.wait_log(r"^.* <= sender@client\.test .*$")[0]
    assert "DN=" not in line and "CN=client.test" not in line
    assert "CN=client.test" not in received_of(one)


def test_tls_log_peerdn_logs_it_keyed_by_dn_and_received_header_text_shows_it(clients):
    one, _, root, pair = clients
    one.configure({"tls_verify_hosts": "*", "tls_verify_certificates": root, "tls_log_peerdn": "true",
                   "received_header_text": "Received: from $sender_helo_name DN=<$tls_peerdn>"})
    one.start()
    assert swaks(one.smtp, pair=pair)
    one.wait_log(r' <= sender@client\.test .* DN="/CN=client\.test" ')
    assert received_of(one).startswith("Received: from client.test DN=</CN=client.test>")


def test_tls_verify_ciphers_and_tls_verify_certificates_are_expanded_for_each_host(clients):
    one, authority, root, pair = clients
    other = Authority(one.dir / "other", "Other")
    other.make("other.test", "root")
    second = (other.dir / "other.test.pem", other.dir / "other.test.key")
    choice = "${if eq{$sender_host_address}{127.0.0.2}{%s}{%s}}"
    one.configure({"tls_verify_hosts": "*", "tls_verify_certificates": choice % (other.dir / "root.pem", root),
                   "tls_verify_ciphers": choice % ("ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-GCM-SHA384")})
    one.start()
    here, there = swaks(one.smtp, pair=pair), swaks(one.smtp, source="127.0.0.2", pair=second)
    assert (here.cipher, there.cipher) == ("ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-SHA")
    assert not swaks(one.smtp, pair=second) and not swaks(one.smtp, source="127.0.0.2", pair=pair)


# ---- 38.1: insisting on TLS ----

def test_hosts_of_tls_hosts_are_offered_starttls_though_not_in_tls_advertise_hosts(server):
    one = server(main={"tls_hosts": "127.0.0.2", "tls_advertise_hosts": "127.0.0.3"})
    for source, offered in (("127.0.0.1", False), ("127.0.0.2", True), ("127.0.0.3", True)):
        sent = swaks(one.smtp, source=source)
        assert (OFFERED in sent.text) == offered and bool(sent) == offered, (source, sent.text)


def test_mail_of_a_host_in_tls_hosts_without_tls_is_rejected_with_503_use_of_tls_required(server):
    one = server(main={"tls_hosts": "127.0.0.2"})
    sent = swaks(one.smtp, source="127.0.0.2", tls=False)
    assert not sent and "MAIL FROM:<sender@client.test>\n<** 503 Use of TLS required\n" in sent.text, sent.text
    assert swaks(one.smtp, source="127.0.0.2"), "within TLS it is taken"
    assert swaks(one.smtp, tls=False), "others may"


# ---- 38.1: relaying ----

ALL = "all:\n  driver = accept\n  transport = outside\n"
REFUSED = "550 relay not permitted"


@pytest.fixture
def relaying(server):
    """A server with a way for every domain, into the Maildir of its attribute `outside`: not started."""
    one = server(start=False, routers=ALL, extra=AUTHENTICATORS)
    outside = one.mail / "outside"
    user = "  user = nobody\n  group = nogroup\n" if ROOT else ""
    one.transports = f"outside:\n  driver = appendfile\n  directory = {outside}\n  maildir_format\n  create_directory\n{user}"
    one.outside = Maildir(outside)
    return one


def relays(one, source, *options, **named):
    """Whether a message to a domain that is not ours is taken of that host; if it is, it goes on."""
    before = len(one.outside.files())
    sent = swaks(one.smtp, *options, source=source, to="somebody@elsewhere.test", **named)
    assert sent or REFUSED in sent.text, sent.text
    if sent:
        one.outside.wait(before + 1)
    return bool(sent)


def test_a_host_of_tls_host_accept_relay_relays_within_tls_and_only_there(relaying):
    one = relaying
    one.configure({"tls_host_accept_relay": "127.0.0.2"})
    one.start()
    assert relays(one, "127.0.0.2")
    assert not relays(one, "127.0.0.2", tls=False)
    assert not relays(one, "127.0.0.1"), "within TLS, but not named"


def test_relaying_is_permitted_if_any_of_the_three_checks_is_passed(relaying):
    one = relaying
    one.configure({"host_accept_relay": "127.0.0.2", "host_auth_accept_relay": "127.0.0.3", "tls_host_accept_relay": "127.0.0.4",
                   "auth_cleartext_hosts": "*"})
    one.start()
    assert relays(one, "127.0.0.2", tls=False), "the first alone"
    assert relays(one, "127.0.0.3", *LOGIN, tls=False), "the second alone"
    assert relays(one, "127.0.0.4"), "the third alone"
    assert not relays(one, "127.0.0.3") and not relays(one, "127.0.0.3", tls=False), "named for AUTH, but not authenticated"
    assert not relays(one, "127.0.0.4", *LOGIN, tls=False), "authenticated, but named for TLS"
    assert not relays(one, "127.0.0.1", *LOGIN), "in no list: authenticated and within TLS is not enough"


def test_relaying_within_tls_can_be_for_hosts_with_a_verified_certificate(relaying):
    one = relaying
    authority = Authority(one.dir / "authority")
    authority.make("client.test", "root", "subjectAltName=DNS:client.test")
    pair = (authority.dir / "client.test.pem", authority.dir / "client.test.key")
    one.configure({"tls_host_accept_relay": "127.0.0.2", "tls_verify_hosts": "127.0.0.2", "tls_verify_certificates": authority.dir / "root.pem"})
    one.start()
    assert relays(one, "127.0.0.2", pair=pair)
    without = swaks(one.smtp, source="127.0.0.2", to="somebody@elsewhere.test")
    assert not without and "RCPT TO" not in without.text, "it does not get as far"


# ---- 38.1: AUTH within TLS ----

OFFERED_AUTH = "<-  250-AUTH PLAIN"


@pytest.fixture
def over_tls(server):
    """A server that takes AUTH in clear of all hosts but 127.0.0.2."""
    return server(extra=AUTHENTICATORS, main={"auth_cleartext_hosts": "*", "auth_over_tls_hosts": "127.0.0.2"})


def test_hosts_of_auth_over_tls_hosts_must_start_tls_before_auth(over_tls):
    one = over_tls
    in_clear = swaks(one.smtp, *LOGIN, source="127.0.0.2", tls=False)
    assert not in_clear and "*** Host did not advertise authentication" in in_clear.text
    with one.connect(source="127.0.0.2") as client:
        client.ehlo()
        assert client.expect(538, "AUTH PLAIN AGFubgBzZWNyZXQ=") == "Encryption required for requested authentication mechanism"
    assert swaks(one.smtp, *LOGIN, source="127.0.0.2"), "within TLS they may"
    assert swaks(one.smtp, *LOGIN, tls=False), "others may in clear, as they are let"


def test_with_a_star_in_auth_over_tls_hosts_all_authentication_is_within_tls(over_tls):
    one = over_tls
    one.configure({"auth_over_tls_hosts": "*"})
    one.reload()
    for source in ("127.0.0.1", "127.0.0.2", "127.77.0.1"):
        in_clear = swaks(one.smtp, *LOGIN, source=source, tls=False)
        assert not in_clear and "*** Host did not advertise authentication" in in_clear.text
        assert swaks(one.smtp, *LOGIN, source=source)


def test_hosts_of_auth_over_tls_hosts_need_not_use_auth(over_tls):
    for tls in (False, True):
        sent = swaks(over_tls.smtp, source="127.0.0.2", tls=tls)
        assert sent and "AUTH PLAIN A" not in sent.text


def test_auth_is_advertised_to_hosts_of_auth_over_tls_hosts_after_starttls_only(over_tls):
    in_clear, within = swaks(over_tls.smtp, source="127.0.0.2").text.split("=== TLS started")
    assert OFFERED_AUTH not in in_clear and OFFERED_AUTH.replace("<-", "<~") in within
    assert OFFERED_AUTH in swaks(over_tls.smtp, tls=False).text, "to others at once"


# ---- 38.4 ----

def by_the_manual(directory, bits=2048, one_file=False, options=("-nodes",)):
    """openssl req -x509 -newkey rsa:BITS -keyout file1 -out file2 -days 9999 -nodes."""
    file1, file2 = directory / "file1", directory / ("file1" if one_file else "file2")
    openssl("req", "-x509", "-newkey", f"rsa:{bits}", "-keyout", file1, "-out", file2, "-days", "9999", *options,
            "-subj", "/CN=mx.example.test")
    if one_file:  # today's command empties a file that it has just written: the parts are put together
        openssl("req", "-x509", "-newkey", f"rsa:{bits}", "-keyout", directory / "key", "-out", directory / "cert", "-days", "9999",
                *options, "-subj", "/CN=mx.example.test")
        file1.write_text((directory / "key").read_text() + (directory / "cert").read_text())
    file1.chmod(0o600)
    return file2, file1


@pytest.mark.parametrize("one_file", [False, True])
def test_the_commands_self_signed_certificate_works(server, one_file):
    one = server(start=False)
    cert, key = by_the_manual(one.dir, one_file=one_file)
    one.configure({"tls_certificate": cert, "tls_privatekey": key})
    one.start()
    answer = s_client(one.smtp, "-CAfile", str(cert), "-verify_return_error")
    assert answer.good and "Verify return code: 0 (ok)" in answer.text
    openssl("x509", "-in", cert, "-noout", "-checkend", str(9990 * 86400))


def test_a_key_of_1024_bits_is_too_small_today_unless_the_level_is_lowered(server):
    """The manual's own size: refused with the reason, and served to whoever asks for the security level that allows it."""
    one = server(start=False)
    cert, key = by_the_manual(one.dir, bits=1024)
    one.configure({"tls_certificate": cert, "tls_privatekey": key})
    one.start()
    assert "<** 454" in swaks(one.smtp).text
    assert "ee key too small" in one.log_text()
    one.configure({"tls_require_ciphers": "DEFAULT:@SECLEVEL=1"})
    one.reload()
    wait_for("the handshake", lambda: s_client(one.smtp, "-cipher", "DEFAULT:@SECLEVEL=0").good)


def test_a_key_with_a_pass_phrase_is_refused_with_the_reason_and_nothing_is_prompted_for(server):
    one = server(start=False)
    cert, key = by_the_manual(one.dir, options=("-passout", "pass:phrase"))
    one.configure({"tls_certificate": cert, "tls_privatekey": key})
    one.start()
    one.wait_log(r"TLS error: the private key in .*file1 is encrypted; store it without a pass phrase")
    assert "<** 454" in swaks(one.smtp).text
    assert "pass phrase" not in one.complaints().lower().replace("store it without a pass phrase", ""), "nobody is asked"


def test_a_self_signed_certificate_encrypts_and_identifies_to_nobody(server):
    one = server()
    assert swaks(one.smtp) and s_client(one.smtp).good
    assert "self-signed certificate" in s_client(one.smtp, "-verify_return_error").text
    assert not swaks(one.smtp, "--tls-verify")

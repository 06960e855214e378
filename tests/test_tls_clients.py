# SPDX-License-Identifier: ISC
"""Certificates of clients: tls_verify_hosts, tls_try_verify_hosts, tls_verify_certificates, tls_crl and tls_verify_ciphers, by the
sentences of chapter 38.1 of Exim 3's manual and chapter 43 of today's; and what is hostile in such certificates."""
import datetime
import hashlib
import os
import re
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from harness import DEADLINE, Closed, Server, make_message, trusting

VARIABLES = """begin acl
rcpt:
  warn logwrite = cv=<$tls_in_certificate_verified> dn=<$tls_in_peerdn> peer=<$tls_in_peercert> \\
       version=<${certextract{version}{$tls_in_peercert}}> serial=<${certextract{serial_number}{$tls_in_peercert}}> \\
       subject=<${certextract{subject}{$tls_in_peercert}}> cn=<${certextract{subject,CN}{$tls_in_peercert}}> \\
       names=<${certextract{subj_altname,>;}{$tls_in_peercert}{$value}{none}}> sha256=<${sha256:$tls_in_peercert}>
  deny local_parts = alice
       !verify = certificate
  accept
"""


def let_in(directory):
    """pytest makes directories that only their owner may enter."""
    for path in (directory, *directory.parents):
        if str(path).startswith("/tmp/") and path.stat().st_uid == os.geteuid():
            path.chmod(0o755)


class Authority:
    """An authority of our own, and certificates made by it: paths of PEM files."""

    def __init__(self, directory, name):
        self.dir, self.name = directory, name
        self.serial = 100
        self.openssl("req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-days", "30",
                     "-subj", f"/CN={name}", "-keyout", "ca.key", "-out", "ca.pem")
        self.certificate = str(directory / "ca.pem")

    def openssl(self, *arguments, **named):
        return subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, cwd=self.dir, **named)

    def make(self, name, subject=None, extensions="", days=None, key=("ec", "-pkeyopt", "ec_paramgen_curve:P-256")):
        """Paths of a certificate and its key."""
        self.serial += 1
        now = datetime.datetime.now(datetime.timezone.utc)
        start, end = now + datetime.timedelta(days=(days or (-1, 5))[0]), now + datetime.timedelta(days=(days or (-1, 5))[1])
        self.openssl("req", "-new", "-nodes", "-newkey", *key, "-utf8", "-subj", subject or f"/O=Clients/CN={name}",
                     "-keyout", f"{name}.key", "-out", f"{name}.csr")
        (self.dir / "index").write_text("")
        (self.dir / "index.attr").write_text("unique_subject = no\n")
        (self.dir / "serial").write_text(f"{self.serial:04X}\n")
        (self.dir / "made").mkdir(exist_ok=True)
        (self.dir / "conf").write_text(f"""[ca]
default_ca = one
[one]
database = index
serial = serial
new_certs_dir = made
certificate = ca.pem
private_key = ca.key
default_md = sha256
policy = any
x509_extensions = ext
[any]
[ext]
basicConstraints = CA:false
{extensions}
""")
        stamp = "%Y%m%d%H%M%SZ"
        self.openssl("ca", "-batch", "-config", "conf", "-in", f"{name}.csr", "-out", f"{name}.pem", "-notext", "-preserveDN",
                     "-startdate", start.strftime(stamp), "-enddate", end.strftime(stamp))
        return str(self.dir / f"{name}.pem"), str(self.dir / f"{name}.key")

    def revoke(self, *serials, out="crl.pem"):
        """A revocation list with these serial numbers, as integers."""
        (self.dir / "index").write_text("".join(f"R\t300101000000Z\t250101000000Z\t{serial:04X}\tunknown\t/CN=x\n" for serial in serials))
        self.openssl("ca", "-gencrl", "-config", "conf", "-crldays", "9", "-out", out)
        return str(self.dir / out)


class Place:
    def __init__(self, directory):
        for name in ("good", "other"):
            (directory / name).mkdir()
        self.authority, self.other = Authority(directory / "good", "Good Authority"), Authority(directory / "other", "Other Authority")
        self.good = self.authority.make("client", "/O=Clients, Inc/CN=client.test",
                                        "subjectAltName = DNS:client.test,email:post@client.test")
        self.expired = self.authority.make("expired", days=(-9, -2))
        self.future = self.authority.make("future", days=(2, 9))
        self.strange = self.other.make("strange")
        self.revoked = self.authority.make("revoked")
        self.revoked_serial = self.authority.serial
        self.large = self.authority.make("large", extensions="nsComment = " + "x" * 16000)
        self.rsa = self.authority.make("rsa", key=("rsa:4096",))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    directory = tmp_path_factory.mktemp("clients")
    let_in(directory)
    return Place(directory)


def options(place, **more):
    return {"acl_smtp_rcpt": "rcpt", "log_selector": "+tls_peerdn +tls_sni", "tls_verify_certificates": place.authority.certificate, **more}


@pytest.fixture(scope="module")
def lax(certificates, place):
    yield from started(certificates, options(place, tls_try_verify_hosts="*"))


@pytest.fixture(scope="module")
def strict(certificates, place):
    yield from started(certificates, options(place, tls_verify_hosts="*"))


def started(certificates, main):
    one = Server(certificates, extra=VARIABLES, main=main).start()
    yield one
    one.stop()
    one.remove()


def client_context(pair=None, version=None):
    context = trusting(version, version)
    if pair:
        context.load_cert_chain(*pair)
    return context


VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


def deliver(one, pair, version=None, user="user"):
    """The facts that the ACL logs, and the log line of the message's arrival."""
    mark = one.mark()
    with one.connect() as client:
        client.ehlo()
        client.starttls(client_context(pair, version))
        client.deliver(make_message("client"), f"{user}@example.test")
        client.cmd("QUIT")
    arrival = one.wait_log(r"^.* <= sender@client\.test .*$", mark).group()
    return dict(re.findall(r"(\w+)=<([^>]*)>", one.wait_log(r" cv=<.*$", mark).group())), arrival


def refused(one, pair, version=None):
    """The handshake fails, and the connection is closed; gives the log of it."""
    mark = one.mark()
    with one.connect() as client:
        client.ehlo()
        client.expect(220, "STARTTLS")
        with pytest.raises((ssl.SSLError, ConnectionError, Closed)):
            client.secure(client_context(pair, version))
            client.ehlo()
    one.wait_log(r"TLS error on connection from \(client\.test\) \[127\.0\.0\.1\] \(SSL_accept\): ", mark)
    return one.log_text(mark)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_good_certificate_is_verified_and_named(lax, strict, place, version):
    """Chapter 38.1: "The value of the Distinguished Name of the certificate is made available in the variable $tls_peerdn"."""
    for one in (lax, strict):
        facts, arrival = deliver(one, place.good, version)
        assert facts["cv"] == "1" and facts["dn"] == "/O=Clients, Inc/CN=client.test" and facts["cn"] == "client.test"
        assert facts["subject"] == "CN=client.test,O=Clients\\, Inc" and facts["version"] == "3" and facts["serial"] == "65"
        assert facts["names"] == "DNS=client.test;MAIL=post@client.test"
        der = ssl.PEM_cert_to_DER_cert(Path(place.good[0]).read_text())
        assert facts["sha256"] == hashlib.sha256(der).hexdigest().upper()
        assert re.search(r' P=esmtps X=TLS1\.\d:\S+:\d+ CV=yes DN="/O=Clients, Inc/CN=client\.test" SNI=localhost S=', arrival), arrival


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("which,why", [
    ("expired", "certificate has expired"), ("future", "certificate is not yet valid"),
    ("strange", "unable to get local issuer certificate"),
])
def test_a_bad_certificate_is_refused_or_only_reported(lax, strict, place, which, why, version):
    pair = getattr(place, which)
    mark = lax.mark()
    facts, arrival = deliver(lax, pair, version)
    assert facts["cv"] == "0" and facts["cn"] == which and facts["dn"] == f"/O=Clients/CN={which}"
    assert f' CV=no DN="/O=Clients/CN={which}"' in arrival
    lax.wait_log(rf"\[127\.0\.0\.1\] SSL verify error: depth=0 error={why} cert=/O=Clients/CN={which}$", mark)
    log = refused(strict, pair, version)
    assert f"SSL verify error: depth=0 error={why} cert=/O=Clients/CN={which}\n" in log, log


@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_without_a_certificate(lax, strict, version):
    """"Exim always requests a certificate from the client, and fails if one is not provided.\""""
    facts, arrival = deliver(lax, None, version)
    assert facts == {"cv": "0", "dn": "", "peer": "", "version": "", "serial": "", "subject": "", "cn": "", "names": "none",
                     "sha256": "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855"}
    assert " CV=no SNI=" in arrival and "DN=" not in arrival
    assert "peer did not return a certificate" in refused(strict, None, version)


def test_an_acl_can_insist_on_a_verified_certificate(lax, place):
    for pair, code in ((place.good, 250), (place.strange, 550), (None, 550)):
        with lax.connect() as client:
            client.ehlo()
            client.starttls(client_context(pair))
            client.expect(250, "MAIL FROM:<sender@client.test>")
            client.expect(code, "RCPT TO:<alice@example.test>")


def test_a_host_in_tls_verify_hosts_may_still_speak_in_clear(strict):
    """Today's manual, tls_verify_hosts: including a host does not require it to use TLS."""
    strict.send(make_message("clear"), "user@example.test", tls=False)


def test_hosts_in_neither_list_are_not_asked(server, place):
    one = server(main=options(place, tls_verify_hosts="192.0.2.1", tls_try_verify_hosts="192.0.2.2"), extra=VARIABLES)
    facts, arrival = deliver(one, place.good)
    assert facts["cv"] == "0" and facts["dn"] == "" and " CV=no SNI=" in arrival


def test_a_directory_of_hashed_names(server, place, tmp_path):
    """"If a directory is used, each certificate must be in a separate file, with a name ... of the form <hash>.0"."""
    directory = tmp_path / "trusted"
    directory.mkdir()
    let_in(directory)
    hashed = subprocess.run(["openssl", "x509", "-hash", "-noout", "-in", place.authority.certificate], capture_output=True,
                            check=True, text=True).stdout.strip()
    shutil.copy(place.authority.certificate, directory / f"{hashed}.0")
    shutil.copy(place.other.certificate, directory / "unhashed.pem")
    one = server(main=options(place, tls_verify_hosts="*", tls_verify_certificates=directory), extra=VARIABLES)
    assert deliver(one, place.good)[0]["cv"] == "1"
    refused(one, place.strange)


@pytest.mark.parametrize("option", ["system", None])
def test_the_certificates_of_the_system(server, place, option):
    """Today's manual, tls_verify_certificates: system is the default."""
    one = server(main=options(place, tls_try_verify_hosts="*", tls_verify_certificates=option), extra=VARIABLES)
    assert deliver(one, place.good)[0]["cv"] == "0"
    assert "unable to get local issuer certificate" in one.log_text()


def test_the_option_is_expanded_for_each_host(server, place):
    """"Both these options are expanded before use, so again you can make them do different things for different hosts.\""""
    text = "${if eq{$sender_host_address}{127.0.0.2}{%s}{%s}}" % (place.other.certificate, place.authority.certificate)
    one = server(main=options(place, tls_verify_hosts="*", tls_verify_certificates=text), extra=VARIABLES)
    for source, pair, good in (("127.0.0.1", place.good, True), ("127.0.0.2", place.strange, True), ("127.0.0.2", place.good, False),
                               ("127.0.0.1", place.strange, False)):
        with one.connect(source=source) as client:
            client.ehlo()
            client.expect(220, "STARTTLS")
            if good:
                client.secure(client_context(pair))
                client.ehlo()
            else:
                with pytest.raises((ssl.SSLError, ConnectionError, Closed)):
                    client.secure(client_context(pair))
                    client.ehlo()


def test_a_revoked_certificate(server, place):
    crl = place.authority.revoke(place.revoked_serial)
    one = server(main=options(place, tls_verify_hosts="*", tls_crl=crl), extra=VARIABLES)
    assert deliver(one, place.good)[0]["cv"] == "1"
    assert "SSL verify error: depth=0 error=certificate revoked" in refused(one, place.revoked)


def test_a_revocation_list_of_ten_megabytes(server, place):
    crl = place.authority.revoke(place.revoked_serial, *range(0x100000, 0x100000 + 240000), out="large-crl.pem")
    if os.path.getsize(crl) < 10 << 20:
        crl = place.authority.revoke(place.revoked_serial, *range(0x100000, 0x100000 + 400000), out="large-crl.pem")
    assert os.path.getsize(crl) > 10 << 20
    one = server(main=options(place, tls_verify_hosts="*", tls_crl=crl, front_processes=1), extra=VARIABLES)
    assert deliver(one, place.good)[0]["cv"] == "1"
    assert "certificate revoked" in refused(one, place.revoked)


def test_large_certificates(strict, place):
    """16 KB are taken; what is beyond OpenSSL's bound ends that connection and no other."""
    assert os.path.getsize(place.large[0]) > 16 << 10
    assert deliver(strict, place.large)[0]["cn"] == "large"
    assert deliver(strict, place.rsa)[0]["cn"] == "rsa"
    huge = place.authority.make("huge", extensions="nsComment = " + "x" * 31000)
    chain = place.authority.dir / "huge-chain.pem"
    chain.write_text(Path(huge[0]).read_text() + Path(place.large[0]).read_text() * 6)
    refused(strict, (str(chain), huge[1]))
    assert deliver(strict, place.good)[0]["cv"] == "1"


def der(tag, content):
    length = len(content)
    size = bytes([length]) if length < 128 else bytes([0x80 | (length.bit_length() + 7) // 8]) + length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag]) + size + content


def with_nul(place):
    """A certificate of the good authority whose name is "bank.test\\0.evil.test": its bytes are changed, and signed anew."""
    name = "bankZtest.evil.test"
    pair = place.authority.make("nul", f"/CN={name}")
    whole = ssl.PEM_cert_to_DER_cert(Path(pair[0]).read_text()).replace(name.encode(), name.replace("Z", "\0").encode())
    # SEQUENCE { to be signed, algorithm, signature }
    head = 4 if whole[1] == 0x82 else 3 if whole[1] == 0x81 else 2
    inner = whole[head:]
    body = inner[:4 + int.from_bytes(inner[2:4], "big")] if inner[1] == 0x82 else inner[:3 + inner[2]]
    algorithm = inner[len(body):][:2 + inner[len(body) + 1]]
    signature = place.authority.openssl("dgst", "-sha256", "-sign", "ca.key", input=body).stdout
    made = place.authority.dir / "nul-made.pem"
    made.write_text(ssl.DER_cert_to_PEM_cert(der(0x30, body + algorithm + der(3, b"\0" + signature))))
    return str(made), pair[1]


def test_a_nul_in_a_name_is_refused(lax, strict, place):
    pair = with_nul(place)
    mark = lax.mark()
    facts, arrival = deliver(lax, pair)
    assert facts["cv"] == "0" and facts["dn"] == r"/CN=bank\x00test.evil.test" and facts["cn"] == r"bank\00test.evil.test"
    lax.wait_log(r"SSL verify error: depth=0 error=a name in the certificate holds a NUL", mark)
    assert "a name in the certificate holds a NUL" in refused(strict, pair)


def test_verify_ciphers_limits_the_hosts_that_are_verified(server, place):
    """"With this option set, all TLS sessions must use one of the listed ciphers.\""""
    one = server(main=options(place, tls_verify_hosts="*", tls_verify_ciphers="ECDHE-ECDSA-AES256-GCM-SHA384"), extra=VARIABLES)
    assert " X=TLS1.2:ECDHE-ECDSA-AES256-GCM-SHA384:256 CV=yes " in deliver(one, place.good)[1]
    refused(one, place.good, ssl.TLSVersion.TLSv1_3)


@pytest.mark.parametrize("ciphers, chosen", [
    ("AES256-SHA:ECDHE-RSA-AES256-GCM-SHA384", "TLS1.2:ECDHE-RSA-AES256-GCM-SHA384"),  # the keeper does not decrypt
    ("ECDHE-RSA-AES128-GCM-SHA256, ECDHE+CHACHA20", "TLS1.2:ECDHE-RSA-AES128-GCM-SHA256"),
    ("string-b", r"TLS1.2:(EC)?DHE-RSA-\S+"),
    ("ECDHE+AESGCM:TLS_AES_256_GCM_SHA384", "TLS1.3:TLS_AES_256_GCM_SHA384"), ("HIGH", "TLS1.3:TLS_AES_128_GCM_SHA256"),
])
def test_verify_ciphers_are_written_as_in_tls_require_ciphers(server, place, ciphers, chosen):
    one = server(kind="rsa", main=options(place, tls_verify_hosts="*", tls_verify_ciphers=ciphers), extra=VARIABLES)
    assert re.search(rf" X={chosen}:\d+ CV=yes ", deliver(one, place.good)[1])


def test_a_reload_with_other_authorities_ends_what_tickets_say(server, place):
    """A session that one authority vouched for is not resumed where that authority is no longer trusted."""
    one = server(main=options(place, tls_verify_hosts="*"), extra=VARIABLES)
    context = client_context(place.good, ssl.TLSVersion.TLSv1_2)
    with one.connect() as client:
        client.ehlo()
        client.starttls(context)
        session = client.sock.session
        client.cmd("QUIT")
    with one.connect() as client:
        client.ehlo()
        client.expect(220, "STARTTLS")
        client.sock = context.wrap_socket(client.sock, server_hostname="localhost", session=session)
        assert client.sock.session_reused
    one.configure({"tls_verify_certificates": place.other.certificate})
    one.reload()
    with one.connect() as client:
        client.ehlo()
        client.expect(220, "STARTTLS")
        with pytest.raises((ssl.SSLError, ConnectionError, Closed)):
            client.sock = context.wrap_socket(client.sock, server_hostname="localhost", session=session)
            client.data = b""
            client.ehlo()


def test_swaks_shows_its_certificate(strict, place):
    mark = strict.mark()
    command = ["swaks", "--server", f"127.0.0.1:{strict.smtp}", "--tls", "--to", "user@example.test", "--from", "sender@client.test",
               "--ehlo", "client.test"]
    done = subprocess.run([*command, "--tls-cert", place.good[0], "--tls-key", place.good[1]], capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 0, done.stdout
    strict.wait_log(r' CV=yes DN="/O=Clients, Inc/CN=client\.test" ', mark)
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode != 0


def test_s_client_is_told_whom_we_trust(strict, place):
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{strict.tls}", "-cert", place.good[0], "-key", place.good[1],
                           "-crlf", "-ign_eof"], input=b"QUIT\r\n", capture_output=True, timeout=DEADLINE)
    assert b"Acceptable client certificate CA names\nCN = Good Authority" in done.stdout, done.stdout[-3000:]


def test_damaged_material_is_named_and_mail_still_comes_in_clear(server, place, tmp_path):
    let_in(tmp_path)
    broken = tmp_path / "broken.pem"
    broken.write_text(Path(place.authority.certificate).read_text()[:200])
    one = server(main=options(place, tls_verify_hosts="*", tls_verify_certificates=broken), extra=VARIABLES)
    with one.connect() as client:
        client.ehlo()
        client.expect(454, "STARTTLS")
    one.wait_log(r"STARTTLS refused: TLS is configured but cannot be used: .*broken\.pem")
    one.send(make_message("clear"), "user@example.test", tls=False)

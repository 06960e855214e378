# SPDX-License-Identifier: ISC
"""Directories of TLS files: trusted certificates and revocation lists with hashed names, certificates by name; and what changes in
them while the server runs."""
import os
import signal

import pytest

from harness import replace_file, wait_for
from ocsp_authority import Authority
from tls_peers import named_certificate, s_client, speak


class Clients(Authority):
    """Certificates of clients, issued by the root, and its revocation lists."""

    def __init__(self, directory):
        super().__init__(directory)
        (self.dir / "list.cnf").write_text("[ca]\ndefault_ca=d\n[d]\ndatabase=revoked\ncrlnumber=number\ndefault_md=sha256\n"
                                           "default_crl_days=30\n")
        (self.dir / "revoked").write_text("")
        (self.dir / "number").write_text("01\n")

    def client(self, name):
        serial = self.make(name, "root")
        return serial, ("-cert", self.dir / f"{name}.pem", "-key", self.dir / f"{name}.key")

    def crl(self, *serials):
        (self.dir / "revoked").write_text("".join(f"R\t361101000000Z\t261101000000Z\t0{serial:X}\tunknown\t/CN=x\n" for serial in serials))
        self.openssl("ca", "-config", "list.cnf", "-gencrl", "-keyfile", "root.key", "-cert", "root.pem", "-out", "crl.pem")
        return (self.dir / "crl.pem").read_bytes()

    def hash_of(self, file):
        return self.openssl("x509", "-hash", "-noout", "-in", file, text=True).stdout.strip()


@pytest.fixture(scope="module")
def clients(tmp_path_factory):
    return Clients(tmp_path_factory.mktemp("clients"))


def gets_in(one, pair):
    return "250 OK" in speak(one.smtp, *pair, lines=("EHLO x", "NOOP"))


@pytest.fixture
def revoking(server, clients):
    """A server with a directory of revocation lists, a client's pair, its serial number, and the list's file."""
    serial, pair = clients.client("client.test")
    one = server(start=False)
    lists = one.dir / "crls"
    lists.mkdir()
    file = lists / f"{clients.hash_of('root.pem')}.r0"
    file.write_bytes(clients.crl())
    one.configure({"tls_verify_hosts": "*", "tls_verify_certificates": clients.dir / "root.pem", "tls_crl": lists})
    one.start()
    return one, pair, serial, file


def test_tls_crl_may_be_a_directory_of_lists_with_hashed_names(server, clients):
    serial, revoked = clients.client("revoked.test")
    _, good = clients.client("good.test")
    one = server(start=False)
    lists = one.dir / "crls"
    lists.mkdir()
    (lists / f"{clients.hash_of('root.pem')}.r0").write_bytes(clients.crl(serial))
    one.configure({"tls_verify_hosts": "*", "tls_verify_certificates": clients.dir / "root.pem", "tls_crl": lists})
    one.start()
    assert gets_in(one, good)
    assert not gets_in(one, revoked)
    one.wait_log("certificate revoked")


def test_a_list_that_is_written_in_its_place_below_the_directory_is_used(revoking, clients):
    one, pair, serial, file = revoking
    assert gets_in(one, pair)
    mark = one.mark()
    inode = file.stat().st_ino
    file.write_bytes(clients.crl(serial))
    assert file.stat().st_ino == inode
    one.wait_log("crls has changed; new connections use it", mark)
    assert not gets_in(one, pair)


def test_an_authority_that_is_replaced_behind_a_link_is_trusted_no_more(server, clients):
    _, pair = clients.client("linked.test")
    one = server(start=False)
    trusted, elsewhere = one.dir / "trusted", one.dir / "elsewhere"
    trusted.mkdir()
    elsewhere.mkdir()
    (elsewhere / "ca.pem").write_bytes((clients.dir / "root.pem").read_bytes())
    (trusted / f"{clients.hash_of('root.pem')}.0").symlink_to(elsewhere / "ca.pem")
    one.configure({"tls_verify_hosts": "*", "tls_verify_certificates": trusted})
    one.start()
    assert gets_in(one, pair)
    mark = one.mark()
    other = Authority(one.dir / "other")
    replace_file(elsewhere / "ca.pem", (other.dir / "root.pem").read_bytes())
    one.wait_log("trusted has changed; new connections use it", mark)
    assert not gets_in(one, pair)


def test_a_chain_that_is_made_long_after_its_directory_is_served(server):
    one = server(start=False)
    names = one.dir / "names"
    names.mkdir()
    named_certificate(names, "default", both=True)
    one.configure({"tls_certificate": f"{names}/", "tls_privatekey": None})
    one.start()
    (names / "late.test").mkdir()
    named_certificate(names, "early.test", both=True)
    # By the time that the second is served, the first has been looked at.
    wait_for("the new file", lambda: s_client(one.smtp, sni="early.test").name == "early.test")
    assert s_client(one.smtp, sni="late.test").name == "default"
    cert, key = named_certificate(names / "late.test", "late.test")
    os.rename(key, names / "late.test" / "privkey.pem")
    os.rename(cert, names / "late.test" / "fullchain.pem")
    wait_for("the late chain", lambda: s_client(one.smtp, sni="late.test").name == "late.test")


def test_a_reload_keeps_the_certificate_of_a_name_whose_files_have_just_been_damaged(server):
    one = server(start=False)
    names = one.dir / "names"
    names.mkdir()
    named_certificate(names, "default", both=True)
    named_certificate(names, "a.test", both=True)
    one.configure({"tls_certificate": f"{names}/", "tls_privatekey": None})
    one.start()
    assert s_client(one.smtp, sni="a.test").name == "a.test"
    cert, _ = named_certificate(one.dir, "other.test")
    start = one.mark()
    replace_file(names / "a.test.pem", cert.read_bytes())  # the key is missing
    one.process.send_signal(signal.SIGHUP)
    one.wait_log("configuration reloaded", start)
    assert {s_client(one.smtp, sni="a.test").name for _ in range(4)} == {"a.test"}
    one.wait_log("a.test.pem has changed and is not used: .*; what was in use before stays", start)
    assert {s_client(one.smtp, sni="a.test").name for _ in range(4)} == {"a.test"}

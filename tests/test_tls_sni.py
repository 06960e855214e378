# SPDX-License-Identifier: ISC
"""SNI: certificates chosen by the name that the client asks for, by expansion and by a directory of certificates."""
import socket
import ssl
import subprocess

import pytest

from harness import DEADLINE, Smtp, make_message, proc_status, wait_for
from tls_peers import named_certificate, s_client


@pytest.fixture
def names(server):
    """A server that is not started yet, and a directory for certificates."""
    one = server(start=False)
    directory = one.dir / "certs"
    directory.mkdir()
    return one, directory


def by_directory(names, **main):
    one, directory = names
    one.configure({"tls_certificate": f"{directory}/", "tls_privatekey": None, **main})
    return one.start(), directory


def test_an_option_that_uses_tls_sni_is_expanded_again_when_the_name_is_known(names):
    one, directory = names
    first, _ = named_certificate(directory, "first.test", both=True)
    second, _ = named_certificate(directory, "second.test", both=True)
    one.configure({"tls_certificate": "${if eq{$tls_sni}{second.test}{%s}{%s}}" % (second, first), "tls_privatekey": None})
    one.start()
    assert s_client(one.smtp, sni="second.test").name == "second.test"
    assert s_client(one.smtp, sni="other.test").name == "first.test"
    assert s_client(one.smtp).name == "first.test"
    assert s_client(one.tls, sni="second.test", starttls=False).name == "second.test"


def test_the_name_itself_cannot_become_part_of_a_path(names):
    one, directory = names
    named_certificate(directory, "first.test", both=True)
    one.configure({"tls_certificate": f"{directory}/${{tls_in_sni}}.pem", "tls_privatekey": None})
    one.start()
    answer = s_client(one.tls, sni="first.test", starttls=False)
    assert not answer.good
    one.wait_log("its value comes from the client; let it choose among what is there")


def test_a_lookup_chooses_among_the_files_of_a_directory(names):
    one, directory = names
    named_certificate(directory, "first.test", both=True)
    named_certificate(directory, "second.test", both=True)
    one.configure({"tls_certificate": "%s/${lookup{$tls_in_sni.pem}dsearch{%s}{$value}{first.test.pem}}" % (directory, directory),
                   "tls_privatekey": None})
    one.start()
    assert s_client(one.smtp, sni="second.test").name == "second.test"
    assert s_client(one.smtp, sni="../../etc/passwd").name in ("first.test", None)
    assert s_client(one.smtp, sni="third.test").name == "first.test"


def test_a_directory_has_certificates_by_name_and_wildcard_and_a_default(names):
    _, directory = names
    named_certificate(directory, "default", both=True)
    named_certificate(directory, "a.example.test")                                        # NAME.pem and NAME.key
    named_certificate(directory, "*.example.test", stem="*.example.test", both=True)
    sub = directory / "c.example.test"                                                    # NAME/fullchain.pem and privkey.pem
    sub.mkdir()
    cert, key = named_certificate(sub, "c.example.test")
    cert.rename(sub / "fullchain.pem")
    key.rename(sub / "privkey.pem")
    one, _ = by_directory(names)
    for asked, served in [("a.example.test", "a.example.test"), ("A.Example.TEST", "a.example.test"), ("b.example.test", "*.example.test"),
                          ("c.example.test", "c.example.test"), ("x.y.example.test", "default"), ("example.test", "default"), (None, "default")]:
        assert s_client(one.smtp, sni=asked).name == served, asked


def test_without_a_default_the_certificate_of_primary_hostname_is_served(names):
    _, directory = names
    named_certificate(directory, "mx.example.test", both=True)
    one, _ = by_directory(names)
    assert s_client(one.smtp).name == "mx.example.test"
    assert s_client(one.smtp, sni="unknown.test").name == "mx.example.test"


@pytest.mark.parametrize("name", ["../secret", "..", ".", "a/b", "/etc/passwd", "x" * 250, "-a.test", "a..b", "default", "a b", "%s%s", "\u00e9.test"])
def test_what_is_no_host_name_gets_the_default(names, name):
    one, directory = names
    named_certificate(directory, "default", both=True)
    named_certificate(one.dir, "secret", both=True)
    by_directory(names)
    assert s_client(one.smtp, sni=name).name in ("default", None)  # s_client itself refuses some
    assert s_client(one.smtp).name == "default"


def test_a_new_name_in_the_directory_is_served_without_a_restart(names):
    _, directory = names
    named_certificate(directory, "default", both=True)
    one, _ = by_directory(names)
    assert s_client(one.smtp, sni="late.test").name == "default"
    cert, _ = named_certificate(one.dir, "late.test", both=True)
    cert.rename(directory / "late.test.pem")
    wait_for("the new name", lambda: s_client(one.smtp, sni="late.test").name == "late.test")


def test_two_directories_serve_rsa_and_ecdsa_side_by_side(names):
    one, directory = names
    for kind in ("ecdsa", "rsa"):
        (directory / kind).mkdir()
        named_certificate(directory / kind, "default", kind=kind, both=True)
        named_certificate(directory / kind, "a.test", kind=kind, both=True)
    one.configure({"tls_certificate": f"{directory}/ecdsa/ : {directory}/rsa/", "tls_privatekey": None})
    one.start()
    for sni, name in [("a.test", "a.test"), (None, "default")]:
        assert s_client(one.smtp, "-tls1_2", "-cipher", "aRSA", sni=sni).cipher.startswith("ECDHE-RSA")
        answer = s_client(one.smtp, "-tls1_2", "-cipher", "aECDSA", sni=sni)
        assert answer.cipher.startswith("ECDHE-ECDSA") and answer.name == name


def test_a_split_client_hello_with_a_name_is_put_together(names):
    """One byte at a time: the choice is made when all of it is here, and the handshake goes on from the first byte."""
    _, directory = names
    named_certificate(directory, "default", both=True)
    named_certificate(directory, "slow.test", both=True)
    one, _ = by_directory(names)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="slow.test")
    with socket.create_connection(("127.0.0.1", one.tls), DEADLINE) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                for byte in outgoing.read():
                    sock.sendall(bytes([byte]))
                incoming.write(sock.recv(65536))
        for byte in outgoing.read():
            sock.sendall(bytes([byte]))
        assert b"slow.test" in tls.getpeercert(True)


def test_a_flood_of_names_asks_the_master_nothing_and_costs_no_memory(names):
    """What so many connections cost with one name, and what with a name for each; the first hundreds fill caches and pools."""
    _, directory = names
    named_certificate(directory, "default", both=True)
    one, _ = by_directory(names, front_processes=1)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    def connect(name):
        with socket.create_connection(("127.0.0.1", one.tls), DEADLINE) as sock, context.wrap_socket(sock, server_hostname=name) as tls:
            assert b"default" in tls.getpeercert(True)

    def cost(called):
        """Kilobytes that the front grew by, and how often the master was woken up."""
        memory, woken = one.fronts_kb(), int(proc_status(one.process.pid)["voluntary_ctxt_switches"])
        for i in range(200):
            connect(called(i))
        return one.fronts_kb() - memory, int(proc_status(one.process.pid)["voluntary_ctxt_switches"]) - woken

    cost(lambda i: "one.flood.test")
    memory, woken = cost(lambda i: "one.flood.test")
    memory_of_names, woken_by_names = cost(lambda i: f"n{i}.flood.test")
    assert memory_of_names < memory + 2048, (memory, memory_of_names)      # a context for each would be some 8000
    assert woken_by_names < woken + 100, (woken, woken_by_names)           # a question for each would be 200
    message = make_message("after the flood")
    one.send(message)
    one.maildir().holds(message)


def test_gnutls_clients_choose_by_name(names):
    _, directory = names
    named_certificate(directory, "default", both=True)
    named_certificate(directory, "a.test", both=True)
    one, _ = by_directory(names)
    run = subprocess.run(["gnutls-cli", "--insecure", "--starttls-proto=smtp", "--port", str(one.smtp), "--sni-hostname=a.test", "127.0.0.1"],
                         input="QUIT\n", capture_output=True, text=True, timeout=DEADLINE)
    assert "CN=a.test" in run.stdout, run.stdout + run.stderr


def test_a_session_is_resumed_under_the_same_name(names):
    _, directory = names
    named_certificate(directory, "default", both=True)
    named_certificate(directory, "a.test", both=True)
    one, _ = by_directory(names)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    def connect(session=None):
        with socket.create_connection(("127.0.0.1", one.tls), DEADLINE) as sock, \
                context.wrap_socket(sock, server_hostname="a.test", session=session) as tls:
            tls.recv(100)
            return tls.session, tls.session_reused
    session, reused = connect()
    assert not reused
    assert connect(session)[1]


def test_the_name_is_in_the_variable(names):
    _, directory = names
    named_certificate(directory, "default", both=True)
    one, directory = by_directory(names, smtp_banner="for <$tls_in_sni>")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", one.tls), DEADLINE) as sock, context.wrap_socket(sock, server_hostname="asked.test") as tls:
        assert b"for <asked.test>" in tls.recv(4096)
    with Smtp(one.smtp) as client:
        assert "for <>" in client.banner[1][0]

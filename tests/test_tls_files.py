# SPDX-License-Identifier: ISC
"""Certificates and keys that are replaced while the server runs, and what the processes see of them."""
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading

import pytest

from harness import DEADLINE, ROOT, Smtp, make_message, replace_file, wait_for
from proxy_peers import taken
from test_tls_directories import Clients, gets_in
from tls_peers import named_certificate, s_client


@pytest.fixture
def replaced(server):
    """A running server with files of its own, and a function that replaces them by another pair."""
    one = server(start=False)
    cert, key = one.dir / "cert.pem", one.dir / "key.pem"

    def put(name, with_key=True, with_cert=True, kind="ecdsa"):
        new_cert, new_key = named_certificate(one.dir, name, kind=kind, stem=f"new-{name}")
        if with_cert:
            os.replace(new_cert, cert)
        if with_key:
            os.replace(new_key, key)
    put("before.test")
    one.configure({"tls_certificate": cert, "tls_privatekey": key})
    one.start()
    return one, put


def served(one):
    return s_client(one.smtp).name


def test_replaced_files_take_effect_on_new_connections_of_all_fronts(replaced):
    one, put = replaced
    assert served(one) == "before.test"
    with one.connect() as old:
        old.ehlo()
        old.starttls()
        start = one.mark()
        put("after.test")
        wait_for("the new certificate", lambda: served(one) == "after.test")
        one.wait_log("cert.pem has changed; new connections use it", start)
        assert {served(one) for _ in range(12)} == {"after.test"}
        old.expect(250, "NOOP")  # no session is dropped


def test_a_certificate_without_its_key_is_not_used_until_the_key_is_there(replaced):
    one, put = replaced
    start = one.mark()
    cert, key = named_certificate(one.dir, "later.test", stem="later")
    os.replace(cert, one.dir / "cert.pem")
    one.wait_log("cert.pem has changed and is not used: .*does not belong to the certificate.*what was in use before stays", start)
    assert {served(one) for _ in range(4)} == {"before.test"}
    os.replace(key, one.dir / "key.pem")
    wait_for("the pair", lambda: served(one) == "later.test")


@pytest.mark.parametrize("what", ["empty", "cut off", "no certificate", "gone", "too large"])
def test_damaged_files_are_not_used_and_the_log_says_why(replaced, what):
    one, _ = replaced
    cert = one.dir / "cert.pem"
    good = cert.read_text()
    start = one.mark()
    new = one.dir / "new"
    new.write_text({"empty": "", "cut off": good[:len(good) // 2], "no certificate": "hello\n", "gone": "", "too large": good * 4000}[what])
    if what == "gone":
        cert.unlink()
    else:
        os.replace(new, cert)
    one.wait_log("cert.pem has changed and is not used: ", start)
    assert {served(one) for _ in range(4)} == {"before.test"}
    # It is said once.
    assert len(re.findall("is not used", one.log_text(start))) == 1
    cert.write_text(good)
    wait_for("the files to be good again", lambda: served(one) == "before.test")


def test_a_front_that_dies_while_the_files_are_bad_has_the_old_ones_again(replaced):
    one, _ = replaced
    start = one.mark()
    cert, _ = named_certificate(one.dir, "alone.test", stem="alone")
    os.replace(cert, one.dir / "cert.pem")
    one.wait_log("is not used", start)
    for name in ("front 0", "front 1", "keeper"):
        pid = one.roles()[name]
        os.kill(pid, signal.SIGKILL)
        wait_for(f"{name} to be back", lambda: one.roles().get(name) not in (None, pid))
    wait_for("all of it to work", lambda: served(one) == "before.test")
    assert {served(one) for _ in range(6)} == {"before.test"}


def kill_fronts(one):
    for name, pid in one.roles().items():
        if name.startswith("front"):
            os.kill(pid, signal.SIGKILL)
            wait_for(f"{name} to be back", lambda: one.roles().get(name) not in (None, pid))


def damaged(how, good):
    return {"empty": b"", "junk": b"junk\n", "cut off": good[:len(good) * 2 // 3]}[how]


@pytest.mark.parametrize("how", ["empty", "junk", "cut off"])
def test_damaged_parameters_do_not_replace_good_ones(server, how):
    one = server(start=False, kind="rsa")
    file = one.dir / "dh.pem"
    subprocess.run(["openssl", "genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", "group:modp_2048", "-out", str(file)], check=True,
                   capture_output=True)
    one.configure({"tls_dhparam": file})
    one.start()

    def works():
        return s_client(one.smtp, "-tls1_2", "-cipher", "DHE").good
    assert works()
    mark = one.mark()
    good = file.read_bytes()
    replace_file(file, damaged(how, good))
    one.wait_log("TLS error: .*dh.pem has changed and is not used: .*; what was in use before stays", mark)
    assert all(works() for _ in range(4))
    kill_fronts(one)  # new ones get what is in use
    wait_for("TLS to work again", works)
    assert len(re.findall("TLS error", one.log_text(mark))) == 1
    replace_file(file, good)
    one.wait_log("dh.pem has changed; new connections use it", mark)


@pytest.mark.parametrize("how", ["empty", "junk", "cut off"])
@pytest.mark.parametrize("option", ["tls_verify_certificates", "tls_crl"])
def test_damaged_authorities_and_revocation_lists_do_not_replace_good_ones(server, tmp_path, option, how):
    clients = Clients(tmp_path / "clients")
    _, good = clients.client("good.test")
    serial, revoked = clients.client("revoked.test")
    one = server(start=False)
    files = {"tls_verify_certificates": one.dir / "ca.pem", "tls_crl": one.dir / "crl.pem"}
    files["tls_verify_certificates"].write_bytes((clients.dir / "root.pem").read_bytes())
    files["tls_crl"].write_bytes(clients.crl(serial))
    one.configure({"tls_verify_hosts": "*", **files})
    one.start()
    assert gets_in(one, good) and not gets_in(one, revoked)
    mark, file = one.mark(), files[option]
    replace_file(file, damaged(how, file.read_bytes()))
    one.wait_log(f"TLS error: .*{file.name} has changed and is not used: .*; what was in use before stays", mark)
    assert gets_in(one, good) and not gets_in(one, revoked)
    kill_fronts(one)
    wait_for("the good one to get in", lambda: gets_in(one, good))
    assert not gets_in(one, revoked)
    assert len(re.findall("is not used", one.log_text(mark))) == 1


def test_a_reload_with_damaged_revocation_lists_is_refused(server, tmp_path):
    clients = Clients(tmp_path / "clients")
    _, good = clients.client("good.test")
    one = server(start=False)
    file = one.dir / "crl.pem"
    file.write_bytes(clients.crl())
    one.configure({"tls_verify_hosts": "*", "tls_verify_certificates": clients.dir / "root.pem", "tls_crl": file})
    one.start()
    mark = one.mark()
    replace_file(file, b"junk\n")
    one.process.send_signal(signal.SIGHUP)
    one.wait_log("reload refused: there is no revocation list in .*crl.pem", mark)
    assert gets_in(one, good)


@pytest.mark.parametrize("named", ["by a path", "by a directory"])
def test_a_session_from_before_a_reload_that_moves_the_certificates_has_tls(server, named):
    """The files of its own configuration are not opened any more, and their keys are forgotten: it gets the new ones."""
    one = server(start=False, main={"front_processes": 1})

    def put(name):
        (one.dir / name).mkdir()
        cert, key = named_certificate(one.dir, f"{name}.test", stem=name)
        os.replace(cert, one.dir / name / "default.pem")
        os.replace(key, one.dir / name / "default.key")
        directory = named == "by a directory"
        one.configure({"tls_certificate": f"{one.dir}/{name}/" if directory else one.dir / name / "default.pem",
                       "tls_privatekey": None if directory else one.dir / name / "default.key",
                       "tls_verify_certificates": one.dir / name / "default.pem", "tls_try_verify_hosts": "*"})
    put("before")
    one.start()
    with one.connect() as old:
        old.ehlo()
        put("after")
        start = one.mark()
        one.process.send_signal(signal.SIGHUP)
        one.wait_log("configuration reloaded", start)
        shutil.rmtree(one.dir / "before")
        old.starttls()
        assert b"after.test" in old.sock.getpeercert(binary_form=True)
        old.deliver(make_message())


def weak_certificate(directory, stem):
    """An RSA key of 1024 bits: the pair fits, and OpenSSL's security level refuses it."""
    cert, key = directory / f"{stem}.pem", directory / f"{stem}.key"
    subprocess.run(["openssl", "req", "-x509", "-nodes", "-days", "30", "-subj", "/CN=weak.test", "-newkey", "rsa:1024",
                    "-addext", "subjectAltName=DNS:weak.test", "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    return cert, key


def test_a_certificate_that_openssl_refuses_does_not_replace_a_good_one(replaced):
    """Not by the watch and not by a reload: the key of the one in use must stay, also for a keeper that is started again."""
    one, put = replaced
    start = one.mark()
    for new, place in zip(weak_certificate(one.dir, "weak"), ("cert.pem", "key.pem")):
        os.replace(new, one.dir / place)
    one.wait_log("cert.pem has changed and is not used: .*key too small.*; what was in use before stays", start)
    start = one.mark()
    one.process.send_signal(signal.SIGHUP)
    one.wait_log("cert.pem: .*key too small", start)
    one.wait_log("reload refused: ", start)
    pid = one.role("keeper")
    os.kill(pid, signal.SIGKILL)
    wait_for("another keeper", lambda: one.roles().get("keeper") not in (None, pid))
    wait_for("handshakes", lambda: served(one) == "before.test")
    put("after.test")
    wait_for("the new certificate", lambda: served(one) == "after.test")


def test_a_reload_with_ciphers_by_which_openssl_refuses_the_certificate_is_refused(server):
    """The files are the same; that they are of no use shows in the fronts."""
    one = server(start=False)
    cert, key = weak_certificate(one.dir, "weak")
    one.configure({"tls_certificate": cert, "tls_privatekey": key, "tls_require_ciphers": "DEFAULT@SECLEVEL=0"})
    one.start()
    assert served(one) == "weak.test"
    one.configure({"tls_require_ciphers": None})
    for _ in range(2):
        start = one.mark()
        one.process.send_signal(signal.SIGHUP)
        one.wait_log("key too small", start)
        one.wait_log("reload refused: ", start)
        assert {served(one) for _ in range(4)} == {"weak.test"}


def test_no_message_is_lost_while_certificates_change_under_load(replaced):
    one, put = replaced
    problems, done, stop = [], [], threading.Event()

    def load():
        while not stop.is_set():
            try:
                message = make_message("under load")
                one.send(message)
                done.append(message)
            except Exception as problem:  # whatever it is, it fails the test
                problems.append(problem)
    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    for name in ("one.test", "two.test"):
        put(name)
        wait_for(name, lambda: served(one) == name)
    stop.set()
    for thread in threads:
        thread.join()
    assert not problems and done
    one.wait_empty()
    assert len(one.maildir().files()) == len(done)


def test_a_bad_pair_at_the_start_is_used_as_soon_as_it_is_mended(server):
    one = server(start=False)
    cert, _ = named_certificate(one.dir, "a.test", stem="cert")
    _, other = named_certificate(one.dir, "b.test", stem="other")
    one.configure({"tls_certificate": cert, "tls_privatekey": one.dir / "wrong.key"})
    shutil.copy(other, one.dir / "wrong.key")
    if ROOT:
        (one.dir / "wrong.key").chmod(0o600)
    one.start()
    with one.connect() as client:
        client.ehlo()
        client.expect(454, "STARTTLS")
    os.replace(one.dir / "cert.key", one.dir / "wrong.key")
    wait_for("the mended pair", lambda: served(one) == "a.test")


def test_one_bad_pair_of_two_leaves_the_other(server):
    one = server(start=False)
    good, good_key = named_certificate(one.dir, "good.test", stem="good")
    bad, _ = named_certificate(one.dir, "bad.test", kind="rsa", stem="bad")
    one.configure({"tls_certificate": f"{good} : {bad}", "tls_privatekey": f"{good_key} : {good_key}"})
    one.start()
    assert re.search("TLS error: the private key in .*good.key does not belong to the certificate in .*bad.pem", one.log_text())
    assert served(one) == "good.test"


def test_a_key_in_the_file_of_the_certificate_reaches_no_front(server):
    """The certificate and its key can be the same file; a front gets the file without the key."""
    one = server(start=False)
    both, _ = named_certificate(one.dir, "both.test", both=True)
    one.configure({"tls_certificate": both, "tls_privatekey": None})
    one.start()
    assert served(one) == "both.test"
    if not ROOT:
        return  # nobody but root may look into a role
    body = "".join(line for line in both.read_text().split("-----END PRIVATE KEY")[0].splitlines() if "-----" not in line)
    for name, pid in one.roles().items():
        if not name.startswith("front"):
            continue
        for fd in os.listdir(f"/proc/{pid}/fd"):
            if "memfd" not in os.readlink(f"/proc/{pid}/fd/{fd}"):
                continue
            try:
                with open(f"/proc/{pid}/fd/{fd}", "rb") as file:
                    assert body[:40].encode() not in file.read(1 << 20)
            except OSError:
                pass


def test_a_front_gets_no_file_outside_of_the_directories_that_the_configuration_names(server):
    one = server(start=False)
    inside = one.dir / "certs"
    inside.mkdir()
    named_certificate(inside, "in.test", both=True)
    outside, _ = named_certificate(one.dir, "out.test", both=True)
    (one.dir / "map").write_text(f"x: {outside}\n")
    one.configure({"tls_certificate": "${lookup{x}lsearch{%s/map}{$value}{%s/in.test.pem}}" % (one.dir, inside), "tls_privatekey": None})
    # The directory of the map is named for the lookup, and by that also as text of this option; so the file is put elsewhere.
    away = one.dir.with_name(one.dir.name + "-away")
    away.mkdir()
    try:
        shutil.move(str(outside), away / "out.test.pem")
        (one.dir / "map").write_text(f"x: {away}/out.test.pem\n")
        one.start()
        with one.connect() as client:
            client.ehlo()
            client.expect(454, "STARTTLS")
        one.wait_log("is not below a directory that the configuration names as constant text")
    finally:
        shutil.rmtree(away)


def test_reload_takes_changed_files_at_once(replaced):
    one, put = replaced
    put("reloaded.test")
    one.reload()
    wait_for("the reloaded certificate", lambda: served(one) == "reloaded.test")


@pytest.mark.parametrize("by", ["reload", "watch"])
def test_a_handshake_that_began_before_its_key_was_replaced_ends_with_the_key_that_it_began_with(replaced, by):
    one, put = replaced
    before = ssl.PEM_cert_to_DER_cert((one.dir / "cert.pem").read_text())
    heard, said = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl._create_unverified_context().wrap_bio(heard, said)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    hello = said.read()
    with socket.create_connection(("127.0.0.1", one.tls), timeout=DEADLINE) as sock:
        sock.sendall(hello[:20])
        wait_for("the server to read the beginning", lambda: taken(sock), interval=0.001)
        for number in range(3):
            put(f"round{number}.test")
            if by == "reload":
                one.reload()
            wait_for("the new certificate", lambda: served(one) == f"round{number}.test")
        sock.sendall(hello[20:])
        greeting = b""
        while not greeting:
            heard.write(sock.recv(65536))
            try:
                greeting = client.read(100)  # and the handshake before it
            except ssl.SSLWantReadError:
                sock.sendall(said.read())
        assert greeting.startswith(b"220 ")
        assert client.getpeercert(binary_form=True) == before


def test_reload_with_a_mismatch_is_refused_and_the_old_files_stay(replaced):
    one, _ = replaced
    start = one.mark()
    cert, _ = named_certificate(one.dir, "mismatch.test", stem="mismatch")
    os.replace(cert, one.dir / "cert.pem")
    one.process.send_signal(signal.SIGHUP)
    one.wait_log("reload refused: .*does not belong", start)
    assert {served(one) for _ in range(6)} == {"before.test"}
    one.send(make_message("after it"))


class Sender(threading.Thread):
    """Sends mail over TLS until it is told to stop: on one connection, or on a new one for each message."""

    def __init__(self, one, keeps, on_connect):
        super().__init__()
        self.one, self.keeps, self.on_connect = one, keeps, on_connect
        self.sent, self.problem, self.over = [], None, threading.Event()

    def connect(self):
        client = Smtp(self.one.tls if self.on_connect else self.one.smtp, tls=self.on_connect)
        client.ehlo()
        if not self.on_connect:
            client.starttls()
        return client

    def send(self, client):
        message = make_message("through reloads", size=2000)
        client.deliver(message)
        self.sent.append(message)

    def run(self):
        try:
            client = self.connect()
            while not self.over.is_set():
                self.send(client)
                if not self.keeps:
                    client.expect(221, "QUIT")
                    client.close()
                    client = self.connect()
            client.expect(221, "QUIT")
            client.close()
        except Exception as problem:  # whatever it is, it fails the test
            self.problem = problem


def test_reloads_and_changed_certificates_under_load_drop_no_session_and_no_message(replaced):
    """Old sessions go on as they began, new ones get what is new, and nothing is sent twice."""
    one, put = replaced
    one.configure({"smtp_accept_max_per_connection": 0, "log_selector": "+lost_incoming_connection"})
    one.reload()
    roles, begin = one.roles(), one.mark()
    senders = [Sender(one, keeps=number % 2 == 0, on_connect=number % 4 < 2) for number in range(20)]
    for sender in senders:
        sender.start()
    try:
        for number in range(10):
            put(f"round{number}.test")
            mark = one.mark()
            for _ in range(3):
                one.process.send_signal(signal.SIGHUP)
            one.wait_log(r"configuration reloaded", mark)
            before = [len(sender.sent) for sender in senders]
            wait_for("all of them to have sent more", lambda: all(sender.problem or len(sender.sent) > count + 1
                                                                  for sender, count in zip(senders, before)))
            assert not [sender.problem for sender in senders if sender.problem]
            assert served(one) == f"round{number}.test"
    finally:
        for sender in senders:
            sender.over.set()
        for sender in senders:
            sender.join()
    assert not [sender.problem for sender in senders if sender.problem]
    sent = [message for sender in senders for message in sender.sent]
    one.wait_empty()
    assert sorted(one.maildir().messages()) == sorted(sent)
    told = one.log_text(begin)
    assert not re.search(r"TLS error|disconnection|timeout|refused", told), told[-4000:]
    now = one.roles()
    assert {name: now.get(name) for name in roles if not name.startswith("store")} == \
        {name: pid for name, pid in roles.items() if not name.startswith("store")}

# SPDX-License-Identifier: ISC
"""AUTH with real clients (swaks, gsasl, msmtp, openssl s_client) and hostile ones: who is let in by which mechanism, what is offered and
when, what the log, the variables and the Received: line say of it, and that no secret is left in either."""
import base64
import hashlib
import hmac
import os
import re
import signal
import socket
import subprocess
import threading

import pytest

from harness import DEADLINE, POSTERN, ROOT, SANITIZER, Closed, Server, Smtp, make_message, memory_holds, trace_of, trusting

SCRAM = """  driver = scram
  server_password = ${if eq{$auth1}{user}{sesame}fail}
  server_set_id = $auth1
"""
AUTHENTICATORS = """begin authenticators

plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{{{eq{{$auth2}}{{user}}}}{{eq{{$auth3}}{{sesame}}}}}}}}
  server_set_id = $auth2
  server_mail_auth_condition = ${{if match_domain{{${{domain:$authenticated_sender}}}}{{example.test}}}}

login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = User Name : Password
  server_condition = ${{lookup{{$auth1}}lsearch{{{dir}/passwords}}{{${{if crypteq{{$auth2}}{{$value}}}}}}{{false}}}}
  server_set_id = $auth1

cram:
  driver = cram_md5
  public_name = CRAM-MD5
  server_secret = ${{if eq{{$auth1}}{{user}}{{sesame}}fail}}
  server_set_id = $auth1

scram_sha256:
{scram}  public_name = SCRAM-SHA-256

scram_sha256_plus:
{scram}  public_name = SCRAM-SHA-256-PLUS

scram_sha1:
{scram}  public_name = SCRAM-SHA-1

fussy:
  driver = plaintext
  public_name = X-FUSSY
  server_advertise_condition = ${{if eq{{$sender_helo_name}}{{fussy.test}}}}
  server_prompts = :
  server_condition = true
  server_set_id = $auth1
"""
ACLS = """begin acl

rcpt:
  accept local_parts = bob
         authenticated = *
         logwrite = acl <$sender_host_authenticated> <$authenticated_id> <$authenticated_sender> <$authentication_failed> \\
                    <$authenticated_fail_id> <$auth1> <$auth2>
  deny   local_parts = bob
         logwrite = acl <$sender_host_authenticated> <$authenticated_id> <$authenticated_sender> <$authentication_failed> \\
                    <$authenticated_fail_id> <$auth1> <$auth2>
  accept
"""
MECHANISMS = "PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256 SCRAM-SHA-256-PLUS SCRAM-SHA-1"
IN_CLEAR = "PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256 SCRAM-SHA-1"
# openssl passwd -5: "sesame"
HASH = subprocess.run(["openssl", "passwd", "-5", "sesame"], capture_output=True, text=True, check=True).stdout.strip()


def encode(text):
    return base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()


PLAIN = encode("\0user\0sesame")
WRONG = encode("\0user\0wrong")


def make(certificates, main=None, authenticators=AUTHENTICATORS, acls=ACLS):
    options = {"acl_smtp_rcpt": "rcpt", "auth_fail_delay": "0s", "auth_fail_limit": "1000 / 1h", "smtp_accept_max_nonmail": 1000,
               "smtp_max_synprot_errors": 100}
    one = Server(certificates)
    one.extra = acls + authenticators.format(dir=one.dir, scram=SCRAM)
    (one.dir / "passwords").write_text(f"user: {HASH}\n")
    one.configure({**options, **(main or {})})
    return one.start()


@pytest.fixture(scope="module")
def one(certificates):
    made = make(certificates)
    yield made
    made.stop()
    made.remove()


@pytest.fixture(scope="module")
def clear(certificates):
    made = make(certificates, {"auth_cleartext_hosts": "127.0.0.1"})
    yield made
    made.stop()
    made.remove()


@pytest.fixture
def private(certificates):
    """Servers of one test."""
    made = []

    def start(main=None, **named):
        made.append(make(certificates, main, **named))
        return made[-1]

    yield start
    for server in made:
        server.stop()
        server.remove()


def offered(ehlo):
    return next((line[5:] for line in ehlo.split("\n") if line.startswith("AUTH ")), None)


def within_tls(one):
    client = one.connect()
    client.ehlo()
    client.starttls()
    return client


# ---- Who is offered what ----

def test_in_clear_auth_is_neither_offered_nor_taken(one):
    with one.connect() as client:
        assert offered(client.ehlo()) is None
        start = one.mark()
        assert client.expect(538, f"AUTH PLAIN {PLAIN}") == "Encryption required for requested authentication mechanism"
        client.expect(538, "AUTH LOGIN")
        assert offered(client.starttls()) == MECHANISMS
        client.expect(235, f"AUTH PLAIN {PLAIN}")
        client.cmd("QUIT")
    assert PLAIN not in one.log_text(start)


def test_on_a_port_with_tls_from_the_start_auth_is_offered_at_once(one):
    with Smtp(one.tls, tls=True) as client:
        assert offered(client.ehlo()) == MECHANISMS
        client.expect(235, f"AUTH PLAIN {PLAIN}")


def test_hosts_may_be_let_use_auth_in_clear_but_not_what_binds_to_tls(clear):
    with clear.connect() as client:
        assert offered(client.ehlo()) == IN_CLEAR
        assert client.expect(504, "AUTH SCRAM-SHA-256-PLUS") == "SCRAM-SHA-256-PLUS authentication mechanism not supported"
        client.expect(235, f"AUTH PLAIN {PLAIN}")


def test_auth_over_tls_hosts_takes_the_permission_back(private):
    one = private({"auth_cleartext_hosts": "*", "auth_over_tls_hosts": "127.0.0.1"})
    with one.connect() as client:
        assert offered(client.ehlo()) is None
        client.expect(538, f"AUTH PLAIN {PLAIN}")


def test_hosts_outside_of_auth_advertise_hosts_are_not_offered_it(private):
    one = private({"auth_cleartext_hosts": "*", "auth_advertise_hosts": "192.0.2.1"})
    with one.connect() as client:
        assert offered(client.ehlo()) is None
        assert client.expect(503, f"AUTH PLAIN {PLAIN}") == "AUTH command used when not advertised"
        assert offered(client.starttls()) is None
        client.expect(503, f"AUTH PLAIN {PLAIN}")


def test_control_allow_auth_unadvertised_lets_it_be_used_all_the_same(private):
    one = private({"auth_cleartext_hosts": "*", "auth_advertise_hosts": "", "acl_smtp_helo": "helo"},
                  acls=ACLS + "\nhelo:\n  accept control = allow_auth_unadvertised\n\n")
    with one.connect() as client:
        assert offered(client.ehlo()) is None
        client.expect(235, f"AUTH PLAIN {PLAIN}")


@pytest.mark.parametrize("advertised", ["", "${if eq{$tls_in_cipher}{}{}{*}}"])
def test_control_allow_auth_unadvertised_does_not_allow_it_in_clear(private, advertised):
    one = private({"auth_advertise_hosts": advertised, "acl_smtp_helo": "helo"},
                  acls=ACLS + "\nhelo:\n  accept control = allow_auth_unadvertised\n\n")
    with one.connect() as client:
        assert offered(client.ehlo()) is None
        assert client.expect(538, f"AUTH PLAIN {PLAIN}") == "Encryption required for requested authentication mechanism"
        assert offered(client.starttls()) == (MECHANISMS if advertised else None)
        client.expect(235, f"AUTH PLAIN {PLAIN}")


def test_the_advertise_condition_is_expanded_at_each_ehlo(clear):
    with clear.connect() as client:
        client.ehlo()
        client.expect(504, "AUTH X-FUSSY eA==")
        assert offered(client.expect(250, "EHLO fussy.test")) == IN_CLEAR + " X-FUSSY"
        client.expect(235, "AUTH X-FUSSY eA==")


def test_who_is_authenticated_is_offered_nothing_more(clear):
    with clear.connect() as client:
        client.ehlo()
        client.expect(235, f"AUTH PLAIN {PLAIN}")
        assert offered(client.ehlo()) is None
        assert client.expect(503, f"AUTH PLAIN {PLAIN}") == "AUTH command used when not advertised"


def test_tls_forgets_who_the_client_was_in_clear(clear):
    with clear.connect() as client:
        client.ehlo()
        client.expect(235, f"AUTH PLAIN {PLAIN}")
        assert offered(client.starttls()) == MECHANISMS
        client.expect(250, "MAIL FROM:<a@client.test>")
        client.expect(550, "RCPT TO:<bob@example.test>")


def test_acl_smtp_auth_decides_before_the_mechanism(private):
    one = private({"auth_cleartext_hosts": "*", "acl_smtp_auth": "auth"},
                  acls=ACLS + "\nauth:\n  deny message = not here\n       condition = ${if eq{$smtp_command_argument}{LOGIN}}\n  accept\n\n")
    with one.connect() as client:
        client.ehlo()
        start = one.mark()
        assert client.expect(503, "AUTH LOGIN dXNlcg==") == "not here"
        client.expect(235, f"AUTH PLAIN {PLAIN}")
        assert one.wait_log(r" rejected AUTH LOGIN(.*)$", start).group(1) == ": not here"


# ---- Clients ----

def swaks(one, mechanism, password="sesame", *more):
    return subprocess.run(["swaks", "-tls", "--server", "127.0.0.1", "--port", str(one.smtp), "--from", "a@client.test", "--to",
                           "bob@example.test", "--auth", mechanism, "--auth-user", "user", "--auth-password", password, *more],
                          capture_output=True, text=True, timeout=DEADLINE)


@pytest.mark.parametrize("mechanism, name", [("PLAIN", "plain"), ("LOGIN", "login"), ("CRAM-MD5", "cram")])
def test_swaks_logs_in(one, mechanism, name):
    start = one.mark()
    done = swaks(one, mechanism)
    assert done.returncode == 0 and "235 Authentication succeeded" in done.stdout, done.stdout
    line = one.wait_log(r" <= a@client\.test (.*)$", start).group(1)
    assert re.search(rf" P=esmtpsa X=\S+ CV=no A={name}:user S=", line), line
    assert "sesame" not in one.log_text(start)


@pytest.mark.parametrize("mechanism, name", [("PLAIN", "plain"), ("LOGIN", "login"), ("CRAM-MD5", "cram")])
def test_a_wrong_password_is_refused_and_logged_with_the_users_name(one, mechanism, name):
    start = one.mark()
    done = swaks(one, mechanism, "wrong")
    assert done.returncode != 0 and "535 Incorrect authentication data" in done.stdout, done.stdout
    line = one.wait_log(rf"^\S+ \S+ {name} authenticator failed for (.*)$", start).group(1)
    assert re.fullmatch(r"\(\S+\) \[127\.0\.0\.1\]: 535 Incorrect authentication data \(set_id=user\)", line), line
    assert "wrong" not in one.log_text(start)


class BehindStarttls:
    """gsasl says STARTTLS before EHLO: this says EHLO and STARTTLS for it, and then passes all bytes on, so that TLS is between the two."""

    def __init__(self, port):
        self.port, self.server = port, socket.create_server(("127.0.0.1", 0))
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self.server.getsockname()[1]

    def __exit__(self, *_):
        self.server.close()
        self.thread.join(DEADLINE)

    def run(self):
        inner, _ = self.server.accept()
        with Smtp(self.port) as outer, inner:
            outer.ehlo()
            outer.expect(220, "STARTTLS")
            inner.sendall(b"220 here ESMTP\r\n")
            got = b""
            while b"STARTTLS\r\n" not in got and b"STARTTLS\n" not in got:
                got += inner.recv(1000)
            inner.sendall(b"220 go ahead\r\n")
            back = threading.Thread(target=self.copy, args=(outer.sock, inner), daemon=True)
            back.start()
            self.copy(inner, outer.sock)
            back.join(DEADLINE)

    @staticmethod
    def copy(source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def gsasl(one, mechanism, password="sesame", *more):
    with BehindStarttls(one.smtp) as port:
        return subprocess.run(["gsasl", "--client", "--smtp", f"--connect=127.0.0.1:{port}", "--starttls", "--x509-ca-file=", "--verbose",
                               f"--mechanism={mechanism}", "--authentication-id=user", f"--password={password}", *more],
                              input="", capture_output=True, text=True, timeout=DEADLINE)


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "PLAIN", "LOGIN", "CRAM-MD5"])
def test_gsasl_logs_in(one, mechanism):
    more = [] if mechanism.endswith("-PLUS") else ["--no-cb"]
    done = gsasl(one, mechanism, "sesame", *more)
    assert "235 Authentication succeeded" in done.stdout, (done.stdout, done.stderr)


@pytest.mark.parametrize("mechanism, name", [("SCRAM-SHA-256", "scram_sha256"), ("SCRAM-SHA-256-PLUS", "scram_sha256_plus")])
def test_gsasl_is_refused_with_a_wrong_password(one, mechanism, name):
    start = one.mark()
    done = gsasl(one, mechanism, "wrong", *([] if mechanism.endswith("-PLUS") else ["--no-cb"]))
    assert "535 Incorrect authentication data" in done.stdout, (done.stdout, done.stderr)
    assert one.wait_log(rf"{name} authenticator failed for .*: (535 .*)$", start).group(1) == \
        "535 Incorrect authentication data (set_id=user)"


def test_msmtp_chooses_a_mechanism_by_itself(one):
    start = one.mark()
    done = subprocess.run(["msmtp", "--host=127.0.0.1", f"--port={one.smtp}", "--auth=on", "--tls=on", "--tls-certcheck=off", "--user=user",
                           "--passwordeval=echo sesame", "--from=m@client.test", "bob@example.test"], input=make_message().decode(),
                          capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 0, done.stderr
    assert one.wait_log(r" <= m@client\.test .* A=(\S+) ", start).group(1).endswith(":user")


# ---- SCRAM by hand ----

class Scram:
    """A client of SCRAM-SHA-256 (RFC 7677), written from the RFC."""

    def __init__(self, client, binding=None, plus=True, user="user", password="sesame", header=b"n,,"):
        self.client, self.user, self.password = client, user, password
        name, data = binding or (None, b"")
        self.header = f"p={name},,".encode() if name else header
        self.mechanism = "SCRAM-SHA-256-PLUS" if plus else "SCRAM-SHA-256"
        self.bare, self.channel = f"n={user},r=clientnonce", encode(self.header + data)

    def challenge(self):
        code, texts = self.client.reply()
        assert code == 334, (code, texts)
        return base64.b64decode(texts[0]).decode()

    def login(self, change=lambda final: final):
        """The reply to the last message, and whether the server has proved itself."""
        self.client.send(f"AUTH {self.mechanism} {encode(self.header + self.bare.encode())}\r\n")
        return self.finish(self.challenge(), change)

    def finish(self, first, change=lambda final: final):
        """The same from the server's first message on."""
        parts = dict(part.split("=", 1) for part in first.split(","))
        assert parts["r"].startswith("clientnonce") and len(parts["r"]) > len("clientnonce") + 16 and int(parts["i"]) >= 4096
        salted = hashlib.pbkdf2_hmac("sha256", self.password.encode(), base64.b64decode(parts["s"]), int(parts["i"]))
        key = hmac.digest(salted, b"Client Key", "sha256")
        final = change(f"c={self.channel},r={parts['r']}")
        message = ",".join([self.bare, first, final]).encode()
        signature = hmac.digest(hashlib.sha256(key).digest(), message, "sha256")
        proof = bytes(a ^ b for a, b in zip(key, signature))
        code, texts = self.client.cmd(encode(f"{final},p={encode(proof)}"))
        if code != 334:
            return code, False
        server = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), message, "sha256")
        proved = base64.b64decode(texts[0]).decode() == f"v={encode(server)}"
        return self.client.cmd("")[0], proved


def end_point(client):
    return "tls-server-end-point", hashlib.sha256(client.sock.getpeercert(binary_form=True)).digest()


def test_scram_binds_to_the_servers_certificate(one):
    with within_tls(one) as client:
        assert Scram(client, end_point(client)).login() == (235, True)


def test_scram_notices_another_certificate_in_between(one):
    start = one.mark()
    with within_tls(one) as client:
        name, data = end_point(client)
        assert Scram(client, (name, hashlib.sha256(data).digest())).login() == (535, False)
    assert one.wait_log(r"scram_sha256_plus authenticator failed for .*: (535 .*)$", start).group(1) == \
        "535 Incorrect authentication data (set_id=user): the client is in another TLS connection"


def test_scram_of_one_connection_is_of_no_use_in_another(one):
    """A man in the middle passes the client's binding on: the exporter's data differs, however well the rest fits."""
    with within_tls(one) as client:
        assert Scram(client, ("tls-exporter", bytes(32))).login() == (535, False)


def test_scram_proves_the_server_only_to_who_knows_the_password(one):
    with within_tls(one) as client:
        assert Scram(client, plus=False, password="wrong").login() == (535, False)
        assert Scram(client, plus=False, user="nobody").login() == (535, False)
        assert Scram(client, plus=False).login(lambda final: final.replace("r=clientnonce", "r=clientnoncf")) == (535, False)
        assert Scram(client, plus=False).login() == (235, True)


def test_a_client_that_could_bind_but_was_not_shown_how_is_refused(one, clear):
    """It says that it saw no -PLUS: somebody may have taken that out of the list (RFC 5802 §6)."""
    start = one.mark()
    with within_tls(one) as client:
        client.send(f"AUTH SCRAM-SHA-256 {encode('y,,n=user,r=clientnonce')}\r\n")
        client.expect(535)
    assert one.wait_log(r"scram_sha256 authenticator failed for .*: 535 [^:]*: (.*)$", start).group(1).startswith(
        "the client could bind to the TLS channel, but was not shown that the server can")
    with clear.connect() as client:
        client.ehlo()
        assert Scram(client, plus=False, header=b"y,,").login() == (235, True)


# ---- Certificates ----

CERTIFICATES = """begin authenticators

external:
  driver = external
  public_name = EXTERNAL
"""
TLS = """begin authenticators

by_certificate:
  driver = tls
  server_param1 = ${{certextract{{subj_altname,mail,>:}}{{$tls_in_peercert}}}}
  server_condition = ${{if and{{{{eq{{$tls_in_certificate_verified}}{{1}}}}{{inlist{{ann@example.test}}{{$auth1}}}}}}}}
  server_set_id = $auth1

plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if eq{{$auth2}}{{user}}}}
  server_set_id = $auth2
"""


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Certificates of clients by the addresses in them: {name: (certificate, key)}, and a file with those that are trusted."""
    directory = tmp_path_factory.mktemp("people")
    directory.chmod(0o755)
    found = {}
    for name, addresses in {"ann": ["ann@example.test"], "both": ["ann@example.test", "bob@example.test"], "none": [],
                            "stranger": ["ann@example.test"]}.items():
        cert, key = directory / f"{name}.pem", directory / f"{name}.key"
        names = ",".join(["DNS:client.test"] + [f"email:{address}" for address in addresses])
        subprocess.run(["openssl", "req", "-x509", "-nodes", "-days", "30", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-subj",
                        f"/CN={name}", "-addext", f"subjectAltName={names}", "-keyout", key, "-out", cert], check=True, capture_output=True)
        found[name] = cert, key
    trusted = directory / "trusted.pem"
    trusted.write_text("".join(found[name][0].read_text() for name in ("ann", "both", "none")))
    return found, trusted


def as_person(one, people, name):
    context = trusting()
    context.load_cert_chain(*people[0][name])
    client = one.connect()
    client.ehlo()
    client.expect(220, "STARTTLS")
    client.secure(context)
    return client


@pytest.fixture
def external(private, people):
    return private({"tls_verify_certificates": people[1], "tls_try_verify_hosts": "*"}, authenticators=CERTIFICATES)


def test_external_lets_in_by_an_address_in_a_verified_certificate(external, people):
    start = external.mark()
    with as_person(external, people, "ann") as client:
        assert offered(client.ehlo()) == "EXTERNAL"
        client.expect(535, f"AUTH EXTERNAL {encode('bob@example.test')}")
        client.expect(235, f"AUTH EXTERNAL {encode('ann@example.test')}")
        client.deliver(make_message(), "bob@example.test", sender="ann@example.test")
    assert external.wait_log(r" <= ann@example\.test .* A=(\S+) ", start).group(1) == "external:ann@example.test"
    with as_person(external, people, "both") as client:
        client.ehlo()
        client.expect(235, f"AUTH EXTERNAL {encode('bob@example.test')}")


def test_external_without_an_identity_takes_the_one_of_the_certificate(external, people):
    with as_person(external, people, "ann") as client:
        client.ehlo()
        client.expect(235, "AUTH EXTERNAL =")
    for name in ("both", "none"):
        with as_person(external, people, name) as client:
            client.ehlo()
            client.expect(535, "AUTH EXTERNAL =")
            assert client.expect(334, "AUTH EXTERNAL") == ""
            client.expect(535, "")


def test_external_is_not_for_certificates_that_are_not_verified(external, people):
    with as_person(external, people, "stranger") as client:
        assert offered(client.ehlo()) is None
        client.expect(503, f"AUTH EXTERNAL {encode('ann@example.test')}")
    with within_tls(external) as client:
        client.expect(503, f"AUTH EXTERNAL {encode('ann@example.test')}")


def test_openssl_s_client_logs_in_with_its_certificate(external, people):
    cert, key = people[0]["ann"]
    commands = f"EHLO c.test\r\nAUTH EXTERNAL {encode('ann@example.test')}\r\n"
    with subprocess.Popen(["openssl", "s_client", "-starttls", "smtp", "-quiet", "-crlf", "-cert", cert, "-key", key, "-connect",
                           f"127.0.0.1:{external.smtp}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True) as client:
        said = []
        for command in [*commands.split("\r\n")[:-1], "QUIT"]:
            client.stdin.write(command + "\n")
            client.stdin.flush()
            while True:
                line = client.stdout.readline()
                said.append(line.strip())
                if not line or line[3:4] == " " and not (command.startswith("EHLO") and "HELP" not in line):
                    break
        client.wait(DEADLINE)
    assert "235 Authentication succeeded" in said, said


def test_the_tls_driver_needs_no_command(private, people):
    one = private({"tls_verify_certificates": people[1], "tls_try_verify_hosts": "*"}, authenticators=TLS)
    start = one.mark()
    with as_person(one, people, "ann") as client:
        assert offered(client.ehlo()) is None
        client.expect(503, f"AUTH PLAIN {PLAIN}")
        client.deliver(make_message(), "bob@example.test", sender="ann@example.test")
    assert one.wait_log(r" <= ann@example\.test .* (P=esmtpsa) .* A=(\S+) ", start).groups() == ("P=esmtpsa", "by_certificate:ann@example.test")
    for name in ("stranger", "none"):
        with as_person(one, people, name) as client:
            assert offered(client.ehlo()) == "PLAIN"
            client.expect(235, f"AUTH PLAIN {PLAIN}")


# ---- What is known then ----

def acl_line(one, start):
    return re.findall(r"<([^>]*)>", one.wait_log(r" acl (<.*>)$", start).group(1))


def test_variables_and_the_condition_authenticated(clear):
    with clear.connect() as client:
        client.ehlo()
        start = clear.mark()
        client.expect(250, "MAIL FROM:<a@client.test>")
        client.expect(550, "RCPT TO:<bob@example.test>")
        assert acl_line(clear, start) == ["", "", "", "0", "", "", ""]
        client.expect(250, "RSET")
        client.expect(535, f"AUTH PLAIN {WRONG}")
        start = clear.mark()
        client.expect(250, "MAIL FROM:<a@client.test>")
        client.expect(550, "RCPT TO:<bob@example.test>")
        assert acl_line(clear, start) == ["", "", "", "1", "user", "", ""]
        client.expect(250, "RSET")
        client.expect(235, f"AUTH PLAIN {PLAIN}")
        start = clear.mark()
        client.expect(250, "MAIL FROM:<a@client.test> AUTH=x+2By@example.test")
        client.expect(250, "RCPT TO:<bob@example.test>")
        assert acl_line(clear, start) == ["plain", "user", "x+y@example.test", "0", "", "", ""]
        # The next message is the same client's, but the authenticated sender was of the one before.
        client.expect(250, "RSET")
        start = clear.mark()
        client.expect(250, "MAIL FROM:<a@client.test>")
        client.expect(250, "RCPT TO:<bob@example.test>")
        assert acl_line(clear, start) == ["plain", "user", "", "0", "", "", ""]


def test_received_and_the_log_name_the_protocol(clear):
    start = clear.mark()
    with clear.connect() as client:
        client.ehlo()
        client.expect(235, f"AUTH PLAIN {PLAIN}")
        client.deliver(make_message(), "carol@example.test", sender="p@client.test")
    assert " with esmtpa" in trace_of(clear.maildir("carol").wait() and clear.maildir("carol").read()[-1]).replace("\n\t", " ")
    assert re.search(r" P=esmtpa A=plain:user S=", clear.wait_log(r" <= p@client\.test .*$", start).group(0))


def test_smtp_mailauth_adds_the_authenticated_sender_to_the_log(private):
    one = private({"auth_cleartext_hosts": "*", "log_selector": "+smtp_mailauth"})
    start = one.mark()
    with one.connect() as client:
        client.ehlo()
        client.expect(235, f"AUTH PLAIN {PLAIN}")
        client.deliver(make_message(), "bob@example.test", sender="q@client.test", options=" AUTH=z@example.test")
        client.deliver(make_message(), "bob@example.test", sender="r@client.test", options=" AUTH=<>")
    assert " A=plain:user:z@example.test S=" in one.wait_log(r" <= q@client\.test .*$", start).group(0)
    assert " A=plain:user S=" in one.wait_log(r" <= r@client\.test .*$", start).group(0)


def test_routers_and_transports_know_who_sent_a_message(private):
    one = private({"auth_cleartext_hosts": "*"})
    one.transports = f"""maildir:
  driver = appendfile
  directory = {one.mail}/${{if eq{{$sender_host_authenticated/$authenticated_id/$authenticated_sender}}{{plain/user/z@example.test}}{{known}}{{unknown}}}}
  maildir_format
  user = {"nobody" if os.getuid() == 0 else os.getuid()}
"""
    one.stop()
    one.configure()
    one.start()
    with one.connect() as client:
        client.ehlo()
        client.expect(235, f"AUTH PLAIN {PLAIN}")
        client.deliver(make_message(), "bob@example.test", options=" AUTH=z@example.test")
    start = one.mark()
    one.wait_log(r"Completed", 0)
    assert len(list((one.mail / "known" / "new").iterdir())) == 1, one.log_text(start)


def test_a_refused_recipient_is_logged_with_who_sent_it(private):
    one = private({"auth_cleartext_hosts": "*", "acl_smtp_rcpt": "deny"})
    with one.connect() as client:
        client.ehlo()
        client.expect(235, f"AUTH PLAIN {PLAIN}")
        start = one.mark()
        client.expect(250, "MAIL FROM:<a@client.test>")
        client.expect(550, "RCPT TO:<bob@example.test>")
        assert one.wait_log(r" F=<a@client\.test> A=(\S+) rejected RCPT <bob@example\.test>", start).group(1) == "plain:user"


# ---- AUTH= of MAIL ----

def test_auth_of_mail_is_ignored_without_authentication(clear):
    with clear.connect() as client:
        client.ehlo()
        start = clear.mark()
        client.expect(250, "MAIL FROM:<a@client.test> AUTH=x+2Dy@example.test")
        assert clear.wait_log(r" ignoring AUTH=(.*)$", start).group(1) == \
            "x+2Dy@example.test from H=(client.test) [127.0.0.1] (client not authenticated)"
        client.expect(550, "RCPT TO:<bob@example.test>")
        assert acl_line(clear, start)[2] == ""


def test_auth_of_mail_is_ignored_where_the_authenticators_condition_says_so(clear):
    with clear.connect() as client:
        client.ehlo()
        client.expect(235, f"AUTH PLAIN {PLAIN}")
        start = clear.mark()
        client.expect(250, "MAIL FROM:<a@client.test> AUTH=x@elsewhere.test")
        assert clear.wait_log(r" ignoring AUTH=.*\((.*)\)$", start).group(1) == \
            'server_mail_auth_condition failed: authenticated ID="user"'


def test_acl_smtp_mailauth_decides_for_everybody(private):
    one = private({"auth_cleartext_hosts": "*", "acl_smtp_mailauth": "mailauth"}, acls=ACLS + """
mailauth:
  defer message = later
        condition = ${if eq{$authenticated_sender}{later@example.test}}
  deny  condition = ${if eq{$authenticated_sender}{never@example.test}}
  accept

""")
    with one.connect() as client:
        client.ehlo()
        start = one.mark()
        client.expect(451, "MAIL FROM:<a@client.test> AUTH=later@example.test")
        client.expect(250, "MAIL FROM:<a@client.test> AUTH=never@example.test")
        assert one.wait_log(r" ignoring AUTH=never.*\((.*)\)$", start).group(1) == "rejected by ACL"
        client.expect(250, "RSET")
        start = one.mark()
        client.expect(250, "MAIL FROM:<a@client.test> AUTH=good@example.test")
        client.expect(550, "RCPT TO:<bob@example.test>")
        assert acl_line(one, start)[2] == "good@example.test"


# ---- Hostile clients ----

def test_auth_is_not_for_the_middle_of_a_message(clear):
    with clear.connect() as client:
        client.ehlo()
        for command in ("MAIL FROM:<a@client.test>", "RCPT TO:<carol@example.test>"):
            client.expect(250, command)
            assert client.expect(503, f"AUTH PLAIN {PLAIN}") == "not permitted in mail transaction"
        client.expect(250, "RSET")
        client.expect(235, f"AUTH PLAIN {PLAIN}")


def test_an_exchange_can_be_cancelled_and_begun_again(clear):
    with clear.connect() as client:
        client.ehlo()
        for mechanism in IN_CLEAR.split():
            start = clear.mark()
            client.expect(334, f"AUTH {mechanism}")
            assert client.expect(501, "*") == "Authentication cancelled"
            assert "501 Authentication cancelled" in clear.wait_log(r"authenticator failed for (.*)$", start).group(1)
        client.expect(235, f"AUTH PLAIN {PLAIN}")


def test_bytes_that_are_no_base64_are_refused(clear):
    with clear.connect() as client:
        client.ehlo()
        for text in ("!", "AAA", "AA=A", "AAAA=", "====", "AAAA AAAA"):
            assert client.expect(501, f"AUTH PLAIN {text}") == "Invalid base64 data"
            client.expect(334, "AUTH PLAIN")
            assert client.expect(501, text) == "Invalid base64 data"


def test_nuls_line_ends_and_other_bytes_in_names_are_not_taken_for_anything_else(clear):
    with clear.connect() as client:
        client.ehlo()
        start = clear.mark()
        for data in (b"", b"\0", b"\0" * 5000, b"\0user\0", b"user\0sesame", b"\xff" * 100, b"a\0\r\n2026 forged\0x"):
            client.expect(535, f"AUTH PLAIN {encode(data) or '='}")
        assert clear.wait_log(r"\(set_id=(.*forged.*)\)$", start).group(1) == "\\015\\0122026 forged"
        client.expect(235, f"AUTH PLAIN {PLAIN}")


def test_what_a_client_names_itself_is_no_text_of_the_configuration(clear):
    with clear.connect() as client:
        client.ehlo()
        for name in ("${run{/bin/true}}", "$primary_hostname", "*", "../../etc/passwd", "a:b", "a b"):
            client.expect(334, "AUTH LOGIN")
            client.expect(334, encode(name))
            client.expect(535, encode("sesame"))


def test_too_long_a_line_is_refused_and_the_connection_goes_on(clear):
    with clear.connect() as client:
        client.ehlo()
        client.expect(500, "AUTH PLAIN " + "A" * 20000)
        client.expect(334, "AUTH PLAIN")
        assert client.expect(500, "A" * 20000) == "Authentication exchange line is too long"
        client.expect(535, "AUTH PLAIN " + "A" * 12000)
        client.expect(235, f"AUTH PLAIN {PLAIN}")


def test_an_endless_line_ends_the_connection(clear):
    with clear.connect() as client:
        client.ehlo()
        client.expect(334, "AUTH PLAIN")
        with pytest.raises((Closed, ConnectionError, AssertionError)):
            for _ in range(100):
                client.send("A" * 10000)
            client.expect(250)


@pytest.mark.parametrize("lines", [f"AUTH PLAIN {PLAIN}\r\nMAIL FROM:<a@client.test>", f"AUTH PLAIN\r\n{PLAIN}", "AUTH LOGIN\r\ndXNlcg==\r\nc2VzYW1l"])
def test_nothing_may_be_sent_behind_auth(clear, lines):
    with clear.connect() as client:
        client.ehlo()
        client.send(lines + "\r\n")
        assert client.expect(554) == "SMTP synchronization error"
        client.ends()


def test_too_many_failures_end_the_connection(private):
    one = private({"auth_cleartext_hosts": "*", "smtp_accept_max_nonmail": 3})
    with one.connect() as client:
        client.ehlo()
        for _ in range(4):
            client.expect(535, f"AUTH PLAIN {WRONG}")
        client.expect(554, f"AUTH PLAIN {PLAIN}")
        client.ends()


def test_failures_lock_a_user_out_whatever_the_authenticator(private):
    one = private({"auth_cleartext_hosts": "*", "auth_fail_limit": "3 / 1h"})
    with one.connect() as client:
        client.ehlo()
        for _ in range(3):
            client.expect(535, f"AUTH PLAIN {WRONG}")
        start = one.mark()
        client.expect(535, f"AUTH PLAIN {PLAIN}")
        assert "locked out" in one.wait_log(r"plain authenticator failed for .*: 535 (.*)$", start).group(1)


def test_wrong_and_right_passwords_get_one_answer_while_failures_cannot_be_counted(private):
    one = private({"auth_cleartext_hosts": "*", "auth_fail_limit": "3 / 1h"})
    clients = [one.connect(timeout=2 * DEADLINE) for _ in range(2)]
    for client in clients:
        client.ehlo()
    lookup = one.role("lookup")
    os.kill(lookup, signal.SIGSTOP)
    try:
        for client, password in zip(clients, (WRONG, PLAIN)):
            client.send(f"AUTH PLAIN {password}\r\n")
        assert [client.reply() for client in clients] == [(435, ["Unable to authenticate at present"])] * 2
    finally:
        os.kill(lookup, signal.SIGCONT)
    for client in clients:
        client.close()
    with one.connect() as client:
        client.ehlo()
        client.expect(235, f"AUTH PLAIN {PLAIN}")


def test_a_lookup_that_cannot_be_made_is_a_temporary_refusal(private):
    one = private({"auth_cleartext_hosts": "*"})
    (one.dir / "passwords").unlink()
    with one.connect() as client:
        client.ehlo()
        start = one.mark()
        client.expect(334, "AUTH LOGIN")
        client.expect(334, "dXNlcg==")
        assert client.expect(435, "c2VzYW1l") == "Unable to authenticate at present"
        assert "(set_id=user): " in one.wait_log(r"login authenticator failed for .*: 435 (.*)$", start).group(1)


def test_no_password_stays_in_a_fronts_memory(private):
    """The sanitizer keeps memory that was given back for a while, so what was not overwritten is found."""
    one = private({"auth_cleartext_hosts": "127.0.0.1", "front_processes": 1})
    password, name = "Zq7-unlikely-9Kd-password", "unlikely-user-4Gt"
    plain = encode(f"\0{name}\0{password}")
    secrets = [password.encode(), encode(password).encode(), plain[-30:-4].encode()]
    for tls in (False, True):
        with one.connect() as client:
            client.ehlo()
            if tls:
                client.starttls()
            client.expect(535, f"AUTH PLAIN {plain}")
            client.expect(334, f"AUTH LOGIN {encode(name)}")
            client.expect(535, encode(password))
            client.expect(334, "AUTH PLAIN")
            client.expect(501, "*")
            client.expect(250, "NOOP")
            front = one.role("front")
            if ROOT:
                assert memory_holds(front, [name.encode()]), "the search finds what is there: the name of who failed"
                assert not memory_holds(front, secrets)
            else:
                with pytest.raises(PermissionError):
                    memory_holds(front, secrets)


# ---- Built-in users ----

DATABASE = """begin authenticators

plain:
  driver = plaintext
  public_name = PLAIN
  server_user_database

login:
  driver = plaintext
  public_name = LOGIN
  server_user_database

scram:
  driver = scram
  public_name = SCRAM-SHA-256
  server_user_database

scram_plus:
  driver = scram
  public_name = SCRAM-SHA-256-PLUS
  server_user_database
"""


@pytest.fixture
def with_users(certificates):
    one = Server(certificates)
    one.extra = ACLS + DATABASE
    one.configure({"acl_smtp_rcpt": "rcpt", "auth_fail_delay": "0s", "user_database": one.dir / "users.db"})
    subprocess.run([POSTERN, "user", "add", "-c", one.conf, "user@example.test"], input=b"sesame street\n", check=True, capture_output=True,
                   env={**os.environ, **SANITIZER})
    one.start()
    yield one
    one.stop()
    one.remove()


def test_users_of_the_database_log_in_by_every_mechanism(with_users):
    name, password = "user@example.test", "sesame street"
    with within_tls(with_users) as client:
        client.expect(535, "AUTH PLAIN " + encode(f"\0{name}\0sesame"))
        client.expect(235, "AUTH PLAIN " + encode(f"\0{name}\0{password}"))
    with within_tls(with_users) as client:
        assert base64.b64decode(client.expect(334, "AUTH LOGIN")) == b"User Name"
        assert base64.b64decode(client.expect(334, encode(name))) == b"Password"
        client.expect(235, encode(password))
    for plus in (False, True):
        with within_tls(with_users) as client:
            binding = end_point(client) if plus else None
            assert Scram(client, binding, plus, name, "wrong").login() == (535, False)
            assert Scram(client, binding, plus, "nobody@example.test", password).login() == (535, False)
            assert Scram(client, binding, plus, name, password).login() == (235, True)
            client.deliver(make_message(), "bob@example.test", sender="s@client.test")
    assert with_users.wait_log(r" <= s@client\.test .* A=(\S+) ").group(1) == f"scram:{name}"


def test_users_of_the_database_act_for_nobody_else(with_users):
    with within_tls(with_users) as client:
        client.expect(535, "AUTH PLAIN " + encode("root\0user@example.test\0sesame street"))
        client.expect(235, "AUTH PLAIN " + encode("user@example.test\0user@example.test\0sesame street"))

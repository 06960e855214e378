# SPDX-License-Identifier: ISC
"""TLS clients that are not ours, and certificates for them: openssl s_client, gnutls-cli, swaks, sslscan, testssl.sh."""
import json
import os
import re
import socket
import subprocess
import threading

from harness import DEADLINE


def named_certificate(directory, name, kind="ecdsa", stem=None, both=False):
    """A self-signed certificate for this name: (chain, key), the same file with `both`."""
    how = {"ecdsa": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "rsa": ["rsa:2048"]}[kind]
    stem = stem or name
    cert, key = directory / f"{stem}.pem", directory / f"{stem}.key"
    subprocess.run(["openssl", "req", "-x509", "-nodes", "-days", "30", "-subj", f"/CN={name}", "-newkey", *how, "-addext",
                    f"subjectAltName=DNS:{name}", "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    if both:
        cert.write_text(key.read_text() + cert.read_text())
        key.unlink()
        key = cert
    key.chmod(0o600)
    return cert, key


class Answer:
    """What openssl s_client says of a connection."""

    def __init__(self, text, status):
        self.text, self.status = text, status

    def __getattr__(self, name):
        patterns = {
            "subject": r"^subject=(.*)$", "cipher": r"Cipher is (\S+)",
            "group": r"^Server Temp Key: (.*)$", "alpn": r"^ALPN protocol: (.*)$", "reused": r"^(Reused), ",
        }
        found = re.search(patterns[name], self.text, re.M)
        value = found and next((group for group in found.groups() if group), None)
        return None if value in ("(NONE)", "0000") else value

    @property
    def version(self):
        """Of TLS 1.3 it does not print a session, and of the others the version of the cipher first."""
        found = re.search(r"^\s*Protocol\s*:\s*(\S+)", self.text, re.M) or re.search(r"^New, (TLSv[\d.]+)", self.text, re.M)
        return found and found.group(1)

    @property
    def name(self):
        found = re.search(r"CN\s*=\s*(\S+)", self.subject or "")
        return found and found.group(1)

    @property
    def good(self):
        return self.cipher is not None


def s_client(port, *options, starttls=True, sni=None, stdin="QUIT\r\n"):
    """As the hardening guide has it: openssl s_client -starttls smtp -crlf -connect HOST:PORT."""
    name = ["-servername", sni] if sni else ["-noservername"]
    run = subprocess.run(["openssl", "s_client", *(["-starttls", "smtp"] if starttls else []), "-crlf", "-connect", f"127.0.0.1:{port}",
                          *name, *options], input=stdin, capture_output=True, text=True, errors="replace", timeout=DEADLINE)
    return Answer(run.stdout + run.stderr, run.returncode)


def speak(port, *options, lines=(), starttls=True, sni=None):
    """openssl s_client as a terminal: within TLS these lines and QUIT, each after the reply to the one before; what was said."""
    name = ["-servername", sni] if sni else ["-noservername"]
    command = ["openssl", "s_client", *(["-starttls", "smtp"] if starttls else []), "-crlf", "-quiet", "-connect", f"127.0.0.1:{port}",
               *name, *map(str, options)]
    waiting, said = [*lines, "QUIT"], ""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace") as process:
        timer = threading.Timer(DEADLINE, process.kill)
        timer.start()
        for line in process.stdout:  # s_client passes on the last line in clear, the end of the answer to its own EHLO
            said += line
            if waiting and re.match(r"\d{3} ", line):
                try:
                    os.write(process.stdin.fileno(), (waiting.pop(0) + "\n").encode())  # nothing is left over for the end
                except BrokenPipeError:
                    pass
        timer.cancel()
    return said


class Mailed:
    """What swaks did: its exit status, its transcript, and the cipher that TLS started with."""

    def __init__(self, run):
        self.status, self.text = run.returncode, run.stdout + run.stderr
        found = re.search(r"TLS started with cipher (\S+?):(\S+):(\d+)", self.text)
        self.version, self.cipher = found.group(1, 2) if found else (None, None)

    def __bool__(self):
        return self.status == 0


def swaks(port, *options, tls=True, source=None, pair=None, to="user@example.test"):
    """One message by swaks; `source` is the client's address, `pair` its certificate and key."""
    command = ["swaks", "--server", f"127.0.0.1:{port}", "--helo", "client.test", "--from", "sender@client.test", "--to", to,
               "--timeout", "60"]
    command += ["--tls"] if tls else []
    command += ["--local-interface", source] if source else []
    command += ["--tls-cert", str(pair[0]), "--tls-key", str(pair[1])] if pair else []
    return Mailed(subprocess.run([*command, *options], capture_output=True, text=True, errors="replace", timeout=DEADLINE * 2,
                                 stdin=subprocess.DEVNULL))


# An authenticator for whoever has the password "secret", and how swaks logs in with it.
AUTHENTICATORS = """
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_condition = ${if eq{$auth3}{secret}}
  server_set_id = $auth2
"""
LOGIN = ("--auth", "PLAIN", "--auth-user", "ann", "--auth-password", "secret")


def gnutls_cli(port, *options, starttls=True, stdin="QUIT\n"):
    """Exit status and output of gnutls-cli."""
    run = subprocess.run(["gnutls-cli", *(["--starttls-proto=smtp"] if starttls else []), "--port", str(port), *map(str, options), "127.0.0.1"],
                         input=stdin, capture_output=True, text=True, errors="replace", timeout=DEADLINE)
    return run.returncode, run.stdout + run.stderr


class Scan:
    """What sslscan found: {version: [ciphers in the server's order]}, and its whole text."""

    def __init__(self, text):
        self.text, self.ciphers = text, {}
        for version, cipher in re.findall(r"^(?:Preferred|Accepted) +(\S+) +\d+ bits +(\S+)", text, re.M):
            self.ciphers.setdefault(version, []).append(cipher)

    def enabled(self):
        return re.findall(r"^(SSLv\d|TLSv[\d.]+) +enabled", self.text, re.M)

    def preferred(self, version):
        return re.search(rf"^Preferred +{re.escape(version)} +\d+ bits +(\S+)", self.text, re.M)[1]


def sslscan(port, *options, starttls=True):
    run = subprocess.run(["sslscan", "--no-colour", *(["--starttls-smtp"] if starttls else []), *options, f"127.0.0.1:{port}"],
                         capture_output=True, text=True, errors="replace", timeout=DEADLINE * 3, stdin=subprocess.DEVNULL)
    return Scan(run.stdout)


def testssl(port, file, *options, starttls=True):
    """{id: (severity, finding)} of testssl.sh, which writes them to `file`."""
    run = subprocess.run(["testssl", "--quiet", "--color", "0", "--warnings", "off", "--nodns", "min", "--jsonfile", str(file),
                          *(["-t", "smtp"] if starttls else []), *options, f"127.0.0.1:{port}"],
                         capture_output=True, text=True, errors="replace", timeout=DEADLINE * 6, stdin=subprocess.DEVNULL)
    assert file.exists(), run.stdout + run.stderr
    return {one["id"]: (one["severity"], one["finding"]) for one in json.loads(file.read_text())}


testssl.__test__ = False  # its name is no test's


class Wire:
    """A relay in front of a port that keeps what went over it, in each direction."""

    def __init__(self, port):
        self.sent, self.got = b"", b""
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.target = port
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        client, _ = self.listener.accept()
        with client, socket.create_connection(("127.0.0.1", self.target), DEADLINE) as server:
            back = threading.Thread(target=self.back, args=(client, server), daemon=True)
            back.start()
            try:
                while data := client.recv(65536):
                    self.sent += data
                    server.sendall(data)
                server.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # either side may end it
            back.join(DEADLINE)

    def back(self, client, server):
        try:
            while data := server.recv(65536):
                self.got += data
                client.sendall(data)
            client.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self):
        self.thread.join(DEADLINE)
        self.listener.close()

# SPDX-License-Identifier: ISC
"""TLS clients that are not ours, and certificates for them: openssl s_client, gnutls-cli, sslscan."""
import re
import subprocess

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

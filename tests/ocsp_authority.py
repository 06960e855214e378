# SPDX-License-Identifier: ISC
"""A certificate authority for tests, and its OCSP responders: one that is `openssl ocsp` itself, and one on HTTP that asks
`openssl ocsp` for each answer and can misbehave in between."""
import http.server
import re
import subprocess
import threading
import time
from pathlib import Path

from harness import end_with_us, free_ports, wait_for

MUST_STAPLE = "tlsfeature=status_request"


class Authority:
    """Root, intermediate `ca` that signs, and a delegate of it for proofs; the database of openssl-ca for `openssl ocsp -index`."""

    def __init__(self, directory, name="Root"):
        self.dir = Path(directory)
        self.dir.mkdir(parents=True, exist_ok=True)
        self.serial = 1000
        (self.dir / "index").write_text("")
        self.make_key("root")
        self.openssl("req", "-x509", "-key", "root.key", "-subj", f"/CN={name}", "-days", "30", "-out", "root.pem")
        self.make("ca", "root", "basicConstraints=critical,CA:true")
        self.make("delegate", "ca", "extendedKeyUsage=OCSPSigning")
        self.make("unfit", "ca", "extendedKeyUsage=serverAuth")

    def openssl(self, *arguments, clock=None, **named):
        """`clock`: how far its clock is off, in seconds, for what is not valid now."""
        command = ["faketime", "-f", f"{clock:+d}s", "openssl"] if clock else ["openssl"]
        return subprocess.run([*command, *map(str, arguments)], check=True, capture_output=True, cwd=self.dir, timeout=60, **named)

    def make_key(self, name, kind="ec"):
        how = ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"] if kind == "ec" else ["rsa", "-pkeyopt", "rsa_keygen_bits:2048"]
        self.openssl("genpkey", "-algorithm", *how, "-out", f"{name}.key")
        (self.dir / f"{name}.key").chmod(0o600)

    def make(self, name, issuer, *extensions, kind="ec", days=30, clock=None):
        self.serial += 1
        self.make_key(name, kind)
        (self.dir / f"{name}.ext").write_text("\n".join(extensions) + "\n")
        self.openssl("req", "-new", "-key", f"{name}.key", "-subj", f"/CN={name}", "-out", f"{name}.csr")
        self.openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{issuer}.pem", "-CAkey", f"{issuer}.key", "-set_serial", self.serial,
                     "-days", days, "-extfile", f"{name}.ext", "-out", f"{name}.pem", clock=clock)
        if issuer == "ca":
            self.mark(self.serial, name)
        return self.serial

    def mark(self, serial, name, revoked=False):
        """Enters the certificate into the database, as valid or as revoked."""
        index = self.dir / "index"
        lines = [line for line in index.read_text().splitlines() if f"\t{serial:X}\t" not in line]
        date = "261101000000Z,keyCompromise" if revoked else ""
        lines.append(f"{'R' if revoked else 'V'}\t361101000000Z\t{date}\t{serial:X}\tunknown\t/CN={name} {serial}")
        index.write_text("\n".join(lines) + "\n")

    def server(self, name="mx.example.test", url=None, *extensions, kind="ec"):
        """A server's certificate, with its chain and key: the paths."""
        aia = [f"authorityInfoAccess=OCSP;URI:{url}"] if url else []
        self.last = self.make(name, "ca", "subjectAltName=DNS:localhost,DNS:mx.example.test", *aia, *extensions, kind=kind)
        chain = self.dir / f"{name}.chain.pem"
        chain.write_text((self.dir / f"{name}.pem").read_text() + (self.dir / "ca.pem").read_text())
        return chain, self.dir / f"{name}.key"

    def files_of(self, names, directory):
        """For each name NAME.pem, with chain and key, and its proof NAME.der: the certificates' serial numbers by their names."""
        serials = {}
        for name in names:
            chain, key = self.server(name)
            serials[name] = self.last
            (directory / f"{name}.pem").write_text(chain.read_text() + key.read_text())
            (directory / f"{name}.pem").chmod(0o600)
            (directory / f"{name}.der").write_bytes(self.proof(name))
        return serials

    def answer(self, request, signer="delegate", life=("-ndays", "7"), options=(), clock=None):
        """The DER response of `openssl ocsp` to this DER request; `life` leads to its next update."""
        number = threading.get_ident()
        (self.dir / f"req.{number}").write_bytes(request)
        self.openssl("ocsp", "-index", "index", "-CA", "ca.pem", "-rsigner", f"{signer}.pem", "-rkey", f"{signer}.key", "-reqin",
                     f"req.{number}", "-respout", f"resp.{number}", *life, *options, clock=clock)
        return (self.dir / f"resp.{number}").read_bytes()

    def proof(self, name="mx.example.test", signer="delegate", life=("-ndays", "7"), digest="-sha1", options=(), clock=None):
        self.openssl("ocsp", digest, "-issuer", "ca.pem", "-cert", f"{name}.pem", "-no_nonce", "-reqout", "request.der")
        return self.answer((self.dir / "request.der").read_bytes(), signer, life, options, clock)


class OpensslResponder:
    """`openssl ocsp -port`, as it is."""

    def __init__(self, authority):
        self.authority = authority
        self.port, = free_ports(1)
        self.process = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/"

    def start(self):
        self.log = open(self.authority.dir / "responder.log", "wb")
        self.process = subprocess.Popen(["openssl", "ocsp", "-index", "index", "-CA", "ca.pem", "-rsigner", "delegate.pem", "-rkey",
                                         "delegate.key", "-port", str(self.port), "-ndays", "7"], cwd=self.authority.dir,
                                        stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL, preexec_fn=end_with_us)
        wait_for("the responder", lambda: b"waiting for OCSP client" in (self.authority.dir / "responder.log").read_bytes())
        return self

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait()
            self.log.close()


class Responder:
    """On HTTP. `mode`: good, or a way to misbehave; `requests` counts, `together` is how many were there at the same time."""

    def __init__(self, authority, mode="good", **named):
        self.authority, self.mode, self.named = authority, mode, named
        self.requests = self.together = self.now = 0
        self.lock, self.released = threading.Lock(), threading.Event()
        self.port, = free_ports(1)
        self.server = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/ocsp"

    def start(self):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                outer.handle(self)

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def handle(self, handler):
        self.requests += 1
        try:
            self.respond(handler, handler.rfile.read(int(handler.headers.get("Content-Length", 0))))
        except (BrokenPipeError, ConnectionError):
            pass

    def hold(self, request):
        """An answer that takes its time; counted before it is sent, for then the next request may come."""
        with self.lock:
            self.now += 1
            self.together = max(self.together, self.now)
        time.sleep(0.3)
        body = self.authority.answer(request, **self.named)
        with self.lock:
            self.now -= 1
        return body

    def respond(self, handler, request):
        mode = self.mode
        if mode == "slow":
            self.released.wait(40)
        if mode == "error":
            handler.send_error(500)
            return
        if mode == "redirect":
            handler.send_response(302)
            handler.send_header("Location", f"http://127.0.0.1:{self.port}/elsewhere")
            handler.end_headers()
            return
        if mode == "garbage":
            body = b"\x30\x82\x01\x00" + bytes(256)
        elif mode == "lying":
            body = self.authority.answer(request, "unfit")
        elif mode == "huge":
            body = bytes(1 << 20)
        elif mode == "held":
            body = self.hold(request)
        else:
            body = self.authority.answer(request, **self.named)
        handler.send_response(200)
        handler.send_header("Content-Type", "application/ocsp-response")
        if mode != "endless":
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)
        if mode == "endless":
            while not self.released.is_set():
                handler.wfile.write(bytes(65536))

    def stop(self):
        self.released.set()
        if self.server:
            self.server.shutdown()
            self.server.server_close()


def stapled(text):
    """What `openssl s_client -status` says: the fields of the proof, or None."""
    if "OCSP response: no response sent" in text:
        return None
    assert "OCSP Response Status: successful" in text, text[:3000]
    return {name: found[1].strip() if (found := re.search(rf"{name}: ([^\n]*)", text)) else None
            for name in ("Cert Status", "This Update", "Next Update", "Serial Number")}

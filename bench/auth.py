#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""
auth.py [SECONDS [CLIENTS]]: logins a second of a running server, each on a connection of its own over TLS, with a hash each
(auth_remember = 0s) and remembered; and meanwhile how long another session waits for the answer to RSET. POSTERN names the program.
"""
import base64
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from harness import POSTERN, Server, Smtp  # noqa: E402

USERS = 50
AUTHENTICATORS = "\nbegin authenticators\n\nplain:\n  driver = plaintext\n  public_name = PLAIN\n  server_user_database = true\n"


def measure(one, seconds, clients):
    end, done, waits = time.monotonic() + seconds, [0] * clients, []

    def log_in(number):
        while time.monotonic() < end:
            user = f"user{(number + done[number] * clients) % USERS}"
            with Smtp(one.tls, tls=True) as client:
                client.ehlo()
                client.expect(235, "AUTH PLAIN " + base64.b64encode(f"\0{user}\0secret".encode()).decode())
            done[number] += 1

    def look():
        with one.connect() as client:
            while time.monotonic() < end:
                began = time.monotonic()
                client.expect(250, "RSET")
                waits.append(time.monotonic() - began)
                time.sleep(0.01)

    threads = [threading.Thread(target=log_in, args=(number,)) for number in range(clients)] + [threading.Thread(target=look)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    waits.sort()
    return sum(done) / seconds, waits[len(waits) // 2] * 1000, waits[len(waits) * 99 // 100] * 1000


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5
    clients = int(sys.argv[2]) if len(sys.argv) > 2 else 10
    with tempfile.TemporaryDirectory() as certificates:
        one = Server(certificates)
        accounts = one.dir / "accounts"
        accounts.mkdir()
        base = {"user_database": accounts / "users.db", "auth_fail_limit": "", "smtp_accept_max_nonmail": 1000000}
        try:
            for remember in ("0s", "5m"):
                one.configure({**base, "auth_remember": remember})
                one.conf.write_text(one.conf.read_text() + AUTHENTICATORS)
                if remember == "0s":
                    for number in range(USERS):
                        subprocess.run([POSTERN, "user", "add", "-c", str(one.conf), f"user{number}"], input=b"secret\n", check=True)
                one.start()
                rate, middle, slow = measure(one, seconds, clients)
                what = "each with a hash" if remember == "0s" else "remembered"
                print(f"{rate:8.1f} logins a second, {what}; RSET of another session: median {middle:.2f} ms, p99 {slow:.2f} ms")
                one.stop()
        finally:
            one.remove()


main()

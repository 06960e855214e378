# SPDX-License-Identifier: ISC
"""Real clients deliver with each TLS version by STARTTLS and by implicit TLS; what lands in the Maildir is what was sent."""
import os
import re
import smtplib
import ssl
import subprocess
import threading

import pytest

from harness import DEADLINE, Smtp, dot_stuff, make_message, nasty_body, trace_of, trusting, wait_for

VERSIONS = {"TLS1.2": ssl.TLSVersion.TLSv1_2, "TLS1.3": ssl.TLSVersion.TLSv1_3}


def run(command, data=b"", **named):
    done = subprocess.run(command, input=data, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=DEADLINE * 2, **named)
    assert done.returncode == 0, f"{command[0]} ended with status {done.returncode}:\n{done.stdout.decode(errors='replace')}"
    return done.stdout


def swaks(server, implicit, version, message, tmp_path):
    """Verifies nothing (the release of Debian 12 cannot hold a self-signed certificate against a CA file of one's own)."""
    (tmp_path / "data").write_bytes(dot_stuff(message))
    run(["swaks", "--server", "127.0.0.1", "--port", str(server.tls if implicit else server.smtp), "--helo", "client.test",
         "--tls-on-connect" if implicit else "--tls", "--tls-protocol", version.lower().replace("tls", "tlsv").replace(".", "_"),
         "--from", "sender@client.test", "--to", "user@example.test", "--no-data-fixup", "--data", f"@{tmp_path}/data"])


def curl(server, implicit, version, message, tmp_path):
    url = f"smtps://localhost:{server.tls}/client.test" if implicit else f"smtp://localhost:{server.smtp}/client.test"
    number = version[len("TLS"):]
    run(["curl", "-sS", "--ssl-reqd", "--cacert", server.cert, f"--tlsv{number}", "--tls-max", number, "-4",
         "--mail-from", "sender@client.test", "--mail-rcpt", "user@example.test", "-T", "-", url], message)


def msmtp(server, implicit, version, message, tmp_path):
    run(["msmtp", "--host=localhost", f"--port={server.tls if implicit else server.smtp}", "--domain=client.test", "--tls=on",
         f"--tls-starttls={'off' if implicit else 'on'}", f"--tls-trust-file={server.cert}",
         f"--tls-priorities=NORMAL:-VERS-ALL:+VERS-{version}", "--from=sender@client.test", "user@example.test"],
        message.replace(b"\r\n", b"\n"), env={**os.environ, "HOME": str(tmp_path)})


def s_client(server, implicit, version, message, tmp_path):
    """openssl s_client, spoken through line by line as a person would, the certificate verified."""
    command = ["openssl", "s_client", "-quiet", "-connect", f"localhost:{server.tls if implicit else server.smtp}", "-4",
               "-" + version.lower().replace(".", "_"), "-verify_return_error", "-CAfile", server.cert, "-verify_hostname",
               "localhost"] + ([] if implicit else ["-starttls", "smtp"])
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as client:
        watchdog = threading.Timer(DEADLINE, client.kill)
        watchdog.start()

        def expect(code):
            while True:
                line = client.stdout.readline().decode()
                assert line.startswith(str(code)), f"expected {code}, got {line!r}"
                if line[3] == " ":
                    return

        def say(text, code):
            client.stdin.write(text.encode() + b"\r\n" if isinstance(text, str) else text)
            client.stdin.flush()
            expect(code)
        if implicit:  # after STARTTLS there is no greeting, and what was said in clear goes to stderr
            expect(220)
        say("EHLO client.test", 250)
        say("MAIL FROM:<sender@client.test>", 250)
        say("RCPT TO:<user@example.test>", 250)
        say("DATA", 354)
        say(dot_stuff(message), 250)
        say("QUIT", 221)
        client.stdin.close()
        client.wait(DEADLINE)
        watchdog.cancel()


def python_smtplib(server, implicit, version, message, tmp_path):
    context = ssl.create_default_context(cafile=server.cert)
    context.minimum_version = context.maximum_version = VERSIONS[version]
    if implicit:
        client = smtplib.SMTP_SSL("localhost", server.tls, "client.test", timeout=DEADLINE, context=context)
    else:
        client = smtplib.SMTP("localhost", server.smtp, "client.test", timeout=DEADLINE)
        client.starttls(context=context)
    with client:
        client.sendmail("sender@client.test", ["user@example.test"], message)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("implicit", [False, True], ids=["starttls", "implicit"])
@pytest.mark.parametrize("client", [swaks, curl, msmtp, s_client, python_smtplib], ids=lambda f: f.__name__)
def test_client_delivers_byte_for_byte(shared, client, implicit, version, tmp_path):
    start = shared.mark()
    message = make_message(f"{client.__name__} {version}", body=nasty_body())
    client(shared, implicit, version, message, tmp_path)
    shared.maildir().holds(message)
    # The log tells how it came, and that it is done.
    arrival = shared.wait_log(r"^\S+ \S+ (\S+) <= sender@client\.test (.*)", start)
    assert re.search(r"P=esmtps X=" + re.escape(version) + r":[\w-]+:(128|256)\b", arrival[2]), arrival[2]
    assert re.search(r"\bS=\d+", arrival[2])
    shared.wait_log(rf"^\S+ \S+ {re.escape(arrival[1])} => \S+ .*R=virtual_users T=maildir", start)
    shared.wait_log(rf"^\S+ \S+ {re.escape(arrival[1])} Completed", start)


def test_submission_port_serves_starttls(shared):
    message = make_message("submission")
    with Smtp(shared.submission) as client:
        client.ehlo()
        client.starttls()
        client.deliver(message)
    shared.maildir().holds(message)


def test_gnutls_client_completes_a_handshake(shared):
    out = run(["gnutls-cli", "--x509cafile", shared.cert, "--port", str(shared.tls), "localhost"])
    assert b"The certificate is trusted" in out and b"Handshake was completed" in out, out.decode(errors="replace")


def test_plain_delivery_is_logged_without_cipher(shared):
    start, message = shared.mark(), make_message("plain")
    shared.send(message, tls=False)
    shared.maildir().holds(message)
    line = shared.wait_log(r"<= sender@client\.test (.*)", start)[1]
    assert "P=esmtp " in line and "X=" not in line
    assert "H=(client.test) [127.0.0.1]" in line


def test_helo_client_is_logged_as_smtp(shared):
    start, message = shared.mark(), make_message("helo")
    with shared.connect() as client:
        client.expect(250, "HELO client.test")
        client.deliver(message)
    shared.maildir().holds(message)
    assert "P=smtp " in shared.wait_log(r"<= sender@client\.test (.*)", start)[1]


def test_received_header_names_the_way_in(shared):
    message = make_message("received")
    shared.send(message)
    shared.maildir().holds(message)
    stored = next(text for text in shared.maildir().read() if text.replace(b"\n", b"\r\n").endswith(message))
    trace = trace_of(stored)
    assert re.search(r"^Received: from \[127\.0\.0\.1\] \(helo=client\.test\)\n\tby mx\.example\.test with esmtps", trace, re.M)
    assert re.search(r"TLS1\.3\b.*\n?.*TLS_AES_", trace)
    assert re.search(r"\n\t\(envelope-from <sender@client\.test>\)\n\tid \w{6}-\w{6}-\w{2}\n\tfor user@example\.test;\n\t", trace)


BODIES = {
    "empty_message": b"",
    "headers_only_without_blank_line": b"Subject: none\r\n",
    "body_without_headers": b"\r\nno headers at all\r\n",
    "one_dot": b"Subject: d\r\n\r\n.\r\n",
    "dots_at_every_line": b"Subject: d\r\n\r\n" + b"".join(b"." * n + b"\r\n" for n in range(1, 40)),
    "long_line": b"Subject: l\r\n\r\n" + b"y" * 300_000 + b"\r\n",
    "many_empty_lines": b"Subject: e\r\n\r\n" + b"\r\n" * 5000,
    "only_8bit": b"Subject: 8\r\n\r\n" + bytes(range(128, 256)) * 50 + b"\r\n",
    "every_size_around_a_buffer": None,
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("tls", [False, True], ids=["clear", "tls"])
def test_data_keeps_every_byte(shared, name, tls):
    bodies = [BODIES[name]]
    if name == "every_size_around_a_buffer":
        bodies = [b"Subject: s\r\n\r\n" + b"z" * n + b"\r\n" for size in (4096, 8192, 16384, 65536) for n in range(size - 24, size, 5)]
    with shared.connect() as client:
        client.ehlo()
        if tls:
            client.starttls()
        sent = []
        for body in bodies:
            # A header of our own tells the copies apart; the empty message has none.
            message = body if not body else b"X-Test: %s %d %d\r\n" % (name.encode(), tls, len(sent)) + body
            client.deliver(message, "alice@example.test")
            sent.append(message)
    wait_for("all of them", lambda: all(message in shared.maildir("alice").messages() for message in sent))


def test_bdat_keeps_every_byte_in_chunks_of_any_size(shared):
    sent = []
    with shared.connect() as client:
        client.ehlo()
        client.starttls()
        for chunk in (1, 7, 1000, 100_000):
            message = make_message(f"bdat {chunk}", body=nasty_body() * (1 if chunk < 100 else 30))
            client.envelope("bob@example.test")
            for offset in range(0, len(message), chunk):
                part = message[offset:offset + chunk]
                client.send(b"BDAT %d%s\r\n" % (len(part), b" LAST" if offset + chunk >= len(message) else b"") + part)
                client.expect(250)
            sent.append(message)
    for message in sent:
        shared.maildir("bob").holds(message)


def test_pipelined_commands_are_answered_in_order(shared):
    message = make_message("pipelined")
    with shared.connect() as client:
        client.ehlo()
        client.starttls()
        client.send("MAIL FROM:<sender@client.test>\r\nRCPT TO:<user@example.test>\r\nRCPT TO:<nobody-here@example.test>\r\n"
                    "RCPT TO:<carol@example.test>\r\nDATA\r\n")
        codes = [client.reply()[0] for _ in range(5)]
        assert codes == [250, 250, 550, 250, 354]
        client.send(dot_stuff(message))
        assert client.reply()[0] == 250
    shared.maildir("user").holds(message)
    shared.maildir("carol").holds(message)


def test_many_messages_on_one_connection(shared):
    sent = [make_message(f"series {n}") for n in range(50)]
    with shared.connect() as client:
        client.ehlo()
        client.starttls()
        for message in sent:
            client.deliver(message, "carol@example.test")
    wait_for("all 50", lambda: set(sent) <= set(shared.maildir("carol").messages()))


def test_resumed_session_delivers(shared):
    context = trusting(maximum=ssl.TLSVersion.TLSv1_2)
    message = make_message("resumed")
    with Smtp(shared.tls, tls=True, context=context) as first:
        session = first.sock.session
    sock = Smtp(shared.tls, banner=False)
    sock.sock = context.wrap_socket(sock.sock, server_hostname="localhost", session=session)
    assert sock.sock.session_reused
    sock.expect(220)
    sock.ehlo()
    sock.deliver(message)
    sock.close()
    shared.maildir().holds(message)

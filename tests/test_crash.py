# SPDX-License-Identifier: ISC
"""kill -9 of any role, or of all, at any moment under load: a message that was answered 250 is in the Maildir, whole.

CRASH_ROUNDS rounds (one for each kind of role and for each way to lose several in check; `make crash` runs 200). Each round sends over STARTTLS and in clear from several connections
at once, kills at a random moment, and lets the master (or a new start, when the master itself was killed) bring things back.
At the end every acknowledged message must be there, byte for byte; whatever else is there must be a message that was sent
(the answer to it may have been lost); duplicates are counted and printed. The seed is printed: CRASH_SEED repeats a campaign's
choices.
"""
import collections
import os
import random
import signal
import threading
import time

from harness import USERS, Closed, Smtp, alive, make_message, trusting, wait_for

ROUNDS = int(os.environ.get("CRASH_ROUNDS", "0"))
SENDERS = 4
SEVERAL = ["all roles", "master", "everything"]


class Sender(threading.Thread):
    """Sends messages one after the other, on new connections as they break, and remembers what was promised."""

    def __init__(self, one, number, seed):
        super().__init__(daemon=True)
        self.one, self.number, self.random = one, number, random.Random(seed)
        self.sent, self.acknowledged = {}, set()
        self.ending, self.failure, self.answers = threading.Event(), None, collections.Counter()

    def run(self):
        try:
            while not self.ending.is_set():
                try:
                    self.series()
                except (Closed, OSError):
                    self.ending.wait(0.02)
        except Exception as unexpected:  # shown by the test: a thread that ends alone would hide it
            self.failure = unexpected

    def series(self):
        with Smtp(self.one.smtp, timeout=20) as client:
            if client.banner[0] != 220:
                return
            client.ehlo()
            if self.number % 2:
                code, _ = client.cmd("STARTTLS")
                if code != 220:
                    return
                client.secure(trusting())
                client.ehlo()
            for _ in range(5):
                if self.ending.is_set() or not self.one_message(client):
                    return

    def one_message(self, client):
        user = self.random.choice(USERS)
        # Small, about the size of a buffer, and larger than a message between roles.
        size = self.random.choice([300, 4096, 70_000, 400_000])
        message = make_message(f"crash {self.number}.{len(self.sent)}", size=size)
        self.sent[message] = user
        for command in ("MAIL FROM:<sender@client.test>", f"RCPT TO:<{user}@example.test>"):
            code, texts = client.cmd(command)
            if code != 250:
                self.answers[code] += 1
                assert code // 100 == 4, f"{command}: {code} {texts}"
                return False
        code, texts = client.cmd("DATA")
        if code == 354:
            client.send(message + b".\r\n")
            code, texts = client.reply()
        self.answers[code] += 1
        if code == 250:
            self.acknowledged.add(message)
            return True
        assert code // 100 == 4, f"a role died, and the client was told {code} {texts}"
        return False


def kinds(roles):
    """Of roles: "front" for "front 0" and "front 1"."""
    return sorted({name.split()[0] for name in roles})


def kill_by_choice(one, choice, choices):
    """Kills one role of a kind, or several, and returns whether the master went too."""
    roles = one.roles()
    master = one.process.pid
    if choice == "master":
        victims = [master]
    elif choice == "everything":
        victims = [master, *roles.values()]
    elif choice == "all roles":
        victims = list(roles.values())
    else:
        victims = [roles[choices.choice(sorted(name for name in roles if name.split()[0] == choice))]]
    for pid in victims:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    if master in victims:
        one.process.wait()
        # Without their master the roles must go, or a new start would find the ports taken.
        wait_for("the roles to end after their master", lambda: not [pid for pid in roles.values() if alive(pid)])
        one.process = None
    return master in victims


def test_every_acknowledged_message_survives_kill_9(server):
    seed = int(os.environ.get("CRASH_SEED", str(time.time_ns() % 2**32)))
    choices = random.Random(seed)
    one = server(main={"smtp_accept_max_nonmail": 1000})
    senders = [Sender(one, number, seed + number) for number in range(SENDERS)]
    for sender in senders:
        sender.start()
    kills = collections.Counter()
    what = kinds(one.roles()) + SEVERAL
    rounds = ROUNDS or len(what)
    assert {"front", "queue", "keeper", "lookup", "fetch"} <= set(what), what
    try:
        for number in range(rounds):
            before = sum(len(sender.acknowledged) for sender in senders)
            # Progress in each round: else a server that accepts nothing would pass.
            wait_for("messages to be accepted again", lambda: sum(len(s.acknowledged) for s in senders) >= before + 3
                     or [s.failure for s in senders if s.failure])
            assert not [s.failure for s in senders if s.failure]
            # The moment within a message is left to chance; this wait synchronises nothing.
            time.sleep(choices.random() * 0.3)
            choice = what[number] if number < len(what) else choices.choice(what)
            if choice not in SEVERAL:
                wait_for(f"a {choice} to kill", lambda: choice in kinds(one.roles()))
            kills[choice] += 1
            if kill_by_choice(one, choice, choices):
                one.start()
    finally:
        for sender in senders:
            sender.ending.set()
        for sender in senders:
            sender.join(60)
    assert not [s.failure for s in senders if s.failure], [s.failure for s in senders]

    sent = {message: user for sender in senders for message, user in sender.sent.items()}
    acknowledged = set().union(*(sender.acknowledged for sender in senders))
    # A restart delivers at once what deferred while its store was down.
    one.stop()
    one.start()

    def missing():
        found = set()
        for user in USERS:
            found |= {(message, user) for message in one.maildir(user).messages()}
        return [m for m in acknowledged if (m, sent[m]) not in found]
    wait_for("every acknowledged message", lambda: not missing(), 120, interval=0.3)
    one.wait_empty()

    copies = collections.Counter()
    for user in USERS:
        for message in one.maildir(user).messages():
            assert sent.get(message) == user, f"damaged, or not for {user}: {message[:300]!r}"
            copies[message] += 1
    duplicates = sum(count - 1 for count in copies.values())
    print(f"\nkill -9, seed {seed}: {rounds} rounds ({', '.join(f'{n} {what}' for what, n in sorted(kills.items()))}); "
          f"{len(sent)} sent, {len(acknowledged)} acknowledged, all there; {duplicates} duplicates, "
          f"{len(set(copies) - acknowledged)} delivered though the answer was lost; "
          f"answers {dict(sum((s.answers for s in senders), collections.Counter()))}")
    assert not list(one.spool.glob("damaged/*")), "files were found damaged though nothing but processes died"

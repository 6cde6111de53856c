#!/usr/bin/env python3
"""Kills a busy server, again and again, and checks that no mail is lost that it had accepted.

    scripts/kill.py [ROUNDS]     10 rounds if the number isn't given

Each round starts the server on the same Maildir, delivers mail with 20 clients, and ends the server with kill -9 at a
random moment. A mail whose 250 was read must then be in new/, once and whole, and nothing in new/ may be cut. The exit
code is 0 if all of that holds. (A power cut is another matter: after a kill, the system still has what was written and
not yet synced.)
"""

import hashlib
import random
import re
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from server_under_test import TARGET, Client, NotStarted, Server, build, exit_on_signals, files, read_mail

SENDERS = 20
TRACE_FIELDS = ["Return-Path", "Delivered-To", "Received"]


class Ledger:
    """What became of each mail, by its id. All senders write into it."""

    def __init__(self):
        self.lock = threading.Lock()
        self.promised = set()  # The 250 was read.
        self.pending = set()  # The message was sent, and its 250 not read.
        self.refused = []  # Replies that should not have come.

    def sending(self, number):
        with self.lock:
            self.pending.add(number)

    def accepted(self, number):
        with self.lock:
            self.pending.remove(number)
            self.promised.add(number)

    def refusal(self, reply):
        with self.lock:
            self.refused.append(reply)


class Findings:
    """What is in the Maildir after a round, compared with the ledger."""

    def __init__(self, maildir, ledger):
        found, self.cut = read_new(maildir)
        self.promised = len(ledger.promised)
        self.found = len(found)
        self.lost = [number for number in ledger.promised if number not in found]
        self.twice = [number for number, times in found.items() if times > 1]
        unpromised = [number for number in found if number not in ledger.promised]
        self.unpromised = len(unpromised)
        self.never_sent = [number for number in unpromised if number not in ledger.pending]
        self.leftovers = len(files(maildir, "tmp"))

    def __str__(self):
        return (
            f"{self.promised} promised, {self.found} found, {len(self.lost)} lost, {len(self.cut)} cut, "
            f"{self.unpromised} unpromised but whole, {self.leftovers} leftovers"
        )


def read_new(maildir):
    """Reads every mail in new/. Returns how often each id is there, and which files are cut."""
    found = Counter()
    cut = []
    for path in files(maildir, "new"):
        fields, body = read_mail(path)
        has_trace = all(field in fields for field in TRACE_FIELDS)
        if has_trace and fields.get("X-Sum") == hashlib.sha256(body).hexdigest():
            found[fields["X-Id"]] += 1
        else:
            cut.append(path.name)
    return found, cut


def random_body():
    """Makes a body of 100 octets to 200 KB, small ones as often as large ones, in lines of all lengths."""
    size = int(10 ** random.uniform(2, 5.3))
    text = random.randbytes(size // 2).hex()
    lines = []
    at = 0
    while at < len(text):
        length = random.randint(0, 150)
        dot = random.choice(["", "", "", "."])
        lines.append(dot + text[at : at + length])
        at += length
    return "\n".join(lines) + "\n"


def random_message(number):
    """Makes a message with its id and its checksum in the header, in LF lines."""
    body = random_body()
    checksum = hashlib.sha256(body.encode()).hexdigest()
    return f"X-Id: {number}\nX-Sum: {checksum}\n\n{body}"


def dot_stuffed(message):
    """The message as DATA sends it: CRLF lines, a dot added where a line begins with one, and the end of data."""
    lines = []
    for line in message.splitlines():
        dot = "." if line.startswith(".") else ""
        lines.append(dot + line + "\r\n")
    return "".join(lines) + ".\r\n"


def expect(ledger, client, code, expected):
    """Raises ConnectionError unless the code is the expected one. Any code other than 0 goes into the ledger."""
    if code == expected:
        return
    if code != 0:  # With 0 the server is gone, as it should be sooner or later.
        ledger.refusal(client.last_line)
    raise ConnectionError


def deliver(ledger, client, number):
    """Delivers one message and notes how far that came."""
    message = dot_stuffed(random_message(number))
    expect(ledger, client, client.say("MAIL FROM:<ada@example.org>\r\n"), 250)
    expect(ledger, client, client.say("RCPT TO:<bob@example.com>\r\n"), 250)
    expect(ledger, client, client.say("DATA\r\n"), 354)
    ledger.sending(number)
    expect(ledger, client, client.say(message), 250)
    ledger.accepted(number)


def send_until_killed(ledger, port, name):
    """Delivers one message after the other, up to ten on a connection, until the server is gone."""
    count = 0
    try:
        while True:
            with Client(port) as client:
                expect(ledger, client, client.reply(), 220)
                expect(ledger, client, client.say("HELO client.example\r\n"), 250)
                for _ in range(random.choice([1, 1, 2, 10])):
                    deliver(ledger, client, f"{name}-{count}")
                    count += 1
    except socket.timeout:
        ledger.refusal(b"no answer in 20 seconds")
    except OSError:
        pass


def start_senders(ledger, port, round_number):
    senders = []
    for n in range(SENDERS):
        arguments = (ledger, port, f"{round_number}-{n}")
        sender = threading.Thread(target=send_until_killed, args=arguments, daemon=True)
        sender.start()
        senders.append(sender)
    return senders


def run_round(program, maildir, ledger, number):
    """Runs one round and prints its line. Returns what was found, and whether all of it is right."""
    before = len(ledger.promised)
    server = Server(program, maildir)
    try:
        senders = start_senders(ledger, server.port, number)
        life = random.uniform(0.2, 2)
        time.sleep(life)
        exit_code = server.process.poll()
    finally:
        server.kill()
    for sender in senders:
        sender.join()
    findings = Findings(maildir, ledger)
    new = len(ledger.promised) - before
    print(f"round {number}, {life:.1f} s, {new} new: {findings}", flush=True)
    is_right = print_faults(findings, ledger, exit_code)
    ledger.refused.clear()
    return findings, is_right


def print_faults(findings, ledger, exit_code):
    """Prints what is wrong after a round. Returns whether nothing is."""
    faults = {
        "lost": findings.lost,
        "cut": findings.cut,
        "twice": findings.twice,
        "never sent whole": findings.never_sent,
        "refused": ledger.refused,
        "server died by itself": [] if exit_code is None else [exit_code],
    }
    for fault, examples in faults.items():
        if examples:
            print(f"    {fault}: {len(examples)}, such as {examples[0]}", flush=True)
    return not any(faults.values())


def run_rounds(program, maildir, rounds):
    """Runs all rounds, prints the result, and returns the exit code."""
    ledger = Ledger()
    all_right = True
    for number in range(1, rounds + 1):
        findings, is_right = run_round(program, maildir, ledger, number)
        all_right = all_right and is_right
    # Whatever a kill leaves behind, the server must start again. Each round has shown it for the one before.
    Server(program, maildir).kill()
    if not ledger.promised:
        sys.exit("FAILED: no mail was delivered at all")
    print(f"{'ok' if all_right else 'FAILED'}: {rounds} rounds, {findings}")
    return 0 if all_right else 1


def main(arguments):
    rounds = arguments[0] if arguments else "10"
    if len(arguments) > 1 or not re.fullmatch("[1-9][0-9]*", rounds):
        print("usage: scripts/kill.py [ROUNDS], such as 10", file=sys.stderr)
        return 2
    exit_on_signals()
    program = build()
    # The Maildir is beside the program, because /tmp may be in memory, where nothing takes any time.
    with tempfile.TemporaryDirectory(prefix="kill.", dir=TARGET) as directory:
        try:
            return run_rounds(program, Path(directory) / "mail", int(rounds))
        except NotStarted:
            sys.exit("the server didn't start on its Maildir")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

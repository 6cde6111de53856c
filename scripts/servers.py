#!/usr/bin/env python3
"""Sends mails with our client to every SMTP server on this machine, and compares what each of them has stored.

    scripts/servers.py [SERVER]...     all of them if none is named, such as postfix

Each server runs on a free port of 127.0.0.1 in a temporary folder. The machine's own servers are not touched. A
missing server is listed with the command that installs it. Postfix and Exim need root. Packages of mail servers
exclude each other: an Exim that is unpacked elsewhere is found by the variable EXIM, which has the program's path.

A stored message is compared octet for octet with the one that the client was given. These differences are expected:

    the client     ends every line in CRLF, the last one too; drops the line `From ada Sun Nov 22 08:55:53 2026` on
                   top; writes a header section for a mail that has none
    the servers    store lines that end in LF, or all in CRLF; write trace fields on top
    smtp-sink      writes an empty line at the end

At the end smtp-sink fails in every way that it can. The client must notice, with the right exit code, and soon. The
exit code is 0 if all of that holds.
"""

import os
import re
import subprocess
import sys
from typing import NamedTuple

from other_servers import GONE, LATER, LIMIT, SERVERS, Ours, SmtpSink
from server_under_test import NotStarted, build, exit_on_signals

ACCEPTED, SOME, UNKNOWN, UNFIT, FOR_GOOD, FOR_NOW = 0, 3, 4, 65, 69, 75
MEANINGS = {
    ACCEPTED: "sent", SOME: "sent to some", UNKNOWN: "it may have arrived", UNFIT: "can't be sent to this server",
    FOR_GOOD: "refused for good", FOR_NOW: "not now",
}
# The longest that the client may take.
PATIENCE = 20

HEADER = b"From: ada@example.org\nTo: bob@example.com\nSubject: from scratch\n\n"
# The section that the client writes, without its date and id.
CLIENTS_HEADER = b"From: ada@example.org\nTo: bob@example.com\nSubject: A mail from scratch\n\n"
DATE_AND_ID = re.compile(rb"Date: [^\n]{31}\nMessage-ID: <[0-9.]+@client\.example>\n")


class Mail(NamedTuple):
    """What is sent, and what must be stored if it isn't `message`, in lines that end in LF."""

    what: str
    message: bytes
    stored: bytes | None = None
    recipients: tuple[str, ...] = ("bob@example.com",)


def mails():
    """The mails for every server."""
    line = b".%d and what else a line of a large message may have, dots too\n"
    lines = b"".join(line % number for number in range(400_000))
    hundred = [f"{number}@example.com" for number in range(100)]
    hundred[5::25] = [f"{number}@{GONE}" for number in range(4)]
    hundred[9::25] = [f"{number}@{LATER}" for number in range(4)]
    plain = HEADER + b"Hello.\n"
    return [
        Mail("a plain mail", plain),
        Mail("25 MB", (HEADER + lines)[:25_000_000] + b"\n"),
        Mail("more than the 25 MiB of the limit", HEADER + lines),
        Mail("a body of 8-bit octets", HEADER + "Grüße\n".encode() + bytes(range(128, 256)) + b"\n"),
        Mail("dots at the start of lines", HEADER + b".\n..\n...\n.\n.dot\n. \n.\t\n\n.\n"),
        Mail("lines of 998 octets", HEADER + (b"." * 998 + b"\n") * 3),
        Mail("bare CR and bare LF", HEADER + b"1\r2\n3\r\n4\r\r5\n\r6\r.\r7", HEADER + b"1\n2\n3\n4\n\n5\n\n6\n.\n7\n"),
        Mail("no line end at the end", HEADER + b"Hello.", HEADER + b"Hello.\n"),
        Mail("a line From on top", b"From ada Sun Nov 22 08:55:53 2026\n" + plain, plain),
        Mail("NUL and other controls", HEADER + b"\0 1\0\0 \x01\x1a\x7f\n\0\n"),
        Mail("a header section alone", HEADER),
        Mail("nothing", b"", CLIENTS_HEADER),
        Mail("no header section", b"Hello.\n", CLIENTS_HEADER + b"Hello.\n"),
        Mail("an address in UTF-8", plain, recipients=("zoë@example.com",)),
        Mail("100 recipients, 8 of them elsewhere", plain, recipients=tuple(hundred)),
        Mail(f"a recipient at {GONE}", plain, recipients=(f"bob@{GONE}",)),
        Mail(f"a recipient at {LATER}", plain, recipients=(f"bob@{LATER}",)),
    ]


# How the client ends when smtp-sink refuses a command for good or for now, closes, or says 421 and closes.
COMMANDS = ("CONNECT", "EHLO", "MAIL", "RCPT", "DATA", ".", "QUIT")
FAILURES = {
    "-f": (FOR_GOOD, ACCEPTED, FOR_GOOD, FOR_GOOD, FOR_GOOD, FOR_GOOD, ACCEPTED),  # After EHLO comes HELO.
    "-r": (FOR_NOW, FOR_NOW, FOR_NOW, FOR_NOW, FOR_NOW, FOR_NOW, ACCEPTED),
    "-q": (FOR_NOW, FOR_NOW, FOR_NOW, FOR_NOW, FOR_NOW, UNKNOWN, ACCEPTED),
    "-Q": (FOR_NOW, FOR_NOW, FOR_NOW, FOR_NOW, FOR_NOW, FOR_NOW, ACCEPTED),
}
# What else it can do: its flags, the message, and how the client ends.
SMALL, LARGE, EIGHT_BIT = HEADER + b"Hello.\n", HEADER + b"Hello.\n" * 1_000_000, HEADER + b"\xe9\n"
MODES = [
    ("-f EHLO,HELO", SMALL, FOR_GOOD),
    # It refuses after the 354 and reads no further.
    ("-A 0", LARGE, FOR_GOOD),
    ("-A 1", LARGE, FOR_GOOD),
    # It is slow: to read, with a small window; to say 354; to answer to the message.
    ("-H 1 -T 4096", LARGE, ACCEPTED),
    ("-w 1", SMALL, ACCEPTED),
    ("-W .:1", SMALL, ACCEPTED),
    # It lacks 8BITMIME, ESMTP, PIPELINING, and looks like a Cisco PIX.
    ("-8", EIGHT_BIT, UNFIT),
    ("-e", SMALL, ACCEPTED),
    ("-p", SMALL, ACCEPTED),
    ("-P", SMALL, ACCEPTED),
]


class Table:
    """Prints a line for each attempt, and counts them."""

    def __init__(self):
        self.sent = self.refused = self.failed = 0

    def add(self, server, what, problem, code):
        if problem:
            self.failed += 1
        elif code in (ACCEPTED, SOME):
            self.sent += 1
        else:
            self.refused += 1
        result = f"FAILED: {problem}" if problem else MEANINGS[code]
        shown = f" (exit code {code})" if code and not problem else ""
        print(f"{server:12} {what:35} {result}{shown}", flush=True)


def send(program, server, mail):
    """Runs the client and returns its exit code and its lines; without a code, it took too long."""
    to = [f"--to={recipient}" for recipient in mail.recipients]
    command = [program, "send", "--quiet", f"--server=127.0.0.1:{server.port}", "--helo=client.example"]
    try:
        result = subprocess.run(
            [*command, "--from=ada@example.org", *to], input=mail.message, capture_output=True, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired:
        return None, []
    return result.returncode, (result.stdout + result.stderr).decode().splitlines()


def expected(server, mail):
    """The exit code for a mail, and how the client's line for each recipient begins."""
    if server.has_limit and len(mail.message) > LIMIT:
        return UNFIT, ["error: the message has "]
    if not server.knows_utf8 and not "".join(mail.recipients).isascii():
        return UNFIT, ["error: an address has letters "]
    words = {GONE: "refused (550 ", LATER: "refused for now (450 "}
    words = {domain: words[domain] for domain in server.refuses}
    answers = [words.get(recipient.split("@")[1], "accepted (250 ") for recipient in mail.recipients]
    lines = [f"{recipient}: {answer}" for recipient, answer in zip(mail.recipients, answers)]
    refused = sum(answer in words.values() for answer in answers)
    if refused == len(answers):
        return FOR_GOOD if set(answers) == {words[GONE]} else FOR_NOW, lines
    return SOME if refused else ACCEPTED, lines


def problem_with(server, mail, code, lines):
    """What is wrong with the outcome, if anything is."""
    found = [DATE_AND_ID.sub(b"", message, 1) for message in server.new_messages()]
    right_code, beginnings = expected(server, mail)
    if code != right_code or len(lines) != len(beginnings):
        return f"exit code {code}, not {right_code}, and {len(lines)} lines: {lines[:1]}"
    for line, beginning in zip(lines, beginnings):
        if not line.startswith(beginning):
            return f"{line}, not {beginning}"
    stored = mail.message if mail.stored is None else mail.stored
    if found != ([stored] if code in (ACCEPTED, SOME) else []):
        return f"stored {[message[:200] for message in found]}"
    return None


def send_all(program, table, kind):
    """Sends every mail to a server."""
    with kind() as server:
        for mail in mails():
            code, lines = send(program, server, mail)
            table.add(kind.name, mail.what, problem_with(server, mail, code, lines), code)


def fail_in_every_way(program, table):
    """Sends to smtp-sink in each of its modes."""
    modes = [
        (f"{flag} {command}", SMALL, code)
        for flag, codes in FAILURES.items()
        for command, code in zip(COMMANDS, codes)
    ]
    for flags, message, right_code in modes + MODES:
        with SmtpSink(*flags.split()) as server:
            code, lines = send(program, server, Mail(flags, message))
            problem = None
            if code != right_code:
                problem = f"exit code {code}, not {right_code}: {lines}"
            elif code == ACCEPTED and server.new_messages() != [message]:
                problem = "not stored as it was sent"
            table.add(server.name, flags, problem, code)


def main():
    names = [kind.name for kind in SERVERS]
    wanted = sys.argv[1:] or names
    if not set(wanted) <= set(names):
        print(f"usage: scripts/servers.py [{'|'.join(names)}]...", file=sys.stderr)
        return 2
    exit_on_signals()
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    program = Ours.program = build()
    table = Table()
    for kind in (kind for kind in SERVERS if kind.name in wanted):
        if why := kind.why_not():
            print(f"{kind.name:12} {why}", flush=True)
            continue
        try:
            send_all(program, table, kind)
            if kind is SmtpSink:
                fail_in_every_way(program, table)
        except NotStarted as why:
            table.add(kind.name, "", f"it didn't start: {why}", None)
    print(f"{table.sent} sent, {table.refused} refused as they should be, {table.failed} failed")
    return 1 if table.failed else 0


if __name__ == "__main__":
    sys.exit(main())

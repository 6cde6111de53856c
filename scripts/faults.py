#!/usr/bin/env python3
"""Lets the server go wrong in each way, and looks what clients see of it.

    scripts/faults.py

For each fault of the table a server is started, and each client sends it a mail: Python's smtplib, swaks, nodemailer,
and our own `send`. What the client makes of it is compared with the table, and so is whether the mail was stored. At
the end, up to sixteen clients at a time send to one server, and each recipient chooses a fault of its own.

A client that is missing is listed with the command that installs it. The exit code is 0 if all saw what they should.
"""

import re
import shutil
import smtplib
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from server_under_test import Server, build, exit_on_signals, files

ACCEPTED, BROKEN = "accepted", "broken"
MESSAGE = "Subject: fault\r\n\r\nHello\r\n"
# The fault, what a client must see (a code, or one of the words), and how many mails are stored.
FAULTS = [
    ("CONNECT=421", 421, 0),
    ("CONNECT=drop", BROKEN, 0),
    ("MAIL=450 4.7.1 Come again", 450, 0),
    ("MAIL=drop", BROKEN, 0),
    ("RCPT=550", 550, 0),
    ("RCPT=452:bob@*", 452, 0),
    ("RCPT=550:eve@*", ACCEPTED, 1),
    ("RCPT=drop", BROKEN, 0),
    ("DATA=451", 451, 0),
    ("DATA=drop", BROKEN, 0),
    ("MESSAGE=drop", BROKEN, 0),
    ("DOT=554", 554, 0),
    ("DOT=drop", BROKEN, 0),
    ("DOT=lose", BROKEN, 1),
    ("RCPT=delay 1", ACCEPTED, 1),
]
# For addresses that choose.
CHOICES = {"bob": ACCEPTED, "rcpt-550": 550, "data-451": 451, "dot-554": 554, "drop-rcpt": BROKEN, "lose-dot": BROKEN}

NODE = """
const transport = require("nodemailer").createTransport({ host: "127.0.0.1", port: PORT, secure: false, ignoreTLS: true });
const envelope = { from: "ada@example.org", to: ["RECIPIENT"] };
transport.sendMail({ envelope, raw: "Subject: fault\\r\\n\\r\\nHello\\r\\n" })
    .then(() => console.log("accepted"), (error) => console.log(error.responseCode || "broken"));
"""


def with_smtplib(_program, port, recipient):
    try:
        with smtplib.SMTP("127.0.0.1", port, local_hostname="client.example", timeout=20) as client:
            client.sendmail("ada@example.org", recipient, MESSAGE)
    except smtplib.SMTPRecipientsRefused as refused:
        return refused.recipients[recipient][0]
    except smtplib.SMTPResponseException as refused:
        # -1 is its code for what is no reply.
        return refused.smtp_code if refused.smtp_code > 0 else BROKEN
    except (smtplib.SMTPServerDisconnected, ConnectionError) as error:
        # After a mail that was accepted, a QUIT without a reply is no failure.
        return BROKEN if "QUIT" not in str(error) else ACCEPTED
    return ACCEPTED


def outcome(command, **arguments):
    """Runs a client. Returns its exit code and what it printed."""
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, **arguments)
    return result.returncode, result.stdout + result.stderr


def with_swaks(_program, port, recipient):
    code, output = outcome(["swaks", "--server", "127.0.0.1", "--port", str(port), "--helo", "client.example",
                            "--from", "ada@example.org", "--to", recipient, "--data", MESSAGE])
    if code == 0:
        return ACCEPTED
    refusals = re.findall(r"^<\*\* ([45]\d\d)", output, re.MULTILINE)
    return int(refusals[0]) if refusals else BROKEN


def with_nodemailer(_program, port, recipient):
    _, output = outcome(["node", "-e", NODE.replace("PORT", str(port)).replace("RECIPIENT", recipient)])
    word = output.strip()
    return int(word) if word.isdecimal() else word


def with_send(program, port, recipient):
    _, output = outcome([program, "send", "--server", f"127.0.0.1:{port}", "--from", "ada@example.org", "--to",
                         recipient, "--quiet"], input=MESSAGE)
    if ": accepted" in output:
        return ACCEPTED
    refusal = re.search(r"(?:refused|for now) \(([45]\d\d)|: ([45]\d\d) A fault", output)
    return int(refusal[1] or refusal[2]) if refusal else BROKEN


def clients():
    """The clients that are here. Says which aren't."""
    found = {"send": with_send, "smtplib": with_smtplib}
    has_nodemailer = shutil.which("node") and outcome(["node", "-e", 'require("nodemailer")'])[0] == 0
    for name, is_here, client, install in [
        ("swaks", shutil.which("swaks"), with_swaks, "apt install swaks"),
        ("nodemailer", has_nodemailer, with_nodemailer, "npm install -g nodemailer, and NODE_PATH=$(npm root -g)"),
    ]:
        if is_here:
            found[name] = client
        else:
            print(f"{name:12} not here; to install it: {install}")
    return found


def main():
    exit_on_signals()
    program = build()
    here = clients()
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for number, (fault, expected, kept) in enumerate(FAULTS):
            maildir = Path(folder) / str(number)
            server = Server(program, maildir, "--fault", fault, stderr=subprocess.DEVNULL)
            try:
                for name, client in here.items():
                    before = len(files(maildir, "new"))
                    seen = client(program, server.port, "bob@example.com")
                    stored = len(files(maildir, "new")) - before
                    is_right = (seen, stored) == (expected, kept)
                    failed += not is_right
                    wrong = "" if is_right else f"  FAILED: {expected} and {kept} stored were expected"
                    print(f"{fault:28} {name:12} {seen}, {stored} stored{wrong}", flush=True)
            finally:
                server.kill()
        maildir = Path(folder) / "addresses"
        server = Server(program, maildir, "--fault", "addresses", stderr=subprocess.DEVNULL)
        try:
            tasks = [(name, local_part) for name in here for local_part in CHOICES]
            with ThreadPoolExecutor(16) as pool:
                seen = pool.map(lambda task: here[task[0]](program, server.port, f"{task[1]}@example.com"), tasks)
                wrong = [(*task, found) for task, found in zip(tasks, seen) if found != CHOICES[task[1]]]
            stored = len(files(maildir, "new"))
        finally:
            server.kill()
        failed += len(wrong) + (stored != 2 * len(here))
        print(f"{'addresses, at once':28} {len(tasks)} mails, {stored} stored, not as chosen: {wrong}")
    print(f"{failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

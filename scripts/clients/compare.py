"""Compares the mail that has just arrived with the one that was sent, and checks its trace header.

    compare.py MAILDIR NAME USES SENDER RECIPIENT...

USES are the extensions that the client used, in one argument. In the current folder are the message that was sent,
`mail`, its body, `body`, and `before`, the names of the files that were in MAILDIR/new. It prints how the two compare.
If something is wrong, it says so and ends with code 1.
"""

import email
import mailbox
import re
import sys
from pathlib import Path


def main(maildir, name, uses, sender, recipients):
    arrived = the_new_file(maildir)
    stored = arrived.read_bytes()
    if b"\r" in stored:
        sys.exit("there is a CR in the file")
    sent = without_trace(stored, protocol_with(uses.split()), sender, recipients)
    check_with_mailbox(maildir, arrived.name, name)
    print(comparison(sent))


def the_new_file(maildir):
    """Finds the one file in new/ that wasn't there before."""
    before = set(Path("before").read_text().split())
    arrived = [path for path in Path(maildir, "new").iterdir() if path.name not in before]
    if len(arrived) != 1:
        sys.exit(f"{len(arrived)} files in new, not 1")
    return arrived[0]


def protocol_with(uses):
    """Returns a pattern for the protocol in the trace header."""
    if "SMTPUTF8" in uses:
        return "UTF8SMTPA" if "AUTH" in uses else "UTF8SMTP"
    # A client that uses no extension may have said HELO.
    return "ESMTPA" if "AUTH" in uses else "E?SMTP"


def without_trace(stored, protocol, sender, recipients):
    """Checks the trace header and returns the mail below it."""
    only_recipient = ""
    if len(recipients) == 1:
        only_recipient = rf"\n for <{re.escape(recipients[0])}>"
    pattern = (
        rf"Return-Path: <{re.escape(sender)}>\n"
        r"((?:Delivered-To: .+\n)+)"
        r"Received: from \S+ \(\[\S+\]\)\n"
        rf" by \S+ with {protocol} id \w+{only_recipient}; \w{{3}}, \d.* \+0000\n"
    )
    trace = re.match(pattern.encode(), stored)
    # The recipients are compared without their order, because Postfix sorts them. curl and nodemailer write each
    # domain in ASCII, the others don't.
    spellings = [sorted(recipients), sorted(map(domain_in_ascii, recipients))]
    if not trace or sorted(trace[1].decode().split()[1::2]) not in spellings:
        sys.exit(f"the trace header is wrong: {stored[:300]!r}")
    return stored[trace.end() :]


def domain_in_ascii(mailbox):
    """Writes the domain of a mailbox as the DNS does: xn--bcher-kva for bücher."""
    local_part, _, domain = mailbox.rpartition("@")
    return local_part + "@" + domain.encode("idna").decode()


def check_with_mailbox(maildir, file_name, name):
    """Checks that Python's mailbox reads the mail."""
    read = mailbox.Maildir(maildir, create=False)[file_name]
    if read["Subject"] != "sent by " + name or read.get_subdir() != "new":
        sys.exit("Python's mailbox reads something else: " + repr(read["Subject"]))


def comparison(sent):
    """Says how the mail below the trace header compares with what the client was given."""
    mail = Path("mail").read_bytes()
    body = Path("body").read_bytes()
    message = email.message_from_bytes(sent)
    encoding = message["Content-Transfer-Encoding"]
    for added, remark in (b"", ""), (b"\n", ", and an empty line at the end that the client adds"):
        if sent == mail + added:
            return "bytes equal" + remark
        if sent.partition(b"\n\n")[2] == body + added:
            return "body bytes equal, header its own" + remark
    if encoding and message.get_payload(decode=True).replace(b"\r\n", b"\n") == body:
        return f"body equal when decoded ({encoding})"
    sys.exit(f"the body differs: {sent!r}")


main(*sys.argv[1:5], sys.argv[5:])

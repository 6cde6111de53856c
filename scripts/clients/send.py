"""Sends the message in the file `mail` with Python's smtplib: send.py HOST PORT SENDER RECIPIENT..."""

import smtplib
import sys
from pathlib import Path

host, port, sender, *recipients = sys.argv[1:]
message = Path("mail").read_bytes().replace(b"\n", b"\r\n")
with smtplib.SMTP(host, int(port), timeout=30) as client:
    refused = client.sendmail(sender, recipients, message)
sys.exit(1 if refused else 0)
